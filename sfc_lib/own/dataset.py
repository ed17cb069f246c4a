"""Your own data: FASTA of positives and negatives, FASTA with a table of labels, or peaks.

Files are given by their paths and become the SHA-256 of their content at once, so that the
dataset, and every run on it, is named by what it holds and not by where that lay.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from sfc_lib.datasets.base import (
    LATER,
    NOT_KNOWN,
    SPLITS,
    Recipe,
    Report,
    Split,
    is_known,
    label_scale,
)
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.fasta import iterate_fasta, read_fasta
from sfc_lib.genomics.genome import BEYOND, HOLDS_N, Genome
from sfc_lib.genomics.intervals import (
    NARROWPEAK,
    canonical_name,
    overlaps,
    read_columns,
    read_intervals,
    resize,
)
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.text import read_chunks
from sfc_lib.own.files import ROLES, Labels, content_hash, read_labels, recall, require_kind
from sfc_lib.own.negatives import AWAY, gc_content, matched
from sfc_lib.own.splitting import (
    FAR,
    alike,
    coordinates,
    in_groups,
    named,
    of_genome,
    stretches,
    within,
)

WINDOW = 1000  # bp around a peak
TEST_FRACTION = 0.1  # of the examples, where neither a file nor chromosomes are named
N = ALPHABET.index("N")
FEW = 0.01  # of the peaks may have a summit outside themselves, or lie beyond a chromosome
LOST = 0.1  # of the intervals may lie on chromosomes that the genome has no name for
ALIKE = 0.9  # of peaks must have one length if all have their summit at one distance
BED12 = 12  # columns of BED with blocks
MANY = 20  # peaks from which that is no chance
MIDDLES = "To take the middles of the peaks, give the first 9 columns (cut -f1-9)."
SHOWN = 8  # names of chromosomes in a message
TEST = "test "  # before what is of a test set's own files
CONFLICT = "same sequence with other labels"
AVERAGED = "same sequence again, the values averaged"
FEWEST = 10  # measurements of a task in a split
TINY = 1e-30  # a smaller standard deviation is none
IN_TEST = "same sequence as one that tests"
BACKGROUNDS = ("genomic", "shuffled")


@dataclass(frozen=True)
class Custom(Recipe):
    """Options of a dataset from your own files, for sequences of any one length.

    Three kinds: `positives` and `negatives`; `sequences` and `labels`; or `peaks` and
    `genome`, with `negatives` or without. `load_dataset` and `RunSpec` take files by their
    paths; here they are given by the SHA-256 of their content, see `of`.

    Args:
        positives: FASTA.
        negatives: FASTA; beside peaks also BED or narrowPeak. Without any, `background` says.
        sequences: FASTA.
        labels: Tab-separated: a name, then 0, 1 or NA for each task; see `read_labels`.
        continuous: The labels are measurements: numbers of any size.
        peaks: BED or narrowPeak. A window lies around a peak's summit where the file gives
            one, else around the middle.
        genome: FASTA file of the reference sequence, or several.
        window: bp around a peak, 1000 by default.
        partial_genome: The genome is a part of the one that peaks were called on: those that
            lie elsewhere are left out, however many.
        background: Of peaks without negatives: by default `"genomic"`, each positive window
            stands against one of the same chromosome and GC content away from all peaks; or
            `"shuffled"`, against itself with its dinucleotides shuffled, which is easy.
        valid_chromosomes, test_chromosomes: Of peaks, or of sequences with names such as
            `chr1:100-300`; the others train. Both or neither; by default see
            `sfc_lib.own.splitting.of_genome`.
        valid_fraction, test_fraction: Of all examples, where no chromosomes are named.
        task_names: Of positives and negatives, or of peaks: one name. That of labels
            stands in their header.
        test, test_negatives, test_labels: A test set of files of its own, of the same kind as
            positives, sequences or peaks, with its negatives or labels where those have some.
            What is left of the others trains and validates.

    Raises:
        UserError: Files that make none of the three kinds, or a bad option.
    """

    name: ClassVar[str] = "custom"
    version: ClassVar[int] = 4

    positives: str | None = None
    negatives: str | None = None
    sequences: str | None = None
    labels: str | None = None
    peaks: str | None = None
    genome: tuple[str, ...] = ()
    window: int | None = None
    background: str | None = None
    valid_chromosomes: tuple[str, ...] = ()
    test_chromosomes: tuple[str, ...] = ()
    valid_fraction: float = 0.1
    test_fraction: float = TEST_FRACTION
    task_names: tuple[str, ...] = ()  # type: ignore[misc]  # of the files, not of the class
    partial_genome: bool = dataclasses.field(default=False, metadata=LATER)
    test: str | None = dataclasses.field(default=None, metadata=LATER)
    test_negatives: str | None = dataclasses.field(default=None, metadata=LATER)
    test_labels: str | None = dataclasses.field(default=None, metadata=LATER)
    continuous: bool = dataclasses.field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        require_kind(role for role in (*ROLES, "genome") if getattr(self, role))
        if self.peaks and not self.negatives:
            self.require_one_of("background", BACKGROUNDS)
        elif self.background is not None:
            raise UserError("custom: background is an option of peaks without negatives only.")
        chromosomes = self.valid_chromosomes, self.test_chromosomes
        if self.peaks and (type(self.window) is not int or self.window < 1):
            raise UserError(f"custom: window must be an integer >= 1, got {self.window!r}.")
        if self.continuous and not self.labels:
            raise UserError("custom: continuous is an option of sequences with labels only.")
        if self.partial_genome and not self.peaks:
            raise UserError("custom: partial_genome is an option of peaks only.")
        if not self.peaks and self.window is not None:
            raise UserError("custom: window is an option of peaks only.")
        if self.test and (self.test_chromosomes or self.test_fraction != TEST_FRACTION):
            named = "test_chromosomes" if self.test_chromosomes else "test_fraction"
            raise UserError(f"custom: the test set is a file: expected no {named} beside it.")
        if any(chromosomes) and not all(chromosomes) and not self.test:
            raise UserError(f"custom: name chromosomes for both valid and test, got {chromosomes}.")
        fractions = self.valid_fraction, self.test_fraction
        if not all(isinstance(f, float) and f > 0 for f in fractions) or sum(fractions) >= 1:
            raise UserError(
                "custom: valid_fraction and test_fraction must be > 0 with a sum < 1, "
                f"got {fractions}."
            )
        if odd := [name for name in self.task_names if re.search(r"[\t\r\n]", name)]:
            raise UserError(f"custom: expected a task's name without tabs, got {odd[0]!r}.")
        if not self.labels and len(self.task_names) > 1:
            raise UserError(f"custom: expected one task name, got {self.task_names}.")

    @classmethod
    def of(cls, **options: Any) -> Custom:
        """The recipe of options with files by their paths, whose content is hashed here.

        A single genome, chromosome or task may stand for a list of one, a hash for a path.

        Raises:
            UserError: As the class; or a file that can't be read, with its line.
        """
        for name in ("genome", "valid_chromosomes", "test_chromosomes", "task_names"):
            value = options.get(name) or ()
            options[name] = (str(value),) if isinstance(value, (str, Path)) else tuple(value)
        for name in ("valid_chromosomes", "test_chromosomes"):
            options[name] = tuple(sorted(set(map(canonical_name, options[name]))))
        if options.get("peaks") and options.get("window") is None:
            options["window"] = WINDOW
        if options.get("peaks") and not options.get("negatives"):
            options["background"] = options.get("background") or BACKGROUNDS[0]
        cls(**options)  # refuses a bad option before any file is read
        options |= {role: content_hash(options[role]) for role in ROLES if options.get(role)}
        made = cls(**options | {"genome": tuple(map(content_hash, options["genome"]))})
        if made.positives and made.positives == made.negatives:
            path = recall(made.positives, "negatives")
            raise UserError(f"{path}: expected other sequences than the positives, got the same.")
        first = made.positives or made.sequences or made.peaks or ""
        if made.negatives and made.negatives == made.test_negatives:
            path = recall(made.negatives, "negatives")
            raise UserError(
                f"{path}: expected other negatives to test than to train, got the same."
            )
        if made.test in (first, made.test_negatives) and made.test:
            others = "those that train" if made.test == first else "the test negatives"
            path = recall(made.test, "test")
            raise UserError(f"{path}: expected another file than {others}, got the same.")
        alone = ("bound" if made.peaks else "positive",)
        tasks = made.task_names or (made._labels().tasks if made.labels else alone)
        return dataclasses.replace(made, task_names=tasks)

    def _labels(self) -> Labels:
        return read_labels(recall(self.labels or "", "labels"), self.continuous)

    @property
    def fractions(self) -> tuple[float, float]:
        """Which shares of the examples validate and test, where no chromosomes are named."""
        return self.valid_fraction, 0.0 if self.test else self.test_fraction

    def inputs(self) -> dict[str, str]:
        found = {role: getattr(self, role) for role in ROLES if getattr(self, role)}
        return found | {f"genome {i}": sha256 for i, sha256 in enumerate(self.genome, 1)}

    @property
    def paths(self) -> dict[str, Path]:
        """Where each input lies, by the names of `inputs`."""
        return {role: recall(sha256, role) for role, sha256 in self.inputs().items()}

    def write(self, folder: Path) -> Report:
        made = self._examples()
        chosen = {name: made.splits == name for name in SPLITS}
        parts = {name: Split(made.codes[rows], made.labels[rows]) for name, rows in chosen.items()}
        paths = self.paths
        of = dict.fromkeys(SPLITS, next(iter(paths.values())))
        require = _require_measurements if self.continuous else _require_both_classes
        require(parts, self.task_names, of | {"test": paths.get("test", of["test"])}, made.dropped)
        for name, part in parts.items():
            np.save(folder / f"{name}_codes.npy", part.codes)
            np.save(folder / f"{name}_labels.npy", part.labels)
        return Report(made.dropped, made.counts)

    def _examples(self) -> Examples:
        rng = np.random.default_rng(np.random.SeedSequence(int(self.fingerprint[:16], 16)))
        if self.peaks:
            return from_peaks(self, rng)
        roles = ("positives", "negatives") if self.positives else ("sequences", "labels")
        names, codes, labels, dropped = self._sequences(*roles)
        if self.test:
            of = "test_negatives" if self.positives else "test_labels"
            _, held, truth, left_out = self._sequences("test", of)
            _require_length(self.paths["test"], held, codes.shape[1], f"the {roles[0]}")
            fresh = ~_among(codes, held)
            if not fresh.any():
                path = self.paths["test"]
                raise UserError(f"{path}: expected other sequences than train, got all of them.")
            names, codes, labels = list(np.array(names, object)[fresh]), codes[fresh], labels[fresh]
            dropped |= {f"test: {why}": count for why, count in left_out.items()}
            dropped |= {IN_TEST: int((~fresh).sum())} if not fresh.all() else {}
        splits, more = self._splits(names, codes, labels, rng)
        if across := int((splits == "").sum()):
            dropped["across two splits"] = across
        used = splits != ""
        codes, labels, splits = codes[used], labels[used], splits[used]
        if self.test:
            codes, labels = np.concatenate([codes, held]), np.concatenate([labels, truth])
            splits = np.concatenate([splits, np.repeat("test", len(held))])
        if unknown := int((~is_known(labels)).sum()):
            more = {"labels that are not known": unknown, **more}
        return Examples(codes, labels, splits, dropped, more)

    def _sequences(
        self, first: str, second: str
    ) -> tuple[list[str], np.ndarray, np.ndarray, dict[str, int]]:
        """Names, codes and labels of files by their roles, each sequence once; what was dropped."""
        read = self._from_two if "negatives" in second else self._from_table
        names, codes, labels = read(first, second)
        known = is_known(labels).any(axis=1)
        unlabelled = {"no label is known": int((~known).sum())} if not known.all() else {}
        told, silent = _telling(codes[known])
        rows = np.flatnonzero(known)[told]
        merge = averaged if self.continuous else distinct
        labels[rows], keep, dropped = merge(codes[rows], labels[rows])
        rows, dropped = rows[keep], unlabelled | silent | dropped
        return [names[row] for row in rows], codes[rows], labels[rows], dropped

    def _splits(
        self, names: list[str], codes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, int]]:
        """Splits of sequences, (examples,), "" for none, and what to tell of them.

        By chromosome where the names tell where they lie, else with near-duplicates together.
        """
        fractions, places = self.fractions, coordinates(names)
        if places is None and self.valid_chromosomes:
            raise UserError(
                f"custom: valid_chromosomes need names such as chr1:100-300, got {names[0]!r}."
            )
        if places is None:
            groups = alike(codes)
            together = int((np.bincount(groups)[groups] > 1).sum())
            counts = {"sequences alike to another, in one split with it": together}
            alike_labels = tenths(labels) if self.continuous else labels
            splits = in_groups(alike_labels, groups, *fractions, rng)
            return splits, counts if together else {}
        if asked := self.valid_chromosomes:
            chosen = named(list(places["chrom"].unique()), asked, self.test_chromosomes)
            splits = places["chrom"].map(chosen).to_numpy(dtype="<U5")
        else:
            splits = of_genome(places, *fractions)
        table = places.assign(split=splits)
        return splits, _by_split(table[splits != ""])

    def _from_two(self, one: str, two: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        paths = self.paths
        (first, positives), (second, negatives) = (read_fasta(paths[role]) for role in (one, two))
        _require_length(paths[two], negatives, positives.shape[1], "the positives")
        labels = np.repeat([[1], [0]], [len(positives), len(negatives)], axis=0).astype(np.uint8)
        return [*first, *second], np.concatenate([positives, negatives]), labels

    def _from_table(self, one: str, two: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """In the order of the sequences, each of which must have a line, and each line one."""
        paths = self.paths
        sequences, labels = paths[one], paths[two]
        table = read_labels(labels, self.continuous)
        if set(table.tasks) != set(self.task_names):
            raise UserError(f"{labels}: expected the tasks {self.task_names}, got {table.tasks}.")
        names, codes = read_fasta(sequences)
        row_of = {name: row for row, name in enumerate(table.names)}
        if alone := next((name for name in names if name not in row_of), None):
            line = next(e.line for e, _ in iterate_fasta(sequences) if e.name == alone)
            raise UserError(
                f"{sequences}:{line}: expected a sequence whose labels stand in "
                f"{labels}, got {alone!r}. Add a line for it, or leave it out."
            )
        known = set(names)
        if unknown := [name for name in row_of if name not in known]:
            raise UserError(
                f"{labels}:{table.lines[row_of[unknown[0]]]}: expected the name of a "
                f"sequence in {sequences}, got {unknown[0]!r}; {len(unknown):,} of "
                f"{len(row_of):,} names are not there. A name ends at its first blank."
            )
        rows = [row_of[name] for name in names]
        columns = [table.tasks.index(task) for task in self.task_names]
        return names, codes, table.values[rows][:, columns]


@dataclass(frozen=True, eq=False)
class Examples:
    """Codes (examples, length), labels (examples, tasks), splits (examples,), and two counts.

    `dropped`: what was left out, by reason. `counts`: windows by split and chromosome, and
    what they lie around.
    """

    codes: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    dropped: Mapping[str, int]
    counts: Mapping[str, int]


def _among(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which sequences are also among others, bool (examples,)."""
    known = {row.tobytes() for row in others}
    return np.array([row.tobytes() in known for row in codes], dtype=bool)


