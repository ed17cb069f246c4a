"""Importance of runs: its sequences, what records carry, its numbers, and Figure 3."""

import dataclasses
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import record, results

from sfc_lib.datasets import simulated_tf
from sfc_lib.datasets.base import Dataset, Split, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.genomics.motifs import RESOURCES, read_meme
from sfc_lib.nn.gradients import importance_profiles
from sfc_lib.pages import claims, figure3_importance, figure4_positional_weights
from sfc_lib.pages.figure3_importance import describe, normalise
from sfc_lib.pages.results import load_results, only
from sfc_lib.runs import evaluation as of_runs
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import IMPORTANCE, best_seeds

POSITIONS = np.arange(200)


def bumpy(amount, shift=0.3):
    """A profile that departs from uniform by an amount, and is not symmetric."""
    return (1 + amount * np.sin(POSITIONS / 9 + shift)).astype(np.float32)


def experiment(folder, amounts, without=()):
    """Records whose profiles depart from uniform by `amounts[model][seed]`."""
    groups = {}
    for model, values in amounts.items():
        groups[model] = []
        for seed, amount in enumerate(values):
            arrays = {} if (model, seed) in without else {"importance": bumpy(amount)}
            spec = RunSpec(variant=model, seed=seed)
            groups[model].append(record(folder, spec, 0.9 + 0.001 * seed, **arrays))
    return results(groups)


# The sequences


def test_new_sequences_all_hold_tal1_and_none_is_of_the_data():
    spec = RunSpec()
    codes = of_runs.sequences(spec)
    assert codes.shape == (100_000, 200)
    classes = np.resize([2, 3], 100_000)
    again = simulated_tf.simulate(classes, np.random.default_rng(np.random.SeedSequence((0, 3))))
    assert (again.codes == codes).all()
    assert again.labels[:, 2].all()
    assert again.labels[:, 0].mean() == 0.5
    data = load_dataset("simulated_tf")
    known = {row.tobytes() for split in (data.train, data.valid, data.test) for row in split.codes}
    assert known.isdisjoint(row.tobytes() for row in codes)


def test_their_number_goes_with_the_data_but_not_with_seed_or_model():
    small = RunSpec(dataset_options={"examples": 80})
    other = RunSpec(dataset_options={"examples": 80}, variant="std", seed=7)
    assert of_runs.sequences(small).shape == (1000, 200)
    assert (of_runs.sequences(small) == of_runs.sequences(other)).all()


def test_region_is_where_every_base_of_the_widest_motif_can_lie():
    motifs = read_meme(RESOURCES / "simulated_tf.meme")
    widest = max(motifs[name].width for name in simulated_tf.MOTIFS)
    assert of_runs.target(RunSpec(), 200).region == (widest - 1, 200 - widest + 1)
    assert simulated_tf.SimulatedTF.task_names[of_runs.target(RunSpec(), 200).column] == "TAL1"


def regions(monkeypatch, labels, tasks=("HSC", "MPP")):
    """A spec of a made-up hematopoiesis set whose test split has these labels."""
    codes = np.arange(len(labels), dtype=np.uint16)[:, None].repeat(6, axis=1)
    split = Split(codes, np.asarray(labels, dtype=np.uint8))
    made = Dataset("hematopoiesis", {}, "-", tasks, {}, split, split, split)
    monkeypatch.setattr(of_runs, "load_dataset", lambda name, **options: made)
    recipe = SimpleNamespace(task_names=tasks)
    monkeypatch.setattr(of_runs, "make_recipe", lambda name, options: recipe)
    return SimpleNamespace(dataset="hematopoiesis", dataset_options={})


def test_other_data_give_the_test_regions_positive_for_the_task_of_the_figure(monkeypatch):
    spec = regions(monkeypatch, [[1, 0], [0, 1], [1, 1], [0, 0]])
    assert of_runs.target(spec, 6) == of_runs.Target("MPP", 1, (0, 6))
    assert of_runs.sequences(spec)[:, 0].tolist() == [1, 2]


def test_at_most_ten_thousand_regions_drawn_once_and_in_order(monkeypatch):
    spec = regions(monkeypatch, np.ones((12_000, 2)))
    rows = of_runs.sequences(spec)[:, 0]
    assert len(rows) == len(set(rows.tolist())) == 10_000
    assert (np.diff(rows.astype(int)) > 0).all()
    assert (of_runs.sequences(spec)[:, 0] == rows).all()


