"""Figures show what the results hold, read back from the drawn figure."""

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest

from sfc_lib.pages import style
from sfc_lib.pages.results import Results, load_results, settings
from sfc_lib.runs.sizes import Experiment, load_size, size_names
from sfc_lib.runs.spec import RunSpec

PLAN = load_size("quick", seeds=3)
EXPERIMENT = PLAN.experiments["simulated_tf"]
HISTORY = {
    "std": [[0.5, 0.82, 0.91], [0.5, 0.7, 0.96], [0.6, 0.7, 0.79]],
    "sep": [[0.9, 0.95, 0.96, 0.97], [0.7, 0.9, 0.95], [0.8, 0.9, 0.99, 0.99]],
    "symm": [[0.81], [0.9], [0.95]],
}


class MadeUp(Results):
    """Results with a given history instead of records."""

    def __init__(self, diverged=()):
        super().__init__(PLAN, EXPERIMENT, {model: [] for model in HISTORY})
        object.__setattr__(self, "lost", set(diverged))

    def curves(self):
        rows = [
            (model, seed, epoch, value)
            for model, runs in HISTORY.items()
            for seed, run in enumerate(runs)
            for epoch, value in enumerate(run, 1)
        ]
        return pd.DataFrame(rows, columns=["model", "seed", "epoch", "auroc"])

    def scores(self):
        best = self.curves().groupby(["model", "seed"], sort=False).auroc.max().reset_index()
        best["diverged"] = [(m, s) in self.lost for m, s in zip(best.model, best.seed, strict=True)]
        best.loc[best.diverged, "auroc"] = np.nan
        return best.assign(auprc=best.auroc - 0.1, epochs=3, best_epoch=3)


def test_epochs_to_is_the_first_epoch_and_infinite_if_never():
    table = MadeUp().epochs_to(0.9)
    assert table.loc[table.model == "std", "epochs"].tolist() == [3, 3, np.inf]
    assert table.loc[table.model == "sep", "epochs"].tolist() == [1, 2, 2]


def test_bars_are_medians_and_lines_reach_from_worst_to_best():
    figure = style.performance([MadeUp()])
    auroc = figure.axes[0]
    assert [bar.get_height() for bar in auroc.patches] == pytest.approx([0.91, 0.97, 0.90])
    spans = [tuple(line.get_ydata()) for line in auroc.lines]
    assert spans == [(0.79, 0.96), (0.95, 0.99), (0.81, 0.95)]
    dots = np.concatenate([c.get_offsets()[:, 1] for c in auroc.collections])
    assert sorted(dots) == pytest.approx(sorted(MadeUp().scores().auroc))
    low, high = auroc.get_ylim()
    assert low < 0.79
    assert high >= 0.99


def test_axes_name_the_quantity_and_titles_the_seeds():
    figure = style.performance([MadeUp(), MadeUp()])
    assert figure.axes[0].get_ylabel() == "validation auROC, mean of tasks"
    assert "3 seeds" in figure.axes[1].get_title()


def test_experiments_wrap_and_share_a_scale_only_with_their_kind(monkeypatch):
    many = [MadeUp() for _ in range(5)]
    for result, name in zip(many, ("a", "a", "b", "b", "c"), strict=True):
        object.__setattr__(result, "kind", name)
    shift = {"a": 0.0, "b": -0.2, "c": -0.4}
    scores = MadeUp.scores
    moved = lambda self: scores(self).assign(auroc=lambda t: t.auroc + shift[self.kind])  # noqa: E731
    monkeypatch.setattr(MadeUp, "scores", moved)
    monkeypatch.setattr(style, "_kind", lambda result: result.kind)
    figure = style.performance(many)
    assert len(figure.axes) == 2 * 5
    top = [axes for axes in figure.axes if axes.get_title()]
    rows = {round(axes.get_position().y0, 2) for axes in top}
    assert (len(top), len(rows)) == (5, 2)
    limits = [axes.get_ylim() for axes in top]
    assert limits[0] == limits[1]
    assert limits[2] == limits[3]
    assert len(set(limits)) == 3


