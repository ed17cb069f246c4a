"""What the SFC layer is compared with: other ways from (length, channels) to a vector.

`READOUTS` names them. `build_model(..., readout=NAME)` puts one between the last pooling and
the Dense layer behind it, in place of flattening (variant std) or of the SFC layer (sep and
symm); all the rest of the network stays. They stand for the other reasons why an SFC layer
might help: parameters, depth, rank, smoothness, sign, the way it starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from sfc_lib.errors import UserError
from sfc_lib.nn.layers import SeparableFC, positive_integer

DEGREE = 3  # of the splines: cubic
KNOTS = 6  # of the readout "spline", ends included: 8 numbers for each neuron's positions
FLAT = {"data_format": "channels_last"}  # whatever a user's Keras settings say


@keras.saving.register_keras_serializable(package="sfc_lib")
class AttentionPooling(layers.Layer):
    """Mean over positions, weighted anew in each sequence, once for every neuron.

    `y[b, k] = Σ_l softmax_l(x[b, l] · query[k]) · (x[b, l] · value[k])`: positions count by
    what is there, not by where they are.

    Weights: `query` and `value`, each of shape (channels, units), `glorot_uniform`.

    Args:
        units: Number of neurons, an integer ≥ 1.

    Input shape: (batch, length, channels). Output shape: (batch, units).

    Raises:
        ValueError: Bad units, or an input that is not 3-D.

    Example:

    >>> AttentionPooling(4)(keras.ops.ones((2, 35, 50))).shape[1]
    4
    """

    def __init__(self, units: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = positive_integer(units, "AttentionPooling", "units")
        self.input_spec = layers.InputSpec(ndim=3)

    def build(self, input_shape) -> None:
        shape = (input_shape[-1], self.units)
        self.query = self.add_weight(name="query", shape=shape, initializer="glorot_uniform")
        self.value = self.add_weight(name="value", shape=shape, initializer="glorot_uniform")

    def call(self, inputs):
        attention = ops.softmax(ops.matmul(inputs, self.query), axis=1)  # (batch, length, units)
        return ops.sum(attention * ops.matmul(inputs, self.value), axis=1)

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], self.units)

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="sfc_lib")
class PositiveSeparableFC(SeparableFC):
    """SFC layer whose positional weights are positive and sum to one.

    `y[b, k] = Σ_l Σ_c x[b, l, c] · softmax_l(W_pos[k]) · W_chan[k, c]`: each neuron is a
    weighted mean over positions, whose sign is that of its channels alone.

    Args: those of `SeparableFC`.

    Example:

    >>> layer = PositiveSeparableFC(4)
    >>> layer(keras.ops.ones((2, 35, 50))).shape[1]
    4
    >>> round(float(keras.ops.sum(layer.positional_weights())), 5)
    4.0
    """

    def stored_weights(self):
        rows = ops.softmax(self.mirrored(ops.convert_to_tensor(self.W_pos)), axis=1)
        return rows[:, : self.W_pos.shape[1]]


@keras.saving.register_keras_serializable(package="sfc_lib")
class SplineSeparableFC(SeparableFC):
    """SFC layer whose positional weights are cubic splines: smooth because of their form.

    `W_pos` holds a number for each of the `knots` + 2 B-splines on evenly spaced knots, from
    the first stored position to the last.

    Args:
        units: Number of SFC neurons, an integer ≥ 1.
        knots: Knots, both ends included, an integer ≥ 2.
        **kwargs: Others of `SeparableFC`; the start "rank_one" is not for splines.

    Raises:
        ValueError: A bad argument, as in `SeparableFC`.

    Example:

    >>> layer = SplineSeparableFC(4, knots=6)
    >>> layer(keras.ops.ones((2, 35, 50))).shape[1], layer.W_pos.shape[1]
    (4, 8)
    """

    def __init__(self, units: int, knots: int = KNOTS, **kwargs) -> None:
        super().__init__(units, **kwargs)
        self.knots = positive_integer(knots, "SplineSeparableFC", "knots")
        if self.knots < 2 or self.initializer == "rank_one":
            raise ValueError(
                "SplineSeparableFC: expected knots >= 2 and another initializer than 'rank_one', "
                f"got {knots!r} and {self.initializer!r}."
            )

    def build(self, input_shape) -> None:
        super().build(input_shape)
        stored = -(-self.length // 2) if self.symmetric else self.length
        self.basis = spline_basis(stored, self.knots)

    def numbers(self, stored: int) -> int:
        return self.knots + DEGREE - 1

    def stored_weights(self):
        w_pos = ops.convert_to_tensor(self.W_pos)
        return ops.matmul(w_pos, ops.convert_to_tensor(self.basis, dtype=w_pos.dtype))

    def get_config(self) -> dict:
        return {**super().get_config(), "knots": self.knots}


def spline_basis(positions: int, knots: int) -> np.ndarray:
    """Values of cubic B-splines at evenly spaced positions: (knots + 2, positions), float64.

    They sum to one at every position.

    Example:

    >>> spline_basis(positions=5, knots=2)[0].tolist()  # (1 - x)³
    [1.0, 0.421875, 0.125, 0.015625, 0.0]
    """
    from scipy.interpolate import BSpline

    places = np.linspace(0, 1, positions)
    ends = [0.0] * DEGREE, [1.0] * DEGREE
    return (
        BSpline.design_matrix(
            places, np.concatenate([ends[0], np.linspace(0, 1, knots), ends[1]]), DEGREE
        )
        .toarray()
        .T
    )


@keras.saving.register_keras_serializable(package="sfc_lib")
class ShufflePositions(layers.Layer):
    """Put the positions into another order, always the same: neighbours are no longer so.

    `y[b, l, c] = x[b, order[l], c]`. A plain SFC layer behind it is none the worse, whereas
    symmetry and curvature lose their meaning.

    Args:
        seed: Of the order, an integer ≥ 0.

    Input and output shape: (batch, length, channels), the length known.

    Raises:
        ValueError: An input that is not 3-D.

    Example:

    >>> x = keras.ops.reshape(keras.ops.arange(3), (1, 3, 1))
    >>> sorted(int(value) for value in keras.ops.ravel(ShufflePositions(1)(x)))
    [0, 1, 2]
    """

    def __init__(self, seed: int = 0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.input_spec = layers.InputSpec(ndim=3)

    def call(self, inputs):
        order = np.random.default_rng(self.seed).permutation(inputs.shape[1])
        return ops.take(inputs, order, axis=1)

    def compute_output_shape(self, input_shape) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}


class Place(NamedTuple):
    """Where a readout stands.

    Attributes:
        length: Positions after the last pooling.
        channels: Channels there.
        outputs: Neurons of the Dense layer behind.
        units: SFC neurons of sep and symm at this place.
    """

    length: int
    channels: int
    outputs: int
    units: int

    @property
    def numbers(self) -> int:
        """Numbers that come in: length times channels."""
        return self.length * self.channels

    @property
    def fewest(self) -> int:
        """Weights of symm's layer and the Dense behind it, the fewest of the paper's three."""
        return self.units * (math.ceil(self.length / 2) + self.channels + self.outputs)


def flat(policy: dict) -> layers.Layer:
    """What std has in place of a readout."""
    return layers.Flatten(**FLAT, name="flatten", **policy)


def fewer_channels(place: Place, policy: dict) -> list[layers.Layer]:
    """Dense with no more weights than symm has, by fewer channels: a linear 1 x 1 convolution."""
    channels = _most(place.fewest, place.channels + place.length * place.outputs)
    thin = layers.Conv1D(channels, 1, use_bias=False, **FLAT, name="readout", **policy)
    return [thin, flat(policy)]


def bottleneck(place: Place, policy: dict) -> list[layers.Layer]:
    """Kernel of low rank, not separated: a linear Dense of the rank that matches std's weights."""
    rank = _most(place.outputs * place.numbers, place.numbers + place.outputs)
    return [flat(policy), layers.Dense(rank, use_bias=False, name="readout", **policy)]


