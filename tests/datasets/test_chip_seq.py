"""ChIP-seq dataset: the published counts, no negative near a peak, the motif where it must be."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sfc_lib.datasets import load_dataset, make_recipe
from sfc_lib.datasets.chip_seq import DNASE, cut, peak_files, sort_out
from sfc_lib.genomics.dna import decode, reverse_complement
from sfc_lib.genomics.genome import Genome, split_of
from sfc_lib.genomics.intervals import read_intervals, resize
from sfc_lib.genomics.sources import registry

COUNTS = {  # positives and negatives in train, valid and test; the positives are DATA.md's
    "CTCF": ([1657, 592, 116], [5173, 1772, 446]),
    "SPI1": ([1533, 427, 69], [5261, 2006, 468]),
    "MAX": ([414, 140, 40], [5899, 2112, 477]),
}
SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def load(shared_data):
    """Function that loads a dataset from the real files, which need not be downloaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_DATA_MIRROR", str(shared_data))
        yield lambda **options: load_dataset("chip_seq", **options)


@pytest.mark.parametrize("tf", COUNTS)
def test_counts_of_the_subset(load, tf):
    data = load(tf=tf)
    positives, negatives = COUNTS[tf]
    assert [getattr(data, split).positives for split in SPLITS] == [[n] for n in positives]
    found = [len(getattr(data, split)) - n for split, n in zip(SPLITS, positives, strict=True)]
    assert found == negatives
    assert data.task_names == ("bound",)
    for split in SPLITS:
        part = getattr(data, split)
        assert part.codes.shape == (len(part), 1000)
        assert part.codes.dtype == part.labels.dtype == np.uint8
        assert part.codes.max() == 3
        assert part.labels.shape == (len(part), 1)


@pytest.mark.parametrize("tf", COUNTS)
def test_every_peak_is_used_or_counted_as_dropped(load, shared_data, tf):
    data = load(tf=tf)
    for kind, used, file in (
        ("positive", COUNTS[tf][0], peak_files()[tf]),
        ("negative", COUNTS[tf][1], DNASE),
    ):
        with gzip.open(shared_data / file, "rt") as lines:
            total = sum(1 for _ in lines)
        dropped = sum(n for reason, n in data.dropped.items() if f"{kind}: " in reason)
        assert sum(used) + dropped == total
    assert data.dropped.get("train positive: N in the window", 0) == {"CTCF": 1}.get(tf, 0)


