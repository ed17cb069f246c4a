"""The report of `sfc train`: what it says, that it stands alone, and what lies beside it."""

import base64
import csv
import html
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from own_data import MOTIF, QUICK, SYMM, fasta, rows_of, sfc
from sklearn.metrics import roc_auc_score

from sfc_lib import RunSpec, load_dataset
from sfc_lib.genomics.dna import decode, encode
from sfc_lib.genomics.motifs import shipped_motifs
from sfc_lib.own.audit import GREEN, Check
from sfc_lib.own.baseline import Baseline
from sfc_lib.own.explain import NO_MOTIF, explain, find_motifs
from sfc_lib.own.predict import load_predictor
from sfc_lib.own.report import (
    calibration,
    draw_importance,
    draw_positional_weights,
    draw_score_curves,
    render,
    split_line,
    verdict,
)
from sfc_lib.own.train import NETWORK, REGRESSION, Outcome, gains, scores_with_intervals
from sfc_lib.runs.store import Record

FROM = {"symm": "positives pos.fa", "std": "sequences all.fa"}


@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_record_is_copied_beside_the_report(trained, name):
    result = json.loads((trained / name / "result.json").read_text())
    for file in (*result["files"], "result.json"):
        copy = (trained / name / file).read_bytes()
        assert copy == (trained / "runs" / result["id"] / file).read_bytes()


def test_what_is_printed_says_what_was_trained(trained):
    shown = (trained / "symm.log").read_text()
    assert re.search(r"train +\d+ sequences of 60 bp", shown)
    assert "simulated_tf, symm, seed 0" in shown
    for model in ("network", "6-mer regression"):
        assert re.search(rf"test  positive, {model}: auROC \d?\.\d{{3}} \(\d?\.", shown)
    assert "\nOn sequences that it never saw, the network reaches an auROC of " in shown
    assert "\nOpen symm/report.html\n" in shown


def test_scores_are_those_of_the_model(trained):
    with open(trained / "std" / "scores.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["model"], row["split"], row["task"]) for row in rows] == [
        (model, split, task)
        for model in ("network", "6-mer regression")
        for split in ("valid", "test")
        for task in ("GATA1 <b>", "even")
    ]
    result = json.loads((trained / "std" / "result.json").read_text())
    page = (trained / "std" / "report.html").read_text()
    for row in rows:
        for name in ("auroc", "auprc"):
            value, low, high = (float(row[name + end]) for end in ("", "_low", "_high"))
            if row["model"] == "network":
                assert value == result[row["split"]][f"{name}_by_task"][row["task"]]
            assert low <= value <= high
            shown = f"{value:.3f} ({low:.3f}–{high:.3f})".replace("0.", ".")
            assert f'<td data-th="{name[:2]}{name[2:].upper()}">{shown}</td>' in page


@pytest.mark.parametrize("name", ["symm", "std"])
def test_the_report_stands_alone_and_says_where_it_comes_from(trained, name):
    page = (trained / name / "report.html").read_text()
    spec = json.loads((trained / name / "spec.json").read_text())
    result = json.loads((trained / name / "result.json").read_text())
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "url(" not in page
    assert not re.search(r"\{[{%]|[}%]\}", re.sub(r'src="data:[^"]*"', "", page))
    hashes = [
        v for k, v in spec["dataset_options"].items() if v and k in ("positives", "sequences")
    ]
    for text in (*hashes, result["id"], result["dataset_fingerprint"], "tensorflow 2."):
        assert text in page
    assert f"sfc train --{FROM[name]}" in page
    assert f"-o {name}" in page
    assert str(trained) not in page
    assert page.count("<figure>") == 5
    assert page.count('<figure class="wide">') == (1 if name == "symm" else 2)  # tasks
    assert page.count("<img") == 6
    assert len(page) < 3_000_000
    assert ("has no SFC layer" in page) == (name == "std")


