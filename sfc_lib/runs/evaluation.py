"""What a trained model is judged by: predictions, auROC and auPRC or correlations, importance.

Figure 3 shows, position by position, what the bases there add to a task's logit, averaged
over sequences that are positive for the task, or measured high. For the simulated TF set they
are newly generated, 100,000 at the paper's size of the data and fewer with less; for other data
they are regions of the validation and test splits, which do not train.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sfc_lib.datasets import simulated_tf
from sfc_lib.datasets.base import is_continuous, is_high, is_known
from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write, data_dir, sha256_json
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import IMPORTANCE, MODEL, UNREADABLE, Record


def predict(model: Any, codes: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Probabilities, or values, float32 (examples, tasks), of base codes (examples, length)."""
    batches = range(0, len(codes), batch_size)
    return np.concatenate(
        [model.predict_on_batch(np.asarray(codes[i : i + batch_size])) for i in batches]
    )


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, to the bit scikit-learn's `roc_auc_score`.

    Here as NumPy, and so is `auprc`, because each epoch asks for it on machines that have no
    scikit-learn (see `sfc_lib.runs.bundle`), and a record must not depend on who computed it.

    Args:
        labels: 0 or 1, both, shape (examples,).
        scores: Higher where a 1 is likelier, same shape.

    Example:

    >>> auroc(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))
    0.75
    """
    true, false = _confusion(labels, scores)
    # Only corners of the curve: points on a line between two others would change roundings.
    bend = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    corner = np.concatenate([[True], bend, [True]]) if len(true) > 2 else slice(None)
    true, false = (np.concatenate([[0.0], curve[corner]]) for curve in (true, false))
    x, y = false / false[-1], true / true[-1]
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2.0).sum())


def auprc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision, to the bit scikit-learn's `average_precision_score`; see `auroc`.

    Example:

    >>> round(auprc(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])), 4)
    0.8333
    """
    true, false = _confusion(labels, scores)
    precision = np.append((true / (true + false))[::-1], 1.0)
    recall = np.append((true / true[-1])[::-1], 0.0)
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


def _confusion(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at each threshold, from the highest score to the lowest."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    true = np.cumsum(labels[order], dtype=np.float64)[last]
    return true, 1 + last - true


def pearson(labels: np.ndarray, guesses: np.ndarray) -> float:
    """Pearson's correlation r, as `scipy.stats.pearsonr`; NumPy alone, see `auroc`.

    Args:
        labels: Not all alike, shape (examples,).
        guesses: Same shape; where they are all alike they tell nothing, and r is 0.

    Example:

    >>> round(pearson(np.array([0, 1, 2, 3]), np.array([0, 1, 4, 9])), 4)
    0.9583
    """
    if guesses.min() == guesses.max():
        return 0.0
    x, y = (values - values.mean(dtype=float) for values in (labels, guesses))
    return float(np.clip((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()), -1, 1))


def spearman(labels: np.ndarray, guesses: np.ndarray) -> float:
    """Spearman's ρ, the correlation of ranks, as `scipy.stats.spearmanr`; see `pearson`.

    Example:

    >>> spearman(np.array([0, 1, 2, 3]), np.array([0, 1, 4, 9]))
    1.0
    """
    return pearson(_ranks(labels), _ranks(guesses))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values have the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places]


@dataclass(frozen=True)
class Kind:
    """What labels are, and so what a model of them is trained on and judged by.

    `loss`: Keras's name of it. `scores`: functions of labels and guesses of one task, by name;
    epochs are compared by the `best`, the first. `titles`: the names for reading.
    """

    continuous: bool
    loss: str
    scores: Mapping[str, Callable[[np.ndarray, np.ndarray], float]]
    titles: Mapping[str, str]

    @property
    def best(self) -> str:
        """Name of the score that an epoch, or a run, is chosen by."""
        return next(iter(self.scores))


CLASSES = Kind(
    False,
    "binary_crossentropy",
    {"auroc": auroc, "auprc": auprc},
    {"auroc": "auROC", "auprc": "auPRC"},
)
MEASUREMENTS = Kind(
    True,
    "mean_squared_error",
    {"pearson": pearson, "spearman": spearman},
    {"pearson": "Pearson r", "spearman": "Spearman ρ"},
)


def kind_of(labels: np.ndarray) -> Kind:
    """What labels are, by their type."""
    return MEASUREMENTS if is_continuous(labels) else CLASSES


