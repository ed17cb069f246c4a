"""Training of one run, epoch by epoch, so that an interrupted run goes on where it stopped.

What an epoch does depends only on the weights it starts with, the spec and its number:
the order of examples and the state of every random generator are set anew from (seed,
epoch). Imported only where a run is trained, because it imports Keras.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes  # a part of Keras
import numpy as np

from sfc_lib.datasets.base import NOT_KNOWN, Dataset, Split, label_scale
from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write, remove, scratch_in, seal, sha256_file, write_json
from sfc_lib.genomics.dna import reverse_complement, shifted
from sfc_lib.nn import keras  # or an error that says which backend to install
from sfc_lib.nn.architectures import STRAND, averaged, build_model, one_strand
from sfc_lib.nn.encoding import reads
from sfc_lib.nn.ensemble import with_regression
from sfc_lib.runs.evaluation import kind_of, metrics, predict
from sfc_lib.runs.model_file import save_model
from sfc_lib.runs.regression import blend
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.starts import started_filters
from sfc_lib.runs.store import (
    CHECKPOINT,
    HISTORY,
    MODEL,
    RESULT,
    SPEC,
    UNREADABLE,
    W_POS,
    environment,
)

STREAMS = {
    "weights": 0,
    "order": 1,
    "dropout": 2,
    "strand": 3,
    "shift": 4,
}  # of SeedSequence((seed, stream, epoch))
EXACT = ("float32", "float64")  # precisions that hold values far from 0
Groups = dict[str, list[np.ndarray]]
SECONDS = {"wall", "cpu"}


def train_run(spec: RunSpec, folder: Path) -> None:
    """Train a run into `folder`, or go on from its checkpoint, and finish its record.

    Only one process at a time may do so: what a killed one left half-written is removed.

    Raises:
        OSError: A file can't be written; it is named. What was there before is kept.
        UserError: The dataset or network is not to be had, or not in the spec's precision.
        RuntimeError: This process already uses another Keras backend than the spec.
    """
    if (found := keras.backend.backend()) != spec.backend:
        raise RuntimeError(
            f"train_run: the run needs Keras backend {spec.backend!r}, this process uses "
            f"{found!r}. Set KERAS_BACKEND before Keras is imported."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for left in scratch_in(folder):
        remove(left)
    write_json(folder / SPEC, spec.to_dict())
    dataset = spec.load_dataset()
    model = compiled_model(spec, dataset)
    _require_precision(spec, model)
    train = dataset.train.first(spec.train_samples)
    if spec.start or spec.motifs:
        first = model.get_layer("conv_1")
        kernel, *others = first.get_weights()
        first.set_weights([started_filters(kernel, train, spec.motifs, spec.start), *others])
    progress = Progress(spec, model, dataset, folder)
    progress.resume()
    if not progress.finished:
        _fit(model, Batches(train, spec, progress), progress)
    progress.finish()


def _require_precision(spec: RunSpec, model: keras.Model) -> None:
    """Refuse what the backend would silently compute in another precision."""
    expected, found = keras.DTypePolicy(spec.precision).variable_dtype, weights_dtype(model)
    if found != expected:
        advice = " Set JAX_ENABLE_X64=1." if spec.backend == "jax" else ""
        raise UserError(
            f"precision {spec.precision}: {spec.backend} makes weights of {found} here.{advice}"
        )


def weights_dtype(model: keras.Model) -> str:
    """What the trained weights really are, whatever was asked for."""
    return ", ".join(sorted({str(_to_numpy(w).dtype) for w in model.trainable_weights}))


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

    Where the network averages both strands it is that of one, which is trained on either, unless
    they are trained conjoined.

    A process keeps the last one: the next run that differs in its seed only need not be
    traced and compiled again, which would cost as much as part of an epoch.
    """
    keras.config.set_floatx("float32")  # a user's own Keras settings must change no result
    keras.config.set_epsilon(1e-7)
    keras.utils.set_random_seed(seed(spec, "weights", 0))
    tasks = len(dataset.task_names)
    model = network(spec, dataset.length, tasks, dataset.continuous)
    model = model if spec.conjoined else one_strand(model)
    key = (dataclasses.replace(spec, seed=0), dataset.length, tasks)
    if key not in _compiled:
        _compiled.clear()
        optimizer = _optimizer(spec)
        jit = spec.backend == "jax"  # on TensorFlow XLA was slower
        whole = min(dataset.train.known) == len(dataset.train)
        usual = kind_of(dataset.train.labels).loss
        loss = usual if whole else KNOWN_LOSSES[usual]
        model.compile(optimizer=optimizer, loss=loss, jit_compile=jit)
        optimizer.build(model.trainable_variables)
        _compiled[key] = model, [_to_numpy(variable) for variable in optimizer.variables]
    kept, start = _compiled[key]
    kept.set_weights(model.get_weights())
    _set(kept.optimizer, start)
    return kept


