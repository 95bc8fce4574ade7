"""The results of `benchmarks.build` as Markdown and JSON."""

import datetime
import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.build_figures import (
    FLOOR,
    H5PY,
    NNUNET,
    NNUNET_MARGIN,
    NNUNET_START,
    OURS,
    Aim,
    Runs,
    aims,
    asked,
    good,
    peaks,
    per_case,
    ratio,
    speed,
)

TITLES = {
    FLOOR: "inflate floor: read and unpack, nothing else",
    OURS: "**bratsprep build**",
    "ours-tar": "bratsprep build, from a tar",
    H5PY: "nibabel + NumPy + h5py gzip 4, processes",
    NNUNET: "nnU-Net v2 fingerprint + 2D preprocessing",
    NNUNET_START: "nnU-Net v2, one case a process",
    NNUNET_MARGIN: "nnU-Net v2, the further cases alone",
    "monai": "MONAI PersistentDataset",
    "torchio": "TorchIO, saved as .nii",
    "notebook": "notebook: get_fdata, lists, np.save",
}
HEAD = (
    "| way | workers | cases | runs | s/case (range) | cases/s | time, ours = 1 | time, floor = 1 "
    "| CPU s/case | output MB/case | peak MB |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
NOTES = """
A row is a process of its own. Seconds and CPU seconds run from the first case to the last with
imports left out, loading of our compiled kernels and starting of processes and threads included;
medians of interleaved rounds, ratios per case and within a round. Peak memory is resident memory
summed over all processes of the row, looked at every 50 ms. Files lie in the page cache. A row is
held against ours and the floor on as many cases, or on the next larger number. nnU-Net's planning
of networks and the splitting of 4D files for it do not count. Its aim is held against the whole
command on the most cases; «the further cases alone» is that time less the one on one case a
process, and nothing is asked of it. The h5py way writes one file a process; the notebook keeps all
planes in memory, so that its peak grows with the cases.
"""


def write(runs: Runs, facts: dict[str, Any], sizes: dict[str, float], folder: Path) -> str:
    """Write build.md and build.json.

    Args:
        runs: every single run.
        facts: command, machine and versions.
        sizes: source bytes a case for each dtype.
        folder: where to.

    Returns:
        The Markdown.
    """
    facts = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), **facts}
    text = "\n".join(["# Build", "", *_head(facts, runs), *_tables(runs, sizes), NOTES])
    (folder / "build.md").write_text(text, encoding="utf-8")
    both = {"facts": facts, "source_bytes_per_case": sizes, "runs": runs}
    (folder / "build.json").write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")
    return text


def _head(facts: dict[str, Any], runs: Runs) -> list[str]:
    """Where, when and with what."""
    first = [run for run in runs if run["part"] == "first run" and "seconds" in run]
    loading = f"- one case, to fill the caches: {first[0]['seconds']:.2f} s" if first else ""
    return [
        f"- date: {facts['date']}",
        f"- command: `{facts['command']}`",
        f"- machine: {machine.markdown(facts['machine'])}",
        f"- ours: {machine.markdown(facts['ours'])}",
        f"- peers: {machine.markdown(facts['peers']) or 'not installed'}",
        loading,
        "",
    ]


def _tables(runs: Runs, sizes: dict[str, float]) -> list[str]:
    """A section for each type of source."""
    lines = []
    for dtype, size in sizes.items():
        timed = speed(runs, dtype)
        lines += [f"## {dtype} source, {size / 1e6:.1f} MB a case on disk", "", HEAD]
        kinds = dict.fromkeys((run["row"], asked(run)) for run in timed)
        lines += [_row(name, cases, timed) for name, cases in sorted(kinds, key=_place)]
        lines += ["", *_growth(runs, dtype), *_aims(aims(runs, dtype)), ""]
    return lines


def _place(kind: tuple[str, int]) -> tuple[int, int]:
    """Rows in the order of their titles, ours with fewer threads after ours; then by cases."""
    name, cases = kind
    before = list(TITLES).index(name if name in TITLES else OURS)
    return 2 * before + (name not in TITLES), cases


def _row(name: str, cases: int, runs: Runs) -> str:
    """One line of the table."""
    mine = [run for run in runs if (run["row"], asked(run)) == (name, cases)]
    shown = TITLES.get(name, TITLES[OURS])
    first = mine[0]
    done = good(runs, name, cases)
    head = [shown, str(first["workers"]), str(first["cases"]), str(len(done))]
    if not done:
        return f"| {' | '.join([*head, first['fault']])} |{' |' * 6}"
    seconds = list(per_case(runs, name, cases, "seconds").values())
    cells = [
        *head,
        f"{median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})",
        f"{1 / median(seconds):.1f}",
        *(_times(ratio(runs, name, other, cases)) for other in (OURS, FLOOR)),
        f"{median(per_case(runs, name, cases, 'cpu_seconds').values()):.3f}",
        f"{median(per_case(runs, name, cases, 'output_bytes').values()) / 1e6:.1f}",
        f"{median(run['peak_bytes'] for run in done) / 1e6:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _growth(runs: Runs, dtype: str) -> list[str]:
    """Memory of ours against the number of cases."""
    found = peaks(runs, dtype)
    if not found:
        return []
    least = found[min(found)]
    lines = ["| cases | peak MB | against the fewest |", "| --- | --- | --- |"]
    lines += [f"| {n} | {peak / 1e6:.0f} | {peak / least - 1:+.1%} |" for n, peak in found.items()]
    return [*lines, ""]


def _aims(found: list[Aim]) -> list[str]:
    """What was set out to be reached, and whether it was."""
    lines = ["| aim | at first | in the end | measured | |", "| --- | --- | --- | --- | --- |"]
    for aim in found:
        bounds = " | ".join(_bound(bound, aim) for bound in (aim.first, aim.last))
        value = "not measured" if aim.value is None else f"{aim.value:.2f}"
        lines.append(f"| {aim.name} | {bounds} | {value} | {aim.verdict()} |")
    return lines


def _bound(bound: float | None, aim: Aim) -> str:
    """A bound with its sign; empty where nothing is asked."""
    return "" if bound is None else f"{'≥' if aim.is_least else '≤'} {bound:g}"
