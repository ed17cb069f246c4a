"""What could be learnt of the genome-wide simulated accessibility set: its ceiling.

Boosted trees are told every true motif of a window and its distance from the centre. Prints
their auROC by cell type; takes some minutes, and the interval files (`sfc data list`):

    python benchmarks/ceiling.py
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.accessibility import (
    LENGTH,
    SimulatedAccessibility,
    read_summits,
    summits_inside,
    tiling,
)
from sfc_lib.datasets.base import SPLITS
from sfc_lib.datasets.chip_seq import factors

WINDOWS = 200_000  # of the training set


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


def main() -> None:
    recipe = SimulatedAccessibility(profile="full", background="chain", min_motifs=1)
    parts = true_motifs(recipe)
    features, labels = parts["train"]
    rows = np.sort(np.random.default_rng(0).choice(len(features), WINDOWS, replace=False))
    for column, task in enumerate(recipe.task_names):
        trees = HistGradientBoostingClassifier(max_iter=300, random_state=0)
        trees.fit(features[rows], labels[rows, column])
        for split in ("valid", "test"):
            known, truth = parts[split]
            score = roc_auc_score(truth[:, column], trees.predict_proba(known)[:, 1])
            print(f"{task} {split} auROC {score:.4f}", flush=True)


if __name__ == "__main__":
    main()
