"""Peak memory of one training step, each in a process that has done nothing before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from measure import Measurement, Size, compared

AUTHORS, OURS = "authors' form", "ours"  # as in `contenders`, which imports Keras
SHAPE, BATCH = (1000, 128, 256), 64
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEGABYTE = 1e6


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Ours against the authors' form, for both variants, in turn."""
    shape = size.pick((100, 128, 64), SHAPE)
    for variant in ("sep", "symm"):
        peaks: dict[str, list[float]] = {AUTHORS: [], OURS: []}
        for _, contender in product(range(size.pick(1, 3)), peaks):
            peaks[contender].append(_in_a_process(contender, shape, variant == "symm"))
        yield from compared(
            f"peak memory, L = {shape[0]:,}, {variant}, batch {BATCH}",
            "MB",
            peaks,
            AUTHORS,
            {OURS: {"at_most": 0.6}},
            kind="memory",
            variant=variant,
            batch=BATCH,
            sizes=list(shape),
        )


def _in_a_process(contender: str, shape: tuple[int, int, int], symmetric: bool) -> float:
    arguments = json.dumps([contender, shape, symmetric])
    command = [sys.executable, "-c", "from sections.memory import child; child()", arguments]
    done = subprocess.run(
        command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a process of the section memory failed: {done.stderr[-300:]}")
    return float(done.stdout.split()[-1])


def child() -> None:
    """In the process: print the megabytes that one step adds to what was there before it."""
    from contenders import network, training_step

    contender, shape, symmetric = json.loads(sys.argv[1])
    training_step(network(OURS, (4, 4, 4), False), 2)()  # starts the library's threads
    step = training_step(network(contender, tuple(shape), symmetric), BATCH)
    before = _start()
    kept = step()
    print((_peak() - before) / MEGABYTE)
    del kept


def _start() -> float:
    """Bytes in use; from now on `_peak` counts, where the system can be told so (Linux)."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> float:
    """Most bytes that were in use."""
    if STATUS.is_file():
        return _status("VmHWM")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> float:
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(field))
    return float(line.split()[1]) * 1024
