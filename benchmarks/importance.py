"""Time and memory of one importance profile: 100,000 sequences, one task, one core.

Run it on an idle machine: `taskset -c 0 python benchmarks/importance.py`. It prints seconds,
the peak of this process' memory, and by how much two batch sizes differ.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from sfc_lib import RunSpec
from sfc_lib.nn.architectures import VARIANTS, build_model
from sfc_lib.nn.gradients import importance_profiles
from sfc_lib.runs.evaluation import sequences

TAL1 = 2


def main() -> None:
    """Measure the paper's three simulated-TF networks, with random weights."""
    codes = sequences(RunSpec())
    for variant in VARIANTS:
        model = build_model("simulated_tf", variant, length=200, tasks=3)
        began = time.perf_counter()
        profile = importance_profiles(model, codes, [TAL1])
        seconds = time.perf_counter() - began
        other = importance_profiles(model, codes, [TAL1], batch_size=333)
        difference = np.abs(profile - other).max() / np.abs(profile).max()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux
        print(
            f"{variant}: {seconds:.0f} s, {memory:.2f} GB, batch sizes differ by {difference:.0e}"
        )


if __name__ == "__main__":
    main()
