"""One wrapper over papermill: parameters are checked by name and type before anything runs."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfc_lib.errors import UserError
from sfc_lib.files import checkout, silenced
from sfc_lib.runs.pool import ensure
from sfc_lib.runs.sizes import load_size

TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
WORDS = {"true": True, "false": False}


class NotebookError(UserError):
    """A notebook, a parameter or its value is not what was expected; nothing was written."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: `name: kind = default  # help`."""

    name: str
    kind: str
    default: Any
    help: str

    def read(self, value: Any) -> Any:
        """`value` if it has the parameter's type; strings are read as such a value first.

        Raises:
            NotebookError: It has another type.
        """
        wanted = TYPES[self.kind]
        if isinstance(value, str) and wanted is not str:
            value = _literal(value)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise NotebookError(
                f"parameter {self.name}: expected {self.kind} ({self.help}), got {value!r}."
            )
        return value


def notebook_path(name: str) -> Path:
    """Path of one of the project's notebooks by its name, with or without `.ipynb`.

    Raises:
        NotebookError: There is no such notebook; the message lists those there are.
    """
    root = checkout()
    if root is None:
        raise NotebookError("the notebooks are in the repository, not in the installed package.")
    path = root / "notebooks" / f"{name.removesuffix('.ipynb')}.ipynb"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.ipynb"))
        raise NotebookError(f"notebook must be one of {known}, got {name!r}.")
    return path


def parameters(path: Path) -> dict[str, Parameter]:
    """Parameters that a notebook declares in its cell tagged `parameters`, in their order."""
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "".join(tagged[0]["source"]) if tagged else ""
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if not (
            isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
        ):
            raise NotebookError(
                f"{path}: expected lines `name: type = value  # help` in the parameters cell, "
                f"got {lines[node.lineno - 1]!r}."
            )
        kind, default = ast.unparse(node.annotation), ast.literal_eval(node.value)
        if kind not in TYPES or type(default) is not TYPES[kind]:
            raise NotebookError(
                f"{path}: expected a type of {list(TYPES)}, got {kind} = {default}."
            )
        comment = lines[node.lineno - 1].partition("#")[2].strip()
        found[node.target.id] = Parameter(node.target.id, kind, default, comment)
    return found


def check_parameters(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the types that the notebook declares.

    Raises:
        NotebookError: A name that the notebook does not declare, or a value of another type.
    """
    known = parameters(path)
    for name in values:
        if name not in known:
            raise NotebookError(f"{path.stem} has the parameters {list(known)}, got {name!r}.")
    return {name: known[name].read(value) for name, value in values.items()}


def run_notebook(path: Path, output: Path, values: Mapping[str, Any]) -> Path:
    """Execute a notebook with the given parameters and write it, with its outputs, to `output`.

    It runs to a temporary file, which takes its final name only if every cell succeeded.

    Args:
        path: The notebook.
        output: Where the executed notebook goes.
        values: Parameters by name; the others keep their defaults.

    Raises:
        NotebookError: A bad parameter, or a cell that failed, with its error.
        ValueError: A size that does not exist, and the like.
        sfc_lib.runs.pool.SweepError: A run that the notebook needs failed.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    checked = check_parameters(path, values)
    _train_missing({name: item.default for name, item in parameters(path).items()} | checked)
    output.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{output.stem}.", suffix=".ipynb", dir=output.parent)
    os.close(handle)
    try:
        with silenced():  # the kernel's messages; errors come as exceptions
            papermill.execute_notebook(path, name, parameters=checked, progress_bar=False)
        os.chmod(name, 0o644)
        os.replace(name, output)
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{path.stem}: cell {error.exec_count} failed with {error.ename}: {error.evalue}"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)
    return output


def _train_missing(settings: Mapping[str, Any]) -> None:
    """Train the runs that a figure's notebook will ask for here, where their bar is seen."""
    if {"size", "seeds", "published", "jobs"} <= set(settings) and settings["jobs"]:
        plan = load_size(settings["size"], settings["seeds"] or None)
        ensure(plan.specs, jobs=settings["jobs"], published=settings["published"])


def _literal(text: str) -> Any:
    """The value a string from the command line stands for; the string itself if none."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
