"""The same layer as a plain `torch.nn.Module`, with its curvature penalty and constraint; and
the regression on k-mers that stands beside a network.

Only torch is imported, so that this file may stand in a project without Keras. Numbers are
those of `sfc_lib.SeparableFC`: weights, how they start, outputs and gradients.
"""

from __future__ import annotations

import operator

import torch
from torch import nn

INITIALIZERS = ("paper", "variance", "glorot", "normal", "orthogonal", "rank_one")
PRODUCT_FROM = 100  # neurons from which on their weights are faster as matrix products
FOLD_FROM = 32  # neurons from which on folding a symmetric layer's input saves more than it costs


class SeparableFC(nn.Module):
    """Fully connected layer whose weights are outer products of position and channel.

    `y[b, k] = Σ_l Σ_c x[b, l, c] · W_pos[k, l] · W_chan[k, c]`. It stands in place of
    `nn.Flatten`, directly behind the last convolution or pooling; no bias, no activation.

    Weights: `W_pos`, shape (units, length), or (units, ceil(length / 2)) when symmetric;
    `W_chan`, shape (units, channels). Those of a Keras layer go in and out as they are:
    `load_state_dict(dict(zip(("W_pos", "W_chan"), map(torch.tensor, layer.get_weights()))))`
    and `layer.set_weights([w.numpy() for w in twin.state_dict().values()])`.

    Args:
        units: Number of SFC neurons, an integer ≥ 1.
        length: Positions of the input.
        channels: Channels of the input.
        symmetric: Store only half of `W_pos` and mirror it around the centre.
        initializer: How both weights start, one of `INITIALIZERS`, which
            `sfc_lib.nn.initializers.factor_initializers` explains.
        channels_first: Whether the input is (batch, channels, length), as behind `nn.Conv1d`.
        device, dtype: Of the weights.

    Input shape: (batch, length, channels), or (batch, channels, length).
    Output shape: (batch, units).

    Raises:
        ValueError: A bad argument, or an input of another shape.

    Example:

    >>> layer = SeparableFC(648, 35, 50, symmetric=True, channels_first=True)
    >>> layer(torch.ones(2, 50, 35)).shape, layer.W_pos.shape
    (torch.Size([2, 648]), torch.Size([648, 18]))
    >>> penalty = curvature(layer.W_pos, strength=10.0)  # added to the loss
    >>> limit_curvature_(layer.W_pos, 0.1).shape  # called after each optimizer.step()
    torch.Size([648, 18])
    """

    def __init__(
        self,
        units: int,
        length: int,
        channels: int,
        symmetric: bool = False,
        initializer: str = "paper",
        channels_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"units": units, "length": length, "channels": channels}
        units, length, channels = (_positive(value, name) for name, value in sizes.items())
        for name, value in (("symmetric", symmetric), ("channels_first", channels_first)):
            if not isinstance(value, bool):
                raise ValueError(f"SeparableFC: {name} must be True or False, got {value!r}.")
        if initializer not in INITIALIZERS:
            raise ValueError(
                f"SeparableFC: initializer must be one of {INITIALIZERS}, got {initializer!r}."
            )
        self.units, self.length, self.channels = units, length, channels
        self.symmetric, self.initializer = symmetric, initializer
        self.channels_first = channels_first
        stored = -(-length // 2) if symmetric else length
        self.W_pos = nn.Parameter(torch.empty(units, stored, device=device, dtype=dtype))
        self.W_chan = nn.Parameter(torch.empty(units, channels, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw both weights anew."""
        stored, size = self.W_pos.shape[1], self.length * self.channels
        if self.initializer == "rank_one":  # of a glorot_uniform kernel, the nearest product
            precision = torch.promote_types(self.W_pos.dtype, torch.float32)  # that svd has
            shape = self.units, self.length, self.channels
            kernel = self.W_pos.new_empty(shape, dtype=precision)
            kernel.uniform_(-1, 1).mul_((6 / (size + self.units)) ** 0.5)
            if self.symmetric:
                kernel = (kernel + kernel.flip(1)) / 2
            left, values, right = torch.linalg.svd(kernel, full_matrices=False)
            self.W_pos.copy_(values[:, :1].sqrt() * left[:, :stored, 0])
            self.W_chan.copy_(values[:, :1].sqrt() * right[:, 0])
            return
        paper = (2 / (stored * self.channels + self.units)) ** 0.25
        variance = (18 / (size + self.units)) ** 0.25
        for weights in (self.W_pos, self.W_chan):
            match self.initializer:
                case "paper":
                    nn.init.uniform_(weights, -paper, paper)
                case "variance":
                    nn.init.uniform_(weights, -variance, variance)
                case "glorot":
                    nn.init.xavier_uniform_(weights)
                case "normal":
                    nn.init.normal_(weights, std=0.01)
                case "orthogonal":
                    nn.init.orthogonal_(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (self.length, self.channels)
        shape = shape[::-1] if self.channels_first else shape
        if x.ndim != 3 or x.shape[1:] != shape:
            raise ValueError(
                f"SeparableFC: expected input of shape (batch, {shape[0]}, {shape[1]}), "
                f"got {tuple(x.shape)}."
            )
        if self.channels_first:
            x = x.transpose(1, 2)  # (batch, length, channels)
        if self.symmetric and self.units >= FOLD_FROM:
            half = self.length // 2  # for an odd length the centre is used once
            folded = x[:, :half] + x[:, self.length - half :].flip(1)
            x = torch.cat([folded, x[:, half : self.length - half]], dim=1)
            return separable_sum(x, self.W_pos, self.W_chan)
        return separable_sum(x, self.positional_weights(), self.W_chan)

    def positional_weights(self) -> torch.Tensor:
        """The whole `W_pos`, shape (units, length), mirrored if the layer is symmetric."""
        if not self.symmetric:
            return self.W_pos
        return torch.cat([self.W_pos, self.W_pos[:, : self.length // 2].flip(1)], dim=1)

    def extra_repr(self) -> str:
        return (
            f"{self.units}, length={self.length}, channels={self.channels}, "
            f"symmetric={self.symmetric}, channels_first={self.channels_first}"
        )


class KmerRegression(nn.Module):
    """A network's logits and a regression on k-mers and where they stand, added: as Keras's here.

    Args:
        k: bp.
        places: Positions where a k-mer starts, length − k + 1.
        tasks: Number of outputs.

    Input shapes: one-hot sequences (batch, 4, length), and logits (batch, tasks).
    Output shape: (batch, tasks).

    Example:

    >>> KmerRegression(6, places=45, tasks=2)(torch.ones(5, 4, 50), torch.ones(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, k: int, places: int, tasks: int) -> None:
        super().__init__()
        self.k = k
        self.scale = nn.Parameter(torch.ones(tasks))
        self.positions = nn.Parameter(torch.ones(places))
        self.table = nn.Parameter(torch.zeros(4**k, tasks))
        self.bias = nn.Parameter(torch.zeros(tasks))

    def forward(self, one_hot: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        places = len(self.positions)
        bases, unknown = one_hot.argmax(1), (one_hot <= 0).all(1)  # (batch, length)
        parts = [slice(place, place + places) for place in range(self.k)]
        digits = [bases[:, part] * 4**power for power, part in enumerate(reversed(parts))][::-1]
        kmers = torch.stack(digits).sum(0)
        missing = torch.stack([unknown[:, part].int() for part in parts]).sum(0)

        def shares(missing: torch.Tensor) -> torch.Tensor:  # (batch, places, 1)
            return torch.where(missing == 0, self.positions, 0.0)[:, :, None]

        found = (self.table[kmers] * shares(missing)).sum(1)
        table, slope = self.table.detach(), torch.zeros_like(found)
        for place, part in enumerate(parts):
            bases = torch.arange(4, device=kmers.device) * 4 ** (self.k - 1 - place)
            adds = table[(kmers - digits[place])[:, :, None] + bases]  # (batch, places, 4, tasks)
            adds = (adds * one_hot[:, :, part].transpose(1, 2)[:, :, :, None]).sum(2)
            slope = slope + (adds * shares(missing - unknown[:, part].int())).sum(1)
        slope = slope - slope.detach()  # 0, with the gradient
        return logits * self.scale + found + slope + self.bias


def separable_sum(x: torch.Tensor, w_pos: torch.Tensor, w_chan: torch.Tensor) -> torch.Tensor:
    """`Σ_l Σ_c x[b, l, c] · w_pos[k, l] · w_chan[k, c]` in the order that should be fastest.

    All orders multiply equally often; they differ in the numbers that stand in memory between
    their two steps. The factors are fitted to steps timed with torch on a CPU.

    Example:

    >>> separable_sum(torch.ones(1, 2, 3), torch.ones(1, 2), torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[12.]])
    """
    batch, length, channels = x.shape
    units = len(w_pos)
    kernel = units * length * channels
    by_channel = 2 * batch * units * length
    by_position = batch * channels * (1.3 * units + 0.6 * length)
    if kernel <= min(by_channel, by_position):  # weights of the fully connected layer first
        rows, columns = w_pos[:, :, None], w_chan[:, None, :]
        weights = rows * columns if units < PRODUCT_FROM else rows @ columns
        return nn.functional.linear(x.flatten(1), weights.flatten(1))
    if by_channel <= by_position:
        part = nn.functional.linear(x, w_chan)  # (batch, length, units)
        return (part * w_pos.T).sum(1).to(part.dtype)
    part = w_pos @ x  # (batch, units, channels)
    return (part * w_chan).sum(2).to(part.dtype)


def curvature(
    w_pos: torch.Tensor, strength: float, norm: str = "l1", order: int = 2, reduction: str = "mean"
) -> torch.Tensor:
    """Penalty on how sharply rows of positional weights bend: the paper's CR (section 2.2).

    As `sfc_lib.Curvature`: `strength * reduction(norm(differences))` of the stored weights.

    Args:
        w_pos: Stored positional weights, (units, positions).
        strength: Factor, a finite number ≥ 0.
        norm: `"l1"` or `"l2"` of each difference.
        order: Of the differences between adjacent positions: 2 or 1.
        reduction: `"mean"` or `"sum"` over all of them.

    Raises:
        ValueError: A bad argument, or fewer than `order + 1` positions.

    Example:

    >>> curvature(torch.tensor([[0.0, 1.0, 0.0]]), strength=10.0)
    tensor(20.)
    """
    if not 0 <= strength < float("inf"):
        raise ValueError(f"curvature: strength must be a finite number >= 0, got {strength!r}.")
    known = norm in ("l1", "l2"), order in (1, 2), reduction in ("mean", "sum")
    if not all(known):
        raise ValueError(
            'curvature: expected norm "l1" or "l2", order 1 or 2, reduction "mean" or "sum", '
            f"got {norm!r}, {order!r}, {reduction!r}."
        )
    _require(w_pos, order + 1, "curvature")
    bends = torch.diff(w_pos, n=order)
    sizes = bends.abs() if norm == "l1" else bends.square()
    return strength * (sizes.mean() if reduction == "mean" else sizes.sum())


@torch.no_grad()
def limit_curvature_(w_pos: torch.Tensor, limit: float) -> torch.Tensor:
    """Bring second differences of each row to ± `limit` in place: `sfc_lib.CurvatureConstraint`.

    To be called after each step of the optimizer. Rows within the limit stay as they are; of the
    others second differences are clipped and integrated twice, keeping mean and end-to-end rise.

    Args:
        w_pos: Stored positional weights, (units, positions), which are changed.
        limit: Largest absolute second difference, a finite number ≥ 0.

    Returns:
        `w_pos`.

    Raises:
        ValueError: A bad limit, or fewer than 3 positions.

    Example:

    >>> limit_curvature_(torch.tensor([[0.0, 0.0, 3.0]]), 0.0)
    tensor([[-0.5000,  1.0000,  2.5000]])
    """
    if not 0 <= limit < float("inf"):
        raise ValueError(f"limit_curvature_: limit must be a finite number >= 0, got {limit!r}.")
    _require(w_pos, 3, "limit_curvature_")
    bends = torch.diff(w_pos, n=2)
    slopes = nn.functional.pad(bends.clamp(-limit, limit).cumsum(1), (1, 0))
    rise = w_pos[:, -1:] - w_pos[:, :1]  # kept by adding one constant slope
    slopes = slopes + (rise - slopes.sum(1, keepdim=True)) / slopes.shape[1]
    smooth = nn.functional.pad(slopes.cumsum(1), (1, 0))
    smooth = smooth + (w_pos - smooth).mean(1, keepdim=True)
    within = (bends.abs() <= limit).all(1, keepdim=True)
    return w_pos.copy_(torch.where(within, w_pos, smooth))


def _positive(value: int, name: str) -> int:
    """`value` as an int if it is an integer ≥ 1, NumPy's too, else a `ValueError` naming it."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"SeparableFC: {name} must be an integer >= 1, got {value!r}.")
    return number


def _require(w_pos: torch.Tensor, least: int, owner: str) -> None:
    if w_pos.ndim != 2 or w_pos.shape[1] < least:
        raise ValueError(
            f"{owner}: expected weights (units, positions) with at least {least} stored "
            f"positions, got shape {tuple(w_pos.shape)}."
        )
