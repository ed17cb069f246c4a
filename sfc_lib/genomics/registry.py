"""The registry of source files: what each must hold, where it comes from, and its licence."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from sfc_lib.files import UserError, data_dir
from sfc_lib.genomics.motifs import RESOURCES

FULL = "hg19/full/"  # 0.9 GB, fetched only when asked for


class SourceError(UserError):
    """A source file can't be had, or is not the one the registry describes."""


@dataclass(frozen=True)
class Source:
    """One line of the registry.

    Attributes:
        file: Name, and path below the cache and below a mirror.
        bytes: Size of the file; 0 if only its sequence is known.
        sha256: Of the file's bytes; empty if only its sequence is known.
        sha256_of_decompressed: Of its content, whatever the compression; may be empty.
        region: For sequence, `chrom:start-end`, 0-based half-open; else empty.
        md5_of_region: MD5 of the region's upper-case sequence.
        download_bytes: What the addresses send; about that much where it differs from `bytes`.
        addresses: Tried in turn.
        licence: Under which it may be used.
        citation: What to cite.
    """

    file: str
    bytes: int
    sha256: str
    sha256_of_decompressed: str
    region: str
    md5_of_region: str
    download_bytes: int
    addresses: tuple[str, ...]
    licence: str
    citation: str

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, or will."""
        return data_dir() / "downloads" / self.file

    @property
    def content_hash(self) -> str:
        """Hash of what the file holds, however it is compressed; for fingerprints of datasets."""
        return self.sha256_of_decompressed or self.md5_of_region

    @property
    def size(self) -> str:
        """Bytes to be expected, for people to read."""
        if self.bytes == self.download_bytes:
            return f"{self.bytes:,} bytes"
        return f"about {self.download_bytes:,} bytes"


@cache
def _read_registry() -> dict[str, Source]:
    with open(RESOURCES / "registry.tsv", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    return {row[0]: _source(*row) for row in rows}


def _source(file: str, size: str, *rest: str) -> Source:
    sha256, of_content, region, md5, to_download, addresses, licence, citation = rest
    known = (file, int(size or 0), sha256, of_content, region, md5)
    return Source(*known, int(to_download), tuple(addresses.split()), licence, citation)


def registry() -> dict[str, Source]:
    """Every source file the library knows, by name.

    Example:

    >>> registry()["hg19/chr20.fa.gz"].region
    'chr20:0-63025520'
    """
    return dict(_read_registry())


def select(patterns: Sequence[str] = ()) -> list[Source]:
    """Sources by name, folder or pattern; without any, all but the full genome.

    Raises:
        SourceError: A pattern that matches nothing; similar names are listed.

    Example:

    >>> [source.file for source in select(["hg19/chr[12]*"])]
    ['hg19/chr1_0-9876492.fa.gz', 'hg19/chr20.fa.gz', 'hg19/chr22_0-22000000.fa.gz']
    """
    known, chosen = registry(), dict[str, Source]()
    if not patterns:
        return [source for name, source in known.items() if not name.startswith(FULL)]
    for pattern in patterns:
        found = [
            name
            for name, path in ((name, PurePosixPath(name)) for name in known)
            if path.match(pattern) or path.parent == PurePosixPath(pattern)
        ]
        if not found:
            raise unknown(pattern, known)
        chosen.update((name, known[name]) for name in found)
    return list(chosen.values())


def unknown(name: str, known: Mapping[str, Source]) -> SourceError:
    """The error for a name that is not in the registry."""
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"Similar: {similar}. " if similar else ""
    return SourceError(f"no source file {name!r}. {hint}`sfc data list` shows all {len(known)}.")
