"""Functional models rebuilt layer by layer with their weights, for folding and separating."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sfc_lib.errors import UserError

CallLayer = Callable[..., Any]  # (layer of the original, *its new arguments) -> its new outputs


def functional(model: keras.Model, owner: str) -> keras.Model:
    """The model as a plain functional one, of the same layers; `owner` names the caller.

    Raises:
        UserError: A subclassed model, or a sequential one that is not built.
    """
    if getattr(model, "inputs", None) is None:
        raise UserError(f"{owner}: expected a functional or built sequential model, got {model!r}.")
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def rebuilt(
    model: keras.Model, call: CallLayer, owner: str, inputs: keras.KerasTensor | None = None
) -> keras.Model:
    """The model on new inputs: `call` says what stands in place of each call of a layer.

    The new inputs are like the old ones unless they are given.
    """
    plain = functional(model, owner)
    return keras.models.clone_model(
        plain,
        input_tensors=same_inputs(plain) if inputs is None else inputs,
        clone_function=lambda layer: layer,
        call_function=call,
    )


def same_inputs(plain: keras.Model) -> Any:
    """New inputs like those of a functional model, in the same structure."""
    names = {id(layer.output): layer.name for layer in plain.layers if _is_input(layer)}

    def same_input(x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=names[id(x)])

    return keras.tree.map_structure(same_input, plain.input)


def _is_input(layer: Any) -> bool:
    return isinstance(layer, layers.InputLayer)


def called(model: keras.Model) -> keras.Model:
    """The model, once it has been called on symbols: Keras exports no other to ONNX."""
    model(model.inputs[0] if isinstance(model, keras.Sequential) else model.input)
    return model


def is_nested(layer: Any) -> bool:
    """Whether a layer of a model is itself a model of known layers."""
    return isinstance(layer, keras.Model) and getattr(layer, "inputs", None) is not None


def every_layer(model: keras.Model) -> Iterator[Any]:
    """The layers of a model, and those of the models in it."""
    for layer in model.layers:
        yield layer
        if is_nested(layer):
            yield from every_layer(layer)


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the first with a number that is free; from now on it is taken.

    Example:

    >>> taken = {"fc"}
    >>> free_name("fc", taken), free_name("fc", taken), free_name("other", taken)
    ('fc_1', 'fc_2', 'other')
    """
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def named(layer: Any) -> str:
    """A layer or operation in messages: its name and class."""
    return f"{layer.name!r} ({type(layer).__name__})"


class Copies:
    """Copies of layers, made and given their weights when they are first called.

    Args:
        owner: Who asks, for messages.
        share: Whether to call the layers themselves instead.
    """

    def __init__(self, owner: str, share: bool = False) -> None:
        self.owner, self.share = owner, share
        self._known: dict[int, Any] = {}

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """What a layer's copy makes of some arguments; a layer called twice has one copy."""
        if self.share or _is_function(layer):
            return layer(*args, **kwargs)
        if (known := id(layer) in self._known) is False:
            self._known[id(layer)] = self._copy(layer)
        copy = self._known[id(layer)]
        outputs = copy(*args, **kwargs)
        if not known:
            copy.set_weights(layer.get_weights())
            for part in copy._flatten_layers():
                if isinstance(part, layers.Normalization):  # it computes with what it made of them
                    part.finalize_state()
        return outputs

    def _copy(self, layer: layers.Layer) -> layers.Layer:
        try:
            return type(layer).from_config(layer.get_config())
        except Exception as error:  # a user's own layer can raise anything
            raise UserError(
                f"{self.owner}: {named(layer)} can't be copied from its get_config: {error!r:.200}"
            ) from error


def _is_function(layer: Any) -> bool:
    """Whether it has no weights and can't be copied: `a + b`, or a Lambda."""
    return not isinstance(layer, layers.Layer) or isinstance(layer, layers.Lambda)


def values(weight: Any) -> np.ndarray:
    """A copy of the numbers of a weight, or of a tensor made of weights."""
    return ops.convert_to_numpy(ops.convert_to_tensor(weight)).copy()
