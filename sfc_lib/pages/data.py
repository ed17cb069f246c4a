"""Pictures and tables of the simulated TF data: what was generated beside what the recipe says."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from sfc_lib.datasets import Dataset, simulated_tf
from sfc_lib.datasets.simulated_tf import CLASSES, LENGTH, MOTIFS, Simulation
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme
from sfc_lib.pages.style import STYLE

WIDTH = 4.9  # inches: a phone shows it without shrinking the letters much
BASE_COLOURS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00"}
MOTIF_COLOURS = dict(zip(MOTIFS, ("#56b4e9", "#e69f00"), strict=True))
# Labels as the paper's text has them (section 2.3), in the order of CLASSES.
PAPER_LABELS = ("0, 0, 0", "0, 0, 1", "0, 1, 0", "1, 1, 1")


def simulate(examples: int, seed: int) -> Simulation:
    """A fresh draw by the recipe with all motif instances, a quarter of each class."""
    classes = np.arange(examples) % len(CLASSES)
    return simulated_tf.simulate(classes, np.random.default_rng(np.random.SeedSequence(seed)))


def motifs() -> dict[str, Motif]:
    """The two PWMs, by name."""
    return read_meme(RESOURCES / "simulated_tf.meme")


def recipe_table() -> pd.DataFrame:
    """The recipe of the generated sequences, step by step, from the constants in use."""
    single, both = (
        ", ".join(f"{number}: {share:.1%}" for number, share in enumerate(shares, 1))
        for shares in (simulated_tf.COUNTS_SINGLE, simulated_tf.COUNTS_BOTH)
    )
    bases = ", ".join(f"{b} {p:.0%}" for b, p in zip("ACGT", simulated_tf.BACKGROUND, strict=True))
    widths = " and ".join(f"{name} ({motif.width} bp)" for name, motif in motifs().items())
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


def logos() -> Figure:
    """Sequence logos of the two PWMs: letters as high as their information, in bits."""
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(2, 1, figsize=(WIDTH, 3.6), layout="constrained")
        for axes, (name, motif) in zip(rows, motifs().items(), strict=True):
            _logo(axes, motif)
            axes.set_title(f"{name}, {motif.width} bp", fontsize=10)
    plt.close(figure)
    return figure


def _logo(axes: Axes, motif: Motif) -> None:
    p = motif.probabilities
    bits = 2 + np.sum(p * np.log2(np.where(p > 0, p, 1)), axis=1)  # against equal frequencies
    for position, heights in enumerate(p * bits[:, None]):
        bottom = 0.0
        for base in np.argsort(heights)[np.sort(heights) > 0]:
            _letter(axes, "ACGT"[base], position, bottom, heights[base])
            bottom += heights[base]
    axes.set(xlim=(0, motif.width), ylim=(0, 2), ylabel="bits", yticks=[0, 1, 2])
    axes.set_xticks(
        np.arange(motif.width) + 0.5, list(map(str, range(1, motif.width + 1))), fontsize=8
    )


def _letter(axes: Axes, letter: str, x: float, y: float, height: float) -> None:
    """A letter stretched to fill a box one position wide."""
    path = TextPath((0, 0), letter, size=1, prop=FontProperties(weight="bold"))
    box = path.get_extents()
    stretch = Affine2D().translate(-box.x0, -box.y0).scale(0.94 / box.width, height / box.height)
    shape = stretch.translate(x + 0.03, y).transform_path(path)
    axes.add_patch(PathPatch(shape, facecolor=BASE_COLOURS[letter], linewidth=0))


def recipe_check(simulation: Simulation) -> Figure:
    """Base composition, instances a sequence and start positions: generated and expected."""
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(3, 1, figsize=(WIDTH, 8), layout="constrained")
        _composition(rows[0], simulation)
        _counts(rows[1], simulation)
        _starts(rows[2], simulation)
    plt.close(figure)
    return figure


def _composition(axes: Axes, simulation: Simulation) -> None:
    background = np.bincount(simulation.codes[~_inside(simulation)], minlength=4)
    axes.bar(range(4), background / background.sum(), 0.6, color=list(BASE_COLOURS.values()))
    _expected(axes, np.arange(4), simulated_tf.BACKGROUND)
    axes.set_xticks(range(4), "ACGT")
    axes.set(ylabel="fraction of bases", title="bases outside motif instances")
    axes.legend(loc="lower right", framealpha=1, frameon=True)


def _counts(axes: Axes, simulation: Simulation) -> None:
    """Share of sequences with 1, 2 and 3 instances, by motif and by company."""
    both = simulation.labels[:, 0] == 1
    numbers = np.arange(1, simulated_tf.MAX_COUNT + 1)
    ticks: list[tuple[int, str]] = []
    for index, motif in enumerate(MOTIFS):
        rows = simulation.instances[simulation.instances[:, 1] == index, 0]
        counts = np.bincount(rows, minlength=len(simulation.codes))
        for company, expected in enumerate((simulated_tf.COUNTS_SINGLE, simulated_tf.COUNTS_BOTH)):
            group = counts[(counts > 0) & (both == bool(company))]
            places = numbers + 4 * len(ticks)
            axes.bar(places, (group[:, None] == numbers).mean(axis=0), color=MOTIF_COLOURS[motif])
            _expected(axes, places, expected)
            ticks.append((places[1], f"{motif.partition('_')[0]}\n{('alone', 'in both')[company]}"))
    axes.set_xticks(*zip(*ticks, strict=True))
    axes.set(ylabel="fraction of sequences", title="with 1, 2 or 3 instances of a motif")
    axes.legend(*[items[:1] for items in axes.get_legend_handles_labels()])


def _starts(axes: Axes, simulation: Simulation) -> None:
    widths = {name: motif.width for name, motif in motifs().items()}
    for index, motif in enumerate(MOTIFS):
        starts = simulation.instances[simulation.instances[:, 1] == index, 2]
        places = LENGTH - widths[motif] + 1
        counts = np.bincount(starts, minlength=places)
        axes.plot(counts / counts.mean(), color=MOTIF_COLOURS[motif], label=motif, linewidth=1)
    axes.axhline(1, color="black", linewidth=1, linestyle="--", label="uniform")
    axes.set(ylim=(0, None), xlabel="start of the instance, bp from 0", ylabel="instances / mean")
    axes.set_title("where instances start")
    axes.legend(loc="lower center", ncols=3, fontsize=9)


def _expected(axes: Axes, places: np.ndarray, values: tuple[float, ...]) -> None:
    axes.scatter(places, values, s=45, color="black", marker="_", linewidth=2, label="expected")


def _inside(simulation: Simulation) -> np.ndarray:
    """Whether each base lies in a motif instance, shape (examples, length)."""
    inside = np.zeros(simulation.codes.shape, dtype=bool)
    for index, motif in enumerate(motifs().values()):
        rows, _, starts = simulation.instances[simulation.instances[:, 1] == index].T
        inside[rows[:, None], starts[:, None] + np.arange(motif.width)] = True
    return inside


def marked_sequence(simulation: Simulation, row: int, line: int = 40) -> str:
    """One sequence as HTML, `line` bases a line, with its motif instances marked."""
    owner = np.full(LENGTH, -1)
    for _, index, start in simulation.instances[simulation.instances[:, 0] == row]:
        owner[start : start + motifs()[MOTIFS[index]].width] = index
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
