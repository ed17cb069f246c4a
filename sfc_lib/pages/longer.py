"""Trained longer: what networks reach in more epochs or on more data, and what holds them.

The size `standard` trains ChIP-seq networks for few epochs, and accessibility networks on data
of which little can be learnt. Here stand the runs of `converged` and `pilots` that are finished,
and how many of them were still learning when their epochs were over; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.datasets.accessibility import NO_SUMMITS, OUTSIDE, SimulatedAccessibility
from sfc_lib.datasets.base import SPLITS
from sfc_lib.pages.controls import interval, setting_of, untried
from sfc_lib.pages.figure2_learning_curves import CHANCE
from sfc_lib.pages.results import (
    Results,
    by_experiment,
    held_against,
    load_finished,
    provenance,
    together,
    yardsticks,
)
from sfc_lib.pages.statistics import MIN_SEEDS, Compared, shift
from sfc_lib.pages.style import (
    PAGE,
    STYLE,
    closed,
    colour_of,
    name_of,
    short,
    short_data,
    spread,
)
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import Record, look_up

SIZES = ("converged", "pilots")
PAIRS = (("sep", "std"), ("symm", "std"))
CHIP = "chip_seq"
ACCESSIBILITY, ACCESSIBILITY_PILOT = "accessibility_learnable", "accessibility_pilot"
HEMATOPOIESIS, PILOTS, LEARNT = "hematopoiesis", "hematopoiesis_pilot", "hematopoiesis_learnt"
BASE = "sep"  # the network of the pilots that differs from the others in one thing each
LATE = 0.9  # of all epochs: a run whose best one comes later was still learning
NONE = pd.DataFrame(columns=["experiment", "dataset", "model", "auroc"])  # where no run is finished
COMPOSITION, COUNTED, CEILING = "2-mer regression", "6-mer regression", "ceiling"


def load_longer(seeds: int = 0, published: bool = True) -> Results:
    """The finished runs of the sizes `converged` and `pilots`.

    Args:
        seeds: The most seeds of a model, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.

    Raises:
        UserError: A bad number of seeds.
    """
    return together([load_finished(name, seeds, published) for name in SIZES])


def early() -> int:
    """The epochs that the size `standard` trains ChIP-seq networks for."""
    specs = [spec for spec in load_size("standard", 1).specs if spec.dataset == CHIP]
    return max(spec.epochs for spec in specs)


def chip_seq(results: Results) -> list[pd.DataFrame]:
    """The runs of each ChIP-seq experiment that has any."""
    runs = results.runs if results.records else NONE
    return by_experiment(runs[runs.dataset == CHIP])


def of(results: Results, experiment: str) -> pd.DataFrame:
    """The runs of an experiment; none where none is finished."""
    runs = results.runs if results.records else NONE
    return runs[runs.experiment == experiment]


def best_so_far(results: Results, experiment: str) -> pd.DataFrame:
    """The best auROC up to each epoch: a row an epoch, a column (model, seed).

    A run that stopped keeps its best until the last epoch of any.
    """
    epochs = results.epochs[results.epochs.experiment == experiment]
    table = epochs.pivot(index="epoch", columns=["model", "seed"], values="auroc")
    return table.cummax().ffill()


def gap(so_far: pd.DataFrame, model: str, other: str) -> pd.DataFrame:
    """How far a model is ahead by each epoch: a row an epoch, a column a seed that both have."""
    return so_far[model].sub(so_far[other]).dropna(axis=1, how="all")


def leads(so_far: pd.DataFrame, model: str, other: str) -> pd.DataFrame:
    """How a model compares with another by each epoch: a row an epoch, columns of `Compared`."""
    seeds = gap(so_far, model, other).columns
    return pd.DataFrame(
        [vars(_compared(row, seeds, model, other)) for _, row in so_far.iterrows()], so_far.index
    )


def _compared(row: pd.Series, seeds: pd.Index, model: str, other: str) -> Compared:
    return shift(*(row[name][seeds].to_numpy(float) for name in (model, other)))


def chip_figure(results: Results) -> Figure | None:
    """ChIP-seq, a column a factor: auROC by epoch, and by how much each SFC network leads std.

    Above, validation auROC: thin lines are seeds, thick ones their median while all seeds train.
    Below, of the best so far: thin lines are pairs of a seed, thick ones the Hodges-Lehmann
    estimate, with its 95 % interval as a band where there are seeds enough for one. The dotted
    line is where the size `standard` stops. None where no run is finished.
    """
    parts = chip_seq(results)
    if not parts:
        return None
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            2, len(parts), figsize=(PAGE, 5.6), squeeze=False, sharex="col", layout="constrained"
        )
        for (above, below), runs in zip(panels.T, parts, strict=True):
            _curves(above, results, runs)
            _gaps(below, results, runs)
            for axes in (above, below):
                axes.axvline(
                    early(), color="black", linewidth=0.8, linestyle=":", label="end of standard"
                )
        panels[0, 0].set_ylabel("validation auROC")
        panels[1, 0].set_ylabel("ahead of std, best so far")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return closed(figure)


def _curves(axes: Axes, results: Results, runs: pd.DataFrame) -> None:
    epochs = results.epochs[results.epochs.experiment == runs.experiment.iat[0]]
    for model in runs.model.unique():
        own, colour = epochs[epochs.model == model], colour_of(model)
        lines = own.pivot(index="epoch", columns="seed", values="auroc")
        axes.plot(lines.index, lines, color=colour, linewidth=0.6, alpha=0.4)
        median = lines.median(axis=1, skipna=False)
        axes.plot(median.index, median, color=colour, linewidth=2.2, label=name_of(model))
    axes.set_title(f"{_factor(runs)}, {_seeds(runs.seeds.iat[0])}")


def _gaps(axes: Axes, results: Results, runs: pd.DataFrame) -> None:
    so_far = best_so_far(results, runs.experiment.iat[0])
    for pair in PAIRS:
        lines, lead, colour = gap(so_far, *pair), leads(so_far, *pair), colour_of(pair[0])
        axes.plot(lines.index, lines, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(lead.index, lead.effect, color=colour, linewidth=2.2)
        if np.isfinite(lead.low).all():
            axes.fill_between(lead.index, lead.low, lead.high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(0, color="black", linewidth=0.8)
    last = so_far.iloc[min(early(), len(so_far)) - 1 :]  # what was earlier may leave the panel
    shown = np.concatenate([gap(last, *pair).to_numpy().ravel() for pair in PAIRS])
    room = 0.1 * (np.nanmax(shown) - np.nanmin(shown)) or 0.01
    axes.set_ylim(min(0.0, np.nanmin(shown)) - room, max(0.0, np.nanmax(shown)) + room)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel="epoch", xlim=(1, so_far.index.max()))


def chip_caption(results: Results) -> str:
    """Markdown: what the lines of `chip_figure` are, and which factors have no band, and why."""
    seeds = {_factor(runs): int(runs.seeds.iat[0]) for runs in chip_seq(results)}
    if not seeds:
        return ""
    few = [f"{name} ({_seeds(count)})" for name, count in seeds.items() if count < MIN_SEEDS]
    text = (
        "Above: validation auROC by epoch; thin lines are seeds, thick ones their median while "
        "all of them train. Below: how far a network with an SFC layer is ahead of *std* in the "
        "best auROC so far; thin lines are pairs of one seed, thick ones the Hodges–Lehmann "
        "estimate. "
    )
    if len(few) < len(seeds):
        text += "Bands are its 95 % interval. "
    if few:
        text += f"No band, with fewer than {MIN_SEEDS} seeds: {', '.join(few)}. "
    return text + (
        f"The dotted line is where the size *standard* stops, after {early()} epochs; what was "
        "before may leave the lower panel. A run that stopped keeps its best."
    )


def gap_table(results: Results) -> pd.DataFrame:
    """Where each ChIP-seq comparison stood when `standard` stops, and where it ends."""
    rows = []
    for runs, (model, other), then, now in _then_and_now(results):
        rows.append(
            {
                "data": _factor(runs),
                "compared": f"{model} − {other}",
                f"difference after {early()} epochs": interval(then),
                "at the end": interval(now),
                "at the end, test set": interval(_on_test(runs, model, other)),
                "seeds": now.seeds,
                **{
                    f"epochs of {name}: median": f"{runs.epochs[runs.model == of].median():g}"
                    for name, of in (("the first", model), ("the second", other))
                },
            }
        )
    return pd.DataFrame(rows)


def gap_line(results: Results) -> str:
    """Markdown: a sentence a factor, on what becomes of the lead of sep."""
    told = []
    for runs, (model, _), then, now in _then_and_now(results):
        if model == PAIRS[0][0]:
            few = "" if np.isfinite(now.low) else ", too few seeds to settle it"
            told.append(
                f"**{_factor(runs)}**: *sep* is ahead of *std* by {short(then.effect, '+.4f')} "
                f"after {early()} epochs and by {short(now.effect, '+.4f')} at the end "
                f"({_seeds(now.seeds)}{few})."
            )
    return " ".join(told) or "No ChIP-seq network has been trained longer yet."


def _then_and_now(
    results: Results,
) -> Iterator[tuple[pd.DataFrame, tuple[str, str], Compared, Compared]]:
    """Of each factor and pair: its runs, the models, and how they compare then and at the end."""
    for runs in chip_seq(results):
        so_far = best_so_far(results, runs.experiment.iat[0])
        for model, other in PAIRS:
            seeds = gap(so_far, model, other).columns
            then, now = (
                _compared(row, seeds, model, other)
                for row in (so_far.loc[min(early(), so_far.index[-1])], so_far.iloc[-1])
            )
            yield runs, (model, other), then, now


def _on_test(runs: pd.DataFrame, model: str, other: str) -> Compared:
    """How the test set's auROCs of two models compare, at each run's best epoch."""
    table = runs.pivot(index="seed", columns="model", values="test_auroc").astype(float)
    both = table[[model, other]].dropna()
    return shift(both[model].to_numpy(), both[other].to_numpy())


def unfinished(results: Results, experiments: Sequence[str] = ()) -> str:
    """Markdown: of how many runs of each experiment more epochs might have made more.

    Args:
        results: What is told of.
        experiments: Their names; none for all of ChIP-seq.
    """
    parts = [of(results, name) for name in experiments] or chip_seq(results)
    told = [f"**{_subject(runs)}**: {_endings(runs)}." for runs in parts if len(runs)]
    return "How they ended: " + " ".join(told) if told else ""


def _endings(runs: pd.DataFrame) -> str:
    """How the runs of an experiment ended, in words, with their number of each kind."""
    whole = (runs.epochs == runs.most_epochs) & ~runs.diverged
    late = whole & (runs.best_epoch > LATE * runs.most_epochs)
    most, patience = _several(runs.most_epochs), _several(runs.patience)
    kinds = {
        f"{{}} still learning (best epoch in the last tenth of all {most})": late,
        f"{{}} past the best epoch when all {most} were over": whole & ~late,
        f"{{}} stopped by {patience} epochs that brought nothing better": ~whole & ~runs.diverged,
        "{} diverged": runs.diverged,
    }
    found = [text.format(count) for text, which in kinds.items() if (count := int(which.sum()))]
    return f"of {len(runs)} runs {', '.join(found)}"


def _several(values: pd.Series) -> str:
    return " or ".join(f"{value:g}" for value in sorted(values.unique()))


def _subject(runs: pd.DataFrame) -> str:
    return _factor(runs) if runs.dataset.iat[0] == CHIP else short_data(runs.title.iat[0])


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _factor(runs: pd.DataFrame) -> str:
    return str(runs.dataset_options.iat[0]["tf"])


def learnt_figure(results: Results, experiment: str) -> Figure | None:
    """Validation auROC against training sequences seen, and what it is held against.

    Thin lines are seeds, thick ones their median. None where no run is finished.
    """
    runs = of(results, experiment)
    if runs.empty:
        return None
    seen = runs.groupby("model").samples_per_epoch.first()
    epochs = results.epochs[results.epochs.experiment == experiment]
    epochs = epochs.assign(sequences=epochs.epoch * epochs.model.map(seen))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(PAGE, 3.6), layout="constrained")
        shared = {"x": "sequences", "y": "auroc", "hue": "model", "ax": axes}
        palette = {model: colour_of(model) for model in epochs.model.unique()}
        sns.lineplot(
            epochs, units="seed", estimator=None, linewidth=0.6, alpha=0.4, legend=False,
            palette=palette, **shared,
        )  # fmt: skip
        sns.lineplot(
            epochs, estimator="median", errorbar=None, linewidth=2.2, palette=palette, **shared
        )
        for what, score in held_against(runs).items():
            axes.axhline(score, color="black", linewidth=0.9, linestyle="--")
            axes.annotate(
                f"{what} {short(score, '.3f')}", (1, score), xycoords=("axes fraction", "data"),
                xytext=(0, 3), textcoords="offset points", ha="right",
            )  # fmt: skip
        handles, models = axes.get_legend_handles_labels()
        names = [name_of(model) for model in models]
        axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1, 1))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set(
            xlabel="training sequences seen", ylabel="validation auROC", title=runs.about.iat[0]
        )
    return closed(figure)


def reach(results: Results, experiment: str) -> pd.DataFrame:
    """What each network of an experiment reached, beside chance.

    Where a ceiling is known, also how much of the way from chance to it the median seed went.
    """
    runs = of(results, experiment)
    known = held_against(runs)
    entry = {} if runs.empty else yardsticks().get(runs.fingerprint.iat[0], {})
    chance = entry.get("positives", {}).get("valid", np.nan)
    rows = []
    for model, own in runs.groupby("model", sort=False):
        row = {
            "model": name_of(model),
            "auROC: median (min – max)": spread(own.auroc, short),
            "auROC, test set": short(own.test_auroc.median()),
            "auROC by chance": short(CHANCE, "g"),
            "auPRC: median": short(own.auprc.median()),
            "auPRC, test set": short(own.test_auprc.median()),
            "auPRC by chance": short(chance),
            "best epoch: median": f"{own.best_epoch.median():g} of {own.epochs.max()}",
            "seeds": len(own),
            "CPU minutes": f"{own.cpu_seconds.sum() / 60:.0f}",
        }
        if CEILING in known:
            row["of the way to the ceiling"] = f"{_share(own.auroc.median(), known[CEILING]):.0%}"
        rows.append(row)
    return pd.DataFrame(rows)


def reach_line(results: Results, experiment: str = ACCESSIBILITY) -> str:
    """Markdown: the best network of an experiment beside what it is held against."""
    runs = of(results, experiment)
    if runs.empty:
        return _untried(experiment)
    medians = runs.groupby("model", sort=False).auroc.median()
    best, score = str(medians.idxmax()), float(medians.max())
    text = f"The best network, *{name_of(best)}*, reaches a median auROC of {short(score)}"
    told = [f"{what}: {short(value)}" for what, value in held_against(runs).items()]
    text += f" ({'; '.join(told)})." if told else "."
    if ceiling := held_against(runs).get(CEILING):
        text += f" That is {_share(score, ceiling):.0%} of the way from chance to the ceiling."
    return text


def _untried(experiment: str) -> str:
    """Markdown: that an experiment has no run yet, and what trains it."""
    size = next(name for name in SIZES if experiment in load_size(name, 1).experiments)
    return untried(experiment, size).data


def picked(experiment: str = ACCESSIBILITY) -> str:
    """Markdown: what an experiment of the size `converged` trains its networks with."""
    size = load_size("converged")
    specs = size.experiments[experiment].specs
    value = {name: _several(_column(specs, name)) for name in ("width", "batch_size", "epochs")}
    rates, seen = _several(_column(specs, "learning_rate")), _column(specs, "samples_per_epoch")
    total = seen * _column(specs, "epochs")
    return (
        f"Picked for {size.seeds} seeds of each network: {value['width']} of the filters, learning "
        f"rate {rates}, batches of {value['batch_size']}, {value['epochs']} epochs of "
        f"{_thousands(seen)} sequences, {_thousands(total)} in all."
    )


def more_samples(results: Results) -> str:
    """Markdown: what the pilot gains beyond the sequences that were picked, if it has a run."""
    runs = of(results, ACCESSIBILITY_PILOT)
    if runs.empty:
        return f"Would more of them help? {_untried(ACCESSIBILITY_PILOT)}"
    enough = load_size("converged", 1).experiments[ACCESSIBILITY].specs[0].epochs
    so_far = best_so_far(results, ACCESSIBILITY_PILOT)
    an_epoch, last = int(runs.samples_per_epoch.iat[0]), int(so_far.index[-1])
    told = [
        f"*{name_of(model)}* from {short(then, '.3f')} to {short(now, '.3f')}"
        for model in runs.model.unique()
        for then, now in [so_far[model].loc[[min(enough, last), last]].median(axis=1)]
    ]
    return (
        f"With {an_epoch * last:,} sequences in place of {an_epoch * enough:,} the best "
        f"validation auROC so far, of the windows that "
        f"judge epochs, goes on ({_seeds(int(runs.seeds.iat[0]))}): {', '.join(told)}."
    )


def changes(results: Results, published: bool = True) -> pd.DataFrame:
    """What each change of the pilots on hematopoiesis data gains: one row a change.

    Columns: `change`, in words; `model` and `base`, each one seed; `auroc` and `gain` on that of
    the base, on all validation windows. The base of a network that *standard* has is its run
    there, that of any other the pilots' `BASE`.

    Args:
        results: Of the pilots.
        published: Whether *standard* may be a published record.
    """
    models = load_size("pilots", 1).experiments[PILOTS].models
    shorter = load_size("standard", 1).experiments[HEMATOPOIESIS].models
    runs = of(results, PILOTS).drop_duplicates("model").set_index("model")
    rows = []
    for model, score in runs.auroc.items():
        label = model if model in shorter else BASE
        base = shorter[label][0] if model in shorter else models[BASE][0]
        found = _auroc(look_up(base, published))
        if found is not None and np.isfinite(score):
            words = f"*{label}*, {_changed(models[model][0], base)}"
            rows.append((words, model, found, score, score - found))
    return pd.DataFrame(rows, columns=["change", "model", "base", "auroc", "gain"])


def changes_line(results: Results, published: bool = True) -> str:
    """Markdown: which changes gain how much, and how far the best is from counting 6-mers."""
    table, known = changes(results, published), held_against(of(results, PILOTS))
    if table.empty:
        return _untried(PILOTS)
    told = [
        f"{row.change}: {short(row.gain, '+.4f')}"
        for row in table.sort_values("gain", ascending=False).itertuples()
    ]
    best = table.loc[table.auroc.idxmax()]
    text = f"What each change gains in validation auROC, one seed each: {'; '.join(told)}."
    if score := known.get(COUNTED):
        side = "above" if best.auroc > score else "below"
        text += (
            f" The best, *{name_of(best.model)}*, reaches {short(best.auroc)}, "
            f"{short(abs(best.auroc - score))} {side} a {COUNTED} ({short(score)})."
        )
    return text


def _changed(spec: RunSpec, base: RunSpec) -> str:
    """In which settings a spec differs from another, in words; patience goes with the epochs."""
    names = [field.name for field in fields(spec) if field.name != "patience"]
    pairs = [(name, setting_of(spec, name), setting_of(base, name)) for name in names]
    return ", ".join(
        f"{name.replace('_', ' ')} {new:g} in place of {old:g}"
        for name, new, old in pairs
        if new != old
    )


def _auroc(record: Record | None) -> float | None:
    return None if record is None or record.diverged else float(record.result["valid"]["auroc"])


def _column(specs: Sequence[RunSpec], name: str) -> pd.Series:
    return pd.Series([setting_of(spec, name) for spec in specs])


def _thousands(values: pd.Series) -> str:
    return " or ".join(f"{value:,.0f}" for value in sorted(values.unique()))


def windows_table() -> pd.DataFrame:
    """Windows of genome-wide simulated accessibility by split, beside those of the paper."""
    known = _genome_wide()
    paper = {"train": f"{SimulatedAccessibility.of_paper:,}"}
    rows = [{"windows": "of the paper"} | dict.fromkeys(SPLITS, "not said") | paper]
    for entry in known:
        least, kept = int(entry["options"].get("min_motifs", 0)), entry["windows"]
        every = {split: kept[split] + _without_motifs(entry, split) for split in SPLITS}
        rows.append({"windows": "here, all"} | _written(every))
        if every != kept:
            rows.append({"windows": f"here, with at least {least} motif"} | _written(kept))
    return pd.DataFrame(rows)


def windows_line() -> str:
    """Markdown: why the genome-wide set has fewer windows than the paper's; empty if unknown."""
    known = _genome_wide()
    if not known:
        return ""
    entry = known[0]
    genome, left_out = entry["genome"], entry["left out"]
    held_out = sum(entry["windows"][s] + _without_motifs(entry, s) for s in SPLITS[1:])
    reasons = {
        f"lie {NO_SUMMITS}": left_out.get(NO_SUMMITS, 0),
        f"reach {OUTSIDE}": left_out.get(OUTSIDE, 0),
        "validate or test": held_out,
    }
    told = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    without = sum(_without_motifs(entry, split) for split in SPLITS)
    return (
        f"The paper tiles DNase peaks of Roadmap, it seems, which could not be had; ENCODE's "
        f"uniform peaks of the same cell types make {genome['windows']:,} windows in "
        f"{genome['regions']:,} open regions, "
        f"{genome['windows'] / genome['regions']:.1f} a region. Of these {', '.join(told)}. Of "
        f"those that are left, in all splits, {without:,} hold no motif: nothing is in them but "
        "background."
    )


