"""An ensemble, or a network beside a regression: its logits, and that it behaves as one network."""

import keras
import numpy as np
import pytest

from sfc_lib import build_model, fold_separable
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import reverse_complement
from sfc_lib.genomics.kmers import reverse_complements
from sfc_lib.nn.encoding import reads, with_one_hot
from sfc_lib.nn.ensemble import averaged_models, strand_logits, with_regression
from sfc_lib.nn.gradients import gradient_times_input
from sfc_lib.runs.model_file import load_model, save_model

LENGTH = 110


@pytest.fixture(scope="module")
def networks():
    """Networks of every variant, one of them on one-hot sequences."""
    options = {"length": LENGTH, "tasks": 2, "width": 0.1}
    keras.utils.set_random_seed(0)
    strands = [
        build_model("compact", variant, both_strands=True, **options)
        for variant in ("std", "sep", "symm")
    ]
    return [*strands, build_model("simulated_tf", "sep", one_hot=True, **options)]


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, 5, (5, LENGTH), dtype=np.uint8)


def one_hot(codes):
    return (codes[..., None] == np.arange(4)).astype("float32")


def logits(model, codes):
    ends = keras.Model(model.input, model.get_layer("logits").output)
    return ends.predict_on_batch(codes if reads(model) == "codes" else one_hot(codes))


def test_logits_are_the_mean(networks, codes):
    expected = np.mean([logits(model, codes) for model in networks], axis=0)
    whole = averaged_models(networks)
    np.testing.assert_allclose(logits(whole, codes), expected, atol=1e-6)
    np.testing.assert_allclose(
        whole.predict_on_batch(codes), 1 / (1 + np.exp(-expected)), atol=1e-6
    )
    assert whole.count_params() == sum(model.count_params() for model in networks)


def predict_alike(forms, expected, close):
    for model, inputs in forms:
        np.testing.assert_allclose(model.predict_on_batch(inputs), expected, atol=close)


def test_it_folds_converts_is_explained_and_saved_like_one(networks, codes, tmp_path):
    whole = averaged_models(networks)
    expected = whole.predict_on_batch(codes)
    save_model(whole, tmp_path / "model.keras")
    read = load_model(tmp_path / "model.keras")
    forms = (read, codes), (fold_separable(whole), codes), (with_one_hot(read), one_hot(codes))
    predict_alike(forms, expected, 1e-6)
    each = [gradient_times_input(model, codes) for model in networks]
    np.testing.assert_allclose(gradient_times_input(whole, codes), np.mean(each, axis=0), atol=1e-6)


def test_one_is_itself_and_none_or_unlike_ones_are_refused(networks):
    assert averaged_models(networks[:1]) is networks[0]
    other = build_model("compact", "symm", length=LENGTH, tasks=1, width=0.1)
    with pytest.raises(UserError, match=r"networks of one shape, got \[\(110, 1\), \(110, 2\)\]"):
        averaged_models([networks[0], other])
    with pytest.raises(UserError, match=r"networks of one shape, got \[\]"):
        averaged_models([])


@pytest.fixture(scope="module")
def weights():
    """Scale, positions, table of 4-mers and bias of two tasks; both strands are told alike."""
    rng = np.random.default_rng(1)
    either = np.minimum(np.arange(4**4), reverse_complements(4))
    _, kmers = np.unique(either, return_inverse=True)
    positions = rng.uniform(size=LENGTH - 3)
    positions = positions + positions[::-1]
    table = rng.normal(0, 0.3, (136, 2))[kmers]
    return rng.uniform(0.5, 2, 2), positions, table, rng.normal(size=2)


def test_a_regression_adds_the_weight_of_every_kmer(networks, weights, codes):
    scale, positions, table, bias = weights
    expected = logits(networks[2], codes) * scale + bias
    for row, sequence in enumerate(codes):
        for start in range(LENGTH - 3):
            kmer = sequence[start : start + 4]
            if (kmer < 4).all():
                expected[row] += positions[start] * table[int(kmer @ [64, 16, 4, 1])]
    both = with_regression(networks[2], *weights)
    np.testing.assert_allclose(logits(both, codes), expected, atol=1e-4)
    assert both.count_params() == networks[2].count_params() + 2 + LENGTH - 3 + 2 * 256 + 2
    other = reverse_complement(codes)
    np.testing.assert_allclose(logits(both, other), logits(both, codes), atol=1e-4)


def test_with_a_regression_it_folds_converts_and_is_saved_like_one(
    networks, weights, codes, tmp_path
):
    both = with_regression(networks[1], *weights)
    expected = both.predict_on_batch(codes)
    save_model(both, tmp_path / "model.keras")
    read = load_model(tmp_path / "model.keras")
    twice = averaged_models([read, both])
    forms = [(m, codes) for m in (read, fold_separable(read), twice, fold_separable(twice))]
    predict_alike([*forms, (with_one_hot(read), one_hot(codes))], expected, 1e-5)


def test_the_gradient_of_a_regression_is_what_another_base_would_change(networks, codes):
    """Of the regression alone, as the scale of the network is 0."""
    table = np.random.default_rng(2).normal(size=(256, 2))
    positions = np.random.default_rng(3).uniform(size=LENGTH - 3)
    both = with_regression(networks[0], np.zeros(2), positions, table, np.zeros(2))
    known = codes % 4
    before, found = logits(both, known), gradient_times_input(both, known)
    for place in (0, 1, 50, LENGTH - 1):
        changed = known.copy()
        changed[:, place] = 4  # an N takes what the base adds
        np.testing.assert_allclose(found[:, :, place].T, before - logits(both, changed), atol=1e-3)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_logits_of_a_strand_have_the_network_as_their_mean(both, regression):
    model = build_model("compact", "symm", length=110, tasks=2, width=0.1, both_strands=both)
    if regression:
        table = np.random.default_rng(1).normal(size=(4**6, 2))
        table += table[reverse_complements(6)]
        model = with_regression(model, np.full(2, 0.3), np.ones(105), table, np.ones(2))
    codes = np.random.default_rng(0).integers(0, 5, (6, 110), dtype=np.uint8)
    alone, logits = strand_logits(model), keras.Model(model.input, model.get_layer("logits").output)
    one, two = (alone.predict_on_batch(x) for x in (codes, reverse_complement(codes)))
    expected = logits.predict_on_batch(codes)
    np.testing.assert_allclose((one + two) / 2 if both else one, expected, atol=1e-4)
    assert (np.abs(one - two).max() > 1e-3) or not both
