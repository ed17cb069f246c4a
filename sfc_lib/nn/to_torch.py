"""Keras models as torch modules on one-hot sequences, for the tools that take only those.

Torch is imported where a model is converted, so that the verb can be named without it. The
module is a `torch.fx.GraphModule` of ordinary torch layers, named as the Keras layers are.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import keras
import numpy as np
from keras import layers, ops

from sfc_lib.errors import UserError
from sfc_lib.nn.folding import fold_separable
from sfc_lib.nn.graphs import Copies, free_name, named, rebuilt
from sfc_lib.nn.layers import KmerRegression, OneHotDNA, ReverseComplement, SeparableFC
from sfc_lib.nn.readouts import (
    AttentionPooling,
    PositiveSeparableFC,
    ShufflePositions,
    SplineSeparableFC,
)

if TYPE_CHECKING:
    import torch


def to_torch(model: keras.Model, folded: bool = False) -> torch.nn.Module:
    """The model as a torch module that takes one-hot sequences and predicts the same.

    A feature map is (batch, channels, length) in torch, so a sequence is (batch, 4, length),
    with A, C, G, T in this order and zeros for an N: what tangermeme, captum and bpnet-lite
    take. A model on base codes loses its `OneHotDNA` layer: that is now the caller's part.
    Attributions want logits: convert the model that ends there,
    `to_torch(keras.Model(model.input, model.get_layer("logits").output))`.

    Args:
        model: A functional or built sequential Keras model of the layers that `build_model`
            uses: any of its networks, and any that `sfc train` wrote.
        folded: Whether each SFC layer and the Dense behind it become one `nn.Linear`
            (`fold_separable`); else the layer is a `sfc_lib.nn.torch_layer.SeparableFC`.

    Returns:
        A module in eval mode, float32, with weights of its own. Several inputs are arguments in
        the order of `model.inputs`; outputs have the structure of the model's.

    Raises:
        UserError: torch is not installed; a subclassed model; a layer of another kind, or with
            an option that torch's has not, or an operation, by name; a tensor of more than three
            axes; an SFC layer that can't be folded.

    Example:

    >>> import torch
    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3, width=0.1)
    >>> to_torch(model, folded=True)(torch.zeros(2, 4, 200)).shape
    torch.Size([2, 3])
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            'to_torch: torch is not installed: pip install "sfc_lib[torch]".'
        ) from error
    module = _converted(fold_separable(model) if folded else model, torch)
    return module.float().eval()


def _converted(model: keras.Model, torch: Any) -> torch.nn.Module:
    """The model's graph, layer by layer in the order in which Keras calls them."""
    calls: list[tuple[layers.Layer, list, Any]] = []
    copies = Copies("to_torch")

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = keras.tree.flatten(args)
        _require_known(layer)  # before it is copied, which may fail
        _require_plain_call(layer, inputs, kwargs)
        y = copies.call(layer, *args, **kwargs)
        _require_plain_call(layer, [y], {})
        calls.append((layer, inputs, y))
        return y

    traced = rebuilt(model, call, "to_torch")
    graph, parts, nodes = torch.fx.Graph(), dict[str, Any](), {}
    empty = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    taken = {*keyword.kwlist, *dir(empty), "self"}
    codes = {id(x) for x in traced.inputs if keras.backend.is_int_dtype(x.dtype)}
    for x in traced.inputs:
        name = f"one_hot_{x.name}" if id(x) in codes else x.name
        node = graph.placeholder(_legal(name, taken))  # torch.fx's word for an input
        node.target = node.name  # which torch.fx may have changed
        nodes[id(x)] = node
    names = {(id(layer), 0): layer.name for layer, _, _ in calls}  # of each layer's steps
    names = {step: _legal(name, taken) for step, name in names.items()}
    for layer, inputs, y in calls:
        if codes & {id(x) for x in inputs} and type(layer) is not OneHotDNA:
            _refuse(layer, "it takes integers, which only OneHotDNA may")
        found = tuple(nodes[id(x)] for x in inputs)
        for number, step in enumerate(_steps(layer, inputs[0].shape, torch)):
            if isinstance(step, torch.nn.Module):
                if (id(layer), number) not in names:
                    name = f"{layer.name}_{type(step).__name__.lower()}"
                    names[id(layer), number] = _legal(name, taken)
                name = names[id(layer), number]
                parts.setdefault(name, step)
                found = (graph.call_module(name, found),)
            else:
                function, *constants = step
                found = (graph.call_function(function, (*found, *constants)),)
        nodes[id(y)] = found[0]
    graph.output(keras.tree.map_structure(lambda y: nodes[id(y)], traced.output))
    return torch.fx.GraphModule(parts, graph, class_name=_legal(model.name, set()))


def _steps(layer: layers.Layer, shape: tuple, torch: Any) -> list[Any]:
    """What a layer becomes: torch modules, and functions as tuples with their constants."""
    if isinstance(layer, keras.Model):
        return [_converted(layer, torch)]
    steps = STEPS[type(layer)](layer, shape, torch)
    activation = getattr(layer, "activation", None)
    return steps + (_activation(layer, torch) if activation is not None else [])


