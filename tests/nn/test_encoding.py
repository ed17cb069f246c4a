"""Networks on codes and on one-hot sequences predict alike, and so do the files they export to."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from needs import need

from sfc_lib import build_model, fold_separable
from sfc_lib.errors import UserError
from sfc_lib.nn.encoding import reads, with_codes, with_one_hot
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.gradients import gradient_times_input
from sfc_lib.nn.layers import OneHotDNA

LENGTH = 60


def network(variant="symm", **options):
    if variant != "std":
        options = {"units": 20, **options}
    return build_model("simulated_tf", variant, length=LENGTH, tasks=3, width=0.1, **options)


def sequences(examples=20):
    """Codes, some of them N, and their one-hot rows."""
    codes = np.random.default_rng(0).integers(0, 5, (examples, LENGTH), dtype=np.uint8)
    return codes, (codes[..., None] == np.arange(4)).astype("float32")


@pytest.mark.parametrize("variant", ["std", "sep", "symm"])
def test_conversion_either_way(variant):
    model, (codes, one_hot) = network(variant), sequences()
    expected = model.predict_on_batch(codes)
    converted = with_one_hot(model)
    assert (reads(model), reads(converted)) == ("codes", "one_hot")
    np.testing.assert_allclose(converted.predict_on_batch(one_hot), expected, atol=1e-6)
    back = with_codes(converted)
    np.testing.assert_allclose(back.predict_on_batch(codes), expected, atol=1e-6)
    for each in (converted, back):
        assert isinstance(each, SeparableModel) is (variant != "std")
        assert [w.path for w in each.weights] == [w.path for w in model.weights]
        assert each.name == model.name
    assert (converted.inputs[0].name, back.inputs[0].name) == ("one_hot", "codes")


def test_built_with_a_one_hot_input():
    model, (codes, one_hot) = network(), sequences()
    built = network(one_hot=True)
    assert built.input_shape == (None, LENGTH, 4)
    assert built.count_params() == model.count_params()
    built.set_weights(model.get_weights())
    expected = model.predict_on_batch(codes)
    np.testing.assert_allclose(built.predict_on_batch(one_hot), expected, atol=1e-6)
    assert build_model("chip_seq", "std", length=200, tasks=1, one_hot=True).input_shape[1:] == (
        *(200, 4),
    )


def test_converted_is_a_copy_unless_there_is_nothing_to_do():
    model = network()
    before = model.get_weights()
    converted = with_one_hot(model)
    converted.set_weights([0 * w for w in converted.get_weights()])
    assert all(map(np.array_equal, model.get_weights(), before))
    assert with_codes(model) is model
    assert with_one_hot(converted) is converted


def test_folding_and_importance_take_either():
    model, (codes, one_hot) = network(), sequences()
    converted = with_one_hot(model)
    found = fold_separable(converted).predict_on_batch(one_hot)
    np.testing.assert_allclose(found, model.predict_on_batch(codes), atol=1e-6)
    also = with_one_hot(fold_separable(model)).predict_on_batch(one_hot)
    np.testing.assert_allclose(also, found, atol=1e-6)
    importance = gradient_times_input(converted, codes)
    np.testing.assert_allclose(importance, gradient_times_input(model, codes), atol=1e-6)


def test_saved_and_read_again(tmp_path):
    converted, (_, one_hot) = with_one_hot(network()), sequences()
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert reads(loaded) == "one_hot"
    expected = converted.predict_on_batch(one_hot)
    np.testing.assert_array_equal(loaded.predict_on_batch(one_hot), expected)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ([keras.Input((9,))], r"\[\(None, 9\)\]"),
        ([keras.Input((9, 5))], r"\[\(None, 9, 5\)\]"),
        ([keras.Input((9, 4)), keras.Input((9, 4))], r"\[\(None, 9, 4\), \(None, 9, 4\)\]"),
    ],
    ids=["no encoder", "five letters", "two inputs"],
)
def test_other_inputs_are_refused(inputs, found):
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs[0])))
    for convert in (with_codes, with_one_hot, reads):
        with pytest.raises(
            ValueError,
            match=f"^{convert.__name__}: expected a network of one input, .* got .*{found}",
        ):
            convert(model)


def test_codes_that_another_layer_reads_are_kept_from_becoming_one_hot():
    inputs = keras.Input((LENGTH,), dtype="uint8")
    encoded = layers.Flatten()(OneHotDNA()(inputs))
    embedded = layers.Flatten()(layers.Embedding(5, 4, name="embedding")(inputs))
    for other in (embedded, layers.Flatten()(keras.ops.one_hot(inputs, 5))):
        model = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([encoded, other])))
        words = r"with_one_hot: '\w+' \((Embedding|OneHot)\) reads the codes too"
        with pytest.raises(UserError, match=words):
            with_one_hot(model)
    one = with_one_hot(keras.Model(inputs, layers.Dense(1)(encoded)))  # others do not matter
    assert one.input_shape == (None, LENGTH, 4)


# In a process of its own: it should not need what made the file, and LiteRT can end a process.
RUN = {
    "onnx": """
import sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: x})[0])
""",
    "litert": """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
x, net = np.load(sys.argv[2]), Interpreter(sys.argv[1])
net.resize_tensor_input(net.get_input_details()[0]["index"], x.shape)
net.allocate_tensors()
net.set_tensor(net.get_input_details()[0]["index"], x)
net.invoke()
np.save(sys.argv[3], net.get_tensor(net.get_output_details()[0]["index"]))
""",
}
NEEDS = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
FORMS = {
    "loaded": lambda model: model,
    "folded, one-hot": lambda model: with_one_hot(fold_separable(model)),
}


@pytest.mark.filterwarnings("ignore")  # of the converters
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", NEEDS)
def test_exports_right_after_loading_and_predicts_the_same(kind, form, tmp_path):
    for package in NEEDS[kind]:
        need(package, "SFC_REQUIRE_TOOLS")
    model, (codes, one_hot) = network(), sequences()
    model.save(tmp_path / "model.keras")
    expected = model.predict_on_batch(codes)
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    FORMS[form](loaded).export(tmp_path / "net.tflite", format=kind, verbose=False)
    np.save(tmp_path / "x.npy", one_hot if "one-hot" in form else codes)
    files = [tmp_path / name for name in ("net.tflite", "x.npy", "y.npy")]
    done = subprocess.run(
        [sys.executable, "-c", RUN[kind], *map(str, files)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_saved_model_predicts_the_same(form, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model, (codes, one_hot) = network(), sequences()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    FORMS[form](loaded).export(tmp_path / "net", verbose=False)
    served = tf.saved_model.load(tmp_path / "net")
    found = served.serve(one_hot if "one-hot" in form else codes)
    np.testing.assert_allclose(found, model.predict_on_batch(codes), atol=1e-6)


def test_export_names_the_extra_that_is_not_installed(monkeypatch, tmp_path):
    def without(*args, **kwargs):
        import tf3onnx  # noqa: F401  (as Keras does where tf2onnx is not installed)

    monkeypatch.setattr(keras.Model, "export", without)  # which keeps modules once imported
    words = r'export: tf3onnx is not installed: pip install "sfc_lib\[export\]"'
    with pytest.raises(UserError, match=words):
        network().export(tmp_path / "net.onnx", format="onnx", verbose=False)
