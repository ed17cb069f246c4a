"""Files as they come: each odd one is read as meant, or refused in one line that says what to do.

Every peak has its summit 25 bp from its start, give or take what makes them differ, and the
motif there, so that a window in the wrong place is seen by what it lacks.
"""

import gzip
import re
import warnings

import numpy as np
import pytest

from sfc_lib import load_dataset
from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode

MOTIF = "TGATAAGG"
SIZE, WINDOW, EACH = 6000, 40, 30  # bp of a chromosome, of a window; peaks on each chromosome
CHROMS = ("chr1", "chr2", "chr3")
SPLITS = ("train", "valid", "test")


def peak(chrom, number):
    """Start, end and summit's distance of a peak."""
    start = 100 + 190 * number
    return start, start + 100 + number, 20 + (7 * number + len(chrom)) % 11


def genome(names=CHROMS, size=SIZE):
    found = []
    for seed, (chrom, name) in enumerate(zip(CHROMS, names, strict=True)):
        letters = np.random.default_rng(seed).choice(list("ACGT"), SIZE)
        for number in range(EACH):
            start, _, offset = peak(chrom, number)
            letters[start + offset - 4 : start + offset + 4] = list(MOTIF)
        found.append(f">{name}\n{''.join(letters[:size])}\n")
    return "".join(found)


def narrowpeak(tenth=lambda start, end, offset: offset, chroms=CHROMS):
    lines = []
    for chrom, name in zip(CHROMS, chroms, strict=True):
        for number in range(EACH):
            start, end, offset = peak(chrom, number)
            last = tenth(start, end, offset)
            lines.append(f"{name}\t{start}\t{end}\tp{number}\t9\t.\t5.1\t-1\t4.2\t{last}\n")
    return "".join(lines)


def bed(*columns, sep="\t", end="\n"):
    """Intervals of 40 bp with the motif in the middle, as the columns that functions give."""
    chosen = columns or (lambda c, s, e: c, lambda c, s, e: s, lambda c, s, e: e)
    places = [(chrom, sum(peak(chrom, n)[::2])) for chrom in CHROMS for n in range(EACH)]
    rows = [[str(f(chrom, mid - 20, mid + 20)) for f in chosen] for chrom, mid in places]
    return "".join(sep.join(row) + end for row in rows)


NARROW, BED, GENOME, ALL = narrowpeak(), bed(), genome(), len(CHROMS) * EACH
FIRST, REST = NARROW.split("\n", 1)


def without_summits(count):
    """The file with −1 in the first lines."""
    lines = NARROW.splitlines()
    return "".join(
        (line.rpartition("\t")[0] + "\t-1" if n < count else line) + "\n"
        for n, line in enumerate(lines)
    )


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def of_peaks(tmp_path, peaks, reference=GENOME, **options):
    """The dataset of peaks, and the warnings on the way."""
    files = {"peaks": put(tmp_path / "p.bed", peaks), "genome": put(tmp_path / "g.fa", reference)}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        background = None if "negatives" in options else "shuffled"
        dataset = load_dataset("custom", **files, window=WINDOW, background=background, **options)
    return dataset, "\n".join(str(warning.message) for warning in seen)


def positives(dataset):
    parts = [getattr(dataset, split) for split in SPLITS]
    return [row for part in parts for row in decode(part.codes[part.labels[:, 0] == 1])]


def refused(message, call, *arguments, **options):
    """Make sure that a call ends in one line that matches."""
    with pytest.raises(UserError) as error:
        call(*arguments, **options)
    assert re.search(message, str(error.value)), error.value
    assert "\n" not in str(error.value)


# Peaks that are read as meant: every window has the motif in its middle.

