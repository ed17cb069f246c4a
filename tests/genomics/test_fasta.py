"""FASTA: every kind of bad file, access at random against plain slices, one copy for all."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib import files
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.fasta import open_fasta, read_fasta

FILE_NAME = "genome.fa"
GOOD = ">one first\nACGT\nAC\n>two\nGGGG\nTT\n"


def whole(fasta):
    """All sequences by name, as letters."""
    return {name: decode(codes[None])[0] for name, codes in fasta.items()}


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.lower().replace("one first", "one First"),
        GOOD.replace("\n", "\r\n"),
        GOOD.rstrip(),
        GOOD.replace(">two", "\n\n>two") + "\n\n",
        "\n" + GOOD.replace("first\n", "first\n\n"),
        "\ufeff" + GOOD,
        gzip.compress(GOOD.encode(), mtime=0),
        gzip.compress(GOOD[:20].encode(), mtime=0) + gzip.compress(GOOD[20:].encode(), mtime=0),
    ],
    ids=["plain", "lower", "crlf", "no-end", "blank", "blank-before", "bom", "gzip", "blocks"],
)
def test_accepted_as_documented(written, content):
    expected = {"one": "ACGTAC", "two": "GGGGTT"}
    assert whole(open_fasta(written(content))) == expected
    names, codes = read_fasta(written(content))
    assert dict(zip(names, decode(codes), strict=True)) == expected


def test_gzip_is_known_by_its_content_not_its_name(written):
    assert len(whole(open_fasta(written(GOOD, "x.fa.gz")))) == 2
    assert len(whole(open_fasta(written(gzip.compress(GOOD.encode()), "y.fa")))) == 2


def test_letters_for_several_bases_become_n(written):
    path = written(">a\nACGTNRYSWKMBDHV\nacgtnryswkmbdhv\n")
    expected = "ACGT" + "N" * 11 + "ACGT" + "N" * 11
    names, codes = read_fasta(path)
    assert (names, decode(codes)) == (["a"], [expected])
    assert whole(open_fasta(path)) == {"a": expected}


BAD = {
    "empty": ("", 1, "expected text, got an empty file"),
    "blank lines": ("\n\n", 1, "got only blank lines"),
    "no header": ("ACGT\nACGT\n", 1, "expected FASTA, a line that begins with '>', got 'ACGT'"),
    "bed": ("\nchr1\t10\t20\n", 2, r"expected FASTA, .* got 'chr1\\t10\\t20'"),
    "binary": (b"\0\1\2\3 binary", 1, "This is no text file"),
    "2bit": (b"\x43\x27\x41\x1a\0\0\0\0", 1, "This is no text file"),
    "binary inside": (GOOD.encode() + b"AC\0GT\n", 7, "expected text, got the byte 0x00"),
    "protein": (">p\nMKVLAEFIQ\n", 1 + 1, "got 'L' in column 4. This looks like protein"),
    "rna": (GOOD + ">three\nACGU\n", 8, "got 'U' in column 4. This looks like RNA"),
    "alignment": (">a\nAC-GT\n", 2, "got '-' in column 3. This looks like an alignment"),
    "blank in a line": (">a\nAC GT\n", 2, "got ' ' in column 3"),
    "trailing blank": (">a\nACGT \n", 2, "got ' ' in column 5"),
    "digits": (">a\n1 ACGT\n", 2, "got '1' in column 1"),
    "other alphabet": (">a\nACÖT\n", 2, "expected only the letters ACGTN and RYSWKMBDHV"),
    "repeated name": (GOOD + ">one\nAC\n", 7, "a name for each sequence of its own, got 'one'"),
    "no name": (">\nACGT\n", 1, "expected a name behind '>', got none"),
    "no sequence": (">one\n>two\nACGT\n", 1, "expected a sequence of 'one', got none"),
    "no sequence at the end": (GOOD + ">three\n", 7, "expected a sequence of 'three', got none"),
    "old Mac": (">one\rACGT\r", 1, "expected a sequence of 'one', got none"),
    "fastq": ("@read\nACGT\n+\nIIII\n", 1, "expected FASTA, .* got '@read'"),
    "cut gzip": (gzip.compress(GOOD.encode() * 99)[:-9], None, "whole gzip file, got one"),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-8] + b"\0" * 8, None, "whole gzip file"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("read", [open_fasta, read_fasta])
def test_refused_with_file_and_line(written, read, case):
    content, line, message = BAD[case]
    path = written(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert re.match(rf"{re.escape(str(path))}:{line or '[0-9]+'}: expected ", str(caught.value))
    with pytest.raises(UserError, match=message):  # nothing half-done passes for a copy
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        ">a\nACGT\nAC\nACGTAC\n",
        ">a\nACGT\nACACGTAC\n",
        ">a\nACGTAC\n\nACGTAC\n",
        ">a\nACGTAC\r\nACGTA\nC\r\n",
    ],
    ids=["short inside", "long at the end", "blank inside", "line ends"],
)
def test_lines_may_be_of_any_length(written, text):
    path = written(text)
    assert whole(open_fasta(path)) == {"a": "ACGTACACGTAC"}
    assert decode(read_fasta(path)[1]) == ["ACGTACACGTAC"]


def test_unequal_lengths_are_refused_where_one_is_needed(written):
    path = written(">a\nACGT\n>b\nACG\n")
    with pytest.raises(UserError, match=":3: expected 4 bp as in the first sequence, got 3 bp in"):
        read_fasta(path)
    assert whole(open_fasta(path)) == {"a": "ACGT", "b": "ACG"}


@pytest.mark.parametrize("read", [open_fasta, read_fasta])
@pytest.mark.parametrize("name", ["nowhere.fa", "."])
def test_no_file_is_one_clear_error(tmp_path, read, name):
    with pytest.raises(UserError, match=r"expected a .*file, got: (No such|Is a dir)"):
        read(tmp_path / name)


@given(
    st.lists(st.text("ACGTNacgtn", min_size=1, max_size=40), min_size=1, max_size=4),
    st.integers(1, 12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.data(),
)
def test_slices_are_those_of_the_text(tmp_path_factory, sequences, width, end, zipped, data):
    lines = []
    for number, sequence in enumerate(sequences):
        wrapped = [sequence[at : at + width] for at in range(0, len(sequence), width)]
        lines += [f">s{number}", *wrapped]
    text = (end.join(lines) + end).encode()
    path = tmp_path_factory.mktemp("slices") / "x.fa"
    path.write_bytes(gzip.compress(text) if zipped else text)
    fasta = open_fasta(path)
    for number, sequence in enumerate(sequences):
        start = data.draw(st.integers(0, len(sequence)))
        stop = data.draw(st.integers(start, len(sequence)))
        found = decode(fasta[f"s{number}"][None, start:stop])
        assert found == [sequence[start:stop].upper()]
        assert len(fasta[f"s{number}"]) == len(sequence)


@given(st.binary(max_size=60) | st.text(">acgtn\n\r x", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x.fa"
    path.write_bytes(content)
    for read in (open_fasta, read_fasta):
        try:
            read(path)
            refused = f"{path}:"
        except UserError as error:
            refused = str(error)
        assert refused.startswith(f"{path}:")


def test_a_changed_file_is_read_anew(written):
    assert whole(open_fasta(written(">a\nACGT\n"))) == {"a": "ACGT"}
    path = written(">b\nGGGGGG\n")
    assert whole(open_fasta(path)) == {"b": "GGGGGG"}
    path = written(gzip.compress(b">c\nGG\n"))
    assert whole(open_fasta(path)) == {"c": "GG"}
    assert whole(open_fasta(written(">d\nCC\n"))) == {"d": "CC"}
    path.with_name("copy.fa").hardlink_to(path)  # which changes a time of the file
    assert whole(open_fasta(path)) == {"d": "CC"}


def test_same_size_but_later_is_read_anew(written):
    path = written(">a\nACGT\n")
    open_fasta(path)
    path.write_text(">b\nGGGG\n")
    os.utime(path, (1, 1))  # even if it is older than the copy
    assert whole(open_fasta(path)) == {"b": "GGGG"}


def test_a_file_from_the_future_is_read(written):
    path = written(GOOD)
    os.utime(path, (4e9, 4e9))
    assert len(whole(open_fasta(path))) == len(whole(open_fasta(path))) == 2


def test_nothing_is_written_beside_the_users_file(written, tmp_path):
    open_fasta(written(gzip.compress(GOOD.encode())))
    assert [path.name for path in tmp_path.iterdir()] == ["genome.fa"]


def test_the_copy_is_made_once(written):
    path = written(gzip.compress(GOOD.encode()), "once.fa.gz")
    open_fasta(path)
    (folder,) = (data_dir() / "fasta").glob("once.fa.gz-*")
    times = {file: file.stat().st_mtime_ns for file in folder.iterdir() if file.name != "lock"}
    open_fasta(path)
    assert {file: file.stat().st_mtime_ns for file in times} == times


def damaged(content):
    """The content with a bit flipped in each byte in turn; cut; emptied."""
    for at in range(len(content)):
        yield content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
    yield from (content[:-1], b"", content + b"x")


@pytest.mark.parametrize("name", ["codes", "about.json", ".codes.noted"])
def test_damage_of_any_byte_in_the_cache_is_mended(written, tmp_path, monkeypatch, name):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "SETTLED", -(10**12))  # nothing is too young to be noted
    path = written(gzip.compress(GOOD.encode()), "damage.fa.gz")
    for _ in range(2):
        open_fasta(path)
    (folder,) = (data_dir() / "fasta").glob("damage.fa.gz-*")
    for content in damaged((folder / name).read_bytes()):
        times = (folder / name).stat()
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(times.st_atime_ns, times.st_mtime_ns))
        files._known.clear()  # as in another process
        open_fasta(path)
        assert whole(open_fasta(path)) == {"one": "ACGTAC", "two": "GGGGTT"}
    (folder / name).unlink()
    assert whole(open_fasta(path)) == {"one": "ACGTAC", "two": "GGGGTT"}


OPEN = """
import hashlib, sys
from sfc_lib.genomics.fasta import open_fasta
print(hashlib.md5(open_fasta(sys.argv[1])["a"]).hexdigest())
"""


def opened(path, **options):
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(path)], stdout=subprocess.PIPE, text=True, **options
    )


@pytest.fixture
def large(written):
    """A compressed FASTA file that takes some tenths of a second to check."""
    codes = np.random.default_rng(0).integers(0, 4, (200_000, 60), dtype=np.uint8)
    lines = np.frombuffer(b"ACGT", dtype=np.uint8)[codes]
    text = b">a\n" + b"\n".join(row.tobytes() for row in lines)
    return written(gzip.compress(text, 1), "large.fa.gz")


def test_many_processes_at_once_and_one_killed_before(large):
    killed = opened(large)
    until = time.monotonic() + 60
    while not list((data_dir() / "fasta").glob("large.fa.gz-*/.codes.*")):
        assert time.monotonic() < until, "it never began to write"
        assert killed.poll() is None, "it was done before it could be killed"
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    (folder,) = (data_dir() / "fasta").glob("large.fa.gz-*")
    assert not (folder / "codes").exists()
    processes = [opened(large) for _ in range(3)]
    answers = {process.communicate(timeout=120)[0] for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(answers) == 1
    assert {file.name for file in folder.iterdir()} == {"lock", "codes", "about.json"}
    assert len(open_fasta(large)["a"]) == 12_000_000
