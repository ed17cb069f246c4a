"""What `sfc train` reaches on real peaks, beside a regression on 6-mer counts, by their number.

`python benchmarks/own_data.py` adds rows to `benchmarks/own_data.json`, one a TF and a number of
peaks, and goes on where it was interrupted. Windows of 200 bp around the summits of a TF's
peaks stand against windows of the same GC content and chromosome, 1 kb or more from any of its
peaks. Training is on chr20, validation on chr1 and chr22, the test on the whole piece of chrX
that the data have, whatever the number of peaks: as many as a user with so few would hold, but
a test that can tell models apart. At the end the table of the book's page is written anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from sfc_lib.datasets.base import load_dataset
from sfc_lib.datasets.chip_seq import Factor, factors
from sfc_lib.files import write_json
from sfc_lib.genomics.genome import Genome, files_of
from sfc_lib.genomics.intervals import read_intervals, resize
from sfc_lib.genomics.sources import fetch
from sfc_lib.own.baseline import fit_baseline
from sfc_lib.own.negatives import gc_content, matched
from sfc_lib.own.train import ensemble_specs, gains, own_spec, train_own
from sfc_lib.runs.store import environment

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "own_data.json"
PAGE = HERE.parent / "book" / "own_data.md"
MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"
REGIONS, WIDTH = "hg19-subset", 200
SPLIT = {"chr20": "train", "chr1": "valid", "chr22": "valid", "chrX": "test"}
SHARE = 0.85  # of the peaks train, the others validate
SIZES = (300, 1000, 3000)  # peaks that train and validate, where there are so many
MOST_FIRST = ("CTCF", "SPI1", "YY1", "CEBPB", "MAX", "ATF3")  # then the others
SCORES = {"auroc": roc_auc_score, "auprc": average_precision_score}


def main() -> None:
    """Measure the rows asked for that the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tf", action="append", help="NAME or NAME:CELL; may be repeated; all")
    parser.add_argument("--size", type=int, action="append", help=f"peaks; {SIZES}")
    parser.add_argument("--members", type=int, default=3, help="networks of the ensemble")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    for size in options.size or SIZES:
        for factor in chosen(options.tf):
            known = load_rows(options.output)
            done = known.get(key(factor, size), {"members": 0})
            if done["members"] < options.members:
                row = measure(factor, size, options.members)
                known = load_rows(options.output) | {key(factor, size): row}
                about = {"rows": known, "environment": environment("tensorflow")}
                write_json(options.output, about)
                print(json.dumps(row), flush=True)
    if options.output == RESULTS:
        PAGE.write_text(page_with(PAGE.read_text(), load_rows()))


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
    others = [name for name in known if ":" not in name and name not in MOST_FIRST]
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


def measure(factor: Factor, size: int, members: int) -> dict[str, Any]:
    """One row: scores of the regression, of one network, and of an ensemble, on the test set."""
    from sfc_lib.runs.pool import use_keras

    with tempfile.TemporaryDirectory() as folder:
        spec = own_spec(windows_of(factor, size, Path(folder)))
        records = train_own(ensemble_specs(spec, members))
        dataset = load_dataset("custom", **spec.dataset_options)
        baseline = fit_baseline(dataset)
        use_keras()
        from sfc_lib.nn.ensemble import averaged_models
        from sfc_lib.runs.evaluation import predict

        models = [record.model() for record in records]
    found = {"regression": baseline.probabilities["test"]}
    found["network"] = predict(models[0], dataset.test.codes)
    if members > 1:
        found["ensemble"] = predict(averaged_models(models), dataset.test.codes)
    truth = dataset.test.labels
    scores = {
        model: {name: float(score(truth, guess)) for name, score in SCORES.items()}
        for model, guess in found.items()
    }
    (gain,) = gains(truth, found["network"], found["regression"], [factor.tf]).to_dict("records")
    return {
        **{"tf": factor.tf, "cell_type": factor.cell_type, "size": size, "members": members},
        "sequences": {name: len(getattr(dataset, name)) for name in ("train", "valid", "test")},
        "scores": scores,
        "gain": [gain[name] for name in ("gain", "gain_low", "gain_high")],
        "cpu_minutes": [record.result["cpu_seconds"] / 60 for record in records],
        "epochs": [record.result["epochs"] for record in records],
        "runs": [record.spec.id for record in records],
    }


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as a table in Markdown, those with the fewest peaks first."""
    lines = [
        "| TF | cells | peaks | training sequences | 6-mer regression | network | gain (95 %) "
        "| ensemble | CPU minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows.values(), key=lambda row: (row["size"], row["tf"], row["cell_type"])):
        scores = {model: f"{values['auroc']:.3f}" for model, values in row["scores"].items()}
        gain, low, high = (f"{value:+.3f}" for value in row["gain"])
        cells = [row["tf"], row["cell_type"], f"{row['size']:,}", f"{row['sequences']['train']:,}"]
        cells += [scores["regression"], scores["network"], f"{gain} ({low} to {high})"]
        cells += [scores.get("ensemble", "–"), f"{row['cpu_minutes'][0]:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page_with(text: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of the book's page with the table of these rows between its two marks."""
    before, mark, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        raise ValueError(f"{PAGE}: expected the marks {MARKS}.")
    return f"{before}{mark}\n{table(rows)}\n{end}{after}"


if __name__ == "__main__":
    main()
