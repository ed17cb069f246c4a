"""What a longer training changes: leads by epoch, and how much of what can be learnt is learnt."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up import record

from sfc_lib.pages import longer
from sfc_lib.pages import results as results_module
from sfc_lib.pages.results import Results, load_finished
from sfc_lib.runs.sizes import load_size

CTCF, GENOME = "ctcf_converged", longer.ACCESSIBILITY


def results(tmp_path, name, curves, seeds=7):
    """Made-up runs of an experiment of `converged`; `curves(model, seed)`: auROC by epoch."""
    size = load_size("converged", seeds)
    size = dataclasses.replace(size, experiments={name: size.experiments[name]})
    records = [
        record(tmp_path, spec, max(curve := curves(model, spec.seed)), curve=curve)
        for model, specs in size.experiments[name].models.items()
        for spec in specs
    ]
    return Results(size, records)


def closing(model, seed):
    """std catches up with sep; symm, which never leads, stops after 5 epochs."""
    rise = np.linspace(0.5, 0.9, 20)
    if model == "std":
        return [*(rise - 0.05 - 0.001 * seed), 0.9 - 0.001 * seed]
    return [*rise, 0.9] if model == "sep" else [0.6, 0.7, 0.5, 0.65, 0.5]


def test_a_run_keeps_its_best_after_it_stopped(tmp_path):
    so_far = longer.best_so_far(results(tmp_path, CTCF, closing, 2), CTCF)
    assert so_far.shape == (21, 6)
    assert so_far["symm"][0].tolist() == [0.6] + [0.7] * 20
    assert so_far["sep"][1].iloc[-1] == 0.9


def test_leads_are_those_of_pairs_of_one_seed(tmp_path):
    so_far = longer.best_so_far(results(tmp_path, CTCF, closing, 3), CTCF)
    lead = longer.gap(so_far, "sep", "std")
    assert list(lead) == [0, 1, 2]
    np.testing.assert_allclose(lead.iloc[11], [0.05, 0.051, 0.052], atol=1e-12)
    np.testing.assert_allclose(lead.iloc[-1], [0, 0.001, 0.002], atol=1e-12)


def test_the_table_tells_where_a_lead_stood_early_and_where_it_ends(tmp_path):
    found = results(tmp_path, CTCF, closing)
    row = longer.gap_table(found).iloc[0]
    assert (row["data"], row["compared"], row["seeds"]) == ("CTCF", "sep − std", 7)
    assert row["difference after 12 epochs"].startswith("+.0530 [+.05")
    assert row["at the end"].startswith("+.0030 [+.00")
    assert row["epochs of the first: median"] == "21"
    assert longer.gap_table(found)["epochs of the first: median"].tolist() == ["21", "5"]


@pytest.mark.parametrize(("seeds", "few"), [(7, ""), (2, ", too few seeds to settle it")])
def test_the_sentence_says_both_leads_and_how_many_seeds(tmp_path, seeds, few):
    line = longer.gap_line(results(tmp_path, CTCF, closing, seeds))
    ahead = {7: ("+.0530", "+.0030"), 2: ("+.0505", "+.0005")}[seeds]
    assert line == (
        f"**CTCF**: *sep* is ahead of *std* by {ahead[0]} after 12 epochs and by {ahead[1]} at "
        f"the end ({seeds} seeds{few})."
    )


def test_the_early_epoch_is_that_of_the_standard_size():
    assert longer.early() == load_size("standard").experiments["ctcf"].models["std"][0].epochs


def test_figures_show_a_panel_a_factor_and_a_line_a_network(tmp_path):
    figure = longer.gap_figure(results(tmp_path, CTCF, closing, 2))
    (panel,) = figure.axes
    assert panel.get_title() == "CTCF, 2 seeds"
    thick = [line for line in panel.get_lines() if line.get_linewidth() > 2]
    np.testing.assert_allclose(thick[0].get_ydata()[11], 0.0505)
    low, high = panel.get_ylim()
    assert low < 0 < 0.0505 < high


def test_the_way_to_the_ceiling_starts_at_chance(tmp_path, monkeypatch):
    known = {"f" * 64: {"ceiling": {"valid": 0.9, "test": 0.8}}}
    monkeypatch.setattr(results_module, "yardsticks", lambda: known)
    height = {"std": 0.7, "sep": 0.8}
    found = results(tmp_path, GENOME, lambda model, seed: [height.get(model, 0.6)], 3)
    table = longer.reach(found, GENOME).set_index("model")
    assert table["of the way to the ceiling"].tolist()[:3] == ["50%", "75%", "25%"]
    assert longer.reach_line(found) == (
        "The best network, *sep (SFC)*, reaches a median auROC of .8000 (ceiling: .9000). "
        "That is 75% of the way from chance to the ceiling."
    )


def test_without_a_ceiling_nothing_is_said_of_one(tmp_path):
    found = results(tmp_path, GENOME, lambda model, seed: [0.6], 1)
    assert "of the way to the ceiling" not in longer.reach(found, GENOME)
    assert longer.reach_line(found).endswith("a median auROC of .6000.")


def test_learning_is_drawn_against_sequences_seen(tmp_path):
    figure = longer.learnt_figure(results(tmp_path, GENOME, lambda m, s: [0.6, 0.7], 1), GENOME)
    assert figure.axes[0].get_lines()[0].get_xdata().tolist() == [20_000, 40_000]


def test_composition_is_that_of_the_file(monkeypatch):
    entry = {"options": {"profile": "full", "background": "chain"}}
    entry |= {"2-mer regression": {"valid": 0.51, "test": 0.52}}
    monkeypatch.setattr(longer, "yardsticks", lambda: {"a": entry, "b": {"positives": {}}})
    (row,) = longer.composition_table().to_dict("records")
    assert list(row.values()) == ["all of hg19", "one chain for all windows", ".5100", ".5200"]


def test_a_page_without_any_run_says_so():
    nothing = longer.load_longer(published=False)
    assert not nothing.records
    assert longer.gap_line(nothing) == "No ChIP-seq network has been trained to its end yet."
    assert longer.reach_line(nothing).startswith("No network has been trained longer")
    assert longer.gap_figure(nothing) is longer.learnt_figure(nothing, GENOME) is None
    for table in (longer.gap_table(nothing), longer.reach(nothing, GENOME)):
        assert table.empty
    assert longer.sources(nothing).empty


def test_finished_runs_are_those_that_every_model_has():
    found = load_finished("converged")
    counts = found.runs.groupby(["experiment", "model"]).size()
    for _, by_model in counts.groupby(level="experiment"):
        assert by_model.nunique() == 1
    assert [r.spec for r in found.records] == list(found.size.specs)
    assert isinstance(found.runs, pd.DataFrame)
