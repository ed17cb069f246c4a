"""The reports on the book's page *Your own data*, made by the commands on that page.

`python benchmarks/own_reports.py` runs the page's blocks of code as they stand, those of its
sections `SECTIONS`, in a folder of their own. It puts the report of each folder of `REPORTS` beside
the page, and writes the page's table of them, whose words are the reports' own.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from marks import with_part

PAGE = Path(__file__).resolve().parent.parent / "book" / "own_data.md"
PLACE = PAGE.parent / "_static" / "reports"
SECTIONS = ("A TF from start to end", "Example files", "Measurements, as of an MPRA")
REPORTS = {
    "yy1": "YY1, by its peaks",
    "tal1": "two FASTA files",
    "three_tasks": "FASTA and a table of three tasks",
    "mpra": "FASTA and measurements in two cell types",
}


def main() -> None:
    """Run the commands, keep the reports, write the table."""
    with tempfile.TemporaryDirectory() as folder:
        for language, code in blocks(PAGE.read_text()):
            run(language, code, Path(folder))
        PLACE.mkdir(exist_ok=True)
        for name in REPORTS:
            shutil.copyfile(Path(folder) / name / "report.html", PLACE / f"{name}.html")
    PAGE.write_text(with_part(PAGE.read_text(), "reports", table()))


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and code of the blocks in the page's `SECTIONS`."""
    sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    chosen = [sections[sections.index(name) + 1] for name in SECTIONS]
    return re.findall(r"^```(\w+)\n(.*?)^```$", "".join(chosen), re.MULTILINE | re.DOTALL)


def run(language: str, code: str, folder: Path) -> None:
    """Run a block in a folder, where downloads and run records stay too."""
    places = {"SFC_DATA_DIR": str(folder / "data" / "cache"), "SFC_RUNS_DIR": str(folder / "runs")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = {"bash": ["bash", "-euc", code], "python": [sys.executable, "-c", code]}[language]
    subprocess.run(command, cwd=folder, env=os.environ | places | {"PATH": path}, check=True)


def table() -> str:
    """The reports in Markdown: a link, the command, and the report's first sentences."""
    lines = ["| report | says |", "|---|---|"]
    for name, what in REPORTS.items():
        text = (PLACE / f"{name}.html").read_text()
        says = " ".join(re.search(r'<p class="verdict">(.*?)</p>', text, re.DOTALL)[1].split())
        link = f'<a href="_static/reports/{name}.html">{html.escape(what)}</a>'
        lines.append(f"| {link} | {says} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
