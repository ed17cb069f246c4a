"""Many runs: what is there is read, what is missing is trained once, and nothing gets lost.

In this process, in local processes, and on a cluster of processes of this machine.
"""

import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import Timeout
from processes import finish, script, wait_for
from stand_ins import killed, killed_if_seed_is_1, page_faults, told, unportable, wait_for_another
from tiny import TINY, Inline, tiny

from sfc_lib.cli import main
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir
from sfc_lib.runs import pool
from sfc_lib.runs.housekeeping import prune, publish
from sfc_lib.runs.pool import cluster_executor, ensure, run_one, sweep
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import held, is_held, lock_file, verify_record
from sfc_lib.runs.worker import ONE_THREAD, Processes

PROCESSES, ROUNDS = 4, 3  # as many rounds as you have patience
A, B, C = (tiny(seed=seed) for seed in range(3))
ID = "0123456789abcdef"
THREE = [tiny(seed=seed, epochs=4) for seed in range(3)]


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """An empty published store."""
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    return tmp_path / "published"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A store with the three runs, each trained in one go in this process, of one thread."""
    root = tmp_path_factory.mktemp("undisturbed")
    for spec in THREE:
        run_one(spec.to_dict(), str(root))
    return root


@pytest.fixture
def dask():
    if importlib.util.find_spec("distributed") is None:
        reason = "the optional library dask is not installed"
        if os.environ.get("SFC_REQUIRE_BACKENDS") == "1":
            pytest.fail(f"SFC_REQUIRE_BACKENDS=1, but {reason}", pytrace=False)
        pytest.skip(reason)


def holder(spec):
    """Process that trains a run and has finished an epoch of it, or None."""
    folder = runs_dir() / spec.id
    try:
        epochs = (folder / "history.jsonl").read_bytes().count(b"\n")
        return int(lock_file(folder).read_text().split()[-1]) if epochs else None
    except (OSError, IndexError):
        return None


def hidden():
    return [path.name for path in runs_dir().iterdir() if path.name.startswith(".")]


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def same(root, records):
    for record in records:
        assert record.result["files"] == verify_record(root / record.spec.id).result["files"]
        assert record.result["environment"]["threads"] == "1"
    assert hidden() == []


def is_dead(pid):
    """Also if nobody has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def take(spec, finished):
    """Copy a finished record into the user's store; returns the stamp of its files."""
    return stamps(shutil.copytree(finished / spec.id, runs_dir() / spec.id))


def stamps(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


# In this process: what is trained, and what is not


def test_only_what_is_missing_is_trained_and_order_is_kept(finished):
    before = {spec: take(spec, finished) for spec in (A, B)}
    executor = Inline()
    records = ensure([C, A, C, B], executor=executor, progress=False)
    assert [record.spec for record in records] == [C, A, C, B]
    assert executor.given == [C]
    assert {spec: stamps(runs_dir() / spec.id) for spec in (A, B)} == before


def test_records_trained_elsewhere_are_the_same(finished):
    executor = Inline()
    (record,) = ensure([A], executor=executor, progress=False)
    assert record.result["files"] == verify_record(finished / A.id).result["files"]


def test_nothing_wanted_is_nothing_done():
    assert ensure([]) == []
    assert not runs_dir().exists()


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, None])
def test_jobs_must_be_at_least_one(jobs):
    with pytest.raises(ValueError, match=f"sweep: jobs must be an integer >= 1, got {jobs}"):
        ensure([], jobs=jobs)


def test_store_that_cannot_be_written_is_one_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "file" / "runs"))
    executor = Inline()
    with pytest.raises(UserError, match=r"file/runs: expected a folder .*Not a directory\. Set"):
        ensure([A, B], executor=executor, progress=False)
    assert executor.given == []


def test_failing_run_is_named_and_the_others_finish():
    bad = tiny(class_weight=True, variant="symm", seed=7)
    with pytest.raises(UserError) as caught:
        ensure([bad, C], executor=Inline(), progress=False)
    message = str(caught.value)
    assert message.startswith("1 of 2 runs failed:\n")
    assert f"{bad.id} (symm, seed 7): class_weight works for one task" in message
    assert C.id not in message
    assert verify_record(runs_dir() / C.id).spec == C


def test_run_that_leaves_no_record_is_an_error():
    class Idle(Inline):
        def submit(self, function, values, root):
            return super().submit(lambda *_: None, values, root)

    with pytest.raises(UserError, match="its record is damaged"):
        ensure([A], executor=Idle(), progress=False)


