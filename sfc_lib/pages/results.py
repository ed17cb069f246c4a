"""Run records as data frames: all that figures, tables and claims are computed from."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.errors import UserError
from sfc_lib.files import checkout, published_dir
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.runs.evaluation import importance_of, target
from sfc_lib.runs.pool import ensure
from sfc_lib.runs.sizes import Experiment, Size, choose, cost_line, load_size
from sfc_lib.runs.spec import CHOICES, RunSpec
from sfc_lib.runs.store import W_POS, Record, look_up

YARDSTICKS = ("ceiling", "6-mer regression", "2-mer regression")  # beside the networks' auROC
RUN = ["experiment", "model", "seed"]  # columns that name a run, in every frame


@dataclass(frozen=True, eq=False)
class Results:
    """What the runs of a size gave. A record is read once in a process, when first asked for.

    Args:
        size: What was asked for.
        records: One for each of `size.specs`, in their order.
    """

    size: Size
    records: Sequence[Record]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run, in the order of the size.

        - what it is: `experiment`, `model`, `seed`, `id`, and values of its spec, of which
          `most_epochs` is the number that it may train;
        - for reading: `title` of the experiment, `data` (with the share of the filters where
          that is not all), `about` (seeds, diverged runs, share of the filters), `seeds`,
          `control` (`sizes.Experiment`);
        - how it went: `auroc`, `auprc` (validation set, best epoch, mean of tasks; nan if
          `diverged`), `auroc_by_task`, `auprc_by_task` (dictionaries), `epochs`,
          `best_epoch`, `cpu_seconds`, `parameters` of the network, `test_auroc` and `test_auprc`,
          and `best_seed`, `best`: which seed of the model has the best auROC, and whether it
          is this one;
        - where it comes from: `published`, `fingerprint`, `processor`, `versions`, `commit`,
          `finished`.
        """
        rows = [
            {"experiment": experiment.name, "title": experiment.title, "model": model}
            | {"seeds": experiment.seeds, "narrowed": _narrowed(experiment)}
            | {"control": experiment.control}
            | _row(record)
            for (experiment, model), record in zip(self._labels(), self.records, strict=True)
        ]
        runs = pd.DataFrame(rows)
        lost = runs.groupby("experiment").diverged.transform("sum")
        runs["data"] = runs.title + (", " + runs.narrowed).where(runs.narrowed != "", "")
        runs["about"] = [_about(*p) for p in zip(runs.seeds, lost, runs.narrowed, strict=True)]
        best = runs.dropna(subset="auroc").groupby(["experiment", "model"]).auroc.idxmax()
        runs["best"] = runs.index.isin(best)
        seeds = runs.seed.where(runs.best).groupby([runs.experiment, runs.model])
        runs["best_seed"] = seeds.transform("max").astype("Int64")
        return runs

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch: experiment, model, seed, epoch, loss, auroc, auprc.

        The metrics are those of the validation set, or of the part of it that epochs are
        judged by, averaged over tasks.
        """
        names = {"epoch": "epoch", "loss": "loss", "valid_auroc": "auroc", "valid_auprc": "auprc"}
        rows = [
            (*key, *(line[name] for name in names))
            for key, record in zip(
                self.runs[RUN].itertuples(index=False), self.records, strict=True
            )
            for line in _once(record, "history", record.history)
        ]
        frame = pd.DataFrame(rows, columns=[*RUN, *names.values()])
        return frame.astype(dict.fromkeys(("loss", "auroc", "auprc"), float))

    @cached_property
    def weights(self) -> pd.DataFrame:
        """The runs whose records hold `W_pos`, with that column: float32 (units, length)."""
        found = {
            place: _once(record, W_POS, record.positional_weights)
            for place, record in enumerate(self.records)
            if W_POS in record.result["files"]
        }
        column = pd.Series(list(found.values()), index=list(found), dtype=object)
        return self.runs.loc[list(found)].assign(W_pos=column)

    def profiles(
        self,
        experiments: Collection[str],
        centred: bool = False,
        task: str | None = None,
        sequences: int | None = None,
    ) -> pd.DataFrame:
        """The runs of experiments whose importance is known or can be measured, with a bar.

        More columns: `profile`, float32 (length,), raw or centred; its `noise`, of the same
        shape (`evaluation.Importance`); the `task` it is about; `begin` and `end` of the region
        compared, 0-based half-open; `unit`, the mean size of the centred profile in that
        region; and the number of `sequences` it is a mean over.

        Args:
            experiments: Their names.
            centred: Whether profiles are of the centred gradient.
            task: Another task than the paper's, for runs that have it and still have a model.
            sequences: The most that a profile may be a mean over, for runs that have a model.
        """
        rows = {}
        for run in self.runs[self.runs.experiment.isin(list(experiments))].itertuples():
            record = self.records[run.Index]
            bar = partial(tqdm, desc=f"importance of {run.model}, seed {run.seed}", leave=False)
            measured = partial(importance_of, record, bar, task, sequences)
            found = _once(record, f"importance {task} {sequences}", measured)
            if found is not None:
                goal = target(record.spec, found.values.shape[-1], task)
                profile, noise = found.values[int(centred)]
                unit = np.abs(found.values[1, 0, slice(*goal.region)]).mean(dtype=float)
                rows[run.Index] = (profile, noise, goal.task, *goal.region, unit, found.sequences)
        columns = ["profile", "noise", "task", "begin", "end", "unit", "sequences"]
        more = pd.DataFrame(list(rows.values()), list(rows), columns)
        return self.runs.loc[list(rows)].join(more)

    def _labels(self) -> Iterable[tuple[Experiment, str]]:
        for experiment in self.size.experiments.values():
            for model, specs in experiment.models.items():
                yield from [(experiment, model)] * len(specs)


def load_results(
    size: str = "standard",
    seeds: int | Sequence[int] = 0,
    published: bool = True,
    jobs: int = 2,
    *,
    only: Sequence[str] = (),
    change: Mapping[str, Any] | None = None,
) -> Results:
    """Results of every experiment of a size; runs that no store has are trained first.

    Before it trains, it says how many runs are missing, and about how many minutes they take.

    Args:
        size: `"smoke"`, `"quick"`, `"standard"` or `"full"`.
        seeds: Number of seeds, from 0 up, 0 for as many as the size has; or a list of seeds.
        published: Whether to read the published records too.
        jobs: Processes that train at once; 0 to read only, and never train.
        only: Experiments, labels of models, or both; none for all.
        change: Values that all specs get in place of their own, by field of `RunSpec`.

    Raises:
        UserError: There is no such size, experiment, model or value; or `jobs` is 0 and runs
            have no record: it says which, and what trains them.
    """
    wanted = choose(size, seeds, only, change)
    found = {spec: look_up(spec, published) for spec in wanted.specs}
    missing = [spec for spec, record in found.items() if record is None]
    if missing and not jobs:
        raise UserError(_missing(wanted, set(missing), seeds, published, only, bool(change)))
    if missing:
        print(cost_line(missing, jobs), flush=True)
        trained = ensure(missing, published=published, jobs=jobs)
        found |= dict(zip(missing, trained, strict=True))
    return Results(wanted, [record for spec in wanted.specs if (record := found[spec])])


def load_finished(size: str, seeds: int = 0, published: bool = True) -> Results:
    """The runs of a size that have a record; nothing is trained.

    Of an experiment there are as many seeds as all its models have records of, of one that is a
    control as many of each model as it has; what has no first one is left out.

    Args:
        size: As for `load_results`.
        seeds: The most that there may be, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.

    Raises:
        UserError: There is no such size, or a bad number of seeds.
    """
    wanted = load_size(size, seeds)
    experiments, records = {}, list[Record]()
    for name, experiment in wanted.experiments.items():
        found = {
            model: [look_up(spec, published) for spec in specs]
            for model, specs in experiment.models.items()
        }
        counts = {model: _until_none(values) for model, values in found.items()}
        if not experiment.control:
            counts = dict.fromkeys(counts, min(counts.values()))
        models = {m: specs[: counts[m]] for m, specs in experiment.models.items() if counts[m]}
        if models:
            experiments[name] = replace(experiment, models=models)
            records += [r for model in models for r in found[model][: counts[model]] if r]
    return Results(replace(wanted, experiments=experiments), records)


def with_evidence(results: Results, published: bool = True, *, replaced: bool = False) -> Results:
    """Results, and those of the sizes that are evidence too: what claims are judged by.

    Of the latter there are no more seeds than the former have. An experiment gives its place to
    the one that replaces it once that has seeds enough to decide, unless `replaced` ones are
    wanted too.
    """
    seeds = max(experiment.seeds for experiment in results.size.experiments.values())
    more = [load_finished(name, seeds, published) for name in results.size.evidence]
    found = together([results, *more])
    experiments = found.size.experiments.values()
    heirs = {e.replaces: e.name for e in experiments if e.seeds >= MIN_SEEDS and not replaced}
    named = dict.fromkeys(heirs.get(e.name, e.name) for e in experiments)
    return part(found, list(named))


def drawn(judged: Results) -> Results:
    """What figures draw of `with_evidence`: the size's own experiments, or what replaces them."""
    own, have = list(load_size(judged.size.name).experiments), judged.size.experiments
    newer = {e.replaces: e.name for e in have.values() if e.replaces in own}
    shown = [name if name in have else newer.get(name) for name in own]
    return part(judged, [name for name in shown if name])


