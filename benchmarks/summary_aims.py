"""What was set out to be reached, beside what was measured: a line an aim.

A line is computed from the results alone. Where there are two bounds, «at first / in the end», an
aim that keeps the first one only is reached in part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import build_figures as build
from benchmarks.figures import (
    NONE,
    Results,
    build_runs,
    digits,
    evaluate_raw,
    fit_memory,
    fit_spread,
    gpu_fit,
    loader,
    over,
    scale,
    slower,
)

DTYPES = {"int16": 750.0, "float32": 1000.0}
"""Types of voxels, and how many MB a build may take of each in the end."""


@dataclass(frozen=True, slots=True)
class Line:
    """One aim."""

    aim: str
    measured: str = NONE
    verdict: str = NONE


def held(aim: str, value: float | None, form: str, bound: float, *, least: bool = False) -> Line:
    """One aim with one bound.

    Args:
        aim: what was asked.
        value: what was measured; None for nothing.
        form: words around its three digits, such as "{} x".
        bound: at most this.
        least: the bound is one from below.
    """
    if value is None:
        return Line(aim)
    kept = value >= bound if least else value <= bound
    return Line(aim, form.format(digits(value, 3)), "reached" if kept else "not reached")


def lines(results: Results) -> list[Line]:
    """Every aim, in the order of the table."""
    parts = (of_build, of_memory, of_scale, of_loader, of_training, of_accuracy, of_scores,
             of_hardening)  # fmt: skip
    return [line for part in parts for line in part(results)]


def of_build(results: Results) -> Iterator[Line]:
    """Speed of the build: against the floor, nnU-Net and h5py."""
    for dtype in DTYPES:
        runs = build_runs(results, dtype)
        n, most = build.usual(runs), max(build.numbers(runs, build.NNUNET), default=None)
        cases = of_cases(runs, n, dtype)
        yield bounded(
            build.Aim(f"build at most 3 / 2.5 x the inflate floor, {cases}", 3.0, 2.5,
                      build.ratio(runs, build.OURS, build.FLOOR, n)),
            other_numbers(runs, n),
        )  # fmt: skip
        yield bounded(
            build.Aim(
                "build 15 / 20 x faster than nnU-Net's fingerprint and 2D preprocessing, the whole "
                f"command, {of_cases(runs, most, dtype)}", 15.0, 20.0,
                build.ratio(runs, build.NNUNET, build.OURS, most), is_least=True),
            without_start(runs, most),
        )  # fmt: skip
        yield bounded(
            build.Aim(
                f"build 6 / 8 x faster than four processes of nibabel, NumPy and h5py, {cases}",
                6.0, 8.0, build.ratio(runs, build.H5PY, build.OURS, n), is_least=True),
        )  # fmt: skip


def of_cases(runs: build.Runs, n: int | None, dtype: str) -> str:
    """How many cases of which voxels, and on how many threads."""
    found = build.good(runs, build.OURS, n)
    return f"{n} {dtype} cases, {found[0]['workers']} threads" if n and found else f"{dtype} cases"


def bounded(aim: build.Aim, more: str = "") -> Line:
    """A line of an aim with two bounds, with words about what else was measured."""
    if aim.value is None:
        return Line(aim.name)
    return Line(aim.name, f"{digits(aim.value, 3)} x{more}", aim.verdict())


def other_numbers(runs: build.Runs, usual: int | None) -> str:
    """How the cost grows: the same ratio for other numbers of cases."""
    found = [
        f"{digits(each, 3)} x for {n}"
        for n in build.numbers(runs, build.FLOOR)
        if n != usual and (each := build.ratio(runs, build.OURS, build.FLOOR, n)) is not None
    ]
    return f"; {', '.join(found)}" if found else ""


def without_start(runs: build.Runs, most: int | None) -> str:
    """What is left of nnU-Net's time without its start; nothing is asked of that."""
    found = build.ratio(runs, build.NNUNET_MARGIN, build.OURS, most)
    alone = NONE if found is None else f"{digits(found, 3)} x"
    return f"; its further cases alone {alone}"


