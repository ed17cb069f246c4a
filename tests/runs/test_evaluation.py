"""Gradient × input is what finite differences, mutagenesis and hand computation say."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from sfc_lib.datasets import simulated_tf
from sfc_lib.genomics.dna import one_hot
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.gradients import (
    gradient_times_input,
    hypothetical_contributions,
    importance_forms,
    importance_profiles,
)
from sfc_lib.nn.layers import OneHotDNA, SeparableFC
from sfc_lib.runs.evaluation import (
    CLASSES,
    MEASUREMENTS,
    auprc,
    auroc,
    importance_sequences,
    kind_of,
    kind_scored,
    metrics,
    pearson,
    spearman,
)
from sfc_lib.runs.spec import RunSpec

LENGTHS = {"simulated_tf": 60, "chip_seq": 120, "basset": 200}
VARIANTS = ("std", "sep", "symm")
STEP = 1e-7


def linear(length=4, tasks=2):
    """logits = w[base at each position], summed: every answer is known by hand."""
    inputs = keras.Input((length,), dtype="uint8")
    x = OneHotDNA(name="one_hot")(inputs)
    x = keras.layers.Flatten()(x)
    logits = keras.layers.Dense(tasks, name="logits")(x)
    outputs = keras.layers.Activation("sigmoid")(logits)
    return keras.Model(inputs, outputs)


def network(architecture, variant, precision="float64", seed=0, tasks=2):
    """A small network of the paper's kind with random weights, biases included."""
    length = LENGTHS[architecture]
    model = build_model(
        architecture, variant, length=length, tasks=tasks, width=0.1, precision=precision
    )
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape)
            if v.path.endswith(("gamma", "variance"))
            else rng.normal(0, 0.4, w.shape)
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    return model


def random_codes(examples, length, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (examples, length), dtype=np.uint8)


def logits_of_one_hot(model, x):
    tail = keras.Model(model.get_layer("one_hot").output, model.get_layer("logits").output)
    return np.asarray(tail(x, training=False))


def finite_differences(model, codes):
    """d logit / dt where the one-hot row of one position is multiplied by 1 + t."""
    found = np.zeros((model.output_shape[1], *codes.shape))
    for row, sequence in enumerate(codes):
        one_hot = (sequence[:, None] == np.arange(4)).astype(np.float64)
        scale = 1 + STEP * np.eye(len(sequence))[:, :, None]
        up = logits_of_one_hot(model, one_hot * scale)
        down = logits_of_one_hot(model, one_hot * (2 - scale))
        found[:, row] = ((up - down) / (2 * STEP)).T
    return found


@pytest.mark.parametrize("architecture", LENGTHS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_finite_differences_of_the_logits(architecture, variant):
    model = network(architecture, variant)
    codes = random_codes(2, LENGTHS[architecture])
    expected = finite_differences(model, codes)
    assert np.abs(expected).max() > 1e-3
    found = gradient_times_input(model, codes)
    assert found.dtype == np.float64
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4, rtol=0)


def test_float32_and_float64_agree_and_bfloat16_comes_back_as_float32():
    codes = random_codes(5, LENGTHS["simulated_tf"])
    exact = gradient_times_input(network("simulated_tf", "sep"), codes)
    single = gradient_times_input(network("simulated_tf", "sep", "float32"), codes)
    half = gradient_times_input(network("simulated_tf", "sep", "mixed_bfloat16"), codes)
    assert single.dtype == half.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-5 * np.abs(exact).max())
    # Rounded to 8 bits, some pools take another of two close values: the mean tells.
    assert np.abs(half - exact).mean() < 0.2 * np.abs(exact).mean()


def test_linear_model_gives_its_weights_and_in_silico_mutagenesis():
    model = linear()
    codes = random_codes(6, 4, seed=3)
    kernel = model.get_layer("logits").get_weights()[0].reshape(4, 4, 2)
    by_hand = np.zeros((2, 6, 4), dtype=np.float32)
    for row, column in np.argwhere(codes < 4):
        by_hand[:, row, column] = kernel[column, codes[row, column]]
    found = gradient_times_input(model, codes)
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    for column in range(4):  # a base replaced by N: what it added to the logit is gone
        mutated = codes.copy()
        mutated[:, column] = 4
        tail = keras.Model(model.input, model.get_layer("logits").output)
        lost = np.asarray(tail(codes)) - np.asarray(tail(mutated))
        np.testing.assert_allclose(found[:, :, column], lost.T, atol=1e-6)


