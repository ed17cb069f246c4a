"""Printed numbers stand beside ours of the same model, data and metric, and are told as few."""

import pytest
from made_up import scored, together

from sfc_lib.pages.printed import PRINTED, figure_line, printed_table


def chip_seq(folder, tf, auroc, **scores):
    data = {"dataset": "chip_seq", "architecture": "chip_seq", "dataset_options": {"tf": tf}}
    return scored(folder, {"std": auroc, **scores}, title=f"{tf} ChIP-seq, GM12878", **data)


def test_printed_scores_stand_beside_ours_of_the_same_tf(tmp_path):
    made = together(
        chip_seq(tmp_path / "ctcf", "CTCF", [0.91, 0.93, 0.94], sep=[0.99, 0.99, 0.99]),
        chip_seq(tmp_path / "max", "MAX", [0.7, 0.8]),
        scored(tmp_path / "other", {"std": [0.95]}),
    )
    table = printed_table(made)
    ours = "ours: median (min – max)"
    assert table[["data", "model", "metric", "printed", ours, "seeds"]].values.tolist() == [
        ["CTCF", "std", "auROC", ".9795", ".9300 (.9100 – .9400)", 3],
        ["CTCF", "std", "auPRC", ".9566", ".9300 (.9100 – .9400)", 3],
        ["MAX", "std", "auROC", ".9201", ".7500 (.7000 – .8000)", 2],
        ["MAX", "std", "auPRC", ".6551", ".7500 (.7000 – .8000)", 2],
    ]
    assert (table["not one to one, because"].str.len() > 20).all()
    assert table["printed by"].str.contains("103663").all()


def test_the_half_that_the_paper_prints_stands_beside_std_at_that_rate(published):
    table = printed_table(published)
    (row,) = table[table.model == "std_fast"].to_dict("records")
    runs = published.runs[published.runs.model == "std_fast"]
    assert set(runs.learning_rate) == {0.001}  # the rate that the paper says it of
    assert (row["data"], row["printed"], row["seeds"]) == (
        *("accessibility", ".5"),
        len(runs),
    )
    assert len(table) == 1 + 2 * 3


def test_without_such_data_there_is_no_table(tmp_path):
    assert printed_table(scored(tmp_path, {"std": [0.9]})).empty


@pytest.mark.parametrize("figure", [2, 3, 4])
def test_of_three_figures_the_paper_prints_no_number(figure):
    assert f"prints no numbers of its Figure {figure}," in figure_line(figure)


def test_of_figure_1_it_prints_one():
    line = figure_line(1)
    assert "only auROC .5 of networks without an SFC layer on simulated accessibility" in line
    assert "(section 3.1)" in line
    assert "bioRxiv" not in line
    assert [each.value for each in PRINTED if each.by.startswith("the paper")] == [".5"]
