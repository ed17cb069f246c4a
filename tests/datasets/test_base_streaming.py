"""Datasets that are written chunk by chunk: the same as in one piece, whole or not at all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sfc_lib.datasets import base
from sfc_lib.datasets.base import SPLITS, Chunk, RowFile, StreamedRecipe, load_dataset

ROWS = {"train": 11, "valid": 4, "test": 0}


def rows(split, width):
    return np.random.default_rng(len(split)).integers(0, 2, (ROWS[split], width), dtype=np.uint8)


@dataclass(frozen=True)
class Toy(StreamedRecipe):
    """Rows of 6 bases and 2 labels, `size` at a time; row `fail_at` of the first split fails."""

    name: ClassVar[str] = "toy"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("a", "b")
    length: ClassVar[int] = 6

    size: int = 3
    fail_at: int = -1

    def chunks(self):
        for split in SPLITS:
            for start in range(0, ROWS[split], self.size):
                if start == self.fail_at:
                    raise OSError("no space left")
                part = slice(start, start + self.size)
                codes, labels = rows(split, 6)[part], rows(split, 2)[part]
                yield Chunk(split, codes, labels, {"N": 1, split: len(codes)}, {"made": 2})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(base.RECIPES, "toy", f"{__name__}:Toy")
    return tmp_path


@pytest.mark.parametrize("size", [1, 3, 4, 11, 100])
def test_dataset_is_the_same_in_any_chunks(size):
    dataset = load_dataset("toy", size=size)
    for split in SPLITS:
        part = getattr(dataset, split)
        assert isinstance(part.codes, np.memmap) or not len(part)
        assert part.codes.shape == (ROWS[split], 6)
        assert part.labels.shape == (ROWS[split], 2)
        assert np.array_equal(part.codes, rows(split, 6))
        assert np.array_equal(part.labels, rows(split, 2))


def test_what_was_dropped_and_counted_is_summed_over_chunks():
    dataset = load_dataset("toy")
    assert dataset.dropped == {"N": 6, "train": 11, "valid": 4}
    assert dataset.counts == {"made": 12}


def test_a_dataset_built_before_there_were_counts_has_none(home):
    load_dataset("toy")
    (path,) = home.glob("datasets/*/dataset.json")
    about = json.loads(path.read_text())
    del about["counts"]
    path.write_text(json.dumps(about))
    assert load_dataset("toy").counts == {}


def test_build_in_memory_is_what_is_written():
    built, dropped = Toy().build()
    dataset = load_dataset("toy")
    assert dropped == dataset.dropped
    for split in SPLITS:
        assert np.array_equal(built[split].codes, getattr(dataset, split).codes)
        assert np.array_equal(built[split].labels, getattr(dataset, split).labels)


def test_a_build_that_fails_leaves_nothing(home):
    with pytest.raises(OSError, match="no space left"):
        load_dataset("toy", fail_at=6)
    assert [path.suffix for path in home.glob("datasets/*")] == [".lock"]
    assert not [path for path in home.glob("datasets/.*") if path.is_dir()]


def test_row_file_is_a_npy_file_and_grows_past_every_digit(tmp_path):
    path = tmp_path / "rows.npy"
    with RowFile(path, 3) as file:
        for count in (0, 9, 1, 90, 900):
            file.append(np.full((count, 3), count % 256, np.uint8))
    expected = np.repeat(np.uint8([9, 1, 90, 900 % 256]), [9, 1, 90, 900])
    assert np.array_equal(np.load(path, mmap_mode="r"), np.tile(expected[:, None], 3))


def test_row_file_takes_views(tmp_path):
    table = np.arange(24, dtype=np.uint8).reshape(4, 6)
    with RowFile(tmp_path / "rows.npy", 3) as file:
        file.append(table[::2, ::2])
    assert np.load(tmp_path / "rows.npy").tolist() == [[0, 2, 4], [12, 14, 16]]


@pytest.mark.parametrize("rows", [np.zeros((2, 4), np.uint8), np.zeros(3, np.uint8), np.eye(3)])
def test_row_file_refuses_other_rows(tmp_path, rows):
    with RowFile(tmp_path / "rows.npy", 3) as file, pytest.raises(ValueError, match="of width 3"):
        file.append(rows)


def test_row_file_that_was_not_finished_has_no_rows(tmp_path: Path):
    file = RowFile(tmp_path / "rows.npy", 3)
    file.append(np.ones((5, 3), np.uint8))
    file.__exit__(KeyError, KeyError(), None)
    assert np.load(tmp_path / "rows.npy").shape == (0, 3)
