"""Source files: what each must hold, and how it comes to be here: cache, local mirror, or download.

The registry says of every file what it must hold, where it comes from, and its licence. A
file gets its final name only after its content was checked. Environment variables:

- `SFC_DATA_DIR`: the cache; source files lie in its folder `downloads`.
- `SFC_DATA_MIRROR`: a folder that holds the files under their registry names; with it
  nothing is downloaded.
- `SFC_DATA_TIMEOUT`: seconds without data after which a server is given up, 30 by default.

requests does the transfer. pooch would wait for a whole block however slowly it drips, and
hashes a file's bytes, while here the same content counts, however it is compressed.
"""

from __future__ import annotations

import csv
import difflib
import errno
import gzip
import hashlib
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout
from tqdm import tqdm

from sfc_lib.errors import UserError
from sfc_lib.files import (
    SCRATCH,
    cache_folder,
    data_dir,
    forget,
    note,
    noted,
    open_content,
    sha256_file,
    stamp,
    sync_folder,
)
from sfc_lib.genomics.motifs import RESOURCES

if TYPE_CHECKING:
    import urllib3

FULL = "hg19/full/"  # 0.9 GB, fetched only when asked for
BLOCK = 1 << 20  # bytes read at once
GRACE = 1.0  # seconds before it is said that another process is waited for
MARGIN = 1 << 20  # bytes that must stay free on the disk
TRIES = 3  # at each address, where trying again may help
PAUSE = 1.0  # seconds before the second try, then twice as many each time
PASSING = (429, 500, 502, 503, 504)  # HTTP statuses that may be other ones a moment later
MOST = 10  # times its size that a server may send of a file whose size is known roughly
SLOWEST = 1000  # bytes a second, a third of what a modem of 1994 brought


