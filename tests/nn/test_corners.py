"""Keras's corners: the layer and the networks in all that Keras lets people do with a model."""

import pickle

import keras
import numpy as np
import pytest
from keras import layers

from sfc_lib import Curvature, SeparableFC, build_model, fold_separable
from sfc_lib.nn.encoding import with_codes, with_one_hot
from sfc_lib.nn.folding import CollapsedPair, SeparableModel


def network(variant="sep", **options):
    """A narrow network that collapses SFC + Dense at usual batches; codes and labels."""
    rng = np.random.default_rng(0)
    options = {"width": 0.2, "units": 200, **options}
    model = build_model("simulated_tf", variant, length=60, tasks=3, **options)
    codes = rng.integers(0, 4, size=(256, 60), dtype=np.uint8)
    return model, codes, rng.integers(0, 2, size=(256, 3)).astype("float32")


def one_by_one(model):
    """The same layers, computed one after the other."""
    return keras.Model(model.input, model.output)


def maps(examples=12):
    return np.random.default_rng(0).normal(size=(examples, 6, 3)).astype("float32")


def assert_folds(model, x, atol=1e-5):
    folded = fold_separable(model)
    assert not any(isinstance(layer, SeparableFC) for layer in folded.layers)
    expected = keras.tree.flatten(model(x, training=False))
    for found, right in zip(keras.tree.flatten(folded(x, training=False)), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=atol)
    return folded


# What was wrong before.


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("variant", ["sep", "symm"])
def test_quantised_network_predicts_alike_at_any_batch(variant):
    model, codes, _ = network(variant)
    before = model.predict(codes, verbose=0)
    model.quantize("int8")
    whole, few = model.predict(codes, verbose=0), model.predict(codes[:8], verbose=0)
    np.testing.assert_allclose(whole[:8], few, atol=1e-6)
    np.testing.assert_allclose(whole, before, atol=0.02)
    assert np.abs(whole - before).max() > 0, "nothing was quantised"
    with pytest.raises(ValueError, match=r"'dense_1' is quantised \(int8\). Fold first"):
        fold_separable(model)
    folded = fold_separable(network(variant)[0])
    folded.quantize("int8")


def through_file(model, folder, name="model.keras"):
    model.save(folder / name)
    return keras.models.load_model(folder / name, compile=False)


def cloned(model, _):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.filterwarnings("ignore:.*legacy")
@pytest.mark.parametrize(
    ("mode", "way"),
    [
        ("int8", through_file),
        ("int4", through_file),
        ("float8", through_file),
        ("int8", lambda model, folder: through_file(model, folder, "model.h5")),
        ("int8", lambda model, _: pickle.loads(pickle.dumps(model))),
        ("int8", cloned),
        ("int8", lambda model, _: SeparableModel(model.input, model.output)),
        ("int8", lambda model, _: with_codes(with_one_hot(model))),
    ],
    ids=["int8", "int4", "float8", "h5", "pickle", "clone", "made anew", "one-hot and back"],
)
def test_quantised_network_stays_so(mode, way, tmp_path):
    model, codes, _ = network()
    before = model.predict_on_batch(codes)
    model.quantize(mode)
    other = way(model, tmp_path)
    assert other.get_layer("dense_1").quantization_mode == mode
    found = other.predict_on_batch(codes)
    np.testing.assert_allclose(found, model.predict_on_batch(codes), atol=1e-6)
    assert np.abs(found - before).max() > 0, "nothing was quantised"


def test_one_dense_behind_two_sfc_layers_is_two_when_folded():
    inputs, dense = keras.Input((6, 3)), layers.Dense(4, name="fc")
    outputs = [dense(SeparableFC(5)(inputs)), dense(SeparableFC(5)(inputs))]
    folded = assert_folds(keras.Model(inputs, outputs), maps())
    assert {layer.name for layer in folded.layers if layer.weights} == {"fc", "fc_1"}


@pytest.mark.parametrize("how", [layers.Add, layers.Concatenate])
@pytest.mark.parametrize("maps_read", [1, 2])
def test_what_meets_in_one_dense_is_summed(how, maps_read):
    inputs = keras.Input((6, 3))
    second = inputs if maps_read == 1 else layers.Conv1D(4, 3)(inputs)
    met = how()([SeparableFC(5)(inputs), SeparableFC(5, symmetric=True)(second)])
    dense = layers.Dense(2, bias_initializer="random_normal", name="fc")
    folded = assert_folds(keras.Model(inputs, dense(met)), maps())
    assert folded.get_layer("fc").kernel.shape[0] == {1: 18, 2: 18 + 4 * 4}[maps_read]