def test_known_profile_of_a_model_set_by_hand():
    model = linear(length=3, tasks=1)
    kernel = np.zeros((3, 4, 1))
    kernel[:, 0, 0], kernel[1, 3, 0] = (1.0, 2.0, -4.0), 10.0  # A anywhere, T in the middle
    model.get_layer("logits").set_weights([kernel.reshape(12, 1), np.zeros(1)])
    codes = np.array([[0, 0, 0], [0, 3, 1], [4, 2, 0]], dtype=np.uint8)  # AAA, ATC, NGA
    assert importance_profiles(model, codes).tolist() == [[2 / 3, 12 / 3, -8 / 3]]


def test_profile_of_an_sfc_layer_alone_is_its_outer_product():
    inputs = keras.Input((6,), dtype="uint8")
    layer = SeparableFC(1, symmetric=True)
    logits = keras.layers.Dense(1, name="logits")(layer(OneHotDNA(name="one_hot")(inputs)))
    model = keras.Model(inputs, logits)
    profile = importance_profiles(model, np.full((3, 6), 2, dtype=np.uint8))[0]
    v = float(model.get_layer("logits").get_weights()[0][0, 0])
    expected = np.asarray(layer.positional_weights())[0] * float(layer.W_chan[0, 2]) * v
    np.testing.assert_allclose(profile, expected, rtol=1e-5)
    np.testing.assert_allclose(profile, profile[::-1], rtol=1e-6)


def test_symmetric_model_on_a_set_closed_under_mirroring_has_a_symmetric_profile():
    asymmetry = {}
    for variant in ("symm", "sep"):
        model = network("simulated_tf", variant)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv1D):  # filters that read the same both ways
                kernel, bias = layer.get_weights()
                layer.set_weights([kernel + kernel[::-1], bias])
        codes = random_codes(20, LENGTHS["simulated_tf"])
        profile = importance_profiles(model, np.concatenate([codes, codes[:, ::-1]]))
        asymmetry[variant] = np.abs(profile - profile[:, ::-1]).max() / np.abs(profile).max()
    assert asymmetry["symm"] < 1e-9
    assert asymmetry["sep"] > 0.1


def test_batch_size_and_order_do_not_matter():
    model = network("simulated_tf", "symm", "float32")
    codes = random_codes(300, LENGTHS["simulated_tf"])
    whole = importance_profiles(model, codes, batch_size=300)
    for batch_size in (1, 7, 64, 1000):
        found = importance_profiles(model, codes, batch_size=batch_size)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.abs(whole).max())
    np.testing.assert_allclose(
        importance_profiles(model, codes[::-1]), whole, rtol=0, atol=1e-6 * np.abs(whole).max()
    )


def test_profile_is_the_mean_over_sequences_of_the_chosen_tasks():
    model = network("simulated_tf", "sep", tasks=3)
    codes = random_codes(9, LENGTHS["simulated_tf"])
    each = gradient_times_input(model, codes)
    found = importance_profiles(model, codes, tasks=[2, 0], batch_size=4)
    np.testing.assert_allclose(found, each[[2, 0]].mean(axis=1), rtol=1e-9)


def test_hypothetical_contributions_are_the_centred_gradient_of_every_base():
    model = network("simulated_tf", "sep", tasks=3)
    codes = random_codes(7, LENGTHS["simulated_tf"])
    codes[:, 5] = 4  # N
    found = hypothetical_contributions(model, codes, [2, 0], batch_size=3)
    assert found.shape == (2, 7, LENGTHS["simulated_tf"], 4)
    np.testing.assert_allclose(found.sum(axis=-1), 0, atol=1e-9)
    expected = gradient_times_input(model, codes, [2, 0], centred=True)
    there = (found * one_hot(codes)).sum(axis=-1)
    np.testing.assert_allclose(there, expected, atol=1e-9)
    changed, place = codes.copy(), 11
    for base in range(4):  # a base's gradient does not depend on which form asks for it
        changed[:, place] = base
        of_base = gradient_times_input(model, changed, [2], centred=True)[0, :, place]
        again = hypothetical_contributions(model, changed, [2])[0, :, place, base]
        np.testing.assert_allclose(again, of_base, atol=1e-9)
    assert np.abs(found[:, :, 5]).max() > 0  # at an N, what a base would add


