"""Run records: only what is whole is believed, and publishing never loses or halves one."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY as SPEC

from sfc_lib.datasets.simulated_tf import SimulatedTF
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir, seal, sha256_file, write_json
from sfc_lib.runs import housekeeping, store
from sfc_lib.runs.evaluation import VERSION, importance_of, importance_sequences
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import (
    Record,
    best_seeds,
    find,
    held,
    look_up,
    verify_record,
)

FILES = ["W_pos.npy", "history.jsonl", "model.keras", "result.json", "spec.json"]


@pytest.fixture(scope="session")
def trained(finished):
    """Folder of a real finished record; copy it, don't touch it."""
    return finished / SPEC.id


@pytest.fixture(scope="session")
def damageable(trained, tmp_path_factory):
    """A copy that a test may damage if it mends it again."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("damageable") / SPEC.id)


@pytest.fixture
def folder(trained):
    """A copy in the user's store."""
    return shutil.copytree(trained, runs_dir() / SPEC.id)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The published store, not there yet."""
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    return tmp_path / "published"


def edit(folder, **changes):
    """Change the result of a record and seal it again."""
    result = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", seal({**result, **changes}))


def other_seed(folder, seed, auroc, status="done"):
    """A record of another seed beside `folder`, with a chosen validation auROC."""
    spec = RunSpec.from_dict({**verify_record(folder).spec.to_dict(), "seed": seed})
    target = shutil.copytree(folder, folder.with_name(spec.id))
    write_json(target / "spec.json", spec.to_dict())
    result = verify_record(folder).result
    files = {**result["files"], "spec.json": sha256_file(target / "spec.json")}
    valid = {**result["valid"], "auroc": auroc}
    edit(target, id=spec.id, files=files, valid=valid, status=status)
    return verify_record(target)


def contents(root):
    """All files below a folder and their bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_finished_record_is_accepted_and_read(folder):
    record = verify_record(folder)
    assert record.spec == SPEC
    assert record.result["status"] == "done"
    assert not record.diverged
    assert sorted(record.result["files"]) == [name for name in FILES if name != "result.json"]
    assert len(record.history()) == record.result["epochs"] == 2
    assert record.positional_weights().shape[1] == 35


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60)
@given(data=st.data())
def test_flipped_bit_is_never_believed(damageable, name, data):
    whole, original = (damageable / name).read_bytes(), verify_record(damageable).result
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    assert believed(damageable, name, flipped) in harmless(name, original)
    assert verify_record(damageable).result == original


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_truncated_file_is_never_believed(damageable, name, data):
    whole, original = (damageable / name).read_bytes(), verify_record(damageable).result
    length = data.draw(st.integers(0, len(whole) - 1))
    assert believed(damageable, name, whole[:length]) in harmless(name, original)


def harmless(name, original):
    """Refused; or, for the result, read as what it was: a blank less, a 17th digit changed."""
    return (None, original) if name == "result.json" else (None,)


def believed(folder, name, content):
    """What `verify` says of a record while one file has other content; None if it refuses."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        return verify_record(folder).result
    except UserError:
        return None
    finally:
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("path", [("valid", "auroc"), ("best_epoch",), ("wall_seconds",)])
def test_changed_number_in_the_result_is_refused(folder, path):
    """No file's hash notices it: the result must carry its own."""
    result = json.loads((folder / "result.json").read_text())
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] += 1
    write_json(folder / "result.json", result)
    with pytest.raises(UserError, match=r"result\.json: expected"):
        verify_record(folder)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: expected"):
        verify_record(folder)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"result\.json: expected a whole record"):
        verify_record(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    ["", "{", "null", "3", '"done"', "[]", "{}", '{"status": "done"}', '{"files": {}}',
     '{"status": "done", "files": ["spec.json", "history.jsonl"]}',
     '{"status": "done", "files": "spec.json"}', '{"status": "done", "files": 3}',
     '{"status": "done", "files": null}', '{"status": ["done"], "files": {}}', "\xff"],
)  # fmt: skip
def test_malformed_result_is_refused(folder, content):
    (folder / "result.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"result\.json: expected"):
        verify_record(folder)
    with pytest.warns(UserWarning, match="Damaged run record, not used"):
        assert look_up(SPEC, published=False) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "running"},
        {"files": {}},
        {"files": {"spec.json": "0" * 64, "history.jsonl": "0" * 64}},
    ],
)
def test_well_sealed_but_wrong_result_is_refused(folder, changes):
    edit(folder, **changes)
    with pytest.raises(UserError, match="expected"):
        verify_record(folder)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "inner/x", "..", ".", "", "x\0"])
