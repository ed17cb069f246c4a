"""The published store: finished records, slimmed to what figures need."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sfc_lib.experiments.importance import SEQUENCES, count_of, profile_of
from sfc_lib.experiments.store import (
    IMPORTANCE,
    MODEL,
    RESULT,
    Record,
    best_seeds,
    seal,
    verify,
)
from sfc_lib.files import SCRATCH, atomic_write, sha256_file, sync_folder, write_json

LARGEST_MODEL = 4_000_000  # bytes; `sfc runs retrain` gives larger ones


def publish(records: Iterable[Record], target: Path) -> list[Path]:
    """Copy finished records into the published store, slimmed to what figures need.

    All keep spec, history, metrics and `W_pos` and are given their importance profile, which
    is measured if need be; only the best seed of each model keeps `model.keras`, and only if
    it has at most `LARGEST_MODEL` bytes. Every copy has a manifest and hashes of its own.

    Args:
        records: Verified records; those that differ only in their seed are one model.
        target: The published store.

    Returns:
        Folders written.
    """
    records = list(records)
    best = {record.spec.id for record in best_seeds(records)}
    return [_publish_one(record, target, record.spec.id in best) for record in records]


def _publish_one(record: Record, target: Path, with_model: bool) -> Path:
    """Copy, verify the copy, and only then let it take the place of an older one."""
    target.mkdir(parents=True, exist_ok=True)
    folder = target / record.spec.id
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=SCRATCH, dir=target))
    new, old = scratch / folder.name, scratch / "old"
    try:
        new.mkdir()
        files = {}
        for name, sha256 in record.result["files"].items():
            small = (record.folder / name).stat().st_size <= LARGEST_MODEL
            if name != MODEL or (with_model and small):
                shutil.copyfile(record.folder / name, new / name)
                files[name] = sha256
        if IMPORTANCE not in files and (profile := profile_of(record)) is not None:
            with atomic_write(new / IMPORTANCE) as file:
                np.save(file, profile, allow_pickle=False)
            files[IMPORTANCE] = sha256_file(new / IMPORTANCE)
        measured = {SEQUENCES: count_of(record)} if IMPORTANCE in files else {}
        of_run = record.result.get("files_of_run", record.result["files"])
        write_json(
            new / RESULT,
            seal({**record.result, **measured, "files": files, "files_of_run": of_run}),
        )
        new.chmod(0o755)
        verify(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(target)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(scratch, ignore_errors=True)
    return folder
