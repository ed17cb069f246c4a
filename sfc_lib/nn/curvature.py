"""Smooth positional weights: curvature as a penalty (the paper's CR), or within a hard limit."""

from __future__ import annotations

from numbers import Real

import keras
from keras import ops

NORMS = {"l1": ops.abs, "l2": ops.square}
REDUCTIONS = {"mean": ops.mean, "sum": ops.sum}


@keras.saving.register_keras_serializable(package="sfc_lib")
class Curvature(keras.regularizers.Regularizer):
    """Penalise how sharply each row of positional weights bends.

    `penalty = strength * reduction(norm(differences))`, where the differences of
    the given order are taken between adjacent positions (columns) of `W_pos`.
    With the defaults this is the paper's CR (section 2.2): the ℓ1 norm of second
    differences, averaged over all entries as in the authors' code, so a strength
    of 1, 10 or 100 means the same for every length and number of neurons. On a
    symmetric layer it sees the stored half only, so the change of slope at the
    centre is free.

    Args:
        strength: Factor on the penalty, a finite number ≥ 0.
        norm: `"l1"` (absolute value) or `"l2"` (square) of each difference.
        order: Order of the differences: 2 penalises curvature, 1 slope.
        reduction: `"mean"` or `"sum"` over all differences.

    Raises:
        ValueError: A bad argument, or fewer than `order + 1` positions.

    Example:

    >>> bent = keras.ops.convert_to_tensor([[0.0, 1.0, 0.0]])
    >>> float(Curvature(10.0)(bent))  # one second difference, 0 - 2·1 + 0
    20.0
    """

    def __init__(
        self, strength: float, norm: str = "l1", order: int = 2, reduction: str = "mean"
    ) -> None:
        self.strength = nonnegative(strength, "Curvature", "strength")
        if norm not in NORMS:
            raise ValueError(f"Curvature: norm must be one of {sorted(NORMS)}, got {norm!r}.")
        if isinstance(order, bool) or order not in (1, 2):
            raise ValueError(f"Curvature: order must be 1 or 2, got {order!r}.")
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"Curvature: reduction must be one of {sorted(REDUCTIONS)}, got {reduction!r}."
            )
        self.norm, self.order, self.reduction = norm, int(order), reduction

    @property
    def min_length(self) -> int:
        """Fewest stored positions that have a difference of this order."""
        return self.order + 1

    def __call__(self, x):
        """Penalty, a scalar, of weights `x` of shape (units, positions)."""
        require_length(x.shape[-1], self.min_length, "Curvature")
        for _ in range(self.order):
            x = x[..., 1:] - x[..., :-1]
        return self.strength * REDUCTIONS[self.reduction](NORMS[self.norm](x))

    def get_config(self) -> dict:
        return {
            "strength": self.strength,
            "norm": self.norm,
            "order": self.order,
            "reduction": self.reduction,
        }


@keras.saving.register_keras_serializable(package="sfc_lib")
class CurvatureConstraint(keras.constraints.Constraint):
    """Keep every second difference of each row of `W_pos` within ± `limit`.

    The paper's third version has this in place of the penalty. After an update the second
    differences are clipped and integrated twice; each row keeps its mean and its end-to-end
    difference. Rows already within the limit are returned untouched. Two cumulative sums do
    it in O(units · length), where the authors' code builds an O(units · length²) tensor.

    Args:
        limit: Largest absolute second difference allowed, a finite number ≥ 0;
            0 leaves straight lines.

    Raises:
        ValueError: A bad limit, or fewer than 3 stored positions.

    Example:

    >>> kinked = keras.ops.convert_to_tensor([[0.0, 0.0, 3.0]])
    >>> [round(float(w), 6) for w in CurvatureConstraint(0.0)(kinked)[0]]
    [-0.5, 1.0, 2.5]
    """

    min_length = 3

    def __init__(self, limit: float) -> None:
        self.limit = nonnegative(limit, "CurvatureConstraint", "limit")

    def __call__(self, w):
        """Weights of the same shape, (units, positions), within the limit."""
        require_length(w.shape[-1], self.min_length, "CurvatureConstraint")
        w = ops.convert_to_tensor(w)
        bends = w[:, 2:] - 2 * w[:, 1:-1] + w[:, :-2]  # (units, positions - 2)
        start = ops.zeros_like(w[:, :1])
        slopes = ops.concatenate(
            [start, ops.cumsum(ops.clip(bends, -self.limit, self.limit), axis=1)], axis=1
        )
        rise = w[:, -1:] - w[:, :1]  # end to end, kept by adding one constant slope
        slopes = slopes + (rise - ops.sum(slopes, axis=1, keepdims=True)) / slopes.shape[1]
        smooth = ops.concatenate([start, ops.cumsum(slopes, axis=1)], axis=1)
        smooth = smooth + ops.mean(w - smooth, axis=1, keepdims=True)
        within = ops.all(ops.abs(bends) <= self.limit, axis=1, keepdims=True)
        return ops.where(within, w, smooth)

    def get_config(self) -> dict:
        return {"limit": self.limit}


def nonnegative(value: float, owner: str, name: str) -> float:
    """`value` as a float if it is a finite number ≥ 0, else a `ValueError` naming it."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf"):
        raise ValueError(f"{owner}: {name} must be a finite number >= 0, got {value!r}.")
    return float(value)


def require_length(length: int | None, minimum: int, owner: str) -> None:
    """Raise `ValueError` unless there are `minimum` stored positions or more."""
    if length is None or length < minimum:
        raise ValueError(
            f"{owner} needs W_pos with at least {minimum} stored positions, got {length}. "
            "A symmetric layer stores only half the positions, rounded up."
        )
