"""What the SFC layer is compared with: numeric truth, sizes, saving, training, three backends."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import tiny

import sfc_lib
from sfc_lib.datasets.base import load_dataset
from sfc_lib.errors import UserError
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.curvature import CurvatureConstraint
from sfc_lib.nn.folding import fold_separable
from sfc_lib.nn.gradients import gradient_times_input
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.nn.readouts import (
    DENSE,
    READOUTS,
    SEPARABLE,
    AttentionPooling,
    PositiveSeparableFC,
    ShufflePositions,
    SplineSeparableFC,
    multiplications,
    spline_basis,
)
from sfc_lib.runs.model_file import load_model, save_model
from sfc_lib.runs.store import verify_record
from sfc_lib.runs.training import train_run

ALL = [("std", name) for name in DENSE] + [
    (variant, name) for variant in ("sep", "symm") for name in SEPARABLE
]
LAYERS = {  # by name, with options that are not the defaults
    "attention": lambda: AttentionPooling(4),
    "positive": lambda: PositiveSeparableFC(4),
    "positive symmetric": lambda: PositiveSeparableFC(40, symmetric=True),
    "spline": lambda: SplineSeparableFC(4, knots=3),
    "spline symmetric": lambda: SplineSeparableFC(40, knots=2, symmetric=True),
    "shuffle": lambda: ShufflePositions(3),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)
EVERY_READOUT = pytest.mark.parametrize(("variant", "readout"), ALL)


def built(name, length=7, channels=3, dtype="float32"):
    """A layer with normally distributed weights, and an input."""
    rng = np.random.default_rng(0)
    layer = LAYERS[name]()
    layer.dtype_policy = dtype
    layer.build((None, length, channels))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer, rng.normal(size=(5, length, channels)).astype(dtype)


def paper(variant, readout=None, **options):
    """The paper's simulated-TF network with a readout."""
    keras.utils.set_random_seed(0)
    return build_model("simulated_tf", variant, length=200, tasks=3, readout=readout, **options)


def small(variant, readout, **options):
    return paper(variant, readout, width=0.1, **options)


def codes(examples=6):
    return np.random.default_rng(0).integers(0, 5, size=(examples, 200), dtype=np.uint8)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def rows(stored, length):
    """Stored positional weights over the whole length."""
    if stored.shape[1] == length:
        return stored
    return stored[:, [min(place, length - 1 - place) for place in range(length)]]


# The layers by plain NumPy


def test_attention_is_a_mean_weighted_by_what_is_there():
    layer, x = built("attention")
    query, value = layer.get_weights()
    expected = (softmax(x @ query, axis=1) * (x @ value)).sum(axis=1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    order = np.random.default_rng(1).permutation(x.shape[1])
    np.testing.assert_allclose(layer(x[:, order]), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [6, 7])
@pytest.mark.parametrize("name", ["positive", "positive symmetric"])
def test_positive_weights_are_a_mean_over_positions(name, length):
    layer, x = built(name, length)
    stored, w_chan = layer.get_weights()
    w_pos = softmax(rows(stored, length), axis=1)
    np.testing.assert_allclose(layer.positional_weights(), w_pos, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.positional_weights()).sum(axis=1), 1, rtol=1e-5)
    expected = np.einsum("blc,kl,kc->bk", x, w_pos, w_chan)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def cox_de_boor(x, knots, degree, index):
    """B-spline number `index` at one place, by the recursion that defines it."""
    if degree == 0:
        last = x == knots[-1] and knots[index] < knots[index + 1] == knots[-1]
        return float(knots[index] <= x < knots[index + 1] or last)
    total = 0.0
    for start, sign in ((index, 1), (index + 1, -1)):
        width = knots[start + degree] - knots[start]
        if width:
            share = (x - knots[start]) / width if sign == 1 else (knots[start + degree] - x) / width
            total += share * cox_de_boor(x, knots, degree - 1, start)
    return total


