"""The sizes of the replication: which runs each lists, which are missing, and what they cost."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from sfc_lib.datasets.accessibility import TiledRecipe
from sfc_lib.datasets.base import SPLITS
from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.genomics import sources
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import Record, all_records, look_up, stores

if TYPE_CHECKING:
    import pandas as pd

SIZES_FILE = Path(__file__).parent / "sizes.toml"


@dataclass(frozen=True)
class Experiment:
    """Runs compared in one panel: models by label, each with one spec a seed.

    A `control` is no panel of the paper's: it is evidence only for claims that name it. One that
    `replaces` another takes its place, once it has seeds enough.
    """

    name: str
    title: str
    models: Mapping[str, tuple[RunSpec, ...]]
    control: bool = False
    replaces: str = ""

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

    def changed(self, change: Mapping[str, Any]) -> Size:
        """The same runs with other values of their specs; titles say which.

        No other size is evidence beside such runs: its networks were not changed.

        Args:
            change: Values by field of `RunSpec`; of `dataset_options`, those to replace.

        Raises:
            UserError: No field of a spec, a value that it refuses, or the seed.

        Example:

        >>> load_size("quick").changed({"epochs": 10}).specs[0].epochs
        10
        """
        known = [item.name for item in dataclasses.fields(RunSpec)]
        known = [name for name in known if name not in ("seed", "protocol")]
        for name in change:
            if name not in known:
                raise UserError(f"change: expected values of {known}, got {name!r}.")
        words = ", ".join(f"{name} {value}" for name, value in change.items())
        experiments = {
            key: dataclasses.replace(
                item,
                title=f"{item.title}, {words}" if words else item.title,
                models={
                    label: tuple(_with(spec, change) for spec in specs)
                    for label, specs in item.models.items()
                },
            )
            for key, item in self.experiments.items()
        }
        return dataclasses.replace(self, experiments=experiments, evidence=())


def size_names() -> list[str]:
    """Names of the sizes, smallest first."""
    return list(_sizes_file()["sizes"])


def load_size(name: str, seeds: int | Sequence[int] | None = None) -> Size:
    """The experiments of a size, with the seeds that are listed, or 0 to `seeds` − 1.

    With 0 or None as many as the size has.

    Raises:
        UserError: An unknown size (the valid ones are listed), or bad seeds.

    Example:

    >>> [experiment.name for experiment in load_size("quick").experiments.values()]
    ['simulated_tf']
    """
    content = _sizes_file()
    if name not in content["sizes"]:
        raise UserError(f"size must be one of {size_names()}, got {name!r}.")
    table = content["sizes"][name]
    chosen = range(table["seeds"]) if seeds is None else _seeds(seeds) or range(table["seeds"])
    override = table.get("override", {})
    experiments = {
        key: _experiment(key, content["experiments"][key], override, chosen)
        for key in table["experiments"]
    }
    return Size(name, table["about"], len(chosen), experiments, tuple(table.get("evidence", ())))


def choose(
    name: str,
    seeds: int | Sequence[int] | None = None,
    only: Sequence[str] = (),
    change: Mapping[str, Any] | None = None,
) -> Size:
    """A size, or the part of it that is named (`Size.only`), with changed specs (`Size.changed`).

    Example:

    >>> [spec.seed for spec in choose("quick", [3, 7], ["sep"], {"epochs": 2}).specs]
    [3, 7]
    """
    size = load_size(name, seeds)
    if only:
        size = dataclasses.replace(size.only(only), evidence=())
    return size.changed(change) if change else size


def parse_change(texts: Mapping[str, str]) -> dict[str, Any]:
    """Values of a change from text: as in JSON, and what is no JSON stays text.

    Example:

    >>> parse_change({"backend": "jax", "width": "0.25"})
    {'backend': 'jax', 'width': 0.25}
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _seeds(seeds: int | Sequence[int]) -> Sequence[int]:
    """The seeds that a number or a list asks for, none if 0; a `UserError` if it is neither."""
    if type(seeds) is int and seeds >= 0:
        return range(seeds)
    listed = seeds if isinstance(seeds, (list, tuple)) else ()
    good = all(type(seed) is int and seed >= 0 for seed in listed)
    if listed and good and len(set(listed)) == len(listed):
        return listed
    raise UserError(
        "seeds: expected a number of seeds >= 0 (0: the size's own), or a list of different seeds "
        f">= 0, got {seeds!r}."
    )


