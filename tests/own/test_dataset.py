"""The dataset of a user's own files: what is in it, what names it, and what is refused."""

import dataclasses
import gzip
import json
import re

import numpy as np
import pytest
from scipy.stats import fisher_exact

from sfc_lib import RunSpec, load_dataset
from sfc_lib.datasets.base import NOT_KNOWN
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, encode
from sfc_lib.own.dataset import Custom, distinct, names_of, read_peaks

SPLITS = ("train", "valid", "test")
LENGTH = 20


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def random_rows(count, seed, length=LENGTH):
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list("ACGT"), (count, length))]


def fasta(path, rows, prefix="s"):
    path.write_text("".join(f">{prefix}{i} more\n{row}\n" for i, row in enumerate(rows)))
    return path


@pytest.fixture
def two(tmp_path):
    """Options for 60 positives and 90 negatives."""
    return {
        "positives": fasta(tmp_path / "pos.fa", random_rows(60, 1)),
        "negatives": fasta(tmp_path / "neg.fa", random_rows(90, 2)),
    }


@pytest.fixture
def table(tmp_path):
    """Options for 80 sequences with two tasks, the table in another order."""
    labels = np.random.default_rng(3).integers(0, 2, (80, 2))
    lines = [f"s{i}\t{a}\t{b}\n" for i, (a, b) in enumerate(labels)]
    (tmp_path / "labels.tsv").write_text("name\tGATA1\tTAL1\n" + "".join(lines[::-1]))
    rows = random_rows(80, 4)
    return {
        "sequences": fasta(tmp_path / "s.fa", rows), "labels": tmp_path / "labels.tsv",
    }, dict(zip(rows, labels.tolist(), strict=True))  # fmt: skip


def genome_of(path, sizes, seed=5):
    """A FASTA of random chromosomes; their sequences by name."""
    found = {
        chrom: "".join(np.random.default_rng((seed, i)).choice(list("ACGT"), size))
        for i, (chrom, size) in enumerate(sizes.items())
    }
    path.write_text("".join(f">{chrom}\n{letters}\n" for chrom, letters in found.items()))
    return found


@pytest.fixture
def peaks(tmp_path):
    """Options for 40 peaks on each of three chromosomes, and the sequence of these."""
    sequence = genome_of(tmp_path / "g.fa", {"chr1": 5000, "chr2": 4500, "chr3": 4000})
    starts = np.arange(100, 4000, 97)[:40]
    lines = [f"{chrom}\t{start}\t{start + 30}\n" for chrom in sequence for start in starts]
    (tmp_path / "p.bed").write_text("".join(lines))
    files = {"peaks": tmp_path / "p.bed", "genome": tmp_path / "g.fa"}
    return files | {"window": 20, "background": "shuffled"}, sequence


def beside(options, negatives):
    """The options with a file of negatives, so that no background is needed."""
    return {**options, "negatives": negatives, "background": None}


def rows_of(dataset, split):
    part = getattr(dataset, split)
    return list(zip(decode(part.codes), part.labels.tolist(), strict=True))


def everything(dataset):
    return [row for split in SPLITS for row in rows_of(dataset, split)]


# What is in it


def test_two_files_give_each_sequence_once_with_its_label(two):
    dataset = load_dataset("custom", **two)
    expected = [(row, [1]) for row in random_rows(60, 1)] + [(r, [0]) for r in random_rows(90, 2)]
    assert sorted(everything(dataset)) == sorted(expected)
    assert (dataset.task_names, dataset.length, dataset.dropped) == (("positive",), 20, {})
    for split, size in (("valid", 15), ("test", 15)):
        assert abs(len(getattr(dataset, split)) - size) <= 3
        assert 0 < getattr(dataset, split).positives[0] < len(getattr(dataset, split))


def test_a_table_gives_every_task_by_name(table):
    options, truth = table
    dataset = load_dataset("custom", **options)
    assert dataset.task_names == ("GATA1", "TAL1")
    assert dict(everything(dataset)) == truth


def test_unknown_bases_stay_and_equal_sequences_do_not(tmp_path, two):
    rows = random_rows(60, 1)
    rows[0] = "NRYKM" + rows[0][5:]  # five letters for several bases
    rows += [rows[1], rows[2].lower()]  # two again
    negatives = [*random_rows(90, 2), rows[3]]  # one with the other label
    fasta(two["positives"], rows)
    fasta(two["negatives"], negatives)
    dataset = load_dataset("custom", **two)
    assert dataset.dropped == {"same sequence with other labels": 2, "same sequence again": 2}
    found = [row for row, _ in everything(dataset)]
    assert ("NNNNN" + rows[0][5:]) in found
    assert rows[3] not in found
    assert len(found) == len(set(found)) == 60 + 90 - 1


