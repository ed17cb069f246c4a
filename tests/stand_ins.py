"""What stands for a run in processes under test; light to import, as each of them does so."""

import os
import signal
import time
from pathlib import Path

from sfc_lib.runs.worker import ONE_THREAD


def wait_for_another(values, root):
    """Ends when as many run at once as its patience says; leaves its process and environment."""
    seen = "\n".join([str(os.getpid()), *(f"{name}={os.environ.get(name)}" for name in ONE_THREAD)])
    (Path(root) / str(values["seed"])).write_text(seen)
    until = time.monotonic() + 120
    while len(os.listdir(root)) < values["patience"]:
        assert time.monotonic() < until, "waited two minutes in vain"
        time.sleep(0.01)


def killed_if_seed_is_1(values, root):
    if values["seed"] == 1:
        killed(values)
    (Path(root) / str(values["seed"])).touch()


def killed(values):
    os.kill(os.getpid(), signal.SIGKILL)


def told(values, error):
    """Raises the error; where there is none, says where it was called."""
    if error:
        raise error
    return os.environ.get("SFC_TEST"), os.environ["KERAS_BACKEND"], os.getpid()


class UnportableError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def unportable(values):
    raise UnportableError("one", "two")


def page_faults(values):
    """Pages the system had to hand out for memory that is taken and freed again and again."""
    import resource

    b"x" * (1 << 26)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * (1 << 26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
