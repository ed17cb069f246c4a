"""`SeparableFC` against plain NumPy, its gradients against differences, its errors; the others."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import kmer_sums

from sfc_lib.nn.curvature import Curvature, CurvatureConstraint
from sfc_lib.nn.layers import (
    FOLD_FROM,
    FORMS,
    KmerRegression,
    OneHotDNA,
    SeparableFC,
    cheapest_form,
)

SYMMETRIC = pytest.mark.parametrize("symmetric", [False, True], ids=["plain", "symmetric"])
LENGTHS = pytest.mark.parametrize("length", [1, 2, 6, 7])
SHAPES = {"length": st.integers(1, 9), "channels": st.integers(1, 4), "units": st.integers(1, 4)}


def built(length, channels, units, symmetric=False, **options):
    """A float64 layer with normally distributed weights, and the generator that drew them."""
    rng = np.random.default_rng((length, channels, units))
    layer = SeparableFC(units, symmetric=symmetric, dtype="float64", **options)
    layer.build((None, length, channels))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer, rng


def expected_positions(stored, length):
    """Row of stored weights as a whole row: position l takes the weight of l or length-1-l."""
    if stored.shape[1] == length:
        return stored
    return stored[:, [min(position, length - 1 - position) for position in range(length)]]


def outer_product(x, w_pos, w_chan):
    """The layer's definition: every weight is a product, every product is summed once."""
    w_pos = expected_positions(w_pos, x.shape[1])
    outputs = np.zeros((len(x), len(w_pos)))
    for unit, row in enumerate(w_pos):
        kernel = np.outer(row, w_chan[unit])  # (length, channels)
        for example, sequence in enumerate(x):
            outputs[example, unit] = (kernel * sequence).sum()
    return outputs


