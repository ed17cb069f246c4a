"""The command `sfc`. Every verb is one call into the library, imported when it is called."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import click

from sfc_lib.errors import UserError
from sfc_lib.files import published_dir, runs_dir
from sfc_lib.own.cli import explain_verb, predict_verb, train_verb, variants_verb


class Lines:
    """Standard error that is no terminal: a progress bar says one line in half a minute."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.bar, self.due = stream, "", 0.0

    def write(self, text: str) -> int:
        """Write `text`, unless it only draws a bar again; the end of a bar is written."""
        if text.startswith("\r"):
            self.bar = text.strip()
            if self.bar and time.monotonic() >= self.due:
                self.due = time.monotonic() + 30
                self.write("\n")
        else:
            self.stream.write(self.bar + text if text == "\n" else text)
            self.bar = ""
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Group(click.Group):
    """Commands that say in one line, with exit status 1, what a user can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what nobody foresaw shows its traceback."""
        try:
            with nullcontext() if sys.stderr.isatty() else redirect_stderr(Lines(sys.stderr)):
                return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted. What is finished is kept; run it again to go on.", err=True)
            sys.exit(130)


def _use(_context: object, _option: object, folder: Path | None) -> None:
    if folder:
        os.environ["SFC_DATA_MIRROR"] = str(folder)


AGAIN = 75  # exit status of what is to be called again, EX_TEMPFAIL of sysexits.h


