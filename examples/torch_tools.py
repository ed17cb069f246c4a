"""tangermeme and captum on a published network.

    pip install "sfc_lib[tensorflow,tools]"
    python examples/torch_tools.py ctcf symm

In a clone of the repository, where the published records are.
"""

import argparse
import os
import sys
from pathlib import Path

try:
    import torch
    from captum.attr import IntegratedGradients
    from tangermeme.deep_lift_shap import deep_lift_shap
    from tangermeme.ersatz import dinucleotide_shuffle
    from tangermeme.marginalize import marginalize
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis
    from tangermeme.utils import random_one_hot
except ModuleNotFoundError as error:
    sys.exit(f'This example needs {error.name}: pip install "sfc_lib[tensorflow,tools]"')

import keras
import numpy as np

from sfc_lib import load_published, to_torch

RECORDS = Path(__file__).resolve().parent.parent / "data" / "runs"
os.environ.setdefault("SFC_PUBLISHED_DIR", str(RECORDS))  # of this clone, wherever sfc_lib is
MOTIFS = {"ctcf": "TGGCCACCAGGGGGCGCTA", "spi1": "AAAGAGGAAGTG", "max": "CCACGTGG"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("experiment", nargs="?", default="ctcf", choices=MOTIFS)
    options.add_argument("model", nargs="?", default="symm")
    options.add_argument("--sequences", type=int, default=20)
    chosen = options.parse_args()
    motif = MOTIFS[chosen.experiment]

    # A Keras model on base codes becomes a torch module on one-hot sequences. Attributions are
    # taken of the logit; folded, the SFC layer and the Dense behind it are one nn.Linear.
    published = load_published(chosen.experiment, chosen.model)
    network = published.model
    logits = keras.Model(network.input, network.get_layer("logits").output)
    model = to_torch(logits, folded=True)

    x = random_one_hot((chosen.sequences, 4, published.length), random_state=0).float()
    codes = x.argmax(1).to(torch.uint8).numpy()
    with torch.no_grad():
        difference = np.abs(model(x).numpy() - logits.predict_on_batch(codes)).max()
    print(f"Keras and torch differ by {difference:.1e} at most")

    before, after = marginalize(model, x, motif, device="cpu")
    print(f"{motif} in the middle adds {(after - before).mean():.2f} to the logit, on average")

    start = (published.length - len(motif)) // 2
    inside = slice(start, start + len(motif))
    x[:, :, inside] = one_hot(motif)
    shuffled = dinucleotide_shuffle(x, n=5, random_state=0)
    found = {
        "DeepLIFT/SHAP": deep_lift_shap(model, x, references=shuffled, device="cpu"),
        "saturation mutagenesis": x[:2]
        * saturation_mutagenesis(model, x[:2], device="cpu", target=0),
        "integrated gradients": x * IntegratedGradients(model).attribute(x, target=0).float(),
    }
    for name, scores in found.items():
        share = scores[:, :, inside].abs().sum() / scores.abs().sum()
        print(f"{name}: {share:.0%} of all attribution lies in the motif's {len(motif)} bp")


def one_hot(bases: str) -> torch.Tensor:
    """(4, length), A, C, G, T in this order."""
    return torch.eye(4)[["ACGT".index(base) for base in bases]].T


if __name__ == "__main__":
    main()
