"""Gradient × input of a model's logits: how much each position of a sequence adds to them.

It comes in two forms. The *raw* one takes the gradient as it is. A constant added to the
gradient along all four bases of a position changes no prediction on DNA, but it does change
the raw form; the *centred* one subtracts the gradient's mean over the bases first, so that it
tells what the base that is there adds over an average one.

The only module that names the backends: Keras computes on all three, but has no gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import keras
import numpy as np
from keras import ops

from sfc_lib.errors import UserError
from sfc_lib.nn.folding import fold_separable
from sfc_lib.nn.layers import OneHotDNA, positive_integer

INPUT, OUTPUT = "one_hot", "logits"  # layers between which is differentiated
MAX_CODE = 4  # N

Scorer = Callable[[np.ndarray], np.ndarray]
Form = Callable[[Any, Sequence[Any]], Any]  # of one-hot sequences and gradients, one a task


def importance_profiles(
    model: keras.Model,
    codes: np.ndarray,
    tasks: Sequence[int] | None = None,
    *,
    centred: bool = False,
    batch_size: int = 500,
    progress: Callable[[Sequence[int]], Iterable[int]] | None = None,
) -> np.ndarray:
    """Mean gradient × input at each position, over sequences: what Figure 3 shows.

    Read it as what a position adds to the logit, to first order, averaged over sequences;
    positive where the bases there speak for the task. Summed in float64, so that neither
    the order nor the size of the batches matters.

    Args:
        model: As `build_model` makes it: with layers named `one_hot` and `logits`.
        codes: uint8 (examples, length), 0–3 for ACGT and 4 for N; may be memory-mapped.
        tasks: Columns of the logits; None for all. They share the forward pass.
        centred: Which of the two forms.
        batch_size: Sequences computed at once; bounds the memory.
        progress: Wraps the batches, for a progress bar, e.g. `tqdm`.

    Returns:
        float64 (tasks, length).

    Raises:
        ValueError: A model without those layers, codes of another shape or range, or a
            task that the model does not have.

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3, width=0.1)
    >>> importance_profiles(model, np.zeros((5, 200), dtype=np.uint8), tasks=[2]).shape
    (1, 200)
    """
    forms = importance_forms(model, codes, tasks, batch_size=batch_size, progress=progress)
    return forms[int(centred)]


def importance_forms(
    model: keras.Model,
    codes: np.ndarray,
    tasks: Sequence[int] | None = None,
    *,
    batch_size: int = 500,
    progress: Callable[[Sequence[int]], Iterable[int]] | None = None,
) -> np.ndarray:
    """Both forms of `importance_profiles` at the price of one: float64 (2, tasks, length).

    The raw one comes first. Arguments and errors are those of `importance_profiles`.
    """
    columns = _checked(model, codes, tasks)
    batch_size = positive_integer(batch_size, "importance_profiles", "batch_size")
    score, total = _scorer(model, columns), np.zeros((2, len(columns), codes.shape[1]))
    for start in (progress or iter)(range(0, len(codes), batch_size)):
        total += _scored(score, codes[start : start + batch_size]).sum(axis=2, dtype=np.float64)
    return total / len(codes)


def gradient_times_input(
    model: keras.Model,
    codes: np.ndarray,
    tasks: Sequence[int] | None = None,
    *,
    centred: bool = False,
) -> np.ndarray:
    """Gradient × input of each base of each sequence, in one batch.

    The derivative of a task's logit along the one-hot row of the base that is there:
    d logit / d t when that row is multiplied by 1 + t. An N has none.

    Args:
        model: As for `importance_profiles`.
        codes: uint8 (examples, length).
        tasks: Columns of the logits; None for all.
        centred: Which of the two forms.

    Returns:
        float32 (float64 if the model computes in it), shape (tasks, examples, length).

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3, width=0.1)
    >>> gradient_times_input(model, np.zeros((5, 200), dtype=np.uint8)).shape
    (3, 5, 200)
    """
    return _scored(_scorer(model, _checked(model, codes, tasks)), codes)[int(centred)]


def hypothetical_contributions(
    model: keras.Model,
    codes: np.ndarray,
    tasks: Sequence[int] | None = None,
    *,
    batch_size: int = 500,
    progress: Callable[[Sequence[int]], Iterable[int]] | None = None,
) -> np.ndarray:
    """What each of the four bases would add at each position, to first order.

    The centred gradient itself: its entry for the base that is there is the centred gradient ×
    input. Tools that find motifs in contributions, TF-MoDISco for one, want it so. At an N, it
    tells what a base would add there.

    Args:
        model: As for `importance_profiles`.
        codes: uint8 (examples, length).
        tasks: Columns of the logits; None for all.
        batch_size: Sequences computed at once; bounds the memory.
        progress: Wraps the batches, for a progress bar, e.g. `tqdm`.

    Returns:
        float32 (float64 if the model computes in it), shape (tasks, examples, length, 4); the
        four sum to 0.

    Example:

    >>> from sfc_lib import build_model
    >>> model = build_model("simulated_tf", "sep", length=200, tasks=3, width=0.1)
    >>> hypothetical_contributions(model, np.zeros((5, 200), dtype=np.uint8)).shape
    (3, 5, 200, 4)
    """
    score = _scorer(model, _checked(model, codes, tasks), _centred)
    size = positive_integer(batch_size, "hypothetical_contributions", "batch_size")
    starts = (progress or iter)(range(0, len(codes), size))
    return np.concatenate([_scored(score, codes[i : i + size]) for i in starts], axis=1)


def _scorer(model: keras.Model, columns: Sequence[int], form: Form | None = None) -> Scorer:
    """Function from codes (examples, length) to a form of the gradients, by default both.

    These are (2, tasks, examples, length).
    """
    with suppress(UserError):  # an SFC layer that no Dense follows stays as it is
        model = fold_separable(model)
    tail = keras.Model(model.get_layer(INPUT).output, model.get_layer(OUTPUT).output)
    encode = model.get_layer(INPUT)
    if isinstance(encode, keras.layers.InputLayer):  # a network on one-hot sequences
        encode = OneHotDNA()
    gradients = _BACKENDS[keras.backend.backend()](tail, columns, form or _along_input)

    def score(codes: np.ndarray) -> np.ndarray:
        x = ops.stop_gradient(encode(ops.convert_to_tensor(codes)))
        return ops.convert_to_numpy(gradients(x))

    return score


def _scored(score: Scorer, codes: np.ndarray) -> np.ndarray:
    for code in (codes.min(), codes.max()):
        if not 0 <= code <= MAX_CODE:
            raise ValueError(f"importance: expected codes 0-3 for ACGT and 4 for N, got {code}.")
    return score(np.asarray(codes, dtype=np.uint8))


def _along_input(x: Any, gradients: Sequence[Any]) -> Any:
    """Σ over bases of x · gradient, raw and centred: (2, tasks, examples, length).

    At least float32.
    """
    dtype = keras.backend.result_type(x.dtype, "float32")
    forms = gradients, _less_mean(gradients)
    summed = [[ops.sum(ops.cast(x * g, dtype), axis=-1) for g in form] for form in forms]
    return ops.stack([ops.stack(form) for form in summed])


def _centred(_x: Any, gradients: Sequence[Any]) -> Any:
    """Gradients less their mean over the bases, (tasks, examples, length, 4)."""
    return ops.stack(_less_mean(gradients))


def _less_mean(gradients: Sequence[Any]) -> list[Any]:
    return [g - ops.mean(g, axis=-1, keepdims=True) for g in gradients]


def _tensorflow(tail: keras.Model, columns: Sequence[int], form: Form) -> Callable[[Any], Any]:
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def gradients(x: Any) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            logits = tail(x, training=False)
            sums = [tf.reduce_sum(logits[:, column]) for column in columns]
        return form(x, [tape.gradient(total, x) for total in sums])

    return gradients


def _jax(tail: keras.Model, columns: Sequence[int], form: Form) -> Callable[[Any], Any]:
    import jax

    groups = tail.trainable_variables, tail.non_trainable_variables
    weights = [[v.value for v in group] for group in groups]

    @jax.jit
    def gradients(x: Any, weights: Any) -> Any:
        logits, pull_back = jax.vjp(
            lambda x: tail.stateless_call(*weights, x, training=False)[0], x
        )
        ones = [ops.zeros_like(logits).at[:, column].set(1) for column in columns]
        return form(x, [pull_back(one)[0] for one in ones])

    return lambda x: gradients(x, weights)


def _torch(tail: keras.Model, columns: Sequence[int], form: Form) -> Callable[[Any], Any]:
    import torch

    def gradients(x: Any) -> Any:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            sums = tail(x, training=False)[:, list(columns)].sum(dim=0)
            found = [torch.autograd.grad(total, x, retain_graph=True)[0] for total in sums]
        return form(x.detach(), found)

    return gradients


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def _checked(model: keras.Model, codes: np.ndarray, tasks: Sequence[int] | None) -> Sequence[int]:
    """Columns of the logits, once model and codes are what they should be."""
    names = [layer.name for layer in model.layers]
    if not {INPUT, OUTPUT} <= set(names):
        raise ValueError(
            f"importance: expected a model with layers {INPUT!r} and {OUTPUT!r}, as build_model "
            f"makes it, got {names}."
        )
    length, outputs = (model.get_layer(name).output.shape[1] for name in (INPUT, OUTPUT))
    kind = getattr(codes, "dtype", np.dtype(object)).kind
    if kind not in "iu" or codes.ndim != 2 or codes.shape[1] != length or not len(codes):
        raise ValueError(
            f"importance: expected integer codes of shape (examples, {length}), got "
            f"{getattr(codes, 'dtype', type(codes).__name__)} {getattr(codes, 'shape', '')}."
        )
    columns = range(outputs) if tasks is None else list(tasks)
    if not columns or not all(type(c) is int and 0 <= c < outputs for c in columns):
        raise ValueError(
            f"importance: tasks must be integers from 0 to {outputs - 1}, got {tasks}."
        )
    return columns