def relative_error(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@SYMMETRIC
@LENGTHS
def test_output_is_the_outer_product(length, symmetric):
    layer, rng = built(length, 3, 4, symmetric)
    x = rng.normal(size=(5, length, 3))
    expected = outer_product(x, *layer.get_weights())
    assert relative_error(layer(x), expected) <= 1e-12


@pytest.mark.parametrize("units", [FOLD_FROM - 1, FOLD_FROM])
@pytest.mark.parametrize("form", FORMS)
@SYMMETRIC
@LENGTHS
def test_every_form_is_the_outer_product(length, symmetric, form, units):
    layer, rng = built(length, 3, units, symmetric, form=form)
    x = rng.normal(size=(5, length, 3))
    assert relative_error(layer(x), outer_product(x, *layer.get_weights())) <= 1e-12


def test_a_form_is_chosen_by_the_shape_and_can_be_imposed(monkeypatch):
    used = []
    for name, form in FORMS.items():
        monkeypatch.setitem(FORMS, name, lambda *x, n=name, f=form: (used.append(n), f(*x))[1])
    for batch, form in ((2, None), (50, None), (50, "channels")):
        layer, _ = built(60, 2, 60, form=form)
        layer(np.ones((batch, 60, 2)))
    assert used == ["positions", "kernel", "channels"]


@pytest.mark.parametrize(
    ("sizes", "form"),
    [
        ({"batch": 100, "length": 35, "channels": 50, "units": 648}, "kernel"),  # simulated TF
        ({"batch": 100, "length": 47, "channels": 32, "units": 18}, "kernel"),  # ChIP-seq
        ({"batch": 128, "length": 18, "channels": 200, "units": 1000}, "kernel"),  # Basset
        ({"batch": 32, "length": 18, "channels": 200, "units": 1000}, "channels"),
        ({"batch": 128, "length": 1000, "channels": 128, "units": 256}, "positions"),
    ],
)
def test_cheapest_form(sizes, form):
    assert cheapest_form(**sizes) == form


def test_folded_input_counts_the_centre_once():
    layer, _ = built(5, 1, 1, symmetric=True)
    assert np.asarray(layer.fold(np.arange(1.0, 6.0).reshape(1, 5, 1)))[0, :, 0].tolist() == [
        6,
        6,
        3,
    ]


@SYMMETRIC
def test_float32_output_is_the_outer_product(symmetric):
    rng = np.random.default_rng(0)
    layer = SeparableFC(40, symmetric=symmetric)
    x = rng.normal(size=(4, 35, 50)).astype("float32")
    found = layer(x)
    expected = outer_product(x, *(weight.astype("float64") for weight in layer.get_weights()))
    assert relative_error(found, expected) <= 1e-6


@SYMMETRIC
@LENGTHS
def test_gradients_are_central_differences(length, symmetric):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("differentiates with tf.GradientTape; test_backends has the other backends")
    import tensorflow as tf

    layer, rng = built(length, 2, 3, symmetric)
    x = tf.Variable(rng.normal(size=(2, length, 2)))
    weighting = rng.normal(size=(2, 3))
    variables = [x, layer.W_pos.value, layer.W_chan.value]

    def loss():
        return tf.reduce_sum(layer(x) ** 2 * weighting)

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        centre, step = variable.numpy(), 1e-4
        differences = np.empty_like(centre)
        for index in np.ndindex(centre.shape):
            ends = []
            for sign in (1, -1):
                moved = centre.copy()
                moved[index] += sign * step
                variable.assign(moved)
                ends.append(float(loss()))
            differences[index] = (ends[0] - ends[1]) / (2 * step)
        variable.assign(centre)
        assert relative_error(gradient, differences) <= 1e-6


@given(**SHAPES)
def test_symmetric_layer_reads_both_directions_alike(length, channels, units):
    layer, rng = built(length, channels, units, symmetric=True)
    x = rng.normal(size=(3, length, channels))
    np.testing.assert_allclose(layer(x), layer(x[:, ::-1]), rtol=1e-9, atol=1e-12)


def test_plain_layer_tells_directions_apart():
    layer, rng = built(6, 2, 3)
    x = rng.normal(size=(3, 6, 2))
    assert not np.allclose(layer(x), layer(x[:, ::-1]))


@pytest.mark.parametrize(
    ("length", "stored", "whole"),
    [(5, [1, 2, 3], [1, 2, 3, 2, 1]), (6, [1, 2, 3], [1, 2, 3, 3, 2, 1]), (1, [1], [1])],
)
def test_symmetric_positional_weights_are_mirrored(length, stored, whole):
    layer = SeparableFC(1, symmetric=True)
    layer.build((None, length, 2))
    layer.set_weights([np.array([stored]), np.ones((1, 2))])
    assert np.asarray(layer.positional_weights()).tolist() == [whole]


def test_plain_positional_weights_are_the_stored_ones():
    layer, _ = built(5, 2, 3)
    assert np.array_equal(layer.positional_weights(), layer.get_weights()[0])


@SYMMETRIC
@pytest.mark.parametrize("length", [34, 35])
def test_paper_initializer_uses_the_stored_length(length, symmetric):
    keras.utils.set_random_seed(0)
    layer = SeparableFC(648, symmetric=symmetric)
    layer.build((None, length, 50))
    stored = (length + 1) // 2 if symmetric else length
    limit = (2 / (stored * 50 + 648)) ** 0.25
    for weight in layer.get_weights():
        assert weight.min() == pytest.approx(-limit, rel=2e-3)
        assert weight.max() == pytest.approx(limit, rel=2e-3)


@SYMMETRIC
def test_variance_initializer_uses_the_whole_length(symmetric):
    keras.utils.set_random_seed(0)
    layer = SeparableFC(648, symmetric=symmetric, initializer="variance")
    layer.build((None, 35, 50))
    limit = (18 / (35 * 50 + 648)) ** 0.25
    for weight in layer.get_weights():
        assert weight.min() == pytest.approx(-limit, rel=2e-3)
        assert weight.max() == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize(
    ("initializer", "symmetric", "share"),
    [("variance", False, 1.0), ("variance", True, 1.0), ("paper", False, 1 / 9)],
)
def test_variance_of_the_outer_product_against_glorot(initializer, symmetric, share):
    keras.utils.set_random_seed(0)
    layer = SeparableFC(648, symmetric=symmetric, initializer=initializer)
    layer.build((None, 35, 50))
    kernel = np.asarray(layer.positional_weights())[:, :, None] * layer.get_weights()[1][:, None]
    glorot = 2 / (35 * 50 + 648)
    assert kernel.var() == pytest.approx(share * glorot, rel=0.04)  # 5 standard errors


def test_parts_of_the_initial_weights_differ():
    keras.utils.set_random_seed(0)
    layer = SeparableFC(4)
    layer.build((None, 6, 6))
    w_pos, w_chan = layer.get_weights()
    assert not np.array_equal(w_pos, w_chan)


@pytest.mark.parametrize("constraint", [None, CurvatureConstraint(0.2)], ids=["free", "limit"])
@pytest.mark.parametrize("regularizer", [None, Curvature(3.0, "l2"), "l1"], ids=["no", "CR", "l1"])
@pytest.mark.parametrize("initializer", ["paper", "variance"])
@SYMMETRIC
def test_saved_layer_is_read_back(tmp_path, symmetric, initializer, regularizer, constraint):
    inputs = keras.Input((7, 3))
    layer = SeparableFC(4, symmetric, initializer, regularizer, constraint, name="sfc")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(5, 7, 3)).astype("float32")
    assert np.array_equal(read(x), model(x))
    assert [float(loss) for loss in read.losses] == [float(loss) for loss in model.losses]
    assert read.get_layer("sfc").get_config() == layer.get_config()
    assert type(read.get_layer("sfc").positional_constraint) is type(layer.positional_constraint)


