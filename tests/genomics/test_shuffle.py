"""The dinucleotide shuffle: exact, uniform, and the same whatever the chunk or the process."""

import itertools
import math
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sfc_lib.genomics.dna import decode, encode, random_sequences
from sfc_lib.genomics.shuffle import dinucleotide_shuffle

SEQUENCES = random_sequences(3000, 150, (0.3, 0.2, 0.2, 0.3), np.random.default_rng(5))


def dinucleotides(codes):
    """Counts of each sequence's dinucleotides over ACGTN, (examples, 25)."""
    pairs = codes[:, :-1] * 5 + codes[:, 1:].astype(np.int64)
    return np.array([np.bincount(row, minlength=25) for row in pairs])


def eulerian_sequences(sequence):
    """Every sequence with the dinucleotides and the ends of `sequence`, by brute force."""
    middles = set(itertools.permutations(sequence[1:-1]))
    wanted = Counter(itertools.pairwise(sequence))
    paths = ("".join((sequence[0], *middle, sequence[-1])) for middle in middles)
    return sorted(path for path in paths if Counter(itertools.pairwise(path)) == wanted)


def assert_same_composition(before, after):
    assert np.array_equal(dinucleotides(before), dinucleotides(after))
    assert np.array_equal(before[:, [0, -1]], after[:, [0, -1]])


@given(st.text("ACGTN", min_size=1, max_size=60), st.integers(0, 2**63))
def test_keeps_dinucleotides_ends_and_every_n(sequence, seed):
    before = encode([sequence])
    after = dinucleotide_shuffle(before, seed)
    assert_same_composition(before, after)
    assert np.array_equal(before == 4, after == 4)


# Two to dozens of sequences; loops, repeats, equal ends and different ends.
@pytest.mark.parametrize(
    "sequence",
    ["AACAGA", "ACGTAGC", "ACACGTGTA", "AACCGGTTA", "ACATAGATA", "AAACAAGT", "ACGATCGTCA"],
)
def test_draws_every_sequence_equally_often(sequence):
    possible = eulerian_sequences(sequence)
    draws = 3000 * len(possible)
    shuffled = dinucleotide_shuffle(np.repeat(encode([sequence]), draws, axis=0), seed=3)
    counts = Counter(decode(shuffled))
    assert sorted(counts) == possible
    assert len(possible) > 1
    assert chisquare([counts[path] for path in possible]).pvalue > 0.001


def test_a_shuffle_that_is_not_uniform_fails_the_test_above():
    possible = eulerian_sequences("ACGATCGTCA")
    lopsided = [3000 + 150 * (-1) ** rank for rank in range(len(possible))]
    assert chisquare(lopsided, [sum(lopsided) / len(possible)] * len(possible)).pvalue < 0.001


def test_number_of_sequences_agrees_with_the_best_theorem():
    # AACAGA: three loops at A (A, C, G) in any order. Independent of the brute force.
    assert len(eulerian_sequences("AACAGA")) == math.factorial(3)


def test_consecutive_rows_and_seeds_are_unrelated():
    codes = np.repeat(SEQUENCES[:1], 500, axis=0)
    first, second = dinucleotide_shuffle(codes, 0), dinucleotide_shuffle(codes, 1)
    agreement = [(a == b).mean() for a, b in ((first[1:], first[:-1]), (first, second))]
    frequencies = np.bincount(SEQUENCES[0], minlength=4) / SEQUENCES.shape[1]
    assert agreement == pytest.approx([(frequencies**2).sum()] * 2, abs=0.03)
    assert not (first[1:] == first[:-1]).all(axis=1).any()


def test_input_is_left_alone_and_may_be_a_view():
    codes = SEQUENCES[:10].copy()
    view = codes[:, ::-1]
    assert_same_composition(view, dinucleotide_shuffle(view, 0))
    assert np.array_equal(codes, SEQUENCES[:10])


@pytest.mark.parametrize("shape", [(0, 10), (3, 0), (3, 1), (3, 3)])
def test_sequences_too_short_to_shuffle(shape):
    codes = np.ones(shape, np.uint8)
    assert np.array_equal(dinucleotide_shuffle(codes, 0), codes)


@pytest.mark.parametrize("chunk", [1, 7, 256, 299, 300, 5000])
def test_same_bytes_for_any_chunk(chunk):
    codes = SEQUENCES[:300]
    pieces = [
        dinucleotide_shuffle(codes[i : i + chunk], 2, np.arange(300)[i : i + chunk])
        for i in range(0, 300, chunk)
    ]
    assert np.array_equal(np.concatenate(pieces), dinucleotide_shuffle(codes, 2))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_same_bytes_for_any_number_of_processes(processes):
    pieces = np.array_split(np.arange(3000), 7)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        tasks = [pool.submit(dinucleotide_shuffle, SEQUENCES[rows], 2, rows) for rows in pieces]
        shuffled = [task.result() for task in tasks]
    assert np.array_equal(np.concatenate(shuffled), dinucleotide_shuffle(SEQUENCES, 2))


def test_bytes_stay_those_of_the_first_version():
    # A change here is a change of every simulated accessibility set: raise its version.
    sequence = encode(["ACGTTGCATGGACCATTAGACCNGATTACAGGATC"])
    assert decode(dinucleotide_shuffle(sequence, 7)) == ["AGATTACCATGGTTGCGACCACNGGAGATACATTC"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SEQUENCES[0], 0), "shape (examples, length), got uint8 of shape (150,)"),
        ((SEQUENCES.astype(int), 0), "expected uint8 codes 0 to 4"),
        ((np.full((1, 5), 5, np.uint8), 0), "and maximum 5"),
        ((SEQUENCES, -1), "seed must be an integer >= 0, got -1"),
        ((SEQUENCES, 0.5), "seed must be an integer >= 0, got 0.5"),
        ((SEQUENCES, True), "seed must be an integer >= 0, got True"),
        ((SEQUENCES, 0, np.arange(5)), "rows must be 3000 integers >= 0"),
        ((SEQUENCES, 0, np.arange(3000) - 1), "rows must be 3000 integers >= 0"),
        ((SEQUENCES, 0, np.arange(3000.0)), "rows must be 3000 integers >= 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dinucleotide_shuffle(*arguments)
