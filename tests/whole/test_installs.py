"""The wheel in fresh environments: without a backend, with each one alone, Binder's; a bundle.

Not of the usual tests: `make backends` runs them, and shows what it measured.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import sfc_lib
from sfc_lib.files import runs_dir
from sfc_lib.pages.doors import NEED_BACKEND
from sfc_lib.runs import bundle
from sfc_lib.runs.pool import run_one
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify_record
from sfc_lib.runs.worker import Processes

pytestmark = pytest.mark.installs
BASE = 400e6  # bytes that the wheels of the base install may unpack to
BINDER = 1e9  # of those of Binder's image, beside its own system and JupyterLab
REPOSITORY = Path(sfc_lib.__file__).parent.parent
NOTEBOOKS = {path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb")}
ON_BINDER = sorted(NOTEBOOKS - NEED_BACKEND)
OURS = {"PYTHONPATH", "KERAS_BACKEND", "SFC_PUBLISHED_DIR"}


class Environment:
    """A new virtual environment, outside the repository."""

    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.folder, self.python = folder, folder / "venv" / "bin" / "python"

    def install(self, *requirements):
        command = [self.python, "-m", "pip", "install", "-q", *requirements]
        subprocess.run(command, check=True, cwd=self.folder)

    def run(self, code):
        """What a script there does; its data and runs stay in the environment's folder."""
        script = self.folder / "script.py"
        script.write_text(textwrap.dedent(code))
        own = {f"SFC_{name}_DIR": str(self.folder / name) for name in ("DATA", "RUNS")}
        environment = {name: os.environ[name] for name in os.environ if name not in OURS} | own
        command = [self.python, script]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )

    def size(self):
        """Bytes of what was installed, without pip itself and compiled bytecode."""
        (site,) = self.folder.glob("venv/lib/python*/site-packages")
        files = [path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        tools = ("pip", "setuptools", "pkg_resources")
        return sum(
            path.stat().st_size
            for path in files
            if not path.relative_to(site).parts[0].startswith(tools)
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    return next(folder.glob("*.whl"))


def requirement(backend):
    """The release that is installed here, else the newest."""
    try:
        return f"{backend}=={importlib.metadata.version(backend).partition('+')[0]}"
    except importlib.metadata.PackageNotFoundError:
        return backend


def test_without_a_backend(wheel, tmp_path):
    fresh = Environment(tmp_path)
    fresh.install(wheel)
    done = fresh.run(
        """
        import time
        start = time.perf_counter()
        import sfc_lib
        print(time.perf_counter() - start)
        sfc_lib.load_dataset("simulated_tf", examples=80)
        sfc_lib.build_model("simulated_tf", "sep", length=200, tasks=1)
        """
    )
    print(f"\nbase: {fresh.size() / 1e6:.0f} MB, import {float(done.stdout):.2f} s, {done.stderr}")
    assert done.returncode == 1
    assert 'pip install "sfc_lib[tensorflow]"' in done.stderr.splitlines()[-1]
    assert float(done.stdout) < 1
    assert fresh.size() < BASE


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_one_backend_alone_trains_a_spec(backend, wheel, tmp_path):
    fresh = Environment(tmp_path)
    fresh.install(wheel, requirement(backend))
    done = fresh.run(
        f"""
        import importlib.util
        from sfc_lib import RunSpec, ensure

        if __name__ == "__main__":
            spec = RunSpec(
                backend="{backend}", dataset_options={{"examples": 400}}, epochs=2, width=0.25
            )
            (record,) = ensure([spec], jobs=1, progress=False)
            others = {{"tensorflow", "jax", "torch"}} - {{"{backend}"}}
            print(*filter(importlib.util.find_spec, others))
            print(record.result["status"], record.result["epochs"], *record.result["valid"])
        """
    )
    print(f"\n{backend}: {fresh.size() / 1e6:.0f} MB, {done.stdout}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == ""
    assert done.stdout.splitlines()[1].startswith("done 2 auprc")


def test_bundle_is_trained_where_keras_and_jax_are_all_there_is(tmp_path):
    """No wheel is installed, no network is used; the same bytes as in this environment."""
    spec = RunSpec(backend="jax", dataset_options={"examples": 800}, epochs=3, width=0.25)
    folder, fresh = tmp_path / "bundle", Environment(tmp_path)
    packed = bundle.pack([spec], folder)
    fresh.install(requirement("keras"), requirement("jax"))
    environment = {name: os.environ[name] for name in os.environ if name not in OURS}
    began = time.perf_counter()
    done = subprocess.run(
        [fresh.python, folder / "train.py", "--limit", "540s"],
        cwd=tmp_path,
        env=environment | {"HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    assert bundle.bring_home(folder).taken == (spec.id,)
    with Processes(1) as pool:
        pool.submit(run_one, spec.to_dict(), str(tmp_path / "here")).result()
    record = verify_record(runs_dir() / spec.id)
    print(
        f"\nbundle: {packed.size / 1e6:.1f} MB; Keras and JAX {fresh.size() / 1e6:.0f} MB; "
        f"{seconds:.0f} s, of which training {record.result['wall_seconds']:.0f} s"
    )
    assert record.result["files"] == verify_record(tmp_path / "here" / spec.id).result["files"]


@pytest.fixture(scope="module")
def binder(tmp_path_factory):
    """What binder/ makes: its requirements, then the library from a clone, with the records."""
    fresh = Environment(tmp_path_factory.mktemp("binder"))
    fresh.install("-r", REPOSITORY / "binder" / "requirements.txt")
    fresh.install("--no-deps", "-e", REPOSITORY)
    print(f"\nBinder: {fresh.size() / 1e6:.0f} MB")
    assert fresh.size() < BINDER
    return fresh


@pytest.mark.parametrize("name", ON_BINDER)
def test_binder_runs_what_it_says_it_runs(name, binder):
    cells = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    done = binder.run(
        f"""
        import sys
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        for code in {code!r}:
            if not shell.run_cell(code, silent=True).success:
                sys.exit("failed")
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
