"""The examples in docstrings are run, and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import sfc_lib

MODULES = [item.name for item in pkgutil.walk_packages(sfc_lib.__path__, "sfc_lib.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        e for m in MODULES for t in finder.find(importlib.import_module(m)) for e in t.examples
    ]
    assert len(found) > 50
