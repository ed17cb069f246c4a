"""Claims are graded by what the runs say: made-up scores with known answers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sfc_lib.pages import claims
from sfc_lib.pages.claims import Claim, grade, load_claims
from sfc_lib.pages.results import Results
from sfc_lib.runs.sizes import load_size

PLAN = load_size("quick")
EXPERIMENT = PLAN.experiments["simulated_tf"]


class MadeUp(Results):
    """Results whose scores and epochs are given, not read from records."""

    def __init__(self, scores, epochs=None):
        super().__init__(PLAN, EXPERIMENT, {model: [] for model in scores})
        object.__setattr__(self, "given", scores)
        object.__setattr__(self, "given_epochs", epochs or {})

    def scores(self):
        rows = [(m, s, v, v) for m, values in self.given.items() for s, v in enumerate(values)]
        return pd.DataFrame(rows, columns=["model", "seed", "auroc", "auprc"])

    def curves(self):
        return self.scores().assign(epoch=1)

    def epochs_to(self, auroc):
        rows = [(m, s, v) for m, vs in self.given_epochs.items() for s, v in enumerate(vs)]
        return pd.DataFrame(rows, columns=["model", "seed", "epochs"])


def only_grade(claim, results, monkeypatch):
    monkeypatch.setattr(claims, "load_claims", lambda figure: [claim])
    (found,) = grade([results], claim.figure)
    return found


HIGHER = Claim(1, "higher", "-", "higher", ("sep", "std"))
STEADIER = Claim(1, "steadier", "-", "steadier", ("sep", "std"))
FEWER = Claim(2, "fewer", "-", "fewer_epochs", ("sep", "std"), threshold=0.9)
NOT_LOWER = Claim(1, "not lower", "-", "not_lower", ("sep", "std"), margin=0.01)
GOOD = [0.95, 0.951, 0.952, 0.953, 0.954, 0.955]
BAD = [0.90, 0.901, 0.902, 0.903, 0.904, 0.905]


@pytest.mark.parametrize(
    ("sep", "std", "verdict"),
    [
        (GOOD, BAD, "supported"),
        (BAD, GOOD, "contradicted"),
        (GOOD, GOOD, "undecided"),
        (GOOD[:3], BAD, "too few seeds"),
    ],
)
def test_higher_follows_the_scores(sep, std, verdict, monkeypatch):
    assert only_grade(HIGHER, MadeUp({"sep": sep, "std": std}), monkeypatch).verdict == verdict


def test_gain_and_p_value_of_one_comparison(monkeypatch):
    found = only_grade(HIGHER, MadeUp({"sep": GOOD, "std": BAD}), monkeypatch)
    assert found.gain == pytest.approx(0.05)
    assert found.low <= found.gain <= found.high
    assert found.p == stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue


def test_table_shows_the_p_value_that_the_verdict_rests_on(monkeypatch):
    expected = {"supported": "", "contradicted": " (opposite)"}
    p = stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue
    for sep, std in ((GOOD, BAD), (BAD, GOOD)):
        found = only_grade(HIGHER, MadeUp({"sep": sep, "std": std}), monkeypatch)
        (row,) = claims.table([found]).to_dict("records")
        assert row["adjusted p"] == f"{p:.3f}"[1:] + expected[row["verdict"]]


def test_not_lower_forgives_less_than_its_margin(monkeypatch):
    slightly_worse = [x - 0.002 for x in GOOD]
    much_worse = [x - 0.03 for x in GOOD]
    results = [MadeUp({"sep": sep, "std": GOOD}) for sep in (slightly_worse, much_worse)]
    verdicts = [only_grade(NOT_LOWER, result, monkeypatch).verdict for result in results]
    assert verdicts == ["supported", "contradicted"]


def test_steadier_compares_ranges_not_medians(monkeypatch):
    narrow = list(np.linspace(0.900, 0.902, 10))
    wide = list(np.linspace(0.80, 0.99, 10))
    found = only_grade(STEADIER, MadeUp({"sep": narrow, "std": wide}), monkeypatch)
    assert (found.verdict, found.favoured) == ("supported", pytest.approx(0.002))
    assert np.isnan(found.low), "a bootstrap says nothing of a range"
    found = only_grade(STEADIER, MadeUp({"sep": wide, "std": narrow}), monkeypatch)
    assert found.verdict == "contradicted"


def test_a_run_that_never_arrives_is_slower_than_any_that_does(monkeypatch):
    scores = {"sep": GOOD, "std": BAD}
    epochs = {"sep": [3.0] * 6, "std": [np.inf] * 6}
    found = only_grade(FEWER, MadeUp(scores, epochs), monkeypatch)
    assert found.verdict == "supported"
    assert "sep 3, std never" in claims.table([found]).to_string()
    late = {"sep": epochs["std"], "std": epochs["sep"]}
    swapped = only_grade(FEWER, MadeUp(scores, late), monkeypatch)
    assert swapped.verdict == "contradicted"


def test_runs_that_diverged_are_left_out_of_the_medians(monkeypatch):
    found = only_grade(HIGHER, MadeUp({"sep": [*GOOD, np.nan], "std": BAD}), monkeypatch)
    assert (found.runs, found.favoured) == (6, pytest.approx(np.median(GOOD)))


def test_all_figures_are_graded_as_each_is_on_its_page():
    made = MadeUp(
        {"sep": GOOD, "std": BAD, "symm": GOOD}, dict.fromkeys(("sep", "std", "symm"), [1.0] * 6)
    )
    assert grade([made], 1) + grade([made], 2) == [g for g in grade([made]) if g.claim.figure < 3]


def test_p_values_are_adjusted_over_all_comparisons(monkeypatch):
    results = MadeUp({"sep": GOOD, "std": BAD, "symm": BAD})
    pair = [HIGHER, dataclasses.replace(HIGHER, models=("symm", "std"))]
    monkeypatch.setattr(claims, "load_claims", lambda figure: pair)
    found = [g.p for g in grade([results], 1)]
    raw = [
        stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue,
        stats.mannwhitneyu(BAD, BAD, alternative="greater").pvalue,
    ]
    assert found == stats.false_discovery_control(raw).tolist()


def test_every_claim_names_known_models_metric_kind_and_data():
    plan = load_size("full")
    models = {model for e in plan.experiments.values() for model in e.models}
    metrics = {"auroc", "auprc", "departure", "asymmetry", "roughness", "weight_roughness"}
    data = {name for e in plan.experiments.values() for name in (e.name, e.specs[0].dataset)}
    for claim in load_claims():
        assert set(claim.models) <= models
        assert claim.metric in metrics
        assert set(claim.data) <= data
        assert claim.kind in {"higher", "lower", "not_lower", "steadier", "fewer_epochs"}
        assert (claim.kind == "fewer_epochs") == (claim.threshold > 0) ^ (claim.share > 0)
        assert (claim.kind == "lower") == (claim.figure in (3, 4))


def test_epochs_to_a_share_are_counted_to_the_level_of_the_results(monkeypatch):
    asked = []
    made = MadeUp({"sep": GOOD, "std": BAD}, {"sep": [2.0] * 6, "std": [5.0] * 6})
    count = made.epochs_to
    object.__setattr__(made, "epochs_to", lambda level: asked.append(level) or count(level))
    share = dataclasses.replace(FEWER, threshold=0.0, share=0.95)
    assert only_grade(share, made, monkeypatch).verdict == "supported"
    assert asked == [pytest.approx(0.5 + 0.95 * (np.median(BAD) - 0.5))]


def test_every_experiment_has_comparisons_for_figures_1_and_2():
    for experiment in load_size("full").experiments.values():
        results = Results(PLAN, experiment, {model: [] for model in experiment.models})
        about = [claim for claim in load_claims() if claim.concerns(results)]
        figures = {claim.figure for claim in about}
        assert figures >= {1, 2}
        rates = {m: runs[0].learning_rate for m, runs in experiment.models.items()}
        epochs = [claim.models for claim in about if claim.kind == "fewer_epochs"]
        if experiment.name == "simulated_accessibility":
            assert all(rates[a] == rates[b] for a, b in epochs), "epochs at unequal rates"
        assert ("low_reg" in experiment.models) == (4 in figures)


def test_a_claim_about_other_data_is_not_graded():
    results = MadeUp({"sep": GOOD, "std": BAD})
    assert HIGHER.concerns(results)
    assert dataclasses.replace(HIGHER, data=("simulated_tf",)).concerns(results)
    assert not dataclasses.replace(HIGHER, data=("chip_seq",)).concerns(results)
    assert not dataclasses.replace(HIGHER, models=("symm", "std")).concerns(results)


def test_no_comparison_is_said_in_words():
    assert claims.summary([]).startswith("No comparison")


def test_summary_counts_verdicts(monkeypatch):
    found = only_grade(HIGHER, MadeUp({"sep": GOOD, "std": BAD}), monkeypatch)
    assert claims.summary([found, found]) == "Of 2 comparisons: 2 supported."
