"""A run on your own data as one HTML file that needs nothing else, and its model beside it.

The parts of a report that say what went in and where it comes from.

The figures of a report on your own data, each small enough to be read on a phone.

Pieces of a report's HTML: tables, figures inside the page, numbers.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write
from sfc_lib.own.train import Outcome
from sfc_lib.pages import style
from sfc_lib.pages.figure4_positional_weights import SCALE, cluster, colour_limit
from sfc_lib.pages.style import NAMES
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import MODEL, RESULT, SPEC

SPLITS = {"train": "training", "valid": "validation", "test": "test"}
N = 4  # code of an unknown base


def data_text(outcome: Outcome) -> str:
    """What the sequences are and how they were split, as a paragraph."""
    options, dataset = outcome.dataset.options, outcome.dataset
    named = bool(options["valid_chromosomes"])
    unknown = sum(
        int((part.codes == N).any(axis=1).sum())
        for part in (dataset.train, dataset.valid, dataset.test)
    )
    if options["peaks"]:
        return (
            f"Windows of {dataset.length:,} bp; those with N or beyond a chromosome's end are left "
            f"out. {_negatives(outcome)} {_chromosomes(dataset.counts, named)}"
        )
    return (
        f"Sequences of {dataset.length:,} bp, of which {unknown:,} hold unknown bases (N and other "
        "IUPAC letters), which count neither for nor against. Splits are random, by a hash of the "
        "files; equal sequences are kept once, similar ones are not looked for."
    )


def _negatives(outcome: Outcome) -> str:
    if not outcome.dataset.options["negatives"]:
        return "Negatives are the positives with their dinucleotides shuffled, in the same split."
    return f"Negatives come from {outcome.files['negatives'][0].name}."


def _chromosomes(counts: Mapping[str, int], named: bool) -> str:
    """Which chromosomes are in which split, and by what rule."""
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for what in counts:
        if match := re.fullmatch(r"windows of (\S+) in (\w+)", what):
            found[match[2]].append(match[1])
    if set(found["train"]) & set(found["valid"]):
        rule = "With fewer than three chromosomes, each is cut into stretches"
    else:
        rule = "Chromosomes as asked for" if named else "Whole chromosomes, by their sizes"
    lists = (f"{title} {', '.join(found[split])}" for split, title in SPLITS.items())
    return f"{rule}: {'; '.join(lists)}. No two splits share a base."


def data_table(outcome: Outcome) -> str:
    """Sequences and positives of each split."""
    dataset = outcome.dataset
    rows = [
        (title, f"{len(part):,}", *(f"{n:,} ({n / len(part):.1%})" for n in part.positives))
        for name, title in SPLITS.items()
        for part in [getattr(dataset, name)]
    ]
    positive = [task if task == "positive" else f"positive: {task}" for task in dataset.task_names]
    return table(["split", "sequences", *positive], rows)


def dropped(outcome: Outcome) -> str:
    """What was left out, by reason."""
    found = [f"{count:,} {reason}" for reason, count in outcome.dataset.dropped.items()]
    taken = [
        f"{n:,} {what}" for what, n in outcome.dataset.counts.items() if "windows of" not in what
    ]
    counted = f"{taken[0][0].upper()}{'; '.join(taken)[1:]}. " if taken else ""
    return f"<p>{html.escape(counted)}Left out: {html.escape('; '.join(found) or 'nothing')}.</p>"


def files(outcome: Outcome) -> str:
    """The input files."""
    rows = [
        (role, path.name, f"{path.stat().st_size:,}", sha256)
        for role, (path, sha256) in outcome.files.items()
    ]
    return table(["input", "file", "bytes", "sha256 of its content, decompressed"], rows)


def provenance(outcome: Outcome) -> str:
    """What the numbers rest on."""
    result = outcome.record.result
    about = result["environment"]
    versions = {"python": about["python"], **about["versions"]}
    return table(
        ["item", "value"],
        [
            ("run", outcome.record.spec.id),
            ("dataset fingerprint", outcome.dataset.fingerprint),
            ("model.keras, sha256", result["files"][MODEL]),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
            ("processor, threads", f"{about['cpu']}, {about['threads']}"),
            ("commit of the code", str(about["commit"])),
            ("finished", about["finished"]),
            ("training, wall / CPU", f"{seconds(outcome)} / {seconds(outcome, 'cpu')}"),
        ],
    )


def seconds(outcome: Outcome, kind: str = "wall") -> str:
    """How long training took, in wall or CPU time."""
    seconds = outcome.record.result[f"{kind}_seconds"]
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


WIDTH = 4.8  # inches
STYLE = style.STYLE | {"font.size": 11}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#000000")
MOST_TASKS = len(LINES)  # drawn; the table has all
SMOOTHED = 200  # bp from which a profile has a smoothed line too
SPAN = 25  # bp, of its moving mean
ROWS_A_CLUSTER = 4  # at least, on average


def learning_curve(history: Sequence[dict], best_epoch: int) -> Figure:
    """Training loss, and validation auROC and auPRC (means of the tasks), by epoch."""
    epochs = [line["epoch"] for line in history]
    with plt.rc_context(STYLE):
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(WIDTH, 4.4), sharex=True, layout="constrained"
        )
        above.plot(epochs, [line["loss"] for line in history], color="#7a7a7a", marker=".")
        above.set_ylabel("training loss\n(cross-entropy)")
        for name, label, colour in (("auroc", "auROC", LINES[0]), ("auprc", "auPRC", LINES[1])):
            values = [line[f"valid_{name}"] for line in history]
            below.plot(epochs, values, color=colour, marker=".", label=label)
        below.set(ylabel="validation score", xlabel="epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (above, below):
            axes.axvline(best_epoch, color="black", lw=0.8, ls=":")
        figure.legend(loc="outside lower center", ncols=2)
    plt.close(figure)
    return figure


def score_curves(labels: np.ndarray, probabilities: np.ndarray, tasks: Sequence[str]) -> Figure:
    """ROC and precision-recall curves of each task; dashed is what guessing gives."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), layout="constrained")
        for number, (task, colour) in enumerate(zip(tasks, LINES, strict=False)):
            truth, guess = labels[:, number], probabilities[:, number]
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
    plt.close(figure)
    return figure


