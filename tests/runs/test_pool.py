"""Many runs: what is there is read, what is missing is trained once, and nothing gets lost."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

import pytest
from processes import finish, script, wait_for

from sfc_lib.files import runs_dir
from sfc_lib.runs import pool as module
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.pool import ONE_THREAD, SweepError, ensure, run_one, sweep
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify

TINY = RunSpec(
    backend=os.environ["KERAS_BACKEND"],
    dataset_options={"examples": 80},
    width=0.05,
    epochs=2,
)


def tiny(**changes):
    return dataclasses.replace(TINY, **changes)


A, B, C = (tiny(seed=seed) for seed in range(3))


class Inline(Executor):
    """Runs what is submitted in this process, and keeps the specs it was given."""

    def __init__(self):
        self.given = []

    def submit(self, function, values, root):
        self.given.append(RunSpec.from_dict(values))
        future = Future()
        try:
            future.set_result(function(values, root))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A store with finished records of A and B; copy from it."""
    root = tmp_path_factory.mktemp("store")
    for spec in (A, B):
        run_one(spec.to_dict(), str(root))
    return root


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """An empty published store."""
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    return tmp_path / "published"


def take(spec, trained):
    """Copy a finished record into the user's store; returns the stamp of its files."""
    return stamps(shutil.copytree(trained / spec.id, runs_dir() / spec.id))


def stamps(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


# In this process: what is trained, and what is not


def test_only_what_is_missing_is_trained_and_order_is_kept(trained):
    before = {spec: take(spec, trained) for spec in (A, B)}
    executor = Inline()
    records = ensure([C, A, C, B], executor=executor, progress=False)
    assert [record.spec for record in records] == [C, A, C, B]
    assert executor.given == [C]
    assert {spec: stamps(runs_dir() / spec.id) for spec in (A, B)} == before


def test_records_trained_elsewhere_are_the_same(trained):
    executor = Inline()
    (record,) = ensure([A], executor=executor, progress=False)
    assert record.result["files"] == verify(trained / A.id).result["files"]


def test_nothing_wanted_is_nothing_done():
    assert ensure([]) == []
    assert not runs_dir().exists()


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, None])
def test_jobs_must_be_at_least_one(jobs):
    with pytest.raises(ValueError, match=f"sweep: jobs must be an integer >= 1, got {jobs}"):
        ensure([], jobs=jobs)


def test_failing_run_is_named_and_the_others_finish():
    bad = tiny(class_weight=True, variant="symm", seed=7)
    with pytest.raises(SweepError) as caught:
        ensure([bad, C], executor=Inline(), progress=False)
    message = str(caught.value)
    assert message.startswith("1 of 2 runs failed:\n")
    assert f"{bad.id} (symm, seed 7): class_weight works for one task" in message
    assert C.id not in message
    assert verify(runs_dir() / C.id).spec == C


def test_run_that_leaves_no_record_is_an_error():
    class Idle(Inline):
        def submit(self, function, values, root):
            return super().submit(lambda *_: None, values, root)

    with pytest.raises(SweepError, match="its record is damaged"):
        ensure([A], executor=Idle(), progress=False)


def test_published_records_are_used_unless_told_not_to(trained, published):
    publish([verify(trained / A.id)], published)
    executor = Inline()
    assert ensure([A], executor=executor, progress=False)[0].folder == published / A.id
    assert executor.given == []
    records = ensure([A], published=False, executor=executor, progress=False)
    assert executor.given == [A]
    assert records[0].folder == runs_dir() / A.id


def test_damaged_record_is_kept_aside_and_trained_anew(trained):
    take(A, trained)
    (runs_dir() / A.id / "history.jsonl").write_text("damaged")
    with pytest.warns(UserWarning, match="Damaged run record, not used"):
        (record,) = ensure([A], executor=Inline(), progress=False)
    assert record.result["files"] == verify(trained / A.id).result["files"]
    (aside,) = runs_dir().glob(f"{A.id}.damaged-*")
    assert (aside / "history.jsonl").read_text() == "damaged"


