"""Published models: what is listed, what is loaded, and what is said where it can't be."""

import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tiny import tiny

from sfc_lib import load_dataset, load_published
from sfc_lib.errors import UserError
from sfc_lib.files import checkout, runs_dir
from sfc_lib.runs import published
from sfc_lib.runs.evaluation import predict
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.sizes import Experiment, Size
from sfc_lib.runs.store import verify_record

STORE = checkout() / "data" / "runs"


def test_a_loaded_model_scores_what_its_record_says():
    found = load_published("simulated_tf", "symm")
    data = load_dataset("simulated_tf", **found.record.spec.dataset_options)
    assert (found.tasks, found.length) == (tuple(data.task_names), data.length)
    predictions = predict(found.model, data.valid.codes)
    scores = [roc_auc_score(*pair) for pair in zip(data.valid.labels.T, predictions.T, strict=True)]
    assert np.mean(scores) == pytest.approx(found.record.result["valid"]["auroc"], abs=1e-5)


def test_best_is_that_of_all_published_seeds():
    found = load_published("spi1", "sep")
    others = [verify_record(STORE / s.id) for s in published._specs("spi1", "sep")[1]]
    assert found.record.result["valid"]["auroc"] == max(r.result["valid"]["auroc"] for r in others)
    assert (
        load_published("spi1", "sep", found.record.spec.seed).record.folder == found.record.folder
    )


def test_the_list_says_what_can_be_loaded():
    table = published.published_models()
    assert not table.duplicated(["experiment", "model"]).any()
    assert {"simulated_tf", "ctcf", "spi1", "max"} <= set(table[table.loadable].experiment)
    large = table[~table.loadable].iloc[0]
    with pytest.raises(UserError, match="was published without its model; so was every other"):
        load_published(large.experiment, large.model)
    assert table[table.loadable].MB.between(0.1, 4).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense", "sep"), r"experiment must be one of \['accessibility_.*got 'nonsense'"),
        (("ctcf", "cr_100"), r"model of ctcf must be one of \['std', .*\], got 'cr_100'"),
        (("ctcf", "sep", 99), r'seed must be "best" or one of \[0, 1, .*\], got 99'),
        (("ctcf", "sep", "worst"), r"seed .* got 'worst'"),
        (("ctcf", "sep", 0.5), r"seed .* got 0\.5"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_answered_with_what_there_is(arguments, message):
    with pytest.raises(UserError, match=f"load_published: {message}"):
        load_published(*arguments)


def test_without_a_clone_it_says_where_the_records_are(monkeypatch):
    monkeypatch.setattr(published, "published_dir", lambda: None)
    with pytest.raises(UserError, match=r"not a clone of\. Set SFC_PUBLISHED_DIR to"):
        load_published("ctcf", "sep")


def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "gone"))
    for look in (published.published_models, lambda: load_published("ctcf", "sep")):
        with pytest.raises(UserError, match=f"there is no folder {re.escape(str(tmp_path))}.gone"):
            look()


# In a store of our own, of two seeds.


@pytest.fixture
def store(finished, tmp_path, monkeypatch):
    """Two published seeds of one network: their specs, and the number of the better one."""
    specs = tuple(tiny(seed=seed) for seed in (0, 1))
    size = Size("made", "", 2, {"toy": Experiment("toy", "Toy", {"sep": specs})})
    monkeypatch.setattr(published, "SIZES", ("made",))
    monkeypatch.setattr(published, "load_size", lambda name: size)
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    records = [verify_record(finished / spec.id) for spec in specs]
    publish(records, tmp_path / "published")
    return specs, int(np.argmax([r.result["valid"]["auroc"] for r in records]))


def test_a_seed_without_its_model_says_what_trains_it(store):
    _, best = store
    assert load_published("toy", "sep").record.spec.seed == best
    other = 1 - best
    command = f"sfc sweep made --only toy --only sep --seeds {other + 1} --no-published"
    with pytest.raises(UserError, match=rf"seed {best} has it\. `{command}`"):
        load_published("toy", "sep", other)


def test_a_seed_that_was_trained_anew_is_found_in_the_own_store(store, finished):
    specs, best = store
    spec = specs[1 - best]
    shutil.copytree(finished / spec.id, runs_dir() / spec.id)
    found = load_published("toy", "sep", spec.seed)
    assert found.record.folder == runs_dir() / spec.id
    assert found.model.output_shape == (None, len(found.tasks))


def test_a_changed_model_is_not_loaded(store, tmp_path):
    specs, best = store
    path = tmp_path / "published" / specs[best].id / "model.keras"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match="Damaged run record"),
        pytest.raises(UserError, match=f"seed must be .*{[1 - best]}".replace("[", r"\[")),
    ):
        load_published("toy", "sep", best)


def test_nothing_published_says_what_trains_it(store, tmp_path):
    shutil.rmtree(tmp_path / "published")
    (tmp_path / "published").mkdir()
    with pytest.raises(
        UserError, match=r"no run of toy sep is published\. `sfc sweep made --only toy"
    ):
        load_published("toy", "sep")
