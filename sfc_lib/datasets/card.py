"""A dataset in a few lines: splits, class counts, drops, sources; and its options from text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sfc_lib.datasets.base import SPLITS, Dataset, make_recipe, recipe_class
from sfc_lib.genomics.sources import registry


def parse_options(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Options of a dataset from text, each of the type its recipe gives it.

    Numbers, true, false and null are written as in JSON, tuples with commas. What can't be
    read so stays text, and the recipe says what it expects; so it does for unknown options.

    Raises:
        ValueError: An unknown dataset; the valid ones are listed.

    Example:

    >>> parse_options("simulated_tf", {"source": "generated", "examples": "400"})
    {'source': 'generated', 'examples': 400}
    """
    kinds = get_type_hints(recipe_class(name))
    return {option: _value(text, kinds.get(option, str)) for option, text in texts.items()}


def _value(text: str, kind: Any) -> Any:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for one in kinds:
        if get_origin(one) is tuple:
            return tuple(_value(part, get_args(one)[0]) for part in text.split(","))
    if str in kinds:
        return text
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def card(dataset: Dataset) -> str:
    """What to know of a dataset before using it, for people to read."""
    options = {name: value for name, value in dataset.options.items() if value not in (None, ())}
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in options.items())
    lines = [f"{dataset.name} ({chosen})", f"fingerprint  {dataset.fingerprint}"]
    for name in SPLITS:
        split = getattr(dataset, name)
        lines.append(f"{name:<11}  {len(split):,} sequences of {dataset.length:,} bp; positive:")
        for task, count in zip(dataset.task_names, split.positives, strict=True):
            share = f"{count / len(split):.1%}" if len(split) else "none"
            lines.append(f"{'':<11}    {task} {count:,} ({share})")
    dropped = [f"dropped      {count:,} {why}" for why, count in dataset.dropped.items() if count]
    lines += dropped or ["dropped      none"]
    lines += [f"counted      {count:,} {what}" for what, count in dataset.counts.items()]
    return "\n".join([*lines, *_sources(dataset)])


def _short(value: Any) -> str:
    """An option as text; of the hashes that stand for files, the first digits."""
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    return re.sub(r"^([0-9a-f]{8})[0-9a-f]{56}$", r"\1…", str(value))


def _sources(dataset: Dataset) -> list[str]:
    """A line for each source file, or folder of several: licence, and what to cite."""
    known = registry()
    groups: dict[tuple[str, str], list[str]] = {}
    for name in make_recipe(dataset.name, dataset.options).inputs():
        about = f" ({known[name].licence}; {known[name].citation})" if name in known else ""
        groups.setdefault((name.partition("/")[0], about), []).append(name)
    return [
        f"source       {names[0] if len(names) == 1 else f'{len(names)} files of {folder}'}{about}"
        for (folder, about), names in groups.items()
    ]
