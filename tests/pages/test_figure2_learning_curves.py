"""Figure 2 shows what the histories hold, read back from the drawn figure."""

import numpy as np
import pytest
from made_up import scored, together

from sfc_lib.pages import figure2_learning_curves as figure2
from sfc_lib.pages.style import NAMES

HISTORY = {
    "std": [[0.5, 0.82, 0.91], [0.5, 0.7, 0.96], [0.6, 0.7, 0.79]],
    "sep": [[0.9, 0.95, 0.96, 0.97], [0.7, 0.9, 0.95], [0.8, 0.9, 0.99, 0.99]],
    "symm": [[0.81], [0.9], [0.95]],
}


def trained(folder, history=HISTORY, **spec):
    """Results whose auROCs by epoch are given."""
    scores = {model: [max(curve) for curve in curves] for model, curves in history.items()}
    return scored(folder, scores, history, **spec)


@pytest.fixture
def made(tmp_path):
    return trained(tmp_path)


OTHER = {"dataset": "hematopoiesis", "architecture": "basset"}


def test_epochs_to_is_the_first_epoch_and_infinite_if_never(made):
    table = figure2.epochs_to(made.epochs, 0.9)
    assert table.loc[table.model == "std", "epochs"].tolist() == [3, 3, np.inf]
    assert table.loc[table.model == "sep", "epochs"].tolist() == [1, 2, 2]
    assert np.isinf(figure2.epochs_to(made.epochs, 1.1).epochs).all()


def test_levels_are_the_papers_or_shares_of_what_std_gains(made):
    assert figure2.levels("simulated_tf", made.epochs) == (0.8, 0.9, 0.95)
    gain = 0.91 - 0.5  # of the median seed of std
    expected = [0.5 + share * gain for share in (0.5, 0.8, 0.95)]
    assert figure2.levels("hematopoiesis", made.epochs) == pytest.approx(expected)
    assert figure2.level(made.epochs, 0) == 0.5
    without = made.epochs[made.epochs.model != "std"]
    assert figure2.level(without, 1) == 0.97, "of the first model"


def test_median_stops_where_the_first_seed_stops(made):
    axes = figure2.learning_curves(made).axes[0]
    thick = [line for line in axes.lines if line.get_linewidth() > 2]
    median = thick[list(HISTORY).index("sep")]
    assert median.get_xdata().tolist() == [1, 2, 3]
    assert median.get_ydata() == pytest.approx([0.8, 0.9, 0.96])
    thin = [line for line in axes.lines if 0 < line.get_linewidth() < 1]
    assert len(thin) == 9
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.texts] == [NAMES[m] for m in HISTORY]
    assert axes.get_xlim() == (1, 3)


def test_shades_reach_from_the_worst_to_the_best_seed(made):
    axes = figure2.learning_curves(made).axes[0]
    corners = axes.collections[0].get_paths()[0].vertices
    at_first = corners[corners[:, 0] == 1][:, 1]
    assert (at_first.min(), at_first.max()) == (0.5, 0.6)


def test_bars_are_median_epochs_and_dots_the_seeds(made):
    right = figure2.learning_curves(made).axes[1]
    bars = sorted((bar.get_x(), bar.get_height()) for bar in right.patches if bar.get_height())
    heights = [height for _, height in bars]
    assert heights[:3] == [3, 1, 1]  # epochs to .8: std 2, 3, never; sep 1, 2, 1; symm 1
    dots = np.concatenate([c.get_offsets() for c in right.collections])
    assert len(dots) == 27
    assert [tick.get_text() for tick in right.get_xticklabels()] == [".8", ".9", ".95"]


def test_runs_that_never_arrive_are_marked(made):
    right = figure2.learning_curves(made).axes[1]
    assert "never" in [text.get_text() for text in right.texts]
    dots = np.concatenate([c.get_offsets() for c in right.collections])
    assert dots[:, 1].max() == pytest.approx(3 * 1.15)


def test_table_gives_medians_and_the_runs_that_never_arrive(tmp_path, made):
    table = figure2.epochs_table(made)
    expected = [".9: 3 (1 never)", ".9: 2", ".9: 1 (1 never)"]
    assert table["epochs to the second auROC"].tolist() == expected
    both = figure2.epochs_table(together(made, trained(tmp_path / "other", **OTHER)))
    assert len(both) == 6
    assert not both.isna().any().any()


def test_one_seed_of_one_epoch_and_models_that_learn_nothing_are_drawn(tmp_path):
    one = trained(tmp_path / "one", {"std": [[0.5]], "sep": [[0.5]]}, **OTHER)
    figure = figure2.learning_curves(one)
    assert figure.axes[0].get_title() == "Made up\n1 seed"
    figure.canvas.draw()
    assert len(figure2.epochs_table(one)) == 2
    none = trained(tmp_path / "none", {"std": [[0.5]], "sep": [[0.5]]})
    assert (figure2.epochs_table(none)["epochs to the first auROC"] == ".8: never (1 never)").all()
    figure2.learning_curves(none).canvas.draw()


def test_titles_name_seeds_and_filters(tmp_path, made):
    figure = figure2.learning_curves(trained(tmp_path / "narrow", width=0.125))
    assert figure.axes[0].get_title() == "Made up\n3 seeds, 0.125 of the filters"
    assert figure2.learning_curves(made).axes[0].get_title() == "Made up\n3 seeds"


def test_curves_may_be_smoothed_and_of_the_other_metric(made):
    plain = figure2.learning_curves(made, "auprc").axes[0]
    assert plain.get_ylabel() == "validation auPRC"
    smooth = figure2.learning_curves(made, smoothing=2).axes[0]
    assert smooth.get_ylabel() == "validation auROC, mean of 2 epochs"
    raw = figure2.learning_curves(made).axes[0].lines[0].get_ydata()
    by_hand = [raw[0], *((raw[1:] + raw[:-1]) / 2)]
    np.testing.assert_allclose(smooth.lines[0].get_ydata(), by_hand)


def test_levels_may_be_given(made):
    assert figure2.levels("simulated_tf", made.epochs, [0.6, 0.7, 0.8]) == (0.6, 0.7, 0.8)
    table = figure2.epochs_table(made, [0.6, 0.7, 0.8])
    assert table["epochs to the first auROC"].str.startswith(".6: ").all()
