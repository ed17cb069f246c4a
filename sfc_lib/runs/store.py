"""Run records: one folder a run, complete if and only if every hash in `result.json` holds.

A finished record holds `spec.json`, `history.jsonl` (a line per epoch), `W_pos.npy` (SFC
variants), `model.keras` (the best epoch) and `result.json`, which is written last and
carries the SHA-256 of every other file and of its own content. While a run trains,
`checkpoint` is there too, and beside the folder the hidden file `.ID.lock`. A published record
holds `importance.npy`, and a model only if it is the best of its seeds, and small; one that was
published by its scores alone holds none of these arrays, but for a `W_pos` that was to be smooth.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import io
import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from sfc_lib.errors import UserError
from sfc_lib.files import (
    checkout,
    is_sealed,
    known_sha256,
    published_dir,
    runs_dir,
    sha256_bytes,
    sha256_file,
)
from sfc_lib.runs.spec import RunSpec

RESULT, SPEC, HISTORY, CHECKPOINT = "result.json", "spec.json", "history.jsonl", "checkpoint"
MODEL, W_POS, IMPORTANCE = "model.keras", "W_pos.npy", "importance.npy"
FILES = {SPEC, HISTORY, MODEL, W_POS, IMPORTANCE}  # those whose hash a result may hold
KEYS = {"id", "status", "epochs", "best_epoch", "valid", "test", "files", "seal"}
UNREADABLE = (  # what reading a file that somebody made up may raise
    *(OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile),
    *(OverflowError, MemoryError, RecursionError),
)


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
        """One dictionary per epoch: loss, and validation scores (auROC and auPRC)."""
        content = self._content(HISTORY)
        try:
            return [json.loads(line) for line in content.splitlines()]
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.folder / HISTORY}: expected JSON, got {error}") from error

    def positional_weights(self) -> np.ndarray:
        """`W_pos` of the best epoch, float32 (units, length), mirrored if symmetric.

        Raises:
            UserError: The record has none (std), or not such an array.
        """
        return self._array(W_POS, dimensions=2)

    def importance(self) -> np.ndarray:
        """What a published record carries as `evaluation.Importance.values`, (2, 2, length).

        Raises:
            UserError: The record has none, or not such an array.
        """
        return self._array(IMPORTANCE, dimensions=3)

    def model(self) -> Any:
        """The Keras model of the best epoch, not compiled.

        Raises:
            UserError: The record holds no model (of published ones only the best seed does,
                if it is small), or the file is not what it promises.
        """
        from sfc_lib.runs.model_file import load_model

        if MODEL not in self.result["files"]:
            raise UserError(f"{self.folder}: this record was published without its model.")
        return load_model(self.folder / MODEL, self.result["files"][MODEL])

    def _array(self, name: str, dimensions: int) -> np.ndarray:
        file, path = io.BytesIO(self._content(name)), self.folder / name
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"{path}: expected an array, got {error}") from error
        if array.ndim != dimensions or array.dtype != np.float32 or file.read(1):
            raise UserError(
                f"{path}: expected a float32 array of {dimensions} dimensions, "
                f"got {array.dtype} {array.shape}."
            )
        return array

    def _content(self, name: str) -> bytes:
        """Bytes of one of the files, which are still those that were sealed."""
        if name not in self.result["files"]:
            raise UserError(f"{self.folder}: this record has no {name}.")
        content = (self.folder / name).read_bytes()
        if sha256_bytes(content) != self.result["files"][name]:
            raise UserError(f"{self.folder / name}: changed since the record was verified.")
        return content


def verify_record(folder: Path, *, cached: bool = False) -> Record:
    """The record in `folder` after checking every hash.

    That its dataset is still the one of today is checked too, unless the dataset's own input
    files are gone.

    Args:
        folder: Named after the id of its spec.
        cached: Whether a file that this process has hashed, and that was not touched since,
            need not be read again.

    Raises:
        UserError: `result.json` is missing or malformed, or a file is missing, changed,
            unknown, or not the one the spec's id promises.
    """
    result = read_result(folder / RESULT)
    for name, expected in result["files"].items():
        path = folder / name
        if name not in FILES or not _is_plain(path):
            raise UserError(f"{path}: expected a plain file of the record, got none.")
        if (found := (known_sha256 if cached else sha256_file)(path)) != expected:
            raise UserError(f"{path}: expected sha256 {expected}, got {found}.")
    try:
        spec = RunSpec.from_dict(json.loads((folder / SPEC).read_bytes()))
    except UNREADABLE as error:
        raise UserError(f"{folder / SPEC}: expected a run's spec, got {error}") from error
    if not folder.name == spec.id == result["id"]:
        raise UserError(f"{folder}: expected a folder named {spec.id} after its spec.")
    today = _fingerprint(spec)
    if today and result.get("dataset_fingerprint") != today:
        raise UserError(f"{folder}: expected a run on the dataset of today, {today[:16]}.")
    return Record(spec, folder, result)


def _fingerprint(spec: RunSpec) -> str | None:
    """That of a run's dataset as it is today; None if its input files are gone."""
    try:
        return spec.recipe.fingerprint
    except (UserError, OSError):
        return None


def read_result(path: Path) -> dict[str, Any]:
    """The content of a `result.json`; a `UserError` unless it is whole and its seal holds."""
    if path.exists() and not _is_plain(path):
        raise UserError(f"{path}: expected a plain file of the record, got none.")
    try:
        result = json.loads(path.read_bytes())
        whole = is_sealed(result) and isinstance(result["files"], dict)
        whole = whole and set(result) >= KEYS and set(result["files"]) >= {SPEC, HISTORY}
        if whole and result["status"] in ("done", "diverged"):
            return result
    except UNREADABLE as error:
        raise UserError(f"{path}: expected a whole record, got {error!r}.") from error
    raise UserError(f"{path}: expected the content it was sealed with, got another.")


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def epochs_done(folder: Path) -> int:
    """Finished epochs of a run, be it finished or not."""
    path = folder / HISTORY
    return path.read_bytes().count(b"\n") if path.exists() else 0


