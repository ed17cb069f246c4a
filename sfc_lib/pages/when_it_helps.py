"""When does it help? A rule for units, symmetry and curvature, from the records at hand.

Nothing is trained, and nothing is said that no record says: a comparison with too few seeds is
named as such. Comparisons and their answers are those of `sfc_lib.pages.controls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sfc_lib.pages.claims import load_claims
from sfc_lib.pages.controls import (
    Controls,
    ahead,
    answer,
    fewer_sequences,
    interval,
    label,
    load_controls,
)
from sfc_lib.pages.results import Results, by_experiment, load_results, with_evidence
from sfc_lib.pages.statistics import MIN_SEEDS

# What is asked of each data set: the network asked about, and the one it is held against. Where
# the paper gives the two unlike learning rates, those at the same rate are compared instead.
CHOICES = {
    "layer": (("sep", "std"), ("sep", "std_fast"), ("sep_slow", "std")),
    "symmetry": (("symm", "sep"),),
    "curvature": (("low_reg", "symm"), ("high_reg", "symm"), ("cr_100", "symm")),
}
SEPARATION = next(c.comparisons for c in load_claims().claims if c.id == "separation")
SIMPLER = {  # by experiment of controls: where that is, and the layers that sep is held against
    experiment: (where, tuple(c.models[1] for c in SEPARATION if experiment in c.data))
    for experiment, where in {
        "readouts": "on simulated TF binding, whose labels do not depend on positions",
        "readouts_ctcf": "on CTCF ChIP-seq, whose peaks are at the centre",
    }.items()
}
COLUMNS = ["choice", "data", "model", "against", "found", "answer"]
AHEAD, BEHIND = "yes", "no, it is behind"
NOBODY = "not known of"
SAME = ("no difference that matters", "yes, but too little to matter", "no, a little behind")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the page rests on: `comparisons` as rows, and the controls on each of `SIMPLER`."""

    comparisons: pd.DataFrame
    controls: Controls
    on_ctcf: Controls


def load_evidence(size: str = "standard", seeds: int = 0, published: bool = True) -> Evidence:
    """Every choice on every data set that has runs of both networks; nothing is trained.

    Args:
        size: Of the replication, with the sizes that are evidence for it.
        seeds: Number of seeds, from 0 up; 0 for as many as the size has.
        published: Whether to read the published records too.

    Raises:
        UserError: A bad size or number of seeds, or runs of the size are missing.
    """
    results = with_evidence(load_results(size, seeds, published, jobs=0), published)
    sizes = ("controls", "controls_ctcf")
    controls, on_ctcf = (load_controls(seeds, published, size) for size in sizes)
    both = pd.concat([compared(results), on_fewer_sequences(controls)], ignore_index=True)
    return Evidence(both, controls, on_ctcf)


def compared(results: Results) -> pd.DataFrame:
    """One row a data set and comparison: choice, data, model, against, numbers and the answer.

    Networks that were trained at unlike learning rates are not compared: that would tell of both.
    Controls are left out: their data are those of simulated TF binding. `on_fewer_sequences` has
    some of them.
    """
    rows = []
    for runs in by_experiment(results.runs):
        name = runs.experiment.iat[0]
        if results.size.experiments[name].control:
            continue
        rates = runs.groupby("model").learning_rate.first().to_dict()
        for choice, pairs in CHOICES.items():
            for model, against in pairs:
                if rates.get(model, 0) == rates.get(against):
                    found = ahead(runs, model, against)
                    what = {"choice": choice, "data": runs.title.iat[0]}
                    named = {"model": model, "against": against}
                    rows.append({**what, **named, "found": found, "answer": answer(found)})
    return pd.DataFrame(rows, columns=COLUMNS)


def on_fewer_sequences(controls: Controls) -> pd.DataFrame:
    """As `compared`, of networks trained on fewer sequences, where the seeds can decide."""
    rows = []
    for row in fewer_sequences(controls).itertuples():
        pair = row.model.split()[0], row.against.split()[0]
        choice = next((name for name, pairs in CHOICES.items() if pair in pairs), "")
        if choice and row.found.seeds >= MIN_SEEDS:
            what = {"choice": choice, "data": f"Simulated TF binding, {row.sequences:,} sequences"}
            named = {"model": row.model, "against": row.against}
            rows.append({**what, **named, "found": row.found, "answer": answer(row.found)})
    return pd.DataFrame(rows, columns=COLUMNS)


def choice_table(evidence: Evidence, choice: str) -> pd.DataFrame:
    """The comparisons of a choice as text."""
    known = evidence.comparisons[evidence.comparisons.choice == choice]
    return pd.DataFrame(
        {
            "data": known.data,
            "compared": [f"{m} − {a}" for m, a in zip(known.model, known.against, strict=True)],
            "difference [95 % interval]": known.found.map(interval),
            "seeds": known.found.map(lambda found: found.seeds),
            "answer": known.answer,
        }
    ).reset_index(drop=True)


