"""Training on measurements: units, labels that are not known, kills, and what a record holds."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from tiny import tiny

from sfc_lib import fold_separable
from sfc_lib.cli import main
from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import encode
from sfc_lib.nn.architectures import build_model, predicts_values
from sfc_lib.nn.encoding import with_codes, with_one_hot
from sfc_lib.nn.ensemble import averaged_models
from sfc_lib.runs import bundle, housekeeping, training
from sfc_lib.runs.evaluation import importance_sequences, metrics, pearson, predict
from sfc_lib.runs.model_file import load_model
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import best_seeds, verify_record
from sfc_lib.runs.training import compiled_model, known_squares, train_run
from sfc_lib.runs.worker import ONE_THREAD

LENGTH, MOTIF = 40, "TGATAAGG"
SETTINGS = {"width": 0.2, "learning_rate": 0.005, "epochs": 25, "dataset_options": {}}


def sequences(examples, seed):
    """Codes, and how many motifs each holds: none, one or two."""
    rng = np.random.default_rng(seed)
    codes, number = rng.integers(0, 4, (examples, LENGTH), dtype=np.uint8), np.arange(examples) % 3
    for row, count in zip(codes, number, strict=True):
        for start in rng.choice([2, 16, 30], count, replace=False):
            row[start : start + len(MOTIF)] = encode([MOTIF])[0]
    return codes, number.astype(np.float32)[:, None]


def dataset(change=lambda labels: labels):
    """Measurements that are the number of motifs, or what becomes of it."""
    parts = [sequences(examples, seed) for seed, examples in enumerate((600, 120, 120))]
    train, valid, test = (Split(codes, np.float32(change(n))) for codes, n in parts)
    tasks = tuple("abc"[: train.labels.shape[1]])
    return Dataset("simulated_tf", {}, "0" * 64, tasks, {}, train, valid, test)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Function from a dataset and changes of the spec to the model and the result of a run."""

    def train(data, **changes):
        monkeypatch.setattr(RunSpec, "load_dataset", lambda spec: data)
        spec = tiny(**SETTINGS | changes)
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}" / spec.id
        train_run(spec, folder)
        result = json.loads((folder / "result.json").read_text())
        lines = (folder / "history.jsonl").read_text().splitlines()
        model = load_model(folder / "model.keras", result["files"]["model.keras"])
        return model, result, list(map(json.loads, lines))

    return train


# What is learned


def test_the_number_of_motifs_is_learned_in_its_units(trained):
    """1,000 + 50 a motif: a straight line, and the network finds its slope and its height."""
    data = dataset(lambda number: 1000 + 50 * number)
    model, result, history = trained(data)
    guess = predict(model, data.test.codes)
    assert result["status"] == "done"
    assert pearson(data.test.labels[:, 0], guess[:, 0]) > 0.95
    assert np.abs(guess - data.test.labels).mean() < 15
    best = history[result["best_epoch"] - 1]
    assert best["valid_pearson"] == max(line["valid_pearson"] for line in history)
    assert result["valid"]["pearson"] == pytest.approx(best["valid_pearson"], abs=1e-5)
    assert result["test"] == metrics(data.test.labels, guess, ["a"])


def test_units_change_nothing_but_the_units(trained):
    """Powers of two and whole numbers, which float32 holds, so that the labels are the same."""
    options = {"epochs": 4, "both_strands": True, "shift": 2, "weight_decay": 0.01}
    one, _, first = trained(dataset(), **options)
    two, _, second = trained(dataset(lambda number: 64 * number - 512), **options)
    assert [line["valid_pearson"] for line in first] == pytest.approx(
        [line["valid_pearson"] for line in second], abs=1e-5
    )
    codes = sequences(50, 9)[0]
    np.testing.assert_allclose(predict(two, codes), 64 * predict(one, codes) - 512, atol=0.02)
    both = predict(one, codes), predict(one, 3 - codes[:, ::-1])
    np.testing.assert_allclose(*both, atol=1e-5)


def test_a_regression_beside_the_network_adds_values(trained):
    data = dataset(lambda number: 1000 + 50 * number)
    alone, _, _ = trained(data, epochs=2)
    both, result, _ = trained(data, epochs=2, regression=6)
    scores = [
        metrics(data.test.labels, predict(m, data.test.codes), "a")["pearson"]
        for m in (alone, both)
    ]
    assert scores[1] > scores[0] + 0.05
    assert result["test"]["pearson"] == pytest.approx(scores[1])
    assert np.abs(predict(both, data.test.codes) - data.test.labels).mean() < 30
    assert both.get_layer("logits").__class__.__name__ == "KmerRegression"


