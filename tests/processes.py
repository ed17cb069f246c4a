"""Fresh Python processes for tests, and waiting for what they do."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sfc_lib
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.worker import ONE_THREAD

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


# JAX compiles each step anew in every process, and these are run but a few times: quickly.
QUICKLY_COMPILED = {
    "XLA_FLAGS": f"{ONE_THREAD['XLA_FLAGS']} --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true"
}


class FailedError(Exception):
    """What code raised in another process, as text."""


SERVE = """
import contextlib, io, json, os, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    code, sys.argv[1:], environment = json.loads(line)
    os.environ.update(environment)
    said, fault = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(said):
            exec(code, {"__name__": "__main__"})
    except BaseException:
        fault = traceback.format_exc()
    print(json.dumps([said.getvalue(), fault]), file=answers, flush=True)
"""


class Backends:
    """A process for each backend that is asked for, which imports it once for many pieces of code.

    What runs on the backend of the tests themselves runs among them.
    """

    def __init__(self, own):
        self.own, self.started = own, {}

    def run(self, backend, code, *arguments):
        """What the code printed, run with these `sys.argv[1:]` and the `SFC_` variables of now."""
        arguments = [str(argument) for argument in arguments]
        if backend == self.own:
            return self._here(code, arguments)
        variables = {name: os.environ[name] for name in os.environ if name.startswith("SFC_")}
        process = self.started.get(backend) or self._start(backend)
        process.stdin.write(json.dumps([code, arguments, variables]) + "\n")
        process.stdin.flush()
        said, fault = json.loads(process.stdout.readline())
        if fault:
            raise FailedError(fault)
        return said

    def _here(self, code, arguments):
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
            patch.setattr(sys, "argv", ["-c", *arguments])
            exec(code, {"__name__": "__main__"})
        return said.getvalue()

    def _start(self, backend):
        library = str(Path(sfc_lib.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
        self.started[backend] = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            env={**os.environ, **QUICKLY_COMPILED, "KERAS_BACKEND": backend, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self.started[backend]

    def close(self):
        for process in self.started.values():
            process.kill()
            process.communicate()


def endless(values, root):
    """Stands for a run that takes for ever: an epoch is kept, and who trains it."""
    folder = Path(root) / RunSpec.from_dict(values).id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.jsonl").write_text("{}\n" if values["seed"] == 0 else "")
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(600)
