"""Where things lie, and how files are written so that no half-written one is ever seen.

Three folders, each movable by an environment variable:

- `SFC_DATA_DIR`: downloads and built datasets; `data/cache` in a checkout, else the
  user's cache folder.
- `SFC_RUNS_DIR`: the user's run records; `runs` in a checkout, else in the working folder.
- `SFC_PUBLISHED_DIR`: the published run records; `data/runs` in a checkout.

Reading text files that users bring: plain or gzip, any line end, with or without a BOM.

What can't be read is refused as `file:line: expected …, got …`, with lines counted from 1.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs

from sfc_lib.errors import InputError

SCRATCH = ".tmp"  # ending of what is not yet whole; its name begins with a dot
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

    Raises:
        OSError: It can't be written, for instance because the disk is full; `path` is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent)
    try:
        with naming(path):
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
def naming(path: Path) -> Iterator[None]:
    """Make an `OSError` that names no file, as that of a full disk does not, name `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or str(path) in str(error):
            raise
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def scratch_in(folder: Path) -> list[Path]:
    """What is being written in `folder` just now, or was when a process was killed there."""
    return sorted(path for path in folder.glob(f".*{SCRATCH}"))


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


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path, *, kept: bool = False) -> str:
    """SHA-256 of a file's bytes, which are read again only if the file was touched since.

    Args:
        path: Of the file.
        kept: Whether a hidden file beside it keeps the hash for other processes too. By
            default this process alone remembers it.
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
    """Whether any change since a file was read shows, or will show, in its stamp.

    Args:
        path: Of the file.
        before: Its stamp when reading began.
        began: When that was, in ns.
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


BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"  # how every gzip file begins
CHUNK = 1 << 22  # bytes


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file piece by piece, decompressed if it is gzip or bgzip.

    What counts is how the file begins, not its name. A BOM is left out.

    Raises:
        InputError: No such file, a folder, unreadable, empty, or damaged gzip.
    """
    number, first = 1, True
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
        with gzip.open(path, "rb") if zipped else open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk.removeprefix(BOM) if first else chunk
                number, first = number + chunk.count(b"\n"), False
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}:{number}: expected a whole gzip file, got one that is cut off or damaged here "
            f"({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    if first:
        raise InputError(f"{path}:1: expected text, got an empty file.")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, be they those of Unix, Windows or old Macs.

    Raises:
        InputError: As `read_chunks`; or bytes that are no UTF-8 text.
    """
    content = b"".join(read_chunks(path))
    try:
        text = content.decode()
        place = text.find("\0")
        before = text[:place].encode() if place >= 0 else b""
    except UnicodeDecodeError as error:
        place, before = error.start, content[: error.start]
    if place >= 0:
        raise InputError(
            f"{path}:{before.count(bytes([10])) + 1}: expected text, "
            f"got the byte 0x{content[len(before)]:02x}. {_guess(content)}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _guess(content: bytes) -> str:
    """What a file that is no UTF-8 text may be, and what to do."""
    kinds = {
        b"BAM\1": "This is a BAM file",
        b"\xff\xfe": "This is UTF-16 text, save it as UTF-8",
        b"\xfe\xff": "This is UTF-16 text, save it as UTF-8",
        b"PK": "This is a zip archive or an Excel workbook, save it as tab-separated text",
        b"\xeb\xf2\x89\x87": "This is a bigBed file, convert it with bigBedToBed",
        b"\x87\x89\xf2\xeb": "This is a bigBed file, convert it with bigBedToBed",
    }
    found = [kind for start, kind in kinds.items() if content.startswith(start)]
    return f"{(found or ['This is no text file'])[0]}."
