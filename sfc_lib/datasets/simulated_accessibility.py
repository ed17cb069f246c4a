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
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import pandas as pd

from sfc_lib.datasets.accessibility import (
    CHUNK,
    Tiling,
    TiledRecipe,
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

UNIFORM = tuple(f"encode_dnase/wgEncodeAwgDnaseUwduke{cell}UniPk.narrowPeak.gz" for cell in ("Gm12878", "K562"))
ROADMAP = tuple(f"roadmap_dnase/{cell}-DNase.macs2.narrowPeak.gz" for cell in ("E116", "E123"))
ROADMAP_ADDRESS = "https://egg2.wustl.edu/roadmap/data/byFileType/peaks/consolidated/narrowPeak/"
TABLE, MATRICES = RESOURCES / "accessibility_motifs.tsv", RESOURCES / "accessibility_motifs.meme"
