"""SFC in CREsted's deep-topic CNN: its public model builder, then `separate`.

    pip install crested 'sfc_lib[tensorflow]'
    python examples/crested_model.py                       # CREsted's own sizes
    python examples/crested_model.py --filters 64 --dense 64    # small, to see it run

The model that comes out is a Keras model of the same inputs and outputs: `crested.tl.Crested`
trains it, and CREsted's attribution reads it, as the one that went in.
"""

import argparse
import sys

try:
    from crested.tl import zoo
except ModuleNotFoundError as error:
    sys.exit(f"This example needs {error.name}: pip install 'crested[motif]'")

import numpy as np

from sfc_lib import fold_separable, separate

arguments = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
)
arguments.add_argument("--length", type=int, default=2114, help="bp; four poolings by 4 follow")
arguments.add_argument("--topics", type=int, default=16)
arguments.add_argument("--filters", type=int, default=1024, help="of the first convolution")
arguments.add_argument("--dense", type=int, default=1024, help="neurons behind Flatten")
options = arguments.parse_args()

theirs = zoo.deeptopic_cnn(
    options.length, options.topics, filters=options.filters, dense_out=options.dense
)
print(f"deeptopic_cnn: {theirs.count_params():,} weights")

for symmetric in (False, True):
    model = separate(theirs, symmetric=symmetric, curvature=1.0, seed=0)
    print(
        f"\nsymmetric={symmetric}: {model.count_params():,} weights", model.separated[0], sep="\n"
    )

rng = np.random.default_rng(0)
sequences = np.eye(4, dtype="float32")[rng.integers(0, 4, (32, options.length))]
labels = rng.integers(0, 2, (32, options.topics)).astype("float32")
model.compile("adam", "binary_crossentropy")
print(f"\nOne training step: loss {model.train_on_batch(sequences, labels):.3f}")

folded = fold_separable(model)
change = abs(folded(sequences) - model(sequences, training=False)).numpy().max()
print(f"Folded, for prediction: {folded.count_params():,} weights, differs by {change:.0e}")
