"""Figure 3: the numbers of a profile by hand, what pages find, and the figure read back."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import record, results, together, unpacked

from sfc_lib.pages import claims
from sfc_lib.pages import figure3_importance as figure3
from sfc_lib.pages.figure3_importance import collect, profile_numbers
from sfc_lib.runs import evaluation
from sfc_lib.runs.spec import RunSpec

POSITIONS = np.arange(200)


def bumpy(amount, shift=0.3):
    """A profile that departs from uniform by an amount, and is not symmetric."""
    return (1 + amount * np.sin(POSITIONS / 9 + shift)).astype(np.float32)


def groups_of(folder, amounts, without=()):
    """Records by model whose profiles depart from uniform by `amounts[model][seed]`."""
    groups = {}
    for model, values in amounts.items():
        groups[model] = []
        for seed, amount in enumerate(values):
            arrays = {} if (model, seed) in without else {"importance": bumpy(amount)}
            spec = RunSpec(variant=model, seed=seed)
            groups[model].append(record(folder, spec, 0.9 + 0.001 * seed, **arrays))
    return groups


def experiment(folder, amounts, without=()):
    """Results of such records."""
    return results(groups_of(folder, amounts, without))


def test_every_published_simulation_carries_importance(published):
    """Others, published when importance was defined in another way, may lack it."""
    found = collect(published)
    runs = published.runs[(published.runs.dataset == "simulated_tf") & ~published.runs.diverged]
    assert set(runs.index) <= set(found.index)


def test_carried_profiles_are_not_computed_and_diverged_runs_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "measure", None)
    groups = groups_of(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]})
    groups["sep"].append(record(tmp_path, RunSpec(variant="sep", seed=2), 0, diverged=True))
    found = collect(results(groups))
    assert found.groupby("model").seed.apply(list).to_dict() == {"std": [0, 1], "sep": [0, 1]}
    assert found.seed[found.best].tolist() == [1, 1]
    expected = numbers(0.2)
    (best,) = found[(found.model == "sep") & found.best].to_dict("records")
    assert {name: best[name] for name in expected} == pytest.approx(expected)


def numbers(amount):
    """What `bumpy(amount)` is described by."""
    profile = bumpy(amount)
    return profile_numbers(profile, (15, 185), np.abs(profile[15:185]).mean(dtype=float))


# The numbers


def test_numbers_of_a_profile_by_hand():
    found = profile_numbers(np.array([9.0, 1.0, 3.0, 2.0, -9.0]), (1, 4), 2)  # .5, 1.5, 1
    assert found["departure"] == pytest.approx(np.sqrt(1 / 6))  # of deviations -.5, .5, 0
    assert found["asymmetry"] == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert found["roughness"] == pytest.approx(1.5)  # |.5 - 3 + 1|


values = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=9, max_size=9)


@given(values, st.floats(0.1, 100), st.floats(-100, 100))
def test_no_offset_scale_sign_or_direction_makes_the_numbers(values, factor, offset):
    profile, region = np.array(values), (0, 9)
    expected = profile_numbers(profile, region, 1.0)
    for other in (factor * profile, factor * profile + offset, -factor * profile[::-1]):
        found = profile_numbers(other, region, factor)
        assert found == pytest.approx(expected, abs=1e-9)


@given(values, st.randoms())
def test_departure_knows_no_order_of_positions(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    one, two = (profile_numbers(np.array(v), (0, 9), 1.0) for v in (values, shuffled))
    assert one["departure"] == pytest.approx(two["departure"], abs=1e-9)


def test_an_offset_of_all_runs_changes_no_number_that_a_page_shows(tmp_path):
    profile, noise = bumpy(0.3), bumpy(0.01) - 1
    tables = []
    for offset in (0, 7):
        raw = (profile + offset).astype(np.float32)
        values = np.stack([[raw, noise], [profile, noise]])
        made = results({"sep": [record(tmp_path / str(offset), RunSpec(), importance=values)]})
        tables.append(collect(made)[list(figure3.NUMBERS)].to_numpy(float))
    np.testing.assert_allclose(*tables, atol=1e-5)


@given(st.lists(st.floats(0.1, 5), min_size=5, max_size=5))
def test_a_mirrored_profile_has_no_asymmetry(values):
    half = np.array(values)
    assert profile_numbers(np.concatenate([half, half[::-1]]), (0, 10), 1.0)["asymmetry"] == 0


def test_uniform_profiles_score_zero_and_empty_ones_nothing():
    assert profile_numbers(np.full(20, 0.3), (2, 18), 0.3) == pytest.approx(
        {"departure": 0, "asymmetry": 0, "roughness": 0}, abs=1e-12
    )
    assert np.isnan(list(profile_numbers(np.zeros(20), (2, 18), 0.0).values())).all()


def noisy(folder, sizes, noise):
    """Records of four seeds a model, of a bumpy profile of some size, all with the same noise."""
    groups = {}
    for model, amount in sizes.items():
        values = np.stack([[bumpy(amount), noise]] * 2).astype(np.float32)
        specs = [RunSpec(variant=model, seed=seed) for seed in range(6)]
        groups[model] = [record(folder, spec, importance=values) for spec in specs]
    return results(groups)


def test_what_is_not_above_its_noise_is_not_measurable(tmp_path):
    noise = bumpy(0.2) - 1
    made = noisy(tmp_path / "under", {"std": 0.1, "sep": 0.05, "symm": 0.15}, noise)
    assert set(claims.grade(made, figure=3).verdict) == {"not measurable"}
    assert "not measurable" in figure3.number_table(collect(made))["asymmetry"].iat[0]
    assert not figure3.measurable(1.41, 1.0), "signal is a little less than noise"
    assert figure3.measurable(1.42, 1.0)
    made = noisy(tmp_path / "above", {"std": 0.3, "sep": 0.1, "symm": 0.05}, noise)
    found = claims.grade(made, figure=3)
    verdicts = dict(
        zip(zip(found.metric, found.favoured, found.other, strict=True), found.verdict, strict=True)
    )
    assert verdicts["departure", "sep", "std"] == "supported", "the higher one is measured"
    assert verdicts["departure", "symm", "sep"] == "not measurable", "both are noise"


def test_table_gives_best_seed_and_median_over_those_with_a_profile(tmp_path):
    made = experiment(tmp_path, {"std": [0.5, 0.6, 0.7], "sep": [0.1, 0.2, 0.3]}, {("sep", 0)})
    table = figure3.number_table(collect(made))
    assert table["seeds with a profile"].tolist() == ["3 of 3", "2 of 3"]
    assert table["best seed"].tolist() == [2, 2]
    assert table["sequences"].tolist() == ["100,000"] * 2
    middle, last = (numbers(a)["departure"] for a in (0.6, 0.7))
    low = numbers(0.5)["departure"]
    cell = table.iloc[0]["departure from uniform"]
    assert cell == f"{last:.3f}; {middle:.3f} ({low:.3f} – {last:.3f}); noise 0.000"


def test_one_seed_has_no_range(tmp_path):
    table = figure3.number_table(collect(experiment(tmp_path, {"std": [0.5]})))
    assert table["seeds with a profile"].tolist() == ["1 of 1"]
    assert re.fullmatch(r"\d\.\d{3}; noise 0\.000", table.iloc[0]["roughness"])


# The claims


def test_claims_are_graded_on_the_profiles_that_records_carry(tmp_path):
    amounts = {
        "std": [0.50, 0.52, 0.54, 0.56, 0.58, 0.6],
        "sep": [0.30, 0.31, 0.32, 0.33, 0.34, 0.35],
        "symm": [0.60, 0.61, 0.62, 0.63, 0.64, 0.65],
    }
    found = claims.grade(experiment(tmp_path, amounts), figure=3)
    graded = {(g.metric, g.favoured, g.other): g for g in found.itertuples()}
    assert graded["departure", "sep", "std"].verdict == "supported"
    assert graded["departure", "symm", "std"].verdict == "contradicted"
    assert graded["asymmetry", "sep", "std"].verdict == "supported"
    assert ("roughness", "sep", "std") not in graded, "claimed of CTCF only"
    assert graded["departure", "sep", "std"].effect > 0
    expected = np.mean([numbers(a)["departure"] for a in (0.32, 0.33)])
    assert graded["departure", "sep", "std"].favoured_value == pytest.approx(expected)


def test_without_profiles_nothing_is_decided_and_there_are_dashes(tmp_path):
    nothing = {(m, s) for m in ("std", "sep", "symm") for s in range(5)}
    made = experiment(tmp_path, dict.fromkeys(("std", "sep", "symm"), [0.1] * 5), nothing)
    found = claims.grade(made, figure=3)
    assert set(found.verdict) == {"undecided"}
    assert "sep: –, std: –" in claims.grade_table(found).to_string()
    assert "**0 of 15 runs**" in figure3.coverage(made, collect(made))


# The figures


def test_panels_show_the_best_seed_normalised_and_its_mirror_image(tmp_path):
    made = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]})
    figure = figure3.importance_panels(collect(made))
    std, sep, empty = figure.axes
    assert not empty.axison
    assert std.get_ylim() == sep.get_ylim()
    assert [text.get_text() for text in figure.legends[0].texts] == ["original", "mirror image"]
    lines = {line.get_label(): line for line in sep.lines}
    expected = bumpy(0.2) / np.abs(bumpy(0.2)[15:185]).mean()
    np.testing.assert_allclose(lines["original"].get_ydata(), expected)
    np.testing.assert_allclose(lines["mirror image"].get_ydata(), expected[::-1])
    assert lines["original"].get_color() == figure3.ORIGINAL
    assert lines["mirror image"].get_color() == figure3.MIRROR
    shown = numbers(0.6)
    assert std.get_title().startswith("std, seed 1")
    assert f"asymmetry {shown['asymmetry']:.2f}" in std.get_title()
    assert "TAL1, 100,000 sequences" in std.get_ylabel()


def test_many_models_go_on_in_a_second_row_with_one_scale(tmp_path):
    groups = {
        model: [record(tmp_path, RunSpec(variant="symm", curvature=i), 0.9, importance=bumpy(a))]
        for i, (model, a) in enumerate(zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True))
    }
    figure = figure3.importance_panels(collect(results(groups, "Many")))
    drawn = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title().split(",")[0] for axes in drawn] == list("abcd")
    assert len(figure.axes) == 6
    assert len({axes.get_ylim() for axes in drawn}) == 1
    assert [bool(axes.get_ylabel()) for axes in drawn] == [True, False, False, True]


def test_every_seed_is_a_dot_and_the_best_is_ringed(tmp_path):
    made = experiment(tmp_path, {"std": [0.5, 0.6, 0.7], "sep": [0.1, 0.2, 0.3]})
    figure = figure3.importance_numbers(collect(made))
    departure = figure.axes[0]
    seen = [[numbers(a)["departure"] for a in part] for part in ((0.5, 0.6, 0.7), (0.1, 0.2, 0.3))]
    *dots, best, ring, _noise = departure.collections
    heights = np.concatenate([c.get_offsets()[:, 1] for c in dots])
    np.testing.assert_allclose(sorted(heights), sorted(seen[0][:2] + seen[1][:2]))
    expected = [[0, seen[0][2]], [1, seen[1][2]]]
    np.testing.assert_allclose(best.get_offsets(), expected)
    np.testing.assert_allclose(ring.get_offsets(), expected)
    assert departure.patches[0].get_height() == pytest.approx(seen[0][1])
    assert [axes.get_title() for axes in figure.axes] == list(figure3.NUMBERS.values())
    assert figure.axes[0].get_ylabel().endswith("3 seeds")
    fewer = experiment(tmp_path / "fewer", {"std": [0.5, 0.6, 0.7]}, {("std", 1)})
    label = figure3.importance_numbers(collect(fewer)).axes[0].get_ylabel()
    assert label.endswith("3 seeds\nwith a profile: 2")


def test_one_seed_is_drawn(tmp_path):
    found = collect(experiment(tmp_path, {"std": [0.5], "sep": [0.1]}))
    for draw in (figure3.importance_panels, figure3.importance_numbers):
        draw(found).canvas.draw()


def test_the_papers_panels_come_first_and_data_that_it_does_not_show_are_left_out(tmp_path):
    def named(name, dataset="simulated_tf"):
        spec = RunSpec(dataset=dataset)
        made = record(tmp_path / name, spec, importance=bumpy(0.1))
        return results({"symm": [made]}, name=name)

    made = together(named("other"), named("simulated_tf"), named("acc", "simulated_accessibility"))
    found = collect(made)
    line = figure3.coverage(made, found)
    assert "all 2 runs. The paper shows none on these data: Made up." in line
    panels, others = figure3.split_panels(found)
    assert panels.experiment.tolist() == ["simulated_tf"]
    assert others.experiment.tolist() == ["other"]
    for part, shown in ((panels, True), (others, False)):
        (axes,) = (axes for axes in figure3.importance_panels(part).axes if axes.lines)
        assert ("(3a)" in axes.get_ylabel()) == shown


def test_coverage_says_how_many_runs_have_a_profile(tmp_path):
    made = experiment(tmp_path, {"std": [0.5, 0.6], "sep": [0.1, 0.2]}, {("sep", 0)})
    assert "**3 of 4 runs**" in figure3.coverage(made, collect(made))
    whole = experiment(tmp_path / "whole", {"std": [0.5, 0.6]})
    assert figure3.coverage(whole, collect(whole)).endswith("all 2 runs.")


def test_figures_of_nothing_are_empty_not_errors(tmp_path):
    nothing = collect(experiment(tmp_path, {"std": [0.5]}, {("std", 0)}))
    assert nothing.empty
    for draw in (figure3.importance_panels, figure3.importance_numbers):
        assert draw(nothing).axes
    assert figure3.number_table(nothing).empty


# By strength of CR, in the browser.


def by_strength(folder, strengths):
    """Results of one symmetric run at each strength, whose profiles are flatter from one on."""
    groups = {}
    for place, strength in enumerate(strengths):
        spec = RunSpec(variant="symm", curvature=strength)
        profile = bumpy(0.6 / (1 + place))
        groups[f"cr_{strength}"] = [record(folder, spec, importance=profile)]
    return collect(results(groups))


def test_the_slider_has_the_strengths_in_their_order(tmp_path):
    found = by_strength(tmp_path, (10, 0, 100))
    panels = figure3.strength_slider(found).data["panels"]
    assert [panel["strength"] for panel in panels] == ["0", "10", "100"]
    for panel, (_, run) in zip(panels, found.sort_values("curvature").iterrows(), strict=True):
        np.testing.assert_allclose(unpacked(panel["profile"]), run.profile / run.unit, atol=1e-3)
        assert panel["numbers"]["asymmetry"] == [run.asymmetry, run.asymmetry_noise]


def test_there_is_no_slider_without_strengths(tmp_path):
    assert figure3.strength_slider(by_strength(tmp_path / "one", (0,))) is None
    std = experiment(tmp_path / "std", {"std": [0.5], "sep": [0.2]})
    assert figure3.strength_slider(collect(std)) is None


@pytest.mark.parametrize("width", [1000, 390])
def test_the_slider_shows_a_profile_its_mirror_image_and_its_numbers(tmp_path, opened, width):
    found = by_strength(tmp_path, (0, 1, 10)).sort_values("curvature")
    page = opened(figure3.strength_slider(found), width)
    for place, (_, run) in enumerate(found.iterrows()):
        page.get_by_role("slider", name="strength of CR").fill(str(place))
        assert page.locator("b.value").inner_text() == f"{run.curvature:g}"
        said = page.locator(".said").inner_text()
        for number, name in figure3.NUMBERS.items():
            assert f"{name} {run[number]:.3f}".replace("0.", ".") in said
        heights = [
            [float(point.split(",")[1]) for point in line.get_attribute("points").split()]
            for line in (page.locator(".shown"), page.locator(".mirror"))
        ]
        assert heights[0] == heights[1][::-1]
        correlation = np.corrcoef(heights[0], run.profile)[0, 1]
        assert correlation == pytest.approx(-1, abs=1e-3)  # y grows downwards
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_published_panel_has_the_strengths_of_the_paper(published):
    panels = figure3.strength_slider(collect(published)).data["panels"]
    assert [panel["strength"] for panel in panels] == ["0", "1", "10", "100"]
    assert all("MPP" in panel["name"] for panel in panels)
