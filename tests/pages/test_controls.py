"""The page of controls: numbers against SciPy, figures read back, and what is missing is said."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import record
from matplotlib.text import Text
from scipy import stats

from sfc_lib.files import checkout
from sfc_lib.pages import controls
from sfc_lib.pages.controls import ahead, answer, load_controls
from sfc_lib.pages.statistics import Compared
from sfc_lib.pages.style import NARROW
from sfc_lib.runs.sizes import load_size

SEEDS = 7
AUROC = {"std": 0.97, "sep": 0.98, "full_kernel": 0.98, "average_pooling": 0.8, "symm .01": 0.9}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Function that gives the page's controls, of made-up records of some models."""

    def load(scores, seeds=SEEDS):
        known = {}
        for item in load_size("controls", seeds).experiments.values():
            for place, (model, specs) in enumerate(item.models.items()):
                for spec in specs:
                    value = scores(model, spec)
                    if value is not None and spec not in known:
                        bad = bool(np.isnan(value))
                        known[spec] = record(tmp_path, spec, value, diverged=bad)
                assert place < 40
        monkeypatch.setattr(controls, "look_up", lambda spec, published: known.get(spec))
        return load_controls(seeds)

    return load


def scattered(model, spec):
    rng = np.random.default_rng((spec.seed, *model.encode()))
    return AUROC.get(model, 0.975) + 0.002 * rng.normal()


# Numbers


def test_interval_holds_exactly_the_shifts_that_the_signed_rank_test_does_not_reject(loaded):
    runs = loaded(scattered).runs
    first, second = controls.paired_scores(runs, "sep", "std")
    found, between = ahead(runs, "sep", "std"), first - second
    averages = [(a + b) / 2 for i, a in enumerate(between) for b in between[i:]]
    assert found.effect == pytest.approx(np.median(averages))
    assert found.low < found.effect < found.high
    for edge, inwards in ((found.low, 1e-9), (found.high, -1e-9)):
        inside, outside = (
            stats.wilcoxon(between - edge - step, method="exact").pvalue
            for step in (inwards, -inwards)
        )
        assert outside < 0.05 < inside


def test_pairs_are_of_the_same_seed_and_a_diverged_run_is_worse_than_any(loaded):
    scores = {"sep": [0.9, 0.8, np.nan], "std": [0.5, 0.7, 0.6]}
    made = loaded(lambda m, s: scores[m][s.seed] if m in scores else None, seeds=3)
    first, second = controls.paired_scores(made.runs, "sep", "std")
    assert first.tolist() == [0.9, 0.8, -np.inf]
    assert second.tolist() == [0.5, 0.7, 0.6]
    assert ahead(made.runs, "sep", "std").seeds == 3
    assert ahead(made.runs, "sep", "std").low == -np.inf  # three pairs leave no interval
    assert ahead(made.runs, "sep", "bottleneck").seeds == 0


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.001, 0.009), "yes"),
        ((0.001, 0.004), "yes, but too little to matter"),
        ((-0.009, -0.001), "no, it is behind"),
        ((-0.004, -0.001), "no, a little behind"),
        ((-0.001, 0.004), "no difference that matters"),
        ((-0.001, 0.009), "the seeds do not tell"),
        ((np.nan, np.nan), "too few seeds"),
        ((-np.inf, np.inf), "too few seeds"),
    ],
)
def test_answers_follow_from_the_interval_and_the_margin(interval, words):
    assert answer(Compared(10, 0.0, *interval, 0.5, 0.5)) == words


def test_best_rate_is_that_of_the_best_median_at_which_all_runs_learn(loaded):
    rates = {"std .003": 0.99, "sep .0003": 0.985, "sep .01": 0.999}

    def scores(model, spec):
        if model == "sep .01" and spec.seed == 0:
            return np.nan
        return rates.get(model, 0.97)

    found = controls.best_of(loaded(scores))
    assert (found["std"], found["sep"]) == ("std .003", "sep .0003")


