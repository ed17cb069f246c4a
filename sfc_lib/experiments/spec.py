"""`RunSpec`, everything that decides a run's result, and the profiles that list runs."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfc_lib.datasets.base import make_recipe
from sfc_lib.files import sha256_json

PROTOCOL = 2  # raised whenever the same spec would give another result
CHOICES = {  # as in `sfc_lib.nn`, which is not imported here because it imports Keras
    "architecture": ("simulated_tf", "chip_seq", "basset"),
    "variant": ("std", "sep", "symm"),
    "initializer": ("paper", "variance"),
    "backend": ("tensorflow", "jax", "torch"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64"),
}
PROFILES_FILE = Path(__file__).parent / "profiles.toml"


@dataclass(frozen=True)
class RunSpec:
    """One training run, as plain values. Anything that changes the result is in it.

    Two specs that mean the same are equal and have one `id`: the options of the
    dataset are filled in, and numbers take their field's type.

    Args:
        dataset, dataset_options: Passed to `load_dataset`.
        architecture, variant, units, width, curvature, initializer: Passed to
            `build_model`; `units=None` is the number that matches std's parameters.
        learning_rate: Of Adam, whose other settings are those of Keras 1.2.2.
        batch_size: Examples a step.
        epochs: Most epochs trained.
        samples_per_epoch: Examples an epoch, drawn anew each time; None for all.
        valid_samples: Validation examples, evenly spaced, that each epoch is judged by; None
            for all. The metrics of the finished run are those of all in any case.
        patience: Epochs without a better validation auROC after which it stops.
        class_weight: Weight positives by negatives / positives (one task only).
        backend: Keras backend: `"tensorflow"`, `"jax"` or `"torch"`.
        precision: Keras dtype policy, one of `CHOICES["precision"]`.
        seed: Of weights, order and dropout, an integer ≥ 0.
        protocol: Version of the training code; leave it alone.

    Raises:
        ValueError: A bad value, named.

    Example:

    >>> RunSpec(variant="symm", seed=3).id == RunSpec(variant="symm", seed=3, curvature=0).id
    True
    """

    dataset: str = "simulated_tf"
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "simulated_tf"
    variant: str = "sep"
    units: int | None = None
    width: float = 1.0
    curvature: float = 0.0
    initializer: str = "paper"
    learning_rate: float = 0.001
    batch_size: int = 100
    epochs: int = 100
    samples_per_epoch: int | None = None
    valid_samples: int | None = None
    patience: int = 10
    class_weight: bool = False
    backend: str = "tensorflow"
    precision: str = "float32"
    seed: int = 0
    protocol: int = PROTOCOL

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = _checked(item.name, str(item.type), getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                expected = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
                raise ValueError(
                    f"RunSpec: {name} must be {expected}, got {getattr(self, name)!r}."
                )
        if self.variant == "std" and (self.units or self.curvature or self.initializer != "paper"):
            raise ValueError(
                "RunSpec: std has no SFC layer; leave units, curvature and initializer out, "
                f"got {self.units}, {self.curvature} and {self.initializer!r}."
            )
        options = make_recipe(self.dataset, self.dataset_options).options
        object.__setattr__(self, "dataset_options", options)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name this spec, from a hash of its canonical JSON."""
        return sha256_json(self.to_dict())[:16]

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def model(self) -> str:
        """What is the same for all runs that differ only in their seed."""
        return sha256_json({**self.to_dict(), "seed": None})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_dict` gave; unknown or missing fields are a `ValueError`."""
        names = {item.name for item in dataclasses.fields(cls)}
        if set(values) != names:
            raise ValueError(f"RunSpec: expected the fields {sorted(names)}, got {sorted(values)}.")
        return cls(**values)


_POSITIVE = {
    *("units", "batch_size", "epochs", "samples_per_epoch", "valid_samples", "patience"),
    "protocol",
}


def _checked(name: str, kind: str, value: Any) -> Any:
    """`value` as the field's type, or a `ValueError` naming field, expectation and value."""
    optional = "None" in kind
    if optional and value is None:
        return None
    if kind.startswith("int"):
        least = 1 if name in _POSITIVE else 0
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return int(value)
        expected = f"an integer >= {least}" + (" or None" if optional else "")
    elif kind == "float":
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and 0 <= value <= sys.float_info.max and (value > 0 or name == "curvature"):
            return abs(float(value))  # -0.0 means 0.0
        expected = f"a finite number {'>=' if name == 'curvature' else '>'} 0"
    elif kind in ("str", "bool"):
        if type(value).__name__ == kind:
            return value
        expected = f"a {kind}"
    else:
        if isinstance(value, Mapping):
            return dict(value)
        expected = "a mapping of options"
    raise ValueError(f"RunSpec: {name} must be {expected}, got {value!r}.")


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
class Profile:
    """A named size of the whole replication, from `profiles.toml`."""

    name: str
    about: str
    seeds: int
    experiments: Mapping[str, Experiment]

    @property
    def specs(self) -> list[RunSpec]:
        """All specs of all experiments."""
        return [spec for experiment in self.experiments.values() for spec in experiment.specs]

    def only(self, names: Sequence[str]) -> Profile:
        """The part of the profile that is named; all of it if nothing is.

        Args:
            names: Experiments, labels of models, or both: then those models of those experiments.

        Raises:
            ValueError: An unknown name (the valid ones are listed), or nothing is left.

        Example:

        >>> len(load_profile("quick").only(["sep", "symm"]).specs)
        10
        """
        labels = {label: None for item in self.experiments.values() for label in item.models}
        for name in names:
            if name not in labels and name not in self.experiments:
                raise ValueError(
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
            raise ValueError(f"only: {experiments} have no model {models}.")
        return dataclasses.replace(self, experiments=kept)


def profile_names() -> list[str]:
    """Names of the profiles, smallest first."""
    return list(_profiles_file()["profiles"])


def load_profile(name: str, seeds: int | None = None) -> Profile:
    """The experiments of a profile, with seeds 0 to `seeds` − 1 (the profile's own if None).

    Raises:
        ValueError: An unknown profile (the valid ones are listed) or `seeds` < 1.

    Example:

    >>> [experiment.name for experiment in load_profile("quick").experiments.values()]
    ['simulated_tf']
    """
    content = _profiles_file()
    if name not in content["profiles"]:
        raise ValueError(f"profile must be one of {profile_names()}, got {name!r}.")
    table = content["profiles"][name]
    seeds = table["seeds"] if seeds is None else seeds
    if type(seeds) is not int or seeds < 1:
        raise ValueError(f"seeds must be an integer >= 1, got {seeds!r}.")
    override = table.get("override", {})
    experiments = {
        key: _experiment(key, content["experiments"][key], override, seeds)
        for key in table["experiments"]
    }
    return Profile(name, table["about"], seeds, experiments)


def _experiment(key: str, table: dict, override: dict, seeds: int) -> Experiment:
    """Build the specs of one experiment; the profile's overrides win over its own values."""
    layers = [table["spec"], override.get(table["spec"]["dataset"], {})]
    models = {}
    for label, changes in table["models"].items():
        values: dict[str, Any] = {"dataset_options": {}}
        for layer in (*layers, changes):
            options = {**values["dataset_options"], **layer.get("dataset_options", {})}
            values = {**values, **layer, "dataset_options": options}
        models[label] = tuple(RunSpec(**{**values, "seed": seed}) for seed in range(seeds))
    return Experiment(key, table["title"], models)


def _profiles_file() -> dict[str, Any]:
    with open(PROFILES_FILE, "rb") as file:
        return tomllib.load(file)
