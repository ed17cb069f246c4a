"""Text files: any way they come, in pieces of any size, nothing lost, memory flat."""

import gzip
import io
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.errors import UserError
from sfc_lib.genomics import text
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.fasta import iterate_fasta, open_fasta, read_fasta
from sfc_lib.genomics.intervals import read_intervals
from sfc_lib.genomics.text import BlockGzip, read_chunks, read_lines

FILE_NAME = "file.txt"
RECORDS = 1000
FASTA = b"".join(b">s%d\nACGTACGTAC\n" % n for n in range(RECORDS))
BED = b"".join(b"chr1\t%d\t%d\n" % (n, n + 5) for n in range(RECORDS))
READERS = {
    "fasta": (FASTA, lambda path: len(read_fasta(path)[0])),
    "fasta one by one": (FASTA, lambda path: len(list(iterate_fasta(path)))),
    "bed": (BED, lambda path: len(read_intervals(path))),
}


@pytest.fixture
def pipe():
    """Function that makes a pipe, as a shell does, through which some bytes come."""
    ends, threads = [], []

    def make(content, at_a_time=1 << 16):
        reading, writing = os.pipe()
        ends.append(reading)
        threads.append(threading.Thread(target=pour, args=(writing, content, at_a_time)))
        threads[-1].start()
        return f"/dev/fd/{reading}"

    def pour(writing, content, at_a_time):
        with open(writing, "wb", buffering=0) as file:
            for at in range(0, len(content), at_a_time):
                file.write(content[at : at + at_a_time])

    yield make
    for thread in threads:
        thread.join(60)
    for end in ends:
        os.close(end)


pipes = pytest.mark.skipif(not os.path.exists("/dev/fd/0"), reason="there is no /dev/fd")


@pipes
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("at_a_time", [1, 1 << 16])
@pytest.mark.parametrize("reader", READERS)
def test_nothing_that_comes_through_a_pipe_is_lost(pipe, reader, at_a_time, packed):
    content, count = READERS[reader]
    path = pipe(gzip.compress(content) if packed else content, at_a_time)
    assert count(path) == RECORDS


@pipes
def test_a_pipe_is_read_once_or_refused(pipe):
    path = pipe(FASTA)
    assert len(read_fasta(path)[0]) == RECORDS
    with pytest.raises(UserError, match="expected a file that can be read again, got a pipe"):
        next(read_chunks(Path(path)))


@pipes
def test_a_genome_that_comes_through_a_pipe_is_refused_and_left_alone(pipe):
    path = pipe(FASTA)
    with pytest.raises(UserError, match=rf"{path}: expected a file that can be read again"):
        open_fasta(path)
    assert len(read_fasta(path)[0]) == RECORDS


@given(
    st.text(st.sampled_from("ab\t\r\né\u2028\ufeff😀"), min_size=1, max_size=40),
    st.integers(1, 9),
    st.booleans(),
)
def test_lines_are_those_of_python_in_chunks_of_any_size(tmp_path_factory, content, chunk, zipped):
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", max(chunk, len(text.BOM)))
        found = list(read_lines(path))
    assert found == io.StringIO(content.removeprefix("\ufeff"), newline=None).read().split("\n")