def _genome_wide() -> list[dict[str, Any]]:
    """What is known of the data of the genome-wide experiment, if it was counted."""
    spec = load_size("converged", 1).experiments[ACCESSIBILITY].specs[0]
    options = SimulatedAccessibility(**spec.dataset_options).options
    entries = yardsticks().values()
    return [e for e in entries if e.get("options") == options and "windows" in e]


def _without_motifs(entry: dict[str, Any], split: str) -> int:
    least = entry["options"].get("min_motifs", 0)
    return int(entry["left out"].get(f"{split}: fewer than {least} motifs", 0))


def _written(counts: dict[str, int]) -> dict[str, str]:
    return {split: f"{count:,}" for split, count in counts.items()}


def composition_table() -> pd.DataFrame:
    """What counts of 2-mers alone tell of simulated accessibility, by windows and background."""
    rows = []
    for entry in yardsticks().values():
        if COMPOSITION in entry:
            options, scores = entry["options"], entry[COMPOSITION]
            everywhere = options["profile"] == "full"
            chain = options.get("background") == "chain"
            row = {
                "windows": "all of hg19" if everywhere else "four regions of hg19",
                "background": "one chain for all windows" if chain else "each window's, shuffled",
                "auROC by 2-mers, validation": short(scores["valid"]),
                "test": short(scores["test"]),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _share(score: float, ceiling: float) -> float:
    return (score - CHANCE) / (ceiling - CHANCE)


def sources(results: Results) -> pd.DataFrame:
    """`results.provenance` of the runs there are."""
    return provenance(results) if results.records else pd.DataFrame()
