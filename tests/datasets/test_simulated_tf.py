"""The simulated TF data: the recipe holds on the authors' 8,000 sequences and on ours alike.

Statistical tests have fixed seeds, so they give the same p-value every time; p > 0.001 where
the recipe holds, and the counts are large enough for p to vanish where it does not.
"""

import csv
import gzip
import random

import numpy as np
import pytest
from scipy import stats

from sfc_lib.datasets.base import load_dataset
from sfc_lib.datasets.simulated_tf import (
    MOTIFS,
    SimulatedTF,
    Simulation,
    simulate,
)
from sfc_lib.genomics.dna import encode
from sfc_lib.genomics.motifs import RESOURCES, Motif, read_meme

SEQUENCES = "deeplift_simulation/sequences.simdata.gz"
TEST_NAMES = "deeplift_simulation/test.txt.gz"
WIDTHS = np.array([10, 16])
SOURCES = pytest.mark.parametrize("source", ["authors", "generated"])
EACH_MOTIF = pytest.mark.parametrize("index", [0, 1], ids=MOTIFS)


@pytest.fixture(scope="module")
def table(shared_data):
    """Rows of the authors' file, read without the library."""
    with gzip.open(shared_data / SEQUENCES, "rt", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def authors(table):
    """The authors' sequences as a `Simulation`; embeddings are like `pos-120_GATA_disc1-GCAG`."""
    instances = []
    for row, fields in enumerate(table):
        for embedding in filter(None, fields["embeddings"].split(",")):
            _, place, letters = embedding.split("-")
            start, name = place.split("_", 1)
            assert fields["sequence"][int(start) :][: len(letters)] == letters
            instances.append((row, MOTIFS.index(name), int(start)))
    labels = [[int(fields[f"task{task}"]) for task in (1, 2, 3)] for fields in table]
    return Simulation(encode([f["sequence"] for f in table]), np.array(labels), np.array(instances))


@pytest.fixture(scope="module")
def generated():
    return simulate(np.repeat(np.arange(4), 10_000), np.random.default_rng(0))


@pytest.fixture
def simulation(source, request):
    return request.getfixturevalue(source)


def coverage(simulation):
    """How many motif instances lie over each base."""
    covered = np.zeros(simulation.codes.shape, dtype=int)
    for row, motif, start in simulation.instances:
        covered[row, start : start + WIDTHS[motif]] += 1
    return covered


def counts(simulation):
    """Instances of each motif in each sequence, shape (examples, 2)."""
    found = np.zeros((len(simulation.codes), 2), dtype=int)
    np.add.at(found, tuple(simulation.instances[:, :2].T), 1)
    return found


def starts(simulation, index):
    return simulation.instances[simulation.instances[:, 1] == index, 2]


def instance_codes(simulation, index):
    """Bases at the recorded places of a motif, shape (instances, width)."""
    rows, _, start = simulation.instances[simulation.instances[:, 1] == index].T
    return simulation.codes[rows[:, None], start[:, None] + np.arange(WIDTHS[index])]


def goodness(observed, probabilities):
    """p-value that counts come from these probabilities."""
    observed = np.asarray(observed)
    return stats.chisquare(observed, observed.sum() * np.asarray(probabilities)).pvalue


@SOURCES
def test_background_composition(simulation):
    background = simulation.codes[coverage(simulation) == 0]
    assert goodness(np.bincount(background, minlength=4), [0.27, 0.23, 0.23, 0.27]) > 0.001


@SOURCES
def test_background_bases_are_independent(simulation):
    codes, free = simulation.codes, coverage(simulation) == 0
    both_free = free[:, :-1] & free[:, 1:]
    pairs = (4 * codes[:, :-1] + codes[:, 1:])[both_free]
    table = np.bincount(pairs, minlength=16).reshape(4, 4)
    assert stats.chi2_contingency(table).pvalue > 0.001


@SOURCES
@EACH_MOTIF
def test_counts_where_one_motif_is_present_are_poisson_2(simulation, index):
    found = counts(simulation)
    alone = found[(found[:, index] > 0) & (found[:, 1 - index] == 0), index]
    expected = stats.poisson(2).pmf([1, 2, 3])
    assert alone.max() == 3
    assert goodness(np.bincount(alone)[1:], expected / expected.sum()) > 0.001


@SOURCES
def test_counts_where_both_are_present_are_two_independent_poisson_1(simulation):
    found = counts(simulation)
    both = found[(found > 0).all(axis=1)]
    expected = stats.poisson(1).pmf([1, 2, 3])
    expected = np.outer(expected, expected).ravel() / expected.sum() ** 2
    assert both.max() == 3
    assert goodness(np.bincount(both @ [3, 1] - 4, minlength=9), expected) > 0.001


@SOURCES
def test_instances_lie_where_the_labels_say(simulation):
    present = counts(simulation) > 0
    expected = np.column_stack([present.all(axis=1), present])
    assert np.array_equal(simulation.labels, expected)


@SOURCES
def test_instances_never_overlap(simulation):
    assert coverage(simulation).max() == 1


@SOURCES
@EACH_MOTIF
def test_starts_reach_both_ends(simulation, index):
    found = starts(simulation, index)
    assert (found.min(), found.max()) == (0, 200 - WIDTHS[index])


@pytest.fixture(scope="module")
def single_motifs():
    """Enough lone instances to see starts that are but slightly uneven."""
    return simulate(np.repeat([1, 2], 100_000), np.random.default_rng(0))


@pytest.mark.parametrize("source", ["authors", "single_motifs"])
@EACH_MOTIF
def test_starts_of_lone_instances_are_uniform(simulation, index):
    rows, motifs, start = simulation.instances.T
    lone = (counts(simulation).sum(axis=1)[rows] == 1) & (motifs == index)
    bins = np.bincount(start[lone], minlength=201 - WIDTHS[index])
    assert goodness(bins, np.full(len(bins), 1 / len(bins))) > 0.001


@EACH_MOTIF
@pytest.mark.parametrize("kind", ["single", "both"])
def test_starts_are_distributed_as_the_authors(authors, generated, index, kind):
    samples = []
    for simulation in (authors, generated):
        rows, motifs, start = simulation.instances.T
        in_both = simulation.labels[rows, 0] == 1
        samples.append(start[(motifs == index) & (in_both == (kind == "both"))])
    assert stats.ks_2samp(*samples).pvalue > 0.001


@EACH_MOTIF
def test_distances_between_two_of_a_motif_are_as_the_authors(authors, generated, index):
    samples = []
    for simulation in (authors, generated):
        rows, motifs, start = simulation.instances.T
        chosen = (counts(simulation)[rows, index] == 2) & (motifs == index)
        order = np.lexsort((start[chosen], rows[chosen]))
        samples.append(np.diff(start[chosen][order].reshape(-1, 2)).ravel())
    assert stats.ks_2samp(*samples).pvalue > 0.001


@SOURCES
@EACH_MOTIF
def test_instances_recover_the_smoothed_matrix(simulation, index):
    matrix = read_meme(RESOURCES / "simulated_tf.meme")[MOTIFS[index]].probabilities
    expected = 0.999 * matrix + 0.00025
    columns = instance_codes(simulation, index).T
    observed = np.stack([np.bincount(column, minlength=4) for column in columns])
    expected *= columns.shape[1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2(3 * WIDTHS[index]).sf(statistic) > 0.001


@SOURCES
@pytest.mark.parametrize(
    ("index", "core"), [(0, {3: 2, 4: 0, 5: 3}), (1, {5: 1, 6: 0, 7: 2, 9: 3, 10: 2})], ids=MOTIFS
)
def test_instances_stand_on_the_forward_strand(simulation, index, core):
    found = instance_codes(simulation, index)[:, list(core)]
    assert (found == list(core.values())).all(axis=1).mean() > 0.99


def test_bases_at_the_recorded_places_and_no_others_are_the_motifs(monkeypatch):
    n_only = lambda motif, instances, rng: np.full((instances, motif.width), 4, dtype=np.uint8)  # noqa: E731
    monkeypatch.setattr(Motif, "sample", n_only)
    simulation = simulate(np.repeat(np.arange(4), 50), np.random.default_rng(0))
    assert np.array_equal(simulation.codes == 4, coverage(simulation) == 1)


def test_labels_are_those_of_the_classes_asked_for():
    labels = simulate(np.array([3, 2, 1, 0, 3]), np.random.default_rng(0)).labels
    assert labels.tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]]


