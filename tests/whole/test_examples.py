"""The examples in docstrings are run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import sfc_lib

MODULES = [item.name for item in pkgutil.walk_packages(sfc_lib.__path__, "sfc_lib.")]
OF_TORCH = {"sfc_lib.nn.torch_layer", "sfc_lib.nn.to_torch"}  # which the lock file leaves out


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, tmp_path, monkeypatch, require_backend):
    if name in OF_TORCH:
        require_backend("torch")
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        example
        for name in MODULES
        if name not in OF_TORCH
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(found) > 50
