"""The regression beside a network: its weights, and in which shares the two are taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from sfc_lib.datasets.base import NOT_KNOWN, Split
from sfc_lib.genomics.dna import encode, reverse_complement
from sfc_lib.genomics.kmers import reverse_complements
from sfc_lib.runs import regression
from sfc_lib.runs.evaluation import auroc, pearson
from sfc_lib.runs.regression import DOUBT, STRENGTHS, Kmers, bell, blend, mixed, ridge, shared

LENGTH, K = 60, 6


def split(examples, seed, tasks=1, middle=False):
    """Sequences of which the positives hold GATAAG often; further tasks are noise."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (examples, LENGTH), dtype=np.uint8)
    labels = rng.integers(0, 2, (examples, tasks)).astype(np.uint8)
    for row in np.flatnonzero((labels[:, 0] == 1) & (rng.random(examples) < 0.8)):
        start = rng.integers(0, LENGTH - K) if not middle else rng.integers(25, 30)
        codes[row, start : start + K] = encode(["GATAAG"])[0]
    return Split(codes, labels)


def counted(codes, positions, k):
    """Weighted counts of the k-mers of both strands by hand, (examples, 4^k)."""
    counts = np.zeros((len(codes), 4**k))
    for row, sequence in enumerate(codes):
        for start, weight in enumerate(positions):
            kmer = sequence[start : start + k]
            if (kmer < 4).all():
                for strand in (kmer, 3 - kmer[::-1]):
                    counts[row, int("".join(map(str, strand)), 4)] += weight
    return counts


def sharing(k, share):
    """How much of its weight each k-mer takes from each other, by the places that differ."""
    digits = np.arange(4**k)[:, None] // 4 ** np.arange(k) % 4
    differ = (digits[:, None] != digits[None]).sum(axis=2)
    return share**differ * 1.0


@given(st.integers(1, 3), st.floats(0, 1))
def test_a_weight_is_shared_with_kmers_by_the_places_where_they_differ(k, share):
    table = np.random.default_rng(k).normal(size=4**k)
    np.testing.assert_allclose(shared(table, share), sharing(k, share) @ table, atol=1e-9)


@pytest.mark.parametrize("examples", [25, 120])
def test_weights_are_those_of_scikit_learn(examples):
    """Of a ridge on the counts times a root of how they are shared, and with an N here and there.

    Sequences may be fewer or more than the 64 3-mers.
    """
    few = split(examples, 0)
    codes = few.codes[:, :20].copy()
    codes[::7, 3] = 4
    positions, labels = bell(18, 5.0), few.labels[:, 0]
    values, vectors = np.linalg.eigh(sharing(3, regression.SHARED))
    root = vectors * np.sqrt(values)
    features = counted(codes, positions, 3) @ root
    unit = 2 * np.square(positions).sum()
    kmers = Kmers(codes, positions, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "STEPS_OF_RIDGE", 200)  # the whole space
        tables = ridge(kmers, labels)
    for strength, table in zip(STRENGTHS, tables, strict=True):
        # here both strands' k-mers count, in `Kmers` one's: twice as much is shared
        model = Ridge(alpha=2 * strength * unit, solver="svd").fit(features, labels)
        expected, found = features @ model.coef_, kmers.scores(table)
        np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-6)


