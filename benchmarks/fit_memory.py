"""Memory of `fit` above torch and the network's own needs, for few and many cases.

`python -m benchmarks.fit_memory --work DIR`: each row is a process of its own. `step` imports
torch and takes steps on one batch of noise with the same trainer (parameters, optimiser, averaged
weights, activations); `fit` does the same number of steps from a slice file, validates and saves.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.load_file import PLANES, write_slice_file
from benchmarks.machine import describe, measured, versions

SETTINGS = {"model": "unet", "width": 16, "depth": 4, "batch_size": 8, "steps": 12}
_IMPORT = "import torch"
_STEP = """
import torch
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.trainer import Trainer
torch.set_num_threads(max(1, torch.get_num_threads() - 1))
config = TrainConfig(model=ModelConfig(kind="unet", width=16, depth=4), batch_size=8, steps=12,
                     precision="fp32")
trainer = Trainer(config, torch.device("cpu"))
image = torch.randn(8, 4, 192, 160)
label = torch.randint(0, 4, (8, 192, 160), dtype=torch.uint8)
for step in range(12):
    trainer.step(image, label, step, step / 12)
"""
_FIT = """
import json, sys, bratstrain
bratstrain.fit(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
"""


def peak_mb(code: str, *arguments: str) -> float:
    """Peak resident memory of a Python process that runs some code, MB."""
    with tempfile.TemporaryDirectory() as folder:
        done = measured([sys.executable, "-c", code, *arguments], {}, Path(folder))
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.peak_bytes / 1e6


def main() -> None:
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="Folder for slice files and runs.")
    parser.add_argument("--cases", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    machine = describe() | versions(sys.executable, ("bratsprep", "torch", "numpy"))
    options.work.mkdir(parents=True, exist_ok=True)
    rows = {"import torch": peak_mb(_IMPORT), "steps on one batch of noise": peak_mb(_STEP)}
    bare = rows["steps on one batch of noise"]
    for n_cases in options.cases:
        path = options.work / f"cases{n_cases}.h5"
        if not path.exists():
            unfinished = path.with_suffix(".new")
            write_slice_file(unfinished, n_cases * PLANES)
            unfinished.replace(path)
        run = tempfile.mkdtemp(dir=options.work)
        rows[f"fit, {n_cases} cases"] = peak_mb(_FIT, str(path), run, json.dumps(SETTINGS))
    lines = ["# Memory of fit", "", "| process | peak MB | above the bare steps |",
             "| --- | ---: | ---: |"]  # fmt: skip
    lines += [f"| {name} | {peak:.0f} | {peak - bare:.0f} |" for name, peak in rows.items()]
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    lines += ["", f"{settings}; slices of 192 x 160, {PLANES} a case, CPU, fp32.", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "fit_memory.md").write_text("\n".join(lines) + "\n")
    content = {"peak_mb": rows, "settings": SETTINGS, "machine": machine}
    (options.results / "fit_memory.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
