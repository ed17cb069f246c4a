"""The same network on base codes or on one-hot sequences: for training here, for tools elsewhere.

Networks read codes, one byte a base. Tools that attribute, mutate or export (tangermeme, captum,
SHAP, ONNX) mostly want the one-hot sequence (batch, length, 4), which can be differentiated.
"""

from __future__ import annotations

from typing import Any

import keras

from sfc_lib.errors import UserError
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.graphs import Copies, called, functional, named, rebuilt
from sfc_lib.nn.layers import OneHotDNA

CODES, ONE_HOT = "codes", "one_hot"  # names of the two inputs


def reads(model: keras.Model) -> str:
    """What a network reads: `"codes"`, (batch, length), or `"one_hot"`, (batch, length, 4).

    Raises:
        UserError: It has another input, or several.

    Example:

    >>> from sfc_lib import build_model
    >>> reads(build_model("simulated_tf", "sep", length=200, tasks=3))
    'codes'
    """
    return _reads(model, "reads")


def _reads(model: keras.Model, owner: str) -> str:
    shapes = [tuple(x.shape) for x in getattr(model, "inputs", None) or ()]
    if len(shapes) == 1 and shapes[0][2:] == (4,):
        return ONE_HOT
    if len(shapes) == 1 and len(shapes[0]) == 2 and _encoders(model):
        return CODES
    raise UserError(
        f"{owner}: expected a network of one input, codes (batch, length) into a OneHotDNA layer "
        f"or one-hot (batch, length, 4), got the inputs {shapes}."
    )


def _encoders(model: keras.Model) -> list[OneHotDNA]:
    return [layer for layer in model.layers if isinstance(layer, OneHotDNA)]


def with_one_hot(model: keras.Model) -> keras.Model:
    """The network with a one-hot input named `one_hot`; itself if it has one.

    Channels are A, C, G and T; an N is all zeros.

    Args:
        model: A network on codes, as `build_model` makes it, as loaded, or as folded.

    Returns:
        A copy with weights of its own, not compiled.

    Raises:
        UserError: As of `reads`; or another layer than OneHotDNA reads the codes too.

    Example:

    >>> from sfc_lib import build_model
    >>> with_one_hot(build_model("simulated_tf", "sep", length=200, tasks=3)).input_shape
    (None, 200, 4)
    """
    return model if _reads(model, "with_one_hot") == ONE_HOT else _rewired(model, ONE_HOT)


def with_codes(model: keras.Model) -> keras.Model:
    """The network with an input of uint8 codes named `codes`; itself if it has one.

    The inverse of `with_one_hot`, with the same arguments and errors.
    """
    return model if _reads(model, "with_codes") == CODES else _rewired(model, CODES)


def _rewired(model: keras.Model, name: str) -> keras.Model:
    length, copies = model.inputs[0].shape[1], Copies(f"with_{name}")
    if name == ONE_HOT:
        _require_only_encoders(model, copies.owner)
        inputs = encoded = keras.Input((length, 4), name=ONE_HOT)
    else:
        inputs = keras.Input((length,), dtype="uint8", name=CODES)
        encoded = OneHotDNA(name=ONE_HOT)(inputs)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, OneHotDNA):
            return encoded
        args = keras.tree.map_structure(lambda x: encoded if x is inputs else x, args)
        return copies.call(layer, *args, **kwargs)

    new = rebuilt(model, call, copies.owner, inputs=inputs)
    kind = SeparableModel if isinstance(model, SeparableModel) else keras.Model
    return called(kind(new.input, new.output, name=model.name))


def _require_only_encoders(model: keras.Model, owner: str) -> None:
    """A `UserError` for another layer that reads the codes: from one-hot it would not get them."""
    plain = functional(model, owner)
    for node in (node for depth in plain._nodes_by_depth.values() for node in depth):
        layer = node.operation
        if any(x is plain.inputs[0] for x in node.input_tensors) and type(layer) is not OneHotDNA:
            raise UserError(
                f"{owner}: {named(layer)} reads the codes too, which a one-hot input does not "
                "give; only OneHotDNA layers may."
            )
