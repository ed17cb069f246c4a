"""The package: a light import, and a wheel that works alone. `make lint` checks the arrows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sfc_lib

REPOSITORY = Path(sfc_lib.__file__).parent.parent


def run(code, cwd, **environment):
    """Standard output of Python code in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light(tmp_path):
    code = (
        "import sys, sfc_lib, sfc_lib.cli\n"
        "from sfc_lib import RunSpec, ensure, load_dataset\n"
        "from sfc_lib.runs.sizes import load_size\n"
        "load_size('quick'), load_dataset('simulated_tf', examples=40)\n"
        "print(*sys.modules)"
    )
    loaded = set(run(code, tmp_path).split())
    assert "sfc_lib.datasets.simulated_tf" in loaded
    backends = {"tensorflow", "keras", "jax", "torch"}
    assert not loaded & {*backends, "matplotlib", "sklearn", "pandas", "requests", "urllib3"}


def test_training_takes_numpy_and_keras_alone(tmp_path):
    """A bundle is trained where pip has installed nothing else; its companions come along."""
    code = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
sys.argv[1:] = "jinja2 matplotlib pandas scipy seaborn sklearn".split()
import sfc_lib.cli, sfc_lib.runs.bundle, sfc_lib.runs.training
from sfc_lib.datasets.base import RECIPES, make_recipe
for name in set(RECIPES) - {"custom"}:
    print(make_recipe(name).fingerprint)
"""
    fingerprints = run(code, tmp_path).splitlines()
    assert {len(fingerprint) for fingerprint in fingerprints} == {64}
    assert len(fingerprints) == 4


@pytest.mark.parametrize("name", sfc_lib.__all__)
def test_public_name_resolves_and_is_documented(name):
    value = getattr(sfc_lib, name)
    assert name in dir(sfc_lib)
    assert name == "__version__" or len(value.__doc__) > 80


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sfc_lib' has no attribute 'nonsense'"):
        sfc_lib.nonsense  # noqa: B018


def test_wheel_alone_generates_data_builds_all_models_and_trains(tmp_path):
    """Installed away from the checkout: whatever the repository would lend must be in it."""
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    subprocess.run([*pip, *build, str(REPOSITORY)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, work = tmp_path / "site", tmp_path / "work"
    install = ["install", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, *install, str(wheel)], check=True)
    work.mkdir()
    (work / "script.py").write_text(SCRIPT)
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("SFC_")}
    environment |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=work, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    home, published, models, status = done.stdout.split()
    assert Path(home).parents[1] == site
    assert (published, models, status) == ("None", "12", "done")
    assert (work / "runs").is_dir()
    assert list((tmp_path / "cache").glob("sfc_lib/datasets/simulated_tf-*/dataset.json"))


SCRIPT = """
import sys

if __name__ == "__main__":
    import sfc_lib
    from sfc_lib.files import published_dir

    print(sfc_lib.__file__, published_dir())
    data = sfc_lib.load_dataset("simulated_tf", examples=80)
    assert data.train.codes.shape == (64, 200)
    spec = sfc_lib.RunSpec(dataset_options={"examples": 80}, epochs=1, width=0.1)
    (record,) = sfc_lib.ensure([spec], jobs=1, progress=False)
    assert not {"keras", "tensorflow"} & set(sys.modules)
    lengths = {"simulated_tf": 200, "chip_seq": 1000, "basset": 1000, "compact": 200}
    models = [
        sfc_lib.build_model(architecture, variant, length=length, tasks=2, width=0.1)
        for architecture, length in lengths.items()
        for variant in ("std", "sep", "symm")
    ]
    print(sum(model.count_params() > 0 for model in models), record.result["status"])
"""