def test_record_names_no_file_outside_itself(folder, name):
    (folder / "inner").mkdir()
    for path in (folder.parent / "x", folder / "inner" / "x"):
        path.write_bytes(b"x")
    sha256 = sha256_file(folder.parent / ("x" if "passwd" not in name else "/etc/passwd"))
    edit(folder, files={**verify_record(folder).result["files"], name: sha256})
    with pytest.raises(UserError, match="expected a plain file of the record, got none"):
        verify_record(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "result.json"])
def test_symbolic_link_is_not_a_file_of_the_record(folder, name, tmp_path):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: expected a plain file"):
        verify_record(folder)


def test_folder_must_be_named_after_its_spec(folder):
    moved = folder.rename(folder.with_name("0" * 16))
    with pytest.raises(UserError, match=f"expected a folder named {SPEC.id}"):
        verify_record(moved)


@pytest.mark.parametrize("content", ["[]", "{}", "3", '{"seed": 1}'])
def test_spec_that_is_none_is_refused(folder, content):
    (folder / "spec.json").write_text(content)
    files = {**verify_files(folder), "spec.json": sha256_file(folder / "spec.json")}
    edit(folder, files=files)
    with pytest.raises(UserError, match=r"spec\.json: expected a run's spec"):
        verify_record(folder)


def verify_files(folder):
    return json.loads((folder / "result.json").read_text())["files"]


def test_unfinished_run_is_no_record_and_no_warning(folder):
    (folder / "result.json").unlink()
    assert find(SPEC, folder.parent) is None
    assert store.set_aside(folder) is None
    assert folder.is_dir()


def test_published_record_comes_before_the_users(folder, published):
    assert look_up(SPEC).folder == folder
    publish([verify_record(folder)], published)
    assert look_up(SPEC).folder == published / SPEC.id
    assert look_up(SPEC, published=False).folder == folder
    shutil.rmtree(folder)
    assert look_up(SPEC).folder == published / SPEC.id
    assert look_up(SPEC, published=False) is None


def test_damaged_published_record_is_warned_of_and_not_used(folder, published):
    (copy,) = publish([verify_record(folder)], published)
    (copy / "history.jsonl").write_text("")
    with pytest.warns(UserWarning, match=r"Damaged run record, not used: .*history\.jsonl"):
        assert look_up(SPEC).folder == folder


def test_set_aside_keeps_everything_each_time(folder, trained):
    asides = [store.set_aside(folder)]
    shutil.copytree(trained, folder)
    asides.append(store.set_aside(folder))
    assert asides[0] != asides[1]
    assert not folder.exists()
    for aside in asides:
        assert aside.name.startswith(f"{SPEC.id}.damaged-")
        assert contents(aside) == contents(trained)


def test_published_copy_verifies_and_lacks_nothing_but_the_model(folder, published):
    best, slim = verify_record(folder), other_seed(folder, 1, auroc=0.0)
    folders = publish([best, slim], published)
    assert folders == [published / best.spec.id, published / slim.spec.id]
    assert sorted(contents(folders[0])) == sorted([*FILES, "importance.npy"])
    assert set(contents(folders[0])) - set(contents(folders[1])) == {"model.keras"}
    for record, copy in zip([best, slim], map(verify_record, folders), strict=True):
        assert copy.spec == record.spec
        assert copy.result["valid"] == record.result["valid"]
        assert copy.result["files_of_run"] == record.result["files"]
        assert copy.history() == record.history()
        assert (copy.positional_weights() == record.positional_weights()).all()
        found, count = importance_of(record), len(importance_sequences(record.spec))
        assert (copy.importance() == found.values).all()
        assert copy.result["importance"] == {"version": VERSION, "sequences": count}
        assert copy.folder.stat().st_mode & 0o777 == 0o755


def test_model_is_kept_for_the_best_seed_of_each_model(folder, published):
    records = [other_seed(folder, seed, auroc) for seed, auroc in ((1, 0.6), (2, 0.9), (3, 0.7))]
    publish(records, published)
    with_model = [record.spec.seed for record in records
                  if (published / record.spec.id / "model.keras").exists()]  # fmt: skip
    assert with_model == [2]


