"""SFC in a Keras model that you already have.

    python examples/keras_model.py
    python examples/keras_model.py --examples 400 --epochs 1    # to see it run

Needs `pip install 'sfc_lib[tensorflow]'` (or jax, or torch, with KERAS_BACKEND set), nothing else.
"""

import argparse
import logging
from pathlib import Path

import keras
from sklearn.metrics import roc_auc_score

from sfc_lib import fold_separable, load_dataset, separate
from sfc_lib.genomics.dna import one_hot

arguments = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
)
arguments.add_argument("--examples", type=int, default=8000, help="simulated sequences")
arguments.add_argument("--epochs", type=int, default=10)
arguments.add_argument("--output", type=Path, default=Path("separated.keras"))
options = arguments.parse_args()

logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of several models in one script
data = load_dataset("simulated_tf", examples=options.examples)  # 200 bp, three tasks
train, valid = (one_hot(split.codes) for split in (data.train, data.valid))  # (examples, 200, 4)


def your_model() -> keras.Model:
    """Stands for a model of yours, of any layers: it ends in Flatten and Dense."""
    inputs = keras.Input((data.length, 4), name="sequence")
    x = keras.layers.Conv1D(32, 11, activation="gelu")(inputs)
    x = keras.layers.Conv1D(32, 11, activation="relu")(x)
    x = keras.layers.MaxPooling1D(10, 5)(x)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(32, activation="relu", name="fc")(x)
    outputs = keras.layers.Dense(len(data.task_names), activation="sigmoid")(x)
    return keras.Model(inputs, outputs, name="yours")


def fit(model: keras.Model, rate: float = 1e-3) -> float:
    """Train, and score: mean auROC of the tasks on the validation set."""
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    model.fit(train, data.train.labels, batch_size=100, epochs=options.epochs, verbose=0)
    return roc_auc_score(data.valid.labels, model.predict(valid, verbose=0))


keras.utils.set_random_seed(0)
yours = your_model()
untrained = separate(yours, symmetric=True, curvature=1.0, seed=0)  # before anything is trained
print(f"yours: {yours.count_params():,} weights, auROC {fit(yours):.4f}")

print("\nA new start, symmetric and smooth:", untrained.separated[0], sep="\n")
print(f"{untrained.count_params():,} weights, auROC {fit(untrained):.4f}")

trained = separate(yours, start="svd")  # goes on from what yours has learnt
score = roc_auc_score(data.valid.labels, trained.predict(valid, verbose=0))
print("\nFrom the trained model:", trained.separated[0], sep="\n")
print(f"auROC {score:.4f} as it is, {fit(trained, rate=1e-4):.4f} trained on")

folded = fold_separable(trained)  # for prediction: the layers that yours has
change = abs(folded.predict(valid, verbose=0) - trained.predict(valid, verbose=0)).max()
print(f"\nFolded: {folded.count_params():,} weights, predictions differ by at most {change:.0e}")

trained.save(options.output)
again = keras.models.load_model(options.output)  # sfc_lib is imported: Keras knows the layers
print(f"Saved as {options.output}, read again: {type(again).__name__}, {again.count_params():,}")
