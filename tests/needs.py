"""Modules that tests of one package need: skipped where it is absent, failed where required."""

import importlib
import importlib.util
import os

import pytest


def need(name, required_by="SFC_REQUIRE_BACKENDS"):
    """The module of that name, for tests that can do nothing without its package."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        reason = f"the optional package {name} is not installed"
        if os.environ.get(required_by) == "1":
            pytest.fail(f"{required_by}=1, but {reason}", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
    return importlib.import_module(name)
