"""What pages share: bars and dots, colours and names, tables and lines of text."""

import time

import numpy as np
import pandas as pd
from made_up import scored

from sfc_lib.pages import style
from sfc_lib.pages.results import (
    load_finished,
    load_results,
    part,
    provenance,
    together,
    with_evidence,
)
from sfc_lib.runs.sizes import load_size, size_names


def drawn(runs, **options):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    models = list(runs.model.unique())
    style.bars(
        axes, runs, "model", "auroc", models, {m: style.colour_of(m) for m in models}, **options
    )
    return axes


def dots_of(axes):
    return np.concatenate([c.get_offsets() for c in axes.collections if len(c.get_offsets())])


def test_bars_are_medians_lines_ranges_and_dots_runs(tmp_path):
    runs = scored(tmp_path, {"std": [0.5, 0.6, 0.9], "sep": [0.7]}).runs
    axes = drawn(runs, ranges=True)
    assert [bar.get_height() for bar in axes.patches] == [0.6, 0.7]
    assert tuple(axes.lines[0].get_ydata()) == (0.5, 0.9)
    dots = dots_of(axes)
    assert dots[:, 1].tolist() == [0.5, 0.6, 0.9, 0.7]
    assert (np.diff(dots[:3, 0]) > 0).all(), "a seed's place is the same in every bar"
    assert (np.abs(dots[:, 0] - [0, 0, 0, 1]) < 0.35).all()


def test_bars_of_a_model_without_values_stay_empty(tmp_path):
    runs = scored(tmp_path, {"std": [float("nan")] * 2, "sep": [0.7, 0.8]}).runs
    axes = drawn(runs, ranges=True)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["std", "sep"]
    heights = [bar.get_height() for bar in axes.patches if np.isfinite(bar.get_height())]
    assert [h for h in heights if h] == [0.75]


def test_axes_are_logarithmic_from_a_tenfold_difference_on(tmp_path):
    runs = scored(tmp_path, {"std": [0.05, 0.6]}).runs
    for values, scale in (
        (runs.auroc, "log"),
        (runs.auroc + 1, "linear"),
        (runs.auroc[:0], "linear"),
    ):
        axes = drawn(runs)
        style.from_zero(axes, values)
        assert axes.get_yscale() == scale


def test_headings_fold_the_data_and_tell_seeds_and_losses(tmp_path):
    title = "A long title of made-up data that does not fit"
    runs = scored(tmp_path, {"std": [0.9, float("nan")]}, title=title, width=0.5).runs
    lines = style.heading(runs, 30).splitlines()
    assert " ".join(lines) == f"{title} 2 seeds, diverged: 1, 0.5 of the filters"
    assert max(map(len, lines)) <= 30


def test_spread_is_median_and_range_or_a_dash():
    assert style.spread(pd.Series([1.0, 2.0, 4.0, np.nan])) == "2.000 (1.000 – 4.000)"
    assert style.spread(pd.Series([np.nan])) == "–"


def test_every_model_of_the_sizes_has_a_colour_and_a_name_of_its_own():
    sizes = [load_size(name) for name in size_names() if "controls" not in name]  # see its page
    models = {m for size in sizes for e in size.experiments.values() for m in e.models}
    assert models <= set(style.COLOURS)
    assert models <= set(style.NAMES)
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)
    assert style.name_of("another") == "another"


def test_data_that_were_learnt_longer_are_the_same_data():
    def names(size):
        items = load_size(size, 1).experiments.values()
        widths = [item.specs[0].width for item in items]
        shares = ["" if width == 1 else f", {width:g} of the filters" for width in widths]
        titles = [item.title + share for item, share in zip(items, shares, strict=True)]
        assert len({style.short_data(title) for title in titles}) == len(titles)
        return {style.same_data(title) for title in titles}

    assert names("converged") | names("pilots") < names("standard")
    title = "Hematopoiesis (stand-in), longer and wider, 0.25 of the filters"
    assert style.short_data(title) == "hematopoiesis, longer and wider"


def test_tables_fold_long_cells_escape_html_and_mark_verdicts():
    shown = style.show(pd.DataFrame({"a": ["x" * 300, "<b>"], "verdict": ["supported"] * 2})).data
    assert "<details><summary>" in shown
    assert "&lt;b&gt;" in shown
    assert '<span class="sfc-chip sfc-good">✓&nbsp;supported</span>' in shown
    assert style.show(pd.DataFrame()).data == ""


def test_size_and_time_of_published_runs_are_those_of_their_records(published):
    records = published.records
    line = style.time_line(published, time.perf_counter() - 5)
    minutes = sum(record.result["cpu_seconds"] for record in records) / 60
    assert f"The {len(records)} runs that this page draws took **{minutes:.0f} CPU" in line
    assert "computed in **5 seconds**" in line
    assert f"size **standard** ({published.size.about}): {len(records)} runs" in style.size_line(
        published
    )


def test_runs_that_stand_in_several_experiments_are_counted_once(published):
    judged = with_evidence(published)
    count = judged.runs.id.nunique()
    assert count < len(judged.runs)
    line = style.size_line(judged)
    assert f", *controls*, *controls_ctcf*: {count} runs, " in line
    told = provenance(judged).set_index("item")["value"]
    assert told["runs"].startswith(f"{count}, ")
    minutes = judged.runs.drop_duplicates("id").cpu_seconds.sum() / 60
    assert told["training, CPU minutes"] == f"{minutes:.0f}"


def test_time_of_a_page_is_not_told_where_runs_were_trained(tmp_path):
    assert "computed" not in style.time_line(scored(tmp_path, {"std": [0.9]}), time.perf_counter())


def test_pages_of_few_seeds_say_so():
    loaded = load_results("quick", seeds=1, jobs=0)
    assert "3 runs, 1 seed of each model" in style.size_line(loaded)


def test_pages_say_what_stands_in_place_of_a_sizes_own_experiment(published):
    both = part(together([published, load_finished("converged")]), ["ctcf", "max_converged"])
    few = both.size.experiments["max_converged"].seeds
    counts = f"{few} to 10" if few < 10 else "10"
    assert (
        f"{counts} seeds of each model. MAX ChIP-seq, GM12878, longer stands in place of its "
        "MAX ChIP-seq, GM12878."
    ) in style.size_line(both)
    assert style.size_line(published).endswith("10 seeds of each model.")