def test_a_split_without_positives_and_a_set_without_the_task_are_named(monkeypatch):
    with pytest.raises(ValueError, match="positive for MPP, got none among 2"):
        of_runs.sequences(regions(monkeypatch, [[1, 0], [1, 0]]))
    with pytest.raises(ValueError, match=r"hematopoiesis should have the task 'MPP', got \('a',"):
        of_runs.target(regions(monkeypatch, [[1, 0]], tasks=("a", "b")), 6)


# What a record carries


def test_profile_of_a_record_is_read_back(tmp_path):
    carried = record(tmp_path, RunSpec(), 0.9, importance=bumpy(0.1))
    assert (carried.importance() == bumpy(0.1)).all()
    with pytest.raises(UserError, match=r"this record has no importance\.npy"):
        record(tmp_path, RunSpec(seed=1), 0.9).importance()


@pytest.mark.parametrize("bad", [np.zeros((2, 200), np.float32), np.zeros(200), np.array("x")])
def test_another_array_is_refused_with_its_file(bad, tmp_path):
    with pytest.raises(UserError, match=r"importance\.npy: expected a float32 array of 1 dim"):
        record(tmp_path, RunSpec(), 0.9, importance=bad).importance()


def test_a_changed_or_broken_file_is_refused(tmp_path):
    carried = record(tmp_path, RunSpec(), 0.9, importance=bumpy(0.1))
    (carried.folder / IMPORTANCE).write_bytes(b"no array")
    with pytest.raises(UserError, match="changed since"):
        carried.importance()


def test_models_are_measured_once_where_no_record_carries_a_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(of_runs, "NEW_SEQUENCES", (400, 8000))
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "data"))
    result = only(load_results("standard", jobs=1), "simulated_tf")
    best = best_seeds(result.records["sep"])[0]
    codes = of_runs.sequences(best.spec)
    direct = importance_profiles(best.model(), codes, [2])[0]
    files = {name: h for name, h in best.result["files"].items() if name != IMPORTANCE}
    bare = dataclasses.replace(best, result={**best.result, "files": files})
    np.testing.assert_allclose(of_runs.profile_of(bare), direct, rtol=1e-4)
    monkeypatch.setattr(of_runs, "measure", None)  # what is kept is not measured again
    np.testing.assert_allclose(of_runs.profile_of(bare), direct, rtol=1e-4)
    (kept,) = (tmp_path / "data" / "importance").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    with pytest.raises(TypeError):  # a damaged one is
        of_runs.profile_of(bare)


def test_every_published_run_carries_a_profile():
    results = load_results("standard", jobs=1)
    found = figure3_importance.collect(results)
    assert re.search(r"known for all \d+ runs\.", figure3_importance.coverage(results, found))


def test_carried_profiles_are_not_computed_and_diverged_runs_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(of_runs, "measure", None)
    result = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]})
    lost = record(tmp_path, RunSpec(variant="sep", seed=2), 0, diverged=True)
    result.records["sep"].append(lost)
    (found,) = figure3_importance.collect([result])
    assert {m: sorted(p) for m, p in found.profiles.items()} == {"std": [0, 1], "sep": [0, 1]}
    assert found.best == {"std": 1, "sep": 1}
    expected = describe(bumpy(0.2), (15, 185))
    (best,) = found.numbers().query("model == 'sep' and best").to_dict("records")
    assert {name: best[name] for name in expected} == expected


# The numbers


def test_numbers_of_a_profile_by_hand():
    found = describe(np.array([9.0, 1.0, 3.0, 2.0, -9.0]), (1, 4))  # normalised: .5, 1.5, 1
    assert found["departure"] == pytest.approx(np.sqrt(1 / 6))  # of deviations -.5, .5, 0
    assert found["asymmetry"] == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert found["roughness"] == pytest.approx(1.5)  # |.5 - 3 + 1|


profile_strategy = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=9, max_size=9)


