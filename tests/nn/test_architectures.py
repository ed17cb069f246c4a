"""The paper's networks: parameter totals, matched units, options, errors, saving, folding."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import reverse_complement
from sfc_lib.nn.architectures import (
    ARCHITECTURES,
    STRAND,
    VARIANTS,
    averaged,
    build_model,
    match_units,
    one_strand,
)
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.layers import SeparableFC

ALL = list(itertools.product(ARCHITECTURES, VARIANTS))
LENGTHS = {"simulated_tf": 200, "chip_seq": 1000, "basset": 1000, "compact": 200}
SMALL = {"simulated_tf": 60, "chip_seq": 160, "basset": 400, "compact": 110}


def small(architecture, variant, **options):
    """A narrow network on short sequences, with its weights drawn from a fixed seed."""
    keras.utils.set_random_seed(0)
    length = SMALL[architecture]
    return build_model(architecture, variant, length=length, tasks=3, width=0.1, **options)


def codes(model, examples=4):
    shape = (examples, model.input_shape[1])
    return np.random.default_rng(0).integers(0, 5, size=shape, dtype=np.uint8)


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("variant", "total"), [("std", 117_503), ("sep", 117_483), ("symm", 106_467)]
)
def test_parameters_of_simulated_tf(variant, total):
    assert build_model("simulated_tf", variant, length=200, tasks=3).count_params() == total


@pytest.mark.parametrize(("variant", "total"), [("std", 32_385), ("sep", 32_321), ("symm", 31_907)])
def test_trainable_parameters_of_chip_seq(variant, total):
    assert trainable(build_model("chip_seq", variant, length=1000, tasks=1)) == total


@pytest.mark.parametrize(
    ("variant", "tasks", "total"),
    [
        ("std", 16, 5_582_916),
        ("sep", 16, 3_200_916),
        ("symm", 16, 3_191_916),
        ("std", 2, 5_568_902),
        ("sep", 2, 3_186_902),
        ("symm", 2, 3_177_902),
    ],
)
def test_trainable_parameters_of_basset(variant, tasks, total):
    assert trainable(build_model("basset", variant, length=1000, tasks=tasks)) == total


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("simulated_tf", (35, 50)), ("chip_seq", (47, 32)), ("basset", (18, 200))],
)
def test_shape_that_the_sfc_layer_sees(architecture, shape):
    model = build_model(architecture, "sep", length=LENGTHS[architecture], tasks=1)
    assert model.get_layer("sfc").input.shape[1:] == shape


@pytest.mark.parametrize(
    ("shape", "units"), [((35, 50, 50), 648), ((47, 32, 1), 18), ((47, 16, 1), 11)]
)
def test_matched_units_of_the_paper(shape, units):
    assert match_units(*shape) == units


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_matched_units_are_the_most_that_fit(length, channels, outputs):
    budget, cost = outputs * length * channels, length + channels + outputs
    fitting = [units for units in range(1, budget + 1) if units * cost <= budget]
    assume(fitting)
    assert match_units(length, channels, outputs) == max(fitting)


def test_no_matching_units_is_an_error():
    message = r"no SFC layer .* Dense of 1 outputs on 1 positions x 32 channels\. Choose units"
    with pytest.raises(ValueError, match=message):
        match_units(1, 32, 1)


@pytest.mark.parametrize("argument", ["length", "channels", "outputs"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_match_units_names_a_bad_argument(argument, value):
    arguments = {"length": 35, "channels": 50, "outputs": 50, argument: value}
    message = rf"match_units: {argument} must be an integer >= 1, got {value}\."
    with pytest.raises(ValueError, match=message):
        match_units(**arguments)


@settings(max_examples=6)
@given(
    st.sampled_from(sorted(ARCHITECTURES)),
    st.integers(200, 1200),
    st.floats(0.02, 0.3),
    st.integers(1, 20),
)
def test_sfc_never_has_more_parameters_than_std(architecture, length, width, tasks):
    std, sep, symm = (
        build_model(architecture, variant, length=length, tasks=tasks, width=width).count_params()
        for variant in VARIANTS
    )
    assert symm <= sep <= std


def test_basset_has_at_most_1000_units_by_default():
    model = build_model("basset", "sep", length=1000, tasks=2)
    assert model.get_layer("sfc").units == 1000 < match_units(18, 200, 1000)


def test_units_can_be_chosen():
    assert small("simulated_tf", "sep", units=7).get_layer("sfc").units == 7


def test_units_can_be_more_than_basset_s_default():
    assert small("basset", "sep", units=1001).get_layer("sfc").units == 1001


def test_width_scales_the_filters_and_nothing_else():
    model = build_model("basset", "std", length=600, tasks=2, width=0.25)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.filters for layer in convolutions] == [75, 50, 50]
    assert [layer.units for layer in dense] == [1000, 1000, 2]


def test_units_are_matched_to_the_width():
    model = build_model("chip_seq", "sep", length=1000, tasks=1, width=0.5)
    assert model.get_layer("sfc").units == 11


def test_tiny_width_keeps_one_filter():
    model = build_model("chip_seq", "sep", length=1000, tasks=8, width=1e-6)
    assert model.get_layer("sfc").input.shape == (None, 47, 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_symm_is_symmetric_and_sep_is_not(architecture):
    assert small(architecture, "symm").get_layer("sfc").symmetric is True
    assert small(architecture, "sep").get_layer("sfc").symmetric is False


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_std_has_no_sfc_layer(architecture):
    layers = small(architecture, "std").layers
    assert not [layer for layer in layers if isinstance(layer, SeparableFC)]
    assert [layer for layer in layers if isinstance(layer, keras.layers.Flatten)]


@pytest.mark.parametrize("variant", ["sep", "symm"])
def test_curvature_adds_its_penalty_to_the_loss(variant):
    model = small("simulated_tf", variant, curvature=10.0)
    stored = model.get_layer("sfc").get_weights()[0]
    expected = 10 * np.abs(np.diff(stored, n=2)).mean()
    assert [float(loss) for loss in model.losses] == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_curvature_by_default(variant):
    assert small("simulated_tf", variant).losses == []


def test_initializer_reaches_the_layer():
    assert small("simulated_tf", "sep", initializer="variance").get_layer("sfc").initializer == (
        "variance"
    )


@pytest.mark.parametrize(("architecture", "variant"), ALL)
def test_layer_names(architecture, variant):
    names = [layer.name for layer in small(architecture, variant).layers]
    assert (names[:2], names[-2:]) == (["codes", "one_hot"], ["logits", "probabilities"])
    assert ("sfc" in names) == (variant != "std")


@pytest.mark.parametrize(("architecture", "variant"), ALL)
def test_probabilities_are_the_sigmoid_of_the_logits(architecture, variant):
    model = small(architecture, variant)
    logits = keras.Model(model.input, model.get_layer("logits").output)
    expected = 1 / (1 + np.exp(-np.asarray(logits(codes(model)), dtype=np.float64)))
    np.testing.assert_allclose(model(codes(model)), expected, rtol=1e-5)


@pytest.mark.parametrize(("architecture", "variant"), ALL)
def test_saved_model_is_read_back(architecture, variant, tmp_path):
    model = small(architecture, variant, **({} if variant == "std" else {"curvature": 2.0}))
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(read(codes(model)), model(codes(model)))
    assert read.to_json() == model.to_json()


@pytest.mark.parametrize("variant", VARIANTS)
def test_mixed_bfloat16_ends_in_float32(variant):
    model = small("basset", variant, precision="mixed_bfloat16")
    same = small("basset", variant)
    found = model(codes(model))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert model.get_layer("logits").compute_dtype == "bfloat16"
    same.set_weights(model.get_weights())
    np.testing.assert_allclose(found, same(codes(same)), atol=0.03)


def test_global_precision_changes_nothing():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small("basset", "sep")
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in model.layers[1:]} == {"float32"}
    assert keras.backend.standardize_dtype(model(codes(model)).dtype) == "float32"


@pytest.mark.parametrize(
    ("architecture", "rates"), [("simulated_tf", [0.5]), ("chip_seq", []), ("basset", [0.3, 0.3])]
)
def test_dropout_follows_each_hidden_layer(architecture, rates):
    layers = small(architecture, "std").layers
    dropouts = [layer for layer in layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropouts] == rates
    for dropout in dropouts:
        hidden = layers[layers.index(dropout) - 1]
        assert isinstance(hidden, keras.layers.Dense)
        assert hidden.activation is keras.activations.relu


def test_another_dropout_is_that_of_every_hidden_layer_or_refused():
    model = build_model("basset", "sep", length=600, tasks=2, width=0.02, dropout=0.1)
    assert [model.get_layer(f"dropout_{n}").rate for n in (1, 2)] == [0.1, 0.1]
    build_model("chip_seq", "sep", length=1000, tasks=1, width=0.1, dropout=0)
    with pytest.raises(UserError, match=r"dropout must be under 1, got 1"):
        build_model("basset", "sep", length=600, tasks=2, dropout=1)
    with pytest.raises(UserError, match=r"must be 0, as chip_seq has no hidden layer, got 0\.1"):
        build_model("chip_seq", "sep", length=1000, tasks=1, dropout=0.1)


def test_the_compact_network_by_hand():
    model = build_model("compact", "symm", length=200, tasks=1, units=24)
    assert model.get_layer("sfc").input.shape[1:] == (13, 64)  # (200 - 18) // 3, (60 - 6) // 4
    first, second = 19 * 4 * 64 + 64, 7 * 64 * 64 + 64
    assert model.count_params() == first + second + 24 * (7 + 64) + 24 + 1
    dropout = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [(layer.rate, layer.output.shape[1:]) for layer in dropout] == [(0.2, (13, 64))]
    other = build_model("compact", "std", length=200, tasks=1, dropout=0.5)
    assert other.get_layer("dropout").rate == 0.5
    with pytest.raises(UserError, match=r"dropout must be under 1, got 1"):
        build_model("compact", "symm", length=200, tasks=1, dropout=1)


def test_a_seed_draws_what_it_always_drew():
    """Else no published run of an SFC network could be trained again to the same bytes."""
    keras.utils.set_random_seed(7)
    model = build_model("simulated_tf", "sep", length=200, tasks=2, width=0.2)
    state = keras.ops.convert_to_numpy(model.get_layer("dropout_1").seed_generator.state)
    assert int(state[0]) == 77777869  # drawn after the SFC layer was built


# Both strands


def logit(probabilities):
    return np.log(probabilities) - np.log1p(-probabilities)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("architecture", "variant"), ALL)
def test_both_strands_are_averaged_and_predicted_alike(architecture, variant, one_hot):
    model = small(architecture, variant, both_strands=True, one_hot=one_hot)
    one = one_strand(model)
    forward = np.random.default_rng(0).integers(0, 5, (4, SMALL[architecture]), dtype=np.uint8)
    inputs = [forward, reverse_complement(forward)]
    if one_hot:
        inputs = [(rows[..., None] == np.arange(4)).astype("float32") for rows in inputs]
    both, other = (model.predict_on_batch(rows) for rows in inputs)
    np.testing.assert_allclose(both, other, rtol=0, atol=1e-6)
    alone = [one.predict_on_batch(rows) for rows in inputs]
    assert abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(logit(both), np.mean(list(map(logit, alone)), axis=0), atol=1e-5)
    assert [w.path for w in one.weights] == [w.path for w in model.weights]
    assert model.count_params() == small(architecture, variant).count_params()


def test_one_strand_and_back_share_their_weights():
    model = small("compact", "symm", both_strands=True)
    one = one_strand(model)
    again = averaged(one)
    last = one.get_layer(STRAND)
    last.set_weights([np.ones_like(weight) for weight in last.get_weights()])
    np.testing.assert_array_equal(again(codes(model)), model(codes(model)))
    assert isinstance(one, SeparableModel)
    assert isinstance(again, SeparableModel)
    alone = small("compact", "symm")
    assert one_strand(alone) is alone


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_strands_keep_their_seeds_weights(variant):
    one, both = small("compact", variant), small("compact", variant, both_strands=True)
    for a, b in zip(one.get_weights(), both.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("variant", ["sep", "symm"])
def test_sfc_and_the_dense_behind_it_are_one_dense(variant):
    model = small("simulated_tf", variant)
    sfc, dense = (
        model.get_layer("sfc"),
        model.layers[[x.name for x in model.layers].index("sfc") + 1],
    )
    seen = keras.Model(model.input, sfc.input)(codes(model))
    w_pos = np.asarray(sfc.positional_weights(), dtype=np.float64)
    w_chan, (v, bias) = sfc.get_weights()[1], dense.get_weights()
    kernel = np.einsum("kl,kc,km->lcm", w_pos, w_chan, v).reshape(-1, v.shape[1])
    folded = np.maximum(np.asarray(seen).reshape(len(seen), -1) @ kernel + bias, 0)
    np.testing.assert_allclose(dense(sfc(seen)), folded, atol=1e-5)
    assert folded.max() > 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_fit_lowers_the_loss(variant):
    model = build_model("simulated_tf", variant, length=60, tasks=3, width=0.1, dropout=0)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, size=(32, 60), dtype=np.uint8)
    y = rng.integers(0, 2, size=(32, 3))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    losses = model.fit(x, y, batch_size=32, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_unknown_architecture_is_named():
    message = r"architecture must be one of \('simulated_tf', .* 'compact'\), got 'basse'\."
    with pytest.raises(ValueError, match=message):
        build_model("basse", "sep", length=200, tasks=3)


def test_unknown_variant_is_named():
    with pytest.raises(ValueError, match=r"one of \('std', 'sep', 'symm'\), got 'sym'\."):
        build_model("basset", "sym", length=200, tasks=3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_too_short_sequences_are_told_the_shortest_length(architecture):
    options = {"variant": "sep", "tasks": 40}
    with pytest.raises(ValueError, match=rf"{architecture} needs .* at least \d+ bp, got 9") as why:
        build_model(architecture, length=9, **options)
    shortest = int(str(why.value).split(" bp")[0].split()[-1])
    assert build_model(architecture, length=shortest, **options).get_layer("sfc").length == 1
    with pytest.raises(ValueError, match=rf"at least {shortest} bp, got {shortest - 1}\."):
        build_model(architecture, length=shortest - 1, **options)


@pytest.mark.parametrize("option", [{"units": 5}, {"curvature": 1.0}, {"initializer": "variance"}])
def test_std_takes_no_option_of_the_sfc_layer(option):
    with pytest.raises(ValueError, match="std has no SFC layer, so no units, curvature, init"):
        build_model("simulated_tf", "std", length=200, tasks=3, **option)


@pytest.mark.parametrize("width", [-1, float("inf"), float("nan"), "1"])
def test_bad_width_is_named(width):
    with pytest.raises(ValueError, match=rf"width must be a finite number >= 0, got {width!r}\."):
        build_model("simulated_tf", "sep", length=200, tasks=3, width=width)


def test_width_zero_is_rejected():
    with pytest.raises(ValueError, match=r"width must be > 0, got 0\."):
        build_model("simulated_tf", "sep", length=200, tasks=3, width=0)


@pytest.mark.parametrize("argument", ["length", "tasks"])
@pytest.mark.parametrize("value", [0, 2.5, "7"])
def test_bad_length_and_tasks_are_named(argument, value):
    arguments = {"length": 200, "tasks": 3, argument: value}
    with pytest.raises(ValueError, match=rf"{argument} must be an integer >= 1, got {value!r}\."):
        build_model("simulated_tf", "sep", **arguments)


def test_negative_curvature_is_named():
    with pytest.raises(ValueError, match=r"strength must be a finite number >= 0, got -1\."):
        build_model("simulated_tf", "sep", length=200, tasks=3, curvature=-1)


def test_curvature_needs_enough_positions_after_pooling():
    with pytest.raises(ValueError, match="Curvature needs W_pos with at least 3 stored positions"):
        build_model("simulated_tf", "symm", length=45, tasks=3, curvature=1.0)


@pytest.mark.parametrize("options", [{"variant": "std"}, {"variant": "sep", "units": 2}])
def test_no_matching_units_are_needed_where_they_are_not_used(options):
    assert build_model("chip_seq", length=80, tasks=1, **options).output_shape == (None, 1)
