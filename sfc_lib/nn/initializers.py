"""How the two weights of an SFC layer start: the paper's way, and those it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

INITIALIZERS = ("paper", "variance", "glorot", "normal", "orthogonal", "rank_one")
SMALL = 0.01  # standard deviation of "normal"


def factor_initializers(
    name: str, units: int, length: int, channels: int, stored: int
) -> tuple[Callable, Callable]:
    """Initialisers of `W_pos`, shape (units, stored), and of `W_chan`, shape (units, channels).

    - `"paper"`: both uniform in ±a, as the authors coded it, a = (2 / (stored·C + units))^¼.
    - `"variance"`: both uniform in ±a, a = (18 / (L·C + units))^¼, which gives the outer
      product the variance of `glorot_uniform`, as the paper's text intends.
    - `"glorot"`: `glorot_uniform` on each of the two matrices.
    - `"normal"`: both normal with the small standard deviation `SMALL`.
    - `"orthogonal"`: both random orthogonal matrices.
    - `"rank_one"`: of each neuron, the product that is nearest to a `glorot_uniform` kernel, by
      singular values: a CP start. Where half the positions are stored, the nearest symmetric one.

    Args:
        name: One of `INITIALIZERS`.
        units: SFC neurons.
        length: Positions L of the layer's input.
        channels: Its channels C.
        stored: Positions of `W_pos` that are stored.

    Example:

    >>> starts = factor_initializers("rank_one", units=2, length=5, channels=3, stored=5)
    >>> [tuple(start(shape).shape) for start, shape in zip(starts, ((2, 5), (2, 3)))]
    [(2, 5), (2, 3)]
    """
    if name == "rank_one":
        kernel = _uniform((6 / (length * channels + units)) ** 0.5)
        return partial(_rank_one, kernel, (units, length, channels), stored, "position"), partial(
            _rank_one, kernel, (units, length, channels), stored, "channel"
        )
    make: dict[str, Callable[[], Any]] = {
        "paper": lambda: _uniform((2 / (stored * channels + units)) ** 0.25),
        "variance": lambda: _uniform((18 / (length * channels + units)) ** 0.25),
        "glorot": keras.initializers.GlorotUniform,
        "normal": lambda: keras.initializers.RandomNormal(stddev=SMALL),
        "orthogonal": keras.initializers.Orthogonal,
    }
    return make[name](), make[name]()


def _uniform(limit: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomUniform(-limit, limit)


def _rank_one(kernel: Callable, shape: tuple, stored: int, factor: str, _: Any, dtype=None):
    """One factor of the nearest product; the kernel, whose seed is set, is the same for both."""
    weights = kernel(shape, "float32")  # (units, length, channels)
    if stored < shape[1]:
        weights = (weights + ops.flip(weights, axis=1)) / 2
    left, values, right = ops.svd(weights, full_matrices=False)
    size = ops.sqrt(values[:, :1])
    found = left[:, :stored, 0] if factor == "position" else right[:, 0, :]
    return ops.cast(size * found, dtype or "float32")
