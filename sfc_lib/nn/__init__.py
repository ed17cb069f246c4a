"""The layer and the networks. Importing this room registers its classes with Keras.

It imports Keras, and nothing of this library's other rooms.
"""

from sfc_lib.errors import UserError

try:
    import keras
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "jax", "torch"):
        raise
    raise UserError(
        f'Keras needs {error.name}, which is not installed: pip install "sfc_lib[{error.name}]". '
        "Or set KERAS_BACKEND to tensorflow, jax or torch, whichever is installed."
    ) from error

from sfc_lib.nn import architectures, curvature, folding, layers, readouts

__all__ = ["architectures", "curvature", "folding", "keras", "layers", "readouts"]
