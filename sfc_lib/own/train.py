"""One run on your own data: from files to a spec, a record, and what a report shows of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.datasets.base import Dataset, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir
from sfc_lib.own.dataset import Custom
from sfc_lib.runs.pool import ensure, use_keras
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import HISTORY, Record, look_up

LONG = 400  # bp from which the network for long sequences is the default
BALANCED = 1.2  # at most this many times more examples of one class: no class weights
SAMPLES = 20_000  # examples an epoch at most, drawn anew each time
RESAMPLES = 1000  # of the bootstrap
CONFIDENCE = 0.95
AT_ONCE = 2_000_000  # examples of resamples in memory
MOST_PROFILED = 2000  # sequences an importance profile is the mean of
STREAM = 5  # of SeedSequence((seed, stream)): which ones, and the bootstrap


def own_spec(
    options: Mapping[str, Any], *, architecture: str | None = None, **settings: Any
) -> RunSpec:
    """The spec of a run on a custom dataset, which is built if need be.

    Args:
        options: Of the dataset, see `sfc_lib.own.dataset.Custom`; files by their paths.
        architecture: By default `"chip_seq"` from 400 bp on, else `"simulated_tf"`.
        settings: Other fields of the spec. `class_weight` is by default set for one task
            whose classes differ in size by more than a fifth.

    Raises:
        UserError: A bad option, or a file that is not what it should be, with its line.
    """
    dataset = load_dataset("custom", **options)
    if architecture is None:
        architecture = "chip_seq" if dataset.length >= LONG else "simulated_tf"
    if settings.get("class_weight") is None:
        settings["class_weight"] = _is_imbalanced(dataset)
    if settings["class_weight"] and len(dataset.task_names) > 1:
        raise UserError(f"class weights work for one task, got {len(dataset.task_names)}.")
    return RunSpec(
        dataset="custom",
        dataset_options=dataset.options,
        architecture=architecture,
        **{"samples_per_epoch": SAMPLES, **settings},
    )


def _is_imbalanced(dataset: Dataset) -> bool:
    positives, examples = dataset.train.positives[0], len(dataset.train)
    share = max(positives, examples - positives) / min(positives, examples - positives)
    return len(dataset.task_names) == 1 and share > BALANCED


def require_network(spec: RunSpec) -> None:
    """Build the network once: a `UserError` before anything is trained if it does not fit."""
    use_keras(spec.backend)
    from sfc_lib.runs.training import network

    network(spec, load_dataset(spec.dataset, **spec.dataset_options))


def train_own(spec: RunSpec) -> Record:
    """The verified record of a spec, read, or trained with a bar that counts epochs.

    Interrupted, it goes on from its last finished epoch when it is called again.

    Raises:
        UserError: The run failed, or diverged.
    """
    if (record := look_up(spec)) is None:
        history, over = runs_dir() / spec.id / HISTORY, threading.Event()
        done = _epochs(history)
        with tqdm(total=spec.epochs, initial=done, unit="epoch", desc="training") as bar:
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
        bar.update(_epochs(history) - bar.n)


def _epochs(history: Path) -> int:
    """Finished epochs that a run's `history.jsonl` tells of."""
    return history.read_bytes().count(b"\n") if history.exists() else 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of a run.

    `probabilities`: by split (`valid`, `test`), float32 (examples, tasks). `scores`: one row
    a split and task, see `scores_with_intervals`. `profiles`: mean gradient × input at each
    position of test positives, float64 (tasks, length), of as many sequences as `profiled`
    says. `files`: path and SHA-256 of the content of each input, by what it is.
    """

    record: Record
    dataset: Dataset
    probabilities: Mapping[str, np.ndarray]
    scores: pd.DataFrame
    profiles: np.ndarray
    profiled: list[int]
    files: Mapping[str, tuple[Path, str]]


def evaluate(record: Record) -> Outcome:
    """Predictions, scores with their intervals, and importance of a record's model."""
    use_keras(record.spec.backend)
    from sfc_lib.runs.evaluation import predict

    spec, model = record.spec, record.model()
    dataset = load_dataset(spec.dataset, **spec.dataset_options)
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, STREAM)))
    found, tables = {}, []
    for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
        found[name] = predict(model, split.codes)
        table = scores_with_intervals(split.labels, found[name], dataset.task_names, rng)
        table.insert(0, "split", name)
        tables.append(table)
    profiles, profiled = _profiles(model, dataset, rng)
    recipe = Custom(**spec.dataset_options)
    files = {role: (path, recipe.inputs()[role]) for role, path in recipe.paths.items()}
    return Outcome(record, dataset, found, pd.concat(tables), profiles, profiled, files)


