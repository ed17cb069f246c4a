"""A regression on k-mers beside a network, and how much of each the prediction takes.

A network finds motifs, but with few examples it learns little of what a sequence is made of: a
promoter is told by its CpG, an enhancer by many weak sites. A ridge regression on k-mers tells
that, and with three things that make few examples go further also most of a motif: a k-mer
shares its weight with those that differ from it at some places, as gapped and mismatch kernels
have it; it counts on both strands alike; and more in the middle of the window, where the summits
of peaks are, if that helps. So it is separable like the layer this library is about: a weight by
k-mer times a weight by position. Network and regression are fitted on the training set, each on
its own; the validation set says how far from the middle k-mers count, how strong the ridge is,
and how much of either is worth taking. Where labels are measurements, it is their values that
are added, in place of logits, by least squares. NumPy alone, as runs are also trained where there
is no more than Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sfc_lib.datasets.base import Split, is_continuous, is_known
from sfc_lib.genomics.kmers import canonical_kmers, reverse_complements
from sfc_lib.runs.evaluation import kind_of

SHARED = 0.2  # what a k-mer takes of the weight of one that differs in one base; squared, in two
SPREADS = (np.inf, 100.0, 50.0, 30.0)  # bp from the middle, standard deviations of the positions
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the ridge, in units of 2 Σ positions²
STEPS_OF_RIDGE = 30  # dimensions of the space its solutions are looked for in
PROBED = 2  # tasks, the first ones, that choose among `SPREADS`
MOST = 4_000_000  # k-mers of training examples, evenly spaced, which take some seconds a spread
BLOCK = 5_000  # examples scored at once; bounds the memory
PRIOR = 1.0  # of the shares: the penalty on their squares
DOUBT = 4.0  # twice the log-likelihood that a network must add before any of it is taken
SURE = 1e-7  # a network's probability is at least so far from 0 and 1, about float32's own limit
STEPS = 25  # of Newton's method, which has converged by then


class Blend(NamedTuple):
    """What is added to a network's logits, by task, in the order of the layer's weights.

    `scale` (tasks,) is what the logits are multiplied with; `positions` (length − k + 1,) times
    `table` (4^k, tasks) is added for each k-mer, a k-mer and its reverse complement alike; `bias`
    (tasks,).
    """

    scale: np.ndarray
    positions: np.ndarray
    table: np.ndarray
    bias: np.ndarray


class Kmers:
    """The k-mers of sequences, each counted by where it stands, as the features of a regression.

    Args:
        codes: (examples, length).
        positions: Weights (length − k + 1,).
        k: bp.
    """

    def __init__(self, codes: np.ndarray, positions: np.ndarray, k: int) -> None:
        self.k, self.positions, self.others = k, positions, reverse_complements(k)
        kmers = canonical_kmers(np.asarray(codes), k)
        self.kmers = np.where(kmers < 0, 4**k, kmers)  # those with an N are counted, for nothing

    def __len__(self) -> int:
        return len(self.kmers)

    def scores(self, table: np.ndarray) -> np.ndarray:
        """The sum of the weights of each sequence's k-mers, (examples,)."""
        padded = np.append(table, 0.0)
        parts = [padded[self.kmers[i : i + BLOCK]] for i in range(0, len(self), BLOCK)]
        return np.concatenate([part @ self.positions for part in parts])

    def table(self, shares: np.ndarray) -> np.ndarray:
        """A weight for each k-mer, (4^k,), from one for each sequence that may hold it."""
        counted = (shares[:, None] * self.positions).ravel()
        table = np.bincount(self.kmers.ravel(), counted, 4**self.k + 1)[:-1]
        return shared(table + table[self.others])


def shared(table: np.ndarray, share: float = SHARED) -> np.ndarray:
    """Weights of k-mers (4^k,), of each place a part taken from the sum over its four bases.

    Example:

    >>> shared(np.array([1.0, 0, 0, 0]), 0.25).tolist()
    [1.0, 0.25, 0.25, 0.25]
    """
    k = round(np.log(len(table)) / np.log(4))
    table = table.reshape((4,) * k)
    for place in range(k):
        table = (1 - share) * table + share * table.sum(axis=place, keepdims=True)
    return table.ravel()


