"""Train the runs of this bundle: `python train.py --limit 540s`, as often as there are any left.

Takes Python 3.11 or later, NumPy, Keras, and the backend of the runs; nothing is installed, and
nothing is fetched. `python train.py --help` lists the options.
"""

# A copy of sfc_lib/runs/bundle_start.py, which has to do with the standard library alone.

import hashlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Call the library's verb, with the library that came along."""
    os.environ["SFC_BEGAN"] = str(time.time())
    if sys.version_info < (3, 11):  # noqa: UP036  (nobody has checked it there)
        sys.exit(f"Error: expected Python 3.11 or later, got {sys.version.split()[0]}.")
    with tempfile.TemporaryDirectory(prefix="sfc_lib-") as folder:
        sys.path.insert(0, folder)
        unpack_library(folder)
        sfc = importlib.import_module("sfc_lib.cli").main  # there is none before this moment
        sfc(["runs", "train", str(HERE), *sys.argv[1:]], prog_name="sfc")


def unpack_library(folder: str) -> None:
    """Unpack the archives in `library/` after checking their hashes."""
    try:
        files = json.loads((HERE / "bundle.json").read_bytes())["files"]
        for name in sorted(name for name in files if name.startswith("library/")):
            content = (HERE / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != files[name]:
                sys.exit(f"Error: {HERE / name}: damaged. Copy the bundle again.")
            with zipfile.ZipFile(HERE / name) as archive:
                archive.extractall(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(f"Error: {HERE}: expected a whole bundle, got {error!r}. Copy it again.")


if __name__ == "__main__":
    main()
