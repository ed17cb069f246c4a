"""Every run to look at: its scores, learning curve, importance and positional weights.

All is in one file beside the page, which `book/_static/explorer.js` draws from. Importance and
`W_pos` are rounded to whole steps of their largest value, which no picture shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns

from sfc_lib.pages import doors
from sfc_lib.pages.notebook import repository
from sfc_lib.pages.results import RUN, Results, by_experiment
from sfc_lib.pages.style import COLOURS, NAMES
from sfc_lib.pages.widget import Widget, packed
from sfc_lib.runs.spec import RunSpec

ABOUT = "All runs: choose data, models and seeds, see scores, curves, importance and weights"
METRICS = {  # column of `Results.runs`, and its name
    "auroc": "validation auROC",
    "auprc": "validation auPRC",
    "test_auroc": "test auROC",
    "test_auprc": "test auPRC",
    "best_epoch": "best epoch",
    "epochs": "epochs trained",
    "cpu_minutes": "CPU minutes",
}
CURVES = ("loss", "auroc", "auprc")
DIGITS = 5  # of scores
DETAILS = ("tasks", "curve", "profile", "weights")  # of a run, whatever it stands beside


def explorer(results: Results) -> Widget:
    """The picture, of all runs that the results have.

    Runs that stand in several groups, as *std* does beside its controls, have one entry of
    `DETAILS` by id.
    """
    found, details = groups(results), dict[str, dict[str, Any]]()
    for run in (run for group in found for model in group["models"] for run in model["runs"]):
        details.setdefault(run["id"], {name: run.pop(name) for name in DETAILS})
    found_at = doors.address(repository())
    return Widget(
        "explorer",
        ABOUT,
        {
            **{"metrics": METRICS, "groups": found, "details": details},
            "records": f"{found_at}/tree/{doors.BRANCH}/" if found_at else "",
        },
    )


def groups(results: Results) -> list[dict[str, Any]]:
    """What is compared: for each experiment its models, and for each of these its runs.

    Plain values. A model has what all its runs share: `spec`. A run has `seed`, `id`, `path` of
    its record in the repository, the `METRICS` (null for one that diverged), `tasks` (auROC and
    auPRC of each), `curve` (`CURVES` by epoch) and, where its record has them, `profile` and
    `weights` as of `_profile` and `_weights`; of controls the best seed's `weights` alone, while
    `has_weights` says whether the record has some.
    """
    runs = results.runs.assign(cpu_minutes=results.runs.cpu_seconds / 60)
    profiles = results.profiles(runs.experiment.unique())
    centred = results.profiles(runs.experiment.unique(), centred=True)
    recorded = results.weights
    weights = recorded[~recorded.control | recorded.best]
    details = {
        "profile": {i: _profile(profiles.loc[i], centred.loc[i]) for i in profiles.index},
        "weights": {run.Index: _weights(run) for run in weights.itertuples()},
        "recorded": set(recorded.index),
        "curve": dict(iter(results.epochs.groupby(RUN))),
    }
    found = []
    for part in by_experiment(runs):
        first = part.iloc[0]
        models = [
            {
                "name": model,
                "label": NAMES.get(model, model),
                "spec": _spec(results.records[rows.index[0]].spec),
                "runs": [_run(run, details) for run in rows.itertuples()],
            }
            for model, rows in part.groupby("model", sort=False)
        ]
        _colour(models)
        about = {"name": first.experiment, "title": first.title, "control": bool(first.control)}
        found.append({**about, "about": first.about, "models": models})
    return found


def _run(run: Any, details: dict[str, Any]) -> dict[str, Any]:
    curve = details["curve"][run.experiment, run.model, run.seed]
    tasks = run.auroc_by_task if isinstance(run.auroc_by_task, dict) else {}
    return {
        "seed": run.seed,
        "id": run.id,
        "path": f"{'data/runs' if run.published else 'runs'}/{run.id}",
        "best": bool(run.best),
        "diverged": bool(run.diverged),
        **{name: _rounded(getattr(run, name)) for name in METRICS},
        "tasks": {
            t: [_rounded(auroc), _rounded(run.auprc_by_task[t])] for t, auroc in tasks.items()
        },
        "curve": {name: [_rounded(value) for value in curve[name]] for name in CURVES},
        "profile": details["profile"].get(run.Index),
        "weights": details["weights"].get(run.Index),
        "has_weights": run.Index in details["recorded"],
    }


def _profile(raw: pd.Series, centred: pd.Series) -> dict[str, Any]:
    """Importance in both forms, in units of the centred one's mean size in the region compared."""
    return {
        "task": raw.task,
        "sequences": int(raw.sequences),
        "raw": packed(raw.profile / (raw.unit or np.nan), "int16"),
        "centred": packed(centred.profile / (centred.unit or np.nan), "int16"),
    }


def _weights(run: Any) -> dict[str, Any]:
    """The stored `W_pos`; of a symmetric layer that is its first half."""
    units, length = run.W_pos.shape
    stored = -(-length // 2) if run.variant == "symm" else length
    return {
        "units": units,
        "length": length,
        "stored": stored,
        "values": packed(run.W_pos[:, :stored], "int8"),
    }


def _spec(spec: RunSpec) -> dict[str, Any]:
    """What a model's runs share, as text; options of the dataset beside the rest."""
    values = spec.to_dict()
    options = values.pop("dataset_options")
    return {k: str(v) for k, v in {**values, **options}.items() if k != "seed" and v is not None}


def _colour(models: list[dict[str, Any]]) -> None:
    """Give every model its colour of all pages, or one of its own among those that have none."""
    others = [model["name"] for model in models if model["name"] not in COLOURS]
    own = dict(zip(others, sns.husl_palette(len(others), s=0.8, l=0.55).as_hex(), strict=True))
    for model in models:
        model["colour"] = COLOURS.get(model["name"]) or own[model["name"]]


def _rounded(value: float) -> float | None:
    return round(float(value), DIGITS) if np.isfinite(value) else None
