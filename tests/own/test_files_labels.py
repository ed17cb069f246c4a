"""Tables of labels: what is accepted, and every fault with its line."""

import gzip

import numpy as np
import pytest

from sfc_lib.errors import UserError
from sfc_lib.own.files import read_labels

GOOD = "name\tGATA1\tTAL1\ns1\t1\t0\ns2\t0\t0\n"


def written(folder, content):
    path = folder / "labels.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.rstrip(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        "\n" + GOOD.replace("s2", "\n\ns2") + "\n",
        gzip.compress(GOOD.encode()),
    ],
    ids=["plain", "no-end", "crlf", "cr", "bom", "blank", "gzip"],
)
def test_accepted_as_documented(tmp_path, content):
    labels = read_labels(written(tmp_path, content))
    assert (labels.tasks, labels.names) == (("GATA1", "TAL1"), ("s1", "s2"))
    assert labels.values.dtype == np.uint8
    assert labels.values.tolist() == [[1, 0], [0, 0]]


def test_lines_are_those_of_the_file(tmp_path):
    assert read_labels(written(tmp_path, "\nname\ta\n\ns1\t1\ns2\t0\n")).lines == (4, 5)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "expected text, got an empty file"),
        ("\n\n", 1, "expected a header and lines of labels, got only blank lines"),
        ("name\ta\n", 1, "expected sequences below the header, got none"),
        ("s1\t1\t0\ns2\t0\t1\n", 1, r"expected a header.*got \['s1', '1', '0'\]\. Put a line"),
        ("name,a\ns1,1\n", 1, "one column. The columns are separated by commas"),
        ("name a\ns1 1\n", 1, "one column. The columns are separated by spaces"),
        ("name\n", 1, "expected a header.*separated by tabs, got one column"),
        ("name\ta\t\ns1\t1\t0\n", 1, "got none in column 3"),
        ("name\ta\ta\ns1\t1\t0\n", 1, "got 'a' again"),
        ("name\ta\ns1\t1\t0\n", 2, "expected 2 tab-separated columns as in the header, got 3"),
        ("name\ta\ns1\n", 2, "expected 2 tab-separated columns as in the header, got 1"),
        ("name\ta\ns1;1\n", 2, "separated by semicolons"),
        ("name\ta\ns1\t2\n", 2, "expected 0 or 1 for 'a', got '2'"),
        ("name\ta\ns1\t1\ns2\t\n", 3, "expected 0 or 1 for 'a', got ''.*must be left out"),
        ("name\ta\ns1\tNA\n", 2, "got 'NA'"),
        ("name\ta\ns1\t0.5\n", 2, "got '0.5'"),
        ("name\ta\ns1\t1.0\n", 2, "got '1.0'"),
        ("name\ta\ns1\tTrue\n", 2, "got 'True'"),
        ("name\ta\n\t1\n", 2, "expected a name of its own for each line, got none"),
        ("name\ta\ns1\t1\ns2\t0\ns1\t1\n", 4, "got 's1' again"),
        (b"name\ta\ns1\t1\n\xff\xfe", 3, "expected text, got the byte 0xff"),
        ("name\ta\n".encode("utf-16"), 1, "This is UTF-16 text, save it as UTF-8"),
        (b"PK\3\4\0\0", 1, "an Excel workbook, save it as tab-separated text"),
        (gzip.compress(GOOD.encode() * 50)[:-9], 1, "expected a whole gzip file"),
    ],
)
def test_refused_with_file_and_line(tmp_path, content, line, message):
    with pytest.raises(UserError, match=rf"labels\.tsv:{line}: .*{message}"):
        read_labels(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"labels\.tsv: expected a readable file, got: No such"):
        read_labels(tmp_path / "labels.tsv")
