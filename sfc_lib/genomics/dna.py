"""DNA as uint8 codes: 0–3 for A, C, G, T and 4 for N, one byte a base."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALPHABET = "ACGTN"
_CODES = np.full(256, 255, dtype=np.uint8)
for _code, _letter in enumerate(ALPHABET):
    _CODES[[ord(_letter), ord(_letter.lower())]] = _code
_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


def encode(sequences: Sequence[str]) -> np.ndarray:
    """Codes of equally long DNA strings, uint8 of shape (examples, length).

    Upper and lower case count alike.

    Raises:
        ValueError: No sequence, unequal lengths, or a letter other than ACGTN, named
            with its sequence and position.

    Example:

    >>> encode(["ACgtN"]).tolist()
    [[0, 1, 2, 3, 4]]
    """
    if isinstance(sequences, str) or not len(sequences):
        raise ValueError(f"encode: expected a list of sequences, got {sequences!r}.")
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) > 1:
        raise ValueError(f"encode: expected sequences of one length, got {sorted(lengths)[:5]}.")
    letters = np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8)
    codes = _CODES[letters].reshape(len(sequences), -1)
    if (bad := np.argwhere(codes == 255)).size:
        row, column = bad[0]
        raise ValueError(
            f"encode: expected only the letters {ALPHABET}, got {sequences[row][column]!r} "
            f"in sequence {row}, position {column} (both counted from 0)."
        )
    return codes


def decode(codes: np.ndarray) -> list[str]:
    """DNA strings of codes of shape (examples, length).

    Example:

    >>> decode(np.array([[0, 1, 2, 3, 4]], dtype=np.uint8))
    ['ACGTN']
    """
    return [row.tobytes().decode() for row in _LETTERS[codes]]


def one_hot(codes: np.ndarray) -> np.ndarray:
    """One-hot rows of codes, float32 of shape (..., length, 4); N is all zeros."""
    return (codes[..., None] == np.arange(4, dtype=np.uint8)).astype(np.float32)


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Codes of the opposite strand, read in its own direction; N stays N."""
    return np.array([3, 2, 1, 0, 4], dtype=np.uint8)[codes[..., ::-1]]


def shifted(codes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Codes (examples, length) that lie so many bp further right (< 0: left); N comes in.

    Example:

    >>> shifted(np.array([[0, 1, 2], [0, 1, 2]], dtype=np.uint8), np.array([1, -2])).tolist()
    [[4, 0, 1], [2, 4, 4]]
    """
    length, most = codes.shape[1], int(np.abs(offsets).max(initial=0))
    padded = np.pad(codes, [(0, 0), (most, most)], constant_values=ALPHABET.index("N"))
    return np.take_along_axis(padded, np.arange(most, most + length) - offsets[:, None], axis=1)


def random_sequences(
    examples: int, length: int, frequencies: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Independent random bases, uint8 codes of shape (examples, length).

    Args:
        examples: Number of sequences.
        length: Bases in each, in bp.
        frequencies: Probabilities of A, C, G, T. They are met to 1 in 65,536, the
            step of the 16-bit table that makes this fast.
        rng: Source of randomness.
    """
    if len(frequencies) != 4 or not (min(frequencies) >= 0 and abs(sum(frequencies) - 1) <= 1e-9):
        raise ValueError(
            f"random_sequences: frequencies must be four numbers >= 0 that sum to 1, "
            f"got {tuple(frequencies)}."
        )
    edges = np.round(np.cumsum(frequencies)[:3] * 65_536)
    table = np.searchsorted(edges, np.arange(65_536), side="right").astype(np.uint8)
    return table[rng.integers(0, 65_536, size=(examples, length), dtype=np.uint16)]
