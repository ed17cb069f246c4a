"""The explorer: what it is given, and what a reader who clicks and types sees of it."""

import json
import re

import numpy as np
import pytest
from made_up import record, scored, unpacked

from sfc_lib.pages import explorer
from sfc_lib.pages.results import with_evidence
from sfc_lib.pages.style import COLOURS
from sfc_lib.runs.spec import RunSpec


@pytest.fixture(scope="module")
def results(published):
    return with_evidence(published)


@pytest.fixture(scope="module")
def widget(results):
    return explorer.explorer(results)


@pytest.fixture
def page(widget, opened):
    return opened(widget)


def runs_of(widget):
    return [
        (group["name"], model["name"], run | widget.data["details"][run["id"]])
        for group in widget.data["groups"]
        for model in group["models"]
        for run in model["runs"]
    ]


# In Python: what is in it.


def test_it_holds_every_run_with_its_scores(widget, results):
    frame = results.runs.set_index(["experiment", "model", "seed"])
    found = runs_of(widget)
    assert len(found) == len(frame)
    for experiment, model, run in found:
        row = frame.loc[experiment, model, run["seed"]]
        assert row.id == run["id"]
        assert run["path"] == f"data/runs/{row.id}"
        for name in ("auroc", "auprc", "test_auroc", "epochs"):
            value = np.nan if run[name] is None else run[name]
            assert value == pytest.approx(row[name], abs=1e-5, nan_ok=True)
        assert run["best"] == row.best
        assert len(run["curve"]["auroc"]) == row.epochs


def test_weights_and_profiles_are_those_of_the_records(widget, results):
    weights = results.weights.set_index(["experiment", "model", "seed"]).W_pos
    profiles = results.profiles(results.runs.experiment.unique())
    profiles = profiles.set_index(["experiment", "model", "seed"])
    with_weights = with_profile = 0
    for experiment, model, run in runs_of(widget):
        key = experiment, model, run["seed"]
        if run["weights"]:
            with_weights += 1
            shape = run["weights"]["units"], run["weights"]["stored"]
            found = unpacked(run["weights"]["values"]).reshape(shape)
            expected = weights[key]
            assert expected.shape == (shape[0], run["weights"]["length"])
            close = np.abs(expected).max() / 127 / 2 + 1e-7
            np.testing.assert_allclose(found, expected[:, : shape[1]], atol=close)
        if run["profile"]:
            with_profile += 1
            row = profiles.loc[key]
            found = unpacked(run["profile"]["raw"])
            np.testing.assert_allclose(found, row.profile / row.unit, atol=1e-3, rtol=1e-3)
            assert run["profile"]["task"] == row.task
    told = {run["id"] for _, _, run in runs_of(widget) if run["has_weights"]}
    assert told == set(results.weights.id)
    kept = results.weights[~results.weights.control | results.weights.best]  # all but of controls
    assert with_weights == results.weights.id.isin(kept.id).sum()
    assert with_profile == len(profiles)


def test_a_run_that_diverged_has_no_score(tmp_path):
    results = scored(tmp_path, {"std": [0.9]})
    spec = RunSpec(variant="sep", seed=0)
    lost = record(tmp_path, spec, curve=[0.5], diverged=True)
    (name,) = results.size.experiments
    experiment = results.size.experiments[name]
    models = {**experiment.models, "sep": (spec,)}
    size = type(results.size)("made up", "", 1, {name: type(experiment)(name, "Made up", models)})
    both = type(results)(size, [*results.records, lost])
    (group,) = explorer.groups(both)
    (run,) = group["models"][1]["runs"]
    assert run["diverged"]
    assert run["auroc"] is None
    assert run["tasks"] == {}
    json.dumps(group, allow_nan=False)


def test_models_keep_their_colours_and_others_get_some_of_their_own(widget):
    for group in widget.data["groups"]:
        colours = [model["colour"] for model in group["models"]]
        assert len(set(colours)) == len(colours)
        for model in group["models"]:
            assert model["colour"] == COLOURS.get(model["name"], model["colour"])
            assert re.fullmatch("#[0-9a-f]{6}", model["colour"])


# In the browser.


def dots(page):
    return set(page.locator(".dot").evaluate_all("all => all.map(e => e.dataset.id)"))


def ids(widget, experiment, keep=lambda model, run: True):
    return {
        run["id"] for name, model, run in runs_of(widget) if name == experiment and keep(model, run)
    }


def choose(page, place, value):
    page.locator("select").nth(place).select_option(value)


def test_it_opens_with_all_runs_of_the_first_data(page, widget):
    assert dots(page) == ids(widget, "simulated_tf")
    assert page.locator(".curves .line").count() == len(dots(page))
    assert "30 of 30 runs" in page.locator(".said").inner_text()


def test_medians_are_those_of_the_runs(page, results):
    for metric in ("auroc", "test_auprc"):
        choose(page, 1, metric)
        shown = page.locator(".median").evaluate_all(
            "all => all.map(e => [e.dataset.model, +e.dataset.value])"
        )
        runs = results.runs[results.runs.experiment == "simulated_tf"]
        expected = runs.groupby("model")[metric].median()
        assert dict(shown) == pytest.approx(dict(expected), abs=1e-5)


