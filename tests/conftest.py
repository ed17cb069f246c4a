"""What every test gets: TensorFlow on the CPU, folders of its own, the real data where it is."""

import importlib.util
import os
import signal
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{tempfile.gettempdir()}/hypothesis")

import hypothesis
import pytest

from sfc_lib.runs.worker import ONE_THREAD

os.environ.update(ONE_THREAD)  # as where runs are trained, so that bits agree

# A shell's background job ignores Ctrl-C, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What a process has written outlives it without this: only power cuts need it, which no test has.
os.fsync = lambda handle: None

CHROMIUM = Path("/usr/bin/chromium")
REPOSITORY = Path(__file__).resolve().parent.parent

# The same examples every time, so that a failure in CI is the failure at home.
hypothesis.settings.register_profile(
    "sfc", derandomize=True, database=None, deadline=None, max_examples=25
)
hypothesis.settings.load_profile("sfc")


def pytest_configure(config):
    """Warnings are errors, except one of NumPy 2 at TensorFlow's own arrays, met on saving."""
    message = "__array__ implementation doesn't accept a copy keyword"
    config.addinivalue_line("filterwarnings", f"ignore:{message}:DeprecationWarning")


# Files of tests that take minutes: begun first, so that no process is left alone with one.
LONGEST = ("test_book", "test_training", "test_pool", "test_faults", "test_report", "test_bundle")


def pytest_collection_modifyitems(items):
    """The longest files first; otherwise in the order of their paths."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Temporary folder of the whole test session, one for all of its processes."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _data_dir(shared_folder, tmp_path_factory):
    """Downloads and built datasets go to one temporary folder, shared by all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_DATA_DIR", str(shared_folder / "data"))
        patch.setenv("SFC_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(autouse=True)
def _runs_dir(tmp_path, monkeypatch):
    """Every test starts without run records."""
    monkeypatch.setenv("SFC_RUNS_DIR", str(tmp_path / "runs"))


@pytest.fixture
def written(request, tmp_path):
    """Function that writes text or bytes to a file, by default the module's `FILE_NAME`."""

    def write(content, name=None):
        path = tmp_path / (name or request.module.FILE_NAME)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def _missing(variable, reason):
    """Skip for `reason`, or fail where the environment says that nothing may be missing."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real input files; `SFC_REQUIRE_DATA=1` turns its absence into a failure."""
    mirror = os.environ.get("SFC_DATA_MIRROR")
    folder = Path(mirror) if mirror else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        _missing("SFC_REQUIRE_DATA", f"there is no data at {folder}; set SFC_DATA_MIRROR to it")
    return folder


@pytest.fixture(scope="session")
def require_backend():
    """Function that skips unless a Keras backend is installed.

    `SFC_REQUIRE_BACKENDS=1` turns that into a failure.
    """

    def require(name):
        if importlib.util.find_spec(name) is None:
            _missing("SFC_REQUIRE_BACKENDS", f"the optional backend {name} is not installed")

    return require


@pytest.fixture(scope="session")
def on_backend(require_backend):
    """Function that runs code on a Keras backend: `on_backend(name, code, *arguments)`.

    Skips as `require_backend`. Returns what the code printed, raises what it raised.
    """
    from processes import Backends

    backends = Backends(os.environ["KERAS_BACKEND"])

    def run(backend, code, *arguments):
        require_backend(backend)
        return backends.run(backend, code, *arguments)

    yield run
    backends.close()


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; `SFC_REQUIRE_CHROMIUM=1` turns its absence into a failure."""
    if not CHROMIUM.is_file():
        _missing("SFC_REQUIRE_CHROMIUM", f"there is no {CHROMIUM} to open pages with")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def finished(shared_folder):
    """A store with finished records of `tiny.TINY` with seeds 0 and 1; copy from it.

    They are trained once in a session: a process that comes second waits for the first.
    """
    from tiny import tiny

    from sfc_lib.runs.pool import sweep

    root = shared_folder / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_RUNS_DIR", str(root))
        sweep([tiny(seed=seed) for seed in (0, 1)], jobs=1, progress=False)
    return root
