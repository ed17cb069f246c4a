"""Converted models predict what Keras predicts, and what has no counterpart is named."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import layers
from needs import need
from networks import lively, network, sequences

from sfc_lib import Curvature, SeparableFC, fold_separable, separate, to_torch
from sfc_lib.errors import UserError
from sfc_lib.nn.ensemble import averaged_models, with_regression
from sfc_lib.nn.layers import OneHotDNA
from sfc_lib.nn.readouts import DENSE, SEPARABLE
from sfc_lib.runs.model_file import load_model, save_model

torch = need("torch")

CLOSE = {"rtol": 0, "atol": 1e-5}
NETWORKS = [
    (architecture, variant, length)
    for architecture, length in (("simulated_tf", 200), ("chip_seq", 300), ("basset", 600))
    for variant in ("std", "sep", "symm")
]
READOUTS = [*(("std", name) for name in DENSE), *(("sep", name) for name in SEPARABLE)]
READOUTS += [("symm", "spline"), ("symm", "positive")]


def found(module, *inputs):
    with torch.no_grad():
        return module(*inputs).numpy()


def agrees(model, folded=False):
    codes, one_hot = sequences(model.input_shape[1])
    expected = model.predict_on_batch(codes)
    assert expected.std(axis=0).min() > 0.05, "predictions that do not differ prove nothing"
    np.testing.assert_allclose(found(to_torch(model, folded), one_hot), expected, **CLOSE)


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: "-".join(map(str, case)))
def test_every_network_predicts_the_same(case, folded):
    agrees(network(*case), folded)


@pytest.mark.parametrize(("variant", "readout"), READOUTS)
def test_every_readout_predicts_the_same(variant, readout):
    agrees(network(variant=variant, readout=readout))


def test_whole_network_predicts_the_same_on_a_thousand_sequences():
    model = network(variant="symm", width=1.0)
    codes, one_hot = sequences(200, examples=1000)
    for folded in (False, True):
        np.testing.assert_allclose(
            found(to_torch(model, folded), one_hot), model.predict_on_batch(codes), **CLOSE
        )


def test_a_saved_model_with_curvature_converts(tmp_path):
    """What `sfc train` and published records hold."""
    model = network("chip_seq", "symm", 300, curvature=1.0, limit=0.1)
    save_model(model, tmp_path / "model.keras")
    agrees(load_model(tmp_path / "model.keras"))


def test_averages_of_strands_and_of_networks_convert():
    models = [
        network("compact", variant, 110, both_strands=True) for variant in ("std", "sep", "symm")
    ]
    for model in (*models, averaged_models(models)):
        agrees(model)
        agrees(model, folded=True)


def test_a_network_with_a_regression_on_kmers_converts():
    rng = np.random.default_rng(0)
    model = network("compact", "symm", 110, both_strands=True)
    tasks = model.output_shape[1]
    table, bias = rng.normal(0, 0.1, (4**6, tasks)), rng.normal(size=tasks)
    weights = np.full(tasks, 0.5), rng.uniform(size=105), table, bias
    both = with_regression(model, *weights)
    for whole in (both, averaged_models([model, both])):
        agrees(whole)
        agrees(whole, folded=True)


def test_logits_by_ending_the_model_there():
    model = network()
    logits = keras.Model(model.input, model.get_layer("logits").output)
    codes, one_hot = sequences(200)
    for folded in (False, True):
        values = found(to_torch(logits, folded), one_hot)
        np.testing.assert_allclose(values, logits.predict_on_batch(codes), atol=1e-4)
        np.testing.assert_allclose(
            1 / (1 + np.exp(-values)), model.predict_on_batch(codes), **CLOSE
        )


@pytest.mark.parametrize("regression", [False, True])
def test_gradient_times_input_is_that_of_keras(regression):
    from sfc_lib.nn.gradients import gradient_times_input

    model = network("chip_seq", "symm", 300)
    if regression:
        rng, tasks = np.random.default_rng(0), model.output_shape[1]
        table = rng.normal(size=(4**5, tasks))
        model = with_regression(model, np.ones(tasks), rng.uniform(size=296), table, np.ones(tasks))
    codes, one_hot = sequences(300)
    one_hot.requires_grad_()
    logits = to_torch(keras.Model(model.input, model.get_layer("logits").output))
    (gradient,) = torch.autograd.grad(logits(one_hot)[:, 1].sum(), one_hot)
    np.testing.assert_allclose(
        (gradient * one_hot).sum(1).detach(), gradient_times_input(model, codes)[1], atol=1e-4
    )


def test_layers_are_torchs_own_named_as_in_keras():
    from sfc_lib.nn.torch_layer import SeparableFC as Twin

    module = to_torch(network("simulated_tf", "symm"))
    parts = dict(module.named_children())
    assert list(parts) == [
        "conv_1", "relu_1", "conv_2", "relu_2", "pool_2", "sfc",
        "dense_1", "dense_1_relu", "dropout_1", "logits", "probabilities",
    ]  # fmt: skip
    assert isinstance(parts["sfc"], Twin)
    assert not module.training
    folded = dict(to_torch(network("simulated_tf", "symm"), folded=True).named_children())
    assert "sfc" not in folded
    assert folded["dense_1"].in_features == 35 * 5


def test_weights_are_copies_and_the_model_stays_as_it_was():
    model = network()
    before = [layer.get_weights() for layer in model.layers]
    nodes = len(model.get_layer("sfc")._inbound_nodes)
    module = to_torch(model)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for layer, weights in zip(model.layers, before, strict=True):
        assert all(map(np.array_equal, layer.get_weights(), weights))
    assert len(model.get_layer("sfc")._inbound_nodes) == nodes


def test_it_can_be_copied_pickled_trained_and_compiled():
    module, (_, one_hot) = to_torch(network()), sequences(200)
    expected = found(module, one_hot)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        np.testing.assert_allclose(found(other, one_hot), expected, **CLOSE)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    np.testing.assert_allclose(found(compiled, one_hot), expected, **CLOSE)
    module.train()(one_hot).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


# Models that are not ours.


def toy(*hidden, inputs=(20, 4)):
    return keras.Sequential([keras.Input(inputs), *hidden])


def compared(model, *shapes):
    """Keras's and torch's predictions of random maps, given to torch with channels first."""
    rng = np.random.default_rng(2)
    x = [rng.normal(size=(5, *shape)).astype("float32") for shape in shapes]
    theirs = model.predict_on_batch(x if len(x) > 1 else x[0])
    given = [torch.tensor(np.moveaxis(each, -1, 1) if each.ndim == 3 else each) for each in x]
    with torch.no_grad():
        return theirs, to_torch(model)(*given)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(
    "hidden",
    [
        [layers.Conv1D(6, 4, padding="same", activation="gelu"), layers.Flatten()],
        [layers.Conv1D(6, 3, strides=2, dilation_rate=1, use_bias=False), layers.Flatten()],
        [layers.Conv1D(6, 3, dilation_rate=2, groups=2, activation="elu"), layers.Flatten()],
        [layers.Dense(3, activation="softmax"), layers.Flatten()],
        [layers.Dense(3), layers.BatchNormalization(scale=False), layers.GlobalMaxPooling1D()],
        [layers.Flatten(), layers.BatchNormalization(center=False), layers.Activation("silu")],
        [layers.MaxPooling1D(3), layers.ReLU(negative_slope=0.2), layers.GlobalAveragePooling1D()],
        [SeparableFC(5, symmetric=True), layers.Activation("softplus"), layers.Dense(2, "tanh")],
        [layers.Flatten(), layers.Flatten(), layers.Dense(3, "linear"), layers.Dropout(0.5)],
        [layers.Permute((2, 1)), layers.Conv1D(3, 2), layers.Flatten(), layers.Permute((1,))],
        [layers.Reshape((40, 2)), layers.Conv1D(3, 2), layers.Reshape((-1,)), layers.Dense(2)],
        [layers.Flatten(), layers.Reshape((-1, 5)), layers.Permute((1, 2)), layers.Flatten()],
    ],
    ids=lambda hidden: "-".join(layer.name.rsplit("_", 1)[0] for layer in hidden),
)
def test_sequential_models_of_these_layers(hidden):
    theirs, ours = compared(lively(toy(*hidden)), (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)
    assert theirs.std() > 1e-3


def named(first, second, activation="relu"):
    """Two convolutions of these names, and of the same shapes."""
    options = {"padding": "same", "data_format": "channels_last"}
    hidden = [
        layers.Conv1D(4, 3, activation=activation, name=first, **options),
        layers.Conv1D(4, 3, name=second, **options),
    ]
    return lively(toy(*hidden, layers.Flatten(), layers.Dense(2)))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("a-b", "a_b"), {"a_b", "a_b_1", "a_b_relu"}),
        (("conv.1", "conv_1"), {"conv_1", "conv_1_1", "conv_1_relu"}),
        (("conv", "conv_relu"), {"conv", "conv_relu", "conv_relu_1"}),
        (("1st", "_1st"), {"_1st", "_1st_1", "_1st_relu"}),
    ],
)
def test_names_that_torch_would_take_for_one(names, found):
    model = named(*names)
    theirs, ours = compared(model, (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)
    assert found < {name for name, _ in to_torch(model).named_children()}


NAMES = ["lambda", "class", "self", "half", "forward", "code", "graph", "type", "training"]
NAMES += ["compile", "parameters", "_parameters", "weight", "T", "torch", "print", "one-hot"]


@pytest.mark.parametrize("of", ["layers", "inputs"])
def test_names_that_python_or_torch_use(of):
    if of == "inputs":
        inputs = [keras.Input((20, 4), name=name) for name in NAMES]
        x = layers.Average()([layers.Conv1D(2, 3, name=f"{x.name}_1")(x) for x in inputs])
    else:
        inputs = x = keras.Input((20, 4))
        for name in NAMES:
            x = layers.Conv1D(4, 3, padding="same", activation="elu", name=name)(x)
    model = lively(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)), name="class"))
    theirs, ours = compared(model, *[(20, 4)] * len(model.inputs))
    np.testing.assert_allclose(ours, theirs, **CLOSE)
    assert theirs.std() > 1e-3
    module, x = to_torch(model), [torch.ones(2, 4, 20)] * len(model.inputs)
    again = pickle.loads(pickle.dumps(module)).eval()
    np.testing.assert_allclose(found(again, *x), found(module, *x), **CLOSE)


@pytest.mark.parametrize("between", [[], [layers.Permute((2, 1))]], ids=["as it is", "turned"])
def test_what_separate_makes_converts(between):
    """Behind a Dropout the vector becomes a map again."""
    hidden = [layers.Conv1D(6, 3, activation="gelu"), *between, layers.Flatten()]
    model = separate(toy(*hidden, layers.Dropout(0.1), layers.Dense(3)), units=40, symmetric=True)
    theirs, ours = compared(lively(model), (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)
    folded = fold_separable(model)
    theirs, ours = compared(folded, (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)
    module, x = to_torch(folded), torch.ones(2, 4, 20)
    again = pickle.loads(pickle.dumps(module)).eval()
    np.testing.assert_allclose(found(again, x), found(module, x), **CLOSE)


def test_a_length_that_is_not_known():
    model = toy(layers.Conv1D(3, 5), layers.GlobalMaxPooling1D(), layers.Dense(2), inputs=(None, 4))
    theirs, ours = compared(lively(model), (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_two_inputs_a_shared_layer_and_named_outputs():
    one, two = keras.Input((20, 4), name="one"), keras.Input((20, 4), name="two")
    shared = layers.Conv1D(3, 5, activation="relu")
    sfc, dense = SeparableFC(4, positional_regularizer=Curvature(1.0)), layers.Dense(2)
    model = keras.Model(
        [one, two], {"a": dense(sfc(shared(one))), "b": layers.Dense(1)(sfc(shared(two)))}
    )
    theirs, ours = compared(model, (20, 4), (20, 4))
    assert ours.keys() == {"a", "b"}
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], **CLOSE)


def test_a_model_in_a_model():
    inner = toy(layers.Conv1D(3, 5), layers.ReLU())
    inputs = keras.Input((20, 4))
    model = keras.Model(inputs, layers.Dense(2)(SeparableFC(6)(inner(inputs))))
    theirs, ours = compared(model, (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_precisions_other_than_float32_become_float32():
    model = network(precision="bfloat16")
    same = network()
    same.set_weights([w.astype("float32") for w in model.get_weights()])
    _, one_hot = sequences(200)
    module = to_torch(model)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    np.testing.assert_allclose(found(module, one_hot), found(to_torch(same), one_hot), **CLOSE)


class Doubled(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


def codes_into_dense():
    inputs = keras.Input((20,), dtype="uint8")
    x = layers.Flatten(name="flat")(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


def quantised():
    model = toy(layers.Flatten(), layers.Dense(8, name="q"))
    model.get_layer("q").quantize("int8")
    return model


def with_operation(operation):
    inputs = keras.Input((20, 4))
    x = layers.Conv1D(4, 3, padding="same")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(operation(x, inputs))))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: toy(layers.LSTM(3, name="lstm")), r"'lstm' \(LSTM\).*expected only layers of"),
        (lambda: toy(Doubled(3, name="d")), r"'d' \(Doubled\) has no counterpart: expected only"),
        (lambda: toy(layers.Lambda(lambda x: x, name="l")), r"'l' \(Lambda\)"),
        (lambda: toy(layers.Conv1D(3, 3, padding="causal", name="c")), "padding is 'causal'"),
        (lambda: toy(layers.Conv1D(3, 3, 2, padding="same")), "'same', with strides of 2"),
        (lambda: toy(layers.MaxPooling1D(3, padding="same")), "its padding is 'same'"),
        (lambda: toy(layers.ReLU(6.0)), "it has a maximum or a threshold"),
        (lambda: toy(layers.Dense(3, "selu", name="s")), r"'s' .*activation is 'selu', not one"),
        (lambda: toy(layers.Dense(3, lambda x: x)), "activation is '<lambda>'"),
        (lambda: toy(layers.BatchNormalization(axis=1)), "normalises along axis 1"),
        (lambda: toy(layers.GlobalMaxPooling1D(keepdims=True)), "keeps the dimension of positions"),
        (lambda: toy(layers.Flatten(data_format="channels_first")), "its channels come first"),
        (codes_into_dense, r"'flat' \(Flatten\).*it takes integers, which only OneHotDNA may"),
        (quantised, r"'q' \(Dense\).*it is quantised"),
        (lambda: with_operation(lambda x, y: x + y), r"'add\w*' \(Add\) has no counterpart"),
        (lambda: with_operation(lambda x, _: keras.ops.sigmoid(x)), r"'sigmoid\w*' \(Sigmoid\)"),
        (lambda: with_operation(lambda x, _: x[:, ::-1]), r"'get_item\w*' \(GetItem\)"),
        (
            lambda: with_operation(lambda x, _: layers.Dropout(0.5, name="d")(x, training=True)),
            r"'d' \(Dropout\).*it is called with training=True",
        ),
        (
            lambda: with_operation(lambda x, _: layers.Average()([x, np.ones((1, 20, 4))])),
            "it takes numbers that are none of the model's tensors",
        ),
        (lambda: toy(layers.ReLU(name="r"), inputs=(20, 4, 3)), r"'r' .*\(20, 4, 3\) is no map"),
        (lambda: toy(layers.Reshape((5, 4, 4))), r"\(5, 4, 4\) is no map \(length, channels\)"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_named(model, message):
    with pytest.raises(UserError, match=f"^to_torch: .*{message}"):
        to_torch(model())


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UserError, match="to_torch: expected a functional or built sequential"):
        to_torch(Own())


def test_what_cannot_be_folded_says_why_and_converts_as_it_is():
    model = toy(SeparableFC(4, name="sfc"), layers.ReLU(), layers.Dense(2))
    with pytest.raises(UserError, match="'sfc' is followed by the layer"):
        to_torch(model, folded=True)
    theirs, ours = compared(model, (20, 4))
    np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_lora_is_merged():
    model = toy(layers.Flatten(), layers.Dense(3, name="d"))
    model.get_layer("d").enable_lora(2)
    rng = np.random.default_rng(0)
    model.get_layer("d").set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    theirs, ours = compared(model, (20, 4))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_folded_before_or_while_converted_is_the_same():
    model = network("basset", "symm", 600)
    _, one_hot = sequences(600)
    np.testing.assert_allclose(
        found(to_torch(model, folded=True), one_hot),
        found(to_torch(fold_separable(model)), one_hot),
        **CLOSE,
    )


def test_one_hot_inputs_stay_as_they_are():
    inputs = keras.Input((20, 4))
    body = layers.Dense(2)(SeparableFC(6)(layers.Conv1D(3, 5)(inputs)))
    codes = keras.Input((20,), dtype="uint8")
    both = (
        keras.Model(inputs, body),
        keras.Model(codes, keras.Model(inputs, body)(OneHotDNA()(codes))),
    )
    given, one_hot = sequences(20)
    expected = both[1].predict_on_batch(given)
    for model in both:
        np.testing.assert_allclose(found(to_torch(model), one_hot), expected, **CLOSE)
