"""The benchmark of large accessibility sets: every step runs, and what is told of it is kept."""

import json

import pytest
from scripts import benchmark

from sfc_lib.datasets import base
from sfc_lib.datasets.accessibility import SimulatedAccessibility
from sfc_lib.files import checkout
from sfc_lib.genomics import genome

pytestmark = pytest.mark.skipif(checkout() is None, reason="needs the checkout")
SCALE = 0.001


@pytest.fixture
def scale(tmp_path, monkeypatch):
    """`benchmarks/accessibility_scale.py` as a module, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(base, "RECIPES", dict(base.RECIPES))
    monkeypatch.setattr(genome, "REGIONS", dict(genome.REGIONS))
    return benchmark("accessibility_scale")


def test_a_small_random_genome_is_built_and_read(scale):
    bases = scale.measured("genome", SCALE)["bases"]
    assert bases == 26 * 125_000
    built = scale.measured("build", SCALE)
    # 22 peaks of 150 bp with 100 bp on either side, on each of 24 chromosomes: four windows each
    assert built["windows"] == 24 * 22 * 4
    assert built["motifs"] > 0
    read = scale.measured("epoch", SCALE)
    assert min(read["sequences_per_second"], read["shuffles_per_second"]) > 0
    for step in (built, read):
        assert step["peak_gb"] > 0.05
        assert step["seconds"] >= 0


def test_windows_without_a_genome_are_counted_with_and_without_motifs(
    scale, shared_data, monkeypatch
):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    found = scale.measured("chain", 0.002)
    recipe = scale.Chain(scale=0.002)
    assert found["windows without min_motifs"] == recipe.expected()
    assert found["windows without summits"] == 208_376  # those of whole chromosomes, at any scale
    assert all(0 < found["windows"][split] < recipe.expected()[split] for split in base.SPLITS)
    chroms = {region.chrom: region.end for region in recipe.used_regions()}
    assert chroms["chr3"] == int(0.002 * 198_022_430)


def test_at_scale_1_it_is_the_set_that_the_library_builds(scale):
    summits = scale.pd.DataFrame(
        [(chrom, cell) for chrom in ("chr2", "chr3", "chrX") for cell in ("GM12878", "K562")],
        columns=["chrom", "cell_type"],
    )
    options = {"profile": "full", "background": "chain", "min_motifs": 1}
    of_library = SimulatedAccessibility(**options)
    assert scale.Chain().regions(summits) == of_library.regions(summits)
    assert scale.Chain().options == {**of_library.options, "scale": 1.0}


def test_a_limit_that_is_missed_is_named(scale):
    kept = {"windows": 2_178_418, "seconds": 899, "peak_gb": 3.9}
    assert scale.missed({"build": kept, "chain": {"peak_gb": 1.9}, "genome": {}}) == []
    found = {"build": kept | {"windows": 2_178_416}, "chain": {"peak_gb": 2.1}}
    assert scale.missed(found) == ["build: windows", "chain: peak_gb"]


def test_the_data_page_says_what_was_measured(scale):
    """Its windows, motifs, minutes and memory are those of the JSON."""
    found = json.loads(scale.RESULTS.read_text())
    assert scale.missed(found) == []
    chain = found["chain"]
    text = " ".join((checkout() / "data" / "README.md").read_text().split())
    part = text.partition("| all of hg19, `min_motifs=1`")[2]
    row = " | ".join(f"{chain['windows'][split]:,}" for split in base.SPLITS)
    assert f"| windows | {row} |" in part
    gone = [
        chain["windows without min_motifs"][split] - chain["windows"][split]
        for split in base.SPLITS
    ]
    assert f"| left out: no motif | {' | '.join(f'{count:,}' for count in gone)} |" in part
    left_out = chain["windows without summits"]
    every = sum(chain["windows without min_motifs"].values()) + left_out
    assert f"The steps give {every:,} windows" in part
    assert f"Of ours {left_out:,} lie on chr1, chr8 and chr21" in part
    assert f"{chain['motifs']:,} instances are inserted, none skipped" in part
    assert chain["motifs skipped"] == 0
    assert f"took {chain['cpu_seconds'] / 60:.1f} CPU minutes" in part
    assert f"at most {chain['peak_gb']:.2f} GB of memory" in part
    assert "`benchmarks/accessibility_scale.json`" in part
