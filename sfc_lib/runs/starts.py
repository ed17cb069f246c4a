"""Where the filters of a network start: at the k-mers that are enriched in the positives.

Where labels are measurements, those of the upper quarter stand for the positives.

With few examples a network spends most of its training on finding the motif. The k-mers that
more positives than negatives hold, on either strand, are a good first guess at its pieces.
"""

from __future__ import annotations

import numpy as np

from sfc_lib.datasets.base import Split, is_high, is_known
from sfc_lib.genomics.kmers import canonical_kmers

K = 8  # bp
SHARE = 0.5  # of the filters that start at a k-mer; the others stay random
HEIGHT = 0.3  # weight of a k-mer's base, before the mean over the four is taken off
MOST = 20_000  # examples looked at, evenly spaced


def enriched_kmers(codes: np.ndarray, positive: np.ndarray, number: int, k: int = K) -> np.ndarray:
    """The k-mers that more of the positives hold than of the others, best first.

    They are ordered by the z-score of the difference of two shares, of sequences that hold
    the k-mer on either strand.

    Args:
        codes: uint8 (examples, length).
        positive: bool (examples,), some true and some not.
        number: How many are wanted.
        k: Their length in bp.

    Returns:
        Codes, uint8 (≤ number, k).
    """
    found = np.sort(canonical_kmers(codes, k), axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1  # a sequence counts once
    one, other = (
        np.bincount(rows[rows >= 0], minlength=4**k) for rows in (found[positive], found[~positive])
    )
    positives, others = positive.sum(), (~positive).sum()
    spread = np.sqrt((one + other + 1) / len(codes) * (1 / positives + 1 / others))
    z = (one / positives - other / others) / spread
    best = np.argsort(-z, kind="stable")[:number]
    best = best[z[best] > 0]
    return (best[:, None] // 4 ** np.arange(k)[::-1] % 4).astype(np.uint8)


def kmer_filters(kernel: np.ndarray, split: Split) -> np.ndarray:
    """The kernel of a convolution on one-hot sequences with some filters started at k-mers.

    Half of the filters get a k-mer in their middle, each task as many as any other, added to
    the random weights that are there. An example whose label is not known says nothing.

    Args:
        kernel: (width, 4, filters).
        split: What is trained on.

    Returns:
        Another kernel of the same shape; the same if the filters are shorter than a k-mer.
    """
    width, _, filters = kernel.shape
    kernel, rows = kernel.copy(), np.arange(0, len(split), max(1, -(-len(split) // MOST)))
    codes, labels = split.codes[rows], split.labels[rows]
    if min(width, codes.shape[1]) < K:
        return kernel
    start, tasks = (width - K) // 2, labels.shape[1]
    for task, truth in enumerate(labels.T):
        known = is_known(truth)
        positive, places = is_high(truth)[known], range(task, int(filters * SHARE), tasks)
        if not places or positive.all() or not positive.any():
            continue
        kmers = enriched_kmers(codes[known], positive, len(places))
        for place, kmer in zip(places, kmers, strict=False):
            kernel[start : start + K, :, place] += HEIGHT * (np.eye(4)[kmer] - 0.25)
    return kernel
