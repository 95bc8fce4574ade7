"""nnU-Net version 2: fingerprint and 2D preprocessing, as `plan_and_preprocess -c 2d` does.

The planning of networks between the two needs no image and does not count. RAW is a folder of
nnU-Net's own layout, named in the variables that nnU-Net reads when it is imported.
"""

import time

from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess,
)

from benchmarks.peers.runner import Watch, read_task

DATASET = 1
"""Number of the one data set in `nnUNet_raw`."""


def main() -> None:
    """Run both steps with the same number of processes."""
    task, watch = read_task(), Watch()
    with watch.running():
        extract_fingerprints([DATASET], num_processes=task.workers, show_progress_bar=False)
    fingerprint_seconds = watch.seconds
    started = time.perf_counter()
    plans = plan_experiments([DATASET])
    plan_seconds = time.perf_counter() - started
    with watch.running():
        preprocess(
            [DATASET],
            plans if isinstance(plans, str) else "nnUNetPlans",
            configurations=("2d",),
            num_processes=(task.workers,),
            show_progress_bar=False,
        )
    watch.report(task, fingerprint_seconds=fingerprint_seconds, plan_seconds=plan_seconds)


if __name__ == "__main__":
    main()