def kind_scored(names: Container[str]) -> Kind:
    """What labels were, by the names of scores in a record or table."""
    return MEASUREMENTS if MEASUREMENTS.best in names else CLASSES


def metrics(labels: np.ndarray, guesses: np.ndarray, task_names: Sequence[str]) -> dict[str, Any]:
    """Scores of each task, and averaged over tasks: those of the labels' `Kind`.

    Args:
        labels: 0 or 1, or measurements, shape (examples, tasks); what is not known counts for
            nothing.
        guesses: Probabilities or values, same shape.
        task_names: One a task.

    Returns:
        `auroc` and `auprc` (average precision), or `pearson` and `spearman`, the averages; and
        the same by task, `auroc_by_task` and so on.

    Raises:
        UserError: A task whose examples are all alike, for which no score is defined.
    """
    scores: dict[str, Any] = {}
    labels, guesses = np.asarray(labels), np.asarray(guesses)
    kind = kind_of(labels)
    known = map(is_known, labels.T)
    columns = [(y[k], p[k]) for y, p, k in zip(labels.T, guesses.T, known, strict=True)]
    for task, (column, _) in zip(task_names, columns, strict=True):
        if not len(column):
            raise UserError(f"metrics: task {task!r} needs examples whose label is known.")
        if column.min() == column.max():
            expected = "values that differ" if kind.continuous else "positive and negative examples"
            raise UserError(
                f"metrics: task {task!r} needs {expected}, "
                f"got {len(column)} examples that are all {column[0]}."
            )
    for name, score in kind.scores.items():
        values = [float(score(y, p)) for y, p in columns]
        scores[name] = float(np.mean(values))
        scores[f"{name}_by_task"] = dict(zip(task_names, values, strict=True))
    return scores


TASKS = {"simulated_tf": "TAL1", "hematopoiesis": "MPP"}  # Figure 3; else the first task
MARGINS = {"simulated_tf": 15}  # bp at each end that only a part of TAL1's 16 bp can reach
MAX_REGIONS = 10_000  # of those held out (Figure 3c)
NEW_SEQUENCES = 100_000, 8_000  # new ones to the examples of the data (Figure 3a)
BLOCKS = 20  # of neighbouring sequences; even ones make one half, odd ones the other
VERSION = 2  # raised whenever the same model would get another profile
MEASURED = "importance"  # key of a published record: version, and how many sequences
STREAM = 3  # of SeedSequence((seed, stream)); 0 to 2 are the splits of the simulated TF set


@dataclass(frozen=True)
class Target:
    """What is asked of a run: a task, its column of the logits, and the region compared.

    `region`: 0-based half-open, in bp: where motifs can lie with every one of their bases.
    """

    task: str
    column: int
    region: tuple[int, int]


def target(spec: RunSpec, length: int, task: str | None = None) -> Target:
    """The task and region of a run's importance; `length` is that of its sequences in bp.

    Raises:
        UserError: The run has no task of that name.

    Example:

    >>> target(RunSpec(dataset="simulated_tf"), 200)
    Target(task='TAL1', column=2, region=(15, 185))
    """
    names = tuple(spec.recipe.task_names)
    task = task or TASKS.get(spec.dataset, names[0])
    if task not in names:
        raise UserError(f"task: expected one of {spec.dataset}, {list(names)}, got {task!r}.")
    margin = MARGINS.get(spec.dataset, 0)
    return Target(task, names.index(task), (margin, length - margin))


@dataclass(frozen=True, eq=False)
class Importance:
    """Importance of a run: mean gradient × input over sequences, and the error of that mean.

    Args:
        values: float32 (2, 2, length): raw and centred form (`sfc_lib.nn.gradients`); of each
            the mean, and the noise: half the difference of the means of two halves of the
            sequences, which spreads over positions as the mean's sampling error does.
        sequences: How many it is a mean over.
    """

    values: np.ndarray
    sequences: int


