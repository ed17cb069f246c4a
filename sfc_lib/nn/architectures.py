"""The paper's three networks, each without an SFC layer (std), with one (sep) or a symmetric one.

Source: paper, section 2.4, and the authors' public code where the text is silent. The
parameter totals that follow are tested. A fourth one, `compact`, is ours: for a user's own data,
which are mostly fewer than the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from sfc_lib.errors import UserError
from sfc_lib.nn.curvature import Curvature, CurvatureConstraint, nonnegative
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.layers import OneHotDNA, ReverseComplement, positive_integer
from sfc_lib.nn.readouts import (
    BEHIND,
    DENSE,
    SEPARABLE,
    Place,
    flat,
    separable_readout,
)

VARIANTS = ("std", "sep", "symm")
LAYOUT = "channels_last"  # whatever a user's Keras settings say


@dataclass(frozen=True)
class ConvBlock:
    """Valid convolution, optional batch normalisation, ReLU, optional max pooling."""

    filters: int
    kernel: int
    batch_norm: bool = True
    pool: int = 1
    stride: int = 1

    def output_length(self, length: int) -> int:
        return (length - self.kernel + 1 - self.pool) // self.stride + 1


@dataclass(frozen=True)
class Architecture:
    """Convolution blocks, then fully connected layers with ReLU and dropout.

    Without a hidden layer, `dropout` is the share of the last feature map that is dropped.
    """

    blocks: tuple[ConvBlock, ...]
    hidden: tuple[int, ...]
    dropout: float
    max_units: int | None = None  # SFC neurons the paper used where fewer than would match


ARCHITECTURES = {
    "simulated_tf": Architecture(
        blocks=(ConvBlock(50, 11, batch_norm=False), ConvBlock(50, 11, False, pool=10, stride=5)),
        hidden=(50,),
        dropout=0.5,
    ),
    "chip_seq": Architecture(
        blocks=(ConvBlock(32, 15), ConvBlock(32, 14), ConvBlock(32, 14, pool=40, stride=20)),
        hidden=(),
        dropout=0.0,
    ),
    "basset": Architecture(
        blocks=(
            ConvBlock(300, 19, pool=3, stride=3),
            ConvBlock(200, 11, pool=4, stride=4),
            ConvBlock(200, 7, pool=4, stride=4),
        ),
        hidden=(1000, 1000),
        dropout=0.3,
        max_units=1000,
    ),
    "compact": Architecture(
        blocks=(
            ConvBlock(64, 19, batch_norm=False, pool=3, stride=3),
            ConvBlock(64, 7, batch_norm=False, pool=4, stride=4),
        ),
        hidden=(),
        dropout=0.2,
    ),
}


def match_units(length: int, channels: int, outputs: int) -> int:
    """Most SFC neurons whose layer, with the FC behind it, has no more weights than the FC alone.

    The largest n with n·(length + channels + outputs) ≤ outputs·length·channels
    (paper, section 2.1).

    Args:
        length: Positions after the last pooling.
        channels: Channels after the last pooling.
        outputs: Neurons of the fully connected layer behind the SFC layer.

    Raises:
        ValueError: An argument is not an integer ≥ 1; a `UserError` if no n ≥ 1 fits.

    Example:

    >>> match_units(35, 50, 50)  # the paper's simulated-TF model
    648
    """
    for name, value in (("length", length), ("channels", channels), ("outputs", outputs)):
        positive_integer(value, "match_units", name)
    units = outputs * length * channels // (length + channels + outputs)
    if units < 1:
        raise UserError(
            f"match_units: no SFC layer has as few weights as a Dense of {outputs} outputs "
            f"on {length} positions x {channels} channels. Choose units yourself."
        )
    return units


def build_model(
    architecture: str,
    variant: str,
    *,
    length: int,
    tasks: int,
    units: int | None = None,
    width: float = 1.0,
    curvature: float = 0.0,
    initializer: str = "paper",
    dropout: float | None = None,
    precision: str = "float32",
    readout: str | None = None,
    limit: float | None = None,
    one_hot: bool = False,
    both_strands: bool = False,
    continuous: bool = False,
) -> keras.Model:
    """One of the paper's networks, not compiled, from base codes to probabilities.

    Input: uint8 codes (batch, length), or one-hot (batch, length, 4) if `one_hot`. Output:
    probabilities (batch, tasks). The
    layer named `logits` gives the same before the sigmoid, `one_hot` the encoded
    sequence, `sfc` is the SFC layer.

    Args:
        architecture: `"simulated_tf"`, `"chip_seq"`, `"basset"` or `"compact"`.
        variant: `"std"` (no SFC layer), `"sep"` (SFC) or `"symm"` (symmetric SFC).
        length: Sequence length in bp.
        tasks: Number of binary outputs.
        units: SFC neurons; by default `match_units`, at most 1000 for Basset.
        width: Factor on the number of filters, for small machines.
        curvature: Strength of curvature regularisation on `W_pos`.
        initializer: Passed to `SeparableFC`.
        dropout: Share of the hidden neurons dropped in training, from 0 to under 1; by default
            the architecture's own. The ChIP-seq network has no hidden layer, and none; of the
            compact one it is a share of the last feature map.
        precision: Keras dtype policy, e.g. `"mixed_bfloat16"`; the output stays float32.
        readout: What stands in place of flattening (a name of `sfc_lib.nn.readouts.DENSE`, for
            `std`) or of the SFC layer (one of `SEPARABLE`, for `sep` and `symm`).
        limit: Largest second difference of `W_pos`, a `CurvatureConstraint`; None for no limit.
        one_hot: Whether the input is the one-hot sequence, as other tools want it. A network
            on codes becomes one, or back, by `sfc_lib.nn.encoding`.
        both_strands: Whether the logits are the mean of those of the sequence and of its
            reverse complement, by the same weights, so that both are predicted alike. Such a
            network is trained as its `one_strand`.
        continuous: Whether it predicts values, not probabilities: the logits themselves.

    Raises:
        UserError: An unknown name, a length too short for the pooling, an option of the SFC
            layer given for `std`, or a readout that is not for the variant or architecture.

    Example:

    >>> build_model("simulated_tf", "sep", length=200, tasks=3).count_params()
    117483
    """
    shape = network_shape(architecture, length, tasks, width)
    if variant not in VARIANTS:
        raise UserError(f"build_model: variant must be one of {VARIANTS}, got {variant!r}.")
    of_layer = (units, curvature, initializer, limit)
    if variant == "std" and of_layer != (None, 0, "paper", None):
        raise UserError(
            "build_model: std has no SFC layer, so no units, curvature, initializer or limit."
        )
    net = ARCHITECTURES[architecture]
    _require_readout(readout, architecture, variant)
    rate = net.dropout if dropout is None else nonnegative(dropout, "build_model", "dropout")
    droppable = bool(net.hidden or net.dropout)
    if rate >= 1 or (rate and not droppable):
        expected = "under 1" if droppable else f"0, as {architecture} has no hidden layer"
        raise UserError(f"build_model: dropout must be {expected}, got {dropout!r}.")
    policy = {"dtype": precision}
    if one_hot:
        inputs = encoded = keras.Input((length, 4), name="one_hot")
    else:
        inputs = keras.Input((length,), dtype="uint8", name="codes")
        encoded = OneHotDNA(name="one_hot", **policy)(inputs)  # (batch, length, 4)
    x = encoded
    for number, (block, filters) in enumerate(zip(net.blocks, shape.filters, strict=True), 1):
        x = _convolve(x, block, filters, number, policy)
    if not net.hidden and net.dropout:
        x = layers.Dropout(rate, name="dropout", **policy)(x)
    sfc = {
        "units": units,
        "initializer": initializer,
        "positional_regularizer": Curvature(curvature) if curvature else None,
        "positional_constraint": None if limit is None else CurvatureConstraint(limit),
    }
    for layer in _readout(readout, variant, shape, policy, sfc):
        x = layer(x)  # each is built before the next is made: both draw seeds
    behind = BEHIND[readout](_place(shape)) if readout in BEHIND else {}
    for number, outputs in enumerate(net.hidden, 1):
        options = {"units": outputs, **(behind if number == 1 else {})}
        x = layers.Dense(**options, activation="relu", name=f"dense_{number}", **policy)(x)
        x = layers.Dropout(rate, name=f"dropout_{number}", **policy)(x)
    name = STRAND if both_strands else "logits"
    logits = layers.Dense(tasks, name=name, **policy)(x)
    outputs = predictions(continuous)(logits)
    network = keras.Model if variant == "std" else SeparableModel
    model = network(inputs, outputs, name=f"{architecture}_{variant}")
    return averaged(model) if both_strands else model


def predictions(continuous: bool) -> layers.Layer:
    """The last layer of a network: from logits to probabilities, or to values as they are."""
    kind, name = ("linear", "values") if continuous else ("sigmoid", "probabilities")
    return layers.Activation(kind, dtype="float32", name=name)


def predicts_values(model: keras.Model) -> bool:
    """Whether a network predicts values: its last layer leaves the logits as they are.

    Example:

    >>> predicts_values(build_model("compact", "symm", length=200, tasks=1, continuous=True))
    True
    """
    return model.layers[-1].name == "values"


STRAND = "strand_logits"  # the layer that gives the logits of one strand, where two are averaged


def one_strand(model: keras.Model) -> keras.Model:
    """The network that predicts for the sequence as it is, of the same layers and weights.

    That is the model itself unless it was built with `both_strands`. To train it costs half.

    Example:

    >>> model = build_model("compact", "symm", length=200, tasks=1, both_strands=True)
    >>> len(model.layers) - len(one_strand(model).layers)  # the other strand, and the mean
    2
    """
    if STRAND not in [layer.name for layer in model.layers]:
        return model
    logits, _ = model.get_layer("logits").input
    outputs = model.layers[-1](logits)
    return type(model)(model.input, outputs, name=model.name)


def averaged(model: keras.Model) -> keras.Model:
    """The inverse of `one_strand`: the network that averages both strands, of the same layers."""
    names = [layer.name for layer in model.layers]
    encoded = model.get_layer("one_hot").output
    first, last = names.index("one_hot") + 1, names.index(STRAND)
    body, policy = model.layers[first : last + 1], model.layers[last].dtype_policy.name
    reverse = ReverseComplement(name="other_strand", dtype=policy)(encoded)
    both = [model.layers[last].output, _through(body, reverse)]
    logits = layers.Average(name="logits", dtype=policy)(both)
    outputs = model.layers[-1](logits)
    return type(model)(model.input, outputs, name=model.name)


def _require_readout(readout: str | None, architecture: str, variant: str) -> None:
    choices = DENSE if variant == "std" else SEPARABLE
    if readout is not None and readout not in choices:
        raise UserError(
            f"build_model: readout of {variant} must be None or one of {tuple(choices)}, "
            f"got {readout!r}."
        )
    if readout in BEHIND and not ARCHITECTURES[architecture].hidden:
        raise UserError(
            f"build_model: readout {readout!r} needs a hidden layer, {architecture} has none."
        )


def _readout(
    readout: str | None, variant: str, shape: NetworkShape, policy: dict, sfc: dict
) -> list[layers.Layer]:
    """The layers between the last pooling and the Dense layers; `sfc`: options of the SFC one."""
    if variant == "std":
        return DENSE[readout](_place(shape), policy) if readout else [flat(policy)]
    units = shape.default_units if sfc["units"] is None else sfc["units"]
    options = {**sfc, "units": units, "symmetric": variant == "symm"}
    return separable_readout(readout, policy, **options)


@dataclass(frozen=True)
class NetworkShape:
    """What the SFC layer of a network sees, and what stands behind it."""

    length: int  # positions after the last pooling
    filters: tuple[int, ...]  # of each convolution; the last is the SFC layer's channels
    outputs: int  # neurons of the fully connected layer behind it
    max_units: int | None

    @property
    def default_units(self) -> int:
        """SFC neurons where none are asked for; a `UserError` where none would match."""
        units = match_units(self.length, self.filters[-1], self.outputs)
        return min(units, self.max_units or units)


def _place(shape: NetworkShape) -> Place:
    return Place(shape.length, shape.filters[-1], shape.outputs, shape.default_units)


def network_shape(architecture: str, length: int, tasks: int, width: float = 1.0) -> NetworkShape:
    """Shape of a network at its SFC layer, or a `UserError` that names what does not fit."""
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"build_model: architecture must be one of {tuple(ARCHITECTURES)}, "
            f"got {architecture!r}."
        )
    positive_integer(length, "build_model", "length")
    positive_integer(tasks, "build_model", "tasks")
    if nonnegative(width, "build_model", "width") == 0:
        raise UserError("build_model: width must be > 0, got 0.")
    net = ARCHITECTURES[architecture]
    filters = tuple(max(1, round(block.filters * width)) for block in net.blocks)
    pooled = _pooled_length(net, length)
    if pooled < 1:
        shortest = next(n for n in range(length + 1, 10_000) if _pooled_length(net, n) >= 1)
        raise UserError(
            f"build_model: {architecture} needs sequences of at least {shortest} bp, got {length}."
        )
    return NetworkShape(pooled, filters, net.hidden[0] if net.hidden else tasks, net.max_units)


def _pooled_length(net: Architecture, length: int) -> int:
    for block in net.blocks:
        length = block.output_length(length)
        if length < 1:
            return 0
    return length


def _through(body: list[layers.Layer], x):
    for layer in body:
        x = layer(x)
    return x


def _convolve(x, block: ConvBlock, filters: int, number: int, policy: dict):
    kernel = block.kernel
    x = layers.Conv1D(filters, kernel, data_format=LAYOUT, name=f"conv_{number}", **policy)(x)
    if block.batch_norm:
        x = layers.BatchNormalization(name=f"batch_norm_{number}", **policy)(x)
    x = layers.ReLU(name=f"relu_{number}", **policy)(x)
    if block.pool > 1:
        x = layers.MaxPooling1D(
            block.pool, block.stride, data_format=LAYOUT, name=f"pool_{number}", **policy
        )(x)
    return x
