"""Text files that users bring: plain or gzip, any line end, with or without a BOM.

They are read piece by piece, so that a file of any size takes little memory. What is no text
is refused as `file:line: expected …, got …`, with lines counted from 1.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sfc_lib.errors import UserError
from sfc_lib.files import open_content

BOM = b"\xef\xbb\xbf"
CHUNK = 1 << 22  # bytes read at once
LONGEST = 1 << 20  # bytes of a line of a table, or of a header
BLOCK = 0xFF00  # bytes of text in a block of bgzip
KINDS = {  # how files that are no text begin, and what to do with them
    b"BAM\1": "a BAM file",
    b"\xff\xfe": "UTF-16 text, save it as UTF-8",
    b"\xfe\xff": "UTF-16 text, save it as UTF-8",
    b"PK": "a zip archive or an Excel workbook, save it as tab-separated text",
    b"\xeb\xf2\x89\x87": "a bigBed file, convert it with bigBedToBed",
    b"\x87\x89\xf2\xeb": "a bigBed file, convert it with bigBedToBed",
}
_emptied: set[tuple[int, int]] = set()  # pipes that this process has read


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a text file piece by piece, decompressed if it is gzip or bgzip.

    What counts is how the file begins, not its name. A BOM is left out. A pipe can be read
    too, once.

    Raises:
        UserError: No such file, a folder, unreadable, or empty; damaged gzip; a NUL byte,
            which no text holds; a pipe that was read before.
    """
    line, start = 1, b""
    try:
        _refuse_emptied(path)
        with open_content(path) as file:
            while chunk := file.read(CHUNK):
                start = start or chunk
                if (place := chunk.find(0)) >= 0:
                    raise _no_text(path, line + chunk.count(b"\n", 0, place), chunk[place], start)
                yield chunk.removeprefix(BOM) if chunk is start else chunk
                line += chunk.count(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path}:{line}: expected a whole gzip file, got one that is cut off or damaged here "
            f"({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    if not start:
        raise UserError(f"{path}:1: expected text, got an empty file.")


def content_sha256(path: Path) -> str:
    """SHA-256 of what `read_chunks` gives; with its errors."""
    digest = hashlib.sha256()
    for chunk in read_chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file without their ends, be they those of Unix, Windows or old Macs.

    Raises:
        UserError: As `read_chunks`; or bytes that are no UTF-8 text; or a line that has no end.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    number, rest, start = 1, "", b""
    for chunk in read_chunks(path):
        start = start or chunk
        *lines, rest = (rest + _decoded(path, number, decoder, chunk, start)).split("\n")
        yield from lines
        number += len(lines)
        if len(rest) > LONGEST:
            raise UserError(f"{path}:{number}: expected lines of text, got one without an end.")
    yield from (rest + _decoded(path, number, decoder, b"", start)).split("\n")


def _decoded(
    path: Path, number: int, decoder: io.IncrementalNewlineDecoder, chunk: bytes, start: bytes
) -> str:
    """The text of a chunk that begins in line `number`."""
    try:
        return decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        line = number + error.object.count(b"\n", 0, error.start)
        raise _no_text(path, line, error.object[error.start], start) from error


def _refuse_emptied(path: Path) -> None:
    """Refuse what can be read but once, and has been: nothing of it may be lost unseen."""
    about = path.stat()
    if (about.st_dev, about.st_ino) in _emptied:
        require_file(path)
    if not (path.is_file() or path.is_dir()):
        _emptied.add((about.st_dev, about.st_ino))


def require_file(path: Path) -> None:
    """Refuse what is not there, and a pipe, which can be read but once.

    Raises:
        UserError: It is one of the two.
    """
    if not path.exists():
        raise UserError(f"{path}: expected a readable file, got: No such file or directory.")
    if not (path.is_file() or path.is_dir()):
        raise UserError(
            f"{path}: expected a file that can be read again, got a pipe. Save it as a file first."
        )


def _no_text(path: Path, line: int, byte: int, start: bytes) -> UserError:
    """The error for a byte that no text holds; `start` is how the file begins."""
    kind = next((kind for begin, kind in KINDS.items() if start.startswith(begin)), "no text file")
    return UserError(f"{path}:{line}: expected text, got the byte 0x{byte:02x}. This is {kind}.")


class BlockGzip:
    """Writes bgzip, the gzip in blocks that tabix and bcftools look into.

    Close it, or use it in a `with`, so that the end is written; the file under it stays open.
    The same text gives the same bytes.

    Args:
        file: Where bytes are written.

    Example:

    >>> file = io.BytesIO()
    >>> with BlockGzip(file) as packed:
    ...     _ = packed.write(b"text")
    >>> gzip.decompress(file.getvalue())
    b'text'
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._held = file, bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes; whole blocks are written."""
        self._held += data
        while len(self._held) >= BLOCK:
            self._block(bytes(self._held[:BLOCK]))
            del self._held[:BLOCK]
        return len(data)

    def close(self) -> None:
        """Write what is left, and the empty block that ends a file."""
        if self._held:
            self._block(bytes(self._held))
        self._held.clear()
        self._block(b"")

    def _block(self, text: bytes) -> None:
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(text) + deflate.flush()
        size = len(body) + 25  # with header and end, less one (SAM specification, section 4.1)
        header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", size)
        self._file.write(header + body + struct.pack("<II", zlib.crc32(text), len(text)))

    def __enter__(self) -> BlockGzip:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
