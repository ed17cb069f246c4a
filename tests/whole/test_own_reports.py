"""The reports on the page *Your own data* are those of its commands, and of their own words."""

import re
import shlex

import pytest
from scripts import benchmark

from sfc_lib.files import checkout

ROOT = checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="needs the checkout")


@pytest.fixture(scope="module")
def own_reports():
    """`benchmarks/own_reports.py` as a module."""
    return benchmark("own_reports")


def test_the_page_holds_what_the_reports_say(own_reports):
    text = own_reports.PAGE.read_text()
    assert own_reports.with_part(text, "reports", own_reports.table()) == text


def test_each_report_is_of_a_command_on_the_page(own_reports):
    code = "".join(code for _, code in own_reports.blocks(own_reports.PAGE.read_text()))
    commands = [
        shlex.split(line)
        for line in code.replace("\\\n", " ").splitlines()
        if line.startswith("sfc train")
    ]
    by_folder = {command[command.index("-o") + 1]: command for command in commands}
    assert set(own_reports.REPORTS) <= set(by_folder)
    for name in own_reports.REPORTS:
        text = (own_reports.PLACE / f"{name}.html").read_text()
        assert by_folder[name] in [
            shlex.split(found) for found in re.findall(r"sfc train [^<\n]+", text)
        ]


def test_the_reports_are_small_and_load_nothing(own_reports):
    assert {path.stem for path in own_reports.PLACE.iterdir()} == set(own_reports.REPORTS)
    for path in own_reports.PLACE.iterdir():
        text = path.read_text()
        assert len(text) < 3e6
        assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", text)


def test_blocks_are_those_of_the_sections(own_reports):
    text = "\n".join(
        [
            *("## Other", "```bash", "no", "```", "## Example files", "```python", "a = 1", "```"),
            *("words", "```bash", "b \\", "  c", "```", "## A TF from start to end"),
            *(
                "```bash",
                "first",
                "```",
                "## Measurements, as of an MPRA",
                "```bash",
                "last",
                "```",
                "",
            ),
        ]
    )
    assert own_reports.blocks(text) == [
        ("bash", "first\n"),
        ("python", "a = 1\n"),
        ("bash", "b \\\n  c\n"),
        ("bash", "last\n"),
    ]
