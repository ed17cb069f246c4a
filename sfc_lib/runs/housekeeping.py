"""Keeping a store: publish finished records, show and compare them, remove what was left."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import Timeout

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_folder, remove, scratch_in, seal, sha256_file, writable, write_json
from sfc_lib.runs.evaluation import CLASSES, MEASURED, MEASUREMENTS, VERSION, importance_of
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import (
    CHECKPOINT,
    IMPORTANCE,
    MODEL,
    RESULT,
    W_POS,
    Record,
    all_records,
    best_seeds,
    find,
    held,
    lock_file,
    stores,
    verify_record,
)

SCORES = (*CLASSES.scores, *MEASUREMENTS.scores)  # a record has those of its labels
LARGEST_MODEL = 4_000_000  # bytes; `sfc runs retrain` gives larger ones


def publish(records: Iterable[Record], target: Path, *, scores_only: bool = False) -> list[Path]:
    """Copy finished records into the published store, slimmed to what figures need.

    All keep spec, history, metrics and `W_pos` and are given their importance, which is
    measured if need be; only the best seed of each model keeps `model.keras`, and only if
    it has at most `LARGEST_MODEL` bytes. One published before that is beaten now loses its
    model. With `scores_only` a record gets no importance that it lacks, no model goes or
    comes, and `W_pos` only if it was to be smooth; what is published with importance already
    stays as it is. Every copy has hashes of its own. Returns the folders in the records' order.
    """
    records, target = list(records), writable(target)
    if scores_only:
        return [_publish_scores(record, target) for record in records]
    ids, models = {r.spec.id for r in records}, {r.spec.model for r in records}
    before = [r for r in all_records([target])[0] if r.spec.model in models]
    before = [r for r in before if r.spec.id not in ids]
    best = {record.spec.id for record in best_seeds([*records, *before])}
    written = [_publish_one(record, target, record.spec.id in best) for record in records]
    for record in before:
        if MODEL in record.result["files"] and record.spec.id not in best:
            _publish_one(record, target, with_model=False)
    return written


def _publish_scores(record: Record, target: Path) -> Path:
    """Copy a record by its scores, unless more of it than these is published."""
    known = find(record.spec, target)
    if known and IMPORTANCE in known.result["files"]:
        return known.folder
    return _publish_one(record, target, with_model=False, scores_only=True)


def _publish_one(record: Record, target: Path, with_model: bool, scores_only: bool = False) -> Path:
    """Copy, verify the copy, and only then let it take the place of an older one."""
    with atomic_folder(target / record.spec.id) as folder:
        _write_slimmed(record, folder, with_model, scores_only)
        verify_record(folder)
    return target / record.spec.id


def _write_slimmed(record: Record, folder: Path, with_model: bool, scores_only: bool) -> None:
    files = dict(record.result["files"])
    small = MODEL in files and (record.folder / MODEL).stat().st_size <= LARGEST_MODEL
    if not (small and with_model):
        files.pop(MODEL, None)
    if scores_only and not _smoothed(record.spec):
        files.pop(W_POS, None)
    for name in files:
        shutil.copyfile(record.folder / name, folder / name)
    measured = {}
    if not scores_only and (found := importance_of(record)) is not None:
        np.save(folder / IMPORTANCE, found.values, allow_pickle=False)
        files[IMPORTANCE] = sha256_file(folder / IMPORTANCE)
        measured = {MEASURED: {"version": VERSION, "sequences": found.sequences}}
    result = {"files_of_run": record.result["files"], **record.result, **measured, "files": files}
    write_json(folder / RESULT, seal(result))


def _smoothed(spec: RunSpec) -> bool:
    """Whether the positional weights were to be smooth: then pages read how smooth they are."""
    return spec.curvature > 0 or spec.limit is not None


def find_id(run: str) -> Record:
    """The verified record whose id begins so; the published store comes before the user's.

    Raises:
        UserError: It begins no id, or several; or the record is damaged.
    """
    if not re.fullmatch("[0-9a-f]{1,16}", run):
        raise UserError(f"run must be 1 to 16 hexadecimal digits, got {run!r}.")
    results = [path for root in reversed(stores()) for path in root.glob(f"{run}*/{RESULT}")]
    found = {path.parent.name: path.parent for path in results if len(path.parent.name) == 16}
    if len(found) > 1:
        raise UserError(f"run {run} may be any of {', '.join(sorted(found))}.")
    if not found:
        raise UserError(f"no run {run} in {' or '.join(map(str, stores()))}: see `sfc runs list`.")
    return verify_record(*found.values())


def record_card(record: Record) -> str:
    """What was trained, how it went and where it comes from, as text of many lines."""
    result = record.result
    parts: dict[str, Mapping[str, object]] = {"spec": record.spec.to_dict()}
    for split in ("valid", "test"):
        title = f"{split}, epoch {result['best_epoch']} of {result['epochs']}"
        parts[title] = result[split] or {"none": "every epoch diverged"}
    parts["provenance"] = {
        "dataset": result.get("dataset_fingerprint"),
        **result.get("environment", {}),
        **{name: result.get(name) for name in ("wall_seconds", "cpu_seconds", "parameters")},
        **result["files"],
    }
    lines = [f"{record.spec.id}  {result['status']}  {record.folder}"]
    for title, values in parts.items():
        lines += ["", title, *(f"  {name}: {value}" for name, value in values.items())]
    epochs = pd.DataFrame(record.history())
    epochs = epochs[["epoch", "loss", *(n for s in SCORES if (n := f"valid_{s}") in epochs)]]
    return "\n".join([*lines, "", epochs.to_string(index=False, float_format="%.6f")])


def compare(record: Record, again: Record) -> str:
    """What two records of one run have in common, as text: scores, epochs, equal files.

    If `again` was trained for fewer epochs, its last one is compared with the same of `record`.
    """
    old, new = record.result["epochs"], again.result["epochs"]
    first, second = (_scores(each, new if new < old else None) for each in (record, again))
    lines = [f"{record.spec.id}  {record.spec.dataset} {record.spec.variant}"]
    for name, one in first.items():
        if (two := second.get(name)) is not None:
            lines.append(f"  {name}: {one:.6f}, again {two:.6f} ({two - one:+.6f})")
    lines.append(f"  epochs: {old}, again {new}; status: {again.result['status']}")
    before = record.result.get("files_of_run", record.result["files"])
    for name, sha256 in sorted(again.result["files"].items()) if new >= old else ():
        lines.append(f"  {name}: {'the same bytes' if before.get(name) == sha256 else 'differs'}")
    return "\n".join(lines)


def _scores(record: Record, epoch: int | None) -> dict[str, float]:
    """Those of an epoch, or of the best one, by what they are; not those that are missing."""
    if epoch:
        line = record.history()[epoch - 1]
        found = {f"valid {name}, epoch {epoch}": line.get(f"valid_{name}") for name in SCORES}
    else:
        splits = {split: record.result[split] or {} for split in ("valid", "test")}
        found = {f"{split} {name}": splits[split].get(name) for split in splits for name in SCORES}
    return {name: value for name, value in found.items() if value is not None}


def unfinished(root: Path) -> list[Path]:
    """Folders of runs that were begun and have no result yet, so that they can go on."""
    return [folder for folder in _folders(root) if not (folder / RESULT).exists()]


def litter(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """What `prune` would remove from a store."""
    found = scratch_in(root)
    for folder in _folders(root):
        found += scratch_in(folder)
        if (folder / RESULT).exists() and (folder / CHECKPOINT).exists():
            found.append(folder / CHECKPOINT)  # killed between the result and the very end
    if damaged:
        found += sorted(root.glob("*.damaged-*"))
    if begun:
        found += unfinished(root)
    return [path for path in (*found, *sorted(root.glob(".*.lock"))) if _owner(path)]


def prune(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """Remove what killed processes left in a store, but nothing of a run that is being trained.

    With `damaged`, folders that were set aside as damaged too; with `begun`, unfinished runs
    too, which then start afresh. A run's folder that is a link is left alone, and so is what
    it points to. Returns what was removed.

    Example:

    >>> import tempfile
    >>> prune(Path(tempfile.mkdtemp()))
    []
    """
    removed = []
    for path in litter(root, damaged=damaged, begun=begun):
        folder = root / _owner(path)
        try:
            with held(folder, wait=False):
                if path != lock_file(folder):  # that is gone with the block
                    remove(path)
        except Timeout:
            continue
        removed.append(path)
    return removed


def _folders(root: Path) -> list[Path]:
    """The folders of runs that lie in the store itself, and are no links to elsewhere."""
    found = sorted(root.glob("[0-9a-f]" * 16))
    return [folder for folder in found if folder.is_dir() and not folder.is_symlink()]


def _owner(path: Path) -> str:
    """Id of the run whose folder, scratch, lock or damaged record this is, or lies in; or ""."""
    names = re.finditer(r"(?:^|/)\.?([0-9a-f]{16})(?=[./]|$)", f"{path.parent.name}/{path.name}")
    return next((name[1] for name in names), "")
