"""`RunSpec`: everything that decides a run's result, as plain values with one id."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sfc_lib.datasets.base import Dataset, Recipe, load_dataset, make_recipe
from sfc_lib.errors import UserError
from sfc_lib.files import sha256_json
from sfc_lib.genomics.motifs import as_meme, parse_meme

# Fields younger than the first records: in the id only where they are set.
LATER = (
    *("dropout", "readout", "limit", "train_samples"),
    *("both_strands", "shift", "weight_decay", "start", "regression", "motifs", "conjoined"),
)
OFF = (
    "both_strands",
    "shift",
    "weight_decay",
    "regression",
    "conjoined",
)  # of which 0 is as good as None
LONGEST = 10  # bp of the regression's k-mers: a million weights a task
PROTOCOL = 2  # raised whenever the same spec would give another result
CHOICES = {  # as in `sfc_lib.nn`, which is not imported here because it imports Keras
    "architecture": ("simulated_tf", "chip_seq", "basset", "compact"),
    "variant": ("std", "sep", "symm"),
    "initializer": ("paper", "variance", "glorot", "normal", "orthogonal", "rank_one"),
    "backend": ("tensorflow", "jax", "torch"),
    "readout": (
        *(None, "fewer_channels", "fewer_units", "full_kernel", "bottleneck", "average_pooling"),
        *("max_pooling", "attention", "small_start", "spline", "positive", "relu", "shuffled"),
    ),
    "start": (None, "kmers"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64"),
}


@dataclass(frozen=True)
class RunSpec:
    """One training run, as plain values. Anything that changes the result is in it.

    Two specs that mean the same are equal and have one `id`: the options of the
    dataset are filled in, and numbers take their field's type.

    Args:
        dataset, dataset_options: Passed to `load_dataset`.
        architecture, variant, units, width, curvature, initializer, dropout, readout, limit:
            Passed to `build_model`; `units=None` is the number that matches std's parameters,
            `dropout=None` the architecture's own.
        learning_rate: Of Adam, whose other settings are those of Keras 1.2.2.
        batch_size: Examples a step.
        epochs: Most epochs trained.
        train_samples: Trained on are only the first so many training examples; None for all.
        samples_per_epoch: Examples an epoch, drawn anew each time; None for all.
        valid_samples: Validation examples, evenly spaced, that each epoch is judged by; None
            for all. The metrics of the finished run are those of all in any case.
        patience: Epochs without a better validation auROC (of measurements, Pearson's r) after
            which it stops.
        both_strands: Whether half of the batches are trained on the reverse complement, and the
            network averages the logits of both strands; see `build_model`.
        conjoined: Whether, in place of half the batches, every example is trained on both strands
            at once, by the loss of their averaged logits. A step costs twice as much.
        shift: Training sequences are moved by up to so many bp either way, drawn anew each time.
        weight_decay: That of AdamW, decoupled from the gradient; plain Adam without it.
        start: `"kmers"`: filters of the first convolution start at the k-mers that are enriched
            in the positives of the training set (of measurements, in the upper quarter), see
            `sfc_lib.runs.starts`.
        motifs: In MEME format those that the first filters start at, a quarter of all at most.
        regression: Length in bp of the k-mers, 10 at most, of a regression that is fitted to the
            training set and added to the logits (of measurements, the values) of the trained
            network, in shares that the validation set chooses, see `sfc_lib.runs.regression`.
        class_weight: Weight positives by negatives / positives (one task only).
        backend: Keras backend: `"tensorflow"`, `"jax"` or `"torch"`.
        precision: Keras dtype policy, one of `CHOICES["precision"]`.
        seed: Of weights, order and dropout, an integer ≥ 0.
        protocol: Version of the training code; leave it alone.

    Raises:
        UserError: A bad value, named.

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
    dropout: float | None = None
    readout: str | None = None
    limit: float | None = None
    train_samples: int | None = None
    both_strands: bool | None = None
    shift: int | None = None
    weight_decay: float | None = None
    start: str | None = None
    regression: int | None = None
    motifs: str | None = None
    conjoined: bool | None = None

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = _checked(item.name, str(item.type), getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        for name in OFF:
            object.__setattr__(self, name, getattr(self, name) or None)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                expected = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
                raise UserError(f"RunSpec: {name} must be {expected}, got {getattr(self, name)!r}.")
        of_layer = (self.units, self.curvature, self.initializer, self.limit)
        if self.variant == "std" and of_layer != (None, 0, "paper", None):
            raise UserError(
                "RunSpec: std has no SFC layer; leave units, curvature, initializer and limit "
                f"out, got {', '.join(map(repr, of_layer))}."
            )
        if self.conjoined and not self.both_strands:
            raise UserError("RunSpec: conjoined is of networks with both_strands, got it alone.")
        if (self.regression or 0) > LONGEST:
            raise UserError(
                f"RunSpec: regression takes k-mers of {LONGEST} bp at most, got {self.regression}."
            )
        if self.motifs:  # written in one way, so that equal motifs are equal specs
            found = parse_meme(self.motifs, "RunSpec: motifs")
            object.__setattr__(self, "motifs", as_meme(found.values()))
        options = self.recipe.options
        object.__setattr__(self, "dataset_options", MappingProxyType(options))

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple:
        return RunSpec.from_dict, (self.to_dict(),)  # a read-only mapping can't be pickled

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name this spec, from a hash of its canonical JSON."""
        return sha256_json(self.to_dict())[:16]

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, ready for JSON; of the `LATER` ones those that are set."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        unset = [name for name in LATER if values[name] is None]
        values = {name: value for name, value in values.items() if name not in unset}
        return {**values, "dataset_options": dict(self.dataset_options)}

    @property
    def recipe(self) -> Recipe:
        """How its dataset is made."""
        return make_recipe(self.dataset, self.dataset_options)

    def load_dataset(self) -> Dataset:
        """Its dataset, built on first use."""
        return load_dataset(self.dataset, **self.dataset_options)

    @property
    def model(self) -> str:
        """What is the same for all runs that differ only in their seed."""
        return sha256_json({**self.to_dict(), "seed": None})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_dict` gave; unknown or missing fields are a `UserError`."""
        names = {item.name for item in dataclasses.fields(cls)}
        if not names - set(LATER) <= set(values) <= names:
            raise UserError(f"RunSpec: expected the fields {sorted(names)}, got {sorted(values)}.")
        return cls(**values)


_POSITIVE = {
    *("units", "batch_size", "epochs", "samples_per_epoch", "valid_samples", "patience"),
    *("protocol", "train_samples"),
}


def _checked(name: str, kind: str, value: Any) -> Any:
    """`value` as the field's type, or a `UserError` naming field, expectation and value."""
    optional = "None" in kind
    if optional and value is None:
        return None
    if kind.startswith("int"):
        least = 1 if name in _POSITIVE else 0
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return int(value)
        expected = f"an integer >= {least}" + (" or None" if optional else "")
    elif kind.startswith("float"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        zero = name in ("curvature", "dropout", "limit", "weight_decay")
        share = name == "dropout"
        most = 1 - sys.float_info.epsilon if share else sys.float_info.max
        if number and 0 <= value <= most and (value > 0 or zero):
            return abs(float(value))  # -0.0 means 0.0
        expected = f"a finite number {'>=' if zero else '>'} 0"
        expected += (" and < 1" if share else "") + (" or None" if optional else "")
    elif kind.partition(" ")[0] in ("str", "bool"):
        if type(value).__name__ == kind.partition(" ")[0]:
            return value
        expected = f"a {kind.replace('|', 'or')}"
    else:
        if isinstance(value, Mapping):
            return dict(value)
        expected = "a mapping of options"
    raise UserError(f"RunSpec: {name} must be {expected}, got {value!r}.")