def part(results: Results, names: Sequence[str]) -> Results:
    """The experiments of these names, in their order."""
    experiments = {name: results.size.experiments[name] for name in names}
    by_spec = {record.spec: record for record in results.records}
    records = [by_spec[spec] for e in experiments.values() for spec in e.specs]
    return Results(replace(results.size, experiments=experiments), records)


def together(parts: Sequence[Results]) -> Results:
    """Results of several sizes as one, which is named after the first."""
    experiments = {k: e for part in parts for k, e in part.size.experiments.items()}
    records = [record for part in parts for record in part.records]
    return Results(replace(parts[0].size, experiments=experiments), records)


WHOLE = "full"  # the size whose networks are not narrowed


def whole_networks(results: Results, published: bool = True) -> Results | None:
    """Records of the whole networks on the data where those of the results are narrowed.

    Of each experiment those of one backend, whichever has most: they may be trained elsewhere.
    Of its models there are those with a record, and of these as many seeds as all have. None
    where no experiment has two such models. Nothing is trained.
    """
    experiments, records = {}, []
    narrowed = [key for key, each in results.size.experiments.items() if _narrowed(each)]
    for key, experiment in load_size(WHOLE).experiments.items():
        if key in narrowed:
            backends = map(str, CHOICES["backend"])
            ways = [_kept(experiment, backend, published) for backend in backends]
            found = max(ways, key=lambda kept: sum(map(len, kept.values())))
            if len(found) > 1:
                models = {model: tuple(r.spec for r in kept) for model, kept in found.items()}
                experiments[key] = replace(experiment, models=models)
                records += [record for kept in found.values() for record in kept]
    if not experiments:
        return None
    return Results(replace(load_size(WHOLE), experiments=experiments), records)


