"""Figures of the benchmark, each a pure function of its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from sfc_lib.analysis.figures import COLOURS, STYLE, closed, plain_log
from sfc_lib.analysis.speed import Speed

AUTHORS, OURS = "authors' form", "ours"
LINES = {  # colour and marker
    AUTHORS: ("#7a7a7a", "s"),
    OURS: ("#0072b2", "o"),
    "ours, symmetric": ("#d55e00", "D"),
    "ours, kernel form": ("#56b4e9", "1"),
    "ours, channels form": ("#56b4e9", "2"),
    "ours, positions form": ("#56b4e9", "3"),
    "Dense(n)": ("#009e73", "^"),
    "Dense of equal parameters": ("#cc79a7", "v"),
    **{variant: (colour, "o") for variant, colour in COLOURS.items()},
}
BOUND: Any = {"color": "black", "linewidth": 0.9, "linestyle": ":"}


def layer_forms(speed: Speed, part: str = "tensorflow") -> Figure:
    """Time of a training step relative to the authors' form, at each shape and batch.

    Left the SFC layer, right the symmetric one. Markers are ratios of medians; lines reach
    from the fastest to the slowest value of a contender, over the median of the authors'.
    """
    table = _of(speed, "layers", part, kind="layer")
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, 2, figsize=(9.4, 5.6), sharey=True)
        for axes, (variant, title) in zip(
            grid, (("sep", "SFC layer"), ("symm", "symmetric SFC layer")), strict=True
        ):
            rows = table[table.variant == variant] if len(table) else table
            _ratio_rows(axes, rows)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("time of a step / that of the authors' form")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncol=4, fontsize=8)
        figure.tight_layout(rect=(0, 0.09, 1, 1))
    return closed(figure)


def pairs(speed: Speed, parts: Sequence[str] = ("tensorflow", "tensorflow, all cores")) -> Figure:
    """Time of SFC + Dense(50) relative to the authors' form, against the batch size.

    One panel a part; short lines are the bounds that were asked for.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(parts), figsize=(9.4, 3.6), sharey=True, squeeze=False)
        for axes, part in zip(grid[0], parts, strict=True):
            table = _of(speed, "layers", part, kind="pair")
            _pair_lines(axes, table)
            axes.set_xlabel("examples a batch")
            axes.set_title(part, fontsize=10)
        grid[0, 0].set_ylabel("time of a step / that of the authors' form")
        _legend(grid[0, 0])
        figure.tight_layout()
    return closed(figure)


def epochs(speed: Speed) -> Figure:
    """CPU seconds of an epoch of the simulated-TF networks, and ratios of the other two.

    Left: whole epochs by backend and precision; right: training steps relative to std.
    Bars are medians, lines ranges.
    """
    table = speed.table("epochs")
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.8))
        if len(table):
            whole = table[table.kind == "whole epoch"]
            _grouped(left, whole, "part", "median", ("low", "high"))
            steps = table[(table.kind == "steps") & (table.part == "tensorflow")].copy()
            steps["ratio"] = steps.ratio.fillna(1.0)
            _grouped(right, steps, "architecture", "ratio")
        left.set_ylabel("CPU seconds of a whole epoch")
        right.set_ylabel("CPU time of training steps / that of std")
        right.axhline(1, **BOUND)
        _legend(left)
        figure.tight_layout()
    return closed(figure)


def memory_and_sequences(speed: Speed) -> Figure:
    """Peak memory of a step in megabytes, and sequences a CPU second on a logarithmic axis."""
    memory, sequences = speed.table("memory"), speed.table("sequences")
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.4))
        _bars(left, memory, "variant")
        _bars(right, sequences, "kind")
        left.set_xlabel("peak memory of a training step (MB)")
        right.set_xlabel("sequences a CPU second")
        plain_log(right, "x", steps=(1,))
        right.xaxis.set_major_formatter("{x:,.0f}")
        figure.tight_layout()
    return closed(figure)


def scaling(speed: Speed) -> Figure:
    """Time against size on logarithmic axes; legends give the fitted exponents.

    Markers are medians, vertical lines ranges, straight lines the fits.
    """
    table = speed.table("scaling")
    axes_names = list(dict.fromkeys(table.axis)) if len(table) else ["positions"]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(axes_names), figsize=(10.4, 4.0), squeeze=False)
        for axes, name in zip(grid[0], axes_names, strict=True):
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
            if len(table):
                _fits(axes, table[table.axis == name])
                axes.set_xticks(sorted(set(table[table.axis == name]["size"].dropna())))
            plain_log(axes, "y")
            axes.set_xlabel(name)
        grid[0, 0].set_ylabel("CPU seconds")
        figure.tight_layout()
    return closed(figure)


