"""Models on disk: every network comes back, and a file that somebody made up is refused.

The attacker of these tests wrote the whole record: hashes and seal always hold. A module
`canary` can be imported, and would write a file if it were: nothing may run.
"""

import contextlib
import io
import itertools
import json
import os
import pickle
import re
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from tiny import TINY as SPEC

from sfc_lib.errors import UserError
from sfc_lib.files import seal, sha256_file, write_json
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.curvature import Curvature, CurvatureConstraint
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.runs import training
from sfc_lib.runs.housekeeping import publish
from sfc_lib.runs.model_file import load_model, save_model
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import Record, verify_record
from sfc_lib.runs.training import read_checkpoint, write_checkpoint

SIZES = {
    "simulated_tf": {"length": 120, "tasks": 3, "width": 0.05},
    "chip_seq": {"length": 200, "tasks": 1, "width": 0.05},
    "basset": {"length": 600, "tasks": 4, "width": 0.01},
    "compact": {"length": 110, "tasks": 2, "width": 0.1, "both_strands": True},
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
    with pytest.raises(UserError, match=rf"{path}: expected sha256 {'0' * 64}, got [0-9a-f]{{64}}"):
        load_model(path, "0" * 64)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.keras", b"", "expected a whole .keras model, got BadZipFile"),
        ("model.keras", b"PK\x03\x04", "expected a whole .keras model, got BadZipFile"),
        ("model.keras", None, "expected a whole .keras model, got FileNotFoundError"),
        ("model.h5", b"\x89HDF\r\n\x1a\n", r"expected a \.keras file\. Read this one with Keras"),
    ],
)
def test_what_is_no_model_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / name)


def test_other_suffix_is_refused(tmp_path):
    save_model(network(), tmp_path / "model.keras")
    shutil.copy(tmp_path / "model.keras", tmp_path / "model.zip")
    with pytest.raises(UserError, match=r"model\.zip: expected a \.keras file of"):
        load_model(tmp_path / "model.zip")


def test_published_record_gives_its_model_or_says_that_it_has_none(finished, tmp_path):
    record = verify_record(finished / SPEC.id)
    (folder,) = publish([record], tmp_path / "published")
    published = verify_record(folder)
    kernel = keras.ops.convert_to_numpy(published.model().get_layer("sfc").positional_weights())
    np.testing.assert_array_equal(kernel, published.positional_weights())
    (folder / "model.keras").write_bytes(b"")
    with pytest.raises(UserError, match="expected sha256"):
        published.model()
    without = {**record.result, "status": "diverged"}  # never the best seed
    (folder,) = publish([Record(SPEC, record.folder, without)], tmp_path / "slim")
    with pytest.raises(UserError, match="published without its model"):
        verify_record(folder).model()


OLD_HOMES = ("sfc_lib.nn.regularizers", "sfc_lib.nn.constraints")


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("Curvature", "sfc_lib.nn.regularizers"),
        ("CurvatureConstraint", "sfc_lib.nn.constraints"),
    ],
)
def test_models_saved_when_classes_had_other_homes_come_back(name, home, tmp_path):
    layer = SeparableFC(
        2, positional_regularizer=Curvature(0.1), positional_constraint=CurvatureConstraint(0.5)
    )
    inputs = keras.Input((6, 4))
    now, then = tmp_path / "now.keras", tmp_path / "then.keras"
    save_model(keras.Model(inputs, layer(inputs)), now)
    old = re.compile(rf'"sfc_lib\.nn\.curvature", "class_name": "{name}"')
    with zipfile.ZipFile(then, "w") as file:
        for member, content in members(now).items():
            text = old.sub(f'"{home}", "class_name": "{name}"', content.decode("latin-1"))
            assert (member == "config.json") == (text != content.decode("latin-1"))
            file.writestr(member, text.encode("latin-1"))
    loaded = load_model(then)
    assert loaded.layers[-1].positional_regularizer.strength == 0.1
    assert loaded.layers[-1].positional_constraint.limit == 0.5


# Made up


@pytest.fixture
def record(finished, tmp_path):
    """A copy alone in a folder, whose other content no attack may change."""
    return shutil.copytree(finished / SPEC.id, tmp_path / "store" / SPEC.id)


