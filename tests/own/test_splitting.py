"""Splits: even ones of sequences, and ones of a genome that share no base."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.genomics.dna import reverse_complement
from sfc_lib.own import splitting
from sfc_lib.own.splitting import (
    COMMON,
    alike,
    at_random,
    by_chromosome,
    coordinates,
    in_groups,
    named,
    of_genome,
)

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


# Near-duplicates


def random_codes(examples, length, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (examples, length), dtype=np.uint8)


def mutated(codes, every):
    """A copy with another base at every so many positions."""
    copy = codes.copy()
    copy[:, ::every] = (copy[:, ::every] + 1) % 4
    return copy


@pytest.mark.parametrize(
    ("change", "together"),
    [
        (lambda rows: rows.copy(), True),
        (reverse_complement, True),
        (lambda rows: np.roll(rows, 30, axis=1), True),  # shares 70 of 100 bp
        (lambda rows: reverse_complement(np.roll(rows, -30, axis=1)), True),
        (lambda rows: np.concatenate([rows[:, 90:], random_codes(len(rows), 90, 9)], 1), False),
        (lambda rows: mutated(rows, 50), True),
        (lambda rows: mutated(rows, 9), False),
        (lambda rows: random_codes(len(rows), 100, 7), False),
    ],
    ids=["copy", "reverse", "shifted", "both", "10 bp", "2 %", "11 %", "other"],
)
def test_what_counts_as_alike(change, together):
    rows = random_codes(20, 100)
    groups = alike(np.concatenate([rows, change(rows)]))
    assert len(set(groups[:20])) == 20
    assert (groups[:20] == groups[20:]).all() == together
    assert len(set(groups)) == (20 if together else 40)


def test_of_very_many_sequences_a_part_of_the_kmers_tells_the_same(monkeypatch):
    rows = random_codes(30, 1000)
    codes = np.concatenate([rows, np.roll(reverse_complement(rows), 300, axis=1)])
    whole = alike(codes)
    monkeypatch.setattr(splitting, "MOST", codes.size // 8)
    monkeypatch.setattr(splitting, "BLOCK", 7)
    few = splitting._chosen_kmers(codes)[1]
    assert 0.1 < len(few) / (60 * 985) < 0.15  # one in 8
    np.testing.assert_array_equal(alike(codes), whole)
    assert len(set(whole)) == 30


def test_likeness_chains_but_repeats_of_the_genome_do_not():
    genome = random_codes(1, 400)[0]
    chain = np.stack([genome[s : s + 100] for s in range(0, 300, 50)])
    assert len(set(alike(chain))) == 1
    repeat = random_codes(COMMON + 1, 100, 3)
    repeat[:, :60] = repeat[0, :60]
    assert len(set(alike(repeat))) == COMMON + 1
    assert len(set(alike(repeat[:-1]))) == 1


@pytest.mark.parametrize(("copies", "length"), [(60, 150), (200, 200), (100, 60)])
def test_large_families_of_copies_are_groups(copies, length):
    """As all single changes of an enhancer are, in a random order."""
    rng = np.random.default_rng(0)
    families = np.repeat(np.arange(5), copies)
    codes = np.repeat(random_codes(5, length), copies, axis=0)
    place = rng.integers(0, length, len(codes))
    codes[np.arange(len(codes)), place] = (codes[np.arange(len(codes)), place] + 1) % 4
    order = rng.permutation(len(codes))
    groups = alike(codes[order])
    assert len(set(groups)) == 5
    assert all(len(set(groups[families[order] == family])) == 1 for family in range(5))


def test_close_tiles_are_a_group_and_shared_adapters_make_none():
    genome = random_codes(1, 2000)[0]
    assert len(set(alike(np.stack([genome[s : s + 150] for s in range(0, 1800, 2)])))) == 1
    codes = random_codes(300, 200)
    codes[:, :20], codes[:, -20:] = codes[0, :20], codes[0, -20:]
    assert len(set(alike(codes))) == 300


def test_unknown_bases_and_short_sequences_are_alike_to_none():
    assert len(set(alike(np.full((5, 40), 4, dtype=np.uint8)))) == 5
    assert alike(np.zeros((4, 8), dtype=np.uint8)).tolist() == [0, 1, 2, 3]


def test_groups_stay_whole_and_large_ones_train():
    rng = np.random.default_rng(0)
    groups = np.r_[np.zeros(100, int), rng.integers(1, 150, 400)]
    labels = (rng.random((500, 1)) < 0.5).astype(np.uint8)
    splits = in_groups(labels, groups, 0.2, 0.2, np.random.default_rng(1))
    for group in range(150):
        assert len(set(splits[groups == group])) <= 1
    assert set(splits[:100]) == {"train"}
    assert all(0.08 < share(splits, name) < 0.25 for name in ("valid", "test"))


@given(st.integers(30, 200), st.integers(0, 99))
def test_without_near_duplicates_groups_change_nothing(examples, seed):
    labels = np.random.default_rng(seed).integers(0, 2, (examples, 1))
    plain, grouped = (
        split(np.random.default_rng(seed))
        for split in (
            lambda rng: at_random(labels, 0.2, 0.2, rng),
            lambda rng: in_groups(labels, np.arange(examples), 0.2, 0.2, rng),
        )
    )
    assert (plain == grouped).all()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["chr1:100-300", "chr2:5-9"], [["chr1", 100, 300], ["chr2", 5, 9]]),
        (["1:1,000-2,000(+)", "a::X:5-9(-)"], [["chr1", 1000, 2000], ["chrX", 5, 9]]),
        (["chr1:100-300", "peak_2"], None),
        (["chr1:300-100"], None),
        (["s0", "s1"], None),
        (["chr1_100_300"], None),
    ],
)
def test_names_that_tell_where_sequences_lie(names, expected):
    found = coordinates(names)
    assert (found is None) if expected is None else (found.to_numpy().tolist() == expected)


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


@given(st.integers(1, 4), st.integers(0, 99), st.integers(20, 150))
def test_where_the_test_set_is_a_file_the_others_train_and_validate(chroms, seed, windows):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 3000, windows)
    chrom = [f"chr{n % chroms}" for n in range(windows)]
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 50})
    splits = of_genome(table, 0.25, 0)
    assert {"train", "valid"} <= set(splits) <= {"train", "valid", ""}
    if chroms > 1:
        assert "" not in splits
        assert all(len(set(splits[table["chrom"] == name])) == 1 for name in set(chrom))
    labels, groups = rng.integers(0, 2, (windows, 1)), np.arange(windows) // 2
    found = in_groups(labels, groups, 0.25, 0, rng)
    assert set(found) == {"train", "valid"}
    assert all(len(set(found[groups == group])) == 1 for group in groups)


def test_one_chromosome_is_cut_in_two_where_the_test_set_is_a_file():
    table = pd.DataFrame({"chrom": "chr1", "start": np.arange(100) * 100})
    splits = of_genome(table.assign(end=table["start"] + 100), 0.1, 0)
    assert splits.tolist() == ["train"] * 90 + ["valid"] * 10
    across = of_genome(table.assign(end=table["start"] + 150), 0.1, 0)
    assert np.flatnonzero(across == "").tolist() == [89]


def test_named_chromosomes():
    assert named(["chr1", "chr2", "chr3"], ["chr1"], ["chr2"]) == {
        "chr1": "valid", "chr2": "test", "chr3": "train"
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"test_chromosomes: .*\['chr2', 'chr10'\], got 'chr3'"):
        named(["chr10", "chr2"], ["chr2"], ["chr3"])
    with pytest.raises(ValueError, match="each chromosome in one split"):
        named(["chr1", "chr2"], ["chr1"], ["chr1"])
