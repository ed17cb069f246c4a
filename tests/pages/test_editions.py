"""Old and new verdicts side by side: matched by what is compared, counted, told with reasons."""

import json

import pandas as pd
import pytest

from sfc_lib.pages import claims, editions
from sfc_lib.pages.results import with_evidence
from sfc_lib.pages.statistics import VERDICTS

OLD = [
    ("ctcf", "auroc", "sep", "std", 0.0123, "supported"),
    ("ctcf", "auroc", "symm", "std", 0.0123, "supported"),
    ("ctcf", "epochs to 95 %", "sep", "std", 3.0, "undecided"),
    ("gone", "auroc", "sep", "std", -0.1, "contradicted"),
]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose first edition made the comparisons `OLD`."""
    rows = [
        {
            **{"experiment": experiment, "data": "CTCF ChIP-seq, GM12878", "claim": "says"},
            **{"metric": metric, "models": [one, two], "seeds": 10},
            **{"effect": effect, "verdict": verdict},
        }
        for experiment, metric, one, two, effect, verdict in OLD
    ]
    (tmp_path / "data").mkdir()
    content = json.dumps({"commit": "c0ffee", "comparisons": rows})
    (tmp_path / "data" / "first_edition.json").write_text(content)
    monkeypatch.setattr(editions, "checkout", lambda: tmp_path)


def grades(*rows):
    """Rows of `claims.grade`: experiment, metric, models, seeds, effect, confounded, verdict."""
    names = ("experiment", "metric", "favoured", "other", "seeds", "effect", "confounded")
    table = pd.DataFrame(rows, columns=[*names, "verdict"])
    return table.reindex(columns=list(claims.GRADE))


NOW = (
    ("ctcf", "epochs to 95 %", "sep", "std", 2, 2.5, "", "undecided"),
    ("ctcf", "auroc", "sep", "std", 10, 0.01, "", "supported"),
    ("ctcf", "auroc", "symm", "std", 10, 0.02, "learning_rate", "confounded"),
    ("ctcf", "auroc", "std", "sep", 10, 0.5, "", "contradicted"),  # the other way round
    ("new", "auroc", "sep", "std", 10, 0.3, "", "supported"),
)


@pytest.mark.usefixtures("clone")
def test_each_comparison_of_then_stands_beside_the_same_of_now():
    both = editions.beside(grades(*NOW))
    found = both[["verdict_then", "effect_then", "verdict", "effect", "seeds"]].values.tolist()
    assert found[:3] == [
        ["supported", 0.0123, "supported", 0.01, 10],
        ["supported", 0.0123, "confounded", 0.02, 10],
        ["undecided", 3.0, "undecided", 2.5, 2],
    ]
    assert found[3][:3] == ["contradicted", -0.1, editions.GONE]


@pytest.mark.usefixtures("clone")
def test_an_experiment_answers_for_the_one_whose_place_it_took():
    longer = ("ctcf_converged", "auroc", "sep", "std", 6, 0.02, "", "no difference")
    told = editions.beside(grades(longer)).set_index(["metric", "favoured"])
    assert told.verdict["auroc", "sep"].tolist() == ["no difference", editions.GONE]
    both = editions.beside(grades(*NOW, longer))
    assert both.verdict[0] == "supported", "while the old one is there it answers for itself"
    named = grades(longer).assign(data="CTCF ChIP-seq, GM12878, longer")
    assert editions.edition_table(named)["data"][0] == "CTCF → CTCF, longer"
    assert editions.edition_line(named).endswith("; 0 comparisons are new.")


@pytest.mark.usefixtures("clone")
def test_the_table_says_why_and_whether_a_verdict_changed():
    table = editions.edition_table(grades(*NOW))
    assert table["first edition"].tolist() == [
        *("✓ supported", "✓ supported", "? undecided", "✗ contradicted")
    ]
    assert table["now"].tolist() == [
        *("✓ supported", "≠ confounded (learning rate)", "? undecided (2 seeds)"),
        editions.GONE,
    ]
    assert table.changed.tolist() == ["no", "yes", "no", "yes"]
    assert table["effect then"].tolist() == ["+.0123", "+.0123", "+3.0", "−.1000"]
    assert table["effect now"].tolist() == ["+.0100", "+.0200", "+2.5", "–"]
    assert table["metric"].tolist()[::2] == ["auROC", "epochs to 95 %"]
    assert set(table["data"]) == {"CTCF"}


@pytest.mark.usefixtures("clone")
def test_verdicts_are_counted_from_then_to_now():
    table = editions.turned(grades(*NOW)).set_index("first edition")
    assert table.columns.tolist() == [
        *("all", "supported", "undecided", "confounded", editions.GONE)
    ]
    assert table.loc["supported"].tolist() == [2, 1, 0, 1, 0]
    assert table.loc["contradicted"].tolist() == [1, 0, 0, 0, 1]
    assert editions.edition_line(grades(*NOW)) == (
        "The first edition made 4 comparisons: 2 supported, 1 contradicted, 1 undecided. **2 of "
        "them have the same verdict now**, and 2 another; 2 comparisons are new."
    )


def test_outside_a_clone_there_is_no_first_edition(monkeypatch):
    monkeypatch.setattr(editions, "checkout", lambda: None)
    assert editions.first_edition().empty
    assert editions.edition_line(grades(*NOW)) == ""
    assert editions.edition_table(grades(*NOW)).empty
    assert editions.turned(grades(*NOW)).empty


def test_the_first_edition_is_the_one_whose_counts_were_published():
    """Its front page said: of 96 comparisons 49 supported, 46 undecided, 1 contradicted."""
    first = editions.first_edition()
    assert first.verdict.value_counts().to_dict() == {
        **{"supported": 49, "undecided": 46, "contradicted": 1}
    }
    assert not first.duplicated(editions.COMPARISON).any()
    assert set(first.seeds) == {10}
    assert first[["effect", "claim", "data"]].notna().all(axis=None)


def test_every_comparison_of_the_first_edition_is_judged(published):
    """A renamed metric or model would lose its verdicts without a word."""
    both = editions.beside(claims.grade(with_evidence(published)))
    assert len(both) == 96
    assert set(both.verdict) <= set(VERDICTS)
