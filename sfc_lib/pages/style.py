"""The paper's figures, each a pure function of results.

Small pieces every page shows: tables, and the line that names the size.
"""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from sfc_lib.files import published_dir, sha256_json
from sfc_lib.pages.results import Results, cpu_minutes

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
COLUMNS = 3  # experiments side by side
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "svg.hashsalt": "sfc_lib",  # the same figure gives the same bytes
    "legend.frameon": False,
}


def heading(result: Results, width: int = 60) -> str:
    """A panel's title: the data, folded to `width`; seeds, diverged runs, share of the filters."""
    diverged = int(result.scores().diverged.sum())
    seeds = result.experiment.seeds
    parts = [f"{seeds} seeds" if seeds > 1 else "1 seed"]
    parts += [f"diverged: {diverged}"] * bool(diverged)
    below = ", ".join(filter(None, [*parts, result.narrowed]))
    return f"{fill(result.experiment.title, width)}\n{fill(below, width)}"


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


TENFOLD = 10
FOLDED = 200  # characters
VERDICTS = ("supported", "undecided", "contradicted", "too few seeds")
VERDICT_COLOURS = dict(zip(VERDICTS, ("#1a7f37", "#57606a", "#b42318", "#57606a"), strict=True))


def show(table: pd.DataFrame) -> HTML:
    """A table as HTML that scrolls inside its own box; verdicts are coloured.

    One without rows is not shown at all.
    """
    if table.empty:
        return HTML("")
    name = sha256_json(table.astype(str).to_dict("list"))[:8]  # same table, same HTML
    styled = table.style.set_uuid(name).hide(axis="index").format(_folded)
    if "verdict" in table:
        styled = styled.map(_verdict_style, subset=["verdict"])
    return HTML(f'<div class="sfc-table" tabindex="0">{styled.to_html()}</div>')


def size_line(results: Sequence[Results]) -> str:
    """One Markdown sentence: the size shown, its runs and seeds."""
    plan = results[0].size
    runs = sum(len(result.experiment.specs) for result in results)
    return (
        f"This page shows size **{plan.name}** ({plan.about}): {runs} runs, "
        f"{plan.seeds} seeds of each model."
    )


def time_line(results: Sequence[Results], began: float) -> str:
    """One Markdown sentence: what it takes to regenerate a page, as measured.

    Args:
        results: The results of the page.
        began: `time.perf_counter()` when the page began. The time since is told only where
            all records are published ones, so that no training is part of it.
    """
    seconds = time.perf_counter() - began
    records = [r for result in results for group in result.records.values() for r in group]
    line = (
        f"The {len(records)} runs of this size, shared by all pages, took "
        f"**{cpu_minutes(records):.0f} CPU minutes** to train."
    )
    if all(record.folder.parent == published_dir() for record in records):
        line += (
            f" From their published records this page was computed in **{seconds:.0f} seconds**."
        )
    return line


def _folded(value: object) -> str:
    """A cell's text as HTML; a long one is folded until clicked."""
    text = html.escape(str(value))
    if len(text) < FOLDED:
        return text
    return f"<details><summary>{text[:40]} …</summary>{text}</details>"


def _verdict_style(verdict: str) -> str:
    return f"color: {VERDICT_COLOURS[verdict]}; font-weight: 600"


def _scale(axes: Axes, values: np.ndarray) -> None:
    """An axis from 0, or a logarithmic one where the values differ tenfold or more."""
    kept = values[np.isfinite(values)]
    if len(kept) and kept.max() >= TENFOLD * kept.min() > 0:
        plain_log(axes, "y", (1, 3))
    else:
        axes.set_ylim(bottom=0)


def _dots(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    """A bar to the median and a dot a run."""
    if not len(values):
        return
    axes.bar(place, np.median(values), width=0.6, color=colour, alpha=0.75)
    spots = place + np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else [place]
    axes.scatter(spots, values, s=14, color="white", edgecolor="black", linewidth=0.7, zorder=3)
