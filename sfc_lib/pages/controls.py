"""Is it the separation? What a gain of the SFC layer may rest on, one control after the other.

The sizes `controls` and `controls_ctcf` train networks that differ from std, sep or symm in one
thing. This page never trains: it shows the runs that have a record, and says which have none.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.files import checkout, silenced
from sfc_lib.nn.architectures import ARCHITECTURES
from sfc_lib.pages import figure4_positional_weights as figure4
from sfc_lib.pages.claims import load_claims
from sfc_lib.pages.method import PAPER
from sfc_lib.pages.results import Results, best_model, cpu_minutes, provenance, yardsticks
from sfc_lib.pages.statistics import MIN_SEEDS, Compared, differences, shift
from sfc_lib.pages.style import (
    NARROW,
    SMALL,
    STYLE,
    closed,
    colour_of,
    folded,
    name_of,
    picture,
    plain_log,
    short,
    spread,
)
from sfc_lib.runs.sizes import Size, load_size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import look_up

VARIANTS = ("std", "sep", "symm")
FOREST = ("readouts", "readouts_ctcf", "initialisation", "constraint")  # what is drawn
TIMES = "benchmarks/readouts.json"  # in a checkout: what `benchmarks/readouts.py` measured
COLUMNS = ["model", "seed", "variant", "learning_rate", "auroc", "auprc"]  # where no run is
MEASURED = [field.name for field in dataclasses.fields(Compared)]
MARGIN = load_claims().metrics["auroc"].margin  # auROC: a smaller difference does not matter
EDGE = 0.02  # auROC: the figure shows differences up to this size, and writes larger ones
LATE = 0.25  # share of the epochs, at their end
FONT = 10  # points; figures of `WIDTH` inches keep it above 11 pixels on every page
WIDTH = 7.6
ALT = "Forest plot: auROC of each network minus that of std, and minus that of sep."
TICKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)  # of auROC on a logit scale

# By model: its name, and what it takes away from sep or adds to std.
NAMES = {
    "full_kernel": ("whole kernels, then Dense", "as many linear neurons as sep, not separated"),
    "bottleneck": ("linear bottleneck", "low rank without separation, std's parameters"),
    "fewer_channels": ("Dense, fewer channels", "symm's parameters by a 1 × 1 convolution"),
    "fewer_units": ("Dense, fewer neurons", "symm's parameters by a smaller Dense layer"),
    "average_pooling": ("average pooling", "no positions"),
    "max_pooling": ("max pooling", "no positions, no counts"),
    "attention": ("attention pooling", "positions by content, std's parameters"),
    "positive": ("SFC, positive W_pos", "positional weights are a mean"),
    "spline": ("SFC, spline W_pos", "8 numbers for all positions, smooth"),
    "relu": ("SFC, then ReLU", "no longer one linear map with the Dense layer"),
    "shuffled_sep": ("sep, positions shuffled", "no neighbours: sep should not care"),
    "shuffled_symm": ("symm, positions shuffled", "a symmetry that means nothing"),
    "small_start": ("std, sep's start", "Dense kernel as small at the start as sep's two layers"),
    "variance": ("sep, matched variance", "outer product with the variance of glorot_uniform"),
    "glorot": ("sep, glorot_uniform", "glorot_uniform on each of the two weights"),
    "normal": ("sep, small normal", "standard deviation .01"),
    "orthogonal": ("sep, orthogonal", "both weights orthogonal matrices"),
    "rank_one": ("sep, nearest to glorot", "best rank-one fits of a glorot_uniform kernel"),
    "low_reg": ("symm, CR 1", "curvature penalty 1"),
    "high_reg": ("symm, CR 10", "curvature penalty 10"),
    "cr_100": ("symm, CR 100", "curvature penalty 100"),
    "limit .1": ("symm, limit .1", "curvature constraint: second differences up to .1"),
    "limit .01": ("symm, limit .01", "curvature constraint: second differences up to .01"),
}
CAUSES = {  # by network: what else than separation may make the gain
    "fewer_channels": "fewer channels",
    "fewer_units": "fewer neurons behind",
    "full_kernel": "depth and multiplications",
    "bottleneck": "low rank",
    "small_start": "a small start",
    "attention": "attention",
    "average_pooling": "an average over positions",
    "max_pooling": "a maximum over positions",
}
OPEN, SAME = "Not to be told yet", "Of less effect than half of that gain is"
NO_BEST = "which value is best is not known yet"
OUTCOMES = {  # of `fate`, as the beginning of a sentence
    **dict.fromkeys(("reaches", "share"), "Without separation it comes with"),
    **{"lacks": "It does not come with", "open": OPEN},
}
SMOOTH = {"spline": "sep", "low_reg": "symm", "high_reg": "symm", "cr_100": "symm"}  # and without
# A sceptic's questions: the network asked about, and the one it is held against.
QUESTIONS = (
    ("Is sep ahead of std at all?", "sep", "std"),
    ("Is symm?", "symm", "std"),
    ("Parameters: do fewer neurons help std?", "fewer_units", "std"),
    ("Parameters: do fewer channels help std?", "fewer_channels", "std"),
    ("Depth, compute: do as many neurons with whole kernels help std?", "full_kernel", "std"),
    ("Rank: does a linear bottleneck help std?", "bottleneck", "std"),
    ("Start: does sep's small start help std?", "small_start", "std"),
    ("Separation: is sep ahead of whole kernels?", "sep", "full_kernel"),
    ("Separation: is sep ahead of a bottleneck?", "sep", "bottleneck"),
    ("Positions: is sep ahead of average pooling?", "sep", "average_pooling"),
    ("Positions: is sep ahead of attention?", "sep", "attention"),
    ("Neighbours: does sep lose by shuffled positions?", "sep", "shuffled_sep"),
    ("Neighbours: does symm lose by shuffled positions?", "symm", "shuffled_symm"),
    ("Smoothness: do splines help sep?", "spline", "sep"),
    ("Sign: do positive positional weights help sep?", "positive", "sep"),
    ("Linearity: does a ReLU behind it help sep?", "relu", "sep"),
)


@dataclass(frozen=True)
class Sweep:
    """A setting that an experiment tries several values of.

    `field` is that of `RunSpec`, `label` that of the axis.
    """

    field: str
    name: str
    label: str
    logarithmic: bool = True


SWEEPS = {
    "learning_rates": Sweep("learning_rate", "Learning rate", "learning rate"),
    "batch_sizes": Sweep("batch_size", "Batch", "sequences a batch"),
    "dropouts": Sweep("dropout", "Dropout", "share of hidden neurons dropped in training", False),
}


@dataclass(frozen=True, eq=False)
class Controls:
    """What the controls gave so far.

    Args:
        wanted: All runs of the size.
        results: Those that have a record, each once, though std, sep and symm stand in every
            experiment.
    """

    wanted: Size
    results: Results

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run."""
        return self.results.runs if self.results.records else pd.DataFrame(columns=COLUMNS)

    @property
    def specs(self) -> dict[str, RunSpec]:
        """The spec of each model's first seed, also of those that have no record."""
        models = [item.models for item in self.wanted.experiments.values()]
        return {label: specs[0] for part in models for label, specs in part.items()}

    def of(self, experiment: str) -> pd.DataFrame:
        """The runs of an experiment, model by model."""
        models = list(self.wanted.experiments[experiment].models)
        runs = self.runs[self.runs.model.isin(models)]
        return runs.sort_values("model", key=lambda m: m.map(models.index), kind="stable")

    def results_of(self, experiment: str) -> Results:
        """The runs of one experiment, those that stand in others too among them."""
        found = {record.spec: record for record in self.results.records}
        whole = self.wanted.experiments[experiment]
        kept = {m: tuple(s for s in specs if s in found) for m, specs in whole.models.items()}
        item = dataclasses.replace(whole, models={m: specs for m, specs in kept.items() if specs})
        size = dataclasses.replace(self.wanted, experiments={experiment: item})
        return Results(size, [found[spec] for spec in item.specs])