# Labels that are not known


def test_what_is_not_known_adds_nothing_to_the_loss():
    rng = np.random.default_rng(0)
    labels, values = rng.normal(size=(2, 50, 3)).astype(np.float32)
    known = rng.random((50, 3)) < 0.6
    found = known_squares(np.where(known, labels, np.nan), values)
    expected = (np.square(labels - values) * known).mean(axis=1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-5)
    whole = keras.ops.convert_to_numpy(known_squares(labels, values))
    usual = keras.ops.convert_to_numpy(keras.losses.mean_squared_error(labels, values))
    np.testing.assert_allclose(whole, usual, rtol=1e-6)


def test_a_step_is_that_of_labels_that_the_network_is_right_about():
    """A squared error of 0 has no gradient: the same step without any label that is missing."""
    known = np.random.default_rng(0).random((600, 2)) < 0.5

    def change(number):
        labels = np.hstack([number, 3 - 2 * number])
        return np.where(known[: len(labels)], labels, np.nan) if len(labels) == 600 else labels

    spec = tiny(**SETTINGS, dropout=0.0)
    data = dataset(change)
    model = compiled_model(spec, data)
    start = model.get_weights()
    codes, labels = data.train.codes[:64], data.train.labels[:64]
    assert np.isnan(labels).any()
    loss = model.train_on_batch(codes, labels)
    found = model.get_weights()
    model = compiled_model(spec, data)
    assert all((a == b).all() for a, b in zip(model.get_weights(), start, strict=True))
    right = model.predict_on_batch(codes)
    again = model.train_on_batch(codes, np.where(np.isnan(labels), right, labels))
    assert again == pytest.approx(loss, rel=1e-5)
    for one, two, before in zip(found, model.get_weights(), start, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
        assert (one != before).any()


def test_a_task_that_is_known_in_part_is_learned_and_scored_by_that_part(trained):
    def change(number):
        labels = np.hstack([10 * number, -number])
        labels[::4, 0], labels[1::3, 1] = np.nan, np.nan
        return labels

    data = dataset(change)
    model, result, _ = trained(data, regression=6, epochs=6)
    guess = predict(model, data.test.codes)
    assert np.isfinite(guess).all()
    for column, task in enumerate("ab"):
        known = ~np.isnan(data.test.labels[:, column])
        truth = data.test.labels[known, column]
        assert result["test"]["pearson_by_task"][task] == pytest.approx(
            np.corrcoef(truth, guess[known, column])[0, 1], abs=1e-6
        )
        assert result["test"]["pearson_by_task"][task] > 0.8


def test_a_run_that_diverges_has_no_score(trained):
    _, result, history = trained(dataset(), learning_rate=1e20)
    lost = {"epoch": 1, "loss": None, "valid_pearson": None, "valid_spearman": None}
    assert (result["status"], history) == ("diverged", [lost])
    assert (result["valid"], result["test"]) == (None, None)


def test_a_network_that_says_one_thing_always_scores_nothing(trained, monkeypatch):
    monkeypatch.setattr(training, "predict", lambda model, codes: np.ones((len(codes), 1), "f4"))
    _, result, _ = trained(dataset(), epochs=2)
    assert (result["status"], result["best_epoch"]) == ("done", 1)
    assert (result["test"]["pearson"], result["test"]["spearman"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "mixed_bfloat16"}, "measurements need float32 or float64"),
        ({"class_weight": True}, "class_weight is for classes, got measurements"),
    ],
)
def test_what_measurements_cannot_have_is_one_line(trained, changes, message):
    with pytest.raises(UserError, match=message):
        trained(dataset(), **changes)


# The model is one like any other


@pytest.mark.parametrize("variant", ["std", "sep", "symm"])
def test_a_network_of_values_folds_converts_averages_and_is_saved_like_any(variant, tmp_path):
    options = {"length": 110, "tasks": 2, "width": 0.1, "continuous": True}
    models = [build_model("compact", variant, both_strands=True, **options) for _ in range(2)]
    for model in models:
        model.set_weights(
            [np.random.default_rng(1).normal(-0.1, 1, w.shape) for w in model.get_weights()]
        )
    codes = np.random.default_rng(0).integers(0, 5, (7, 110), dtype=np.uint8)
    whole = averaged_models(models)
    expected = whole.predict_on_batch(codes)
    assert expected.min() < 0 or expected.max() > 1  # no probabilities
    np.testing.assert_allclose(expected, models[0].predict_on_batch(codes), atol=1e-5)
    training.save_model(whole, tmp_path / "model.keras")
    forms = [
        fold_separable(whole), with_codes(with_one_hot(whole)), load_model(tmp_path / "model.keras")
    ]  # fmt: skip
    for form in forms:
        assert predicts_values(form)
        np.testing.assert_allclose(form.predict_on_batch(codes), expected, atol=1e-4)
    logits = keras.Model(whole.input, whole.get_layer("logits").output)
    np.testing.assert_allclose(logits.predict_on_batch(codes), expected, atol=1e-6)
    assert not predicts_values(build_model("compact", variant, length=110, tasks=2))


