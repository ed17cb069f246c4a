"""How the benchmark measures: contenders in turn, every single value kept."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LEAST = 0.02  # seconds that one value is measured over, of calls that take less
MOST = 2000  # calls that one value is measured over
SIZES = ("quick", "default", "full")

Times = dict[str, list[float]]
Measurement = dict[str, Any]


class MissingError(Exception):
    """Something that a part needs can't be had; it is listed as left out, with this reason."""


@dataclass(frozen=True)
class Size:
    """How much is measured: `"quick"` only tries everything out, `"full"` takes an hour."""

    name: str

    def pick(self, quick: Any, default: Any, full: Any = None) -> Any:
        """The value for this size; `full` is `default` unless it is given."""
        values = dict(zip(SIZES, (quick, default, default if full is None else full), strict=True))
        return values[self.name]


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
    least: float = LEAST,
) -> Times:
    """Seconds of a call of each contender, measured in turn, so that all meet the same load.

    Each is called once before, and calls that take less than `least` seconds are repeated;
    with `least=0`, none.
    """
    calls = {name: _calls(call, clock, least) for name, call in contenders.items()}
    times: Times = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, call in contenders.items():
            began = clock()
            for _ in range(calls[name]):
                call()
            times[name].append((clock() - began) / calls[name])
    return times


def _calls(call: Callable[[], object], clock: Callable[[], float], least: float) -> int:
    call()  # traces and compiles
    if not least:
        return 1
    began = clock()
    call()
    return min(MOST, math.ceil(least / max(clock() - began, least / MOST)))


def record(
    name: str,
    unit: str,
    values: list[float],
    against: str | None = None,
    wanted: Mapping[str, float] | None = None,
    **labels: Any,
) -> Measurement:
    """One measurement, as it stands in the result file.

    Args:
        name: Unique in its part.
        unit: Of the values.
        values: All that were measured.
        against: Name of the measurement that it is compared with, of the same part.
        wanted: `{"at_most": x}` or `{"at_least": x}`: bound of the ratio of the medians to
            `against`, or of the median where there is no `against`.
        labels: What distinguishes it, for tables and plots.
    """
    print(f"  {name}: {statistics.median(values):.4g} {unit}", flush=True)
    return {
        "name": name,
        "unit": unit,
        "values": [float(value) for value in values],
        "against": against,
        "wanted": dict(wanted) if wanted else None,
        "labels": labels,
    }


def compared(
    title: str,
    unit: str,
    times: Times,
    baseline: str,
    wanted: Mapping[str, Mapping[str, float]],
    **labels: Any,
) -> Iterator[Measurement]:
    """One measurement a contender, each against the one called `baseline`."""
    for contender, values in times.items():
        yield record(
            f"{title}: {contender}",
            unit,
            values,
            None if contender == baseline else f"{title}: {baseline}",
            wanted.get(contender),
            contender=contender,
            **labels,
        )


def summarised(measurements: list[Measurement]) -> list[Measurement]:
    """The measurements of a part with their median, range, and ratio of medians."""
    medians = {r["name"]: statistics.median(r["values"]) for r in measurements}
    return [
        {
            **r,
            "median": medians[r["name"]],
            "range": [min(r["values"]), max(r["values"])],
            "ratio": medians[r["name"]] / medians[r["against"]] if r["against"] else None,
        }
        for r in measurements
    ]
