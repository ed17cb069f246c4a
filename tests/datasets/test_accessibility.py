"""The accessibility datasets: each step against brute force, all of it on a toy genome and hg19."""

import gzip
import hashlib
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.datasets import accessibility
from sfc_lib.datasets.accessibility import (
    DINUCLEOTIDES,
    MATRICES,
    OUTSIDE,
    Hematopoiesis,
    SimulatedAccessibility,
    Tiling,
    accessible_windows,
    drawn_codes,
    label_windows,
    read_summits,
    real_codes,
    shuffled_codes,
    summits_inside,
    tiling,
    with_motifs,
)
from sfc_lib.datasets.base import SPLITS, load_dataset, make_recipe
from sfc_lib.datasets.chip_seq import factors
from sfc_lib.errors import UserError
from sfc_lib.genomics import genome as genome_module
from sfc_lib.genomics.dna import decode, random_sequences
from sfc_lib.genomics.genome import Genome, Region, load_genome
from sfc_lib.genomics.insertion import insert_motifs
from sfc_lib.genomics.motifs import Motif, read_meme
from sfc_lib.genomics.shuffle import dinucleotide_shuffle
from sfc_lib.genomics.sources import registry

CHROMS = ("chr1", "chr2")
ACG = Motif("ACG", np.eye(4)[:3])
WIDE = Motif("wide", np.full((12, 4), 0.25))


def frame(rows):
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    return table.astype({"start": np.int64, "end": np.int64})


def triples(intervals):
    return list(intervals[["chrom", "start", "end"]].itertuples(index=False, name=None))


@st.composite
def peaks(draw, least=1):
    """Intervals of 1 to 400 bp on two chromosomes of 1500 bp, in any order."""
    spans = st.tuples(st.sampled_from(CHROMS), st.integers(0, 1100), st.integers(1, 400))
    return frame([(c, s, s + w) for c, s, w in draw(st.lists(spans, min_size=least, max_size=8))])


def bases(*tables):
    """All (chromosome, position) that the intervals hold."""
    return {(c, p) for table in tables for c, s, e in triples(table) for p in range(s, e)}


@given(st.lists(peaks(), min_size=1, max_size=3))
def test_windows_are_whole_ones_on_the_grid_of_each_padded_run_of_the_union(tables):
    union, expected = bases(*tables), []
    for chrom in CHROMS:
        for start in range(1501):
            if (chrom, start) in union and (chrom, start - 1) not in union:
                end = next(p for p in range(start, 1502) if (chrom, p) not in union)
                begins = range(max(start - 100, 0), end + 100 - 199, 50)
                expected += [(chrom, begin, begin + 200) for begin in begins]
    assert triples(accessible_windows(tables)) == expected


@given(st.lists(peaks(), min_size=1, max_size=3))
def test_labels_say_where_half_of_a_window_is_covered(tables):
    windows = accessible_windows(tables)
    expected = [
        [2 * sum((c, p) in held for p in range(s, e)) >= 200 for held in map(bases, tables)]
        for c, s, e in triples(windows)
    ]
    labels = label_windows(windows, tables)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[int(label) for label in row] for row in expected]


def test_a_window_is_labelled_at_a_half_and_not_at_one_base_less():
    windows = frame([("chr1", 1000, 1200)] * 3)
    covers = [frame([("chr1", 0, 1000 + covered)]) for covered in (99, 100, 101)]
    assert label_windows(windows, covers)[0].tolist() == [0, 1, 1]


