"""The paper's claims, graded against run records with statistics over seeds.

Each claim becomes one comparison of two models per experiment. One-sided tests in both
directions, p-values adjusted over the page by Benjamini and Hochberg, decide:

- *supported*: the claim's direction, adjusted p < .05;
- *contradicted*: the opposite direction, adjusted p < .05;
- *undecided*: neither; the observed direction stands beside it;
- *not measurable*: a number of an importance profile whose sampling noise is as large as it is;
- *too few seeds*: fewer than four finished runs of a model, too few for any verdict.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sfc_lib.pages import figure2_learning_curves, figure3_importance, figure4_positional_weights
from sfc_lib.pages.results import Results, by_experiment
from sfc_lib.pages.style import VERDICTS

CLAIMS_FILE = Path(__file__).with_name("claims.toml")
ALPHA = 0.05
MIN_RUNS = 4
RESAMPLES = 9999
TERMINAL = 80  # characters of a terminal
GRADE = (
    *("figure", "claim", "source", "experiment", "data", "kind", "metric", "favoured", "other"),
    *("runs", "measurable", "favoured_value", "other_value"),
    *("gain", "low", "high", "p", "p_opposite", "verdict"),
)


@dataclass(frozen=True)
class Claim:
    """One claim; `models` are the one the paper favours and the one it is compared with.

    Epochs are counted to a `threshold`, or to the auROC at a `share` of what std gains over
    chance (`figure2_learning_curves.level`).
    """

    figure: int
    says: str
    source: str
    kind: str
    models: tuple[str, str]
    metric: str = "auroc"
    margin: float = 0.0
    threshold: float = 0.0
    share: float = 0.0
    data: tuple[str, ...] = ()

    def concerns(self, runs: pd.DataFrame) -> bool:
        """Whether an experiment's runs have both models, on data that the claim is about."""
        about = {runs.experiment.iat[0], runs.dataset.iat[0]}
        right_data = not self.data or bool(about & set(self.data))
        return right_data and set(self.models) <= set(runs.model)

    def samples(self, results: Results, experiment: str) -> tuple[np.ndarray, np.ndarray]:
        """The claim's quantity for each run of the two models that has one, by seed."""
        table, column = self._measured(results, experiment)
        favoured, other = (table.loc[table.model == m, column].dropna() for m in self.models)
        return favoured.to_numpy(float), other.to_numpy(float)

    def measurable(self, results: Results, experiment: str) -> bool:
        """Whether the quantity exceeds its noise, where that is known, in the model that has more.

        The other may be down in the noise: then it is lower all the same.
        """
        table, column = self._measured(results, experiment)
        if f"{column}_noise" not in table:
            return True
        medians = table.groupby("model")[[column, f"{column}_noise"]].median()
        value, noise = medians.reindex(list(self.models)).sort_values(column).iloc[-1]
        return bool(value > noise)

    def _measured(self, results: Results, experiment: str) -> tuple[pd.DataFrame, str]:
        """A table of the experiment's runs, and its column that holds the quantity."""
        if self.kind == "fewer_epochs":
            epochs = results.epochs[results.epochs.experiment == experiment]
            level = self.threshold or figure2_learning_curves.level(epochs, self.share)
            return figure2_learning_curves.epochs_to(epochs, level), "epochs"
        centred, _, number = self.metric.rpartition(" ")
        if number in figure3_importance.NUMBERS:
            profiles = results.profiles([experiment], centred=bool(centred))
            return figure3_importance.with_numbers(profiles), number
        if self.metric == "weight_roughness":
            weights = results.weights[results.weights.experiment == experiment]
            return figure4_positional_weights.roughness_by_run(weights), "roughness"
        return results.runs[results.runs.experiment == experiment], self.metric


def load_claims(figure: int | None = None) -> list[Claim]:
    """The claims of one figure, or all."""
    with open(CLAIMS_FILE, "rb") as file:
        tables = tomllib.load(file)["claims"]
    lists = ("models", "data")
    claims = [
        Claim(**{**table, **{name: tuple(table[name]) for name in lists if name in table}})
        for table in tables
    ]
    return [claim for claim in claims if figure in (None, claim.figure)]


