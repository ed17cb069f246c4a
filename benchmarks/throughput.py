"""Sequences a second that Basset trains on: by width, variant, precision and batch.

    python benchmarks/throughput.py --backend jax

Beside each stands the share of what the machine reaches in a product of two large matrices of
the same precision. Also: what the input pipeline gives out alone, and several runs side by side.
Each case is a process of its own, with a limit, and is kept in `benchmarks/throughput.json` as
soon as it is done; interrupted, it goes on. Machines are told apart by device and backend. The
table stands on the page of many runs; a kind of machine that nobody measured is not in it.
Measure on an idle machine: it is seconds of the clock that count.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from marks import with_part

from sfc_lib.datasets.accessibility import LENGTH
from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.files import write_json
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import environment
from sfc_lib.runs.worker import ONE_THREAD

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "throughput.json", HERE.parent / "book" / "running.md"
WIDTHS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2", 1.0: "1"}
VARIANTS, PRECISIONS, BATCHES = ("std", "sep", "symm"), ("float32", "mixed_bfloat16"), (100, 500)
TASKS = 16  # cell types, as of hematopoiesis
SIDE = (1, 2, 4)  # runs side by side
SECONDS = 5.0  # that one case is timed over, or one step
LIMIT = 300  # seconds a process may take
READY = 60  # seconds after which runs side by side begin to count
TRAINED = 3  # times the multiplications of a prediction that a step makes: forth, and twice back
ROWS = 20_000  # examples of the input pipeline


def cases() -> dict[str, tuple[Any, ...]]:
    """What is measured, by name: a function and its arguments."""
    found: dict[str, tuple[Any, ...]] = {f"peak {p}": (peak, p) for p in PRECISIONS}
    found["input"] = (pipeline,)
    found |= {
        f"{variant} {width:g} {precision} {batch}": (steps, variant, width, precision, batch)
        for width, variant, precision, batch in itertools.product(
            WIDTHS, VARIANTS, PRECISIONS, BATCHES
        )
    }
    return found | {f"side {runs}": (side_by_side, runs) for runs in SIDE}


def spec_of(variant: str, width: float, precision: str, batch: int) -> RunSpec:
    """A run of size `full` on hematopoiesis, with these."""
    spec = load_size("full", 1).experiments["hematopoiesis"].models[variant][0]
    backend = os.environ["KERAS_BACKEND"]
    return dataclasses.replace(
        spec, width=width, precision=precision, batch_size=batch, backend=backend
    )


def examples(number: int) -> Split:
    """Random sequences and labels."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (number, LENGTH), dtype=np.uint8)
    return Split(codes, rng.integers(0, 2, (number, TASKS), dtype=np.uint8))


def stepper(variant: str, width: float, precision: str, batch: int) -> tuple[Callable, int]:
    """A training step that was compiled, and its floating-point operations."""
    from sfc_lib.nn.readouts import multiplications
    from sfc_lib.runs.training import compiled_model

    spec, split = spec_of(variant, width, precision, batch), examples(batch)
    made = Dataset("hematopoiesis", {}, "", tuple(map(str, range(TASKS))), {}, *[split] * 3)
    model: Any = compiled_model(spec, made)
    labels = split.labels.astype(np.float32)
    model.train_on_batch(split.codes, labels)
    operations = 2 * TRAINED * batch * multiplications(model)
    return lambda: model.train_on_batch(split.codes, labels), operations


def timed(call: Callable[[], object], at: float = 0.0) -> float:
    """Seconds of a call, over `SECONDS` or once; from the time `at` on."""
    if at:
        if time.time() > at:
            raise RuntimeError(f"not ready {READY} seconds after the start.")
        time.sleep(at - time.time())
    began, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - began < SECONDS:
        call()
        calls += 1
    return (time.perf_counter() - began) / calls


def steps(
    variant: str, width: float, precision: str, batch: int, at: float = 0.0
) -> dict[str, float]:
    """Sequences and operations a second of a network in training."""
    step, operations = stepper(variant, width, precision, batch)
    seconds = timed(step, at)
    return {"sequences": batch / seconds, "operations": operations / seconds}


def peak(precision: str) -> dict[str, float]:
    """Operations a second of a product of two large matrices."""
    from keras import ops

    size = 2048 if device().startswith("CPU") else 8192
    matrix = ops.ones((size, size), dtype=precision.removeprefix("mixed_"))

    def product() -> None:
        corner = ops.matmul(matrix, matrix)[0, 0]
        ops.convert_to_numpy(ops.cast(corner, "float32"))  # NumPy has no bfloat16

    product()
    return {"operations": 2 * size**3 / timed(product)}