def test_distinct_against_counting():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (300, 7))
    labels = rng.choice(np.uint8([0, 1, NOT_KNOWN]), (300, 2), p=[0.1, 0.2, 0.7])
    merged, keep, counts = distinct(codes, labels)
    seen, first = {}, set()
    for row, label in zip(map(tuple, codes.tolist()), labels.tolist(), strict=True):
        tasks = seen.setdefault(row, (set(), set()))
        for task, value in zip(tasks, label, strict=True):
            task |= {value} - {NOT_KNOWN}
    for row, kept, found in zip(map(tuple, codes.tolist()), keep, merged.tolist(), strict=True):
        agree = all(len(task) < 2 for task in seen[row])
        assert kept == (agree and row not in first)
        if kept:
            assert found == [next(iter(task), NOT_KNOWN) for task in seen[row]]
        first.add(row)
    assert sum(counts.values()) == (~keep).sum()
    assert len(counts) == 2


@pytest.mark.parametrize("kind", ["two", "table"])
def test_names_with_coordinates_split_by_chromosome(tmp_path, kind):
    rows = random_rows(120, 1)
    names = [f"chr{1 + i % 4}:{100 * i}-{100 * i + 20}" for i in range(120)]
    labels = [int(i % 3 == 0) for i in range(120)]
    of = [
        "".join(
            f">{n}\n{r}\n" for n, r, own in zip(names, rows, labels, strict=True) if own in some
        )
        for some in ((0, 1), (1,), (0,))
    ]
    for file, text in zip(("all.fa", "pos.fa", "neg.fa"), of, strict=True):
        (tmp_path / file).write_text(text)
    lines = [f"{name}\t{own}\n" for name, own in zip(names, labels, strict=True)]
    (tmp_path / "l.tsv").write_text("name\tbound\n" + "".join(lines))
    options = {"positives": "pos.fa", "negatives": "neg.fa"}
    if kind == "table":
        options = {"sequences": "all.fa", "labels": "l.tsv"}
    dataset = load_dataset("custom", **options)
    chrom = dict(zip(rows, (name.partition(":")[0] for name in names), strict=True))
    found = [{chrom[row] for row, _ in rows_of(dataset, split)} for split in SPLITS]
    assert sorted(len(chroms) for chroms in found) == [1, 1, 2]
    assert set.union(*found) == {"chr1", "chr2", "chr3", "chr4"}
    asked = {"valid_chromosomes": ("chr2",), "test_chromosomes": ("chr3", "chr4")}
    dataset = load_dataset("custom", **options, **asked)
    found = [{chrom[row] for row, _ in rows_of(dataset, split)} for split in SPLITS]
    assert found == [{"chr1"}, {"chr2"}, {"chr3", "chr4"}]
    assert dataset.counts["windows of chr1 in train"] == 30


def test_near_duplicates_are_in_one_split_and_counted(tmp_path):
    long = random_rows(60, 1, length=80)
    shifted = ["".join([row[7:], "ACGTACG"]) for row in long]
    fasta(tmp_path / "pos.fa", [*long, *shifted])
    fasta(tmp_path / "neg.fa", random_rows(120, 2, length=80))
    dataset = load_dataset("custom", positives=tmp_path / "pos.fa", negatives=tmp_path / "neg.fa")
    place = {row: split for split in SPLITS for row, _ in rows_of(dataset, split)}
    assert all(place[a] == place[b] for a, b in zip(long, shifted, strict=True))
    assert dataset.counts == {"sequences alike to another, in one split with it": 120}


def test_windows_around_peaks_and_their_shuffles(peaks):
    options, sequence = peaks
    dataset = load_dataset("custom", **options)
    expected = {sequence[c][s + 5 : s + 25] for c in sequence for s in range(100, 3890, 97)}
    for split in SPLITS:
        rows = rows_of(dataset, split)
        positives = [row for row, label in rows if label == [1]]
        negatives = [row for row, label in rows if label == [0]]
        assert set(positives) <= expected
        assert sorted(map(pairs, positives)) == sorted(map(pairs, negatives))
        assert positives != negatives
    assert len(everything(dataset)) == 240
    assert dataset.counts["peaks taken by their middle"] == 120
    chosen = {split: [w for w in dataset.counts if w.endswith(split)] for split in SPLITS}
    assert {split: len(found) for split, found in chosen.items()} == dict.fromkeys(SPLITS, 1)


