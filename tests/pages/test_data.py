"""What the data page shows is what was drawn, beside what the recipe says."""

import re

import numpy as np
import pytest

from sfc_lib.datasets.simulated_tf import MOTIFS
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.motifs import Motif
from sfc_lib.pages import data


def test_the_marked_sequence_is_the_sequence():
    simulation = data.drawn(40, seed=1)
    html = data.marked_sequence(simulation, row=3)
    printed = re.search(r"<pre[^>]*>(.*)</pre>", html).group(1)
    assert re.sub(r"<[^>]*>|[\d ]", "", printed) == decode(simulation.codes[3:4])[0]
    marked = "".join(re.findall(r"<span[^>]*>([ACGT]+)</span>", printed))
    widths = [data.pwms()[name].width for name in MOTIFS]
    put = simulation.instances[simulation.instances[:, 0] == 3]
    assert len(put) > 1
    assert len(marked) == sum(widths[index] for _, index, _ in put)
    for _, index, start in put:
        instance = decode(simulation.codes[3:4, start : start + widths[index]])[0]
        assert f"{data.MOTIF_COLOURS[MOTIFS[index]]};color:black" in html
        assert instance in marked


def test_background_and_counts_follow_the_recipe():
    simulation = data.drawn(20_000, seed=0)
    composition, counts, _ = data.recipe_check(simulation).axes
    for axes in (composition, counts):
        bars = {round(bar.get_center()[0]): bar.get_height() for bar in axes.patches}
        for dots in axes.collections:
            for place, expected in dots.get_offsets():
                assert bars[round(place)] == pytest.approx(expected, abs=0.02)


def test_a_logo_is_as_high_as_its_information():
    even, half = np.full((1, 4), 0.25), np.array([[0.5, 0, 0, 0.5]])
    motif = Motif("made up", np.concatenate([np.eye(4), even, half]))
    (axes,) = data.logos({"made up": motif}).axes
    assert axes.get_title() == "made up, 6 bp"
    tops = np.zeros(7)
    for patch in axes.patches:
        box = patch.get_path().get_extents()
        position = round((box.x0 + box.x1) / 2)
        tops[position] = max(tops[position], box.y1)
    assert tops[1:] == pytest.approx([2, 2, 2, 2, 0, 1], abs=1e-3)


def test_the_paper_has_two_labels_the_other_way_round():
    table = data.labels_table()
    assert list(table.iloc[:, 1]) == ["0, 0, 0", "0, 1, 0", "0, 0, 1", "1, 1, 1"]
    assert sorted(table.iloc[1:3, 1]) == sorted(table.iloc[1:3, 2])
    assert (table.iloc[1:3, 1] != table.iloc[1:3, 2]).all()