def grade(results: Results, figure: int | None = None) -> pd.DataFrame:
    """Grade every claim of a figure (or of all) in every experiment that has its models.

    p-values are adjusted over all comparisons of a figure.

    Returns:
        One row a comparison: the claim (`figure`, `claim`, `source`, `kind`, `metric`),
        `experiment` and its `data` in words; the model `favoured` by the paper and the
        `other`; `runs` that each of them has; whether the quantity is `measurable`; their
        medians over seeds `favoured_value` and `other_value` (ranges for "steadier", infinite
        for a threshold never reached); `gain`, how far the favoured is ahead, with a 95 %
        bootstrap interval `low` to `high` (nan for ranges, and where runs that never reached a
        threshold leave none);
        the adjusted one-sided p-values `p` and `p_opposite`; `verdict`, one of `VERDICTS`.
    """
    claims = load_claims(figure)
    rows = [
        _grade(claim, results, runs)
        for number in sorted({claim.figure for claim in claims})
        for runs in by_experiment(results.runs)
        for claim in claims
        if claim.figure == number and claim.concerns(runs)
    ]
    grades = pd.DataFrame(rows, columns=list(GRADE))
    for _, places in grades.groupby("figure").groups.items():
        for p in ("p", "p_opposite"):
            grades.loc[places, p] = _adjust(grades.loc[places, p].to_numpy(float))
    grades["verdict"] = [_verdict(g) for g in grades.itertuples()]
    return grades


def grade_table(grades: pd.DataFrame) -> pd.DataFrame:
    """Grades for reading: one row a comparison, numbers formatted."""
    rows = list(grades.itertuples())
    return pd.DataFrame(
        {
            "claim of the paper": grades.claim,
            "data": grades["data"],
            "medians (ranges)": [_medians(g) for g in rows],
            "gain [95 % interval]": [_gain(g) for g in rows],
            "adjusted p": [_p_value(g) for g in rows],
            "verdict": grades.verdict,
        }
    )


def summary(grades: pd.DataFrame) -> str:
    """One sentence that counts the verdicts."""
    if grades.empty:
        return "No comparison: this size has none of the models that these claims are about."
    counts = {verdict: (grades.verdict == verdict).sum() for verdict in VERDICTS}
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f"Of {len(grades)} comparisons: {', '.join(parts)}."


def as_text(grades: pd.DataFrame) -> str:
    """Grades for a terminal of 80 columns, under headings of figure and data, and the summary."""
    blocks = []
    for (figure, data), part in grades.groupby(["figure", "data"], sort=False):
        lines = [f"Figure {figure} · {data}"]
        for g in part.itertuples():
            about = f"{_medians(g)}; gain {_gain(g)}; p {_p_value(g)}"
            lines += [_wrapped(f"{g.verdict}: {g.claim}", "  "), _wrapped(about, " " * 6)]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, _wrapped(summary(grades), "")])


def as_csv(grades: pd.DataFrame) -> str:
    """All columns of the grades as CSV."""
    return grades.to_csv(index=False)


def as_json(grades: pd.DataFrame) -> str:
    """All columns of the grades as a JSON list of records; what is nan or infinite is null."""
    return grades.to_json(orient="records", indent=1, force_ascii=False, double_precision=15)


FORMATS = {"text": as_text, "csv": as_csv, "json": as_json}


