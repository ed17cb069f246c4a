"""Local processes that train runs: each is started once and serves many calls.

Unlike those of `ProcessPoolExecutor`, a process that dies (killed where memory is short,
say) fails its own call only, and one process never gets two Keras backends.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from sfc_lib.experiments.apart import portable
from sfc_lib.files import UserError

_SPAWN = multiprocessing.get_context("spawn")


class Workers(Executor):
    """An executor of `jobs` spawned processes, each with the given environment variables.

    Args:
        jobs: Calls that run at once.
        environment: Set in a process before it imports anything.
    """

    def __init__(self, jobs: int, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="worker")
        self._mine = threading.local()  # each thread has one process at a time
        self._alive: dict[Any, Connection] = {}
        self._starting = threading.Lock()  # held to start processes, and to stop them all
        self._stopped = False

    def submit(self, function: Callable, /, *arguments: Any, **options: Any) -> Future:
        """Call `function` in one of the processes; all that goes in and out is pickled.

        Its first argument is the values of a spec, whose backend decides on the process.
        """
        return self._threads.submit(self._call, function, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the calls and end the processes; at once if not told to wait."""
        if wait:
            self._threads.shutdown(cancel_futures=cancel_futures)
        with self._starting:
            self._stopped = True
            for process, pipe in list(self._alive.items()):
                pipe.close() if wait else process.terminate()
        self._threads.shutdown(cancel_futures=cancel_futures)
        for process in list(self._alive):
            process.join()

    def _call(self, function: Callable, values: Mapping, *arguments: Any, **options: Any) -> Any:
        process, pipe = self._process(values["backend"])
        try:
            pipe.send((function, (values, *arguments), options))
            value, error = pipe.recv()
        except (EOFError, OSError):
            process.join()
            self._alive.pop(process, None)
            self._mine.backend = None
            raise UserError(
                f"the process of the run died with exit status {process.exitcode}; "
                "a negative one is the signal that killed it, -9 often a lack of memory."
            ) from None
        if error is not None:
            raise error
        return value

    def _process(self, backend: str) -> tuple[Any, Connection]:
        """This thread's process; another one if it served another backend until now."""
        if getattr(self._mine, "backend", None) != backend:
            if getattr(self._mine, "backend", None):
                self._mine.pipe.close()  # ends the process
                self._alive.pop(self._mine.process, None)
            ours, theirs = _SPAWN.Pipe()
            environment = {**self._environment, "KERAS_BACKEND": backend}
            process = _SPAWN.Process(target=_serve, args=(theirs, environment), daemon=True)
            with self._starting:
                if self._stopped:
                    raise UserError("the sweep was interrupted before this run began.")
                process.start()
                self._alive[process] = ours
            theirs.close()
            self._mine.backend, self._mine.process, self._mine.pipe = backend, process, ours
        return self._mine.process, self._mine.pipe


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """In the process: answer calls until the other end is closed."""
    os.environ.update(environment)
    try:
        while True:
            function, arguments, options = pipe.recv()
            try:
                value, failure = function(*arguments, **options), None
            except Exception as error:
                value, failure = None, portable(error)
            pipe.send((value, failure))
    except (EOFError, OSError, KeyboardInterrupt):
        return
