"""`sfc train` and `sfc predict`: from a user's files to a report, through kills and bad input."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from sfc_lib.cli import main
from sfc_lib.genomics.dna import encode
from sfc_lib.own.train import interval, plan
from sfc_lib.runs.store import verify_record

MOTIF, LENGTH = "TGATAAGG", 60
EPOCHS = 12  # of the run that is killed
EPOCH_OPTIONS = ["--epochs", str(EPOCHS), "--patience", str(EPOCHS)]
QUICK = ["--width", "0.2", "--epochs", "2"]


def sfc(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(count, seed, motif=""):
    rng = np.random.default_rng(seed)
    found = ["".join(row) for row in rng.choice(list("ACGT"), (count, LENGTH))]
    return [row[:20] + motif + row[20 + len(motif) :] for row in found]


def fasta(path, rows, prefix="s"):
    path.write_text("".join(f">{prefix}{i}\n{row}\n" for i, row in enumerate(rows)))
    return path


def made(folder):
    """Files of 200 positives with a motif, 300 negatives, and a table of two tasks."""
    positives, negatives = rows_of(200, 1, MOTIF), rows_of(300, 2)
    fasta(folder / "pos.fa", positives)
    fasta(folder / "neg.fa", negatives)
    fasta(folder / "all.fa", positives + negatives)
    lines = [f"s{i}\t{int(i < 200)}\t{i % 2}\n" for i in range(500)]
    (folder / "labels.tsv").write_text("name\tGATA1 <b>\teven\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with inputs and the reports `symm` (one task) and `std` (two)."""
    folder = made(tmp_path_factory.mktemp("own"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_RUNS_DIR", str(folder / "runs"))
        patch.chdir(folder)
        one = ["--positives", "pos.fa", "--negatives", "neg.fa", "--variant", "symm"]
        done = sfc("train", *one, "--curvature", "1", *QUICK, "--output", "symm")
        assert done.exit_code == 0, done.output
        (folder / "symm.log").write_text(done.output)
        two = ["--sequences", "all.fa", "--labels", "labels.tsv", "--variant", "std"]
        done = sfc("train", *two, *QUICK, "--output", "std")
        assert done.exit_code == 0, done.output
    return folder


# The report


def record_of(trained, name):
    """The run record that a report shows."""
    spec = (trained / name / "spec.json").read_bytes()
    paths = (trained / "runs").glob("*/spec.json")
    return verify_record(next(path.parent for path in paths if path.read_bytes() == spec))


@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_record_is_like_any_other_and_copied_beside_the_report(trained, name):
    record = record_of(trained, name)
    assert record.spec.dataset == "custom"
    for file in (*record.result["files"], "result.json"):
        assert (trained / name / file).read_bytes() == (record.folder / file).read_bytes()


def test_what_is_printed_says_what_was_trained(trained):
    shown = (trained / "symm.log").read_text()
    assert re.search(r"train +\d+ sequences of 60 bp", shown)
    assert "simulated_tf, symm, seed 0" in shown
    assert re.search(r"test  positive: auROC \.\d{3} \(\.\d{3}–", shown)
    assert "\nOpen symm/report.html\n" in shown


def test_imbalance_is_weighted_and_multitask_is_not(trained):
    weights = {
        name: json.loads((trained / name / "spec.json").read_text())["class_weight"]
        for name in ("symm", "std")
    }
    assert weights == {"symm": True, "std": False}


def test_scores_are_those_of_the_model(trained):
    with open(trained / "std" / "scores.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["split"], row["task"]) for row in rows] == [
        (split, task) for split in ("valid", "test") for task in ("GATA1 <b>", "even")
    ]
    result = json.loads((trained / "std" / "result.json").read_text())
    for row in rows:
        assert float(row["auroc"]) == result[row["split"]]["auroc_by_task"][row["task"]]
        assert float(row["auprc"]) == result[row["split"]]["auprc_by_task"][row["task"]]
        assert float(row["auroc_low"]) <= float(row["auroc"]) <= float(row["auroc_high"])


@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_report_stands_alone_and_says_where_it_comes_from(trained, name):
    page = (trained / name / "report.html").read_text()
    spec = json.loads((trained / name / "spec.json").read_text())
    result = json.loads((trained / name / "result.json").read_text())
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "url(" not in page
    assert "$" not in re.sub(r'src="data:[^"]*"', "", page)
    hashes = [
        v for k, v in spec["dataset_options"].items() if v and k in ("positives", "sequences")
    ]
    for text in (*hashes, result["id"], result["dataset_fingerprint"], "tensorflow 2."):
        assert text in page
    assert f"sfc train --{'positives pos.fa' if name == 'symm' else 'sequences all.fa'}" in page
    assert str(trained) not in page
    assert page.count("<figure>") == 4
    assert page.count("<img") == (4 if name == "symm" else 3)
    assert ("has no SFC layer" in page) == (name == "std")


def test_names_in_the_report_are_text_not_html(trained):
    page = (trained / "std" / "report.html").read_text()
    assert "GATA1 &lt;b&gt;" in page
    assert "GATA1 <b>" not in page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_report_in_a_browser_makes_no_request_and_fits(trained, name, width, browser):
    with browser.new_context(viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto((trained / name / "report.html").as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        drawn = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert [url for url in requests if not url.startswith("data:")] == requests[:1]
    assert errors == []
    assert wide <= width
    assert drawn == [True] * (4 if name == "symm" else 3)


def test_running_again_reads_the_run_and_writes_the_same_report(trained, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(trained / "runs"))
    monkeypatch.chdir(trained)
    before = (trained / "symm" / "report.html").read_bytes()
    options = ["--positives", "pos.fa", "--negatives", "neg.fa", "--variant", "symm"]
    again = sfc("train", *options, "--curvature", "1", *QUICK, "--output", "symm")
    assert again.exit_code == 0
    assert "training" not in again.output
    assert (trained / "symm" / "report.html").read_bytes() == before
    other = sfc("train", *options, *QUICK, "--output", "symm")
    assert other.exit_code == 1
    assert "symm: expected a new folder or the one of run" in other.output


@pytest.mark.parametrize("content", ["", "{}", "[]", "1"])
def test_a_folder_with_something_else_is_left_alone(trained, tmp_path, monkeypatch, content):
    monkeypatch.chdir(trained)
    (tmp_path / "result.json").write_text(content)
    done = sfc("train", "--positives", "pos.fa", "--negatives", "neg.fa", "--output", tmp_path)
    assert done.exit_code == 1
    assert "result.json: expected a run's result" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


# Predictions


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
    expected = record_of(trained, "std").model().predict(codes, verbose=0)
    assert np.allclose(list(found.values()), expected, atol=1e-5)


def test_a_model_without_its_record_numbers_its_tasks(trained, tmp_path):
    shutil.copy(trained / "symm" / "model.keras", tmp_path / "moved.keras")
    done = sfc("predict", tmp_path / "moved.keras", trained / "pos.fa")
    assert done.exit_code == 0
    assert "Warning: " in done.output
    assert "so its tasks are numbered" in done.output
    header, found = predicted(done.stdout)
    assert header == ["name", "task_1"]
    assert len(found) == 200
    shutil.copy(trained / "std" / "result.json", tmp_path / "result.json")  # of another model
    shutil.copy(trained / "std" / "spec.json", tmp_path / "spec.json")
    assert (
        predicted(sfc("predict", tmp_path / "moved.keras", trained / "pos.fa").stdout)[0] == header
    )


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


def test_unknown_bases_count_for_nothing(trained, tmp_path):
    path = fasta(tmp_path / "n.fa", ["N" * 60, "RYSWKMBDHV" * 6])
    _, found = predicted(sfc("predict", trained / "symm", path).stdout)
    assert found["s0"] == found["s1"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"{}"])
def test_what_is_no_model_is_refused(trained, tmp_path, content):
    (tmp_path / "model.keras").write_bytes(content)
    done = sfc("predict", tmp_path / "model.keras", trained / "pos.fa")
    assert done.exit_code == 1
    assert "model.keras: expected a whole .keras model" in done.output


def test_a_missing_model_is_named(trained, tmp_path):
    done = sfc("predict", tmp_path, trained / "pos.fa")
    assert done.exit_code == 1
    assert f"{tmp_path / 'model.keras'}: expected a .keras model, or a folder" in done.output


# Interruptions and bad input


def test_killed_in_training_the_same_command_goes_on(tmp_path):
    made(tmp_path)
    command = [sys.executable, "-c", "from sfc_lib.cli import main; main()", "train",
               "--positives", "pos.fa", "--negatives", "neg.fa", "--width", "0.2",
               "--output", "report", *EPOCH_OPTIONS]  # fmt: skip
    environment = {**os.environ, "SFC_RUNS_DIR": str(tmp_path / "runs")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (
        found := [p for p in (tmp_path / "runs").glob("*/history.jsonl") if p.stat().st_size]
    ):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # the process that trains too
    process.wait()
    first = found[0].read_bytes()
    assert 1 <= len(first.splitlines()) < EPOCHS
    assert not (tmp_path / "report" / "report.html").exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "report.html").stat().st_size > 50_000
    assert found[0].read_bytes().startswith(first)
    assert len(found[0].read_bytes().splitlines()) == EPOCHS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected the files positives and negatives"),
        (["--positives", "pos.fa"], "got ['positives']"),
        (["--positives", "no.fa", "--negatives", "neg.fa"], "no.fa: expected a readable file"),
        (["--positives", "pos.fa", "--negatives", "pos.fa"], "expected other sequences than"),
        (["--variant", "SFC"], "variant must be 'std', 'sep' or 'symm', got 'SFC'"),
        (["--architecture", "resnet"], "architecture must be 'simulated_tf'"),
        (["--architecture", "chip_seq"], "chip_seq needs sequences of at least 80 bp, got 60"),
        (["--variant", "std", "--curvature", "1"], "std has no SFC layer"),
        (["--epochs", "0"], "epochs must be an integer >= 1"),
        (["--seed", "-1"], "seed must be an integer >= 0"),
        (["--learning-rate", "0"], "learning_rate must be a finite number > 0"),
        (["--output", "pos.fa"], "pos.fa: expected a folder for the report, got: File exists"),
        (["--output", "pos.fa/x"], "expected a folder for the report, got: Not a directory"),
        (["--sequences", "all.fa", "--labels", "pos.fa"], "pos.fa:1: expected a header"),
    ],
)
def test_bad_commands_are_one_message(trained, monkeypatch, arguments, message):
    monkeypatch.chdir(trained)
    full = arguments and not {"--positives", "--sequences"} & set(arguments)
    files = ["--positives", "pos.fa", "--negatives", "neg.fa"] if full else []
    done = sfc("train", *files, *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_the_network_goes_with_the_length(tmp_path):
    for length, expected in ((60, "simulated_tf"), (400, "chip_seq")):
        rng = np.random.default_rng(length)
        for name in ("pos", "neg"):
            rows = ["".join(row) for row in rng.choice(list("ACGT"), (50, length))]
            fasta(tmp_path / f"{name}.fa", rows)
        options = {"positives": tmp_path / "pos.fa", "negatives": tmp_path / "neg.fa"}
        spec = plan(options)
        assert (spec.architecture, spec.class_weight) == (expected, False)


def test_interval_is_that_of_a_plain_bootstrap():
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(1, 1, 80), rng.normal(0, 1, 120)
    low, high = interval(roc_auc_score, positives, negatives, np.random.default_rng(1))
    labels = np.repeat([1, 0], [80, 120])
    drawn = [
        roc_auc_score(labels, np.r_[rng.choice(positives, 80), rng.choice(negatives, 120)])
        for _ in range(2000)
    ]
    assert np.allclose([low, high], np.percentile(drawn, [2.5, 97.5]), atol=0.01)
    assert np.isnan(interval(roc_auc_score, positives[:1], negatives, rng)).all()