def _convolution(layer: layers.Conv1D, shape: tuple, torch: Any) -> list[Any]:
    (stride,), (dilation,) = layer.strides, layer.dilation_rate
    if layer.padding == "causal" or (layer.padding == "same" and stride > 1):
        _refuse(layer, f"its padding is {layer.padding!r}, with strides of {stride}")
    kernel = _array(layer.kernel).transpose(2, 1, 0)  # (filters, channels a group, positions)
    module = torch.nn.Conv1d(
        in_channels=shape[-1],
        out_channels=len(kernel),
        kernel_size=kernel.shape[2],
        stride=stride,
        padding=layer.padding,
        dilation=dilation,
        groups=layer.groups,
        bias=layer.use_bias,
    )
    return [_loaded(module, torch, weight=kernel, bias=layer.bias)]


def _dense(layer: layers.Dense, shape: tuple, torch: Any) -> list[Any]:
    kernel = _array(layer.kernel).T  # (units, channels)
    if len(shape) == 2:
        module = torch.nn.Linear(*kernel.shape[::-1], bias=layer.use_bias)
    else:  # along the channels of each position
        kernel = kernel[:, :, None]
        module = torch.nn.Conv1d(kernel.shape[1], len(kernel), 1, bias=layer.use_bias)
    return [_loaded(module, torch, weight=kernel, bias=layer.bias)]


def _batch_norm(layer: layers.BatchNormalization, shape: tuple, torch: Any) -> list[Any]:
    if layer.axis not in (-1, len(shape) - 1):
        _refuse(layer, f"it normalises along axis {layer.axis}, not along channels")
    module = torch.nn.BatchNorm1d(shape[-1], layer.epsilon, 1 - layer.momentum)
    moments = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
    gamma = layer.gamma if layer.scale else ops.ones(shape[-1])
    beta = layer.beta if layer.center else ops.zeros(shape[-1])
    return [_loaded(module, torch, weight=gamma, bias=beta, num_batches_tracked=0, **moments)]


def _separable(layer: SeparableFC, shape: tuple, torch: Any) -> list[Any]:
    from sfc_lib.nn.torch_layer import SeparableFC as Twin

    shape = layer.units, layer.length, layer.channels
    module = Twin(*shape, symmetric=layer.symmetric, channels_first=True)
    return [_loaded(module, torch, W_pos=layer.stored_weights(), W_chan=layer.W_chan)]


def _regression(layer: KmerRegression, shape: tuple, torch: Any) -> list[Any]:
    from sfc_lib.nn.torch_layer import KmerRegression as Twin

    module = Twin(layer.k, layer.positions.shape[0], layer.table.shape[1])
    names = "scale", "positions", "table", "bias"
    return [_loaded(module, torch, **{name: getattr(layer, name) for name in names})]


def _attention(layer: AttentionPooling, shape: tuple, torch: Any) -> list[Any]:
    both = _array(ops.concatenate([layer.query, layer.value], axis=1)).T[:, :, None]
    module = torch.nn.Conv1d(shape[-1], len(both), 1, bias=False)
    return [_loaded(module, torch, weight=both), (attended,)]


def _max_pooling(layer: layers.MaxPooling1D, shape: tuple, torch: Any) -> list[Any]:
    (size,), (stride,) = layer.pool_size, layer.strides
    if layer.padding != "valid":
        _refuse(layer, f"its padding is {layer.padding!r}")
    return [torch.nn.MaxPool1d(size, stride)]


def _relu(layer: layers.ReLU, shape: tuple, torch: Any) -> list[Any]:
    if layer.max_value is not None or layer.threshold:
        _refuse(layer, "it has a maximum or a threshold")
    slope = float(layer.negative_slope)
    return [torch.nn.LeakyReLU(slope) if slope else torch.nn.ReLU()]


def _reshape(layer: layers.Reshape, shape: tuple, torch: Any) -> list[Any]:
    first = [(flattened,)] if len(shape) == 3 else []
    return first + ([(as_map, *layer.target_shape)] if len(layer.target_shape) == 2 else [])


def _pooled(layer: layers.Layer, module: Any, torch: Any) -> list[Any]:
    if layer.keepdims:
        _refuse(layer, "it keeps the dimension of positions")
    return [module, torch.nn.Flatten()]


