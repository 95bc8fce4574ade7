"""The results of `benchmarks.build` as Markdown and JSON."""

import datetime
import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine

OURS = "ours"
FLOOR = "floor"
NNUNET = "nnunet"
NNUNET_START = "nnunet-start"
"""nnU-Net with one case a process."""
NNUNET_MARGIN = "nnunet-margin"
"""Its further cases alone: what it costs where there are many."""
TITLES = {
    FLOOR: "inflate floor: read and unpack, nothing else",
    OURS: "**bratsprep build**",
    "ours-tar": "bratsprep build, from a tar",
    "h5py": "nibabel + NumPy + h5py gzip 4, processes",
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
summed over all processes of the row, looked at every 50 ms. Files lie in the page cache. Peers on
fewer cases than ours show their time per case on those. nnU-Net's planning of networks and the
splitting of 4D files for it do not count; «the further cases alone» is its time on many cases
less that on one case a process, and it is what the aim is held against. The h5py way writes one
file a process; the notebook keeps all planes in memory, so that its peak grows with the cases.
"""
Runs = list[dict[str, Any]]


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
        mine = [run for run in runs if run["dtype"] == dtype]
        speed = [run for run in mine if run["part"] == "speed"]
        speed += margins(speed)
        lines += [f"## {dtype} source, {size / 1e6:.1f} MB a case on disk", "", HEAD]
        lines += [_row(name, speed) for name in dict.fromkeys(run["row"] for run in speed)]
        grown = [run for run in mine if run["part"] == "growth"]
        lines += ["", *_growth(grown), *_claims(speed, grown), ""]
    return lines


def good(runs: Runs, row: str) -> Runs:
    """Runs of a row that came to their end."""
    return [run for run in runs if run["row"] == row and "fault" not in run]


def per_case(runs: Runs, row: str, key: str) -> dict[int, float]:
    """Round -> a quantity divided by the cases."""
    return {run["round"]: run[key] / run["cases"] for run in good(runs, row)}


def margins(runs: Runs) -> Runs:
    """nnU-Net's runs on many cases less those on few: its processes take seconds to start.

    With the hundreds of cases of a real data set the start would be lost in the rest, so that
    this is the number to hold ours against.
    """
    few = {run["round"]: run for run in good(runs, NNUNET_START)}
    found = []
    for run in good(runs, NNUNET):
        start = few.get(run["round"])
        if start is None or start["cases"] >= run["cases"]:
            continue
        summed = ("cases", "seconds", "cpu_seconds", "output_bytes")
        found.append({**run, "row": NNUNET_MARGIN, **{k: run[k] - start[k] for k in summed}})
    return found


def ratio(runs: Runs, row: str, other: str) -> float | None:
    """Median over the rounds of time per case, row over other; None where one is missing."""
    mine, theirs = (per_case(runs, name, "seconds") for name in (row, other))
    both = [mine[number] / theirs[number] for number in mine if number in theirs]
    return median(both) if both else None


def _row(name: str, runs: Runs) -> str:
    """One line of the table."""
    all_runs = [run for run in runs if run["row"] == name]
    shown = TITLES.get(name, TITLES[OURS])
    first = all_runs[0]
    done = good(runs, name)
    if not done:
        return f"| {shown} | {first['workers']} | {first['cases']} | 0 | {first['fault']} |" + (
            " |" * 6
        )
    seconds = list(per_case(runs, name, "seconds").values())
    cells = [
        shown,
        str(first["workers"]),
        str(first["cases"]),
        str(len(done)),
        f"{median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})",
        f"{1 / median(seconds):.1f}",
        *(_times(ratio(runs, name, other)) for other in (OURS, FLOOR)),
        f"{median(per_case(runs, name, 'cpu_seconds').values()):.3f}",
        f"{median(per_case(runs, name, 'output_bytes').values()) / 1e6:.1f}",
        f"{median(run['peak_bytes'] for run in done) / 1e6:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _growth(runs: Runs) -> list[str]:
    """Memory and time of ours against the number of cases."""
    peaks = _peaks(runs)
    if not peaks:
        return []
    least = peaks[min(peaks)]
    lines = ["| cases | s/case | peak MB | against the fewest |", "| --- | --- | --- | --- |"]
    for cases, peak in peaks.items():
        each = median(run["seconds"] / cases for run in runs if run["cases"] == cases)
        lines.append(f"| {cases} | {each:.3f} | {peak / 1e6:.0f} | {peak / least - 1:+.1%} |")
    return [*lines, ""]


def _peaks(runs: Runs) -> dict[int, float]:
    """Cases -> median peak bytes of ours."""
    done = good(runs, OURS)
    return {
        cases: median(run["peak_bytes"] for run in done if run["cases"] == cases)
        for cases in sorted({run["cases"] for run in done})
    }


def _claims(speed: Runs, grown: Runs) -> list[str]:
    """What was set out to be reached, and whether it was."""
    done = good(speed, OURS)
    if not done:
        return []
    peak = median(run["peak_bytes"] for run in done) / 1e6
    peaks = _peaks(grown)
    more = peaks[max(peaks)] / peaks[min(peaks)] - 1 if len(peaks) > 1 else None
    size = median(run["output_bytes"] / run["cases"] for run in done) / 1e6
    aims = (
        ("time against the floor", ratio(speed, OURS, FLOOR), 3.0, 2.5),
        ("nnU-Net's time against ours", ratio(speed, NNUNET_MARGIN, OURS), -15.0, -20.0),
        ("h5py's time against ours", ratio(speed, "h5py", OURS), -6.0, -8.0),
        ("peak MB", peak, 900.0, 750.0 if done[0]["dtype"] == "int16" else 1000.0),
        ("more memory for many cases, %", None if more is None else 100 * more, 5.0, 5.0),
        ("output MB a case", size, None, 8.0),
    )
    lines = ["| aim | at first | in the end | measured | |", "| --- | --- | --- | --- | --- |"]
    for name, value, first, last in aims:
        if value is None:
            lines.append(f"| {name} | {_bound(first)} | {_bound(last)} | not measured | |")
            continue
        said = "reached" if _holds(value, last) else "in part" if _holds(value, first) else "not"
        lines.append(f"| {name} | {_bound(first)} | {_bound(last)} | {value:.2f} | {said} |")
    return lines


def _bound(bound: float | None) -> str:
    """A negative bound is one from below."""
    return "" if bound is None else f"{'≤' if bound > 0 else '≥'} {abs(bound):g}"


def _holds(value: float, bound: float | None) -> bool:
    return bound is not None and (value <= bound if bound > 0 else value >= -bound)
