"""What the benchmark measured: its result file, checked, as tables.

The file is written by `benchmarks/run.py`. Every number on the page of the book is read or
computed from it, also whether a bound is met.

Figures of the benchmark, each a pure function of its results.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.pages.style import COLOURS, STYLE, closed, plain_log

FORMAT = 1  # of the result file
FIELDS = {"name", "unit", "values", "median", "range", "against", "ratio", "wanted", "labels"}


class SpeedError(UserError):
    """The benchmark's result file is missing or not what the benchmark writes."""


@dataclass(frozen=True)
class Speed:
    """A checked result file."""

    path: Path
    sections: Mapping[str, Any]

    def measurements(self, section: str) -> list[tuple[str, dict[str, Any]]]:
        """Part and content of every measurement of a section; none if it was not run."""
        parts = self.sections.get(section, {"parts": {}})["parts"]
        return [(part, m) for part, inner in parts.items() for m in inner["measurements"]]

    def table(self, section: str, **labels: Any) -> pd.DataFrame:
        """One row a measurement of a section whose labels have these values, if it was run.

        Columns: part, name, unit, values, median, low, high, against, ratio, wanted, and
        one a label.
        """
        rows = [
            {
                **m["labels"],
                **{key: m[key] for key in FIELDS - {"labels", "range"}},
                "part": part,
                "low": m["range"][0],
                "high": m["range"][1],
            }
            for part, m in self.measurements(section)
            if all(m["labels"].get(key) == value for key, value in labels.items())
        ]
        return pd.DataFrame(rows)


def result_file(name: str) -> Path:
    """Path of a file in the repository's folder `benchmarks`.

    Raises:
        SpeedError: There is no repository, or `name` is not that of a file in that folder.
    """
    root = checkout()
    if root is None:
        raise SpeedError("the benchmark's results are in the repository, not in the package.")
    if Path(name).name != name:
        raise SpeedError(f"results: expected a file's name in benchmarks, got {name!r}.")
    return root / "benchmarks" / name


def load_speed(path: Path) -> Speed:
    """The benchmark's results in a file.

    Raises:
        SpeedError: There is none, or it is malformed: what, where, and what to do.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise SpeedError(f"{path}: no such file. Write it with: make benchmark") from error
    except ValueError as error:
        raise SpeedError(f"{path}: expected JSON, got {error}. Run make benchmark anew.") from error
    return Speed(path, checked(content, path)["sections"])


def checked(content: Any, path: Path) -> Any:
    """`content` if it is what the benchmark writes; `path` only names it in the error."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SpeedError(f"{path}: expected format {FORMAT}. Run make benchmark anew.")
    try:
        for section, part, measured in _parts(content):
            names = {m["name"]: m for m in measured}
            if len(names) != len(measured):
                raise SpeedError(f"{path}: {section}, {part}: expected every name once.")
            for m in measured:
                _check(f"{path}: {section}, {part}, {m['name']!r}", m, names)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SpeedError(
            f"{path}: expected sections of parts of measurements with {sorted(FIELDS)}, "
            f"got {error!r}. Run make benchmark anew."
        ) from error
    return content


def _parts(content: Mapping[str, Any]) -> Iterator[tuple[str, str, list]]:
    for section, body in content["sections"].items():
        if not {"about", "size", "seconds", "machine"} <= body.keys():
            raise KeyError(f"{section} without about, size, seconds or machine")
        for part, inner in body["parts"].items():
            if not {"environment", "left_out", "failed"} <= inner.keys():
                raise KeyError(f"{part} without environment, left_out or failed")
            yield section, part, inner["measurements"]