def _optimizer(spec: RunSpec) -> keras.Optimizer:
    options = {"learning_rate": spec.learning_rate, "epsilon": 1e-8, "name": "adam"}
    if spec.weight_decay is None:
        return keras.optimizers.Adam(**options)
    return keras.optimizers.AdamW(weight_decay=spec.weight_decay, **options)


def known_crossentropy(labels: Any, probabilities: Any) -> Any:
    """Binary cross-entropy, (examples,), the mean over tasks; a `NOT_KNOWN` label adds nothing."""
    known = keras.ops.not_equal(labels, NOT_KNOWN)
    each = keras.ops.binary_crossentropy(keras.ops.where(known, labels, 0.0), probabilities)
    return keras.ops.mean(each * keras.ops.cast(known, each.dtype), axis=-1)


def known_squares(labels: Any, values: Any) -> Any:
    """Squared error, (examples,), the mean over tasks; a label that is NaN adds nothing."""
    known = keras.ops.logical_not(keras.ops.isnan(labels))
    each = keras.ops.square(keras.ops.subtract(keras.ops.where(known, labels, 0.0), values))
    return keras.ops.mean(each * keras.ops.cast(known, each.dtype), axis=-1)


KNOWN_LOSSES = {"binary_crossentropy": known_crossentropy, "mean_squared_error": known_squares}
_compiled: dict[tuple, tuple[keras.Model, list[np.ndarray]]] = {}  # and its optimizer's start


def _set(optimizer: keras.Optimizer, values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)


def network(spec: RunSpec, length: int, tasks: int, continuous: bool = False) -> keras.Model:
    """The network of a spec, not compiled; a `UserError` if it does not fit the data."""
    names = ["width", "curvature", "initializer", "dropout", "precision", "readout", "limit"]
    names += ["both_strands"] if spec.both_strands else []
    names += ["units"] if spec.variant != "std" else []
    options: dict[str, Any] = {name: getattr(spec, name) for name in names}
    if continuous:
        if spec.precision not in EXACT:
            expected = " or ".join(EXACT)
            raise UserError(f"precision {spec.precision}: measurements need {expected}.")
        options["continuous"] = True
    return build_model(spec.architecture, spec.variant, length=length, tasks=tasks, **options)