@pytest.fixture
def sprung(tmp_path, monkeypatch):
    """File that is there once the canary has been imported, called or unpickled."""
    file = tmp_path / "sprung"
    (tmp_path / "modules").mkdir()
    code = f"open({str(file)!r}, 'w').close()"
    code += f"\ndef system(*_, **__):\n    open({str(file)!r}, 'w').close()\n"
    (tmp_path / "modules" / "canary.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield file
    sys.modules.pop("canary", None)


@pytest.fixture
def untouched(record, sprung):
    """Context in which nothing may run, and nothing outside the record be written."""

    @contextlib.contextmanager
    def check():
        outside = sorted(record.parent.parent.rglob("*"))
        inside = {path.name: path.read_bytes() for path in record.iterdir() if path.is_file()}
        yield
        assert not sprung.exists()
        assert sorted(record.parent.parent.rglob("*")) == outside
        assert {p.name: p.read_bytes() for p in record.iterdir() if p.is_file()} == inside

    return check


def sealed(folder, **changes):
    """Make hashes and seal right again."""
    result = json.loads((folder / "result.json").read_text())
    files = {name: sha256_file(folder / name) for name in result["files"]}
    write_json(folder / "result.json", seal({**result, "files": files, **changes}))


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, contents, compression=zipfile.ZIP_STORED):
    """Write (name, content) pairs as the archive."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of members of one name
        for name, content in contents:
            archive.writestr(name, content)


# config.json


def node(module, name, alias=None, **config):
    return {"module": module, "class_name": name, "registered_name": alias, "config": config}


def first(config, name):
    """The first layer of a class in the network."""
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == name)


def replace_layer(new):
    def change(config):
        layer = first(config, "ReLU")
        layer.update({**new, "config": {**layer["config"], **new["config"]}})

    return change


def set_argument(layer, argument, value):
    return lambda config: first(config, layer)["config"].update({argument: value})


def make_legacy_lambda(config):
    layer = first(config, "ReLU")
    for key in ("module", "registered_name"):
        layer.pop(key)
    layer["class_name"] = "Lambda"
    layer["config"]["function"] = ["code", None, None]


LAMBDA = node("builtins", "__lambda__", value="4wEAAAA=")
CONFIGS = {
    "lambda layer": replace_layer(node("keras.layers", "Lambda", function=LAMBDA)),
    "lambda layer, old format": make_legacy_lambda,
    "lambda as activation": set_argument("Dense", "activation", LAMBDA),
    "system of os": replace_layer(node("os", "system", command="true")),
    "system of a module": replace_layer(node("canary", "system")),
    "system registered as our layer": replace_layer(
        node("canary", "system", "sfc_lib>SeparableFC")
    ),
    "eval of builtins": replace_layer(node("builtins", "eval", source="1")),
    "Popen of subprocess": replace_layer(node("subprocess", "Popen", args=["true"])),
    "another class registered": replace_layer(node("keras.layers", "ReLU", "canary>system")),
    "class known only by its registration": replace_layer(node(None, "system", "canary>system")),
    "function of Keras": replace_layer(node("keras.utils", "get_file", origin="file:///etc/hosts")),
    "function of Keras' inside": replace_layer(node("keras.src.utils.file_utils", "makedirs")),
    "function of this library": replace_layer(node("sfc_lib.files", "remove", path=".")),
    "layer that reads a file": replace_layer(
        node("keras.layers", "StringLookup", vocabulary="/etc/hosts")
    ),
    "layer that loads a model": replace_layer(node("keras.layers", "TFSMLayer", filepath="/tmp")),
    "function as activation": set_argument(
        "Dense", "activation", {"module": "canary", "class_name": "function", "config": "system"}
    ),
    "initializer": set_argument("Dense", "kernel_initializer", node("canary", "system")),
    "regularizer": set_argument("Conv1D", "kernel_regularizer", node("canary", "system")),
    "constraint": set_argument("Conv1D", "kernel_constraint", node("canary", "system")),
    "dtype": set_argument("Dense", "dtype", node("canary", "system")),
    "inside a list": set_argument("SeparableFC", "positional_regularizer", [[node("os", "x")]]),
    "optimizer": lambda c: c["compile_config"].update(optimizer=node("canary", "system")),
    "module that is no text": replace_layer(node(["keras.layers"], "ReLU")),
}


def reconfigured(record, change):
    """Seal a record anew with a changed config in its network."""
    path = record / "model.keras"
    content = members(path)
    config = json.loads(content["config.json"])
    change(config)
    rewritten(path, {**content, "config.json": json.dumps(config)}.items())
    sealed(record)


@pytest.mark.parametrize("change", CONFIGS.values(), ids=CONFIGS)
def test_foreign_class_in_the_config_is_refused(change, record, untouched):
    reconfigured(record, change)
    with untouched(), pytest.raises(UserError, match="expected only classes that this library"):
        verify_record(record).model()


def test_a_regression_of_an_earlier_version_is_told_by_name(record, untouched):
    old = {**node("sfc_lib.nn.layers", "KmerRegression"), "config": {"k": 6, "half": 3}}
    reconfigured(record, replace_layer(old))
    with untouched(), pytest.raises(UserError, match="saved by an earlier sfc_lib, whose regress"):
        verify_record(record).model()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "RecursionError"),
        ("[" * 100_000 + "]" * 100_000, "RecursionError"),
        ('{"a": "' + "x" * (1 << 20) + '"}', r"config\.json of at most 1048576 bytes"),
        ("{", "JSONDecodeError"),
        ("3", "expected a whole .keras model"),
        ("{}", "expected a whole .keras model"),
        ('{"module": "keras.layers", "class_name": "Dense", "config": {}}', "expected a whole"),
    ],
    ids=["deep objects", "deep lists", "long", "half", "number", "empty", "no network"],
)
def test_config_that_is_none_is_refused(text, message, record, untouched):
    path = record / "model.keras"
    rewritten(path, {**members(path), "config.json": text}.items())
    sealed(record)
    with untouched(), pytest.raises(UserError, match=message):
        verify_record(record).model()


@pytest.mark.parametrize(
    "change",
    [
        set_argument("Dense", "units", 10**9),
        set_argument("Conv1D", "filters", 10**9),
        set_argument("SeparableFC", "units", 10**9),
        lambda c: first(c, "InputLayer")["config"].update(batch_shape=[None, 10**7]),
    ],
    ids=["units", "filters", "SFC units", "length"],
)
def test_network_larger_than_its_weights_is_refused(change, record, untouched):
    """Keras makes all weights, then reads the file: 10⁹ units would take the memory first."""
    reconfigured(record, change)
    with untouched(), pytest.raises(UserError, match=r"at most the \d+ weights that|incompatible"):
        verify_record(record).model()


# The archive


def archive(change):
    def attack(path):
        rewritten(path, change(list(members(path).items())))

    return attack


def deflated(path):
    """Seventy megabytes of noughts in a few kilobytes."""
    content = {**members(path), "model.weights.h5": bytes(70_000_000)}
    rewritten(path, content.items(), zipfile.ZIP_DEFLATED)


def only_weights(path):
    path.write_bytes(members(path)["model.weights.h5"])


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


ARCHIVES = {
    "bomb": (deflated, "stored without compression"),
    "member twice": (archive(lambda m: [*m, m[0]]), r"expected a \.keras file of"),
    "member more": (archive(lambda m: [*m, ("assets/x", b"x")]), r"expected a \.keras file of"),
    "member outside": (archive(lambda m: [*m, ("../../x", b"x")]), r"expected a \.keras file of"),
    "member less": (archive(lambda m: m[1:]), r"expected a \.keras file of"),
    "weights pickled": (
        archive(lambda m: [*m[:-1], ("model.weights.npz", m[-1][1])]),
        r"expected a \.keras file of",
    ),
    "h5 renamed": (only_weights, "BadZipFile"),
    "cut": (cut, "BadZipFile"),
}


@pytest.mark.parametrize(("attack", "message"), ARCHIVES.values(), ids=ARCHIVES)
def test_other_archive_is_refused(attack, message, record, untouched):
    attack(record / "model.keras")
    sealed(record)
    with untouched(), pytest.raises(UserError, match=message):
        verify_record(record).model()


# The weights


def external_link(file, secret):
    with h5py.File(secret, "w") as other:
        other["x"] = np.ones(3)
    file["layers/dense/vars/link"] = h5py.ExternalLink(secret, "x")


def soft_link(file, _):
    file["layers/dense/vars/link"] = h5py.SoftLink("/layers")


def cycle(file, _):
    file["layers/dense/again"] = file["layers"]


def external_storage(file, secret):
    secret.write_bytes(bytes(80))
    file.create_dataset("layers/x", (10,), "<f8", external=[(str(secret), 0, 80)])


def virtual(file, secret):
    with h5py.File(secret, "w") as other:
        other["x"] = np.ones(3)
    layout = h5py.VirtualLayout((3,), "<f8")
    layout[:] = h5py.VirtualSource(str(secret), "x", (3,))
    file.create_virtual_dataset("layers/x", layout)


def never_written(file, _):
    """A terabyte that takes no place, to be filled with noughts when read."""
    file.create_dataset("layers/x", (10**12,), "u1")


def compressed(file, _):
    file.create_dataset("layers/x", data=bytes_of(10**6), compression="gzip")


def objects(file, _):
    file.create_dataset("layers/x", data=["text"], dtype=h5py.string_dtype())


def bytes_of(size):
    return np.zeros(size, dtype=np.uint8)


WEIGHTS = {
    "external link": (external_link, "got a link at link"),
    "soft link": (soft_link, "got a link at link"),
    "group inside itself": (cycle, "expected every weight once"),
    "external storage": (external_storage, "got outside data: x"),
    "virtual dataset": (virtual, "got outside data: x"),
    "size without content": (never_written, "expected plain numbers, all there"),
    "compressed": (compressed, "expected plain numbers, all there"),
    "objects": (objects, "expected plain numbers, all there"),
}


@pytest.mark.parametrize(("attack", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(
    attack, message, record, untouched, tmp_path
):
    path = record / "model.keras"
    content = members(path)
    buffer = io.BytesIO(content["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        attack(file, tmp_path / "secret")
    rewritten(path, {**content, "model.weights.h5": buffer.getvalue()}.items())
    sealed(record)
    with untouched(), pytest.raises(UserError, match=message):
        verify_record(record).model()


def test_half_of_the_weights_is_refused(record, untouched):
    path = record / "model.keras"
    content = members(path)
    weights = content["model.weights.h5"]
    rewritten(path, {**content, "model.weights.h5": weights[: len(weights) // 2]}.items())
    sealed(record)
    with untouched(), pytest.raises(UserError, match="expected a whole"):
        verify_record(record).model()


def test_loading_changes_nothing_in_keras(tmp_path):
    """Weights are counted by a method put in the place of Keras' own, for a moment."""
    before = keras.layers.Layer.add_weight
    save_model(build_model("simulated_tf", "sep", length=60, tasks=1, width=0.02, units=1),
               tmp_path / "model.keras")  # fmt: skip
    load_model(tmp_path / "model.keras")
    assert keras.layers.Layer.add_weight is before
    rewritten(tmp_path / "bad.keras", [("config.json", "{}")])
    with pytest.raises(UserError):
        load_model(tmp_path / "bad.keras")
    assert keras.layers.Layer.add_weight is before


