"""Reference sequence: windows of it as codes, from FASTA files or from the regions of hg19.

Which regions of hg19 the datasets use, and the split that each is for, has a name:

- `hg19-subset`: chr20 whole and the first part of chrX, chr1 and chr22, for a laptop.
- `full`: the paper's, chromosomes 1 to 22, X and Y; validation on chr1, test on chr2.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.fasta import open_fasta
from sfc_lib.genomics.intervals import canonical, canonical_name, resize, within
from sfc_lib.genomics.sources import fetch, registry
from sfc_lib.genomics.text import require_file

if TYPE_CHECKING:
    import pandas as pd

N = ALPHABET.index("N")
BEYOND, HOLDS_N = "beyond the sequence", "N in the window"  # why a window is dropped
SHOWN = 30  # names of chromosomes in a message
FEW_N = 0.05  # of the intervals of one file may have N in their middle without a warning
FOLDERS = {"hg19-subset": "hg19/chr", "full": "hg19/full/chr"}  # how names of their files begin
FULL_SPLITS = {"chr1": "valid", "chr2": "test"}  # the rest is for training


@dataclass(frozen=True)
class Region:
    """Part of a chromosome, 0-based half-open, and its split."""

    chrom: str
    start: int
    end: int
    split: str


def _full() -> tuple[Region, ...]:
    found = []
    for name in (name for name in registry() if name.startswith(FOLDERS["full"])):
        chrom, _, span = registry()[name].region.partition(":")
        start, end = map(int, span.split("-"))
        found.append(Region(chrom, start, end, FULL_SPLITS.get(chrom, "train")))
    return tuple(found)


REGIONS: dict[str, tuple[Region, ...]] = {
    "hg19-subset": (
        Region("chr20", 0, 63_025_520, "train"),
        Region("chrX", 0, 40_000_000, "train"),
        Region("chrX", 40_000_000, 69_999_930, "valid"),
        Region("chr1", 0, 9_876_492, "valid"),
        Region("chr22", 0, 22_000_000, "test"),
    ),
    "full": _full(),
}


def regions_of(regions: str) -> tuple[Region, ...]:
    """The regions of hg19 that go by this name.

    Raises:
        UserError: An unknown name; the valid ones are listed.
    """
    if regions not in REGIONS:
        raise UserError(f"regions of hg19: expected one of {sorted(REGIONS)}, got {regions!r}.")
    return REGIONS[regions]


def files_of(regions: str) -> list[str]:
    """Names in the registry of the FASTA files that hold these regions."""
    regions_of(regions)
    return [name for name in registry() if name.startswith(FOLDERS[regions])]


def split_of(intervals: pd.DataFrame, regions: str | Sequence[Region]) -> np.ndarray:
    """`"train"`, `"valid"` or `"test"` where an interval lies wholly in regions of that split.

    Empty where it lies in none, or across two. Shape (len(intervals),). The regions are those
    of a name, or given.
    """
    import pandas as pd

    splits = np.full(len(intervals), "", dtype="<U5")
    intervals = intervals.assign(chrom=canonical(intervals["chrom"]))
    known = regions_of(regions) if isinstance(regions, str) else regions
    table = pd.DataFrame([vars(region) for region in known])
    for split, part in table.groupby("split"):
        splits[within(intervals, part)] = split
    return splits


def load_genome(regions: str) -> Genome:
    """These regions of hg19; their files are fetched, and every base is the registered one.

    Raises:
        UserError: An unknown name, the valid ones are listed; or a file can't be had.
    """
    return Genome([fetch(name) for name in files_of(regions)], regions_of(regions))


class Genome:
    r"""Sequences of one or more FASTA files, by the canonical name of their chromosome.

    `chr20`, `20` and hg19's `NC_000020.10` name the same chromosome, in files and in
    questions. Files may be plain, gzip or bgzip, see `sfc_lib.genomics.fasta`. They are read when
    they are first asked for anything.

    Args:
        paths: A FASTA file or several.
        regions: Only what lies in these regions is given out; all, by default.

    Raises:
        UserError: A file that is not there, or a pipe. When they are read: one that is no FASTA,
            with its line; a chromosome that is there twice, or doesn't reach a region's end.

    Example:

    >>> import tempfile
    >>> fasta = Path(tempfile.mkdtemp()) / "toy.fa"
    >>> _ = fasta.write_text(">chr1\nACGTN\n")
    >>> Genome(fasta).codes("chr1", 1, 5).tolist()
    [1, 2, 3, 4]
    """

    def __init__(
        self, paths: str | Path | Sequence[str | Path], regions: Sequence[Region] | None = None
    ) -> None:
        self._paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
        self._asked = regions
        for path in self._paths:
            require_file(Path(path))

    def read(self) -> Genome:
        """This genome once its files are read, so that what is wrong with them is said now."""
        _ = self.regions
        return self

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        """Codes of each whole sequence, by its canonical name."""
        found: dict[str, np.ndarray] = {}
        for path in self._paths:
            for name, codes in open_fasta(path).items():
                if (chrom := canonical_name(name)) in found:
                    raise UserError(f"{path}: expected each chromosome once, got {name!r} again.")
                found[chrom] = codes
        return found

    @cached_property
    def regions(self) -> pd.DataFrame:
        """What is given out, as intervals."""
        import pandas as pd

        spans = [(r.chrom, r.start, r.end) for r in self._asked or ()]
        if self._asked is None:
            spans = [(chrom, 0, len(codes)) for chrom, codes in self._codes.items()]
        for chrom, _, end in spans:
            if (length := len(self._codes.get(chrom, ""))) < end:
                raise UserError(
                    f"{', '.join(map(str, self._paths))}: expected {chrom} with {end:,} bp or "
                    f"more, got {length:,} bp."
                )
        return pd.DataFrame(spans, columns=["chrom", "start", "end"])

    @cached_property
    def _lengths(self) -> dict[str, int]:
        return self.regions.groupby("chrom", sort=False)["end"].max().to_dict()

    @property
    def chroms(self) -> list[str]:
        """Names of the chromosomes."""
        return list(self._lengths)

    def own_name(self, chrom: str) -> str:
        """The name that a chromosome has here, be it with `chr` or without; its own if none."""
        name = canonical_name(chrom)
        known = (name, name.removeprefix("chr"), f"chr{name}")
        return next((one for one in known if one in self._lengths), name)

    def length(self, chrom: str) -> int:
        """Length of a chromosome in bp; the end of its last region, where there are regions.

        Raises:
            UserError: An unknown chromosome; the known ones are named.
        """
        name = canonical_name(chrom)
        if name not in self._lengths:
            raise UserError(f"{chrom!r}: expected one of {self._known()}.")
        return self._lengths[name]

    def codes(self, chrom: str, start: int, end: int) -> np.ndarray:
        """Codes of [start, end), uint8 (end − start,), a view of the memory-mapped ones.

        Raises:
            UserError: An unknown chromosome, or positions beyond its ends.
        """
        if not 0 <= start <= end <= self.length(chrom):
            raise UserError(
                f"{chrom}:{start}-{end}: expected 0 <= start <= end <= {self.length(chrom):,} "
                "(0-based half-open)."
            )
        return self._codes[canonical_name(chrom)][start:end]

    def windows(self, intervals: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Codes of many windows of one width.

        A window that leaves the sequence (or the regions), or that holds an N, is dropped.

        Args:
            intervals: Windows, all of one width, in any order.

        Returns:
            Codes of the windows kept, uint8 (kept, width), in the order of `intervals`;
            which are kept, bool (len(intervals),); and the numbers dropped, by reason.

        Raises:
            ValueError: Windows of several widths.
            UserError: An unknown chromosome, unless the genome is limited to regions.
        """
        widths = np.unique((intervals["end"] - intervals["start"]).to_numpy())
        if len(widths) > 1 or (len(widths) and widths[0] < 1):
            raise ValueError(f"windows: expected one width >= 1, got {widths[:5].tolist()}.")
        intervals = intervals.assign(chrom=canonical(intervals["chrom"]))
        if self._asked is None:
            for chrom in intervals["chrom"].unique():
                self.length(chrom)
        keep = within(intervals, self.regions)
        codes = self._cut(intervals[keep], int(widths[0]) if len(widths) else 0)
        whole = codes.max(axis=1, initial=0) < N
        dropped = {BEYOND: int((~keep).sum()), HOLDS_N: int((~whole).sum())}
        keep[keep] = whole
        return (codes if whole.all() else codes[whole]), keep, dropped

    def _cut(self, windows: pd.DataFrame, width: int) -> np.ndarray:
        """Codes of windows that all lie inside: uint8 (windows, width)."""
        codes = np.empty((len(windows), width), dtype=np.uint8)
        starts = windows["start"].to_numpy()
        for chrom, here in windows.groupby("chrom").indices.items():
            pieces = np.lib.stride_tricks.sliding_window_view(self._codes[chrom], width)
            codes[here] = pieces[starts[here]]  # (windows of the chromosome, width)
        return codes

    def warn_of_n(self, intervals: pd.DataFrame, path: str | Path) -> None:
        """Warn, with a hint at the assembly, if many intervals have N in their middle.

        Args:
            intervals: All inside the genome.
            path: Of their file, for the message.
        """
        empty = self.windows(resize(intervals, 1))[2][HOLDS_N]
        if empty > FEW_N * len(intervals):
            warnings.warn(
                f"{path}: {empty:,} of {len(intervals):,} intervals have N in their middle. "
                "Are they of another assembly, or is the genome hard-masked?",
                stacklevel=2,
            )

    def _known(self) -> str:
        more = ", …" if len(self.chroms) > SHOWN else ""
        return ", ".join(self.chroms[:SHOWN]) + more
