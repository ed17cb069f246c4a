"""What the published scores are to be held against, by dataset: `data/yardsticks.json`.

- chance of auPRC: the share of positives, of validation and test set, mean of the tasks;
- of accessibility, how many windows each split has and how many were left out, by reason; and how
  many windows the whole genome has, in how many open regions, before any is left out;
- `--kmers`: what counting 6-mers learns, linear (ridge) regression on the square roots of their
  counts on both strands;
- `--ceiling`: what could be learnt of simulated accessibility: boosted trees are told every true
  motif of a window and its distance from the centre;
- `--composition`: what a window's composition alone tells of simulated accessibility, the same
  regression on counts of 2-mers. Of the windows on a piece of hg19 also with the background that
  genome-wide ones have, which draws from one chain for all windows and so has none.

The options take minutes each; what is not asked for stays as it was. Needs the datasets' files
(`sfc data list`):

    python benchmarks/yardsticks.py --kmers --ceiling --composition
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.accessibility import (
    LENGTH,
    SimulatedAccessibility,
    TiledRecipe,
    accessible_windows,
    read_summits,
    summits_inside,
    tiling,
)
from sfc_lib.datasets.base import SPLITS, Dataset, load_dataset, make_recipe
from sfc_lib.datasets.chip_seq import factors
from sfc_lib.files import write_json
from sfc_lib.genomics.intervals import merge
from sfc_lib.genomics.kmers import kmer_features
from sfc_lib.runs.sizes import load_size

FILE = Path(__file__).resolve().parent.parent / "data" / "yardsticks.json"
SIZES = ("standard", "converged")
PARTS = ("valid", "test")
WINDOWS = 200_000  # the most that the trees are fitted on

CHAIN_BACKGROUND = {"profile": "hg19-subset", "background": "chain"}
K = 6
MOST = 60_000  # training examples, evenly spaced
STRENGTHS = (30.0, 300.0, 3000.0)  # of the penalty; the best on the validation set is scored


def kmer_regression(dataset: Dataset, k: int = K) -> dict[str, float]:
    """Mean auROC over tasks, each at the strength that is best on its validation set."""
    train = dataset.train.evenly(min(MOST, len(dataset.train)))
    fitted = kmer_features(train.codes, k).toarray().astype(np.float32)
    parts = {part: getattr(dataset, part) for part in PARTS}
    known = {part: kmer_features(split.codes, k) for part, split in parts.items()}
    scores = []
    for strength in STRENGTHS:
        model = Ridge(strength).fit(fitted, train.labels.astype(np.float32))
        found = {
            part: model.predict(counts).reshape(counts.shape[0], -1)  # also of one task
            for part, counts in known.items()
        }
        by_task = [_aurocs(parts[part].labels, found[part]) for part in PARTS]
        scores.append(np.stack(by_task, axis=1))
    table = np.stack(scores)  # strengths, tasks, parts
    best = table[table[..., 0].argmax(axis=0), range(table.shape[1])]
    for task, pair in zip(dataset.task_names, best.tolist(), strict=True):
        print(f"{task} auROC of {PARTS}: {pair}", flush=True)
    return dict(zip(PARTS, best.mean(axis=0).tolist(), strict=True))


def _aurocs(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    return [float(roc_auc_score(*pair)) for pair in zip(labels.T, scores.T, strict=True)]


def true_motifs(recipe: SimulatedAccessibility) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What a network would know that had learnt every motif: features and labels by split.

    Features, float32 (windows, 2 · motifs): how often each motif was to be put into a
    window, and how far from its centre the nearest one is, in bp (1000 if there is none).
    """
    summits, motifs = read_summits(factors())
    tiled = tiling(recipe.peaks(), recipe.regions(summits))
    sites = summits_inside(tiled.windows, summits)
    count = np.zeros((len(tiled.windows), len(motifs)), np.float32)
    nearest = np.full_like(count, LENGTH)
    np.add.at(count, (sites[:, 0], sites[:, 2]), 1)
    np.minimum.at(nearest, (sites[:, 0], sites[:, 2]), abs(sites[:, 1] - LENGTH // 2))
    keep = count.sum(axis=1) >= recipe.min_motifs
    rows = {split: keep & (tiled.splits == split) for split in SPLITS}
    features = np.hstack([count, nearest])
    return {split: (features[mask], tiled.labels[mask]) for split, mask in rows.items()}


def ceiling(recipe: SimulatedAccessibility) -> dict[str, float]:
    """Mean auROC over cell types of trees that are told the true motifs."""
    windows = true_motifs(recipe)
    features, labels = windows["train"]
    count = min(WINDOWS, len(features))
    rows = np.sort(np.random.default_rng(0).choice(len(features), count, replace=False))
    scores = []
    for column in range(len(recipe.task_names)):
        trees = HistGradientBoostingClassifier(max_iter=300, random_state=0)
        trees.fit(features[rows], labels[rows, column])
        found = [(windows[part], trees.predict_proba(windows[part][0])[:, 1]) for part in PARTS]
        scores.append([roc_auc_score(truth[:, column], given) for (_, truth), given in found])
        print(f"{recipe.task_names[column]} auROC of {PARTS}: {scores[-1]}", flush=True)
    return dict(zip(PARTS, np.mean(scores, axis=0).tolist(), strict=True))


def window_counts(dataset: Dataset, recipe: TiledRecipe) -> dict[str, dict[str, int]]:
    """Windows by split, those `left out` by reason, and of the whole `genome` also its regions."""
    peaks = recipe.peaks()
    regions, windows = merge(pd.concat(peaks)), accessible_windows(peaks)
    return {
        "windows": {split: len(getattr(dataset, split)) for split in SPLITS},
        "left out": {reason: count for reason, count in dataset.dropped.items() if count},
        "genome": {"regions": len(regions), "windows": len(windows)},
    }


def main(*wanted: str) -> None:
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    specs = [spec for size in SIZES for spec in load_size(size, 1).specs]
    wanted_sets = [(spec.dataset, dict(spec.dataset_options)) for spec in specs]
    if "--composition" in wanted:
        wanted_sets.append(("simulated_accessibility", CHAIN_BACKGROUND))
    for name, options in {json.dumps(each): each for each in wanted_sets}.values():
        dataset, recipe = load_dataset(name, **options), make_recipe(name, options)
        entry = known.setdefault(dataset.fingerprint, {"dataset": dataset.name})
        entry["positives"] = {
            part: float(np.mean(getattr(dataset, part).labels.mean(axis=0))) for part in PARTS
        }
        if isinstance(recipe, TiledRecipe):
            entry |= window_counts(dataset, recipe)
        if "--kmers" in wanted and options != CHAIN_BACKGROUND:
            entry["6-mer regression"] = kmer_regression(dataset)
        if "--composition" in wanted and name == "simulated_accessibility":
            entry["options"] = options
            entry["2-mer regression"] = kmer_regression(dataset, 2)
        told = "--ceiling" in wanted and options != CHAIN_BACKGROUND
        if told and isinstance(recipe, SimulatedAccessibility):
            entry["ceiling"] = ceiling(recipe)
        print(entry, flush=True)
        write_json(FILE, known)


if __name__ == "__main__":
    main(*sys.argv[1:])
