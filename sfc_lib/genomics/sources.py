"""The registry of source files, and how one is obtained: cache, local mirror, or download.

`SFC_DATA_MIRROR` names a folder that holds the files under their registry names; with
it nothing is downloaded. A file gets its final name only after its SHA-256 was checked.
"""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pooch
from filelock import FileLock

from sfc_lib.files import UserError, atomic_write, data_dir, sha256_file
from sfc_lib.genomics.motifs import RESOURCES


class SourceError(UserError):
    """A source file can't be had, or is not the one the registry describes."""


@dataclass(frozen=True)
class Source:
    """One line of the registry."""

    file: str
    bytes: int
    sha256: str
    sha256_of_decompressed: str
    upstream: str
    licence: str


def registry() -> dict[str, Source]:
    """Every source file the library knows, by name."""
    with open(RESOURCES / "registry.tsv", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    return {row[0]: Source(row[0], int(row[1]), *row[2:]) for row in rows}


def fetch(name: str) -> Path:
    """Path of a source file on this machine, verified; obtained first if it is not here.

    Raises:
        SourceError: Unknown name; neither mirrored nor downloadable; or wrong content.
    """
    known = registry()
    if name not in known:
        raise SourceError(f"fetch: no source file {name!r}; the registry has {sorted(known)}.")
    source, target = known[name], data_dir() / "downloads" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if not (target.exists() and sha256_file(target) == source.sha256):
            mirror = os.environ.get("SFC_DATA_MIRROR")
            if mirror:
                _copy(Path(mirror) / name, source, target)
            else:
                _download(source, target)
    return target


def _copy(path: Path, source: Source, target: Path) -> None:
    if not path.is_file():
        raise SourceError(f"{path}: expected {source.file} in SFC_DATA_MIRROR, got no such file.")
    if (found := sha256_file(path)) != source.sha256:
        raise SourceError(f"{path}: expected sha256 {source.sha256}, got {found}.")
    with open(path, "rb") as original, atomic_write(target) as copy:
        shutil.copyfileobj(original, copy)


def _download(source: Source, target: Path) -> None:
    try:
        pooch.retrieve(
            source.upstream,
            known_hash=f"sha256:{source.sha256}",
            fname=target.name,
            path=target.parent,
            progressbar=True,
        )
    except Exception as error:
        raise SourceError(
            f"{source.file}: could not be downloaded from {source.upstream} ({error}). It has "
            f"{source.bytes:,} bytes. Place it by hand at {target}, or set SFC_DATA_MIRROR to a "
            f"folder that holds it as {source.file}."
        ) from error
