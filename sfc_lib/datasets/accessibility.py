"""Windows and labels of the accessibility datasets: the steps of the paper's section 2.3.

1. merge the peaks of all cell types; 2. pad each merged region; 3. tile it with windows;
4. label each window, per cell type; 5. expand the windows; 6. find the TF summits inside.
(Step 7, sequences with motifs at these summits, is `simulated_accessibility`'s.) Each step is
a pure function over intervals, see `sfc_lib.genomics.intervals`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from sfc_lib.datasets.base import SPLITS
from sfc_lib.datasets.streaming import Chunk, StreamedRecipe
from sfc_lib.genomics.genome import Genome, files_of, load_genome, regions_of, split_of
from sfc_lib.genomics.intervals import (
    covered_fraction,
    merge,
    pad,
    read_intervals,
    resize,
    tile,
)
from sfc_lib.genomics.sources import fetch, registry

PADDING = 100  # bp on either side of a merged region
WIDTH, STRIDE = 200, 50  # bp
OVERLAP = 0.5  # least fraction of a window that lies in peaks, to be labelled 1
LENGTH = 1000  # bp of an expanded window
CHUNK = 20_000  # windows at a time: 20 MB of codes
OUTSIDE = "beyond the sequence or its split"


def accessible_regions(peaks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Steps 1 and 2: the union of all cell types' peaks, then 100 bp more on either side.

    Regions are padded after they are merged, as in the paper. So two of them less than
    200 bp apart overlap, and their windows do.
    """
    return pad(merge(pd.concat([peak[["chrom", "start", "end"]] for peak in peaks])), PADDING)


def tiles(regions: pd.DataFrame) -> pd.DataFrame:
    """Step 3: windows of 200 bp every 50 bp, from each region's start, whole ones only."""
    return tile(regions, WIDTH, STRIDE)


def label_windows(windows: pd.DataFrame, peaks: Sequence[pd.DataFrame]) -> np.ndarray:
    """Step 4: 1 where a cell type's peaks cover at least half of a window.

    It is the union of the peaks that counts: two halves of a window make a whole.

    Returns:
        uint8 (windows, cell types).
    """
    covered = [covered_fraction(windows, peak) >= OVERLAP for peak in peaks]
    return np.stack(covered, axis=1).astype(np.uint8)


def expand(windows: pd.DataFrame) -> pd.DataFrame:
    """Step 5: windows of 1000 bp with the same centre."""
    return resize(windows, LENGTH)


def summits_inside(windows: pd.DataFrame, summits: pd.DataFrame) -> np.ndarray:
    """Step 6: the summits inside each window.

    Args:
        windows: Intervals, in any order.
        summits: Columns `chrom`, `summit` (0-based position, bp) and `motif` (an integer),
            sorted by chromosome and position.

    Returns:
        int64 (pairs, 3): index of the window, 0-based position in it, and motif; sorted
        by window, then in the order of `summits`.
    """
    found = [np.empty((0, 3), dtype=np.int64)]
    for chrom, rows in windows.groupby("chrom", sort=False).indices.items():
        here = summits[summits["chrom"] == chrom]
        position, motif = here["summit"].to_numpy(), here["motif"].to_numpy()
        start, end = (windows[column].to_numpy()[rows] for column in ("start", "end"))
        first, last = np.searchsorted(position, start), np.searchsorted(position, end)
        count = last - first
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        index = np.repeat(first, count) + step
        inside = position[index] - np.repeat(start, count)
        found.append(np.stack([np.repeat(rows, count), inside, motif[index]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


@dataclass(frozen=True, eq=False)
class Tiling:
    """Windows of a profile's splits, by chromosome and start, and their labels.

    `windows`: intervals of 1000 bp. `labels`: uint8 (windows, cell types). `splits`:
    each window's split. `outside`: windows left out in each split, because they reach
    beyond the sequence or into another split.
    """

    windows: pd.DataFrame
    labels: np.ndarray
    splits: np.ndarray
    outside: Mapping[str, int]


def tiling(peaks: Sequence[pd.DataFrame], profile: str) -> Tiling:
    """Steps 1 to 5 for the regions of a profile.

    A window is of the split that its 200 bp lie in. Windows with all labels 0 are kept
    too. They are rare: with half of a window for a 1, padding by half a window's width
    makes none, but two cell types may share one.
    """
    windows = tiles(accessible_regions(peaks))
    splits = split_of(windows, profile)
    windows, splits = windows[splits != ""], splits[splits != ""]
    expanded = expand(windows)
    inside = split_of(expanded, profile) == splits
    outside = {split: int((~inside[splits == split]).sum()) for split in SPLITS}
    labels = label_windows(windows[inside], peaks)
    return Tiling(expanded[inside].reset_index(drop=True), labels, splits[inside], outside)


def sequences(
    genome: Genome, tiled: Tiling, size: int = CHUNK
) -> Iterator[tuple[str, np.ndarray, np.ndarray, dict[str, int]]]:
    """Real sequence of all windows, in chunks of at most `size`; split after split.

    Yields:
        The split; rows of the tiling that were kept, int64 (kept,); their codes, uint8
        (kept, 1000); and the number dropped, by reason.
    """
    for split in SPLITS:
        rows = np.flatnonzero(tiled.splits == split)
        dropped = {OUTSIDE: tiled.outside[split]}
        for start in range(0, max(len(rows), 1), size):
            chunk = rows[start : start + size]
            codes, keep, more = genome.windows(tiled.windows.iloc[chunk])
            codes = codes.reshape(-1, LENGTH)  # of no windows, too
            yield split, chunk[keep], codes, {**dropped, **more}
            dropped = {}


@dataclass(frozen=True)
class TiledRecipe(StreamedRecipe):
    """A recipe over the peaks of several cell types, its tasks. Subclass per dataset."""

    length: ClassVar[int] = LENGTH

    profile: str = "hg19-subset"

    def __post_init__(self) -> None:
        regions_of(self.profile)

    @abstractmethod
    def peak_files(self) -> list[str]:
        """Names in the registry of the peak files, one a task."""

    def inputs(self) -> dict[str, str]:
        known = registry()
        names = (*self.peak_files(), *files_of(self.profile))
        return {name: known[name].content_hash for name in names}

    def peaks(self) -> list[pd.DataFrame]:
        """The peaks of each task."""
        return [read_intervals(fetch(name)) for name in self.peak_files()]

    def chunks(self) -> Iterator[Chunk]:
        tiled = tiling(self.peaks(), self.profile)
        for split, rows, codes, dropped in sequences(load_genome(self.profile), tiled):
            yield Chunk(split, codes, tiled.labels[rows], dropped)