def rule(evidence: Evidence) -> str:
    """Markdown: a line of advice for each choice, and the data sets it rests on."""
    lines = [
        f"**The layer**: take it {advice(_of(evidence, 'layer'), WORDS['layer'])}",
        f"**Symmetry**: {advice(_of(evidence, 'symmetry'), WORDS['symmetry'])}",
        f"**Curvature**: {advice(_of(evidence, 'curvature'), WORDS['curvature'])}",
        f"**Units**: {units(evidence.controls)}",
        f"**A simpler layer in its place**: {simpler(evidence)}",
    ]
    return "\n".join(f"- {line}" for line in lines)


WORDS: Mapping[str, Sequence[str]] = {  # ahead somewhere, both, behind somewhere, neither
    "layer": (
        "in place of flattening:",
        "and compare it with flattening on your data:",
        "only after a comparison on your data:",
        "for its fewer weights or its readable positions, not for its score:",
    ),
    "symmetry": (
        "take it, and compare on your data:",
        "try both:",
        "leave it out:",
        "a free choice; it has fewer weights:",
    ),
    "curvature": (
        "take the strength that is ahead below:",
        "try several strengths:",
        "leave it out for the score; it only smooths what you see:",
        "for smoother weights, not for the score:",
    ),
}


def advice(answers: Mapping[str, Sequence[str]], words: Sequence[str]) -> str:
    """One of four sentences, by where a network is ahead and where behind, with those places.

    Args:
        answers: Data sets by what was answered for them.
        words: What to do if it is ahead somewhere and behind nowhere; both; behind somewhere and
            ahead nowhere; neither. Where nothing is known, that is said instead.

    Example:

    >>> advice({"yes": ["CTCF"], "too few seeds": ["MAX"]}, ["take it:", "", "", ""])
    'take it: ahead on CTCF; not known in 1 of the comparisons below.'
    """
    parts = {
        "ahead": answers.get(AHEAD, []),
        "behind": answers.get(BEHIND, []),
        "no difference that matters": [place for same in SAME for place in answers.get(same, [])],
    }
    unknown = sum(map(len, answers.values())) - sum(map(len, parts.values()))
    which = {(True, False): 0, (True, True): 1, (False, True): 2, (False, False): 3}
    chosen = words[which[bool(parts["ahead"]), bool(parts["behind"])]]
    if not any(parts.values()):
        chosen = "no run tells yet:"
    told = [f"{name} on {' · '.join(places)}" for name, places in parts.items() if places]
    told += [f"not known in {unknown} of the comparisons below"] if unknown else []
    return f"{chosen} {'; '.join(told) or 'nothing was tried'}."


def units(controls: Controls) -> str:
    """Advice on the number of units, with what the controls say of fewer parameters and of rank."""
    known = {
        "as many neurons with whole kernels": ahead(controls.runs, "sep", "full_kernel"),
        "a bottleneck of the same parameters": ahead(controls.runs, "sep", "bottleneck"),
        "std with symm's parameters": ahead(controls.runs, "sep", "fewer_units"),
    }
    told = [
        f"{name} {interval(found) if found.seeds else answer(found)}"
        for name, found in known.items()
    ]
    return (
        "`match_units(length, channels, outputs)` keeps the parameters of what the layer replaces; "
        f"of other numbers no run tells. *sep* against {'; against '.join(told)}."
    )


def simpler(evidence: Evidence) -> str:
    """Which layers of no more parameters do as well, on the data of each experiment of controls."""
    both = zip(SIMPLER.values(), (evidence.controls, evidence.on_ctcf), strict=True)
    told = [f"{where}, {_as_well(controls, layers)}" for (where, layers), controls in both]
    return f"{'; '.join(told)}."


def _as_well(controls: Controls, layers: Sequence[str]) -> str:
    answers = {layer: answer(ahead(controls.runs, "sep", layer)) for layer in layers}
    groups: dict[str, list[str]] = {}
    for layer, found in answers.items():
        equal = found in (*SAME, BEHIND)
        said = (
            "no difference that matters from"
            if equal
            else "*sep* is ahead of"
            if found == AHEAD
            else NOBODY
        )
        groups.setdefault(said, []).append(label(layer))
    return ", ".join(f"{said} {' · '.join(layers)}" for said, layers in groups.items())


def where_it_does_not_help(evidence: Evidence) -> str:
    """Markdown: each comparison in which a choice is not ahead, one line each."""
    known = evidence.comparisons
    lines = [
        f"{row.data}: *{row.model}* against *{row.against}*, {interval(row.found)}: {row.answer}."
        for row in known[known.answer != AHEAD].itertuples()
    ]
    return "\n".join(f"- {line}" for line in lines) or "Nowhere, of what was tried."


def _of(evidence: Evidence, choice: str) -> dict[str, list[str]]:
    known = evidence.comparisons[evidence.comparisons.choice == choice]
    several = known.data.duplicated().any()
    names = [
        f"{row.data} (*{row.model}* − *{row.against}*)" if several else row.data
        for row in known.itertuples()
    ]
    answers: dict[str, list[str]] = {}
    for name, found in zip(names, known.answer, strict=True):
        answers.setdefault(found, []).append(name)
    return answers