@pytest.mark.parametrize("knots", [2, 3, 6])
def test_spline_basis_is_that_of_cox_and_de_boor(knots):
    found = spline_basis(9, knots)
    places = np.array([0.0] * 3 + np.linspace(0, 1, knots).tolist() + [1.0] * 3)
    expected = [
        [cox_de_boor(x, places, 3, i) for x in np.linspace(0, 1, 9)] for i in range(knots + 2)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), 1)


@pytest.mark.parametrize("length", [6, 7])
@pytest.mark.parametrize("name", ["spline", "spline symmetric"])
def test_spline_layer_is_an_sfc_layer_with_smooth_rows(name, length):
    layer, x = built(name, length)
    stored, w_chan = layer.get_weights()
    places = (length + 1) // 2 if layer.symmetric else length
    w_pos = rows(stored @ spline_basis(places, layer.knots), length)
    np.testing.assert_allclose(layer.positional_weights(), w_pos, rtol=1e-4, atol=1e-5)
    expected = np.einsum("blc,kl,kc->bk", x, w_pos, w_chan)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_spline_refuses_what_it_cannot_be():
    with pytest.raises(ValueError, match=r"expected knots >= 2 .*, got 1 and 'paper'"):
        SplineSeparableFC(3, knots=1)
    with pytest.raises(ValueError, match=r"another initializer than 'rank_one', got 6 and 'rank"):
        SplineSeparableFC(3, initializer="rank_one")


def test_shuffle_is_one_permutation_whatever_the_sequence():
    layer, x = built("shuffle")
    order = np.random.default_rng(3).permutation(7)
    assert np.array_equal(layer(x), x[:, order])
    assert sorted(order.tolist()) == list(range(7)) != order.tolist()
    assert not np.array_equal(layer(x), ShufflePositions(4)(x))


@EVERY_LAYER
def test_gradients_are_central_differences(name):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("differentiates with tf.GradientTape")
    import tensorflow as tf

    layer, x = built(name, dtype="float64")
    x = tf.Variable(x)
    weighting = np.random.default_rng(1).normal(size=layer(x).shape)
    variables = [x, *(weight.value for weight in layer.weights)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2 * weighting)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        centre, step = variable.numpy(), 1e-5
        for index in list(np.ndindex(centre.shape))[::5]:
            ends = []
            for sign in (1, -1):
                moved = centre.copy()
                moved[index] += sign * step
                variable.assign(moved)
                ends.append(float(tf.reduce_sum(layer(x) ** 2 * weighting)))
            variable.assign(centre)
            difference = (ends[0] - ends[1]) / (2 * step)
            assert gradient.numpy()[index] == pytest.approx(difference, rel=1e-5, abs=1e-7)


# The networks


@EVERY_READOUT
def test_no_readout_has_more_parameters_than_std_except_the_whole_kernel(variant, readout):
    model, most = paper(variant, readout), 117_503
    if readout == "full_kernel":
        assert model.count_params() == most - 50 * 1750 + 648 * (1750 + 50)
        assert multiplications(model) == multiplications(paper("sep"))
    else:
        assert model.count_params() <= most
    if readout in ("fewer_channels", "fewer_units"):
        assert 0.98 * 106_467 < model.count_params() <= 106_467
    if readout in ("bottleneck", "attention"):
        assert 0.99 * most < model.count_params()


def test_multiplications_are_counted_by_hand():
    convolutions = 190 * 50 * 11 * 4 + 180 * 50 * 11 * 50
    assert multiplications(paper("std")) == convolutions + 1750 * 50 + 50 * 3
    assert multiplications(paper("symm")) == convolutions + 648 * 1750 + 648 * 50 + 50 * 3
    thin = 35 * 50 * 42 + 35 * 42 * 50
    assert multiplications(paper("std", "fewer_channels")) == convolutions + thin + 50 * 3
    attention = 583 * 35 * (2 * 50 + 1) + 583 * 50
    assert multiplications(paper("std", "attention")) == convolutions + attention + 50 * 3


