"""Notebooks are thin, and their parameters are refused by name when they are wrong."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.pages import notebook
from sfc_lib.pages.notebook import check_parameters, parameters, run_notebook
from sfc_lib.runs.sizes import load_size

FOLDER = checkout() / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))


def small_notebook(path, body, declared="count: int = 2  # how many"):
    cells = [nbformat.v4.new_code_cell(declared), nbformat.v4.new_code_cell(body)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "-"}
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_is_thin_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = "\n".join(cell.source for cell in code)
    python = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    kinds = {type(node) for node in ast.walk(ast.parse(python))}
    assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While}
    assert not re.search(r"""["']\.{0,2}/""", source), "a path"
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert parameters(path), "no parameters cell"
    assert all(item.help for item in parameters(path).values()), "a parameter without comment"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 3}, r"parameters \['count'\], got 'cuont'"),
        ({"count": "three"}, r"parameter count: expected int \(how many\), got 'three'"),
        ({"count": 2.5}, "parameter count: expected int"),
        ({"count": True}, "parameter count: expected int"),
        ({"count": "2.0"}, "parameter count: expected int"),
    ],
)
def test_bad_parameter_is_named_and_nothing_is_written(values, message, tmp_path):
    path = small_notebook(tmp_path / "in.ipynb", "count")
    with pytest.raises(UserError, match=message):
        run_notebook(path, tmp_path / "out.ipynb", values)
    assert [file.name for file in tmp_path.iterdir()] == ["in.ipynb"]


