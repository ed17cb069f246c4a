"""The whole book, built once and read from the disk in a browser, page by page.

`SFC_BOOK` names the folder of a built book to read instead of building one.
"""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sfc_lib.errors import UserError
from sfc_lib.files import SCRATCH
from sfc_lib.nn.architectures import build_model
from sfc_lib.pages import book, notebook, style
from sfc_lib.pages.claims import load_claims

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SIZES = {"desktop": DESKTOP, "tablet": {"width": 768, "height": 1024}, "phone": PHONE}
THEMES = ("light", "dark")
ANSWERING = (  # pages with a picture that answers
    *("explorer", "figure3_importance", "figure4_positional_weights", "method", "sequence"),
)
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
    runs = tmp_path_factory.mktemp("book") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_RUNS_DIR", str(runs))
        page = book.build_book(runs.with_name("html"))
    assert not runs.exists(), "from the published records alone; nothing is trained"
    return page.parent


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
    for size, viewport in SIZES.items():
        reader = Reader(browser, viewport)
        for path in html_pages(html):
            page = reader.open(path)
            notes = page.evaluate(SURVEY)
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            dark = page.evaluate(SURVEY)
            notes["wide"] += dark["wide"]
            notes["pageWidth"] = max(notes["pageWidth"], dark["pageWidth"])
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
    expected = {f"{page}.html" for page in book.chapters(ROOT / "book")}
    built = {path.relative_to(html).as_posix() for path in html_pages(html)}
    assert expected <= built
    assert {"index.html", "search.html", "genindex.html"} <= built


def test_no_page_asks_the_network_or_reports_an_error(survey):
    assert complaints(survey, lambda notes: notes["problems"]) == {}


def test_every_formula_is_set(survey):
    assert survey["_executed/method.html", "desktop"]["formulas"] > 10
    assert complaints(survey, lambda notes: notes["rawMath"]) == {}
    assert complaints(survey, lambda notes: notes["badFormulas"]) == {}


@pytest.mark.parametrize("size", list(SIZES))
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


@pytest.mark.parametrize(
    "name", ["explorer", "figure3_importance", "figure4_positional_weights", "method", "sequence"]
)
def test_what_answers_is_drawn_from_the_data_beside_the_pages(html, browser, name):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "_executed" / f"{name}.html")
    widget = page.locator(".sfc-widget[data-drawn]")
    assert widget.locator("svg").count()
    assert (html / "widgets" / f"{widget.get_attribute('data-widget')}.js").is_file()
    assert page.locator(".sfc-widget").count() == 1
    assert reader.problems == []
    reader.context.close()


def test_interactive_pages_load_six_megabytes_together_at_most(html):
    data = [path.stat().st_size for path in (html / "widgets").iterdir()]
    own = [(html / "_static" / path.name).stat().st_size for path in STATIC.glob("*.js")]
    assert len(data) == len(ANSWERING)
    assert sum(data) + sum(own) <= 6_000_000


def test_the_search_finds_a_page_without_a_server(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "search.html", "?q=curvature")
    page.locator("#search-results li a").get_by_text("The method", exact=True).wait_for()
    assert reader.problems == []
    reader.context.close()


def test_the_first_page_leads_to_the_book(survey):
    assert survey["index.html", "desktop"]["title"].startswith("Does the paper hold?")


@pytest.mark.parametrize("screen", [(1440, 900), (390, 844)])
def test_the_first_screen_holds_the_verdicts_on_all_claims(html, browser, screen):
    width, height = screen
    reader = Reader(browser, {"width": width, "height": height})
    page = reader.open(html / "_executed" / "index.html")
    box = page.locator(".sfc-matrix table").bounding_box()
    assert box["y"] + box["height"] <= height
    assert box["x"] + box["width"] <= width
    assert page.locator(".sfc-matrix tbody tr").count() == len(load_claims().claims)
    reader.context.close()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("longer", "is ahead of std by"),
        ("controls", "of the size controls have a record"),
        ("when_it_helps", "Symmetry"),
    ],
)
def test_pages_tell_what_the_published_records_say(html, page, says):
    text = re.sub(r"<[^>]+>", "", (html / "_executed" / f"{page}.html").read_text())
    assert says in text
    assert "Traceback" not in text


