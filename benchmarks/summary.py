"""Writes the README's table of figures and the table of aims out of the results.

    python -m benchmarks.summary            # after benchmarks; the last step of `make bench`
    python -m benchmarks.summary --check    # exit 1 where a table is not what the results say

Both tables stand between two comments, and what stands there is replaced: a number in them cannot
be typed by hand, and a test holds that it was not.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import build_figures as build
from benchmarks.figures import (
    NONE,
    Results,
    build_runs,
    demo,
    fit_memory,
    loader,
    over,
    read,
    said,
    scale,
    scoring,
    slower,
    workers,
)
from benchmarks.summary_aims import lines

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- figures: python -m benchmarks.summary -->", "<!-- end of figures -->"


def readme_table(results: Results) -> str:
    """The figures of the README."""
    cores = results.get("build", {}).get("facts", {}).get("machine", {}).get("cores", "some")
    rows = [
        (f"measured, {cores} shared cores", "this project", "other tools"),
        ("---", "---", "---"),
        build_row(results, "int16"),
        build_row(results, "float32"),
        scale_row(results),
        loader_row(results),
        memory_row(results),
        score_row(results),
        demo_row(results),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def build_row(results: Results, dtype: str) -> tuple[str, str, str]:
    """Time, memory and bytes of a build, beside the peers on the same cases."""
    runs = build_runs(results, dtype)
    n = build.usual(runs)
    threads = build.good(runs, build.OURS)[0]["workers"] if n else 4
    peak, size = (build.typical(runs, build.OURS, n, f"{key}_bytes") for key in ("peak", "output"))
    ours = said("{} s a case", build.typical(runs, build.OURS, n, "seconds"))
    ours += f", {NONE if peak is None else f'{peak / 1e6:.0f} MB'} at most"
    ours += ", " + said("{} MB a case on disk", over(size, 1e6))
    peers = [nnunet_cell(runs)]
    for row, name in (("monai", "MONAI"), (build.H5PY, "four processes of nibabel and h5py")):
        figures = build.typical(runs, row, n, "seconds"), build.ratio(runs, row, build.OURS, n)
        peers += [f"{name} {said('{} s ({} x)', *figures)}"] if build.good(runs, row) else []
    cases = f"{n or 48} real-sized {dtype} cases, {threads} threads"
    return f"build, {cases}", ours if n else NONE, ", ".join(peers)


def nnunet_cell(runs: build.Runs) -> str:
    """nnU-Net on the most cases it was given: the whole command, and without its start."""
    most = max(build.numbers(runs, build.NNUNET), default=None)
    if most is None:
        return f"nnU-Net v2 2D preprocessing {NONE}"
    seconds = build.typical(runs, build.NNUNET, most, "seconds")
    whole, alone = (
        build.ratio(runs, row, build.OURS, most) for row in (build.NNUNET, build.NNUNET_MARGIN)
    )
    shown = said("{} s each ({} x, its start included", seconds, whole)
    further = said("{} x", alone)
    what = f"nnU-Net v2 2D preprocessing of {most} cases {shown}"
    return f"{what}; {further} for its further cases alone)"


def scale_row(results: Results) -> tuple[str, str, str]:
    """Hundreds of cases within a hard limit."""
    most, held = scale(results, "build"), scale(results, "hold")
    ours = most and f"{most['seconds']:.0f} s, {most['peak_bytes'] / 1e6:.0f} MB at most"
    notebook = held and f"a notebook's list runs out of memory after {held['cases']:.0f} cases"
    cases = "484" if most is None else f"{most['of']:.0f}"
    threads = workers(results, "scale", 2)
    masks = "the real masks" if "LABELS" in results.get("scale", {}).get("command", "LABELS") else (
        "phantoms' masks")  # fmt: skip
    name = f"build, {cases} cases with {masks}, {threads} threads, 2 GB allowed"
    return name, ours or NONE, notebook or NONE


def loader_row(results: Results) -> tuple[str, str, str]:
    """Random slices a second."""
    ours = loader(results, "ours 4")
    shown = said("{} a second", ours)
    memory = loader(results, "ours 4", "memory_mb")
    shown += NONE if memory is None else f", {memory:.0f} MB above torch"
    peers = [
        f"{name} {said('{} ({} x)', loader(results, way), over(ours, loader(results, way)))}"
        for way, name in (("h5py", "h5py"), ("nnunet", "nnU-Net"), ("memmap", "float32 memmap"))
    ]
    name = "random slices into float32 tensors, 4 threads"
    return name, shown if ours else NONE, f"{', '.join(peers)}, each with 4 workers"


def memory_row(results: Results) -> tuple[str, str, str]:
    """What `fit` takes beyond what the network needs."""
    above = fit_memory(results).items()
    shown = ", ".join(f"{value:.0f} MB for {n} cases" for n, value in above)
    return "memory of `fit` above the network's own steps", shown or NONE, ""


def score_row(results: Results) -> tuple[str, str, str]:
    """HD95 beside the libraries that are used for it."""
    ways = (("SciPy, whole volume", "SciPy over the whole volume"), ("MONAI", "MONAI"),
            ("surface-distance", "surface-distance"))  # fmt: skip
    peers = [
        f"{name} {said('{} s ({} x)', scoring(results, 'HD95', row), slower(results, 'HD95', row))}"
        for row, name in ways
    ]
    ours = said("{} s", scoring(results, "HD95", "**ours**"))
    return "HD95 of a case of 240 x 240 x 155, one thread", ours, ", ".join(peers)


def demo_row(results: Results) -> tuple[str, str, str]:
    """The score that `make demo` ends with."""
    row = demo(results, "WT")
    if row is None:
        return "WT volume Dice of `make demo`, every plane", NONE, ""
    name = f"WT volume Dice of `make demo`, {row['n_cases']} held-out phantom subjects, every plane"
    mean, nothing = (f"{row[key]:.3f}".lstrip("0") for key in ("mean", "nothing"))
    return name, mean, f"an empty prediction {nothing}"


def aims_table(results: Results) -> str:
    """What was reached and what was not."""
    rows = ["| aim | measured | |", "| --- | --- | --- |"]
    rows += [f"| {line.aim} | {line.measured} | {line.verdict} |" for line in lines(results)]
    return "\n".join(rows)


def with_table(text: str, table: str) -> str:
    """A page with what stands between the two comments replaced.

    Raises:
        ValueError: the page has not one pair of comments.
    """
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"a page has no place for its table; one line «{START}», one «{END}»")
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{table}\n{END}{rest.partition(END)[2]}"


def pages(results: Results) -> dict[Path, str]:
    """Each page that holds a table -> what it is to hold."""
    tables = {
        ROOT / "README.md": readme_table(results),
        RESULTS / "SUMMARY.md": aims_table(results),
    }
    return {
        path: with_table(path.read_text(encoding="utf-8"), table) for path, table in tables.items()
    }


def main() -> None:
    """Write both tables, or say whether they are what they should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summary")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 on a difference")
    options = parser.parse_args()
    old = [
        path for path, text in pages(read(RESULTS)).items()
        if path.read_text(encoding="utf-8") != text
    ]  # fmt: skip
    for path in old:
        print(f"{path.relative_to(ROOT)}: {'differs' if options.check else 'written'}")
    if not options.check:
        for path, text in pages(read(RESULTS)).items():
            path.write_text(text, encoding="utf-8")
    sys.exit(bool(old) and options.check)


if __name__ == "__main__":
    main()
