"""What variants of a genome do to a network's predictions: both alleles in one place, scored.

The sequence around a variant is scored with its reference bases and with the alternative, each in
the middle of the network's window. A file is read twice, first to look at every line and to draw
the background, then to score; only a batch of variants is in memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, takewhile
from pathlib import Path
from typing import IO, NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, encode
from sfc_lib.genomics.genome import Genome
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.text import read_lines, require_file
from sfc_lib.own.dataset import N
from sfc_lib.own.predict import Predictor, view_scorer

BATCH = 128  # lines scored, and kept in memory, at once
BACKGROUND = 1000  # variants in shuffled sequences that the others are ranked against
STREAM = 6  # of SeedSequence((seed, stream)): which ones
SHOWN = 50  # bases in a message
VCF_COLUMNS, TSV_COLUMNS = 8, 4
COLUMNS = "#CHROM\tPOS\tID\t"  # what the last line of a VCF header begins with
VARIANT = ("chrom", "pos", "id", "ref", "alt", "task")
SCORES = (
    "ref_logit", "alt_logit", "logit_difference",
    "ref_probability", "alt_probability", "probability_difference",
    "lowest_difference", "highest_difference", "rank",
)  # fmt: skip
VALUES = {  # where a network predicts values, those that are left, and what they are called
    "ref_logit": "ref_value", "alt_logit": "alt_value", "logit_difference": "value_difference",
    "lowest_difference": "lowest_difference", "highest_difference": "highest_difference",
    "rank": "rank",
}  # fmt: skip
KEY = "SFC"  # of VCF's INFO
INFO = (
    '##INFO=<ID={},Number=.,Type=String,Description="What a network predicts for both alleles, '
    'of each allele and task (URL-encoded): ALT|task|{}">'
)
# Why an allele has no score: what is refused unless one says that it may be left out, and the rest.
MISMATCH, SYMBOLIC = "another reference base than the genome's", "alternative without bases"
ELSEWHERE, LONG = "not in the genome", "longer than the window"
BEYOND = "window beyond the sequence"
PLAIN = {"*": "a deletion of another line (*)"}
PLAIN |= dict.fromkeys((".", "<*>", "<NON_REF>"), "no alternative (.)")

Score = Callable[[np.ndarray], np.ndarray]  # codes to logits, see `view_scorer`


class Line(NamedTuple):
    """A line of a file: its number and columns, and what they say; `pos` counts from 1."""

    number: int
    fields: list[str]
    vcf: bool
    chrom: str
    pos: int
    name: str
    ref: str
    alts: list[str]


class Allele(NamedTuple):
    """A variant without what its alleles share on either side.

    `start` and `end`: of the reference bases on the chromosome, 0-based half-open. `ref` and
    `alt`: codes, uint8; one of them may be empty.
    """

    chrom: str
    start: int
    end: int
    ref: np.ndarray
    alt: np.ndarray


@dataclass
class Tally:
    """How many alleles have a score, and how many have none, by reason."""

    scored: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def score_variants(
    predictor: Predictor,
    path: Path,
    genome: Genome,
    outputs: Sequence[tuple[IO[bytes], str]],
    *,
    skip: bool = False,
    background: int = BACKGROUND,
    progress: Callable[[int], Callable[[int], object]] = lambda total: int,
) -> Tally:
    """Score the variants of a file, and write each of its lines with what was found.

    Args:
        predictor: From `load_predictor`.
        path: VCF, or a table of chrom, pos (from 1), ref and alt; plain, gzip or bgzip.
        genome: The reference sequence.
        outputs: Where bytes are written, and as what: `"vcf"` or `"tsv"`.
        skip: Whether to leave out, and count, variants that are otherwise refused.
        background: How many shuffled sequences variants of the file are put into, for the rank;
            0 for none.
        progress: Is told the number of lines, and gives a function that is called with how many
            more of them are done.

    Raises:
        UserError: As of `read_variants`; or, unless `skip`, the first line whose reference is
            not the genome's, that is not in it, or that has an alternative without bases or
            larger than the window; with what to do.
    """
    require_file(path)
    total, sample = _survey(path, genome, predictor.length, skip, background)
    score, tally = view_scorer(predictor), Tally()
    against = _background(score, sample, background, genome, predictor.length)
    names = VALUES if predictor.continuous else dict(zip(SCORES, SCORES, strict=True))
    columns = [SCORES.index(name) for name in names]
    about = predictor.tasks, tuple(names.values())
    writers = [
        _Vcf(file, *about) if kind == "vcf" else _Tsv(file, *about) for file, kind in outputs
    ]
    for writer in writers:
        writer.begin(path)
    done = progress(total)
    for lines in _batches(read_variants(path)):
        rows = [(line, _alleles(line, genome, predictor.length)) for line in lines]
        alleles = [one for _, found in rows for one in found if isinstance(one, Allele)]
        scores = iter(_scores(score, alleles, genome, predictor.length, against))
        for line, found in rows:
            tally.skipped.update(why for why in found if isinstance(why, str))
            scored = [
                next(scores)[:, columns] if isinstance(one, Allele) else None for one in found
            ]
            tally.scored += sum(one is not None for one in scored)
            for writer in writers:
                writer.write(line, scored)
        done(len(lines))
    return tally


T = TypeVar("T")


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(items, BATCH)):
        yield batch


# Reading


def read_variants(path: Path) -> Iterator[Line]:
    """The variants of a VCF file, or of a tab-separated table of chrom, pos, ref and alt.

    What has VCF's first line, or its line of columns, is VCF. A table may have a header, more
    columns, which are left alone, and comments (`#`).

    Raises:
        UserError: `file:line: expected …, got …`: columns missing, a position that is no
            integer ≥ 1, a reference that is no bases, or no variant at all.
    """
    vcf, line = False, None
    for number, text in enumerate(read_lines(path), 1):
        if text.startswith("#") or not text.strip():
            vcf = vcf or text.startswith(("##fileformat=VCF", COLUMNS))
            continue
        fields = text.rstrip().split("\t")
        if line is None and not vcf and fields[1:] and fields[1].lower().startswith("pos"):
            continue
        line = _line(f"{path}:{number}", number, fields, vcf)
        yield line
    if line is None:
        raise UserError(f"{path}:1: expected variants, got none.")


def _line(place: str, number: int, fields: list[str], vcf: bool) -> Line:
    least, what = (VCF_COLUMNS, "VCF") if vcf else (TSV_COLUMNS, "chrom, pos, ref, alt")
    if len(fields) < least:
        hint = " The columns are separated by blanks: separate them by tabs."
        blanks = len(" ".join(fields).split()) >= least
        raise UserError(
            f"{place}: expected {least} tab-separated columns or more ({what}), got "
            f"{len(fields)}.{hint if blanks else ''}"
        )
    chrom, pos = fields[0], fields[1]
    name, ref, alts = fields[2:5] if vcf else (".", *fields[2:4])
    if not re.fullmatch(r"[1-9]\d{0,11}", pos):
        raise UserError(f"{place}: expected a position, an integer >= 1, in column 2, got {pos!r}.")
    if not re.fullmatch("[ACGTNacgtn]+", ref):
        hint = ""
        if ref.isdecimal():
            hint = " This looks like BED, which counts from 0: write chrom, start + 1, ref and alt."
        elif ref in ("-", "."):
            hint = " Write insertions and deletions as VCF does, with the base before them."
        elif not vcf and len(fields) > TSV_COLUMNS and re.fullmatch("[ACGTN]+", fields[3]):
            hint = " This looks like VCF without its header: add the line '##fileformat=VCFv4.2'."
        raise UserError(f"{place}: expected reference bases (ACGTN), got {ref[:SHOWN]!r}.{hint}")
    return Line(number, fields, vcf, chrom, int(pos), name, ref.upper(), alts.upper().split(","))


def _alleles(line: Line, genome: Genome, length: int) -> list[Allele | str]:
    """What each alternative of a line is, or why it has no score."""
    chrom, start = genome.own_name(line.chrom), line.pos - 1
    end = start + len(line.ref)
    if chrom not in genome.chroms or end > genome.length(chrom):
        return [ELSEWHERE] * len(line.alts)
    ref = encode([line.ref])[0]
    if not np.array_equal(ref, genome.codes(chrom, start, end)):
        return [MISMATCH] * len(line.alts)
    return [_allele(chrom, start, ref, alt, genome, length) for alt in line.alts]


def _allele(
    chrom: str, start: int, ref: np.ndarray, bases: str, genome: Genome, length: int
) -> Allele | str:
    if bases in PLAIN:
        return PLAIN[bases]
    if not re.fullmatch("[ACGTN]+", bases):
        return SYMBOLIC
    alt = encode([bases])[0]
    if np.array_equal(ref, alt):
        return PLAIN["."]
    behind = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - behind], alt[: len(alt) - behind]
    before = _shared(ref, alt)
    start, end = start + before, start + len(ref)
    allele = Allele(chrom, start, end, ref[before:], alt[before:])
    if max(len(allele.ref), len(allele.alt)) > length:
        return LONG
    left, right = _reach(min(len(allele.ref), len(allele.alt)), length)
    return allele if start >= left and end + right <= genome.length(chrom) else BEYOND


def _shared(one: np.ndarray, two: np.ndarray) -> int:
    """How many bases two sequences begin with together."""
    size = min(len(one), len(two))
    differ = np.flatnonzero(one[:size] != two[:size])
    return int(differ[0]) if len(differ) else size


def _reach(size: int, length: int) -> tuple[int, int]:
    """Bases on either side of an allele of `size` bp in the middle of a window.

    A single base is at position `length // 2`, as a summit is.
    """
    left = (length - size + 1) // 2
    return left, length - size - left


# Scoring


def windows(
    alleles: Sequence[Allele], genome: Genome, length: int, *, shuffled: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Codes with the reference, and with the alternative, in the middle: uint8 (alleles, length).

    Where the two differ in length, each is centred on its own. `shuffled`: a seed, by which the
    sequence on either side is shuffled and keeps but its dinucleotide counts.
    """
    flanks = np.full((len(alleles), 2, length), N, np.uint8)
    for flank, allele in zip(flanks, alleles, strict=True):
        left, right = _reach(min(len(allele.ref), len(allele.alt)), length)
        flank[0, length - left :] = genome.codes(allele.chrom, allele.start - left, allele.start)
        flank[1, :right] = genome.codes(allele.chrom, allele.end, allele.end + right)
    if shuffled is not None:
        flat = flanks.reshape(-1, length)
        flanks = dinucleotide_shuffle(flat, seed=shuffled).reshape(flanks.shape)
    rows = np.empty((2, len(alleles), length), np.uint8)
    for number, allele in enumerate(alleles):
        for row, bases in zip(rows[:, number], (allele.ref, allele.alt), strict=True):
            left, right = _reach(len(bases), length)
            row[:left], row[left : left + len(bases)] = flanks[number, 0, length - left :], bases
            row[left + len(bases) :] = flanks[number, 1, :right]
    return rows[0], rows[1]


