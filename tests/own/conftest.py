"""Two trained reports, which all tests of this room look at."""

import pytest
from filelock import FileLock
from own_data import BOTH, QUICK, STD, SYMM, made, sfc


@pytest.fixture(scope="session")
def trained(shared_folder):
    """Folder with inputs, the store `runs`, and reports: `symm`, `std` (of two tasks), and `both`.

    The last one is an ensemble of two.

    They are trained once in a session: a process that comes second waits for the first.
    """
    folder = shared_folder / "own"
    with FileLock(shared_folder / "own.lock"), pytest.MonkeyPatch.context() as patch:
        if not folder.exists():
            folder.mkdir()
            patch.setenv("SFC_RUNS_DIR", str(folder / "runs"))
            patch.chdir(made(folder))
            for name, options in (("symm", SYMM), ("std", STD), ("both", BOTH)):
                done = sfc("train", *options, *QUICK, "-o", name)
                assert done.exit_code == 0, done.output
                (folder / f"{name}.log").write_text(done.output)
    return folder
