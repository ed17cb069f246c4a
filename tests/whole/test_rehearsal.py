"""The rehearsal of size `full`: its tables stand on the page, and its marks are kept."""

import pytest
from scripts import benchmark

from sfc_lib.files import checkout
from sfc_lib.runs.sizes import load_size

pytestmark = pytest.mark.skipif(checkout() is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def rehearsal():
    """`benchmarks/rehearsal.py` as a module."""
    return benchmark("rehearsal")


def test_the_page_holds_what_was_measured(rehearsal):
    found = rehearsal.json.loads(rehearsal.RESULTS.read_text())
    text = rehearsal.PAGE.read_text()
    assert rehearsal.with_part(text, "rehearsal", rehearsal.tables(found)) == text
    assert set(found) <= set(rehearsal.steps())


def test_tables_by_hand(rehearsal):
    made = {"train": 3000, "valid": 20, "test": 10, "dropped": 7, "gb": 1.234, "peak_gb": 2.5}
    rates = {"hematopoiesis": {"std": 36.04, "sep": 18.0, "symm": 17.0}}
    found = {
        "hematopoiesis": {**made, "cpu_seconds": 90},
        "jax float32": {"cpu_seconds_of_1000": rates},
    }
    lines = rehearsal.tables(found).splitlines()
    assert lines[2] == "| hematopoiesis | 3,000, 20, 10 | 837,977 | 7 | 1.23 | 1.5 | 2.5 |"
    assert lines[-1] == "| jax float32, hematopoiesis | 36.0 | 18.0 | 17.0 |"
    assert len(lines) == 7


def test_a_network_is_timed_as_its_spec_says(rehearsal, monkeypatch):
    """On the smallest of the networks: the code that times is the code that trains."""
    specs = [spec for spec in load_size("full", 1).specs if spec.dataset == "hematopoiesis"][:1]
    narrow = [rehearsal.dataclasses.replace(specs[0], width=0.05, batch_size=4)]
    monkeypatch.setattr(rehearsal, "_specs", lambda name: narrow if name == "hematopoiesis" else [])
    found = rehearsal.throughput("tensorflow", "float32")
    assert set(found["cpu_seconds_of_1000"]["hematopoiesis"]) == {"std"}
    assert found["cpu_seconds_of_1000"]["hematopoiesis"]["std"] > 0
    assert found["environment"]["threads"]


def test_only_what_is_between_the_marks_changes(rehearsal):
    page = "a\n<!-- b: begin -->\nold\n<!-- b: end -->\nc"
    assert rehearsal.with_part(page, "b", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="expected the marks"):
        rehearsal.with_part("no marks", "b", "")
