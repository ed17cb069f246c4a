"""Lives of a run, each in a process of its own that is killed, or whose disk is full.

Run as a script by `test_faults.py`: `python lives.py [[SPEC, PLAN], …]`, prints JSON, too. It
imports Keras once and forks for every life: while it has one thread that is safe, and a
life costs a fraction of a second instead of ten.
"""

import builtins
import errno
import gc
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from concurrent.futures import Executor, Future
from pathlib import Path

import keras
import numpy as np

from sfc_lib.errors import UserError
from sfc_lib.files import sha256_file
from sfc_lib.nn.layers import SeparableFC
from sfc_lib.runs import bundle, training
from sfc_lib.runs.pool import run_one
from sfc_lib.runs.spec import RunSpec
from sfc_lib.runs.store import verify_record


def in_a_fork(function, *arguments):
    """Start a function in a child; the child's id. It ends with 1 if the function raises."""
    assert "Threads:\t1\n" in Path("/proc/self/status").read_text()
    if child := os.fork():
        return child
    try:
        function(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state_of(folder):
    """Hashes of a record's files; None if it is none. What verifies must be the truth."""
    try:
        return verify_record(folder).result["files"]
    except UserError:
        return None


# Killed at random moments


def logged(spec, root, log):
    """Train, with a line in `log` at every epoch's begin."""
    begin = training.Progress.on_epoch_begin

    def on_epoch_begin(self, epoch, logs=None):
        begin(self, epoch, logs)
        with open(log, "a") as file:
            file.write(f"{epoch}\n")

    training.Progress.on_epoch_begin = on_epoch_begin
    run_one(spec.to_dict(), str(root))


def random_kills(spec, root, kills, seed):
    """Runs killed again and again until they are finished, until there were enough kills.

    Returns, for every run, the epochs that each life began, and the hashes it ended with. The
    first is not disturbed: half its time, for it may also compile, is how long lives may last.
    """
    rng, runs, done, span, log = random.Random(seed), [], 0, 0.0, root / "log"
    while not runs or done < kills:
        store, lives = root / str(len(runs)), []
        while state_of(store / spec.id) is None:
            log.write_text("")
            child = in_a_fork(logged, spec, store, log)
            wait(child, lambda: log.read_text())
            began = time.perf_counter()
            if runs and done < kills:
                end = began + rng.uniform(0, span)
                wait(child, lambda: time.perf_counter() > end)  # noqa: B023
                os.kill(child, signal.SIGKILL)
            status = ended(child)
            assert status in (0, -signal.SIGKILL), status
            span = span or (time.perf_counter() - began) / 2
            done += status != 0
            lives.append([int(line) for line in log.read_text().split()])
        files = sorted(path.name for path in (store / spec.id).iterdir())
        runs.append({"lives": lives, "hashes": state_of(store / spec.id), "files": files})
    return {"runs": runs, "kills": done}


def wait(child, condition):
    """Wait until a condition holds or the child is at its end."""
    glance = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while not condition() and os.waitid(os.P_PID, child, glance) is None:
        time.sleep(0.002)


# Struck at one point while files are written


class Fault:
    """Counts what is done to the record's files, and strikes at one point.

    A point is (operation, file, how often before): before it, or, of a write, at its half.
    """

    def __init__(self, folder, point=None, deed=None):
        self.folder, self.point, self.deed = folder, point, deed
        self.seen, self.points = {}, []

    def reached(self, operation, path):
        """Whether to strike here. Scratch files count as the file they will be."""
        path = Path(path)
        if self.folder not in path.parents and path != self.folder:
            return False
        inner = path.relative_to(self.folder).parts or ("folder",)
        name = inner[0]
        if name.startswith("."):  # .NAME.random.tmp
            name = ".".join(name[1:].split(".")[:-2])
        name = name if len(inner) == 1 else f"{name} scratch"
        number = self.seen.get((operation, name), 0)
        self.seen[operation, name] = number + 1
        self.points.append([operation, name, number])
        return self.point == self.points[-1]

    def strike(self):
        if self.deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.point = None
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def install(self):
        """Put this between the library and the functions that write."""
        fsync, replace, fdopen, opened = os.fsync, os.replace, os.fdopen, io.open

        def faulty_fsync(handle):
            if self.reached("fsync", os.readlink(f"/proc/self/fd/{handle}")):
                self.strike()
            fsync(handle)

        def faulty_replace(source, target):
            if self.reached("replace", target):
                self.strike()
            replace(source, target)

        def faulty_fdopen(handle, *arguments, **options):
            path = os.readlink(f"/proc/self/fd/{handle}")
            return Faulty(fdopen(handle, *arguments, **options), path, self)

        def faulty_open(file, mode="r", *arguments, **options):
            made = opened(file, mode, *arguments, **options)
            writes = set("wa+x") & set(mode) and isinstance(file, (str, os.PathLike))
            return Faulty(made, os.path.abspath(file), self) if writes else made

        os.fsync, os.replace, os.fdopen = faulty_fsync, faulty_replace, faulty_fdopen
        io.open = builtins.open = faulty_open


class Faulty:
    """A file that may be struck before or at the half of a write."""

    def __init__(self, file, path, fault):
        self.file, self.path, self.fault = file, path, fault

    def write(self, content):
        if self.fault.reached("write", self.path):
            self.fault.strike()
        if self.fault.reached("half of write", self.path):
            self.file.write(bytes(content)[: len(bytes(content)) // 2])
            self.file.flush()
            self.fault.strike()
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *error):
        return self.file.__exit__(*error)

    def __iter__(self):
        return iter(self.file)


def quick_fit(self, batches, initial_epoch, epochs, callbacks, shuffle, verbose):
    """Stands for training, because writing is what is under test here: new weights each epoch."""
    (progress,) = callbacks
    for epoch in range(initial_epoch, epochs):
        progress.on_epoch_begin(epoch)
        step = batches[0][0].mean() / (1 + epoch)
        self.set_weights([weight + step for weight in self.get_weights()])
        self.optimizer.iterations.assign_add(1)
        progress.on_epoch_end(epoch, {"loss": float(step)})


def quick_model(spec, dataset):
    """Stands for the network: one layer, whose few weights are soon made."""
    keras.utils.set_random_seed(spec.seed)
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, SeparableFC(2, name="sfc")(inputs))
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    return model


def quick_scores(labels, probabilities, names):
    return {"auroc": float(np.mean(probabilities)), "auprc": 0.5}


def stand_in():
    keras.Model.fit, training.compiled_model = quick_fit, quick_model
    training.metrics = quick_scores
    training.environment = lambda backend: {"backend": backend}  # it asks git, in a process
    training.predict = lambda model, _: np.abs(model.get_weights()[0])


def quickly(spec, root, fault):
    stand_in()
    fault.install()
    run_one(spec.to_dict(), str(root))


def listed(spec, root, file):
    fault = Fault(root / spec.id)
    quickly(spec, root, fault)
    os.write(os.open(file, os.O_WRONLY | os.O_CREAT), json.dumps(fault.points).encode())


def struck(spec, root, point, deed, file):
    try:
        quickly(spec, root, Fault(root / spec.id, point, deed))
    except OSError as error:
        os.write(os.open(file, os.O_WRONLY | os.O_CREAT), str(error).encode())
        os._exit(3)


def points_struck(spec, root, deed, every, thin):
    """Points of an uninterrupted run struck once, each in a new run that then goes on.

    Every `every`-th is taken, and of the many writes of zip files every `thin`-th. Returns
    the uninterrupted run's hashes and, for every point, how its life ended, what its error
    said, what the record was then, and its hashes and files at the end.
    """
    whole = root / "whole"
    assert ended(in_a_fork(listed, spec, whole, root / "points")) == 0
    points = json.loads((root / "points").read_text())
    is_zip = [operation.endswith("write") and "model" in name for operation, name, _ in points]
    zipped = [point for point, zipped in zip(points, is_zip, strict=True) if zipped][::thin]
    points = [point for point, zipped in zip(points, is_zip, strict=True) if not zipped][::every]
    points += zipped
    results = []
    for number, point in enumerate(points):
        store, message = root / str(number), root / f"{number}.error"
        status = ended(in_a_fork(struck, spec, store, point, deed, message))
        halfway = state_of(store / spec.id)
        last = ended(in_a_fork(quickly, spec, store, Fault(store / spec.id)))
        results.append({
            "point": point, "status": status, "last": last, "halfway": halfway,
            "message": message.read_text() if message.exists() else "",
            "hashes": state_of(store / spec.id),
            "files": sorted(path.name for path in (store / spec.id).iterdir()),
        })  # fmt: skip
        shutil.rmtree(store)
    hashes = {path.name: sha256_file(path) for path in (whole / spec.id).iterdir()}
    return {"whole": state_of(whole / spec.id), "now": hashes, "points": results}


# A bundle, killed while it is unpacked and trained


class Here(Executor):
    """Stands for the processes of a bundle: trains in this one."""

    def __init__(self, jobs, environment):
        os.environ.update(environment)

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def bundle_trained(folder, fault):
    stand_in()
    bundle.Processes = Here
    fault.install()
    bundle.train(folder, say=lambda _: None)


def bundle_listed(folder, file):
    fault = Fault(folder)
    bundle_trained(folder, fault)
    file.write_text(json.dumps(fault.points))


def bundle_kills(spec, root, packed, kills):
    """A bundle of one run, killed at so many points between its first write and its last.

    Returns the hashes of the undisturbed run and, for every point, how that life ended, what
    the record was then, and its hashes after one more call.
    """
    whole = Path(shutil.copytree(packed, root / "whole"))
    assert ended(in_a_fork(bundle_listed, whole, root / "points")) == 0
    points = json.loads((root / "points").read_text())
    results = []
    for number, place in enumerate(np.linspace(0, len(points) - 1, kills).astype(int)):
        folder = Path(shutil.copytree(packed, root / str(number)))
        status = ended(in_a_fork(bundle_trained, folder, Fault(folder, points[place], "kill")))
        halfway = state_of(folder / "runs" / spec.id)
        last = ended(in_a_fork(bundle_trained, folder, Fault(folder)))
        results.append({
            "point": points[place], "status": status, "halfway": halfway, "last": last,
            "hashes": state_of(folder / "runs" / spec.id),
        })  # fmt: skip
        shutil.rmtree(folder)
    return {"whole": state_of(whole / "runs" / spec.id), "kills": results}


if __name__ == "__main__":
    gc.freeze()  # a collection in every life would walk through all of TensorFlow
    makers = {"random": random_kills, "points": points_struck, "bundle": bundle_kills}
    results = []
    for values, plan in json.loads(sys.argv[1]):
        make, root = makers[plan.pop("mode")], Path(plan.pop("root"))
        root.mkdir()
        results.append(make(RunSpec.from_dict(values), root, **plan))
    print(json.dumps(results))
