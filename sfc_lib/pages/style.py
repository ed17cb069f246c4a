"""What pages share: theme, colours, names, number formats, tables, and lines on the size."""

from __future__ import annotations

import base64
import html
import io
import time
from collections.abc import Callable, Sequence
from itertools import product
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from sfc_lib.files import sha256_json
from sfc_lib.pages.results import Results, cpu_minutes, seeds_each, settings
from sfc_lib.runs.sizes import load_size

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
    "sep_wide": "#8c6d1f",
    "sep_less_dropout": "#c77dff",
    "sep_lower_rate": "#2a9d8f",
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
    "sep_wide": "sep, a quarter of the filters",
    "sep_less_dropout": "sep, dropout .1",
    "sep_lower_rate": "sep, learning rate .0003",
}
OTHER = "#009e73"  # a model without a colour of its own
COLUMNS = 3  # panels side by side that stay legible on a page
PAGE = 8.1  # inches: the width of a page's column at 96 pixels an inch
NARROW = 3.6  # inches: the same on a phone
SMALL = 9  # points: the smallest text of a figure, 12 pixels on the screen
STYLE: Any = {
    **sns.axes_style("ticks"),
    "axes.edgecolor": "black",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": SMALL,
    **dict.fromkeys(
        ("axes.titlesize", "legend.fontsize", "xtick.labelsize", "ytick.labelsize"), "medium"
    ),
    "legend.frameon": False,
    "svg.hashsalt": "sfc_lib",  # the same figure gives the same bytes
}
# Of a verdict: its letter, which says it without a colour, its class in pages, its colour in plots.
VERDICT_STYLES = {
    "supported": ("✓", "good", "#1a7f37"),
    "contradicted": ("✗", "bad", "#b42318"),
    "no difference": ("=", "none", "#7a4fb5"),
    "undecided": ("?", "open", "#57606a"),
    "not measurable": ("~", "open", "#57606a"),
    "confounded": ("≠", "open", "#57606a"),
    "holds": ("✓", "good", "#1a7f37"),
    "holds in part": ("◐", "part", "#9a6700"),
    "does not hold": ("✗", "bad", "#b42318"),
    "cannot tell yet": ("?", "open", "#57606a"),
    "not testable here": ("–", "open", "#57606a"),
}
SHORT_DATA = (  # words of experiments' titles, and what stands for them where room is short
    ("Simulated TF binding, controls", "TF simulated, controls"),
    ("Simulated TF binding, generated", "TF simulated"),
    ("Simulated TF binding, authors' file", "TF authors' file"),
    (" ChIP-seq, GM12878", ""),
    ("Hematopoiesis (stand-in)", "hematopoiesis"),
    ("Simulated accessibility", "accessibility"),
    (", 0.125 of the filters", ""),
    (", 0.25 of the filters", ""),
    (", genome-wide", ", genome"),
)
SHARED = {  # how settings are told that all networks share
    "batch": "batches of {}",
    "seeds": "{} seeds each",
    "diverged": "{} diverged",
}
TENFOLD = 10
FOLDED = 200  # characters


def colour_of(model: str) -> str:
    """Colour of a model, the same in every figure."""
    return COLOURS.get(model, OTHER)


def name_of(model: str) -> str:
    """Name of a model in legends."""
    return NAMES.get(model, model)


def short_data(title: str) -> str:
    """Data in few words; what comes after a colon is all one: controls."""
    title, colon, _ = title.partition(": ")
    title += ", controls" * bool(colon)
    for words, fewer in SHORT_DATA:
        title = title.replace(words, fewer)
    return title


def same_data(title: str) -> str:
    """Data in few words; the same if learnt longer, or more of them, or in controls."""
    name = short_data(title)
    for suffix in (", longer and wider", ", longer", ", genome", ", controls"):
        name = name.removesuffix(suffix)
    return name


