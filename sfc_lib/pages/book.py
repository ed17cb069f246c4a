"""The book: every notebook executed by papermill, then all pages built by Jupyter Book.

The table of contents, `book/_toc.yml`, decides what is in it: a page `_executed/NAME` is
the notebook `notebooks/NAME.ipynb`. What is built needs no network to read.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_folder, remove, scratch_in, writable, write_json
from sfc_lib.pages import claims
from sfc_lib.pages.doors import address, run_it_yourself
from sfc_lib.pages.notebook import parameters, repository, run_notebook, train_missing
from sfc_lib.pages.results import load_results, with_evidence
from sfc_lib.pages.widget import move_data

EXECUTED, MATHJAX = "_executed", "sphinx-mathjax-offline"
# Scripts that pages load from beside them: in the book's assets, and file of a distribution.
SCRIPTS = {
    "mathjax/tex-svg.js": (MATHJAX, f"{MATHJAX}/static/mathjax/tex-svg.js"),
}
WIDGET = "application/vnd.jupyter.widget-view+json"
BUILT = ".buildinfo"  # Sphinx leaves it in every folder it has built
TAIL = 40  # lines of a failed build's log that are shown
TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build_book(
    output: Path,
    *,
    size: str = "standard",
    seeds: int | None = None,
    published: bool = True,
    jobs: int = 2,
) -> Path:
    """Execute every notebook of the book, build its pages, and put them into `output`.

    Args:
        output: Folder of the finished pages: a new one, an empty one, or an older book,
            which is replaced once the new one is whole.
        size: Size of the replication that the pages show.
        seeds: Seeds of each model; the size's own number if None or 0.
        published: Whether to read the published run records too.
        jobs: Notebooks that are executed at once; before, where runs are missing, processes
            that train at once.

    Returns:
        Path of the page to open, `index.html`.

    Raises:
        UserError: There is no repository, a page failed, `output` holds something else or
            can't be written. What was there before is still there.
    """
    root = repository()
    output = output.expanduser().resolve()
    _require_replaceable(output)
    writable(output.parent)
    values = {"size": size, "seeds": seeds or 0, "published": published, "jobs": jobs}
    names = [Path(page).name for page in chapters(root / "book") if page.startswith(EXECUTED)]
    executed = root / "book" / EXECUTED
    executed.mkdir(exist_ok=True)
    with (
        FileLock(executed / ".lock"),
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as scratch,
        tqdm(total=len(names) + 1, unit="step", desc="book") as bar,
    ):
        for left in scratch_in(executed):  # by a build that was killed; we hold the lock
            remove(left)
        remove(root / "book" / "assets")  # what a page held that is no more would stay
        _copy_scripts(root / "book" / "assets")
        train_missing(values)  # for all of them here, lest two notebooks train one run
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            pages = {
                pool.submit(_in_thread, root / "notebooks" / f"{n}.ipynb", executed, values): n
                for n in names
            }
            try:
                for page in as_completed(pages):
                    page.result()
                    bar.set_postfix_str(pages[page])
                    bar.update()
            finally:
                pool.shutdown(cancel_futures=True)
        _write_claims(root / "book" / "assets", size, seeds or 0, published)
        bar.set_postfix_str("pages")
        built = _build_pages(root / "book", Path(scratch))
        with atomic_folder(output) as new:
            built.rename(new)
        bar.update()
    return output / "index.html"


def chapters(book: Path) -> list[str]:
    """Pages in a book folder's table of contents, in their order, without suffix.

    Example:

    >>> chapters(repository() / "book")[0]
    '_executed/index'
    """
    import yaml  # comes with Jupyter Book

    content = yaml.safe_load((book / "_toc.yml").read_text())
    return [content["root"], *(chapter["file"] for chapter in content["chapters"])]


def _in_thread(*arguments: Any) -> None:
    """`_execute`, and close the event loop that a notebook's client leaves to its thread."""
    from jupyter_core.utils import ensure_event_loop

    try:
        _execute(*arguments)
    finally:
        ensure_event_loop().close()