@given(profile_strategy, st.floats(0.1, 100))
def test_numbers_do_not_depend_on_scale_sign_or_direction(values, factor):
    profile = np.array(values)
    if np.abs(profile).mean() < 0.01 or abs(profile.mean()) < 0.01:
        return
    region = (0, 9)
    for other in (factor * profile, -profile, profile[::-1]):
        assert describe(other, region) == pytest.approx(describe(profile, region))


@given(st.lists(st.floats(0.1, 5), min_size=5, max_size=5))
def test_a_mirrored_profile_has_no_asymmetry_and_an_odd_one_two(values):
    half = np.array(values)
    assert describe(np.concatenate([half, half[::-1]]), (0, 10))["asymmetry"] == 0
    assert describe(np.concatenate([half, -half[::-1]]), (0, 10))["asymmetry"] == pytest.approx(2)


def test_uniform_profiles_score_zero_and_empty_ones_nothing():
    assert describe(np.full(20, 0.3), (2, 18)) == pytest.approx(
        {"departure": 0, "asymmetry": 0, "roughness": 0}, abs=1e-12
    )
    assert np.isnan(list(describe(np.zeros(20), (2, 18)).values())).all()
    assert np.isnan(normalise(np.zeros(4), (0, 4))).all()


def test_table_gives_best_seed_and_median_over_those_with_a_profile(tmp_path):
    result = experiment(tmp_path, {"std": [0.5, 0.6, 0.7], "sep": [0.1, 0.2, 0.3]}, {("sep", 0)})
    table = figure3_importance.number_table(figure3_importance.collect([result]))
    assert table["seeds with a profile"].tolist() == ["3 of 3", "2 of 3"]
    assert table["best seed"].tolist() == [2, 2]
    middle, last = (describe(bumpy(a), (15, 185))["departure"] for a in (0.6, 0.7))
    low = describe(bumpy(0.5), (15, 185))["departure"]
    cell = table.iloc[0]["departure from uniform"]
    assert cell == f"{last:.3f}; {middle:.3f} ({low:.3f} – {last:.3f})"


# The claims


def test_claims_are_graded_on_the_profiles_that_records_carry(tmp_path):
    amounts = {
        "std": [0.50, 0.52, 0.54, 0.56, 0.58],
        "sep": [0.30, 0.31, 0.32, 0.33, 0.34],
        "symm": [0.60, 0.61, 0.62, 0.63, 0.64],
    }
    found = claims.grade([experiment(tmp_path, amounts)], figure=3)
    verdicts = {(g.claim.metric, *g.claim.models): g.verdict for g in found}
    assert verdicts["departure", "sep", "std"] == "supported"
    assert verdicts["departure", "symm", "std"] == "contradicted"
    assert verdicts["asymmetry", "sep", "std"] == "supported"
    assert ("roughness", "sep", "std") not in verdicts, "claimed of CTCF only"
    (grade,) = (g for g in found if (g.claim.metric, *g.claim.models)[:2] == ("departure", "sep"))
    assert grade.gain > 0
    assert grade.favoured == pytest.approx(describe(bumpy(0.32), (15, 185))["departure"])


def test_without_profiles_there_are_too_few_seeds_and_dashes(tmp_path):
    nothing = {(m, s) for m in ("std", "sep", "symm") for s in range(5)}
    result = experiment(tmp_path, dict.fromkeys(("std", "sep", "symm"), [0.1] * 5), nothing)
    found = claims.grade([result], figure=3)
    assert {g.verdict for g in found} == {"too few seeds"}
    assert "sep –, std –" in claims.table(found).to_string()


# The figures


def test_panels_show_the_best_seed_normalised_and_its_mirror_image(tmp_path):
    result = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]})
    figure = figure4_positional_weights.importance_panels(figure3_importance.collect([result]))
    std, sep, empty = figure.axes
    assert not empty.axison
    assert std.get_ylim() == sep.get_ylim()
    assert [text.get_text() for text in figure.legends[0].texts] == ["original", "mirror image"]
    lines = {line.get_label(): line for line in sep.lines}
    expected = normalise(bumpy(0.2), (15, 185))
    np.testing.assert_allclose(lines["original"].get_ydata(), expected)
    np.testing.assert_allclose(lines["mirror image"].get_ydata(), expected[::-1])
    assert lines["original"].get_color() == figure4_positional_weights.ORIGINAL
    assert lines["mirror image"].get_color() == figure4_positional_weights.MIRROR
    numbers = describe(bumpy(0.6), (15, 185))
    assert std.get_title().startswith("std, seed 1")
    assert f"departure {numbers['departure']:.2f}" in std.get_title()
    assert "TAL1" in std.get_ylabel()
    assert figure.number not in plt.get_fignums()