READ = {
    "narrowPeak": NARROW,
    "BED": BED,
    "BED of six columns": bed(
        lambda c, s, e: c, lambda c, s, e: s, lambda c, s, e: e, *[lambda c, s, e: "."] * 3
    ),
    "a tab at the end of each line": NARROW.replace("\n", "\t\n"),
    "an eleventh column": NARROW.replace("\n", "\t3\n"),
    "BED of twelve columns": bed(
        lambda c, s, e: c,
        lambda c, s, e: s,
        lambda c, s, e: e,
        lambda c, s, e: ".",
        lambda c, s, e: 0,
        lambda c, s, e: ".",
        lambda c, s, e: s,
        lambda c, s, e: e,
        lambda c, s, e: 0,
        lambda c, s, e: 2,
        lambda c, s, e: "9,9,",
        lambda c, s, e: f"0,{e - s - 9},",
    ),
    "line ends of Windows": NARROW.replace("\n", "\r\n"),
    "line ends of old Macs": NARROW.replace("\n", "\r"),
    "BOM": "\ufeff" + NARROW,
    "no end of the last line": NARROW.rstrip("\n"),
    "blank lines": NARROW.replace("\n", "\n\n"),
    "comments": "#chrom\tstart\n" + FIRST + "\n# more\n" + REST,
    "track": 'track type=narrowPeak name="a b"\n' + NARROW,
    "browser": "browser position chr1:1-100\nbrowser hide all\n" + NARROW,
    "spaces for tabs": NARROW.replace("\t", " "),
    "several spaces": BED.replace("\t", "    "),
    "spaces at line ends": BED.replace("\n", "  \n"),
    "spaces around positions": BED.replace("\t", "\t "),
    "tabs at line ends": BED.replace("\n", "\t\n"),
    "gzip": gzip.compress(NARROW.encode()),
    "gzip of several members": b"".join(
        gzip.compress(NARROW[i : i + 999].encode()) for i in range(0, len(NARROW), 999)
    ),
    "names without chr": NARROW.replace("chr", ""),
    "RefSeq names": bed(
        lambda c, s, e: {"chr1": "NC_000001.10", "chr2": "NC_000002.11"}.get(c, "NC_000003.11"),
        lambda c, s, e: s,
        lambda c, s, e: e,
    ),
    "NA in a column of numbers": NARROW.replace("4.2", "NA"),
    "a dot in a column of numbers": NARROW.replace("4.2", "."),
    "infinite significance": NARROW.replace("4.2", "inf"),
    "in another order": "\n".join(NARROW.splitlines()[::-1]),
}


@pytest.mark.parametrize("kind", READ)
def test_peaks_that_are_read(tmp_path, kind):
    dataset, said = of_peaks(tmp_path, READ[kind])
    found = positives(dataset)
    assert len(found) == ALL
    assert {row[16:24] for row in found} == {MOTIF}
    assert (dataset.dropped, said) == ({}, "")


