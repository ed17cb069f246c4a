"""Figure 4: positional weights as normalised rows in clusters, and their roughness.

"Rows were mean-normalized to have unit magnitude" can be read in two ways. Here each row has
its mean subtracted and is then divided by its Euclidean norm: so do the authors where they
use both words for code of theirs (TF-MoDISco chains a MeanNormalizer, which subtracts the
mean, and a MagnitudeNormalizer, which divides by the norm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from sfc_lib.errors import UserError
from sfc_lib.pages.results import Results, by_experiment
from sfc_lib.pages.style import (
    PAGE,
    SMALL,
    STYLE,
    bars,
    closed,
    colour_of,
    from_zero,
    heading,
    short,
    spread,
)
from sfc_lib.pages.widget import Widget, packed

CLUSTERS = 10
NORMALISATIONS = ("mean and norm", "norm", "none")  # of rows: as the authors, and others
WEIGHT = {
    "mean and norm": "weight, rows of unit magnitude",
    "norm": "weight, rows of norm 1",
    "none": "weight",
}
STARTS = 50  # of k-means, of which the best is shown
STATES = 20  # random states whose clusters are compared
STABLE = 0.8  # adjusted Rand index from which on clusters are called stable: our choice
VARIANT = "symm"  # symmetry was enforced for all models of Figure 4
SCALE = "RdBu_r"
WIDEST = 4  # panels of one experiment side by side
LABELLED = 0.04  # share of all rows from which on there is room for a cluster's size
CLIPPED = 99.5  # percentile of the absolute weights at which the colours end
COUNTS = (2, 4, 6, 8, CLUSTERS, 12, 15)  # of clusters that the slider offers


@dataclass(frozen=True)
class View:
    """What of `W_pos` is shown, and how its rows are sorted.

    Args:
        strengths: Of CR; none for all.
        clusters: The most that k-means may find.
        random_state: Of k-means.
        normalisation: One of `NORMALISATIONS`, for heat maps and clusters.
    """

    strengths: tuple[float, ...] = ()
    clusters: int = CLUSTERS
    random_state: int = 0
    normalisation: str = NORMALISATIONS[0]


VIEW = View()


def normalise_rows(weights: np.ndarray, how: str = NORMALISATIONS[0]) -> np.ndarray:
    """Rows with mean 0 and Euclidean norm 1, float64; a constant row becomes zeros.

    With `how="norm"` rows keep their mean, with `how="none"` all is as the layer has it.

    Example:

    >>> normalise_rows(np.array([[1.0, 3.0], [5.0, 5.0]])).round(3).tolist()
    [[-0.707, 0.707], [0.0, 0.0]]
    """
    rows = np.asarray(weights, dtype=np.float64)
    if how == "none":
        return rows
    if how != "norm":
        rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = norms <= 1e-6 * np.abs(weights).max(initial=0)  # nothing but rounding
    return np.where(flat, 0.0, rows / np.where(flat, 1.0, norms))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Normalised rows sorted by cluster, the largest cluster first.

    `rows`: (units, length). `neurons`: the row of `W_pos` each came from. `sizes`: rows of
    each cluster, in their order; they add up to all rows.
    """

    rows: np.ndarray
    neurons: np.ndarray
    sizes: np.ndarray

    @property
    def boundaries(self) -> np.ndarray:
        """Rows before which a new cluster begins, without the first."""
        return np.cumsum(self.sizes)[:-1]


def cluster(weights: np.ndarray, view: View = VIEW) -> Clusters:
    """Normalise the rows of `W_pos`, (units, length), and sort them by k-means cluster.

    Inside a cluster rows keep the layer's order. There are fewer clusters where there are fewer
    different rows.

    Example:

    >>> toy = np.array([[0, 1, 0], [1, 0, 0], [0, 3, 0], [0, 2, 0]])
    >>> cluster(toy, View(clusters=2)).neurons.tolist()
    [0, 2, 3, 1]
    """
    rows = normalise_rows(weights, view.normalisation)
    labels = _labels(rows, view.clusters, view.random_state)
    sizes = np.bincount(labels)
    ranks = np.argsort(-sizes, kind="stable")  # labels, the largest cluster first
    neurons = np.argsort(np.argsort(ranks)[labels], kind="stable")
    return Clusters(rows[neurons], neurons, sizes[ranks])


