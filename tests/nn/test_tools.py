"""The field's tools take our networks as torch modules: tangermeme, captum, tf-modiscolite.

The lock file has none of them, nor torch; a test whose package is absent is skipped, or fails
where `SFC_REQUIRE_TOOLS=1`.
"""

import os

import keras
import numpy as np
import pytest
from keras import layers
from needs import need
from networks import network, sequences

from sfc_lib import SeparableFC, to_torch
from sfc_lib.nn.gradients import gradient_times_input
from sfc_lib.nn.layers import OneHotDNA

torch = need("torch")

NETWORKS = [("simulated_tf", "symm", 200), ("chip_seq", "sep", 300), ("basset", "symm", 600)]
CLOSE = {"rtol": 0, "atol": 2e-5}  # in float32, which processors sum in orders of their own
DEVICE = {"device": "cpu"}


def logits_of(model):
    return keras.Model(model.input, model.get_layer("logits").output)


def without_n(length, examples):
    """Sequences without N, which tangermeme does not take unless told to."""
    codes = np.random.default_rng(3).integers(0, 4, (examples, length), dtype=np.uint8)
    return codes, one_hot(codes)


def one_hot(codes):
    return torch.tensor((codes[:, None] == np.arange(4)[:, None]).astype("float32"))


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: "-".join(map(str, case)))
def test_tangermeme_predicts_what_keras_predicts(case):
    predict = need("tangermeme.predict", "SFC_REQUIRE_TOOLS").predict
    model = network(*case)
    codes, x = sequences(case[2], examples=40)
    found = predict(to_torch(model), x, **DEVICE)
    np.testing.assert_allclose(found, model.predict_on_batch(codes), **CLOSE)
    packed = predict(to_torch(model, folded=True), x.to(torch.int8), **DEVICE)
    np.testing.assert_allclose(packed, found, **CLOSE)


def test_saturation_mutagenesis_is_that_of_keras():
    saturate = need("tangermeme.saturation_mutagenesis", "SFC_REQUIRE_TOOLS").saturation_mutagenesis
    model = network()
    codes, x = without_n(200, 1)
    y0, found = saturate(to_torch(model), x, raw_outputs=True, **DEVICE)
    np.testing.assert_allclose(y0, model.predict_on_batch(codes), **CLOSE)
    mutants = np.repeat(codes, 4 * 200, axis=0)  # every base at every position
    base, position = np.divmod(np.arange(4 * 200), 200)
    mutants[np.arange(4 * 200), position] = base
    expected = model.predict_on_batch(mutants).reshape(4, 200, 3)
    np.testing.assert_allclose(found[0], expected, **CLOSE)


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: "-".join(map(str, case)))
def test_deep_lift_shap_adds_up(case, folded):
    """tangermeme warns where sums differ, which is an error here; and they are summed anew."""
    deep_lift_shap = need("tangermeme.deep_lift_shap", "SFC_REQUIRE_TOOLS").deep_lift_shap
    module = to_torch(logits_of(network(*case)), folded)
    _, x = without_n(case[2], 3)
    references = one_hot(without_n(case[2], 6)[0][3:])[:, None].repeat(1, 2, 1, 1)
    references[:, 1] = references[:, 1].flip(2)
    multipliers = deep_lift_shap(
        module, x, target=1, references=references, raw_outputs=True, **DEVICE
    )
    with torch.no_grad():
        differences = module(x)[:, None, 1] - torch.stack([module(r)[:, 1] for r in references])
    found = (multipliers * (x[:, None] - references)).sum((2, 3))
    assert differences.abs().min() > 1e-3
    torch.testing.assert_close(found, differences, rtol=0, atol=1e-4)


def test_an_operation_without_a_rule_is_seen():
    """The check can fail: attention, a product, is treated as linear by tangermeme."""
    deep_lift_shap = need("tangermeme.deep_lift_shap", "SFC_REQUIRE_TOOLS").deep_lift_shap
    module = to_torch(logits_of(network(variant="std", readout="attention")))
    _, x = without_n(200, 2)
    with pytest.raises(RuntimeWarning, match="Convergence deltas"):
        deep_lift_shap(module, x, n_shuffles=2, random_state=0, **DEVICE)


