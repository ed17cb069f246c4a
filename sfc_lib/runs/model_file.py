"""Models on disk: written whole and with reproducible bytes, read only when they are harmless.

A `.keras` file can name any class, hold code, point at other files, or be a bomb: small,
but huge once it is read. Before Keras sees one, its hash is checked and its members, classes
and weights are looked at; while Keras reads it, it may make no more weights than it holds.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from sfc_lib.errors import UserError
from sfc_lib.files import SCRATCH, atomic_write, naming, sha256_bytes
from sfc_lib.nn import keras  # all our classes are registered with it
from sfc_lib.nn.graphs import called

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
CLASSES = {  # by module, all that a model of this library may be made of
    "keras": {"DTypePolicy"},
    "keras.initializers": {"GlorotUniform", "Ones", "RandomUniform", "Zeros"},
    "keras.layers": {
        *("Activation", "Average", "BatchNormalization", "Conv1D", "Dense", "Dropout", "Flatten"),
        *("GlobalAveragePooling1D", "GlobalMaxPooling1D", "InputLayer", "MaxPooling1D", "ReLU"),
    },
    "keras.optimizers": {"Adam", "AdamW"},
    "keras.src.backend.torch.optimizers.torch_adam": {"Adam"},  # the same, compiled on torch
    "keras.src.backend.torch.optimizers.torch_adamw": {"AdamW"},
    "keras.src.models.functional": {"Functional"},
    "sfc_lib.nn.folding": {"SeparableModel"},
    "sfc_lib.nn.layers": {"KmerRegression", "OneHotDNA", "ReverseComplement", "SeparableFC"},
    "sfc_lib.nn.readouts": {
        *("AttentionPooling", "PositiveSeparableFC", "ShufflePositions", "SplineSeparableFC"),
    },
    "sfc_lib.nn.curvature": {"Curvature", "CurvatureConstraint"},
    "sfc_lib.nn.regularizers": {"Curvature"},  # their homes when the first records were made
    "sfc_lib.nn.constraints": {"CurvatureConstraint"},
}
MAX_TEXT = 1 << 20  # bytes of config.json; those of the largest network are 17 thousand


def save_model(model: keras.Model, path: Path) -> None:
    """Save as `.keras`, whole or not at all, with the same bytes for the same model.

    Raises:
        OSError: It can't be written; `path` is named and keeps what it had.
    """
    with (
        naming(path),
        tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent, ignore_cleanup_errors=True
        ) as scratch,
    ):
        model.save(Path(scratch) / "model.keras")
        with (
            zipfile.ZipFile(Path(scratch) / "model.keras") as source,
            atomic_write(path) as file,
            zipfile.ZipFile(file, "w") as target,
        ):
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == "metadata.json":  # holds the time of saving
                    content = json.dumps({**json.loads(content), "date_saved": None}).encode()
                if name == "config.json":
                    content = _with_usual_loss(content)
                target.writestr(zipfile.ZipInfo(name), content)


def _with_usual_loss(config: bytes) -> bytes:
    """The configuration without a loss that is a function, for which loading would look."""
    found = json.loads(config)
    compiled = found.get("compile_config") or {}
    if not isinstance(compiled.get("loss"), dict):
        return config
    squares = compiled["loss"].get("config") == "known_squares"
    compiled = {**compiled, "loss": "mean_squared_error" if squares else "binary_crossentropy"}
    return json.dumps({**found, "compile_config": compiled}).encode()


def load_model(path: Path, sha256: str | None = None) -> keras.Model:
    """The model in a `.keras` file, once it is known to be harmless; it is not compiled.

    Args:
        path: The file.
        sha256: Expected hash of the file; not checked if None.

    Raises:
        UserError: A file of another kind, as .h5; another hash; not a `.keras` archive of the
            three usual members, uncompressed; classes that are not in `CLASSES`; weights that
            lie in other files, or are not as large as they say; a network with more weights
            than the file holds.

    Example:

    >>> from sfc_lib import build_model
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3, width=0.1)
    >>> save_model(model, folder / "model.keras")
    >>> load_model(folder / "model.keras").count_params() == model.count_params()
    True
    """
    if path.suffix in (".h5", ".hdf5"):
        raise UserError(
            f"{path}: expected a .keras file. Read this one with Keras (load_model, or "
            "load_weights of the network it is for), and save the model as .keras."
        )
    try:
        content = path.read_bytes()  # read once: what is checked is what is loaded
        if sha256 is not None and (found := sha256_bytes(content)) != sha256:
            raise UserError(f"{path}: expected sha256 {sha256}, got {found}.")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(path, archive.infolist())
            _check_config(path, json.loads(archive.read("config.json")))
            with archive.open("model.weights.h5") as weights, h5py.File(weights) as file:
                numbers = _count_numbers(path, file, set())
        with tempfile.TemporaryDirectory() as scratch, _at_most_weights(path, numbers):
            copy = Path(scratch) / "model.keras"
            copy.write_bytes(content)
            return called(keras.models.load_model(copy, safe_mode=True, compile=False))
    except UserError:
        raise
    except Exception as error:  # what a made-up file can raise inside Keras has no end
        raise UserError(f"{path}: expected a whole .keras model, got {error!r:.500}") from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if path.suffix != ".keras" or sorted(names) != sorted(MEMBERS):
        raise UserError(f"{path}: expected a .keras file of {sorted(MEMBERS)}, got {names[:9]}.")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise UserError(f"{path}: expected {member.filename} stored without compression.")
        if member.filename.endswith(".json") and member.file_size > MAX_TEXT:
            raise UserError(f"{path}: expected {member.filename} of at most {MAX_TEXT} bytes.")


def _check_config(path: Path, config: Any) -> None:
    for node in _dictionaries(config):
        if node.keys().isdisjoint({"module", "class_name", "registered_name"}):
            continue
        module, name, alias = map(node.get, ("module", "class_name", "registered_name"))
        if (module, name, alias) == (None, "__keras_tensor__", None):
            continue
        known = isinstance(module, str) and name in CLASSES.get(module, ())
        if not known or alias not in (None, name, f"sfc_lib>{name}"):
            raise UserError(
                f"{path}: expected only classes that this library saves, got {name!r} of "
                f"module {module!r}, registered as {alias!r}."
            )
        if name == "KmerRegression" and "half" in node.get("config", {}):
            raise UserError(
                f"{path}: saved by an earlier sfc_lib, whose regression counted k-mers in another "
                "way. Train the network again, or read it with that version."
            )


def _dictionaries(value: Any) -> Iterator[dict]:
    """Every dictionary in nested plain values."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _dictionaries(part)


