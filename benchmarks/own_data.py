"""What `sfc train` reaches on real peaks, beside a regression on 6-mer counts, by their number.

`python benchmarks/own_data.py` adds rows to `benchmarks/own_data.json`, one a TF and a number of
peaks, and goes on where it was interrupted. Windows of 200 bp around the summits of a TF's
peaks stand against windows of the same GC content and chromosome, 1 kb or more from any of its
peaks. Training is on chr20, validation on chr1 and chr22, the test on the whole piece of chrX
that the data have, whatever the number of peaks: as many as a user with so few would hold, but
a test that can tell models apart. `--ablation` adds to `benchmarks/own_data_ablation.json` what
networks reach that are trained without one of the ingredients. At the end the tables of the
book's page are written anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from marks import with_part
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score

from sfc_lib.datasets.base import Dataset, load_dataset
from sfc_lib.datasets.chip_seq import Factor, factors
from sfc_lib.files import write_json
from sfc_lib.genomics.genome import Genome, files_of
from sfc_lib.genomics.intervals import read_intervals, resize
from sfc_lib.genomics.sources import fetch
from sfc_lib.own.baseline import Baseline, fit_baseline
from sfc_lib.own.negatives import gc_content, matched
from sfc_lib.own.train import WORD, ensemble_specs, gains, own_spec, train_own
from sfc_lib.pages.style import STYLE, closed, short
from sfc_lib.runs.evaluation import predict
from sfc_lib.runs.pool import use_keras
from sfc_lib.runs.regression import Kmers
from sfc_lib.runs.store import environment

HERE = Path(__file__).resolve().parent
RESULTS, ABLATION = HERE / "own_data.json", HERE / "own_data_ablation.json"
PAGE = HERE.parent / "book" / "own_data.md"
REGIONS, WIDTH = "hg19-subset", 200
SPLIT = {"chr20": "train", "chr1": "valid", "chr22": "valid", "chrX": "test"}
SHARE = 0.85  # of the peaks train, the others validate
SIZES = (300, 1000, 3000)  # peaks that train and validate, where there are so many
MOST_FIRST = ("CTCF", "SPI1", "YY1", "CEBPB:K562", "MAX", "ATF3")  # then the others
DEVELOPED = (  # whose test scores led to the regression, and to how far a network is doubted
    *("ATF3", "CEBPB", "CTCF", "ELF1", "JUND", "MAX", "MYC", "NFIC", "RFX5", "SPI1", "SRF"),
    *("TEAD4", "USF1", "YY1"),
)
DAGGER = "†"
WHOLE = "nothing"
WITHOUT: dict[str, dict[str, Any]] = {  # settings that differ from the default ones
    WHOLE: {},
    "the other strand": {"both_strands": False},
    "shifts": {"shift": 0},
    "a start at k-mers": {"start": "random"},
    "nothing, but with motifs at the start": {"start": "motifs"},
    "nothing, but both strands at once": {"conjoined": True},
    "curvature regularisation": {"curvature": 0.0},
    "weight decay": {"weight_decay": 0.0},
    "symmetry (`sep`)": {"variant": "sep"},
    "an SFC layer (`std`)": {"variant": "std"},
}
ABLATED = ("CTCF", "SPI1", "YY1", "ELF1")
COLUMNS = {
    **{"regression": "6-mer regression", "beside": "8-mers alone", "network": "network alone"},
    "together": "both",
    "ensemble": "ensemble of three",
}
SCORES = {"auroc": roc_auc_score, "auprc": average_precision_score}
NAMES = {"auroc": "auROC", "auprc": "auPRC"}
PICTURE = PAGE.parent / "_static" / "own_data.svg"
MOST_CELLS = "GM12878"  # where the TFs of two kinds of cells are told apart
COLOURS = ("#e69f00", "#009e73", "#0072b2")  # of the numbers of peaks


def main() -> None:
    """Measure the rows asked for that the files do not have yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tf", action="append", help="NAME or NAME:CELL; may be repeated; all")
    parser.add_argument("--size", type=int, action="append", help=f"peaks; {SIZES}")
    parser.add_argument("--members", type=int, default=3, help="networks of the ensemble")
    parser.add_argument("--ablation", action="store_true", help="one ingredient less at a time")
    parser.add_argument("--output", type=Path, help="own_data.json, or own_data_ablation.json")
    options = parser.parse_args()
    output = options.output or (ABLATION if options.ablation else RESULTS)
    for size in options.size or (SIZES[:1] if options.ablation else SIZES):
        for factor in chosen(options.tf or (ABLATED if options.ablation else None)):
            for what in WITHOUT if options.ablation else [""]:
                name = " ".join([key(factor, size), *([f"without {what}"] if what else [])])
                done = load_rows(output).get(name, {"members": 0})
                if done["members"] >= options.members:
                    continue
                row = measure(factor, size, options.members, WITHOUT.get(what))
                row |= {"without": what} if what else {}
                about = {"rows": load_rows(output) | {name: row}}
                write_json(output, about | {"environment": environment("tensorflow")})
                print(json.dumps(row), flush=True)
    if options.output is None:
        draw(load_rows()).savefig(PICTURE, metadata={"Date": None})
        text = with_part(PAGE.read_text(), "measured", measured(load_rows()))
        PAGE.write_text(with_part(text, "ablation", ablation(load_rows(ABLATION))))


