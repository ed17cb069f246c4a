"""The first edition's verdicts beside those of now, comparison by comparison.

`data/first_edition.json` holds every comparison as the first edition judged it, printed by its
code from its records (the commit stands in the file), under the names that the metrics have now.
Effects then were differences of medians, and profiles had other units. An experiment that has
taken another's place since answers for it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from sfc_lib.files import checkout
from sfc_lib.pages.claims import load_claims
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import VERDICT_STYLES, short, short_data
from sfc_lib.runs.sizes import load_size

COMPARISON = ["experiment", "metric", "favoured", "other"]  # what names one, in both editions
FIRST = (*COMPARISON, "data", "claim", "seeds", "effect", "verdict")
GONE = "not made any more"
PLAIN = ("undecided", "not measurable")  # verdicts that few seeds may be the reason for


def first_edition() -> pd.DataFrame:
    """The comparisons of the first edition, with columns `FIRST`; none outside a clone."""
    root = checkout()
    file = root / "data" / "first_edition.json" if root else None
    rows = json.loads(file.read_text())["comparisons"] if file and file.exists() else []
    named = [row | dict(zip(("favoured", "other"), row["models"], strict=True)) for row in rows]
    return pd.DataFrame(named, columns=list(FIRST))


def beside(grades: pd.DataFrame) -> pd.DataFrame:
    """The first edition's comparisons with today's grades of the same two models.

    Args:
        grades: As of `claims.grade`.

    Returns:
        One row a comparison of the first edition, in its order: columns `FIRST` with `_then`
        behind `data`, `seeds`, `effect` and `verdict`, and the latter four and `confounded` as
        they are now. Verdict is `GONE` where it is not made any more.
    """
    now = _by_old_names(grades)[[*COMPARISON, "data", "seeds", "effect", "confounded", "verdict"]]
    now = now.drop_duplicates(COMPARISON)
    both = first_edition().merge(now, "left", on=COMPARISON, suffixes=("_then", ""))
    both["data"] = both["data"].astype(object).fillna(both.data_then)
    return both.fillna({"verdict": GONE, "confounded": "", "seeds": 0})


def _by_old_names(grades: pd.DataFrame) -> pd.DataFrame:
    """Grades in which an experiment that took another's place has the name of that one."""
    sizes = [load_size(name) for name in load_size("standard").evidence]
    took = {e.name: e.replaces for size in sizes for e in size.experiments.values() if e.replaces}
    there = set(grades.experiment)
    names = [new if (old := took.get(new, new)) in there else old for new in grades.experiment]
    return grades.assign(experiment=names)


def edition_table(grades: pd.DataFrame) -> pd.DataFrame:
    """Both editions' verdicts and effects for reading, one row a comparison of the first."""
    both = beside(grades)
    rows = list(both.itertuples())
    forms = ["+.1f" if row.metric.startswith("epochs") else "+.4f" for row in rows]
    return pd.DataFrame(
        {
            "data": [
                " → ".join(dict.fromkeys(map(short_data, (row.data_then, row.data))))
                for row in rows
            ],
            "comparison": both.favoured + " against " + both.other,
            "metric": both.metric.map(load_claims().words),
            "first edition": both.verdict_then.map(_lettered),
            "now": [_now(row) for row in rows],
            "effect then": [
                short(r.effect_then, form) for r, form in zip(rows, forms, strict=True)
            ],
            "effect now": [short(r.effect, form) for r, form in zip(rows, forms, strict=True)],
            "changed": np.where(both.verdict_then == both.verdict, "no", "yes"),
        }
    )


def turned(grades: pd.DataFrame) -> pd.DataFrame:
    """How many comparisons of a verdict then have which verdict now, for reading.

    One row a verdict of the first edition, one column a verdict of now, and the number of all.
    """
    both = beside(grades)
    counts = pd.crosstab(both.verdict_then, both.verdict)
    order = [*VERDICT_STYLES, GONE]
    counts = counts.reindex(
        index=[v for v in order if v in counts.index],
        columns=[v for v in order if v in counts.columns],
    )
    counts.insert(0, "all", counts.sum(axis=1))
    return counts.rename_axis("first edition", axis=0).rename_axis(None, axis=1).reset_index()


def edition_line(grades: pd.DataFrame) -> str:
    """A Markdown sentence: how many verdicts of the first edition stand; empty outside a clone."""
    both = beside(grades)
    if both.empty:
        return ""
    then = both.verdict_then.value_counts()
    told = ", ".join(f"{then[verdict]} {verdict}" for verdict in VERDICT_STYLES if verdict in then)
    same = int((both.verdict == both.verdict_then).sum())
    made = set(zip(*(both[name] for name in COMPARISON), strict=True))
    now = _by_old_names(grades)
    new = sum(key not in made for key in zip(*(now[name] for name in COMPARISON), strict=True))
    return (
        f"The first edition made {len(both)} comparisons: {told}. **{same} of them have the same "
        f"verdict now**, and {len(both) - same} another; {new} comparisons are new."
    )


def _now(row: Any) -> str:
    """Today's verdict with its reason, where that is not in the effect."""
    if row.verdict == GONE:
        return GONE
    reason = row.confounded.replace("_", " ")
    if row.verdict in PLAIN and row.seeds < MIN_SEEDS:
        reason = f"{row.seeds:.0f} seed{'s' * (row.seeds != 1)}"
    return _lettered(row.verdict) + (f" ({reason})" if reason else "")


def _lettered(verdict: str) -> str:
    return f"{VERDICT_STYLES[verdict][0]} {verdict}"