def stability(weights: np.ndarray, view: View = VIEW, states: int = STATES) -> float:
    """How far the clusters of `W_pos` depend on k-means' random state.

    The median adjusted Rand index over all pairs of `states` random states, each the best of
    `STARTS` starts: 1 if all find the same clusters, about 0 if they agree as chance would.

    Example:

    >>> stability(np.repeat([[0, 0, 1], [1, 0, 0]], 5, axis=0), View(clusters=2))
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    rows = normalise_rows(weights, view.normalisation)
    found = [_labels(rows, view.clusters, state) for state in range(states)]
    return float(np.median([adjusted_rand_score(*pair) for pair in combinations(found, 2)]))


def _labels(rows: np.ndarray, count: int, state: int) -> np.ndarray:
    """The k-means cluster of each row: at most `count`, fewer where fewer rows are different."""
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(rows.round(9), axis=0)))
    with threadpool_limits(1):  # on rows this few, threads wait for each other
        return KMeans(count, n_init=STARTS, random_state=state).fit_predict(rows)


def roughness(weights: np.ndarray, symmetric: bool) -> float:
    """Mean size of second differences along the normalised rows, 0 for straight ones.

    Of a symmetric layer only the stored half counts, as in curvature regularisation: it may
    bend at the centre. Rows that are constant count as straight.

    Args:
        weights: The whole `W_pos`, (units, length).
        symmetric: Whether it is mirrored.
    """
    rows = normalise_rows(weights)
    stored = -(-rows.shape[1] // 2) if symmetric else rows.shape[1]
    if stored < 3:
        raise ValueError(f"roughness needs 3 positions or more, got {stored}.")
    return float(np.abs(np.diff(rows[:, :stored], n=2, axis=1)).mean())


def roughness_by_run(weights: pd.DataFrame) -> pd.DataFrame:
    """Finished runs with `W_pos`, as of `Results.weights`, with a column `roughness`."""
    runs = weights[~weights.diverged]
    pairs = zip(runs.W_pos, runs.variant == VARIANT, strict=True)
    return runs.assign(roughness=[roughness(*pair) for pair in pairs])


def shown(results: Results, view: View = VIEW) -> pd.DataFrame:
    """The best run with a symmetric layer at each strength of CR, weakest first.

    Then at each limit of the curvature constraint, the loosest first. Of experiments with several
    strengths; if there are none, of all with one.

    Raises:
        UserError: There is no run with a strength of the view.
    """
    runs = results.weights[results.weights.best & (results.weights.variant == VARIANT)]
    if view.strengths:
        known = sorted(set(runs.curvature))
        if missing := set(view.strengths) - set(known):
            raise UserError(
                f"strengths: expected some of {[f'{k:g}' for k in known]}, those that runs have, "
                f"got {', '.join(f'{value:g}' for value in sorted(missing))}."
            )
        runs = runs[runs.curvature.isin(view.strengths)]
    parts = [
        part.sort_values("auroc")
        .drop_duplicates(["curvature", "limit"], keep="last")
        .sort_values(["limit", "curvature"], ascending=[False, True], na_position="first")
        for part in by_experiment(runs)
    ]
    most = min(2, max(map(len, parts), default=0))
    return pd.concat([part for part in parts if len(part) >= most] or [runs])


def strengths_line(results: Results, view: View = VIEW) -> str:
    """One Markdown sentence: which strengths of CR the runs have, and what the paper shows."""
    kept = by_experiment(shown(results, view))
    if not kept:
        return "No run of this size has a symmetric SFC layer, so there is nothing to show."
    parts = [f"{runs['data'].iat[0]}: CR {', '.join(_strengths(runs))}" for runs in kept]
    line = f"Strengths of curvature regularisation in the runs shown: **{'; '.join(parts)}**."
    if max(map(len, kept)) < 2:
        line += (
            " The paper shows 0, 1, 10 and 100 on hematopoiesis data. No run here uses another "
            "strength than 0, so the claim about CR is **not answered** yet."
        )
    return line


def strength_table(results: Results, view: View = VIEW) -> pd.DataFrame:
    """For reading: seeds, roughness over seeds, and cluster sizes of the best one, by strength."""
    rows = []
    for runs in by_experiment(shown(results, view)):
        table = _seeds_of(runs, results)
        for run in runs.itertuples():
            values = table.roughness[table.model == run.model]
            rows.append(
                {
                    "data": run.data,
                    "CR": f"{run.curvature:g}",
                    "seeds": len(values),
                    "roughness: median (min – max)": spread(values),
                    "best seed": run.seed,
                    "rows of its clusters": _sizes(cluster(run.W_pos, view)),
                }
            )
    return pd.DataFrame(rows)


def weight_panels(results: Results, view: View = VIEW) -> Figure:
    """Figure 4: `W_pos` of the best seed at each strength of CR, rows sorted by cluster.

    One row an experiment, one column a strength (experiments side by side if all have just
    one; an experiment alone with more than `WIDEST` in two rows); all on one colour scale.
    Lines part the clusters, the numbers beside the larger ones are their rows. Where a model has
    fewer seeds than its experiment, their number is told.
    """
    runs = shown(results, view)
    panels = [cluster(weights, view) for weights in runs.W_pos]
    columns = max(map(len, by_experiment(runs)), default=1)
    columns = columns if columns > 1 else max(1, len(panels))
    if (one := runs.experiment.nunique() == 1) and columns > WIDEST:
        columns = -(-columns // 2)
    rows = max(1, -(-len(panels) // columns))
    top = colour_limit(panels)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(min(PAGE, 1.6 + 2.4 * max(columns, 2)), 0.4 + 3.6 * rows),
            squeeze=False,
            layout="constrained",
            dpi=300,  # of the cells, which are stored as an image
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if one:  # then all panels share their heading
            figure.suptitle(heading(runs, 90), fontsize=SMALL)
        for place, (axes, clusters) in enumerate(zip(grid.flat, panels, strict=False)):
            heat_map(axes, clusters, top)
            run = runs.iloc[[place]]
            title = f"{_named(run.iloc[0])}, {_best_seed(run.iloc[0], results)}"
            axes.set_title(title if one else f"{heading(run, 26)}\n{title}", fontsize=SMALL)
        for axes in grid[:, 0]:
            axes.set_ylabel("neurons of the SFC layer")
        bar = ScalarMappable(Normalize(-top, top), SCALE)
        figure.colorbar(bar, ax=grid, label=WEIGHT[view.normalisation], shrink=0.7)
    return closed(figure)


def stability_line(results: Results, view: View = VIEW) -> str:
    """One Markdown sentence: how far the clusters of each panel depend on chance."""
    runs = shown(results, view)
    if runs.empty:
        return ""
    several = runs.title.nunique() > 1
    found = {
        f"CR {run.curvature:g}" + f" ({run.title})" * several: stability(run.W_pos, view)
        for run in runs.itertuples()
    }
    parts = [f"{value:.2f} at {name}" for name, value in found.items()]
    line = (
        f"Adjusted Rand index between {STATES} random states of k-means, median over pairs (1: the "
        f"same clusters, 0: chance): {'; '.join(parts)}."
    )
    unstable = [name for name, value in found.items() if value < STABLE]
    if unstable:
        line += (
            f" Under {STABLE} other random states find other clusters: those at "
            f"{', '.join(unstable)} are **a way to sort rows, not kinds of neurons**."
        )
    return line


def roughness_by_strength(results: Results, view: View = VIEW) -> Figure:
    """Roughness of `W_pos` at each strength of CR: a dot a seed, bars are medians.

    The axis is logarithmic where strengths differ tenfold or more.
    """
    kept = by_experiment(shown(results, view))
    columns = max(1, len(kept))
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1,
            columns,
            figsize=(min(PAGE, 1 + 3.4 * columns), 2.6),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axes, runs in zip(row[0], kept, strict=False):
            table, models = _seeds_of(runs, results), list(runs.model)
            colours = dict.fromkeys(models, colour_of(VARIANT))
            bars(axes, table, "model", "roughness", models, colours)
            axes.set_xticks(range(len(runs)), _strengths(runs))
            axes.set_xlim(-0.7, len(runs) - 0.3)
            from_zero(axes, table.roughness[table.roughness > 0])
            axes.set_xlabel("strength of CR")
            axes.set_title(heading(runs, 34))
        row[0, 0].set_ylabel("roughness of $W_{pos}$")
    return closed(figure)


def colour_limit(clusters: Sequence[Clusters]) -> float:
    """Absolute weight at which one colour scale for all panels ends."""
    values = [np.abs(item.rows).ravel() for item in clusters]
    return float(np.percentile(np.concatenate(values), CLIPPED)) if values else 1.0


def weight_slider(results: Results, view: View = VIEW) -> Widget | None:
    """`W_pos` by cluster with sliders over CR and the number of clusters (`weights.js`).

    None where no run has a symmetric layer. Of several experiments the first is shown.
    """
    kept = by_experiment(shown(results, view))
    if not kept:
        return None
    counts = sorted({*COUNTS, view.clusters})
    panels = [_clustered(run, counts, view) for run in kept[0].itertuples()]
    top = colour_limit([cluster(weights, view) for weights in kept[0].W_pos])
    values = {"panels": panels, "counts": counts, "count": view.clusters, "top": top}
    return Widget("weights", "Positional weights by strength of CR and number of clusters", values)


def _clustered(run: Any, counts: Sequence[int], view: View) -> dict[str, Any]:
    """A run's rows in the layer's order, and of each number of clusters their order and sizes."""
    found = [cluster(run.W_pos, replace(view, clusters=count)) for count in counts]
    rows = normalise_rows(run.W_pos, view.normalisation)
    return {
        "name": f"{run.data}, {run.model}, seed {run.seed}",
        "strength": f"{run.curvature:g}",
        "units": rows.shape[0],
        "length": rows.shape[1],
        "values": packed(rows, "int16"),
        "clusters": [{"order": c.neurons.tolist(), "sizes": c.sizes.tolist()} for c in found],
    }


def _named(run: pd.Series) -> str:
    """Strength of CR, or where there is one the limit of the constraint."""
    limit = run.limit
    return f"CR {run.curvature:g}" if pd.isna(limit) else f"limit {short(limit, 'g')}"


def _best_seed(run: pd.Series, results: Results) -> str:
    runs = results.runs
    count = ((runs.experiment == run.experiment) & (runs.model == run.model)).sum()
    return f"best of {count}: seed {run.seed}" if count < run.seeds else f"best seed: {run.seed}"


def _strengths(runs: pd.DataFrame) -> list[str]:
    return [f"{strength:g}" for strength in runs.curvature]


def _sizes(clusters: Clusters) -> str:
    return ", ".join(map(str, clusters.sizes))


def _seeds_of(runs: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Roughness of all seeds of the models of one experiment that are shown."""
    weights = results.weights
    same = weights.experiment == runs.experiment.iat[0]
    return roughness_by_run(weights[same & weights.model.isin(runs.model)])


def heat_map(axes: Axes, clusters: Clusters, top: float) -> None:
    """Draw sorted rows, with lines between clusters; colours end at `top`."""
    length = clusters.rows.shape[1]
    step = max(1, round(length / 4 / 5) * 5)
    sns.heatmap(
        clusters.rows,
        vmin=-top,
        vmax=top,
        cmap=SCALE,
        cbar=False,
        xticklabels=step,
        yticklabels=False,
        rasterized=True,
        ax=axes,
    )
    axes.hlines(clusters.boundaries, 0, length, color="black", lw=1.2)
    middles = np.cumsum(clusters.sizes) - clusters.sizes / 2
    for middle, size in zip(middles, clusters.sizes, strict=True):
        if size >= LABELLED * len(clusters.rows):
            axes.text(length + 0.3, middle, str(size), fontsize=SMALL, va="center")
    axes.tick_params(axis="x", labelrotation=0)
    axes.set_xlabel("position after pooling")
