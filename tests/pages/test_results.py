"""Records become data frames, each is read once, and reading never trains."""

import dataclasses
import shutil

import numpy as np
import pytest
from made_up import by_curvature, record, results, scored, together, with_curvature

from sfc_lib.errors import UserError
from sfc_lib.pages import claims
from sfc_lib.pages import results as pages
from sfc_lib.pages.results import (
    by_experiment,
    cpu_minutes,
    load_results,
    provenance,
    settings,
    whole_networks,
)
from sfc_lib.runs import evaluation, pool
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import find

NAN = float("nan")


@pytest.mark.parametrize(
    ("control", "counts"), [(False, {"std": 1, "sep": 1}), (True, {"std": 3, "sep": 1})]
)
def test_of_what_is_finished_only_controls_may_differ_in_seeds(
    tmp_path, monkeypatch, control, counts
):
    made = scored(tmp_path, {"std": [0.8, 0.9, 0.7], "sep": [0.7, 0.9, 0.9], "none": [0.5] * 3})
    (name, experiment), *_ = made.size.experiments.items()
    found = {r.spec: r for r in made.records}
    wanted = dataclasses.replace(experiment, control=control)
    if not control:
        wanted = dataclasses.replace(wanted, models={m: wanted.models[m] for m in ("std", "sep")})
    gone = {experiment.models["sep"][1], *experiment.models["none"]}
    size = dataclasses.replace(made.size, experiments={name: wanted})
    monkeypatch.setattr(pages, "load_size", lambda *_: size)
    monkeypatch.setattr(pages, "look_up", lambda spec, _: None if spec in gone else found[spec])
    runs = pages.load_finished("standard").runs
    assert runs.groupby("model").size().to_dict() == counts
    assert (runs.groupby("model").seed.max() + 1).to_dict() == counts  # the first ones


def test_runs_say_what_was_trained_and_how_it_went(tmp_path):
    made = scored(tmp_path, {"std": [0.8, NAN, 0.9], "sep": [0.7, 0.9, 0.9]}, width=0.125)
    runs = made.runs
    assert runs[["model", "seed"]].apply(tuple, axis=1).tolist() == [
        *[("std", seed) for seed in range(3)],
        *[("sep", seed) for seed in range(3)],
    ]
    assert runs.diverged.tolist() == [False, True, False, False, False, False]
    assert runs.auroc.isna().tolist() == runs.diverged.tolist()
    assert runs.best_seed.tolist() == [2, 2, 2, 1, 1, 1], "of equals, the first"
    assert runs.seed[runs.best].tolist() == [2, 1]
    assert set(runs["data"]) == {"Made up, 0.125 of the filters"}
    assert set(runs.about) == {"3 seeds, diverged: 1, 0.125 of the filters"}
    assert set(runs.seeds) == {3}
    assert runs.id.tolist() == [r.spec.id for r in made.records]
    assert (runs.most_epochs == 100).all()
    assert (runs.epochs == 1).all()
    assert not runs.published.any()


def test_a_model_whose_runs_all_diverged_has_no_best_seed(tmp_path):
    runs = scored(tmp_path, {"std": [NAN], "sep": [0.9]}).runs
    assert runs.best.tolist() == [False, True]
    assert runs.best_seed.isna().tolist() == [True, False]
    assert runs.about.iat[0] == "1 seed, diverged: 1"


def test_epochs_are_those_of_the_history(tmp_path):
    made = scored(tmp_path, {"std": [0.9]}, {"std": [[0.5, 0.9, 0.8]]})
    assert made.epochs.to_dict("records") == [
        {"experiment": "made_up", "model": "std", "seed": 0}
        | {"epoch": epoch, "loss": 1 / epoch, "auroc": auroc, "auprc": auroc}
        for epoch, auroc in enumerate([0.5, 0.9, 0.8], 1)
    ]


def test_weights_are_those_of_records_that_hold_them(tmp_path):
    groups = by_curvature(tmp_path, strengths=(0, 1), seeds=2)
    groups["std"] = [record(tmp_path, RunSpec(variant="std"))]
    made = results(groups)
    assert made.weights.model.tolist() == ["cr_0", "cr_0", "cr_1", "cr_1"]
    for weights, item in zip(made.weights.W_pos, made.records, strict=False):
        assert (weights == item.positional_weights()).all()


def test_profiles_come_with_task_region_and_sequences(tmp_path):
    made = results({"sep": [record(tmp_path, RunSpec(), importance=np.ones(200, np.float32))]})
    part = together(made, scored(tmp_path, {"std": [0.9]}))
    (run,) = part.profiles(["made_up"]).itertuples()
    assert (run.model, run.task, run.begin, run.end) == ("sep", "TAL1", 15, 185)
    assert run.sequences == 100_000
    assert (run.profile == 1).all()
    assert part.profiles(["made_up_1"]).empty


