"""Ours: build, fit within a time budget, label the cases of the validation fold.

`python -m benchmarks.peers.ours_fit RAW OUT --minutes M --fold F --device D --settings JSON`

There is one validation, at the very end and within the minutes, so that the fold that is scored
does not choose the weights; nnU-Net's are the last ones too.
"""

import argparse
import json
import time
from pathlib import Path

import bratsprep
import bratstrain

NEVER = 1 << 40
"""Steps between validations, more than a run makes."""


def main() -> None:
    """Print seconds of each step as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--labels", default="auto")
    parser.add_argument("--tta", default="lr+ap")
    parser.add_argument("--prepare", type=json.loads, default={}, help="of the build")
    parser.add_argument("--settings", type=json.loads, default={})
    args = parser.parse_args()
    times = [time.perf_counter()]
    bratsprep.build(args.raw, args.out / "slices.h5", labels=args.labels, **args.prepare)
    times.append(time.perf_counter())
    run = args.out / "run"
    done = bratstrain.fit(
        args.out / "slices.h5",
        run,
        minutes=args.minutes,
        fold=args.fold,
        device=args.device,
        **{"validate_steps": NEVER} | args.settings,
    )
    times.append(time.perf_counter())
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    bratstrain.predict(
        run,
        args.raw,
        args.out / "predicted",
        cases=split["validation"],
        device=args.device,
        labels=args.labels,
        tta=args.tta,
    )
    times.append(time.perf_counter())
    steps = ("prepare", "fit", "predict")
    line = {step: times[i + 1] - times[i] for i, step in enumerate(steps)}
    line |= {"steps": done.progress.step, "batch": done.config.batch_size}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