def _activation(layer: layers.Layer, torch: Any) -> list[Any]:
    if layer.activation is keras.activations.linear:
        return []
    kind, options = ACTIVATIONS[layer.activation.__name__]
    return [getattr(torch.nn, kind)(**options)]


ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {  # Keras's, and torch's with its options
    "relu": ("ReLU", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softmax": ("Softmax", {"dim": 1}),  # Keras's last axis: channels
    "softplus": ("Softplus", {}),
    "elu": ("ELU", {}),
    "gelu": ("GELU", {}),
    "silu": ("SiLU", {}),
}
STEPS: dict[type, Callable[[Any, tuple, Any], list[Any]]] = {
    layers.Activation: lambda layer, shape, torch: [],
    AttentionPooling: _attention,
    layers.Average: lambda layer, shape, torch: [(averaged,)],
    layers.BatchNormalization: _batch_norm,
    layers.Conv1D: _convolution,
    layers.Dense: _dense,
    layers.Dropout: lambda layer, shape, torch: [torch.nn.Dropout(layer.rate)],
    layers.Flatten: lambda layer, shape, torch: [(flattened,)] if len(shape) == 3 else [],
    layers.GlobalAveragePooling1D: lambda layer, shape, torch: _pooled(
        layer, torch.nn.AdaptiveAvgPool1d(1), torch
    ),
    layers.GlobalMaxPooling1D: lambda layer, shape, torch: _pooled(
        layer, torch.nn.MaxPool1d(shape[1]) if shape[1] else torch.nn.AdaptiveMaxPool1d(1), torch
    ),
    KmerRegression: _regression,
    layers.MaxPooling1D: _max_pooling,
    OneHotDNA: lambda layer, shape, torch: [],
    layers.Permute: lambda layer, shape, torch: [(turned,)] if layer.dims == (2, 1) else [],
    PositiveSeparableFC: _separable,
    layers.ReLU: _relu,
    layers.Reshape: _reshape,
    ReverseComplement: lambda layer, shape, torch: [(reverse_complemented,)],
    SeparableFC: _separable,
    ShufflePositions: lambda layer, shape, torch: [(shuffled, layer.seed)],
    SplineSeparableFC: _separable,
}


def _require_known(layer: layers.Layer) -> None:
    if getattr(layer, "quantization_mode", None):
        _refuse(layer, "it is quantised")
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", repr(activation))
    known = [None, *map(keras.activations.get, (*ACTIVATIONS, "linear"))]
    if activation not in known:
        _refuse(layer, f"its activation is {name!r}, not one of {(*ACTIVATIONS, 'linear')}")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        _refuse(layer, "its channels come first")
    if isinstance(layer, keras.Model):
        if not isinstance(getattr(layer, "output", None), keras.KerasTensor):
            _refuse(layer, "it is subclassed, or has several outputs")
    elif type(layer) not in (*STEPS, layers.InputLayer):  # a subclass may compute something else
        kinds = sorted(kind.__name__ for kind in STEPS)
        _refuse(layer, f"expected only layers of the kinds {', '.join(kinds)}")


def _require_plain_call(layer: Any, tensors: list, options: dict[str, Any]) -> None:
    """A `UserError` where a layer takes or makes anything but vectors and maps."""
    for name, value in options.items():
        if value is not None and value is not False:
            _refuse(layer, f"it is called with {name}={value}")
    for x in tensors:
        if not isinstance(x, keras.KerasTensor):
            _refuse(layer, "it takes numbers that are none of the model's tensors")
        if len(x.shape) > 3:
            _refuse(layer, f"{x.shape[1:]} is no map (length, channels)")


def _refuse(layer: Any, why: str) -> NoReturn:
    raise UserError(f"to_torch: {named(layer)} has no counterpart: {why}.")


def _legal(name: str, taken: set[str]) -> str:
    """A name like this one that Python allows and nothing has; from now on it is taken."""
    return free_name(re.sub(r"\W|^(?=\d)", "_", name), taken)


def _array(weights: Any) -> np.ndarray:
    return ops.convert_to_numpy(weights).astype("float32")


def _loaded(module: Any, torch: Any, **weights: Any) -> Any:
    """The module with these weights; those that are None it must not have."""
    given = {name: _array(value) for name, value in weights.items() if value is not None}
    module.load_state_dict({name: torch.tensor(value) for name, value in given.items()})
    return module


# What has no module of torch's own. Maps are (batch, channels, length).


def averaged(*x: torch.Tensor) -> torch.Tensor:
    """The mean of several tensors of one shape."""
    return sum(x[1:], start=x[0]) / len(x)


def reverse_complemented(x: torch.Tensor) -> torch.Tensor:
    """One-hot sequences of the opposite strand."""
    return x.flip((1, 2))


def flattened(x: torch.Tensor) -> torch.Tensor:
    """A map as Keras flattens it: position by position."""
    return x.transpose(1, 2).flatten(1)


def as_map(x: torch.Tensor, length: int, channels: int) -> torch.Tensor:
    """A vector as the map that Keras would flatten to it."""
    return x.unflatten(1, (length, channels)).transpose(1, 2)


def turned(x: torch.Tensor) -> torch.Tensor:
    """A map whose positions and channels change places."""
    return x.transpose(1, 2)


def attended(x: torch.Tensor) -> torch.Tensor:
    """Mean of the second half of the channels, weighted by the softmax of the first one."""
    scores, values = x.chunk(2, dim=1)
    return (scores.softmax(2) * values).sum(2)


def shuffled(x: torch.Tensor, seed: int) -> torch.Tensor:
    """A map with its positions in the order that `ShufflePositions` takes."""
    return x[:, :, np.random.default_rng(seed).permutation(x.shape[2])]
