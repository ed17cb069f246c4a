"""The paper's claims, judged by run records.

A claim is a sentence of the paper, from `claims.toml`; a comparison of two models on one
experiment is evidence for it. A comparison comes out as

- *supported* or *contradicted*: the models differ in the claim's or the opposite direction,
  by a two-sided test over seeds (`statistics.shift`), adjusted by Benjamini and Hochberg;
- *no difference*: not so, and the 95 % interval lies within the smallest effect of interest;
- *undecided*: neither; fewer than six seeds never decide;
- *not measurable*: a number of an importance profile in which noise exceeds signal;
- *confounded*: the models differ in more than the claim is about, so it says nothing.

The last two carry no verdict. The others make that of the claim: `statistics.conclude`.
"""

from __future__ import annotations

import html
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from sfc_lib.files import checkout
from sfc_lib.pages import figure2_learning_curves, figure3_importance, figure4_positional_weights
from sfc_lib.pages.results import Results, best_model, by_experiment
from sfc_lib.pages.statistics import (
    CONCLUSIONS,
    FEW,
    MIN_SEEDS,
    VERDICTS,
    Adjust,
    compare,
    conclude,
    differences,
    settle,
)
from sfc_lib.pages.style import chip, same_data, short, short_data, show

CLAIMS_FILE = Path(__file__).with_name("claims.toml")
ANY = "any data but controls"
DECIDED = ("supported", "contradicted")
CHANCE = {"auroc": 0.5}  # by metric: what guessing scores, "chance" among models
EXACT, FLOAT32 = 1e-9, 1e-5  # of equal results, in float64 and in float32

TERMINAL = 80  # characters of a terminal
# Of a spec, what two models of a fair comparison share; not which readout they have.
SHARED = (
    *("dataset", "dataset_options", "architecture", "width", "dropout", "learning_rate"),
    *("batch_size", "most_epochs", "samples_per_epoch", "valid_samples", "patience"),
    *("class_weight", "train_samples", "backend", "precision"),
)
GRADE = (
    *("claim", "figure", "experiment", "data", "metric", "asks", "favoured", "other", "seeds"),
    *("favoured_value", "other_value", "effect", "low", "high", "p", "p_adjusted"),
    *("probability", "margin", "power", "confounded", "verdict"),
)


@dataclass(frozen=True)
class Metric:
    """What is compared: its name, which values are better, and the smallest effect of interest."""

    name: str
    better: str
    margin: float
    relative: bool = False


