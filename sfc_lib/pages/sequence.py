"""Paste a sequence: networks of published runs, in a form that the reader's browser computes.

A network is a list of plain layers and its weights in half precision; `book/_static/sequence.js`
holds the forward pass and the gradient. Batch normalisation is folded into the convolution before
it, which changes nothing but rounding.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from sfc_lib.datasets import simulated_tf
from sfc_lib.datasets.base import Dataset
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, random_sequences
from sfc_lib.genomics.fasta import read_fasta
from sfc_lib.genomics.motifs import RESOURCES, read_meme
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.pages.notebook import repository
from sfc_lib.pages.results import Results
from sfc_lib.pages.style import name_of
from sfc_lib.pages.widget import Widget
from sfc_lib.runs.evaluation import target
from sfc_lib.runs.sizes import load_size, size_names
from sfc_lib.runs.store import MODEL, Record

ABOUT = "Paste a DNA sequence: networks score it, and show what each base adds"
WITHOUT_WEIGHTS = ("InputLayer", "OneHotDNA", "Flatten", "Dropout")
MEANINGS = {  # of labels, by dataset and task
    ("simulated_tf", "TAL1+GATA"): "a GATA motif and a TAL1 motif are in it",
    ("simulated_tf", "GATA"): "a GATA motif is in it",
    ("simulated_tf", "TAL1"): "a TAL1 motif is in it",
}
TOLERANCE = 1e-3  # of a probability, half precision in the browser against Keras (tested)
HELD_OUT = "data/ctcf_examples.fa"  # in the repository
CTCF = "CTCF_known1"  # of the motifs of simulated accessibility
PEAK = "a peak of {} has its summit in the middle (ChIP-seq, GM12878)"


def paste(results: Results, experiments: Sequence[str]) -> Widget:
    """The picture: the best seed's networks of experiments, and sequences to begin with.

    An experiment of which no record holds a network is named in it as missing.

    Raises:
        UserError: No size has an experiment of that name.
    """
    known = {name for size in size_names() for name in load_size(size).experiments}
    known |= set(results.runs.experiment)
    for name in experiments:
        if name not in known:
            raise UserError(f"networks: expected names of {sorted(known)}, got {name!r}.")
    found = networks(results, experiments)
    lengths = {(network["data"], network["length"]) for network in found}
    titles = results.runs.drop_duplicates("experiment").set_index("experiment").title
    missing = [name for name in experiments if name not in {net["experiment"] for net in found}]
    return Widget(
        "sequence",
        ABOUT,
        {
            "networks": found,
            "examples": {data: examples(data, length) for data, length in sorted(lengths)},
            "missing": [titles.get(name, name) for name in missing],
        },
    )


def networks(results: Results, experiments: Sequence[str]) -> list[dict[str, Any]]:
    """The best seed's network of every model of experiments, if its record holds one.

    Of an experiment the one with the best validation auROC comes first. Plain values: what it
    is and where it comes from; `length` in bp; `tasks`, with what a label of 1 means; `task`, the
    one to begin with; `layers` and `weights` as of `exported`.
    """
    found = []
    for name in experiments:
        runs = results.runs[(results.runs.experiment == name) & results.runs.best]
        for run in runs.sort_values("auroc", ascending=False).itertuples():
            record = results.records[run.Index]
            if MODEL in record.result["files"]:
                found.append(_described(run, record) | exported(record.model()))
    return found


def network_table(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """For reading: the networks, their scores, and the records they are from."""
    rows = [
        {
            "data": network["title"],
            "network": network["name"],
            "validation auROC": f"{network['auroc']:.4f}",
            "run": network["id"],
            "SHA-256 of its model": network["sha256"][:16],
            "weights": f"{len(base64.b64decode(network['weights'])) // 2:,}",
        }
        for network in found
    ]
    return pd.DataFrame(rows)


def _described(run: Any, record: Record) -> dict[str, Any]:
    spec = record.spec
    recipe = spec.recipe
    length = recipe.options.get("length", simulated_tf.LENGTH)
    tf = recipe.options.get("tf")
    tasks = [
        {"name": task, "means": MEANINGS.get((spec.dataset, task), PEAK.format(tf))}
        for task in recipe.task_names
    ]
    return {
        "experiment": run.experiment,
        "title": run.title,
        "data": spec.dataset,
        "model": run.model,
        "name": f"{name_of(run.model)}, seed {run.seed}",
        "id": spec.id,
        "sha256": record.result["files"][MODEL],
        "auroc": run.auroc,
        "length": length,
        "tasks": tasks,
        "task": target(spec, length).column,
    }


def exported(model: keras.Model) -> dict[str, Any]:
    """A network as plain layers, from one-hot sequence to logits, and all their weights.

    Args:
        model: As `build_model` makes it, without a readout of the controls.

    Returns:
        `layers`, in their order: `conv` (width, inputs, outputs, relu), `pool` (size, stride),
        `separable` (units, length, channels), `dense` (inputs, outputs, relu). `weights`: base64
        of little-endian float16: of each layer kernel and bias, or `W_pos` over all positions
        and `W_chan`, in C order.

    Raises:
        UserError: A layer of another kind, or a weight that half precision can't hold.
    """
    layers: list[dict[str, Any]] = []
    weights: list[Any] = []  # of each layer
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in WITHOUT_WEIGHTS:
            continue
        if kind == "BatchNormalization" and layers and layers[-1]["kind"] == "conv":
            kernel, bias = weights[-1]
            weights[-1] = _normalised(kernel, bias, layer)
        elif kind == "ReLU":
            layers[-1]["relu"] = True
        elif kind == "MaxPooling1D":
            size, stride = layer.pool_size[0], layer.strides[0]
            layers.append({"kind": "pool", "size": size, "stride": stride})
            weights.append([])
        elif kind == "Conv1D":
            kernel, bias = map(_array, (layer.kernel, layer.bias))
            width, inputs, outputs = kernel.shape
            layers.append(
                {"kind": "conv", "width": width, "inputs": inputs, "outputs": outputs}
                | {"relu": layer.activation.__name__ == "relu"}
            )
            weights.append([kernel, bias])
        elif kind == "Dense":
            kernel, bias = map(_array, (layer.kernel, layer.bias))
            layers.append(
                {"kind": "dense", "inputs": kernel.shape[0], "outputs": kernel.shape[1]}
                | {"relu": layer.activation.__name__ == "relu"}
            )
            weights.append([kernel, bias])
        elif type(layer) is SeparableFC:
            layers.append(
                {"kind": "separable", "units": layer.units}
                | {"length": layer.length, "channels": layer.channels}
            )
            weights.append([_array(layer.positional_weights()), _array(layer.W_chan)])
        elif layer.name != "probabilities":
            raise UserError(f"exported: expected a layer of the paper's networks, got {kind}.")
    flat = np.concatenate([array.ravel() for arrays in weights for array in arrays])
    with np.errstate(over="ignore"):
        half = flat.astype("<f2")
    if not np.isfinite(half).all():
        raise UserError(f"exported: expected weights under 65,504, got {np.abs(flat).max():.3g}.")
    return {"layers": layers, "weights": base64.b64encode(half.tobytes()).decode()}


def _normalised(kernel: np.ndarray, bias: np.ndarray, layer: Any) -> list[np.ndarray]:
    """Kernel and bias of a convolution, with the batch normalisation behind it."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = (_array(getattr(layer, name)) for name in names)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return [kernel * scale, (bias - mean) * scale + beta]


