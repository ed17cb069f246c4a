"""The SFC layer in a plain torch network, beside the same network with nn.Flatten and nn.Linear.

    pip install "sfc_lib[torch]"
    python examples/in_torch.py

Simulated TF binding, generated here, the paper's 8,000 sequences.
No Keras is imported. `--examples 800 --epochs 2` only shows that it runs.
"""

import argparse
import sys

try:
    import torch
    from torch import nn
except ModuleNotFoundError as error:
    sys.exit(f'This example needs {error.name}: pip install "sfc_lib[torch]"')

from sklearn.metrics import roc_auc_score

from sfc_lib import load_dataset
from sfc_lib.datasets.base import Split
from sfc_lib.nn.torch_layer import SeparableFC, curvature


def network(readout: nn.Module, outputs: int, tasks: int) -> nn.Sequential:
    """The paper's network for 200 bp; `readout` turns maps (batch, 50, 35) into `outputs`."""
    return nn.Sequential(
        nn.Conv1d(4, 50, 11),
        nn.ReLU(),
        nn.Conv1d(50, 50, 11),
        nn.ReLU(),
        nn.MaxPool1d(10, 5),
        readout,
        nn.Linear(outputs, 50),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(50, tasks),
    )


def one_hot(split: Split) -> torch.Tensor:
    """Sequences as torch people have them: float32 (examples, 4, length); an N is all zeros."""
    codes = torch.from_numpy(split.codes.copy())
    return (codes[:, None] == torch.arange(4)[:, None]).float()


def train(model: nn.Module, split: Split, epochs: int, strength: float) -> None:
    """Adam on the cross-entropy, plus the curvature of W_pos where there is one."""
    x, y = one_hot(split), torch.from_numpy(split.labels.copy()).float()
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(100):
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
            if isinstance(model[5], SeparableFC):
                loss = loss + curvature(model[5].W_pos, strength)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def score(model: nn.Module, split: Split) -> float:
    """auROC, mean of the tasks."""
    return float(roc_auc_score(split.labels, model.eval()(one_hot(split))))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--examples", type=int, default=8000)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--curvature", type=float, default=0.0)
    chosen = options.parse_args()
    data = load_dataset("simulated_tf", examples=chosen.examples)
    tasks = len(data.task_names)
    readouts = {
        "nn.Flatten + nn.Linear": (nn.Flatten(), 35 * 50),
        "SFC": (SeparableFC(648, 35, 50, channels_first=True), 648),
        "symmetric SFC": (SeparableFC(648, 35, 50, symmetric=True, channels_first=True), 648),
    }
    for name, (readout, outputs) in readouts.items():
        torch.manual_seed(0)
        model = network(readout, outputs, tasks)
        train(model, data.train, chosen.epochs, chosen.curvature)
        weights = sum(p.numel() for p in model.parameters())
        print(f"{name}: {weights:,} weights, validation auROC {score(model, data.valid):.4f}")


if __name__ == "__main__":
    main()
