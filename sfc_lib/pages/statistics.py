"""From two models' runs to a verdict on a comparison, and from those to one on a claim.

Seeds share data and the order of batches, so a seed's luck is often, not always, the same for
both models. `design_table` shows why the test is paired: without pairs its error depends on
that correlation. The test is Wilcoxon's signed-rank test, whose interval (Hodges and Lehmann)
is made of the same averages, so that the two can't disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
VERDICTS = (
    *("supported", "contradicted", "no difference"),
    *("undecided", "not measurable", "confounded"),
)
FEW = "too few seeds"  # an undecided comparison that could not have been decided
SILENT = ("confounded", "not measurable", FEW)  # about a claim
CONCLUSIONS = (
    *("holds", "holds in part", "does not hold"),
    *("cannot tell yet", "not testable here"),
)
MIN_SEEDS = 6  # with fewer pairs no two-sided p-value can be below .05
DRAWS = 4000
Adjust = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Compared:
    """How far the first model is ahead of the second, over `seeds` pairs.

    `low` to `high` is the 95 % interval of `effect`, without end where pairs are too few;
    `p` is two-sided: below .05 exactly where the interval leaves out the difference asked about.
    `probability` is that of one run of the first being better than one of the second.
    """

    seeds: int
    effect: float
    low: float
    high: float
    p: float
    probability: float


def shift(first: np.ndarray, second: np.ndarray, null: float = 0.0) -> Compared:
    """Compare values of which more is better: the signed-rank test of paired differences.

    Args:
        first: Values of one model, shape (seeds,), in the order of seeds.
        second: Values of the other, same seeds. Infinite values are ranked like others.
        null: The difference that the p-value is about.

    Returns:
        As `effect` the Hodges-Lehmann estimate: the median of all averages of two differences.
        Without seeds all numbers are nan.

    Example:

    >>> found = shift(np.array([5.0, 6, 7, 8, 9, 10]), np.zeros(6))
    >>> found.effect, found.p
    (7.5, 0.03125)
    """
    if not len(first):
        return Compared(0, *[np.nan] * 5)
    averages = walsh(differences(first, second))
    p, rejected = _p_values(averages, null, len(first)), _rejected(len(first))
    low, high = (averages[rejected - 1], averages[-rejected]) if rejected else (-np.inf, np.inf)
    return Compared(
        seeds=len(first),
        effect=float(np.median(averages)),
        low=float(low),
        high=float(high),
        p=float(p),
        probability=superiority(first, second),
    )


def compare(
    favoured: np.ndarray, other: np.ndarray, margin: float, asks: str = "better"
) -> dict[str, Any]:
    """What the seeds of two models say, of values of which more is better: all but the verdict.

    Args:
        favoured: Values of the model that should be ahead, shape (seeds,).
        other: Those of the other, same seeds.
        margin: The smallest effect of interest.
        asks: `"better"`, or `"not worse"`: then the p-value is of being worse by the margin.
    """
    found = shift(favoured, other, -margin if asks == "not worse" else 0.0)
    about = {"asks": asks, "margin": margin, "power": power(favoured, other, margin)}
    return vars(found) | about


def settle(rows: list[dict[str, Any]], adjust: Adjust | None = None) -> list[dict[str, Any]]:
    """Comparisons of one claim, with `p_adjusted` over all that can tell, and their `verdict`.

    `adjust` takes and returns p-values; without it `adjusted` does.
    """
    tested = [row["p"] if _can_tell(row) else np.nan for row in rows]
    for row, p in zip(rows, (adjust or adjusted)(np.array(tested, float)), strict=True):
        row["p_adjusted"] = p
        row["verdict"] = _verdict(row)
    return rows


def conclude(verdicts: Iterable[str]) -> str:
    """The verdict on a claim from those of its comparisons.

    Example:

    >>> conclude(["supported", "supported", "confounded"]), conclude(["supported", "undecided"])
    ('holds', 'holds in part')
    >>> conclude(["no difference", "contradicted"]), conclude(["no difference", "undecided"])
    ('does not hold', 'cannot tell yet')
    """
    found = list(verdicts)
    telling = [verdict for verdict in found if verdict not in SILENT]
    if "supported" in telling:
        return "holds" if set(telling) == {"supported"} else "holds in part"
    if "contradicted" in telling or set(telling) == {"no difference"}:
        return "does not hold"
    return "cannot tell yet" if found else "not testable here"


def power(first: np.ndarray, second: np.ndarray, margin: float) -> float:
    """Chance that `shift` finds a true difference of `margin`, given how seeds scatter.

    That p is below .05 before it is adjusted: what the comparison can by itself. By simulation
    with normal differences of the standard deviation at hand.
    """
    between = differences(first, second)
    if len(between) < MIN_SEEDS or not np.isfinite(between).all():
        return np.nan
    scatter = float(between.std(ddof=1))
    return _power(len(first), round(min(margin / scatter, 9.0), 2)) if scatter else 1.0


def differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First minus second; two infinite values of one sign do not differ."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def walsh(values: np.ndarray) -> np.ndarray:
    """Averages of every two values, each with itself too, sorted.

    Args:
        values: Shape (..., n).

    Returns:
        Shape (..., n (n + 1) / 2).
    """
    left, right = np.triu_indices(values.shape[-1])
    with np.errstate(invalid="ignore"):
        averages = (values[..., left] + values[..., right]) / 2
    return np.sort(np.where(np.isnan(averages), 0.0, averages), axis=-1)


@cache
def null_distribution(seeds: int) -> np.ndarray:
    """SciPy's exact two-sided p-value of each rank sum, from 0 to n (n + 1) / 2."""
    total = seeds * (seeds + 1) // 2
    signed = np.empty((total + 1, seeds))
    for rank_sum in range(total + 1):
        left = rank_sum
        for rank in range(seeds, 0, -1):  # a set of ranks that has this sum
            signed[rank_sum, rank - 1] = rank if rank <= left else -rank
            left -= rank if rank <= left else 0
    return stats.wilcoxon(signed, axis=1, method="exact").pvalue