def test_a_best_rate_is_known_where_two_have_six_seeds_and_none_of_fewer_is_better(loaded):
    seeds = {"sep .003": 5, "symm": 6}
    seeds |= dict.fromkeys(["symm .0001", "symm .0003", "symm .003", "symm .01"], 5)

    def scores(model, spec):
        if spec.seed >= seeds.get(model, SEEDS):
            return None
        return 0.99 if model in ("std .003", "sep .003", "symm") else 0.97

    made = loaded(scores)
    assert controls.best_of(made) == {"std": "std .003"}
    assert controls.each_at_best(made, "learning_rates").seeds == 0
    asked = controls.answers(made).set_index("question")
    row = asked.loc["Learning rate: is sep ahead of std, each at its own best?"]
    assert row.compared == "which value is best is not known yet"
    assert (row.seeds, row.answer) == (0, "too few seeds")
    assert "learning rate (which value is best is not known yet)" in controls.conclusion(
        loaded(lambda model, spec: (s := scores(model, spec)) and s + 0.01 * (model == "sep"))
    )


def test_data_sizes_count_the_training_sequences(loaded):
    made = loaded(scattered, seeds=1)
    counts = controls.data_sizes(made).set_index("model").sequences
    assert counts["std"] == 6400
    assert counts["symm 400"] == 400
    assert len(counts) == 15


@pytest.mark.parametrize("size", ["controls", "controls_ctcf"])
def test_every_model_has_a_name_of_its_own_and_stands_for_one_network(size):
    specs = {}
    for item in load_size(size, 1).experiments.values():
        for model, (spec,) in item.models.items():
            assert specs.setdefault(model, spec) == spec
            assert item.name not in controls.FOREST or model in {
                *controls.NAMES,
                "std",
                "sep",
                "symm",
            }
    assert len(set(map(controls.label, specs))) == len(specs)
    asked = {model for _, *both in controls.QUESTIONS for model in both}
    assert asked <= set(specs) or size == "controls_ctcf"


def test_controls_on_ctcf_differ_from_its_published_networks_in_the_readout_alone():
    panel = load_size("standard").experiments["ctcf"].models
    for model, (spec,) in load_size("controls_ctcf", 1).experiments["readouts_ctcf"].models.items():
        assert spec == dataclasses.replace(panel[spec.variant][0], readout=spec.readout)
        assert (spec.readout is None) == (model in panel)
        parameters, products = controls.cost(spec)
        if model == "full_kernel":  # of equal multiplications, for which it needs more parameters
            assert products == controls.cost(panel["sep"][0])[1]
        else:
            assert parameters <= controls.cost(panel["std"][0])[0]


# Tables and words


def test_tables_tell_costs_and_scores(loaded):
    table = controls.network_table(loaded(scattered, seeds=2), "readouts")
    table = table.set_index(table.network.str.partition(":")[0])
    assert table.parameters["std"] == "117,503"
    assert table.parameters["whole kernels, then Dense"] == "1,196,403"
    products = table["multiplications, millions"]
    assert products["sep"] == products["whole kernels, then Dense"] == "6.53"
    assert set(table["seeds (diverged)"]) == {"2 (0)"}
    assert len(table) == 15


def test_tables_tell_the_test_set_too(loaded, monkeypatch):
    made = loaded(scattered, seeds=3)
    made.runs["test_auroc"] = made.runs.auroc - 0.01 * (made.runs.seed == 1) - 0.5
    table = controls.network_table(made, "readouts")
    sep = made.runs[made.runs.model == "sep"].test_auroc
    assert table["test set's auROC: median"][1] == f"{np.median(sep):.4f}".removeprefix("0")
    assert "chance: auROC .5)" in controls.networks(made, "readouts").data
    known = {"f" * 64: {"positives": {"valid": 0.4166}}}
    monkeypatch.setattr(controls, "yardsticks", lambda: known)
    assert "chance: auROC .5, auPRC .417)" in controls.networks(made, "readouts").data


