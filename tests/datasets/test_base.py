"""Datasets: built once, whole or not at all, memory-mapped, and named by what they contain."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import sfc_lib
from sfc_lib import files
from sfc_lib.datasets import base, simulated_tf
from sfc_lib.datasets.base import (
    Chunk,
    Recipe,
    Split,
    StreamedRecipe,
    built_datasets,
    damage,
    is_high,
    is_known,
    label_scale,
    load_dataset,
    make_recipe,
    row_file,
    summary_of_labels,
)
from sfc_lib.datasets.simulated_tf import SimulatedTF
from sfc_lib.errors import UserError
from sfc_lib.files import sha256_file

SMALL = {"examples": 40}
SPLITS = ("train", "valid", "test")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder of its own for every test."""
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def builds(monkeypatch):
    """List that grows by one at every build."""
    made, build = [], SimulatedTF.build

    def counted(recipe):
        made.append(recipe.options)
        return build(recipe)

    monkeypatch.setattr(SimulatedTF, "build", counted)
    return made


def folders(home):
    """What lies beside the datasets, without the locks."""
    return sorted(path.name for path in home.glob("datasets/*") if path.suffix != ".lock") + sorted(
        path.name for path in home.glob("datasets/.*") if path.is_dir()
    )


def contents(dataset):
    parts = (getattr(dataset, split) for split in SPLITS)
    return b"".join(array.tobytes() for part in parts for array in (part.codes, part.labels))


def test_second_load_reads_what_the_first_built(builds):
    first, second = load_dataset("simulated_tf", **SMALL), load_dataset("simulated_tf", **SMALL)
    assert builds == [{"source": "generated", "examples": 40, "seed": 0}]
    assert contents(first) == contents(second)


def test_loaded_dataset_is_what_the_recipe_builds():
    built, _ = SimulatedTF(**SMALL).build()
    dataset = load_dataset("simulated_tf", **SMALL)
    for split in SPLITS:
        assert np.array_equal(getattr(dataset, split).codes, built[split].codes)
        assert np.array_equal(getattr(dataset, split).labels, built[split].labels)


def test_loaded_arrays_are_memory_maps_that_cannot_be_written():
    dataset = load_dataset("simulated_tf", **SMALL)
    for split in SPLITS:
        for array in (getattr(dataset, split).codes, getattr(dataset, split).labels):
            assert isinstance(array, np.memmap)
            assert array.dtype == np.uint8
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1


def test_dataset_says_what_it_is():
    dataset = load_dataset("simulated_tf", seed=3, **SMALL)
    assert (dataset.name, dataset.length, dataset.dropped) == ("simulated_tf", 200, {})
    assert dataset.options == {"source": "generated", "examples": 40, "seed": 3}
    assert dataset.task_names == ("TAL1+GATA", "GATA", "TAL1")
    assert dataset.fingerprint == SimulatedTF(seed=3, **SMALL).fingerprint


def test_split_counts_its_positives():
    split = Split(np.zeros((300, 5), np.uint8), np.tile(np.uint8([[1, 0]]), (300, 1)))
    assert (len(split), split.positives) == (300, [300, 0])


def test_measurements_are_float32_and_nan_where_not_known():
    classes = np.uint8([[1, 0], [255, 1], [0, 0]])
    values = np.float32([[1, 0], [np.nan, 255], [0, -1]])
    for labels, continuous in ((classes, False), (values, True)):
        split = Split(np.zeros((3, 5), np.uint8), labels)
        assert (split.continuous, split.known) == (continuous, [2, 3])
    assert is_known(values).tolist() == is_known(np.uint8([[1, 0], [255, 0], [1, 1]])).tolist()


def test_high_are_positives_and_of_measurements_the_upper_quarter():
    assert is_high(np.uint8([1, 0, 255])).tolist() == [True, False, False]
    values = np.arange(8, dtype=np.float32)
    values[[0, 1]] = np.nan
    assert np.flatnonzero(is_high(values)).tolist() == [6, 7]
    assert not is_high(np.full(4, np.nan, np.float32)).any()
    assert not is_high(np.full(4, 2, np.float32)).any()


