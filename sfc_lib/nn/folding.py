"""SFC + Dense as one Dense: for inference as a model of its own, for training as a path.

Nothing nonlinear stands between the two, so together they are a Dense layer on the
flattened input with kernel E[l, c, j] = Σ_k W_pos[k, l] · W_chan[k, c] · V[k, j], where V is
the Dense kernel. With n SFC neurons before m outputs, computing E once a batch costs less
than n sums per example from B · (n − m) > n · m examples a batch on, never if n ≤ m.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from sfc_lib.errors import UserError
from sfc_lib.nn.graphs import (
    Copies,
    called,
    every_layer,
    free_name,
    functional,
    is_nested,
    named,
    rebuilt,
    values,
)
from sfc_lib.nn.layers import USUAL_BATCH, SeparableFC, outer_products


class Piece(NamedTuple):
    """A part of a vector: the output of an SFC layer, or another vector.

    Attributes:
        sfc: The SFC layer; None of another vector.
        x: The layer's input (batch, length, channels); or the vector itself.
        rows: Where it stands in the whole vector.
    """

    sfc: SeparableFC | None
    x: keras.KerasTensor
    rows: slice


Join = Callable[[layers.Dense, Sequence[Piece], keras.KerasTensor], keras.KerasTensor]


def fold_separable(model: keras.Model) -> keras.Model:
    """A copy of the model with its SFC layers and the Dense behind them replaced by one Dense.

    Its predictions are the same up to rounding, and cost what the same network without SFC
    layers costs. It is for inference: trained on, it is an ordinary Dense layer. A model
    without SFC layer is returned as it is. Outputs of several SFC layers may meet in an Add or
    Concatenate before the Dense; layers may be shared, and stand in nested models. An SFC layer
    within another, as in TimeDistributed, stays as it is, and so does one of a class of yours
    that has a `call` of its own.

    Args:
        model: A functional or sequential Keras model that has its weights.

    Returns:
        The folded model, not compiled, with weights of its own.

    Raises:
        UserError: The model is of another kind, an SFC layer's output goes anywhere but into
            a Dense layer, for instance through an activation or a BatchNormalization, the
            Dense is quantised, or a layer can't be copied.

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3)
    >>> fold_separable(model).count_params()  # that of std
    117503
    """
    functional(model, "fold_separable")
    if not _holds_separable(model):
        return model
    folded: dict[tuple, layers.Dense] = {}
    taken, seen = {layer.name for layer in every_layer(model)}, set()

    def one_dense(dense: layers.Dense, pieces: Sequence[Piece], _) -> keras.KerasTensor:
        if dense.quantization_mode:
            raise UserError(
                f"fold_separable: {dense.name!r} is quantised ({dense.quantization_mode}). "
                "Fold first, then quantise the folded model."
            )
        maps = {id(piece.x): piece for piece in pieces}  # what meets at one input is summed
        order = {x: number for number, x in enumerate(maps)}
        key = (
            id(dense),
            *((id(piece.sfc), piece.rows.start, order[id(piece.x)]) for piece in pieces),
        )
        first = key not in folded
        if first:
            name = free_name(dense.name, taken) if id(dense) in seen else dense.name
            seen.add(id(dense))
            options = {"lora_rank": None, "lora_alpha": None}  # they are in the kernel, merged
            folded[key] = layers.Dense.from_config({**dense.get_config(), "name": name, **options})
        flat = [_flat(piece, dense.name, taken) for piece in maps.values()]
        if len(flat) > 1:
            flat = [layers.Concatenate(name=free_name(f"{dense.name}_inputs", taken))(flat)]
        y = folded[key](flat[0])
        if first:
            folded[key].set_weights(_merged(dense, pieces))
        return y

    return called(_joined(model, Copies("fold_separable"), one_dense, _refuse))


def _holds_separable(model: keras.Model) -> bool:
    return any(map(_is_separable, every_layer(model)))


def _is_separable(layer: Any) -> bool:
    """Whether it computes what an SFC layer does: a subclass's own `call` may do anything."""
    return isinstance(layer, SeparableFC) and type(layer).call is SeparableFC.call


