"""The replication as a report in the form of the ML reproducibility challenge, and its PDF.

The notebook holds the prose; every number in it comes from here or from the other pages'
modules. `print_pdf` prints its outputs with headless Chromium, `make report` calls it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write, writable
from sfc_lib.pages import claims
from sfc_lib.pages.notebook import notebook_path, run_notebook
from sfc_lib.pages.results import Results, by_experiment, cpu_minutes, settings
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import short, short_data

VARIANTS = ("std", "sep", "symm")
GAINS = ("performance", "symmetric_performance")  # the claims that the report gives numbers for
HOW = (
    *("data", "learning rate", "batch", "most epochs", "patience, epochs", "sequences an epoch"),
    "seeds",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NOT_PRINTED = "not-printed"
PAPER = """
@page { size: A4; margin: 16mm 17mm; }
body { font: 9.8pt/1.35 "DejaVu Serif", serif; color: black; }
h1 { font-size: 17pt; margin: 0 0 4pt; } h2 { font-size: 13pt; margin: 10pt 0 2pt; }
h3 { font-size: 10.2pt; margin: 6pt 0 0; } h1, h2, h3 { break-after: avoid; }
p, ul { margin: 3pt 0; } ul { padding-left: 14pt; } a { color: inherit; text-decoration: none; }
.anchor-link { display: none; }
img, svg { max-width: 100%; height: auto; break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font: 7.9pt/1.22 "DejaVu Sans", sans-serif; }
th, td { text-align: left; vertical-align: top; padding: 1pt 5pt 1pt 0; }
th { border-bottom: 1px solid black; } tr { break-inside: avoid; }
"""


def scope(grades: pd.DataFrame) -> str:
    """Markdown: the claims in few words, one line a figure of the paper; 0 is the text."""
    judged = claims.judge(grades)
    lines = [
        f"- **{f'Figure {figure}' if figure else 'Text'}**: {'; '.join(part.short)}."
        for figure, part in judged.groupby("figure", sort=True)
    ]
    return "\n".join(lines)


def networks(results: Results) -> pd.DataFrame:
    """The networks: SFC neurons, and parameters of each variant; one row an experiment's network.

    Parameters are those that the records count.
    """
    units = results.weights.W_pos.map(len)
    rows = []
    for runs in by_experiment(results.runs):
        counts = runs.groupby("variant").parameters.max()
        rows.append(
            {
                "network": runs.architecture.iat[0],
                "filters": short(runs.width.iat[0], "g"),
                "SFC neurons": f"{units.reindex(runs.index).max():.0f}",
                **{f"parameters of {v}": f"{counts[v]:,.0f}" for v in VARIANTS if v in counts},
            }
        )
    return pd.DataFrame(rows).drop_duplicates(ignore_index=True)


def training(results: Results) -> pd.DataFrame:
    """How the networks of each experiment were trained, as `results.settings`, in few columns."""
    return settings(results)[list(HOW)]


def gains(grades: pd.DataFrame) -> pd.DataFrame:
    """The fair comparisons of auROC with seeds enough to decide, as `claims.grade_table`."""
    fair = (grades.metric == "auroc") & (grades.confounded == "") & (grades.seeds >= MIN_SEEDS)
    table = claims.grade_table(grades[fair & grades.claim.isin(GAINS)])
    return table[["data", "medians", "effect [95 % interval]", "P(better)", "seeds", "verdict"]]


def resources(judged: Results) -> str:
    """A Markdown sentence: runs, what they took, and on what."""
    runs = judged.runs.drop_duplicates("id")
    minutes = runs.cpu_seconds / 60
    return (
        f"All {len(runs)} runs that this report rests on took {cpu_minutes(runs) / 60:.0f} CPU "
        f"hours together, {minutes.median():.1f} minutes of one core for the median run and "
        f"{minutes.max():.0f} for the longest, without an accelerator "
        f"({'; '.join(sorted(set(runs.processor.str.partition(',')[0])))}). "
        f"{_diverged(runs)}"
    )


def without_verdict(grades: pd.DataFrame) -> str:
    """Markdown: the claims that have no verdict, with the reason where there is one in words."""
    judged = claims.judge(grades)
    lines = []
    for verdict in ("cannot tell yet", "not testable here"):
        names = judged.short[judged.verdict == verdict]
        if len(names):
            lines.append(f"- *{verdict}*: {'; '.join(names)}.")
    few = grades[(grades.seeds < MIN_SEEDS) & (grades.asks != "exact")]
    if len(few):
        data = "; ".join(dict.fromkeys(few["data"].map(short_data)))
        lines.append(
            f"- {len(few)} of {len(grades)} comparisons have fewer than {MIN_SEEDS} seeds, which "
            f"never decide: {data}."
        )
    return "\n".join(lines) or "Every claim has a verdict."


def print_pdf(output: Path) -> Path:
    """Run the report's notebook on the published records, and print it to `output`, a PDF.

    Raises:
        UserError: There is no Chromium, it failed, the notebook failed, or `output` can't be
            written; what was there before is still there.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(
            f"a PDF needs one of {', '.join(BROWSERS)} to print it, found none. On Debian: "
            "apt install chromium fonts-dejavu-core. Or open the page Report of the book and print."
        )
    writable(output.parent)
    with tempfile.TemporaryDirectory() as scratch:
        page, pdf = Path(scratch) / "report.html", Path(scratch) / "report.pdf"
        executed = run_notebook(notebook_path("report"), page.with_suffix(".ipynb"), {})
        page.write_text(as_html(executed), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command = [browser, *options, f"--user-data-dir={scratch}/browser"]
        command += [f"--print-to-pdf={pdf}", page.as_uri()]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode or not pdf.is_file():
            lines = done.stderr.strip().splitlines() or ["nothing printed"]
            raise UserError(f"{browser} failed with exit status {done.returncode}: {lines[-1]}")
        with atomic_write(output) as file:
            file.write(pdf.read_bytes())
    return output


def as_html(executed: Path) -> str:
    """An executed notebook's prose and outputs as one page to print, without code and logs.

    Cells with the tag `NOT_PRINTED` are for the book only.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    cells = notebook.cells
    notebook.cells = [c for c in cells if NOT_PRINTED not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [item for item in cell.outputs if item.output_type != "stream"]
    hidden = dict.fromkeys(("exclude_input", "exclude_output_prompt"), True)
    body, _ = HTMLExporter(template_name="basic", **hidden).from_notebook_node(notebook)
    head = f'<meta charset="utf-8"><title>Replication report</title><style>{PAPER}</style>'
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"


def _diverged(runs: pd.DataFrame) -> str:
    lost = int(runs.diverged.sum())
    return f"{lost} of them diverged." if lost else "None of them diverged."
