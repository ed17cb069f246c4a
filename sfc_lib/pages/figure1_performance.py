"""Figure 1: how well networks with and without an SFC layer perform, over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.pages.results import Results, by_experiment, yardsticks
from sfc_lib.pages.style import COLUMNS, STYLE, bars, closed, colour_of, heading, short, spread

METRIC_NAMES = {"auroc": "auROC", "auprc": "auPRC"}
KNOWN = ("ceiling", "6-mer regression")  # of `results.yardsticks`


def performance(
    results: Results,
    metrics: Sequence[str] = tuple(METRIC_NAMES),
    columns: int = COLUMNS,
) -> Figure:
    """Figure 1: median auROC and auPRC over seeds, with range and single seeds.

    One column an experiment, auROC above auPRC; after `columns` experiments new rows begin.
    Bars are medians, black lines reach from the worst to the best seed, dots are the
    seeds. The axes do not start at 0; experiments on the same kind of data share theirs.
    """
    parts = by_experiment(results.runs)
    columns = min(columns, len(parts))
    blocks = -(-len(parts) // columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            blocks * len(metrics),
            columns,
            figsize=(1 + 3.4 * columns, 2.6 * len(metrics) * blocks),
            squeeze=False,
        )
        for row, metric in enumerate(metrics):
            axes = grid[row :: len(metrics)].ravel()
            for place, runs in zip(axes, parts, strict=False):
                _panel(place, runs, metric)
                _limits(place, [p for p in parts if _kind(p) == _kind(runs)], metric)
                if row == 0:
                    place.set_title(heading(runs), fontsize=10)
            for place in axes[len(parts) :]:
                place.remove()
            for place in axes[: len(parts) : columns]:
                place.set_ylabel(f"validation {METRIC_NAMES[metric]}, mean of tasks")
        figure.tight_layout()
    return closed(figure)


def score_table(results: Results) -> pd.DataFrame:
    """Median, worst and best seed of each model, beside what they are held against.

    Chance is .5 for auROC and the share of positives for auPRC; the ceiling is that of
    `results.yardsticks`, where one is known.
    """
    known = yardsticks()
    rows = []
    for (_, model), runs in results.runs.groupby(["experiment", "model"], sort=False):
        against = known.get(runs.fingerprint.iat[0], {})
        chance = {"auroc": 0.5, "auprc": against.get("positives", {}).get("valid", float("nan"))}
        row = {"data": runs.data.iat[0], "model": model, "seeds": len(runs)}
        for metric, name in METRIC_NAMES.items():
            row[f"{name}: median (min – max)"] = spread(runs[metric], short)
            row[f"{name}, test set"] = short(runs[f"test_{metric}"].median())
            row[f"{name} by chance"] = short(chance[metric])
        row["auROC, best known"] = next(
            (f"{short(against[what]['valid'])} ({what})" for what in KNOWN if what in against), "–"
        )
        row["best epoch: median"] = f"{runs.best_epoch.median():g}"
        row["diverged"] = int(runs.diverged.sum())
        rows.append(row)
    return pd.DataFrame(rows)


def _panel(axes: Axes, runs: pd.DataFrame, metric: str) -> None:
    models = list(runs.model.unique())
    bars(axes, runs, "model", metric, models, {m: colour_of(m) for m in models}, ranges=True)
    if len(models) > 3:
        axes.tick_params(axis="x", labelrotation=30)


def _limits(axes: Axes, alike: Sequence[pd.DataFrame], metric: str) -> None:
    """One scale for data of one kind, from just below the worst run to just above the best."""
    scores = pd.concat(alike)[metric].dropna()
    if not scores.empty:
        margin = 0.1 * (scores.max() - scores.min()) or 0.01
        axes.set_ylim(max(0.0, scores.min() - 2 * margin), min(1.0, scores.max() + margin))


def _kind(runs: pd.DataFrame) -> tuple[object, ...]:
    """What experiments must have in common for their scores to be compared by eye."""
    return runs.dataset.iat[0], runs.dataset_options.iat[0].get("tf")
