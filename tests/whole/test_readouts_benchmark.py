"""The times of readouts: what is timed, and how seconds of steps make those of an epoch."""

import itertools
import json

import pytest
from scripts import benchmark

from sfc_lib.files import checkout
from sfc_lib.pages.controls import timed_as

pytestmark = pytest.mark.skipif(checkout() is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def readouts():
    """`benchmarks/readouts.py` as a module."""
    return benchmark("readouts")


def test_every_network_is_timed_once_whatever_it_starts_with(readouts):
    found = readouts.specs()
    assert all(timed_as(spec) == name for name, spec in found.items())
    assert {"simulated_tf symm CR", "simulated_tf symm limit", "chip_seq std"} <= set(found)
    assert set(json.loads(readouts.RESULTS.read_text())["cpu_seconds_of_an_epoch"]) == set(found)


def test_an_epoch_is_as_many_steps_as_it_has_batches(readouts):
    found = readouts.specs()
    assert readouts.epoch(found["simulated_tf sep"]) == 64  # 6,400 sequences, 100 a step
    assert readouts.epoch(found["chip_seq sep"]) == 50


def test_the_fastest_round_counts(readouts, monkeypatch):
    known = {n: s for n, s in readouts.specs().items() if n in ("simulated_tf std", "chip_seq std")}
    calls = []
    monkeypatch.setattr(readouts, "stepper", lambda spec: lambda: calls.append(spec.architecture))
    clock = itertools.accumulate([0, 0.6, 0, 0.9, 0, 0.3, 0, 1.2])  # two readings a network, round
    monkeypatch.setattr(readouts.time, "process_time", lambda: next(clock))
    found = readouts.measured(known, rounds=2)
    assert found == pytest.approx({"simulated_tf std": 0.3 / 6 * 64, "chip_seq std": 0.9 / 3 * 50})
    assert calls == 2 * (6 * ["simulated_tf"] + 3 * ["chip_seq"])


def test_a_step_trains_the_network(readouts):
    step = readouts.stepper(readouts.specs()["simulated_tf std average_pooling"])
    first = float(step())
    assert float(min(step() for _ in range(20))) < first
