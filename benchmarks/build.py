"""Build, measured: ours beside the inflate floor, nnU-Net, MONAI, TorchIO, h5py and a notebook.

Every row is a process of its own, so that its peak memory is its own. Rounds are interleaved, so
that what the machine does beside is shared by all; ratios are taken within a round. The first type
of voxels has every row on `--cases` cases, and on `--more-cases` those that say how cost grows;
other types have the rows that an aim is held against.

    python -m benchmarks.build --work WORK --peers PEERS
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.build_figures import FLOOR, H5PY, NNUNET, NNUNET_START, OURS
from benchmarks.build_table import write
from benchmarks.inputs import Inputs, made

ROOT = Path(__file__).parent.parent
OUR_PACKAGES = ("bratsprep", "h5py", "imagecodecs", "isal", "nibabel", "numba", "numpy")
GROWN = (FLOOR, OURS, NNUNET)
"""Rows that are measured on further numbers of cases."""
HELD_AGAINST = (H5PY, NNUNET)
"""Peers that an aim names: they take part for every type of voxels."""
PEER_PACKAGES = ("nnunetv2", "monai", "torchio", "h5py", "nibabel", "numpy", "torch")


@dataclass(frozen=True, slots=True)
class Row:
    """One way of doing the job."""

    name: str
    """For `--only`."""
    module: str
    """Runner in `benchmarks.peers`."""
    workers: int
    package: str = ""
    """What the peers' environment must hold; empty for rows that run in ours."""
    source: str = "folder"
    """Method of `Inputs` that gives what it reads."""