def find(spec: RunSpec, root: Path) -> Record | None:
    """The verified record of a spec in a store, or None. A damaged one is only warned of."""
    folder = root / spec.id
    if not (folder / RESULT).exists():
        return None
    try:
        return verify_record(folder, cached=True)
    except (UserError, OSError) as error:
        warnings.warn(f"Damaged run record, not used: {error}", stacklevel=2)
        return None


def look_up(spec: RunSpec, published: bool = True) -> Record | None:
    """The record of a spec from the published store (unless told not to) or the user's."""
    return next((record for root in stores(published) if (record := find(spec, root))), None)


def stores(published: bool = True) -> list[Path]:
    """The published store, unless it is not wanted or there is none, and the user's."""
    root = published_dir() if published else None
    return [root, runs_dir()] if root else [runs_dir()]


def all_records(roots: Iterable[Path], *, cached: bool = True) -> tuple[list[Record], list[str]]:
    """The verified records of stores, each of each, and what is wrong with the others.

    A run that is being trained or can go on is neither. `cached` is that of `verify_record`.
    """
    good, bad = [], []
    for root in roots:
        found = {path.parent for name in (RESULT, HISTORY) for path in root.glob(f"*/{name}")}
        for folder in sorted(found):
            if ".damaged-" in folder.name:  # set aside, and never used
                continue
            if not (folder / RESULT).exists() and _goes_on(folder):
                continue
            try:
                good.append(verify_record(folder, cached=cached))
            except (UserError, OSError) as error:
                bad.append(str(error))
    return good, bad


def _goes_on(folder: Path) -> bool:
    """Whether an unfinished run has no epoch yet, a checkpoint of the last one, or is trained."""
    return not epochs_done(folder) or (folder / CHECKPOINT).exists() or is_held(folder)


GRACE = 1.0  # seconds before it is said that a run is waited for: checking a record takes less


@contextmanager
def held(folder: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a run, which names its holder while it is held and leaves nothing behind.

    If another process holds it, say so once and wait. A process that dies loses its lock with
    its life; what is left of it on disk is taken over by the next one, or removed by `prune`.
    The folder's parent must exist. A `filelock.Timeout` if it is not to wait, and would have to.
    """
    path = lock_file(folder)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=GRACE if wait else 0)
    except Timeout:
        if not wait:
            raise
        holder = "another process"
        with suppress(OSError):  # it may be gone by now
            holder = path.read_text() or holder
        start = "\n" if sys.stderr.isatty() else ""  # a progress bar may stand there
        print(f"{start}waiting for run {folder.name}, trained by {holder}", file=sys.stderr)
        lock.acquire()
    try:
        path.write_text(f"{socket.gethostname()} pid {os.getpid()}")
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: who gets this nameless file next sees that
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at this run; what a dead one left of its lock is removed."""
    try:
        if lock_file(folder).exists():
            with held(folder, wait=False):
                pass
    except Timeout:
        return True
    return False


def lock_file(folder: Path) -> Path:
    """The file that is locked while a process is at the run of this folder."""
    return folder.with_name(f".{folder.name}.lock")


def set_aside(folder: Path) -> Path | None:
    """Rename a folder whose record is damaged, so that it is kept but never used."""
    if not (folder / RESULT).exists():
        return None
    now = datetime.datetime.now()
    return folder.rename(folder.with_name(f"{folder.name}.damaged-{now:%Y%m%dT%H%M%S.%f}"))


def best_seeds(records: Iterable[Record]) -> list[Record]:
    """Of records that differ only in their seed, the one with the best validation score."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if not record.diverged:
            groups.setdefault(record.spec.model, []).append(record)
    return [max(group, key=lambda r: headline(r.result["valid"])[1]) for group in groups.values()]


def headline(scores: Mapping[str, Any]) -> tuple[str, float]:
    """What a run is chosen by, and its value: auROC, or Pearson's r of measurements."""
    name = "auroc" if "auroc" in scores else "pearson"
    return name, scores[name]


PACKAGES = ("sfc-lib", "keras", "numpy", "scikit-learn")


def environment(backend: str) -> dict[str, object]:
    """Versions, processor, threads, commit and time, as plain values for a run record.

    Accelerators are named only where the process may use one.
    """
    found = _accelerators()
    return {
        **({"accelerators": found} if found else {}),
        "versions": {name: _version(name) for name in (*PACKAGES, backend)},
        "python": platform.python_version(),
        "system": platform.system(),
        "cpu": _processor(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
        "commit": commit(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def commit() -> str | None:
    """Git commit of the checkout, `+changes` if the library differs from it; None without git.

    Away from a checkout `SFC_COMMIT` may say it: that from which a bundle was packed.
    """
    if (root := checkout()) is None:
        return os.environ.get("SFC_COMMIT") or None
    git = partial(subprocess.check_output, cwd=root, stderr=subprocess.DEVNULL, text=True)
    try:
        head = git(["git", "rev-parse", "HEAD"])
        changes = git(["git", "status", "--porcelain", "--", "sfc_lib", "requirements.lock"])
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+changes" if changes else "")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    about = Path("/proc/cpuinfo")  # of Linux
    found = re.search("model name.*?: *(.*)", about.read_text()) if about.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    """Names of NVIDIA's that are here and not hidden from this process."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