def of_memory(results: Results) -> Iterator[Line]:
    """Memory and bytes of the build."""
    all_runs = results.get("build", {}).get("runs", [])
    for dtype, bound in DTYPES.items():
        runs = build_runs(results, dtype)
        peak = build.typical(runs, build.OURS, build.usual(runs), "peak_bytes")
        yield held(f"build of {dtype} cases within {bound:.0f} MB", over(peak, 1e6), "{} MB", bound)
    grown = build.growth(all_runs, "int16")
    few_many = " than for ".join(map(str, sorted(build.peaks(all_runs, "int16"), reverse=True)))
    yield held(
        f"at most 5 % more memory for {few_many or 'many cases than for few'}", grown, "{} %", 5.0
    )
    runs = build_runs(results, "int16")
    size = build.typical(runs, build.OURS, build.usual(runs), "output_bytes")
    yield held("file at most 8 MB a case, phantoms", over(size, 1e6), "{} MB", 8.0)
    most = scale(results, "build")
    size = None if most is None else most["bytes"] / most["cases"] / 1e6
    yield held("the same with the real masks", size, "{} MB", 8.0)


def of_scale(results: Results) -> Iterator[Line]:
    """Hundreds of cases within hard limits."""
    for part, name in (("build", "build"), ("epoch", "epoch of the loader")):
        most, few = scale(results, part), scale(results, part, most=False)
        if most is None or few is None or most["of"] == few["of"]:
            yield Line(f"{name} of 484 cases within 2 GB, less than 50 MB above 64")
            continue
        more = (most["peak_bytes"] - few["peak_bytes"]) / 1e6
        aim = f"{name} of {most['of']:.0f} cases within 2 GB, less than 50 MB above {few['of']:.0f}"
        shown = f"{most['peak_bytes'] / 1e6:.0f} MB, {more:+.0f} MB"
        kept = more < 50 and most["peak_bytes"] <= 2e9
        yield Line(aim, shown, "reached" if kept else "not reached")


def of_loader(results: Results) -> Iterator[Line]:
    """Speed and memory of the loader."""
    ours = loader(results, "ours 4")
    for way, name, bound in (("h5py", "an h5py Dataset", 5.0), ("nnunet", "nnU-Net's loader", 5.0),
                             ("memmap", "a float32 memmap", 2.0)):  # fmt: skip
        value = over(ours, loader(results, way))
        yield held(f"loader {bound:g} x faster than {name}", value, "{} x", bound, least=True)
    memory = loader(results, "ours 4", "memory_mb")
    yield held("loader within 250 MB above torch", memory, "{} MB", 250.0)
    busy = over(loader(results, "ours busy"), ours)
    aim = "loader keeps half of its speed beside a busy main thread"
    yield held(aim, None if busy is None else 100 * busy, "{} %", 50.0, least=True)
    yield held("loader at least 9,000 slices/s, warm", ours, "{} slices/s", 9000.0, least=True)
    bare = over(ours, loader(results, "ours bare"))
    yield held("loader at least 0.9 of the bare rate", bare, "{}", 0.9, least=True)
    cold = over(loader(results, "ours cold"), ours)
    aim = "loader with a cold cache at least half as fast"
    yield held(aim, None if cold is None else 100 * cold, "{} %", 50.0, least=True)


def of_training(results: Results) -> Iterator[Line]:
    """Memory of `fit`, and its speed on a GPU."""
    above, apart = fit_memory(results), fit_spread(results)
    aim = "fit under 300 MB above the network's own steps, the same for few cases and many"
    if above:
        shown = ", ".join(f"{value:.0f} MB for {n} cases" for n, value in above.items())
        same = max(above.values()) - min(above.values()) <= apart
        kept = max(above.values()) < 300 and same
        shown += f" (runs of one kind differ by up to {apart:.0f})"
        yield Line(aim, shown, "reached" if kept else "not reached")
    else:
        yield Line(aim)
    share = gpu_fit(results)
    aim = "fit at least 95 % of the bare step's speed on a GPU, every network"
    yield held(aim, None if share is None else 100 * share, "lowest {} %", 95.0, least=True)


