"""One process per run: a lock that says who holds it, and that leaves nothing behind.

While a run is trained, two hidden files lie beside its folder: `.ID.lock`, locked by the
operating system, and `.ID.holder`, which names host and process. A process that dies
loses its lock with its life; what is left of it on disk is taken over by the next one.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

GRACE = 1.0  # seconds before it is said that a run is waited for: checking a record takes less


@contextmanager
def held(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a run; if another process does, say so once and wait for its end.

    Args:
        folder: Of the run; its parent must exist.
        wait: Whether to wait for another process at all.

    Raises:
        filelock.Timeout: Another process holds the lock, and `wait` is False.
    """
    lock, holder = FileLock(folder.with_name(f".{folder.name}.lock")), _holder(folder)
    try:
        lock.acquire(timeout=GRACE if wait else 0)
    except Timeout:
        if not wait:
            raise
        _tell(f"waiting for run {folder.name}, trained by {_read(holder)}")
        lock.acquire()
    try:
        holder.write_text(f"{socket.gethostname()} pid {os.getpid()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        # Still locked: whoever gets this nameless file next sees that and opens a new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at this run; one that died on another host counts until replaced."""
    host, _, pid = _read(_holder(folder)).partition(" pid ")
    if host != socket.gethostname():
        return _holder(folder).exists()
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def forget_dead(folder: Path) -> None:
    """Remove what a dead process left of its lock; a living one keeps it."""
    if _holder(folder).exists():
        with suppress(Timeout), held(folder, wait=False):
            pass


def _holder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.holder")


def _read(holder: Path) -> str:
    try:
        return holder.read_text() or "another process"
    except OSError:
        return "another process"


def _tell(message: str) -> None:
    """Print to standard error, on a line of its own even where a progress bar stands."""
    print(("\n" if sys.stderr.isatty() else "") + message, file=sys.stderr, flush=True)
