"""Matched negatives: where they lie, how they match, and what happens without room."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.genome import Genome
from sfc_lib.genomics.intervals import overlaps, pad, resize
from sfc_lib.own.negatives import AWAY, _nearest, gc_content, matched

WIDTH = 50


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """Two chromosomes whose GC content rises along them; N in the middle of the second."""
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    rng = np.random.default_rng(0)
    lines = []
    for chrom, size in (("chr1", 60_000), ("chr2", 40_000)):
        gc = rng.random(size) < np.linspace(0.2, 0.8, size)
        letters = np.where(gc, rng.choice(list("CG"), size), rng.choice(list("AT"), size))
        if chrom == "chr2":
            letters[20_000:22_000] = "N"
        lines.append(f">{chrom}\n{''.join(letters)}\n")
    path.write_text("".join(lines))
    return Genome(path)


def peaks(*places):
    table = pd.DataFrame(places, columns=["chrom", "start"])
    return table.assign(end=table["start"] + 30)


def negatives_of(genome, table, seed=0):
    windows = resize(table, WIDTH)
    codes, keep, _ = genome.windows(windows)
    gc = gc_content(codes)
    assert keep.all()
    return (gc, *matched(windows, gc, table, genome, np.random.default_rng(seed)))


FEW = peaks(*(("chr1", s) for s in range(30_000, 40_000, 500)), ("chr2", 8_000), ("chr2", 9_000))


def test_gc_content_leaves_unknown_bases_out():
    codes = np.array([[0, 1, 2, 4], [4, 4, 4, 4], [0, 3, 0, 3], [1, 2, 1, 4]])
    assert gc_content(codes).tolist() == [2 / 3, 0, 0, 1]


def test_each_has_its_chromosome_and_gc_content_and_lies_elsewhere(genome):
    gc, found, counts = negatives_of(genome, FEW)
    assert found["row"].tolist() == list(range(len(FEW)))
    assert (found["chrom"].to_numpy() == FEW["chrom"].to_numpy()).all()
    assert (found["end"] - found["start"] == WIDTH).all()
    assert not overlaps(found, pad(FEW, AWAY)).any()
    codes, keep, _ = genome.windows(found)
    assert keep.all(), "an N, or beyond the end"
    assert np.abs(gc_content(codes) - gc).max() <= 0.02
    assert counts == {}
    ordered = found.sort_values(["chrom", "start"])
    same = ordered["chrom"].to_numpy()[1:] == ordered["chrom"].to_numpy()[:-1]
    assert (ordered["start"].to_numpy()[1:] >= ordered["end"].to_numpy()[:-1])[same].all()


def test_each_lies_in_its_stretch(genome):
    table = FEW[FEW["chrom"] == "chr1"]
    windows = resize(table, WIDTH).assign(first=0, last=20_000)
    windows.loc[windows.index[::2], ["first", "last"]] = 41_000, 60_000
    codes, _, _ = genome.windows(windows)
    found, _ = matched(windows, gc_content(codes), table, genome, np.random.default_rng(0))
    for row, start, end in zip(found["row"], found["start"], found["end"], strict=True):
        assert start >= 41_000 if row % 2 == 0 else end <= 20_000
    assert len(found) == len(table)
    several = pd.concat(
        [windows.assign(first=0, last=60_000), windows.assign(first=0, last=59_000)]
    )
    codes = np.concatenate([codes, codes])
    both, _ = matched(several, gc_content(codes), table, genome, np.random.default_rng(0))
    ordered = np.sort(both["start"].to_numpy())
    assert (np.diff(ordered) >= WIDTH).all()
    codes = codes[: len(table)]
    narrow = windows.assign(first=10, last=40)  # no window fits
    none, counts = matched(narrow, gc_content(codes), table, genome, np.random.default_rng(0))
    assert len(none) == 0
    assert counts == {"positives without a negative, for lack of room": len(table)}


def test_the_generator_alone_decides(genome):
    one, again, other = (negatives_of(genome, FEW, seed)[1] for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


def test_what_can_not_be_matched_is_counted(genome):
    everywhere = peaks(*(("chr1", s) for s in range(0, 60_000 - 60, 1500)))
    _, found, counts = negatives_of(genome, everywhere.iloc[1:])
    lacking = len(everywhere) - 1 - len(found)
    assert counts["positives without a negative, for lack of room"] == lacking > 10
    rich = peaks(*(("chr1", s) for s in range(52_000, 59_900, 60)))
    codes = genome.windows(resize(rich, WIDTH))[0]
    _, found, counts = negatives_of(genome, rich)
    off = np.abs(gc_content(genome.windows(found)[0]) - gc_content(codes)[found["row"]])
    assert counts["negatives whose GC content differs by more than 2 %"] == (off > 0.02).sum() > 0


@given(st.lists(st.integers(0, 20), max_size=15), st.lists(st.integers(0, 20), max_size=15))
def test_the_nearest_that_is_free_against_looking_at_all(wanted, offered):
    found = _nearest(np.array(wanted, dtype=float), np.array(offered, dtype=float))
    free = list(range(len(offered)))
    for value, place in zip(wanted, found, strict=True):
        if not free:
            assert place == -1
            continue
        distances = [abs(offered[i] - value) for i in free]
        assert abs(offered[place] - value) == min(distances)
        free.remove(place)


def test_windows_are_shuffled_over_the_chromosome(genome):
    alike = peaks(*[("chr1", 30_000)] * 1)
    starts = {int(negatives_of(genome, alike, seed)[1]["start"].iloc[0]) for seed in range(8)}
    assert len(starts) > 4
    assert len(decode(genome.windows(resize(alike, WIDTH))[0])[0]) == WIDTH
