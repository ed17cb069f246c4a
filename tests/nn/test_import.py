"""Importing the room: what is registered, and what is said where Keras has no backend."""

import os
import subprocess
import sys

import pytest

from sfc_lib.nn import keras
from sfc_lib.nn.architectures import build_model

BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


def python(code, *arguments, backend):
    """A finished process without the modules of the first argument."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("backend", "code"),
    [
        ("tensorflow", "from sfc_lib import build_model"),
        ("jax", "import sfc_lib.runs.training"),
        ("torch", "import sfc_lib.runs.model_file"),
    ],
)
def test_without_the_backend_the_error_says_what_to_install(backend, code):
    done = python(code, backend, backend=backend)
    assert done.stderr.splitlines()[-1].startswith(
        f"sfc_lib.errors.UserError: Keras needs {backend}, which is not installed: "
        f'pip install "sfc_lib[{backend}]"'
    )


def test_other_missing_modules_are_named_as_ever():
    done = python("from sfc_lib.nn import keras", "absl", backend="tensorflow")
    assert "ModuleNotFoundError: No module named 'absl'" in done.stderr


def test_one_import_registers_all_classes_with_keras(tmp_path):
    """So that `keras.models.load_model` reads a model of this library."""
    model = build_model("simulated_tf", "symm", length=60, tasks=2, width=0.1, curvature=1.0)
    model.save(tmp_path / "model.keras")
    code = (
        "from sfc_lib.nn import keras\nprint(keras.models.load_model(sys.argv[2]).count_params())"
    )
    done = python(code, "none", tmp_path / "model.keras", backend=keras.backend.backend())
    assert done.stdout.split()[-1:] == [str(model.count_params())], done.stderr
