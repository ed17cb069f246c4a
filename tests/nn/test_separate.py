"""`separate` on models of many makes: same predictions with enough neurons, or refused by name."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from sfc_lib import SeparableFC, build_model, fold_separable, match_units, separate
from sfc_lib.errors import UserError
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.separate import products

MODELS = {}
FLATTEN = layers.Flatten
ENOUGH = 40  # neurons: every map below needs at most so many


def model(build):
    """Register a model by the name of the function that builds it."""
    MODELS[build.__name__] = build
    return build


def conv(x, filters=4, kernel=3, **options):
    return layers.Conv1D(filters, kernel, data_format="channels_last", **options)(x)


def flat(x):
    return layers.Flatten(data_format="channels_last")(x)


@model
def sequential():
    return keras.Sequential(
        [
            keras.Input((11, 4)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="sigmoid", name="fc"),
        ]
    )


@model
def linear_on_one_hot():
    inputs = keras.Input((9, 4))
    return keras.Model(inputs, layers.Dense(1, use_bias=False)(flat(inputs)))


@model
def reshape_for_flatten():
    inputs = keras.Input((11, 4))
    x = layers.Reshape((-1,))(conv(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def dropout_between():
    inputs = keras.Input((11, 4))
    x = layers.Dropout(0.5)(flat(conv(inputs)))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def batch_normalisation_and_activation_between():
    inputs = keras.Input((11, 4))
    x = layers.Activation("tanh")(layers.BatchNormalization()(flat(conv(inputs))))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def softmax_between():
    inputs = keras.Input((11, 4))
    x = layers.PReLU()(layers.Activation("softmax")(flat(conv(inputs))))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def head_of_vgg():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1")(inputs)
    x = flat(layers.MaxPooling2D(2, strides=3, name="block1_pool")(x))  # (3, 3, 4)
    x = layers.Dense(6, activation="relu", name="fc1")(x)
    x = layers.Dense(6, activation="relu", name="fc2")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="predictions")(x))


@model
def sequence_as_an_image():
    inputs = keras.Input((1, 11, 4))
    x = layers.Conv2D(4, (1, 3), activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3)(flat(x)))


def block(x, filters, kernel, pool, activation, residual=False):
    """As CREsted's `conv_block`."""
    before = x
    regularizer = keras.regularizers.L2(1e-5)
    options = {"padding": "same", "use_bias": False, "kernel_regularizer": regularizer}
    x = layers.Activation(activation)(
        layers.BatchNormalization()(conv(x, filters, kernel, **options))
    )
    x = layers.Add()([x, before]) if residual else x
    x = layers.MaxPooling1D(pool, padding="same")(x) if pool else x
    return layers.Dropout(0.1)(x)


@model
def crested_deeptopic_cnn():
    inputs = keras.Input((32, 4), name="sequence")
    x = block(inputs, 8, 7, 2, "gelu")
    x = block(x, 4, 5, 2, "relu")
    x = block(x, 4, 3, 0, "relu", residual=True)
    x = layers.Dropout(0.5)(flat(x))  # 8 positions of 4 channels
    x = layers.Dense(6, use_bias=False, kernel_initializer="he_normal", name="denseblock_dense")(x)
    x = layers.BatchNormalization(name="denseblock_batchnorm")(x)
    x = layers.Dropout(0.5)(layers.Activation("relu")(x))
    return keras.Model(inputs, layers.Dense(3, activation="sigmoid")(x))