def _check(place: str, m: Mapping[str, Any], names: Mapping[str, Any]) -> None:
    """A measurement's fields, and that its median, range and ratio are those of its values."""
    if set(m) != FIELDS:
        raise SpeedError(f"{place}: expected the fields {sorted(FIELDS)}, got {sorted(m)}.")
    values, limits = m["values"], m["wanted"] or {"at_most": 0}
    if not values or not all(map(_is_number, values)):
        raise SpeedError(f"{place}: expected values that are finite numbers, got {values!r:.100}.")
    if m["against"] is not None and m["against"] not in names:
        raise SpeedError(f"{place}: expected `against` in the same part, got {m['against']!r}.")
    kinds = list(limits)
    if kinds not in (["at_most"], ["at_least"]) or not _is_number(limits[kinds[0]]):
        raise SpeedError(f"{place}: expected wanted at_most or at_least, got {m['wanted']!r}.")
    median = statistics.median(values)
    found = [m["median"], *m["range"]] + ([m["ratio"]] if m["against"] else [])
    right = [median, min(values), max(values)]
    if m["against"]:
        right.append(median / statistics.median(names[m["against"]]["values"]))
    if len(found) != len(right) or not np.allclose(found, right, rtol=1e-9, atol=0):
        raise SpeedError(f"{place}: expected median, range and ratio {right}, got {found}.")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def bounds(speed: Speed) -> pd.DataFrame:
    """Every bound that was asked for: what was wanted, what was found, whether it is met."""
    rows = []
    for section in speed.sections:
        for part, m in speed.measurements(section):
            if not m["wanted"]:
                continue
            ((kind, limit),) = m["wanted"].items()
            found = m["ratio"] if m["against"] else m["median"]
            met = found <= limit if kind == "at_most" else found >= limit
            rows.append(
                {
                    "section": section,
                    "part": part,
                    "measured": m["name"],
                    "against": _contender(m["name"], m["against"]),
                    "wanted": f"{'≤' if kind == 'at_most' else '≥'} {limit:g}",
                    "found": _short(found),
                    "met": "yes" if met else "no",
                }
            )
    columns = ["section", "part", "measured", "against", "wanted", "found", "met"]
    return pd.DataFrame(rows, columns=columns)


def bounds_line(speed: Speed) -> str:
    """One Markdown sentence: how many bounds are met."""
    table = bounds(speed)
    return f"**{(table.met == 'yes').sum()} of {len(table)} bounds are met.**"


def ratios(speed: Speed, section: str, **labels: Any) -> pd.DataFrame:
    """Every measurement of a section with its median, range and ratio, as text."""
    table = speed.table(section, **labels)
    if table.empty:
        return pd.DataFrame(columns=["part", "measured", "median (min – max)", "unit", "ratio"])
    spread = [
        f"{_short(m)} ({_short(low)} – {_short(high)})"
        for m, low, high in zip(table["median"], table.low, table.high, strict=True)
    ]
    return pd.DataFrame(
        {
            "part": table.part,
            "measured": table.name,
            "median (min – max)": spread,
            "unit": table.unit,
            "ratio": ["–" if pd.isna(ratio) else _short(ratio) for ratio in table.ratio],
            "of": [_contender(m, a) for m, a in zip(table.name, table.against, strict=True)],
        }
    )


def steps(speed: Speed) -> pd.DataFrame:
    """Training steps: the authors' form in milliseconds, the others relative to it.

    One row a part, kind, shape, variant and batch.
    """
    table = speed.table("layers")
    rows = []
    for kind in ("layer", "pair") if len(table) else ():
        keys = ["part", "shape", "variant", "batch"]
        for key, group in table[table.kind == kind].groupby(keys, sort=False):
            what = {"layer": "SFC", "pair": "SFC + Dense"}[kind]
            row: dict[str, Any] = {"step of": what, **dict(zip(keys, key, strict=True))}
            for m in group.itertuples():
                alone = pd.isna(m.ratio)
                row[f"{m.contender}, ms" if alone else str(m.contender)] = _short(
                    m.median * 1000 if alone else m.ratio
                )
            rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def provenance(speed: Speed) -> pd.DataFrame:
    """Where each part was measured: machine, threads, versions, commit, date, what is missing."""
    rows = []
    for section, body in speed.sections.items():
        for part, inner in body["parts"].items():
            found, machine = inner["environment"], body["machine"]
            versions = " ".join(f"{k} {v}" for k, v in found.get("versions", {}).items())
            rows.append(
                {
                    "section": section,
                    "part": part,
                    "processor": f"{found.get('cpu')}, {machine['cores']} cores",
                    "threads": found.get("threads", "–"),
                    "load at start": machine["load_at_start"],
                    "finished": found.get("finished", "–"),
                    "commit": str(found.get("commit"))[:12],
                    "versions": f"python {found.get('python')} {versions}",
                    "left out": inner["left_out"] or "–",
                }
            )
    return pd.DataFrame(rows)


def machine_line(speed: Speed) -> str:
    """One Markdown paragraph: the machine, the dates, and a warning if this was a smoke run."""
    table = provenance(speed)
    if table.empty:
        return "Nothing was measured yet."
    table = table[table.finished != "–"]
    quick = [name for name, body in speed.sections.items() if body["size"] == "quick"]
    days = sorted({str(time)[:10] for time in table.finished})
    load = table["load at start"]
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


def _contender(name: str, against: object) -> str:
    """What a measurement is compared with, without the title that the two share."""
    if not isinstance(against, str):
        return "–"
    title = name.rpartition(": ")[0]
    return against.removeprefix(f"{title}: ") if title else against


def _short(number: float) -> str:
    """Three digits, without an exponent where that is readable."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


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
