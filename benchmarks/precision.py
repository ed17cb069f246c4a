"""May bfloat16 stand for float32? Runs of both on the same data, networks and seeds, and a verdict.

    python benchmarks/precision.py             # trains what no store has; `--jobs`, `--backend`
    python benchmarks/precision.py --report    # trains nothing: what the records say so far

Interrupted at any moment, it goes on where it stopped. Simulated TF, CTCF and accessibility at
size `standard`, three seeds of std, sep and symm; of those on TensorFlow in float32 the published
records count. A network passes where the median of its scores in bfloat16 lies among those of the
seeds in float32; bfloat16 is allowed where every one passes, and stays off otherwise.
`benchmarks/precision.json` keeps the table. To train it elsewhere: `sfc runs pack standard --only
ctcf --seeds 3 --change precision mixed_bfloat16`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from sfc_lib.files import write_json
from sfc_lib.runs.pool import ensure
from sfc_lib.runs.sizes import Size, choose
from sfc_lib.runs.store import Record, look_up

RESULTS = Path(__file__).resolve().parent / "precision.json"
SIZE, SEEDS = "standard", 3
EXPERIMENTS = ("simulated_tf", "ctcf", "simulated_accessibility")
MODELS = ("std", "sep", "symm")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # columns, and Keras's policies
COLUMNS = ["experiment", "model", "precision", "seed", "auroc", "seconds"]


def study(backend: str) -> dict[str, Size]:
    """The runs, by precision."""
    size = choose(SIZE, SEEDS, [*EXPERIMENTS, *MODELS])
    values = {"backend": backend}
    return {name: size.changed({**values, "precision": p}) for name, p in PRECISIONS.items()}


def scores(runs: dict[str, Size]) -> pd.DataFrame:
    """One row a run that has a record: validation auROC (none if it diverged), CPU-s an epoch."""
    rows = []
    for precision, size in runs.items():
        for experiment in size.experiments.values():
            for model, specs in experiment.models.items():
                for record in filter(None, map(look_up, specs)):
                    rows.append((experiment.name, model, precision, *_row(record)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(record: Record) -> tuple[int, float, float]:
    result = record.result
    auroc = float("nan") if record.diverged else result["valid"]["auroc"]
    return record.spec.seed, auroc, result["cpu_seconds"] / max(result["epochs"], 1)


def judge(table: pd.DataFrame, seeds: int = SEEDS) -> pd.DataFrame:
    """One row a network: medians, the range of float32's seeds, and whether bfloat16 passes.

    Empty in `passes` where a run is missing; a run that diverged fails. `gain` is CPU-seconds an
    epoch of float32 over those of bfloat16, of medians.
    """
    rows = []
    for (experiment, model), part in table.groupby(["experiment", "model"], sort=False):
        by = {name: part[part["precision"] == name] for name in PRECISIONS}
        one, two = (by[name]["auroc"] for name in PRECISIONS)
        passes = None
        if min(len(one), len(two)) >= seeds:
            finite = one.notna().all() and two.notna().all()
            passes = bool(finite and one.min() <= two.median() <= one.max())
        gain = by["float32"]["seconds"].median() / by["bfloat16"]["seconds"].median()
        rows.append((experiment, model, len(one), len(two), one.median(), one.min(), one.max(),
                     two.median(), two.median() - one.median(), gain, passes))  # fmt: skip
    columns = ["experiment", "model", "float32 runs", "bfloat16 runs", "float32", "low", "high",
               "bfloat16", "difference", "gain", "passes"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def verdict(passes: Iterable[bool | None]) -> str:
    """What to do about bfloat16."""
    known = list(passes)
    if False in known:
        return "bfloat16 stays off: a network's median left the range of float32's seeds."
    if len(known) < len(EXPERIMENTS) * len(MODELS) or None in known:
        return "Not all runs have records yet: bfloat16 stays off."
    return "bfloat16 is allowed: every median lies within the range of float32's seeds."


def main() -> None:
    """Train what is missing, unless told not to, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    runs = study(options.backend)
    if not options.report:
        ensure([spec for size in runs.values() for spec in size.specs], jobs=options.jobs)
    judged = judge(scores(runs))
    said = verdict(judged["passes"])
    if not options.report:
        rows = judged.astype(object).where(judged.notna(), None).to_dict("records")
        write_json(RESULTS, {"backend": options.backend, "rows": rows, "verdict": said})
    print(judged.to_string(index=False, float_format="%.4f"))
    print(said)


if __name__ == "__main__":
    main()
