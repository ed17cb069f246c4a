"""SFC + Dense as one Dense: for inference as a model of its own, for training as a path.

Nothing nonlinear stands between the two, so together they are a Dense layer on the
flattened input with kernel E[l, c, j] = Σ_k W_pos[k, l] · W_chan[k, c] · V[k, j], where V is
the Dense kernel. With n SFC neurons before m outputs, computing E once a batch costs less
than n sums per example from B · (n − m) > n · m examples a batch on, never if n ≤ m.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

from sfc_lib.errors import UserError
from sfc_lib.nn.layers import USUAL_BATCH, SeparableFC, outer_products

Join = Callable[[SeparableFC, layers.Dense, keras.KerasTensor], keras.KerasTensor]


def fold_separable(model: keras.Model) -> keras.Model:
    """A copy of the model with each SFC layer and the Dense behind it replaced by one Dense.

    Its predictions are the same up to rounding, and cost what the same network without SFC
    layers costs. It is for inference: trained on, it is an ordinary Dense layer. A model
    without SFC layer is returned as it is.

    Args:
        model: A functional or sequential Keras model that has its weights.

    Returns:
        The folded model, not compiled, with weights of its own.

    Raises:
        UserError: The model is of another kind, or an SFC layer's output goes anywhere but
            into a Dense layer, for instance through an activation or a BatchNormalization.

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3)
    >>> fold_separable(model).count_params()  # that of std
    117503
    """
    plain = _functional(model)
    if not any(isinstance(layer, SeparableFC) for layer in plain.layers):
        return model
    originals: dict = {}  # by copy
    joined: list[tuple[SeparableFC, layers.Dense]] = []

    def copy(layer):
        original, copied = layer, type(layer).from_config(layer.get_config())
        originals[copied] = original
        return copied

    def one_dense(sfc, dense, x):
        joined.append((originals[sfc], dense))
        return dense(layers.Flatten(data_format="channels_last", dtype=sfc.dtype_policy)(x))

    folded = _joined(plain, copy, one_dense, _refuse)
    dense_layers = {dense for _, dense in joined}
    for copied, original in originals.items():
        if copied.weights and copied not in dense_layers:
            copied.set_weights(original.get_weights())
    for sfc, dense in joined:
        kernel, *bias = originals[dense].get_weights()
        weights = outer_products(sfc.positional_weights(), ops.convert_to_tensor(sfc.W_chan))
        merged = ops.matmul(ops.transpose(weights), ops.convert_to_tensor(kernel))
        dense.set_weights([merged, *bias])
    return folded


def _refuse(sfc: SeparableFC, follower: str) -> None:
    raise UserError(
        f"fold_separable: {sfc.name!r} is followed by {follower}, not by a Dense layer, so the "
        "two are not one Dense layer. Only SFC layers directly before a Dense can be folded."
    )


def _functional(model: keras.Model) -> keras.Model:
    """The model as a plain functional one, of the same layers."""
    if getattr(model, "inputs", None) is None:  # subclassed, or sequential and not yet built
        raise UserError(
            f"fold_separable: expected a functional or built sequential model, got {model!r}."
        )
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _joined(plain: keras.Model, layer_of: Callable, join: Join, alone: Callable) -> keras.Model:
    """The model on new inputs, with `join` called for each Dense behind an SFC layer.

    `alone` hears of every other use of an SFC layer's output.
    """
    waiting: dict[int, tuple] = {}  # SFC layer, its input and its output, by id of the latter

    def call(layer, *args, **kwargs):
        before = [waiting[id(x)] for x in keras.tree.flatten(args) if id(x) in waiting]
        if before and type(layer) is layers.Dense:  # a subclass may compute something else
            return join(before[0][0], layer, before[0][1])
        for sfc, *_ in before:
            alone(sfc, f"the layer {layer.name!r} ({type(layer).__name__})")
        y = layer(*args, **kwargs)
        if isinstance(layer, SeparableFC):
            waiting[id(y)] = layer, args[0], y
        return y

    rewritten = keras.models.clone_model(plain, clone_function=layer_of, call_function=call)
    for output in rewritten.outputs:
        if id(output) in waiting:
            alone(waiting[id(output)][0], "nothing: it is an output of the model")
    return rewritten


def collapse_pays(batch: int, units: int, outputs: int) -> bool:
    """Whether one collapsed kernel a batch costs less than an SFC layer and a Dense.

    Example:

    >>> collapse_pays(batch=100, units=648, outputs=50), collapse_pays(100, 1000, 1000)
    (True, False)
    """
    return batch * (units - outputs) > units * outputs


class CollapsedPair(layers.Layer):
    """An SFC layer and the Dense behind it, collapsed in each step where that pays.

    It has no weights of its own: `W_pos`, `W_chan` and the Dense kernel are trained as
    they would be one after the other, with the same gradients up to rounding.

    Args:
        sfc: The SFC layer, built.
        dense: The Dense layer behind it, built.
    """

    def __init__(self, sfc: SeparableFC, dense: layers.Dense) -> None:
        super().__init__(name=f"{sfc.name}_{dense.name}", dtype=dense.dtype_policy)
        self.sfc, self.dense = sfc, dense
        self.built = True

    def call(self, inputs):
        pays = collapse_pays(inputs.shape[0] or USUAL_BATCH, self.sfc.units, self.dense.units)
        if not pays or self.sfc.activity_regularizer or self.dense.activity_regularizer:
            return self.dense(self.sfc(inputs))  # such a penalty needs the layer's own output
        x = self.sfc.fold(inputs)  # (batch, stored, channels)
        weights = self.sfc.stored_weights(), self.sfc.W_chan, self.dense.kernel
        w_pos, w_chan, kernel = (ops.cast(w, self.compute_dtype) for w in weights)
        collapsed = ops.matmul(ops.transpose(outer_products(w_pos, w_chan)), kernel)
        y = ops.matmul(ops.reshape(x, (-1, collapsed.shape[0])), collapsed)
        if self.dense.use_bias:
            y = ops.add(y, ops.cast(self.dense.bias, self.compute_dtype))
        return self.dense.activation(y)

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], self.dense.units)


@keras.saving.register_keras_serializable(package="sfc_lib")
class SeparableModel(keras.Model):
    """A functional model that computes each SFC layer and its Dense collapsed where that pays.

    Layers, weights, gradients and what is saved are those of the same `keras.Model`; only
    fewer multiplications are done.

    Example:

    >>> inputs = keras.Input((35, 50))
    >>> SeparableModel(inputs, layers.Dense(50)(SeparableFC(648)(inputs))).count_params()
    87530
    """

    def __init__(self, inputs, outputs, name: str | None = None, **kwargs) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)
        fast = _joined(
            _functional(self),
            layer_of=lambda layer: layer,
            join=lambda sfc, dense, x: CollapsedPair(sfc, dense)(x),
            alone=lambda sfc, follower: None,  # it is computed as ever
        )
        self._fast: Callable = lambda: fast  # hidden from Keras, which would track it

    def call(self, inputs, training=None, mask=None):
        return self._fast()(inputs, training=training, mask=mask)
