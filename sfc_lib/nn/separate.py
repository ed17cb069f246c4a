"""Put SFC layers into a model that somebody already has, in place of Flatten before a Dense."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from sfc_lib.errors import UserError
from sfc_lib.nn.architectures import match_units
from sfc_lib.nn.curvature import Curvature, nonnegative
from sfc_lib.nn.folding import SeparableModel
from sfc_lib.nn.graphs import (
    Copies,
    called,
    every_layer,
    free_name,
    functional,
    is_nested,
    named,
    rebuilt,
    same_inputs,
    values,
)
from sfc_lib.nn.layers import SeparableFC, positive_integer

STARTS = ("fresh", "svd")
SWEEPS = 5  # of alternating least squares after the singular values
DAMPING = 1e-8  # of these, as a part of the mean eigenvalue
EXACT = 1e-12  # relative size of what is nothing
ONE_BY_ONE = (  # what keeps every number of a vector in its place
    *(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.Rescaling),
    *(layers.Identity, layers.ActivityRegularization, layers.Flatten, layers.Reshape),
)


@dataclass(frozen=True)
class Separated:
    """What `separate` did at one place; as text, a sentence.

    Attributes:
        dense: Name of the Dense layer, which it keeps.
        sfc: Name of the new SFC layer before it.
        length: Positions of the map that is flattened.
        channels: Its channels.
        outputs: Neurons of the Dense layer.
        units: SFC neurons.
        weights: Weights of the two layers for this map.
        kept: Share of the sum of squares of the Dense kernel on this map that the new layers'
            joint kernel accounts for, from 0 to 1; None if they start fresh.
    """

    dense: str
    sfc: str
    length: int
    channels: int
    outputs: int
    units: int
    weights: int
    kept: float | None

    def __str__(self) -> str:
        before = self.length * self.channels * self.outputs
        kept = (
            "They start fresh."
            if self.kept is None
            else f"They keep {self.kept:.2%} of the kernel's energy (its sum of squares)."
        )
        return (
            f"{self.dense!r}, {self.outputs:,} neurons on {self.length:,} positions x "
            f"{self.channels:,} channels, had {before:,} weights; {self.sfc!r} of {self.units:,} "
            f"neurons and {self.dense!r} have {self.weights:,}. {kept}"
        )


def separate(
    model: keras.Model,
    units: int | None = None,
    symmetric: bool = False,
    start: str = "fresh",
    *,
    layer: str | None = None,
    curvature: float = 0.0,
    share: bool = False,
    seed: int | None = None,
) -> keras.Model:
    """The same model with an SFC layer wherever a feature map is flattened into a Dense layer.

    A place is a Flatten (or Reshape) of a map (batch, length, channels), and a Dense layer on
    what it gives, directly or behind layers that treat every number by itself (`ONE_BY_ONE`,
    as Dropout) or a Concatenate of several such vectors; each map gets an SFC layer. Maps
    (batch, height, width, channels) count as height · width positions. Places may be in nested
    models, and their layers shared; a TimeDistributed is not entered. `fold_separable` is the
    inverse. A Dense on a flattened map behind anything else stays as it is, with a warning.

    Everything else keeps its weights, its names and whether it is trained. The original is
    not changed. What was done is in the attribute `separated` of the model that is returned,
    one `Separated` a map; print one to read it. Files, pickle and clones do not keep it.

    Args:
        model: A functional or built sequential Keras model.
        units: Neurons of every new SFC layer; by default `match_units` of its place, so that
            the model has no more weights than before.
        symmetric: Whether positional weights are mirrored around the centre.
        start: `"fresh"`: SFC and Dense start anew, and are trained, also where the Dense was
            frozen. `"svd"`: as near to the trained kernel as so many neurons come, by singular
            values and sweeps of least squares; with enough of them the predictions are the
            original's.
        layer: Name of the Dense (or of the Flatten) of the one place to change; None for all.
        curvature: Strength of curvature regularisation on the new `W_pos`.
        share: Whether the layers that stay are the original's own, and so trained with it;
            by default they are copies.
        seed: Of what starts at random; by default Keras's own seed.

    Returns:
        The new model, not compiled. Sequential stays Sequential, a subclass of `keras.Model`
        with `(inputs, outputs, name)` as its arguments its class; others are a `SeparableModel`.

    Raises:
        UserError: No such place, or one that can't be changed, with its name and the reason;
            a layer that can't be copied; no number of neurons that fits.

    Example:

    >>> inputs = keras.Input((35, 50))
    >>> model = keras.Model(inputs, layers.Dense(50, name="fc")(layers.Flatten()(inputs)))
    >>> print(separate(model).separated[0])
    'fc', 50 neurons on 35 positions x 50 channels, had 87,500 weights; 'fc_sfc' of 648 \
