"""A run on your own data as one HTML file that needs nothing else, and its model beside it.

The words and the markup stand in `report.html`; here is what they are filled with.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.datasets.base import Dataset, is_known, summary_of_labels
from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write, writable
from sfc_lib.genomics.motifs import parse_meme
from sfc_lib.own.audit import summary
from sfc_lib.own.dataset import N
from sfc_lib.own.explain import Finding, agreement_words, draw_logos, top_region
from sfc_lib.own.predict import ENSEMBLE, MEMBER, members_file, members_of
from sfc_lib.own.train import NETWORK, REGRESSION, Outcome
from sfc_lib.runs.evaluation import kind_of, kind_scored
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.starts import room_for_motifs
from sfc_lib.runs.store import MODEL, RESULT, read_result

REPORT, SCORES, MOTIFS, LOADER = "report.html", "scores.tsv", "motifs.tsv", "load_model.py"
LOADING = f"""\
from sfc_lib import build_model  # first: it makes the layers known to Keras
import keras
model = keras.saving.load_model("{MODEL}", compile=False)
"""
LOADING_ALL = """\
from pathlib import Path
from sfc_lib.own.predict import load_predictor
model = load_predictor(Path()).model  # the mean of the logits of all
"""
ONE_HOT = """\
from sfc_lib.nn.encoding import with_one_hot
one_hot_model = with_one_hot(model)
"""
SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def require_free(folder: Path, specs: Sequence[RunSpec]) -> None:
    """A `UserError` for a folder where no report can be written, or with other runs'."""
    writable(folder)
    if not (folder / RESULT).exists():
        return
    found = [read_result(folder / RESULT)["id"], *members_of(folder)[1:]]
    if found != (wanted := [spec.id for spec in specs]):
        raise UserError(
            f"{folder}: expected a new folder or the one of run {', '.join(wanted)}, got that of "
            f"{', '.join(found)}. Choose another --output, or remove it."
        )


def write_report(outcome: Outcome, folder: Path, command: str) -> Path:
    """Write the report, and the files of the run record beside it; returns its path.

    `command` says how to do it again. A `UserError` if the folder holds another run.
    """
    require_free(folder, [record.spec for record in outcome.records])
    contents: dict[str, bytes] = {}
    for number, record in enumerate(outcome.records, 1):
        place = Path(MEMBER.format(number)) if number > 1 else Path()
        for name in (*sorted(record.result["files"]), RESULT):
            contents[str(place / name)] = (record.folder / name).read_bytes()
    if len(outcome.records) > 1:
        contents[ENSEMBLE] = members_file([record.spec.id for record in outcome.records])
    contents[SCORES] = outcome.scores.to_csv(sep="\t", index=False).encode()
    contents[MOTIFS] = _motif_table(outcome).to_csv(sep="\t", index=False).encode()
    contents[LOADER] = _loading(outcome).encode()
    contents[REPORT] = render(outcome, folder, command).encode()
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with atomic_write(folder / name) as file:
            file.write(content)
    return folder / REPORT


def _motif_table(outcome: Outcome) -> pd.DataFrame:
    """The motifs of all tasks that were looked at, one row a task and motif."""
    counts = [(found.explained.task, found.motifs.counts) for found in outcome.findings]
    return pd.concat([table.assign(task=task)[["task", *table]] for task, table in counts])


def score_lines(outcome: Outcome) -> list[str]:
    """The verdict, and the test scores of both models, as lines of text."""
    rows = outcome.scores[outcome.scores.split == "test"].sort_values("task", kind="stable")
    titles = kind_scored(rows).titles
    lines = [verdict(outcome)]
    for row in rows.to_dict("records"):
        scores = ", ".join(f"{title} {_scored(row, name)}" for name, title in titles.items())
        positives = f"{row['positives']:,} positive of " if "positives" in row else ""
        of = f"{positives}{row['examples']:,}{'' if positives else ' sequences'}"
        lines.append(f"test  {row['task']}, {row['model']}: {scores}; {of}")
    return lines


def verdict(outcome: Outcome) -> str:
    """In some sentences, whether the network is worth its training; what a report begins with.

    A network is better, or worse, than the regression where the interval of the difference of
    their auROC, or Pearson's r, leaves out 0; else the data can't tell.
    """
    test, kinds = outcome.scores[outcome.scores.split == "test"], (NETWORK, REGRESSION)
    best = kind_scored(test).best
    score = {kind: float(test[test.model == kind][best].mean()) for kind in kinds}
    what = "ensemble" if len(outcome.records) > 1 else NETWORK
    return f"{_compared(outcome, score, what)}{_alone(outcome, what)}"


