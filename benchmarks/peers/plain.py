"""Four processes of nibabel, NumPy and h5py: the script that most people would write.

Each process takes every fourth case and writes an HDF5 file of its own: z-scored float16 tumour
planes in the window of the slice file, one slice a chunk, gzip 4 by HDF5. That is what ours
stores, and it spares this way the lock of a common file.
"""

import multiprocessing
from functools import partial
from pathlib import Path

import h5py
import nibabel
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.runner import Task, Watch, pairs, read_task

WINDOW = (192, 160)
"""(y, x), as in the slice file."""


def prepared(image_path: Path, label_path: Path) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """(s, 4, y, x) float16 z-scores and (s, y, x) uint8 labels of the tumour planes."""
    image = np.asarray(nibabel.load(image_path).dataobj, np.float32)
    label = np.asarray(nibabel.load(label_path).dataobj, np.uint8)
    brain = (image != 0).any(axis=3)
    values = image[brain]
    image -= values.mean(axis=0)
    image /= values.std(axis=0)
    image[~brain] = 0
    planes = np.flatnonzero(label.any(axis=(0, 1)))
    window = tuple(
        slice(max(int(used[0] + used[-1] + 1 - side) // 2, 0), None)
        for used, side in zip(
            (np.flatnonzero(brain.any(axis=axes)) for axes in ((0, 2), (1, 2))),
            WINDOW,
            strict=True,
        )
    )
    y, x = (slice(cut.start, cut.start + side) for cut, side in zip(window, WINDOW, strict=True))
    return (
        image[x, y][:, :, planes].transpose(2, 3, 1, 0).astype(np.float16),
        label[x, y][:, :, planes].transpose(2, 1, 0),
    )


def write(task: Task, share: int) -> None:
    """Write every n-th case into one file."""
    with h5py.File(task.out / f"part{share}.h5", "w") as file:
        common = {"compression": "gzip", "compression_opts": 4}
        images = file.create_dataset(
            "image", (0, 4, *WINDOW), "<f2", maxshape=(None, 4, *WINDOW), chunks=(1, 4, *WINDOW),
            **common,
        )  # fmt: skip
        labels = file.create_dataset(
            "label", (0, *WINDOW), "u1", maxshape=(None, *WINDOW), chunks=(1, *WINDOW), **common
        )
        for pair in pairs(task)[share :: task.workers]:
            image, label = prepared(*pair)
            for rows, new in ((images, image), (labels, label)):
                rows.resize(len(rows) + len(new), axis=0)
                rows[len(rows) - len(new) :, ..., : new.shape[-2], : new.shape[-1]] = new


def main() -> None:
    """Share the cases between processes."""
    task, watch = read_task(), Watch()
    with watch.running(), multiprocessing.get_context("fork").Pool(task.workers) as pool:
        pool.map(partial(write, task), range(task.workers))
        pool.close()
        pool.join()
    watch.report(task)


if __name__ == "__main__":
    main()
