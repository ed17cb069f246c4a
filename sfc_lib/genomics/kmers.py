"""k-mers of either strand: which stand where in a sequence, and how often it holds each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # training, which counts k-mers too, does without SciPy

BLOCK = 5_000  # sequences counted at once; bounds the memory
LONGEST = 15  # bp whose numbers fit into 32 bits


def canonical_kmers(codes: np.ndarray, k: int) -> np.ndarray:
    """Number of the k-mer at each position, (examples, length − k + 1), as base-4 digits.

    Of a k-mer and its reverse complement the lower number stands for both; −1 where one of
    the bases is not known.

    Example:

    >>> canonical_kmers(np.array([[0, 0, 3, 3, 4]]), 2).tolist()  # AA, AT, TT, and with an N
    [[0, 3, 0, -1]]
    """
    places = codes.shape[1] - k + 1
    dtype: type[np.integer] = np.int32 if k <= LONGEST else np.int64
    forward = np.zeros((len(codes), places), dtype)
    reverse, unknown = np.zeros_like(forward), np.zeros(forward.shape, dtype=bool)
    for i in range(k):
        base = codes[:, i : i + places].astype(dtype)
        unknown |= base > 3
        forward = forward * 4 + base
        reverse += (3 - base) * 4**i
    return np.where(unknown, -1, np.minimum(forward, reverse))


def distinct_kmers(codes: np.ndarray, k: int) -> np.ndarray:
    """The k-mers that each sequence holds, sorted, each once; −1 for repeats and unknown ones.

    Shape and numbers are those of `canonical_kmers`.

    Example:

    >>> distinct_kmers(np.array([[0, 0, 3, 3, 0]]), 2).tolist()  # AA, AT, TT = AA, TA
    [[0, -1, 3, 12]]
    """
    kmers = np.sort(canonical_kmers(codes, k), axis=1)
    kmers[:, 1:][kmers[:, 1:] == kmers[:, :-1]] = -1
    return kmers


def reverse_complements(k: int) -> np.ndarray:
    """The number of the reverse complement of each k-mer, (4^k,).

    Example:

    >>> reverse_complements(1).tolist()  # of A, C, G, T
    [3, 2, 1, 0]
    """
    left, found = np.arange(4**k), np.zeros(4**k, dtype=int)
    for _ in range(k):
        left, base = np.divmod(left, 4)  # the last base first
        found = 4 * found + 3 - base
    return found


def kmer_features(codes: np.ndarray, k: int) -> csr_matrix:
    """Square roots of the counts of k-mers, float32 (examples, 4^k).

    A k-mer and its reverse complement count as one, so that both strands have the same
    features; k-mers with unknown bases are left out.

    Example:

    >>> rows = np.array([[0, 0, 0, 0], [3, 3, 3, 3]])  # AAAA and TTTT
    >>> kmer_features(rows, 3).toarray()[:, 0].astype(float).round(3).tolist()
    [1.414, 1.414]
    """
    from scipy.sparse import csr_matrix, vstack

    counts = (_counts(np.asarray(codes[i : i + BLOCK]), k) for i in range(0, len(codes), BLOCK))
    return vstack([csr_matrix((n, at), shape=shape) for n, at, shape in counts], "csr").sqrt()


def _counts(codes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """How often each k-mer stands in each sequence: counts, their places, the matrix's shape."""
    kmers = canonical_kmers(codes, k).astype(np.int64)
    rows = np.arange(len(codes))[:, None]
    found, counts = np.unique((rows * 4**k + kmers)[kmers >= 0], return_counts=True)
    return counts.astype(np.float32), np.stack(np.divmod(found, 4**k)), (len(codes), 4**k)
