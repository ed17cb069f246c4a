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


def kmer_sums(rows, weights, logits):
    """By the formula, of rows of four numbers: a k-mer counts with the product of its rows'."""
    scale, positions, table, bias = weights
    k = round(np.log(len(table)) / np.log(4))
    expected = logits * scale + bias
    for start, share in enumerate(positions):
        counts = np.ones((len(rows), 1))
        for place in range(start, start + k):
            counts = (counts[:, :, None] * rows[:, None, place]).reshape(len(rows), -1)
        expected = expected + share * counts @ table
    return expected


def kmer_gains(rows, weights, logits):
    """What each base adds to the first sum of a sequence, in place of no base there."""
    gains = np.zeros(rows.shape)
    for place in range(rows.shape[1]):
        without = np.array(rows, dtype=np.float64)
        without[:, place] = 0
        for base in range(4):
            with_it = without.copy()
            with_it[:, place, base] = 1
            sums = (kmer_sums(each, weights, logits) for each in (with_it, without))
            gains[:, place, base] = np.subtract(*sums)[:, 0]
    return gains
