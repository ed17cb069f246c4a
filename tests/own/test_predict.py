"""`sfc predict`: whose model it is, what is written where, and bad input."""

import gzip
import json
import os
import re
import shutil
import threading

import numpy as np
import pytest
from own_data import LENGTH, MOTIF, fasta, rows_of, sfc

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, encode, reverse_complement
from sfc_lib.nn.encoding import with_one_hot
from sfc_lib.own.predict import batches, load_predictor
from sfc_lib.runs.model_file import load_model, save_model


def predicted(text):
    rows = [line.split("\t") for line in text.splitlines()]
    return rows[0], {row[0]: [float(value) for value in row[1:]] for row in rows[1:]}


def test_predictions_are_those_of_the_model_by_name(trained, tmp_path):
    done = sfc("predict", trained / "std", trained / "all.fa", "-o", tmp_path / "out.tsv")
    assert f"Wrote {tmp_path / 'out.tsv'}: 500 sequences, 2 tasks." in done.output
    header, found = predicted((tmp_path / "out.tsv").read_text())
    assert header == ["name", "GATA1 <b>", "even"]
    assert list(found) == [f"s{i}" for i in range(500)]
    codes = encode(rows_of(200, 1, MOTIF) + rows_of(300, 2))
    expected = load_model(trained / "std" / "model.keras").predict(codes, verbose=0)
    assert np.allclose(list(found.values()), expected, atol=1e-5)


def test_a_one_hot_model_predicts_the_same(trained, tmp_path):
    model = load_model(trained / "symm" / "model.keras")
    save_model(with_one_hot(model), tmp_path / "one_hot.keras")
    with pytest.warns(UserWarning, match="its tasks are numbered"):
        predictor = load_predictor(tmp_path / "one_hot.keras")
    codes = encode(rows_of(20, 1, MOTIF))
    expected = model.predict_on_batch(codes)
    np.testing.assert_allclose(predictor.model.predict_on_batch(codes), expected, atol=1e-5)
    assert predictor.length == LENGTH


def test_a_model_without_its_record_numbers_its_tasks(trained, tmp_path):
    shutil.copy(trained / "symm" / "model.keras", tmp_path / "moved.keras")
    done = sfc("predict", tmp_path / "moved.keras", trained / "pos.fa")
    assert done.exit_code == 0
    assert "Warning: " in done.output
    assert "its tasks are numbered, because no spec.json and result.json" in done.output
    header, found = predicted(done.stdout)
    assert header == ["name", "task_1"]
    assert len(found) == 200
    shutil.copy(trained / "std" / "result.json", tmp_path / "result.json")  # of another model
    shutil.copy(trained / "std" / "spec.json", tmp_path / "spec.json")
    again = sfc("predict", tmp_path / "moved.keras", trained / "pos.fa")
    assert predicted(again.stdout)[0] == header


def test_an_ensemble_predicts_the_mean_of_its_logits(trained, tmp_path):
    done = sfc("predict", trained / "both", trained / "all.fa")
    header, found = predicted(done.stdout)
    assert header == ["name", "positive"]
    codes = encode(rows_of(200, 1, MOTIF) + rows_of(300, 2))
    models = [load_model(trained / "both" / place / "model.keras") for place in ("", "member_2")]
    each = [model.predict_on_batch(codes).astype(float) for model in models]
    logits = np.mean([np.log(p / (1 - p)) for p in each], axis=0)
    assert np.allclose(list(found.values()), 1 / (1 + np.exp(-logits)), atol=1e-5)
    predictor = load_predictor(trained / "both")
    for member, expected in zip(predictor.members, each, strict=True):
        assert np.allclose(member.predict_on_batch(codes), expected, atol=1e-5)
    assert len(load_predictor(trained / "symm").members) == 1


@pytest.mark.parametrize("name", ["symm", "std", "both"])
def test_a_reverse_complement_is_predicted_alike(trained, name):
    codes, model = encode(rows_of(50, 3, MOTIF)), load_predictor(trained / name).model
    both = [model.predict_on_batch(rows) for rows in (codes, reverse_complement(codes))]
    np.testing.assert_allclose(*both, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"member_2/result\.json: expected a whole record"),
        ("other", r"member_2: expected the run \w{16} of .*ensemble\.json, got \w{16}\."),
        ("edited", r"ensemble\.json: expected the content it was sealed with, got another"),
        ("nonsense", r"ensemble\.json: expected the content it was sealed with, got another"),
    ],
)
def test_an_ensemble_that_is_not_whole_is_refused(trained, tmp_path, change, message):
    shutil.copytree(trained / "both", tmp_path / "both")
    about = tmp_path / "both" / "ensemble.json"
    if change in ("missing", "other"):
        shutil.rmtree(tmp_path / "both" / "member_2")
    if change == "other":
        shutil.copytree(trained / "symm", tmp_path / "both" / "member_2")
    if change == "edited":
        about.write_text(json.dumps({**json.loads(about.read_text()), "runs": []}))
    if change == "nonsense":
        about.write_text("[]")
    done = sfc("predict", tmp_path / "both", trained / "pos.fa")
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.search(message, done.output)
    assert "Traceback" not in done.output


def changed(folder, file):
    """Change a file of a record; what the refusal says."""
    if file == "model.keras":
        shutil.copy(folder.parent / "std.keras", folder / file)
        return r"model\.keras: expected the one that result\.json .* was sealed with \(sha256 "
    content = json.loads((folder / file).read_text())
    content["seed"], content["epochs"] = 7, 7
    (folder / file).write_text(json.dumps(content))
    if file == "spec.json":
        return r"spec\.json: expected the one that result\.json .* was sealed with"
    return r"result\.json: expected the content it was sealed with"


