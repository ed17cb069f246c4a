"""Intervals: reading BED and narrowPeak, every kind of bad file, arithmetic against brute force."""

import gzip
import re

import bioframe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfc_lib.errors import UserError
from sfc_lib.genomics.intervals import (
    canonical_name,
    covered_fraction,
    merge,
    overlaps,
    pad,
    read_columns,
    read_intervals,
    resize,
    tile,
    within,
)

CTCF = "encode_tf_gm12878/wgEncodeAwgTfbsBroadGm12878CtcfUniPk.narrowPeak.gz"
DNASE = "encode_dnase/wgEncodeAwgDnaseUwdukeGm12878UniPk.narrowPeak.gz"
HEME = "hematopoiesis_atac/hemePeaks.bed.gz"
FILE_NAME = "peaks.bed"
GOOD = "chr1\t10\t20\nchr2\t0\t5\n"
PEAK = "chr1\t10\t20\tp\t0\t.\t1.5\t-1\t-1\t{}\n"
SIZE = 30  # bp of a toy chromosome


def frame(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def rows(intervals):
    return intervals[["chrom", "start", "end"]].to_numpy(dtype=object).tolist()


# Reading


def test_three_columns(written):
    found = read_intervals(str(written(GOOD)))
    assert rows(found) == [["chr1", 10, 20], ["chr2", 0, 5]]
    assert found.dtypes["start"] == found.dtypes["end"] == np.int64
    assert list(found) == ["chrom", "start", "end"]


def test_index_is_the_line_in_the_file(written):
    text = f"# made by hand\ntrack name=x\nbrowser position chr1\n\n{GOOD}"
    assert read_intervals(written(text)).index.tolist() == [5, 6]


def test_summit_is_start_plus_column_ten(written):
    found = read_intervals(written(PEAK.format(7)), summits=True)
    assert (found["summit"].tolist(), found["name"].tolist()) == ([17], ["p"])
    assert found["summit"].dtype == np.int64


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        GOOD.rstrip(),
        GOOD + "\n\n",
        "#chrom\tstart\tend\n" + GOOD,
        "track type=narrowPeak\n" + GOOD,
        "track\n" + GOOD,
        GOOD.replace("chr1", "1").replace("chr2", "NC_000002.11"),
        gzip.compress(GOOD.encode()),
        gzip.compress(GOOD[:12].encode()) + gzip.compress(GOOD[12:].encode()),
        GOOD.replace("\t", " "),
        GOOD.replace("\t", "  ").replace("chr1", " chr1"),
        GOOD.replace("\n", " \n"),
        "browser position chr1:1-2\n" + GOOD,
    ],
    ids=["crlf", "cr", "bom", "no-end", "blank", "comment", "track", "track-only", "names", "gzip",
         "blocks", "spaces", "more spaces", "space at the end", "browser"],
)  # fmt: skip
def test_accepted_as_documented(written, content):
    assert rows(read_intervals(written(content))) == [["chr1", 10, 20], ["chr2", 0, 5]]


def test_gzip_is_known_by_its_content_not_its_name(written):
    assert len(read_intervals(written(gzip.compress(GOOD.encode()), "peaks.txt"))) == 2
    assert len(read_intervals(written(GOOD, "peaks.bed.gz"))) == 2


@pytest.mark.parametrize("columns", range(3, 13))
def test_three_to_twelve_columns(written, columns):
    line = "\t".join(["chr1", "1", "2", *["."] * 9][:columns])
    found = read_intervals(written(line))
    assert rows(found) == [["chr1", 1, 2]]
    assert ("name" in found) == (columns > 3)


def test_all_columns_as_text(written):
    text = "# a\n1 5\t6\n".replace(" ", "\t") + "chr2\t7\t 8 \n"
    found = read_columns(written(text))
    assert found.index.tolist() == [2, 3]
    assert found.to_dict("list") == {1: ["1", "chr2"], 2: ["5", "7"], 3: ["6", "8"]}


