"""Training: what an epoch depends on, and that an interrupted run ends as an uninterrupted one."""

import dataclasses
import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import weakref
import zipfile
from contextlib import nullcontext
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import QUICKLY_COMPILED, FailedError
from tiny import tiny as two_epochs

from sfc_lib.datasets.base import NOT_KNOWN, Dataset, Split, load_dataset
from sfc_lib.genomics.dna import reverse_complement, shifted
from sfc_lib.nn.ensemble import with_regression
from sfc_lib.runs import training
from sfc_lib.runs.evaluation import metrics, predict
from sfc_lib.runs.pool import ONE_THREAD
from sfc_lib.runs.regression import blend
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify_record
from sfc_lib.runs.training import Batches, Progress, known_crossentropy, train_run

TINY = two_epochs(epochs=4)


def tiny(**changes):
    return dataclasses.replace(TINY, **changes)


def hashes(folder):
    """The hashes that a run promises to repeat bit for bit."""
    return verify_record(folder).result["files"]


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Folder of an uninterrupted TINY run."""
    folder = tmp_path_factory.mktemp("reference") / TINY.id
    train_run(TINY, folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / TINY.id


@pytest.fixture
def fresh(folder):
    """Progress of a run that is about to start."""
    folder.mkdir()
    data = TINY.load_dataset()
    return Progress(TINY, training.compiled_model(TINY, data), data, folder)


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def epochs_trained(spec, folder, stop=None):
    """Train, stopping before epoch `stop` (from 0) if there is one; the epochs that were begun."""
    begun, begin = [], Progress.on_epoch_begin

    def watched(self, epoch, logs=None):
        if epoch == stop:
            raise StoppedError
        begun.append(epoch)
        begin(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "on_epoch_begin", watched)
        with nullcontext() if stop is None else pytest.raises(StoppedError):
            train_run(spec, folder)
    return begun


# Records


def test_record_is_complete_and_has_one_line_per_epoch(reference):
    record = verify_record(reference)
    names = ["W_pos.npy", "history.jsonl", "model.keras", "spec.json"]
    assert sorted(path.name for path in reference.iterdir()) == sorted([*names, "result.json"])
    assert sorted(record.result["files"]) == names
    assert [line["epoch"] for line in record.history()] == [1, 2, 3, 4]
    assert record.result["id"] == TINY.id
    assert (record.result["status"], record.result["epochs"]) == ("done", 4)
    data = TINY.load_dataset()
    assert record.result["dataset_fingerprint"] == data.fingerprint
    model = keras.models.load_model(reference / "model.keras")
    assert record.result["parameters"] == model.count_params()
    assert set(record.result["valid"]["auroc_by_task"]) == set(data.task_names)
    assert record.result["environment"]["versions"]["keras"] == keras.__version__


def test_model_on_disk_gives_the_recorded_metrics(reference):
    record = verify_record(reference)
    model = keras.models.load_model(reference / "model.keras")
    data = TINY.load_dataset()
    for name, part in (("valid", data.valid), ("test", data.test)):
        assert (
            metrics(part.labels, predict(model, part.codes), data.task_names)
            == (record.result[name])
        )
    best = max(line["valid_auroc"] for line in record.history())
    assert record.result["valid"]["auroc"] == best
    weights = keras.ops.convert_to_numpy(model.get_layer("sfc").positional_weights())
    np.testing.assert_array_equal(record.positional_weights(), weights)


def test_model_on_disk_is_the_best_epochs_not_the_last(folder, monkeypatch):
    weights, line = [], Progress._line

    def second_is_best(self, epoch, loss):
        weights.append(self.net.get_weights())
        return {**line(self, epoch, loss), "valid_auroc": [0.5, 0.9, 0.7, 0.9][epoch]}

    monkeypatch.setattr(Progress, "_line", second_is_best)
    train_run(TINY, folder)
    assert verify_record(folder).result["best_epoch"] == 2
    saved = keras.models.load_model(folder / "model.keras").get_weights()
    assert all((a == b).all() for a, b in zip(saved, weights[1], strict=True))
    assert not all((a == b).all() for a, b in zip(saved, weights[3], strict=True))


def test_same_spec_gives_the_same_bytes_and_another_seed_others(reference, tmp_path):
    for seed in (1, 0):
        train_run(tiny(seed=seed), tmp_path / tiny(seed=seed).id)
    assert hashes(tmp_path / TINY.id) == hashes(reference)
    other = hashes(tmp_path / tiny(seed=1).id)
    assert all(other[name] != hashes(reference)[name] for name in other)


def test_what_a_process_trained_before_changes_nothing(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_compiled", {})
    for number, spec in enumerate((tiny(seed=1), TINY, tiny(variant="symm"), TINY)):
        train_run(spec, tmp_path / str(number) / spec.id)
        assert len(training._compiled) == 1
        if spec == TINY:
            assert hashes(tmp_path / str(number) / TINY.id) == hashes(reference)


def test_on_torch_too_what_a_process_trained_before_changes_nothing(tmp_path, on_backend):
    """Whose dropout draws from one generator of the whole process."""
    spec = tiny(backend="torch", epochs=2)
    first, second = tmp_path / "first" / spec.id, tmp_path / "second" / spec.id
    on_backend("torch", TWO_RUNS, json.dumps(spec.to_dict()), first, second)
    assert hashes(first) == hashes(second)


TWO_RUNS = """
import json, sys
from pathlib import Path
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify_record
from sfc_lib.runs.training import train_run
spec = RunSpec.from_dict(json.loads(sys.argv[1]))
for folder in map(Path, sys.argv[2:]):
    train_run(spec, folder)
    assert verify_record(folder).model().count_params()  # what it saved is what it reads