def short(value: float, form: str = ".4f") -> str:
    """A number as text, without the zero before its point; a dash for none.

    Example:

    >>> short(0.98125), short(-0.0016, "+.4f"), short(12.5, ".1f"), short(float("nan"))
    ('.9812', '−.0016', '12.5', '–')
    """
    if pd.isna(value):
        return "–"
    text = "∞" if np.isinf(value) else f"{abs(value):{form.replace('+', '')}}"
    sign = "−" if value < 0 and text.strip("0.,") else "+" if "+" in form else ""
    return sign + (text.removeprefix("0") if text.startswith("0.") else text)


def heading(runs: pd.DataFrame, width: int = 60) -> str:
    """A panel's title, folded to `width`: the data; seeds, diverged runs, share of the filters."""
    return f"{fill(runs.title.iat[0], width)}\n{fill(runs.about.iat[0], width)}"


def spread(values: pd.Series, form: Callable[[float], str] = "{:.3f}".format) -> str:
    """Median (min – max) as text; a dash where there are no values."""
    if not values.notna().any():
        return "–"
    return f"{form(values.median())} ({form(values.min())} – {form(values.max())})"


def bars(
    axes: Axes,
    runs: pd.DataFrame,
    x: str,
    y: str,
    order: Sequence[object],
    palette: dict[Any, str],
    hue: str | None = None,
    ranges: bool = False,
    dots: pd.DataFrame | None = None,
) -> None:
    """Bars to the medians and a dot a run, side by side by `hue` and seed.

    Args:
        axes: Where to draw.
        runs: One row a run; values that are nan are left out.
        x: Column of the places on the axis.
        y: Column of the values.
        order: Values of `x` from left to right.
        palette: Colour of each value of `hue`, or of `x` where there is none.
        hue: Column of the bars of one place.
        ranges: Whether lines reach from the lowest to the highest run.
        dots: The runs that get a dot; all by default.
    """
    shared: dict[str, Any] = {"x": x, "y": y, "order": order, "legend": False, "ax": axes}
    sns.barplot(
        runs,
        **shared,
        hue=hue or x,
        hue_order=list(palette),
        palette=palette,
        estimator="median",
        errorbar=("pi", 100) if ranges else None,
        err_kws={"color": "black", "linewidth": 1.6},
        width=0.8 if hue else 0.7,
        gap=0.1 if hue else 0,
        saturation=1,
        alpha=0.75,
    )
    seeds = ["left", *sorted(runs.seed.unique()), "right"]  # with some room between bars
    places = list(product(palette if hue else [""], seeds))
    runs = runs if dots is None else dots
    sns.stripplot(
        runs,
        **shared,
        hue=[*zip(runs[hue] if hue else [""] * len(runs), runs.seed, strict=True)],
        hue_order=places,
        palette=dict.fromkeys(places, "white"),
        dodge=True,
        jitter=False,
        size=3.6,
        edgecolor="black",
        linewidth=0.7,
        zorder=3,
    )
    axes.set(xlabel="", ylabel="")


