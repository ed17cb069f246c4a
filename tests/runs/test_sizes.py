"""The sizes: which runs each lists, and what training those that are missing would cost."""

import dataclasses
import json
import re

import pandas as pd
import pytest

from sfc_lib.datasets.accessibility import Hematopoiesis
from sfc_lib.datasets.base import make_recipe
from sfc_lib.errors import UserError
from sfc_lib.runs import sizes
from sfc_lib.runs.sizes import (
    _experiment,
    choose,
    cost_line,
    data_plan,
    dry_run,
    hours_plan,
    load_size,
    parse_change,
    plan_lines,
    size_names,
)


@pytest.mark.parametrize("name", size_names())
def test_every_size_loads_with_its_seeds_for_every_model(name):
    size = load_size(name)
    assert size.name == name
    for experiment in size.experiments.values():
        least = {"std", "sep"} if name == "pilots" else {"std", "sep", "symm"}
        assert least <= set(experiment.models)
        assert experiment.seeds == size.seeds
        for model, runs in experiment.models.items():
            assert runs[0].variant == model or model not in ("std", "sep", "symm")
            assert [spec.seed for spec in runs] == list(range(experiment.seeds))
            assert len({dataclasses.replace(spec, seed=0) for spec in runs}) == 1
        assert len({spec.id for spec in experiment.specs}) == len(experiment.specs)


def test_sizes_are_ordered_and_standard_has_all_experiments_of_full():
    assert size_names() == [
        *("smoke", "quick", "standard", "converged", "pilots", "controls", "controls_ctcf", "full"),
    ]
    standard, full = (load_size(name).experiments for name in ("standard", "full"))
    assert list(standard) == list(full)
    assert len(standard["hematopoiesis"].models) == 6


def test_quick_and_smoke_download_nothing():
    for spec in [*load_size("quick").specs, *load_size("smoke").specs]:
        assert make_recipe(spec.dataset, spec.dataset_options).inputs() == {}


def test_smoke_overrides_epochs_and_examples():
    specs = load_size("smoke").specs
    assert {(spec.epochs, spec.dataset_options["examples"]) for spec in specs} == {(2, 800)}


def test_full_has_the_whole_networks_on_the_whole_genome():
    for spec in load_size("full", seeds=1).specs:
        assert spec.width == 1
        assert spec.dataset_options.get("profile", "full") == "full"


def test_a_models_own_dataset_options_win_over_the_experiments():
    spec = {"dataset": "simulated_tf", "dataset_options": {"seed": 1, "examples": 80}}
    models = {"std": {"variant": "std"}, "other": {"dataset_options": {"seed": 2}}}
    override = {"simulated_tf": {"dataset_options": {"examples": 40}, "epochs": 3}}
    made = _experiment("made", {"title": "", "spec": spec, "models": models}, override, [0])
    found = {model: runs[0].dataset_options for model, runs in made.models.items()}
    assert {m: (o["seed"], o["examples"]) for m, o in found.items()} == {
        "std": (1, 40),
        "other": (2, 40),
    }
    assert {run.epochs for run in made.specs} == {3}


def test_more_seeds_contain_the_runs_of_fewer():
    few, many = load_size("quick", seeds=1), load_size("quick", seeds=3)
    assert (few.seeds, len(few.specs), len(many.specs)) == (1, 3, 9)
    assert {spec.id for spec in few.specs} < {spec.id for spec in many.specs}


def test_unknown_size_lists_the_valid_ones():
    with pytest.raises(ValueError, match=r"one of \['smoke', 'quick'.*got 'huge'"):
        load_size("huge")


@pytest.mark.parametrize("seeds", [-3, 1.0, True])
def test_error_about_seeds_says_all_that_is_allowed(seeds):
    message = rf"number of seeds >= 0 \(0: the size's own\), or a list .* got {seeds}"
    with pytest.raises(UserError, match=message):
        load_size("quick", seeds=seeds)


def test_no_number_of_seeds_is_that_of_the_size():
    assert load_size("quick", seeds=0) == load_size("quick", seeds=None) == load_size("quick")


