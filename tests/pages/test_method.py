"""The numbers on the method page, against those of the paper and of arithmetic."""

import re

import numpy as np
import pytest

from sfc_lib.pages import method


def test_initial_variances_are_those_of_the_method_page():
    table, figure = method.initial_weights()
    ratio = table.set_index(["initialiser", "layer"])["relative to glorot_uniform"].astype(float)
    assert ratio["glorot_uniform", "FC"] == pytest.approx(1, abs=0.02)
    assert ratio["paper", "sep"] == pytest.approx(1 / 9, rel=0.04)
    assert ratio["paper", "symm"] == pytest.approx((1750 + 648) / (900 + 648) / 9, rel=0.04)
    assert ratio["variance", "sep"] == pytest.approx(1, abs=0.04)
    assert ratio["variance", "symm"] == pytest.approx(1, abs=0.04)
    assert len(figure.axes[0].lines) == 3


def test_networks_and_costs_are_those_of_the_paper():
    networks = method.networks_table().set_index("quantity")
    assert list(networks.loc["parameters, std"]) == ["117,503", "32,385", "5,582,916"]
    assert list(networks.loc["parameters, sep"]) == ["117,483", "32,321", "3,200,916"]
    assert list(networks.loc["parameters, symm"]) == ["106,467", "31,907", "3,191,916"]
    assert (networks.loc["SFC neurons here"] == networks.loc["SFC neurons in the paper"]).all()
    costs = method.cost_table().set_index("quantity")
    assert list(costs.loc["ratio of the two"]) == ["13.33", "18.01", "1.28"]
    assert method.collapse() < 1e-4


def test_the_diagram_says_what_is_weighed_by_what():
    texts = {text.get_text() for text in method.diagram().texts}
    assert {"FC neuron", "SFC neuron", "$W_{pos}$", "$W_{chan}$"} < texts
    grids = [axes.collections[0].get_array().shape for axes in method.diagram(14, 6).axes]
    assert grids == [(4, 44), (6, 14), (6, 14), (6, 14), (1, 14), (6, 1)]


def test_the_worked_example_adds_up():
    html = method.worked_example().data
    sums = re.search(r"y = (.*) = <b>(.*)</b>", html.replace("−", "-"))
    terms = [int(term) for term in sums[1].replace("- ", "-").replace("+ ", "").split()]
    w_pos, w_chan = method.NEURON
    assert sum(terms) == int(sums[2]) == w_pos @ method.X @ w_chan
    assert "12 weights on this map, the SFC neuron 4 + 3 = 7" in html


# The picture that can be dragged, in Chromium.


@pytest.fixture
def page(browser, tmp_path):
    path = tmp_path / "page.html"
    html = method.draggable()._repr_html_()
    path.write_text(f'<!doctype html><meta charset="utf-8">{html}')
    page = browser.new_page(viewport={"width": 900, "height": 700})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert problems == []
    page.close()


def values(page, kind):
    """What the handles of a profile say, or the numbers that bars or cells show."""
    if kind in ("pos", "chan"):
        handles = page.locator(f".handle[data-kind={kind}]")
        return np.array(handles.evaluate_all("all => all.map(e => +e.ariaValueNow)"))
    cells = page.locator(f".{kind}").evaluate_all("all => all.map(e => +e.dataset.value)")
    return np.array(cells)


def assert_consistent(page):
    products = np.outer(values(page, "chan"), values(page, "weight"))
    np.testing.assert_allclose(values(page, "product").reshape(products.shape), products)


def penalised(p, w, strength):
    return np.mean((p - w) ** 2) + strength * np.abs(np.diff(p, n=2)).mean()


def test_it_opens_with_an_outer_product(page):
    assert_consistent(page)
    assert values(page, "product").size == 14 * 6
    assert "14 + 6 = 20 numbers make 14 × 6 = 84 weights" in page.locator(".note").inner_text()


