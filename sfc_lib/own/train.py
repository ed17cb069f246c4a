"""Runs on your own data: from files to a spec, records, and what a report shows of them."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.datasets.base import Dataset, is_continuous, is_high, is_known, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir
from sfc_lib.genomics.motifs import Motif, as_meme, shipped_motifs
from sfc_lib.own.audit import Check, audit
from sfc_lib.own.baseline import Baseline, fit_baseline
from sfc_lib.own.dataset import Custom, names_of
from sfc_lib.own.explain import CHECKED, Finding, explain, find_motifs
from sfc_lib.own.predict import Predictor
from sfc_lib.runs.pool import ensure, use_keras
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.starts import enriched_motifs
from sfc_lib.runs.store import Record, epochs_done, look_up

SHORT = 100  # bp under which the compact network's pooling leaves too few positions
SHIFT, SHIFT_SHARE = 5, 20  # bp that sequences are moved by in training, at most 1/20 of them
BALANCED = 1.2  # at most this many times more examples of one class: no class weights
SAMPLES = 20_000  # examples an epoch at most, drawn anew each time
BATCH, EPOCHS, PATIENCE = 64, 100, 15
UNITS, CURVATURE, WEIGHT_DECAY = 24, 1.0, 0.001
WORD = 8  # bp of the k-mers of the regression beside the network
RANDOM, KMERS, MOTIFS = "random", "kmers", "motifs"  # where filters start
AT_A_TIME = 2  # networks of an ensemble
NETWORK, REGRESSION = "network", "6-mer regression"
RESAMPLES = 1000  # of the bootstrap
CONFIDENCE = 0.95
NORMAL = 1.96  # standard errors on either side, of as much confidence
ROUNDING = 1e-12  # of what is largest: what a variance of 0 may come to
AT_ONCE = 2_000_000  # examples of resamples in memory
MOST_PROFILED = 2000  # sequences an importance profile is the mean of
MOST_EXPLAINED = 500  # of a task, those predicted highest, whose bases and motifs are told
EXPLAINED = 4  # tasks, the first ones
MUTATED = 2000  # bases of a task, of five sequences at most, that every change is scored of
STREAM = 5  # of SeedSequence((seed, stream)): which ones, and the bootstrap


def own_spec(
    options: Mapping[str, Any],
    *,
    architecture: str | None = None,
    collection: Mapping[str, Motif] | None = None,
    **settings: Any,
) -> RunSpec:
    """The spec of a run on a custom dataset, which is built if need be.

    Args:
        options: Of the dataset, see `sfc_lib.own.dataset.Custom`; files by their paths.
        architecture: By default `"compact"` from 100 bp on, else `"simulated_tf"`.
        collection: Motifs by name, for `start="motifs"`: filters start at those that are
            enriched in the positives, and others at k-mers. By default those of the library.
        settings: Other fields of the spec; those that are None, or not given, are chosen by the
            data: both strands, shifts of up to 5 bp, filters that start at enriched k-mers,
            a symmetric SFC layer with curvature regularisation, AdamW, a regression on k-mers
            beside the network. `class_weight` is set
            for one task whose classes differ in size by more than a fifth.

    Raises:
        UserError: A bad option, or a file that is not what it should be, with its line.
    """
    dataset = load_dataset("custom", **options)
    if architecture is None:
        architecture = "compact" if dataset.length >= SHORT else "simulated_tf"
    given = {name: value for name, value in settings.items() if value is not None}
    settings = _defaults(dataset, architecture, given.get("variant", "symm")) | given
    if settings["start"] == MOTIFS:
        settings |= {"start": KMERS, "motifs": _enriched(dataset, collection or shipped_motifs())}
    settings["start"] = None if settings["start"] == RANDOM else settings["start"]
    if (settings["shift"] or 0) >= dataset.length:
        raise UserError(
            f"shift: expected less than the sequences' {dataset.length} bp, got "
            f"{settings['shift']}."
        )
    if settings["class_weight"] and dataset.continuous:
        raise UserError("class weights are for classes, got measurements (--continuous).")
    if settings["class_weight"] and len(dataset.task_names) > 1:
        raise UserError(f"class weights work for one task, got {len(dataset.task_names)}.")
    return RunSpec(
        dataset="custom",
        dataset_options=dataset.options,
        architecture=architecture,
        **settings,
    )


def _defaults(dataset: Dataset, architecture: str, variant: str) -> dict[str, Any]:
    """Fields of a spec by what the data are."""
    smooth = architecture == "compact" and variant != "std"
    return {
        "variant": variant,
        "samples_per_epoch": SAMPLES,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "patience": PATIENCE,
        "curvature": CURVATURE if smooth else 0.0,
        "units": UNITS if smooth else None,
        "class_weight": _is_imbalanced(dataset),
        "both_strands": True,
        "shift": min(SHIFT, dataset.length // SHIFT_SHARE),
        "weight_decay": WEIGHT_DECAY,
        "start": KMERS,
        "regression": min(WORD, dataset.length),
    }


def _enriched(dataset: Dataset, collection: Mapping[str, Motif]) -> str | None:
    """The enriched motifs of a collection, in MEME format; a warning where there is none."""
    if found := enriched_motifs(dataset.train, collection):
        return as_meme(found)
    warnings.warn(
        f"none of {len(collection):,} motifs is enriched in the positives: filters start at "
        "k-mers alone.",
        stacklevel=2,
    )
    return None


def _is_imbalanced(dataset: Dataset) -> bool:
    if dataset.continuous:
        return False
    positives, examples = dataset.train.positives[0], len(dataset.train)
    share = max(positives, examples - positives) / min(positives, examples - positives)
    return len(dataset.task_names) == 1 and share > BALANCED


def require_network(spec: RunSpec) -> None:
    """Build the network once: a `UserError` before anything is trained if it does not fit."""
    use_keras(spec.backend)
    from sfc_lib.runs.training import network

    dataset = spec.load_dataset()
    network(spec, dataset.length, len(dataset.task_names), dataset.continuous)


def ensemble_specs(spec: RunSpec, members: int) -> list[RunSpec]:
    """Specs of an ensemble: the same run from so many seeds, of which the spec's is the first."""
    return [dataclasses.replace(spec, seed=spec.seed + number) for number in range(members)]


