"""Importance profiles of an experiment's runs, and the three numbers that describe one.

A profile is the mean gradient × input at each position (`sfc_lib.nn.importance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.analysis.results import Results
from sfc_lib.experiments.importance import Target, count_of, profile_of, target
from sfc_lib.experiments.store import best_seeds

NUMBERS = {
    "departure": "departure from uniform",
    "asymmetry": "asymmetry",
    "roughness": "roughness",
}
PANELS = {"simulated_tf": "3a", "ctcf": "3b", "hematopoiesis": "3c"}  # of the paper
NOT_IN_FIGURE = ("simulated_accessibility",)  # the paper shows no importance on these data


@dataclass(frozen=True, eq=False)
class Importance:
    """Profiles of one experiment: by model and seed, float (length,), not normalised.

    `best`: the seed of each model with the best validation auROC, among all its runs.
    `sequences`: how many the profiles are means over.
    """

    results: Results
    target: Target
    sequences: int
    profiles: Mapping[str, Mapping[int, np.ndarray]]
    best: Mapping[str, int]

    def numbers(self) -> pd.DataFrame:
        """One row a profile: model, seed, departure, asymmetry, roughness, best."""
        rows = [
            {"model": m, "seed": s, **describe(p, self.target.region), "best": s == self.best[m]}
            for m, profiles in self.profiles.items()
            for s, p in profiles.items()
        ]
        return pd.DataFrame(rows, columns=["model", "seed", *NUMBERS, "best"])


def collect(results: Sequence[Results]) -> list[Importance]:
    """Profiles of all experiments of Figure 3 that have any, measured with a progress bar."""
    found = [_collect(result) for result in _of_figure(results)]
    return [importance for importance in found if importance]


def split_panels(found: Sequence[Importance]) -> tuple[list[Importance], list[Importance]]:
    """Those of the paper's panels 3a to 3c, and those on more data of the same kinds."""
    ours = [item for item in found if item.results.experiment.name in PANELS]
    return ours, [item for item in found if item not in ours]


def coverage(results: Sequence[Results], found: Sequence[Importance]) -> str:
    """One Markdown sentence: of how many runs a profile is known, and why not of all."""
    runs = sum(len(g) for result in _of_figure(results) for g in result.records.values())
    known = sum(len(profiles) for item in found for profiles in item.profiles.values())
    left = [result.title for result in results if result not in _of_figure(results)]
    without = f" The paper shows none on these data: {', '.join(left)}." if left else ""
    if known == runs:
        return f"An importance profile is known for all {runs} runs.{without}"
    return (
        f"An importance profile is known for **{known} of {runs} runs**; the others diverged, or "
        f"their records carry neither a profile nor a model.{without}"
    )


def numbers(results: Results) -> pd.DataFrame:
    """The numbers of all runs of an experiment whose profile is known or can be measured."""
    found = _collect(results)
    return found.numbers() if found else pd.DataFrame(columns=["model", "seed", *NUMBERS, "best"])


def normalise(profile: np.ndarray, region: tuple[int, int]) -> np.ndarray:
    """The profile divided by its mean absolute value inside the region; signs are kept.

    So 1 is the height of a uniform profile. One that is zero throughout becomes nan.

    Example:

    >>> normalise(np.array([9.0, 1.0, 3.0, 0.0]), (1, 3)).tolist()
    [4.5, 0.5, 1.5, 0.0]
    """
    scale = np.abs(profile[slice(*region)]).mean()
    return profile / scale if scale > 0 else np.full(profile.shape, np.nan)


def describe(profile: np.ndarray, region: tuple[int, int]) -> dict[str, float]:
    """Three numbers of a profile inside a region; each is 0 for a uniform profile.

    - `departure` from uniform: coefficient of variation, standard deviation / size of mean.
    - `asymmetry`: mean size of profile − mirror image / mean size of profile, from 0 to 2.
    - `roughness`: mean size of the second differences of the normalised profile.

    Args:
        profile: Importance at each position, at least three of them in the region.
        region: 0-based half-open; the mirror image is that of the region.

    Example:

    >>> describe(np.array([7.0, 1.0, 2.0, 3.0]), (1, 4))["asymmetry"]  # (2 + 0 + 2) / (1 + 2 + 3)
    0.6666666666666666
    """
    inside = normalise(np.asarray(profile, dtype=np.float64), region)[slice(*region)]
    mean = abs(inside.mean())
    return {
        "departure": float(inside.std() / mean) if mean > 0 else np.nan,
        "asymmetry": float(np.abs(inside - inside[::-1]).mean()),
        "roughness": float(np.abs(np.diff(inside, n=2)).mean()),
    }


def number_table(found: Sequence[Importance]) -> pd.DataFrame:
    """For reading: the best seed's numbers; median (min – max) where several have a profile."""
    rows = []
    for importance in found:
        for model, runs in importance.numbers().groupby("model", sort=False):
            row: dict[str, object] = {
                "data": importance.results.title,
                "model": model,
                "sequences": f"{importance.sequences:,}",
                "best seed": importance.best[str(model)],
                "seeds with a profile": f"{len(runs)} of {importance.results.experiment.seeds}",
            }
            rows.append(row | {name: _cell(runs, n) for n, name in NUMBERS.items()})
    return pd.DataFrame(rows)


def _of_figure(results: Sequence[Results]) -> list[Results]:
    return [r for r in results if r.experiment.specs[0].dataset not in NOT_IN_FIGURE]


def _cell(runs: pd.DataFrame, number: str) -> str:
    values = runs[number]
    parts = [f"{value:.3f}" for value in values[runs.best]]
    if len(values) > 1:
        parts.append(f"{values.median():.3f} ({values.min():.3f} – {values.max():.3f})")
    return "; ".join(parts)


def _collect(results: Results) -> Importance | None:
    profiles: dict[str, dict[int, np.ndarray]] = {}
    for model, records in results.records.items():
        for record in records:
            name = f"importance of {model}, seed {record.spec.seed}"
            profile = profile_of(record, partial(tqdm, desc=name, leave=False))
            if profile is not None:
                profiles.setdefault(model, {})[record.spec.seed] = profile
    if not profiles:
        return None
    records = [record for group in results.records.values() for record in group]
    length = len(next(iter(next(iter(profiles.values())).values())))
    labels = {record.spec.model: model for model, g in results.records.items() for record in g}
    best = {labels[record.spec.model]: record.spec.seed for record in best_seeds(records)}
    goal = target(records[0].spec, length)
    first = next(r for r in records if r.spec.seed in profiles.get(labels[r.spec.model], {}))
    return Importance(results, goal, count_of(first), profiles, best)
