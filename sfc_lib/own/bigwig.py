"""Contributions along the genome, as bigWig, for a genome browser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from sfc_lib.errors import UserError
from sfc_lib.genomics.genome import Genome
from sfc_lib.own.splitting import PLACE


def require_pybigtools() -> ModuleType:
    """The library that writes bigWig; a `UserError` says what to install where it is missing."""
    try:
        import pybigtools
    except ImportError as error:
        raise UserError(
            '--bigwig needs pybigtools, which is not installed: pip install "sfc_lib[bigwig]"'
        ) from error
    return pybigtools


def places_of(names: Sequence[str], length: int) -> pd.DataFrame:
    """Where sequences lie, as their names tell: `chrom`, `start` (from 0), `reverse`.

    Names count from 0 and leave out the end, as of bedtools, or count from 1 with it, as of
    samtools: which, the length tells. `(-)` at the end is a reverse complement.

    Args:
        names: Of the sequences.
        length: Of each, in bp.

    Raises:
        UserError: A name that tells no place, or one of another length.

    Example:

    >>> places_of(["chr1:100-300", "chr1:101-300(-)"], 200).values.tolist()
    [['chr1', 100, False], ['chr1', 100, True]]
    """
    rows = []
    for name in names:
        if not (found := PLACE.match(name)):
            raise UserError(
                "--bigwig: expected sequences that are named by their places, such as "
                f"chr1:100-300, got {name!r}. Give peaks with --genome, or other names."
            )
        start, end = (int(found[part].replace(",", "")) for part in (2, 3))
        first = {length: start, length - 1: start - 1}.get(end - start)
        if first is None or first < 0:
            raise UserError(
                f"--bigwig: expected places of {length:,} bp, as long as the sequences, got "
                f"{name!r}, {end - start:,} bp."
            )
        rows.append((found[1], first, found[4] == "-"))
    return pd.DataFrame(rows, columns=["chrom", "start", "reverse"])


def along_genome(
    added: np.ndarray, places: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By chromosome the positions (from 0, ascending) that sequences cover, and mean values there.

    Args:
        added: Contributions of the bases that are there, (sequences, length).
        places: See `places_of`.

    Example:

    >>> places = places_of(["chr1:5-7", "chr1:6-8(-)"], 2)
    >>> position, mean = along_genome(np.array([[1.0, 2.0], [3.0, 4.0]]), places)["chr1"]
    >>> position.tolist(), mean.tolist()
    ([5, 6, 7], [1.0, 3.0, 3.0])
    """
    reverse = places["reverse"].to_numpy()
    forward = np.where(reverse[:, None], added[:, ::-1], added)
    position = places["start"].to_numpy()[:, None] + np.arange(added.shape[1])
    found = {}
    for chrom in sorted(places["chrom"].unique()):
        here = (places["chrom"] == chrom).to_numpy()
        where, place = np.unique(position[here], return_inverse=True)
        place = place.ravel()
        found[chrom] = where, np.bincount(place, forward[here].ravel()) / np.bincount(place)
    return found


def as_bigwig(added: np.ndarray, places: pd.DataFrame, genome: Genome | None = None) -> bytes:
    """A bigWig file's content: the mean contribution of each base that sequences cover.

    Args:
        added: See `along_genome`.
        places: See `places_of`.
        genome: Tells the lengths of chromosomes; without one they end with what is covered.

    Raises:
        UserError: pybigtools is not installed.
    """
    library, track = require_pybigtools(), along_genome(added, places)
    lengths = {
        chrom: genome.length(chrom) if genome else int(where[-1]) + 1
        for chrom, (where, _) in track.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "track.bw"
        library.open(str(path), "w").write(lengths, _entries(track))
        return path.read_bytes()


def _entries(
    track: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[str, int, int, float]]:
    for chrom, (where, values) in track.items():
        for start, value in zip(where.tolist(), values.tolist(), strict=True):
            yield chrom, start, start + 1, value