def load_rows(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The rows measured, by TF, cell type and number of peaks; none if there is no file."""
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def key(factor: Factor, size: int) -> str:
    """The name of a row."""
    return f"{factor.tf} {factor.cell_type} {size}"


def chosen(names: list[str] | None) -> Iterator[Factor]:
    """TFs by name, or all of them, one cell type each, those with the most peaks first."""
    known = {factor.tf: factor for factor in reversed(factors())}
    known |= {f"{factor.tf}:{factor.cell_type}": factor for factor in factors()}
    if names:
        yield from (known[name] for name in names)
        return
    first = {name.partition(":")[0] for name in MOST_FIRST}
    others = [name for name in known if ":" not in name and name not in first]
    yield from (known[name] for name in (*MOST_FIRST, *others))


def windows_of(factor: Factor, size: int, folder: Path) -> dict[str, Any]:
    """Options of a dataset of at most so many peaks of a TF, and of matched negatives."""
    paths = [fetch(name) for name in files_of(REGIONS)]
    genome, rng = Genome(paths), np.random.default_rng(np.random.SeedSequence((0, size)))
    peaks = read_intervals(fetch(factor.file), summits=True)
    peaks = peaks[peaks["chrom"].isin(SPLIT)].reset_index(drop=True)
    around = resize(peaks, WIDTH, peaks["summit"])[["chrom", "start", "end"]]
    around = around[~around.duplicated()]
    codes, keep, _ = genome.windows(around)
    around = around[keep].reset_index(drop=True)
    negatives, _ = matched(around, gc_content(codes), peaks, genome, rng)
    splits = around["chrom"].map(SPLIT).to_numpy()
    most = {"train": round(SHARE * size), "valid": size - round(SHARE * size)}
    rows = [
        rng.permutation(np.flatnonzero(splits == split))[: most.get(split, len(around))]
        for split in ("train", "valid", "test")
    ]
    used = np.sort(np.concatenate(rows))
    files = {
        "peaks": around.iloc[used],
        "negatives": negatives[negatives["row"].isin(used)].drop(columns="row"),
    }
    for name, table in files.items():
        table.to_csv(folder / f"{name}.bed", sep="\t", header=False, index=False)
    chroms = sorted(files["peaks"]["chrom"].unique())  # a peak file may have none on chr1
    of = {split: [c for c in chroms if SPLIT[c] == split] for split in ("valid", "test")}
    return {
        **{name: folder / f"{name}.bed" for name in files},
        "genome": paths,
        "window": WIDTH,
        "valid_chromosomes": of["valid"],
        "test_chromosomes": of["test"],
        "task_names": [factor.tf],
    }


@lru_cache(maxsize=1)
def prepared(factor: Factor, size: int) -> tuple[Mapping[str, Any], Dataset, Baseline]:
    """Options of the dataset of a row, the dataset, and the regression on it."""
    with tempfile.TemporaryDirectory() as folder:
        options = own_spec(windows_of(factor, size, Path(folder))).dataset_options
        dataset = load_dataset("custom", **options)
    return options, dataset, fit_baseline(dataset)


def measure(
    factor: Factor, size: int, members: int, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One row: scores on the test set of the regression, of networks, and of them together.

    Of each network there is a score of `network`, which is itself alone, of `beside`, the
    regression on 8-mers that is saved with it, and of `together`, both, as `sfc train` gives it;
    of several also one of their `ensemble`.
    `settings` differ from the default ones.
    """
    options, dataset, baseline = prepared(factor, size)
    records = train_own(ensemble_specs(own_spec(options, **settings or {}), members))
    use_keras()
    from sfc_lib.nn.ensemble import averaged_models

    models = [record.model() for record in records]
    codes, truth = dataset.test.codes, dataset.test.labels
    found = {
        "regression": [baseline.probabilities["test"]],
        "beside": [kmers_of(model, codes) for model in models],
        "network": [predict(network_of(model), codes) for model in models],
        "together": [predict(model, codes) for model in models],
    }
    if members > 1:
        found["ensemble"] = [predict(averaged_models(models), codes)]
    scores = {
        model: {
            name: [float(score(truth, guess)) for guess in all_] for name, score in SCORES.items()
        }
        for model, all_ in found.items()
    }
    (gain,) = gains(truth, found["together"][0], found["regression"][0], [factor.tf]).to_dict(
        "records"
    )
    return {
        **{"tf": factor.tf, "cell_type": factor.cell_type, "size": size, "members": members},
        "sequences": {name: len(getattr(dataset, name)) for name in ("train", "valid", "test")},
        "scores": scores,
        "gain": [gain[name] for name in ("gain", "gain_low", "gain_high")],
        "cpu_minutes": [record.result["cpu_seconds"] / 60 for record in records],
        "epochs": [record.result["epochs"] for record in records],
        "runs": [record.spec.id for record in records],
    }


def network_of(model: Any) -> Any:
    """The logits of a trained network without the regression beside it."""
    import keras

    inputs = model.get_layer("one_hot")
    return keras.Model(model.input, model.get_layer("network")(inputs.output))


def kmers_of(model: Any, codes: np.ndarray) -> np.ndarray:
    """What the regression beside a network adds to its logits, (examples,)."""
    _, positions, table, _ = model.get_layer("logits").get_weights()
    return Kmers(codes, positions, WORD).scores(table[:, 0])


def measured(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What the rows say, in Markdown: a line for each number of peaks, the picture, the tables."""
    sizes = sorted({row["size"] for row in rows.values()})
    of = {size: [row for row in rows.values() if row["size"] == size] for size in sizes}
    lines = [f"- {said(size, of[size])}" for size in sizes]
    alt = "Gain in auROC on the 6-mer regression, by TF and number of peaks"
    lines += ["", f'<img src="_static/{PICTURE.name}" alt="{alt}" style="width: 460px">', ""]
    for score, name in NAMES.items():
        lines += [f":::{{dropdown}} {name} of every TF", *table(rows, score), ":::", ""]
    return "\n".join(lines[:-1])


def table(rows: Mapping[str, Mapping[str, Any]], score: str) -> list[str]:
    """One of `SCORES` as the lines of a table in Markdown, the fewest peaks first.

    Gains and minutes stand in that of auROC.
    """
    known = {model for row in rows.values() for model in row["scores"]}
    models = [model for model in COLUMNS if model in known]
    head = ["TF, cells", "peaks", "training sequences", *(COLUMNS[model] for model in models)]
    head += ["gain [95 %]", "CPU minutes"] if score == "auroc" else []
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in sorted(rows.values(), key=lambda row: (row["size"], row["tf"], row["cell_type"])):
        scores = {name: short(values[score][0], ".3f") for name, values in row["scores"].items()}
        cells = [f"{called(row)} {row['cell_type']}", f"{row['size']:,}"]
        cells += [f"{row['sequences']['train']:,}"]
        cells += [scores.get(model, "–") for model in models]
        if score == "auroc":
            gain, low, high = (short(value, "+.3f") for value in row["gain"])
            cells += [f"{gain} [{low}, {high}]".replace(" ", "&nbsp;")]  # in one line
            cells += [f"{row['cpu_minutes'][0]:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def called(row: Mapping[str, Any]) -> str:
    """A row's TF, with a dagger if its scores led to how `sfc train` works."""
    return row["tf"] + (DAGGER if row["tf"] in DEVELOPED else "")


def draw(rows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The gain of each TF with its interval, a colour for each number of peaks; largest first."""
    several = {row["tf"] for row in rows.values() if row["cell_type"] != MOST_CELLS}
    several &= {row["tf"] for row in rows.values() if row["cell_type"] == MOST_CELLS}

    def line(row: Mapping[str, Any]) -> str:
        return f"{called(row)} {row['cell_type']}" if row["tf"] in several else called(row)

    most: dict[str, float] = {}
    for row in sorted(rows.values(), key=lambda row: row["size"]):
        most[line(row)] = row["gain"][0]
    names, sizes = sorted(most, key=most.__getitem__), sorted({r["size"] for r in rows.values()})
    with plt.rc_context({**STYLE, "font.size": 11, "svg.hashsalt": "own data"}):
        figure, axes = plt.subplots(figsize=(4.6, 1.2 + 0.36 * len(names)), layout="constrained")
        for place, (size, colour) in enumerate(zip(sizes, COLOURS, strict=False)):
            part = [row for row in rows.values() if row["size"] == size]
            gain, low, high = np.array([row["gain"] for row in part]).T
            where = [names.index(line(row)) + 0.24 * (place - 1) for row in part]
            axes.errorbar(
                gain, where, xerr=[gain - low, high - gain], fmt="o", color=colour, markersize=5,
                linewidth=1, label=f"{size:,} peaks",
            )  # fmt: skip
        axes.axvline(0, color="black", linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(-0.7, len(names) - 0.3), xlabel="auROC, gain on the 6-mer regression")
        figure.legend(loc="outside upper right", ncols=len(sizes), columnspacing=1, handletextpad=0)
    return closed(figure)


def said(size: int, rows: Sequence[Mapping[str, Any]]) -> str:
    """In a line, what the rows of one number of peaks say; and where the regression wins."""
    values = [row["gain"][0] for row in rows]
    new = [row["gain"][0] for row in rows if row["tf"] not in DEVELOPED]
    alone = sum(
        row["scores"]["network"]["auroc"][0] < row["scores"]["regression"]["auroc"][0]
        for row in rows
    )
    behind = sorted((row["gain"][0], row["tf"]) for row in rows if row["gain"][0] < 0)
    lost = ", ".join(f"{tf} ({short(gain, '+.3f')})" for gain, tf in behind) or "none"
    sure = sum(row["gain"][2] < 0 for row in rows)
    surely = f"; for {sure or 'none'} of them surely, by its interval" if behind else ""
    ensembles = [
        row["scores"]["ensemble"]["auroc"][0] - row["scores"]["regression"]["auroc"][0]
        for row in rows
        if "ensemble" in row["scores"]
    ]
    return (
        f"{size:,} peaks, {len(rows)} TFs: the median gain is {short(np.median(values), '+.3f')}"
        + (f" ({short(np.median(new), '+.3f')} of the {len(new)} without {DAGGER})" if new else "")
        + (f", that of an ensemble {short(np.median(ensembles), '+.3f')}" if ensembles else "")
        + f". The regression alone is ahead of `sfc train` for {lost}{surely}. "
        f"It is ahead of the network alone for {alone}."
    )


def ablation(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """How auROC changes without each ingredient, as a table in Markdown: means, and ends."""
    lines = [
        "| without | network alone: mean (lowest to highest) | both | TFs, networks |",
        "|---|---|---|---|",
    ]
    for what in WITHOUT:
        pairs = [
            (row, rows[whole])
            for name, row in sorted(rows.items())
            if row["without"] == what != WHOLE
            and (whole := name.replace(f"without {what}", f"without {WHOLE}")) in rows
        ]
        if not pairs:
            continue
        cells = [what]
        for model in ("network", "together"):
            change = np.concatenate(
                [np.subtract(*(row["scores"][model]["auroc"] for row in pair)) for pair in pairs]
            )
            mean, low, high = (
                short(value, "+.3f") for value in (change.mean(), change.min(), change.max())
            )
            cells.append(f"{mean} ({low} to {high})")
        tfs = ", ".join(row["tf"] for row, _ in pairs)
        lines.append(f"| {' | '.join(cells)} | {tfs}; {len(change)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
