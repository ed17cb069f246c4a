"""The throughput of training: its table stands on the page, and its cases can be measured."""

import json

import pytest
from scripts import benchmark

from sfc_lib.files import checkout

pytestmark = pytest.mark.skipif(checkout() is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def throughput():
    """`benchmarks/throughput.py` as a module."""
    return benchmark("throughput")


def test_the_page_holds_what_was_measured(throughput):
    found = json.loads(throughput.RESULTS.read_text())
    text = throughput.PAGE.read_text()
    assert throughput.with_part(text, "throughput", throughput.tables(found)) == text
    for of_it in found.values():
        assert set(of_it["cases"]) <= set(throughput.cases())


def test_the_table_by_hand(throughput):
    cases = {
        "peak float32": {"operations": 2e9},
        "std 0.125 float32 100": {"sequences": 1234.5, "operations": 1e9},
        "sep 0.125 float32 100": {"sequences": 7.77, "operations": 2e8},
        "std 0.125 mixed_bfloat16 100": {"sequences": 50.0, "operations": 1e9},
        "symm 0.125 float32 100": None,
        "side 1": {"sequences": 40.0},
        "side 2": {"sequences": 80.0},
    }
    lines = throughput.tables({"CPU; jax": {"cases": cases}}).splitlines()
    left = " | not measured"
    assert lines[4:7] == [
        "| 1/8, std | 1,234 (50%) | not measured | 50" + left + " |",
        "| 1/8, sep | 7.8 (10%)" + 3 * left + " |",
        "| 1/8, symm | over 300 s" + 3 * left + " |",
    ]
    assert lines[-1] == "What an accelerator reaches is not measured."
    assert lines[-4:-2] == [
        "Peak, billions of operations a second: float32 2.",
        "Runs side by side (sep, 1/8, batch 100), together: 1: 40; 2: 80.",
    ]


def test_a_case_is_measured(throughput, monkeypatch):
    """The smallest ones: steps of a network cost six times the multiplications of predictions."""
    from sfc_lib import build_model
    from sfc_lib.nn.readouts import multiplications

    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(throughput, "SECONDS", 0.0)
    found = throughput.steps("sep", 0.05, "float32", 4)
    model = build_model("basset", "sep", length=throughput.LENGTH, tasks=16, width=0.05)
    per_sequence = found["operations"] / found["sequences"]
    assert per_sequence == pytest.approx(6 * multiplications(model))
    assert throughput.pipeline()["sequences"] > 0
    assert throughput.peak("float32")["operations"] > 0


def test_a_case_that_takes_too_long_is_told_so(throughput, monkeypatch):
    monkeypatch.setattr(throughput, "LIMIT", 0.5)
    assert throughput.measured("peak float32") is None
