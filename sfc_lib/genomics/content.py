"""What a source file must hold, whatever its compression, extent and letter case."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from io import BufferedIOBase
from pathlib import Path

from sfc_lib.files import atomic_write, sha256_file
from sfc_lib.genomics.registry import Source

GZIP = b"\x1f\x8b"  # how every gzip file begins
BLOCK = 1 << 20  # bytes read at once


def mismatch(path: Path, source: Source) -> str | None:
    """What is wrong with the file at `path`; None if it is what the registry describes.

    It is, if the SHA-256 of its bytes is the registered one; or, for sequence, the MD5 of
    the upper-case sequence of the region; or else the SHA-256 of its decompressed content.
    It may be compressed or plain. It is read to its end, so that a cut one is found out.
    """
    found = sha256_file(path)
    if found == source.sha256:
        return None
    got = f"got {found} ({path.stat().st_size:,} bytes)"
    expected = f"expected sha256 {source.sha256}"
    try:
        with _open(path) as file:
            if not source.region:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                return None if found == source.sha256_of_decompressed else f"{expected}, {got}"
            start, end = map(int, source.region.partition(":")[2].split("-"))
            expected = f"expected {source.region} with MD5 {source.md5_of_region}"
            md5 = md5_of_region(file, start, end)
            return None if md5 == source.md5_of_region else f"{expected}, got MD5 {md5}"
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        return f"{expected}, {got}, which can't be read: {error}"


def md5_of_region(file: BufferedIOBase, start: int, end: int) -> str:
    r"""MD5 of the upper-case sequence from `start` to `end` of a FASTA file's first record.

    Args:
        file: FASTA, decompressed, opened for bytes; it is read to its end.
        start: First base, 0-based.
        end: Base after the last one.

    Raises:
        ValueError: It does not begin with a FASTA header.

    Example:

    >>> md5_of_region(io.BytesIO(b">chr1\nacgt\nACGT\n"), 0, 4)
    'f1f8f4bf413b16ad135722aa4591043e'
    """
    header = file.readline(BLOCK)
    if not header.startswith(b">"):
        raise ValueError(f"expected a FASTA header, which begins with '>', got {header[:20]!r}")
    digest, position = hashlib.md5(usedforsecurity=False), 0
    while block := file.read(BLOCK):
        bases = block.translate(None, b"\r\n").upper()
        digest.update(bases[max(0, start - position) : max(0, end - position)])
        position += len(bases)
    return digest.hexdigest()


def compress(path: Path, like: Path | None = None) -> None:
    """Compress a file that has come plain under a name that ends on `.gz`; else do nothing.

    Args:
        path: Of the file.
        like: The name it is meant for, by default its own.
    """
    with open(path, "rb") as plain:
        if (like or path).suffix != ".gz" or plain.read(len(GZIP)) == GZIP:
            return
        plain.seek(0)
        with (
            atomic_write(path) as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        ):
            shutil.copyfileobj(plain, packed, BLOCK)


def _open(path: Path) -> BufferedIOBase:
    """The decompressed content of a gzip file, or the bytes of any other one."""
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    return gzip.open(path, "rb") if packed else open(path, "rb")
