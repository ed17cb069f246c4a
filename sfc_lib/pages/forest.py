"""The forest plot of a page: every comparison as an effect, its interval and its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.pages.claims import load_claims
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import NARROW, STYLE, VERDICT_STYLES, closed, picture, short, short_data

WIDTH, ROW_HEIGHT = 7.4, 0.175  # inches
FAR = 8  # smallest effects of interest that a panel reaches; beyond it stands the number
WORDS = 10  # characters of an axis label in an inch
ALT = "Effect and 95 % interval of every comparison of this page, with the letter of its verdict."


def show_forest(grades: pd.DataFrame) -> HTML:
    """The plot and how to read it, in a form for pages and one for phones; or nothing."""
    wide, narrow = forest(grades), forest(grades, NARROW)
    if wide is None or narrow is None:
        return HTML("")
    return HTML(f"{picture(wide, ALT, narrow)}<p class='sfc-legend'>{caption(grades)}</p>")


def caption(grades: pd.DataFrame) -> str:
    """How the plot is read, and what it leaves out."""
    left_out = int((grades.asks != "exact").sum()) - len(_drawn(grades))
    few = (
        f" {left_out} comparisons of fewer than {MIN_SEEDS} seeds, which never decide, are left "
        "out; the table has them."
    )
    return (
        "Each dot is one comparison of two models over the seeds that both have, the line its "
        "95 % interval, the grey band the smallest effect of interest; right of 0 the model named "
        "first, which the paper favours, is ahead, and an effect beyond the panel is a number at "
        "its edge. ✓ supported, ✗ contradicted, = no difference larger than the band, "
        "? undecided, ~ not measurable, ≠ confounded: more differs than the claim is about. "
        f"<a href='claims.html'>All claims</a> says how each is judged.{few if left_out else ''}"
    )


def _drawn(grades: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that may decide; where none may, all."""
    tested = grades[grades.asks != "exact"]
    enough = tested[tested.seeds >= MIN_SEEDS]
    return tested if enough.empty else enough


def forest(grades: pd.DataFrame, width: float = WIDTH) -> Figure | None:
    """Comparisons with seeds enough as effect and 95 % interval, and the letter of the verdict.

    To the right of 0 the model that the paper favours is ahead. The grey band is the smallest
    effect of interest. Metrics of one comparison stand side by side; a relative metric is shown
    in % of the other model's median. Arrows leave the panel; an effect beyond it is a number at its
    edge. None if there is nothing to draw.

    Args:
        grades: As of `claims.grade`.
        width: Inches. Up to `NARROW` a comparison's words stand above its dots, not beside them.
    """
    rows = _drawn(grades)
    if rows.empty:
        return None
    rows = rows.assign(row=[(g.claim, g.data, g.favoured, g.other) for g in rows.itertuples()])
    metrics = rows.groupby("row", sort=False).metric.agg(tuple)
    groups = [group for group in dict.fromkeys(metrics) if not _within(group, metrics)]
    parts = [
        rows[rows.row.map(lambda row, g=group: set(metrics[row]) <= set(g))] for group in groups
    ]
    above = width <= NARROW
    heights = [_rows_high(part, above) for part in parts]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(width, sum(heights) * ROW_HEIGHT), layout="constrained")
        blocks = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        for block, part, group in zip(blocks, parts, groups, strict=True):
            _forest_block(block, part, group, width)
    return closed(figure)


def _within(group: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> bool:
    return any(set(group) < set(other) for other in groups)


def _rows_high(part: pd.DataFrame, above: bool) -> float:
    """Lines of text that a block of the forest takes, its axis and titles too."""
    return part.row.nunique() * (1 + above) + part.claim.nunique() + 4.5


def _forest_block(block: Any, part: pd.DataFrame, metrics: Sequence[str], width: float) -> None:
    """Comparisons that share metrics: one panel a metric, one line a comparison."""
    above = width <= NARROW
    names = {claim.id: claim.short for claim in load_claims().claims}
    places, labels, place = {}, [], 0
    for claim, rows in part.groupby("claim", sort=False):
        labels.append((place, names[claim], True))
        for row in dict.fromkeys(rows.row):
            labels.append((place + 1, f"{short_data(row[1])}: {row[2]} − {row[3]}", False))
            place += 1 + above
            places[row] = place
        place += 1
    panels = block.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _forest_panel(axes, part[part.metric == metric], places, width / len(metrics))
        axes.set_ylim(place - 0.3, -0.7)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    first = panels[0]
    if above:
        first.set_yticks([])
        first.set_zorder(1)  # its words reach over the other panels
        first.patch.set_visible(False)
        for at, text, bold in labels:
            where = {"transform": first.get_yaxis_transform(), "va": "center", "in_layout": False}
            first.text(0, at, text, fontweight="bold" if bold else "normal", **where)
        return
    first.set_yticks([at for at, _, _ in labels], [text for _, text, _ in labels])
    for tick, (_, _, bold) in zip(first.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if bold else "normal")


def _forest_panel(axes: Axes, rows: pd.DataFrame, places: dict[Any, int], width: float) -> None:
    metric = load_claims().metric(rows.metric.iat[0])
    base = rows.other_value.abs().replace(0, np.nan)
    scale = 100 / base if metric.relative else pd.Series(1.0, rows.index)
    effects, margins = rows.effect * scale, rows.margin * scale
    finite = effects[np.isfinite(effects)].abs()
    margin = margins.max() if margins.notna().any() else 1.0
    limit = min(1.25 * max([*finite, 2.5 * margin]), FAR * margin)
    axes.axvspan(-margin, margin, color="#e9e9e9", lw=0, zorder=0)
    axes.axvline(0, color="black", lw=0.6, zorder=1)
    for g, effect, by in zip(rows.itertuples(), effects, scale, strict=True):
        letter, _, colour = VERDICT_STYLES[g.verdict]
        if np.isfinite(effect) and abs(effect) > 0.95 * limit:  # or half its dot is cut off
            ahead, told = effect > 0, short(effect, "+.3g")
            axes.text(
                np.copysign(limit, effect),
                places[g.row],
                f"{told} ▸" if ahead else f"◂ {told}",
                color=colour,
                ha="right" if ahead else "left",
                va="center",
            )
        else:
            ends = np.clip([g.low * by, g.high * by], -limit, limit)
            axes.plot(ends, [places[g.row]] * 2, color=colour, lw=1.4)
            for end, marker in zip(ends, "<>", strict=True):
                if abs(end) == limit:
                    axes.plot(end, places[g.row], marker, color=colour, ms=4, clip_on=False)
            axes.plot(effect, places[g.row], "o", color=colour, ms=4.5)
        axes.text(
            1.02,
            places[g.row],
            letter,
            color=colour,
            va="center",
            fontweight="bold",
            transform=axes.get_yaxis_transform(),
        )
    name = load_claims().words(rows.metric.iat[0])
    axes.set(
        xlim=(-limit, limit),
        xlabel=fill(f"lead in {name}" + ", %" * metric.relative, round(WORDS * width)),
    )
    axes.xaxis.set_major_locator(MaxNLocator(5 if width > NARROW / 2 else 2, symmetric=True))
