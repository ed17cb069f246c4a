"""`sfc variants`: scores against predicting each sequence anew, and what is refused."""

import gzip
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from own_data import LENGTH, sfc

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import encode, reverse_complement
from sfc_lib.genomics.genome import Genome
from sfc_lib.nn.ensemble import strand_logits
from sfc_lib.own import variants
from sfc_lib.own.predict import Predictor, load_predictor, view_scorer
from sfc_lib.own.variants import SCORES, read_variants, score_variants, windows
from sfc_lib.runs.model_file import load_model

SIZE = 4000  # bp of a chromosome
CHROMS = ("chr1", "chr2")
HEADER = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
VCF = f"##fileformat=VCFv4.2\n##contig=<ID=chr1>\n{HEADER}\n"


@pytest.fixture(scope="module")
def letters():
    """The chromosomes as text."""
    return {
        chrom: "".join(np.random.default_rng(seed).choice(list("ACGT"), SIZE))
        for seed, chrom in enumerate(CHROMS)
    }


@pytest.fixture
def reference(tmp_path, letters):
    """A FASTA of them."""
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{chrom}\n{text}\n" for chrom, text in letters.items()))
    return path


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def snvs(letters, count, seed=0):
    """Chromosome, position (from 1), reference and alternative of random SNVs."""
    rng = np.random.default_rng(seed)
    found = []
    for place in rng.integers(50, SIZE - 50, count):
        chrom = str(rng.choice(CHROMS))
        ref = letters[chrom][place]
        found.append((chrom, int(place) + 1, ref, str(rng.choice([b for b in "ACGT" if b != ref]))))
    return found


def vcf(rows):
    return VCF + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\tPASS\tDP=3\n" for c, p, r, a in rows)


