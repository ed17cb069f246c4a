"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.pages.figure1_performance import _short
from sfc_lib.pages.results import Results
from sfc_lib.pages.style import STYLE, _name, closed, colour_of, heading

LEVELS = ("the first", "the second", "the third")  # of the auROCs that epochs are counted to


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