@pytest.mark.parametrize("values", [{"sedes": "3"}, {"seeds": "many"}])
def test_bad_parameter_is_refused_before_anything_slow_is_imported(values):
    code = (
        "import sys\nfrom sfc_lib.pages import notebook\n"
        "try: notebook.run_notebook(notebook.notebook_path('index'), None, {values})\n"
        "except notebook.UserError as error: print(error)\n"
        "print({{'papermill', 'nbformat', 'numpy', 'keras', 'tqdm'}} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.format(values=values)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    error, imported = done.stdout.splitlines()
    assert "seeds" in error
    assert imported == "set()"


def test_place_that_cant_be_written_is_refused_before_anything_runs(tmp_path):
    ran = tmp_path / "ran"
    path = small_notebook(tmp_path / "in.ipynb", f"open({str(ran)!r}, 'w')")
    for output in (path / "out.ipynb", Path("/proc/out.ipynb")):
        with pytest.raises(UserError, match=rf"^{output.parent}: expected a folder that can be wr"):
            run_notebook(path, output, {})
    with pytest.raises(UserError, match=rf"^{tmp_path}: expected the name of a notebook, got a fo"):
        run_notebook(path, tmp_path, {})
    assert not ran.exists()


def test_strings_from_the_command_line_become_the_declared_type(tmp_path):
    declared = (
        "i: int = 1  # a\nf: float = 1.0  # b\ns: str = ''  # c\n"
        "b: bool = False  # d\nl: list = []  # e"
    )
    path = small_notebook(tmp_path / "in.ipynb", "i", declared)
    given = {"i": "3", "f": "2", "s": "3", "b": "true", "l": "[1, 2]"}
    assert check_parameters(path, given) == {"i": 3, "f": 2.0, "s": "3", "b": True, "l": [1, 2]}


def test_run_uses_the_parameter_and_keeps_defaults(tmp_path):
    path = small_notebook(tmp_path / "in.ipynb", "print(count * 10)")
    for values, printed in (({}, "20"), ({"count": 7}, "70")):
        out = run_notebook(path, tmp_path / "out.ipynb", values)
        outputs = nbformat.read(out, as_version=4).cells[-1].outputs
        assert outputs[0].text.strip() == printed


def test_failing_cell_is_named_and_the_old_output_stays(tmp_path):
    path = small_notebook(tmp_path / "in.ipynb", "1 / 0")
    out = tmp_path / "out.ipynb"
    out.write_text("old")
    with pytest.raises(UserError, match=r"in: cell .* ZeroDivisionError: division by zero"):
        run_notebook(path, out, {})
    assert out.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.ipynb", "out.ipynb"]


def test_undeclared_types_in_a_parameters_cell_are_refused(tmp_path):
    path = small_notebook(tmp_path / "in.ipynb", "count", "count = 2")
    with pytest.raises(UserError, match="expected lines `name: type = value"):
        parameters(path)


def test_unknown_notebook_lists_those_there_are():
    with pytest.raises(UserError, match=r"figure1_performance.*got 'figure9'"):
        notebook.notebook_path("figure9")


def test_plain_papermill_works_as_the_readme_says(tmp_path):
    out = tmp_path / "out.ipynb"
    command = ["-m", "papermill", "notebooks/figure2_learning_curves.ipynb", str(out)]
    subprocess.run(
        [sys.executable, *command, "-p", "seeds", "3", "--no-progress-bar"],
        cwd=checkout(), check=True, capture_output=True,
    )  # fmt: skip
    text = json.dumps(nbformat.read(out, as_version=4))
    assert "3 seeds of each model" in text
    assert "image/svg+xml" in text


SMOKE = {"size": "smoke", "seeds": 1}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A user's folder where Figure 1 has trained what was missing into `mine`; and the page."""
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SFC_RUNS_DIR", "mine")
        page = run_notebook(FOLDER / "figure1_performance.ipynb", folder / "out.ipynb", SMOKE)
    return folder, json.dumps(nbformat.read(page, 4))


def test_figure_notebook_trains_what_is_missing_where_the_user_says(smoke):
    folder, text = smoke
    assert "size **smoke**" in text
    assert "?&nbsp;undecided" in text
    trained = {run.name for run in (folder / "mine").iterdir()}
    assert {spec.id for spec in load_size("smoke", 1).specs} == trained
    assert not (FOLDER / "mine").exists()


def test_figures_3_and_4_show_runs_that_were_just_trained(smoke, tmp_path, monkeypatch):
    monkeypatch.chdir(smoke[0])
    monkeypatch.setenv("SFC_RUNS_DIR", "mine")
    pages = {}
    for name in ("figure3_importance", "figure4_positional_weights"):
        out = run_notebook(FOLDER / f"{name}.ipynb", tmp_path / f"{name}.ipynb", SMOKE)
        pages[name] = json.dumps(nbformat.read(out, 4), ensure_ascii=False)
        assert "size **smoke**" in pages[name]
        assert "image/svg+xml" in pages[name]
    assert "known for all 3 runs" in pages["figure3_importance"]
    assert "seeds with a profile" in pages["figure3_importance"]
    assert "?&nbsp;undecided" in pages["figure3_importance"]
    assert "sfc-widget" in pages["figure4_positional_weights"]
    assert "**not answered** yet" in pages["figure4_positional_weights"]


# Parameters checked by the notebook itself, as plain papermill and JupyterLab run it


def injected(tmp_path, declared="count: int = 2  # how many\njobs: int = 0  # processes", **values):
    """Outputs of a notebook that checks its parameters and prints them, under plain papermill."""
    import papermill

    path = small_notebook(tmp_path / "in.ipynb", "print(count)", declared)
    content = nbformat.read(path, as_version=4)
    check = "from sfc_lib.pages.notebook import check\n\ncheck(globals())"
    content.cells.insert(1, nbformat.v4.new_code_cell(check))
    nbformat.write(content, path)
    done = papermill.execute_notebook(path, None, parameters=values, progress_bar=False)
    return done.cells[-1].outputs[0].text.strip()


def test_a_notebook_under_plain_papermill_takes_good_values(tmp_path):
    assert injected(tmp_path, count=7) == "7"
    assert injected(tmp_path, count="8") == "8", "as papermill's command line passes it"
    assert injected(tmp_path, "count: int | list = 0  # seeds", count=[1, 2]) == "[1, 2]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 3}, "this notebook has the parameters ['count', 'jobs'], got 'cuont'."),
        ({"count": "three"}, "parameter count: expected int (see the parameters cell), got"),
        ({"jobs": -1}, "parameter jobs: expected a number >= 0, got -1."),
    ],
)
def test_a_notebook_under_plain_papermill_refuses_in_one_line(values, message, tmp_path):
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError) as error:
        injected(tmp_path, **values)
    assert error.value.ename == "UserError"
    assert len(error.value.traceback) == 1, "no traceback"
    assert message in error.value.traceback[0]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("metric", "both", "accuracy"),
        ("curve", "auprc", "both"),
        ("smoothing", 3, 0),
        ("levels", [0.8, 0.9, 0.95], [0.4, 0.5, 0.6]),
        ("levels", [], [0.8]),
        ("seed", "best", "worst"),
        ("seed", 0, -1),
        ("clusters", 1, 0),
        ("sequences", 0, -5),
        ("normalisation", "norm", "max"),
        ("strengths", [0, 1.5], [-1]),
        ("strengths", [], ["a"]),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name, good, bad):
    kinds = " | ".join(dict.fromkeys(type(value).__name__ for value in (good, bad)))
    parameter = notebook.Parameter(name, kinds, good, "")
    assert parameter.read(good) == good
    with pytest.raises(UserError, match=rf"parameter {name}: expected .*, got"):
        parameter.read(bad)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_checks_its_parameters_before_anything_else(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert code[0].metadata.tags[0] == "parameters"
    assert "check(globals())" in code[1].source


def test_the_runs_that_a_notebook_asks_for_are_told_and_trained_before_it(monkeypatch, capsys):
    asked = []

    def ensure(specs, **how):
        asked.extend(specs)
        raise UserError("that will do")

    monkeypatch.setattr("sfc_lib.pages.results.ensure", ensure)
    change = {"epochs": 3}
    with pytest.raises(UserError, match="that will do"):
        notebook.train_missing(
            {"size": "quick", "seeds": [2], "published": True, "jobs": 1}
            | {"experiments": [], "models": ["sep"], "change": change}
        )
    assert "1 run has no record: training with 1 process" in capsys.readouterr().out
    assert [(s.variant, s.seed, s.epochs) for s in asked] == [("sep", 2, 3)]
