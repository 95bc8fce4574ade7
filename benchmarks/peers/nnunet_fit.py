"""nnU-Net version 2, 2D: fingerprint, plan, preprocess, train by the clock, label the fold.

`python -m benchmarks.peers.nnunet_fit SPLITS --minutes M --fold F --device D`; the data set lies
where nnU-Net's three variables say. What differs from `nnUNetv2_train 1 2d F` is the length alone:
its own schedule is 250,000 steps, here the polynomial learning rate runs over the time budget. The
validation between its epochs, which decides nothing about the last weights, is left out, so that
all of the budget is steps. Starting its loaders is before the clock.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

DATASET, NAME = 1, "Dataset001_Brain"
POWER = 0.9
"""Of nnU-Net's polynomial schedule."""


class ClockTrainer(nnUNetTrainer):
    """Steps until a time is over; the learning rate falls with the time that is left."""

    minutes = 0.0
    steps = 0

    def run_training(self) -> None:
        """Train and save the last weights."""
        self.on_train_start()
        self.network.train()
        started, share = time.perf_counter(), 0.0
        while share < 1.0:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - share) ** POWER
            self.train_step(next(self.dataloader_train))
            self.steps += 1
            share = (time.perf_counter() - started) / (60 * self.minutes)
        self.on_train_end()


def prepare(processes: int) -> str:
    """Fingerprint, plans and preprocessing; gives the name of the plans."""
    extract_fingerprints([DATASET], num_processes=processes, show_progress_bar=False)
    plans = plan_experiments([DATASET])
    name = plans if isinstance(plans, str) else "nnUNetPlans"
    preprocess(
        [DATASET],
        name,
        configurations=("2d",),
        num_processes=(processes,),
        show_progress_bar=False,
    )
    return name


def main() -> None:
    """Print seconds of each step as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("splits", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    kind = ("cuda" if has_gpu else "cpu") if args.device == "auto" else args.device.split(":")[0]
    times = [time.perf_counter()]
    plans = prepare(args.processes)
    folder = Path(str(nnUNet_preprocessed)) / NAME
    shutil.copy(args.splits, folder / "splits_final.json")
    times.append(time.perf_counter())
    given = json.loads((folder / f"{plans}.json").read_text(encoding="utf-8"))
    given["continue_training"] = False
    index = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    trainer = ClockTrainer(given, "2d", args.fold, index, device=torch.device(kind))
    trainer.minutes = args.minutes
    trainer.run_training()
    times.append(time.perf_counter())
    trainer.perform_actual_validation()
    times.append(time.perf_counter())
    steps = ("prepare", "fit", "predict")
    line = {step: times[i + 1] - times[i] for i, step in enumerate(steps)}
    line |= {"steps": trainer.steps, "batch": trainer.batch_size}
    line |= {"predicted": str(Path(trainer.output_folder) / "validation")}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
