"""Batches of a run in the order that its seed gives each epoch, and the seeds themselves."""

from __future__ import annotations

import math
from typing import Protocol

import keras
import numpy as np

from sfc_lib.datasets.base import Split
from sfc_lib.experiments.spec import RunSpec

STREAMS = {"weights": 0, "order": 1, "dropout": 2}  # of SeedSequence((seed, stream, epoch))


class HasEpoch(Protocol):
    """What knows the epoch that is being trained, counted from 0."""

    epoch: int


class Batches(keras.utils.PyDataset):
    """Batches of codes and labels in the order of the epoch that `progress` is in."""

    def __init__(self, split: Split, spec: RunSpec, progress: HasEpoch) -> None:
        super().__init__()
        self.split, self.spec, self.progress = split, spec, progress
        self.samples = min(spec.samples_per_epoch or len(split), len(split))
        self.weight = _positive_weight(split) if spec.class_weight else None
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return math.ceil(self.samples / self.spec.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        start = index * self.spec.batch_size
        stop = min(start + self.spec.batch_size, self.samples)
        rows = np.sort(self.order(self.progress.epoch)[start:stop])  # sorted reads suit a disk
        labels = self.split.labels[rows].astype(np.float32)
        if self.weight is None:
            return self.split.codes[rows], labels
        return self.split.codes[rows], labels, np.where(labels[:, 0] > 0, self.weight, 1.0)

    def release(self) -> None:
        """Let go of the data: TensorFlow keeps what it was fed from as long as the process."""
        del self.split, self.progress

    def order(self, epoch: int) -> np.ndarray:
        """Rows in the order of an epoch (counted from 0), from (seed, epoch) alone."""
        if self._order[0] != epoch:
            rng = np.random.default_rng(sequence(self.spec, "order", epoch))
            self._order = (epoch, rng.permutation(len(self.split)))
        return self._order[1]


def _positive_weight(split: Split) -> float:
    if split.labels.shape[1] != 1:
        raise ValueError(
            f"class_weight works for one task, got {split.labels.shape[1]}: leave it False."
        )
    return (len(split) - split.positives[0]) / split.positives[0]


def sequence(spec: RunSpec, stream: str, epoch: int) -> np.random.SeedSequence:
    """Where the random numbers of a run's stream (one of `STREAMS`) in an epoch come from."""
    return np.random.SeedSequence((spec.seed, STREAMS[stream], epoch))


def seed(spec: RunSpec, stream: str, epoch: int) -> int:
    """One number of that sequence, for Keras."""
    return int(sequence(spec, stream, epoch).generate_state(1)[0])
