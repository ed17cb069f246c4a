"""`sfc explain`: contributions by hand and against planted motifs, motifs, logos and files."""

import io
import re

import keras
import numpy as np
import pandas as pd
import pytest
from own_data import LENGTH, fasta, rows_of, sfc

from sfc_lib.datasets.simulated_tf import MOTIFS, simulate
from sfc_lib.errors import UserError
from sfc_lib.files import published_dir
from sfc_lib.genomics.dna import decode, encode, one_hot, reverse_complement
from sfc_lib.genomics.motifs import Motif, shipped_motifs
from sfc_lib.nn.layers import OneHotDNA
from sfc_lib.own import explain as work
from sfc_lib.own.explain import (
    NO_MOTIF,
    SEQLET,
    LogoRegion,
    agreement,
    contributions,
    count_motifs,
    explain,
    find_motifs,
    find_seqlets,
    match_motifs,
    of_present,
    parse_region,
    read_sequences,
    top_region,
)
from sfc_lib.own.predict import Predictor, load_predictor

SIMULATED = "b075bf315a0dbe47"  # published: the paper's symmetric network, simulated TF data


def linear(weights):
    """A predictor whose logit is the sum of the weights, (length, 4), of the bases there."""
    length = len(weights)
    inputs = keras.Input((length,), dtype="uint8")
    x = keras.layers.Flatten()(OneHotDNA(name="one_hot")(inputs))
    logits = keras.layers.Dense(1, name="logits")(x)
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))
    model.get_layer("logits").set_weights([weights.reshape(-1, 1), np.array([0.5])])
    return Predictor(model, length, ("task",), (model,))


def random_codes(count, length, bases=4):
    return np.random.default_rng(3).integers(0, bases, (count, length)).astype(np.uint8)


# Contributions


@pytest.mark.parametrize("method", ["gradient", "ism"])
def test_a_sum_over_bases_has_its_centred_weights_of_both_strands(method):
    weights = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    codes = random_codes(6, 20, bases=5)  # N among them
    found = contributions(linear(weights), codes, 0, method)
    both = (weights + weights[::-1, ::-1]) / 2
    expected = np.broadcast_to(both - both.mean(axis=1, keepdims=True), (6, 20, 4))
    if method == "ism":  # at an N none of the four is there, and all four are scored
        expected = expected.copy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.shape, found.dtype) == ((6, 20, 4), np.float32)


def test_mutagenesis_is_every_change_scored_anew(trained):
    predictor = load_predictor(trained / "std")
    codes = encode(rows_of(2, 5))
    found = contributions(predictor, codes, 1, "ism")

    places = (0, 21, LENGTH - 1)
    changed = np.repeat(codes, 4 * len(places), axis=0).reshape(2, len(places), 4, LENGTH)
    for number, place in enumerate(places):
        changed[:, number, :, place] = np.arange(4)
    flat = changed.reshape(-1, LENGTH)
    strands = [predictor.model.predict(x, verbose=0)[:, 1].astype(float)
               for x in (flat, reverse_complement(flat))]  # fmt: skip
    logits = np.mean([np.log(p / (1 - p)) for p in strands], axis=0).reshape(changed.shape[:3])
    expected = logits - logits.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(found[:, places], expected, atol=1e-5)


@pytest.mark.parametrize("method", ["gradient", "ism"])
def test_a_sequence_and_its_reverse_complement_are_explained_alike(trained, method):
    predictor, codes = load_predictor(trained / "symm"), encode(rows_of(3, 7))
    one = contributions(predictor, codes, 0, method)
    two = contributions(predictor, reverse_complement(codes), 0, method)
    np.testing.assert_allclose(two[:, ::-1, ::-1], one, atol=1e-5)


def test_what_is_present_is_shown_and_an_n_adds_nothing():
    values = np.arange(12.0).reshape(1, 3, 4)
    assert of_present(values, np.array([[1, 4, 3]])).tolist() == [[1, 0, 11]]


