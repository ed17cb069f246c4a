"""State of a run that trains: one file, replaced in one step, believed only if it is whole.

It is the SHA-256 of what follows, then arrays as npz, nothing pickled or compressed: `about`
(JSON) and groups of arrays, `weights_000`, `weights_001`, and so on.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes  # a part of Keras
import numpy as np

from sfc_lib.experiments.store import UNREADABLE
from sfc_lib.files import atomic_write

Groups = dict[str, list[np.ndarray]]
SECONDS = {"wall", "cpu"}


def write_checkpoint(path: Path, about: Mapping[str, Any], groups: Groups) -> None:
    """Replace the checkpoint by this state.

    Args:
        path: The file.
        about: Plain values: `id` of the run, its `history` and `seconds`.
        groups: Arrays: `weights`, `optimizer`, and the weights of the `best` epoch.

    Raises:
        OSError: It can't be written; the one before is kept.
    """
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    for kind, values in groups.items():
        arrays |= {f"{kind}_{i:03d}": value for i, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with atomic_write(path) as file:
        file.write(hashlib.sha256(buffer.getbuffer()).digest())
        file.write(buffer.getbuffer())


def read_checkpoint(
    path: Path, run: str, shapes: Mapping[str, Sequence[tuple[int, ...]]]
) -> tuple[dict[str, Any], Groups] | None:
    """What `write_checkpoint` was given; None unless the file is whole and of this run.

    Args:
        path: The file.
        run: Id the checkpoint must have.
        shapes: Those of the run's `weights` and `optimizer` arrays.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    try:
        about, arrays = _read_arrays(content[32:])
        groups = {
            kind: [arrays[name] for name in sorted(arrays) if name.startswith(kind)]
            for kind in (*shapes, "best")
        }
        found = {kind: [array.shape for array in groups[kind]] for kind in groups}
        fits = found.pop("best") in ([], list(shapes["weights"])) and found == dict(shapes)
        epochs = [line["epoch"] for line in about["history"]]
        whole = epochs == list(range(1, len(epochs) + 1)) and set(about["seconds"]) == SECONDS
        return (about, groups) if about["id"] == run and fits and whole else None
    except (*UNREADABLE, AttributeError):
        return None


def _read_arrays(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    file = io.BytesIO(content)
    with zipfile.ZipFile(file) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed, so it may be far larger than it looks")
    with np.load(file, allow_pickle=False) as npz:
        arrays = {name: _typed(npz[name]) for name in npz.files}
    return json.loads(arrays.pop("about").tobytes()), arrays


def _typed(array: np.ndarray) -> np.ndarray:
    """The array; as bfloat16 where NumPy, which has no name for that, gives two-byte blobs."""
    return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array
