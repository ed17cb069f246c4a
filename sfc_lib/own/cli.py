"""The verbs `train`, `predict`, `explain` and `variants`: a network of your own data."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from sfc_lib.errors import UserError

if TYPE_CHECKING:
    from sfc_lib.own.predict import Predictor


class Typed(click.Command):
    """A command that knows how it was typed, so that a report can say how to repeat it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments before click takes them apart."""
        ctx.meta["typed"] = shlex.join(["sfc", str(ctx.info_name), *args])
        return super().parse_args(ctx, args)


class Existing(click.Path):
    """A file that is there, `~` and all: a shell leaves that of `--genome=~/hg19.fa` as it is."""

    def convert(self, value: Any, *where: Any) -> Any:
        """The path, or click's error if nothing is there."""
        return super().convert(os.path.expanduser(value), *where)


TABLE = click.Path(dir_okay=False, path_type=Path)
FILE = Existing(exists=True, dir_okay=False, path_type=Path)
COUNT, FACTOR = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
PATH = click.Path(path_type=Path)
VARIANTS = click.Choice(["std", "sep", "symm"])
ARCHITECTURES = click.Choice(["compact", "simulated_tf", "chip_seq", "basset"])
FILES = (
    *("positives", "negatives", "sequences", "labels", "peaks", "genome"),
    *("test", "test_negatives", "test_labels"),
)
OF_DATA = (
    "window",
    "background",
    "valid_chromosomes",
    "test_chromosomes",
    "valid_fraction",
    "test_fraction",
)
FLAGS = ("partial_genome", "continuous")


