"""Predictions of a saved model for the sequences of a FASTA file, of any number."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from sfc_lib.datasets.base import make_recipe
from sfc_lib.errors import UserError
from sfc_lib.files import is_sealed, seal, sha256_file
from sfc_lib.genomics.dna import reverse_complement
from sfc_lib.genomics.fasta import iterate_fasta
from sfc_lib.runs.store import MODEL, RESULT, SPEC, UNREADABLE, read_result

BATCH = 500  # sequences predicted, and kept in memory, at once
SCORED = 128  # sequences a batch of `view_scorer`: larger ones leave the processor's cache
LOGITS = "logits"  # the layer of a network before the sigmoid
ENSEMBLE = "ensemble.json"  # in the folder of a report: ids of the runs whose models are averaged
MEMBER = "member_{}"  # folder of the second one's record, and so on; the first lies above


@dataclass(frozen=True, eq=False)
class Predictor:
    """A folded model, the length of its sequences in bp, and the names of its tasks.

    `members`: the models, also folded, whose logits the model averages; only itself where it
    is no ensemble. `continuous`: whether it predicts values, not probabilities; its logits are
    those values.
    """

    model: Any
    length: int
    tasks: tuple[str, ...]
    members: tuple[Any, ...]
    continuous: bool = False


def load_predictor(path: Path, *, anyway: bool = False) -> Predictor:
    """Load a model that this library saved, and fold its SFC layer.

    The names of its tasks stand in `spec.json` beside it, where the `result.json` there names
    the model. Elsewhere, they are task_1, task_2 and so on, with a warning. A folder that holds
    an ensemble gives the mean of its models.

    Args:
        path: A `.keras` file, or the folder of a report or run record that holds it.
        anyway: Whether to take, with a warning, a model that the `result.json` beside it was
            not sealed with.

    Raises:
        UserError: The file is missing, damaged, no model of this library, or not the one that
            its record was sealed with; or one of an ensemble is.
    """
    return load_models(find_models(path, anyway=anyway))


def find_models(path: Path, *, anyway: bool = False) -> dict[Path, bool]:
    """The files of a model, several of an ensemble, and whether each is of the record around it.

    Keras, which takes seconds, is not imported. Arguments and errors are those of `load_predictor`.
    """
    runs = members_of(path) if path.is_dir() else []
    places = [path, *(path / MEMBER.format(n) for n in range(2, len(runs) + 1))]
    for place, run in zip(places, runs, strict=False):  # no run where it is no ensemble
        found = read_result(place / RESULT)["id"]
        if found != run:
            raise UserError(f"{place}: expected the run {run} of {path / ENSEMBLE}, got {found}.")
    return dict(_found(place, anyway) for place in places)


def load_models(found: Mapping[Path, bool]) -> Predictor:
    """The predictor of what `find_models` found."""
    from sfc_lib.nn.ensemble import averaged_models

    members = [_load_one(path, sealed) for path, sealed in found.items()]
    first = members[0]
    models = tuple(member.model for member in members)
    return Predictor(averaged_models(models), first.length, first.tasks, models, first.continuous)


def members_of(folder: Path) -> list[str]:
    """Ids of the runs that a report's folder holds an ensemble of; none where it holds one run.

    Raises:
        UserError: Its `ensemble.json` is not what was written.
    """
    path = folder / ENSEMBLE
    if not path.exists():
        return []
    with suppress(*UNREADABLE):
        about = json.loads(path.read_bytes())
        if is_sealed(about):
            return list(about["runs"])
    raise UserError(f"{path}: expected the content it was sealed with, got another.")


def members_file(runs: Sequence[str]) -> bytes:
    """The content of `ensemble.json`."""
    return json.dumps(seal({"runs": list(runs)}), indent=1).encode()


def _found(path: Path, anyway: bool) -> tuple[Path, bool]:
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path}: expected a .keras model, or a folder that holds one; got none.")
    try:
        return path, _sealed(path)
    except UserError as error:
        if not anyway:
            raise UserError(f"{error} To predict with it anyway, say so (--anyway).") from error
        warnings.warn(str(error), stacklevel=2)
        return path, False


def _load_one(path: Path, sealed: bool) -> Predictor:
    from sfc_lib.nn.architectures import predicts_values
    from sfc_lib.nn.encoding import ONE_HOT, reads, with_codes
    from sfc_lib.nn.folding import fold_separable
    from sfc_lib.runs.model_file import load_model

    model = load_model(path)
    with suppress(UserError):
        if reads(model) == ONE_HOT:
            model = with_codes(model)
    shapes = [tuple(tensor.shape) for tensor in (*model.inputs, *model.outputs)]
    if len(shapes) != 2 or any(len(shape) != 2 or not shape[1] for shape in shapes):
        raise UserError(
            f"{path}: expected a model from sequences (batch, length) to (batch, tasks), "
            f"got the shapes {shapes}."
        )
    length, outputs = (int(shape[1]) for shape in shapes)
    tasks = _task_names(path.with_name(SPEC)) if sealed else ()
    if len(tasks) != outputs:
        warnings.warn(
            f"{path}: its tasks are numbered, because no {SPEC} and {RESULT} of this model lie "
            "beside it. Keep it in the folder that it was saved in.",
            stacklevel=2,
        )
        tasks = tuple(f"task_{number}" for number in range(1, outputs + 1))
    folded = fold_separable(model)
    return Predictor(folded, length, tasks, (folded,), predicts_values(folded))


def _sealed(path: Path) -> bool:
    """Whether a model is of the record around it; a `UserError` if it should be and is not."""
    if not path.with_name(RESULT).exists():
        return False
    files = read_result(path.with_name(RESULT))["files"]
    for file in (path, path.with_name(SPEC)):
        expected = files.get(file.name) if file.exists() else None
        if expected and (found := sha256_file(file)) != expected:
            raise UserError(
                f"{file}: expected the one that {RESULT} beside it was sealed with "
                f"(sha256 {expected}), got another ({found})."
            )
    return path.name in files


def _task_names(path: Path) -> tuple[str, ...]:
    """Names of the tasks in a `spec.json`, which may be of an older `RunSpec`."""
    try:
        spec = json.loads(path.read_bytes())
        return tuple(make_recipe(spec["dataset"], spec["dataset_options"]).task_names)
    except UNREADABLE:
        return ()


def view_scorer(predictor: Predictor) -> Callable[[np.ndarray], np.ndarray]:
    """Function from codes (examples, length) to logits, float32 (views, examples, tasks).

    A view is one network of the ensemble on one strand: the sequences, or their reverse
    complements. What is told of a sequence is the mean over views.

    Raises:
        UserError: A network without a layer of logits; this library makes none.
    """
    from sfc_lib.nn.ensemble import strand_logits
    from sfc_lib.runs.evaluation import predict

    if not all(LOGITS in [layer.name for layer in one.layers] for one in predictor.members):
        raise UserError(f"expected a network with a layer named {LOGITS!r}, as this library makes.")
    inner = [strand_logits(one) for one in predictor.members]

    def logits(network: Any, codes: np.ndarray) -> np.ndarray:
        size = -len(codes) % SCORED  # batches of one size are compiled once
        padded = np.pad(codes, ((0, size), (0, 0)))
        return predict(network, padded, SCORED)[: len(codes)]

    def score(codes: np.ndarray) -> np.ndarray:
        strands = codes, reverse_complement(codes)
        return np.stack([logits(network, strand) for network in inner for strand in strands])

    return score


def predict_fasta(
    predictor: Predictor, path: Path, output: IO[bytes], done: Callable[[int], object] = int
) -> int:
    """Write what is predicted for each sequence of a FASTA file as a tab-separated table.

    The header is `name` and the tasks; then comes a line a sequence, in the file's order.
    Letters that stand for several bases (N and the other IUPAC ones) speak neither for nor
    against: they are zeros in the one-hot sequence.

    Args:
        predictor: From `load_predictor`.
        path: FASTA, plain or gzip; it is read once, piece by piece, and may be a pipe.
        output: Where bytes are written.
        done: Called with the number of sequences of each batch.

    Returns:
        The number of sequences.

    Raises:
        UserError: As of `batches`.
    """
    output.write("\t".join(["name", *predictor.tasks]).encode() + b"\n")
    total = 0
    for names, codes in batches(path, predictor.length):
        for name, row in zip(names, predictor.model.predict_on_batch(codes), strict=True):
            output.write("\t".join([name, *(f"{value:.6g}" for value in row)]).encode() + b"\n")
        total += len(names)
        done(len(names))
    return total


def batches(
    path: str | Path, length: int, size: int = BATCH
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Names and codes, uint8 (≤ size, length), of a FASTA file's sequences, batch by batch.

    Raises:
        UserError: The FASTA is malformed, or a sequence has another length; with its line.
    """
    entries = iterate_fasta(path)
    while batch := list(islice(entries, size)):
        for entry, codes in batch:
            if len(codes) != length:
                raise UserError(
                    f"{path}:{entry.line}: expected sequences of {length} bp as the model was "
                    f"trained on, got {len(codes)} bp in {entry.name!r}. Cut or extend them."
                )
        yield [entry.name for entry, _ in batch], np.stack([codes for _, codes in batch])
