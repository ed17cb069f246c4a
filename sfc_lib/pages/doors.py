"""Doors from a page of the book to its notebook: a download, commands, Binder and Colab.

The last two need the repository's address: `Repository` in `[project.urls]` of pyproject.toml.
Without it a page has the first two only, and none of the book's buttons lead to a repository.
Binder and Colab are untried, since there is no address yet; what Binder's environment runs is
checked by `make backends`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from sfc_lib.errors import UserError

BRANCH = "main"
# Pages that build networks, which takes a backend; Binder's image has none.
NEED_BACKEND = {"controls", "method", "playground"}


def address(root: Path) -> str:
    """Address of the repository at `root`; empty where it is not set.

    Raises:
        UserError: It is not `https://github.com/OWNER/NAME`, which Binder and Colab take apart.
    """
    file = root / "pyproject.toml"
    project = tomllib.loads(file.read_text()).get("project", {}) if file.is_file() else {}
    found = project.get("urls", {}).get("Repository", "")
    if found and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", found):
        raise UserError(
            f"{file}: Repository in [project.urls]: expected https://github.com/OWNER/NAME, "
            f"got {found!r}."
        )
    return found


def theme_options(found: str) -> dict[str, Any]:
    """Options of the book's theme for an address: buttons to the repository and its issues."""
    if not found:
        return {}
    shown = dict.fromkeys(("use_repository_button", "use_issues_button"), True)
    return {"repository_url": found, "repository_branch": BRANCH, **shown}


def run_it_yourself(name: str, found: str) -> dict[str, Any]:
    """A notebook's Markdown cell: how to run the notebook `name`, here and, by `found`, there."""
    lines = [
        "````{admonition} Run it yourself",
        ":class: dropdown",
        f"{{download}}`Download the notebook <../../notebooks/{name}.ipynb>`. "
        "It runs in a clone of the repository:",
        "In JupyterLab, where you edit its parameters cell and run all:",
        *_command(f".venv/bin/jupyter lab notebooks/{name}.ipynb"),
        "Without an editor, its parameters first, which are checked before anything runs:",
        *_command(f".venv/bin/sfc notebook {name} --list-parameters"),
        *_command(f".venv/bin/sfc notebook {name} -o {name}.out.ipynb"),
        *(_elsewhere(name, found) if found else []),
        "````",
    ]
    source = "\n".join(lines)
    return {"cell_type": "markdown", "id": "run-it-yourself", "metadata": {}, "source": source}


def _button(words: str, link: str) -> list[str]:
    """A button that leads elsewhere."""
    return [f":::{{button-link}} {link}", ":color: primary", words, ":::", ""]


def _command(line: str) -> list[str]:
    """A block with a button that copies it."""
    return ["```bash", line, "```"]


def _elsewhere(name: str, found: str) -> list[str]:
    """Lines on running a notebook where nothing needs to be installed."""
    repository = found.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{repository}/{BRANCH}?labpath=notebooks%2F{name}.ipynb"
    colab = f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/notebooks/{name}.ipynb"
    reads = [
        *_button("Open on Binder", binder),
        "Binder reads the published records and draws, and figures can be edited there; it has no "
        "TensorFlow, so what would train fails.",
    ]
    return [
        *(reads if name not in NEED_BACKEND else ["Not on Binder, which has no TensorFlow."]),
        "",
        *_button("Open in Colab", colab),
        "Colab trains too. Run this cell first there:",
        "```text",
        f"!git clone -q --depth 1 {found} sfc",
        "%cd sfc",
        "%pip install -q -e . logomaker",
        "```",
    ]
