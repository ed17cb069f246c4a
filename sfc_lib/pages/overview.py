"""The front page: one matrix of the paper's claims and the data they were tested on."""

from __future__ import annotations

import html
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from sfc_lib.pages import claims
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import PAGE, SMALL, STYLE, VERDICT_STYLES, closed, row_id, same_data, short

CENTRED: Any = {"ha": "center", "va": "center", "fontweight": "bold"}
TOGETHER = "all together"  # the column of the verdict on a claim
GAINS = {  # claims that one network scores more than another, and which
    "performance": "an SFC layer",
    "symmetric_performance": "a symmetric one",
    "symmetry": "symmetry",
}

LEGEND = (
    *("holds", "holds in part", "does not hold", "no difference"),
    *("cannot tell yet", "not testable here"),
)


def matrix(grades: pd.DataFrame) -> HTML:
    """Claims by data: each verdict a coloured letter that leads to its evidence.

    The first column has the verdict on the claim, which all its data make together. Behind the
    letters of `GAINS` stands the gain in auROC (`gain_by_data`), where a page is wide enough.
    """
    table = verdicts(grades)
    heads = "".join(f'<th scope="col"><span>{html.escape(name)}</span></th>' for name in table)
    rows = "".join(
        _row(claim, table.loc[claim.id], grades[grades.claim == claim.id])
        for claim in claims.judge(grades).itertuples()
    )
    legend = " · ".join(f"{_letter(verdict)} {verdict}" for verdict in LEGEND)
    return HTML(
        f"<p class='sfc-legend'>{legend}</p>"
        '<div class="sfc-matrix" tabindex="0"><table><thead><tr><th scope="col">the paper says '
        f"<small>(± auROC gained)</small></th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def verdicts(grades: pd.DataFrame) -> pd.DataFrame:
    """One row a claim, by id: the verdict on it, and that of each of its data; or none."""
    grades = grades.assign(short=grades["data"].map(same_data))
    data = list(dict.fromkeys(grades.short[grades["data"] != "arithmetic"]))
    rows = {}
    for claim in claims.judge(grades).itertuples():
        found = grades[grades.claim == claim.id]
        parts = {name: found[found.short == name] for name in data}
        rows[claim.id] = [claim.verdict, *(_on_one(part) for part in parts.values())]
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=[TOGETHER, *data])


def picture(grades: pd.DataFrame) -> Figure:
    """The matrix as a figure, for where no HTML is shown."""
    table = verdicts(grades)
    names = [claim.short for claim in claims.judge(grades).itertuples()]
    with plt.rc_context(STYLE):
        size = (PAGE, 0.24 * len(table) + 1.9)
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        for (row, column), verdict in np.ndenumerate(table.to_numpy()):
            if verdict:
                letter, _, colour = VERDICT_STYLES[verdict]
                axes.scatter(column, row, 190, color=colour, marker="s")
                axes.text(column, row, letter, color="white", fontsize=SMALL, **CENTRED)
        axes.set(xlim=(-0.6, table.shape[1] - 0.4), ylim=(len(table) - 0.4, -0.6))
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(table.shape[1]), table.columns, rotation=45, ha="left")
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.spines[:].set_visible(False)
        legend = "   ".join(f"{VERDICT_STYLES[verdict][0]} {verdict}" for verdict in LEGEND)
        axes.set_xlabel(legend, fontsize=SMALL)
    return closed(figure)


def headline(grades: pd.DataFrame) -> str:
    """A Markdown sentence of conclusion: the claims counted, and the gains they are about."""
    parts = []
    for claim in ("performance", "symmetric_performance"):
        part = gain_by_data(grades[grades.claim == claim])
        if len(part):
            won = (part.verdict == "supported").sum()
            parts.append(
                f"{GAINS[claim]} on **{won} of {len(part)}** data sets "
                f"({short(part.effect.min(), '+.3f')} to {short(part.effect.max(), '+.3f')})"
            )
    text = claims.conclusion(grades)
    if parts:
        text += f" auROC is raised by {', by '.join(parts)}."
    return text


def gain_by_data(grades: pd.DataFrame) -> pd.DataFrame:
    """Of one claim's comparisons of auROC that can decide, one for each of its data.

    Where there are several, as at two learning rates, it is the one whose lower median is highest:
    at the rate that suits both networks.
    """
    fair = grades[(grades.metric == "auroc") & (grades.confounded == "")]
    fair = fair[fair.seeds >= MIN_SEEDS]
    lower = fair[["favoured_value", "other_value"]].min(axis=1)
    data = fair["data"].map(same_data)
    return fair.loc[lower.groupby(data, sort=False).idxmax()].set_axis(data.unique())


def _on_one(part: pd.DataFrame) -> str:
    """The verdict of a claim's comparisons on one set of data; empty if there are none."""
    if part.empty or set(part.verdict) == {"no difference"}:
        return "" if part.empty else "no difference"
    return claims.conclude_on(part)


def _row(claim: Any, found: pd.Series, grades: pd.DataFrame) -> str:
    evidence, data = claims.grade_table(grades), grades["data"].map(same_data).to_list()
    rows = {name: row_id(evidence, data.index(name)) for name in found.index if name in data}
    by = gain_by_data(grades).effect.map(lambda e: short(e, "+.3f")) if claim.id in GAINS else {}
    cells = [
        _cell(claim, found[name], name, rows.get(name, claim.id), by.get(name, ""))
        for name in found.index
    ]
    name = html.escape(claim.short)
    return (
        f'<tr><th scope="row"><a href="claims.html#{claim.id}">{name}</a></th>{"".join(cells)}</tr>'
    )


def _cell(claim: Any, verdict: str, about: str, goal: str, by: str) -> str:
    """A verdict, the link to the row of its first comparison, or to the claim, and the gain."""
    if not verdict:
        return "<td></td>"
    about = claim.says if about == TOGETHER else about
    title = html.escape(f"{about}: {verdict}" + f", auROC {by}" * bool(by))
    return (
        f'<td><a href="claims.html#{goal}" title="{title}" '
        f'aria-label="{title}">{_letter(verdict)}</a>{f"<small>{by}</small>" if by else ""}</td>'
    )


def _letter(verdict: str) -> str:
    letter, kind, _ = VERDICT_STYLES[verdict]
    return f'<span class="sfc-letter sfc-{kind}">{letter}</span>'
