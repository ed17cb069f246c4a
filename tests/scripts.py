"""Scripts in `benchmarks/` as modules, for the tests of what they compute."""

import importlib.util
import sys

from sfc_lib.files import checkout


def benchmark(name):
    """The module `benchmarks/NAME.py`, which lies in no package."""
    path = checkout() / "benchmarks" / f"{name}.py"
    if str(path.parent) not in sys.path:  # where they find each other
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where processes that it starts look it up
    spec.loader.exec_module(module)
    return module
