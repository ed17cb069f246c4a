"""Pictures and tables of the simulated TF data: what was generated beside what the recipe says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import logomaker
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfc_lib.datasets import Dataset, simulated_tf
from sfc_lib.datasets.simulated_tf import (
    BACKGROUND,
    CLASSES,
    COUNTS_BOTH,
    COUNTS_SINGLE,
    LENGTH,
    MAX_COUNT,
    MOTIFS,
    Simulation,
)
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme
from sfc_lib.pages.style import STYLE, closed

WIDTH = 4.9  # inches: a phone shows it without shrinking the letters much
BASE_COLOURS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00"}
MOTIF_COLOURS = dict(zip(MOTIFS, ("#56b4e9", "#e69f00"), strict=True))
# Labels as the paper's text has them (section 2.3), in the order of CLASSES.
PAPER_LABELS = ("0, 0, 0", "0, 0, 1", "0, 1, 0", "1, 1, 1")


def drawn(examples: int, seed: int) -> Simulation:
    """A fresh draw by the recipe with all motif instances, a quarter of each class."""
    classes = np.arange(examples) % len(CLASSES)
    return simulated_tf.simulate(classes, np.random.default_rng(np.random.SeedSequence(seed)))


def pwms() -> dict[str, Motif]:
    """The two PWMs, by name."""
    return read_meme(RESOURCES / "simulated_tf.meme")


def recipe_table() -> pd.DataFrame:
    """The recipe of the generated sequences, step by step, from the constants in use."""
    single, both = (
        ", ".join(f"{number}: {share:.1%}" for number, share in enumerate(shares, 1))
        for shares in (COUNTS_SINGLE, COUNTS_BOTH)
    )
    bases = ", ".join(f"{b} {p:.0%}" for b, p in zip("ACGT", BACKGROUND, strict=True))
    widths = " and ".join(f"{name} ({motif.width} bp)" for name, motif in pwms().items())
    steps = {
        "length": f"{LENGTH} bp",
        "background": f"independent bases: {bases}",
        "classes": f"{', '.join(CLASSES)}; a quarter of the sequences each",
        "motifs": widths,
        "instances, one motif present": single,
        "instances of each, both present": both,
        "an instance": "drawn from its PWM position by position, forward strand",
        "its start": "uniform over all places where it overlaps no earlier instance",
    }
    return pd.DataFrame(list(steps.items()), columns=["step", "what is drawn"])


def labels_table() -> pd.DataFrame:
    """Labels of the four classes here, and as the paper's text has them."""
    ours = simulated_tf.simulate(np.arange(len(CLASSES)), np.random.default_rng(0)).labels
    names = ", ".join(simulated_tf.SimulatedTF.task_names)
    return pd.DataFrame(
        {
            "motifs in the sequence": CLASSES,
            f"labels here ({names})": [", ".join(map(str, row)) for row in ours],
            "labels in the paper's text": PAPER_LABELS,
        }
    )


def splits_table(dataset: Dataset) -> pd.DataFrame:
    """Sequences in each split, and how many are positive in each task."""
    splits = {"training": dataset.train, "validation": dataset.valid, "test": dataset.test}
    return pd.DataFrame(
        [
            (name, f"{len(split):,}", *(f"{count:,}" for count in split.positives))
            for name, split in splits.items()
        ],
        columns=["split", "sequences", *(f"{task} = 1" for task in dataset.task_names)],
    )


def logos(motifs: Mapping[str, Motif] | None = None) -> Figure:
    """Sequence logos (by default of the two PWMs): letters as high as their information, in bits.

    Information is measured against equal frequencies of the four bases.
    """
    motifs = motifs or pwms()
    with plt.rc_context(STYLE):
        height = 1.8 * len(motifs)
        figure, rows = plt.subplots(
            len(motifs), 1, figsize=(WIDTH, height), layout="constrained", squeeze=False
        )
        for axes, (name, motif) in zip(rows[:, 0], motifs.items(), strict=True):
            positions = pd.RangeIndex(1, motif.width + 1)
            probabilities = pd.DataFrame(motif.probabilities, positions, list("ACGT"))
            bits = logomaker.transform_matrix(
                probabilities, from_type="probability", to_type="information"
            )
            logomaker.Logo(bits, ax=axes, color_scheme=BASE_COLOURS, width=0.94)
            axes.set(ylim=(0, 2), ylabel="bits", yticks=[0, 1, 2])
            axes.set_xticks(positions, list(map(str, positions)))
            axes.set_title(f"{name}, {motif.width} bp")
    return closed(figure)


