"""What every dataset is: splits of codes and labels, built once, then memory-mapped.

A `Recipe` holds a dataset's options and builds it, in memory or, if it is larger, chunk by
chunk straight into the files it stays in. What is read from the cache is checked by its hash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import re
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from filelock import FileLock

from sfc_lib.errors import UserError
from sfc_lib.files import (
    atomic_folder,
    cache_folder,
    data_dir,
    is_sealed,
    known_sha256,
    seal,
    sha256_file,
    sha256_json,
    write_json,
)
from sfc_lib.genomics.sources import registry

SPLITS = ("train", "valid", "test")
NOT_KNOWN = 255  # stands for a label that is missing
UPPER = 0.75  # quantile of measurements above which they are high
BUILT, ABOUT = "datasets", "dataset.json"  # folder in the cache, and description in each
LATER = {"later": True}  # metadata of an option that came later: hashed only where it is set
RECIPES = {
    "chip_seq": "sfc_lib.datasets.chip_seq:ChipSeq",
    "custom": "sfc_lib.own.dataset:Custom",
    "hematopoiesis": "sfc_lib.datasets.accessibility:Hematopoiesis",
    "simulated_accessibility": "sfc_lib.datasets.accessibility:SimulatedAccessibility",
    "simulated_tf": "sfc_lib.datasets.simulated_tf:SimulatedTF",
}


@dataclass(frozen=True, eq=False)
class Split:
    """`codes`, uint8 (examples, length), and `labels`, uint8 (examples, tasks), of 0 and 1.

    In a user's own data a label may be missing, `NOT_KNOWN`. Or labels are measurements:
    float32, NaN where one is missing.
    """

    codes: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def evenly(self, examples: int | None) -> Split:
        """So many examples at even distances, or the whole split if that is no fewer or None."""
        if examples is None or examples >= len(self):
            return self
        rows = np.arange(examples) * len(self) // examples
        return Split(self.codes[rows], self.labels[rows])

    def some(self, examples: int) -> Split:
        """So many examples drawn at random, always the same ones, in their order; or all.

        Unlike `evenly` it can't fall into step with labels that alternate.
        """
        if examples >= len(self):
            return self
        rows = np.random.default_rng(0).choice(len(self), examples, replace=False)
        return Split(self.codes[np.sort(rows)], self.labels[np.sort(rows)])

    def first(self, examples: int | None) -> Split:
        """The first so many examples, or the whole split if None.

        Raises:
            UserError: It has fewer.
        """
        if examples is None:
            return self
        if examples > len(self):
            raise UserError(f"train_samples: expected at most the {len(self)}, got {examples}.")
        return Split(self.codes[:examples], self.labels[:examples])

    @property
    def positives(self) -> list[int]:
        """Number of positive examples of each task."""
        return [int(count) for count in (self.labels == 1).sum(axis=0)]

    @property
    def known(self) -> list[int]:
        """Number of examples whose label is known, of each task."""
        return [int(count) for count in is_known(self.labels).sum(axis=0)]

    @property
    def continuous(self) -> bool:
        """Whether the labels are measurements."""
        return is_continuous(self.labels)


def is_continuous(labels: np.ndarray) -> bool:
    """Whether labels are measurements, float32; else they are classes."""
    return labels.dtype == np.float32


def is_known(labels: np.ndarray) -> np.ndarray:
    """Which labels are there, bool of their shape; the others are `NOT_KNOWN`, or NaN."""
    return ~np.isnan(labels) if is_continuous(labels) else labels != NOT_KNOWN


def label_scale(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (1 where that is 0) of measurements, float64 (tasks,).

    Example:

    >>> label_scale(np.float32([[1, 5], [3, 5], [np.nan, 5]]))
    (array([2., 5.]), array([1., 1.]))
    """
    known = is_known(labels)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, labels, 0).sum(axis=0, dtype=np.float64) / number
    spread = np.sqrt(np.where(known, np.square(labels - mean), 0).sum(axis=0) / number)
    return mean, np.where(spread > 0, spread, 1)


