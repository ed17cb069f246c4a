"""Which examples train, which validate and which test: by chromosome, by position, by likeness.

Splits are `"train"`, `"valid"` and `"test"`; `valid` and `test` are fractions of all examples.
Where the test set is a file of its own, `test` is 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from sfc_lib.datasets.base import SPLITS
from sfc_lib.errors import UserError
from sfc_lib.genomics.intervals import canonical
from sfc_lib.genomics.kmers import BLOCK, distinct_kmers

GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill every interval evenly
PLACE = re.compile(r"(?:.*::)?([^\s:]+):(\d[\d,]*)-(\d[\d,]*)(?:\(([+.-])\))?$")
K = 16  # bp of what alike sequences share
SHARED = 0.25  # of the k-mers of the one that has fewer: two sequences are alike
MOST = 20_000_000  # bases from which on a part of the k-mers is compared; bounds the memory
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of a hash: 2^64 over the golden ratio (Knuth)
FAR = 2**40  # bp: beyond any chromosome
COMMON = 50  # sequences that hold a k-mer, from which on it may be a repeat of the genome
MOSTLY, CHANGED = 0.6, 0.1  # of the k-mers, and of the bases: what copies then share, and not
NEIGHBOURS = (1, 2, 4, 8)  # places further in the file: with which of them each is compared
PAIRS = 20_000  # compared at once; bounds the memory


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


def coordinates(names: Sequence[str]) -> pd.DataFrame | None:
    """Intervals that the names of sequences tell, as `chr1:100-300`; None unless all do.

    A strand, `(+)`, may follow, and `name::` precede, as bedtools writes them.

    Example:

    >>> coordinates(["chr1:100-300", "peak7::2:5-9(-)"]).values.tolist()
    [['chr1', 100, 300], ['chr2', 5, 9]]
    """
    found = [place for name in names if (place := PLACE.match(name))]
    table = pd.DataFrame([place.groups()[:3] for place in found], columns=["chrom", "start", "end"])
    for column in ("start", "end"):
        table[column] = table[column].str.replace(",", "").astype(np.int64)
    if len(table) < len(names) or (table["start"] >= table["end"]).any():
        return None
    return table.assign(chrom=canonical(table["chrom"]))


def alike(codes: np.ndarray) -> np.ndarray:
    """Groups of near-duplicates, (examples,): the same number for those that belong together.

    Two sequences are alike if they share a quarter of their 16-mers, on either strand: shifted
    windows, reverse complements, copies with some changes. Groups are chains of such pairs.
    Of very many sequences a part of the 16-mers is compared, the same part in all.

    A 16-mer that more than 50 sequences hold may be a repeat of the genome, or of a family of
    copies, as all variants of an enhancer are. Each of these is compared with some of the others,
    and is alike if they share six of ten 16-mers, or differ in a tenth of their bases at most.

    Example:

    >>> rows = np.random.default_rng(0).integers(0, 4, (3, 60))
    >>> rows[2] = 3 - rows[0, ::-1]  # the reverse complement
    >>> alike(rows).tolist()
    [0, 1, 0]
    """
    if codes.shape[1] < K:
        return np.arange(len(codes))
    rows, kmers = _chosen_kmers(codes)
    distinct = np.maximum(np.bincount(rows, minlength=len(codes)), 1)
    _, column, counts = np.unique(kmers, return_inverse=True, return_counts=True)
    several, common = (counts > 1)[column], (counts > COMMON)[column]
    rows, column, common = rows[several], column[several], common[several]
    shape = len(codes), len(counts)
    table = csr_matrix((np.ones(len(rows)), (rows, column)), shape=shape)
    few = csr_matrix((np.ones((~common).sum()), (rows[~common], column[~common])), shape=shape)
    shared = (few @ few.T).tocoo()
    linked = shared.data >= SHARED * np.minimum(distinct[shared.row], distinct[shared.col])
    ends = [np.stack([shared.row[linked], shared.col[linked]])]
    pairs = _neighbours(rows[common], column[common])
    for first in range(0, pairs.shape[1], PAIRS):
        one, two = pairs[:, first : first + PAIRS]
        number = np.asarray(table[one].multiply(table[two]).sum(axis=1)).ravel()
        linked = number >= MOSTLY * np.minimum(distinct[one], distinct[two])
        linked |= (codes[one] != codes[two]).mean(axis=1) <= CHANGED
        ends.append(np.stack([one[linked], two[linked]]))
    one, two = np.concatenate(ends, axis=1)
    links = csr_matrix((np.ones(len(one)), (one, two)), shape=(len(codes),) * 2)
    return connected_components(links, directed=False)[1]


def _neighbours(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Pairs of rows, (2, pairs), each once, that are near each other among those with a column."""
    order = np.lexsort([rows, columns])
    rows, columns = rows[order], columns[order]
    found = [np.empty((0, 2), rows.dtype)]
    for step in NEIGHBOURS:
        both = np.stack([rows[:-step], rows[step:]], axis=1)
        found.append(np.unique(both[columns[:-step] == columns[step:]], axis=0))
    return np.unique(np.concatenate(found), axis=0).T