@pytest.mark.parametrize(
    ("gain", "low", "high", "expected"),
    [
        (0.05, 0.01, 0.09, "the network is better by .050 (+.010 to +.090)."),
        (-0.05, -0.09, -0.01, "the regression is better by .050 (+.010 to +.090). Use it, or"),
        (0.05, -0.01, 0.11, "can't tell which is better; the network leads by .050 (−.010 to"),
        (-0.05, -0.11, 0.01, "can't tell which is better; the regression leads by .050"),
    ],
)
def test_the_verdict_says_which_model_wins(gain, low, high, expected):
    scores = [
        {"split": split, "model": model, "auroc": value}
        for split, values in (("valid", (0.99, 0.99)), ("test", (0.8, 0.8 - gain)))
        for model, value in zip((NETWORK, REGRESSION), values, strict=True)
    ]
    table = pd.DataFrame({"gain": [gain], "gain_low": [low], "gain_high": [high]})
    outcome = SimpleNamespace(
        records=[1], scores=pd.DataFrame(scores), gains=table, test_file="", left_out=[]
    )
    text = verdict(outcome)
    assert text.startswith("On sequences that it never saw, the network reaches an auROC of .800")
    assert expected in text
    ensemble = verdict(SimpleNamespace(**vars(outcome) | {"records": [1, 2]}))
    assert "the ensemble reaches" in ensemble
    of_file = verdict(SimpleNamespace(**vars(outcome) | {"test_file": "new.fa"}))
    assert of_file.startswith("On sequences of new.fa that it never saw, the network reaches")
    alone = verdict(SimpleNamespace(**vars(outcome) | {"left_out": ["bound"]}))
    assert alone.startswith(text)
    assert alone.removeprefix(text).startswith(" The network has no share in this: on the valid")


def test_the_verdict_of_several_tasks_counts_them():
    scores = pd.DataFrame({"split": "test", "model": [NETWORK, REGRESSION], "auroc": [0.8, 0.7]})
    table = pd.DataFrame({"gain_low": [0.1, 0.2, -0.3, -0.1], "gain_high": [0.2, 0.3, -0.2, 0.1]})
    outcome = {"records": [1], "scores": scores, "gains": table, "test_file": ""}
    text = verdict(SimpleNamespace(**outcome, left_out=["A", "B"]))
    assert (
        "(means of 4 tasks): the network is better for 2, the regression for 1, and for 1" in text
    )
    assert "For A, B the network has no share in this" in text


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "5 test sequences were drawn at random, near-duplicates on one side together"),
        ({"train": "chr1", "test": "chr2"}, "5 test sequences lie on chr2, which nothing was"),
        ({"train": "chr1", "test": "chr1"}, "lie in another stretch of chr1 than those that"),
    ],
)
def test_the_split_is_told_with_what_to_expect(counts, expected):
    told = {f"windows of {chrom} in {split}": 5 for split, chrom in counts.items()}
    text = split_line(SimpleNamespace(counts=told, options={}, test=range(5)))
    assert expected in text
    assert "expect" in text
    text = split_line(SimpleNamespace(counts=told, options={}, test=range(5)), "new.fa")
    assert "5 test sequences are those of new.fa, which neither trained nor validated" in text


@pytest.mark.parametrize(("background", "told"), [(None, True), ("shuffled", False)])
def test_negative_sequences_lie_on_no_chromosome(background, told):
    """Beside peaks: only shuffled ones are where their positives are."""
    counts = {"windows of chr1 in train": 9, "windows of chr2 in test": 5}
    options = {"background": background}
    text = split_line(SimpleNamespace(counts=counts, options=options, test=range(12)))
    assert text.startswith(f"The {'5 positive' if told else '12'} test sequences lie on chr2")
    assert ("The negatives, given as sequences, were drawn at random" in text) == told


def test_the_verdict_is_the_first_line_of_the_report(trained):
    for name in ("symm", "std", "both"):
        page = (trained / name / "report.html").read_text()
        shown = next(
            line
            for line in (trained / f"{name}.log").read_text().splitlines()
            if "never saw" in line
        )
        first = re.search(r"<h1>.*?</h1>\s*<p class=\"verdict\">(.*?)</p>", page, re.DOTALL)[1]
        assert html.unescape(first).strip() == shown


