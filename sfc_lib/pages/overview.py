"""The front page: one matrix of the paper's claims and the data they were tested on."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd
from IPython.display import HTML

from sfc_lib.pages import claims
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import VERDICT_STYLES, same_data, short

LEGEND = (
    *("holds", "holds in part", "does not hold", "no difference"),
    *("cannot tell yet", "not testable here"),
)


def matrix(grades: pd.DataFrame) -> HTML:
    """Claims by data: each verdict a coloured letter that leads to its evidence.

    The first column has the verdict on the claim, which all its data make together.
    """
    grades = grades.assign(short=grades["data"].map(same_data))
    data = list(dict.fromkeys(grades.short[grades["data"] != "arithmetic"]))
    heads = "".join(f'<th scope="col"><span>{html.escape(name)}</span></th>' for name in data)
    rows = "".join(_row(claim, grades, data) for claim in claims.judge(grades).itertuples())
    legend = " · ".join(f"{_letter(verdict)} {verdict}" for verdict in LEGEND)
    return HTML(
        f"<p class='sfc-legend'>{legend}</p>"
        '<div class="sfc-matrix" tabindex="0"><table><thead><tr><th scope="col">the paper says'
        f'</th><th scope="col"><span>all together</span></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def headline(grades: pd.DataFrame) -> str:
    """A Markdown sentence of conclusion: the claims counted, and the gains they are about."""
    fair = grades[(grades.metric == "auroc") & (grades.confounded == "")]
    fair = fair[fair.seeds >= MIN_SEEDS]
    parts = []
    for claim, name in (
        ("performance", "an SFC layer"),
        ("symmetric_performance", "a symmetric one"),
    ):
        part = fair[fair.claim == claim]
        if len(part):
            won = part.data[part.verdict == "supported"].nunique()
            parts.append(
                f"{name} on **{won} of {part.data.nunique()}** data sets "
                f"({short(part.effect.min(), '+.3f')} to {short(part.effect.max(), '+.3f')})"
            )
    text = claims.conclusion(grades)
    if parts:
        text += f" auROC is raised by {', by '.join(parts)}."
    return text


def _row(claim: Any, grades: pd.DataFrame, data: list[str]) -> str:
    found = grades[grades.claim == claim.id]
    cells = [_cell(claim, claim.verdict, claim.says)]
    for name in data:
        here = found[found.short == name]
        same = set(here.verdict) == {"no difference"}
        verdict = "no difference" if same else claims.conclude_on(here)
        cells.append(_cell(claim, verdict, name) if len(here) else "<td></td>")
    short = html.escape(claim.short)
    return (
        f'<tr><th scope="row"><a href="claims.html#{claim.id}">{short}</a></th>'
        f"{''.join(cells)}</tr>"
    )


def _cell(claim: Any, verdict: str, about: str) -> str:
    title = html.escape(f"{about}: {verdict}")
    return (
        f'<td><a href="claims.html#{claim.id}" title="{title}" '
        f'aria-label="{title}">{_letter(verdict)}</a></td>'
    )


def _letter(verdict: str) -> str:
    letter, kind, _ = VERDICT_STYLES[verdict]
    return f'<span class="sfc-letter sfc-{kind}">{letter}</span>'
