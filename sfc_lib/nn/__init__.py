"""The layer and the networks. They import Keras, and nothing of this library's other rooms.

`torch_layer` imports torch alone; so it is only the name `keras` that brings Keras, and
registers all our classes with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfc_lib.errors import UserError

if TYPE_CHECKING:
    import keras

__all__ = ["keras"]


def __getattr__(name: str) -> Any:
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax", "torch"):
            raise
        raise UserError(
            f"Keras needs {error.name}, which is not installed: "
            f'pip install "sfc_lib[{error.name}]". '
            "Or set KERAS_BACKEND to tensorflow, jax or torch, whichever is installed."
        ) from error
    from sfc_lib.nn import architectures  # noqa: F401  (it imports all layers and models of ours)

    return keras