def importance_sequences(
    spec: RunSpec, task: str | None = None, most: int | None = None
) -> np.ndarray:
    """The sequences that importance is measured on, uint8 (sequences, length).

    Every run on a dataset gets the same ones, whatever its seed.

    Args:
        spec: The run.
        task: As for `target`.
        most: How many there may be, of the simulated ones or of the regions held out.

    Raises:
        UserError: Fewer than two of those held out are positive for the task.

    Example:

    >>> importance_sequences(RunSpec(dataset="simulated_tf")).shape
    (100000, 200)
    """
    rng = np.random.default_rng(np.random.SeedSequence((0, STREAM)))
    if spec.dataset == "simulated_tf":
        name = task or TASKS[spec.dataset]
        positive = [
            place for place, motifs in enumerate(simulated_tf.CLASSES) if motifs in (name, "both")
        ]
        new, of = NEW_SEQUENCES
        count = most or min(new, spec.dataset_options["examples"] * new // of)
        return simulated_tf.simulate(np.resize(positive, count), rng).codes
    dataset = spec.load_dataset()
    goal = target(spec, dataset.length, task)
    held_out = (dataset.valid, dataset.test)
    places = [
        (split, row)
        for split, part in enumerate(held_out)
        for row in np.flatnonzero(is_high(part.labels[:, goal.column]))
    ]
    if len(places) < 2:
        raise UserError(
            f"importance: expected two or more held-out examples of {spec.dataset} that are "
            f"positive for {goal.task}, got {len(places)} among {sum(map(len, held_out))}."
        )
    chosen = np.array(places)
    if len(chosen) > (most := most or MAX_REGIONS):
        chosen = chosen[np.sort(rng.choice(len(chosen), most, replace=False))]
    rows = [chosen[chosen[:, 0] == split, 1] for split in range(len(held_out))]
    return np.concatenate([part.codes[of] for part, of in zip(held_out, rows, strict=True)])


def importance_of(
    record: Record,
    progress: Callable[[Sequence[int]], Iterable[int]] | None = None,
    task: str | None = None,
    sequences: int | None = None,
) -> Importance | None:
    """Importance of a run; None if its record has neither it nor a model.

    A published record carries its importance, most of them in place of the model. Of other
    records, of those published by another version, and for another task or number of sequences,
    it is measured from the model and kept among the data, under the hash of all it depends on.

    Args:
        record: A verified record.
        progress: As for `measure`.
        task: Another task than the paper's; None is returned for runs that have no such task.
        sequences: As `most` of `importance_sequences`.
    """
    carried = record.result.get(MEASURED, {})
    asked = [task, sequences]
    if (
        IMPORTANCE in record.result["files"]
        and carried.get("version") == VERSION
        and not any(asked)
    ):
        return Importance(record.importance(), carried["sequences"])
    if MODEL not in record.result["files"] or record.diverged:
        return None
    if task and task not in record.spec.recipe.task_names:
        return None
    basis = [VERSION, record.result["files"][MODEL], record.result["dataset_fingerprint"]]
    basis += asked if any(asked) else []
    path = data_dir() / "importance" / f"{sha256_json(basis)}.npz"
    try:
        content = io.BytesIO(path.read_bytes())  # np.load leaves the file of a damaged one open
        with np.load(content, allow_pickle=False) as kept:
            return Importance(kept["values"], int(kept["sequences"]))
    except UNREADABLE:
        found = measure(record.model(), record.spec, progress, task, sequences)
        with atomic_write(path) as file:
            np.savez(file, values=found.values, sequences=found.sequences)
        return found


def measure(
    model: Any,
    spec: RunSpec,
    progress: Callable[[Sequence[int]], Iterable[int]] | None = None,
    task: str | None = None,
    sequences: int | None = None,
) -> Importance:
    """Importance of a run's model.

    The halves are alternating blocks of neighbouring sequences, since windows of one peak,
    which overlap, are neighbours and must not speak for both.

    Args:
        model: The Keras model of the run's best epoch.
        spec: The run.
        progress: Wraps the batches of each half, for a progress bar.
        task: As for `importance_sequences`.
        sequences: Its `most`.
    """
    from sfc_lib.nn.gradients import importance_forms  # imports Keras

    codes = importance_sequences(spec, task, sequences)
    column = target(spec, codes.shape[1], task).column
    odd = np.arange(len(codes)) * min(BLOCKS, len(codes)) // len(codes) % 2 == 1
    halves = [codes[~odd], codes[odd]]
    one, two = (importance_forms(model, half, [column], progress=progress)[:, 0] for half in halves)
    mean = (one * len(halves[0]) + two * len(halves[1])) / len(codes)
    values = np.stack([mean, (one - two) / 2], axis=1).astype(np.float32)
    return Importance(values, len(codes))