def _profiles(
    model: Any, dataset: Dataset, rng: np.random.Generator
) -> tuple[np.ndarray, list[int]]:
    from sfc_lib.nn.gradients import importance_profiles

    profiles, numbers = [], []
    columns = range(len(dataset.task_names))
    for column in tqdm(columns, desc="importance", unit="task"):
        rows = np.flatnonzero(dataset.test.labels[:, column])
        rows = np.sort(rng.permutation(rows)[:MOST_PROFILED])
        profiles.append(importance_profiles(model, dataset.test.codes[rows], [column])[0])
        numbers.append(len(rows))
    return np.array(profiles), numbers


def scores_with_intervals(
    labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Scores of each task with bootstrap intervals, one row a task.

    `labels` (0 or 1) and `probabilities` are (examples, tasks). Columns: task, examples,
    positives, and for auroc and auprc the value and the ends of its interval: `auroc`,
    `auroc_low`, `auroc_high`, and so on.
    """
    from sfc_lib.runs.evaluation import METRICS

    rows = []
    for task, truth, guess in zip(tasks, labels.T, probabilities.T, strict=True):
        row = {"task": task, "examples": len(truth), "positives": int(truth.sum())}
        for name, (low, high) in bootstrap_intervals(truth, guess, rng).items():
            value = METRICS[name](truth, guess)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def bootstrap_intervals(
    labels: np.ndarray, probabilities: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals (95 %, 1,000 resamples): their ends by `auroc` and `auprc`.

    `labels` (0 or 1) and `probabilities` are (examples,). Positives and negatives are drawn
    anew each on their own, so that their numbers stay. Not a number where a class has one
    example only. `scipy.stats.bootstrap` sorts each resample anew, 22 s for 10,000 examples;
    here they are sorted once, and a resample is how often each was drawn.
    """
    values, places = np.unique(-probabilities, return_inverse=True)  # the highest first
    classes = places[labels == 1], places[labels == 0]
    if min(map(len, classes)) < 2:
        return dict.fromkeys(("auroc", "auprc"), (float("nan"), float("nan")))
    batch = max(1, AT_ONCE // len(labels))
    found = [
        scores_of_counts(*(_drawn(mine, len(values), times, rng) for mine in classes))
        for times in (min(batch, RESAMPLES - done) for done in range(0, RESAMPLES, batch))
    ]
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(found, axis=1), ends, axis=1).tolist()
    return dict(zip(("auroc", "auprc"), zip(low, high, strict=True), strict=True))


def _drawn(places: np.ndarray, values: int, times: int, rng: np.random.Generator) -> np.ndarray:
    """How many examples of each value were drawn, (times, values), as many as there are."""
    drawn = places[rng.integers(0, len(places), (times, len(places)))]
    drawn += values * np.arange(times)[:, None]
    return np.bincount(drawn.ravel(), minlength=times * values).reshape(times, values)


def scores_of_counts(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """auROC and auPRC, float64 (2, sets), of how many examples share each probability.

    `positives` and `negatives` are (sets, probabilities), the highest probability first. As
    scikit-learn's `roc_auc_score` and `average_precision_score`.

    Example:

    >>> scores_of_counts(np.array([[1, 1, 0]]), np.array([[0, 1, 2]])).round(3).tolist()
    [[0.917], [0.833]]
    """
    true, false = positives.cumsum(axis=1), negatives.cumsum(axis=1)
    below = false[:, -1:] - false + negatives / 2  # half of those with the same probability
    pairs = np.einsum("ij,ij->i", positives, below)
    precision = np.einsum("ij,ij->i", positives, true / np.maximum(true + false, 1))
    return np.stack([pairs / (true[:, -1] * false[:, -1]), precision / true[:, -1]])
