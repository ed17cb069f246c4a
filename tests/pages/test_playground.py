"""The playground, driven without a browser: its fields make specs, and its buttons train them."""

import json
import re
import time

import numpy as np
import pytest

from sfc_lib.errors import UserError
from sfc_lib.pages.playground import Playground, _history, summary
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import look_up


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def playground(**values):
    made = Playground()
    for name, value in values.items():
        made.fields[name].value = value
    return made


def finish(made, seconds=300):
    end = time.monotonic() + seconds
    while made.refresh():
        assert time.monotonic() < end, made.message.value
        time.sleep(0.2)


def test_fields_left_alone_ask_for_the_published_network_but_for_its_epochs():
    spec = playground(epochs=100).spec
    published = load_size("standard", 1).experiments["simulated_tf"].models["sep"][0]
    assert spec == published


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"symmetric": True}, "variant", "symm"),
        ({"network": "relu", "symmetric": True}, "variant", "symm"),
        ({"network": "relu", "symmetric": True}, "readout", "relu"),
        ({"network": "bottleneck"}, "readout", "bottleneck"),
        ({"network": "relu"}, "variant", "sep"),
        ({"network": "bottleneck"}, "variant", "std"),
        ({"units": 7}, "units", 7),
        ({"curvature": 10.0}, "curvature", 10.0),
        ({"initializer": "glorot"}, "initializer", "glorot"),
        ({"learning_rate": 0.003}, "learning_rate", 0.003),
        ({"train_samples": 400}, "train_samples", 400),
        ({"epochs": 3}, "epochs", 3),
        ({"seed": 5}, "seed", 5),
        ({"data": "ctcf"}, "dataset", "chip_seq"),
    ],
)
def test_every_field_reaches_the_spec(values, field, expected):
    assert getattr(playground(**values).spec, field) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": "std", "units": 7}, "std has no SFC layer"),
        ({"network": "bottleneck", "symmetric": True}, "symmetric: bottleneck has no SFC layer"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number"),
        ({"epochs": 0}, "epochs must be an integer"),
    ],
)
def test_a_field_that_cant_be_is_said_and_nothing_starts(values, message, store):
    made = playground(**values)
    made.start()
    assert message in made.message.value
    assert not made.start_button.disabled
    assert not store.exists()
    assert not made.refresh()


def test_an_unknown_experiment_is_named():
    with pytest.raises(UserError, match=r"expected one of \['simulated_tf', .* got 'dnase'"):
        Playground("dnase")


def test_stopped_and_started_again_it_gives_the_run_it_would_have_given(store):
    """Real training, in a process; stopped after an epoch or more."""
    values = {"train_samples": 400, "epochs": 6, "symmetric": True}
    made = playground(**values)
    made.start()
    assert made.start_button.disabled
    assert all(field.disabled for field in made.fields.values())
    end = time.monotonic() + 300
    while not _history(made.spec):
        assert made.refresh(), made.message.value
        assert time.monotonic() < end
        time.sleep(0.05)
    made.stop()
    before = _history(made.spec)
    assert "Start goes on" in made.message.value
    assert not made.start_button.disabled
    assert look_up(made.spec, published=False) is None
    made.start()
    finish(made)
    record = look_up(made.spec, published=False)
    assert record.history()[: len(before)] == before, "nothing was trained again"
    assert len(record.history()) == 6
    assert summary(record)[:-1] in made.message.value
    assert len(made.curve.children) == 1
    pictures = [image.value for image in [*made.curve.children, *made.outcome.children]]
    titles = re.findall('alt="([^"]+)"', " ".join(pictures[1:]))
    assert [title.split()[0] for title in titles] == ["scores", "importance", "positional"]
    assert all("data:image/png;base64,iVBOR" in picture for picture in pictures)


def test_a_run_that_fails_says_why(store, monkeypatch):
    made = playground(network="spline", train_samples=400)
    monkeypatch.setattr("sfc_lib.pages.playground.run_one", _fails)
    made.start()
    finish(made)
    assert "The run failed" in made.message.value
    assert "no such thing" in made.message.value
    assert not made.start_button.disabled


def _fails(values, root):
    raise UserError("no such thing")


def test_a_line_that_is_being_written_waits(store):
    spec = RunSpec()
    (store / spec.id).mkdir(parents=True)
    whole = json.dumps({"epoch": 1, "valid_auroc": 0.5})
    (store / spec.id / "history.jsonl").write_text(whole + "\n" + whole[:9])
    assert [line["epoch"] for line in _history(spec)] == [1]
    assert _history(RunSpec(seed=1)) == []
    assert np.isfinite(_history(spec)[0]["valid_auroc"])