@model
def crested_deeptopic_lstm():
    inputs = keras.Input((20, 4), name="sequence")
    x = layers.MaxPooling1D(3)(conv(inputs, 6, 3, activation="relu"))  # 6 positions
    x = layers.TimeDistributed(layers.Dense(5, activation="relu"))(x)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    x = flat(layers.Dropout(0.2)(x))
    x = layers.Dropout(0.5)(layers.Dense(4, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(3, activation="sigmoid")(x))


@model
def crested_simple_convnet():
    inputs = keras.Input((24, 4))
    x = block(block(inputs, 4, 5, 2, "gelu"), 4, 3, 2, "gelu", residual=True)
    x = layers.Dense(4, name="denseblock_1_dense")(flat(x))
    x = layers.Activation("gelu")(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(2, activation="softplus")(x))


@model
def three_branches():
    inputs = keras.Input((12, 4))
    branches = [flat(conv(inputs, 3, kernel)) for kernel in (3, 5, 7)]
    return keras.Model(inputs, layers.Dense(3, name="fc")(layers.Concatenate()(branches)))


@model
def three_branches_with_dropout_everywhere():
    inputs = keras.Input((12, 4))
    branches = [layers.Dropout(0.2)(flat(conv(inputs, 3, kernel))) for kernel in (3, 5, 7)]
    both = layers.Concatenate(axis=1)(branches[:2])
    x = layers.ReLU()(layers.Concatenate()([both, branches[2]]))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def sequence_and_numbers():
    inputs, numbers = keras.Input((11, 4), name="sequence"), keras.Input((5,), name="numbers")
    x = layers.Concatenate()([layers.Dense(2)(numbers), flat(conv(inputs)), numbers])
    x = layers.Dense(4, activation="relu", name="fc")(layers.BatchNormalization()(x))
    return keras.Model({"sequence": inputs, "numbers": numbers}, {"y": layers.Dense(2)(x)})


@model
def two_heads():
    inputs = keras.Input((11, 4))
    x = flat(conv(inputs))
    heads = layers.Dense(3, name="counts")(x), layers.Dense(2, name="profile")(x)
    return keras.Model(inputs, [*heads, layers.GlobalAveragePooling1D()(conv(inputs))])


@model
def two_places_in_a_row():
    inputs = keras.Input((11, 4))
    x = layers.Dense(20, name="first")(flat(conv(inputs)))
    x = conv(layers.Reshape((5, 4))(x), 3, 2)
    return keras.Model(inputs, layers.Dense(2, name="second")(flat(x)))


@model
def place_within_a_nested_model():
    inputs = keras.Input((11, 4))
    inner = keras.Model(inputs, layers.Dense(3, name="fc")(flat(conv(inputs))), name="inner")
    outer = keras.Input((11, 4))
    return keras.Model(outer, layers.Dense(2)(inner(layers.ReLU()(outer))))


@model
def two_strands_through_one_nested_sequential():
    tower = keras.Sequential(
        [keras.Input((11, 4)), layers.Conv1D(4, 3), layers.Flatten(), layers.Dense(3, name="fc")],
        name="tower",
    )
    strands = keras.Input((11, 4)), keras.Input((11, 4))
    return keras.Model(strands, layers.Average()([tower(strand) for strand in strands]))


@model
def shared_dense():
    inputs, fc = keras.Input((11, 4)), layers.Dense(3, name="fc")
    shared = layers.Conv1D(4, 3, data_format="channels_last")
    strands = inputs, inputs[:, ::-1, ::-1]
    return keras.Model(inputs, layers.Maximum()([fc(flat(shared(strand))) for strand in strands]))


@model
def channels_first_flatten():
    inputs = keras.Input((11, 4))
    x = layers.Flatten(data_format="channels_first")(conv(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def channels_turned_to_the_front():
    inputs = keras.Input((11, 4))
    x = layers.Dropout(0.1)(flat(layers.Permute((2, 1))(conv(inputs))))
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def turned_and_flattened_back():
    inputs = keras.Input((11, 4))
    x = layers.Permute((2, 1))(conv(inputs))
    x = layers.Flatten(data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@model
def attention_and_operators():
    inputs = keras.Input((9, 4))
    x = layers.MultiHeadAttention(2, 2)(inputs, inputs) + inputs * 2.0
    return keras.Model(inputs, keras.ops.sigmoid(layers.Dense(3)(flat(x))))


@model
def lambda_layer():
    inputs = keras.Input((9, 4))
    x = layers.Lambda(lambda x: keras.ops.square(x))(inputs)
    return keras.Model(inputs, layers.Dense(3)(flat(x)))


@model
def paper_network():
    return build_model("simulated_tf", "std", length=40, tasks=2, width=0.1)


def random_weights(built, seed=0):
    rng = np.random.default_rng(seed)
    ends = {True: (0.1, 0.9), False: (-0.7, 0.7)}  # a variance must be positive
    weights = [rng.uniform(*ends[w.ndim == 1], size=w.shape) for w in built.get_weights()]
    built.set_weights(weights)
    return built


def some_input(built, examples=5):
    rng = np.random.default_rng(1)

    def like(x):
        shape = (examples, *x.shape[1:])
        return rng.integers(0, 4, shape) if "int" in x.dtype else rng.normal(size=shape)

    specs = built.inputs[0] if isinstance(built, keras.Sequential) else built.input
    return keras.tree.map_structure(lambda x: keras.ops.cast(like(x), x.dtype), specs)


def predicted(built, inputs):
    return [np.asarray(y) for y in keras.tree.flatten(built(inputs, training=False))]


def assert_same_predictions(built, other):
    inputs = some_input(built)
    for found, expected in zip(predicted(other, inputs), predicted(built, inputs), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=2e-5 * scale)
        assert np.ptp(expected) > 1e-3 * scale, "a model that always says the same shows nothing"


def leaves(built):
    """All layers by name, those of nested models among them."""
    found = {}
    for layer in built.layers:
        found |= leaves(layer) if isinstance(layer, keras.Model) else {layer.name: layer}
    return found


def separable_layers(built):
    return [layer for layer in leaves(built).values() if isinstance(layer, SeparableFC)]


@pytest.mark.parametrize("name", MODELS)
def test_with_enough_neurons_predictions_stay_and_folding_is_the_way_back(name):
    original = random_weights(MODELS[name]())
    before = original.get_weights()
    found = separate(original, units=ENOUGH, start="svd")
    assert_same_predictions(original, found)
    assert len(separable_layers(found)) == len(found.separated) >= 1
    assert all(place.kept == pytest.approx(1, abs=1e-6) for place in found.separated)
    for weight, kept in zip(original.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    folded = fold_separable(found)
    assert not separable_layers(folded)
    assert_same_predictions(original, folded)
    assert folded.count_params() == original.count_params()


@pytest.mark.parametrize("name", MODELS)
def test_fresh_start_keeps_every_other_weight_and_name(name):
    original = random_weights(MODELS[name]())
    found = separate(original, units=2, seed=1)
    new = separable_layers(found)
    dense = {place.dense for place in found.separated}
    assert {(p.sfc, p.length, p.channels, p.units) for p in found.separated} == {
        (layer.name, layer.length, layer.channels, 2) for layer in new
    }
    before, after = leaves(original), leaves(found)
    gone = before.keys() - after.keys()
    merely = layers.Flatten, layers.Reshape, layers.Concatenate
    assert all(isinstance(before[name], merely) for name in gone)
    for layer in before.keys() & after.keys() - dense:
        for one, other in zip(after[layer].weights, before[layer].weights, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)
    assert {layer.name for layer in new} == after.keys() - before.keys() - {
        name for name, layer in after.items() if not layer.weights
    }
    assert [x.shape for x in found.outputs] == [x.shape for x in original.outputs]
    if name != "sequential":
        assert found.output_names == original.output_names


@pytest.mark.parametrize("name", [*MODELS])
def test_saved_and_trained(name, tmp_path):
    """One step of training changes each new layer; the file predicts what the model does."""
    found = separate(random_weights(MODELS[name]()), units=3, seed=1)
    inputs = some_input(found)
    targets = [np.zeros(y.shape) for y in predicted(found, inputs)]
    start = [layer.get_weights() for layer in separable_layers(found)]
    found.compile("sgd", "mse", run_eagerly=True)  # quicker than to compile so many
    structure = keras.tree.pack_sequence_as(outputs_of(found), targets)
    found.train_on_batch(inputs, structure)
    for layer, before in zip(separable_layers(found), start, strict=True):
        assert not any(map(np.array_equal, layer.get_weights(), before))
    if name == "lambda_layer":
        return  # Keras reads no Lambda from a file it does not trust
    found.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(predicted(found, inputs), predicted(loaded, inputs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def outputs_of(built):
    return built.outputs[0] if isinstance(built, keras.Sequential) else built.output


def simple(length=9, channels=4, outputs=3, **options):
    inputs = keras.Input((length, channels))
    x = conv(inputs, channels, 1, name="conv")
    return random_weights(
        keras.Model(inputs, layers.Dense(outputs, name="fc", **options)(flat(x)), name="simple")
    )


def test_by_hand():
    """A kernel of two products; the second of opposite sign at the second output."""
    inputs = keras.Input((3, 2))
    original = keras.Model(inputs, layers.Dense(2, name="fc")(flat(inputs)))
    one, two = np.outer([1, 2, 3], [1, 0]), np.outer([0, 1, 0], [0, 1])
    kernel = np.stack([one + two, one - two], axis=-1).reshape(6, 2)
    original.set_weights([kernel, np.array([5, 7])])
    found = separate(original, units=2, start="svd")
    w_pos, w_chan = (np.asarray(w) for w in found.get_layer("fc_sfc").weights)
    rows, bias = found.get_layer("fc").get_weights()
    joint = np.einsum("kl,kc,kj->lcj", w_pos, w_chan, rows).reshape(6, 2)
    np.testing.assert_allclose(joint, kernel, atol=1e-5)
    assert bias.tolist() == [5, 7]
    assert found.separated[0].kept == pytest.approx(1)


def test_default_units_match_the_weights_and_the_report_says_it():
    found = separate(simple(35, 50, 50), start="svd")
    (place,) = found.separated
    assert place.units == match_units(35, 50, 50) == 648
    assert place.weights == 648 * (35 + 50 + 50)
    assert 0.5 < place.kept < 1
    assert str(place) == (
        "'fc', 50 neurons on 35 positions x 50 channels, had 87,500 weights; 'fc_sfc' of 648 "
        f"neurons and 'fc' have 87,480. They keep {place.kept:.2%} of the kernel's energy "
        "(its sum of squares)."
    )
    assert str(separate(simple(), units=2).separated[0]).endswith("have 32. They start fresh.")


def test_share_kept_is_that_of_the_joint_kernel():
    original = simple(outputs=5)
    for symmetric in (False, True):
        found = separate(original, units=7, symmetric=symmetric, start="svd")
        kernel, joint = (m.get_layer("fc").kernel for m in (original, fold_separable(found)))
        lost = np.sum((np.asarray(kernel) - np.asarray(joint)) ** 2) / np.sum(np.square(kernel))
        assert found.separated[0].kept == pytest.approx(1 - lost, abs=1e-6)


def test_symmetric_model_reads_both_directions_alike():
    found = separate(simple(), units=30, symmetric=True, start="svd")
    original = simple()
    x = some_input(original)
    tail = keras.Model(found.get_layer("conv").output, found.output)
    forward, backward = predicted(tail, x)[0], predicted(tail, x[:, ::-1])[0]
    np.testing.assert_allclose(forward, backward, atol=1e-5)
    same = keras.Model(original.get_layer("conv").output, original.output)
    mean = (predicted(same, x)[0] + predicted(same, x[:, ::-1])[0]) / 2
    np.testing.assert_allclose(forward, mean, atol=1e-5)


@pytest.mark.parametrize("length", [8, 9])
def test_symmetry_mirrors_positions_wherever_channels_stand(length):
    """Whichever way the map was turned before it was flattened."""
    for turn, data_format in ((False, "channels_first"), (True, "channels_last")):
        inputs = keras.Input((length, 3))
        x = layers.Permute((2, 1))(inputs) if turn else inputs
        x = layers.Flatten(data_format=data_format)(x)
        original = random_weights(keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.1)(x))))
        found = separate(original, units=30, symmetric=True, start="svd")
        (sfc,) = separable_layers(found)
        assert (sfc.length, sfc.channels) == (length, 3)
        x = some_input(original)
        mean = (predicted(original, x)[0] + predicted(original, x[:, ::-1])[0]) / 2
        np.testing.assert_allclose(predicted(found, x)[0], mean, atol=1e-5)


def test_curvature_is_a_penalty_of_the_new_layer():
    (sfc,) = separable_layers(separate(simple(), units=3, curvature=2.0))
    assert sfc.positional_regularizer.get_config()["strength"] == 2.0
    assert not separable_layers(separate(simple(), units=3))[0].losses


def test_seed_makes_the_start_and_leaves_others_alone():
    original = simple()
    one, same, other = (separate(original, units=3, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.get_layer("fc").kernel, other.get_layer("fc").kernel)
    assert not np.array_equal(one.get_layer("fc_sfc").W_pos, other.get_layer("fc_sfc").W_pos)
    draws = []
    for seed in (1, 2):
        keras.utils.set_random_seed(0)
        separate(original, units=3, seed=seed)
        draws.append(np.asarray(keras.initializers.RandomNormal()((3,))))
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("share", [False, True])
def test_layers_that_stay_are_copies_or_shared(share):
    original = simple()
    found = separate(original, units=3, share=share)
    assert (found.get_layer("conv") is original.get_layer("conv")) is share
    before = original.get_weights()
    found.compile("sgd", "mse")
    found.fit(some_input(original), np.zeros((5, 3)), verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(original.get_weights(), before, strict=True)]
    assert same == [not share, not share, True, True]


def test_neurons_to_spare_are_unused_but_can_learn():
    original = simple(outputs=1)  # 4 products make every kernel
    found = separate(original, units=9, start="svd", seed=0)
    assert_same_predictions(original, found)
    rows = np.asarray(found.get_layer("fc").kernel)
    assert not rows[4:].any()
    assert rows[:4].all()
    assert np.abs(found.get_layer("fc_sfc").W_pos[4:]).min() > 0


def test_dense_keeps_its_settings():
    settings = {
        "activation": "tanh",
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "kernel_constraint": keras.constraints.MaxNorm(3),
        "dtype": "mixed_bfloat16",
    }
    found = separate(simple(**settings), units=3)
    dense, sfc = found.get_layer("fc"), found.get_layer("fc_sfc")
    config, before = dense.get_config(), simple(**settings).get_layer("fc").get_config()
    assert config == before
    assert sfc.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("start", ["fresh", "svd"])
def test_frozen_layers_stay_frozen_unless_they_start_anew(start):
    original = simple()
    original.trainable = False
    found = separate(original, units=3, start=start)
    new = ["fc/kernel", "fc/bias"] if start == "fresh" else []
    assert [w.path for w in found.trainable_weights] == ["fc_sfc/W_pos", "fc_sfc/W_chan", *new]


def test_classes_stay():
    class Own(keras.Model):
        def extra(self):
            return 7

    inputs = keras.Input((9, 4))
    own = Own(inputs, layers.Dense(3)(flat(inputs)))
    assert separate(own, units=2).extra() == 7
    assert isinstance(separate(sequential(), units=2), keras.Sequential)
    assert isinstance(separate(simple(), units=2), SeparableModel)


def test_one_place_of_several_by_its_name():
    inputs = keras.Input((11, 4))
    x = flat(conv(inputs))
    flattened = layers.Flatten(name="flat_2", data_format="channels_last")(inputs)
    outputs = [layers.Dense(2, name="a")(x), layers.Dense(2, name="b")(flattened)]
    original = keras.Model(inputs, outputs)
    assert {p.dense for p in separate(original, units=2).separated} == {"a", "b"}
    assert [p.dense for p in separate(original, units=2, layer="a").separated] == ["a"]
    assert [p.dense for p in separate(original, units=2, layer="flat_2").separated] == ["b"]
    with pytest.raises(ValueError, match=r"one of \['a', 'b', 'flat_2', 'flatten\w*'\], got 'c'"):
        separate(original, units=2, layer="c")


def test_a_new_name_is_one_that_is_free():
    """Keras counts names anew in every process, and the user may have chosen ours."""
    inputs = keras.Input((11, 4))
    x = inputs
    for name in ("fc_sfc", "fc_sfc_1", "fc_sfc_map", "fc_inputs", "fc_sfc_2"):
        x = conv(x, 4, 1, name=name)
    pair = [layers.Dropout(0.1)(flat(x)), flat(layers.Permute((2, 1))(x))]
    for ends in (pair[:1], pair):
        vector = layers.Concatenate()(ends) if len(ends) > 1 else ends[0]
        original = random_weights(keras.Model(inputs, layers.Dense(2, name="fc")(vector)))
        assert_same_predictions(original, separate(original, ENOUGH, start="svd"))


def test_a_sequential_model_with_the_new_name():
    first = layers.Conv1D(4, 3, name="fc_sfc")
    built = keras.Sequential([keras.Input((11, 4)), first, FLATTEN(), layers.Dense(2, name="fc")])
    (place,) = separate(built, units=2).separated
    assert place.sfc == "fc_sfc_1"


def test_an_adapted_normalization_stays_so():
    normal = layers.Normalization()
    normal.adapt(3 + 5 * np.random.default_rng(0).normal(size=(20, 9, 4)))
    original = dense_behind(normal, FLATTEN())
    assert_same_predictions(original, separate(original, ENOUGH, start="svd"))


def with_head(between):
    """Two Dense layers on maps: `a` on one flattened as usual, `b` as `between` has it."""
    inputs = keras.Input((9, 4))
    x = flat(conv(inputs, name="conv"))
    both = [layers.Dense(2, name="a")(x), between(conv(inputs, name="conv_b"))]
    return random_weights(keras.Model(inputs, both))


def b(x):
    return layers.Dense(2, name="b")(x)


def inside(*parts, shape=(7, 4)):
    return keras.Sequential([keras.Input(shape), *parts], name="body")


MISSED = {
    "normalisation": lambda x: b(layers.UnitNormalization(name="it")(flat(x))),
    "operator": lambda x: b(flat(x) * 2.0),
    "slice": lambda x: b(flat(x)[:, :20]),
    "reshape": lambda x: b(keras.ops.reshape(x, (-1, 28))),
    "Lambda": lambda x: b(layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 28)), (28,))(x)),
    "Add": lambda x: b(layers.Add(name="it")([flat(x), flat(x)])),
    "dropout behind it": lambda x: b(layers.Dropout(0.1)(layers.UnitNormalization()(flat(x)))),
    "beside a place": lambda x: b(layers.Concatenate()([flat(x), 2.0 * flat(x)])),
    "flattened in a nested model": lambda x: b(inside(FLATTEN())(x)),
    "Dense in a nested model": lambda x: inside(layers.Dense(2, name="b"), shape=(28,))(flat(x)),
    "flattened on four axes": lambda x: b(flat(layers.Reshape((7, 2, 1, 2))(x))),
}
WHAT = {
    "normalisation": r"'it' \(UnitNormalization\)",
    "dropout behind it": r"'unit_norm\w*' \(UnitNormalization\)",
    "slice": r"'\w+' \(GetItem\)",
    "reshape": r"'\w+' \(Reshape\)",
    "Lambda": r"'\w+' \(Lambda\)",
    "Add": r"'it' \(Add\)",
    "flattened in a nested model": r"'body' \(Sequential\)",
    "Dense in a nested model": r"'body' \(Sequential\)",
    "flattened on four axes": r"'flatten\w*' \(Flatten\)",
}


@pytest.mark.parametrize("name", MISSED)
def test_a_flattened_map_that_is_no_place_is_told_of(name):
    original = with_head(MISSED[name])
    what = WHAT.get(name, r"'\w+' \(Multiply\)")
    with pytest.warns(UserWarning, match=f"separate: 'b' reads a flattened map too, but {what} st"):
        found = separate(original, ENOUGH, start="svd")
    dense = {place.dense for place in found.separated}
    assert dense == ({"a", "b"} if name == "beside a place" else {"a"})
    assert_same_predictions(original, found)
    separate(original, units=2, layer="a")  # warnings are errors here: it asks for no more


TOLD = {
    "pooled": lambda x: b(layers.GlobalMaxPooling1D()(x)),
    "recurrent": lambda x: b(layers.LSTM(28)(x)),
    "behind a Dense": lambda x: b(layers.Dense(28)(flat(x))),
    "flattened twice": lambda x: b(layers.Reshape((-1,))(FLATTEN()(flat(x)))),
}


@pytest.mark.parametrize("name", TOLD)
def test_nothing_is_told_where_nothing_is_missed(name):
    """Warnings are errors here."""
    original = with_head(TOLD[name])
    found = separate(original, ENOUGH, start="svd")
    assert len(found.separated) == (1 if name in ("pooled", "recurrent") else 2)
    assert_same_predictions(original, found)


class Doubled(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


class Unknown(layers.Layer):
    """A layer without get_config."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Stubborn(keras.Model):
    def __init__(self, inputs, outputs, taste, name=None):
        super().__init__(inputs, outputs, name=name)


def dense_behind(*between, inputs=(9, 4)):
    first = x = keras.Input(inputs)
    for layer in between:
        x = layer(x)
    return keras.Model(first, layers.Dense(2, name="fc")(x))


def with_lora():
    built = simple()
    built.get_layer("fc").enable_lora(2)
    return built


def quantised():
    built = simple()
    built.get_layer("fc").quantize("int8")
    return built


def shared(*maps):
    fc, inputs = layers.Dense(2, name="fc"), keras.Input((12, 4))
    return keras.Model(inputs, [fc(make(inputs)) for make in maps])


def flat_behind_a_nested_model():
    inputs = keras.Input((9, 4))
    return dense_behind(keras.Model(inputs, flat(inputs), name="backbone"))


def dense_in_a_nested_model():
    inputs = keras.Input((9, 4))
    return keras.Model(inputs, inside(layers.Dense(2, name="b"), shape=(36,))(flat(inputs)))


def own_dense():
    inputs = keras.Input((9, 4))
    return keras.Model(inputs, Doubled(2, name="fc")(flat(inputs)))


def in_time():
    inner = keras.Sequential([keras.Input((9, 4)), layers.Flatten(), layers.Dense(2)])
    inputs = keras.Input((3, 9, 4))
    return keras.Model(inputs, layers.TimeDistributed(inner, name="times")(inputs))


def stubborn():
    inputs = keras.Input((9, 4))
    return Stubborn(inputs, layers.Dense(2)(flat(inputs)), taste="bad")


REFUSED = {
    "pooled": (
        lambda: dense_behind(layers.GlobalMaxPooling1D()),
        r"here: 'fc' behind 'global_max\w+' \(GlobalMaxPooling1D\)",
    ),
    "within TimeDistributed": (in_time, r"none\. Not entered: 'times' \(TimeDistributed\)\."),
    "on every position": (lambda: dense_behind(layers.Conv1D(3, 2)), "found no map"),
    "no Dense": (lambda: keras.Sequential([keras.Input((9, 4)), FLATTEN()]), "layers here: none"),
    "flat already": (lambda: dense_behind(FLATTEN(), inputs=(9,)), "found no map"),
    "one position": (lambda: dense_behind(FLATTEN(), inputs=(1, 9)), "found no map"),
    "norm between": (lambda: dense_behind(FLATTEN(), layers.UnitNormalization()), "found no map"),
    "flat in a nested model": (flat_behind_a_nested_model, "found no map.*'fc' behind 'backbone' "),
    "Dense in a nested model": (
        dense_in_a_nested_model,
        r"here: 'b' behind an input of 'body' \(Sequential\)",
    ),
    "subclassed": (Subclassed, "expected a functional or built sequential model"),
    "not built": (lambda: keras.Sequential([FLATTEN(), layers.Dense(2)]), "expected a functional"),
    "LoRA": (with_lora, "'fc' is trained with LoRA"),
    "quantised": (quantised, r"'fc' is quantised \(int8\)"),
    "Dense of its own class": (own_dense, r"'fc' is of a class of its own \(Doubled\)"),
    "shared by other shapes": (
        lambda: shared(flat, lambda x: flat(layers.Permute((2, 1))(x))),
        "'fc' is shared, and does not read flattened maps of the same shape",
    ),
    "shared with a vector": (
        lambda: shared(flat, lambda x: layers.Dense(48)(layers.GlobalMaxPooling1D()(x))),
        "'fc' is shared",
    ),
    "a vector first": (
        lambda: shared(lambda x: layers.Dense(48)(layers.GlobalMaxPooling1D()(x)), flat),
        "'fc' is shared",
    ),
    "image with channels first": (
        lambda: dense_behind(FLATTEN(data_format="channels_first"), inputs=(4, 5, 3)),
        r"'fc' reads a map of shape \(4, 5, 3\) with channels first",
    ),
    "layer that can't be copied": (
        lambda: dense_behind(Unknown(2.0), FLATTEN()),
        r"'unknown\w*' \(Unknown\) can't be copied from its get_config",
    ),
    "constructor of its own": (stubborn, r"Stubborn can't be made of \(inputs, outputs, name\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    build, words = REFUSED[name]
    with pytest.raises(ValueError, match=f"^separate: .*{words}"):
        separate(build(), units=2)


def test_a_layer_that_cannot_be_copied_can_be_shared():
    original = random_weights(dense_behind(Unknown(2.0), FLATTEN()))
    assert_same_predictions(original, separate(original, 30, start="svd", share=True))


def test_vgg_of_keras_itself():
    original = keras.applications.VGG16(
        weights=None, input_shape=(64, 64, 3), classes=2, classifier_activation=None
    )
    found = separate(original, units=5, share=True)
    (place,) = found.separated
    assert (place.dense, place.length, place.channels) == ("fc1", 4, 512)
    assert found.count_params() == original.count_params() - 4 * 512 * 4096 + 5 * (4 + 512 + 4096)
    with pytest.raises(ValueError, match=r"'fc1' reads a map .* positions are not in a row"):
        separate(original, units=5, share=True, symmetric=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "cold"}, r"start must be one of \('fresh', 'svd'\), got 'cold'"),
        ({"units": 0}, "units must be an integer >= 1, got 0"),
        ({"curvature": -1.0}, "curvature must be a finite number >= 0"),
        ({"symmetric": "yes"}, "symmetric must be True or False"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        separate(simple(), **options)


def test_too_few_positions_for_curvature_are_named():
    with pytest.raises(UserError, match="at 'fc': Curvature needs W_pos with at least 3"):
        separate(simple(length=4), units=2, symmetric=True, curvature=1.0)


def test_no_units_match_so_few_weights():
    with pytest.raises(ValueError, match=r"at 'fc': match_units: no SFC .* units yourself"):
        separate(simple(length=2, channels=2, outputs=1))


@given(st.tuples(*[st.integers(1, 6)] * 3), st.integers(0, 10), st.integers(0, 2))
def test_enough_products_are_the_kernel(shape, seed, zeros):
    """As many as the two smaller sizes multiplied; also of kernels with empty slices."""
    kernel = np.random.default_rng(seed).normal(size=shape)
    kernel[:zeros] = 0
    enough = int(np.prod(sorted(shape)[:2]))
    w_pos, w_chan, rows, kept = products(kernel, enough)
    assert len(w_pos) == len(w_chan) == len(rows) <= enough
    np.testing.assert_allclose(np.einsum("kl,kc,kj->lcj", w_pos, w_chan, rows), kernel, atol=1e-9)
    assert kept == pytest.approx(1)


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 10))
def test_for_one_output_they_are_the_best_of_any(length, channels, seed):
    """Eckart and Young: what is lost is the sum of the other singular values' squares."""
    kernel = np.random.default_rng(seed).normal(size=(length, channels, 1))
    for units in range(1, 4):
        values = np.linalg.svd(kernel[:, :, 0], compute_uv=False)
        *_, kept = products(kernel, units)
        assert kept == pytest.approx(np.sum(values[:units] ** 2) / np.sum(values**2))


@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10))
def test_symmetric_products_are_the_nearest_symmetric_kernel(length, channels, outputs, seed):
    kernel = np.random.default_rng(seed).normal(size=(length, channels, outputs))
    stored, w_chan, rows, kept = products(kernel, 100, symmetric=True)
    assert stored.shape[1] == (length + 1) // 2
    whole = np.concatenate([stored, stored[:, : length // 2][:, ::-1]], axis=1)
    found, nearest = np.einsum("kl,kc,kj->lcj", whole, w_chan, rows), (kernel + kernel[::-1]) / 2
    np.testing.assert_allclose(found, nearest, atol=1e-9)
    assert kept == pytest.approx(np.sum(nearest**2) / np.sum(kernel**2))


@given(st.integers(0, 20), st.booleans())
def test_sweeps_come_nearer_and_the_products_are_of_moderate_size(seed, symmetric):
    kernel = np.random.default_rng(seed).normal(size=(6, 5, 4))
    kept = [products(kernel, 6, symmetric, sweeps)[3] for sweeps in (0, 1, 5)]
    assert kept[0] < kept[1] < kept[2] < 1
    *factors, _ = products(kernel, 6, symmetric)
    sizes = [np.linalg.norm(factor, axis=1) for factor in factors[1:]]
    np.testing.assert_allclose(*sizes)


def test_a_kernel_of_zeros():
    w_pos, *_, kept = products(np.zeros((3, 4, 2)), 5)
    assert len(w_pos) == 0
    assert kept == 1