# The record


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hosts", "..\\secret", "inner/x", "./spec.json", "SPEC.JSON", "x"]
)
def test_record_may_name_only_its_own_four_files(name, record, untouched):
    (record.parent / "secret").write_bytes(b"x")
    with contextlib.suppress(OSError):
        (record / name).parent.mkdir(exist_ok=True)
        (record / name).open("xb").close()
    files = json.loads((record / "result.json").read_text())["files"]
    sha256 = sha256_file(record / name)if (record / name).is_file() else "0" * 64  # fmt: skip
    sealed(record, files={**files, name: sha256})
    with untouched(), pytest.raises(UserError, match="expected a plain file of the record"):
        verify_record(record)


@pytest.mark.parametrize("name", ["result.json", "spec.json", "W_pos.npy"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_refused(name, kind, record, tmp_path, untouched):
    """A pipe would make the reader wait for ever."""
    (record / name).rename(tmp_path / name)
    {
        "link": lambda: (record / name).symlink_to(tmp_path / name),
        "pipe": lambda: os.mkfifo(record / name),
        "folder": lambda: (record / name).mkdir(),
    }[kind]()
    with untouched(), pytest.raises(UserError, match=f"{name}: expected a plain file"):
        verify_record(record)


def test_spec_of_another_run_is_refused(record, untouched):
    spec = RunSpec.from_dict({**SPEC.to_dict(), "seed": 1})
    write_json(record / "spec.json", spec.to_dict())
    sealed(record, id=spec.id)
    with untouched(), pytest.raises(UserError, match=f"expected a folder named {spec.id}"):
        verify_record(record)


@pytest.mark.parametrize("name", ["result.json", "spec.json"])
@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "NaN", "1e999"])
def test_json_that_breaks_readers_is_refused(name, text, record, untouched):
    (record / name).write_text(text)
    if name == "spec.json":
        sealed(record)
    with untouched(), pytest.raises(UserError, match=rf"{name}: expected"):
        verify_record(record)