def test_seeds_published_later_take_the_model_only_if_they_are_better(folder, published):
    for seed, auroc, kept in ((1, 0.6, [1]), (2, 0.9, [2]), (3, 0.7, [2])):
        publish([other_seed(folder, seed, auroc)], published)
        copies = [verify_record(path) for path in sorted(published.glob("*"))]
        with_model = [copy.spec.seed for copy in copies if "model.keras" in copy.result["files"]]
        assert (len(copies), with_model) == (seed, kept)


def test_a_large_model_is_not_published(folder, published, monkeypatch):
    size = (folder / "model.keras").stat().st_size
    for largest, kept in ((size - 1, False), (size, True)):
        monkeypatch.setattr(housekeeping, "LARGEST_MODEL", largest)
        (copy,) = publish([verify_record(folder)], published)
        assert (copy / "model.keras").exists() == kept
        assert verify_record(copy).result["files_of_run"]["model.keras"]


def test_best_seeds_are_one_a_model_and_never_diverged(folder):
    records = [
        other_seed(folder, 1, auroc=0.6),
        other_seed(folder, 2, auroc=0.99, status="diverged"),
        other_seed(folder, 3, auroc=0.8),
        other_seed(folder, 4, auroc=0.8),
    ]
    wide = Record(RunSpec.from_dict({**SPEC.to_dict(), "width": 1.0}), folder, records[0].result)
    assert best_seeds([*records, wide]) == [records[2], wide]
    assert best_seeds(records[1:2]) == []


def test_publishing_again_changes_nothing(folder, published):
    records = [verify_record(folder), other_seed(folder, 1, auroc=0.0)]
    publish(records, published)
    first = contents(published)
    publish(records, published)
    assert contents(published) == first


def test_scores_alone_are_published_without_model_and_importance(folder, published):
    run = verify_record(folder)
    (copy,) = publish([run], published, scores_only=True)
    assert sorted(contents(copy)) == sorted(set(FILES) - {"model.keras", "W_pos.npy"})
    slim = verify_record(copy)
    kept = set(run.result) - {"files", "seal"}
    assert set(slim.result) == {*run.result, "files_of_run"}
    assert {k: slim.result[k] for k in kept} == {k: run.result[k] for k in kept}
    assert slim.result["files_of_run"] == run.result["files"]
    assert slim.history() == run.history()
    with pytest.raises(UserError, match=r"this record has no W_pos\.npy"):
        slim.positional_weights()


@pytest.mark.parametrize("change", [{"curvature": 1.0}, {"limit": 0.0}])
def test_scores_come_with_weights_that_were_to_be_smooth(folder, published, change):
    spec = RunSpec.from_dict({**SPEC.to_dict(), **change})
    target = shutil.copytree(folder, folder.with_name(spec.id))
    write_json(target / "spec.json", spec.to_dict())
    files = verify_record(folder).result["files"]
    edit(target, id=spec.id, files={**files, "spec.json": sha256_file(target / "spec.json")})
    (copy,) = publish([verify_record(target)], published, scores_only=True)
    assert sorted(contents(copy)) == sorted(set(FILES) - {"model.keras"})


def test_scores_alone_can_be_published_from_the_published_store(folder, published):
    """So that older records lose `W_pos` too, and nothing else but what tells of it."""
    (copy,) = publish([verify_record(folder)], published, scores_only=True)
    slim = contents(copy)
    shutil.copyfile(folder / "W_pos.npy", copy / "W_pos.npy")
    files = json.loads(slim["result.json"])["files"]
    edit(copy, files={**files, "W_pos.npy": sha256_file(copy / "W_pos.npy")})
    publish([verify_record(copy)], published, scores_only=True)
    assert contents(copy) == slim


def test_scores_take_nothing_from_a_record_that_is_published_whole(folder, published):
    """The sizes of controls hold networks of `standard`, which figures need whole."""
    (whole,) = publish([verify_record(folder)], published)
    before = contents(whole)
    assert publish([verify_record(folder)], published, scores_only=True) == [whole]
    assert contents(whole) == before


def test_scores_of_a_better_seed_take_no_model_away(folder, published):
    (best,) = publish([verify_record(folder)], published)
    before = contents(best)
    publish([other_seed(folder, 1, auroc=1.0)], published, scores_only=True)
    assert contents(best) == before


def test_publishing_published_records_keeps_the_hashes_of_the_run(folder, published):
    """`ensure` gives published records where there are any, and they are published again."""
    records = [verify_record(folder), other_seed(folder, 1, auroc=0.0)]
    publish(records, published)
    first = contents(published)
    publish([look_up(record.spec) for record in records], published)
    assert contents(published) == first


