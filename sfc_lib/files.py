"""Where things lie, and how files are written so that no half-written one is ever seen.

Three folders, each movable by an environment variable:

- `SFC_DATA_DIR`: downloads and built datasets; `data/cache` in a checkout, else the
  user's cache folder.
- `SFC_RUNS_DIR`: the user's run records; `runs` in a checkout, else in the working folder.
- `SFC_PUBLISHED_DIR`: the published run records; `data/runs` in a checkout.

A hash can be remembered for as long as the file's stamp shows that nobody touched it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from sfc_lib.errors import UserError

SCRATCH = ".tmp"  # ending of what is not yet whole; its name begins with a dot
GZIP = b"\x1f\x8b"  # how every gzip file begins
SETTLED = 2_000_000_000  # ns after which a change of a file surely changes its time stamp


def checkout() -> Path | None:
    """Root of the repository this library is imported from; None if installed from a wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir() else None


def data_dir() -> Path:
    """Folder of downloads and built datasets."""
    root = checkout()
    default = root / "data" / "cache" if root else platformdirs.user_cache_path("sfc_lib")
    return _folder("SFC_DATA_DIR", default)


def cache_folder(name: str) -> Path:
    """The folder of this name in `data_dir`, made if need be; a `UserError` as of `writable`."""
    return writable(data_dir() / name, " Set SFC_DATA_DIR to one.")


def writable(folder: Path, advice: str = "") -> Path:
    """The folder, made if need be, so that nothing is computed that can't be kept.

    Raises:
        UserError: Nothing can be written there; it is named, with `advice` behind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that can be written to, got: {error.strerror}.{advice}"
        ) from error
    return folder


def runs_dir() -> Path:
    """Folder of the user's own run records."""
    return _folder("SFC_RUNS_DIR", (checkout() or Path.cwd()) / "runs")


def published_dir() -> Path | None:
    """Folder of the published run records, or None where there is none."""
    if root := checkout() or os.environ.get("SFC_PUBLISHED_DIR"):
        return _folder("SFC_PUBLISHED_DIR", Path(root) / "data" / "runs")
    return None


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().resolve()


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place once it is safely on disk.

    If the block raises, or the process dies, `path` keeps what it had.

    Raises:
        OSError: It can't be written, for instance because the disk is full; `path` is named,
            or what of it is no folder.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent)
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


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder, to be filled, that takes the place of `path` once the block has ended.

    If the block raises, `path` keeps what it had; if the process dies, it has that or nothing.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent))
    new, old = scratch / path.name, scratch / "old"
    try:
        new.mkdir()
        new.chmod(0o755)
        yield new
        if path.exists():
            path.rename(old)
        new.rename(path)
        sync_folder(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an `OSError` that names no file, or a scratch file, name `path`."""
    try:
        yield
    except OSError as error:
        of_scratch = str(error.filename).endswith(SCRATCH)
        if not of_scratch and (error.filename is not None or str(path) in str(error)):
            raise
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def scratch_in(folder: Path) -> list[Path]:
    """What is being written in `folder` just now, or was when a process was killed there."""
    return sorted(folder.glob(f".*{SCRATCH}"))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; a link is removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def stamp(path: Path) -> tuple[int, ...]:
    """What of a file changes whenever it is written: device, inode, size, and two times in ns."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@contextmanager
def open_content(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file for bytes, decompressed if it is gzip or bgzip, whatever its name.

    It is opened once and never sought in, so that a pipe loses nothing.
    """
    with open(path, "rb") as file:
        first = file.peek(len(GZIP))[: len(GZIP)]
        packed = bool(first) and GZIP.startswith(first)
        yield gzip.GzipFile(fileobj=file) if packed else file


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def known_sha256(path: Path, *, kept: bool = False) -> str:
    """SHA-256 of a file's bytes, which are read again only if the file was touched since.

    This process remembers it; `kept`, a hidden file beside it does for other processes too.
    """
    before, began = stamp(path), time.time_ns()
    if (known := _known.get(path)) and known[0] == before:
        return known[1]
    if kept and (text := noted(path)):
        return text
    found = sha256_file(path)
    if settled(path, before, began):
        _known[path] = before, found
    if kept:
        note(path, found, before, began)
    return found


_known: dict[Path, tuple[tuple[int, ...], str]] = {}  # stamp and hash of files read before


def settled(path: Path, before: tuple[int, ...], began: int) -> bool:
    """Whether any change since a file was read, `began` (ns), shows in its stamp, or will.

    `before` is its stamp when reading began.
    """
    return began - max(before[-2:]) > SETTLED and stamp(path) == before


def note(path: Path, text: str, before: tuple[int, ...], began: int) -> None:
    """Note, in a hidden file beside it, what was found in a file; see `settled`, `noted`."""
    if settled(path, before, began):
        with suppress(OSError):  # a folder that is only read can do without
            write_json(_note(path), [text, *before])


def noted(path: Path) -> str | None:
    """What was noted of this very file, if it was not touched since."""
    try:
        text, *before = json.loads(_note(path).read_bytes())
        return text if tuple(before) == stamp(path) else None
    except (OSError, ValueError, TypeError):
        return None


def forget(path: Path) -> None:
    """Take back what was noted and remembered of a file."""
    _known.pop(path, None)
    with suppress(OSError):
        _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.noted")


def sha256_json(value: object) -> str:
    """SHA-256 of the canonical JSON of plain values: sorted keys, no blanks."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256_bytes(text.encode())


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the SHA-256 of their own content as `seal`, in place of an earlier one."""
    content = {name: value for name, value in values.items() if name != "seal"}
    return {**content, "seal": sha256_json(content)}


def is_sealed(values: Mapping[str, Any]) -> bool:
    """Whether values are what they were when they were sealed."""
    return values["seal"] == seal(values)["seal"]


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
