"""Eight tiny runs in two SLURM jobs, one of which is cancelled in mid-run (see run.sh)."""

import subprocess
import threading
import time

from sfc_lib import RunSpec, sweep
from sfc_lib.files import runs_dir
from sfc_lib.runs.pool import cluster_executor
from sfc_lib.runs.store import verify_record

SPECS = [
    RunSpec(dataset_options={"examples": 80}, width=0.05, epochs=2, seed=seed) for seed in range(8)
]


def cancel_a_job() -> None:
    """Wait until a run has begun, then take one of the jobs away."""
    while not list(runs_dir().glob("*/history.jsonl")):
        time.sleep(0.1)
    job = subprocess.check_output(["squeue", "-h", "-t", "R", "-o", "%A"], text=True).split()[0]
    subprocess.run(["scancel", job], check=True)
    print(f"\ncancelled job {job}", flush=True)


if __name__ == "__main__":
    threading.Thread(target=cancel_a_job, daemon=True).start()
    with cluster_executor("slurm", 2) as executor:
        sweep(SPECS, executor)
    for spec in SPECS:
        verify_record(runs_dir() / spec.id)
    print(f"{len(SPECS)} runs verified.")