def _flat(piece: Piece, name: str, taken: set[str]) -> keras.KerasTensor:
    if piece.sfc is None:
        return piece.x
    options = {"dtype": piece.sfc.dtype_policy, "name": free_name(f"{name}_flat", taken)}
    return layers.Flatten(data_format="channels_last", **options)(piece.x)


def _merged(dense: layers.Dense, pieces: Sequence[Piece]) -> list:
    """Weights of one Dense on the inputs of all pieces, each once: its kernel, and its bias."""
    kernel = ops.convert_to_tensor(dense.kernel)
    blocks: dict[int, Any] = {}
    for piece in pieces:
        block = kernel[piece.rows]
        if piece.sfc is not None:
            w_pos, w_chan = piece.sfc.positional_weights(), piece.sfc.W_chan
            outer = outer_products(w_pos, ops.convert_to_tensor(w_chan))
            block = ops.matmul(ops.transpose(outer), ops.cast(block, outer.dtype))
        known = id(piece.x) in blocks
        blocks[id(piece.x)] = ops.add(blocks[id(piece.x)], block) if known else block
    merged = values(ops.concatenate(list(blocks.values())))
    return [merged, *([values(dense.bias)] if dense.use_bias else [])]


def _refuse(sfc: SeparableFC, follower: str) -> None:
    raise UserError(
        f"fold_separable: {sfc.name!r} is followed by {follower}, not by a Dense layer, so the "
        "two are not one Dense layer. Only SFC layers directly before a Dense can be folded."
    )


def _joined(model: keras.Model, copies: Copies, join: Join, alone: Callable) -> keras.Model:
    """The model on new inputs, with `join` called for each Dense behind SFC layers.

    `alone` hears of every other use of an SFC layer's output. With copies, nested models are
    rebuilt too.
    """
    owner = copies.owner
    # By id of a vector in the new model: its pieces, the vector, and the Add or Concatenate
    waiting: dict[int, tuple[list[Piece], Any, Any]] = {}
    nested: dict[int, keras.Model] = {}  # rebuilt, by id of the original

    def rebuild(part: keras.Model) -> keras.Model:
        new = rebuilt(part, call, owner)
        for output in new.outputs:
            tell_alone([output], "nothing: it is an output of the model")
        return new

    def tell_alone(tensors, follower):
        for pieces, _, met in (waiting[id(x)] for x in tensors if id(x) in waiting):
            for sfc in (piece.sfc for piece in pieces if piece.sfc is not None):
                alone(sfc, f"the layer {named(met)}" if met else follower)

    def call(layer, *args, **kwargs):
        before = [x for x in keras.tree.flatten((args, kwargs)) if id(x) in waiting]
        if before and type(layer) is layers.Dense:  # a subclass may compute something else
            return join(layer, waiting[id(before[0])][0], before[0])
        if not copies.share and is_nested(layer) and _holds_separable(layer):
            tell_alone(before, f"the model {layer.name!r}")
            if id(layer) not in nested:
                nested[id(layer)] = rebuild(layer)
            return nested[id(layer)](*args, **kwargs)
        y = copies.call(layer, *args, **kwargs)
        if _is_separable(layer):
            waiting[id(y)] = [Piece(layer, args[0], slice(0, layer.units))], y, None
        elif before and (pieces := _met(layer, args[0], waiting)):
            waiting[id(y)] = pieces, y, layer
        else:
            tell_alone(before, f"the layer {named(layer)}")
        return y

    return rebuild(model)


def _met(layer: Any, inputs: Any, waiting: dict) -> list[Piece]:
    """Pieces of the vector that an Add or a Concatenate makes; none for other layers."""
    beside = type(layer) is layers.Concatenate and layer.axis in (-1, 1)
    if not (beside or type(layer) is layers.Add) or len({len(x.shape) for x in inputs}) > 1:
        return []
    if not beside and len({x.shape[-1] for x in inputs}) > 1:  # one is repeated for the other
        return []
    pieces, start = [], 0
    for x in inputs:
        if x.shape[-1] is None:
            return []
        whole = [Piece(None, x, slice(0, x.shape[-1]))]
        for sfc, source, rows in waiting.get(id(x), (whole,))[0]:
            pieces.append(Piece(sfc, source, slice(rows.start + start, rows.stop + start)))
        start += x.shape[-1] if beside else 0
    return pieces


