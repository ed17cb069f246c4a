"""Genomic intervals: reading BED and narrowPeak files, and arithmetic on them.

Intervals are a pandas DataFrame with the columns `chrom` (str), `start` and `end` (int64, bp,
0-based half-open) and, where known, `name` and `summit` (int64, a position on the chromosome).
All functions are pure, vectorised, and keep the order of rows unless they say otherwise.

The arithmetic lays all chromosomes end to end on one line, so that one sorted search
answers for the whole genome. That is a few lines of NumPy; bioframe's are tested to agree.
pandas is imported late, here and in the datasets: what is built once is trained on without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.genomics.text import read_lines

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("chrom", "start", "end")
NARROWPEAK = 10  # columns of a narrowPeak file; the tenth is the summit's distance from start
MOST_COLUMNS = 12  # BED12
MOST_DIGITS = 12  # of a position: no chromosome is longer, and int64 never overflows
SKIPPED = re.compile(r"#|track(\s|$)|browser(\s|$)|\s*$")  # lines that hold no interval
_VERSIONS = (10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11, 10, 8, 9, 9, 10, 9, 9, 10, 8, 10, 10, 9)
# RefSeq's names of hg19's chromosomes 1 to 22, X and Y
REFSEQ = {
    f"NC_{number:06d}.{version}": f"chr{'XY'[number - 23] if number > 22 else number}"
    for number, version in enumerate(_VERSIONS, 1)
}


def canonical_name(chrom: str) -> str:
    """UCSC's name of a chromosome: `20` and hg19's `NC_000020.10` become `chr20`.

    Only numbers, X and Y, and the RefSeq names of hg19 are changed. Those of other
    assemblies (`NC_000020.11` is hg38's) stay, so that they never pass for hg19.

    Example:

    >>> [canonical_name(name) for name in ("20", "X", "NC_000020.10", "chrUn_gl000211")]
    ['chr20', 'chrX', 'chr20', 'chrUn_gl000211']
    """
    return f"chr{chrom}" if re.fullmatch(r"[1-9]\d?|X|Y", chrom) else REFSEQ.get(chrom, chrom)


def canonical(chroms: pd.Series) -> pd.Series:
    """Canonical names of a column of chromosomes, see `canonical_name`."""
    return chroms.map({name: canonical_name(name) for name in chroms.unique()})


def read_intervals(path: str | Path, *, summits: bool = False) -> pd.DataFrame:
    """Intervals of a BED or narrowPeak file, plain or gzip, in file order.

    The first three columns count, the fourth if there is one (`name`), and with
    `summits` the tenth. Comments (`#`), `track` and `browser` lines and empty lines are
    left out; CRLF line ends and a BOM are accepted. Chromosomes get their canonical
    name. The frame's index is the line in the file, counted from 1.

    Args:
        path: A file with 3 to 12 columns, as many in every line; separated by tabs, or, in a
            line without any, by blanks.
        summits: Add `summit` = start + column 10; the file must be narrowPeak. A summit
            may lie behind its peak's end, as in some of ENCODE's files.

    Raises:
        UserError: `file:line: expected …, got …`: no interval at all; columns missing; a
            position that is no integer ≥ 0; start ≥ end; no summit; or a format that counts
            from 1 (GFF, GTF, VCF, `chr1:100-200`).
    """
    lines = _Lines.read(Path(path))
    columns = lines.columns(summits)
    values: dict[str, Any] = {
        "chrom": lines.chromosomes(columns[0]),
        "start": lines.positions(columns[1], "a start"),
        "end": lines.positions(columns[2], "an end"),
    }
    start, end = values["start"], values["end"]
    if (wrong := np.flatnonzero(start >= end)).size:
        raise UserError(
            f"{lines.place(wrong[0])}: expected start < end, got {start[wrong[0]]} and "
            f"{end[wrong[0]]}. Intervals are 0-based half-open: the first base of a chromosome "
            "is 0, 1."
        )
    if len(columns) > 3:
        values["name"] = columns[3]
    if summits:
        offset = lines.positions(columns[NARROWPEAK - 1], "a summit in column 10")
        values["summit"] = start + offset
    import pandas as pd

    return pd.DataFrame(values, index=pd.Index(lines.numbers, name="line"))


def read_columns(path: str | Path) -> pd.DataFrame:
    """All columns of a BED or narrowPeak file as text, numbered from 1.

    Lines, index and errors are those of `read_intervals`, but nothing is looked at.
    """
    lines = _Lines.read(Path(path))
    columns = dict(enumerate(lines.columns(summits=False), 1))
    import pandas as pd

    return pd.DataFrame(columns, index=pd.Index(lines.numbers, name="line"))


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of a file that hold an interval, and what is refused in them."""

    path: Path
    numbers: Sequence[int]
    texts: Sequence[str]  # their fields separated by tabs

    @classmethod
    def read(cls, path: Path) -> _Lines:
        """Those of a file, of which there must be one."""
        numbered = enumerate(read_lines(path), 1)
        found = [(n, line) for n, line in numbered if line[:3] == "chr" or not SKIPPED.match(line)]
        if not found:
            raise UserError(f"{path}:1: expected at least one interval, got none.")
        texts = [line if "\t" in line else "\t".join(line.split()) for _, line in found]
        return cls(path, tuple(number for number, _ in found), texts)

    def columns(self, summits: bool) -> list[list[str]]:
        """The columns, once every line has as many as the first and no fewer than needed."""
        widths = np.array([line.count("\t") + 1 for line in self.texts])
        width = int(widths[0])
        least, most = (NARROWPEAK, NARROWPEAK) if summits else (len(COLUMNS), MOST_COLUMNS)
        if (wrong := np.flatnonzero((widths != width) | (widths < least) | (widths > most))).size:
            row = int(wrong[0])
            wanted = f"{width} tab-separated columns as in line {self.numbers[0]}"
            if row == 0:
                wanted = f"{least} to {most} tab-separated columns"
                wanted = (
                    "10 tab-separated columns (narrowPeak, with summits)" if summits else wanted
                )
            strange = row if _hint(self.texts[row]) else 0
            hint = _hint(self.texts[strange])
            raise UserError(f"{self.place(row)}: expected {wanted}, got {widths[row]}.{hint}")
        fields = list(map(str.strip, "\t".join(self.texts).split("\t")))
        return [fields[column::width] for column in range(width)]

    def positions(self, column: list[str], what: str) -> np.ndarray:
        """A column as int64, or an error that names the first field that is no position."""
        if not all(map(str.isdecimal, column)) or max(map(len, column)) > MOST_DIGITS:
            good = [field.isdecimal() and len(field) <= MOST_DIGITS for field in column]
            row = good.index(False)
            raise UserError(
                f"{self.place(row)}: expected {what} that is an integer >= 0, "
                f"got {column[row]!r}.{_hint(self.texts[row])}"
            )
        return np.array(list(map(int, column)), dtype=np.int64)

    def chromosomes(self, column: list[str]) -> list[str]:
        """A column's canonical names, or an error that names the first that is no name."""
        names = {name: canonical_name(name) for name in dict.fromkeys(column)}
        if wrong := [name for name in names if not re.fullmatch(r"\S+", name)]:
            raise UserError(
                f"{self.place(column.index(wrong[0]))}: expected a chromosome's name without "
                f"blanks, got {wrong[0]!r}."
            )
        return [names[name] for name in column]

    def place(self, row: int) -> str:
        """File and line, for messages."""
        return f"{self.path}:{self.numbers[row]}"


def _hint(line: str) -> str:
    """What a line that is no BED seems to be, and what to do; empty if nothing is recognised."""
    fields = line.split("\t")
    digits = [field.isdecimal() for field in fields] + [False] * 5
    if re.match(r"\S+:[\d,]+(-|\.\.)[\d,]+", line):
        return (
            " This looks like chr1:100-200, which counts from 1: "
            "write chrom, start - 1 and end as three columns."
        )
    if line.startswith(">"):
        return " This looks like FASTA, not BED."
    if line.startswith("@"):
        return " This looks like SAM, FASTQ or a Picard interval_list (1-based), not BED."
    if len(fields) > 4 and digits[3] and digits[4] and not digits[1]:
        return " This looks like GFF or GTF, which counts from 1: convert it to BED."
    if len(fields) > 4 and digits[1] and not digits[2]:
        return " This looks like VCF or another format that counts from 1: convert it to BED."
    places = [field.strip() for field in fields[1:3]]
    if any(re.fullmatch(r"\d+\.\d*|\d[\d.]*[eE]\+?\d+", place) for place in places):
        return " Positions are whole numbers: write 900 for 900.0 or 9e2."
    if any(re.fullmatch(r"\d{1,3}(,\d{3})+", place) for place in places):
        return " Write 1000000 for 1,000,000."
    if any(re.fullmatch(r"-\d+", place) for place in places):
        return " Positions count from the first base of a chromosome, which is 0."
    if len(fields) > 2 and not any(digits):
        return (
            " This looks like column names: take the line out if the positions count from 0 "
            "(those of MACS's .xls files count from 1)."
        )
    separators = (("spaces", None), ("commas", ","), ("semicolons", ";"))
    for name, separator in separators if len(fields) < len(COLUMNS) else ():
        if len(line.split(separator)) >= len(COLUMNS):
            return f" The columns are separated by {name}: separate them by tabs."
    return ""


def merge(a: pd.DataFrame) -> pd.DataFrame:
    """The union of intervals as disjoint ones, sorted by chromosome name and start.

    Intervals that touch become one.

    Example:

    >>> import pandas as pd
    >>> a = pd.DataFrame({"chrom": ["chr1"] * 3, "start": [10, 0, 30], "end": [20, 10, 40]})
    >>> merge(a).values.tolist()
    [['chr1', 0, 20], ['chr1', 30, 40]]
    """
    if not len(a):
        return a.loc[:, list(COLUMNS)].reset_index(drop=True)
    import pandas as pd

    ((start, end),) = _on_one_line(a)
    order = np.argsort(start, kind="stable")
    first, reach = _union(start[order], end[order])
    rows = order[first]
    begin = a["start"].to_numpy()[rows]
    chrom, end = a["chrom"].to_numpy()[rows], reach - start[rows] + begin
    return pd.DataFrame({"chrom": chrom, "start": begin, "end": end})


def pad(a: pd.DataFrame, bp: int) -> pd.DataFrame:
    """Intervals with `bp` more on either side; the start stops at 0."""
    if bp < 0:
        raise ValueError(f"pad: bp must be >= 0, got {bp}.")
    return a.assign(start=np.maximum(a["start"] - bp, 0), end=a["end"] + bp)


def tile(a: pd.DataFrame, width: int, stride: int) -> pd.DataFrame:
    """Windows of `width` bp that begin every `stride` bp inside each interval.

    The first begins where the interval does. Only whole windows are made: what remains
    at the end is left out, and an interval shorter than `width` gives none. Windows
    follow each other in the order of the intervals and keep their other columns.

    Example:

    >>> import pandas as pd
    >>> tile(pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [26]}), 10, 5).values.tolist()
    [['chr1', 5, 15], ['chr1', 10, 20], ['chr1', 15, 25]]
    """
    if width < 1 or stride < 1:
        raise ValueError(f"tile: width and stride must be >= 1, got {width} and {stride}.")
    size = (a["end"] - a["start"]).to_numpy()
    count = np.maximum((size - width) // stride + 1, 0)
    rows = np.repeat(np.arange(len(a)), count)
    step = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    start = a["start"].to_numpy()[rows] + step * stride
    return a.iloc[rows].reset_index(drop=True).assign(start=start, end=start + width)


def resize(
    a: pd.DataFrame, width: int, centre: pd.Series | np.ndarray | None = None
) -> pd.DataFrame:
    """Windows of `width` bp around each interval's middle, or around given positions.

    The window of centre c is [c − width // 2, c − width // 2 + width). Its start may be
    negative: `Genome.windows` drops such windows and counts them.

    Args:
        a: Intervals.
        width: Of the windows, in bp.
        centre: One position an interval, for instance `a["summit"]`; by default the
            middle, rounded down.
    """
    if width < 1:
        raise ValueError(f"resize: width must be >= 1, got {width}.")
    middle = (a["start"] + a["end"]).to_numpy() // 2
    start = (middle if centre is None else np.asarray(centre, dtype=np.int64)) - width // 2
    return a.assign(start=start, end=start + width)


def overlaps(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Which intervals of `a` share at least 1 bp with any of `b`: bool (len(a),)."""
    return _covered(a, b) > 0


def covered_fraction(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Fraction of each interval of `a` that the union of `b` covers: float64 (len(a),)."""
    return _covered(a, b) / (a["end"] - a["start"]).to_numpy()


def within(a: pd.DataFrame, regions: pd.DataFrame) -> np.ndarray:
    """Which intervals of `a` lie wholly inside the union of `regions`: bool (len(a),)."""
    return _covered(a, regions) == (a["end"] - a["start"]).to_numpy()


def _covered(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """bp of each interval of `a` that the union of `b` covers: int64 (len(a),)."""
    if not len(a) or not len(b):
        return np.zeros(len(a), dtype=np.int64)
    (start, end), (b_start, b_end) = _on_one_line(a, b)
    order = np.argsort(b_start, kind="stable")
    first, reach = _union(b_start[order], b_end[order])
    begin = b_start[order][first]
    total = np.concatenate([[0], np.cumsum(reach - begin)])  # bp of the union before each piece

    def before(position: np.ndarray) -> np.ndarray:
        piece = np.searchsorted(begin, position, side="right")
        beyond = np.where(piece > 0, np.maximum(reach[piece - 1] - position, 0), 0)
        return total[piece] - beyond

    return before(end) - before(start)


def _union(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of intervals sorted by start: which begin a piece of the union, and where pieces end."""
    reach = np.maximum.accumulate(end)
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1]]))
    return first, reach[np.concatenate([first[1:] - 1, [len(end) - 1]])]


def _on_one_line(*frames: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Starts and ends with all chromosomes laid end to end in the order of their names."""
    import pandas as pd

    chroms = pd.concat([frame["chrom"] for frame in frames], ignore_index=True)
    codes = pd.factorize(chroms, sort=True)[0].astype(np.int64)
    low = min(int(frame["start"].min()) for frame in frames if len(frame))
    high = max(int(frame["end"].max()) for frame in frames if len(frame))
    shifts = np.split(codes * (high - low + 1), np.cumsum([len(frame) for frame in frames])[:-1])
    return [
        (frame["start"].to_numpy() + shift, frame["end"].to_numpy() + shift)
        for frame, shift in zip(frames, shifts, strict=True)
    ]
