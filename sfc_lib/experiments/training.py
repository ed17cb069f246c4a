"""Training of one run, epoch by epoch, so that an interrupted run goes on where it stopped.

What an epoch does depends only on the weights it starts with, the spec and its number:
the order of examples and the state of every random generator are set anew from (seed,
epoch). Imported only where a run is trained, because it imports Keras.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sfc_lib.datasets.base import Dataset, load_dataset
from sfc_lib.experiments.batches import Batches, seed
from sfc_lib.experiments.checkpoint import read_checkpoint, write_checkpoint
from sfc_lib.experiments.evaluation import metrics, predict
from sfc_lib.experiments.models import save_model
from sfc_lib.experiments.provenance import environment
from sfc_lib.experiments.spec import RunSpec
from sfc_lib.experiments.store import (
    CHECKPOINT,
    HISTORY,
    MODEL,
    RESULT,
    SPEC,
    W_POS,
    seal,
)
from sfc_lib.files import atomic_write, naming, remove, scratch_in, sha256_file, write_json
from sfc_lib.nn.architectures import build_model


def train(spec: RunSpec, folder: Path) -> None:
    """Train a run into `folder`, or go on from its checkpoint, and finish its record.

    Only one process at a time may do so: what a killed one left half-written is removed.

    Raises:
        OSError: A file can't be written; it is named. What was there before is kept.
        RuntimeError: This process already uses another Keras backend than the spec.
    """
    if keras.backend.backend() != spec.backend:
        raise RuntimeError(
            f"train: the run needs Keras backend {spec.backend!r}, this process uses "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND before Keras is imported."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for left in scratch_in(folder):
        remove(left)
    write_json(folder / SPEC, spec.to_dict())
    dataset = load_dataset(spec.dataset, **spec.dataset_options)
    model = compiled_model(spec, dataset)
    progress = Progress(spec, model, dataset, folder)
    progress.resume()
    if not progress.finished:
        _fit(model, Batches(dataset.train, spec, progress), progress)
    progress.finish()


def _fit(model: keras.Model, batches: Batches, progress: Progress) -> None:
    """Train the epochs that are left. A run that diverges just ends."""
    try:
        model.fit(
            batches,
            initial_epoch=len(progress.history),
            epochs=progress.spec.epochs,
            callbacks=[progress],
            shuffle=False,  # Batches does that, by the seed
            verbose=0,
        )
    except RuntimeError as error:
        # The others compute on; torch refuses the loss of a probability that is not a number.
        if "between 0 and 1" not in str(error) or progress.spec.backend != "torch":
            raise
        progress.on_epoch_end(progress.epoch, {"loss": math.nan})
    finally:
        batches.release()


def compiled_model(spec: RunSpec, dataset: Dataset) -> keras.Model:
    """The spec's model with its seeded initial weights, ready to be fitted.

    A process keeps the last one: the next run that differs in its seed only need not be
    traced and compiled again, which would cost as much as part of an epoch.
    """
    keras.config.set_floatx("float32")  # a user's own Keras settings must change no result
    keras.config.set_epsilon(1e-7)
    keras.utils.set_random_seed(seed(spec, "weights", 0))
    model = network(spec, dataset)
    key = (dataclasses.replace(spec, seed=0), dataset.length, len(dataset.task_names))
    if key not in _compiled:
        _compiled.clear()
        optimizer = keras.optimizers.Adam(spec.learning_rate, epsilon=1e-8, name="adam")
        model.compile(
            optimizer=optimizer,
            loss="binary_crossentropy",
            jit_compile=spec.backend == "jax",  # on TensorFlow XLA was slower
        )
        optimizer.build(model.trainable_variables)
        _compiled[key] = model, [_to_numpy(variable) for variable in optimizer.variables]
    kept, start = _compiled[key]
    kept.set_weights(model.get_weights())
    for variable, value in zip(kept.optimizer.variables, start, strict=True):
        variable.assign(value)
    return kept


_compiled: dict[tuple, tuple[keras.Model, list[np.ndarray]]] = {}  # and its optimizer's start


def network(spec: RunSpec, dataset: Dataset) -> keras.Model:
    """The network of a spec for a dataset, not compiled; a `ValueError` if it does not fit."""
    sfc = {} if spec.variant == "std" else {"units": spec.units}
    return build_model(
        spec.architecture,
        spec.variant,
        length=dataset.length,
        tasks=len(dataset.task_names),
        width=spec.width,
        curvature=spec.curvature,
        initializer=spec.initializer,
        precision=spec.precision,
        **sfc,
    )


class Progress(keras.callbacks.Callback):
    """Seeds each epoch, validates, logs and checkpoints after it, and writes the record."""

    def __init__(self, spec: RunSpec, model: keras.Model, dataset: Dataset, folder: Path) -> None:
        super().__init__()
        self.spec, self.net, self.dataset, self.folder = spec, model, dataset, folder
        self.valid = dataset.valid.evenly(spec.valid_samples)
        self.history: list[dict[str, Any]] = []
        self.best: list[np.ndarray] = []  # weights of the best epoch
        self.seconds: dict[str, list[float]] = {"wall": [], "cpu": []}  # of each epoch
        self.epoch = 0

    @property
    def best_epoch(self) -> int:
        """Epoch of the best validation auROC, counted from 1; the earlier one of equals."""
        scores = [line["valid_auroc"] for line in self.history if line["valid_auroc"] is not None]
        return 1 + int(np.argmax(scores)) if scores else 0

    @property
    def diverged(self) -> bool:
        """Whether loss, weights or predictions became infinite or not a number."""
        return bool(self.history) and self.history[-1]["valid_auroc"] is None

    @property
    def finished(self) -> bool:
        """Whether the run is over: all epochs, patience at its end, or diverged."""
        epochs = len(self.history)
        waited = epochs - self.best_epoch
        return self.diverged or epochs >= self.spec.epochs or waited >= self.spec.patience

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch
        self._began = time.perf_counter(), time.process_time()
        generators = [layer.seed_generator for layer in self.net.layers if _has_seed(layer)]
        for index, generator in enumerate(generators):
            state = [seed(self.spec, "dropout", epoch), index]
            generator.state.assign(np.array(state, dtype="uint32"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.history.append(self._line(epoch, float((logs or {})["loss"])))
        if self.best_epoch == epoch + 1:
            self.best = self.net.get_weights()
        self.seconds["wall"].append(time.perf_counter() - self._began[0])
        self.seconds["cpu"].append(time.process_time() - self._began[1])
        self._save_checkpoint()
        self._append_history()
        if self.finished:
            self.net.stop_training = True

    def _line(self, epoch: int, loss: float) -> dict[str, Any]:
        """What the history says of an epoch; no auROC once anything is not finite."""
        probabilities = predict(self.net, self.valid.codes)
        values = [np.asarray(loss), probabilities, *self.net.get_weights()]
        if not all(np.isfinite(value).all() for value in values):
            return {"epoch": epoch + 1, "loss": None, "valid_auroc": None, "valid_auprc": None}
        scores = metrics(self.valid.labels, probabilities, self.dataset.task_names)
        return {
            "epoch": epoch + 1,
            "loss": loss,
            **{f"valid_{name}": value for name, value in scores.items()},
        }

    def _append_history(self) -> None:
        path = self.folder / HISTORY
        with naming(path), open(path, "ab") as file:
            file.write(_jsonl(self.history[-1:]))
            file.flush()
            os.fsync(file.fileno())

    def _save_checkpoint(self) -> None:
        about = {"id": self.spec.id, "history": self.history, "seconds": self.seconds}
        groups = {
            "weights": self.net.get_weights(),
            "optimizer": [np.asarray(v) for v in map(_to_numpy, self.net.optimizer.variables)],
            "best": self.best,
        }
        write_checkpoint(self.folder / CHECKPOINT, about, groups)

    def resume(self) -> None:
        """Take up the state of the checkpoint, if there is a sound one; else start afresh."""
        shapes = {
            "weights": [weight.shape for weight in self.net.get_weights()],
            "optimizer": [tuple(variable.shape) for variable in self.net.optimizer.variables],
        }
        if state := read_checkpoint(self.folder / CHECKPOINT, self.spec.id, shapes):
            about, groups = state
            self.history, self.seconds = about["history"], about["seconds"]
            self.best = groups["best"]
            self.net.set_weights(groups["weights"])
            for variable, value in zip(
                self.net.optimizer.variables, groups["optimizer"], strict=True
            ):
                variable.assign(value)
        with atomic_write(self.folder / HISTORY) as file:
            file.write(_jsonl(self.history))

    def finish(self) -> None:
        """Write the best epoch's model and weights, and last of all the result."""
        if self.best:
            self.net.set_weights(self.best)
        save_model(self.net, self.folder / MODEL)
        names = [SPEC, HISTORY, MODEL]
        if self.spec.variant != "std":
            weights = _to_numpy(self.net.get_layer("sfc").positional_weights())
            with atomic_write(self.folder / W_POS) as file:
                np.save(file, weights.astype(np.float32), allow_pickle=False)
            names.append(W_POS)
        result = {
            "id": self.spec.id,
            "status": "diverged" if self.diverged else "done",
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            **self._scores(),
            "parameters": self.net.count_params(),
            "dataset_fingerprint": self.dataset.fingerprint,
            "wall_seconds": sum(self.seconds["wall"]),
            "cpu_seconds": sum(self.seconds["cpu"]),
            "environment": environment(self.spec.backend),
            "files": {name: sha256_file(self.folder / name) for name in names},
        }
        write_json(self.folder / RESULT, seal(result))
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _scores(self) -> dict[str, Any]:
        """Metrics of the best epoch on both held-out splits; None where every epoch diverged."""
        if not self.best_epoch:
            return {"valid": None, "test": None}
        return {
            name: metrics(part.labels, predict(self.net, part.codes), self.dataset.task_names)
            for name, part in (("valid", self.dataset.valid), ("test", self.dataset.test))
        }


def _has_seed(layer: keras.Layer) -> bool:
    return getattr(layer, "seed_generator", None) is not None


def _to_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def _jsonl(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode()