def _scores(
    score: Score, alleles: Sequence[Allele], genome: Genome, length: int, against: np.ndarray
) -> np.ndarray:
    """`SCORES` of alleles, float64 (alleles, tasks, scores); the rank is NaN without background.

    `against`: sorted sizes of differences, (tasks, variants).
    """
    if not alleles:
        return np.empty((0, 0, 0))
    ref, alt = (score(codes).astype(float) for codes in windows(alleles, genome, length))
    logits = np.stack([ref.mean(axis=0), alt.mean(axis=0)])  # (2, alleles, tasks)
    with np.errstate(over="ignore"):  # of values, which have none, they are not shown
        probabilities = 1 / (1 + np.exp(-logits))
    change, views = logits[1] - logits[0], alt - ref
    rank = np.full(change.shape, np.nan)
    for column, sizes in enumerate(against):
        larger = len(sizes) - np.searchsorted(sizes, np.abs(change[:, column]))
        rank[:, column] = (1 + larger) / (1 + len(sizes))
    found = [*logits, change, *probabilities, probabilities[1] - probabilities[0]]
    return np.stack([*found, views.min(axis=0), views.max(axis=0), rank], axis=-1)


def _background(
    score: Score, sample: Sequence[Allele], number: int, genome: Genome, length: int
) -> np.ndarray:
    """Sorted sizes of the difference of logits in shuffled sequences, (tasks, `number`).

    Of a few variants each is put into several.
    """
    sizes = list[np.ndarray]()
    some = islice(cycle(sample), number if sample else 0)
    for seed, part in enumerate(_batches(some)):
        ref, alt = map(score, windows(part, genome, length, shuffled=seed))
        sizes.append(np.abs(alt.astype(float).mean(axis=0) - ref.astype(float).mean(axis=0)))
    return np.sort(np.concatenate(sizes), axis=0).T if sizes else np.empty((0, 0))


