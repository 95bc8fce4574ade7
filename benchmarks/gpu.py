"""Everything that only a GPU can tell, in ten minutes: `make gpu`.

    python -m benchmarks.gpu --work build/benchmarks                    # phantoms of its own
    python -m benchmarks.gpu --work build/benchmarks --data train.h5 --raw RAW
    python -m benchmarks.gpu --work build/benchmarks --dry              # on a CPU, in small

The parts are measured in the order of their worth. The results are written after each row, so that
a machine that is taken away leaves what was measured; a part that the time did not suffice for is
«not measured». A dry run goes the same way on a CPU with small networks: its figures are none of a
GPU's, and it writes them to the work folder alone.
"""

import argparse
import datetime
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch

import bratsprep
from benchmarks.gpu_parts import PARTS, Kit
from benchmarks.gpu_table import document
from benchmarks.machine import describe, versions
from benchmarks.train_parts import ROOT, Size
from bratstrain.config import MODELS
from bratstrain.device import cores

PACKAGES: Final = ("bratsprep", "torch", "numpy", "numba", "h5py")
SIZES: Final = {"cuda": Size(32, 6, 16, fits=True), "cpu": Size(4, 3, 2, fits=True)}
"""The default of `fit`, and a small network for a dry run."""
PHANTOMS: Final = {
    "cuda": {"cases": 12, "workers": cores()},
    "cpu": {"cases": 6, "shape": (48, 48, 24), "workers": 1},
}
CROP: Final = {"cuda": "192x160", "cpu": "48x48"}
OUT_OF_TIME: Final = {"missing": "not measured: the time was over"}


def inputs(options: argparse.Namespace, kind: str) -> tuple[Path, Path, Path | None]:
    """Slice file, raw cases and slice file of whole brains: the user's, or phantoms made once.

    Raises:
        SystemExit: of the slice file and its raw cases, one is given without the other.
    """
    if (options.data is None) != (options.raw is None):
        raise SystemExit("give --data and --raw together: the slice file, and what it was built of")
    if options.data is not None:
        brain = options.brain.absolute() if options.brain else None
        return options.data.absolute(), options.raw.absolute(), brain
    folder = options.work.absolute() / f"gpu-{kind}"
    raw, data, brain = folder / "raw", folder / "train.h5", folder / "brain.h5"
    if not raw.exists():
        bratsprep.phantoms(raw, **PHANTOMS[kind])
    bratsprep.build(raw, data, crop=CROP[kind])
    bratsprep.build(raw, brain, crop=CROP[kind], slices="brain")
    return data, raw, brain


def facts(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Where, when and with what was measured; no path."""
    gpu = {"gpu": torch.cuda.get_device_name()} if kind == "cuda" else {}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "kind": kind,
        "minutes": options.minutes,
        "slice file": "own" if options.data else f"{PHANTOMS[kind]['cases']} phantoms",
        "machine": gpu | describe(),
        "versions": versions(sys.executable, PACKAGES),
    }


def measure(
    kit: Kit, results: dict[str, Any], out: Path, minutes: float, parts: Iterable[str]
) -> None:
    """Measure part by part until the time is over, and write after each row."""
    end = time.monotonic() + 60 * minutes
    for name in parts:
        part = PARTS[name]
        rows = results["rows"][name] = []
        if time.monotonic() > end:
            rows.append(OUT_OF_TIME)
        else:
            for row in part(kit):
                rows.append(row)
                sys.stderr.write(f"{name}: {json.dumps(row)}\n")
                write(results, out)
                if time.monotonic() > end:
                    break
        write(results, out)


def earlier(out: Path, parts: Iterable[str], now: dict[str, Any]) -> dict[str, Any]:
    """Rows of the parts that an earlier run has measured and this one does not.

    Args:
        out: results of the earlier run, if there was one.
        parts: what this run measures.
        now: where and with what it does.

    Raises:
        SystemExit: rows would be kept of another machine, of other versions or other cases.
    """
    if not out.exists():
        return {}
    found = json.loads(out.read_text(encoding="utf-8"))
    kept = {name: rows for name, rows in found["rows"].items() if name not in parts}
    old, new = place_of(found["facts"]), place_of(now)
    other = sorted(name for name in old | new if old.get(name) != new.get(name))
    if kept and other:
        raise SystemExit(
            f"{out.name} has {', '.join(kept)} measured elsewhere: "
            + "; ".join(f"{name} {old.get(name)}, here {new.get(name)}" for name in other)
            + "; measure every part, or name another folder by --results"
        )
    return kept


def place_of(facts: dict[str, Any]) -> dict[str, Any]:
    """What two runs must have in common for their rows to stand in one table."""
    machine = {name: value for name, value in facts["machine"].items() if name != "load before"}
    cases = {name: facts[name] for name in ("kind", "slice file")}
    return cases | machine | facts["versions"]


def write(results: dict[str, Any], out: Path) -> None:
    """Write the results as JSON and Markdown."""
    out.write_text(f"{json.dumps(results, indent=1)}\n", encoding="utf-8")
    out.with_suffix(".md").write_text(document(results), encoding="utf-8")


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for inputs and runs")
    parser.add_argument("--minutes", type=float, default=10, help="no part begins after them")
    parser.add_argument("--data", type=Path, help="slice file, instead of phantoms")
    parser.add_argument("--raw", type=Path, help="raw cases of that file")
    parser.add_argument("--networks", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--brain", type=Path, help="slice file of every plane with brain")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        help="what to measure; the results keep the other parts of an earlier run",
    )
    parser.add_argument("--dry", action="store_true", help="on a CPU, in small")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write.

    Raises:
        SystemExit: there is no GPU.
    """
    options = read_options()
    kind = "cpu" if options.dry else "cuda"
    if kind == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU; --dry goes the same way on a CPU")
    options.work.mkdir(parents=True, exist_ok=True)
    data, raw, brain = inputs(options, kind)
    networks = MODELS[:1] if options.dry else options.networks
    kit = Kit(kind, data, raw, brain, options.work.absolute(), networks, SIZES[kind])
    out = (options.work if options.dry else options.results) / "gpu.json"
    now = facts(options, kind)
    results = {"facts": now, "rows": earlier(out, options.parts, now)}
    measure(kit, results, out, options.minutes, options.parts)
    sys.stdout.write(document(results))


if __name__ == "__main__":
    main()