def full_kernel(place: Place, policy: dict) -> list[layers.Layer]:
    """As many linear neurons as sep has, each with a whole kernel: sep's multiplications."""
    return [flat(policy), layers.Dense(place.units, use_bias=False, name="readout", **policy)]


def average_pooling(place: Place, policy: dict) -> list[layers.Layer]:
    """Mean over positions: where something is counts for nothing."""
    return [layers.GlobalAveragePooling1D(**FLAT, name="readout", **policy)]


def max_pooling(place: Place, policy: dict) -> list[layers.Layer]:
    """Largest value over positions: where something is counts for nothing, and how often."""
    return [layers.GlobalMaxPooling1D(**FLAT, name="readout", **policy)]


def attention(place: Place, policy: dict) -> list[layers.Layer]:
    """`AttentionPooling` of as many neurons as match std's weights."""
    cost = 2 * place.channels + place.outputs
    units = _most(place.outputs * place.numbers, cost)
    return [AttentionPooling(units, name="readout", **policy)]


def unchanged(place: Place, policy: dict) -> list[layers.Layer]:
    """Only flattened, as in std: the change is in the Dense layer behind."""
    return [flat(policy)]


def fewer_units(place: Place) -> dict[str, Any]:
    """A Dense layer behind that has no more weights than symm's two layers have."""
    return {"units": _most(place.fewest, place.numbers)}


