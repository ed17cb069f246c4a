"""Figure 1 shows what the results hold, read back from the drawn figure."""

import numpy as np
import pytest
from made_up import scored, together

from sfc_lib.pages import results
from sfc_lib.pages.figure1_performance import (
    CEILING,
    not_learnt,
    performance,
    score_table,
    score_title,
)
from sfc_lib.pages.style import short

SCORES = {"std": [0.91, 0.96, 0.79], "sep": [0.97, 0.95, 0.99], "symm": [0.81, 0.9, 0.95]}


@pytest.fixture
def made(tmp_path):
    return scored(tmp_path, SCORES)


def dots_of(axes):
    return np.concatenate([c.get_offsets()[:, 1] for c in axes.collections])


def test_bars_are_medians_and_lines_reach_from_worst_to_best(made):
    auroc, auprc = performance(made).axes
    assert [bar.get_height() for bar in auroc.patches] == pytest.approx([0.91, 0.97, 0.90])
    spans = [tuple(line.get_ydata()) for line in auroc.lines]
    np.testing.assert_allclose(spans, [(0.79, 0.96), (0.95, 0.99), (0.81, 0.95)])
    assert sorted(dots_of(auroc)) == pytest.approx(sorted(made.runs.auroc))
    assert sorted(dots_of(auprc)) == pytest.approx(sorted(made.runs.auprc))
    low, high = auroc.get_ylim()
    assert low < 0.79
    assert high >= 0.99


def test_axes_name_the_quantity_and_titles_the_seeds(made):
    figure = performance(together(made, made))
    assert figure.axes[0].get_ylabel() == "validation auROC"
    assert figure.axes[1].get_ylabel() == ""
    assert figure.axes[2].get_ylabel() == "validation auPRC"
    assert figure.axes[1].get_title() == "Made up\n3 seeds"
    names = [tick.get_text() for tick in figure.axes[2].get_xticklabels()]
    assert names == list(SCORES)


def test_experiments_wrap_and_share_a_scale_only_with_their_kind(tmp_path):
    parts = []
    for place, (tf, shift) in enumerate(
        [("CTCF", 0), ("CTCF", 0.1), ("MAX", 0.2), ("MAX", 0.3), ("SPI1", 0.4)]
    ):
        scores = {model: [v - shift for v in values] for model, values in SCORES.items()}
        data = {"dataset": "chip_seq", "architecture": "chip_seq", "dataset_options": {"tf": tf}}
        parts.append(scored(tmp_path / str(place), scores, **data))
    figure = performance(together(*parts))
    assert len(figure.axes) == 2 * 5
    top = [axes for axes in figure.axes if axes.get_title()]
    rows = {round(axes.get_position().y0, 2) for axes in top}
    assert (len(top), len(rows)) == (5, 2)
    limits = [axes.get_ylim() for axes in top]
    assert limits[0] == limits[1]
    assert limits[2] == limits[3]
    assert len(set(limits)) == 3


def test_one_metric_in_any_number_of_columns(made):
    figure = performance(together(*[made] * 4), "auprc", columns=4)
    assert len(figure.axes) == 4
    assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylabel() == "validation auPRC"
    assert all(axes.get_title() for axes in figure.axes)


def test_diverged_runs_are_counted_on_the_figure_and_left_out_of_medians(tmp_path):
    made = scored(tmp_path, SCORES | {"std": [0.91, 0.96, float("nan")]})
    figure = performance(made)
    assert "diverged: 1" in figure.axes[0].get_title()
    assert figure.axes[0].patches[0].get_height() == pytest.approx((0.91 + 0.96) / 2)
    assert score_table(made).diverged.tolist() == [1, 0, 0]


def test_one_seed_and_a_model_that_always_diverged_are_drawn(tmp_path):
    made = scored(tmp_path, {"std": [float("nan")], "sep": [0.9]})
    figure = performance(made)
    assert figure.axes[0].get_title() == "Made up\n1 seed, diverged: 1"
    assert dots_of(figure.axes[0]).tolist() == [0.9]
    assert score_table(made)["auROC: median (min – max)"].tolist() == [
        "–",
        ".9000 (.9000 – .9000)",
    ]
    figure.canvas.draw()


def test_table_gives_median_and_range(made):
    table = score_table(made)
    assert table.loc[0, "auROC: median (min – max)"] == ".9100 (.7900 – .9600)"
    assert table.seeds.tolist() == [3, 3, 3]


def test_narrowed_networks_say_so_in_title_and_table(tmp_path, made):
    narrow = scored(tmp_path / "narrow", SCORES, width=0.125)
    assert performance(narrow).axes[0].get_title() == "Made up\n3 seeds, 0.125 of the filters"
    assert "filters" not in performance(made).axes[0].get_title()
    assert "0.125 of the filters" in score_table(narrow)["data"][0]


def test_data_on_which_counting_beats_all_networks_are_named(made, monkeypatch):
    best = made.runs.groupby("model").auroc.median()
    for score, told in ((best.max() + 0.01, True), (best.max() - 0.01, False), (None, False)):
        known = {} if score is None else {"6-mer regression": {"valid": score}}
        monkeypatch.setattr(results, "yardsticks", lambda known=known: {"f" * 64: known})
        text = not_learnt(made)
        assert bool(text) == told
        if told:
            expected = (
                f"on Made up ({short(score)} against {short(best.max())} of *{best.idxmax()}*)"
            )
            assert expected in text


def test_what_scores_are_held_against_is_a_line_where_it_is_in_sight(made, monkeypatch):
    limits = performance(made).axes[0].get_ylim()
    above = limits[1] + 0.4 * (limits[1] - limits[0])
    for score, seen in ((0.85, True), (0.3, False), (above, True), (above + 0.1, False)):
        known = {"f" * 64: {"6-mer regression": {"valid": score, "test": 0.1}}}
        known["f" * 64]["2-mer regression"] = {"valid": 0.2}
        monkeypatch.setattr(results, "yardsticks", lambda known=known: known)
        auroc, auprc = performance(made).axes
        dashed = [line.get_ydata()[0] for line in auroc.lines if line.get_linestyle() == "--"]
        assert dashed == [score] * seen
        assert ("dashed: 6-mer regression" in auroc.get_title()) == seen
        assert all(line.get_linestyle() == "-" for line in auprc.lines)
        told = f"{short(score)} (6-mer regression)"
        assert set(score_table(made)["auROC, held against"]) == {told}


def test_a_ceiling_is_a_column_and_in_the_title_only_where_it_is_known(made, tmp_path, monkeypatch):
    both = together(made, scored(tmp_path / "other", {"std": [0.6]}))
    both.runs.loc[both.runs.experiment != made.runs.experiment.iat[0], "fingerprint"] = "e" * 64
    for known, shown in (
        ({"ceiling": {"valid": 0.87}, "6-mer regression": {"valid": 0.7}}, True),
        ({"6-mer regression": {"valid": 0.7}}, False),
        ({}, False),
    ):
        monkeypatch.setattr(results, "yardsticks", lambda known=known: {"f" * 64: known})
        table = score_table(both)
        assert (CEILING in table) == shown
        assert ("ceiling" in score_title(table)) == shown
        told = ".7000 (6-mer regression)" if known else "–"
        assert table["auROC, held against"].tolist() == [told, told, told, "–"]
        if shown:
            assert table[CEILING].tolist() == [".8700", ".8700", ".8700", "–"]
    assert score_title(table) == "Scores of every model, with chance and test set"
