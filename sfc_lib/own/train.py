"""One run on your own data: from files to a spec, a record, and what a report shows of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.datasets.base import Dataset, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir, silenced
from sfc_lib.own.dataset import Custom
from sfc_lib.runs.pool import ensure, epochs_done
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import HISTORY, Record, look_up

LONG = 400  # bp from which the network for long sequences is the default
BALANCED = 1.2  # at most this many times more examples of one class: no class weights
SAMPLES = 20_000  # examples an epoch at most, drawn anew each time
RESAMPLES = 1000  # of the bootstrap
CONFIDENCE = 0.95
MOST_PROFILED = 2000  # sequences an importance profile is the mean of
STREAM = 5  # of SeedSequence((seed, stream)): which ones, and the bootstrap


def plan(
    options: Mapping[str, Any], *, architecture: str | None = None, **settings: Any
) -> RunSpec:
    """The spec of a run on a custom dataset, which is built if need be.

    Args:
        options: Of the dataset, see `sfc_lib.own.dataset.Custom`; files by their paths.
        architecture: By default `"chip_seq"` for sequences of 400 bp or more, else
            `"simulated_tf"`.
        settings: Other fields of the spec. `class_weight` is by default set for one task
            whose classes differ in size by more than a fifth.

    Raises:
        ValueError: A bad option, or sequences too short for the network.
        sfc_lib.files.UserError: A file that is not what it should be, with its line.
    """
    dataset = load_dataset("custom", **options)
    if architecture is None:
        architecture = "chip_seq" if dataset.length >= LONG else "simulated_tf"
    if settings.get("class_weight") is None:
        settings["class_weight"] = _is_imbalanced(dataset)
    spec = RunSpec(
        dataset="custom",
        dataset_options=dataset.options,
        architecture=architecture,
        **{"samples_per_epoch": SAMPLES, **settings},
    )
    if spec.class_weight and len(dataset.task_names) > 1:
        raise ValueError(f"class weights work for one task, got {len(dataset.task_names)}.")
    _require_buildable(spec, dataset)
    return spec


def _is_imbalanced(dataset: Dataset) -> bool:
    positives, examples = dataset.train.positives[0], len(dataset.train)
    share = max(positives, examples - positives) / min(positives, examples - positives)
    return len(dataset.task_names) == 1 and share > BALANCED


def _require_buildable(spec: RunSpec, dataset: Dataset) -> None:
    """Build the network once, so that what does not fit is said before anything is trained."""
    use_keras(spec.backend)
    from sfc_lib.runs.training import network

    network(spec, dataset)


def use_keras(backend: str = "tensorflow") -> None:
    """Import Keras without what its backend prints."""
    os.environ.setdefault("KERAS_BACKEND", backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silenced():
        import keras  # noqa: F401


def train(spec: RunSpec, *, progress: bool = True) -> Record:
    """The verified record of a spec, read, or trained with a bar that counts epochs.

    Interrupted, it goes on from its last finished epoch when it is called again.

    Raises:
        UserError: The run failed, or diverged.
    """
    if (record := look_up(spec)) is None:
        history, over = runs_dir() / spec.id / HISTORY, threading.Event()
        with tqdm(
            total=spec.epochs,
            initial=epochs_done(history),
            unit="epoch",
            desc="training",
            disable=not progress,
        ) as bar:
            watcher = threading.Thread(target=_watch, args=(history, bar, over), daemon=True)
            watcher.start()
            try:
                (record,) = ensure([spec], jobs=1, progress=False)
            finally:
                over.set()
                watcher.join()
    if record.diverged:
        raise UserError(
            f"run {spec.id} diverged after {record.result['epochs']} epochs: its loss or weights "
            "became infinite. Try a lower learning rate or another seed."
        )
    return record


def _watch(history: Path, bar: tqdm, over: threading.Event) -> None:
    """Keep a bar at the number of epochs that a run's history has."""
    last = False
    while not last:
        last = over.wait(0.5)
        bar.update(epochs_done(history) - bar.n)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of a run.

    `probabilities`: by split (`valid`, `test`), float32 (examples, tasks). `scores`: one row
    a split and task, see `score_table`. `profiles`: mean gradient × input at each position
    of test positives, float64 (tasks, length), of as many sequences as `profiled` says.
    `files`: path and SHA-256 of the content of each input, by what it is.
    """

    record: Record
    dataset: Dataset
    probabilities: Mapping[str, np.ndarray]
    scores: pd.DataFrame
    profiles: np.ndarray
    profiled: list[int]
    files: Mapping[str, tuple[Path, str]]


def evaluate(record: Record, *, progress: bool = True) -> Outcome:
    """Predictions, scores with their intervals, and importance of a record's model."""
    use_keras(record.spec.backend)
    from sfc_lib.runs.evaluation import predict

    spec, model = record.spec, record.model()
    dataset = load_dataset(spec.dataset, **spec.dataset_options)
    splits = {"valid": dataset.valid, "test": dataset.test}
    found = {name: predict(model, split.codes) for name, split in splits.items()}
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, STREAM)))
    with tqdm(
        total=3 * len(dataset.task_names), desc="report", unit="step", disable=not progress
    ) as bar:
        tables = [
            score_table(name, split.labels, found[name], dataset.task_names, rng, bar.update)
            for name, split in splits.items()
        ]
        profiles, profiled = _profiles(model, dataset, rng, bar.update)
    recipe = Custom(**spec.dataset_options)
    files = {role: (path, recipe.inputs()[role]) for role, path in recipe.paths.items()}
    return Outcome(record, dataset, found, pd.concat(tables), profiles, profiled, files)


