"""Runs on a cluster, and many processes at one run: nothing lost, nothing trained twice."""

import dataclasses
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from processes import finish, script, wait_for

from sfc_lib.cli import main
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir
from sfc_lib.runs import pool
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.pool import ONE_THREAD, SweepError, call_apart, cluster_executor, ensure, run_one
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify

TINY = RunSpec(
    backend=os.environ["KERAS_BACKEND"],
    dataset_options={"examples": 80},
    width=0.05,
    epochs=1,
)
PROCESSES, ROUNDS = 8, 3  # as many rounds as you have patience


def tiny(**changes):
    return dataclasses.replace(TINY, **changes)


FOUR = [tiny(seed=seed, epochs=4) for seed in range(4)]


@pytest.fixture
def dask():
    if importlib.util.find_spec("distributed") is None:
        reason = "the optional library dask is not installed"
        if os.environ.get("SFC_REQUIRE_BACKENDS") == "1":
            pytest.fail(f"SFC_REQUIRE_BACKENDS=1, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """An empty published store."""
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    return tmp_path / "published"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A store with the four runs, each trained in one go in a process of one thread."""
    root = tmp_path_factory.mktemp("undisturbed")
    code = "for spec in specs:\n    run_one(spec.to_dict(), sys.argv[2])\n"
    finish(script(code, FOUR, root, env={**os.environ, **ONE_THREAD}))
    return root


def holder(spec):
    """Process that trains a run and has finished an epoch of it, or None."""
    folder = runs_dir() / spec.id
    try:
        epochs = (folder / "history.jsonl").read_bytes().count(b"\n")
        return int(pool._holder(folder).read_text().split()[-1]) if epochs else None
    except (OSError, IndexError):
        return None


def hidden():
    return [path.name for path in runs_dir().iterdir() if path.name.startswith(".")]


def same(root, records):
    for record in records:
        assert record.result["files"] == verify(root / record.spec.id).result["files"]
        assert record.result["environment"]["threads"] == "1"
    assert hidden() == []


# Clusters


@pytest.mark.usefixtures("dask")
def test_killed_worker_and_killed_run_are_made_up_for(undisturbed):
    """The worker of the first run is killed in mid-run, and the process of the last."""
    psutil = pytest.importorskip("psutil")  # came with dask
    killed = []

    def kill():
        run = wait_for(lambda: holder(FOUR[0]))
        worker = psutil.Process(run).ppid()
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
        killed.append(wait_for(lambda: holder(FOUR[3])))
        os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    before = dict(os.environ)
    records = ensure(FOUR, jobs=2, cluster="local", progress=False)
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
        with pytest.raises(SweepError, match=f"{bad.id} .*class_weight works for one task"):
            ensure([bad, FOUR[0]], cluster=address, progress=False)
        same(undisturbed, [verify(runs_dir() / FOUR[0].id)])
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


# Processes of their own


def environment_of_call(name, error):
    print("noise on standard output")
    if error:
        raise error
    return os.environ.get(name), os.getpid()


class UnportableError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def test_call_apart_has_its_own_process_and_environment(monkeypatch):
    here = os.path.dirname(__file__)
    monkeypatch.syspath_prepend(here)
    given, pid = call_apart({"SFC_TEST": "yes"}, environment_of_call, "SFC_TEST", None)
    assert given == "yes"
    assert pid != os.getpid()
    with pytest.raises(UserError, match="mend this"):
        call_apart({}, environment_of_call, "x", UserError("mend this"))
    with pytest.raises(RuntimeError, match="UnportableError: one"):
        call_apart({}, unportable)
    with pytest.raises(UserError, match="the run ended with status -9"):
        call_apart({}, signal.raise_signal, signal.SIGKILL)


def unportable():
    raise UnportableError("one", "two")


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
        verify(runs_dir() / spec.id)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(list(runs_dir().iterdir())) == ROUNDS


HOLD = (
    "from pathlib import Path\n"
    "from sfc_lib.runs.pool import held\n"
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
    folder = runs_dir() / "0123"
    first = hold(folder)
    with pytest.raises(pool.Timeout), pool.held(folder, wait=False):
        pass
    pool.forget_dead(folder)
    assert pool.is_held(folder)
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(lambda: pool.held(folder).__enter__())
        said = wait_for(lambda: capfd.readouterr().err)
        assert said == (
            f"waiting for run 0123, trained by {socket.gethostname()} pid {first.pid}\n"
        )
        assert not second.done()
        first.communicate("\n")
        second.result(60)
    assert capfd.readouterr().err == ""


def test_lock_of_a_killed_process_is_taken_over(hold, capfd):
    folder = runs_dir() / "0123"
    first = hold(folder)
    first.kill()
    first.wait()
    assert set(hidden()) == {".0123.lock", ".0123.holder"}
    assert not pool.is_held(folder)
    with pool.held(folder):
        assert pool.is_held(folder)
        assert pool._holder(folder).read_text() == f"{socket.gethostname()} pid {os.getpid()}"
    assert hidden() == []
    hold(folder).kill()
    wait_for(lambda: pool.forget_dead(folder) is None and hidden() == [])
    assert capfd.readouterr().err == ""


def test_lock_is_released_and_removed_after_an_error():
    runs_dir().mkdir()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), pool.held(runs_dir() / "0123"):
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
    return verify(runs_dir() / spec.id)


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

    monkeypatch.setattr("sfc_lib.runs.spec.load_size", lambda *_: Size())
    done = sfc("sweep", "smoke", "--jobs", "1")
    assert done.exit_code == 1
    assert f"failed: {bad.id} (sep, seed 0): class_weight works for one task" in done.output
    assert "1 of 2 runs failed" in done.output
    assert verify(runs_dir() / TINY.id)
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


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
