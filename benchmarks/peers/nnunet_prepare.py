"""nnU-Net version 2: fingerprint, plan and preprocessing, once for all folds and runs.

`python -m benchmarks.peers.nnunet_prepare --processes N`; the data set lies where nnU-Net's three
variables say. It prints the seconds that it took, and what nnU-Net planned.
"""

import argparse
import json
import time
from pathlib import Path

from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.paths import nnUNet_preprocessed

DATASET, NAME, PLANS = 1, "Dataset001_Brain", "nnUNetPlans"
CONFIGURATIONS = ("2d", "3d_fullres")
PLANNED = ("patch_size", "batch_size", "spacing")
"""What of a plan the results show."""


def main() -> None:
    """Prepare, and print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    started = time.perf_counter()
    extract_fingerprints([DATASET], num_processes=processes, show_progress_bar=False)
    plan_experiments([DATASET])
    preprocess(
        [DATASET],
        PLANS,
        configurations=CONFIGURATIONS,
        num_processes=(processes,) * len(CONFIGURATIONS),
        show_progress_bar=False,
    )
    seconds = time.perf_counter() - started
    plans = (Path(str(nnUNet_preprocessed)) / NAME / f"{PLANS}.json").read_text(encoding="utf-8")
    planned = json.loads(plans)["configurations"]
    chosen = {name: {key: planned[name][key] for key in PLANNED} for name in CONFIGURATIONS}
    print(json.dumps({"prepare": seconds, "plans": chosen}), flush=True)


if __name__ == "__main__":
    main()
