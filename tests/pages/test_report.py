"""The replication report: what its parts say of made-up grades, and the page that is printed."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from sfc_lib.errors import UserError
from sfc_lib.pages import claims, report
from sfc_lib.pages.notebook import notebook_path
from sfc_lib.pages.results import with_evidence

PAGE = re.compile(rb"/Type\s*/Page\b")


def grade(**values):
    """A row of `claims.grade`."""
    usual = {
        **{"claim": "performance", "figure": 1, "experiment": "e", "data": "Data", "seeds": 10},
        **{"metric": "auroc", "asks": "better", "favoured": "sep", "other": "std"},
        **{"favoured_value": 0.9, "other_value": 0.8, "effect": 0.1, "low": 0.05, "high": 0.2},
        **{"p": 0.01, "p_adjusted": 0.02, "probability": 0.9, "margin": 0.005, "power": 0.8},
        **{"confounded": "", "verdict": "supported"},
    }
    return usual | values


def grades(*rows):
    return pd.DataFrame([grade(**row) for row in rows], columns=list(claims.GRADE))


def test_scope_names_every_claim_once_under_its_figure():
    text = report.scope(grades({}))
    for claim in claims.load_claims().claims:
        head = f"**Figure {claim.figure}**" if claim.figure else "**Text**"
        (line,) = [line for line in text.splitlines() if line.startswith(f"- {head}")]
        assert claim.short in line
    assert text.count(";") + len(text.splitlines()) == len(claims.load_claims().claims)


def test_gains_are_fair_comparisons_of_auroc_with_seeds_enough():
    table = report.gains(
        grades(
            {"data": "Kept"},
            {"data": "Few", "seeds": 5},
            {"data": "Unfair", "confounded": "learning_rate"},
            {"data": "Other metric", "metric": "auprc"},
            {"data": "Other claim", "claim": "fewer_epochs"},
            {"data": "Symmetric", "claim": "symmetric_performance", "favoured": "symm"},
        )
    )
    assert list(table["data"]) == ["Kept", "Symmetric"]
    assert table["medians"].iat[0] == "sep: .9000, std: .8000"
    assert "+.1000 [+.0500, +.2000]" in table["effect [95 % interval]"].iat[0]


def test_claims_without_a_verdict_are_named_with_comparisons_of_few_seeds():
    text = report.without_verdict(grades({"seeds": 2, "verdict": "undecided", "data": "CTCF"}, {}))
    assert "1 of 2 comparisons have fewer than 6 seeds" in text
    assert text.splitlines()[-1].endswith(": CTCF.")
    judged = claims.judge(grades({}))
    untestable = judged.short[judged.verdict == "not testable here"]
    assert all(name in text for name in untestable)


def test_networks_and_training_are_those_of_the_records(published):
    table = report.networks(published)
    assert not table.duplicated().any()
    row = table[table.network == "simulated_tf"].iloc[0]
    # counted by hand in the paper's shapes, with biases
    assert row["parameters of std"] == "117,503"
    assert row["parameters of sep"] == "117,483"
    assert row["SFC neurons"] == "648"
    assert list(report.training(published).seeds) == [10] * published.runs.experiment.nunique()


def test_resources_count_each_run_once_and_name_those_that_diverged(published):
    judged = with_evidence(published)
    text = report.resources(judged)
    records = {r.spec.id: r.result["cpu_seconds"] for r in judged.records}
    assert f"All {len(records)} runs" in text
    assert f"took {sum(records.values()) / 3600:.0f} CPU hours" in text
    assert f"{max(records.values()) / 60:.0f} for the longest" in text
    lost = {r.spec.id for r in judged.records if r.diverged}
    assert f"{len(lost) or 'None'} of them diverged" in text


def test_diverged_runs_are_told():
    runs = pd.DataFrame({"diverged": [True, False, True]})
    assert report._diverged(runs) == "2 of them diverged."
    assert report._diverged(runs.assign(diverged=np.False_)) == "None of them diverged."


def test_the_pdf_has_four_pages_of_text(browser, tmp_path):
    output = tmp_path / "new" / "report.pdf"
    assert report.print_pdf(output) == output
    content = output.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(PAGE.findall(content)) == 4
    assert b"/FontFile" in content
    assert {path.name for path in output.parent.iterdir()} == {"report.pdf"}


def test_the_printed_page_has_prose_and_outputs_but_no_code(tmp_path):
    import nbformat

    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_markdown_cell("For the book.", metadata={"tags": [report.NOT_PRINTED]}),
        nbformat.v4.new_code_cell(
            "secret = 1",
            execution_count=1,
            outputs=[
                nbformat.v4.new_output("stream", name="stderr", text="a backend's log"),
                nbformat.v4.new_output(
                    "execute_result", {"text/html": "<table></table>"}, execution_count=1
                ),
            ],
        ),
    ]
    path = tmp_path / "report.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    page = report.as_html(path)
    assert "<table></table>" in page
    assert "log" not in page.partition("<body>")[2]
    assert "Title" in page
    assert "For the book" not in page
    assert "secret" not in page
    assert "Out[" not in page
    assert not re.search(r"""(src|href)=["']https?:""", page)


def test_without_a_browser_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"needs one of chromium.*apt install chromium") as error:
        report.print_pdf(tmp_path / "report.pdf")
    assert "\n" not in str(error.value)


def test_a_browser_that_fails_is_told_and_keeps_what_was_there(tmp_path, monkeypatch):
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'first' >&2\necho 'no display' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    monkeypatch.setattr(report, "run_notebook", lambda path, output, values: output)
    monkeypatch.setattr(report, "as_html", lambda executed: "<p>page</p>")
    output = tmp_path / "report.pdf"
    output.write_text("older")
    with pytest.raises(UserError, match="failed with exit status 3: no display"):
        report.print_pdf(output)
    assert output.read_text() == "older"


def test_the_notebook_holds_no_result_by_hand():
    """Of decimal fractions, what a measured number looks like, its prose has none."""
    import json

    cells = json.loads(notebook_path("report").read_text())["cells"]
    prose = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert re.findall(r"\d*\.\d+", prose) == []
