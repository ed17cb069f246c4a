"""Many runs at once: what is in the stores is read, what is missing is trained.

By default two spawned processes with one thread each, which is the fastest way to many
seeds on two cores, and keeps TensorFlow out of the calling process.

One process per run: a lock that says who holds it, and that leaves nothing behind.

While a run is trained, two hidden files lie beside its folder: `.ID.lock`, locked by the
operating system, and `.ID.holder`, which names host and process. A process that dies
loses its lock with its life; what is left of it on disk is taken over by the next one.

One call in a fresh process, for workers that do other things beside it.

Keras draws initial weights from Python's global random state, and so do dask's own
threads: trained inside a dask worker, a run would come out different each time. A fresh
process also gets its environment before anything is imported.

Local processes that train runs: each is started once and serves many calls.

Unlike those of `ProcessPoolExecutor`, a process that dies (killed where memory is short,
say) fails its own call only, and one process never gets two Keras backends.

Runs on more than one machine, through dask (the extra `cluster`).

A lost worker's run is given to another, which goes on from the last finished epoch. All
workers must see the folders of runs and of data under the same paths.

For SLURM, three environment variables; where one is not set, dask's own configuration
holds (`jobqueue.slurm`), which can say everything else too (account, network interface):

- `SFC_SLURM_MEMORY`: memory of a job, by default 4GB.
- `SFC_SLURM_WALLTIME`: its time limit, by default 00:30:00. Ended jobs are replaced.
- `SFC_SLURM_QUEUE`: its partition, by default SLURM's own.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from sfc_lib.datasets.base import load_dataset, make_recipe
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir, runs_dir, silenced
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import HISTORY, Record, find, look_up, set_aside, verify

GRACE = 1.0  # seconds before it is said that a run is waited for: checking a record takes less


@contextmanager
def held(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a run; if another process does, say so once and wait for its end.

    Args:
        folder: Of the run; its parent must exist.
        wait: Whether to wait for another process at all.

    Raises:
        filelock.Timeout: Another process holds the lock, and `wait` is False.
    """
    lock, holder = FileLock(folder.with_name(f".{folder.name}.lock")), _holder(folder)
    try:
        lock.acquire(timeout=GRACE if wait else 0)
    except Timeout:
        if not wait:
            raise
        _tell(f"waiting for run {folder.name}, trained by {_read(holder)}")
        lock.acquire()
    try:
        holder.write_text(f"{socket.gethostname()} pid {os.getpid()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        # Still locked: whoever gets this nameless file next sees that and opens a new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at this run; one that died on another host counts until replaced."""
    host, _, pid = _read(_holder(folder)).partition(" pid ")
    if host != socket.gethostname():
        return _holder(folder).exists()
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def forget_dead(folder: Path) -> None:
    """Remove what a dead process left of its lock; a living one keeps it."""
    if _holder(folder).exists():
        with suppress(Timeout), held(folder, wait=False):
            pass


def _holder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.holder")


def _read(holder: Path) -> str:
    try:
        return holder.read_text() or "another process"
    except OSError:
        return "another process"


def _tell(message: str) -> None:
    """Print to standard error, on a line of its own even where a progress bar stands."""
    print(("\n" if sys.stderr.isatty() else "") + message, file=sys.stderr, flush=True)


def call_apart(environment: Mapping[str, str], function: Callable, *arguments: Any) -> Any:
    """What `function(*arguments)` returns or raises, called in a process that ends with this one.

    Args:
        environment: Added to this process's environment variables.
        function: One that can be pickled, as all that goes in and comes out.
        arguments: Of the function.

    Raises:
        UserError: The process was killed, or failed before it could say why.
    """
    command = [sys.executable, "-m", __name__]
    paths = os.pathsep.join(path for path in sys.path if path)  # where this process finds modules
    environment = {**os.environ, **environment, "PYTHONPATH": paths}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((function, arguments), process.stdin)
            process.stdin.flush()  # and left open: its end tells the process of ours
            answer = process.stdout.read()
        except BrokenPipeError:
            answer = b""
        except BaseException:
            process.kill()
            raise
    if not answer:
        raise UserError(f"the process of the run ended with status {process.returncode}.")
    value, error = pickle.loads(answer)
    if error is not None:
        raise error
    return value


def _answer() -> None:
    """The other side: read the call, make it, write the outcome where nothing else is printed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides, this process follows
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        function, arguments = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with_caller, daemon=True).start()
        try:
            outcome = pickle.dumps((function(*arguments), None))
        except Exception as error:
            outcome = pickle.dumps((None, portable(error)))
        output.write(outcome)


def _end_with_caller() -> None:
    os.read(0, 1)  # returns at the end of the caller, by whatever death
    os._exit(1)  # safe at any moment: records are written atomically


def portable(error: Exception) -> Exception:
    """The error itself, or its text where it doesn't survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    _answer()


_SPAWN = multiprocessing.get_context("spawn")


class Workers(Executor):
    """An executor of `jobs` spawned processes, each with the given environment variables.

    Args:
        jobs: Calls that run at once.
        environment: Set in a process before it imports anything.
    """

    def __init__(self, jobs: int, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="worker")
        self._mine = threading.local()  # each thread has one process at a time
        self._alive: dict[Any, Connection] = {}
        self._starting = threading.Lock()  # held to start processes, and to stop them all
        self._stopped = False

    def submit(self, function: Callable, /, *arguments: Any, **options: Any) -> Future:
        """Call `function` in one of the processes; all that goes in and out is pickled.

        Its first argument is the values of a spec, whose backend decides on the process.
        """
        return self._threads.submit(self._call, function, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the calls and end the processes; at once if not told to wait."""
        if wait:
            self._threads.shutdown(cancel_futures=cancel_futures)
        with self._starting:
            self._stopped = True
            for process, pipe in list(self._alive.items()):
                pipe.close() if wait else process.terminate()
        self._threads.shutdown(cancel_futures=cancel_futures)
        for process in list(self._alive):
            process.join()

    def _call(self, function: Callable, values: Mapping, *arguments: Any, **options: Any) -> Any:
        process, pipe = self._process(values["backend"])
        try:
            pipe.send((function, (values, *arguments), options))
            value, error = pipe.recv()
        except (EOFError, OSError):
            process.join()
            self._alive.pop(process, None)
            self._mine.backend = None
            raise UserError(
                f"the process of the run died with exit status {process.exitcode}; "
                "a negative one is the signal that killed it, -9 often a lack of memory."
            ) from None
        if error is not None:
            raise error
        return value

    def _process(self, backend: str) -> tuple[Any, Connection]:
        """This thread's process; another one if it served another backend until now."""
        if getattr(self._mine, "backend", None) != backend:
            if getattr(self._mine, "backend", None):
                self._mine.pipe.close()  # ends the process
                self._alive.pop(self._mine.process, None)
            ours, theirs = _SPAWN.Pipe()
            environment = {**self._environment, "KERAS_BACKEND": backend}
            process = _SPAWN.Process(target=_serve, args=(theirs, environment), daemon=True)
            with self._starting:
                if self._stopped:
                    raise UserError("the sweep was interrupted before this run began.")
                process.start()
                self._alive[process] = ours
            theirs.close()
            self._mine.backend, self._mine.process, self._mine.pipe = backend, process, ours
        return self._mine.process, self._mine.pipe


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """In the process: answer calls until the other end is closed."""
    os.environ.update(environment)
    try:
        while True:
            function, arguments, options = pipe.recv()
            try:
                value, failure = function(*arguments, **options), None
            except Exception as error:
                value, failure = None, portable(error)
            pipe.send((value, failure))
    except (EOFError, OSError, KeyboardInterrupt):
        return


ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}
SHOWN = 8  # runs whose epoch the progress bar shows
_ONE_RUN = threading.Lock()  # Keras has one global random state in a process


class SweepError(UserError):
    """Some runs failed; the message lists each with its error."""


def ensure(
    specs: Iterable[RunSpec],
    *,
    jobs: int = 2,
    published: bool = True,
    executor: Executor | None = None,
    cluster: str | None = None,
    progress: bool = True,
) -> list[Record]:
    """Verified records of all specs, in their order, training those that no store has.

    Args:
        specs: What is wanted.
        jobs: Processes that train at once, one thread each.
        published: Whether to look in the published store too.
        executor: Where to train instead of in local processes.
        cluster: Or the dask cluster to train on, see `cluster_executor`.
        progress: Whether to show a progress bar.

    Raises:
        SweepError: A run failed. The others are finished first, and kept.
    """
    specs = list(specs)
    missing = [spec for spec in dict.fromkeys(specs) if look_up(spec, published) is None]
    sweep(missing, executor, jobs=jobs, cluster=cluster, progress=progress)
    records = [look_up(spec, published) for spec in specs]
    if None in records:
        raise SweepError(
            "ensure: a run was trained but its record is damaged, see the warnings, or lies "
            f"elsewhere: all workers must write into the same {runs_dir()}."
        )
    return [record for record in records if record is not None]


def sweep(
    specs: Sequence[RunSpec],
    executor: Executor | None = None,
    *,
    jobs: int = 2,
    cluster: str | None = None,
    progress: bool = True,
) -> None:
    """Train every spec that the user's store does not have, with one progress bar.

    An interrupted sweep loses at most the epochs in flight: call it again.

    Args:
        specs: Runs to train.
        executor: Any `concurrent.futures` executor; local processes if None.
        jobs: Number of local processes, or of the cluster's.
        cluster: `"local"`, `"slurm"` or an address, see `cluster_executor`.
        progress: Whether to show the bar, and each failure when it happens.

    Raises:
        ValueError: `jobs` < 1, or an unknown cluster.
        UserError: A dataset lacks a source file.
        SweepError: A run failed. The others are finished first, and kept.
    """
    if type(jobs) is not int or jobs < 1:
        raise ValueError(f"sweep: jobs must be an integer >= 1, got {jobs!r}.")
    if not specs:
        return
    if executor is None:  # build or fetch the data once, and fail before anything is trained
        for recipe in {make_recipe(spec.dataset, spec.dataset_options) for spec in specs}:
            load_dataset(recipe.name, **recipe.options)
    root = runs_dir()
    for spec in specs:
        forget_dead(root / spec.id)
    failed: dict[RunSpec, str] = {}
    with (
        _executor(executor, cluster, min(jobs, len(specs))) as pool,
        tqdm(total=len(specs), unit="run", desc="training", disable=not progress) as bar,
    ):
        futures = {pool.submit(run_one, spec.to_dict(), str(root)): spec for spec in specs}
        for future in _as_they_finish(futures, bar, root):
            spec = futures[future]
            if error := _error(future):
                failed[spec] = f"{spec.id} ({spec.variant}, seed {spec.seed}): {error}"
                if progress:
                    bar.write(f"failed: {failed[spec]}", file=sys.stderr)
    if failed:
        lines = [f"  {line}" for line in failed.values()]
        raise SweepError(f"{len(failed)} of {len(specs)} runs failed:\n" + "\n".join(lines))


def run_one(values: dict, root: str) -> str:
    """Train one run in this process, unless another just did; returns its id.

    Args:
        values: The spec, as `RunSpec.to_dict` gives it.
        root: Store to train into.
    """
    spec = RunSpec.from_dict(values)
    folder = Path(root) / spec.id
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _ONE_RUN, held(folder):
        if find(spec, folder.parent) is None:
            set_aside(folder)
            os.environ.setdefault("KERAS_BACKEND", spec.backend)
            with silenced():  # TensorFlow prints on import, into the progress bar
                from sfc_lib.runs.training import train
            train(spec, folder)
    return spec.id


def retrain(record: Record, root: Path, epochs: int | None = None) -> Record:
    """Train the run of a record again, from nothing, into another store.

    Args:
        record: Of any store; it is only read.
        root: An empty folder.
        epochs: Stop after so many, if not sooner; by default as the record's run.

    Returns:
        The new record. Versions, processor and threads as recorded give the same bytes, of
        the epochs that are trained.
    """
    spec = record.spec
    if epochs is not None:
        spec = dataclasses.replace(spec, epochs=min(epochs, spec.epochs))
    load_dataset(spec.dataset, **spec.dataset_options)
    with _executor(None, None, 1) as pool:
        pool.submit(run_one, spec.to_dict(), str(root)).result()
    return verify(root / spec.id)


@contextmanager
def _executor(given: Executor | None, cluster: str | None, jobs: int):
    """The given executor, or processes that end with the block, whatever ends it."""
    if given is not None:
        yield given
        return
    if cluster is not None:
        from sfc_lib.runs.pool import cluster_executor

        with cluster_executor(cluster, jobs) as executor:
            yield executor
        return
    pool = Workers(jobs, ONE_THREAD)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # safe: records are written atomically
        raise


def _as_they_finish(futures: dict[Future, RunSpec], bar: tqdm, root: Path):
    """Yield futures as they finish; meanwhile the bar counts those that run, and failed."""
    pending, failed = set(futures), 0
    while pending:
        finished, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
        failed += sum(_error(future) is not None for future in finished)
        # Not every executor's futures know that they run, but every run holds its lock.
        running = [root / futures[f].id for f in pending if is_held(root / futures[f].id)]
        epochs = [epochs_done(folder / HISTORY) for folder in running[:SHOWN]]
        status = f"{len(running)} running, {failed} failed"
        status += f", in epoch {epochs}" if any(epochs) else ""
        bar.set_postfix_str(status, refresh=not finished)
        for future in finished:
            bar.update()
            yield future


def _error(future: Future) -> BaseException | str | None:
    return "cancelled, the scheduler is gone" if future.cancelled() else future.exception()


def epochs_done(history: Path) -> int:
    """Finished epochs that a run's `history.jsonl` tells of; 0 where there is none."""
    try:
        return history.read_bytes().count(b"\n")
    except OSError:
        return 0


RETRIES = 1  # a run that raised is tried again: a network drive may have been away
SECONDS_TO_CONNECT = 30
SETTINGS = {
    # Workers a run may lose: walltimes end, machines are taken away.
    "distributed.scheduler.allowed-failures": 10,
    # Variables that dask would set in this process, not only in its workers.
    "distributed.nanny.pre-spawn-environ": {},
}
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
SLURM = {
    "memory": "SFC_SLURM_MEMORY",
    "walltime": "SFC_SLURM_WALLTIME",
    "queue": "SFC_SLURM_QUEUE",
}


@contextmanager
def cluster_executor(where: str, jobs: int = 2) -> Iterator[Executor]:
    """An executor for `sweep` whose workers are dask's, and end with the block.

    Args:
        where: `"local"` for processes of this machine, `"slurm"` for SLURM jobs of one
            core each, or the address of a running scheduler, `"tcp://host:8786"`, whose
            workers are left alone.
        jobs: Workers to start; an address has its own.

    Raises:
        ValueError: Another `where`.
        UserError: Dask or SLURM is not installed, or no scheduler answers.

    Example:

    >>> with cluster_executor("slurm", jobs=20) as executor:  # doctest: +SKIP
    ...     sweep(load_size("standard").specs, executor)
    """
    if where not in ("local", "slurm") and "://" not in where:
        raise ValueError(
            f"cluster must be 'local', 'slurm' or an address such as 'tcp://host:8786', "
            f"got {where!r}."
        )
    dask, distributed = _library("dask"), _library("distributed")
    folders = {"SFC_RUNS_DIR": str(runs_dir()), "SFC_DATA_DIR": str(data_dir())}
    for folder in folders.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        cluster: Any = where
        if where == "local":
            cluster = stack.enter_context(_local(distributed, jobs))
        elif where == "slurm":
            cluster = stack.enter_context(_slurm(dask, jobs))
        try:
            client = distributed.Client(cluster, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except OSError as error:
            raise UserError(f"no dask scheduler answers at {where}: {error}") from error
        stack.enter_context(client)
        yield _Apart(client.get_executor(pure=False, retries=RETRIES), ONE_THREAD | folders)


class _Apart(Executor):
    """Passes everything on to dask's executor, to be called in a process of its own there."""

    def __init__(self, executor: Executor, environment: dict[str, str]) -> None:
        self.executor, self.environment = executor, environment

    def submit(self, function: Callable, /, *arguments: Any, **_: Any) -> Future:
        return self.executor.submit(_in_worker, self.environment, function, *arguments)


def _in_worker(environment: dict[str, str], function: Callable, *arguments: Any) -> Any:
    """Call `function` with the folders and the one thread of the side that submitted it."""
    for name in ("SFC_RUNS_DIR", "SFC_DATA_DIR"):
        if not Path(environment[name]).is_dir():
            raise UserError(
                f"worker on {socket.gethostname()}: expected the folder {environment[name]}, found "
                f"none. Set {name} to a folder that all machines share under one path."
            )
    return call_apart(environment, function, *arguments)


def _local(distributed: Any, jobs: int) -> Any:
    return distributed.LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        preload=[IGNORE_CTRL_C],  # this process hears it, and ends them
    )


def _slurm(dask: Any, jobs: int) -> Any:
    """Jobs of one core, replaced when they end; their output is in `.slurm` beside the runs."""
    if shutil.which("sbatch") is None:
        raise UserError("cluster 'slurm' needs the command sbatch: call it on a login node.")
    jobqueue = _library("dask_jobqueue")
    config = dask.config.get("jobqueue.slurm")
    options = {name: os.environ[key] for name, key in SLURM.items() if os.environ.get(key)}
    if not config["memory"]:
        options.setdefault("memory", "4GB")
    cluster = jobqueue.SLURMCluster(
        cores=1,
        processes=1,
        log_directory=config["log-directory"] or str(runs_dir() / ".slurm"),
        silence_logs=logging.CRITICAL,
        **options,
    )
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # unlike scale, it replaces lost jobs
    return cluster


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"clusters need {name.replace('_', '-')}, which is not installed: "
            "pip install 'dask[distributed]' dask-jobqueue"
        ) from error