@dataclass(frozen=True)
class Source:
    """One line of the registry.

    Attributes:
        file: Name, and path below the cache and below a mirror.
        bytes: Size of the file; 0 if only its sequence is known.
        sha256: Of the file's bytes; empty if only its sequence is known.
        sha256_of_decompressed: Of its content, whatever the compression; may be empty.
        region: For sequence, `chrom:start-end`, 0-based half-open; else empty.
        md5_of_region: MD5 of the region's upper-case sequence.
        download_bytes: What the addresses send; about that much where it differs from `bytes`.
        addresses: Tried in turn.
        licence: Under which it may be used.
        citation: What to cite.
    """

    file: str
    bytes: int
    sha256: str
    sha256_of_decompressed: str
    region: str
    md5_of_region: str
    download_bytes: int
    addresses: tuple[str, ...]
    licence: str
    citation: str

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, or will."""
        return data_dir() / "downloads" / self.file

    @property
    def content_hash(self) -> str:
        """Hash of what the file holds, however it is compressed; for fingerprints of datasets."""
        return self.sha256_of_decompressed or self.md5_of_region

    @property
    def size(self) -> str:
        """Bytes to be expected, for people to read."""
        return (
            f"{'' if self.expected_bytes == self.bytes else 'about '}{self.expected_bytes:,} bytes"
        )

    @property
    def expected_bytes(self) -> int:
        """Of the file in the mirror folder, if there is one, else of a download."""
        return (self.bytes if _mirror() else 0) or self.download_bytes

    @property
    def most_bytes(self) -> int:
        """More than so many are not taken from a server: the size, where that is registered."""
        return self.bytes if self.bytes == self.download_bytes else MOST * self.download_bytes


@cache
def registry() -> Mapping[str, Source]:
    """Every source file the library knows, by name.

    Example:

    >>> registry()["hg19/chr20.fa.gz"].region
    'chr20:0-63025520'
    """
    with open(RESOURCES / "registry.tsv", newline="") as file:
        sources = map(_source, csv.DictReader(file, delimiter="\t"))
        return MappingProxyType({source.file: source for source in sources})


def _source(row: dict[str, Any]) -> Source:
    sizes = {name: int(row[name] or 0) for name in ("bytes", "download_bytes")}
    return Source(**row | sizes | {"addresses": tuple(row["addresses"].split())})


def select(patterns: Sequence[str] = ()) -> list[Source]:
    """Sources by name, folder or pattern; without any, all but the full genome.

    Raises:
        UserError: A pattern that matches nothing; similar names are listed.

    Example:

    >>> [source.file for source in select(["hg19/chr[12]*"])]
    ['hg19/chr1_0-9876492.fa.gz', 'hg19/chr20.fa.gz', 'hg19/chr22_0-22000000.fa.gz']
    """
    if not patterns:
        return [source for name, source in registry().items() if not name.startswith(FULL)]
    chosen = dict[str, Source]()
    for pattern in patterns:
        found = {
            name: source
            for name, source in registry().items()
            if PurePosixPath(name).match(pattern)
            or PurePosixPath(name).parent == PurePosixPath(pattern)
        }
        chosen |= found or {pattern: _registered(pattern)}
    return list(chosen.values())


def _registered(name: str) -> Source:
    """The source of this name, or an error that lists similar names."""
    known = registry()
    if name in known:
        return known[name]
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"Similar: {similar}. " if similar else ""
    raise UserError(f"no source file {name!r}. {hint}`sfc data list` shows all {len(known)}.")


def fetch(name: str) -> Path:
    """Path of a source file on this machine, verified; obtained first if it is not here.

    A file is accepted if its bytes have the registered SHA-256, if its decompressed content
    has, or if its first sequence has the registered MD5 over the registered region. So a
    whole chromosome of UCSC is accepted where an extract is registered; it then holds more
    than the region, and lower case. A download ends at the registered size, so the same content
    in more bytes counts only in a mirror, or placed by hand. Several processes at once obtain a
    file once.

    Args:
        name: Of the registry.

    Raises:
        UserError: Unknown name; neither mirrored nor downloadable; wrong content; or no
            place to write it. The message says how to place the file by hand.
    """
    source = _registered(name)
    if noted(source.path) == source.content_hash:  # it was found right, and not touched since
        return source.path
    cache_folder("downloads")
    with _writing(source), _locked(source.path):
        if not _is_right(source):
            _obtain(source)
    return source.path


def missing(sources: Sequence[Source]) -> list[Source]:
    """Those sources of which nothing is in the cache yet."""
    return [source for source in sources if not source.path.is_file()]


def recheck(sources: Sequence[Source] | None = None) -> tuple[list[Source], dict[str, str]]:
    """Read every file in the cache again, and compare its content with the registry.

    Args:
        sources: Those that must be there and right; by default, those that are there.

    Returns:
        The good ones, and what is wrong with each of the others, by name.
    """
    if sources is None:
        sources = [source for source in registry().values() if source.path.exists()]
    good, bad = [], {}
    for source in sources:
        if not source.path.exists():
            bad[source.file] = f"expected a file at {source.path}, got none"
        elif problem := mismatch(source.path, source):
            bad[source.file] = problem
            forget(source.path)
        else:
            good.append(source)
    return good, bad


def announce(sources: Sequence[Source]) -> str:
    """What obtaining these sources will bring here: each size, from where, and the total."""
    mirror, folder = _mirror(), cache_folder("downloads")
    lines = [
        f"{source.size:>23}  {source.file}  from {mirror or source.addresses[0].split('/')[2]}"
        for source in sources
    ]
    total = sum(source.expected_bytes for source in sources)
    about = "about " if any(source.size.startswith("about") for source in sources) else ""
    free = shutil.disk_usage(folder).free
    total_line = f"{len(sources)} files, {about}{total:,} bytes, to {folder} ({free:,} free)."
    return "\n".join([*lines, total_line])


def check_space(sources: Sequence[Source]) -> None:
    """Make sure that there is room for these source files in the cache.

    Raises:
        UserError: There is not; needed and free bytes are named.
    """
    folder, needed = cache_folder("downloads"), sum(source.expected_bytes for source in sources)
    if needed + MARGIN > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"{folder}: expected room for {needed:,} bytes, got {free:,} bytes free. "
            "Free some, or set SFC_DATA_DIR to a folder on a larger disk."
        )


def _mirror() -> Path | None:
    folder = os.environ.get("SFC_DATA_MIRROR")
    if folder and not Path(folder).is_dir():
        raise UserError(f"SFC_DATA_MIRROR: expected a folder, got {folder!r}.")
    return Path(folder) if folder else None


@contextmanager
def _writing(source: Source) -> Iterator[None]:
    """Tell a full disk or a folder that can't be written to in one message."""
    try:
        source.path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = f"no space is left for its {source.size}" if full else str(error)
        raise UserError(
            f"{source.path}: can't be obtained: {what}. Nothing half-written is kept. "
            "Mend that, or set SFC_DATA_DIR to another folder."
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=GRACE)
    except Timeout:
        print(f"waiting for another process that obtains {path.name}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_right(source: Source) -> bool:
    """Whether the right file is in the cache, which is then noted; a wrong one is named."""
    if not source.path.exists():
        return False
    before, began = stamp(source.path), time.time_ns()
    if problem := mismatch(source.path, source):
        print(f"{source.path}: {problem}; obtained again", file=sys.stderr, flush=True)
        return False
    note(source.path, source.content_hash, before, began)
    return True


def mismatch(path: Path, source: Source) -> str | None:
    """What is wrong with the file at `path`; None if it is what the registry describes.

    It is, if the SHA-256 of its bytes is the registered one; or, for sequence, the MD5 of
    the upper-case sequence of the region; or else the SHA-256 of its decompressed content.
    It may be compressed or plain. It is read to its end, so that a cut one is found out.
    """
    found = sha256_file(path)
    if found == source.sha256:
        return None
    got = f"got {found} ({path.stat().st_size:,} bytes)"
    expected = f"expected sha256 {source.sha256}"
    try:
        with open_content(path) as file:
            if not source.region:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                return None if found == source.sha256_of_decompressed else f"{expected}, {got}"
            start, end = map(int, source.region.partition(":")[2].split("-"))
            expected = f"expected {source.region} with MD5 {source.md5_of_region}"
            md5 = md5_of_region(file, start, end)
            return None if md5 == source.md5_of_region else f"{expected}, got MD5 {md5}"
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        return f"{expected}, {got}, which can't be read: {error}"


def md5_of_region(file: BufferedIOBase, start: int, end: int) -> str:
    r"""MD5 of the upper-case sequence from `start` to `end` of a FASTA file's first record.

    Args:
        file: FASTA, decompressed, opened for bytes; it is read to its end.
        start: First base, 0-based.
        end: Base after the last one.

    Raises:
        ValueError: It does not begin with a FASTA header.

    Example:

    >>> import io
    >>> md5_of_region(io.BytesIO(b">chr1\nacgt\nACGT\n"), 0, 4)
    'f1f8f4bf413b16ad135722aa4591043e'
    """
    header = file.readline(BLOCK)
    if not header.startswith(b">"):
        raise ValueError(f"expected a FASTA header, which begins with '>', got {header[:20]!r}")
    digest, position = hashlib.md5(usedforsecurity=False), 0
    while block := file.read(BLOCK):
        bases = block.translate(None, b"\r\n").upper()
        digest.update(bases[max(0, start - position) : max(0, end - position)])
        position += len(bases)
    return digest.hexdigest()


def _obtain(source: Source) -> None:
    check_space([source])
    mirror = _mirror()
    if mirror is None:
        _download(source)
        return
    path = mirror / source.file
    if not path.is_file():
        raise UserError(
            f"{path}: expected {source.file} ({source.size}) in the mirror folder, got no such "
            f"file. Place it there (it comes from {source.addresses[0]}), or unset "
            "SFC_DATA_MIRROR to download it."
        )
    with open(path, "rb") as original:
        if problem := _arrive(source, lambda file: shutil.copyfileobj(original, file)):
            raise UserError(f"{path}: {problem}.")


def _arrive(source: Source, write: Callable[[BinaryIO], object]) -> str | None:
    """Let `write` fill a scratch file that gets the final name if it is right; else say why not."""
    scratch = source.path.with_name(f".{source.path.name}{SCRATCH}")  # one writer: we hold the lock
    try:
        with open(scratch, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if problem := mismatch(scratch, source):
            return problem
        os.replace(scratch, source.path)
        sync_folder(source.path.parent)
        return None
    finally:
        scratch.unlink(missing_ok=True)


def _download(source: Source) -> None:
    """Get a file from the first of its addresses that sends the right one.

    Raises:
        UserError: No address did; each is named with the reason.
    """
    failures = []
    for address in source.addresses:
        if (problem := _problem(source, address)) is None:
            return
        failures.append(f"  {address}: {problem}")
    raise UserError(
        f"{source.file} ({source.size}): could not be downloaded:\n" + "\n".join(failures) + "\n"
        f"Save it from {source.addresses[0]} by other means as {source.path}, or set "
        f"SFC_DATA_MIRROR to a folder that holds it as {source.file}. It is checked and used."
    )


def _problem(source: Source, address: str) -> str | None:
    """Why a file could not be had from an address; None if it is here.

    Server errors and broken transfers are tried again, wrong content and all else are not.
    """
    import requests
    import urllib3

    problem = None
    for attempt in range(TRIES):
        time.sleep(attempt and PAUSE * 2 ** (attempt - 1))
        try:
            return _arrive(source, partial(_transfer, source, address))
        except (_GivenUpError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            problem, passes = _reason(error)
            if not passes:
                break
    return problem


def _timeout() -> float:
    """Seconds without data after which a server is given up: `SFC_DATA_TIMEOUT`, or 30."""
    text = os.environ.get("SFC_DATA_TIMEOUT") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"SFC_DATA_TIMEOUT: expected seconds above 0, got {text!r}.")
    return seconds


class _GivenUpError(Exception):
    """We ended the transfer; the message says why."""


def _transfer(source: Source, address: str, file: BinaryIO) -> None:
    import requests

    seconds = _timeout()
    print(f"{source.file}: {source.size} from {address}", file=sys.stderr, flush=True)
    headers = {"Accept-Encoding": "identity"}  # a .gz must come as it is
    with (
        requests.get(address, stream=True, timeout=seconds, headers=headers) as response,
        tqdm(total=source.download_bytes, unit="B", unit_scale=True, disable=None) as bar,
    ):
        response.raise_for_status()
        for piece in _watched(response.raw, source.most_bytes, seconds):
            file.write(piece)
            bar.update(len(piece))


def _watched(raw: urllib3.HTTPResponse, most: int, seconds: float) -> Iterator[bytes]:
    """Pieces of a response as they come, as long as they are neither too many nor too slow."""
    got, before, since = 0, 0, time.monotonic()
    while piece := raw.read1(BLOCK):
        got += len(piece)
        if got > most:
            raise _GivenUpError(f"more than {most:,} bytes came, so it is another file")
        if (waited := time.monotonic() - since) > seconds:
            if got - before < SLOWEST * waited:
                raise _GivenUpError(f"only {got - before:,} bytes came in {waited:.1f} s")
            before, since = got, time.monotonic()
        yield piece


def _reason(error: Exception) -> tuple[str, bool]:
    """The error in a few words (requests tells it in many), and whether it may pass."""
    import requests
    import urllib3

    waited = f"for {_timeout():g} s (SFC_DATA_TIMEOUT sets how long to wait)"
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP status {response.status_code}", response.status_code in PASSING
    if isinstance(error, _GivenUpError):
        return str(error), False
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection {waited}", False
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return f"no data {waited}", False
    if isinstance(error, urllib3.exceptions.ProtocolError) or "Connection aborted" in str(error):
        return "the transfer broke off", True
    if cause := re.search(r"\[Errno [^\]]*\] [\w ]+", str(error)):
        return f"no connection: {cause[0]}", False
    return f"{type(error).__name__}: {error}", False
