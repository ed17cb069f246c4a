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


def streams(
    caller: str, seed: int, stream: int, rows: np.ndarray | None, examples: int
) -> np.ndarray:
    """State of each row's stream at its beginning, uint64 (examples,).

    Args:
        caller: How messages begin.
        seed: An integer ≥ 0.
        stream: Number of the use that is made of the seed.
        rows: Number of each row in the whole set, integers ≥ 0; by default 0, 1, 2, ….
        examples: How many rows there are.

    Raises:
        ValueError: `seed` or `rows` is not what it should be.
    """
    if type(seed) is not int or seed < 0:
        raise ValueError(f"{caller}: seed must be an integer >= 0, got {seed!r}.")
    numbers = np.arange(examples) if rows is None else np.asarray(rows)
    if numbers.shape != (examples,) or numbers.dtype.kind not in "iu" or numbers.min(initial=0) < 0:
        raise ValueError(
            f"{caller}: rows must be {examples} integers >= 0, one a sequence, got "
            f"{numbers.dtype} {numbers.shape}."
        )
    key = np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0]
    return _mix(key + _mix(numbers.astype(np.uint64) + STEP))


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
