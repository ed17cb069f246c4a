"""Motif instances at given positions: where they go, what they hold, what is skipped."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sfc_lib.genomics.insertion import insert_motifs
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme

ACGG = Motif("ACGG", np.eye(4)[[0, 1, 2, 2]])  # reverse complement CCGT
WIDE = Motif("wide", np.full((7, 4), 0.25))
PAIR = (ACGG, WIDE)


def blank(examples=1, length=20):
    """Sequences of N, so that what was written shows."""
    return np.full((examples, length), 4, np.uint8)


def test_an_instance_is_centred_on_its_site():
    codes = blank()
    assert insert_motifs(codes, np.array([[0, 9, 0]]), PAIR, 0).tolist() == [7]
    assert (codes[0] != 4).nonzero()[0].tolist() == [7, 8, 9, 10]
    codes = blank()
    assert insert_motifs(codes, np.array([[0, 9, 1]]), PAIR, 0).tolist() == [6]
    assert (codes[0] != 4).nonzero()[0].tolist() == list(range(6, 13))


@pytest.mark.parametrize(("position", "start"), [(0, 0), (1, 0), (2, 0), (18, 16), (19, 16)])
def test_an_instance_that_sticks_out_is_moved_inside(position, start):
    assert insert_motifs(blank(), np.array([[0, position, 0]]), PAIR, 0).tolist() == [start]


def test_second_instance_at_the_same_site_goes_to_either_side_as_often():
    sites = np.array([[row, 10, 0] for row in range(2000) for _ in range(2)])
    starts = insert_motifs(blank(2000), sites, PAIR, 0).reshape(-1, 2)
    assert (starts[:, 0] == 8).all()
    assert set(starts[:, 1]) == {4, 12}
    assert chisquare(np.unique(starts[:, 1], return_counts=True)[1]).pvalue > 0.001


def test_other_side_is_taken_where_one_is_full_and_then_the_rest_is_skipped():
    sites = np.array([[0, 2, 0]] * 6)
    starts = insert_motifs(blank(), sites, PAIR, 0)
    assert starts.tolist() == [0, 4, 8, 12, 16, -1]


def test_a_motif_wider_than_the_sequence_is_skipped():
    codes = blank(length=6)
    assert insert_motifs(codes, np.array([[0, 3, 1], [0, 3, 0]]), PAIR, 0).tolist() == [-1, 1]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 29), st.integers(0, 1)), max_size=25),
    st.integers(0, 1000),
)
def test_starts_are_those_of_a_brute_force_search(sites, seed):
    sites = np.array(sorted(sites), dtype=np.int64).reshape(-1, 3)
    codes = blank(3, 30)
    starts = insert_motifs(codes, sites, PAIR, seed)
    taken = np.zeros((3, 30), bool)
    for (row, position, motif), start in zip(sites, starts, strict=True):
        width = PAIR[motif].width
        free = [s for s in range(31 - width) if not taken[row, s : s + width].any()]
        wanted = min(max(position - width // 2, 0), 30 - width)
        left = [s for s in free if s <= wanted][-1:]
        right = [s for s in free if s >= wanted][:1]
        assert start in ((left + right) or [-1])
        if start >= 0:
            taken[row, start : start + width] = True
    assert np.array_equal(codes != 4, taken)


def test_instances_are_drawn_from_the_pwm_on_both_strands():
    motif = read_meme(RESOURCES / "simulated_tf.meme")["GATA_disc1"]
    codes = blank(20_000, motif.width)
    sites = np.stack([np.arange(20_000), np.full(20_000, 5), np.zeros(20_000, int)], axis=1)
    assert (insert_motifs(codes, sites, [motif], 1) == 0).all()
    found = np.stack([(codes == base).mean(axis=0) for base in range(4)], axis=1)
    expected = motif.smoothed(0.001)
    assert np.abs(found - (expected + expected[::-1, ::-1]) / 2).max() < 0.015


def test_half_of_the_instances_are_reverse_complemented():
    codes = blank(4000, 4)
    sites = np.stack([np.arange(4000), np.full(4000, 2), np.zeros(4000, int)], axis=1)
    insert_motifs(codes, sites, PAIR, 0)
    forward, reverse = ((codes == word).all(axis=1).sum() for word in ([0, 1, 2, 2], [1, 1, 2, 3]))
    assert forward + reverse > 3960  # pseudocount .001, four bases
    assert chisquare([forward, reverse]).pvalue > 0.001


@pytest.mark.parametrize("chunk", [1, 13, 64])
def test_same_bytes_for_any_chunk(chunk):
    rng = np.random.default_rng(0)
    sites = np.stack([np.sort(rng.integers(0, 100, 900)), *rng.integers(0, [[30], [2]], (2, 900))])
    sites, rows = sites.T, np.arange(100)
    whole, pieces, starts = blank(100, 30), blank(100, 30), []
    expected = insert_motifs(whole, sites, PAIR, 5)
    for i in range(0, 100, chunk):
        here = sites[(sites[:, 0] >= i) & (sites[:, 0] < i + chunk)] - [i, 0, 0]
        starts.append(insert_motifs(pieces[i : i + chunk], here, PAIR, 5, rows[i : i + chunk]))
    assert np.array_equal(np.concatenate(starts), expected)
    assert np.array_equal(pieces, whole)


def test_no_sites_and_no_motifs():
    codes = blank()
    assert insert_motifs(codes, np.empty((0, 3), int), [], 0).shape == (0,)
    assert (codes == 4).all()


def test_bytes_stay_those_of_the_first_version():
    # A change here is a change of every simulated accessibility set: raise its version.
    codes = blank()
    insert_motifs(codes, np.array([[0, 5, 1], [0, 6, 0], [0, 18, 1]]), PAIR, 7)
    assert codes.tolist() == [[4, 4, 0, 2, 1, 1, 3, 0, 1, 1, 1, 2, 3, 3, 1, 2, 2, 3, 3, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": [[0, 20, 0]]}, "below (1, 20, 2), got [0, 20, 0]"),
        ({"sites": [[1, 0, 0]]}, "below (1, 20, 2), got [1, 0, 0]"),
        ({"sites": [[0, 0, 2]]}, "below (1, 20, 2), got [0, 0, 2]"),
        ({"sites": [[0, -1, 0]]}, "got [0, -1, 0]"),
        ({"sites": [0, 0, 0]}, "integers of shape (sites, 3), got int64 of shape (3,)"),
        ({"sites": [[0.0, 0, 0]]}, "integers of shape (sites, 3), got float64"),
        ({"codes": blank(2), "sites": [[1, 0, 0], [0, 0, 0]]}, "must be sorted"),
        ({"codes": blank()[:, ::2]}, "expected contiguous uint8 codes"),
        ({"codes": blank().astype(int)}, "expected contiguous uint8 codes"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"rows": [1, 2]}, "rows must be 1 integers >= 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    given = {"codes": blank(), "sites": [[0, 0, 0]], "motifs": PAIR, "seed": 0, **change}
    given["sites"] = np.array(given["sites"])
    with pytest.raises(ValueError, match=re.escape(message)):
        insert_motifs(**given)
