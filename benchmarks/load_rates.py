"""How fast a way of `benchmarks.load_ways` is; one process measures one of them."""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks.load_ways import BATCH, PREPARE, WORKERS, Batches, batches, ours

IN_FLIGHT = 16
"""Reads that the disk has at once in its own row."""
AHEAD = 12
"""Batches that our loader may have read, or asked the disk for, ahead of the one it gives."""


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


def drop(path: Path) -> None:
    """Have a file leave the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk yet would stay in memory
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(path: Path, seconds: float) -> float:
    """Slices a second of whole passes by our loader, the page cache dropped before each.

    The loader runs on, as it does in all other rows. What it may have read ahead of the drop is
    taken, but not counted.
    """
    stream = ours(path, WORKERS)
    n_batches = -(-len(places(path)) // BATCH)
    for _ in range(n_batches):
        next(stream)
    count, taken = 0, 0.0
    while taken < seconds:
        drop(path)
        for _ in range(AHEAD):
            next(stream)
        begin = time.perf_counter()
        count += sum(len(next(stream)) for _ in range(n_batches - AHEAD))
        taken += time.perf_counter() - begin
    stream.close()
    return count / taken


def places(path: Path) -> np.ndarray:
    """(s, 4) int64: offset and size of the chunks of each image and label."""
    return import_module("bratsprep.slicefile.chunk_index").read_contents(path).storage.chunks


def disk(path: Path, seconds: float) -> float:
    """Slices a second that bare reads get from the disk, nothing decoded, in passes as above."""
    chunks, fd = places(path), os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # nothing but what is asked for
    generator, count, taken = np.random.default_rng(0), 0, 0.0

    def read(part: np.ndarray) -> None:
        buffer = memoryview(bytearray(int(chunks[:, 1].max())))
        for image, image_size, label, label_size in part.tolist():
            os.preadv(fd, [buffer[:image_size]], image)
            os.preadv(fd, [buffer[:label_size]], label)

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        while taken < seconds:
            drop(path)
            parts = np.array_split(generator.permutation(chunks), IN_FLIGHT)
            begin = time.perf_counter()
            list(threads.map(read, parts))
            taken += time.perf_counter() - begin
            count += len(chunks)
    os.close(fd)
    return count / taken


def bare(path: Path, seconds: float) -> float:
    """Slices a second that bare threads read and decode, each into a batch of its own."""
    file = import_module("bratsprep.slicefile.reader").open_file(path)
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


WHOLE = {"ours cold": cold, "ours bare": bare, "disk": disk}
"""Ways that are no stream of batches: they count by themselves."""


def main() -> None:
    """Run one way: `way path folder seconds`, or prepare it when seconds is 0."""
    way, path, folder, seconds = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    print("ready", flush=True)
    sys.stdin.readline()
    if float(seconds) == 0:
        PREPARE[way](path, folder)
        os.sync()  # or it is written while others are measured
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
