"""FASTA files, plain, gzip or bgzip: checked line by line once, then read at random by pyfaidx.

Lower case counts as upper. The IUPAC letters for several bases (R, Y, S, W, K, M, B, D, H, V)
become N. Anything else that is not ACGTN is refused, with its line.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyfaidx
from filelock import FileLock

from sfc_lib.errors import InputError
from sfc_lib.files import BOM, GZIP, atomic_write, data_dir, read_chunks, remove, scratch_in
from sfc_lib.genomics.dna import ALPHABET

AMBIGUOUS = "RYSWKMBDHV"
PACKED = (".gz", ".bgz", ".bz2", ".zip")
_LETTERS = (ALPHABET + AMBIGUOUS).encode() + (ALPHABET + AMBIGUOUS).lower().encode()
_CODES = np.full(256, 255, dtype=np.uint8)
_CODES[list(_LETTERS)] = [ALPHABET.find(chr(letter).upper()) % 5 for letter in _LETTERS]  # -1: N


@dataclass
class Record:
    """One sequence's line of a `.fai` index, and the line of the file where it begins."""

    name: str
    line: int
    length: int  # bases
    offset: int  # bytes before the first base
    bases: int = 0  # in a full line
    width: int = 0  # bytes of a full line, its end included


def read_fasta(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names and codes, uint8 (sequences, length), of a FASTA file of equally long sequences.

    Raises:
        InputError: `file:line: expected …, got …`: no sequence; a letter that is no DNA;
            a repeated name; unequal lengths; no text; damaged gzip.
    """
    path, content = Path(path), bytearray()
    records = list(_scan(path, _lines(path), content))
    for record in records:
        if record.length != records[0].length:
            raise InputError(
                f"{path}:{record.line}: expected {records[0].length} bp as in the first sequence, "
                f"got {record.length} bp in {record.name!r}. All sequences must have one length."
            )
    codes = _CODES[np.frombuffer(content, dtype=np.uint8)]
    return [record.name for record in records], codes.reshape(len(records), -1)


def iterate_fasta(path: str | Path) -> Iterator[tuple[Record, np.ndarray]]:
    """Each sequence of a FASTA file, with its codes, uint8 (its length,), one at a time.

    Raises:
        InputError: As `read_fasta`, when the fault is reached; but lengths may differ.
    """
    path, content = Path(path), bytearray()
    for record in _scan(path, _lines(path), content):
        yield record, to_codes(bytes(content))
        content.clear()  # of this sequence only: the next one's letters are not read yet


def to_codes(letters: bytes) -> np.ndarray:
    """Codes of letters from a file that was checked, uint8 (bases,)."""
    return _CODES[np.frombuffer(letters, dtype=np.uint8)]


def open_fasta(path: str | Path) -> pyfaidx.Fasta:
    """Random access to a FASTA file that was checked when it was first seen.

    The index lies in the cache folder, so that the file's own folder may be read-only.
    A compressed file, or one with a BOM, is also decompressed there, once. Both are
    written anew when the file's size or time changes, and by one process at a time.

    Raises:
        InputError: As `read_fasta`, but lengths may differ; or lines of unequal length
            within a sequence, which can't be read at random.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start, about = file.read(len(BOM)), os.fstat(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    key = hashlib.sha256(repr((path.resolve(), about.st_size, about.st_mtime_ns)).encode())
    folder = data_dir() / "fasta" / f"{path.name}-{key.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    index, copy = folder / "index.fai", folder / "sequence.fa"
    with FileLock(folder / "lock"):
        if not index.exists():
            for left in scratch_in(folder):  # by a process that was killed: we hold the lock
                remove(left)
            # pyfaidx takes what is named .gz for bgzip
            is_plain = start[:2] != GZIP and start != BOM and path.suffix not in PACKED
            _prepare(path, None if is_plain else copy, index)
    plain = copy if copy.exists() else path
    return pyfaidx.Fasta(str(plain), indexname=str(index), as_raw=True, build_index=False)


def _prepare(path: Path, copy: Path | None, index: Path) -> None:
    """Check a file; write a plain copy, if one is named, and then the index."""
    if copy:
        with atomic_write(copy) as plain:
            records = list(_scan(path, _copied(_lines(path), plain)))
    else:
        records = list(_scan(path, _lines(path)))
    with atomic_write(index) as fai:
        for r in records:
            fai.write(f"{r.name}\t{r.length}\t{r.offset}\t{r.bases}\t{r.width}\n".encode())


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of a file with their ends."""
    rest = b""
    for chunk in read_chunks(path):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _copied(lines: Iterable[bytes], copy: BinaryIO) -> Iterator[bytes]:
    for line in lines:
        copy.write(line)
        yield line


def _scan(path: Path, lines: Iterable[bytes], content: bytearray | None = None) -> Iterator[Record]:
    """Records of a FASTA file's lines, each checked; their letters are added to `content`.

    Without `content`, the lines of a record must be of one length, the last apart.
    """
    record, offset, closed, seen = None, 0, False, set[str]()
    for number, line in enumerate(lines, 1):
        bare = line.rstrip(b"\r\n")
        offset += len(line)
        if line.startswith(b">"):
            if record:
                yield _whole(path, record)
            record, closed = _begun(path, number, bare, seen, offset), False
            continue
        if record is None and bare.strip():
            raise _no_header(path, number, bare)
        if bare.translate(None, _LETTERS):
            raise _bad_letter(path, number, bare)
        if record is None or not bare:
            closed = bool(record and record.length)  # after a blank line comes no more sequence
            if record and not closed:
                record.offset = offset
            continue
        if content is None:
            if closed or (record.bases and len(bare) > record.bases):
                raise _ragged(path, number, record)
            record.bases = record.bases or len(bare)
            record.width = record.width or len(line)
            closed = (len(bare), len(line)) != (record.bases, record.width)
        else:
            content += bare
        record.length += len(bare)
    if record is None:
        raise InputError(f"{path}:1: expected a FASTA file with sequences, got only blank lines.")
    yield _whole(path, record)


def _begun(path: Path, number: int, header: bytes, seen: set[str], offset: int) -> Record:
    """A new record of a header line, whose name is not among those seen."""
    name = [*header[1:].decode(errors="replace").split(), ""][0]
    if not name:
        raise InputError(f"{path}:{number}: expected a name behind '>', got none.")
    if name in seen:
        raise InputError(
            f"{path}:{number}: expected a name for each sequence of its own, got {name!r} again."
        )
    seen.add(name)
    return Record(name, number, 0, offset)


def _whole(path: Path, record: Record) -> Record:
    if not record.length:
        raise InputError(f"{path}:{record.line}: expected a sequence of {record.name!r}, got none.")
    return record


def _no_header(path: Path, number: int, line: bytes) -> InputError:
    shown = line[:20].decode(errors="replace")
    hint = " This is no text file." if set(line[:200]) & set(range(9)) else ""
    return InputError(
        f"{path}:{number}: expected FASTA, a line that begins with '>', got {shown!r}.{hint}"
    )


def _ragged(path: Path, number: int, record: Record) -> InputError:
    return InputError(
        f"{path}:{number}: expected lines of {record.bases} letters in {record.name!r}, all but "
        "the last alike, got another length, a blank line before, or another line end. "
        "Wrap it anew, for instance with `seqtk seq -l 60`."
    )


def _bad_letter(path: Path, number: int, line: bytes) -> InputError:
    letter = line.translate(None, _LETTERS)[:1]
    hints = {b"Uu": "This looks like RNA: write T for U.", b"-.": "This looks like an alignment."}
    hints |= {b"EFILPQXZJOefilpqxzjo*": "This looks like protein: DNA is needed."}
    hint = next((f" {hint}" for letters, hint in hints.items() if letter in letters), "")
    return InputError(
        f"{path}:{number}: expected only the letters {ALPHABET} and {AMBIGUOUS}, "
        f"got {letter.decode(errors='replace')!r} in column {line.index(letter) + 1}.{hint}"
    )