@dataclass(frozen=True)
class Comparison:
    """Evidence for a claim: two models, compared by metrics on every experiment with both."""

    metrics: tuple[str, ...]
    models: tuple[str, str]
    data: tuple[str, ...] = ()
    varies: tuple[str, ...] = ()
    asks: str = "better"

    def concerns(self, runs: pd.DataFrame) -> bool:
        """Whether an experiment's runs have both models, on data that this is about."""
        about = {runs.experiment.iat[0]}
        if not runs.control.iat[0]:
            about |= {runs.dataset.iat[0], ANY}
        needed = {name for model in self.models for name in re.split(r"\|| - ", model)} - {"chance"}
        return bool(about & set(self.data or [ANY])) and needed <= set(runs.model)


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and the comparisons or the arithmetic that judge it."""

    id: str
    figure: int
    short: str
    says: str
    source: str
    comparisons: tuple[Comparison, ...] = ()
    arithmetic: str = ""
    why: str = "no run of this size is about it"


@dataclass(frozen=True)
class Claims:
    """What `claims.toml` holds."""

    claims: tuple[Claim, ...]
    metrics: dict[str, Metric] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """The metric that a comparison names."""
        key = "epochs" if name.startswith("epochs ") else name.removeprefix("centred ")
        return self.metrics[key]

    def words(self, name: str) -> str:
        """A metric as readers know it, such as auROC, epochs to .80, centred roughness."""
        if name.startswith("epochs "):
            return name
        about = self.metrics.get(name.removeprefix("centred "))
        return name if about is None else ("centred " * name.startswith("centred ")) + about.name


@cache
def load_claims() -> Claims:
    """All claims and metrics."""
    with open(CLAIMS_FILE, "rb") as file:
        content = tomllib.load(file)
    claims = [
        Claim(**table | {"comparisons": tuple(map(_comparison, table.get("comparisons", [])))})
        for table in content["claims"]
    ]
    return Claims(tuple(claims), {k: Metric(**v) for k, v in content["metrics"].items()})


def grade(
    results: Results, figure: int | None = None, adjust: Adjust | None = None
) -> pd.DataFrame:
    """Every comparison of a figure's claims, or of all; `adjust` is that of `statistics.settle`.

    Returns:
        One row a comparison: the id of its `claim`, `figure`, `experiment` and its `data` in
        words, `metric`, what it `asks`; the model `favoured` by the paper and the `other`;
        the `seeds` that both have; their medians `favoured_value` and `other_value`; `effect`,
        how far the favoured is ahead, with its 95 % interval `low` to `high`; two-sided `p` and
        `p_adjusted`; the `probability` that a run of the favoured beats one of the other;
        `margin`, the smallest effect of interest, and the `power` to find it; what the
        models differ in besides (`confounded`, empty if fair); `verdict`, of `VERDICTS`.
    """
    rows = []
    for claim in load_claims().claims:
        if figure in (None, claim.figure):
            rows += _graded(claim, results, adjust)
    return pd.DataFrame(rows, columns=list(GRADE))


def judge(grades: pd.DataFrame, figure: int | None = None) -> pd.DataFrame:
    """The claims, or those of a figure: columns of `Claim`, and `verdict`, of `CONCLUSIONS`."""
    rows = [
        {
            **{name: getattr(claim, name) for name in ("id", "figure", "short", "says")},
            **{"source": claim.source, "why": claim.why},
            "verdict": conclude_on(grades[grades.claim == claim.id]),
        }
        for claim in load_claims().claims
        if figure in (None, claim.figure)
    ]
    return pd.DataFrame(rows)


def conclude_on(grades: pd.DataFrame) -> str:
    """The verdict that comparisons of one claim make.

    Those of too few seeds have no voice where others on the same data have one.
    """
    few = (grades.seeds < MIN_SEEDS) & (grades.asks != "exact")
    data = grades["data"].map(same_data)
    return conclude(grades.verdict.mask(few & data.isin(data[~few]), FEW))


def verdict_line(grades: pd.DataFrame, figure: int) -> str:
    """One Markdown sentence for the top of a figure's page: its claims by verdict."""
    judged = judge(grades, figure)
    names = judged.groupby("verdict").short.agg("; ".join)
    parts = [f"**{v.capitalize()}**: {names[v]}." for v in CONCLUSIONS if v in names]
    return " ".join(parts)


def shows(grades: pd.DataFrame, figure: int, most: int = 3) -> str:
    """Markdown: in a sentence each, how the first claims of a figure that can be judged fared."""
    able = grades[(grades.seeds >= MIN_SEEDS) & (grades.confounded == "")]
    sentences = []
    for claim in load_claims().claims:
        part = able[able.claim == claim.id]
        if claim.figure == figure and len(part):
            counts = part.verdict.value_counts()
            most_told = max(dict.fromkeys(part.metric), key=list(part.metric).count)
            first = part[part.metric == most_told]
            favoured = " or ".join(dict.fromkeys(first.favoured))
            sentences.append(
                f"*{claim.short}* is supported by {counts.get('supported', 0)} of the {len(part)} "
                f"comparisons that can decide and contradicted by {counts.get('contradicted', 0)}. "
                f"Lead of {favoured} in {_range(first)}."
            )
    return " ".join(sentences[:most])


def _range(rows: pd.DataFrame) -> str:
    """The metric of comparisons, which values are better, and the least and the largest effect."""
    name = rows.metric.iat[0]
    about = load_claims().metric(name)
    if about.relative:
        ends, form, unit = 100 * rows.effect / rows.other_value.abs(), "+.0f", " %"
    else:
        ends, form, unit = rows.effect, f"+{_digits(rows.iloc[0])}", ""
    ends = [short(value, form) + unit for value in (ends.min(), ends.max())]
    between = " to ".join(dict.fromkeys(ends))
    return f"{load_claims().words(name)} ({about.better} is better): {between}"


