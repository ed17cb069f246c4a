"""Figure 2: how fast networks with and without an SFC layer learn."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sfc_lib.pages.figure1_performance import METRIC_NAMES
from sfc_lib.pages.results import Results, by_experiment
from sfc_lib.pages.style import PAGE, SMALL, STYLE, bars, closed, colour_of, heading, name_of

LEVELS = {"simulated_tf": (0.8, 0.9, 0.95)}  # auROCs to which epochs are counted
SHARES = (0.5, 0.8, 0.95)  # elsewhere: of what std gains over chance
CHANCE = 0.5
ORDINALS = ("the first", "the second", "the third")


def level(epochs: pd.DataFrame, share: float) -> float:
    """The auROC that lies this share of the way from chance to std's median best auROC.

    Of the first model where there is no std; and of the learning curves, which may rest on a
    part of the validation set.

    Args:
        epochs: Of one experiment, as in `Results.epochs`.
        share: From 0 to 1.
    """
    best = epochs.groupby(["model", "seed"], sort=False).auroc.max()
    reference = "std" if (epochs.model == "std").any() else epochs.model.iat[0]
    return CHANCE + share * (float(best[reference].median()) - CHANCE)


def levels(dataset: str, epochs: pd.DataFrame, given: Sequence[float] = ()) -> tuple[float, ...]:
    """The auROCs to which epochs are counted: those given, or fixed ones, or by std."""
    fixed = tuple(given) or LEVELS.get(dataset)
    return fixed or tuple(level(epochs, share) for share in SHARES)


def epochs_to(epochs: pd.DataFrame, auroc: float) -> pd.DataFrame:
    """First epoch of each run with at least this validation auROC: model, seed, epochs.

    Infinite where a run never reached it before it stopped.
    """
    runs = pd.MultiIndex.from_frame(epochs[["model", "seed"]].drop_duplicates())
    first = epochs[epochs.auroc >= auroc].groupby(["model", "seed"]).epoch.min()
    return first.reindex(runs).fillna(np.inf).rename("epochs").reset_index()


def learning_curves(
    results: Results, curve: str = "auroc", smoothing: int = 1, given: Sequence[float] = ()
) -> Figure:
    """Figure 2: validation auROC by epoch, and the epochs needed to reach a given auROC.

    One row an experiment. Left: thin lines are seeds, thick lines their median and
    shades their range, drawn while every seed of the model still trains. Right: each
    dot is a seed, bars are medians.

    Args:
        results: What is shown.
        curve: The metric on the left, `"auroc"` or `"auprc"`.
        smoothing: Epochs over whose mean, up to each epoch, the curves on the left run.
        given: The three auROCs on the right, those of `levels` by default.
    """
    parts = by_experiment(results.runs)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(parts),
            2,
            figsize=(PAGE, 0.8 + 2.15 * len(parts)),
            squeeze=False,
            width_ratios=(3, 2),
            layout="constrained",
        )
        for row, runs in zip(grid, parts, strict=True):
            epochs = _epochs_of(results, runs)
            _curves(row[0], epochs, curve, smoothing)
            row[0].set_title(heading(runs))
            _epochs_needed(row[1], epochs, levels(runs.dataset.iat[0], epochs, given))
        _legend(figure, results.runs.model.unique())
    return closed(figure)


def epochs_table(results: Results, given: Sequence[float] = ()) -> pd.DataFrame:
    """Median epochs of each model to each auROC, and how many seeds never got there."""
    rows = []
    for runs in by_experiment(results.runs):
        epochs = _epochs_of(results, runs)
        aurocs = levels(runs.dataset.iat[0], epochs, given)
        reached = [(auroc, epochs_to(epochs, auroc)) for auroc in aurocs]
        for model in runs.model.unique():
            row = {"data": runs.data.iat[0], "model": model}
            for name, (auroc, table) in zip(ORDINALS, reached, strict=True):
                needed = _median(table.epochs[table.model == model])
                row[f"epochs to {name} auROC"] = f"{_short(auroc)}: {needed}"
            rows.append(row)
    return pd.DataFrame(rows)


def _epochs_of(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    return results.epochs[results.epochs.experiment == runs.experiment.iat[0]]


def _curves(axes: Axes, epochs: pd.DataFrame, curve: str, smoothing: int) -> None:
    by_run = epochs.groupby(["model", "seed"], sort=False)[curve]
    smooth = by_run.transform(lambda run: run.rolling(smoothing, min_periods=1).mean())
    epochs = epochs.assign(score=smooth)
    seeds = epochs.groupby("model").seed.transform("nunique")
    training = epochs.groupby(["model", "epoch"]).auroc.transform("count")
    common = epochs[training == seeds]  # epochs in which every seed still trains
    colours = {model: colour_of(model) for model in epochs.model.unique()}
    shared = {"x": "epoch", "y": "score", "hue": "model", "palette": colours, "ax": axes}
    sns.lineplot(
        epochs, units="seed", estimator=None, linewidth=0.6, alpha=0.35, legend=False, **shared
    )
    sns.lineplot(
        common,
        estimator="median",
        errorbar=("pi", 100),
        err_kws={"alpha": 0.15, "linewidth": 0},
        linewidth=2.2,
        legend=False,
        **shared,
    )
    over = f", mean of {smoothing} epochs" if smoothing > 1 else ""
    axes.set(xlabel="epoch", ylabel=f"validation {METRIC_NAMES[curve]}{over}")
    axes.set_xlim(1, max([2, *common.epoch]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(figure: Figure, models: Sequence[str]) -> None:
    """One for all panels, above them."""
    handles = [Line2D([], [], color=colour_of(model), linewidth=2.2) for model in models]
    names = [name_of(model) for model in models]
    figure.legend(handles, names, loc="outside upper left", ncols=3)


def _epochs_needed(axes: Axes, epochs: pd.DataFrame, aurocs: tuple[float, ...]) -> None:
    """Dots of every seed and bars of medians; seeds that never got there stand on top."""
    table = pd.concat([epochs_to(epochs, auroc).assign(level=i) for i, auroc in enumerate(aurocs)])
    never = np.isinf(table.epochs)
    top = 1.15 * (table.epochs[~never].max() if not never.all() else 1)
    colours = {model: colour_of(model) for model in epochs.model.unique()}
    table["epochs"] = table.epochs.clip(upper=top)
    bars(axes, table, "level", "epochs", range(len(aurocs)), colours, hue="model")
    if never.any():
        axes.axhline(top, color="black", linewidth=0.6, linestyle=":")
        axes.annotate("never", (0, top), xytext=(2, 3), textcoords="offset points", fontsize=SMALL)
    axes.set_xticks(range(len(aurocs)), [_short(auroc) for auroc in aurocs])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="validation auROC to reach", ylabel="epochs needed")


def _median(epochs: pd.Series) -> str:
    never = int(np.isinf(epochs).sum())
    text = "never" if np.isinf(epochs.median()) else f"{epochs.median():g}"
    return text + (f" ({never} never)" if never else "")


def _short(number: float) -> str:
    return f"{number:.3f}".removeprefix("0").rstrip("0")
