"""What a store holds besides finished records, and how to be rid of it."""

from __future__ import annotations

import re
from pathlib import Path

from filelock import FileLock, Timeout

from sfc_lib.experiments.store import CHECKPOINT, RESULT
from sfc_lib.files import remove, scratch_in


def unfinished(root: Path) -> list[Path]:
    """Folders of runs that were begun and have no result yet, so that they can go on."""
    return [folder for folder in _run_folders(root) if not (folder / RESULT).exists()]


def litter(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """What `prune` would remove from a store."""
    found = [path for path in scratch_in(root) if _owner(path)]
    for folder in _run_folders(root):
        found += [*scratch_in(folder), *folder.glob(".model.*.keras")]
        if (folder / RESULT).exists() and (folder / CHECKPOINT).exists():
            found.append(folder / CHECKPOINT)  # killed between the result and the very end
    if damaged:
        found += [path for path in sorted(root.glob("*.damaged-*")) if _owner(path)]
    if begun:
        found += unfinished(root)
    return found


def prune(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """Remove what killed processes left behind, but nothing of a run that is being trained.

    Args:
        root: A store.
        damaged: Whether to remove the folders that were set aside as damaged too.
        begun: Whether to remove unfinished runs too, which then start afresh.

    Returns:
        What was removed.

    Example:

    >>> import tempfile
    >>> prune(Path(tempfile.mkdtemp()))
    []
    """
    removed = []
    for path in litter(root, damaged=damaged, begun=begun):
        owner = _owner(path) or _owner(path.parent)
        try:
            with FileLock(root / f".{owner}.lock", timeout=0):  # as in `sweep.run_one`
                remove(path)
        except Timeout:
            continue
        removed.append(path)
    return removed


def _run_folders(root: Path) -> list[Path]:
    return [
        p for p in sorted(root.glob("*")) if p.is_dir() and re.fullmatch("[0-9a-f]{16}", p.name)
    ]


def _owner(path: Path) -> str | None:
    """Id of the run whose folder, scratch or damaged record this is."""
    found = re.match(r"\.?([0-9a-f]{16})(\.|$)", path.name)
    return found[1] if found else None
