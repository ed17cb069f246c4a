"""Figures 3 and 4, over positions: importance profiles and positional weights."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.analysis.figures import STYLE, closed, colour_of, heading, plain_log
from sfc_lib.analysis.importance import NUMBERS, PANELS, Importance, describe, normalise
from sfc_lib.analysis.results import Results
from sfc_lib.analysis.weights import Clusters, by_strength, cluster, roughness_by_run, shown

ORIGINAL, MIRROR = "#1f4fd8", "#2ca02c"  # blue and green, as in the paper
SCALE = "RdBu_r"
COLUMNS = 3  # panels side by side that stay legible on a page
LABELLED = 0.03  # share of all rows from which on there is room for a cluster's size
TENFOLD = 10
CLIPPED = 99.5  # percentile of the absolute weights at which the colours end


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


def weight_panels(results: Sequence[Results]) -> Figure:
    """Figure 4: `W_pos` of the best seed at each strength of CR, rows sorted by cluster.

    One row an experiment, one column a strength (experiments side by side if all have just
    one); all on one colour scale. Lines part the clusters, the numbers beside the larger
    ones are their rows.
    """
    panels = [
        (
            f"{heading(result, 34)}\nCR {strength:g}, best seed: {record.spec.seed}",
            cluster(record.positional_weights()),
        )
        for result in shown(results)
        for strength, record in by_strength(result).items()
    ]
    columns = max((len(by_strength(result)) for result in shown(results)), default=1)
    columns = columns if columns > 1 else max(1, len(panels))
    rows = max(1, -(-len(panels) // columns))
    top = colour_limit([clusters for _, clusters in panels])
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(1.6 + 2.4 * max(columns, 2), 0.4 + 4.2 * rows),
            squeeze=False,
            layout="constrained",
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, clusters) in zip(grid.flat, panels, strict=False):
            _heat_map(axes, clusters, top)
            axes.set_title(title, fontsize=9)
        for axes in grid[:, 0]:
            axes.set_ylabel("neurons of the SFC layer")
        bar = ScalarMappable(Normalize(-top, top), SCALE)
        figure.colorbar(bar, ax=grid, label="weight, rows of unit magnitude", shrink=0.7)
    return closed(figure)


def roughness_by_strength(results: Sequence[Results]) -> Figure:
    """Roughness of `W_pos` at each strength of CR: a dot a seed, bars are medians.

    The axis is logarithmic where strengths differ tenfold or more.
    """
    kept = shown(results)
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1,
            max(1, len(kept)),
            figsize=(1 + 3.4 * max(1, len(kept)), 3),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axes, result in zip(row[0], kept, strict=False):
            strengths = by_strength(result)
            labels = {r.spec.id: m for m, records in result.records.items() for r in records}
            models = [labels[record.spec.id] for record in strengths.values()]
            runs = roughness_by_run(result)
            for place, model in enumerate(models):
                values = runs.loc[runs.model == model, "roughness"].to_numpy()
                _dots(axes, place, values, colour_of("symm"))
            axes.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
            axes.set_xlim(-0.7, len(strengths) - 0.3)
            drawn = runs.roughness[runs.model.isin(models) & (runs.roughness > 0)]
            _scale(axes, drawn.to_numpy())
            axes.set(xlabel="strength of CR", title=heading(result, 34))
            axes.title.set_fontsize(10)
        row[0, 0].set_ylabel("roughness of $W_{pos}$")
    return closed(figure)


def colour_limit(clusters: Sequence[Clusters]) -> float:
    """Absolute weight at which one colour scale for all panels ends."""
    values = [np.abs(item.rows).ravel() for item in clusters]
    return float(np.percentile(np.concatenate(values), CLIPPED)) if values else 1.0


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


def _heat_map(axes: Axes, clusters: Clusters, top: float) -> None:
    length = clusters.rows.shape[1]
    axes.imshow(
        clusters.rows, cmap=SCALE, vmin=-top, vmax=top, aspect="auto", interpolation="nearest"
    )
    axes.hlines(clusters.boundaries - 0.5, -0.5, length - 0.5, color="black", lw=1.2)
    middles = np.cumsum(clusters.sizes) - clusters.sizes / 2 - 0.5
    for middle, size in zip(middles, clusters.sizes, strict=True):
        if size < LABELLED * len(clusters.rows):
            continue
        axes.text(length - 0.2, middle, str(size), fontsize=7, va="center")
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("position after pooling")


def _scale(axes: Axes, values: np.ndarray) -> None:
    """An axis from 0, or a logarithmic one where the values differ tenfold or more."""
    kept = values[np.isfinite(values)]
    if len(kept) and kept.max() >= TENFOLD * kept.min() > 0:
        plain_log(axes, "y", (1, 3))
    else:
        axes.set_ylim(bottom=0)


def _dots(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    """A bar to the median and a dot a run."""
    if not len(values):
        return
    axes.bar(place, np.median(values), width=0.6, color=colour, alpha=0.75)
    spots = place + np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else [place]
    axes.scatter(spots, values, s=14, color="white", edgecolor="black", linewidth=0.7, zorder=3)