@given(
    peaks(least=0),
    st.lists(st.tuples(st.sampled_from(CHROMS), st.integers(0, 1500), st.integers(0, 3))),
)
def test_summits_inside_are_those_of_a_double_loop(windows, summits):
    summits = sorted(summits, key=lambda summit: summit[:2])
    expected = [
        [index, position - start, motif]
        for index, (chrom, start, end) in enumerate(triples(windows))
        for name, position, motif in summits
        if name == chrom and start <= position < end
    ]
    table = pd.DataFrame(summits, columns=["chrom", "summit", "motif"])
    table = table.astype({"summit": np.int64, "motif": np.int64})
    assert summits_inside(windows, table).tolist() == expected


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A genome of two chromosomes, an N in the first, its profile, peaks and summits."""
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path))
    rng = np.random.default_rng(0)
    sequence = random_sequences(2, 60_000, (0.3, 0.2, 0.2, 0.3), rng)
    sequence[0, 20_500] = 4
    text = "".join(
        f">{chrom}\n{bases}\n" for chrom, bases in zip(CHROMS, decode(sequence), strict=True)
    )
    (tmp_path / "toy.fa").write_text(text)
    spans = (("chr1", 0, 40_000, "train"), ("chr1", 40_000, 60_000, "valid"))
    spans = (*spans, ("chr2", 0, 60_000, "test"))
    regions = tuple(Region(c, start, end, split) for c, start, end, split in spans)
    monkeypatch.setitem(genome_module.REGIONS, "toy", regions)
    cells = _toy_cells()
    summits = pd.DataFrame(
        {
            "chrom": np.repeat(CHROMS, 400),
            "summit": np.sort(rng.integers(0, 60_000, (2, 400))).ravel(),
        }
    ).assign(motif=rng.integers(0, 2, 800))
    return Genome(tmp_path / "toy.fa", regions), tiling(cells, "toy"), summits, sequence


def whole(chunks):
    """Codes of all chunks, by split, and their sums of dropped and counts."""
    chunks, dropped, counts = list(chunks), Counter(), Counter()
    for chunk in chunks:
        dropped.update(chunk.dropped)
        counts.update(chunk.counts)
    codes = {s: np.concatenate([c.codes for c in chunks if c.split == s]) for s in SPLITS}
    return codes, dropped, counts


def test_windows_stay_in_their_split(toy):
    tiled = toy[1]
    spans = {"train": ("chr1", 0, 40_000), "valid": ("chr1", 40_000, 60_000)}
    spans["test"] = ("chr2", 0, 60_000)
    for (chrom, start, end), split in zip(triples(tiled.windows), tiled.splits, strict=True):
        name, low, high = spans[split]
        assert (chrom, low <= start, end <= high) == (name, True, True)
    every = accessible_windows(_toy_cells())
    assert len(tiled.windows) + sum(tiled.outside.values()) + _across() == len(every)
    assert all(tiled.outside[split] > 0 for split in SPLITS)


@pytest.mark.parametrize("recipe", [Hematopoiesis, SimulatedAccessibility])
def test_expected_are_the_windows_before_any_is_dropped_for_its_bases(recipe, toy, monkeypatch):
    monkeypatch.setattr(recipe, "peaks", lambda self: _toy_cells())
    monkeypatch.setitem(genome_module.REGIONS, "hg19-subset", genome_module.REGIONS["toy"])
    monkeypatch.setattr(accessibility, "read_summits", lambda table: (toy[2], []))
    counts = {split: int((toy[1].splits == split).sum()) for split in SPLITS}
    assert min(counts.values()) > 0
    assert recipe().expected() == counts
    names = recipe().interval_files()
    assert set(recipe().peak_files()) <= set(names) <= set(recipe().inputs())


def _toy_cells():
    starts = [0, 300, 5_000, 5_250, 20_000, 39_900, 41_000, 59_300]
    return [
        frame([(chrom, s + shift, s + shift + 150) for chrom in CHROMS for s in starts])
        for shift in (0, 120)
    ]


def _across():
    """Tiles of the toy that lie in two splits themselves."""
    windows = accessible_windows(_toy_cells())
    return int(
        (
            (windows["chrom"] == "chr1") & (windows["start"] < 40_000) & (windows["end"] > 40_000)
        ).sum()
    )


def test_real_sequences_are_those_of_the_genome_and_n_is_dropped(toy):
    genome, tiled, _, sequence = toy
    kept, dropped = [], Counter()
    for split, rows, codes, why in real_codes(genome, tiled, size=5):
        assert set(tiled.splits[rows]) <= {split}
        for row, found in zip(rows, codes, strict=True):
            chrom, start, end = triples(tiled.windows)[row]
            assert np.array_equal(found, sequence[CHROMS.index(chrom), start:end])
        kept += rows.tolist()
        dropped.update(why)
    with_n = [
        row
        for row, (chrom, start, end) in enumerate(triples(tiled.windows))
        if chrom == "chr1" and start <= 20_500 < end
    ]
    assert len(with_n) > 0
    assert sorted(kept + with_n) == list(range(len(tiled.windows)))
    assert dropped["N in the window"] == len(with_n)
    assert dropped[OUTSIDE] == sum(tiled.outside.values())


def test_simulated_sequence_is_the_shuffled_window_with_motifs_at_the_summits(toy):
    genome, tiled, summits, _ = toy
    codes, dropped, counts = whole(
        with_motifs(shuffled_codes(genome, tiled, 4), tiled, summits, [ACG, WIDE], 4)
    )
    inserted = skipped = 0
    for split, rows, real, _ in real_codes(genome, tiled, size=10_000):
        for row, window, found in zip(rows, real, codes[split], strict=True):
            expected = dinucleotide_shuffle(window[None], 4, [row])
            sites = summits_inside(tiled.windows.iloc[[row]], summits)
            starts = insert_motifs(expected, sites, [ACG, WIDE], 4, [row])
            assert np.array_equal(expected[0], found)
            inserted, skipped = inserted + (starts >= 0).sum(), skipped + (starts < 0).sum()
    assert inserted > 0
    assert counts["motifs inserted"] == inserted
    assert dropped["motifs without a free place"] == skipped


@pytest.mark.parametrize("size", [1, 7, 16])
def test_simulated_bytes_are_the_same_in_any_chunks(toy, size):
    genome, tiled, summits, _ = toy
    whole_set = whole(with_motifs(shuffled_codes(genome, tiled, 0), tiled, summits, [ACG, WIDE], 0))
    pieces = whole(
        with_motifs(shuffled_codes(genome, tiled, 0, size), tiled, summits, [ACG, WIDE], 0)
    )
    assert all(np.array_equal(whole_set[0][split], pieces[0][split]) for split in SPLITS)
    assert whole_set[1:] == pieces[1:]


def test_seed_changes_the_sequences(toy):
    genome, tiled, summits, _ = toy
    first, second = (
        whole(with_motifs(shuffled_codes(genome, tiled, s), tiled, summits, [ACG, WIDE], s))[0]
        for s in (0, 1)
    )
    assert not (first["train"] == second["train"]).all(axis=1).any()


def test_a_split_without_windows_is_empty(toy):
    genome, tiled, summits, _ = toy
    train = tiled.splits == "train"
    only = Tiling(
        tiled.windows[train].reset_index(drop=True),
        tiled.labels[train],
        tiled.splits[train],
        dict.fromkeys(SPLITS, 0),
    )
    codes = whole(with_motifs(shuffled_codes(genome, only, 0), only, summits, [ACG, WIDE], 0))[0]
    assert [codes[split].shape for split in SPLITS] == [(len(codes["train"]), 1000)] + [
        (0, 1000)
    ] * 2


def test_chain_needs_no_genome_and_is_the_same_in_any_chunks(toy):
    _, tiled, summits, _ = toy
    pieces = [
        whole(with_motifs(drawn_codes(tiled, 3, size), tiled, summits, [ACG, WIDE], 3))
        for size in (1, 7, 10_000)
    ]
    for codes, dropped, counts in pieces[1:]:
        assert all(np.array_equal(codes[split], pieces[0][0][split]) for split in SPLITS)
        assert (dropped, counts) == pieces[0][1:]
    assert sum(map(len, pieces[0][0].values())) == len(tiled.windows)


def peak_of_chain(number, size):
    """Bytes that at most are held while a set of so many windows without a genome is made."""
    starts = 1000 * np.arange(number)
    windows = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 1000})
    labels, splits = np.zeros((number, 2), np.uint8), np.full(number, "train")
    tiled = Tiling(windows, labels, splits, dict.fromkeys(SPLITS, 0))
    summits = pd.DataFrame({"chrom": "chr1", "summit": starts + 500, "motif": 0})
    tracemalloc.start()
    try:
        for _ in with_motifs(drawn_codes(tiled, 0, size), tiled, summits, [ACG], 0, 1):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_the_chain_is_that_of_a_chunk_however_many_windows():
    """NumPy tells tracemalloc of its arrays. Of the whole set there are some bytes a window."""
    peak_of_chain(20, 20)  # what is imported and kept with a first call
    few, many, at_once = (peak_of_chain(*case) for case in ((40, 20), (160, 20), (160, 160)))
    assert many < few + 120 * 300
    assert at_once > few + 120 * 1000  # the codes, a byte a base


@pytest.mark.parametrize("least", [1, 2, 5])
def test_windows_with_too_few_motifs_are_left_out_and_the_others_are_what_they_were(toy, least):
    _, tiled, summits, _ = toy
    every = whole(with_motifs(drawn_codes(tiled, 0), tiled, summits, [ACG, WIDE], 0))
    some = whole(with_motifs(drawn_codes(tiled, 0), tiled, summits, [ACG, WIDE], 0, least))
    for split in SPLITS:
        windows = tiled.windows[tiled.splits == split].reset_index(drop=True)
        sites = summits_inside(windows, summits)
        number = np.bincount(sites[:, 0], minlength=len(windows))
        assert np.array_equal(some[0][split], every[0][split][number >= least])
        assert some[1][f"{split}: fewer than {least} motifs"] == (number < least).sum()
    assert some[2]["windows without a motif"] == 0


# The table of motifs


def _own_name(entry, description):
    """The TF that an entry of the ENCODE motif file is of, and how it was found."""
    if "_disc" in entry:
        return "discovered", description.split("_")[0]
    name = description.split()[0] if "_known" in entry else entry
    return "known", name.rpartition("_")[0]


@pytest.fixture(scope="module")
def encode_motifs(shared_data):
    """Name, description and lines of numbers of every motif, in file order."""
    with gzip.open(shared_data / "deeplift_simulation/encode_motifs.txt.gz", "rt") as file:
        blocks = file.read().split(">")[1:]
    return [
        (
            head.split()[0],
            head.partition(head.split()[0])[2].strip(),
            [line.split()[1:] for line in lines],
        )
        for head, *lines in (block.splitlines() for block in blocks)
    ]


def test_table_follows_its_rule(encode_motifs):
    names = [(*_own_name(name, description), name) for name, description, _ in encode_motifs]
    for factor in factors():
        own = [n for kind, tf, n in names if (kind, tf) == ("known", factor.tf)]
        discovered = [n for kind, tf, n in names if (kind, tf) == ("discovered", factor.tf)]
        family = ["NFY_known1"] if factor.tf == "NFYB" else []  # the only one without its own
        rule, found = next(
            (rule, found)
            for rule, found in (("known", own), ("discovered", discovered), ("family", family))
            if found
        )
        assert (factor.rule, factor.motif) == (rule, found[0])


def test_matrices_are_those_of_the_table_digit_for_digit(encode_motifs):
    lines = MATRICES.read_text().splitlines()
    motifs = read_meme(MATRICES)
    assert set(motifs) == {factor.motif for factor in factors()}
    for name, _, rows in encode_motifs:
        if name in motifs:
            start = lines.index(f"MOTIF {name}") + 2
            assert [line.split() for line in lines[start : start + len(rows)]] == rows
            assert motifs[name].width == len(rows)


def test_every_tf_file_of_the_registry_is_in_the_table():
    listed = [factor.file for factor in factors()]
    assert sorted(listed) == sorted(name for name in registry() if name.startswith("encode_tf_"))
    assert Counter(factor.cell_type for factor in factors()) == {"GM12878": 28, "K562": 10}
    for factor in factors():
        folder = {"GM12878": "encode_tf_gm12878/", "K562": "encode_tf_k562/"}[factor.cell_type]
        assert factor.file.startswith(folder)
        if factor.cell_type == "K562":
            assert factor.file.split(".")[2] == factor.tf


# The recipes


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hematopoiesis", {"profile": "hg38"}, "must be one of .*hg19-subset"),
        ("simulated_accessibility", {"profile": 3}, "must be one of"),
        (
            "simulated_accessibility",
            {"dnase": "atac"},
            "dnase must be one of .*roadmap.* got 'atac'",
        ),
        ("simulated_accessibility", {"seed": -1}, "seed must be an integer >= 0, got -1"),
        ("simulated_accessibility", {"seed": True}, "seed must be an integer >= 0, got True"),
        ("simulated_accessibility", {"min_motifs": -1}, "min_motifs must be an integer >= 0"),
        ("simulated_accessibility", {"background": "none"}, "background must be one of .*chain"),
        ("hematopoiesis", {"seed": 1}, "has options .*profile.* got 'seed'"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_recipe(name, options)


def test_fingerprint_changes_with_every_option():
    prints = {
        SimulatedAccessibility().fingerprint,
        SimulatedAccessibility(seed=1).fingerprint,
        SimulatedAccessibility(profile="full").fingerprint,
        SimulatedAccessibility(background="chain").fingerprint,
        SimulatedAccessibility(min_motifs=1).fingerprint,
        Hematopoiesis().fingerprint,
        Hematopoiesis("full").fingerprint,
    }
    assert len(prints) == 7


def test_an_option_that_came_later_changes_nothing_where_it_is_not_set():
    assert SimulatedAccessibility().options == {
        "profile": "hg19-subset",
        "dnase": "uniform",
        "seed": 0,
    }
    assert SimulatedAccessibility(min_motifs=1).options["min_motifs"] == 1
    assert SimulatedAccessibility().fingerprint.startswith("6afb489c73276a00")


def test_inputs_are_all_files_that_are_read():
    inputs = SimulatedAccessibility().inputs()
    assert len(inputs) == 2 + 38 + 2 + 4
    assert all(inputs.values())
    assert len(Hematopoiesis().inputs()) == 16 + 4
    chain = SimulatedAccessibility(profile="full", background="chain").inputs()
    assert len(chain) == 2 + 38 + 3
    assert not any(name.startswith("hg19") for name in chain)


def _place(folder, name, text, level=9):
    path = folder / "roadmap_dnase" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), level))
    return path


def test_roadmap_files_are_taken_where_they_were_placed(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(tmp_path))
    recipe = SimulatedAccessibility(dnase="roadmap")
    with pytest.raises(UserError, match=r"E116-DNase.macs2.narrowPeak.gz.*https://egg2"):
        _ = recipe.fingerprint
    for number, name in enumerate(
        ("E116-DNase.macs2.narrowPeak.gz", "E123-DNase.macs2.narrowPeak.gz")
    ):
        path = _place(tmp_path, name, f"chr20\t{number}\t500\tpeak\n" * 50)
    assert [triples(peak)[0] for peak in recipe.peaks()] == [("chr20", 0, 500), ("chr20", 1, 500)]
    before = recipe.fingerprint
    assert before != SimulatedAccessibility().fingerprint
    _place(tmp_path, path.name, "chr20\t1\t500\tpeak\n" * 50, level=1)
    assert recipe.fingerprint == before
    _place(tmp_path, path.name, "chr20\t2\t500\tpeak\n" * 50)
    assert recipe.fingerprint != before
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="expected a whole gzip file"):
        _ = recipe.fingerprint


# Real data: slow, about 20 s each on one core


@pytest.fixture(scope="module")
def real(shared_data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_DATA_MIRROR", str(shared_data))
        yield


@pytest.fixture(scope="module")
def tiled(real):
    """The windows of hg19-subset."""
    recipe = SimulatedAccessibility()
    return tiling(recipe.peaks(), recipe.profile)


def rates(dataset):
    total = sum(len(getattr(dataset, split)) for split in SPLITS)
    positives = np.sum([getattr(dataset, split).positives for split in SPLITS], axis=0)
    return positives / total


def test_simulated_set_of_hg19_subset(real):
    dataset = load_dataset("simulated_accessibility")
    assert [len(getattr(dataset, split)) for split in SPLITS] == [43_792, 16_578, 6_017]
    assert rates(dataset) == pytest.approx([0.5645, 0.5957], abs=0.0005)
    assert dataset.task_names == ("GM12878", "K562")
    assert dataset.length == 1000
    assert dataset.train.codes.max() == 3
    assert dataset.dropped["N in the window"] == 15
    assert dataset.counts["motifs inserted"] == 216_070
    assert dataset.counts["windows without a motif"] == 24_009
    digest = hashlib.sha256(dataset.valid.codes.tobytes()).hexdigest()
    assert (
        digest == "84fe47f83b920f8b53a13d204339a9550ab455dc4cb8d9284cbc17ca0eea319b"
    )  # of version 1: raise the version when it changes


def dinucleotide_counts(codes):
    """How often each base (column) follows each base (row); N counts nowhere."""
    pairs = codes[:, :-1].astype(np.intp) * 5 + codes[:, 1:]
    return np.bincount(pairs.ravel(), minlength=25).reshape(5, 5)[:4, :4]


def test_frequencies_of_the_chain_are_those_of_the_real_training_windows(tiled):
    parts = real_codes(load_genome("hg19-subset"), tiled)
    counts = sum(dinucleotide_counts(codes) for split, _, codes, _ in parts if split == "train")
    rows = [line.split() for line in DINUCLEOTIDES.read_text().splitlines()]
    assert rows[0] == ["first", *"ACGT"]
    assert [row[0] for row in rows[1:]] == list("ACGT")
    assert np.array_equal(np.array([row[1:] for row in rows[1:]], dtype=np.int64), counts)


def test_genome_wide_set_without_a_genome(real):
    """Windows, labels and splits of all hg19, from interval files alone."""
    recipe = SimulatedAccessibility(profile="full", background="chain", min_motifs=1)
    summits, _ = read_summits(factors())
    regions = {region.chrom: region.split for region in recipe.regions(summits)}
    assert set(regions) == {f"chr{n}" for n in [*range(2, 8), *range(9, 21), 22, "X"]}
    assert (regions["chr3"], regions["chr2"], regions["chr4"]) == ("valid", "test", "train")
    tiled = tiling(recipe.peaks(), recipe.regions(summits))
    counted = {split: int((tiled.splits == split).sum()) for split in SPLITS}
    assert recipe.expected() == counted == {"train": 912_387, "valid": 75_900, "test": 96_261}
    sites = summits_inside(tiled.windows, summits)
    used = np.bincount(sites[:, 0], minlength=len(tiled.windows)) >= recipe.min_motifs
    assert [int(used[tiled.splits == split].sum()) for split in SPLITS] == [612_871, 51_305, 63_868]
    assert tiled.labels[used & (tiled.splits == "valid")].sum(axis=0).tolist() == [31_087, 30_142]


def test_hematopoiesis_of_hg19_subset(real):
    dataset = load_dataset("hematopoiesis")
    assert [len(getattr(dataset, split)) for split in SPLITS] == [144_472, 53_934, 10_429]
    assert (rates(dataset).min(), rates(dataset).max()) == pytest.approx((0.126, 0.433), abs=0.0005)
    assert dataset.task_names[:2] == ("HSC", "MPP")
    assert len(dataset.task_names) == dataset.train.labels.shape[1] == 16
    assert dataset.dropped["N in the window"] == 29
    assert dataset.dropped[OUTSIDE] == 8


def test_shuffles_of_real_windows_keep_every_dinucleotide(tiled):
    _, rows, codes, _ = next(iter(real_codes(load_genome("hg19-subset"), tiled, size=2_000)))
    assert len(rows) >= 1_500
    shuffled = dinucleotide_shuffle(codes, 0, rows)
    offset = np.arange(len(codes))[:, None] * 16
    before, after = (
        np.bincount((offset + c[:, :-1] * 4 + c[:, 1:]).ravel(), minlength=16 * len(codes))
        for c in (codes.astype(np.int64), shuffled.astype(np.int64))
    )
    assert np.array_equal(before, after)
    assert np.array_equal(codes[:, [0, -1]], shuffled[:, [0, -1]])
    assert (codes == shuffled).mean() < 0.35


def test_task_names_are_the_files(real):
    names = [name for name in registry() if name.startswith("hematopoiesis_atac/")]
    files = {name.split("/")[1].removesuffix("_peaks.narrowPeak.gz") for name in names}
    assert files - {"hemePeaks.bed.gz"} == set(Hematopoiesis.task_names)
