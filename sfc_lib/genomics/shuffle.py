"""The dinucleotide shuffle: sequences with the dinucleotide counts of real DNA, and nothing else.

A sequence is a path through a graph whose edges are its dinucleotides. Every other path that
uses each edge once and has the same ends is a sequence with the same counts (Altschul &
Erickson, Molecular Biology and Evolution 2:526, 1985). One of them is drawn uniformly: first
the last exit from each base, a uniformly random spanning tree (Wilson, STOC 1996), then the
order of all other edges.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numba
import numpy as np
from numba.extending import register_jitable

from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.randomness import below, key, row_numbers, seed_row, uniform

BASES = 4
N = ALPHABET.index("N")
STREAM = 0  # of the seed; `insert_motifs` has another


def dinucleotide_shuffle(
    codes: np.ndarray, seed: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Shuffled sequences with the same dinucleotide counts, first base and last base.

    Each is drawn uniformly from all sequences with these properties. What becomes of a
    sequence depends on its bases, `seed` and its number in `rows` alone, so a set that is
    shuffled in chunks, or by several processes, gives the same bytes as in one piece.
    An N stays where it is, and the bases between two of them are shuffled on their own.
    Compiled on first use (2 s).

    Args:
        codes: uint8 codes 0–4 of shape (examples, length).
        seed: An integer ≥ 0.
        rows: Number of each sequence in the whole set, integers ≥ 0 of shape (examples,);
            by default 0, 1, 2, ….

    Returns:
        uint8 codes of the same shape, a copy.

    Raises:
        ValueError: An argument of another shape, type or range.

    Example:

    >>> dinucleotide_shuffle(np.array([[0, 1, 0, 2, 0]], dtype=np.uint8), seed=1).tolist()
    [[0, 1, 0, 2, 0]]
    """
    name = "dinucleotide_shuffle"
    if codes.ndim != 2 or codes.dtype != np.uint8 or codes.max(initial=0) > N:
        raise ValueError(
            f"{name}: expected uint8 codes 0 to {N} of shape (examples, length), got "
            f"{codes.dtype} of shape {codes.shape} and maximum {codes.max(initial=0)}."
        )
    shuffled = np.array(codes, order="C")
    _compiled()(shuffled, key(name, seed, STREAM), row_numbers(name, rows, len(codes)))
    return shuffled


@functools.cache
def _compiled() -> Callable[..., None]:
    return numba.njit(_shuffle_all, nogil=True)


def _shuffle_all(codes: np.ndarray, stream_key: np.uint64, rows: np.ndarray) -> None:
    """Shuffle every row in place, between its Ns."""
    length = codes.shape[1]
    state = np.empty(1, np.uint64)
    exits = np.empty((BASES, length), np.uint8)  # the bases that follow each base
    for i in range(codes.shape[0]):
        seed_row(state, stream_key, rows[i])
        start = 0
        for stop in range(length + 1):
            if stop == length or codes[i, stop] == N:
                _shuffle(codes[i, start:stop], exits, state)
                start = stop + 1


@register_jitable
def _shuffle(path: np.ndarray, exits: np.ndarray, state: np.ndarray) -> None:
    if len(path) < 4:  # there is no other path
        return
    count = np.zeros(BASES, np.int64)
    for j in range(len(path) - 1):
        base = path[j]
        exits[base, count[base]] = path[j + 1]
        count[base] += 1
    last = _last_exits(exits, count, path[-1], state)
    for base in range(BASES):
        free = count[base]
        if last[base] >= 0:
            free -= 1
            _swap(exits[base], last[base], free)
        for j in range(free - 1, 0, -1):
            _swap(exits[base], j, below(state, j + 1))
    count[:] = 0
    for j in range(len(path) - 1):
        base = path[j]
        path[j + 1] = exits[base, count[base]]
        count[base] += 1


@register_jitable
def _swap(row: np.ndarray, i: int, j: int) -> None:
    row[i], row[j] = row[j], row[i]


@register_jitable
def _last_exits(exits: np.ndarray, count: np.ndarray, root: int, state: np.ndarray) -> np.ndarray:
    """Index of each base's last exit, −1 for the last base of all (`root`) and for absent ones.

    Random walks until they meet the tree; what a walk did last at each base joins the tree.
    """
    last = np.full(BASES, -1, np.int64)
    joined = count == 0
    joined[root] = True
    for base in range(BASES):
        here = base
        while not joined[here]:
            last[here] = below(state, count[here])
            here = int(exits[here, last[here]])
        here = base
        while not joined[here]:
            joined[here] = True
            here = int(exits[here, last[here]])
    return last


def dinucleotide_chain(counts: np.ndarray, length: int, seed: int, rows: np.ndarray) -> np.ndarray:
    """Sequences drawn from the first-order Markov chain that has these dinucleotide counts.

    What a shuffle of real DNA keeps on average, without the DNA. As with the shuffle, what is
    drawn for a sequence depends on `seed` and its number in `rows` alone. Compiled on first
    use (1 s).

    Args:
        counts: How often each base (column) follows each base (row), (4, 4), each row with
            at least one.
        length: Of the sequences, in bp.
        seed: An integer ≥ 0.
        rows: Number of each sequence in the whole set, integers ≥ 0 of shape (examples,).

    Returns:
        uint8 codes of shape (examples, length).

    Raises:
        ValueError: An argument of another shape, type or range.

    Example:

    >>> only = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    >>> dinucleotide_chain(only, 6, seed=1, rows=np.array([0])).tolist()
    [[1, 0, 1, 0, 1, 0]]
    """
    name, counts = "dinucleotide_chain", np.asarray(counts, dtype=np.float64)
    if counts.shape != (BASES, BASES) or counts.min() < 0 or not counts.sum(axis=1).all():
        raise ValueError(f"{name}: counts must be (4, 4), each row with a count > 0, got {counts}.")
    first = np.cumsum(counts.sum(axis=1))
    edges = np.vstack([np.cumsum(counts, axis=1), first])
    edges = edges[:, :-1] / edges[:, -1:]
    numbers = row_numbers(name, rows, len(rows))
    codes = np.empty((len(numbers), length), np.uint8)
    _compiled_chain()(codes, edges, key(name, seed, STREAM), numbers)
    return codes


@functools.cache
def _compiled_chain() -> Callable[..., None]:
    return numba.njit(_draw_all, nogil=True)


def _draw_all(
    codes: np.ndarray, edges: np.ndarray, stream_key: np.uint64, rows: np.ndarray
) -> None:
    """Fill every row; `edges` (5, 3): cumulated frequencies behind each base, and of the first."""
    state = np.empty(1, np.uint64)
    for i in range(codes.shape[0]):
        seed_row(state, stream_key, rows[i])
        base = BASES
        for j in range(codes.shape[1]):
            draw, following = uniform(state), 0
            while following < BASES - 1 and draw >= edges[base, following]:
                following += 1
            codes[i, j] = base = following
