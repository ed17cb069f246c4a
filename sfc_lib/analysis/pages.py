"""Small pieces every page shows: tables, and the line that names the profile."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from sfc_lib.analysis.claims import VERDICTS, Grade
from sfc_lib.analysis.results import Results, cpu_minutes
from sfc_lib.files import published_dir, sha256_json

FOLDED = 200  # characters
VERDICT_COLOURS = dict(zip(VERDICTS, ("#1a7f37", "#57606a", "#b42318", "#57606a"), strict=True))


def show(table: pd.DataFrame) -> HTML:
    """A table as HTML that scrolls inside its own box; verdicts are coloured.

    One without rows is not shown at all.
    """
    if table.empty:
        return HTML("")
    name = sha256_json(table.astype(str).to_dict("list"))[:8]  # same table, same HTML
    styled = table.style.set_uuid(name).hide(axis="index").format(_folded)
    if "verdict" in table:
        styled = styled.map(_verdict_style, subset=["verdict"])
    return HTML(f'<div class="sfc-table" tabindex="0">{styled.to_html()}</div>')


def profile_line(results: Sequence[Results]) -> str:
    """One Markdown sentence: the profile shown, its runs and seeds."""
    plan = results[0].profile
    runs = sum(len(result.experiment.specs) for result in results)
    return (
        f"This page shows profile **{plan.name}** ({plan.about}): {runs} runs, "
        f"{plan.seeds} seeds of each model."
    )


def time_line(results: Sequence[Results], began: float) -> str:
    """One Markdown sentence: what it takes to regenerate a page, as measured.

    Args:
        results: The results of the page.
        began: `time.perf_counter()` when the page began. The time since is told only where
            all records are published ones, so that no training is part of it.
    """
    seconds = time.perf_counter() - began
    records = [r for result in results for group in result.records.values() for r in group]
    line = (
        f"The {len(records)} runs of this profile, shared by all pages, took "
        f"**{cpu_minutes(records):.0f} CPU minutes** to train."
    )
    if all(record.folder.parent == published_dir() for record in records):
        line += (
            f" From their published records this page was computed in **{seconds:.0f} seconds**."
        )
    return line


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


def _folded(value: object) -> str:
    """A cell's text as HTML; a long one is folded until clicked."""
    text = html.escape(str(value))
    if len(text) < FOLDED:
        return text
    return f"<details><summary>{text[:40]} …</summary>{text}</details>"


def _verdict_style(verdict: str) -> str:
    return f"color: {VERDICT_COLOURS[verdict]}; font-weight: 600"