def test_other_vectors_may_meet_too():
    inputs, numbers = keras.Input((6, 3)), keras.Input((4,))
    sfc = SeparableFC(5)
    met = layers.Concatenate()([numbers, sfc(inputs), layers.Add()([numbers, numbers])])
    met = layers.Add()([layers.Dense(13)(numbers), met])
    x = [maps(), np.ones((12, 4), "float32")]
    assert_folds(keras.Model([inputs, numbers], layers.Dense(2)(met)), x)


def test_strange_ways_to_meet_are_refused_by_name():
    """In an Add of one neuron and several, that one is repeated."""
    inputs = keras.Input((6, 3))
    sfc, add = SeparableFC(3, name="sfc")(inputs), layers.Add
    one, flat = SeparableFC(1, name="sfc")(inputs), layers.Flatten()(inputs)
    for met in (
        *(layers.Multiply()([sfc, sfc]), sfc + 1.0, add()([sfc, inputs])),
        *(add()([one, SeparableFC(5)(inputs)]), add()([one, layers.Dense(5)(flat)])),
        add()([sfc, layers.Dense(1)(flat)]),
    ):
        model = keras.Model(inputs, layers.Dense(2)(met))
        with pytest.raises(ValueError, match="'sfc' is followed by the layer '"):
            fold_separable(model)


def test_shared_layers_whose_inputs_meet_in_another_way():
    """Where two pieces read one input their kernels are added; else they stand side by side."""
    one, two = keras.Input((6, 3)), keras.Input((6, 3))
    first, second, dense = SeparableFC(5), SeparableFC(5), layers.Dense(2)
    numbers = keras.Input((4,)), keras.Input((4,))
    side, wide = layers.Concatenate(), layers.Dense(2)
    outputs = [
        *(dense(layers.Add()([first(one), second(x)])) for x in (one, two, one)),
        *(wide(side([first(one), numbers[0], x])) for x in (numbers[0], numbers[1])),
    ]
    x = [maps(), maps()[::-1], np.ones((12, 4), "float32"), np.eye(12, 4, dtype="float32")]
    folded = assert_folds(keras.Model([one, two, *numbers], outputs), x)
    shapes = [layer.kernel.shape[0] for layer in folded.layers if layer.weights]
    assert sorted(shapes) == [18, 18 + 4, 18 + 4 + 4, 36]


def test_names_that_the_model_has_already():
    """As after loading: Keras counts names anew in every process."""
    inputs, dense = keras.Input((6, 3)), layers.Dense(4, name="fc")
    x = layers.Conv1D(3, 1, name="fc_flat")(layers.Conv1D(3, 1, name="fc_1")(inputs))
    x = layers.Conv1D(3, 1, name="sfc_fc")(x)
    outputs = [dense(SeparableFC(30, name="sfc")(x)), dense(SeparableFC(30)(inputs))]
    model = SeparableModel(inputs, outputs)
    folded = assert_folds(model, maps())
    assert {"fc", "fc_2"} <= {layer.name for layer in folded.layers}


def test_an_adapted_normalization_is_copied_as_it_is():
    inputs, inner = keras.Input((6, 3)), keras.Input((6, 3))
    normal, within = layers.Normalization(), layers.Normalization()
    for layer in (normal, within):
        layer.adapt(5 + 3 * maps())
    nested = keras.Model(inner, within(inner))
    model = keras.Model(inputs, layers.Dense(2)(SeparableFC(5)(nested(normal(inputs)))))
    assert_folds(model, maps())


class Absolute(SeparableFC):
    def call(self, x):
        return keras.ops.abs(super().call(x))


def test_a_subclass_with_a_call_of_its_own_is_left_alone():
    inputs = keras.Input((6, 3))
    hidden = Absolute(30)(inputs)
    model = SeparableModel(
        inputs, [layers.Dense(2)(hidden), layers.Dense(2)(SeparableFC(5)(inputs))]
    )
    for found, right in zip(model(maps()), one_by_one(model)(maps()), strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)
    folded = fold_separable(model)
    for found, right in zip(folded(maps()), one_by_one(model)(maps()), strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)
    assert [type(part) for part in folded.layers if isinstance(part, SeparableFC)] == [Absolute]
    only = keras.Model(inputs, layers.Dense(2)(hidden))
    assert fold_separable(only) is only