"""


def test_a_model_is_compiled_once_for_all_seeds(fresh, monkeypatch):
    first = fresh.net
    first.set_weights([np.zeros_like(weight) for weight in first.get_weights()])
    again = training.compiled_model(tiny(seed=3), fresh.dataset)
    assert again is first
    monkeypatch.setattr(training, "_compiled", {})
    anew = training.compiled_model(tiny(seed=3), fresh.dataset)
    assert anew is not first
    for one, other in zip(again.get_weights(), anew.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_process_keeps_no_data_of_the_runs_it_trained(folder, monkeypatch):
    loaded, load_dataset = [], RunSpec.load_dataset

    def load(spec):
        dataset = load_dataset(spec)
        loaded.append(weakref.ref(dataset.train))
        return dataset

    monkeypatch.setattr(RunSpec, "load_dataset", load)
    train_run(TINY, folder)
    gc.collect()
    assert [reference() for reference in loaded] == [None]


def test_std_has_no_positional_weights(tmp_path):
    spec = tiny(variant="std", epochs=1)
    train_run(spec, tmp_path / spec.id)
    assert sorted(hashes(tmp_path / spec.id)) == ["history.jsonl", "model.keras", "spec.json"]


def test_saved_model_holds_no_time(reference, tmp_path):
    model = keras.models.load_model(reference / "model.keras")
    for name in ("a", "b"):
        training.save_model(model, tmp_path / f"{name}.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["date_saved"] is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def easy(rng, examples):
    """Sequences with three times more G where the one label is 1, which a quarter has."""
    labels = (np.arange(examples) % 4 == 0).astype(np.uint8)[:, None]
    g = rng.random((examples, 60)) < np.where(labels, 0.75, 0.25)
    return Split(np.where(g, 2, rng.choice([0, 1, 3], g.shape)).astype(np.uint8), labels)


@pytest.mark.parametrize("variant", ["std", "symm"])
def test_run_learns_an_easy_task(variant, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    splits = [easy(rng, 240), easy(rng, 80), easy(rng, 80)]
    spec = tiny(variant=variant, width=0.2, class_weight=True, learning_rate=0.003)
    stands_in_for = spec.recipe.fingerprint
    data = Dataset("easy", {}, stands_in_for, ("much G",), {}, *splits)
    monkeypatch.setattr(RunSpec, "load_dataset", lambda spec: data)
    train_run(spec, tmp_path / spec.id)
    record = verify_record(tmp_path / spec.id)
    assert record.result["test"]["auroc"] > 0.95
    assert record.history()[-1]["loss"] < record.history()[0]["loss"]


def test_other_backend_is_refused_before_anything_is_written(folder):
    other = next(b for b in ("jax", "tensorflow") if b != keras.backend.backend())
    with pytest.raises(RuntimeError, match=f"needs Keras backend '{other}', this process uses '"):
        train_run(tiny(backend=other), folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("precision", "enabled", "dtype"),
    [("float64", "0", None), ("float64", "1", "float64"), ("mixed_bfloat16", "0", "float32")],
)
def test_record_says_what_was_computed_and_nothing_else_is_trained(
    precision, enabled, dtype, tmp_path, on_backend
):
    """JAX makes float32 of a float64 that it was not told to allow."""
    spec = tiny(backend="jax", precision=precision, epochs=1)
    arguments = json.dumps(spec.to_dict()), tmp_path, enabled
    if dtype:
        on_backend("jax", ONE_RUN, *arguments)
        assert verify_record(tmp_path / spec.id).result["weights_dtype"] == dtype
    else:
        expected = "precision float64: jax makes weights of float32 here. Set JAX_ENABLE_X64=1."
        with pytest.raises(FailedError, match=f"UserError: {expected}"):
            on_backend("jax", ONE_RUN, *arguments)
        assert not (tmp_path / spec.id / "history.jsonl").exists()


ONE_RUN = """
import json, sys
import jax
from sfc_lib.runs.pool import run_one
jax.config.update("jax_enable_x64", sys.argv[3] == "1")  # what JAX_ENABLE_X64 sets
try:
    run_one(json.loads(sys.argv[1]), sys.argv[2])
