"""Source files: what the registry promises, and that nothing else ever gets a file's name."""

import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import time
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import CONTENT, NAME, PLAIN, a_source, fetching, serving, sha256

from sfc_lib import files
from sfc_lib.errors import UserError
from sfc_lib.files import data_dir, open_content, sha256_file, stamp
from sfc_lib.genomics import sources
from sfc_lib.genomics.sources import (
    FULL,
    fetch,
    md5_of_region,
    mismatch,
    recheck,
    registry,
    select,
)

SEQUENCE = "NNNNacgtACGTnnRYGATTACA" * 40
MD5 = hashlib.md5(SEQUENCE[:500].upper().encode()).hexdigest()


def fasta(sequence, header=">chr9", width=50, end="\n"):
    lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return end.join([header, *lines, ""]).encode()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SFC_DATA_MIRROR", raising=False)
    monkeypatch.setattr(sources, "PAUSE", 0.01)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")


@pytest.fixture
def install(monkeypatch):
    """Function that makes the registry hold one file."""

    def install(source):
        monkeypatch.setattr(sources, "registry", lambda: {source.file: source})
        return source

    return install


@pytest.fixture
def mirror(tmp_path, monkeypatch, install):
    """Path of the file in a mirror folder that does not hold it yet."""
    install(a_source())
    path = tmp_path / "mirror" / NAME
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("SFC_DATA_MIRROR", str(tmp_path / "mirror"))
    return path


@pytest.fixture
def server(install):
    """A server whose addresses `/first` and `/second` are those of the one source."""
    with serving() as http:
        http.source = install(a_source(f"{http.address}/first", f"{http.address}/second"))
        yield http


def cached():
    """Names of all files in the download cache that do not begin with a dot."""
    folder = data_dir() / "downloads"
    return [str(p.relative_to(folder)) for p in folder.rglob("[!.]*") if p.is_file()]


def scratch():
    return list((data_dir() / "downloads").rglob(".*.tmp"))


# The registry


def test_every_line_of_the_registry_is_whole():
    for name, source in registry().items():
        assert source.file == name
        assert bool(source.bytes) == bool(source.sha256) == bool(source.sha256_of_decompressed)
        assert source.sha256 or name.startswith(FULL)
        assert {len(source.sha256), len(source.sha256_of_decompressed)} <= {0, 64}
        assert bool(source.region) == name.startswith("hg19/") == bool(source.md5_of_region)
        assert source.download_bytes == source.bytes or name.startswith("hg19/")
        assert all(address.startswith("https://") for address in source.addresses)
        assert source.addresses
        assert source.licence
        assert source.citation
        assert len(source.content_hash) in (32, 64)


def test_registry_has_all_of_hg19_for_the_full_regions():
    regions = [source.region.split(":") for source in select(["hg19/full"])]
    assert [name for name, _ in regions] == [f"chr{n}" for n in (*range(1, 23), "X", "Y")]
    assert sum(int(extent.removeprefix("0-")) for _, extent in regions) == 3_095_677_412


