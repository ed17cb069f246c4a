"""Figure 1: how well networks with and without an SFC layer perform, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.pages.results import Results, by_experiment, held_against, yardsticks
from sfc_lib.pages.style import (
    PAGE,
    SMALL,
    STYLE,
    bars,
    closed,
    colour_of,
    heading,
    short,
    spread,
)

METRIC_NAMES = {"auroc": "auROC", "auprc": "auPRC"}
CEILING = "ceiling of auROC"
COUNTED = "6-mer regression"  # of the yardsticks, what needs no network
NEAR = 0.5  # of an axis: how far above it a dashed line may make it reach
TITLE = 12  # characters of a title in an inch


def performance(
    results: Results, metric: str = "both", columns: int = 4, width: float = PAGE
) -> Figure:
    """Figure 1: median auROC and auPRC over seeds, with range and single seeds.

    One column an experiment, auROC above auPRC; after `columns` experiments new rows begin.
    Bars are medians, black lines reach from the worst to the best seed, dots are the
    seeds. The axes do not start at 0; experiments on the same kind of data share theirs. A
    dashed line is the first of what they are held against (`results.held_against`) that is near.

    Args:
        results: What is shown.
        metric: `"auroc"`, `"auprc"` or `"both"`.
        columns: Experiments side by side.
        width: Of the figure, in inches.
    """
    metrics = list(METRIC_NAMES) if metric == "both" else [metric]
    parts = by_experiment(results.runs)
    columns = min(columns, len(parts))
    blocks = -(-len(parts) // columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            blocks * len(metrics),
            columns,
            figsize=(width, 1.75 * len(metrics) * blocks + 0.5 * blocks),
            squeeze=False,
            layout="constrained",
        )
        for row, name in enumerate(metrics):
            axes = grid[row :: len(metrics)].ravel()
            for place, runs in zip(axes, parts, strict=False):
                _panel(place, runs, name)
                _limits(place, [p for p in parts if _kind(p) == _kind(runs)], name)
                seen = _beside(place, held_against(runs)) if name == "auroc" else []
                if row == 0:
                    title = [heading(runs, round(TITLE * width / columns)), *seen]
                    place.set_title("\n".join(title), fontsize=SMALL)
                if row < len(metrics) - 1:
                    place.tick_params(axis="x", labelbottom=False)
            for place in axes[len(parts) :]:
                place.remove()
            for place in axes[: len(parts) : columns]:
                place.set_ylabel(f"validation {METRIC_NAMES[name]}")
    return closed(figure)


def score_table(results: Results) -> pd.DataFrame:
    """Median, worst and best seed of each model, beside what they are held against.

    Chance is .5 for auROC and the share of positives for auPRC. The column `CEILING` is there if
    it is known of any of the data; besides, auROC is held against the first other one of
    `results.held_against`.
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
        others = held_against(runs)
        row[CEILING] = short(others.pop("ceiling", float("nan")))
        row["auROC, held against"] = next(
            (f"{short(score)} ({what})" for what, score in others.items()), "–"
        )
        row["best epoch: median"] = f"{runs.best_epoch.median():g}"
        row["diverged"] = int(runs.diverged.sum())
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.drop(columns=CEILING) if (table[CEILING] == "–").all() else table


def score_title(table: pd.DataFrame) -> str:
    """What to write above a `score_table`: it has a ceiling only where one is known."""
    ceiling = ", ceiling" * (CEILING in table)
    return f"Scores of every model, with chance{ceiling} and test set"


def not_learnt(results: Results) -> str:
    """A Markdown sentence: where counting 6-mers is ahead of the best network; empty if nowhere."""
    told = []
    for runs in by_experiment(results.runs):
        score, medians = held_against(runs).get(COUNTED), runs.groupby("model").auroc.median()
        if score and score > medians.max():
            best = f"{short(medians.max())} of *{medians.idxmax()}*"
            told.append(f"{runs['data'].iat[0]} ({short(score)} against {best})")
    if not told:
        return ""
    return (
        "A regression on 6-mer counts has a higher validation auROC than any network on "
        f"{' and on '.join(told)}: there the networks have not learnt what is in the data, and "
        "a gap between them need not last."
    )


def _panel(axes: Axes, runs: pd.DataFrame, metric: str) -> None:
    models = list(runs.model.unique())
    bars(axes, runs, "model", metric, models, {m: colour_of(m) for m in models}, ranges=True)
    if len(models) > 3:
        axes.tick_params(axis="x", labelrotation=60)


def _beside(axes: Axes, others: Mapping[str, float]) -> list[str]:
    """A dashed line at the first of the scores that is in sight, or nearly; what to say of it."""
    low, high = axes.get_ylim()
    reach = high + NEAR * (high - low)
    for name, score in others.items():
        if low < score < reach:
            axes.axhline(score, color="black", linewidth=0.9, linestyle="--", zorder=2.5)
            axes.set_ylim(low, max(high, score + (high - low) / 20))
            return [f"dashed: {name}"]
    return []


def _limits(axes: Axes, alike: Sequence[pd.DataFrame], metric: str) -> None:
    """One scale for data of one kind, from just below the worst run to just above the best."""
    scores = pd.concat(alike)[metric].dropna()
    if not scores.empty:
        margin = 0.1 * (scores.max() - scores.min()) or 0.01
        axes.set_ylim(max(0.0, scores.min() - 2 * margin), min(1.0, scores.max() + margin))


def _kind(runs: pd.DataFrame) -> tuple[object, ...]:
    """What experiments must have in common for their scores to be compared by eye."""
    return runs.dataset.iat[0], runs.dataset_options.iat[0].get("tf")
