"""Chunks are what HDF5 itself would have written."""

import zlib

import h5py
import numpy as np
import pytest

from bratsprep.config import COMPRESSION
from bratsprep.slicefile.chunks import Pages, pack_chunks
from tests.helpers import oracles

every_compression = pytest.mark.parametrize("compression", COMPRESSION)
every_type = pytest.mark.parametrize("dtype", ["<f2", "<f4", "<i2"])


def slices(dtype, n=6):
    """(n, 4, 6, 5) of that type and (n, 6, 5) labels."""
    generator = np.random.default_rng(0)
    images = generator.normal(0, 30, (n, 4, 6, 5))
    images[..., :2] = 0
    return images.astype(dtype), generator.integers(0, 4, (n, 6, 5), np.uint8)


@every_type
@every_compression
def test_plain_h5py_reads_the_chunks(tmp_path, dtype, compression):
    images, labels = slices(dtype)
    packed = pack_chunks(images, labels, compression, Pages())
    filters = {} if compression == "none" else {"compression": "gzip", "shuffle": True}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values, each in (
            ("image", images, packed.images()), ("label", labels, packed.labels())
        ):  # fmt: skip
            chunks = (1, *values.shape[1:])
            stored = file.create_dataset(name, values.shape, values.dtype, chunks=chunks, **filters)
            for s, chunk in enumerate(each):
                stored.id.write_direct_chunk((s, *[0] * (values.ndim - 1)), chunk)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["image"][:], images)
        np.testing.assert_array_equal(file["label"][:], labels)


@every_compression
def test_chunks_lie_side_by_side_and_are_summed(compression):
    packed = pack_chunks(*slices("<f2"), compression, Pages())
    together = b"".join([*packed.images(), *packed.labels()])
    assert together == bytes(packed.data)
    assert packed.crc == zlib.crc32(together)
    assert packed.sizes.sum() == len(together)


@every_compression
def test_a_case_without_slices_has_no_chunks(compression):
    packed = pack_chunks(*slices("<f2", n=0), compression, Pages())
    assert list(packed.images()) == list(packed.labels()) == []
    assert packed.crc == zlib.crc32(b"")


def test_bytes_are_shuffled_before_they_are_packed():
    images, labels = slices("<i2")
    first = next(pack_chunks(images, labels, "small", Pages()).images())
    assert zlib.decompress(first) == oracles.shuffled(images[0]).tobytes()


def test_pages_are_used_again():
    pages = Pages()
    first = pack_chunks(*slices("<f2"), "fast", pages)
    memory = first.data.obj
    assert pack_chunks(*slices("<f2"), "fast", pages).data.obj is not memory
    pages.give_back(first)
    assert pack_chunks(*slices("<f2"), "fast", pages).data.obj is memory


def test_pages_that_are_too_small_are_let_go():
    pages = Pages()
    first = pack_chunks(*slices("<f2", n=1), "fast", pages)
    pages.give_back(first)
    assert pack_chunks(*slices("<f2"), "fast", pages).data.obj is not first.data.obj
