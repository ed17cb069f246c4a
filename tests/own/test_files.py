"""A user's files: known by their content, found where they were last seen."""

import gzip
import hashlib
import os

import numpy as np
import pytest

import sfc_lib.files
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode
from sfc_lib.own import files
from sfc_lib.own.files import batches, recall, remember

TEXT = b">a\nACGT\n"


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
    monkeypatch.setattr(files, "read_chunks", None)
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


def test_batches_give_every_sequence_once(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGTN"), 7)) for _ in range(23)]
    path = tmp_path / "s.fa"
    path.write_text("".join(f">s{i} x\n{r[:3]}\n{r[3:].lower()}\n" for i, r in enumerate(rows)))
    found = list(batches(path, 7, size=5))
    assert [len(names) for names, _ in found] == [5, 5, 5, 5, 3]
    assert [name for names, _ in found for name in names] == [f"s{i}" for i in range(23)]
    assert [row for _, codes in found for row in decode(codes)] == rows
    with pytest.raises(UserError, match=r"s\.fa:1: expected sequences of 8 bp .* got 7 bp in 's0'"):
        list(batches(path, 8))
