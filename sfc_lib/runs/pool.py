"""Many runs at once: what is in the stores is read, what is missing is trained.

By default in two local processes with one thread each, which is the fastest way to many
seeds on two cores, and keeps TensorFlow out of the calling process.

Beyond one machine it goes through dask (the extra `cluster`): a lost worker's run is given to
another, which goes on from the last finished epoch. All workers must see the folders of runs
and of data under the same paths. Memory, time limit and queue of SLURM's jobs are said by the
environment variables in `SLURM`, and everything else by dask's configuration `jobqueue.slurm`.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from sfc_lib.datasets.base import load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir, runs_dir, silenced, writable
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import Record, find, held, is_held, look_up, set_aside, verify_record
from sfc_lib.runs.worker import ONE_THREAD, Processes

_ONE_RUN = threading.Lock()  # Keras has one global random state in a process


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
        UserError: As for `sweep`, for instance because a run failed.
    """
    specs = list(specs)
    missing = [spec for spec in dict.fromkeys(specs) if look_up(spec, published) is None]
    sweep(missing, executor, jobs=jobs, cluster=cluster, progress=progress)
    records = [record for spec in specs if (record := look_up(spec, published))]
    if len(records) < len(specs):
        raise UserError(
            "ensure: a run was trained but its record is damaged, see the warnings, or lies "
            f"elsewhere: all workers must write into the same {runs_dir()}."
        )
    return records


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
        jobs: Number of local processes, of one thread each, or of the cluster's.
        cluster: `"local"`, `"slurm"` or an address, see `cluster_executor`.
        progress: Whether to show the bar, and each failure when it happens.

    Raises:
        UserError: `jobs` < 1, an unknown cluster, a store that can't be written, a source
            file that can't be had, or runs that failed: each is named with its error. The
            others are finished first, and kept.
    """
    if type(jobs) is not int or jobs < 1:
        raise UserError(f"sweep: jobs must be an integer >= 1, got {jobs!r}.")
    if not specs:
        return
    root = writable(runs_dir(), " Set SFC_RUNS_DIR to another.")
    if executor is None:  # build or fetch the data once, and fail before anything is trained
        for recipe in {spec.recipe for spec in specs}:
            load_dataset(recipe.name, **recipe.options)
    failed = []
    with (
        _executor(executor, cluster, min(jobs, len(specs))) as pool,
        tqdm(total=len(specs), unit="run", desc="training", disable=not progress) as bar,
    ):
        futures = {pool.submit(run_one, spec.to_dict(), str(root)): spec for spec in specs}
        for future in _as_they_finish(futures, bar, root):
            spec = futures[future]
            if error := _error(future):
                failed.append(f"{spec.id} ({spec.variant}, seed {spec.seed}): {error}")
                if progress:
                    bar.write(f"failed: {failed[-1]}", file=sys.stderr)
    if failed:
        raise UserError("\n  ".join([f"{len(failed)} of {len(specs)} runs failed:", *failed]))


def _executor(
    given: Executor | None, cluster: str | None, jobs: int
) -> AbstractContextManager[Executor]:
    if given is not None:
        return nullcontext(given)
    return Processes(jobs) if cluster is None else cluster_executor(cluster, jobs)


def _as_they_finish(futures: dict[Future, RunSpec], bar: tqdm, root: Path) -> Iterator[Future]:
    """Yield futures as they finish; meanwhile the bar counts those that run, and failed."""
    pending, failed = set(futures), 0
    while pending:
        finished, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
        failed += sum(_error(future) is not None for future in finished)
        if not bar.disable:  # not every executor's futures know that they run, but runs are held
            running = sum(is_held(root / futures[future].id) for future in pending)
            bar.set_postfix_str(f"{running} running, {failed} failed", refresh=not finished)
        for future in finished:
            bar.update()
            yield future


def _error(future: Future) -> BaseException | str | None:
    return "cancelled, the scheduler is gone" if future.cancelled() else future.exception()


def run_one(values: dict, root: str) -> str:
    """Train a run, of `RunSpec.to_dict`, into the store `root`; returns its id.

    It is trained in this process, unless another one just did.
    """
    spec = RunSpec.from_dict(values)
    folder = Path(root) / spec.id
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _ONE_RUN, held(folder):
        if find(spec, folder.parent) is None:
            set_aside(folder)
            use_keras(spec.backend)
            from sfc_lib.runs.training import train_run

            train_run(spec, folder)
    return spec.id


def use_keras(backend: str = "tensorflow") -> None:
    """Import Keras without what its backend prints, into a progress bar for instance."""
    os.environ.setdefault("KERAS_BACKEND", backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silenced():
        from sfc_lib.nn import keras  # noqa: F401


def retrain(record: Record, root: Path, epochs: int | None = None) -> Record:
    """Train the run of a record again, from nothing, into the empty store `root`.

    It stops after `epochs`, if not sooner. Versions, processor and threads as recorded give
    the same bytes in the new record, of the epochs that are trained.
    """
    spec = record.spec
    if epochs is not None:
        spec = dataclasses.replace(spec, epochs=min(epochs, spec.epochs))
    spec.load_dataset()
    with Processes(1) as pool:
        pool.submit(run_one, spec.to_dict(), str(root)).result()
    return verify_record(root / spec.id)


RETRIES = 1  # a run that raised is tried again: a network drive may have been away
SECONDS_TO_CONNECT = 30
SETTINGS: Any = {
    "distributed.scheduler.allowed-failures": 10,  # workers a run may lose: walltimes end
    "distributed.nanny.pre-spawn-environ": {},  # which dask would set in this process too
}
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
SLURM = {name: f"SFC_SLURM_{name.upper()}" for name in ("memory", "walltime", "queue")}


@contextmanager
def cluster_executor(where: str, jobs: int = 2) -> Iterator[Executor]:
    """An executor for `sweep` whose workers are dask's, and end with the block.

    Args:
        where: `"local"` for processes of this machine, `"slurm"` for SLURM jobs of one
            core each, or the address of a running scheduler, `"tcp://host:8786"`, whose
            workers are left alone.
        jobs: Workers to start; an address has its own.

    Raises:
        UserError: Another `where`; dask or SLURM is not installed; or no scheduler answers.

    Example:

    >>> with cluster_executor("slurm", jobs=20) as executor:  # doctest: +SKIP
    ...     sweep(load_size("standard").specs, executor)
    """
    if where not in ("local", "slurm") and "://" not in where:
        expected = "'local', 'slurm' or an address such as 'tcp://host:8786'"
        raise UserError(f"cluster must be {expected}, got {where!r}.")
    dask, distributed = _library("dask"), _library("distributed")
    folders = {"SFC_RUNS_DIR": runs_dir(), "SFC_DATA_DIR": data_dir()}
    environment = ONE_THREAD | {name: str(writable(path)) for name, path in folders.items()}
    with dask.config.set(SETTINGS), _cluster(where, jobs) as cluster:
        try:
            client = distributed.Client(cluster, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except OSError as error:
            raise UserError(f"no dask scheduler answers at {where}: {error}") from error
        with client:
            yield _Apart(client.get_executor(pure=False, retries=RETRIES), environment)


class _Apart(Executor):
    """Passes everything on to dask's executor, to be called in a process of its own there.

    Keras draws initial weights from Python's global random state, and so do dask's own
    threads: trained inside a dask worker, a run would come out different each time.
    """

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
    multiprocessing.current_process().daemon = False  # dask's are, and those have no children
    with Processes(1, environment) as processes:
        return processes.submit(function, *arguments).result()


def _cluster(where: str, jobs: int) -> AbstractContextManager:
    if "://" in where:
        return nullcontext(where)
    if where == "slurm":
        return _slurm(jobs)
    return _library("distributed").LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        preload=[IGNORE_CTRL_C],  # this process hears it, and ends them
    )


def _slurm(jobs: int) -> Any:
    """Jobs of one core, replaced when they end; their output is in `.slurm` beside the runs."""
    if shutil.which("sbatch") is None:
        raise UserError("cluster 'slurm' needs the command sbatch: call it on a login node.")
    jobqueue = _library("dask_jobqueue")
    config = _library("dask").config.get("jobqueue.slurm")
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
            'pip install "sfc_lib[cluster]"'
        ) from error
