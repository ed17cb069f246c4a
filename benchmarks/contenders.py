"""What is compared with the layer: the authors' form of it and fully connected layers.

Each contender is a small Keras model on the output of the convolutions, so that all are
called, differentiated and compiled in the same way, on every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.layers import FORMS, SeparableFC

Shape = tuple[int, int, int]  # length, channels, SFC neurons
AUTHORS, OURS = "authors' form", "ours"
DENSE, EQUAL = "Dense(n)", "Dense of equal parameters"
FIXED = {f"ours, {form} form": form for form in FORMS}


class AuthorsSeparableFC(SeparableFC):
    """The SFC layer computed as in the authors' code.

    The stored half is mirrored first when symmetric; then the weights of the fully
    connected layer are made by one broadcast product and multiplied with the flat input
    (kundajelab/keras, branch keras_1, SeparableFC).
    """

    def call(self, inputs):
        w_pos = self.positional_weights()
        kernel = w_pos[:, :, None] * ops.convert_to_tensor(self.W_chan)[:, None, :]
        size = self.length * self.channels
        flat = ops.reshape(inputs, (-1, size))
        return ops.matmul(flat, ops.transpose(ops.reshape(kernel, (-1, size))))


def network(contender: str, shape: Shape, symmetric: bool, outputs: int = 0) -> keras.Model:
    """A contender on an input of `shape`; with `outputs` neurons with ReLU behind it, if any.

    `DENSE` with outputs is the fully connected layer alone, as in std.
    """
    length, channels, units = shape
    inputs = keras.Input((length, channels))
    model: type[keras.Model] = SeparableModel
    if contender in (DENSE, EQUAL):
        x, model = layers.Flatten()(inputs), keras.Model
        equal = max(1, round(units * (length + channels) / (length * channels)))
        if not outputs:
            x = layers.Dense(units if contender == DENSE else equal, use_bias=False)(x)
    elif contender == AUTHORS:
        x, model = AuthorsSeparableFC(units, symmetric)(inputs), keras.Model
    else:
        x = SeparableFC(units, symmetric, form=FIXED.get(contender))(inputs)
    return model(inputs, layers.Dense(outputs, activation="relu")(x) if outputs else x)


def training_step(model: keras.Model, batch: int) -> Callable[[], Any]:
    """A function that computes the output and all gradients, by input and weights, once."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, *model.input_shape[1:])).astype(np.float32)
    dy = rng.normal(size=(batch, *model.output_shape[1:])).astype(np.float32)
    return _STEPS[keras.backend.backend()](model, x, dy)


def _tensorflow(model: keras.Model, x: np.ndarray, dy: np.ndarray) -> Callable[[], Any]:
    import tensorflow as tf

    # As in training, the number of examples is not known when the step is traced.
    signature = [tf.TensorSpec((None, *array.shape[1:])) for array in (x, dy)]
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(input_signature=signature)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            total = tf.reduce_sum(y * dy)
        return y, tape.gradient(total, [x, *weights])

    step.get_concrete_function()
    inputs = tf.constant(x), tf.constant(dy)
    return lambda: step(*inputs)


def _jax(model: keras.Model, x: np.ndarray, dy: np.ndarray) -> Callable[[], Any]:
    import jax

    weights = [variable.value for variable in model.trainable_variables]

    def loss(x, weights, dy):
        y = model.stateless_call(weights, [], x, training=True)[0]
        return (y * dy).sum(), y

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    inputs = jax.numpy.asarray(x), weights, jax.numpy.asarray(dy)
    return lambda: jax.block_until_ready(step(*inputs))


def _torch(model: keras.Model, x: np.ndarray, dy: np.ndarray) -> Callable[[], Any]:
    import torch

    inputs, above = torch.tensor(x, requires_grad=True), torch.tensor(dy)
    weights = [variable.value for variable in model.trainable_variables]

    def step():
        y = model(inputs, training=True)
        return y, torch.autograd.grad((y * above).sum(), [inputs, *weights])

    return step


_STEPS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
