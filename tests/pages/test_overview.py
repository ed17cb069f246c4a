"""The front page's matrix: the same verdicts as a table, as HTML and as a picture."""

import re

from sfc_lib.pages import claims, overview
from sfc_lib.pages.results import with_evidence
from sfc_lib.pages.style import VERDICT_STYLES


def test_table_html_and_picture_say_the_same(published):
    grades = claims.grade(with_evidence(published))
    table = overview.verdicts(grades)
    judged = claims.judge(grades)
    assert table.index.tolist() == judged.id.tolist()
    assert table[overview.TOGETHER].tolist() == judged.verdict.tolist()
    letters = [VERDICT_STYLES[verdict][0] for verdict in table.to_numpy().ravel() if verdict]
    page = overview.matrix(grades).data
    cells = re.findall(r'sfc-letter [\w-]+">(.)</span></a>', page)
    assert cells == letters
    axes = overview.picture(grades).axes[0]
    assert [text.get_text() for text in axes.texts] == letters
    assert [tick.get_text() for tick in axes.get_yticklabels()] == judged.short.tolist()
    assert len(axes.collections) == len(letters)


def test_a_cell_leads_to_its_own_row_of_the_evidence(published):
    grades = claims.grade(with_evidence(published))
    page, evidence = overview.matrix(grades).data, claims.evidence(grades).data
    goals = re.findall(r'<td><a href="claims.html#([^"]+)"', page)
    assert len(goals) > 50
    assert all(f'id="{goal}"' in evidence for goal in goals)
    (row,) = re.findall(r'#(T_\w+)" title="CTCF: [^"]*"', page.partition("SFC: fewer epochs")[2])[
        :1
    ]
    cells = evidence.partition(f'id="{row}"')[2].partition("</tr>")[0]
    assert ">CTCF<" in cells
    assert "epochs to 95 %" in cells


def test_a_claim_has_no_verdict_on_data_that_it_was_not_tested_on(published):
    table = overview.verdicts(claims.grade(with_evidence(published)))
    assert table.loc["performance", "CTCF"]
    assert not table.loc["regularisation", "CTCF"], "CR is tested on hematopoiesis only"
