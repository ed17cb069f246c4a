"""The regression beside a network: its weights, and in which shares the two are taken."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from sfc_lib.datasets.base import NOT_KNOWN, Split
from sfc_lib.genomics.dna import encode
from sfc_lib.genomics.kmers import kmer_counts, reverse_complements
from sfc_lib.runs import regression
from sfc_lib.runs.evaluation import auroc, pearson
from sfc_lib.runs.regression import DOUBT, STRENGTHS, K, blend, mixed, ridge

LENGTH = 60


def split(examples, seed, tasks=1):
    """Sequences of which the positives hold GATAAG often; further tasks are noise."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (examples, LENGTH), dtype=np.uint8)
    labels = rng.integers(0, 2, (examples, tasks)).astype(np.uint8)
    for row in np.flatnonzero((labels[:, 0] == 1) & (rng.random(examples) < 0.8)):
        start = rng.integers(0, LENGTH - K)
        codes[row, start : start + K] = encode(["GATAAG"])[0]
    return Split(codes, labels)


@pytest.mark.parametrize("examples", [50, 120])
def test_weights_are_those_of_scikit_learn_for_few_examples_and_for_many(examples, monkeypatch):
    monkeypatch.setattr(regression, "K", 3)  # 32 k-mers: fewer than examples, as six have 2,080
    few = split(examples if examples > 64 else 20, 0, tasks=2)
    counts = kmer_counts(few.codes, 3).astype(float)
    for strength, found in zip(STRENGTHS, ridge(few), strict=True):
        model = Ridge(alpha=strength).fit(counts, 4.0 * few.labels - 2)
        np.testing.assert_allclose(found, model.coef_.T, atol=1e-4)


def test_unknown_labels_pull_nowhere():
    some = split(200, 0)
    labels = some.labels.copy()
    labels[:100] = NOT_KNOWN
    for found in ridge(Split(some.codes, labels)):
        assert np.isfinite(found).all()
    counts = kmer_counts(some.codes, K)
    guess = counts[100:] @ ridge(Split(some.codes, labels))[0][:, 0]
    assert auroc(some.labels[100:, 0], guess) > 0.95


def test_the_table_says_for_each_kmer_what_its_regression_says():
    train, valid = split(400, 0), split(100, 1)
    found = blend(train, valid, np.full((100, 1), 0.5))  # a network that knows nothing
    assert found.table.shape == (4**K, 1)
    np.testing.assert_array_equal(found.table, found.table[reverse_complements(K)])
    number = int(encode(["GATAAG"])[0] @ 4 ** np.arange(K)[::-1])
    assert found.table[:, 0].argmax() in (number, reverse_complements(K)[number])
    test = split(500, 2)
    counts = kmer_counts(test.codes, K)
    logits = counts @ found.table[np.unique(reverse_complements(K)), 0] + found.bias
    assert auroc(test.labels[:, 0], logits) > 0.8
    assert np.log(1 + np.exp(-np.where(test.labels[:, 0] == 1, 1, -1) * logits)).mean() < 0.6


def test_each_task_takes_of_either_what_it_is_worth():
    """The second task is noise to the regression, and known to the network."""
    train, valid = split(400, 0, tasks=2), split(200, 1, tasks=2)
    network = np.stack([np.random.default_rng(0).normal(size=200), 2.0 * valid.labels[:, 1] - 1], 1)
    scale, table, _ = blend(train, valid, 1 / (1 + np.exp(-network)))
    assert scale[1] > 2 > 1 > scale[0]
    assert np.abs(table[:, 0]).max() > 3 * np.abs(table[:, 1]).max()


def test_shares_are_drawn_from_those_of_both_to_those_of_the_second_alone():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    guesses = labels[:, None] * [0.5, 5.0] + rng.normal(size=(300, 2)) * [1.0, 9.0]
    spread, models = guesses.std(axis=0), []
    for used in ([0, 1], [1]):
        models.append(LogisticRegression(C=1, tol=1e-9).fit((guesses / spread)[:, used], labels))
    losses = [
        log_loss(labels, model.predict_proba((guesses / spread)[:, used]), normalize=False)
        for model, used in zip(models, ([0, 1], [1]), strict=True)
    ]
    trust = 1 - DOUBT / (2 * (losses[1] - losses[0]))
    assert 0.5 < trust < 0.95
    one, other = models[0].coef_[0] / spread, np.append(0, models[1].coef_[0] / spread[1])
    found = mixed(labels, guesses)
    np.testing.assert_allclose(found[:2], trust * one + (1 - trust) * other, rtol=1e-4)
    constant = trust * models[0].intercept_[0] + (1 - trust) * models[1].intercept_[0]
    np.testing.assert_allclose(found[2], constant, atol=1e-4)