def two_strands():
    """One SFC layer and one Dense, both of them used for either strand."""
    inputs, sfc, dense = keras.Input((6, 3)), SeparableFC(8), layers.Dense(2)
    strands = inputs, inputs[:, ::-1, ::-1]
    outputs = layers.Average()([dense(sfc(strand)) for strand in strands])
    return SeparableModel(inputs, outputs)


def test_a_shared_pair_is_one():
    model = two_strands()
    folded = assert_folds(model, maps())
    assert folded.count_params() == 6 * 3 * 2 + 2
    np.testing.assert_allclose(model(maps()), one_by_one(model)(maps()), atol=1e-6)
    pairs = [layer for layer in model._fast().layers if isinstance(layer, CollapsedPair)]
    assert len(pairs) == 1


def test_lora_is_merged():
    inputs = keras.Input((6, 3))
    dense = layers.Dense(2, name="fc")
    model = SeparableModel(inputs, layers.Dense(2)(dense(SeparableFC(8)(inputs))))
    for layer in model.layers[-2:]:
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(np.full((2, 2), 0.5))
    folded = assert_folds(model, maps())
    assert not folded.get_layer("fc").lora_enabled
    np.testing.assert_allclose(model(maps()), one_by_one(model)(maps()), atol=1e-5)


def test_lambda_layers_and_operators_are_kept():
    inputs = keras.Input((6, 3))
    x = layers.Lambda(lambda x: keras.ops.square(x) - 1)(inputs) * 2.0 + inputs
    model = keras.Model(inputs, keras.ops.sigmoid(layers.Dense(2)(SeparableFC(5)(x))))
    assert_folds(model, maps())


def test_nested_models_are_folded():
    inputs, outer = keras.Input((6, 3)), keras.Input((6, 3))
    inner = keras.Model(inputs, layers.Dense(2)(SeparableFC(5)(inputs)), name="inner")
    model = keras.Model(outer, layers.Add()([inner(outer), inner(layers.ReLU()(outer))]))
    folded = assert_folds(model, maps())
    assert not any(isinstance(part, SeparableFC) for part in folded.get_layer("inner").layers)
    cut = keras.Model(outer, layers.Dense(2)(keras.Model(inputs, SeparableFC(5)(inputs))(outer)))
    with pytest.raises(ValueError, match="is followed by nothing: it is an output of the model"):
        fold_separable(cut)


def test_a_layer_that_cannot_be_copied_is_named():
    class Scaled(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="scaled")
            self.factor = factor

        def call(self, x):
            return x * self.factor

    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, layers.Dense(2)(SeparableFC(5)(Scaled(2.0)(inputs))))
    with pytest.raises(ValueError, match=r"fold_separable: 'scaled' \(Scaled\) can't be copied"):
        fold_separable(model)


@pytest.mark.filterwarnings("ignore:.*legacy")
def test_weights_and_models_in_h5(tmp_path):
    model, codes, _ = network("symm", curvature=1.0)
    expected = model.predict_on_batch(codes)
    model.save_weights(tmp_path / "model.weights.h5")
    other, _, _ = network("symm", curvature=1.0)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict_on_batch(codes), expected)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    assert isinstance(loaded, SeparableModel)
    np.testing.assert_array_equal(loaded.predict_on_batch(codes), expected)


# What was right, and should stay so.


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision(policy):
    model, codes, labels = network(precision=policy)
    sfc = model.get_layer("sfc")
    assert sfc.W_pos.dtype == ("float64" if policy == "float64" else "float32")
    assert sfc.output.dtype == policy.removeprefix("mixed_")
    full, _, _ = network()
    full.set_weights(model.get_weights())
    expected = full.predict_on_batch(codes)
    np.testing.assert_allclose(model.predict_on_batch(codes), expected, atol=0.02)
    model.compile("sgd", "binary_crossentropy")
    before = sfc.get_weights()
    model.train_on_batch(codes, labels)
    assert not any(map(np.array_equal, sfc.get_weights(), before))


def test_compiled_by_xla():
    trained = []
    for jit in (True, False):
        keras.utils.set_random_seed(0)
        model, codes, labels = network("symm", dropout=0.0, curvature=1.0)
        model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", jit_compile=jit)
        for _ in range(3):
            model.train_on_batch(codes, labels)
        trained.append(model.predict_on_batch(codes))
    np.testing.assert_allclose(*trained, atol=1e-4)