def test_agreement_is_the_correlation_over_positions():
    codes = random_codes(3, 30)
    one = np.random.default_rng(0).normal(size=(3, 30, 4))
    two = np.stack([2 * one[0] + 1, -one[1], np.zeros((30, 4))])
    found = agreement(one, two, codes)
    np.testing.assert_allclose(found[:2], [1, -1])
    assert np.isnan(found[2])


def test_the_highest_come_first_and_chosen_ones_always():
    weights = np.zeros((20, 4), np.float32)
    weights[:, 2] = 1
    codes = random_codes(30, 20)
    names = [f"s{i}" for i in range(30)]
    count = (codes == 2).sum(axis=1) + (codes == 1).sum(axis=1)  # G of both strands
    last = names[int(count.argmin())]
    found = explain(linear(weights), names, codes, most=4, always=[last])
    assert len(found.names) == 5
    assert found.names[4] == last
    assert [int(count[names.index(n)]) for n in found.names[:4]] == sorted(count)[::-1][:4]
    rows = [names.index(name) for name in found.names]
    np.testing.assert_allclose(found.predictions, 1 / (1 + np.exp(-0.5 - count[rows] / 2)), 1e-5)
    np.testing.assert_allclose(found.agreement, [1] * 5, atol=1e-5)
    few = explain(linear(weights), names, codes, most=4, checked=2)
    assert (len(few.agreement), len(few.names)) == (2, 4)
    assert np.array_equal(found.codes, codes[rows])


# Planted motifs: what is known to matter in simulated sequences


@pytest.fixture(scope="module")
def planted():
    """A published network, 60 sequences with GATA and TAL1 motifs, and where these lie."""
    sim = simulate(np.full(60, 3), np.random.default_rng(5))
    widths = [shipped_motifs()[name].width for name in MOTIFS]
    where = np.zeros((2, *sim.codes.shape), bool)
    for row, motif, start in sim.instances:
        where[motif, row, start : start + widths[motif]] = True
    return load_predictor(published_dir() / SIMULATED), sim.codes, where


@pytest.mark.parametrize(("task", "motif"), [("GATA", 0), ("TAL1", 1)])
def test_contributions_lie_on_planted_bases_and_methods_agree(planted, task, motif):
    predictor, codes, where = planted
    names = list(map(str, range(len(codes))))
    found = explain(predictor, names, codes, task)
    sizes, order = np.abs(found.added), list(map(int, found.names))
    share = (sizes * where[motif][order]).sum() / sizes.sum()
    other = (sizes * where[1 - motif][order]).sum() / sizes.sum()
    assert share > 3.5 * where[motif].mean()
    assert share > 3 * other
    assert np.median(found.agreement) > 0.75
    few = explain(predictor, names[:12], codes[:12], task, method="ism")
    sizes = np.abs(few.added)
    inside = where[motif][list(map(int, few.names))]
    assert (sizes * inside).sum() / sizes.sum() > 3.5 * inside.mean()
    assert len(few.agreement) == 12


@pytest.mark.parametrize(("task", "name"), [("GATA", "GATA_disc1"), ("TAL1", "TAL1_known1")])
def test_planted_motifs_are_found_among_thirty_others(planted, task, name):
    predictor, codes, where = planted
    found = explain(predictor, list(map(str, range(len(codes)))), codes, task)
    motifs = find_motifs(predictor, found, shipped_motifs())
    first = motifs.counts.iloc[0]
    assert first["motif"] == name
    assert first["seqlets"] > 0.6 * motifs.counts["seqlets"].sum()
    assert first["seqlets"] > 2 * first["in_shuffled"]
    mine = motifs.matches[motifs.matches["motif"] == name]
    rows = np.array(found.names, int)[mine["sequence"]]
    inside = where[MOTIFS.index(name)]
    hits = [inside[r, s:e].sum() >= 6 for r, s, e in zip(rows, mine.start, mine.end, strict=True)]
    assert np.mean(hits) > 0.7
    if task == "GATA":  # which was put in on the forward strand; TAL1's is nearly a palindrome
        assert (mine["strand"] == "+").mean() > 0.8


