"""Speed of training beside the bare step, agreement of the precisions, and what a kill costs.

    python -m benchmarks.train --work demo/benchmarks              # CPU, and GPU where there is one
    python -m benchmarks.train --work demo/benchmarks --peers .venv-peers/bin/python
    python -m benchmarks.train --work demo/benchmarks --device cuda --minutes 20 --compile all

Every measurement is a process of its own (`train_ways.py`, `train_peers.py`). The results of a
device replace those that it had before; the other device's stay. Compiled are, unless `--compile`
says otherwise, the networks beside those of the peers, in the first precision of a device.
"""

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.load_file import write_slice_file
from benchmarks.machine import describe, versions
from benchmarks.train_parts import COMPILE, QUICK, ROOT, SIZES
from benchmarks.train_parts import PARTS as OWN_PARTS
from benchmarks.train_peers import peers
from benchmarks.train_table import document
from bratstrain.config import MODELS
from bratstrain.device import choose_device, cores

SLICES = {"cpu": 300, "cuda": 6000}
"""Of the synthetic file: enough that a fit of that device validates seldom."""
PACKAGES = ("bratsprep", "torch", "numpy", "numba")
PEER_PACKAGES = ("torch", "monai", "segmentation-models-pytorch", "timm")
PARTS = {**OWN_PARTS, "peers": peers}


def facts_of(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Where, when and with what a device was measured; no path."""
    gpu = {"gpu": torch.cuda.get_device_name()} if kind == "cuda" else {}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commands": [options.command],
        "machine": gpu | describe(),
        "versions": versions(sys.executable, PACKAGES),
        "peers": versions(options.peers, PEER_PACKAGES) if options.peers else {},
        "threads of torch": 1 if kind == "cuda" else options.threads,
        "slice file": "own" if options.own else f"{options.slices} synthetic slices, 192 x 160",
        "note": options.note,
    }


def section(
    options: argparse.Namespace, kind: str, before: dict[str, Any] | None
) -> dict[str, Any]:
    """Begin the results of a device: empty, or with `--add` those of before.

    Raises:
        SystemExit: those are of another machine, other versions or another slice file.
    """
    facts = facts_of(options, kind)
    if not options.add or before is None:
        return {"facts": facts, "rows": {part: [] for part in PARTS}}
    for name in ("gpu", "processor", "cores"):
        if before["facts"]["machine"].get(name) != facts["machine"].get(name):
            raise SystemExit(
                f"--add: the rows of before are of another machine, {name} differs; leave --add out"
            )
    for name in ("versions", "slice file", "threads of torch"):
        if before["facts"][name] != facts[name]:
            raise SystemExit(f"--add: the rows of before have another {name}; leave --add out")
    facts["commands"] = before["facts"]["commands"] + facts["commands"]
    facts["peers"] = facts["peers"] or before["facts"].get("peers", {})
    return {"facts": facts, "rows": {part: [] for part in PARTS} | before["rows"]}


def measure(options: argparse.Namespace, kind: str, results: dict[str, Any]) -> None:
    """Measure a device; the results are written after each row, so that a cut run leaves them."""
    results[kind] = section(options, kind, results.get(kind))
    for part in options.parts:
        for row in PARTS[part](options, kind):
            results[kind]["rows"][part].append(row)
            sys.stderr.write(f"{kind} {part}: {json.dumps(row)}\n")
            write(options, results)


def write(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write the results of all devices as JSON and Markdown."""
    content = json.dumps(results, indent=1)
    options.json.write_text(f"{content}\n", encoding="utf-8")
    options.json.with_suffix(".md").write_text(document(results), encoding="utf-8")


def names(allowed: tuple[str, ...]) -> Any:
    """Make a reader of comma-separated names."""

    def read(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if not set(found) <= set(allowed):
            raise argparse.ArgumentTypeError(f"must be among {', '.join(allowed)}, got {text}")
        return found

    return read


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for slice file and runs")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--minutes", type=float, help="of each network's long fit")
    parser.add_argument("--networks", type=names(MODELS), default=MODELS)
    parser.add_argument("--parts", type=names(tuple(PARTS)), default=tuple(PARTS))
    parser.add_argument("--steps", type=int, default=0, help="of the runs that are compared")
    parser.add_argument("--compile", choices=COMPILE, default="some", help="compiled networks too")
    parser.add_argument("--peers", default="", help="python of the peers' environment")
    parser.add_argument("--threads", type=int, default=cores(), help="of torch, on a CPU")
    parser.add_argument("--data", type=Path, help="slice file, instead of a synthetic one")
    parser.add_argument("--add", action="store_true", help="keep the rows of the last results")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--note", default="", help="for the results: what else the machine did")
    parser.add_argument("--quick", action="store_true", help="one small network, a minute")
    options = parser.parse_args()
    hidden = {"work", "data", "results", "note", "peers"}
    given = {
        name: value
        for name, value in vars(options).items()
        if name not in hidden and value != parser.get_default(name)
    }
    own = " --data FILE" * (options.data is not None)
    own += " --peers PEERS" * bool(options.peers)
    options.command = f"python -m benchmarks.train --work DIR{own}" + "".join(
        f" --{name}" + ("" if value is True else f" {text(value)}") for name, value in given.items()
    )
    return options


def text(value: Any) -> str:
    """An option's value as it was given."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def main() -> None:
    """Measure, print and write."""
    options = read_options()
    options.sizes = QUICK if options.quick else SIZES
    if options.quick:
        options.networks, options.minutes = options.networks[:1], 0.1
    has_gpu = options.device != "cpu" and choose_device(options.device).type == "cuda"
    kinds = ["cpu"] * (options.device != "cuda") + ["cuda"] * has_gpu
    options.own, options.slices = options.data is not None, SLICES[kinds[-1]]
    options.work.mkdir(parents=True, exist_ok=True)
    options.results.mkdir(parents=True, exist_ok=True)
    if not options.own:
        options.data = options.work / f"train{options.slices}.h5"
        if not options.data.exists():
            begun = options.data.with_suffix(".new")
            write_slice_file(begun, options.slices)
            begun.replace(options.data)
    options.data, options.work = options.data.absolute(), options.work.absolute()
    options.json = options.results / ("train-quick.json" if options.quick else "train.json")
    is_there = options.json.exists()
    results = json.loads(options.json.read_text(encoding="utf-8")) if is_there else {}
    for kind in kinds:
        measure(options, kind, results)
    sys.stdout.write(document(results))


if __name__ == "__main__":
    main()
