"""Many runs at once: what is in the stores is read, what is missing is trained.

By default two spawned processes with one thread each, which is the fastest way to many
seeds on two cores, and keeps TensorFlow out of the calling process.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path

from tqdm.auto import tqdm

from sfc_lib.datasets.base import load_dataset, make_recipe
from sfc_lib.experiments.locks import forget_dead, held, is_held
from sfc_lib.experiments.spec import RunSpec
from sfc_lib.experiments.store import HISTORY, Record, find, look_up, set_aside, verify
from sfc_lib.experiments.workers import Workers
from sfc_lib.files import UserError, runs_dir, silenced

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
        sfc_lib.genomics.sources.SourceError: A dataset lacks a source file.
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
                from sfc_lib.experiments.training import train
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
        from sfc_lib.experiments.cluster import cluster_executor

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
