"""The playground: choose a network, watch it train, and see it beside the published ones.

For the notebook of the same name, in JupyterLab. A run that is started here is one like any
other: its record lies in the user's store, and an interrupted one goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import html
import io
import json
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfc_lib.errors import UserError
from sfc_lib.files import runs_dir
from sfc_lib.pages import figure3_importance as figure3
from sfc_lib.pages import figure4_positional_weights as figure4
from sfc_lib.pages.figure1_performance import performance
from sfc_lib.pages.results import Results, load_results
from sfc_lib.pages.style import OTHER, PAGE, STYLE, closed, colour_of, name_of
from sfc_lib.runs.pool import run_one, use_keras
from sfc_lib.runs.sizes import Experiment, Size, load_size
from sfc_lib.runs.spec import CHOICES, RunSpec
from sfc_lib.runs.store import HISTORY, Record, look_up
from sfc_lib.runs.worker import Processes

VARIANTS = ("std", "sep")  # symmetric or not
YOURS = "yours"  # label of the reader's run in figures
SEQUENCES = 2000  # that its importance is averaged over: seconds, not minutes
SIZE = "standard"  # of the published runs beside it
LAYOUT = {"width": "30rem"}
WORDS = {"description_width": "15rem"}


class Playground(widgets.VBox):
    """Fields for a run's spec, two buttons, its learning curve, and in the end what it gave.

    Args:
        experiment: Whose data and settings it starts from, one of the size *standard*.
        epochs: The most that it trains, until changed in its field.

    Raises:
        UserError: There is no such experiment.
    """

    def __init__(self, experiment: str = "simulated_tf", epochs: int = 20) -> None:
        known = load_size(SIZE).experiments
        if experiment not in known:
            raise UserError(f"experiment: expected one of {list(known)}, got {experiment!r}.")
        titles = [(item.title, name) for name, item in known.items()]
        readouts = [(name.replace("_", " "), name) for name in CHOICES["readout"] if name]
        networks = [*((name_of(name), name) for name in VARIANTS), *readouts]
        self.fields: dict[str, Any] = {
            "data": _field(widgets.Dropdown, "data", experiment, options=titles),
            "network": _field(widgets.Dropdown, "network", "sep", options=networks),
            "symmetric": _field(widgets.Checkbox, "symmetric positions", False, indent=False),
            "units": _field(
                widgets.BoundedIntText, "SFC neurons (0: as many as match)", 0, max=5000
            ),
            "curvature": _field(widgets.FloatText, "strength of CR", 0.0),
            "initializer": _field(
                widgets.Dropdown, "initialisation", "paper", options=CHOICES["initializer"]
            ),
            "learning_rate": _field(widgets.FloatText, "learning rate", 0.001, step=0.0001),
            "train_samples": _field(widgets.IntText, "training sequences (0: all)", 0),
            "epochs": _field(widgets.IntText, "most epochs", epochs),
            "seed": _field(widgets.IntText, "seed", 0),
        }
        self.start_button = widgets.Button(description="Start", button_style="primary")
        self.stop_button = widgets.Button(description="Stop", disabled=True)
        self.message = widgets.HTML()
        self.curve, self.outcome = widgets.VBox(), widgets.VBox()
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        self._pool: Processes | None = None
        self._run: tuple[RunSpec, Future] | None = None
        self._shown = -1  # epochs in the curve that is drawn
        buttons = widgets.HBox([self.start_button, self.stop_button])
        super().__init__([*self.fields.values(), buttons, self.message, self.curve, self.outcome])

    @property
    def spec(self) -> RunSpec:
        """The run that the fields ask for; a `UserError` names the one that can't be."""
        value = {name: field.value for name, field in self.fields.items()}
        readout = value["network"] if value["network"] not in VARIANTS else None
        variant = _variant_of(readout) if readout else value["network"]
        if value["symmetric"]:
            if variant == "std":
                raise UserError(f"symmetric: {value['network']} has no SFC layer; choose another.")
            variant = "symm"
        like = load_size(SIZE, 1).experiments[value["data"]].models["sep"][0]
        layer = {"units": value["units"] or None, "initializer": value["initializer"]}
        layer["curvature"] = value["curvature"]
        return dataclasses.replace(
            like,
            variant=variant,
            readout=readout,
            learning_rate=value["learning_rate"],
            epochs=value["epochs"],
            train_samples=value["train_samples"] or None,
            seed=value["seed"],
            **layer,
        )

    def start(self) -> None:
        """Train the run, or go on with it, in another process; what is there is shown at once."""
        try:
            spec = self.spec
        except UserError as error:
            return self._say(str(error), "error")
        self.outcome.children, self._shown = (), -1
        self._pool = Processes(1)
        self._run = spec, self._pool.submit(run_one, spec.to_dict(), str(runs_dir()))
        self._buttons(running=True)
        self._say(f"Run {spec.id} begins.")
        with suppress(RuntimeError):  # outside of a kernel nothing watches: call `refresh`
            asyncio.get_running_loop().create_task(self._watch())
        return None

    def stop(self) -> None:
        """End the process. Epochs that it finished are kept, and `start` goes on from there."""
        if self._run is not None and self._pool is not None:
            spec, self._run = self._run[0], None
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._buttons(running=False)
            self._say(
                f"Stopped after {len(_history(spec))} epochs of {spec.epochs}. Start goes on."
            )

    def refresh(self) -> bool:
        """Draw what has come since; whether there is more to come."""
        if self._run is None:
            return False
        spec, future = self._run
        history = _history(spec)
        if len(history) > self._shown:
            self._shown = len(history)
            self.curve.children = [
                _image(learning_curve(spec, history), "validation auROC by epoch")
            ]
            self._say(f"Run {spec.id}: {len(history)} of at most {spec.epochs} epochs.")
        if not future.done():
            return True
        self._run = None
        if self._pool is not None:
            self._pool.shutdown()
        self._buttons(running=False)
        record = look_up(spec, published=False)
        if record is None:
            self._say(f"The run failed: {future.exception()}", "error")
        else:
            self._finish(record)
        return False

    async def _watch(self) -> None:
        while self.refresh():
            await asyncio.sleep(1)

    def _finish(self, record: Record) -> None:
        self._say(f"{summary(record)} Its parts beside the published runs are being drawn.")
        name = self.fields["data"].value
        self.outcome.children = [_image(figure, words) for words, figure in outcome(record, name)]
        self._say(f"{summary(record)} Record: {record.folder.name} in {record.folder.parent}.")

    def _buttons(self, running: bool) -> None:
        self.start_button.disabled, self.stop_button.disabled = running, not running
        for field in self.fields.values():
            field.disabled = running

    def _say(self, text: str, kind: str = "info") -> None:
        colour = {"error": "#b42318", "info": "inherit"}[kind]
        self.message.value = f'<p style="color: {colour}">{html.escape(text)}</p>'


