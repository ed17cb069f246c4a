"""The published models: what there is, and one of them ready to predict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfc_lib.errors import UserError
from sfc_lib.files import published_dir, runs_dir
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import MODEL, Record, best_seeds, find

if TYPE_CHECKING:
    import keras
    import pandas as pd

# An experiment is looked for in this order.
SIZES = ("standard", "converged", "pilots", "controls", "controls_ctcf")


@dataclass(frozen=True, eq=False)
class PublishedModel:
    """A trained network of the replication, and what its numbers mean.

    Attributes:
        model: The Keras model of the run's best epoch, not compiled: from uint8 codes
            (examples, length) to probabilities (examples, tasks).
        tasks: Names of the outputs, in their order.
        length: Sequence length in bp.
        record: The run it comes from: its spec, scores, history.
    """

    model: keras.Model
    tasks: tuple[str, ...]
    length: int
    record: Record


def load_published(experiment: str, model: str, seed: int | str = "best") -> PublishedModel:
    """A network of a published run, once the record's hashes are checked.

    Of each network the repository holds the best seed's model, if it is small; the others can be
    trained, bit for bit on the same kind of machine, and are then found in your own store.

    Args:
        experiment: Such as `"simulated_tf"` or `"ctcf"`: see `published_models`.
        model: `"std"`, `"sep"`, `"symm"`, or another label of that experiment.
        seed: A seed, or `"best"` for that of the best validation auROC among the published.

    Raises:
        UserError: No such experiment, model or seed (the valid ones are listed); there are no
            published records, as where the library is a wheel; or the run was published without
            its model: it says what trains it.

    Example:

    >>> found = load_published("ctcf", "symm")
    >>> found.tasks, found.length, found.model.output_shape
    (('bound',), 1000, (None, 1))
    """
    size, specs = _specs(experiment, model)
    command = f"sfc sweep {size} --only {experiment} --only {model}"
    records = {spec.seed: record for spec in specs if (record := _published(spec))}
    if not records:
        raise UserError(
            f"load_published: no run of {experiment} {model} is published. `{command}` trains them."
        )
    best = [record.spec.seed for record in best_seeds(records.values())]
    chosen = best[0] if seed == "best" and best else seed
    if not isinstance(chosen, int) or chosen not in records:
        raise UserError(
            f'load_published: seed must be "best" or one of {sorted(records)}, got {seed!r}.'
        )
    record = records[chosen]
    if not _whole(record):
        kept = [s for s, other in records.items() if _whole(other)]
        others = f"seed {kept[0]} has it" if kept else "so was every other seed"
        own = find(record.spec, runs_dir())
        if own is None or not _whole(own):
            raise UserError(
                f"load_published: seed {chosen} of {experiment} {model} was published without its "
                f"model; {others}. `{command} --seeds {chosen + 1} --no-published` trains it, with "
                "the seeds before it, into your own store."
            )
        record = own
    network = record.model()
    tasks = tuple(record.spec.recipe.task_names)
    return PublishedModel(network, tasks, network.input_shape[1], record)


def published_models() -> pd.DataFrame:
    """The published networks: one row each, of the seed that `load_published` loads by itself.

    Columns: experiment, model, title, seed, validation auROC, and whether the record holds the
    model itself, with its size in MB.
    """
    import pandas as pd

    rows, seen = [], set()
    for experiment, title, model, specs in _all():
        new = specs[0].model not in seen  # std, sep and symm stand in several experiments
        seen.add(specs[0].model)
        records = [record for spec in specs if new and (record := _published(spec))]
        for best in best_seeds(records):
            size = (best.folder / MODEL).stat().st_size / 1e6 if _whole(best) else float("nan")
            scores = best.spec.seed, best.result["valid"]["auroc"]
            rows.append((experiment, model, title, *scores, _whole(best), size))
    columns = ["experiment", "model", "title", "seed", "valid auROC", "loadable", "MB"]
    return pd.DataFrame(rows, columns=columns)


def _all() -> Iterator[tuple[str, str, str, tuple[RunSpec, ...]]]:
    for size in SIZES:
        for name, experiment in load_size(size).experiments.items():
            for model, specs in experiment.models.items():
                yield name, experiment.title, model, specs


def _specs(experiment: str, model: str) -> tuple[str, tuple[RunSpec, ...]]:
    """Size and specs of a network, or a `UserError` that lists what there is."""
    sizes = {
        name: (size, found.models)
        for size in reversed(SIZES)
        for name, found in load_size(size).experiments.items()
    }
    if experiment not in sizes:
        raise UserError(
            f"load_published: experiment must be one of {sorted(sizes)}, got {experiment!r}."
        )
    size, models = sizes[experiment]
    if model not in models:
        raise UserError(
            f"load_published: model of {experiment} must be one of {list(models)}, got {model!r}."
        )
    return size, models[model]


def _published(spec: RunSpec) -> Record | None:
    return find(spec, _store())


def _whole(record: Record) -> bool:
    return MODEL in record.result["files"]


def _store() -> Path:
    if (root := published_dir()) is None:
        raise UserError(
            "load_published: the published records are in the repository, which this is not a "
            "clone of. Set SFC_PUBLISHED_DIR to the folder data/runs of a clone."
        )
    if not root.is_dir():
        raise UserError(
            f"load_published: there is no folder {root}. Set SFC_PUBLISHED_DIR to the folder "
            "data/runs of a clone of the repository."
        )
    return root