def test_a_best_seed_without_profile_leaves_its_panel_empty(tmp_path):
    result = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]}, {("sep", 1)})
    _, sep, _ = figure4_positional_weights.importance_panels(
        figure3_importance.collect([result])
    ).axes
    assert not sep.lines
    assert not sep.axison


def test_many_models_take_several_rows_on_one_scale(tmp_path):
    spec = {
        m: RunSpec(variant="symm", curvature=c) for m, c in zip("abcd", (0, 1, 2, 3), strict=True)
    }
    groups = {
        m: [record(tmp_path, s, 0.9, importance=bumpy(0.1 * (i + 1)))]
        for i, (m, s) in enumerate(spec.items())
    }
    figure = figure4_positional_weights.importance_panels(
        figure3_importance.collect([results(groups, "Many")])
    )
    drawn = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title().split(",")[0] for axes in drawn] == list("abcd")
    assert len(figure.axes) == 6
    assert len({axes.get_ylim() for axes in drawn}) == 1
    assert [bool(axes.get_ylabel()) for axes in drawn] == [True, False, False, True]


def test_every_seed_is_a_dot_and_the_best_is_ringed(tmp_path):
    result = experiment(tmp_path, {"std": [0.5, 0.6, 0.7], "sep": [0.1, 0.2, 0.3]})
    figure = figure4_positional_weights.importance_numbers(figure3_importance.collect([result]))
    departure = figure.axes[0]
    expected = [describe(bumpy(a), (15, 185))["departure"] for a in (0.5, 0.6, 0.7)]
    dots, ring = departure.collections[:2]
    np.testing.assert_allclose(dots.get_offsets()[:, 1], expected)
    np.testing.assert_allclose(ring.get_offsets(), [[0, expected[2]]])
    assert departure.patches[0].get_height() == pytest.approx(expected[1])
    assert [axes.get_title() for axes in figure.axes] == list(figure3_importance.NUMBERS.values())
    assert "3 seeds" in figure.axes[0].get_ylabel()


def test_the_papers_panels_come_first_and_data_that_it_does_not_show_are_left_out(tmp_path):
    def named(name, dataset="simulated_tf"):
        spec = RunSpec(dataset=dataset)
        one = results({"symm": [record(tmp_path / name, spec, 0.9, importance=bumpy(0.1))]})
        return dataclasses.replace(one, experiment=dataclasses.replace(one.experiment, name=name))

    made = [named("other"), named("simulated_tf"), named("acc", "simulated_accessibility")]
    found = figure3_importance.collect(made)
    assert (
        "all 2 runs. The paper shows none on these data: Made up."
        in figure3_importance.coverage(made, found)
    )
    panels, others = figure3_importance.split_panels(found)
    assert [[i.results.experiment.name for i in part] for part in (panels, others)] == [
        ["simulated_tf"],
        ["other"],
    ]
    (label,) = (
        axes.get_ylabel()
        for axes in figure4_positional_weights.importance_panels(panels).axes
        if axes.lines
    )
    assert "(3a)" in label
    (label,) = (
        axes.get_ylabel()
        for axes in figure4_positional_weights.importance_panels(others).axes
        if axes.lines
    )
    assert "(3" not in label


def test_coverage_says_how_many_runs_have_a_profile(tmp_path):
    result = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]}, {("sep", 0)})
    line = figure3_importance.coverage([result], figure3_importance.collect([result]))
    assert "**3 of 4 runs**" in line
    whole = experiment(tmp_path / "whole", {"std": [0.5, 0.6]})
    assert figure3_importance.coverage([whole], figure3_importance.collect([whole])).endswith(
        "all 2 runs."
    )


def test_figures_of_nothing_are_empty_not_errors():
    for draw in (
        figure4_positional_weights.importance_panels,
        figure4_positional_weights.importance_numbers,
    ):
        assert draw([]).axes
    assert figure3_importance.number_table([]).empty
