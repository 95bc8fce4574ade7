"""The fast tests under several interpreters in development mode, every warning an error.

    python -m benchmarks.pythons .venv/bin/python .venv-3.12/bin/python .venv-3.13/bin/python

Each interpreter's environment holds the package and its test dependencies
(`pip install --constraint constraints.txt --editable '.[all,test]'`). PYTHONDEVMODE and
PYTHONWARNINGS stand for `-X dev -W error`, since the tests' own child processes take those over.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks import machine

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "numpy", "numba", "h5py", "onnx")
STRICT = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "2"}
TESTS = "not slow and not gpu"


def tested(python: str, processes: int) -> dict[str, Any]:
    """Run the tests under one interpreter, and count."""
    with tempfile.TemporaryDirectory() as name:
        counts = Path(name) / "counts.xml"
        command = [python, "-m", "pytest", "-q", "-m", TESTS, f"--junitxml={counts}"]
        command += ["--numprocesses", str(processes), "--dist", "loadfile"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **STRICT}, check=False)
        if not counts.exists():
            raise SystemExit(f"{python}: no test was run")
        return machine.versions(python, PACKAGES) | counted(counts)


def counted(path: Path) -> dict[str, int]:
    """Tests that passed, failed and were skipped, of pytest's report."""
    root = ET.parse(path).getroot()  # noqa: S314 - it is our own file
    suites = list(root.iter("testsuite"))
    total, failed, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    )
    bad = failed + errors
    return {"passed": total - bad - skipped, "failed": bad, "skipped": skipped}


def main() -> None:
    """Test under each interpreter, print, write; exit 1 where a test failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pythons")
    parser.add_argument("pythons", nargs="+", help="interpreters, each with its environment")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [tested(python, options.processes) for python in options.pythons]
    content = {
        "facts": machine.describe(),
        "command": "python -m benchmarks.pythons" + " PYTHON" * len(rows),
        "tests": TESTS,
        "environment": STRICT,
        "rows": rows,
    }
    text = json.dumps(content, indent=1) + "\n"
    (options.results / "pythons.json").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(any(row["failed"] for row in rows))


if __name__ == "__main__":
    main()
