"""A bundle: data read back as they were, kills and damage that lose nothing, records as at home."""

import dataclasses
import errno
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import strategies as st
from processes import endless, wait_for
from tiny import TINY, tiny

from sfc_lib.cli import main
from sfc_lib.datasets.base import damage, load_dataset
from sfc_lib.datasets.simulated_tf import SimulatedTF
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir, seal, sha256_file, sha256_json, write_json
from sfc_lib.runs import bundle
from sfc_lib.runs.housekeeping import litter
from sfc_lib.runs.store import commit, held, verify_record
from sfc_lib.runs.worker import Processes

LIVES = Path(__file__).parents[1] / "lives.py"
SEALED = ("format", "protocol", "commit", "specs", "datasets", "content", "files")
# What pip installs for Keras and JAX, and nothing else.
BARE = (
    *("absl-py", "h5py", "jax", "jaxlib", "keras", "markdown-it-py", "mdurl", "ml-dtypes", "namex"),
    *("numpy", "opt-einsum", "optree", "packaging", "pygments", "rich", "scipy"),
    "typing-extensions",
)


def sfc(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# Codes as bits


@st.composite
def rows(draw):
    """Codes of 0 to 4 and labels of any shape, no row and no task included."""
    count, length, tasks = (draw(st.integers(low, 40)) for low in (0, 1, 0))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.sampled_from([4, 5]))  # without N, or with
    codes = rng.integers(0, most, (count, length), dtype=np.uint8)
    return codes, rng.integers(0, 2, (count, tasks), dtype=np.uint8)


@hypothesis.given(rows())
def test_rows_are_read_back_as_they_were(pair):
    codes, labels = pair
    packed = bundle.pack_rows(codes, labels)
    again = bundle.unpack_rows(packed, codes.shape[1], labels.shape[1])
    for array, expected in zip(again, pair, strict=True):
        assert array.dtype == np.uint8
        assert np.array_equal(array, expected)
    assert packed["codes"].shape == (len(codes), -(-codes.shape[1] // 4))  # two bits a base
    assert packed["unknown"].shape == (len(codes), -(-codes.shape[1] // 8))


def test_rows_are_what_a_hand_writes():
    packed = bundle.pack_rows(np.array([[3, 2, 1, 0, 4]], np.uint8), np.array([[0, 1]], np.uint8))
    assert packed["codes"].tolist() == [[0b00_01_10_11, 0]]
    assert packed["unknown"].tolist() == [[0b00001000]]
    assert packed["labels"].tolist() == [[0b01000000]]


@pytest.mark.parametrize(("code", "label"), [(5, 1), (4, 2), (255, 0)])
def test_what_is_no_base_or_label_is_refused(code, label):
    with pytest.raises(ValueError, match="expected codes of 0 to 4, and labels of 0 and 1"):
        bundle.pack_rows(np.array([[code]], np.uint8), np.array([[label]], np.uint8))


# Packing


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A bundle of TINY with seeds 1 and 0; copy it, don't touch it."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    bundle.pack([tiny(seed=1), TINY, TINY], folder)
    return folder


@pytest.fixture
def copied(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "bundle")


def test_dataset_is_read_back_as_it_was(tmp_path, monkeypatch):
    """Codes with N in them, labels, order and fingerprint: the files are the same bytes."""
    build = SimulatedTF.build

    def with_n(self):
        splits, dropped = build(self)
        for split in splits.values():
            split.codes[::3, 5:9] = bundle.N
        return splits, dropped

    monkeypatch.setattr(SimulatedTF, "build", with_n)
    monkeypatch.setattr(bundle, "ROWS", 30)
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "here"))
    bundle.pack([TINY], tmp_path / "bundle")
    here = load_dataset("simulated_tf", examples=80)
    manifest = bundle.read_manifest(tmp_path / "bundle")
    ((key, about),) = manifest["datasets"].items()
    assert {split: len(names) for split, names in about["parts"].items()} == {
        "train": 3, "valid": 1, "test": 1
    }  # fmt: skip
    bundle.unpack(tmp_path / "bundle", manifest, key, tmp_path / "there")
    names = sorted(path.name for path in (tmp_path / "here" / "datasets" / key).glob("[!.]*"))
    for name in names:
        mine, other = (tmp_path / place / "datasets" / key / name for place in ("here", "there"))
        assert mine.read_bytes() == other.read_bytes(), name
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "there"))
    monkeypatch.setattr(SimulatedTF, "build", None)  # it is not built again
    there = load_dataset("simulated_tf", examples=80)
    assert there.fingerprint == here.fingerprint
    assert (there.train.codes == bundle.N).sum() == 4 * 22


