"""Reference sequence: windows of it as codes, from FASTA files or from a profile's part of hg19.

The regions of hg19 that the datasets use, and the split that each is for.

- `hg19-subset`: chr20 whole and the first part of chrX, chr1 and chr22, for a laptop.
- `full`: the paper's, chromosomes 1 to 22, X and Y; validation on chr1, test on chr2.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.fasta import open_fasta, to_codes
from sfc_lib.genomics.intervals import canonical, canonical_name, resize, within
from sfc_lib.genomics.sources import fetch, registry

FOLDERS = {"hg19-subset": "hg19/chr", "full": "hg19/full/chr"}  # how names of their files begin
FULL_SPLITS = {"chr1": "valid", "chr2": "test"}  # the rest is for training


@dataclass(frozen=True)
class Region:
    """Part of a chromosome, 0-based half-open, the MD5 of its upper-case letters, its split."""

    chrom: str
    start: int
    end: int
    md5: str
    split: str


def _full() -> tuple[Region, ...]:
    found = []
    for source in (s for name, s in registry().items() if name.startswith(FOLDERS["full"])):
        chrom, _, span = source.region.partition(":")
        start, end = map(int, span.split("-"))
        split = FULL_SPLITS.get(chrom, "train")
        found.append(Region(chrom, start, end, source.md5_of_region, split))
    return tuple(found)


PROFILES: dict[str, tuple[Region, ...]] = {
    "hg19-subset": (
        Region("chr20", 0, 63_025_520, "0dec9660ec1efaaf33281c0d5ea2560f", "train"),
        Region("chrX", 0, 40_000_000, "95e21c09781307af28ce618eb665a58e", "train"),
        Region("chrX", 40_000_000, 69_999_930, "bda2c616eaebd0297f8e017a46f852dd", "valid"),
        Region("chr1", 0, 9_876_492, "b6261ddb47dd9c8fc7e7daa8eb8a6c9e", "valid"),
        Region("chr22", 0, 22_000_000, "1dd835907b31b36f20839239e9c14e5c", "test"),
    ),
    "full": _full(),
}


def regions_of(profile: str) -> tuple[Region, ...]:
    """The regions of a profile.

    Raises:
        ValueError: An unknown profile; the valid ones are listed.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {sorted(PROFILES)}, got {profile!r}.")
    return PROFILES[profile]


def files_of(profile: str) -> list[str]:
    """Names in the registry of a profile's FASTA files."""
    regions_of(profile)
    return [name for name in registry() if name.startswith(FOLDERS[profile])]


def split_of(intervals: pd.DataFrame, regions: str | Sequence[Region]) -> np.ndarray:
    """`"train"`, `"valid"` or `"test"` where an interval lies wholly in regions of that split.

    Empty where it lies in none, or across two. Shape (len(intervals),). The regions are those
    of a name, or given.
    """
    splits = np.full(len(intervals), "", dtype="<U5")
    intervals = intervals.assign(chrom=canonical(intervals["chrom"]))
    known = regions_of(regions) if isinstance(regions, str) else regions
    table = pd.DataFrame([vars(region) for region in known])
    for split, part in table.groupby("split"):
        splits[within(intervals, part)] = split
    return splits


__all__ = ["PROFILES", "Genome", "GenomeError", "Region", "load_genome", "split_of"]

BLOCK = 1 << 24  # bases read from a file at once
N = ALPHABET.index("N")
BEYOND, HOLDS_N = "beyond the sequence", "N in the window"  # why a window is dropped
SHOWN = 30  # names of chromosomes in a message
FEW_N = 0.05  # of the intervals of one file may have N in their middle without a warning


class GenomeError(UserError):
    """A sequence is not what was asked for: unknown, too short, or not the one expected."""


