"""PWMs: the shipped ones against the ENCODE file, malformed files, drawing instances."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import one_hot, reverse_complement
from sfc_lib.genomics.motifs import (
    RESOURCES,
    Motif,
    as_meme,
    best_scores,
    informative_core,
    parse_meme,
    read_meme,
    shipped_motifs,
)

SHIPPED = RESOURCES / "simulated_tf.meme"
NAMES = ["GATA_disc1", "TAL1_known1"]
MATRIX = "letter-probability matrix: alength= 4 w= 2\n0.1 0.2 0.3 0.4\n1 0 0 0\n"
FILE_NAME = "motifs.meme"
GOOD = f"MEME version 4\n\nMOTIF first\n{MATRIX}\nMOTIF second other\n{MATRIX}"


def encode_rows(shared_data, name):
    """Digits of a motif in the ENCODE file, as text."""
    with gzip.open(shared_data / "deeplift_simulation/encode_motifs.txt.gz", "rt") as file:
        blocks = file.read().split(">")
    (block,) = [block for block in blocks if block.split()[:1] == [name]]
    return [line.split()[1:] for line in block.splitlines()[1:]]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_motif_is_encodes_digit_for_digit(name, shared_data):
    block = SHIPPED.read_text().split(f"MOTIF {name}\n")[1].split("\n\n")[0]
    assert [line.split() for line in block.splitlines()[1:]] == encode_rows(shared_data, name)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_motif_is_read_as_encodes(name, shared_data):
    digits = np.array(encode_rows(shared_data, name), dtype=float)
    expected = digits / digits.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(read_meme(SHIPPED)[name].probabilities, expected, rtol=1e-12)


def test_shipped_motifs_and_their_widths():
    motifs = read_meme(SHIPPED)
    assert [(name, motif.name, motif.width) for name, motif in motifs.items()] == [
        ("GATA_disc1", "GATA_disc1", 10),
        ("TAL1_known1", "TAL1_known1", 16),
    ]


def test_motifs_are_read_in_file_order(written):
    motifs = read_meme(str(written(GOOD)))
    assert list(motifs) == ["first", "second"]
    np.testing.assert_allclose(motifs["first"].probabilities, [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])


def test_what_stands_behind_a_name_is_its_title(written):
    assert [motif.title for motif in read_meme(written(GOOD)).values()] == ["", "other"]


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        gzip.compress(GOOD.encode()),
        GOOD.replace("0.1 0.2 0.3 0.4", "\t0.1\t0.2\t0.3\t0.4"),
        GOOD + "URL http://example.org\n",
    ],
    ids=["crlf", "bom", "gzip", "tabs", "url"],
)
def test_files_as_collections_come(written, content):
    motifs = read_meme(written(content))
    assert [motif.width for motif in motifs.values()] == [2, 2]
    assert motifs["first"].probabilities[0].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_what_is_no_text_is_refused(written):
    with pytest.raises(UserError, match=r"motifs\.meme:1: expected text, got the byte"):
        read_meme(written(b"PK\3\4\0\xff"))


def test_rows_are_made_to_sum_to_one(written):
    motif = read_meme(written(GOOD.replace("0.1 0.2 0.3 0.4", "0.10003 0.2 0.3 0.4")))["first"]
    assert motif.probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-15)


@pytest.mark.parametrize("row", ["0.333 0.333 0.333 0", "0.34 0.33 0.34 0"])
def test_what_rounding_took_from_a_row_is_given_back(written, row):
    given = np.array(row.split(), dtype=float)
    found = read_meme(written(GOOD.replace("0.1 0.2 0.3 0.4", row)))["first"].probabilities[0]
    np.testing.assert_allclose(found, given / given.sum())


def test_the_width_may_be_left_out(written):
    motif = read_meme(written(GOOD.replace(" w= 2", "")))["first"]
    np.testing.assert_allclose(motif.probabilities, [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])


def row_of(line):
    return f"first: row 1: expected four probabilities that sum to 1, got '{line}'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("0.3 0.4", "0.3", 1), row_of("0.1 0.2 0.3")),
        (GOOD.replace("0.3 0.4", "0.3 0.5", 1), row_of("0.1 0.2 0.3 0.5")),
        (GOOD.replace("0.3 0.4", "0.3 0.42", 1), row_of("0.1 0.2 0.3 0.42")),
        (GOOD.replace("0.1 0.2", "-0.1 0.4", 1), row_of("-0.1 0.4 0.3 0.4")),
        (GOOD.replace("0.2", "A", 1), row_of("0.1 A 0.3 0.4")),
        (GOOD.replace("w= 2", "w= 3", 1), "first: expected w= 3 rows, got 2"),
        (f"MEME\nMOTIF first\n{MATRIX[:-8]}", "first: expected w= 2 rows, got 1"),
        (GOOD.replace("MOTIF second other", "MOTIF first"), "first: expected a new motif name"),
        (GOOD.replace("MOTIF first", "MOTIF"), ": expected a new motif name"),
        ("MEME version 4\n", "at least one MOTIF with a matrix, got none"),
        ("", "expected text, got an empty file"),
        (GOOD.replace("0.1", "nan", 1), row_of("nan 0.2 0.3 0.4")),
        (GOOD.replace("w= 2", "w= 0", 1), "first: expected w= 0 rows, got 2"),
        (GOOD.replace("w= 2", "w= 1", 1), "first: expected w= 1 rows, got 2"),
        (GOOD.replace(MATRIX, "", 1), "first: expected one letter-probability matrix, got 0"),
        (GOOD + MATRIX, "second: expected one letter-probability matrix, got 2"),
        (f"MEME\nMOTIF first\n{MATRIX[:42]}\n", "expected w= 2 rows, got 0"),
        (GOOD.replace(" w= 2", "").replace("1 0 0 0", "A 0 0 1", 1), "row 2: expected four"),
        (GOOD.replace(" w= 2", "").replace("1 0 0 0", "\nNaN 0 0 1", 1), "row 2: expected four"),
    ],
    ids=[
        "three fields",
        "sum above one",
        "sum just above one",
        "negative",
        "letter",
        "row missing",
        "rows missing at the end",
        "repeated name",
        "no name",
        "no motif",
        "empty file",
        "nan",
        "width zero",
        "more rows than the width",
        "no matrix",
        "second matrix",
        "no rows",
        "letter in a matrix without width",
        "nan behind an empty line",
    ],
)
def test_malformed_file_is_named_with_its_motif(written, text, message):
    with pytest.raises(UserError, match=rf"motifs\.meme:.*{message}"):
        read_meme(written(text))


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(["", "FACTOR two"]))
def test_what_is_written_is_read_to_four_decimals_and_written_alike(seed, width, title):
    rows = np.random.default_rng(seed).dirichlet([0.2] * 4, width)
    text = as_meme([Motif("M1.2", rows, title), Motif("other", np.eye(4))])
    found = parse_meme(text, "there")
    assert list(found) == ["M1.2", "other"]
    assert found["M1.2"].title == title
    np.testing.assert_allclose(found["M1.2"].probabilities, rows, atol=2e-4)
    assert found["other"].probabilities.tolist() == np.eye(4).tolist()
    assert as_meme(found.values()) == text


def test_best_scores_are_those_of_every_place_on_both_strands():
    rng = np.random.default_rng(0)
    motifs = {f"m{w}": Motif("m", rng.dirichlet([0.3] * 4, w)) for w in (4, 4 + 3, 12, 40)}
    codes = rng.integers(0, 5, (700, 30)).astype(np.uint8)  # N among them; more than a block
    found = best_scores(codes, motifs)
    assert (found[:, 3] == -np.inf).all()  # longer than the sequences
    for row in (0, 3, 499, 500, 699):
        for column, motif in enumerate(list(motifs.values())[:3]):
            table = np.log2((0.99 * motif.probabilities + 0.0025) / 0.25)
            sums = [
                (one_hot(strand[None, start : start + motif.width])[0] * table).sum()
                for strand in (codes[row], reverse_complement(codes[row][None])[0])
                for start in range(30 - motif.width + 1)
            ]
            assert found[row, column] == pytest.approx(max(sums), abs=1e-4)


def test_the_core_of_a_motif_is_where_it_tells_most():
    matrix = np.zeros((9, 4))
    matrix[5:8, 0] = 1
    assert informative_core(matrix, 3).tolist() == matrix[5:8].tolist()
    assert informative_core(matrix, 9) is matrix


def test_the_motifs_that_come_with_the_library():
    found = shipped_motifs()
    assert {"CTCF_known1", "GATA_disc1", "TAL1_known1"} <= set(found)
    assert [name for name, one in found.items() if one.name != name] == []


def test_smoothed_mixes_with_the_uniform_distribution():
    motif = Motif("m", np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert motif.smoothed(0.2).tolist() == [pytest.approx([0.85, 0.05, 0.05, 0.05])]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pseudocount", [None, 0.1])
def test_instances_recover_the_smoothed_matrix(name, pseudocount):
    motif, rng = read_meme(SHIPPED)[name], np.random.default_rng(0)
    options = {} if pseudocount is None else {"pseudocount": pseudocount}
    instances = motif.sample(100_000, rng, **options)
    share = 0.001 if pseudocount is None else pseudocount
    expected = (1 - share) * motif.probabilities + share / 4
    for position, column in enumerate(instances.T):
        counts = np.bincount(column, minlength=4)
        p = stats.chisquare(counts, 100_000 * expected[position]).pvalue
        assert p > 0.001, (position, counts)


def test_positions_of_an_instance_are_independent():
    motif = Motif("m", np.full((2, 4), 0.25))
    instances = motif.sample(100_000, np.random.default_rng(0))
    pairs = np.bincount(4 * instances[:, 0] + instances[:, 1], minlength=16).reshape(4, 4)
    assert stats.chi2_contingency(pairs).pvalue > 0.001


def test_instances_are_codes():
    instances = read_meme(SHIPPED)["GATA_disc1"].sample(3, np.random.default_rng(0))
    assert (instances.shape, instances.dtype) == ((3, 10), np.uint8)


def test_certain_bases_are_always_drawn():
    motif = Motif("m", np.eye(4))
    instances = motif.sample(1000, np.random.default_rng(0), pseudocount=0)
    assert np.array_equal(instances, np.tile(np.arange(4), (1000, 1)))
