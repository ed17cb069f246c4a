"""The paper's figures, each a pure function of results."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from sfc_lib.analysis.results import Results

COLOURS = {
    "std": "#7a7a7a",
    "sep": "#0072b2",
    "symm": "#d55e00",
    "std_fast": "#b8b8b8",
    "sep_slow": "#74b5dd",
    "symm_slow": "#f0a778",
    "low_reg": "#e6b800",
    "high_reg": "#a0348c",
    "cr_100": "#1b7f5c",
}
NAMES = {
    "std": "std (no SFC)",
    "sep": "sep (SFC)",
    "symm": "symm (symmetric SFC)",
    "std_fast": "std, learning rate .001",
    "sep_slow": "sep, learning rate .0001",
    "symm_slow": "symm, learning rate .0001",
    "low_reg": "symm, CR 1",
    "high_reg": "symm, CR 10",
    "cr_100": "symm, CR 100",
}
METRICS = {"auroc": "auROC", "auprc": "auPRC"}
LEVELS = ("the first", "the second", "the third")  # of the auROCs that epochs are counted to
COLUMNS = 3  # experiments side by side
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "sfc_lib",  # the same figure gives the same bytes
    "legend.frameon": False,
}


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


def learning_curves(results: Sequence[Results]) -> Figure:
    """Figure 2: validation auROC by epoch, and the epochs needed to reach a given auROC.

    One row an experiment. Left: thin lines are seeds, thick lines their median and
    shades their range, drawn while every seed of the model still trains. Right: each
    dot is a seed, bars are medians.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(results), 2, figsize=(8.4, 0.4 + 3.4 * len(results)), squeeze=False
        )
        for row, result in zip(grid, results, strict=True):
            _curves(row[0], result)
            _epochs_needed(row[1], result)
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


def epochs_table(results: Sequence[Results]) -> pd.DataFrame:
    """Median epochs of each model to each auROC, and how many seeds never got there."""
    rows = []
    for result in results:
        tables = [(level, result.epochs_to(level)) for level in result.levels()]
        for model in result.models:
            row: dict[str, object] = {"data": result.title, "model": model}
            for name, (level, table) in zip(LEVELS, tables, strict=True):
                epochs = table.loc[table.model == model, "epochs"]
                median, never = epochs.median(), int(np.isinf(epochs).sum())
                text = "never" if np.isinf(median) else f"{median:g}"
                text += f" ({never} never)" if never else ""
                row[f"epochs to {name} auROC"] = f"{_short(level)}: {text}"
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


def _curves(axes: Axes, result: Results) -> None:
    curves = result.curves()
    last = 1
    for model, runs in curves.groupby("model", sort=False):
        wide = runs.pivot(index="epoch", columns="seed", values="auroc")
        common = wide.dropna()  # epochs in which every seed still trains
        last = max(last, common.index.max())
        colour = colour_of(str(model))
        axes.plot(wide.index, wide, color=colour, linewidth=0.6, alpha=0.35)
        axes.fill_between(
            common.index, common.min(axis=1), common.max(axis=1), color=colour, alpha=0.15, lw=0
        )
        axes.plot(
            common.index, common.median(axis=1), color=colour, linewidth=2.2, label=_name(model)
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation auROC, mean of tasks")
    axes.set_xlim(1, last)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), fontsize=8, ncols=3)
    axes.set_title(heading(result), fontsize=10)


def _epochs_needed(axes: Axes, result: Results) -> None:
    """Dots of every seed and bars of medians; seeds that never got there stand on top."""
    levels = result.levels()
    tables = [result.epochs_to(level) for level in levels]
    reached = np.concatenate([t.epochs[np.isfinite(t.epochs)] for t in tables])
    top = float(reached.max() if len(reached) else 1) * 1.15
    width = 0.8 / len(result.models)
    for group, table in enumerate(tables):
        for index, model in enumerate(result.models):
            epochs = np.minimum(table.loc[table.model == model, "epochs"].to_numpy(), top)
            place = group + (index - (len(result.models) - 1) / 2) * width
            axes.bar(place, np.median(epochs), width * 0.9, color=colour_of(model), alpha=0.75)
            spots = place + np.linspace(-0.3, 0.3, len(epochs)) * width
            axes.scatter(spots, epochs, s=10, color="white", edgecolor="black", lw=0.6, zorder=3)
    if any(np.isinf(table.epochs).any() for table in tables):
        axes.axhline(top, color="black", linewidth=0.6, linestyle=":")
        axes.annotate("never", (0, top), xytext=(2, 3), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(levels)), [_short(level) for level in levels])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("validation auROC to reach")
    axes.set_ylabel("epochs needed")


def heading(result: Results, width: int = 60) -> str:
    """A panel's title: the data, folded to `width`; seeds, diverged runs, share of the filters."""
    diverged = int(result.scores().diverged.sum())
    seeds = result.experiment.seeds
    parts = [f"{seeds} seeds" if seeds > 1 else "1 seed"]
    parts += [f"diverged: {diverged}"] * bool(diverged)
    below = ", ".join(filter(None, [*parts, result.narrowed]))
    return f"{fill(result.experiment.title, width)}\n{fill(below, width)}"


def _spread(values: pd.Series) -> str:
    if not values.notna().any():
        return "–"
    numbers = (values.median(), values.min(), values.max())
    median, low, high = (f"{number:.4f}".removeprefix("0") for number in numbers)
    return f"{median} ({low} – {high})"


def _short(number: float) -> str:
    return f"{number:.3f}".removeprefix("0").rstrip("0")


def colour_of(model: str) -> str:
    """Colour of a model, the same in every figure."""
    return COLOURS.get(model, "#009e73")


def _name(model: object) -> str:
    return NAMES.get(str(model), str(model))


def plain_log(axes: Axes, name: str, steps: Sequence[int] = (1, 2, 5)) -> None:
    """Make an axis, x or y, logarithmic, with ticks at `steps` times powers of ten."""
    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(10, steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def closed(figure: Figure) -> Figure:
    """The figure, forgotten by pyplot, so that a notebook shows it once."""
    plt.close(figure)
    return figure
