"""What is printed of the paper's figures in numbers, and ours beside it.

The paper draws its results and prints next to none of them. Its pictures were not at hand when
this was written, only its text, so nothing is read off a bar or a curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sfc_lib.pages.results import Results, by_experiment
from sfc_lib.pages.style import short, short_data, spread

METRICS = {"auroc": "auROC", "auprc": "auPRC"}
PAPER = "the paper"
BASELINE = "Shrikumar et al., bioRxiv 103663: median of 10 seeds"
GENOME = (
    "theirs is of all of hg19, scored on chr1; ours at size standard of four regions, on others"
)


@dataclass(frozen=True)
class Printed:
    """A printed score: of which model and data, as `results.Results.runs` name them.

    Args:
        figure: Of the paper, that shows the same quantity.
        dataset: Name of the dataset.
        model: Label of the model.
        metric: `"auroc"` or `"auprc"`.
        value: As printed, without the zero before the point.
        by: Who printed it, and where.
        differs: Why ours can't be compared with it one to one.
        tf: Transcription factor, of ChIP-seq.
        about: What it is of, in words, where the paper itself prints it.
    """

    figure: int
    dataset: str
    model: str
    metric: str
    value: str
    by: str
    differs: str
    tf: str | None = None
    about: str = ""

    def concerns(self, runs: pd.DataFrame) -> bool:
        """Whether runs of one experiment are on these data."""
        options = runs.dataset_options.iat[0]
        return runs.dataset.iat[0] == self.dataset and options.get("tf") == self.tf


PRINTED = (
    Printed(
        figure=1,
        dataset="simulated_accessibility",
        model="std_fast",
        metric="auroc",
        value=".5",
        by=f"{PAPER}, section 3.1",
        differs="theirs has more windows and all filters; its batch and epochs are not published",
        about="networks without an SFC layer on simulated accessibility at the learning rate .001",
    ),
    *(
        Printed(1, "chip_seq", "std", metric, value, BASELINE, GENOME, tf)
        for tf, auroc, auprc in (
            ("CTCF", ".9795", ".9566"),
            ("SPI1", ".9878", ".9710"),
            ("MAX", ".9201", ".6551"),
        )
        for metric, value in (("auroc", auroc), ("auprc", auprc))
    ),
)


def figure_line(figure: int) -> str:
    """A Markdown sentence: which numbers the paper prints of a figure, in its text or caption."""
    own = [each for each in PRINTED if each.figure == figure and each.by.startswith(PAPER)]
    if not own:
        return (
            f"The paper prints no numbers of its Figure {figure}, and its picture was not at hand "
            "to read them off: ours stand alone."
        )
    told = "; ".join(
        f"{METRICS[each.metric]} {each.value} of {each.about} ({each.by.partition(', ')[2]})"
        for each in own
    )
    return (
        f"Of its Figure {figure} the paper prints in numbers only {told}. The picture was not at "
        "hand to read off more. Where this page has the data, a table below has ours beside it, "
        "and beside what was printed elsewhere of the same networks."
    )


def printed_table(results: Results) -> pd.DataFrame:
    """Printed scores beside ours, for reading: one row for each experiment on the same data."""
    rows = []
    for runs in by_experiment(results.runs[~results.runs.control.astype(bool)]):
        for each in PRINTED:
            ours = runs[runs.model == each.model]
            if len(ours) and each.concerns(runs):
                rows.append(
                    {
                        "data": short_data(runs["data"].iat[0]),
                        "model": each.model,
                        "metric": METRICS[each.metric],
                        "printed": each.value,
                        "ours: median (min – max)": spread(ours[each.metric], short),
                        "seeds": len(ours),
                        "printed by": each.by,
                        "not one to one, because": each.differs,
                    }
                )
    return pd.DataFrame(rows)
