"""Paste a sequence: networks as the browser computes them, and the picture, driven in Chromium."""

import base64
import json
import re

import keras
import numpy as np
import pytest
from made_up import scored

from sfc_lib.datasets import load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.genomics.dna import decode, encode, reverse_complement
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.gradients import gradient_times_input
from sfc_lib.nn.layers import OneHotDNA
from sfc_lib.pages import sequence
from sfc_lib.pages.results import with_evidence
from sfc_lib.runs.evaluation import predict

EXPERIMENTS = ("simulated_tf", "ctcf")


@pytest.fixture(scope="module")
def widget(published):
    return sequence.paste(with_evidence(published), EXPERIMENTS)


@pytest.fixture(scope="module")
def records(published):
    """Published records by id."""
    return {record.spec.id: record for record in published.records}


@pytest.fixture
def page(widget, opened):
    return opened(widget)


def weights(network):
    return np.frombuffer(base64.b64decode(network["weights"]), dtype="<f2")


# In Python: what is exported.


def test_the_published_networks_of_both_data_are_there(widget):
    found = widget.data["networks"]
    assert {(n["experiment"], n["model"]) for n in found} == {
        (experiment, model) for experiment in EXPERIMENTS for model in ("std", "sep", "symm")
    }
    assert widget.data["missing"] == []


def test_a_network_names_its_record_and_what_its_labels_mean(widget, records):
    for network in widget.data["networks"]:
        record = records[network["id"]]
        assert network["sha256"] == record.result["files"]["model.keras"]
        assert network["auroc"] == record.result["valid"]["auroc"]
        assert all(len(task["means"].split()) > 3 for task in network["tasks"])
    assert "CTCF" in widget.data["networks"][-1]["tasks"][0]["means"]


def test_all_together_stay_small(widget):
    assert len(widget._repr_html_()) < 2e6


def test_an_experiment_without_networks_is_named(tmp_path):
    results = scored(tmp_path, {"std": [0.9], "sep": [0.8]}, title="Nothing kept")
    (name,) = results.size.experiments
    widget = sequence.paste(results, [name, "ctcf"])  # of another size
    assert widget.data["networks"] == []
    assert widget.data["missing"] == ["Nothing kept", "ctcf"]
    with pytest.raises(UserError, match=r"networks: expected names of .*'ctcf'.*, got 'ctfc'"):
        sequence.paste(results, ["ctfc"])


def test_batch_normalisation_goes_into_the_convolution():
    model = build_model("chip_seq", "std", length=300, tasks=1)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    kernel, bias = sequence._normalised(
        *map(np.float64, model.get_layer("conv_1").get_weights()), model.get_layer("batch_norm_1")
    )
    x = rng.normal(size=(1, 15, 4))
    plain = model.get_layer("batch_norm_1")(model.get_layer("conv_1")(x))
    folded = np.einsum("ltc,tco->lo", x, kernel) + bias
    np.testing.assert_allclose(np.asarray(plain)[0], folded, rtol=1e-5, atol=1e-5)


def test_a_symmetric_layer_is_exported_with_all_its_positions():
    model = build_model("simulated_tf", "symm", length=200, tasks=3, width=0.1)
    network = sequence.exported(model)
    (layer,) = [layer for layer in network["layers"] if layer["kind"] == "separable"]
    stored = weights(network)
    before = sum(
        layer["width"] * layer["inputs"] * layer["outputs"] + layer["outputs"]
        for layer in network["layers"]
        if layer["kind"] == "conv"
    )
    size = (layer["units"], layer["length"])
    w_pos = stored[before : before + np.prod(size)].reshape(size)
    np.testing.assert_array_equal(w_pos, w_pos[:, ::-1])
    whole = np.asarray(model.get_layer("sfc").positional_weights())
    np.testing.assert_allclose(w_pos, whole, rtol=1e-3, atol=1e-7)


def test_a_layer_that_the_browser_does_not_know_is_refused():
    model = build_model("simulated_tf", "std", length=200, tasks=3, readout="attention")
    with pytest.raises(UserError, match="expected a layer of the paper's networks, got Attention"):
        sequence.exported(model)