def test_one_metric_in_any_number_of_columns():
    figure = style.performance([MadeUp() for _ in range(4)], ["auprc"], columns=4)
    assert len(figure.axes) == 4
    assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylabel() == "validation auPRC, mean of tasks"
    assert all(axes.get_title() for axes in figure.axes)


def test_diverged_runs_are_counted_on_the_figure_and_left_out_of_medians():
    figure = style.performance([MadeUp(diverged=[("std", 2)])])
    assert "diverged: 1" in figure.axes[0].get_title()
    assert figure.axes[0].patches[0].get_height() == pytest.approx((0.91 + 0.96) / 2)


def test_learning_curve_median_stops_where_the_first_seed_stops():
    figure = style.learning_curves([MadeUp()])
    medians = {line.get_label(): line for line in figure.axes[0].lines if line.get_linewidth() > 2}
    sep = medians[style.NAMES["sep"]]
    assert sep.get_xdata().tolist() == [1, 2, 3]
    assert sep.get_ydata() == pytest.approx([0.8, 0.9, 0.96])


def test_runs_that_never_arrive_are_marked():
    right = style.learning_curves([MadeUp()]).axes[1]
    assert "never" in [text.get_text() for text in right.texts]


def test_tables_give_median_range_and_the_runs_that_never_arrive():
    scores = style.score_table([MadeUp()])
    assert scores.loc[0, "auROC: median (min – max)"] == ".9100 (.7900 – .9600)"
    epochs = style.epochs_table([MadeUp()])
    expected = [".9: 3 (1 never)", ".9: 2", ".9: 1 (1 never)"]
    assert epochs["epochs to the second auROC"].tolist() == expected


def on_other_data(**values):
    """The made-up results as if they were of another dataset."""
    spec = RunSpec(dataset="hematopoiesis", architecture="basset", **values)
    made = MadeUp()
    models = {m: tuple(dataclasses.replace(spec, seed=s) for s in range(3)) for m in HISTORY}
    object.__setattr__(made, "experiment", Experiment("made_up", "Made up", models))
    return made


def test_levels_are_the_papers_or_shares_of_what_std_gains():
    assert MadeUp().levels() == (0.8, 0.9, 0.95)
    gain = 0.91 - 0.5  # of the median seed of std
    assert on_other_data().levels() == pytest.approx([0.5 + s * gain for s in (0.5, 0.8, 0.95)])
    assert on_other_data().level(0) == 0.5
    tables = style.epochs_table([MadeUp(), on_other_data()])
    assert len(tables) == 6
    assert not tables.isna().any().any()


def test_narrowed_networks_say_so_in_the_titles():
    for draw in (style.performance, style.learning_curves):
        narrow = draw([on_other_data(width=0.125)])
        assert narrow.axes[0].get_title() == "Made up\n3 seeds, 0.125 of the filters"
        assert "filters" not in draw([on_other_data()]).axes[0].get_title()
    assert "0.125 of the filters" in style.score_table([on_other_data(width=0.125)])["data"][0]


def test_every_model_of_the_profiles_has_a_colour_and_a_name_of_its_own():
    plans = [load_size(name) for name in size_names()]
    models = {m for plan in plans for e in plan.experiments.values() for m in e.models}
    assert models <= set(style.COLOURS)
    assert models <= set(style.NAMES)
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)


def test_settings_and_time_of_published_runs_are_those_of_their_records():
    loaded = load_results("quick", seeds=2)
    (row,) = settings(loaded).to_dict("records")
    assert (row["network"], row["filters"], row["SFC neurons"]) == ("simulated_tf", "1", "648")
    assert (row["seeds"], row["diverged"], row["sequences an epoch"]) == (2, 0, "all")
    records = [record for group in loaded[0].records.values() for record in group]
    minutes = sum(record.result["cpu_seconds"] for record in records) / 60
    assert row["CPU minutes"] == round(minutes, 1)
    line = style.time_line(loaded, time.perf_counter() - 5)
    assert f"6 runs of this profile, shared by all pages, took **{minutes:.0f} CPU" in line
    assert "computed in **5 seconds**" in line


def test_time_of_a_page_is_not_told_where_runs_were_trained(monkeypatch, tmp_path):
    loaded = load_results("quick", seeds=1)
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    assert "computed" not in style.time_line(loaded, time.perf_counter())