def _chosen_kmers(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k-mers that sequences hold, each once: rows, and numbers.

    Of more than `MOST` positions one k-mer in so many stands for the others, whichever sequence
    it is in: those whose hash is 0.
    """
    one_in = np.uint64(-(-codes.size // MOST))
    rows, found = [], []
    for first in range(0, len(codes), BLOCK):
        kmers = distinct_kmers(np.asarray(codes[first : first + BLOCK]), K)
        hashed = kmers.astype(np.uint64) * MULTIPLIER >> np.uint64(32)
        row, place = np.nonzero((kmers >= 0) & (hashed % one_in == 0))
        rows.append(first + row)
        found.append(kmers[row, place])
    return np.concatenate(rows), np.concatenate(found)


def in_groups(
    labels: np.ndarray, groups: np.ndarray, valid: float, test: float, rng: np.random.Generator
) -> np.ndarray:
    """As `at_random`, but a group of sequences, (examples,), goes to one split as a whole.

    A group that would fill half of the validation or the test set trains.
    """
    _, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    splits = at_random(labels[first], valid, test, rng)
    splits[sizes > max(1, min(valid, test or valid) * len(labels) / 2)] = "train"
    return splits[group]


def of_genome(windows: pd.DataFrame, valid: float, test: float) -> np.ndarray:
    """Splits of windows (intervals) of a genome, (windows,), so that no two share a base.

    With as many chromosomes as splits each goes to one as a whole, see `by_chromosome`.
    With fewer, each chromosome is cut in three stretches: the windows that train, then
    those that validate, then those that test; a window across a cut is in none, `""`.
    """
    counts = windows["chrom"].value_counts()
    if (places := stretches(windows, valid, test)) is not None:
        return within(windows, places)
    chosen = by_chromosome(counts.to_dict(), valid, test)
    return windows["chrom"].map(chosen).to_numpy(dtype="<U5")


def stretches(windows: pd.DataFrame, valid: float, test: float) -> pd.DataFrame | None:
    """Where each split lies, if there are fewer chromosomes than splits; see `of_genome`.

    Rows: `chrom`, `start`, `end` (0-based half-open) and `split`.
    """
    shares = wanted(valid, test)
    if windows["chrom"].nunique() >= len(shares):
        return None
    rows = []
    for chrom, starts in windows.groupby("chrom")["start"]:
        ranks = [round(len(starts) * share) for share in np.cumsum(list(shares.values()))[:-1]]
        cuts = np.sort(starts.to_numpy())[np.minimum(ranks, len(starts) - 1)].tolist()
        ends = zip([0, *cuts], [*cuts, FAR], strict=True)
        rows += [(chrom, *pair, split) for split, pair in zip(shares, ends, strict=True)]
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "split"])


def within(windows: pd.DataFrame, places: pd.DataFrame) -> np.ndarray:
    """The split of each window, (windows,), whose stretch holds it as a whole; `""` of others."""
    splits = np.full(len(windows), "", dtype="<U5")
    for place in places.itertuples():
        inside = (windows["chrom"] == place.chrom) & (windows["start"] >= place.start)
        splits[(inside & (windows["end"] <= place.end)).to_numpy()] = place.split
    return splits


def wanted(valid: float, test: float) -> dict[str, float]:
    """The share of each split that is made.

    Example:

    >>> wanted(0.25, 0)
    {'train': 0.75, 'valid': 0.25}
    """
    shares = dict(zip(SPLITS, (1 - valid - test, valid, test), strict=True))
    return {split: share for split, share in shares.items() if share}


def by_chromosome(counts: Mapping[str, int], valid: float, test: float) -> dict[str, str]:
    """A split for each chromosome, given how many windows it has.

    The chromosomes are gone through from the one with the most windows to the one with the
    fewest. Each goes where most windows are still wanted (training before validation before
    test, of equals), but the last ones to splits that have none yet.

    Example:

    >>> by_chromosome({"chr1": 80, "chr2": 10, "chr3": 9}, 0.1, 0.1)
    {'chr1': 'train', 'chr2': 'valid', 'chr3': 'test'}
    """
    left = {split: share * sum(counts.values()) for split, share in wanted(valid, test).items()}
    order = sorted(counts, key=lambda chrom: (-counts[chrom], _natural(chrom)))
    chosen: dict[str, str] = {}
    for place, chrom in enumerate(order):
        empty = [split for split in left if split not in chosen.values()]
        open_to = empty if len(order) - place <= len(empty) else list(left)
        chosen[chrom] = max(open_to, key=lambda split: left[split])
        left[chosen[chrom]] -= counts[chrom]
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
