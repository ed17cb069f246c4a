"""Size `full`, rehearsed without the genome: windows, memory, disk, build time, and throughput.

`python benchmarks/rehearsal.py` makes a random genome with hg19's chromosomes at their true
lengths, and builds the two accessibility sets of size `full` from it with the real interval
files, by the code that builds them from hg19. Then it times training steps of the whole Basset
networks. Each step is a process of its own, and is kept in `benchmarks/rehearsal.json` as soon
as it is done: interrupted, it goes on after the last one, if `--folder` says where the genome
is. It needs 15 GB of disk, and the interval files (`SFC_DATA_MIRROR`, or the network).

CPU-seconds can be compared on a busy machine, seconds only on an idle one. `sfc sweep full
--dry-run` computes hours from what is here.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from marks import with_part

from sfc_lib.datasets import accessibility, base
from sfc_lib.files import write_json
from sfc_lib.genomics import genome
from sfc_lib.genomics.dna import decode, random_sequences
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.store import environment
from sfc_lib.runs.worker import ONE_THREAD

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "rehearsal.json"
PAGE = HERE.parent / "book" / "running.md"
SETS = ("simulated_accessibility", "hematopoiesis")
PRECISIONS = {"tensorflow": ("float32", "mixed_bfloat16"), "jax": ("float32", "mixed_bfloat16")}
LINE = 1000  # bases
STEPS_TIMED = 3  # batches of each network, after one that compiles


def write_genome() -> dict[str, Any]:
    """A random FASTA file for each chromosome of hg19, of its length; then read once, and kept."""
    rng = np.random.default_rng(1)
    for region in genome.regions_of("full"):
        lines = -(-region.end // LINE)
        with open(f"{region.chrom}.fa", "w") as file:
            file.write(f">{region.chrom}\n")
            for start in range(0, lines, 20_000):
                count = min(20_000, lines - start)
                codes = random_sequences(count, LINE, (0.295, 0.205, 0.205, 0.295), rng)
                text = "\n".join(decode(codes)) + "\n"
                spare = lines * LINE - region.end if start + count == lines else 0
                file.write(text[: len(text) - 1 - spare] + "\n")
    _genome("full")
    return {"bases": sum(region.end for region in genome.regions_of("full"))}


def _genome(profile: str) -> genome.Genome:
    regions = genome.regions_of(profile)
    return genome.Genome([f"{region.chrom}.fa" for region in regions], regions)


def build(name: str) -> dict[str, Any]:
    """Build a set of size `full`, from the genome in the current folder."""
    accessibility.load_genome = _genome
    (options,) = {json.dumps(dict(spec.dataset_options)) for spec in _specs(name)}
    dataset = base.load_dataset(name, **json.loads(options))
    folder = base.data_dir() / base.BUILT / f"{name}-{dataset.fingerprint[:16]}"
    size = sum(path.stat().st_size for path in folder.iterdir())
    shutil.rmtree(folder)  # its name says that it is of hg19
    splits = {split: len(getattr(dataset, split)) for split in base.SPLITS}
    return {**splits, "dropped": sum(dataset.dropped.values()), "gb": size / 1e9}


def _specs(name: str) -> list[Any]:
    return [spec for spec in load_size("full", 1).specs if spec.dataset == name]


def throughput(backend: str, precision: str) -> dict[str, Any]:
    """CPU-seconds of 1,000 training examples, of each whole network, on one thread."""
    from sfc_lib.runs.pool import use_keras

    use_keras(backend)
    from sfc_lib.runs.training import compiled_model

    rng, found = np.random.default_rng(0), {}
    for name in SETS:
        tasks = len(base.recipe_class(name).task_names)
        for spec in _specs(name):
            if spec.variant in found.get(name, {}):
                continue
            spec = dataclasses.replace(spec, backend=backend, precision=precision)
            codes = rng.integers(0, 4, (spec.batch_size, accessibility.LENGTH), dtype=np.uint8)
            labels = rng.integers(0, 2, (spec.batch_size, tasks), dtype=np.uint8)
            parts = [base.Split(codes, labels)] * 3
            made = base.Dataset(name, {}, "", tuple(map(str, range(tasks))), {}, *parts)
            model: Any = compiled_model(spec, made)
            labels = labels.astype(np.float32)
            model.train_on_batch(codes, labels)
            began = time.process_time()
            for _ in range(STEPS_TIMED):
                model.train_on_batch(codes, labels)
            seconds = time.process_time() - began
            per_thousand = seconds / STEPS_TIMED / spec.batch_size * 1000
            found.setdefault(name, {})[spec.variant] = round(per_thousand, 2)
    return {"cpu_seconds_of_1000": found, "environment": environment(backend)}


def steps() -> dict[str, tuple[Any, ...]]:
    """What is measured, by name: a function and its arguments."""
    found: dict[str, tuple[Any, ...]] = {"genome": (write_genome,)}
    found |= {name: (build, name) for name in SETS}
    for backend, precisions in PRECISIONS.items():
        found |= {f"{backend} {p}": (throughput, backend, p) for p in precisions}
    return found


def measured(step: str) -> dict[str, Any]:
    """One step, with its time and peak memory."""
    function, *arguments = steps()[step]
    began, cpu = time.perf_counter(), time.process_time()
    found = function(*arguments)
    return {
        **found,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def main() -> None:
    """All steps that are not measured yet, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the genome is, or shall be")
    parser.add_argument("--anew", action="store_true", help="measure again what is measured")
    parser.add_argument("--step", choices=steps(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measured(options.step)))
        return
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.anew else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for step in steps():
            needs_genome = step == "genome" and not set(SETS) <= set(found)
            if step in found and not (needs_genome and not (folder / "chrY.fa").exists()):
                continue
            load = os.getloadavg()[0]
            done = subprocess.run(
                [sys.executable, str(Path(__file__).resolve()), "--step", step],
                cwd=folder,
                env={**os.environ, **ONE_THREAD, "SFC_DATA_DIR": str(folder / "data")},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found[step] = {**json.loads(done.stdout.splitlines()[-1]), "load": round(load, 1)}
            write_json(RESULTS, found)
            print(f"{step}: {found[step]}", flush=True)
    PAGE.write_text(with_part(PAGE.read_text(), "rehearsal", tables(found)))


def tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What was measured, in Markdown: the sets as they were built, and each network's speed."""
    lines = [
        "| set | windows that train, validate, test | train in the paper | dropped | disk, GB "
        "| CPU minutes | peak memory, GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in SETS:
        if made := found.get(name):
            windows = ", ".join(f"{made[split]:,}" for split in base.SPLITS)
            cells = [name, windows, f"{base.recipe_class(name).of_paper:,}", f"{made['dropped']:,}"]
            cells += [f"{made['gb']:.2f}", f"{made['cpu_seconds'] / 60:.1f}"]
            lines.append(f"| {' | '.join([*cells, str(made['peak_gb'])])} |")
    lines += [
        "",
        "| CPU-seconds of 1,000 examples | std | sep | symm |",
        "|---|---|---|---|",
    ]
    for way, name in itertools.product(steps(), SETS):
        if rates := found.get(way, {}).get("cpu_seconds_of_1000", {}).get(name):
            cells = [f"{way}, {name}", *(f"{rates[v]:.1f}" for v in ("std", "sep", "symm"))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
