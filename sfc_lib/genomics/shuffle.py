"""The dinucleotide shuffle: sequences with the dinucleotide counts of real DNA, and nothing else.

A sequence is a path through a graph whose edges are its dinucleotides. Every other path that
uses each edge once and has the same ends is a sequence with the same counts (Altschul &
Erickson, Molecular Biology and Evolution 2:526, 1985). One of them is drawn uniformly: first
the last exit from each base, a uniformly random spanning tree (Wilson, STOC 1996), then the
order of all other edges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.randomness import below, streams, uniform

BASES = 4
N = ALPHABET.index("N")
STREAM = 0  # of the seed; `insert_motifs` has another
AT_ONCE = 4_000_000  # bases shuffled side by side, in some 100 MB


def dinucleotide_shuffle(
    codes: np.ndarray, seed: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Shuffled sequences with the same dinucleotide counts, first base and last base.

    Each is drawn uniformly from all sequences with these properties. What becomes of a
    sequence depends on its bases, `seed` and its number in `rows` alone, so a set that is
    shuffled in chunks, or by several processes, gives the same bytes as in one piece.
    An N stays where it is, and the bases between two of them are shuffled on their own.

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
    state = streams(name, seed, STREAM, rows, len(codes))
    for row, start, length in _batches(shuffled):
        path = np.full((len(row), length.max(initial=0)), N, np.uint8)
        place = np.arange(path.shape[1])
        inside = place < length[:, None]
        where = np.broadcast_to(row[:, None], path.shape)[inside], (start[:, None] + place)[inside]
        path[inside] = shuffled[where]
        _shuffle(path, length, state, row)
        shuffled[where] = path[inside]
    return shuffled


def _batches(codes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Row, start and length of stretches without N, at most one a row, a row's in their order.

    Of fewer than four bases there is no other path.
    """
    edges = np.pad((codes != N).astype(np.int8), ((0, 0), (1, 1)))
    row, start = np.nonzero(np.diff(edges, axis=1) == 1)
    length = np.nonzero(np.diff(edges, axis=1) == -1)[1] - start
    row, start, length = (part[length > 3] for part in (row, start, length))
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    many = max(1, AT_ONCE // max(1, codes.shape[1]))
    for number in range(rank.max(initial=-1) + 1):
        chosen = np.flatnonzero(rank == number)
        for first in range(0, len(chosen), many):
            part = chosen[first : first + many]
            yield row[part], start[part], length[part]


def _shuffle(path: np.ndarray, length: np.ndarray, state: np.ndarray, row: np.ndarray) -> None:
    """Shuffle each of `path`, uint8 (paths, longest), in place with its row's stream."""
    each = np.arange(len(path))
    edge = np.where(np.arange(path.shape[1] - 1) < length[:, None] - 1, path[:, :-1], N)
    count = np.stack([(edge == base).sum(axis=1) for base in range(BASES)], axis=1)
    # The bases that follow each base: those of A first, and so on, all paths in one array.
    exits = np.take_along_axis(path[:, 1:], edge.argsort(axis=1, kind="stable"), axis=1).ravel()
    first = np.cumsum(count, axis=1) - count + each[:, None] * (path.shape[1] - 1)
    last = _last_exits(exits, first, count, path[each, length - 1], state, row)
    for base in range(BASES):
        free, begin = count[:, base].copy(), first[:, base]
        kept = np.flatnonzero(last[:, base] >= 0)
        free[kept] -= 1
        _swap(exits, begin[kept] + last[kept, base], begin[kept] + free[kept])
        most = free.argsort()[::-1]
        free, begin, stream = free[most], begin[most], row[most]
        for back in range(1, free.max(initial=0)):
            left = slice(np.searchsorted(-free, -back))  # the paths that have a j > 0 left
            j = free[left] - back
            _swap(exits, begin[left] + j, begin[left] + below(state, stream[left], j + 1))
    for place in range(1, path.shape[1]):
        here = each if length.min() > place else np.flatnonzero(length > place)
        before = path[here, place - 1]
        at = first[here, before]
        path[here, place] = exits[at]
        first[here, before] = at + 1


def _swap(values: np.ndarray, i: np.ndarray, j: np.ndarray) -> None:
    values[i], values[j] = values[j], values[i]


def _last_exits(
    exits: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    root: np.ndarray,
    state: np.ndarray,
    row: np.ndarray,
) -> np.ndarray:
    """Index of each base's last exit, (paths, 4), −1 for a path's last base and absent ones.

    Random walks until they meet the tree; what a walk did last at each base joins the tree.
    """
    last = np.full(count.shape, -1)
    joined = count == 0
    joined[np.arange(len(root)), root] = True
    for base in range(BASES):
        start = np.flatnonzero(~joined[:, base])
        walks, here = start, np.full(len(start), base)
        while len(walks):
            last[walks, here] = below(state, row[walks], count[walks, here])
            here = exits[first[walks, here] + last[walks, here]]
            walks, here = (part[~joined[walks, here]] for part in (walks, here))
        walks, here = start, np.full(len(start), base)
        while len(walks):
            joined[walks, here] = True
            here = exits[first[walks, here] + last[walks, here]]
            walks, here = (part[~joined[walks, here]] for part in (walks, here))
    return last


def dinucleotide_chain(counts: np.ndarray, length: int, seed: int, rows: np.ndarray) -> np.ndarray:
    """Sequences drawn from the first-order Markov chain that has these dinucleotide counts.

    What a shuffle of real DNA keeps on average, without the DNA. As with the shuffle, what is
    drawn for a sequence depends on `seed` and its number in `rows` alone.

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
    [[3, 0, 1, 0, 1, 0]]
    """
    name, counts = "dinucleotide_chain", np.asarray(counts, dtype=np.float64)
    if counts.shape != (BASES, BASES) or counts.min() < 0 or not counts.sum(axis=1).all():
        raise ValueError(f"{name}: counts must be (4, 4), each row with a count > 0, got {counts}.")
    edges = np.cumsum(np.vstack([counts, counts.sum(axis=1)]), axis=1)  # last: of the first base
    edges = edges[:, :-1] / edges[:, -1:]
    state, each = streams(name, seed, STREAM, rows, len(rows)), len(rows)
    codes, base = np.empty((length, each), np.uint8), np.full(each, BASES)
    for place in range(length):
        base = (uniform(state, np.arange(each))[:, None] >= edges[base]).sum(axis=1)
        codes[place] = base
    return np.ascontiguousarray(codes.T)
