"""What a network looks at: how much each base adds, as logos, as a profile, and as motifs.

A contribution is told for all four bases of a position, less their mean: what a base adds over
an average one. That of the base which is there is what logos show. It comes in two ways: the
centred gradient, and in-silico mutagenesis, which scores every single change anew. Both are means
over strands and networks, in logits, or in the units of the labels where these are measurements.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sfc_lib.errors import UserError
from sfc_lib.files import atomic_write
from sfc_lib.genomics.dna import one_hot, reverse_complement
from sfc_lib.genomics.genome import Genome
from sfc_lib.genomics.motifs import Motif, informative_core
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.own.dataset import peak_windows, place_names
from sfc_lib.own.predict import Predictor, batches, view_scorer

METHODS = {"gradient": "centred gradient × input", "ism": "in-silico mutagenesis"}
CHECKED = 5  # sequences on which the gradient is compared with mutagenesis
SEQLET, FLANK = 15, 5  # bp that are searched for, and bp on either side that are matched too
RARE = 0.01  # of the stretches in shuffled sequences may have as large a sum
ALIKE = 0.5  # cosine from which a seqlet is a motif's
NO_MOTIF = "none of these"
LOGO = 100  # bp of a logo at most, around what adds most
NAME = 50  # letters of a name above a logo at most
BASES = list("ACGT")

Progress = Callable[[Sequence[int]], Iterable[int]]


@dataclass(frozen=True, eq=False)
class Explained:
    """Sequences, the highest prediction first, and what was found of them for a task.

    `codes`: uint8 (sequences, length). `predictions`: (sequences,), probabilities or values, as
    `predicted` says. `values`: float32 (sequences, length, 4), see `contributions`. `agreement`:
    of the two methods, for each sequence where both were computed.
    """

    task: str
    method: str
    names: tuple[str, ...]
    codes: np.ndarray
    predictions: np.ndarray
    values: np.ndarray
    agreement: np.ndarray
    predicted: str = "probability"

    @property
    def adds_to(self) -> str:
        """What contributions add to."""
        return "adds to the logit" if self.predicted == "probability" else "adds to the value"

    @property
    def added(self) -> np.ndarray:
        """Contribution of the base that is there, (sequences, length)."""
        return of_present(self.values, self.codes)


def read_sequences(
    predictor: Predictor, path: Path, genome: Genome | None = None, partial: bool = False
) -> tuple[list[str], np.ndarray]:
    """Names and codes of a FASTA file's sequences; with a genome, of the windows around peaks.

    Raises:
        UserError: As of `batches`, or of `peak_windows`.
    """
    if genome is not None:
        windows, codes = peak_windows(path, genome, predictor.length, partial)
        return place_names(windows), codes
    parts = list(batches(path, predictor.length))
    return [n for names, _ in parts for n in names], np.concatenate([codes for _, codes in parts])


def explain(
    predictor: Predictor,
    names: Sequence[str],
    codes: np.ndarray,
    task: str | None = None,
    *,
    method: str = "gradient",
    most: int = 1000,
    always: Sequence[str] = (),
    checked: int = CHECKED,
    progress: Progress | None = None,
) -> Explained:
    """Contributions of every base of the sequences that are predicted highest.

    Args:
        predictor: From `load_predictor`.
        names: Of the sequences.
        codes: uint8 (sequences, length).
        task: Name of the task; the first by default.
        method: `"gradient"` or `"ism"`.
        most: How many sequences.
        always: Names of sequences that are explained too.
        checked: Of how many the gradient is compared with mutagenesis; with that, it is all.
        progress: Wraps the batches, for a bar.

    Raises:
        UserError: An unknown task; the known ones are listed.
    """
    task = predictor.tasks[0] if task is None else task
    if task not in predictor.tasks:
        raise UserError(f"task: expected one of {list(predictor.tasks)}, got {task!r}.")
    column = predictor.tasks.index(task)
    logits = view_scorer(predictor)(codes).mean(axis=0)[:, column]
    asked = np.isin(np.array(names), list(always))
    order = np.argsort(-logits, kind="stable")
    rows = order[(np.arange(len(order)) < most) | asked[order]]
    chosen = codes[rows]
    values = contributions(predictor, chosen, column, method, progress)
    some = chosen if method == "ism" else chosen[:checked]
    other = contributions(predictor, some, column, "gradient" if method == "ism" else "ism")
    return Explained(
        task,
        method,
        tuple(names[row] for row in rows),
        chosen,
        logits[rows] if predictor.continuous else 1 / (1 + np.exp(-logits[rows])),
        values,
        agreement(values[: len(some)], other, some),
        "value" if predictor.continuous else "probability",
    )


def contributions(
    predictor: Predictor,
    codes: np.ndarray,
    column: int,
    method: str = "gradient",
    progress: Progress | None = None,
) -> np.ndarray:
    """What each base would add to a task's logit: float32 (sequences, length, 4).

    The four of a position sum to 0.
    """
    ways = {"gradient": _by_gradient, "ism": _by_mutagenesis}
    return ways[method](predictor, codes, column, progress).astype(np.float32)


def _by_gradient(
    predictor: Predictor, codes: np.ndarray, column: int, progress: Progress | None
) -> np.ndarray:
    from sfc_lib.nn.gradients import hypothetical_contributions

    total, both = np.zeros((*codes.shape, 4)), np.concatenate([codes, reverse_complement(codes)])
    for network in predictor.members:
        found = hypothetical_contributions(network, both, [column], progress=progress)[0]
        forth, back = np.split(found, 2)
        total += forth + back[:, ::-1, ::-1]  # backwards, T for A and G for C
    return total / (2 * len(predictor.members))


def _by_mutagenesis(
    predictor: Predictor, codes: np.ndarray, column: int, progress: Progress | None
) -> np.ndarray:
    score, length = view_scorer(predictor), codes.shape[1]
    found = np.empty((*codes.shape, 4))
    place, base = np.divmod(np.arange(4 * length), 4)
    for row in (progress or iter)(range(len(codes))):
        changed = codes[row, place] != base
        mutants = np.repeat(codes[row : row + 1], 1 + changed.sum(), axis=0)
        mutants[np.arange(1, len(mutants)), place[changed]] = base[changed]
        logits = score(mutants)[:, :, column].astype(float).mean(axis=0)
        of_base = np.full(4 * length, logits[0])
        of_base[changed] = logits[1:]
        found[row] = of_base.reshape(length, 4)
    return found - found.mean(axis=-1, keepdims=True)


def of_present(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Of contributions (…, length, 4) those of the bases that are there: (…, length); of N 0."""
    return (values * one_hot(codes)).sum(axis=-1)