# Seqlets and motifs by hand


def test_seqlets_are_stretches_that_add_more_than_shuffled_ones():
    rng = np.random.default_rng(0)
    shuffled = rng.normal(0, 0.01, (20, 100))
    added = rng.normal(0, 0.001, (3, 100))
    added[0, 30:40] = 1
    added[0, 70:80] = 2
    added[2, 5:12] = -1
    found = find_seqlets(added, shuffled)
    assert found["sequence"].tolist() == [0, 0, 2]
    assert (found["end"] - found["start"] == SEQLET).all()
    for (start, end), inside in zip(
        found[["start", "end"]].to_numpy(), [(70, 80), (30, 40), (5, 12)], strict=True
    ):
        assert start <= inside[0]
        assert inside[1] <= end
    np.testing.assert_allclose(found["added"], [20, 10, -7], atol=0.1)


def motif(name, seed, width=10, title=""):
    rows = np.random.default_rng(seed).dirichlet([0.15] * 4, width)
    return Motif(name, rows, title)


def test_where_there_is_no_seqlet_there_is_no_motif():
    values = np.zeros((2, 60, 4), np.float32)
    none = find_seqlets(values.sum(axis=2), np.ones((2, 60)))
    matches = match_motifs(none, values, shipped_motifs())
    assert len(matches) == 0
    assert matches.columns.tolist()[:4] == ["sequence", "start", "end", "added"]


def test_a_seqlet_is_given_to_the_motif_it_is_made_of():
    a, b, wide = motif("a", 1), motif("b", 2, title="FACTOR"), np.full((40, 4), 0.25)
    wide[10:20] = motif("c", 3).probabilities
    motifs = {"a": a, "b": b, "c": Motif("c", wide)}
    values = np.zeros((5, 60, 4))
    values[0, 20:30] = motifs["a"].probabilities - 0.25
    values[1, 24:34] = (motifs["b"].probabilities - 0.25)[::-1, ::-1]
    values[2, 20:30] = -(motifs["a"].probabilities - 0.25)
    values[3, 17:57] = wide - 0.25
    values[4] = np.random.default_rng(0).normal(size=(60, 4))
    seqlets = pd.DataFrame(
        {"sequence": range(5), "start": 22, "end": 22 + SEQLET, "added": [3, 2, -3, 4, 5]}
    )
    found = match_motifs(seqlets, values, motifs)
    assert found["motif"].tolist() == ["a", "b FACTOR", "a", "c", NO_MOTIF]
    assert found["strand"].tolist() == ["+", "-", "+", "+", "."]
    np.testing.assert_allclose(found["likeness"][:3], 1, atol=1e-6)
    assert found["likeness"][4] < 0.5


def test_seqlets_at_the_ends_are_matched_too():
    one = motif("a", 1, width=8)
    values = np.zeros((2, 40, 4))
    values[0, :8], values[1, -8:] = one.probabilities - 0.25, one.probabilities - 0.25
    seqlets = pd.DataFrame({"sequence": [0, 1], "start": [0, 40 - SEQLET], "end": 0, "added": 1.0})
    found = match_motifs(seqlets, values, {"a": one})
    np.testing.assert_allclose(found["likeness"], 1, atol=1e-6)


def test_counts_are_of_seqlets_and_sequences_the_commonest_first():
    def matches(names, rows):
        added = [1.0 - 2 * (row == 5) for row in rows]
        return pd.DataFrame({"motif": names, "sequence": rows, "added": added, "likeness": 0.9})

    found = count_motifs(
        matches([NO_MOTIF] * 4 + ["a", "b", "b"], [0, 1, 2, 3, 0, 5, 5]), matches(["b"], [0])
    )
    assert found["motif"].tolist() == ["b", "a", NO_MOTIF]
    assert found["seqlets"].tolist() == [2, 1, 4]
    assert found["sequences"].tolist() == [1, 1, 4]
    assert found["in_shuffled"].tolist() == [1, 0, 0]
    assert found["adding"].tolist() == [0, 1, 4]
    assert found["taking"].tolist() == [2, 0, 0]
    assert len(count_motifs(matches([], []), matches([], []))) == 0