def test_progress_sees_every_batch_and_the_model_is_left_as_it_was():
    model, seen = network("simulated_tf", "std"), []
    before = model.get_weights()

    def progress(batches):
        seen.extend(batches)
        return batches

    importance_profiles(model, random_codes(10, 60), batch_size=4, progress=progress)
    assert seen == [0, 4, 8]
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("codes", "options", "message"),
    [
        (np.zeros((2, 5), np.uint8), {}, r"shape \(examples, 4\), got uint8 \(2, 5\)"),
        (np.zeros((2, 4)), {}, "integer codes .* got float64"),
        (np.zeros((0, 4), np.uint8), {}, r"got uint8 \(0, 4\)"),
        ([[0, 1, 2, 3]], {}, "got list"),
        (np.full((2, 4), 5, np.uint8), {}, "4 for N, got 5"),
        (np.zeros((2, 4), np.uint8), {"tasks": [2]}, r"from 0 to 1, got \[2\]"),
        (np.zeros((2, 4), np.uint8), {"tasks": []}, r"from 0 to 1, got \[\]"),
        (np.zeros((2, 4), np.uint8), {"tasks": [True]}, r"got \[True\]"),
        (np.zeros((2, 4), np.uint8), {"batch_size": 0}, "batch_size must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_named(codes, options, message):
    with pytest.raises(ValueError, match=message):
        importance_profiles(linear(), codes, **options)


def test_negative_codes_are_refused_and_other_integers_taken():
    model = linear()
    codes = random_codes(3, 4)
    with pytest.raises(ValueError, match="got -1"):
        importance_profiles(model, np.full((1, 4), -1))
    whole = importance_profiles(model, codes)
    assert (importance_profiles(model, codes.astype(np.int64)) == whole).all()


def test_model_without_the_two_layers_is_refused_by_name():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="only")])
    with pytest.raises(ValueError, match=r"'one_hot' and 'logits'.*\['only'\]"):
        importance_profiles(model, np.zeros((1, 4), np.uint8))