BAD = {
    "missing column": ("chr1\t5\n", 1, "expected 3 to 12 tab-separated columns, got 2"),
    "one column short": (GOOD + "chr1\t5\n", 3, "expected 3 tab-separated columns as in line 1"),
    "one column more": (GOOD + "chr1\t5\t6\t7\n", 3, "columns as in line 1, got 4"),
    "too many columns": ("chr1\t1\t2" + "\t." * 10, 1, "expected 3 to 12 tab-sep.*got 13"),
    "no integer": ("chr1\tx\t20\n", 1, "expected a start that is an integer >= 0, got 'x'"),
    "float": ("chr1\t1.0\t20\n", 1, "expected a start that is .*'1.0'. Positions are whole"),
    "floats": ("chr1\t900.0\t1150.0\n", 1, "a start .*'900.0'. Positions are whole numbers: w"),
    "exponent": ("chr1\t10\t1e5\n", 1, "an end that is .* got '1e5'. Positions are whole"),
    "exponents": ("chr1\t1e+05\t2e+05\n", 1, "a start .* got '1e.05'. Positions are whole"),
    "underscore": ("chr1\t1_0\t20\n", 1, "got '1_0'"),
    "thousands": ("chr1\t1\t2,000\n", 1, "got '2,000'. Write 1000000 for 1,000,000"),
    "empty field": (GOOD + "chr1\t\t20\n", 3, "expected a start .* got ''"),
    "negative": (GOOD + "chr1\t-5\t20\n", 3, "got '-5'. Positions count from the first base"),
    "too large": ("chr1\t1\t9999999999999999999999\n", 1, "expected an end that is an integer"),
    "start = end": (GOOD + "chr1\t7\t7\n", 3, r"expected start < end, got 7 and 7\. .*0-based"),
    "start > end": ("chr1\t9\t7\n", 1, "expected start < end, got 9 and 7"),
    "tabs and spaces": ("chr1 10\t20\n", 1, "got 2. The columns are separated by spaces"),
    "commas": ("chr1,10,20\n", 1, "separated by commas"),
    "semicolons": ("chr1;10;20\n", 1, "separated by semicolons"),
    "blank in name": ("chr 1\t10\t20\n", 1, "name without blanks, got 'chr 1'"),
    "no chromosome": (GOOD + "\t10\t20\n", 3, "name without blanks, got ''"),
    "header": ("chrom\tstart\tend\n" + GOOD, 1, "looks like column names.*take the line out"),
    "positions": ("chr1:100-200\n", 1, "looks like chr1:100-200, which counts from 1"),
    "positions, commas": ("chr1:1,100-1,200\n", 1, "looks like chr1:100-200"),
    "gtf": ('chr1\tHAVANA\tgene\t11869\t14409\t.\t+\t.\tgene_id "x"\n', 1, "GFF or GTF"),
    "gff": ("##gff-version 3\nchr1\t.\tgene\t11\t14\t.\t+\t.\tID=x\n", 2, "counts from 1"),
    "vcf": ("##fileformat=VCFv4\nchr1\t100\trs1\tA\tC\t.\t.\t.\n", 2, "looks like VCF"),
    "interval list": ("@SQ\tSN:chr1\tLN:100\nchr1\t1\t10\t+\tx\n", 2, "interval_list"),
    "fasta": (">chr1\nACGT\n", 1, "looks like FASTA, not BED"),
    "empty": ("", 1, "expected text, got an empty file"),
    "only comments": ("# none\ntrack x\n\n", 1, "expected at least one interval, got none"),
    "binary": (GOOD.encode() + b"\0\1\2\n", 3, "expected text, got the byte 0x00"),
    "no utf-8": (GOOD.encode() + b"chr\xff\t1\t2\n", 3, "got the byte 0xff"),
    "utf-16": (GOOD.encode("utf-16"), 1, "This is UTF-16 text, save it as UTF-8"),
    "excel": (b"PK\3\4\0\0\xff", 1, "Excel workbook"),
    "bam": (gzip.compress(b"BAM\1\xff\0"), 1, "This is a BAM file"),
    "cut gzip": (gzip.compress((GOOD * 999).encode())[:-9], None, "whole gzip file, got one"),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-8] + b"\0" * 8, None, "whole gzip file"),
    "no gzip body": (b"\x1f\x8b\x08garbage!!!!", 1, "whole gzip file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused_with_file_and_line(written, case):
    content, line, message = BAD[case]
    path = written(content)
    with pytest.raises(UserError, match=message) as caught:
        read_intervals(path)
    assert re.match(rf"{re.escape(str(path))}:{line or '[0-9]+'}: expected ", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD, r":1: expected 10 tab-separated columns \(narrowPeak, with summits\), got 3"),
        (PEAK.format(-1), ":1: expected a summit in column 10 that is an integer >= 0, got '-1'"),
        (PEAK.format(3) + PEAK.format("."), r":2: expected a summit in column 10 .* got '\.'"),
        ("chr1\t1\t2" + "\t." * 9, "expected 10 tab-separated columns .* got 12"),
    ],
)
def test_summits_are_needed_where_asked_for(written, text, message):
    with pytest.raises(UserError, match=message):
        read_intervals(written(text), summits=True)


