"""The regions of hg19 that the datasets use, and the split that each is for.

- `hg19-subset`: chr20 whole and the first part of chrX, chr1 and chr22, for a laptop.
- `full`: the paper's, chromosomes 1 to 22, X and Y; validation on chr1, test on chr2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sfc_lib.genomics.intervals import canonical, within
from sfc_lib.genomics.registry import registry

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


def split_of(intervals: pd.DataFrame, profile: str) -> np.ndarray:
    """`"train"`, `"valid"` or `"test"` where an interval lies wholly in regions of that split.

    Empty where it lies in none, or across two. Shape (len(intervals),).
    """
    splits = np.full(len(intervals), "", dtype="<U5")
    intervals = intervals.assign(chrom=canonical(intervals["chrom"]))
    regions = pd.DataFrame([vars(region) for region in regions_of(profile)])
    for split, part in regions.groupby("split"):
        splits[within(intervals, part)] = split
    return splits
