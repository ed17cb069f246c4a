"""Models on disk: written whole and with reproducible bytes, read only when they are harmless.

A `.keras` file can name any class, hold code, or point at other files. Before Keras sees
one, its hash is checked and its members, classes and weights are looked at.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

import sfc_lib.nn.layers  # registers the layer, so that models with it can be read  # noqa: F401
from sfc_lib.files import UserError, atomic_write, sha256_file

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
MODULES = ("keras", "sfc_lib")  # packages a model may take its classes from
CODE = {"Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer"}
MAX_BYTES = 4 << 30


class ModelError(UserError):
    """A model file that is damaged, or that would do more than compute."""


def save_model(model: keras.Model, path: Path) -> None:
    """Save as `.keras`, whole or not at all, with the same bytes for the same model."""
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.keras")
    try:
        model.save(scratch)
        with (
            zipfile.ZipFile(scratch) as source,
            atomic_write(path) as file,
            zipfile.ZipFile(file, "w") as target,
        ):
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == "metadata.json":  # holds the time of saving
                    content = json.dumps({**json.loads(content), "date_saved": None}).encode()
                target.writestr(zipfile.ZipInfo(name), content)
    finally:
        scratch.unlink(missing_ok=True)


def load_model(path: Path, sha256: str | None = None) -> keras.Model:
    """The model in a `.keras` file, once it is known to be harmless; it is not compiled.

    Args:
        path: The file.
        sha256: Expected hash of the file; not checked if None.

    Raises:
        ModelError: Another hash, not a `.keras` archive of the three usual members,
            compressed members (a bomb could hide there), classes from other packages
            than Keras and this one, code, or weights that lie in other files.
    """
    if sha256 is not None and (found := sha256_file(path)) != sha256:
        raise ModelError(f"{path}: expected sha256 {sha256}, got {found}.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            _check_config(path, json.loads(archive.read("config.json")))
            with archive.open("model.weights.h5") as weights, h5py.File(weights) as file:
                _check_weights(path, file)
        return keras.models.load_model(path, safe_mode=True, compile=False)
    except (zipfile.BadZipFile, OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: expected a whole .keras model, got {error}") from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if path.suffix != ".keras" or sorted(names) != sorted(MEMBERS):
        raise ModelError(f"{path}: expected a .keras file of {sorted(MEMBERS)}, got {names[:9]}.")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > MAX_BYTES:
            raise ModelError(f"{path}: expected {member.filename} stored without compression.")


def _check_config(path: Path, config: Any) -> None:
    for node in _dictionaries(config):
        module, name = node.get("module"), node.get("class_name")
        if name in CODE or (module and str(module).split(".")[0] not in MODULES):
            raise ModelError(f"{path}: expected classes of {MODULES}, got {name} of {module}.")


def _dictionaries(value: Any) -> Iterator[dict]:
    """Every dictionary in nested plain values."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, (dict, list)):
            yield from _dictionaries(part)


def _check_weights(path: Path, group: h5py.Group) -> None:
    """Only groups and datasets whose content lies in this very file."""
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ModelError(f"{path}: expected weights inside the file, got a link at {name}.")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_weights(path, item)
        elif item.external or item.is_virtual:
            raise ModelError(f"{path}: expected weights inside the file, got outside data: {name}.")
