"""The benchmark: `python benchmarks/run.py` measures every section into one result file.

Each section replaces its own part of `benchmarks/results.json` and no other. Its parts are
measured by processes of their own, one after the other, so that one that fails, or lacks a
library, leaves the others alone: it is listed as left out, with the reason. Run it on an
idle machine; compare ratios, not times. `--quick` tries everything out in a few minutes,
with too few repeats to mean anything, into `benchmarks/quick.json`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from measure import SIZES, MissingError, Size, summarised
from sections import SECTIONS

from sfc_lib.errors import UserError
from sfc_lib.files import silenced, write_json
from sfc_lib.runs.pool import ONE_THREAD
from sfc_lib.runs.store import environment

HERE = Path(__file__).resolve().parent
LIMIT = 3 * 3600  # seconds after which a part is given up


def main() -> int:
    """Measure the sections asked for; the exit status is 1 if a part failed."""
    options = _options()
    if options.part:
        return _measure_part(options.only[0], options.part, Size(options.size), options.output)
    _sections(options.output)  # a damaged file is refused before any work
    failed = False
    for name in options.only or SECTIONS:
        section = _section(name, options.size)
        failed |= any(part["failed"] for part in section["parts"].values())
        _replace(options.output, name, section)
    from sfc_lib.pages.speed import bounds, load_speed  # not by workers, which import this file

    table = bounds(load_speed(options.output))
    print(table.to_string(index=False) if len(table) else "No bound was measured.")
    print(f"Written to {options.output}.")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="a section; may be repeated"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick")
    size.add_argument(
        "--full", dest="size", action="store_const", const="full",
        help="long runs in the section sweep: 30 of them, to their end",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="the result file")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # in the process of a part
    options = parser.parse_args()
    options.size = options.size or SIZES[1]
    default = HERE / ("quick.json" if options.size == "quick" else "results.json")
    options.output = (options.output or default).resolve()
    return options


def _section(name: str, size: str) -> dict[str, Any]:
    """Measure all parts of a section, each in its process."""
    began, load = time.perf_counter(), os.getloadavg()[0]
    parts = {}
    for part, variables in SECTIONS[name].parts.items():
        print(f"{name}: {part}", flush=True)
        parts[part] = _part(name, part, size, variables)
    return {
        "about": SECTIONS[name].about,
        "size": size,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": _machine(load),
        "parts": parts,
    }


def _machine(load: float) -> dict[str, Any]:
    on_linux = hasattr(os, "sched_getaffinity")  # where it says how many may be used
    return {
        "cores": len(os.sched_getaffinity(0)) if on_linux else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_start": round(load, 2),
    }


def _part(name: str, part: str, size: str, variables: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "part.json"
        options = [] if size == SIZES[1] else [f"--{size}"]
        command = [sys.executable, __file__, "--only", name, "--part", part, *options]
        paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        inherited = {k: v for k, v in os.environ.items() if k not in ONE_THREAD}
        inherited["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        failure = ""
        try:
            done = subprocess.run(
                [*command, "--output", str(result)],
                env={**inherited, **variables},
                timeout=LIMIT,
                check=False,
            )
            failure = f"the process ended with exit status {done.returncode}"
        except subprocess.TimeoutExpired:
            failure = f"not finished after {LIMIT} s"
        if result.is_file():
            return json.loads(result.read_text())
    print(f"  {failure}", flush=True)
    return {"environment": {}, "measurements": [], "left_out": failure, "failed": True}


def _measure_part(name: str, part: str, size: Size, output: Path) -> int:
    """In the process of a part: measure it, keep what could be measured."""
    measurements: list[dict[str, Any]] = []
    left_out, failed = None, False
    backend = os.environ["KERAS_BACKEND"]
    try:
        _require(backend)
        with silenced():  # libraries' messages; progress is printed on standard output
            module = importlib.import_module(f"sections.{name}")
            for measurement in module.measure(part, size):
                measurements.append(measurement)
    except MissingError as error:
        left_out = str(error)
    except Exception as error:  # whatever it is, the other parts go on
        left_out, failed = f"{type(error).__name__}: {error}"[:500], True
    if left_out:
        print(f"  left out: {left_out}", flush=True)
    kept = {"measurements": summarised(measurements), "left_out": left_out, "failed": failed}
    write_json(output, {"environment": environment(backend), **kept})
    return 0


def _require(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        raise MissingError(f"{backend} is not installed; install it with: pip install {backend}")


def _replace(output: Path, name: str, section: dict[str, Any]) -> None:
    """Put a section into the result file; the others stay as they are."""
    from sfc_lib.pages.speed import FORMAT, read_speed

    with FileLock(output.with_name(f".{output.name}.lock")):
        content = {"format": FORMAT, "sections": {**_sections(output), name: section}}
        read_speed(content, output)  # or an error
        write_json(output, content)


def _sections(output: Path) -> Mapping[str, Any]:
    """The sections that the result file has so far."""
    from sfc_lib.pages.speed import load_speed

    return load_speed(output).sections if output.exists() else {}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"Error: {error}")