def summary(record: Record) -> str:
    """One sentence on how a run went."""
    if record.diverged:
        return f"Run {record.spec.id} diverged after {record.result['epochs']} epochs."
    valid, best = record.result["valid"], record.result["best_epoch"]
    return (
        f"Run {record.spec.id}: validation auROC {valid['auroc']:.4f}, auPRC {valid['auprc']:.4f}, "
        f"at epoch {best} of {record.result['epochs']}; "
        f"{record.result['cpu_seconds']:.0f} CPU-seconds."
    )


def learning_curve(spec: RunSpec, history: list[dict[str, Any]]) -> Figure:
    """Validation auROC by epoch."""
    scores = [line["valid_auroc"] or np.nan for line in history]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(PAGE * 0.7, 2.4), layout="constrained")
        axes.plot(range(1, len(scores) + 1), scores, "o-", color=OTHER, ms=4)
        axes.set(xlim=(0.5, spec.epochs + 0.5), xlabel="epoch", ylabel="validation auROC")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return closed(figure)


def outcome(record: Record, experiment: str) -> list[tuple[str, Figure]]:
    """Scores, importance and `W_pos` of a run beside the published ones, each with its words.

    Its importance is the mean over `SEQUENCES` sequences, fewer than that of published runs.
    """
    use_keras(record.spec.backend)  # quietly, before a model is loaded
    size = load_size(SIZE).only([experiment])
    item = size.experiments[experiment]
    yours = {YOURS: (record.spec,)}
    alone = _of(size, dataclasses.replace(item, models=yours), [record])
    profiles, together = [alone.profiles([experiment], sequences=SEQUENCES)], alone
    with suppress(UserError):  # where the published ones have no records
        published = load_results(SIZE, jobs=0, only=[experiment])
        both = dataclasses.replace(item, models={**item.models, **yours})
        together = _of(size, both, [*published.records, record])
        profiles.insert(0, published.profiles([experiment]))
    figures = [("scores of your run and of the published ones", performance(together))]
    if record.diverged:
        return figures
    found = pd.concat(profiles, ignore_index=True)
    if len(found):
        panels = figure3.importance_panels(figure3.with_numbers(found))
        figures.append(("importance of positions", panels))
    if len(weights := together.weights[together.weights.best]):
        figures.append(("positional weights, rows sorted by cluster", _weights(weights)))
    return figures


def _of(size: Size, item: Experiment, records: list[Record]) -> Results:
    return Results(dataclasses.replace(size, experiments={item.name: item}), records)


def _variant_of(readout: str) -> str:
    """The variant that a readout stands in, as in the size *controls*."""
    for item in load_size("controls", 1).experiments.values():
        for (spec,) in item.models.values():
            if spec.readout == readout:
                return spec.variant
    raise UserError(f"network: no experiment has the readout {readout!r}.")


def _history(spec: RunSpec) -> list[dict[str, Any]]:
    """The epochs that a run has finished; a line that is being written is left for later."""
    with suppress(FileNotFoundError):
        lines = (runs_dir() / spec.id / HISTORY).read_text().splitlines()
        with suppress(json.JSONDecodeError):
            return [json.loads(line) for line in lines]
        return [json.loads(line) for line in lines[:-1]]
    return []


def _weights(runs: pd.DataFrame) -> Figure:
    panels = [figure4.cluster(weights) for weights in runs.W_pos]
    top = figure4.colour_limit(panels)
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1, len(panels), figsize=(PAGE, 3), squeeze=False, layout="constrained"
        )
        for axes, panel, run in zip(row[0], panels, runs.itertuples(), strict=True):
            figure4.heat_map(axes, panel, top)
            axes.set_title(f"{run.model}, seed {run.seed}", color=colour_of(run.model))
    return closed(figure)


def _field(kind: type, words: str, value: Any, **options: Any) -> Any:
    return kind(value=value, description=words, layout=LAYOUT, style=WORDS, **options)


def _image(figure: Figure, words: str) -> widgets.HTML:
    """A picture with its text for those who don't see it."""
    with plt.rc_context(STYLE), io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        data = base64.b64encode(file.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    return widgets.HTML(f'<img class="sfc-picture" alt="{html.escape(words)}" src="{source}">')
