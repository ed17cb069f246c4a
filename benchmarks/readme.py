"""Write the parts of README.md that are measured: its pictures and its two tables of minutes.

Run it with `make readme` after new records were published. Reading minutes are CPU minutes
measured here; training minutes are those of the published records.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sfc_lib.pages import claims, figure1_performance, overview
from sfc_lib.pages.book import EXECUTED, chapters
from sfc_lib.pages.notebook import notebook_path, run_notebook
from sfc_lib.pages.results import Results, cpu_minutes, drawn, load_results, with_evidence

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PICTURES = {name: ROOT / "book" / f"{name}.png" for name in ("verdicts", "result")}
MARKS = ("<!-- {}: written by make readme -->", "<!-- end of {} -->")  # of a part's name
PAGES = {
    "figure1_performance": "Figure 1",
    "figure2_learning_curves": "Figure 2",
    "figure3_importance": "Figure 3",
    "figure4_positional_weights": "Figure 4",
}


def training_minutes(results: Results, jobs: int = 2) -> int:
    """Minutes of one core that the runs took, divided over `jobs`."""
    return round(cpu_minutes(results.runs) / jobs)


def reading_minutes(name: str) -> float:
    """CPU minutes one notebook takes when every record is there, rounded up to tenths.

    Those of its kernel and of this process: what a busy machine does besides does not count.
    """
    began = _cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        run_notebook(notebook_path(name), Path(folder) / "out.ipynb", {})
    return math.ceil((_cpu_seconds() - began) / 6) / 10


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def paths(results: Results, reading: Mapping[str, float]) -> str:
    """The README's table of ways in, in Markdown, by the minutes of reading each notebook."""
    own = results.runs[results.runs.experiment == "ctcf"].cpu_seconds.median() / 60
    rows = [
        "| to | do | minutes, once `.venv` is there |",
        "|---|---|---|",
        "| read it | `make book`, and open the page that it names "
        f"| {math.fsum(reading.values()):.0f} of one core to run its notebooks |",
        "| rerun it | `make reproduce SIZE=quick`: simulated TF binding anew "
        f"| {training_minutes(load_results('quick', jobs=0))} of training in two processes |",
        "| use it | `SeparableFC` in your model, or `sfc train` with your sequences "
        f"| {own:.1f} to train a network like one for CTCF here |",
    ]
    return "\n".join(rows)


def minutes(results: Results, reading: Mapping[str, float]) -> str:
    """The README's table of minutes in Markdown, by those of reading each notebook."""
    rows = [
        "| figure | notebook | command | CPU minutes from the records | minutes of training |",
        "|---|---|---|---|---|",
    ]
    trained = training_minutes(drawn(with_evidence(results)))
    for name, title in PAGES.items():
        rows.append(
            f"| {title} | `notebooks/{name}.ipynb` | `make figure NAME={name}` "
            f"| {reading[name]} | {trained}, shared by all |"
        )
    return "\n".join(rows)


def main() -> None:
    """Draw the pictures and write the tables."""
    results = load_results("standard")
    draw(results)
    write_tables(results)


def draw(results: Results) -> None:
    """Draw both pictures."""
    judged = with_evidence(results)
    scores = figure1_performance.performance(drawn(judged), "auroc")
    figures = overview.picture(claims.grade(judged)), scores
    for figure, file in zip(figures, PICTURES.values(), strict=True):
        figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})


def write_tables(results: Results) -> None:
    """Write both tables into README.md."""
    names = [Path(page).name for page in chapters(ROOT / "book") if page.startswith(EXECUTED)]
    reading = {name: reading_minutes(name) for name in names}
    text = README.read_text()
    for name, table in {"paths": paths, "minutes": minutes}.items():
        begin, end = (mark.format(name) for mark in MARKS)
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(f"{begin}\n\n{table(results, reading)}\n\n{end}", text)
    README.write_text(text)


if __name__ == "__main__":
    main()