neurons and 'fc' have 87,480. They start fresh.
    """
    if start not in STARTS:
        raise UserError(f"separate: start must be one of {STARTS}, got {start!r}.")
    if units is not None:
        positive_integer(units, "separate", "units")
    nonnegative(curvature, "separate", "curvature")
    options = {
        "symmetric": symmetric,
        "positional_regularizer": Curvature(curvature) if curvature else None,
    }
    walk = _Walk(Copies("separate", share), units, options, start, layer)
    walk.taken = {part.name for part in every_layer(functional(model, "separate"))}
    with _seeded(seed):
        new = walk.rebuild(model)
    if not walk.done:
        raise UserError(walk.nothing_found())
    if layer is None:
        for text in dict.fromkeys(walk.missed):
            warnings.warn(f"separate: {text}", stacklevel=2)
    found = _as_the_original(model, new)
    found.separated = tuple(walk.done)
    return called(found)


def _as_the_original(model: keras.Model, new: keras.Model) -> keras.Model:
    """The new model with the class of the original."""
    if isinstance(model, keras.Sequential):
        return keras.Sequential([new.inputs[0], *new.layers[1:]], name=model.name)
    kind = type(model)
    if kind in (type(new), keras.Model, SeparableModel):
        return SeparableModel(new.input, new.output, name=model.name)
    try:
        return kind(new.input, new.output, name=model.name)
    except Exception as error:  # a user's own constructor can raise anything
        raise UserError(
            f"separate: {kind.__name__} can't be made of (inputs, outputs, name), as a functional "
            f"model can: {error!r:.200}. Give keras.Model(model.input, model.output)."
        ) from error


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Within the block Keras draws its initialisers' seeds from this one; then as before."""
    state = random.getstate()
    try:
        if seed is not None:
            random.seed(seed)
        yield
    finally:
        if seed is not None:
            random.setstate(state)


@dataclass(frozen=True)
class _Part:
    """A part of a vector that a Dense layer may read.

    `x` is the map that was flattened, (batch, length, channels) or with more axes of positions,
    or, where `flatten` is None, another vector. `ordered`: whether positions come before
    channels in the flattened order; `turned`: whether they don't in `x`. `now`: the vector
    itself once layers have been applied to it.
    """

    x: Any
    size: int
    flatten: Any = None
    ordered: bool = True
    turned: bool = False
    now: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """Length and channels of a map."""
        *positions, channels = self.x.shape[1:]
        length = math.prod(positions)
        return (channels, length) if self.turned else (length, channels)

    @property
    def is_image(self) -> bool:
        """Whether positions lie along two axes, so that neighbours are not in a row."""
        return sum(size > 1 for size in self.x.shape[1:-1]) > 1

    def as_map(self, name: Callable[[str], str]) -> Any:
        """What an SFC layer reads: (batch, length, channels). `name` makes layers' names."""
        if self.now is None:
            x, turned = self.x, self.turned
            if len(x.shape) > 3:
                x = layers.Reshape(self.shape, name=name("map"))(x)
        else:
            shape, turned = self.shape, not self.ordered
            x = layers.Reshape(shape[::-1] if turned else shape, name=name("map"))(self.now)
        return layers.Permute((2, 1), name=name("turned"))(x) if turned else x


