"""Several networks as one that predicts the mean of their logits; and one beside a regression."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from sfc_lib.errors import UserError
from sfc_lib.nn.architectures import predictions, predicts_values
from sfc_lib.nn.encoding import with_one_hot
from sfc_lib.nn.layers import KmerRegression, OneHotDNA

REGRESSED = "network"  # the layer that is the network, where a regression is beside it


def averaged_models(models: Sequence[keras.Model]) -> keras.Model:
    """A model whose logits are the mean of the logits of all; itself if there is only one.

    It has the layers `one_hot`, `logits` and the last one of any network here, so that it
    can be folded, explained and saved like one; what stands between is nested.

    Args:
        models: Networks as `build_model` makes them, of the same length and tasks.

    Returns:
        A model from codes (batch, length) to probabilities (batch, tasks), not compiled.

    Raises:
        UserError: None at all, or networks of different shapes.

    Example:

    >>> from sfc_lib import build_model
    >>> one, two = (build_model("compact", "symm", length=200, tasks=1) for _ in range(2))
    >>> averaged_models([one, two]).count_params() == 2 * one.count_params()
    True
    """
    shapes = {(model.input_shape[1], model.output_shape[1]) for model in models}
    if len(shapes) != 1:
        raise UserError(f"averaged_models: expected networks of one shape, got {sorted(shapes)}.")
    if len(models) == 1:
        return models[0]
    ((length, _),) = shapes
    inputs, encoded = _input(length)
    members = [_logits(model, f"member_{number}") for number, model in enumerate(models, 1)]
    logits = layers.Average(name="logits")([member(encoded) for member in members])
    return _predicting(inputs, logits, "ensemble", models[0])


def strand_logits(model: keras.Model) -> keras.Model:
    """From codes to the logits of the strand that is given, also of a network that averages both.

    Its mean over a sequence and the reverse complement are the network's logits.

    Args:
        model: A network as `build_model` or `with_regression` makes it.

    Example:

    >>> from sfc_lib import build_model
    >>> both = build_model("compact", "symm", length=200, tasks=1, both_strands=True)
    >>> len(both.layers) - len(strand_logits(both).layers)  # the other strand, mean, sigmoid
    3
    """
    logits = model.get_layer("logits")
    if REGRESSED not in [layer.name for layer in model.layers]:
        return keras.Model(model.input, _of_strand(model))
    encoded, network = model.get_layer("one_hot").output, model.get_layer(REGRESSED)
    alone = keras.Model(network.input, _of_strand(network))
    return keras.Model(model.input, logits([encoded, alone(encoded)]))


def _of_strand(model: keras.Model) -> keras.KerasTensor:
    logits = model.get_layer("logits")
    return logits.input[0] if isinstance(logits, layers.Average) else logits.output


def with_regression(
    model: keras.Model,
    scale: np.ndarray,
    positions: np.ndarray,
    table: np.ndarray,
    bias: np.ndarray,
) -> keras.Model:
    """The network with a `KmerRegression` of these weights behind its logits.

    It has the layers of any network here, as `averaged_models` says.

    Args:
        model: A network as `build_model` makes it.
        scale: (tasks,).
        positions: (length − k + 1,).
        table: (4^k, tasks).
        bias: (tasks,).

    Returns:
        A model from codes (batch, length) to probabilities (batch, tasks), not compiled.

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("compact", "symm", length=200, tasks=1)
    >>> weights = np.ones(1), np.ones(195), np.zeros((4096, 1)), np.zeros(1)
    >>> with_regression(model, *weights).count_params() - model.count_params()
    4293
    """
    inputs, encoded = _input(model.input_shape[1])
    regression = KmerRegression(round(math.log(len(table), 4)), name="logits")
    logits = regression([encoded, _logits(model, REGRESSED)(encoded)])
    regression.set_weights([scale, positions, table, bias])
    return _predicting(inputs, logits, model.name, model)


def _input(length: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Codes (batch, length), and what the layer `one_hot` makes of them."""
    inputs = keras.Input((length,), dtype="uint8", name="codes")
    return inputs, OneHotDNA(name="one_hot")(inputs)


def _logits(model: keras.Model, name: str) -> keras.Model:
    """A copy of the network from one-hot sequences to its logits."""
    model = with_one_hot(model)
    return keras.Model(model.input, model.get_layer("logits").output, name=name)


def _predicting(
    inputs: keras.KerasTensor, logits: keras.KerasTensor, name: str, like: keras.Model
) -> keras.Model:
    return keras.Model(inputs, predictions(predicts_values(like))(logits), name=name)
