"""The command `sfc`: thin verbs, and one line for everything that a user can mend."""

import json
import re
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from tiny import TINY
from tqdm import tqdm

from sfc_lib.cli import main
from sfc_lib.errors import UserError
from sfc_lib.files import checkout, runs_dir
from sfc_lib.runs import sizes
from sfc_lib.runs.store import verify_record

RECORD = verify_record(sorted((checkout() / "data" / "runs").glob("*/result.json"))[0].parent)


def sfc(*arguments, **options):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)


@pytest.fixture
def mine(finished):
    """The record of TINY, which is in your own store."""
    return verify_record(shutil.copytree(finished / TINY.id, runs_dir() / TINY.id))


def verbs(command=main, words=()):
    """Every verb there is, as the words to type."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from verbs(inner, (*words, name))
    else:
        yield words


@pytest.mark.parametrize("words", list(verbs()), ids=" ".join)
def test_help_shows_an_example(words):
    shown = sfc(*words, "--help")
    assert shown.exit_code == 0
    assert f"Example: sfc {' '.join(words)}" in " ".join(shown.output.split())


def test_help_says_how_to_get_completion_and_completion_works():
    assert 'eval "$(_SFC_COMPLETE=bash_source sfc)"' in sfc("--help").output
    done = CliRunner().invoke(
        main, prog_name="sfc", env={"_SFC_COMPLETE": "bash_complete", "COMP_WORDS": "sfc da",
                                    "COMP_CWORD": "1"}
    )  # fmt: skip
    assert done.output == "plain,data\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["notebook", "figure9"], 1, "notebook must be one of"),
        (["notebook", "figure1_performance", "-p", "sedes", "3"], 1, "got 'sedes'"),
        (["notebook", "figure1_performance", "-p", "seeds", "many"], 1, "seeds: expected"),
        (
            ["notebook", "figure1_performance", "-o", "/proc/x/y.ipynb"],
            1,
            "/proc/x: expected a folder that can be written to, got: ",
        ),
        (["book", "-o", "/proc/x/y"], 1, "/proc/x: expected a folder that can be written"),
        (["book", "-o", __file__ + "/x"], 1, "test_cli.py: expected a folder that can be wr"),
        (["runs", "publish", "/proc/x"], 1, "/proc/x: expected a folder that can be written"),
        (["runs", "list", "/nowhere"], 2, "'/nowhere' does not exist"),
        (
            ["sweep", "enormous"],
            1,
            "size must be one of ['smoke', 'quick', 'standard', ",
        ),
        (["sweep", "smoke", "--seeds", "-1"], 2, "-1 is not in the range x>=0"),
        (["sweep", "smoke", "--jobs", "0"], 2, "0 is not in the range x>=1"),
        (["claims", "--size", "x"], 1, "size must be one of"),
        (["data", "fetch", "nothing.gz"], 1, "no source file 'nothing.gz'"),
    ],
)
def test_bad_input_is_one_message_without_a_traceback(arguments, status, message):
    done = sfc(*arguments)
    assert message in " ".join(done.output.split())
    assert done.exit_code == status
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("variable", ["SFC_DATA_DIR", "SFC_RUNS_DIR"])
def test_a_folder_that_cannot_be_made_is_one_line(variable, monkeypatch):
    monkeypatch.setenv(variable, "/proc/nowhere")
    verb = ["data", "build", "simulated_tf"] if "DATA" in variable else ["sweep", "smoke"]
    done = sfc(*verb, *(["--no-published"] if verb[0] == "sweep" else []))
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: /proc/nowhere\S*: .+\n", done.output)
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError("wrong"), KeyError("wrong")])
def test_what_nobody_foresaw_shows_itself(error, monkeypatch):
    def broken(*_):
        raise error

    monkeypatch.setattr(sizes, "load_size", broken)
    assert sfc("sweep", "smoke").exception is error


def test_verbs_begin_without_what_they_do_not_need():
    """So that a bad parameter is said within a second."""
    code = (
        "import sys; from sfc_lib.cli import main\n"
        "try: main(['sweep', 'enormous'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "keras", "matplotlib", "papermill", "sklearn", "scipy"}
    assert not heavy & set(done.stdout.split())


def test_progress_off_a_terminal_is_a_line_now_and_then(monkeypatch):
    def working(*_):
        for step in tqdm(range(1000), desc="work", mininterval=0, miniters=1):
            if step == 500:
                print("half", file=sys.stderr)
        raise UserError("done")

    monkeypatch.setattr(sizes, "load_size", working)
    first, half, last, error = sfc("sweep", "smoke").output.splitlines()
    assert first.startswith("work:   0%|")
    assert (half, error) == ("half", "Error: done")
    assert last.startswith("work: 100%|")


def test_list_parameters_shows_type_default_and_comment():
    shown = sfc("notebook", "figure1_performance", "--list-parameters")
    assert "seeds: int | list = 0  # number of random seeds" in shown.output


def test_verify_and_list_read_the_published_store():
    count = len(list((checkout() / "data" / "runs").glob("*/result.json")))
    assert sfc("runs", "verify").output == f"{count} records, 0 bad.\n"
    lines = sfc("runs", "list").output.splitlines()
    assert len(lines) == count
    assert any("chip_seq CTCF" in line and "symm" in line for line in lines)
    assert any("hematopoiesis" in line and "CR 100" in line for line in lines)


def test_list_shows_your_own_records_too_unless_a_store_is_named(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path))
    shutil.copytree(RECORD.folder, tmp_path / RECORD.folder.name)
    lines = sfc("runs", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == [RECORD.spec.id, mine.spec.id]
    assert sfc("runs", "list", runs_dir()).output == f"{lines[-1]}\n"


@pytest.mark.parametrize("verb", ["list", "verify"])
def test_a_damaged_record_is_named_and_hides_no_other(verb, mine):
    (runs_dir() / "0123").mkdir()
    (runs_dir() / "0123" / "result.json").write_text("{")
    done = sfc("runs", verb, runs_dir())
    assert done.exit_code == 1
    assert "1 bad records" in done.output
    assert "0123/result.json" in done.output
    assert (TINY.id in done.output) == (verb == "list")


def test_sweep_trains_a_size_then_publishes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    done = sfc("sweep", "smoke", "--only", "sep", "--seeds", "1", "--no-published")
    assert "1 runs complete, of which diverged: 0." in done.output
    done = sfc("runs", "publish", "--size", "smoke")
    assert "1 of 6 records published." in done.output
    assert sfc("runs", "verify", tmp_path / "published").output == "1 records, 0 bad.\n"


def test_claims_prints_verdicts():
    shown = sfc("claims", "--seeds", "3")
    assert re.search(r"^Of \d+ claims of the paper ", shown.output, re.MULTILINE)
    assert max(map(len, shown.output.splitlines())) <= 80
    content = json.loads(sfc("claims", "--seeds", "3", "--json").output)
    rows = [row for claim in content["claims"] for row in claim["comparisons"]]
    assert {row["seeds"] for row in rows} <= {0, 1, 2, 3}
    both = sfc("claims", "--json", "--format", "csv")
    assert both.exit_code == 2
    assert "Expected --json or --format csv, got both." in both.output
    table = sfc("claims", "--seeds", "3", "--format", "csv").output.splitlines()
    assert len(table) == 1 + len(rows)


def test_claims_never_train_but_say_what_does():
    shown = sfc("claims", "--size", "smoke", "--no-published")
    assert shown.exit_code == 1
    assert "6 of 6 runs have no record: simulated_tf (std 2, sep 2, symm 2)" in shown.output
    assert "`sfc sweep smoke --no-published` trains them." in shown.output


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


def test_retrain_trains_anew_and_compares(mine):
    before = (mine.folder / "result.json").read_bytes()
    shown = sfc("runs", "retrain", TINY.id)
    assert shown.exit_code == 0, shown.output
    assert f"again {mine.result['valid']['auroc']:.6f} (+0.000000)" in shown.output
    for name in ("history.jsonl", "W_pos.npy", "model.keras"):
        assert f"  {name}: the same bytes" in shown.output
    assert (mine.folder / "result.json").read_bytes() == before


def test_retrain_of_fewer_epochs_compares_the_last_of_them(mine):
    shown = sfc("runs", "retrain", TINY.id, "--epochs", 1)
    assert shown.exit_code == 0, shown.output
    first = mine.history()[0]["valid_auroc"]
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


def test_a_home_folder_behind_an_equals_sign_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.fa").write_text("no FASTA\n")
    done = sfc("train", "--positives=~/mine.fa", "--negatives=~/mine.fa")
    assert f"{tmp_path / 'mine.fa'}" in done.output
    assert "does not exist" not in done.output