def rows(workers: int) -> tuple[Row, ...]:
    """All rows; the two that ratios are taken to come first and side by side."""
    fewer = sorted({1, max(workers // 2, 1)} - {workers}, reverse=True)
    return (
        Row(FLOOR, "floor", workers),
        Row(OURS, "ours", workers),
        *(Row(f"ours-{n}", "ours", n) for n in fewer),
        Row("ours-tar", "ours", workers, source="tar"),
        Row(H5PY, "plain", workers, "h5py"),
        Row(NNUNET, "nnunet", workers, "nnunetv2", source="nnunet"),
        Row("monai", "monai", workers, "monai"),
        Row("torchio", "torchio", workers, "torchio"),
        Row("notebook", "notebook", 1, "nibabel"),
    )


class Bench:
    """Runs rows and keeps every single result.

    Args:
        work: folder for outputs, emptied before each run.
        peers: interpreter of the peers' environment.
        held: packages that it holds.
    """

    def __init__(self, work: Path, peers: str, held: dict[str, str]) -> None:
        self.out = work / "out"
        self.peers = peers
        self.held = held
        self.runs: list[dict[str, Any]] = []

    def run(self, row: Row, inputs: Inputs, cases: int, **tags: str | int) -> None:
        """Run one row once; what goes wrong is a result too."""
        record: dict[str, Any] = {"row": row.name, "workers": row.workers, "cases": cases, **tags}
        self.runs.append(record)
        if row.package and row.package not in self.held:
            record["fault"] = "not installed"
            return
        shutil.rmtree(self.out, ignore_errors=True)
        (self.out / "made").mkdir(parents=True)
        raw = getattr(inputs, row.source)(cases)
        os.sync()  # so that nobody pays for what the one before wrote
        command = [self.peers if row.package else sys.executable, "-m"]
        command += [f"benchmarks.peers.{row.module}", str(raw), str(self.out / "made")]
        command += ["--workers", str(row.workers), "--cases", str(cases)]
        took = machine.measured(command, self._env(raw), self.out)
        record |= {
            "wall_seconds": took.wall_seconds,
            "tree_cpu_seconds": took.cpu_seconds,
            "peak_bytes": took.peak_bytes,
        }
        if took.returncode:
            print(took.stderr[-2000:], file=sys.stderr)
            record["fault"] = f"failed, exit {took.returncode}"
        else:
            record |= json.loads(took.stdout.strip().splitlines()[-1])
        shutil.rmtree(self.out, ignore_errors=True)
        print(_line(record), flush=True)

    def _env(self, raw: Path) -> dict[str, str]:
        """One thread a process inside the libraries, as nnU-Net's manual advises."""
        return {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "nnUNet_raw": str(raw),
            "nnUNet_preprocessed": str(self.out / "made"),
            "nnUNet_results": str(self.out / "made" / "results"),
        }


def _line(record: dict[str, Any]) -> str:
    """One result while the benchmark runs."""
    head = f"{record['dtype']:8} round {record['round']} {record['row']:10} {record['cases']:4}"
    if "fault" in record:
        return f"{head}  {record['fault']}"
    each = record["seconds"] / record["cases"]
    return f"{head}  {each:7.4f} s/case  {record['peak_bytes'] / 1e6:7.0f} MB"


def turn(args: argparse.Namespace, number: int, *, whole: bool) -> list[tuple[Row, int]]:
    """Rows and numbers of cases of one round; rows that are held together stand together.

    Args:
        args: the command line.
        number: of the round, from 0; peers may take part in fewer.
        whole: every row, also on further numbers of cases; else those that an aim names.
    """
    ours_only = number >= args.peer_rounds
    found = [
        (row, fewer(row, cases, args))
        for cases in sorted({args.cases, *(args.more_cases if whole else ())})
        for row in rows(args.workers)
        if (row.name in args.only if args.only else whole or row.name in named(args.workers))
        if (cases == args.cases or row.name in GROWN) and not (row.package and ours_only)
    ]
    starts = [
        (replace(row, name=NNUNET_START), row.workers)
        for row, cases in found
        if row.name == NNUNET and cases > row.workers
    ]
    return list(dict.fromkeys([*found, *starts]))


def named(workers: int) -> set[str]:
    """Rows that an aim names, and all of ours."""
    own = {row.name for row in rows(workers) if not row.package}
    return {*own, *HELD_AGAINST}


def fewer(row: Row, cases: int, args: argparse.Namespace) -> int:
    """Cases that a row is given of those that ours is given."""
    limits = {"notebook": 8, NNUNET: args.nnunet_cases}
    asked = (limits.get(row.name), args.peer_cases if row.package else 0)
    return min([cases, *(limit for limit in asked if limit)])


def rounds(bench: Bench, args: argparse.Namespace, inputs: Inputs, dtype: str) -> None:
    """A B C A B C ...; peers may take part in fewer rounds and on fewer cases."""
    for number in range(args.rounds):
        for row, cases in turn(args, number, whole=dtype == args.dtypes[0]):
            bench.run(row, inputs, cases, dtype=dtype, round=number, part="speed")


def growth(bench: Bench, args: argparse.Namespace, inputs: Inputs, dtype: str) -> None:
    """Memory of ours for few cases and for many."""
    row = Row(OURS, "ours", args.workers)
    for number in range(2 if args.growth else 0):
        for cases in args.growth:
            bench.run(row, inputs, cases, dtype=dtype, round=number, part="growth")


def warm(bench: Bench, inputs: Inputs) -> None:
    """Fill Numba's cache, and say what a very first run costs; the result does not count."""
    bench.run(Row(OURS, "ours", 1), inputs, 1, dtype="any", round=0, part="first run")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build")
    add = parser.add_argument
    add("--work", type=Path, default=Path("demo/benchmarks"), help="cache of phantoms; outputs")
    add("--raw", type=Path, help="a folder in the Decathlon's layout instead of phantoms")
    add("--peers", default=".venv-peers/bin/python", help="python of the peers' environment")
    add("--results", type=Path, default=ROOT / "benchmarks" / "results")
    add("--cases", type=int, default=48, help="for every row")
    add("--more-cases", default="16,144", help="for the floor, ours and nnU-Net; empty for none")
    add("--workers", type=int, default=4)
    add("--dtype", choices=("int16", "float32", "both"), default="both", help="of phantoms")
    add("--rounds", type=int, default=5)
    add("--peer-rounds", type=int, default=1)
    add("--peer-cases", type=int, default=0, help="at most; 0 for all")
    add("--nnunet-cases", type=int, default=0, help="at most for nnU-Net; 0 for all")
    add("--growth", default="16,64", help="numbers of cases; empty to leave it out")
    add("--only", default="", help="names of rows, with commas")
    add("--quick", action="store_true", help="4 cases, 1 round: does everything run?")
    args = parser.parse_args()
    args.growth = tuple(int(n) for n in args.growth.split(",") if n)
    args.more_cases = tuple(int(n) for n in args.more_cases.split(",") if n)
    args.only = frozenset(args.only.split(",")) - {""}
    args.dtypes = ("int16", "float32") if args.dtype == "both" else (args.dtype,)
    args.dtypes = ("raw",) if args.raw else args.dtypes
    known = {row.name for row in rows(args.workers)}
    if not args.only <= known:
        parser.error(f"--only knows {', '.join(sorted(known))}")
    if args.quick:
        args.cases, args.rounds, args.peer_rounds = 4, 1, 1
        args.more_cases = args.growth = ()
    return args


def command_line() -> str:
    """The command as it was given, without the places of this machine."""
    places = {"--work": "WORK", "--raw": "RAW", "--peers": "PEERS", "--results": "RESULTS"}
    words = [part for word in sys.argv[1:] for part in _parted(word)]
    shown = [places.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    return shlex.join(["python", "-m", "benchmarks.build", *shown])


def _parted(word: str) -> list[str]:
    """Option and value of `--option=value`."""
    return word.split("=", 1) if word.startswith("--") else [word]


def sources(args: argparse.Namespace) -> Iterator[tuple[str, Inputs]]:
    """Types of voxels, and cases of that type; made when their turn comes."""
    work = args.work.resolve()
    if args.raw:
        raw = args.raw.resolve()
        yield "raw", Inputs(raw, work / f"derived-raw-{zlib.crc32(bytes(raw)):08x}")
        return
    for dtype in args.dtypes:
        yield dtype, made(work, dtype, most(args, dtype))


def most(args: argparse.Namespace, dtype: str) -> int:
    """The largest number of cases that is asked for of a type of voxels."""
    return max((args.cases, *args.growth, *(args.more_cases if dtype == args.dtypes[0] else ())))


def main() -> None:
    """Measure all, write the tables."""
    args = parse()
    held = machine.versions(args.peers, PEER_PACKAGES)
    facts = {
        "command": command_line(),
        "machine": machine.describe(),
        "ours": machine.versions(sys.executable, OUR_PACKAGES),
        "peers": held,
    }
    for folder in (args.work, args.results):
        folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.work.resolve(), args.peers, held)
    sizes: dict[str, float] = {}
    text = ""
    for dtype, inputs in sources(args):
        inputs.folder(most(args, dtype))  # too few cases are found out at once
        sizes[dtype] = inputs.source_bytes(args.cases) / args.cases
        warm(bench, inputs)
        rounds(bench, args, inputs, dtype)
        growth(bench, args, inputs, dtype)
        text = write(bench.runs, facts, sizes, args.results)
    print(text)


if __name__ == "__main__":
    main()
