"""Ours: build, fit within a time budget, label the cases of the validation fold.

`python -m benchmarks.peers.ours_fit RAW OUT --minutes M --split SPLITS --fold F --settings JSON`

There is one validation, at the very end and within the minutes, so that the fold that is scored
does not choose the weights; nnU-Net's are the last ones too. With `--tree` the two packages are
those of another checkout, such as an earlier version.
"""

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.clocks import CLOCKS, set_clock

NEVER = 1 << 40
"""Steps between validations, more than a run makes."""
WARM = {"width": 2, "depth": 2, "steps": 1}
"""A run before the clock starts, which compiles the kernels where no cache holds them yet."""


def validated(run: Path) -> dict[str, Any]:
    """The last validation in the log of a run."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return next(one for one in reversed(records) if one.get("kind") == "validation")


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("raw", type=Path)
    add("out", type=Path)
    add("--minutes", type=float, required=True)
    add("--clock", choices=CLOCKS, default="wall")
    add("--split", default="subject")
    add("--fold", type=int, default=0)
    add("--seed", type=int, default=0)
    add("--device", default="auto")
    add("--labels", default="auto")
    add("--tta", default="lr+ap")
    add("--predicted", type=Path, help="folder for labels of the validation cases; none without")
    add("--data", type=Path, help="slice file, built where it is missing; of OUT by default")
    add("--prepare", type=json.loads, default={}, help="of the build")
    add("--settings", type=json.loads, default={})
    add("--tree", help="checkout whose packages are taken")
    return parser.parse_args()


def main() -> None:
    """Print seconds of each step as JSON."""
    args = read_options()
    if args.tree:
        sys.path.insert(0, args.tree)
    bratsprep, bratstrain = import_module("bratsprep"), import_module("bratstrain")
    data, run = args.data or args.out / "slices.h5", args.out / "run"
    times = [time.monotonic()]
    if not data.exists():
        bratsprep.build(args.raw, data, labels=args.labels, **args.prepare)
    settings = {"split": args.split, "fold": args.fold, "seed": args.seed, "device": args.device}
    settings |= {"validate_steps": NEVER} | args.settings
    bratstrain.fit(data, args.out / "warm", **settings | WARM)
    times.append(time.monotonic())
    set_clock(args.clock)
    done = bratstrain.fit(data, run, minutes=args.minutes, **settings)
    times.append(time.monotonic())
    if args.predicted:
        split = json.loads((run / "split.json").read_text(encoding="utf-8"))
        about = {"device": args.device, "labels": args.labels, "tta": args.tta, "force": True}
        bratstrain.predict(run, args.raw, args.predicted, cases=split["validation"], **about)
    times.append(time.monotonic())
    steps = ("prepare", "fit", "predict")
    line = {step: times[i + 1] - times[i] for i, step in enumerate(steps)}
    line |= {"seconds": done.progress.used_s, "steps": done.progress.step}
    line |= {"batch": done.config.batch_size, "precision": done.config.precision}
    print(json.dumps(line | {"validation": validated(run)}), flush=True)


if __name__ == "__main__":
    main()