def blend(train: Split, valid: Split, guesses: np.ndarray, k: int) -> Blend:
    """Fit the regression, and the shares of it and of the network that predict best together.

    Args:
        train: What the network was trained on.
        valid: What it was validated by.
        guesses: The network's probabilities, or values, of `valid`, (examples, tasks).
        k: bp of the k-mers.
    """
    logits, kind = guesses.astype(np.float64), kind_of(valid.labels)
    if not kind.continuous:
        sure = np.clip(logits, SURE, 1 - SURE)
        logits = np.log(sure / (1 - sure))
    places = train.codes.shape[1] - k + 1
    train, tasks = train.evenly(max(1, MOST // places)), range(valid.labels.shape[1])

    def fitted(spread: float, tasks: Sequence[int]) -> list[tuple[float, np.ndarray, np.ndarray]]:
        positions = bell(places, spread)
        seen, held_out = Kmers(train.codes, positions, k), Kmers(valid.codes, positions, k)
        return [_best(seen, train.labels[:, t], held_out, valid.labels[:, t]) for t in tasks]

    chosen = max(SPREADS, key=lambda spread: sum(s for s, *_ in fitted(spread, tasks[:PROBED])))
    tables, shares = [], np.empty((3, len(tasks)))
    for task, (_, table, guess) in zip(tasks, fitted(chosen, tasks), strict=True):
        known = is_known(valid.labels[:, task])
        both = np.stack([logits[known, task], guess[known]], axis=1)
        shares[:, task] = mixed(valid.labels[known, task], both)
        tables.append(table * shares[1, task])
    parts = shares[0], bell(places, chosen), np.stack(tables, axis=1), shares[2]
    return Blend(*(part.astype(np.float32) for part in parts))


def bell(places: int, spread: float) -> np.ndarray:
    """How much k-mers count by where they start: normal around the middle, 1 there, (places,).

    Example:

    >>> bell(3, 1.0).round(2).tolist(), bell(3, np.inf).tolist()
    ([0.61, 1.0, 0.61], [1.0, 1.0, 1.0])
    """
    return np.exp(-(((np.arange(places) - (places - 1) / 2) / spread) ** 2) / 2)


def _best(
    seen: Kmers, labels: np.ndarray, held_out: Kmers, truth: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Of a task and all strengths the best score of `truth`; its table, and what it predicts."""
    known, kind = is_known(truth), kind_of(truth)
    found = [(table, held_out.scores(table)) for table in ridge(seen, labels)]
    scores = [kind.scores[kind.best](truth[known], guess[known]) for _, guess in found]
    best = int(np.argmax(scores))
    return scores[best], *found[best]


def ridge(kmers: Kmers, labels: np.ndarray) -> list[np.ndarray]:
    """Weights of k-mers by ridge regression on one task, for each of `STRENGTHS`.

    With C the counts of k-mers, centred, S what `shared` does, and y the labels, centred, it is
    `table = S Cᵀ (C S Cᵀ + strength)⁻¹ y`, by Lanczos's method from y: one space serves all
    strengths, and no matrix of examples times examples is made. Unknown labels count as the mean
    of the known ones.

    Returns:
        One float64 (4^k,) a strength.
    """
    known = is_known(labels)
    signal = np.where(known, labels, 0).astype(np.float64)
    signal = np.where(known, signal - signal.sum() / max(known.sum(), 1), 0)
    size = np.linalg.norm(signal)
    if not size:
        return [np.zeros(4**kmers.k) for _ in STRENGTHS]
    unit, basis, diagonal, beside = signal / size, [], [], []
    for _ in range(min(STEPS_OF_RIDGE, len(kmers) - 1)):
        basis.append(unit)
        image = kmers.scores(kmers.table(unit))
        image -= image.mean()
        diagonal.append(float(unit @ image))
        for _ in range(2):  # once leaves what rounding adds
            image -= np.array(basis).T @ (np.array(basis) @ image)
        beside.append(float(np.linalg.norm(image)))
        if beside[-1] < 1e-9 * diagonal[0]:
            break
        unit = image / beside[-1]
    small = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    start = np.eye(len(small))[0] * size
    scale = 2 * np.square(kmers.positions).sum()
    found = [
        np.linalg.solve(small + strength * scale * np.eye(len(small)), start) @ np.array(basis)
        for strength in STRENGTHS
    ]
    return [kmers.table(shares - shares.mean()) for shares in found]


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