def _survey(
    path: Path, genome: Genome, length: int, skip: bool, background: int
) -> tuple[int, list[Allele]]:
    """Number of lines, once none is found that is refused, and alleles drawn from them.

    Each allele is drawn with the same probability (a reservoir: Vitter, 1985).
    """
    rng = np.random.default_rng(np.random.SeedSequence((0, STREAM)))
    sample, seen, total = list[Allele](), 0, 0
    for line in read_variants(path):
        total += 1
        for alt, found in zip(line.alts, _alleles(line, genome, length), strict=True):
            if isinstance(found, str):
                if not skip:
                    _require_fit(path, line, alt, found, genome)
                continue
            seen += 1
            place = len(sample) if len(sample) < background else int(rng.integers(seen))
            if place < background:
                sample[place : place + 1] = [found]
    return total, sample


def _require_fit(path: Path, line: Line, alt: str, why: str, genome: Genome) -> None:
    """Refuse an alternative that makes no variant of this genome."""
    place, advice = f"{path}:{line.number}", "To leave such variants out, say so (--skip)."
    chrom, at = genome.own_name(line.chrom), f"{line.chrom}:{line.pos:,}"
    if why == MISMATCH:
        here = decode(genome.codes(chrom, line.pos - 1, line.pos - 1 + len(line.ref))[None])[0]
        raise UserError(
            f"{place}: expected the genome's {here[:SHOWN]!r} as reference at {at}, got "
            f"{line.ref[:SHOWN]!r}. Is the genome of the same assembly, do positions count from 1, "
            f"and are alleles those of the forward strand? {advice}"
        )
    if why == SYMBOLIC:
        raise UserError(
            f"{place}: expected an alternative in bases (ACGTN), got {alt[:SHOWN]!r}. {advice}"
        )
    if why == LONG:
        raise UserError(f"{place}: expected alleles that fit into the network's window. {advice}")
    if why == ELSEWHERE:
        known = ", ".join(f"{name} of {genome.length(name):,} bp" for name in genome.chroms[:8])
        raise UserError(f"{place}: expected a place in the genome ({known}), got {at}. {advice}")