def test_by_default_negatives_are_windows_of_the_genome_away_from_peaks(tmp_path):
    sequence = genome_of(tmp_path / "g.fa", {f"chr{n}": 60_000 for n in (1, 2, 3)})
    starts = range(20_000, 30_000, 250)
    lines = [f"{chrom}\t{start}\t{start + 30}\n" for chrom in sequence for start in starts]
    (tmp_path / "p.bed").write_text("".join(lines))
    files = {"peaks": tmp_path / "p.bed", "genome": tmp_path / "g.fa", "window": 20}
    dataset = load_dataset("custom", **files)
    place = {
        letters[s : s + 20]: (chrom, s)
        for chrom, letters in sequence.items()
        for s in range(60_000 - 19)
    }
    gc = {0: [], 1: []}
    for split in SPLITS:
        rows = rows_of(dataset, split)
        found = {label: [place[row] for row, (own,) in rows if own == label] for label in (0, 1)}
        assert len(found[0]) == len(found[1]) == 40
        assert {chrom for chrom, _ in found[0]} == {chrom for chrom, _ in found[1]}
        assert all(start + 20 <= 19_000 or start >= 30_780 for _, start in found[0])
        for row, (label,) in rows:
            gc[label].append(row.count("G") + row.count("C"))
    assert sorted(gc[0]) == sorted(gc[1])
    again = load_dataset("custom", **files, valid_fraction=0.2)
    assert everything(again) != everything(dataset)


def pairs(row):
    """How often each dinucleotide occurs, and the ends."""
    return sorted(row[i : i + 2] for i in range(len(row) - 1)), row[0], row[-1]


def test_summits_are_taken_where_the_file_has_them(peaks, tmp_path):
    options, sequence = peaks
    lines = [
        f"chr{n}\t{start}\t{start + 60}\t.\t0\t.\t1\t-1\t-1\t{{}}\n"
        for n in (1, 2, 3)
        for start in range(100, 3900, 97)
    ]
    path = tmp_path / "p.narrowPeak.gz"
    path.write_bytes(gzip.compress("".join(lines).format(*[50] * len(lines)).encode()))
    dataset = load_dataset("custom", **options | {"peaks": path})
    assert sequence["chr2"][140:160] in [row for row, _ in everything(dataset)]
    assert dataset.counts["peaks taken by their summit"] == len(lines)
    for summits in ([-1] * len(lines), [-1, *[50] * (len(lines) - 1)], [50, -1] * 60):
        path.write_text("".join(lines).format(*summits))
        found = read_peaks(path)
        given = np.resize(np.array(summits) >= 0, len(found))
        start = found["start"].to_numpy()
        assert np.array_equal(found["summit"], start + np.where(given, 50, 30))
        assert (found["at"] == np.where(given, "summit", "middle")).all()
    path.write_text("".join(lines).format(50, "1.5", *[50] * (len(lines) - 2)))
    with pytest.raises(UserError, match=r"narrowPeak\.gz:2: expected a summit .* got '1\.5'"):
        read_peaks(path)
    path.write_text("".join(lines).format(*range(1000, 1000 + len(lines))))
    with pytest.raises(UserError, match=r"gz:1: expected in column 10 .* got 1,000; 120 of 120"):
        read_peaks(path)


def test_negatives_from_a_bed_share_no_base_with_a_peak(peaks, tmp_path):
    options, sequence = peaks
    lines = [f"{c}\t{s}\t{s + 10}\n" for c in sequence for s in range(150, 3900, 40)]
    (tmp_path / "n.bed").write_text("".join(lines) + "chrUn_1\t5\t9\n")
    dataset = load_dataset("custom", **beside(options, tmp_path / "n.bed"))
    covered = {c: {b for s in range(100, 3890, 97) for b in range(s, s + 30)} for c in sequence}
    starts = {sequence[c][s : s + 20]: (c, s) for c in sequence for s in range(3980)}
    expected = 0
    for chrom in sequence:
        for s in range(145, 3895, 40):
            expected += covered[chrom].isdisjoint(range(s, s + 20))
    negatives = [row for row, label in everything(dataset) if label == [0]]
    for row in negatives:
        chrom, start = starts[row]
        assert covered[chrom].isdisjoint(range(start, start + 20))
    assert len(negatives) == expected
    assert dataset.dropped["negative: overlaps a peak"] == len(lines) - expected
    assert dataset.dropped["negative: on a chromosome that the genome lacks"] == 1


