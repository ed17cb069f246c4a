"""One wrapper over papermill: parameters are checked by name and type before anything runs.

Parameters are read here, not by `papermill.inspect_notebook`: importing papermill takes
seconds, while a wrong parameter is refused in one, and it passes over lines it can't read.
"""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write, checkout, writable

TYPES: dict[str, type] = {
    item.__name__: item for item in (int, float, str, bool, list, dict)
}  # in a parameter's annotation, alone or as `int | list`
WORDS = {"true": "True", "false": "False"}


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in names, f"one of {', '.join(map(repr, names))}"


def _at_least(least: float) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value >= least, f"a number >= {least}"


# Which values parameters of these names may have, whatever the notebook, and that in words. Those
# that name sizes, experiments, models and spec fields are checked by `sizes.choose`.
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "jobs": _at_least(0),
    "metric": _one_of("auroc", "auprc", "both"),
    "curve": _one_of("auroc", "auprc"),
    "smoothing": _at_least(1),
    "epochs": _at_least(1),
    "levels": (
        lambda values: len(values) in (0, 3) and all(0.5 < float(v) < 1 for v in values),
        "no level, or three auROCs between .5 and 1",
    ),
    "seed": (
        lambda value: value == "best" or (type(value) is int and value >= 0),
        "'best' or a seed >= 0",
    ),
    "sequences": _at_least(0),
    "clusters": _at_least(1),
    "strengths": (
        lambda values: all(type(v) in (int, float) and v >= 0 for v in values),
        "strengths of CR, numbers >= 0",
    ),
    "random_state": _at_least(0),
    "normalisation": _one_of("mean and norm", "norm", "none"),
}
FIGURE = {"size", "seeds", "published", "jobs"}  # what a notebook that shows runs declares


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: `name: kind = default  # help`."""

    name: str
    kind: str
    default: Any
    help: str

    def read(self, value: Any) -> Any:
        """`value`, which strings may stand for; a `UserError` if type or range is another."""
        wanted = [TYPES[kind] for kind in self.kind.split(" | ")]
        read = value
        if isinstance(value, str) and wanted != [str]:
            with suppress(ValueError, SyntaxError, TypeError):
                read = ast.literal_eval(WORDS.get(value.lower(), value))
        if type(read) is int and float in wanted and int not in wanted:
            read = float(read)
        if type(read) not in wanted:
            expected = self.kind.replace(" | ", " or ")
            raise UserError(
                f"parameter {self.name}: expected {expected} ({self.help}), got {value!r}."
            )
        fits, words = RANGES.get(self.name, (lambda _: True, ""))
        try:
            good = fits(read)
        except (TypeError, ValueError):
            good = False
        if not good:
            raise UserError(f"parameter {self.name}: expected {words}, got {value!r}.")
        return read


def repository() -> Path:
    """Root of the repository, with notebooks, book and benchmark; a `UserError` without one."""
    if root := checkout():
        return root
    raise UserError(
        "sfc_lib: expected a clone of the repository, with its notebooks, book and benchmark; "
        "this is an installed package. Clone the repository and run it there."
    )


def notebook_path(name: str) -> Path:
    """Path of a notebook by its name, with or without `.ipynb`; a `UserError` lists the names."""
    path = repository() / "notebooks" / f"{name.removesuffix('.ipynb')}.ipynb"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.ipynb"))
        raise UserError(f"notebook must be one of {known}, got {name!r}.")
    return path


def parameters(path: Path) -> dict[str, Parameter]:
    """Parameters that a notebook declares in its cell tagged `parameters`, in their order.

    Raises:
        UserError: A line of the cell is none that declares a parameter of a type in `TYPES`.
    """
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "".join(tagged[0]["source"]) if tagged else ""
    found = {}
    for node in ast.parse(source).body:
        line = source.splitlines()[node.lineno - 1]
        if not (isinstance(node, ast.AnnAssign) and node.value):
            raise UserError(
                f"{path}: expected lines `name: type = value  # help` in the parameters cell, "
                f"got {line!r}."
            )
        name, kind = ast.unparse(node.target), ast.unparse(node.annotation)
        default = ast.literal_eval(node.value)
        kinds = kind.split(" | ")
        if not set(kinds) <= set(TYPES) or type(default).__name__ not in kinds:
            raise UserError(f"{path}: expected a type of {list(TYPES)}, got {kind} = {default}.")
        found[name] = Parameter(name, kind, default, line.partition("#")[2].strip())
    return found


def check_parameters(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the types that the notebook declares; a `UserError` if they have others."""
    known = parameters(path)
    for name in values:
        if name not in known:
            raise UserError(f"{path.stem} has the parameters {list(known)}, got {name!r}.")
    return {name: known[name].read(value) for name, value in values.items()}


