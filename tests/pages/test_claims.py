"""Claims are graded by what the runs say: made-up scores with known answers."""

import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from made_up import results, scored, together
from scipy import stats

from sfc_lib.pages import claims
from sfc_lib.pages.claims import Claim, grade, grade_table, load_claims
from sfc_lib.pages.overview import verdicts
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec

HIGHER = Claim(1, "higher", "-", "higher", ("sep", "std"))
STEADIER = Claim(1, "steadier", "-", "steadier", ("sep", "std"))
FEWER = Claim(2, "fewer", "-", "fewer_epochs", ("sep", "std"), threshold=0.9)
NOT_LOWER = Claim(1, "not lower", "-", "not_lower", ("sep", "std"), margin=0.01)
GOOD = [0.95, 0.951, 0.952, 0.953, 0.954, 0.955]
BAD = [0.90, 0.901, 0.902, 0.903, 0.904, 0.905]
NAN = float("nan")


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """Function that grades claims on made-up scores, and auROCs by epoch if given."""

    def grades(claim, scores, curves=None):
        monkeypatch.setattr(claims, "load_claims", lambda figure: [claim])
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (found,) = grade(scored(folder, scores, curves), claim.figure).itertuples()
        return found

    return grades


@pytest.mark.parametrize(
    ("sep", "std", "verdict"),
    [
        (GOOD, BAD, "supported"),
        (BAD, GOOD, "contradicted"),
        (GOOD, GOOD, "undecided"),
        (GOOD[:3], BAD, "too few seeds"),
        (GOOD[:1], BAD[:1], "too few seeds"),
        ([NAN], BAD, "too few seeds"),
    ],
)
def test_higher_follows_the_scores(sep, std, verdict, graded):
    assert graded(HIGHER, {"sep": sep, "std": std}).verdict == verdict


def test_gain_and_p_value_of_one_comparison(graded):
    found = graded(HIGHER, {"sep": GOOD, "std": BAD})
    assert found.gain == pytest.approx(0.05)
    assert found.low <= found.gain <= found.high
    assert found.p == stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue


def test_interval_is_that_of_a_percentile_bootstrap(graded):
    found = graded(HIGHER, {"sep": GOOD, "std": BAD})
    rng = np.random.default_rng(0)
    draws = [
        np.median(np.asarray(x)[rng.integers(0, 6, (claims.RESAMPLES, 6))], 1) for x in (GOOD, BAD)
    ]
    expected = np.percentile(draws[0] - draws[1], [2.5, 97.5])
    np.testing.assert_allclose([found.low, found.high], expected)