def _of(speed: Speed, section: str, part: str, **labels: Any) -> pd.DataFrame:
    table = speed.table(section, **labels)
    return table[table.part == part] if len(table) else table


def _ratio_rows(axes: Axes, table: pd.DataFrame) -> None:
    """A row a shape and batch, a marker a contender; the authors' form stands at 1."""
    axes.axvline(1, color="#7a7a7a", linewidth=1)
    plain_log(axes, "x")
    groups = list(table.groupby(["shape", "batch"], sort=False)) if len(table) else []
    for row, (_, group) in enumerate(groups):
        base = group.loc[group.contender == AUTHORS, "median"].iloc[0]
        for contender, x in group.set_index("contender").iterrows():
            colour, marker = LINES[str(contender)]
            axes.plot([x.low / base, x.high / base], [row, row], color=colour, lw=1)
            label = str(contender) if row == 0 else None
            axes.plot(x["median"] / base, row, marker, color=colour, label=label, ms=6)
    names = [f"{shape}, batch {batch}" for (shape, batch), _ in groups]
    axes.set_yticks(range(len(groups)), names)
    axes.set_ylim(max(len(groups), 1) - 0.5, -0.5)


def _pair_lines(axes: Axes, table: pd.DataFrame) -> None:
    axes.axhline(1, color="#7a7a7a", linewidth=1)
    if table.empty:
        return
    for variant, rows in table[table.contender == OURS].groupby("variant", sort=False):
        base = table[(table.contender == AUTHORS) & (table.variant == variant)]
        scale = base.set_index("batch")["median"].loc[rows.batch].to_numpy()
        colour = COLOURS[str(variant)]
        errors = np.stack([rows["median"] - rows.low, rows.high - rows["median"]]) / scale
        axes.errorbar(rows.batch, rows.ratio, errors, color=colour, marker="o", label=variant)
        bound = rows[rows.wanted.notna()]
        limits = [wanted["at_most"] for wanted in bound.wanted]
        axes.plot(bound.batch, limits, "_", color=colour, ms=26, mew=1.5)
    axes.set_xticks(sorted(set(table.batch)))
    axes.set_ylim(bottom=0)


def _grouped(
    axes: Axes, table: pd.DataFrame, by: str, column: str, span: tuple[str, str] | None = None
) -> None:
    """Bars of variants side by side, one group a value of `by`; lines reach over `span`."""
    groups = list(dict.fromkeys(table[by]))
    for index, (variant, rows) in enumerate(table.groupby("contender", sort=False)):
        places = np.array([groups.index(group) for group in rows[by]]) + (index - 1) * 0.27
        axes.bar(places, rows[column], 0.25, color=COLOURS[str(variant)], label=variant)
        if span:
            axes.vlines(places, rows[span[0]], rows[span[1]], color="black", linewidth=1.2)
    axes.set_xticks(range(len(groups)), [group.replace(", mixed_", "\n") for group in groups])


def _bars(axes: Axes, table: pd.DataFrame, group: str) -> None:
    """Horizontal bars of medians with ranges, labelled by group and contender."""
    labels = []
    for place, (_, x) in enumerate(table.iterrows()):
        colour = LINES.get(x.contender, ("#7a7a7a", ""))[0]
        axes.barh(place, x["median"], color=colour, alpha=0.8)
        axes.plot([x.low, x.high], [place, place], color="black", linewidth=1.4)
        extra = f", {x.tasks}" if isinstance(x.get("tasks"), str) else ""
        labels.append(f"{x[group]}{extra}: {x.contender}")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()


def _fits(axes: Axes, table: pd.DataFrame) -> None:
    for line, rows in table.groupby("line", sort=False):
        points, fit = rows[rows.kind == "point"], rows[rows.kind == "fit"].iloc[0]
        colour, marker = LINES[str(line)]
        sizes, times = points["size"].to_numpy(dtype=float), points["median"].to_numpy()
        axes.vlines(sizes, points.low, points.high, color=colour, linewidth=1)
        axes.plot(sizes, times, marker, color=colour, ms=5)
        exponent = fit["median"]
        middle = np.log(times).mean() - exponent * np.log(sizes).mean()
        label = f"{line}: {exponent:.2f} ({fit.low:.2f} – {fit.high:.2f})"
        axes.plot(sizes, np.exp(middle) * sizes**exponent, color=colour, lw=1, label=label)
    _legend(axes, title="exponent (range)", title_fontsize=8)


def _legend(axes: Axes, **options: Any) -> None:
    """A legend, if there is something to explain: not where a section was not run."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, **options)