def test_config_holds_the_arguments():
    config = SeparableFC(4, True, "variance", Curvature(2.0), CurvatureConstraint(0.5)).get_config()
    assert (config["units"], config["symmetric"], config["initializer"]) == (4, True, "variance")
    assert config["positional_regularizer"]["config"]["strength"] == 2.0
    assert config["positional_constraint"]["config"] == {"limit": 0.5}


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "3", None])
def test_bad_units_are_named(units):
    with pytest.raises(ValueError, match=rf"SeparableFC: units .* integer >= 1, got {units!r}\."):
        SeparableFC(units)


def test_units_may_be_a_numpy_integer():
    assert SeparableFC(np.int64(3)).get_config()["units"] == 3


@pytest.mark.parametrize("symmetric", ["yes", 1, None])
def test_bad_symmetric_is_named(symmetric):
    with pytest.raises(ValueError, match=rf"symmetric must be True or False, got {symmetric!r}\."):
        SeparableFC(3, symmetric=symmetric)


def test_bad_initializer_is_named():
    message = r"initializer must be one of \('paper', 'variance', .*\), got 'glorot_normal'\."
    with pytest.raises(ValueError, match=message):
        SeparableFC(3, initializer="glorot_normal")


def test_bad_form_is_named():
    message = r"form must be None or one of \('kernel', 'channels', 'positions'\), got 'fast'\."
    with pytest.raises(ValueError, match=message):
        SeparableFC(3, form="fast")


def test_unknown_regularizer_is_named():
    with pytest.raises(ValueError, match="smooth"):
        SeparableFC(3, positional_regularizer="smooth")


def test_flat_input_is_rejected_with_advice():
    with pytest.raises(ValueError, match=r"3-D input .* got shape \(2, 6\)\. Put it in place of"):
        SeparableFC(3)(np.ones((2, 6)))


def test_unknown_length_is_rejected_with_advice():
    with pytest.raises(ValueError, match=r"known length .* \(None, None, 4\).*fixed length"):
        SeparableFC(3)(keras.Input((None, 4)))


def test_unknown_channels_are_rejected():
    with pytest.raises(ValueError, match=r"channel count >= 1, got shape \(None, 6, None\)"):
        SeparableFC(3)(keras.Input((6, None)))


def test_empty_length_is_rejected():
    with pytest.raises(ValueError, match=r"known length .* >= 1, got shape \(2, 0, 4\)"):
        SeparableFC(3)(np.ones((2, 0, 4)))


@pytest.mark.parametrize("length", [6, 8])
def test_another_length_than_built_for_is_rejected(length):
    layer, _ = built(7, 3, 2)
    with pytest.raises(ValueError, match=r"expected axis 1 of input shape to have value 7"):
        layer(np.ones((2, length, 3)))


@pytest.mark.parametrize(
    ("option", "owner"),
    [
        ({"positional_regularizer": Curvature(1.0)}, "Curvature"),
        ({"positional_constraint": CurvatureConstraint(1.0)}, "CurvatureConstraint"),
    ],
    ids=["regularizer", "constraint"],
)
def test_curvature_needs_three_stored_positions(option, owner):
    message = rf"^{owner} needs W_pos with at least 3 stored positions, got 2\. A symmetric"
    for layer, length in ((SeparableFC(3, **option), 2), (SeparableFC(3, True, **option), 4)):
        with pytest.raises(ValueError, match=message):
            layer.build((None, length, 2))
    SeparableFC(3, **option).build((None, 3, 2))
    SeparableFC(3, True, **option).build((None, 5, 2))


def test_slope_penalty_needs_two_stored_positions():
    layer = SeparableFC(3, positional_regularizer=Curvature(1.0, order=1))
    with pytest.raises(ValueError, match="at least 2 stored positions, got 1"):
        layer.build((None, 1, 2))