@pytest.mark.parametrize("progress", [True, False])
def test_progress_bar_counts_runs_where_it_is_wanted(trained, progress, capfd):
    class Copying(Inline):
        def submit(self, function, values, root):
            take(RunSpec.from_dict(values), trained)
            return super().submit(lambda *_: None, values, root)

    ensure([A, B], executor=Copying(), progress=progress)
    shown = capfd.readouterr().err
    assert ("training: 100%" in shown and "2/2" in shown) if progress else shown == ""


# In local processes, with stand-ins for a run: spawned processes find them by their name


def wait_for_another(values, root):
    """Stands for a run; ends when as many run at once as its patience says."""
    spec = RunSpec.from_dict(values)
    seen = {"pid": os.getpid(), "environment": {name: os.environ.get(name) for name in ONE_THREAD}}
    (Path(root) / spec.id).write_text(json.dumps(seen))
    wait_for(lambda: len(list(Path(root).iterdir())) >= spec.patience)


def killed_if_seed_is_1(values, root):
    spec = RunSpec.from_dict(values)
    if spec.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(root) / spec.id).touch()


@pytest.mark.parametrize("jobs", [1, 2])
def test_local_processes_are_as_many_as_jobs_with_one_thread_each(jobs, monkeypatch):
    monkeypatch.setattr(module, "run_one", wait_for_another)
    runs_dir().mkdir()
    sweep([tiny(seed=seed, patience=jobs) for seed in range(4)], jobs=jobs, progress=False)
    seen = [json.loads(path.read_text()) for path in runs_dir().iterdir()]
    assert len(seen) == 4
    assert len({run["pid"] for run in seen} - {os.getpid()}) == jobs
    assert all(run["environment"] == ONE_THREAD for run in seen)


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_process_fails_its_own_run_only(jobs, monkeypatch):
    """As the kernel does where memory is short."""
    monkeypatch.setattr(module, "run_one", killed_if_seed_is_1)
    runs_dir().mkdir()
    specs = [tiny(seed=seed) for seed in range(4)]
    with pytest.raises(SweepError) as caught:
        sweep(specs, jobs=jobs, progress=False)
    assert str(caught.value).startswith(f"1 of 4 runs failed:\n  {specs[1].id} (sep, seed 1)")
    names = {path.name for path in runs_dir().iterdir()}
    assert names == {spec.id for spec in specs if spec.seed != 1}


