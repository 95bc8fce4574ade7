"""SIGKILL at random moments: 100 for a build, 30 for a fit; the end is that of an undisturbed one.

    python -m benchmarks.kills --builds 100 --fits 30

A process is killed at a moment drawn over the time that the whole job takes, and started again, as
often as is asked; when it gets to its end between two kills, the output is compared and removed,
and it begins anew. Smaller editions of this run with every test.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import bratsprep
import bratstrain
from benchmarks.machine import describe, markdown

RESULTS = Path(__file__).parent / "results"
SETTINGS = {
    "model": "residual", "width": 4, "depth": 3, "batch_size": 4, "device": "cpu", "dropout": 0.2,
    "steps": 240, "validate_steps": 60, "checkpoint_steps": 11, "ema": 0.9,
}  # fmt: skip
BUILD = """
import sys, bratsprep, bratsprep.volumes.warm
bratsprep.volumes.warm.warm(4)
print("go", flush=True)
bratsprep.build(sys.argv[1], sys.argv[2], workers=2, crop="64x64", slices="brain")
"""
FIT = f"""
import sys, torch, bratstrain
torch.set_num_threads(1)
bratstrain.fit(sys.argv[1], sys.argv[2], tell=lambda line: print(line, flush=True), **{SETTINGS!r})
"""


def main() -> None:
    """Parse, kill builds and fits, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", type=int, default=100, help="kills of a build")
    parser.add_argument("--fits", type=int, default=30, help="kills of a fit")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        raw = bratsprep.phantoms(work / "raw", cases=24, shape=(64, 64, 48))
        generator = random.Random(given.seed)  # noqa: S311  moments, not secrets
        rows = [
            killed(
                "build", [BUILD, str(raw)], work / "x.h5", given.builds, generator, content=digest
            ),
            killed(
                "fit", [FIT, str(work / "x.h5.whole")], work / "run", given.fits, generator,
                content=weights,
            ),
        ]  # fmt: skip
    report(rows, given)


def killed(
    name: str,
    command: list[str],
    out: Path,
    kills: int,
    generator: random.Random,
    content: Callable[[Path], str],
) -> dict[str, object]:
    """Kill a job again and again; gives a row of the table.

    Args:
        name: of the job.
        command: code and first argument; the second is the output.
        out: what it makes.
        kills: how many.
        generator: of the moments.
        content: what must be the same at the end.
    """
    whole = out.with_name(f"{out.name}.whole")
    started = time.monotonic()
    run(command, whole).wait()
    length_s = time.monotonic() - started
    wanted = content(whole)
    ends, wrong, done = 0, 0, 0
    while done < kills:
        process = run(command, out)
        if process.stdout is not None:
            process.stdout.readline()
        try:
            process.wait(generator.uniform(0, length_s / 3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
            wrong += name == "build" and out.exists() and content(out) != wanted
            continue
        ends, wrong = ends + 1, wrong + (process.returncode != 0 or content(out) != wanted)
        remove(out)
    wrong += run(command, out).wait() != 0 or content(out) != wanted
    row = {"job": name, "whole s": round(length_s, 1), "kills": done, "ends": ends + 1,
           "other content": wrong}  # fmt: skip
    print(row, flush=True)
    return row


def run(command: list[str], out: Path) -> "subprocess.Popen[str]":
    """Start a job."""
    return subprocess.Popen(
        [sys.executable, "-c", *command, str(out)], stdout=subprocess.PIPE, text=True
    )


def remove(out: Path) -> None:
    """Let the next start begin anew."""
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def weights(run_folder: Path) -> str:
    """SHA-256 of the last and the best weights of a run."""
    total = hashlib.sha256()
    for name in ("last.pt", "best.pt"):
        network = torch.load(run_folder / name, weights_only=True)["network"]
        for key in sorted(network):
            total.update(network[key].contiguous().numpy().tobytes())
    return total.hexdigest()


def report(rows: list[dict[str, object]], given: argparse.Namespace) -> None:
    """Print the table, and keep it."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    facts = describe()
    text = (
        f"# Killed at random moments\n\n`python -m benchmarks.kills --builds {given.builds} --fits "
        f"{given.fits}`; torch {torch.__version__}, bratstrain {bratstrain.__version__}.\n\n"
        + "\n".join(lines)
        + f"\n\n*ends*: how often the job got to its end, *other content*: how often that was not "
        f"to the byte what an undisturbed one makes.\n\n{markdown(facts)}\n"
    )
    print(text)
    (RESULTS / "kills.json").write_text(
        json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n"
    )
    (RESULTS / "kills.md").write_text(text)


if __name__ == "__main__":
    main()
