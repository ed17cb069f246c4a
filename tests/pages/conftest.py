"""The published results of the size `standard`, loaded once for all tests of pages."""

import pytest

from sfc_lib.pages.results import load_results


@pytest.fixture(scope="session")
def published():
    """Results of all published runs; nothing is trained."""
    return load_results("standard", jobs=0)


@pytest.fixture
def opened(browser, tmp_path):
    """Function that opens what a notebook shows in a page of its own; nothing may go wrong."""
    pages, problems = [], []

    def show(widget, width=1000, at=""):
        path = tmp_path / "page.html"
        path.write_text(f'<!doctype html><meta charset="utf-8">{widget._repr_html_()}')
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda r: r.url.startswith("file:") or problems.append(r.url))
        page.goto(path.as_uri() + at)
        pages.append(page)
        return page

    yield show
    for page in pages:
        page.close()
    assert problems == []
