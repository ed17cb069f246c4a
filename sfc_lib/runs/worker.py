"""Processes that train: one thread and one Keras backend each, and they end with their parent.

Imports nothing but the standard library, so that a new process gets its environment before
NumPy or a backend reads it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import LifoQueue
from typing import Any

from sfc_lib.errors import UserError

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow would decide by the processor
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # a tenth faster, with the same results
}
MALLOPT = {-4: 0, -1: 2**31 - 1, -2: 256 << 20, -8: 1}  # mmap_max, trim_threshold, top_pad, arenas
SPAWN = multiprocessing.get_context("spawn")


class Processes(ThreadPoolExecutor):
    """An executor of `jobs` processes, which end with this one, by whatever death.

    Each is a `ProcessPoolExecutor` of its own, which a thread waits for: where one process of a
    pool dies (killed where memory is short, say), the pool ends all of them, and can't say
    whose run it was.

    Args:
        jobs: Calls made at once.
        environment: Variables of the processes beside `KERAS_BACKEND`.
    """

    def __init__(self, jobs: int, environment: Mapping[str, str] = ONE_THREAD) -> None:
        super().__init__(jobs)
        self._environment = dict(environment)
        self._theirs, self._line = SPAWN.Pipe(duplex=False)
        self._slots: LifoQueue[tuple[str, ProcessPoolExecutor | None]] = LifoQueue()
        for _ in range(jobs):
            self._slots.put(("", None))

    def submit(self, function: Callable, /, *arguments: Any, **options: Any) -> Future:
        """Call `function` in one of the processes; all that goes in and out is pickled.

        Its first argument is the values of a spec, whose backend decides on the process.
        """
        return super().submit(self._call, function, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the calls and end the processes; at once if not told to wait."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._line.close()
        super().shutdown()
        while not self._slots.empty():
            _end(self._slots.get()[1])
        self._theirs.close()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    def _call(self, function: Callable, values: Mapping, *arguments: Any, **options: Any) -> Any:
        backend, pool = self._slots.get()
        try:
            if pool is None or backend != values["backend"]:  # Keras has one a process
                _end(pool)
                backend = values["backend"]
                environment = self._environment | {"KERAS_BACKEND": backend}
                pool = ProcessPoolExecutor(1, SPAWN, prepare, (environment, self._theirs))
            return pool.submit(_portably, function, values, *arguments, **options).result()
        except BrokenProcessPool:
            _end(pool)
            pool = None
            raise UserError(
                "the process of the run died; the system kills one where memory is short."
            ) from None
        finally:
            self._slots.put((backend, pool))


def _end(pool: ProcessPoolExecutor | None) -> None:
    if pool is not None:
        pool.shutdown()


def prepare(environment: Mapping[str, str], line: Connection) -> None:
    """What a new process does first; it ends once the other end of `line` is closed."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, this process follows
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # TensorFlow takes and frees its activations each step; given back to the system every
        # time, they cost a third of the time in page faults.
        for option, value in MALLOPT.items():
            libc.mallopt(option, value)


def _end_with(line: Connection) -> None:
    with suppress(EOFError, OSError):
        line.recv()
    os._exit(1)  # safe at any moment: records are written atomically


def _portably(function: Callable, /, *arguments: Any, **options: Any) -> Any:
    """Call the function; an error that does not survive pickling is raised as its text."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise
