"""Run records: one folder a run, complete if and only if every hash in `result.json` holds.

A finished record holds `spec.json`, `history.jsonl` (a line per epoch), `W_pos.npy` (SFC
variants), `model.keras` (the best epoch) and `result.json`, which is written last and
carries the SHA-256 of every other file and of its own content. While a run trains,
`checkpoint` is there too, and its lock beside the folder (see `locks`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfc_lib.experiments.spec import RunSpec
from sfc_lib.files import (
    UserError,
    published_dir,
    runs_dir,
    sha256_file,
    sha256_json,
    sync_folder,
    write_json,
)

RESULT, SPEC, HISTORY, MODEL, W_POS = (
    "result.json",
    "spec.json",
    "history.jsonl",
    "model.keras",
    "W_pos.npy",
)
STATUSES = ("done", "diverged")


class RecordError(UserError):
    """A record is there but can't be trusted; the message names the file and what is wrong."""


@dataclass(frozen=True, eq=False)
class Record:
    """A verified run record."""

    spec: RunSpec
    folder: Path
    result: Mapping[str, Any]

    @property
    def diverged(self) -> bool:
        """Whether loss or weights became infinite or not a number."""
        return self.result["status"] == "diverged"

    def history(self) -> list[dict[str, Any]]:
        """One dictionary per epoch: loss, and validation auROC and auPRC."""
        return [json.loads(line) for line in (self.folder / HISTORY).read_text().splitlines()]

    def positional_weights(self) -> np.ndarray:
        """`W_pos` of the best epoch, float32 (units, length), mirrored if symmetric."""
        return np.load(self.folder / W_POS, allow_pickle=False)

    def model(self) -> Any:
        """The Keras model of the best epoch, not compiled.

        Raises:
            RecordError: The record holds no model; published ones only do for the best seed.
            sfc_lib.experiments.models.ModelError: The file is not what the record promises.
        """
        from sfc_lib.experiments.models import load_model

        if MODEL not in self.result["files"]:
            raise RecordError(f"{self.folder}: this record was published without its model.")
        return load_model(self.folder / MODEL, self.result["files"][MODEL])


def seal(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with the SHA-256 of its own content, which must hold for it to count."""
    content = {name: value for name, value in result.items() if name != "seal"}
    return {**content, "seal": sha256_json(content)}


def verify(folder: Path) -> Record:
    """The record in `folder` after checking every hash.

    Raises:
        RecordError: `result.json` is missing or malformed, or a file is missing,
            changed, or not the one the spec's id promises.
    """
    try:
        result = json.loads((folder / RESULT).read_text())
        whole = result["seal"] == seal(result)["seal"] and result["status"] in STATUSES
        files = dict(result["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder / RESULT}: expected a whole record, got {error!r}.") from error
    if not whole or not {SPEC, HISTORY} <= set(files):
        raise RecordError(f"{folder / RESULT}: expected the content it was sealed with.")
    for name, expected in files.items():
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            raise RecordError(f"{path}: expected a plain file of the record, got none.")
        if (found := sha256_file(path)) != expected:
            raise RecordError(f"{path}: expected sha256 {expected}, got {found}.")
    try:
        spec = RunSpec.from_dict(json.loads((folder / SPEC).read_text()))
    except (ValueError, TypeError) as error:
        raise RecordError(f"{folder / SPEC}: expected a run's spec, got {error}") from error
    if folder.name != spec.id:
        raise RecordError(f"{folder}: expected a folder named {spec.id} after its spec.")
    return Record(spec, folder, result)


def find(spec: RunSpec, root: Path) -> Record | None:
    """The verified record of a spec in a store, or None. A damaged one is only warned of."""
    folder = root / spec.id
    if not (folder / RESULT).exists():
        return None
    try:
        return verify(folder)
    except RecordError as error:
        warnings.warn(f"Damaged run record, not used: {error}", stacklevel=2)
        return None


def look_up(spec: RunSpec, published: bool = True) -> Record | None:
    """The record of a spec from the published store (unless told not to) or the user's."""
    roots = [published_dir() if published else None, runs_dir()]
    return next((record for root in roots if root and (record := find(spec, root))), None)


def set_aside(folder: Path) -> Path | None:
    """Rename a folder whose record is damaged, so that it is kept but never used."""
    if not (folder / RESULT).exists():
        return None
    aside = folder.with_name(f"{folder.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    folder.rename(aside)
    return aside


def publish(records: Iterable[Record], target: Path) -> list[Path]:
    """Copy finished records into the published store, slimmed to what figures need.

    All keep spec, history, metrics and `W_pos`; only the best seed of each model keeps
    `model.keras`. Every copy has a manifest and hashes of its own.

    Args:
        records: Verified records; those that differ only in their seed are one model.
        target: The published store.

    Returns:
        Folders written.
    """
    records = list(records)
    best = {record.spec.id for record in best_seeds(records)}
    return [_publish_one(record, target, record.spec.id in best) for record in records]


def best_seeds(records: Iterable[Record]) -> list[Record]:
    """Of records that differ only in their seed, the one with the best validation auROC."""
    best: dict[str, Record] = {}
    for record in records:
        if record.diverged:
            continue
        key = json.dumps({**record.spec.to_dict(), "seed": None}, sort_keys=True)
        score = record.result["valid"]["auroc"]
        if key not in best or score > best[key].result["valid"]["auroc"]:
            best[key] = record
    return list(best.values())


def _publish_one(record: Record, target: Path, with_model: bool) -> Path:
    record = verify(record.folder)  # it may have changed since it was looked up
    target.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{record.spec.id}.", dir=target))
    try:
        files = {}
        for name, sha256 in record.result["files"].items():
            if name != MODEL or with_model:
                shutil.copyfile(record.folder / name, scratch / name)
                files[name] = sha256
        slim = {**record.result, "files": files}
        slim.setdefault("files_of_run", record.result["files"])  # there if it was slim already
        write_json(scratch / RESULT, seal(slim))
        scratch.chmod(0o755)
        folder, older = target / record.spec.id, scratch.with_name(f"{scratch.name}.older")
        if folder.exists():
            folder.rename(older)
        scratch.rename(folder)
        sync_folder(target)
        shutil.rmtree(older, ignore_errors=True)
        return verify(folder).folder
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
