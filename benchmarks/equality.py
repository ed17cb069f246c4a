"""The same network in every form: how far its predictions differ from Keras's at most.

    python benchmarks/equality.py

writes `benchmarks/equality.json`, for the book's page Speed. It needs `sfc_lib[tensorflow,torch,
export]`; a form whose package is not installed is left out, and named.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sfc_lib import build_model, fold_separable, load_published, to_torch
from sfc_lib.files import silenced, write_json
from sfc_lib.genomics.fasta import read_fasta
from sfc_lib.nn.encoding import with_one_hot
from sfc_lib.runs.store import environment

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "benchmarks" / "equality.json"
COUNT = 1000  # sequences
MUTATED = 0.05  # of the bases of a real region, to make many of few
NETWORKS = [(name, model) for name in ("simulated_tf", "ctcf") for model in ("std", "sep", "symm")]
# In processes of their own: LiteRT and torch bring libraries that TensorFlow has too.
RUN = {
    "onnx": "import onnxruntime\ns = onnxruntime.InferenceSession(file)\n"
    "y = s.run(None, {s.get_inputs()[0].name: x})[0]",
    "litert": "from ai_edge_litert.interpreter import Interpreter\nnet = Interpreter(file)\n"
    "place = net.get_input_details()[0]['index']\nnet.resize_tensor_input(place, x.shape)\n"
    "net.allocate_tensors()\nnet.set_tensor(place, x)\nnet.invoke()\n"
    "y = net.get_tensor(net.get_output_details()[0]['index'])",
}
NEEDED = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",), "torch": ("torch",)}


def sequences(experiment: str, length: int) -> np.ndarray:
    """Codes (1,000, length): simulated sequences, or real regions with mutations."""
    rng = np.random.default_rng(0)
    if experiment == "simulated_tf":
        from sfc_lib.datasets.simulated_tf import simulate

        return simulate(np.arange(COUNT) % 4, rng).codes
    _, regions = read_fasta(ROOT / "data" / "ctcf_examples.fa")
    codes = regions[np.arange(COUNT) % len(regions), :length]
    changed = rng.random(codes.shape) < MUTATED
    return np.where(changed, rng.integers(0, 4, codes.shape), codes).astype(np.uint8)


def forms(found: Any, codes: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Each form by its name, as a function that gives its probabilities."""
    model, one_hot = found.model, np.eye(4, dtype=np.float32)[codes]
    folded, spec = fold_separable(model), found.record.spec
    half = build_model(
        spec.architecture, spec.variant, length=found.length, tasks=len(found.tasks),
        width=spec.width, units=spec.units if spec.variant != "std" else None,
        precision="mixed_bfloat16",
    )  # fmt: skip
    half.set_weights(model.get_weights())

    def exported(form: Any, kind: str) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            file, x, y = (f"{folder}/{name}" for name in ("net.tflite", "x.npy", "y.npy"))
            form.export(file, format=kind, verbose=False)
            np.save(x, one_hot)
            code = (
                f"import sys, numpy as np\nfile, x = sys.argv[1], np.load(sys.argv[2])\n{RUN[kind]}"
            )
            code += "\nnp.save(sys.argv[3], y)"
            subprocess.run([sys.executable, "-c", code, file, x, y], check=True)
            return np.load(y)

    def in_torch(fold: bool, half: bool) -> np.ndarray:
        import torch

        module = to_torch(model, folded=fold)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return module(torch.tensor(one_hot).transpose(1, 2)).float().numpy()

    return {
        "Keras, folded": lambda: folded.predict(codes, verbose=0),
        "Keras, one-hot": lambda: with_one_hot(model).predict(one_hot, verbose=0),
        "Keras, mixed bfloat16": lambda: half.predict(codes, verbose=0),
        "torch": lambda: in_torch(False, False),
        "torch, folded": lambda: in_torch(True, False),
        "torch, autocast bfloat16": lambda: in_torch(False, True),
        "ONNX": lambda: exported(with_one_hot(model), "onnx"),
        "ONNX, folded": lambda: exported(with_one_hot(folded), "onnx"),
        "LiteRT": lambda: exported(with_one_hot(model), "litert"),
        "LiteRT, folded": lambda: exported(with_one_hot(folded), "litert"),
    }


def main() -> None:
    """Compare every form of every network with Keras in float32, and write the file."""
    rows, left_out = [], {}
    for experiment, name in NETWORKS:
        found = load_published(experiment, name)
        codes = sequences(experiment, found.length)
        expected = found.model.predict(codes, verbose=0)
        for form, probabilities in forms(found, codes).items():
            packages = NEEDED.get(form.partition(",")[0].lower(), ())
            if lacking := [p for p in packages if importlib.util.find_spec(p) is None]:
                left_out[form] = f"{', '.join(lacking)} not installed"
                continue
            with silenced():
                worst = float(np.abs(probabilities() - expected).max())
            rows.append({"experiment": experiment, "model": name, "form": form, "worst": worst})
            print(f"{experiment} {name}, {form}: {worst:.1e}", flush=True)
    about = {"sequences": COUNT, "environment": environment("tensorflow")}
    write_json(FILE, {**about, "rows": rows, "left out": left_out})


if __name__ == "__main__":
    main()
