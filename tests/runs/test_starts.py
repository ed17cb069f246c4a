"""Filters that start at enriched k-mers and motifs: which ones, on which strand, and where."""

import numpy as np
import pytest

from sfc_lib.datasets.base import NOT_KNOWN, Split
from sfc_lib.genomics.dna import decode, encode, reverse_complement
from sfc_lib.genomics.motifs import Motif, as_meme, shipped_motifs
from sfc_lib.runs.starts import (
    HEIGHT,
    K,
    enriched_kmers,
    enriched_motifs,
    kmer_filters,
    motif_filters,
    started_filters,
)

MOTIF = "TGACTCAT"


def sequences(positives=60, negatives=80, motif=MOTIF, length=60, seed=0):
    """Random sequences; the first hold the motif, every other one on the other strand."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (positives + negatives, length), dtype=np.uint8)
    inserted = encode([motif])[0]
    for row in range(positives):
        start = rng.integers(0, length - len(motif))
        word = inserted if row % 2 else reverse_complement(inserted[None])[0]
        codes[row, start : start + len(motif)] = word
    return codes, np.arange(len(codes)) < positives


def test_the_planted_motif_is_the_best_kmer():
    codes, positive = sequences()
    found = enriched_kmers(codes, positive, 5)
    assert found.shape == (5, K)
    assert decode(found)[0] in (MOTIF, decode(reverse_complement(encode([MOTIF])))[0])


def test_a_sequence_counts_once_however_often_it_holds_a_kmer():
    codes, positive = sequences()
    before = enriched_kmers(codes, positive, 1)
    codes[0] = np.tile(encode(["ACGGTA"])[0], 10)  # one positive that repeats itself 50 times
    np.testing.assert_array_equal(enriched_kmers(codes, positive, 1), before)


def test_only_what_more_positives_hold_is_enriched():
    codes = encode(["ACGTACGTAA", "ACGTACGTAA", "CCCCCCCCCC", "CCCCCCCCCC"])
    found = decode(enriched_kmers(codes, np.array([True, True, False, False]), 50, k=4))
    assert set(found) == {"ACGT", "CGTA", "GTAC", "GTAA"}  # TACG and CGTA are one


def test_half_of_the_filters_get_a_kmer_in_their_middle():
    codes, positive = sequences()
    split = Split(codes, positive[:, None].astype(np.uint8))
    kernel = np.random.default_rng(0).normal(0, 0.05, (19, 4, 12))
    before = kernel.copy()
    change = kmer_filters(kernel, split) - before
    np.testing.assert_array_equal(kernel, before)
    assert (np.abs(change).sum(axis=(0, 1)) > 0).tolist() == [True] * 6 + [False] * 6
    rows = np.flatnonzero(np.abs(change[:, :, 0]).sum(axis=1))
    assert rows.tolist() == list(range(5, 13))
    best = decode(change[5:13, :, 0].argmax(axis=1)[None].astype(np.uint8))[0]
    assert best == decode(enriched_kmers(codes, positive, 1))[0]
    np.testing.assert_allclose(change.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(change[5:13, :, 0].max(axis=1), HEIGHT * 0.75)


def test_tasks_share_the_filters():
    codes, positive = sequences()
    other, second = sequences(motif="GGGAATTC", seed=1)
    labels = np.zeros((2 * len(codes), 2), dtype=np.uint8)
    labels[: len(codes), 0], labels[len(codes) :, 1] = positive, second
    change = kmer_filters(np.zeros((19, 4, 8)), Split(np.concatenate([codes, other]), labels))
    words = decode(change[5:13].argmax(axis=1).T.astype(np.uint8))[:4]
    known = [{MOTIF, "ATGAGTCA"}, {"GGGAATTC", "GAATTCCC"}]
    assert words[0] in known[0]
    assert words[1] in known[1]


@pytest.mark.parametrize("width", [K - 1, 3])
def test_filters_shorter_than_a_kmer_stay_as_they_are(width):
    codes, positive = sequences()
    kernel = np.ones((width, 4, 6))
    split = Split(codes, positive[:, None].astype(np.uint8))
    np.testing.assert_array_equal(kmer_filters(kernel, split), kernel)
    alike = Split(codes, np.ones((len(codes), 1), dtype=np.uint8))
    np.testing.assert_array_equal(kmer_filters(np.ones((19, 4, 6)), alike), np.ones((19, 4, 6)))


def test_an_example_whose_label_is_not_known_says_nothing():
    codes, positive = sequences(positives=60, negatives=80)
    labels = np.repeat(positive[:, None].astype(np.uint8), 2, axis=1)
    labels[::3, 0] = NOT_KNOWN
    kernel = np.random.default_rng(0).normal(0, 0.05, (19, 4, 12))
    known = labels[:, 0] != NOT_KNOWN
    expected = kmer_filters(kernel, Split(codes[known], labels[known]))
    found = kmer_filters(kernel, Split(codes, labels))
    np.testing.assert_array_equal(found[:, :, 0:6:2], expected[:, :, 0:6:2])  # of the first task
    whole = kmer_filters(kernel, Split(codes, np.repeat(labels[:, 1:], 2, axis=1)))
    np.testing.assert_array_equal(found[:, :, 1:6:2], whole[:, :, 1:6:2])


def test_of_measurements_the_upper_quarter_stands_for_the_positives():
    codes, positive = sequences(60, 180)
    values = np.random.default_rng(0).normal(0, 0.1, 240) + 5 * positive
    marked = Split(codes, positive[:, None].astype(np.uint8))
    expected = kmer_filters(np.zeros((19, 4, 12)), marked)
    found = kmer_filters(np.zeros((19, 4, 12)), Split(codes, np.float32(values)[:, None]))
    np.testing.assert_array_equal(found, expected)
    labels = np.float32(values)[:, None].repeat(2, axis=1)
    labels[200:, 1] = np.nan
    both = kmer_filters(np.zeros((19, 4, 12)), Split(codes, labels))
    assert decode(both[5:13, :, 1].argmax(axis=1)[None].astype(np.uint8))[0] in (MOTIF, "ATGAGTCA")
    for none in (np.nan, 3.0):  # a task without measurements, or with one only
        nothing = Split(codes, np.full((240, 1), none, np.float32))
        assert not kmer_filters(np.zeros((19, 4, 12)), nothing).any()


# Motifs of a collection


def planted(name, labels, seed=0):
    """Sequences whose positives hold an instance of a motif of the library."""
    rng = np.random.default_rng(seed)
    motif = shipped_motifs()[name]
    codes = rng.integers(0, 4, (len(labels), 60), dtype=np.uint8)
    for row in np.flatnonzero(labels == 1):
        start = rng.integers(0, 60 - motif.width)
        codes[row, start : start + motif.width] = motif.sample(1, rng)[0]
    return codes


def test_the_planted_motif_is_the_most_enriched_and_chance_is_left_out():
    labels = np.arange(300) % 2
    split = Split(planted("GATA_disc1", labels), labels[:, None].astype(np.uint8))
    others = {f"r{i}": Motif(f"r{i}", np.random.default_rng(i).dirichlet([0.2] * 4, 10))
              for i in range(40)}  # fmt: skip
    found = enriched_motifs(split, {**others, "GATA_disc1": shipped_motifs()["GATA_disc1"]})
    assert found[0].name == "GATA_disc1"
    assert len(found) <= 3  # random motifs are like it by chance, if at all
    turned = Split(split.codes, 1 - split.labels)
    assert "GATA_disc1" not in [motif.name for motif in enriched_motifs(turned, shipped_motifs())]
    alike = Split(split.codes, np.ones((300, 1), np.uint8))
    assert enriched_motifs(alike, shipped_motifs()) == []


def test_each_task_has_its_motifs_and_unknown_labels_say_nothing():
    labels = np.zeros((400, 2), np.uint8)
    labels[:200, 0] = labels[200:, 1] = np.arange(200) % 2
    codes = np.concatenate([planted("GATA_disc1", labels[:200, 0]),
                            planted("CTCF_known1", labels[200:, 1], 1)])  # fmt: skip
    labels[200:, 0] = labels[:200, 1] = NOT_KNOWN
    names = [motif.name for motif in enriched_motifs(Split(codes, labels), shipped_motifs())]
    assert {"GATA_disc1", "CTCF_known1"} <= set(names[:4])
    first = Split(codes[:200], labels[:200, :1])
    assert enriched_motifs(first, shipped_motifs())[0].name == "GATA_disc1"


def test_a_quarter_of_the_filters_has_room_for_motifs():
    kernel = np.random.default_rng(0).normal(0, 0.05, (12, 4, 16))
    motifs = shipped_motifs()
    change = motif_filters(kernel, motifs) - kernel
    assert (np.abs(change).sum(axis=(0, 1)) > 0).tolist() == [True] * 4 + [False] * 12
    first = next(iter(motifs.values()))
    assert first.width == 10
    np.testing.assert_allclose(change[1:11, :, 0], HEIGHT * (first.probabilities - 0.25))
    assert not change[[0, 11], :, 0].any()
    wide = motifs["CTCF_known1"].probabilities  # wider than the filter: where it tells most
    told = motif_filters(kernel, {"CTCF_known1": motifs["CTCF_known1"]}) - kernel
    sums = [((wide[i : i + 12] - 0.25) ** 2).sum() for i in range(len(wide) - 11)]
    best = int(np.argmax(sums))
    np.testing.assert_allclose(told[:, :, 0], HEIGHT * (wide[best : best + 12] - 0.25))


def test_kmers_have_the_filters_that_motifs_leave():
    codes, positive = sequences()
    split = Split(codes, positive[:, None].astype(np.uint8))
    kernel = np.random.default_rng(0).normal(0, 0.05, (19, 4, 12))
    two = as_meme(list(shipped_motifs().values())[:2])
    found = started_filters(kernel, split, two, "kmers") - kernel
    assert (np.abs(found).sum(axis=(0, 1)) > 0).tolist() == [True] * 6 + [False] * 6
    kmers = kmer_filters(kernel, split) - kernel
    np.testing.assert_allclose(found[:, :, 2:6], kmers[:, :, :4])  # the best ones, moved on
    alone = started_filters(kernel, split, two, None) - kernel
    assert np.flatnonzero(np.abs(alone).sum(axis=(0, 1))).tolist() == [0, 1]
    np.testing.assert_array_equal(
        started_filters(kernel, split, None, "kmers"), kmer_filters(kernel, split)
    )