def test_negatives_from_a_fasta_are_split_like_the_positives(peaks, tmp_path):
    options, _ = peaks
    path = fasta(tmp_path / "n.fa", random_rows(300, 9))
    dataset = load_dataset("custom", **beside(options, path))
    for split in ("valid", "test"):
        part = getattr(dataset, split)
        assert abs((len(part) - part.positives[0]) / 300 - part.positives[0] / 120) < 0.02
    fasta(path, random_rows(30, 9, length=21))
    with pytest.raises(UserError, match=r"n\.fa:1: expected sequences of 20 bp .* got 21 bp"):
        load_dataset("custom", **beside(options, path))


def test_named_chromosomes_and_windows_that_do_not_fit(peaks, tmp_path):
    options, sequence = peaks
    with open(options["peaks"], "a") as file:
        file.write("chr1\t0\t10\nchr3\t100\t130\n5\t10\t20\nchr2\t4400\t4430\n")
    letters = sequence["chr2"]
    spoilt = f">chr1\n{sequence['chr1']}\n>2\n{letters[:4410]}N{letters[4411:]}\n>chr3\n"
    options["genome"].write_text(spoilt + sequence["chr3"] + "\n")
    chosen = {"valid_chromosomes": ("2",), "test_chromosomes": ("chr3",)}
    dataset = load_dataset("custom", **options | chosen)
    assert dataset.dropped == {
        "positive: beyond the sequence": 1,
        "positive: same window again": 1,
        "positive: on a chromosome that the genome lacks": 1,
        "positive: N in the window": 1,
    }
    assert [getattr(dataset, split).positives for split in SPLITS] == [[40], [40], [40]]
    assert {row for row, label in rows_of(dataset, "test") if label == [1]} <= {
        sequence["chr3"][s + 5 : s + 25] for s in range(100, 3890, 97)
    }


def test_peaks_may_reach_beyond_an_end_but_not_lie_there(peaks):
    options, sequence = peaks
    text = options["peaks"].read_text()
    options["peaks"].write_text(text + "chr3\t3900\t4001\nchr3\t3995\t4009\n")
    with pytest.warns(UserWarning, match=r"p\.bed:121: 2 of 122 intervals reach beyond the end"):
        dataset = load_dataset("custom", **options)
    assert sequence["chr3"][3940:3960] in [row for row, _ in everything(dataset)]
    assert dataset.dropped == {"positive: beyond the sequence": 1}


def test_chromosomes_with_and_without_chr_are_the_same(peaks):
    options, _ = peaks
    for old, new in (("chr1", "I"), ("chr2", "II"), ("chr3", "X")):
        for role, prefix in (("peaks", "chr"), ("genome", "")):
            text = options[role].read_text()
            end = "\t" if role == "peaks" else "\n"
            options[role].write_text(text.replace(old + end, prefix + new + end))
    dataset = load_dataset("custom", **options)
    assert len(everything(dataset)) == 240
    assert dataset.dropped == {}


def test_sequences_that_say_nothing_are_left_out_and_counted(two):
    fasta(two["positives"], ["N" * LENGTH, *random_rows(60, 1)])
    dataset = load_dataset("custom", **two)
    assert dataset.dropped == {"sequence of unknown bases only": 1}
    assert "N" * LENGTH not in [row for row, _ in everything(dataset)]


def test_several_genome_files(peaks, tmp_path):
    options, sequence = peaks
    parts = []
    for chrom, letters in sequence.items():
        parts.append(tmp_path / f"{chrom}.fa")
        parts[-1].write_text(f">{chrom}\n{letters}\n")
    apart, whole = (
        load_dataset("custom", **options | {"genome": g}) for g in (parts, options["genome"])
    )
    assert sorted(everything(apart)) == sorted(everything(whole))


def test_sequences_are_called_what_their_files_call_them(two, table):
    for options, rows in ((two, random_rows(60, 1)), (table[0], random_rows(80, 4))):
        recipe, dataset = Custom.of(**options), load_dataset("custom", **options)
        names = {row: f"s{i}" for i, row in enumerate(rows)}
        found = names_of(recipe, dataset.test.codes)
        assert found == [names.get(row, "") for row, _ in rows_of(dataset, "test")]


def test_windows_of_peaks_are_called_by_their_places(peaks):
    options, sequence = peaks
    recipe, dataset = Custom.of(**options), load_dataset("custom", **options)
    for name, (row, (label,)) in zip(
        names_of(recipe, dataset.valid.codes), rows_of(dataset, "valid"), strict=True
    ):
        assert bool(name) == label  # shuffled ones have no place
        if name:
            chrom, start, end = re.fullmatch(r"(\w+):(\d+)-(\d+)", name).groups()
            assert sequence[chrom][int(start) : int(end)] == row


