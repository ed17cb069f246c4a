"""The front page's matrix: the same verdicts as a table, as HTML and as a picture."""

import re

from sfc_lib.pages import claims, overview
from sfc_lib.pages.results import with_evidence
from sfc_lib.pages.style import VERDICT_STYLES, short


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


def test_a_gain_is_counted_once_for_each_of_the_data_at_the_rate_that_suits_both(published):
    grades = claims.grade(with_evidence(published))
    part = grades[grades.claim == "performance"]
    found = overview.gain_by_data(part)
    assert found.index.is_unique
    assert not found.confounded.any()
    row = found.loc["accessibility"]
    rates = part[part.metric.eq("auroc") & part.favoured.isin(["sep", "sep_slow"])]
    rates = rates[rates["data"].str.contains("accessibility") & (rates.confounded == "")]
    assert len(rates) == 2
    lower = rates[["favoured_value", "other_value"]].min(axis=1)
    assert min(row.favoured_value, row.other_value) == lower.max()
    won, effects = (found.verdict == "supported").sum(), found.effect
    text = overview.headline(grades)
    assert f"an SFC layer on **{won} of {len(found)}** data sets" in text
    ends = [short(value, "+.3f") for value in (effects.min(), effects.max())]
    assert f"data sets ({' to '.join(ends)}), by a symmetric" in text
    page = overview.matrix(grades).data
    said = f"accessibility: {overview.verdicts(grades).loc['performance', 'accessibility']}"
    by = short(row.effect, "+.3f")
    assert f'title="{said}, auROC {by}"' in page
    assert f"<small>{by}</small>" in page


def test_a_claim_has_no_verdict_on_data_that_it_was_not_tested_on(published):
    table = overview.verdicts(claims.grade(with_evidence(published)))
    assert table.loc["performance", "CTCF"]
    assert not table.loc["regularisation", "CTCF"], "CR is tested on hematopoiesis only"
