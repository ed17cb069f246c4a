"""The command `sfc`: thin verbs, and one clear message for every foreseeable error."""

import json
import re

import pytest
from click.testing import CliRunner

from sfc_lib.cli import main
from sfc_lib.files import checkout

COMMANDS = [
    ["sweep"], ["runs", "list"], ["runs", "verify"], ["runs", "publish"], ["notebook"],
    ["claims"], ["book"], ["data", "list"], ["data", "fetch"], ["data", "verify"],
    ["data", "build"], ["train"], ["predict"],
]  # fmt: skip


def sfc(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(command):
    shown = sfc(*command, "--help")
    assert shown.exit_code == 0
    assert f"Example: sfc {' '.join(command)}" in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["notebook", "figure9"], "notebook must be one of"),
        (["notebook", "figure1_performance", "-p", "sedes", "3"], "got 'sedes'"),
        (["notebook", "figure1_performance", "-p", "seeds", "many"], "parameter seeds: expected"),
        (
            ["sweep", "enormous"],
            "size must be one of ['smoke', 'quick', 'standard', 'full']",
        ),
        (["sweep", "smoke", "--seeds", "-1"], "seeds must be an integer >= 1"),
        (["claims", "--size", "x"], "size must be one of"),
        (["data", "fetch", "nothing.gz"], "no source file 'nothing.gz'"),
    ],
)
def test_bad_input_is_one_message_without_a_traceback(arguments, message):
    done = sfc(*arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def test_list_parameters_shows_type_default_and_comment():
    shown = sfc("notebook", "figure1_performance", "--list-parameters")
    assert "seeds: int = 0  # number of random seeds" in shown.output


def test_verify_and_list_read_the_published_store():
    count = len(list((checkout() / "data" / "runs").glob("*/result.json")))
    assert sfc("runs", "verify").output == f"{count} records, 0 bad.\n"
    lines = sfc("runs", "list").output.splitlines()
    assert len(lines) == count
    assert any("chip_seq CTCF" in line and "symm" in line for line in lines)
    assert any("hematopoiesis" in line and "CR 100" in line for line in lines)


def test_verify_names_a_damaged_record_and_fails(tmp_path):
    (tmp_path / "0123").mkdir()
    (tmp_path / "0123" / "result.json").write_text("{")
    done = sfc("runs", "verify", tmp_path)
    assert done.exit_code == 1
    assert "1 bad records" in done.output
    assert "0123/result.json" in done.output


def test_sweep_trains_a_profile_then_publishes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("SFC_PUBLISHED_DIR", str(tmp_path / "published"))
    done = sfc("sweep", "smoke", "--seeds", "1", "--no-published")
    assert "3 runs complete, of which diverged: 0." in done.output
    done = sfc("runs", "publish", "--size", "smoke")
    assert "3 of 6 records published." in done.output
    assert sfc("runs", "verify").output == "3 records, 0 bad.\n"


def test_claims_prints_verdicts():
    shown = sfc("claims", "--seeds", "3")
    assert re.search(r"Of (\d+) comparisons: \1 too few seeds\.", shown.output)
    assert max(map(len, shown.output.splitlines())) <= 80
    records = json.loads(sfc("claims", "--seeds", "3", "--format", "json").output)
    assert {record["verdict"] for record in records} == {"too few seeds"}
    table = sfc("claims", "--seeds", "3", "--format", "csv").output.splitlines()
    assert len(table) == 1 + len(records)


def test_claims_never_train_but_say_what_does():
    shown = sfc("claims", "--size", "smoke", "--no-published")
    assert shown.exit_code == 1
    assert "6 of 6 runs have no record: simulated_tf (std 2, sep 2, symm 2)" in shown.output
    assert "`sfc sweep smoke --no-published` trains them." in shown.output
