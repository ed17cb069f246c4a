"""k-mers against those of a string, counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.genomics import kmers
from sfc_lib.genomics.dna import encode, reverse_complement
from sfc_lib.genomics.kmers import (
    canonical_kmers,
    kmer_features,
)


def random_codes(examples, length):
    return np.random.default_rng(0).integers(0, 4, (examples, length), dtype=np.uint8)


@given(st.text("ACGTN", min_size=4, max_size=30), st.integers(1, 4))
def test_canonical_kmers_are_those_of_a_string(text, k):
    complement = str.maketrans("ACGTN", "TGCAN")
    expected = []
    for start in range(len(text) - k + 1):
        word = text[start : start + k]
        both = (word, word.translate(complement)[::-1])
        values = [int("".join(str("ACGT".index(c)) for c in w), 4) for w in both if "N" not in w]
        expected.append(min(values, default=-1))
    assert canonical_kmers(encode([text]), k)[0].tolist() == expected


@pytest.mark.parametrize("k", [6, 15, 16])
def test_both_strands_have_the_same_kmers_in_the_other_order(k):
    codes = random_codes(20, 60)
    codes[3, 5] = 4
    forward, reverse = canonical_kmers(codes, k), canonical_kmers(reverse_complement(codes), k)
    np.testing.assert_array_equal(forward, reverse[:, ::-1])


@given(st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=4))
def test_features_are_roots_of_counts_on_either_strand(rows):
    complement = str.maketrans("ACGTN", "TGCAN")
    found = kmer_features(encode(rows), 3).toarray()
    assert found.shape == (len(rows), 64)
    for row, counted in zip(rows, found, strict=True):
        for number in range(64):
            word = "".join("ACGT"[number // 4**i % 4] for i in (2, 1, 0))
            other = word.translate(complement)[::-1]
            times = sum(row[i : i + 3] in (word, other) for i in range(7))
            assert counted[number] ** 2 == pytest.approx(times if word <= other else 0, abs=1e-5)


def test_a_sequence_and_its_reverse_complement_are_scored_alike():
    codes = random_codes(10, 60)
    same = kmer_features(codes, 6) != kmer_features(reverse_complement(codes), 6)
    assert same.nnz == 0


def test_blocks_change_nothing(monkeypatch):
    codes = random_codes(11, 40)
    whole = kmer_features(codes, 4)
    monkeypatch.setattr(kmers, "BLOCK", 3)
    assert (kmer_features(codes, 4) != whole).nnz == 0