finally:
    jax.config.update("jax_enable_x64", False)
"""


# Order of examples


def batches(spec, examples=50, epoch=0):
    """Batches of a split whose row r has the codes of the number r."""
    rows = np.arange(examples, dtype=np.uint8)
    split = Split(np.stack([rows, rows], axis=1), (rows % 3 == 0).astype(np.uint8)[:, None])
    return Batches(split, spec, SimpleNamespace(epoch=epoch))


def rows_of(sequence):
    return [sequence[i][0][:, 0] for i in range(len(sequence))]


@given(st.integers(0), st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60))
def test_order_is_a_permutation_and_depends_on_seed_and_epoch_alone(seed, epoch, batch, examples):
    spec = tiny(seed=seed, batch_size=batch)
    used = batches(spec, examples)
    used.order(epoch + 1), used.order(0)
    other = batches(tiny(seed=seed, learning_rate=0.1), examples)
    order = used.order(epoch)
    np.testing.assert_array_equal(order, other.order(epoch))
    assert sorted(order) == list(range(examples))


def test_order_differs_between_epochs_and_seeds():
    orders = [batches(tiny(seed=seed)).order(epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("batch_size", [1, 16, 50, 64])
def test_an_epoch_sees_every_example_once_with_its_label(batch_size):
    sequence = batches(tiny(batch_size=batch_size), epoch=3)
    assert [len(rows) for rows in rows_of(sequence)][:-1] == [batch_size] * (len(sequence) - 1)
    assert sorted(np.concatenate(rows_of(sequence))) == list(range(50))
    for codes, labels in (sequence[i] for i in range(len(sequence))):
        np.testing.assert_array_equal(labels[:, 0], codes[:, 0] % 3 == 0)
        assert labels.dtype == np.float32


def test_batches_follow_the_epoch_of_the_run():
    sequence = batches(TINY)
    first = np.concatenate(rows_of(sequence))
    sequence.progress.epoch = 1
    assert not (np.concatenate(rows_of(sequence)) == first).all()
    sequence.progress.epoch = 0
    np.testing.assert_array_equal(np.concatenate(rows_of(sequence)), first)


def test_samples_per_epoch_are_drawn_anew_without_repeats():
    seen = []
    for epoch in range(20):
        rows = rows_of(batches(tiny(samples_per_epoch=20), epoch=epoch))
        assert [len(part) for part in rows] == [16, 4]
        seen.append(frozenset(np.concatenate(rows)))
        assert len(seen[-1]) == 20
    assert len(set(seen)) == 20
    assert frozenset.union(*seen) == set(range(50))


def test_samples_per_epoch_are_at_most_all():
    assert len(np.concatenate(rows_of(batches(tiny(samples_per_epoch=1000))))) == 50


def test_class_weight_is_negatives_over_positives():
    sequence = batches(tiny(class_weight=True, batch_size=50), examples=50)
    _, labels, weights = sequence[0]  # 17 of 50 rows are divisible by 3
    np.testing.assert_array_equal(weights, np.where(labels[:, 0] == 1, 33 / 17, 1.0))


def test_class_weight_of_several_tasks_is_refused(folder):
    with pytest.raises(ValueError, match="class_weight works for one task, got 3: leave it False"):
        train_run(tiny(class_weight=True), folder)


# Both strands and shifts


def moved(epoch=0, seed=0, **changes):
    """Batches of 64 random sequences of 30 bp, in order of their rows, and the sequences."""
    codes = np.random.default_rng(0).integers(0, 4, (64, 30), dtype=np.uint8)
    split = Split(codes, np.arange(64, dtype=np.uint8)[:, None])
    sequence = Batches(split, tiny(seed=seed, **changes), SimpleNamespace(epoch=epoch))
    batches = [sequence[i] for i in range(len(sequence))]
    return [(found, codes[labels[:, 0].astype(int)]) for found, labels in batches]


def test_half_of_the_batches_are_of_the_other_strand():
    for epoch in range(3):
        turned = []
        for found, before in moved(epoch, both_strands=True):
            turned.append((found == reverse_complement(before)).all())
            assert turned[-1] or (found == before).all()
        assert sum(turned) == 2  # of four
    orders = {
        tuple((found == before).all() for found, before in moved(epoch, both_strands=True))
        for epoch in range(9)
    }
    assert len(orders) > 2


def test_every_sequence_is_moved_by_up_to_the_shift_and_n_comes_in():
    seen = set()
    for epoch in range(4):
        for found, before in moved(epoch, shift=3):
            for row, original in zip(found, before, strict=True):
                fits = [
                    by
                    for by in range(-3, 4)
                    if (row == shifted(original[None], np.array([by]))[0]).all()
                ]
                assert len(fits) == 1
                seen.add(fits[0])
    assert seen == set(range(-3, 4))


def test_what_is_moved_depends_on_seed_and_epoch_alone():
    options = {"shift": 3, "both_strands": True}
    one, again, later, other = (
        np.concatenate([found for found, _ in moved(epoch, seed, **options)])
        for epoch, seed in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    np.testing.assert_array_equal(one, again)
    assert (one != later).any()
    assert (one != other).any()


OWN = {"both_strands": True, "shift": 4, "weight_decay": 0.01, "start": "kmers", "regression": 6}


def test_a_run_with_all_of_it_resumes_to_the_same_bytes(tmp_path):
    spec = tiny(variant="symm", **OWN)
    train_run(spec, tmp_path / "whole" / spec.id)
    assert epochs_trained(spec, tmp_path / "stopped" / spec.id, stop=2) == [0, 1]
    assert epochs_trained(spec, tmp_path / "stopped" / spec.id) == [2, 3]
    whole, stopped = (hashes(tmp_path / name / spec.id) for name in ("whole", "stopped"))
    assert whole == stopped
    record = verify_record(tmp_path / "whole" / spec.id)
    data, model = TINY.load_dataset(), record.model()
    forward, reverse = (
        predict(model, codes)
        for codes in (data.test.codes, reverse_complement(np.array(data.test.codes)))
    )
    np.testing.assert_allclose(forward, reverse, atol=1e-6)
    assert record.result["test"] == metrics(data.test.labels, forward, data.task_names)


def test_conjoined_strands_are_trained_by_the_loss_of_their_mean(tmp_path):
    """One step of Adam on the averaged network; on one strand it would be another."""
    options = {"both_strands": True, "variant": "symm", "train_samples": 8, "dropout": 0.0}
    spec = tiny(**options, conjoined=True, epochs=1, learning_rate=0.01)
    train_run(spec, tmp_path / spec.id)
    found = verify_record(tmp_path / spec.id).model()
    data = TINY.load_dataset()
    first, expected = data.train.first(8), []
    for conjoined in (True, False):
        keras.utils.set_random_seed(training.seed(spec, "weights", 0))
        model = training.network(spec, data.length, len(data.task_names))
        model = model if conjoined else training.one_strand(model)
        model.compile(keras.optimizers.Adam(0.01, epsilon=1e-8), "binary_crossentropy")
        model.train_on_batch(first.codes, first.labels.astype("float32"))
        expected.append(model.get_weights())
    for one, both in zip(found.get_weights(), expected[0], strict=True):
        np.testing.assert_allclose(one, both, atol=1e-4)  # a step is 0.01
    assert max(np.abs(a - b).max() for a, b in zip(*expected, strict=True)) > 1e-3
    for batch, before in moved(both_strands=True, conjoined=True):
        np.testing.assert_array_equal(batch, before)  # none is turned


def test_conjoined_runs_resume_and_predict_both_strands_alike(tmp_path):
    spec = tiny(variant="symm", **OWN | {"conjoined": True})
    train_run(spec, tmp_path / "whole" / spec.id)
    assert epochs_trained(spec, tmp_path / "stopped" / spec.id, stop=2) == [0, 1]
    assert epochs_trained(spec, tmp_path / "stopped" / spec.id) == [2, 3]
    whole, stopped = (hashes(tmp_path / name / spec.id) for name in ("whole", "stopped"))
    assert whole == stopped
    data = TINY.load_dataset()
    model = verify_record(tmp_path / "whole" / spec.id).model()
    forward, reverse = (
        predict(model, codes)
        for codes in (data.test.codes, reverse_complement(np.array(data.test.codes)))
    )
    np.testing.assert_allclose(forward, reverse, atol=1e-6)


def test_the_best_epoch_is_what_the_record_holds(tmp_path):
    spec = tiny(variant="symm", **OWN | {"regression": None})
    train_run(spec, tmp_path / spec.id)
    record = verify_record(tmp_path / spec.id)
    best = max(line["valid_auroc"] for line in record.history())
    assert record.result["valid"]["auroc"] == best


def test_a_regression_is_added_to_the_trained_network(tmp_path):
    """The network is the one that is trained without; both are on the training set alone."""
    given, records = [], []

    def noted(train, valid, probabilities, k):
        given.append((len(train), len(valid), probabilities))
        return blend(train, valid, probabilities, k)

    for regression in (None, 4):
        spec = tiny(regression=regression, train_samples=40, epochs=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "blend", noted)
            train_run(spec, tmp_path / spec.id)
        records.append(verify_record(tmp_path / spec.id))
    alone, both = (record.model() for record in records)
    data = TINY.load_dataset()
    ((train, valid, probabilities),) = given
    assert (train, valid) == (40, len(data.valid))
    np.testing.assert_allclose(probabilities, predict(alone, data.valid.codes), atol=1e-6)
    weights = blend(data.train.first(40), data.valid, probabilities, 4)
    expected = with_regression(alone, *weights)
    np.testing.assert_allclose(
        predict(both, data.test.codes), predict(expected, data.test.codes), atol=1e-6
    )
    scores = metrics(data.test.labels, predict(both, data.test.codes), data.task_names)
    assert records[1].result["test"] == scores
    assert records[0].result["parameters"] == records[1].result["parameters"]


def test_weight_decay_makes_weights_smaller(tmp_path):
    sizes = []
    for strength in (None, 5.0):
        spec = tiny(weight_decay=strength, learning_rate=0.01)
        train_run(spec, tmp_path / spec.id)
        weights = verify_record(tmp_path / spec.id).model().get_weights()
        sizes.append(sum(float(np.square(w).sum()) for w in weights))
    assert sizes[1] < 0.9 * sizes[0]


def test_filters_start_at_the_kmers_of_what_is_trained_on(tmp_path, monkeypatch):
    given = []

    def noted(kernel, split, motifs, kmers):
        given.append((kernel.shape, len(split), motifs, kmers))
        return np.zeros_like(kernel)

    monkeypatch.setattr(training, "started_filters", noted)
    spec = tiny(start="kmers", train_samples=20, epochs=1, learning_rate=1e-9)
    train_run(spec, tmp_path / spec.id)
    assert given == [((11, 4, 2), 20, None, "kmers")]
    kernel = verify_record(tmp_path / spec.id).model().get_layer("conv_1").get_weights()[0]
    np.testing.assert_allclose(kernel, 0, atol=1e-6)


# Random state


def weights_of(spec):
    keras.utils.set_random_seed(time.time_ns() % 2**32)  # whatever was before must not matter
    data = spec.load_dataset()
    return b"".join(
        weight.tobytes() for weight in training.compiled_model(spec, data).get_weights()
    )


def test_initial_weights_depend_on_the_seed_alone():
    assert weights_of(TINY) == weights_of(tiny(epochs=9, learning_rate=0.1))
    assert weights_of(TINY) != weights_of(tiny(seed=1))


def test_dropout_state_depends_on_seed_and_epoch_alone(fresh):
    def state(seed, epoch):
        fresh.spec = tiny(seed=seed)
        fresh.on_epoch_begin(epoch)
        (generator,) = (
            layer.seed_generator for layer in fresh.net.layers if hasattr(layer, "seed_generator")
        )
        return tuple(keras.ops.convert_to_numpy(generator.state).tolist())

    asked = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    states = [state(*each) for each in asked]
    assert len(set(states)) == len(asked)
    assert [state(*each) for each in reversed(asked)] == states[::-1]


def test_users_keras_settings_change_nothing(reference, folder):
    """They come from `~/.keras/keras.json`, which no record mentions."""
    config = keras.config
    settings = config.floatx(), config.epsilon(), config.image_data_format()
    try:
        config.set_floatx("float16")
        config.set_epsilon(0.45)  # which clips most predictions
        config.set_image_data_format("channels_first")
        train_run(TINY, folder)
    finally:
        config.set_floatx(settings[0])
        config.set_epsilon(settings[1])
        config.set_image_data_format(settings[2])
    assert hashes(folder) == hashes(reference)


# When a run ends


def stops_after(scores, patience, epochs):
    """Epochs trained and best epoch, said in another way than the library does."""
    for epoch in range(1, epochs + 1):
        best = scores.index(max(scores[:epoch])) + 1
        if epoch - best >= patience:
            break
    return epoch, best


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=8, max_size=8),
    st.integers(1, 9),
    st.integers(1, 8),
)
def test_run_ends_with_its_patience_or_its_epochs(scores, patience, epochs):
    data = SimpleNamespace(valid=Split(np.zeros((1, 1)), np.zeros((1, 1))))
    progress = Progress(tiny(patience=patience, epochs=epochs), None, data, None)
    for score in scores:
        progress.history.append({"valid_auroc": score})
        if progress.finished:
            break
    assert (len(progress.history), progress.best_epoch) == stops_after(scores, patience, epochs)


def test_training_stops_when_patience_ends(folder, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9, 0.9, 0.9])
    monkeypatch.setattr(training, "metrics", lambda *_: {"auroc": next(scores), "auprc": 0.5})
    spec = tiny(patience=2, epochs=6)
    train_run(spec, folder.with_name(spec.id))
    record = verify_record(folder.with_name(spec.id))
    assert [line["valid_auroc"] for line in record.history()] == [0.5, 0.7, 0.6, 0.7]
    assert (record.result["epochs"], record.result["best_epoch"]) == (4, 2)


@pytest.mark.parametrize("learning_rate", [1e6, 1e20])
def test_run_that_diverges_at_once_is_recorded_as_diverged(learning_rate, tmp_path):
    """At 1e20 loss and predictions stay finite, because ReLU hides what is not a number."""
    spec = tiny(learning_rate=learning_rate)
    train_run(spec, tmp_path / spec.id)
    record = verify_record(tmp_path / spec.id)
    assert record.diverged
    lines = record.history()
    assert (lines[-1]["loss"], lines[-1]["valid_auroc"]) == (None, None)
    assert len(lines) == record.result["epochs"] == record.result["best_epoch"] + 1
    assert "NaN" not in (record.folder / "result.json").read_text()


@pytest.mark.parametrize("stopped", [False, True])
def test_run_that_diverges_late_keeps_its_best_epoch(stopped, tmp_path, monkeypatch):
    """Also if it was stopped between the epoch that diverged and the end."""
    begin, finish = Progress.on_epoch_begin, Progress.finish

    def poisoned(self, epoch, logs=None):
        begin(self, epoch, logs)
        if epoch == 2:
            self.net.set_weights([np.full_like(w, np.inf) for w in self.net.get_weights()])

    def stop_once(self):
        monkeypatch.setattr(Progress, "finish", finish)
        raise StoppedError

    monkeypatch.setattr(Progress, "on_epoch_begin", poisoned)
    if stopped:
        monkeypatch.setattr(Progress, "finish", stop_once)
        with pytest.raises(StoppedError):
            train_run(TINY, tmp_path / TINY.id)
    train_run(TINY, tmp_path / TINY.id)
    record = verify_record(tmp_path / TINY.id)
    assert record.diverged
    assert record.result["epochs"] == 3
    best = max(line["valid_auroc"] for line in record.history()[:2])
    assert record.result["valid"]["auroc"] == best
    assert np.isfinite(record.positional_weights()).all()


# Interruption


def test_run_stopped_again_and_again_goes_on_to_the_same_bytes(reference, folder, monkeypatch):
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), process_time=lambda: 0)
    monkeypatch.setattr(training, "time", clock)
    begun = [epochs_trained(TINY, folder, stop) for stop in (1, 1, 3, None)]
    assert begun == [[0], [], [1, 2], [3]]
    assert hashes(folder) == hashes(reference)
    assert verify_record(folder).result["wall_seconds"] == 4  # also those before an interruption
    assert not (folder / "checkpoint").exists()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Content of the checkpoint of TINY after two epochs."""
    folder = tmp_path_factory.mktemp("halfway") / TINY.id
    epochs_trained(TINY, folder, stop=2)
    return (folder / "checkpoint").read_bytes()