def _alone(outcome: Outcome, what: str) -> str:
    """A sentence where all scores, or those of some tasks, are none of the network's merit."""
    if not outcome.left_out:
        return ""
    every = len(outcome.left_out) == len(outcome.gains)
    subject = f"The {what}" if every else f"For {', '.join(outcome.left_out)} the {what}"
    return (
        f" {subject} has no share in this: on the validation set it added no more than chance to "
        "the regression that is saved with it, so its weights tell nothing."
    )


def _compared(outcome: Outcome, score: Mapping[str, float], what: str) -> str:
    """The scores of both, and which is better."""
    source = f" of {outcome.test_file}" if outcome.test_file else ""
    kind = kind_scored(outcome.scores)
    begin = (
        f"On sequences{source} that it never saw, the {what} reaches "
        f"{'a' if kind.continuous else 'an'} {kind.titles[kind.best]} of {_score(score[NETWORK])}, "
        f"and a regression on 6-mer counts {_score(score[REGRESSION])}"
    )
    better, worse = outcome.gains.gain_low > 0, outcome.gains.gain_high < 0
    if len(outcome.gains) > 1:
        return (
            f"{begin} (means of {len(outcome.gains)} tasks): the {what} is better for "
            f"{better.sum()}, the regression for {worse.sum()}, and for "
            f"{(~better & ~worse).sum()} the test set can't tell."
        )
    gain = outcome.gains.iloc[0]
    sign = 1 if gain.gain > 0 else -1
    low, high = sorted((sign * gain.gain_low, sign * gain.gain_high))
    by = f"by {_score(abs(gain.gain))} ({_signed(low)} to {_signed(high)})"
    if better.all():
        return f"{begin}: the {what} is better {by}."
    if worse.all():
        return f"{begin}: the regression is better {by}. Use it, or give more examples."
    leads = what if gain.gain > 0 else "regression"
    return (
        f"{begin}: the test set can't tell which is better; the {leads} leads {by}, an interval "
        "that holds 0."
    )


def split_line(dataset: Dataset, file: str = "") -> str:
    """What the test sequences were kept apart by, and where to expect such scores.

    `file`: its name, if they came in one of their own.
    """
    places = _chromosomes(dataset.counts)
    train, test = places[SPLIT_NAMES["train"]], places[SPLIT_NAMES["test"]]
    begin = f"The {len(dataset.test):,} test sequences"
    if file:
        return (
            f"{begin} are those of {file}, which neither trained nor validated: these are scores "
            "of that file. Expect such ones on data like it; whether it holds copies of what "
            "trained stands below, under near-duplicates."
        )
    if not test:
        return (
            f"{begin} were drawn at random, near-duplicates on one side together: expect such "
            "scores on sequences like these. Where all come from one genome, a chromosome held "
            "out is the harder question, and the better one: name the sequences chr1:100-300."
        )
    windows = sum(n for what, n in dataset.counts.items() if what.endswith(" in test"))
    rest = ""
    if windows < len(dataset.test) and dataset.options.get("background") != "shuffled":
        begin = f"The {windows:,} positive test sequences"
        rest = " The negatives, given as sequences, were drawn at random, wherever they come from."
    if set(train) & set(test):
        return (
            f"{begin} lie in another stretch of {', '.join(test)} than those that train, for lack "
            f"of chromosomes: expect somewhat lower scores elsewhere in the genome.{rest}"
        )
    return (
        f"{begin} lie on {', '.join(test)}, which nothing was trained on: expect such scores on "
        f"other chromosomes in the same experiment, and lower ones in another.{rest}"
    )


def _motifs_begun(outcome: Outcome) -> int:
    """How many filters started at a motif: there may be fewer than the spec has motifs."""
    from sfc_lib.nn.ensemble import REGRESSED

    model, spec = outcome.records[0].model(), outcome.records[0].spec
    if not spec.motifs:
        return 0
    if REGRESSED in [layer.name for layer in model.layers]:
        model = model.get_layer(REGRESSED)
    room = room_for_motifs(model.get_layer("conv_1").kernel)
    return min(room, len(parse_meme(spec.motifs, "spec")))


def _signed(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:+.3f}".replace("0.", ".").replace("-", "−")


