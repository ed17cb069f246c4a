"""Genome: windows against plain strings, names, checks of a user's intervals, hg19's regions."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode
from sfc_lib.genomics.genome import (
    REGIONS,
    Genome,
    Region,
    files_of,
    load_genome,
    regions_of,
    split_of,
)
from sfc_lib.genomics.intervals import read_intervals, resize
from sfc_lib.genomics.sources import fetch, registry

CTCF = "encode_tf_gm12878/wgEncodeAwgTfbsBroadGm12878CtcfUniPk.narrowPeak.gz"
# Of DATA.md and the authors' archive: MD5 of the upper-case sequence
SPANS = {
    ("chr20", 0, 63_025_520): "0dec9660ec1efaaf33281c0d5ea2560f",
    ("chrX", 0, 69_999_930): "bdf3143e0e1b4b9de64dc022c40559bf",
    ("chr1", 0, 9_876_492): "b6261ddb47dd9c8fc7e7daa8eb8a6c9e",
    ("chr22", 0, 22_000_000): "1dd835907b31b36f20839239e9c14e5c",
}
HALVES = {
    ("chrX", 0, 40_000_000): "95e21c09781307af28ce618eb665a58e",
    ("chrX", 40_000_000, 69_999_930): "bda2c616eaebd0297f8e017a46f852dd",
}
M5 = {
    "chr1": "1b22b98cdeb4a9304cb5d48026a85128",
    "chr2": "a0d9851da00400dec1098a9255ac712e",
    "chr10": "988c28e000e84c26d552359af1ea2e1d",
    "chr20": "0dec9660ec1efaaf33281c0d5ea2560f",
    "chrY": "1e86411d73e6f00a10590f976be01623",
}
ONE = "ACGTNACGTTTGACCANNGT"
TWO = "GGGGGCCCCCAAAAATTTTT"


def frame(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def fasta(path, **sequences):
    """A FASTA file with lines of 7 letters."""
    lines = []
    for name, sequence in sequences.items():
        lines += [f">{name}", *(sequence[at : at + 7] for at in range(0, len(sequence), 7))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def toy(tmp_path):
    return Genome(fasta(tmp_path / "toy.fa", chr1=ONE, chr2=TWO))


def test_codes_and_lengths(toy):
    assert toy.chroms == ["chr1", "chr2"]
    assert (toy.length("chr1"), toy.length("2")) == (20, 20)
    codes = toy.codes("chr1", 3, 9)
    assert (codes.dtype, decode(codes[None])) == (np.uint8, ["TNACGT"])
    assert toy.codes("chr1", 5, 5).shape == (0,)


@pytest.mark.parametrize("name", ["chr20", "20", "NC_000020.10"])
@pytest.mark.parametrize("asked", ["chr20", "20", "NC_000020.10"])
def test_three_names_of_one_chromosome(tmp_path, name, asked):
    genome = Genome(fasta(tmp_path / "x.fa", **{name: ONE}))
    assert genome.chroms == ["chr20"]
    assert decode(genome.codes(asked, 0, 4)[None]) == ["ACGT"]
    assert genome.windows(frame((asked, 0, 4)))[1].tolist() == [True]


def test_several_files_are_one_genome(tmp_path):
    first = fasta(tmp_path / "1.fa", chr1=ONE)
    second = tmp_path / "2.fa.gz"
    second.write_bytes(gzip.compress(fasta(tmp_path / "2.fa", chr2=TWO).read_bytes()))
    genome = Genome([first, second])
    assert decode(genome.windows(frame(("chr2", 0, 5), ("chr1", 0, 4 + 1))[:1])[0]) == ["GGGGG"]
    assert decode(genome.codes("chr1", 0, 4)[None]) == ["ACGT"]


def test_the_same_chromosome_twice_is_refused(tmp_path):
    path = fasta(tmp_path / "x.fa", chr20=ONE, **{"20": TWO})
    with pytest.raises(UserError, match=r"x\.fa: expected each chromosome once, got '20' again"):
        Genome(path).chroms  # noqa: B018


def test_a_file_that_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(UserError, match=r"none\.fa: expected a readable file, got: No such file"):
        Genome([fasta(tmp_path / "x.fa", chr1=ONE), tmp_path / "none.fa"])


def test_files_are_read_when_they_are_first_asked(tmp_path):
    path = fasta(tmp_path / "x.fa", chr1=ONE)
    genome = Genome(path)
    fasta(path, chr7=TWO)
    assert genome.chroms == ["chr7"]


def test_lower_case_counts_as_upper(tmp_path):
    genome = Genome(fasta(tmp_path / "x.fa", chr1=ONE.lower()))
    assert decode(genome.codes("chr1", 0, 20)[None]) == [ONE]


@pytest.mark.parametrize("span", [(-1, 5), (5, 21), (7, 3), (30, 40)])
def test_positions_beyond_the_ends_are_refused(toy, span):
    with pytest.raises(UserError, match=r"chr1:.*: expected 0 <= start <= end <= 20 \(0-based"):
        toy.codes("chr1", *span)


@pytest.mark.parametrize(
    "call",
    [
        lambda genome: genome.length("chr7"),
        lambda genome: genome.codes("chr7", 0, 1),
        lambda genome: genome.windows(frame(("chr7", 0, 1))),
    ],
)
def test_an_unknown_chromosome_is_named_with_the_known_ones(toy, call):
    with pytest.raises(UserError, match="'chr7': expected one of chr1, chr2"):
        call(toy)


@given(
    st.lists(st.tuples(st.sampled_from(["chr1", "2"]), st.integers(-3, 22)), max_size=20),
    st.integers(1, 8),
)
def test_windows_against_plain_slices(tmp_path_factory, starts, width):
    toy = Genome(fasta(tmp_path_factory.mktemp("toy") / "toy.fa", chr1=ONE, chr2=TWO))
    windows = frame(*((chrom, start, start + width) for chrom, start in starts))
    windows = windows.astype({"start": np.int64, "end": np.int64})
    codes, keep, dropped = toy.windows(windows)
    text = {"chr1": ONE, "2": TWO}
    inside = [start >= 0 and start + width <= 20 for _, start in starts]
    expected = [text[chrom][max(start, 0) : max(start + width, 0)] for chrom, start in starts]
    fine = [ok and "N" not in sequence for ok, sequence in zip(inside, expected, strict=True)]
    assert keep.tolist() == fine
    assert codes.dtype == np.uint8
    assert decode(codes) == [s for s, ok in zip(expected, fine, strict=True) if ok]
    beyond = inside.count(False)
    holding_n = len(starts) - beyond - sum(fine)
    assert dropped == {"beyond the sequence": beyond, "N in the window": holding_n}


def test_windows_of_several_widths_are_refused(toy):
    with pytest.raises(ValueError, match=r"windows: expected one width >= 1, got \[4, 5\]"):
        toy.windows(frame(("chr1", 0, 4), ("chr1", 0, 5)))


def test_only_what_lies_in_the_regions_is_given_out(tmp_path):
    path = fasta(tmp_path / "x.fa", chr1=ONE, chr2=TWO)
    genome = Genome(path, [Region("chr1", 0, 10, "train")])
    assert (genome.chroms, genome.length("chr1")) == (["chr1"], 10)
    _, keep, dropped = genome.windows(frame(("chr1", 6, 10), ("chr1", 7, 11), ("chr2", 0, 4)))
    assert keep.tolist() == [True, False, False]
    assert dropped["beyond the sequence"] == 2
    with pytest.raises(UserError, match="<= 10"):
        genome.codes("chr1", 0, 11)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region("chr1", 0, 21, "train"), "expected chr1 with 21 bp or more, got 20 bp"),
        (Region("chr5", 0, 9, "train"), "expected chr5 with 9 bp or more, got 0 bp"),
    ],
)
def test_regions_that_the_files_do_not_hold_are_refused(tmp_path, region, message):
    with pytest.raises(UserError, match=message):
        Genome(fasta(tmp_path / "x.fa", chr1=ONE), [region]).chroms  # noqa: B018


# A user's intervals


def warned(genome, tmp_path, text):
    path = tmp_path / "peaks.bed"
    path.write_text(text)
    genome.warn_of_n(read_intervals(path), path)


def test_intervals_of_the_genome_pass(toy, tmp_path):
    warned(toy, tmp_path, "chr1\t0\t20\n2\t3\t9\n")


def test_intervals_on_n_warn_of_another_assembly(toy, tmp_path):
    with pytest.warns(UserWarning, match="2 of 3 intervals have N in their middle. Are they of an"):
        warned(toy, tmp_path, "chr1\t3\t6\nchr1\t15\t18\nchr2\t0\t9\n")


def test_hg38_peaks_on_hg19_are_found_out(shared_data, tmp_path):
    genome = Genome(shared_data / "hg19/chr22_0-22000000.fa.gz")
    with pytest.warns(UserWarning, match="2 of 2 intervals have N in their middle"):
        warned(genome, tmp_path, "chr22\t10600000\t10600500\nchr22\t11000000\t11000500\n")


# hg19


def test_regions_of_the_subset_are_those_of_the_registry():
    spans = {}
    for region in REGIONS["hg19-subset"]:
        start, end = spans.get(region.chrom, (region.start, region.start))
        assert end == region.start, "regions of a chromosome follow each other"
        spans[region.chrom] = start, region.end
    registered = {registry()[name].region for name in files_of("hg19-subset")}
    assert registered == {f"{chrom}:{start}-{end}" for chrom, (start, end) in spans.items()}
    assert set(SPANS) == {(chrom, *span) for chrom, span in spans.items()}


def test_full_regions_are_the_papers():
    regions = regions_of("full")
    assert len(regions) == len(files_of("full")) == 24
    splits = {region.chrom: region.split for region in regions}
    assert [chrom for chrom, split in splits.items() if split == "valid"] == ["chr1"]
    assert [chrom for chrom, split in splits.items() if split == "test"] == ["chr2"]
    md5 = {name.split("/")[-1][:-6]: registry()[name].md5_of_region for name in files_of("full")}
    assert {chrom: md5[chrom] for chrom in M5} == M5
    assert sum(region.end for region in regions) == 3_095_677_412


def test_regions_have_the_published_md5(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    genome, letters = load_genome("hg19-subset"), np.frombuffer(b"ACGTN", dtype=np.uint8)
    for (chrom, start, end), md5 in (SPANS | HALVES).items():
        digest = hashlib.md5()
        for at in range(start, end, 1 << 24):
            digest.update(letters[genome.codes(chrom, at, min(at + (1 << 24), end))])
        assert digest.hexdigest() == md5
    assert {(r.chrom, r.start, r.end) for r in REGIONS["hg19-subset"]} >= set(HALVES)
    assert decode(genome.codes("chr20", 60_000, 60_010)[None]) == ["GATCCAGAGG"]
    assert (genome.codes("chr1", 0, 10_000) == 4).all()


def test_split_of_windows_at_the_borders():
    windows = frame(
        ("chr20", 0, 9), ("20", 63_025_511, 63_025_520), ("chr20", 63_025_512, 63_025_521),
        ("chrX", 39_999_991, 40_000_000), ("chrX", 39_999_992, 40_000_001),
        ("chrX", 40_000_000, 40_000_009), ("chr1", 9_876_483, 9_876_492), ("chr1", -1, 8),
        ("chr22", 5, 14), ("chr3", 0, 9),
    )  # fmt: skip
    expected = ["train", "train", "", "train", "", "valid", "valid", "", "test", ""]
    assert split_of(windows, "hg19-subset").tolist() == expected
    assert split_of(windows, "full")[[0, 6, 8, 9]].tolist() == ["train", "valid", "train", "train"]


def test_real_windows_against_the_file_itself(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    genome = load_genome("hg19-subset")
    peaks = read_intervals(fetch(CTCF), summits=True)
    windows = resize(peaks, 1000, peaks["summit"])
    codes, keep, dropped = genome.windows(windows)
    assert (int(keep.sum()), sum(dropped.values())) == (2365, 44_982 - 2365)
    with gzip.open(shared_data / "hg19/chr1_0-9876492.fa.gz", "rt") as file:
        text = "".join(line.strip() for line in list(file)[1:])
    on_one = (windows["chrom"] == "chr1").to_numpy()[keep]
    starts = windows["start"].to_numpy()[keep][on_one]
    assert len(starts) == 267
    assert decode(codes[on_one]) == [text[start : start + 1000] for start in starts]


@pytest.mark.parametrize("call", [load_genome, regions_of, files_of])
def test_unknown_regions(call):
    with pytest.raises(ValueError, match=r"one of \['full', 'hg19-subset'\], got 'hg38'"):
        call("hg38")


def test_a_chromosome_goes_by_the_name_it_has_here(tmp_path):
    (tmp_path / "g.fa").write_text(">1\nA\n>II\nA\n>chrM\nA\n>NC_000020.10\nA\n")
    genome = Genome(tmp_path / "g.fa")
    names = {"1": "chr1", "chr1": "chr1", "II": "II", "chrII": "II", "M": "chrM", "20": "chr20",
             "NC_000020.10": "chr20", "chrIV": "chrIV"}  # fmt: skip
    assert {name: genome.own_name(name) for name in names} == names
