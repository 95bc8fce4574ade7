"""Ours: `bratsprep.build` with its defaults, by its Python API."""

import time

from benchmarks.peers.runner import Watch, read_task
from bratsprep import kernels
from bratsprep.builder import build


def main() -> None:
    """Build the slice file; loading the compiled kernels counts, importing does not."""
    task, watch = read_task(), Watch()
    with watch.running():
        started = time.perf_counter()
        kernels.warm()
        warm_seconds = time.perf_counter() - started
        summary = build(task.raw, task.out / "out.h5", workers=task.workers)
    if summary.cases != task.cases:
        raise SystemExit(f"{summary.cases} cases were built, {task.cases} expected")
    watch.report(task, warm_seconds=warm_seconds, slices=summary.slices)


if __name__ == "__main__":
    main()
