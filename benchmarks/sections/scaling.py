"""How time grows with positions, SFC neurons and examples: time ~ size to the exponent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import keras
import numpy as np
from contenders import AUTHORS, DENSE, OURS, network, training_step
from measure import Measurement, Size, interleaved, record

from sections.training import VARIANTS, models, steps
from sfc_lib.datasets.base import Split, load_dataset

BATCH = 100
SIZES = {
    "positions": ((50, 100, 200, 400, 800, 1600), lambda n: (n, 64, 128)),
    "SFC neurons": ((32, 64, 128, 256, 512, 1024, 2048), lambda n: (35, 50, n)),
}
EXAMPLES = (500, 1000, 2000, 4000)
LINES = {  # contender and whether it is symmetric
    AUTHORS: (AUTHORS, False),
    OURS: (OURS, False),
    "ours, symmetric": (OURS, True),
    DENSE: (DENSE, False),
}


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Times of all sizes and lines in turn, then one exponent of each line and round."""
    repeats = size.pick(2, 5)
    for axis, (values, shape) in SIZES.items():
        chosen = values[:2] if size.name == "quick" else values
        calls = {
            (line, n): training_step(network(kind, shape(n), symmetric), BATCH)
            for (line, (kind, symmetric)), n in product(LINES.items(), chosen)
        }
        yield from _curves(axis, "step", calls, repeats)
        keras.backend.clear_session()
    yield from _examples(size.pick(EXAMPLES[:2], EXAMPLES), size.pick(1, 3))


def _examples(sizes: tuple[int, ...], repeats: int) -> Iterator[Measurement]:
    data = load_dataset("simulated_tf", examples=8000)
    made = models(data, batch_size=BATCH)
    calls = {
        (variant, n): steps(made[variant][1], _first(data.train, n), BATCH)
        for variant, n in product(VARIANTS, sizes)
    }
    yield from _curves("examples", "epoch of training steps, simulated_tf", calls, repeats)


def _first(split: Split, examples: int) -> Split:
    return Split(split.codes[:examples], split.labels[:examples])


def _curves(
    axis: str, what: str, calls: dict[tuple[str, int], Callable], repeats: int
) -> Iterator[Measurement]:
    times = interleaved({str(key): call for key, call in calls.items()}, repeats)
    curves: dict[str, dict[int, list[float]]] = {}
    for line, n in calls:
        curves.setdefault(line, {})[n] = times[str((line, n))]
    for line, points in curves.items():
        labels = {"axis": axis, "line": line, "what": what}
        for n, values in points.items():
            name = f"{what}, {axis} = {n:,}: {line}"
            yield record(name, "CPU s", values, kind="point", size=n, **labels)
        rounds = np.log(list(points.values())).T  # (repeats, sizes)
        exponents = [float(np.polyfit(np.log(list(points)), y, 1)[0]) for y in rounds]
        yield record(f"{what}, exponent of {axis}: {line}", "", exponents, kind="fit", **labels)
