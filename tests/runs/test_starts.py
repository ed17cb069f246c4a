"""Filters that start at enriched k-mers: which ones, on which strand, and where in the filter."""

import numpy as np
import pytest

from sfc_lib.datasets.base import NOT_KNOWN, Split
from sfc_lib.genomics.dna import decode, encode, reverse_complement
from sfc_lib.runs.starts import HEIGHT, K, enriched_kmers, kmer_filters

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
