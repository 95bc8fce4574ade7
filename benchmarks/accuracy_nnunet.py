"""Run nnU-Net for `benchmarks.accuracy` on one fold; what is finished is kept in its folder."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.accuracy_data import from_nnunet, to_nnunet
from benchmarks.accuracy_plan import Plan
from benchmarks.accuracy_run import Found, Leg, Place, kept, run, threads

DATASET = "Dataset001_Brain"


def nnunet_env(plan: Plan, place: Place, results: Path, augmenters: int) -> dict[str, str]:
    """Variables that nnU-Net reads."""
    base = place.work / "nnunet"
    return threads(plan) | {
        "nnUNet_raw": str(base / "raw"),
        "nnUNet_preprocessed": str(base / "preprocessed"),
        "nnUNet_results": str(results),
        "nnUNet_n_proc_DA": str(augmenters),
        "nnUNet_def_n_proc": str(plan.processes),
    }


def prepare_nnunet(plan: Plan, place: Place) -> Found:
    """Convert the cases, then fingerprint, plan and preprocess, once for all folds."""
    base = place.work / "nnunet"
    base.mkdir(parents=True, exist_ok=True)

    def make() -> Found:
        to_nnunet(place.raw, base / "raw" / DATASET, plan.labels)
        command = [place.peers, "-m", "benchmarks.peers.nnunet_prepare"]
        command += ["--processes", str(plan.processes)]
        return run(command, nnunet_env(plan, place, base / "results", plan.processes), base)

    return kept(place, base / "prepared.json", make)


def run_nnunet(plan: Plan, place: Place, leg: Leg, *, again: bool) -> list[Found]:
    """Train once, then label the fold with the weights of each number of minutes."""
    prepared = prepare_nnunet(plan, place)
    if "fault" in prepared:
        return [prepared]
    side, folder = leg.side, place.folder(leg)
    # what children do is not on the processor's clock of their parent
    augmenters = 0 if plan.clock == "processor" else plan.processes
    env = nnunet_env(plan, place, folder / "results", augmenters)
    chosen = ["--configuration", side.configuration, "--fold", str(leg.fold)]
    chosen += ["--device", plan.device]
    peer = [place.peers, "-m"]

    def fit() -> Found:
        budget = side.minutes[-1]
        shares = [minutes / budget for minutes in side.minutes[:-1]]
        command = [*peer, "benchmarks.peers.nnunet_fit", str(place.splits), str(folder), *chosen]
        command += ["--minutes", f"{budget:g}", "--clock", plan.clock, "--seed", str(leg.seed)]
        return run([*command, "--points", json.dumps(shares)], env, folder)

    fitted = kept(place, folder / "fit.json", fit, again=again)
    if "fault" in fitted:
        return [fitted]
    points = fitted.pop("points")
    found = []
    for minutes, point in zip(side.minutes, points, strict=True):
        target = folder / f"predicted-{minutes:g}"
        command = [*peer, "benchmarks.peers.nnunet_label", str(place.splits), point.pop("weights")]
        command += [str(target), *chosen, *["--no-mirroring"] * (not side.mirroring)]
        back = partial(
            from_nnunet, place.raw, target, place.predicted(side, leg.seed, minutes), plan.labels
        )
        label = partial(labels_of, command, env, folder, back)
        labelled = kept(place, folder / f"{minutes:g}.json", label, again=again)
        found.append({"minutes": minutes, **fitted, **point})
        if "fault" in labelled:
            found[-1]["fault"] = f"labels: {labelled['fault']}"
            continue
        found[-1]["predict"] = labelled["predict"]
    return found


def labels_of(
    command: list[str], env: dict[str, str], folder: Path, back: Callable[[], object]
) -> Found:
    """Label a fold in a process of its own, and bring the labels back into the source's scheme."""
    labelled = run(command, env, folder)
    if "fault" not in labelled:
        back()
    return labelled
