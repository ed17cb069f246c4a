"""The sizes of the replication: which runs each lists, which are missing, and what they cost."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from sfc_lib.errors import UserError
from sfc_lib.files import published_dir, runs_dir
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import RESULT, SPEC, look_up

SIZES_FILE = Path(__file__).parent / "sizes.toml"


@dataclass(frozen=True)
class Experiment:
    """Runs compared in one panel: models by label, each with one spec a seed."""

    name: str
    title: str
    models: Mapping[str, tuple[RunSpec, ...]]

    @property
    def seeds(self) -> int:
        """Runs of each model."""
        return max(len(specs) for specs in self.models.values())

    @property
    def specs(self) -> list[RunSpec]:
        """All specs, model by model."""
        return [spec for specs in self.models.values() for spec in specs]


@dataclass(frozen=True)
class Size:
    """A named size of the whole replication, from `sizes.toml`."""

    name: str
    about: str
    seeds: int
    experiments: Mapping[str, Experiment]

    @property
    def specs(self) -> list[RunSpec]:
        """All specs of all experiments."""
        return [spec for experiment in self.experiments.values() for spec in experiment.specs]

    def only(self, names: Sequence[str]) -> Size:
        """The part of the size that is named; all of it if nothing is.

        Args:
            names: Experiments, labels of models, or both: then those models of those experiments.

        Raises:
            UserError: An unknown name (the valid ones are listed), or nothing is left.

        Example:

        >>> len(load_size("quick").only(["sep", "symm"]).specs)
        10
        """
        labels = {label: None for item in self.experiments.values() for label in item.models}
        for name in names:
            if name not in labels and name not in self.experiments:
                raise UserError(
                    f"only: expected an experiment of {list(self.experiments)} or a model of "
                    f"{list(labels)}, got {name!r}."
                )
        experiments = [name for name in names if name in self.experiments] or [*self.experiments]
        models = [name for name in names if name in labels] or [*labels]
        kept = {}
        for key in (key for key in self.experiments if key in experiments):
            item = self.experiments[key]
            chosen = {label: item.models[label] for label in item.models if label in models}
            if chosen:
                kept[key] = dataclasses.replace(item, models=chosen)
        if not kept:
            raise UserError(f"only: {experiments} have no model {models}.")
        return dataclasses.replace(self, experiments=kept)


def size_names() -> list[str]:
    """Names of the sizes, smallest first."""
    return list(_sizes_file()["sizes"])


def load_size(name: str, seeds: int | None = None) -> Size:
    """The experiments of a size, with seeds 0 to `seeds` − 1 (the size's own if 0 or None).

    Raises:
        UserError: An unknown size (the valid ones are listed), or a bad number of seeds.

    Example:

    >>> [experiment.name for experiment in load_size("quick").experiments.values()]
    ['simulated_tf']
    """
    content = _sizes_file()
    if name not in content["sizes"]:
        raise UserError(f"size must be one of {size_names()}, got {name!r}.")
    table = content["sizes"][name]
    own = table["seeds"]
    if seeds is not None and (type(seeds) is not int or seeds < 0):
        raise UserError(f"seeds must be an integer >= 1, or 0 for {name}'s {own}, got {seeds!r}.")
    seeds = seeds or own
    override = table.get("override", {})
    experiments = {
        key: _experiment(key, content["experiments"][key], override, seeds)
        for key in table["experiments"]
    }
    return Size(name, table["about"], seeds, experiments)


def _experiment(key: str, table: dict, override: dict, seeds: int) -> Experiment:
    """Build the specs of one experiment; the size's overrides win over its own values."""
    layers = [table["spec"], override.get(table["spec"]["dataset"], {})]
    models = {}
    for label, changes in table["models"].items():
        values: dict[str, Any] = {"dataset_options": {}}
        for layer in (*layers, changes):
            options = {**values["dataset_options"], **layer.get("dataset_options", {})}
            values = {**values, **layer, "dataset_options": options}
        models[label] = tuple(RunSpec(**{**values, "seed": seed}) for seed in range(seeds))
    return Experiment(key, table["title"], models)


def _sizes_file() -> dict[str, Any]:
    with open(SIZES_FILE, "rb") as file:
        return tomllib.load(file)


@dataclass(frozen=True)
class Row:
    """The runs of one model of an experiment, as counts, and the cost of those to train."""

    experiment: str
    model: str
    complete: int
    to_train: int
    cpu_hours: float | None  # None where no run of the model was ever finished


def cost_plan(size: Size, published: bool = True) -> list[Row]:
    """One row a model of each experiment of a size; nothing is trained.

    CPU-hours are those of finished runs of the model, whatever their seed, in either store.

    Args:
        size: What is wanted, as `load_size` or `Size.only` give it.
        published: Whether records of the published store count as complete.
    """
    seconds = _cpu_seconds(root for root in (published_dir(), runs_dir()) if root)
    rows = []
    for experiment in size.experiments.values():
        for model, specs in experiment.models.items():
            missing = sum(look_up(spec, published) is None for spec in specs)
            known = seconds.get(specs[0].model, [])
            hours = missing * mean(known) / 3600 if known else None
            hours = hours if missing else 0.0
            rows.append(Row(experiment.name, model, len(specs) - missing, missing, hours))
    return rows


def plan_lines(rows: Sequence[Row]) -> str:
    """The plan as text: a line a row, and one of totals."""
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
