"""What any network has to beat: logistic regression on the counts of 6-mers of both strands."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from sfc_lib.datasets.base import SPLITS, Dataset
from sfc_lib.genomics.kmers import kmer_features

K = 6  # bp
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # scikit-learn's C; validation chooses
MOST = 20_000  # training examples, evenly spaced, which take some seconds
ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class Baseline:
    """Probabilities by split (`valid`, `test`), float32 (examples, tasks), and how they came.

    `strengths`: the C that validation chose for each task.
    """

    probabilities: Mapping[str, np.ndarray]
    strengths: tuple[float, ...]
    seconds: float


def fit_baseline(dataset: Dataset) -> Baseline:
    """Regression of each task on the training set, its strength chosen by the validation set."""
    began = time.perf_counter()
    splits = {name: getattr(dataset, name) for name in SPLITS}
    splits["train"] = splits["train"].evenly(MOST)
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
    """The best strength, and by split the probabilities of one task, float32 (examples,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    best: tuple[float, float, dict[str, np.ndarray]] = (-1.0, 0.0, {})
    known = {name: np.isin(values, (0, 1)) for name, values in labels.items()}
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features["train"][known["train"]], labels["train"][known["train"]])
        guess = {
            name: model.predict_proba(part)[:, 1].astype(np.float32)
            for name, part in features.items()
            if name != "train"
        }
        valid = known["valid"]
        score = float(roc_auc_score(labels["valid"][valid], guess["valid"][valid]))
        if score > best[0]:
            best = score, strength, guess
    return best[1:]
