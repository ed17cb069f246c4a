"""Networks, data and epochs that several sections time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sfc_lib.datasets.base import Dataset, Split
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.training import Batches, Progress, compiled_model

VARIANTS = ("std", "sep", "symm")


def random_dataset(length: int, tasks: int, examples: int) -> Dataset:
    """Random codes and labels of the right shape; the same ones in every split."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (examples, length), dtype=np.uint8)
    labels = rng.integers(0, 2, (examples, tasks), dtype=np.uint8)
    names = tuple(f"task {task}" for task in range(tasks))
    splits = [Split(codes, labels)] * 3
    return Dataset("random", {}, "random", names, {}, *splits)


def models(dataset: Dataset, **fields: Any) -> dict[str, tuple[RunSpec, keras.Model]]:
    """Spec and compiled model of each variant."""
    specs = {variant: RunSpec(variant=variant, **fields) for variant in VARIANTS}
    return {variant: (spec, compiled_model(spec, dataset)) for variant, spec in specs.items()}


def steps(model: keras.Model, split: Split, batch: int) -> Callable[[], None]:
    """An epoch of training steps and nothing else, on data in memory (TensorFlow)."""
    import tensorflow as tf

    arrays = np.array(split.codes), np.array(split.labels, dtype=np.float32)
    batches = tf.data.Dataset.from_tensor_slices(arrays).batch(batch).cache().repeat()
    iterator, count = iter(batches), -(-len(split) // batch)
    model.make_train_function()

    def epoch() -> None:
        for _ in range(count):
            model.train_function(iterator)

    return epoch


def whole(spec: RunSpec, model: keras.Model, dataset: Dataset) -> Callable[[], None]:
    """An epoch as a run has it: with validation, log and checkpoint."""

    def epoch() -> None:
        with tempfile.TemporaryDirectory() as folder:
            progress = Progress(spec, model, dataset, Path(folder))
            batches = Batches(dataset.train, spec, progress)
            model.fit(batches, epochs=1, callbacks=[progress], shuffle=False, verbose=0)

    return epoch