def test_parts_stay_below_their_limit_and_are_all_there(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "LARGEST_PART", 100_000)
    spec = tiny(dataset_options={"examples": 4000})
    bundle.pack([spec], tmp_path / "bundle")
    sizes = [path.stat().st_size for path in (tmp_path / "bundle" / "data").iterdir()]
    assert len(sizes) == 3 + 2
    assert max(sizes) <= 100_000
    assert sum(sizes) < 0.3 * 4000 * 200  # of the codes: two bits in eight, and little more


def test_manifest_says_what_is_packed_and_lower_seeds_come_first(packed):
    manifest = bundle.read_manifest(packed)
    assert manifest["specs"] == [TINY.to_dict(), tiny(seed=1).to_dict()]
    assert set(manifest) == set(SEALED)
    files = {p.relative_to(packed).as_posix() for p in packed.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == files - {"bundle.json"}
    for name, sha256 in manifest["files"].items():
        assert sha256_file(packed / name) == sha256


def test_pack_refuses_nothing_to_pack_and_folders_in_use(packed, tmp_path):
    with pytest.raises(UserError, match="got none: all of them have records"):
        bundle.pack([], tmp_path / "bundle")
    before = sorted(packed.rglob("*"))
    with pytest.raises(UserError, match="expected a new folder for the bundle, got one in use"):
        bundle.pack([TINY], packed)
    assert sorted(packed.rglob("*")) == before


def test_full_disk_while_packing_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "part")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        bundle.pack([TINY], tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_without_hatchling_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "hatchling.py").write_text("raise ImportError('no hatchling')")
    with pytest.raises(
        UserError, match=r"expected hatchling to build .*got: ImportError: no hatch"
    ):
        bundle.pack([TINY], tmp_path / "bundle")


def test_installed_library_is_packed_from_its_files(packed, tmp_path, monkeypatch):
    """As where there is no checkout: the files that pip lists, licences among them."""
    site = tmp_path / "site"
    (wheel,) = packed.glob("library/*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    (site / "sfc_lib-0.1.0.dist-info" / "INSTALLER").write_text("pip")
    found = importlib.metadata.distribution

    def installed(name):
        return next(
            iter(importlib.metadata.distributions(name=name, path=[str(site)])), found(name)
        )

    monkeypatch.setattr(bundle, "checkout", lambda: None)
    monkeypatch.setattr(importlib.metadata, "distribution", installed)
    bundle.pack([TINY], tmp_path / "bundle")
    again, before = (bundle.read_manifest(folder) for folder in (tmp_path / "bundle", packed))
    assert again["content"] == before["content"]


# Damage, and other versions


def changed(folder, **values):
    """Another manifest in a bundle, sealed."""
    about = bundle.read_manifest(folder) | values
    write_json(folder / "bundle.json", {**about, "seal": sha256_json(about)})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_missing_part_is_named(copied):
    part = next(copied.glob("data/*train*"))
    part.unlink()
    with pytest.raises(UserError, match=rf"{part}: missing in the bundle\. Copy it again"):
        bundle.train(copied)


def test_damaged_part_is_named_and_a_good_copy_mends_it(copied, packed):
    part = next(copied.glob("data/*test*"))
    flip(part)
    with pytest.raises(UserError, match=rf"{part}: expected sha256 .* Copy it again"):
        bundle.train(copied)
    shutil.copyfile(packed / "data" / part.name, part)
    manifest = bundle.read_manifest(copied)
    (key,) = manifest["datasets"]
    bundle.unpack(copied, manifest, key, copied / "cache")
    assert damage(copied / "cache" / "datasets" / key) is None
    assert not list((copied / "cache" / "datasets").glob(".*.tmp"))


def test_damaged_dataset_of_an_earlier_call_is_unpacked_again(copied):
    manifest = bundle.read_manifest(copied)
    (key,) = manifest["datasets"]
    codes = copied / "cache" / "datasets" / key / "train_codes.npy"
    bundle.unpack(copied, manifest, key, copied / "cache")
    whole = codes.read_bytes()
    flip(codes)
    bundle.unpack(copied, manifest, key, copied / "cache")
    assert codes.read_bytes() == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a bundle of `sfc runs pack`, got no bundle.json there"),
        ("{", "expected a bundle's, got JSONDecodeError"),
        ("[]", "expected a bundle's, got TypeError"),
        ('{"seal": ""}', "expected a bundle's, got KeyError"),
        ('{"seal": "", "format": 1}', "expected the content it was sealed with"),
        ('{"seal": "", "format": 2}', "expected a bundle of format 1, got 2, packed by another"),
    ],
)
def test_what_is_no_whole_bundle_of_this_format_is_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        bundle.train(tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "bundle.json"] * (text is not None)


