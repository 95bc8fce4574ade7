"""nnU-Net version 2, 2D or 3D: train one fold by a clock.

`python -m benchmarks.peers.nnunet_fit SPLITS OUT --configuration 2d --minutes M --fold F`, after
`nnunet_prepare`. What differs from `nnUNetv2_train 1 2d F` is the length alone: its own schedule
is 250,000 steps, here the polynomial learning rate runs over the budget of time. The validation
between its epochs, which decides nothing about the last weights, is left out, so that all of the
budget is steps. Starting its loaders, and writing the weights on the way, are not timed.
"""

import argparse
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks.peers.clocks import CLOCKS
from benchmarks.peers.nnunet_prepare import NAME, PLANS

POWER = 0.9
"""Of nnU-Net's polynomial schedule."""


class ClockTrainer(nnUNetTrainer):
    """Steps until a time is over; the learning rate falls with the time that is left."""

    def run_for(
        self, minutes: float, clock: str, points: tuple[float, ...], out: Path
    ) -> list[dict[str, Any]]:
        """Train, and write the weights on the way and at the end.

        Args:
            minutes: of the run.
            clock: a name in `CLOCKS`.
            points: shares of the run at which to write the weights, rising, below 1.
            out: folder for them.

        Returns:
            Share, seconds, steps and file of each point, and of the end.
        """
        self.on_train_start()
        self.network.train()
        now, left, kept = CLOCKS[clock], [*points, 1.0], list[dict[str, Any]]()
        started, share, steps = now(), 0.0, 0
        while left:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - share) ** POWER
            self.train_step(next(self.dataloader_train))
            steps += 1
            paused = now()
            share = (paused - started) / (60 * minutes)
            if share >= left[0]:
                file = out / f"weights-{left[0]:g}.pth"
                torch.save(self.network.state_dict(), file)
                seconds = paused - started
                reached = [point for point in left if point <= share]
                left = left[len(reached) :]
                kept += [
                    {"share": point, "seconds": seconds, "steps": steps, "weights": str(file)}
                    for point in reached
                ]
                started += now() - paused
        self.on_train_end()
        return kept


def make_trainer(splits: Path, configuration: str, fold: int, kind: str) -> ClockTrainer:
    """Set up the trainer of a fold, with nnU-Net's own plans; `kind` is auto, cpu or cuda."""
    folder = Path(str(nnUNet_preprocessed)) / NAME
    shutil.copy(splits, folder / "splits_final.json")
    given = json.loads((folder / f"{PLANS}.json").read_text(encoding="utf-8"))
    given["continue_training"] = False
    index = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    has_gpu = torch.cuda.is_available()
    device = ("cuda" if has_gpu else "cpu") if kind == "auto" else kind.partition(":")[0]
    return ClockTrainer(given, configuration, fold, index, device=torch.device(device))


def main() -> None:
    """Print what each point took as JSON."""
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("splits", type=Path)
    add("out", type=Path)
    add("--configuration", default="2d")
    add("--minutes", type=float, required=True)
    add("--points", type=json.loads, default=[], help="shares of the run, as a JSON list")
    add("--clock", choices=CLOCKS, default="wall")
    add("--fold", type=int, default=0)
    add("--seed", type=int, default=0)
    add("--device", default="auto")
    args = parser.parse_args()
    random.seed(args.seed)
    np.random.seed(args.seed)  # noqa: NPY002  its augmentation draws from there
    torch.manual_seed(args.seed)
    trainer = make_trainer(args.splits, args.configuration, args.fold, args.device)
    started = time.perf_counter()
    kept = trainer.run_for(args.minutes, args.clock, tuple(args.points), args.out)
    line = {"fit": time.perf_counter() - started, "batch": trainer.batch_size, "points": kept}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