def test_published_records_are_used_unless_told_not_to(finished, published):
    publish([verify_record(finished / A.id)], published)
    executor = Inline()
    assert ensure([A], executor=executor, progress=False)[0].folder == published / A.id
    assert executor.given == []
    records = ensure([A], published=False, executor=executor, progress=False)
    assert executor.given == [A]
    assert records[0].folder == runs_dir() / A.id


def test_damaged_record_is_kept_aside_and_trained_anew(finished):
    take(A, finished)
    (runs_dir() / A.id / "history.jsonl").write_text("damaged")
    with pytest.warns(UserWarning, match="Damaged run record, not used"):
        (record,) = ensure([A], executor=Inline(), progress=False)
    assert record.result["files"] == verify_record(finished / A.id).result["files"]
    (aside,) = runs_dir().glob(f"{A.id}.damaged-*")
    assert (aside / "history.jsonl").read_text() == "damaged"


@pytest.mark.parametrize("progress", [True, False])
def test_progress_bar_counts_runs_where_it_is_wanted(finished, progress, capfd):
    class Copying(Inline):
        def submit(self, function, values, root):
            take(RunSpec.from_dict(values), finished)
            return super().submit(lambda *_: None, values, root)

    ensure([A, B], executor=Copying(), progress=progress)
    shown = capfd.readouterr().err
    assert ("training: 100%" in shown and "2/2" in shown) if progress else shown == ""


# In local processes, with stand-ins for a run


@pytest.mark.parametrize("jobs", [1, 2])
def test_local_processes_are_as_many_as_jobs_with_one_thread_each(jobs, monkeypatch):
    monkeypatch.setattr(pool, "run_one", wait_for_another)
    runs_dir().mkdir()
    sweep([tiny(seed=seed, patience=jobs) for seed in range(4)], jobs=jobs, progress=False)
    seen = [path.read_text().split("\n") for path in runs_dir().iterdir()]
    assert len(seen) == 4
    assert len({pid for pid, *_ in seen} - {str(os.getpid())}) == jobs
    expected = [f"{name}={value}" for name, value in ONE_THREAD.items()]
    assert all(environment == expected for _, *environment in seen)


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_process_fails_its_own_run_only(jobs, monkeypatch):
    """As the kernel does where memory is short."""
    monkeypatch.setattr(pool, "run_one", killed_if_seed_is_1)
    runs_dir().mkdir()
    specs = [tiny(seed=seed) for seed in range(4)]
    with pytest.raises(UserError) as caught:
        sweep(specs, jobs=jobs, progress=False)
    assert str(caught.value).startswith(f"1 of 4 runs failed:\n  {specs[1].id} (sep, seed 1)")
    names = {path.name for path in runs_dir().iterdir()}
    assert names == {"0", "2", "3"}


def test_interrupted_sweep_ends_its_own_processes_only(monkeypatch):
    def interrupt(futures, *_):
        wait_for(lambda: len(list(runs_dir().iterdir())) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "run_one", wait_for_another)
    monkeypatch.setattr(pool, "_as_they_finish", interrupt)
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
    ("owner", "step"),
    [(SpawnContext, "Process"), (SpawnProcess, "start")],
    ids=["before", "during"],
)
def test_sweep_interrupted_while_a_process_starts_leaves_none(owner, step, monkeypatch):
    starting, original = threading.Event(), getattr(owner, step)

    def slow(*arguments, **options):
        starting.set()
        time.sleep(0.5)
        return original(*arguments, **options)

    def interrupt(*_):
        starting.wait()
        raise KeyboardInterrupt

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            sweep([tiny(patience=100)], progress=False)

    monkeypatch.setattr(owner, step, slow)
    monkeypatch.setattr(pool, "run_one", wait_for_another)
    monkeypatch.setattr(pool, "_as_they_finish", interrupt)
    runs_dir().mkdir()
    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert multiprocessing.active_children() == []


# What a process is like


def test_processes_have_their_environment_one_backend_and_their_own_errors():
    values = {"backend": "jax"}, {"backend": "torch"}
    with Processes(1, {"SFC_TEST": "yes"}) as processes:
        first, again, other = (
            processes.submit(told, values[number], None).result() for number in (0, 0, 1)
        )
        assert first == again == ("yes", "jax", again[2])
        assert other[:2] == ("yes", "torch")
        assert len({first[2], other[2], os.getpid()}) == 3
        with pytest.raises(UserError, match="mend this"):
            processes.submit(told, values[1], UserError("mend this")).result()
        with pytest.raises(RuntimeError, match="UnportableError: one"):
            processes.submit(unportable, values[1]).result()
        assert processes.submit(told, values[1], None).result() == other
        with pytest.raises(UserError, match="the process of the run died"):
            processes.submit(killed, values[1]).result()
        assert processes.submit(told, values[1], None).result()[2] != other[2]
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no mallopt")
def test_memory_that_was_freed_is_kept_for_the_next_step():
    with Processes(1) as processes:
        assert processes.submit(page_faults, {"backend": "jax"}).result() < 1000