@dataclass
class _Walk:
    """One walk through a model, and what it needs to remember. Tensors are kept by their id."""

    copies: Copies
    units: int | None
    options: dict[str, Any]
    start: str
    layer: str | None
    done: list[Separated] = field(default_factory=list)
    vectors: dict[int, tuple[list[_Part], Any]] = field(default_factory=dict)
    channels_last: dict[int, tuple[bool, Any]] = field(default_factory=dict)
    heads: dict[int, tuple] = field(default_factory=dict)  # new layers, by id of the Dense
    fed: dict[int, str] = field(default_factory=dict)  # Dense layers that stay, and what is before
    made: dict[int, tuple[str, Any]] = field(default_factory=dict)  # by which layer
    lost: dict[int, tuple[str, Any]] = field(default_factory=dict)  # flattened, but behind this
    missed: list[str] = field(default_factory=list)  # of each Dense on one of these
    closed: list[str] = field(default_factory=list)  # TimeDistributed layers
    taken: set[str] = field(default_factory=set)  # names of layers
    nested: dict[int, tuple[keras.Model | None, list[bool]]] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)  # names by which places may be chosen

    def rebuild(self, model: keras.Model, inputs: Any = None) -> keras.Model:
        return rebuilt(model, self.call, "separate", inputs)

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """What stands in place of a call of one of the model's layers."""
        if is_nested(layer):
            return self._nested(layer, *args, **kwargs)
        tensors = keras.tree.flatten((args, kwargs))
        if isinstance(layer, layers.Dense):
            parts, _ = self.vectors.get(id(tensors[0]), ([], None))
            flattens = [part.flatten.name for part in parts if part.flatten]
            if flattens:
                self.found |= {layer.name, *flattens}
            if id(tensors[0]) in self.lost:
                self.missed.append(
                    f"{layer.name!r} reads a flattened map too, but {self.lost[id(tensors[0])][0]} "
                    "stands between: no SFC layer there."
                )
            if flattens and self.layer in (None, layer.name, *flattens):
                return self._separated(layer, parts)
            if id(layer) in self.heads:
                raise UserError(SHARED.format(layer.name))
            before, _ = self.made.get(id(tensors[0]), ("an input", None))
            self.fed[id(layer)] = f"{layer.name!r} behind {before}"
        elif isinstance(layer, layers.TimeDistributed):
            self.closed.append(named(layer))
        outputs = self.copies.call(layer, *args, **kwargs)
        if len(keras.tree.flatten(outputs)) == 1:
            self._remember(layer, tensors, outputs)
        for y in keras.tree.flatten(outputs):
            self.made[id(y)] = named(layer), y
            if between := self._between(layer, tensors, y):
                self.lost[id(y)] = between, y
        return outputs

    def _between(self, layer: Any, tensors: list, y: Any) -> str | None:
        """What stands between a flattened map and this vector, in which its numbers still are."""
        if len(y.shape) != 2 or isinstance(layer, layers.Dense):
            return None
        mixed = bool(getattr(layer, "weights", None))
        for x in (x for x in tensors if isinstance(x, keras.KerasTensor)):
            same = y.shape[1] == math.prod(size or 0 for size in x.shape[1:])
            if id(x) in self.lost and (same or not mixed):
                return self.lost[id(x)][0]
            flat = self._is_flat(x) and (same or not mixed)
            if id(y) not in self.vectors and (flat or (_is_map(x) and same and not mixed)):
                return named(layer)
        return None

    def _is_flat(self, x: Any) -> bool:
        """Whether a vector is made of flattened maps as a place's is."""
        return any(part.flatten for part in self.vectors.get(id(x), ([], None))[0])

    def _nested(self, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Output of a model within the model, which is rebuilt if there are places in it."""
        if id(model) not in self.nested:
            before, inputs = len(self.done), same_inputs(functional(model, "separate"))
            for x, given in zip(*map(keras.tree.flatten, (inputs, args)), strict=False):
                self.made[id(x)] = f"an input of {named(model)}", x
                if self._is_flat(given) or id(given) in self.lost:
                    self.lost[id(x)] = named(model), x
            new = self.rebuild(model, inputs)
            changed = _as_the_original(model, new) if len(self.done) > before else None
            flat = [self._is_flat(y) or id(y) in self.lost for y in new.outputs]
            self.nested[id(model)] = changed, flat
        changed, flat = self.nested[id(model)]
        outputs = (
            self.copies.call(model, *args, **kwargs)
            if changed is None
            else changed(*args, **kwargs)
        )
        for y, still in zip(keras.tree.flatten(outputs), flat, strict=True):
            self.made[id(y)] = named(model), y
            if still:
                self.lost[id(y)] = named(model), y
        return outputs

    def _remember(self, layer: Any, tensors: list, y: Any) -> None:
        """Keep what is known of a layer's output: its order of axes, and the maps in it."""
        x = tensors[0]
        last, _ = self.channels_last.get(id(x), (True, None))
        if isinstance(layer, layers.Permute):
            last ^= layer.dims == (2, 1)
        elif len(y.shape) > 2 and getattr(layer, "data_format", None):
            last = layer.data_format == "channels_last"
        self.channels_last[id(y)] = last, y
        if len(y.shape) != 2 or y.shape[-1] is None:
            return
        parts: list[_Part] = []
        if isinstance(layer, (layers.Flatten, layers.Reshape)) and _is_map(x, most=3):
            switched = getattr(layer, "data_format", None) == "channels_first"
            parts = [_Part(x, y.shape[-1], layer, ordered=last != switched, turned=not last)]
        elif isinstance(layer, layers.Concatenate) and layer.axis in (-1, 1):
            for part in tensors:
                parts += self.vectors.get(id(part), ([_Part(part, part.shape[-1])],))[0]
        elif id(x) in self.vectors and isinstance(layer, ONE_BY_ONE):
            start, before = 0, self.vectors[id(x)][0]
            for part in before:
                end = start + part.size
                parts.append(replace(part, now=y if len(before) == 1 else y[:, start:end]))
                start = end
        if parts:
            self.vectors[id(y)] = parts, y

    def _separated(self, dense: layers.Dense, parts: list[_Part]) -> Any:
        """Output of the new layers in place of a Dense on a vector with maps in it."""
        shapes = [(part.shape, part.ordered) if part.flatten else part.size for part in parts]
        first = id(dense) not in self.heads
        if first:
            if id(dense) in self.fed:
                raise UserError(SHARED.format(dense.name))
            trained = {"trainable": True} if self.start == "fresh" else {}
            new = layers.Dense.from_config({**dense.get_config(), **trained})
            self.heads[id(dense)] = self._new_layers(dense, parts), new, shapes
        separable, new, known = self.heads[id(dense)]
        if known != shapes:
            raise UserError(SHARED.format(dense.name))
        inputs = [
            self._output(dense, sfc, part) if sfc else part.x if part.now is None else part.now
            for part, sfc in zip(parts, separable, strict=True)
        ]
        if len(inputs) > 1:
            name = free_name(f"{dense.name}_inputs", self.taken)
            inputs = [layers.Concatenate(name=name)(inputs)]
        y = new(inputs[0])
        if first:
            self._start(dense, new, parts, separable)
        return y

    def _new_layers(self, dense: layers.Dense, parts: Sequence[_Part]) -> list[SeparableFC | None]:
        """An SFC layer for each map, None for other parts; a `UserError` where none can be."""
        _require_plain(dense)
        maps = [part for part in parts if part.flatten]
        found: list[SeparableFC | None] = []
        for part in parts:
            if part.flatten is None:
                found.append(None)
                continue
            if len(part.x.shape) > 3 and (part.turned or not part.ordered):
                raise UserError(
                    f"separate: {dense.name!r} reads a map of shape {part.x.shape[1:]} with "
                    "channels first; only maps (batch, channels, length) may have that."
                )
            if part.is_image and any(self.options.values()):
                raise UserError(
                    f"separate: {dense.name!r} reads a map of shape {part.x.shape[1:]}, whose "
                    "positions are not in a row: neither symmetric nor curvature is for it."
                )
            number = 1 + sum(sfc is not None for sfc in found)
            name = f"{dense.name}_sfc" + (f"_{number}" if len(maps) > 1 else "")
            name = free_name(name, self.taken)
            units = self.units or _units(dense, part)
            found.append(SeparableFC(units, **self.options, name=name, dtype=dense.dtype_policy))
        return found

    def _start(
        self,
        dense: layers.Dense,
        new: layers.Dense,
        parts: Sequence[_Part],
        separable: Sequence[SeparableFC | None],
    ) -> None:
        """Tell of the new layers, and set their weights unless they start fresh."""
        kernel, rows, start = values(dense.kernel), [], 0
        for part, sfc in zip(parts, separable, strict=True):
            block, kept = kernel[start : start + part.size], None
            start += part.size
            if sfc and self.start == "svd":
                block, kept = self._set_factors(sfc, block, part)
            rows.append(block)
            if sfc:
                weights = sfc.count_params() + sfc.units * dense.units
                sizes = (*part.shape, dense.units, sfc.units, weights)
                self.done.append(Separated(dense.name, sfc.name, *sizes, kept))
        if self.start == "svd":
            bias = [values(dense.bias)] if dense.use_bias else []
            new.set_weights([np.concatenate(rows), *bias])

    def _set_factors(
        self, sfc: SeparableFC, block: np.ndarray, part: _Part
    ) -> tuple[np.ndarray, float]:
        """Give an SFC layer its weights: the kernel of the Dense behind, and the share kept."""
        length, channels = part.shape
        if part.ordered:
            kernel = block.reshape(length, channels, -1)
        else:
            kernel = block.reshape(channels, length, -1).swapaxes(0, 1)
        *found, kept = products(kernel, sfc.units, sfc.symmetric)
        weights = [values(w) for w in (sfc.W_pos, sfc.W_chan)]
        weights.append(np.zeros((sfc.units, kernel.shape[2])))
        for factor, target in zip(found, weights, strict=True):
            target[: len(factor)] = factor  # neurons to spare stay as they are, and unused
        sfc.set_weights(weights[:2])
        return weights[2], kept

    def _output(self, dense: layers.Dense, sfc: SeparableFC, part: _Part) -> Any:
        try:
            return sfc(part.as_map(lambda what: free_name(f"{sfc.name}_{what}", self.taken)))
        except ValueError as error:  # as of a curvature of too few positions
            raise UserError(f"separate: at {dense.name!r}: {error}") from error

    def nothing_found(self) -> str:
        """Why there is no place."""
        closed = f" Not entered: {', '.join(self.closed)}." if self.closed else ""
        if self.found:
            return f"separate: layer must be one of {sorted(self.found)}, got {self.layer!r}."
        return (
            "separate: found no map (batch, length, channels) that is flattened into a Dense "
            f"layer. Dense layers here: {', '.join(self.fed.values()) or 'none'}.{closed}"
        )


SHARED = (
    "separate: the layer {!r} is shared, and does not read flattened maps of the same shape each "
    "time. Only a layer that does can be changed."
)


def _is_map(x: Any, most: int | None = None) -> bool:
    """Whether a tensor has positions and channels, more than one of each, along so many axes."""
    sizes = x.shape[1:]
    known = 2 <= len(sizes) <= (most or len(sizes)) and None not in sizes
    return known and sizes[-1] > 1 and math.prod(sizes[:-1]) > 1


def _require_plain(dense: layers.Dense) -> None:
    """A `UserError` for a Dense that computes more than kernel and bias."""
    if type(dense) is not layers.Dense:
        reason = f"of a class of its own ({type(dense).__name__})"
    elif dense.quantization_mode:
        reason = f"quantised ({dense.quantization_mode})"
    elif dense.lora_enabled:
        reason = "trained with LoRA"
    else:
        return
    raise UserError(f"separate: {dense.name!r} is {reason}; only a plain Dense can be changed.")


def _units(dense: layers.Dense, part: _Part) -> int:
    try:
        return match_units(*part.shape, dense.units)
    except UserError as error:
        raise UserError(f"separate: at {dense.name!r}: {error}") from error


def products(
    kernel: np.ndarray, units: int, symmetric: bool = False, sweeps: int = SWEEPS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A kernel as a sum of at most `units` products of position, channel and output.

    Cut into slices, one for each output, position or channel, it is a sum of rank-one terms by
    the slices' singular values; the largest are taken, of the cut by which most is kept. Where
    that is not all, sweeps of alternating least squares come nearer.

    Args:
        kernel: (length, channels, outputs).
        units: Most products.
        symmetric: Whether the products are symmetric in position.
        sweeps: Of alternating least squares.

    Returns:
        `W_pos` (n, stored), `W_chan` (n, channels), the kernel of the Dense behind (n, outputs),
        n ≤ units, and the share of the kernel's sum of squares that is kept.

    Example:

    >>> kernel = np.multiply.outer(np.outer([1, 2, 3], [1, -1]), [2, 1])
    >>> *factors, kept = products(kernel, units=1)
    >>> [factor.shape for factor in factors], round(kept, 6)
    ([(1, 3), (1, 2), (1, 2)], 1.0)
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    energy, scale = np.sum(kernel**2), np.ones(len(kernel))
    if symmetric:  # coordinates in which mirrored positions are one, and squares add up
        scale = np.full(-(-len(kernel) // 2), 0.5**0.5)
        scale[len(kernel) // 2 :] = 1  # the centre of an odd length
        both = (kernel + kernel[::-1])[: len(scale)]
        kernel = both / (2 * scale[:, None, None])
    whole = np.sum(kernel**2) * (1 - EXACT)
    cuts = [_by_slices(kernel, units, axis) for axis in range(3)]
    found = max(cuts, key=lambda factors: (min(_size(factors), whole), -len(factors[0])))
    if sweeps and _size(found) < whole:
        found = _balanced(_swept(kernel, found, sweeps))
    kept = 1.0 if energy == 0 else (np.sum(kernel**2) - _distance(kernel, found)) / energy
    return found[0] * scale, found[1], found[2], float(kept)


Factors = list[np.ndarray]  # (products, positions), (products, channels), (products, outputs)


def _by_slices(kernel: np.ndarray, units: int, axis: int) -> Factors:
    """The largest rank-one terms of the slices along an axis."""
    left, values, right = np.linalg.svd(np.moveaxis(kernel, axis, 0), full_matrices=False)
    order = np.argsort(-values, axis=None, kind="stable")[:units]
    order = order[values.ravel()[order] > EXACT * max(values.max(), EXACT)]
    slices, ranks = np.unravel_index(order, values.shape)
    factors = [left[slices, :, ranks], right[slices, ranks]]
    factors.insert(axis, np.eye(len(values))[slices])
    return [np.cbrt(values[slices, ranks])[:, None] * factor for factor in factors]


def _size(factors: Factors) -> float:
    """Sum of squares of a sum of products that are orthogonal to each other."""
    return float(np.sum(np.prod([np.sum(factor**2, axis=1) for factor in factors], axis=0)))


def _swept(kernel: np.ndarray, factors: Factors, sweeps: int) -> Factors:
    """Factors after sweeps of alternating least squares, slightly damped."""
    factors = list(factors)
    for axis in [0, 1, 2] * sweeps if len(factors[0]) else []:
        others = [factor for number, factor in enumerate(factors) if number != axis]
        normal = np.prod([other @ other.T for other in others], axis=0)
        normal[np.diag_indices_from(normal)] += DAMPING * np.trace(normal) / len(normal)
        factors[axis] = np.linalg.solve(normal, _contracted(kernel, factors, axis))
    return factors


def _contracted(kernel: np.ndarray, factors: Factors, axis: int) -> np.ndarray:
    """Sums of the kernel times the other two factors: (products, size of the axis)."""
    position, channel, output = factors
    if axis == 0:
        return np.stack([np.sum((channel @ part) * output, axis=1) for part in kernel], axis=1)
    sums = (channel @ part if axis == 2 else output @ part.T for part in kernel)
    return sum(weight[:, None] * part for weight, part in zip(position.T, sums, strict=True))


def _distance(kernel: np.ndarray, factors: Factors) -> float:
    """Sum of squares of what the products leave."""
    position, channel, output = factors
    rests = (
        part - (weight[:, None] * channel).T @ output
        for part, weight in zip(kernel, position.T, strict=True)
    )
    return float(sum(np.sum(rest**2) for rest in rests))


def _balanced(factors: Factors) -> Factors:
    """The same products, with factors of equal size."""
    sizes = [np.linalg.norm(factor, axis=1, keepdims=True) for factor in factors]
    each = np.cbrt(np.prod(sizes, axis=0))
    return [factor * each / size for factor, size in zip(factors, sizes, strict=True)]
