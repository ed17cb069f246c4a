"""Statistics by hand, against SciPy, and by properties; the judging machine on known truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sfc_lib.pages import statistics
from sfc_lib.pages.statistics import ALPHA, adjusted, compare, conclude, power, settle, shift

WHOLE = st.integers(-3, 3).map(float)
RUNS = st.lists(
    st.tuples(WHOLE | st.just(np.inf), WHOLE | st.just(np.inf)), min_size=2, max_size=10
)


def test_shift_by_hand():
    found = shift(np.array([1.0, 2, 3]), np.zeros(3))  # averages 1 1.5 2 2 2.5 3
    assert (found.effect, found.p, found.probability) == (2.0, 0.25, 1.0)
    assert (found.low, found.high) == (-np.inf, np.inf), "three seeds bound nothing"


@pytest.mark.parametrize("seeds", [6, 8, 10])
def test_p_is_scipys_exact_signed_rank_test(seeds):
    first, second = np.random.default_rng(seeds).normal(size=(2, seeds))
    assert shift(first, second).p == stats.wilcoxon(first - second, method="exact").pvalue


@pytest.mark.parametrize("null", [0.0, -0.7])
def test_interval_is_the_test_inverted(null):
    first, second = np.random.default_rng(3).normal(size=(2, 10))
    found = shift(first, second, null)
    for theta in (found.low + 1e-6, found.high - 1e-6):
        assert stats.wilcoxon(first - second - theta, method="exact").pvalue >= ALPHA
    for theta in (found.low - 1e-6, found.high + 1e-6):
        assert stats.wilcoxon(first - second - theta, method="exact").pvalue < ALPHA


@given(RUNS, st.sampled_from([0.0, -1.0, 0.5]))
def test_interval_and_test_never_disagree(pairs, null):
    first, second = np.array(pairs).T
    found = shift(first, second, null)
    assert (found.p < ALPHA) == (not found.low <= null <= found.high)
    assert found.low <= found.effect <= found.high
    turned = shift(second, first, -null)
    assert turned.p == found.p
    assert turned.probability == pytest.approx(1 - found.probability)


def test_what_never_arrived_is_ranked_behind_all_and_ties_with_its_like():
    never, ten = np.full(8, np.inf), np.full(8, 10.0)
    assert shift(never, ten).effect == np.inf
    assert shift(never, ten).p < ALPHA
    assert shift(never, never).effect == 0.0
    assert shift(never, never).p == 1.0


def test_power_grows_with_margin_and_is_near_that_of_a_t_test():
    first = np.random.default_rng(0).normal(size=10)
    second = np.zeros(10)
    low, high = (power(first, second, margin) for margin in (0.2, 1.0))
    assert low < 0.3 < high
    effect = 1.0 / first.std(ddof=1)
    t = stats.nct.sf(stats.t.isf(0.025, 9), 9, effect * np.sqrt(10))
    assert high == pytest.approx(t, abs=0.06)
    assert np.isnan(power(first[:3], second[:3], 1.0))
    assert power(second, second, 1.0) == 1.0


def test_adjusted_is_scipys_and_leaves_out_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    expected = stats.false_discovery_control(p[[0, 2, 3]])
    np.testing.assert_array_equal(adjusted(p)[[0, 2, 3]], expected)
    assert np.isnan(adjusted(p)[1])
    assert np.isnan(adjusted(p[1:2])).all()


def settled(values, other, margin=1.0, asks="better", **more):
    row = {"confounded": "", "measurable": True, **more}
    (found,) = settle([row | compare(np.array(values), np.array(other), margin, asks)])
    return found["verdict"]


NEAR = np.linspace(-0.05, 0.05, 10)


@pytest.mark.parametrize(
    ("values", "more", "verdict"),
    [
        (NEAR + 2, {}, "supported"),
        (NEAR - 2, {}, "contradicted"),
        (NEAR, {}, "no difference"),
        (NEAR * 100, {}, "undecided"),
        (NEAR[:5] + 2, {}, "undecided"),
        (NEAR + 2, {"confounded": "learning_rate"}, "confounded"),
        (NEAR + 2, {"measurable": False}, "not measurable"),
        (NEAR - 0.5, {"asks": "not worse"}, "supported"),
        (NEAR - 2, {"asks": "not worse"}, "contradicted"),
        (NEAR * 100, {"asks": "not worse"}, "undecided"),
    ],
)
def test_verdict_of_one_comparison(values, more, verdict):
    assert settled(values, np.zeros(len(values)), **more) == verdict


def test_a_comparison_without_runs_is_undecided():
    assert settled([], []) == "undecided"


def test_confounded_and_unmeasurable_comparisons_do_not_tell():
    assert conclude(["confounded", "supported", "not measurable"]) == "holds"
    assert conclude(["supported", "no difference"]) == "holds in part"
    assert conclude(["supported", "contradicted"]) == "holds in part"
    assert conclude(["contradicted", "undecided"]) == "does not hold"
    assert conclude(["no difference"] * 2) == "does not hold"
    assert conclude(["supported", statistics.FEW]) == "holds"
    assert conclude(["confounded"]) == conclude([statistics.FEW]) == "cannot tell yet"
    assert conclude(["confounded"]) == conclude(["undecided"]) == "cannot tell yet"
    assert conclude([]) == "not testable here"


def test_paired_keeps_its_error_at_every_correlation_and_unpaired_does_not():
    table = statistics.design_table().set_index(["test", "correlation"])
    assert (table.error["paired (signed rank)"] < 0.06).all()
    assert table.error["unpaired (Mann-Whitney)", -0.5] > 0.08


@pytest.fixture(scope="module")
def trials():
    return statistics.trial_table().set_index("made-up truth")


def test_claims_are_wrongly_held_or_refuted_in_at_most_one_study_of_twenty(trials):
    null = trials.loc[[name for name in trials.index if name.startswith("no effect")]]
    assert (null["holds"] + null["holds in part"]).max() <= 0.05
    true = trials.loc[[name for name in trials.index if "smallest" in name or "scatter" in name]]
    true = true[[name.startswith("as claimed") and "tenth" not in name for name in true.index]]
    assert true["does not hold"].max() <= 0.05
    opposite = trials.loc["the opposite, twice the smallest effect"]
    assert opposite["holds"] + opposite["holds in part"] == 0
    assert opposite["does not hold"] == 1


def test_one_comparison_is_seldom_called_equal_or_not_worse_at_the_margin(trials):
    margin = trials.loc["as claimed, just the smallest effect"]
    assert margin["comparisons without difference"] <= 0.05
    worse = trials.loc["asked if not worse, worse by just the smallest effect"]
    assert worse["holds"] + worse["holds in part"] <= 0.05
    assert trials.loc["asked if not worse, no effect", "holds"] > 0.9


@pytest.mark.parametrize("correlation", [0.0, 0.85])
def test_claims_without_effect_seldom_hold_however_much_luck_is_shared(correlation):
    trials = statistics.trial_table(400, correlation=correlation).set_index("made-up truth")
    null = trials.loc[[name for name in trials.index if name.startswith("no effect")]]
    assert (null["holds"] + null["holds in part"]).max() <= 0.05


def test_power_is_how_often_the_comparison_by_itself_finds_the_margin():
    rng = np.random.default_rng(0)
    scatter = np.array([1, -1, 2, -2, 0.5, -0.5, 1.5, -1.5, 0.1, -0.1])
    stated = power(scatter, np.zeros(10), 1.0)
    draws = 1.0 + scatter.std(ddof=1) * rng.normal(size=(1000, 10))
    found = np.mean([shift(row, np.zeros(10)).p < ALPHA for row in draws])
    assert found == pytest.approx(stated, abs=0.05)


def test_intervals_cover_the_truth(trials):
    assert trials["interval covers"].min() > 0.94


def test_an_effect_on_half_of_the_data_holds_in_part(trials):
    assert trials.loc["as claimed on half of the data, else no effect", "holds in part"] > 0.95