def test_profiles_are_dragged(page):
    boxes = [
        page.locator(f".handle[data-kind=pos][data-place='{i}']").bounding_box() for i in (2, 6)
    ]
    before = values(page, "pos")
    centre = [box["x"] + box["width"] / 2 for box in boxes]
    page.mouse.move(centre[0], boxes[0]["y"] + 10)
    page.mouse.down()
    page.mouse.move(centre[1], boxes[1]["y"] + 10, steps=40)
    page.mouse.up()
    page.mouse.move(centre[1], boxes[1]["y"] + 100)  # the button is up: nothing follows
    after = values(page, "pos")
    assert (after[2:7] == after[2]).all()
    assert after[2] > 0.8
    np.testing.assert_array_equal(np.delete(after, range(2, 7)), np.delete(before, range(2, 7)))
    chan = page.locator(".handle[data-kind=chan][data-place='4']").bounding_box()
    page.mouse.click(chan["x"] + chan["width"] * 0.8, chan["y"] + chan["height"] / 2)
    assert 0.4 < values(page, "chan")[4] < 0.8
    assert_consistent(page)


def test_profiles_are_changed_by_keyboard(page):
    before = values(page, "pos"), values(page, "chan")
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    assert values(page, "pos")[1] == pytest.approx(before[0][1] + 0.1, abs=0.026)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert values(page, "chan")[0] == pytest.approx(before[1][0] - 0.05, abs=0.026)
    assert_consistent(page)


def test_symmetry_mirrors_the_first_half_and_needs_fewer_numbers(page):
    before = values(page, "pos")
    page.get_by_label("symmetric").check()
    expected = np.concatenate([before[:7], before[:7][::-1]])
    np.testing.assert_array_equal(values(page, "weight"), expected)
    assert "7 + 6 = 13 numbers make 14 × 6 = 84" in page.locator(".note").inner_text()
    box = page.locator(".handle[data-kind=pos][data-place='12']").bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + box["height"] - 6)
    assert values(page, "pos")[12] == values(page, "pos")[1] < -0.8
    assert_consistent(page)
    page.get_by_role("button", name="Start again").click()
    np.testing.assert_array_equal(values(page, "pos"), before)


@pytest.mark.parametrize("length", [3, 7, 14])
@pytest.mark.parametrize("strength", [0.01, 0.3, 3, 30])
def test_bent_profiles_minimise_what_the_page_says(page, length, strength):
    w = np.random.default_rng(length).normal(size=length)
    found = page.evaluate("([w, s]) => [...sfcProfiles.smoothed(w, s)]", [w.tolist(), strength])
    p = np.array(found)
    # The optimum's own conditions: w - p = Dᵀu with each u within ± weight, on the edge of that
    # wherever the profile bends.
    d = np.diff(np.eye(length), n=2, axis=0)
    u = np.linalg.lstsq(d.T, w - p, rcond=None)[0]
    weight = strength * length / (2 * (length - 2))
    np.testing.assert_allclose(d.T @ u, w - p, atol=1e-6)
    assert np.abs(u).max() <= weight + 1e-6
    bends = np.abs(d @ p) > 1e-4
    np.testing.assert_allclose(u[bends], weight * np.sign(d @ p)[bends], atol=1e-5)
    rng = np.random.default_rng(0)
    others = p + rng.normal(scale=0.05, size=(200, length))
    assert penalised(p, w, strength) < min(penalised(o, w, strength) for o in others)


def test_the_slider_bends_the_stored_half_alone(page):
    page.get_by_label("symmetric").check()
    slider = page.get_by_label("Strength of curvature regularisation")
    drawn, bends = values(page, "pos")[:7], []
    for place, strength in enumerate(method.STRENGTHS):
        slider.fill(str(place))
        assert page.locator("b.value").inner_text() == f"{strength:g}"
        whole = values(page, "weight")
        np.testing.assert_array_equal(whole, whole[::-1])
        expected = page.evaluate(
            "([w, s]) => [...sfcProfiles.smoothed(w, s)]", [drawn.tolist(), strength]
        )
        np.testing.assert_allclose(whole[:7], expected)
        bends.append(np.abs(np.diff(whole[:7], n=2)).mean())
    assert bends == sorted(bends, reverse=True)
    assert bends[0] == pytest.approx(np.abs(np.diff(drawn, n=2)).mean())
    assert bends[-1] < 1e-6  # a straight line
    assert_consistent(page)


@pytest.mark.parametrize("width", [900, 390])
def test_it_fits_its_page(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
