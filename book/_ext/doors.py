"""Local Sphinx extension: buttons to the repository and its issues, once its address is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from sfc_lib.pages import doors


def use_address(app: Sphinx, config: Config) -> None:
    """Switch on the theme's buttons by the address in the pyproject.toml beside the book."""
    config.html_theme_options |= doors.theme_options(doors.address(Path(app.srcdir).parent))


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before the theme takes its options."""
    app.connect("config-inited", use_address)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
