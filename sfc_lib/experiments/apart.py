"""One call in a fresh process, for workers that do other things beside it.

Keras draws initial weights from Python's global random state, and so do dask's own
threads: trained inside a dask worker, a run would come out different each time. A fresh
process also gets its environment before anything is imported.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sfc_lib.files import UserError


def call_apart(environment: Mapping[str, str], function: Callable, *arguments: Any) -> Any:
    """What `function(*arguments)` returns or raises, called in a process that ends with this one.

    Args:
        environment: Added to this process's environment variables.
        function: One that can be pickled, as all that goes in and comes out.
        arguments: Of the function.

    Raises:
        UserError: The process was killed, or failed before it could say why.
    """
    command = [sys.executable, "-m", __name__]
    paths = os.pathsep.join(path for path in sys.path if path)  # where this process finds modules
    environment = {**os.environ, **environment, "PYTHONPATH": paths}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((function, arguments), process.stdin)
            process.stdin.flush()  # and left open: its end tells the process of ours
            answer = process.stdout.read()
        except BrokenPipeError:
            answer = b""
        except BaseException:
            process.kill()
            raise
    if not answer:
        raise UserError(f"the process of the run ended with status {process.returncode}.")
    value, error = pickle.loads(answer)
    if error is not None:
        raise error
    return value


def _answer() -> None:
    """The other side: read the call, make it, write the outcome where nothing else is printed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides, this process follows
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        function, arguments = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with_caller, daemon=True).start()
        try:
            outcome = pickle.dumps((function(*arguments), None))
        except Exception as error:
            outcome = pickle.dumps((None, portable(error)))
        output.write(outcome)


def _end_with_caller() -> None:
    os.read(0, 1)  # returns at the end of the caller, by whatever death
    os._exit(1)  # safe at any moment: records are written atomically


def portable(error: Exception) -> Exception:
    """The error itself, or its text where it doesn't survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    _answer()
