"""Kills, damage and full disks: a record is whole and true, or it is not believed.

`SFC_KILLS=100` runs the full proof: that many random kills of each backend, and every
single write of a run struck instead of a choice of them.
"""

import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import QUICKLY_COMPILED
from tiny import TINY, Inline, tiny

from sfc_lib import files
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir, seal, write_json
from sfc_lib.runs import store
from sfc_lib.runs.housekeeping import litter, prune, unfinished
from sfc_lib.runs.pool import ONE_THREAD, ensure, run_one
from sfc_lib.runs.store import find, held, look_up, verify_record
from sfc_lib.runs.training import train_run

KILLS = int(os.environ.get("SFC_KILLS", "2"))  # of each backend
THIN = 7 if KILLS < 100 else 1  # of the many writes of zip files, every how many
EVERY = 2 if KILLS < 100 else 1  # of all other points, every how many are struck
FLIPS = 1200
LIVES = Path(__file__).parents[1] / "lives.py"
NAMES = ["W_pos.npy", "history.jsonl", "model.keras", "result.json", "spec.json"]


def in_fresh_process(backend, tmp_path, *arguments):
    """What a script prints, as JSON, with one thread and a backend of its own."""
    compiled = {  # once, not in every life
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **ONE_THREAD, **QUICKLY_COMPILED, **compiled, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def random_kills(backend):
    return tiny(backend=backend, epochs=6), {"mode": "random", "kills": KILLS, "seed": 0}


def at_points(deed, every, thin):
    return TINY, {"mode": "points", "deed": deed, "every": every, "thin": thin}


def live(backend, folder, **lives):
    """What became of several lives, by name, in one process of a backend."""
    plans = [
        [spec.to_dict(), {**plan, "root": str(folder / name)}]
        for name, (spec, plan) in lives.items()
    ]
    return dict(
        zip(lives, in_fresh_process(backend, folder, LIVES, json.dumps(plans)), strict=True)
    )


@pytest.fixture(scope="session")
def lived(tmp_path_factory, require_backend):
    """What became of the lives on a backend: each imports it once."""
    points = {
        "killed": at_points("kill", EVERY, 2 * THIN - 1),
        "full": at_points("full", EVERY, 2 * THIN - 1),
    }

    @functools.cache
    def on(backend):
        require_backend(backend)
        more = points if backend == TINY.backend else {}
        return live(backend, tmp_path_factory.mktemp("lives"), random=random_kills(backend), **more)

    return on


@pytest.fixture(scope="session")
def trained(finished):
    """Folder of a real finished record; copy it, don't touch it."""
    return finished / TINY.id


@pytest.fixture
def folder(trained):
    """A copy in the user's store."""
    return shutil.copytree(trained, runs_dir() / TINY.id)


# Killed


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_kills_at_random_moments_change_nothing(backend, lived):
    result = lived(backend)["random"]
    whole, *killed = result["runs"]
    assert whole["lives"] == [[0, 1, 2, 3, 4, 5]]
    assert result["kills"] == KILLS
    for run in killed:
        assert run["hashes"] == whole["hashes"]
        assert set(run["files"]) - {"checkpoint"} == set(NAMES)
        lives = [life for life in run["lives"] if life]
        assert all(life == list(range(life[0], life[-1] + 1)) for life in lives)
        for life, following in itertools.pairwise(lives):
            assert following[0] in (life[-1], life[-1] + 1)  # one epoch is repeated, or none
        assert lives[-1][-1] == 5


def test_kill_at_every_write_changes_nothing(lived):
    result = lived(TINY.backend)["killed"]
    assert len(result["points"]) > 25
    for each in result["points"]:
        assert (each["status"], each["last"]) == (-signal.SIGKILL, 0), each
        assert each["halfway"] in (None, result["whole"]), each
        assert each["hashes"] == result["whole"], each
        # Only what nobody asks for again may stay: the checkpoint of a record that was whole.
        assert each["files"] == sorted(NAMES + ["checkpoint"] * (each["halfway"] is not None))


def test_full_disk_is_named_and_changes_nothing(lived):
    result = lived(TINY.backend)["full"]
    assert len(result["points"]) > 25
    assert {name: result["now"][name] for name in result["whole"]} == result["whole"]
    for each in result["points"]:
        _, name, _ = each["point"]
        assert (each["status"], each["last"]) == (3, 0), each
        assert "No space left on device: '" in each["message"], each
        assert TINY.id in each["message"], each
        assert name.removesuffix(" scratch") in (*each["message"].split("/"), "folder") or (
            f"/{name.split()[0]}'" in each["message"]
        ), each
        assert each["hashes"] == result["whole"], each
        assert set(each["files"]) - {"checkpoint"} == set(NAMES), each


@pytest.mark.parametrize("left", [".checkpoint.abc.tmp", ".model.keras.abc.tmp/model.keras"])
def test_scratch_of_a_killed_process_is_removed_when_the_run_goes_on(left, tmp_path):
    spec = tiny(epochs=1)
    scratch = tmp_path / spec.id / left
    scratch.parent.mkdir(parents=True)
    scratch.write_bytes(b"half")
    run_one(spec.to_dict(), str(tmp_path))
    assert sorted(path.name for path in (tmp_path / spec.id).iterdir()) == NAMES


# Damaged


def test_flipped_and_truncated_files_are_never_used(trained, tmp_path):
    """`FLIPS` random damages, fixed by a seed, spread over all files of the record."""
    folder = shutil.copytree(trained, tmp_path / TINY.id)
    rng, original = random.Random(0), verify_record(folder).result
    whole = {name: (folder / name).read_bytes() for name in NAMES}
    outcomes = {"refused": 0, "same": 0}
    for number in range(FLIPS):
        name = NAMES[number % len(NAMES)]
        damaged = bytearray(whole[name])
        position = rng.randrange(len(damaged))
        if rng.random() < 0.3:
            del damaged[position:]
        else:
            damaged[position] ^= rng.randrange(1, 256)
        (folder / name).write_bytes(damaged)
        try:
            record = verify_record(folder, cached=True)
        except UserError:
            outcomes["refused"] += 1
        else:
            assert name == "result.json"
            assert record.result == original
            outcomes["same"] += 1
        (folder / name).write_bytes(whole[name])
    assert verify_record(folder).result == original
    assert outcomes["refused"] + outcomes["same"] == FLIPS
    assert outcomes["same"] < FLIPS // 20


@pytest.mark.parametrize("name", ["W_pos.npy", "result.json"])
def test_damaged_record_is_named_set_aside_and_trained_again(name, folder, trained):
    damaged = (folder / name).read_bytes()[:-3] + b"???"
    (folder / name).write_bytes(damaged)
    with pytest.warns(UserWarning, match=rf"Damaged run record, not used: .*{TINY.id}"):
        (record,) = ensure([TINY], published=False, executor=Inline(), progress=False)
    assert record.folder == folder
    assert record.result["files"] == verify_record(trained).result["files"]
    (aside,) = folder.parent.glob("*.damaged-*")
    assert sorted(path.name for path in aside.iterdir()) == NAMES
    assert (aside / name).read_bytes() == damaged


def test_file_changed_after_it_was_verified_is_not_read(folder):
    record = verify_record(folder)
    for name, read in (("W_pos.npy", record.positional_weights), ("history.jsonl", record.history)):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        with pytest.raises(UserError, match=f"{name}: changed since"):
            read()


# Diverged

DIVERGING = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.pool import ensure

specs = [RunSpec.from_dict(values) for values in json.loads(sys.argv[1])]
records = ensure(specs, published=False, executor=ThreadPoolExecutor(1), progress=False)
print(json.dumps([[r.result["status"], r.result["epochs"], r.history()[-1]] for r in records]))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_diverged_runs_are_recorded_and_the_sweep_goes_on(backend, on_backend):
    """The loss overflows, the weights do, and the run after them is done."""
    rates = (1e37, 1e20, 0.001)
    specs = [tiny(backend=backend, learning_rate=rate).to_dict() for rate in rates]
    *diverged, last = json.loads(on_backend(backend, DIVERGING, json.dumps(specs)))
    assert last[:2] == ["done", 2]
    for status, epochs, line in diverged:
        assert (status, line["epoch"], line["loss"]) == ("diverged", epochs, None)
        assert line["valid_auroc"] is None


def test_other_errors_of_training_are_not_taken_for_divergence(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("expected a value between 0 and 1")

    monkeypatch.setattr(keras.Model, "fit", broken)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        train_run(TINY, tmp_path / TINY.id)
    assert not (tmp_path / TINY.id / "result.json").exists()


def test_bfloat16_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """NumPy has no bfloat16 of its own: it reads such arrays back as blobs of two bytes."""
    from sfc_lib.runs.training import Progress

    spec, begin = tiny(precision="bfloat16", epochs=2), Progress.on_epoch_begin
    train_run(spec, tmp_path / "whole" / spec.id)

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_epoch_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(spec, tmp_path / spec.id)
    train_run(spec, tmp_path / spec.id)
    records = [verify_record(tmp_path / spec.id), verify_record(tmp_path / "whole" / spec.id)]
    assert records[0].result["files"] == records[1].result["files"]
    assert records[0].positional_weights().dtype == np.float32


# Remembered hashes


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that were hashed; all files count as old enough to be remembered."""
    seen, original = [], files.sha256_file

    def counted(path):
        seen.append(path.name)
        return original(path)

    for module in (files, store):
        monkeypatch.setattr(module, "sha256_file", counted)
    monkeypatch.setattr(files, "SETTLED", -1)
    return seen


def test_second_look_up_hashes_nothing(folder, hashed):
    first = look_up(TINY, published=False)
    assert sorted(hashed) == sorted(first.result["files"])
    hashed.clear()
    assert look_up(TINY, published=False).result == first.result
    assert hashed == []
    verify_record(folder)  # asked for outright, nothing is taken on trust
    assert sorted(hashed) == sorted(first.result["files"])


@pytest.mark.parametrize("change", ["content", "touch", "replaced"])
def test_changed_file_is_hashed_again(change, folder, hashed):
    look_up(TINY, published=False)
    hashed.clear()
    path = folder / "W_pos.npy"
    if change == "replaced":
        shutil.copy2(path, folder.parent / "copy")
        (folder.parent / "copy").rename(path)
    elif change == "touch":
        os.utime(path, ns=(0, 0))
    else:  # same size, and a time stamp set back to what it was
        stamp, content = path.stat(), bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    if change == "content":
        with pytest.warns(UserWarning, match=r"W_pos\.npy: expected sha256"):
            assert find(TINY, folder.parent) is None
    else:
        assert find(TINY, folder.parent) is not None
    assert hashed == ["W_pos.npy"]


def test_young_file_is_not_remembered(folder, hashed, monkeypatch):
    """Within one tick of the clock a file may change twice and keep its time stamp."""
    monkeypatch.setattr(files, "SETTLED", 10**18)
    for _ in range(2):
        look_up(TINY, published=False)
    assert len(hashed) == 2 * 4


# Left behind


@pytest.fixture
def full_store(folder):
    """A store with a bit of everything; names of what `prune` may remove, by kind."""
    root = folder.parent
    begun = root / ("0" * 16)
    begun.mkdir()
    (begun / "spec.json").write_text("{}")
    (begun / "checkpoint").write_bytes(b"state")
    aside = shutil.copytree(folder, root / f"{'1' * 16}.damaged-20260101T000000")
    files = [folder / ".history.jsonl.x.tmp", folder / "checkpoint", root / f".{begun.name}.lock"]
    folders = [begun / ".model.keras.y.tmp", root / f".{TINY.id}.z.tmp"]
    for path in files:
        path.write_bytes(b"half")
    for path in folders:
        path.mkdir()
        (path / "x").write_bytes(b"half")
    (root / "notes.tmp").write_text("the user's own")
    (root / ".other.tmp").write_text("the user's own")
    return {"scratch": {*files, *folders}, "damaged": {aside}, "begun": {begun}}


@pytest.mark.parametrize("asked", [(), ("damaged",), ("begun",), ("damaged", "begun")])
def test_prune_removes_what_it_is_asked_to_and_nothing_else(asked, full_store, folder):
    root = folder.parent
    removable = set().union(full_store["scratch"], *(full_store[kind] for kind in asked))
    before = set(root.rglob("*"))
    options = dict.fromkeys(asked, True)
    assert set(litter(root, **options)) == removable
    assert set(root.rglob("*")) == before
    prune(root, **options)
    gone = {path for path in before if not path.exists()}
    assert gone == {p for p in before if removable & {p, *p.parents}}
    assert verify_record(folder)
    assert prune(root, **options) == []


def test_unfinished_runs_are_those_without_a_result(full_store, folder):
    assert unfinished(folder.parent) == list(full_store["begun"])
    assert unfinished(folder.parent / "nowhere") == []


def test_prune_leaves_a_run_that_is_being_trained(full_store, folder):
    root = folder.parent
    (begun,) = full_store["begun"]
    with held(begun):
        prune(root, begun=True, damaged=True)
    assert sorted(p.name for p in begun.iterdir()) == [
        ".model.keras.y.tmp", "checkpoint", "spec.json"
    ]  # fmt: skip
    prune(root, begun=True)
    assert not begun.exists()


def test_prune_removes_a_link_and_not_what_it_points_to(folder, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x").write_text("x")
    (folder / ".x.y.tmp").symlink_to(tmp_path / "precious")
    assert prune(folder.parent) == [folder / ".x.y.tmp"]
    assert (tmp_path / "precious" / "x").exists()
    assert not (folder / ".x.y.tmp").is_symlink()


def test_prune_leaves_a_linked_run_and_what_it_points_to(folder, tmp_path):
    """Runs that were moved to another disk, for instance."""
    for name in ("1" * 16, "2" * 16):
        elsewhere = tmp_path / name
        elsewhere.mkdir()
        (elsewhere / ".model.x.keras").write_text("x")
        (elsewhere / ".history.jsonl.x.tmp").write_text("x")
        (folder.parent / name).symlink_to(elsewhere)
    (tmp_path / ("2" * 16) / "result.json").write_text("{}")
    (tmp_path / ("2" * 16) / "checkpoint").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert prune(folder.parent, damaged=True, begun=True) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_sealed_result_of_another_run_is_refused(folder):
    result = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", seal({**result, "id": "0" * 16}))
    with pytest.raises(UserError, match=f"expected a folder named {TINY.id}"):
        verify_record(folder)
