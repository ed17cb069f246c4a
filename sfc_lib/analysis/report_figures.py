"""The figures of a report on your own data, each small enough to be read on a phone."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.analysis import figures
from sfc_lib.analysis.profiles import SCALE, colour_limit
from sfc_lib.analysis.weights import cluster

WIDTH = 4.8  # inches
STYLE = figures.STYLE | {"font.size": 11}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#000000")
MOST_TASKS = len(LINES)  # drawn; the table has all
SMOOTHED = 200  # bp from which a profile has a smoothed line too
SPAN = 25  # bp, of its moving mean
ROWS_A_CLUSTER = 4  # at least, on average


def learning_curve(history: Sequence[dict], best_epoch: int) -> Figure:
    """Training loss, and validation auROC and auPRC (means of the tasks), by epoch."""
    epochs = [line["epoch"] for line in history]
    with plt.rc_context(STYLE):
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(WIDTH, 4.4), sharex=True, layout="constrained"
        )
        above.plot(epochs, [line["loss"] for line in history], color="#7a7a7a", marker=".")
        above.set_ylabel("training loss\n(cross-entropy)")
        for name, label, colour in (("auroc", "auROC", LINES[0]), ("auprc", "auPRC", LINES[1])):
            values = [line[f"valid_{name}"] for line in history]
            below.plot(epochs, values, color=colour, marker=".", label=label)
        below.set(ylabel="validation score", xlabel="epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (above, below):
            axes.axvline(best_epoch, color="black", lw=0.8, ls=":")
        figure.legend(loc="outside lower center", ncols=2)
    plt.close(figure)
    return figure


def score_curves(labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str]) -> Figure:
    """ROC and precision-recall curves of each task; dashed is what guessing gives."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), layout="constrained")
        for number, (task, colour) in enumerate(zip(tasks, LINES, strict=False)):
            truth, guess = labels[:, number], probabilities[:, number]
            false, true, _ = roc_curve(truth, guess)
            precision, recall, _ = precision_recall_curve(truth, guess)
            left.plot(false, true, color=colour, label=task)
            right.plot(recall, precision, color=colour, drawstyle="steps-post")
            right.axhline(truth.mean(), color=colour, lw=0.8, ls="--")
        left.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
        left.set(xlabel="false positive rate", ylabel="true positive rate")
        right.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        if len(tasks) > 1:
            figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    plt.close(figure)
    return figure


def importance_profiles(
    profiles: np.ndarray, tasks: Sequence[str], numbers: Sequence[int]
) -> Figure:
    """Mean gradient × input at each position, one panel a task, 0 the middle of the sequence."""
    shown = min(len(tasks), MOST_TASKS)
    length = profiles.shape[1]
    position = np.arange(length) - length // 2
    with plt.rc_context(STYLE):
        figure, column = plt.subplots(
            shown,
            1,
            figsize=(WIDTH, 0.6 + max(2.6, 1.5 * shown) if shown > 1 else 3.0),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for axes, profile, task, number in zip(
            column[:, 0], profiles, tasks, numbers, strict=False
        ):
            axes.axhline(0, color="black", lw=0.6)
            smooth = length >= SMOOTHED
            axes.plot(position, profile, color=LINES[0], lw=0.8, alpha=0.4 if smooth else 1)
            if smooth:
                mean = np.convolve(profile, np.full(SPAN, 1 / SPAN), "valid")
                middle = position[SPAN // 2 : SPAN // 2 + len(mean)]
                axes.plot(middle, mean, color=LINES[0], lw=1.8)
            axes.set_title(f"{task}: mean of {number:,} test positives", fontsize=9)
            axes.margins(x=0)
        column[-1, 0].set_xlabel("position relative to the middle of the sequence, bp")
        figure.supylabel("gradient × input, logits per base", fontsize=11)
    plt.close(figure)
    return figure


def positional_weights(weights: np.ndarray) -> Figure:
    """`W_pos`, (units, length): rows with mean 0 and norm 1, those that look alike together."""
    clusters = cluster(weights, min(10, max(1, len(weights) // ROWS_A_CLUSTER)))
    top = colour_limit([clusters])
    units, length = clusters.rows.shape
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
        image = axes.imshow(
            clusters.rows, cmap=SCALE, vmin=-top, vmax=top, aspect="auto", interpolation="nearest"
        )
        axes.hlines(clusters.boundaries - 0.5, -0.5, length - 0.5, color="black", lw=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set(xlabel="position after pooling", ylabel=f"{units} neurons of the SFC layer")
        axes.set_yticks([])
        figure.colorbar(image, label="weight, rows of unit magnitude", shrink=0.8)
    plt.close(figure)
    return figure
