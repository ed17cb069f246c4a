"""Training elsewhere: a folder with all that runs need, for a machine without a network.

`pack` writes it. What comes with it is enough where Python, NumPy, Keras and the backend of the
runs are: there `python train.py --limit 540s` trains, as often as it is called, and `bring_home`
takes the finished records into the user's store. A bundle holds

- `bundle.json`: the specs, what the datasets are, and the SHA-256 of every other file;
- `data/`: the datasets in parts, `.npz` files of NumPy's own, see `pack_rows`;
- `library/`: this library's wheel, and the small libraries in `COMPANIONS`;
- `train.py`, which unpacks these and calls `train`;

and once it was trained, `runs/`, a store like any other, and `cache/`, which can be made again.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import io
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

import sfc_lib
from sfc_lib.datasets.base import (
    ABOUT,
    BUILT,
    SPLITS,
    Recipe,
    damage,
    load_dataset,
    row_file,
)
from sfc_lib.errors import UserError
from sfc_lib.files import (
    SCRATCH,
    atomic_folder,
    checkout,
    data_dir,
    is_sealed,
    remove,
    runs_dir,
    seal,
    sha256_bytes,
    sha256_file,
    sha256_json,
    writable,
    write_json,
)
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.runs.pool import run_one
from sfc_lib.runs.spec import PROTOCOL, RunSpec
from sfc_lib.runs.store import (
    RESULT,
    UNREADABLE,
    commit,
    epochs_done,
    find,
    held,
    set_aside,
    verify_record,
)
from sfc_lib.runs.worker import ONE_THREAD, Processes

FORMAT = 1  # of a bundle: raised whenever this module would misread one of before
MANIFEST, START, RUNS, CACHE = "bundle.json", "train.py", "runs", "cache"
DATA, LIBRARY = "data", "library"
COMPANIONS = ("click", "filelock", "platformdirs", "tqdm")  # pure Python, beside NumPy and Keras
LARGEST_PART = 60_000_000  # bytes
ROWS = 100_000  # of a part at most, so that packing one takes little memory
BEGAN = "SFC_BEGAN"  # variable that says since when the limit counts: set by train.py
MARGIN = 8.0  # seconds of the limit that are kept for the end
SHORTEST = 20.0  # seconds: no backend has started sooner
ACCELERATED = {  # in place of ONE_THREAD; several processes share one accelerator
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
N = ALPHABET.index("N")
PLACES = np.arange(0, 8, 2, dtype=np.uint8)  # of four bases in a byte, the first in the lowest bits


def pack_rows(codes: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Codes as two bits a base, and a bit for each that is N; labels as bits.

    Args:
        codes: uint8 (rows, length), 0 to 4.
        labels: uint8 (rows, tasks), 0 or 1.

    Returns:
        `codes`, `unknown` and `labels`, uint8 (rows, bytes), as `unpack_rows` takes them.

    Raises:
        ValueError: Another code or label.

    Example:

    >>> packed = pack_rows(np.array([[0, 1, 2, 3, 4]], np.uint8), np.array([[1, 0]], np.uint8))
    >>> {name: part.tolist() for name, part in packed.items()}
    {'codes': [[228, 0]], 'unknown': [[8]], 'labels': [[128]]}
    """
    if codes.max(initial=0) > N or labels.max(initial=0) > 1:
        raise ValueError(f"pack_rows: expected codes of 0 to {N}, and labels of 0 and 1.")
    unknown = codes == N
    known = np.where(unknown, 0, codes).astype(np.uint8)
    known = np.pad(known, ((0, 0), (0, -codes.shape[1] % 4)))
    four = known.reshape(len(codes), known.shape[1] // 4, 4) << PLACES
    return {
        "codes": np.bitwise_or.reduce(four, axis=2),
        "unknown": np.packbits(unknown, axis=1),
        "labels": np.packbits(labels, axis=1),
    }


def unpack_rows(
    packed: Mapping[str, np.ndarray], length: int, tasks: int
) -> tuple[np.ndarray, np.ndarray]:
    """The codes, uint8 (rows, length), and labels, uint8 (rows, tasks), of `pack_rows`."""
    four = (packed["codes"][:, :, None] >> PLACES) & 3
    codes = four.reshape(len(four), four.shape[1] * 4)[:, :length]
    codes[np.unpackbits(packed["unknown"], axis=1, count=length).astype(bool)] = N
    return codes, np.unpackbits(packed["labels"], axis=1, count=tasks)


@dataclasses.dataclass(frozen=True)
class Packed:
    """What `pack` wrote: runs, datasets, files, and bytes of all of them."""

    runs: int
    datasets: int
    files: int
    size: int


def pack(specs: Iterable[RunSpec], folder: Path) -> Packed:
    """Write a bundle of runs into a new folder; datasets that are not there are built first.

    Runs with the lower seeds come first, so that what is trained first can be compared.

    Raises:
        UserError: No run; a folder that holds something; or a library that can't be packed.
        OSError: It can't be written, for instance because the disk is full; nothing is left.
    """
    folder = folder.resolve()
    specs = sorted(dict.fromkeys(specs), key=lambda spec: spec.seed)
    if not specs:
        raise UserError("pack: expected runs to be trained, got none: all of them have records.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: expected a new folder for the bundle, got one in use.")
    writable(folder.parent)
    with atomic_folder(folder) as scratch:
        (scratch / DATA).mkdir()
        (scratch / LIBRARY).mkdir()
        recipes = {spec.recipe for spec in specs}
        datasets = dict(_pack_dataset(recipe, scratch) for recipe in recipes)
        content = _pack_library(scratch / LIBRARY)
        shutil.copyfile(Path(__file__).with_name("bundle_start.py"), scratch / START)
        files = sorted(path for path in scratch.rglob("*") if path.is_file())
        about = {
            "format": FORMAT,
            "protocol": PROTOCOL,
            "commit": commit(),
            "specs": [spec.to_dict() for spec in specs],
            "datasets": datasets,
            "content": content,
            "files": {path.relative_to(scratch).as_posix(): sha256_file(path) for path in files},
        }
        write_json(scratch / MANIFEST, seal(about))
        size = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
    return Packed(len(specs), len(datasets), len(files) + 1, size)


def _pack_dataset(recipe: Recipe, folder: Path) -> tuple[str, dict[str, Any]]:
    """Write the parts of a dataset; its name in the cache, and what it takes to unpack it."""
    dataset = load_dataset(recipe.name, **recipe.options)
    splits = [getattr(dataset, name) for name in SPLITS]
    if dataset.continuous or any(min(split.known) < len(split) for split in splits):
        what = "measurements" if dataset.continuous else "labels that are not known"
        raise UserError(f"{recipe.name}: a bundle holds classes, not {what}. Train it here.")
    key, tasks = recipe.folder_name, len(dataset.task_names)
    width = sum(map(_bytes_for, (dataset.length * 2, dataset.length, tasks)))
    rows = max(1, min(ROWS, LARGEST_PART // (width + 1)))
    parts: dict[str, list[str]] = {}
    for split in SPLITS:
        part, parts[split] = getattr(dataset, split), []
        for number, start in enumerate(range(0, len(part), rows)):
            name = f"{DATA}/{key}.{split}.{number:03d}.npz"
            codes, labels = part.codes[start : start + rows], part.labels[start : start + rows]
            packed: Any = pack_rows(np.asarray(codes), np.asarray(labels))
            np.savez_compressed(folder / name, **packed)
            parts[split].append(name)
    about = json.loads((data_dir() / BUILT / key / ABOUT).read_text())
    return key, {"about": about, "parts": parts, "length": dataset.length, "tasks": tasks}


def _bytes_for(bits: int) -> int:
    return -(-bits // 8)


def _pack_library(folder: Path) -> str:
    """Put the library's wheel and its companions into a folder; the hash of the library's files.

    In a checkout hatchling builds the wheel; an installed library is packed from its files.
    """
    if root := checkout():
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                "pack: expected hatchling to build the library's wheel (it is in "
                f"requirements.lock), got: {(done.stderr.strip() or 'nothing').splitlines()[-1]}"
            )
    else:
        version = importlib.metadata.version("sfc-lib")
        _zip_installed(["sfc-lib"], folder / f"sfc_lib-{version}-py3-none-any.whl")
    _zip_installed(COMPANIONS, folder / "companions.zip")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("sfc_lib/")]
        return sha256_json({name: sha256_bytes(archive.read(name)) for name in names})


def _zip_installed(names: Iterable[str], path: Path) -> None:
    """Archive the files of installed distributions, with their licences."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            found = importlib.metadata.distribution(name).files or []
            inside = [file for file in found if not {"..", "__pycache__"} & set(file.parts)]
            if not any(file.suffix == ".py" for file in inside):
                raise UserError(
                    f"pack: expected {name} installed by pip, got no list of its files."
                )
            for file in inside:
                content = Path(str(file.locate())).read_bytes()
                archive.writestr(zipfile.ZipInfo(file.as_posix()), content, zipfile.ZIP_DEFLATED)


def _content_here() -> str:
    """The hash of the library's files as `_pack_library` gives it, of the one that is running."""
    root = Path(sfc_lib.__file__).parent
    paths = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sha256_json({f"sfc_lib/{p.relative_to(root).as_posix()}": sha256_file(p) for p in paths})


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `bundle.json` says; a `UserError` unless it is whole and of this format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder}: expected a bundle of `sfc runs pack`, got no {MANIFEST} there.")
    try:
        about = json.loads(path.read_bytes())
        whole, found = is_sealed(about), about["format"]
        del about["seal"]
    except UNREADABLE as error:
        raise UserError(f"{path}: expected a bundle's, got {error!r}. Copy it again.") from error
    if found != FORMAT:
        raise UserError(
            f"{path}: expected a bundle of format {FORMAT}, got {found!r}, packed by another "
            f"version of sfc_lib. Use the bundle's own: python {folder / START}"
        )
    if not whole:
        raise UserError(f"{path}: expected the content it was sealed with. Copy it again.")
    return about


def _read(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """A file of the bundle, whole."""
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{folder / name}: missing in the bundle. Copy it again.") from None
    if (found := sha256_bytes(content)) != manifest["files"][name]:
        expected = manifest["files"][name]
        raise UserError(f"{folder / name}: expected sha256 {expected}, got {found}. Copy it again.")
    return content


def unpack(
    folder: Path, manifest: Mapping[str, Any], key: str, cache: Path, end: float = math.inf
) -> None:
    """Make a dataset of the bundle what it was in the cache it was packed from, byte for byte.

    It is memory-mapped from there by `load_dataset`. If it is there and whole, nothing is done.

    Raises:
        UserError: A part is missing or damaged; it is named. Or the time `end` has come.
    """
    dataset, target = manifest["datasets"][key], cache / BUILT / key
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if damage(target) is None:
            return
        for left in target.parent.glob(f".{key}.*{SCRATCH}"):  # of an unpacking that was killed
            remove(left)
        with atomic_folder(target) as scratch:
            for split, names in dataset["parts"].items():
                with (
                    row_file(scratch / f"{split}_codes.npy", dataset["length"]) as add_codes,
                    row_file(scratch / f"{split}_labels.npy", dataset["tasks"]) as add_labels,
                ):
                    for name in names:
                        if time.time() > end:
                            raise UserError(f"limit: too short to unpack {key}. Give it more.")
                        with np.load(io.BytesIO(_read(folder, manifest, name))) as part:
                            codes, labels = unpack_rows(part, dataset["length"], dataset["tasks"])
                        add_codes(codes)
                        add_labels(labels)
            write_json(scratch / ABOUT, dataset["about"])
        if problem := damage(target):
            raise UserError(f"{folder}: {problem} It was unpacked just now: is the disk failing?")


@dataclasses.dataclass(frozen=True)
class Trained:
    """Where a bundle stands: runs with a record, and how many there are."""

    finished: int
    runs: int


def train(
    folder: Path,
    limit: float | None = None,
    jobs: int | None = None,
    accelerator: bool = False,
    work: Path | None = None,
    say: Callable[[str], object] = print,
) -> Trained:
    """Train the runs of a bundle that have no record yet, or go on with them.

    Whenever it ends, by its limit or by any other death, finished records and the last finished
    epoch of each other run are kept, and the next call goes on from there.

    Args:
        folder: The bundle.
        limit: Seconds after which it has ended; without one it ends when all is done.
        jobs: Processes that train at once, of one thread each; by default one a core.
        accelerator: Whether the processes see the accelerator, and may use all threads.
        work: Folder of `runs` and `cache` in place of the bundle, for one that is only read.
        say: Given a line whenever a run is finished.

    Raises:
        UserError: A bundle that is damaged or of another version of the library; no epoch was
            finished within the limit; or runs that failed: each is named, the others are kept.
    """
    if limit is not None and limit < SHORTEST:
        raise UserError(f"limit: expected {SHORTEST:g} s or more, got {limit:g} s.")
    began = float(os.environ.get(BEGAN) or time.time())
    end = math.inf if limit is None else began + limit - MARGIN
    manifest = read_manifest(folder)
    if manifest["content"] != _content_here():
        raise UserError(
            f"{folder}: packed by another version of sfc_lib than the one that is running. Use the "
            f"bundle's own: python {folder / START}"
        )
    work = writable(work or folder, " Name another by --work.").resolve()
    root, cache = work / RUNS, work / CACHE
    specs = [RunSpec.from_dict(values) for values in manifest["specs"]]
    left = [spec for spec in specs if find(spec, root) is None]
    for key in sorted({spec.recipe.folder_name for spec in left}):
        unpack(folder, manifest, key, cache, end)
    before = _epochs(root, left)
    environment = (ACCELERATED if accelerator else ONE_THREAD) | {
        "SFC_DATA_DIR": str(cache),
        "SFC_COMMIT": manifest["commit"] or "",
    }
    others = set(multiprocessing.active_children())
    with Processes(min(jobs or cores(), len(left)) or 1, environment) as pool:
        futures = {pool.submit(run_one, spec.to_dict(), str(root)): spec for spec in left}
        pending, failed = set(futures), []
        while pending and time.time() < end:
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                if error := future.exception():
                    failed.append(f"{_name(futures[future])}: {error}")
                else:
                    say(f"finished: {_name(futures[future])}")
        if pending:
            for future in pending:
                future.cancel()
            for child in set(multiprocessing.active_children()) - others:
                child.kill()  # at any moment: what they write is whole, or not there
        pool.shutdown(wait=False, cancel_futures=True)
    if failed:
        raise UserError("\n  ".join([f"{len(failed)} of {len(left)} runs failed:", *failed]))
    if len(pending) == len(left) > 0 and _epochs(root, left) == before:
        raise UserError(
            f"limit: no epoch was finished within {limit:g} s, so the next call would begin where "
            "this one did. Give --limit more, or fewer --jobs."
        )
    return Trained(sum(find(spec, root) is not None for spec in specs), len(specs))


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # where it says so
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name(spec: RunSpec) -> str:
    return f"{spec.id} ({spec.dataset}, {spec.variant}, seed {spec.seed})"


def _epochs(root: Path, specs: Iterable[RunSpec]) -> int:
    """How many epochs of these runs are kept."""
    return sum(epochs_done(root / spec.id) for spec in specs)


@dataclasses.dataclass(frozen=True)
class Brought:
    """Ids of the records that `bring_home` took, of those that were there, of unfinished runs."""

    taken: tuple[str, ...]
    present: tuple[str, ...]
    unfinished: tuple[str, ...]


def bring_home(folder: Path) -> Brought:
    """Take the finished records of a bundle, or of a folder of records, into the user's store.

    Each is verified where it lies, copied beside its place, verified again, and only then given
    its name. Of a run that has a record here, that one stays. What is refused hinders no other.

    Raises:
        UserError: No run there; or records that can't be trusted, each with the reason; or the
            disk is full. What was taken in until then is kept: call it again.
    """
    runs = folder / RUNS if (folder / RUNS).is_dir() else folder
    found = sorted(path for path in runs.glob("[0-9a-f]" * 16) if path.is_dir())
    if not found:
        raise UserError(f"{folder}: expected a bundle that was trained, or records, got no run.")
    root = writable(runs_dir(), " Set SFC_RUNS_DIR to another.")
    taken: list[str] = []
    present: list[str] = []
    bad: list[str] = []
    finished = [path for path in found if (path / RESULT).exists()]
    for path in finished:
        try:
            (taken if _take(path, root) else present).append(path.name)
        except UserError as error:
            bad.append(str(error))
        except OSError as error:
            raise UserError(
                f"{root / path.name}: {error.strerror}. {len(taken)} of {len(finished)} records "
                "were taken in, and are kept: mend that, and import the rest again."
            ) from error
    if bad:
        raise UserError("\n  ".join([f"{len(bad)} of {len(finished)} records refused:", *bad]))
    unfinished = [path.name for path in found if path not in finished]
    return Brought(tuple(taken), tuple(present), tuple(unfinished))


def _take(source: Path, root: Path) -> bool:
    """Copy a record into a store; False if the store has one of this run."""
    record = verify_record(source)
    if record.spec.protocol != PROTOCOL:
        raise UserError(
            f"{source}: expected a run of protocol {PROTOCOL}, got {record.spec.protocol}: it was "
            "trained by another version of this library."
        )
    target = root / record.spec.id
    try:
        with held(target, wait=False):
            if find(record.spec, root):
                return False
            set_aside(target)
            with atomic_folder(target) as new:
                for name in (*record.result["files"], RESULT):
                    shutil.copyfile(source / name, new / name)
                verify_record(new)
    except Timeout:
        raise UserError(f"{source}: this run is being trained here. Import it later.") from None
    return True
