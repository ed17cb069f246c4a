"""The published records are whole, of the current protocol, and those the book shows."""

import json
import re

import pytest

from sfc_lib.datasets.base import make_recipe
from sfc_lib.files import checkout
from sfc_lib.pages.results import drawn, load_results, with_evidence
from sfc_lib.runs.housekeeping import LARGEST_MODEL
from sfc_lib.runs.pool import retrain
from sfc_lib.runs.sizes import load_size, size_names
from sfc_lib.runs.spec import PROTOCOL
from sfc_lib.runs.store import IMPORTANCE, MODEL, best_seeds, verify_record

ROOT = checkout()
FOLDERS = sorted(path for path in (ROOT / "data" / "runs").iterdir() if path.is_dir())
RECORDS = {folder.name: verify_record(folder) for folder in FOLDERS}


def test_every_run_of_the_standard_profile_is_published():
    assert {spec.id for spec in load_size("standard").specs} <= set(RECORDS)


def test_every_record_belongs_to_a_profile_and_the_current_protocol():
    wanted = {spec.id for name in size_names() for spec in load_size(name).specs}
    assert set(RECORDS) <= wanted
    assert {record.spec.protocol for record in RECORDS.values()} == {PROTOCOL}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_record_says_what_it_was_trained_on_and_with(record):
    recipe = make_recipe(record.spec.dataset, record.spec.dataset_options)
    assert record.result["dataset_fingerprint"] == recipe.fingerprint
    environment = record.result["environment"]
    assert re.fullmatch("[0-9a-f]{40}", environment["commit"]), "trained by uncommitted code"
    assert environment["threads"] == "1"
    history = record.history()
    assert [line["epoch"] for line in history] == list(range(1, record.result["epochs"] + 1))
    if not record.diverged:
        best = max(history, key=lambda line: line["valid_auroc"])
        assert best["epoch"] == record.result["best_epoch"]
        part = record.spec.valid_samples  # the result rests on the whole validation set
        close = 0.03 if part else 1e-6
        assert best["valid_auroc"] == pytest.approx(record.result["valid"]["auroc"], abs=close)


def test_only_the_best_seed_of_each_network_keeps_its_model_if_it_is_small():
    """Of networks that were published whole; controls judged by scores alone keep none."""
    with_model = {name for name, r in RECORDS.items() if MODEL in r.result["files"]}
    scores_only = {r.spec.model for r in RECORDS.values() if IMPORTANCE not in r.result["files"]}
    best = [r for r in best_seeds(RECORDS.values()) if r.spec.model not in scores_only]
    small = {r.spec.id for r in best if 4 * r.result["parameters"] < LARGEST_MODEL}
    assert with_model == small


def _one_of_each_dataset():
    """Of each the run with the quickest epochs; on all of hg19 only building the set takes long."""
    quickest = {}
    for name, record in RECORDS.items():
        options, result = record.spec.dataset_options, record.result
        if options.get("profile") != "full":
            seconds = result["cpu_seconds"] / result["epochs"]
            key = record.spec.dataset, options.get("source")
            quickest[key] = min(quickest.get(key, (seconds, name)), (seconds, name))
    return [name for _, name in quickest.values()]


@pytest.mark.parametrize("name", _one_of_each_dataset())
def test_first_epoch_of_a_published_run_can_be_trained_again(name, tmp_path, request, monkeypatch):
    record = RECORDS[name]
    if record.spec.dataset_options.get("source") != "generated":
        monkeypatch.setenv("SFC_DATA_MIRROR", str(request.getfixturevalue("shared_data")))
    again = retrain(record, tmp_path, epochs=1)
    (line,) = again.history()
    for metric in ("valid_auroc", "valid_auprc"):  # the same bits on the same processor
        assert line[metric] == pytest.approx(record.history()[0][metric], abs=0.03)


def test_store_stays_small():
    files = [path for folder in FOLDERS for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) < 60e6


def test_readme_minutes_are_those_of_the_records_that_figures_show():
    minutes = {int(m) for m in re.findall(r"(\d+), shared", (ROOT / "README.md").read_text())}
    shown = drawn(with_evidence(load_results("standard"))).size.specs
    seconds = sum(RECORDS[spec.id].result["cpu_seconds"] for spec in shown)
    assert minutes == {round(seconds / 60 / 2)}


def test_no_record_names_a_path():
    for folder in FOLDERS:
        for path in folder.glob("*.json"):
            assert "/" not in json.dumps(json.loads(path.read_text()))
