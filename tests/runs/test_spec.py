"""A run's spec: what is refused, what names it, and the profiles that list specs."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.datasets.base import make_recipe
from sfc_lib.runs.sizes import _experiment, load_size, size_names
from sfc_lib.runs.spec import CHOICES, PROTOCOL, RunSpec

# Another valid value for every field; a new field makes `test_every_field_is_covered` fail.
OTHER = {
    "dataset_options": {"examples": 80},
    "architecture": "chip_seq",
    "variant": "symm",
    "units": 7,
    "width": 0.5,
    "curvature": 10.0,
    "initializer": "variance",
    "learning_rate": 0.01,
    "batch_size": 50,
    "epochs": 3,
    "samples_per_epoch": 64,
    "valid_samples": 40,
    "patience": 3,
    "class_weight": True,
    "backend": "jax",
    "precision": "mixed_bfloat16",
    "seed": 1,
    "protocol": PROTOCOL + 1,
}
specs = st.builds(
    RunSpec,
    dataset_options=st.fixed_dictionaries({"examples": st.integers(1, 300).map(lambda n: 40 * n)}),
    variant=st.sampled_from(["sep", "symm"]),
    units=st.none() | st.integers(1, 10**6),
    width=st.floats(1e-6, 1e6),
    curvature=st.floats(0, 1e300),
    learning_rate=st.floats(0, 1e300, exclude_min=True),
    samples_per_epoch=st.none() | st.integers(1),
    valid_samples=st.none() | st.integers(1),
    seed=st.integers(0),
)


def test_every_field_is_covered():
    assert {field.name for field in dataclasses.fields(RunSpec)} == {*OTHER, "dataset"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dataset", "nonsense", r"name must be one of .*'simulated_tf'.*got 'nonsense'"),
        ("dataset", 3, "dataset must be a str, got 3"),
        ("dataset_options", {"colour": 1}, r"simulated_tf has options \['source'.*got 'colour'"),
        ("dataset_options", {"examples": 41}, "examples must be a multiple of 40.*got 41"),
        ("dataset_options", [1], r"dataset_options must be a mapping of options, got \[1\]"),
        ("architecture", None, "architecture must be a str, got None"),
        ("variant", "both", "variant must be 'std', 'sep' or 'symm', got 'both'"),
        ("units", 0, "units must be an integer >= 1 or None, got 0"),
        ("units", True, "units must be an integer >= 1 or None, got True"),
        ("width", 0, "width must be a finite number > 0, got 0"),
        ("width", float("nan"), "width must be a finite number > 0, got nan"),
        ("curvature", -1, "curvature must be a finite number >= 0, got -1"),
        ("curvature", float("inf"), "curvature must be a finite number >= 0, got inf"),
        ("curvature", False, "curvature must be a finite number >= 0, got False"),
        ("initializer", 1, "initializer must be a str, got 1"),
        ("initializer", "glorot", "initializer must be 'paper' or 'variance', got 'glorot'"),
        ("architecture", "vgg", "architecture must be 'simulated_tf', 'chip_seq' or 'basset', got"),
        ("precision", "float31", "precision must be 'float32', .* got 'float31'"),
        ("learning_rate", 0.0, "learning_rate must be a finite number > 0, got 0.0"),
        ("learning_rate", "0.1", "learning_rate must be a finite number > 0, got '0.1'"),
        pytest.param("learning_rate", 10**400, "must be a finite number > 0, got 1000", id="huge"),
        ("batch_size", 0, "batch_size must be an integer >= 1, got 0"),
        ("batch_size", 10.0, "batch_size must be an integer >= 1, got 10.0"),
        ("epochs", 0, "epochs must be an integer >= 1, got 0"),
        ("epochs", None, "epochs must be an integer >= 1, got None"),
        ("samples_per_epoch", 0, "samples_per_epoch must be an integer >= 1 or None, got 0"),
        ("patience", 0, "patience must be an integer >= 1, got 0"),
        ("class_weight", 1, "class_weight must be a bool, got 1"),
        ("backend", "theano", "backend must be 'tensorflow', 'jax' or 'torch', got 'theano'"),
        ("precision", 16, "precision must be a str, got 16"),
        ("seed", -1, "seed must be an integer >= 0, got -1"),
        ("seed", 1.0, "seed must be an integer >= 0, got 1.0"),
        ("protocol", 0, "protocol must be an integer >= 1, got 0"),
    ],
)
def test_bad_value_is_named_with_what_was_expected_and_received(name, value, message):
    with pytest.raises(ValueError, match=message):
        RunSpec(**{name: value})


@pytest.mark.parametrize(
    "same",
    [
        {"curvature": 0},
        {"curvature": -0.0},
        {"width": 1},
        {"dataset_options": {"examples": 8000}},
        {"dataset_options": {"seed": 0, "source": "generated"}},
        {"units": None, "samples_per_epoch": None, "valid_samples": None},
    ],
)
def test_equal_meaning_is_equal_id_and_hash(same):
    assert RunSpec(**same) == RunSpec()
    assert RunSpec(**same).id == RunSpec().id
    assert hash(RunSpec(**same)) == hash(RunSpec())


def test_number_is_stored_as_its_fields_type():
    assert RunSpec(curvature=10).id == RunSpec(curvature=10.0).id
    assert type(RunSpec(curvature=10).to_dict()["curvature"]) is float


@pytest.mark.parametrize("name", OTHER)
def test_any_changed_field_is_another_id(name):
    changed = RunSpec(**{name: OTHER[name]})
    assert changed.id != RunSpec().id
    assert changed != RunSpec()


def test_changed_options_of_the_dataset_are_other_ids():
    changes = [{"source": "deeplift"}, {"examples": 40}, {"seed": 1}]
    assert len({RunSpec(dataset_options=options).id for options in changes}) == 3


@given(specs, st.sampled_from(sorted(OTHER)))
def test_ids_are_equal_exactly_where_specs_are(spec, name):
    other = dataclasses.replace(spec, **{name: OTHER[name]})
    assert (other.id == spec.id) == (other == spec)
    assert len(other.id) == 16


@given(specs)
def test_round_trip_through_json_keeps_spec_and_id(spec):
    again = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict(), allow_nan=False)))
    assert again == spec
    assert again.id == spec.id


def test_choices_are_those_of_the_networks():
    from sfc_lib.nn.architectures import ARCHITECTURES, VARIANTS
    from sfc_lib.nn.layers import INITIALIZERS

    assert CHOICES["architecture"] == tuple(ARCHITECTURES)
    assert (CHOICES["variant"], CHOICES["initializer"]) == (VARIANTS, INITIALIZERS)


def test_id_of_the_default_spec_is_what_it_always_was():
    """A new id orphans every published record: raise PROTOCOL only on purpose."""
    assert RunSpec().id == "b307051c57da2228"


def test_id_survives_changes_of_what_was_passed_in_and_given_out():
    options = {"examples": 80}
    spec = RunSpec(dataset_options=options)
    before = spec.id
    options["examples"] = 120
    spec.to_dict()["dataset_options"]["examples"] = 160
    assert spec.id == before


def test_spec_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunSpec().seed = 3


@pytest.mark.parametrize("change", [{"colour": 1}, {"seed": None}])
def test_unknown_or_missing_fields_are_listed(change):
    values = {**RunSpec().to_dict(), **change}
    values = {name: value for name, value in values.items() if value is not None or name == "units"}
    with pytest.raises(ValueError, match=r"expected the fields \['architecture'.*got \["):
        RunSpec.from_dict(values)


def test_std_refuses_units_which_it_does_not_have():
    with pytest.raises(ValueError, match="std has no SFC layer"):
        RunSpec(variant="std", units=5)


@pytest.mark.parametrize("name", size_names())
def test_every_profile_loads_with_its_seeds_for_every_model(name):
    profile = load_size(name)
    assert profile.name == name
    for experiment in profile.experiments.values():
        assert {"std", "sep", "symm"} <= set(experiment.models)
        assert experiment.seeds == profile.seeds
        for model, runs in experiment.models.items():
            assert runs[0].variant == model or model not in ("std", "sep", "symm")
            assert [spec.seed for spec in runs] == list(range(experiment.seeds))
            assert len({dataclasses.replace(spec, seed=0) for spec in runs}) == 1
    assert len({spec.id for spec in profile.specs}) == len(profile.specs)


def test_profiles_are_ordered_by_size_and_standard_has_all_experiments_of_full():
    assert size_names() == ["smoke", "quick", "standard", "full"]
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
    made = _experiment("made", {"title": "", "spec": spec, "models": models}, override, 1)
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


def test_unknown_profile_lists_the_valid_ones():
    with pytest.raises(ValueError, match=r"one of \['smoke', 'quick'.*got 'huge'"):
        load_size("huge")


@pytest.mark.parametrize("seeds", [0, -1, 1.0, True])
def test_fewer_than_one_seed_is_refused(seeds):
    with pytest.raises(ValueError, match=f"seeds must be an integer >= 1, got {seeds}"):
        load_size("quick", seeds=seeds)
