"""Ours and nnU-Net 2D: same cases, same leak-free fold, same time to train, same evaluation.

    python -m benchmarks.accuracy Task01_BrainTumour --minutes 60 --peers .venv-peers/bin/python

Runs unattended on any labelled raw folder that `bratsprep build` takes, with a GPU or without.
Each side prepares the data in its own way, trains for the given minutes, and labels the cases of
the validation fold with mirroring; both are scored by `bratstrain.score_folders`, every plane in
original space. What is there already in the work folder is made anew.
"""

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import bratstrain
from benchmarks import machine
from benchmarks.accuracy_data import from_nnunet, to_nnunet, write_splits

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DATASET = "Dataset001_Brain"
PACKAGES = ("bratsprep", "torch", "numpy")
PEER_PACKAGES = ("nnunetv2", "torch", "numpy")
OURS, NNUNET = "bratstrain", "nnU-Net 2D"


def run(command: list[str], env: dict[str, str], work: Path, what: str) -> dict[str, Any]:
    """Run one side to its end; a failure is a result too."""
    took = machine.measured(command, {"PYTHONPATH": str(ROOT), **env}, work)
    if took.returncode:
        print(took.stderr[-3000:], file=sys.stderr)
        last = took.stderr.strip().splitlines()[-1:] or [f"exit {took.returncode}"]
        return {"side": what, "fault": last[0]}
    line = json.loads(took.stdout.strip().splitlines()[-1])
    cpu = took.cpu_seconds
    return {"side": what, **line, "cpu_seconds": cpu, "peak_bytes": took.peak_bytes}


def run_ours(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Build, fit, predict in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers.ours_fit", str(options.raw), str(work)]
    command += ["--minutes", str(options.minutes), "--fold", str(options.fold)]
    command += ["--device", options.device, "--labels", options.labels]
    command += ["--settings", json.dumps(options.ours), "--prepare", json.dumps(options.prepare)]
    return run(command, threads(options), work, OURS)


def threads(options: argparse.Namespace) -> dict[str, str]:
    """Variables that give torch so many threads; none where it chooses."""
    return {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}


def run_nnunet(options: argparse.Namespace, work: Path, split: dict[str, Any]) -> dict[str, Any]:
    """Convert, prepare, train, predict in a process of its own."""
    to_nnunet(options.raw, work / "raw" / DATASET, options.labels)
    write_splits(split, work / "splits.json", options.fold)
    env = threads(options) | {
        "nnUNet_raw": str(work / "raw"),
        "nnUNet_preprocessed": str(work / "preprocessed"),
        "nnUNet_results": str(work / "results"),
        "nnUNet_n_proc_DA": str(options.processes),
        "nnUNet_def_n_proc": str(options.processes),
    }
    command = [options.peers, "-m", "benchmarks.peers.nnunet_fit", str(work / "splits.json")]
    command += ["--minutes", str(options.minutes), "--fold", str(options.fold)]
    command += ["--device", options.device, "--processes", str(options.processes)]
    found = run(command, env, work, NNUNET)
    if "fault" not in found:
        folder = Path(found.pop("predicted"))
        from_nnunet(options.raw, folder, work / "predicted", options.labels)
    return found


def score(options: argparse.Namespace, predicted: Path, cases: list[str]) -> list[str]:
    """Table of one side; the same call for both."""
    report = bratstrain.score_folders(
        predicted,
        options.raw,
        out=predicted.parent / "evaluation",
        labels=options.labels,
        cases=tuple(cases),
    )
    return report.lines()


def compare(options: argparse.Namespace, work: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Run both sides, then score both; gives the tables and what each took."""
    for side in ("ours", "nnunet"):
        shutil.rmtree(work / side, ignore_errors=True)
        (work / side).mkdir(parents=True)
    runs = [run_ours(options, work / "ours")]
    if "fault" in runs[0]:
        return [f"## {OURS}", "", runs[0]["fault"], ""], runs
    written = (work / "ours" / "run" / "split.json").read_text(encoding="utf-8")
    split = json.loads(written)
    runs.append(run_nnunet(options, work / "nnunet", split))
    about = (
        f"Fold {options.fold}, by subject: {len(split['train'])} cases to train on, "
        f"{len(split['validation'])} to be scored on, {len(split['test'])} untouched. "
        f"{options.minutes:g} minutes of training each."
    )
    lines = [about, ""]
    for found, side in zip(runs, ("ours", "nnunet"), strict=True):
        lines += [f"## {found['side']}", "", took_line(found), ""]
        if "fault" not in found:
            table = score(options, work / side / "predicted", split["validation"])
            lines += ["```text", *table, "```", ""]
    return lines, runs


def took_line(found: dict[str, Any]) -> str:
    """Seconds of each step and peak memory in one line."""
    if "fault" in found:
        return f"failed: {found['fault']}"
    return (
        f"preparing {found['prepare']:.1f} s, training {found['fit']:.1f} s ({found['steps']} "
        f"steps of {found['batch']} slices), labelling {found['predict']:.1f} s, "
        f"{found['cpu_seconds']:.0f} s of all processors, {found['peak_bytes'] / 1e6:.0f} MB of "
        "memory at most"
    )


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    add = parser.add_argument
    add("raw", type=Path, help="labelled data set in any layout, folder or archive")
    add("--minutes", type=float, required=True, help="of training, for each side")
    add("--fold", type=int, default=0)
    add("--labels", default="auto", help="label scheme of the source")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--ours", type=json.loads, default={}, help="settings of our fit as JSON")
    add("--prepare", type=json.loads, default={}, help="settings of our build as JSON")
    add("--processes", type=int, default=2, help="of nnU-Net, for preparing and augmenting")
    add("--threads", type=int, default=0, help="of torch on a CPU, for each side; 0 is torch's own")
    add("--peers", default=".venv-peers/bin/python", help="python that has nnunetv2")
    add("--work", type=Path, default=Path("demo/accuracy"))
    add("--results", type=Path, default=RESULTS)
    add("--note", default="", help="words for the results, such as what the cases are")
    return parser.parse_args()


def main() -> None:
    """Compare, print, write; exit 1 where a side failed."""
    options = read_options()
    options.raw = options.raw.resolve()
    work = options.work.resolve()
    command = ["python", "-m", "benchmarks.accuracy", "RAW", "--minutes", f"{options.minutes:g}"]
    command += ["--fold", str(options.fold), "--device", options.device]
    command += ["--ours", json.dumps(options.ours)] if options.ours else []
    command += ["--prepare", json.dumps(options.prepare)] if options.prepare else []
    command += ["--threads", str(options.threads)] if options.threads else []
    facts = {
        "machine": machine.describe(),
        "ours": machine.versions(sys.executable, PACKAGES),
        "peers": machine.versions(options.peers, PEER_PACKAGES),
    }
    tables, runs = compare(options, work)
    lines = ["# Accuracy", "", f"`{shlex.join(command)}`", ""]
    lines += [f"**{options.note}**", ""] * bool(options.note)
    lines += [*tables, *(f"- {name}: {machine.markdown(facts[name])}" for name in facts)]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "accuracy.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {"facts": facts, "command": shlex.join(command), "note": options.note, "runs": runs}
    text = json.dumps(content, indent=1) + "\n"
    (options.results / "accuracy.json").write_text(text, encoding="utf-8")
    print("\n".join(lines))
    sys.exit(any("fault" in found for found in runs))


if __name__ == "__main__":
    main()
