"""The floor: the same files read and inflated by the same library into reused buffers.

Nothing is done with the voxels. No program that unpacks whole files can be faster.
"""

import queue
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.runner import Watch, pairs, read_task

Memory = dict[str, NDArray[np.uint8]]


def reserved(memory: Memory, name: str, size: int) -> NDArray[np.uint8]:
    """(size,) uint8 of a worker's memory, made larger where it has to be."""
    if name not in memory or memory[name].size < size:
        memory[name] = np.empty(size, np.uint8)
    return memory[name][:size]


def inflate(path: Path, memory: Memory, slot: str) -> None:
    """Read and unpack one file of one gzip member."""
    packed = reserved(memory, "packed", path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        file.readinto(packed.data)
    size = int.from_bytes(packed[-4:].tobytes(), "little")
    imagecodecs.gzip_decode(packed, out=reserved(memory, slot, size))


def main() -> None:
    """Inflate every image and label on threads."""
    task, watch = read_task(), Watch()
    free: queue.SimpleQueue[Memory] = queue.SimpleQueue()
    for _ in range(task.workers):
        free.put({})

    def one(pair: tuple[Path, Path]) -> None:
        memory = free.get()
        try:
            for path, slot in zip(pair, ("image", "label"), strict=True):
                inflate(path, memory, slot)
        finally:
            free.put(memory)  # else the others wait for ever where one file is missing

    with watch.running(), ThreadPoolExecutor(task.workers) as pool:
        for _ in pool.map(one, pairs(task)):
            pass
    watch.report(task)


if __name__ == "__main__":
    main()
