"""CPU seconds of an epoch of each network, and of its validation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from measure import Measurement, Size, compared, interleaved, record

from sections import BFLOAT
from sections.training import models, random_dataset, steps, whole
from sfc_lib.datasets.base import Dataset, load_dataset
from sfc_lib.runs.evaluation import metrics, predict

BATCH, BASSET_WIDTH = 100, 0.5
VALIDATION = 0.1  # of a whole epoch, at most


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Simulated TF on every backend; the other two networks on TensorFlow in float32."""
    precision = "mixed_bfloat16" if part == BFLOAT else "float32"
    shared = {
        "backend": os.environ["KERAS_BACKEND"],
        "precision": precision,
        "batch_size": BATCH,
        "epochs": 1000,
        "patience": 1000,
    }
    data = load_dataset("simulated_tf", examples=size.pick(400, 8000))
    yield from _simulated(data, shared, size, main=part == "tensorflow")
    if part == "tensorflow":
        yield from _other("chip_seq", size.pick(100, 500), 1, 1.0, shared, size)
        yield from _other("basset", size.pick(100, 300), 16, BASSET_WIDTH, shared, size)


def _simulated(
    data: Dataset, shared: Mapping[str, Any], size: Size, main: bool
) -> Iterator[Measurement]:
    made = models(data, **shared)
    kinds = {"whole epoch": {x: whole(spec, model, data) for x, (spec, model) in made.items()}}
    if shared["backend"] == "tensorflow":
        kinds["steps"] = {x: steps(model, data.train, BATCH) for x, (_, model) in made.items()}
    calls = {f"{kind}, {x}": call for kind, group in kinds.items() for x, call in group.items()}
    if main:
        calls["validation"] = partial(_validate, made["std"][1], data)
    times = interleaved(calls, size.pick(2, 5 if main else 3), least=0)
    for kind, group in kinds.items():
        yield from _records(
            f"{kind}, simulated_tf, {len(data.train):,} sequences",
            {variant: times[f"{kind}, {variant}"] for variant in group},
            kind,
            "simulated_tf",
            1.2 if main else None,
            precision=shared["precision"],
        )
    if main:
        ratios = np.divide(times["validation"], times["whole epoch, std"])
        yield record(
            "validation, share of a whole epoch, simulated_tf, std",
            "of the epoch",
            ratios.tolist(),
            wanted={"at_most": VALIDATION},
            kind="validation",
        )


def _validate(model: Any, data: Dataset) -> None:
    metrics(data.valid.labels, predict(model, data.valid.codes), data.task_names)


def _other(
    architecture: str,
    examples: int,
    tasks: int,
    width: float,
    shared: Mapping[str, Any],
    size: Size,
) -> Iterator[Measurement]:
    data = random_dataset(1000, tasks, examples)
    made = models(data, **shared, architecture=architecture, width=width)
    calls = {x: steps(model, data.train, BATCH) for x, (_, model) in made.items()}
    yield from _records(
        f"steps, {architecture} at width {width:g}, {examples} random sequences of 1,000 bp",
        interleaved(calls, size.pick(2, 5), least=0),
        "steps",
        architecture,
        1.05,
        precision=shared["precision"],
        width=width,
    )


def _records(
    title: str,
    times: dict[str, list[float]],
    kind: str,
    architecture: str,
    limit: float | None,
    **labels: Any,
) -> Iterator[Measurement]:
    wanted = {variant: {"at_most": limit} for variant in ("sep", "symm")} if limit else {}
    labels = {**labels, "kind": kind, "architecture": architecture}
    yield from compared(title, "CPU s", times, "std", wanted, **labels)