# A test set of files of its own


def test_a_test_set_of_two_files_is_what_tests_and_nothing_else(two, tmp_path):
    positives, negatives = random_rows(25, 8), random_rows(30, 9)
    positives[3], negatives[4] = random_rows(60, 1)[7], random_rows(90, 2)[8]  # train too
    positives[5] = positives[6]
    files = {
        "test": fasta(tmp_path / "tp.fa", positives),
        "test_negatives": fasta(tmp_path / "tn.fa", negatives),
    }
    dataset = load_dataset("custom", **two, **files, valid_fraction=0.2)
    expected = {row: [1] for row in positives} | {row: [0] for row in negatives}
    assert dict(rows_of(dataset, "test")) == expected
    assert len(dataset.test) == 54
    others = rows_of(dataset, "train") + rows_of(dataset, "valid")
    assert {row for row, _ in others}.isdisjoint(expected)
    assert len(others) == 148
    assert abs(len(dataset.valid) - 30) <= 3
    assert dataset.dropped == {
        "test: same sequence again": 1, "same sequence as one that tests": 2,
    }  # fmt: skip
    names = {row: f"s{i}" for i, row in enumerate(positives)}
    found = names_of(Custom.of(**two, **files, valid_fraction=0.2), dataset.test.codes)
    assert found == [names.get(row, "") for row, _ in rows_of(dataset, "test")]


def test_a_test_set_with_a_table_may_name_its_tasks_in_another_order(table, tmp_path):
    options, _ = table
    rows = random_rows(30, 8)
    (tmp_path / "tl.tsv").write_text(
        "name\tTAL1\tGATA1\n" + "".join(f"s{i}\t{i % 2}\t{i // 2 % 2}\n" for i in range(30))
    )
    files = {"test": fasta(tmp_path / "t.fa", rows), "test_labels": tmp_path / "tl.tsv"}
    dataset = load_dataset("custom", **options, **files)
    assert rows_of(dataset, "test") == [(row, [i // 2 % 2, i % 2]) for i, row in enumerate(rows)]
    (tmp_path / "tl.tsv").write_text("name\tTAL1\tSPI1\ns0\t0\t1\n")
    with pytest.raises(UserError, match=r"tl\.tsv: expected the tasks \('GATA1', 'TAL1'\), got"):
        load_dataset("custom", **options, **files)


def bed(path, places):
    path.write_text("".join(f"{chrom}\t{s}\t{s + 30}\n" for chrom, s in places))
    return path


@pytest.mark.parametrize("background", ["shuffled", "genomic", "bed", "fasta"])
def test_a_test_set_of_peaks_has_negatives_as_the_others_have(tmp_path, background):
    sequence = genome_of(tmp_path / "g.fa", {f"chr{n}": 60_000 for n in (1, 2, 3)})
    place = {sequence[c][s : s + 20]: s for c in sequence for s in range(59_980)}
    train = [(chrom, s) for chrom in sequence for s in range(7000, 28_000, 3000)]
    test = [(chrom, s) for chrom in sequence for s in range(31_000, 50_000, 6000)]
    options = {
        "peaks": bed(tmp_path / "p.bed", train), "test": bed(tmp_path / "t.bed", test),
        "genome": tmp_path / "g.fa", "window": 20,
    }  # fmt: skip
    if background in ("shuffled", "genomic"):
        options["background"] = background
    elif background == "bed":  # and among them one peak of the other file
        others = [(chrom, s + 1500) for chrom, s in train]
        options["negatives"] = bed(tmp_path / "n.bed", [*others, test[0]])
        others = [(chrom, s + 1500) for chrom, s in test]
        options["test_negatives"] = bed(tmp_path / "tn.bed", [*others, train[0]])
    else:
        options["negatives"] = fasta(tmp_path / "n.fa", random_rows(70, 8))
        options["test_negatives"] = fasta(tmp_path / "tn.fa", random_rows(50, 9))
    dataset = load_dataset("custom", **options)
    parts = {split: ([], []) for split in SPLITS}
    for split, (negatives, positives) in parts.items():
        for row, (label,) in rows_of(dataset, split):
            (negatives, positives)[label].append(row)
    negatives, positives = parts["test"]
    assert sorted(place[row] - 5 for row in positives) == sorted(s for _, s in test)
    found = [place[row] - 5 for split in ("train", "valid") for row in parts[split][1]]
    assert sorted(found) == sorted(s for _, s in train)
    assert all(parts[split][0] for split in SPLITS)
    if background == "shuffled":
        assert sorted(map(pairs, negatives)) == sorted(map(pairs, positives))
    elif background == "fasta":
        assert sorted(negatives) == sorted(random_rows(50, 9))
    elif background == "bed":
        assert sorted(place[row] - 1505 for row in negatives) == sorted(s for _, s in test)
        assert dataset.dropped == {
            "negative: overlaps a peak": 1, "test negative: overlaps a peak": 1
        }  # fmt: skip
    else:
        assert len(negatives) == len(positives)
        middles = [s + 15 for _, s in (*train, *test)]
        for row in (*negatives, *parts["train"][0]):
            assert min(abs(place[row] + 10 - middle) for middle in middles) > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_chromosomes": ("chr1",)}, "the test set is a file: expected no test_chromosomes"),
        ({"test_fraction": 0.2}, "the test set is a file: expected no test_fraction beside it"),
        ({"test_negatives": None}, "expected test and test_negatives, got test"),
        ({"test": "pos.fa"}, r"pos\.fa: expected another file than those that train, got the same"),
        ({"test_negatives": "tp.fa"}, r"tp\.fa: expected another file than the test negatives"),
        ({"test": "short.fa"}, r"tn\.fa:1: expected sequences of 9 bp as the positives, got 20"),
        (
            {"test": "short.fa", "test_negatives": "short_n.fa"},
            r"short\.fa:1: expected sequences of 20 bp as the positives, got 9 bp",
        ),
        ({"test": "same.fa", "test_negatives": "same_n.fa"}, "expected other sequences than train"),
    ],
)
def test_bad_test_sets_are_refused(two, tmp_path, change, message):
    for name, rows in {
        "tp": random_rows(9, 8), "tn": random_rows(9, 9), "short": random_rows(9, 8, 9),
        "short_n": random_rows(9, 9, 9), "same": random_rows(60, 1)[::-1],
        "same_n": random_rows(90, 2)[::-1],
    }.items():  # fmt: skip
        fasta(tmp_path / f"{name}.fa", rows)
    options = two | {"test": "tp.fa", "test_negatives": "tn.fa"} | change
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **options)


