"""MONAI: load, normalise, crop into a `PersistentDataset`, filled by processes.

The processes keep to one torch thread each and send nothing back, which spares this way the
transport of a `DataLoader`. What is cropped stays a view of the whole volume, so that the cache
holds whole volumes: that is how the transforms, as documented, leave it.
"""

import multiprocessing
from pathlib import Path

import torch
from monai.data import PersistentDataset
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
)

from benchmarks.peers.runner import Watch, pairs, read_task


def dataset(files: list[tuple[Path, Path]], cache: Path) -> PersistentDataset:
    """Cache on disk of the usual deterministic transforms."""
    both = ["image", "label"]
    return PersistentDataset(
        [{"image": str(image), "label": str(label)} for image, label in files],
        Compose(
            [
                LoadImaged(keys=both),
                EnsureChannelFirstd(keys=both),
                NormalizeIntensityd(keys="image", nonzero=True, channel_wise=True),
                CropForegroundd(keys=both, source_key="image", allow_smaller=True),
            ]
        ),
        cache_dir=cache,
    )


def fill(cache: PersistentDataset, index: int) -> None:
    """Make one case and leave it on disk."""
    torch.set_num_threads(1)
    cache[index]


def main() -> None:
    """Fill the cache."""
    task, watch = read_task(), Watch()
    cache = dataset(pairs(task), task.out)
    with watch.running(), multiprocessing.get_context("fork").Pool(task.workers) as pool:
        pool.starmap(fill, [(cache, i) for i in range(task.cases)], chunksize=1)
        pool.close()
        pool.join()
    watch.report(task)


if __name__ == "__main__":
    main()
