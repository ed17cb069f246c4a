"""The whole book, built once and read from the disk in a browser, page by page.

`SFC_BOOK` names the folder of a built book to read instead of building one.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from made_up import with_curvature
from matplotlib.figure import Figure

from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.motifs import Motif
from sfc_lib.pages import book, data, figure4_positional_weights, method
from sfc_lib.pages.notebook import NotebookError

ROOT = Path(__file__).resolve().parents[2]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOCAL = ("file:", "data:", "blob:")


def html_pages(html):
    """Every page a reader can open; the theme's own fragments are none."""
    return sorted(
        path for path in html.rglob("*.html") if "_static" not in path.relative_to(html).parts
    )


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """Folder of the built book."""
    if os.environ.get("SFC_BOOK"):
        return Path(os.environ["SFC_BOOK"]).resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        left = book.checkout() / "book" / book.EXECUTED / ".index.killed.ipynb"  # by a killed build
        left.parent.mkdir(exist_ok=True)
        left.write_text("{}")
        output = tmp_path_factory.mktemp("book") / "html"
        return book.build_book(output).parent


class Reader:
    """A browser window that remembers everything that went wrong in it."""

    def __init__(self, browser, viewport):
        self.context = browser.new_context(viewport=viewport)
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda r: self.problems.append(f"not loaded: {r.url}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("console", self._console)

    def _request(self, request):
        if not request.url.startswith(LOCAL):
            self.problems.append(f"network request: {request.url}")

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def open(self, path, query=""):
        """Open a page and wait until its formulas are set and its images loaded."""
        self.page.goto(path.as_uri() + query, wait_until="load")
        if 'http-equiv="Refresh"' in path.read_text():
            self.page.wait_for_url(lambda url: url != path.as_uri(), wait_until="load")
        self.page.wait_for_function(
            "() => !window.MathJax || (window.MathJax.startup && window.MathJax.startup.promise"
            " && window.MathJax.startup.promise.then(() => true))"
        )
        self.page.evaluate(
            "() => Promise.all([...document.images].map(i => { i.loading = 'eager';"
            " return i.decode().catch(() => null); }))"
        )
        return self.page


@pytest.fixture(scope="session")
def survey(html, browser):
    """What a reader meets on each page, by its path in the book: gathered once, asked often."""
    found = {}
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        reader = Reader(browser, viewport)
        for path in html_pages(html):
            page = reader.open(path)
            notes = page.evaluate(SURVEY)
            notes["problems"], reader.problems = reader.problems, []
            found[path.relative_to(html).as_posix(), size] = notes
        reader.context.close()
    return found


SURVEY = r"""
() => {
  const width = document.documentElement.clientWidth;
  const scrolls = element => {
    // A box of its own, inside the article: the theme lets the whole article scroll.
    for (let box = element.parentElement; box.matches('article *, footer *');
         box = box.parentElement)
      if (getComputedStyle(box).overflowX !== 'visible'
          && box.getBoundingClientRect().right <= width + 1) return true;
    return false;
  };
  const wide = [...document.querySelectorAll('article *, footer *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !scrolls(element);
  });
  const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, node =>
    node.parentElement.closest('script, style, pre, code, mjx-container')
      ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
  const rawMath = [];
  while (text.nextNode())
    if (/\\\(|\\\[|\$\$|\\frac/.test(text.currentNode.data)) rawMath.push(text.currentNode.data);
  return {
    pageWidth: document.documentElement.scrollWidth, viewport: width,
    wide: wide.map(e => e.outerHTML.slice(0, 120)),
    rawMath, formulas: document.querySelectorAll('mjx-container').length,
    badFormulas: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
    images: [...document.images].map(i => ({
      source: i.getAttribute('src'), alt: i.alt, loaded: i.complete && i.naturalWidth > 0})),
    links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id], a[name]')].map(e => e.id || e.name),
    title: document.title, text: document.body.innerText,
  };
}
"""


def complaints(survey, complain, size=None):
    """Those complaints of all pages that are not empty, by page."""
    found = {key: complain(notes) for key, notes in survey.items() if size in (None, key[1])}
    return {key: value for key, value in found.items() if value}


def test_every_page_of_the_contents_is_there(html):
    expected = {f"{page}.html" for page in book.pages(ROOT / "book")}
    built = {path.relative_to(html).as_posix() for path in html_pages(html)}
    assert expected <= built
    assert {"index.html", "search.html", "genindex.html"} <= built


def test_no_page_asks_the_network_or_reports_an_error(survey):
    assert complaints(survey, lambda notes: notes["problems"]) == {}


def test_every_formula_is_set(survey):
    assert survey["_executed/method.html", "desktop"]["formulas"] > 10
    assert complaints(survey, lambda notes: notes["rawMath"]) == {}
    assert complaints(survey, lambda notes: notes["badFormulas"]) == {}


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_no_page_scrolls_sideways(survey, size):
    assert complaints(survey, lambda notes: notes["wide"], size) == {}
    too_wide = complaints(survey, lambda n: max(0, n["pageWidth"] - n["viewport"]), size)
    assert too_wide == {}


def test_every_image_loads_and_says_what_it_shows(survey):
    def bad(notes):
        return [
            image
            for image in notes["images"]
            if not image["loaded"]
            or len(image["alt"].split()) < 3
            or re.search(r"\.(png|svg)$", image["alt"])
        ]

    assert complaints(survey, bad) == {}
    assert survey["_executed/method.html", "desktop"]["images"]


def test_every_internal_link_resolves(survey, html):
    known = {page: set(notes["ids"]) for (page, size), notes in survey.items() if size == "phone"}

    def broken(notes):
        return [link for link in notes["links"] if link.startswith("file:") and not ok(link)]

    def ok(link):
        path, _, anchor = link.partition("#")
        target = path.removeprefix(html.as_uri()).strip("/").partition("?")[0]
        if target not in known:
            return (html / target).is_file() and not anchor
        return not anchor or anchor in known[target] or anchor in ("", "top")

    assert complaints(survey, broken, "desktop") == {}


def test_other_links_are_to_public_addresses(survey):
    assert (
        complaints(
            survey,
            lambda notes: [
                link for link in notes["links"] if not link.startswith(("file:", "https://"))
            ],
            "desktop",
        )
        == {}
    )


def test_the_menu_opens_on_a_phone(html, browser):
    reader = Reader(browser, PHONE)
    page = reader.open(html / "_executed" / "method.html")
    link = page.locator("dialog a", has_text="References").first
    assert not link.is_visible()
    page.locator("button.primary-toggle").first.click()
    link.click()
    page.wait_for_url("**/references.html")
    assert reader.problems == []
    reader.context.close()


def test_the_interactive_figure_is_drawn_without_a_server(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "_executed" / "figure4_positional_weights.html")
    plot = page.locator(".sfc-interactive .js-plotly-plot")
    plot.locator(".heatmaplayer image").first.wait_for(state="attached")
    assert "rows of the clusters" in plot.inner_text()
    assert reader.problems == []
    reader.context.close()


def test_the_slider_shows_the_clusters_of_each_strength(tmp_path, browser):
    result = with_curvature(tmp_path / "records")
    book._copy_scripts(tmp_path)
    html = figure4_positional_weights.weight_slider(result)._repr_mimebundle_()["text/html"]
    path = tmp_path / "pages" / "page.html"
    path.parent.mkdir()
    path.write_text(f'<!doctype html><meta charset="utf-8">{html}')
    reader = Reader(browser, DESKTOP)
    plot = reader.open(path).locator(".js-plotly-plot")
    for index, run in enumerate(figure4_positional_weights.shown(result).itertuples()):
        rail = plot.locator(".slider-rail-touch-rect")
        width = rail.bounding_box()["width"]
        rail.click(position={"x": 1 + index * (width - 2) / 3, "y": 3})
        plot.get_by_text(f"strength of CR: {run.curvature:g}", exact=True).wait_for()
        sizes = ", ".join(map(str, figure4_positional_weights.cluster(run.W_pos).sizes))
        plot.get_by_text(f"rows of the clusters: {sizes}").wait_for(state="attached")
    assert reader.problems == []
    reader.context.close()


def test_the_search_finds_a_page_without_a_server(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "search.html", "?q=curvature")
    page.locator("#search-results li a").get_by_text("The method", exact=True).wait_for()
    assert reader.problems == []
    reader.context.close()


def test_the_first_page_leads_to_the_book(survey):
    assert survey["index.html", "desktop"]["title"].startswith("Separable fully connected")


def test_nothing_names_a_folder_of_this_machine(html):
    here = {str(ROOT), str(Path.home()), str(html)} - {"/"}
    named = [
        path.relative_to(html).as_posix()
        for path in html.rglob("*")
        if path.suffix in (".html", ".ipynb", ".md", ".js", ".svg", ".txt", ".inv")
        and any(folder in path.read_text(errors="replace") for folder in here)
    ]
    assert named == []


def test_notebooks_in_the_repository_hold_no_outputs():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert cell["id"]
            assert not cell.get("outputs"), path
            assert cell.get("execution_count") is None, path


# How a build fails; nothing of these reaches Jupyter Book.


def test_a_failing_page_fails_the_build(tmp_path, monkeypatch):
    def fail(notebook, output, values):
        raise NotebookError("cell 2 failed with ZeroDivisionError: division by zero")

    monkeypatch.setattr(book, "run_notebook", fail)
    with pytest.raises(book.BookError, match=r"page index failed: cell 2 failed with ZeroDiv"):
        book.build_book(tmp_path / "html")
    assert not (tmp_path / "html").exists()


def test_a_notebook_gets_the_parameters_it_declares(tmp_path, monkeypatch):
    given = {}

    def remember(notebook, output, values):
        given[notebook.stem] = dict(values)
        output.write_text(json.dumps({"cells": [], "metadata": {"papermill": {}}}))

    monkeypatch.setattr(book, "run_notebook", remember)
    monkeypatch.setattr(book, "checkout", lambda: repository)
    monkeypatch.setattr(book, "_build_pages", lambda source, scratch: scratch)
    repository = tmp_path / "repository"
    (repository / "book").mkdir(parents=True)
    (repository / "book" / "_toc.yml").write_text((ROOT / "book" / "_toc.yml").read_text())
    (repository / "notebooks").symlink_to(ROOT / "notebooks")
    assert book.build_book(tmp_path / "html", size="quick", seeds=3, published=False, jobs=1)
    assert given["figure1_performance"] == {
        "profile": "quick",
        "seeds": 3,
        "published": False,
        "jobs": 1,
    }
    assert given["method"] == given["data"] == {}
    for script in book.SCRIPTS:
        assert (repository / "book" / "assets" / script).stat().st_size > 1e6


def test_a_script_that_is_not_installed_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "SCRIPTS", {"a/b.js": ("no-such-package", "b.js")})
    with pytest.raises(book.BookError, match=r"b\.js from no-such-package.*sfc-lib\[book\]"):
        book._copy_scripts(tmp_path)