def test_times_are_those_measured_on_one_machine(loaded, monkeypatch, tmp_path):
    made = loaded(scattered, seeds=1)
    seconds = {"simulated_tf std": 2.0, "simulated_tf sep": 3.0, "simulated_tf symm CR": 5.0}
    (tmp_path / "benchmarks").mkdir()
    path = tmp_path / controls.TIMES
    path.write_text(json.dumps({"cpu_seconds_of_an_epoch": seconds}))
    monkeypatch.setattr(controls, "checkout", lambda: tmp_path)
    times = controls.network_table(made, "readouts")["time of an epoch, relative to std"]
    assert times.tolist()[:4] == ["1.0", "1.5", "–", "–"]
    assert controls.epoch_times(made, "initialisation")["glorot"] == 1.5, "it starts elsewhere"
    assert controls.epoch_times(made, "constraint")["cr_100"] == 2.5
    path.unlink()
    assert controls.epoch_times(made, "readouts") == {}


def test_every_network_that_is_drawn_was_timed():
    known = json.loads((checkout() / controls.TIMES).read_text())["cpu_seconds_of_an_epoch"]
    for size in ("controls", "controls_ctcf"):
        made = load_controls(1, False, size)
        for name in set(made.wanted.experiments) & set(controls.FOREST):
            models = made.wanted.experiments[name].models
            assert set(controls.epoch_times(made, name)) == set(models)
            assert {controls.timed_as(made.specs[model]) for model in models} <= set(known)


def test_conclusion_tells_the_share_of_a_gain_that_is_there(loaded):
    shares = {"full_kernel": 0.974, "fewer_units": 0.96}
    text = concluded(loaded, {**shares, "bottleneck": None})
    assert "(*whole kernels, then Dense* +.0040 [+.0040, +.0040], 40% of that gain)" in text
    assert "(*Dense, fewer neurons* −.0100 [−.0100, −.0100])" in text
    assert "(*linear bottleneck* not tried)" in text
    assert text.count("of that gain") == 1


def test_a_gain_under_the_margin_is_said_to_be_so(loaded):
    for gain, told in ((0.004, True), (0.006, False)):
        first = concluded(loaded, {"sep": 0.97 + gain}).splitlines()[0]
        assert ("auROC, less than the smallest effect of interest, .005. " in first) == told


LACKING = (
    *("fewer_channels", "fewer_units", "full_kernel", "bottleneck", "small_start"),
    *("attention", "average_pooling", "max_pooling"),
)


def concluded(loaded, scores, seeds=SEEDS):
    """The conclusion on made-up scores: sep .98, std and all else .97 unless given."""
    scores = {"sep": 0.98, "symm": 0.98} | scores

    def score(model, spec):
        value = scores.get(model, 0.97)
        return None if value is None else value + 1e-5 * spec.seed**2

    return controls.conclusion(loaded(score, seeds))


def test_conclusion_where_separation_makes_the_gain(loaded):
    text = concluded(loaded, {})
    assert text.startswith("*sep* is ahead of *std* by +.0100 [+.0100, +.0100] auROC.")
    assert (
        "**No other layer** with no more parameters than *std* has it: that speaks for separation."
        in text
    )
    lacks = text.partition("**It does not come with**: ")[2].partition(".**")[0]
    for model in LACKING:
        assert f"{controls.CAUSES[model]} (*{controls.label(model)}* +.0000 [" in lacks
    assert "Without separation" not in text
    assert controls.OPEN not in text, "all rates and batches have a best"


def test_conclusion_where_other_layers_do_as_well(loaded):
    others = {"average_pooling": 0.979, "fewer_channels": 0.983, "full_kernel": 0.974}
    text = concluded(loaded, others)
    assert "**Separation is not needed for it**" in text
    assert "*average pooling* (28% of *std*'s parameters)" in text
    assert "*Dense, fewer channels* (90% of *std*'s parameters)" in text
    without = text.partition("**Without separation it comes with**: ")[2]
    assert without.startswith(
        "fewer channels (*Dense, fewer channels* +.0130 [+.0130, +.0130], 130%"
    )
    assert (
        "depth and multiplications (*whole kernels, then Dense* +.0040 [+.0040, +.0040], 40%"
        in (without.partition("**It does not")[0])
    )


