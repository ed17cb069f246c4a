"""Reading text files that users bring: plain or gzip, any line end, with or without a BOM.

What can't be read is refused as `file:line: expected …, got …`, with lines counted from 1.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from sfc_lib.files import UserError

BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"  # how every gzip file begins
CHUNK = 1 << 22  # bytes


class InputError(UserError):
    """A file is not what it should be; the message names the file and the line."""


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file piece by piece, decompressed if it is gzip or bgzip.

    What counts is how the file begins, not its name. A BOM is left out.

    Raises:
        InputError: No such file, a folder, unreadable, empty, or damaged gzip.
    """
    number, first = 1, True
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(len(GZIP)) == GZIP
        with gzip.open(path, "rb") if zipped else open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk.removeprefix(BOM) if first else chunk
                number, first = number + chunk.count(b"\n"), False
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}:{number}: expected a whole gzip file, got one that is cut off or damaged here "
            f"({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    if first:
        raise InputError(f"{path}:1: expected text, got an empty file.")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, be they those of Unix, Windows or old Macs.

    Raises:
        InputError: As `read_chunks`; or bytes that are no UTF-8 text.
    """
    content = b"".join(read_chunks(path))
    try:
        text = content.decode()
        place = text.find("\0")
        before = text[:place].encode() if place >= 0 else b""
    except UnicodeDecodeError as error:
        place, before = error.start, content[: error.start]
    if place >= 0:
        raise InputError(
            f"{path}:{before.count(bytes([10])) + 1}: expected text, "
            f"got the byte 0x{content[len(before)]:02x}. {_guess(content)}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _guess(content: bytes) -> str:
    """What a file that is no UTF-8 text may be, and what to do."""
    kinds = {
        b"BAM\1": "This is a BAM file",
        b"\xff\xfe": "This is UTF-16 text, save it as UTF-8",
        b"\xfe\xff": "This is UTF-16 text, save it as UTF-8",
        b"PK": "This is a zip archive or an Excel workbook, save it as tab-separated text",
        b"\xeb\xf2\x89\x87": "This is a bigBed file, convert it with bigBedToBed",
        b"\x87\x89\xf2\xeb": "This is a bigBed file, convert it with bigBedToBed",
    }
    found = [kind for start, kind in kinds.items() if content.startswith(start)]
    return f"{(found or ['This is no text file'])[0]}."