def is_high(labels: np.ndarray) -> np.ndarray:
    """Which examples of one task are positive, or of measurements in the upper quarter.

    Example:

    >>> is_high(np.float32([4, 1, np.nan, 2, 3])).tolist()
    [True, False, False, False, False]
    """
    if not is_continuous(labels):
        return labels == 1
    found = labels[is_known(labels)]
    return labels > np.quantile(found, UPPER) if len(found) else np.zeros(len(labels), bool)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits, and what is needed to say where they come from.

    `fingerprint` is a hash of the recipe, its options and its source files: a changed
    input is a changed dataset. `dropped` counts what was left out, by reason; `counts` what
    else the build counted.
    """

    name: str
    options: Mapping[str, Any]
    fingerprint: str
    task_names: tuple[str, ...]
    dropped: Mapping[str, int]
    train: Split
    valid: Split
    test: Split
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def continuous(self) -> bool:
        """Whether the labels are measurements, not classes."""
        return self.train.continuous

    @property
    def length(self) -> int:
        """Sequence length in bp."""
        return int(self.train.codes.shape[1])


class Report(NamedTuple):
    """What a build left out, by reason, and what else it counted."""

    dropped: Mapping[str, int]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Recipe(ABC):
    """Options of one dataset, checked when made, and how to build it. Subclass per dataset."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever the same options give other data
    task_names: ClassVar[tuple[str, ...]]

    @classmethod
    def of(cls, **options: Any) -> Recipe:
        """The recipe of options as a user gives them: where some are files, these are read."""
        return cls(**options)

    def inputs(self) -> dict[str, str]:
        """Name and content hash of every source file used."""
        return {}

    @abstractmethod
    def write(self, folder: Path) -> Report:
        """Build, and write `train_codes.npy`, `train_labels.npy` and so on into `folder`."""

    def require_one_of(self, option: str, known: Sequence[str]) -> None:
        """A `UserError` that lists what an option may be, if it is something else."""
        if (value := getattr(self, option)) not in known:
            raise UserError(f"{self.name}: {option} must be one of {list(known)}, got {value!r}.")

    def require_integers(self, *options: str) -> None:
        """A `UserError` that names an option which is no integer ≥ 0, if there is one."""
        for option in options:
            value = getattr(self, option)
            if type(value) is not int or value < 0:
                raise UserError(f"{self.name}: {option} must be an integer >= 0, got {value!r}.")

    @property
    def options(self) -> dict[str, Any]:
        """All options as plain values; those that came `LATER` only where they are set."""
        return {
            option.name: value
            for option in dataclasses.fields(self)
            if (value := getattr(self, option.name)) != option.default
            or not option.metadata.get("later")
        }

    @property
    def fingerprint(self) -> str:
        """Hash of everything the dataset's content depends on."""
        about = {"name": self.name, "version": self.version}
        return sha256_json({**about, "options": self.options, "inputs": self.inputs()})

    @property
    def folder_name(self) -> str:
        """The name of its folder in the cache."""
        return f"{self.name}-{self.fingerprint[:16]}"


@dataclass(frozen=True)
class InMemoryRecipe(Recipe):
    """A recipe that makes its data in one piece. Subclass per dataset."""

    @abstractmethod
    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        """The splits by name, and counts of what was dropped by reason."""

    def write(self, folder: Path) -> Report:
        splits, dropped = self.build()
        for split, part in splits.items():
            np.save(folder / f"{split}_codes.npy", part.codes)
            np.save(folder / f"{split}_labels.npy", part.labels)
        return Report(dropped, {})


