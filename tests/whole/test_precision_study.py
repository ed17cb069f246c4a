"""The study of bfloat16: which runs it takes, and that its verdict can go either way."""

import pandas as pd
import pytest
from scripts import benchmark

from sfc_lib.runs.store import look_up


@pytest.fixture(scope="module")
def study():
    """The module benchmarks/precision.py."""
    return benchmark("precision")


def table(study, float32=(0.90, 0.92, 0.94), bfloat16=(0.91, 0.92, 0.99)):
    rows = [
        (experiment, model, precision, seed, score, 2.0 if precision == "float32" else 1.0)
        for experiment in study.EXPERIMENTS
        for model in study.MODELS
        for precision, values in (("float32", float32), ("bfloat16", bfloat16))
        for seed, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=study.COLUMNS)


def test_runs_differ_in_precision_alone_and_float32_is_published(study):
    runs = study.study("tensorflow")
    one, two = (runs[name].specs for name in ("float32", "bfloat16"))
    assert len(one) == len(two) == 3 * 3 * 3
    for plain, half in zip(one, two, strict=True):
        assert plain.to_dict() | {"precision": "mixed_bfloat16"} == half.to_dict()
    assert all(look_up(spec) for spec in one)
    assert len(study.scores({"float32": runs["float32"]})) == 27


def test_median_among_float32s_seeds_passes_and_another_does_not(study):
    judged = study.judge(table(study))
    assert judged["passes"].tolist() == [True] * 9
    assert judged["gain"].tolist() == [2.0] * 9
    assert study.verdict(judged["passes"]).startswith("bfloat16 is allowed")
    for off in ((0.80, 0.89, 0.99), (0.91, 0.95, 0.99)):
        judged = study.judge(table(study, bfloat16=off))
        assert judged["passes"].tolist() == [False] * 9
    mixed = table(study)
    bad = (mixed["model"] == "symm") & (mixed["precision"] == "bfloat16")
    mixed.loc[bad & (mixed["experiment"] == "ctcf"), "auroc"] = 0.5
    assert study.verdict(study.judge(mixed)["passes"]).startswith("bfloat16 stays off")


def test_missing_runs_decide_nothing_and_diverged_ones_fail(study):
    fewer = study.judge(table(study, bfloat16=(0.91, 0.92)))
    assert fewer["passes"].isna().all()
    assert study.verdict(fewer["passes"]).startswith("Not all runs")
    assert study.verdict([True]).startswith("Not all runs")
    diverged = study.judge(table(study, bfloat16=(0.91, 0.92, float("nan"))))
    assert diverged["passes"].tolist() == [False] * 9