def test_conclusion_where_others_have_a_part(loaded):
    text = concluded(loaded, {"bottleneck": 0.973, "attention": 0.973})
    assert "**Part of it needs no separation**" in text
    assert "ahead of *std*: *linear bottleneck* (99% of *std*'s parameters); *attention" in text
    assert "attention (*attention pooling* +.0030 [+.0030, +.0030], 30% of that gain)" in text


def test_a_layer_that_is_only_known_to_be_level_with_sep_is_told_as_that(loaded):
    gains = [0.0001, 0.0002, 0.0003, 0.03, 0.03, 0.03, 0.03]
    by = {"sep": 0.0, "average_pooling": -0.0006}

    def score(model, spec):
        return 0.95 + gains[spec.seed] + by[model] if model in by else 0.95

    made = loaded(score)
    assert ahead(made.runs, "average_pooling", "std").low < 0
    line = next(line for line in controls.conclusion(made).splitlines() if "**Without" in line)
    assert ", level with *sep*: −.0006 [−.0006, −.0006])" in line


def test_a_layer_of_more_parameters_than_sep_but_not_than_std_is_judged(loaded):
    """On CTCF attention pooling has 55 parameters more than sep, and 9 fewer than std."""
    specs = load_size("controls_ctcf", 1).experiments["readouts_ctcf"].models
    sep, std, attention = (controls.cost(specs[m][0])[0] for m in ("sep", "std", "attention"))
    assert sep < attention <= std
    made = dataclasses.replace(
        loaded(lambda m, s: None, seeds=1), wanted=load_size("controls_ctcf", 1)
    )
    gain = Compared(10, 0.01, 0.005, 0.015, 0.01, 1.0)
    assert "attention pooling" not in controls._equals(made, gain), "no run tells"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "fate", lambda c, model, g: "share")
        assert "*attention pooling* (100% of *std*'s parameters)" in controls._equals(made, gain)


@pytest.mark.parametrize(
    ("ahead_of_std", "ahead_of_sep", "fate"),
    [
        ((0.001, 0.02), (-0.004, 0.004), "reaches"),
        ((-0.001, 0.02), (-0.004, 0.004), "reaches"),
        ((0.001, 0.02), (-0.006, -0.001), "share"),
        ((-0.001, 0.02), (-0.009, -0.006), "lacks"),
        ((-0.001, 0.02), (-0.009, -0.004), "open"),
        ((-0.001, 0.02), (-0.009, 0.004), "open"),
        ((-np.inf, np.inf), (-0.001, 0.004), "open"),
        ((np.nan, np.nan), (np.nan, np.nan), "open"),
    ],
)  # fmt: skip
def test_fate_follows_from_two_intervals_and_half_of_the_gain(
    loaded, monkeypatch, ahead_of_std, ahead_of_sep, fate
):
    both = {"std": ahead_of_std, "sep": ahead_of_sep}
    found = {other: Compared(10, 0.0, *ends, 0.5, 0.5) for other, ends in both.items()}
    monkeypatch.setattr(controls, "ahead", lambda runs, model, other: found[other])
    gain = Compared(10, 0.01, 0.005, 0.015, 0.01, 1.0)
    made = loaded(lambda model, spec: None, seeds=1)
    assert controls.fate(made, "bottleneck", gain) == fate