def test_no_page_shows_an_object_of_python(html):
    shown = [p.name for p in html_pages(html) if re.search(r"&lt;[\w.]+ object", p.read_text())]
    assert not shown


def test_a_link_to_a_claim_unfolds_its_comparisons_and_a_click_sorts_them(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "_executed" / "claims.html", "#performance")
    claim = page.locator("details#performance")
    assert claim.evaluate("element => element.open")
    head = claim.locator("thead th", has_text="P(better)")
    place = head.evaluate("element => element.cellIndex")
    values = []
    for _ in range(2):
        head.click()
        texts = claim.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()
        values.append([float(text) for text in texts if text != "–"])
    assert values[0] == sorted(values[0]) != values[1] == sorted(values[0], reverse=True)
    assert page.locator("details[open]").count() == 1
    reader.context.close()


def test_a_cell_of_the_front_page_leads_to_its_row_of_the_evidence(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "_executed" / "index.html")
    page.locator(".sfc-matrix td a[title^='CTCF']").first.click()
    page.wait_for_url("**/claims.html#T_*")
    row = page.locator("tr:has(:target)")
    row.wait_for(state="visible")
    assert row.locator("td").nth(2).inner_text() == "CTCF"
    assert 0 < row.bounding_box()["y"] < DESKTOP["height"]
    reader.context.close()


def test_the_verdicts_lie_beside_the_pages(html):
    content = json.loads((html / "claims.json").read_text())
    assert [claim["id"] for claim in content["claims"]] == [c.id for c in load_claims().claims]
    assert (html / "claims.csv").read_text().startswith("claim,")


def test_code_is_in_one_folded_block_at_the_end(survey):
    for page in ("_executed/index.html", "_executed/figure1_performance.html"):
        text = survey[page, "desktop"]["text"]
        assert "Show code cell source" not in text
        assert "How this page was made" in text


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


def test_the_lines_on_the_api_page_load_a_saved_model(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "book" / "api.md").read_text(), re.DOTALL)
    (lines,) = [block for block in blocks if "load_model" in block]
    model = build_model("simulated_tf", "symm", length=200, tasks=3, width=0.1, curvature=1.0)
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", f"{lines}\nprint(model.get_layer('sfc').W_pos.shape)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tuple(model.get_layer("sfc").W_pos.shape))


# How a build fails; nothing of these reaches Jupyter Book.


def test_a_failing_page_fails_the_build(tmp_path, monkeypatch):
    def fail(notebook, output, values):
        raise UserError("cell 2 failed with ZeroDivisionError: division by zero")

    monkeypatch.setattr(book, "run_notebook", fail)
    with pytest.raises(UserError, match=r"page \w+ failed: cell 2 failed with ZeroDiv"):
        book.build_book(tmp_path / "html")
    assert not (tmp_path / "html").exists()


def test_as_many_notebooks_are_executed_at_once_as_asked(tmp_path, monkeypatch):
    repository, together, most = tmp_path / "repository", threading.Barrier(2), []

    def run(notebook, output, values):
        most.append(together.wait(timeout=60))  # of two at once, neither goes on alone
        output.write_text(json.dumps({"cells": [], "metadata": {}}))

    monkeypatch.setattr(book, "run_notebook", run)
    monkeypatch.setattr(book, "train_missing", lambda values: None)
    monkeypatch.setattr(book, "parameters", lambda path: {})
    monkeypatch.setattr(book, "repository", lambda: repository)
    monkeypatch.setattr(book, "_build_pages", lambda source, scratch: scratch)
    monkeypatch.setattr(book, "_write_claims", lambda *values: None)
    (repository / "book").mkdir(parents=True)
    toc = "root: _executed/a\nchapters: [{file: _executed/b}]\n"
    (repository / "book" / "_toc.yml").write_text(toc)
    book.build_book(tmp_path / "html", jobs=2)
    assert sorted(most) == [0, 1]


