"""Importance profiles of an experiment's runs, and the three numbers that describe one.

A profile is the mean gradient × input at each position (`sfc_lib.nn.gradients`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from sfc_lib.pages.results import Results
from sfc_lib.pages.style import COLUMNS, STYLE, _dots, _scale, closed, colour_of, heading
from sfc_lib.runs.evaluation import Target, count_of, profile_of, target
from sfc_lib.runs.store import best_seeds

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


ORIGINAL, MIRROR = "#1f4fd8", "#2ca02c"  # blue and green, as in the paper


def importance_panels(found: Sequence[Importance]) -> Figure:
    """Figure 3: the best seed's profile of each model and, in green, its mirror image.

    An experiment begins on a new row. A profile is divided by its mean absolute value in the
    region between the grey ends, which not every base of a motif can reach; so 1 is a
    uniform one. All panels of an experiment have one scale.
    """
    rows = [
        (item, list(item.best)[start : start + COLUMNS])
        for item in found
        for start in range(0, len(item.best), COLUMNS)
    ]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            max(1, len(rows)),
            COLUMNS,
            figsize=(1 + 2.9 * COLUMNS, 0.6 + 2.7 * max(1, len(rows))),
            squeeze=False,
            layout="constrained",
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for row, (item, models) in zip(grid, rows, strict=False):
            for axes, model in zip(row, models, strict=False):
                if item.best[model] in item.profiles.get(model, {}):
                    _panel(axes, item, model)
            experiment = item.results.experiment
            letter = f" ({PANELS[experiment.name]})" if experiment.name in PANELS else ""
            of = f"{item.target.task}, {item.sequences:,} sequences"
            row[0].set_ylabel(
                f"{fill(item.results.title + letter, 34)}\nimportance, {of}", fontsize=9
            )
        drawn = next((axes for axes in grid.flat if axes.lines), None)
        if drawn:
            handles, labels = drawn.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return closed(figure)


def importance_numbers(found: Sequence[Importance]) -> Figure:
    """Departure from uniform, asymmetry and roughness: a dot a seed, the best one ringed.

    One row an experiment, one column a number; bars are medians over the seeds that have a
    profile. Lower is better in all three. Axes are logarithmic where seeds differ tenfold.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            max(1, len(found)),
            len(NUMBERS),
            figsize=(9.4, 0.4 + 2.4 * max(1, len(found))),
            squeeze=False,
            layout="constrained",
        )
        for row, item in zip(grid, found, strict=False):
            table = item.numbers()
            for axes, (number, name) in zip(row, NUMBERS.items(), strict=True):
                for place, model in enumerate(item.best):
                    runs = table[table.model == model]
                    _dots(axes, place, runs[number].to_numpy(), colour_of(model))
                    best = runs.loc[runs.best, number]
                    ring = {"s": 90, "facecolor": "none", "edgecolor": "black", "zorder": 4}
                    axes.scatter([place] * len(best), best, **ring)
                axes.set_xticks(range(len(item.best)), list(item.best))
                if len(item.best) > 3:
                    axes.tick_params(axis="x", labelrotation=30)
                _scale(axes, table[number].to_numpy())
                axes.set_title(name, fontsize=10)
            row[0].set_ylabel(heading(item.results, 28), fontsize=9)
    return closed(figure)


def _panel(axes: Axes, item: Importance, model: str) -> None:
    """One profile with its mirror image and its three numbers."""
    region, seed = item.target.region, item.best[model]
    best = {m: p[item.best[m]] for m, p in item.profiles.items() if item.best[m] in p}
    shapes = {m: normalise(profile, region) for m, profile in best.items()}
    values, length = shapes[model], len(shapes[model])
    axes.set_axis_on()
    for left, right in ((0, region[0]), (region[1], length)):
        axes.axvspan(left - 0.5, right - 0.5, color="#eeeeee", lw=0)
    axes.axhline(0, color="black", lw=0.5)
    axes.plot(values, color=ORIGINAL, lw=1, label="original", zorder=3)
    axes.plot(values[::-1], color=MIRROR, lw=1, label="mirror image")
    numbers = describe(best[model], region)
    axes.set_title(
        f"{model}, seed {seed}\ndeparture {numbers['departure']:.2f}, "
        f"asymmetry {numbers['asymmetry']:.2f}\nroughness {numbers['roughness']:.3f}",
        fontsize=9,
    )
    low, high = (limit([np.nan_to_num(v) for v in shapes.values()]) for limit in (np.min, np.max))
    margin = 0.05 * (high - low) or 1
    axes.set(xlim=(0, length - 1), ylim=(low - margin, high + margin), xlabel="position, bp")
