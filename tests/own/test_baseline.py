"""The regression that a network has to beat: its features by hand, its scores, its choice."""

import numpy as np
from own_data import MOTIF, rows_of

from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.genomics.dna import encode
from sfc_lib.own.baseline import STRENGTHS, fit_baseline


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