def conclusion(grades: pd.DataFrame) -> str:
    """One Markdown sentence: how many claims came out which way."""
    verdicts = judge(grades).verdict.value_counts().reindex(CONCLUSIONS, fill_value=0)
    texts = {
        "holds": ("holds", "hold"),
        "holds in part": ("holds in part", "hold in part"),
        "does not hold": ("does not hold", "do not hold"),
        "cannot tell yet": ("cannot be told yet", "cannot be told yet"),
        "not testable here": ("is not testable here", "are not testable here"),
    }
    parts = [f"**{n} {texts[verdict][n > 1]}**" for verdict, n in verdicts.items() if n]
    return f"Of {verdicts.sum()} claims of the paper {', '.join(parts)}."


def claim_table(grades: pd.DataFrame, figure: int | None = None) -> pd.DataFrame:
    """The claims for reading: sentence, source, evidence counted, verdict."""
    judged = judge(grades, figure)
    return pd.DataFrame(
        {
            "verdict": judged.verdict,
            "claim of the paper": judged.says,
            "where": judged.source,
            "comparisons": [
                _counted(grades[grades.claim == row.id]) or row.why for row in judged.itertuples()
            ],
        }
    )


def grade_table(grades: pd.DataFrame) -> pd.DataFrame:
    """Comparisons for reading, numbers formatted."""
    rows = list(grades.itertuples())
    return pd.DataFrame(
        {
            "verdict": grades.verdict,
            "but": [remark(g) for g in rows],
            "data": [short_data(g.data) for g in rows],
            "metric": grades.metric.map(load_claims().words),
            "medians": [_medians(g) for g in rows],
            "effect [95 % interval]": [_effect(g) for g in rows],
            "P(better)": [short(g.probability, ".2f") for g in rows],
            "p, adjusted": [
                "< .001" if g.p_adjusted < 0.001 else short(g.p_adjusted, ".3f") for g in rows
            ],
            "power": [short(g.power, ".2f") for g in rows],
            "seeds": [str(g.seeds or "–") for g in rows],
        }
    )


SMALL, ALONE = "too little to matter", "0 is left out, if not adjusted"


def remark(g: Any) -> str:
    """What the verdict on a comparison (a row of `grade`) leaves unsaid; mostly nothing.

    That a difference is real but smaller than what matters, or that its interval, which is that
    of the comparison by itself, leaves out 0 although the p-value adjusted for the others of the
    claim says nothing.
    """
    null = -g.margin if g.asks == "not worse" else 0.0
    if g.verdict in DECIDED and not null:
        return SMALL if -g.margin < g.low and g.high < g.margin else ""
    if g.verdict in ("undecided", "no difference"):
        return ALONE if g.low > null or g.high < null else ""
    return ""


def remark_line(grades: pd.DataFrame) -> str:
    """One Markdown sentence: how often verdict and interval say less or more than each other."""
    said = [remark(g) for g in grades[grades.asks != "exact"].itertuples()]
    return (
        f"Of {len(said)} comparisons {said.count(SMALL)} show a difference that is smaller than "
        f"what matters, though supported or contradicted; and of {said.count(ALONE)} the interval "
        "leaves out 0, while the p-value that is adjusted for the other comparisons of the claim "
        "is not below .05. Both are marked."
    )


def adjust_line(grades: pd.DataFrame, strict: pd.DataFrame) -> str:
    """Markdown: what a stricter adjustment of the same comparisons, as Holm's, would change."""
    decided = grades.verdict.isin(DECIDED) & grades.p_adjusted.notna()
    if not decided.any():
        return "Seeds decide no comparison here, by either."
    fallen = (grades.verdict != strict.verdict).sum()
    both = judge(grades).merge(judge(strict), on=["id", "short"], suffixes=("", "_strict"))
    changed = [
        f"*{claim.short}* ({claim.verdict}, then {claim.verdict_strict})"
        for claim in both[both.verdict != both.verdict_strict].itertuples()
    ]
    told = f": {'; '.join(changed)}" if changed else ""
    return (
        f"By the stricter one {fallen} of the {decided.sum()} comparisons that seeds support or "
        f"contradict would be neither, and {len(changed)} of {len(both)} claims would come out "
        f"another way{told}."
    )


