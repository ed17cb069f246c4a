"""Positional weights as Figure 4 shows them: normalised rows, clusters, roughness.

"Rows were mean-normalized to have unit magnitude" can be read in two ways. Here each row has
its mean subtracted and is then divided by its Euclidean norm: so do the authors where they
use both words for code of theirs (TF-MoDISco chains a MeanNormalizer, which subtracts the
mean, and a MagnitudeNormalizer, which divides by the norm).

Figures 3 and 4, over positions: importance profiles and positional weights.

The interactive Figure 4: a slider over the strengths of CR, with plotly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.pages.book import PLOTLY, PLOTLY_MIME
from sfc_lib.pages.results import Results
from sfc_lib.pages.style import STYLE, _dots, _scale, closed, colour_of, heading
from sfc_lib.runs.store import Record, best_seeds

CLUSTERS = 10
VARIANT = "symm"  # symmetry was enforced for all models of Figure 4


def normalise_rows(weights: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and Euclidean norm 1, float64; a constant row becomes zeros.

    Example:

    >>> normalise_rows(np.array([[1.0, 3.0], [5.0, 5.0]])).round(3).tolist()
    [[-0.707, 0.707], [0.0, 0.0]]
    """
    rows = np.asarray(weights, dtype=np.float64)
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


def cluster(weights: np.ndarray, count: int = CLUSTERS) -> Clusters:
    """Normalise the rows of `W_pos`, (units, length), and sort them by k-means cluster.

    The random state is fixed; inside a cluster rows keep the layer's order. There are fewer
    clusters where there are fewer different rows.

    Example:

    >>> cluster(np.array([[0, 1, 0], [1, 0, 0], [0, 3, 0], [0, 2, 0]]), 2).neurons.tolist()
    [0, 2, 3, 1]
    """
    from sklearn.cluster import KMeans

    rows = normalise_rows(weights)
    count = min(count, len(np.unique(rows.round(9), axis=0)))
    labels = KMeans(count, n_init=10, random_state=0).fit_predict(rows)
    sizes = np.bincount(labels, minlength=count)
    ranks = np.argsort(-sizes, kind="stable")  # labels, the largest cluster first
    neurons = np.argsort(np.argsort(ranks)[labels], kind="stable")
    return Clusters(rows[neurons], neurons, sizes[ranks])


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


def roughness_by_run(results: Results) -> pd.DataFrame:
    """One row a finished run with an SFC layer: model, seed, curvature, roughness."""
    rows = [
        (model, r.spec.seed, r.spec.curvature, _roughness(r))
        for model, records in results.records.items()
        for r in records
        if r.spec.variant != "std" and not r.diverged
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "curvature", "roughness"])


def by_strength(results: Results) -> dict[float, Record]:
    """The best seed with a symmetric layer at each strength of CR, weakest first."""
    records = [r for group in results.records.values() for r in group if r.spec.variant == VARIANT]
    best = sorted(best_seeds(records), key=lambda r: (r.spec.curvature, r.result["valid"]["auroc"]))
    return {record.spec.curvature: record for record in best}  # the last of equals, the best


def shown(results: Sequence[Results]) -> list[Results]:
    """Experiments for Figure 4: those with several strengths of CR; if none, all with one."""
    strengths = {id(result): len(by_strength(result)) for result in results}
    most = min(2, max(strengths.values(), default=0))
    return [result for result in results if strengths[id(result)] >= max(1, most)]


def strengths_line(results: Sequence[Results]) -> str:
    """One Markdown sentence: which strengths of CR the runs have, and what the paper shows."""
    parts = [
        f"{result.title}: CR {', '.join(f'{s:g}' for s in by_strength(result))}"
        for result in shown(results)
    ]
    if not parts:
        return "No run of this profile has a symmetric SFC layer, so there is nothing to show."
    line = f"Strengths of curvature regularisation in the runs shown: **{'; '.join(parts)}**."
    if all(len(by_strength(result)) < 2 for result in shown(results)):
        line += (
            " The paper shows 0, 1, 10 and 100 on hematopoiesis data. No run here uses another "
            "strength than 0, so the claim about CR is **not answered** yet."
        )
    return line