def test_sound_checkpoint_brings_back_everything(fresh, checkpoint, reference):
    before = fresh.net.get_weights()
    (fresh.folder / "checkpoint").write_bytes(checkpoint)
    fresh.resume()
    assert fresh.history == verify_record(reference).history()[:2]
    assert (fresh.folder / "history.jsonl").read_bytes().count(b"\n") == 2
    assert [len(values) for values in fresh.seconds.values()] == [2, 2]
    assert int(fresh.net.optimizer.iterations) == 8
    assert not any((a == b).all() for a, b in zip(before, fresh.net.get_weights(), strict=True))


def test_damaged_checkpoint_is_not_taken(fresh, checkpoint):
    before = fresh.net.get_weights()
    middle = len(checkpoint) // 2
    damaged = [b"", b"x", checkpoint[:-1], checkpoint[middle:] + checkpoint[:middle]]
    for position in range(0, len(checkpoint), len(checkpoint) // 50):
        flipped = bytearray(checkpoint)
        flipped[position] ^= 1 << position % 8
        damaged.append(flipped)
    (fresh.folder / "history.jsonl").write_text("{}\n")
    for content in damaged:
        (fresh.folder / "checkpoint").write_bytes(content)
        fresh.resume()
        assert fresh.history == []
        assert (fresh.folder / "history.jsonl").read_bytes() == b""
    assert all((a == b).all() for a, b in zip(before, fresh.net.get_weights(), strict=True))


def test_damaged_checkpoint_ends_in_the_same_bytes(reference, folder, checkpoint):
    folder.mkdir()
    (folder / "checkpoint").write_bytes(checkpoint[:-1])
    assert epochs_trained(TINY, folder) == [0, 1, 2, 3]
    assert hashes(folder) == hashes(reference)


def test_checkpoint_of_another_run_is_not_taken(fresh, checkpoint):
    fresh.spec = tiny(seed=1)
    (fresh.folder / "checkpoint").write_bytes(checkpoint)
    fresh.resume()
    assert fresh.history == []


# Imports once, then forks one process a life: while it has one thread that is safe.
DRIVER = """
import json, os, signal, sys, traceback
from pathlib import Path
from sfc_lib.runs import training
from sfc_lib.runs.spec import RunSpec

Progress, Batches = training.Progress, training.Batches
trained, killer = 0, None


def die_if(*happening):
    if killer == list(happening):
        os.kill(os.getpid(), signal.SIGKILL)


def replace(source, target, original=os.replace):
    die_if(f"replace {Path(target).name}", trained)
    original(source, target)


def batch(self, index, original=Batches.__getitem__):
    if index == 1:
        die_if("batch", self.progress.epoch)
    return original(self, index)


def save(self, original=Progress._save_checkpoint):
    global trained
    trained = len(self.history)
    original(self)


def append(self, original=Progress._write_history):
    if killer == ["append", trained]:
        with open(self.folder / "history.jsonl", "ab") as file:
            file.write(b'{"epoch": 4, "los')
    die_if("append", trained)
    original(self)


def resume(self, original=Progress.resume):
    global trained
    original(self)
    trained = len(self.history)
    print(trained, flush=True)


os.replace, Batches.__getitem__ = replace, batch
Progress._save_checkpoint, Progress._write_history, Progress.resume = save, append, resume
spec = RunSpec.from_dict(json.loads(sys.argv[1]))
assert "Threads:\\t1\\n" in Path("/proc/self/status").read_text()
for folder, *killer in json.loads(sys.argv[2]):
    if (child := os.fork()) == 0:
        try:
            training.train_run(spec, Path(folder))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLED = [  # what is about to happen, after how many epochs; epochs the next life starts with
    ("batch", 2, 2),
    ("replace checkpoint", 3, 2),
    ("append", 3, 3),
    ("replace model.keras", 4, 4),
    ("replace result.json", 4, 4),
]


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc")
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_killed_run_ends_in_the_bytes_of_an_uninterrupted_one(backend, tmp_path, require_backend):
    """SIGKILL of real processes, one after the other, each at another moment."""
    require_backend(backend)
    spec = tiny(backend=backend)
    whole, broken = tmp_path / "whole" / spec.id, tmp_path / "broken" / spec.id
    killed = KILLED if backend == "tensorflow" else KILLED[::2]
    lives = [[str(broken), *moment] for *moment, _ in killed]
    lives = [[str(whole), "never"], *lives, [str(broken), "never"]]
    compiled = {  # once, not in every life
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(spec.to_dict()), json.dumps(lives)],
        env={**os.environ, **ONE_THREAD, **QUICKLY_COMPILED, **compiled, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    words = list(map(int, done.stdout.split()))
    assert words[1::2] == [0, *[-signal.SIGKILL] * len(killed), 0], done.stderr
    assert words[::2] == [0, 0, *(epochs for *_, epochs in killed)]
    assert hashes(broken) == hashes(whole)
    for name in ("valid", "test", "best_epoch"):
        assert verify_record(broken).result[name] == verify_record(whole).result[name]


# Metrics


def test_fewer_training_examples_are_the_first_ones(tmp_path):
    fewer, other = tiny(train_samples=20, epochs=1), tiny(train_samples=24, epochs=1)
    data = TINY.load_dataset()
    assert np.array_equal(data.train.first(20).codes, data.train.codes[:20])
    assert data.train.first(None) is data.train
    for spec in (fewer, other):
        train_run(spec, tmp_path / spec.id)
    assert hashes(tmp_path / fewer.id) != hashes(tmp_path / other.id)
    with pytest.raises(ValueError, match=f"at most the {len(data.train)}, got 100000"):
        train_run(tiny(train_samples=100_000), tmp_path / "too many")


@pytest.mark.parametrize(
    ("wanted", "rows"), [(4, [0, 2, 5, 7]), (1, [0]), (10, None), (None, None)]
)
def test_validation_examples_are_evenly_spaced(wanted, rows):
    split = Split(np.arange(10, dtype=np.uint8)[:, None], np.ones((10, 1), dtype=np.uint8))
    assert split.evenly(wanted).codes[:, 0].tolist() == (rows or list(range(10)))


def test_epochs_are_judged_by_the_sample_and_the_run_by_all(tmp_path):
    spec = tiny(dataset_options={"examples": 400}, valid_samples=20, epochs=1, patience=1)
    train_run(spec, tmp_path / spec.id)
    record, data = verify_record(tmp_path / spec.id), load_dataset("simulated_tf", examples=400)
    sample, found = data.valid.evenly(20), {}
    for name, split in (("sample", sample), ("all", data.valid)):
        found[name] = metrics(split.labels, predict(record.model(), split.codes), "abc")["auroc"]
    assert found["sample"] != found["all"]
    assert record.history()[0]["valid_auroc"] == pytest.approx(found["sample"], abs=1e-6)
    assert record.result["valid"]["auroc"] == pytest.approx(found["all"], abs=1e-6)


def test_metrics_of_a_case_done_by_hand():
    """3 of 4 pairs in order: auROC 3/4. Positives at ranks 1 and 3: auPRC (1 + 2/3) / 2."""
    labels = np.array([[0, 1], [0, 0], [1, 1], [1, 0]], dtype=np.uint8)
    probabilities = np.array([[0.1, 0.9], [0.4, 0.2], [0.35, 0.8], [0.8, 0.1]], dtype=np.float32)
    scores = metrics(labels, probabilities, ("a", "b"))
    assert scores["auroc_by_task"] == pytest.approx({"a": 3 / 4, "b": 1.0})
    assert scores["auprc_by_task"] == pytest.approx({"a": 5 / 6, "b": 1.0})
    assert scores["auroc"] == pytest.approx(7 / 8)
    assert scores["auprc"] == pytest.approx(11 / 12)
    json.dumps(scores, allow_nan=False)


def test_metrics_of_a_constant_prediction_are_chance():
    labels = np.array([[1], [0], [0], [0]])
    scores = metrics(labels, np.full((4, 1), 0.3), ("a",))
    assert (scores["auroc"], scores["auprc"]) == (0.5, 0.25)


@pytest.mark.parametrize("value", [0, 1])
def test_metrics_need_both_classes(value):
    labels = np.array([[0, value], [1, value]])
    with pytest.raises(ValueError, match=f"task 'b' needs .* got 2 examples that are all {value}"):
        metrics(labels, np.zeros((2, 2)), ("a", "b"))


def test_metrics_need_a_name_for_every_task():
    labels = np.array([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="longer than argument 1"):
        metrics(labels, np.zeros((2, 2)), ("a",))


def test_predictions_do_not_depend_on_the_batch_size(reference):
    model = keras.models.load_model(reference / "model.keras")
    codes = TINY.load_dataset().train.codes
    whole = predict(model, codes)
    assert whole.shape == (64, 3)
    np.testing.assert_allclose(predict(model, codes, batch_size=7), whole, atol=1e-6)


def test_labels_that_are_not_known_count_for_nothing_in_scores():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 2, (50, 2)), rng.random((50, 2))
    labels[:9, 0], labels[30:, 1] = NOT_KNOWN, NOT_KNOWN
    found = metrics(labels, p, ("a", "b"))["auroc_by_task"]
    for task, column, rows in (("a", 0, slice(9, None)), ("b", 1, slice(0, 30))):
        alone = metrics(labels[rows, column, None], p[rows, column, None], (task,))
        assert found[task] == alone["auroc"]
    labels[:, 1] = NOT_KNOWN
    with pytest.raises(ValueError, match="task 'b' needs examples whose label is known"):
        metrics(labels, p, ("a", "b"))


def test_labels_that_are_not_known_add_nothing_to_the_loss():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 2, (50, 3)).astype(np.float32), rng.uniform(0.1, 0.9, (50, 3))
    known = rng.random((50, 3)) < 0.6
    each = -np.where(labels == 1, np.log(p), np.log(1 - p))
    marked = np.where(known, labels, NOT_KNOWN).astype(np.float32)
    found = keras.ops.convert_to_numpy(known_crossentropy(marked, p.astype(np.float32)))
    np.testing.assert_allclose(found, (each * known).mean(axis=1), rtol=1e-5)
    whole = keras.ops.convert_to_numpy(known_crossentropy(labels, p.astype(np.float32)))
    usual = keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(labels, p.astype("f4")))
    np.testing.assert_allclose(whole, usual, rtol=1e-5)