def margin_table() -> pd.DataFrame:
    """The smallest effects of interest, as `claims.toml` states them."""
    rows = [
        {
            "metric": metric.name,
            "better is": metric.better,
            "smallest effect of interest": f"{metric.margin:.0%} of the other model's median"
            if metric.relative
            else f"{metric.margin:g}",
        }
        for metric in load_claims().metrics.values()
    ]
    return pd.DataFrame(rows)


def luck_line(grades: pd.DataFrame, results: Results) -> str:
    """One Markdown sentence: how far models share the luck of a seed, as correlations of auROC."""
    fair = grades[(grades.metric == "auroc") & (grades.seeds >= MIN_SEEDS)]
    fair = fair[fair.other != "chance"]
    found = []
    for g in fair.itertuples():
        values = paired(results, g.experiment, g.metric, [g.favoured, g.other])
        if np.isfinite(values).all(axis=None):
            found.append(values.corr().iloc[0, 1])
    if not found:
        return "No two models have enough seeds to tell how far they share a seed's luck."
    low, high = (short(value, ".2f") for value in (min(found), max(found)))
    return f"In {len(found)} comparisons of auROC, runs of one seed correlate by {low} to {high}."


def width_line(results: Results, whole: Results | None, widths: pd.DataFrame) -> str:
    """One Markdown sentence: whether the networks' width changes a verdict.

    `widths` is the `width_table` of both, empty if there are no whole networks.
    """
    if whole is None:
        runs = results.runs[results.runs.narrowed != ""]
        if runs.empty:
            return "All networks are whole."
        data = " and ".join(f"*{name}*" for name in dict.fromkeys(runs["data"]))
        return f"The runs on {data} have no counterpart with all filters yet."
    same = (widths["changes"] == "no").sum()
    return (
        f"Of {len(widths)} comparisons made at both widths, {same} come out the same with all "
        "filters as with a part of them."
    )


