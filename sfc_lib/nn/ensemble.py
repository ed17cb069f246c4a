"""Several networks as one that predicts the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from sfc_lib.errors import UserError
from sfc_lib.nn.encoding import with_one_hot
from sfc_lib.nn.layers import OneHotDNA


def averaged_models(models: Sequence[keras.Model]) -> keras.Model:
    """A model whose logits are the mean of the logits of all; itself if there is only one.

    It has the layers `one_hot`, `logits` and `probabilities` of any network here, so that it
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
    inputs = keras.Input((length,), dtype="uint8", name="codes")
    encoded = OneHotDNA(name="one_hot")(inputs)
    members = []
    for number, model in enumerate(map(with_one_hot, models), 1):
        logits = model.get_layer("logits").output
        members.append(keras.Model(model.input, logits, name=f"member_{number}"))
    logits = layers.Average(name="logits")([member(encoded) for member in members])
    outputs = layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, outputs, name="ensemble")
