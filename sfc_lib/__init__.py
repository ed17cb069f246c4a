"""Separable fully connected layers for genomics: the layer, the datasets, the replication.

Importing this package is light: Keras and its backend are imported when a name that
needs them is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "SeparableFC": "sfc_lib.nn.layers",
    "Curvature": "sfc_lib.nn.curvature",
    "CurvatureConstraint": "sfc_lib.nn.curvature",
    "build_model": "sfc_lib.nn.architectures",
    "fold_separable": "sfc_lib.nn.folding",
    "match_units": "sfc_lib.nn.architectures",
    "separate": "sfc_lib.nn.separate",
    "to_torch": "sfc_lib.nn.to_torch",
    "load_dataset": "sfc_lib.datasets.base",
    "load_published": "sfc_lib.runs.published",
    "RunSpec": "sfc_lib.runs.spec",
    "ensure": "sfc_lib.runs.pool",
    "sweep": "sfc_lib.runs.pool",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604

if TYPE_CHECKING:
    from sfc_lib.datasets.base import load_dataset
    from sfc_lib.nn.architectures import build_model, match_units
    from sfc_lib.nn.curvature import Curvature, CurvatureConstraint
    from sfc_lib.nn.folding import fold_separable
    from sfc_lib.nn.layers import SeparableFC
    from sfc_lib.nn.separate import separate
    from sfc_lib.nn.to_torch import to_torch
    from sfc_lib.runs.pool import ensure, sweep
    from sfc_lib.runs.published import load_published
    from sfc_lib.runs.spec import RunSpec


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name].startswith("sfc_lib.nn."):
        from sfc_lib.nn import keras  # all our classes are registered with it
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