def test_a_test_set_of_its_own_is_what_is_scored_and_the_report_says_so(
    trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(trained)
    positives, negatives = rows_of(40, 11, MOTIF), rows_of(50, 12)
    positives[:4] = [row[3:] + "ACG" for row in rows_of(4, 1, MOTIF)]  # near those that train
    fasta(tmp_path / "new.fa", positives)
    fasta(tmp_path / "new_neg.fa", negatives)
    test = ["--test", tmp_path / "new.fa", "--test-negatives", tmp_path / "new_neg.fa"]
    done = sfc("train", *SYMM, *QUICK, *test, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    scores = pd.read_csv(tmp_path / "out" / "scores.tsv", sep="\t").set_index(["model", "split"])
    found = scores.loc[("network", "test")]
    assert (found["examples"], found["positives"]) == (90, 40)
    model = load_predictor(tmp_path / "out").model
    guess = model.predict(encode(positives + negatives), verbose=0)[:, 0]
    assert found["auroc"] == pytest.approx(roc_auc_score([1] * 40 + [0] * 50, guess), abs=1e-6)
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    for part in (
        "On sequences of new.fa that it never saw, the network reaches",
        "The 90 test sequences are those of new.fa, which neither trained nor validated",
        "4.4% of those in the test file do with one that trains or validates",
        "The test set is new.fa;",
        "test_negatives new_neg.fa",
    ):
        assert part in text
    assert {name for name, _ in logos_of(page)} <= {f"s{i}" for i in range(40)}


def test_the_report_says_that_a_regression_is_part_of_the_model(trained):
    page = (trained / "symm" / "report.html").read_text()
    assert "seed 0, with a regression on 8-mers beside it," in " ".join(page.split())
    assert "<code>--network-alone</code> trains it without" in page


def test_names_in_the_report_are_text_not_html(trained):
    page = (trained / "std" / "report.html").read_text()
    assert "GATA1 &lt;b&gt;" in page
    assert "GATA1 <b>" not in page


@pytest.fixture
def page_of_peaks(trained, tmp_path):
    """Function from options to the page of a run on peaks; its network is that of `symm`."""
    letters = {c: "".join(np.random.default_rng(c).choice(list("ACGT"), 4000)) for c in (1, 2, 3)}
    (tmp_path / "g.fa").write_text("".join(f">chr{c}\n{text}\n" for c, text in letters.items()))
    result = json.loads((trained / "symm" / "result.json").read_text())

    def page(lines, **options):
        (tmp_path / "p.bed").write_text("".join(lines))
        files = {"peaks": tmp_path / "p.bed", "genome": tmp_path / "g.fa"}
        dense = {"window": 60, "background": "shuffled"}
        spec = RunSpec(dataset="custom", dataset_options={**files, **dense, **options})
        dataset = load_dataset("custom", **spec.dataset_options)
        rng = np.random.default_rng(0)
        guess = rng.random(dataset.test.labels.shape)
        scores = scores_with_intervals(dataset.test.labels, guess, ["bound"], rng)
        both = [scores.assign(split="test", model=kind) for kind in (NETWORK, REGRESSION)]
        outcome = Outcome(
            [Record(spec, trained / "symm", result)],
            dataset,
            {"test": guess},
            Baseline({"test": guess}, (0.1,), 1.0),
            pd.concat(both),
            gains(dataset.test.labels, guess, guess, ["bound"]),
            [Check("a check", GREEN, "found")],
            rng.normal(size=(1, 60)),
            [9],
            [],
            {role: (path, "0" * 64) for role, path in files.items()},
        )
        text = re.sub(r"<[^>]*>", " ", render(outcome, tmp_path / "report", "sfc train"))
        return re.sub(r"\s+", " ", text)

    return page


def test_the_page_of_peaks_says_what_they_are_compared_with_and_where(page_of_peaks):
    lines = [f"chr{c}\t{s}\t{s + 40}\n" for c in (1, 2, 3) for s in range(100, 3800, 90)]
    page = page_of_peaks([*lines, "chr9\t5\t9\n"])
    for text in (
        "p.bed: sep (SFC) network",
        "The negatives are the positives with their dinucleotides shuffled. A network may",
        "Windows of 60 bp; those with N",
        "Whole chromosomes, by their sizes: training chr1; validation chr2; test chr3. No two",
        f"{len(lines) + 1} peaks taken by their middle",
        "Left out: 1 positive: on a chromosome that the genome lacks.",
    ):
        assert text in page
    chosen = {"valid_chromosomes": ["chr1"], "test_chromosomes": ["chr2"]}
    page = page_of_peaks(lines, **chosen)
    assert "Chromosomes as asked for: training chr3; validation chr1; test chr2. No" in page
    assert "Left out: nothing." in page
    page = page_of_peaks([line for line in lines if "chr1" in line])
    assert "is cut into stretches: training chr1; validation chr1; test chr1. No" in page


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
    assert drawn == [True] * 6


def test_running_again_reads_the_run_and_writes_the_same_report(trained, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(trained / "runs"))
    monkeypatch.chdir(trained)
    before = (trained / "symm" / "report.html").read_bytes()
    again = sfc("train", *SYMM, *QUICK, "-o", "symm")
    assert again.exit_code == 0, again.output
    assert "training" not in again.output
    assert (trained / "symm" / "report.html").read_bytes() == before
    other = sfc("train", *SYMM, *QUICK, "--seed", "1", "-o", "symm")
    assert other.exit_code == 1
    assert "symm: expected a new folder or the one of run" in other.output


@pytest.mark.parametrize("content", ["", "{}", "[]", "1"])
def test_a_folder_with_something_else_is_left_alone(trained, tmp_path, monkeypatch, content):
    monkeypatch.chdir(trained)
    (tmp_path / "result.json").write_text(content)
    done = sfc("train", "--positives", "pos.fa", "--negatives", "neg.fa", "--output", tmp_path)
    assert done.exit_code == 1
    assert "result.json: expected a whole record, got " in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(("name", "members"), [("symm", 0), ("both", 2)])
def test_the_three_lines_beside_the_model_load_it(trained, name, members):
    lines, result = ((trained / name / n).read_text() for n in ("load_model.py", "result.json"))
    assert json.loads(result)["input"] == "codes"
    assert lines.count("\n") == 3
    text = html.unescape((trained / name / "report.html").read_text())
    assert lines in text
    converted = re.search("<pre>([^<]*with_one_hot.*?)</pre>", text, re.DOTALL)[1]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{lines}\n{converted}\nprint(model.input_shape, one_hot_model.input_shape)\n"
            "print(sum(layer.name.startswith('member') for layer in model.layers))",
        ],
        cwd=trained / name,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"(None, 60) (None, 60, 4)\n{members}\n"


def test_calibration_by_hand():
    labels = np.array([0, 0, 1, 1] * 20)
    guess, share, error = calibration(labels, np.array([0.1, 0.2, 0.6, 0.9] * 20))
    np.testing.assert_allclose(guess, [0.1, 0.2, 0.6, 0.9])
    assert share.tolist() == [0, 0, 1, 1]
    assert error.tolist() == [0, 0, 0, 0]
    rng = np.random.default_rng(0)
    truth = rng.random(50_000)
    guess, share, error = calibration((rng.random(50_000) < truth).astype(int), truth)
    assert len(guess) == 10
    assert (np.abs(share - guess) < 4 * error).all()
    assert len(calibration(labels[:7], np.linspace(0, 1, 7))[0]) == 1


def test_the_report_has_a_light_for_every_check(trained):
    page = (trained / "symm" / "report.html").read_text()
    table = re.search(r'<table class="audit">.*?</table>', page, re.DOTALL)[0]
    assert len(re.findall(r'<span class="light (green|amber|red)">', table)) == 8
    shown = (trained / "symm.log").read_text()
    assert re.search(r"audit +\d green", shown)


# Bases and motifs


def logos_of(page):
    """Names and probabilities above the logos of a report, and of which bases there are letters."""
    found = re.search(r'alt="Logos of[^>]*base64,([^"]*)"', page)[1]
    svg = base64.b64decode(found).decode()
    return re.findall(r"<!-- (\S+), probability ([\d.]+) -->", svg)


def motifs_in(page):
    """The rows of the first table of motifs, as text."""
    table = re.search(r"<caption>Motifs in.*?</table>", page, re.DOTALL)[0]
    rows = re.findall(r"<tr>(<td>.*?)</tr>", table, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]


@pytest.mark.parametrize("name", ["symm", "both"])
def test_logos_are_of_the_test_positives_with_the_highest_score(trained, name):
    options = json.loads((trained / name / "spec.json").read_text())["dataset_options"]
    test = load_dataset("custom", **options).test
    positives = set(decode(test.codes[test.labels[:, 0] == 1]))
    names = {row: f"s{i}" for i, row in enumerate(rows_of(200, 1, MOTIF))}
    guess = load_predictor(trained / name).model.predict(encode(list(names)), verbose=0)[:, 0]
    scored = [(p, n) for p, (row, n) in zip(guess, names.items(), strict=True) if row in positives]
    found = logos_of((trained / name / "report.html").read_text())
    assert found == [(n, f"{p:.2f}") for p, n in sorted(scored, reverse=True)[:4]]


def test_motifs_of_the_report_are_those_that_explain_finds(trained):
    page = (trained / "std" / "report.html").read_text()
    table = pd.read_csv(trained / "std" / "motifs.tsv", sep="\t")
    assert set(table["task"]) == {"GATA1 <b>", "even"}
    first = table[table["task"] == "GATA1 <b>"]
    options = json.loads((trained / "std" / "spec.json").read_text())["dataset_options"]
    test, predictor = load_dataset("custom", **options).test, load_predictor(trained / "std")
    codes = test.codes[test.labels[:, 0] == 1]
    found = explain(predictor, list(map(str, range(len(codes)))), codes, "GATA1 <b>")
    expected = find_motifs(predictor, found, shipped_motifs()).counts
    assert first[["motif", "seqlets", "in_shuffled", "sequences"]].values.tolist() == (
        expected[["motif", "seqlets", "in_shuffled", "sequences"]].values.tolist()
    )
    shown = motifs_in(page)
    assert [row[:3] for row in shown] == [
        [row.motif, str(row.seqlets), str(row.in_shuffled)] for row in first.head(12).itertuples()
    ]
    for row, want in zip(shown, first.itertuples(), strict=False):
        assert row[3] == f"{want.sequences} ({want.sequences / len(codes):.1%})"
        assert row[4] == f"{want.mean_added:+.3f}".replace("0.", ".").replace("-", "−")


def test_a_collection_of_ones_own_stands_in_the_report(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(trained / "runs"))
    monkeypatch.chdir(trained)
    rows = "".join(
        " ".join("0.97" if base == letter else "0.01" for base in "ACGT") + "\n" for letter in MOTIF
    )
    (tmp_path / "own.meme").write_text(
        f"MEME version 4\n\nMOTIF M1 PLANTED<i>\nletter-probability matrix: w= 8\n{rows}"
    )
    command = ("train", *SYMM, *QUICK, "--motifs", tmp_path / "own.meme", "-o", tmp_path / "out")
    done = sfc(*command)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out" / "motifs.tsv", sep="\t")
    assert set(found["motif"]) <= {"M1 PLANTED<i>", NO_MOTIF}
    assert "PLANTED<i>" not in (tmp_path / "out" / "report.html").read_text()
    begun = sfc(*command[:-1], tmp_path / "begun", "--start", "motifs")
    assert begun.exit_code == 0, begun.output
    spec = json.loads((tmp_path / "begun" / "spec.json").read_text())
    assert "MOTIF M1 PLANTED<i>" in spec["motifs"]
    page = (tmp_path / "begun" / "report.html").read_text()
    assert "filters that start at 1 of the collection's motifs and at k-mers," in page
    assert "PLANTED<i>" not in page
    (tmp_path / "own.meme").write_text("not a collection")
    done = sfc(*command)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "own.meme: expected at least one MOTIF" in done.output


def test_figures_of_more_tasks_than_colours_and_of_one_neuron():
    rng = np.random.default_rng(0)
    tasks = [f"task {number}" for number in range(12)]
    labels = rng.integers(0, 2, (50, 12))
    left, _ = draw_score_curves(labels, rng.random((50, 12)), tasks).axes
    panels = draw_importance(rng.normal(size=(12, 300)), tasks, [9] * 12).axes
    assert len(left.lines) - 1 == len(panels) == 8
    assert [len(panel.lines) for panel in panels] == [3] * 8  # zero, profile, smoothed
    weights = rng.normal(size=(9, 7))
    for rows in (weights, weights[:1], np.ones((3, 7))):
        (image,) = draw_positional_weights(rows).axes[0].collections
        shown = image.get_array().reshape(rows.shape)
        norms = np.linalg.norm(rows - rows.mean(axis=1, keepdims=True), axis=1)
        assert np.allclose(shown.sum(axis=1), 0)
        assert np.allclose(sorted(np.linalg.norm(shown, axis=1)), sorted((norms > 0).astype(float)))
