"""Which examples train, which validate and which test: by chromosome, by position, at random.

Splits are `"train"`, `"valid"` and `"test"`; `valid` and `test` are fractions of all examples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sfc_lib.datasets.base import SPLITS
from sfc_lib.errors import UserError

GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill every interval evenly


def at_random(
    labels: np.ndarray, valid: float, test: float, rng: np.random.Generator
) -> np.ndarray:
    """Splits of independent sequences, (examples,), with each label spread over them evenly.

    Sequences with the same labels (0 or 1, shape (examples, tasks)) stand together, in random
    order, and every stretch of them is divided alike.

    Example:

    >>> splits = at_random(np.ones((10, 1)), 0.2, 0.2, np.random.default_rng(0))
    >>> sorted(splits.tolist())[:4]
    ['test', 'test', 'train', 'train']
    """
    order = rng.permutation(len(labels))
    groups = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    order = order[np.argsort(groups[order], kind="stable")]
    place = (rng.random() + GOLDEN * np.arange(len(labels))) % 1
    splits = np.empty(len(labels), dtype="<U5")
    splits[order] = np.select([place < valid, place < valid + test], ["valid", "test"], "train")
    return splits


def of_genome(windows: pd.DataFrame, valid: float, test: float) -> np.ndarray:
    """Splits of windows (intervals) of a genome, (windows,), so that no two share a base.

    With three chromosomes or more each goes to one split as a whole, see `by_chromosome`.
    With fewer, each chromosome is cut in three stretches: the windows that train, then
    those that validate, then those that test; a window across a cut is in none, `""`.
    """
    counts = windows["chrom"].value_counts()
    if len(counts) >= len(SPLITS):
        chosen = by_chromosome(counts.to_dict(), valid, test)
        return windows["chrom"].map(chosen).to_numpy(dtype="<U5")
    splits = np.full(len(windows), "", dtype="<U5")
    for rows in windows.groupby("chrom").indices.values():
        start, end = (windows[column].to_numpy()[rows] for column in ("start", "end"))
        cuts = [round(len(rows) * share) for share in (1 - valid - test, 1 - test)]
        first, second = np.sort(start)[np.minimum(cuts, len(rows) - 1)]
        inside = [end <= first, (start >= first) & (end <= second), start >= second]
        splits[rows] = np.select(inside, SPLITS, "")
    return splits


def by_chromosome(counts: Mapping[str, int], valid: float, test: float) -> dict[str, str]:
    """A split for each chromosome, given how many windows it has.

    The chromosomes are gone through from the one with the most windows to the one with the
    fewest. Each goes where most windows are still wanted (training before validation before
    test, of equals), but the last ones to splits that have none yet.

    Example:

    >>> by_chromosome({"chr1": 80, "chr2": 10, "chr3": 9}, 0.1, 0.1)
    {'chr1': 'train', 'chr2': 'valid', 'chr3': 'test'}
    """
    shares = dict(zip(SPLITS, (1 - valid - test, valid, test), strict=True))
    wanted = {split: share * sum(counts.values()) for split, share in shares.items()}
    order = sorted(counts, key=lambda chrom: (-counts[chrom], _natural(chrom)))
    chosen: dict[str, str] = {}
    for place, chrom in enumerate(order):
        empty = [split for split in SPLITS if split not in chosen.values()]
        open_to = empty if len(order) - place <= len(empty) else SPLITS
        chosen[chrom] = max(open_to, key=lambda split: wanted[split])
        wanted[chosen[chrom]] -= counts[chrom]
    return chosen


def named(chroms: Sequence[str], valid: Sequence[str], test: Sequence[str]) -> dict[str, str]:
    """A split for each chromosome where those that validate and test are named.

    Raises:
        UserError: A name that is not among `chroms`, or in both lists.
    """
    for option, names in (("valid_chromosomes", valid), ("test_chromosomes", test)):
        for name in names:
            if name not in chroms:
                known = sorted(chroms, key=_natural)
                raise UserError(f"custom: {option}: expected some of {known}, got {name!r}.")
    if both := set(valid) & set(test):
        raise UserError(f"custom: expected each chromosome in one split, got {sorted(both)} in 2.")
    special = {**dict.fromkeys(valid, "valid"), **dict.fromkeys(test, "test")}
    return {chrom: special.get(chrom, "train") for chrom in chroms}


def _natural(chrom: str) -> list[tuple[int, str]]:
    """A key that sorts chr2 before chr10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", chrom)]
