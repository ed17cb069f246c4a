"""Seconds that an epoch of training takes by readout, all on one machine in one go.

    python benchmarks/readouts.py

The records' own seconds come from several machines. Here the networks of the page *Is it the
separation?* are trained side by side, on made-up sequences: a few steps of each in turn, several
times round, and of these the fastest. What counts is CPU seconds of one thread, so that another
process disturbs little; validation is not part of it. It takes two CPU minutes or so and writes
`benchmarks/readouts.json`, from which the page's tables tell an epoch's time relative to std.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.files import write_json
from sfc_lib.pages.controls import FOREST, timed_as
from sfc_lib.pages.method import PAPER
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import environment
from sfc_lib.runs.worker import ONE_THREAD

RESULTS = Path(__file__).with_suffix(".json")
SEQUENCES = {"simulated_tf": 6400}  # of an epoch; elsewhere the spec says it
STEPS = {"simulated_tf": 6, "chip_seq": 3}  # that are timed at once
ROUNDS = 5


def specs() -> dict[str, RunSpec]:
    """One spec of every network that is drawn, by its name."""
    found: dict[str, RunSpec] = {}
    for size in ("controls", "controls_ctcf"):
        for name, experiment in load_size(size, 1).experiments.items():
            if name in FOREST:
                for spec in experiment.specs:
                    found.setdefault(timed_as(spec), spec)
    return found


def stepper(spec: RunSpec) -> Callable[[], object]:
    """A training step on random sequences, compiled: it was made twice."""
    from sfc_lib.runs.training import compiled_model

    length, tasks, _ = PAPER[spec.architecture]
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (spec.batch_size, length), dtype=np.uint8)
    split = Split(codes, rng.integers(0, 2, (spec.batch_size, tasks), dtype=np.uint8))
    made = Dataset(spec.dataset, {}, "", tuple(map(str, range(tasks))), {}, split, split, split)
    model: Any = compiled_model(spec, made)
    labels = split.labels.astype(np.float32)

    def step() -> object:
        return model.train_on_batch(codes, labels)

    step(), step()
    return step


def seconds(step: Callable[[], object], steps: int) -> float:
    """CPU seconds of one step, mean over some."""
    began = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - began) / steps


def measured(known: dict[str, RunSpec], rounds: int = ROUNDS) -> dict[str, float]:
    """CPU seconds of an epoch of each network: as many steps as it has, each the fastest."""
    steps = {name: stepper(spec) for name, spec in known.items()}
    fastest = dict.fromkeys(known, math.inf)
    for _ in range(rounds):
        for name, step in steps.items():
            count = STEPS[known[name].architecture]
            fastest[name] = min(fastest[name], seconds(step, count))
    return {name: round(fastest[name] * epoch(spec), 3) for name, spec in known.items()}


def epoch(spec: RunSpec) -> int:
    """Training steps of an epoch."""
    sequences = spec.samples_per_epoch or SEQUENCES[spec.dataset]
    return math.ceil(sequences / spec.batch_size)


def main() -> None:
    """All networks on this machine, in this process."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    os.environ.update({**ONE_THREAD, "KERAS_BACKEND": "tensorflow"})
    began = time.perf_counter()
    found = measured(specs())
    about = {"rounds": ROUNDS, "steps": STEPS, "precision": "float32"}
    write_json(
        RESULTS,
        {"environment": environment("tensorflow"), **about, "cpu_seconds_of_an_epoch": found},
    )
    for name, value in found.items():
        print(f"{name}: {value:.2f} s")
    print(f"{time.perf_counter() - began:.0f} seconds")


if __name__ == "__main__":
    main()
