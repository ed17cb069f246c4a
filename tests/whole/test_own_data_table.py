"""The table of the page on your own data is that of the measured rows, and how it is made."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from sfc_lib.files import checkout

ROOT = checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def own_data():
    """`benchmarks/own_data.py` as a module."""
    path = ROOT / "benchmarks" / "own_data.py"
    spec = importlib.util.spec_from_file_location("own_data_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def row(tf="CTCF", size=300, **scores):
    found = {"regression": 0.8, "network": 0.9, **scores}
    return {
        **{"tf": tf, "cell_type": "K562", "size": size, "gain": [0.1, 0.05, 0.15]},
        "sequences": {"train": 2 * size},
        "scores": {model: {"auroc": value, "auprc": value} for model, value in found.items()},
        "cpu_minutes": [1.26],
    }


def test_the_page_holds_the_table_of_the_measured_rows(own_data):
    rows = own_data.load_rows()
    assert rows
    text = own_data.PAGE.read_text()
    assert own_data.page_with(text, rows) == text


def test_rows_are_what_their_scores_say(own_data):
    for name, found in own_data.load_rows().items():
        assert name == f"{found['tf']} {found['cell_type']} {found['size']}"
        scores = found["scores"]
        gain, low, high = found["gain"]
        difference = scores["network"]["auroc"] - scores["regression"]["auroc"]
        assert np.isclose(gain, difference, atol=1e-6)
        assert low < gain < high
        assert len(found["runs"]) == len(found["cpu_minutes"]) == found["members"]


def test_the_table_by_hand(own_data):
    rows = {"b": row(size=1000, ensemble=0.91), "a": row("SPI1"), "c": row("CTCF")}
    lines = own_data.table(rows).splitlines()
    assert lines[2] == (
        "| CTCF | K562 | 300 | 600 | 0.800 | 0.900 | +0.100 (+0.050 to +0.150) | – | 1.3 |"
    )
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| CTCF", "| SPI1", "| CTCF"]
    assert "| 0.910 | 1.3 |" in lines[-1]


def test_only_what_is_between_the_marks_changes(own_data):
    begin, end = own_data.MARKS
    page = own_data.page_with(f"a\n{begin}\nold\n{end}\nb", {"c": row()})
    assert page.startswith(f"a\n{begin}\n| TF |")
    assert page.endswith(f" |\n{end}\nb")
    with pytest.raises(ValueError, match="expected the marks"):
        own_data.page_with("no marks", {})


def test_rows_are_read_from_a_file_or_there_are_none(own_data, tmp_path):
    assert own_data.load_rows(tmp_path / "none.json") == {}
    (tmp_path / "some.json").write_text(json.dumps({"rows": {"a": row()}}))
    assert own_data.load_rows(tmp_path / "some.json") == {"a": row()}


def test_tfs_are_chosen_by_name_and_cell_type(own_data):
    first, second = own_data.chosen(["CTCF", "CTCF:K562"])
    assert [one.tf for one in (first, second)] == ["CTCF", "CTCF"]
    assert second.cell_type == "K562"
    every = list(own_data.chosen(None))
    assert [one.tf for one in every[:2]] == ["CTCF", "SPI1"]
    assert len({one.tf for one in every}) == len(every) > 28