# Regions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", LogoRegion("a", 0, 50)),
        ("a:10-20", LogoRegion("a", 10, 20)),
        ("chr1:100-150", LogoRegion("chr1:100-150", 0, 50)),
        ("chr1:100-150:0-50", LogoRegion("chr1:100-150", 0, 50)),
    ],
)
def test_regions_that_are_read(text, expected):
    assert parse_region(text, ["a", "chr1:100-150"], 50) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b", r"expected NAME or NAME:START-END of a sequence \(a, …\), got 'b'"),
        ("a:5", "expected NAME or NAME:START-END"),
        ("a:20-10", "expected 0 <= start < end <= 50, got 'a:20-10'"),
        ("a:0-51", "expected 0 <= start < end <= 50"),
    ],
)
def test_regions_that_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_region(text, ["a"], 50)


def test_the_top_region_is_where_bases_add_most():
    values = np.zeros((1, 40, 4), np.float32)
    values[0, 25:31, 0] = -1
    found = work.Explained("t", "ism", ("a",), np.zeros((1, 40), np.uint8), np.ones(1), values, [])
    assert top_region(found, 0) == LogoRegion("a", 0, 40)
    region = top_region(found, 0, 10)
    assert region.end - region.start == 10
    assert region.start <= 25
    assert region.end >= 31


@pytest.mark.parametrize("name", ["a$b$_{", "_s1", "x" * 300])
def test_the_title_of_a_logo_is_the_name_as_it_is_or_its_beginning(name):
    values = np.random.default_rng(0).normal(size=(1, 20, 4)).astype(np.float32)
    found = work.Explained("t", "ism", (name,), random_codes(1, 20), np.ones(1), values, [])
    figure = work.draw_logos(found, [top_region(found, 0)])
    figure.savefig(io.BytesIO(), format="svg")
    shown = name if len(name) <= 50 else f"{name[:50]}…"
    assert figure.axes[0].get_title(loc="left") == f"{shown}, probability 1.00"


# The command


def test_what_is_written(trained, tmp_path):
    arguments = ("explain", trained / "std", trained / "all.fa", "--task", "even", "--most", "9",
                 "--top", "2", "--region", "s7:5-25", "--region", "s8")  # fmt: skip
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        done = sfc(*arguments, "-o", folder)
        assert done.exit_code == 0, done.output
    assert re.search(
        r"even: (9|10|11) sequences, centred gradient × input, both strands", done.output
    )
    assert "gradient and mutagenesis on 5 sequences: correlation " in done.output
    names = {
        "one_hot.npz", "contributions.npz", "sequences.tsv", "profile.tsv", "profile.svg",
        "logos.svg", "regions.svg", "seqlets.tsv", "motifs.tsv",
    }  # fmt: skip
    assert {path.name for path in folders[0].iterdir()} == names
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    table = pd.read_csv(folders[0] / "sequences.tsv", sep="\t")
    assert {"s7", "s8"} <= set(table["name"])
    assert table["probability"].is_monotonic_decreasing
    read = dict(zip((f"s{i}" for i in range(500)), rows_of(200, 1, "TGATAAGG") + rows_of(300, 2),
                    strict=True))  # fmt: skip
    codes = encode([read[name] for name in table["name"]])
    hot, values = (
        np.load(folders[0] / f"{name}.npz")["arr_0"] for name in ("one_hot", "contributions")
    )
    assert hot.shape == values.shape == (len(table), 4, LENGTH)
    assert np.array_equal(hot.swapaxes(1, 2), one_hot(codes))
    expected = contributions(load_predictor(trained / "std"), codes, 1)
    np.testing.assert_allclose(values.swapaxes(1, 2), expected, atol=1e-6)
    profile = pd.read_csv(folders[0] / "profile.tsv", sep="\t")
    np.testing.assert_allclose(
        profile["mean"], of_present(expected, codes).mean(axis=0), rtol=1e-4, atol=1e-6
    )
    for name in ("logos", "regions", "profile"):
        assert (folders[0] / f"{name}.svg").read_text().lstrip().startswith("<?xml")


