"""Importance of runs: the sequences it is measured on, and the profile that a record carries."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import record

from sfc_lib.datasets import simulated_tf
from sfc_lib.datasets.base import Dataset, Split, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.files import checkout
from sfc_lib.genomics.motifs import RESOURCES, read_meme
from sfc_lib.nn.gradients import importance_profiles
from sfc_lib.runs import evaluation as of_runs
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import IMPORTANCE, MODEL, find

PROFILE = (1 + 0.1 * np.sin(np.arange(200) / 9)).astype(np.float32)
VALUES = np.stack([[PROFILE, 0 * PROFILE]] * 2)


# The sequences


def test_new_sequences_all_hold_tal1_and_none_is_of_the_data():
    spec = RunSpec()
    codes = of_runs.importance_sequences(spec)
    assert codes.shape == (100_000, 200)
    classes = np.resize([2, 3], 100_000)
    again = simulated_tf.simulate(classes, np.random.default_rng(np.random.SeedSequence((0, 3))))
    assert (again.codes == codes).all()
    assert again.labels[:, 2].all()
    assert again.labels[:, 0].mean() == 0.5
    data = load_dataset("simulated_tf")
    known = {row.tobytes() for split in (data.train, data.valid, data.test) for row in split.codes}
    assert known.isdisjoint(row.tobytes() for row in codes)


def test_their_number_goes_with_the_data_but_not_with_seed_or_model():
    small = RunSpec(dataset_options={"examples": 80})
    other = RunSpec(dataset_options={"examples": 80}, variant="std", seed=7)
    assert of_runs.importance_sequences(small).shape == (1000, 200)
    assert (of_runs.importance_sequences(small) == of_runs.importance_sequences(other)).all()


def test_region_is_where_every_base_of_the_widest_motif_can_lie():
    motifs = read_meme(RESOURCES / "simulated_tf.meme")
    widest = max(motifs[name].width for name in simulated_tf.MOTIFS)
    assert of_runs.target(RunSpec(), 200).region == (widest - 1, 200 - widest + 1)
    assert simulated_tf.SimulatedTF.task_names[of_runs.target(RunSpec(), 200).column] == "TAL1"


def regions(labels, tasks=("HSC", "MPP")):
    """A spec of a made-up hematopoiesis set of which the first half is validation, then test."""
    codes = np.arange(len(labels), dtype=np.uint16)[:, None].repeat(6, axis=1)
    labels, half = np.asarray(labels, dtype=np.uint8), len(labels) // 2
    valid, test = (Split(codes[part], labels[part]) for part in (slice(half), slice(half, None)))
    train = Split(codes + 1000, np.ones_like(labels))
    made = Dataset("hematopoiesis", {}, "-", tasks, {}, train, valid, test)
    recipe = SimpleNamespace(task_names=tasks)
    return SimpleNamespace(dataset="hematopoiesis", recipe=recipe, load_dataset=lambda: made)


def test_other_data_give_the_held_out_regions_positive_for_the_task_of_the_figure():
    spec = regions([[1, 0], [0, 1], [1, 1], [0, 0]])
    assert of_runs.target(spec, 6) == of_runs.Target("MPP", 1, (0, 6))
    assert of_runs.importance_sequences(spec)[:, 0].tolist() == [1, 2]


def test_at_most_ten_thousand_regions_drawn_once_and_in_order():
    spec = regions(np.ones((12_000, 2)))
    rows = of_runs.importance_sequences(spec)[:, 0]
    assert len(rows) == len(set(rows.tolist())) == 10_000
    assert (np.diff(rows.astype(int)) > 0).all()
    assert (of_runs.importance_sequences(spec)[:, 0] == rows).all()


def test_too_few_positives_and_a_set_without_the_task_are_named():
    with pytest.raises(
        ValueError, match=r"two or more held-out .* positive for MPP, got 1 among 2"
    ):
        of_runs.importance_sequences(regions([[1, 0], [1, 1]]))
    with pytest.raises(ValueError, match=r"expected one of hematopoiesis, \['a', 'b'\], got 'MPP'"):
        of_runs.target(regions([[1, 0]], tasks=("a", "b")), 6)


# What a record carries


def test_profile_of_a_record_is_read_back(tmp_path):
    carried = record(tmp_path, RunSpec(), 0.9, importance=PROFILE)
    assert (carried.importance() == VALUES).all()
    with pytest.raises(UserError, match=r"this record has no importance\.npy"):
        record(tmp_path, RunSpec(seed=1), 0.9).importance()


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 200), np.float32), np.zeros((2, 2, 9)), np.array("x")]
)
def test_another_array_is_refused_with_its_file(bad, tmp_path):
    with pytest.raises(UserError, match=r"importance\.npy: expected a float32 array of 3 dim"):
        record(tmp_path, RunSpec(), 0.9, importance=bad).importance()


def test_a_changed_or_broken_file_is_refused(tmp_path):
    carried = record(tmp_path, RunSpec(), 0.9, importance=PROFILE)
    (carried.folder / IMPORTANCE).write_bytes(b"no array")
    with pytest.raises(UserError, match="changed since"):
        carried.importance()


def test_models_are_measured_once_where_no_record_carries_a_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(of_runs, "NEW_SEQUENCES", (400, 8000))
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "data"))
    specs = [RunSpec(seed=seed) for seed in range(10)]
    found = [find(spec, checkout() / "data" / "runs") for spec in specs]
    best = next(record for record in found if MODEL in record.result["files"])
    codes = of_runs.importance_sequences(best.spec)
    direct = [importance_profiles(best.model(), codes, [2], centred=c)[0] for c in (False, True)]
    files = {name: h for name, h in best.result["files"].items() if name != IMPORTANCE}
    bare = dataclasses.replace(best, result={**best.result, "files": files})
    np.testing.assert_allclose(of_runs.importance_of(bare).values[:, 0], direct, rtol=1e-4)
    monkeypatch.setattr(of_runs, "measure", None)  # what is kept is not measured again
    again = of_runs.importance_of(bare)
    np.testing.assert_allclose(again.values[:, 0], direct, rtol=1e-4)
    assert again.sequences == len(codes)
    (kept,) = (tmp_path / "data" / "importance").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    with pytest.raises(TypeError):  # a damaged one is
        of_runs.importance_of(bare)


def test_another_versions_profile_is_not_taken_for_this_ones(tmp_path):
    carried = record(tmp_path, RunSpec(), 0.9, importance=PROFILE)
    assert (of_runs.importance_of(carried).values == VALUES).all()
    old = {**carried.result, of_runs.MEASURED: {"version": 1, "sequences": 100_000}}
    assert of_runs.importance_of(dataclasses.replace(carried, result=old)) is None


@pytest.mark.parametrize("count", [2, 3, 400])
def test_noise_is_half_the_difference_of_two_halves_of_separate_blocks(count, monkeypatch):
    from sfc_lib.nn import gradients

    codes = np.arange(count, dtype=np.uint16)[:, None].repeat(6, axis=1)
    halves = []

    def forms(model, part, tasks, progress):
        halves.append(part[:, 0].tolist())
        return np.stack([[part.mean(axis=0)], [-part.mean(axis=0)]])

    monkeypatch.setattr(of_runs, "importance_sequences", lambda spec, task, most: codes)
    monkeypatch.setattr(
        of_runs, "target", lambda spec, length, task: of_runs.Target("a", 0, (0, 6))
    )
    monkeypatch.setattr(gradients, "importance_forms", forms)
    found = of_runs.measure(None, RunSpec())
    one, two = halves
    assert sorted(one + two) == list(range(count))
    assert abs(len(one) - len(two)) <= 1
    assert found.sequences == count
    (mean, noise), (centred, _) = found.values[:, :, 0]
    assert mean == -centred == pytest.approx((count - 1) / 2)
    assert noise == pytest.approx((np.mean(one) - np.mean(two)) / 2)
    breaks = np.flatnonzero(np.diff(one) > 1)
    assert len(breaks) == (9 if count == 400 else len(one) - 1 if count == 2 else len(breaks))
