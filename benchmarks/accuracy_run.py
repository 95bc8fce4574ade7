"""Run ours for `benchmarks.accuracy` on one fold; what is finished is kept in its folder."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bratstrain
from benchmarks import machine
from benchmarks.accuracy_plan import Plan, Side

ROOT = Path(__file__).parent.parent

NOT_RUN = "not run, or not to its end"

Found = dict[str, Any]
"""What a process printed and took, or its `fault`."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One side on one fold with one seed."""

    side: Side
    fold: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is."""

    raw: Path
    work: Path
    peers: str
    """Python that has nnunetv2."""
    earlier: str
    """Checkout of an earlier version of ours; empty for none."""
    is_closed: bool = False
    """Nothing is run any more: what is not kept is a fault."""

    @property
    def splits(self) -> Path:
        """Folds of the cases, as nnU-Net and ours read them."""
        return self.work / "splits.json"

    def folder(self, leg: Leg) -> Path:
        """Of one side's work on one fold; made."""
        folder = self.work / leg.side.slug / f"fold{leg.fold}-seed{leg.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def predicted(self, side: Side, seed: int, minutes: float) -> Path:
        """Folder of the labels of all folds, in the source's scheme."""
        return self.work / side.slug / f"seed{seed}-{minutes:g}" / "predicted"


def run(command: list[str], env: dict[str, str], folder: Path) -> Found:
    """Run a process to its end; a failure is a result too."""
    took = machine.measured(command, {"PYTHONPATH": str(ROOT), **env}, folder)
    found = machine.said(took)
    if "fault" in found:
        print(took.stderr[-3000:], file=sys.stderr)
        return found
    return found | {"cpu_seconds": took.cpu_seconds, "peak_bytes": took.peak_bytes}


def kept(place: Place, path: Path, make: Callable[[], Found], *, again: bool = False) -> Found:
    """Read what was found before, or find it and write it; a fault is looked for again."""
    if path.exists() and not again:
        found: Found = json.loads(path.read_text(encoding="utf-8"))
        return found
    if place.is_closed:
        return {"fault": NOT_RUN}
    found = make()
    if "fault" not in found:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def deal(plan: Plan, place: Place) -> list[dict[str, list[str]]]:
    """The folds of the cases; dealt where they are not there yet."""
    place.work.mkdir(parents=True, exist_ok=True)
    if not place.splits.exists():
        bratstrain.splits(place.raw, place.splits, labels=plan.labels)
    folds: list[dict[str, list[str]]] = json.loads(place.splits.read_text(encoding="utf-8"))
    return folds


def threads(plan: Plan) -> dict[str, str]:
    """Variables that give torch so many threads; none where it chooses."""
    return {"OMP_NUM_THREADS": str(plan.threads)} if plan.threads else {}


def run_ours(plan: Plan, place: Place, leg: Leg, *, again: bool) -> list[Found]:
    """Build once; then fit and predict once for each number of minutes."""
    side = leg.side
    if side.earlier and not place.earlier:
        return [{"fault": "no checkout of an earlier version was given"}]
    data = place.work / side.slug / "slices.h5"
    found = []
    for minutes in side.minutes:
        labels = place.predicted(side, leg.seed, minutes)
        one = fit_ours(plan, place, leg, minutes, (data, labels), again=again)
        found.append({"minutes": minutes, **one})
    return found


def fit_ours(
    plan: Plan,
    place: Place,
    leg: Leg,
    minutes: float,
    paths: tuple[Path, Path | None],
    *,
    again: bool = False,
) -> Found:
    """Fit, and predict where labels are wanted, in a process of its own.

    Args:
        plan: of the comparison.
        place: where everything is.
        leg: side, fold and seed.
        minutes: of the fit.
        paths: slice file, built where it is missing, and folder for the labels or None.
        again: fit anew what is kept.
    """
    side, (data, labels) = leg.side, paths
    folder = place.folder(leg)
    command = [sys.executable, "-m", "benchmarks.peers.ours_fit", str(place.raw)]
    command += [str(folder / f"{minutes:g}"), "--minutes", f"{minutes:g}", "--clock", plan.clock]
    command += ["--split", str(place.splits), "--fold", str(leg.fold), "--seed", str(leg.seed)]
    command += ["--device", plan.device, "--labels", plan.labels, "--tta", side.tta]
    command += ["--data", str(data), "--settings", json.dumps(side.settings)]
    command += ["--prepare", json.dumps(side.prepare)]
    command += ["--predicted", str(labels)] if labels else []
    command += ["--tree", place.earlier] if side.earlier else []

    def make() -> Found:
        shutil.rmtree(folder / f"{minutes:g}", ignore_errors=True)
        (folder / f"{minutes:g}").mkdir()
        return run(command, threads(plan), folder / f"{minutes:g}")

    return kept(place, folder / f"{minutes:g}.json", make, again=again)
