"""`sfc train --continuous` from the files to the report, and what the other verbs make of it."""

import base64
import html
import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from own_data import LENGTH, MOTIF, fasta, rows_of, sfc
from scipy import stats

from sfc_lib import load_dataset
from sfc_lib.datasets.base import is_known
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, encode
from sfc_lib.own.dataset import Custom, averaged, tenths
from sfc_lib.own.predict import load_predictor, members_file
from sfc_lib.own.report import draw_learning_curve, draw_scatter, draw_values, score_lines
from sfc_lib.own.train import (
    correlations_of_counts,
    gains,
    own_spec,
    resampled_correlations,
    scores_with_intervals,
)

SPLITS = ("train", "valid", "test")
TRAIN = ["--sequences", "all.fa", "--labels", "mpra.tsv", "--continuous"]
QUICK = ["--width", "0.2", "--epochs", "3", "--test-fraction", "0.3"]
TASKS = ["log2 RNA/DNA", "other <b>"]


def table(folder, count=400):
    """400 sequences, 0 to 2 motifs in them; activity −1 + 2 a motif, and ten times what is off it.

    Every tenth value of a task is not known.
    """
    rng = np.random.default_rng(0)
    rows = rows_of(count, 3)
    number = np.arange(count) % 3
    for i in range(count):
        for start in (5, 40)[: number[i]]:
            rows[i] = rows[i][:start] + MOTIF + rows[i][start + len(MOTIF) :]
    activity = -1 + 2 * number + rng.normal(0, 0.3, count)
    values = np.stack([activity, 300 - 10 * activity + rng.normal(0, 4, count)], axis=1)
    texts = np.array([[f"{a:.3f}", f"{b:.3e}"] for a, b in values], object)
    texts[::10, 0], texts[1::10, 1] = "NA", ""
    fasta(folder / "all.fa", rows)
    lines = [f"s{i}\t{a}\t{b}\n" for i, (a, b) in enumerate(texts)]
    (folder / "mpra.tsv").write_text("\t".join(["name", *TASKS]) + "\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def measured(shared_folder):
    """Folder with the files, the store `runs` and `report`."""
    folder = shared_folder / "measured"
    with FileLock(shared_folder / "measured.lock"), pytest.MonkeyPatch.context() as patch:
        if not folder.exists():
            folder.mkdir()
            patch.setenv("SFC_RUNS_DIR", str(folder / "runs"))
            patch.chdir(table(folder))
            done = sfc("train", *TRAIN, *QUICK, "-o", "report")
            assert done.exit_code == 0, done.output
            (folder / "log").write_text(done.output)
    return folder


def dataset_of(folder):
    options = json.loads((folder / "report" / "spec.json").read_text())["dataset_options"]
    return load_dataset("custom", **options)


def text_of(folder):
    """The report's words, and its HTML without the figures."""
    page = re.sub(r'src="data:[^"]*"', "", (folder / "report" / "report.html").read_text())
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body))), page


# What is trained, scored and told


def test_the_spec_is_a_networks_of_measurements(measured):
    spec = json.loads((measured / "report" / "spec.json").read_text())
    assert spec["dataset_options"]["continuous"] is True
    assert (spec["class_weight"], spec["regression"], spec["start"]) == (False, 8, "kmers")
    result = json.loads((measured / "report" / "result.json").read_text())
    assert set(result["test"]) == {
        *("pearson", "spearman", "pearson_by_task", "spearman_by_task"),
    }


