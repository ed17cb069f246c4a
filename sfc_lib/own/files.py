"""A user's own files: known by their content, and tables of labels among them.

The same file under another name is the same data, so a dataset's options hold no path but
the SHA-256 of the content, decompressed and without BOM. Where a file with that content was
last seen stands in a small note in the cache folder.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfc_lib.datasets.base import NOT_KNOWN
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir, settled, stamp, write_json
from sfc_lib.genomics.text import content_sha256, read_lines, require_file

TEST_ROLES = ("test", "test_negatives", "test_labels")  # the first as positives, sequences, peaks
ROLES = ("positives", "negatives", "sequences", "labels", "peaks", *TEST_ROLES)  # and genome
KINDS = (
    *({"positives", "negatives"}, {"sequences", "labels"}),
    *({"peaks", "genome"}, {"peaks", "genome", "negatives"}),
)
TESTS = ({"test", "test_negatives"}, {"test", "test_labels"}, {"test"}, {"test", "test_negatives"})
CLASSES = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}  # in any case
CLASSES |= dict.fromkeys(("na", "nan", "-1", "-1.0", ""), NOT_KNOWN)
MISSING = ("na", "nan", "")  # in any case: a measurement that is not known
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
LARGEST = float(np.finfo(np.float32).max)  # measurement that a float32 holds
SEPARATORS = {"commas": ",", "semicolons": ";", "spaces": None}


def require_kind(given: Iterable[str], prefix: str = "") -> None:
    """Refuse files, of `ROLES` and genome, that do not make a dataset together, see `Custom`.

    `prefix` is how their names begin where they were asked for, `--` on the command line.
    """
    test = (found := set(given)) & set(TEST_ROLES)
    if (found := found - test) not in KINDS:
        kinds = "PREpositives and PREnegatives, or PREsequences and PRElabels, or PREpeaks and "
        expected = f"{kinds}PREgenome (with PREnegatives or without)".replace("PRE", prefix)
        got = ", ".join(prefix + role for role in sorted(found)) or "none"
        raise UserError(f"your own data: expected the files {expected}, got {got}.")
    if test and test != (wanted := TESTS[KINDS.index(found)]):
        asked, got = (
            " and ".join(
                prefix + (role.replace("_", "-") if prefix else role)
                for role in TEST_ROLES
                if role in roles
            )
            for roles in (wanted, test)
        )
        like = ", ".join(prefix + role for role in sorted(found))
        raise UserError(f"a test set beside {like}: expected {asked}, got {got}.")


def content_hash(file: str | Path) -> str:
    """The SHA-256 that stands for a file in options; one that is given instead of a path stays."""
    return str(file) if re.fullmatch("[0-9a-f]{64}", str(file)) else remember(file)


def remember(path: str | Path) -> str:
    """SHA-256 of a file's content; where it lies is noted, so that `recall` finds it.

    A file that did not change since it was noted is not read again.

    Raises:
        UserError: No such file, a folder, a pipe, empty, unreadable, or damaged gzip.
    """
    path = Path(path).expanduser().absolute()
    require_file(path)
    began, before = time.time_ns(), stamp(path)
    for note in _notes().glob("*.json"):
        if _read(note) == (path, before):
            return note.stem
    found = content_sha256(path)
    about = {"path": str(path), "stamp": before if settled(path, before, began) else None}
    write_json(_notes() / f"{found}.json", about)
    return found


def recall(sha256: str, role: str) -> Path:
    """Where the file with this content lies.

    Raises:
        UserError: It was never seen on this machine, is gone, or holds something else now.
    """
    path, _ = _read(_notes() / f"{sha256}.json")
    if path is None:
        raise UserError(
            f"{role}: expected a file with sha256 {sha256}, which this machine has not seen. "
            "Give its path again."
        )
    try:
        found = remember(path)
    except UserError as error:
        raise UserError(f"{role}: {error} Give the path where it is now.") from error
    if found != sha256:
        raise UserError(
            f"{path}: expected {role} with sha256 {sha256}, got a file that was changed since. "
            "Give its path again: changed data are another dataset."
        )
    return path


def _notes() -> Path:
    return data_dir() / "own"


def _read(note: Path) -> tuple[Path | None, tuple[int, ...] | None]:
    """Path and stamp of a note; None for what it doesn't say."""
    try:
        about = json.loads(note.read_text())
        return Path(about["path"]), about["stamp"] and tuple(about["stamp"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


@dataclass(frozen=True, eq=False)
class Labels:
    """`values`: (sequences, tasks), uint8 of 0, 1 and `NOT_KNOWN`, or float32 and NaN.

    `lines`: in the file.
    """

    tasks: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    lines: tuple[int, ...]


def read_labels(path: str | Path, continuous: bool = False) -> Labels:
    """Labels of a tab-separated file: a header, then a line a sequence.

    The header is a word for the first column, then the name of each task. Every other line
    is a sequence's name, then 0 or 1 for each task, which may be written as R and pandas do
    (`1.0`, `True`). NA, NaN, −1 or nothing stands for a label that is not known. Gzip, CRLF line
    ends, a BOM and empty lines are accepted.

    Args:
        path: The file.
        continuous: Whether labels are measurements: any finite numbers (also −1), NA, NaN or
            nothing where one is not known.

    Raises:
        UserError: `file:line: expected …, got …`: anything else, or a name that comes twice.
    """
    path = Path(path)
    numbered = enumerate(read_lines(path), 1)
    rows = [(number, line.split("\t")) for number, line in numbered if line.strip()]
    if not rows:
        raise UserError(f"{path}:1: expected a header and lines of labels, got only blank lines.")
    (top, header), *rows = rows
    read = _measurement if continuous else _class
    tasks, names = _tasks(f"{path}:{top}", header, read), dict[str, int]()
    for number, fields in rows:
        _check(f"{path}:{number}", fields, tasks, names, continuous)
        names[fields[0].strip()] = number
    if not rows:
        raise UserError(f"{path}:{top}: expected sequences below the header, got none.")
    values = np.array(
        [list(map(read, fields[1:])) for _, fields in rows], np.float32 if continuous else np.uint8
    )
    return Labels(tasks, tuple(names), values, tuple(names.values()))


def _class(text: str) -> int | None:
    """The class that a field names, None if it names none."""
    return CLASSES.get(text.strip().lower())


def _measurement(text: str) -> float | None:
    """The number that a field holds, NaN for one that is not known, None for anything else."""
    text = text.strip()
    if text.lower() in MISSING:
        return float("nan")
    number = float(text) if NUMBER.fullmatch(text) else float("inf")
    return number if abs(number) <= LARGEST else None


def _tasks(
    place: str, fields: Sequence[str], read: Callable[[str], float | None]
) -> tuple[str, ...]:
    tasks = tuple(field.strip() for field in fields[1:])
    expected = f"{place}: expected a header, a word and then the name of each task"
    if not tasks:
        raise UserError(f"{expected}, separated by tabs, got one column.{_hint(fields[0])}")
    if all(read(task) is not None for task in tasks) and any(tasks):
        raise UserError(f"{expected}, got {list(fields)}. Put a line like 'name\\ttask' on top.")
    if "" in tasks:
        raise UserError(f"{expected}, got none in column {tasks.index('') + 2}.")
    if twice := [task for task in tasks if tasks.count(task) > 1]:
        raise UserError(f"{expected}, each another, got {twice[0]!r} again.")
    return tasks


def _check(
    place: str,
    fields: Sequence[str],
    tasks: Sequence[str],
    seen: Container[str],
    continuous: bool,
) -> None:
    """Refuse a line that is not a new name and a 0 or 1, or a number, for each task."""
    name, values = fields[0].strip(), fields[1:]
    if len(values) != len(tasks):
        raise UserError(
            f"{place}: expected {len(tasks) + 1} tab-separated columns as in the header, "
            f"got {len(fields)}.{_hint(fields[0])}"
        )
    for task, value in zip(tasks, values, strict=True):
        if continuous and _measurement(value) is None:
            hint = " Write decimals with a point." if "," in value else ""
            raise UserError(
                f"{place}: expected a finite number or NA (not known) for {task!r}, "
                f"got {value!r}.{hint}"
            )
        if not continuous and _class(value) is None:
            number = _measurement(value) is not None
            hint = " For measurements, say so (--continuous)." if number else ""
            raise UserError(
                f"{place}: expected 0, 1 or NA (not known) for {task!r}, got {value!r}.{hint}"
            )
    if not name or name in seen:
        problem = f"got {name!r} again" if name else "got none"
        raise UserError(f"{place}: expected a name of its own for each line, {problem}.")


def _hint(line: str) -> str:
    for name, separator in SEPARATORS.items():
        if len(line.split(separator)) > 1:
            return f" The columns are separated by {name}: separate them by tabs."
    return ""
