"""Figure 3: importance profiles, and the three numbers that describe one.

A profile is the mean gradient × input at each position (`sfc_lib.nn.gradients`), raw as in the
paper, or centred. Either is drawn and described in units of the mean size of the *centred*
profile: an offset that is the same at all positions, and the scale of the scores, change none
of the three numbers, and the unit can't vanish because the positions cancel.
"""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.errors import UserError
from sfc_lib.pages.results import Results, by_experiment
from sfc_lib.pages.style import (
    COLUMNS,
    PAGE,
    SMALL,
    STYLE,
    bars,
    closed,
    colour_of,
    from_zero,
    heading,
    spread,
)
from sfc_lib.pages.widget import Widget, packed

NUMBERS = {
    "departure": "departure from uniform",
    "asymmetry": "asymmetry",
    "roughness": "roughness",
}
PANELS = {  # of the paper
    **{"simulated_tf": "3a", "ctcf": "3b", "hematopoiesis": "3c"},
    **{"ctcf_converged": "3b", "hematopoiesis_learnt": "3c"},
}
NOT_IN_FIGURE = ("simulated_accessibility",)  # the paper shows no importance on these data
ORIGINAL, MIRROR = "#1f4fd8", "#2ca02c"  # blue and green, as in the paper
NOISE = "#c62828"
LEAST = np.sqrt(2)  # times its noise is the least number that is measurable


def collect(
    results: Results,
    centred: bool = False,
    seed: int | str = "best",
    task: str | None = None,
    sequences: int | None = None,
) -> pd.DataFrame:
    """Runs of all experiments of Figure 3 that have a profile, and the numbers of each.

    As `Results.profiles` gives them, with the columns of `with_numbers`.

    Args:
        results: What is shown.
        centred: Whether profiles are of the centred gradient.
        seed: The seed that panels show, in place of the one with the best validation auROC.
        task: As for `Results.profiles`.
        sequences: Likewise.
    """
    runs = results.runs[~results.runs.dataset.isin(NOT_IN_FIGURE)]
    tasks = sorted({name for scores in runs.auroc_by_task.dropna() for name in scores})
    if task and task not in tasks:
        raise UserError(f"task: expected one that a run shown has, {tasks}, got {task!r}.")
    found = with_numbers(results.profiles(runs.experiment.unique(), centred, task, sequences))
    return found if seed == "best" else found.assign(best=found.seed == seed, best_seed=seed)