# In real processes, with real runs


def test_complete_records_are_read_without_keras_or_a_backend(finished):
    code = (
        "from sfc_lib import ensure\n"
        "records = ensure(specs)\n"
        "print(*[record.result['status'] for record in records], *sys.modules)\n"
    )
    process = script(code, [A, B], env={**os.environ, "SFC_RUNS_DIR": str(finished)})
    words = finish(process)[0].split()
    assert words[:2] == ["done", "done"]
    assert not {"keras", "tensorflow", "jax", "torch", "sklearn", "matplotlib"} & set(words)


def test_second_process_waits_for_the_first_and_reads_its_record(tmp_path):
    """The first is halfway through its epochs when the second asks for the same run."""
    signs = tmp_path / "begun", tmp_path / "asked"
    first = script(
        "import pathlib, time\n"
        "from sfc_lib.runs import training\n"
        "def end(self, epoch, logs=None, original=training.Progress.on_epoch_end):\n"
        "    original(self, epoch, logs)\n"
        "    pathlib.Path(sys.argv[3]).touch()\n"
        "    while not os.path.exists(sys.argv[4]):\n"
        "        time.sleep(0.01)\n"
        "    time.sleep(0.5)\n"
        "training.Progress.on_epoch_end = end\n"
        "run_one(specs[0].to_dict(), sys.argv[2])\n",
        *([C], runs_dir(), *signs),
    )
    wait_for(lambda: signs[0].exists() or first.poll() is not None)
    second = script(
        "import pathlib\n"
        "pathlib.Path(sys.argv[3]).touch()\n"
        "print(run_one(specs[0].to_dict(), sys.argv[2]), 'keras' in sys.modules)\n",
        *([C], runs_dir(), signs[1]),
    )
    assert finish(second)[0].split() == [C.id, "False"]
    record = verify_record(runs_dir() / C.id)
    before = stamps(record.folder)
    finish(first)
    assert stamps(record.folder) == before
    assert len(record.history()) == 2


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
            together = verify_record(tmp_path / "2" / folder.name)
            assert together.result["files"] == verify_record(folder).result["files"]
    assert err.endswith("still here\n")


def test_process_dies_with_its_parent_and_lets_go_of_its_run():
    long = tiny(epochs=1000, patience=1000)
    parent = script("ensure(specs, jobs=1, progress=False)\n", [long])
    child = wait_for(lambda: holder(long) or parent.poll())
    parent.kill()
    parent.communicate(timeout=60)
    wait_for(lambda: is_dead(child))
    wait_for(lambda: not is_held(runs_dir() / long.id))  # its threads may end after it
    assert hidden() == []


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
    assert len(verify_record(folder).history()) == 30


CTRL_C = """
import json, sys
from sfc_lib import RunSpec, ensure

if __name__ == "__main__":
    ensure([RunSpec.from_dict(json.loads(sys.argv[1]))], jobs=1, progress=False)
"""


# Clusters


@pytest.mark.usefixtures("dask")
def test_killed_worker_and_killed_run_are_made_up_for(undisturbed):
    """The worker of the first run is killed in mid-run, and the process of the last."""
    psutil = pytest.importorskip("psutil")  # came with dask
    killed = []

    def kill():
        run = wait_for(lambda: holder(THREE[0]))
        worker = psutil.Process(run).ppid()
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
        killed.append(wait_for(lambda: holder(THREE[-1])))
        os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    before = dict(os.environ)
    records = ensure(THREE, jobs=2, cluster="local", progress=False)
    killer.join()
    assert len(set(killed) - {os.getpid()}) == 2
    same(undisturbed, records)
    added = {name for name in os.environ if os.environ[name] != before.get(name)}
    assert not added & set(ONE_THREAD)