def test_a_record_is_read_once(tmp_path):
    made = with_curvature(tmp_path, seeds=5)
    first = claims.grade(made)
    epochs = made.epochs
    shutil.rmtree(tmp_path)
    again = dataclasses.replace(made)  # as loaded anew in the same process
    assert claims.grade(again).equals(first)
    assert again.epochs.equals(epochs)


def test_a_record_that_changed_is_read_again(tmp_path):
    for curve in ([0.5, 0.9], [0.6, 0.8]):
        made = scored(tmp_path, {"std": [max(curve)]}, {"std": [curve]})
        assert made.epochs.auroc.tolist() == curve


def test_reading_names_what_is_missing_and_what_trains_it(monkeypatch, tmp_path):
    def never(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(pool, "sweep", never)
    with pytest.raises(UserError) as error:
        load_results("quick", seeds=2, published=False, jobs=0)
    assert str(error.value) == (
        "size quick: 6 of 6 runs have no record: simulated_tf (std 2, sep 2, symm 2). "
        "`sfc sweep quick --seeds 2 --no-published` trains them."
    )
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"have no record: .*`sfc sweep quick` trains them"):
        load_results("quick", jobs=0)


def test_only_the_experiments_that_lack_runs_are_named(monkeypatch, tmp_path):
    size = load_size("standard", 1)
    for spec in size.specs:
        if spec.dataset != "chip_seq":
            source = find(spec, _published())
            shutil.copytree(source.folder, tmp_path / spec.id)
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    with pytest.raises(UserError) as error:
        load_results("standard", 1, jobs=0)
    assert "9 of 27 runs" in str(error.value)
    assert "`sfc sweep standard --only ctcf --only spi1 --only max --seeds 1`" in str(error.value)


def test_outside_a_clone_it_is_said_where_the_published_records_are(monkeypatch):
    monkeypatch.setattr("sfc_lib.pages.results.published_dir", lambda: None)
    monkeypatch.setattr("sfc_lib.runs.store.published_dir", lambda: None)
    with pytest.raises(UserError, match="published ones are in the repository"):
        load_results("quick", jobs=0)


@pytest.mark.parametrize("seeds", [-3, 1.5, True])
def test_bad_seeds_are_refused_with_what_is_expected(seeds):
    with pytest.raises(UserError, match=r"seeds: expected a number of seeds >= 0 \(0: the size"):
        load_results("quick", seeds=seeds)


def test_missing_runs_are_trained_in_their_place(monkeypatch, tmp_path):
    size = load_size("quick", 2)
    trained = []

    def ensure(specs, *, published, jobs):
        trained.extend(specs)
        return [find(spec, _published()) for spec in specs]

    for spec in size.specs[:3]:
        shutil.copytree(_published() / spec.id, tmp_path / spec.id)
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    monkeypatch.setattr("sfc_lib.pages.results.ensure", ensure)
    loaded = load_results("quick", 2)
    assert trained == size.specs[3:]
    assert [r.spec for r in loaded.records] == size.specs
    assert loaded.runs.published.tolist() == [True] * 3 + [False] * 3


def test_settings_are_those_of_the_published_records(published):
    row = settings(published).iloc[0]
    (first, *_) = by_experiment(published.runs)
    assert (row["network"], row["share of the filters"], row["SFC neurons"]) == (
        "simulated_tf",
        "1",
        "648",
    )
    assert (row["seeds"], row["diverged"], row["sequences an epoch"]) == (10, 0, "all")
    seconds = [r.result["cpu_seconds"] for r in published.records[: len(first)]]
    assert row["CPU minutes"] == round(sum(seconds) / 60, 1)
    table = settings(published).set_index("data")
    assert table.loc["Hematopoiesis (stand-in)", "sequences an epoch"] == "20,000"
    assert table.loc["Hematopoiesis (stand-in)", "validated on"] == "4,000"


def test_provenance_names_every_run_and_where_it_comes_from(tmp_path):
    made = scored(tmp_path, {"std": [0.9, NAN], "sep": [0.8, 0.8]})
    found = provenance(made).set_index("item").value
    assert found["runs"] == "4, of which diverged: 1"
    assert found["run ids"] == ", ".join(r.spec.id for r in made.records)
    assert found["versions"] == "python 3.11.7 keras 3.14.0"
    assert found["processor, threads"] == "a processor, 1"
    assert found["data fingerprint"] == "f" * 16
    assert found["trained between"] == "2026-01-02T03:04:05Z and 2026-01-02T03:04:05Z"
    assert found["training, CPU minutes"] == "4"
    assert cpu_minutes(made.runs) == 4


def test_published_runs_and_frames_agree(published):
    assert len(published.runs) == len(published.size.specs)
    assert published.runs.published.all()
    runs, epochs = published.runs, published.epochs
    assert len(epochs) == runs.epochs.sum()
    kept = published.weights.groupby(["experiment", "model"]).size()
    with_layer = runs[(runs.variant != "std") & ~runs.diverged]
    assert kept.equals(with_layer.groupby(["experiment", "model"]).size())
    assert set(published.profiles(["simulated_tf"]).task) == {evaluation.TASKS["simulated_tf"]}


