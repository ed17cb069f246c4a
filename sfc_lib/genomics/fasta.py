"""FASTA files, plain, gzip or bgzip: checked line by line once, then read at random by pyfaidx.

Lower case counts as upper. The IUPAC letters for several bases (R, Y, S, W, K, M, B, D, H, V)
become N. Anything else that is not ACGTN is refused, with its line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyfaidx
from filelock import FileLock

from sfc_lib.errors import UserError
from sfc_lib.files import (
    GZIP,
    atomic_write,
    cache_folder,
    known_sha256,
    remove,
    scratch_in,
    stamp,
    write_json,
)
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.text import BOM, LONGEST, read_chunks

AMBIGUOUS = "RYSWKMBDHV"
PACKED = (".gz", ".bgz", ".bz2", ".zip")
INDEX, COPY, ABOUT = "index.fai", "sequence.fa", "about.json"  # in a file's folder of the cache
_LETTERS = (ALPHABET + AMBIGUOUS).encode() + (ALPHABET + AMBIGUOUS).lower().encode()
_CODES = np.full(256, 255, dtype=np.uint8)
_CODES[list(_LETTERS)] = [ALPHABET.find(chr(letter).upper()) % 5 for letter in _LETTERS]  # -1: N


@dataclass
class Entry:
    """One sequence's line of a `.fai` index, and the line of the file where it begins."""

    name: str
    line: int
    offset: int  # bytes before the first base
    length: int = 0  # bases
    bases: int = 0  # in a full line
    width: int = 0  # bytes of a full line, its end included


# A line, or part of one too long to be held at once (headers are whole): number of the line,
# content with the line's end, and whether the line begins and ends in it.
Piece = tuple[int, bytes, bool, bool]


def read_fasta(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names and codes, uint8 (sequences, length), of a FASTA file of equally long sequences.

    Raises:
        UserError: `file:line: expected …, got …`: no sequence; a letter that is no DNA;
            a repeated name; unequal lengths; no text; damaged gzip.
    """
    path, letters = Path(path), bytearray()
    entries = list(_scan(path, _pieces(path, read_chunks(path)), letters))
    for entry in entries:
        if entry.length != entries[0].length:
            raise UserError(
                f"{path}:{entry.line}: expected {entries[0].length} bp as in the first sequence, "
                f"got {entry.length} bp in {entry.name!r}. All sequences must have one length."
            )
    return [entry.name for entry in entries], to_codes(letters).reshape(len(entries), -1)


def iterate_fasta(path: str | Path) -> Iterator[tuple[Entry, np.ndarray]]:
    """Each sequence of a FASTA file, with its codes, uint8 (its length,), one at a time.

    Raises:
        UserError: As `read_fasta`, when the fault is reached; but lengths may differ.
    """
    path, letters = Path(path), bytearray()
    for entry in _scan(path, _pieces(path, read_chunks(path)), letters):
        yield entry, to_codes(letters)
        letters.clear()  # of this sequence only: the next one's are not read yet


def to_codes(letters: bytes | bytearray) -> np.ndarray:
    """Codes of letters from a file that was checked, uint8 (bases,)."""
    return _CODES[np.frombuffer(letters, dtype=np.uint8)]


def open_fasta(path: str | Path) -> pyfaidx.Fasta:
    """Random access to a FASTA file that was checked when it was first seen.

    The index lies in the cache folder, so that the file's own folder may be read-only.
    A compressed file, or one with a BOM, is also decompressed there, once. Both are
    made anew when the file was touched, or when they are not what was written; by one
    process at a time.

    Raises:
        UserError: As `read_fasta`, but lengths may differ; or lines of unequal length
            within a sequence, or a pipe, which can't be read at random.
    """
    path = Path(path)
    names = [INDEX] if _is_plain(path) else [INDEX, COPY]
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    folder = cache_folder("fasta") / f"{path.name}-{key[:16]}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not _is_whole(path, folder, names):
            for left in [*scratch_in(folder), folder / COPY]:  # nobody writes: we hold the lock
                remove(left)
            _prepare(path, folder, names)
    sequence = folder / COPY if COPY in names else path
    return pyfaidx.Fasta(
        str(sequence), indexname=str(folder / INDEX), as_raw=True, build_index=False
    )


def _is_plain(path: Path) -> bool:
    """Whether pyfaidx can read the file as it is; it takes what is named .gz for bgzip."""
    try:
        with open(path, "rb") as file:
            if not file.seekable():
                raise UserError(
                    f"{path}: expected a file that can be read at random, got a pipe. "
                    "Save it as a file first."
                )
            start = file.read(len(BOM))
    except OSError as error:
        raise UserError(f"{path}: expected a readable file, got: {error.strerror}.") from error
    return not start.startswith(GZIP) and start != BOM and path.suffix not in PACKED


def _is_whole(path: Path, folder: Path, names: list[str]) -> bool:
    """Whether the files of these names hold what was made of the file as it is now."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        return about["stamp"] == list(stamp(path)) and about["sha256"] == {
            name: known_sha256(folder / name, kept=True) for name in names
        }
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _prepare(path: Path, folder: Path, names: list[str]) -> None:
    """Check a file; write a plain copy, if it is one of the names, then the index, then hashes."""
    before, chunks, hashes = stamp(path), read_chunks(path), {}
    if COPY in names:
        digest = hashlib.sha256()
        with atomic_write(folder / COPY) as copy:
            entries = list(_scan(path, _pieces(path, _copied(chunks, copy, digest))))
        hashes[COPY] = digest.hexdigest()
    else:
        entries = list(_scan(path, _pieces(path, chunks)))
    rows = (f"{e.name}\t{e.length}\t{e.offset}\t{e.bases}\t{e.width}\n" for e in entries)
    index = "".join(rows).encode()
    with atomic_write(folder / INDEX) as file:
        file.write(index)
    hashes[INDEX] = hashlib.sha256(index).hexdigest()
    write_json(folder / ABOUT, {"stamp": before, "sha256": hashes})