def test_progress_bars_and_folders_stay_out_of_a_page():
    text = {"output_type": "display_data", "data": {"text/plain": "kept"}}
    bar = {"output_type": "display_data", "data": {book.WIDGET: {}, "text/plain": "100%"}}
    plot = {"output_type": "display_data", "data": {book.PLOTLY_MIME: {}, "text/html": "plot"}}
    stream = {"output_type": "stream", "text": "kept too"}
    notebook = {
        "metadata": {"papermill": {"input_path": "/home"}, "widgets": {}, "kernelspec": {}},
        "cells": [
            {"metadata": {"tags": ["injected-parameters"]}, "outputs": [bar, text, plot, stream]},
            {"metadata": {}, "source": "prose"},
        ],
    }
    book._tidy(notebook)
    assert notebook["metadata"] == {"kernelspec": {}}
    only_html = {"output_type": "display_data", "data": {"text/html": "plot"}}
    assert notebook["cells"][0]["outputs"] == [text, only_html, stream]
    assert notebook["cells"][0]["metadata"]["tags"] == ["injected-parameters", "hide-input"]


def test_a_warning_fails_the_build_and_is_shown(tmp_path):
    source = tmp_path / "book"
    source.mkdir()
    (source / "_config.yml").write_text("title: a book\nonly_build_toc_files: true\n")
    (source / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    (source / "page.md").write_text("# Page\n\n[nowhere](nowhere.md)\n")
    with pytest.raises(book.BookError, match=r"(?s)exit status 1.*page\.md.*nowhere"):
        book._build_pages(source, tmp_path / "scratch")


def test_without_the_repository_there_is_no_book(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "checkout", lambda: None)
    with pytest.raises(book.BookError, match="needs the repository"):
        book.build_book(tmp_path / "html")


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(book.BookError, match="got other files"):
        book.build_book(tmp_path)
    with pytest.raises(book.BookError, match="got other files"):
        book.build_book(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_older_book_is_replaced(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, page in ((old, "gone.html"), (new, "index.html")):
        folder.mkdir()
        (folder / page).write_text("")
    (old / book.BUILT).write_text("")
    book._require_replaceable(old)
    book._replace(new, old)
    assert [path.name for path in old.iterdir()] == ["index.html"]


# The numbers on the method and data pages.


def test_initial_variances_are_those_of_the_method_page():
    table, figure = method.initial_weights()
    ratio = table.set_index(["initialiser", "layer"])["relative to glorot_uniform"].astype(float)
    assert ratio["glorot_uniform", "FC"] == pytest.approx(1, abs=0.02)
    assert ratio["paper", "sep"] == pytest.approx(1 / 9, rel=0.04)
    assert ratio["paper", "symm"] == pytest.approx((1750 + 648) / (900 + 648) / 9, rel=0.04)
    assert ratio["variance", "sep"] == pytest.approx(1, abs=0.04)
    assert ratio["variance", "symm"] == pytest.approx(1, abs=0.04)
    assert len(figure.axes[0].lines) == 3


def test_networks_and_costs_are_those_of_the_paper():
    networks = method.networks_table().set_index("quantity")
    assert list(networks.loc["parameters, std"]) == ["117,503", "32,385", "5,582,916"]
    assert list(networks.loc["parameters, sep"]) == ["117,483", "32,321", "3,200,916"]
    assert list(networks.loc["parameters, symm"]) == ["106,467", "31,907", "3,191,916"]
    assert (networks.loc["SFC neurons here"] == networks.loc["SFC neurons in the paper"]).all()
    costs = method.cost_table().set_index("quantity")
    assert list(costs.loc["ratio of the two"]) == ["13.33", "18.01", "1.28"]
    assert method.collapse() < 1e-4


def test_the_marked_sequence_is_the_sequence():
    simulation = data.simulate(40, seed=1)
    html = data.marked_sequence(simulation, row=3)
    printed = re.search(r"<pre[^>]*>(.*)</pre>", html).group(1)
    assert re.sub(r"<[^>]*>|[\d ]", "", printed) == decode(simulation.codes[3:4])[0]
    marked = "".join(re.findall(r"<span[^>]*>([ACGT]+)</span>", printed))
    assert len(marked) == data._inside(simulation)[3].sum()


def test_background_and_counts_follow_the_recipe():
    simulation = data.simulate(20_000, seed=0)
    composition, counts, _ = data.recipe_check(simulation).axes
    for axes in (composition, counts):
        bars = {round(bar.get_center()[0]): bar.get_height() for bar in axes.patches}
        for dots in axes.collections:
            for place, expected in dots.get_offsets():
                assert bars[round(place)] == pytest.approx(expected, abs=0.02)


def test_a_logo_is_as_high_as_its_information():
    certain = Motif("certain", np.eye(4))
    axes = Figure().add_subplot()
    data._logo(axes, certain)
    heights = [patch.get_path().get_extents().height for patch in axes.patches]
    assert heights == pytest.approx([2, 2, 2, 2])


def test_the_paper_has_two_labels_the_other_way_round():
    table = data.labels_table()
    assert list(table.iloc[:, 1]) == ["0, 0, 0", "0, 1, 0", "0, 0, 1", "1, 1, 1"]
    assert sorted(table.iloc[1:3, 1]) == sorted(table.iloc[1:3, 2])
    assert (table.iloc[1:3, 1] != table.iloc[1:3, 2]).all()
