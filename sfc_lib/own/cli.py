"""The verbs `sfc train` and `sfc predict`: your own data, and sequences to predict for."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

FILE = click.Path(path_type=Path)
FILES = ("positives", "negatives", "sequences", "labels", "peaks", "genome")
OF_DATA = ("window", "valid_chromosomes", "test_chromosomes", "valid_fraction", "test_fraction")


def _chromosomes(_context: object, _option: object, text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


@click.command()
@click.option("--positives", type=FILE, help="FASTA of positive sequences.")
@click.option("--negatives", type=FILE, help="FASTA of negatives; beside --peaks also BED.")
@click.option("--sequences", type=FILE, help="FASTA of sequences, with --labels.")
@click.option("--labels", type=FILE, help="Table: name, then 0 or 1 for each task; tabs, header.")
@click.option("--peaks", type=FILE, help="BED or narrowPeak, with --genome.")
@click.option("--genome", type=FILE, multiple=True, help="FASTA; may be repeated.")
@click.option("--window", type=int, help="bp around a peak; 1000 by default.")
@click.option("--valid-chromosomes", callback=_chromosomes, help="Of peaks, with commas.")
@click.option("--test-chromosomes", callback=_chromosomes, help="Of peaks, with commas.")
@click.option("--valid-fraction", type=float, default=0.1, show_default=True)
@click.option("--test-fraction", type=float, default=0.1, show_default=True)
@click.option("--task", help="Name of what the positives are, for instance the TF.")
@click.option(
    "--variant", default="sep", show_default=True, help="std (no SFC layer), sep or symm."
)
@click.option("--architecture", help="simulated_tf, chip_seq or basset; by length if left out.")
@click.option("--width", default=1.0, show_default=True, help="Factor on the number of filters.")
@click.option("--curvature", default=0.0, show_default=True, help="Strength of regularisation.")
@click.option("--epochs", default=50, show_default=True, help="At most.")
@click.option("--patience", default=10, show_default=True, help="Epochs without a better one.")
@click.option("--learning-rate", default=0.001, show_default=True)
@click.option("--class-weight/--no-class-weight", default=None, help="By default if imbalanced.")
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=FILE, help="Folder of the report; sfc-ID by default.")
@click.pass_context
def train(context: click.Context, task: str | None, output: Path | None, **values: Any) -> None:
    """Train a network on your own sequences or peaks, and report on it.

    Give --positives and --negatives, or --sequences and --labels, or --peaks and --genome.
    Interrupted, the same command goes on.

    Example: sfc train --positives pos.fa --negatives neg.fa --variant symm
    """
    options = {name: values.pop(name) for name in (*FILES, *OF_DATA)}
    options["task_names"] = (task,) if task else ()
    with _in_words():
        _train(options, output, _command(context), values)


def _train(
    options: Mapping[str, Any], output: Path | None, command: str, settings: Mapping[str, Any]
) -> None:
    from sfc_lib.datasets.base import card, load_dataset
    from sfc_lib.own import report, train

    spec = train.plan(options, **settings)
    folder = output or Path(f"sfc-{spec.id}")
    report.require_free(folder, spec)
    click.echo(card(load_dataset("custom", **spec.dataset_options)))
    click.echo(f"run          {spec.id}: {spec.architecture}, {spec.variant}, seed {spec.seed}")
    outcome = train.evaluate(train.train(spec))
    page = report.write_report(outcome, folder, command)
    for line in report.summary(outcome):
        click.echo(line)
    click.echo(f"Open {page}")


@click.command()
@click.argument("model", type=FILE)
@click.argument("sequences", type=FILE)
@click.option("-o", "--output", type=FILE, help="Table to write; printed by default.")
def predict(model: Path, sequences: Path, output: Path | None) -> None:
    """Predict for each sequence of a FASTA file with a saved MODEL (a file, or its folder).

    Writes a table: name, and the probability of each task. N and other letters for several
    bases count neither for nor against.

    Example: sfc predict report seqs.fa -o out.tsv
    """
    from tqdm.auto import tqdm

    from sfc_lib.files import atomic_write
    from sfc_lib.own.train import use_keras

    use_keras()
    from sfc_lib.own.predict import load_predictor, predict_fasta

    with _in_words(), tqdm(desc="predicting", unit="sequence") as bar:
        predictor = load_predictor(model)
        if output:
            with atomic_write(output) as file:
                number = predict_fasta(predictor, sequences, file, bar.update)
        else:
            with tempfile.TemporaryFile() as file:  # all or nothing, as a file
                predict_fasta(predictor, sequences, file, bar.update)
                file.seek(0)
                shutil.copyfileobj(file, sys.stdout.buffer)
    if output:
        click.echo(f"Wrote {output}: {number:,} sequences, {len(predictor.tasks)} tasks.")


@contextmanager
def _in_words() -> Iterator[None]:
    """Warnings of the block as one line each, and errors of the system without a traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
        try:
            yield
        except OSError as error:
            raise click.ClickException(str(error)) from error


def _command(context: click.Context) -> str:
    """What was typed, so that it can be typed again."""
    parts: list[str] = ["sfc", "train"]
    for option in context.command.params:
        name = str(option.name)
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if isinstance(value, bool):
            parts.append(option.opts[0] if value else option.secondary_opts[0])
        elif option.multiple:
            parts += [part for one in value for part in (option.opts[0], str(one))]
        else:
            parts += [option.opts[0], ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(parts)
