"""nnU-Net version 2: label the validation fold with weights that `nnunet_fit` wrote.

`python -m benchmarks.peers.nnunet_label SPLITS WEIGHTS OUT --configuration 2d --fold F`: sliding
windows, mirrored along every axis unless told not to, as its own validation does it.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import torch

from benchmarks.peers.nnunet_fit import make_trainer


def main() -> None:
    """Print the seconds as JSON."""
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("splits", type=Path)
    add("weights", type=Path)
    add("out", type=Path)
    add("--configuration", default="2d")
    add("--fold", type=int, default=0)
    add("--device", default="auto")
    add("--no-mirroring", action="store_true")
    args = parser.parse_args()
    started = time.perf_counter()
    trainer = make_trainer(args.splits, args.configuration, args.fold, args.device)
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    if args.no_mirroring:
        trainer.inference_allowed_mirroring_axes = None
    trainer.network.load_state_dict(torch.load(args.weights, map_location=trainer.device))
    trainer.perform_actual_validation()
    shutil.rmtree(args.out, ignore_errors=True)
    shutil.move(Path(trainer.output_folder) / "validation", args.out)
    print(json.dumps({"predict": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
