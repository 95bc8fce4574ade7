"""What large sets cost on many workers, computed from measured figures.

    python -m benchmarks.cluster_cost

Prints the table of `docs/cluster.md`. Nothing here is measured; the figures below are, where their
lines say. Disks and networks are taken to keep up, which has to be seen on the cluster at hand.
"""

SIZES = (10_000, 100_000)
WORKERS = (1, 16, 256)
CASE_CPU_S = 0.084
"""Processor time of a case on a worker: results/build.md, int16, 144 cases."""
WRITE_S = 0.024
"""Time of a case in a build on four threads, results/build.md, 144 cases: the one process that
writes takes no more."""
JOIN_S = 0.021
"""Processor time of joining, a case: docs/log.md, 484 cases."""
RAW_MB, STORED_MB, JOURNAL_MB = 8.6, 6.9, 0.135
"""Megabytes a case: results/build.md; journals: docs/log.md."""
ROWS_KB = 39
"""Rows of a case, which the writing process holds to the end: sizes of their columns."""


def seconds(way, n_cases, workers):
    """Seconds of a build.

    Args:
        way: `parts`, joined by one process afterwards, or `dask`, written by one meanwhile.
        n_cases: of the set.
        workers: processor cores that convert.
    """
    converted = n_cases * CASE_CPU_S / workers
    if workers == 1:
        return max(converted, n_cases * WRITE_S) if way == "dask" else converted
    return converted + n_cases * JOIN_S if way == "parts" else max(converted, n_cases * WRITE_S)


def said(duration_s):
    """A duration in the unit that suits it."""
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 5400 else f"{duration_s / 3600:.1f} h"


def table():
    """Markdown of both sizes."""
    head = (
        "cases", "workers", "parts, then joined", "Dask or an executor", "raw, read", "slice file",
        "parts on disk too", "rows in memory",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for n_cases in SIZES:
        for workers in WORKERS:
            parts = n_cases * (STORED_MB + JOURNAL_MB) / 1e3 if workers > 1 else 0
            cells = (
                f"{n_cases:,}",
                f"{workers}",
                said(seconds("parts", n_cases, workers)),
                said(seconds("dask", n_cases, workers)),
                f"{n_cases * RAW_MB / 1e3:,.0f} GB",
                f"{n_cases * STORED_MB / 1e3:,.0f} GB",
                f"{parts:,.0f} GB",
                f"{n_cases * ROWS_KB / 1e6:.1f} GB",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
