"""What counting k-mers learns of a dataset: a yardstick for its networks.

Logistic regression on the square roots of 6-mer counts of both strands, fitted on the training
set by each task and scored on validation and test set. Prints the mean auROC over tasks; takes
minutes, and the dataset's files (`sfc data list`):

    python benchmarks/yardstick.py hematopoiesis
"""

import sys

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.base import Split, load_dataset

K = 6
MOST = 60_000  # training examples, evenly spaced
STRENGTHS = (0.001, 0.01, 0.1)  # of the fit (C); the best on the validation set is scored


def kmer_counts(codes: np.ndarray, k: int = K) -> sparse.csr_matrix:
    """Square roots of the counts of k-mers on both strands, (examples, 4 ** k); none with an N."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(codes), k, axis=1)
    powers = 4 ** np.arange(k)
    forward, backward = windows @ powers[::-1], (3 - windows.astype(np.int64)) @ powers
    rows = np.repeat(np.arange(len(codes)), windows.shape[1])
    known = (windows < 4).all(axis=2).ravel()
    shape = len(codes), 4**k
    counts = sum(
        sparse.csr_matrix((np.ones(known.sum()), (rows[known], words.ravel()[known])), shape)
        for words in (forward, backward)
    )
    return counts.sqrt()


def main(name: str) -> None:
    dataset = load_dataset(name)
    train = dataset.train.evenly(min(MOST, len(dataset.train)))
    parts = {split: getattr(dataset, split) for split in ("valid", "test")}
    fitted = kmer_counts(train.codes)
    known = {split: kmer_counts(part.codes) for split, part in parts.items()}
    best = {split: [] for split in parts}
    for column, task in enumerate(dataset.task_names):
        scores = []
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, solver="liblinear").fit(
                fitted, train.labels[:, column]
            )
            scores.append([_score(model, known[s], parts[s], column) for s in parts])
        valid, test = max(scores)
        best["valid"].append(valid)
        best["test"].append(test)
        print(f"{task} auROC valid {valid:.4f} test {test:.4f}", flush=True)
    means = ", ".join(f"{split} {np.mean(values):.4f}" for split, values in best.items())
    print(f"mean of {len(dataset.task_names)} tasks: auROC {means}, {len(train):,} of "
          f"{len(dataset.train):,} training examples")  # fmt: skip


def _score(model: LogisticRegression, counts: sparse.csr_matrix, part: Split, column: int) -> float:
    return float(roc_auc_score(part.labels[:, column], model.decision_function(counts)))


if __name__ == "__main__":
    main(*sys.argv[1:])