def plain_log(axes: Axes, name: str, steps: Sequence[int] = (1, 2, 5)) -> None:
    """Make an axis, x or y, logarithmic, with ticks at `steps` times powers of ten."""
    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(10, steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def from_zero(axes: Axes, values: pd.Series) -> None:
    """A y axis from 0, or a logarithmic one where the values differ tenfold or more."""
    if values.max() >= TENFOLD * values.min() > 0:
        plain_log(axes, "y", (1, 3))
    else:
        axes.set_ylim(bottom=0)


def closed(figure: Figure) -> Figure:
    """The figure, forgotten by pyplot, so that a notebook shows it once."""
    plt.close(figure)
    return figure


def show(table: pd.DataFrame) -> HTML:
    """A table as HTML that scrolls inside its own box; verdicts have their letter and colour.

    One without rows is not shown at all.
    """
    if table.empty:
        return HTML("")
    styled = table.style.set_uuid(_name_of(table)).hide(axis="index").format(_folded)
    if "verdict" in table:
        styled = styled.format(chip, subset=["verdict"])
    return HTML(f'<div class="sfc-table" tabindex="0">{styled.to_html()}</div>')


def row_id(table: pd.DataFrame, row: int) -> str:
    """The id that the first cell of a row has in the HTML of `show`, for links to it."""
    return f"T_{_name_of(table)}_row{row}_col0"


def _name_of(table: pd.DataFrame) -> str:
    """The same for the same table, so that its HTML is the same."""
    return sha256_json(table.astype(str).to_dict("list"))[:8]


def folded(summary: str, content: pd.DataFrame | Figure, alt: str = "") -> HTML:
    """A table, or a figure with its text for those who don't see it, closed until clicked."""
    shown = picture(content, alt) if isinstance(content, Figure) else show(content).data
    return HTML(f"<details><summary>{html.escape(summary)}</summary>{shown}</details>")


def picture(figure: Figure, alt: str, narrow: Figure | None = None) -> str:
    """A figure as HTML that holds it, with its text for those who don't see it.

    Args:
        figure: In the form for a page.
        alt: The text.
        narrow: Its form for phones; without one they scroll sideways.
    """
    source = f'<source media="(max-width: 40rem)" srcset="{_data(narrow)}">' if narrow else ""
    image = f'<img class="sfc-wide" alt="{html.escape(alt)}" src="{_data(figure)}">'
    return f'<div tabindex="0"><picture>{source}{image}</picture></div>'


def _data(figure: Figure) -> str:
    with plt.rc_context(STYLE), io.BytesIO() as file:
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        data = base64.b64encode(file.getvalue()).decode()
    return f"data:image/svg+xml;base64,{data}"


def how_trained(results: Results) -> HTML:
    """Settings of the training: a sentence of what all experiments share, and a folded table.

    The table has a row a setting that differs, and a column an experiment.
    """
    table = settings(results).set_index("data")
    same = table.nunique() == 1 if len(table) > 1 else pd.Series(False, table.columns)
    shared = [
        SHARED.get(name, name + " {}").format(table[name].iat[0] or "none")
        for name in table
        if same[name]
    ]
    line = f"<p>All networks alike: {html.escape(', '.join(shared))}.</p>" if shared else ""
    differ = table.loc[:, ~same].rename(index=short_data).T.rename_axis("setting").reset_index()
    return HTML(line + folded("How the networks were trained", differ).data)


def chip(verdict: str) -> str:
    """A verdict as HTML: its letter, and its words, in a coloured field."""
    letter, kind, _ = VERDICT_STYLES[verdict]
    return f'<span class="sfc-chip sfc-{kind}">{letter}&nbsp;{html.escape(verdict)}</span>'


def size_line(results: Results) -> str:
    """In Markdown: the size shown, its runs and seeds, and what stands in place of its own."""
    size, seeds = results.size, seeds_each(results.size)
    own = load_size(size.name).experiments
    other = set(size.experiments) - set(own)
    more = [f"*{name}*" for name in size.evidence if other & set(load_size(name).experiments)]
    return (
        f"This page shows size **{size.name}** ({size.about}){' with runs of ' * bool(more)}"
        f"{', '.join(more)}: {results.runs.id.nunique()} runs, "
        f"{seeds} {'seed' if seeds == '1' else 'seeds'} of each model."
    ) + "".join(
        f" {e.title} stands in place of its {own[e.replaces].title}."
        for e in size.experiments.values()
        if e.replaces in own and e.replaces not in size.experiments
    )


def time_line(results: Results, began: float) -> str:
    """One Markdown sentence: what it takes to regenerate a page, as measured.

    Args:
        results: The results of the page.
        began: `time.perf_counter()` when the page began. The time since is told only where
            all records are published ones, so that no training is part of it.
    """
    seconds = time.perf_counter() - began
    line = (
        f"The {len(results.runs)} runs that this page draws took "
        f"**{cpu_minutes(results.runs):.0f} CPU minutes** to train."
    )
    if results.runs.published.all():
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