@pytest.mark.usefixtures("dask")
def test_address_of_a_scheduler(undisturbed, tmp_path):
    """Its workers were started elsewhere, with other threads and another run store."""
    file = tmp_path / "scheduler.json"
    options = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options["env"] = {**os.environ, "OMP_NUM_THREADS": "7", "SFC_RUNS_DIR": str(tmp_path / "no")}
    dask = [sys.executable, "-m", "dask"]
    parts = [["scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1"]]
    parts += [["worker", "--nworkers", "1", "--nthreads", "1", "--no-dashboard"]]
    started = [
        subprocess.Popen([*dask, *part, "--scheduler-file", str(file)], **options) for part in parts
    ]
    try:
        address = json.loads(wait_for(lambda: file.exists() and file.read_text()))["address"]
        bad = tiny(class_weight=True)
        with pytest.raises(UserError, match=f"{bad.id} .*class_weight works for one task"):
            ensure([bad, THREE[0]], cluster=address, progress=False)
        same(undisturbed, [verify_record(runs_dir() / THREE[0].id)])
        assert all(process.poll() is None for process in started)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
    assert not (tmp_path / "no").exists()


@pytest.mark.usefixtures("dask")
def test_no_scheduler_at_the_address(monkeypatch):
    monkeypatch.setattr("sfc_lib.runs.pool.SECONDS_TO_CONNECT", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with (
            pytest.raises(UserError, match=f"no dask scheduler answers at {address}"),
            cluster_executor(address),
        ):
            pass


@pytest.mark.usefixtures("dask")
def test_slurm_needs_its_commands(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs the command sbatch"), cluster_executor("slurm"):
        pass


def test_other_clusters_are_refused():
    expected = "cluster must be 'local', 'slurm' or an address such as .* got 'slrum'"
    with pytest.raises(ValueError, match=expected), cluster_executor("slrum"):
        pass


def test_without_dask_the_error_says_what_to_install():
    code = (
        "import importlib.abc\n"
        "class Block(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('dask', 'distributed'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from sfc_lib.cli import main\n"
        "main(['sweep', 'smoke', '--cluster', 'local'])\n"
    )
    process = script(code, [])
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Error: clusters need dask, which is not installed: pip install" in err
    assert "Traceback" not in err


# Locks


def test_many_processes_ensure_one_run_and_one_trains_it():
    """Set ROUNDS to 50 for the long form. Processes stay, so that each imports Keras once."""
    code = (
        "from concurrent.futures import Executor, Future\n"
        "import sfc_lib.runs.pool as module\n"
        "trained = []\n"
        "module.set_aside = trained.append  # called just before a run is trained\n"
        "class Inline(Executor):\n"
        "    def submit(self, function, *arguments):\n"
        "        future = Future()\n"
        "        future.set_result(function(*arguments))\n"
        "        return future\n"
        "for line, spec in zip(sys.stdin, specs):\n"
        "    trained.clear()\n"
        "    record, = ensure([spec], executor=Inline(), progress=False)\n"
        "    print(record.spec.id, len(trained), flush=True)\n"
    )
    specs = [tiny(seed=seed, dataset_options={"examples": 40}) for seed in range(ROUNDS)]
    nowhere = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes = [script(code, specs, **nowhere) for _ in range(PROCESSES)]
    for spec in specs:
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.stdout.readline().split() for process in processes]
        assert sorted(said) == [[spec.id, "0"]] * (PROCESSES - 1) + [[spec.id, "1"]]
        assert hidden() == []
        verify_record(runs_dir() / spec.id)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(list(runs_dir().iterdir())) == ROUNDS


HOLD = (
    "from pathlib import Path\n"
    "from sfc_lib.runs.store import held\n"
    "with held(Path(sys.argv[2])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture
def hold():
    """Function that starts a process which holds a run's lock until told or killed."""
    started = []

    def start(folder):
        folder.parent.mkdir(exist_ok=True)
        started.append(script(HOLD, [], folder, stdin=subprocess.PIPE))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_who_waits_says_once_for_whom(hold, capfd):
    folder = runs_dir() / ID
    first = hold(folder)
    with pytest.raises(Timeout), held(folder, wait=False):
        pass
    assert prune(runs_dir()) == []
    assert is_held(folder)
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(lambda: held(folder).__enter__())
        said = wait_for(lambda: capfd.readouterr().err)
        assert said == (
            f"waiting for run {ID}, trained by {socket.gethostname()} pid {first.pid}\n"
        )
        assert not second.done()
        first.communicate("\n")
        second.result(60)
    assert capfd.readouterr().err == ""


def test_lock_of_a_killed_process_is_taken_over(hold, capfd):
    folder = runs_dir() / ID
    first = hold(folder)
    first.kill()
    first.wait()
    assert hidden() == [lock_file(folder).name]
    with held(folder):
        assert is_held(folder)
        assert lock_file(folder).read_text() == f"{socket.gethostname()} pid {os.getpid()}"
    assert hidden() == []
    hold(folder).kill()
    wait_for(lambda: not is_held(folder))
    assert hidden() == []
    assert capfd.readouterr().err == ""


def test_lock_is_released_and_removed_after_an_error():
    runs_dir().mkdir()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held(runs_dir() / ID):
            raise ZeroDivisionError
        assert hidden() == []


# The command


def sfc(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def smoke_record(monkeypatch):
    """A finished record of smoke's symm with seed 0, trained in this process."""
    spec = load_size("smoke").only(["symm"]).specs[0]
    monkeypatch.setenv("KERAS_BACKEND", spec.backend)
    run_one(spec.to_dict(), str(runs_dir()))
    return verify_record(runs_dir() / spec.id)


@pytest.mark.skipif(TINY.backend != "tensorflow", reason="the profiles are TensorFlow's")
def test_dry_run_counts_and_estimates_and_trains_nothing(smoke_record, published):
    before = sorted(runs_dir().iterdir())
    done = sfc("sweep", "smoke", "--dry-run", "--seeds", "101")
    assert done.exit_code == 0
    rows = [line.split() for line in done.output.splitlines()]
    hours = f"{100 * smoke_record.result['cpu_seconds'] / 3600:.2f}"
    assert rows[0] == ["experiment", "model", "complete", "to", "train", "CPU-hours"]
    assert rows[1] == ["simulated_tf", "std", "0", "101", "unknown"]
    assert rows[3] == ["simulated_tf", "symm", "1", "100", hours]
    assert done.output.endswith(f"about {hours} CPU-hours, and 202 runs of unknown cost.\n")
    assert sorted(runs_dir().iterdir()) == before

    publish([smoke_record], published)  # now in both stores, counted once
    assert sfc("sweep", "smoke", "--dry-run", "--seeds", "101").output == done.output
    done = sfc("sweep", "smoke", "--only", "symm", "--seeds", "1", "--dry-run")
    assert done.output.endswith("1 runs complete, 0 to train: about 0.00 CPU-hours.\n")


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ([], ["simulated_tf/std/sep/symm", "simulated_tf_deeplift/std/sep/symm"]),
        (["simulated_tf"], ["simulated_tf/std/sep/symm"]),
        (["symm", "std"], ["simulated_tf/std/symm", "simulated_tf_deeplift/std/symm"]),
        (["sep", "simulated_tf_deeplift"], ["simulated_tf_deeplift/sep"]),
    ],
)
def test_only_keeps_what_is_named(names, left):
    plan = load_size("standard").only(["simulated_tf", "simulated_tf_deeplift"])
    experiments = plan.only(names).experiments
    assert ["/".join([name, *item.models]) for name, item in experiments.items()] == left


def test_only_refuses_unknown_names():
    done = sfc("sweep", "smoke", "--only", "sep", "--only", "spe")
    assert done.exit_code == 1
    assert "an experiment of ['simulated_tf'] or a model of ['std', 'sep', 'symm'], got 'spe'" in (
        done.output
    )


def test_failed_run_is_reported_and_the_status_is_1(monkeypatch):
    assert sfc("sweep", "smoke", "--cluster", "slrum").exit_code == 1
    bad = tiny(class_weight=True)

    class Size:
        specs = [bad, TINY]

        def only(self, names):
            return self

    monkeypatch.setattr("sfc_lib.runs.sizes.load_size", lambda *_: Size())
    monkeypatch.setattr(pool, "Processes", lambda *_, **__: Inline())
    done = sfc("sweep", "smoke", "--jobs", "1")
    assert done.exit_code == 1
    assert f"failed: {bad.id} (sep, seed 0): class_weight works for one task" in done.output
    assert "1 of 2 runs failed" in done.output
    assert verify_record(runs_dir() / TINY.id)
    assert hidden() == []


@pytest.mark.usefixtures("dask")
@pytest.mark.skipif(TINY.backend != "tensorflow", reason="the profiles are TensorFlow's")
def test_interrupted_sweep_ends_with_status_130_and_leaves_no_process():
    code = (
        "from sfc_lib.cli import main\n"
        "main(['sweep', 'smoke', '--only', 'sep', '--seeds', '1', '--cluster', 'local'])\n"
    )
    process = script(code, [], start_new_session=True)
    spec = load_size("smoke").only(["sep"]).specs[0]
    wait_for(lambda: holder(spec) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted. What is finished is kept" in err
    assert "Traceback" not in err
    wait_for(lambda: not alive(process.pid))
