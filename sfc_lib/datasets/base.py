"""What every dataset is: splits of codes and labels, built once, then memory-mapped.

Datasets larger than memory: written chunk by chunk, straight into the files they stay in.

A dataset in a few lines: splits, class counts, drops, sources; and its options from text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from filelock import FileLock

from sfc_lib.files import data_dir, sha256_json, sync_folder, write_json
from sfc_lib.genomics.sources import registry

SPLITS = ("train", "valid", "test")
RECIPES = {
    "chip_seq": "sfc_lib.datasets.chip_seq:ChipSeq",
    "custom": "sfc_lib.own.dataset:Custom",
    "hematopoiesis": "sfc_lib.datasets.accessibility:Hematopoiesis",
    "simulated_accessibility": "sfc_lib.datasets.accessibility:SimulatedAccessibility",
    "simulated_tf": "sfc_lib.datasets.simulated_tf:SimulatedTF",
}


@dataclass(frozen=True, eq=False)
class Split:
    """`codes`, uint8 (examples, length), and `labels`, uint8 (examples, tasks), of 0 and 1."""

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

    @property
    def positives(self) -> list[int]:
        """Number of positive examples of each task."""
        return [int(count) for count in self.labels.sum(axis=0, dtype=np.int64)]


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

    def inputs(self) -> dict[str, str]:
        """Name and content hash of every source file used."""
        return {}

    @abstractmethod
    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        """The splits by name, and counts of what was dropped by reason."""

    def write(self, folder: Path) -> Report:
        """Build, and write `train_codes.npy`, `train_labels.npy` and so on into `folder`."""
        splits, dropped = self.build()
        for split, part in splits.items():
            np.save(folder / f"{split}_codes.npy", part.codes)
            np.save(folder / f"{split}_labels.npy", part.labels)
        return Report(dropped, {})

    @property
    def options(self) -> dict[str, Any]:
        """All options as plain values."""
        return dataclasses.asdict(self)

    @property
    def fingerprint(self) -> str:
        """Hash of everything the dataset's content depends on."""
        return sha256_json(
            {
                "name": self.name,
                "version": self.version,
                "options": self.options,
                "inputs": self.inputs(),
            }
        )


def recipe_class(name: str) -> type[Recipe]:
    """The class whose fields are the options of a dataset.

    Raises:
        ValueError: An unknown dataset; the valid ones are listed.
    """
    if name not in RECIPES:
        raise ValueError(f"load_dataset: name must be one of {sorted(RECIPES)}, got {name!r}.")
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
            raise ValueError(f"load_dataset: {name} has options {valid}, got {option!r}.")
    return recipe(**(options or {}))


def load_dataset(name: str, **options: Any) -> Dataset:
    """A dataset, built on first use and memory-mapped from the cache afterwards.

    Args:
        name: `"chip_seq"`, `"custom"`, `"hematopoiesis"`, `"simulated_accessibility"` or
            `"simulated_tf"`.
        options: Options of the dataset's recipe, see its class.

    Raises:
        ValueError: An unknown dataset or option, or a bad value.
        UserError: A source file can't be had.

    Example:

    >>> data = load_dataset("simulated_tf")
    >>> data.train.codes.shape, data.train.labels.shape
    ((6400, 200), (6400, 3))
    """
    recipe = make_recipe(name, options)
    fingerprint = recipe.fingerprint
    folder = data_dir() / "datasets" / f"{name}-{fingerprint[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if (dataset := _open(folder, recipe, fingerprint)) is None:
            _build(folder, recipe)
            dataset = _open(folder, recipe, fingerprint)
    if dataset is None:
        raise OSError(f"{folder}: expected the dataset just built, got a damaged one. Is it full?")
    return dataset


def _build(folder: Path, recipe: Recipe) -> None:
    """Build into a temporary folder, then give it its name in one step."""
    for left in folder.parent.glob(f".{folder.name}.*"):  # by a build that was killed: we hold
        shutil.rmtree(left, ignore_errors=True)  # the lock, so nobody is writing there
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    scratch.chmod(0o755)
    try:
        report = recipe.write(scratch)._asdict()
        sizes = {path.name: path.stat().st_size for path in scratch.glob("*.npy")}
        about = {"name": recipe.name, "options": recipe.options, "sizes": sizes, **report}
        write_json(scratch / "dataset.json", about)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _open(folder: Path, recipe: Recipe, fingerprint: str) -> Dataset | None:
    """The dataset in `folder`, or None if it is not there whole."""
    try:
        about = json.loads((folder / "dataset.json").read_text())
        if any((folder / file).stat().st_size != n for file, n in about["sizes"].items()):
            return None
        splits = {
            split: Split(*(_mapped(folder / f"{split}_{part}.npy") for part in ("codes", "labels")))
            for split in SPLITS
        }
        return Dataset(
            recipe.name,
            recipe.options,
            fingerprint,
            recipe.task_names,
            about["dropped"],
            **splits,
            counts=about.get("counts", {}),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
            files = {
                (split, part): stack.enter_context(RowFile(folder / f"{split}_{part}.npy", width))
                for split in SPLITS
                for part, width in widths.items()
            }
            for chunk in self.chunks():
                files[chunk.split, "codes"].append(chunk.codes)
                files[chunk.split, "labels"].append(chunk.labels)
                dropped.update(chunk.dropped)
                counts.update(chunk.counts)
        return Report(dropped, counts)

    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        """All at once, in memory: for tests and for sets that are small."""
        chunks, dropped = list(self.chunks()), Counter[str]()
        splits = {}
        for split in SPLITS:
            codes = [chunk.codes for chunk in chunks if chunk.split == split]
            labels = [chunk.labels for chunk in chunks if chunk.split == split]
            none = [np.empty((0, width), np.uint8) for width in (self.length, len(self.task_names))]
            splits[split] = Split(np.vstack([none[0], *codes]), np.vstack([none[1], *labels]))
        for chunk in chunks:
            dropped.update(chunk.dropped)
        return splits, dict(dropped)


class RowFile:
    """A `.npy` file of uint8 (rows, width) that grows by `append`; whole once it is closed.

    Example:

    >>> with RowFile(Path("labels.npy"), width=2) as rows:
    ...     rows.append(np.zeros((3, 2), np.uint8))
    >>> np.load("labels.npy").shape
    (3, 2)
    """

    def __init__(self, path: Path, width: int) -> None:
        self.width, self.rows = width, 0
        self._file = open(path, "wb")  # noqa: SIM115  (closed by __exit__)
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        """Add uint8 rows of shape (any, width)."""
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != self.width:
            raise ValueError(
                f"append: expected uint8 rows of width {self.width}, got {rows.dtype} of shape "
                f"{rows.shape}."
            )
        self._file.write(np.ascontiguousarray(rows).data)
        self.rows += len(rows)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()

    def _write_header(self) -> None:
        # NumPy pads it, so that the number of rows may grow in place.
        about = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(self._file, about)


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
        lines.append(f"{name:<11}  {len(split):,} sequences of {dataset.length:,} bp; positive:")
        for task, count in zip(dataset.task_names, split.positives, strict=True):
            share = f"{count / len(split):.1%}" if len(split) else "none"
            lines.append(f"{'':<11}    {task} {count:,} ({share})")
    dropped = [f"dropped      {count:,} {why}" for why, count in dataset.dropped.items() if count]
    lines += dropped or ["dropped      none"]
    lines += [f"counted      {count:,} {what}" for what, count in dataset.counts.items()]
    return "\n".join([*lines, *_sources(dataset)])


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