def _telling(codes: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """Which sequences have a known base, bool (examples,), and the count of the others."""
    told = (codes != N).any(axis=1)
    silent = int((~told).sum())
    return told, {"sequence of unknown bases only": silent} if silent else {}


def distinct(
    codes: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Labels of classes, of which no sequence comes twice; see `averaged`.

    Of equal sequences the first stays, with what is known of any; none does where two differ in
    a label that both know.

    Returns:
        The labels, uint8 (examples, tasks); which examples to keep, bool (examples,); and how
        many others there are, by why.

    Example:

    >>> codes = np.array([[0, 1], [0, 1], [2, 2]])
    >>> labels, keep, others = distinct(codes, np.array([[1, 255], [1, 0], [0, 0]], np.uint8))
    >>> labels[keep].tolist(), others
    ([[1, 0], [0, 0]], {'same sequence again': 1})
    """
    sequences = pd.Series([row.tobytes() for row in codes])
    known = pd.DataFrame(np.where(is_known(labels), labels, np.nan)).groupby(sequences)
    least, most = (getattr(known, end)() for end in ("min", "max"))
    least, most = (part.loc[sequences].to_numpy() for part in (least, most))
    differ = (least < most).any(axis=1)
    again = sequences.duplicated().to_numpy() & ~differ
    counts = {
        CONFLICT: int(differ.sum()),
        "same sequence again": int(again.sum()),
    }
    counts = {reason: count for reason, count in counts.items() if count}
    merged = np.where(np.isnan(most), NOT_KNOWN, most).astype(np.uint8)
    return merged, ~differ & ~again, counts


def averaged(
    codes: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Measurements, of which equal sequences have the mean of those known; see `distinct`.

    Returns:
        The measurements, float32 (examples, tasks); which examples to keep, the first of equal
        ones, bool (examples,); and how many others there are.

    Example:

    >>> labels, keep, _ = averaged(np.array([[0], [0]]), np.float32([[1, np.nan], [2, 3]]))
    >>> labels.tolist(), keep.tolist()
    ([[1.5, 3.0], [1.5, 3.0]], [True, False])
    """
    sequences = pd.Series([row.tobytes() for row in codes])
    means = pd.DataFrame(labels.astype(np.float64)).groupby(sequences).transform("mean")
    again = sequences.duplicated().to_numpy()
    counts = {AVERAGED: int(again.sum())} if again.any() else {}
    return means.to_numpy(np.float32), ~again, counts


def tenths(labels: np.ndarray) -> np.ndarray:
    """Classes of measurements to spread over splits: which are known, and the tenth of the mean.

    The mean is one of the standardised tasks that are known. uint8 (examples, tasks + 1).
    """
    known, (mean, spread) = is_known(labels), label_scale(labels)
    mean = np.where(known, (labels - mean) / spread, 0).sum(axis=1) / known.sum(axis=1)
    place = np.argsort(np.argsort(mean, kind="stable"), kind="stable")
    return np.column_stack([known, place * 10 // len(place)]).astype(np.uint8)


def from_peaks(recipe: Custom, rng: np.random.Generator) -> Examples:
    """Examples from peaks, with one task.

    Positives are windows around peaks. Negatives are windows around the middle of other
    intervals that share no base with a peak, or sequences; or, if there is no file, windows
    that `sfc_lib.own.negatives` matches to the positives, or the positives shuffled, each in
    the split of its origin. A `UserError` names the first line of a file that is wrong, or
    that the genome can't hold.
    """
    paths, width = recipe.paths, recipe.window or WINDOW
    genome = Genome([path for role, path in paths.items() if role.startswith("genome")])
    part = recipe.partial_genome
    kinds = {"": ("peaks", "negatives"), TEST: ("test", "test_negatives")}
    kinds = {kind: roles for kind, roles in kinds.items() if roles[0] in paths}
    found, windows, sequences = dict[str, pd.DataFrame](), list[pd.DataFrame](), {}
    silent, matching = dict[str, int](), dict[str, int]()
    for kind, (role, _) in kinds.items():
        found[kind] = _of_genome(read_peaks(paths[role]), genome, paths[role], part)
        windows.append(_windows(found[kind], width, genome, f"{kind}positive"))
    peaks = pd.concat(found.values())
    for kind, (_, role) in kinds.items():
        if (negatives := paths.get(role)) and _is_fasta(negatives):
            codes = read_fasta(negatives)[1]
            _require_length(negatives, codes, width, "the windows around peaks")
            told, none = _telling(codes)
            sequences[kind] = codes[told]
            silent |= {f"{kind}{why}": count for why, count in none.items()}
        elif negatives:
            others = _of_genome(read_intervals(negatives), genome, negatives, part)
            free = _windows(others, width, genome, f"{kind}negative")
            free.loc[(free["why"] == "") & overlaps(free, peaks), "why"] = "overlaps a peak"
            windows.append(free)
    if TEST in kinds:
        again = pd.MultiIndex.from_frame(windows[0][["chrom", "start"]]).isin(
            pd.MultiIndex.from_frame(windows[1][["chrom", "start"]])
        )
        windows[0].loc[again & (windows[0]["why"] == "").to_numpy(), "why"] = IN_TEST
    places = None
    if recipe.background == "genomic":
        used = windows[0][windows[0]["why"] == ""]
        if not recipe.valid_chromosomes:
            places = stretches(used, *recipe.fractions)
        free, matching = _matched(pd.concat(windows), places, peaks, genome, rng, paths["peaks"])
        windows.append(free)
    table = pd.concat(windows, ignore_index=True)
    codes, table = _cut(recipe, table, places, genome, paths["genome 1"])
    used = table["why"] == ""
    labels = table.loc[used, "kind"].str.endswith("positive").to_numpy(dtype=np.uint8)[:, None]
    splits = table.loc[used, "split"].to_numpy(dtype="<U5")
    parts, whose = [codes], [splits]
    if recipe.background == "shuffled":
        parts, whose = [codes, dinucleotide_shuffle(codes, seed=0)], [splits, splits]
    tests = _tests(table[used])
    sequences, others = _free_of(sequences, codes)
    silent |= others
    for kind, codes in sequences.items():
        valid, test = (float(np.mean(splits[~tests] == name)) for name in ("valid", "test"))
        drawn = in_groups(np.zeros((len(codes), 1)), alike(codes), valid, test, rng)
        parts.append(codes)
        whose.append(np.repeat("test", len(codes)) if kind else drawn)
    codes, splits = np.concatenate(parts), np.concatenate(whose)
    labels = np.pad(labels, [(0, len(codes) - len(labels)), (0, 0)])
    dropped, counts = _tallies(found, table)
    return Examples(codes, labels, splits, silent | dropped, counts | matching)


def _free_of(
    sequences: Mapping[str, np.ndarray], windows: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Negative sequences, each once, that are no window's nor, to train, one that tests.

    And counts of the others. `sequences`: codes of those that train, and of those that test.
    """
    free, counts = dict[str, np.ndarray](), dict[str, int]()
    for kind in sorted(sequences, reverse=True):  # those that test, first
        codes = sequences[kind]
        again = pd.Series([row.tobytes() for row in codes]).duplicated().to_numpy()
        bound, tests = _among(codes, windows), np.zeros(len(codes), bool)
        if kind == "" and TEST in free:
            tests = _among(codes, free[TEST])
        reasons = {
            CONFLICT: bound,
            IN_TEST: tests & ~bound,
            "same sequence again": again & ~tests & ~bound,
        }
        counts |= {f"{kind}negative: {why}": int(n.sum()) for why, n in reasons.items() if n.any()}
        free[kind] = codes[~(again | bound | tests)]
    return dict(reversed(free.items())), counts


def _matched(
    positives: pd.DataFrame,
    places: pd.DataFrame | None,
    peaks: pd.DataFrame,
    genome: Genome,
    rng: np.random.Generator,
    path: Path,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Negatives of the genome for the positive windows that are used, and counts of them.

    Where splits have their `places` they are in those of their positives.
    """
    used = positives[positives["why"] == ""]
    if places is not None:
        used = used.assign(split=within(used, places))
        used = used[(used["split"] != "") | _tests(used)]
        near = places.rename(columns={"start": "first", "end": "last"})
        used = used.merge(near, "left", ["chrom", "split"])
        used.loc[_tests(used), ["first", "last"]] = 0, FAR  # anywhere
        used = used.astype({"first": np.int64, "last": np.int64})
    codes, keep, _ = genome.windows(used)
    if not keep.any():
        raise UserError(f"{path}: expected windows without N inside the genome, got none.")
    free, counts = matched(used[keep], gc_content(codes), peaks, genome, rng)
    if len(free) < keep.sum() / 2:
        raise UserError(
            f"{path}: expected a genome with room for negatives {AWAY:,} bp or more from any peak, "
            f"got {len(free):,} for {keep.sum():,} peaks. Give --negatives, or the whole genome, "
            "or compare with --background shuffled."
        )
    kinds = used["kind"].to_numpy()[keep][free["row"]]
    kinds = np.char.replace(kinds.astype(str), "positive", "negative")
    return free[["chrom", "start", "end"]].assign(kind=kinds, why=""), counts


def peak_windows(
    path: Path, genome: Genome, width: int, partial: bool = False
) -> tuple[pd.DataFrame, np.ndarray]:
    """Windows around the peaks of a file, and their codes, uint8 (windows, width).

    As for training: around summits or middles, each once, and none beyond an end or with an N.

    Raises:
        UserError: As of `read_peaks`; peaks that are not of this genome; no window left.
    """
    windows = _windows(_of_genome(read_peaks(path), genome, path, partial), width, genome, "")
    used = windows[windows["why"] == ""]
    codes, keep, _ = genome.windows(used)
    if not len(codes):
        raise UserError(f"{path}: expected windows of {width:,} bp without N, got none.")
    return used[keep].reset_index(drop=True), codes


def place_names(windows: pd.DataFrame) -> list[str]:
    """The places of windows as names.

    Example:

    >>> place_names(pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [300]}))
    ['chr1:100-300']
    """
    places = zip(windows["chrom"], windows["start"], windows["end"], strict=True)
    return [f"{chrom}:{start}-{end}" for chrom, start, end in places]


def names_of(recipe: Custom, codes: np.ndarray) -> list[str]:
    """What sequences are called: the places of windows around peaks, or their names in FASTA.

    `codes`: uint8 (sequences, length), of a dataset of the recipe, which keeps no names; `""`
    for negatives that are not among the labelled sequences.
    """
    paths, called = recipe.paths, dict[bytes, str]()
    genome = Genome([path for role, path in paths.items() if role.startswith("genome")])
    roles = ("positives", "sequences", "peaks", "test")
    for path in (paths[role] for role in roles if role in paths):
        if recipe.peaks:
            width = recipe.window or WINDOW
            windows, known = peak_windows(path, genome, width, recipe.partial_genome)
            names = place_names(windows)
        else:
            names, known = read_fasta(path)
        called |= {row.tobytes(): name for name, row in zip(names, known, strict=True)}
    return [called.get(row.tobytes(), "") for row in codes]


def read_peaks(path: Path) -> pd.DataFrame:
    """Intervals of a BED or narrowPeak file, each with its `summit`, and where that is `at`.

    `at` is `"summit"` where the tenth column of a narrowPeak file gives one, and `"middle"`
    where it is −1, and in other files; it says so where the middle stands in for one of few
    summits outside their peaks, as some of ENCODE's are.

    Raises:
        UserError: As `read_intervals`; a tenth column that is no distance from the start, but
            a position, a length or a constant.
    """
    intervals, columns = read_intervals(path), read_columns(path)
    middle = (intervals["start"] + intervals["end"]) // 2
    by_middle = intervals.assign(summit=middle, at="middle")
    if len(columns.columns) < NARROWPEAK or _is_bed12(columns):
        return by_middle
    if strange := _no_narrowpeak(columns):
        warnings.warn(
            f"{path}:{strange} So column 10 is no summit: windows lie around the middles.",
            stacklevel=2,
        )
        return by_middle
    text = columns[NARROWPEAK]
    if len(bad := text[~text.str.fullmatch(r"-1|\d{1,12}")]):
        raise UserError(
            f"{path}:{bad.index[0]}: expected a summit in column 10, its distance from the start "
            f"or -1, got {bad.iloc[0]!r}."
        )
    offset, size = text.astype(np.int64), intervals["end"] - intervals["start"]
    given, outside = offset >= 0, offset >= size
    _require_distances(path, intervals[given], offset[given])
    summit = middle.where(~given | outside, intervals["start"] + offset)
    at = np.select([~given, outside], ["middle", "middle, their summit lies outside"], "summit")
    return intervals.assign(summit=summit, at=at)


def _is_bed12(columns: pd.DataFrame) -> bool:
    """Whether a file has BED's columns of blocks, the tenth of which says how many there are."""
    if len(columns.columns) != BED12:
        return False
    sizes = columns[BED12 - 1].str.strip(",").str.split(",").str.len()
    return bool((sizes.astype(str) == columns[NARROWPEAK]).mean() > 0.5)


def _no_narrowpeak(columns: pd.DataFrame) -> str:
    """What a file of ten columns has in most lines that narrowPeak has not; "" if nothing."""
    expected = {5: "a number", 6: "a strand", 7: "a number", 8: "a number", 9: "a number"}
    for column, what in expected.items():
        values = columns[column].mask(columns[column].isin([".", "NA", ""]), "0")
        good = values.isin(list("+-0")) if column == 6 else pd.to_numeric(values, "coerce").notna()
        if 2 * good.sum() < len(good):
            line = good.index[~good][0]
            return (
                f"{line}: narrowPeak has {what} in column {column}, this file of "
                f"{len(columns.columns)} columns {columns[column][line]!r}."
            )
    return ""


def _require_distances(path: Path, peaks: pd.DataFrame, offset: pd.Series) -> None:
    """Refuse a tenth column that holds something else than distances of summits."""
    start, size = peaks["start"], peaks["end"] - peaks["start"]
    outside = offset >= size
    if (number := outside.sum()) > FEW * len(offset):
        line = outside.index[outside][0]
        if ((offset >= start) & (offset < peaks["end"]))[outside].mean() > 0.5:
            hint = "positions on the chromosome: subtract the start, column 2."
        elif (offset == size)[outside].mean() > 0.5:
            hint = f"lengths, of an overlap perhaps. {MIDDLES}"
        else:
            hint = f"distances to something else. {MIDDLES}"
        raise UserError(
            f"{path}:{line}: expected in column 10 the summit's distance from the peak's start, "
            f"less than {size[line]:,}, the peak's length, got {offset[line]:,}; {number:,} of "
            f"{len(offset):,} lie outside. They look like {hint}"
        )
    if len(offset) and (zeros := (offset == 0).sum()) > 0.5 * len(offset):
        raise UserError(
            f"{path}:{offset.index[offset == 0][0]}: expected in column 10 the summit's distance "
            f"from the peak's start, got 0 in {zeros:,} of {len(offset):,} lines. They look like "
            f"distances to something that overlaps, or like no value. {MIDDLES}"
        )
    if offset.nunique() == 1 and len(offset) >= MANY and _mostly_one(size) < ALIKE:
        raise UserError(
            f"{path}:{offset.index[0]}: expected in column 10 the summit's distance from the "
            f"peak's start, got {offset.iloc[0]:,} in each of {len(offset):,} lines, though the "
            f"peaks have {size.nunique():,} lengths. It looks like a constant. {MIDDLES}"
        )


def _mostly_one(values: pd.Series) -> float:
    """The share of the commonest value."""
    return float(values.value_counts(normalize=True).iloc[0])


def _of_genome(
    intervals: pd.DataFrame, genome: Genome, path: Path, partial: bool = False
) -> pd.DataFrame:
    """Intervals by the genome's names of chromosomes; those of another assembly are refused.

    Peaks may reach beyond the end of a chromosome, as MACS makes them, and few may lie there.
    Of a `partial` genome any number may lie elsewhere, but not all.
    """
    here = set(genome.chroms)
    names = {name: genome.own_name(name) for name in intervals["chrom"].unique()}
    theirs, intervals = intervals["chrom"], intervals.assign(chrom=intervals["chrom"].map(names))
    known = intervals["chrom"].isin(here)
    ends = intervals["chrom"].map({name: genome.length(name) for name in here})
    inside = known & (intervals["start"] < ends)
    if not inside.any() or not partial:
        _require_names(path, theirs, known, genome)
        _require_inside(path, intervals[known], ends[known], genome)
    across = intervals["end"] > ends
    if across.any():
        warnings.warn(
            f"{path}:{across.index[across][0]}: {across.sum():,} of {len(intervals):,} intervals "
            "reach beyond the end of their chromosome; windows that do are left out.",
            stacklevel=2,
        )
    clipped = intervals.assign(end=intervals["end"].where(~across, ends))[inside]
    genome.warn_of_n(clipped.astype({"end": np.int64}), path)
    return intervals


def _require_names(path: Path, theirs: pd.Series, known: pd.Series, genome: Genome) -> None:
    """Refuse intervals of which many lie on chromosomes that the genome has no name for."""
    if (lost := (~known).sum()) <= LOST * len(known):
        return
    raise UserError(
        f"{path}:{known.index[~known][0]}: expected chromosomes of the genome, which are named "
        f"{_some(genome.chroms)}, got {_some(theirs[~known].unique())} in {lost:,} of "
        f"{len(known):,} intervals. Give the chromosomes one name in both files. If the genome "
        "is a part of theirs, say so (--partial-genome): what lies elsewhere is left out."
    )


def _require_inside(path: Path, known: pd.DataFrame, ends: pd.Series, genome: Genome) -> None:
    """Refuse intervals of which many begin beyond the end of their chromosome."""
    beyond = known["start"] >= ends
    if beyond.sum() <= FEW * len(known):
        return
    line = beyond.index[beyond][0]
    regions = _some([f"{chrom} to {genome.length(chrom):,}" for chrom in genome.chroms])
    raise UserError(
        f"{path}:{line}: expected end <= {int(ends[line]):,}, the length of "
        f"{known['chrom'][line]}, got {known['end'][line]:,}; {beyond.sum():,} of "
        f"{len(known):,} intervals lie beyond. Are they of another assembly (hg38 is not hg19)? "
        "Lift them over, or give the genome they were called on. If the genome is a part of "
        f"that ({regions}), say so (--partial-genome): what lies elsewhere is left out."
    )


def _some(names: Iterable[str]) -> str:
    """The first names of many."""
    known = list(names)
    return ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")


def _windows(intervals: pd.DataFrame, width: int, genome: Genome, kind: str) -> pd.DataFrame:
    """Windows around intervals, of a `kind`, and `why` a window is not used; "" if it is."""
    windows = resize(intervals, width, intervals.get("summit"))[["chrom", "start", "end"]]
    ends = windows["chrom"].map({chrom: genome.length(chrom) for chrom in genome.chroms})
    reasons = {
        "on a chromosome that the genome lacks": ends.isna(),
        "same window again": windows.duplicated(["chrom", "start"]),
        BEYOND: (windows["start"] < 0) | (windows["end"] > ends),
    }
    why = np.select([np.asarray(rows) for rows in reasons.values()], list(reasons), "")
    return windows.assign(kind=kind, why=why)


def _cut(
    recipe: Custom, table: pd.DataFrame, places: pd.DataFrame | None, genome: Genome, path: Path
) -> tuple[np.ndarray, pd.DataFrame]:
    """Codes of the windows used, and the table with their `split` and why others are not.

    `places`: of the splits, if they are known already.
    """
    rows = np.flatnonzero(table["why"] == "")
    codes, keep, _ = genome.windows(table.iloc[rows])
    table = table.assign(split="")
    table.loc[rows[~keep], "why"] = HOLDS_N
    if not keep.any():
        raise UserError(f"{path}: expected windows without N, got none that is left.")
    used = table.iloc[rows[keep]]
    tests = _tests(used)
    again = _among(codes, codes[tests]) & ~tests
    table.loc[used.index[again], "why"] = IN_TEST
    codes, used, tests = codes[~again], used[~again], tests[~again]
    others, splits = used[~tests], np.full(len(used), "test", dtype="<U5")
    if asked := recipe.valid_chromosomes:
        chosen = named(list(others["chrom"].unique()), asked, recipe.test_chromosomes)
        splits[~tests] = others["chrom"].map(chosen)
    elif places is not None:
        splits[~tests] = within(others, places)
    else:
        splits[~tests] = of_genome(others, *recipe.fractions)
    table.loc[used.index, "split"] = splits
    table.loc[used.index[splits == ""], "why"] = "across two splits"
    return codes[splits != ""], table


def _tests(table: pd.DataFrame) -> np.ndarray:
    """Which windows are of a test set's own files, bool (windows,)."""
    return table["kind"].str.startswith(TEST).to_numpy(dtype=bool)


def _tallies(
    peaks: Mapping[str, pd.DataFrame], table: pd.DataFrame
) -> tuple[dict[str, int], dict[str, int]]:
    """Windows that were left out, by kind and reason; and what was used, by where it lies."""
    unused = table["why"] != ""
    reasons = table[unused].value_counts(["kind", "why"], sort=False)
    counts = {
        f"{kind}peaks taken by their {at}": int(n)
        for kind, some in peaks.items()
        for at, n in some["at"].value_counts().items()
    }
    counts |= _by_split(table[~unused])
    return {f"{kind}: {why}": int(n) for (kind, why), n in reasons.items()}, counts


def _by_split(windows: pd.DataFrame) -> dict[str, int]:
    """How many windows of each chromosome there are in each split."""
    places, counts = windows.value_counts(["split", "chrom"]), dict[str, int]()
    for split in (split for split in SPLITS if split in places):
        counts |= {f"windows of {c} in {split}": int(n) for c, n in places[split].items()}
    return counts


def _is_fasta(path: Path) -> bool:
    return next(read_chunks(path)).lstrip()[:1] == b">"


def _require_length(path: Path, codes: np.ndarray, length: int, like: str) -> None:
    """Refuse sequences of another length than `like`'s."""
    if codes.shape[1] != length:
        raise UserError(
            f"{path}:1: expected sequences of {length} bp as {like}, got {codes.shape[1]} bp. "
            "All sequences must have one length."
        )


def _require_both_classes(
    parts: Mapping[str, Split],
    tasks: Sequence[str],
    paths: Mapping[str, Path],
    dropped: Mapping[str, int],
) -> None:
    """Refuse data that can't be learned from, or not be scored; `paths`: of each split."""
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "nothing"
    totals = np.sum([part.positives for part in parts.values()], axis=0)
    examples = sum(map(len, parts.values()))
    for column, task in enumerate(tasks):
        for name, part in parts.items():
            if not 0 < (positives := part.positives[column]) < part.known[column]:
                raise UserError(
                    f"{paths[name]}: expected positive and negative examples of {task!r} in every "
                    f"split, got {positives:,} positive of {part.known[column]:,} in {name!r} "
                    f"({totals[column]:,} of {examples:,} in all; left out: {left_out}). Give more "
                    "examples, larger fractions, or other chromosomes."
                )


def _require_measurements(
    parts: Mapping[str, Split],
    tasks: Sequence[str],
    paths: Mapping[str, Path],
    dropped: Mapping[str, int],
) -> None:
    """As `_require_both_classes`: enough measurements of each task that are not all alike."""
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "nothing"
    for name, part in parts.items():
        for task, labels in zip(tasks, part.labels.T, strict=True):
            known = labels[is_known(labels)]
            spread = known.std(dtype=np.float64) if len(known) else 0.0
            if len(known) < FEWEST or spread < TINY:
                raise UserError(
                    f"{paths[name]}: expected {FEWEST} or more values of {task!r} that differ in "
                    f"every split, got {len(known):,} with a standard deviation of {spread:.3g} in "
                    f"{name!r} (left out: {left_out}). Give more sequences, larger fractions, or "
                    "other chromosomes."
                )
