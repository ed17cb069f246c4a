"""Networks of random weights whose predictions differ, and sequences, for tests with torch."""

import keras
import numpy as np
from keras import layers
from needs import need

from sfc_lib import build_model

torch = need("torch")


def lively(model, seed=0):
    """The model with batch norms that do something, and biases that are not zero."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif isinstance(layer, (layers.Dense, layers.Conv1D)) and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, 0.1 * rng.normal(size=bias.shape)])
    return model


def decided(model):
    """A network of `build_model` whose logits are spread around 0, so that predictions differ."""
    codes = sequences(model.input_shape[1])[0]
    outputs = model.get_layer("logits").output
    logits = keras.Model(model.input, outputs).predict_on_batch(codes)
    last = next(layer for layer in reversed(model.layers) if isinstance(layer, layers.Dense))
    kernel, bias = last.get_weights()
    spread = logits.std(axis=0)
    last.set_weights([kernel / spread, (bias - logits.mean(axis=0)) / spread])
    return model


def network(architecture="simulated_tf", variant="sep", length=200, **options):
    keras.utils.set_random_seed(1)
    options = {"length": length, "tasks": 3, "width": 0.1, **options}
    return decided(lively(build_model(architecture, variant, **options)))


def sequences(length, examples=9):
    """Codes, some of them N, and the same one-hot with channels first."""
    codes = np.random.default_rng(1).integers(0, 5, (examples, length), dtype=np.uint8)
    one_hot = (codes[:, None] == np.arange(4)[:, None]).astype("float32")
    return codes, torch.tensor(one_hot)
