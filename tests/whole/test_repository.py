"""What stands around the package names what is there: README, walks, manifest, workflows, pins."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from scripts import benchmark

import sfc_lib
from sfc_lib.cli import main
from sfc_lib.pages import doors
from sfc_lib.pages.book import chapters
from sfc_lib.pages.results import load_results

ROOT = Path(sfc_lib.__file__).resolve().parent.parent
WALKS = {
    "From the sentence in the book to the code of Figure 1",
    "Change the colour of symm",
    "Add a fifth dataset",
    "Add a readout to compare with",
    "What happens to my FASTA",
}
PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)


def text(name):
    return (ROOT / name).read_text()


def walks():
    """The text of each walk in CONTRIBUTING.md by its title."""
    parts = re.split(r"^##+ (.*)$", text("CONTRIBUTING.md"), flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {title: found[title] for title in WALKS}


def targets():
    return set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))


def shell_lines(markdown):
    """Commands of a Markdown text: lines of its bash blocks, and what stands in backticks."""
    for block in re.findall(r"```bash\n(.*?)```", markdown, re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL))


def commands(markdown):
    """Commands of `make` and `sfc` as lists of words, without comments."""
    for line in shell_lines(markdown):
        words = re.sub(r"^\S*bin/", "", re.split(r"\s#", line)[0].strip())
        if re.match(r"(make|sfc) [\w-]", words):
            yield shlex.split(words)


def problem(words):
    """What is wrong with a command of `sfc`: a verb or an option that there is not; None."""
    verb, rest = main, words[1:]
    while isinstance(verb, click.Group) and rest and not rest[0].startswith("-"):
        if rest[0] not in verb.commands:
            return f"no verb {rest[0]}"
        verb, rest = verb.commands[rest[0]], rest[1:]
    known = {"--help", "-h", "--version"} | {
        name for item in verb.params for name in [*item.opts, *item.secondary_opts]
    }
    bad = [word for word in rest if re.match(r"--?[a-z]", word) and word not in known]
    return f"no option {bad}" if bad else None


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_commands_are_ones_that_there_are(file):
    found = list(commands(text(file)))
    assert len(found) > 5
    for words in found:
        if words[0] == "make":
            assert words[1] in targets(), words
        else:
            assert problem(words) is None, words


def test_a_command_that_is_not_there_is_noticed():
    read = list(commands("```bash\nmake nothing\n.venv/bin/sfc runs burn  # all\n```"))
    assert read == [["make", "nothing"], ["sfc", "runs", "burn"]]
    assert problem(read[1]) == "no verb burn"
    assert problem(["sfc", "book", "--colour", "red"]) == "no option ['--colour']"
    assert problem(["sfc", "book", "--size", "quick"]) is None


@pytest.mark.parametrize("title", sorted(WALKS))
def test_a_walk_opens_three_files_at_most_which_are_there(title):
    steps = re.findall(r"^\d\. `([\w/.]+)`", walks()[title], re.MULTILINE)
    assert 1 <= len(steps) <= 3
    for name in steps:
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("title", sorted(WALKS))
def test_names_on_a_walk_stand_in_the_file_that_the_step_opens(title):
    walk = re.split(r"\n\n(?!\d\. )", walks()[title].strip())[0]  # the steps
    for step in re.split(r"^(?=\d\. )", walk, flags=re.MULTILINE)[1:]:
        file, *names = re.findall(r"`([^`]+)`", step)
        content = text(file)
        for name in (name for name in names if " " not in name):  # those with one are commands
            assert name.rpartition(".")[2] in content, (file, name)


def test_what_a_walk_mentions_beside_its_steps_is_there():
    for walk in walks().values():
        for name in re.findall(r"`((?:sfc_lib|notebooks|book|tests)/[\w/.]+)`", walk):
            assert (ROOT / name).is_file(), name


def test_every_line_of_the_manifest_names_a_command_and_what_it_makes():
    manifest = yaml.safe_load(text("codecheck.yml"))
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    for item in manifest["manifest"]:
        made = re.findall(r"make (\w+)", item["comment"])
        verbs = re.findall(r"\.venv/bin/(sfc [\w -]+)", item["comment"])
        assert made or verbs
        assert set(made) <= targets()
        assert [problem(verb.split()) for verb in verbs] == [None] * len(verbs)
        if item["file"].startswith("book/_executed"):
            name = Path(item["file"]).stem
            assert name in notebooks
            assert f"NAME={name}" in item["comment"]
    figures = {name for name in notebooks if name.startswith("figure")}
    assert figures <= {Path(item["file"]).stem for item in manifest["manifest"]}
    assert not {"certificate", "codechecker"} & set(manifest)


def test_one_version_everywhere():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    citation = yaml.safe_load(text("CITATION.cff"))
    assert project["version"] == sfc_lib.__version__ == citation["version"]
    assert project["license"] == citation["license"] == "MIT"
    assert (ROOT / "sfc_lib" / "py.typed").is_file()


def test_the_citation_and_the_manifest_are_of_one_paper():
    cited = yaml.safe_load(text("CITATION.cff"))["preferred-citation"]
    paper = yaml.safe_load(text("codecheck.yml"))["paper"]
    assert paper["title"] == cited["title"]
    names = [f"{author['given-names']} {author['family-names']}" for author in cited["authors"]]
    assert [author["name"] for author in paper["authors"]] == names
    assert paper["reference"].endswith(cited["doi"])


def test_binder_has_the_versions_of_the_lock_and_no_backend():
    locked, pinned = dict(PIN.findall(text("requirements.lock"))), {}
    for name, version in PIN.findall(text("binder/requirements.txt")):
        pinned[name] = version
        assert locked[name] == version, name
    assert not {"tensorflow", "jax", "torch"} & set(pinned)
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *text("binder/requirements.in").splitlines()]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in wanted if line[:1].isalpha()}
    assert names <= set(pinned)


@pytest.mark.parametrize("file", ["book.yml", "release.yml"])
def test_workflows_call_what_the_makefile_has(file):
    workflow = yaml.safe_load(text(f".github/workflows/{file}"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = [name for step in steps for name in re.findall(r"make (\w+)", step.get("run", ""))]
    assert set(called) <= targets()
    assert called or file == "release.yml"
    assert workflow["permissions"] == {"contents": "read"}
    published = [job for job in workflow["jobs"].values() if job.get("permissions")]
    assert published
    assert all("if" in job for job in published if "id-token" in job["permissions"])


def test_what_could_not_be_tried_says_so():
    for name in ("Dockerfile", ".github/workflows/book.yml", ".github/workflows/release.yml"):
        assert "untried" in text(name).lower()
    assert "Untried" in text("binder/README.md")
    assert "neither could be tried" in re.sub(r"\s+", " ", text("CONTRIBUTING.md"))


def test_the_contributing_page_is_in_the_book_and_the_walks_with_it():
    assert "contributing" in chapters(ROOT / "book")
    assert "{include} ../CONTRIBUTING.md" in text("book/contributing.md")


def test_readme_tables_are_written_by_make_readme():
    readme = text("README.md")
    for name in ("paths", "minutes"):
        begin, end = f"<!-- {name}: written by make readme -->", f"<!-- end of {name} -->"
        (part,) = re.findall(f"{begin}(.*?){end}", readme, re.DOTALL)
        rows = part.strip().splitlines()[2:]
        assert len(rows) >= 3
        assert all(re.search(r"\d", row) for row in rows)
    head = readme.partition("<!-- end of paths -->")[0]
    assert "(book/verdicts.png)" in head
    assert "(book/result.png)" in head
    assert "badge" not in head


@pytest.fixture(scope="module")
def readme():
    """The module benchmarks/readme.py."""
    return benchmark("readme")


def test_minutes_are_sums_of_the_records_and_of_what_reading_took(readme):
    results, quick = load_results("standard", jobs=0), load_results("quick", jobs=0)
    seconds = [record.result["cpu_seconds"] for record in quick.records]
    read, rerun, use = readme.paths(results, {"a": 1.1, "b": 2.3}).splitlines()[2:]
    assert "| 3 of one core to run its notebooks |" in read
    assert f"| {round(sum(seconds) / 60 / 2)} of training in two processes |" in rerun
    ctcf = results.runs[results.runs.experiment == "ctcf"].cpu_seconds.sort_values().tolist()
    half = len(ctcf) // 2
    assert f"| {(ctcf[half - 1] + ctcf[half]) / 120:.1f} to train" in use


def test_writing_the_tables_changes_nothing_else_in_the_readme(readme, tmp_path, monkeypatch):
    copy = tmp_path / "README.md"
    before = text("README.md")
    copy.write_text(before)
    monkeypatch.setattr(readme, "README", copy)
    monkeypatch.setattr(readme, "reading_minutes", lambda name: 7.3)
    readme.write_tables(load_results("standard", jobs=0))
    after = copy.read_text()
    tables = r"(<!-- (\w+): written by make readme -->).*?(<!-- end of \2 -->)"
    outside = [re.sub(tables, r"\1\3", version, flags=re.DOTALL) for version in (before, after)]
    assert outside[0] == outside[1]
    assert after.count("| 7.3 |") == len(readme.PAGES)


def test_pages_that_need_a_backend_are_notebooks_or_to_come():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert doors.NEED_BACKEND - {"playground"} <= notebooks
