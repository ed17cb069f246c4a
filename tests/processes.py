"""Fresh Python processes for tests, and waiting for what they do."""

import json
import subprocess
import sys
import time

import pytest

HEAD = """import json, os, sys
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.pool import ensure, run_one, sweep
specs = [RunSpec.from_dict(values) for values in json.loads(sys.argv[1])]
"""


def script(code, specs, *arguments, **options):
    """A process that runs `code` with `specs` and the library's verbs at hand.

    `arguments` are in `sys.argv[2:]`; `options` are those of `subprocess.Popen`.
    """
    values = json.dumps([spec.to_dict() for spec in specs])
    command = [sys.executable, "-c", HEAD + code, values, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **(pipes | options))


def finish(process):
    """What a process that must succeed wrote to stdout and stderr."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out, err


def wait_for(condition):
    """The first true value of `condition()`; fails after two minutes."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail("waited two minutes in vain")
