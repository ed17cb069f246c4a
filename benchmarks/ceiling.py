"""What could be learnt of the genome-wide simulated accessibility set: its ceiling.

Boosted trees are told every true motif of a window and its distance from the centre. Prints
their auROC by cell type; takes some minutes, and the interval files (`sfc data list`):

    python benchmarks/ceiling.py
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.accessibility import SimulatedAccessibility

WINDOWS = 200_000  # of the training set


def main() -> None:
    recipe = SimulatedAccessibility(profile="full", background="chain", min_motifs=1)
    parts = recipe.true_motifs()
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