def summary(found: Explained, motifs: Motifs) -> list[str]:
    """What was found, as lines of text."""
    lines = [
        f"{found.task}: {len(found.names):,} sequences, {METHODS[found.method]}, both strands",
        agreement_words(found),
    ]
    for row in motifs.counts.to_dict("records"):
        lines.append(
            f"{row['motif']}: {row['seqlets']:,} seqlets in {row['sequences']:,} sequences, "
            f"{row['in_shuffled']:,} in shuffled ones"
        )
    return lines


def agreement_words(found: Explained) -> str:
    """How far the two methods agree: the median over sequences, and the extremes."""
    known = found.agreement[~np.isnan(found.agreement)]
    agree = "the same for every base"
    if len(known):
        low, middle, high = np.quantile(known, [0, 0.5, 1])
        agree = f"correlation {middle:.2f}, from {low:.2f} to {high:.2f}"
    return f"gradient and mutagenesis on {len(found.agreement):,} sequences: {agree}"


def agreement(one: np.ndarray, two: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Correlation over the positions of each sequence of two sets of contributions."""
    pairs = zip(of_present(one, codes), of_present(two, codes), strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] if a.std() and b.std() else np.nan for a, b in pairs])


# Motifs


def find_seqlets(added: np.ndarray, shuffled: np.ndarray) -> pd.DataFrame:
    """Stretches of 15 bp that add, or take, more than all but 1 % of shuffled sequences.

    Args:
        added: Contributions of the bases that are there, (sequences, length).
        shuffled: The same of shuffled sequences.

    Returns:
        `sequence` (row), `start`, `end` (0-based half-open) and `added`, the sum; none overlaps
        another. The largest of a sequence come first.
    """
    sums, null = (_moving_sums(values) for values in (added, shuffled))
    least = np.quantile(np.abs(null), 1 - RARE)
    found = []
    for row, values in enumerate(sums):
        left = np.abs(values)
        while left.max() > least:
            start = int(left.argmax())
            found.append((row, start, start + SEQLET, float(values[start])))
            left[max(0, start - SEQLET + 1) : start + SEQLET] = 0
    kinds = {"sequence": int, "start": int, "end": int, "added": float}  # of none, too
    return pd.DataFrame(found, columns=list(kinds)).astype(kinds)


def _moving_sums(values: np.ndarray) -> np.ndarray:
    """Sums of each stretch of a seqlet's width."""
    total = np.pad(np.cumsum(values, axis=1, dtype=float), ((0, 0), (1, 0)))
    return total[:, SEQLET:] - total[:, :-SEQLET]


def match_motifs(
    seqlets: pd.DataFrame, values: np.ndarray, motifs: Mapping[str, Motif]
) -> pd.DataFrame:
    """The seqlets with the `motif` that each resembles most, its `strand` and the `likeness`.

    The likeness is the cosine between the contributions of all four bases in a seqlet with its
    flanks, and the probabilities of a motif less 1/4, at the best place on either strand. Below
    0.5 it is no motif's.
    """
    width = SEQLET + 2 * FLANK
    padded = np.pad(values, ((0, 0), (FLANK, FLANK), (0, 0)))
    rows, starts = seqlets["sequence"].to_numpy(), seqlets["start"].to_numpy()
    stretches = padded[rows[:, None], starts[:, None] + np.arange(width)]  # (seqlets, width, 4)
    stretches = stretches * np.sign(seqlets["added"].to_numpy())[:, None, None]
    norms = np.linalg.norm(stretches, axis=(1, 2))
    best = np.full(len(seqlets), -np.inf)
    name, strand = np.full(len(seqlets), NO_MOTIF, object), np.full(len(seqlets), ".", object)
    for motif in motifs.values():
        plus = informative_core(motif.probabilities - 0.25, width)
        for sign, matrix in (("+", plus), ("-", plus[::-1, ::-1])):
            places = np.lib.stride_tricks.sliding_window_view(stretches, len(matrix), axis=1)
            products = np.einsum("spbw,wb->sp", places, matrix).max(axis=1)
            likeness = products / (norms * np.linalg.norm(matrix))
            better = likeness > best
            best[better], strand[better] = likeness[better], sign
            name[better] = f"{motif.name} {motif.title}".strip()
    name[best < ALIKE], strand[best < ALIKE] = NO_MOTIF, "."
    return seqlets.assign(motif=name, strand=strand, likeness=best)


def count_motifs(matches: pd.DataFrame, shuffled: pd.DataFrame) -> pd.DataFrame:
    """Of each motif its `seqlets`, the `sequences` with one, and means; the commonest first.

    `adding`, `taking`: its seqlets that speak for the task, and against it; `in_shuffled`: its
    seqlets in as many shuffled sequences.
    """
    grouped = matches.groupby("motif")
    table = pd.DataFrame(
        {
            "seqlets": grouped.size(),
            "sequences": grouped["sequence"].nunique(),
            "adding": grouped["added"].agg(lambda added: (added > 0).sum()),
            "taking": grouped["added"].agg(lambda added: (added < 0).sum()),
            "mean_added": grouped["added"].mean(),
            "mean_likeness": grouped["likeness"].mean(),
        }
    )
    others = shuffled["motif"].value_counts().reindex(table.index, fill_value=0)
    table.insert(2, "in_shuffled", others)
    order = np.lexsort([table.index, -table["seqlets"], table.index == NO_MOTIF])
    return table.iloc[order].reset_index()


@dataclass(frozen=True, eq=False)
class Motifs:
    """Seqlets with their motifs, see `match_motifs`: of the sequences, and of shuffled ones."""

    matches: pd.DataFrame
    shuffled: pd.DataFrame

    @property
    def counts(self) -> pd.DataFrame:
        """See `count_motifs`."""
        return count_motifs(self.matches, self.shuffled)


def find_motifs(
    predictor: Predictor,
    found: Explained,
    motifs: Mapping[str, Motif],
    progress: Progress | None = None,
) -> Motifs:
    """The motifs in what was explained, and in the same sequences with shuffled dinucleotides."""
    codes = dinucleotide_shuffle(found.codes, seed=0)
    column = predictor.tasks.index(found.task)
    values = contributions(predictor, codes, column, found.method, progress)
    null = of_present(values, codes)
    pairs = (found.added, found.values), (null, values)
    return Motifs(*(match_motifs(find_seqlets(a, null), v, motifs) for a, v in pairs))


@dataclass(frozen=True, eq=False)
class Finding:
    """What a network looks at for one task: of sequences, and the motifs in them."""

    explained: Explained
    motifs: Motifs


# Figures and files


@dataclass(frozen=True)
class LogoRegion:
    """What a logo is drawn of: a part of a sequence, 0-based half-open."""

    name: str
    start: int
    end: int


def parse_region(text: str, names: Sequence[str], length: int) -> LogoRegion:
    """The region that `name:start-end` names, or a name alone: the whole sequence.

    Raises:
        UserError: No sequence of that name, or positions outside it.
    """
    whole = re.fullmatch(r"(.+):(\d{1,9})-(\d{1,9})", text)
    if text in names:
        return LogoRegion(text, 0, length)
    if not whole or whole[1] not in names:
        some = ", ".join(names[:3])
        raise UserError(
            f"--region: expected NAME or NAME:START-END of a sequence ({some}, …), got {text!r}."
        )
    start, end = int(whole[2]), int(whole[3])
    if not 0 <= start < end <= length:
        raise UserError(f"--region: expected 0 <= start < end <= {length}, got {text!r}.")
    return LogoRegion(whole[1], start, end)


def top_region(found: Explained, row: int, most: int = LOGO) -> LogoRegion:
    """The stretch of at most so many bp of a sequence whose bases add and take most."""
    size = np.abs(found.added[row])
    width = min(most, len(size))
    start = int(np.convolve(size, np.ones(width), "valid").argmax())
    return LogoRegion(found.names[row], start, start + width)


def draw_logos(found: Explained, regions: Sequence[LogoRegion]) -> Figure:
    """A logo for each region: letters as high as what they add, below 0 where they take."""
    import logomaker

    width = max(region.end - region.start for region in regions)
    size = (max(4.0, 0.11 * width), 1.3 * len(regions))
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(regions), 1, squeeze=False)[:, 0]
    for axes, region in zip(rows, regions, strict=True):
        row = found.names.index(region.name)
        part = slice(region.start, region.end)
        heights = found.values[row, part] * one_hot(found.codes[row, part])
        places = pd.RangeIndex(region.start, region.end)
        logomaker.Logo(pd.DataFrame(heights, places, BASES), ax=axes)
        name = region.name if len(region.name) <= NAME else f"{region.name[:NAME]}…"
        digits = ".2f" if found.predicted == "probability" else ".3g"
        title = f"{name}, {found.predicted} {found.predictions[row]:{digits}}"
        axes.set_title(title, fontsize=8, loc="left", parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    rows[-1].set_xlabel("position, bp", fontsize=8)
    figure.supylabel(found.adds_to, fontsize=8)
    return figure


def draw_profile(found: Explained) -> Figure:
    """Mean contribution at each position of the sequences, and the mean of its size."""
    import seaborn as sns

    position = np.arange(found.codes.shape[1]) - found.codes.shape[1] // 2
    means = {"mean": found.added.mean(axis=0), "mean of sizes": np.abs(found.added).mean(axis=0)}
    figure = Figure(figsize=(5, 2.8), layout="constrained")
    axes = figure.subplots()
    sns.lineplot(pd.DataFrame(means, index=position), ax=axes, palette="colorblind", dashes=False)
    axes.axhline(0, color="black", lw=0.6)
    axes.set(xlabel="position relative to the middle, bp", ylabel=found.adds_to)
    axes.margins(x=0)
    return figure


def write_explained(
    found: Explained,
    folder: Path,
    regions: Sequence[LogoRegion],
    top: int,
    motifs: Motifs,
    track: bytes | None = None,
) -> list[Path]:
    """Write tables, arrays and figures of what was found, and a bigWig; returns their paths.

    `one_hot.npz` and `contributions.npz` hold one array each, `arr_0`, (sequences, 4, length):
    what `modisco motifs -s one_hot.npz -a contributions.npz` reads.
    """
    names = np.array(found.names)
    predictions = pd.DataFrame({"name": names, found.predicted: found.predictions})
    added = found.added
    profile = pd.DataFrame(
        {
            "position": np.arange(found.codes.shape[1]),
            "mean": added.mean(axis=0),
            "mean_of_sizes": np.abs(added).mean(axis=0),
        }
    )
    contents = {
        "one_hot.npz": _packed(one_hot(found.codes).astype(np.int8)),
        "contributions.npz": _packed(found.values),
        "sequences.tsv": _tsv(predictions),
        "profile.tsv": _tsv(profile),
        "profile.svg": _svg(draw_profile(found)),
        "logos.svg": _svg(
            draw_logos(found, [top_region(found, row) for row in range(min(top, len(names)))])
        ),
        "seqlets.tsv": _tsv(motifs.matches.assign(sequence=names[motifs.matches["sequence"]])),
        "motifs.tsv": _tsv(motifs.counts),
    }
    if track:
        contents["contributions.bw"] = track
    if regions:
        contents["regions.svg"] = _svg(draw_logos(found, regions))
    for name in {"regions.svg", "contributions.bw"} - set(contents):  # of another call
        (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        with atomic_write(folder / name) as file:
            file.write(content)
    return [folder / name for name in contents]


def _packed(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, values.swapaxes(1, 2))
    return file.getvalue()


def _tsv(table: pd.DataFrame) -> bytes:
    return table.to_csv(sep="\t", index=False, float_format="%.6g").encode()


def _svg(figure: Figure) -> bytes:
    import matplotlib as mpl

    file = io.BytesIO()
    settings: dict[Any, Any] = {"svg.hashsalt": "sfc_lib"}  # the same figure, the same bytes
    with mpl.rc_context(settings):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
