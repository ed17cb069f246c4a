"""The parts of a report that say what went in and where it comes from."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from sfc_lib.analysis.report_html import table
from sfc_lib.experiments.own import Outcome
from sfc_lib.experiments.store import MODEL

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
