"""Where a number comes from: machine, versions and commit of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

from sfc_lib.files import checkout

PACKAGES = ("sfc-lib", "keras", "numpy", "scikit-learn")


def environment(backend: str) -> dict[str, object]:
    """Versions, processor, threads, commit and time, as plain values for a run record."""
    return {
        "versions": {name: _version(name) for name in (*PACKAGES, backend)},
        "python": platform.python_version(),
        "system": platform.system(),
        "cpu": _processor(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def commit() -> str | None:
    """Git commit of the checkout, `+changes` if the library differs from it; None without git."""
    root = checkout()
    if root is None:
        return None
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", "sfc_lib", "requirements.lock")
    return f"{head}+changes" if head and changed else head


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