def _chromosomes(_context: object, _option: object, text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


file = partial(click.option, type=FILE)
chromosomes = partial(
    click.option, callback=_chromosomes, help="Of peaks or named places, with commas."
)
option = partial(click.option, show_default=True)


@click.command("train", cls=Typed)
@file("--positives", help="FASTA of positive sequences.")
@file("--negatives", help="FASTA of negatives; beside --peaks also BED.")
@file("--sequences", help="FASTA of sequences, with --labels.")
@file("--labels", help="Table: name, then 0, 1 or NA for each task; tabs, header.")
@option("--continuous", is_flag=True, help="Labels are measurements, as of an MPRA.")
@file("--peaks", help="BED or narrowPeak, with --genome.")
@file("--genome", multiple=True, help="FASTA; may be repeated.")
@option("--window", type=COUNT, help="bp around a peak; 1000 by default.")
@option("--partial-genome", is_flag=True, help="Leave out peaks that lie elsewhere.")
@option(
    "--background",
    type=click.Choice(["genomic", "shuffled"]),
    help="Of peaks without negatives: genomic by default; shuffled ones are easy.",
)
@chromosomes("--valid-chromosomes", "--valid-chrom")
@chromosomes("--test-chromosomes", "--test-chrom")
@file("--test", help="A test set of its own: as --positives, --sequences or --peaks.")
@file("--test-negatives", help="Its negatives, where --negatives are given.")
@file("--test-labels", help="Its labels, where --labels are given.")
@option("--valid-fraction", type=SHARE, default=0.1)
@option("--test-fraction", type=SHARE, default=0.1, help="None of it beside --test.")
@option("--task", help="Name of what the positives are, for instance the TF.")
@option("--variant", type=VARIANTS, default="symm", help="std has no SFC layer.")
@option("--architecture", type=ARCHITECTURES, help="By length if left out.")
@option("--width", type=FACTOR, default=1.0, help="Factor on the number of filters.")
@option("--units", type=COUNT, help="SFC neurons; 24 by default.")
@option("--curvature", type=click.FloatRange(0), help="Strength of regularisation; by default 1.")
@option("--dropout", type=click.FloatRange(0, 1, max_open=True), help="By default the network's.")
@option("--both-strands/--one-strand", default=True, help="In training, and averaged.")
@option("--conjoined", is_flag=True, help="Train on both strands at once: twice the time.")
@option("--shift", type=click.IntRange(0), help="bp either way in training; 5 by default.")
@option(
    "--start",
    type=click.Choice(["kmers", "motifs", "random"]),
    default="kmers",
    help="Of filters: motifs are those of --motifs, and k-mers too.",
)
@option("--regression/--network-alone", default=True, help="On 8-mers, added to the network.")
@option("--ensemble", type=COUNT, default=1, help="Networks whose logits are averaged.")
@option("--epochs", type=COUNT, default=100, help="At most.")
@option("--patience", type=COUNT, default=15, help="Epochs without a better one.")
@option("--learning-rate", type=FACTOR, default=0.001)
@option("--weight-decay", type=click.FloatRange(0), default=0.001, help="Of AdamW.")
@option("--class-weight/--no-class-weight", default=None, help="By default if imbalanced.")
@option("--seed", type=click.IntRange(0), default=0)
@file("--motifs", help="MEME format; by default motifs of the library.")
@click.option("--check", is_flag=True, help="Only look for what is wrong with the data.")
@option("-o", "--output", type=PATH, help="Folder of the report; sfc-ID by default.")
@click.pass_context
def train_verb(
    context: click.Context,
    task: str | None,
    output: Path | None,
    ensemble: int,
    motifs: Path | None,
    check: bool,
    **values: Any,
) -> None:
    """Train a network on your own sequences or peaks, and report on it.

    Give --positives and --negatives, or --sequences and --labels, or --peaks and --genome.
    Labels are 0 and 1, or with --continuous measurements: the network then predicts values, and
    is judged by Pearson's and Spearman's correlations. What can be wrong with the data is looked
    for first, and a regression on 6-mer counts runs beside the network, on the same split.
    Interrupted, the same command goes on.

    Example: sfc train --positives pos.fa --negatives neg.fa --variant symm -o report
    """
    from sfc_lib.own.files import require_kind

    options = {name: values.pop(name) for name in (*FILES, *OF_DATA, *FLAGS)}
    require_kind((name for name in FILES if options[name]), "--")
    options["task_names"] = (task,) if task else ()
    values["regression"] = None if values["regression"] else 0
    from sfc_lib.datasets.base import card, load_dataset
    from sfc_lib.genomics.motifs import read_meme
    from sfc_lib.own import audit, report, train
    from sfc_lib.own.baseline import fit_baseline

    with _warnings_in_a_line():
        known = read_meme(motifs) if motifs else None
        if check:
            dataset = load_dataset("custom", **options)
            lines = [card(dataset), *audit.check_lines(audit.audit(dataset))]
            click.echo("\n".join(lines))
            return
        spec = train.own_spec(options, collection=known, **values)
        specs = train.ensemble_specs(spec, ensemble)
        folder = output or Path(f"sfc-{spec.id}")
        report.require_free(folder, specs)
        train.require_network(spec)
        dataset = spec.load_dataset()
        baseline = fit_baseline(dataset)
        checks = audit.audit(dataset, baseline)
        bad = [found for found in checks if found.light != audit.GREEN]
        about = [card(dataset), f"audit        {audit.summary(checks)}", *audit.check_lines(bad)]
        click.echo("\n".join(about))
        for one in specs:
            click.echo(f"run          {one.id}: {one.architecture}, {one.variant}, seed {one.seed}")
        outcome = train.evaluate(train.train_own(specs), baseline, checks, known)
        page = report.write_report(outcome, folder, context.meta["typed"])
        click.echo("\n".join([*report.score_lines(outcome), f"Open {page}"]))


def with_model(argument: str) -> Callable[[Callable], Callable]:
    """Decorator of a verb that takes a saved MODEL and a file named `argument`."""

    def decorate(verb: Callable) -> Callable:
        help = "Even if result.json beside it is of another model."
        verb = option("--anyway", is_flag=True, help=help)(verb)
        verb = click.argument(argument, type=FILE)(verb)
        return click.argument("model", type=click.Path(exists=True, path_type=Path))(verb)

    return decorate


def _load(model: Path, anyway: bool) -> Predictor:
    """The predictor of a MODEL; one that may not be used is refused before Keras is imported."""
    from sfc_lib.own import predict
    from sfc_lib.runs.pool import use_keras

    found = predict.find_models(model, anyway=anyway)
    use_keras()
    return predict.load_models(found)


@click.command("predict")
@option("-o", "--output", type=TABLE, help="Table, gzip if named .gz; printed by default.")
@with_model("sequences")
def predict_verb(model: Path, sequences: Path, output: Path | None, anyway: bool) -> None:
    """Predict for each sequence of a FASTA file with a saved MODEL (a file, or its folder).

    Writes a table: name, and the probability of each task, or its value if the model was trained
    on measurements. N and other letters for several bases count neither for nor against.

    Example: sfc predict report seqs.fa -o out.tsv
    """
    from tqdm.auto import tqdm

    with _warnings_in_a_line(), _table(output) as file:
        from sfc_lib.own.predict import predict_fasta

        predictor = _load(model, anyway)
        with tqdm(desc="predicting", unit="sequence") as bar:
            number = predict_fasta(predictor, sequences, file, bar.update)
    if output:
        click.echo(f"Wrote {output}: {number:,} sequences, {len(predictor.tasks)} tasks.")


@click.command("explain")
@file(
    "--genome", multiple=True, help="FASTA; then SEQUENCES is BED or narrowPeak. May be repeated."
)
@option("--partial-genome", is_flag=True, help="Leave out peaks that lie elsewhere.")
@option("-o", "--output", type=PATH, required=True, help="Folder of what is found.")
@option("--task", help="Name of the task; the first by default.")
@option("--method", type=click.Choice(["gradient", "ism"]), default="gradient")
@option("--most", type=COUNT, default=1000, help="Sequences, those predicted highest.")
@option("--top", type=COUNT, default=10, help="Logos of so many of them.")
@option("--region", multiple=True, help="NAME or NAME:START-END, from 0: a logo too; repeat.")
@file("--motifs", help="MEME format; by default motifs of the library.")
@option("--bigwig", is_flag=True, help="Also contributions.bw, for a browser: sfc_lib[bigwig].")
@with_model("sequences")
def explain_verb(
    model: Path, sequences: Path, genome: tuple[Path, ...], partial_genome: bool, output: Path,
    task: str | None, method: str, most: int, top: int, region: tuple[str, ...],
    motifs: Path | None, bigwig: bool, anyway: bool,
) -> None:  # fmt: skip
    """Tell which bases of SEQUENCES a saved MODEL looks at, and which motifs they are.

    SEQUENCES is FASTA; with --genome, peaks. In-silico mutagenesis scores three changes of every
    base on both strands: for long sequences, choose few (--most).

    Example: sfc explain report seqs.fa -o explained --motifs JASPAR.meme
    """
    from sfc_lib.files import writable
    from sfc_lib.own.bigwig import as_bigwig, places_of, require_pybigtools

    writable(output)
    if bigwig:
        require_pybigtools()
    with _warnings_in_a_line():
        from tqdm.auto import tqdm

        from sfc_lib.genomics.genome import Genome
        from sfc_lib.genomics.motifs import read_meme, shipped_motifs
        from sfc_lib.own import explain as work

        known = read_meme(motifs) if motifs else shipped_motifs()
        predictor = _load(model, anyway)
        reference = Genome(genome).read() if genome else None
        names, codes = work.read_sequences(predictor, sequences, reference, partial_genome)
        if bigwig:
            places_of(names, predictor.length)  # before anything is computed
        bar = partial(tqdm, desc="explaining", unit="batch" if method == "gradient" else "sequence")
        regions = [work.parse_region(text, names, predictor.length) for text in region]
        found = work.explain(
            predictor, names, codes, task, method=method, most=most,
            always=[one.name for one in regions], progress=bar,
        )  # fmt: skip
        seen = work.find_motifs(predictor, found, known, bar)
        track = None
        if bigwig:
            places = places_of(found.names, predictor.length)
            track = as_bigwig(found.added, places, reference)
        paths = work.write_explained(found, output, regions, top, seen, track)
    click.echo("\n".join(work.summary(found, seen)))
    click.echo(f"Wrote {', '.join(path.name for path in paths)} into {output}.")


@click.command("variants")
@file("--genome", multiple=True, required=True, help="FASTA; may be repeated.")
@option("-o", "--output", type=TABLE, multiple=True, help="VCF if named so, else a table; repeat.")
@option("--background", type=click.IntRange(0), default=1000, help="Variants of the rank, at most.")
@option("--skip", is_flag=True, help="Leave out, and count, what is otherwise refused.")
@with_model("variants")
def variants_verb(
    model: Path, variants: Path, genome: tuple[Path, ...], output: tuple[Path, ...],
    background: int, skip: bool, anyway: bool,
) -> None:  # fmt: skip
    """Score VARIANTS of a genome with a saved MODEL: each allele in the middle of its window.

    VARIANTS is VCF, or a table of chrom, pos (from 1), ref and alt. Logits and probabilities of
    both alleles, their differences, the range of the difference over strands, and its rank
    among variants in shuffled sequences are printed as a table, or written. A model of
    measurements has values in their place.

    Example: sfc variants report snvs.vcf.gz --genome hg19.fa -o scored.tsv -o scored.vcf.gz
    """
    from tqdm.auto import tqdm

    with _warnings_in_a_line(), ExitStack() as stack:
        files = [(stack.enter_context(_table(path)), _format(path)) for path in output or (None,)]
        from sfc_lib.genomics.genome import Genome
        from sfc_lib.own.variants import score_variants

        predictor, reference = _load(model, anyway), Genome(genome).read()
        bar = stack.enter_context(tqdm(desc="scoring", unit="variant"))
        tally = score_variants(
            predictor, variants, reference, files, skip=skip, background=background,
            progress=lambda total: bar.reset(total) or bar.update,
        )  # fmt: skip
    left_out = "; ".join(f"{count:,} {why}" for why, count in tally.skipped.items()) or "none"
    click.echo(f"{tally.scored:,} alleles scored. Left out: {left_out}.", err=not output)
    for path in output:
        click.echo(f"Wrote {path}.")


def _format(path: Path | None) -> str:
    return "vcf" if path and ".vcf" in path.suffixes[-2:] else "tsv"


@contextmanager
def _table(output: Path | None) -> Iterator[IO[bytes]]:
    """Where a table is written, whole or not at all: a file, or standard output."""
    if output is None:
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout.buffer)
        return
    from sfc_lib.files import atomic_write, writable

    if output.exists() and not output.is_file():
        raise UserError(f"{output}: expected a file to write, got a device or a pipe.")
    writable(output.parent)
    with atomic_write(output) as file:
        if output.suffix != ".gz":
            yield file
            return
        from sfc_lib.genomics.text import BlockGzip

        with BlockGzip(file) as packed:
            yield cast(IO[bytes], packed)


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
        yield