def table(rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def scored(*arguments):
    done = sfc("variants", *arguments)
    assert done.exit_code == 0, done.output
    return done


def read(path):
    return pd.read_csv(path, sep="\t", keep_default_na=True)


def test_a_thousand_snvs_are_what_predicting_each_allele_gives(
    trained, letters, reference, tmp_path
):
    rows = snvs(letters, 1000)
    path = put(tmp_path / "v.vcf", vcf(rows))
    done = scored(trained / "std", path, "--genome", reference, "-o", tmp_path / "out.tsv")
    assert "1,000 alleles scored. Left out: none." in done.output
    found = read(tmp_path / "out.tsv")
    assert list(found) == [*variants.VARIANT, *SCORES]
    assert found[["chrom", "pos", "ref", "alt"]][::2].values.tolist() == list(map(list, rows))
    assert found["task"].tolist() == ["GATA1 <b>", "even"] * 1000
    alone = strand_logits(load_model(trained / "std" / "model.keras"))
    ref, alt = [], []
    for chrom, pos, _, base in rows:
        text = letters[chrom][pos - 1 - LENGTH // 2 : pos - 1 - LENGTH // 2 + LENGTH]
        ref.append(text)
        alt.append(text[: LENGTH // 2] + base + text[LENGTH // 2 + 1 :])
    strands = []
    for change in (lambda codes: codes, reverse_complement):
        both = (alone.predict(change(encode(texts)), verbose=0) for texts in (ref, alt))
        strands.append([logits.astype(float) for logits in both])
    strands = np.array(strands)  # (strands, alleles, variants, tasks)
    mean = strands.mean(axis=0)
    probability, views = 1 / (1 + np.exp(-mean)), strands[:, 1] - strands[:, 0]
    expected = {
        "ref_logit": mean[0], "alt_logit": mean[1], "logit_difference": mean[1] - mean[0],
        "ref_probability": probability[0], "alt_probability": probability[1],
        "probability_difference": probability[1] - probability[0],
        "lowest_difference": views.min(axis=0), "highest_difference": views.max(axis=0),
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.ravel(), atol=2e-5, err_msg=name)
    assert np.abs(mean[1] - mean[0]).max() > 0.05  # the networks do react
    whole = load_model(trained / "std" / "model.keras").predict(encode(ref), verbose=0)
    np.testing.assert_allclose(probability[0], whole, atol=1e-5)


INDELS = {  # reference and alternative as in VCF, from position 2001 of chr1
    "deletion of 3": (4, "first"),
    "insertion of 5": (1, "firstTTTTT"),
    "insertion of 4": (1, "firstGGGG"),
    "block of 2 by 2": (2, "TTT"),
    "deletion of 40": (41, "first"),
}


@pytest.mark.parametrize("kind", INDELS)
def test_an_indel_by_hand(trained, letters, reference, tmp_path, kind):
    size, alt = INDELS[kind]
    text, place = letters["chr1"], 2000
    ref = text[place : place + size]
    alt = alt.replace("first", ref[0])
    path = put(tmp_path / "v.tsv", f"chr1\t{place + 1}\t{ref}\t{alt}\n")
    scored(trained / "symm", path, "--genome", reference, "-o", tmp_path / "out.tsv")
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, place = ref[1:], alt[1:], place + 1
    model, logits = load_model(trained / "symm" / "model.keras"), []
    for bases in (ref, alt):
        before = -(-(LENGTH - len(bases)) // 2)  # rounded up
        after = LENGTH - len(bases) - before
        end = place + len(ref)
        window = text[place - before : place] + bases + text[end : end + after]
        codes = encode([window])
        p = [model.predict(c, verbose=0)[0, 0] for c in (codes, reverse_complement(codes))]
        logits.append(np.mean([np.log(float(q) / (1 - float(q))) for q in p]))
    (row,) = read(tmp_path / "out.tsv").to_dict("records")
    assert np.allclose([row["ref_logit"], row["alt_logit"]], logits, atol=2e-5)


def test_windows_of_an_insertion_share_their_middle(letters, reference, tmp_path):
    text, base = letters["chr1"], letters["chr1"][100]
    new = "GAT" + ("A" if base != "A" else "C")
    path = put(tmp_path / "v.tsv", table([("chr1", 101, base, base + new)]))
    (allele,) = variants._alleles(*read_variants(path), Genome(reference), 12)
    ref, alt = windows([allele], Genome(reference), 12)
    assert ref.tolist() == encode([text[95:107]]).tolist()
    assert alt.tolist() == encode([text[97:101] + new + text[101:105]]).tolist()


def test_several_alternatives_have_their_own_scores(trained, letters, reference, tmp_path):
    ref = letters["chr2"][999]
    others = [base for base in "ACGT" if base != ref]
    apart = put(tmp_path / "a.tsv", table([("chr2", 1000, ref, base) for base in others]))
    together = put(tmp_path / "b.tsv", table([("chr2", 1000, ref, ",".join(others))]))
    for path in (apart, together):
        scored(trained / "symm", path, "--genome", reference, "-o", path.with_suffix(".out"))
    one, two = read(tmp_path / "a.out"), read(tmp_path / "b.out")
    assert len(two) == 3
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: gzip.compress(text.encode()),
        lambda text: gzip.compress(text[:200].encode()) + gzip.compress(text[200:].encode()),
        lambda text: text.replace("chr", "").replace("IDchr", "ID"),
        lambda text: text.rstrip("\n"),
        lambda text: re.sub(r"\t([ACGT])\t([ACGT])\t", lambda m: m[0].lower(), text),
    ],
    ids=["plain", "crlf", "bom", "gzip", "bgzip", "no chr", "no end", "lower case"],
)
def test_vcf_and_tables_are_read_alike(trained, letters, reference, tmp_path, change):
    rows = snvs(letters, 20)
    expected = put(tmp_path / "t.tsv", "chrom\tpos\tref\talt\tmore\n" + table(rows))
    odd = put(tmp_path / "v.vcf", change(vcf(rows)))
    for path in (expected, odd):
        scored(trained / "symm", path, "--genome", reference, "-o", path.with_suffix(".out"))
    one, two = read(tmp_path / "t.out"), read(tmp_path / "v.out")
    pd.testing.assert_frame_equal(one.drop(columns="chrom"), two.drop(columns="chrom"))


def test_a_vcf_keeps_its_lines_and_gains_a_key(trained, letters, reference, tmp_path):
    rows = snvs(letters, 3)
    (c, p, r, a), *rest = rows
    text = (
        VCF.replace("INFO\n", "INFO\tFORMAT\tme\n")
        + f"{c}\t{p}\trs1\t{r}\t{a},*\t7\tPASS\tAC=1;SFC=old\tGT\t0/1\n"
        + f"{rest[0][0]}\t{rest[0][1]}\t.\t{rest[0][2]}\t.\t7\t.\t.\tGT\t0/0\n"
    )
    path = put(tmp_path / "v.vcf", text)
    outputs = ["-o", tmp_path / "o.vcf.gz", "-o", tmp_path / "o.tsv"]
    done = scored(trained / "std", path, "--genome", reference, *outputs)
    assert "1 alleles scored. Left out: 1 a deletion of another line (*); 1 no alt" in done.output
    lines = gzip.decompress((tmp_path / "o.vcf.gz").read_bytes()).decode().splitlines()
    assert lines[:2] == text.splitlines()[:2]
    assert lines[2].startswith("##INFO=<ID=SFC,Number=.,Type=String,")
    assert lines[3] == text.splitlines()[2]
    first, second = (line.split("\t") for line in lines[4:])
    assert (first[:7], first[8:]) == (text.splitlines()[3].split("\t")[:7], ["GT", "0/1"])
    assert first[7].startswith(f"AC=1;SFC={a}|GATA1%20%3Cb%3E|")
    assert second == text.splitlines()[4].split("\t")
    scores = [part.split("|") for part in first[7].partition("SFC=")[2].split(",")]
    found = read(tmp_path / "o.tsv")
    assert found["logit_difference"].isna().tolist() == [False, False, True, True, True, True]
    for parts, row in zip(scores, found.to_dict("records"), strict=False):
        assert list(map(float, parts[2:])) == [row[name] for name in SCORES]


def test_blank_lines_in_a_header_and_columns_after_a_hash(trained, letters, reference, tmp_path):
    rows = snvs(letters, 3)
    lines = [f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\tGT\t0/1\n" for c, p, r, a in rows]
    names = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme\n"
    head = f"##fileformat=VCFv4.2\n\n##contig=<ID=chr1>\n{names}"
    vcf_file = put(tmp_path / "v.vcf", head + "".join(lines))
    done = scored(trained / "std", vcf_file, "--genome", reference, "-o", tmp_path / "out.vcf")
    text = (tmp_path / "out.vcf").read_text().splitlines()
    assert text[:2] == ["##fileformat=VCFv4.2", "##contig=<ID=chr1>"], done.output
    assert text[3] == names.strip()
    assert all(line.endswith("\tGT\t0/1") for line in text[4:])
    plain = "".join(f"{c}\t{p}\t{r}\t{a}\n" for c, p, r, a in rows)
    tsv = put(tmp_path / "v.tsv", "#CHROM\tPOS\tREF\tALT\n" + plain)
    scored(trained / "symm", tsv, "--genome", reference, "-o", tmp_path / "out.tsv")
    assert len(read(tmp_path / "out.tsv")) == 3


def test_a_table_becomes_a_vcf(trained, letters, reference, tmp_path):
    rows = snvs(letters, 2)
    path = put(tmp_path / "v.tsv", table(rows))
    scored(trained / "symm", path, "--genome", reference, "-o", tmp_path / "o.vcf")
    lines = (tmp_path / "o.vcf").read_text().splitlines()
    assert lines[0] == "##fileformat=VCFv4.2"
    assert lines[2] == HEADER
    assert [line.split("\t")[:5] for line in lines[3:]] == [
        [c, str(p), ".", r, a] for c, p, r, a in rows
    ]


def test_a_table_is_printed_where_no_file_is_named(trained, letters, reference, tmp_path):
    path = put(tmp_path / "v.tsv", table(snvs(letters, 2)))
    done = scored(trained / "symm", path, "--genome", reference)
    assert done.stdout.startswith("chrom\tpos\tid\tref\talt\ttask\tref_logit")
    assert len(done.stdout.splitlines()) == 3


# The rank


def stand_in(length=21):
    """A predictor without a network: its logit is the number of G less that of T."""
    return Predictor(None, length, ("gt",), ())


def count_gt(_predictor):
    def score(codes):
        return ((codes == 2).sum(axis=1) - (codes == 3).sum(axis=1))[None, :, None].astype(float)

    return score


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr(variants, "view_scorer", count_gt)


def test_ranks_are_shares_of_the_background(counted, letters, reference, tmp_path):
    """Differences of the stand-in depend on the bases alone: 0, 1 or 2.

    Few variants are put into several sequences each, so that the rank has as many steps.
    """
    rows = snvs(letters, 400)
    path = put(tmp_path / "v.tsv", table(rows))
    with open(tmp_path / "out.tsv", "wb") as file:
        score_variants(stand_in(), path, Genome(reference), [(file, "tsv")], background=1000)
    found = read(tmp_path / "out.tsv")
    value = {"A": 0, "C": 0, "G": 1, "T": -1}
    sizes = np.array([abs(value[a] - value[r]) for _, _, r, a in rows])
    assert np.array_equal(found["logit_difference"].abs(), sizes)
    against = np.resize(sizes, 1000)
    expected = [(1 + (against >= size).sum()) / 1001 for size in sizes]
    assert np.allclose(found["rank"], expected, atol=1e-6)
    with open(tmp_path / "none.tsv", "wb") as file:
        score_variants(stand_in(), path, Genome(reference), [(file, "tsv")], background=0)
    assert read(tmp_path / "none.tsv")["rank"].isna().all()


def test_the_background_is_drawn_from_the_whole_file(counted, letters, reference, tmp_path):
    path = put(tmp_path / "v.tsv", table(snvs(letters, 500)))
    total, sample = variants._survey(path, Genome(reference), 21, False, 50)
    assert (total, len(sample)) == (500, 50)
    lines = list(read_variants(path))
    order = {(line.chrom, line.pos - 1): line.number for line in lines}
    numbers = [order[allele.chrom, allele.start] for allele in sample]
    assert 150 < np.mean(numbers) < 350
    assert len(set(numbers)) > 45


def test_shuffled_windows_keep_the_alleles_and_the_dinucleotides(letters, reference, tmp_path):
    genome = Genome(reference)
    path = put(tmp_path / "v.tsv", table(snvs(letters, 20)))
    alleles = [variants._alleles(line, genome, 41)[0] for line in read_variants(path)]
    plain, shuffled, other = (windows(alleles, genome, 41, shuffled=s) for s in (None, 0, 1))
    assert (shuffled[0] != other[0]).mean() > 0.3
    assert np.array_equal(plain[0][:, 20], shuffled[0][:, 20])
    assert np.array_equal(plain[1][:, 20], shuffled[1][:, 20])
    assert np.array_equal(np.delete(shuffled[0], 20, 1), np.delete(shuffled[1], 20, 1))
    assert (plain[0] != shuffled[0]).mean() > 0.3
    for one, two in zip(plain[0], shuffled[0], strict=True):
        for half in (slice(0, 20), slice(21, 41)):
            pairs = [sorted(zip(row[half][:-1], row[half][1:], strict=True)) for row in (one, two)]
            assert pairs[0] == pairs[1]


# What has no score, and what is refused


def test_windows_beyond_an_end_have_no_score(trained, letters, reference, tmp_path):
    text = letters["chr1"]
    half, others = LENGTH // 2, str.maketrans("ACGT", "CGTA")
    places = (half, half + 1, SIZE - half + 1, SIZE - half + 2)
    rows = [("chr1", p, text[p - 1], text[p - 1].translate(others)) for p in places]
    path = put(tmp_path / "v.tsv", table(rows))
    done = scored(trained / "symm", path, "--genome", reference, "-o", tmp_path / "o.tsv")
    assert "2 alleles scored. Left out: 2 window beyond the sequence." in done.output
    assert read(tmp_path / "o.tsv")["rank"].isna().tolist() == [True, False, False, True]


REFUSED = {  # pos, ref, alt; R is the reference base
    "another base": (("chr1", 100, "x", "N"), "expected the genome's '.' as reference at chr1:100"),
    "a longer reference": (("chr1", 100, "RACGTACGTACGT", "R"), "expected the genome's '"),
    "a symbolic allele": (("chr1", 100, "R", "<DEL>"), "an alternative in bases .*got '<DEL>'"),
    "a breakend": (("chr1", 100, "R", "R[chr2:7["), "an alternative in bases"),
    "IUPAC": (("chr1", 100, "R", "Y"), "an alternative in bases .*got 'Y'"),
    "another chromosome": (("chr7", 100, "R", "A"), r"the genome \(chr1 of 4,000 bp, chr2 of"),
    "beyond the end": (("chr1", 5000, "R", "A"), "expected a place in the genome .*chr1:5,000"),
    "a long insertion": (("chr1", 100, "R", "R" + "ACGT" * 16), "fit into the network's window"),
}  # fmt: skip


def written(letters, row):
    chrom, pos, ref, alt = row
    base = letters["chr1"][pos - 1] if pos < SIZE else "A"
    ref = ref.replace("R", base).replace("x", "ACGT"[("ACGT".index(base) + 1) % 4])
    return chrom, pos, ref, alt.replace("R", base) if "R" in alt else alt


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_a_line_or_left_out_when_told(trained, letters, reference, tmp_path, kind):
    row, message = REFUSED[kind]
    good, bad = snvs(letters, 2), written(letters, row)
    path = put(tmp_path / "v.vcf", vcf([*good, bad]))
    arguments = (trained / "symm", path, "--genome", reference, "-o", tmp_path / "o.tsv")
    done = sfc("variants", *arguments)
    assert done.exit_code == 1
    assert re.search(rf"v\.vcf:6: .*{message}.*\(--skip\)", done.output)
    assert "Traceback" not in done.output
    assert not (tmp_path / "o.tsv").exists()
    assert "2 alleles scored. Left out: 1 " in scored(*arguments, "--skip").output


BAD = {
    "nothing": ("", r":1: expected text, got an empty file"),
    "a header only": (VCF, r":1: expected variants, got none"),
    "comments only": ("# a\n", r":1: expected variants, got none"),
    "BED": ("chr1\t99\t100\tA\n", r":1: expected reference bases .*BED, which counts from 0"),
    "VCF without header": (
        "chr1\t100\trs1\tA\tC\t.\t.\t.\n",
        r":1: expected reference bases .*got 'rs1'.*VCF without its header",
    ),
    "a word as position": ("chr1\tten\tA\tC\n", r":1: expected a position, .*got 'ten'"),
    "position 0": ("chr1\t0\tA\tC\n", r":1: expected a position, an integer >= 1"),
    "a fraction": ("chr1\t100.0\tA\tC\n", r":1: expected a position"),
    "too few columns": ("chr1\t100\tA\n", r":1: expected 4 tab-separated .*got 3"),
    "blanks": ("chr1 100 A C\n", r":1: .*separated by blanks: separate them by tabs"),
    "short VCF": (VCF + "chr1\t100\t.\tA\tC\n", r":4: expected 8 tab-separated .*VCF"),
    "an empty reference": ("chr1\t100\t-\tAC\n", r":1: .*as VCF does, with the base before"),
    "a workbook": (b"PK\3\4\0\0", r":1: .*Excel workbook"),
    "cut gzip": (gzip.compress(VCF.encode() * 9)[:-9], r":\d+: expected a whole gzip file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_files_that_are_no_variants(tmp_path, kind):
    content, message = BAD[kind]
    with pytest.raises(UserError, match=r"v\.vcf" + message):
        list(read_variants(put(tmp_path / "v.vcf", content)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["symm", "pos.fa"], "Missing option '--genome'"),
        (["symm", "no.vcf", "--genome", "pos.fa"], "'no.vcf' does not exist"),
        (["symm", "pos.fa", "--genome", "no.fa"], "'no.fa' does not exist"),
        (["symm", "pos.fa", "--genome", "labels.tsv"], "labels.tsv:1: expected FASTA"),
        (["symm", "labels.tsv", "--genome", "pos.fa"], "labels.tsv:1: expected 4 tab-separated"),
        (["pos.fa", "pos.fa", "--genome", "pos.fa"], "pos.fa: expected a whole .keras model"),
        (["symm", "pos.fa", "--genome", "pos.fa", "-o", "pos.fa/x"], "a folder that can be wri"),
        (["symm", "pos.fa", "--genome", "pos.fa", "--background", "-1"], "-1 is not in the range"),
    ],
)
def test_bad_commands_are_one_message(trained, monkeypatch, arguments, message):
    monkeypatch.chdir(trained)
    done = sfc("variants", *arguments)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output


# Views, and the memory


def test_views_are_the_two_strands(trained):
    predictor = load_predictor(trained / "std")
    codes = np.random.default_rng(0).integers(0, 5, (200, LENGTH)).astype(np.uint8)
    found = view_scorer(predictor)(codes)
    assert found.shape == (2, 200, 2)
    for logits, strand in zip(found, (codes, reverse_complement(codes)), strict=True):
        expected = strand_logits(predictor.model).predict(strand, verbose=0)
        np.testing.assert_allclose(logits, expected, atol=1e-5)
    swapped = view_scorer(predictor)(reverse_complement(codes))
    np.testing.assert_allclose(swapped.mean(axis=0), found.mean(axis=0), atol=1e-6)


def test_views_of_a_network_of_both_strands_differ_and_have_its_mean(trained):
    predictor = load_predictor(trained / "std")
    codes = np.random.default_rng(0).integers(0, 5, (50, LENGTH)).astype(np.uint8)
    one, two = found = view_scorer(predictor)(codes)
    assert np.abs(one - two).max() > 1e-3
    whole = predictor.model.predict(codes, verbose=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.mean(axis=0))), whole, atol=1e-5)


def test_views_of_an_ensemble_are_those_of_its_members(trained):
    predictor = load_predictor(trained / "both")
    codes = np.random.default_rng(0).integers(0, 5, (20, LENGTH)).astype(np.uint8)
    each = [Predictor(m, LENGTH, predictor.tasks, (m,)) for m in predictor.members]
    expected = np.concatenate([view_scorer(one)(codes) for one in each])
    np.testing.assert_allclose(view_scorer(predictor)(codes), expected, atol=1e-6)
    assert len(expected) == 2 * len(each) == 4


def test_memory_does_not_grow_with_the_file(counted, letters, reference, tmp_path):
    genome, peaks = Genome(reference), []
    for count in (500, 2500):
        path = put(tmp_path / f"{count}.tsv", table(snvs(letters, count)))
        with open(tmp_path / "out.tsv", "wb") as file:
            tracemalloc.start()
            score_variants(stand_in(), path, genome, [(file, "tsv")], background=50)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 5e5  # 2,000 more lines would be 2 MB and more