def test_every_data_set_can_be_shown_in_every_metric(page, widget):
    for group in widget.data["groups"]:
        choose(page, 0, group["name"])
        for metric in widget.data["metrics"]:
            choose(page, 1, metric)
            expected = ids(widget, group["name"], lambda _, run, m=metric: run[m] is not None)
            assert dots(page) == expected
    assert page.locator(".record code").first.inner_text() in ids(widget, group["name"])


def test_models_and_seeds_are_left_out_and_taken_in(page, widget):
    page.get_by_label("sep (SFC)", exact=False).first.uncheck()
    page.get_by_label("3", exact=True).uncheck()
    expected = ids(widget, "simulated_tf", lambda model, run: model != "sep" and run["seed"] != 3)
    assert dots(page) == expected
    assert page.locator(".profiles .line").count() == len(expected)
    page.get_by_label("3", exact=True).check()
    expected = ids(widget, "simulated_tf", lambda model, run: model != "sep")
    assert dots(page) == expected


def test_a_dot_leads_to_its_record(page, widget):
    (run,) = [
        run
        for name, model, run in runs_of(widget)
        if (name, model, run["seed"]) == ("simulated_tf", "symm", 4)
    ]
    page.locator(f".dot[data-id='{run['id']}']").click(force=True)
    shown = page.locator(".record").inner_text()
    assert "symm (symmetric SFC), seed 4" in shown
    assert f"data/runs/{run['id']}" in shown
    assert f"{run['auroc']:.4f}".removeprefix("0") in shown
    assert page.evaluate("location.hash") == f"#{run['id']}"
    page.get_by_text("Its spec").click()
    assert "learning_rate\n0.001" in page.locator(".record dl.spec").inner_text()


def test_the_table_does_the_same_from_the_keyboard(page):
    page.get_by_text("These runs as a table").click()
    button = page.locator(".list button").nth(3)
    name = button.inner_text()
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator(".record code").first.inner_text() == name
    assert page.evaluate("document.activeElement.textContent") == name
    assert page.locator(".list button[aria-pressed=true]").inner_text() == name


def test_the_address_names_a_run(opened, widget):
    run = next(r for name, model, r in runs_of(widget) if (name, model) == ("ctcf", "sep"))
    page = opened(widget, at=f"#{run['id']}")
    assert page.locator(".record code").first.inner_text() == run["id"]
    assert dots(page) == ids(widget, "ctcf")


def test_weights_are_drawn_row_by_row(page, widget, results):
    run = next(r for name, model, r in runs_of(widget) if (name, model) == ("ctcf", "symm"))
    rows = page.evaluate("weights => sfcRuns.wholeRows(weights)", run["weights"])
    weights = results.weights
    (expected,) = weights.W_pos[(weights.id == run["id"])].iloc[:1]
    np.testing.assert_allclose(rows, expected, atol=np.abs(expected).max() / 127)
    choose(page, 0, "ctcf")
    page.locator(f".dot[data-id='{run['id']}']").click(force=True)
    canvas = page.locator("canvas")
    assert canvas.get_attribute("aria-label") == "W_pos: 18 neurons, 47 positions"
    pixels = canvas.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    image = np.array(pixels).reshape(18, 47, 4)
    np.testing.assert_array_equal(image, image[:, ::-1])  # it is a symmetric layer
    red, blue = image[..., 0] == 255, image[..., 2] == 255
    assert red.any()
    assert blue.any()


def test_std_has_no_weights_to_draw(page, widget):
    run = next(r for name, model, r in runs_of(widget) if (name, model) == ("simulated_tf", "std"))
    page.locator(f".dot[data-id='{run['id']}']").click(force=True)
    assert "its network has no SFC layer" in page.locator(".record").inner_text()
    assert page.locator("canvas").count() == 0


def test_a_control_without_weights_does_not_pass_for_one_without_the_layer(widget, opened):
    run = next(r for _, _, r in runs_of(widget) if r["id"] in slimmed(widget))
    page = opened(widget, at=f"#{run['id']}")
    said = page.locator(".record").inner_text()
    assert f"holds its scores and no W_pos: sfc runs retrain {run['id']}" in said


def slimmed(widget):
    """Ids of runs with an SFC layer whose records hold no W_pos."""
    return {
        run["id"]
        for group in widget.data["groups"]
        for model in group["models"]
        for run in model["runs"]
        if model["spec"]["variant"] != "std" and not run["has_weights"]
    }


def test_nothing_chosen_is_said(page):
    for label in ("std (no SFC)", "sep (SFC)", "symm (symmetric SFC)"):
        page.get_by_label(label).uncheck()
    assert "No run here has this score." in page.locator(".scores").inner_text()
    assert "No run is chosen." in page.locator(".curves").inner_text()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("experiment", ["readouts", "hematopoiesis"])
def test_it_fits_its_page(page, width, experiment):
    page.set_viewport_size({"width": width, "height": 844})
    choose(page, 0, experiment)
    page.get_by_text("Its spec").click()
    page.wait_for_timeout(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