def render(outcome: Outcome, folder: Path, command: str) -> str:
    """The report as HTML; it refers to nothing outside itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"commas": "{:,}".format, "share": "{:.1%}".format, "time": _time}
    environment.filters |= {
        "signed": _signed,
        "summary": summary_of_labels,
        "score": _score,
        "interval": _interval,
        "scored": _scored,
    }
    record, dataset, scores = outcome.record, outcome.dataset, outcome.scores
    titles = kind_of(dataset.test.labels).titles
    parts = {title: getattr(dataset, name) for name, title in SPLIT_NAMES.items()}
    test = scores[(scores.split == "test") & (scores.model == NETWORK)]
    order = {"task": pd.Categorical(scores.task, dataset.task_names)}
    by_task = scores.assign(split=scores.split.map(SPLIT_NAMES), **order)
    return environment.get_template(REPORT).render(
        verdict=verdict(outcome),
        split=split_line(dataset, outcome.test_file),
        checks=outcome.checks,
        audit=summary(outcome.checks),
        records=outcome.records,
        gains=outcome.gains.to_dict("records"),
        baseline=outcome.baseline,
        subject=_subject(outcome),
        spec={"regression": None, **record.spec.to_dict()},
        begun=_motifs_begun(outcome),
        settings=json.dumps(record.spec.to_dict(), indent=1),
        result=record.result,
        dataset=dataset,
        parts=parts,
        chromosomes=_chromosomes(dataset.counts),
        unknown=sum(int((part.codes == N).any(axis=1).sum()) for part in parts.values()),
        continuous=dataset.continuous,
        metrics=titles,
        compared=next(iter(titles.values())),
        scores=by_task.sort_values("task", kind="stable").to_dict("records"),
        test=test.to_dict("records"),
        means=test[list(titles)].mean(),
        fewest=_fewest(test),
        figures=_figures(outcome),
        findings=[_finding(found) for found in outcome.findings],
        motifs=MOTIFS,
        smoothed=SPAN if dataset.length >= SMOOTHED else 0,
        first=MOST_TASKS if len(dataset.task_names) > MOST_TASKS else 0,
        files=outcome.files,
        loading=_loading(outcome),
        one_hot=ONE_HOT,
        loader=LOADER,
        folder=folder,
        command=command,
    )


def _fewest(test: pd.DataFrame) -> int:
    """The size of the smallest class of the test set, or the fewest measurements of a task."""
    if "positives" not in test:
        return int(test.examples.min())
    return int(min(test.positives.min(), (test.examples - test.positives).min()))


def _loading(outcome: Outcome) -> str:
    """The lines of Python that load the network, or the ensemble, in the report's folder."""
    return LOADING if len(outcome.records) == 1 else LOADING_ALL


def _subject(outcome: Outcome) -> str:
    """What the network predicts: the task, if it was named, or the first file."""
    tasks = outcome.dataset.task_names
    if len(tasks) > 1:
        return f"{len(tasks)} tasks"
    first, _ = next(iter(outcome.files.values()))
    return first.name if tasks[0] in ("positive", "bound") else tasks[0]


def _scored(row: Mapping[str, Any], name: str) -> str:
    return f"{_score(row[name])} ({_interval(row, name)})"


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "–" if np.isnan(low) else f"{_score(low)}{'–' if low >= 0 else ' to '}{_score(high)}"


