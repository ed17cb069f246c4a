"""How much faster a sweep is with two processes than with one: at least 1.8 times.

Run it on an idle machine with two cores or more: `python benchmarks/sweep_scaling.py`.
Eight runs are trained with jobs=1 and with jobs=2, in turn, three times, each time into
an empty store; the ratio is that of the medians. The start of the workers (importing Keras,
some seconds, once a process) is included, the building of the dataset is not.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time

from sfc_lib import RunSpec, load_dataset, sweep

RUNS, ROUNDS, WANTED = 8, 3, 1.8
SPECS = [
    RunSpec(dataset_options={"examples": 3200}, epochs=6, patience=6, seed=seed)
    for seed in range(RUNS)
]


def seconds(jobs: int) -> float:
    """Wall-clock seconds of all runs with so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SFC_RUNS_DIR"] = folder
        began = time.perf_counter()
        sweep(SPECS, jobs=jobs, progress=False)
        return time.perf_counter() - began


def main() -> None:
    """Print every time and the ratio."""
    load_dataset(SPECS[0].dataset, **SPECS[0].dataset_options)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for jobs, measured in times.items():
            measured.append(seconds(jobs))
            print(f"jobs={jobs}: {measured[-1]:.1f} s", flush=True)
    one, two = (statistics.median(measured) for measured in times.values())
    print(f"{one:.1f} s / {two:.1f} s = {one / two:.2f} (wanted: {WANTED})")


if __name__ == "__main__":
    main()
