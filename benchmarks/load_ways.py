"""The ways to load slices that `benchmarks.load` compares; one process runs one of them.

Each gives endless batches of random slices as float32 tensors on the CPU. What belongs to one
way alone is imported by it, since no environment holds everything.
"""

import io
import tarfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

BATCH = 32
WORKERS = 4
ENDLESS = 10_000_000
Batches = Iterator[torch.Tensor]


class H5pyDataset(Dataset):
    """The usual way: h5py opened in each worker, a slice read and converted at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = None
        with h5py.File(path) as file:
            self.size = len(file["slice/label"])

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.file is None:
            self.file = h5py.File(self.path)
        image = self.file["slice/image"][i].astype(np.float32)
        return torch.from_numpy(image), torch.from_numpy(self.file["slice/label"][i])


class MemmapDataset(Dataset):
    """Uncompressed float32 arrays, mapped."""

    def __init__(self, folder: Path) -> None:
        self.image = np.load(folder / "image.npy", mmap_mode="r")
        self.label = np.load(folder / "label.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.image[i].copy()), torch.from_numpy(self.label[i].copy())


def by_workers(dataset: Dataset, loader: type = DataLoader) -> Batches:
    """Random batches of a Dataset by worker processes."""
    sampler = RandomSampler(dataset, replacement=True, num_samples=ENDLESS)
    for batch in loader(dataset, batch_size=BATCH, sampler=sampler, num_workers=WORKERS):
        yield batch["image"] if isinstance(batch, dict) else batch[0]


def ours(path: Path, threads: int, block: int = 1) -> Batches:
    """Our loader."""
    reader, sampler, loader = (
        import_module(name)
        for name in (
            "bratsprep.slicefile.reader",
            "bratstrain.data.sampler",
            "bratstrain.data.loader",
        )
    )
    with reader.open_file(path) as file:
        rows = np.arange(len(file))
        plan = sampler.make_plan(rows, file.slices["voxels"], BATCH, "uniform", block)
        with loader.Loader(file, plan, first=0, last=ENDLESS, threads=threads) as batches:
            for batch in batches:
                yield batch.image


def our_dataset(path: Path) -> Batches:
    """Our Dataset by worker processes."""
    file = import_module("bratsprep.slicefile.reader").open_file(path)
    return by_workers(import_module("bratstrain.data.dataset").SliceDataset(file))


def prepare_memmap(path: Path, folder: Path) -> None:
    """Write all slices as plain float32."""
    with h5py.File(path) as file:
        image, label = file["slice/image"], file["slice/label"]
        np.save(folder / "label.npy", label[:])
        out = np.lib.format.open_memmap(folder / "image.npy", "w+", np.float32, image.shape)
        for i in range(len(image)):
            out[i] = image[i]


def prepare_files(path: Path, folder: Path) -> None:
    """Write each slice as two NumPy files."""
    with h5py.File(path) as file:
        for i in range(len(file["slice/label"])):
            np.save(folder / f"{i:06}_image.npy", file["slice/image"][i])
            np.save(folder / f"{i:06}_label.npy", file["slice/label"][i])


def monai(folder: Path) -> Batches:
    """MONAI's Dataset and DataLoader over those files."""
    data, transforms = import_module("monai.data"), import_module("monai.transforms")
    items = [
        {"image": str(image), "label": str(image).replace("_image", "_label")}
        for image in sorted(folder.glob("*_image.npy"))
    ]
    steps = [
        transforms.LoadImaged(["image", "label"], reader="NumpyReader", channel_dim="no_channel"),
        transforms.EnsureTyped("image", dtype=torch.float32),
    ]
    return by_workers(data.Dataset(items, transforms.Compose(steps)), data.DataLoader)


def prepare_webdataset(path: Path, folder: Path) -> None:
    """Write slices into tar files of 250."""
    with h5py.File(path) as file:
        for start in range(0, len(file["slice/label"]), 250):
            with tarfile.open(folder / f"{start:06}.tar", "w") as tar:
                for i in range(start, min(start + 250, len(file["slice/label"]))):
                    for name in ("image", "label"):
                        content = io.BytesIO()
                        np.save(content, file[f"slice/{name}"][i])
                        member = tarfile.TarInfo(f"{i:06}.{name}.npy")
                        member.size = content.tell()
                        content.seek(0)
                        tar.addfile(member, content)