def test_interrupted_publish_leaves_nothing_new_and_the_old_whole(folder, published, monkeypatch):
    def full(source, target):
        if source.name != "spec.json":
            raise OSError("No space left on device")
        return shutil.copy(source, target)

    other = other_seed(folder, 1, auroc=0.0)
    publish([other], published)
    before = contents(published)
    with monkeypatch.context() as patch:
        patch.setattr(housekeeping.shutil, "copyfile", full)
        for record in (verify_record(folder), other):
            with pytest.raises(OSError, match="No space left"):
                publish([record], published)
    assert contents(published) == before


def test_record_damaged_since_it_was_verified_is_not_published(folder, published):
    publish([verify_record(folder)], published)
    before, record = contents(published), verify_record(folder)
    (folder / "history.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"history\.jsonl"):
        publish([record], published)
    assert contents(published) == before


@pytest.mark.parametrize("victim", ["copyfile", "rmtree"])
def test_publish_killed_halfway_leaves_no_half_record(folder, published, victim):
    """Killed for real while it copies, or while it removes the record it replaces."""
    publish([verify_record(folder)], published)
    script = f"""
import os, pathlib, signal, sys
from sfc_lib.runs import housekeeping
from sfc_lib.runs import store

def killed(path, *_, **__):
    path = pathlib.Path(path)
    (path / "spec.json").unlink(missing_ok=True) if path.is_dir() else None
    os.kill(os.getpid(), signal.SIGKILL)

record = store.verify_record(pathlib.Path(sys.argv[1]))
housekeeping.shutil.{victim} = killed
housekeeping.publish([record], pathlib.Path(sys.argv[2]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder), str(published)])
    assert done.returncode == -signal.SIGKILL
    assert look_up(SPEC).folder == published / SPEC.id
    publish([verify_record(folder)], published)
    assert verify_record(published / SPEC.id).spec == SPEC


def test_record_of_another_dataset_than_todays_is_refused(folder, monkeypatch):
    """The recipe was changed, and its version raised, since the run was trained."""
    monkeypatch.setattr(SimulatedTF, "version", SimulatedTF.version + 1)
    with pytest.raises(UserError, match="expected a run on the dataset of today"):
        verify_record(folder)


def test_record_whose_input_files_are_gone_is_still_a_record(folder, monkeypatch):
    """What its files are, its spec says by their hashes."""

    def gone(self):
        raise FileNotFoundError("positives.fa")

    monkeypatch.setattr(SimulatedTF, "inputs", gone)
    assert verify_record(folder).spec == SPEC
    assert look_up(SPEC, published=False).folder == folder
    assert [record.spec for record in store.all_records([folder.parent])[0]] == [SPEC]


def test_bad_records_do_not_hide_the_good_ones(folder, published):
    publish([verify_record(folder)], published)
    bad = [other_seed(folder, seed, auroc=0.5).folder for seed in (1, 2)]
    (bad[0] / "history.jsonl").write_text("")
    (bad[1] / "result.json").write_text("{}")
    store.set_aside(shutil.copytree(folder, folder.with_name("0" * 16)))
    good, found = store.all_records([published, folder.parent])
    assert [record.folder for record in good] == [published / SPEC.id, folder]
    assert sorted(found) == sorted(
        f"{path / name}: {message}"
        for path, name, message in [
            (bad[0], "history.jsonl", f"expected sha256 {sha256_of(bad[0])}, got {EMPTY}."),
            (bad[1], "result.json", "expected a whole record, got KeyError('seal')."),
        ]
    )
    assert store.all_records([folder.parent / "nowhere"]) == ([], [])


def test_a_record_that_lost_its_result_is_bad_and_a_run_that_goes_on_is_none(folder):
    lost, begun, trained, forgotten = (
        other_seed(folder, n, auroc=0.5).folder for n in (1, 2, 3, 4)
    )
    for path in (lost, begun, trained):
        (path / "result.json").unlink()
    (begun / "checkpoint").write_bytes(b"state")
    killed = begun.with_name("1" * 16)  # in its first epoch
    killed.mkdir()
    (killed / "history.jsonl").touch()
    (forgotten / "history.jsonl").unlink()
    with held(trained):
        good, bad = store.all_records([folder.parent])
    assert [record.folder for record in good] == [folder]
    assert len(bad) == 2
    assert any(str(lost / "result.json") in message for message in bad)
    assert any(str(forgotten / "history.jsonl") in message for message in bad)


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def sha256_of(folder):
    return verify_files(folder)["history.jsonl"]
