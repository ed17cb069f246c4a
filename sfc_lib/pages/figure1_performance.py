"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.pages.results import Results
from sfc_lib.pages.style import COLUMNS, METRICS, STYLE, closed, colour_of, heading


def performance(
    results: Sequence[Results],
    metrics: Sequence[str] = tuple(METRICS),
    columns: int = COLUMNS,
) -> Figure:
    """Figure 1: median auROC and auPRC over seeds, with range and single seeds.

    One column an experiment, auROC above auPRC; after `columns` experiments new rows begin.
    Bars are medians, black lines reach from the worst to the best seed, dots are the
    seeds. The axes do not start at 0; experiments on the same kind of data share theirs.
    """
    columns = min(columns, len(results))
    blocks = -(-len(results) // columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            blocks * len(metrics),
            columns,
            figsize=(1 + 3.4 * columns, 3.1 * len(metrics) * blocks),
            squeeze=False,
        )
        for row, metric in enumerate(metrics):
            axes = grid[row :: len(metrics)].ravel()
            for place, result in zip(axes, results, strict=False):
                _bars(place, result, metric)
                if row == 0:
                    place.set_title(heading(result), fontsize=10)
            for place in axes[len(results) :]:
                place.remove()
            for place in axes[: len(results) : columns]:
                place.set_ylabel(f"validation {METRICS[metric]}, mean of tasks")
            _share_limits(list(axes), results, metric)
        figure.tight_layout()
    return closed(figure)


def score_table(results: Sequence[Results]) -> pd.DataFrame:
    """Median, worst and best seed of each model, and its runs; numbers formatted."""
    rows = []
    for result in results:
        scores = result.scores()
        for model, runs in scores.groupby("model", sort=False):
            row = {"data": result.title, "model": model, "seeds": len(runs)}
            for metric, name in METRICS.items():
                row[f"{name}: median (min – max)"] = _spread(runs[metric])
            row["best epoch: median"] = f"{runs.best_epoch.median():g}"
            row["diverged"] = int(runs.diverged.sum())
            rows.append(row)
    return pd.DataFrame(rows)


def _bars(axes: Axes, result: Results, metric: str) -> None:
    scores = result.scores()
    for place, model in enumerate(result.models):
        values = scores.loc[scores.model == model, metric].dropna().to_numpy()
        if not len(values):
            continue
        axes.bar(place, np.median(values), width=0.7, color=colour_of(model), alpha=0.75)
        axes.plot([place] * 2, [values.min(), values.max()], color="black", linewidth=1.6)
        spots = place + np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else [place]
        axes.scatter(spots, values, s=14, color="white", edgecolor="black", linewidth=0.7, zorder=3)
    axes.set_xticks(range(len(result.models)), result.models)
    if len(result.models) > 3:
        axes.tick_params(axis="x", labelrotation=30)


def _share_limits(axes: Sequence[Axes], results: Sequence[Results], metric: str) -> None:
    """One scale for data of one kind, from just below the worst run to just above the best."""
    scores = [result.scores()[metric].dropna() for result in results]
    kinds = [_kind(result) for result in results]
    for place, kind in zip(axes, kinds, strict=False):
        runs = pd.concat([s for s, other in zip(scores, kinds, strict=True) if other == kind])
        if not runs.empty:
            margin = 0.1 * (runs.max() - runs.min()) or 0.01
            place.set_ylim(max(0.0, runs.min() - 2 * margin), min(1.0, runs.max() + margin))


def _kind(result: Results) -> tuple[object, ...]:
    """What experiments must have in common for their scores to be compared by eye."""
    spec = result.experiment.specs[0]
    return spec.dataset, spec.dataset_options.get("tf")


def _spread(values: pd.Series) -> str:
    if not values.notna().any():
        return "–"
    numbers = (values.median(), values.min(), values.max())
    median, low, high = (f"{number:.4f}".removeprefix("0") for number in numbers)
    return f"{median} ({low} – {high})"


def _short(number: float) -> str:
    return f"{number:.3f}".removeprefix("0").rstrip("0")