def width_table(grades: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that are made at both widths, for reading: verdicts, and whether they differ.

    A verdict of fewer than six seeds is *undecided*, and so it differs from one that is decided.
    """
    names = ["claim", "experiment", "metric", "favoured", "other"]
    tables = grades[grades.asks != "exact"], whole[whole.asks != "exact"]
    both = tables[0].merge(tables[1], on=names, suffixes=("_part", "_whole"))
    about = {claim.id: claim.short for claim in load_claims().claims}
    part, all_of = (both[f"verdict_{name}"] for name in ("part", "whole"))
    return pd.DataFrame(
        {
            "claim": both.claim.map(about),
            "data": both.data_whole.map(short_data),
            "comparison": both.favoured + " against " + both.other,
            "metric": both.metric.map(load_claims().words),
            "part of the filters": part,
            "all filters": all_of,
            "seeds": both.seeds_part.astype(str) + ", " + both.seeds_whole.astype(str),
            "changes": np.where(part == all_of, "no", "yes"),
        }
    )


def evidence(grades: pd.DataFrame) -> HTML:
    """Every claim with its verdict, and behind a click the table of its comparisons."""
    parts = []
    for claim in judge(grades).itertuples():
        found = grades[grades.claim == claim.id]
        table = grade_table(found)
        said = f"{chip(claim.verdict)} {html.escape(f'{claim.says} ({claim.source})')}"
        counted = html.escape(_counted(found) or claim.why)
        parts.append(
            f'<details id="{claim.id}"><summary>{said} <small>{counted}</small></summary>'
            f"{show(table).data}</details>"
        )
    return HTML("".join(parts))


def as_text(grades: pd.DataFrame) -> str:
    """Claims and their comparisons for a terminal of 80 columns, and the conclusion."""
    blocks = []
    for claim in judge(grades).itertuples():
        lines = [fill(f"{claim.verdict.upper()}: {claim.says} ({claim.source})", TERMINAL)]
        for g in grades[grades.claim == claim.id].itertuples():
            metric = load_claims().words(g.metric)
            about = f"{short_data(g.data)}, {metric}, {_medians(g)}; {_effect(g)}"
            lines.append(_wrapped(f"{_verdict_text(g)}: {about}", "  "))
        if len(lines) == 1:
            lines.append(_wrapped(claim.why, "  "))
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, fill(conclusion(grades).replace("**", ""), TERMINAL)])


def as_csv(grades: pd.DataFrame) -> str:
    """All columns of the comparisons as CSV."""
    return grades.to_csv(index=False)


def as_json(grades: pd.DataFrame) -> str:
    """Claims with their comparisons; what is not known or without end is null."""
    claims = [
        {
            **{"id": claim.id, "says": claim.says, "source": claim.source, "figure": claim.figure},
            "verdict": claim.verdict,
            "comparisons": [_plain(g) for g in grades[grades.claim == claim.id].itertuples()],
        }
        for claim in judge(grades).itertuples()
    ]
    return json.dumps({"claims": claims}, indent=1, ensure_ascii=False, allow_nan=False)


FORMATS = {"text": as_text, "csv": as_csv, "json": as_json}


def paired(results: Results, experiment: str, metric: str, models: Sequence[str]) -> pd.DataFrame:
    """The metric of each run: one row a seed that both models have, one column a model.

    Runs without it, such as those that diverged, are worse than any. "a - b" is by how much a
    exceeds b, "chance" what guessing scores.
    """
    table, column = _measured(results, experiment, metric)
    wide = table.pivot(index="seed", columns="model", values=column)
    about = results.runs[["experiment", "seed", "model", "diverged"]]
    lost = about[about.experiment == experiment].pivot(
        index="seed", columns="model", values="diverged"
    )
    worst = -np.inf if load_claims().metric(metric).better == "higher" else np.inf
    wide = wide.reindex(lost.index, columns=lost.columns).astype(float)
    wide = wide.mask(lost.eq(True), worst).assign(chance=CHANCE.get(metric, np.nan))
    columns = [model.split(" - ") for model in models]
    sides = [differences(wide[c[0]], wide[c[1]]) if c[1:] else wide[c[0]] for c in columns]
    return pd.DataFrame(dict(zip(models, sides, strict=True)), index=wide.index).dropna()


def _graded(claim: Claim, results: Results, adjust: Adjust | None) -> list[dict[str, Any]]:
    """The claim's comparisons on all experiments, their p-values adjusted together."""
    if claim.arithmetic:
        return [
            dict.fromkeys(GRADE, np.nan)
            | {"claim": claim.id, "figure": claim.figure, "experiment": "", "seeds": 0}
            | {"confounded": "", "asks": "exact", **row}
            for row in ARITHMETIC[claim.arithmetic](results)
        ]
    rows = [
        _row(claim, comparison, metric, results, runs, models)
        for runs in by_experiment(results.runs)
        for comparison in claim.comparisons
        if comparison.concerns(runs)
        and all(models := [_best_of(runs, model) for model in comparison.models])
        for metric in comparison.metrics
    ]
    rows = [row for place, row in enumerate(rows) if _pair(row) not in map(_pair, rows[:place])]
    return settle(rows, adjust)


def _row(
    claim: Claim,
    comparison: Comparison,
    metric: str,
    results: Results,
    runs: pd.DataFrame,
    models: Sequence[str],
) -> dict[str, Any]:
    experiment = runs.experiment.iat[0]
    values = paired(results, experiment, metric, models)
    about = load_claims().metric(metric)
    sign = 1 if about.better == "higher" else -1
    favoured, other = (values[model].to_numpy() for model in models)
    medians = [float(np.median(v)) if len(values) else np.nan for v in (favoured, other)]
    margin = about.margin * (abs(medians[1]) if about.relative else 1)
    return dict.fromkeys(GRADE, np.nan) | {
        **{"claim": claim.id, "figure": claim.figure, "experiment": experiment},
        **{"data": runs["data"].iat[0], "metric": metric, "asks": comparison.asks},
        **{"favoured": models[0], "other": models[1], "seeds": len(values)},
        **{"favoured_value": medians[0], "other_value": medians[1]},
        "confounded": ", ".join(sorted(_differ(runs, models) - set(comparison.varies))),
        "measurable": _measurable(results, experiment, metric, models),
        **compare(sign * favoured, sign * other, margin, comparison.asks),
    }


def _pair(row: dict[str, Any]) -> tuple[Any, ...]:
    """What is compared: at its best rate a model may be one that is compared already."""
    return tuple(row[name] for name in ("experiment", "metric", "favoured", "other"))


def _best_of(runs: pd.DataFrame, models: str) -> str:
    """Of models parted by bars the best; empty where it is not known which that is."""
    names = models.split("|")
    return models if len(names) == 1 else best_model(runs[runs.model.isin(names)])


def _differ(runs: pd.DataFrame, models: Sequence[str]) -> set[str]:
    """Fields of the spec in which the two models differ, though both should share them."""
    if "chance" in models:
        return set()
    values = runs[[*SHARED]]
    sides = [values[runs.model.isin(model.split(" - "))].to_numpy() for model in models]
    found = ([set(map(str, column)) for column in side.T] for side in sides)
    return {name for name, one, other in zip(SHARED, *found, strict=True) if one != other}


@lru_cache(maxsize=32)  # comparisons of one claim ask for the same numbers
def _measured(results: Results, experiment: str, metric: str) -> tuple[pd.DataFrame, str]:
    """A table of the experiment's runs, and its column that holds the metric."""
    runs = results.runs[results.runs.experiment == experiment]
    if metric.startswith("epochs to "):
        epochs = results.epochs[results.epochs.experiment == experiment]
        goal = metric.removeprefix("epochs to ")
        share = float(goal.rstrip(" %")) / 100
        level = figure2_learning_curves.level(epochs, share) if "%" in goal else float(goal)
        return figure2_learning_curves.epochs_to(epochs, level), "epochs"
    centred, _, number = metric.rpartition(" ")
    if number in figure3_importance.NUMBERS and centred != "weight":
        profiles = results.profiles([experiment], centred=bool(centred))
        return figure3_importance.with_numbers(profiles), number
    if metric == "weight roughness":
        weights = results.weights[results.weights.experiment == experiment]
        return figure4_positional_weights.roughness_by_run(weights), "roughness"
    if metric == "auroc deviation":
        away = (runs.auroc - runs.groupby("model").auroc.transform("median")).abs()
        return runs.assign(away=away), "away"
    return runs, metric


def _measurable(results: Results, experiment: str, metric: str, models: Sequence[str]) -> bool:
    """Whether the metric is mostly no noise, where that is known, in the model that has more.

    By `figure3_importance.measurable`. The other model may be down in the noise: then it is lower
    all the same.
    """
    table, column = _measured(results, experiment, metric)
    if f"{column}_noise" not in table:
        return True
    medians = table.groupby("model")[[column, f"{column}_noise"]].median()
    value, noise = medians.reindex(list(models)).sort_values(column).iloc[-1]
    return figure3_importance.measurable(value, noise)


def _parameters(results: Results) -> list[dict[str, Any]]:
    """Parameters of sep and symm against those of std, by experiment."""
    rows = []
    for runs in by_experiment(results.runs[~results.runs.control]):
        counts = runs.groupby("model").parameters.max()
        for model in sorted({"sep", "symm"} & set(counts.index)) if "std" in counts else []:
            ahead = counts["std"] - counts[model]
            rows.append(
                {"data": runs["data"].iat[0], "experiment": runs.experiment.iat[0]}
                | {"metric": "parameters", "favoured": model, "other": "std"}
                | {"favoured_value": counts[model], "other_value": counts["std"]}
                | {"effect": ahead, "verdict": "supported" if ahead >= 0 else "contradicted"}
            )
    return [row for row in rows if np.isfinite(row["effect"])]


def _variance(results: Results) -> list[dict[str, Any]]:
    """Variance of W_out at the paper's start, a product of two uniform draws, against glorot's."""
    glorot = 2.0 / 1000  # whatever fan-in and fan-out are together: the ratio is the same
    limit = glorot**0.25  # the paper's: its fourth root
    share = (limit**2 / 3) ** 2 / glorot
    return [
        {"data": "arithmetic", "metric": "variance, share of glorot's"}
        | {"favoured": "paper", "other": "glorot", "favoured_value": share, "other_value": 1.0}
        | {"effect": share - 1, "verdict": "supported" if share == 1 else "contradicted"}
    ]


def _special_case(results: Results) -> list[dict[str, Any]]:
    """The FC layer with the outer product of published W_pos and drawn W_chan as its weights.

    And, where `benchmarks/equality.py` has measured it, whole published networks and their twins
    with plain layers: the largest difference of a probability, in float32.
    """
    alone = [
        {"data": runs["data"].iat[0], "experiment": runs.experiment.iat[0]}
        | {"metric": "largest difference", "favoured": "SFC", "other": "FC"}
        | {"effect": (error := max(map(_folding_error, runs.W_pos[runs.best])))}
        | {"verdict": "supported" if error < EXACT else "contradicted"}
        for runs in by_experiment(results.weights[~results.weights.control])
        if runs.best.any()
    ]
    titles = results.runs.groupby("experiment")["data"].first()
    whole = [
        {"data": titles[row["experiment"]], "experiment": row["experiment"]}
        | {"metric": "largest difference of a probability", "effect": row["worst"]}
        | {"favoured": row["model"], "other": f"{row['model']}, folded"}
        | {"verdict": "supported" if row["worst"] < FLOAT32 else "contradicted"}
        for row in _equality()
        if row["form"] == "Keras, folded" and row["model"] != "std" and row["experiment"] in titles
    ]
    return alone + whole


def _equality() -> list[dict[str, Any]]:
    """What `benchmarks/equality.py` measured; nothing outside a clone."""
    path = (checkout() or Path()) / "benchmarks" / "equality.json"
    return json.loads(path.read_text())["rows"] if path.is_file() else []


def _folding_error(w_pos: np.ndarray) -> float:
    rng = np.random.default_rng(0)
    w_pos = w_pos.astype(np.float64)
    w_chan, features = rng.normal(size=(len(w_pos), 5)), rng.normal(size=(w_pos.shape[1], 5))
    separate = np.einsum("ul,uc,lc->u", w_pos, w_chan, features)
    kernel = (w_pos[:, :, None] * w_chan[:, None, :]).reshape(len(w_pos), -1)
    return float(np.abs(kernel @ features.ravel() - separate).max())


ARITHMETIC: dict[str, Callable[[Results], list[dict[str, Any]]]] = {
    "parameters": _parameters,
    "variance": _variance,
    "special_case": _special_case,
}


def _comparison(table: dict[str, Any]) -> Comparison:
    lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    return Comparison(**lists)


def _plain(g: Any) -> dict[str, Any]:
    """A comparison as JSON has it."""
    numbers = ("effect", "low", "high", "p", "p_adjusted", "probability", "margin", "power")
    values = {name: float(getattr(g, name)) for name in numbers}
    return {
        **{"experiment": g.experiment, "data": g.data, "metric": g.metric},
        **{"models": [g.favoured, g.other], "asks": g.asks, "seeds": int(g.seeds)},
        **{name: value if np.isfinite(value) else None for name, value in values.items()},
        **{"confounded": bool(g.confounded), "differ_in": g.confounded, "verdict": g.verdict},
    }


def _counted(grades: pd.DataFrame) -> str:
    counts = grades.verdict.value_counts().reindex(VERDICTS, fill_value=0)
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)


def _verdict_text(g: Any) -> str:
    few = g.verdict == "undecided" and g.seeds < MIN_SEEDS
    more = f"{g.seeds} seed{'s' * (g.seeds != 1)}" if few else remark(g)
    return f"{g.verdict} ({more})" if more else g.verdict


def _medians(g: Any) -> str:
    values = ((g.favoured, g.favoured_value), (g.other, g.other_value))
    texts = ("never" if value == np.inf else short(value, _digits(g)) for _, value in values)
    return ", ".join(f"{model}: {text}" for (model, _), text in zip(values, texts, strict=True))


def _effect(g: Any) -> str:
    form = f"+{_digits(g)}"
    text = short(g.effect, form)
    if not (np.isfinite(g.low) or np.isfinite(g.high)):
        return text
    return f"{text} [{short(g.low, form)}, {short(g.high, form)}]"


def _digits(g: Any) -> str:
    if g.metric == "parameters":
        return ",.0f"
    if g.metric.startswith("largest difference"):
        return ".0e"
    return ".1f" if g.metric.startswith("epochs") else ".4f"


def _wrapped(text: str, indent: str) -> str:
    return fill(text, TERMINAL, initial_indent=indent, subsequent_indent=indent + "  ")