def test_the_scale_is_mean_and_deviation_of_what_is_known():
    rng = np.random.default_rng(0)
    values = (1000 + rng.normal(size=(200, 3))).astype(np.float32)
    values[:50, 1], values[:, 2] = np.nan, np.nan
    mean, spread = label_scale(values)
    assert mean[:2] == pytest.approx(np.nanmean(values[:, :2].astype(float), axis=0))
    assert spread[:2] == pytest.approx(np.nanstd(values[:, :2].astype(float), axis=0))
    assert (mean[2], spread[2]) == (0, 1)
    assert summary_of_labels(values[:, 1]) == f"{mean[1]:.4g} ± {spread[1]:.4g} of 150 known"
    assert summary_of_labels(np.uint8([1, 0, 255, 0])) == "1 (33.3% of 3 known)"


DAMAGES = {
    "truncated": ("train_codes.npy", lambda data: data[:-1]),
    "grown": ("test_labels.npy", lambda data: data + b"x"),
    "emptied": ("valid_codes.npy", lambda data: b""),
    "description cut off": ("dataset.json", lambda data: data[:-10]),
    "description emptied": ("dataset.json", lambda data: b""),
    "description of something else": ("dataset.json", lambda data: b"{}"),
    "header overwritten": ("train_codes.npy", lambda data: b"\0" * 128 + data[128:]),
    "description that is a list": ("dataset.json", lambda data: b"[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_built_again(home, builds, damage):
    before = contents(load_dataset("simulated_tf", **SMALL))
    name, change = DAMAGES[damage]
    (path,) = home.glob(f"datasets/*/{name}")
    path.write_bytes(change(path.read_bytes()))
    assert contents(load_dataset("simulated_tf", **SMALL)) == before
    assert len(builds) == 2


def test_any_flipped_bit_is_found_and_the_dataset_built_again(home, builds):
    """Sizes stay the same, and most such files would load: only their hashes tell."""
    rng, before = np.random.default_rng(0), contents(load_dataset("simulated_tf", **SMALL))
    (folder,) = (path for path in home.glob("datasets/simulated_tf-*") if path.is_dir())
    for number in range(60):
        files = sorted(path for path in folder.glob("[!.]*"))
        path = files[number % len(files)]
        data = bytearray(path.read_bytes())
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        assert damage(folder) is not None
        assert contents(load_dataset("simulated_tf", **SMALL)) == before
        assert len(builds) == number + 2
        assert damage(folder) is None


def test_sound_files_are_not_read_again(home, monkeypatch):
    load_dataset("simulated_tf", **SMALL)
    for path in home.glob("datasets/*/*"):
        os.utime(path, (1, 1))  # long ago, so that any later change would show
    read = []
    monkeypatch.setattr(files, "sha256_file", lambda path: read.append(path) or sha256_file(path))
    time.sleep(2.1)
    load_dataset("simulated_tf", **SMALL)
    assert len(read) == 6
    load_dataset("simulated_tf", **SMALL)
    assert len(read) == 6


def test_built_datasets_are_listed(home):
    assert built_datasets() == []
    dataset = load_dataset("simulated_tf", **SMALL)
    assert [folder.name for folder in built_datasets()] == [
        f"simulated_tf-{dataset.fingerprint[:16]}"
    ]


@pytest.mark.parametrize("name", ["valid_labels.npy", "dataset.json"])
def test_missing_file_is_built_again(home, builds, name):
    before = contents(load_dataset("simulated_tf", **SMALL))
    (path,) = home.glob(f"datasets/*/{name}")
    path.unlink()
    assert contents(load_dataset("simulated_tf", **SMALL)) == before
    assert len(builds) == 2


def test_rebuild_does_not_write_into_files_that_are_open(home):
    dataset = load_dataset("simulated_tf", **SMALL)  # holds its files, so no inode is used again
    (path,) = home.glob("datasets/*/train_codes.npy")
    before = path.stat().st_ino
    (path.parent / "dataset.json").unlink()
    load_dataset("simulated_tf", **SMALL)
    assert path.stat().st_ino != before
    assert len(dataset.train) == 32


@pytest.mark.parametrize("options", [{"examples": 80}, {"seed": 1}, {"source": "deeplift"}])
def test_fingerprint_changes_with_every_option(options):
    assert SimulatedTF(**options).fingerprint != SimulatedTF().fingerprint


def test_fingerprint_does_not_change_with_an_option_given_as_its_default():
    assert make_recipe("simulated_tf", {"seed": 0}).fingerprint == SimulatedTF().fingerprint


def test_fingerprint_changes_with_the_version_of_the_recipe(monkeypatch):
    before = SimulatedTF().fingerprint
    monkeypatch.setattr(SimulatedTF, "version", SimulatedTF.version + 1)
    assert SimulatedTF().fingerprint != before


def test_fingerprint_changes_with_a_source_file(monkeypatch):
    before = SimulatedTF(source="deeplift").fingerprint
    known = simulated_tf.registry()
    (name, other) = simulated_tf.SEQUENCES, known[simulated_tf.TEST_NAMES]
    monkeypatch.setattr(simulated_tf, "registry", lambda: {**known, name: other})
    assert SimulatedTF(source="deeplift").fingerprint != before


# If one of these two changes, every published run record is about other data: raise the
# recipe's version, and train anew.
FINGERPRINT = "2a718855f47fe58fd7375f615e3b87c7a80e1e65df9ead673a98f8ae3c009783"
CONTENT = "d26fbafb0bf2141836562eb9f777762e26cedeba59113fe0911e3764bd945ebf"


def test_fingerprint_of_the_default_data_is_the_published_one():
    assert SimulatedTF().fingerprint == FINGERPRINT


def test_content_of_the_default_data_is_the_published_one():
    assert hashlib.sha256(contents(load_dataset("simulated_tf"))).hexdigest() == CONTENT


def test_other_users_can_read_a_built_dataset(home):
    load_dataset("simulated_tf", **SMALL)
    (folder,) = home.glob("datasets/simulated_tf-*[!k]")
    assert folder.stat().st_mode & 0o055 == 0o055


def test_datasets_of_other_options_do_not_displace_each_other(home, builds):
    for seed in (0, 1, 0, 1):
        load_dataset("simulated_tf", seed=seed, **SMALL)
    assert len(builds) == len(folders(home)) == 2


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("files", [0, 3])
def test_interrupted_build_leaves_nothing(home, monkeypatch, failure, files):
    saved, save = [], np.save

    def failing(path, array):
        if len(saved) == files:
            raise failure
        saved.append(path)
        save(path, array)

    monkeypatch.setattr(np, "save", failing)
    with pytest.raises(failure if isinstance(failure, type) else type(failure)):
        load_dataset("simulated_tf", **SMALL)
    assert len(saved) == files
    assert folders(home) == []
    monkeypatch.setattr(np, "save", save)
    assert len(load_dataset("simulated_tf", **SMALL).train) == 32


def python(script, *arguments):
    """A process that runs a script with this library and this test's folders."""
    library = str(Path(sfc_lib.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


KILLED = """
import os, signal
import numpy as np
from sfc_lib.datasets.base import load_dataset
save, saved = np.save, []
def last_words(path, array):
    saved.append(path)
    save(path, array)
    if len(saved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
np.save = last_words
load_dataset("simulated_tf", examples=40)
"""


def test_killed_build_is_not_taken_for_a_dataset(home, builds):
    process = python(KILLED)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not [name for name in folders(home) if not name.startswith(".")]
    dataset = load_dataset("simulated_tf", **SMALL)
    assert len(builds) == 1
    assert contents(dataset) == contents(load_dataset("simulated_tf", **SMALL))


def test_next_build_clears_what_a_killed_one_left(home):
    python(KILLED).communicate(timeout=120)
    dataset = load_dataset("simulated_tf", **SMALL)
    assert folders(home) == [f"simulated_tf-{dataset.fingerprint[:16]}"]


# Builds slowly, notes each build in a file, and starts when told to.
TOGETHER = """
import sys, time
from pathlib import Path
from sfc_lib.datasets.base import load_dataset
from sfc_lib.datasets.simulated_tf import SimulatedTF
build, log = SimulatedTF.build, Path(sys.argv[1])
def slowly(recipe):
    with log.open("a") as file:
        file.write("built\\n")
    time.sleep(0.5)
    return build(recipe)
SimulatedTF.build = slowly
print("ready", flush=True)
sys.stdin.readline()
data = load_dataset("simulated_tf", examples=40)
print(data.train.codes.sum(), data.test.labels.sum())
"""


def test_two_processes_at_once_build_once(tmp_path):
    processes = [python(TOGETHER, tmp_path / "log") for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert answers[0] == answers[1]
    assert (tmp_path / "log").read_text() == "built\n"


def test_unknown_dataset_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"one of \[.*'simulated_tf'.*\], got 'simulated'\."):
        load_dataset("simulated")


def test_unknown_option_is_told_the_known_ones():
    message = r"simulated_tf has options \['source', 'examples', 'seed'\], got 'sead'\."
    with pytest.raises(ValueError, match=message):
        load_dataset("simulated_tf", sead=1)


def test_bad_option_builds_nothing(home, builds):
    with pytest.raises(ValueError, match="examples must be a multiple of 40"):
        load_dataset("simulated_tf", examples=41)
    assert builds == folders(home) == []


def test_recipe_is_made_without_building(home, builds):
    recipe = make_recipe("simulated_tf", SMALL)
    assert isinstance(recipe, Recipe)
    assert (recipe.examples, builds, folders(home)) == (40, [], [])


def test_data_folder_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "elsewhere"))
    dataset = load_dataset("simulated_tf", **SMALL)
    name = f"simulated_tf-{dataset.fingerprint[:16]}"
    assert folders(tmp_path / "elsewhere") == [name]
    assert Path(dataset.train.codes.filename).parent == tmp_path / "elsewhere" / "datasets" / name


# Chunk by chunk

ROWS = {"train": 11, "valid": 4, "test": 1}


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
    empty: str = ""

    def chunks(self):
        for split in (split for split in SPLITS if split != self.empty):
            for start in range(0, ROWS[split], self.size):
                if start == self.fail_at:
                    raise OSError("no space left")
                part = slice(start, start + self.size)
                codes, labels = rows(split, 6)[part], rows(split, 2)[part]
                yield Chunk(split, codes, labels, {"N": 1, split: len(codes)}, {"made": 2})


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(base.RECIPES, "toy", f"{__name__}:Toy")


@pytest.mark.parametrize("size", [1, 3, 4, 11, 100])
def test_dataset_is_the_same_in_any_chunks(toy, size):
    dataset = load_dataset("toy", size=size)
    for split in SPLITS:
        part = getattr(dataset, split)
        assert isinstance(part.codes, np.memmap) or not len(part)
        assert part.codes.shape == (ROWS[split], 6)
        assert part.labels.shape == (ROWS[split], 2)
        assert np.array_equal(part.codes, rows(split, 6))
        assert np.array_equal(part.labels, rows(split, 2))


def test_what_was_dropped_and_counted_is_summed_over_chunks(toy):
    dataset = load_dataset("toy")
    assert dataset.dropped == {"N": 7, "train": 11, "valid": 4, "test": 1}
    assert dataset.counts == {"made": 14}


def test_a_build_that_fails_leaves_nothing(toy, home):
    with pytest.raises(OSError, match="no space left"):
        load_dataset("toy", fail_at=6)
    assert [path.suffix for path in home.glob("datasets/*")] == [".lock"]
    assert not [path for path in home.glob("datasets/.*") if path.is_dir()]


def test_row_file_is_a_npy_file_and_grows_past_every_digit(tmp_path):
    path = tmp_path / "rows.npy"
    with row_file(path, 3) as append:
        for count in (0, 9, 1, 90, 900):
            append(np.full((count, 3), count % 256, np.uint8))
    expected = np.repeat(np.uint8([9, 1, 90, 900 % 256]), [9, 1, 90, 900])
    assert np.array_equal(np.load(path, mmap_mode="r"), np.tile(expected[:, None], 3))


def test_row_file_takes_views(tmp_path):
    table = np.arange(24, dtype=np.uint8).reshape(4, 6)
    with row_file(tmp_path / "rows.npy", 3) as append:
        append(table[::2, ::2])
    assert np.load(tmp_path / "rows.npy").tolist() == [[0, 2, 4], [12, 14, 16]]


@pytest.mark.parametrize("rows", [np.zeros((2, 4), np.uint8), np.zeros(3, np.uint8), np.eye(3)])
def test_row_file_refuses_other_rows(tmp_path, rows):
    with row_file(tmp_path / "rows.npy", 3) as append:  # noqa: SIM117
        with pytest.raises(ValueError, match="of width 3"):
            append(rows)


def test_row_file_that_was_not_finished_has_no_rows(tmp_path: Path):
    with suppress(KeyError), row_file(tmp_path / "rows.npy", 3) as append:
        append(np.ones((5, 3), np.uint8))
        raise KeyError
    assert np.load(tmp_path / "rows.npy").shape == (0, 3)


def test_an_empty_split_is_an_error_that_says_why(toy, home):
    with pytest.raises(UserError, match=r"toy: expected examples in every split, got none for valid"
                       r"\. Dropped: 5 N; 11 train; 1 test\."):  # fmt: skip
        load_dataset("toy", empty="valid")
    assert folders(home) == []
