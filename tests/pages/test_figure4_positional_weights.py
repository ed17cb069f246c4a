"""Figure 4: normalised rows, clusters and roughness by hand, and its figures read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import by_curvature, record, results, together, unpacked, with_curvature

from sfc_lib.errors import UserError
from sfc_lib.pages import claims, style
from sfc_lib.pages import figure4_positional_weights as figure4
from sfc_lib.pages.figure4_positional_weights import STABLE, stability
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
    found = figure4.normalise_rows(np.array([[3.0, 5.0, 4.0], [2.0, 2.0, 2.0]]))
    np.testing.assert_allclose(found, [[-(0.5**0.5), 0.5**0.5, 0], [0, 0, 0]], atol=1e-12)


@given(matrices, st.floats(0.1, 10), st.floats(-10, 10))
def test_normal_rows_do_not_depend_on_size_or_height(matrix, factor, height):
    rows = figure4.normalise_rows(matrix)
    norms = np.linalg.norm(rows, axis=1)
    flat = np.ptp(matrix, axis=1) == 0
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(norms, np.where(flat, 0, 1), atol=1e-9)
    np.testing.assert_allclose(figure4.normalise_rows(factor * matrix + height), rows, atol=1e-6)


def test_toy_rows_are_sorted_by_cluster_the_largest_first():
    found = figure4.cluster(TOY, figure4.View(clusters=3))
    assert found.neurons.tolist() == [0, 2, 4, 1, 5, 3]
    assert found.sizes.tolist() == [3, 2, 1]
    assert found.boundaries.tolist() == [3, 5]
    np.testing.assert_allclose(found.rows, figure4.normalise_rows(TOY)[found.neurons])


@given(matrices)
def test_clusters_hold_every_row_once_and_are_the_same_each_time(matrix):
    found = figure4.cluster(matrix)
    assert sorted(found.neurons) == list(range(len(matrix)))
    assert found.sizes.sum() == len(matrix)
    assert (np.diff(found.sizes) <= 0).all()
    assert found.sizes.min() >= 1
    assert len(found.sizes) <= figure4.CLUSTERS
    assert (figure4.cluster(matrix).neurons == found.neurons).all()


def test_roughness_by_hand_and_only_of_the_stored_half_if_symmetric():
    tent = np.array([[0, 1, 2, 2, 1, 0.0]])  # straight halves, a bend at the centre
    assert figure4.roughness(tent, symmetric=True) == pytest.approx(0, abs=1e-12)
    norm = np.sqrt(4)  # of -1, 0, 1, 1, 0, -1
    assert figure4.roughness(tent, symmetric=False) == pytest.approx((0 + 1 + 1 + 0) / 4 / norm)
    odd = np.array([[0, 1, 5, 1, 0.0]])  # stored 0, 1, 5
    norm = np.linalg.norm(odd - odd.mean())
    assert figure4.roughness(odd, symmetric=True) == pytest.approx(3 / norm)
    assert figure4.roughness(100 * odd + 7, symmetric=True) == pytest.approx(3 / norm)


def test_roughness_needs_three_stored_positions():
    with pytest.raises(ValueError, match="3 positions or more, got 2"):
        figure4.roughness(np.ones((1, 4)), symmetric=True)


def test_runs_are_measured_by_seed_and_strength_without_std_and_diverged(tmp_path):
    groups = by_curvature(tmp_path)
    groups["std"] = [record(tmp_path, RunSpec(variant="std"), 0.8)]
    lost = RunSpec(variant="symm", curvature=1)
    groups["cr_1"][0] = record(tmp_path, lost, 0, diverged=True, weights=TOY)
    table = figure4.roughness_by_run(results(groups).weights)
    assert table.groupby("curvature").seed.count().to_dict() == {0: 3, 1: 2, 10: 3, 100: 3}
    first = groups["cr_10"][0]
    value = table[(table.model == "cr_10") & (table.seed == 0)].roughness.item()
    assert value == figure4.roughness(first.positional_weights(), symmetric=True)


def test_the_best_symmetric_seed_of_each_strength_is_shown(tmp_path):
    groups = by_curvature(tmp_path, strengths=(10, 0, 100))
    groups["sep"] = [record(tmp_path, RunSpec(variant="sep"), 0.99, weights=TOY)]
    found = figure4.shown(results(groups))
    assert found.curvature.tolist() == [0, 10, 100]
    assert set(found.seed) == {2}
    assert set(found.variant) == {"symm"}


def test_of_two_models_with_one_strength_the_better_is_shown(tmp_path):
    specs = [RunSpec(variant="symm", units=units) for units in (6, None)]
    better, worse = (
        record(tmp_path, s, a, weights=TOY) for s, a in zip(specs, (0.9, 0.8), strict=True)
    )
    for groups in ({"a": [better], "b": [worse]}, {"a": [worse], "b": [better]}):
        assert figure4.shown(results(groups)).id.tolist() == [better.spec.id]


def test_experiments_with_several_strengths_come_before_those_with_one(tmp_path):
    several = with_curvature(tmp_path / "several")
    single = with_curvature(tmp_path / "single", strengths=(0,))
    none = results({"std": [record(tmp_path, RunSpec(variant="std"), 0.9)]})
    both = together(single, several, none)
    assert set(figure4.shown(both).experiment) == {"made_up_1"}
    assert figure4.shown(together(single, none)).curvature.tolist() == [0]
    assert figure4.shown(none).empty
    assert "CR 0, 1, 10, 100" in figure4.strengths_line(both)
    assert "not answered" not in figure4.strengths_line(both)
    assert "**not answered** yet" in figure4.strengths_line(together(single, none))
    assert "nothing to show" in figure4.strengths_line(none)


def cells(axes):
    """The values of a heat map, and its colour limits."""
    mesh = axes.collections[0]
    return np.asarray(mesh.get_array()), mesh.get_clim()


def test_panels_hold_the_sorted_rows_on_one_scale(tmp_path):
    made = with_curvature(tmp_path)
    figure = figure4.weight_panels(made)
    *panels, bar = figure.axes
    bests = figure4.shown(made)
    assert [axes.get_title() for axes in panels] == [
        f"CR {strength:g}, best seed: 2" for strength in (0, 1, 10, 100)
    ]
    assert figure.get_suptitle().startswith("Made-up accessibility\n3 seeds")
    for axes, weights in zip(panels, bests.W_pos, strict=True):
        expected = figure4.cluster(weights)
        values, _ = cells(axes)
        np.testing.assert_allclose(values.reshape(expected.rows.shape), expected.rows)
        large = [size for size in expected.sizes if size >= 0.04 * expected.sizes.sum()]
        assert [text.get_text() for text in axes.texts] == [str(size) for size in large]
        heights = [segment[0][1] for segment in axes.collections[1].get_segments()]
        assert heights == expected.boundaries.tolist()
        assert axes.get_xlabel() == "position after pooling"
        assert axes.yaxis_inverted()
    assert len({cells(axes)[1] for axes in panels}) == 1
    low, high = cells(panels[0])[1]
    assert low == -high
    assert bar.get_ylabel() == "weight, rows of unit magnitude"


def test_limits_of_the_constraint_stand_behind_the_strengths_in_two_rows(tmp_path):
    groups = by_curvature(tmp_path)
    weights = groups["cr_1"][0].positional_weights()
    for limit, seeds in ((0.01, (0, 1)), (0.1, (1,))):
        specs = [RunSpec(variant="symm", limit=limit, seed=seed) for seed in seeds]
        scores = [0.8 - 0.1 * spec.seed for spec in specs]
        groups[f"limit {limit}"] = [
            record(tmp_path, spec, auroc, weights=weights)
            for spec, auroc in zip(specs, scores, strict=True)
        ]
    panels = [axes for axes in figure4.weight_panels(results(groups)).axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        *(f"CR {strength}, best seed: 2" for strength in (0, 1, 10, 100)),
        *("limit .1, best of 1: seed 1", "limit .01, best of 2: seed 0"),
    ]
    places = [axes.get_subplotspec() for axes in panels]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [
        *((0, 0), (0, 1), (0, 2)),
        *((1, 0), (1, 1), (1, 2)),
    ]


def test_experiments_with_one_strength_stand_side_by_side(tmp_path):
    singles = [with_curvature(tmp_path / name, strengths=(0,), seeds=1) for name in "ab"]
    panels = [axes for axes in figure4.weight_panels(together(*singles)).axes if axes.get_title()]
    assert len(panels) == 2
    assert all(axes.get_title().startswith("Made-up accessibility\n1 seed") for axes in panels)
    assert panels[0].get_subplotspec().rowspan == panels[1].get_subplotspec().rowspan


def test_roughness_falls_with_strength_in_figure_table_and_claims(tmp_path):
    groups = by_curvature(tmp_path, seeds=10)
    made = results(groups)
    axes = figure4.roughness_by_strength(made).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    table = figure4.roughness_by_run(made.weights)
    assert "10 seeds" in axes.get_title()
    assert heights == pytest.approx(table.groupby("curvature").roughness.median().tolist())
    assert heights == sorted(heights, reverse=True)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "10", "100"]
    dots = np.concatenate([c.get_offsets()[:, 1] for c in axes.collections])
    assert sorted(dots) == pytest.approx(sorted(table.roughness))
    shown = figure4.strength_table(made)
    assert shown.CR.tolist() == ["0", "1", "10", "100"]
    assert shown.seeds.tolist() == [10] * 4
    names = dict(zip(groups, ("symm", "low_reg", "high_reg", "cr100"), strict=True))
    found = claims.grade(results({names[m]: group for m, group in groups.items()}), figure=4)
    assert found.verdict.tolist() == ["undecided", "supported", "supported"], "0 and 1 overlap"


def test_one_seed_of_each_strength_is_drawn(tmp_path):
    made = with_curvature(tmp_path, seeds=1)
    for draw in (figure4.weight_panels, figure4.roughness_by_strength):
        draw(made).canvas.draw()
    assert figure4.strength_table(made).seeds.tolist() == [1] * 4


def test_sliders_hold_every_strength_and_number_of_clusters(tmp_path):
    made = with_curvature(tmp_path)
    data = figure4.weight_slider(made).data
    assert [panel["strength"] for panel in data["panels"]] == ["0", "1", "10", "100"]
    assert data["counts"] == sorted(data["counts"])
    assert figure4.CLUSTERS == data["count"] in data["counts"]
    for panel, weights in zip(data["panels"], figure4.shown(made).W_pos, strict=True):
        rows = unpacked(panel["values"]).reshape(panel["units"], panel["length"])
        np.testing.assert_allclose(rows, figure4.normalise_rows(weights), atol=1e-4)
        for count, found in zip(data["counts"], panel["clusters"], strict=True):
            expected = figure4.cluster(weights, figure4.View(clusters=count))
            assert found == {
                "order": expected.neurons.tolist(),
                "sizes": expected.sizes.tolist(),
            }


def test_the_sliders_show_the_clusters_of_each_strength(tmp_path, opened):
    made = with_curvature(tmp_path / "records")
    widget = figure4.weight_slider(made)
    page = opened(widget)
    counts = widget.data["counts"]
    for place, weights in enumerate(figure4.shown(made).W_pos):
        page.get_by_role("slider", name="strength of CR").fill(str(place))
        for step in (0, len(counts) - 1):
            page.get_by_role("slider", name="clusters").fill(str(step))
            expected = figure4.cluster(weights, figure4.View(clusters=counts[step]))
            said = page.locator(".said").inner_text()
            assert f"clusters: {', '.join(map(str, expected.sizes))}." in said
            lines = page.locator(".border").evaluate_all("all => all.map(e => +e.dataset.row)")
            assert lines == expected.boundaries.tolist()
            pixels = page.locator("canvas").evaluate(
                "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
            )
            image = np.array(pixels).reshape(*expected.rows.shape, 4)
            clear = np.abs(expected.rows) > 0.02
            red = image[..., 0].astype(int) > image[..., 2]
            np.testing.assert_array_equal(red[clear], expected.rows[clear] > 0)


def test_a_cell_is_read_by_pointer_and_by_keyboard(tmp_path, opened):
    made = with_curvature(tmp_path / "records")
    page = opened(figure4.weight_slider(made))
    first = figure4.cluster(figure4.shown(made).W_pos.iloc[0])
    box = page.locator("canvas").bounding_box()
    rows, length = first.rows.shape
    page.mouse.move(box["x"] + 3.5 * box["width"] / length, box["y"] + 2.5 * box["height"] / rows)

    def expected(row, position):
        value = f"{first.rows[row, position]:.3f}".replace("0.", ".").replace("-", "−")
        return f"Neuron {first.neurons[row]}, position {position}: weight {value}."

    assert expected(2, 3) in page.locator(".cell").inner_text()
    page.locator(".cells").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert expected(3, 2) in page.locator(".cell").inner_text()


def test_one_strength_has_no_slider_of_strengths(tmp_path, opened):
    page = opened(figure4.weight_slider(with_curvature(tmp_path, strengths=(0,))))
    assert not page.get_by_role("slider", name="strength of CR").is_visible()
    assert page.get_by_role("slider", name="clusters").is_visible()


def test_nothing_to_show_is_no_error(tmp_path):
    none = results({"std": [record(tmp_path, RunSpec(variant="std"), 0.9)]})
    assert figure4.weight_slider(none) is None
    assert figure4.weight_panels(none).axes
    assert figure4.roughness_by_strength(none).axes
    assert figure4.strength_table(none).empty
    graded = claims.grade(none, figure=4)
    assert set(claims.judge(graded, 4).verdict) == {"not testable here"}
    assert style.show(claims.grade_table(graded)).data == ""


def test_published_weights_are_there_of_every_run_and_smoother_with_curvature(published):
    table = figure4.roughness_by_run(published.weights)
    runs = published.runs[(published.runs.variant != "std") & ~published.runs.diverged]
    keys = ["experiment", "model"]
    assert table.groupby(keys).size().equals(runs.groupby(keys).size())
    for _, part in table.groupby("experiment"):
        plain = part.roughness[part.curvature == 0]
        assert plain.between(0.1, 1).all()
        assert (part.roughness[part.curvature > 0] < plain.min()).all()


def test_clusters_that_chance_decides_are_said_to_be_so(tmp_path):
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(10, 9))
    clear = np.repeat(kinds, 8, axis=0) + rng.normal(size=(80, 9)) / 100
    assert stability(clear) == 1
    cloud = rng.normal(size=(80, 9))
    assert stability(cloud, states=5) < STABLE
    assert stability(clear * 7 + 3) == 1, "rows are normalised"

    def line(weights):
        spec = RunSpec(variant="symm")
        folder = tmp_path / str(weights[0, 0])
        made = record(folder, spec, weights=weights.astype(np.float32))
        return figure4.stability_line(results({"symm": [made]}))

    assert "1.00 at CR 0." in line(clear)
    assert "not kinds of neurons" not in line(clear)
    assert "CR 0 are **a way to sort rows, not kinds of neurons**" in line(cloud)
    assert (
        figure4.stability_line(results({"std": [record(tmp_path, RunSpec(variant="std"))]})) == ""
    )


def test_rows_may_be_normalised_otherwise():
    rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert figure4.normalise_rows(rows, "none").tolist() == rows.tolist()
    np.testing.assert_allclose(figure4.normalise_rows(rows, "norm"), [[0.6, 0.8], [0, 0]])
    kept = figure4.cluster(TOY, figure4.View(normalisation="none"))
    np.testing.assert_allclose(kept.rows, TOY[kept.neurons])


def test_a_view_may_leave_strengths_out(tmp_path):
    made = with_curvature(tmp_path)
    view = figure4.View(strengths=(0.0, 10.0))
    assert figure4.shown(made, view).curvature.tolist() == [0, 10]
    assert "CR 0, 10**" in figure4.strengths_line(made, view)
    with pytest.raises(UserError, match=r"strengths: expected some of .*'10'.*, got 3\."):
        figure4.shown(made, figure4.View(strengths=(0.0, 3.0)))
    assert len(figure4.weight_slider(made, view).data["panels"]) == 2
    seven = figure4.weight_slider(made, figure4.View(clusters=7)).data
    assert seven["count"] == 7
    assert 7 in seven["counts"]
