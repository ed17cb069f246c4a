"""The front page: how many claims came out which way."""

from __future__ import annotations

import pandas as pd

from sfc_lib.pages.style import VERDICTS


def verdicts(grades: pd.DataFrame) -> pd.DataFrame:
    """Counts of verdicts by figure and dataset, of grades as `claims.grade` gives them."""
    rows = grades.assign(figure="Figure " + grades.figure.astype(str))
    counts = rows.groupby(["figure", "data"], sort=False).verdict.value_counts()
    table = counts.unstack(fill_value=0).reindex(columns=list(VERDICTS), fill_value=0)
    return table.reset_index()