def _grade(claim: Claim, results: Results, runs: pd.DataFrame) -> dict[str, Any]:
    favoured, other = claim.samples(results, runs.experiment.iat[0])
    count = min(len(favoured), len(other))
    measure = _range if claim.kind == "steadier" else np.median
    sign = 1 if claim.kind in ("higher", "not_lower") else -1  # else less is better
    ahead, behind = (float(measure(values)) if count else np.nan for values in (favoured, other))
    low, high, p, p_opposite = (np.nan,) * 4
    if count >= MIN_RUNS:
        if claim.kind != "steadier":  # resampled ranges are never wider than the observed one
            low, high = _interval(favoured, other, sign)
        p, p_opposite = _p_values(claim, favoured, other, sign)
    return {
        **{"figure": claim.figure, "claim": claim.says, "source": claim.source},
        **{"experiment": runs.experiment.iat[0], "data": runs["data"].iat[0]},
        **{"kind": claim.kind, "metric": claim.metric},
        **{"favoured": claim.models[0], "other": claim.models[1], "runs": count},
        "measurable": count < MIN_RUNS or claim.measurable(results, runs.experiment.iat[0]),
        **{"favoured_value": ahead, "other_value": behind},
        "gain": np.nan if np.isinf([ahead, behind]).all() else sign * (ahead - behind),
        **{"low": low, "high": high, "p": p, "p_opposite": p_opposite},
    }


def _verdict(g: Any) -> str:
    if g.runs < MIN_RUNS:
        return "too few seeds"
    if not g.measurable:
        return "not measurable"
    if g.p < ALPHA:
        return "supported"
    return "contradicted" if g.p_opposite < ALPHA else "undecided"


def _p_values(
    claim: Claim, favoured: np.ndarray, other: np.ndarray, sign: int
) -> tuple[float, float]:
    """One-sided p-values: that the claim's direction, and that the opposite one, is chance."""
    if claim.kind == "steadier":
        return _steadier(favoured, other), _steadier(other, favoured)
    favoured = favoured + claim.margin
    ahead = stats.mannwhitneyu(sign * favoured, sign * other, alternative="greater").pvalue
    behind = stats.mannwhitneyu(sign * favoured, sign * other, alternative="less").pvalue
    return float(ahead), float(behind)


def _steadier(steady: np.ndarray, other: np.ndarray) -> float:
    """Permutation test of a smaller range, on values centred at each model's own median."""
    test = stats.permutation_test(
        (steady - np.median(steady), other - np.median(other)),
        lambda a, b, axis: _range(b, axis) - _range(a, axis),
        n_resamples=RESAMPLES,
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def _interval(a: np.ndarray, b: np.ndarray, sign: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the difference of medians, resampling seeds."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.nan, np.nan
    interval = stats.bootstrap(
        (a, b),
        lambda a, b, axis: sign * (np.median(a, axis=axis) - np.median(b, axis=axis)),
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _adjust(p_values: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values; nan, where nothing was tested, stays nan."""
    adjusted, tested = p_values.copy(), ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p_values[tested])
    return adjusted


def _range(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.max(values, axis=axis) - np.min(values, axis=axis)


def _wrapped(text: str, indent: str) -> str:
    return fill(text, TERMINAL, initial_indent=indent, subsequent_indent=indent + "  ")


def _medians(g: Any) -> str:
    values = ((g.favoured, g.favoured_value), (g.other, g.other_value))
    return ", ".join(f"{model} {_number(g, value)}" for model, value in values)


def _number(g: Any, value: float) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "never"
    return f"{value:g}" if g.kind == "fewer_epochs" else f"{value:.4f}".removeprefix("0")


def _gain(g: Any) -> str:
    if not np.isfinite(g.gain):
        return "–"
    digits = "z.1f" if g.kind == "fewer_epochs" else "z.4f"
    if np.isnan(g.low):
        return f"{g.gain:+{digits}}"
    return f"{g.gain:+{digits}} [{g.low:+{digits}}, {g.high:+{digits}}]"


def _p_value(g: Any) -> str:
    """The p-value that the verdict rests on; of a contradicted claim, the opposite direction's."""
    if g.runs < MIN_RUNS:
        return "–"
    contradicted = g.verdict == "contradicted"
    p = g.p_opposite if contradicted else g.p
    text = "< .001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)
    return f"{text} (opposite)" if contradicted else text
