"""Figure 4: normalised rows, clusters and roughness by hand, and its figures read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import record, results, with_curvature

from sfc_lib.pages import claims, figure4_positional_weights, style
from sfc_lib.pages.book import SCRIPTS
from sfc_lib.pages.results import load_results
from sfc_lib.runs.spec import RunSpec

TOY = np.array(  # three shapes over four positions, at any height and size
    [
        [0, 0, 0, 1],  # rises at the end
        [1, 0, 0, 1],  # valley
        [5, 5, 5, 9],
        [0, 1, 1, 0],  # hill
        [2, 2, 2, 3],
        [7, 4, 4, 7],
    ],
    dtype=np.float32,
)

matrices = st.lists(
    st.lists(st.integers(-50, 50), min_size=6, max_size=6), min_size=1, max_size=8
).map(np.array)


def test_rows_lose_their_mean_and_get_unit_magnitude():
    found = figure4_positional_weights.normalise_rows(np.array([[3.0, 5.0, 4.0], [2.0, 2.0, 2.0]]))
    np.testing.assert_allclose(found, [[-(0.5**0.5), 0.5**0.5, 0], [0, 0, 0]], atol=1e-12)


@given(matrices, st.floats(0.1, 10), st.floats(-10, 10))
def test_normal_rows_do_not_depend_on_size_or_height(matrix, factor, height):
    rows = figure4_positional_weights.normalise_rows(matrix)
    norms = np.linalg.norm(rows, axis=1)
    flat = np.ptp(matrix, axis=1) == 0
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(norms, np.where(flat, 0, 1), atol=1e-9)
    np.testing.assert_allclose(
        figure4_positional_weights.normalise_rows(factor * matrix + height), rows, atol=1e-6
    )


def test_toy_rows_are_sorted_by_cluster_the_largest_first():
    found = figure4_positional_weights.cluster(TOY, 3)
    assert found.neurons.tolist() == [0, 2, 4, 1, 5, 3]
    assert found.sizes.tolist() == [3, 2, 1]
    assert found.boundaries.tolist() == [3, 5]
    np.testing.assert_allclose(
        found.rows, figure4_positional_weights.normalise_rows(TOY)[found.neurons]
    )


@given(matrices)
def test_clusters_hold_every_row_once_and_are_the_same_each_time(matrix):
    found = figure4_positional_weights.cluster(matrix)
    assert sorted(found.neurons) == list(range(len(matrix)))
    assert found.sizes.sum() == len(matrix)
    assert (np.diff(found.sizes) <= 0).all()
    assert found.sizes.min() >= 1
    assert len(found.sizes) <= figure4_positional_weights.CLUSTERS
    assert (figure4_positional_weights.cluster(matrix).neurons == found.neurons).all()


def test_roughness_by_hand_and_only_of_the_stored_half_if_symmetric():
    tent = np.array([[0, 1, 2, 2, 1, 0.0]])  # straight halves, a bend at the centre
    assert figure4_positional_weights.roughness(tent, symmetric=True) == pytest.approx(0, abs=1e-12)
    norm = np.sqrt(4)  # of -1, 0, 1, 1, 0, -1
    assert figure4_positional_weights.roughness(tent, symmetric=False) == pytest.approx(
        (0 + 1 + 1 + 0) / 4 / norm
    )
    odd = np.array([[0, 1, 5, 1, 0.0]])  # stored 0, 1, 5
    norm = np.linalg.norm(odd - odd.mean())
    assert figure4_positional_weights.roughness(odd, symmetric=True) == pytest.approx(3 / norm)
    assert figure4_positional_weights.roughness(100 * odd + 7, symmetric=True) == pytest.approx(
        3 / norm
    )


def test_roughness_needs_three_stored_positions():
    with pytest.raises(ValueError, match="3 positions or more, got 2"):
        figure4_positional_weights.roughness(np.ones((1, 4)), symmetric=True)


def test_runs_are_measured_by_seed_and_strength_without_std_and_diverged(tmp_path):
    result = with_curvature(tmp_path)
    result.records["std"] = [record(tmp_path, RunSpec(variant="std"), 0.8)]
    result.records["cr_1"][0] = record(
        tmp_path, RunSpec(variant="symm", curvature=1), 0, diverged=True
    )
    table = figure4_positional_weights.roughness_by_run(result)
    assert table.groupby("curvature").seed.count().to_dict() == {0: 3, 1: 2, 10: 3, 100: 3}
    first = result.records["cr_10"][0]
    value = table[(table.model == "cr_10") & (table.seed == 0)].roughness.item()
    assert value == figure4_positional_weights.roughness(first.positional_weights(), symmetric=True)


def test_the_best_symmetric_seed_of_each_strength_is_shown(tmp_path):
    result = with_curvature(tmp_path, strengths=(10, 0, 100))
    plain = record(tmp_path, RunSpec(variant="sep"), 0.99, weights=TOY)
    result.records["sep"] = [plain]
    found = figure4_positional_weights.by_strength(result)
    assert list(found) == [0, 10, 100]
    assert {r.spec.seed for r in found.values()} == {2}
    assert {r.spec.variant for r in found.values()} == {"symm"}


def test_of_two_models_with_one_strength_the_better_is_shown(tmp_path):
    specs = [RunSpec(variant="symm", units=units) for units in (6, None)]
    better, worse = (
        record(tmp_path, s, a, weights=TOY) for s, a in zip(specs, (0.9, 0.8), strict=True)
    )
    assert figure4_positional_weights.by_strength(results({"a": [better], "b": [worse]})) == {
        0.0: better
    }
    assert figure4_positional_weights.by_strength(results({"a": [worse], "b": [better]})) == {
        0.0: better
    }


def test_experiments_with_several_strengths_come_before_those_with_one(tmp_path):
    several = with_curvature(tmp_path / "several")
    single = with_curvature(tmp_path / "single", strengths=(0,))
    none = results({"std": [record(tmp_path, RunSpec(variant="std"), 0.9)]})
    assert figure4_positional_weights.shown([single, several, none]) == [several]
    assert figure4_positional_weights.shown([single, none]) == [single]
    assert figure4_positional_weights.shown([none]) == []
    assert "CR 0, 1, 10, 100" in figure4_positional_weights.strengths_line([single, several])
    assert "not answered" not in figure4_positional_weights.strengths_line([single, several])
    assert "**not answered** yet" in figure4_positional_weights.strengths_line([single, none])
    assert "nothing to show" in figure4_positional_weights.strengths_line([none])


def test_panels_hold_the_sorted_rows_on_one_scale(tmp_path):
    result = with_curvature(tmp_path)
    figure = figure4_positional_weights.weight_panels([result])
    panels = [axes for axes in figure.axes if axes.images]
    bests = figure4_positional_weights.by_strength(result)
    assert [axes.get_title().split("\n")[-1] for axes in panels] == [
        f"CR {strength:g}, best seed: {best.spec.seed}" for strength, best in bests.items()
    ]
    assert list(bests) == [0, 1, 10, 100]
    for axes, best in zip(panels, bests.values(), strict=True):
        expected = figure4_positional_weights.cluster(best.positional_weights())
        np.testing.assert_allclose(axes.images[0].get_array(), expected.rows)
        large = [size for size in expected.sizes if size >= 0.03 * expected.sizes.sum()]
        assert [text.get_text() for text in axes.texts] == [str(size) for size in large]
        heights = [segment[0][1] for segment in axes.collections[0].get_segments()]
        assert heights == [boundary - 0.5 for boundary in expected.boundaries]
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    low, high = panels[0].images[0].get_clim()
    assert low == -high


def test_experiments_with_one_strength_stand_side_by_side(tmp_path):
    singles = [with_curvature(tmp_path / name, strengths=(0,)) for name in "ab"]
    panels = [
        axes for axes in figure4_positional_weights.weight_panels(singles).axes if axes.images
    ]
    assert len(panels) == 2
    assert panels[0].get_subplotspec().rowspan == panels[1].get_subplotspec().rowspan


def test_roughness_falls_with_strength_in_figure_table_and_claims(tmp_path):
    result = with_curvature(tmp_path, seeds=5)
    axes = figure4_positional_weights.roughness_by_strength([result]).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    table = figure4_positional_weights.roughness_by_run(result)
    assert f"{result.experiment.seeds} seeds" in axes.get_title()
    assert heights == pytest.approx(table.groupby("curvature").roughness.median().tolist())
    assert heights == sorted(heights, reverse=True)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "10", "100"]
    shown = figure4_positional_weights.strength_table([result])
    assert shown.CR.tolist() == ["0", "1", "10", "100"]
    assert shown.seeds.tolist() == [5] * 4
    names = dict(zip(result.records, ("symm", "low_reg", "high_reg", "cr100"), strict=True))
    renamed = results({names[m]: group for m, group in result.records.items()})
    found = claims.grade([renamed], figure=4)
    assert [g.verdict for g in found] == ["supported"] * 3


def test_slider_has_a_step_a_strength_with_its_lines_and_sizes(tmp_path):
    result = with_curvature(tmp_path)
    figure = figure4_positional_weights.weight_slider([result]).figure
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == ["0", "1", "10", "100"]
    assert [trace.visible for trace in figure.data] == [True, False, False, False]
    for index, (step, best) in enumerate(
        zip(steps, figure4_positional_weights.by_strength(result).values(), strict=True)
    ):
        expected = figure4_positional_weights.cluster(best.positional_weights())
        visible, layout = step.args
        assert visible["visible"] == [i == index for i in range(4)]
        assert [line["y0"] for line in layout["shapes"]] == [b - 0.5 for b in expected.boundaries]
        sizes = ", ".join(map(str, expected.sizes))
        assert layout["title"]["text"].endswith(f"rows of the clusters: {sizes}")
        np.testing.assert_allclose(figure.data[index].z, expected.rows, atol=1e-6)
        assert (figure.data[index].customdata[:, 0] == expected.neurons).all()
    assert len({(trace.zmin, trace.zmax) for trace in figure.data}) == 1


def test_slider_loads_its_script_from_beside_the_page_and_is_the_same_each_time(tmp_path):
    result = with_curvature(tmp_path)
    first, again = (
        figure4_positional_weights.weight_slider([result])._repr_mimebundle_() for _ in range(2)
    )
    assert first["text/html"] == again["text/html"]
    assert f'<script src="../{figure4_positional_weights.PLOTLY}"></script>' in first["text/html"]
    assert "cdn" not in first["text/html"]
    assert figure4_positional_weights.PLOTLY in SCRIPTS
    assert len(first[figure4_positional_weights.PLOTLY_MIME]["data"]) == 4


def test_nothing_to_show_is_no_error(tmp_path):
    none = results({"std": [record(tmp_path, RunSpec(variant="std"), 0.9)]})
    assert figure4_positional_weights.weight_slider([none]) is None
    assert figure4_positional_weights.weight_panels([none]).axes
    assert figure4_positional_weights.roughness_by_strength([none]).axes
    assert figure4_positional_weights.strength_table([none]).empty
    graded = claims.grade([none], figure=4)
    assert claims.summary(graded).startswith("No comparison")
    assert style.show(claims.table(graded)).data == ""


def test_published_weights_are_there_of_every_run_and_smoother_with_curvature():
    for result in load_results("standard", jobs=1):
        table = figure4_positional_weights.roughness_by_run(result)
        finished = {
            model: sum(not record.diverged for record in records)
            for model, records in result.records.items()
            if records[0].spec.variant != "std"
        }
        assert table.groupby("model").size().to_dict() == finished
        plain = table.roughness[table.curvature == 0]
        assert plain.between(0.1, 1).all()
        assert (table.roughness[table.curvature > 0] < plain.min()).all()