def test_conclusion_on_smoothness_and_settings(loaded):
    text = concluded(loaded, {"spline": 0.983, "low_reg": 0.9805, "cr_100": 0.97, "high_reg": 0.98})
    rises, falls, same = (
        text.partition(f"**{words}**: ")[2].partition(" **")[0]
        for words in ("The score rises with", "The score falls with", controls.SAME)
    )
    assert rises.startswith("smoothness (*SFC, spline W_pos* +.0030 [+.0030, +.0030] against *sep*")
    assert "*symm, CR 1* +.0005 [+.0005, +.0005] against *symm*)." in rises
    assert falls.startswith("smoothness (*symm, CR 100* −.0100")
    assert same.startswith("smoothness (*symm, CR 10* +.0000")
    assert "**With each at its own best sep stays ahead**: learning rate (+.0100" in text
    text = concluded(loaded, {"std .003": 0.98, "std, batch 32": 0.99, "std, dropout .25": 0.973})
    left = text.partition("**With each at its own best less than half of it is left**: ")[2]
    assert left.startswith("learning rate (+.0000 [+.0000, +.0000]); batch (−.0100")
    assert "sep stays ahead**: dropout (+.0070" in text


def test_conclusion_names_what_cannot_be_told(loaded):
    text = concluded(loaded, {"bottleneck": None, "std .003": 0.98, "std": 0.9701})
    last = text.rpartition("**Not to be told yet**: ")[2]
    assert last == "low rank (*linear bottleneck* not tried)."
    open_ = text.partition("**Whether separation is needed for it is open**")[2]
    assert open_.startswith(": no other layer is known to do as well; these lack it: *Dense, fewer")


def test_without_a_gain_there_is_nothing_to_conclude_on(loaded):
    flat = concluded(loaded, {"sep": 0.97})
    assert flat.endswith("[+.0000, +.0000] auROC: there is no gain that matters.")
    mixed = controls.conclusion(
        loaded(lambda m, s: 0.97 + (0.03 * (s.seed > 1) - 0.01) * (m == "sep"))
    )
    assert mixed.endswith("auROC: whether there is a gain to explain is open.")
    few = concluded(loaded, {}, seeds=3)
    assert few.endswith("cannot be told yet: 3 pairs of runs are there, and it takes 6.")


def test_answers_ask_about_every_question_and_the_best_of_each_setting(loaded):
    table = controls.answers(loaded(scattered))
    assert len(table) == len(controls.QUESTIONS) + 6
    row = table.set_index("question").loc["Positions: is sep ahead of average pooling?"]
    assert (row.answer, row.seeds) == ("yes", SEEDS)
    assert row["difference [95 % interval]"].startswith("+.1")


def test_what_is_missing_is_named(loaded):
    def scores(model, spec):
        if model in ("relu", "std .01") or (model == "spline" and spec.seed):
            return None
        return 0.97

    made = loaded(scores)
    total = len(set(load_size("controls", SEEDS).specs))
    text = controls.coverage(made)
    assert text.startswith(f"**{total - 3 * SEEDS + 1} of {total} runs**")
    assert text.endswith("`sfc sweep controls` trains the others.")
    readouts, rates = controls.missing(made).itertuples(index=False)
    assert readouts[1:] == ("SFC, then ReLU", "SFC, spline W_pos (1)")
    assert rates[1:] == ("std .01", "")


def test_what_epochs_ended_is_counted(loaded):
    made = loaded(scattered, seeds=2)
    best = {"std": [75, 76], "sep": [100, 1], "symm": [20, 30]}
    for model, epochs in best.items():
        made.runs.loc[made.runs.model == model, "best_epoch"] = epochs
    text = controls.speed_line(made, "batch_sizes")
    total = len(made.of("batch_sizes"))
    assert text.startswith(f"No run trains for more than 100 epochs, and 2 of {total} were best in")
    assert controls.speed_line(loaded(lambda model, spec: None), "batch_sizes") == ""


def test_nothing_is_missing_where_all_is_there(loaded):
    made = loaded(lambda model, spec: 0.97)
    assert controls.coverage(made).endswith(" CPU minutes to train.")
    assert controls.missing(made).empty


def test_runs_that_the_last_epoch_ended_are_told(loaded):
    made = loaded(scattered, seeds=2)
    assert controls.unfinished(made).startswith("Every run stopped because it got no better")
    slow = made.runs.model == "sep .0001"
    made.runs.loc[slow, "epochs"] = made.runs.loc[slow, "most_epochs"]
    assert controls.unfinished(made).endswith("were over: sep .0001 (2).")


# Figures


