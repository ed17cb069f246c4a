"""May bfloat16 stand for float32? Runs of both on the same data, networks and seeds, and a verdict.

    python benchmarks/precision.py             # trains what no store has; `--jobs`, `--backend`
    python benchmarks/precision.py --report    # trains nothing: what the records say so far

Interrupted at any moment, it goes on where it stopped. Simulated TF, CTCF and accessibility at
size `standard`, std, sep and symm, three seeds in bfloat16 and ten in float32, of which on
TensorFlow the published records count. A network passes where the medians of the two precisions
are no further apart than two medians of float32 would be, by the scatter of its seeds, at a risk
of 5 % for all networks together. bfloat16 is allowed where every one passes, and stays off
otherwise. `benchmarks/precision.json` keeps the table, which is written into the page
`book/elsewhere.md` too. To train it on another machine: `sfc runs pack standard --only ctcf
--seeds 3 --change precision mixed_bfloat16`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from marks import with_part

from sfc_lib.files import write_json
from sfc_lib.pages.statistics import shift
from sfc_lib.pages.style import short
from sfc_lib.runs.pool import ensure
from sfc_lib.runs.sizes import Size, choose
from sfc_lib.runs.store import Record, environment, look_up

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "precision.json", HERE.parent / "book" / "elsewhere.md"
SIZE, SEEDS = "standard", 3
EXPERIMENTS = ("simulated_tf", "ctcf", "simulated_accessibility")
MODELS = ("std", "sep", "symm")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # columns, and Keras's policies
COLUMNS = ["experiment", "model", "precision", "seed", "auroc"]
RISK = 0.05 / (len(EXPERIMENTS) * len(MODELS))  # that noise alone fails a network


def study(backend: str) -> dict[str, Size]:
    """The runs, by precision: of float32 all of the size's seeds, since they tell the noise."""
    sizes = {}
    for name, precision in PRECISIONS.items():
        seeds = 0 if name == "float32" else SEEDS
        change = {"backend": backend, "precision": precision}
        sizes[name] = choose(SIZE, seeds, [*EXPERIMENTS, *MODELS], change)
    return sizes


def scores(runs: dict[str, Size]) -> pd.DataFrame:
    """One row a run that has a record: validation auROC, none if it diverged."""
    rows = []
    for precision, size in runs.items():
        for experiment in size.experiments.values():
            for model, specs in experiment.models.items():
                for record in filter(None, map(look_up, specs)):
                    run = experiment.name, model, precision, record.spec.seed
                    rows.append((*run, _auroc(record)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _auroc(record: Record) -> float:
    return float("nan") if record.diverged else record.result["valid"]["auroc"]


def noise(auroc: Sequence[float], seeds: int = SEEDS) -> float:
    """How far the median of so many new seeds may be from that of these, by their scatter.

    The half width of a prediction interval of normal scores with a risk of `RISK`. A median
    scatters as a mean of 2 / pi as many.
    """
    degrees = len(auroc) - 1
    wide = np.sqrt(np.pi / 2 * (1 / seeds + 1 / len(auroc)))
    return float(scipy.stats.t.ppf(1 - RISK / 2, degrees) * wide * np.std(auroc, ddof=1))


def judge(table: pd.DataFrame, seeds: int = SEEDS) -> pd.DataFrame:
    """One row a network: medians, how far apart they may be, and whether bfloat16 passes.

    Empty in `passes` where a run is missing; a run that diverged fails.
    """
    rows = []
    for (experiment, model), part in table.groupby(["experiment", "model"], sort=False):
        one, two = (part.loc[part["precision"] == name, "auroc"] for name in PRECISIONS)
        apart, most, passes = two.median() - one.median(), noise(one, seeds), None
        if len(one) >= 2 * seeds and len(two) >= seeds:
            passes = bool(one.notna().all() and two.notna().all() and abs(apart) <= most)
        rows.append((experiment, model, len(one), len(two), one.median(), two.median(), apart,
                     most, passes))  # fmt: skip
    columns = ["experiment", "model", "float32 runs", "bfloat16 runs", "float32", "bfloat16",
               "difference", "noise", "passes"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def together(table: pd.DataFrame) -> str:
    """How far bfloat16 is ahead over all pairs of a network and a seed, in a sentence."""
    wide = table.pivot(index=["experiment", "model", "seed"], columns="precision", values="auroc")
    wide = wide.reindex(columns=list(PRECISIONS)).dropna()
    found = shift(wide["bfloat16"].to_numpy(), wide["float32"].to_numpy())
    low, effect, high = (short(each, "+.4f") for each in (found.low, found.effect, found.high))
    return (
        f"Over all {found.seeds} pairs of runs of the same network and seed bfloat16 differs by "
        f"{effect} [{low}, {high}]."
    )


def verdict(passes: Iterable[bool | None]) -> str:
    """What to do about bfloat16."""
    known = list(passes)
    if False in known:
        return "bfloat16 stays off: a network's medians are further apart than float32's seeds."
    if len(known) < len(EXPERIMENTS) * len(MODELS) or None in known:
        return "Not all runs have records yet: bfloat16 stays off."
    return "bfloat16 is allowed: no two medians are further apart than float32's seeds are."


def as_markdown(judged: pd.DataFrame, said: str) -> str:
    """The table for the page, and what follows."""
    shown = judged.assign(
        network=judged["experiment"].str.replace("_", " ") + ", " + judged["model"],
        passes=judged["passes"].map({True: "yes", False: "no"}).fillna("not known"),
    )
    for name in ("float32", "bfloat16"):
        seeds = judged[f"{name} runs"].astype(str)
        shown[name] = judged[name].map("{:.4f}".format) + " (" + seeds + " seeds)"
    shown["difference"] = judged["difference"].map("{:+.4f}".format).str.replace("-", "−")
    shown["noise"] = judged["noise"].map("±{:.4f}".format)
    columns = ["network", "float32", "bfloat16", "difference", "noise", "passes"]
    return f"Median validation auROC. {said}\n\n{_table(shown[columns])}"


def _table(frame: pd.DataFrame) -> str:
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
    found = scores(runs)
    judged = judge(found)
    said = f"{verdict(judged['passes'])} {together(found)}"
    if not options.report:
        content = {
            "environment": environment(options.backend),
            "runs": found.astype(object).where(found.notna(), None).to_dict("records"),
            "rows": judged.astype(object).where(judged.notna(), None).to_dict("records"),
            "verdict": said,
        }
        write_json(RESULTS, content)
        PAGE.write_text(with_part(PAGE.read_text(), "precision", as_markdown(judged, said)))
    print(judged.to_string(index=False, float_format="%.4f"))
    print(said)


if __name__ == "__main__":
    main()
