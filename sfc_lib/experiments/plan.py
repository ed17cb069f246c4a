"""What a sweep would do: which runs are complete, which are to train, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from sfc_lib.experiments.spec import Profile, RunSpec
from sfc_lib.experiments.store import RESULT, SPEC, look_up
from sfc_lib.files import published_dir, runs_dir


@dataclass(frozen=True)
class Row:
    """The runs of one model of an experiment, as counts, and the cost of those to train."""

    experiment: str
    model: str
    complete: int
    to_train: int
    cpu_hours: float | None  # None where no run of the model was ever finished


def plan(profile: Profile, published: bool = True) -> list[Row]:
    """One row a model of each experiment of a profile; nothing is trained.

    CPU-hours are those of finished runs of the model, whatever their seed, in either store.

    Args:
        profile: What is wanted, as `load_profile` or `Profile.only` give it.
        published: Whether records of the published store count as complete.
    """
    seconds = _cpu_seconds(root for root in (published_dir(), runs_dir()) if root)
    rows = []
    for experiment in profile.experiments.values():
        for model, specs in experiment.models.items():
            missing = sum(look_up(spec, published) is None for spec in specs)
            known = seconds.get(specs[0].model, [])
            hours = missing * mean(known) / 3600 if known else None
            hours = hours if missing else 0.0
            rows.append(Row(experiment.name, model, len(specs) - missing, missing, hours))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The plan as text, with a line of totals."""
    width = max(len(row.experiment) for row in rows)
    label = max(len("model"), *(len(row.model) for row in rows))
    lines = [f"{'experiment':<{width}}  {'model':<{label}}  complete  to train  CPU-hours"]
    for row in rows:
        cost = "unknown" if row.cpu_hours is None else f"{row.cpu_hours:.2f}"
        lines.append(
            f"{row.experiment:<{width}}  {row.model:<{label}}  {row.complete:>8}  "
            f"{row.to_train:>8}  {cost:>9}"
        )
    hours = sum(row.cpu_hours or 0 for row in rows)
    unknown = sum(row.to_train for row in rows if row.cpu_hours is None)
    return "\n".join(lines) + (
        f"\n{sum(row.complete for row in rows)} runs complete, "
        f"{sum(row.to_train for row in rows)} to train: about {hours:.2f} CPU-hours"
        + (f", and {unknown} runs of unknown cost." if unknown else ".")
    )


def _cpu_seconds(roots: Iterable[Path]) -> dict[str, list[float]]:
    """CPU-seconds of finished runs by model; records are not verified for an estimate."""
    found: dict[str, dict[str, float]] = {}  # a run may be in both stores, and counts once
    for path in (path for root in roots for path in root.glob(f"*/{RESULT}")):
        try:
            spec = RunSpec.from_dict(json.loads((path.parent / SPEC).read_text()))
            seconds = float(json.loads(path.read_text())["cpu_seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.setdefault(spec.model, {})[path.parent.name] = seconds
    return {model: list(runs.values()) for model, runs in found.items()}
