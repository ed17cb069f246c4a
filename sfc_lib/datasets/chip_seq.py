"""In-vivo TF binding: ChIP-seq peaks of GM12878 against open chromatin (paper, section 2.3).

The paper takes the data of Shrikumar, Greenside & Kundaje (2017, reverse-complement
networks): positives are windows around peak summits, negatives are DNase peaks of the
cell type away from the TF. Its authors left out negatives that overlap any of the TF's
top 150,000 *relaxed* peaks. Those are not public; left out here are negatives that overlap
any of ENCODE's uniform peaks, which are fewer (CTCF: 44,982), so that some negatives are
weakly bound. No negative *window* overlaps a peak, not just no DNase peak.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from sfc_lib.datasets.base import SPLITS, InMemoryRecipe, Split
from sfc_lib.errors import UserError
from sfc_lib.genomics.genome import HOLDS_N, REGIONS, Genome, files_of, load_genome, split_of
from sfc_lib.genomics.intervals import overlaps, read_intervals, resize
from sfc_lib.genomics.motifs import RESOURCES
from sfc_lib.genomics.sources import fetch, registry

if TYPE_CHECKING:
    import pandas as pd

CELL_TYPE = "GM12878"
DNASE = "encode_dnase/wgEncodeAwgDnaseUwdukeGm12878UniPk.narrowPeak.gz"
TABLE = RESOURCES / "accessibility_motifs.tsv"
OUTSIDE = "outside the regions"
MAX_SHIFT = 50  # bp
MAX_LENGTH = 100_000  # bp: of longer windows the training set alone is over 700 MB


class Factor(NamedTuple):
    """A ChIP-seq peak file in the registry, its cell type and TF, and the TF's motif.

    The TF goes by the official name of its gene; RELA is NF-κB under TNFα. `rule` says how
    the motif was chosen, see `sfc_lib.datasets.accessibility`.
    """

    file: str
    cell_type: str
    tf: str
    motif: str
    rule: str


def factors() -> list[Factor]:
    """The TFs of which there are peaks, one entry a peak file.

    Example:

    >>> factors()[0].tf, factors()[0].motif
    ('CTCF', 'CTCF_known1')
    """
    with open(TABLE, newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    return [Factor(*row) for row in rows]


def peak_files() -> dict[str, str]:
    """Names in the registry of the peaks in GM12878, by TF, sorted."""
    return dict(sorted((f.tf, f.file) for f in factors() if f.cell_type == CELL_TYPE))


@dataclass(frozen=True)
class ChipSeq(InMemoryRecipe):
    """Options of the ChIP-seq dataset: windows of hg19, one task, bound or not.

    Args:
        tf: One of the 28 names of `peak_files`; upper and lower case count alike.
        profile: `"hg19-subset"`, or `"full"` for the paper's chromosomes.
        length: Of the windows, in bp.
        shift: 0, or 2 to 50: every training positive is also given moved by this many bp
            to the left and to the right, and by each multiple of `shift_step` below it.
            Negatives, validation and test set stay as they are. The paper does not shift.
        shift_step: bp; 0 means only `shift` itself. It must divide `shift`.

    A split is that of the region a window's centre lies in; a window that reaches beyond the
    regions of its split, so that it could share bases with another split, is dropped. Of
    windows at the same place in one class the first is kept. Overlapping windows of one
    split all stay, as in the paper: neighbouring peaks are examples of their own.
    """

    name: ClassVar[str] = "chip_seq"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("bound",)

    tf: str = "CTCF"
    profile: str = "hg19-subset"
    length: int = 1000
    shift: int = 0
    shift_step: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tf", str(self.tf).upper())
        self.require_one_of("tf", list(peak_files()))
        self.require_one_of("profile", list(REGIONS))
        if type(self.length) is not int or not 1 <= self.length <= MAX_LENGTH:
            raise UserError(
                f"chip_seq: length must be an integer of 1 to {MAX_LENGTH:,} bp, got "
                f"{self.length!r}."
            )
        if type(self.shift) is not int or not (self.shift == 0 or 2 <= self.shift <= MAX_SHIFT):
            raise UserError(f"chip_seq: shift must be 0 or 2 to {MAX_SHIFT}, got {self.shift!r}.")
        step = self.shift_step
        if type(step) is not int or step < 0 or (step and (not self.shift or self.shift % step)):
            raise UserError(
                f"chip_seq: shift_step must be 0 or divide shift ({self.shift}), got {step!r}."
            )

    @property
    def shifts(self) -> list[int]:
        """How far training positives are moved, in bp: without the unmoved ones."""
        steps = range(self.shift_step or self.shift, self.shift + 1, self.shift_step or 1)
        return [sign * bp for bp in steps for sign in (-1, 1)] if self.shift else []

    @property
    def sources(self) -> list[str]:
        """Names of the source files in the registry."""
        return [peak_files()[self.tf], DNASE, *files_of(self.profile)]

    def inputs(self) -> dict[str, str]:
        known = registry()
        return {name: known[name].content_hash for name in self.sources}

    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        import pandas as pd

        peaks = read_intervals(fetch(self.sources[0]), summits=True)
        around = resize(peaks, self.length, peaks["summit"])
        negatives = resize(read_intervals(fetch(DNASE)), self.length)
        near = {"overlaps a peak": overlaps(negatives, peaks)}
        positives = sort_out("positive", 1, around, self.profile)
        tables = [positives, sort_out("negative", 0, negatives, self.profile, near)]
        of_train = positives[(positives["why"] == "") & (positives["split"] == "train")]
        for bp in self.shifts:
            moved = of_train.assign(start=of_train["start"] + bp, end=of_train["end"] + bp)
            outside = {"leaves the training regions": split_of(moved, self.profile) != "train"}
            tables.append(sort_out("shifted positive", 1, moved, self.profile, outside))
        return cut(pd.concat(tables, ignore_index=True), load_genome(self.profile))


def sort_out(
    kind: str,
    label: int,
    windows: pd.DataFrame,
    regions: str,
    reasons: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Windows of one kind, each with the split that its centre lies in, or why it is left out.

    Args:
        kind: What they are, for the counts of what is dropped.
        label: 0 or 1.
        windows: Intervals of one width.
        regions: Name of the regions of hg19 that decide the split.
        reasons: Further masks of windows to leave out, bool (len(windows),), by reason.

    Returns:
        All windows, with `split`, `label`, `kind` and `why`, which is empty for those that are
        not left out.
    """
    split = split_of(resize(windows, 1), regions)
    masks = {
        OUTSIDE: split == "",
        **(reasons or {}),
        "leaves the split's regions": split_of(windows, regions) != split,
        "same window again": windows.duplicated(["chrom", "start"]).to_numpy(),
    }
    why = np.select(list(masks.values()), list(masks), "")
    windows = windows[["chrom", "start", "end"]]
    return windows.assign(split=split, label=np.uint8(label), kind=kind, why=why)


def cut(windows: pd.DataFrame, genome: Genome) -> tuple[dict[str, Split], dict[str, int]]:
    """Codes and labels of each split, in the windows' order, and what was dropped, by reason.

    Args:
        windows: As `sort_out` gives them; the index counts from 0.
        genome: Where they are cut from; those with an N are dropped too.
    """
    used = windows[windows["why"] == ""]
    codes, keep, _ = genome.windows(used)
    why = windows["why"].mask(windows.index.isin(used.index[~keep]), HOLDS_N)
    kind = windows["kind"].where(why == OUTSIDE, windows["split"] + " " + windows["kind"])
    dropped = (kind + ": " + why)[why != ""].value_counts(sort=False)
    split, labels = used["split"].to_numpy()[keep], used[["label"]].to_numpy()[keep]
    splits = {name: Split(codes[split == name], labels[split == name]) for name in SPLITS}
    return splits, {reason: int(number) for reason, number in dropped.items()}
