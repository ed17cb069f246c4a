"""A training step of the torch layer, against fully connected layers and the naive form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from contenders import AUTHORS, EQUAL, OURS, Shape
from measure import Measurement, Size, compared, interleaved
from torch import nn

from sections.layers import BATCHES, LONG, SHAPES
from sfc_lib.nn.torch_layer import SeparableFC

NOT_SLOWER = 1.05  # finer differences than this can't be told from noise
PLACES: dict[str, Shape] = {**SHAPES, "L = 1,000": LONG["L = 1,000"]}


class Naive(SeparableFC):
    """The outer products, multiplied with the flat input; mirrored first when symmetric."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = self.positional_weights()[:, :, None] * self.W_chan[:, None, :]
        return nn.functional.linear(x.flatten(1), kernel.flatten(1))


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Twelve shapes, plain and symmetric: four places in a network at three batch sizes."""
    torch.manual_seed(0)
    places = size.pick(["ChIP-seq"], list(PLACES))
    for place, batch, variant in product(places, size.pick(BATCHES[:1], BATCHES), ("sep", "symm")):
        length, channels, units = PLACES[place]
        equal = max(1, round(units * (length + channels) / (length * channels)))
        contenders = {
            AUTHORS: Naive(units, length, channels, variant == "symm"),
            OURS: SeparableFC(units, length, channels, variant == "symm"),
        }
        if variant == "sep":
            dense = nn.Linear(length * channels, equal, bias=False)
            contenders[EQUAL] = nn.Sequential(nn.Flatten(), dense)
        x = torch.randn(batch, length, channels)
        steps = {name: step(layer, x) for name, layer in contenders.items()}
        times = interleaved(steps, size.pick(2, 5 if length > 100 else 15))
        yield from compared(
            f"torch layer, {place}, {variant}, batch {batch}",
            "CPU s",
            times,
            AUTHORS,
            {OURS: {"at_most": NOT_SLOWER}},
            kind="torch layer",
            shape=place,
            variant=variant,
            batch=batch,
            sizes=[length, channels, units],
        )


def step(layer: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """A function that computes the output and all gradients, by input and weights, once."""
    inputs = x.clone().requires_grad_()
    above = torch.randn_like(layer(inputs))
    by = [inputs, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(inputs), by, above)
