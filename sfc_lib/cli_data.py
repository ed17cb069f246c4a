"""The verbs `sfc data …`: source files and the datasets built from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

mirror_option = click.option(
    "--mirror",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    callback=lambda _context, _option, folder: _use(folder),
    expose_value=False,
    help="Folder that holds the files under their names; nothing is downloaded then.",
)


def _use(folder: Path | None) -> None:
    if folder:
        os.environ["SFC_DATA_MIRROR"] = str(folder)


@click.group()
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
    total = sum(source.download_bytes for source in chosen)
    here = len(chosen) - len(absent)
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


@data.command()
@click.argument("names", nargs=-1)
def verify(names: Sequence[str]) -> None:
    """Read the source files in the cache again, and compare them with the registry.

    With NAMES, those must be there. Exit status 1 if any is bad; each is named.

    Example: sfc data verify
    """
    from sfc_lib.genomics import sources

    good, bad = sources.verify(sources.select(names) if names else None)
    if bad:
        found = [f"{name}: {problem}" for name, problem in bad.items()]
        advice = f"{len(good)} are good. `sfc data fetch NAME` gets a bad one again."
        raise click.ClickException("\n".join([f"{len(bad)} bad files:", *found, advice]))
    click.echo(f"{len(good)} files, 0 bad.")


@data.command()
@click.argument("name")
@click.option("-o", "options", nargs=2, multiple=True, help="Option of the dataset, and its value.")
@mirror_option
def build(name: str, options: Sequence[tuple[str, str]]) -> None:
    """Build a dataset, unless it is there, and show its splits, classes, drops and sources.

    Example: sfc data build simulated_tf -o source deeplift
    """
    from sfc_lib.datasets.base import load_dataset, make_recipe
    from sfc_lib.datasets.card import card, parse_options

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