REFERENCES = {
    "lower case": GENOME.lower().replace(">CHR", ">chr"),
    "one line a base": re.sub("([ACGT])", r"\1\n", GENOME),
    "CRLF and BOM": "\ufeff" + GENOME.replace("\n", "\r\n"),
    "gzip of several members": gzip.compress(GENOME[:7000].encode())
    + gzip.compress(GENOME[7000:].encode()),
    "names without chr": GENOME.replace(">chr", ">"),
    "RefSeq names": genome(("NC_000001.10", "NC_000002.11", "NC_000003.11")),
    "descriptions": re.sub(r"(>chr\d)", r"\1 dna:chromosome REF", GENOME),
    "more chromosomes": GENOME + ">chrUn_1\nACGT\n",
    "blank lines": GENOME.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_genomes_that_are_read(tmp_path, kind):
    dataset, said = of_peaks(tmp_path, NARROW, REFERENCES[kind])
    assert {row[16:24] for row in positives(dataset)} == {MOTIF}
    assert (len(positives(dataset)), dataset.dropped, said) == (ALL, {}, "")


@pytest.mark.parametrize("count", [1, 5, ALL - 1, ALL])
def test_a_peak_without_summit_is_taken_by_its_middle_and_no_other(tmp_path, count):
    dataset, _ = of_peaks(tmp_path, without_summits(count))
    assert dataset.counts["peaks taken by their middle"] == count
    assert dataset.counts.get("peaks taken by their summit", 0) == ALL - count
    assert len(positives(dataset)) == ALL
    assert sum(row[16:24] == MOTIF for row in positives(dataset)) == ALL - count


def test_a_last_peak_without_summit(tmp_path):
    lines = NARROW.splitlines()
    text = "\n".join([*lines[:-1], lines[-1].rpartition("\t")[0] + "\t-1"])
    dataset, _ = of_peaks(tmp_path, text)
    assert dataset.counts["peaks taken by their summit"] == ALL - 1


def test_few_summits_outside_their_peaks_are_counted(tmp_path):
    many = "".join(
        f"{chrom}\t{s}\t{s + 90}\t.\t0\t.\t1\t-1\t-1\t{30 + s % 7}\n"
        for chrom in CHROMS
        for s in range(0, 2000, 20)
    )
    one = f"chr1\t300\t340\t.\t0\t.\t1\t-1\t-1\t{40}\n"
    dataset, _ = of_peaks(tmp_path, many + one)
    assert dataset.counts["peaks taken by their middle, their summit lies outside"] == 1
    middle = next(iter(genome().split("\n")[1:]))[300:340]
    assert middle in positives(dataset)


def test_peaks_of_one_length_may_have_their_summits_at_one_place(tmp_path):
    text = bed(
        lambda c, s, e: c, lambda c, s, e: s, lambda c, s, e: e,
        *[lambda c, s, e: "."] * 3, *[lambda c, s, e: 1] * 3, lambda c, s, e: 20,
    )  # fmt: skip
    dataset, _ = of_peaks(tmp_path, text)
    assert dataset.counts["peaks taken by their summit"] == ALL
    assert {row[16:24] for row in positives(dataset)} == {MOTIF}


# The tenth column of tools that are no peak callers

OVERLAP = {  # of `bedtools intersect -wo` and `closest -d`: columns of two files, and a number
    "six and three": (*(lambda c, s, e: ".",) * 3,
        lambda c, s, e: c, lambda c, s, e: s + 3, lambda c, s, e: e, lambda c, s, e: e - s - 3),
    "three and six": (lambda c, s, e: c, lambda c, s, e: s, lambda c, s, e: e,
        lambda c, s, e: "x", lambda c, s, e: 0, lambda c, s, e: "+", lambda c, s, e: 7),
}  # fmt: skip


@pytest.mark.parametrize("kind", OVERLAP)
def test_ten_columns_that_are_no_narrowpeak_go_by_the_middle_and_say_so(tmp_path, kind):
    text = bed(lambda c, s, e: c, lambda c, s, e: s, lambda c, s, e: e, *OVERLAP[kind])
    dataset, said = of_peaks(tmp_path, text)
    assert re.search(r"p\.bed:1: narrowPeak has a .* in column \d, this file of 10 .* no su", said)
    assert {row[16:24] for row in positives(dataset)} == {MOTIF}


NO_SUMMITS = {
    "positions on the chromosome": (
        lambda start, end, offset: start + offset,
        r"got \d+; 90 of 90 lie outside\. They look like positions on the chromosome: subtract",
    ),
    "lengths": (
        lambda start, end, offset: end - start,
        "They look like lengths, of an overlap perhaps. To take the middles of the peaks, give",
    ),
    "distances": (
        lambda start, end, offset: start % 977,
        "They look like distances to something else. To take the middles",
    ),
    "zeros": (lambda start, end, offset: 0, "got 0 in 90 of 90 lines. .*no value. To take the mid"),
    "mostly zeros": (
        lambda start, end, offset: 0 if start % 3 else offset,
        "got 0 in 60 of 90 lines. They look like distances to something that overlaps",
    ),
    "a constant": (lambda start, end, offset: 50, "got 50 in each of 90 lines, though the peaks"),
    "a fraction": (lambda start, end, offset: 0.5, "expected a summit in column 10, .* got '0.5'"),
    "below -1": (lambda start, end, offset: -2, "expected a summit in column 10, .* got '-2'"),
    "a letter": (lambda start, end, offset: "+", r"expected a summit .* got '\+'"),
}


@pytest.mark.parametrize("kind", NO_SUMMITS)
def test_a_tenth_column_that_is_no_summit(tmp_path, kind):
    tenth, message = NO_SUMMITS[kind]
    refused(r"p\.bed:\d+: .*" + message, of_peaks, tmp_path, narrowpeak(tenth))


# Chromosomes that do not fit


@pytest.mark.parametrize("over", [39, 99])
def test_a_peak_that_reaches_beyond_the_end_does_not_cost_the_others(tmp_path, over):
    last = f"chr3\t{SIZE - 200}\t{SIZE + over}\tedge\t9\t.\t3\t-1\t2\t60\n"
    dataset, said = of_peaks(tmp_path, NARROW + last)
    assert len(positives(dataset)) == ALL + 1
    assert "p.bed:91: 1 of 91 intervals reach beyond the end of their chromosome" in said


def test_few_peaks_that_lie_beyond_the_end_are_left_out_and_counted(tmp_path):
    many = "".join(f"{chrom}\t{s}\t{s + 90}\n" for chrom in CHROMS for s in range(100, 200))
    dataset, said = of_peaks(tmp_path, many + f"chr1\t{SIZE + 5}\t{SIZE + 90}\n")
    assert dataset.dropped["positive: beyond the sequence"] == 1
    assert "1 of 301 intervals reach beyond" in said


def test_a_genome_that_is_a_piece_is_named_and_taken_only_when_told(tmp_path):
    small = genome(size=3000)
    message = (
        r"p\.bed:17: expected end <= 3,000, .* 42 of 90 intervals lie beyond.*another assembly.*"
        r"\(chr1 to 3,000, chr2 to 3,000, chr3 to 3,000\), say so \(--partial-genome\)"
    )
    refused(message, of_peaks, tmp_path, NARROW, small)
    dataset, _ = of_peaks(tmp_path, NARROW, small, partial_genome=True)
    assert len(positives(dataset)) == 48
    assert dataset.dropped["positive: beyond the sequence"] == 42
    assert {row[16:24] for row in positives(dataset)} == {MOTIF}


def test_a_genome_of_other_chromosomes_is_taken_only_when_told(tmp_path):
    two = GENOME[: GENOME.index(">chr3")]
    refused(
        r"p\.bed:61: .* named chr1, chr2, got chr3 in 30 of 90", of_peaks, tmp_path, NARROW, two
    )
    dataset, _ = of_peaks(tmp_path, NARROW, two, partial_genome=True)
    assert dataset.dropped["positive: on a chromosome that the genome lacks"] == EACH
    none = ">chr9\nACGTACGTACGT\n"
    refused("90 of 90", of_peaks, tmp_path, NARROW, none, partial_genome=True)


SCHEMES = {  # names in the peaks and in the genome, and what is shown of both
    "roman numbers": (CHROMS, ("I", "II", "III"), "named I, II, III, got chr1, chr2, chr3 in 90"),
    "one that agrees": (
        ("chrI", "chrII", "X"),
        ("1", "2", "X"),
        "named chr1, chr2, chrX, got chrI, chrII in 60",
    ),
    "GenBank": (CHROMS, ("CM000663.2", "CM000664.2", "CM000665.2"), "named CM000663.2, .*chr1"),
    "RefSeq of hg38": (
        CHROMS,
        ("NC_000001.11", "NC_000002.12", "NC_000003.12"),
        "named NC_000001.11, NC_000002.12, NC_000003.12, got chr1, chr2, chr3",
    ),
    "regions": (CHROMS, ("chr1:1-6000", "chr2:1-6000", "chr3:1-6000"), "named chr1:1-6000"),
    "capitals": (("Chr1", "Chr2", "Chr3"), CHROMS, "named chr1, chr2, chr3, got Chr1, Chr2"),
}


@pytest.mark.parametrize("kind", SCHEMES)
def test_names_that_differ_are_shown_from_both_files(tmp_path, kind):
    theirs, ours, message = SCHEMES[kind]
    text = narrowpeak(chroms=theirs)
    refused(r"p\.bed:\d+: .*" + message, of_peaks, tmp_path, text, genome(ours))


def test_roman_names_in_both_files_agree(tmp_path):
    dataset, _ = of_peaks(
        tmp_path, narrowpeak(chroms=("chrI", "chrII", "chrX")), genome(("I", "II", "X"))
    )
    assert len(positives(dataset)) == ALL


def test_few_peaks_on_other_chromosomes_are_counted(tmp_path):
    dataset, _ = of_peaks(tmp_path, NARROW + NARROW.splitlines()[0].replace("chr1", "chrM") + "\n")
    assert dataset.dropped == {"positive: on a chromosome that the genome lacks": 1}


# Peaks that are refused

ONE = "chr1\t{}\t{}\n"
BAD_PEAKS = {
    "decimals": (BED.replace("\t105", "\t105.0"), r":\d+: .*Positions are whole numbers: write"),
    "all decimals": (re.sub(r"\t(\d+)", r"\t\1.0", BED), r":1: .*'\d+\.0'.*whole numbers"),
    "exponents": (ONE.format("1e3", "2e3"), r":1: .*'1e3'.*whole numbers"),
    "thousands": (ONE.format("1,000", "2,000"), r":1: .*'1,000'.*Write 1000000 for 1,000,000"),
    "negative start": (ONE.format("-5", "60"), r":1: .*'-5'.*first base of a chromosome"),
    "counted from 1": ("chr1:100-200\n", r":1: .*counts from 1"),
    "names of columns": ("chrom\tstart\tend\n" + BED, r":1: .*looks like column names"),
    "no length": (ONE.format(60, 60), r":1: expected start < end, got 60 and 60"),
    "turned round": (ONE.format(60, 50), r":1: expected start < end, got 60 and 50"),
    "two columns": ("chr1\t60\n", r":1: expected 3 to 12 tab-separated columns, got 2"),
    "another number of columns": (BED + "chr1\t60\t90\tx\n", r":91: expected 3 .* got 4"),
    "commas": (BED.replace("\t", ","), r":1: .*separated by commas"),
    "semicolons": (BED.replace("\t", ";"), r":1: .*separated by semicolons"),
    "GFF": ("chr1\tx\tpeak\t100\t200\t.\t+\t.\tID=x\n", r":1: .*GFF or GTF, which counts from 1"),
    "VCF": ("chr1\t100\trs1\tA\tC\t.\t.\t.\n", r":1: .*looks like VCF"),
    "FASTA": (">chr1\nACGT\n", r":1: .*looks like FASTA"),
    "nothing": ("", r":1: expected text, got an empty file"),
    "comments only": ("# a\ntrack x\n", r":1: expected at least one interval"),
    "a workbook": (b"PK\3\4\0\0", r":1: .*Excel workbook"),
    "UTF-16": (BED.encode("utf-16"), r":1: .*UTF-16 text, save it as UTF-8"),
    "cut gzip": (gzip.compress(BED.encode())[:-9], r":\d+: expected a whole gzip file"),
    "bigBed": (b"\xeb\xf2\x89\x87\0\0", r":1: .*bigBedToBed"),
    "one peak": (ONE.format(100, 200), "expected positive and negative examples of 'bound' in"),
}


@pytest.mark.parametrize("kind", BAD_PEAKS)
def test_peaks_that_are_refused(tmp_path, kind):
    content, message = BAD_PEAKS[kind]
    refused(message, of_peaks, tmp_path, content)


# FASTA, and labels


def sequences(count=40, seed=0, length=30):
    letters = np.random.default_rng(seed).choice(list("ACGT"), (count, length))
    return {f"s{seed}{i}": "".join(row) for i, row in enumerate(letters)}


def fasta(rows):
    return "".join(f">{name}\n{row}\n" for name, row in rows.items())


def of_two(tmp_path, content):
    """The dataset of these positives and 40 negatives of 30 bp."""
    files = {"positives": put(tmp_path / "p.fa", content)}
    files["negatives"] = put(tmp_path / "n.fa", fasta(sequences(seed=1)))
    return load_dataset("custom", **files)


PLAIN = fasta(sequences())
FASTA = {
    "lower case": PLAIN.lower(),
    "two lines each": re.sub(r"([ACGT]{15})([ACGT]{15})", r"\1\n\2", PLAIN),
    "CRLF and BOM": "\ufeff" + PLAIN.replace("\n", "\r\n"),
    "blank lines": PLAIN.replace("\n", "\n\n"),
    "coordinates as names": PLAIN.replace(">s0", ">chr1:100-1"),
    "no end": PLAIN.rstrip("\n"),
    "gzip of several members": gzip.compress(PLAIN[:99].encode())
    + gzip.compress(PLAIN[99:].encode()),
}  # fmt: skip


@pytest.mark.parametrize("kind", FASTA)
def test_fasta_that_is_read(tmp_path, kind):
    dataset = of_two(tmp_path, FASTA[kind])
    assert sorted(positives(dataset)) == sorted(sequences().values())
    assert dataset.dropped == {}


def test_letters_for_several_bases_are_unknown_bases(tmp_path):
    rows = sequences() | {"iupac": "RYSWKMBDHV" + "ACGT" * 5}
    assert "N" * 10 + "ACGT" * 5 in positives(of_two(tmp_path, fasta(rows)))


def test_sequences_of_n_only_are_left_out_and_counted(tmp_path):
    rows = sequences() | {"a": "N" * 30, "b": "n" * 30}
    dataset = of_two(tmp_path, fasta(rows))
    assert sorted(positives(dataset)) == sorted(sequences().values())
    assert dataset.dropped == {"sequence of unknown bases only": 2}
    message = r"got 0 positive of \d+ in 'train' .*left out: 1 sequence of unknown bases only"
    refused(message, of_two, tmp_path, ">a\n" + "N" * 30 + "\n")


def test_unknown_negatives_beside_peaks_are_left_out_too(tmp_path):
    rows = sequences(length=WINDOW) | {"a": "N" * WINDOW}
    dataset, _ = of_peaks(tmp_path, NARROW, negatives=put(tmp_path / "n.fa", fasta(rows)))
    assert dataset.dropped == {"sequence of unknown bases only": 1}


BAD_FASTA = {
    "protein": (PLAIN + ">x\nMEEPQSDPSVEPPLSQETFSDLWKLLPENN\n", r":82: .*protein: DNA is needed"),
    "RNA": (PLAIN.replace("T", "U"), r":2: .*RNA: write T for U"),
    "an alignment": (PLAIN.replace("TA", "T-"), r":\d+: .*looks like an alignment"),
    "other lengths": (PLAIN + ">x\nACGT\n", r":81: expected 30 bp .* got 4 bp in 'x'"),
    "a name twice": (PLAIN + PLAIN, r":81: expected a name .* got 's00' again"),
    "no name": (PLAIN + ">\nACGT\n", r":81: expected a name behind '>'"),
    "no sequence": (PLAIN + ">x\n", r":81: expected a sequence of 'x', got none"),
    "FASTQ": ("@a\nACGT\n+\nIIII\n", r":1: expected FASTA, a line that begins with '>'"),
    "sequences alone": ("ACGT\nACGT\n", r":1: expected FASTA"),
    "BED": (BED, r":1: expected FASTA"),
    "nothing": ("", r":1: expected text, got an empty file"),
    "a workbook": (b"PK\3\4\0\0", r":1: .*Excel workbook"),
}


@pytest.mark.parametrize("kind", BAD_FASTA)
def test_fasta_that_is_refused(tmp_path, kind):
    content, message = BAD_FASTA[kind]
    refused(r"p\.fa" + message, of_two, tmp_path, content)


def test_the_same_file_twice(tmp_path):
    refused("n.fa: expected other sequences", of_two, tmp_path, fasta(sequences(seed=1)))


def of_table(tmp_path, zero="0", one="1", header="name\ttask\n", more=""):
    """The dataset of 40 sequences, every other one positive, with labels as they are written."""
    files = {"sequences": put(tmp_path / "s.fa", PLAIN)}
    lines = [f"{name}\t{one if i % 2 else zero}\n" for i, name in enumerate(sequences())]
    files["labels"] = put(tmp_path / "l.tsv", header + "".join(lines) + more)
    return load_dataset("custom", **files)


@pytest.mark.parametrize(
    ("zero", "one"),
    [("0", "1"), ("0.0", "1.0"), ("False", "True"), ("FALSE", "TRUE"), (" 0", "1 "), ("0", "true")],
)
def test_labels_that_are_read(tmp_path, zero, one):
    assert sorted(positives(of_table(tmp_path, zero, one))) == sorted(
        list(sequences().values())[1::2]
    )


BAD_LABELS = {
    "words": ({"one": "bound"}, r"l\.tsv:3: expected 0, 1 or NA .* for 'task', got 'bound'"),
    "counts": ({"one": "17"}, r"l\.tsv:3: expected 0, 1 or NA .* for 'task', got '17'"),
    "no header": ({"header": ""}, r"l\.tsv:1: expected a header.*Put a line like"),
    "no header, booleans": (
        {"header": "", "zero": "False", "one": "True"},
        r"l\.tsv:1: expected a header.*Put a line like",
    ),
    "a name twice": ({"more": "s00\t1\n"}, r"l\.tsv:42: expected a name of its own .* 's00' again"),
    "a name too many": ({"more": "x\t1\n"}, r"l\.tsv:42: .* got 'x'; 1 of 41 names are not there"),
    "a column too many": ({"more": "x\t1\t0\n"}, r"l\.tsv:42: expected 2 .* got 3"),
    "commas": ({"header": "name,task\n"}, r"l\.tsv:1: .*separated by commas"),
}


@pytest.mark.parametrize("text", ["NA", "-1", "nan", ""])
def test_labels_that_are_not_known_are_left_out_and_counted(tmp_path, text):
    names, rows = zip(*sequences(60).items(), strict=True)
    files = {"sequences": put(tmp_path / "s.fa", fasta(sequences(60)))}
    values = [(str(i % 2), str(i // 2 % 2)) for i in range(60)]
    values[:4] = [(text, "1"), ("0", text), (text, text), (text, text)]
    lines = [f"{name}\t{a}\t{b}\n" for name, (a, b) in zip(names, values, strict=True)]
    files["labels"] = put(tmp_path / "l.tsv", "name\ta\tb\n" + "".join(lines))
    dataset = load_dataset("custom", **files, valid_fraction=0.2, test_fraction=0.2)
    assert dataset.dropped == {"no label is known": 2}
    assert dataset.counts == {"labels that are not known": 2}
    parts = [getattr(dataset, split) for split in SPLITS]
    assert np.sum([part.known for part in parts], axis=0).tolist() == [57, 57]
    expected = [sum(one[column] == "1" for one in values) for column in (0, 1)]
    assert np.sum([part.positives for part in parts], axis=0).tolist() == expected
    found = {
        row: labels
        for part in parts
        for row, labels in zip(decode(part.codes), part.labels.tolist(), strict=True)
    }
    assert (found[rows[0]], found[rows[1]]) == ([255, 1], [0, 255])
    assert rows[2] not in found


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_are_refused(tmp_path, kind):
    options, message = BAD_LABELS[kind]
    refused(message, of_table, tmp_path, **options)


def test_partial_genome_is_an_option_of_peaks(tmp_path):
    files = {role: put(tmp_path / f"{role}.fa", PLAIN) for role in ("positives", "negatives")}
    refused("an option of peaks only", load_dataset, "custom", **files, partial_genome=True)


# Negatives beside peaks


def negatives_in_fasta(tmp_path, rows, **files):
    text = "".join(f">n{i}\n{row}\n" for i, row in enumerate(rows))
    return of_peaks(tmp_path, NARROW, negatives=put(tmp_path / "n.fa", text), **files)[0]


def random_rows(count, seed=0):
    letters = np.random.default_rng(seed).choice(list("ACGT"), (count, WINDOW))
    return ["".join(row) for row in letters]


def test_negative_sequences_come_once_and_are_no_peaks(tmp_path):
    bound = positives(of_peaks(tmp_path, NARROW)[0])[:7]
    rows = random_rows(120)
    dataset = negatives_in_fasta(tmp_path, [*rows, *rows[:5], *bound])
    assert dataset.dropped["negative: same sequence with other labels"] == 7
    assert dataset.dropped["negative: same sequence again"] == 5
    splits = {split: decode(getattr(dataset, split).codes) for split in SPLITS}
    everything = [row for part in splits.values() for row in part]
    assert len(everything) == len(set(everything))
    assert set(rows) <= set(everything)


def test_near_copies_of_a_negative_sequence_are_in_one_split(tmp_path):
    rows = [row for one in random_rows(30) for row in (one, "A" + one[:-1], one[1:] + "C")]
    dataset = negatives_in_fasta(tmp_path, rows)
    place = {row: split for split in SPLITS for row in decode(getattr(dataset, split).codes)}
    for first in range(0, len(rows), 3):
        assert len({place[row] for row in rows[first : first + 3]}) == 1
    assert {place[row] for row in rows} == set(SPLITS)


def test_no_negative_sequence_trains_that_tests(tmp_path):
    rows = random_rows(100)
    tests = "".join(f">t{i}\n{row}\n" for i, row in enumerate([*rows[:10], *random_rows(20, 1)]))
    files = {"test": put(tmp_path / "t.bed", FIRST + "\n" + REST),
             "test_negatives": put(tmp_path / "t.fa", tests)}  # fmt: skip
    files["test"].write_text("".join(f"{line}\n" for line in NARROW.splitlines()[:20]))
    dataset = negatives_in_fasta(tmp_path, rows, **files)
    assert dataset.dropped["negative: same sequence as one that tests"] == 10
    held = decode(dataset.test.codes)
    assert set(rows[:10]) <= set(held)
    for split in (dataset.train, dataset.valid):
        assert not set(decode(split.codes)) & set(held)
    same = put(tmp_path / "n.fa", tests)
    refused("expected other negatives to test than to train, got the same", of_peaks, tmp_path,
            NARROW, negatives=same, **files)  # fmt: skip


def test_matched_negatives_are_where_their_positives_are(tmp_path):
    """On one chromosome its stretches have their own; of a test set's own peaks none trains."""
    rng = np.random.default_rng(0)
    letters = "".join(rng.choice(list("ACGT"), 300_000))
    starts = np.sort(rng.choice(np.arange(20, 297), 90, replace=False)) * 1000
    lines = [f"chr1\t{start}\t{start + 50}\n" for start in starts]
    files = {
        "peaks": put(tmp_path / "p.bed", "".join(lines)),
        "genome": put(tmp_path / "g.fa", f">chr1\n{letters}\n"),
    }
    dataset = load_dataset("custom", **files, window=40, valid_fraction=0.3, test_fraction=0.3)
    ends = []
    for split in SPLITS:
        part = getattr(dataset, split)
        assert part.labels.mean() == 0.5, split
        places = [letters.index(row) for row in decode(part.codes)]
        ends.append((min(places), max(places)))
    assert ends[0][1] < ends[1][0] <= ends[1][1] < ends[2][0]
    some = put(tmp_path / "t.bed", "".join(lines[:20]))
    tested = load_dataset("custom", **files, test=some, window=40)
    assert tested.dropped["positive: same sequence as one that tests"] == 20
    for split in SPLITS:
        assert getattr(tested, split).labels.mean() == 0.5, split


def test_no_usable_window_is_said_so(tmp_path):
    letters = ">chr1\n" + "ACGT" * 1000 + "\n"
    files = {"peaks": put(tmp_path / "p.bed", "chr1\t100\t200\nchr1\t900\t950\n"),
             "genome": put(tmp_path / "g.fa", letters)}  # fmt: skip
    refused("expected windows without N inside the genome, got none", load_dataset, "custom",
            **files, window=5000)  # fmt: skip


def test_names_of_tasks_hold_no_tab(tmp_path):
    refused(r"expected a task's name without tabs, got 'a\\tb'", of_peaks, tmp_path, NARROW,
            task_names=("a\tb",))  # fmt: skip