def check(namespace: dict[str, Any]) -> None:
    """Refuse parameters in a running notebook that have another name, type or range.

    For the cell behind the parameters: `check(globals())`. Plain papermill, and a reader who
    edits the cell, let any value pass. What is not annotated there was injected by an unknown
    name. Values that strings stand for get their type.

    Raises:
        UserError: With the parameters that there are.
    """
    declared = namespace["__annotations__"]
    hidden = {
        "In",
        "Out",
        "get_ipython",
        "exit",
        "quit",
        "open",
        "check",
    }  # IPython's own, and this
    for name in namespace:
        if name not in declared and name not in hidden and not name.startswith("_"):
            raise UserError(f"this notebook has the parameters {list(declared)}, got {name!r}.")
    for name, kind in declared.items():
        words = kind.__name__ if isinstance(kind, type) else str(kind)
        namespace[name] = Parameter(name, words, None, "see the parameters cell").read(
            namespace[name]
        )


def run_notebook(path: Path, output: Path, values: Mapping[str, Any]) -> Path:
    """Execute the notebook at `path` and write it, with its outputs, to `output`.

    `values` are parameters by name; the others keep their defaults. `output` keeps what it had
    unless every cell succeeds.

    Raises:
        UserError: A bad parameter, an `output` that can't be written, a run that the notebook
            needs and that failed, or a cell that failed, with its error.
    """
    settings = {name: item.default for name, item in parameters(path).items()}
    checked = check_parameters(path, values)
    if output.is_dir():
        raise UserError(f"{output}: expected the name of a notebook, got a folder.")
    writable(output.parent)
    train_missing(settings | checked)
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    # It warns of parameters whose types it can't read, such as `int | list`: they are checked.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        done = papermill.execute_notebook(
            path, None, checked, progress_bar=False, kernel_manager_class=_quiet_kernels()
        )
    except PapermillExecutionError as error:
        raise UserError(
            f"{path.stem}: cell {error.exec_count} failed with {error.ename}: {error.evalue}"
        ) from error
    with atomic_write(output) as file:
        file.write(nbformat.writes(done).encode())
    return output


def _quiet_kernels() -> type:
    """Manager of kernels whose own messages nobody sees; errors come as exceptions."""
    from jupyter_client.manager import AsyncKernelManager

    class QuietKernels(AsyncKernelManager):
        async def _async_launch_kernel(self, *command: Any, **options: Any) -> None:
            await super()._async_launch_kernel(*command, **options, stderr=DEVNULL)

    return QuietKernels


def train_missing(settings: Mapping[str, Any]) -> None:
    """Train the runs that a figure's notebook will ask for here, where their bar is seen."""
    if set(settings) >= FIGURE and settings["jobs"]:  # with 0, the notebook says what is missing
        from sfc_lib.pages.results import load_results

        only = [*settings.get("experiments", []), *settings.get("models", [])]
        asked = [settings[name] for name in ("size", "seeds", "published", "jobs")]
        load_results(*asked, only=only, change=settings.get("change"))