def test_what_another_call_left_is_removed(trained, tmp_path):
    for name in ("regions.svg", "contributions.bw", "mine.txt"):
        (tmp_path / name).write_text("of another call")
    done = sfc("explain", trained / "std", trained / "all.fa", "--most", "3", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    names = {path.name for path in tmp_path.iterdir()}
    assert "mine.txt" in names
    assert not names & {"regions.svg", "contributions.bw"}


def test_a_collection_of_ones_own_and_mutagenesis(trained, tmp_path):
    header = "MEME version 4\n\nALPHABET= ACGT\n\n"
    rows = "".join(
        " " + " ".join("0.97" if base == letter else "0.01" for base in "ACGT") + "\n"
        for letter in "TGATAAGG"
    )
    path = tmp_path / "own.meme"
    path.write_text(f"{header}MOTIF M1 GATA\nletter-probability matrix: alength= 4 w= 8\n{rows}")
    done = sfc("explain", trained / "symm", trained / "pos.fa", "-o", tmp_path / "out",
               "--method", "ism", "--most", "6", "--motifs", path)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "6 sequences, in-silico mutagenesis, both strands" in done.output
    assert "gradient and mutagenesis on 6 sequences" in done.output
    found = set(pd.read_csv(tmp_path / "out" / "motifs.tsv", sep="\t")["motif"])
    assert found <= {"M1 GATA", NO_MOTIF}


def test_peaks_of_a_genome(trained, tmp_path):
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 3000))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "p.bed").write_text("chr1\t100\t200\nchr1\t1000\t1050\nchr1\t0\t9\n")
    done = sfc("explain", trained / "symm", tmp_path / "p.bed", "--genome", tmp_path / "g.fa",
               "-o", tmp_path / "out", "--region", "chr1:120-180:0-30")  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "out" / "sequences.tsv", sep="\t")
    assert set(table["name"]) == {"chr1:120-180", "chr1:995-1055"}
    hot = np.load(tmp_path / "out" / "one_hot.npz")["arr_0"]
    row = table["name"].tolist().index("chr1:120-180")
    assert decode(hot[row].argmax(axis=0)[None].astype(np.uint8)) == [letters[120:180]]


def test_sequences_of_a_file_in_its_order(trained, tmp_path):
    path = fasta(tmp_path / "s.fa", rows_of(7, 0))
    names, codes = read_sequences(load_predictor(trained / "symm"), path)
    assert names == [f"s{i}" for i in range(7)]
    assert decode(codes) == rows_of(7, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["symm", "pos.fa"], "Missing option '-o'"),
        (["symm", "no.fa", "-o", "x"], "'no.fa' does not exist"),
        (["symm", "labels.tsv", "-o", "x"], "labels.tsv:1: expected FASTA"),
        (["symm", "pos.fa", "-o", "pos.fa"], "pos.fa: expected a folder that can be written to"),
        (["symm", "pos.fa", "-o", "x", "--task", "no"], "expected one of ['positive'], got 'no'"),
        (["symm", "pos.fa", "-o", "x", "--region", "no"], "--region: expected NAME"),
        (["symm", "pos.fa", "-o", "x", "--method", "lime"], "'lime' is not one of"),
        (["symm", "pos.fa", "-o", "x", "--motifs", "pos.fa"], "expected at least one MOTIF"),
        (["symm", "pos.fa", "-o", "x", "--genome", "pos.fa"], "pos.fa:1: expected 3 to 12"),
        (["pos.fa", "pos.fa", "-o", "x"], "pos.fa: expected a whole .keras model"),
    ],
)
def test_bad_commands_are_one_message(trained, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(trained)
    arguments = [str(tmp_path / "x") if one == "x" else one for one in arguments]
    done = sfc("explain", *arguments)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output
