"""A sweep on one and on two processes, and what it costs beyond its training steps.

Total CPU time is that of the worker processes, from their start. What a worker does once
(import, build, trace) is timed by a sweep of one tiny run. In a sweep on one process a run
is alone, on two it has another one beside it: their epochs' times say how much the two slow
each other.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from measure import Measurement, Size, interleaved, record

from sections.training import VARIANTS, models, steps
from sfc_lib import RunSpec, load_dataset, sweep
from sfc_lib.runs.store import Record, look_up

JOBS = (1, 2)
RUNS = (("std", 3), ("sep", 3), ("symm", 2))
SWEEP = 30  # runs, on two processes: the sweep that the bound of the overhead is about
TINY = 40  # examples
FASTER, OVERHEAD = 1.8, 1.15  # wanted

Calls = Mapping[str, Callable[[], object]]


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Rounds of: pure steps, a worker's start, all runs on one process, all on two."""
    examples, epochs = size.pick(400, 8000), size.pick(2, 12, 20)
    data = load_dataset("simulated_tf", examples=examples)
    made = models(data)
    calls = {x: steps(model, data.train, spec.batch_size) for x, (spec, model) in made.items()}
    specs = _specs(RUNS, examples, epochs)
    rounds = [_round(calls, specs) for _ in range(size.pick(1, 1, 3))]
    yield from _records(specs, rounds)
    if size.name == "full":
        yield from _thirty(calls)


def _specs(runs: Sequence[tuple[str, int]], examples: int, epochs: int) -> list[RunSpec]:
    options = {"dataset_options": {"examples": examples}, "epochs": epochs, "patience": epochs}
    return [RunSpec(variant=x, seed=seed, **options) for x, seeds in runs for seed in range(seeds)]


def _round(calls: Calls, specs: Sequence[RunSpec]) -> dict[str, float]:
    pure = _pure(calls)
    found = {"steps": sum(pure[spec.variant] * spec.epochs for spec in specs)}
    found["start wall"], found["start"], _ = _swept(_specs((("sep", 1),), TINY, 1), 1)
    for jobs in JOBS:
        wall, cpu, done = _swept(specs, jobs)
        training = sum(run.result["wall_seconds"] for run in done)
        found |= {f"wall {jobs}": wall, f"cpu {jobs}": cpu, f"training {jobs}": training}
    return found


def _pure(calls: Calls) -> dict[str, float]:
    """CPU seconds of an epoch of each variant's training steps."""
    return {variant: median(times) for variant, times in interleaved(calls, 2, least=0).items()}


def _swept(specs: Sequence[RunSpec], jobs: int) -> tuple[float, float, list[Record]]:
    """Wall and CPU seconds of a sweep into an empty store, and what it trained."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SFC_RUNS_DIR"] = folder  # of this process and of the workers
        began, cpu = time.perf_counter(), _cpu_of_workers()
        sweep(specs, jobs=jobs, progress=False)
        wall, cpu = time.perf_counter() - began, _cpu_of_workers() - cpu
        return wall, cpu, [run for run in (look_up(s, published=False) for s in specs) if run]


def _cpu_of_workers() -> float:
    """CPU seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _records(specs: Sequence[RunSpec], rounds: list[dict[str, float]]) -> Iterator[Measurement]:
    values = {key: [found[key] for found in rounds] for key in rounds[0]}
    what = f"{len(specs)} runs of {specs[0].epochs} epochs"
    two, alone = f"{what} on two processes", "training of these runs, one at a time"
    steps_name = f"training steps of {what}"
    yield record(two, "s", values["wall 2"], kind="sweep", jobs=2)
    wanted = {"at_least": FASTER}
    yield record(f"{what} on one process", "s", values["wall 1"], two, wanted, kind="sweep", jobs=1)
    yield record("start of a worker, to the end of a tiny run", "s", values["start wall"])
    yield record("CPU of such a start", "CPU s", values["start"])
    yield record(alone, "s", values["training 1"])
    yield record("training of these runs, two at a time", "s", values["training 2"], alone)
    yield record(steps_name, "CPU s", values["steps"])
    yield record(f"all of {what} on one process", "CPU s", values["cpu 1"], steps_name)
    yield from _extrapolated(len(specs), rounds, f"{SWEEP} runs of {specs[0].epochs} epochs")


def _extrapolated(runs: int, rounds: list[dict[str, float]], what: str) -> Iterator[Measurement]:
    """The overhead of a whole sweep: two starts, and so much for each run and its steps."""
    share = SWEEP / runs
    totals = [2 * x["start"] + share * (x["cpu 1"] - x["start"]) for x in rounds]
    pure = f"training steps of {what}, extrapolated"
    yield record(pure, "CPU s", [share * x["steps"] for x in rounds])
    name = f"all of {what} on two processes, extrapolated"
    yield record(name, "CPU s", totals, pure, {"at_most": OVERHEAD}, kind="overhead")


def _thirty(calls: Calls) -> Iterator[Measurement]:
    """The overhead of a whole sweep, measured: runs of the figures, to their end."""
    before = _pure(calls)
    _, cpu, done = _swept([RunSpec(variant=x, seed=s) for x in VARIANTS for s in range(10)], 2)
    pure = {variant: (before[variant] + after) / 2 for variant, after in _pure(calls).items()}
    total = sum(pure[run.spec.variant] * run.result["epochs"] for run in done)
    steps_name = f"training steps of {len(done)} runs to their end"
    yield record(steps_name, "CPU s", [total])
    name = f"all of {len(done)} runs to their end on two processes"
    yield record(name, "CPU s", [cpu], steps_name, {"at_most": OVERHEAD}, kind="overhead")
