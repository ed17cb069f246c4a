"""`sfc train`: from a user's files to a spec and a record, through kills and bad arguments."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_data import QUICK, STD, fasta, made, sfc
from sklearn.metrics import average_precision_score, roc_auc_score

from sfc_lib.datasets.base import NOT_KNOWN, load_dataset
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.motifs import Motif, parse_meme, shipped_motifs
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.ensemble import with_regression
from sfc_lib.own.train import (
    bootstrap_intervals,
    ensemble_specs,
    gains,
    left_out,
    own_spec,
    scores_of_counts,
    scores_with_intervals,
)
from sfc_lib.runs import bundle
from sfc_lib.runs.model_file import load_model
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import look_up

EPOCHS = 12  # of the run that is killed
MAIN = [sys.executable, "-c", "from sfc_lib.cli import main; main()"]


@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_record_is_like_any_other(trained, name, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(trained / "runs"))
    spec = RunSpec.from_dict(json.loads((trained / name / "spec.json").read_text()))
    assert (spec.dataset, spec.variant) == ("custom", name)
    assert look_up(spec).spec == spec


def test_imbalance_is_weighted_and_multitask_is_not(trained):
    weights = {
        name: json.loads((trained / name / "spec.json").read_text())["class_weight"]
        for name in ("symm", "std")
    }
    assert weights == {"symm": True, "std": False}


def test_the_network_goes_with_the_length(tmp_path):
    for length, expected in ((60, "simulated_tf"), (400, "compact")):
        rng = np.random.default_rng(length)
        for name in ("pos", "neg"):
            rows = ["".join(row) for row in rng.choice(list("ACGT"), (50, length))]
            fasta(tmp_path / f"{name}.fa", rows)
        options = {"positives": tmp_path / "pos.fa", "negatives": tmp_path / "neg.fa"}
        spec = own_spec(options)
        assert (spec.architecture, spec.class_weight) == (expected, False)
        found = (spec.variant, spec.both_strands, spec.shift, spec.start, spec.regression)
        assert found == ("symm", True, min(5, length // 20), "kmers", 8)
        smooth = (24, 1.0) if expected == "compact" else (None, 0.0)
        assert (spec.units, spec.curvature) == smooth
        without = {"both_strands": False, "shift": 0, "weight_decay": 0.0, "regression": 0}
        plain = own_spec(options, variant="std", start="random", **without)
        assert not set(plain.to_dict()) & {*without, "start"}


def test_filters_start_at_enriched_motifs_of_a_collection_or_of_the_library(tmp_path):
    motifs = shipped_motifs()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 4, (200, 110), dtype=np.uint8)
    rows[:100, 40:50] = motifs["GATA_disc1"].sample(100, rng)
    options = {
        "positives": fasta(tmp_path / "pos.fa", decode(rows[:100])),
        "negatives": fasta(tmp_path / "neg.fa", decode(rows[100:])),
    }
    spec = own_spec(options, start="motifs")
    assert spec.start == "kmers"
    assert next(iter(parse_meme(spec.motifs, ""))) == "GATA_disc1"
    plain = own_spec(options)
    assert dataclasses.replace(spec, motifs=None) == plain
    one = {"mine": Motif("mine", motifs["GATA_disc1"].probabilities)}
    assert list(parse_meme(own_spec(options, start="motifs", collection=one).motifs, "")) == [
        "mine"
    ]
    none = {"odd": Motif("odd", np.full((6, 4), 0.25))}
    with pytest.warns(UserWarning, match="none of 1 motifs is enriched"):
        found = own_spec(options, start="motifs", collection=none)
    assert found == plain


def test_shifts_are_shorter_than_the_sequences(trained, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(trained / "runs"))
    options = {"positives": trained / "pos.fa", "negatives": trained / "neg.fa"}
    with pytest.raises(UserError, match="less than the sequences' 60 bp, got 60"):
        own_spec(options, shift=60)


def test_members_of_an_ensemble_differ_in_their_seed_alone():
    spec = RunSpec(seed=3)
    assert ensemble_specs(spec, 3) == [RunSpec(seed=seed) for seed in (3, 4, 5)]


def test_the_folder_of_an_ensemble_holds_every_record(trained):
    about = json.loads((trained / "both" / "ensemble.json").read_text())
    places = [trained / "both", trained / "both" / "member_2"]
    found = [json.loads((place / "result.json").read_text()) for place in places]
    assert about["runs"] == [result["id"] for result in found]
    specs = [json.loads((place / "spec.json").read_text()) for place in places]
    assert [spec.pop("seed") for spec in specs] == [0, 1]
    assert specs[0] == specs[1]
    for place, result in zip(places, found, strict=True):
        for name in result["files"]:
            kept = trained / "runs" / result["id"] / name
            assert (place / name).read_bytes() == kept.read_bytes()


def test_labels_that_are_not_known_are_neither_learned_nor_scored(tmp_path, monkeypatch):
    made(tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = [line.split("\t") for line in Path("labels.tsv").read_text().splitlines()]
    for number, row in enumerate(rows[1:]):
        row[1 + number % 2] = "NA" if number % 3 == 0 else row[1 + number % 2]
    Path("labels.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    done = sfc("train", *STD, *QUICK, "--epochs", "1", "-o", "report")
    assert done.exit_code == 0, done.output
    assert "counted      167 labels that are not known" in done.output
    scores = pd.read_csv("report/scores.tsv", sep="\t")
    options = json.loads(Path("report/spec.json").read_text())["dataset_options"]
    test = load_dataset("custom", **options).test
    assert (test.labels == NOT_KNOWN).any()
    found = scores[(scores["split"] == "test") & (scores["model"] == "network")]
    assert found["examples"].tolist() == test.known
    assert found["positives"].tolist() == test.positives
    model = load_model(Path("report/model.keras"))
    for column, score in enumerate(found["auroc"]):
        known = test.labels[:, column] != NOT_KNOWN
        guess = model.predict(test.codes, verbose=0)[known, column]
        assert score == pytest.approx(roc_auc_score(test.labels[known, column], guess), abs=1e-6)
    last = json.loads(Path("report/history.jsonl").read_text().splitlines()[-1])
    assert 0 < last["loss"] < 1  # 255 taken for a label would make it huge
    page = Path("report/report.html").read_text()
    for positives, known in zip(test.positives, test.known, strict=True):
        assert f"{positives} ({positives / known:.1%} of {known} known)" in page
    assert "A label that is not known adds nothing to the loss" in page

    spec = RunSpec.from_dict(json.loads(Path("report/spec.json").read_text()))
    with pytest.raises(UserError, match="a bundle holds classes, not labels that are not known"):
        bundle.pack([spec], tmp_path / "bundle")


# Interruptions and bad input


def wait_for_epoch(process, history):
    """Wait until a run has finished another epoch than those it had."""
    before = history.stat().st_size if history.exists() else 0
    while not (history.exists() and history.stat().st_size > before):
        assert process.poll() is None
        time.sleep(0.02)


def test_stopped_and_killed_in_training_the_same_command_goes_on(tmp_path, monkeypatch):
    made(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = {"positives": "pos.fa", "negatives": "neg.fa"}
    spec = own_spec(options, width=0.2, epochs=EPOCHS, patience=EPOCHS)
    history = tmp_path / "runs" / spec.id / "history.jsonl"
    command = [*MAIN, "train", "--positives", "pos.fa", "--negatives", "neg.fa", "--width", "0.2",
               "--epochs", str(EPOCHS), "--patience", str(EPOCHS), "-o", "report"]  # fmt: skip
    begin = {"stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, **begin)
    wait_for_epoch(process, history)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    process.wait()
    for _ in range(1500):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            break
        time.sleep(0.02)
    else:
        pytest.fail("the process that trains outlived the one that was told to end")
    process = subprocess.Popen(command, **begin)
    wait_for_epoch(process, history)
    os.killpg(process.pid, signal.SIGKILL)  # the process that trains too
    process.wait()
    first = history.read_bytes()
    assert 2 <= len(first.splitlines()) < EPOCHS
    assert not Path("report/report.html").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("report/report.html").stat().st_size > 50_000
    assert history.read_bytes().startswith(first)
    assert len(history.read_bytes().splitlines()) == EPOCHS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected the files --positives and --negatives, or --sequences and --labels, or"),
        (["--positives", "pos.fa"], "got --positives"),
        (["--positives", "no.fa", "--negatives", "neg.fa"], "'--positives': File 'no.fa' does not"),
        (["--positives", "pos.fa", "--negatives", "pos.fa"], "expected other sequences than"),
        (["--variant", "SFC"], "'--variant': 'SFC' is not one of 'std', 'sep', 'symm'"),
        (["--architecture", "resnet"], "'--architecture': 'resnet' is not one of 'compact'"),
        (["--architecture", "chip_seq"], "chip_seq needs sequences of at least 80 bp, got 60"),
        (["--variant", "std", "--curvature", "1"], "std has no SFC layer"),
        (["--epochs", "0"], "'--epochs': 0 is not in the range x>=1"),
        (["--seed", "-1"], "'--seed': -1 is not in the range x>=0"),
        (["--learning-rate", "0"], "'--learning-rate': 0.0 is not in the range x>0"),
        (["--learning-rate", "inf"], "learning_rate must be a finite number > 0"),
        (["--window", "50"], "window is an option of peaks only"),
        (["--test-fraction", "1"], "'--test-fraction': 1.0 is not in the range 0<x<1"),
        (["--test", "all.fa"], "expected --test and --test-negatives, got --test."),
        (["--test-labels", "labels.tsv"], "--test and --test-negatives, got --test-labels."),
        (
            ["--test", "all.fa", "--test-negatives", "neg.fa", "--test-chrom", "chr1"],
            "the test set is a file: expected no test_chromosomes beside it.",
        ),
        (
            ["--test", "all.fa", "--test-negatives", "neg.fa", "--test-fraction", "0.2"],
            "the test set is a file: expected no test_fraction beside it.",
        ),
        (["--valid-chrom", "chr1"], "name chromosomes for both valid and test, got (('chr1',), ()"),
        (
            ["--valid-chrom", "chr1", "--test-chrom", "chr2"],
            "valid_chromosomes need names such as chr1:100-300, got 's0'",
        ),
        (["-o", "pos.fa"], "pos.fa: expected a folder that can be written to, got: File exists"),
        (
            ["--output", "pos.fa/x"],
            "pos.fa/x: expected a folder that can be written to, got: Not",
        ),
        (["--output", "/proc"], "/proc: expected a folder that can be written to, got: "),
        (["--sequences", "all.fa", "--labels", "pos.fa"], "pos.fa:1: expected a header"),
    ],
)
def test_bad_commands_are_one_message(trained, monkeypatch, arguments, message):
    monkeypatch.chdir(trained)
    full = arguments and not {"--positives", "--sequences"} & set(arguments)
    files = ["--positives", "pos.fa", "--negatives", "neg.fa"] if full else []
    done = sfc("train", *files, *arguments)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["train", "--peaks", "no.bed", "--genome", "no.fa"], ["predict", "no", "no.fa"]],
)
def test_what_is_not_there_is_said_before_keras_is_imported(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    lines = "import sys; from sfc_lib.cli import main; main(sys.argv[1:], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", lines, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    for package in ("keras", "tensorflow", "matplotlib", "pandas"):
        assert f" {package}\n" not in done.stderr


def test_a_network_is_left_out_where_none_of_an_ensemble_has_a_share():
    networks = [build_model("simulated_tf", "sep", length=40, tasks=3) for _ in range(2)]
    nothing = np.ones(35), np.zeros((4096, 3)), np.zeros(3)
    scales = [0.0, 0.5, 0.0], [0.0, 0.0, 2.0]
    both = [
        with_regression(n, np.array(s), *nothing) for n, s in zip(networks, scales, strict=True)
    ]
    assert left_out(both, ["A", "B", "C"]) == ["A"]
    assert left_out(both[:1], ["A", "B", "C"]) == ["A", "C"]
    assert left_out(networks, ["A", "B", "C"]) == []


# What is gained on the regression


@pytest.mark.parametrize("digits", [9, 1], ids=["apart", "tied"])
def test_gains_are_differences_with_the_interval_of_a_paired_bootstrap(digits):
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [80, 120])
    shared = rng.normal(0, 1, 200)  # both err on the same examples
    one, other = (
        (labels * lift + shared + rng.normal(0, 0.5, 200)).round(digits) for lift in (1.5, 1)
    )
    (found,) = gains(labels[:, None], one[:, None], other[:, None], ["a"]).to_dict("records")
    assert found["gain"] == pytest.approx(roc_auc_score(labels, one) - roc_auc_score(labels, other))
    values = []
    for _ in range(500):
        rows = np.r_[rng.integers(0, 80, 80), rng.integers(80, 200, 120)]
        scores = [roc_auc_score(labels[rows], guess[rows]) for guess in (one, other)]
        values.append(scores[0] - scores[1])
    ends = np.percentile(values, [2.5, 97.5])
    assert np.allclose([found["gain_low"], found["gain_high"]], ends, atol=0.02)


def test_gains_of_each_task_and_of_one_example():
    labels = np.array([[1, 1], [0, 1], [0, 0]])
    best, worst = labels.astype(float), 1 - labels.astype(float)
    table = gains(labels, best, worst, ["a", "b"])
    assert table.task.tolist() == ["a", "b"]
    assert table.gain.tolist() == [1, 1]
    assert np.isnan(table.gain_low).all()


# Intervals of the scores


def test_labels_that_are_not_known_count_for_nothing_in_scores_and_gains():
    rng = np.random.default_rng(0)
    labels, one, other = rng.integers(0, 2, (80, 2)), rng.random((80, 2)), rng.random((80, 2))
    labels[:30, 0] = NOT_KNOWN
    few = slice(30, None)
    found = gains(labels, one, other, ["a", "b"])
    alone = gains(labels[few, :1], one[few, :1], other[few, :1], ["a"])
    pd.testing.assert_frame_equal(found.iloc[:1], alone)
    table = scores_with_intervals(labels, one, ["a", "b"], np.random.default_rng(1))
    alone = scores_with_intervals(labels[few, :1], one[few, :1], ["a"], np.random.default_rng(1))
    pd.testing.assert_frame_equal(table.iloc[:1], alone)
    assert table["examples"].tolist() == [50, 80]


def test_scores_of_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    for values in (2, 7, 30):
        counts = rng.integers(0, 4, (2, 40, values))
        counts[:, :, 0] += 1  # examples of both classes
        auroc, auprc = scores_of_counts(*counts)
        for row, (positive, negative) in enumerate(zip(*counts, strict=True)):
            labels = np.repeat([1, 0], [positive.sum(), negative.sum()])
            falling = -np.arange(values)
            scores = np.concatenate([np.repeat(falling, positive), np.repeat(falling, negative)])
            assert np.isclose(auroc[row], roc_auc_score(labels, scores), rtol=1e-12)
            assert np.isclose(auprc[row], average_precision_score(labels, scores), rtol=1e-12)


@pytest.mark.parametrize("digits", [9, 1], ids=["apart", "tied"])
def test_intervals_are_those_of_a_plain_bootstrap(digits):
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(1, 1, 80).round(digits), rng.normal(0, 1, 120).round(digits)
    order = rng.permutation(200)
    labels, scores = np.repeat([1, 0], [80, 120])[order], np.r_[positives, negatives][order]
    found = bootstrap_intervals(labels, scores, np.random.default_rng(1))
    drawn = [np.r_[rng.choice(positives, 80), rng.choice(negatives, 120)] for _ in range(500)]
    for name, score in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        values = [score(np.repeat([1, 0], [80, 120]), one) for one in drawn]
        assert np.allclose(found[name], np.percentile(values, [2.5, 97.5]), atol=0.02)
    alone = bootstrap_intervals(np.array([1, 0, 0]), np.array([0.3, 0.2, 0.1]), rng)
    assert np.isnan([*alone["auroc"], *alone["auprc"]]).all()


def test_an_interval_of_ten_thousand_examples_takes_no_time():
    rng = np.random.default_rng(0)
    labels = np.arange(10_000) % 3 == 0
    scores = (rng.normal(size=10_000) + labels).astype(np.float32)
    began = time.process_time()
    bootstrap_intervals(labels.astype(np.uint8), scores, rng)
    assert time.process_time() - began < 5  # 0.4 s on an idle core
