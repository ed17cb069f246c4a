"""The separable fully connected (SFC) layer, and the one-hot input layer of the models."""

from __future__ import annotations

import operator

import keras
from keras import ops

from sfc_lib.nn.curvature import Curvature, CurvatureConstraint, require_length
from sfc_lib.nn.initializers import INITIALIZERS, factor_initializers

FOLD_FROM = 32  # neurons from which on folding a symmetric layer's input saves more than it costs
USUAL_BATCH = 128  # what counts as the batch where it is unknown, as when TensorFlow traces


@keras.saving.register_keras_serializable(package="sfc_lib")
class SeparableFC(keras.layers.Layer):
    """Fully connected layer whose weights are outer products of position and channel.

    `y[b, k] = Σ_l Σ_c x[b, l, c] · W_pos[k, l] · W_chan[k, c]` (paper, section 2.1).
    It stands between the last convolution or pooling and the fully connected layer,
    in place of flattening. It has no bias and no activation, so whatever it and the
    Dense layer behind it compute, a Dense layer alone could compute too.

    Weights: `W_pos`, shape (units, length), or (units, ceil(length / 2)) when
    symmetric; `W_chan`, shape (units, channels).

    Args:
        units: Number of SFC neurons, an integer ≥ 1.
        symmetric: Store only half of `W_pos` and mirror it around the centre.
        initializer: How both weights start, one of `INITIALIZERS`. `"paper"`: as the
            authors coded it, uniform in ±(2 / (L'·C + units))^¼ with L' the *stored*
            length; `"variance"`: so that the outer product has the variance of
            `glorot_uniform`, as the paper's text intends; the others are explained in
            `sfc_lib.nn.initializers.factor_initializers`.
        positional_regularizer: Keras regulariser of the stored `W_pos`, for
            example `Curvature(10.0)`.
        positional_constraint: Keras constraint of the stored `W_pos`, for example
            `CurvatureConstraint(0.1)`.
        form: How the sum is computed, one of `FORMS`; by default the one that
            `cheapest_form` expects to be fastest. All give the same up to rounding.

    Input shape: (batch, length, channels), length and channels known.
    Output shape: (batch, units).

    Raises:
        ValueError: A bad argument, an input that is not 3-D or of unknown length,
            or fewer stored positions than a curvature penalty or constraint needs.

    Example:

    >>> layer = SeparableFC(648, symmetric=True, positional_regularizer=Curvature(10.0))
    >>> layer(keras.ops.ones((2, 35, 50))).shape[1], layer.W_pos.shape[1]
    (648, 18)
    """

    def __init__(
        self,
        units: int,
        symmetric: bool = False,
        initializer: str = "paper",
        positional_regularizer=None,
        positional_constraint=None,
        form: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_integer(units, "SeparableFC", "units")
        if not isinstance(symmetric, bool):
            raise ValueError(f"SeparableFC: symmetric must be True or False, got {symmetric!r}.")
        if initializer not in INITIALIZERS:
            raise ValueError(
                f"SeparableFC: initializer must be one of {INITIALIZERS}, got {initializer!r}."
            )
        if form is not None and form not in FORMS:
            raise ValueError(
                f"SeparableFC: form must be None or one of {tuple(FORMS)}, got {form!r}."
            )
        self.symmetric, self.initializer, self.form = symmetric, initializer, form
        self.positional_regularizer = keras.regularizers.get(positional_regularizer)
        self.positional_constraint = keras.constraints.get(positional_constraint)

    def build(self, input_shape) -> None:
        length, channels = self._checked(input_shape)
        stored = -(-length // 2) if self.symmetric else length
        for part in (self.positional_regularizer, self.positional_constraint):
            if isinstance(part, (Curvature, CurvatureConstraint)):
                require_length(self.numbers(stored), part.min_length, type(part).__name__)
        starts = factor_initializers(self.initializer, self.units, length, channels, stored)
        self.W_pos = self.add_weight(
            name="W_pos",
            shape=(self.units, self.numbers(stored)),
            initializer=starts[0],
            regularizer=self.positional_regularizer,
            constraint=self.positional_constraint,
        )
        self.W_chan = self.add_weight(
            name="W_chan",
            shape=(self.units, channels),
            initializer=starts[1],
        )
        self.length, self.channels = length, channels
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={1: length, 2: channels})

    def call(self, inputs):
        if self.units < FOLD_FROM:
            x, w_pos = inputs, self.positional_weights()
        else:
            x, w_pos = self.fold(inputs), self.stored_weights()
        batch, length, channels = x.shape
        form = self.form or cheapest_form(batch or USUAL_BATCH, length, channels, self.units)
        return FORMS[form](x, w_pos, ops.convert_to_tensor(self.W_chan))

    def fold(self, inputs):
        """The input whose sum with the *stored* `W_pos` is the layer's output.

        For a symmetric layer that is x[l] + x[L − 1 − l], half the positions; for an odd
        length the centre is used once. Else it is the input itself.
        """
        half = self.length // 2
        if not self.symmetric or not half:
            return inputs
        bounds = sorted({half, self.length - half})
        left, *centre, right = ops.split(inputs, bounds, axis=1)
        return ops.concatenate([left + ops.flip(right, axis=1), *centre], axis=1)

    def positional_weights(self):
        """The whole `W_pos`, shape (units, length), mirrored if the layer is symmetric.

        For an odd length the centre is used once.
        """
        return self.mirrored(self.stored_weights())

    def stored_weights(self):
        """Weights of the stored positions, (units, stored): a subclass may derive them."""
        return ops.convert_to_tensor(self.W_pos)

    def numbers(self, stored: int) -> int:
        """Numbers kept of each neuron for so many stored positions: a subclass may need fewer."""
        return stored

    def mirrored(self, stored):
        """Rows over the whole length from those of the stored positions."""
        if not self.symmetric:
            return stored
        return ops.concatenate([stored, ops.flip(stored[:, : self.length // 2], axis=1)], axis=1)

    def compute_output_shape(self, input_shape) -> tuple:
        self._checked(input_shape)
        return (input_shape[0], self.units)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "units": self.units,
            "symmetric": self.symmetric,
            "initializer": self.initializer,
            "positional_regularizer": keras.regularizers.serialize(self.positional_regularizer),
            "positional_constraint": keras.constraints.serialize(self.positional_constraint),
            "form": self.form,
        }

    def _checked(self, input_shape) -> tuple[int, int]:
        """Length and channels of a 3-D input shape, or a `ValueError` that says what to do."""
        shape = tuple(input_shape)
        if len(shape) != 3:
            raise ValueError(
                f"SeparableFC expects a 3-D input (batch, length, channels), got shape {shape}. "
                "Put it in place of Flatten, directly behind the last convolution or pooling."
            )
        if None in shape[1:] or min(shape[1:]) < 1:
            raise ValueError(
                f"SeparableFC needs a known length and channel count >= 1, got shape {shape}. "
                "Give the model's Input a fixed length, long enough for its pooling."
            )
        return shape[1], shape[2]


def outer_products(w_pos, w_chan):
    """Every neuron's weights, w_pos[k, l] · w_chan[k, c], flat: (units, length · channels).

    As a batched matrix product, so that its gradients are such products too.
    """
    kernel = ops.matmul(w_pos[:, :, None], w_chan[:, None, :])
    return ops.reshape(kernel, (-1, kernel.shape[1] * kernel.shape[2]))


def _kernel_first(x, w_pos, w_chan):
    """Make the weights of the fully connected layer, as the authors do, and multiply."""
    flat = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
    return ops.matmul(flat, ops.transpose(outer_products(w_pos, w_chan)))


def _channels_first(x, w_pos, w_chan):
    """Sum over channels, then over positions."""
    summed = ops.matmul(ops.reshape(x, (-1, x.shape[2])), ops.transpose(w_chan))
    summed = ops.reshape(summed, (-1, x.shape[1], w_chan.shape[0]))  # (batch, length, units)
    return ops.sum(summed * ops.transpose(w_pos), axis=1)


def _positions_first(x, w_pos, w_chan):
    """Sum over positions, then over channels."""
    return _channels_first(ops.transpose(x, (0, 2, 1)), w_chan, w_pos)


FORMS = {"kernel": _kernel_first, "channels": _channels_first, "positions": _positions_first}


def cheapest_form(batch: int, length: int, channels: int, units: int) -> str:
    """The form of `FORMS` that should be fastest for these sizes.

    All forms multiply equally often; they differ in the numbers that stand in memory
    between their two steps, and the fewest win. The factors are fitted to steps timed with
    TensorFlow; that of "channels" is larger than the fit, since JAX is slower there. Of a
    symmetric layer whose input is folded, `length` is the stored half.

    Example:

    >>> cheapest_form(batch=100, length=35, channels=50, units=648)
    'kernel'
    >>> cheapest_form(batch=64, length=1000, channels=128, units=256)
    'positions'
    """
    numbers = {
        "kernel": units * length * channels,
        "channels": 1.6 * batch * units * length,
        "positions": batch * channels * (1.3 * units + 0.4 * length),  # x is transposed too
    }
    return min(numbers, key=lambda form: numbers[form])


@keras.saving.register_keras_serializable(package="sfc_lib")
class OneHotDNA(keras.layers.Layer):
    """Turn base codes into one-hot rows: A, C, G, T become unit vectors, N all zeros.

    Input shape: (batch, length), integer codes 0–3 for ACGT, 4 for N.
    Output shape: (batch, length, 4).

    Example:

    >>> OneHotDNA()(keras.ops.convert_to_tensor([[2, 4]], dtype="uint8")).shape[-1]
    4
    """

    def call(self, inputs):
        bases = ops.convert_to_tensor([0, 1, 2, 3], dtype="int32")
        codes = ops.cast(inputs, "int32")  # LiteRT aborts where bytes are compared
        return ops.cast(ops.equal(codes[:, :, None], bases), self.compute_dtype)

    def compute_output_shape(self, input_shape) -> tuple:
        return (*input_shape, 4)


@keras.saving.register_keras_serializable(package="sfc_lib")
class ReverseComplement(keras.layers.Layer):
    """One-hot rows of the opposite strand, read in its own direction; an N stays one.

    Both axes are flipped: positions, and A, C, G, T to T, G, C, A.

    Input and output shape: (batch, length, 4).

    Example:

    >>> ReverseComplement()(OneHotDNA()(keras.ops.array([[0, 1, 4]])))[0, 1].shape[0]
    4
    """

    def call(self, inputs):
        return ops.flip(inputs, axis=(1, 2))

    def compute_output_shape(self, input_shape) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable(package="sfc_lib")
class KmerRegression(keras.layers.Layer):
    """A network's logits and a regression on k-mers and where they stand, added.

    `y[b, t] = scale[t] · logits[b, t] + Σ_p positions[p] · table[kmer(b, p), t] + bias[t]`, where
    kmer(b, p) is the one that starts at position p, as base-4 digits of A, C, G, T; where a base
    of it is an N (zeros) there is none. Rows of the sequences are read as the base that is
    largest, and the gradient is that of the sum as a function linear in each row: exactly what
    another base there would change.

    Weights: `scale` (tasks,) and `positions` (length − k + 1,), at first ones; `table` (4^k, tasks)
    and `bias` (tasks,), zeros.

    Args:
        k: bp, an integer ≥ 1.

    Input shapes: one-hot sequences (batch, length, 4) and logits (batch, tasks).
    Output shape: (batch, tasks).

    Example:

    >>> layer = KmerRegression(k=2)
    >>> layer([keras.ops.ones((2, 9, 4)), keras.ops.ones((2, 3))]).shape[1], layer.table.shape[0]
    (3, 16)
    """

    def __init__(self, k: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.k = positive_integer(k, "KmerRegression", "k")

    def build(self, input_shape) -> None:
        (_, length, _), (_, tasks) = input_shape
        if length < self.k:
            raise ValueError(f"KmerRegression: {length} bp hold no k-mer of {self.k} bp.")
        self.scale = self.add_weight(name="scale", shape=(tasks,), initializer="ones")
        places = (length - self.k + 1,)
        self.positions = self.add_weight(name="positions", shape=places, initializer="ones")
        table = (4**self.k, tasks)
        self.table = self.add_weight(name="table", shape=table, initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(tasks,), initializer="zeros")

    def call(self, inputs):
        one_hot, logits = inputs
        places = self.positions.shape[0]
        bases = ops.cast(ops.argmax(one_hot, axis=2), "int32")  # (batch, length)
        unknown = ops.cast(ops.all(one_hot <= 0, axis=2), "int32")
        parts = [slice(place, place + places) for place in range(self.k)]
        digits = [bases[:, part] * 4**power for power, part in enumerate(reversed(parts))][::-1]
        kmers, missing = sum(digits), sum(unknown[:, part] for part in parts)

        def shares(missing):  # (batch, places, 1)
            positions = ops.cast(self.positions, self.compute_dtype)
            return ops.where(missing == 0, positions, 0)[:, :, None]

        found = ops.sum(ops.take(self.table, kmers, axis=0) * shares(missing), axis=1)
        table, slope = ops.stop_gradient(self.table), 0.0
        for place, part in enumerate(parts):
            others = (kmers - digits[place])[:, :, None] + 4 ** (self.k - 1 - place) * ops.arange(4)
            adds = ops.take(table, others, axis=0)  # (batch, places, 4, tasks)
            adds = ops.sum(adds * ops.expand_dims(one_hot[:, part], 3), axis=2)
            slope = slope + ops.sum(adds * shares(missing - unknown[:, part]), axis=1)
        slope = slope - ops.stop_gradient(slope)  # 0, with the gradient
        return logits * self.scale + found + slope + self.bias

    def compute_output_shape(self, input_shape) -> tuple:
        return tuple(input_shape[1])

    def get_config(self) -> dict:
        return {**super().get_config(), "k": self.k}


def positive_integer(value: int, owner: str, name: str) -> int:
    """`value` as an int if it is an integer ≥ 1, else a `ValueError` naming it."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{owner}: {name} must be an integer >= 1, got {value!r}.")
    return number
