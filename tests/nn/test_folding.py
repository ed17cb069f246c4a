"""Folded models predict the same; the collapsed path trains the same; what can't fold says why."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import sfc_lib
from sfc_lib import build_model, fold_separable
from sfc_lib.nn.folding import CollapsedPair, SeparableModel, collapse_pays
from sfc_lib.nn.layers import SeparableFC

NETWORKS = [
    (architecture, variant, length, tasks)
    for architecture, length, tasks in (("simulated_tf", 200, 3), ("chip_seq", 300, 1))
    for variant in ("sep", "symm")
] + [("basset", "symm", 600, 2)]


def network(architecture, variant, length, tasks):
    """A narrow network whose weights are all random, batch normalisation's too; and codes."""
    rng = np.random.default_rng(1)
    model = build_model(architecture, variant, length=length, tasks=tasks, width=0.1)
    model.set_weights([rng.uniform(0.1, 0.5, size=w.shape) for w in model.get_weights()])
    return model, rng.integers(0, 5, size=(9, length), dtype=np.uint8)


def plain(model):
    """The same layers computed one after the other."""
    return keras.Model(model.input, model.output)


def pair(length=6, channels=3, units=8, outputs=2, symmetric=False, **options):
    inputs = keras.Input((length, channels))
    hidden = SeparableFC(units, symmetric=symmetric)(inputs)
    outputs = layers.Dense(outputs, bias_initializer="random_normal", **options)(hidden)
    return SeparableModel(inputs, outputs)


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: "-".join(map(str, case)))
def test_folded_network_predicts_the_same(case):
    model, codes = network(*case)
    folded = fold_separable(model)
    np.testing.assert_allclose(
        folded.predict_on_batch(codes), plain(model).predict_on_batch(codes), atol=1e-5
    )
    kinds = [type(layer) for layer in folded.layers]
    assert SeparableFC not in kinds
    assert layers.Flatten in kinds


def test_folded_network_has_the_layers_of_std():
    std = build_model("simulated_tf", "std", length=200, tasks=3)
    folded = fold_separable(build_model("simulated_tf", "symm", length=200, tasks=3))
    assert [w.shape for w in folded.weights] == [w.shape for w in std.weights]
    assert [layer.name for layer in folded.layers if layer.weights] == [
        layer.name for layer in std.layers if layer.weights
    ]


def test_folded_kernel_by_hand():
    model = pair(length=2, channels=2, units=3, outputs=1)
    w_pos, w_chan = np.array([[1, 2], [3, 4], [5, 6]]), np.array([[1, 10], [2, 0], [0, 1]])
    model.set_weights([w_pos, w_chan, np.array([[1], [10], [100]]), np.array([7])])
    kernel, bias = fold_separable(model).get_weights()
    # position 0: 1·1·1 + 10·3·2 + 100·5·0 = 61 and 10 + 0 + 500; position 1 likewise
    assert kernel.ravel().tolist() == [61, 510, 82, 620]
    assert bias.tolist() == [7]


def test_folded_model_is_a_copy():
    model, codes = network("chip_seq", "sep", 300, 1)
    folded, before = fold_separable(model), model.get_weights()
    folded.set_weights([np.zeros_like(w) for w in folded.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    again = fold_separable(model)
    assert again.predict_on_batch(codes).any()


def test_model_without_sfc_is_returned_as_it_is():
    model = build_model("simulated_tf", "std", length=200, tasks=3, width=0.1)
    assert fold_separable(model) is model


def test_sequential_model_folds():
    model = keras.Sequential([keras.Input((6, 3)), SeparableFC(5), layers.Dense(2, "relu")])
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    found = fold_separable(model).predict_on_batch(x)
    np.testing.assert_allclose(found, model.predict_on_batch(x), atol=1e-6)


def test_two_dense_layers_behind_one_sfc_both_fold():
    inputs = keras.Input((6, 3))
    hidden = SeparableFC(5)(inputs)
    model = keras.Model(inputs, [layers.Dense(2)(hidden), layers.Dense(1, use_bias=False)(hidden)])
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    folded = fold_separable(model)
    assert not any(isinstance(layer, SeparableFC) for layer in folded.layers)
    for found, expected in zip(folded.predict_on_batch(x), model.predict_on_batch(x), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("between", "message"),
    [
        (layers.BatchNormalization(), r"'sfc' is followed by the layer '\w+' \(BatchNormaliz"),
        (layers.ReLU(), r"'sfc' is followed by the layer '\w+' \(ReLU\)"),
        (layers.Dropout(0.5), r"'sfc' is followed by the layer '\w+' \(Dropout\)"),
        (None, r"'sfc' is followed by nothing: it is an output of the model"),
    ],
    ids=["batch normalisation", "activation", "dropout", "nothing"],
)
def test_refusal_says_what_stands_in_between(between, message):
    inputs = keras.Input((6, 3))
    hidden = SeparableFC(5, name="sfc")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(between(hidden)) if between else hidden)
    with pytest.raises(ValueError, match=message):
        fold_separable(model)


def test_another_use_of_the_output_is_refused():
    inputs = keras.Input((6, 3))
    hidden = SeparableFC(5)(inputs)
    model = keras.Model(inputs, layers.Add()([layers.Dense(5)(hidden), hidden]))
    with pytest.raises(ValueError, match=r"followed by the layer '\w+' \(Add\)"):
        fold_separable(model)


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="expected a functional or built sequential model, got"):
        fold_separable(Own())


