"""What the benchmark measured: its result file, checked, as tables.

The file is written by `benchmarks/run.py`. Every number on the page of the book is read or
computed from it, also whether a bound is met.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sfc_lib.files import UserError, checkout

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
                    "against": m["against"] or "–",
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
            "of": table.against.fillna("–"),
        }
    )


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
    line = (
        f"Measured on {' and on '.join(sorted(set(table.processor)))}, "
        f"{' and '.join(days)}, with a load of {table['load at start'].min():g} to "
        f"{table['load at start'].max():g} by others when a section began."
    )
    if quick:
        line += (
            f" **{', '.join(quick)}: these are numbers of a smoke run, with few repeats. They "
            "only show that everything works.**"
        )
    return line


def _short(number: float) -> str:
    """Three digits, without an exponent where that is readable."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