def test_controls_stand_beside_the_published_runs_and_differ_in_one_thing():
    quick = load_size("quick", 1).experiments["simulated_tf"].models
    for experiment in load_size("controls", 1).experiments.values():
        for model in ("std", "sep", "symm"):
            assert experiment.models[model] == quick[model]
        for model, (spec,) in experiment.models.items():
            like = quick[spec.variant][0].to_dict()
            changed = {name for name, value in spec.to_dict().items() if like.get(name) != value}
            steps = {"train_samples", "epochs", "patience"}
            assert len(changed) == (model not in quick) or changed == steps
            if changed == steps:  # as many steps for fewer sequences
                assert spec.epochs * spec.train_samples == 100 * 6400
                assert spec.patience * spec.train_samples == 10 * 6400


def test_seeds_may_be_listed():
    size = load_size("quick", [7, 3])
    assert size.seeds == 2
    assert [spec.seed for spec in size.experiments["simulated_tf"].models["sep"]] == [7, 3]


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [0, True], [0.0], "03", {"0": 1}])
def test_a_list_of_other_things_than_different_seeds_is_refused(seeds):
    with pytest.raises(UserError, match="list of different seeds >= 0, got"):
        load_size("quick", seeds)


def test_a_change_reaches_every_run_and_is_in_the_titles():
    plain = load_size("quick", 2)
    changed = plain.changed({"learning_rate": 0.0005, "epochs": 10})
    assert {(s.learning_rate, s.epochs) for s in changed.specs} == {(0.0005, 10)}
    assert [s.variant for s in changed.specs] == [s.variant for s in plain.specs]
    assert [s.seed for s in changed.specs] == [s.seed for s in plain.specs]
    (item,) = changed.experiments.values()
    assert item.title == "Simulated TF binding, generated, learning_rate 0.0005, epochs 10"
    assert plain.changed({}).specs == plain.specs


def test_options_of_the_data_are_changed_one_by_one():
    (ctcf,) = choose("standard", 1, ["ctcf", "std"], {"dataset_options": {"length": 500}}).specs
    assert ctcf.dataset_options["length"] == 500
    assert ctcf.dataset_options["tf"] == "CTCF"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0.1}, r"change: expected values of \['dataset', .*got 'rate'"),
        ({"seed": 3}, "change: expected values of .*got 'seed'"),
        ({"protocol": 1}, "got 'protocol'"),
        ({"epochs": "many"}, "epochs must be an integer >= 1, got 'many'"),
        ({"curvature": 10}, "std has no SFC layer"),
        ({"dataset_options": 3}, "dataset_options must be a mapping of options, got 3"),
    ],
)
def test_a_change_that_no_spec_has_is_refused_by_name(change, message):
    with pytest.raises(UserError, match=message):
        load_size("quick", 1).changed(change)


def test_a_part_and_changed_runs_stand_without_the_evidence_of_others():
    assert load_size("standard").evidence
    assert choose("standard").evidence == load_size("standard").evidence
    assert choose("standard", only=["sep"]).evidence == ()
    assert choose("standard", change={"epochs": 2}).evidence == ()


def test_the_cost_is_told_before_training(monkeypatch):
    class Timed:
        def __init__(self, spec, seconds, epochs):
            self.spec, self.result = spec, {"cpu_seconds": seconds, "epochs": epochs}

    specs = choose("quick", 2, ["sep", "symm"]).specs
    records = [Timed(spec, 90.0, 30) for spec in specs[:2]]
    monkeypatch.setattr("sfc_lib.runs.sizes.all_records", lambda stores: (records, []))
    assert cost_line(specs[:2], 1).startswith("2 runs have no record: training with 1 process ")
    assert "up to 3 minutes" in cost_line(specs[:2], 1)
    assert "with 2 processes takes up to 2 minutes" in cost_line(specs[:2], 2)
    changed = choose("quick", 1, ["sep"], {"epochs": 40}).specs
    assert "1 run has no record: training with 2 processes takes up to 2 minutes" in cost_line(
        changed, 2
    )  # 40 epochs of 3 seconds
    assert "none like them was timed" in cost_line(specs[2:], 2)


