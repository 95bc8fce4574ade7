"""Phantoms: made-up cases that look like brain tumour scans, for tests, demos and benchmarks.

A case is a pure function of seed, index and shape: the same anatomy in every layout, any number
of workers. Nothing of a real scan is in it; sizes and frequencies follow the published ones.
"""

import math
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.config import USUAL_MODALITIES, PhantomConfig, PhantomSettings
from bratsprep.discovery.filenames import canonical_names
from bratsprep.errors import BuildError
from bratsprep.labels import scheme as scheme_of
from bratsprep.phantom.anatomy import Head, Scan, noise_block
from bratsprep.phantom.layouts import LAYOUTS, Names, Written, names_of
from bratsprep.phantom.paint import paint
from bratsprep.phantom.tissue_labels import raw_label
from bratsprep.phantom.write import pack, pack_folders, write_case, write_index
from bratsprep.settings import take
from bratsprep.system.unix import lock_folder

SHAPE: Final = (240, 240, 155)
# Rows as TISSUES, columns as USUAL_MODALITIES; white matter in T1w is 1.
CONTRAST: Final = np.array(
    [
        [0.22, 0.28, 0.30, 2.10],  # csf
        [0.98, 0.71, 0.75, 1.15],  # grey
        [0.85, 1.00, 0.98, 0.80],  # white
        [0.94, 0.82, 0.84, 0.92],  # nuclei
        [1.10, 0.42, 0.46, 2.00],  # NCR
        [1.60, 0.74, 0.76, 1.70],  # ED
        [1.45, 0.66, 1.85, 1.45],  # ET
        [0.40, 0.75, 2.20, 0.50],  # vessel
    ]
)
_TUMOUR: Final = 12
"""Numbers of a tumour, see `bratsprep.phantom.paint.tumour_at`."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """One made-up case in RAS+ order."""

    images: NDArray[np.int16]
    """(m, z, y, x) int16, USUAL_MODALITIES, scanner units; 0 outside the brain."""
    label: NDArray[np.uint8]
    """(z, y, x) uint8, places in `bratsprep.phantom.tissue_labels.TISSUES` from 1, or 0."""


def phantom_case(
    shape: tuple[int, int, int] = SHAPE, seed: int = 0, index: int = 0, visit: int = 0
) -> Phantom:
    """Make one case.

    Args:
        shape: voxels (x, y, z).
        seed: of the whole set.
        index: of the subject in the set; its head and tumour.
        visit: 0 for the first scan; another draws scanner and noise again, and grows the tumour
            or shrinks it a little.

    Returns:
        The case; the same arguments give the same voxels.
    """
    subject = np.random.default_rng((seed, index))
    block = noise_block(subject)
    head = _head(subject, shape)
    tumours = _tumours(subject, head)
    scan = _scan(np.random.default_rng((seed, index, visit)))
    if visit:
        growth = np.random.default_rng((seed, index, visit, 1)).uniform(0.93, 1.05, 3)
        tumours[:, 3:6] *= growth
        tumours[:, 6:9] *= growth
    x, y, z = shape
    images, label = paint((z, y, x), block, head, tumours, scan)
    return Phantom(images, label)


def _head(generator: np.random.Generator, shape: tuple[int, int, int]) -> Head:
    """Draw place, size and folds of a head."""
    size = generator.uniform((0.94, 0.945, 0.95), (1.03, 1.045, 1.03))
    fold_mm, sulcus_mm = generator.uniform(16.5, 20.5), generator.uniform(0.5, 1.0)
    ventricle = math.exp(generator.normal(0.0, 0.22))
    shift = generator.uniform(-3, 3, 3)
    at = (np.array([119.5, 111.0, 78.0]) + shift) / (np.array(SHAPE) - 1) * (np.array(shape) - 1)
    step = np.array(SHAPE) / shape / size
    return Head(
        (float(at[0]), float(at[1]), float(at[2])),
        (float(step[0]), float(step[1]), float(step[2])),
        fold_mm,
        sulcus_mm,
        ventricle,
    )


def _tumours(generator: np.random.Generator, head: Head) -> NDArray[np.float64]:
    """Draw (n, 12) float64 tumours, mostly one: large with a rim, without one, or tiny."""
    kind = generator.choice(["rim", "plain", "tiny"], p=[0.85, 0.09, 0.06])
    count = 2 if generator.random() < 0.15 else 1
    tumours = np.empty((count, _TUMOUR))
    for row in tumours:
        way = generator.normal(size=3) * (1.0, 1.0, 0.7)
        way /= np.sqrt((way**2).sum())
        row[0:3] = way * (62, 76, 56) * generator.uniform(0.32, 0.6) + (0, 0, 12)
        radius = math.exp(generator.normal(2.88, 0.28)) * (1.0 if count == 1 else 0.75)
        if kind == "tiny":
            radius = max(2.6, 1.2 * max(head.step))
        row[3:6] = radius * generator.uniform(0.75, 1.3, 3)
        spread = generator.uniform(0.8, 1.5) if kind == "tiny" else generator.uniform(3, 12)
        row[6:9] = row[3:6] + spread * generator.uniform((0.8, 1.0, 0.8), (1.2, 1.9, 1.2))
        row[9] = 0.0 if kind == "plain" else radius * generator.uniform(0.15, 0.45)
        row[10] = 0.1 if kind == "tiny" else generator.uniform(0.25, 0.45)
        row[11] = generator.uniform(20, 200)
    return tumours


def _scan(generator: np.random.Generator) -> Scan:
    """Draw a scanner and its noise."""
    scale = np.exp(generator.uniform(np.log(220), np.log(2000), CONTRAST.shape[1]))
    tissue = CONTRAST * np.exp(generator.normal(0, 0.04, CONTRAST.shape)) * scale
    n_modalities = CONTRAST.shape[1]
    margin = generator.uniform(0, 2.0, n_modalities) * (generator.random() < 0.25)
    return Scan(
        tissue,
        generator.normal(0, 0.07, (n_modalities, 3)),
        scale * generator.uniform(0.03, 0.065, n_modalities),
        margin * (np.arange(n_modalities) != generator.integers(n_modalities)),
        int(generator.integers(1 << 32)),
    )


def phantoms(
    raw: Path | str,
    *,
    workers: int = 1,
    progress: bool = False,
    **settings: Unpack[PhantomSettings],
) -> Path:
    """Write a set of phantoms as a user would have downloaded it.

    Args:
        raw: folder to make; with `archive` the archive stands beside it under its name.
        workers: threads; the bytes do not depend on them.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratsprep.config.PhantomConfig`.

    Returns:
        The folder, or the archive.

    Raises:
        BuildError: the folder holds something already, the archive is there, another process is
            writing them, or the disk is full or cannot be written.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    (own,) = take("phantoms", settings, PhantomConfig)
    config = PhantomConfig(**own)
    folder = Path(raw)
    target = folder.with_name(f"{folder.name}.{config.archive}") if config.archive else folder
    try:
        _refuse_existing(folder, target)
        with _claimed(folder.with_name(f"{folder.name}.partial")) as half:
            _write_all(half, config, workers, progress)
            return pack(half, folder.name, target, config.archive)
    except OSError as error:
        raise BuildError(
            f"{target}: cannot be written: {error.strerror}; free some space or choose another "
            "place"
        ) from error


def label_scheme(config: PhantomConfig) -> str:
    """Name the label scheme that a set is written in: the one asked for, or its layout's own."""
    return config.scheme or LAYOUTS[config.layout].scheme


def _refuse_existing(folder: Path, target: Path) -> None:
    """Refuse to write over anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BuildError(f"{folder}: is not empty; name a folder that is new or empty")
    if target != folder and target.exists():
        raise BuildError(f"{target}: is there already; remove it or name another")


@contextmanager
def _claimed(half: Path) -> Iterator[Path]:
    """Hold an empty folder for this call alone; what a cut-off call left in it goes.

    The lock is on the folder itself and ends with the process, so a killed call blocks nobody.
    """
    half.mkdir(parents=True, exist_ok=True)
    try:
        handle = lock_folder(half)
    except BlockingIOError as error:
        raise BuildError(
            f"{half}: is being written by another process; wait for it or name another folder"
        ) from error
    try:
        for left in half.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield half
    finally:
        os.close(handle)


def _write_all(folder: Path, config: PhantomConfig, workers: int, progress: bool) -> None:
    """Write every case of a set into a new folder."""
    layout = LAYOUTS[config.layout]
    names = names_of(layout, config.cases, config.unlabelled, config.repeats)
    _warm()
    written = Written(label_scheme(config), _modalities(config), config.suffix)
    layout.patterns(written.modalities)
    write_index(folder, layout, names, written)
    one = partial(_write_one, folder, config, written)
    with ThreadPoolExecutor(workers) as pool:
        done = pool.map(one, names)
        off = None if progress else True
        for _ in tqdm(done, "phantoms", len(names), unit="case", disable=off):
            pass
    pack_folders(folder, layout.packs)


def _warm() -> None:
    """Compile every kernel in one thread: a cache filled by many can break."""
    phantom_case((4, 4, 4))


def _modalities(config: PhantomConfig) -> tuple[str, ...]:
    """Modalities to write."""
    if config.modalities is None:
        return LAYOUTS[config.layout].usual()
    return canonical_names(config.modalities)


def _write_one(folder: Path, config: PhantomConfig, written: Written, names: Names) -> None:
    """Make and write one case of the list."""
    case = phantom_case(config.shape, config.seed, names.index, names.visit)
    operated = bool(names.visit) and names.index % 2 == 0
    raw = raw_label(case.label, scheme_of(written.scheme), operated=operated)
    images = chosen_modalities(case.images, written.modalities).astype(config.dtype, copy=False)
    write_case(folder, LAYOUTS[config.layout], names, images, raw, written)


def chosen_modalities(images: NDArray[np.int16], modalities: Sequence[str]) -> NDArray[np.int16]:
    """Take some modalities of a phantom; one of another name is a mixture that its name decides.

    Args:
        images: (u, z, y, x) int16, USUAL_MODALITIES.
        modalities: names.

    Returns:
        (m, z, y, x) int16.
    """
    if tuple(modalities) == USUAL_MODALITIES:
        return images
    taken = []
    for name in modalities:
        if name in USUAL_MODALITIES:
            taken.append(images[USUAL_MODALITIES.index(name)])
            continue
        shares = np.random.default_rng(zlib.crc32(name.encode())).dirichlet(np.ones(len(images)))
        mixed = sum(share * image for share, image in zip(shares, images, strict=True))
        taken.append(np.rint(mixed).astype(np.int16))
    return np.stack(taken)