class Genome:
    """Sequences of one or more FASTA files, by the canonical name of their chromosome.

    `chr20`, `20` and hg19's `NC_000020.10` name the same chromosome, in files and in
    questions. Files may be plain, gzip or bgzip, see `sfc_lib.genomics.fasta`.

    Args:
        paths: A FASTA file or several.
        regions: Only what lies in these regions is given out; all, by default.

    Raises:
        sfc_lib.files.InputError: A file that is no FASTA, with its line.
        GenomeError: A chromosome is there twice, or doesn't reach a region's end.

    Example:

    >>> genome = Genome("hg19.fa.gz")
    >>> decode(genome.codes("chr20", 60_000, 60_010)[None])
    ['GATCCAGAGG']
    """

    def __init__(
        self, paths: str | Path | Sequence[str | Path], regions: Sequence[Region] | None = None
    ) -> None:
        self._records: dict[str, tuple[pyfaidx.Fasta, str]] = {}
        for path in [paths] if isinstance(paths, (str, Path)) else paths:
            fasta = open_fasta(path)
            for name in fasta.keys():  # noqa: SIM118  (a Fasta is no dict)
                if (chrom := canonical_name(name)) in self._records:
                    raise GenomeError(f"{path}: expected each chromosome once, got {name!r} again.")
                self._records[chrom] = fasta, name
        spans = [(r.chrom, r.start, r.end) for r in regions or ()]
        if regions is None:
            spans = [(chrom, 0, len(fasta[name])) for chrom, (fasta, name) in self._records.items()]
        self.regions = pd.DataFrame(spans, columns=["chrom", "start", "end"])
        self._restricted = regions is not None
        for chrom, _, end in spans:
            fasta, name = self._record(chrom)
            if len(fasta[name]) < end:
                raise GenomeError(
                    f"{fasta.filename}: expected {chrom} with {end:,} bp or more, "
                    f"got {len(fasta[name]):,} bp."
                )
        self._lengths = self.regions.groupby("chrom", sort=False)["end"].max().to_dict()

    @property
    def chroms(self) -> list[str]:
        """Names of the chromosomes."""
        return list(self._lengths)

    def length(self, chrom: str) -> int:
        """Length of a chromosome in bp; the end of its last region, where there are regions.

        Raises:
            GenomeError: An unknown chromosome; the known ones are named.
        """
        name = canonical_name(chrom)
        if name not in self._lengths:
            raise GenomeError(f"{chrom!r}: expected one of {self._known()}.")
        return self._lengths[name]

    def codes(self, chrom: str, start: int, end: int) -> np.ndarray:
        """Codes of [start, end), uint8 (end − start,).

        Raises:
            GenomeError: An unknown chromosome, or positions beyond its ends.
        """
        if not 0 <= start <= end <= self.length(chrom):
            raise GenomeError(
                f"{chrom}:{start}-{end}: expected 0 <= start <= end <= {self.length(chrom):,} "
                "(0-based half-open)."
            )
        fasta, name = self._record(chrom)
        codes = np.empty(end - start, dtype=np.uint8)
        for at in range(start, end, BLOCK):
            block = to_codes(fasta[name][at : min(at + BLOCK, end)].encode())
            codes[at - start : at - start + len(block)] = block
        return codes

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
            GenomeError: An unknown chromosome, unless the genome is limited to regions.
        """
        widths = np.unique((intervals["end"] - intervals["start"]).to_numpy())
        if len(widths) > 1 or (len(widths) and widths[0] < 1):
            raise ValueError(f"windows: expected one width >= 1, got {widths[:5].tolist()}.")
        intervals = intervals.assign(chrom=canonical(intervals["chrom"]))
        if not self._restricted:
            for chrom in intervals["chrom"].unique():
                self.length(chrom)
        keep = within(intervals, self.regions)
        codes = self._cut(intervals[keep], int(widths[0]) if len(widths) else 0)
        whole = np.array([not (row == N).any() for row in codes], dtype=bool)
        dropped = {BEYOND: int((~keep).sum()), HOLDS_N: int((~whole).sum())}
        keep[keep] = whole
        return (codes if whole.all() else codes[whole]), keep, dropped

    def _cut(self, windows: pd.DataFrame, width: int) -> np.ndarray:
        """Codes of windows that all lie inside: uint8 (windows, width)."""
        codes = np.empty((len(windows), width), dtype=np.uint8)
        starts = windows["start"].to_numpy()
        for chrom, here in windows.groupby("chrom").indices.items():
            low, high = int(starts[here].min()), int(starts[here].max()) + width
            pieces = np.lib.stride_tricks.sliding_window_view(self.codes(chrom, low, high), width)
            codes[here] = pieces[starts[here] - low]  # (windows of the chromosome, width)
        return codes

    def check(self, intervals: pd.DataFrame, path: str | Path) -> None:
        """Make sure that the intervals of a file can be of this genome.

        Warns, with a hint at the assembly, if many have N in their middle.

        Args:
            intervals: As `read_intervals` gives them, with lines as index.
            path: Of their file, for messages.

        Raises:
            GenomeError: `file:line: …`: a chromosome that is not here; a position beyond
                a chromosome's end.
        """
        chrom = canonical(intervals["chrom"])
        unknown = ~chrom.isin(self.chroms).to_numpy()
        if unknown.any():
            line, name = intervals.index[unknown][0], intervals["chrom"].to_numpy()[unknown][0]
            raise GenomeError(
                f"{path}:{line}: expected a chromosome of the genome ({self._known()}), "
                f"got {name!r}; {unknown.sum():,} of {len(intervals):,} intervals lie on such ones."
            )
        length, end = chrom.map(self._lengths).to_numpy(), intervals["end"].to_numpy()
        if (beyond := np.flatnonzero(end > length)).size:
            row = beyond[0]
            raise GenomeError(
                f"{path}:{intervals.index[row]}: expected end <= {length[row]:,}, the length of "
                f"{chrom.iloc[row]}, got {end[row]:,}; {beyond.size:,} of {len(intervals):,} "
                "intervals lie beyond. Are they of another assembly (hg38 is not hg19)? "
                "Lift them over, or give the genome they were called on."
            )
        empty = self.windows(resize(intervals, 1))[2][HOLDS_N]
        if empty > FEW_N * len(intervals):
            warnings.warn(
                f"{path}: {empty:,} of {len(intervals):,} intervals have N in their middle. "
                "Are they of another assembly, or is the genome hard-masked?",
                stacklevel=2,
            )

    def verify(self, regions: Sequence[Region]) -> None:
        """Compare regions with the MD5 of their upper-case letters.

        Raises:
            GenomeError: The sequence of a region is another one.
        """
        for region in regions:
            fasta, name = self._record(region.chrom)
            digest = hashlib.md5(usedforsecurity=False)
            for at in range(region.start, region.end, BLOCK):
                letters = fasta[name][at : min(at + BLOCK, region.end)]
                digest.update(letters.upper().encode())
            if digest.hexdigest() != region.md5:
                raise GenomeError(
                    f"{fasta.filename}: expected {region.chrom}:{region.start}-{region.end} "
                    f"with MD5 {region.md5}, got {digest.hexdigest()}. If it lies in the cache, "
                    "remove its folder, and it is made again."
                )

    def _record(self, chrom: str) -> tuple[pyfaidx.Fasta, str]:
        if (name := canonical_name(chrom)) not in self._records:
            raise GenomeError(
                f"{chrom!r}: expected in the FASTA files, got {list(self._records)[:SHOWN]}."
            )
        return self._records[name]

    def _known(self) -> str:
        more = ", …" if len(self.chroms) > SHOWN else ""
        return ", ".join(self.chroms[:SHOWN]) + more


def load_genome(profile: str) -> Genome:
    """The regions of hg19 of a profile, their files fetched and every base verified.

    Raises:
        ValueError: An unknown profile; the valid ones are listed.
        sfc_lib.genomics.sources.SourceError: A file can't be had.
    """
    regions = regions_of(profile)
    genome = Genome([fetch(name) for name in files_of(profile)], regions)
    genome.verify(regions)
    return genome
