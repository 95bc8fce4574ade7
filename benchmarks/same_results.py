"""Whether another revision gives the same results as this working tree, bit for bit.

    python -m benchmarks.same_results main
    python -m benchmarks.same_results ../other-checkout --real BraTS2020/ --real labelled.tar

Runs the same commands with the code of both trees, each in a folder of its own, and compares what
they wrote: phantoms, slice files, weights of fits on the CPU, predictions and every score. Only
the command line is used, so modules may be renamed and moved. Prints a table and exits with 1
where a result differs or a command failed on one side.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outputs import (
    Facts,
    checkpoint_facts,
    differences,
    evaluation_facts,
    file_facts,
    label_map_facts,
    slice_file_facts,
)

ROOT = Path(__file__).parent.parent
SHOWN = 5
"""Differences that are printed for a result."""
PHANTOMS = {
    "msd": ("--layout msd --cases 7 --repeats 1", "--crop 48x48 --negatives 0.3"),
    "brats2018": (
        "--layout brats2018 --cases 3 --dtype float32 --archive zip",
        "--crop brain --slices brain --normalise none --dtype float32 --compression none",
    ),
    "brats2020": ("--layout brats2020 --cases 3", "--crop none --slices all"),
    "brats2023": ("--layout brats2023 --cases 3 --archive tar.gz", "--crop 40x32 --margin 2"),
    "brats2024": ("--layout brats2024 --cases 3", "--crop 40x48 --compression small"),
    "nnunet": (
        "--layout nnunet --cases 2 --unlabelled 1 --archive tar",
        "--crop 48x48 --unlabelled --slices brain",
    ),
    "brats2015": ("--layout brats2015 --cases 2", "--crop 48x48"),
    "bids": ("--layout bids --cases 3", "--crop 48x48"),
    "ucsf-pdgm": ("--layout ucsf-pdgm --cases 2 --archive zip", "--crop 48x48"),
    "upenn-gbm": ("--layout upenn-gbm --cases 3", "--crop 48x48"),
    "visits": ("--layout visits --cases 3", "--crop 48x48"),
    "archives": ("--layout archives --cases 2", "--crop 48x48"),
    "kaggle-slices": ("--layout kaggle-slices --cases 2", "--crop 48x48"),
    "modality-folders": ("--layout modality-folders --cases 2", "--crop 48x48"),
    "plain": ("--layout plain --cases 2 --dtype float32", "--crop 48x48"),
}
"""Options of `phantom` and of `build` for each set of phantoms."""
FITS = {
    "residual": "--model residual --width 4 --depth 3 --batch 4 --steps 12 --validate-steps 6",
    "attention": "--recipe deck --model attention --width 4 --depth 3 --batch 4 --steps 4",
}
"""Options of `fit` on the phantoms of `msd`."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and how to read what it writes."""

    name: str
    command: str
    """Program and arguments, split at spaces; run in the folder of its side."""
    output: str
    read: Callable[[Path], Facts]


def phantom_steps() -> Iterator[Step]:
    """Phantoms and a slice file for every layout."""
    for name, (made, built) in PHANTOMS.items():
        suffix = made.partition("--archive ")[2].split(" ")[0]
        raw = f"{name}.{suffix}" if suffix else name
        size = "--shape 48x48x32 --seed 5"
        yield Step(f"phantoms {name}", f"bratsprep phantom {name} {made} {size}", raw, file_facts)
        build = f"bratsprep build {raw} {name}.h5 {built} --workers 2"
        yield Step(f"build {name}", build, f"{name}.h5", slice_file_facts)


def run_steps() -> Iterator[Step]:
    """Fits on the first phantoms; predictions and scores of the first fit."""
    for name, options in FITS.items():
        command = f"bratstrain fit msd.h5 {options} --test-share 0.3 --device cpu --run {name}"
        yield Step(f"fit {name}", command, f"{name}/last.pt", checkpoint_facts)
    run = next(iter(FITS))
    predict = f"bratstrain predict {run} brats2020 -o predicted --device cpu --tta lr"
    yield Step("predict", predict, "predicted", label_map_facts)
    for source, option in (("raw", "--raw msd"), ("slices", "--data msd.h5")):
        command = f"bratstrain evaluate {run} {option} --split all --device cpu -o scores-{source}"
        output = f"scores-{source}/evaluation.json"
        yield Step(f"evaluate {source}", command, output, evaluation_facts)


