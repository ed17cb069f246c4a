"""Datasets larger than memory: written chunk by chunk, straight into the files they stay in."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np

from sfc_lib.datasets.base import SPLITS, Recipe, Report, Split


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
