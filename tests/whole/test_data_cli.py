"""`sfc data …`: sizes before a fetch, bad files named, a dataset's card."""

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner
from servers import CONTENT, NAME, a_source, serving

import sfc_lib
from sfc_lib.cli import main
from sfc_lib.datasets import simulated_tf  # noqa: F401  (imported before the registry is replaced)
from sfc_lib.datasets.base import parse_options
from sfc_lib.genomics import sources


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SFC_DATA_MIRROR", "")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror folder with the one file that the registry has."""
    source = a_source()
    monkeypatch.setattr(sources, "registry", lambda: {NAME: source})
    monkeypatch.setattr(sources, "select", lambda patterns=(): [source])
    folder = tmp_path / "mirror"
    (folder / NAME).parent.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    return folder


def sfc(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_list_shows_sizes_licences_and_a_total():
    shown = sfc("data", "list").output
    assert "629,502 bytes        deeplift_simulation/sequences.simdata.gz  (the author's" in shown
    assert "about 75,000,000 bytes        hg19/full/chr1.fa.gz  (open data" in shown
    assert shown.splitlines()[-1].startswith("88 files, about 1,1")
    assert shown.splitlines()[-1].endswith("; 0 are here.")


def test_list_of_a_folder_with_what_to_cite():
    shown = sfc("data", "list", "encode_tf_k562", "--cite").output
    assert "10 files, about " in shown
    assert shown.count("https://") == 10
    assert shown.count("ENCODE-DREAM") == 10


def test_fetch_shows_sizes_and_the_total_first(mirror):
    done = sfc("data", "fetch", "--mirror", mirror)
    assert done.exit_code == 0
    path = sources.registry()[NAME].path
    assert (
        f"{len(CONTENT):,} bytes  {NAME}  from {mirror}\n1 files, {len(CONTENT):,} bytes, to "
        in (done.output)
    )
    assert done.output.endswith(f"{path}\n")
    assert sfc("data", "fetch", "--mirror", mirror).output == f"{path}\n"
    assert f"here  {NAME}" in sfc("data", "list").output


def test_fetch_looks_for_space_before_it_begins(mirror, monkeypatch):
    monkeypatch.setattr(sources, "MARGIN", 1 << 80)
    done = sfc("data", "fetch", "--mirror", mirror)
    assert done.exit_code == 1
    assert f"expected room for {len(CONTENT):,} bytes, got " in done.output


def test_offline_is_one_message_that_says_how_to_go_on(mirror, monkeypatch):
    done = sfc("data", "fetch")
    path = sources.registry()[NAME].path
    assert done.exit_code == 1
    assert f"{NAME} ({len(CONTENT):,} bytes): could not be downloaded:" in done.output
    assert "http://127.0.0.1:9/nowhere: no connection: [Errno " in done.output
    assert f"by other means as {path}" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    path.write_bytes(CONTENT)
    assert sfc("data", "fetch").output.endswith(f"{path}\n")


def test_verify_names_each_bad_file_and_fails(mirror):
    assert sfc("data", "verify").output == "0 files, 0 bad.\n"
    assert sfc("data", "verify", NAME).exit_code == 1
    sfc("data", "fetch", "--mirror", mirror)
    assert sfc("data", "verify").output == "1 files, 0 bad.\n"
    sources.registry()[NAME].path.write_bytes(gzip.compress(b"other"))
    done = sfc("data", "verify")
    assert done.exit_code == 1
    assert f"1 bad files:\n{NAME}: expected sha256 " in done.output


def test_verify_names_a_damaged_dataset_and_fails(mirror):
    folder = sfc_lib.load_dataset("simulated_tf", examples=40)
    path = Path(folder.train.labels.filename)
    assert sfc("data", "verify").output == "0 files, 0 bad. 1 datasets, 0 bad.\n"
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    done = sfc("data", "verify")
    assert done.exit_code == 1
    assert f"1 damaged datasets:\n{path}: expected sha256 " in done.output
    sfc_lib.load_dataset("simulated_tf", examples=40)
    assert sfc("data", "verify").exit_code == 0


def test_build_shows_the_card(shared_data):
    done = sfc("data", "build", "simulated_tf", "-o", "source", "deeplift", "--mirror", shared_data)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "2 files, 631,789 bytes, to " in done.output
    assert "simulated_tf (source=deeplift, examples=8000, seed=0)" in lines
    assert "train        6,400 sequences of 200 bp; positive:" in lines
    assert "               TAL1+GATA 1,577 (24.6%)" in lines
    assert "dropped      none" in lines
    assert "fingerprint  ef2ca16361aba0fdd79320d07384a068d62bec8e0400b959565df3b4b6745f08" in lines
    assert any(line.startswith("source       2 files of deeplift_simulation (") for line in lines)


def test_build_needs_no_source_for_generated_data():
    done = sfc("data", "build", "simulated_tf", "-o", "examples", 40)
    assert done.exit_code == 0
    assert "test         4 sequences of 200 bp; positive:" in done.output
    assert "source  " not in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulated"], "name must be one of ["),
        (["simulated_tf", "-o", "example", "40"], "has options ['source', 'examples', 'seed']"),
        (["simulated_tf", "-o", "examples", "many"], "must be an integer >= 0, got 'many'"),
        (["simulated_tf", "-o", "examples", "41"], "examples must be a multiple of 40"),
        (["simulated_tf", "-o", "source", "x"], "source must be one of ['generated', 'deeplift']"),
    ],
)  # fmt: skip
def test_bad_dataset_or_option_is_one_message(arguments, message):
    done = sfc("data", "build", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def test_options_get_the_types_of_the_recipe():
    options = parse_options("simulated_tf", {"source": "12", "examples": "40", "unknown": "x"})
    assert options == {"source": "12", "examples": 40, "unknown": "x"}


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [("window", "3", 3), ("window", "null", None), ("window", "None", "None"),
     ("window", "x", "x"), ("positives", "3", "3"), ("valid_fraction", "0.5", 0.5),
     ("valid_fraction", ".5", ".5"), ("valid_chromosomes", "a,b", ("a", "b"))],
)  # fmt: skip
def test_values_are_read_as_json(option, text, value):
    assert parse_options("custom", {option: text}) == {option: value}


def test_download_by_the_command(tmp_path, monkeypatch):
    with serving() as http:
        source = a_source(f"{http.address}/first")
        monkeypatch.setattr(sources, "registry", lambda: {NAME: source})
        monkeypatch.setattr(sources, "select", lambda patterns=(): [source])
        done = sfc("data", "fetch")
    assert done.exit_code == 0
    assert f"from {http.address.removeprefix('http://')}" in done.output
    assert source.path.read_bytes() == CONTENT
