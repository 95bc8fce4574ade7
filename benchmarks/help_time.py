"""How long `--help` takes: what a user waits for who has mistyped an option.

    python -m benchmarks.help_time

Wall and processor seconds of whole processes, interpreter and imports included: medians of rounds
in turn.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.peers.runner import cpu_seconds

RESULTS = Path(__file__).parent / "results"
PROGRAMS = ("bratsprep", "bratstrain")
ROUNDS = 9


def once(program: str, folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one `--help`."""
    command = [sys.executable, "-m", program, "--help"]
    before, started = cpu_seconds(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started, cpu_seconds() - before


def measure(rounds: int) -> list[dict[str, Any]]:
    """Every program in turn."""
    with tempfile.TemporaryDirectory() as name:
        found = [
            (program, *once(program, Path(name))) for _ in range(rounds) for program in PROGRAMS
        ]
    return [
        {
            "program": program,
            "seconds": median(wall for name, wall, _ in found if name == program),
            "cpu_seconds": median(cpu for name, _, cpu in found if name == program),
        }
        for program in PROGRAMS
    ]


def main() -> None:
    """Measure, print, write."""
    facts = machine.describe() | machine.versions(sys.executable, ("bratsprep", "click"))
    content = {"facts": facts, "command": "python -m benchmarks.help_time", "rows": measure(ROUNDS)}
    text = json.dumps(content, indent=1) + "\n"
    (RESULTS / "help.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
