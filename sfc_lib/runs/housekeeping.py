"""Keeping a store: publish finished records, show and compare them, remove what was left."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from filelock import Timeout

from sfc_lib.errors import UserError
from sfc_lib.files import (
    SCRATCH,
    atomic_write,
    remove,
    scratch_in,
    sha256_file,
    sync_folder,
    writable,
    write_json,
)
from sfc_lib.runs.evaluation import MEASURED, VERSION, importance_of
from sfc_lib.runs.store import (
    CHECKPOINT,
    IMPORTANCE,
    MODEL,
    RESULT,
    Record,
    all_records,
    best_seeds,
    held,
    lock_file,
    seal,
    stores,
    verify_record,
)

LARGEST_MODEL = 4_000_000  # bytes; `sfc runs retrain` gives larger ones


def publish(records: Iterable[Record], target: Path) -> list[Path]:
    """Copy finished records into the published store, slimmed to what figures need.

    All keep spec, history, metrics and `W_pos` and are given their importance, which is
    measured if need be; only the best seed of each model keeps `model.keras`, and only if
    it has at most `LARGEST_MODEL` bytes. One published before that is beaten now loses its
    model. Every copy has a manifest and hashes of its own.

    Args:
        records: Verified records; those that differ only in their seed are one model.
        target: The published store.

    Returns:
        Folders of the records, in their order.
    """
    records, target = list(records), writable(target)
    ids, models = {r.spec.id for r in records}, {r.spec.model for r in records}
    before = [r for r in all_records([target])[0] if r.spec.model in models]
    before = [r for r in before if r.spec.id not in ids]
    best = {record.spec.id for record in best_seeds([*records, *before])}
    written = [_publish_one(record, target, record.spec.id in best) for record in records]
    for record in before:
        if MODEL in record.result["files"] and record.spec.id not in best:
            _publish_one(record, target, with_model=False)
    return written


def _publish_one(record: Record, target: Path, with_model: bool) -> Path:
    """Copy, verify the copy, and only then let it take the place of an older one."""
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
        measured = {}
        if (found := importance_of(record)) is not None:
            with atomic_write(new / IMPORTANCE) as file:
                np.save(file, found.values, allow_pickle=False)
            files[IMPORTANCE] = sha256_file(new / IMPORTANCE)
            measured = {MEASURED: {"version": VERSION, "sequences": found.sequences}}
        of_run = record.result.get("files_of_run", record.result["files"])
        write_json(
            new / RESULT,
            seal({**record.result, **measured, "files": files, "files_of_run": of_run}),
        )
        new.chmod(0o755)
        verify_record(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(target)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def find_id(run: str) -> Record:
    """The verified record whose id begins so; the published store comes before the user's.

    Raises:
        UserError: Not the beginning of an id, or of none or several of the runs there are; or
            the record is damaged.
    """
    if not re.fullmatch("[0-9a-f]{1,16}", run):
        raise UserError(f"run must be 1 to 16 hexadecimal digits, got {run!r}.")
    roots = reversed(stores())
    found = {f.name: f for root in roots for f in _run_folders(root) if (f / RESULT).exists()}
    names = sorted(name for name in found if name.startswith(run))
    if len(names) > 1:
        raise UserError(f"run {run} may be any of {', '.join(names)}.")
    if not names:
        raise UserError(f"no run {run} in {' or '.join(map(str, stores()))}: see `sfc runs list`.")
    return verify_record(found[names[0]])


def describe(record: Record) -> str:
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
    lines += ["", "epochs", "  epoch      loss     auROC     auPRC"]
    for line in record.history():
        scores = [line[name] for name in ("loss", "valid_auroc", "valid_auprc")]
        cells = " ".join(f"{'-' if value is None else f'{value:.6f}':>9}" for value in scores)
        lines.append(f"  {line['epoch']:>5} {cells}")
    return "\n".join(lines)


def compare(record: Record, again: Record) -> str:
    """What two records of one run have in common, as text: scores, epochs, equal files.

    If `again` was trained for fewer epochs, its last one is compared with the same of `record`.
    """
    lines = [f"{record.spec.id}  {record.spec.dataset} {record.spec.variant}"]
    old, new = record.result["epochs"], again.result["epochs"]
    if new < old:
        pair = [r.history()[new - 1] for r in (record, again)]
        for metric in ("auroc", "auprc"):
            lines += _both(f"valid {metric}, epoch {new}", *(x[f"valid_{metric}"] for x in pair))
    else:
        for split, metric in itertools.product(("valid", "test"), ("auroc", "auprc")):
            values = ((r.result[split] or {}).get(metric) for r in (record, again))
            lines += _both(f"{split} {metric}", *values)
    lines.append(f"  epochs: {old}, again {new}; status: {again.result['status']}")
    if new >= old:
        first = record.result.get("files_of_run", record.result["files"])
        for name, sha256 in sorted(again.result["files"].items()):
            same = "the same bytes" if first.get(name) == sha256 else "differs"
            lines.append(f"  {name}: {same}")
    return "\n".join(lines)


def _both(name: str, old: float | None, new: float | None) -> list[str]:
    """A line with two scores and their difference; none where one is missing."""
    if old is None or new is None:
        return []
    return [f"  {name}: {old:.6f}, again {new:.6f} ({new - old:+.6f})"]


def unfinished(root: Path) -> list[Path]:
    """Folders of runs that were begun and have no result yet, so that they can go on."""
    return [folder for folder in _own_folders(root) if not (folder / RESULT).exists()]


def litter(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """What `prune` would remove from a store."""
    found = [path for path in scratch_in(root) if _owner(path)]
    for folder in _own_folders(root):
        found += [*scratch_in(folder), *folder.glob(".model.*.keras")]
        if (folder / RESULT).exists() and (folder / CHECKPOINT).exists():
            found.append(folder / CHECKPOINT)  # killed between the result and the very end
    if damaged:
        found += [path for path in sorted(root.glob("*.damaged-*")) if _owner(path)]
    if begun:
        found += unfinished(root)
    return found + [path for path in sorted(root.glob(".*.lock")) if _owner(path)]


def prune(root: Path, *, damaged: bool = False, begun: bool = False) -> list[Path]:
    """Remove what killed processes left behind, but nothing of a run that is being trained.

    A run's folder that is a link is left alone, and so is what it points to.

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
            with held(root / f"{owner}", wait=False):
                if path != lock_file(root / f"{owner}"):  # that is gone with the block
                    remove(path)
        except Timeout:
            continue
        removed.append(path)
    return removed


def _run_folders(root: Path) -> list[Path]:
    return [
        p for p in sorted(root.glob("*")) if p.is_dir() and re.fullmatch("[0-9a-f]{16}", p.name)
    ]


def _own_folders(root: Path) -> list[Path]:
    """The folders of runs that lie in the store itself, and are no links to elsewhere."""
    return [folder for folder in _run_folders(root) if not folder.is_symlink()]


def _owner(path: Path) -> str | None:
    """Id of the run whose folder, scratch, lock or damaged record this is."""
    found = re.match(r"\.?([0-9a-f]{16})(\.|$)", path.name)
    return found[1] if found else None
