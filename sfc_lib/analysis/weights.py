"""Positional weights as Figure 4 shows them: normalised rows, clusters, roughness.

"Rows were mean-normalized to have unit magnitude" can be read in two ways. Here each row has
its mean subtracted and is then divided by its Euclidean norm: so do the authors where they
use both words for code of theirs (TF-MoDISco chains a MeanNormalizer, which subtracts the
mean, and a MagnitudeNormalizer, which divides by the norm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sfc_lib.analysis.results import Results
from sfc_lib.experiments.store import Record, best_seeds

CLUSTERS = 10
VARIANT = "symm"  # symmetry was enforced for all models of Figure 4


def normalise_rows(weights: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and Euclidean norm 1, float64; a constant row becomes zeros.

    Example:

    >>> normalise_rows(np.array([[1.0, 3.0], [5.0, 5.0]])).round(3).tolist()
    [[-0.707, 0.707], [0.0, 0.0]]
    """
    rows = np.asarray(weights, dtype=np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = norms <= 1e-6 * np.abs(weights).max(initial=0)  # nothing but rounding
    return np.where(flat, 0.0, rows / np.where(flat, 1.0, norms))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Normalised rows sorted by cluster, the largest cluster first.

    `rows`: (units, length). `neurons`: the row of `W_pos` each came from. `sizes`: rows of
    each cluster, in their order; they add up to all rows.
    """

    rows: np.ndarray
    neurons: np.ndarray
    sizes: np.ndarray

    @property
    def boundaries(self) -> np.ndarray:
        """Rows before which a new cluster begins, without the first."""
        return np.cumsum(self.sizes)[:-1]


def cluster(weights: np.ndarray, count: int = CLUSTERS) -> Clusters:
    """Normalise the rows of `W_pos`, (units, length), and sort them by k-means cluster.

    The random state is fixed; inside a cluster rows keep the layer's order. There are fewer
    clusters where there are fewer different rows.

    Example:

    >>> cluster(np.array([[0, 1, 0], [1, 0, 0], [0, 3, 0], [0, 2, 0]]), 2).neurons.tolist()
    [0, 2, 3, 1]
    """
    from sklearn.cluster import KMeans

    rows = normalise_rows(weights)
    count = min(count, len(np.unique(rows.round(9), axis=0)))
    labels = KMeans(count, n_init=10, random_state=0).fit_predict(rows)
    sizes = np.bincount(labels, minlength=count)
    ranks = np.argsort(-sizes, kind="stable")  # labels, the largest cluster first
    neurons = np.argsort(np.argsort(ranks)[labels], kind="stable")
    return Clusters(rows[neurons], neurons, sizes[ranks])


def roughness(weights: np.ndarray, symmetric: bool) -> float:
    """Mean size of second differences along the normalised rows, 0 for straight ones.

    Of a symmetric layer only the stored half counts, as in curvature regularisation: it may
    bend at the centre. Rows that are constant count as straight.

    Args:
        weights: The whole `W_pos`, (units, length).
        symmetric: Whether it is mirrored.
    """
    rows = normalise_rows(weights)
    stored = -(-rows.shape[1] // 2) if symmetric else rows.shape[1]
    if stored < 3:
        raise ValueError(f"roughness needs 3 positions or more, got {stored}.")
    return float(np.abs(np.diff(rows[:, :stored], n=2, axis=1)).mean())


def roughness_by_run(results: Results) -> pd.DataFrame:
    """One row a finished run with an SFC layer: model, seed, curvature, roughness."""
    rows = [
        (model, r.spec.seed, r.spec.curvature, _roughness(r))
        for model, records in results.records.items()
        for r in records
        if r.spec.variant != "std" and not r.diverged
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "curvature", "roughness"])


def by_strength(results: Results) -> dict[float, Record]:
    """The best seed with a symmetric layer at each strength of CR, weakest first."""
    records = [r for group in results.records.values() for r in group if r.spec.variant == VARIANT]
    best = sorted(best_seeds(records), key=lambda r: (r.spec.curvature, r.result["valid"]["auroc"]))
    return {record.spec.curvature: record for record in best}  # the last of equals, the best


def shown(results: Sequence[Results]) -> list[Results]:
    """Experiments for Figure 4: those with several strengths of CR; if none, all with one."""
    strengths = {id(result): len(by_strength(result)) for result in results}
    most = min(2, max(strengths.values(), default=0))
    return [result for result in results if strengths[id(result)] >= max(1, most)]


def strengths_line(results: Sequence[Results]) -> str:
    """One Markdown sentence: which strengths of CR the runs have, and what the paper shows."""
    parts = [
        f"{result.title}: CR {', '.join(f'{s:g}' for s in by_strength(result))}"
        for result in shown(results)
    ]
    if not parts:
        return "No run of this profile has a symmetric SFC layer, so there is nothing to show."
    line = f"Strengths of curvature regularisation in the runs shown: **{'; '.join(parts)}**."
    if all(len(by_strength(result)) < 2 for result in shown(results)):
        line += (
            " The paper shows 0, 1, 10 and 100 on hematopoiesis data. No run here uses another "
            "strength than 0, so the claim about CR is **not answered** yet."
        )
    return line


def strength_table(results: Sequence[Results]) -> pd.DataFrame:
    """For reading: seeds, roughness over seeds, and cluster sizes of the best one, by strength."""
    rows = []
    for result in shown(results):
        runs = roughness_by_run(result)
        labels = {r.spec.id: m for m, records in result.records.items() for r in records}
        for strength, record in by_strength(result).items():
            values = runs.loc[runs.model == labels[record.spec.id], "roughness"]
            rows.append(
                {
                    "data": result.title,
                    "CR": f"{strength:g}",
                    "seeds": len(values),
                    "roughness: median (min – max)": (
                        f"{values.median():.3f} ({values.min():.3f} – {values.max():.3f})"
                    ),
                    "best seed": record.spec.seed,
                    "rows of its clusters": ", ".join(
                        map(str, cluster(record.positional_weights()).sizes)
                    ),
                }
            )
    return pd.DataFrame(rows)


def _roughness(record: Record) -> float:
    return roughness(record.positional_weights(), record.spec.variant == VARIANT)
