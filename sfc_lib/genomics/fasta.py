"""FASTA files, plain, gzip or bgzip: every letter is checked, and becomes a code.

Lower case counts as upper. The IUPAC letters for several bases (R, Y, S, W, K, M, B, D, H, V)
become N. Anything else that is not ACGTN is refused, with its line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from sfc_lib.errors import UserError
from sfc_lib.files import (
    atomic_write,
    cache_folder,
    is_sealed,
    known_sha256,
    remove,
    seal,
    sha256_bytes,
    stamp,
    write_json,
)
from sfc_lib.genomics.dna import ALPHABET
from sfc_lib.genomics.text import LONGEST, read_chunks, require_file

AMBIGUOUS = "RYSWKMBDHV"
CODES, ABOUT = "codes", "about.json"  # in a file's folder of the cache
_NONE = 255  # stands for what is no letter of DNA
_TABLE = bytes(
    4 if letter in AMBIGUOUS else ALPHABET.find(letter) % 256  # −1 becomes 255
    for letter in map(str.upper, map(chr, range(256)))
)


class FastaRecord(NamedTuple):
    """A sequence's name, and the line where it begins, counted from 1."""

    name: str
    line: int


def read_fasta(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names and codes, uint8 (sequences, length), of a FASTA file of equally long sequences.

    Raises:
        UserError: `file:line: expected …, got …`: no sequence; a letter that is no DNA;
            a repeated name; unequal lengths; no text; damaged gzip.
    """
    names, rows = [], list[bytes]()
    for record, codes in _records(Path(path)):
        names.append(record.name)
        rows.append(codes)
        if len(codes) != len(rows[0]):
            raise UserError(
                f"{path}:{record.line}: expected {len(rows[0])} bp as in the first sequence, got "
                f"{len(codes)} bp in {record.name!r}. All sequences must have one length."
            )
    return names, np.frombuffer(bytearray().join(rows), np.uint8).reshape(len(rows), -1)


def iterate_fasta(path: str | Path) -> Iterator[tuple[FastaRecord, np.ndarray]]:
    """Each sequence of a FASTA file, with its codes, uint8 (its length,), one at a time.

    Raises:
        UserError: As `read_fasta`, when the fault is reached; but lengths may differ.
    """
    for record, codes in _records(Path(path)):
        yield record, np.frombuffer(codes, np.uint8)


def open_fasta(path: str | Path) -> dict[str, np.ndarray]:
    """Codes of a FASTA file's sequences by name, uint8 (its length,), memory-mapped.

    They lie in the cache folder, one byte a base, made when the file is first seen, and anew
    when it was touched, or when they are not what was written; by one process at a time.

    Raises:
        UserError: As `read_fasta`, but lengths may differ; or a pipe, which can't be read
            again.
    """
    path = Path(path)
    require_file(path)
    key = sha256_bytes(str(path.resolve()).encode())
    folder = cache_folder("fasta") / f"{path.name}-{key[:16]}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if (lengths := _known(path, folder)) is None:
            for left in folder.iterdir():  # nobody writes: we hold the lock
                if left.name != "lock":
                    remove(left)
            lengths = _prepare(path, folder)
        codes = np.asarray(np.memmap(folder / CODES, np.uint8, mode="r"))
    ends = np.cumsum(list(lengths.values()))
    return dict(zip(lengths, np.split(codes, ends[:-1]), strict=True))


def _known(path: Path, folder: Path) -> dict[str, int] | None:
    """Length of each sequence, if the folder holds what was made of the file as it is now."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        right = is_sealed(about) and about["stamp"] == list(stamp(path))
        right = right and about["sha256"] == known_sha256(folder / CODES, kept=True)
        return dict(about["lengths"]) if right else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _prepare(path: Path, folder: Path) -> dict[str, int]:
    before, lengths, digest = stamp(path), dict[str, int](), hashlib.sha256()
    with atomic_write(folder / CODES) as file:
        for record, codes in _scan(path):
            file.write(codes)
            digest.update(codes)
            lengths[record.name] = lengths.get(record.name, 0) + len(codes)
    about = {"stamp": before, "sha256": digest.hexdigest(), "lengths": list(lengths.items())}
    write_json(folder / ABOUT, seal(about))
    return lengths


def _records(path: Path) -> Iterator[tuple[FastaRecord, bytes]]:
    for record, pieces in groupby(_scan(path), key=itemgetter(0)):
        yield record, b"".join(codes for _, codes in pieces)


def _scan(path: Path) -> Iterator[tuple[FastaRecord, bytes]]:
    """Each record again and again, with the codes of a part of its sequence."""
    record, bases, seen = None, 0, set[str]()
    for number, column, text in _parts(path):
        if text.startswith(b">") and not column:
            _require_bases(path, record, bases)
            record, bases = FastaRecord(_name(path, number, text, seen), number), 0
            continue
        codes = text.translate(_TABLE, b"\r\n")
        if record is None and text.strip():
            raise _no_header(path, number, text)
        if _NONE in codes:
            raise _bad_letter(path, number, column, text)
        if record:
            bases += len(codes)
            yield record, codes
    if record is None:
        raise UserError(f"{path}:1: expected a FASTA file with sequences, got only blank lines.")
    _require_bases(path, record, bases)


def _parts(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Line, column and text: a header, or what follows up to the next one or a chunk's end."""
    number, column, held = 1, 0, b""
    for chunk in chain(read_chunks(path), [b"\n"]):
        texts = (held + chunk).replace(b"\n>", b"\n\0>").split(b"\0")  # no NUL is in a text
        held = b""
        for text in texts:
            if text.startswith(b">") and not column:
                header, end, text = text.partition(b"\n")
                if not end:
                    if len(header) > LONGEST:
                        raise UserError(
                            f"{path}:{number}: expected a header, got one without an end."
                        )
                    held = header
                    break
                yield number, 0, header
                number += 1
            yield number, column, text
            number += text.count(b"\n")
            column = len(text) - text.rfind(b"\n") - 1 + column * (b"\n" not in text)


def _name(path: Path, number: int, header: bytes, seen: set[str]) -> str:
    """The name in a header, which joins those seen."""
    name = [*header[1:].decode(errors="replace").split(), ""][0]
    if not name:
        raise UserError(f"{path}:{number}: expected a name behind '>', got none.")
    if name in seen:
        raise UserError(
            f"{path}:{number}: expected a name for each sequence of its own, got {name!r} again."
        )
    seen.add(name)
    return name


def _require_bases(path: Path, record: FastaRecord | None, bases: int) -> None:
    if record and not bases:
        raise UserError(f"{path}:{record.line}: expected a sequence of {record.name!r}, got none.")


def _no_header(path: Path, number: int, text: bytes) -> UserError:
    start = text.lstrip()
    number += text.count(b"\n", 0, len(text) - len(start))
    shown = start.partition(b"\n")[0].rstrip()[:20].decode(errors="replace")
    hint = " This is no text file." if set(start[:200]) & set(range(9)) else ""
    return UserError(
        f"{path}:{number}: expected FASTA, a line that begins with '>', got {shown!r}.{hint}"
    )


def _bad_letter(path: Path, number: int, column: int, text: bytes) -> UserError:
    """The error for the first letter that is no DNA in a text."""
    place = next(
        i
        for i, code in enumerate(text.translate(_TABLE))
        if code == _NONE and text[i] not in b"\r\n"
    )
    letter, before = text[place : place + 1], text[:place]
    number += before.count(b"\n")
    column = place - before.rfind(b"\n") + column * (b"\n" not in before)
    hints = {b"Uu": "This looks like RNA: write T for U.", b"-.": "This looks like an alignment."}
    hints |= {b"EFILPQXZJOefilpqxzjo*": "This looks like protein: DNA is needed."}
    hint = next((f" {hint}" for letters, hint in hints.items() if letter in letters), "")
    return UserError(
        f"{path}:{number}: expected only the letters {ALPHABET} and {AMBIGUOUS}, "
        f"got {letter.decode(errors='replace')!r} in column {column}.{hint}"
    )
