"""Random numbers in a stream of their own for every row of a dataset.

What is drawn for a row depends on the seed, the stream and the row's number alone, not on
which rows were drawn before or by which process. The generator is SplitMix64 (Steele, Lea &
Flood, OOPSLA 2014), moved on for many rows at once.
"""

from __future__ import annotations

import numpy as np

STEP, FIRST, SECOND = (
    np.uint64(constant) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
LOW = np.uint64(0xFFFFFFFF)  # the lower half of 64 bits
HALF = np.uint64(32)


def row_numbers(caller: str, rows: np.ndarray | None, examples: int) -> np.ndarray:
    """`rows` checked, as uint64 (examples,); by default 0, 1, 2, ….

    Raises:
        ValueError: They are not that many integers ≥ 0; the message begins with `caller`.
    """
    numbers = np.arange(examples) if rows is None else np.asarray(rows)
    if numbers.shape != (examples,) or numbers.dtype.kind not in "iu" or numbers.min(initial=0) < 0:
        raise ValueError(
            f"{caller}: rows must be {examples} integers >= 0, one a sequence, got "
            f"{numbers.dtype} {numbers.shape}."
        )
    return numbers.astype(np.uint64)


def key(caller: str, seed: int, stream: int) -> np.uint64:
    """64 bits that stand for (seed, stream).

    Raises:
        ValueError: `seed` is not an integer ≥ 0; the message begins with `caller`.
    """
    if type(seed) is not int or seed < 0:
        raise ValueError(f"{caller}: seed must be an integer >= 0, got {seed!r}.")
    return np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0]


def streams(stream_key: np.uint64, rows: np.ndarray) -> np.ndarray:
    """State of each row's stream at its beginning, uint64 like `rows`."""
    return _mix(stream_key + _mix(rows + STEP))


def below(state: np.ndarray, index: np.ndarray, bounds: np.ndarray | int) -> np.ndarray:
    """Random integers 0 … bound − 1, exactly uniform (Lemire's method); moves streams on.

    Args:
        state: Of all streams.
        index: Streams to draw from, one number each; none twice.
        bounds: One for each number, or the same for all.

    Returns:
        int64 of the shape of `index`.
    """
    limit = np.broadcast_to(np.asarray(bounds, np.uint64), index.shape)
    product = (_next(state, index) >> HALF) * limit
    low = product & LOW
    if len(rare := np.flatnonzero(low < limit)):
        again = rare[low[rare] < (LOW + np.uint64(1)) % limit[rare]]
        product[again] = below(state, index[again], limit[again]).astype(np.uint64) << HALF
    return (product >> HALF).astype(np.int64)


def uniform(state: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Random numbers 0 ≤ x < 1 with 53 bits, one of each stream of `index`; moves them on."""
    return (_next(state, index) >> np.uint64(11)) * 2.0**-53


def _next(state: np.ndarray, index: np.ndarray) -> np.ndarray:
    moved = state[index] + STEP
    state[index] = moved
    return _mix(moved)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))