def test_forest_draws_estimates_pairs_and_what_is_far_off(loaded):
    made = loaded(scattered)
    figure = controls.gain_panels(made)
    against_std, against_sep = figure.axes
    names = [tick.get_text() for tick in against_std.get_yticklabels()]
    assert names[0] == f"std, n = {SEEDS}"
    assert "average pooling, n = 7" in names
    assert len(names) == 26
    estimates = {
        round(line.get_ydata()[0]): line.get_xdata()[0]
        for line in against_std.lines
        if line.get_marker() == "o"
    }
    place = names.index(f"whole kernels, then Dense, n = {SEEDS}")
    assert estimates[place] == pytest.approx(ahead(made.runs, "full_kernel", "std").effect)
    pooled = names.index(f"average pooling, n = {SEEDS}")
    assert pooled not in estimates
    (text,) = [t for t in against_std.texts if t.get_position()[1] == pooled]
    assert text.get_text().startswith("◂ −.1")
    lines = {line.get_xdata()[0] for line in against_sep.lines if len(set(line.get_xdata())) == 1}
    assert {-0.005, 0, 0.005} <= lines


def test_on_a_phone_names_stand_above_their_rows(loaded):
    made = loaded(scattered)
    wide, narrow = controls.gain_panels(made), controls.gain_panels(made, width=NARROW)
    names = [tick.get_text() for tick in wide.axes[0].get_yticklabels()]
    texts = {text.get_text(): text.get_position()[1] for text in narrow.axes[0].texts}
    assert [texts[name] for name in names] == [place - 0.45 for place in range(len(names))]
    assert narrow.get_size_inches()[0] == NARROW
    for one, other in zip(wide.axes, narrow.axes, strict=True):
        assert [line.get_xdata()[0] for line in one.lines if line.get_marker() == "o"] == [
            line.get_xdata()[0] for line in other.lines if line.get_marker() == "o"
        ]
    assert controls.show_gains(made).data.count("data:image/svg+xml") == 2


def test_fewer_sequences_are_compared_at_each_number_and_those_that_decide_are_told(loaded):
    few = {"std 400": 0.7, "sep 400": 0.6, "symm 400": 0.6}

    def score(model, spec):
        if model.endswith((" 800", " 1600")) and spec.seed:
            return None
        return few.get(model, 0.9) + 1e-5 * spec.seed**2

    made = loaded(score)
    table = controls.fewer_sequences(made)
    assert table.sequences.tolist() == [n for n in (400, 800, 1600, 3200) for _ in range(3)]
    first = table.iloc[0]
    assert (first.model, first.against) == ("sep 400", "std 400")
    assert first.found == ahead(made.runs, "sep 400", "std 400")
    lines = controls.fewer_sequences_line(made).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "- **400 sequences**: is *sep 400* ahead of *std 400*? no, it is behind: −.1000 [−.1000, "
    )
    assert lines[1].startswith("- **3,200 sequences**: ")
    assert controls.fewer_sequences_line(loaded(lambda m, s: None)) == ""
    axes = controls.data_size_plot(made).axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == [
        *(f"400\nn = {SEEDS}", "800\nn = 1", "1600\nn = 1"),
        *(f"3200\nn = {SEEDS}", f"6400\nn = {SEEDS}"),
    ]


def test_panels_reach_as_far_as_asked(loaded):
    made = loaded(scattered, seeds=2)
    for edge, marks in ((0.02, ["−.01", "0", ".01"]), (0.06, ["−.03", "0", ".03"])):
        (axes, _) = controls.gain_panels(made, edge).axes
        assert axes.get_xlim()[1] == pytest.approx(1.08 * edge)
        assert [tick.get_text() for tick in axes.get_xticklabels()] == marks


def test_no_text_is_smaller_than_eleven_pixels(loaded):
    made = loaded(scattered, seeds=2)
    for draw in (controls.gain_panels, controls.data_size_plot, controls.sweep_plot):
        figure = draw(made)
        figure.canvas.draw()
        shown = 640 / (figure.get_size_inches()[0] * 72)  # a page is 640 pixels wide or more
        texts = [text for axes in figure.axes for text in axes.findobj(Text)]
        sizes = [t.get_fontsize() * shown for t in texts if t.get_text()]
        assert min(sizes) >= 11


