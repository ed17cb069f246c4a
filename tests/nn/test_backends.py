"""The same weights and inputs give the same numbers in TensorFlow, JAX, torch and NumPy."""

import numpy as np
import pytest
from truth import expected_rows, kmer_gains, kmer_sums

from sfc_lib.nn.layers import FORMS

BACKENDS = ("tensorflow", "jax", "torch")
LENGTH, CHANNELS, UNITS, LIMIT = 7, 3, 4, 0.3
KMERS = ("scale", "places", "table", "bias")  # weights of a KmerRegression

# Runs in a process of its backend's own, because Keras chooses it once. `loss` is a function
# of the two weights alone, so that every backend can differentiate it in one line.
SCRIPT = (
    f"KMERS = {KMERS}"
    + """
import sys
import keras, numpy as np
from sfc_lib.nn.curvature import CurvatureConstraint
from sfc_lib.nn.layers import KmerRegression, OneHotDNA, SeparableFC
from sfc_lib.nn.curvature import Curvature

given, found = dict(np.load(sys.argv[1])), {}
backend = keras.backend.backend()
assert backend == sys.argv[3]

def gradients(loss, variables):
    if backend == "jax":
        import jax
        return jax.grad(loss)([variable.value for variable in variables])
    if backend == "torch":
        import torch
        values = [variable.value for variable in variables]
        return torch.autograd.grad(loss(values), values)
    import tensorflow as tf
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        total = loss(values)
    return tape.gradient(total, values)

for kind, symmetric in (("plain", False), ("symmetric", True)):
    layer = SeparableFC(4, symmetric=symmetric, positional_regularizer=Curvature(2.0))
    layer.build((None, 7, 3))
    layer.set_weights([given[f"{kind}_W_pos"], given["W_chan"]])

    def loss(values):
        y = layer.stateless_call(values, [], given["x"])[0]
        return keras.ops.sum(keras.ops.multiply(y, given["weighting"])) + Curvature(2.0)(values[0])

    found[f"{kind}_output"] = layer(given["x"])
    for form in ("kernel", "channels", "positions"):
        same = SeparableFC(4, symmetric=symmetric, form=form)
        same.build((None, 7, 3))
        same.set_weights(layer.get_weights())
        found[f"{kind}_{form}_output"] = same(given["x"])

        def other(values):
            y = same.stateless_call(values, [], given["x"])[0]
            loss = keras.ops.sum(keras.ops.multiply(y, given["weighting"]))
            return loss + Curvature(2.0)(values[0])

        for name, gradient in zip(("W_pos", "W_chan"), gradients(other, same.trainable_variables)):
            found[f"{kind}_{form}_gradient_{name}"] = gradient
    found[f"{kind}_penalty"] = layer.losses[0]
    names = ("W_pos", "W_chan")
    for name, gradient in zip(names, gradients(loss, layer.trainable_variables)):
        found[f"{kind}_gradient_{name}"] = gradient
    found[f"{kind}_constrained"] = CurvatureConstraint(0.3)(layer.W_pos)
found["one_hot"] = OneHotDNA()(given["codes"])

regression, rows = KmerRegression(3), keras.Variable(found["one_hot"])
regression.build([(None, 30, 4), (None, 1)])
regression.set_weights([given[name] for name in KMERS])

def total(values):
    return keras.ops.sum(regression([1 * values[0], given["logits"]]))

found["kmers"] = regression([found["one_hot"], given["logits"]])
found["kmers_gradient"], = gradients(total, [rows])
np.savez(sys.argv[2], **{name: keras.ops.convert_to_numpy(x) for name, x in found.items()})
"""
)


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    shapes = {
        "x": (5, LENGTH, CHANNELS),
        "plain_W_pos": (UNITS, LENGTH),
        "symmetric_W_pos": (UNITS, 4),
        "W_chan": (UNITS, CHANNELS),
        "weighting": (5, UNITS),
        **{"logits": (2, 1), "scale": (1,), "places": (28,), "table": (64, 1), "bias": (1,)},
    }
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return {**arrays, "codes": rng.integers(0, 5, size=(2, 30), dtype=np.uint8)}


def mirrored(stored):
    """The linear map from stored to whole positional weights, as a matrix."""
    whole = np.zeros((stored, LENGTH))
    for position in range(LENGTH):
        whole[min(position, LENGTH - 1 - position) if stored < LENGTH else position, position] = 1
    return whole


@pytest.fixture(scope="module")
def truth(given):
    """Everything the script computes, in NumPy and float64."""
    given = {name: array.astype(np.float64) for name, array in given.items()}
    x, w_chan, weighting = given["x"], given["W_chan"], given["weighting"]
    rows = (given["codes"][..., None] == np.arange(4)).astype(float)
    kmers = rows, [given[name] for name in KMERS], given["logits"]
    expected = {"one_hot": rows, "kmers": kmer_sums(*kmers), "kmers_gradient": kmer_gains(*kmers)}
    for kind in ("plain", "symmetric"):
        w_pos = given[f"{kind}_W_pos"]
        whole = mirrored(w_pos.shape[1])
        by_channel = np.einsum("blc,kc->bkl", x, w_chan)
        by_position = np.einsum("blc,kl->bkc", x, w_pos @ whole)
        second = np.diff(np.eye(w_pos.shape[1]), n=2, axis=0).T  # w_pos @ second: its differences
        bends = w_pos @ second
        penalty_gradient = 2.0 * np.sign(bends) @ second.T / bends.size
        expected |= {
            f"{kind}_output": np.einsum("bkl,kl->bk", by_channel, w_pos @ whole),
            f"{kind}_penalty": 2.0 * np.abs(bends).mean(),
            f"{kind}_gradient_W_pos": (
                np.einsum("bk,bkl->kl", weighting, by_channel) @ whole.T + penalty_gradient
            ),
            f"{kind}_gradient_W_chan": np.einsum("bk,bkc->kc", weighting, by_position),
            f"{kind}_constrained": expected_rows(w_pos, LIMIT),
        }
        for name in ("output", "gradient_W_pos", "gradient_W_chan"):  # whatever the form
            same = {f"{kind}_{form}_{name}": expected[f"{kind}_{name}"] for form in FORMS}
            expected |= same
    return expected


@pytest.fixture(scope="module")
def results(given, on_backend, tmp_path_factory):
    """Function that gives the arrays a backend computes; each backend runs once."""
    folder, known = tmp_path_factory.mktemp("backends"), {}
    np.savez(folder / "given.npz", **given)

    def run(backend):
        if backend not in known:
            output = folder / f"{backend}.npz"
            on_backend(backend, SCRIPT, folder / "given.npz", output, backend)
            known[backend] = dict(np.load(output))
        return known[backend]

    return run


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_agrees_with_numpy(backend, results, truth):
    found = results(backend)
    assert found.keys() == truth.keys()
    for name, expected in truth.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_backend_agrees_with_tensorflow(backend, results):
    found, expected = results(backend), results("tensorflow")
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
        assert found[name].dtype == expected[name].dtype, name