def split_panels(found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those of the paper's panels 3a to 3c, and those on more data of the same kinds."""
    ours = found.experiment.isin(list(PANELS))
    return found[ours], found[~ours]


def coverage(results: Results, found: pd.DataFrame) -> str:
    """One Markdown sentence: of how many runs a profile is known, and why not of all."""
    left_out = results.runs.dataset.isin(NOT_IN_FIGURE)
    runs, left = len(results.runs) - left_out.sum(), results.runs.data[left_out].unique()
    without = f" The paper shows none on these data: {', '.join(left)}." if len(left) else ""
    if len(found) == runs:
        return f"An importance profile is known for all {runs} runs.{without}"
    diverged = results.runs.diverged[~left_out].sum()
    old = runs - len(found) - diverged
    lost = f"the records of {old} carry neither a model nor importance as it is measured now"
    why = "; ".join([f"{diverged} diverged"] * bool(diverged) + [lost] * bool(old))
    return f"An importance profile is known for **{len(found)} of {runs} runs**: {why}.{without}"


def profile_numbers(profile: np.ndarray, region: tuple[int, int], unit: float) -> dict[str, float]:
    """Three numbers of a profile inside a region, in units; each is 0 for a uniform profile.

    - `departure` from uniform: standard deviation over positions.
    - `asymmetry`: mean size of profile − mirror image.
    - `roughness`: mean size of the second differences.

    Args:
        profile: Importance at each position, at least three of them in the region.
        region: 0-based half-open; the mirror image is that of the region.
        unit: Mean size of the centred profile in the region; the numbers of a profile that is
            zero throughout are nan.

    Example:

    >>> found = profile_numbers(np.array([7.0, 1.0, 2.0, 3.0]), (1, 4), 2.0)
    >>> found["asymmetry"]  # (2 + 0 + 2) / 3 positions / 2
    0.6666666666666666
    """
    inside = np.asarray(profile, dtype=np.float64)[slice(*region)] / (unit or np.nan)
    return {
        "departure": float(inside.std()),
        "asymmetry": float(np.abs(inside - inside[::-1]).mean()),
        "roughness": float(np.abs(np.diff(inside, n=2)).mean()),
    }


def with_numbers(profiles: pd.DataFrame) -> pd.DataFrame:
    """Profiles, as of `Results.profiles`, with a column for each of the three numbers.

    And one for the noise of each, `departure_noise` and so on: the same number of the profile's
    sampling error.
    """
    rows = []
    for run in profiles.itertuples():
        region = (run.begin, run.end)
        noise = profile_numbers(run.noise, region, run.unit)
        rows.append(
            profile_numbers(run.profile, region, run.unit)
            | {f"{name}_noise": value for name, value in noise.items()}
        )
    columns = [*NUMBERS, *(f"{name}_noise" for name in NUMBERS)]
    return profiles.join(pd.DataFrame(rows, profiles.index, columns))


def measurable(value: float, noise: float) -> bool:
    """Whether one of the three numbers is signal at least as much as noise.

    `noise` is what the number would be by noise alone; signal that is as large makes it greater by
    the root of two (`LEAST`). True where nothing is known.
    """
    return bool(value > LEAST * noise) or bool(np.isnan(value))


def number_table(found: pd.DataFrame) -> pd.DataFrame:
    """For reading: the best seed's numbers; median (min – max) where several have a profile.

    Behind each, the median of its noise, and whether it is not `measurable`.
    """
    rows = []
    for (_, model), runs in found.groupby(["experiment", "model"], sort=False):
        first = runs.iloc[0]
        row = {
            "data": first["data"],
            "model": model,
            "sequences": f"{first.sequences:,}",
            "best seed": first.best_seed,
            "seeds with a profile": f"{len(runs)} of {first.seeds}",
        }
        for number, name in NUMBERS.items():
            parts = [f"{value:.3f}" for value in runs.loc[runs.best, number]]
            noise = runs[f"{number}_noise"].median()
            known = measurable(runs[number].median(), noise)
            row[name] = "; ".join(parts + [spread(runs[number])] * (len(runs) > 1))
            row[name] += f"; noise {noise:.3f}" + ("" if known else ": not measurable")
        rows.append(row)
    return pd.DataFrame(rows)


def importance_panels(found: pd.DataFrame, mirror: bool = True) -> Figure:
    """Figure 3: the best seed's profile of each model and, in green, its mirror image.

    An experiment begins on a new row. The unit is the mean size of the centred profile in the
    region between the grey ends, which not every base of a motif can reach. The band is the
    noise: twice the standard error of a position's mean, averaged over positions. All panels
    of an experiment have one scale. Without `mirror` there is no mirror image.
    """
    rows = [
        (runs, runs.iloc[start : start + COLUMNS])
        for runs in by_experiment(found[found.best])
        for start in range(0, len(runs), COLUMNS)
    ]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            max(1, len(rows)),
            COLUMNS,
            figsize=(PAGE, 0.4 + 1.85 * max(1, len(rows))),
            squeeze=False,
            layout="constrained",
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for row, (experiment, runs) in zip(grid, rows, strict=False):
            for axes, (_, run) in zip(row, runs.iterrows(), strict=False):
                _panel(axes, run, _limits(experiment), mirror)
            row[0].set_ylabel(_label(runs.iloc[0]), fontsize=SMALL)
        if rows:
            handles, labels = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return closed(figure)


def strength_slider(found: pd.DataFrame) -> Widget | None:
    """The best seed's profile with a slider over the strength of CR (`importance.js`).

    Of the first experiment with symmetric layers of several strengths; None where there is none.
    """
    symmetric = found[found.best & (found.variant == "symm")]
    for runs in by_experiment(symmetric):
        if runs.curvature.nunique() > 1:
            runs = runs.sort_values("curvature")
            panels = [_with_noise(run) for _, run in runs.iterrows()]
            return Widget("importance", "Importance by strength of CR", {"panels": panels})
    return None


def _with_noise(run: pd.Series) -> dict[str, Any]:
    """One profile, in its unit, and its three numbers, each with that of its noise."""
    return {
        "name": f"{run['data']}, {run.model}, seed {run.seed}, task {run.task}",
        "strength": f"{run.curvature:g}",
        "profile": packed(run.profile / (run.unit or np.nan), "int16"),
        "numbers": {name: [run[n], run[f"{n}_noise"]] for n, name in NUMBERS.items()},
    }


def importance_numbers(found: pd.DataFrame) -> Figure:
    """Departure from uniform, asymmetry and roughness: a dot a seed, the best one ringed.

    One row an experiment, one column a number; bars are medians over the seeds that have a
    profile. Lower is better in all three. A line across a bar is the least that is measurable, by
    the median noise. Axes are logarithmic where seeds differ tenfold.
    """
    parts = by_experiment(found)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            max(1, len(parts)),
            len(NUMBERS),
            figsize=(PAGE, 0.4 + 1.6 * max(1, len(parts))),
            squeeze=False,
            layout="constrained",
        )
        for row, runs in zip(grid, parts, strict=False):
            models = list(runs.model.unique())
            for axes, (number, name) in zip(row, NUMBERS.items(), strict=True):
                colours = {model: colour_of(model) for model in models}
                bars(axes, runs, "model", number, models, colours, dots=runs[~runs.best])
                _ring(axes, runs[runs.best], number, models)
                least = LEAST * runs.groupby("model", sort=False)[f"{number}_noise"].median()
                axes.hlines(
                    least,
                    *(
                        [models.index(model) + end for model in least.index]
                        for end in (-0.35, 0.35)
                    ),
                    color=NOISE,
                    lw=1.6,
                    zorder=5,
                )
                from_zero(axes, runs[number])
                if runs is parts[0]:
                    axes.set_title(name)
                if len(models) > 3:
                    axes.tick_params(axis="x", labelrotation=30)
            known, seeds = runs.groupby("model").size().min(), runs.seeds.iat[0]
            of_which = f"\nwith a profile: {known}" if known < seeds else ""
            row[0].set_ylabel(heading(runs, 24) + of_which, fontsize=SMALL)
    return closed(figure)