def _array(weights: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weights), dtype=np.float64)


def examples(data: str, length: int, seed: int = 0) -> list[dict[str, str]]:
    """Sequences of a dataset to begin with: a `name` and the bases of each.

    Of simulated TF binding one of each class, made up by the recipe. Of ChIP-seq the regions of
    `HELD_OUT`; and, made up, random bases without and with the PWM's likeliest CTCF motif in the
    middle.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    if data == "simulated_tf":
        order = [simulated_tf.CLASSES.index(name) for name in ("both", "GATA", "TAL1", "neither")]
        codes = simulated_tf.simulate(np.array(order), rng).codes
        names = ["made up: both motifs", "GATA alone", "TAL1 alone", "neither"]
    else:
        background = random_sequences(1, length, simulated_tf.BACKGROUND, rng)
        motif = read_meme(RESOURCES / "accessibility_motifs.meme")[CTCF]
        planted, start = background.copy(), (length - motif.width) // 2
        planted[0, start : start + motif.width] = motif.probabilities.argmax(axis=1)
        names, codes = read_fasta(repository() / HELD_OUT)
        names = [name.replace("_", " ") for name in names]
        names += ["made up: random bases with a CTCF motif", "the same without"]
        codes = np.concatenate([codes, planted, background])
    return [{"name": n, "bases": bases} for n, bases in zip(names, decode(codes), strict=True)]


def held_out(dataset: Dataset, of_each: int = 2) -> str:
    """FASTA of regions of a test split: of peaks, and of none, the same number at even distances.

    Which they are has nothing to do with what any network says of them. `HELD_OUT` is
    `held_out(load_dataset("chip_seq", tf="CTCF"))`.
    """
    labels, lines = dataset.test.labels[:, 0], []
    for label, about in ((1, "a_peak"), (0, "no_peak")):
        rows = np.flatnonzero(labels == label)
        for row in rows[np.arange(of_each) * len(rows) // of_each]:
            lines += [f">test_region_{row}:_{about}", *decode(dataset.test.codes[row : row + 1])]
    return "\n".join([*lines, ""])