def _kept(experiment: Experiment, backend: str, published: bool) -> dict[str, list[Record]]:
    """Records of an experiment on a backend by model: as many seeds as all that have any."""
    found = {
        model: [look_up(replace(spec, backend=backend), published) for spec in specs]
        for model, specs in experiment.models.items()
    }
    counts = {model: count for model, values in found.items() if (count := _until_none(values))}
    seeds = min(counts.values(), default=0)
    return {model: [r for r in found[model][:seeds] if r] for model in counts}


def _until_none(values: Sequence[Record | None]) -> int:
    return next((place for place, value in enumerate(values) if value is None), len(values))


def yardsticks() -> dict[str, dict[str, Any]]:
    """What scores are held against, by the dataset's fingerprint; empty outside a clone.

    `positives`: their share in validation and test set, chance of auPRC; and, where known, mean
    auROC of a `6-mer regression` or `2-mer regression`, or the `ceiling`
    (benchmarks/yardsticks.py).
    """
    root = checkout()
    file = root / "data" / "yardsticks.json" if root else None
    return json.loads(file.read_text()) if file and file.exists() else {}


def held_against(runs: pd.DataFrame) -> dict[str, float]:
    """Validation auROC of what `yardsticks` know of the data of an experiment, by its name."""
    known = {} if runs.empty else yardsticks().get(runs.fingerprint.iat[0], {})
    return {name: float(known[name]["valid"]) for name in YARDSTICKS if name in known}


