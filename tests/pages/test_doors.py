"""What the repository's address opens: links on a page, buttons of the theme; nothing without."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from sfc_lib.errors import UserError
from sfc_lib.pages import book, doors
from sfc_lib.pages.notebook import notebook_path, parameters

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/somebody/something"
HOSTS = ("github.com", "mybinder.org", "colab.research.google.com")


def repository(folder, address=""):
    """A folder with a book of two pages, one of them a notebook, and a setting."""
    urls = f'\n[project.urls]\nRepository = "{address}"\n' if address else ""
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}')
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "figure2_learning_curves.ipynb", folder / "notebooks")
    source = folder / "book"
    (source / "_executed").mkdir(parents=True)
    (source / "assets").mkdir()
    shutil.copytree(ROOT / "book" / "_ext", source / "_ext")
    shutil.copytree(ROOT / "book" / "_static", source / "_static")
    for name in ("_config.yml", "references.bib"):
        shutil.copy(ROOT / "book" / name, source)
    (source / "_toc.yml").write_text(
        "format: jb-book\nroot: prose\nchapters:\n- file: _executed/figure2_learning_curves\n"
    )
    (source / "prose.md").write_text("# Prose\n\nNothing to run.\n")
    cell = doors.run_it_yourself("figure2_learning_curves", doors.address(folder))
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Figure 2"}
    content = {"cells": [title, cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (source / "_executed" / "figure2_learning_curves.ipynb").write_text(json.dumps(content))
    return source


@pytest.fixture(scope="module", params=["", ADDRESS], ids=["no address", "an address"])
def built(request, tmp_path_factory):
    """The address, and the pages of the book built with it."""
    source = repository(tmp_path_factory.mktemp("repository"), request.param)
    return request.param, book._build_pages(source, tmp_path_factory.mktemp("scratch"))


def links(page):
    return re.findall(r'href="([^"]+)"', page.read_text())


def test_every_page_leads_to_the_repository_and_its_issues_once_there_is_one(built):
    address, html = built
    for page in (html / "prose.html", html / "_executed" / "figure2_learning_curves.html"):
        found = [link for link in links(page) if link.startswith(ADDRESS)]
        assert (address in found) == bool(address)
        assert any("/issues/new" in link for link in found) == bool(address)


def test_binder_and_colab_are_there_once_there_is_an_address(built):
    address, html = built
    page = html / "_executed" / "figure2_learning_curves.html"
    outside = [link for link in links(page) if any(host in link for host in HOSTS)]
    for host in HOSTS:
        assert any(host in link for link in outside) == bool(address), host
    assert ("no TensorFlow" in page.read_text()) == bool(address)


def test_a_notebook_page_always_has_the_notebook_and_the_commands(built):
    _, html = built
    page = html / "_executed" / "figure2_learning_curves.html"
    (link,) = [link for link in links(page) if "_downloads" in link]
    committed = ROOT / "notebooks" / "figure2_learning_curves.ipynb"
    assert (page.parent / link).resolve().read_bytes() == committed.read_bytes()
    text = re.sub(r"<[^>]+>", "", page.read_text())
    assert ".venv/bin/jupyter lab notebooks/figure2_learning_curves.ipynb" in text
    assert ".venv/bin/sfc notebook figure2_learning_curves" in text
    assert "_downloads" not in (html / "prose.html").read_text()


def test_links_name_the_notebook_and_the_cell_for_colab_gets_the_library():
    source = doors.run_it_yourself("figure1_performance", ADDRESS)["source"]
    assert (
        "https://mybinder.org/v2/gh/somebody/something/main"
        "?labpath=notebooks%2Ffigure1_performance.ipynb" in source
    )
    assert (
        "https://colab.research.google.com/github/somebody/something/blob/main"
        "/notebooks/figure1_performance.ipynb" in source
    )
    assert f"!git clone -q --depth 1 {ADDRESS} sfc\n%cd sfc\n%pip install" in source


@pytest.mark.parametrize("name", sorted(doors.NEED_BACKEND))
def test_what_needs_a_backend_is_not_sent_to_binder(name):
    source = doors.run_it_yourself(name, ADDRESS)["source"]
    assert "mybinder.org" not in source
    assert "Not on Binder" in source
    assert "colab.research.google.com" in source


def test_the_commands_of_every_notebook_name_one_that_is_there():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        source = doors.run_it_yourself(path.stem, "")["source"]
        for name in re.findall(r"sfc notebook (\w+)", source):
            assert parameters(notebook_path(name)) is not None
            assert name == path.stem
        assert not re.search("https?:", source)


@pytest.mark.parametrize(
    "address", ["http://github.com/a/b", "https://github.com/a", "https://example.org/a/b", "a/b"]
)
def test_another_address_is_refused_in_one_line(tmp_path, address):
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "x"\n[project.urls]\nRepository = "{address}"\n'
    )
    with pytest.raises(UserError, match=r"expected https://github\.com/OWNER/NAME, got") as error:
        doors.address(tmp_path)
    assert "\n" not in str(error.value)


def test_without_a_setting_there_is_no_address_and_no_option(tmp_path):
    assert doors.address(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    assert doors.address(tmp_path) == ""
    assert doors.theme_options("") == {}


def test_the_setting_of_this_repository_is_one_that_is_understood():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {})
    assert doors.address(ROOT) == urls.get("Repository", "")
