"""The table of the page on your own data is that of the measured rows, and how it is made."""

import dataclasses
import json

import numpy as np
import pytest
from scripts import benchmark

from sfc_lib.files import checkout
from sfc_lib.runs.spec import RunSpec

ROOT = checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def own_data():
    """`benchmarks/own_data.py` as a module."""
    return benchmark("own_data")


def row(tf="CTCF", size=300, gain=0.1, **scores):
    found = {"regression": [0.8], "network": [0.85], "together": [0.9], **scores}
    return {
        **{"tf": tf, "cell_type": "K562", "size": size, "members": 1},
        "gain": [gain, gain - 0.05, gain + 0.05],
        "sequences": {"train": 2 * size},
        "scores": {model: {"auroc": values, "auprc": values} for model, values in found.items()},
        "cpu_minutes": [1.26],
    }


def test_the_page_holds_the_tables_of_the_measured_rows(own_data):
    rows, ablated = own_data.load_rows(), own_data.load_rows(own_data.ABLATION)
    assert rows
    assert ablated
    text = own_data.PAGE.read_text()
    assert own_data.with_part(text, "measured", own_data.measured(rows)) == text
    assert own_data.with_part(text, "ablation", own_data.ablation(ablated)) == text


@pytest.mark.parametrize("file", ["RESULTS", "ABLATION"])
def test_rows_are_what_their_scores_say(own_data, file):
    for name, found in own_data.load_rows(getattr(own_data, file)).items():
        without = f" without {found['without']}" if file == "ABLATION" else ""
        assert name == f"{found['tf']} {found['cell_type']} {found['size']}{without}"
        scores = found["scores"]
        gain, low, high = found["gain"]
        difference = scores["together"]["auroc"][0] - scores["regression"]["auroc"][0]
        assert np.isclose(gain, difference, atol=1e-6)
        assert low < gain < high
        members = found["members"]
        assert len(found["runs"]) == len(found["cpu_minutes"]) == members
        assert len(scores["together"]["auroc"]) == len(scores["network"]["auroc"]) == members


def test_every_ingredient_left_out_is_a_setting_of_its_own(own_data):
    """What the ablation compares with has the settings that are the default."""
    assert next(iter(own_data.WITHOUT)) == "nothing"
    assert own_data.WITHOUT["nothing"] == {}
    others = list(own_data.WITHOUT.values())[1:]
    assert all(len(settings) == 1 for settings in others)
    fields = {field.name for field in dataclasses.fields(RunSpec)}
    assert all(set(settings) <= fields for settings in others)
    assert len({json.dumps(settings) for settings in others}) == len(others)


def test_the_table_by_hand(own_data):
    rows = {
        "b": row(size=1000, ensemble=[0.91]),
        "a": row("NRF1", gain=-0.02, together=[0.78]),
        "c": row("YY1", network=[0.7], gain=0.04),
    }
    lines = own_data.table(rows, "auroc")
    assert lines[3] == (
        "| YY1† K562 | 300 | 600 | .800 | .700 | .900 | – | +.040&nbsp;[−.010,&nbsp;+.090] | 1.3 |"
    )
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| NRF1 K562",
        "| YY1† K562",
        "| CTCF† K562",
    ]
    assert "| .900 | .910 | " in lines[4]
    assert [line.count("|") for line in own_data.table(rows, "auprc")] == [8] * 5
    lines = own_data.measured(rows).splitlines()
    assert lines[0] == (
        "- 300 peaks, 2 TFs: the median gain is +.010 (−.020 of the 1 without †). The regression "
        "alone is ahead of `sfc train` for NRF1 (−.020); for none of them surely, by its "
        "interval. It is ahead of the network alone for 1."
    )
    assert (
        "that of an ensemble +.110. The regression alone is ahead of `sfc train` for none. It "
        in (lines[1])
    )
    alone = own_data.table({"c": rows["c"]}, "auroc")
    assert "ensemble" not in alone[0]
    assert alone[2].count("|") == alone[0].count("|") == alone[1].count("|") == 9


def test_the_picture_has_a_dot_for_each_row_and_the_largest_gain_on_top(own_data):
    rows = {
        "a": row("NRF1", gain=-0.02),
        "b": row("YY1", gain=0.04),
        "c": row("YY1", 1000, gain=0.01),
        "d": row("MAX", 1000, gain=0.3),
    }
    figure = own_data.draw(rows)
    (axes,), (legend,) = figure.axes, figure.legends
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["NRF1", "YY1†", "MAX†"]  # by the gain of the most peaks
    few, many = (bars.lines[0] for bars in axes.containers)
    assert few.get_xdata().tolist() == [-0.02, 0.04]
    assert many.get_xdata().tolist() == [0.01, 0.3]
    assert [round(y) for y in few.get_ydata()] == [0, 1]
    assert [text.get_text() for text in legend.texts] == ["300 peaks", "1,000 peaks"]


def test_the_ablation_by_hand(own_data):
    def one(tf, without, *scores):
        found = {"network": list(scores), "together": [score + 0.05 for score in scores]}
        return row(tf, **found) | {"without": without}

    rows = {
        f"{found['tf']} K562 300 without {found['without']}": found
        for found in (
            one("CTCF", "nothing", 0.8, 0.9),
            one("CTCF", "shifts", 0.7, 0.86),
            one("YY1", "nothing", 0.6, 0.6),
            one("YY1", "shifts", 0.62, 0.6),
            one("MAX", "weight decay", 0.6, 0.6),  # nothing to compare with
        )
    }
    lines = own_data.ablation(rows).splitlines()
    assert lines[2:] == [
        "| shifts | −.030 (−.100 to +.020) | −.030 (−.100 to +.020) | CTCF, YY1; 4 |",
    ]


def test_a_network_is_scored_without_its_regression(own_data):
    import keras

    from sfc_lib import build_model
    from sfc_lib.nn.ensemble import with_regression

    codes = np.random.default_rng(0).integers(0, 4, (5, 110), dtype=np.uint8)
    model = build_model("compact", "symm", length=110, tasks=1, width=0.1, both_strands=True)
    table = np.random.default_rng(1).normal(size=(4**6, 1))
    weights = np.full(1, 0.3), np.ones(105), table, np.ones(1)
    alone = own_data.network_of(with_regression(model, *weights))
    expected = keras.Model(model.input, model.get_layer("logits").output).predict_on_batch(codes)
    np.testing.assert_allclose(alone.predict_on_batch(codes), expected, atol=1e-6)


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
