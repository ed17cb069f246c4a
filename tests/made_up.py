"""Run records made up for tests of figures: sealed arrays and scores, but nothing trained."""

import hashlib
import io

import numpy as np

from sfc_lib.pages.results import Results
from sfc_lib.runs.sizes import Experiment, Size
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import IMPORTANCE, W_POS, Record


def record(folder, spec, auroc, *, diverged=False, **arrays):
    """A record in `folder` that carries arrays, given as `weights` and `importance`."""
    names = {"weights": W_POS, "importance": IMPORTANCE}
    files = {}
    for key, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        path = folder / spec.id / names[key]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        files[path.name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    status = "diverged" if diverged else "done"
    valid = None if diverged else {"auroc": auroc, "auprc": auroc}
    counts = {"epochs": 1, "best_epoch": 1}
    return Record(
        spec, folder / spec.id, {"status": status, "valid": valid, "files": files, **counts}
    )


def results(records, title="Made up"):
    """Results of one experiment from records by model."""
    models = {model: tuple(r.spec for r in group) for model, group in records.items()}
    experiment = Experiment("made_up", title, models)
    seeds = max(len(group) for group in records.values())
    profile = Size("made_up", "made up", seeds, {"made_up": experiment})
    return Results(profile, experiment, records)


def with_curvature(folder, strengths=(0, 1, 10, 100), seeds=3, units=24, length=18):
    """An experiment like Figure 4's: the stronger CR, the smoother are its symmetric rows."""
    records = {}
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
        records[f"cr_{strength}"] = group
    return results(records, "Made-up accessibility")
