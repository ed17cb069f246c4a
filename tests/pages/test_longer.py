"""What a longer training changes: leads by epoch, and how much of what can be learnt is learnt."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up import record

from sfc_lib.datasets import accessibility
from sfc_lib.pages import longer
from sfc_lib.pages import results as results_module
from sfc_lib.pages.results import Results, load_finished
from sfc_lib.pages.statistics import shift
from sfc_lib.runs.sizes import load_size

CTCF, GENOME = "ctcf_converged", longer.ACCESSIBILITY


def results(tmp_path, name, curves, seeds=7, size="converged"):
    """Made-up runs of an experiment of a size; `curves(model, seed)`: auROC by epoch."""
    size = load_size(size, seeds)
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
    figure = longer.chip_figure(results(tmp_path, CTCF, closing, 2))
    above, below = figure.axes
    assert above.get_title() == "CTCF, 2 seeds"
    std, sep, symm = (line.get_ydata() for line in thick(above))
    np.testing.assert_allclose([std[19], sep[19]], [0.85 - 0.0005, 0.9])
    assert np.isfinite(sep).all()
    assert len(symm) == 5
    np.testing.assert_allclose(thick(below)[0].get_ydata()[11], 0.0505)
    low, high = below.get_ylim()
    assert low < 0 < 0.0505 < high
    for axes in (above, below):
        dotted = [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"]
        assert dotted == [longer.early()]


def thick(axes):
    return [line for line in axes.get_lines() if line.get_linewidth() > 2]


def test_the_median_curve_ends_where_the_first_seed_stops(tmp_path):
    found = results(tmp_path, CTCF, lambda model, seed: [0.6, 0.7, 0.8][: 3 - seed], 2)
    for line in thick(longer.chip_figure(found).axes[0]):
        np.testing.assert_allclose(line.get_ydata(), [0.6, 0.7, np.nan])


def test_bands_are_intervals_where_seeds_are_enough_for_one(tmp_path):
    many = results(tmp_path / "many", CTCF, closing, 7)
    band = longer.chip_figure(many).axes[1].collections[0].get_paths()[0].vertices
    found = shift(0.05 + 0.001 * np.arange(7), np.zeros(7))
    at_twelve = np.unique(band[band[:, 0] == 12, 1])
    np.testing.assert_allclose(at_twelve, [found.low, found.high], atol=1e-12)
    assert "Bands are its 95 % interval." in longer.chip_caption(many)
    assert "No band" not in longer.chip_caption(many)
    few = results(tmp_path / "few", CTCF, closing, 2)
    assert not longer.chip_figure(few).axes[1].collections
    assert "No band, with fewer than 6 seeds: CTCF (2 seeds)." in longer.chip_caption(few)
    assert "Bands" not in longer.chip_caption(few)


def test_leads_on_the_test_set_are_those_of_pairs(tmp_path):
    found = results(tmp_path, CTCF, closing, 3)
    assert longer.gap_table(found)["at the end, test set"].tolist() == ["–", "–"]
    for run in found.records:
        score = {"std": 0.7, "sep": 0.72, "symm": 0.65}[run.spec.variant]
        run.result["test"] = {"auroc": score, "auprc": score}
    table = longer.gap_table(Results(found.size, found.records))
    assert table["at the end, test set"].tolist() == [
        "+.0200 [too few seeds]", "−.0500 [too few seeds]"
    ]  # fmt: skip


def test_runs_that_were_still_learning_are_counted(tmp_path):
    ends = {"std": 80, "sep": 72, "symm": 30}  # best epochs; symm is then stopped by patience

    def curve(model, seed):
        epochs = 50 if model == "symm" else 80
        return [0.6 + 0.1 * (epoch == ends[model]) for epoch in range(1, epochs + 1)]

    line = longer.unfinished(results(tmp_path, CTCF, curve, 2))
    assert line == (
        "How they ended: **CTCF**: of 6 runs 2 still learning (best epoch in the last tenth of "
        "all 80), 2 past the best epoch when all 80 were over, 2 stopped by 20 epochs that brought "
        "nothing better."
    )


def test_runs_that_diverged_are_not_said_to_have_ended_otherwise(tmp_path):
    found = results(tmp_path, GENOME, lambda model, seed: [0.5] * 25, 1)
    found.records[0].result["status"] = "diverged"
    line = longer.unfinished(Results(found.size, found.records), [GENOME])
    assert line == (
        "How they ended: **accessibility, genome**: of 6 runs 5 past the best epoch when all 25 "
        "were over, 1 diverged."
    )


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


def test_scores_stand_beside_chance(tmp_path, monkeypatch):
    known = {"f" * 64: {"positives": {"valid": 0.25, "test": 0.3}}}
    monkeypatch.setattr(longer, "yardsticks", lambda: known)
    found = results(tmp_path, GENOME, lambda model, seed: [0.6 + 0.1 * seed], 3)
    row = longer.reach(found, GENOME).iloc[0]
    assert row[["auROC by chance", "auPRC: median", "auPRC by chance"]].tolist() == [
        ".5", ".7000", ".2500"
    ]  # fmt: skip


def test_what_was_picked_is_that_of_the_specs():
    spec = load_size("converged", 1).experiments[GENOME].specs[0]
    line = longer.picked()
    assert f"{spec.width:g} of the filters" in line
    assert "learning rate 0.0001 or 0.001" in line
    assert f"{spec.epochs * spec.samples_per_epoch:,} in all" in line


def test_the_pilot_tells_what_more_sequences_bring(tmp_path):
    rise = {"std": 0.004, "sep": 0.0}

    def curve(model, seed):
        return 0.6 + rise.get(model, 0.001) * np.arange(50)

    found = results(tmp_path, longer.ACCESSIBILITY_PILOT, curve, 1, "pilots")
    line = longer.more_samples(found)
    assert "With 1,000,000 sequences in place of 500,000 the best" in line
    assert "(1 seed): *std (no SFC)* from .696 to .796, *sep (SFC)* from .600 to .600, " in line
    figure = longer.learnt_figure(found, longer.ACCESSIBILITY_PILOT)
    assert figure.axes[0].get_lines()[0].get_xdata()[-1] == 1_000_000


def test_changes_are_told_by_what_they_gain_on_their_base(tmp_path, monkeypatch):
    reached = {"std": 0.7, "sep": 0.71, "sep_wide": 0.73, "sep_less_dropout": 0.69}
    found = results(
        tmp_path, longer.PILOTS, lambda model, seed: [reached.get(model, 0.72)], 1, "pilots"
    )
    shorter = {
        spec: record(tmp_path / "short", spec, 0.705)
        for spec in load_size("standard", 1).experiments[longer.HEMATOPOIESIS].specs
    }
    monkeypatch.setattr(longer, "look_up", lambda s, _: shorter.get(s) or held(found, s))
    known = {"f" * 64: {"6-mer regression": {"valid": 0.725}}}
    monkeypatch.setattr(results_module, "yardsticks", lambda: known)
    table = longer.changes(found).set_index("model")
    gains = {"std": -0.005, "sep": 0.005, "sep_wide": 0.02, "sep_less_dropout": -0.02}
    for model, gain in gains.items():
        assert table.gain[model] == pytest.approx(gain)
    line = longer.changes_line(found)
    assert "one seed each: *sep*, width 0.25 in place of 0.125: +.0200; " in line
    assert "*sep*, dropout 0.1 in place of 0.3: −.0200" in line
    assert "*sep*, epochs 25 in place of 6: +.0050" in line
    assert line.endswith("reaches .7300, .0050 above a 6-mer regression (.7250).")


def held(found, spec):
    return next((r for r in found.records if r.spec == spec), None)


WINDOWS = {
    "options": {"profile": "full", "dnase": "uniform", "seed": 0, "background": "chain"},
    "windows": {"train": 600, "valid": 50, "test": 40},
    "left out": {
        accessibility.NO_SUMMITS: 200,
        **{f"{split}: fewer than 1 motifs": 100 for split in ("train", "valid", "test")},
    },
    "genome": {"regions": 300, "windows": 1190},
}
WINDOWS["options"]["min_motifs"] = 1


def test_windows_stand_beside_the_papers(monkeypatch):
    other = {**WINDOWS, "options": {"profile": "full"}}
    monkeypatch.setattr(longer, "yardsticks", lambda: {"a": other, "b": WINDOWS})
    assert longer.windows_table().to_numpy().tolist() == [
        ["of the paper", "2,178,417", "not said", "not said"],
        ["here, all", "700", "150", "140"],
        ["here, with at least 1 motif", "600", "50", "40"],
    ]
    line = longer.windows_line()
    assert "make 1,190 windows in 300 open regions, 4.0 a region." in line
    assert f"Of these 200 lie {accessibility.NO_SUMMITS}, 290 validate or test." in line
    assert "300 hold no motif" in line


def test_windows_are_counted_and_add_up():
    (entry,) = longer._genome_wide()
    assert (
        sum([*entry["windows"].values(), *entry["left out"].values()])
        == (entry["genome"]["windows"])
    )


def test_windows_that_nobody_counted_are_not_told(monkeypatch):
    monkeypatch.setattr(longer, "yardsticks", dict)
    assert longer.windows_line() == ""
    assert len(longer.windows_table()) == 1


def test_composition_is_that_of_the_file(monkeypatch):
    entry = {"options": {"profile": "full", "background": "chain"}}
    entry |= {"2-mer regression": {"valid": 0.51, "test": 0.52}}
    monkeypatch.setattr(longer, "yardsticks", lambda: {"a": entry, "b": {"positives": {}}})
    (row,) = longer.composition_table().to_dict("records")
    assert list(row.values()) == ["all of hg19", "one chain for all windows", ".5100", ".5200"]


def test_a_page_without_any_run_says_so():
    nothing = longer.load_longer(published=False)
    assert not nothing.records
    assert longer.gap_line(nothing) == "No ChIP-seq network has been trained longer yet."
    untrained = "*Not trained yet: `sfc sweep {} --only {}`.*".format
    assert longer.reach_line(nothing) == untrained("converged", GENOME)
    assert longer.changes_line(nothing) == untrained("pilots", longer.PILOTS)
    assert untrained("pilots", longer.ACCESSIBILITY_PILOT) in longer.more_samples(nothing)
    assert longer.unfinished(nothing) == longer.unfinished(nothing, [GENOME]) == ""
    assert longer.chip_caption(nothing) == ""
    assert longer.chip_figure(nothing) is longer.learnt_figure(nothing, GENOME) is None
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