def test_time_distributed():
    """It is no SFC layer to fold."""
    inputs = keras.Input((4, 6, 3))
    sfc = SeparableFC(5, symmetric=True)
    model = keras.Model(inputs, layers.TimeDistributed(sfc)(inputs))
    assert fold_separable(model) is model
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")
    for time in range(4):
        np.testing.assert_allclose(model(x)[:, time], sfc(x[:, time]), atol=1e-6)


@pytest.mark.parametrize("way", ["clone", "pickle", "from_config", "json"])
def test_copies(way):
    model, codes, _ = network("symm", curvature=2.0, limit=0.1)
    copy = {
        "clone": keras.models.clone_model,
        "pickle": lambda model: pickle.loads(pickle.dumps(model)),
        "from_config": lambda model: type(model).from_config(model.get_config()),
        "json": lambda model: keras.models.model_from_json(model.to_json()),
    }[way](model)
    assert isinstance(copy, SeparableModel)
    copy.set_weights(model.get_weights())
    found = copy.predict_on_batch(codes)
    np.testing.assert_array_equal(found, model.predict_on_batch(codes))
    assert copy.get_layer("sfc").get_config() == model.get_layer("sfc").get_config()
    copy.set_weights([0 * w for w in copy.get_weights()])
    assert model.get_layer("sfc").W_pos.numpy().any()


def test_two_heads():
    inputs = keras.Input((6, 3))
    hidden = SeparableFC(8)(inputs)
    heads = {name: layers.Dense(2, name=name)(hidden) for name in ("counts", "profile")}
    model = SeparableModel(inputs, heads)
    expected = one_by_one(model)(maps())
    for name, found in model(maps()).items():
        np.testing.assert_allclose(found, expected[name], atol=1e-6)
    model.compile("sgd", {"counts": "mse", "profile": "mse"})
    zeros = np.zeros((12, 2))
    model.fit(maps(), {"counts": zeros, "profile": zeros}, verbose=0)
    assert_folds(model, maps())


def test_within_a_subclassed_model(tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.sfc = SeparableFC(5, positional_regularizer=Curvature(1.0))
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(self.sfc(x))

    model = Own()
    model.compile("sgd", "mse")
    model.fit(maps(), np.zeros((12, 2)), verbose=0)
    assert len(model.losses) == 1
    model.save(tmp_path / "own.keras")
    loaded = keras.models.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(loaded(maps()), model(maps()), atol=1e-6)


def test_a_shared_layer_is_trained_by_both_uses():
    model = two_strands()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    plain = one_by_one(two_strands())
    plain.set_weights(model.get_weights())
    plain.compile(keras.optimizers.SGD(0.1), "mse")
    for each in (model, plain):
        each.train_on_batch(maps(), np.zeros((12, 2)))
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_unknown_known_and_changing_batch():
    model, codes, _ = network()
    expected = one_by_one(model).predict(codes, verbose=0)
    for size in (1, 7, 256):
        found = model.predict(codes, batch_size=size, verbose=0)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    known = keras.Input(batch_shape=(4, 6, 3))
    assert SeparableFC(8)(known).shape == (4, 8)
    assert SeparableFC(8)(keras.Input((6, 3))).shape == (None, 8)


# In a process of each backend's own: training, folding, separating, and that TensorFlow
# is not needed by the other two.
SCRIPT = """
import sys
if sys.argv[1] != "tensorflow":
    sys.modules["tensorflow"] = None  # importing it fails
import keras, numpy as np
from sfc_lib import build_model, fold_separable, separate

assert keras.backend.backend() == sys.argv[1]
rng = np.random.default_rng(0)
codes = rng.integers(0, 4, size=(128, 60), dtype="uint8")
labels = rng.integers(0, 2, size=(128, 3)).astype("float32")
model = build_model("simulated_tf", "symm", length=60, tasks=3, width=0.2, units=200)
model.compile("adam", "binary_crossentropy")
model.train_on_batch(codes, labels)
found, expected = (keras.ops.convert_to_numpy(m(codes)) for m in (fold_separable(model), model))
np.testing.assert_allclose(found, expected, atol=1e-5)
std = build_model("simulated_tf", "std", length=60, tasks=3, width=0.2)
new = separate(std, units=100, start="svd")  # 7 positions, 10 channels
found, expected = (keras.ops.convert_to_numpy(each(codes)) for each in (new, std))
np.testing.assert_allclose(found, expected, atol=1e-5)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend(backend, on_backend):
    on_backend(backend, SCRIPT, backend)