@given(
    st.lists(st.text("ACGTN", min_size=1, max_size=30), min_size=1, max_size=4),
    st.integers(1, 12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(3, 20),
)
def test_fasta_is_the_same_in_chunks_of_any_size(
    tmp_path_factory, sequences, width, end, ended, chunk
):
    lines = []
    for number, sequence in enumerate(sequences):
        wrapped = [sequence[at : at + width] for at in range(0, len(sequence), width)]
        lines += [f">s{number} with more words", *wrapped]
    path = tmp_path_factory.mktemp("fasta") / "x.fa"
    path.write_bytes((end.join(lines) + end * ended).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", chunk)
        found = list(iterate_fasta(path))
        at_random = open_fasta(path).values()
    for codes in ([codes for _, codes in found], at_random):
        assert [decode(one[None])[0] for one in codes] == sequences
    assert [lines[entry.line - 1].split()[0] for entry, _ in found] == [
        f">{entry.name}" for entry, _ in found
    ]


@pytest.mark.parametrize("chunk", [3, 4, 5, 1 << 22])
def test_a_bad_letter_is_found_in_its_column_wherever_a_chunk_ends(written, monkeypatch, chunk):
    monkeypatch.setattr(text, "CHUNK", chunk)
    with pytest.raises(UserError, match=r":4: expected only the letters .* got 'X' in column 9\."):
        read_fasta(written(">a\nACGT\n>b\nACGTACGTXA\n"))


@pytest.fixture
def peak(monkeypatch):
    """Function that says the most bytes held at once while something is done."""
    monkeypatch.setattr(text, "CHUNK", 1 << 14)

    def measure(do):
        tracemalloc.start()
        try:
            do()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


@pytest.mark.parametrize("packed", [False, True])
def test_a_chromosome_on_one_line_takes_little_memory(written, peak, packed):
    bases = 8_000_000  # in 500 chunks: were they joined each time, 2 GB would be copied
    content = b">a\n" + b"ACGT" * (bases // 4)
    path = written(gzip.compress(content, 1) if packed else content, "one.fa")
    assert peak(lambda: open_fasta(path)) < 1_000_000
    assert len(open_fasta(path)["a"]) == bases


@pytest.mark.parametrize("read", [read_intervals, read_fasta, open_fasta])
def test_zeros_without_end_are_refused_at_the_first(written, peak, read):
    path = written(gzip.compress(bytes(50_000_000)), "zeros.bed.gz")

    def refused():
        with pytest.raises(UserError, match=r"zeros\.bed\.gz:1: expected text, got the byte 0x00"):
            read(path)

    assert peak(refused) < 1_000_000


@pytest.mark.parametrize(
    ("read", "start", "message"),
    [(read_intervals, "\n", ":2: expected lines of text, got one without an end"),
     (read_fasta, "\n>", ":2: expected a header, got one without an end"),
     (open_fasta, ">a\nAC\n>", ":3: expected a header, got one without an end")],
)  # fmt: skip
def test_a_line_without_an_end_is_refused_in_time(written, peak, read, start, message):
    path = written(gzip.compress(start.encode() + b"x" * 30_000_000), "long.gz")

    def refused():
        with pytest.raises(UserError, match=message):
            read(path)

    assert peak(refused) < 10 * text.LONGEST


@pytest.mark.parametrize("line", [1, 3])
def test_what_is_no_text_is_named_with_its_line(written, monkeypatch, line):
    monkeypatch.setattr(text, "CHUNK", 3)
    for byte in (b"\0", b"\xff"):
        with pytest.raises(
            UserError, match=rf":{line}: expected text, got the byte 0x{byte.hex()}"
        ):
            list(read_lines(written("abé\n".encode() * (line - 1) + byte + b"b")))


def test_bgzip_is_gzip_in_blocks_that_say_how_long_they_are():
    content = np.random.default_rng(0).integers(0, 255, 200_000).astype(np.uint8).tobytes()
    found = []
    for step in (7777, 200_000):
        file = io.BytesIO()
        with BlockGzip(file) as packed:
            for first in range(0, len(content), step):
                packed.write(content[first : first + step])
        found.append(file.getvalue())
    assert found[0] == found[1]
    assert gzip.decompress(found[0]) == content
    place, blocks = 0, 0
    while place < len(found[0]):
        assert found[0][place : place + 4] == b"\x1f\x8b\x08\x04"
        assert found[0][place + 10 : place + 16] == b"\6\0BC\2\0"
        place += 1 + int.from_bytes(found[0][place + 16 : place + 18], "little")
        blocks += 1
    assert (place, blocks) == (len(found[0]), 5)  # the last is empty
    end = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    assert found[0].endswith(end)  # as the SAM specification gives it


def test_bgzip_that_fails_has_no_end():
    file = io.BytesIO()
    with pytest.raises(TypeError), BlockGzip(file) as packed:
        packed.write("no bytes")
    assert file.getvalue() == b""