def pipeline() -> dict[str, float]:
    """Sequences a second that the input pipeline gives out, of examples in memory."""
    from sfc_lib.runs.training import Batches

    spec = spec_of("std", 1.0, "float32", BATCHES[0])
    batches = Batches(examples(ROWS), spec, SimpleNamespace(epoch=0))  # type: ignore[arg-type]
    seconds = timed(lambda: [batches[index] for index in range(len(batches))])
    return {"sequences": batches.samples / seconds}


def side_by_side(runs: int) -> dict[str, float]:
    """Sequences a second of so many runs together: sep at an eighth of the width."""
    at = time.time() + READY
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    shared |= ONE_THREAD if device().startswith("CPU") else {}
    command = [sys.executable, str(Path(__file__).resolve()), "--at", str(at), "--case"]
    started = [
        subprocess.Popen(
            [*command, f"sep 0.125 float32 {BATCHES[0]}"],
            env={**os.environ, **shared},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(runs)
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return {"sequences": sum(one["sequences"] for one in found)}


def device() -> str:
    """The device that this backend computes on, e.g. `"CPU: AMD EPYC, 2 cores"`."""
    backend = os.environ["KERAS_BACKEND"]
    if backend == "jax":
        import jax

        first = jax.devices()[0]
        if first.platform != "cpu":
            return str(first.device_kind)
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    else:
        import tensorflow as tf

        if found := tf.config.list_physical_devices("GPU"):
            return str(tf.config.experimental.get_device_details(found[0])["device_name"])
    return f"CPU: {environment(backend)['cpu']}, {os.cpu_count()} cores"


def main() -> None:
    """All cases that are not measured yet on this machine, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default="tensorflow")
    parser.add_argument("--case", choices=cases(), help=argparse.SUPPRESS)
    parser.add_argument("--at", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", options.backend)
    if options.case:
        function, *arguments = cases()[options.case]
        print(json.dumps(function(*arguments, **({"at": options.at} if options.at else {}))))
        return
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    machine = f"{device()}; {options.backend}"
    of_it = found.setdefault(machine, {"environment": environment(options.backend), "cases": {}})
    for case in cases():
        if case in of_it["cases"]:
            continue
        of_it["cases"][case] = measured(case)
        write_json(RESULTS, found)
        print(f"{case}: {of_it['cases'][case]}", flush=True)
    PAGE.write_text(with_part(PAGE.read_text(), "throughput", tables(found)))


def measured(case: str) -> dict[str, float] | None:
    """A case in a process of its own; None if it takes longer than `LIMIT`."""
    command = [sys.executable, str(Path(__file__).resolve()), "--case", case]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.splitlines()[-1])


def tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What was measured, in Markdown, a part for each machine."""
    lines = []
    for machine, of_it in found.items():
        measured = of_it["cases"]
        columns = list(itertools.product(PRECISIONS, BATCHES))
        names = [f"{p.removeprefix('mixed_')}, batch {batch}" for p, batch in columns]
        lines += [f"**{machine}** (sequences a second, and the share of its peak):", ""]
        lines += [f"| width, variant | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
        for width, variant in itertools.product(WIDTHS, VARIANTS):
            cells = [f"{WIDTHS[width]}, {variant}"]
            for precision, batch in columns:
                key = f"{variant} {width:g} {precision} {batch}"
                cells.append(_cell(measured, key, f"peak {precision}"))
            lines.append(f"| {' | '.join(cells)} |")
        rates = {n: measured.get(f"side {n}") for n in SIDE}
        side = [f"{n}: {_number(rate['sequences'])}" for n, rate in rates.items() if rate]
        peaks = [
            f"{p.removeprefix('mixed_')} {peak['operations'] / 1e9:,.0f}"
            for p in PRECISIONS
            if (peak := measured.get(f"peak {p}"))
        ]
        lines += [
            "",
            f"Peak, billions of operations a second: {', '.join(peaks) or 'not measured'}.",
        ]
        if given := measured.get("input"):
            lines += [
                f"The input pipeline alone: {_number(given['sequences'])} sequences a second."
            ]
        if side:
            lines += [f"Runs side by side (sep, 1/8, batch 100), together: {'; '.join(side)}."]
        lines.append("")
    if all(machine.startswith("CPU") for machine in found):
        lines += ["What an accelerator reaches is not measured.", ""]
    return "\n".join(lines[:-1])


def _cell(measured: Mapping[str, Any], key: str, peak: str) -> str:
    if key not in measured:
        return "not measured"
    if not measured[key]:
        return f"over {LIMIT} s"
    rate, top = measured[key], measured.get(peak)
    share = f" ({rate['operations'] / top['operations']:.0%})" if top else ""
    return _number(rate["sequences"]) + share


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


if __name__ == "__main__":
    main()