def widened(image: np.ndarray) -> np.ndarray:
    """Float16 to float32."""
    return image.astype(np.float32)


def webdataset(folder: Path) -> Batches:
    """WebDataset with a shuffle buffer: it cannot read at random."""
    wds = import_module("webdataset")
    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    stages = wds.WebDataset(shards, shardshuffle=False, resampled=True).shuffle(200).decode()
    dataset = stages.to_tuple("image.npy", "label.npy").map_tuple(widened).batched(BATCH)
    for batch in wds.WebLoader(dataset, batch_size=None, num_workers=WORKERS):
        yield torch.as_tensor(batch[0])


def prepare_nnunet(path: Path, folder: Path) -> None:
    """Write each case as nnU-Net's own preprocessing does."""
    dataset = import_module("nnunetv2.training.dataloading.nnunet_dataset")
    with h5py.File(path) as file:
        cases = file["slice/case"][:]
        for case in np.unique(cases):
            rows = np.flatnonzero(cases == case)
            image = np.moveaxis(file["slice/image"][rows[0] : rows[-1] + 1], 0, 1)
            label = file["slice/label"][rows[0] : rows[-1] + 1][None].astype(np.int8)
            image = np.ascontiguousarray(image.astype(np.float32))
            sizes = {}
            for name, part in (("", image), ("_seg", label)):
                blocks, chunks = dataset.comp_blosc2_params(
                    part.shape, part.shape[2:], part.itemsize
                )
                sizes |= {f"blocks{name}": blocks, f"chunks{name}": chunks}
            places = {k: np.argwhere(label == k)[:10_000] for k in (1, 2, 3)}
            target = str(folder / f"case_{case:04}")
            dataset.nnUNetDatasetBlosc2.save_case(
                image, label, {"class_locations": places}, target, **sizes
            )


def nnunet(folder: Path) -> Batches:
    """nnU-Net's loader without augmentation, by its own worker processes."""
    loading = import_module("nnunetv2.training.dataloading.data_loader")
    augmenter = import_module("batchgenerators.dataloading.nondet_multi_threaded_augmenter")
    data = loading.nnUNetDatasetBlosc2(str(folder))
    size = data.load_case(data.identifiers[0])[0].shape[2:]
    labels = SimpleNamespace(all_labels=[1, 2, 3], has_ignore_label=False)
    loader = loading.nnUNetDataLoader(data, BATCH, size, size, labels, 0.33)
    workers = augmenter.NonDetMultiThreadedAugmenter(
        data_loader=loader, transform=None, num_processes=WORKERS, num_cached=6, wait_time=0.002
    )
    try:
        while True:
            yield next(workers)["data"]
    finally:
        workers._finish()


PREPARE = {
    "memmap": prepare_memmap,
    "monai": prepare_files,
    "webdataset": prepare_webdataset,
    "nnunet": prepare_nnunet,
}
"""What has to be written before a way can be measured."""


def batches(way: str, path: Path, folder: Path) -> Batches:
    """Endless batches of a way."""
    ways = {
        "ours 1": lambda: ours(path, 1),
        "ours 2": lambda: ours(path, 2),
        "ours 4": lambda: ours(path, 4),
        "ours busy": lambda: ours(path, 4),
        "ours blocks": lambda: ours(path, 4, block=32),
        "ours dataset": lambda: our_dataset(path),
        "h5py": lambda: by_workers(H5pyDataset(path)),
        "h5py busy": lambda: by_workers(H5pyDataset(path)),
        "memmap": lambda: by_workers(MemmapDataset(folder)),
        "monai": lambda: monai(folder),
        "webdataset": lambda: webdataset(folder),
        "nnunet": lambda: nnunet(folder),
    }
    return ways[way]()
