"""The scripts in `examples/` run to their end, with small data, and say what they should."""

import re
import subprocess
import sys

import pytest
from needs import need

from sfc_lib.files import checkout

EXAMPLES = checkout() / "examples"


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_torch():
    need("torch")
    said = run("in_torch.py", "--examples", "400", "--epochs", "1", "--curvature", "1")
    weights = [int(w.replace(",", "")) for w in re.findall(r"([\d,]+) weights", said)]
    assert weights == [117_503, 117_483, 106_467]  # the paper's three networks
    assert len(re.findall(r"auROC 0\.\d{4}\n", said)) == 3


@pytest.mark.parametrize("experiment", ["ctcf", "spi1"])
def test_torch_tools(experiment):
    for name in ("torch", "tangermeme", "captum"):
        need(name, "SFC_REQUIRE_TOOLS")
    said = run("torch_tools.py", experiment, "symm", "--sequences", "2")
    (difference,) = re.findall(r"differ by (\S+) at most", said)
    assert float(difference) < 1e-4  # of logits, which are large
    (added,) = re.findall(r"adds (-?[\d.]+) to the logit", said)
    assert float(added) > 1, "the network does not know its factor's motif"
    shares = {n: int(s) for n, s in re.findall(r"(.+): (\d+)% of all attribution", said)}
    assert shares.keys() == {"DeepLIFT/SHAP", "saturation mutagenesis", "integrated gradients"}
    assert min(shares.values()) > 10, "no more than by chance: the motif is 2 % of the window"
