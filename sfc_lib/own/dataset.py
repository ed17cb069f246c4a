"""Your own data: FASTA of positives and negatives, FASTA with a table of labels, or peaks.

Files are given by their paths and become the SHA-256 of their content at once, so that the
dataset, and every run on it, is named by what it holds and not by where that lay.

Windows around a user's peaks, their negatives, and the splits of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from sfc_lib.datasets.base import SPLITS, Recipe, Report, Split
from sfc_lib.errors import UserError
from sfc_lib.genomics.fasta import iterate_fasta, read_fasta
from sfc_lib.genomics.genome import BEYOND, HOLDS_N, Genome
from sfc_lib.genomics.intervals import (
    NARROWPEAK,
    SKIPPED,
    canonical_name,
    overlaps,
    read_intervals,
    resize,
)
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.text import read_chunks, read_lines
from sfc_lib.own.files import Labels, is_hash, read_labels, recall, remember
from sfc_lib.own.splitting import at_random, named, of_genome


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
        UserError: A file that is not what it should be, with its line.
        UserError: Intervals that the genome can't hold, with the first one's line.
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
        raise UserError(f"{windows.genome[0]}: expected windows without N, got none that is left.")
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
        raise UserError(
            f"{path}:1: expected sequences of {width} bp as the windows around peaks, "
            f"got {codes.shape[1]} bp. Give `window` that length, or other sequences."
        )
    return codes


ROLES = ("positives", "negatives", "sequences", "labels", "peaks")  # and genome, of several files
KINDS = (
    {"positives", "negatives"},
    {"sequences", "labels"},
    {"peaks", "genome"},
    {"peaks", "genome", "negatives"},
)
WINDOW = 1000  # bp around a peak


@dataclass(frozen=True)
class Custom(Recipe):
    """Options of a dataset from your own files, for sequences of any one length.

    Three kinds: `positives` and `negatives`; `sequences` and `labels`; or `peaks` and
    `genome`, with `negatives` or without.

    Args:
        positives: FASTA.
        negatives: FASTA; beside peaks also BED or narrowPeak. Without any, each positive
            window is shuffled, keeping its dinucleotide counts.
        sequences: FASTA.
        labels: Tab-separated: a name, then 0 or 1 for each task; see `read_labels`.
        peaks: BED or narrowPeak. Windows lie around the summits of a narrowPeak file, else
            around the middle.
        genome: FASTA file of the reference sequence, or several.
        window: bp around a peak, 1000 by default.
        valid_chromosomes, test_chromosomes: Of peaks; the others train. Both or neither;
            by default see `sfc_lib.own.splitting.of_genome`.
        valid_fraction, test_fraction: Of all examples, where no chromosomes are named.
        task_names: Of positives and negatives, or of peaks: one name. That of labels
            stands in their header.

    Raises:
        ValueError: Files that make none of the three kinds, or a bad option.
        UserError: A file that can't be read, with its line.
    """

    name: ClassVar[str] = "custom"
    version: ClassVar[int] = 1

    positives: str | None = None
    negatives: str | None = None
    sequences: str | None = None
    labels: str | None = None
    peaks: str | None = None
    genome: tuple[str, ...] = ()
    window: int | None = None
    valid_chromosomes: tuple[str, ...] = ()
    test_chromosomes: tuple[str, ...] = ()
    valid_fraction: float = 0.1
    test_fraction: float = 0.1
    task_names: tuple[str, ...] = ()  # type: ignore[misc]  # of the files, not of the class

    def __post_init__(self) -> None:
        for name in ("genome", "valid_chromosomes", "test_chromosomes", "task_names"):
            value = getattr(self, name) or ()
            self._set(name, (str(value),) if isinstance(value, (str, Path)) else tuple(value))
        given = {role for role in (*ROLES, "genome") if getattr(self, role)}
        if given not in KINDS:
            raise ValueError(
                "custom: expected the files positives and negatives, or sequences and labels, or "
                f"peaks and genome (with negatives or without), got {sorted(given) or 'none'}."
            )
        self._check_options()
        for role in (role for role in ROLES if getattr(self, role)):
            self._set(role, _content(getattr(self, role)))
        self._set("genome", tuple(_content(path) for path in self.genome))
        if self.positives and self.positives == self.negatives:
            path = recall(self.negatives, "negatives")
            raise UserError(f"{path}: expected other sequences than the positives, got the same.")
        if not self.task_names:
            named = (
                self._labels().tasks if self.labels else ("bound" if self.peaks else "positive",)
            )
            self._set("task_names", named)

    def _check_options(self) -> None:
        if self.peaks and self.window is None:
            self._set("window", WINDOW)
        if self.peaks and (type(self.window) is not int or self.window < 1):
            raise ValueError(f"custom: window must be an integer >= 1, got {self.window!r}.")
        chromosomes = self.valid_chromosomes, self.test_chromosomes
        if not self.peaks and (self.window is not None or any(chromosomes)):
            raise ValueError("custom: window and chromosomes are options of peaks only.")
        if bool(chromosomes[0]) != bool(chromosomes[1]):
            raise ValueError(
                f"custom: name chromosomes for both valid and test, got {chromosomes}."
            )
        for name, chroms in zip(
            ("valid_chromosomes", "test_chromosomes"), chromosomes, strict=True
        ):
            self._set(name, tuple(sorted({canonical_name(chrom) for chrom in chroms})))
        fractions = self.valid_fraction, self.test_fraction
        if not all(isinstance(f, float) and f > 0 for f in fractions) or sum(fractions) >= 1:
            raise ValueError(
                "custom: valid_fraction and test_fraction must be > 0 with a sum < 1, "
                f"got {fractions}."
            )
        if not self.labels and len(self.task_names) > 1:
            raise ValueError(f"custom: expected one task name, got {self.task_names}.")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def inputs(self) -> dict[str, str]:
        found = {role: getattr(self, role) for role in ROLES if getattr(self, role)}
        return found | {f"genome {i}": sha256 for i, sha256 in enumerate(self.genome, 1)}

    @property
    def paths(self) -> dict[str, Path]:
        """Where each input lies, by the names of `inputs`."""
        return {role: recall(sha256, role) for role, sha256 in self.inputs().items()}

    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        parts, examples = self._made()
        return parts, examples.dropped

    def write(self, folder: Path) -> Report:
        parts, examples = self._made()
        for name, part in parts.items():
            np.save(folder / f"{name}_codes.npy", part.codes)
            np.save(folder / f"{name}_labels.npy", part.labels)
        return Report(examples.dropped, examples.counts)

    def _made(self) -> tuple[dict[str, Split], Examples]:
        made = self._examples()
        chosen = {name: made.splits == name for name in SPLITS}
        parts = {name: Split(made.codes[rows], made.labels[rows]) for name, rows in chosen.items()}
        first = next(iter(self.paths.values()))
        _require_both_classes(parts, self.task_names, first, made.dropped)
        return parts, made

    def _examples(self) -> Examples:
        seed = np.random.SeedSequence(int(self.fingerprint[:16], 16))
        rng, fractions = np.random.default_rng(seed), (self.valid_fraction, self.test_fraction)
        if self.peaks:
            chosen = self.valid_chromosomes, self.test_chromosomes
            paths = self.paths
            genome = [path for role, path in paths.items() if role.startswith("genome")]
            windows = Windows(genome, self.window or WINDOW, *fractions, *chosen)
            return from_peaks(windows, paths["peaks"], paths.get("negatives"), rng)
        codes, labels = self._two_files() if self.positives else self._table()
        keep, dropped = distinct(codes, labels)
        codes, labels = codes[keep], labels[keep]
        return Examples(codes, labels, at_random(labels, *fractions, rng), dropped, {})

    def _two_files(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and labels of positives and negatives."""
        paths = self.paths
        positives, negatives = (read_fasta(paths[role])[1] for role in ("positives", "negatives"))
        require_length(paths["negatives"], negatives, positives.shape[1], "the positives")
        labels = np.repeat(
            np.array([[1], [0]], dtype=np.uint8), [len(positives), len(negatives)], 0
        )
        return np.concatenate([positives, negatives]), labels

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and labels of sequences with a table, in the order of the sequences."""
        paths, table = self.paths, self._labels()
        if table.tasks != self.task_names:
            raise ValueError(f"custom: expected the tasks {table.tasks}, got {self.task_names}.")
        names, codes = read_fasta(paths["sequences"])
        row_of = {name: row for row, name in enumerate(table.names)}
        if unlabelled := next((name for name in names if name not in row_of), None):
            line = next(
                r.line for r, _ in iterate_fasta(paths["sequences"]) if r.name == unlabelled
            )
            raise UserError(
                f"{paths['sequences']}:{line}: expected a sequence whose labels stand in "
                f"{paths['labels']}, got {unlabelled!r}. Add a line for it, or leave it out."
            )
        known = set(names)
        if unknown := [row for row, name in enumerate(table.names) if name not in known]:
            raise UserError(
                f"{paths['labels']}:{table.lines[unknown[0]]}: expected the name of a sequence in "
                f"{paths['sequences']}, got {table.names[unknown[0]]!r}; {len(unknown):,} of "
                f"{len(table.names):,} names are not there. A name ends at its first blank."
            )
        return codes, table.values[[row_of[name] for name in names]]

    def _labels(self) -> Labels:
        return read_labels(recall(self.labels or "", "labels"))


def _content(value: str | Path) -> str:
    """The SHA-256 that stands for a file in the options."""
    return str(value) if is_hash(str(value)) else remember(value)


def distinct(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """Which examples to keep, bool (examples,), so that no sequence comes twice; counts of others.

    Of equal sequences with equal labels the first stays; with different labels none does.

    Example:

    >>> distinct(np.array([[0, 1], [0, 1], [2, 2]]), np.array([[1], [1], [0]]))
    (array([ True, False,  True]), {'same sequence again': 1})
    """
    table = pd.DataFrame({"sequence": [row.tobytes() for row in np.ascontiguousarray(codes)]})
    table["labels"] = [row.tobytes() for row in np.ascontiguousarray(labels)]
    differ = table.groupby("sequence")["labels"].transform("nunique").to_numpy() > 1
    again = table.duplicated("sequence").to_numpy() & ~differ
    counts = {
        "same sequence with other labels": int(differ.sum()),
        "same sequence again": int(again.sum()),
    }
    return ~differ & ~again, {reason: count for reason, count in counts.items() if count}


def require_length(path: Path, codes: np.ndarray, length: int, like: str) -> None:
    """Refuse sequences of another length than `like`'s."""
    if codes.shape[1] != length:
        raise UserError(
            f"{path}:1: expected sequences of {length} bp as {like}, got {codes.shape[1]} bp. "
            "All sequences must have one length."
        )


def _require_both_classes(
    parts: dict[str, Split], tasks: Sequence[str], path: Path, dropped: dict[str, int]
) -> None:
    """Refuse data that can't be learned from, or not be scored."""
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "nothing"
    totals = np.sum([part.positives for part in parts.values()], axis=0)
    examples = sum(map(len, parts.values()))
    for column, task in enumerate(tasks):
        for name, part in parts.items():
            positives = part.positives[column]
            if 0 < positives < len(part):
                continue
            raise UserError(
                f"{path}: expected positive and negative examples of {task!r} in every split, got "
                f"{positives:,} positive of {len(part):,} in {name!r} ({totals[column]:,} of "
                f"{examples:,} in all; left out: {left_out}). Give more examples, larger "
                "fractions, or other chromosomes."
            )