def collapse_pays(batch: int, units: int, outputs: int) -> bool:
    """Whether one collapsed kernel a batch costs less than an SFC layer and a Dense.

    Example:

    >>> collapse_pays(batch=100, units=648, outputs=50), collapse_pays(100, 1000, 1000)
    (True, False)
    """
    return batch * (units - outputs) > units * outputs


class CollapsedPair(layers.Layer):
    """An SFC layer and the Dense behind it, collapsed in each step where that pays.

    It has no weights of its own: `W_pos`, `W_chan` and the Dense kernel are trained as
    they would be one after the other, with the same gradients up to rounding.

    Args:
        sfc: The SFC layer, built.
        dense: The Dense layer behind it, built.
        name: Of this layer.
    """

    def __init__(self, sfc: SeparableFC, dense: layers.Dense, name: str | None = None) -> None:
        # A quantised policy would ask this layer for a quantised call of its own
        policy = (sfc if dense.quantization_mode else dense).dtype_policy
        super().__init__(name=name, dtype=policy)
        self.sfc, self.dense = sfc, dense
        self.built = True

    def call(self, inputs):
        pays = collapse_pays(inputs.shape[0] or USUAL_BATCH, self.sfc.units, self.dense.units)
        apart = self.sfc.activity_regularizer or self.dense.activity_regularizer
        if not pays or apart or self.dense.quantization_mode:  # whose kernel is not in float
            return self.dense(self.sfc(inputs))  # a penalty needs the layer's own output
        x = self.sfc.fold(inputs)  # (batch, stored, channels)
        weights = self.sfc.stored_weights(), self.sfc.W_chan, self.dense.kernel
        w_pos, w_chan, kernel = (ops.cast(w, self.compute_dtype) for w in weights)
        collapsed = ops.matmul(ops.transpose(outer_products(w_pos, w_chan)), kernel)
        y = ops.matmul(ops.reshape(x, (-1, collapsed.shape[0])), collapsed)
        if self.dense.use_bias:
            y = ops.add(y, ops.cast(self.dense.bias, self.compute_dtype))
        return self.dense.activation(y)

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], self.dense.units)


@keras.saving.register_keras_serializable(package="sfc_lib")
class SeparableModel(keras.Model):
    """A functional model that computes each SFC layer and its Dense collapsed where that pays.

    Layers, weights, gradients and what is saved are those of the same `keras.Model`; only
    fewer multiplications are done.

    Example:

    >>> inputs = keras.Input((35, 50))
    >>> SeparableModel(inputs, layers.Dense(50)(SeparableFC(648)(inputs))).count_params()
    87530
    """

    def __init__(self, inputs, outputs, name: str | None = None, **kwargs) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)
        pairs: dict[tuple, CollapsedPair] = {}  # a shared pair is one
        taken = {layer.name for layer in self.layers}

        def collapsed(dense: layers.Dense, pieces: Sequence[Piece], x: keras.KerasTensor):
            sfc, inputs, _ = pieces[0]
            if sfc is None or len(pieces) > 1:
                return dense(x)
            key = id(sfc), id(dense)
            if key not in pairs:
                name = free_name(f"{sfc.name}_{dense.name}", taken)
                pairs[key] = CollapsedPair(sfc, dense, name)
            return pairs[key](inputs)

        copies = Copies("SeparableModel", share=True)
        fast = _joined(self, copies, collapsed, alone=lambda sfc, follower: None)
        self._fast: Callable = lambda: fast  # hidden from Keras, which would track it

    def call(self, inputs, training=None, mask=None):
        return self._fast()(inputs, training=training, mask=mask)

    def export(self, *args, **kwargs):
        """As any model of Keras, also where it was just loaded.

        Raises:
            UserError: A package that the format needs is not installed.
        """
        try:
            return super(SeparableModel, called(self)).export(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise UserError(
                f'export: {error.name} is not installed: pip install "sfc_lib[export]".'
            ) from error


# A model in an .h5 file names its class alone, without our package.
keras.saving.get_custom_objects()["SeparableModel"] = SeparableModel
