"""Negatives of a genome for windows around peaks: as long, as rich in G and C, and elsewhere.

Peaks differ from an average place of a genome in their GC content above all, so that a network
would learn that. Here each positive window gets a window of the same chromosome, or of the same
stretch of it (hence of the same split), whose GC content is as close as any drawn one's.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pandas as pd

from sfc_lib.genomics.genome import Genome
from sfc_lib.genomics.intervals import overlaps, pad

AWAY = 1000  # bp at least between a negative window and any peak
CANDIDATES = 100  # drawn for each that is wanted
CLOSE = 0.02  # difference in GC content that counts as matched
GC = (1, 2)  # codes of C and G


def gc_content(codes: np.ndarray) -> np.ndarray:
    """Share of C and G among the known bases of each sequence, float64 (sequences,).

    Example:

    >>> gc_content(np.array([[0, 1, 2, 3], [1, 1, 4, 4]])).tolist()
    [0.5, 1.0]
    """
    known = (codes < 4).sum(axis=1)
    return np.isin(codes, GC).sum(axis=1) / np.maximum(known, 1)


def matched(
    windows: pd.DataFrame,
    gc: np.ndarray,
    peaks: pd.DataFrame,
    genome: Genome,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Windows of the genome, one for each given where there is room, and how well they match.

    Args:
        windows: Positive windows, of one width; with `first` and `last`, the ends of the stretch
            (0-based half-open) that their negatives are to lie in, if not anywhere.
        gc: Their GC content, float (windows,).
        peaks: Intervals that no negative may come within 1,000 bp of.
        genome: Where they lie.
        rng: Draws the candidates.

    Returns:
        Windows (`chrom`, `start`, `end`) that share no base with each other, with `row`, the
        place in `windows` of the one that each is matched to; and counts, by what they are.
    """
    width = int((windows["end"] - windows["start"]).iloc[0])
    near, found = pad(peaks, AWAY), []
    if "first" not in windows:
        windows = windows.assign(first=0, last=windows["chrom"].map(genome.length))
    by_stretch = windows.reset_index(drop=True).groupby(["chrom", "first", "last"], sort=False)
    for stretch, part in by_stretch:
        rows = part.index.to_numpy()
        free = _free(stretch, CANDIDATES * len(rows), width, near, genome, rng)
        codes, keep, _ = genome.windows(free)
        starts, shares = free["start"].to_numpy()[keep], gc_content(codes)
        order = rng.permutation(rows)
        chosen = _nearest(gc[order], shares)
        some = chosen >= 0
        here = {"start": starts[chosen[some]], "row": order[some]}
        off = np.abs(shares[chosen[some]] - gc[order[some]])
        found.append(pd.DataFrame({"chrom": stretch[0], **here, "off": off}))
        taken = found[-1][["chrom", "start"]].assign(end=found[-1]["start"] + width)
        near = pd.concat([near[["chrom", "start", "end"]], taken])  # stretches may overlap
    table = pd.concat(found, ignore_index=True).sort_values("row", ignore_index=True)
    table.insert(2, "end", table["start"] + width)
    counts = {
        "negatives whose GC content differs by more than 2 %": int((table["off"] > CLOSE).sum()),
        "positives without a negative, for lack of room": len(windows) - len(table),
    }
    return table.drop(columns="off"), {what: n for what, n in counts.items() if n}


def _free(
    stretch: tuple[str, int, int],
    number: int,
    width: int,
    near: pd.DataFrame,
    genome: Genome,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Windows of a stretch in no order that share no base with each other or with `near`."""
    chrom, first, last = stretch
    last = min(last, genome.length(chrom))
    places = max(0, last - first) // width
    offset = first + rng.integers(max(0, last - first) - places * width + 1)
    chosen = rng.permutation(places) if number > places // 4 else _some(places, 4 * number, rng)
    start = offset + chosen * width
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + width})
    return table[~overlaps(table, near)].head(number)


def _some(places: int, number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(np.unique(rng.integers(0, places, number)))


def _nearest(wanted: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """For each number the place of the nearest offered one still free, −1 if none is left."""
    order = np.argsort(offered, kind="stable").tolist()
    values = offered[order].tolist()
    chosen = np.full(len(wanted), -1)
    for row, value in enumerate(wanted[: len(values)]):
        above = min(bisect_left(values, value), len(values) - 1)
        below = max(above - 1, 0)
        nearest = below if value - values[below] < abs(values[above] - value) else above
        chosen[row] = order.pop(nearest)
        del values[nearest]
    return chosen
