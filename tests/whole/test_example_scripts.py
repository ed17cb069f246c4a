"""The scripts in `examples/` run as they stand, with little data, and print what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES = EXAMPLES.parent / "book"


def printed(name, *arguments, folder):
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_keras_model(tmp_path):
    text = printed("keras_model.py", "--examples", "400", "--epochs", "1", folder=tmp_path)
    weights = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) weights, ", text)]
    yours, symmetric, folded = weights[0], weights[-2], weights[-1]
    assert symmetric < yours == folded
    assert re.search(r"They keep [89]\d\.\d\d% of the kernel's energy", text)
    assert float(re.search(r"differ by at most (\S+)", text)[1]) < 1e-5
    assert "read again: SeparableModel" in text
    assert (tmp_path / "separated.keras").exists()


def test_crested_model(tmp_path, require_package):
    require_package("crested")
    text = printed("crested_model.py", "--filters", "32", "--dense", "32", folder=tmp_path)
    first, *others, folded = (
        int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) weights", text)
    )
    assert len(others) == 2
    assert max(others) < first == folded


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_script_has_a_page_that_shows_it(script):
    page = (PAGES / script).with_suffix(".md").read_text()
    assert f"{{literalinclude}} ../examples/{script}" in page
    assert f"python examples/{script}" in page
    assert f"file: {Path(script).stem}\n" in (PAGES / "_toc.yml").read_text()
