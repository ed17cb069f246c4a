"""A run's spec: what is refused, and what names it."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.genomics.motifs import Motif, as_meme
from sfc_lib.runs.spec import CHOICES, PROTOCOL, RunSpec

MOTIFS = as_meme([Motif("A1", np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 1.0]]), "FACTOR")])
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
    "dropout": 0.1,
    "readout": "positive",
    "limit": 0.1,
    "train_samples": 20,
    "both_strands": True,
    "shift": 5,
    "weight_decay": 0.01,
    "start": "kmers",
    "regression": 6,
    "motifs": MOTIFS,
    "conjoined": True,
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
    dropout=st.none() | st.floats(0, 0.99),
)


def test_motifs_that_are_written_in_another_way_are_the_same_spec():
    other = MOTIFS.replace("0.5 0.5", "0.50 .5").replace("\n\n", "\r\n\r\n") + "\nURL none\n"
    assert RunSpec(motifs=other).id == RunSpec(motifs=MOTIFS).id != RunSpec().id
    assert RunSpec.from_dict(RunSpec(motifs=other).to_dict()).motifs == MOTIFS


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
        ("initializer", "he", "initializer must be 'paper', 'variance', .* 'rank_one', got 'he'"),
        ("readout", "lstm", "readout must be None, 'fewer_channels', .* 'shuffled', got 'lstm'"),
        ("readout", 3, "readout must be a str or None, got 3"),
        ("limit", -0.1, "limit must be a finite number >= 0 or None, got -0.1"),
        ("train_samples", 0, "train_samples must be an integer >= 1 or None, got 0"),
        (
            "architecture",
            "vgg",
            "architecture must be 'simulated_tf', 'chip_seq', 'basset' or 'compact', got",
        ),
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
        ("dropout", 1, "dropout must be a finite number >= 0 and < 1 or None, got 1"),
        ("dropout", -0.1, "dropout must be a finite number >= 0 and < 1 or None, got -0.1"),
        ("both_strands", 1, "both_strands must be a bool or None, got 1"),
        ("shift", -1, "shift must be an integer >= 0 or None, got -1"),
        ("weight_decay", -1, "weight_decay must be a finite number >= 0 or None, got -1"),
        ("start", "motifs", "start must be None or 'kmers', got 'motifs'"),
        ("regression", True, "regression must be an integer >= 0 or None, got True"),
        ("regression", 11, "regression takes k-mers of 10 bp at most, got 11"),
        ("motifs", "GATA", "RunSpec: motifs: expected at least one MOTIF with a matrix, got none"),
        ("conjoined", True, "conjoined is of networks with both_strands, got it alone"),
        ("motifs", ["GATA"], r"motifs must be a str or None, got \['GATA'\]"),
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
        {"units": None, "samples_per_epoch": None, "valid_samples": None, "dropout": None},
        {"readout": None, "limit": None, "train_samples": None},
        {"both_strands": None, "shift": None, "weight_decay": None, "start": None},
        {"both_strands": False, "shift": 0, "weight_decay": 0, "regression": 0},
        {"conjoined": False},
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
    others = {"both_strands": True} if name == "conjoined" else {}  # of which it is a kind
    changed = RunSpec(**others, **{name: OTHER[name]})
    assert changed.id != RunSpec(**others).id
    assert changed != RunSpec(**others)


def test_changed_options_of_the_dataset_are_other_ids():
    changes = [{"source": "deeplift"}, {"examples": 40}, {"seed": 1}]
    assert len({RunSpec(dataset_options=options).id for options in changes}) == 3


@given(specs, st.sampled_from(sorted(OTHER)))
def test_ids_are_equal_exactly_where_specs_are(spec, name):
    spec = dataclasses.replace(spec, both_strands=name == "conjoined")
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
    from sfc_lib.nn.initializers import INITIALIZERS
    from sfc_lib.nn.readouts import READOUTS

    assert CHOICES["architecture"] == tuple(ARCHITECTURES)
    assert (CHOICES["variant"], CHOICES["initializer"]) == (VARIANTS, INITIALIZERS)
    assert CHOICES["readout"] == (None, *READOUTS)


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
    with pytest.raises(TypeError, match="does not support item assignment"):
        RunSpec().dataset_options["examples"] = 80


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, dataclasses.replace, lambda s: pickle.loads(pickle.dumps(s))],
)
def test_copies_are_the_same_spec(copied):
    spec = RunSpec(dataset_options={"examples": 80}, seed=3)
    again = copied(spec)
    assert again == spec
    assert (again.id, hash(again), repr(again)) == (spec.id, hash(spec), repr(spec))
    assert {spec: "known"}[again] == "known"


@pytest.mark.parametrize("change", [{"colour": 1}, {"seed": None}])
def test_unknown_or_missing_fields_are_listed(change):
    values = {**RunSpec().to_dict(), **change}
    values = {name: value for name, value in values.items() if value is not None or name == "units"}
    with pytest.raises(ValueError, match=r"expected the fields \['architecture'.*got \["):
        RunSpec.from_dict(values)


@pytest.mark.parametrize("option", [{"units": 5}, {"limit": 0.0}, {"initializer": "glorot"}])
def test_std_refuses_what_only_an_sfc_layer_has(option):
    with pytest.raises(ValueError, match=r"std has no SFC layer; leave .* out, got .*\."):
        RunSpec(variant="std", **option)
