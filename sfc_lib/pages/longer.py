"""Trained longer: what networks reach that learn until they get no better, and what holds them.

The size `standard` trains ChIP-seq networks for few epochs, and accessibility networks on data
of which little can be learnt. Here stand the runs of `converged` and `pilots` that are finished;
nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.pages.controls import interval
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
from sfc_lib.pages.statistics import Compared, shift
from sfc_lib.pages.style import (
    PAGE,
    STYLE,
    closed,
    colour_of,
    name_of,
    short,
    spread,
)
from sfc_lib.runs.sizes import load_size

PAIRS = (("sep", "std"), ("symm", "std"))
CHIP, ACCESSIBILITY, PILOTS = "chip_seq", "accessibility_learnable", "hematopoiesis_pilot"
NONE = pd.DataFrame(columns=["experiment", "dataset", "model"])  # runs, where none is finished
COMPOSITION, CEILING = "2-mer regression", "ceiling"


def load_longer(seeds: int = 0, published: bool = True) -> Results:
    """The finished runs of the sizes `converged` and `pilots`.

    Args:
        seeds: The most seeds of a model, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.

    Raises:
        UserError: A bad number of seeds.
    """
    sizes = [load_finished("converged", seeds, published), load_finished("pilots", 0, published)]
    return together(sizes)


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


def gap_figure(results: Results) -> Figure | None:
    """ChIP-seq: by how much each SFC network is ahead of std, by epoch.

    Of the best validation auROC so far. Thin lines are seeds, thick ones their median; the
    dotted line is where the size `standard` stops. None where no run is finished.
    """
    parts = chip_seq(results)
    if not parts:
        return None
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            1, len(parts), figsize=(PAGE, 3.1), squeeze=False, layout="constrained"
        )
        for axes, runs in zip(panels[0], parts, strict=True):
            _gaps(axes, results, runs)
        panels[0, 0].set_ylabel("auROC ahead of std, best so far")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return closed(figure)


def _gaps(axes: Axes, results: Results, runs: pd.DataFrame) -> None:
    so_far = best_so_far(results, runs.experiment.iat[0])
    for model, other in PAIRS:
        lines, colour = gap(so_far, model, other), colour_of(model)
        axes.plot(lines.index, lines, color=colour, linewidth=0.6, alpha=0.5)
        median = lines.median(axis=1)
        axes.plot(median.index, median, color=colour, linewidth=2.2, label=name_of(model))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(early(), color="black", linewidth=0.8, linestyle=":", label="end of standard")
    last = so_far.iloc[early() // 2 :]
    shown = np.concatenate([gap(last, *pair).to_numpy().ravel() for pair in PAIRS])
    room = 0.1 * (np.nanmax(shown) - np.nanmin(shown)) or 0.01
    axes.set_ylim(min(0.0, np.nanmin(shown)) - room, max(0.0, np.nanmax(shown)) + room)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"{_factor(runs)}, {_seeds(runs.seeds.iat[0])}"
    axes.set(title=title, xlabel="epoch", xlim=(1, so_far.index.max()))


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
    return " ".join(told) or "No ChIP-seq network has been trained to its end yet."


def _then_and_now(
    results: Results,
) -> Iterator[tuple[pd.DataFrame, tuple[str, str], Compared, Compared]]:
    """Of each factor and pair: its runs, the models, and how they compare then and at the end."""
    for runs in chip_seq(results):
        so_far = best_so_far(results, runs.experiment.iat[0])
        for model, other in PAIRS:
            seeds = gap(so_far, model, other).columns
            then, now = (
                shift(*(row[name][seeds].to_numpy(float) for name in (model, other)))
                for row in (so_far.loc[min(early(), so_far.index[-1])], so_far.iloc[-1])
            )
            yield runs, (model, other), then, now


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
    """What each network of an experiment reached, and how much of the way from chance that is.

    The way leads from chance to the ceiling where one is known; a network's is that of its
    median seed.
    """
    runs = of(results, experiment)
    known = held_against(runs)
    rows = []
    for model, own in runs.groupby("model", sort=False):
        row = {
            "model": name_of(model),
            "auROC: median (min – max)": spread(own.auroc, short),
            "test set": short(own.test_auroc.median()),
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
        return "No network has been trained longer on these data yet."
    medians = runs.groupby("model", sort=False).auroc.median()
    best, score = str(medians.idxmax()), float(medians.max())
    text = f"The best network, *{name_of(best)}*, reaches a median auROC of {short(score)}"
    told = [f"{what}: {short(value)}" for what, value in held_against(runs).items()]
    text += f" ({'; '.join(told)})." if told else "."
    if ceiling := held_against(runs).get(CEILING):
        text += f" That is {_share(score, ceiling):.0%} of the way from chance to the ceiling."
    return text


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
