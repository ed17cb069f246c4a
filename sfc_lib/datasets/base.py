"""What every dataset is: splits of codes and labels, built once, then memory-mapped."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from filelock import FileLock

from sfc_lib.files import data_dir, sha256_json, sync_folder, write_json

SPLITS = ("train", "valid", "test")
RECIPES = {
    "chip_seq": "sfc_lib.datasets.chip_seq:ChipSeq",
    "custom": "sfc_lib.datasets.custom:Custom",
    "hematopoiesis": "sfc_lib.datasets.hematopoiesis:Hematopoiesis",
    "simulated_accessibility": "sfc_lib.datasets.simulated_accessibility:SimulatedAccessibility",
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
        sfc_lib.genomics.sources.SourceError: A source file can't be had.

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