def strength_table(results: Sequence[Results]) -> pd.DataFrame:
    """For reading: seeds, roughness over seeds, and cluster sizes of the best one, by strength."""
    rows = []
    for result in shown(results):
        runs = roughness_by_run(result)
        labels = {r.spec.id: m for m, records in result.records.items() for r in records}
        for strength, record in by_strength(result).items():
            values = runs.loc[runs.model == labels[record.spec.id], "roughness"]
            rows.append(
                {
                    "data": result.title,
                    "CR": f"{strength:g}",
                    "seeds": len(values),
                    "roughness: median (min – max)": (
                        f"{values.median():.3f} ({values.min():.3f} – {values.max():.3f})"
                    ),
                    "best seed": record.spec.seed,
                    "rows of its clusters": ", ".join(
                        map(str, cluster(record.positional_weights()).sizes)
                    ),
                }
            )
    return pd.DataFrame(rows)


def _roughness(record: Record) -> float:
    return roughness(record.positional_weights(), record.spec.variant == VARIANT)


SCALE = "RdBu_r"
COLUMNS = 3  # panels side by side that stay legible on a page
LABELLED = 0.03  # share of all rows from which on there is room for a cluster's size
CLIPPED = 99.5  # percentile of the absolute weights at which the colours end


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


HEIGHT = 560  # pixels


class Interactive:
    """A plotly figure for a page of the book, where plotly.js lies beside the pages.

    JupyterLab shows the same figure with its own plotly.js.
    """

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        html = self.figure.to_html(
            include_plotlyjs=False,
            full_html=False,
            div_id="sfc-interactive",  # drawn at random otherwise: the same page, other bytes
            config={"displaylogo": False, "responsive": True},
        )
        script = f'<script src="../{PLOTLY}"></script>'
        return {
            "text/html": f'<div class="sfc-interactive">{script}{html}</div>',
            PLOTLY_MIME: json.loads(self.figure.to_json()),
        }


def weight_slider(results: Sequence[Results]) -> Interactive | None:
    """`W_pos` by cluster with a slider over CR; None where no run has a symmetric layer.

    Of several experiments the first is shown. Point at a cell for its neuron, position and
    weight; zoom by dragging.
    """
    import plotly.graph_objects as go

    kept = shown(results)
    if not kept:
        return None
    panels = {s: cluster(r.positional_weights()) for s, r in by_strength(kept[0]).items()}
    top = colour_limit(list(panels.values()))
    traces = [_trace(go, panel, top, visible=not i) for i, panel in enumerate(panels.values())]
    titles = [_title(kept[0], panel) for panel in panels.values()]
    steps = [
        _step(i, len(panels), strength, panel, titles[i])
        for i, (strength, panel) in enumerate(panels.items())
    ]
    figure = go.Figure(traces)
    figure.update_layout(
        **steps[0]["args"][1],
        height=HEIGHT,
        margin={"l": 50, "r": 10, "t": 50, "b": 40},
        xaxis={"title": "position after pooling"},
        yaxis={
            "title": "neurons of the SFC layer",
            "autorange": "reversed",
            "showticklabels": False,
        },
        sliders=[
            {"steps": steps, "currentvalue": {"prefix": "strength of CR: "}, "pad": {"t": 40}}
        ],
    )
    return Interactive(figure)


def _trace(go: Any, clusters: Clusters, top: float, visible: bool) -> Any:
    return go.Heatmap(
        z=clusters.rows.astype(np.float32),
        customdata=np.repeat(clusters.neurons[:, None], clusters.rows.shape[1], axis=1),
        hovertemplate="neuron %{customdata}<br>position %{x}<br>weight %{z:.3f}<extra></extra>",
        colorscale="RdBu_r",
        zmin=-top,
        zmax=top,
        visible=visible,
        colorbar={"title": {"text": "weight"}, "thickness": 12},
    )


def _title(result: Results, clusters: Clusters) -> str:
    sizes = ", ".join(map(str, clusters.sizes))
    return f"{result.title}<br>rows of the clusters: {sizes}"


def _step(
    index: int, count: int, strength: float, clusters: Clusters, title: str
) -> dict[str, Any]:
    """Slider step: which trace is seen, with the lines between its clusters and a title."""
    edge = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"width": 1.5}}
    lines = [{**edge, "y0": y - 0.5, "y1": y - 0.5} for y in clusters.boundaries.tolist()]
    layout = {"shapes": lines, "title": {"text": title, "font": {"size": 11}}}
    visible = {"visible": [other == index for other in range(count)]}
    return {"method": "update", "label": f"{strength:g}", "args": [visible, layout]}