def test_marginalize_puts_the_motif_where_keras_would_see_it():
    marginalize = need("tangermeme.marginalize", "SFC_REQUIRE_TOOLS").marginalize
    model = network()
    codes, x = without_n(200, 5)
    before, after = marginalize(to_torch(model), x, "GATAAG", start=97, **DEVICE)
    np.testing.assert_allclose(before, model.predict_on_batch(codes), **CLOSE)
    codes[:, 97:103] = ["ACGT".index(base) for base in "GATAAG"]
    np.testing.assert_allclose(after, model.predict_on_batch(codes), **CLOSE)


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: "-".join(map(str, case)))
def test_captums_input_times_gradient_is_ours(case):
    attr = need("captum.attr", "SFC_REQUIRE_TOOLS")
    model = network(*case)
    codes, x = sequences(case[2], examples=4)
    found = attr.InputXGradient(to_torch(logits_of(model))).attribute(x.requires_grad_(), target=2)
    expected = gradient_times_input(model, codes)[2]
    np.testing.assert_allclose(found.detach().sum(1), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Setting .* hooks:UserWarning")  # captum's own notices
@pytest.mark.parametrize("method", ["DeepLift", "IntegratedGradients"])
def test_captums_attributions_add_up(method):
    attr = need("captum.attr", "SFC_REQUIRE_TOOLS")
    module = to_torch(logits_of(network("chip_seq", "symm", 300)))
    _, x = without_n(300, 3)
    baselines = torch.zeros_like(x)
    options = {"n_steps": 200} if method == "IntegratedGradients" else {}
    found = getattr(attr, method)(module).attribute(
        x.requires_grad_(), baselines, target=0, **options
    )
    with torch.no_grad():
        differences = (module(x) - module(baselines))[:, 0]
    close = 0.05 if options else 1e-3  # a path of steps, or exact
    torch.testing.assert_close(found.sum((1, 2)).detach().float(), differences, rtol=0, atol=close)


MOTIF = "TGATAAGC"


def detector():
    """A network that knows one motif: its logit is how often it stands there, about."""
    codes = keras.Input((100,), dtype="uint8")
    x = OneHotDNA()(codes)
    x = layers.Conv1D(2, len(MOTIF), activation="relu", name="conv")(x)
    x = layers.MaxPooling1D(3)(x)
    x = SeparableFC(2, symmetric=True, name="sfc")(x)
    model = keras.Model(codes, layers.Dense(1, name="logits")(x))
    kernel = np.zeros((len(MOTIF), 4, 2))
    kernel[np.arange(len(MOTIF)), ["ACGT".index(base) for base in MOTIF], 0] = 1.0
    model.get_layer("conv").set_weights([kernel, np.array([1.5 - len(MOTIF), 0.0])])
    shape = model.get_layer("sfc").W_pos.shape
    model.get_layer("sfc").set_weights([np.ones(shape), np.array([[1.0, 0.0], [0.0, 0.0]])])
    model.get_layer("logits").set_weights([np.array([[1.0], [0.0]]), np.zeros(1)])
    return model


@pytest.mark.filterwarnings("default")  # of the packages that tf-modiscolite stands on
@pytest.mark.skipif(
    os.environ.get("SFC_REQUIRE_TOOLS") != "1",
    reason="tf-modiscolite compiles for minutes: SFC_REQUIRE_TOOLS=1 runs it",
)
def test_modisco_finds_the_motif_that_the_network_knows():
    deep_lift_shap = need("tangermeme.deep_lift_shap", "SFC_REQUIRE_TOOLS").deep_lift_shap
    modisco = need("modiscolite.tfmodisco", "SFC_REQUIRE_TOOLS")
    model, rng = detector(), np.random.default_rng(0)
    codes = rng.integers(0, 4, (300, 100), dtype=np.uint8)
    motif = np.array(["ACGT".index(base) for base in MOTIF])
    for row, start in zip(codes, rng.integers(10, 80, 300), strict=True):
        row[start : start + len(motif)] = motif
    x = one_hot(codes)
    scores = deep_lift_shap(
        to_torch(model), x, hypothetical=True, n_shuffles=4, random_state=0, **DEVICE
    )
    found, negative = modisco.TFMoDISco(
        x.transpose(1, 2).numpy(), scores.transpose(1, 2).numpy(), max_seqlets_per_metacluster=400
    )
    assert negative is None
    sequence = np.asarray(found[0].sequence)  # (positions, bases): how often
    consensus = "".join("ACGT"[row.argmax()] for row in sequence)
    other = consensus[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert MOTIF in consensus or MOTIF in other
    start = consensus.find(MOTIF) if MOTIF in consensus else other.find(MOTIF)
    rows = sequence if MOTIF in consensus else sequence[::-1, ::-1]
    assert rows[start : start + len(MOTIF)].max(axis=1).min() > 0.9