@pytest.mark.parametrize("file", ["model.keras", "spec.json", "result.json"])
def test_a_model_that_its_record_was_not_sealed_with_is_refused(trained, tmp_path, file):
    shutil.copy(trained / "std" / "model.keras", tmp_path / "std.keras")
    shutil.copytree(trained / "symm", tmp_path / "symm")
    message = changed(tmp_path / "symm", file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sfc_lib.runs.pool.use_keras", None)  # would raise TypeError: it takes long
        for verb in (["predict"], ["explain", "-o", "new"], ["variants", "--genome", __file__]):
            done = sfc(*verb, tmp_path / "symm", trained / "pos.fa")
            assert done.exit_code == 1
            assert done.stdout == ""
            assert re.search(message + ".*--anyway", done.output)
    anyway = sfc("predict", tmp_path / "symm", trained / "pos.fa", "--anyway")
    assert anyway.exit_code == 0
    assert re.search("Warning: .*" + message, anyway.output)
    tasks = ["task_1", "task_2"] if file == "model.keras" else ["task_1"]
    assert predicted(anyway.stdout)[0] == ["name", *tasks]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seal": 1, "files": 2}'])
def test_a_result_that_is_none_is_refused(trained, tmp_path, content):
    shutil.copy(trained / "symm" / "model.keras", tmp_path)
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json: expected "):
        load_predictor(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (">a\nACGT\n", r"bad\.fa:1: expected sequences of 60 bp as the model .* got 4 bp in 'a'"),
        (f">a\n{'A' * 60}\n>b\n{'A' * 61}\n", r"bad\.fa:3: expected sequences of 60 bp"),
        (f">a\n{'A' * 60}\n>b\n{'E' * 60}\n", r"bad\.fa:4: .*This looks like protein"),
        (f">a\n{'A' * 60}\n>a\n{'C' * 60}\n", r"bad\.fa:3: expected a name"),
        ("", r"bad\.fa:1: expected text, got an empty file"),
    ],
)
def test_a_bad_fasta_leaves_no_table(trained, tmp_path, content, message):
    (tmp_path / "bad.fa").write_text(content)
    done = sfc("predict", trained / "symm", tmp_path / "bad.fa", "-o", tmp_path / "out.tsv")
    assert done.exit_code == 1
    assert re.search(message, done.output)
    assert "Traceback" not in done.output
    assert not (tmp_path / "out.tsv").exists()
    assert sfc("predict", trained / "symm", tmp_path / "bad.fa").stdout == ""


def test_a_name_that_ends_in_gz_makes_gzip_with_the_same_bytes(trained, tmp_path):
    found = []
    for name in ("a.tsv.gz", "b.tsv.gz", "c.tsv"):
        done = sfc("predict", trained / "symm", trained / "pos.fa", "-o", tmp_path / name)
        assert done.exit_code == 0, done.output
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]
    assert gzip.decompress(found[0]) == found[2]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("pos.fa/out.tsv", "pos.fa: expected a folder that can be written to, got: "),
        ("/proc/out.tsv", "/proc: expected a folder that can be written to, got: "),
        ("symm", "'symm' is a directory"),
        ("/dev/full", "/dev/full: expected a file to write, got a device"),
    ],
)
def test_an_output_that_cannot_be_written_is_said_first(trained, monkeypatch, place, message):
    monkeypatch.chdir(trained)
    monkeypatch.setattr("sfc_lib.own.predict.find_models", None)  # would raise TypeError
    done = sfc("predict", "symm", "pos.fa", "-o", place)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert ".tmp" not in done.output


def test_a_pipe_is_read_whole(trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    content = (trained / "all.fa").read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    done = sfc("predict", trained / "std", tmp_path / "pipe")
    writer.join()
    assert len(predicted(done.stdout)[1]) == 500


def test_unknown_bases_count_for_nothing(trained, tmp_path):
    path = fasta(tmp_path / "n.fa", ["N" * LENGTH, "RYSWKMBDHV" * 6])
    _, found = predicted(sfc("predict", trained / "symm", path).stdout)
    assert found["s0"] == found["s1"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"{}"])
def test_what_is_no_model_is_refused(trained, tmp_path, content):
    (tmp_path / "model.keras").write_bytes(content)
    done = sfc("predict", tmp_path / "model.keras", trained / "pos.fa")
    assert done.exit_code == 1
    assert "model.keras: expected a whole .keras model" in done.output


def test_what_is_missing_is_named(trained, tmp_path):
    done = sfc("predict", tmp_path, trained / "pos.fa")
    assert done.exit_code == 1
    assert f"{tmp_path / 'model.keras'}: expected a .keras model, or a folder" in done.output
    for arguments in ((tmp_path / "no", trained / "pos.fa"), (trained / "symm", tmp_path / "no")):
        done = sfc("predict", *arguments)
        assert done.exit_code == 2
        assert f"'{tmp_path / 'no'}' does not exist" in done.output


def test_batches_give_every_sequence_once(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGTN"), 7)) for _ in range(23)]
    path = tmp_path / "s.fa"
    path.write_text("".join(f">s{i} x\n{r[:3]}\n{r[3:].lower()}\n" for i, r in enumerate(rows)))
    found = list(batches(path, 7, size=5))
    assert [len(names) for names, _ in found] == [5, 5, 5, 5, 3]
    assert [name for names, _ in found for name in names] == [f"s{i}" for i in range(23)]
    assert [row for _, codes in found for row in decode(codes)] == rows
    message = r"s\.fa:1: expected sequences of 8 bp .* got 7 bp in 's0'"
    with pytest.raises(UserError, match=message):
        list(batches(path, 8))
