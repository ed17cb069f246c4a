"""Source files: what the registry promises, and that nothing else ever gets a file's name."""

import gc
import gzip
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sfc_lib.files import data_dir, sha256_file
from sfc_lib.genomics import sources
from sfc_lib.genomics.sources import Source, SourceError, fetch, registry

CONTENT = b"ACGT" * 500
NAME = "folder/file.txt.gz"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SFC_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SFC_DATA_MIRROR", raising=False)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")


@pytest.fixture
def one_source(monkeypatch):
    """Function that makes the registry hold one file, of CONTENT, at an address."""

    def install(upstream="http://127.0.0.1:9/nowhere"):
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        source = Source(NAME, len(CONTENT), sha256, sha256, upstream, "none")
        monkeypatch.setattr(sources, "registry", lambda: {NAME: source})
        return source

    return install


@pytest.fixture
def mirror(tmp_path, monkeypatch, one_source):
    """Path of the file in a mirror folder that does not hold it yet."""
    one_source()
    path = tmp_path / "mirror" / NAME
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("SFC_DATA_MIRROR", str(tmp_path / "mirror"))
    return path


@pytest.fixture
def server(one_source):
    """A local HTTP server of the one source; set `status`, `body`, and read `requests`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests += 1
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(self.server.promised or len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.status, http.body, http.promised, http.requests = 200, CONTENT, None, 0
        http.source = one_source(f"http://127.0.0.1:{http.server_port}/some/where.gz")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def cached():
    """Names of all files in the download cache, lock files left out."""
    folder = data_dir() / "downloads"
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return [str(path.relative_to(folder)) for path in paths]


def test_every_line_of_the_registry_is_whole():
    assert len(registry()) >= 3
    for name, source in registry().items():
        assert source.file == name
        assert source.bytes > 0
        assert len(source.sha256) == len(source.sha256_of_decompressed) == 64
        assert source.upstream.startswith("https://")
        assert source.licence


def test_registry_describes_the_real_files(shared_data):
    for source in registry().values():
        path = shared_data / source.file
        assert path.stat().st_size == source.bytes
        assert sha256_file(path) == source.sha256
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert hashlib.sha256(content).hexdigest() == source.sha256_of_decompressed


def test_every_real_file_is_fetched_from_the_mirror(shared_data, monkeypatch):
    monkeypatch.setenv("SFC_DATA_MIRROR", str(shared_data))
    for name, source in registry().items():
        path = fetch(name)
        assert path == data_dir() / "downloads" / name
        assert sha256_file(path) == source.sha256
    assert sorted(cached()) == sorted(registry())


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(SourceError, match=r"no source file 'x'.*'deeplift_simulation/test.txt.gz'"):
        fetch("x")


def test_mirror_is_not_needed_once_the_file_is_here(mirror):
    mirror.write_bytes(CONTENT)
    assert fetch(NAME).read_bytes() == CONTENT
    mirror.unlink()
    assert fetch(NAME).read_bytes() == CONTENT


def test_wrong_bytes_in_the_mirror_are_refused(mirror):
    mirror.write_bytes(CONTENT[:-1] + b"A")
    with pytest.raises(SourceError, match=rf"{mirror}: expected sha256 [0-9a-f]{{64}}, got "):
        fetch(NAME)
    assert cached() == []


def test_file_missing_in_the_mirror_is_named(mirror):
    with pytest.raises(SourceError, match=rf"{mirror}: expected {NAME} in SFC_DATA_MIRROR"):
        fetch(NAME)
    assert cached() == []


def test_damaged_file_in_the_cache_is_replaced(mirror):
    mirror.write_bytes(CONTENT)
    fetch(NAME).write_bytes(CONTENT[:-1])
    assert fetch(NAME).read_bytes() == CONTENT


def test_download_gets_the_file_and_happens_once(server):
    path = fetch(NAME)
    assert path.read_bytes() == CONTENT
    assert fetch(NAME) == path
    assert server.requests == 1
    assert cached() == [NAME]


def test_damaged_file_is_downloaded_again(server):
    fetch(NAME).write_bytes(b"damaged")
    assert fetch(NAME).read_bytes() == CONTENT
    assert server.requests == 2


def test_mirror_keeps_the_server_out(mirror, server):
    """Also where the mirror lacks the file: offline must mean offline."""
    with pytest.raises(SourceError, match="SFC_DATA_MIRROR"):
        fetch(NAME)
    assert server.requests == 0


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pooch's, after an error
@pytest.mark.parametrize("failure", ["wrong bytes", "empty", "truncated", "500", "404", "refused"])
def test_failed_download_says_what_to_do_and_leaves_no_file(server, one_source, failure):
    source = server.source
    if failure == "wrong bytes":
        server.body = CONTENT[:-1] + b"A"
    elif failure == "empty":
        server.body = b""
    elif failure == "truncated":
        server.body, server.promised = CONTENT[:100], len(CONTENT)
    elif failure == "refused":
        source = one_source()
    else:
        server.status = int(failure)
    with pytest.raises(SourceError) as caught:
        fetch(NAME)
    message = str(caught.value)
    assert f"{NAME}: could not be downloaded from {source.upstream} (" in message
    assert f"It has {len(CONTENT):,} bytes." in message
    assert f"Place it by hand at {data_dir() / 'downloads' / NAME}" in message
    assert "SFC_DATA_MIRROR" in message
    assert cached() == []
    del caught
    gc.collect()


def test_file_placed_by_hand_is_taken(server):
    server.status = 500
    path = data_dir() / "downloads" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert fetch(NAME) == path
    assert server.requests == 0


def test_many_at_once_download_once(server):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: fetch(NAME), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.requests == 1
