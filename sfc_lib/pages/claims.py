"""The paper's claims, graded against run records with statistics over seeds.

Each claim becomes one comparison of two models per experiment. One-sided tests in both
directions, p-values adjusted over the page by Benjamini and Hochberg, decide:

- *supported*: the claim's direction, adjusted p < .05;
- *contradicted*: the opposite direction, adjusted p < .05;
- *undecided*: neither; the observed direction stands beside it;
- *too few seeds*: fewer than four finished runs of a model, too few for any verdict.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from sfc_lib.pages import figure3_importance, figure4_positional_weights
from sfc_lib.pages.results import Results
from sfc_lib.pages.style import VERDICTS

CLAIMS_FILE = Path(__file__).with_name("claims.toml")
ALPHA = 0.05
MIN_RUNS = 4
RESAMPLES = 9999


@dataclass(frozen=True)
class Claim:
    """One claim; `models` are the one the paper favours and the one it is compared with.

    Epochs are counted to a `threshold`, or to the auROC at a `share` of what std gains over
    chance (`Results.level`).
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

    def concerns(self, results: Results) -> bool:
        """Whether an experiment has both models, on data that the claim is about."""
        about = {results.experiment.name, results.experiment.specs[0].dataset}
        right_data = not self.data or bool(about & set(self.data))
        return right_data and set(self.models) <= set(results.models)

    def samples(self, results: Results) -> tuple[np.ndarray, np.ndarray]:
        """The claim's quantity for each run of the two models that has one, by seed."""
        table, column = self._table(results), self.metric
        favoured, other = (table.loc[table.model == m, column].dropna() for m in self.models)
        return favoured.to_numpy(float), other.to_numpy(float)

    def _table(self, results: Results) -> pd.DataFrame:
        if self.kind == "fewer_epochs":
            level = self.threshold or results.level(self.share)
            return results.epochs_to(level).rename(columns={"epochs": self.metric})
        if self.metric in figure3_importance.NUMBERS:
            return figure3_importance.numbers(results)
        if self.metric == "weight_roughness":
            table = figure4_positional_weights.roughness_by_run(results)
            return table.rename(columns={"roughness": self.metric})
        return results.scores()


@dataclass(frozen=True)
class Grade:
    """A claim's outcome in one experiment.

    `favoured` and `other` are medians over seeds (ranges for "steadier"); `gain` is how
    far the favoured model is ahead, with a 95 % bootstrap interval `low` to `high` (nan
    for ranges, and where runs that never reached a threshold leave none); `p` and
    `p_opposite` are the adjusted one-sided p-values.
    """

    claim: Claim
    experiment: str
    runs: int
    favoured: float
    other: float
    gain: float
    low: float
    high: float
    p: float
    p_opposite: float

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        if self.runs < MIN_RUNS:
            return "too few seeds"
        if self.p < ALPHA:
            return "supported"
        return "contradicted" if self.p_opposite < ALPHA else "undecided"


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


def grade(results: Sequence[Results], figure: int | None = None) -> list[Grade]:
    """Grade every claim of a figure (or of all) in every experiment that has its models.

    p-values are adjusted over all comparisons of a figure.
    """
    if figure is None:
        figures = sorted({claim.figure for claim in load_claims()})
        return [found for number in figures for found in grade(results, number)]
    grades = [
        _grade(claim, result)
        for result in results
        for claim in load_claims(figure)
        if claim.concerns(result)
    ]
    ahead, behind = _adjust([g.p for g in grades]), _adjust([g.p_opposite for g in grades])
    return [
        dataclasses.replace(g, p=p, p_opposite=opposite)
        for g, p, opposite in zip(grades, ahead, behind, strict=True)
    ]


def table(grades: Sequence[Grade]) -> pd.DataFrame:
    """Grades for reading: one row a comparison, numbers formatted."""
    return pd.DataFrame(
        {
            "claim of the paper": [g.claim.says for g in grades],
            "data": [g.experiment for g in grades],
            "medians (ranges)": [_medians(g) for g in grades],
            "gain [95 % interval]": [_gain(g) for g in grades],
            "adjusted p": [_p_value(g) for g in grades],
            "verdict": [g.verdict for g in grades],
        }
    )


def summary(grades: Sequence[Grade]) -> str:
    """One sentence that counts the verdicts."""
    if not grades:
        return "No comparison: this size has none of the models that these claims are about."
    counts = {v: sum(g.verdict == v for g in grades) for v in VERDICTS}
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f"Of {len(grades)} comparisons: {', '.join(parts)}."


def _grade(claim: Claim, results: Results) -> Grade:
    favoured, other = claim.samples(results)
    runs = min(len(favoured), len(other))
    measure = _range if claim.kind == "steadier" else _median
    sign = 1 if claim.kind in ("higher", "not_lower") else -1  # else less is better
    ahead, behind = (float(measure(values)) if runs else np.nan for values in (favoured, other))
    gain = np.nan if np.isinf([ahead, behind]).all() else sign * (ahead - behind)
    low, high, p, p_opposite = (np.nan,) * 4
    if runs >= MIN_RUNS:
        if claim.kind != "steadier":  # resampled ranges are never wider than the observed one
            low, high = _interval(favoured, other, sign)
        p, p_opposite = _p_values(claim, favoured, other, sign)
    title = results.title
    return Grade(claim, title, runs, ahead, behind, gain, low, high, p, p_opposite)


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
    rng = np.random.default_rng(0)
    draws = [_median(rng.choice(x, (RESAMPLES, len(x))), axis=1) for x in (a, b)]
    low, high = np.percentile(sign * (draws[0] - draws[1]), [2.5, 97.5])
    return float(low), float(high)


def _adjust(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p-values; nan, where nothing was tested, stays nan."""
    adjusted = np.array(p_values, dtype=float)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(adjusted[tested])
    return adjusted.tolist()


def _median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.median(values, axis=axis)


def _range(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.max(values, axis=axis) - np.min(values, axis=axis)


def _medians(g: Grade) -> str:
    values = zip(g.claim.models, (g.favoured, g.other), strict=True)
    return ", ".join(f"{model} {_number(g, value)}" for model, value in values)


def _number(g: Grade, value: float) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "never"
    return f"{value:g}" if g.claim.kind == "fewer_epochs" else f"{value:.4f}".removeprefix("0")


def _gain(g: Grade) -> str:
    if np.isnan(g.gain) or np.isinf(g.gain):
        return "–"
    digits = "z.1f" if g.claim.kind == "fewer_epochs" else "z.4f"
    if np.isnan(g.low):
        return f"{g.gain:+{digits}}"
    return f"{g.gain:+{digits}} [{g.low:+{digits}}, {g.high:+{digits}}]"


def _p_value(g: Grade) -> str:
    """The p-value that the verdict rests on; of a contradicted claim, the opposite direction's."""
    if g.runs < MIN_RUNS:
        return "–"
    contradicted = g.verdict == "contradicted"
    p = g.p_opposite if contradicted else g.p
    text = "< .001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)
    return f"{text} (opposite)" if contradicted else text
