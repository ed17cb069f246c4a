"""A picture that answers: drawn by a script of `book/_static` from data that a notebook gives.

The output of a cell holds all it needs, so that JupyterLab shows it too. The book keeps the
data once, beside the pages, and takes script and style from its own `_static`.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from sfc_lib.files import atomic_write
from sfc_lib.pages.notebook import repository

DATA = "widgets"  # folder beside the pages with the data of each
SHARED = "widget"  # script and style that every one of them needs, and which starts them
STEPS = {"int8": 127, "int16": 32_767}  # of packed numbers, up to the largest
PART = re.compile(r'<(script|style) data-book="([a-z_]*)">(.*?)</\1>', re.DOTALL)


class Widget:
    """What `book/_static/NAME.js` draws.

    Args:
        name: Of the script, and of the data in the page: at most one of a name on a page.
        about: What is shown, for those who can't see it.
        data: Plain values, handed to the script as they are.
    """

    def __init__(self, name: str, about: str, data: Any) -> None:
        self.name, self.about, self.data = name, about, data

    def _repr_html_(self) -> str:
        static = repository() / "book" / "_static"
        values = json.dumps(self.data, separators=(",", ":"), allow_nan=False)
        values = values.replace("<", "\\u003c")  # nothing in it may end the script
        data = f'(window.sfcData ??= {{}})["{self.name}"] = {values};'
        parts = [
            f'<style data-book="">{(static / f"{SHARED}.css").read_text()}</style>',
            f'<div class="sfc-widget" data-widget="{self.name}" role="group" '
            f'aria-label="{self.about}">This picture is drawn by a script.</div>',
            f'<script data-book="{self.name}">{data}</script>',
            *(
                f'<script data-book="">{(static / f"{name}.js").read_text()}</script>'
                for name in (self.name, SHARED)
            ),
        ]
        return "".join(parts)


def packed(values: np.ndarray, kind: str) -> dict[str, Any]:
    """Numbers as `step` times whole ones: little-endian, of a kind of `STEPS`, base64 in C order.

    What is not a finite number becomes 0.

    Example:

    >>> packed(np.array([0.0, -2.54]), "int8")
    {'kind': 'int8', 'step': 0.02, 'base64': 'AIE='}
    """
    values = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0, neginf=0)
    step = float(np.abs(values).max(initial=0)) / STEPS[kind] or 1.0
    whole = np.round(values / step).astype(np.dtype(kind).newbyteorder("<"))
    return {"kind": kind, "step": step, "base64": base64.b64encode(whole.tobytes()).decode()}


def move_data(notebook: dict[str, Any], assets: Path) -> None:
    """Move what widgets of an executed notebook hold into files of the book's assets.

    Args:
        notebook: Content of the notebook, changed in place.
        assets: What lies in it ends up beside the pages.
    """

    def moved(part: re.Match[str]) -> str:
        kind, name, content = part.groups()
        if not name:  # the book loads these on every page
            return ""
        with atomic_write(assets / DATA / f"{name}.js") as file:
            file.write(content.encode())
        return f'<{kind} src="../{DATA}/{name}.js"></{kind}>'

    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if html := output.get("data", {}).get("text/html"):
                output["data"]["text/html"] = PART.sub(moved, "".join(html))
