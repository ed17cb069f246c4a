"""Download over HTTP: several addresses in turn, some failures tried again, progress shown.

A download that breaks off starts afresh; nothing of it is kept. pooch does the transfer.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import pooch
import requests

from sfc_lib.genomics.registry import Source, SourceError

TRIES = 3  # at each address, where trying again may help
PAUSE = 1.0  # seconds before the second try, then twice as many each time
PASSING = (429, 500, 502, 503, 504)  # HTTP statuses that may be other ones a moment later


def download(source: Source, arrive: Callable[[Callable[[BinaryIO], object]], str | None]) -> None:
    """Get a file from the first of its addresses that sends the right one.

    Server errors and broken transfers are tried again; wrong content, a server that stays
    silent and everything else lead to the next address.

    Args:
        source: The file.
        arrive: Is given a function that writes the file; says what is wrong with it, or None.

    Raises:
        SourceError: No address had it; each is named with the reason.
    """
    seconds, failures = timeout(), []
    for address in source.addresses:
        for attempt in range(TRIES):
            time.sleep(attempt and PAUSE * 2 ** (attempt - 1))
            try:
                problem = arrive(partial(_transfer, source, address))
            except (requests.RequestException, ValueError) as error:
                problem = _reason(error, seconds)
                if _passes(error) and attempt + 1 < TRIES:
                    continue
            if problem is None:
                return
            failures.append(f"  {address}: {problem}")
            break
    raise SourceError(_advice(source, failures))


def timeout() -> float:
    """Seconds without a byte after which a server is given up: `SFC_DATA_TIMEOUT`, or 30.

    Raises:
        SourceError: It is not a number above 0.
    """
    text = os.environ.get("SFC_DATA_TIMEOUT") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SourceError(f"SFC_DATA_TIMEOUT: expected seconds above 0, got {text!r}.")
    return seconds


def _transfer(source: Source, address: str, file: BinaryIO) -> None:
    print(f"{source.file}: {source.size} from {address}", file=sys.stderr, flush=True)
    transfer = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=1 << 16,
        timeout=timeout(),
        headers={"Accept-Encoding": "identity"},  # a .gz must come as it is
    )
    transfer(address, file, None)


def _passes(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return _broke_off(error) if response is None else response.status_code in PASSING


def _broke_off(error: Exception) -> bool:
    broken = isinstance(error, requests.exceptions.ChunkedEncodingError)
    return broken or "Connection aborted" in str(error)


def _reason(error: Exception, seconds: float) -> str:
    """The error in a few words: `requests` tells it in many."""
    if (response := getattr(error, "response", None)) is not None:
        return f"HTTP status {response.status_code}"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection for {seconds:g} s (SFC_DATA_TIMEOUT sets how long to wait)"
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return f"no data for {seconds:g} s (SFC_DATA_TIMEOUT sets how long to wait)"
    if _broke_off(error):
        return "the transfer broke off"
    if cause := re.search(r"\[Errno [^\]]*\] [\w ]+", str(error)):
        return f"no connection: {cause[0]}"
    return f"{type(error).__name__}: {error}"


def _advice(source: Source, failures: list[str]) -> str:
    return "\n".join(
        [
            f"{source.file} ({source.size}): could not be downloaded:",
            *failures,
            f"Save it from {source.addresses[0]} by other means as {source.path}, or set "
            f"SFC_DATA_MIRROR to a folder that holds it as {source.file}. It is checked and used.",
        ]
    )