def test_a_weight_beyond_half_precision_is_refused():
    model = build_model("simulated_tf", "std", length=200, tasks=3, width=0.1)
    model.get_layer("logits").bias.assign([1.0, -70_000.0, 0.0])
    with pytest.raises(UserError, match="expected weights under 65,504, got 7e\\+04"):
        sequence.exported(model)


def test_examples_are_as_long_as_the_network_reads():
    for data, length, names in (("simulated_tf", 200, 4), ("chip_seq", 1000, 6)):
        found = sequence.examples(data, length)
        assert len(found) == names
        assert {len(item["bases"]) for item in found} == {length}
        assert all(set(item["bases"]) <= set("ACGT") for item in found)
    planted, plain = encode([item["bases"] for item in sequence.examples("chip_seq", 1000)[-2:]])
    (places,) = np.nonzero(planted != plain)
    assert places.min() >= 480
    assert places.max() <= 520


def test_the_regions_of_the_genome_are_those_of_the_test_split(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    dataset = load_dataset("chip_seq", tf="CTCF")
    text = sequence.held_out(dataset)
    assert (checkout() / sequence.HELD_OUT).read_text() == text
    rows = [int(row) for row in re.findall(r">test_region_(\d+)", text)]
    assert dataset.test.labels[rows, 0].tolist() == [1, 1, 0, 0]
    assert re.findall(r":_(\w+)", text) == ["a_peak", "a_peak", "no_peak", "no_peak"]
    assert text.split("\n")[1] == decode(dataset.test.codes[rows[:1]])[0]


def test_the_table_names_every_network(widget):
    table = sequence.network_table(widget.data["networks"])
    assert list(table.run) == [network["id"] for network in widget.data["networks"]]
    assert {"117,503", "117,483"} < set(table["weights"])  # as many as the paper's


# In the browser: the numbers.


def test_half_precision_is_read_as_numpy_reads_it(page):
    numbers = np.arange(1 << 16, dtype=np.uint16).view("<f2")
    numbers = numbers[np.isfinite(numbers)]
    text = base64.b64encode(numbers.tobytes()).decode()
    read = page.evaluate("text => [...sfcNetworks.halves(text)]", text)
    np.testing.assert_array_equal(np.array(read), numbers.astype(float))


def rebuilt(network):
    """The network of what was exported, made of Keras's own layers."""
    numbers, place = weights(network).astype(np.float32), 0

    def take(*shape):
        nonlocal place
        place += np.prod(shape)
        return numbers[place - np.prod(shape) : place].reshape(shape)

    codes = keras.Input((network["length"],), dtype="uint8", name="codes")
    x = OneHotDNA(name="one_hot")(codes)
    for layer in network["layers"]:
        activation = "relu" if layer.get("relu") else None
        if layer["kind"] == "conv":
            new = keras.layers.Conv1D(layer["outputs"], layer["width"], activation=activation)
            x = new(x)
            shapes = (layer["width"], layer["inputs"], layer["outputs"]), (layer["outputs"],)
            new.set_weights([take(*shape) for shape in shapes])
        elif layer["kind"] == "pool":
            x = keras.layers.MaxPooling1D(layer["size"], layer["stride"])(x)
        elif layer["kind"] == "separable":
            w_pos = take(layer["units"], layer["length"])
            kernel = np.einsum("kl,kc->lck", w_pos, take(layer["units"], layer["channels"]))
            x = keras.layers.Flatten()(x)
            new = keras.layers.Dense(layer["units"], use_bias=False)
            x = new(x)
            new.set_weights([kernel.reshape(-1, layer["units"])])
        else:
            x = x if len(x.shape) == 2 else keras.layers.Flatten()(x)
            last = layer is network["layers"][-1]
            name = "logits" if last else None
            new = keras.layers.Dense(layer["outputs"], activation=activation, name=name)
            x = new(x)
            new.set_weights([take(layer["inputs"], layer["outputs"]), take(layer["outputs"])])
    assert place == len(numbers)
    return keras.Model(codes, x)


SCORE = """([place, all]) => {
  const network = sfcNetworks.prepare(sfcData.sequence.networks[place]);
  return all.map(({codes, task}) => network.score(codes, task));
}"""


def scores(page, place, codes, task):
    asked = [{"codes": row.tolist(), "task": task} for row in codes]
    found = page.evaluate(SCORE, [place, asked])
    return {name: np.array([item[name] for item in found]) for name in found[0]}


@pytest.mark.parametrize("place", range(6))
def test_every_network_computes_what_keras_computes(page, widget, records, place):
    network = widget.data["networks"][place]
    codes = encode([e["bases"] for e in widget.data["examples"][network["data"]]])
    codes = np.concatenate([codes[::2], reverse_complement(codes[1:2])])
    codes[0, 50:60] = 4  # N
    model, task = records[network["id"]].model(), len(network["tasks"]) - 1
    found = scores(page, place, codes, task)
    assert np.abs(found["probabilities"] - predict(model, codes)).max() <= sequence.TOLERANCE
    logits = keras.Model(model.input, model.get_layer("logits").output)
    np.testing.assert_allclose(found["logits"], logits(codes), rtol=2e-3, atol=5e-3)
    assert found["probabilities"].max() > 0.5 > found["probabilities"].min()
    adds = gradient_times_input(model, codes, [task], centred=True).reshape(codes.shape)
    assert np.corrcoef(found["adds"].ravel(), adds.ravel())[0, 1] > 0.99
    # Rounded weights take other maxima in pooling here and there, so: with these very weights.
    adds = gradient_times_input(rebuilt(network), codes, [task], centred=True).reshape(codes.shape)
    np.testing.assert_allclose(found["adds"], adds, rtol=0, atol=1e-4 * np.abs(adds).max())


# In the browser: the picture.


def text_of(page):
    return page.locator("textarea").input_value()


def paste(page, text):
    """Put text into the field at once; typing it line by line is many events."""
    page.locator("textarea").evaluate(
        "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }", text
    )


def shown(page, row=-1):
    """The probability of a task as the picture writes it, and as it computed it."""
    cell = page.locator("td.probability").nth(row)
    logit = float(cell.get_attribute("data-logit"))
    return cell.inner_text(), 1 / (1 + np.exp(-logit))


def test_it_opens_with_an_example_that_is_scored(page, widget):
    first = widget.data["examples"]["simulated_tf"][0]["bases"]
    assert text_of(page) == first
    written, value = shown(page)
    assert written == f"{value:.3f}".removeprefix("0")
    assert page.locator("tbody tr").count() == 3
    assert page.locator("input[type=radio]:checked").get_attribute("aria-label").endswith("TAL1")
    assert page.locator(".large svg path").count() > 10


def test_a_click_on_a_base_mutates_it_and_says_what_changed(page, widget, records):
    before = encode([text_of(page)])
    columns = page.locator(".bases [role=row]").first.locator("button").count()
    highest = int(page.locator("input[type=range]").input_value()) + columns // 2
    button = page.locator(f".bases button:not(.here)[data-place^='{highest} ']").first
    place, code = map(int, button.get_attribute("data-place").split())
    assert place == highest
    button.click()
    after = encode([text_of(page)])
    changed = np.argwhere(after != before)
    assert changed.tolist() == [[0, place]]
    assert after[0, place] == code
    said = page.locator(".said").inner_text()
    letters = decode(np.array([[before[0, place], code]]))[0]
    assert f"Position {place}: {letters[0]} → {letters[1]}. TAL1: " in said
    model = records[widget.data["networks"][0]["id"]].model()
    change = np.diff(predict(model, np.concatenate([before, after]))[:, -1])[0]
    stated = float(re.search(r"\((.*?)\)", said)[1].replace("−", "-"))
    assert stated == pytest.approx(change, abs=2e-3)
    old, new = re.search(r"logit (\S+) → (\S+) \(", said.replace("−", "-")).groups()
    logits = keras.Model(model.input, model.get_layer("logits").output)
    expected = np.asarray(logits(np.concatenate([before, after])))[:, -1]
    assert [float(old), float(new)] == pytest.approx(expected.tolist(), abs=0.02)
    assert change < -0.1  # it is the highest base of a motif
    assert page.locator("button.here.changed").get_attribute("data-place") == f"{place} {code}"
    page.get_by_text("Undo all mutations").click()
    assert encode([text_of(page)]).tolist() == before.tolist()
    assert page.get_by_text("Undo all mutations").is_disabled()


def test_bases_are_reached_and_mutated_by_keyboard(page):
    before = text_of(page)
    page.locator(".bases button[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    place = page.evaluate("document.activeElement.dataset.place").split()
    assert page.locator(".bases button[tabindex='0']").count() == 1
    if before[int(place[0])] == "ACGT"[int(place[1])]:
        page.keyboard.press("ArrowDown")
        place = page.evaluate("document.activeElement.dataset.place").split()
    page.keyboard.press("Enter")
    assert text_of(page)[int(place[0])] == "ACGT"[int(place[1])] != before[int(place[0])]
    assert page.evaluate("document.activeElement.dataset.place").split() == place


def test_the_other_strand_is_a_button_away(page):
    before = encode([text_of(page)])
    page.get_by_role("button", name="Reverse complement").click()
    assert encode([text_of(page)]).tolist() == reverse_complement(before).tolist()
    page.get_by_role("button", name="Reverse complement").click()
    assert encode([text_of(page)]).tolist() == before.tolist()


@pytest.mark.parametrize(
    ("pasted", "message"),
    [
        ("", "Paste a sequence of 200 bases."),
        ("ACGU" * 50, "Expected only the letters A, C, G, T and N, got “U” at position 3"),
        ("ACGT", "This network takes exactly 200 bases, got 4."),
        (">a\nACGT\n>b\nACGT", "Expected one sequence, got 2 lines that begin with “>”."),
        ("<b>" * 70, "got “<” at position 0"),
    ],
)
def test_what_is_wrong_is_said_in_words(page, pasted, message):
    paste(page, pasted)
    assert message in page.get_by_role("alert").inner_text()
    assert not page.locator(".results").is_visible()
    assert page.get_by_text("Reverse complement").is_disabled()


def test_the_middle_of_a_longer_sequence_is_offered(page):
    paste(page, "A" * 30 + "C" * 200 + "G" * 30)
    page.get_by_role("button", name="Take the middle 200").click()
    assert text_of(page) == "C" * 200
    assert page.locator(".results").is_visible()


def test_fasta_lower_case_and_unknown_bases_pass(page):
    paste(page, ">a sequence\n" + "acgtn\n" * 40)
    assert page.get_by_role("alert").inner_text() == ""
    assert page.locator(".results").is_visible()


def test_another_task_shows_other_contributions(page):
    before = page.locator(".profile path").get_attribute("d")
    page.get_by_label("Show what adds to GATA").check()
    assert page.locator(".profile path").get_attribute("d") != before


def test_ctcf_is_scored_by_the_same_code_and_its_motif_counts(page, widget):
    page.locator("select").nth(0).select_option("CTCF ChIP-seq, GM12878")
    assert text_of(page) == widget.data["examples"]["chip_seq"][0]["bases"]
    page.get_by_role("button", name="random bases with a CTCF motif").click()
    with_motif = shown(page)[1]
    middle = int(page.locator("input[type=range]").input_value())
    page.get_by_role("button", name="the same without").click()
    assert with_motif > shown(page)[1] + 0.1
    assert 440 < middle < 520  # what stands out is in view
    assert page.locator("tbody tr").count() == 1


def test_another_network_keeps_what_was_pasted(page, widget):
    paste(page, "ACGT" * 50)
    first = shown(page)
    page.locator("select").nth(1).select_option(label=widget.data["networks"][2]["name"])
    assert text_of(page) == "ACGT" * 50
    assert shown(page) != first


def test_the_slider_moves_the_part_that_is_shown_large(page):
    page.locator("input[type=range]").fill("3")
    places = page.locator(".bases [role=row]").first.locator("button")
    assert places.first.get_attribute("data-place") == "3 0"


@pytest.mark.parametrize("width", [1000, 390])
def test_the_page_never_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(100)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


def test_without_a_network_it_says_so(browser, tmp_path):
    widget = sequence.Widget(
        "sequence", "about", {"networks": [], "examples": {}, "missing": ["X"]}
    )
    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><meta charset="utf-8">{widget._repr_html_()}')
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.locator(".sfc-widget").inner_text() == (
        "No record holds a network of: X. Once one does, it is here."
    )
    page.close()


def test_the_data_are_plain_json(widget):
    assert json.loads(json.dumps(widget.data)) == widget.data
