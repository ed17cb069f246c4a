"""Models on disk: the same bytes for the same model, and every network comes back."""

import itertools
import shutil

import keras
import numpy as np
import pytest

from sfc_lib.files import sha256_file
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.curvature import CurvatureConstraint
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.model_file import ModelError, load_model, save_model
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import RecordError, verify
from sfc_lib.runs.training import train

SIZES = {
    "simulated_tf": {"length": 120, "tasks": 3, "width": 0.05},
    "chip_seq": {"length": 200, "tasks": 1, "width": 0.05},
    "basset": {"length": 600, "tasks": 4, "width": 0.01},
}
NETWORKS = list(itertools.product(SIZES, ("std", "sep", "symm")))


def network(architecture="simulated_tf", variant="symm", **options):
    keras.utils.set_random_seed(0)
    if variant != "std":
        options = {"units": 2, "curvature": 0.1, **options}
    model = build_model(architecture, variant, **SIZES[architecture], **options)
    model.compile("adam", "binary_crossentropy")
    return model


def weights(model):
    return [np.asarray(w, dtype=np.float32) for w in model.get_weights()]


@pytest.mark.parametrize(("architecture", "variant"), NETWORKS)
def test_every_network_comes_back(architecture, variant, tmp_path):
    model = network(architecture, variant)
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", sha256_file(tmp_path / "model.keras"))
    assert all((a == b).all() for a, b in zip(weights(model), weights(loaded), strict=True))
    codes = np.random.default_rng(0).integers(0, 5, (3, SIZES[architecture]["length"]))
    codes = codes.astype(np.uint8)
    np.testing.assert_array_equal(model(codes), loaded(codes))
    assert not loaded.compiled


@pytest.mark.parametrize("precision", ["bfloat16", "mixed_bfloat16"])
def test_other_precisions_come_back(precision, tmp_path):
    model = network(precision=precision)
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert all((a == b).all() for a, b in zip(weights(model), weights(loaded), strict=True))
    assert loaded.get_layer("sfc").dtype_policy.name == precision


def test_constraint_comes_back(tmp_path):
    inputs = keras.Input((6, 4))
    layer = SeparableFC(2, positional_constraint=CurvatureConstraint(0.5))
    save_model(keras.Model(inputs, layer(inputs)), tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].positional_constraint.limit == 0.5


@pytest.mark.parametrize("variant", ["std", "symm"])
def test_same_model_is_saved_as_the_same_bytes(variant, tmp_path):
    model = network(variant=variant)
    for name in "ab":
        save_model(model, tmp_path / f"{name}.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    save_model(load_model(tmp_path / "a.keras"), tmp_path / "c.keras")
    again = load_model(tmp_path / "c.keras")
    assert all((a == b).all() for a, b in zip(weights(model), weights(again), strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras", "c.keras"]


def test_failed_save_keeps_the_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")

    def full(self, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.keras'"):
        save_model(network(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_hash_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    save_model(network(), path)
    with pytest.raises(
        ModelError, match=rf"{path}: expected sha256 {'0' * 64}, got [0-9a-f]{{64}}"
    ):
        load_model(path, "0" * 64)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.keras", b"", "expected a whole .keras model, got BadZipFile"),
        ("model.keras", b"PK\x03\x04", "expected a whole .keras model, got BadZipFile"),
        ("model.keras", None, "expected a whole .keras model, got FileNotFoundError"),
        ("model.h5", b"\x89HDF\r\n\x1a\n", "expected a whole .keras model, got BadZipFile"),
    ],
)
def test_what_is_no_model_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path / name)


def test_other_suffix_is_refused(tmp_path):
    save_model(network(), tmp_path / "model.keras")
    shutil.copy(tmp_path / "model.keras", tmp_path / "model.zip")
    with pytest.raises(ModelError, match=r"model\.zip: expected a \.keras file of"):
        load_model(tmp_path / "model.zip")


def test_published_record_gives_its_model_or_says_that_it_has_none(tmp_path):
    spec = RunSpec(
        backend=keras.backend.backend(), dataset_options={"examples": 80}, width=0.05, epochs=1
    )
    train(spec, tmp_path / "runs" / spec.id)
    record = verify(tmp_path / "runs" / spec.id)
    (folder,) = publish([record], tmp_path / "published")
    published = verify(folder)
    kernel = keras.ops.convert_to_numpy(published.model().get_layer("sfc").positional_weights())
    np.testing.assert_array_equal(kernel, published.positional_weights())
    (folder / "model.keras").write_bytes(b"")
    with pytest.raises(ModelError, match="expected sha256"):
        published.model()
    without = {**record.result, "status": "diverged"}  # never the best seed
    (folder,) = publish([type(record)(spec, record.folder, without)], tmp_path / "slim")
    with pytest.raises(RecordError, match="published without its model"):
        verify(folder).model()