# What names it


def test_content_names_the_data_not_the_path(two, tmp_path):
    first = RunSpec(dataset="custom", dataset_options=two)
    (tmp_path / "elsewhere.fa.gz").write_bytes(gzip.compress(two["positives"].read_bytes()))
    moved = RunSpec(
        dataset="custom", dataset_options=two | {"positives": tmp_path / "elsewhere.fa.gz"}
    )
    assert first == moved
    assert first.id == moved.id
    text = two["negatives"].read_text()
    two["negatives"].write_text(text.replace("\n", "\r\n"))
    assert RunSpec(dataset="custom", dataset_options=two).id != first.id


def test_a_spec_survives_json_without_its_files(two, table):
    for options in (two, table[0]):
        spec = RunSpec(dataset="custom", dataset_options=options)
        assert str(next(iter(options.values()))) not in json.dumps(spec.to_dict())
        for path in options.values():
            path.unlink()
        again = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert (again, again.id) == (spec, spec.id)
        assert (
            Custom(**again.dataset_options).fingerprint
            == Custom(**spec.dataset_options).fingerprint
        )


def test_a_built_dataset_needs_its_files_no_more(two):
    options = load_dataset("custom", **two).options
    for path in two.values():
        path.unlink()
    assert len(load_dataset("custom", **options).train) > 0


