"""What can be wrong with labelled sequences, looked at before a network is trained on them.

Each check ends in a traffic light and in what to do about it. Where the GC content alone, or
the place of a window, tells positives from negatives, a network will learn that and no motif.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from sfc_lib.datasets.base import SPLITS, Dataset, is_known
from sfc_lib.genomics.dna import reverse_complement
from sfc_lib.genomics.kmers import canonical_kmers, distinct_kmers
from sfc_lib.own.baseline import Baseline, fit_baseline
from sfc_lib.own.dataset import CONFLICT, distinct
from sfc_lib.own.negatives import gc_content
from sfc_lib.own.splitting import alike
from sfc_lib.runs.evaluation import kind_of, metrics, pearson
from sfc_lib.runs.starts import enriched_kmers

GREEN, AMBER, RED = "green", "amber", "red"
MOST = 20_000  # sequences of a split that are looked at
BINS = 5  # of the distance from the window's middle
PEAKED = 1.3  # times as many enriched k-mers in the middle fifth as far from it: the centre counts
KMERS = 20  # enriched ones whose places are looked at


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, its light, what was found, and what to do, if anything."""

    title: str
    light: str
    found: str
    advice: str = ""


def audit(dataset: Dataset, baseline: Baseline | None = None) -> list[Check]:
    """All checks of a dataset, in the order of the report.

    Args:
        dataset: Its first task is looked at where a check is about labels alone. What is only
            asked of positives and negatives is left out where labels are measurements.
        baseline: The regression, if it is fitted already.

    Example:

    >>> [check.light for check in audit(load_dataset("custom", **files))]  # doctest: +SKIP
    ['green', 'green', 'amber', …]
    """
    parts = {name: getattr(dataset, name).some(MOST) for name in SPLITS}
    codes = np.concatenate([part.codes for part in parts.values()])
    labels = np.concatenate([part.labels[:, 0] for part in parts.values()])
    splits = np.repeat(list(parts), [len(part) for part in parts.values()])
    known, train = is_known(labels), parts["train"]
    learned = is_known(train.labels[:, 0])
    of_any = [
        check_kmers(dataset, baseline or fit_baseline(dataset)),
        check_duplicates(codes, splits, "test" if "test" in dataset.options else None),
        check_conflicts(dataset),
        check_unknown(codes),
    ]
    if dataset.continuous:
        return [check_values(dataset), check_gc_of_values(codes[known], labels[known]), *of_any]
    return [
        check_classes(dataset),
        check_gc(codes[known], labels[known]),
        *of_any,
        check_complexity(codes[known], labels[known]),
        check_centre(train.codes[learned], train.labels[learned, 0]),
    ]


def summary(checks: Sequence[Check]) -> str:
    """How many lights of each colour, in words.

    Example:

    >>> summary([Check("a", GREEN, ""), Check("b", RED, ""), Check("c", GREEN, "")])
    '2 green, 1 red'
    """
    lights = [check.light for check in checks]
    counts = [(lights.count(light), light) for light in (GREEN, AMBER, RED)]
    return ", ".join(f"{number} {light}" for number, light in counts if number)


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """The checks as lines of text."""
    for check in checks:
        yield f"{check.light:<6} {check.title}: {check.found}"
        if check.advice:
            yield f"{'':<6} {check.advice}"


def _light(value: float, amber: float, red: float) -> str:
    """Green up to `amber`, red above `red`."""
    return RED if value > red else AMBER if value > amber else GREEN


def check_classes(dataset: Dataset) -> Check:
    """Enough examples of both classes, in the test set above all, and not too unequal."""
    splits = [getattr(dataset, name) for name in SPLITS]
    total = sum(map(len, splits))
    positives, known = (
        np.sum([getattr(split, what) for split in splits], axis=0)
        for what in ("positives", "known")
    )
    tests = zip(dataset.test.positives, dataset.test.known, strict=True)
    fewest = min(min(number, of - number) for number, of in tests)
    shares = positives / known
    share = float(min(shares.min(), (1 - shares).min()))
    found = (
        f"{total:,} sequences; the rarer class of a task is {share:.1%} of them, and has "
        f"{fewest:,} examples in the test set"
    )
    light = max(_light(-fewest, -50, -15), _light(-share, -0.1, -0.01), key=_order)
    advice = "Scores of so few mean little: give more examples, or a larger --test-fraction."
    if share < 0.1 and fewest >= 50:
        advice = "Judge by the auPRC, not by the auROC."
    return Check("class balance", light, found, advice if light != GREEN else "")


def _order(light: str) -> int:
    return (GREEN, AMBER, RED).index(light)


