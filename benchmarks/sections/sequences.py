"""Sequences a second: simulator and shuffle against simdna, gradient × input of networks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from measure import Measurement, MissingError, Size, compared

from sfc_lib.datasets.simulated_tf import CLASSES, simulate
from sfc_lib.genomics.dna import random_sequences
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.nn.architectures import build_model
from sfc_lib.nn.gradients import importance_profiles

SIMDNA = ("simdna==0.4.3.2", "setuptools<81")  # it imports pkg_resources
WORKER = Path(__file__).parent.parent / "simdna_worker.py"
WINDOW = 1000  # bp, of the sequences shuffled
OURS, THEIRS = "ours", "simdna"
TASK = 2  # TAL1, of Figure 3
VARIANTS = ("std", "sep", "symm")


def measure(part: str, size: Size) -> Iterator[Measurement]:
    """Importance first, which needs nothing; then what is compared with simdna."""
    repeats = size.pick(2, 7)
    yield from _importance(size.pick(200, 4000), size.pick(2, 3))
    with _simdna() as simdna:
        simulated, shuffled = size.pick(200, 400), size.pick(100, 300)
        rates = _rates(
            {
                OURS: partial(_simulate, size.pick(2000, 40_000)),
                THEIRS: partial(simdna, simulated, f"simulate {simulated}"),
            },
            repeats,
        )
        yield from _against_simdna("simulated TF sequences, 200 bp", rates, 50, "simulator")
        rates = _rates(
            {
                OURS: partial(_shuffle, size.pick(500, 10_000)),
                THEIRS: partial(simdna, shuffled, f"shuffle {shuffled} {WINDOW}"),
            },
            repeats,
        )
        yield from _against_simdna(f"dinucleotide shuffle, {WINDOW:,} bp", rates, 6, "shuffle")


def _against_simdna(
    title: str, rates: dict[str, list[float]], least: float, kind: str
) -> Iterator[Measurement]:
    wanted = {OURS: {"at_least": least}}
    yield from compared(title, "sequences / CPU s", rates, THEIRS, wanted, kind=kind)


def _rates(calls: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Sequences a CPU second of each in turn; each is called once before, to compile."""
    for call in calls.values():
        call()
    rates: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            rates[name].append(call())
    return rates


def _rate(count: int, call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return count / (time.process_time() - began)


def _simulate(count: int) -> float:
    classes = np.arange(count) % len(CLASSES)
    return _rate(count, partial(simulate, classes, np.random.default_rng(0)))


def _shuffle(count: int) -> float:
    codes = random_sequences(count, WINDOW, (0.25,) * 4, np.random.default_rng(0))
    return _rate(count, partial(dinucleotide_shuffle, codes, 0))


def _importance(count: int, repeats: int) -> Iterator[Measurement]:
    codes = np.random.default_rng(0).integers(0, 4, (count, 200), dtype=np.uint8)
    for title, tasks in (("one task", [TASK]), ("three tasks", None)):
        made = {x: build_model("simulated_tf", x, length=200, tasks=3) for x in VARIANTS}
        calls = {
            x: partial(_rate, count, partial(importance_profiles, model, codes, tasks))
            for x, model in made.items()
        }
        rates = _rates(calls, repeats)
        name = f"gradient × input, simulated_tf, {title}"
        yield from compared(
            name, "sequences / CPU s", rates, "std", {}, kind="importance", tasks=title
        )


@contextmanager
def _simdna() -> Iterator[Callable[[int, str], float]]:
    """A function that gives simdna a line and returns its sequences a CPU second."""
    with tempfile.TemporaryDirectory() as folder:
        python = _install(Path(folder))
        worker = subprocess.Popen(
            [python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        requests, answers = cast(TextIO, worker.stdin), cast(TextIO, worker.stdout)

        def ask(count: int, line: str) -> float:
            print(line, file=requests, flush=True)
            answer = answers.readline()
            if not answer:
                raise MissingError(f"simdna ended with exit status {worker.wait()}.")
            return count / float(answer)

        try:
            yield ask
        finally:
            worker.kill()
            worker.communicate()


def _install(folder: Path) -> Path:
    """Python of a new environment with simdna, which is given back afterwards."""
    python = folder / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *SIMDNA],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            reason = lines[-1] if lines else f"exit status {done.returncode}"
            raise MissingError(
                f"simdna can't be had, so nothing is compared with it: {reason[:300]}"
            )
    return python
