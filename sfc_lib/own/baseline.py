"""What any network has to beat: a regression on the counts of 6-mers of both strands.

It is logistic, or of measurements a ridge.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from sfc_lib.datasets.base import SPLITS, Dataset, is_known
from sfc_lib.genomics.kmers import kmer_features
from sfc_lib.runs.evaluation import kind_of

K = 6  # bp
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # scikit-learn's C; validation chooses
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of the ridge, in its place
MOST = 20_000  # training examples, which take some seconds
ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class Baseline:
    """Probabilities by split (`valid`, `test`), float32 (examples, tasks), and how they came.

    Of measurements they are values. `strengths`: the C, or the penalty, that validation chose for
    each task.
    """

    probabilities: Mapping[str, np.ndarray]
    strengths: tuple[float, ...]
    seconds: float


def fit_baseline(dataset: Dataset) -> Baseline:
    """Regression of each task on the training set, its strength chosen by the validation set."""
    began = time.perf_counter()
    splits = {name: getattr(dataset, name) for name in SPLITS}
    splits["train"] = splits["train"].some(MOST)
    features = {name: kmer_features(split.codes, K) for name, split in splits.items()}
    labels = {name: np.asarray(split.labels) for name, split in splits.items()}
    found, chosen = [], []
    for task in range(len(dataset.task_names)):
        truth = {name: values[:, task] for name, values in labels.items()}
        strength, guess = _fit(features, truth)
        found.append(guess)
        chosen.append(strength)
    names = [name for name in SPLITS if name != "train"]
    probabilities = {name: np.stack([guess[name] for guess in found], axis=1) for name in names}
    return Baseline(probabilities, tuple(chosen), time.perf_counter() - began)


def _fit(
    features: Mapping[str, csr_matrix], labels: Mapping[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """The best strength, and by split the predictions of one task, float32 (examples,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    best: tuple[float, float, dict[str, np.ndarray]] = (-np.inf, 0.0, {})
    known = {name: is_known(values) for name, values in labels.items()}
    kind = kind_of(labels["train"])
    for strength in PENALTIES if kind.continuous else STRENGTHS:
        model: Any = LogisticRegression(C=strength, max_iter=ITERATIONS)
        if kind.continuous:
            model = Ridge(strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features["train"][known["train"]], labels["train"][known["train"]])
        guess = {
            name: (model.predict(part) if kind.continuous else model.predict_proba(part)[:, 1])
            for name, part in features.items()
            if name != "train"
        }
        guess = {name: values.astype(np.float32) for name, values in guess.items()}
        valid = known["valid"]
        score = kind.scores[kind.best](labels["valid"][valid], guess["valid"][valid])
        if score > best[0]:
            best = score, strength, guess
    return best[1:]