# What the whole would take


def test_change_is_read_as_json_or_stays_text():
    texts = {"backend": "jax", "width": "0.25", "units": "null", "dataset_options": '{"seed": 1}'}
    assert parse_change(texts) == {
        "backend": "jax", "width": 0.25, "units": None, "dataset_options": {"seed": 1}
    }  # fmt: skip


COUNTS = {"train": 3_000_000, "valid": 10, "test": 20}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror that is not looked into: windows are counted already."""
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SFC_DATA_MIRROR", str(tmp_path))
    monkeypatch.setattr(Hematopoiesis, "expected", lambda self: COUNTS)


def test_data_plan_has_the_windows_beside_the_papers(mirror):
    size = load_size("full", 1).only(["hematopoiesis", "ctcf"])
    (row,) = data_plan(size).to_dict("records")
    assert {split: row[split] for split in COUNTS} == COUNTS
    assert row["paper's train"] == 837_977
    assert row["GB"] == pytest.approx(3_000_030 * 1016 / 1e9)
    assert 0.9 < row["GB to get"] < 1  # the genome


def test_data_plan_downloads_nothing(mirror, monkeypatch, tmp_path):
    monkeypatch.delenv("SFC_DATA_MIRROR")
    size = load_size("full", 1).only(["hematopoiesis"])
    plan = data_plan(size)
    assert plan["train"].isna().all()
    text = dry_run(size)
    assert re.search(r"hematopoiesis +unknown", text)
    assert "here: sfc data fetch" in text
    assert not list((tmp_path / "data").rglob("*.gz"))


def test_sizes_without_genome_wide_data_have_no_such_plan():
    assert len(data_plan(load_size("standard"))) == 0


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """A checkout whose rehearsal took 36 and 18 CPU-seconds for 1,000 examples."""
    rates = {"hematopoiesis": {"std": 36.0, "sep": 18.0}}
    about = {"cpu_seconds_of_1000": rates, "environment": {"cpu": "a core"}}
    (tmp_path / "benchmarks").mkdir()
    content = {"genome": {"seconds": 1.0}, "jax float32": about}
    (tmp_path / "benchmarks" / "rehearsal.json").write_text(json.dumps(content))
    monkeypatch.setattr(sizes, "checkout", lambda: tmp_path)


def test_hours_are_epochs_times_examples_times_the_rate(timed):
    size = load_size("full", 2).only(["hematopoiesis", "std", "sep", "symm"])
    (row,) = hours_plan(size).to_dict("records")
    hours = 2 * 30 * 200_000 / 1000 * (36 + 18) / 3600  # symm was not timed
    assert row == {"way": "jax float32", "runs": 4, "core-hours at most": hours, "core": "a core"}


def test_hours_of_narrow_networks_are_not_guessed(timed):
    assert len(hours_plan(load_size("standard").only(["hematopoiesis"]))) == 0


def test_dry_run_shows_runs_windows_and_hours(timed, mirror):
    text = dry_run(load_size("full", 1).only(["hematopoiesis"]))
    assert "6 to train" in text
    assert "3000000" in text
    assert "jax float32" in text
    assert text.endswith("On an accelerator: not measured; the first run there tells.")
    assert "cost at most" not in text
    hours = 30 * 200_000 / 1000 * (36 + 18) / 3600  # of std and sep, the timed ones
    priced = dry_run(load_size("full", 1).only(["hematopoiesis"]), price=20.0)
    assert "cost at most" in priced
    assert f"{20 * hours:,.0f}" in priced


def test_runs_of_known_hours_have_their_price():
    plan = pd.DataFrame({"complete": [1, 0], "to train": [2, 3], "CPU-hours": [1.5, 2.5]})
    assert "about 4.00 CPU-hours, which cost 1.00" in plan_lines(plan, 0.25)
    assert "cost" not in plan_lines(plan)
