"""Source files for tests, the HTTP server that misbehaves with them, and a process that fetches."""

import dataclasses
import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sfc_lib.genomics.sources import Source

# Long enough to come in several parts: a download is written in parts of 64 kB.
PLAIN = b"".join(hashlib.sha256(b"%d" % n).hexdigest().encode() + b"\n" for n in range(6000))
CONTENT = gzip.compress(PLAIN, mtime=0)
NAME = "folder/file.txt.gz"
CHILD = """
import json, resource, sys
from sfc_lib.errors import UserError
from sfc_lib.genomics import sources
fields, limit = json.loads(sys.argv[1]), int(sys.argv[2])
source = sources.Source(**{**fields, "addresses": tuple(fields["addresses"])})
sources.registry = lambda: {source.file: source}
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
try:
    print(sources.fetch(source.file))
except UserError as error:
    sys.exit(str(error))
"""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def a_source(*addresses, **changed):
    """The registry line of CONTENT, at these addresses."""
    source = Source(
        NAME, len(CONTENT), sha256(CONTENT), sha256(PLAIN), "", "", len(CONTENT),
        addresses or ("http://127.0.0.1:9/nowhere",), "none", "nobody (2000)",
    )  # fmt: skip
    return dataclasses.replace(source, **changed)


def fetching(source, folder, limit=0):
    """A process that fetches `source` into a cache folder; at most `limit` bytes a file."""
    arguments = [json.dumps(dataclasses.asdict(source)), str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env={**os.environ, "SFC_DATA_DIR": str(folder), "SFC_DATA_MIRROR": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's `behaviour[path]` says, one entry a request, the last for ever."""

    def do_GET(self):
        server, body = self.server, self.server.body
        server.requests.append(self.path)
        deeds = server.behaviour.get(self.path, ["fine"])
        deed = deeds.pop(0) if len(deeds) > 1 else deeds[0]
        if deed == "silent":
            server.released.wait()
            return
        if deed == "hang up":
            return
        self.send_response(int(deed) if deed.isdigit() else 200)
        promised = len(body)
        if deed == "wrong bytes":
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif deed == "captive portal":
            body = b"<html>Please log in</html>"
        elif deed == "empty":
            body = b""
        elif deed == "one byte more":
            body += b"x"
        elif deed == "decompressed":
            body = gzip.decompress(body)
        elif deed == "recompressed":
            body = gzip.compress(gzip.decompress(body), compresslevel=1, mtime=1)
        elif deed == "gzip on the way" and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        if deed.startswith("endless"):
            self.stream(b"\x1f\x8b" + b"x" * (1 << 16), chunked=deed == "endless in chunks")
            return
        cut = deed in ("truncated", "stalled", "held", "dripping")
        self.send_header("Content-Length", str(promised if cut else len(body)))
        self.end_headers()
        if deed == "dripping":
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                server.sent += 1
                if server.released.wait(0.02):
                    return
        self.wfile.write(body[: server.first] if cut else body)
        self.wfile.flush()
        if deed in ("stalled", "held"):
            server.released.wait()
        if deed == "held":
            self.wfile.write(body[server.first :])

    def stream(self, part, chunked):
        """Send the same part until nobody listens."""
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
            part = b"%x\r\n%b\r\n" % (len(part), part)
        self.end_headers()
        while not self.server.released.is_set():
            self.wfile.write(part)
            self.server.sent += len(part)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """A client that was killed or gave up is what these tests are about."""


@contextmanager
def serving(body=CONTENT):
    """A server on 127.0.0.1; set `behaviour`, `body`, `first` (bytes sent before a pause)."""
    with Server(("127.0.0.1", 0), Handler) as http:
        http.behaviour, http.body, http.requests = {}, body, []
        http.first, http.sent, http.released = len(body) // 2, 0, threading.Event()
        http.address = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http
        finally:
            http.released.set()
            http.shutdown()
            thread.join()
