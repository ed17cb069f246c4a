"""Two trained reports, which all tests of this room look at."""

import pytest
from own_data import QUICK, STD, SYMM, made, sfc


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder with inputs, the store `runs`, and the reports `symm` (one task), `std` (two)."""
    folder = made(tmp_path_factory.mktemp("own"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFC_RUNS_DIR", str(folder / "runs"))
        patch.chdir(folder)
        for name, options in (("symm", SYMM), ("std", STD)):
            done = sfc("train", *options, *QUICK, "-o", name)
            assert done.exit_code == 0, done.output
            (folder / f"{name}.log").write_text(done.output)
    return folder
