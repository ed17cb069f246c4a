"""Claims are judged by what the runs say: made-up scores with known answers."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from made_up import record, results, scored, together

from sfc_lib.pages import claims, overview, statistics, style
from sfc_lib.pages.claims import Claim, Claims, Comparison, Metric, grade, grade_table, load_claims
from sfc_lib.pages.forest import caption, forest, show_forest
from sfc_lib.pages.statistics import MIN_SEEDS
from sfc_lib.pages.style import NARROW, VERDICT_STYLES, short
from sfc_lib.runs.sizes import load_size
from sfc_lib.runs.spec import RunSpec

SCHEMA = json.loads(Path(claims.__file__).with_name("claims.schema.json").read_text())
GOOD = [0.95, 0.951, 0.952, 0.953, 0.954, 0.955]
BAD = [0.90, 0.901, 0.902, 0.903, 0.904, 0.905]
NAN = float("nan")
HIGHER = Comparison(("auroc",), ("sep", "std"))
METRICS = {
    "auroc": Metric("auROC", "higher", 0.005),
    "epochs": Metric("epochs", "lower", 1.0),
    "auroc deviation": Metric("deviation", "lower", 0.25, relative=True),
}


@pytest.fixture
def claiming(monkeypatch):
    """Function that makes one claim of the given comparisons all there is."""

    def claim(*comparisons, **more):
        values = {"id": "it", "figure": 1, "short": "it", "says": "It.", "source": "-", **more}
        only = Claims((Claim(comparisons=comparisons, **values),), METRICS)
        monkeypatch.setattr(claims, "load_claims", lambda: only)

    return claim


@pytest.fixture
def graded(tmp_path, claiming):
    """Function that grades one comparison on made-up scores, and auROCs by epoch if given."""

    def grades(comparison, scores, curves=None):
        claiming(comparison)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (found,) = grade(scored(folder, scores, curves)).itertuples()
        return found

    return grades


@pytest.mark.parametrize(
    ("sep", "std", "verdict", "seeds"),
    [
        (GOOD, BAD, "supported", 6),
        (BAD, GOOD, "contradicted", 6),
        (GOOD, GOOD, "no difference", 6),
        (GOOD[:3], BAD, "undecided", 3),
        ([NAN] * 6, BAD, "contradicted", 6),
    ],
)
def test_higher_follows_the_scores(sep, std, verdict, seeds, graded):
    found = graded(HIGHER, {"sep": sep, "std": std})
    assert (found.verdict, found.seeds) == (verdict, seeds)


def test_a_difference_too_small_to_matter_is_marked(graded):
    found = graded(HIGHER, {"sep": [x + 0.003 for x in BAD], "std": BAD})
    assert (found.verdict, claims.remark(found)) == ("supported", claims.SMALL)
    found = graded(HIGHER, {"sep": GOOD, "std": BAD})
    assert (found.verdict, claims.remark(found)) == ("supported", "")


def test_an_interval_that_only_adjusting_takes_the_say_from_is_marked(tmp_path, claiming):
    claiming(HIGHER, *(Comparison(("auroc",), ("sep", f"other {n}")) for n in range(9)))
    luck = [[0.01 * ((n + place) % 2) for place in range(6)] for n in range(9)]
    others = {f"other {n}": [x + by for x, by in zip(GOOD, luck[n], strict=True)] for n in range(9)}
    found = grade(scored(tmp_path, {"sep": GOOD, "std": [x - 0.01 for x in GOOD], **others}))
    first = next(found.itertuples())
    assert first.low > 0
    assert (first.verdict, claims.remark(first)) == ("undecided", claims.ALONE)
    assert "of 1 the interval leaves out 0" in claims.remark_line(found)
    assert grade_table(found)["but"].tolist().count(claims.ALONE) == 1


def test_a_best_rate_is_known_where_two_have_six_seeds_and_none_of_fewer_is_better(
    tmp_path, claiming
):
    claiming(Comparison(("auroc",), ("sep|sep_slow|sep_fast", "std"), varies=("learning_rate",)))

    def favoured(**scores):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        found = grade(scored(folder, {"sep": GOOD, "std": BAD, "sep_fast": BAD, **scores}))
        return found.favoured.tolist()

    assert favoured(sep_slow=[0.99] * 6) == ["sep_slow"]
    assert favoured(sep_slow=[0.5]) == ["sep"]
    assert favoured(sep_slow=[0.99]) == [], "one lucky seed is no best rate, and hides which is"
    assert favoured(sep_slow=[0.5], sep_fast=[0.5]) == [], "nothing to choose from"
    assert favoured(sep_slow=[0.99] * 5 + [NAN]) == ["sep"], "a rate at which runs diverge"


def test_pure_noise_is_not_measurable(tmp_path):
    """Profiles that are nothing but sampling noise, as the noise beside them says."""
    rng, told = np.random.default_rng(0), []
    for study in range(10):
        groups = {
            variant: [
                record(
                    tmp_path / str(study),
                    RunSpec(
                        dataset="chip_seq", architecture="chip_seq", variant=variant, seed=seed
                    ),
                    importance=rng.normal(size=(2, 2, 1000)).astype(np.float32),
                )
                for seed in range(6)
            ]
            for variant in ("std", "sep")
        }
        made = results(groups, name="ctcf")
        found = grade(made, figure=3)
        assert len(found) >= 4
        told += found.verdict.tolist()
    assert told.count("not measurable") >= 0.95 * len(told)


def test_effect_is_the_difference_between_runs_of_one_seed(graded):
    luck = np.array([0.0, 0.04, -0.03, 0.02, -0.05, 0.01])
    found = graded(HIGHER, {"sep": 0.9 + luck + 0.003, "std": 0.9 + luck})
    assert found.effect == pytest.approx(0.003)
    assert (found.verdict, found.p) == ("supported", 0.03125)
    assert found.probability < 0.7, "though single runs overlap"


def test_not_worse_forgives_less_than_the_margin(graded):
    asks = dataclasses.replace(HIGHER, asks="not worse")
    found = [graded(asks, {"sep": [x - by for x in GOOD], "std": GOOD}) for by in (0.002, 0.03)]
    assert [g.verdict for g in found] == ["supported", "contradicted"]


def test_steadier_is_a_smaller_distance_from_the_models_own_median(graded):
    narrow, wide = (list(0.9 + by * np.linspace(-1, 1, 10)) for by in (0.001, 0.09))
    steadier = Comparison(("auroc deviation",), ("sep", "std"))
    found = graded(steadier, {"sep": narrow, "std": wide})
    assert found.verdict == "supported"
    assert found.other_value == pytest.approx(0.05)
    assert graded(steadier, {"sep": wide, "std": narrow}).verdict == "contradicted"


FAST, NEVER = [[0.5, 0.6, 0.95]] * 6, [[0.5, 0.6, 0.7]] * 6


def test_a_run_that_never_arrives_is_slower_than_any_that_does(graded):
    fewer = Comparison(("epochs to .90",), ("sep", "std"))
    scores = {"sep": GOOD, "std": BAD}
    found = graded(fewer, scores, {"sep": FAST, "std": NEVER})
    assert (found.verdict, found.favoured_value, found.other_value) == ("supported", 3, np.inf)
    assert graded(fewer, scores, {"sep": NEVER, "std": FAST}).verdict == "contradicted"
    assert graded(fewer, scores, {"sep": NEVER, "std": NEVER}).verdict == "no difference"


def test_epochs_to_a_share_are_counted_to_the_level_of_the_results(graded):
    share = Comparison(("epochs to 95 %",), ("sep", "std"))
    std = [[0.5, 0.6, 0.6, 0.6, best] for best in BAD]  # level .5 + .95 · .4025 = .882
    sep = [[0.5, 0.882, 0.883]] * 6
    found = graded(share, {"sep": GOOD, "std": BAD}, {"sep": sep, "std": std})
    assert (found.favoured_value, found.other_value, found.verdict) == (3, 5, "supported")


def test_a_run_that_diverged_is_worse_than_any(graded):
    found = graded(HIGHER, {"sep": [*GOOD[:5], NAN], "std": BAD})
    assert (found.seeds, found.verdict) == (6, "undecided")


def rated(folder, rates, scores=(GOOD, BAD)):
    """Results of sep and std trained at two rates."""
    groups = {}
    for (model, rate), values in zip(rates.items(), scores, strict=True):
        variant = model.partition("_")[0]
        specs = [RunSpec(variant=variant, learning_rate=rate, seed=s) for s in range(6)]
        groups[model] = [record(folder, s, v) for s, v in zip(specs, values, strict=True)]
    return results(groups)


def test_models_that_differ_in_more_are_confounded_unless_that_is_the_claim(tmp_path, claiming):
    unequal = rated(tmp_path / "a", {"sep": 0.001, "std": 0.0001})
    claiming(HIGHER)
    (found,) = grade(unequal).itertuples()
    assert (found.verdict, found.confounded) == ("confounded", "learning_rate")
    assert claims.judge(grade(unequal)).verdict.tolist() == ["cannot tell yet"]
    claiming(dataclasses.replace(HIGHER, varies=("learning_rate",)))
    assert grade(unequal).verdict.tolist() == ["supported"]
    claiming(HIGHER)
    assert grade(rated(tmp_path / "b", {"sep": 0.001, "std": 0.001})).verdict[0] == "supported"


def test_each_at_its_best_rate_is_the_one_with_the_highest_median(tmp_path, claiming):
    rates = {"sep": 0.001, "sep_slow": 0.0001, "std": 0.0001, "std_fast": 0.001}
    made = rated(tmp_path, rates, (BAD, GOOD, GOOD, BAD))
    claiming(Comparison(("auroc",), ("sep|sep_slow", "std|std_fast"), varies=("learning_rate",)))
    (found,) = grade(made).itertuples()
    assert (found.favoured, found.other, found.verdict) == ("sep_slow", "std", "no difference")
    assert not found.confounded


def test_p_values_are_adjusted_over_the_comparisons_of_a_claim(tmp_path, claiming):
    made = scored(tmp_path, {"sep": GOOD, "std": BAD, "symm": GOOD[::-1]})
    claiming(HIGHER, dataclasses.replace(HIGHER, models=("symm", "sep")))
    found = grade(made)
    assert found.p_adjusted[0] == pytest.approx(min(1, 2 * found.p[0]))
    assert found.verdict[0] == "undecided", "six seeds allow p = .031, and there are two"


def test_a_comparison_about_other_data_is_not_made(tmp_path):
    runs = scored(tmp_path, {"sep": GOOD, "std": BAD}).runs
    assert HIGHER.concerns(runs)
    assert dataclasses.replace(HIGHER, data=("simulated_tf",)).concerns(runs)
    assert not dataclasses.replace(HIGHER, data=("chip_seq",)).concerns(runs)
    assert not dataclasses.replace(HIGHER, models=("symm", "std")).concerns(runs)


def test_every_claim_names_known_models_metrics_data_and_figures():
    sizes = ("full", "converged", "controls", "controls_ctcf")
    every = [e for name in sizes for e in load_size(name).experiments.values()]
    models = {model for e in every for model in e.models}
    data = {name for e in every for name in (e.name, e.specs[0].dataset)}
    known = load_claims()
    assert len({claim.id for claim in known.claims}) == len(known.claims)
    for claim in known.claims:
        assert claim.figure in range(5)
        assert bool(claim.comparisons) != (claim.arithmetic in claims.ARITHMETIC)
        for comparison in claim.comparisons:
            assert set(re.split(r"\|| - ", "|".join(comparison.models))) <= {*models, "chance"}
            if "chance" in comparison.models:
                assert set(comparison.metrics) <= set(claims.CHANCE)
            assert set(comparison.data) <= data
            assert set(comparison.varies) <= set(claims.SHARED)
            assert comparison.asks in ("better", "not worse")
            assert all(known.metric(metric).margin > 0 for metric in comparison.metrics)


def test_all_figures_are_graded_as_each_is_on_its_page(tmp_path):
    made = scored(tmp_path, {"sep": GOOD, "std": BAD, "symm": GOOD})
    every = grade(made)
    for figure in (1, 2):
        part = every[every.figure == figure].reset_index(drop=True)
        assert part.equals(grade(made, figure))


def test_a_deleted_seed_is_one_seed_fewer_and_a_changed_score_another_row(graded):
    whole = graded(HIGHER, {"sep": GOOD, "std": BAD})
    fewer = graded(HIGHER, {"sep": GOOD[:5], "std": BAD})
    changed = graded(HIGHER, {"sep": [0.8, *GOOD[1:]], "std": BAD})
    assert (whole.seeds, fewer.seeds) == (6, 5)
    assert (whole.verdict, fewer.verdict, changed.verdict) == (
        "supported",
        "undecided",
        "undecided",
    )


# What is told without runs


def test_a_claim_without_a_comparison_says_why(tmp_path, claiming):
    claiming(HIGHER, why="nobody looked")
    none = grade(scored(tmp_path, {"other": [0.9]}))
    assert none.empty
    assert grade_table(none).empty
    assert forest(none) is None
    assert claims.judge(none).verdict.tolist() == ["not testable here"]
    assert "nobody looked" in claims.as_text(none)
    assert "nobody looked" in claims.evidence(none).data
    assert json.loads(claims.as_json(none))["claims"][0]["comparisons"] == []


def test_the_layer_computes_nothing_new_and_starts_at_a_ninth(tmp_path):
    weights = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    spec = RunSpec(variant="sep")
    made = results({"sep": [record(tmp_path, spec, 0.9, weights=weights)]})
    found = grade(made, figure=0).set_index("claim")
    assert found.favoured_value["variance"] == pytest.approx(1 / 9)
    assert found.verdict["variance"] == "contradicted"
    assert found.effect["special_case"] < 1e-12
    assert found.verdict["special_case"] == "supported"


# The published runs


@pytest.fixture(scope="module")
def grades(published):
    return grade(published)


def test_whole_networks_are_folded_too_and_one_that_is_not_equal_contradicts(
    grades, published, monkeypatch
):
    found = grades[(grades.claim == "special_case") & grades.other.str.endswith(", folded")]
    assert set(found.favoured) == {"sep", "symm"}
    assert set(found.verdict) == {"supported"}
    wrong = {"experiment": "ctcf", "form": "Keras, folded", "model": "sep", "worst": 0.01}
    monkeypatch.setattr(claims, "_equality", lambda: [wrong])
    again = grade(published, figure=0)
    assert again[again.other == "sep, folded"].verdict.tolist() == ["contradicted"]


def test_unequal_rates_on_accessibility_are_confounded(grades):
    odd = grades[(grades.favoured.isin(["sep", "symm"])) & (grades.other == "std")]
    odd = odd[odd.experiment == "simulated_accessibility"]
    odd = odd[odd.asks != "exact"]
    assert set(odd.verdict) == {"confounded"}
    assert set(odd.confounded) == {"learning_rate"}
    assert not grades[~grades.index.isin(odd.index)].confounded.any()


def test_no_verdict_disagrees_with_its_interval(grades):
    tested = grades[grades.verdict.isin(["supported", "contradicted"]) & (grades.asks == "better")]
    assert len(tested) > 20
    sides = np.sign(tested.low) == np.sign(tested.high)
    assert sides.all()
    assert ((tested.effect > 0) == (tested.verdict == "supported")).all()


def test_text_fits_eighty_columns_and_says_every_comparison(grades):
    text = claims.as_text(grades)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for row in grade_table(grades).itertuples(index=False):
        assert row.but in flat
        assert f": {row.data}, {row.metric}, {row.medians}; {row[5]}" in flat
    assert flat.endswith(claims.conclusion(grades).replace("**", ""))


def test_json_follows_its_schema_and_holds_every_comparison(grades):
    content = json.loads(claims.as_json(grades))
    jsonschema.validate(content, SCHEMA)
    rows = [row for claim in content["claims"] for row in claim["comparisons"]]
    assert len(rows) == len(grades)
    judged = claims.judge(grades).set_index("id").verdict
    assert {c["id"]: c["verdict"] for c in content["claims"]} == judged.to_dict()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"claims": [{**content["claims"][0], "verdict": "perhaps"}]}, SCHEMA)


def test_csv_holds_all_columns(grades):
    rows = list(csv.DictReader(io.StringIO(claims.as_csv(grades))))
    assert len(rows) == len(grades)
    assert list(rows[0]) == list(grades.columns)
    assert [row["verdict"] for row in rows] == grades.verdict.tolist()


def test_front_page_has_a_row_a_claim_and_leads_to_each(grades):
    page = overview.matrix(grades).data
    evidence = claims.evidence(grades).data
    for claim in load_claims().claims:
        assert f'href="claims.html#{claim.id}"' in page
        assert f'<details id="{claim.id}">' in evidence
    assert page.count("<tr>") == len(load_claims().claims) + 1
    assert overview.headline(grades).startswith(claims.conclusion(grades))


def test_a_changed_record_changes_the_front_page(tmp_path):
    pages = []
    for name, scores in (("a", GOOD), ("b", BAD)):
        good = scored(tmp_path / name, {"sep": scores, "std": BAD}, title="Data")
        pages.append(overview.matrix(grade(together(good))).data)
    assert "Data: holds" in pages[0]
    assert "Data: holds" not in pages[1]


def test_forest_has_a_line_a_comparison_and_a_letter_each(grades):
    part = grades[grades.figure == 1].reset_index(drop=True)
    part.loc[part.index[-3:], "seeds"] = MIN_SEEDS - 1
    drawn = part[part.seeds >= MIN_SEEDS]
    figure = forest(part)
    letters = verdict_letters(figure)
    assert len(letters) == len(drawn) < len(part)
    assert letters.count("✓") == (drawn.verdict == "supported").sum()
    assert f" {len(part) - len(drawn)} comparisons of fewer than {MIN_SEEDS} seeds" in caption(part)


def verdict_letters(figure):
    """Those that end the rows of a forest plot."""
    texts = [t.get_text() for f in figure.subfigs for a in f.axes for t in a.texts]
    return [text for text in texts if text in {letter for letter, *_ in VERDICT_STYLES.values()}]


def test_an_effect_beyond_the_panel_is_a_number_at_its_edge(tmp_path, claiming):
    others = (Comparison(("auroc",), (model, "std")) for model in ("near", "worse"))
    claiming(HIGHER, *others, id="performance")
    by = {"std": 0, "sep": 0.095, "near": 0.012, "worse": -0.2}
    found = grade(scored(tmp_path, {m: [x + b for x in BAD] for m, b in by.items()}))
    (panel,) = forest(found).subfigs[0].axes
    assert dots(panel) == pytest.approx([0.012])
    assert panel.get_xlim() == pytest.approx((-0.04, 0.04)), "eight times the smallest effect"
    edges = {t.get_text(): t.get_position()[0] for t in panel.texts if "." in t.get_text()}
    assert edges == pytest.approx({"+.095 ▸": 0.04, "◂ −.2": -0.04})


def dots(axes):
    """The effects drawn, from the least."""
    return sorted(float(x[0]) for line in axes.lines if len(x := line.get_xdata()) == 1)


def test_forest_of_a_phone_has_the_same_lines_with_words_above_them(grades):
    part = grades[(grades.figure == 1) & (grades.seeds >= MIN_SEEDS)]
    wide, narrow = forest(part), forest(part, NARROW)
    assert narrow.get_size_inches()[0] == NARROW
    for one, other in zip(wide.subfigs, narrow.subfigs, strict=True):
        words = {tick.get_text() for tick in one.axes[0].get_yticklabels()}
        assert words <= {text.get_text() for text in other.axes[0].texts}
        for panel, small in zip(one.axes, other.axes, strict=True):
            assert dots(panel) == dots(small)
    html = show_forest(part).data
    assert html.count("data:image/svg+xml") == 2
    assert "are left out" not in html


def test_where_no_comparison_can_decide_all_are_drawn(grades):
    few = grades[grades.figure == 1].assign(seeds=3)
    letters = verdict_letters(forest(few))
    assert len(letters) == len(few[few.asks != "exact"]) > 0
    assert show_forest(few[:0]).data == ""


def test_what_a_figure_shows_is_counted_from_its_comparisons(tmp_path, claiming):
    claiming(HIGHER)
    grades = grade(scored(tmp_path, {"sep": GOOD, "std": BAD}))
    effect = short(grades.effect.iat[0], "+.4f")
    assert claims.shows(grades, 1) == (
        "*it* is supported by 1 of the 1 comparisons that can decide and contradicted by 0. "
        f"Lead of sep in auROC (higher is better): {effect}."
    )
    assert claims.shows(grades.assign(seeds=3), 1) == ""
    assert claims.shows(grades.assign(confounded="epochs"), 1) == ""
    other = grades.assign(favoured="symm", effect=-0.5, verdict="contradicted")
    two = pd.concat([grades, other])
    assert "contradicted by 1. Lead of sep or symm in auROC (higher is better)" in claims.shows(
        two, 1
    )
    assert "1 of the 2" in claims.shows(two, 1)
    assert f": −.5000 to {effect}." in claims.shows(two, 1)


def test_data_without_enough_seeds_keep_a_claim_from_holding_everywhere(tmp_path, claiming):
    claiming(HIGHER)
    many = {"sep": GOOD, "std": BAD}
    few = {"sep": GOOD[:2], "std": BAD[:2]}
    longer = scored(tmp_path / "b", few, title="CTCF ChIP-seq, GM12878, longer")
    known = scored(tmp_path / "a", many, title="CTCF ChIP-seq, GM12878")
    other = scored(tmp_path / "c", few, title="MAX ChIP-seq, GM12878")
    assert claims.judge(grade(together(known, longer))).verdict.tolist() == ["holds"]
    assert claims.judge(grade(together(known, other))).verdict.tolist() == ["holds in part"]


def test_a_model_is_held_against_what_guessing_scores(tmp_path, claiming):
    claiming(Comparison(("auroc",), ("sep", "chance")), Comparison(("auroc",), ("symm", "chance")))
    guessing = [0.5, 0.501, 0.499, 0.502, 0.498, 0.503, 0.497]
    found = grade(scored(tmp_path, {"sep": [*GOOD, 0.956], "symm": guessing}))
    assert found.verdict.tolist() == ["supported", "no difference"]
    assert found.confounded.tolist() == ["", ""]
    assert found.other_value.tolist() == [0.5, 0.5]
    assert found.effect.iat[0] == pytest.approx(0.453)
    assert claims.luck_line(found, None).startswith("No two models")


def test_what_a_stricter_adjustment_would_change_is_told(tmp_path, claiming):
    claiming(HIGHER, Comparison(("auroc",), ("symm", "std")))
    little = [x + 0.003 + 1e-5 * seed**2 for seed, x in enumerate(BAD)]
    made = scored(tmp_path, {"sep": GOOD, "symm": little, "std": BAD})
    found, strict = grade(made), grade(made, adjust=statistics.holm)
    assert found.verdict.tolist() == ["supported"] * 2
    assert strict.p_adjusted.tolist() == [0.0625] * 2, "twice 1/32"
    assert strict.verdict.tolist() == ["undecided", "no difference"]
    assert claims.adjust_line(found, strict) == (
        "By the stricter one 2 of the 2 comparisons that seeds support or contradict would be "
        "neither, and 1 of 1 claims would come out another way: *it* (holds, then cannot tell yet)."
    )
    assert " 0 of 1 claims would come out another way." in claims.adjust_line(found, found)
    assert "no comparison" in claims.adjust_line(found.head(0), found.head(0))


def test_margins_and_luck_are_told_from_the_file_and_the_runs(tmp_path, claiming):
    claiming(HIGHER)
    assert claims.margin_table().iloc[0].tolist() == ["auROC", "higher", "0.005"]
    rng = np.random.default_rng(0)
    luck, own = rng.normal(size=6) / 100, rng.normal(size=6) / 100
    made = scored(tmp_path, {"sep": 0.9 + luck, "std": 0.8 + luck + own})
    expected = np.corrcoef(luck, luck + own)[0, 1]
    assert f"{expected:.2f}"[1:] in claims.luck_line(grade(made), made)


def test_every_verdict_has_a_letter_of_its_own_kind():
    known = {*statistics.VERDICTS, *statistics.CONCLUSIONS}
    assert known == set(style.VERDICT_STYLES)


def test_a_size_with_one_seed_decides_nothing(tmp_path):
    size = load_size("standard", 1)
    parts = [
        results({m: [_record(tmp_path / e.name, s[0])] for m, s in e.models.items()}, e.title)
        for e in size.experiments.values()
    ]
    found = grade(together(*parts))
    assert set(found.verdict[found.asks != "exact"]) <= {
        *("undecided", "confounded", "not measurable")
    }
    assert "(1 seed)" in claims.as_text(found)


def _record(folder, spec):
    arrays = {"importance": np.ones(1000 if spec.dataset != "simulated_tf" else 200, np.float32)}
    if spec.variant != "std":
        arrays["weights"] = np.eye(6, dtype=np.float32)
    return record(folder, spec, 0.9, **arrays)


# Networks of two widths


def of_width(tmp_path, width, sep, std):
    spec = {"dataset": "simulated_accessibility", "architecture": "basset", "width": width}
    return scored(tmp_path / f"{width}", {"sep": sep, "std": std}, title="Accessibility", **spec)


def test_both_widths_are_shown_with_whether_the_verdict_changes(tmp_path, claiming):
    claiming(HIGHER)
    part, same, other = (
        of_width(tmp_path / name, width, *scores)
        for name, width, scores in (
            ("part", 0.125, (GOOD, BAD)), ("same", 1.0, (GOOD, BAD)), ("other", 1.0, (BAD, GOOD))
        )
    )  # fmt: skip
    grades = grade(part)
    for whole, verdict, changes in ((same, "supported", "no"), (other, "contradicted", "yes")):
        table = claims.width_table(grades, grade(whole))
        (row,) = table.to_dict("records")
        assert row["part of the filters"] == "supported"
        assert (row["all filters"], row["changes"]) == (verdict, changes)
        assert (row["comparison"], row["seeds"]) == ("sep against std", "6, 6")
        count = {"no": 1, "yes": 0}[changes]
        assert claims.width_line(part, whole, table).startswith(
            f"Of 1 comparisons made at both widths, {count} come out the same"
        )


def test_without_whole_networks_it_says_which_are_narrow(tmp_path, claiming):
    claiming(HIGHER)
    part = of_width(tmp_path, 0.125, GOOD, BAD)
    nothing = claims.width_table(grade(part), grade(part).head(0))
    assert nothing.empty
    assert claims.width_line(part, None, nothing) == (
        "The runs on *Accessibility, 0.125 of the filters* have no counterpart with all filters "
        "yet."
    )
    all_of = of_width(tmp_path, 1.0, GOOD, BAD)
    assert claims.width_line(all_of, None, nothing) == "All networks are whole."