@pytest.mark.parametrize("name", ["nowhere.bed", "."])
def test_no_file_is_one_clear_error(tmp_path, name):
    with pytest.raises(UserError, match=r"expected a readable file, got: (No such|Is a dir)"):
        read_intervals(tmp_path / name)


@given(st.binary(max_size=60) | st.text("chr1\t \n-,.#>0123456789", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x.bed"
    path.write_bytes(content)
    try:
        found = read_intervals(path)
    except UserError as error:
        refused = str(error)
    else:
        refused = f"{path}:"
        assert (found["start"] < found["end"]).all()
        assert (found["start"] >= 0).all()
    assert refused.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("chr20", "chr20"), ("20", "chr20"), ("X", "chrX"), ("Y", "chrY"), ("99", "chr99"),
        ("NC_000001.10", "chr1"), ("NC_000023.10", "chrX"), ("NC_000024.9", "chrY"),
        ("NC_000020.11", "NC_000020.11"), ("MT", "MT"), ("0", "0"), ("2L", "2L"), ("", ""),
    ],
)  # fmt: skip
def test_canonical_names(name, canonical):
    assert canonical_name(name) == canonical


@pytest.mark.parametrize(
    ("file", "records", "summits"),
    [(CTCF, 44_982, True), (DNASE, 183_953, False), (HEME, 451_283, False)],
)
def test_real_files(shared_data, file, records, summits):
    found = read_intervals(shared_data / file, summits=summits)
    assert len(found) == records
    plain = pd.read_csv(shared_data / file, sep="\t", header=None)
    assert np.array_equal(found["start"], plain[1])
    assert np.array_equal(found["end"], plain[2])
    if summits:
        assert np.array_equal(found["summit"], plain[1] + plain[9])


# Arithmetic

CHROMS = st.sampled_from(["chr2", "chr1", "chr10"])
INTERVALS = st.lists(
    st.tuples(CHROMS, st.integers(0, SIZE - 1), st.integers(1, 9))
    .map(lambda row: (row[0], row[1], row[1] + row[2])),
    max_size=12,
).map(lambda found: frame(*found).astype({"start": np.int64, "end": np.int64}))  # fmt: skip


def bases(intervals):
    """All bases of intervals as a set of (chromosome, position)."""
    return {
        (row.chrom, base) for row in intervals.itertuples() for base in range(row.start, row.end)
    }


@given(INTERVALS, INTERVALS)
def test_overlap_coverage_and_containment_against_sets_of_bases(a, b):
    union = bases(b)
    shared = [len(bases(a.iloc[[row]]) & union) for row in range(len(a))]
    size = (a["end"] - a["start"]).to_numpy()
    assert overlaps(a, b).tolist() == [bp > 0 for bp in shared]
    assert within(a, b).tolist() == [bp == whole for bp, whole in zip(shared, size, strict=True)]
    np.testing.assert_array_equal(covered_fraction(a, b), np.array(shared) / size)


@given(INTERVALS)
def test_merge_is_the_union_disjoint_and_sorted(a):
    merged = merge(a)
    assert bases(merged) == bases(a)
    for chrom, part in merged.groupby("chrom"):
        assert (part["start"].to_numpy()[1:] > part["end"].to_numpy()[:-1]).all(), chrom
    assert rows(merged) == sorted(rows(merged))
    assert rows(merge(merged)) == rows(merged)


@given(INTERVALS, st.integers(1, 6), st.integers(1, 6))
def test_tiles_are_all_whole_windows_on_the_grid(a, width, stride):
    expected = [
        [row.chrom, start, start + width]
        for row in a.itertuples()
        for start in range(row.start, row.end - width + 1, stride)
    ]
    assert rows(tile(a, width, stride)) == expected


