"""A run on your own data as one HTML file that needs nothing else, and its model beside it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from sfc_lib.analysis import report_figures as figures
from sfc_lib.analysis.figures import NAMES
from sfc_lib.analysis.report_data import (
    SPLITS,
    data_table,
    data_text,
    dropped,
    files,
    provenance,
    seconds,
)
from sfc_lib.analysis.report_html import image, score, span, table
from sfc_lib.experiments.own import Outcome
from sfc_lib.experiments.spec import RunSpec
from sfc_lib.experiments.store import MODEL, RESULT, SPEC
from sfc_lib.files import UserError, atomic_write

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
        figures.learning_curve(outcome.record.history(), result["best_epoch"]),
        "Learning curve: training loss, and scores on the validation set "
        f"({len(outcome.dataset.valid):,} sequences), by epoch. The dotted line is the epoch "
        f"whose weights were kept, {result['best_epoch']}.",
    ) + image(
        figures.score_curves(test.labels, outcome.probabilities["test"], tasks),
        f"ROC and precision-recall curves on the test set ({len(test):,} sequences). Dashed: what "
        f"guessing gives.{_first(tasks)}",
    )


def _first(tasks: Sequence[str]) -> str:
    return f" The first {figures.MOST_TASKS} tasks." if len(tasks) > figures.MOST_TASKS else ""


def _insights(outcome: Outcome) -> str:
    dataset, spec = outcome.dataset, outcome.record.spec
    profile = image(
        figures.importance_profiles(outcome.profiles, dataset.task_names, outcome.profiled),
        "Importance profile: gradient × input of the logit at each position, averaged over test "
        "positives. Above 0, bases there speak for the task."
        + (f" Bold: mean over {figures.SPAN} bp." if dataset.length >= figures.SMOOTHED else "")
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
        figures.positional_weights(outcome.record.positional_weights()),
        "Positional weights W_pos of the SFC layer: a row a neuron, its mean subtracted and scaled "
        f"to unit magnitude; rows sorted by k-means cluster, which lines part.{mirrored}",
    )