def real_steps(folders: list[Path]) -> Iterator[Step]:
    """Slice files, predictions and scores of real cases, by the first fit on phantoms."""
    run = next(iter(FITS))
    for number, folder in enumerate(folders, 1):
        place, out = folder.resolve(), f"real-{number}"
        build = f"bratsprep build {place} {out}.h5 --workers 2"
        yield Step(f"build {folder.name}", build, f"{out}.h5", slice_file_facts)
        options = "--any-spacing --device cpu"
        predict = f"bratstrain predict {run} {place} -o {out} {options}"
        yield Step(f"predict {folder.name}", predict, out, label_map_facts)
        command = f"bratstrain evaluate {run} --raw {place} --split all {options} -o {out}-scores"
        output = f"{out}-scores/evaluation.json"
        yield Step(f"evaluate {folder.name}", command, output, evaluation_facts)


def run(step: Step, tree: Path, folder: Path) -> Facts:
    """Run a command with the code of a tree.

    Args:
        step: what to run.
        tree: checkout whose packages are used.
        folder: where to run it.

    Returns:
        What the output holds; where the command failed, its exit code and last line instead.
    """
    program, *arguments = step.command.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments], cwd=folder, text=True, check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return {"failed": f"exit code {done.returncode}: {' '.join(last)}"}
    return step.read(folder / step.output)


def checkout(other: str, folder: Path) -> Path:
    """Give the tree of a path or of a revision.

    Args:
        other: folder of a checkout, or a revision that git knows.
        folder: where a revision is unpacked.

    Raises:
        SystemExit: git does not know the revision.
    """
    if (Path(other) / "bratsprep").is_dir():
        return Path(other).resolve()
    packed = subprocess.run(
        ["git", "archive", "--format=tar", other, "bratsprep", "bratstrain"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if packed.returncode:
        raise SystemExit(f"{other}: neither a checkout nor a revision; {packed.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def line(step: Step, sides: list[Facts]) -> tuple[str, list[str]]:
    """Row of the table for one step.

    Args:
        step: what ran.
        sides: facts of the two trees.

    Returns:
        The row, and its differences.
    """
    unequal = differences(*sides)
    failures = [str(facts["failed"]) for facts in sides if "failed" in facts]
    if failures:
        unequal = unequal or [f"failed in both: {failures[0]}"]
    count = len({name for facts in sides for name in facts})
    result = f"{len(unequal)} differ" if unequal else "same"
    return f"| {step.name} | {count:,} | {result} |", unequal


def compare(trees: list[Path], work: Path, steps: list[Step]) -> bool:
    """Run every step in both trees and print the table.

    Args:
        trees: this one and the other.
        work: folder for what they write.
        steps: in order; later ones use what earlier ones wrote.

    Returns:
        Whether everything is the same.
    """
    folders = [work / "first", work / "second"]
    for folder in folders:
        folder.mkdir(parents=True)
    print("| result | compared | |\n| --- | --- | --- |", flush=True)
    is_same = True
    for step in steps:
        sides = [run(step, *where) for where in zip(trees, folders, strict=True)]
        row, unequal = line(step, sides)
        print(row, flush=True)
        for text in unequal[:SHOWN]:
            print(f"  {text}", flush=True)
        is_same &= not unequal
    return is_same


def main() -> None:
    """Parse, compare, and exit with 1 where a result differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", help="revision, or folder of another checkout")
    parser.add_argument("--real", type=Path, action="append", default=[],
                        help="raw data to build, label and score too; may be repeated")  # fmt: skip
    given = parser.parse_args()
    missing = [str(path) for path in given.real if not path.exists()]
    if missing:
        parser.error(f"no such folder or archive: {', '.join(missing)}")
    steps = [*phantom_steps(), *run_steps(), *real_steps(given.real)]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        trees = [ROOT, checkout(given.other, work / "tree")]
        sys.exit(not compare(trees, work, steps))


if __name__ == "__main__":
    main()
