"""Drawings and tables of the method page; every number in them is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from math import prod
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from sfc_lib.nn.architectures import ARCHITECTURES, VARIANTS, build_model, match_units
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.nn.readouts import multiplications
from sfc_lib.pages.data import WIDTH
from sfc_lib.pages.style import COLOURS, STYLE, closed, show
from sfc_lib.pages.widget import Widget

# Sequence length in bp and tasks of each network's data, and its SFC neurons, in the paper
# (sections 2.3 and 2.4); 1000 bp for Basset are those of the simulated accessibility set.
PAPER = {"simulated_tf": (200, 3, 648), "chip_seq": (1000, 1, 18), "basset": (1000, 16, 1000)}
TITLES = {"simulated_tf": "simulated TF", "chip_seq": "in vivo TF", "basset": "Basset"}


# The worked example: the map of a short sequence, positions × channels, and one neuron.
X = np.array([[1, 0, 2], [0, 3, 1], [2, 0, 0], [1, 1, 0]])
NEURON = np.array([1, 3, 2, -1]), np.array([1, -1, 2])  # W_pos, W_chan
SIDES = tuple(zip(("pos.", "chan."), X.shape, strict=True))
STRENGTHS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)  # of CR that the picture offers
TOUCH = "Drag the bars of W_pos and W_chan: the cells show their outer product"


def worked_example() -> HTML:
    """One neuron computed by hand: its two profiles, their outer product, the map, the sum.

    The sum is what `SeparableFC` gives with these weights.
    """
    w_pos, w_chan = NEURON
    layer = SeparableFC(1)
    layer.build((None, *X.shape))
    layer.set_weights([w_pos[None], w_chan[None]])
    y = float(layer(X[None].astype("float32"))[0, 0])
    kernel = np.outer(w_pos, w_chan)
    rows, columns = ([f"{name} {i + 1}" for i in range(count)] for name, count in SIDES)
    tables = {
        "the map x": _matrix(X, rows, columns),
        "W<sub>pos</sub> × W<sub>chan</sub>": _matrix(kernel, w_pos, w_chan),
        "x times these weights": _matrix(X * kernel, rows, columns),
    }
    parts = "".join(f"<div><b>{name}</b>{html}</div>" for name, html in tables.items())
    first, *others = (X * kernel)[X * kernel != 0].tolist()
    terms = "".join(f" {'−' if term < 0 else '+'} {abs(term)}" for term in others)
    return HTML(
        f'<div class="sfc-worked">{parts}</div>'
        f"<p>W<sub>pos</sub> stands at the left of its products, W<sub>chan</sub> above them. "
        f"Added up: y = {_signed(first)}{terms} = <b>{_signed(y)}</b>. An FC neuron has "
        f"{kernel.size} weights on this map, the SFC neuron {len(w_pos)} + {len(w_chan)} = "
        f"{len(w_pos) + len(w_chan)}.</p>"
    )


def _matrix(values: np.ndarray, rows: Iterable[object], columns: Iterable[object]) -> str:
    """A small matrix as HTML, with what stands at its sides."""
    cells = [[_signed(row), *map(_signed, line)] for row, line in zip(rows, values, strict=True)]
    return show(pd.DataFrame(cells, columns=["", *map(_signed, columns)])).data


def _signed(value: object) -> str:
    return (value if isinstance(value, str) else f"{value:g}").replace("-", "−")


def draggable(length: int = 14, channels: int = 6) -> Widget:
    """Two profiles to drag, their outer product, symmetry, and CR (`outer_product.js`).

    What CR does is shown without a network: the bars are the profile p that minimises
    mean (p − w)² + strength · mean |second difference of p| for the drawn profile w.
    """
    bump = np.cos(np.linspace(-2.6, 2.2, length)) + 0.2 * (-1.0) ** np.arange(length)
    values = {
        "positions": (bump / np.abs(bump).max()).round(2).tolist(),
        "channels": np.linspace(1, -0.8, channels)[[2, 0, 5, 1, 4, 3][:channels]].round(2).tolist(),
        "strengths": list(STRENGTHS),
    }
    return Widget("outer_product", TOUCH, values)


def diagram(length: int = 14, channels: int = 6) -> Figure:
    """From the convolutions' map to one neuron: an FC layer's weights beside an SFC layer's."""
    rng = np.random.default_rng(5)
    codes, active = rng.integers(0, 4, 44), np.maximum(rng.normal(size=(channels, length)), 0)
    w_pos = np.cos(np.linspace(-2.6, 2.6, length))[None, :]
    w_chan = np.linspace(1, -1, channels)[rng.permutation(channels), None]
    with plt.rc_context({**STYLE, "font.size": 10.5}):
        figure = plt.figure(figsize=(WIDTH, 5.6))
        _heat(figure, (0.1, 0.91, 0.8, 0.05), codes == np.arange(4)[:, None], "Greys")
        _heat(figure, (0.3, 0.66, 0.4, 0.16), active, "Greys")
        _heat(figure, (0.02, 0.27, 0.38, 0.15), rng.normal(scale=0.6, size=active.shape))
        _heat(figure, (0.6, 0.27, 0.38, 0.15), w_chan * w_pos)
        _heat(figure, (0.6, 0.435, 0.38, 0.026), w_pos)
        _heat(figure, (0.55, 0.27, 0.035, 0.15), w_chan)
        for start, end in ARROWS:
            figure.add_artist(FancyArrowPatch(start, end, **ARROW))
        for x, y, text, options in LABELS:
            figure.text(x, y, text, **{"ha": "center", "va": "center", **options})
    return closed(figure)


