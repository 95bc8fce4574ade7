"""Scoring, measured: volume Dice, HD95 and lesion-wise scores of whole cases, ours and others'.

    python -m benchmarks.evaluate                                    # one core, some minutes
    python -m benchmarks.evaluate --peers .venv-peers/bin/python     # with MONAI

Each row is a process of its own with one thread, in turn, round after round; ratios are taken
within a round. Truths are phantoms of 240 x 240 x 155, predictions are the same ones shifted, with
pieces missing and others made up. The values of every way are held against ours.
"""

import argparse
import json
import math
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import machine
from bratsprep.phantom.phantoms import phantom_case

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("bratsprep", "numba", "numpy", "scipy", "connected-components-3d", "surface-distance")
PEER_PACKAGES = ("monai", "torch", "scipy", "numpy")
AIM = 10.0
"""How much faster than the SciPy way HD95 is to be."""
SHAPE = (240, 240, 155)
QUICK_SHAPE = (64, 64, 40)
EQUAL = 1e-6
"""Largest difference of two ways that compute the same thing; single precision for MONAI."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way of measuring one thing."""

    measure: str
    name: str
    module: str
    way: str
    """Argument of the runner."""
    says_the_same: bool
    """Its values are to be ours; else it has another definition, and the difference is shown."""
    is_peer: bool = False
    """Runs in the peers' environment."""


ROWS = (
    Row("volume Dice", "**ours**", "score_ours", "dice", says_the_same=True),
    Row("volume Dice", "NumPy, a mask a region", "score_scipy", "dice", says_the_same=True),
    Row("volume Dice", "surface-distance", "score_scipy", "dice-published", says_the_same=True),
    Row("volume Dice", "MONAI", "score_monai", "dice", says_the_same=True, is_peer=True),
    Row("HD95", "**ours**", "score_ours", "hd95", says_the_same=True),
    Row("HD95", "surface-distance", "score_scipy", "hd95-published", says_the_same=True),
    Row("HD95", "SciPy, whole volume", "score_scipy", "hd95", says_the_same=False),
    Row("HD95", "MONAI", "score_monai", "hd95", says_the_same=False, is_peer=True),
    Row("lesion-wise", "**ours**", "score_ours", "lesions", says_the_same=True),
    Row("lesion-wise", "SciPy, cc3d, surface-distance", "score_scipy", "lesions",
        says_the_same=True),
    Row("everything", "**ours**", "score_ours", "everything", says_the_same=True),
)  # fmt: skip


def make_cases(folder: Path, cases: int, shape: tuple[int, int, int]) -> None:
    """Write truths and predictions as .npz files."""
    for index in range(cases):
        truth = phantom_case(shape, index=index).label
        predicted = perturbed(truth, index)
        np.savez(folder / f"{index:04d}.npz", truth=truth, predicted=predicted)


