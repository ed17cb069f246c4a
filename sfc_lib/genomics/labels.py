"""Tables of labels: which sequences are positive for which task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfc_lib.genomics.textfiles import InputError, read_lines

SEPARATORS = {"commas": ",", "semicolons": ";", "spaces": None}


@dataclass(frozen=True, eq=False)
class Labels:
    """`values`: uint8 (sequences, tasks) of 0 and 1. `lines`: of each sequence in the file."""

    tasks: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    lines: tuple[int, ...]


def read_labels(path: str | Path) -> Labels:
    """Labels of a tab-separated file: a header, then a line a sequence.

    The header is a word for the first column, then the name of each task. Every other line
    is a sequence's name, then 0 or 1 for each task; a label can't be missing. Gzip, CRLF
    line ends, a BOM and empty lines are accepted.

    Raises:
        InputError: `file:line: expected …, got …`: no header, or one that looks like data;
            an unnamed task, or two of one name; another number of columns; a label other
            than 0 or 1; a name that is empty or comes twice; no sequence.
    """
    path = Path(path)
    rows = [
        (number, line.split("\t"))
        for number, line in enumerate(read_lines(path), 1)
        if line.strip()
    ]
    if not rows:
        raise InputError(f"{path}:1: expected a header and lines of labels, got only blank lines.")
    header, rows = rows[0], rows[1:]
    tasks = _tasks(path, *header)
    seen: set[str] = set()
    for number, fields in rows:
        _check(path, number, fields, tasks, seen)
    if not rows:
        raise InputError(f"{path}:{header[0]}: expected sequences below the header, got none.")
    flat = np.array(["".join(fields[1:]) for _, fields in rows], dtype=f"S{len(tasks)}")
    values = (flat.view("u1") - ord("0")).reshape(len(rows), len(tasks))
    names = tuple(fields[0].strip() for _, fields in rows)
    return Labels(tasks, names, values, tuple(number for number, _ in rows))


def _tasks(path: Path, number: int, fields: Sequence[str]) -> tuple[str, ...]:
    tasks = tuple(field.strip() for field in fields[1:])
    expected = f"{path}:{number}: expected a header, a word and then the name of each task"
    if not tasks:
        raise InputError(f"{expected}, separated by tabs, got one column.{_hint(fields[0])}")
    if all(task in ("0", "1") for task in tasks):
        raise InputError(f"{expected}, got {list(fields)}. Put a line like 'name\\ttask' on top.")
    if "" in tasks:
        raise InputError(f"{expected}, got none in column {tasks.index('') + 2}.")
    if twice := [task for task in tasks if tasks.count(task) > 1]:
        raise InputError(f"{expected}, each another, got {twice[0]!r} again.")
    return tasks


def _check(
    path: Path, number: int, fields: Sequence[str], tasks: tuple[str, ...], seen: set[str]
) -> None:
    """Refuse a line that is not a new name and a 0 or 1 for each task."""
    name, values = fields[0].strip(), fields[1:]
    if len(values) != len(tasks):
        raise InputError(
            f"{path}:{number}: expected {len(tasks) + 1} tab-separated columns as in the header, "
            f"got {len(fields)}.{_hint(fields[0])}"
        )
    for task, value in zip(tasks, values, strict=True):
        if value not in ("0", "1"):
            raise InputError(
                f"{path}:{number}: expected 0 or 1 for {task!r}, got {value!r}. A sequence whose "
                "label is not known must be left out."
            )
    if not name or name in seen:
        problem = f"got {name!r} again" if name else "got none"
        raise InputError(f"{path}:{number}: expected a name of its own for each line, {problem}.")
    seen.add(name)


def _hint(line: str) -> str:
    for name, separator in SEPARATORS.items():
        if len(line.split(separator)) > 1:
            return f" The columns are separated by {name}: separate them by tabs."
    return ""
