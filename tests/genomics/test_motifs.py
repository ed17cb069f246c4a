"""PWMs: the shipped ones against the ENCODE file, malformed files, drawing instances."""

import gzip

import numpy as np
import pytest
from scipy import stats

from sfc_lib.errors import UserError
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme

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


MATRIX_OF = "first: expected one matrix of w= rows, each four probabilities that sum to 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("0.3 0.4", "0.3", 1), MATRIX_OF),
        (GOOD.replace("0.3 0.4", "0.3 0.5", 1), MATRIX_OF),
        (GOOD.replace("0.3 0.4", "0.3 0.401", 1), MATRIX_OF),
        (GOOD.replace("0.1 0.2", "-0.1 0.4", 1), MATRIX_OF),
        (GOOD.replace("0.1", "A", 1), MATRIX_OF),
        (GOOD.replace("w= 2", "w= 3", 1), MATRIX_OF),
        (f"MEME\nMOTIF first\n{MATRIX[:-8]}", MATRIX_OF),
        (GOOD.replace(" w= 2", "", 1), MATRIX_OF),
        (GOOD.replace("MOTIF second other", "MOTIF first"), "first: expected a new motif name"),
        (GOOD.replace("MOTIF first", "MOTIF"), ": expected a new motif name"),
        ("MEME version 4\n", "at least one MOTIF with a matrix, got none"),
        ("", "expected text, got an empty file"),
        (GOOD.replace("0.1", "nan", 1), MATRIX_OF),
        (GOOD.replace("w= 2", "w= 0", 1), MATRIX_OF),
        (GOOD.replace("w= 2", "w= 1", 1), MATRIX_OF),
        (GOOD.replace(MATRIX, "", 1), MATRIX_OF),
        (GOOD + MATRIX, MATRIX_OF.replace("first", "second")),
    ],
    ids=[
        "three fields",
        "sum above one",
        "sum just above one",
        "negative",
        "letter",
        "row missing",
        "rows missing at the end",
        "no width",
        "repeated name",
        "no name",
        "no motif",
        "empty file",
        "nan",
        "width zero",
        "more rows than the width",
        "no matrix",
        "second matrix",
    ],
)
def test_malformed_file_is_named_with_its_motif(written, text, message):
    with pytest.raises(UserError, match=rf"motifs\.meme:.*{message}"):
        read_meme(written(text))


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
