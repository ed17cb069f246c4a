"""The regression that a network has to beat: its features by hand, its scores, its choice."""

import numpy as np
from own_data import MOTIF, rows_of

from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.genomics.dna import encode
from sfc_lib.genomics.kmers import kmer_features
from sfc_lib.own.baseline import PENALTIES, STRENGTHS, K, fit_baseline
from sfc_lib.runs.evaluation import pearson


def dataset(tasks=1, examples=200):
    """Sequences with a motif or without; every task asks for the same, the last for chance."""
    parts = {}
    for seed, name in enumerate(("train", "valid", "test")):
        codes = encode(rows_of(examples // 2, seed, MOTIF) + rows_of(examples // 2, 10 + seed))
        labels = np.repeat([[1], [0]], examples // 2, axis=0).repeat(tasks, axis=1)
        labels[:, 1:] = np.arange(examples)[:, None] % 2
        parts[name] = Split(codes, labels.astype(np.uint8))
    names = tuple(f"task {n}" for n in range(tasks))
    return Dataset("custom", {}, "0" * 64, names, {}, **parts)


def test_it_finds_a_motif_and_says_nothing_of_chance():
    from sklearn.metrics import roc_auc_score

    data = dataset(tasks=2)
    found = fit_baseline(data)
    assert set(found.probabilities) == {"valid", "test"}
    guess = found.probabilities["test"]
    assert (guess.dtype, guess.shape) == (np.float32, (200, 2))
    assert roc_auc_score(data.test.labels[:, 0], guess[:, 0]) > 0.9
    assert 0.35 < roc_auc_score(data.test.labels[:, 1], guess[:, 1]) < 0.65
    assert set(found.strengths) <= set(STRENGTHS)
    assert found.seconds > 0


def test_labels_that_are_not_known_are_left_out():
    data = dataset()
    expected = fit_baseline(data).probabilities["test"]
    unknown = np.full((40, 1), 255, dtype=np.uint8)
    train = Split(
        np.concatenate([data.train.codes, data.train.codes[:40]]),
        np.concatenate([data.train.labels, unknown]),
    )
    more = Dataset("custom", {}, "0" * 64, ("a",), {}, train, data.valid, data.test)
    np.testing.assert_allclose(fit_baseline(more).probabilities["test"], expected, atol=1e-3)


def test_of_measurements_it_is_the_ridge_that_validation_likes_best():
    from sklearn.linear_model import Ridge

    data, parts = dataset(tasks=2), {}
    rng = np.random.default_rng(0)
    for name in ("train", "valid", "test"):
        split = getattr(data, name)
        labels = 50 + 10 * split.labels + rng.normal(0, 3, split.labels.shape)
        labels[::5, 0] = np.nan
        parts[name] = Split(split.codes, labels.astype(np.float32))
    found = fit_baseline(Dataset("custom", {}, "0" * 64, ("a", "b"), {}, **parts))
    features = {name: kmer_features(part.codes, K).toarray() for name, part in parts.items()}
    scores = {}
    train, valid = (
        (features[n], parts[n].labels[:, 0], ~np.isnan(parts[n].labels[:, 0]))
        for n in ("train", "valid")
    )
    for penalty in PENALTIES:
        model = Ridge(penalty).fit(train[0][train[2]], train[1][train[2]])
        guess = model.predict(valid[0])[valid[2]]
        scores[penalty] = np.corrcoef(guess, valid[1][valid[2]])[0, 1], model
    best = max(scores, key=lambda penalty: scores[penalty][0])
    assert found.strengths[0] == best
    guess = found.probabilities["test"]
    expected = scores[best][1].predict(features["test"])
    np.testing.assert_allclose(guess[:, 0], expected, atol=0.05)
    known = ~np.isnan(parts["test"].labels[:, 0])
    assert pearson(parts["test"].labels[known, 0], guess[known, 0]) > 0.7
    assert abs(pearson(parts["test"].labels[:, 1], guess[:, 1])) < 0.3
