"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sfc_lib.pages.claims import Grade
from sfc_lib.pages.style import VERDICTS


def verdicts(grades: Sequence[Grade]) -> pd.DataFrame:
    """Counts of verdicts by figure and dataset."""
    rows = pd.DataFrame(
        {
            "figure": [f"Figure {g.claim.figure}" for g in grades],
            "data": [g.experiment for g in grades],
            "verdict": [g.verdict for g in grades],
        }
    )
    counts = (
        rows.groupby(["figure", "data"], sort=False).verdict.value_counts().unstack(fill_value=0)
    )
    return counts.reindex(columns=list(VERDICTS), fill_value=0).reset_index()
