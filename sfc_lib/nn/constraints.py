"""The curvature constraint of the paper's third version: a hard limit instead of a penalty."""

from __future__ import annotations

import keras
from keras import ops

from sfc_lib.nn.regularizers import nonnegative, require_length


@keras.saving.register_keras_serializable(package="sfc_lib")
class CurvatureConstraint(keras.constraints.Constraint):
    """Keep every second difference of each row of `W_pos` within ± `limit`.

    After an update the second differences are clipped and integrated twice; each
    row keeps its mean and its end-to-end difference. Rows already within the limit
    are returned untouched. Two cumulative sums do it in O(units · length), where
    the authors' code builds an O(units · length²) tensor.

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