def _with(spec: RunSpec, change: Mapping[str, Any]) -> RunSpec:
    """A spec with other values."""
    options = change.get("dataset_options", {})
    if not isinstance(options, Mapping):
        raise UserError(f"change: dataset_options must be a mapping of options, got {options!r}.")
    return dataclasses.replace(
        spec, **{**change, "dataset_options": {**spec.dataset_options, **options}}
    )


def _experiment(key: str, table: dict, override: dict, seeds: Sequence[int]) -> Experiment:
    """Build the specs of one experiment; the size's overrides win over its own values."""
    layers = [table["spec"], override.get(table["spec"]["dataset"], {})]
    models = {}
    for label, changes in table["models"].items():
        values: dict[str, Any] = {"dataset_options": {}}
        for layer in (*layers, changes):
            options = {**values["dataset_options"], **layer.get("dataset_options", {})}
            values = {**values, **layer, "dataset_options": options}
        models[label] = tuple(RunSpec(**{**values, "seed": seed}) for seed in seeds)
    about = {name: table[name] for name in ("control", "replaces") if name in table}
    return Experiment(key, table["title"], models, **about)


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


def plan_lines(plan: pd.DataFrame, price: float | None = None) -> str:
    """The plan as text, with a line of totals, and what they cost at a price of a core-hour."""
    unknown = plan.loc[plan["CPU-hours"].isna(), "to train"].sum()
    hours = plan["CPU-hours"].sum()
    return (
        plan.to_string(index=False, na_rep="unknown", float_format="%.2f")
        + f"\n{plan['complete'].sum()} runs complete, {plan['to train'].sum()} to train: "
        + f"about {hours:.2f} CPU-hours"
        + (f", which cost {price * hours:,.2f}" if price else "")
        + (f", and {unknown} runs of unknown cost." if unknown else ".")
    )


def dry_run(size: Size, published: bool = True, price: float | None = None) -> str:
    """What a sweep would do, as text: runs, and of genome-wide datasets windows, disk and hours.

    With the price of a core-hour, in whatever currency, also what it costs.
    """
    parts = [plan_lines(cost_plan(size, published), price)]
    if len(data := data_plan(size)):
        shown = data.astype(object).where(data.notna(), "unknown")
        parts.append(shown.to_string(index=False, float_format="{:.2f}".format))
        if data["train"].isna().any():
            parts.append("Windows are known once the interval files are here: sfc data fetch")
    if len(hours := hours_plan(size, published)):
        if price:
            hours.insert(3, "cost at most", price * hours["core-hours at most"])
        parts.append(hours.to_string(index=False, float_format="{:,.0f}".format))
        parts.append(
            "Whole networks, every epoch to the last. On an accelerator: not measured; the first "
            "run there tells."
        )
    return "\n\n".join(parts)


RATES = "benchmarks/rehearsal.json"  # in a checkout: what `benchmarks/rehearsal.py` measured


def data_plan(size: Size) -> pd.DataFrame:
    """The genome-wide datasets of a size, from their interval files alone: one row each.

    Columns: dataset, its windows by split (before any is dropped for its bases), training
    examples in the paper, GB of the built dataset, GB of sources that are not here yet. Windows
    are missing where an interval file is neither in the cache nor in a mirror: nothing is
    downloaded for it.
    """
    import pandas as pd

    recipes = {spec.recipe: None for spec in size.specs}
    tiled = [recipe for recipe in recipes if isinstance(recipe, TiledRecipe)]
    rows = [_data_row(recipe) for recipe in tiled if recipe.profile == "full"]
    columns = ["dataset", *SPLITS, "paper's train", "GB", "GB to get"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(SPLITS, "Int64"))