def test_few_steps_come_as_far_as_all_of_them():
    some = split(150, 0)
    kmers = Kmers(some.codes, bell(LENGTH - 5, 30.0), 6)
    few = ridge(kmers, some.labels[:, 0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "STEPS_OF_RIDGE", 149)
        whole = ridge(kmers, some.labels[:, 0])
    for one, other in list(zip(few, whole, strict=True))[1:]:
        assert np.corrcoef(kmers.scores(one), kmers.scores(other))[0, 1] > 0.99


def test_both_strands_score_alike():
    kmers = split(30, 0).codes
    positions = bell(LENGTH - 5, 20.0)
    one, other = Kmers(kmers, positions, 6), Kmers(reverse_complement(kmers), positions, 6)
    table = one.table(np.random.default_rng(0).normal(size=30))
    np.testing.assert_allclose(one.scores(table), other.scores(table))


def test_unknown_labels_pull_nowhere():
    some = split(200, 0)
    labels = some.labels[:, 0].copy()
    labels[:100] = NOT_KNOWN
    kmers = Kmers(some.codes, np.ones(LENGTH - K + 1), K)
    for table in ridge(kmers, labels):
        assert auroc(some.labels[100:, 0], kmers.scores(table)[100:]) > 0.95
    assert not np.any(ridge(kmers, np.full(200, NOT_KNOWN, dtype=np.uint8)))
    assert not np.any(ridge(kmers, np.ones(200, dtype=np.uint8)))


def test_the_table_says_for_each_kmer_what_its_regression_says():
    train, valid = split(400, 0), split(100, 1)
    found = blend(train, valid, np.full((100, 1), 0.5), K)  # a network that knows nothing
    assert found.table.shape == (4**K, 1)
    np.testing.assert_allclose(found.table, found.table[reverse_complements(K)], rtol=1e-5)
    number = int(encode(["GATAAG"])[0] @ 4 ** np.arange(K)[::-1])
    assert found.table[:, 0].argmax() in (number, reverse_complements(K)[number])
    test = split(500, 2)
    logits = Kmers(test.codes, found.positions, K).scores(found.table[:, 0]) + found.bias
    assert auroc(test.labels[:, 0], logits) > 0.8
    assert np.log(1 + np.exp(-np.where(test.labels[:, 0] == 1, 1, -1) * logits)).mean() < 0.6


def test_kmers_count_in_the_middle_where_that_is_where_they_tell():
    nothing = np.full((300, 1), 0.5)
    train, valid = split(300, 0, middle=True), split(300, 1, middle=True)
    middle = blend(train, valid, nothing, K).positions
    assert middle.argmax() == (len(middle) - 1) // 2
    assert middle[0] < 0.8
    everywhere = blend(split(300, 0), split(300, 1), nothing, K).positions
    assert everywhere.min() > middle[0]


def test_each_task_takes_of_either_what_it_is_worth():
    """The second task is noise to the regression, and known to the network."""
    train, valid = split(400, 0, tasks=2), split(200, 1, tasks=2)
    network = np.stack([np.random.default_rng(0).normal(size=200), 2.0 * valid.labels[:, 1] - 1], 1)
    scale, _, table, _ = blend(train, valid, 1 / (1 + np.exp(-network)), K)
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
    labels = 5 + 3 * counted(some.codes, np.ones(LENGTH - K + 1), K)[:, [word]]
    return Split(some.codes, labels.astype(np.float32))


def blended(found, codes, network):
    """What a network's values and a regression come to together."""
    scores = Kmers(codes, found.positions, K).scores(found.table[:, 0])
    return network * found.scale + scores[:, None] + found.bias


def test_unknown_measurements_count_as_the_mean_of_the_others():
    some = measured(120, 0)
    kmers, values = Kmers(some.codes, np.ones(LENGTH - K + 1), K), some.labels[:, 0].copy()
    values[:20] = np.nan
    filled = np.where(np.isnan(values), np.nanmean(values), values)
    np.testing.assert_allclose(ridge(kmers, values), ridge(kmers, filled), atol=1e-6)


def test_values_that_kmers_tell_are_predicted_in_their_units():
    train, valid, test = (measured(n, seed) for seed, n in enumerate((1500, 300, 300)))
    found = blend(train, valid, np.full((300, 1), 7.0), K)  # a network that says one thing always
    assert found.scale[0] == 0
    guess = blended(found, test.codes, np.full((300, 1), 7.0))[:, 0]
    assert pearson(test.labels[:, 0], guess) > 0.95
    assert np.polyfit(guess, test.labels[:, 0], 1) == pytest.approx([1, 0], abs=0.3)
    exact = blend(train, valid, valid.labels - 100, K)  # one that knows them, but for a constant
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