def test_every_option_changes_the_fingerprint(peaks):
    first = Custom.of(**peaks[0])
    changes = {
        "window": 22, "valid_fraction": 0.2, "test_fraction": 0.2, "task_names": ("YY1",),
        "background": "genomic", "test": "a" * 64,
    }  # fmt: skip
    found = {dataclasses.replace(first, **{k: v}).fingerprint for k, v in changes.items()}
    assert len(found | {first.fingerprint}) == 1 + len(changes)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"negatives": None}, "expected the files positives and negatives.*got positives"),
        ({"positives": None, "negatives": None}, "got none"),
        ({"labels": "x"}, "got labels, negatives, positives"),
        ({"background": "shuffled"}, "background is an option of peaks without negatives only"),
        ({"window": 100}, "window is an option of peaks only"),
        ({"test_chromosomes": ("chr1",)}, "name chromosomes for both"),
        (
            {"valid_chromosomes": ("chr1",), "test_chromosomes": ("chr2",)},
            r"valid_chromosomes need names such as chr1:100-300, got 's0'",
        ),
        ({"valid_fraction": 0.0}, "must be > 0 with a sum < 1"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "must be > 0 with a sum < 1"),
        ({"valid_fraction": float("nan")}, "must be > 0 with a sum < 1"),
        ({"task_names": ("a", "b")}, "expected one task name"),
        ({"colour": "red"}, "custom has options"),
    ],
)
def test_bad_options(two, change, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("custom", **two | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window must be an integer >= 1, got 0"),
        ({"window": "wide"}, "window must be an integer"),
        ({"background": "random"}, r"background must be one of \['genomic', 'shuffled'\], got"),
        ({"background": "genomic"}, r"p\.bed: expected a genome with room for negatives 1,000 bp"),
        ({"valid_chromosomes": ("chr1",)}, "name chromosomes for both"),
        (
            {"valid_chromosomes": ("chr9",), "test_chromosomes": ("chr1",)},
            r"valid_chromosomes: expected some of \['chr1', 'chr2', 'chr3'\], got 'chr9'",
        ),
    ],
)
def test_bad_options_of_peaks(peaks, change, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("custom", **peaks[0] | change)


A, B = "ACGTACGTAC", "TTTTACGTAC"
BAD_FASTA = {
    "empty": (b"", r"neg\.fa:1: expected text, got an empty file"),
    "blank": (b"\n\n", r"neg\.fa:1: expected a FASTA file with sequences"),
    "unequal": (f">a\n{A}\n>b\n{A}A\n".encode(), r"neg\.fa:3: expected 10 bp .* got 11 bp in 'b'"),
    "other length": (f">a\n{A}A\n".encode(), r"neg\.fa:1: expected sequences of 20 bp"),
    "twice": (f">a\n{A}\n>a\n{B}\n".encode(), r"neg\.fa:3: expected a name .* got 'a' again"),
    "protein": (b">a\nMEEPQSDPSV\n", r"neg\.fa:2: .* got 'E' in column 2. This looks like protein"),
    "rna": (b">a\nACGUACGUAC\n", r"neg\.fa:2: .* got 'U' .* This looks like RNA"),
    "alignment": (b">a\nACG--ACGTA\n", r"neg\.fa:2: .* got '-' .* This looks like an alignment"),
    "binary": (bytes(range(256)), r"neg\.fa:1: expected text.* This is no text"),
    "fastq": (b"@a\nACGT\n+\nIIII\n", r"neg\.fa:1: expected FASTA, a line that begins with '>'"),
    "bed": (b"chr1\t1\t2\n", r"neg\.fa:1: expected FASTA"),
    "nameless": (b">\nACGT\n", r"neg\.fa:1: expected a name behind '>'"),
    "no sequence": (b">a\n>b\nACGT\n", r"neg\.fa:1: expected a sequence of 'a', got none"),
    "cut gzip": (gzip.compress(b">a\nACGTACGT\n" * 99)[:-9], r"neg\.fa:\d+: expected a whole gzip"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FASTA)
def test_bad_fasta_is_refused_with_its_line(two, kind):
    content, message = BAD_FASTA[kind]
    two["negatives"].write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **two)


def test_the_same_sequences_as_positives_and_negatives(two, tmp_path):
    with pytest.raises(UserError, match=r"pos\.fa: expected other sequences than the positives"):
        load_dataset("custom", **two | {"negatives": two["positives"]})
    fasta(two["negatives"], random_rows(60, 1)[::-1])
    message = r"got 0 positive of 0 in 'train' \(0 of 0 in all; left out: 120 same sequence with"
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **two)


def test_names_must_agree_between_sequences_and_labels(table):
    options, _ = table
    lines = options["labels"].read_text().splitlines(keepends=True)
    options["labels"].write_text("".join([*lines, "s99\t0\t1\n"]))
    message = r"labels\.tsv:82: expected the name of a sequence in .*s\.fa, got 's99'; 1 of 81"
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **options)
    options["labels"].write_text("".join(lines[:-3]))
    with pytest.raises(UserError, match=r"s\.fa:1: .*labels stand in .*labels\.tsv, got 's0'"):
        load_dataset("custom", **options)