def _label(run: pd.Series) -> str:
    letter = f" ({PANELS[run.experiment]})" if run.experiment in PANELS else ""
    of = f"{run.task}, {run.sequences:,} sequences"
    return f"{fill(run.title + letter, 26)}\n{fill(of, 26)}"


def _limits(runs: pd.DataFrame) -> tuple[float, float]:
    """Limits of the panels of one experiment: of the profiles shown, with a margin."""
    shapes = [run.profile / run.unit for run in runs.itertuples() if run.unit > 0]
    values = np.concatenate([*shapes, [0.0]])
    margin = 0.05 * np.ptp(values) or 1
    return values.min() - margin, values.max() + margin


def _panel(axes: Axes, run: pd.Series, limits: tuple[float, float], mirror: bool) -> None:
    """One profile with its noise, its mirror image and its three numbers."""
    values, noise = (array / (run.unit or np.nan) for array in (run.profile, run.noise))
    error = 2 * float(np.sqrt(np.mean(noise[run.begin : run.end] ** 2)))
    axes.set_axis_on()
    for left, right in ((0, run.begin), (run.end, len(values))):
        axes.axvspan(left - 0.5, right - 0.5, color="#eeeeee", lw=0)
    axes.axhline(0, color="black", lw=0.5)
    places = np.arange(len(values))
    axes.fill_between(places, values - error, values + error, color=ORIGINAL, alpha=0.15, lw=0)
    axes.plot(values, color=ORIGINAL, lw=1, label="original", zorder=3)
    if mirror:
        axes.plot(values[::-1], color=MIRROR, lw=1, label="mirror image")
    axes.set_title(
        f"{run.model}, seed {run.seed}\ndeparture {run.departure:.2f}\n"
        f"asymmetry {run.asymmetry:.2f}, roughness {run.roughness:.3f}",
        fontsize=SMALL,
    )
    axes.set(xlim=(0, len(values) - 1), ylim=limits, xlabel="position, bp")


def _ring(axes: Axes, best: pd.DataFrame, number: str, models: list[str]) -> None:
    """The best seed of each model in the middle of its bar, with a ring around it."""
    places = best.model.map(models.index)
    for size, face in ((14, "white"), (90, "none")):
        axes.scatter(places, best[number], size, facecolor=face, edgecolor="black", zorder=4)