# Writing


class _Tsv:
    """A line for each alternative and task; `NA` where there is no score."""

    def __init__(self, file: IO[bytes], tasks: Sequence[str], names: Sequence[str]) -> None:
        self.file, self.tasks, self.names = file, tasks, names

    def begin(self, path: Path) -> None:
        self.file.write("\t".join([*VARIANT, *self.names]).encode() + b"\n")

    def write(self, line: Line, scored: Sequence[np.ndarray | None]) -> None:
        for alt, scores in zip(line.alts, scored, strict=True):
            for column, task in enumerate(self.tasks):
                about = [line.chrom, str(line.pos), line.name, line.ref, alt, task]
                found = ["NA"] * len(self.names) if scores is None else _texts(scores[column])
                self.file.write("\t".join([*about, *found]).encode() + b"\n")


class _Vcf:
    """The lines of a VCF file with a key in INFO, or VCF of a table's."""

    def __init__(self, file: IO[bytes], tasks: Sequence[str], names: Sequence[str]) -> None:
        self.file, self.tasks = file, [quote(task, safe="") for task in tasks]
        self.info = INFO.format(KEY, "|".join(names))

    def begin(self, path: Path) -> None:
        lines = takewhile(lambda t: t.startswith("#") or not t.strip(), read_lines(path))
        above = [text for text in lines if text.strip()]
        above = [text for text in above if not text.startswith(f"##INFO=<ID={KEY},")]
        if not any(text.startswith(COLUMNS) for text in above):
            above = ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
        if not above[0].startswith("##fileformat="):
            above.insert(0, "##fileformat=VCFv4.2")
        names = next(row for row, text in enumerate(above) if text.startswith(COLUMNS))
        header = [*above[:names], self.info, above[names]]
        self.file.write("".join(f"{text}\n" for text in header).encode())

    def write(self, line: Line, scored: Sequence[np.ndarray | None]) -> None:
        found = ",".join(
            "|".join([alt, task, *_texts(row)])
            for alt, scores in zip(line.alts, scored, strict=True)
            if scores is not None
            for task, row in zip(self.tasks, scores, strict=True)
        )
        fields = line.fields
        if not line.vcf:
            fields = [line.chrom, str(line.pos), ".", line.ref, ",".join(line.alts), ".", ".", "."]
        info = [part for part in fields[7].split(";") if part.partition("=")[0] not in (".", KEY)]
        info += [f"{KEY}={found}"] if found else []
        columns = [*fields[:7], ";".join(info) or ".", *fields[8:]]
        self.file.write("\t".join(columns).encode() + b"\n")


def _texts(scores: np.ndarray) -> list[str]:
    return ["NA" if np.isnan(value) else f"{value:.6g}" for value in scores]
