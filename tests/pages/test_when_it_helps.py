"""The rule follows from the records: what is ahead, what is behind, and what nobody knows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up import record

from sfc_lib.files import checkout
from sfc_lib.pages import when_it_helps
from sfc_lib.pages.controls import load_controls
from sfc_lib.pages.results import Results
from sfc_lib.pages.statistics import shift
from sfc_lib.pages.when_it_helps import Evidence, advice, choice_table, compared, rule
from sfc_lib.runs.sizes import load_size

WORDS = ("take it:", "try both:", "leave it:", "as you like:")


def results(tmp_path, scores, names=("simulated_tf", "hematopoiesis"), seeds=7):
    """Made-up runs of experiments of `standard`; `scores(experiment, model)` is the mean auROC."""
    size = load_size("standard", seeds)
    size = dataclasses.replace(size, experiments={name: size.experiments[name] for name in names})
    records = []
    for name, experiment in size.experiments.items():
        for model, specs in experiment.models.items():
            for spec in specs:
                noise = np.random.default_rng((spec.seed, *model.encode())).normal()
                records.append(record(tmp_path, spec, scores(name, model) + 0.0005 * noise))
    return Results(size, records)


def untrained():
    """The controls on both data, of which no run has a record."""
    return [load_controls(1, False, size) for size in ("controls", "controls_ctcf")]


def evidence(*arguments, **options):
    return Evidence(compared(results(*arguments, **options)), *untrained())


def by_model(name, model):
    """sep is ahead, symm behind sep on one of two data sets, and no penalty matters."""
    if name == "hematopoiesis":
        return {"std": 0.70, "sep": 0.72}.get(model, 0.69)
    return {"std": 0.95}.get(model, 0.97)


def test_the_rule_names_the_data_sets_it_rests_on(tmp_path):
    text = rule(evidence(tmp_path, by_model))
    layer, symmetry, curvature, units, simpler = text.splitlines()
    assert layer == (
        "- **The layer**: take it in place of flattening: ahead on Simulated TF binding, generated "
        "· Hematopoiesis (stand-in)."
    )
    assert symmetry == (
        "- **Symmetry**: leave it out: behind on Hematopoiesis (stand-in); no difference that "
        "matters on Simulated TF binding, generated."
    )
    assert "for smoother weights, not for the score: no difference that matters on" in curvature
    assert curvature.count("Hematopoiesis") == 3
    assert "match_units" in units
    assert "not tried yet" in units
    assert "not known of linear bottleneck · Dense, fewer channels · " in simpler


def test_fewer_sequences_have_a_say_where_the_seeds_decide(monkeypatch):
    sure, few = (shift(np.full(seeds, -0.1), np.zeros(seeds)) for seeds in (6, 3))
    rows = [
        (400, "sep 400", "std 400", sure),
        (400, "symm 400", "std 400", sure),
        (400, "symm 400", "sep 400", sure),
        (800, "sep 800", "std 800", few),
    ]
    table = pd.DataFrame(rows, columns=["sequences", "model", "against", "found"])
    monkeypatch.setattr(when_it_helps, "fewer_sequences", lambda controls: table)
    found = when_it_helps.on_fewer_sequences(None)
    assert found.choice.tolist() == ["layer", "symmetry"]
    assert found.data.tolist() == ["Simulated TF binding, 400 sequences"] * 2
    assert found.answer.tolist() == [when_it_helps.BEHIND] * 2
    layer = rule(Evidence(found, *untrained())).splitlines()[0]
    assert layer == (
        "- **The layer**: take it only after a comparison on your data: behind on Simulated TF "
        "binding, 400 sequences."
    )


def test_numbers_are_those_of_the_records(tmp_path):
    found = results(tmp_path, by_model)
    shown = choice_table(Evidence(compared(found), None, None), "layer").set_index("data")
    runs = found.runs[found.runs.experiment == "hematopoiesis"]
    scores = {m: runs[runs.model == m].sort_values("seed").auroc.to_numpy() for m in ("sep", "std")}
    between = scores["sep"] - scores["std"]
    averages = [(a + b) / 2 for i, a in enumerate(between) for b in between[i:]]
    row = shown.loc["Hematopoiesis (stand-in)"]
    assert row["difference [95 % interval]"].startswith(
        f"{np.median(averages):+.4f}".replace("0.", ".")
    )
    assert (row.seeds, row.answer, row.compared) == (7, "yes", "sep − std")


def test_networks_at_unlike_learning_rates_are_not_compared(tmp_path):
    """Else std, which the paper trains slower there, would be behind for that."""
    scores = {"std": 0.55, "sep_slow": 0.55, "symm_slow": 0.55}
    found = compared(
        results(tmp_path, lambda _, model: scores.get(model, 0.59), ["simulated_accessibility"])
    )
    layer = found[found.choice == "layer"]
    assert list(zip(layer.model, layer.against, strict=True)) == [
        ("sep", "std_fast"),
        ("sep_slow", "std"),
    ]
    assert set(layer.answer) == {"no difference that matters"}


def test_few_seeds_tell_nothing(tmp_path):
    told = evidence(tmp_path, by_model, seeds=3)
    assert set(told.comparisons.answer) == {"too few seeds"}
    assert rule(told).count("no run tells yet: not known in ") == 3


def test_what_did_not_help_is_listed_with_its_numbers(tmp_path):
    told = evidence(tmp_path, by_model)
    lines = when_it_helps.where_it_does_not_help(told).splitlines()
    assert len(lines) == (told.comparisons.answer != "yes").sum() == 5
    assert any("*symm* against *sep*, −.0" in line and "behind" in line for line in lines)
    won = told.comparisons[told.comparisons.answer == "yes"]
    nothing = dataclasses.replace(told, comparisons=won)
    assert when_it_helps.where_it_does_not_help(nothing) == "Nowhere, of what was tried."


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"yes": ["a"]}, "take it: ahead on a."),
        ({"yes": ["a"], "no, it is behind": ["b", "c"]}, "try both: ahead on a; behind on b · c."),
        ({"no, it is behind": ["b"]}, "leave it: behind on b."),
        ({"no, a little behind": ["b"]}, "as you like: no difference that matters on b."),
        ({"yes, but too little to matter": ["b"]}, "as you like: no difference that matters on b."),
        ({"the seeds do not tell": ["b"]}, "no run tells yet: not known in 1 of the comparisons "
         "below."),
        ({}, "no run tells yet: nothing was tried."),
    ],
)  # fmt: skip
def test_advice_follows_from_the_answers(answers, words):
    assert advice(answers, WORDS) == words


def test_simpler_layers_are_grouped_by_what_their_seeds_tell(monkeypatch):
    layers = [layer for _, part in when_it_helps.SIMPLER.values() for layer in part]
    answers = dict.fromkeys(layers, "no difference that matters")
    answers |= {"attention": "yes", "max_pooling": "the seeds do not tell"}
    answers |= {"bottleneck": "no, it is behind"}
    monkeypatch.setattr(when_it_helps, "ahead", lambda runs, model, other: answers[other])
    monkeypatch.setattr(when_it_helps, "answer", lambda found: found)
    text = when_it_helps.simpler(Evidence(None, *untrained()))
    assert (
        "no difference that matters from linear bottleneck · Dense, fewer channels · Dense, fewer "
        "neurons · average pooling, not known of max pooling, *sep* is ahead of attention pooling; "
        "on CTCF ChIP-seq, whose peaks are at the centre, no difference that matters from Dense, "
        "fewer channels · average pooling, not known of max pooling, "
    ) in text


def test_page_types_no_number():
    notebook = (checkout() / "notebooks" / "when_it_helps.ipynb").read_text()
    assert not [word for word in notebook.split() if word.strip("(),:").startswith(".")]