def importance_profiles(
    profiles: np.ndarray, tasks: Sequence[str], numbers: Sequence[int]
) -> Figure:
    """Mean gradient × input at each position, one panel a task, 0 the middle of the sequence."""
    shown = min(len(tasks), MOST_TASKS)
    length = profiles.shape[1]
    position = np.arange(length) - length // 2
    with plt.rc_context(STYLE):
        figure, column = plt.subplots(
            shown,
            1,
            figsize=(WIDTH, 0.6 + max(2.6, 1.5 * shown) if shown > 1 else 3.0),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for axes, profile, task, number in zip(
            column[:, 0], profiles, tasks, numbers, strict=False
        ):
            axes.axhline(0, color="black", lw=0.6)
            smooth = length >= SMOOTHED
            axes.plot(position, profile, color=LINES[0], lw=0.8, alpha=0.4 if smooth else 1)
            if smooth:
                mean = np.convolve(profile, np.full(SPAN, 1 / SPAN), "valid")
                middle = position[SPAN // 2 : SPAN // 2 + len(mean)]
                axes.plot(middle, mean, color=LINES[0], lw=1.8)
            axes.set_title(f"{task}: mean of {number:,} test positives", fontsize=9)
            axes.margins(x=0)
        column[-1, 0].set_xlabel("position relative to the middle of the sequence, bp")
        figure.supylabel("gradient × input, logits per base", fontsize=11)
    plt.close(figure)
    return figure


def positional_weights(weights: np.ndarray) -> Figure:
    """`W_pos`, (units, length): rows with mean 0 and norm 1, those that look alike together."""
    clusters = cluster(weights, min(10, max(1, len(weights) // ROWS_A_CLUSTER)))
    top = colour_limit([clusters])
    units, length = clusters.rows.shape
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
        image = axes.imshow(
            clusters.rows, cmap=SCALE, vmin=-top, vmax=top, aspect="auto", interpolation="nearest"
        )
        axes.hlines(clusters.boundaries - 0.5, -0.5, length - 0.5, color="black", lw=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set(xlabel="position after pooling", ylabel=f"{units} neurons of the SFC layer")
        axes.set_yticks([])
        figure.colorbar(image, label="weight, rows of unit magnitude", shrink=0.8)
    plt.close(figure)
    return figure


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of text; everything is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def image(figure: Figure, caption: str) -> str:
    """A figure as an image inside the page, with its caption, which is read aloud too."""
    with io.BytesIO() as file, plt.rc_context(STYLE):  # the same figure gives the same bytes
        figure.savefig(file, format="svg", metadata={"Date": None})
        data = base64.b64encode(file.getvalue()).decode()
    text = html.escape(caption)
    image = f'<img alt="{text}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def span(row: Mapping[str, Any], name: str) -> str:
    """The interval of a score; a dash where there is none."""
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    return "–" if np.isnan(low) else f"{score(low)}–{score(high)}"


def score(value: float) -> str:
    """A score between 0 and 1 with three digits, as papers print it."""
    return f"{value:.3f}".removeprefix("0")


TEMPLATE = Path(__file__).with_name("report.html")
REPORT, SCORES = "report.html", "scores.tsv"
FEW = 50  # test examples of a class, below which the report warns
BALANCED_NOTE = "Positives are weighted by negatives / positives in training."


class ReportError(UserError):
    """A report can't be written where it should be."""


def require_free(folder: Path, spec: RunSpec) -> None:
    """Refuse a folder that holds another run's report; its files must not be mixed with ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = json.loads((folder / RESULT).read_bytes())["id"]
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"{folder}: expected a folder for the report, got: {error.strerror}."
        raise ReportError(message) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ReportError(
            f"{folder / RESULT}: expected a run's result, got {error!r}. Choose another --output."
        ) from error
    if found != spec.id:
        raise ReportError(
            f"{folder}: expected a new folder or the one of run {spec.id}, got that of {found}. "
            "Choose another --output, or remove it."
        )


def write_report(outcome: Outcome, folder: Path, command: str) -> Path:
    """Write the report, and the files of the run record beside it.

    Args:
        outcome: What is shown.
        folder: Made if need be; see `require_free`.
        command: How to do it again.

    Returns:
        Path of the report, `report.html`.

    Raises:
        ReportError: The folder holds another run.
    """
    require_free(folder, outcome.record.spec)
    page = render(outcome, folder, command)
    for name in (*sorted(outcome.record.result["files"]), RESULT):
        with atomic_write(folder / name) as file:
            file.write((outcome.record.folder / name).read_bytes())
    with atomic_write(folder / SCORES) as file:
        file.write(outcome.scores.to_csv(sep="\t", index=False).encode())
    with atomic_write(folder / REPORT) as file:
        file.write(page.encode())
    return folder / REPORT


def render(outcome: Outcome, folder: Path, command: str) -> str:
    """The report as HTML; it refers to nothing outside itself."""
    spec = outcome.record.spec
    parts = {
        "title": html.escape(f"{_subject(outcome)}: {NAMES[spec.variant]} network"),
        "subtitle": html.escape(_subtitle(outcome)),
        "cards": _cards(outcome),
        "scores_text": html.escape(
            "Intervals are 95 % bootstrap intervals over the sequences, positives and negatives "
            "drawn anew 1,000 times. They do not include how much another seed would change. "
            "Guessing gives an auROC of .5 and an auPRC of the share of positives."
        ),
        "scores": _score_table(outcome),
        "remarks": "".join(f"<li>{html.escape(text)}</li>" for text in _remarks(outcome)),
        "curves": _curves(outcome),
        "insights": _insights(outcome),
        "data_text": html.escape(data_text(outcome)),
        "data": data_table(outcome),
        "dropped": dropped(outcome),
        "use_text": html.escape(
            f"{MODEL} takes sequences of {outcome.dataset.length:,} bp. Keep it beside {SPEC} and "
            f"{RESULT}, which hold the names of its tasks."
        ),
        "use": html.escape(f"sfc predict {folder} sequences.fa -o predictions.tsv"),
        "files": files(outcome),
        "provenance": provenance(outcome),
        "command": html.escape(command),
        "spec": html.escape(json.dumps(spec.to_dict(), indent=1)),
    }
    return Template(TEMPLATE.read_text()).substitute(parts)


def summary(outcome: Outcome) -> list[str]:
    """The test scores as lines of text."""
    test = outcome.scores[outcome.scores.split == "test"]
    return [
        f"test  {row['task']}: auROC {score(row['auroc'])} ({span(row, 'auroc')}), "
        f"auPRC {score(row['auprc'])} ({span(row, 'auprc')}); {row['positives']:,} positive of "
        f"{row['examples']:,}"
        for _, row in test.iterrows()
    ]


def _subject(outcome: Outcome) -> str:
    """What the network predicts: the task, if it was named, or the first file."""
    tasks = outcome.dataset.task_names
    if len(tasks) > 1:
        return f"{len(tasks)} tasks"
    first, _ = next(iter(outcome.files.values()))
    return first.name if tasks[0] in ("positive", "bound") else tasks[0]


def _subtitle(outcome: Outcome) -> str:
    spec, dataset = outcome.record.spec, outcome.dataset
    regularised = f", curvature regularisation {spec.curvature:g}" if spec.curvature else ""
    return (
        f"Network {spec.architecture}, variant {spec.variant}{regularised}, seed {spec.seed}, "
        f"trained on {len(dataset.train):,} sequences of {dataset.length:,} bp by sfc_lib "
        f"({outcome.record.result['environment']['finished'][:10]})."
    )


def _cards(outcome: Outcome) -> str:
    test = outcome.scores[outcome.scores.split == "test"]
    several = len(test) > 1
    result, dataset = outcome.record.result, outcome.dataset
    cards = []
    for name, label in (("auroc", "auROC"), ("auprc", "auPRC")):
        note = "mean of the tasks" if several else f"95 % interval {span(test.iloc[0], name)}"
        cards.append((score(test[name].mean()), f"test {label}", note))
    sizes = f"{len(dataset.train):,} / {len(dataset.valid):,} / {len(dataset.test):,}"
    total = len(dataset.train) + len(dataset.valid) + len(dataset.test)
    cards.append((f"{total:,}", "sequences", f"train / valid / test {sizes}"))
    cards.append((str(result["best_epoch"]), "best epoch", f"of {result['epochs']} trained"))
    cards.append((f"{result['parameters']:,}", "parameters", f"trained in {seconds(outcome)}"))
    return "".join(
        f'<div class="card"><span>{label}</span><b>{value}</b>'
        f"<span>{html.escape(note)}</span></div>"
        for value, label, note in cards
    )


def _score_table(outcome: Outcome) -> str:
    """Scores task by task, in the order of the tasks; what matters most stands first."""
    rows = [
        (
            task,
            SPLITS[row["split"]],
            *(f"{score(row[name])} ({span(row, name)})" for name in ("auroc", "auprc")),
            f"{row['positives']:,} ({row['positives'] / row['examples']:.1%})",
            f"{row['examples']:,}",
        )
        for task in outcome.dataset.task_names
        for _, row in outcome.scores[outcome.scores.task == task].iterrows()
    ]
    return table(["task", "split", "auROC", "auPRC", "positive", "sequences"], rows)


def _remarks(outcome: Outcome) -> Iterable[str]:
    """What a reader should know before believing the scores."""
    yield (
        "The epoch was chosen by the validation set, so that its scores are a little too good. "
        "Judge by the test set."
    )
    options = outcome.dataset.options
    if options["peaks"] and not options["negatives"]:
        yield (
            "The negatives are the positives with their dinucleotides shuffled. A network may tell "
            "them apart by what is common to all real DNA, not by what is bound. Scores against "
            "other genomic regions (--negatives) are usually lower, and say more."
        )
    test = outcome.dataset.test
    fewest = min(min(count, len(test) - count) for count in test.positives)
    if fewest < FEW:
        yield (
            f"A class of the test set has only {fewest:,} examples: differences between scores "
            "mean little."
        )
    if outcome.record.spec.class_weight:
        yield BALANCED_NOTE


def _curves(outcome: Outcome) -> str:
    result, test = outcome.record.result, outcome.dataset.test
    tasks = outcome.dataset.task_names
    return image(
        learning_curve(outcome.record.history(), result["best_epoch"]),
        "Learning curve: training loss, and scores on the validation set "
        f"({len(outcome.dataset.valid):,} sequences), by epoch. The dotted line is the epoch "
        f"whose weights were kept, {result['best_epoch']}.",
    ) + image(
        score_curves(test.labels, outcome.probabilities["test"], tasks),
        f"ROC and precision-recall curves on the test set ({len(test):,} sequences). Dashed: what "
        f"guessing gives.{_first(tasks)}",
    )


def _first(tasks: Sequence[str]) -> str:
    return f" The first {MOST_TASKS} tasks." if len(tasks) > MOST_TASKS else ""


def _insights(outcome: Outcome) -> str:
    dataset, spec = outcome.dataset, outcome.record.spec
    profile = image(
        importance_profiles(outcome.profiles, dataset.task_names, outcome.profiled),
        "Importance profile: gradient × input of the logit at each position, averaged over test "
        "positives. Above 0, bases there speak for the task."
        + (f" Bold: mean over {SPAN} bp." if dataset.length >= SMOOTHED else "")
        + _first(dataset.task_names),
    )
    if spec.variant == "std":
        return profile + (
            "<figure><p>Positional weights: the variant <code>std</code> has no SFC layer, so "
            "there is no <code>W_pos</code> to show. Train with <code>--variant sep</code> or "
            "<code>symm</code> for one.</p></figure>"
        )
    mirrored = " The layer is symmetric: each row is its own mirror image." * (
        spec.variant == "symm"
    )
    return profile + image(
        positional_weights(outcome.record.positional_weights()),
        "Positional weights W_pos of the SFC layer: a row a neuron, its mean subtracted and scaled "
        f"to unit magnitude; rows sorted by k-means cluster, which lines part.{mirrored}",
    )