def train_own(specs: Sequence[RunSpec]) -> list[Record]:
    """The verified records of specs, read, or trained with a bar that counts epochs.

    Two are trained at a time. Interrupted, they go on from their last finished epoch when it
    is called again.

    Raises:
        UserError: A run failed, or diverged.
    """
    missing = [spec for spec in specs if look_up(spec) is None]
    folders, over = [runs_dir() / spec.id for spec in missing], threading.Event()
    total, done = sum(spec.epochs for spec in missing), sum(map(epochs_done, folders))
    with tqdm(total=total, initial=done, unit="epoch", desc="training", disable=not missing) as bar:
        watcher = threading.Thread(target=_watch, args=(folders, bar, over), daemon=True)
        watcher.start()
        try:
            records = ensure(specs, jobs=AT_A_TIME, progress=False)
        finally:
            over.set()
            watcher.join()
    for record in records:
        if record.diverged:
            raise UserError(
                f"run {record.spec.id} diverged after {record.result['epochs']} epochs: its loss "
                "or weights became infinite. Try a lower learning rate or another seed."
            )
    return records


def _watch(folders: Sequence[Path], bar: tqdm, over: threading.Event) -> None:
    """Keep a bar at the number of epochs that runs have finished."""
    last = False
    while not last:
        last = over.wait(0.5)
        bar.update(sum(map(epochs_done, folders)) - bar.n)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of a run, or of the runs of an ensemble.

    `probabilities`: by split (`valid`, `test`), float32 (examples, tasks), of the network or
    the ensemble; of measurements they are values. `scores`: one row a model, split and task, see
    `scores_with_intervals`; the models are `NETWORK` and `REGRESSION`. `gains`: one row a task, see
    `gains`. `checks`: those of `sfc_lib.own.audit`. `profiles`: mean gradient × input at each
    position of test positives (`is_high`), float64 (tasks, length), of as many sequences as
    `profiled` says. `findings`: of the first tasks, the bases and motifs of test positives that
    speak for them. `files`: path and SHA-256 of the content of each input, by what it is.
    `left_out`: tasks that the regression saved beside the network predicts alone, see
    `sfc_lib.runs.regression`.
    """

    records: Sequence[Record]
    dataset: Dataset
    probabilities: Mapping[str, np.ndarray]
    baseline: Baseline
    scores: pd.DataFrame
    gains: pd.DataFrame
    checks: Sequence[Check]
    profiles: np.ndarray
    profiled: list[int]
    findings: Sequence[Finding]
    files: Mapping[str, tuple[Path, str]]
    left_out: Sequence[str] = ()

    @property
    def test_file(self) -> str:
        """Name of the file that the test set came in; `""` where it was split off."""
        return self.files["test"][0].name if "test" in self.files else ""

    @property
    def record(self) -> Record:
        """The record of the run, or of an ensemble's first."""
        return self.records[0]


