"""Where things lie, and how files are written so that no half-written one is ever seen.

Three folders, each movable by an environment variable:

- `SFC_DATA_DIR`: downloads and built datasets; `data/cache` in a checkout, else the
  user's cache folder.
- `SFC_RUNS_DIR`: the user's run records; `runs` in a checkout, else in the working folder.
- `SFC_PUBLISHED_DIR`: the published run records; `data/runs` in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs


class UserError(RuntimeError):
    """Something a user can mend; the message says what was expected, what was found, what to do."""


def checkout() -> Path | None:
    """Root of the repository this library is imported from; None if installed from a wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir() else None


def data_dir() -> Path:
    """Folder of downloads and built datasets."""
    root = checkout()
    default = root / "data" / "cache" if root else platformdirs.user_cache_path("sfc_lib")
    return _folder("SFC_DATA_DIR", default)


def runs_dir() -> Path:
    """Folder of the user's own run records."""
    return _folder("SFC_RUNS_DIR", (checkout() or Path.cwd()) / "runs")


def published_dir() -> Path | None:
    """Folder of the published run records, or None where there is none."""
    root = checkout()
    if root is None and not os.environ.get("SFC_PUBLISHED_DIR"):
        return None
    return _folder("SFC_PUBLISHED_DIR", (root or Path.cwd()) / "data" / "runs")


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().resolve()


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place once it is safely on disk.

    If the block raises, or the process dies, `path` keeps what it had.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
        sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write `value` atomically as indented JSON with sorted keys."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the system can (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """SHA-256 of the canonical JSON of plain values: sorted keys, no blanks."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what this process and its children print on standard error, libraries in C too."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
