"""Truths that several test modules compare with, by plain NumPy."""

import numpy as np


def expected_rows(w, limit):
    """The authors' O(units · length²) way: each clipped bend adds a ramp that starts behind it."""
    w = np.asarray(w, dtype=np.float64)
    length = w.shape[1]
    ramps = np.array(
        [[max(0, at - bend - 1) for at in range(length)] for bend in range(length - 2)]
    )
    rows = np.clip(np.diff(w, n=2, axis=1), -limit, limit) @ ramps
    slope = (w[:, -1] - w[:, 0] - rows[:, -1] + rows[:, 0]) / (length - 1)
    rows += slope[:, None] * np.arange(length)
    return rows + (w - rows).mean(axis=1, keepdims=True)