def of_accuracy(results: Results) -> Iterator[Line]:
    """Scores on real cases by the processor's clock, beside nnU-Net and an earlier version."""
    found = results.get("accuracy", {})
    for other, minutes, ahead in (("nnU-Net 2D", 30, 0), ("nnU-Net 3D", 30, 0),
                                  ("version 0.1", 6, 0.03)):  # fmt: skip
        words = f"at least {ahead:g} ahead" if ahead else "ahead"
        aim = (
            f"6 minutes of one core on real cases, two folds: {words} of {other} in {minutes}, "
            "volume Dice, mean of classes and of regions"
        )
        rows = [
            row
            for row in found.get("differences", [])
            if row["against"] == [other, minutes] and row["part"].startswith("mean of")
        ]
        if not rows:
            yield Line(aim)
            continue
        shown = ", ".join(f"{row['mean']:+.3f}" for row in rows)
        n_folds = min(len(row["folds"]) for row in rows)
        kept = all(row["mean"] >= ahead and row["mean"] > 0 for row in rows)
        verdict = ("reached" if kept else "not reached") if n_folds > 1 else "one fold only"
        yield Line(aim, f"{shown} on {rows[0]['n_cases']} cases", verdict)


def of_scores(results: Results) -> Iterator[Line]:
    """Speed of scoring, and of the start of the commands."""
    for row in ("SciPy, whole volume", "surface-distance"):
        value = slower(results, "HD95", row)
        yield held(f"HD95 10 x faster than {row}", value, "{} x", 10.0, least=True)
    whole = evaluate_raw(results)
    more = None if whole is None else 100 * (whole - 1)
    yield held("`evaluate --raw` at most 20 % above reading and network", more, "{} %", 20.0)
    for row in results.get("help", {}).get("rows", [{"program": "bratsprep"}]):
        aim = f"`{row['program']} --help` under 0.3 s"
        yield held(aim, row.get("seconds"), "{} s", 0.3)


def of_hardening(results: Results) -> Iterator[Line]:
    """Odd inputs, kills, a long run, and other interpreters."""
    fuzz = results.get("fuzz")
    yield judged(
        "100,000 fuzzed inputs, none that is not met with our own message",
        fuzz and f"{fuzz['inputs']:,} inputs, {fuzz['found']} found",
        fuzz and fuzz["inputs"] >= 100_000 and not fuzz["found"],
    )
    for job, wanted in (("build", 100), ("fit", 30)):
        rows = results.get("kills", {}).get("rows", [])
        row = next((row for row in rows if row["job"] == job), None)
        yield judged(
            f"{job} killed {wanted} times at random ends in the same bytes",
            row and f"{row['kills']} kills, {row['ends']} ends, {row['other content']} other",
            row and row["kills"] >= wanted and row["ends"] and not row["other content"],
        )
    levels = results.get("longrun", {}).get("levels")
    more = levels and levels[-1]["resident_mb"] - levels[len(levels) // 5]["resident_mb"]
    yield judged(
        "500 builds and fits in one process take less than 5 MB more, and no thread or file more",
        levels and f"{levels[-1]['round']} rounds, {more:+.1f} MB",
        levels and levels[-1]["round"] >= 500 and more < 5
        and all(levels[-1][key] <= levels[0][key] for key in ("system_threads", "files")),
    )  # fmt: skip
    yield of_interpreters(results)


def judged(aim: str, measured: str | None, reached: object) -> Line:
    """A line whose measure is words."""
    return Line(aim, measured, "reached" if reached else "not reached") if measured else Line(aim)


def of_interpreters(results: Results) -> Line:
    """The fast tests under every Python that is supported, each warning an error."""
    rows = results.get("pythons", {}).get("rows", [])
    wanted = ("3.11", "3.12", "3.13")
    found = {".".join(row["python"].split(".")[:2]) for row in rows}
    shown = ", ".join(
        f"{row['python']}: {row['passed']:,} passed, {row['failed']} failed" for row in rows
    )
    clean = found >= set(wanted) and not any(row["failed"] for row in rows)
    name = f"the fast tests under `python -X dev -W error`, Python {', '.join(wanted)}"
    return judged(name, shown or None, clean)
