"""The scripts in `examples/` run as they stand, with little data, and print what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need

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


def test_crested_model(tmp_path):
    need("crested", "SFC_REQUIRE_TOOLS")
    text = printed("crested_model.py", "--filters", "32", "--dense", "32", folder=tmp_path)
    first, *others, folded = (
        int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) weights", text)
    )
    assert len(others) == 2
    assert max(others) < first == folded


def test_in_torch(tmp_path):
    need("torch")
    options = ("--examples", "400", "--epochs", "1", "--curvature", "1")
    said = printed("in_torch.py", *options, folder=tmp_path)
    weights = [int(w.replace(",", "")) for w in re.findall(r"([\d,]+) weights", said)]
    assert weights == [117_503, 117_483, 106_467]  # the paper's three networks
    assert len(re.findall(r"auROC 0\.\d{4}\n", said)) == 3


@pytest.mark.parametrize("experiment", ["ctcf", "spi1"])
def test_torch_tools(experiment, tmp_path):
    for name in ("torch", "tangermeme", "captum"):
        need(name, "SFC_REQUIRE_TOOLS")
    said = printed("torch_tools.py", experiment, "symm", "--sequences", "2", folder=tmp_path)
    (difference,) = re.findall(r"differ by (\S+) at most", said)
    assert float(difference) < 1e-4  # of logits, which are large
    (added,) = re.findall(r"adds (-?[\d.]+) to the logit", said)
    assert float(added) > 1, "the network does not know its factor's motif"
    shares = {n: int(s) for n, s in re.findall(r"(.+): (\d+)% of all attribution", said)}
    assert shares.keys() == {"DeepLIFT/SHAP", "saturation mutagenesis", "integrated gradients"}
    assert min(shares.values()) > 10, "no more than by chance: the motif is 2 % of the window"


@pytest.mark.parametrize(
    ("script", "package", "install"),
    [
        ("crested_model.py", "crested", "'crested[motif]'"),
        ("in_torch.py", "torch", '"sfc_lib[torch]"'),
        ("torch_tools.py", "torch", '"sfc_lib[tensorflow,tools]"'),
    ],
)
def test_without_its_package_a_script_says_in_one_line_what_to_install(script, package, install):
    run = "import runpy, sys; sys.modules[sys.argv[1]] = None; runpy.run_path(sys.argv[2])"
    command = [sys.executable, "-c", run, package, EXAMPLES / script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    words = rf"This example needs {package}[\w.]*: pip install {re.escape(install)}\n"
    assert re.fullmatch(words, done.stderr)


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_script_has_a_page_that_shows_it(script):
    page = (PAGES / script).with_suffix(".md").read_text()
    assert f"{{literalinclude}} ../examples/{script}" in page
    assert f"python examples/{script}" in page
    assert f"file: {Path(script).stem}\n" in (PAGES / "_toc.yml").read_text()
