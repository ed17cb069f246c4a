"""What is accepted as a source file: the bytes, the sources, or a region's sequence."""

import gzip
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import CONTENT, PLAIN, a_source, sha256

from sfc_lib.genomics import sources
from sfc_lib.genomics.sources import compress, md5_of_region, mismatch, select

SEQUENCE = "NNNNacgtACGTnnRYGATTACA" * 40
MD5 = hashlib.md5(SEQUENCE[:500].upper().encode()).hexdigest()


def fasta(sequence, header=">chr9", width=50, end="\n"):
    lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return end.join([header, *lines, ""]).encode()


@pytest.fixture
def region():
    """A source of which the extract of 500 bp in upper case is registered."""
    extract = fasta(SEQUENCE[:500].upper())
    packed = gzip.compress(extract, mtime=0)
    return a_source(
        file="hg19/chr9_0-500.fa.gz", bytes=len(packed), sha256=sha256(packed),
        sha256_of_decompressed=sha256(extract), region="chr9:0-500", md5_of_region=MD5,
    )  # fmt: skip


ACCEPTED = {
    "extract": gzip.compress(fasta(SEQUENCE[:500].upper()), mtime=0),
    "extract, otherwise compressed": gzip.compress(fasta(SEQUENCE[:500].upper()), 1),
    "whole chromosome, soft-masked": gzip.compress(fasta(SEQUENCE)),
    "plain": fasta(SEQUENCE),
    "other line lengths": fasta(SEQUENCE, width=61),
    "one line": fasta(SEQUENCE, width=10_000),
    "CRLF": fasta(SEQUENCE, end="\r\n"),
    "another header": fasta(SEQUENCE, header=">NC_000009.11 Homo sapiens"),
    "two gzip members": gzip.compress(fasta(SEQUENCE)[:99]) + gzip.compress(fasta(SEQUENCE)[99:]),
    "a genome that begins with it": fasta(SEQUENCE) + fasta("ACGT", header=">chr10"),
}
WHOLE = gzip.compress(fasta(SEQUENCE))
REFUSED = {
    "one base too few": fasta(SEQUENCE[:499]),
    "one base changed": fasta("A" + SEQUENCE[1:]),
    "shifted": fasta(SEQUENCE[1:]),
    "no header": fasta(SEQUENCE)[6:],
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "cut behind the region": WHOLE[:-9],
    "damaged behind the region": WHOLE[:-5] + bytes([WHOLE[-5] ^ 1]) + WHOLE[-4:],
    "gzip in name only": b"\x1f\x8b" + b"x" * 50,
    "spaces within": fasta(SEQUENCE.replace("A", " ")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_region_is_what_counts(tmp_path, region, name):
    path = tmp_path / "file.fa.gz"
    path.write_bytes(ACCEPTED[name])
    assert mismatch(path, region) is None


@pytest.mark.parametrize("name", REFUSED)
def test_other_sequence_is_refused_in_words(tmp_path, region, name):
    path = tmp_path / "file.fa.gz"
    path.write_bytes(REFUSED[name])
    assert f"expected chr9:0-500 with MD5 {MD5}, got " in mismatch(path, region)


def test_region_known_by_its_sequence_only(tmp_path, region):
    full = a_source(bytes=0, sha256="", sha256_of_decompressed="", region="chr9:0-500",
                    md5_of_region=MD5)  # fmt: skip
    path = tmp_path / "file.fa.gz"
    path.write_bytes(WHOLE)
    assert mismatch(path, full) is None
    path.write_bytes(b"")
    assert "expected chr9:0-500 with MD5" in mismatch(path, full)


def test_ucsc_chromosome_in_place_of_the_real_extract(shared_data, tmp_path):
    """The real chr22 extract made into what UCSC sends: longer, and partly in lower case."""
    (source,) = select(["hg19/chr22_*"])
    header, _, bases = gzip.decompress((shared_data / source.file).read_bytes()).partition(b"\n")
    bases = bases.replace(b"\n", b"")
    whole = header + b"\n" + bases[:17_000_000] + bases[17_000_000:].lower() + b"acgtNNNN" * 1000
    path = tmp_path / "chr22.fa.gz"
    path.write_bytes(gzip.compress(whole, 1))
    assert mismatch(path, source) is None
    path.write_bytes(gzip.compress(whole.replace(b"gattaca", b"gattacc", 1), 1))
    assert mismatch(path, source).startswith("expected chr22:0-22000000 with MD5")


@given(
    sequence=st.text("ACGTNacgtn", max_size=60),
    width=st.integers(1, 20),
    block=st.integers(1, 30),
    extent=st.tuples(st.integers(0, 70), st.integers(0, 70)),
)
def test_md5_of_any_region_in_any_blocks(sequence, width, block, extent):
    start, end = sorted(extent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", max(block, 6))  # the header is read in one
        found = md5_of_region(io.BytesIO(fasta(sequence, width=width)), start, end)
    assert found == hashlib.md5(sequence[start:end].upper().encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("x.gz", PLAIN, PLAIN), ("x.gz", CONTENT, None), ("x.txt", PLAIN, None), ("x.gz", b"", b"")],
)
def test_compress_only_what_is_plain_under_a_compressed_name(tmp_path, name, before, after):
    path = tmp_path / name
    path.write_bytes(before)
    compress(path)
    if after is None:
        assert path.read_bytes() == before
    else:
        assert gzip.decompress(path.read_bytes()) == after
    assert [item.name for item in tmp_path.iterdir()] == [name]