def truth(shared_data, tf, text):
    """Sequences of one region and split by plain Python: positives, and negatives with a rule.

    No negative window shares a base with any peak of the TF.
    """
    with gzip.open(shared_data / peak_files()[tf], "rt") as lines:
        peaks = [line.split("\t") for line in lines if line.startswith("chr22\t")]
    with gzip.open(shared_data / DNASE, "rt") as lines:
        dnase = [line.split("\t") for line in lines if line.startswith("chr22\t")]
    bound = [(int(peak[1]), int(peak[2])) for peak in peaks]
    summits = [int(peak[1]) + int(peak[9]) for peak in peaks]
    middles = [(int(peak[1]) + int(peak[2])) // 2 for peak in dnase]
    free = [m for m in middles if not any(s < m + 500 and m - 500 < e for s, e in bound)]
    windows = ([text[c - 500 : c + 500] for c in centres] for centres in (summits, free))
    return [[w for w in part if len(w) == 1000 and "N" not in w] for part in windows]


@pytest.mark.parametrize("tf", COUNTS)
def test_test_split_against_plain_python(load, shared_data, tf):
    with gzip.open(shared_data / "hg19/chr22_0-22000000.fa.gz", "rt") as file:
        text = "".join(line.strip() for line in list(file)[1:])
    positives, negatives = truth(shared_data, tf, text)
    test = load(tf=tf).test
    assert decode(test.codes[test.labels[:, 0] == 1]) == positives
    assert decode(test.codes[test.labels[:, 0] == 0]) == negatives


def ctcf_scores(shared_data):
    """Log-odds of ENCODE's CTCF_known1 (JASPAR MA0139.1), (width, 4)."""
    with gzip.open(shared_data / "deeplift_simulation/encode_motifs.txt.gz", "rt") as file:
        (block,) = [b for b in file.read().split(">") if b.split()[:1] == ["CTCF_known1"]]
    rows = np.array([line.split()[1:] for line in block.splitlines()[1:]], dtype=float)
    return np.log((rows + 1e-3) / 0.25)


def best_hits(codes, scores):
    """Centre and score of the best hit on either strand of each sequence, in bp and nats."""
    width, length = len(scores), codes.shape[1]
    best = []
    for strand in (codes, reverse_complement(codes)):
        total = sum(scores[i][strand[:, i : length - width + 1 + i]] for i in range(width))
        best.append((total.argmax(axis=1) + width / 2, total.max(axis=1)))
    (place, score), (other, other_score) = best
    forward = score >= other_score
    return np.where(forward, place, length - other), np.maximum(score, other_score)


def test_ctcf_motif_lies_at_the_centre_of_positives_only(load, shared_data):
    data, scores = load(tf="CTCF"), ctcf_scores(shared_data)
    for split in SPLITS:
        part = getattr(data, split)
        places, _ = best_hits(np.asarray(part.codes), scores)
        near = np.abs(places - 500) <= 50
        positive = part.labels[:, 0] == 1
        assert near[positive].mean() >= 0.70
        assert near[~positive].mean() <= 0.20


def test_scan_finds_a_planted_motif_on_either_strand(shared_data):
    scores = ctcf_scores(shared_data)
    codes = np.random.default_rng(0).integers(0, 4, (2, 200), dtype=np.uint8)
    codes[0, 60 : 60 + len(scores)] = scores.argmax(axis=1)
    codes[1, 100 : 100 + len(scores)] = reverse_complement(scores.argmax(axis=1))
    places, _ = best_hits(codes, scores)
    assert places.tolist() == [60 + len(scores) / 2, 100 + len(scores) / 2]


def test_shifted_positives_are_in_training_only(load):
    plain, shifted = load(tf="MAX"), load(tf="MAX", shift=20, shift_step=10)
    for split in ("valid", "test"):
        assert np.array_equal(getattr(plain, split).codes, getattr(shifted, split).codes)
    count = len(plain.train)
    assert np.array_equal(shifted.train.codes[:count], plain.train.codes)
    assert shifted.train.positives == [5 * 414]
    assert len(shifted.train) == count + 4 * 414
    assert (shifted.train.labels[count:] == 1).all()
    copies = shifted.train.codes[count:].reshape(4, 414, 1000)
    unmoved = plain.train.codes[:414]
    for copy, bp in zip(copies, (-10, 10, -20, 20), strict=True):
        left, right = (
            (unmoved[:, :bp], copy[:, -bp:]) if bp < 0 else (unmoved[:, bp:], copy[:, :-bp])
        )
        assert np.array_equal(left, right), bp


@pytest.mark.parametrize(
    ("options", "shifts"),
    [
        ({}, []),
        ({"shift": 50}, [-50, 50]),
        ({"shift": 2}, [-2, 2]),
        ({"shift": 30, "shift_step": 10}, [-10, 10, -20, 20, -30, 30]),
        ({"shift": 30, "shift_step": 30}, [-30, 30]),
    ],
)
def test_shifts(options, shifts):
    assert make_recipe("chip_seq", options).shifts == shifts


def test_another_length_keeps_the_centres(load):
    long, short = load(tf="MAX"), load(tf="MAX", length=200)
    assert short.length == 200
    positives = short.test.codes[short.test.labels[:, 0] == 1]
    assert np.array_equal(positives, long.test.codes[long.test.labels[:, 0] == 1][:, 400:600])


def test_tf_in_any_case_is_the_same_dataset():
    recipes = [make_recipe("chip_seq", {"tf": tf}) for tf in ("CTCF", "ctcf", "Ctcf")]
    assert {recipe.tf for recipe in recipes} == {"CTCF"}
    assert len({recipe.fingerprint for recipe in recipes}) == 1


def test_every_option_and_every_input_changes_the_fingerprint():
    options = [{}, {"tf": "MAX"}, {"profile": "full"}, {"length": 999}, {"shift": 10},
               {"shift": 10, "shift_step": 5}]  # fmt: skip
    assert len({make_recipe("chip_seq", chosen).fingerprint for chosen in options}) == len(options)


def test_all_registered_tfs_of_gm12878_can_be_had():
    files = {name for name in registry() if name.startswith("encode_tf_gm12878/")}
    assert set(peak_files().values()) == files
    assert len(files) == len(peak_files()) == 28
    assert list(peak_files()) == sorted(peak_files())


@pytest.mark.parametrize("profile", ["hg19-subset", "full"])
def test_inputs_are_peaks_dnase_and_the_profiles_sequence(profile):
    recipe = make_recipe("chip_seq", {"profile": profile})
    known = registry()
    assert recipe.inputs() == {name: known[name].content_hash for name in recipe.sources}
    assert all(recipe.inputs().values())
    assert len(recipe.inputs()) == 2 + {"hg19-subset": 4, "full": 24}[profile]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tf": "NANOG"}, r"tf must be one of \['BATF', .*'ZBTB33'\], got 'NANOG'"),
        ({"tf": None}, "tf must be one of .* got 'NONE'"),
        ({"tf": 3}, "tf must be one of .* got '3'"),
        ({"profile": "hg38"}, "profile must be one of .*'hg19-subset', 'full'.*, got 'hg38'"),
        ({"length": 10**8}, "length must be an integer of 1 to 100,000 bp, got 100000000"),
        ({"length": 0}, "length must be an integer of 1 to 100,000 bp, got 0"),
        ({"length": 10.0}, "length must be an integer of 1 to 100,000 bp, got 10.0"),
        ({"length": True}, "length must be an integer of 1 to 100,000 bp, got True"),
        ({"shift": 1}, "shift must be 0 or 2 to 50, got 1"),
        ({"shift": 51}, "got 51"),
        ({"shift": -2}, "got -2"),
        ({"shift": "10"}, "got '10'"),
        ({"shift": 10, "shift_step": 3}, r"shift_step must be 0 or divide shift \(10\), got 3"),
        ({"shift_step": 5}, r"must be 0 or divide shift \(0\), got 5"),
        ({"shift": 10, "shift_step": -5}, "got -5"),
        ({"cell": "K562"}, r"chip_seq has options \['tf', 'profile', .*\], got 'cell'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make_recipe("chip_seq", options)


# Gathering windows


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Toy regions: chr1 0–40 for training, 40–80 for validation; chr2 for the test."""
    from sfc_lib.genomics import genome

    spans = [("chr1", 0, 40, "train"), ("chr1", 40, 80, "valid"), ("chr2", 0, 40, "test")]
    profile = tuple(genome.Region(c, s, e, split) for c, s, e, split in spans)
    monkeypatch.setitem(genome.REGIONS, "toy", profile)
    path = tmp_path / "toy.fa"
    path.write_text(f">chr1\n{'ACGTACGTAC' * 9}\n>chr2\n{'A' * 20}N{'C' * 19}\n")
    return Genome(path, profile)


def windows(*starts, chrom="chr1", width=10):
    return pd.DataFrame({"chrom": chrom, "start": starts}).assign(end=lambda a: a["start"] + width)


def test_windows_go_to_the_split_of_their_centre_or_are_counted(toy):
    table = sort_out("x", 1, windows(-9, -5, 0, 30, 34, 35, 36, 40, 70, 71, 80, 0), "toy")
    kept = table[table["why"] == ""]
    assert kept["start"].tolist() == [0, 30, 40, 70]
    assert kept["split"].tolist() == ["train", "train", "valid", "valid"]
    assert cut(table, toy)[1] == {
        "x: outside the regions": 2,  # centres −4 and 85
        "train x: leaves the split's regions": 2,  # −5 and 34
        "valid x: leaves the split's regions": 3,  # 35, 36 and 71
        "train x: same window again": 1,
    }


def test_windows_with_n_are_counted_by_split_and_kind(toy):
    tables = [
        sort_out("x", 1, windows(0, 15, chrom="chr2"), "toy"),
        sort_out("y", 0, windows(11, 12, 30, chrom="chr2"), "toy"),
        sort_out("y", 0, windows(5), "toy"),
    ]
    splits, dropped = cut(pd.concat(tables, ignore_index=True), toy)
    assert dropped == {"test x: N in the window": 1, "test y: N in the window": 2}
    assert [len(splits[split]) for split in SPLITS] == [1, 0, 2]
    assert decode(splits["test"].codes) == ["A" * 10, "C" * 10]
    assert splits["test"].labels.tolist() == [[1], [0]]


def test_windows_marked_to_be_dropped_are_counted_under_their_reason(toy):
    mask = np.array([True, False, True])
    table = sort_out("x", 0, windows(0, 5, 50), "toy", {"near a peak": mask})
    assert table.loc[table["why"] == "", "start"].tolist() == [5]
    assert cut(table, toy)[1] == {"train x: near a peak": 1, "valid x: near a peak": 1}


def test_no_window_of_one_split_shares_a_base_with_another(load, shared_data):
    peaks = read_intervals(shared_data / peak_files()["CTCF"], summits=True)
    around = resize(peaks, 1000, peaks["summit"])
    split = split_of(around, "hg19-subset")
    on_x = (around["chrom"] == "chrX").to_numpy()
    assert around["end"][on_x & (split == "train")].max() <= 40_000_000
    assert around["start"][on_x & (split == "valid")].min() >= 40_000_000


def test_a_whole_chromosome_of_ucsc_gives_the_same_dataset(
    load, shared_data, tmp_path, monkeypatch
):
    """It goes on behind the region, has lower case, and is compressed in another way."""
    name = "hg19/chr22_0-22000000.fa.gz"
    mirror = tmp_path / "mirror"
    for file in make_recipe("chip_seq", {"tf": "MAX"}).sources:
        (mirror / file).parent.mkdir(parents=True, exist_ok=True)
        (mirror / file).symlink_to(shared_data / file)
    header, _, text = gzip.decompress((shared_data / name).read_bytes()).partition(b"\n")
    bases = text.replace(b"\n", b"")
    bases = bases[:18_000_000] + bases[18_000_000:].lower() + b"acgtnACGTN" * 500
    lines = (bases[at : at + 50] for at in range(0, len(bases), 50))
    (mirror / name).unlink()
    (mirror / name).write_bytes(gzip.compress(b"\n".join([header, *lines]), 1))
    expected = load(tf="MAX")
    monkeypatch.setenv("SFC_DATA_MIRROR", str(mirror))
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "data"))
    found = load_dataset("chip_seq", tf="MAX")
    assert found.fingerprint == expected.fingerprint
    assert found.dropped == expected.dropped
    for split in SPLITS:
        assert np.array_equal(getattr(found, split).codes, getattr(expected, split).codes)


MEMORY = """
import json, re
from sfc_lib import load_dataset
data = load_dataset("chip_seq", tf="CTCF")
status = open("/proc/self/status").read()  # ru_maxrss would count the process it was forked from
print(json.dumps([len(data.train), int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
def test_building_from_the_files_takes_less_than_its_memory(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    examples, peak = json.loads(done.stdout)
    assert examples == 6830
    assert peak < 1.5e9