def _profiles(
    model: Any, dataset: Dataset, rng: np.random.Generator, done: Callable[[], object]
) -> tuple[np.ndarray, list[int]]:
    from sfc_lib.nn.gradients import importance_profiles

    profiles, numbers = [], []
    for column in range(len(dataset.task_names)):
        rows = np.flatnonzero(dataset.test.labels[:, column])
        rows = np.sort(rng.permutation(rows)[:MOST_PROFILED])
        profiles.append(importance_profiles(model, dataset.test.codes[rows], [column])[0])
        numbers.append(len(rows))
        done()
    return np.array(profiles), numbers


def score_table(
    split: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    tasks: tuple[str, ...],
    rng: np.random.Generator,
    done: Callable[[], object] = lambda: None,
) -> pd.DataFrame:
    """Scores of each task with bootstrap intervals.

    Args:
        split: Its name, for the first column.
        labels: 0 or 1, shape (examples, tasks).
        probabilities: Same shape.
        tasks: Names.
        rng: Source of randomness.
        done: Called after each task.

    Returns:
        Columns split, task, examples, positives, and for auroc and auprc the value and the
        ends of its interval: `auroc`, `auroc_low`, `auroc_high`, and so on.
    """
    from sfc_lib.runs.evaluation import METRICS

    rows = []
    for task, truth, guess in zip(tasks, labels.T, probabilities.T, strict=True):
        row: dict[str, object] = {"split": split, "task": task, "examples": len(truth)}
        row["positives"] = int(truth.sum())
        for name, score in METRICS.items():
            low, high = interval(score, guess[truth == 1], guess[truth == 0], rng)
            row |= {name: score(truth, guess), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
        done()
    return pd.DataFrame(rows)


def interval(
    score: Callable[[np.ndarray, np.ndarray], float],
    positives: np.ndarray,
    negatives: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of a score of labels and probabilities.

    Positives and negatives are drawn anew each on their own, so that their numbers stay. Not
    a number where a class has one example only.

    Args:
        score: For instance scikit-learn's `roc_auc_score`.
        positives: Probabilities of the positive examples.
        negatives: Those of the negative ones.
        rng: Source of randomness.
    """
    from scipy import stats

    if min(len(positives), len(negatives)) < 2:
        return float("nan"), float("nan")
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    found = stats.bootstrap(
        (positives, negatives),
        lambda *drawn: score(labels, np.concatenate(drawn)),
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        vectorized=False,
        method="percentile",
        random_state=rng,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
