"""Where the filters of a network start: at motifs and k-mers that are enriched in the positives.

Where labels are measurements, those of the upper quarter stand for the positives.

With few examples a network spends most of its training on finding the motif. The k-mers that
more positives than negatives hold, on either strand, are a good first guess at its pieces; so are
those motifs of a collection that score higher in positives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sfc_lib.datasets.base import Split, is_high, is_known
from sfc_lib.genomics.kmers import distinct_kmers
from sfc_lib.genomics.motifs import Motif, best_scores, informative_core, parse_meme

K = 8  # bp
SHARE = 0.5  # of the filters that start at a k-mer; the others stay random
HEIGHT = 0.3  # weight of a k-mer's base, before the mean over the four is taken off
MOST = 20_000  # examples looked at
MOST_SCORED = 2_000  # of them where motifs are looked for
OF_MOTIFS = 0.25  # of the filters, at most, that start at a motif; k-mers have the rest of theirs
MOST_MOTIFS = 16
ENRICHED = 4.0  # standard errors by which a motif's scores are higher in the positives


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
    found = distinct_kmers(codes, k)
    one, other = (
        np.bincount(rows[rows >= 0], minlength=4**k) for rows in (found[positive], found[~positive])
    )
    positives, others = positive.sum(), (~positive).sum()
    spread = np.sqrt((one + other + 1) / len(codes) * (1 / positives + 1 / others))
    z = (one / positives - other / others) / spread
    best = np.argsort(-z, kind="stable")[:number]
    best = best[z[best] > 0]
    return (best[:, None] // 4 ** np.arange(k)[::-1] % 4).astype(np.uint8)


def enriched_motifs(
    split: Split, motifs: Mapping[str, Motif], number: int = MOST_MOTIFS
) -> list[Motif]:
    """The motifs that score higher in the positives of a task than in its other examples.

    By the rank sum test of each sequence's best score, on either strand, from `ENRICHED`
    standard errors on; the most enriched first, whatever the task.

    Args:
        split: What is trained on.
        motifs: A collection, by name.
        number: How many are wanted at most.
    """
    from scipy.stats import rankdata  # training itself does without SciPy

    split = split.some(MOST_SCORED)
    codes, labels = split.codes, split.labels
    scores, most = best_scores(codes, motifs), np.full(len(motifs), -np.inf)
    for _, known, positive in _tasks(labels):
        ranks = rankdata(scores[known], axis=0)
        one, other = positive.sum(), (~positive).sum()
        spread = np.sqrt(one * other * (one + other + 1) / 12)
        z = (ranks[positive].sum(axis=0) - one * (one + other + 1) / 2) / spread
        most = np.maximum(most, z)
    best = np.argsort(-most, kind="stable")[:number]
    known_motifs = list(motifs.values())
    return [known_motifs[place] for place in best if most[place] >= ENRICHED]


def started_filters(
    kernel: np.ndarray, split: Split, motifs: str | None, kmers: str | None
) -> np.ndarray:
    """The kernel of a convolution with filters started as `RunSpec` says.

    Args:
        kernel: (width, 4, filters).
        split: What is trained on.
        motifs: Those that the first filters start at, in MEME format.
        kmers: Whether others start at k-mers.
    """
    chosen = parse_meme(motifs, "RunSpec: motifs") if motifs else {}
    kernel = motif_filters(kernel, chosen)
    taken = min(len(chosen), room_for_motifs(kernel))
    return kmer_filters(kernel, split, taken) if kmers else kernel


def motif_filters(kernel: np.ndarray, motifs: Mapping[str, Motif]) -> np.ndarray:
    """The kernel of a convolution with its first filters started at motifs.

    A motif's probabilities, less 1/4, are added to the middle of a filter; of one that is longer
    the stretch that tells most. There is room for a quarter of the filters.

    Args:
        kernel: (width, 4, filters).
        motifs: In the order of the filters.
    """
    kernel, width = kernel.copy(), len(kernel)
    for place, motif in enumerate(list(motifs.values())[: room_for_motifs(kernel)]):
        core = informative_core(motif.probabilities - 0.25, width)
        start = (width - len(core)) // 2
        kernel[start : start + len(core), :, place] += HEIGHT * core
    return kernel


def room_for_motifs(kernel: np.ndarray) -> int:
    """How many filters of a kernel, (width, 4, filters), may start at a motif."""
    return int(kernel.shape[2] * OF_MOTIFS)


def kmer_filters(kernel: np.ndarray, split: Split, taken: int = 0) -> np.ndarray:
    """The kernel of a convolution on one-hot sequences with some filters started at k-mers.

    Half of the filters get a k-mer in their middle, each task as many as any other, added to
    the random weights that are there. An example whose label is not known says nothing.

    Args:
        kernel: (width, 4, filters).
        split: What is trained on.
        taken: How many of that half, the first, have started elsewhere.

    Returns:
        Another kernel of the same shape; the same if the filters are shorter than a k-mer.
    """
    width, _, filters = kernel.shape
    kernel, split = kernel.copy(), split.some(MOST)
    codes, labels = split.codes, split.labels
    if min(width, codes.shape[1]) < K:
        return kernel
    start, tasks = (width - K) // 2, labels.shape[1]
    for task, known, positive in _tasks(labels):
        if not (places := range(taken + task, int(filters * SHARE), tasks)):
            continue
        kmers = enriched_kmers(codes[known], positive, len(places))
        for place, kmer in zip(places, kmers, strict=False):
            kernel[start : start + K, :, place] += HEIGHT * (np.eye(4)[kmer] - 0.25)
    return kernel


def _tasks(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each task that has both: its number, whose label is known, and which of these is high."""
    for task, truth in enumerate(labels.T):
        known = is_known(truth)
        positive = is_high(truth)[known]
        if positive.any() and not positive.all():
            yield task, known, positive