def superiority(first: np.ndarray, second: np.ndarray) -> float:
    """Probability that one value of the first exceeds one of the second; ties count half."""
    pairs = np.sign(differences(np.asarray(first)[:, None], np.asarray(second)[None]))
    return float((1 + pairs).mean() / 2)


@dataclass(frozen=True)
class Trial:
    """Made-up claims: the true `effects` of their comparisons, taken in turn.

    They, and the `scatter` of a model's runs, are in units of the smallest effect of interest;
    values may be `whole`, like epochs. What is asked is that of `compare`.
    """

    effects: tuple[float, ...]
    scatter: float = 0.5
    whole: bool = False
    asks: str = "better"


TRIALS = {
    "no effect": Trial((0.0,)),
    "no effect, runs scatter four times as much": Trial((0.0,), 2.0),
    "no effect, in whole epochs": Trial((0.0,), 2.0, whole=True),
    "as claimed, twice the smallest effect": Trial((2.0,)),
    "as claimed, runs scatter four times as much": Trial((2.0,), 2.0),
    "the opposite, twice the smallest effect": Trial((-2.0,)),
    "as claimed on half of the data, else no effect": Trial((2.0, 0.0)),
    "as claimed, just the smallest effect": Trial((1.0,)),
    "as claimed, a tenth of the smallest effect": Trial((0.1,)),
    "asked if not worse, worse by just the smallest effect": Trial((-1.0,), asks="not worse"),
    "asked if not worse, no effect": Trial((0.0,), asks="not worse"),
}


def trial_table(
    studies: int = 1000, seeds: int = 10, comparisons: int = 6, correlation: float = 0.3
) -> pd.DataFrame:
    """How often made-up studies with a known truth come out how, judged as the runs are.

    Each study is a claim with some comparisons. All are held against the same runs, as several
    models are against std; runs of one seed correlate. Besides the verdicts on the claim: how
    many comparisons come out as no difference, and how many intervals cover the truth.
    """
    rows: list[dict[str, Any]] = []
    for name, trial in TRIALS.items():
        rng = np.random.default_rng((studies, seeds, len(rows)))
        truth = np.resize(trial.effects, comparisons)
        luck = rng.normal(size=(studies, 1, seeds))
        first, second = rng.normal(size=(studies, comparisons, seeds)), rng.normal(size=luck.shape)
        shared, own = np.sqrt(correlation), np.sqrt(1 - correlation)
        first, second = (trial.scatter * (shared * luck + own * each) for each in (first, second))
        first = first + truth[:, None]
        if trial.whole:
            first, second = np.round(first), np.round(second)
        found = _intervals(first - second, trial, seeds)
        settled = [_settled(found, trial, study, seeds) for study in range(studies)]
        verdicts = [conclude(rows) for rows in settled]
        covered = (found["low"] <= truth) & (truth <= found["high"])
        rows.append(
            {"made-up truth": name}
            | {c: np.mean([v == c for v in verdicts]) for c in CONCLUSIONS[:-1]}
            | {"comparisons without difference": np.mean(np.array(settled) == "no difference")}
            | {"interval covers": np.mean(covered)}
        )
    return pd.DataFrame(rows)


