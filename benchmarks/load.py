"""Random slices a second into float32 tensors, and the memory that it takes.

    python -m benchmarks.load                         # its own file of 2,000 slices
    python -m benchmarks.load --slice-file train.h5 --peers .venv-peers/bin/python

Every way runs in a process of its own, in turn, as often as `--repeats` says; the table shows
medians. Files are in the page cache but where a row says otherwise: there it is dropped before
every pass over the file, and `disk` says how fast the same bytes can be had, so that a slow disk
does not pass for a slow loader. Memory is the most that the process and its workers take
(proportional set size: shared pages count once) above what it takes after `import torch`; the pages
of a mapped file count, as they are shared with the page cache. Where a way's package is missing the
row says so. With all peers it takes five minutes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load_file import write_slice_file
from benchmarks.load_ways import BATCH, PREPARE, WORKERS
from benchmarks.machine import INTERVAL, describe, markdown, tree, versions

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PEERS = ("nnunet", "monai", "webdataset")
WAYS = {
    "ours 4": "ours, 4 threads",
    "ours 2": "ours, 2 threads",
    "ours 1": "ours, 1 thread",
    "ours blocks": "ours, 4 threads, blocks of 32 neighbours",
    "ours busy": "ours, 4 threads, beside a busy main thread",
    "ours cold": "ours, 4 threads, page cache dropped before every pass",
    "disk": "the disk alone: bare reads of the same bytes, 16 at a time, page cache dropped too",
    "ours bare": "the same reading and decoding by 4 bare threads, without a loader",
    "ours dataset": f"ours as a Dataset, DataLoader with {WORKERS} workers",
    "memmap": f"float32 memmap, DataLoader with {WORKERS} workers",
    "h5py": f"h5py, DataLoader with {WORKERS} workers",
    "h5py busy": f"h5py, DataLoader with {WORKERS} workers, beside a busy main thread",
    "nnunet": f"nnU-Net's loader without augmentation, {WORKERS} workers",
    "monai": f"MONAI Dataset of .npy files, {WORKERS} workers",
    "webdataset": f"WebDataset of .npy in tar files, {WORKERS} workers",
}
PACKAGES = ("torch", "h5py", "numpy", "numba", "imagecodecs")
PEER_PACKAGES = ("nnunetv2", "blosc2", "monai", "webdataset")


@dataclass(slots=True)
class Row:
    """What was measured of one way."""

    way: str
    rates: list[float] = field(default_factory=list)
    """Slices a second, one a run."""
    memory_mb: list[float] = field(default_factory=list)
    missing: str = ""
    """Why there is no number."""


def shared_bytes(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 once it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) << 10


def run(row: Row, python: str, arguments: list[str]) -> None:
    """Run a way once, watch its memory, and note both in its row."""
    command = [python, "-m", "benchmarks.load_rates", row.way, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    process.stdout.readline()
    base = peak = shared_bytes(process.pid)
    process.stdin.write("\n")
    process.stdin.flush()
    while process.poll() is None:
        peak = max(peak, sum(map(shared_bytes, tree(process.pid))))
        time.sleep(INTERVAL)
    out, err = process.communicate()
    if process.returncode:
        last = err.strip().splitlines()[-1] if err.strip() else f"exit {process.returncode}"
        row.missing = "not installed" if last.startswith("ModuleNotFoundError") else last
    elif out:
        row.rates.append(json.loads(out.splitlines()[-1])["rate"])
        row.memory_mb.append((peak - base) / 1e6)


def measure(options: argparse.Namespace, path: Path, folder: Path) -> list[Row]:
    """Run every way in turn."""
    rows = [Row(way) for way in WAYS if not options.only or way in options.only]
    for repeat in range(options.repeats):
        for row in rows:
            python = options.peers if row.way in PEERS else sys.executable
            if python is None:
                row.missing = "not measured: no --peers"
            if row.missing:
                continue
            own = folder / row.way
            if repeat == 0 and row.way in PREPARE:
                own.mkdir()
                run(row, python, [str(path), str(own), "0"])
            if not row.missing:
                run(row, python, [str(path), str(own), str(options.seconds)])
            print(f"{row.way}: {row.missing or f'{row.rates[-1]:.0f}'}", file=sys.stderr)
    return rows


def table(rows: list[Row]) -> str:
    """The rows as Markdown, each beside ours with 4 threads."""
    best = next((statistics.median(r.rates) for r in rows if r.way == "ours 4" and r.rates), None)
    lines = [
        "| way | slices/s | ours is | MB above import torch |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        if row.missing:
            lines.append(f"| {WAYS[row.way]} | {row.missing} | | |")
            continue
        found = statistics.median(row.rates)
        ratio = f"{best / found:.1f} x" if best else ""
        memory = statistics.median(row.memory_mb)
        lines.append(f"| {WAYS[row.way]} | {found:,.0f} | {ratio} | {memory:,.0f} |")
    return "\n".join(lines)


def write(options: argparse.Namespace, path: Path, rows: list[Row]) -> str:
    """Write the results as Markdown and JSON; gives the Markdown."""
    facts = {
        **describe(),
        "slice file": f"{path.stat().st_size / 1e6:.0f} MB",
        "slices": "own" if options.slice_file else f"{options.slices} synthetic, 192 x 160",
        "batch": BATCH,
        "seconds": options.seconds,
        "repeats": options.repeats,
        **versions(sys.executable, PACKAGES),
        **(versions(options.peers, PEER_PACKAGES) if options.peers else {}),
    }
    given = [name for name in ("quick",) if getattr(options, name)]
    command = " ".join(["python -m benchmarks.load", *(f"--{name}" for name in given)])
    text = f"# Loading\n\n`{command}`\n\n{table(rows)}\n\n{markdown(facts)}\n"
    RESULTS.mkdir(exist_ok=True)
    name = "load-quick" if options.quick else "load"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    runs = [
        {"way": r.way, "slices_per_s": r.rates, "memory_mb": r.memory_mb, "missing": r.missing}
        for r in rows
    ]
    content = json.dumps({"facts": facts, "command": command, "runs": runs}, indent=1)
    (RESULTS / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    return text


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--slice-file", type=Path, help="use this one instead of a synthetic one")
    parser.add_argument("--slices", type=int, default=2000, help="of the synthetic file")
    parser.add_argument("--seconds", type=float, default=2.0, help="that each run is counted for")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", help="interpreter that has nnunetv2, monai and webdataset")
    parser.add_argument("--only", nargs="*", choices=WAYS, help="ways to measure")
    parser.add_argument("--quick", action="store_true", help="few slices, one short run each")
    options = parser.parse_args()
    if options.quick:
        options.slices, options.seconds, options.repeats = 600, 1.0, 1
    return options


def main() -> None:
    """Measure, print and write."""
    options = read_options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.slice_file or folder / "slices.h5"
        if options.slice_file is None:
            write_slice_file(path, options.slices)
        print(write(options, path.absolute(), measure(options, path.absolute(), folder)))


if __name__ == "__main__":
    main()