def test_a_task_of_one_class(table, two):
    options, _ = table
    lines = [line.split("\t") for line in options["labels"].read_text().splitlines()]
    text = "".join(f"{name}\t{first}\t0\n" for name, first, _ in lines[1:])
    options["labels"].write_text("name\tGATA1\tTAL1\n" + text)
    message = (
        r"examples of 'TAL1' in every split, got 0 positive of \d+ in 'train' \(0 of 80 in all"
    )
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **options)
    text = "".join(f"{name}\t{first}\t{'NA' if i > 1 else i}\n"
                   for i, (name, first, _) in enumerate(lines[1:]))  # fmt: skip
    options["labels"].write_text("name\tGATA1\tTAL1\n" + text)
    known = r"s\.fa: expected positive and negative examples of 'TAL1' in every split, got "
    with pytest.raises(UserError, match=known + r"\d positive of [012] in '\w+' \(1 of 80 in all"):
        load_dataset("custom", **options)
    fasta(two["positives"], random_rows(2, 1))
    with pytest.raises(UserError, match=r"'positive' in every split, .* Give more examples"):
        load_dataset("custom", **two)


BAD_PEAKS = {
    "another assembly": ("chr1\t10\t60\nchr1\t5000\t5011\n",
                         r"p\.bed:2: expected end <= 5,000, .* \(hg38 is not hg19\)"),
    "unknown chromosomes": ("chr9\t10\t60\n",
                            r"p\.bed:1: .* named chr1, chr2, chr3, got chr9 in 1 of 1"),
    "start >= end": ("chr1\t60\t60\n", r"p\.bed:1: expected start < end"),
    "negative": ("chr1\t-5\t60\n", r"p\.bed:1: expected a start .* got '-5'"),
    "decimals": ("chr1\t9.0\t60.0\n", r"p\.bed:1: expected a start that is an integer.*'9\.0'"),
    "commas": ("chr1,5,60\n", r"p\.bed:1: .* separated by commas"),
    "two columns": ("chr1\t5\n", r"p\.bed:1: expected 3 to 12 tab-separated"),
    "1-based": ("chr1:5-60\n", r"p\.bed:1: .* counts from 1"),
    "header": ("chrom\tstart\tend\n", r"p\.bed:1: .* looks like column names"),
    "fasta": (">chr1\nACGT\n", r"p\.bed:1: .*This looks like FASTA"),
    "empty": ("", r"p\.bed:1: expected text, got an empty file"),
    "comments": ("#a\ntrack x\n", r"p\.bed:1: expected at least one interval"),
    "nothing fits": ("chr1\t0\t2\n", r"g\.fa: expected windows without N, got none"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_PEAKS)
def test_bad_peaks_are_refused_with_their_line(peaks, kind):
    content, message = BAD_PEAKS[kind]
    peaks[0]["peaks"].write_text(content)
    with pytest.raises(UserError, match=message):
        load_dataset("custom", **peaks[0])


def test_nothing_is_left_behind_by_a_refused_dataset(two, tmp_path):
    two["negatives"].write_text(">a\nACGU\n")
    with pytest.raises(UserError):
        load_dataset("custom", **two)
    assert [p.suffix for p in (tmp_path / "home" / "datasets").iterdir()] == [".lock"]


def test_on_real_peaks_and_sequence(shared_data):
    peaks = (
        shared_data
        / "encode_tf_gm12878"
        / "wgEncodeAwgTfbsHaibGm12878Yy1sc281Pcr1xUniPk.narrowPeak.gz"
    )
    genome = shared_data / "hg19" / "chr20.fa.gz"
    options = {"peaks": peaks, "genome": genome, "task_names": ("YY1",)}
    with pytest.raises(UserError, match=r"named chr20, got chr\d+, .* in 30,085 of 30,994"):
        load_dataset("custom", **options)
    dataset = load_dataset("custom", partial_genome=True, **options)
    assert dataset.dropped["positive: on a chromosome that the genome lacks"] == 30085
    kept = sum(getattr(dataset, split).positives[0] for split in SPLITS)
    assert kept + dataset.dropped.get("positive: across two splits", 0) == 909
    codes, labels = (
        np.concatenate([getattr(getattr(dataset, split), part) for split in SPLITS])
        for part in ("codes", "labels")
    )
    motif = encode(["AAGATGGCGGC"])[0]  # YY1's, as published
    windows = np.lib.stride_tricks.sliding_window_view(codes[:, 400:600], 11, axis=1)
    near = [(windows == m).sum(axis=2).max(axis=1) >= 9 for m in (motif, 3 - motif[::-1])]
    bound = labels[:, 0] == 1
    found = near[0] | near[1]
    table = [[found[rows].sum(), (~found[rows]).sum()] for rows in (bound, ~bound)]
    assert fisher_exact(table, alternative="greater").pvalue < 1e-12
