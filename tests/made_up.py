"""Run records made up for tests of figures: sealed files and scores, but nothing trained."""

import base64
import dataclasses
import hashlib
import io
import json

import numpy as np

from sfc_lib.files import seal
from sfc_lib.nn.architectures import VARIANTS
from sfc_lib.pages.results import Results
from sfc_lib.runs.evaluation import MEASURED, VERSION
from sfc_lib.runs.sizes import Experiment, Size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import HISTORY, IMPORTANCE, W_POS, Record

ENVIRONMENT = {
    "python": "3.11.7",
    "versions": {"keras": "3.14.0"},
    "cpu": "a processor",
    "threads": "1",
    "commit": "c0ffee",
    "finished": "2026-01-02T03:04:05Z",
}


def unpacked(values):
    """The numbers that `sfc_lib.pages.widget.packed` packed."""
    kind = np.dtype(values["kind"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(values["base64"]), kind) * values["step"]


def record(folder, spec, auroc=0.9, *, auprc=None, curve=None, diverged=False, **arrays):
    """A record in `folder`: a score, an auROC for each epoch, `weights` and `importance`.

    A profile given as importance stands for both forms, without noise.
    """
    if np.ndim(arrays.get("importance")) == 1:
        profile = arrays["importance"]
        arrays["importance"] = np.stack([[profile, 0 * profile]] * 2)
    curve = [auroc] if curve is None else curve
    lines = [
        {"epoch": epoch, "loss": 1 / epoch, "valid_auroc": value, "valid_auprc": value}
        for epoch, value in enumerate(curve, 1)
    ]
    contents = {HISTORY: "".join(json.dumps(line) + "\n" for line in lines).encode()}
    names = {"weights": W_POS, "importance": IMPORTANCE}
    for key, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        contents[names[key]] = buffer.getvalue()
    for name, content in contents.items():
        path = folder / spec.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    scores = {"auroc": auroc, "auprc": auroc if auprc is None else auprc}
    result = {
        "status": "diverged" if diverged else "done",
        "valid": None if diverged else scores,
        "files": {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()},
        "epochs": len(curve),
        "best_epoch": 1 + int(np.argmax(curve)),
        "cpu_seconds": 60.0,
        "dataset_fingerprint": "f" * 64,
        "environment": ENVIRONMENT,
    }
    if "importance" in arrays:
        result[MEASURED] = {"version": VERSION, "sequences": 100_000}
    return Record(spec, folder / spec.id, seal(result))


def results(groups, title="Made up", name="made_up"):
    """Results of one experiment from records by model."""
    models = {model: tuple(r.spec for r in group) for model, group in groups.items()}
    experiment = Experiment(name, title, models)
    size = Size("made_up", "made up", experiment.seeds, {name: experiment})
    return Results(size, [record for group in groups.values() for record in group])


def together(*parts):
    """Results of several experiments in one; of the same name, they are numbered."""
    experiments = {}
    for part in parts:
        (one,) = part.size.experiments.values()
        name = one.name if one.name not in experiments else f"{one.name}_{len(experiments)}"
        experiments[name] = dataclasses.replace(one, name=name)
    size = dataclasses.replace(parts[0].size, experiments=experiments)
    return Results(size, [record for part in parts for record in part.records])


def scored(folder, scores, curves=None, title="Made up", **spec):
    """Results whose auROCs, by model and seed, are given; nan for a run that diverged."""
    curves = curves or {}
    groups = {}
    for place, (model, values) in enumerate(scores.items()):
        own = {"variant": model} if model in VARIANTS else {"units": 100 + place}  # its own id
        groups[model] = [
            record(
                folder,
                RunSpec(**{**own, **spec, "seed": seed}),
                value,
                diverged=np.isnan(value),
                curve=curves[model][seed] if model in curves else None,
            )
            for seed, value in enumerate(values)
        ]
    return results(groups, title)


def by_curvature(folder, strengths=(0, 1, 10, 100), seeds=3, units=24, length=18):
    """Records by model like Figure 4's: the stronger CR, the smoother their symmetric rows."""
    groups = {}
    for strength in strengths:
        group = []
        for seed in range(seeds):
            rng = np.random.default_rng((seed, strength))
            steps = rng.normal(size=(units, length // 2)) / (1 + strength)
            half = np.cumsum(steps, axis=1) + np.linspace(0, 1, length // 2) * rng.normal(
                size=(units, 1)
            )
            weights = np.concatenate([half, half[:, ::-1]], axis=1).astype(np.float32)
            spec = RunSpec(variant="symm", curvature=strength, seed=seed)
            group.append(record(folder, spec, 0.9 + 0.01 * seed, weights=weights))
        groups[f"cr_{strength}"] = group
    return groups


def with_curvature(folder, **options):
    """Results of an experiment like Figure 4's, see `by_curvature`."""
    return results(by_curvature(folder, **options), "Made-up accessibility")