def test_scores_are_those_of_the_model_on_what_is_known(measured):
    data = dataset_of(measured)
    scores = pd.read_csv(measured / "report" / "scores.tsv", sep="\t")
    assert "positives" not in scores
    assert len(scores) == 2 * 2 * 2
    model = load_predictor(measured / "report").model
    _, page = text_of(measured)
    for row in scores[scores["model"] == "network"].to_dict("records"):
        split, column = getattr(data, row["split"]), TASKS.index(row["task"])
        known = is_known(split.labels[:, column])
        truth = split.labels[known, column]
        guess = model.predict_on_batch(split.codes)[known, column]
        assert row["examples"] == known.sum() < len(split)
        assert row["pearson"] == pytest.approx(stats.pearsonr(truth, guess)[0], abs=1e-5)
        assert row["spearman"] == pytest.approx(stats.spearmanr(truth, guess)[0], abs=1e-4)
        for name, label in (("pearson", "Pearson r"), ("spearman", "Spearman ρ")):
            low, value, high = (row[name + end] for end in ("_low", "", "_high"))
            assert low < value < high
            shown = f"{value:.3f} ({low:.3f}–{high:.3f})".replace("0.", ".")
            assert f'<td data-th="{label}">{shown}</td>' in page
    assert scores[scores["model"] == "network"]["pearson"].min() > 0.7
    assert f"{TASKS[0]}, network: Pearson r ." in (measured / "log").read_text()


def test_the_report_is_one_of_values(measured):
    text, page = text_of(measured)
    data = dataset_of(measured)
    for part in (
        "On sequences that it never saw, the network reaches a Pearson r of .",
        "gain in Pearson r on the regression",
        "Guessing gives correlations of 0. No model can be better than the measurement",
        "Measured against predicted values on the test set",
        "How the measured values are spread in each split",
        "gradient × input of the value at each position",
        "Of the test sequences with the highest prediction, every base has a contribution: what "
        "it adds to the value over",
        f"mean ± SD: {TASKS[0]}",
        f"{data.test.labels[is_known(data.test.labels[:, 1]), 1].mean(dtype=float):.4g} ± ",
        "80 labels that are not known",
        "penalty chosen by validation",
        "6 checks before training",
    ):
        assert part in text, part
    for part in (
        "auROC",
        "auPRC",
        "ositive",
        "robabilit",
        "logit of",
        "cross-entropy",
        "alibration",
    ):
        assert part not in text.partition("All settings of the run")[0], part
    assert "other &lt;b&gt;" in page
    assert not re.search(r"\{[{%]|[}%]\}", page)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert page.count("<figure>") == 5