def by_experiment(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """A frame's rows by experiment, in their order."""
    return [part for _, part in frame.groupby("experiment", sort=False)]


def best_model(runs: pd.DataFrame) -> str:
    """Of some models, which differ in a setting, the one with the highest median auROC.

    Empty where that is not known: it is only where two models or more have `MIN_SEEDS`, and none
    with fewer has a higher median, for of unequal numbers of seeds the luckiest would win. A model
    of which any run diverged is never the best.
    """
    scores = runs.groupby("model").auroc
    medians, enough = scores.agg(lambda a: a.median(skipna=False)), scores.size() >= MIN_SEEDS
    best = "" if medians.isna().all() else str(medians.idxmax())
    return best if best and enough[best] and enough.sum() > 1 else ""


def cpu_minutes(runs: pd.DataFrame) -> float:
    """Minutes of one core that training took, all runs together."""
    return float(runs.cpu_seconds.sum()) / 60


def settings(results: Results) -> pd.DataFrame:
    """How the networks of each experiment were trained: one row an experiment.

    Patience is how many epochs may pass without a better validation auROC.
    """
    units = results.weights.assign(units=results.weights.W_pos.map(len))
    rows = [
        {
            "data": runs.title.iat[0],
            "network": _each(runs.architecture),
            "share of the filters": _each(runs.width.map("{:g}".format)),
            "learning rate": _each(runs.learning_rate.map("{:g}".format)),
            "batch": _each(runs.batch_size),
            "SFC neurons": _each(units.units[units.index.isin(runs.index)]),
            "most epochs": _each(runs.most_epochs),
            "patience, epochs": _each(runs.patience),
            "sequences an epoch": _each(runs.samples_per_epoch.map(_samples)),
            "validated on": _each(runs.valid_samples.map(_samples)),
            "seeds": runs.seeds.iat[0],
            "diverged": int(runs.diverged.sum()),
            "CPU minutes": round(cpu_minutes(runs), 1),
        }
        for runs in by_experiment(results.runs)
    ]
    return pd.DataFrame(rows)


def seeds_each(size: Size) -> str:
    """How many runs each model has: a number, or the fewest and the most."""
    counts = [len(specs) for e in size.experiments.values() for specs in e.models.values()]
    fewest, most = min(counts), max(counts)
    return str(most) if fewest == most else f"{fewest} to {most}"


def provenance(results: Results) -> pd.DataFrame:
    """What the numbers of a page rest on: one row an item, columns item and value."""
    size, runs = results.size, results.runs.drop_duplicates("id")  # some stand in several places
    rows = {
        "size": f"{size.name}: {size.about}",
        "runs": f"{len(runs)}, of which diverged: {runs.diverged.sum()}",
        "seeds of each model": seeds_each(size),
        "training, CPU minutes": f"{cpu_minutes(runs):.0f}",
        "trained between": f"{runs.finished.min()} and {runs.finished.max()}",
        "processor, threads": _each(runs.processor),
        "versions": _each(runs.versions),
        "commit of the training code": _each(runs.commit),
        "data fingerprint": _each(runs.fingerprint.str[:16]),
        "run ids": _each(runs.id),
    }
    return pd.DataFrame(rows.items(), columns=["item", "value"])


def _row(record: Record) -> dict[str, Any]:
    spec = {f.name: getattr(record.spec, f.name) for f in fields(record.spec)}
    result, machine = record.result, record.result["environment"]
    scores = {} if record.diverged else result["valid"]
    versions = {"python": machine["python"], **machine["versions"]}
    metrics = ("auroc", "auprc", "auroc_by_task", "auprc_by_task")
    return {
        **spec,
        "most_epochs": spec["epochs"],
        "id": record.spec.id,
        **{name: scores.get(name, np.nan) for name in metrics},
        **{f"test_{name}": (result.get("test") or {}).get(name, np.nan) for name in metrics[:2]},
        **{name: result[name] for name in ("epochs", "best_epoch", "cpu_seconds")},
        "parameters": result.get("parameters", np.nan),
        "diverged": record.diverged,
        "published": record.folder.parent == published_dir(),
        "fingerprint": result["dataset_fingerprint"],
        "processor": f"{machine['cpu']}, {machine['threads']}",
        "versions": " ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": str(machine["commit"]),
        "finished": machine["finished"],
    }


def _narrowed(experiment: Experiment) -> str:
    """The share of the filters that the networks have, in words; empty where that is all."""
    widths = sorted({spec.width for spec in experiment.specs} - {1.0})
    return f"{' or '.join(f'{width:g}' for width in widths)} of the filters" if widths else ""


def _about(seeds: int, lost: int, narrowed: str) -> str:
    parts = [f"{seeds} seeds" if seeds > 1 else "1 seed", f"diverged: {lost}" if lost else ""]
    return ", ".join(filter(None, [*parts, narrowed]))


_read: dict[tuple[Any, ...], Any] = {}  # of records, by folder, seal and what it is


def _once(record: Record, name: str, read: Callable[[], Any]) -> Any:
    """What a record holds. Its seal changes with any of its files."""
    key = record.folder, record.result["seal"], name
    if key not in _read:
        _read[key] = read()
    return _read[key]


def _missing(
    size: Size,
    missing: set[RunSpec],
    seeds: int | Sequence[int],
    published: bool,
    only: Sequence[str],
    changed: bool,
) -> str:
    """Which runs have no record, and what trains them."""
    lacking = {
        experiment.name: ", ".join(
            f"{model} {count}"
            for model, specs in experiment.models.items()
            if (count := len(missing.intersection(specs)))
        )
        for experiment in size.experiments.values()
        if missing.intersection(experiment.specs)
    }
    command = f"sfc sweep {size.name}"
    if not only and len(lacking) < len(size.experiments):
        only = list(lacking)
    command += "".join(f" --only {name}" for name in only)
    command += (f" --seeds {seeds}" if seeds else "") + ("" if published else " --no-published")
    by_sweep = not changed and isinstance(seeds, int)  # what the command can be told
    nowhere = " (the published ones are in the repository, which this is not a clone of)"
    return (
        f"size {size.name}: {len(missing)} of {len(size.specs)} runs have no record"
        f"{nowhere if published and published_dir() is None else ''}: "
        f"{'; '.join(f'{name} ({models})' for name, models in lacking.items())}. "
        + (f"`{command}` trains them." if by_sweep else "Processes train them: jobs=2, say.")
    )


def _samples(count: float | None) -> str:
    return f"{count:,.0f}" if pd.notna(count) else "all"


def _each(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))
