"""TorchIO: load, `ZNormalization`, `CropOrPad`, save, on processes.

Saved as plain `.nii`: gzip would cost it more than all the rest. A 4D file gets one z-score over
its four channels, as `ZNormalization` has it.
"""

import multiprocessing
from pathlib import Path

import torch
import torchio

from benchmarks.peers.runner import Watch, pairs, read_task

TRANSFORM = torchio.Compose(
    [
        torchio.ZNormalization(masking_method=torchio.ZNormalization.mean),
        torchio.CropOrPad((160, 192, 155)),
    ]
)


def prepare(image: Path, label: Path, out: Path) -> None:
    """Prepare one case and save it."""
    torch.set_num_threads(1)
    subject = torchio.Subject(image=torchio.ScalarImage(image), label=torchio.LabelMap(label))
    ready = TRANSFORM(subject)
    stem = image.name.removesuffix(".nii.gz")
    ready["image"].save(out / f"{stem}.nii")
    ready["label"].save(out / f"{stem}_label.nii")


def main() -> None:
    """Share the cases between processes."""
    task, watch = read_task(), Watch()
    with watch.running(), multiprocessing.get_context("fork").Pool(task.workers) as pool:
        pool.starmap(prepare, [(*pair, task.out) for pair in pairs(task)], chunksize=1)
        pool.close()
        pool.join()
    watch.report(task)


if __name__ == "__main__":
    main()
