"""Ours and nnU-Net, 2D and 3D: same cases, same leak-free folds, same clock, same evaluation.

    python -m benchmarks.accuracy Task01_BrainTumour --peers .venv-peers/bin/python
    python -m benchmarks.accuracy RAW --plan benchmarks/plans/processor.toml --earlier ../old

Runs unattended on any labelled raw folder that `bratsprep build` takes, with a GPU or without.
Each side of the plan prepares the data in its own way, trains for its minutes, and labels the
cases of the validation folds with mirroring; all are scored by `bratstrain.score_folders`, every
plane in original space. The results are written after each side and fold, and what is finished is
kept in the work folder, so that the same command goes on where it was stopped.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.accuracy_nnunet import run_nnunet
from benchmarks.accuracy_plan import Plan, read_plan
from benchmarks.accuracy_plot import draw
from benchmarks.accuracy_run import ROOT, Found, Leg, Place, deal, run_ours
from benchmarks.accuracy_scores import compared, scored
from benchmarks.accuracy_table import (
    about_folds,
    difference_table,
    run_table,
    score_table,
    settings_lines,
)

RESULTS = ROOT / "benchmarks" / "results"
PLANS = ROOT / "benchmarks" / "plans"
PACKAGES = ("bratsprep", "torch", "numpy")
PEER_PACKAGES = ("nnunetv2", "torch", "numpy")


def run_side(plan: Plan, place: Place, leg: Leg, *, again: bool) -> list[Found]:
    """Run a side on a fold, or read what was found before; one record a number of minutes."""
    runner = run_nnunet if leg.side.configuration else run_ours
    about = {"side": leg.side.name, "fold": leg.fold, "seed": leg.seed}
    return [about | found for found in runner(plan, place, leg, again=again)]


def write(plan: Plan, place: Place, runs: list[Found], about: dict[str, Any], out: Path) -> None:
    """Score what there is, and write tables, numbers and curve: `out` with three endings."""
    done = scored(plan, place, runs)
    pairs = compared(plan, place, done)
    lines = ["# Accuracy", "", f"`{about['command']}`", ""]
    lines += [f"**{plan.note}**", ""] * bool(plan.note)
    lines += [about_folds(plan, place), "", *settings_lines(plan)]
    lines += ["## Scores", "", *score_table(done, runs)]
    lines += [f"![score over minutes]({out.name}.png)", ""] * bool(done)
    lines += ["## Paired differences", "", *difference_table(pairs)]
    lines += ["## Runs", "", *run_table(runs)]
    lines += [f"- {name}: {machine.markdown(fact)}" for name, fact in about["facts"].items()]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {**about, "plan": asdict(plan), "runs": runs, "differences": pairs}
    content["scores"] = [one.to_json() for one in done]
    text = json.dumps(content, indent=1) + "\n"
    out.with_suffix(".json").write_text(text, encoding="utf-8")
    if done:
        draw(done, plan.clock, out.with_suffix(".png"))


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    add = parser.add_argument
    add("raw", type=Path, help="labelled data set in any layout, folder or archive")
    add("--plan", type=Path, default=PLANS / "hour.toml", help="TOML: sides, folds, minutes, clock")
    add("--sides", help="names of the plan's sides, by commas; all by default")
    add("--folds", help="instead of the plan's, such as 0,1")
    add("--seeds", help="instead of the plan's")
    add("--again", action="store_true", help="run what is kept anew")
    add("--kept", action="store_true", help="run nothing, write what is kept")
    add("--earlier", default="", help="checkout of an earlier version of ours")
    add("--peers", default=".venv-peers/bin/python", help="python that has nnunetv2")
    add("--work", type=Path, default=Path("demo/accuracy"))
    add("--results", type=Path, default=RESULTS / "accuracy", help="files, without .md and so on")
    return parser.parse_args()


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers that commas part."""
    return tuple(map(int, text.split(",")))


def chosen_plan(options: argparse.Namespace) -> Plan:
    """The plan, with the folds and seeds of the command line."""
    plan = read_plan(options.plan)
    return replace(
        plan,
        folds=numbers(options.folds) if options.folds else plan.folds,
        seeds=numbers(options.seeds) if options.seeds else plan.seeds,
    )


def main() -> None:
    """Compare, print, write; exit 1 where a side failed."""
    options = read_options()
    plan, work = chosen_plan(options), options.work.resolve()
    place = Place(options.raw.resolve(), work, options.peers, options.earlier, options.kept)
    words = ["python", "-m", "benchmarks.accuracy", "RAW", "--plan", options.plan.name]
    words += ["--earlier", "TREE"] if options.earlier else []
    facts = {
        "machine": machine.describe(),
        "ours": machine.versions(sys.executable, PACKAGES),
        "peers": machine.versions(options.peers, PEER_PACKAGES),
    }
    about = {"command": shlex.join(words), "facts": facts}
    deal(plan, place)
    wanted = options.sides.split(",") if options.sides else [side.name for side in plan.sides]
    runs: list[Found] = []
    for seed in plan.seeds:
        for fold in plan.folds:
            for side in (side for side in plan.sides if side.name in wanted):
                runs += run_side(plan, place, Leg(side, fold, seed), again=options.again)
                if not place.is_closed:
                    write(plan, place, runs, about, options.results)
    write(plan, place, runs, about, options.results)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))
    sys.exit(any("fault" in found for found in runs))


if __name__ == "__main__":
    main()
