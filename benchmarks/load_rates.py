"""How fast a way of `benchmarks.load_ways` is; one process measures one of them."""

import json
import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np

from benchmarks.load_ways import BATCH, PREPARE, WORKERS, Batches, batches, ours


def rate(stream: Batches, seconds: float) -> float:
    """Slices a second over so many seconds, after a third as long to warm up."""
    for _ in range(8):
        next(stream)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds / 3:
        next(stream)
    count, begin = 0, time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        count += len(next(stream))
    return count / taken


def beside_busy(stream: Batches, seconds: float) -> float:
    """The same, taken by another thread while this one holds the interpreter's lock."""
    next(stream)
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(rate(stream, seconds)))
    thread.start()
    count = 0
    while not found:
        count += 1
    thread.join()
    return found[0]


def cold(path: Path, seconds: float) -> float:
    """Slices a second of whole passes by our loader, the page cache dropped before each."""
    next(stream := ours(path, WORKERS))  # compiled
    stream.close()
    count, taken = 0, 0.0
    with path.open("rb") as file:
        while taken < seconds:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            stream = ours(path, WORKERS)
            last = count + n_slices(path)
            while count < last:
                count += len(next(stream))
            taken += time.perf_counter() - begin
            stream.close()
    return count / taken


def n_slices(path: Path) -> int:
    """Slices of a file."""
    with h5py.File(path) as file:
        return len(file["slice/z"])


def bare(path: Path, seconds: float) -> float:
    """Slices a second that bare threads read and decode, each into a batch of its own."""
    file = import_module("bratsprep.reader").open_file(path)
    counts = [0] * WORKERS

    def work(k: int, until: float) -> None:
        image, label = (np.empty((BATCH, *side), dtype) for side, dtype in
                        (((4, *file.shape), np.float32), (file.shape, np.uint8)))  # fmt: skip
        generator = np.random.default_rng(k)
        while time.perf_counter() < until:
            file.read_into(generator.integers(0, len(file), BATCH), image, label)
            counts[k] += BATCH

    work(0, 0.0)
    for span in (seconds / 3, seconds):
        counts[:] = [0] * WORKERS
        begin = time.perf_counter()
        threads = [threading.Thread(target=work, args=(k, begin + span)) for k in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(counts) / (time.perf_counter() - begin)


WHOLE = {"ours cold": cold, "ours bare": bare}
"""Ways that are no stream of batches: they count by themselves."""


def main() -> None:
    """Run one way: `way path folder seconds`, or prepare it when seconds is 0."""
    way, path, folder, seconds = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    print("ready", flush=True)
    sys.stdin.readline()
    if float(seconds) == 0:
        PREPARE[way](path, folder)
        return
    if way in WHOLE:
        print(json.dumps({"rate": WHOLE[way](path, float(seconds))}), flush=True)
        return
    stream = batches(way, path, folder)
    measure = beside_busy if way.endswith("busy") else rate
    print(json.dumps({"rate": measure(stream, float(seconds))}), flush=True)
    stream.close()


if __name__ == "__main__":
    main()
