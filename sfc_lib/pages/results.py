"""Records of a size's runs as tidy tables, and the provenance every page ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sfc_lib.runs.pool import ensure
from sfc_lib.runs.sizes import Experiment, Size, load_size
from sfc_lib.runs.store import W_POS, Record

LEVELS = {"simulated_tf": (0.8, 0.9, 0.95)}  # auROCs to which epochs are counted
SHARES = (0.5, 0.8, 0.95)  # elsewhere: of what std gains over chance
CHANCE = 0.5


@dataclass(frozen=True, eq=False)
class Results:
    """The records of one experiment, by model, in the order of their seeds."""

    size: Size
    experiment: Experiment
    records: Mapping[str, list[Record]]

    @property
    def narrowed(self) -> str:
        """The share of the filters that the networks have, in words; empty where that is all."""
        widths = sorted({spec.width for spec in self.experiment.specs} - {1.0})
        return f"{' or '.join(f'{width:g}' for width in widths)} of the filters" if widths else ""

    @property
    def title(self) -> str:
        """The experiment's title, with the share of the filters where that is not all."""
        return ", ".join(filter(None, [self.experiment.title, self.narrowed]))

    @property
    def models(self) -> list[str]:
        """Labels of the models compared."""
        return list(self.records)

    def scores(self) -> pd.DataFrame:
        """One row a run: model, seed, auroc, auprc, epochs, best_epoch, diverged.

        The metrics are those of the validation set at the best epoch, averaged over
        tasks, as in the paper; a diverged run has none and counts as diverged.
        """
        rows = []
        for model, records in self.records.items():
            for record in records:
                valid = {} if record.diverged else record.result["valid"]
                rows.append(
                    {
                        "model": model,
                        "seed": record.spec.seed,
                        "auroc": valid.get("auroc", np.nan),
                        "auprc": valid.get("auprc", np.nan),
                        "epochs": record.result["epochs"],
                        "best_epoch": record.result["best_epoch"],
                        "diverged": record.diverged,
                    }
                )
        return pd.DataFrame(rows)

    def curves(self) -> pd.DataFrame:
        """One row an epoch: model, seed, epoch, auroc (validation, averaged over tasks)."""
        rows = [
            (model, record.spec.seed, line["epoch"], line["valid_auroc"])
            for model, records in self.records.items()
            for record in records
            for line in record.history()
        ]
        table = pd.DataFrame(rows, columns=["model", "seed", "epoch", "auroc"])
        return table.astype({"auroc": float})

    def level(self, share: float) -> float:
        """The auROC that lies this share of the way from chance to std's median best auROC.

        Of the first model where there is no std; and of the learning curves, which may rest
        on a part of the validation set.
        """
        best = self.curves().groupby(["model", "seed"], sort=False).auroc.max()
        reference = "std" if "std" in self.models else self.models[0]
        return CHANCE + share * (float(best[reference].median()) - CHANCE)

    def levels(self) -> tuple[float, ...]:
        """The auROCs to which epochs are counted: fixed for simulated TF binding, else by std."""
        dataset = self.experiment.specs[0].dataset
        return LEVELS.get(dataset) or tuple(self.level(share) for share in SHARES)

    def epochs_to(self, auroc: float) -> pd.DataFrame:
        """First epoch of each run with at least this validation auROC: model, seed, epochs.

        Infinite where a run never reached it before it stopped.
        """
        runs = self.curves().groupby(["model", "seed"], sort=False)
        first = runs.apply(lambda run: run.loc[run.auroc >= auroc, "epoch"].min())
        return first.fillna(np.inf).rename("epochs").reset_index()


def load_results(
    size: str = "standard", seeds: int = 0, published: bool = True, jobs: int = 2
) -> list[Results]:
    """Results of every experiment of a size; runs that no store has are trained first.

    Args:
        size: `"smoke"`, `"quick"`, `"standard"` or `"full"`.
        seeds: Number of seeds, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.
        jobs: Processes that train at once.
    """
    plan = load_size(size, seeds or None)
    experiments = plan.experiments.values()
    found = iter(ensure(plan.specs, published=published, jobs=jobs))
    return [
        Results(plan, e, {model: [next(found) for _ in specs] for model, specs in e.models.items()})
        for e in experiments
    ]


def only(results: Sequence[Results], experiment: str) -> Results | None:
    """The results of one experiment, or None if the size does not have it."""
    return next((r for r in results if r.experiment.name == experiment), None)


def settings(results: Sequence[Results]) -> pd.DataFrame:
    """How the networks of each experiment were trained: one row an experiment.

    `filters` is the share of the filters, `epochs` the most there can be, `patience` how many
    may pass without a better validation auROC.
    """
    rows = []
    for result in results:
        specs = result.experiment.specs
        records = [record for group in result.records.values() for record in group]
        rows.append(
            {
                "data": result.experiment.title,
                "network": _each(s.architecture for s in specs),
                "filters": _each(f"{s.width:g}" for s in specs),
                "learning rate": _each(f"{s.learning_rate:g}" for s in specs),
                "batch": _each(str(s.batch_size) for s in specs),
                "SFC neurons": _each(f"{units}" for r in records if (units := _units(r))),
                "epochs": _each(str(s.epochs) for s in specs),
                "patience": _each(str(s.patience) for s in specs),
                "sequences an epoch": _each(_samples(s.samples_per_epoch) for s in specs),
                "validated on": _each(_samples(s.valid_samples) for s in specs),
                "seeds": result.experiment.seeds,
                "diverged": sum(record.diverged for record in records),
                "CPU minutes": round(cpu_minutes(records), 1),
            }
        )
    return pd.DataFrame(rows)


def _units(record: Record) -> int:
    """SFC neurons of a run; 0 without the layer, or weights that tell."""
    return record.positional_weights().shape[0] if W_POS in record.result["files"] else 0


def _samples(count: int | None) -> str:
    return f"{count:,}" if count else "all"


def cpu_minutes(records: Iterable[Record]) -> float:
    """Minutes of one core that training took, all records together."""
    return sum(record.result["cpu_seconds"] for record in records) / 60


def provenance(results: Sequence[Results]) -> pd.DataFrame:
    """What the numbers of a page rest on: one row an item, columns item and value."""
    records = [r for result in results for group in result.records.values() for r in group]
    plan = results[0].size
    environments = [record.result["environment"] for record in records]
    diverged = sum(record.diverged for record in records)
    rows = [
        ("size", f"{plan.name}: {plan.about}"),
        ("runs", f"{len(records)}, of which diverged: {diverged}"),
        ("seeds of each model", str(plan.seeds)),
        ("training, CPU minutes", f"{cpu_minutes(records):.0f}"),
        ("trained between", _span(e["finished"] for e in environments)),
        ("processor, threads", _each(f"{e['cpu']}, {e['threads']}" for e in environments)),
        ("versions", _each(_versions(e) for e in environments)),
        ("commit of the training code", _each(str(e["commit"]) for e in environments)),
        ("data fingerprint", _each(r.result["dataset_fingerprint"][:16] for r in records)),
        ("run ids", _each(record.spec.id for record in records)),
    ]
    return pd.DataFrame(rows, columns=["item", "value"])


def _each(values) -> str:
    return ", ".join(dict.fromkeys(values))


def _span(times) -> str:
    ordered = sorted(times)
    return f"{ordered[0]} and {ordered[-1]}"


def _versions(environment: Mapping) -> str:
    versions = {"python": environment["python"], **environment["versions"]}
    return " ".join(f"{name} {version}" for name, version in versions.items())