def check_gc(codes: np.ndarray, labels: np.ndarray) -> Check:
    """Whether the GC content alone tells positives from negatives."""
    gc, positive = gc_content(codes), labels == 1
    score = float(roc_auc_score(positive, gc))
    score = max(score, 1 - score)
    found = (
        f"mean {gc[positive].mean():.1%} in positives, {gc[labels == 0].mean():.1%} in negatives; "
        f"GC content alone has an auROC of {score:.2f}. All sequences have {codes.shape[1]:,} bp"
    )
    light = _light(score, 0.6, 0.7)
    advice = (
        "A network will learn GC content. Choose negatives of the same GC content, as sfc train "
        "does beside a genome when no negatives are given."
    )
    return Check("GC content and length", light, found, advice if light != GREEN else "")


def check_values(dataset: Dataset) -> Check:
    """Enough measurements, in the test set above all, and none that outweighs the others."""
    fewest, most, two = min(dataset.test.known), 0.0, False
    for labels in np.concatenate([getattr(dataset, name).labels for name in SPLITS]).T:
        values = labels[is_known(labels)].astype(float)
        squares = np.sort(np.square(values - values.mean()))
        most = max(most, float(squares[-max(1, len(squares) // 100) :].sum() / squares.sum()))
        two = two or len(np.unique(values)) == 2
    found = (
        f"{fewest:,} values or more of a task in the test set; the 1 % farthest from a task's mean "
        f"hold {most:.0%} of its variance (of a normal distribution 8 %)"
    )
    light = max(_light(-fewest, -100, -30), _light(most, 0.3, 0.7), key=_order)
    advice = "Scores of so few mean little: give more sequences, or a larger --test-fraction."
    if most > 0.3:
        advice = "A few values rule the squared error: take logarithms, or leave them out."
    if two:
        light = max(light, AMBER, key=_order)
        advice = "A task has two values only: classes are 0 and 1, without --continuous."
    return Check("values", light, found, advice if light != GREEN else "")


def check_gc_of_values(codes: np.ndarray, labels: np.ndarray) -> Check:
    """How far the GC content alone tells the measurement."""
    score = pearson(labels, gc_content(codes))
    found = (
        f"Pearson r of GC content and value {score:+.2f}. All sequences have {codes.shape[1]:,} bp"
    )
    light = _light(abs(score), 0.3, 0.6)
    advice = "A network will learn GC content: hold its r against this one."
    return Check("GC content and length", light, found, advice if light != GREEN else "")


def check_kmers(dataset: Dataset, baseline: Baseline) -> Check:
    """How far a regression on 6-mers comes: too far, and the negatives are too easy."""
    truth, guess = dataset.test.labels, baseline.probabilities["test"]
    kind = kind_of(truth)
    score = metrics(truth, guess, dataset.task_names)[kind.best]
    found = (
        f"a regression on 6-mer counts has {'a' if kind.continuous else 'an'} "
        f"{kind.titles[kind.best]} of {score:.2f} on the test set"
    )
    if kind.continuous:
        light = AMBER if score < 0.1 else GREEN
        advice = "Nothing short tells the values. Do sequences and labels belong together?"
        return Check("k-mers", light, found, advice if light != GREEN else "")
    if score > 0.97:
        advice = (
            "Positives and negatives differ in their composition. Shuffled negatives are as easy: "
            "compare with other places of the genome, of the same GC content."
        )
        return Check("k-mers", AMBER, found, advice)
    if score < 0.55:
        advice = "Nothing short tells the classes apart. Are the windows where the signal is?"
        return Check("k-mers", AMBER, found, advice)
    return Check("k-mers", GREEN, found)


def check_duplicates(codes: np.ndarray, splits: np.ndarray, file: str | None = None) -> Check:
    """Near-duplicates of test or validation sequences among those that train.

    Of a split with a `file` of its own, among all others, which chose the network.
    """
    groups = alike(codes)
    held_out = splits == file if file else splits != "train"
    trains = np.isin(groups, groups[~held_out] if file else groups[splits == "train"])
    share = float(trains[held_out].mean())
    several = float((np.bincount(groups)[groups] > 1).mean())
    where = "held out do with one that trains"
    if file:
        where = f"in the {file} file do with one that trains or validates"
    found = (
        f"{several:.1%} of the sequences share a quarter of their 16-mers with another; "
        f"{share:.1%} of those {where}"
    )
    advice = (
        "Held-out scores are too good by what was seen before: repeats of the genome, or copies "
        "under other names. Remove them, or hold out chromosomes."
    )
    light = _light(share, 0.02, 0.1)
    return Check("near-duplicates across splits", light, found, advice if light != GREEN else "")


def check_conflicts(dataset: Dataset) -> Check:
    """Sequences that came again, and those that came with different labels."""
    differ = sum(n for why, n in dataset.dropped.items() if why.endswith("with other labels"))
    again = sum(n for why, n in dataset.dropped.items() if "sequence again" in why)
    total = differ + again + sum(len(getattr(dataset, name)) for name in SPLITS)
    found = f"{again:,} repeats were left out, and {differ:,} sequences with different labels"
    if dataset.continuous:
        found = f"{again:,} repeats: equal sequences are kept once, with the mean of their values"
    else:
        turned = _turned_conflicts(dataset)
        found += f"; {turned:,} have their reverse complement here, with another label"
        differ += turned
    advice = "Are the tables of labels, or the positives and negatives, mixed up?"
    light = _light(differ / total, 0.001, 0.05)
    return Check("repeated sequences", light, found, advice if light != GREEN else "")


def _turned_conflicts(dataset: Dataset) -> int:
    """How many sequences differ in a label from their reverse complement."""
    splits = [getattr(dataset, name) for name in SPLITS]
    codes = np.concatenate([np.asarray(split.codes) for split in splits])
    turned = reverse_complement(codes)
    other = [one.tobytes() > two.tobytes() for one, two in zip(codes, turned, strict=True)]
    lower = np.where(np.array(other)[:, None], turned, codes)  # one of both strands
    _, _, counts = distinct(lower, np.concatenate([split.labels for split in splits]))
    return counts.get(CONFLICT, 0)


def check_unknown(codes: np.ndarray) -> Check:
    """How many bases are not known."""
    share, most = float((codes > 3).mean()), float(((codes > 3).mean(axis=1) > 0.5).mean())
    found = f"{share:.2%} of the bases are N; {most:.2%} of the sequences are so by more than half"
    advice = "Is the genome hard-masked? Use the soft-masked or plain one."
    light = max(_light(share, 0.01, 0.1), _light(most, 0.0, 0.02), key=_order)
    return Check("unknown bases", light, found, advice if light != GREEN else "")


def check_complexity(codes: np.ndarray, labels: np.ndarray) -> Check:
    """Sequences of few different 3-mers, as in tandem repeats, in one class more than in the other.

    Of low complexity are those with half of the 3-mers, or fewer, that a random sequence of
    their length has.
    """
    kmers = distinct_kmers(codes, 3)
    possible = 32 * (1 - (31 / 32) ** kmers.shape[1])
    low = (kmers >= 0).sum(axis=1) < possible / 2
    shares = [float(low[labels == label].mean()) for label in (1, 0)]
    found = (
        f"{shares[0]:.1%} of the positives and {shares[1]:.1%} of the negatives are simple repeats"
    )
    advice = "A network will learn the repeats. Leave them out, or match the negatives."
    light = _light(abs(shares[0] - shares[1]), 0.02, 0.1)
    return Check("low complexity", light, found, advice if light != GREEN else "")


def centre_profile(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Enriched k-mers by their distance from the window's middle.

    The k-mers are found in every other sequence, and counted in the rest.

    Returns:
        How many there are a position of a positive, in bins from the middle to the ends, over
        the same of negatives, float64 (BINS,); and the standard error of the logarithm of the
        ratio of the first to the mean of the last three.
    """
    half = np.arange(len(codes)) % 2 == 0
    best = canonical_kmers(enriched_kmers(codes[half], labels[half] == 1, KMERS, 6), 6)[:, 0]
    found = np.isin(canonical_kmers(codes[~half], 6), best)
    distance = np.abs(np.arange(found.shape[1]) - (found.shape[1] - 1) / 2)
    bins = np.minimum((distance / (found.shape[1] / 2) * BINS).astype(int), BINS - 1)
    of = [found[labels[~half] == label] for label in (1, 0)]
    hits = np.array([[part[:, bins == b].sum() for b in range(BINS)] for part in of])
    rates = np.array([[part[:, bins == b].mean() for b in range(BINS)] for part in of])
    far = hits[0, BINS - 3 :].sum()
    error = float(np.sqrt(1 / max(hits[0, 0], 1) + 1 / max(far, 1)))
    return rates[0] / np.maximum(rates[1].mean(), 1e-9), error


def check_centre(codes: np.ndarray, labels: np.ndarray) -> Check:
    """Whether what is enriched in positives lies near the middle of the windows."""
    title = "signal at the centre"
    if codes.shape[1] < 60 or min((labels == 1).sum(), (labels == 0).sum()) < 20:
        return Check(title, GREEN, "not looked at: sequences too short, or too few")
    profile, error = centre_profile(codes, labels)
    ratio = float(profile[0] / max(profile[-3:].mean(), 1e-9))
    found = "enriched 6-mers from the middle to the ends, over those of negatives: "
    found += ", ".join(f"{value:.2f}" for value in profile)
    if np.log(max(ratio, 1e-9)) - 2 * error > 0 and ratio > PEAKED:
        return Check(title, GREEN, found)
    advice = (
        "The profile is flat. For windows around summits it should be highest in the middle: are "
        "they in the right places (assembly, summits)? Sequences of other kinds need no centre."
    )
    return Check(title, AMBER, found, advice)