def test_bundle_of_another_version_points_to_its_own_library(copied):
    changed(copied, content="0" * 64)
    with pytest.raises(UserError, match=f"another version of sfc_lib .* python {copied}/train.py"):
        bundle.train(copied)


@pytest.mark.parametrize("name", ["library/companions.zip", "bundle.json"])
def test_train_py_refuses_a_damaged_library(name, copied):
    if name == "bundle.json":
        (copied / name).write_text("{")
    else:
        flip(copied / name)
    command = [sys.executable, "-S", "train.py", "--help"]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.rstrip().endswith("again.")
    assert len(done.stderr.splitlines()) == 1


# Killed, and out of time


def test_kills_at_ten_points_lose_nothing(packed, tmp_path):
    """From the first file of the first dataset to the last of the record: SIGKILL each time."""
    one = shutil.copytree(packed, tmp_path / "one")
    changed(one, specs=[TINY.to_dict()])
    plan = {"mode": "bundle", "root": str(tmp_path / "lives"), "packed": str(one), "kills": 10}
    done = subprocess.run(
        [sys.executable, LIVES, json.dumps([[TINY.to_dict(), plan]])],
        env={**os.environ, "KERAS_BACKEND": TINY.backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = json.loads(done.stdout.splitlines()[-1])
    assert len(result["kills"]) == 10
    places = {each["point"][1].split()[0] for each in result["kills"]}
    assert places == {"cache", "runs"}
    for each in result["kills"]:
        assert (each["status"], each["last"]) == (-signal.SIGKILL, 0), each
        assert each["halfway"] in (None, result["whole"]), each
        assert each["hashes"] == result["whole"], each


@pytest.fixture
def endless_runs(monkeypatch):
    """Runs never end; the limit leaves time for their processes to start."""
    monkeypatch.setattr(bundle, "run_one", endless)
    monkeypatch.setattr(bundle, "SHORTEST", 0.1)
    monkeypatch.setattr(bundle, "MARGIN", 0.5)


def test_limit_ends_the_processes_and_keeps_epochs(copied, endless_runs, monkeypatch):
    began = time.monotonic()
    pid = copied / "runs" / TINY.id / "pid"
    jumped = clock_that_jumps(monkeypatch, pid.exists)
    state = bundle.train(copied, limit=1000, jobs=2)
    assert (state.finished, state.runs) == (0, 2)
    assert jumped
    assert time.monotonic() - began < 300  # of the limit's thousand
    wait_for(lambda: not Path(f"/proc/{pid.read_text()}").exists())


def clock_that_jumps(monkeypatch, condition):
    """Let the clock jump to the end of the limit once a condition holds."""
    clock, seen = time.time, []

    def jumping():
        if not seen and condition():
            seen.append(True)
        return clock() + (1000 if seen else 0)

    monkeypatch.setattr(bundle.time, "time", jumping)
    return seen


def test_limit_without_an_epoch_says_that_it_is_too_short(copied, endless_runs):
    changed(copied, specs=[tiny(seed=1).to_dict()])
    manifest = bundle.read_manifest(copied)
    for key in manifest["datasets"]:
        bundle.unpack(copied, manifest, key, copied / "cache")
    with pytest.raises(UserError, match=r"no epoch was finished within 0.6 s.* Give --limit more"):
        bundle.train(copied, limit=0.6)


def test_limit_that_ends_while_data_are_unpacked_says_so_and_leaves_nothing(copied):
    manifest = bundle.read_manifest(copied)
    (key,) = manifest["datasets"]
    with pytest.raises(UserError, match=f"limit: too short to unpack {key}"):
        bundle.unpack(copied, manifest, key, copied / "cache", end=time.time() - 1)
    assert [path.name for path in (copied / "cache" / "datasets").iterdir()] == [f"{key}.lock"]


def test_limit_below_the_shortest_is_refused(copied):
    with pytest.raises(UserError, match="limit: expected 20 s or more, got 3 s"):
        bundle.train(copied, limit=3)


class Inline(Processes):
    """Trains in this process; keeps the environment that the others would have had."""

    given = []

    def __init__(self, jobs, environment):
        Inline.given.append((jobs, environment))
        super().__init__(jobs, environment)

    def _call(self, function, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("SFC_DATA_DIR", "SFC_COMMIT"):
                patch.setenv(name, self._environment[name])
            return function(*arguments)


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr(bundle, "Processes", Inline)
    monkeypatch.setattr(Inline, "given", [])
    return Inline.given


def test_failed_run_is_named_and_the_others_are_kept(copied, inline):
    broken = tiny(precision="float64", seed=0) if TINY.backend == "jax" else tiny(train_samples=900)
    changed(copied, specs=[broken.to_dict(), TINY.to_dict()])
    with pytest.raises(UserError, match=rf"1 of 2 runs failed:\n  {broken.id} \(simulated_tf, sep"):
        bundle.train(copied, jobs=1)
    assert verify_record(copied / "runs" / TINY.id)


def test_read_only_bundle_trains_into_another_folder(copied, inline, tmp_path):
    changed(copied, specs=[TINY.to_dict()])
    before, said = sorted(copied.rglob("*")), []
    state = bundle.train(copied, work=tmp_path / "work", say=said.append)
    assert (state.finished, state.runs) == (1, 1)
    assert said == [f"finished: {TINY.id} (simulated_tf, sep, seed 0)"]
    assert sorted(copied.rglob("*")) == before
    assert verify_record(tmp_path / "work" / "runs" / TINY.id)
    assert bundle.bring_home(tmp_path / "work").taken == (TINY.id,)
    inline.clear()
    assert bundle.train(copied, work=tmp_path / "work").finished == 1  # nothing is left to do
    (tmp_path / "work" / "cache" / "datasets").rename(tmp_path / "gone")
    bundle.train(copied, work=tmp_path / "work")
    assert not (tmp_path / "work" / "cache" / "datasets").exists()


def test_accelerator_is_hidden_unless_it_is_asked_for(copied, inline, monkeypatch):
    monkeypatch.setattr(bundle, "run_one", lambda values, root: None)
    for accelerator in (False, True):
        bundle.train(copied, jobs=4, accelerator=accelerator, say=lambda _: None)
    (jobs, without), (_, within) = inline
    assert jobs == 2  # there are two runs
    assert without["CUDA_VISIBLE_DEVICES"] == "-1"
    assert without["OMP_NUM_THREADS"] == "1"
    assert not {"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"} & set(within)
    assert within["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


# Home


@pytest.fixture
def store(finished, tmp_path):
    """What came back: two finished records and an unfinished run."""
    folder = tmp_path / "back" / "runs"
    for seed in (0, 1):
        shutil.copytree(finished / tiny(seed=seed).id, folder / tiny(seed=seed).id)
    (folder / ("0" * 16)).mkdir()
    (folder / ("0" * 16) / "checkpoint").write_bytes(b"state")
    return folder


IDS = tuple(sorted((TINY.id, tiny(seed=1).id)))


@pytest.mark.parametrize("whole", [True, False])
def test_finished_records_come_home_and_nothing_else(whole, store):
    (store / TINY.id / "checkpoint").write_bytes(b"left by a kill")
    (store / TINY.id / "notes.txt").write_text("somebody's")
    folder = store.parent if whole else store
    brought = bundle.bring_home(folder)
    assert (brought.taken, brought.present, brought.unfinished) == (IDS, (), ("0" * 16,))
    assert sorted(path.name for path in runs_dir().iterdir()) == sorted(IDS)
    for run in IDS:
        record = verify_record(runs_dir() / run)
        assert record.result == verify_record(store / run).result
        assert {p.name for p in record.folder.iterdir()} == {*record.result["files"], "result.json"}
    assert bundle.bring_home(folder).present == IDS
    assert litter(runs_dir()) == []


def test_record_at_home_stays(store, finished):
    mine = shutil.copytree(finished / TINY.id, runs_dir() / TINY.id)
    result = verify_record(mine).result
    write_json(mine / "result.json", seal({**result, "wall_seconds": 1.5}))
    assert bundle.bring_home(store).present == (TINY.id,)
    assert verify_record(mine).result["wall_seconds"] == 1.5


def test_damaged_record_at_home_is_set_aside_for_the_good_one(store, finished):
    mine = shutil.copytree(finished / TINY.id, runs_dir() / TINY.id)
    flip(mine / "model.keras")
    with pytest.warns(UserWarning, match="Damaged run record"):
        assert bundle.bring_home(store).taken == IDS
    assert verify_record(mine)
    assert len(list(runs_dir().glob("*.damaged-*"))) == 1


def resealed(folder, **values):
    write_json(folder / "result.json", seal({**verify_record(folder).result, **values}))


def of_protocol_1(folder):
    """The record as a version before this one would have made it."""
    spec = dataclasses.replace(TINY, protocol=1)
    folder = folder.rename(folder.with_name(spec.id))
    write_json(folder / "spec.json", spec.to_dict())
    result = json.loads((folder / "result.json").read_text())
    files = {**result["files"], "spec.json": sha256_file(folder / "spec.json")}
    write_json(folder / "result.json", seal({**result, "id": spec.id, "files": files}))


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        (lambda folder: flip(folder / "model.keras"), "model.keras: expected sha256"),
        (lambda folder: (folder / "W_pos.npy").unlink(), "W_pos.npy: expected a plain file"),
        (lambda folder: (folder / "result.json").write_text("{"), "expected a whole record"),
        (lambda folder: resealed(folder, dataset_fingerprint="0" * 64), "the dataset of today"),
        (of_protocol_1, "expected a run of protocol 2, got 1"),
        (lambda folder: folder.rename(folder.with_name("1" * 16)), "expected a folder named"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_hinders_no_other(deed, message, store):
    deed(store / TINY.id)
    with pytest.raises(UserError, match=rf"1 of 2 records refused:\n  .*{message}"):
        bundle.bring_home(store)
    assert [path.name for path in runs_dir().iterdir()] == [tiny(seed=1).id]


def test_run_that_is_being_trained_here_is_left_alone(store):
    runs_dir().mkdir()
    with held(runs_dir() / TINY.id), pytest.raises(UserError, match="is being trained here"):
        bundle.bring_home(store)
    assert bundle.bring_home(store).taken == (TINY.id,)


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_full_disk_takes_nothing_half_and_goes_on_where_it_stopped(after, store, monkeypatch):
    copy, done = shutil.copyfile, []

    def filling(source, target):
        if len(done) == after:
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        done.append(target)
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", filling)
    taken = after // 5  # a record is five files
    message = rf"No space left on device\. {taken} of 2 records were taken in.*: mend that"
    with pytest.raises(UserError, match=message) as caught:
        bundle.bring_home(store)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(runs_dir() / IDS[taken]))
    assert [path.name for path in sorted(runs_dir().iterdir())] == list(IDS[:taken])
    monkeypatch.undo()
    monkeypatch.setenv("SFC_RUNS_DIR", str(store.parents[1] / "runs"))
    assert bundle.bring_home(store).taken == IDS[taken:]


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a bundle that was trained, or records"):
        bundle.bring_home(tmp_path)


# The verbs


def test_verbs_pack_train_and_import(tmp_path, inline):
    folder = tmp_path / "bundle"
    options = ["--only", "sep", "--seeds", 1, "--change", "dataset_options", '{"examples": 80}']
    options += ["--change", "width", "0.05", "--change", "backend", TINY.backend]
    done = sfc("runs", "pack", "smoke", *options, "-o", folder)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("1 runs and 1 datasets packed in ")
    assert f"python {folder}/train.py --limit 540s" in done.output
    done = sfc("runs", "train", folder, "--jobs", 1, "--limit", "9m")
    assert done.exit_code == 0, done.output
    assert done.output.endswith("1 of 1 runs are finished.\n")
    done = sfc("runs", "import", folder)
    assert done.output.startswith(f"1 records taken into {runs_dir()}, 0 were there, 0 runs are")
    done = sfc("runs", "pack", "smoke", *options, "-o", tmp_path / "again")
    assert done.output == "Error: pack: expected runs to be trained, got none: all of them have " \
        "records.\n"  # fmt: skip


def test_verb_says_when_it_is_to_be_called_again(copied, monkeypatch):
    given = {}

    def some(folder, **options):
        given.update(options)
        return bundle.Trained(1, 3)

    monkeypatch.setattr(bundle, "train", some)
    done = sfc("runs", "train", copied, "--limit", "1.5h", "--accelerator")
    assert done.exit_code == 75
    assert done.output == "1 of 3 runs are finished.\nCall it again to go on.\n"
    assert (given["limit"], given["accelerator"], given["jobs"]) == (5400.0, True, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("540s", 540), ("9m", 540), ("0.5h", 1800), ("30", 30)]
)
def test_time_is_read_with_its_unit(text, seconds, copied, monkeypatch):
    given = []
    monkeypatch.setattr(
        bundle, "train", lambda _, limit, **__: given.append(limit) or bundle.Trained(1, 1)
    )
    assert sfc("runs", "train", copied, "--limit", text).exit_code == 0
    assert given == [seconds]


def test_other_times_and_bad_changes_are_refused(copied, tmp_path):
    assert "expected a time such as 540s" in sfc("runs", "train", copied, "--limit", "soon").output
    done = sfc("runs", "pack", "smoke", "--change", "bckend", "jax", "-o", tmp_path / "x")
    assert "change: expected values of" in done.output
    assert done.exit_code == 1


# A bare machine


@pytest.fixture(scope="session")
def bare(tmp_path_factory, require_backend):
    """A folder with what pip installs for Keras and JAX alone, as links."""
    require_backend("jax")
    site = tmp_path_factory.mktemp("bare")
    for name in BARE:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files if ".." not in file.parts}
        for top in tops - {"__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    return site


def start(folder, bare, *arguments):
    """`train.py` where only those libraries are."""
    environment = {key: os.environ[key] for key in os.environ if not key.startswith(("SFC", "KER"))}
    return subprocess.Popen(
        [sys.executable, "-S", folder / "train.py", *arguments],
        env={**environment, "PYTHONPATH": str(bare)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_bare_machine_trains_the_same_bytes_after_a_kill(tmp_path, bare):
    """Packed, trained on JAX alone, killed, trained on, taken home: as trained in place."""
    spec = tiny(backend="jax", epochs=60, patience=60)
    folder = tmp_path / "bundle"
    bundle.pack([spec], folder)
    first = start(folder, bare)
    history = folder / "runs" / spec.id / "history.jsonl"
    wait_for(lambda: (history.exists() and history.read_bytes()) or first.poll() is not None)
    first.kill()
    said, complaint = first.communicate()
    assert first.returncode == -signal.SIGKILL, complaint
    with pytest.raises(UserError):
        verify_record(folder / "runs" / spec.id)
    second = start(folder, bare, "--limit", "540s")
    said, complaint = second.communicate(timeout=500)
    assert second.returncode == 0, complaint
    assert said.endswith("1 of 1 runs are finished.\n")
    assert bundle.bring_home(folder).taken == (spec.id,)
    record = verify_record(runs_dir() / spec.id)
    about = record.result["environment"]
    assert (about["commit"], about["versions"]["scikit-learn"]) == (commit(), None)
    assert "accelerators" not in about
    with Processes(1) as pool:
        pool.submit(bundle.run_one, spec.to_dict(), str(tmp_path / "place")).result()
    assert record.result["files"] == verify_record(tmp_path / "place" / spec.id).result["files"]
