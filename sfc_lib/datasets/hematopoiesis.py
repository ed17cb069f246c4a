"""Chromatin accessibility in 16 blood cell populations: a stand-in for the paper's set.

The paper trains on 837,977 examples of 16 cell types of Corces et al., Nature Genetics 48:1193
(2016). Which 16, and how examples and labels were made, is not published. This set takes the
peaks of 16 sorted populations of normal blood (that study's and its follow-up's, see
data/README.md) and the tiling that the paper describes for its simulated set. Auroc and auPRC
on it can't be compared with the paper's, only models on it with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sfc_lib.datasets.accessibility import TiledRecipe

FOLDER = "hematopoiesis_atac"
# From the stem cell on: progenitors, then the myeloid and the lymphoid branch.
POPULATIONS = (
    *("HSC", "MPP", "LMPP", "CLP", "GMP-A", "GMP-B", "GMP-C"),
    *("Mega", "Ery", "Mono", "mDC", "pDC"),
    *("B", "CD4", "CD8", "NK"),
)


@dataclass(frozen=True)
class Hematopoiesis(TiledRecipe):
    """Options of the hematopoiesis dataset: real sequence of 1000 bp, 16 tasks.

    Args:
        profile: `"hg19-subset"` or `"full"`, see `sfc_lib.genomics.genome`.

    A stand-in: unlike what is believed of the paper's set it has no CMP, MEP and leukemic
    cells (pHSC, LSC, blast), and has GMP in three stages, Mega, mDC and pDC.
    """

    name: ClassVar[str] = "hematopoiesis"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = POPULATIONS

    def peak_files(self) -> list[str]:
        return [f"{FOLDER}/{population}_peaks.narrowPeak.gz" for population in POPULATIONS]