def test_interrupted_sweep_ends_its_own_processes_only(monkeypatch):
    def interrupt(futures, *_):
        wait_for(lambda: len(list(runs_dir().iterdir())) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_one", wait_for_another)
    monkeypatch.setattr(module, "_as_they_finish", interrupt)
    runs_dir().mkdir()
    spawn = multiprocessing.get_context("spawn")
    bystander = spawn.Process(target=time.sleep, args=(600,))
    bystander.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            sweep([tiny(seed=seed, patience=100) for seed in range(6)], progress=False)
        wait_for(lambda: multiprocessing.active_children() in ([bystander], []))
        assert bystander.is_alive()
    finally:
        bystander.kill()
        bystander.join()
    assert len(list(runs_dir().iterdir())) == 2  # nor was another run begun


@pytest.mark.parametrize(
    ("owner", "step"), [(SpawnContext, "Pipe"), (SpawnProcess, "start")], ids=["before", "during"]
)
def test_sweep_interrupted_while_a_process_starts_leaves_none(owner, step, monkeypatch):
    starting, original = threading.Event(), getattr(owner, step)

    def slow(*arguments):
        starting.set()
        time.sleep(0.5)
        return original(*arguments)

    def interrupt(*_):
        starting.wait()
        raise KeyboardInterrupt

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            sweep([tiny(patience=100)], progress=False)

    monkeypatch.setattr(owner, step, slow)
    monkeypatch.setattr(module, "run_one", wait_for_another)
    monkeypatch.setattr(module, "_as_they_finish", interrupt)
    runs_dir().mkdir()
    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert multiprocessing.active_children() == []


# In real processes, with real runs


def test_complete_records_are_read_without_keras_or_a_backend(trained):
    code = (
        "from sfc_lib import ensure\n"
        "records = ensure(specs)\n"
        "print(*[record.result['status'] for record in records], *sys.modules)\n"
    )
    process = script(code, [A, B], env={**os.environ, "SFC_RUNS_DIR": str(trained)})
    words = finish(process)[0].split()
    assert words[:2] == ["done", "done"]
    assert not {"keras", "tensorflow", "jax", "torch", "sklearn", "matplotlib"} & set(words)


def test_second_process_waits_for_the_first_and_reads_its_record(tmp_path):
    """The first is halfway through its epochs when the second asks for the same run."""
    signs = tmp_path / "begun", tmp_path / "asked"
    first = script(
        "import pathlib, time\n"
        "from sfc_lib.runs import sweep, training\n"
        "def end(self, epoch, logs=None, original=training.Progress.on_epoch_end):\n"
        "    original(self, epoch, logs)\n"
        "    pathlib.Path(sys.argv[3]).touch()\n"
        "    while not os.path.exists(sys.argv[4]):\n"
        "        time.sleep(0.01)\n"
        "    time.sleep(0.5)\n"
        "training.Progress.on_epoch_end = end\n"
        "sweep.run_one(specs[0].to_dict(), sys.argv[2])\n",
        *([C], runs_dir(), *signs),
    )
    wait_for(lambda: signs[0].exists() or first.poll() is not None)
    second = script(
        "import pathlib\n"
        "from sfc_lib.runs.pool import run_one\n"
        "pathlib.Path(sys.argv[3]).touch()\n"
        "print(run_one(specs[0].to_dict(), sys.argv[2]), 'keras' in sys.modules)\n",
        *([C], runs_dir(), signs[1]),
    )
    assert finish(second)[0].split() == [C.id, "False"]
    record = verify(runs_dir() / C.id)
    before = stamps(record.folder)
    finish(first)
    assert stamps(record.folder) == before
    assert len(record.history()) == 2


def test_runs_of_two_backends_are_trained_in_one_call(require_backend):
    for name in ("tensorflow", "jax"):
        require_backend(name)
    specs = [tiny(backend=backend, epochs=1) for backend in ("tensorflow", "jax")]
    records = ensure(specs, jobs=1, progress=False)
    assert [set(record.result["environment"]["versions"]) & {"tensorflow", "jax"}
            for record in records] == [{"tensorflow"}, {"jax"}]  # fmt: skip


def test_threads_give_the_same_records_and_keep_standard_error(tmp_path):
    """Keras has one global state in a process, and so has standard error."""
    process = script(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from sfc_lib import ensure\n"
        "for threads in (2, 1):\n"
        "    os.environ['SFC_RUNS_DIR'] = f'{sys.argv[2]}/{threads}'\n"
        "    with ThreadPoolExecutor(threads) as pool:\n"
        "        ensure(specs, executor=pool, progress=False)\n"
        "print('still here', file=sys.stderr)\n",
        *([A, tiny(variant="symm", seed=1)], tmp_path),
    )
    _, err = finish(process)
    for folder in (tmp_path / "1").iterdir():
        if folder.is_dir():
            together = verify(tmp_path / "2" / folder.name)
            assert together.result["files"] == verify(folder).result["files"]
    assert err.endswith("still here\n")


def test_ctrl_c_ends_everything_and_the_next_call_completes(tmp_path):
    long = tiny(epochs=30, patience=30)
    folder = runs_dir() / long.id
    (tmp_path / "sweep.py").write_text(CTRL_C)
    command = [sys.executable, str(tmp_path / "sweep.py"), json.dumps(long.to_dict())]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def lines():
        history = folder / "history.jsonl"
        return history.read_bytes().splitlines() if history.exists() else []

    first = subprocess.Popen(command, start_new_session=True, **pipes)
    wait_for(lambda: len(lines()) >= 2 or first.poll() is not None)
    os.killpg(first.pid, signal.SIGINT)
    _, err = first.communicate(timeout=120)
    assert first.returncode not in (0, None)
    assert "KeyboardInterrupt" in err
    wait_for(lambda: not alive(first.pid))
    kept = lines()
    assert 2 <= len(kept) < 30
    assert not (folder / "result.json").exists()
    assert (folder / "checkpoint").exists()

    finish(subprocess.Popen(command, **pipes))
    assert lines()[: len(kept)] == kept
    assert len(verify(folder).history()) == 30


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


CTRL_C = """
import json, sys
from sfc_lib import RunSpec, ensure

if __name__ == "__main__":
    ensure([RunSpec.from_dict(json.loads(sys.argv[1]))], jobs=1, progress=False)
"""