# Runs in a process of its backend's own, because Keras chooses it once.
SCRIPT = """
import sys
import keras, numpy as np
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.gradients import gradient_times_input, importance_profiles
from sfc_lib.nn.gradients import hypothetical_contributions

assert keras.backend.backend() == sys.argv[3]
given, found = dict(np.load(sys.argv[1])), {}
for variant in ("std", "sep", "symm"):
    model = build_model("simulated_tf", variant, length=60, tasks=2, width=0.1)
    count = len(model.get_weights())
    model.set_weights([given[f"{variant}_{i}"] for i in range(count)])
    found[variant] = gradient_times_input(model, given["codes"])
    found[f"{variant}_profile"] = importance_profiles(model, given["codes"], batch_size=3)
    hypothetical = hypothetical_contributions(model, given["codes"])
    there = (hypothetical * (given["codes"][..., None] == np.arange(4))).sum(axis=-1)
    centred = gradient_times_input(model, given["codes"], centred=True)
    np.testing.assert_allclose(there, centred, atol=1e-5)
np.savez(sys.argv[2], **found)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_equals_finite_differences(backend, on_backend, tmp_path):
    codes = random_codes(5, LENGTHS["simulated_tf"], seed=1)
    given, truth = {"codes": codes}, {}
    for variant in VARIANTS:
        model = network("simulated_tf", variant)
        given |= {f"{variant}_{i}": w for i, w in enumerate(model.get_weights())}
        truth[variant] = finite_differences(model, codes)
    np.savez(tmp_path / "given.npz", **given)
    on_backend(backend, SCRIPT, tmp_path / "given.npz", tmp_path / "out.npz", backend)
    found = dict(np.load(tmp_path / "out.npz"))
    for variant, expected in truth.items():
        scale = np.abs(expected).max()
        assert found[variant].dtype == np.float32
        np.testing.assert_allclose(found[variant] / scale, expected / scale, atol=1e-4, rtol=0)
        np.testing.assert_allclose(
            found[f"{variant}_profile"] / scale, expected.mean(axis=1) / scale, atol=1e-4, rtol=0
        )


@pytest.mark.parametrize(("examples", "expected"), [(80, 1000), (400, 5000), (40_000, 100_000)])
def test_new_sequences_are_a_hundred_thousand_to_the_papers_eight(examples, expected, monkeypatch):
    monkeypatch.setattr(
        simulated_tf, "simulate", lambda classes, rng: SimpleNamespace(codes=classes)
    )
    assert len(importance_sequences(RunSpec(dataset_options={"examples": examples}))) == expected


def test_centred_is_what_a_base_adds_over_the_mean_of_the_four():
    model, codes = linear(), random_codes(6, 4, seed=3)
    kernel = model.get_layer("logits").get_weights()[0].reshape(4, 4, 2)
    centred_kernel = kernel - kernel.mean(axis=1, keepdims=True)
    by_hand = np.zeros((2, 6, 4))
    for row, column in np.argwhere(codes < 4):
        by_hand[:, row, column] = centred_kernel[column, codes[row, column]]
    found = gradient_times_input(model, codes, centred=True)
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    profile = importance_profiles(model, codes, centred=True)
    np.testing.assert_allclose(profile, by_hand.mean(axis=1), atol=1e-6)
    both = importance_forms(model, codes, [1])
    np.testing.assert_allclose(both[:, 0], [importance_profiles(model, codes)[1], profile[1]])
    offset = kernel + np.arange(4)[:, None, None]  # the same logit for any DNA, but for a constant
    model.get_layer("logits").set_weights([offset.reshape(16, 2), np.zeros(2)])
    np.testing.assert_allclose(importance_profiles(model, codes, centred=True), profile, atol=1e-6)


# Scores

SCORED = st.lists(
    st.tuples(st.booleans(), st.one_of(st.sampled_from([0, 0.25, 1]), st.floats(0, 1, width=32))),
    min_size=2,
    max_size=60,
).filter(lambda pairs: {label for label, _ in pairs} == {True, False})


@given(SCORED)
def test_scores_are_scikit_learns_to_the_bit(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    labels, scores = labels.astype(np.uint8), scores.astype(np.float32)
    assert auroc(labels, scores) == roc_auc_score(labels, scores)
    assert auprc(labels, scores) == average_precision_score(labels, scores)


@pytest.mark.parametrize("decimals", [1, 3, 7])
def test_scores_of_many_examples_are_scikit_learns_to_the_bit(decimals):
    """Long sums are where another order of additions would show."""
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.1).astype(np.uint8)
    scores = np.round(rng.random(20_000) + 0.2 * labels, decimals).astype(np.float32)
    assert auroc(labels, scores) == roc_auc_score(labels, scores)
    assert auprc(labels, scores) == average_precision_score(labels, scores)


def test_area_is_the_share_of_pairs_in_order():
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.4, 0.4, 0.4, 0.1])
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    assert np.isclose(auroc(labels, scores), np.mean(pairs), rtol=1e-12)


# Measurements


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-3, 3)), min_size=3, max_size=30))
def test_correlations_are_those_of_scipy(pairs):
    """Small integers, so that many are tied."""
    labels, guesses = np.array(pairs, np.float32).T
    if len(set(labels)) == 1:
        return
    found = pearson(labels, guesses), spearman(labels, guesses)
    if len(set(guesses)) == 1:
        assert found == (0, 0)
        return
    expected = stats.pearsonr(labels.astype(float), guesses.astype(float))[0]
    assert found == pytest.approx((expected, stats.spearmanr(labels, guesses)[0]), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_correlations_do_not_depend_on_units(scale):
    rng = np.random.default_rng(0)
    labels, noise = rng.normal(size=(2, 500))
    labels, guesses = np.float32(labels), np.float32(labels + noise)
    expected = pearson(labels, guesses), spearman(labels, guesses)
    far = np.float32(scale) * labels
    assert (pearson(far, guesses), spearman(far, guesses)) == pytest.approx(expected, abs=1e-6)
    assert pearson(labels, labels) == 1
    assert pearson(labels, -labels) == -1
    assert pearson(labels, np.full(500, np.float32(0.1))) == 0


def test_measurements_are_scored_without_those_that_are_not_known():
    rng = np.random.default_rng(0)
    labels, guesses = rng.normal(size=(2, 50, 2)).astype(np.float32)
    labels[:9, 0], labels[30:, 1] = np.nan, np.nan
    found = metrics(labels, guesses, ("a", "b"))
    assert list(found) == ["pearson", "pearson_by_task", "spearman", "spearman_by_task"]
    for task, column, rows in (("a", 0, slice(9, None)), ("b", 1, slice(0, 30))):
        expected = stats.pearsonr(labels[rows, column], guesses[rows, column])[0]
        assert found["pearson_by_task"][task] == pytest.approx(expected, abs=1e-6)
    assert found["pearson"] == pytest.approx(np.mean(list(found["pearson_by_task"].values())))
    labels[:, 1] = np.where(np.isnan(labels[:, 1]), np.nan, 7)
    with pytest.raises(ValueError, match=r"'b' needs values that differ, got 30 .* all 7\.0"):
        metrics(labels, guesses, ("a", "b"))


def test_the_kind_of_labels_is_told_by_their_type_and_by_what_was_scored():
    assert kind_of(np.zeros(3, np.float32)) is MEASUREMENTS
    assert kind_of(np.zeros(3, np.uint8)) is CLASSES
    for kind in (CLASSES, MEASUREMENTS):
        assert kind_scored({f"{name}_by_task": 0 for name in kind.scores} | kind.scores) is kind
        assert list(kind.scores) == list(kind.titles)
    assert (CLASSES.best, MEASUREMENTS.best) == ("auroc", "pearson")