class Progress(keras.callbacks.Callback):
    """Seeds each epoch, validates, logs and checkpoints after it, and writes the record."""

    def __init__(self, spec: RunSpec, model: keras.Model, dataset: Dataset, folder: Path) -> None:
        super().__init__()
        self.spec, self.net, self.dataset, self.folder = spec, model, dataset, folder
        alone = spec.both_strands and not spec.conjoined
        self.whole = averaged(model) if alone else model  # what predicts
        self.valid = dataset.valid.evenly(spec.valid_samples)
        self.kind = kind_of(self.valid.labels)
        self.monitor = f"valid_{self.kind.best}"
        self.history: list[dict[str, Any]] = []
        self.best: list[np.ndarray] = []  # weights of the best epoch
        self.seconds: dict[str, list[float]] = {"wall": [], "cpu": []}  # of each epoch
        self.epoch = 0

    @property
    def best_epoch(self) -> int:
        """Epoch of the best validation score, counted from 1; the earlier one of equals."""
        scores = [line[self.monitor] for line in self.history if line[self.monitor] is not None]
        return 1 + int(np.argmax(scores)) if scores else 0

    @property
    def diverged(self) -> bool:
        """Whether loss, weights or predictions became infinite or not a number."""
        return bool(self.history) and self.history[-1][self.monitor] is None

    @property
    def finished(self) -> bool:
        """Whether the run is over: all epochs, patience at its end, or diverged."""
        epochs = len(self.history)
        waited = epochs - self.best_epoch
        return self.diverged or epochs >= self.spec.epochs or waited >= self.spec.patience

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch
        self._began = time.perf_counter(), time.process_time()
        if self.spec.backend == "torch":  # whose dropout draws from its one global generator
            keras.utils.set_random_seed(seed(self.spec, "dropout", epoch))
        generators = [getattr(layer, "seed_generator", None) for layer in self.net.layers]
        for index, generator in enumerate(filter(None, generators)):
            state = [seed(self.spec, "dropout", epoch), index]
            generator.state.assign(np.array(state, dtype="uint32"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.history.append(self._line(epoch, float((logs or {})["loss"])))
        if self.best_epoch == epoch + 1:
            self.best = self.net.get_weights()
        self.seconds["wall"].append(time.perf_counter() - self._began[0])
        self.seconds["cpu"].append(time.process_time() - self._began[1])
        self._save_checkpoint()
        self._write_history()
        if self.finished:
            self.net.stop_training = True

    def _line(self, epoch: int, loss: float) -> dict[str, Any]:
        """What the history says of an epoch; no score once anything is not finite."""
        guesses = predict(self.whole, self.valid.codes)
        values = [np.asarray(loss), guesses, *self.net.get_weights()]
        if not all(np.isfinite(value).all() for value in values):
            lost = [f"valid_{name}" for name in self.kind.scores]
            return dict.fromkeys(("epoch", "loss", *lost)) | {"epoch": epoch + 1}
        scores = metrics(self.valid.labels, guesses, self.dataset.task_names)
        valid = {f"valid_{name}": value for name, value in scores.items()}
        return {"epoch": epoch + 1, "loss": loss, **valid}

    def _write_history(self) -> None:
        with atomic_write(self.folder / HISTORY) as file:
            for line in self.history:
                file.write(json.dumps(line, sort_keys=True).encode() + b"\n")

    def _arrays(self) -> Groups:
        """The state that the next epoch starts with."""
        optimizer = [np.asarray(v) for v in map(_to_numpy, self.net.optimizer.variables)]
        return {"weights": self.net.get_weights(), "optimizer": optimizer}

    def _save_checkpoint(self) -> None:
        about = {"id": self.spec.id, "history": self.history, "seconds": self.seconds}
        write_checkpoint(self.folder / CHECKPOINT, about, self._arrays() | {"best": self.best})

    def resume(self) -> None:
        """Take up the state of the checkpoint, if there is a sound one; else start afresh."""
        shapes = {kind: [a.shape for a in arrays] for kind, arrays in self._arrays().items()}
        if state := read_checkpoint(self.folder / CHECKPOINT, self.spec.id, shapes):
            about, groups = state
            self.history, self.seconds = about["history"], about["seconds"]
            self.best = groups["best"]
            self.net.set_weights(groups["weights"])
            _set(self.net.optimizer, groups["optimizer"])
        self._write_history()

    def finish(self) -> None:
        """Write the best epoch's model and weights, and last of all the result."""
        if self.best:
            self.net.set_weights(self.best)
            if self.kind.continuous:
                self._rescale()
            if k := self.spec.regression:
                self.whole = self._blended(k)
        save_model(self.whole, self.folder / MODEL)
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
            "input": reads(self.whole),
            "weights_dtype": weights_dtype(self.net),
            "dataset_fingerprint": self.dataset.fingerprint,
            "wall_seconds": sum(self.seconds["wall"]),
            "cpu_seconds": sum(self.seconds["cpu"]),
            "environment": environment(self.spec.backend),
            "files": {name: sha256_file(self.folder / name) for name in names},
        }
        write_json(self.folder / RESULT, seal(result))
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _rescale(self) -> None:
        """Make the last Dense layer, trained on standardised labels, predict in their units."""
        mean, spread = label_scale(self.dataset.train.first(self.spec.train_samples).labels)
        last = self.net.get_layer(STRAND if self.spec.both_strands else "logits")
        kernel, bias = last.get_weights()
        last.set_weights([kernel * spread, bias * spread + mean])

    def _blended(self, k: int) -> keras.Model:
        """The network with the regression on k-mers beside it."""
        train, valid = self.dataset.train.first(self.spec.train_samples), self.dataset.valid
        guesses = predict(self.whole, valid.codes)
        return with_regression(self.whole, *blend(train, valid, guesses, k))

    def _scores(self) -> dict[str, Any]:
        """Metrics of the best epoch on both held-out splits; None where every epoch diverged."""
        if not self.best_epoch:
            return {"valid": None, "test": None}
        return {
            name: metrics(part.labels, predict(self.whole, part.codes), self.dataset.task_names)
            for name, part in (("valid", self.dataset.valid), ("test", self.dataset.test))
        }


def _to_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


class Batches(keras.utils.PyDataset):
    """Batches of codes and labels in the order of the epoch that `progress` is in.

    Measurements are standardised, see `label_scale`.
    """

    def __init__(self, split: Split, spec: RunSpec, progress: Progress) -> None:
        super().__init__()
        self.split, self.spec, self.progress = split, spec, progress
        self.samples = min(spec.samples_per_epoch or len(split), len(split))
        self.weight = _positive_weight(split) if spec.class_weight else None
        self.scale = label_scale(split.labels) if split.continuous else (0.0, 1.0)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return math.ceil(self.samples / self.spec.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        start = index * self.spec.batch_size
        stop = min(start + self.spec.batch_size, self.samples)
        rows = np.sort(self.order(self.progress.epoch)[start:stop])  # sorted reads suit a disk
        mean, spread = self.scale
        labels = ((self.split.labels[rows] - mean) / spread).astype(np.float32)
        codes = self._moved(self.split.codes[rows], index)
        if self.weight is None:
            return codes, labels
        return codes, labels, np.where(labels[:, 0] > 0, self.weight, 1.0)

    def _moved(self, codes: np.ndarray, index: int) -> np.ndarray:
        """Codes shifted, and in half of the batches of the other strand, from (seed, epoch)."""
        spec, epoch = self.spec, self.progress.epoch
        if most := spec.shift:
            rng = np.random.default_rng(seed_sequence(spec, "shift", epoch, index))
            codes = shifted(codes, rng.integers(-most, most + 1, len(codes)))
        if spec.both_strands and not spec.conjoined:
            rng = np.random.default_rng(seed_sequence(spec, "strand", epoch))
            if rng.permutation(len(self))[index] % 2:
                codes = reverse_complement(codes)
        return codes

    def release(self) -> None:
        """Let go of the data: TensorFlow keeps what it was fed from as long as the process."""
        del self.split, self.progress

    def order(self, epoch: int) -> np.ndarray:
        """Rows in the order of an epoch (counted from 0), from (seed, epoch) alone."""
        if self._order[0] != epoch:
            rng = np.random.default_rng(seed_sequence(self.spec, "order", epoch))
            self._order = (epoch, rng.permutation(len(self.split)))
        return self._order[1]


def _positive_weight(split: Split) -> float:
    if split.continuous:
        raise UserError("class_weight is for classes, got measurements: leave it False.")
    if split.labels.shape[1] != 1:
        raise UserError(
            f"class_weight works for one task, got {split.labels.shape[1]}: leave it False."
        )
    return (len(split) - split.positives[0]) / split.positives[0]


def seed_sequence(spec: RunSpec, stream: str, epoch: int, *further: int) -> np.random.SeedSequence:
    """Where the random numbers of a run's stream (one of `STREAMS`) in an epoch come from."""
    return np.random.SeedSequence((spec.seed, STREAMS[stream], epoch, *further))


def seed(spec: RunSpec, stream: str, epoch: int) -> int:
    """One number of that sequence, for Keras."""
    return int(seed_sequence(spec, stream, epoch).generate_state(1)[0])


def write_checkpoint(path: Path, about: Mapping[str, Any], groups: Groups) -> None:
    """Replace the state of a run that trains, in one step.

    The file is the SHA-256 of what follows, then arrays as npz, nothing pickled or compressed:
    `about` (JSON: `id` of the run, its `history` and `seconds`), and groups of arrays, which
    are `weights`, `optimizer`, and the weights of the `best` epoch: `weights_000` and so on.
    An `OSError` if it can't be written; the one before is kept.
    """
    arrays = {f"{kind}_{i:03d}": a for kind in groups for i, a in enumerate(groups[kind])}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with atomic_write(path) as file:
        file.write(hashlib.sha256(buffer.getbuffer()).digest())
        file.write(buffer.getbuffer())


def read_checkpoint(
    path: Path, run: str, shapes: Mapping[str, Sequence[tuple[int, ...]]]
) -> tuple[dict[str, Any], Groups] | None:
    """What `write_checkpoint` was given; None unless the file is whole and of this run.

    `run` is its id, `shapes` those of its `weights` and `optimizer` arrays.
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        about, groups = _read_arrays(content[32:])
        found = {kind: [array.shape for array in groups[kind]] for kind in groups}
        fits = found.pop("best", []) in ([], shapes["weights"]) and found == shapes
        epochs = [line["epoch"] for line in about["history"]]
        whole = epochs == list(range(1, len(epochs) + 1)) and set(about["seconds"]) == SECONDS
        return (about, groups) if about["id"] == run and fits and whole else None
    except UNREADABLE:
        return None


def _read_arrays(content: bytes) -> tuple[dict[str, Any], Groups]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed, so it may be far larger than it looks")
    groups: Groups = {"best": []}
    with np.load(io.BytesIO(content), allow_pickle=False) as npz:
        about = json.loads(npz["about"].tobytes())
        for name in sorted(set(npz.files) - {"about"}):
            groups.setdefault(name[:-4], []).append(_typed(npz[name]))
    return about, groups


def _typed(array: np.ndarray) -> np.ndarray:
    """The array; as bfloat16 where NumPy, which has no name for that, gives two-byte blobs."""
    return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array