def _intervals(between: np.ndarray, trial: Trial, seeds: int) -> dict[str, np.ndarray]:
    """What `shift` says of differences, shape (studies, comparisons, seeds)."""
    averages, rejected = walsh(between), _rejected(seeds)
    null = -1.0 if trial.asks == "not worse" else 0.0
    return {
        "effect": np.median(averages, axis=-1),
        "low": averages[..., rejected - 1],
        "high": averages[..., -rejected],
        "p": _p_values(averages, null, seeds),
    }


def _settled(found: dict[str, np.ndarray], trial: Trial, study: int, seeds: int) -> list[str]:
    """The verdicts on the comparisons of one made-up claim."""
    fixed = {"confounded": "", "measurable": True, "margin": 1.0, "seeds": seeds}
    rows = [
        fixed
        | {"asks": trial.asks}
        | {name: values[study, place] for name, values in found.items()}
        for place in range(found["p"].shape[1])
    ]
    return [row["verdict"] for row in settle(rows)]


def adjusted(p_values: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjustment within one family; nan, not tested, stays nan."""
    result, tested = p_values.copy(), ~np.isnan(p_values)
    if tested.any():
        result[tested] = stats.false_discovery_control(p_values[tested])
    return result


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjustment within one family, stricter than `adjusted`; nan, not tested, stays nan.

    Example:

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    result, tested = p_values.copy(), np.flatnonzero(~np.isnan(p_values))
    ranked = tested[np.argsort(p_values[tested])]
    steps = p_values[ranked] * np.arange(len(ranked), 0, -1)
    result[ranked] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return result


def design_table(seeds: int = 10, draws: int = DRAWS) -> pd.DataFrame:
    """Error and power of paired and unpaired tests, by the correlation of the seeds' luck.

    Simulated once, before results were looked at, with normal values; power is for a shift by
    1.5 standard deviations of one model.
    """
    tests: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "paired (signed rank)": lambda a, b: stats.wilcoxon(a - b, axis=1, method="exact").pvalue,
        "unpaired (Mann-Whitney)": lambda a, b: (
            stats.mannwhitneyu(a, b, axis=1, method="exact").pvalue
        ),
    }
    rows = []
    for correlation in (-0.5, 0.0, 0.5, 0.85):
        rng = np.random.default_rng((seeds, round(100 * (1 + correlation))))
        covariance = [[1, correlation], [correlation, 1]]
        first, second = np.moveaxis(
            rng.multivariate_normal([0, 0], covariance, (draws, seeds)), -1, 0
        )
        for name, test in tests.items():
            error, found = (np.mean(test(first + by, second) < ALPHA) for by in (0.0, 1.5))
            rows.append({"correlation": correlation, "test": name, "error": error, "power": found})
    return pd.DataFrame(rows)


@cache
def _power(seeds: int, shift_in_deviations: float) -> float:
    rng = np.random.default_rng((seeds, 1))
    averages = walsh(rng.normal(size=(DRAWS, seeds)) + shift_in_deviations)
    return float(np.mean(_p_values(averages, 0.0, seeds) < ALPHA))


def _p_values(averages: np.ndarray, null: float, seeds: int) -> np.ndarray:
    """Two-sided p-values from Walsh averages, shape (..., n (n + 1) / 2); ties count against."""
    p_by_rank_sum = null_distribution(seeds)
    above, below = (averages >= null).sum(axis=-1), (averages <= null).sum(axis=-1)
    return p_by_rank_sum[np.minimum(np.minimum(above, below), (len(p_by_rank_sum) - 1) // 2)]


def _rejected(seeds: int) -> int:
    """How many rank sums, from 0 up, have p below .05; the interval ends at that average."""
    p_by_rank_sum = null_distribution(seeds)
    return int((p_by_rank_sum[: len(p_by_rank_sum) // 2] < ALPHA).sum())


def _can_tell(row: dict[str, Any]) -> bool:
    return row["seeds"] >= MIN_SEEDS and row["measurable"] and not row["confounded"]


def _verdict(row: dict[str, Any]) -> str:
    if row["confounded"]:
        return "confounded"
    if not row["measurable"]:
        return "not measurable"
    margin, null = row["margin"], 0.0 if row["asks"] == "better" else -row["margin"]
    if row["p_adjusted"] < ALPHA:
        return "supported" if row["effect"] > null else "contradicted"
    if row["asks"] == "better" and -margin < row["low"] and row["high"] < margin:
        return "no difference"
    return "undecided"
