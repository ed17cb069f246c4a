"""The interactive Figure 4: a slider over the strengths of CR, with plotly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sfc_lib.analysis.book import PLOTLY, PLOTLY_MIME
from sfc_lib.analysis.profiles import colour_limit
from sfc_lib.analysis.results import Results
from sfc_lib.analysis.weights import Clusters, by_strength, cluster, shown

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