def test_history_that_is_none_is_refused(record, untouched):
    (record / "history.jsonl").write_text("[" * 100_000)
    sealed(record)
    with untouched(), pytest.raises(UserError, match=r"history\.jsonl: expected JSON"):
        verify_record(record).history()


class Trap:
    """Imports the canary when it is unpickled."""

    def __reduce__(self):
        return __import__, ("canary",)


def bytes_of_array(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def huge_header():
    """An array of a petabyte, of which no byte is there."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


ARRAYS = {
    "pickle": pickle.dumps(Trap()),
    "object array": bytes_of_array(np.array([Trap()], dtype=object), allow_pickle=True),
    "petabyte": huge_header(),
    "archive": b"PK\x03\x04",
    "empty": b"",
    "one axis": bytes_of_array(np.zeros(3, dtype=np.float32)),
    "integers": bytes_of_array(np.zeros((3, 3), dtype=np.int64)),
    "more behind it": bytes_of_array(np.zeros((3, 3), dtype=np.float32)) + b"x",
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS)
def test_array_that_is_no_float_matrix_is_refused(content, record, untouched):
    (record / "W_pos.npy").write_bytes(content)
    sealed(record)
    with untouched(), pytest.raises(UserError, match=r"W_pos\.npy: expected a"):
        verify_record(record).positional_weights()


def test_positional_weights_of_a_run_without_are_refused(record):
    files = dict.fromkeys(("spec.json", "history.jsonl"), "")
    with pytest.raises(UserError, match=r"this record has no W_pos\.npy"):
        Record(SPEC, record, {"files": files}).positional_weights()


# The checkpoint

ABOUT = {"id": SPEC.id, "history": [{"epoch": 1}], "seconds": {"wall": [1.0], "cpu": [1.0]}}
GROUPS = {"weights": [np.ones(3)], "optimizer": [np.ones(())], "best": [np.ones(3)]}
SHAPES = {"weights": [(3,)], "optimizer": [()]}


def hashed(content):
    import hashlib

    return hashlib.sha256(content).digest() + content


def with_arrays(path, save=np.savez, **changes):
    """A checkpoint with the right hash, whose arrays are others."""
    with np.load(io.BytesIO(path.read_bytes()[32:])) as npz:
        arrays = {**npz, **changes}
    buffer = io.BytesIO()
    save(buffer, **arrays)
    path.write_bytes(hashed(buffer.getvalue()))


CHECKPOINTS = {
    "objects": lambda path: with_arrays(path, weights_000=np.array([Trap()], dtype=object)),
    "bomb": lambda path: with_arrays(path, np.savez_compressed, x=np.zeros(10**7)),
    "about is none": lambda path: with_arrays(path, about=np.frombuffer(b"3", np.uint8)),
    "deep": lambda path: with_arrays(path, about=np.frombuffer(b"[" * 10**5, np.uint8)),
    "no archive": lambda path: path.write_bytes(hashed(pickle.dumps(Trap()))),
    "empty": lambda path: path.write_bytes(hashed(b"")),
    "other shape": lambda path: with_arrays(path, weights_000=np.ones(4)),
    "one too many": lambda path: with_arrays(path, optimizer_001=np.ones(())),
    "other run": lambda path: write_checkpoint(path, {**ABOUT, "id": "0" * 16}, GROUPS),
    "epoch left out": lambda path: write_checkpoint(
        path, {**ABOUT, "history": [{"epoch": 2}]}, GROUPS
    ),
}


@pytest.mark.parametrize("attack", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoint_that_is_not_the_runs_own_is_not_taken(attack, tmp_path, sprung):
    path = tmp_path / "checkpoint"
    write_checkpoint(path, ABOUT, GROUPS)
    about, groups = read_checkpoint(path, SPEC.id, SHAPES)
    assert about == ABOUT
    assert [array.tolist() for array in groups["weights"]] == [[1, 1, 1]]
    attack(path)
    assert read_checkpoint(path, SPEC.id, SHAPES) is None
    assert not sprung.exists()


def test_links_in_the_folder_of_a_run_are_replaced_and_not_followed(tmp_path):
    """Else training would write wherever somebody wishes."""
    precious, folder = tmp_path / "precious", tmp_path / SPEC.id
    precious.write_text("precious")
    folder.mkdir()
    for name in ("spec.json", "history.jsonl", "checkpoint", "model.keras", "W_pos.npy"):
        (folder / name).symlink_to(precious)
    training.train_run(SPEC, folder)
    assert precious.read_text() == "precious"
    assert verify_record(folder).spec == SPEC


def test_canary_would_have_been_heard(sprung):
    """Else none of these tests could fail."""
    pickle.loads(pickle.dumps(Trap()))
    assert sprung.exists()
    assert Path(sys.modules["canary"].__file__).name == "canary.py"