Box = tuple[float, float, float, float]
ARROWS = (
    ((0.5, 0.9), (0.5, 0.855)),
    ((0.38, 0.65), (0.23, 0.575)),
    ((0.62, 0.65), (0.77, 0.575)),
    ((0.21, 0.26), (0.21, 0.15)),
    ((0.79, 0.26), (0.79, 0.15)),
)
ARROW: Any = {"arrowstyle": "-|>", "mutation_scale": 14, "color": "black"}
CIRCLE: Any = {"boxstyle": "circle,pad=0.35", "facecolor": "white", "edgecolor": "black"}
LABELS: Any = (
    (0.5, 0.98, "one-hot DNA", {}),
    (0.52, 0.878, "convolutions, pooling", {"ha": "left"}),
    (0.5, 0.835, "map x: channels × length", {}),
    (0.21, 0.55, "FC neuron", {"weight": "bold"}),
    (0.21, 0.44, "every weight is free", {}),
    (0.79, 0.55, "SFC neuron", {"weight": "bold"}),
    (0.79, 0.485, "$W_{pos}$", {}),
    (0.515, 0.345, "$W_{chan}$", {"rotation": 90}),
    (0.5, 0.2, "multiply by x,\nadd up", {}),
    (0.21, 0.11, "y", {"bbox": CIRCLE, "style": "italic"}),
    (0.79, 0.11, "y", {"bbox": CIRCLE, "style": "italic"}),
    (0.21, 0.03, "length · channels\nweights", {}),
    (0.79, 0.03, "length + channels\nweights", {}),
)


def _heat(figure: Figure, box: Box, values: np.ndarray, colours: str = "RdBu_r") -> None:
    """One grid of values in a box (left, bottom, width, height) of the figure."""
    axes, top = figure.add_axes(box), np.abs(values).max()
    low = 0 if colours == "Greys" else -top
    axes.pcolormesh(values[::-1], cmap=colours, vmin=low, vmax=top, edgecolor="#dddddd", lw=0.4)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def initial_weights(seed: int = 0) -> tuple[pd.DataFrame, Figure]:
    """How W_out of the simulated-TF network starts: its variance, and its histogram.

    Layers are really built, one for each initialiser, and their outer products read.
    """
    keras.utils.set_random_seed(seed)
    sfc = _network("simulated_tf", "sep").get_layer("sfc")
    shape = (sfc.length * sfc.channels, sfc.units)
    samples = {("glorot_uniform", "FC"): np.asarray(keras.initializers.GlorotUniform()(shape))}
    for initializer in ("paper", "variance"):  # the others are controls
        for variant, symmetric in (("sep", False), ("symm", True)):
            layer = SeparableFC(sfc.units, symmetric, initializer)
            layer.build((None, sfc.length, sfc.channels))
            samples[initializer, variant] = _outer_product(layer)
    expected = 2 / sum(shape)  # of glorot_uniform: ±sqrt(6 / (inputs + outputs)), squared, by 3
    table = pd.DataFrame(list(samples), columns=["initialiser", "layer"])
    table["variance of W_out"] = [f"{values.var():.2e}" for values in samples.values()]
    table["relative to glorot_uniform"] = [f"{v.var() / expected:.3f}" for v in samples.values()]
    return table, _densities({name: w for (name, layer), w in samples.items() if layer != "symm"})


