"""The published results of the size `standard`, loaded once for all tests of pages."""

import pytest

from sfc_lib.pages.results import load_results


@pytest.fixture(scope="session")
def published():
    """Results of all published runs; nothing is trained."""
    return load_results("standard", jobs=0)