def test_regularizer_sees_the_stored_positional_weights():
    layer, _ = built(7, 3, 2, symmetric=True, positional_regularizer=Curvature(5.0))
    stored = layer.get_weights()[0]
    expected = 5.0 * np.abs(np.diff(stored, n=2)).mean()
    assert [float(loss) for loss in layer.losses] == pytest.approx([expected])


@given(**SHAPES)
def test_number_of_parameters(length, channels, units):
    for symmetric, stored in ((False, length), (True, (length + 1) // 2)):
        layer = SeparableFC(units, symmetric=symmetric)
        layer.build((None, length, channels))
        assert layer.count_params() == units * (stored + channels)
        assert [weight.name for weight in layer.weights] == ["W_pos", "W_chan"]


def test_output_shape():
    assert SeparableFC(4).compute_output_shape((None, 7, 3)) == (None, 4)


def test_output_shape_checks_the_input():
    with pytest.raises(ValueError, match="expects a 3-D input"):
        SeparableFC(4).compute_output_shape((None, 7))


@SYMMETRIC
def test_fit_lowers_the_loss(symmetric):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 7, 3)).astype("float32")
    model = keras.Sequential([keras.Input((7, 3)), SeparableFC(2, symmetric=symmetric)])
    target = outer_product(x, rng.normal(size=(2, 4 if symmetric else 7)), np.ones((2, 3)))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, target, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


@SYMMETRIC
def test_mixed_bfloat16_computes_low_and_stores_high(symmetric):
    keras.utils.set_random_seed(0)
    layer = SeparableFC(4, symmetric=symmetric, dtype="mixed_bfloat16")
    x = np.random.default_rng(0).uniform(0.5, 1, size=(5, 7, 3)).astype("float32")
    found = layer(x)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    expected = outer_product(x, *layer.get_weights())
    assert relative_error(keras.ops.cast(found, "float32"), expected) <= 0.03


def test_one_hot_rows():
    found = OneHotDNA()(np.array([[0, 1, 2, 3, 4]], dtype="uint8"))
    assert np.asarray(found).tolist() == [[*np.eye(4).tolist(), [0.0] * 4]]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_one_hot_takes_any_integers(dtype):
    assert np.asarray(OneHotDNA()(np.array([[2]], dtype=dtype))).tolist() == [[[0, 0, 1, 0]]]


def test_one_hot_has_the_compute_dtype():
    found = OneHotDNA(dtype="mixed_bfloat16")(np.array([[0]], dtype="uint8"))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"


def test_one_hot_output_shape():
    assert OneHotDNA().compute_output_shape((None, 200)) == (None, 200, 4)
    assert OneHotDNA()(keras.Input((200,), dtype="uint8")).shape == (None, 200, 4)


# KmerRegression


def kmer_regression(k, length, tasks):
    """A layer with weights drawn anew, and the weights."""
    rng, layer = np.random.default_rng(k), KmerRegression(k)
    layer.build([(3, length, 4), (3, tasks)])
    scale, bias = np.array([2.0, 0.0])[:tasks], np.array([0.5, -1.0])[:tasks]
    weights = scale, rng.uniform(size=length - k + 1), rng.normal(size=(4**k, tasks)), bias
    layer.set_weights(weights)
    return layer, weights


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_kmers_count_by_where_they_stand_and_those_with_an_n_do_not(k):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (3, 20), dtype=np.uint8)
    rows, logits = np.eye(5)[codes][:, :, :4], rng.normal(size=(3, 2)).astype("float32")
    layer, weights = kmer_regression(k, 20, 2)
    found = keras.ops.convert_to_numpy(layer([OneHotDNA()(codes), logits]))
    np.testing.assert_allclose(found, kmer_sums(rows, weights, logits), atol=1e-5)


def test_a_new_kmer_regression_changes_nothing_and_knows_its_shapes():
    layer, logits = KmerRegression(4), np.array([[1.0, -3.0]], dtype="float32")
    found = layer([np.ones((1, 9, 4), dtype="float32"), logits])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), logits)
    assert layer.compute_output_shape([(None, 9, 4), (None, 2)]) == (None, 2)
    assert KmerRegression.from_config(layer.get_config()).k == 4


@pytest.mark.parametrize("k", [0, 1.5, True])
def test_bad_k_is_named(k):
    with pytest.raises(ValueError, match=f"KmerRegression: k must be an integer >= 1, got {k}"):
        KmerRegression(k)


def test_sequences_shorter_than_a_kmer_are_refused():
    with pytest.raises(ValueError, match="5 bp hold no k-mer of 6 bp"):
        KmerRegression(6).build([(None, 5, 4), (None, 1)])
