"""Pictures that answer: whole in a notebook, split into files in the book."""

import json
import re

import numpy as np
import pytest
from made_up import unpacked

from sfc_lib.files import checkout
from sfc_lib.pages import book
from sfc_lib.pages.widget import DATA, Widget, move_data, packed

STATIC = checkout() / "book" / "_static"
WIDGETS = ("explorer", "importance", "outer_product", "sequence", "weights", "widget")


def executed(html):
    outputs = [{"output_type": "display_data", "data": {"text/html": html, "text/plain": "-"}}]
    cells = [{"outputs": outputs, "source": "1", "metadata": {}}, {"source": "prose"}]
    return {"metadata": {}, "cells": cells}


def moved(html, folder):
    notebook = executed(html)
    move_data(notebook, folder)
    return notebook["cells"][0]["outputs"][0]["data"]["text/html"]


def test_an_output_holds_all_that_jupyterlab_needs():
    html = Widget("sequence", "About it", {"a": [1, None]})._repr_html_()
    assert 'window.sfcData ??= {})["sequence"] = {"a":[1,null]};' in html
    for name in ("sequence.js", "widget.js", "widget.css"):
        assert (STATIC / name).read_text() in html
    assert 'role="group" aria-label="About it"' in html
    assert "src=" not in re.sub("<script.*?>.*?</script>", "", html, flags=re.DOTALL)


def test_the_book_keeps_data_beside_the_pages_and_nothing_twice(tmp_path):
    html = moved(Widget("sequence", "About it", {"a": 1})._repr_html_(), tmp_path)
    assert html.count("<script") == 1
    assert "<style" not in html
    assert f'<script src="../{DATA}/sequence.js"></script>' in html
    assert (tmp_path / DATA / "sequence.js").read_text() == (
        '(window.sfcData ??= {})["sequence"] = {"a":1};'
    )


def test_other_outputs_stay_as_they_are(tmp_path):
    for html in ("<p>text</p>", '<script src="../plotly.js"></script><script>draw()</script>'):
        assert moved(html, tmp_path) == html
    assert list(tmp_path.iterdir()) == []


def test_data_cannot_end_their_script(tmp_path):
    html = Widget("sequence", "About", {"text": "</script><b>"})._repr_html_()
    assert "</script><b>" not in html
    moved(html, tmp_path)
    content = (tmp_path / DATA / "sequence.js").read_text()
    assert json.loads(content.partition('"] = ')[2].removesuffix(";"))["text"] == "</script><b>"


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        Widget("sequence", "About", {"a": float("nan")})._repr_html_()


@pytest.mark.parametrize(("kind", "close"), [("int8", 1 / 254), ("int16", 1 / 65534)])
def test_packing_is_as_close_as_its_steps(kind, close):
    values = np.random.default_rng(0).normal(size=100)
    found = unpacked(packed(values, kind))
    assert np.abs(found - values).max() <= np.abs(values).max() * close * (1 + 1e-9)


def test_packing_nothing_and_nan_gives_zeros():
    assert unpacked(packed(np.array([np.nan, np.inf, 0]), "int8")).tolist() == [0, 0, 0]
    assert unpacked(packed(np.array([]), "int16")).size == 0


def test_a_page_of_the_book_gets_its_data(tmp_path, monkeypatch):
    html = Widget("sequence", "About it", {"a": 1})._repr_html_()
    run = lambda notebook, output, values: output.write_text(json.dumps(executed(html)))  # noqa: E731
    monkeypatch.setattr(book, "run_notebook", run)
    monkeypatch.setattr(book, "parameters", lambda path: {})
    notebook = tmp_path / "notebooks" / "page.ipynb"
    (tmp_path / "book").mkdir()
    book._execute(notebook, tmp_path, {})
    assert "window.sfcData" not in (tmp_path / "page.ipynb").read_text()
    assert (tmp_path / "book" / "assets" / DATA / "sequence.js").is_file()


@pytest.mark.parametrize("name", WIDGETS)
def test_scripts_fetch_nothing(name):
    source = (STATIC / f"{name}.js").read_text()
    assert not re.search(r"fetch\(|XMLHttpRequest|import |https?://(?!www\.w3\.org)", source)


@pytest.mark.parametrize("name", WIDGETS)
def test_scripts_are_small_since_every_page_loads_them(name):
    assert (STATIC / f"{name}.js").stat().st_size < 30_000