def load_controls(seeds: int = 0, published: bool = True, size: str = "controls") -> Controls:
    """The runs of a size of controls that have a record. Nothing is trained.

    Args:
        seeds: Number of seeds, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.
        size: `"controls"`, on simulated TF binding, or `"controls_ctcf"`.

    Raises:
        UserError: A bad number of seeds.
    """
    wanted = load_size(size, seeds)
    found = {s: record for s in wanted.specs if (record := look_up(s, published))}
    parts, seen = {}, set[str]()
    for name, item in wanted.experiments.items():
        models = {
            model: kept
            for model, specs in item.models.items()
            if model not in seen and (kept := tuple(s for s in specs if s in found))
        }
        seen.update(models)
        if models:
            parts[name] = dataclasses.replace(item, models=models)
    have = dataclasses.replace(wanted, experiments=parts)
    return Controls(wanted, Results(have, [found[spec] for spec in have.specs]))


def ahead(runs: pd.DataFrame, model: str, other: str) -> Compared:
    """How far a model is ahead of another in auROC, over pairs of the same seed.

    A run that diverged is worse than any, as in the claims. Without a pair all numbers are nan.

    Args:
        runs: As `Controls.runs`.
        model: Which is asked about.
        other: Which it is held against.
    """
    return shift(*paired_scores(runs, model, other))


