"""Source files: the registry, and how a file comes to be here: cache, local mirror, or download.

A file gets its final name only after its content was checked. Environment variables:

- `SFC_DATA_DIR`: the cache; source files lie in its folder `downloads`.
- `SFC_DATA_MIRROR`: a folder that holds the files under their registry names; with it
  nothing is downloaded.
- `SFC_DATA_TIMEOUT`: seconds without a byte after which a server is given up, 30 by default.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from sfc_lib.files import (
    SCRATCH,
    SETTLED,
    atomic_write,
    data_dir,
    stamp,
    sync_folder,
)
from sfc_lib.genomics.content import compress, mismatch
from sfc_lib.genomics.downloads import download
from sfc_lib.genomics.registry import Source, SourceError, registry, select, unknown

__all__ = [
    "Source", "SourceError", "announce", "check_space", "fetch", "missing", "registry", "select",
    "verify",
]  # fmt: skip
GRACE = 1.0  # seconds before it is said that another process is waited for
MARGIN = 1 << 20  # bytes that must stay free on the disk


def fetch(name: str, mirror: Path | None = None) -> Path:
    """Path of a source file on this machine, verified; obtained first if it is not here.

    A file is accepted if its bytes have the registered SHA-256, if its decompressed content
    has, or if its first sequence has the registered MD5 over the registered region. So a
    whole chromosome of UCSC is accepted where an extract is registered; it then holds more
    than the region, and lower case. Several processes at once obtain a file once.

    Args:
        name: Of the registry.
        mirror: Folder that holds the files under their names; by default `SFC_DATA_MIRROR`.

    Raises:
        SourceError: Unknown name; neither mirrored nor downloadable; wrong content; or no
            place to write it. The message says how to place the file by hand.
    """
    known = registry()
    if name not in known:
        raise unknown(name, known)
    source = known[name]
    if _is_stamped(source):
        return source.path
    with _writing(source), _locked(source.path):
        problem = _check(source)
        if problem is not None:
            _obtain(source, mirror or _mirror(), problem)
    return source.path


def missing(sources: Sequence[Source]) -> list[Source]:
    """Those sources of which nothing is in the cache yet."""
    return [source for source in sources if not source.path.is_file()]


def verify(sources: Sequence[Source] | None = None) -> tuple[list[Source], dict[str, str]]:
    """Read every file in the cache again, and compare its content with the registry.

    Args:
        sources: Those that must be there and right; by default, those that are there.

    Returns:
        The good ones, and what is wrong with each of the others, by name.
    """
    if sources is None:
        sources = [source for source in registry().values() if source.path.exists()]
    good, bad = [], {}
    for source in sources:
        if not source.path.exists():
            bad[source.file] = f"expected a file at {source.path}, got none"
        elif problem := mismatch(source.path, source):
            bad[source.file] = problem
            with suppress(OSError):
                _stamp_path(source.path).unlink(missing_ok=True)
        else:
            good.append(source)
    return good, bad


def announce(sources: Sequence[Source], mirror: Path | None = None) -> str:
    """What obtaining these sources will bring here: each size, from where, and the total."""
    mirror = mirror or _mirror()
    lines = []
    for source in sources:
        whence = mirror or source.addresses[0].split("/")[2]
        lines.append(f"{_size(source, mirror):>23}  {source.file}  from {whence}")
    total = sum(_bytes(source, mirror) for source in sources)
    about = "about " if any(_bytes(s, mirror) != s.bytes for s in sources) else ""
    free = shutil.disk_usage(_folder()).free
    return "\n".join(
        [*lines, f"{len(sources)} files, {about}{total:,} bytes, to {_folder()} ({free:,} free)."]
    )


def check_space(sources: Sequence[Source], mirror: Path | None = None) -> None:
    """Make sure that there is room for these source files in the cache.

    Raises:
        SourceError: There is not; needed and free bytes are named.
    """
    mirror = mirror or _mirror()
    needed = sum(_bytes(source, mirror) for source in sources)
    if needed + MARGIN > (free := shutil.disk_usage(_folder()).free):
        raise SourceError(
            f"{_folder()}: expected room for {needed:,} bytes, got {free:,} bytes free. "
            "Free some, or set SFC_DATA_DIR to a folder on a larger disk."
        )


def _bytes(source: Source, mirror: Path | None) -> int:
    return (source.bytes if mirror else 0) or source.download_bytes


def _size(source: Source, mirror: Path | None) -> str:
    size = _bytes(source, mirror)
    return f"{'' if size == source.bytes else 'about '}{size:,} bytes"


def _folder() -> Path:
    folder = data_dir() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mirror() -> Path | None:
    folder = os.environ.get("SFC_DATA_MIRROR")
    if folder and not Path(folder).is_dir():
        raise SourceError(f"SFC_DATA_MIRROR: expected a folder, got {folder!r}.")
    return Path(folder) if folder else None


@contextmanager
def _writing(source: Source) -> Iterator[None]:
    """Tell a full disk or a folder that can't be written to in one message."""
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = f"no space is left for its {source.size}" if full else str(error)
        raise SourceError(
            f"{source.path}: can't be obtained: {what}. Nothing half-written is kept. "
            "Mend that, or set SFC_DATA_DIR to another folder."
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=GRACE)
    except Timeout:
        print(f"waiting for another process that obtains {path.name}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check(source: Source) -> str | None:
    """What is wrong with the file in the cache; None if it is right, which is remembered."""
    if not source.path.exists():
        return ""
    now = time.time_ns()
    if problem := mismatch(source.path, source):
        return problem
    compress(source.path)
    found = stamp(source.path)
    if now - max(found[-2:]) > SETTLED:
        with suppress(OSError), atomic_write(_stamp_path(source.path)) as file:
            file.write(json.dumps([source.content_hash, *found]).encode())
    return None


def _is_stamped(source: Source) -> bool:
    """Whether this very file was found right before, and has not been touched since."""
    try:
        known = json.loads(_stamp_path(source.path).read_bytes())
        return known == [source.content_hash, *stamp(source.path)]
    except (OSError, ValueError):
        return False


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _obtain(source: Source, mirror: Path | None, problem: str) -> None:
    if problem:
        print(f"{source.path}: {problem}; obtained again", file=sys.stderr, flush=True)
    check_space([source], mirror)
    if mirror:
        _copy(mirror / source.file, source)
    else:
        download(source, lambda write: _arrive(source, write))


def _copy(path: Path, source: Source) -> None:
    if not path.is_file():
        raise SourceError(
            f"{path}: expected {source.file} ({_size(source, path)}) in the mirror folder, got no "
            f"such file. Place it there (it comes from {source.addresses[0]}), or unset "
            "SFC_DATA_MIRROR to download it."
        )
    with open(path, "rb") as original:
        if problem := _arrive(source, lambda file: shutil.copyfileobj(original, file)):
            raise SourceError(f"{path}: {problem}.")


def _arrive(source: Source, write: Callable[[BinaryIO], object]) -> str | None:
    """Let `write` fill a scratch file that gets the final name if it is right; else say why not."""
    scratch = source.path.with_name(f".{source.path.name}{SCRATCH}")  # one writer: we hold the lock
    try:
        with open(scratch, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if problem := mismatch(scratch, source):
            return problem
        compress(scratch, like=source.path)
        os.replace(scratch, source.path)
        sync_folder(source.path.parent)
        return None
    finally:
        scratch.unlink(missing_ok=True)