@pytest.mark.parametrize(
    ("batch", "units", "outputs", "pays"),
    [
        (54, 648, 50, False),
        (55, 648, 50, True),
        (2, 18, 1, True),
        (10**6, 9, 9, False),
        (9, 1, 5, False),
    ],
)
def test_collapse_pays_from_the_stated_batch_on(batch, units, outputs, pays):
    assert collapse_pays(batch, units, outputs) is pays


@settings(max_examples=10)
@given(
    length=st.integers(1, 8),
    channels=st.integers(1, 3),
    symmetric=st.booleans(),
    use_bias=st.booleans(),
)
def test_collapsed_path_computes_what_the_layers_do(length, channels, symmetric, use_bias):
    model = pair(length, channels, symmetric=symmetric, use_bias=use_bias, activation="tanh")
    x = np.random.default_rng(0).normal(size=(12, length, channels)).astype("float32")
    assert collapse_pays(12, 8, 2)
    np.testing.assert_allclose(model(x), plain(model)(x), atol=1e-5)


def test_collapsed_path_is_taken_only_where_it_pays(monkeypatch):
    taken = []
    monkeypatch.setattr(
        "sfc_lib.nn.folding.outer_products", lambda *w: (taken.append(1), sum_outer(*w))[1]
    )
    sum_outer = sfc_lib.nn.layers.outer_products
    model = pair()  # 8 neurons before 2 outputs: from 3 examples on
    model(np.ones((2, 6, 3)))
    assert not taken
    model(np.ones((3, 6, 3)))
    assert taken == [1]


@pytest.mark.parametrize("which", ["sfc", "dense"])
def test_a_penalty_on_a_layers_output_is_not_lost(which):
    penalty = {"activity_regularizer": keras.regularizers.L2(0.1)}
    inputs = keras.Input((6, 3))
    hidden = SeparableFC(8, **(penalty if which == "sfc" else {}))(inputs)
    model = SeparableModel(inputs, layers.Dense(2, **(penalty if which == "dense" else {}))(hidden))
    x = np.random.default_rng(0).normal(size=(12, 6, 3)).astype("float32")
    model(x)
    found = float(sum(model.losses))
    one_by_one = plain(model)
    one_by_one(x)
    assert found == pytest.approx(float(sum(one_by_one.losses)), rel=1e-5)
    assert found > 0


def test_a_dense_layer_of_a_users_own_kind_is_left_alone():
    class Doubled(layers.Dense):
        def call(self, x):
            return 2 * super().call(x)

    inputs = keras.Input((6, 3))
    outputs = Doubled(2)(SeparableFC(8, name="sfc")(inputs))
    model = SeparableModel(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(12, 6, 3)).astype("float32")
    np.testing.assert_allclose(model(x), plain(model)(x), atol=1e-6)
    with pytest.raises(ValueError, match=r"'sfc' is followed by the layer '\w+' \(Doubled\)"):
        fold_separable(model)


def test_saved_model_is_that_of_its_layers(tmp_path):
    model, codes = network("simulated_tf", "symm", 200, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, SeparableModel)
    assert not any(isinstance(layer, CollapsedPair) for layer in loaded.layers)
    np.testing.assert_array_equal(loaded.predict_on_batch(codes), model.predict_on_batch(codes))


# In a process of its backend's own, because Keras chooses it once: three epochs of the
# collapsed path against the layers one after the other, from the same weights.
SCRIPT = """
import sys
import keras, numpy as np
from sfc_lib import build_model

backend, variant = sys.argv[1:]
assert keras.backend.backend() == backend
rng = np.random.default_rng(0)
codes = rng.integers(0, 4, size=(120, 60), dtype="uint8")
labels = rng.integers(0, 2, size=(120, 3)).astype("float32")
trained = []
for collapse in (True, False):
    keras.utils.set_random_seed(0)
    model = build_model("simulated_tf", variant, length=60, tasks=3, width=0.2, units=200)
    if not collapse:
        model = keras.Model(model.input, model.output)
    model.get_layer("dropout_1").rate = 0.0
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    model.fit(codes, labels, batch_size=120, epochs=3, shuffle=False, verbose=0)
    trained.append(model.get_weights())
for one, other in zip(*trained, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
assert any(not np.array_equal(one, other) for one, other in zip(*trained)), "not collapsed"
"""


@pytest.mark.parametrize("variant", ["sep", "symm"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_collapsed_path_trains_the_same_weights(backend, variant, on_backend):
    on_backend(backend, SCRIPT, backend, variant)
