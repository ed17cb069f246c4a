"""Chromatin accessibility: windows tiled over open regions, simulated and real (section 2.3).

1. merge the peaks of all cell types; 2. pad each merged region; 3. tile it with windows;
4. label each window, per cell type; 5. expand the windows; 6. find the TF summits inside;
7. (simulated) a background without motifs, and an instance of a TF's motif at each summit.
Each step is a pure function over intervals, see `sfc_lib.genomics.intervals`.

Choices that the paper leaves open:

- Simulated: the summits of all TFs in both cell types are pooled: a window has one sequence
  and two labels. A TF seen at one place in both cell types leaves two instances there. Which
  TFs, and which motif stands for each, is in `accessibility_motifs.tsv` beside the PWMs in
  `sfc_lib.genomics`: every TF whose peaks could be had, and of the ENCODE motif set the first
  known motif of that TF (rule `known`), else the first discovered in its ChIP-seq
  (`discovered`), else the first known of its family (`family`).
- Hematopoiesis is a stand-in. The paper trains on 837,977 examples of 16 cell types of Corces
  et al., Nature Genetics 48:1193 (2016); which 16, and how examples and labels were made, is
  not published. This set takes the peaks of 16 sorted populations of normal blood (that
  study's and its follow-up's, see data/README.md) and the tiling of the simulated set. Auroc
  and auPRC on it can't be compared with the paper's, only models on it with each other.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sfc_lib.datasets.base import LATER, SPLITS, Chunk, StreamedRecipe
from sfc_lib.datasets.chip_seq import TABLE, Factor, factors
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir, sha256_file
from sfc_lib.genomics.genome import (
    REGIONS,
    Genome,
    Region,
    files_of,
    load_genome,
    regions_of,
    split_of,
)
from sfc_lib.genomics.insertion import insert_motifs
from sfc_lib.genomics.intervals import (
    covered_fraction,
    merge,
    pad,
    read_intervals,
    resize,
    tile,
)
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme
from sfc_lib.genomics.shuffle import dinucleotide_chain, dinucleotide_shuffle
from sfc_lib.genomics.sources import fetch, registry
from sfc_lib.genomics.text import content_sha256

if TYPE_CHECKING:
    import pandas as pd

PADDING = 100  # bp on either side of a merged region
WIDTH, STRIDE = 200, 50  # bp
OVERLAP = 0.5  # least fraction of a window that lies in peaks, to be labelled 1
LENGTH = 1000  # bp of an expanded window
CHUNK = 20_000  # windows at a time: 20 MB of codes
OUTSIDE = "beyond the sequence or its split"


def accessible_windows(peaks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Steps 1 to 3: the union of all cell types' peaks, 100 bp more on either side, and tiles.

    Windows of 200 bp begin every 50 bp, from each region's start, whole ones only. Regions
    are padded after they are merged, as in the paper. So two of them less than 200 bp apart
    overlap, and their windows do.
    """
    import pandas as pd

    union = merge(pd.concat([peak[["chrom", "start", "end"]] for peak in peaks]))
    return tile(pad(union, PADDING), WIDTH, STRIDE)


def label_windows(windows: pd.DataFrame, peaks: Sequence[pd.DataFrame]) -> np.ndarray:
    """Step 4: 1 where a cell type's peaks cover at least half of a window.

    It is the union of the peaks that counts: two halves of a window make a whole.

    Returns:
        uint8 (windows, cell types).
    """
    covered = [covered_fraction(windows, peak) >= OVERLAP for peak in peaks]
    return np.stack(covered, axis=1).astype(np.uint8)


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
    """Windows of all splits, by chromosome and start, and their labels.

    `windows`: intervals of 1000 bp. `labels`: uint8 (windows, cell types). `splits`:
    each window's split. `outside`: windows left out in each split, because they reach
    beyond the sequence or into another split.
    """

    windows: pd.DataFrame
    labels: np.ndarray
    splits: np.ndarray
    outside: Mapping[str, int]


def tiling(peaks: Sequence[pd.DataFrame], regions: str | Sequence[Region]) -> Tiling:
    """Steps 1 to 5 in the given regions of hg19, or those of that name.

    Windows are expanded to 1000 bp with the same centre. Each is of the split that its 200 bp
    lie in. Windows with all labels 0 are kept
    too. They are rare: with half of a window for a 1, padding by half a window's width
    makes none, but two cell types may share one.
    """
    windows, splits, inside = placed_windows(peaks, regions)
    outside = {split: int((~inside[splits == split]).sum()) for split in SPLITS}
    windows, splits = windows[inside], splits[inside]
    labels = label_windows(windows, peaks)
    return Tiling(resize(windows, LENGTH).reset_index(drop=True), labels, splits, outside)