def test_lines_go_through_the_medians_and_stars_mark_the_best(loaded):
    figure = controls.sweep_plot(loaded(scattered))
    (axes,) = figure.axes
    made = loaded(scattered)
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert len(stars) == 3
    runs = controls.swept(made, "learning_rates")
    best = runs[runs.model == controls.best_of(made)["sep"]]
    assert stars[1].get_xdata()[0] == best.learning_rate.iat[0]
    assert stars[1].get_ydata()[0] == pytest.approx(best.auroc.median())
    medians = runs[runs.variant == "std"].groupby("learning_rate").auroc.median()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), medians)
    assert axes.get_xscale() == "log"


def test_smooth_weights_are_drawn_at_every_strength_and_limit(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    made = {}
    models = load_size("controls", 2).experiments["constraint"].models
    for model, specs in models.items():
        for spec in specs[: 1 if model == "cr_100" else 2]:
            half = rng.normal(size=(20, 18)).astype(np.float32)
            weights = {} if model == "std" else {"weights": np.hstack([half, half[:, -2::-1]])}
            made[spec] = record(tmp_path, spec, 0.9 + 0.01 * spec.seed, **weights)
    monkeypatch.setattr(controls, "look_up", lambda spec, published: made.get(spec))
    loaded = load_controls(2)
    assert set(loaded.results_of("constraint").runs.model) == set(models)
    panels = [axes for axes in controls.smooth_weights(loaded).axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        *(f"CR {strength}, best seed: 1" for strength in (0, 1, 10)),
        "CR 100, best of 1: seed 0",
        *(f"limit {limit}, best seed: 1" for limit in (".1", ".01")),
    ]
    for name in ("low_reg", "high_reg", "cr_100", "limit .1", "limit .01"):
        made = {spec: r for spec, r in made.items() if spec not in models[name]}
    assert controls.smooth_weights(load_controls(2)) is None


@pytest.mark.parametrize(
    ("experiment", "values", "scale"),
    [
        ("learning_rates", [0.0001, 0.0003, 0.001, 0.003, 0.01], "log"),
        ("batch_sizes", [32, 100, 300], "log"),
        ("dropouts", [0, 0.25, 0.5], "linear"),
    ],
)  # fmt: skip
def test_settings_are_those_of_the_runs_or_the_architecture(loaded, experiment, values, scale):
    made = loaded(scattered, seeds=1)
    table = controls.swept(made, experiment)
    assert sorted(table.value.unique()) == values
    assert table.value[table.model == "std"].tolist() == [
        values[-1 if scale == "linear" else len(values) // 2]
    ]
    (axes,) = controls.sweep_plot(made, experiment).axes
    assert axes.get_xscale() == scale
    assert axes.get_xticks().tolist() == values


def test_without_any_run_the_page_says_so_and_draws_nothing(loaded):
    made = loaded(lambda model, spec: None)
    assert controls.coverage(made).startswith("**0 of ")
    draws = (controls.gain_panels, controls.data_size_plot, controls.sweep_plot)
    for draw in (*draws, controls.smooth_weights):
        assert draw(made) is None
    assert controls.sources(made).empty
    assert controls.network_table(made, "readouts").empty
    assert len(controls.missing(made)) == 7
    assert set(controls.answers(made).answer) == {"not tried yet"}


def test_notes_leave_out_what_is_empty(loaded):
    whole = loaded(lambda model, spec: 0.97)
    titles = [part.data for part in controls.notes({"one": whole})]
    assert len(titles) == 1
    assert "<summary>Provenance, one</summary>" in titles[0]
    none = loaded(lambda model, spec: None)
    (lacking,) = controls.notes({"two": none})
    assert "<summary>Networks that lack runs, two</summary>" in lacking.data
