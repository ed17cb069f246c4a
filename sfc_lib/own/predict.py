"""Predictions of a saved model for the sequences of a FASTA file, of any number."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sfc_lib.datasets.base import make_recipe
from sfc_lib.errors import UserError
from sfc_lib.files import sha256_file
from sfc_lib.own.files import batches
from sfc_lib.runs.model_file import load_model
from sfc_lib.runs.store import MODEL, RESULT, SPEC, UNREADABLE, seal


@dataclass(frozen=True, eq=False)
class Predictor:
    """A folded model, the length of its sequences in bp, and the names of its tasks."""

    model: Any
    length: int
    tasks: tuple[str, ...]


def load_predictor(path: Path) -> Predictor:
    """Load a model that this library saved, and fold its SFC layer.

    The names of its tasks stand in `spec.json` beside it, where the model is the one that
    the `result.json` there was sealed with. Elsewhere, they are task_1, task_2 and so on,
    with a warning.

    Args:
        path: A `.keras` file, or the folder of a report or run record that holds it.

    Raises:
        UserError: The file is missing, damaged, or not a model of this library.
    """
    from sfc_lib.nn.folding import fold_separable

    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path}: expected a .keras model, or a folder that holds one; got none.")
    model = load_model(path)
    shapes = [tuple(tensor.shape) for tensor in (*model.inputs, *model.outputs)]
    if len(shapes) != 2 or any(len(shape) != 2 or not shape[1] for shape in shapes):
        raise UserError(
            f"{path}: expected a model from sequences (batch, length) to (batch, tasks), "
            f"got the shapes {shapes}."
        )
    length, outputs = (int(shape[1]) for shape in shapes)
    tasks = _task_names(path)
    if tasks is None or len(tasks) != outputs:
        warnings.warn(
            f"{path}: no {SPEC} and {RESULT} of this model lie beside it, so its tasks are "
            "numbered. Keep it in the folder that it was saved in.",
            stacklevel=2,
        )
        tasks = tuple(f"task_{number}" for number in range(1, outputs + 1))
    return Predictor(fold_separable(model), length, tasks)


def _task_names(path: Path) -> tuple[str, ...] | None:
    """Names of the tasks in the record that a model belongs to; None if it is of none."""
    folder = path.parent
    try:
        result = json.loads((folder / RESULT).read_bytes())
        if result["seal"] != seal(result)["seal"]:
            return None
        if any(result["files"][name] != sha256_file(folder / name) for name in (SPEC, path.name)):
            return None
        spec = json.loads((folder / SPEC).read_bytes())  # may be of an older version of RunSpec
        return tuple(make_recipe(spec["dataset"], spec["dataset_options"]).task_names)
    except UNREADABLE:
        return None


def predict_fasta(
    predictor: Predictor, path: Path, output: BinaryIO, done: Callable[[int], object] = int
) -> int:
    """Write the probabilities for each sequence of a FASTA file as a tab-separated table.

    The header is `name` and the tasks; then comes a line a sequence, in the file's order.
    Letters that stand for several bases (N and the other IUPAC ones) speak neither for nor
    against: they are zeros in the one-hot sequence.

    Args:
        predictor: From `load_predictor`.
        path: FASTA, plain or gzip; it is read piece by piece.
        output: Where bytes are written.
        done: Called with the number of sequences of each batch.

    Returns:
        The number of sequences.

    Raises:
        UserError: The FASTA is malformed, or a sequence has not the length of the model's.
    """
    output.write("\t".join(["name", *predictor.tasks]).encode() + b"\n")
    total = 0
    for names, codes in batches(path, predictor.length):
        probabilities = predictor.model.predict_on_batch(codes)
        for name, row in zip(names, probabilities, strict=True):
            output.write("\t".join([name, *(f"{value:.6g}" for value in row)]).encode() + b"\n")
        total += len(names)
        done(len(names))
    return total