def small_start(place: Place) -> dict[str, Any]:
    """A Dense kernel behind that starts with the variance of sep's two layers together.

    Var E = units · Var(W_pos) · Var(W_chan) · Var(V), of the paper's start and glorot_uniform.
    """
    outer = 2 / (9 * (place.numbers + place.units))
    variance = place.units * outer * 2 / (place.units + place.outputs)
    limit = (3 * variance) ** 0.5
    return {"kernel_initializer": keras.initializers.RandomUniform(-limit, limit)}


def _most(budget: int, cost: int) -> int:
    if budget < cost:
        raise UserError(f"build_model: no readout that costs {cost} weights a unit fits {budget}.")
    return budget // cost


DENSE: dict[str, Callable[[Place, dict], list[layers.Layer]]] = {  # in place of flattening
    "fewer_channels": fewer_channels,
    "fewer_units": unchanged,
    "full_kernel": full_kernel,
    "bottleneck": bottleneck,
    "average_pooling": average_pooling,
    "max_pooling": max_pooling,
    "attention": attention,
    "small_start": unchanged,
}
BEHIND = {"fewer_units": fewer_units, "small_start": small_start}  # changes of the Dense behind
SEPARABLE: dict[
    str, tuple[type[SeparableFC], Any, Any]
] = {  # an SFC layer all the same: its class, and what stands before and after it
    "spline": (SplineSeparableFC, None, None),
    "positive": (PositiveSeparableFC, None, None),
    "relu": (SeparableFC, None, layers.ReLU),
    "shuffled": (SeparableFC, ShufflePositions, None),
}
READOUTS = (*DENSE, *SEPARABLE)


def separable_readout(name: str | None, policy: dict, **options) -> list[layers.Layer]:
    """The layers of a readout of sep or symm, the one named sfc among them.

    Args:
        name: One of `SEPARABLE`, or None for the SFC layer alone.
        policy: `{"dtype": policy}` of every layer.
        **options: Those of `SeparableFC`.
    """
    kind, before, after = (SeparableFC, None, None) if name is None else SEPARABLE[name]
    return [
        *([before(name="shuffle", **policy)] if before else []),
        kind(**options, name="sfc", **policy),
        *([after(name="readout", **policy)] if after else []),
    ]


def multiplications(model: keras.Model) -> int:
    """Multiplications by which a network makes the prediction of one sequence.

    Every layer is counted as it is written: an SFC layer as units · length · channels, although
    in training it may be computed together with the Dense layer behind it
    (`sfc_lib.nn.folding`).

    Example:

    >>> inputs = keras.Input((35, 50))
    >>> multiplications(keras.Model(inputs, SeparableFC(648)(inputs)))
    1134000
    """
    return sum(map(_multiplications, model.layers))


def _multiplications(layer: layers.Layer) -> int:
    if isinstance(layer, SeparableFC):
        return layer.units * layer.length * layer.channels
    if isinstance(layer, AttentionPooling):
        length, channels = layer.input.shape[1:]
        return layer.units * length * (2 * channels + 1)
    if isinstance(layer, (layers.Conv1D, layers.Dense)):
        places = layer.output.shape[1:-1]
        return math.prod(layer.kernel.shape) * math.prod(places)
    return 0
