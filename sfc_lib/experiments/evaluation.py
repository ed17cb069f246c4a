"""Predictions of a model, and the two metrics of the paper: auROC and auPRC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

METRICS = {"auroc": roc_auc_score, "auprc": average_precision_score}


def predict(model: Any, codes: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Probabilities, float32 (examples, tasks), of base codes (examples, length)."""
    batches = range(0, len(codes), batch_size)
    return np.concatenate(
        [model.predict_on_batch(np.asarray(codes[i : i + batch_size])) for i in batches]
    )


def metrics(
    labels: np.ndarray, probabilities: np.ndarray, task_names: Sequence[str]
) -> dict[str, Any]:
    """auROC and auPRC (average precision) of each task, and averaged over tasks.

    Args:
        labels: 0 or 1, shape (examples, tasks).
        probabilities: Same shape.
        task_names: One a task.

    Returns:
        `auroc` and `auprc`, the averages, and `auroc_by_task`, `auprc_by_task`.

    Raises:
        ValueError: A task with examples of one class only, for which neither is defined.
    """
    scores: dict[str, Any] = {}
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    for task, column in zip(task_names, labels.T, strict=True):
        if column.min() == column.max():
            raise ValueError(
                f"metrics: task {task!r} needs positive and negative examples, "
                f"got {len(column)} examples that are all {column[0]}."
            )
    for name, score in METRICS.items():
        values = [float(score(y, p)) for y, p in zip(labels.T, probabilities.T, strict=True)]
        scores[name] = float(np.mean(values))
        scores[f"{name}_by_task"] = dict(zip(task_names, values, strict=True))
    return scores