def _score(value: float) -> str:
    return f"{value:.3f}".removeprefix("0").replace("-0.", "−.")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _chromosomes(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Which chromosomes are in which split."""
    found = re.findall(r"^windows of (\S+) in (\w+)$", "\n".join(counts), re.MULTILINE)
    return {
        title: [chrom for chrom, split in found if split == name]
        for name, title in SPLIT_NAMES.items()
    }


# The figures, each small enough to be read on a phone.

WIDTH = 4.8  # inches
STYLE: Any = sns.axes_style("ticks") | {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 11,
    "legend.frameon": False,
    "text.parse_math": False,  # names are text, whatever they hold
    "svg.hashsalt": "sfc_lib",  # the same figure gives the same bytes
}
COLOURS = sns.color_palette("colorblind", 8)
MOST_TASKS = len(COLOURS)  # drawn; the table has all
MOST_BINS, FEWEST_IN_BIN = 10, 20  # of the calibration curve
MOST_POINTS, VALUE_BINS = 1500, 40  # drawn as points; of the histogram of measurements
SMOOTHED = 200  # bp from which a profile has a smoothed line too
SPAN = 25  # bp, of its moving mean
LOGOS, LOGO = 4, 60  # so many of a task, of so many bp
MOST_MOTIFS = 12  # in a task's table


def _figures(outcome: Outcome) -> dict[str, str]:
    """The figures by name, as addresses that hold the image itself."""
    record, tasks, test = outcome.record, outcome.dataset.task_names, outcome.dataset.test
    with plt.rc_context(STYLE):
        guess, adds = outcome.probabilities["test"], "value" if test.continuous else "logits"
        drawn = {
            "learning": draw_learning_curve(record.history(), record.result["best_epoch"]),
            "importance": draw_importance(outcome.profiles, tasks, outcome.profiled, adds),
        }
        if test.continuous:
            drawn["scatter"] = draw_scatter(test.labels, guess, tasks)
            drawn["values"] = draw_values(outcome.dataset)
        else:
            drawn["curves"] = draw_score_curves(test.labels, guess, tasks)
            drawn["calibration"] = draw_calibration(test.labels, guess, tasks)
        if record.spec.variant != "std":
            drawn["weights"] = draw_positional_weights(record.positional_weights())
        return {name: _address(figure) for name, figure in drawn.items()}


def _finding(found: Finding) -> dict[str, Any]:
    """What the template says of a task's bases and motifs."""
    explained, counts = found.explained, found.motifs.counts
    regions = [top_region(explained, row, LOGO) for row in range(len(explained.names))[:LOGOS]]
    with plt.rc_context(STYLE):
        logos = _address(draw_logos(explained, regions))
    return {
        "task": explained.task,
        "number": len(explained.names),
        "shown": len(regions),
        "logos": logos,
        "agreement": agreement_words(explained),
        "rows": counts.head(MOST_MOTIFS).to_dict("records"),
        "more": len(counts) - MOST_MOTIFS,
    }


def _address(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def draw_learning_curve(history: Sequence[Mapping[str, Any]], best_epoch: int) -> Figure:
    """Training loss, and both validation scores (means of the tasks), by epoch."""
    table = pd.DataFrame(history).set_index("epoch")
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    sns.lineplot(table["loss"], ax=above, color="0.5", marker="o")
    kind = kind_scored([name.removeprefix("valid_") for name in table])
    scores = table[[f"valid_{name}" for name in kind.titles]].set_axis(kind.titles.values(), axis=1)
    sns.lineplot(scores, ax=below, palette=COLOURS[:2], dashes=False, markers=["o", "o"])
    loss = "standardised squares" if kind.continuous else "cross-entropy"
    above.set_ylabel(f"training loss\n({loss})")
    below.set(ylabel="validation score", xlabel="epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.axvline(best_epoch, color="black", lw=0.8, ls=":")
    return figure


def draw_score_curves(
    labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str]
) -> Figure:
    """ROC and precision-recall curves of each task; dashed is what guessing gives."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (task, colour) in enumerate(zip(tasks, COLOURS, strict=False)):
        known = is_known(labels[:, number])
        truth, guess = labels[known, number], probabilities[known, number]
        false, true, _ = roc_curve(truth, guess)
        precision, recall, _ = precision_recall_curve(truth, guess)
        left.plot(false, true, color=colour, label=task)
        right.plot(recall, precision, color=colour, drawstyle="steps-post")
        right.axhline(truth.mean(), color=colour, lw=0.8, ls="--")
    left.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
    left.set(xlabel="false positive rate", ylabel="true positive rate")
    right.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    if len(tasks) > 1:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def draw_calibration(labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str]) -> Figure:
    """The share of positives among sequences of about the same probability, for each task.

    As many sequences stand in every bin; bars are standard errors of the share.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
    for number, (task, colour) in enumerate(zip(tasks, COLOURS, strict=False)):
        known = is_known(labels[:, number])
        guess, share, error = calibration(labels[known, number], probabilities[known, number])
        axes.errorbar(guess, share, error, color=colour, marker="o", ms=4, lw=1.2, label=task)
    axes.set(xlabel="predicted probability", ylabel="share of positives")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if len(tasks) > 1:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def calibration(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, share of positives and its standard error in bins of as many sequences.

    Example:

    >>> guess, share, _ = calibration(np.array([0, 1] * 20), np.array([0.25, 0.75] * 20))
    >>> guess.tolist(), share.tolist()
    ([0.25, 0.75], [0.0, 1.0])
    """
    bins = max(1, min(MOST_BINS, len(labels) // FEWEST_IN_BIN))
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    guess, share = (
        np.array([values[part].mean() for part in parts]) for values in (probabilities, labels)
    )
    sizes = np.array([len(part) for part in parts])
    return guess, share, np.sqrt(share * (1 - share) / sizes)


def draw_scatter(labels: np.ndarray, values: np.ndarray, tasks: Sequence[str]) -> Figure:
    """Measured against predicted values, a panel a task; on the dashed line they are equal."""
    shown = min(len(tasks), MOST_TASKS)
    columns = min(shown, 2)
    rows = -(-shown // columns)
    figure = Figure(figsize=(WIDTH, rows * (4.2 if shown == 1 else 2.5)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, task) in enumerate(zip(panels, tasks, strict=False)):
        known = is_known(labels[:, number])
        truth, guess = labels[known, number], values[known, number]
        if len(truth) > MOST_POINTS:
            axes.hexbin(guess, truth, gridsize=40, bins="log", mincnt=1, cmap="Blues", lw=0.1)
        else:
            sns.scatterplot(x=guess, y=truth, ax=axes, s=12, alpha=0.5, color=COLOURS[0])
        axes.axline((guess.mean(), guess.mean()), slope=1, color="black", lw=0.8, ls="--")
        axes.set(xlabel="predicted", ylabel="measured")
        if len(tasks) > 1:
            axes.set_title(task, fontsize=9)
    for axes in panels[shown:]:
        axes.set_axis_off()
    return figure


def draw_values(dataset: Dataset) -> Figure:
    """How the measurements of each task are spread, in each split; a line has an area of 1."""
    shown = min(len(dataset.task_names), MOST_TASKS)
    figure = Figure(figsize=(WIDTH, 0.6 + max(2.6, 1.5 * shown)), layout="constrained")
    panels = figure.subplots(shown, 1, squeeze=False)[:, 0]
    for number, (axes, task) in enumerate(zip(panels, dataset.task_names, strict=False)):
        values = {
            title: part.labels[is_known(part.labels[:, number]), number].astype(float)
            for name, title in SPLIT_NAMES.items()
            for part in [getattr(dataset, name)]
        }
        edges = np.histogram_bin_edges(np.concatenate(list(values.values())), VALUE_BINS)
        for colour, (title, found) in zip(COLOURS, values.items(), strict=False):
            heights = np.histogram(found, edges, density=True)[0]
            axes.stairs(heights, edges, color=colour, label=title)
        axes.set_title(task, fontsize=9)
        axes.set_yticks([])
    panels[0].legend(fontsize=8)
    panels[-1].set_xlabel("measured value")
    figure.supylabel("share of sequences", fontsize=11)
    return figure


def draw_importance(
    profiles: np.ndarray, tasks: Sequence[str], numbers: Sequence[int], unit: str = "logits"
) -> Figure:
    """Mean gradient × input at each position, one panel a task, 0 the middle of the sequence."""
    shown = min(len(tasks), MOST_TASKS)
    position = np.arange(profiles.shape[1]) - profiles.shape[1] // 2
    smooth = len(position) >= SMOOTHED
    height = 0.6 + max(2.6, 1.5 * shown) if shown > 1 else 3.0
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    column = figure.subplots(shown, 1, sharex=True, squeeze=False)[:, 0]
    for axes, profile, task, number in zip(column, profiles, tasks, numbers, strict=False):
        axes.axhline(0, color="black", lw=0.6)
        axes.plot(position, profile, color=COLOURS[0], lw=0.8, alpha=0.4 if smooth else 1)
        if smooth:
            mean = pd.Series(profile).rolling(SPAN, center=True).mean()
            axes.plot(position, mean, color=COLOURS[0], lw=1.8)
        what = "test positives" if unit == "logits" else "test sequences measured high"
        axes.set_title(f"{task}: mean of {number:,} {what}", fontsize=9)
        axes.margins(x=0)
    column[-1].set_xlabel("position relative to the middle of the sequence, bp")
    figure.supylabel(f"gradient × input, {unit} per base", fontsize=11)
    return figure


def draw_positional_weights(weights: np.ndarray) -> Figure:
    """`W_pos`, (units, length): rows with mean 0 and norm 1, those that look alike together."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    rows = weights - weights.mean(axis=1, keepdims=True)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    if len(rows) > 1:
        rows = rows[leaves_list(linkage(rows, "ward"))]
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    top = float(np.quantile(np.abs(rows), 0.99)) or 1.0
    sns.heatmap(
        rows, ax=axes, cmap="RdBu_r", vmin=-top, vmax=top, rasterized=True, yticklabels=False,
        xticklabels=max(1, rows.shape[1] // 6),
        cbar_kws={"label": "weight, rows of unit magnitude", "shrink": 0.8},
    )  # fmt: skip
    axes.set(xlabel="position after pooling", ylabel=f"{len(rows)} neurons of the SFC layer")
    return figure
