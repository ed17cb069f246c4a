"""The study of bfloat16: which runs it takes, and that its verdict can go either way."""

import json

import numpy as np
import pandas as pd
import pytest
from scripts import benchmark

from sfc_lib.runs.store import look_up


@pytest.fixture(scope="module")
def study():
    """The module benchmarks/precision.py."""
    return benchmark("precision")


def table(study, float32=(*3 * (0.90, 0.92, 0.94), 0.92), bfloat16=(0.91, 0.92, 0.99)):
    rows = [
        (experiment, model, precision, seed, score)
        for experiment in study.EXPERIMENTS
        for model in study.MODELS
        for precision, values in (("float32", float32), ("bfloat16", bfloat16))
        for seed, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=study.COLUMNS)


def test_runs_differ_in_precision_alone_and_float32_is_published(study):
    runs = study.study("tensorflow")
    one, two = (runs[name].specs for name in ("float32", "bfloat16"))
    assert len(one) == 3 * 3 * 10
    assert len(two) == 3 * 3 * 3
    plain = [spec.to_dict() | {"precision": "mixed_bfloat16"} for spec in one if spec.seed < 3]
    assert plain == [spec.to_dict() for spec in two]
    assert all(look_up(spec) for spec in one)
    assert len(study.scores({"float32": runs["float32"]})) == 90


def test_noise_alone_seldom_fails_a_study_and_a_loss_of_five_deviations_mostly_does(study):
    rng = np.random.default_rng(0)
    plain, half = rng.normal(size=(2000, 10)), rng.normal(size=(2000, 3))
    most = np.array([study.noise(row) for row in plain])
    failed = [abs(np.median(half - loss, 1) - np.median(plain, 1)) > most for loss in (0, 5)]
    assert failed[0].mean() <= study.RISK
    assert failed[1].mean() >= 0.8


def test_medians_within_the_noise_pass_and_others_do_not(study):
    judged = study.judge(table(study))
    assert judged["passes"].tolist() == [True] * 9
    assert study.verdict(judged["passes"]).startswith("bfloat16 is allowed")
    for off in ((0.80, 0.87, 0.99), (0.91, 0.97, 0.99)):
        judged = study.judge(table(study, bfloat16=off))
        assert judged["passes"].tolist() == [False] * 9
    mixed = table(study)
    bad = (mixed["model"] == "symm") & (mixed["precision"] == "bfloat16")
    mixed.loc[bad & (mixed["experiment"] == "ctcf"), "auroc"] = 0.5
    assert study.verdict(study.judge(mixed)["passes"]).startswith("bfloat16 stays off")


def test_missing_runs_decide_nothing_and_diverged_ones_fail(study):
    fewer = study.judge(table(study, bfloat16=(0.91, 0.92)))
    assert fewer["passes"].isna().all()
    assert study.judge(table(study, float32=(0.90, 0.92, 0.94)))["passes"].isna().all()
    assert study.verdict(fewer["passes"]).startswith("Not all runs")
    assert study.verdict([True]).startswith("Not all runs")
    diverged = study.judge(table(study, bfloat16=(0.91, 0.92, float("nan"))))
    assert diverged["passes"].tolist() == [False] * 9


def test_all_pairs_are_told_together(study):
    behind = table(study, bfloat16=(0.89, 0.91, 0.93))
    assert study.together(behind).endswith(
        "27 pairs of runs of the same network and seed bfloat16 differs by −.0100 [−.0100, −.0100]."
    )


def test_the_table_of_the_page_says_what_was_judged(study):
    judged = study.judge(table(study, bfloat16=(0.80, 0.87, 0.99)))
    text = study.as_markdown(judged, study.verdict(judged["passes"]))
    assert "bfloat16 stays off" in text
    row = "| ctcf, sep | 0.9200 (10 seeds) | 0.8700 (3 seeds) | −0.0500 | ±"
    assert text.count("| no |") == 9
    assert row in text


def test_the_page_has_the_table_of_the_last_study(study):
    content = json.loads(study.RESULTS.read_text())
    text = study.as_markdown(pd.DataFrame(content["rows"]), content["verdict"])
    assert text in study.PAGE.read_text()