def _copied(chunks: Iterable[bytes], copy: BinaryIO, digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        copy.write(chunk)
        digest.update(chunk)
        yield chunk


def _pieces(path: Path, chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Lines, but those that reach beyond a chunk, unless they are headers, in pieces."""
    number, begins, held = 1, True, b""
    for chunk in chunks:
        *lines, rest = (held + chunk).split(b"\n")
        for line in lines:
            yield number, line + b"\n", begins, True
            number, begins = number + 1, True
        held = rest
        if begins and rest.startswith(b">"):
            if len(rest) > LONGEST:
                raise UserError(f"{path}:{number}: expected a header, got one without an end.")
        elif len(rest) > 1:
            held = rest[-1:]  # which may belong to the line's end
            yield number, rest[:-1], begins, False
            begins = False
    if held:
        yield number, held, begins, True


def _scan(path: Path, pieces: Iterable[Piece], letters: bytearray | None = None) -> Iterator[Entry]:
    """Entries of a FASTA file, each checked; what they are spelled with is added to `letters`.

    Without `letters`, the lines of an entry must be of one length, the last apart.
    """
    entry, seen = None, set[str]()
    offset = bases = width = 0  # bytes of the file so far, letters and bytes of the line so far
    closed = False  # whether no more sequence may come in this entry
    for number, content, begins, ends in pieces:
        bare = content.rstrip(b"\r\n")
        offset += len(content)
        if begins:
            bases = width = 0
            if content.startswith(b">"):
                if entry:
                    yield _not_empty(path, entry)
                entry, closed = _begun(path, number, bare, seen, offset), False
                continue
        if entry is None and bare.strip():
            raise _no_header(path, number, bare)
        if bare.translate(None, _LETTERS):
            raise _bad_letter(path, number, bare, bases)
        if entry is None:
            continue
        if begins and not bare:
            closed = entry.length > 0
            entry.offset = entry.offset if closed else offset
            continue
        bases += len(bare)
        width += len(content)
        entry.length += len(bare)
        if letters is not None:
            letters += bare
        elif closed or bases > entry.bases > 0:
            raise _ragged(path, number, entry)
        elif ends:
            entry.bases, entry.width = entry.bases or bases, entry.width or width
            closed = (bases, width) != (entry.bases, entry.width)
    if entry is None:
        raise UserError(f"{path}:1: expected a FASTA file with sequences, got only blank lines.")
    yield _not_empty(path, entry)


def _begun(path: Path, number: int, header: bytes, seen: set[str], offset: int) -> Entry:
    """A new entry of a header line, whose name is not among those seen."""
    name = [*header[1:].decode(errors="replace").split(), ""][0]
    if not name:
        raise UserError(f"{path}:{number}: expected a name behind '>', got none.")
    if name in seen:
        raise UserError(
            f"{path}:{number}: expected a name for each sequence of its own, got {name!r} again."
        )
    seen.add(name)
    return Entry(name, number, offset)


def _not_empty(path: Path, entry: Entry) -> Entry:
    if not entry.length:
        raise UserError(f"{path}:{entry.line}: expected a sequence of {entry.name!r}, got none.")
    return entry


def _no_header(path: Path, number: int, line: bytes) -> UserError:
    shown = line[:20].decode(errors="replace")
    hint = " This is no text file." if set(line[:200]) & set(range(9)) else ""
    return UserError(
        f"{path}:{number}: expected FASTA, a line that begins with '>', got {shown!r}.{hint}"
    )


def _ragged(path: Path, number: int, entry: Entry) -> UserError:
    return UserError(
        f"{path}:{number}: expected lines of {entry.bases} letters in {entry.name!r}, all but "
        "the last alike, got another length, a blank line before, or another line end. "
        "Wrap it anew, for instance with `seqtk seq -l 60`."
    )


def _bad_letter(path: Path, number: int, line: bytes, before: int) -> UserError:
    """The error for the first letter that is no DNA, in a line with so many letters before."""
    letter = line.translate(None, _LETTERS)[:1]
    column = before + line.index(letter) + 1
    hints = {b"Uu": "This looks like RNA: write T for U.", b"-.": "This looks like an alignment."}
    hints |= {b"EFILPQXZJOefilpqxzjo*": "This looks like protein: DNA is needed."}
    hint = next((f" {hint}" for letters, hint in hints.items() if letter in letters), "")
    return UserError(
        f"{path}:{number}: expected only the letters {ALPHABET} and {AMBIGUOUS}, "
        f"got {letter.decode(errors='replace')!r} in column {column}.{hint}"
    )
