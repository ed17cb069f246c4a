"""Simulated accessibility in two cell types: shuffled DNA with motifs at TF summits (section 2.3).

Windows and labels are those of real DNase peaks. The sequence of each window is real DNA,
dinucleotide-shuffled, so that it holds no motif any more, with an instance of a TF's motif
where that TF has a ChIP-seq summit. Choices that the paper leaves open:

- The summits of all TFs in both cell types are pooled: a window has one sequence and two
  labels. A TF seen at one place in both cell types leaves two instances there.
- Which TFs, and which motif stands for each, is in `accessibility_motifs.tsv` beside the PWMs
  in `sfc_lib.genomics`: every TF whose peaks could be had, and of the ENCODE motif set the
  first known motif of that TF (rule `known`), else the first discovered in its ChIP-seq
  (`discovered`), else the first known of its family (`family`).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from sfc_lib.datasets.accessibility import (
    CHUNK,
    TiledRecipe,
    Tiling,
    sequences,
    summits_inside,
    tiling,
)
from sfc_lib.datasets.streaming import Chunk
from sfc_lib.files import data_dir, sha256_file
from sfc_lib.genomics.genome import Genome, load_genome
from sfc_lib.genomics.insertion import insert_motifs
from sfc_lib.genomics.intervals import read_intervals
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.sources import SourceError, fetch, registry

DNASE = {
    "uniform": tuple(
        f"encode_dnase/wgEncodeAwgDnaseUwduke{cell}UniPk.narrowPeak.gz"
        for cell in ("Gm12878", "K562")
    ),
    "roadmap": tuple(f"roadmap_dnase/{e}-DNase.macs2.narrowPeak.gz" for e in ("E116", "E123")),
}
ROADMAP = "https://egg2.wustl.edu/roadmap/data/byFileType/peaks/consolidated/narrowPeak/"
TABLE, MATRICES = (RESOURCES / f"accessibility_motifs.{kind}" for kind in ("tsv", "meme"))


class Factor(NamedTuple):
    """A line of the table: a ChIP-seq peak file, its cell type and TF, and the TF's motif."""

    file: str
    cell_type: str
    tf: str
    motif: str
    rule: str


def factors() -> list[Factor]:
    """The TFs whose motifs are put in, one line a peak file.

    Example:

    >>> factors()[0].tf, factors()[0].motif
    ('CTCF', 'CTCF_known1')
    """
    with open(TABLE, newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    return [Factor(*row) for row in rows]


@dataclass(frozen=True)
class SimulatedAccessibility(TiledRecipe):
    """Options of the simulated accessibility dataset: 1000 bp, tasks GM12878 and K562.

    Args:
        profile: `"hg19-subset"` or `"full"`, see `sfc_lib.genomics.genome`.
        dnase: `"uniform"`, ENCODE's uniform peaks; or `"roadmap"`, the paper's files of
            E116 (GM12878) and E123 (K562), which have to be placed by hand.
        seed: Seed of the shuffles and of the motif instances, an integer ≥ 0.
    """

    name: ClassVar[str] = "simulated_accessibility"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("GM12878", "K562")

    dnase: str = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dnase not in DNASE:
            raise ValueError(
                f"{self.name}: dnase must be one of {list(DNASE)}, got {self.dnase!r}."
            )
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"{self.name}: seed must be an integer >= 0, got {self.seed!r}.")

    def peak_files(self) -> list[str]:
        return list(DNASE["uniform"]) if self.dnase == "uniform" else []

    def inputs(self) -> dict[str, str]:
        known = registry()
        tfs = {factor.file: known[factor.file].content_hash for factor in factors()}
        tables = {path.name: sha256_file(path) for path in (TABLE, MATRICES)}
        roadmap = {path.name: _content_hash(path) for path in self._placed()}
        return {**super().inputs(), **roadmap, **tfs, **tables}

    def peaks(self) -> list[pd.DataFrame]:
        return super().peaks() + [read_intervals(path) for path in self._placed()]

    def chunks(self) -> Iterator[Chunk]:
        tiled = tiling(self.peaks(), self.profile)
        summits, motifs = read_summits(factors())
        yield from simulate(load_genome(self.profile), tiled, summits, motifs, self.seed)

    def _placed(self) -> list[Path]:
        """The Roadmap files, where they are used."""
        folder = Path(os.environ.get("SFC_DATA_MIRROR") or data_dir() / "downloads")
        paths = [folder / name for name in DNASE["roadmap"] if self.dnase == "roadmap"]
        for path in paths:
            if not path.is_file():
                raise SourceError(
                    f"{path}: expected Roadmap's DNase peaks, got no such file. Place it there; "
                    f"it is at {ROADMAP}{path.name}. Or leave out dnase='roadmap'."
                )
        return paths


def _content_hash(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (OSError, EOFError) as error:
        raise SourceError(f"{path}: expected a whole gzip file, got: {error}.") from error


def read_summits(table: Sequence[Factor]) -> tuple[pd.DataFrame, list[Motif]]:
    """The summits of all peak files in `table` as `summits_inside` takes them, and the PWMs."""
    matrices = read_meme(MATRICES)
    names = list(dict.fromkeys(factor.motif for factor in table))
    frames = [
        read_intervals(fetch(factor.file), summits=True)[["chrom", "summit"]].assign(
            motif=names.index(factor.motif)
        )
        for factor in table
    ]
    summits = pd.concat(frames).sort_values(["chrom", "summit"], kind="stable", ignore_index=True)
    return summits, [matrices[name] for name in names]


def simulate(
    genome: Genome,
    tiled: Tiling,
    summits: pd.DataFrame,
    motifs: Sequence[Motif],
    seed: int,
    size: int = CHUNK,
) -> Iterator[Chunk]:
    """Step 7: each window's DNA shuffled, and an instance of a motif at each summit in it.

    The same bytes whatever the chunks' `size`: what is drawn for a window depends on the
    seed and on its row in the tiling.
    """
    for split, rows, real, dropped in sequences(genome, tiled, size):
        codes = dinucleotide_shuffle(real, seed, rows)
        sites = summits_inside(tiled.windows.iloc[rows].reset_index(drop=True), summits)
        starts = insert_motifs(codes, sites, motifs, seed, rows)
        skipped = int(np.count_nonzero(starts < 0))
        dropped["motifs without a free place"] = skipped
        counts = {"motifs inserted": len(starts) - skipped}
        yield Chunk(split, codes, tiled.labels[rows], dropped, counts)