def test_small_start_has_the_variance_of_seps_two_layers_together():
    sep = paper("sep")
    w_pos, w_chan = sep.get_layer("sfc").get_weights()
    kernel = np.einsum("kl,kc,km->lcm", w_pos, w_chan, sep.get_layer("dense_1").get_weights()[0])
    found = paper("std", "small_start").get_layer("dense_1").get_weights()[0]
    assert found.var() == pytest.approx(kernel.var(), rel=0.05)
    assert found.var() < paper("std").get_layer("dense_1").get_weights()[0].var() / 5


@pytest.mark.parametrize("readout", ["average_pooling", "max_pooling", "attention"])
def test_pooling_does_not_care_for_positions_behind_the_convolutions(readout):
    model = small("std", readout)
    head = keras.Model(model.get_layer("pool_2").output, model.output)
    x = np.random.default_rng(0).uniform(size=(4, *head.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(head(x), head(x[:, ::-1]), rtol=1e-5)


def test_shuffled_symm_is_not_symmetric_any_more():
    for readout, same in ((None, True), ("shuffled", False)):
        model = small("symm", readout)
        head = keras.Model(model.get_layer("pool_2").output, model.output)
        x = np.random.default_rng(0).uniform(size=(4, *head.input_shape[1:])).astype("float32")
        assert np.allclose(head(x), head(x[:, ::-1]), rtol=1e-5) == same


def test_relu_stands_between_the_sfc_layer_and_the_dense_layer():
    model = small("sep", "relu")
    after = keras.Model(model.input, model.get_layer("readout").output)(codes())
    before = keras.Model(model.input, model.get_layer("sfc").output)(codes())
    assert np.array_equal(after, np.maximum(before, 0))
    assert (np.asarray(before) < 0).any()
    with pytest.raises(UserError, match="followed by the layer 'readout'"):
        fold_separable(model)


@pytest.mark.parametrize("variant", ["sep", "symm"])
@pytest.mark.parametrize("readout", ["spline", "positive", "shuffled"])
def test_folded_readout_predicts_the_same(variant, readout):
    model = small(variant, readout)
    np.testing.assert_allclose(fold_separable(model)(codes()), model(codes()), rtol=1e-4)


@pytest.mark.parametrize("readout", ["spline", "positive"])
def test_both_ways_of_training_compute_the_same(readout):
    """The pair collapses where the batch is large, and not where it is 1."""
    model = paper("sep", readout)
    many = model(codes(100))
    one = np.concatenate([model(codes(100)[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(many[:3], one, rtol=1e-4)


@EVERY_READOUT
def test_readout_is_read_back_and_known_to_be_harmless(variant, readout, tmp_path):
    model = small(variant, readout)
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded(codes()), model(codes()))
    assert loaded.to_json() == model.to_json()


@EVERY_LAYER
def test_layer_comes_back_from_its_config(name):
    layer, x = built(name)
    again = type(layer).from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x), layer(x))
    assert layer.compute_output_shape(x.shape) == tuple(layer(x).shape)


@pytest.mark.parametrize("name", ["attention", "shuffle"])
def test_flat_input_is_refused(name):
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        LAYERS[name]()(np.ones((2, 6)))


@pytest.mark.parametrize("units", [0, 1.5])
def test_bad_units_of_attention_are_named(units):
    with pytest.raises(ValueError, match=rf"AttentionPooling: units .* >= 1, got {units}\."):
        AttentionPooling(units)


@EVERY_READOUT
def test_one_epoch_moves_every_weight(variant, readout, tmp_path):
    spec = tiny(variant=variant, readout=readout, epochs=1, width=0.1)
    train_run(spec, tmp_path / spec.id)
    record = verify_record(tmp_path / spec.id)
    assert not record.diverged
    assert ("W_pos.npy" in record.result["files"]) == (variant != "std")
    data = load_dataset("simulated_tf", **spec.dataset_options)
    from sfc_lib.runs.training import compiled_model

    start = compiled_model(spec, data).get_weights()
    moved = [
        not np.array_equal(a, b) for a, b in zip(start, record.model().get_weights(), strict=True)
    ]
    assert all(moved)


def test_readout_must_fit_the_variant_and_the_architecture():
    with pytest.raises(UserError, match=r"readout of std must be None or .*, got 'spline'"):
        small("std", "spline")
    with pytest.raises(UserError, match=r"readout of symm must be None or .*, got 'bottleneck'"):
        small("symm", "bottleneck")
    with pytest.raises(UserError, match="'fewer_units' needs a hidden layer, chip_seq has none"):
        build_model("chip_seq", "std", length=200, tasks=1, readout="fewer_units")
    with pytest.raises(UserError, match="no readout that costs 65 weights a unit fits 64"):
        build_model("chip_seq", "std", length=100, tasks=1, readout="bottleneck")


def test_limit_is_the_constraint_of_the_positional_weights():
    constraint = small("symm", None, limit=0.1).get_layer("sfc").positional_constraint
    assert isinstance(constraint, CurvatureConstraint)
    assert constraint.limit == 0.1
    assert small("symm", None).get_layer("sfc").positional_constraint is None


def test_names_are_all_there_and_none_twice():
    assert len(set(READOUTS)) == len(READOUTS) == len(DENSE) + len(SEPARABLE)
    assert all(issubclass(kind, SeparableFC) for kind, *_ in SEPARABLE.values())


# Three backends

SCRIPT = """
import sys
import keras, numpy as np
from sfc_lib.nn.readouts import *
from sfc_lib.nn.readouts import AttentionPooling, PositiveSeparableFC, SplineSeparableFC

given, found = dict(np.load(sys.argv[1])), {}
layers = {
    "attention": AttentionPooling(4),
    "positive": PositiveSeparableFC(4),
    "spline": SplineSeparableFC(4, knots=3),
    "shuffle": ShufflePositions(3),
    "rank_one": SeparableFC(4, initializer="rank_one"),
}
for name, layer in layers.items():
    layer.build((None, 7, 3))
    if name != "rank_one":
        layer.set_weights([given[f"{name}_{i}"] for i in range(len(layer.weights))])
        found[name] = layer(given["x"])
    inputs = keras.Input((7, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    before = [np.array(w) for w in model.get_weights()]
    model.compile("adam", "mse")
    model.fit(given["x"], given["x"][:, 0, :1], epochs=1, verbose=0)
    after = model.get_weights()
    found[f"{name}_moved"] = np.array([not np.array_equal(a, b) for a, b in zip(before, after)])
np.savez(sys.argv[2], **{name: keras.ops.convert_to_numpy(x) for name, x in found.items()})
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_backend_agrees_and_trains(backend, require_backend, tmp_path):
    require_backend(backend)
    names = ("attention", "positive", "spline", "shuffle")
    known = {name: built(name) for name in names}
    given = {"x": known["spline"][1]}
    for name, (layer, _) in known.items():
        given |= {f"{name}_{i}": weight for i, weight in enumerate(layer.get_weights())}
    np.savez(tmp_path / "given.npz", **given)
    library = str(Path(sfc_lib.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "given.npz", tmp_path / "found.npz"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    for name, (layer, _) in known.items():
        np.testing.assert_allclose(found[name], layer(given["x"]), rtol=1e-4, atol=1e-5)
        assert found[f"{name}_moved"].all(), name
    assert found["rank_one_moved"].all()


@EVERY_READOUT
def test_importance_of_every_readout_can_be_measured(variant, readout):
    model = build_model(
        "simulated_tf", variant, length=60, tasks=2, width=0.1, readout=readout, precision="float64"
    )
    codes = np.random.default_rng(0).integers(0, 4, (3, 60)).astype(np.uint8)
    found = gradient_times_input(model, codes)
    assert found.shape == (2, 3, 60)
    assert np.isfinite(found).all()
    assert np.abs(found).max() > 0