def perturbed(truth: np.ndarray, seed: int) -> np.ndarray:
    """What a network might have said: moved by a voxel or two, bitten into, with false pieces.

    Args:
        truth: (z, y, x) uint8.
        seed: of this case; every third one has no false piece.
    """
    generator = np.random.default_rng(seed)
    said = np.roll(truth, tuple(generator.integers(-2, 3, 3)), (0, 1, 2))
    inside = np.argwhere(said)
    for centre in inside[generator.integers(0, len(inside), 8)]:
        said[_around(centre, generator, truth.shape)] = generator.integers(0, 4)
    for _ in range(generator.integers(1, 6) if seed % 3 else 0):
        centre = [generator.integers(side // 4, 3 * side // 4) for side in truth.shape]
        said[_around(centre, generator, truth.shape)] = generator.integers(1, 4)
    return said


def _around(centre, generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A box of 2 to 9 voxels a side."""
    sides = generator.integers(2, 10, 3)
    return tuple(
        slice(int(c), int(min(c + side, most)))
        for c, side, most in zip(centre, sides, shape, strict=True)
    )


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run every row in turn, as many rounds as were asked for."""
    runs = []
    for number in range(options.rounds):
        for row in ROWS:
            record = {"measure": row.measure, "row": row.name, "round": number}
            runs.append(record | one(row, options, folder))
            shown = runs[-1].get("fault") or f"{runs[-1]['seconds'] / runs[-1]['cases']:.4f} s/case"
            print(f"{row.measure:12} {row.name:30} {shown}", file=sys.stderr, flush=True)
    return runs


def one(row: Row, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one row once; what goes wrong is a result too."""
    if row.is_peer and not options.peers:
        return {"fault": "not measured: no --peers"}
    python = options.peers if row.is_peer else sys.executable
    command = [python, "-m", f"benchmarks.peers.{row.module}", row.way, str(folder / "cases")]
    command += ["--cases", str(options.cases)]
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    took = machine.measured(command, env, folder)
    found = machine.said(took)
    if "fault" in found:
        return {"fault": "not installed"} if "ModuleNotFound" in found["fault"] else found
    return found | {"peak_bytes": took.peak_bytes}


def furthest(run: dict[str, Any], ours: dict[str, Any], *, strict: bool) -> float:
    """Largest difference of a value from ours."""
    pairs = [
        (one, other)
        for mine, theirs in zip(ours["values"], run["values"], strict=True)
        for region in mine
        for one, other in zip(mine[region], theirs[region], strict=True)
    ]
    return max(_apart(*pair, strict=strict) for pair in pairs)


def _apart(one: float, other: float, *, strict: bool) -> float:
    """How far two numbers are apart; of an empty mask, unless strict, any number will do."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf if strict else 0.0
    return abs(one - other)


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Medians of the rounds as Markdown."""
    lines = [
        "| measure | way | s/case (range) | cases/s | time, ours = 1 | peak MB | values |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in ROWS:
        mine = [run for run in runs if (run["measure"], run["row"]) == (row.measure, row.name)]
        good = [run for run in mine if "fault" not in run]
        if not good:
            lines.append(f"| {row.measure} | {row.name} | {mine[0]['fault']} | | | | |")
            continue
        each = [run["seconds"] / run["cases"] for run in good]
        peak = median(run["peak_bytes"] for run in good) / 1e6
        spread = f"{median(each):.4f} ({min(each):.4f} to {max(each):.4f})"
        lines.append(
            f"| {row.measure} | {row.name} | {spread} | {1 / median(each):.2f} "
            f"| {ratio(runs, row):.1f} | {peak:.0f} | {said(runs, row, good[0])} |"
        )
    return lines


def ours_of(runs: list[dict[str, Any]], measure: str) -> dict[int, dict[str, Any]]:
    """Our run of each round."""
    return {
        run["round"]: run
        for run in runs
        if run["measure"] == measure and run["row"] == "**ours**" and "fault" not in run
    }


def ratio(runs: list[dict[str, Any]], row: Row) -> float:
    """Median over the rounds of a row's time, ours = 1; nan where one is missing."""
    ours = ours_of(runs, row.measure)
    found = [
        run["seconds"] / ours[run["round"]]["seconds"]
        for run in runs
        if (run["measure"], run["row"]) == (row.measure, row.name)
        and "fault" not in run
        and run["round"] in ours
    ]
    return median(found) if found else math.nan


def said(runs: list[dict[str, Any]], row: Row, run: dict[str, Any]) -> str:
    """How the values of a row compare with ours."""
    ours = ours_of(runs, row.measure).get(run["round"])
    if ours is None or row.name == "**ours**":
        return ""
    apart = furthest(run, ours, strict=row.says_the_same and not row.is_peer)
    if row.says_the_same:
        same = "the same; nan of an empty truth" if row.is_peer else "the same"
        return same if apart < EQUAL else f"NOT the same: {apart:g} apart"
    return f"another definition: up to {apart:.2f} mm apart"


def agree(runs: list[dict[str, Any]]) -> bool:
    """Whether every way that should gives our values."""
    return not any("NOT" in line for line in table(runs))


def aims(runs: list[dict[str, Any]]) -> list[str]:
    """The aim for HD95 beside what was measured."""
    lines = ["| aim | measured | |", "| --- | --- | --- |"]
    for name in ("SciPy, whole volume", "surface-distance"):
        row = next(row for row in ROWS if row.measure == "HD95" and row.name == name)
        found = ratio(runs, row)
        reached = "reached" if found >= AIM else "not reached"
        lines.append(f"| HD95 ≥ {AIM:g} x faster than {name} | {found:.1f} x | {reached} |")
    return lines


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate")
    add = parser.add_argument
    add("--cases", type=int, default=8)
    add("--rounds", type=int, default=3)
    add("--peers", default="", help="python of the peers' environment, for MONAI")
    add("--results", type=Path, default=RESULTS)
    add("--quick", action="store_true", help="two small cases, one round: does everything run?")
    options = parser.parse_args()
    options.shape = QUICK_SHAPE if options.quick else SHAPE
    if options.quick:
        options.cases, options.rounds = 2, 1
    return options


def main() -> None:
    """Measure, print, write; exit 1 where values differ that should not."""
    options = read_options()
    command = ["python", "-m", "benchmarks.evaluate"]
    command += [] if options.quick else ["--cases", str(options.cases)]
    command += ["--rounds", str(options.rounds)] + ["--peers", "PEERS"] * bool(options.peers)
    facts = {"machine": machine.describe(), "ours": machine.versions(sys.executable, PACKAGES)}
    facts["peers"] = machine.versions(options.peers, PEER_PACKAGES) if options.peers else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cases").mkdir()
        make_cases(folder / "cases", options.cases, options.shape)
        runs = measure(options, folder)
    size = " x ".join(map(str, options.shape))
    about = f"{options.cases} cases of {size}, regions WT, TC and ET, one thread a process."
    lines = ["# Evaluate", "", f"`{shlex.join(command)}`", "", about, "", *table(runs), ""]
    lines += [*aims(runs), "", *(f"- {key}: {machine.markdown(facts[key])}" for key in facts)]
    lines += [
        "",
        "«everything» is what `bratstrain evaluate` takes of a case: counts, slice scores,",
    ]
    lines += ["HD95, surface Dice and both years' lesion rules of five classes and regions."]
    lines += ["MONAI has no lesion-wise score; BraTS's own code is SciPy, cc3d, surface-distance."]
    stem = "evaluate-quick" if options.quick else "evaluate"
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{stem}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = json.dumps({"facts": facts, "command": shlex.join(command), "runs": runs}, indent=1)
    (options.results / f"{stem}.json").write_text(content + "\n", encoding="utf-8")
    print("\n".join(lines))
    sys.exit(0 if agree(runs) else 1)


if __name__ == "__main__":
    main()