def paired_scores(runs: pd.DataFrame, model: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Validation auROCs of two models, of the seeds that both have; −∞ where a run diverged."""
    known = runs[runs.model.isin([model, other])]
    known = known.assign(auroc=known.auroc.astype(float).fillna(-np.inf))
    both = known.pivot(index="seed", columns="model", values="auroc")
    both = both.reindex(columns=[model, other]).dropna()
    return both[model].to_numpy(float), both[other].to_numpy(float)


def gains(controls: Controls) -> pd.DataFrame:
    """How far each model of the forest plot is ahead of std and of sep.

    Columns: `experiment`, `model`, `against`, and those of `statistics.Compared`.
    """
    runs = controls.runs
    rows = [
        {"experiment": experiment, "model": model, "against": against}
        | vars(ahead(runs, model, against))
        for experiment, model in _listed(controls)
        for against in ("std", "sep")
        if model != against
    ]
    return pd.DataFrame(rows, columns=["experiment", "model", "against", *MEASURED])


def show_gains(controls: Controls, edge: float = EDGE) -> HTML | None:
    """`gain_panels` in a form for pages and one for phones; None where there is nothing to draw."""
    wide, narrow = gain_panels(controls, edge), gain_panels(controls, edge, NARROW)
    return HTML(picture(wide, ALT, narrow)) if wide and narrow else None


def gain_panels(controls: Controls, edge: float = EDGE, width: float = WIDTH) -> Figure | None:
    """Forest plot: each network's auROC minus that of std (left) and of sep (right).

    Small dots are pairs of one seed; the large one is the Hodges-Lehmann estimate, and its line
    the 95 % interval; it is hollow where fewer than six pairs leave no interval. Dotted lines are
    at ± `MARGIN`; what lies beyond `edge` stands at it, with its number. None where there is
    nothing to draw. On `width` inches up to `NARROW` names stand above their rows.
    """
    table, runs, specs = gains(controls), controls.runs, controls.specs
    models = list(dict.fromkeys(table.model))
    if not models:
        return None
    above = width <= NARROW
    with plt.rc_context({**STYLE, "font.size": SMALL if above else FONT}):
        size = (width, 1 + (0.4 if above else 0.27) * len(models))
        figure, panels = plt.subplots(1, 2, figsize=size, sharey=True, squeeze=False)
        for axes, against in zip(panels[0], ("std", "sep"), strict=True):
            part = table[table.against == against]
            for row in part.itertuples():
                between = differences(*paired_scores(runs, row.model, against))
                colour = colour_of(specs[row.model].variant)
                _row(axes, models.index(row.model), row, between, colour, edge)
            _reference(axes, against, part, models, edge)
        names = [_named(controls, model) for model in models]
        panels[0, 0].set_yticks(range(len(models)), [] if above else names)
        panels[0, 0].set_ylim(len(models) - 0.4, -0.8 if above else -0.6)
        for place, name in enumerate(names if above else []):
            white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            panels[0, 0].text(-edge, place - 0.45, name, va="center", bbox=white, zorder=3)
        for axes in panels[0] if above else ():
            axes.set_xlabel(axes.get_xlabel().replace(" minus ", " minus\n"))
        figure.tight_layout()
    return closed(figure)


def network_table(controls: Controls, experiment: str) -> pd.DataFrame:
    """What each network of an experiment costs and reaches; numbers formatted.

    Parameters and multiplications a sequence are those of the network; times of an epoch are
    those of `epoch_times`; scores are those of the best epoch, on the validation set but for one
    column.
    """
    rows, times = [], epoch_times(controls, experiment)
    for model, runs in controls.of(experiment).groupby("model", sort=False):
        parameters, products = cost(controls.specs[model])
        rows.append(
            {
                "network": ": ".join(NAMES.get(model, (model, "as in the paper"))),
                "parameters": f"{parameters:,}",
                "multiplications, millions": f"{products / 1e6:.2f}",
                "time of an epoch, relative to std": f"{times[model]:.1f}"
                if model in times
                else "–",
                "auROC: median (min – max)": spread(runs.auroc, short),
                "auPRC: median": short(runs.auprc.median()),
                "test set's auROC: median": short(runs.test_auroc.median()),
                "seeds (diverged)": f"{len(runs)} ({runs.diverged.sum()})",
            }
        )
    return pd.DataFrame(rows)


def networks(controls: Controls, experiment: str) -> HTML | Markdown:
    """`network_table`, folded, where a network but std, sep and symm has a run, else `untried`."""
    if not set(controls.of(experiment).model) - set(VARIANTS):
        return untried(experiment, controls.wanted.name)
    title = f"What each network costs and reaches ({chance(controls.of(experiment))})"
    return folded(title, network_table(controls, experiment))


def chance(runs: pd.DataFrame) -> str:
    """In words what guessing scores on the validation set of some runs, all on the same data.

    Of auPRC that is the share of positives, told where `results.yardsticks` know it.
    """
    positives = yardsticks().get(runs.fingerprint.iat[0], {}).get("positives", {})
    share = f", auPRC {short(positives['valid'], '.3f')}" if "valid" in positives else ""
    return f"chance: auROC {short(0.5, 'g')}{share}"


def untried(experiment: str, size: str = "controls") -> Markdown:
    """Says that an experiment has no run yet, and what trains it."""
    return Markdown(f"*Not trained yet: `sfc sweep {size} --only {experiment}`.*")


def data_sizes(controls: Controls) -> pd.DataFrame:
    """The runs of the experiment on fewer sequences, with `sequences` that they were trained on."""
    runs = controls.of("data_size")
    count = {m: s.train_samples or _all_sequences(s) for m, s in controls.specs.items()}
    return runs.assign(sequences=runs.model.map(count))


def fewer_sequences(controls: Controls) -> pd.DataFrame:
    """How the variants compare at each number of training sequences but all, from the fewest.

    Columns: `sequences`, `model`, `against`, `found`.
    """
    rows = []
    table = data_sizes(controls)
    fewer = table[table.sequences < table.sequences.max()]
    for count, part in fewer.groupby("sequences"):
        names = part.drop_duplicates("variant").set_index("variant").model
        for variant, other in (("sep", "std"), ("symm", "std"), ("symm", "sep")):
            if {variant, other} <= set(names.index):
                model, against = names[variant], names[other]
                found = ahead(controls.runs, model, against)
                what = {"sequences": count, "model": model, "against": against}
                rows.append({**what, "found": found})
    return pd.DataFrame(rows, columns=["sequences", "model", "against", "found"])


def fewer_sequences_line(controls: Controls) -> str:
    """Markdown list: what the comparisons of `fewer_sequences` that can decide say."""
    table = fewer_sequences(controls)
    lines = []
    for count, part in table.groupby("sequences"):
        told = [
            f"is *{row.model}* ahead of *{row.against}*? {answer(row.found)}: {interval(row.found)}"
            for row in part.itertuples()
            if row.found.seeds >= MIN_SEEDS
        ]
        lines += [f"- **{count:,} sequences**: {'; '.join(told)}."] if told else []
    return "\n".join(lines)


def data_size_plot(controls: Controls) -> Figure | None:
    """Validation auROC against training sequences; None where only one number was tried."""
    table = data_sizes(controls)
    if table.sequences.nunique() < 2:
        return None
    with plt.rc_context({**STYLE, "font.size": FONT}):
        figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
        _lines(axes, table, "sequences")
        axes.set_xlabel("training sequences")
        _numbered(axes, table, "sequences")
        figure.tight_layout()
    return closed(figure)


def swept(controls: Controls, experiment: str) -> pd.DataFrame:
    """The runs of one of `SWEEPS`, with the `value` of its setting; none where one was tried."""
    runs = controls.of(experiment)
    own = {
        model: float(setting_of(spec, SWEEPS[experiment].field))
        for model, spec in controls.specs.items()
    }
    runs = runs.assign(value=runs.model.map(own))
    return runs if runs.value.nunique() > 1 else runs[:0]


def setting_of(spec: RunSpec, field: str) -> Any:
    """A setting of a run; where it is the architecture's own, that."""
    value = getattr(spec, field)
    return getattr(ARCHITECTURES[spec.architecture], field, None) if value is None else value


def best_of(controls: Controls, experiment: str = "learning_rates") -> dict[str, str]:
    """The model of each variant at the value of a setting that has its best median auROC.

    Variants whose best `results.best_model` does not know are left out.
    """
    found = {v: best_model(runs) for v, runs in swept(controls, experiment).groupby("variant")}
    return {variant: found[variant] for variant in VARIANTS if found.get(variant)}


def each_at_best(controls: Controls, experiment: str, variant: str = "sep") -> Compared:
    """How far a variant is ahead of std, each at its own best setting; no seeds if not known."""
    best = best_of(controls, experiment)
    if not {variant, "std"} <= set(best):
        return shift(*np.empty((2, 0)))
    return ahead(controls.runs, best[variant], best["std"])


def sweep_plot(controls: Controls, experiment: str = "learning_rates") -> Figure | None:
    """Validation auROC against a setting, each variant's best with a star; None without others."""
    runs, best = swept(controls, experiment), best_of(controls, experiment)
    if runs.empty:
        return None
    with plt.rc_context({**STYLE, "font.size": FONT}):
        figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
        _lines(axes, runs, "value", SWEEPS[experiment].logarithmic)
        for smaller, (variant, model) in enumerate(best.items()):  # so that none hides another
            own = runs[runs.model == model]
            axes.plot(
                own.value.iat[0],
                own.auroc.median(),
                marker="*",
                markersize=21 - 5 * smaller,
                color=colour_of(variant),
                markeredgecolor="black",
                zorder=4,
            )
        axes.set_xlabel(SWEEPS[experiment].label)
        _numbered(axes, runs, "value")
        figure.tight_layout()
    return closed(figure)


def smooth_weights(controls: Controls) -> Figure | None:
    """`W_pos` as in Figure 4 at each curvature penalty and constraint; None where just one has any.

    Rows are neurons, normalised and sorted by cluster.
    """
    results = controls.results_of("constraint")
    if not results.records or len(figure4.shown(results)) < 2:
        return None
    return figure4.weight_panels(results)


def unfinished(controls: Controls) -> str:
    """Markdown: at which rates runs ended with their last epoch; empty where none was tried."""
    runs = swept(controls, "learning_rates")
    if runs.empty:
        return ""
    ended = runs[runs.epochs == runs.most_epochs]
    if ended.empty:
        return "Every run stopped because it got no better, not because its epochs were over."
    counts = ended.groupby("model", sort=False).size()
    listed = ", ".join(f"{model} ({count})" for model, count in counts.items())
    return f"Runs that were still getting better when their epochs were over: {listed}."


def speed_line(controls: Controls, experiment: str) -> str:
    """Markdown: how many runs of an experiment were best at the end of their epochs, and so unripe.

    Empty where there is no run.
    """
    runs = controls.of(experiment)
    if runs.empty:
        return ""
    late = (runs.best_epoch > (1 - LATE) * runs.most_epochs).sum()
    return (
        f"No run trains for more than {runs.most_epochs.max()} epochs, and {late} of {len(runs)} "
        f"were best in the last {LATE:.0%} of theirs: these scores tell **how fast a network "
        "learns as much as how far**."
    )


def answers(controls: Controls) -> pd.DataFrame:
    """Each question of `QUESTIONS` with its comparison; then those of the learning rate.

    Columns: question, answer, difference [95 % interval], seeds, compared.
    """
    runs = controls.runs
    rows = [
        _asked(question, f"{label(model)} − {label(other)}", ahead(runs, model, other))
        for question, model, other in QUESTIONS
    ]
    for experiment, setting in SWEEPS.items():
        best = best_of(controls, experiment)
        for variant in ("sep", "symm") if len(swept(controls, experiment)) else ():
            question = f"{setting.name}: is {variant} ahead of std, each at its own best?"
            found = each_at_best(controls, experiment, variant)
            pair = " − ".join(label(best[v]) for v in (variant, "std")) if found.seeds else NO_BEST
            rows.append(_asked(question, pair, found))
    return pd.DataFrame(rows)


def _asked(question: str, pair: str, found: Compared) -> dict[str, Any]:
    return {
        "question": question,
        "answer": "too few seeds" if pair == NO_BEST else answer(found),
        "difference [95 % interval]": interval(found),
        "seeds": found.seeds,
        "compared": pair,
    }


def answer(found: Compared) -> str:
    """What an interval says, in words: ahead, behind, no difference that matters, or nothing.

    Example:

    >>> answer(shift(np.arange(0.001, 0.008, 0.001), np.zeros(7)))
    'yes'
    """
    if not np.isfinite(found.low):
        return "too few seeds" if found.seeds else "not tried yet"
    if found.low > 0:
        return "yes" if found.high > MARGIN else "yes, but too little to matter"
    if found.high < 0:
        return "no, it is behind" if found.low < -MARGIN else "no, a little behind"
    return "no difference that matters" if _within(found) else "the seeds do not tell"


def coverage(controls: Controls) -> str:
    """Markdown: how many runs have a record, what they took, and what trains the others."""
    wanted, have = set(controls.wanted.specs), {r.spec for r in controls.results.records}
    text = f"**{len(have)} of {len(wanted)} runs** of the size {controls.wanted.name} have a record"
    if have:
        text += f"; they took {cpu_minutes(controls.runs):.0f} CPU minutes to train"
    name = controls.wanted.name
    return f"{text}." + ("" if have == wanted else f" `sfc sweep {name}` trains the others.")


def missing(controls: Controls) -> pd.DataFrame:
    """Which networks lack runs: one row an experiment that is not complete."""
    seeds = controls.runs.groupby("model").size()
    rows = []
    for item in controls.wanted.experiments.values():
        have = {model: int(seeds.get(model, 0)) for model in item.models}
        row = {
            "experiment": item.title,
            "no run yet": "; ".join(label(m) for m, count in have.items() if not count),
            f"fewer than {item.seeds} seeds": "; ".join(
                f"{label(m)} ({count})" for m, count in have.items() if 0 < count < item.seeds
            ),
        }
        if min(have.values()) < item.seeds:
            rows.append(row)
    return pd.DataFrame(rows)


def conclusion(controls: Controls) -> str:
    """Markdown: what sep's gain over std is made of, as far as the runs tell; a list of findings.

    Where its interval and that of another network's gain are above 0, the share is told that std
    has by it.
    """
    gain = ahead(controls.runs, "sep", "std")
    if not np.isfinite(gain.low):
        return (
            f"Whether *sep* is ahead of *std* cannot be told yet: {gain.seeds} pairs of runs are "
            f"there, and it takes {MIN_SEEDS}."
        )
    if gain.low <= 0:
        some = (
            "whether there is a gain to explain is open"
            if gain.high > MARGIN
            else "there is no gain that matters"
        )
        return f"*sep* is not shown to be ahead of *std*, {interval(gain)} auROC: {some}."
    small = f", less than the smallest effect of interest, {short(MARGIN, 'g')}"
    told = f"{interval(gain)} auROC{small if gain.effect < MARGIN else ''}"
    first = f"*sep* is ahead of *std* by {told}. {_equals(controls, gain)}\n"
    return "\n".join([first, *_listed_findings(controls, gain)])


def _listed_findings(controls: Controls, gain: Compared) -> list[str]:
    """Markdown list of `_findings`, one line an outcome; what is open comes last."""
    groups: dict[str, dict[str, list[str]]] = {}
    for outcome, cause, told in _findings(controls, gain):
        groups.setdefault(outcome, {}).setdefault(cause, []).append(told)
    lines = []
    for outcome in sorted(groups, key=lambda outcome: outcome == OPEN):
        causes = [f"{cause} ({', '.join(told)})" for cause, told in groups[outcome].items()]
        lines.append(f"- **{outcome}**: {'; '.join(causes)}.")
    return lines


def fate(controls: Controls, model: str, gain: Compared) -> str:
    """How a network fares beside sep, as far as the intervals tell, given sep's gain over std.

    It `"reaches"` sep if it is less than half of the gain behind; has a `"share"` if it is ahead
    of std all the same; `"lacks"` the gain if neither, and more than half of it behind. All else
    is `"open"`.
    """
    std, sep = (ahead(controls.runs, model, other) for other in ("std", "sep"))
    if not (np.isfinite(std.low) and np.isfinite(sep.low)):
        return "open"
    if sep.low > -gain.effect / 2:
        return "reaches"
    if std.low > 0:
        return "share"
    return "lacks" if sep.high < -gain.effect / 2 else "open"


def _equals(controls: Controls, gain: Compared) -> str:
    """A sentence on the layers of no more parameters than std has: whether one is as good."""
    whole, _ = cost(controls.specs["std"])
    shares = {
        model: cost(spec)[0] / whole
        for model, spec in controls.specs.items()
        if spec.variant == "std" and spec.readout
    }
    groups: dict[str, list[str]] = {}
    for model, share in shares.items():
        if share <= 1:
            told = f"*{label(model)}* ({share:.0%} of *std*'s parameters)"
            groups.setdefault(fate(controls, model, gain), []).append(told)
    if equal := groups.get("reaches"):
        return (
            "**Separation is not needed for it**: of other layers with no more parameters than "
            "*std* these are ahead of *sep*, or behind by less than half of that gain: "
            f"{'; '.join(equal)}."
        )
    if some := groups.get("share"):
        return (
            "**Part of it needs no separation**: of other layers with no more parameters than "
            f"*std* these are ahead of *std*: {'; '.join(some)}."
        )
    if set(groups) == {"lacks"}:
        return (
            "**No other layer** with no more parameters than *std* has it: that speaks for "
            "separation."
        )
    without = f"; these lack it: {'; '.join(groups['lacks'])}" if "lacks" in groups else ""
    return (
        "**Whether separation is needed for it is open**: no other layer is known to do as "
        f"well{without}."
    )


def _findings(controls: Controls, gain: Compared) -> Iterator[tuple[str, str, str]]:
    """Of each thing that may make the gain how it came out, what it is, and the numbers."""
    for model, cause in CAUSES.items():
        if model in controls.specs:
            found, came_out = ahead(controls.runs, model, "std"), fate(controls, model, gain)
            told = f"*{label(model)}* {_tried(found)}{_share(found, gain)}"
            if came_out == "reaches" and found.low <= 0:
                told += f", level with *sep*: {interval(ahead(controls.runs, model, 'sep'))}"
            yield OUTCOMES[came_out], cause, told
    for model, plain in SMOOTH.items():
        if model in controls.specs:
            found = ahead(controls.runs, model, plain)
            told = f"*{label(model)}* {_tried(found)} against *{plain}*"
            yield _smoothness(found, gain), "smoothness", told
    for experiment, setting in SWEEPS.items():
        if experiment in controls.wanted.experiments:
            found = each_at_best(controls, experiment)
            unknown = "not tried" if swept(controls, experiment).empty else NO_BEST
            told = interval(found) if found.seeds else unknown
            yield _left(found, gain), setting.name.lower(), told


def _smoothness(found: Compared, gain: Compared) -> str:
    """How smoother positional weights came out against the same network without."""
    if np.isfinite(found.low):
        if found.low > 0:
            return "The score rises with"
        if found.high < 0:
            return "The score falls with"
        if max(-found.low, found.high) < gain.effect / 2:
            return SAME
    return OPEN


def _left(found: Compared, gain: Compared) -> str:
    """What is left of sep's gain over std where each has its own best setting."""
    if np.isfinite(found.low):
        if found.low > 0:
            return "With each at its own best sep stays ahead"
        if found.high < gain.effect / 2:
            return "With each at its own best less than half of it is left"
    return OPEN


def _tried(found: Compared) -> str:
    return interval(found) if found.seeds else "not tried"


def label(model: str) -> str:
    """A model's name on this page."""
    return NAMES[model][0] if model in NAMES else model


def sources(controls: Controls) -> pd.DataFrame:
    """What the numbers rest on, as `results.provenance`; no rows where there is no run."""
    return provenance(controls.results) if controls.results.records else pd.DataFrame()


def notes(parts: Mapping[str, Controls]) -> list[HTML]:
    """Of controls by the name of their data: which networks lack runs, and `sources`, folded."""
    tables = [
        (f"{title}, {name}", table(controls))
        for name, controls in parts.items()
        for title, table in (("Networks that lack runs", missing), ("Provenance", sources))
    ]
    return [folded(title, table) for title, table in tables if len(table)]


@cache
def cost(spec: RunSpec) -> tuple[int, int]:
    """Parameters of a spec's network, and the multiplications by which it predicts one sequence."""
    with silenced():  # TensorFlow prints on import
        from sfc_lib.nn.readouts import multiplications
        from sfc_lib.runs.training import network

    length, tasks, _ = PAPER[spec.architecture]  # no dataset is needed
    model = network(spec, length, tasks)
    return model.count_params(), multiplications(model)


def timed_as(spec: RunSpec) -> str:
    """The name of a network in `TIMES`: what of a spec decides the time of an epoch.

    Example:

    >>> timed_as(RunSpec(variant="symm", readout="shuffled", curvature=10.0, initializer="normal"))
    'simulated_tf symm shuffled CR'
    """
    more = {"CR": spec.curvature > 0, "limit": spec.limit is not None}
    parts = [spec.architecture, spec.variant, spec.readout, *(n for n, has in more.items() if has)]
    return " ".join(filter(None, parts))


def epoch_times(controls: Controls, experiment: str) -> dict[str, float]:
    """Time of an epoch by model, relative to that of std, as `benchmarks/readouts.py` measured it.

    Those that are not measured are left out.
    """
    path = (checkout() or Path()) / TIMES
    known = json.loads(path.read_text())["cpu_seconds_of_an_epoch"] if path.is_file() else {}
    specs = {
        model: controls.specs[model] for model in controls.wanted.experiments[experiment].models
    }
    found = {model: known.get(timed_as(spec)) for model, spec in specs.items()}
    return {model: t / found["std"] for model, t in found.items() if t and found.get("std")}


def _listed(controls: Controls) -> list[tuple[str, str]]:
    """Experiment and model of the forest plot's rows, from top to bottom."""
    runs = controls.runs
    have = {} if runs.empty else dict(zip(runs.model, runs.experiment, strict=True))
    return [(experiment, model) for model, experiment in have.items() if experiment in FOREST]


def _named(controls: Controls, model: str) -> str:
    return f"{label(model)}, n = {(controls.runs.model == model).sum()}"


def _row(axes: Axes, place: int, row: Any, between: np.ndarray, colour: str, edge: float) -> None:
    """One network: dots of pairs, the estimate and its interval; a number where it is far off."""
    shown = between[np.abs(between) <= edge]
    axes.plot(shown, [place] * len(shown), ".", color=colour, alpha=0.35, markersize=5)
    if row.seeds == 0:
        return
    if abs(row.effect) > edge:
        side = np.sign(row.effect)
        text = f"{'◂ ' if side < 0 else ''}{_signed(row.effect)}{' ▸' if side > 0 else ''}"
        axes.text(side * edge, place, text, ha="left" if side < 0 else "right", va="center",
                  color=colour)  # fmt: skip
        return
    if known := bool(np.isfinite(row.low)):
        ends = np.clip([row.low, row.high], -edge, edge)
        axes.plot(ends, [place] * 2, color=colour, linewidth=2.2)
    fill, rim = (colour, "black") if known else ("white", colour)
    axes.plot(row.effect, place, "o", color=fill, markeredgecolor=rim, markersize=7)


def _reference(
    axes: Axes, against: str, table: pd.DataFrame, models: Sequence[str], edge: float
) -> None:
    """Lines at 0 and at the margin, faint lines between experiments, and the axis."""
    axes.axvline(0, color="black", linewidth=0.8, zorder=0)
    for margin in (-MARGIN, MARGIN):
        axes.axvline(margin, color="black", linewidth=0.8, linestyle=":", zorder=0)
    firsts = table.drop_duplicates("experiment").model
    for first in firsts.iloc[1:]:
        axes.axhline(models.index(first) - 0.5, color="#d0d7de", linewidth=0.8, zorder=0)
    axes.set(xlim=(-1.08 * edge, 1.08 * edge), xlabel=f"auROC minus that of {against}")
    ticks = (-edge / 2, 0, edge / 2)
    axes.set_xticks(ticks, [short(tick, "g") for tick in ticks])
    axes.tick_params(axis="y", length=0)


def _lines(axes: Axes, runs: pd.DataFrame, x: str, logarithmic: bool = True) -> None:
    """A line to the medians of each variant with its range, and a dot a run."""
    colours = {v: colour_of(v) for v in VARIANTS if v in set(runs.variant)}
    shared = {"x": x, "y": "auroc", "hue": "variant", "palette": colours, "ax": axes}
    sns.lineplot(
        runs,
        estimator="median",
        errorbar=("pi", 100),
        err_kws={"alpha": 0.15, "linewidth": 0},
        linewidth=2.2,
        hue_order=list(colours),
        **shared,
    )
    sns.scatterplot(runs, s=16, alpha=0.6, legend=False, **shared)
    if logarithmic:
        plain_log(axes, "x")
    _spread_near_one(axes)
    axes.minorticks_off()
    axes.set(ylabel="validation auROC, mean of tasks\n(logit scale)")
    handles, variants = axes.get_legend_handles_labels()
    axes.legend(handles, [name_of(v) for v in variants], title=None)


def _numbered(axes: Axes, runs: pd.DataFrame, x: str) -> None:
    """A tick at each value that was tried, with the fewest and the most seeds of a variant."""
    seeds = runs.groupby([x, "variant"]).size().groupby(x).agg(["min", "max"])
    labels = [
        f"{value:g}\nn = {n['min']}" + (f"–{n['max']}" if n["max"] > n["min"] else "")
        for value, n in seeds.iterrows()
    ]
    axes.set_xticks(list(seeds.index), labels)


def _spread_near_one(axes: Axes) -> None:
    """The logit of auROC upwards: one that fell to chance would press all others into a line."""
    axes.set_yscale("logit", nonpositive="clip")
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high])
    axes.yaxis.set_major_formatter("{x:g}")


def _all_sequences(spec: RunSpec) -> int:
    return len(spec.load_dataset().train)


def _share(found: Compared, gain: Compared) -> str:
    both = all(np.isfinite(one.low) and one.low > 0 for one in (gain, found))
    return f", {found.effect / gain.effect:.0%} of that gain" if both else ""


def _within(found: Compared) -> bool:
    return found.low > -MARGIN and found.high < MARGIN


def interval(found: Compared) -> str:
    """A difference with its 95 % interval, as text."""
    if not found.seeds:
        return "–"
    if not np.isfinite(found.low):
        return f"{_signed(found.effect)} [too few seeds]"
    return f"{_signed(found.effect)} [{_signed(found.low)}, {_signed(found.high)}]"


def _signed(value: float) -> str:
    return short(value, "+.4f")