def _published():
    from sfc_lib.files import checkout

    return checkout() / "data" / "runs"


# The whole networks


@pytest.fixture
def whole_records(tmp_path, monkeypatch):
    """Function that makes records of size `full` by (experiment, model, backend): so many seeds."""

    def make(counts):
        made = {}
        for (experiment, model, backend), count in counts.items():
            specs = load_size("full").experiments[experiment].models[model][:count]
            for spec in (dataclasses.replace(spec, backend=backend) for spec in specs):
                made[spec] = record(tmp_path, spec)
        monkeypatch.setattr("sfc_lib.pages.results.look_up", lambda spec, _: made.get(spec))

    return make


def narrowed(tmp_path, name="hematopoiesis"):
    specs = load_size("standard", 1).experiments[name].models
    groups = {model: [record(tmp_path, spec) for spec in runs] for model, runs in specs.items()}
    return results(groups, "Hematopoiesis", name)


def test_whole_networks_are_those_of_the_backend_with_most_records(tmp_path, whole_records):
    key = "hematopoiesis"
    counts = {(key, "std", "jax"): 3, (key, "sep", "jax"): 2, (key, "std", "tensorflow"): 1}
    whole_records({**counts, (key, "sep", "tensorflow"): 1, ("ctcf", "std", "jax"): 3})
    found = whole_networks(narrowed(tmp_path))
    assert list(found.size.experiments) == [key]  # the networks on CTCF are whole everywhere
    assert found.runs.groupby("model").seed.apply(list).to_dict() == {"std": [0, 1], "sep": [0, 1]}
    assert set(found.runs.backend) == {"jax"}
    assert set(found.runs.narrowed) == {""}


def test_without_two_whole_models_there_are_none(tmp_path, whole_records):
    whole_records({("hematopoiesis", "std", "jax"): 3})
    assert whole_networks(narrowed(tmp_path)) is None
    whole_records({("ctcf", "std", "jax"): 3, ("ctcf", "sep", "jax"): 3})
    assert whole_networks(narrowed(tmp_path)) is None


# What takes the place of another experiment


def newer(tmp_path, monkeypatch, seeds):
    """Results of ctcf and spi1, six seeds, with those of `ctcf_converged`, of so many seeds."""
    old = [
        replaced_by(tmp_path, name, tf, 6, epochs=12)
        for name, tf in (("ctcf", "CTCF"), ("spi1", "SPI1"))
    ]
    new = replaced_by(tmp_path, "ctcf_converged", "CTCF", seeds, replaces="ctcf")
    asked = pages.together(old)
    size = dataclasses.replace(asked.size, name="standard", evidence=("converged",))
    monkeypatch.setattr(pages, "load_finished", lambda name, seeds, published: new)
    return dataclasses.replace(asked, size=size)


def replaced_by(tmp_path, name, tf, seeds, replaces="", **spec):
    own = {"dataset": "chip_seq", "architecture": "chip_seq", "dataset_options": {"tf": tf}}
    found = scored(tmp_path / name, {m: [0.9] * seeds for m in ("std", "sep")}, **own, **spec)
    (experiment,) = found.size.experiments.values()
    experiment = dataclasses.replace(experiment, name=name, replaces=replaces)
    return dataclasses.replace(
        found, size=dataclasses.replace(found.size, experiments={name: experiment})
    )


def test_an_experiment_is_judged_and_drawn_in_the_place_of_what_it_replaces(tmp_path, monkeypatch):
    asked = newer(tmp_path, monkeypatch, seeds=6)
    judged = pages.with_evidence(asked)
    assert list(judged.size.experiments) == ["ctcf_converged", "spi1"], "in the old one's place"
    drawn = pages.drawn(judged)
    assert list(drawn.size.experiments) == ["ctcf_converged", "spi1"]
    assert set(drawn.runs.experiment) == {"ctcf_converged", "spi1"}
    assert [r.spec for r in drawn.records] == drawn.size.specs
    everything = pages.with_evidence(asked, replaced=True)
    assert set(everything.size.experiments) == {"ctcf", "spi1", "ctcf_converged"}


def test_with_too_few_seeds_it_is_only_more_evidence(tmp_path, monkeypatch):
    judged = pages.with_evidence(newer(tmp_path, monkeypatch, seeds=5))
    assert set(judged.size.experiments) == {"ctcf", "spi1", "ctcf_converged"}
    assert list(pages.drawn(judged).size.experiments) == ["ctcf", "spi1"]


def test_what_is_replaced_is_an_experiment_of_standard_with_the_same_models():
    old = load_size("standard").experiments
    for experiment in load_size("converged").experiments.values():
        assert list(old[experiment.replaces].models) == list(experiment.models)