def test_it_becomes_a_torch_module_like_any(require_backend):
    require_backend("torch")
    import torch

    from sfc_lib import to_torch

    model = build_model("compact", "symm", length=110, tasks=2, width=0.1, continuous=True)
    codes = np.random.default_rng(0).integers(0, 5, (7, 110), dtype=np.uint8)
    one_hot = (codes[:, None] == np.arange(4)[:, None]).astype("float32")
    with torch.no_grad():
        found = to_torch(model)(torch.tensor(one_hot)).numpy()
    np.testing.assert_allclose(found, model.predict_on_batch(codes), atol=1e-5)


# Records of your own files: killed and taken up, shown, published


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A spec on a FASTA file and a table of measurements, some of them not known."""
    folder = tmp_path_factory.mktemp("files")
    codes, number = sequences(150, 0)
    rows = ["".join("ACGT"[base] for base in row) for row in codes]
    (folder / "s.fa").write_text("".join(f">s{i}\n{row}\n" for i, row in enumerate(rows)))
    values = [f"{3 + 2 * n:.1f}" if i % 7 else "NA" for i, n in enumerate(number[:, 0])]
    lines = "".join(f"s{i}\t{value}\t{i}\n" for i, value in enumerate(values))
    (folder / "l.tsv").write_text(f"name\tsites\tplace\n{lines}")
    files = {"sequences": folder / "s.fa", "labels": folder / "l.tsv", "continuous": True}
    options = {"regression": 6, "both_strands": True, "start": "kmers"}
    return tiny(**SETTINGS | {"dataset": "custom", "dataset_options": files, "epochs": 3} | options)


# Imports once, then forks one process a life, as test_training does.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from sfc_lib.runs import training
from sfc_lib.runs.spec import RunSpec
save, replace = training.Progress._save_checkpoint, os.replace
def after_two(progress):
    save(progress)
    if len(progress.history) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
def before_result(source, target, **options):
    if Path(target).name == "result.json":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target, **options)
for life in (1, 2):
    if (child := os.fork()) == 0:
        if life == 1:
            training.Progress._save_checkpoint = after_two
        os.replace = before_result
        training.train_run(RunSpec.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def record(spec, tmp_path_factory):
    """The record of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / spec.id
    train_run(spec, folder)
    return verify_record(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_killed_it_ends_in_the_bytes_of_an_uninterrupted_one(spec, record, tmp_path):
    """After an epoch, and when all but the result is written: the labels' scale goes in once."""
    folder = tmp_path / spec.id
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(spec.to_dict()), str(folder)],
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(map(int, done.stdout.split())) == [-signal.SIGKILL] * 2, done.stderr
    assert (folder / "model.keras").exists()
    train_run(spec, folder)
    found = verify_record(folder)
    assert found.result["files"] == record.result["files"]
    assert found.result["test"] == record.result["test"]


def test_a_record_is_listed_shown_compared_and_published(record, tmp_path, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setenv("SFC_RUNS_DIR", str(record.folder.parent))
    score = record.result["valid"]["pearson"]
    listed = CliRunner().invoke(main, ["runs", "list", str(record.folder.parent)]).output
    assert f"Pearson r {score:.4f}  Spearman ρ" in listed
    shown = housekeeping.record_card(record)
    assert "epoch     loss  valid_pearson  valid_spearman" in shown
    same = housekeeping.compare(record, record)
    assert f"valid pearson: {score:.6f}, again {score:.6f} (+0.000000)" in same
    assert "auroc" not in listed + shown + same
    (folder,) = housekeeping.publish([record], tmp_path / "published")
    published = verify_record(folder)
    assert published.importance().shape == (2, 2, LENGTH)
    assert best_seeds([record, published])[0].result["valid"]["pearson"] == score
    high = importance_sequences(record.spec)
    assert 2 <= len(high) < 15  # of 30 that are held out


def test_a_bundle_refuses_measurements(spec, tmp_path):
    with pytest.raises(UserError, match="a bundle holds classes, not measurements"):
        bundle.pack([spec], tmp_path / "bundle")
