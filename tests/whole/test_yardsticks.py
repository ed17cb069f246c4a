"""What scores are held against: the ceiling and the window counts that the benchmark records."""

import numpy as np
import pandas as pd
import pytest
from scripts import benchmark

from sfc_lib.datasets.accessibility import SimulatedAccessibility
from sfc_lib.datasets.base import SPLITS, Dataset, Split


@pytest.fixture(scope="module")
def yardsticks():
    """`benchmarks/yardsticks.py` as a module."""
    return benchmark("yardsticks")


@pytest.mark.parametrize("told", [True, False])
def test_the_ceiling_is_what_true_motifs_tell(yardsticks, monkeypatch, told):
    rng = np.random.default_rng(0)

    def windows(recipe):
        features = {split: rng.integers(0, 2, (400, 2)).astype(np.float32) for split in SPLITS}
        labels = {s: f if told else rng.integers(0, 2, (400, 2)) for s, f in features.items()}
        return {split: (features[split], labels[split].astype(np.uint8)) for split in SPLITS}

    monkeypatch.setattr(yardsticks, "true_motifs", windows)
    found = yardsticks.ceiling(SimulatedAccessibility())
    assert set(found) == {"valid", "test"}
    for score in found.values():
        assert score == (1 if told else pytest.approx(0.5, abs=0.1))


def test_windows_are_counted_by_split_and_reason(yardsticks):
    class Recipe:
        def peaks(self):
            one = pd.DataFrame({"chrom": ["chr1"], "start": [1000], "end": [1150]})
            return [one, one.assign(start=1100, end=1300), one.assign(chrom="chr2")]

    parts = [
        Split(np.zeros((count, 10), np.uint8), np.zeros((count, 1), np.uint8))
        for count in (5, 3, 2)
    ]
    made = Dataset("made", {}, "", ("a",), {"too short": 4, "none": 0}, *parts)
    assert yardsticks.window_counts(made, Recipe()) == {
        "windows": {"train": 5, "valid": 3, "test": 2},
        "left out": {"too short": 4},
        "genome": {"regions": 2, "windows": 7 + 4},  # a region of n bp has n / 50 + 1 of them
    }