def test_a_notebook_gets_the_parameters_it_declares(tmp_path, monkeypatch):
    given = {}

    def remember(notebook, output, values):
        assert "trained" in given  # before any notebook is executed, lest two train one run
        given[notebook.stem] = dict(values)
        output.write_text(json.dumps({"cells": [], "metadata": {"papermill": {}}}))

    monkeypatch.setattr(book, "run_notebook", remember)
    monkeypatch.setattr(book, "train_missing", lambda values: given.update(trained=dict(values)))
    monkeypatch.setattr(book, "repository", lambda: repository)
    monkeypatch.setattr(book, "_build_pages", lambda source, scratch: scratch)
    monkeypatch.setattr(book, "_write_claims", lambda *values: given.update(claims=values[1:]))
    repository = tmp_path / "repository"
    (repository / "book").mkdir(parents=True)
    (repository / "book" / "_toc.yml").write_text((ROOT / "book" / "_toc.yml").read_text())
    (repository / "notebooks").symlink_to(ROOT / "notebooks")
    left = repository / "book" / book.EXECUTED / f".index.ipynb.killed{SCRATCH}"
    left.parent.mkdir()
    left.write_text("of a build that was killed")
    old = repository / "book" / "assets" / "widgets" / "gone.js"
    old.parent.mkdir(parents=True)
    old.write_text("of a page that is no more")
    assert book.build_book(tmp_path / "html", size="quick", seeds=3, published=False, jobs=1)
    asked = {"size": "quick", "seeds": 3, "published": False, "jobs": 1}
    assert given["figure1_performance"] == given["trained"] == asked
    assert given["method"] == given["data"] == {}
    assert given["claims"] == ("quick", 3, False)
    assert not left.exists()
    assert not old.exists()
    for script in book.SCRIPTS:
        assert (repository / "book" / "assets" / script).stat().st_size > 1e6


def test_a_script_that_is_not_installed_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "SCRIPTS", {"a/b.js": ("no-such-package", "b.js")})
    with pytest.raises(UserError, match=r"b\.js from no-such-package.*sfc-lib\[book\]"):
        book._copy_scripts(tmp_path)


def test_progress_bars_and_folders_stay_out_of_a_page():
    text = {"output_type": "display_data", "data": {"text/plain": "kept"}}
    bar = {"output_type": "display_data", "data": {book.WIDGET: {}, "text/plain": "100%"}}
    stream = {"output_type": "stream", "text": "kept too"}
    notebook = {
        "metadata": {"papermill": {"input_path": "/home"}, "widgets": {}, "kernelspec": {}},
        "cells": [
            {
                "metadata": {"tags": ["injected-parameters"]},
                "outputs": [bar, text, stream],
                "source": "size = 1",
            },
            {"metadata": {}, "source": "prose"},
        ],
    }
    book._tidy(notebook)
    assert notebook["metadata"] == {"kernelspec": {}}
    assert notebook["cells"][0]["outputs"] == [text, stream]
    assert notebook["cells"][0]["metadata"]["tags"] == ["injected-parameters", "remove-input"]
    assert "size = 1" in notebook["cells"][-1]["source"]


def test_a_warning_fails_the_build_and_is_shown(tmp_path):
    source = tmp_path / "book"
    source.mkdir()
    (source / "_config.yml").write_text("title: a book\nonly_build_toc_files: true\n")
    (source / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    (source / "page.md").write_text("# Page\n\n[nowhere](nowhere.md)\n")
    with pytest.raises(UserError, match=r"(?s)exit status 1.*page\.md.*nowhere"):
        book._build_pages(source, tmp_path / "scratch")


def test_without_the_repository_there_is_no_book(tmp_path, monkeypatch):
    monkeypatch.setattr(notebook, "checkout", lambda: None)
    with pytest.raises(UserError, match="expected a clone of the repository"):
        book.build_book(tmp_path / "html")


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="got other files"):
        book.build_book(tmp_path)
    with pytest.raises(UserError, match="got other files"):
        book.build_book(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_place_that_cant_be_written_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "run_notebook", lambda *_: pytest.fail("a notebook was run"))
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file" / "html", Path("/proc/html")):
        with pytest.raises(UserError, match=rf"^{output.parent}: expected a folder that can be wr"):
            book.build_book(output)