def test_the_verdict_is_what_is_printed_and_what_the_table_says(measured):
    (line,) = (line for line in (measured / "log").read_text().splitlines() if "never saw" in line)
    assert line in text_of(measured)[0]
    scores = pd.read_csv(measured / "report" / "scores.tsv", sep="\t")
    test = scores[scores["split"] == "test"].groupby("model")["pearson"].mean()
    for model in ("network", "6-mer regression"):
        assert f"{test[model]:.3f}".removeprefix("0") in line


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_in_a_browser_makes_no_request_and_fits(measured, width, browser):
    with browser.new_context(viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((measured / "report" / "report.html").as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        drawn = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert [url for url in requests if not url.startswith("data:")] == requests[:1]
    assert wide <= width
    assert drawn == [True] * 7


def test_motifs_are_those_of_the_quarter_predicted_highest(measured):
    test = dataset_of(measured).test
    found = pd.read_csv(measured / "report" / "motifs.tsv", sep="\t")
    assert set(found["task"]) <= set(TASKS)
    text, _ = text_of(measured)
    assert text.count(f"Motifs in {len(test) // 4} test sequences") == 2
    svg = sfc("predict", measured / "report", measured / "all.fa").stdout.splitlines()
    guess = {line.split("\t")[0]: float(line.split("\t")[1]) for line in svg[1:]}
    names = dict(zip(decode(encode(rows(measured))), guess, strict=True))
    best = max(guess[names[row]] for row in decode(test.codes))
    page = (measured / "report" / "report.html").read_text()
    logos = base64.b64decode(re.search(r'alt="Logos of[^>]*base64,([^"]*)"', page)[1]).decode()
    assert f", value {best:.3g} -->" in logos
    assert "adds to the value" in logos


def rows(folder):
    return [line for line in (folder / "all.fa").read_text().splitlines() if line[0] != ">"]


# Predict, explain, variants


def test_predictions_are_values_in_the_units_of_the_labels(measured, tmp_path):
    done = sfc("predict", measured / "report", measured / "all.fa", "-o", tmp_path / "out.tsv")
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    assert list(found) == ["name", *TASKS]
    labels = pd.read_csv(measured / "mpra.tsv", sep="\t")
    for task, spread in zip(TASKS, (1.7, 17), strict=True):
        known = labels[task].notna()
        assert abs((found[task] - labels[task])[known].mean()) < spread / 4
        assert stats.pearsonr(found[task][known], labels[task][known])[0] > 0.8


def test_an_ensemble_predicts_values_too(measured, tmp_path):
    shutil.copytree(measured / "report", tmp_path / "both")
    shutil.copytree(measured / "report", tmp_path / "both" / "member_2")
    run = json.loads((measured / "report" / "result.json").read_text())["id"]
    (tmp_path / "both" / "ensemble.json").write_bytes(members_file([run, run]))
    one, two = load_predictor(measured / "report"), load_predictor(tmp_path / "both")
    assert (one.continuous, two.continuous, len(two.members)) == (True, True, 2)
    codes = encode(rows(measured)[:9])
    expected = one.model.predict_on_batch(codes)
    np.testing.assert_allclose(two.model.predict_on_batch(codes), expected, rtol=1e-5)
    assert expected.max() > 100


def test_contributions_are_what_changes_do_to_the_value(measured, tmp_path):
    fasta(tmp_path / "few.fa", rows(measured)[2:6:2])
    done = sfc(
        *("explain", measured / "report", tmp_path / "few.fa", "--method", "ism"),
        *("--task", TASKS[1], "-o", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out" / "sequences.tsv", sep="\t")
    assert list(found) == ["name", "value"]
    model = load_predictor(measured / "report").model
    codes = encode(rows(measured)[2:6:2])
    guess = model.predict_on_batch(codes)[:, 1]
    np.testing.assert_allclose(found["value"], np.sort(guess)[::-1], rtol=1e-4)
    values = np.load(tmp_path / "out" / "contributions.npz")["arr_0"]
    first = codes[guess.argmax()]
    for place in (7, 30):
        mutants = np.repeat(first[None], 4, axis=0)
        mutants[:, place] = range(4)
        of_base = model.predict_on_batch(mutants)[:, 1]
        expected = of_base - of_base.mean()
        np.testing.assert_allclose(values[0, :, place], expected, atol=2e-3)
    assert "adds to the value" in (tmp_path / "out" / "logos.svg").read_text()


def test_variants_have_differences_of_the_value_and_no_probability(measured, tmp_path):
    letters = "".join(np.random.default_rng(5).choice(list("ACGT"), 600))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    places = [200, 250, 300]
    other = {place: "A" if letters[place - 1] != "A" else "C" for place in places}
    (tmp_path / "v.tsv").write_text(
        "".join(f"chr1\t{p}\t{letters[p - 1]}\t{alt}\n" for p, alt in other.items())
        + "chr1\t2\t" + letters[1] + "\t" + ("A" if letters[1] != "A" else "C") + "\n"
    )  # fmt: skip
    output = ["-o", tmp_path / "out.tsv", "-o", tmp_path / "out.vcf"]
    done = sfc(
        "variants", measured / "report", tmp_path / "v.tsv", "--genome", tmp_path / "g.fa", *output
    )
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    scores = ["ref_value", "alt_value", "value_difference"]
    scores += ["lowest_difference", "highest_difference", "rank"]
    assert list(found) == ["chrom", "pos", "id", "ref", "alt", "task", *scores]
    assert found[scores].isna().all(axis=1).tolist() == [False] * 6 + [True] * 2  # at the end
    model = load_predictor(measured / "report").model
    for place in places:
        start = place - 1 - LENGTH // 2
        ref = letters[start : start + LENGTH]
        alt = ref[: LENGTH // 2] + other[place] + ref[LENGTH // 2 + 1 :]
        guess = model.predict_on_batch(encode([ref, alt]))
        rows = found[found["pos"] == place]
        np.testing.assert_allclose(rows["ref_value"], guess[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(rows["value_difference"], guess[1] - guess[0], atol=2e-3)
        assert (rows["lowest_difference"] <= rows["value_difference"] + 1e-6).all()
        assert rows["rank"].between(0, 1).all()
    header, *lines = (tmp_path / "out.vcf").read_text().split("#CHROM")
    assert "ALT|task|" + "|".join(scores) in header
    first = re.search(r"SFC=(\S+)", lines[0])[1].split(",")[0].split("|")
    assert first[1] == "log2%20RNA%2FDNA"
    assert [float(text) for text in first[2:]] == pytest.approx(
        found.loc[0, scores].astype(float).tolist()
    )


# Labels as they come


def of_values(tmp_path, values, header="name\tactivity\n", **options):
    """The dataset of so many random sequences with these texts as labels."""
    values = list(values)
    sequences = fasta(tmp_path / "s.fa", rows_of(len(values), 0))
    lines = "".join(f"s{i}\t{value}\n" for i, value in enumerate(values))
    (tmp_path / "l.tsv").write_text(header + lines)
    files = {"sequences": sequences, "labels": tmp_path / "l.tsv", "continuous": True}
    return load_dataset("custom", **files | {"valid_fraction": 0.2, "test_fraction": 0.2} | options)


def labels_of(dataset):
    """Labels by sequence."""
    parts = [getattr(dataset, name) for name in SPLITS]
    return {
        row: labels
        for part in parts
        for row, labels in zip(decode(part.codes), part.labels.tolist(), strict=True)
    }


READ = {
    "1": 1, "-1": -1, "+2.5": 2.5, ".5": 0.5, "5.": 5, "-3e2": -300, "1E-3": 0.001, " 7 ": 7,
    "0": 0, "1.5e+03": 1500, "1e-300": 0, "-0": 0, "3.4e38": 3.4e38, "NA": None, "nan": None,
    "NaN": None, "": None, "na": None,
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_numbers_that_are_read(tmp_path, text):
    dataset = of_values(tmp_path, [text, *map(str, range(99))])
    found = labels_of(dataset).get(rows_of(100, 0)[0])
    if READ[text] is None:
        assert found is None
        assert dataset.dropped == {"no label is known": 1}
    else:
        assert found == pytest.approx([np.float32(READ[text])])
    assert dataset.train.labels.dtype == np.float32


@pytest.mark.parametrize(
    "text",
    ["inf", "-Inf", "infinity", "1e39", "1,5", "high", "True", "1 000", "1_000", "0x10", "N/A", "-",
     "1e", ".", "−1", "<NA>", "٣", "5 %", "1.5.2"],
)  # fmt: skip
def test_numbers_that_are_refused(tmp_path, text):
    expected = r"l\.tsv:4: expected a finite number or NA \(not known\) for 'activity', got '"
    with pytest.raises(UserError, match=expected + re.escape(text)) as error:
        of_values(tmp_path, ["1", "2", text, *map(str, range(99))])
    assert "\n" not in str(error.value)
    assert ("Write decimals with a point" in str(error.value)) == ("," in text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1.5"] * 100, "expected 10 or more values of 'activity' that differ in every split, got"),
        (["0"] * 99 + ["5"], "with a standard deviation of 0 in '(train|valid|test)'"),
        ([*map(str, range(30))], r"got [3-9] with a standard deviation of .* in 'valid'"),
        (["NA"] * 60 + [*map(str, range(20))], r"left out: 60 no label is known"),
        (["1e-40", "2e-40"] * 50, r"with a standard deviation of 5e-41"),
    ],
)
def test_values_that_nothing_can_be_learned_from(tmp_path, values, message):
    with pytest.raises(UserError, match=message):
        of_values(tmp_path, values)


def test_a_header_of_numbers_is_none(tmp_path):
    with pytest.raises(UserError, match=r"l\.tsv:1: expected a header.*Put a line like"):
        of_values(tmp_path, map(str, range(99)), header="s\t0.31\n")


@pytest.mark.parametrize(("text", "hint"), [("0.53", True), ("-2", True), ("bound", False)])
def test_without_the_flag_numbers_are_refused_with_a_hint(measured, tmp_path, text, hint):
    with pytest.raises(UserError) as error:
        of_values(tmp_path, ["0", "1", text, "0"], continuous=False)
    assert re.search(rf"l\.tsv:4: expected 0, 1 or NA .*got '{text}'", str(error.value))
    assert str(error.value).endswith("For measurements, say so (--continuous).") == hint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--positives", "all.fa", "--negatives", "all.fa"],
            "continuous is an option of sequences",
        ),
        (["--peaks", "all.fa", "--genome", "all.fa"], "continuous is an option of sequences with"),
        ([*TRAIN, "--class-weight"], "class weights are for classes, got measurements"),
        ([*TRAIN, "--negatives", "all.fa"], "expected the files --positives and --negatives, or"),
        ([*TRAIN, "--test", "all.fa"], "expected --test and --test-labels, got --test."),
        ([*TRAIN, "--curvature", "1", "--variant", "std"], "std has no SFC layer"),
    ],
)
def test_commands_that_are_refused_are_one_line(measured, monkeypatch, arguments, message):
    monkeypatch.chdir(measured)
    done = sfc("train", "--continuous", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1


def test_equal_sequences_are_kept_once_with_the_mean_of_what_is_known(tmp_path):
    values = np.float32([[1, np.nan], [2, 5], [9, 9], [6, np.nan]])
    codes = encode(["ACGT", "CCCC", "ACGT", "ACGT"])
    labels, keep, counts = averaged(codes, values)
    assert keep.tolist() == [True, True, False, False]
    assert labels[keep].tolist() == [[np.float32(16 / 3), 9], [2, 5]]
    assert counts == {"same sequence again, the values averaged": 2}
    alone = averaged(codes[:2], values[:2])
    np.testing.assert_array_equal(alone[0], values[:2])
    assert alone[2] == {}
    sequences = rows_of(100, 0)
    fasta(tmp_path / "s.fa", [*sequences, *sequences[:30]])
    lines = "".join(f"s{i}\t{i}\n" for i in range(130))
    (tmp_path / "l.tsv").write_text("name\ta\n" + lines)
    files = {"sequences": tmp_path / "s.fa", "labels": tmp_path / "l.tsv", "continuous": True}
    dataset = load_dataset("custom", **files, valid_fraction=0.2, test_fraction=0.2)
    found = labels_of(dataset)
    assert [found[row] for row in sequences[:30]] == [[i + 50] for i in range(30)]
    assert len(found) == 100
    assert dataset.dropped == {"same sequence again, the values averaged": 30}


def test_a_test_set_of_its_own_is_read_as_measurements(tmp_path):
    fasta(tmp_path / "new.fa", rows_of(20, 7), prefix="n")
    lines = "".join(f"n{i}\t{-i / 2}\n" for i in range(20))
    (tmp_path / "new.tsv").write_text("name\tactivity\n" + lines)
    files = {"test": tmp_path / "new.fa", "test_labels": tmp_path / "new.tsv"}
    dataset = of_values(tmp_path, map(str, range(100)), test_fraction=0.1, **files)
    assert dataset.test.labels[:, 0].tolist() == [-i / 2 for i in range(20)]
    assert len(dataset.train) + len(dataset.valid) == 100


def test_values_are_spread_evenly_over_the_splits(tmp_path):
    """Of heavy tails too: every split gets its share of the highest tenth."""
    values = np.exp(np.random.default_rng(0).normal(0, 2, 300))
    dataset = of_values(tmp_path, [f"{v:.5g}" for v in values])
    top = np.quantile(values, 0.9)
    for name, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        labels = getattr(dataset, name).labels[:, 0]
        assert abs((labels > top).sum() - 30 * share) <= 2
    groups = tenths(np.float32([[np.nan, 3], [1, np.nan], [5, 9], [2, 8]]))
    assert groups[:, :2].tolist() == [[0, 1], [1, 0], [1, 1], [1, 1]]
    assert groups[:, 2].argmax() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(tenths(np.float32([[np.nan, 3], [np.nan, 1]]))) == 2


def test_no_dataset_without_measurements_is_named_anew():
    """The fingerprint that the options of before there were any give."""
    files = {"sequences": "0" * 64, "labels": "1" * 64, "task_names": ("a",)}
    before = "fdd86fb9eb0599310a7f0350b9d8c01fa6138bdea9f8548074b8269ecd8e55ca"
    assert Custom(**files).fingerprint == before
    assert "continuous" not in Custom(**files).options
    assert Custom(**files, continuous=True).fingerprint != before


def test_a_start_at_random_and_the_network_alone_can_be_had(measured, monkeypatch):
    monkeypatch.chdir(measured)
    options = {"sequences": "all.fa", "labels": "mpra.tsv", "continuous": True}
    plain = own_spec(options, variant="std", start="random", regression=0)
    assert not set(plain.to_dict()) & {"start", "regression"}


# Intervals


def test_correlations_of_counts_are_those_of_the_examples_drawn():
    rng = np.random.default_rng(0)
    labels, guess = rng.normal(size=60).round(1), rng.normal(size=60).round(1) + 100
    counts = rng.integers(0, 4, (20, 60))
    pearson, spearman = correlations_of_counts(counts, labels, guess)
    for row, number in enumerate(counts):
        drawn = np.repeat(labels, number), np.repeat(guess, number)
        assert pearson[row] == pytest.approx(stats.pearsonr(*drawn)[0], abs=1e-10)
        assert spearman[row] == pytest.approx(stats.spearmanr(*drawn)[0], abs=1e-10)
    one = np.zeros((1, 60), int)
    one[0, 7] = 60
    assert correlations_of_counts(one, labels, guess).tolist() == [[0], [0]]
    assert not correlations_of_counts(counts, labels, np.full(60, 0.1)).any()


def test_intervals_and_gains_are_those_of_a_plain_bootstrap():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=150).astype(np.float32)
    shared = rng.normal(0, 0.7, 150)  # both err on the same examples
    one, other = labels + shared, 0.5 * labels + shared + rng.normal(0, 0.3, 150)
    rows = rng.integers(0, 150, (600, 150))
    plain = np.array(
        [[np.corrcoef(labels[r], guess[r])[0, 1] for r in rows] for guess in (one, other)]
    )
    columns = labels[:, None], one[:, None], other[:, None]
    (found,) = gains(*columns, ["a"]).to_dict("records")
    expected = np.percentile(plain[0] - plain[1], [2.5, 97.5])
    assert np.allclose([found["gain_low"], found["gain_high"]], expected, atol=0.015)
    assert found["gain"] == pytest.approx(
        stats.pearsonr(labels, one)[0] - stats.pearsonr(labels, other)[0], abs=1e-6
    )
    wide = np.ptp(np.percentile(plain[0] - rng.permutation(plain[1]), [2.5, 97.5]))
    assert found["gain_high"] - found["gain_low"] < 0.8 * wide  # what pairing is for
    (row,) = scores_with_intervals(*columns[:2], ["a"], rng).to_dict("records")
    expected = np.percentile(plain[0], [2.5, 97.5])
    assert np.allclose([row["pearson_low"], row["pearson_high"]], expected, atol=0.02)
    ranks = [stats.spearmanr(labels[r], one[r])[0] for r in rows]
    expected = np.percentile(ranks, [2.5, 97.5])
    assert np.allclose([row["spearman_low"], row["spearman_high"]], expected, atol=0.025)


def test_labels_that_are_not_known_count_for_nothing_in_scores_and_gains():
    rng = np.random.default_rng(0)
    labels, one, other = rng.normal(size=(3, 80, 2)).astype(np.float32)
    labels[:30, 0] = np.nan
    few = slice(30, None)
    found = gains(labels, one, other, ["a", "b"])
    alone = gains(labels[few, :1], one[few, :1], other[few, :1], ["a"])
    pd.testing.assert_frame_equal(found.iloc[:1], alone)
    table = scores_with_intervals(labels, one, ["a", "b"], np.random.default_rng(1))
    assert table["examples"].tolist() == [50, 80]
    assert table["pearson"][0] == pytest.approx(
        np.corrcoef(labels[few, 0], one[few, 0])[0, 1], abs=1e-6
    )


def test_an_interval_of_ten_thousand_examples_takes_no_minute():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=10_000).astype(np.float32)
    began = time.process_time()
    assert resampled_correlations(labels, [labels, -labels], rng).shape == (2, 2, 1000)
    assert time.process_time() - began < 30  # 4 s on an idle core


def test_scores_below_zero_have_a_minus_and_an_interval_in_words():
    row = {"task": "a", "split": "test", "examples": 90}
    row |= {"pearson": -0.05, "pearson_low": -0.15, "pearson_high": 0.05}
    row |= {"spearman": 0.2, "spearman_low": 0.1, "spearman_high": 0.3}
    scores = pd.DataFrame([row | {"model": model} for model in ("network", "6-mer regression")])
    gain = pd.DataFrame({"gain": [0.0], "gain_low": [-0.1], "gain_high": [0.1]})
    outcome = SimpleNamespace(scores=scores, gains=gain, records=[1], test_file="", left_out=[])
    first, second, _ = score_lines(outcome)
    assert (
        "the network reaches a Pearson r of −.050, and a regression on 6-mer counts −.050" in first
    )
    assert "can't tell which is better" in first
    expected = "Pearson r −.050 (−.150 to .050), Spearman ρ .200 (.100–.300); 90 sequences"
    assert second == f"test  a, network: {expected}"


# Figures


def test_figures_of_many_tasks_many_points_and_missing_labels(measured):
    rng = np.random.default_rng(0)
    labels, guess = rng.normal(size=(2, 2000, 11)).astype(np.float32)
    labels[:, 1:] = np.where(rng.random((2000, 10)) < 0.5, np.nan, labels[:, 1:])
    panels = draw_scatter(labels, guess, [f"task {n}" for n in range(11)]).axes
    drawn = [axes for axes in panels if axes.axison]
    assert len(drawn) == 8
    sizes = [axes.collections[0].get_offsets().shape[0] for axes in drawn]
    assert sizes[0] < 1600  # 2,000 points are drawn as hexagons
    assert sizes[1] == (~np.isnan(labels[:, 1])).sum()
    data = dataset_of(measured)
    panels = draw_values(data).axes
    assert [axes.get_title() for axes in panels] == TASKS
    for column, axes in enumerate(panels):
        for patch, name in zip(axes.patches, SPLITS, strict=True):
            heights, edges, _ = patch.get_data()
            assert (heights * np.diff(edges)).sum() == pytest.approx(1)
            known = getattr(data, name).labels[:, column]
            assert edges[0] <= np.nanmin(known) <= np.nanmax(known) <= edges[-1]
    history = [
        {"epoch": n, "loss": 1.0, "valid_pearson": 0.1, "valid_spearman": 0.2} for n in (1, 2)
    ]
    above, below = draw_learning_curve(history, 2).axes
    assert "standardised squares" in above.get_ylabel()
    assert [t.get_text() for t in below.get_legend().texts] == ["Pearson r", "Spearman ρ"]


def test_the_example_of_the_book_makes_files_that_are_read(tmp_path, monkeypatch):
    page = Path(__file__).resolve().parents[2] / "book" / "own_data.md"
    section = page.read_text().partition("## Measurements")[2].partition("\n## ")[0]
    code, commands = re.findall(r"```(?:python|bash)\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    train, *_ = commands.splitlines()
    done = sfc(*train.split()[1:], "--check")
    assert done.exit_code == 0, done.output
    assert re.search(r"cells_2 1\.\d+ ± 0\.\d+ of 2,\d+ known", done.output)
    assert "red " not in done.output