def _count_numbers(path: Path, group: h5py.Group, seen: set[int]) -> int:
    """How many numbers a group holds, if all lie in this very file, each in one place."""
    numbers = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise UserError(f"{path}: expected weights inside the file, got a link at {name}.")
        item = group[name]
        if (address := h5py.h5o.get_info(item.id).addr) in seen:
            raise UserError(f"{path}: expected every weight once, got {item.name} again.")
        seen.add(address)
        if isinstance(item, h5py.Group):
            numbers += _count_numbers(path, item, seen)
            continue
        if item.external or item.is_virtual:
            raise UserError(f"{path}: expected weights inside the file, got outside data: {name}.")
        if item.chunks or item.id.get_storage_size() != item.nbytes or item.dtype.hasobject:
            raise UserError(f"{path}: expected plain numbers, all there, at {item.name}.")
        numbers += item.size
    return numbers


_one_at_a_time = threading.Lock()


@contextmanager
def _at_most_weights(path: Path, numbers: int) -> Iterator[None]:
    """Within the block layers may make only so many weights: Keras makes them, then reads."""
    original, left = keras.layers.Layer.add_weight, numbers

    def counted(self: keras.Layer, *args: Any, **options: Any) -> Any:
        nonlocal left
        left -= math.prod(options.get("shape", args[0] if args else ()) or ())
        if left < 0:
            raise UserError(f"{path}: expected at most the {numbers} weights that it holds.")
        return original(self, *args, **options)

    with _one_at_a_time:
        keras.layers.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = original