def recipe_check(simulation: Simulation) -> Figure:
    """Base composition, instances a sequence and start positions: generated and expected."""
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(3, 1, figsize=(WIDTH, 8), layout="constrained")
        _composition(rows[0], simulation)
        _counts(rows[1], simulation)
        _starts(rows[2], simulation)
    return closed(figure)


def _composition(axes: Axes, simulation: Simulation) -> None:
    background = np.bincount(simulation.codes[_owners(simulation) < 0], minlength=4)
    axes.bar(range(4), background / background.sum(), 0.6, color=list(BASE_COLOURS.values()))
    _expected(axes, np.arange(4), BACKGROUND)
    axes.set_xticks(range(4), "ACGT")
    axes.set(ylabel="fraction of bases", title="bases outside motif instances")
    axes.legend(loc="lower right", framealpha=1, frameon=True)


def _counts(axes: Axes, simulation: Simulation) -> None:
    """Share of sequences with 1, 2 and 3 instances, by motif and by company."""
    row, motif, _ = simulation.instances.T
    counts = pd.DataFrame({"row": row, "motif": motif, "both": simulation.labels[row, 0]})
    counts = counts.value_counts().rename("number").reset_index()
    shares = pd.crosstab([counts.motif, counts.both], counts.number, normalize="index")
    groups = pd.MultiIndex.from_product([range(len(MOTIFS)), (0, 1)])
    shares = shares.reindex(index=groups, columns=range(1, MAX_COUNT + 1), fill_value=0)
    places = 4 * np.arange(len(groups))[:, None] + np.arange(1, MAX_COUNT + 1)
    for index, group in enumerate(groups):
        axes.bar(places[index], shares.loc[group], color=MOTIF_COLOURS[MOTIFS[group[0]]])
    _expected(axes, places.ravel(), (*COUNTS_SINGLE, *COUNTS_BOTH) * len(MOTIFS))
    company = [f"{name.partition('_')[0]}\n{c}" for name in MOTIFS for c in ("alone", "in both")]
    axes.set_xticks(places[:, 1], company)
    axes.set(ylabel="fraction of sequences", title="with 1, 2 or 3 instances of a motif")
    axes.legend()


def _starts(axes: Axes, simulation: Simulation) -> None:
    for index, (name, motif) in enumerate(pwms().items()):
        starts = simulation.instances[simulation.instances[:, 1] == index, 2]
        counts = np.bincount(starts, minlength=LENGTH - motif.width + 1)
        axes.plot(counts / counts.mean(), color=MOTIF_COLOURS[name], label=name, linewidth=1)
    axes.axhline(1, color="black", linewidth=1, linestyle="--", label="uniform")
    axes.set(ylim=(0, None), xlabel="start of the instance, bp from 0", ylabel="instances / mean")
    axes.set_title("where instances start")
    axes.legend(loc="lower center", ncols=3, fontsize=9)


def _expected(axes: Axes, places: np.ndarray, values: tuple[float, ...]) -> None:
    axes.scatter(places, values, s=45, color="black", marker="_", linewidth=2, label="expected")


def _owners(simulation: Simulation) -> np.ndarray:
    """Index in `MOTIFS` of the instance that each base lies in, else −1; (examples, length)."""
    owners = np.full(simulation.codes.shape, -1, dtype=np.int8)
    for index, motif in enumerate(pwms().values()):
        rows, _, starts = simulation.instances[simulation.instances[:, 1] == index].T
        owners[rows[:, None], starts[:, None] + np.arange(motif.width)] = index
    return owners


def marked_sequence(simulation: Simulation, row: int, line: int = 40) -> str:
    """One sequence as HTML, `line` bases a line, with its motif instances marked."""
    owner = _owners(simulation)[row]
    bases = decode(simulation.codes[row : row + 1])[0]
    lines = []
    for first in range(0, LENGTH, line):
        runs = itertools.groupby(range(first, min(first + line, LENGTH)), lambda i: owner[i])
        marked = (_span("".join(bases[i] for i in places), motif) for motif, places in runs)
        lines.append(f"{first:>3} {''.join(marked)}")
    legend = " ".join(_span(f"&nbsp;{name}&nbsp;", index) for index, name in enumerate(MOTIFS))
    return f'<pre class="sfc-sequence">{"<br>".join(lines)}</pre><p>Marked: {legend}</p>'


def _span(text: str, motif: int) -> str:
    if motif < 0:
        return text
    return f'<span style="background:{MOTIF_COLOURS[MOTIFS[motif]]};color:black">{text}</span>'
