"""Runs on more than one machine, through dask (the extra `cluster`).

A lost worker's run is given to another, which goes on from the last finished epoch. All
workers must see the folders of runs and of data under the same paths.

For SLURM, three environment variables; where one is not set, dask's own configuration
holds (`jobqueue.slurm`), which can say everything else too (account, network interface):

- `SFC_SLURM_MEMORY`: memory of a job, by default 4GB.
- `SFC_SLURM_WALLTIME`: its time limit, by default 00:30:00. Ended jobs are replaced.
- `SFC_SLURM_QUEUE`: its partition, by default SLURM's own.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sfc_lib.experiments.apart import call_apart
from sfc_lib.experiments.sweep import ONE_THREAD
from sfc_lib.files import UserError, data_dir, runs_dir

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
    ...     sweep(load_profile("standard").specs, executor)
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