def evaluate(
    records: Sequence[Record],
    baseline: Baseline | None = None,
    checks: Sequence[Check] | None = None,
    motifs: Mapping[str, Motif] | None = None,
) -> Outcome:
    """Predictions, scores with their intervals, importance and motifs of the models of records.

    Args:
        records: Those of several are one ensemble.
        baseline: The regression that they have to beat; fitted here if it is not given.
        checks: Of the data; made here if they are not given.
        motifs: Those looked for; by default the ones that come with the library.
    """
    use_keras(records[0].spec.backend)
    from sfc_lib.nn.ensemble import averaged_models
    from sfc_lib.nn.folding import fold_separable
    from sfc_lib.runs.evaluation import predict

    spec = records[0].spec
    networks = [record.model() for record in records]
    model = averaged_models(networks)
    dataset = spec.load_dataset()
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, STREAM)))
    baseline = baseline or fit_baseline(dataset)
    checks = audit(dataset, baseline) if checks is None else checks
    held_out = {"valid": dataset.valid, "test": dataset.test}
    found = {name: predict(model, split.codes) for name, split in held_out.items()}
    tables = []
    for kind, guesses in ((NETWORK, found), (REGRESSION, baseline.probabilities)):
        for name, split in held_out.items():
            table = scores_with_intervals(split.labels, guesses[name], dataset.task_names, rng)
            table.insert(0, "split", name)
            table.insert(0, "model", kind)
            tables.append(table)
    scores = pd.concat(tables, ignore_index=True)
    better = gains(
        dataset.test.labels, found["test"], baseline.probabilities["test"], dataset.task_names
    )
    profiles, profiled = _profiles(model, dataset, rng)
    recipe = Custom(**spec.dataset_options)
    members = tuple(map(fold_separable, networks))
    tasks = tuple(dataset.task_names)
    predictor = Predictor(model, dataset.length, tasks, members, dataset.continuous)
    findings = _findings(predictor, dataset, recipe, motifs or shipped_motifs())
    files = {role: (path, recipe.inputs()[role]) for role, path in recipe.paths.items()}
    return Outcome(
        records, dataset, found, baseline, scores, better, checks, profiles, profiled, findings,
        files, left_out(networks, dataset.task_names),
    )  # fmt: skip


def left_out(networks: Sequence[Any], tasks: Sequence[str]) -> list[str]:
    """Tasks whose logits have nothing of any of the networks."""
    from sfc_lib.nn.layers import KmerRegression

    last = [network.get_layer("logits") for network in networks]
    if not all(isinstance(layer, KmerRegression) for layer in last):
        return []
    shares = sum(layer.get_weights()[0] for layer in last)
    return [task for task, share in zip(tasks, shares, strict=True) if share == 0]


