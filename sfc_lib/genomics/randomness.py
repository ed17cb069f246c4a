"""Random numbers inside compiled loops, a stream of their own for every row of a dataset.

What is drawn for a row depends on the seed, the stream and the row's number alone, not on
which rows were drawn before or by which process. The generator is SplitMix64 (Steele, Lea &
Flood, OOPSLA 2014). The functions that are `register_jitable` are called from loops that
numba compiles, once a process: what numba keeps on disk it does not renew when a function
in another file changes, and 2 s are little beside the sets these loops are for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

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
    """64 bits that stand for (seed, stream) in the compiled loops.

    Raises:
        ValueError: `seed` is not an integer ≥ 0; the message begins with `caller`.
    """
    if type(seed) is not int or seed < 0:
        raise ValueError(f"{caller}: seed must be an integer >= 0, got {seed!r}.")
    return np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0]


@register_jitable
def seed_row(state: np.ndarray, stream_key: Any, row: Any) -> None:
    """Set `state`, uint64 (1,), to the beginning of the stream of one row."""
    state[0] = _mix(stream_key + _mix(row + STEP))


@register_jitable
def below(state: np.ndarray, bound: int) -> int:
    """A random integer 0 … bound − 1, exactly uniform (Lemire's method); moves `state` on."""
    limit = np.uint64(bound)
    while True:
        product = (_next(state) >> HALF) * limit
        low = product & LOW
        if low >= limit or low >= (LOW + np.uint64(1)) % limit:
            return int(product >> HALF)


@register_jitable
def uniform(state: np.ndarray) -> float:
    """A random number 0 ≤ x < 1 with 53 bits; moves `state` on."""
    return float(_next(state) >> np.uint64(11)) * 2.0**-53


@register_jitable
def _next(state: np.ndarray) -> Any:
    state[0] += STEP
    return _mix(state[0])


@register_jitable
def _mix(bits: Any) -> Any:
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))