def test_table_shows_the_p_value_that_the_verdict_rests_on(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load_claims", lambda figure: [HIGHER])
    expected = {"supported": "", "contradicted": " (opposite)"}
    p = stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue
    for name, sep, std in (("a", GOOD, BAD), ("b", BAD, GOOD)):
        found = grade(scored(tmp_path / name, {"sep": sep, "std": std}), 1)
        (row,) = grade_table(found).to_dict("records")
        assert row["adjusted p"] == f"{p:.3f}"[1:] + expected[row["verdict"]]


def test_not_lower_forgives_less_than_its_margin(graded):
    slightly_worse = [x - 0.002 for x in GOOD]
    much_worse = [x - 0.03 for x in GOOD]
    found = [graded(NOT_LOWER, {"sep": s, "std": GOOD}) for s in (slightly_worse, much_worse)]
    assert [g.verdict for g in found] == ["supported", "contradicted"]


def test_steadier_compares_ranges_not_medians(graded):
    narrow = list(np.linspace(0.900, 0.902, 10))
    wide = list(np.linspace(0.80, 0.99, 10))
    found = graded(STEADIER, {"sep": narrow, "std": wide})
    assert (found.verdict, found.favoured_value) == ("supported", pytest.approx(0.002))
    assert np.isnan(found.low), "a bootstrap says nothing of a range"
    assert graded(STEADIER, {"sep": wide, "std": narrow}).verdict == "contradicted"


FAST, NEVER = [[0.5, 0.6, 0.95]] * 6, [[0.5, 0.6, 0.7]] * 6


def test_a_run_that_never_arrives_is_slower_than_any_that_does(graded, tmp_path, monkeypatch):
    scores = {"sep": GOOD, "std": BAD}
    found = graded(FEWER, scores, {"sep": FAST, "std": NEVER})
    assert (found.verdict, found.favoured_value, found.other_value) == ("supported", 3, math.inf)
    assert graded(FEWER, scores, {"sep": NEVER, "std": FAST}).verdict == "contradicted"
    none = graded(FEWER, scores, {"sep": NEVER, "std": NEVER})
    assert (none.verdict, np.isnan(none.gain)) == ("undecided", True)


def test_table_says_never_where_no_run_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load_claims", lambda figure: [FEWER])
    made = scored(tmp_path, {"sep": GOOD, "std": BAD}, {"sep": FAST, "std": NEVER})
    assert "sep 3, std never" in grade_table(grade(made, 2)).to_string()


def test_runs_that_diverged_are_left_out_of_the_medians(graded):
    found = graded(HIGHER, {"sep": [*GOOD, NAN], "std": BAD})
    assert (found.runs, found.favoured_value) == (6, pytest.approx(np.median(GOOD)))


def test_all_figures_are_graded_as_each_is_on_its_page(tmp_path):
    made = scored(tmp_path, {"sep": GOOD, "std": BAD, "symm": GOOD})
    every = grade(made)
    for figure in (1, 2):
        part = every[every.figure == figure].reset_index(drop=True)
        assert part.equals(grade(made, figure))


def test_p_values_are_adjusted_over_all_comparisons_of_a_figure(tmp_path, monkeypatch):
    pair = [HIGHER, dataclasses.replace(HIGHER, models=("symm", "std"))]
    monkeypatch.setattr(claims, "load_claims", lambda figure: pair)
    found = grade(scored(tmp_path, {"sep": GOOD, "std": BAD, "symm": BAD}), 1).p
    raw = [
        stats.mannwhitneyu(GOOD, BAD, alternative="greater").pvalue,
        stats.mannwhitneyu(BAD, BAD, alternative="greater").pvalue,
    ]
    assert found.tolist() == stats.false_discovery_control(raw).tolist()


def test_every_claim_names_known_models_metric_kind_and_data():
    size = load_size("full")
    models = {model for e in size.experiments.values() for model in e.models}
    metrics = {"auroc", "auprc", "departure", "asymmetry", "roughness", "weight_roughness"}
    data = {name for e in size.experiments.values() for name in (e.name, e.specs[0].dataset)}
    for claim in load_claims():
        assert set(claim.models) <= models
        assert claim.metric.removeprefix("centred ") in metrics
        assert set(claim.data) <= data
        assert claim.kind in {"higher", "lower", "not_lower", "steadier", "fewer_epochs"}
        assert (claim.kind == "fewer_epochs") == (claim.threshold > 0) ^ (claim.share > 0)
        assert (claim.kind == "lower") == (claim.figure in (3, 4))


def test_epochs_to_a_share_are_counted_to_the_level_of_the_results(graded):
    share = dataclasses.replace(FEWER, threshold=0.0, share=0.95)
    std = [[0.5, 0.6, 0.6, 0.6, best] for best in BAD]  # level .5 + .95 · .4025 = .882
    sep = [[0.5, 0.882, 0.883]] * 6
    found = graded(share, {"sep": GOOD, "std": BAD}, {"sep": sep, "std": std})
    assert (found.favoured_value, found.other_value) == (3, 5)
    assert found.verdict == "supported"


def test_every_experiment_has_comparisons_for_figures_1_and_2(published):
    for _, runs in published.runs.groupby("experiment"):
        about = [claim for claim in load_claims() if claim.concerns(runs)]
        figures = {claim.figure for claim in about}
        assert figures >= {1, 2}
        rates = dict(zip(runs.model, runs.learning_rate, strict=True))
        epochs = [claim.models for claim in about if claim.kind == "fewer_epochs"]
        if runs.dataset.iat[0] == "simulated_accessibility":
            assert all(rates[a] == rates[b] for a, b in epochs), "epochs at unequal rates"
        assert ("low_reg" in set(runs.model)) == (4 in figures)


def test_a_claim_about_other_data_is_not_graded(tmp_path):
    runs = scored(tmp_path, {"sep": GOOD, "std": BAD}).runs
    assert HIGHER.concerns(runs)
    assert dataclasses.replace(HIGHER, data=("simulated_tf",)).concerns(runs)
    assert not dataclasses.replace(HIGHER, data=("chip_seq",)).concerns(runs)
    assert not dataclasses.replace(HIGHER, models=("symm", "std")).concerns(runs)


def test_no_comparison_is_said_in_words(tmp_path):
    none = grade(scored(tmp_path, {"other": [0.9]}))
    assert claims.summary(none).startswith("No comparison")
    assert claims.as_text(none).startswith("No comparison")
    assert grade_table(none).empty
    assert json.loads(claims.as_json(none)) == []


def test_summary_and_overview_count_verdicts(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load_claims", lambda figure: [HIGHER])
    good = scored(tmp_path / "a", {"sep": GOOD, "std": BAD}, title="Good")
    bad = scored(tmp_path / "b", {"sep": BAD[:2], "std": GOOD}, title="Bad")
    found = grade(together(good, bad))
    assert claims.summary(found) == "Of 2 comparisons: 1 supported, 1 too few seeds."
    assert verdicts(found).to_dict("list") == {
        "figure": ["Figure 1", "Figure 1"],
        "data": ["Good", "Bad"],
        "supported": [1, 0],
        "undecided": [0, 0],
        "contradicted": [0, 0],
        "not measurable": [0, 0],
        "too few seeds": [0, 1],
    }


@pytest.fixture(scope="module")
def grades(published):
    return grade(published)


def test_text_fits_eighty_columns_and_says_every_grade(grades):
    text = claims.as_text(grades)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for row in grade_table(grades).itertuples(index=False):
        assert f"{row[5]}: {row[0]} {row[2]}; gain {row[3]}; p {row[4]}" in flat
    assert flat.endswith(claims.summary(grades))


def test_csv_and_json_hold_all_columns(grades):
    rows = list(csv.DictReader(io.StringIO(claims.as_csv(grades))))
    records = json.loads(claims.as_json(grades))
    assert len(rows) == len(records) == len(grades)
    assert list(rows[0]) == list(records[0]) == list(grades.columns)
    assert records[0]["p"] == pytest.approx(grades.p[0], rel=1e-12)
    assert [row["verdict"] for row in rows] == grades.verdict.tolist()


def test_a_size_with_one_seed_is_graded_as_too_few(tmp_path):
    size = load_size("standard", 1)
    parts = [
        results({m: [_record(tmp_path / e.name, s[0])] for m, s in e.models.items()}, e.title)
        for e in size.experiments.values()
    ]
    found = grade(together(*parts))
    assert set(found.verdict) == {"too few seeds"}
    assert "gain" in claims.as_text(found)


def _record(folder, spec):
    from made_up import record

    arrays = {"importance": np.ones(1000 if spec.dataset != "simulated_tf" else 200, np.float32)}
    if spec.variant != "std":
        arrays["weights"] = np.eye(6, dtype=np.float32)
    assert isinstance(spec, RunSpec)
    return record(folder, spec, 0.9, **arrays)