def test_simulation_has_the_documented_dtypes():
    simulation = simulate(np.array([3]), np.random.default_rng(0))
    dtypes = [array.dtype for array in (simulation.codes, simulation.labels, simulation.instances)]
    assert dtypes == [np.uint8, np.uint8, np.int32]


@pytest.fixture
def splits():
    return SimulatedTF(examples=400).build()[0]


@pytest.mark.parametrize(("split", "per_class"), [("train", 1600), ("valid", 200), ("test", 200)])
def test_size_of_each_class_by_default(split, per_class):
    splits, dropped = SimulatedTF().build()
    classes, sizes = np.unique(splits[split].labels, axis=0, return_counts=True)
    assert classes.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1]]
    assert sizes.tolist() == [per_class] * 4
    assert dropped == {}


@pytest.mark.parametrize("examples", [40, 120, 8040])
def test_split_sizes_of_other_numbers_of_examples(examples):
    splits, _ = SimulatedTF(examples=examples).build()
    sizes = [len(splits[name]) for name in ("train", "valid", "test")]
    assert sizes == [examples * 8 // 10, examples // 10, examples // 10]


def test_classes_are_shuffled(splits):
    rows = splits["train"].labels @ [1, 2, 4]
    assert (np.diff(rows.astype(int)) != 0).mean() > 0.6


def test_same_seed_gives_the_same_data(splits):
    again = SimulatedTF(examples=400).build()[0]
    for name, split in splits.items():
        assert np.array_equal(split.codes, again[name].codes)
        assert np.array_equal(split.labels, again[name].labels)


def test_other_seed_gives_other_data(splits):
    other = SimulatedTF(examples=400, seed=1).build()[0]
    for name, split in splits.items():
        assert (split.codes == other[name].codes).mean() < 0.3


def test_splits_of_one_seed_share_nothing(splits):
    rows = [row.tobytes() for split in splits.values() for row in split.codes]
    assert len(set(rows)) == 400
    assert (splits["valid"].codes == splits["test"].codes).mean() < 0.3
    assert (splits["train"].codes[:40] == splits["test"].codes).mean() < 0.3


def test_global_random_state_is_left_alone():
    before = (random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    SimulatedTF(examples=40).build()
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


@pytest.mark.parametrize("source", ["paper", None, 1])
def test_bad_source_is_named(source):
    with pytest.raises(
        ValueError, match=rf"source must be one of .*'generated', .*, got {source!r}\."
    ):
        SimulatedTF(source=source)


@pytest.mark.parametrize("option", ["examples", "seed"])
@pytest.mark.parametrize("value", [-40, 40.0, "40", True, None])
def test_options_that_are_no_counts_are_named(option, value):
    with pytest.raises(ValueError, match=rf"{option} must be an integer >= 0, got {value!r}\."):
        SimulatedTF(**{option: value})


@pytest.mark.parametrize("examples", [0, 20, 100, 8001])
def test_examples_that_do_not_divide_evenly_are_named(examples):
    with pytest.raises(ValueError, match=rf"multiple of 40, 40 or more, got {examples}\."):
        SimulatedTF(examples=examples)


@pytest.mark.parametrize("option", [{"examples": 400}, {"seed": 1}])
def test_authors_file_takes_no_size_and_no_seed(option):
    with pytest.raises(ValueError, match="8000 examples and no seed; leave both out"):
        SimulatedTF(source="deeplift", **option)


@pytest.fixture
def deeplift(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    return load_dataset("simulated_tf", source="deeplift")


def rows_of(split, table):
    """Row numbers in the authors' file of a split's sequences, which are all different."""
    places = {encode([fields["sequence"]]).tobytes(): row for row, fields in enumerate(table)}
    assert len(places) == len(table)
    return np.array([places[codes.tobytes()] for codes in split.codes])


def test_authors_splits_and_their_sizes(deeplift, table):
    rows = [rows_of(split, table) for split in (deeplift.train, deeplift.valid, deeplift.test)]
    assert [len(split) for split in rows] == [6400, 800, 800]
    assert sorted(np.concatenate(rows)) == list(range(8000))
    assert set(rows[1] % 10) == {8}


def test_authors_test_split_is_the_published_list(deeplift, table, shared_data):
    with gzip.open(shared_data / TEST_NAMES, "rt") as file:
        names = file.read().split()
    rows = rows_of(deeplift.test, table)
    assert sorted(table[row]["seqName"] for row in rows) == sorted(names)
    assert set(rows % 10) == {9}


def test_authors_labels_stand_beside_their_sequences(deeplift, table):
    answers = np.array([[int(fields[f"task{task}"]) for task in (1, 2, 3)] for fields in table])
    for split in (deeplift.train, deeplift.valid, deeplift.test):
        expected = answers[rows_of(split, table)]
        assert np.array_equal(split.labels, expected)


def test_authors_data_have_2000_of_each_class(deeplift):
    labels = np.concatenate([deeplift.train.labels, deeplift.valid.labels, deeplift.test.labels])
    classes, sizes = np.unique(labels, axis=0, return_counts=True)
    assert classes.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1]]
    assert sizes.tolist() == [2000] * 4


def test_task_names_fit_the_authors_columns(deeplift, table):
    assert deeplift.task_names == ("TAL1+GATA", "GATA", "TAL1")
    names = {fields["seqName"].rsplit("_", 1)[0] for fields in table if fields["task2"] == "1"}
    assert names == {"gata_only", "gata_tal1"}
