"""The audit: each check on data where it must be green, and where it must not."""

import dataclasses
import re

import numpy as np
import pytest
from own_data import sfc
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.base import NOT_KNOWN, Dataset, Split
from sfc_lib.genomics.dna import encode, reverse_complement
from sfc_lib.own.audit import (
    AMBER,
    GREEN,
    RED,
    Check,
    audit,
    centre_profile,
    check_conflicts,
    check_duplicates,
    check_lines,
    summary,
)
from sfc_lib.own.baseline import Baseline

LENGTH = 120
MOTIF = encode(["TGACTCAT"])[0]


def sequences(count, seed, gc=0.5):
    share = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return np.random.default_rng(seed).choice(4, (count, LENGTH), p=share).astype(np.uint8)


def planted(codes, spread, seed=0):
    """The motif in every sequence, up to so many bp from the middle."""
    rng, codes = np.random.default_rng(seed), codes.copy()
    for row in codes:
        start = LENGTH // 2 - 4 + rng.integers(-spread, spread + 1)
        row[start : start + 8] = MOTIF
    return codes


def mostly(codes, spread, seed=0):
    """The motif in three of four."""
    found = planted(codes, spread, seed)
    found[::4] = codes[::4]
    return found


def dataset(make=lambda codes, seed: mostly(codes, 8, seed), positives=300, negatives=300, **of):
    """Three splits; `make` changes the positives, given a seed that differs between splits."""
    parts = {}
    for seed, (name, share) in enumerate((("train", 1), ("valid", 3), ("test", 3))):
        first = make(sequences(positives // share, seed, of.pop("gc", 0.5)), seed)
        second = sequences(negatives // share, 10 + seed)
        labels = np.repeat([[1], [0]], [len(first), len(second)], axis=0).astype(np.uint8)
        parts[name] = Split(np.concatenate([first, second]), labels)
    return Dataset("custom", {}, "0" * 64, ("bound",), of.get("dropped", {}), **parts)


def lights(data):
    return {check.title: check.light for check in audit(data)}


@pytest.fixture(scope="module")
def good():
    return dataset()


def test_good_data_are_green(good):
    checks = audit(good)
    assert {check.light for check in checks} == {GREEN}
    assert [check.advice for check in checks] == [""] * len(checks)
    assert len({check.title for check in checks}) == len(checks) == 8


def replaced(good, **splits):
    return dataclasses.replace(good, **splits)


def test_gc_content_that_tells_the_classes_apart_is_seen(good):
    rich = dataset(lambda codes, seed: sequences(len(codes), 30 + seed, gc=0.62))
    (check,) = (check for check in audit(rich) if check.title.startswith("GC"))
    assert check.light == RED
    assert "GC content alone has an auROC of 0.9" in check.found
    assert "same GC content" in check.advice


def test_few_or_rare_examples_are_seen():
    assert lights(dataset(positives=60))["class balance"] == AMBER
    assert lights(dataset(positives=30, negatives=3000))["class balance"] == RED


def test_copies_across_the_split_are_seen(good):
    copies = reverse_complement(np.array(good.train.codes[:150]))
    test = Split(
        np.concatenate([good.test.codes, copies[:, :]]),
        np.concatenate([good.test.labels, good.train.labels[:150]]),
    )
    checks = {check.title: check for check in audit(replaced(good, test=test))}
    check = checks["near-duplicates across splits"]
    assert check.light == RED
    assert f"{150 / (len(good.valid) + len(test)):.1%} of those held out" in check.found


def test_contradictions_repeats_and_unknown_bases_are_seen(good):
    why = {"same sequence with other labels": 100, "same sequence again": 7}
    (check,) = (c for c in audit(replaced(good, dropped=why)) if c.title == "repeated sequences")
    assert check.light == RED
    assert check.found == (
        "7 repeats were left out, and 100 sequences with different labels; 0 have their reverse "
        "complement here, with another label"
    )
    codes = np.array(good.train.codes)
    codes[:200, :70] = 4
    masked = replaced(good, train=Split(codes, good.train.labels))
    assert lights(masked)["unknown bases"] == RED


def test_simple_repeats_of_one_class_are_seen(good):
    codes = np.array(good.train.codes)
    codes[:100] = np.tile(encode(["CA"])[0], LENGTH // 2)
    assert lights(replaced(good, train=Split(codes, good.train.labels)))["low complexity"] == RED


def test_windows_in_the_wrong_places_are_seen():
    for spread, expected in ((8, GREEN), (52, AMBER)):
        data = dataset(lambda codes, seed, spread=spread: mostly(codes, spread, seed))
        assert lights(data)["signal at the centre"] == expected
    nothing = dataset(lambda codes, seed: codes)
    found = lights(nothing)
    assert (found["signal at the centre"], found["k-mers"]) == (AMBER, AMBER)


def test_easy_negatives_are_seen():
    data = dataset(lambda codes, seed: planted(planted(codes, 8, seed), 40, seed + 9))
    (check,) = (check for check in audit(data) if check.title == "k-mers")
    assert check.light == AMBER
    assert "Shuffled negatives are as easy" in check.advice


def test_the_profile_falls_where_the_motif_is_in_the_middle(good):
    profile, error = centre_profile(good.train.codes, good.train.labels[:, 0])
    assert profile.argmax() == 0
    assert profile[0] > 3 * profile[-1]
    assert 0 < error < 0.5
    swapped, _ = centre_profile(
        np.roll(good.train.codes, LENGTH // 2, axis=1), good.train.labels[:, 0]
    )
    assert swapped.argmax() == 4


def test_checks_as_lines_and_in_a_word():
    checks = [Check("a", GREEN, "fine"), Check("b", RED, "bad", "Mend it.")]
    assert list(check_lines(checks)) == ["green  a: fine", "red    b: bad", "       Mend it."]
    assert summary(checks) == "1 green, 1 red"


def test_the_command_looks_and_does_not_train(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "runs"))
    for name, codes in (("pos", mostly(sequences(200, 1), 8)), ("neg", sequences(200, 2))):
        rows = ("".join("ACGT"[base] for base in row) for row in codes)
        text = "".join(f">{name}{i}\n{row}\n" for i, row in enumerate(rows))
        (tmp_path / f"{name}.fa").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = sfc("train", "--positives", "pos.fa", "--negatives", "neg.fa", "--check")
    assert done.exit_code == 0, done.output
    assert "green  signal at the centre: enriched 6-mers" in done.output
    assert "amber  class balance: 400 sequences" in done.output
    assert not (tmp_path / "runs").exists()


def test_copies_in_a_test_file_are_told_apart_from_those_that_validate():
    codes = sequences(100, 0)
    splits = np.repeat(["train", "valid", "test"], [60, 20, 20])
    codes[80:90] = codes[60:70]  # half of the file is copied from what validates
    check = check_duplicates(codes, splits)
    assert check.light == GREEN
    assert "0.0% of those held out do with one that trains" in check.found
    check = check_duplicates(codes, splits, "test")
    assert check.light == RED
    assert "50.0% of those in the test file do with one that trains or validates" in check.found


def test_labels_that_are_not_known_count_in_no_check(good):
    parts = {}
    for seed, name in enumerate(("train", "valid", "test")):
        part = getattr(good, name)
        odd = sequences(len(part), 50 + seed, gc=0.95)  # so that taken for any class it shows
        odd[::2] = 0
        codes = np.concatenate([part.codes, odd])
        marked = np.full((len(odd), 1), NOT_KNOWN, np.uint8)
        other = (np.arange(len(codes)) % 2).astype(np.uint8)[:, None]
        parts[name] = Split(codes, np.hstack([np.concatenate([part.labels, marked]), other]))
    more = dataclasses.replace(good, task_names=("bound", "other"), **parts)
    regression = Baseline(
        {"test": np.random.default_rng(0).random(parts["test"].labels.shape)}, (0.1, 0.1), 1.0
    )
    found = {check.title: check for check in audit(more, regression)}
    expected = {check.title: check for check in audit(good)}
    for title in ("GC content and length", "low complexity", "signal at the centre"):
        assert found[title] == expected[title], title
    few = good.test.positives[0], len(good.test) - good.test.positives[0]
    assert f"and has {min(few)} examples in the test set" in found["class balance"].found
    guess = regression.probabilities["test"]
    scores = [roc_auc_score(y[y < 2], p[y < 2])
              for y, p in zip(parts["test"].labels.T, guess.T, strict=True)]  # fmt: skip
    assert f"has an auROC of {np.mean(scores):.2f} " in found["k-mers"].found


# Measurements


def values(change=lambda labels, codes: labels):
    """Sequences of which those with the motif are measured higher; `change` is for all splits."""
    data, parts = dataset(), {}
    rng = np.random.default_rng(0)
    for name in ("train", "valid", "test"):
        split = getattr(data, name)
        labels = change(2.0 * split.labels + rng.normal(0, 0.5, split.labels.shape), split.codes)
        parts[name] = Split(split.codes, labels.astype(np.float32))
    return dataclasses.replace(data, **parts)


def test_measurements_have_the_checks_that_make_sense_and_good_ones_are_green():
    checks = audit(values())
    assert [(check.title, check.light, check.advice) for check in checks] == [
        (title, GREEN, "")
        for title in (
            *("values", "GC content and length", "k-mers", "near-duplicates across splits"),
            *("repeated sequences", "unknown bases"),
        )
    ]
    assert not any(re.search("auROC|positive|class", check.found) for check in checks)


def far_out(labels, _codes):
    labels[0] = 30
    return labels


def few(labels, _codes):
    labels[20:] = np.nan
    return labels


VALUES = {  # what is changed; the check, its light, and what it says
    "one far from all others": (far_out, "values", AMBER, "A few values rule"),
    "a long tail": (lambda labels, _: 10 ** (3 * labels), "values", RED, "take logarithms"),
    "few": (few, "values", RED, "Scores of so few"),
    "two values": (lambda labels, _: np.float32(labels > 1), "values", AMBER, "without --contin"),
    "GC content": (
        lambda labels, codes: labels + 30 * ((codes == 1) | (codes == 2)).mean(1, keepdims=True),
        *("GC content and length", RED, "hold its r against this one"),
    ),
    "chance": (
        lambda labels, _: np.random.default_rng(len(labels)).normal(size=labels.shape),
        *("k-mers", AMBER, "Do sequences and labels belong together"),
    ),
}


@pytest.mark.parametrize("kind", VALUES)
def test_measurements_with_something_wrong_are_seen(kind):
    change, title, light, advice = VALUES[kind]
    (check,) = (check for check in audit(values(change)) if check.title == title)
    assert check.light == light, check.found
    assert advice in check.advice


def test_repeats_of_measurements_are_told():
    why = {"same sequence again, the values averaged": 7, "test: same sequence again": 2}
    (check,) = (
        c for c in audit(dataclasses.replace(values(), dropped=why)) if c.title.startswith("repeat")
    )
    assert check.light == GREEN
    assert check.found.startswith("9 repeats: equal sequences are kept once, with the mean")


def test_a_reverse_complement_with_another_label_is_told():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (90, 40), dtype=np.uint8)
    codes[30:60] = reverse_complement(codes[:30])
    labels = np.repeat(np.uint8([[1], [0], [1]]), 30, axis=0)
    labels[30:35] = 1  # these agree
    parts = [Split(codes[i::3], labels[i::3]) for i in range(3)]
    made = Dataset("made up", {}, "", ("bound",), {}, *parts)
    found = check_conflicts(made)
    assert found.light == RED
    assert "50 have their reverse complement here, with another label" in found.found
    parts = [Split(part.codes, np.ones_like(part.labels)) for part in parts]
    assert check_conflicts(dataclasses.replace(made, train=parts[0], valid=parts[1],
                                               test=parts[2])).light == GREEN  # fmt: skip