def test_tiles_keep_the_other_columns():
    a = frame(("chr1", 0, 4), ("chr1", 9, 10), ("chr2", 5, 8)).assign(name=["a", "b", "c"])
    assert tile(a, 2, 1)["name"].tolist() == ["a"] * 3 + ["c"] * 2


def test_intervals_at_touching_ends_do_not_overlap_but_merge():
    left, right = frame(("chr1", 0, 5)), frame(("chr1", 5, 9))
    assert not overlaps(left, right)[0]
    assert rows(merge(pd.concat([right, left]))) == [["chr1", 0, 9]]


def test_the_end_of_one_chromosome_is_not_the_start_of_the_next():
    a, b = frame(("chr1", 90, 100)), frame(("chr2", 0, 10))
    assert not overlaps(a, b)[0]
    assert rows(merge(pd.concat([a, b]))) == [["chr1", 90, 100], ["chr2", 0, 10]]


def test_windows_before_the_start_of_a_chromosome_stay_on_it():
    a, b = frame(("chr2", -8, 2)), frame(("chr1", 0, 1000), ("chr2", 0, 5))
    assert covered_fraction(a, b).tolist() == [0.2]
    assert not within(a, b)[0]


def test_within_counts_touching_regions_as_one():
    regions = frame(("chrX", 0, 40), ("chrX", 40, 70))
    a = frame(("chrX", 35, 45), ("chrX", 65, 71))
    assert within(a, regions).tolist() == [True, False]


def test_pad_stops_at_zero():
    assert rows(pad(frame(("chr1", 30, 40), ("chr1", 900, 950)), 100)) == [
        ["chr1", 0, 140],
        ["chr1", 800, 1050],
    ]


def test_resize_around_the_middle_or_a_summit():
    a = frame(("chr1", 100, 151)).assign(summit=[110])
    assert rows(resize(a, 10)) == [["chr1", 120, 130]]
    assert rows(resize(a, 5)) == [["chr1", 123, 128]]
    assert rows(resize(a, 1000, a["summit"])) == [["chr1", -390, 610]]


@given(INTERVALS, st.integers(1, 40))
def test_resized_windows_have_the_width_and_the_centre(a, width):
    windows = resize(a, width)
    assert (windows["end"] - windows["start"] == width).all()
    assert (windows["start"] + width // 2 == (a["start"] + a["end"]) // 2).all()


def test_nothing_is_changed_in_place():
    a = frame(("chr2", 5, 9), ("chr1", 0, 4))
    before = a.copy()
    for function in (merge, lambda x: pad(x, 3), lambda x: resize(x, 2), lambda x: tile(x, 2, 2)):
        function(a)
    overlaps(a, a)
    pd.testing.assert_frame_equal(a, before)


def test_no_intervals():
    none, some = frame().astype({"start": np.int64, "end": np.int64}), frame(("chr1", 0, 9))
    assert len(merge(none)) == len(tile(none, 2, 1)) == len(resize(none, 5)) == 0
    assert overlaps(some, none).tolist() == [False]
    assert overlaps(none, some).shape == covered_fraction(none, some).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: tile(a, 0, 1), "tile: width and stride must be >= 1, got 0 and 1"),
        (lambda a: tile(a, 5, 0), "got 5 and 0"),
        (lambda a: pad(a, -1), "pad: bp must be >= 0, got -1"),
        (lambda a: resize(a, 0), "resize: width must be >= 1, got 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(frame(("chr1", 0, 9)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas, at bioframe's own code
def test_bioframe_agrees_on_real_peaks(shared_data):
    peaks = read_intervals(shared_data / CTCF).reset_index(drop=True)
    dnase = read_intervals(shared_data / DNASE).reset_index(drop=True)
    union = bioframe.merge(dnase, min_dist=0)
    assert rows(merge(dnase)) == rows(union)
    covered = bioframe.coverage(peaks, union)["coverage"].to_numpy()
    size = (peaks["end"] - peaks["start"]).to_numpy()
    np.testing.assert_array_equal(covered_fraction(peaks, dnase), covered / size)
    assert np.array_equal(overlaps(peaks, dnase), covered > 0)
