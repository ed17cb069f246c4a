"""Pieces of a report's HTML: tables, figures inside the page, numbers."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from sfc_lib.analysis.figures import STYLE


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of text; everything is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def image(figure: Figure, caption: str) -> str:
    """A figure as an image inside the page, with its caption, which is read aloud too."""
    with io.BytesIO() as file, plt.rc_context(STYLE):  # the same figure gives the same bytes
        figure.savefig(file, format="svg", metadata={"Date": None})
        data = base64.b64encode(file.getvalue()).decode()
    text = html.escape(caption)
    image = f'<img alt="{text}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def span(row: Mapping[str, Any], name: str) -> str:
    """The interval of a score; a dash where there is none."""
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    return "–" if np.isnan(low) else f"{score(low)}–{score(high)}"


def score(value: float) -> str:
    """A score between 0 and 1 with three digits, as papers print it."""
    return f"{value:.3f}".removeprefix("0")
