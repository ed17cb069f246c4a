"""Tracks along the genome: where sequences lie by their names, means by hand, what is read back."""

import builtins

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need
from own_data import LENGTH, sfc

from sfc_lib.errors import UserError
from sfc_lib.genomics.dna import decode, reverse_complement
from sfc_lib.genomics.genome import Genome
from sfc_lib.own.bigwig import along_genome, as_bigwig, places_of


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("chr1:100-300", ("chr1", 100, False)),  # bedtools: from 0, without the end
        ("chr1:101-300", ("chr1", 100, False)),  # samtools: from 1, with it
        ("2:1-200", ("2", 0, False)),
        ("chrX:1,000-1,200(-)", ("chrX", 1000, True)),
        ("peak::HLA-A*01:5-205(+)", ("HLA-A*01", 5, False)),
        ("peak:7::chr1:5-205(.)", ("chr1", 5, False)),
    ],
)
def test_places_are_those_of_the_names(name, place):
    assert tuple(places_of([name], 200).iloc[0]) == place


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("s1", r"such as chr1:100-300, got 's1'\. Give peaks with --genome"),
        ("chr1:100-299(", "such as chr1:100-300"),
        ("chr1:100-400", r"places of 200 bp, as long as the sequences, got 'chr1:100-400', 300 bp"),
        ("chr1:0-199", "places of 200 bp"),  # from 1, at 0
    ],
)
def test_names_that_tell_no_place_of_the_sequences_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        places_of(["chr1:0-200", name], 200)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from("ab")), min_size=1))
def test_a_track_is_the_mean_over_all_sequences_that_cover_a_base(rows):
    width = 7
    places = pd.DataFrame(rows, columns=["start", "reverse", "chrom"])
    added = np.random.default_rng(0).normal(size=(len(rows), width))
    seen = {}
    for (start, reverse, chrom), values in zip(rows, added, strict=True):
        for place, value in enumerate(values[::-1] if reverse else values):
            seen.setdefault((chrom, start + place), []).append(value)
    track = along_genome(added, places)
    found = {
        (chrom, int(place)): mean
        for chrom, both in track.items()
        for place, mean in zip(*both, strict=True)
    }
    assert found.keys() == seen.keys()
    assert all((np.diff(where) > 0).all() for where, _ in track.values())
    for place, values in seen.items():
        assert found[place] == pytest.approx(np.mean(values))


def read(content, tmp_path):
    path = tmp_path / f"{hash(content)}.bw"
    path.write_bytes(content)
    return need("pybigtools", "SFC_REQUIRE_TOOLS").open(str(path))


def test_what_is_written_is_read_back_by_chromosome(tmp_path):
    places = places_of(["chr10:0-4", "chr2:6-10", "chr1:3-7", "chr1:5-9"], 4)
    need("pybigtools", "SFC_REQUIRE_TOOLS")
    added = np.arange(16.0).reshape(4, 4) / 8
    track = read(as_bigwig(added, places), tmp_path)
    assert track.chroms() == {"chr1": 9, "chr10": 4, "chr2": 10}
    assert list(track.records("chr2")) == [(6 + i, 7 + i, (4 + i) / 8) for i in range(4)]
    means = [8, 9, (10 + 12) / 2, (11 + 13) / 2, 14, 15]
    assert [value for *_, value in track.records("chr1")] == [mean / 8 for mean in means]


def test_explained_peaks_lie_on_the_genome_and_named_places_where_they_were_cut(trained, tmp_path):
    need("pybigtools", "SFC_REQUIRE_TOOLS")
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 3000))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "p.bed").write_text("chr1\t100\t200\nchr1\t1000\t1050\n")
    codes = Genome(tmp_path / "g.fa").codes("chr1", 120, 120 + LENGTH)[None]
    rows = [decode(codes)[0], decode(reverse_complement(codes))[0]]
    named = f">chr1:120-{120 + LENGTH}\n{rows[0]}\n>chr1:120-{120 + LENGTH}(-)\n{rows[1]}\n"
    (tmp_path / "s.fa").write_text(named)
    peaks = ("p.bed", "--genome", tmp_path / "g.fa")
    for file, *options in (peaks, ("s.fa",)):
        done = sfc("explain", trained / "symm", tmp_path / file, *options, "--bigwig",
                   "-o", tmp_path / "out" / file)  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "contributions.bw" in done.output
    tracks = [read((tmp_path / "out" / file / "contributions.bw").read_bytes(), tmp_path)
              for file in ("p.bed", "s.fa")]  # fmt: skip
    assert [track.chroms()["chr1"] for track in tracks] == [3000, 120 + LENGTH]
    one, two = (np.array(list(track.records("chr1", 120, 120 + LENGTH))) for track in tracks)
    np.testing.assert_allclose(one, two, atol=1e-5)
    table = pd.read_csv(tmp_path / "out" / "p.bed" / "sequences.tsv", sep="\t")
    row = table["name"].tolist().index(f"chr1:120-{120 + LENGTH}")
    arrays = [np.load(tmp_path / "out" / "p.bed" / f"{name}.npz")["arr_0"][row]
              for name in ("one_hot", "contributions")]  # fmt: skip
    np.testing.assert_allclose(one[:, 2], np.prod(arrays, axis=0).sum(axis=0), atol=1e-6)


def test_without_places_or_the_library_nothing_is_computed(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("sfc_lib.own.bigwig.require_pybigtools", lambda: None)
    done = sfc("explain", trained / "symm", trained / "pos.fa", "--bigwig", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "such as chr1:100-300, got 's0'" in done.output
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    imported = builtins.__import__

    def absent(name, *arguments, **options):
        if name == "pybigtools":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    done = sfc("explain", trained / "symm", trained / "pos.fa", "--bigwig", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert 'is not installed: pip install "sfc_lib[bigwig]"' in done.output
