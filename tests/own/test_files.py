"""A user's files: known by their content, found where last seen; and tables of labels."""

import gzip
import hashlib
import os

import numpy as np
import pytest

import sfc_lib.files
from sfc_lib.datasets.base import NOT_KNOWN
from sfc_lib.errors import UserError
from sfc_lib.own import files
from sfc_lib.own.files import read_labels, recall, remember, require_kind

TEXT = b">a\nACGT\n"
FILE_NAME = "labels.tsv"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path):
    """A small file."""
    path = tmp_path / "a.fa"
    path.write_bytes(TEXT)
    return path


def test_the_same_content_has_one_hash(tmp_path, file):
    (tmp_path / "b.fa.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "c.fa").write_bytes(b"\xef\xbb\xbf" + TEXT)
    expected = hashlib.sha256(TEXT).hexdigest()
    for name in ("a.fa", "b.fa.gz", "c.fa"):
        assert remember(tmp_path / name) == expected
        assert recall(expected, "positives") == tmp_path / name


def test_an_unchanged_file_is_not_read_again(file, monkeypatch):
    monkeypatch.setattr(sfc_lib.files, "SETTLED", -(10**12))  # as if it were old
    first = remember(file)
    monkeypatch.setattr(files, "content_sha256", None)
    assert remember(file) == first
    assert recall(first, "positives") == file


def test_a_change_is_seen_even_just_after_reading(file):
    first = remember(file)
    times = file.stat()
    file.write_bytes(TEXT.replace(b"ACGT", b"ACGA"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert remember(file) != first
    with pytest.raises(UserError, match=rf"a\.fa: expected peaks with sha256 {first}, got a file"):
        recall(first, "peaks")


def test_a_file_that_is_gone_or_was_never_seen(file):
    first = remember(file)
    file.unlink()
    with pytest.raises(UserError, match=r"genome 1: .*a\.fa: .*No such file.*where it is now"):
        recall(first, "genome 1")
    with pytest.raises(UserError, match=r"labels: expected a file with sha256 0000.*not seen"):
        recall("0" * 64, "labels")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"path": 1}'])
def test_a_damaged_note_is_as_good_as_none(file, damage):
    first = remember(file)
    (note,) = (file.parent / "home" / "own").glob("*.json")
    note.write_bytes(damage)
    with pytest.raises(UserError, match="has not seen"):
        recall(first, "positives")
    assert remember(file) == first
    assert recall(first, "positives") == file


def test_folders_and_missing_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="nothing: expected a readable file, got: No such file"):
        remember(tmp_path / "nothing")
    with pytest.raises(UserError, match="expected a readable file, got: Is a directory"):
        remember(tmp_path)


def test_a_pipe_is_refused_and_loses_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: expected a file that can be read again, got a pipe"):
        remember(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("given", "prefix", "message"),
    [
        ([], "--", "expected the files --positives and --negatives, or .* got none"),
        (["labels", "genome"], "", "expected the files positives .* got genome, labels"),
        (["positives", "negatives", "peaks"], "", "got negatives, peaks, positives"),
        (["test", "test_negatives"], "--", "expected the files --positives and .* got none"),
        (
            ["positives", "negatives", "test"],
            "--",
            "beside --negatives, --positives: expected --test and --test-negatives, got --test.$",
        ),
        (["sequences", "labels", "test", "test_negatives"], "", "expected test and test_labels,"),
        (["peaks", "genome", "test", "test_negatives"], "--", "--peaks: expected --test, got"),
        (["peaks", "genome", "negatives", "test"], "--", "expected --test and --test-negatives,"),
    ],
)
def test_files_that_make_no_dataset_together(given, prefix, message):
    with pytest.raises(UserError, match=message):
        require_kind(given, prefix)


@pytest.mark.parametrize(
    "given",
    [
        ["positives", "negatives", "test", "test_negatives"],
        ["sequences", "labels", "test", "test_labels"],
        ["peaks", "genome", "test"],
        ["peaks", "genome", "negatives", "test", "test_negatives"],
    ],
)
def test_files_with_a_test_set_of_their_kind(given):
    require_kind(given)
    require_kind(role for role in given if not role.startswith("test"))


# Tables of labels


GOOD = "name\tGATA1\tTAL1\ns1\t1\t0\ns2\t0\t0\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.rstrip(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        "\n" + GOOD.replace("s2", "\n\ns2") + "\n",
        gzip.compress(GOOD.encode(), mtime=0),
        gzip.compress(GOOD[:20].encode()) + gzip.compress(GOOD[20:].encode()),
        GOOD.replace("\t1", "\t1.0").replace("\t0", "\t0.0"),
        GOOD.replace("\t1", "\tTrue").replace("\t0", "\tFalse"),
        GOOD.replace("\t1", "\tTRUE ").replace("\t0", "\t FALSE"),
    ],
    ids=["plain", "no-end", "crlf", "cr", "bom", "blank", "gzip", "members", "float", "bool", "R"],
)
def test_accepted_as_documented(written, content):
    labels = read_labels(written(content))
    assert (labels.tasks, labels.names) == (("GATA1", "TAL1"), ("s1", "s2"))
    assert labels.values.dtype == np.uint8
    assert labels.values.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("text", ["NA", "nan", "NaN", "-1", "-1.0", "", " "])
def test_labels_that_are_not_known(written, text):
    labels = read_labels(written(f"name\ta\tb\ns1\t1\t{text}\ns2\t{text}\t0\n"))
    assert labels.values.tolist() == [[1, NOT_KNOWN], [NOT_KNOWN, 0]]


def test_lines_are_those_of_the_file(written):
    assert read_labels(written("\nname\ta\n\ns1\t1\ns2\t0\n")).lines == (4, 5)


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
        ("name\ta\ns1\t2\n", 2, r"expected 0, 1 or NA \(not known\) for 'a', got '2'"),
        ("name\ta\ns1\t-2\n", 2, "got '-2'"),
        ("name\ta\ns1\t0.5\n", 2, "got '0.5'"),
        ("name\ta\ns1\t1.5\n", 2, "got '1.5'"),
        ("name\ta\ns1\tyes\n", 2, "got 'yes'"),
        ("s1\tTRUE\ns2\tFALSE\n", 1, r"expected a header.*got \['s1', 'TRUE'\]\. Put a line"),
        ("name\ta\n\t1\n", 2, "expected a name of its own for each line, got none"),
        ("name\ta\ns1\t1\ns2\t0\ns1\t1\n", 4, "got 's1' again"),
        (b"name\ta\ns1\t1\n\xff\xfe", 3, "expected text, got the byte 0xff"),
        ("name\ta\n".encode("utf-16"), 1, "This is UTF-16 text, save it as UTF-8"),
        (b"PK\3\4\0\0", 1, "an Excel workbook, save it as tab-separated text"),
        (gzip.compress(GOOD.encode() * 50, mtime=0)[:-9], 1, "expected a whole gzip file"),
    ],
)
def test_refused_with_file_and_line(written, content, line, message):
    with pytest.raises(UserError, match=rf"labels\.tsv:{line}: .*{message}"):
        read_labels(written(content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"labels\.tsv: expected a readable file, got: No such"):
        read_labels(tmp_path / "labels.tsv")
