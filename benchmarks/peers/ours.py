"""Ours: `bratsprep.build` with its defaults, by its Python API."""

from benchmarks.peers.runner import Watch, read_task
from bratsprep.building.builder import build


def main() -> None:
    """Build the slice file; loading the compiled kernels counts, importing does not."""
    task, watch = read_task(), Watch()
    with watch.running():
        summary = build(task.raw, task.out / "out.h5", workers=task.workers)
    if summary.cases != task.cases:
        raise SystemExit(f"{summary.cases} cases were built, {task.cases} expected")
    watch.report(task, slices=summary.slices)


if __name__ == "__main__":
    main()