def test_a_network_that_adds_no_more_than_chance_is_left_out():
    """Of twenty epochs that know nothing, the best on few examples looks as if it knew."""
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 2
    epochs = rng.normal(size=(20, 90))
    best = max(epochs, key=lambda guess: auroc(labels, guess))
    assert auroc(labels, best) > 0.6
    regression = labels + rng.normal(size=90)
    assert mixed(labels, np.stack([best, regression], axis=1))[0] == 0


def test_what_speaks_against_itself_or_says_nothing_is_left_out():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    good, noise = labels + rng.normal(size=300), rng.normal(size=300)
    for bad in (noise - labels, np.full(300, 7.0)):
        for order in (0, 1):
            found = mixed(labels, np.stack([good, bad][:: 1 - 2 * order], axis=1))
            assert found[order] > 0.5
            assert found[1 - order] == 0
    assert mixed(labels, np.stack([-good, -good], axis=1)).tolist() == [1, 0, 0]


def test_perfect_guesses_stay_finite():
    labels = np.array([0, 1] * 20)
    found = mixed(labels, np.stack([200.0 * labels, labels.astype(float)], axis=1))
    assert np.isfinite(found).all()
    assert found[1] > 0


# Measurements


def measured(examples, seed):
    """Sequences, and 5 + 3 times how often each holds GATAAG on either strand."""
    some = split(examples, seed)
    word = int(encode(["GATAAG"])[0] @ 4 ** np.arange(K)[::-1])
    column = np.searchsorted(np.unique(reverse_complements(K)), reverse_complements(K)[word])
    labels = 5 + 3 * kmer_counts(some.codes, K)[:, [column]]
    return Split(some.codes, labels.astype(np.float32))


def blended(found, codes, network):
    """What a network's values and a regression come to together."""
    counts = kmer_counts(codes, K)
    return (
        network * found.scale
        + counts @ found.table[np.unique(reverse_complements(K))]
        + (found.bias)
    )


def test_measurements_are_regressed_on_as_scikit_learn_does(monkeypatch):
    monkeypatch.setattr(regression, "K", 3)
    some = measured(120, 0)
    labels = np.hstack([some.labels, 100 - some.labels])
    labels[:20, 1] = np.nan  # counts as the mean of the others
    filled = np.where(np.isnan(labels), np.nanmean(labels, axis=0), labels)
    counts = kmer_counts(some.codes, 3).astype(float)
    for strength, found in zip(STRENGTHS, ridge(Split(some.codes, labels)), strict=True):
        np.testing.assert_allclose(
            found, Ridge(alpha=strength).fit(counts, filled).coef_.T, atol=1e-4
        )


def test_values_that_kmers_tell_are_predicted_in_their_units():
    train, valid, test = (measured(n, seed) for seed, n in enumerate((1500, 300, 300)))
    found = blend(train, valid, np.full((300, 1), 7.0))  # a network that says one thing always
    assert found.scale[0] == 0
    guess = blended(found, test.codes, np.full((300, 1), 7.0))[:, 0]
    assert pearson(test.labels[:, 0], guess) > 0.95
    assert np.polyfit(guess, test.labels[:, 0], 1) == pytest.approx([1, 0], abs=0.3)
    exact = blend(train, valid, valid.labels - 100)  # one that knows them, but for a constant
    np.testing.assert_allclose(blended(exact, test.codes, test.labels - 100), test.labels, atol=0.3)
    assert exact.scale[0] > 0.7  # the regression, which is almost as good, has the rest


def test_shares_of_measurements_are_those_of_least_squares_drawn_to_the_second_alone():
    rng = np.random.default_rng(0)
    guesses = rng.normal(size=(400, 2)) * [1.0, 9.0] + [3, 20]
    labels = (guesses @ [0.2, 0.1] + rng.normal(size=400)).astype(np.float32)
    spread, fits, squares = guesses.std(axis=0), [], []
    for used in ([0, 1], [1]):
        model = Ridge(alpha=1.0).fit((guesses / spread)[:, used], labels)
        shares = np.zeros(3)
        shares[used], shares[2] = model.coef_ / spread[used], model.intercept_
        fits.append(shares)
        squares.append(np.square(labels - model.predict((guesses / spread)[:, used])).sum())
    trust = 1 - DOUBT / (400 * np.log(squares[1] / squares[0]))
    assert 0.5 < trust < 0.95
    expected = trust * fits[0] + (1 - trust) * fits[1]
    np.testing.assert_allclose(mixed(labels, guesses), expected, rtol=1e-4)


def test_values_guessed_exactly_stay_finite():
    labels = np.arange(40, dtype=np.float32)
    assert np.isfinite(mixed(labels, np.stack([labels, labels], axis=1).astype(float))).all()