class Duration(click.ParamType):
    """A time in seconds, minutes or hours, as seconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """`540s`, `9m` or `1.5h`; without a letter seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value)
        if not found:
            self.fail(f"expected a time such as 540s, 9m or 1.5h, got {value!r}.", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


PATH, FORM = click.Path(path_type=Path), click.Choice(["text", "csv", "json"])
STORE = click.Path(path_type=Path, exists=True, file_okay=False)
shown = partial(click.option, show_default=True)
size_option = shown("--size", default="standard", help="How big: smoke, quick, standard or full.")
seeds_option = shown(
    "--seeds", type=click.IntRange(0), default=0, help="Runs of each network; 0: the size's number."
)
jobs_option = shown(
    "--jobs", type=click.IntRange(1), default=2, help="Training processes, one thread each."
)
published_option = shown(
    "--published/--no-published", default=True, help="Read the records of the repository too."
)
mirror_option = click.option(
    "--mirror",
    type=STORE,
    callback=_use,
    expose_value=False,
    help="Folder that holds the files under their names; nothing is downloaded then.",
)

EPILOG = """Completion of verbs and options by the Tab key: put this line into ~/.bashrc (for zsh:
zsh_source, into ~/.zshrc; fish: _SFC_COMPLETE=fish_source sfc | source)

\b
eval "$(_SFC_COMPLETE=bash_source sfc)"
"""


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sfc-lib")
def main() -> None:
    """Replicate the figures of Alexandari, Shrikumar & Kundaje (2017), or rerun parts of it.

    Example: sfc runs list
    """


for command in (train_verb, predict_verb, explain_verb, variants_verb):
    main.add_command(command)


@main.command()
@click.argument("size")
@click.option("--only", multiple=True, help="A model or an experiment; may be repeated.")
@seeds_option
@jobs_option
@click.option("--cluster", help="local, slurm, or a dask scheduler's address tcp://host:port.")
@published_option
@click.option("--dry-run", is_flag=True, help="Show what would be trained, and stop.")
@click.option(
    "--price",
    type=click.FloatRange(0, min_open=True),
    help="Of an hour of a core: --dry-run adds what the runs cost.",
)
def sweep(
    size: str, only: Sequence[str], seeds: int, dry_run: bool, price: float | None, **how: Any
) -> None:
    """Train the runs of a size that no store has yet.

    Exit status 1 if a run failed, 130 if interrupted; what is finished is kept.

    Example: sfc sweep quick --jobs 2
    """
    from sfc_lib.runs import pool, sizes

    wanted = sizes.load_size(size, seeds or None).only(only)
    if price and not dry_run:
        raise click.UsageError("--price goes with --dry-run: expected both, got a price alone.")
    if dry_run:
        click.echo(sizes.dry_run(wanted, how["published"], price))
        return
    records = pool.ensure(wanted.specs, **how)
    diverged = sum(record.diverged for record in records)
    click.echo(f"{len(records)} runs complete, of which diverged: {diverged}.")


@main.group()
def runs() -> None:
    """List, show, verify, publish and tidy run records; train them elsewhere."""


@runs.command("list")
@click.argument("store", type=STORE, required=False)
def list_runs(store: Path | None) -> None:
    """List the records of a STORE with their scores; by default the published and your own.

    Example: sfc runs list data/runs
    """
    from sfc_lib.runs.evaluation import kind_scored

    good, bad = _records(store)
    for record in good:
        valid = record.result["valid"] or {"auroc": float("nan"), "auprc": float("nan")}
        titles = kind_scored(valid).titles
        scores = "  ".join(f"{title} {valid[name]:.4f}" for name, title in titles.items())
        spec, options = record.spec, record.spec.dataset_options
        data = f"{spec.dataset} {options.get('tf', options.get('source', ''))}"
        click.echo(
            f"{spec.id}  {data:<23} {spec.variant:<4}  rate {spec.learning_rate:<6g} "
            f"CR {spec.curvature:<3g}  seed {spec.seed:<3} "
            f"{scores}  {record.result['status']}"
        )
    _name(bad, "bad records")


@runs.command()
@click.argument("store", type=STORE, required=False)
def verify(store: Path | None) -> None:
    """Check every hash of every record in a STORE; by default in the published and your own.

    Example: sfc runs verify data/runs
    """
    good, bad = _records(store)
    _name(bad, "bad records")
    click.echo(f"{len(good)} records, 0 bad.")


def _records(store: Path | None) -> tuple[list, list[str]]:
    """Records of a store or of both, and what is wrong with those that can't be trusted."""
    from sfc_lib.runs.store import all_records, stores

    return all_records([store] if store else stores(), cached=False)


def _name(bad: Sequence[str], what: str, advice: str = "") -> None:
    """Fail with what is bad, if anything is."""
    if bad:
        lines = [f"{len(bad)} {what}:", *bad, advice]
        raise click.ClickException("\n".join(lines).rstrip())


@runs.command()
@click.argument("target", type=PATH, required=False)
@size_option
@click.option(
    "--scores-only",
    is_flag=True,
    help="No models, importance (a minute each), or W_pos unless of CR or a constraint.",
)
def publish(target: Path | None, size: str, scores_only: bool) -> None:
    """Copy a size's finished records into the published store, slimmed.

    Example: sfc runs publish data/runs --size standard
    """
    from sfc_lib.runs import housekeeping, sizes, store

    if (target := target or published_dir()) is None:
        raise click.UsageError("name a folder: outside the repository there is no published store.")
    found = [store.find(spec, runs_dir()) for spec in sizes.load_size(size).specs]
    written = housekeeping.publish(
        [record for record in found if record], target, scores_only=scores_only
    )
    click.echo(f"{len(written)} of {len(found)} records published.")


@runs.command("pack")
@click.argument("size")
@click.option("--only", multiple=True, help="A model or an experiment; may be repeated.")
@seeds_option
@click.option("--change", nargs=2, multiple=True, help="Field of the specs, and its value.")
@published_option
@shown("-o", "--output", type=PATH, default="bundle", help="A new folder.")
def pack_runs(
    size: str,
    only: Sequence[str],
    seeds: int,
    change: Sequence[tuple[str, str]],
    published: bool,
    output: Path,
) -> None:
    """Pack the runs of a size that have no record, to train them on a machine without a network.

    The other machine needs Python, NumPy, Keras and the backend of the runs: `--change backend
    jax` makes them runs on JAX.

    Example: sfc runs pack full --only hematopoiesis --seeds 1 --change backend jax -o bundle
    """
    from sfc_lib.runs import bundle, sizes, store

    wanted = sizes.choose(size, seeds or None, only, sizes.parse_change(dict(change)))
    missing = [spec for spec in wanted.specs if store.look_up(spec, published) is None]
    packed = bundle.pack(missing, output)
    click.echo(
        f"{packed.runs} runs and {packed.datasets} datasets packed in {packed.files} files of "
        f"{packed.size / 1e6:.1f} MB. Copy {output} to the other machine, and there:\n"
        f"  python {output / bundle.START} --limit 540s\n"
        f"Copy it back, or its folder {bundle.RUNS} alone, and here:\n"
        f"  sfc runs import {output}"
    )


@runs.command("train")
@click.argument("bundle", type=STORE)
@click.option("--limit", type=Duration(), help="Time after which it ends: 540s, 9m, 1.5h.")
@click.option("--jobs", type=click.IntRange(1), help="Training processes; by default one a core.")
@click.option("--accelerator", is_flag=True, help="Train on it; the processes share it.")
@click.option("--work", type=PATH, help="Folder for the runs, if the bundle is only read.")
def train_bundle(bundle: Path, **how: Any) -> None:
    """Train the runs of a BUNDLE that have no record yet, as far as the limit allows.

    Exit status 75 if there is more to do: call it again, and it goes on. 1 if a run failed.

    Example: sfc runs train bundle --limit 540s
    """
    from sfc_lib.runs.bundle import train

    state = train(bundle, say=click.echo, **how)
    click.echo(f"{state.finished} of {state.runs} runs are finished.")
    if state.finished < state.runs:
        click.echo("Call it again to go on.")
        sys.exit(AGAIN)


@runs.command("import")
@click.argument("folder", type=STORE)
def import_runs(folder: Path) -> None:
    """Take the finished records in a FOLDER, or a bundle, into your own store.

    Example: sfc runs import bundle
    """
    from sfc_lib.runs.bundle import bring_home

    brought = bring_home(folder)
    click.echo(
        f"{len(brought.taken)} records taken into {runs_dir()}, {len(brought.present)} were there, "
        f"{len(brought.unfinished)} runs are unfinished and stay in {folder}."
    )


@runs.command()
@click.argument("run")
def show(run: str) -> None:
    """Show one record: what was trained, how it went, and where it comes from.

    The id may be shortened to its first digits. The published store is looked at first.

    Example: sfc runs show 664ee8bc958542bb
    """
    from sfc_lib.runs import housekeeping

    click.echo(housekeeping.record_card(housekeeping.find_id(run)))


@runs.command()
@click.argument("run")
@click.option("--epochs", type=click.IntRange(min=1), help="Train only so many, and compare these.")
def retrain(run: str, epochs: int | None) -> None:
    """Train one run again from nothing, and compare it with its record.

    Example: sfc runs retrain 664ee8bc958542bb --epochs 1
    """
    from sfc_lib.runs import housekeeping, pool

    record = housekeeping.find_id(run)
    with tempfile.TemporaryDirectory() as folder:
        click.echo(housekeeping.compare(record, pool.retrain(record, Path(folder), epochs)))


@runs.command()
@click.option("--damaged", is_flag=True, help="Remove records set aside as damaged too.")
@click.option("--unfinished", is_flag=True, help="Remove unfinished runs too; they start afresh.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(damaged: bool, unfinished: bool, yes: bool) -> None:
    """Remove what killed processes left in the user's store.

    Finished records and runs being trained are never touched.

    Example: sfc runs prune --damaged
    """
    from sfc_lib.runs import housekeeping

    root = runs_dir()
    found = housekeeping.litter(root, damaged=damaged, begun=unfinished)
    for path in found:
        click.echo(path.relative_to(root))
    if found and not yes:
        click.confirm(f"Remove these {len(found)} from {root}?", abort=True)
    removed = housekeeping.prune(root, damaged=damaged, begun=unfinished) if found else []
    click.echo(f"{len(removed)} removed from {root}.")


@main.command()
@click.argument("name")
@click.option("-p", "parameters", nargs=2, multiple=True, help="Parameter and its value.")
@click.option("-o", "--output", type=PATH, help="Executed notebook.")
@click.option("--list-parameters", is_flag=True, help="Show what can be set, and stop.")
def notebook(
    name: str, parameters: Sequence[tuple[str, str]], output: Path | None, list_parameters: bool
) -> None:
    """Run one of the project's notebooks with checked parameters.

    Example: sfc notebook figure2_learning_curves -p seeds 3 -o out.ipynb
    """
    from sfc_lib.pages import notebook

    path = notebook.notebook_path(name)
    if list_parameters:
        for item in notebook.parameters(path).values():
            click.echo(f"{item.name}: {item.kind} = {item.default!r}  # {item.help}")
        return
    output = output or Path(f"{path.stem}.out.ipynb")
    click.echo(f"Wrote {notebook.run_notebook(path, output, dict(parameters))}")


@main.command("claims")
@size_option
@seeds_option
@published_option
@click.option(
    "--format",
    "form",
    type=FORM,
    help="Text to read, the default; csv has a row a comparison, json claims with theirs.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def show_claims(size: str, seeds: int, published: bool, form: str | None, as_json: bool) -> None:
    """Judge the paper's claims by the runs of a size.

    Nothing is trained: where runs have no record, it says which, and how to train them.

    Example: sfc claims --size standard --json
    """
    from sfc_lib.pages.results import load_results, with_evidence

    if as_json and form not in (None, "json"):
        raise click.UsageError(f"Expected --json or --format {form}, got both.")
    form = "json" if as_json else form or "text"
    results = with_evidence(load_results(size, seeds, published, jobs=0), published)
    from sfc_lib.pages import claims  # later: it takes long, and there may be nothing to grade

    click.echo(claims.FORMATS[form](claims.grade(results)).rstrip("\n"))


@main.command()
@size_option
@seeds_option
@shown("--jobs", type=click.IntRange(1), default=2, help="Notebooks, or trainings, at once.")
@published_option
@click.option("-o", "--output", type=PATH, default="book/_build/html")
def book(output: Path, **how: Any) -> None:
    """Run every notebook and build the book.

    Example: sfc book --size quick --no-published
    """
    from sfc_lib.pages.book import build_book

    index = build_book(output, **how)
    click.echo(f"Open {index}")


@main.command("report")
@click.option("-o", "--output", type=PATH, default="report.pdf")
def print_report(output: Path) -> None:
    """Print the replication report, from the published records, as a PDF. It takes Chromium.

    Example: sfc report -o report.pdf
    """
    from sfc_lib.pages.report import print_pdf

    click.echo(f"Wrote {print_pdf(output)}")


@main.group()
def data() -> None:
    """Source files, where they come from, and the datasets built from them."""


@data.command("list")
@click.argument("names", nargs=-1)
@click.option("--cite", is_flag=True, help="Show addresses, and what to cite.")
def list_data(names: Sequence[str], cite: bool) -> None:
    """List source files (all, or those of a NAME, folder or pattern).

    Example: sfc data list --cite 'hg19/*'
    """
    from sfc_lib.genomics import sources

    chosen = sources.select(names or ["*"])
    absent = sources.missing(chosen)
    for source in chosen:
        state = "" if source in absent else "here"
        click.echo(f"{source.size:>23}  {state:<4}  {source.file}  ({source.licence})")
        if cite:
            click.echo("\n".join(f"{'':>31}{a}" for a in (*source.addresses, source.citation)))
    total, here = sum(source.download_bytes for source in chosen), len(chosen) - len(absent)
    click.echo(f"{len(chosen)} files, about {total:,} bytes to download; {here} are here.")


@data.command()
@click.argument("names", nargs=-1)
@mirror_option
def fetch(names: Sequence[str]) -> None:
    """Get source files by download or from a local mirror folder.

    NAMES are files, folders or patterns; without any, all but the full genome (hg19/full).

    Example: sfc data fetch encode_dnase 'hg19/chr2*' --mirror /path/to/mirror
    """
    from sfc_lib.genomics import sources

    chosen = sources.select(names)
    _announce([source.file for source in chosen])
    for source in chosen:
        click.echo(sources.fetch(source.file))


@data.command("verify")
@click.argument("names", nargs=-1)
def verify_data(names: Sequence[str]) -> None:
    """Check the source files and the built datasets in the cache.

    Source files are read again, and compared with the registry; built datasets with the hashes
    of their build. With NAMES, only these source files, which must be there. Exit status 1 if
    anything is bad; each is named.

    Example: sfc data verify
    """
    from sfc_lib.datasets.base import built_datasets, damage
    from sfc_lib.genomics import sources

    good, bad = sources.recheck(sources.select(names) if names else None)
    built = [] if names else built_datasets()
    spoilt = [problem for folder in built if (problem := damage(folder))]
    _name(spoilt, "damaged datasets", "Whatever needs one of them next builds it again.")
    advice = f"{len(good)} are good. `sfc data fetch NAME` gets a bad one again."
    _name([f"{name}: {problem}" for name, problem in bad.items()], "bad files", advice)
    click.echo(f"{len(good)} files, 0 bad." + (f" {len(built)} datasets, 0 bad." if built else ""))


@data.command()
@click.argument("name")
@click.option("-o", "options", nargs=2, multiple=True, help="Option of the dataset, and its value.")
@mirror_option
def build(name: str, options: Sequence[tuple[str, str]]) -> None:
    """Build a dataset, unless it is there, and show its splits, classes, drops and sources.

    Example: sfc data build simulated_tf -o source deeplift
    """
    from sfc_lib.datasets.base import card, load_dataset, make_recipe, parse_options

    values = parse_options(name, dict(options))
    _announce(list(make_recipe(name, values).inputs()))
    click.echo(card(load_dataset(name, **values)))


def _announce(names: Sequence[str]) -> None:
    """Show what will be obtained, if anything, and make sure that there is room for it."""
    from sfc_lib.genomics import sources

    known = sources.registry()
    absent = sources.missing([known[name] for name in names if name in known])
    if absent:
        click.echo(sources.announce(absent), err=True)
        sources.check_space(absent)
