"""Windows around a user's peaks, their negatives, and the splits of both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sfc_lib.datasets.base import SPLITS
from sfc_lib.datasets.splitting import at_random, named, of_genome
from sfc_lib.genomics.fasta import read_fasta
from sfc_lib.genomics.genome import BEYOND, HOLDS_N, Genome
from sfc_lib.genomics.intervals import NARROWPEAK, SKIPPED, overlaps, read_intervals, resize
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.textfiles import InputError, read_chunks, read_lines


@dataclass(frozen=True, eq=False)
class Examples:
    """Codes (examples, length), labels (examples, tasks), splits (examples,), and two counts.

    `dropped`: what was left out, by reason. `counts`: windows by split and chromosome, and
    what they lie around.
    """

    codes: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    dropped: dict[str, int]
    counts: dict[str, int]


@dataclass(frozen=True)
class Windows:
    """How windows are cut from a genome and divided into splits, see `Custom`."""

    genome: list[Path]
    width: int
    valid: float
    test: float
    valid_chromosomes: tuple[str, ...]
    test_chromosomes: tuple[str, ...]

    def splits(self, windows: pd.DataFrame) -> np.ndarray:
        """`"train"`, `"valid"`, `"test"`, or `""` for a window across two, (len(windows),)."""
        if not self.valid_chromosomes:
            return of_genome(windows, self.valid, self.test)
        chroms = list(windows["chrom"].unique())
        chosen = named(chroms, self.valid_chromosomes, self.test_chromosomes)
        return windows["chrom"].map(chosen).to_numpy(dtype="<U5")


def from_peaks(
    windows: Windows, peaks: Path, negatives: Path | None, rng: np.random.Generator
) -> Examples:
    """Examples from peaks, with one task.

    Positives are windows around peaks. Negatives are windows around the middle of other
    intervals that share no base with a peak, or sequences, or, if there is no file, the
    positives shuffled, each in the split of its origin.

    Raises:
        InputError: A file that is not what it should be, with its line.
        GenomeError: Intervals that the genome can't hold, with the first one's line.
    """
    genome, dropped, counts = Genome(windows.genome), Counter[str](), Counter[str]()
    intervals = read_peaks(peaks)
    counts[f"peaks taken by their {'summit' if 'summit' in intervals else 'middle'}"] = len(
        intervals
    )
    bound = resize(intervals, windows.width, intervals.get("summit"))
    kept = [_known(genome, bound, intervals, peaks, "positive", dropped).assign(label=1)]
    sequences = None
    if negatives is not None and _is_fasta(negatives):
        sequences = _of_width(negatives, windows.width)
    elif negatives is not None:
        others = read_intervals(negatives)
        free = resize(others, windows.width)
        free = _known(genome, free, others, negatives, "negative", dropped).assign(label=0)
        clash = overlaps(free, intervals)
        dropped["negative: overlaps a peak"] += int(clash.sum())
        kept.append(free[~clash])
    table = pd.concat(kept, ignore_index=True)
    codes, labels, splits = _cut(windows, genome, table, dropped, counts)
    if negatives is None:
        codes, labels, splits = _with_shuffled(codes, splits)
    elif sequences is not None:
        shares = [float(np.mean(splits == name)) for name in ("valid", "test")]
        new = np.zeros((len(sequences), 1), dtype=np.uint8)
        codes, labels = np.concatenate([codes, sequences]), np.concatenate([labels, new])
        splits = np.concatenate([splits, at_random(new, shares[0], shares[1], rng)])
    return Examples(codes, labels, splits, {why: n for why, n in dropped.items() if n}, counts)


def read_peaks(path: Path) -> pd.DataFrame:
    """Intervals of a BED or narrowPeak file, with `summit` where the file gives them.

    It does if its first interval has ten columns of which the last is not −1; then every
    interval must have one.
    """
    first = next((line for line in read_lines(path) if not SKIPPED.match(line)), "").split("\t")
    return read_intervals(path, summits=len(first) == NARROWPEAK and first[-1].strip() != "-1")


def _known(
    genome: Genome,
    windows: pd.DataFrame,
    intervals: pd.DataFrame,
    path: Path,
    kind: str,
    dropped: Counter[str],
) -> pd.DataFrame:
    """Windows on chromosomes that the genome has, each place once; refuse another assembly's."""
    known = intervals["chrom"].isin(genome.chroms).to_numpy()
    genome.check(intervals[known] if known.any() else intervals, path)
    dropped[f"{kind}: on a chromosome that the genome lacks"] += int((~known).sum())
    windows = windows.loc[known, ["chrom", "start", "end"]]
    again = windows.duplicated(["chrom", "start"])
    dropped[f"{kind}: same window again"] += int(again.sum())
    return windows[~again]


def _cut(
    windows: Windows,
    genome: Genome,
    table: pd.DataFrame,
    dropped: Counter[str],
    counts: Counter[str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, labels and splits of the windows that have all of them."""
    inside = (table["start"] >= 0) & (table["end"] <= table["chrom"].map(genome.length))
    codes, keep, _ = genome.windows(table)
    for label, kind in ((1, "positive"), (0, "negative")):
        mine = table["label"] == label
        dropped[f"{kind}: {BEYOND}"] += int((mine & ~inside).sum())
        dropped[f"{kind}: {HOLDS_N}"] += int((mine & inside & ~keep).sum())
    table = table[keep]
    if not len(table):
        raise InputError(f"{windows.genome[0]}: expected windows without N, got none that is left.")
    splits = windows.splits(table)
    labels = table["label"].to_numpy(dtype=np.uint8)[:, None]
    dropped["across two splits"] += int((splits == "").sum())
    for split in SPLITS:
        for chrom, number in table.loc[splits == split, "chrom"].value_counts().items():
            counts[f"windows of {chrom} in {split}"] = int(number)
    return codes[splits != ""], labels[splits != ""], splits[splits != ""]


def _with_shuffled(
    codes: np.ndarray, splits: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each window, and each again with its dinucleotides shuffled, in the same split."""
    shuffled = dinucleotide_shuffle(codes, seed=0)
    labels = np.repeat(np.array([[1], [0]], dtype=np.uint8), len(codes), axis=0)
    return np.concatenate([codes, shuffled]), labels, np.concatenate([splits, splits])


def _is_fasta(path: Path) -> bool:
    return next(read_chunks(path)).lstrip()[:1] == b">"


def _of_width(path: Path, width: int) -> np.ndarray:
    codes = read_fasta(path)[1]
    if codes.shape[1] != width:
        raise InputError(
            f"{path}:1: expected sequences of {width} bp as the windows around peaks, "
            f"got {codes.shape[1]} bp. Give `window` that length, or other sequences."
        )
    return codes
