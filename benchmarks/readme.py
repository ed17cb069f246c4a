"""Write the parts of README.md that are measured: its picture and its table of minutes.

Run it with `make readme` after new records were published. Reading minutes are timed
here; training minutes are those of the published records.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from pathlib import Path

from sfc_lib.pages import figure1_performance
from sfc_lib.pages.notebook import notebook_path, run_notebook
from sfc_lib.pages.results import Results, cpu_minutes, load_results

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "book" / "result.png"
MARKS = ("<!-- minutes: written by make readme -->", "<!-- end of minutes -->")
PAGES = {
    "figure1_performance": "Figure 1",
    "figure2_learning_curves": "Figure 2",
    "figure3_importance": "Figure 3",
    "figure4_positional_weights": "Figure 4",
}


def training_minutes(results: Results, jobs: int = 2) -> int:
    """Minutes of one core that the runs behind the figures took, divided over `jobs`."""
    return round(cpu_minutes(results.runs) / jobs)


def reading_minutes(name: str) -> float:
    """Minutes one notebook takes when every record is there, rounded up to tenths."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run_notebook(notebook_path(name), Path(folder) / "out.ipynb", {})
    return math.ceil((time.perf_counter() - began) / 6) / 10


def minutes(results: Results) -> str:
    """The README's table of minutes in Markdown."""
    rows = [
        "| figure | notebook | command | minutes from the records | minutes of training |",
        "|---|---|---|---|---|",
    ]
    for name, title in PAGES.items():
        rows.append(
            f"| {title} | `notebooks/{name}.ipynb` | `make figure NAME={name}` "
            f"| {reading_minutes(name)} | {training_minutes(results)}, shared by all |"
        )
    return "\n".join(rows)


def main() -> None:
    """Write both parts."""
    results = load_results("standard")
    picture = figure1_performance.performance(results, "auroc")
    picture.savefig(PICTURE, dpi=110, metadata={"Software": None})
    begin, end = MARKS
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text = pattern.sub(f"{begin}\n\n{minutes(results)}\n\n{end}", README.read_text())
    README.write_text(text)


if __name__ == "__main__":
    main()
