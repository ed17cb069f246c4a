"""DNA codes: letters there and back, bad letters, one-hot, the other strand, random bases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sfc_lib.genomics.dna import (
    decode,
    encode,
    one_hot,
    random_sequences,
    reverse_complement,
    shifted,
)

BLOCKS = st.integers(0, 12).flatmap(
    lambda length: st.lists(
        st.text("ACGTN", min_size=length, max_size=length), min_size=1, max_size=4
    )
)


@given(BLOCKS)
def test_decode_undoes_encode(sequences):
    codes = encode(sequences)
    assert codes.shape == (len(sequences), len(sequences[0]))
    assert decode(codes) == sequences


def test_codes_of_the_letters():
    codes = encode(["ACGTN"])
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1, 2, 3, 4]]


def test_lower_case_counts_alike():
    assert encode(["acgtn"]).tolist() == encode(["ACGTN"]).tolist()


@pytest.mark.parametrize("letter", ["U", "x", "-", " ", "é", "Ω", "\n"])
def test_bad_letter_is_named_with_its_place(letter):
    message = rf"letters ACGTN, got {letter!r} in sequence 1, position 2 \(both counted from 0\)"
    with pytest.raises(ValueError, match=message.replace("\\n", r"\\n")):
        encode(["ACGT", f"AC{letter}T", "AXXX"])


def test_unequal_lengths_are_rejected():
    with pytest.raises(ValueError, match=r"sequences of one length, got \[3, 4\]"):
        encode(["ACGT", "ACG"])


def test_no_sequence_is_rejected():
    with pytest.raises(ValueError, match=r"expected a list of sequences, got \[\]"):
        encode([])


def test_one_bare_string_is_not_a_list_of_letters():
    with pytest.raises(ValueError, match="expected a list of sequences, got 'ACGT'"):
        encode("ACGT")


@given(BLOCKS, st.data())
def test_shifted_is_what_slicing_a_string_gives(sequences, data):
    length = len(sequences[0])
    moves = [data.draw(st.integers(-length - 2, length + 2)) for _ in sequences]
    expected = [
        ("N" * by + row)[:length] if by >= 0 else (row + "N" * -by)[-by:][:length]
        for row, by in zip(sequences, moves, strict=True)
    ]
    assert decode(shifted(encode(sequences), np.array(moves))) == expected


def test_one_hot_rows():
    rows = one_hot(np.array([[0, 1], [2, 3], [4, 0]], dtype=np.uint8))
    assert rows.dtype == np.float32
    unit = np.eye(4).tolist()
    assert rows.tolist() == [[unit[0], unit[1]], [unit[2], unit[3]], [[0.0] * 4, unit[0]]]


def test_one_hot_of_a_single_sequence():
    assert one_hot(np.array([3], dtype=np.uint8)).tolist() == [[0, 0, 0, 1]]


def test_reverse_complement_by_hand():
    assert decode(reverse_complement(encode(["AACGTN", "TTTTTC"]))) == ["NACGTT", "GAAAAA"]


@given(BLOCKS)
def test_reverse_complement_twice_is_the_sequence(sequences):
    codes = encode(sequences)
    twice = reverse_complement(reverse_complement(codes))
    assert twice.dtype == np.uint8
    assert np.array_equal(twice, codes)


def test_reverse_complement_keeps_examples_in_place():
    codes = encode(["ACC", "GGT"])
    assert np.array_equal(reverse_complement(codes)[1], reverse_complement(codes[1]))


@pytest.mark.parametrize(
    "frequencies", [(0.27, 0.23, 0.23, 0.27), (0.3, 0.2, 0.2, 0.3), (0.01, 0.09, 0.2, 0.7)]
)
def test_random_bases_have_their_frequencies(frequencies):
    codes = random_sequences(2000, 500, frequencies, np.random.default_rng(0))
    counts = np.bincount(codes.ravel(), minlength=4)
    assert stats.chisquare(counts, np.multiply(frequencies, codes.size)).pvalue > 0.001


def test_random_bases_are_independent_along_and_across_sequences():
    codes = random_sequences(1000, 500, (0.27, 0.23, 0.23, 0.27), np.random.default_rng(0))
    for first, second in ((codes[:, :-1], codes[:, 1:]), (codes[:-1], codes[1:])):
        pairs = np.bincount((4 * first + second).ravel(), minlength=16).reshape(4, 4)
        assert stats.chi2_contingency(pairs).pvalue > 0.001


def test_frequency_zero_never_occurs():
    codes = random_sequences(4000, 500, (0.0, 0.5, 0.0, 0.5), np.random.default_rng(0))
    assert set(codes.ravel().tolist()) == {1, 3}


def test_random_sequences_are_codes_of_the_shape_asked_for():
    codes = random_sequences(3, 7, (0.25,) * 4, np.random.default_rng(0))
    assert (codes.shape, codes.dtype) == ((3, 7), np.uint8)


def test_random_sequences_come_from_the_generator_alone():
    first, again, other = (
        random_sequences(5, 50, (0.25,) * 4, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "frequencies", [(0.5, 0.5), (0.2,) * 5, (0.3, 0.3, 0.3, 0.3), (-0.1, 0.5, 0.3, 0.3)]
)
def test_bad_frequencies_are_rejected(frequencies):
    with pytest.raises(ValueError, match=r"four numbers >= 0 that sum to 1, got \("):
        random_sequences(1, 1, frequencies, np.random.default_rng(0))


def test_frequencies_that_are_no_numbers_are_rejected():
    with pytest.raises(ValueError, match="four numbers >= 0"):
        random_sequences(1, 1, (float("nan"),) * 4, np.random.default_rng(0))
