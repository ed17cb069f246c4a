"""Importance profiles of an experiment's runs, and the three numbers that describe one.

A profile is the mean gradient × input at each position (`sfc_lib.nn.importance`). Runs whose
record carries theirs are read; of the others the best seed is computed from its model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from sfc_lib.analysis.results import Results
from sfc_lib.experiments.importance import Target, measure, stored, target
from sfc_lib.experiments.store import MODEL, Record, best_seeds

NUMBERS = {
    "departure": "departure from uniform",
    "asymmetry": "asymmetry",
    "roughness": "roughness",
}


@dataclass(frozen=True, eq=False)
class Importance:
    """Profiles of one experiment: by model and seed, float (length,), not normalised.

    `best`: the seed of each model with the best validation auROC, among all its runs.
    """

    results: Results
    target: Target
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


def collect(results: Sequence[Results], *, compute: bool = True) -> list[Importance]:
    """Profiles of all experiments that have any, with a progress bar where one is computed.

    Args:
        results: The experiments.
        compute: Whether to compute the best seed's profile where its record carries none.
    """
    found = [_collect(result, compute) for result in results]
    return [importance for importance in found if importance]


def numbers(results: Results) -> pd.DataFrame:
    """The numbers of all runs whose record carries a profile; nothing is computed."""
    found = _collect(results, compute=False)
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

    - `departure` from uniform: coefficient of variation, standard deviation / |mean|.
    - `asymmetry`: mean |profile − mirror image| / mean |profile|, from 0 to 2.
    - `roughness`: mean |second difference| of the normalised profile.

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
    """For reading: the best seed's numbers, and median and range over the seeds with a profile."""
    rows = []
    for importance in found:
        for model, runs in importance.numbers().groupby("model", sort=False):
            best = runs[runs.best]
            row: dict[str, object] = {
                "data": importance.results.experiment.title,
                "model": model,
                "best seed": f"{importance.best[str(model)]}",
                "seeds with a profile": f"{len(runs)} of {importance.results.profile.seeds}",
            }
            for number, name in NUMBERS.items():
                row[f"{name}: best seed"] = f"{best[number].iloc[0]:.3f}" if len(best) else "–"
                row[f"{name}: median (min – max)"] = _spread(runs[number])
            rows.append(row)
    return pd.DataFrame(rows)


def _spread(values: pd.Series) -> str:
    if len(values) < 2 or values.isna().any():
        return "–"
    return f"{values.median():.3f} ({values.min():.3f} – {values.max():.3f})"


def _collect(results: Results, compute: bool) -> Importance | None:
    profiles, best = {}, {}
    for model, records in results.records.items():
        for top in best_seeds(records):
            best[model] = top.spec.seed
            profiles[model] = {
                r.spec.seed: profile
                for r in records
                if (profile := _profile(r, model, compute and r is top)) is not None
            }
    known = [(m, p) for m, by_seed in profiles.items() for p in by_seed.values()]
    if not known:
        return None
    goal = target(results.records[known[0][0]][0].spec, len(known[0][1]))
    return Importance(results, goal, {m: p for m, p in profiles.items() if p}, best)


def _profile(record: Record, model: str, compute: bool) -> np.ndarray | None:
    """A run's profile, from its record or, if asked for and possible, from its model."""
    if record.diverged:
        return None
    profile = stored(record)
    if profile is None and compute and MODEL in record.result["files"]:
        name = f"importance of {model}, seed {record.spec.seed}"
        profile = measure(
            record.model(), record.spec, lambda batches: tqdm(batches, desc=name, leave=False)
        )
    return profile
