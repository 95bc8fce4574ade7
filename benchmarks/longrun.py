"""Hundreds of small builds and fits in one process: memory, threads and open files stay level.

    python -m benchmarks.longrun --rounds 500

Every round builds a slice file and fits two steps on it, every tenth predicts and scores the cases
as well, and all is removed.
"""

import argparse
import gc
import json
import os
import resource
import shutil
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import bratsprep
import bratstrain
from benchmarks.machine import describe, markdown, resident_bytes

RESULTS = Path(__file__).parent / "results"
SETTINGS = {
    "model": "residual", "width": 2, "depth": 2, "batch_size": 4, "device": "cpu", "steps": 2,
    "validate_steps": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """What the process holds after a round."""

    round: int
    seconds: float
    resident_mb: float
    threads: int
    system_threads: int
    """As the system counts them, those of libraries among them."""
    files: int
    objects: int
    """That Python's collector knows."""


def main() -> None:
    """Parse, go round, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    given = parser.parse_args()
    torch.set_num_threads(1)  # networks as small as these gain nothing from more
    levels = go_round(given.rounds, every=max(1, given.rounds // 20), shown=True)
    report(levels, given.rounds)


def go_round(rounds: int, every: int, *, shown: bool = False) -> list[Level]:
    """Build, fit, predict and score so often; gives the level after some of the rounds.

    Args:
        rounds: how often.
        every: rounds between two looks.
        shown: print each look.
    """
    started = time.monotonic()
    levels = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        raw = bratsprep.phantoms(work / "raw", cases=4, shape=(32, 32, 16), workers=1)
        for number in range(1, rounds + 1):
            one_round(raw, work, seed=number)
            if number % every == 0:
                gc.collect()
                levels.append(look(number, time.monotonic() - started))
                if shown:
                    print(levels[-1], flush=True)
    return levels


def one_round(raw: Path, work: Path, seed: int) -> None:
    """Do what a round does, and remove it."""
    bratsprep.build(raw, work / "x.h5", workers=2, crop="32x32", negatives=0.5, seed=seed)
    bratstrain.fit(work / "x.h5", work / "run", seed=seed, **SETTINGS)
    if seed % 10 == 1:
        bratsprep.verify(work / "x.h5", raw)
        bratstrain.evaluate(work / "run", raw=raw)
        bratstrain.predict(work / "run", raw, work / "out")
        shutil.rmtree(work / "out")
    (work / "x.h5").unlink()
    shutil.rmtree(work / "run")


def look(number: int, seconds: float) -> Level:
    """Count what this process holds."""
    return Level(
        number,
        round(seconds, 1),
        round(resident_bytes(os.getpid()) / 1e6, 1),
        threading.active_count(),
        len(list(Path("/proc/self/task").iterdir())),
        len(list(Path("/proc/self/fd").iterdir())),
        len(gc.get_objects()),
    )


def report(levels: list[Level], rounds: int) -> None:
    """Print the table, and keep it."""
    names = list(asdict(levels[0]))
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(str(value) for value in asdict(each).values())} |" for each in levels]
    facts = describe() | {"torch threads": str(torch.get_num_threads())}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    grown = levels[-1].resident_mb - levels[len(levels) // 5].resident_mb
    text = (
        f"# {rounds} rounds in one process\n\n`python -m benchmarks.longrun --rounds {rounds}`: "
        f"build and fit {rounds} times, verify, evaluate and predict every tenth; {grown:+.1f} MB "
        f"from a fifth of the way to the end, {peak:.0f} MB at most.\n\n" + "\n".join(lines)
        + f"\n\n{markdown(facts)}\n"
    )  # fmt: skip
    print(text)
    kept = {"machine": facts, "levels": [asdict(each) for each in levels]}
    (RESULTS / "longrun.json").write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / "longrun.md").write_text(text)


if __name__ == "__main__":
    main()
