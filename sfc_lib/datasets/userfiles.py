"""A user's own files, known by their content.

The same file under another name is the same data, so a dataset's options hold no path but
the SHA-256 of the content, decompressed and without BOM. Where a file with that content was
last seen stands in a small note in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sfc_lib.files import SETTLED, data_dir, stamp, write_json
from sfc_lib.genomics.fasta import iterate_fasta
from sfc_lib.genomics.textfiles import InputError, read_chunks

BATCH = 500  # sequences predicted, and kept in memory, at once


def is_hash(value: str) -> bool:
    """Whether a value is the SHA-256 of a content, not a path."""
    return bool(re.fullmatch("[0-9a-f]{64}", value))


def remember(path: str | Path) -> str:
    """SHA-256 of a file's content; where it lies is noted, so that `recall` finds it.

    A file that did not change since it was noted is not read again.

    Raises:
        InputError: No such file, a folder, empty, unreadable, or damaged gzip.
    """
    path = Path(path).expanduser().absolute()
    try:
        before = stamp(path)
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    for note in _notes().glob("*.json"):
        if _read(note) == (path, before):
            return note.stem
    now, digest = time.time_ns(), hashlib.sha256()
    for chunk in read_chunks(path):
        digest.update(chunk)
    settled = now - max(before[-2:]) > SETTLED and stamp(path) == before
    about = {"path": str(path), "stamp": before if settled else None}
    write_json(_notes() / f"{digest.hexdigest()}.json", about)
    return digest.hexdigest()


def recall(sha256: str, role: str) -> Path:
    """Where the file with this content lies.

    Raises:
        InputError: It was never seen on this machine, is gone, or holds something else now.
    """
    path, _ = _read(_notes() / f"{sha256}.json")
    if path is None:
        raise InputError(
            f"{role}: expected a file with sha256 {sha256}, which this machine has not seen. "
            "Give its path again."
        )
    try:
        if remember(path) == sha256:
            return path
    except InputError as error:
        raise InputError(f"{role}: {error} Give the path where it is now.") from error
    raise InputError(
        f"{path}: expected {role} with sha256 {sha256}, got a file that was changed since. "
        "Give its path again: changed data are another dataset."
    )


def _notes() -> Path:
    return data_dir() / "own"


def _read(note: Path) -> tuple[Path | None, tuple[int, ...] | None]:
    """Path and stamp of a note; None for what it doesn't say."""
    try:
        about = json.loads(note.read_text())
        return Path(about["path"]), tuple(about["stamp"]) if about["stamp"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def batches(
    path: str | Path, length: int, size: int = BATCH
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Names and codes, uint8 (≤ size, length), of a FASTA file's sequences, batch by batch.

    Raises:
        InputError: The FASTA is malformed, or a sequence has another length; with its line.
    """
    names: list[str] = []
    rows: list[np.ndarray] = []
    for record, codes in iterate_fasta(path):
        if len(codes) != length:
            raise InputError(
                f"{path}:{record.line}: expected sequences of {length} bp as the model was trained "
                f"on, got {len(codes)} bp in {record.name!r}. Cut or extend them to that length."
            )
        names.append(record.name)
        rows.append(codes)
        if len(rows) == size:
            yield names, np.stack(rows)
            names, rows = [], []
    if rows:
        yield names, np.stack(rows)