def test_registry_describes_the_real_files(shared_data):
    lines = (shared_data / "files.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} == {s.file for s in select()}
    for source in select():
        path = shared_data / source.file
        assert path.stat().st_size == source.bytes
        assert sha256_file(path) == source.sha256
        assert sha256(gzip.decompress(path.read_bytes())) == source.sha256_of_decompressed


def test_every_real_file_is_fetched_from_the_mirror(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    for source in select():
        assert fetch(source.file) == source.path == data_dir() / "downloads" / source.file
        assert sha256_file(source.path) == source.sha256
    assert sorted(cached()) == sorted(source.file for source in select())
    good, bad = recheck()
    assert (good, bad) == (select(), {})


@pytest.mark.parametrize(
    ("patterns", "number"),
    [((), 64), (["hg19"], 4), (["hg19/full"], 24), (["hg19/*"], 4), (["*/full/chr1*"], 11),
     (["encode_dnase/", "encode_dnase"], 2), (["hg19/chr20.fa.gz"], 1), (["*"], 88)],
)  # fmt: skip
def test_select_takes_names_folders_and_patterns(patterns, number):
    assert len(select(patterns)) == number


@pytest.mark.parametrize("ask", [fetch, lambda name: select([name])])
def test_unknown_name_is_told_similar_ones(ask):
    with pytest.raises(
        UserError, match=r"no source file 'hg19/chr2.fa.gz'. Similar: .*hg19/chr20.fa.gz"
    ):
        ask("hg19/chr2.fa.gz")


# What counts as the same content


@pytest.fixture
def region():
    """A source of which the extract of 500 bp in upper case is registered."""
    extract = fasta(SEQUENCE[:500].upper())
    packed = gzip.compress(extract, mtime=0)
    return a_source(
        file="hg19/chr9_0-500.fa.gz", bytes=len(packed), sha256=sha256(packed),
        sha256_of_decompressed=sha256(extract), region="chr9:0-500", md5_of_region=MD5,
    )  # fmt: skip


ACCEPTED = {
    "extract": gzip.compress(fasta(SEQUENCE[:500].upper()), mtime=0),
    "extract, otherwise compressed": gzip.compress(fasta(SEQUENCE[:500].upper()), 1),
    "whole chromosome, soft-masked": gzip.compress(fasta(SEQUENCE)),
    "plain": fasta(SEQUENCE),
    "other line lengths": fasta(SEQUENCE, width=61),
    "one line": fasta(SEQUENCE, width=10_000),
    "CRLF": fasta(SEQUENCE, end="\r\n"),
    "another header": fasta(SEQUENCE, header=">NC_000009.11 Homo sapiens"),
    "two gzip members": gzip.compress(fasta(SEQUENCE)[:99]) + gzip.compress(fasta(SEQUENCE)[99:]),
    "a genome that begins with it": fasta(SEQUENCE) + fasta("ACGT", header=">chr10"),
}
WHOLE = gzip.compress(fasta(SEQUENCE))
REFUSED = {
    "one base too few": fasta(SEQUENCE[:499]),
    "one base changed": fasta("A" + SEQUENCE[1:]),
    "shifted": fasta(SEQUENCE[1:]),
    "no header": fasta(SEQUENCE)[6:],
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "cut behind the region": WHOLE[:-9],
    "damaged behind the region": WHOLE[:-5] + bytes([WHOLE[-5] ^ 1]) + WHOLE[-4:],
    "gzip in name only": b"\x1f\x8b" + b"x" * 50,
    "spaces within": fasta(SEQUENCE.replace("A", " ")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_region_is_what_counts(tmp_path, region, name):
    path = tmp_path / "file.fa.gz"
    path.write_bytes(ACCEPTED[name])
    assert mismatch(path, region) is None


@pytest.mark.parametrize("name", REFUSED)
def test_other_sequence_is_refused_in_words(tmp_path, region, name):
    path = tmp_path / "file.fa.gz"
    path.write_bytes(REFUSED[name])
    assert f"expected chr9:0-500 with MD5 {MD5}, got " in mismatch(path, region)


def test_region_known_by_its_sequence_only(tmp_path, region):
    full = a_source(bytes=0, sha256="", sha256_of_decompressed="", region="chr9:0-500",
                    md5_of_region=MD5)  # fmt: skip
    path = tmp_path / "file.fa.gz"
    path.write_bytes(WHOLE)
    assert mismatch(path, full) is None
    path.write_bytes(b"")
    assert "expected chr9:0-500 with MD5" in mismatch(path, full)


def test_ucsc_chromosome_in_place_of_the_real_extract(shared_data, tmp_path):
    """The real chr22 extract made into what UCSC sends: longer, and partly in lower case."""
    (source,) = select(["hg19/chr22_*"])
    header, _, bases = gzip.decompress((shared_data / source.file).read_bytes()).partition(b"\n")
    bases = bases.replace(b"\n", b"")
    whole = header + b"\n" + bases[:17_000_000] + bases[17_000_000:].lower() + b"acgtNNNN" * 1000
    path = tmp_path / "chr22.fa.gz"
    path.write_bytes(gzip.compress(whole, 1))
    assert mismatch(path, source) is None
    path.write_bytes(gzip.compress(whole.replace(b"gattaca", b"gattacc", 1), 1))
    assert mismatch(path, source).startswith("expected chr22:0-22000000 with MD5")


@given(
    sequence=st.text("ACGTNacgtn", max_size=60),
    width=st.integers(1, 20),
    block=st.integers(1, 30),
    extent=st.tuples(st.integers(0, 70), st.integers(0, 70)),
)
def test_md5_of_any_region_in_any_blocks(sequence, width, block, extent):
    start, end = sorted(extent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", max(block, 6))  # the header is read in one
        found = md5_of_region(io.BytesIO(fasta(sequence, width=width)), start, end)
    assert found == hashlib.md5(sequence[start:end].upper().encode()).hexdigest()


# The mirror


def test_mirror_is_not_needed_once_the_file_is_here(mirror):
    mirror.write_bytes(CONTENT)
    assert fetch(NAME).read_bytes() == CONTENT
    mirror.unlink()
    assert fetch(NAME).read_bytes() == CONTENT


def test_wrong_bytes_in_the_mirror_are_refused(mirror):
    mirror.write_bytes(CONTENT[:-1] + b"A")
    with pytest.raises(UserError, match=rf"{mirror}: expected sha256 [0-9a-f]{{64}}, got "):
        fetch(NAME)
    assert cached() == scratch() == []


def test_file_missing_in_the_mirror_is_named(mirror):
    with pytest.raises(UserError, match=rf"{mirror}: expected {NAME} \(.* bytes\) in the mirror"):
        fetch(NAME)
    assert cached() == []


def test_mirror_that_is_no_folder_is_named(mirror, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", "/no/such/folder")
    with pytest.raises(UserError, match="SFC_DATA_MIRROR: expected a folder, got '/no/such"):
        fetch(NAME)


def test_mirror_keeps_the_server_out(mirror, server):
    """Also where the mirror lacks the file: offline must mean offline."""
    with pytest.raises(UserError, match="SFC_DATA_MIRROR"):
        fetch(NAME)
    assert server.requests == []


# Download


def test_download_gets_the_file_and_happens_once(server):
    path = fetch(NAME)
    assert path.read_bytes() == CONTENT
    assert fetch(NAME) == path
    assert server.requests == ["/first"]
    assert cached() == [NAME]
    assert scratch() == []


def test_every_real_file_is_downloaded_over_http(shared_data, monkeypatch, install):
    with serving() as http:
        for source in select(["encode_*/*", "hg19/chr22*", "deeplift_simulation"]):
            http.body = (shared_data / source.file).read_bytes()
            changed = {**vars(source), "addresses": (f"{http.address}/{source.file}",)}
            install(type(source)(**changed))
            assert sha256_file(fetch(source.file)) == source.sha256


@pytest.mark.parametrize(
    "deeds",
    [["500", "500", "fine"], ["503", "429", "fine"], ["truncated", "truncated", "fine"],
     ["hang up", "fine"]],
    ids=" ".join,
)  # fmt: skip
def test_what_may_pass_is_tried_again_at_the_same_address(server, deeds):
    server.behaviour["/first"] = list(deeds)
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first"] * len(deeds)
    assert scratch() == []


@pytest.mark.parametrize(
    ("deed", "tries"),
    [("500", 3), ("truncated", 3), ("hang up", 3), ("404", 1), ("403", 1), ("wrong bytes", 1),
     ("empty", 1), ("captive portal", 1), ("stalled", 1), ("silent", 1)],
)  # fmt: skip
def test_next_address_is_tried(server, deed, tries, monkeypatch):
    monkeypatch.setenv("SFC_DATA_TIMEOUT", "0.3")
    server.behaviour["/first"] = [deed]
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first"] * tries + ["/second"]


@pytest.mark.parametrize(
    ("deed", "reason"),
    [("wrong bytes", "expected sha256 "), ("empty", "expected sha256 "),
     ("captive portal", "(26 bytes)"), ("truncated", "the transfer broke off"),
     ("hang up", "the transfer broke off"), ("500", "HTTP status 500"), ("404", "HTTP status 404"),
     ("stalled", "no data for 0.3 s (SFC_DATA_TIMEOUT"), ("silent", "no data for 0.3 s"),
     ("refused", "no connection: [Errno ")],
)  # fmt: skip
def test_failed_download_says_what_to_do_and_leaves_no_file(
    server, install, monkeypatch, deed, reason
):
    monkeypatch.setenv("SFC_DATA_TIMEOUT", "0.3")
    source, server.behaviour = server.source, {"/first": [deed], "/second": [deed]}
    if deed == "refused":
        source = install(a_source("http://127.0.0.1:9/first", "http://127.0.0.1:9/second"))
    with pytest.raises(UserError) as caught:
        fetch(NAME)
    message = str(caught.value)
    assert message.startswith(f"{NAME} ({len(CONTENT):,} bytes): could not be downloaded:\n")
    for address in source.addresses:
        assert f"  {address}: " in message
    assert message.count(reason) == 2
    assert f"Save it from {source.addresses[0]} by other means as {source.path}" in message
    assert f"SFC_DATA_MIRROR to a folder that holds it as {NAME}" in message
    assert cached() == scratch() == []


@pytest.mark.parametrize("deed", ["endless", "endless in chunks"])
def test_download_without_an_end_is_stopped(server, install, deed):
    """At its registered size, or at ten times one that is known roughly."""
    server.behaviour["/first"] = [deed]
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first", "/second"]
    assert server.sent < len(CONTENT) + (1 << 24)  # what was under way
    server.source.path.unlink()
    server.behaviour["/second"] = [deed]
    with pytest.raises(UserError, match=f"more than {len(CONTENT):,} bytes came, so it is anoth"):
        fetch(NAME)
    install(dataclasses.replace(server.source, bytes=0))
    with pytest.raises(UserError, match=f"more than {10 * len(CONTENT):,} bytes came"):
        fetch(NAME)
    assert cached() == scratch() == []


@pytest.mark.parametrize("deed", ["one byte more", "decompressed"])
def test_a_download_of_more_than_the_registered_size_is_refused(server, deed):
    server.behaviour["/first"] = [deed]
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first", "/second"]
    server.source.path.unlink()
    server.behaviour["/second"] = [deed]
    with pytest.raises(UserError, match=f"more than {len(CONTENT):,} bytes came"):
        fetch(NAME)
    assert cached() == scratch() == []


def test_server_that_drips_is_given_up(server, monkeypatch):
    """Each byte comes in time, yet the file would take hours."""
    monkeypatch.setenv("SFC_DATA_TIMEOUT", "0.3")
    server.behaviour["/first"] = ["dripping"]
    began = time.monotonic()
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first", "/second"]
    assert time.monotonic() - began < 20
    server.source.path.unlink()
    server.behaviour["/second"] = ["dripping"]
    with pytest.raises(UserError, match=r"/second: only \d+ bytes came in 0\.\d s"):
        fetch(NAME)
    assert cached() == scratch() == []


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_timeout_must_be_a_number_above_0(server, monkeypatch, text):
    monkeypatch.setenv("SFC_DATA_TIMEOUT", text)
    with pytest.raises(UserError, match="SFC_DATA_TIMEOUT: expected seconds above 0, got"):
        fetch(NAME)
    assert server.requests == []


@pytest.mark.parametrize("deed", ["decompressed", "recompressed", "gzip on the way"])
def test_other_compression_of_the_same_content_is_accepted(server, install, deed):
    """Of a file whose size is known roughly."""
    install(dataclasses.replace(server.source, bytes=0))
    server.behaviour["/first"] = [deed]
    path = fetch(NAME)
    with open_content(path) as file:
        assert file.read() == PLAIN
    assert server.requests == ["/first"]
    assert fetch(NAME) == path
    assert len(server.requests) == 1


# What is in the cache already


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", b"damaged", CONTENT + b"x"])
def test_damaged_file_in_the_cache_is_replaced(server, damage, capfd):
    path = fetch(NAME)
    path.write_bytes(damage)
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first"] * 2
    assert f"{path}: expected sha256 " in capfd.readouterr().err


@pytest.mark.parametrize("content", [CONTENT, PLAIN, gzip.compress(PLAIN, 1, mtime=9)])
def test_file_placed_by_hand_is_taken(server, content):
    server.source.path.parent.mkdir(parents=True)
    server.source.path.write_bytes(content)
    assert fetch(NAME).read_bytes() == content
    assert server.requests == []


def test_wrong_file_placed_by_hand_is_named_and_never_used(server, capfd):
    server.behaviour = {"/first": ["404"], "/second": ["404"]}
    server.source.path.parent.mkdir(parents=True)
    server.source.path.write_bytes(b"something else")
    with pytest.raises(UserError, match="could not be downloaded"):
        fetch(NAME)
    assert f"got {sha256(b'something else')} (14 bytes)" in capfd.readouterr().err


def test_file_is_read_again_only_if_it_was_touched(server, monkeypatch):
    """The stamp is written once the file has rested; any write, even one that hides, ends it."""
    read = []
    check = sources.mismatch
    monkeypatch.setattr(sources, "mismatch", lambda *a: read.append(a) or check(*a))
    fetch(NAME)
    fetch(NAME)
    assert len(read) == 2  # too young to be sure
    monkeypatch.setattr(files, "SETTLED", -(10**12))
    fetch(NAME)
    assert len(read) == 3
    fetch(NAME)
    fetch(NAME)
    assert len(read) == 3
    before = server.source.path.stat()
    server.source.path.write_bytes(CONTENT[:-1] + b"A")
    os.utime(server.source.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == ["/first"] * 2


def test_damage_that_no_stamp_shows_is_found_by_recheck(server, monkeypatch):
    monkeypatch.setattr(files, "SETTLED", -(10**12))
    path = fetch(NAME)
    assert recheck() == ([server.source], {})
    path.write_bytes(CONTENT[:-1] + b"A")
    stamped = [server.source.content_hash, *stamp(path)]
    (path.parent / f".{path.name}.noted").write_text(json.dumps(stamped))
    assert fetch(NAME).read_bytes() != CONTENT  # as a failing disk would have it
    good, bad = recheck()
    assert good == []
    assert list(bad) == [NAME]
    assert bad[NAME].startswith(f"expected sha256 {server.source.sha256}, got ")
    assert fetch(NAME).read_bytes() == CONTENT
    assert recheck() == ([server.source], {})


def test_recheck_names_what_must_be_there_and_is_not(server):
    assert recheck() == ([], {})
    assert list(recheck([server.source])[1]) == [NAME]


@pytest.mark.parametrize("content", [b"", b"null", b"{", b"[1, 2]"])
def test_damaged_stamp_is_not_believed(server, content):
    path = fetch(NAME)
    path.write_bytes(b"damaged")
    (path.parent / f".{path.name}.noted").write_bytes(content)
    assert fetch(NAME).read_bytes() == CONTENT


# Space


def test_too_little_space_is_told_before_anything_is_asked_for(server, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 5, 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=rf"expected room for {len(CONTENT):,} bytes, got 5 "):
        fetch(NAME)
    assert server.requests == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("whence", ["mirror", "server"])
def test_full_disk_is_named_and_leaves_nothing(server, tmp_path, monkeypatch, whence):
    """The scratch file is one that the system never has space for."""
    path = server.source.path
    path.parent.mkdir(parents=True)
    (path.parent / f".{path.name}.tmp").symlink_to("/dev/full")
    if whence == "mirror":
        (tmp_path / NAME).parent.mkdir()
        (tmp_path / NAME).write_bytes(CONTENT)
        monkeypatch.setenv("SFC_DATA_MIRROR", str(tmp_path))
    with pytest.raises(UserError, match=rf"{path}: can't be obtained: no space is left") as told:
        fetch(NAME)
    assert told.value.__cause__.errno == errno.ENOSPC
    assert cached() == scratch() == []
    assert fetch(NAME).read_bytes() == CONTENT


def test_disk_that_fills_during_a_download_is_named_and_leaves_nothing(server, tmp_path):
    child = fetching(server.source, data_dir(), limit=len(CONTENT) - 1)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "can't be obtained: no space is left for its" in told
    assert "Traceback" not in told
    assert cached() == scratch() == []
    assert fetch(NAME).read_bytes() == CONTENT


def test_cache_that_can_not_be_a_folder_is_named(server):
    data_dir().write_text("a file")
    for obtain in (fetch, lambda name: sources.announce([server.source])):
        with pytest.raises(UserError, match=rf"{data_dir()}/downloads: expected a folder that can"):
            obtain(NAME)


# Processes


PART = 1 << 16  # bytes that a download writes at once


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


@pytest.mark.parametrize("first", [0, 1, len(CONTENT) // 2, len(CONTENT) - 1])
def test_kill_during_download_then_retry_gives_the_right_file(server, first):
    server.first, server.behaviour["/first"] = first, ["held", "fine"]
    child = fetching(server.source, data_dir())
    wait_for(
        lambda: server.requests and any(path.stat().st_size > first - PART for path in scratch())
    )
    child.kill()
    child.communicate()
    assert child.returncode == -9
    assert cached() == []
    assert len(scratch()) == 1
    assert fetch(NAME).read_bytes() == CONTENT
    assert cached() == [NAME]
    assert scratch() == []
    assert server.requests == ["/first"] * 2


def test_kills_at_any_moment_never_leave_a_wrong_file(server):
    """A file under its name is whole, whenever the process died."""
    moments, big = random.Random(0), os.urandom(3_000_000)
    server.body = gzip.compress(big, 1, mtime=0)
    source = a_source(
        f"{server.address}/first", bytes=len(server.body), download_bytes=len(server.body),
        sha256=sha256(server.body), sha256_of_decompressed=sha256(big),
    )  # fmt: skip
    for _ in range(6):
        child = fetching(source, data_dir())
        child.stdout.readline()
        time.sleep(moments.uniform(0, 0.06))
        child.kill()
        child.communicate()
        if source.path.exists():
            assert sha256_file(source.path) == source.sha256
            source.path.unlink()
    child = fetching(source, data_dir())
    child.communicate(timeout=60)
    assert sha256_file(source.path) == source.sha256
    assert scratch() == []


def test_eight_processes_at_once_download_once(server):
    server.behaviour["/first"] = ["held"]
    children = [fetching(server.source, data_dir()) for _ in range(8)]
    assert {child.stdout.readline() for child in children} == {"ready\n"}
    wait_for(lambda: server.requests)
    time.sleep(sources.GRACE + 0.5)  # so that the others have come to wait
    server.released.set()
    told = [child.communicate(timeout=60) for child in children]
    assert [out for out, _ in told] == [f"{server.source.path}\n"] * 8
    errors = [error for _, error in told]
    assert sum(f"{NAME}: {len(CONTENT):,} bytes from http" in error for error in errors) == 1
    waited = "waiting for another process that obtains file.txt.gz\n"
    assert errors.count(waited) == 7
    assert server.requests == ["/first"]
    assert server.source.path.read_bytes() == CONTENT