def _densities(samples: Mapping[str, np.ndarray]) -> Figure:
    """Histograms as lines; NumPy's, since seaborn takes ten seconds for these millions."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
        for (name, values), variant in zip(samples.items(), VARIANTS, strict=True):
            density, edges = np.histogram(values, 121, (-0.09, 0.09), density=True)
            density[density == 0] = np.nan
            axes.plot((edges[:-1] + edges[1:]) / 2, density, color=COLOURS[variant], label=name)
        axes.set(yscale="log", xlabel="entry of $W_{out}$", ylabel="density, log scale")
        axes.set_xticks(np.linspace(-0.08, 0.08, 5))
        axes.legend(fontsize=9)
    return closed(figure)


def networks_table() -> pd.DataFrame:
    """The three networks at the paper's sizes: shapes, SFC neurons and trainable parameters."""
    columns = {}
    for name, (bp, tasks, published) in PAPER.items():
        length, channels, units, outputs = _shape(name)
        weights = {v: _network(name, v).trainable_weights for v in VARIANTS}
        columns[TITLES[name]] = {
            "input": f"{bp:,} bp",
            "tasks": str(tasks),
            "length × channels": f"{length} × {channels}",
            "neurons m of the FC layer": f"{outputs:,}",
            "most SFC neurons n that fit": f"{match_units(length, channels, outputs):,}",
            "SFC neurons here": f"{units:,}",
            "SFC neurons in the paper": f"{published:,}",
            **{f"parameters, {v}": f"{sum(prod(w.shape) for w in weights[v]):,}" for v in VARIANTS},
        }
    return pd.DataFrame(columns).rename_axis("quantity").reset_index()


def cost_table() -> pd.DataFrame:
    """Multiplications for one example, from the shapes of the three networks' layers."""
    columns = {}
    for name in PAPER:
        length, channels, units, outputs = _shape(name)
        alone, both = length * channels * outputs, units * (length * channels + outputs)
        std, sep = (multiplications(_network(name, variant)) for variant in ("std", "sep"))
        columns[TITLES[name]] = {
            "FC layer (std)": f"{alone:,}",
            "SFC and FC layer (sep)": f"{both:,}",
            "ratio of the two": f"{both / alone:.2f}",
            "ratio of the whole networks": f"{sep / std:.2f}",
        }
    return pd.DataFrame(columns).rename_axis("quantity").reset_index()


def collapse(examples: int = 100, seed: int = 0) -> float:
    """Largest difference between SFC + Dense and the one Dense layer that they equal.

    Both are computed for random input in the simulated-TF shape; outputs are of order 1.
    """
    rng = np.random.default_rng(seed)
    length, channels, units, outputs = _shape("simulated_tf")
    layer = _network("simulated_tf", "sep").get_layer("sfc")
    x = rng.normal(size=(examples, length, channels)).astype("float32")
    v = rng.normal(size=(units, outputs)).astype("float32")
    two = np.asarray(layer(x)) @ v
    one = x.reshape(examples, -1) @ (_outer_product(layer).reshape(units, -1).T @ v)
    return float(np.abs(two - one).max() / two.std())


@cache
def _network(name: str, variant: str) -> keras.Model:
    length, tasks, _ = PAPER[name]
    return build_model(name, variant, length=length, tasks=tasks)


def _shape(name: str) -> tuple[int, int, int, int]:
    """Length, channels and units of a network's SFC layer, and outputs of the FC behind it."""
    sfc = _network(name, "sep").get_layer("sfc")
    outputs = (*ARCHITECTURES[name].hidden, PAPER[name][1])[0]
    return sfc.length, sfc.channels, sfc.units, outputs


def _outer_product(layer: SeparableFC) -> np.ndarray:
    """W_out of an SFC layer, shape (units, length, channels)."""
    w_pos, w_chan = np.asarray(layer.positional_weights()), np.asarray(layer.W_chan)
    return w_pos[:, :, None] * w_chan[:, None, :]