def _findings(
    predictor: Predictor, dataset: Dataset, recipe: Custom, motifs: Mapping[str, Motif]
) -> list[Finding]:
    """What the first tasks' test positives that are predicted highest are recognised by.

    Of measurements, the quarter of all test sequences that is predicted highest.
    """
    test, found = dataset.test, []
    checked = min(CHECKED, -(-MUTATED // dataset.length))
    names = names_of(recipe, test.codes)
    for column, task in enumerate(tqdm(predictor.tasks[:EXPLAINED], desc="motifs", unit="task")):
        rows, most = np.flatnonzero(test.labels[:, column] == 1), MOST_EXPLAINED
        if dataset.continuous:
            rows, most = np.arange(len(test)), min(most, len(test) // 4)
        chosen, codes = [names[row] for row in rows], test.codes[rows]
        explained = explain(predictor, chosen, codes, task, most=most, checked=checked)
        found.append(Finding(explained, find_motifs(predictor, explained, motifs)))
    return found


def _profiles(
    model: Any, dataset: Dataset, rng: np.random.Generator
) -> tuple[np.ndarray, list[int]]:
    from sfc_lib.nn.gradients import importance_profiles

    profiles, numbers = [], []
    columns = range(len(dataset.task_names))
    for column in tqdm(columns, desc="importance", unit="task"):
        rows = np.flatnonzero(is_high(dataset.test.labels[:, column]))
        rows = np.sort(rng.permutation(rows)[:MOST_PROFILED])
        profiles.append(importance_profiles(model, dataset.test.codes[rows], [column])[0])
        numbers.append(len(rows))
    return np.array(profiles), numbers


def scores_with_intervals(
    labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Scores of each task with bootstrap intervals, one row a task.

    `labels` (those that are not known count for nothing) and `probabilities`, or values, are
    (examples, tasks). Columns: task, examples (those that are known), positives (of classes), and
    for auroc and auprc, or pearson and spearman, the value and the ends of its interval: `auroc`,
    `auroc_low`, `auroc_high`, and so on.
    """
    from sfc_lib.runs.evaluation import kind_of

    rows, kind = [], kind_of(labels)
    for task, truth, guess in zip(tasks, labels.T, probabilities.T, strict=True):
        truth, guess = truth[is_known(truth)], guess[is_known(truth)]
        row: dict[str, Any] = {"task": task, "examples": len(truth)}
        if kind.continuous:
            found = resampled_correlations(truth, [guess], rng)[0]
            intervals = dict(zip(kind.scores, _ends(found), strict=True))
        else:
            row["positives"] = int(truth.sum())
            intervals = bootstrap_intervals(truth, guess, rng)
        for name, (low, high) in intervals.items():
            value = kind.scores[name](truth, guess)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def gains(
    labels: np.ndarray, network: np.ndarray, regression: np.ndarray, tasks: Sequence[str]
) -> pd.DataFrame:
    """How much higher the auROC of one model is than that of another on the same examples.

    The interval (95 %) is that of DeLong, DeLong & Clarke-Pearson (1988) for two correlated
    curves: both models may err on the same examples. Of measurements, it is Pearson's r that is
    compared, by a bootstrap that draws the same examples for both.

    Args:
        labels: 0 or 1, or measurements, (examples, tasks); one not known counts for nothing.
        network: What one predicts, (examples, tasks).
        regression: What the other predicts, (examples, tasks).
        tasks: Their names.

    Returns:
        One row a task: `task`, `gain`, `gain_low` and `gain_high`; no ends where a class has
        one example only.
    """
    if is_continuous(labels):
        return _correlation_gains(labels, network, regression, tasks)
    rows = []
    for task, truth, one, other in zip(tasks, labels.T, network.T, regression.T, strict=True):
        places = [_placements(truth, guess) for guess in (one, other)]
        positive, negative = (a - b for a, b in zip(*places, strict=True))
        gain = float(positive.mean())
        least = min(len(positive), len(negative)) >= 2
        half = float("nan")
        if least:
            variance = sum(part.var(ddof=1) / len(part) for part in (positive, negative))
            half = NORMAL * float(np.sqrt(variance))
        ends = {"gain_low": gain - half, "gain_high": gain + half}
        rows.append({"task": task, "gain": gain, **ends})
    return pd.DataFrame(rows)


def _correlation_gains(
    labels: np.ndarray, network: np.ndarray, regression: np.ndarray, tasks: Sequence[str]
) -> pd.DataFrame:
    from sfc_lib.runs.evaluation import pearson

    rows, rng = [], np.random.default_rng(np.random.SeedSequence((0, STREAM)))
    for task, truth, one, other in zip(tasks, labels.T, network.T, regression.T, strict=True):
        known = is_known(truth)
        guesses = [guess[known] for guess in (one, other)]
        gain = pearson(truth[known], guesses[0]) - pearson(truth[known], guesses[1])
        first, second = resampled_correlations(truth[known], guesses, rng)[:, 0]
        ((low, high),) = _ends((first - second)[None])
        rows.append({"task": task, "gain": gain, "gain_low": low, "gain_high": high})
    return pd.DataFrame(rows)


def resampled_correlations(
    labels: np.ndarray, guesses: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Pearson's r and Spearman's ρ of resamples, the same ones for each of several models.

    Args:
        labels: Measurements, (examples,).
        guesses: What each model predicts, (examples,).
        rng: Draws the examples.

    Returns:
        float64 (models, 2, resamples).
    """
    found, examples = [], len(labels)
    for times in _portions(examples):
        drawn = _drawn(np.arange(examples), examples, times, rng)
        found.append([correlations_of_counts(drawn, labels, guess) for guess in guesses])
    return np.concatenate(found, axis=-1)


def correlations_of_counts(counts: np.ndarray, labels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Pearson's r and Spearman's ρ, float64 (2, sets), of how often each example is in a set.

    `counts` is (sets, examples), the others (examples,). 0 where all in a set are alike.

    Example:

    >>> once, twice = np.array([1, 1, 1, 1]), np.array([2, 1, 1, 0])
    >>> labels, guess = np.array([0, 1, 2, 3]), np.array([0, 1, 4, 9])
    >>> correlations_of_counts(np.array([once, twice]), labels, guess).round(3).tolist()
    [[0.958, 0.966], [1.0, 1.0]]
    """
    ranks = [_ranks_of_counts(counts, values) for values in (labels, guess)]
    return np.stack([_weighted_correlation(counts, *pair) for pair in ((labels, guess), ranks)])


def _ranks_of_counts(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The rank of each example in each set, (sets, examples); equal ones share the mean."""
    order, (_, places) = np.argsort(values), np.unique(values, return_inverse=True)
    first = np.flatnonzero(np.diff(places[order], prepend=-1))
    alike = np.add.reduceat(counts[:, order], first, axis=1)
    return (alike.cumsum(axis=1) - (alike - 1) / 2)[:, places]


def _weighted_correlation(counts: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    number = counts.sum(axis=1, keepdims=True)
    one, two = (values - values.mean(dtype=float) for values in (one, two))
    x, y = (v - (counts * v).sum(axis=1, keepdims=True) / number for v in (one, two))
    size = np.sqrt((counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1))
    alike = size <= ROUNDING * np.abs(one).max() * np.abs(two).max()
    return np.where(alike, 0, (counts * x * y).sum(axis=1) / np.where(alike, 1, size))


def _placements(labels: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives below it, for each negative of positives above.

    Equal ones count half. The mean of either is the auROC.
    """
    positive, negative = np.sort(guess[labels == 1]), np.sort(guess[labels == 0])

    def below(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        sides = [np.searchsorted(where, values, side) for side in ("left", "right")]
        return np.mean(sides, axis=0) / len(where)

    return (
        below(guess[labels == 1], negative),
        1 - below(guess[labels == 0], positive),
    )


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
    found = [
        scores_of_counts(*(_drawn(mine, len(values), times, rng) for mine in classes))
        for times in _portions(len(labels))
    ]
    return dict(zip(("auroc", "auprc"), _ends(np.concatenate(found, axis=1)), strict=True))


def _portions(examples: int) -> list[int]:
    """How many resamples are in memory at once, until all are done."""
    batch = max(1, AT_ONCE // examples)
    return [min(batch, RESAMPLES - done) for done in range(0, RESAMPLES, batch)]


def _ends(resampled: np.ndarray) -> list[tuple[float, float]]:
    """The ends of the interval of each row of resamples."""
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(resampled, ends, axis=1).tolist()
    return list(zip(low, high, strict=True))


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
