"""`sfc runs show` and `sfc runs prune`."""

import re

import pytest
from click.testing import CliRunner

from sfc_lib.cli import main
from sfc_lib.files import checkout, runs_dir
from sfc_lib.runs.pool import ensure
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify_record

RECORD = verify_record(sorted((checkout() / "data" / "runs").glob("*/result.json"))[0].parent)

TINY = RunSpec(dataset_options={"examples": 80}, width=0.05, batch_size=16, epochs=2)


def sfc(*arguments, **options):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)


@pytest.mark.parametrize("verb", ["show", "prune", "retrain"])
def test_help_shows_an_example(verb):
    shown = sfc("runs", verb, "--help")
    assert f"Example: sfc runs {verb}" in shown.output


@pytest.mark.parametrize("digits", [16, 12])
def test_show_says_all_that_a_record_holds(digits):
    shown = sfc("runs", "show", RECORD.spec.id[:digits])
    assert shown.exit_code == 0
    for name, value in RECORD.spec.to_dict().items():
        assert f"  {name}: {value}\n" in shown.output
    for split in ("valid", "test"):
        _, _, after = shown.output.partition(f"\n{split}, epoch {RECORD.result['best_epoch']} of ")
        assert f"  auroc: {RECORD.result[split]['auroc']}\n" in after.split("\n\n")[0]
    rows = re.findall(r"^ +(\d+) +\d\.\d{6} +\d\.\d{6} +\d\.\d{6}$", shown.output, re.M)
    assert list(map(int, rows)) == [line["epoch"] for line in RECORD.history()]
    assert f"  commit: {RECORD.result['environment']['commit']}\n" in shown.output
    assert f"  dataset: {RECORD.result['dataset_fingerprint']}\n" in shown.output


def test_retrain_trains_anew_and_compares(monkeypatch):
    (record,) = ensure([TINY], jobs=1, published=False, progress=False)
    before = (record.folder / "result.json").read_bytes()
    shown = sfc("runs", "retrain", TINY.id)
    assert shown.exit_code == 0, shown.output
    assert f"again {record.result['valid']['auroc']:.6f} (+0.000000)" in shown.output
    for name in ("history.jsonl", "W_pos.npy", "model.keras"):
        assert f"  {name}: the same bytes" in shown.output
    assert (record.folder / "result.json").read_bytes() == before


def test_retrain_of_fewer_epochs_compares_the_last_of_them():
    (record,) = ensure([TINY], jobs=1, published=False, progress=False)
    shown = sfc("runs", "retrain", TINY.id, "--epochs", 1)
    assert shown.exit_code == 0, shown.output
    first = record.history()[0]["valid_auroc"]
    assert f"valid auroc, epoch 1: {first:.6f}, again {first:.6f} (+0.000000)" in shown.output
    assert "epochs: 2, again 1" in shown.output
    assert "test auroc" not in shown.output, "the test set is judged after the best epoch only"


@pytest.mark.parametrize(
    ("run", "status", "message"),
    [
        ("../x", 1, "run must be 1 to 16 hexadecimal digits, got '../x'"),
        ("*", 1, "got '*'"),
        ("f" * 16, 1, "no run ffffffffffffffff in "),
        ("0", 1, "run 0 may be any of 0"),
    ],
)
def test_show_refuses_what_is_no_run(run, status, message):
    shown = sfc("runs", "show", run)
    assert shown.exit_code == status
    assert message in shown.output


def test_show_of_a_damaged_record_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    (tmp_path / ("a" * 16)).mkdir()
    (tmp_path / ("a" * 16) / "result.json").write_text("{}")
    shown = sfc("runs", "show", "a")
    assert shown.exit_code == 1
    assert f"{'a' * 16}/result.json: expected a whole record" in shown.output


@pytest.fixture
def begun():
    folder = runs_dir() / ("0" * 16)
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(b"state")
    (folder / ".checkpoint.x.tmp").write_bytes(b"half")
    aside = runs_dir() / f"{'1' * 16}.damaged-20260101T000000"
    aside.mkdir()
    return folder


def names():
    return sorted(path.name for path in runs_dir().rglob("*") if not path.name.endswith(".lock"))


def test_prune_asks_and_does_nothing_unless_told(begun):
    before = names()
    asked = sfc("runs", "prune", "--damaged", "--unfinished", input="n\n")
    assert asked.exit_code == 1
    assert "Remove these 3 from" in asked.output
    assert names() == before


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([], ["0" * 16, "1" * 16 + ".damaged-20260101T000000", "checkpoint"]),
        (["--damaged"], ["0" * 16, "checkpoint"]),
        (["--unfinished"], ["1" * 16 + ".damaged-20260101T000000"]),
        (["--damaged", "--unfinished"], []),
    ],
)
def test_prune_removes_what_it_names(options, left, begun):
    done = sfc("runs", "prune", "--yes", *options)
    assert done.exit_code == 0
    assert f"{'0' * 16}/.checkpoint.x.tmp" in done.output
    assert f"{1 + len(options)} removed from {runs_dir()}." in done.output
    assert names() == left
    assert "\n0 removed" in "\n" + sfc("runs", "prune", *options).output