def _data_row(recipe: TiledRecipe) -> tuple:
    known = sources.registry()
    lacking = sources.missing([known[name] for name in recipe.inputs() if name in known])
    to_get = sum(source.download_bytes for source in lacking) / 1e9
    intervals = {known[name] for name in recipe.interval_files()}
    if intervals & set(lacking) and not os.environ.get("SFC_DATA_MIRROR"):
        return recipe.name, None, None, None, recipe.of_paper, math.nan, to_get
    windows = recipe.expected()
    built = sum(windows.values()) * (recipe.length + len(recipe.task_names)) / 1e9
    return recipe.name, *windows.values(), recipe.of_paper, built, to_get


def hours_plan(size: Size, published: bool = True) -> pd.DataFrame:
    """Hours of one core for runs without a record whose networks were timed: one row a way.

    Columns: way (backend and precision), runs, core-hours of them, where it was measured. Every
    epoch counts, though most runs stop sooner; validation does not. Only whole networks with a
    number of examples an epoch. Empty where nothing was timed.
    """
    import pandas as pd

    path = (checkout() or Path()) / RATES
    measured = json.loads(path.read_text()) if path.is_file() else {}
    rows = []
    for way, about in measured.items():
        rates = about.get("cpu_seconds_of_1000", {})
        timed = [spec for spec in size.specs if spec.variant in rates.get(spec.dataset, {})]
        timed = [spec for spec in timed if spec.width == 1 and spec.samples_per_epoch]
        timed = [spec for spec in timed if look_up(spec, published) is None]
        seconds = sum(
            spec.epochs * (spec.samples_per_epoch or 0) / 1000 * rates[spec.dataset][spec.variant]
            for spec in timed
        )
        if timed:
            rows.append((way, len(timed), seconds / 3600, about["environment"]["cpu"]))
    return pd.DataFrame(rows, columns=["way", "runs", "core-hours at most", "core"])


def cost_line(missing: Sequence[RunSpec], jobs: int) -> str:
    """One sentence before training: how many runs, and about how many minutes.

    By finished runs of the same model, or else, as the most it can take, by the epochs of those
    on the same data by a network of the same width and variant.
    """
    runs = f"{len(missing)} {'run has' if len(missing) == 1 else 'runs have'} no record"
    processes = "1 process" if jobs == 1 else f"{jobs} processes"
    finished = all_records(stores())[0]
    known = [seconds for spec in missing if (seconds := _expected_seconds(spec, finished))]
    if not known:
        return f"{runs}, and none like them was timed yet. Training with {processes} begins."
    minutes = sum(known) / len(known) * len(missing) / min(jobs, len(missing)) / 60
    return (
        f"{runs}: training with {processes} takes up to {math.ceil(minutes)} minutes, as long as "
        "such runs took where they were timed. It can be interrupted: run it again to go on."
    )


def _expected_seconds(spec: RunSpec, finished: Sequence[Record]) -> float | None:
    """Mean CPU-seconds of runs of the model, or of its epochs elsewhere; None if unknown."""
    alike = ("dataset", "architecture", "variant", "width", "readout", "samples_per_epoch")
    same, by_epoch = [], []
    for record in finished:
        seconds, epochs = record.result["cpu_seconds"], record.result["epochs"]
        if record.spec.model == spec.model:
            same.append(seconds)
        elif all(getattr(record.spec, name) == getattr(spec, name) for name in alike) and epochs:
            by_epoch.append(seconds / epochs * spec.epochs)
    found = same or by_epoch
    return mean(found) if found else None


def _cpu_seconds() -> dict[str, list[float]]:
    """CPU-seconds of finished runs by model."""
    found: dict[str, dict[str, float]] = {}  # a run may be in both stores, and counts once
    for record in all_records(stores())[0]:
        found.setdefault(record.spec.model, {})[record.spec.id] = record.result["cpu_seconds"]
    return {model: list(runs.values()) for model, runs in found.items()}