def recipe_class(name: str) -> type[Recipe]:
    """The class whose fields are the options of a dataset.

    Raises:
        ValueError: An unknown dataset; the valid ones are listed.
    """
    if name not in RECIPES:
        raise UserError(f"load_dataset: name must be one of {sorted(RECIPES)}, got {name!r}.")
    module, _, attribute = RECIPES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def make_recipe(name: str, options: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a dataset with its options checked; nothing is built or downloaded.

    Raises:
        ValueError: An unknown dataset or option (the valid ones are listed), or a bad value.
    """
    recipe = recipe_class(name)
    valid = [field.name for field in dataclasses.fields(recipe)]
    for option in options or {}:
        if option not in valid:
            raise UserError(f"load_dataset: {name} has options {valid}, got {option!r}.")
    return recipe.of(**(options or {}))


def load_dataset(name: str, **options: Any) -> Dataset:
    """A dataset, built on first use and memory-mapped from the cache afterwards.

    Args:
        name: `"chip_seq"`, `"custom"`, `"hematopoiesis"`, `"simulated_accessibility"` or
            `"simulated_tf"`.
        options: Options of the dataset's recipe, see its class.

    Raises:
        ValueError: An unknown dataset or option, or a bad value.
        UserError: A split came out empty, or a source file can't be had.

    Example:

    >>> data = load_dataset("simulated_tf")
    >>> data.train.codes.shape, data.train.labels.shape
    ((6400, 200), (6400, 3))
    """
    recipe = make_recipe(name, options)
    fingerprint = recipe.fingerprint
    folder = cache_folder(BUILT) / recipe.folder_name
    with FileLock(folder.with_suffix(".lock")):
        if damage(folder) is not None:
            _build(folder, recipe)
            if (found := damage(folder)) is not None:
                raise OSError(f"{found} It was built just now: is the disk full, or failing?")
        about = json.loads((folder / ABOUT).read_text())
        splits = {
            split: Split(*(_mapped(folder / f"{split}_{part}.npy") for part in ("codes", "labels")))
            for split in SPLITS
        }
    dropped, counts = about["dropped"], about["counts"]
    return Dataset(
        name, recipe.options, fingerprint, recipe.task_names, dropped, **splits, counts=counts
    )


def built_datasets() -> list[Path]:
    """Folders of the datasets that were built on this machine and are kept in its cache."""
    return sorted(path.parent for path in (data_dir() / BUILT).glob(f"[!.]*/{ABOUT}"))


def damage(folder: Path) -> str | None:
    """What is wrong with a built dataset, so that it is to be built again; None if nothing is.

    The hash of every file is compared with that of the build; a file is read again only if it
    was touched since this was last done.
    """
    try:
        about = json.loads((folder / ABOUT).read_text())
        if not is_sealed(about):
            return f"{folder / ABOUT}: expected the content it was sealed with."
        for name, expected in about["files"].items():
            if (found := known_sha256(folder / name, kept=True)) != expected:
                return f"{folder / name}: expected sha256 {expected}, got {found}."
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{folder}: expected a built dataset, got {error!r}."
    return None


def _build(folder: Path, recipe: Recipe) -> None:
    """Build into a temporary folder, then give it its name in one step."""
    for left in folder.parent.glob(f".{folder.name}.*"):  # by a build that was killed: we hold
        shutil.rmtree(left, ignore_errors=True)  # the lock, so nobody is writing there
    with atomic_folder(folder) as scratch:
        report = recipe.write(scratch)
        _require_rows(scratch, recipe, report)
        files = {path.name: sha256_file(path) for path in sorted(scratch.glob("*.npy"))}
        about = {"name": recipe.name, "options": recipe.options, "files": files, **report._asdict()}
        write_json(scratch / ABOUT, seal(about))


def _require_rows(folder: Path, recipe: Recipe, report: Report) -> None:
    """A `UserError` that says what was dropped, if a split came out empty."""
    empty = [split for split in SPLITS if not len(_mapped(folder / f"{split}_labels.npy"))]
    if empty:
        reasons = [f"{count:,} {why}" for why, count in report.dropped.items() if count]
        raise UserError(
            f"{recipe.name}: expected examples in every split, got none for "
            f"{' and '.join(empty)}. Dropped: {'; '.join(reasons) or 'none'}. Change the options "
            f"{recipe.options}."
        )


def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows of a split, and what was dropped and counted while they were made.

    `codes`: uint8 (rows, length). `labels`: uint8 (rows, tasks).
    """

    split: str
    codes: np.ndarray
    labels: np.ndarray
    dropped: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamedRecipe(Recipe):
    """A recipe that makes its data in chunks. Subclass per dataset."""

    length: ClassVar[int]  # of the sequences, in bp

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """All rows of all splits; those of one split in their final order."""

    def write(self, folder: Path) -> Report:
        dropped, counts = Counter[str](), Counter[str]()
        widths = {"codes": self.length, "labels": len(self.task_names)}
        with contextlib.ExitStack() as stack:
            append = {
                (split, part): stack.enter_context(row_file(folder / f"{split}_{part}.npy", width))
                for split in SPLITS
                for part, width in widths.items()
            }
            for chunk in self.chunks():
                append[chunk.split, "codes"](chunk.codes)
                append[chunk.split, "labels"](chunk.labels)
                dropped.update(chunk.dropped)
                counts.update(chunk.counts)
        return Report(dropped, counts)


@contextlib.contextmanager
def row_file(path: Path, width: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a `.npy` file of uint8 (rows, width), with a function that appends rows.

    The file is whole once the block has ended; if that raises, the file has no rows.

    Example:

    >>> with row_file(Path("labels.npy"), width=2) as append:
    ...     append(np.zeros((3, 2), np.uint8))
    >>> np.load("labels.npy").shape
    (3, 2)
    """
    rows = 0

    def append(part: np.ndarray) -> None:
        nonlocal rows
        if part.dtype != np.uint8 or part.shape != (len(part), width):
            raise ValueError(
                f"append: expected uint8 rows of width {width}, got {part.dtype} of shape "
                f"{part.shape}."
            )
        file.write(np.ascontiguousarray(part).data)
        rows += len(part)

    def write_header() -> None:  # NumPy pads it, so that the number of rows may grow in place
        about = {"descr": "|u1", "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(file, about)

    with open(path, "wb") as file:
        write_header()
        yield append
        file.seek(0)
        write_header()


def parse_options(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Options of a dataset from text, each of the type its recipe gives it.

    Numbers, true, false and null are written as in JSON, tuples with commas. What can't be
    read so stays text, and the recipe says what it expects; so it does for unknown options.

    Raises:
        ValueError: An unknown dataset; the valid ones are listed.

    Example:

    >>> parse_options("simulated_tf", {"source": "generated", "examples": "400"})
    {'source': 'generated', 'examples': 400}
    """
    kinds = get_type_hints(recipe_class(name))
    return {option: _value(text, kinds.get(option, str)) for option, text in texts.items()}


def _value(text: str, kind: Any) -> Any:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for one in kinds:
        if get_origin(one) is tuple:
            return tuple(_value(part, get_args(one)[0]) for part in text.split(","))
    if str in kinds:
        return text
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def card(dataset: Dataset) -> str:
    """What to know of a dataset before using it, for people to read."""
    options = {name: value for name, value in dataset.options.items() if value not in (None, ())}
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in options.items())
    lines = [f"{dataset.name} ({chosen})", f"fingerprint  {dataset.fingerprint}"]
    for name in SPLITS:
        split = getattr(dataset, name)
        what = "mean ± SD" if split.continuous else "positive"
        lines.append(f"{name:<11}  {len(split):,} sequences of {dataset.length:,} bp; {what}:")
        for task, labels in zip(dataset.task_names, split.labels.T, strict=True):
            lines.append(f"{'':<11}    {task} {summary_of_labels(labels)}")
    dropped = [f"dropped      {count:,} {why}" for why, count in dataset.dropped.items() if count]
    lines += dropped or ["dropped      none"]
    lines += [f"counted      {count:,} {what}" for what, count in dataset.counts.items()]
    return "\n".join([*lines, *_sources(dataset)])


def summary_of_labels(labels: np.ndarray) -> str:
    """How many of a task's labels are positive, or where measurements lie."""
    found = labels[is_known(labels)]
    of = f" of {len(found):,} known" if len(found) < len(labels) else ""
    if is_continuous(labels):
        return f"{found.mean(dtype=float):.4g} ± {found.std(dtype=float):.4g}{of}"
    count = int((found == 1).sum())
    share = f"{count / len(found):.1%}" if len(found) else "none"
    return f"{count:,} ({share}{of})"


def _short(value: Any) -> str:
    """An option as text; of the hashes that stand for files, the first digits."""
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    return re.sub(r"^([0-9a-f]{8})[0-9a-f]{56}$", r"\1…", str(value))


def _sources(dataset: Dataset) -> list[str]:
    """A line for each source file, or folder of several: licence, and what to cite."""
    known = registry()
    groups: dict[tuple[str, str], list[str]] = {}
    for name in make_recipe(dataset.name, dataset.options).inputs():
        about = f" ({known[name].licence}; {known[name].citation})" if name in known else ""
        groups.setdefault((name.partition("/")[0], about), []).append(name)
    return [
        f"source       {names[0] if len(names) == 1 else f'{len(names)} files of {folder}'}{about}"
        for (folder, about), names in groups.items()
    ]