def _execute(notebook: Path, folder: Path, values: Mapping[str, object]) -> None:
    """Execute a notebook, with those of the values that it declares, into a folder."""
    output = folder / notebook.name
    try:
        declared = values.keys() & parameters(notebook)
        run_notebook(notebook, output, {name: values[name] for name in declared})
    except (UserError, OSError, RuntimeError) as error:
        raise UserError(f"page {notebook.stem} failed: {error}") from error
    content = json.loads(output.read_text())
    content["cells"].append(run_it_yourself(notebook.stem, address(repository())))
    _tidy(content)
    move_data(content, notebook.parent.parent / "book" / "assets")
    write_json(output, content)


def _tidy(notebook: dict[str, Any]) -> None:
    """Leave out of an executed notebook what no reader of the book should meet.

    These are folders of this machine, finished progress bars, whose scripts a page would fetch
    from the network. Code goes into one folded block at the end.
    """
    for name in ("papermill", "widgets"):
        notebook["metadata"].pop(name, None)
    code = [cell for cell in notebook["cells"] if "outputs" in cell]
    for cell in code:
        cell["metadata"].setdefault("tags", []).append("remove-input")
    notebook["cells"].append(_how_made(code))
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [o for o in cell["outputs"] if WIDGET not in o.get("data", {})]


def _how_made(code: list[dict[str, Any]]) -> dict[str, Any]:
    """A folded cell with the code of all others."""
    source = "\n\n".join("".join(cell["source"]).strip() for cell in code)
    lines = ["````{admonition} How this page was made", ":class: dropdown"]
    lines += ["```python", source.replace("%config", "# %config"), "```", "````"]
    return {
        "cell_type": "markdown",
        "id": "how-made",
        "metadata": {},
        "source": "\n".join(lines),
    }


def _copy_scripts(assets: Path) -> None:
    """Copy MathJax beside the pages, by its file: the book fetches nothing."""
    for target, (package, file) in SCRIPTS.items():
        try:
            source = importlib.metadata.distribution(package).locate_file(file)
            (assets / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(source), assets / target)
        except (importlib.metadata.PackageNotFoundError, FileNotFoundError) as error:
            raise UserError(
                f"the book needs {Path(file).name} from {package} ({error}). "
                "Install the extra: pip install 'sfc-lib[book]'."
            ) from error


def _build_pages(book: Path, scratch: Path) -> Path:
    """Run Jupyter Book with warnings as errors; returns the folder of the pages."""
    run_main = "from jupyter_book.cli.main import main; main()"
    options = ["--path-output", str(scratch), "-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", run_main, "build", str(book), *options]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
    done = subprocess.run(command, check=False, cwd=book.parent, **pipes)
    if done.returncode:
        lines = TERMINAL_COLOURS.sub("", done.stdout).splitlines()
        warned = [line for line in lines if re.search("(WARNING|ERROR): (?!All log)", line)]
        shown = "\n".join([*warned, "...", *lines[-TAIL:]])
        raise UserError(f"Jupyter Book failed with exit status {done.returncode}:\n{shown}")
    return scratch / "_build" / "html"


def _write_claims(assets: Path, size: str, seeds: int, published: bool) -> None:
    """The verdicts beside the pages, as JSON and CSV."""
    grades = claims.grade(with_evidence(load_results(size, seeds, published, jobs=0), published))
    for form in ("json", "csv"):
        (assets / f"claims.{form}").write_text(claims.FORMATS[form](grades), encoding="utf-8")


def _require_replaceable(output: Path) -> None:
    """Refuse to replace anything but a book or an empty folder."""
    empty = not any(output.iterdir()) if output.is_dir() else not output.exists()
    if not empty and not (output / BUILT).is_file():
        raise UserError(
            f"{output}: expected a new or empty folder or an older book, got other files."
        )
