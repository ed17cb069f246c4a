"""Training steps of the layer alone, and with a Dense layer behind it; folded networks."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, product

import keras
import numpy as np
from contenders import AUTHORS, DENSE, EQUAL, FIXED, OURS, Shape, network, training_step
from measure import Measurement, Size, compared, interleaved

from sections import ALL
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.folding import fold_separable

SHAPES: dict[str, Shape] = {  # length, channels, SFC neurons
    "simulated TF": (35, 50, 648),
    "ChIP-seq": (47, 32, 18),
    "Basset": (18, 200, 1000),
}
LONG: dict[str, Shape] = {"L = 1,000": (1000, 128, 256), "L = 10,000": (10_000, 128, 32)}
BATCHES, LONG_BATCH = (64, 128, 256), 64
PAIR, PAIR_OUTPUTS, PAIR_BATCHES = "simulated TF", 50, (100, 200, 400)
PAIR_BOUND_FROM = 200  # examples a batch
NETWORKS = {"simulated_tf": (200, 3, 1.0), "chip_seq": (1000, 1, 1.0), "basset": (600, 16, 0.5)}


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """All measurements of a part."""
    clock = time.perf_counter if part == ALL else time.process_time
    run = partial(interleaved, repeats=size.pick(2, 9), clock=clock)
    few = keras.backend.backend() != "tensorflow" or size.name == "quick"
    batches = BATCHES[1:2] if few or part == ALL else BATCHES
    found = [_layers(run, size.pick([PAIR], list(SHAPES)), batches), _pairs(run, few)]
    if not few and part != ALL:
        found += [_long(partial(run, repeats=5)), _folded(run)]
    unit = "s" if part == ALL else "CPU s"
    yield from ({**measured, "unit": unit} for measured in chain(*found))


def _layers(run: Callable, shapes: list[str], batches: tuple[int, ...]) -> Iterator[Measurement]:
    for shape, batch in product(shapes, batches):
        for variant in ("sep", "symm"):
            yield from _layer(run, shape, SHAPES[shape], variant, batch)


def _long(run: Callable) -> Iterator[Measurement]:
    for (shape, sizes), variant in product(LONG.items(), ("sep", "symm")):
        yield from _layer(run, shape, sizes, variant, LONG_BATCH)


def _layer(
    run: Callable, shape: str, sizes: Shape, variant: str, batch: int
) -> Iterator[Measurement]:
    dense = (DENSE, EQUAL) if variant == "sep" else ()
    names = (AUTHORS, OURS, *FIXED, *dense)
    times = run({x: training_step(network(x, sizes, variant == "symm"), batch) for x in names})
    labels = {"kind": "layer", "shape": shape, "variant": variant, "batch": batch}
    yield from compared(
        f"layer, {shape}, {variant}, batch {batch}",
        "s",
        times,
        AUTHORS,
        _wanted(shape, variant),
        **labels,
        sizes=list(sizes),
    )
    _forget()


def _wanted(shape: str, variant: str) -> dict[str, dict[str, float]]:
    if keras.backend.backend() != "tensorflow":  # nothing was asked for
        return {}
    if variant == "symm":
        return {OURS: {"at_most": 0.65}}
    return {OURS: {"at_most": 1.0}} if shape == "Basset" else {}


def _pairs(run: Callable, few: bool) -> Iterator[Measurement]:
    backend = keras.backend.backend()
    for batch, variant in product((200,) if few else PAIR_BATCHES, ("sep", "symm")):
        sizes, symmetric = SHAPES[PAIR], variant == "symm"
        names = (AUTHORS, OURS, DENSE)
        models = {x: network(x, sizes, symmetric, PAIR_OUTPUTS) for x in names}
        times = run({name: training_step(model, batch) for name, model in models.items()})
        times["std"] = times.pop(DENSE)
        bound = {"at_most": 0.45 if symmetric else 0.6}
        yield from compared(
            f"SFC + Dense({PAIR_OUTPUTS}), {PAIR}, {variant}, batch {batch}",
            "s",
            times,
            AUTHORS,
            {OURS: bound} if batch >= PAIR_BOUND_FROM and backend == "tensorflow" else {},
            kind="pair",
            shape=PAIR,
            variant=variant,
            batch=batch,
        )
        _forget()


def _folded(run: Callable) -> Iterator[Measurement]:
    for name, (length, tasks, width) in NETWORKS.items():
        codes = np.random.default_rng(0).integers(0, 4, (100, length), dtype=np.uint8)
        sep, std = (
            build_model(name, variant, length=length, tasks=tasks, width=width)
            for variant in ("sep", "std")
        )
        models = {"std": std, "sep, folded": fold_separable(sep), "sep": sep}
        times = run({x: partial(model.predict_on_batch, codes) for x, model in models.items()})
        yield from compared(
            f"prediction, {name} at width {width:g}, {length} bp, batch {len(codes)}",
            "s",
            times,
            "std",
            {"sep, folded": {"at_most": 1.05}},
            kind="prediction",
            architecture=name,
        )
        _forget()


def _forget() -> None:
    """Give back the memory of the models that were measured."""
    keras.backend.clear_session()
    gc.collect()
