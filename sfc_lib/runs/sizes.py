"""The sizes of the replication: which runs each lists, which are missing, and what they cost."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from sfc_lib.errors import UserError
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import all_records, look_up, stores

if TYPE_CHECKING:
    import pandas as pd

SIZES_FILE = Path(__file__).parent / "sizes.toml"


@dataclass(frozen=True)
class Experiment:
    """Runs compared in one panel: models by label, each with one spec a seed.

    A `control` is no panel of the paper's: it is evidence only for claims that name it.
    """

    name: str
    title: str
    models: Mapping[str, tuple[RunSpec, ...]]
    control: bool = False

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
    """A named size of the whole replication, from `sizes.toml`.

    Claims are judged by its runs, and by as many seeds of the sizes in `evidence` as have records.
    """

    name: str
    about: str
    seeds: int
    experiments: Mapping[str, Experiment]
    evidence: tuple[str, ...] = ()

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
        for key, item in self.experiments.items():
            chosen = {label: specs for label, specs in item.models.items() if label in models}
            if chosen and key in experiments:
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
    return Size(name, table["about"], seeds, experiments, tuple(table.get("evidence", ())))


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
    return Experiment(key, table["title"], models, table.get("control", False))


def _sizes_file() -> dict[str, Any]:
    with open(SIZES_FILE, "rb") as file:
        return tomllib.load(file)


def cost_plan(size: Size, published: bool = True) -> pd.DataFrame:
    """What a sweep would do: one row a model of each experiment; nothing is trained.

    Columns: experiment, model, complete, to train (runs), CPU-hours of those to train, from
    finished runs of the model, whatever their seed, in either store; NaN where there is none.

    Args:
        size: What is wanted, as `load_size` or `Size.only` give it.
        published: Whether records of the published store count as complete.
    """
    import pandas as pd

    seconds, rows = _cpu_seconds(), []
    for experiment in size.experiments.values():
        for model, specs in experiment.models.items():
            missing = sum(look_up(spec, published) is None for spec in specs)
            known = seconds.get(specs[0].model, [math.nan])
            hours = missing * mean(known) / 3600 if missing else 0.0
            rows.append((experiment.name, model, len(specs) - missing, missing, hours))
    return pd.DataFrame(rows, columns=["experiment", "model", "complete", "to train", "CPU-hours"])


def plan_lines(plan: pd.DataFrame) -> str:
    """The plan as text, with a line of totals."""
    unknown = plan.loc[plan["CPU-hours"].isna(), "to train"].sum()
    return (
        plan.to_string(index=False, na_rep="unknown", float_format="%.2f")
        + f"\n{plan['complete'].sum()} runs complete, {plan['to train'].sum()} to train: "
        + f"about {plan['CPU-hours'].sum():.2f} CPU-hours"
        + (f", and {unknown} runs of unknown cost." if unknown else ".")
    )


def _cpu_seconds() -> dict[str, list[float]]:
    """CPU-seconds of finished runs by model."""
    found: dict[str, dict[str, float]] = {}  # a run may be in both stores, and counts once
    for record in all_records(stores())[0]:
        found.setdefault(record.spec.model, {})[record.spec.id] = record.result["cpu_seconds"]
    return {model: list(runs.values()) for model, runs in found.items()}
