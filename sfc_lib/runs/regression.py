"""A regression on k-mer counts beside a network, and how much of each the prediction takes.

A network finds motifs, but with few examples it learns little of what a sequence is made of: a
promoter is told by its CpG, an enhancer by many weak sites. Counts of k-mers tell that at once.
Both are fitted on the training set, each on its own; the validation set says how much of either
is worth taking. Where labels are measurements, it is their values that are added, in place of
logits, by least squares. NumPy alone, as runs are also trained where there is no more than Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sfc_lib.datasets.base import Split, is_continuous, is_known
from sfc_lib.genomics.kmers import kmer_counts, reverse_complements
from sfc_lib.runs.evaluation import kind_of

K = 6  # bp
STRENGTHS = 10.0 ** np.arange(1.5, 5, 0.5)  # of the ridge; validation chooses
LOGIT = 2.0  # what a positive example is fitted to; a negative one to as much below 0
MOST = 20_000  # training examples, evenly spaced, which take some seconds
PRIOR = 1.0  # of the shares: the penalty on their squares
DOUBT = 4.0  # twice the log-likelihood that a network must add before any of it is taken
SURE = 1e-7  # a network's probability is at least so far from 0 and 1, about float32's own limit
STEPS = 25  # of Newton's method, which has converged by then


class Blend(NamedTuple):
    """What is added to a network's logits, by task, in the order of the layer's weights.

    `scale` (tasks,) is what the logits are multiplied with; `table` (4^k, tasks) is added for
    each k-mer, a k-mer and its reverse complement alike; `bias` (tasks,).
    """

    scale: np.ndarray
    table: np.ndarray
    bias: np.ndarray


def blend(train: Split, valid: Split, guesses: np.ndarray) -> Blend:
    """Fit the regression, and the shares of it and of the network that predict best together.

    Args:
        train: What the network was trained on.
        valid: What it was validated by.
        guesses: The network's probabilities, or values, of `valid`, (examples, tasks).
    """
    logits, kind = guesses.astype(np.float64), kind_of(valid.labels)
    if not kind.continuous:
        sure = np.clip(logits, SURE, 1 - SURE)
        logits = np.log(sure / (1 - sure))
    tables = ridge(train.evenly(MOST))  # (strengths, canonical k-mers, tasks)
    counts, labels = kmer_counts(valid.codes, K), np.asarray(valid.labels)
    columns, tasks = [], range(labels.shape[1])
    shares = np.empty((3, labels.shape[1]))
    for task in tasks:
        known = is_known(labels[:, task])
        truth = labels[known, task]
        others = [counts[known] @ table[:, task] for table in tables]
        best = int(np.argmax([kind.scores[kind.best](truth, other) for other in others]))
        columns.append(tables[best][:, task])
        shares[:, task] = mixed(truth, np.stack([logits[known, task], others[best]], axis=1))
    table = np.stack(columns, axis=1) * shares[1]
    _, kmers = np.unique(reverse_complements(K), return_inverse=True)
    parts = shares[0], table[kmers], shares[2]
    return Blend(*(part.astype(np.float32) for part in parts))


def ridge(split: Split) -> list[np.ndarray]:
    """Weights of canonical k-mers by ridge regression of every task, for each of `STRENGTHS`.

    Unknown labels count as the mean of the known ones. Of examples and k-mers the fewer say
    how large a matrix is decomposed.

    Returns:
        One float64 (canonical k-mers, tasks) a strength.
    """
    counts, labels = kmer_counts(split.codes, K), np.asarray(split.labels)
    known = is_known(labels)
    signal = labels if is_continuous(labels) else LOGIT * (2.0 * labels - 1)
    signal = np.where(known, signal, 0).astype(np.float64)
    targets = np.where(known, signal - signal.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0)
    counts -= counts.mean(axis=0)
    wide = len(counts) < counts.shape[1]
    square = counts @ counts.T if wide else counts.T @ counts
    values, vectors = np.linalg.eigh(square.astype(np.float64))
    start = vectors.T @ (targets if wide else counts.T @ targets)
    found = [vectors @ (start / (values + strength)[:, None]) for strength in STRENGTHS]
    return [counts.T @ weights for weights in found] if wide else found


def mixed(labels: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """Shares of a network's guess and a regression's, and what to add: the best logits together.

    They are those of a logistic regression on the two (of measurements, a linear one), drawn
    towards those of the second guess alone: by `DOUBT` / (twice the log-likelihood that the first
    one adds), altogether where it adds no more than that. For the network's epoch was chosen by
    the same examples; where they are few, one that has learnt nothing looks a little as if it had.

    Args:
        labels: 0 or 1, or measurements, (examples,).
        guesses: (examples, 2).

    Returns:
        float64 (3,): the two shares, never under 0, and the constant. The first guess as it is
        where neither is worth anything.

    Example:

    >>> first = np.array([-1.0, 1.0] * 50)
    >>> mixed(first > 0, np.stack([first, -first], axis=1)).round(1).tolist()[1]
    0.0
    """
    both, alone = (_shares(labels, guesses, used) for used in ([True, True], [False, True]))
    likelihood, other = (
        _likelihood(labels, guesses @ shares[:2] + shares[2]) for shares in (both, alone)
    )
    trust = 1 - min(1, DOUBT / max(2 * (likelihood - other), DOUBT))
    found = trust * both + (1 - trust) * alone
    return found if found[:2].any() else np.array([1.0, 0.0, 0.0])


def _shares(labels: np.ndarray, guesses: np.ndarray, which: Sequence[bool]) -> np.ndarray:
    """As of `mixed`, by regression on some of the guesses, without the harmful ones.

    Each guess counts by its standard deviation, so that the penalty is the same for both.
    """
    spread = guesses.std(axis=0)
    used = np.array(which) & (spread > 0)
    scaled = guesses / np.where(spread > 0, spread, 1)
    fit = _linear if is_continuous(labels) else _logistic
    while True:
        shares, constant = fit(labels, scaled[:, used])
        if (shares >= 0).all():
            break
        used[used] = shares > 0
    found = np.append(np.zeros(2), constant)
    found[:2][used] = shares / spread[used]
    return found


def _likelihood(labels: np.ndarray, guess: np.ndarray) -> float:
    """Logarithm of the likelihood; of measurements with the variance that fits best."""
    if is_continuous(labels):
        squares = np.square(labels - guess).sum()
        return float(-len(labels) / 2 * np.log(max(squares, np.finfo(float).tiny)))
    return float(-np.logaddexp(0, np.where(labels, -1, 1) * guess).sum())


def _linear(labels: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (features,) and constant of a linear regression."""
    mean, constant = features.mean(axis=0), labels.mean(dtype=np.float64)
    away = features - mean
    bend = away.T @ away + PRIOR * np.eye(len(mean))
    weights = np.linalg.solve(bend, away.T @ (labels - constant))
    return weights, float(constant - mean @ weights)


def _logistic(labels: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (features,) and constant of a logistic regression, by Newton's method."""
    design = np.column_stack([features, np.ones(len(labels))])
    penalty = np.diag([PRIOR] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        guess = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (guess - labels) + penalty @ weights
        bend = (design.T * (guess * (1 - guess))) @ design + penalty
        weights = weights - np.linalg.solve(bend + 1e-9 * np.eye(len(bend)), slope)
    return weights[:-1], float(weights[-1])
