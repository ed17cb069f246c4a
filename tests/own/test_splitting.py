"""Splits: even ones of sequences, and ones of a genome that share no base."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.own.splitting import at_random, by_chromosome, named, of_genome

SPLITS = ("train", "valid", "test")


def share(splits, name):
    return float(np.mean(splits == name))


@given(st.integers(30, 400), st.integers(0, 99), st.floats(0.1, 0.3), st.floats(0.1, 0.3))
def test_every_class_is_spread_evenly(examples, seed, valid, test):
    rng = np.random.default_rng(seed)
    labels = (rng.random((examples, 1)) < 0.5).astype(np.uint8)
    splits = at_random(labels, valid, test, rng)
    for value in (0, 1):
        mine = splits[labels[:, 0] == value]
        for name, wanted in (("valid", valid), ("test", test)):
            assert abs((mine == name).sum() - wanted * len(mine)) < 3  # by chance: up to 15


def test_a_rare_task_among_many_reaches_every_split():
    labels = np.zeros((2000, 3), dtype=np.uint8)
    labels[:40, 0] = 1
    labels[::2, 1] = labels[::3, 2] = 1
    splits = at_random(labels, 0.1, 0.1, np.random.default_rng(0))
    for name in SPLITS:
        assert labels[splits == name].sum(axis=0).min() > 0


def test_splits_depend_on_the_generator_alone():
    labels = np.tile([[0], [1]], (50, 1))
    first, again, other = (
        at_random(labels, 0.1, 0.1, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


chromosomes = st.dictionaries(
    st.sampled_from([f"chr{n}" for n in range(1, 23)]), st.integers(1, 500), min_size=3
)


@given(chromosomes)
def test_whole_chromosomes_fill_every_split(counts):
    chosen = by_chromosome(counts, 0.1, 0.1)
    assert set(chosen) == set(counts)
    assert set(chosen.values()) == set(SPLITS)
    most = max(counts.values())
    assert "train" in {chosen[chrom] for chrom in counts if counts[chrom] == most}


def test_chromosomes_of_equal_size_by_hand():
    counts = {f"chr{n}": 10 for n in range(1, 11)}
    chosen = by_chromosome(counts, 0.1, 0.1)
    assert [chosen[f"chr{n}"] for n in range(1, 11)] == ["train"] * 7 + ["train", "valid", "test"]


@given(st.integers(1, 5), st.integers(0, 99), st.integers(10, 150))
def test_no_two_splits_of_a_genome_share_a_base(chroms, seed, windows):
    rng = np.random.default_rng(seed)
    names = [f"chr{n}" for n in range(1, chroms + 1)]
    table = pd.DataFrame(
        {"chrom": rng.choice(names, windows), "start": rng.integers(0, 3000, windows)}
    )
    table["end"] = table["start"] + 50
    splits = of_genome(table, 0.2, 0.2)
    owner = {}
    for (chrom, start, end), split in zip(table.itertuples(index=False), splits, strict=True):
        for base in range(start, end) if split else ():
            assert owner.setdefault((chrom, base), split) == split


def test_one_chromosome_is_cut_by_position():
    table = pd.DataFrame({"chrom": "chr1", "start": np.arange(100) * 100})
    splits = of_genome(table.assign(end=table["start"] + 100), 0.1, 0.2)
    assert splits.tolist() == ["train"] * 70 + ["valid"] * 10 + ["test"] * 20
    across = of_genome(table.assign(end=table["start"] + 150), 0.1, 0.2)
    assert np.flatnonzero(across == "").tolist() == [69, 79]


def test_named_chromosomes():
    assert named(["chr1", "chr2", "chr3"], ["chr1"], ["chr2"]) == {
        "chr1": "valid", "chr2": "test", "chr3": "train"
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"test_chromosomes: .*\['chr2', 'chr10'\], got 'chr3'"):
        named(["chr10", "chr2"], ["chr2"], ["chr3"])
    with pytest.raises(ValueError, match="each chromosome in one split"):
        named(["chr1", "chr2"], ["chr1"], ["chr1"])
