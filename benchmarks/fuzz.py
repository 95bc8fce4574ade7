"""Fuzzing guided by coverage: bytes that nobody thought of, into every way in.

    python -m benchmarks.fuzz --inputs 100000

Needs atheris beside the project, best in an environment of its own:
`python -m venv fuzz && fuzz/bin/pip install atheris -e '.[train]'`. Each target of
`tests/fuzz/fuzz_targets.py` runs in a process of its own; a crash, an exception that is not ours, a
warning of arithmetic, 10 seconds for one input or 2 GB of memory end it, and the input is kept.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.machine import describe, markdown, versions

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
RESULTS = ROOT / "benchmarks" / "results"
SHARES = {
    "header": 16, "volume": 14, "inflate": 14, "tar": 10, "tar.gz": 6, "zip": 8, "manifest": 5,
    "names": 5, "slice file": 6, "chunk": 4, "checkpoint": 4, "pickle": 6,
    "settings": 4, "journal": 2,
}  # fmt: skip
"""Of a hundred inputs; slow targets get fewer."""
FOLLOWED = ("bratsprep", "bratstrain", "nibabel", "tarfile", "zipfile")
"""Packages whose branches lead the search."""
COMPILED = [
    f"{path.parent.name}.{path.stem}"
    for path in sorted(ROOT.glob("brats*/*.py"))
    if "njit" in path.read_text(encoding="utf-8")
]
"""Left as they are: Numba could not compile them with marks in them."""
_DONE = re.compile(r"Done (\d+) runs in (\d+)")
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")
_AT = re.compile(r"^#(\d+)\s", re.MULTILINE)
_PEAK = re.compile(r"rss: (\d+)Mb")


def main() -> None:
    """Parse, fuzz every target, print and keep a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets")
    parser.add_argument("--minutes", type=float, default=30, help="over all targets, at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        fuzz_one(given.one, given.rest)
        return
    chosen = given.target or list(SHARES)
    seconds = 60 * given.minutes * given.processes / len(chosen)
    whole = sum(SHARES[name] for name in chosen)
    started = time.monotonic()
    with ThreadPoolExecutor(given.processes) as threads:
        rows = list(
            threads.map(
                lambda name: fuzzed(
                    name, given.inputs * SHARES[name] // whole, seconds, given.seed
                ),
                chosen,
            )
        )
    report(rows, given, time.monotonic() - started)


def fuzzed(name: str, runs: int, seconds: float, seed: int) -> dict[str, object]:
    """Fuzz one target in a process of its own; gives a row of the table."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    command = [
        sys.executable, "-m", "benchmarks.fuzz", "--one", name, "--", str(folder),
        f"-runs={runs}", f"-max_total_time={seconds:.0f}", f"-seed={seed}", "-timeout=10",
        "-rss_limit_mb=2048", f"-artifact_prefix={folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    finished = _DONE.search(said)
    at = [int(found) for found in _AT.findall(said)]
    covered = _COVERED.findall(said)
    artifacts = [
        path for path in folder.iterdir()
        if path.name.startswith(("crash", "oom", "timeout", "leak", "slow-unit"))
    ]  # fmt: skip
    row = {
        "target": name,
        "inputs": int(finished[1]) if finished else max(at, default=0),
        "seconds": int(finished[2]) if finished else 0,
        "branches": int(covered[-1][0]) if covered else 0,
        "peak MB": max(map(int, _PEAK.findall(said)), default=0),
        "found": len(artifacts),
    }
    print(row, flush=True)
    if not finished or artifacts:
        print(said[-4000:], *artifacts, sep="\n", flush=True)
    else:
        shutil.rmtree(folder)
    return row


def fuzz_one(name: str, arguments: list[str]) -> None:
    """Fuzz a target until libFuzzer has enough; never comes back."""
    import atheris  # noqa: PLC0415  not a dependency of the project
    import torch  # noqa: F401, PLC0415  before the rest: its thousand modules would be marked too

    sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]
    with atheris.instrument_imports(
        include=list(FOLLOWED), exclude=COMPILED, enable_loader_override=False
    ):
        import fuzz_targets  # noqa: PLC0415  instrumented on its way in

    warnings.simplefilter("error", RuntimeWarning)
    target = fuzz_targets.TARGETS[name]
    corpus = Path(arguments[0]) / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(target.seeds()):
        (corpus / f"seed{i}").write_bytes(seed)
        fuzz_targets.attempt(name, seed)  # what is imported or compiled at first use takes no time
    atheris.Setup(
        [name, str(corpus), *arguments[1:], f"-max_len={target.longest}"],
        lambda content: fuzz_targets.attempt(name, content),
    )
    atheris.Fuzz()


def report(rows: list[dict[str, object]], given: argparse.Namespace, seconds: float) -> None:
    """Print the table, and keep it where every target was run."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    total = sum(int(str(row["inputs"])) for row in rows)
    found = sum(int(str(row["found"])) for row in rows)
    facts = describe() | versions(
        sys.executable, ("atheris", "numpy", "nibabel", "h5py", "torch", "isal", "imagecodecs")
    )
    text = (
        f"# Fuzzing\n\n`python -m benchmarks.fuzz --inputs {given.inputs} --seed {given.seed}`: "
        f"{total:,} inputs in {seconds / 60:.0f} minutes, {found} findings.\n\n"
        + "\n".join(lines)
        + f"\n\n{markdown(facts)}\n\n"
        "What earlier runs found, and what became of it, is in [the log](../../docs/log.md).\n"
    )
    print(text)
    if given.target is None:
        facts_and_rows = {"machine": facts, "inputs": total, "found": found, "rows": rows}
        (RESULTS / "fuzz.json").write_text(json.dumps(facts_and_rows, indent=1) + "\n")
        (RESULTS / "fuzz.md").write_text(text)


if __name__ == "__main__":
    main()
