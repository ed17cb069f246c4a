"""Small files of a user's own, and the command line that they are given to."""

import numpy as np
from click.testing import CliRunner

from sfc_lib.cli import main

MOTIF, LENGTH = "TGATAAGG", 60
QUICK = ["--width", "0.2", "--epochs", "2"]
SYMM = ["--positives", "pos.fa", "--negatives", "neg.fa", "--variant", "symm", "--curvature", "1"]
BOTH = [*SYMM, "--ensemble", "2"]
STD = ["--sequences", "all.fa", "--labels", "labels.tsv", "--variant", "std"]


def sfc(*arguments):
    """The outcome of `sfc`, run in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(count, seed, motif=""):
    """Random sequences, with a motif from position 20."""
    rng = np.random.default_rng(seed)
    found = ["".join(row) for row in rng.choice(list("ACGT"), (count, LENGTH))]
    return [row[:20] + motif + row[20 + len(motif) :] for row in found]


def fasta(path, rows, prefix="s"):
    """A FASTA file of sequences that are named s0, s1 and so on."""
    path.write_text("".join(f">{prefix}{i}\n{row}\n" for i, row in enumerate(rows)))
    return path


def made(folder):
    """Files of 200 positives with a motif, 300 negatives, and a table of two tasks."""
    positives, negatives = rows_of(200, 1, MOTIF), rows_of(300, 2)
    fasta(folder / "pos.fa", positives)
    fasta(folder / "neg.fa", negatives)
    fasta(folder / "all.fa", positives + negatives)
    lines = [f"s{i}\t{int(i < 200)}\t{i % 2}\n" for i in range(500)]
    (folder / "labels.tsv").write_text("name\tGATA1 <b>\teven\n" + "".join(lines))
    return folder
