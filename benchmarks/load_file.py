"""A slice file of full size for the loaders: noise of whole numbers in an ellipse of brain.

Scans hold whole numbers, and a z-score keeps as many values as there were numbers. With some
hundred of them in 60 % of the window a slice takes about as many bytes as one of a real scan.
"""

import zlib
from pathlib import Path

import numpy as np

from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.labels import scheme
from bratsprep.slicefile.chunks import Pages, pack_chunks
from bratsprep.slicefile.schema import Sizes, make_rows
from bratsprep.slicefile.writer import SliceWriter

CONFIG = PrepConfig()
SCHEME = scheme("msd")
SIZES = Sizes(len(CONFIG.channels), len(SCHEME.classes))
SHAPE = (192, 160)
PLANES = 60
"""Slices of a case."""
LEVELS = 120
"""Standard deviation of the noise in whole numbers; gives about 120 KB a slice."""


def ellipse(share: float) -> np.ndarray:
    """(h, w) bool: an ellipse that takes about this share of the window."""
    y, x = (np.linspace(-1, 1, side) for side in SHAPE)
    radius = share / (np.pi / 4)
    return y[:, None] ** 2 + x[None, :] ** 2 <= radius


def brain(generator: np.random.Generator) -> np.ndarray:
    """(m, h, w) float16 z-scores, 0 outside the ellipse."""
    inside = ellipse(0.6)
    counts = generator.normal(1000, LEVELS, (SIZES.modalities, *SHAPE)).round()
    return np.where(inside, (counts - 1000) / LEVELS, 0).astype("<f2")


def tumour(generator: np.random.Generator) -> np.ndarray:
    """(h, w) uint8: three nested discs, now and then none."""
    y, x = np.indices(SHAPE)
    centre = generator.uniform(60, 100, 2)
    distance = np.hypot(y - centre[0], x - centre[1]) / generator.uniform(0.1, 1.5)
    return np.select([distance < 8, distance < 14, distance < 25], [1, 3, 2], 0).astype(np.uint8)


def case_tables(name: str, label: np.ndarray, crc: np.ndarray) -> CaseTables:
    """Rows of a case whose planes are all stored."""
    n = len(label)
    voxels = np.stack([(label == k).sum(axis=(1, 2)) for k in range(SIZES.classes)], axis=1)
    box = np.array([[0, 0, 0], [n, *SHAPE]], np.int32)
    rows = make_rows(
        "case",
        SIZES,
        1,
        id=name,
        subject=name,
        release="msd",
        scheme=SCHEME.name,
        labelled=True,
        present=True,
        affine=np.eye(4),
        source_shape=(n, *SHAPE),
        source_spacing=1,
        spacing=1,
        shape=(n, *SHAPE),
        orientation="RAS",
        box=box,
        brain_box=box,
        mean=1000.0,
        std=float(LEVELS),
        brain_voxels=int(ellipse(0.6).sum()) * n,
        voxels=voxels.sum(axis=0),
        lost_voxels=0,
        source="[]",
        fingerprint=0,
        mask_fingerprint=0,
        digest=f"{zlib.crc32(crc.tobytes()):08x}",
    )
    z = np.arange(n)
    return CaseTables(
        rows[0],
        make_rows("slice", SIZES, n, case=0, z=z, voxels=voxels, crc=crc),
        make_rows("plane", SIZES, n, case=0, z=z, brain=ellipse(0.6).sum(), voxels=voxels),
    )


def write_slice_file(path: Path, n_slices: int, seed: int = 0, planes: int = PLANES) -> None:
    """Write a slice file; half of its slices are others turned by 180 degrees, to save time."""
    generator, pages = np.random.default_rng(seed), Pages()
    with SliceWriter(path, CONFIG, SCHEME.classes, [SCHEME], SHAPE) as writer:
        for start in range(0, n_slices, planes):
            images, labels = [], []
            for _ in range(start, min(start + planes, n_slices), 2):
                image, label = brain(generator), tumour(generator)
                images += [image, np.ascontiguousarray(image[:, ::-1, ::-1])]
                labels += [label, np.ascontiguousarray(label[::-1, ::-1])]
            crc = np.array(
                [[zlib.crc32(i), zlib.crc32(k)] for i, k in zip(images, labels, strict=True)],
                np.uint32,
            )
            chunks = pack_chunks(np.stack(images), np.stack(labels), "fast", pages)
            writer.add(case_tables(f"CASE_{start:06}", np.stack(labels), crc), chunks)
            pages.give_back(chunks)
        writer.finish([], {})