def placed_windows(
    peaks: Sequence[pd.DataFrame], regions: str | Sequence[Region]
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The windows of 200 bp in the regions, their splits, and which stay when they are expanded."""
    windows = accessible_windows(peaks)
    splits = split_of(windows, regions)
    windows, splits = windows[splits != ""], splits[splits != ""]
    return windows, splits, split_of(resize(windows, LENGTH), regions) == splits


Codes = Iterator[tuple[str, np.ndarray, np.ndarray, dict[str, int]]]


def in_chunks(tiled: Tiling, size: int = CHUNK) -> Iterator[tuple[str, np.ndarray, dict[str, int]]]:
    """Split, rows of the tiling (int64, at most `size`), and what the split left out, by reason."""
    for split in SPLITS:
        rows = np.flatnonzero(tiled.splits == split)
        dropped = {OUTSIDE: tiled.outside[split]}
        for start in range(0, max(len(rows), 1), size):
            yield split, rows[start : start + size], dropped
            dropped = {}


def real_codes(genome: Genome, tiled: Tiling, size: int = CHUNK) -> Codes:
    """Real sequence of all windows, in chunks of at most `size`; split after split.

    Yields:
        The split; rows of the tiling that were kept, int64 (kept,); their codes, uint8
        (kept, 1000); and the number dropped, by reason.
    """
    for split, rows, dropped in in_chunks(tiled, size):
        codes, keep, more = genome.windows(tiled.windows.iloc[rows])
        yield split, rows[keep], codes.reshape(-1, LENGTH), {**dropped, **more}


@dataclass(frozen=True)
class TiledRecipe(StreamedRecipe):
    """A recipe over the peaks of several cell types, its tasks. Subclass per dataset."""

    length: ClassVar[int] = LENGTH
    of_paper: ClassVar[int]  # training examples of the paper's set

    profile: str = "hg19-subset"

    def __post_init__(self) -> None:
        self.require_one_of("profile", list(REGIONS))

    @abstractmethod
    def peak_files(self) -> list[str]:
        """Names in the registry of the peak files, one a task."""

    def inputs(self) -> dict[str, str]:
        known = registry()
        names = (*self.peak_files(), *self.genome_files())
        return {name: known[name].content_hash for name in names}

    def genome_files(self) -> list[str]:
        """Names in the registry of the FASTA files that are read."""
        return files_of(self.profile)

    def peaks(self) -> list[pd.DataFrame]:
        """The peaks of each task."""
        return [read_intervals(fetch(name)) for name in self.peak_files()]

    def interval_files(self) -> list[str]:
        """Names in the registry of the files that say where the windows are."""
        return self.peak_files()

    def expected(self) -> dict[str, int]:
        """Windows of each split, as intervals alone tell: before any is dropped for its bases."""
        _, splits, inside = placed_windows(self.peaks(), self.used_regions())
        return {split: int(np.count_nonzero(splits[inside] == split)) for split in SPLITS}

    def used_regions(self) -> Sequence[Region]:
        """The regions of hg19 that the windows lie in, each with its split."""
        return regions_of(self.profile)

    def chunks(self) -> Iterator[Chunk]:
        tiled = tiling(self.peaks(), self.profile)
        for split, rows, codes, dropped in real_codes(load_genome(self.profile), tiled):
            yield Chunk(split, codes, tiled.labels[rows], dropped)


DNASE = {
    "uniform": tuple(
        f"encode_dnase/wgEncodeAwgDnaseUwduke{cell}UniPk.narrowPeak.gz"
        for cell in ("Gm12878", "K562")
    ),
    "roadmap": tuple(f"roadmap_dnase/{e}-DNase.macs2.narrowPeak.gz" for e in ("E116", "E123")),
}
ROADMAP = "https://egg2.wustl.edu/roadmap/data/byFileType/peaks/consolidated/narrowPeak/"
MATRICES = RESOURCES / "accessibility_motifs.meme"
DINUCLEOTIDES = RESOURCES / "accessibility_dinucleotides.tsv"
BACKGROUNDS = ("shuffled", "chain")
HELD_OUT = {"chr3": "valid", "chr2": "test"}  # of `full`: on chr1 K562 has no TF summits
NO_SUMMITS = "on a chromosome where a cell type has no TF summits"


@dataclass(frozen=True)
class SimulatedAccessibility(TiledRecipe):
    """Options of the simulated accessibility dataset: 1000 bp, tasks GM12878 and K562.

    Args:
        profile: `"hg19-subset"` or `"full"`, see `sfc_lib.genomics.genome`.
        dnase: `"uniform"`, ENCODE's uniform peaks; or `"roadmap"`, the paper's files of
            E116 (GM12878) and E123 (K562), which have to be placed by hand.
        seed: Seed of the backgrounds and of the motif instances, an integer ≥ 0.
        background: `"shuffled"`, each window's real DNA, dinucleotide-shuffled, as in the
            paper; or `"chain"`, a first-order Markov chain with the dinucleotide frequencies
            of all training windows of `hg19-subset`. That needs no genome, only intervals, and
            loses nothing but the windows' own composition.
        min_motifs: Windows with fewer TF summits are left out; 0 keeps all, as in the paper.

    On `full` chromosomes where a cell type has no TF summits (K562's files leave out chr1, 8
    and 21) are left out, validation is on chr3 and test on chr2.
    """

    name: ClassVar[str] = "simulated_accessibility"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("GM12878", "K562")
    of_paper: ClassVar[int] = 2_178_417

    dnase: str = "uniform"
    seed: int = 0
    background: str = field(default="shuffled", metadata=LATER)
    min_motifs: int = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_one_of("dnase", list(DNASE))
        self.require_one_of("background", BACKGROUNDS)
        self.require_integers("seed", "min_motifs")

    def peak_files(self) -> list[str]:
        return list(DNASE["uniform"]) if self.dnase == "uniform" else []

    def inputs(self) -> dict[str, str]:
        known = registry()
        tfs = {factor.file: known[factor.file].content_hash for factor in factors()}
        chain = [DINUCLEOTIDES] if self.background == "chain" else []
        tables = {path.name: sha256_file(path) for path in (TABLE, MATRICES, *chain)}
        roadmap = {path.name: content_sha256(path) for path in self._placed()}
        return {**super().inputs(), **roadmap, **tfs, **tables}

    def genome_files(self) -> list[str]:
        return super().genome_files() if self.background == "shuffled" else []

    def peaks(self) -> list[pd.DataFrame]:
        return super().peaks() + [read_intervals(path) for path in self._placed()]

    def interval_files(self) -> list[str]:
        return self.peak_files() + [factor.file for factor in factors()]

    def used_regions(self) -> Sequence[Region]:
        return self.regions(read_summits(factors())[0])

    def chunks(self) -> Iterator[Chunk]:
        summits, motifs = read_summits(factors())
        peaks, regions = self.peaks(), self.regions(summits)
        tiled = tiling(peaks, regions)
        if self.profile == "full":
            known = [region.chrom for region in regions]
            elsewhere = ~accessible_windows(peaks)["chrom"].isin(known)
            nothing = np.empty((0, LENGTH), np.uint8), np.empty((0, len(peaks)), np.uint8)
            yield Chunk("train", *nothing, dropped={NO_SUMMITS: int(elsewhere.sum())})
        if self.background == "chain":
            backgrounds = drawn_codes(tiled, self.seed)
        else:
            backgrounds = shuffled_codes(load_genome(self.profile), tiled, self.seed)
        yield from with_motifs(backgrounds, tiled, summits, motifs, self.seed, self.min_motifs)

    def regions(self, summits: pd.DataFrame) -> tuple[Region, ...]:
        """The regions of hg19 that the windows lie in, each with its split.

        Args:
            summits: As `read_summits` gives them.
        """
        if self.profile != "full":
            return regions_of(self.profile)
        of_cells = summits.groupby("chrom")["cell_type"].nunique()
        complete = set(of_cells.index[of_cells == len(self.task_names)])
        return tuple(
            replace(region, split=HELD_OUT.get(region.chrom, "train"))
            for region in regions_of("full")
            if region.chrom in complete
        )

    def _placed(self) -> list[Path]:
        """The Roadmap files, where they are used."""
        folder = Path(os.environ.get("SFC_DATA_MIRROR") or data_dir() / "downloads")
        paths = [folder / name for name in DNASE["roadmap"] if self.dnase == "roadmap"]
        if absent := [path for path in paths if not path.is_file()]:
            raise UserError(
                f"{absent[0]}: expected Roadmap's DNase peaks, got no such file. Place it there; "
                f"it is at {ROADMAP}{absent[0].name}. Or leave out dnase='roadmap'."
            )
        return paths


def read_summits(table: Sequence[Factor]) -> tuple[pd.DataFrame, list[Motif]]:
    """The summits of all peak files in `table` as `summits_inside` takes them, and the PWMs.

    Each summit has the `cell_type` of its file beside it.
    """
    import pandas as pd

    matrices = read_meme(MATRICES)
    names = list(dict.fromkeys(factor.motif for factor in table))
    frames = [
        read_intervals(fetch(factor.file), summits=True)[["chrom", "summit"]].assign(
            motif=names.index(factor.motif), cell_type=factor.cell_type
        )
        for factor in table
    ]
    summits = pd.concat(frames).sort_values(["chrom", "summit"], kind="stable", ignore_index=True)
    return summits, [matrices[name] for name in names]


def shuffled_codes(genome: Genome, tiled: Tiling, seed: int, size: int = CHUNK) -> Codes:
    """Each window's own DNA, dinucleotide-shuffled, so that it holds no motif any more.

    Yields:
        As `real_codes`.
    """
    for split, rows, real, dropped in real_codes(genome, tiled, size):
        yield split, rows, dinucleotide_shuffle(real, seed, rows), dropped


def drawn_codes(tiled: Tiling, seed: int, size: int = CHUNK) -> Codes:
    """Windows drawn from a first-order chain with the dinucleotide frequencies of real ones.

    Yields:
        As `real_codes`.
    """
    counts = np.loadtxt(DINUCLEOTIDES, skiprows=1, usecols=(1, 2, 3, 4))
    for split, rows, dropped in in_chunks(tiled, size):
        yield split, rows, dinucleotide_chain(counts, LENGTH, seed, rows), dropped


def with_motifs(
    backgrounds: Codes,
    tiled: Tiling,
    summits: pd.DataFrame,
    motifs: Sequence[Motif],
    seed: int,
    min_motifs: int = 0,
) -> Iterator[Chunk]:
    """Step 7: an instance of a motif at each summit in a window's background.

    The same bytes whatever the size of the chunks: what is drawn for a window depends on
    the seed and on its row in the tiling.
    """
    for split, rows, codes, dropped in backgrounds:
        sites = summits_inside(tiled.windows.iloc[rows].reset_index(drop=True), summits)
        found = np.bincount(sites[:, 0], minlength=len(rows))
        keep = found >= min_motifs
        sites = sites[keep[sites[:, 0]]]
        sites[:, 0] = (np.cumsum(keep) - 1)[sites[:, 0]]
        rows, codes = rows[keep], np.ascontiguousarray(codes[keep])
        starts = insert_motifs(codes, sites, motifs, seed, rows)
        skipped = int(np.count_nonzero(starts < 0))
        dropped["motifs without a free place"] = skipped
        if min_motifs:
            dropped[f"{split}: fewer than {min_motifs} motifs"] = int((~keep).sum())
        counts = {
            "motifs inserted": len(starts) - skipped,
            "windows without a motif": int((found[keep] == 0).sum()),
        }
        yield Chunk(split, codes, tiled.labels[rows], dropped, counts)


FOLDER = "hematopoiesis_atac"
# From the stem cell on: progenitors, then the myeloid and the lymphoid branch.
POPULATIONS = (
    *("HSC", "MPP", "LMPP", "CLP", "GMP-A", "GMP-B", "GMP-C"),
    *("Mega", "Ery", "Mono", "mDC", "pDC"),
    *("B", "CD4", "CD8", "NK"),
)


@dataclass(frozen=True)
class Hematopoiesis(TiledRecipe):
    """Options of the hematopoiesis dataset: real sequence of 1000 bp, 16 tasks.

    Args:
        profile: `"hg19-subset"` or `"full"`, see `sfc_lib.genomics.genome`.

    A stand-in: unlike what is believed of the paper's set it has no CMP, MEP and leukemic
    cells (pHSC, LSC, blast), and has GMP in three stages, Mega, mDC and pDC.
    """

    name: ClassVar[str] = "hematopoiesis"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = POPULATIONS
    of_paper: ClassVar[int] = 837_977

    def peak_files(self) -> list[str]:
        return [f"{FOLDER}/{population}_peaks.narrowPeak.gz" for population in POPULATIONS]