def test_an_older_book_is_replaced_once_the_new_one_is_whole(tmp_path, monkeypatch):
    def build(source, scratch):
        assert (output / "gone.html").exists()
        (scratch / "html").mkdir()
        (scratch / "html" / "index.html").write_text("new")
        return scratch / "html"

    def run(notebook, output, values):
        output.write_text(json.dumps({"cells": [], "metadata": {}}))

    monkeypatch.setattr(book, "run_notebook", run)
    monkeypatch.setattr(book, "_build_pages", build)
    monkeypatch.setattr(book, "repository", lambda: tmp_path / "repository")
    (tmp_path / "repository" / "book").mkdir(parents=True)
    (tmp_path / "repository" / "book" / "_toc.yml").write_text("root: own_data\nchapters: []\n")
    output = tmp_path / "html"
    output.mkdir()
    for name in ("gone.html", book.BUILT):
        (output / name).write_text("")
    assert book.build_book(output) == output / "index.html"
    assert [path.name for path in output.iterdir()] == ["index.html"]
    assert {path.name for path in tmp_path.iterdir()} == {"repository", "html"}


# Reading: length, letters, access

FIGURES = sorted(path.stem for path in (ROOT / "notebooks").glob("figure*.ipynb"))
LONGEST = 5000  # pixels of a figure's page on a desktop
SMALLEST = 11  # pixels of letters in a figure
SHOWN = """() => [...document.querySelectorAll('main img')].filter(i => i.width).map(
  i => [i.alt, i.getBoundingClientRect().width / i.naturalWidth])"""


@pytest.mark.parametrize("name", FIGURES)
def test_a_figures_page_is_short(html, browser, name):
    reader = Reader(browser, {"width": 1440, "height": 900})
    page = reader.open(html / "_executed" / f"{name}.html")
    height = page.evaluate("document.querySelector('main').scrollHeight")
    reader.context.close()
    assert height <= LONGEST


@pytest.mark.parametrize("width", [1440, 768, 390])
@pytest.mark.parametrize("name", FIGURES)
def test_letters_of_figures_are_legible_where_they_are_shown(html, browser, name, width):
    """Letters are paths in an SVG: their size is that drawn, `style.SMALL` or more, as scaled."""
    reader = Reader(browser, {"width": width, "height": 900})
    page = reader.open(html / "_executed" / f"{name}.html")
    page.evaluate("document.querySelectorAll('main details').forEach(d => d.open = true)")
    shown = page.evaluate(SHOWN)
    reader.context.close()
    assert shown
    drawn = style.SMALL * 96 / 72
    for alt, scale in shown:
        assert drawn * scale >= SMALLEST, alt


def test_verdict_and_figure_stand_before_everything_else(html):
    for name in FIGURES:
        text = (html / "_executed" / f"{name}.html").read_text()
        article = text[text.index("<article") :]
        verdict, picture = article.index("<strong>"), article.index("<img")
        assert article.index("<h1") < verdict < picture < article.index("<h2")


def test_terms_lead_to_the_glossary_and_tell_their_meaning(html, browser):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "_executed" / "figure1_performance.html")
    term = page.locator("a.sfc-term", has_text=re.compile("^auROC$"))
    assert term.count() == 1, "the first use only"
    assert "probability that a positive example" in term.get_attribute("title")
    term.click()
    assert page.url.endswith("glossary.html#term-auROC")
    assert page.locator(":target").inner_text().startswith("auROC")
    reader.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [size["width"] for size in SIZES.values()])
def test_no_page_has_a_serious_fault_of_access(html, browser, width, theme):
    """By axe-core, contrast included."""
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    reader, faults = Reader(browser, {"width": width, "height": 900}), []
    for path in html_pages(html):
        page = reader.open(path)
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.wait_for_timeout(300)  # colours that change slowly
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        faults += [
            f"{path.name}: {fault['id']} at {node['target']}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
    reader.context.close()
    assert not faults


@pytest.mark.browser
@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("curvature", "method"),
        ("auROC", "glossary"),
        ("CTCF", "figure1_performance"),
        ("papermill", "index"),
        ("seed", "glossary"),
        ("SLURM", "running"),
        ("hematopoiesis", "deviations"),
        ("torch", "in_torch"),
        ("glossary", "glossary"),
        ("initialisation", "controls"),
    ],
)
def test_the_search_finds_words(html, browser, words, where):
    reader = Reader(browser, DESKTOP)
    page = reader.open(html / "search.html", f"?q={words}")
    page.locator(f'#search-results li a[href*="{where}.html"]').first.wait_for(timeout=60_000)
    reader.context.close()
