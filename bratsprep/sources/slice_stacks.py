"""Volumes that were released as one HDF5 file a plane, put together as NIfTI files in memory.

The BraTS 2020 set on Kaggle holds `volume_1_slice_0.h5` to `volume_1_slice_154.h5` for each case:
`image`, (x, y, 4) float64, and `mask`, (x, y, 3) uint8, one channel a tissue. A source shows the
planes of a case as `volume_1_image.nii`, 4D, and `volume_1_mask.nii`. The files have no affine, so
that of BraTS is assumed.
"""

import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import h5py
import nibabel
import numpy as np
from numpy.typing import NDArray

SLICE: Final = re.compile(r"(?P<volume>(?:.*/)?volume_\d+)_slice_(?P<z>\d{1,5})\.h5")
"""Name of a file of one plane."""
IMAGE: Final = "image"
MASK: Final = "mask"
SUFFIX: Final = ".nii"
"""Of the files that stacks are shown as."""
CHANNELS: Final[Mapping[str, int]] = {IMAGE: 4, MASK: 3}
"""Channels of each dataset, the last axis of a plane."""
_VALUES: Final = np.array([1, 2, 4], np.uint8)
"""Label of BraTS 2020 that each channel of a mask stands for: NCR, ED, ET."""
_HEAD_BYTES: Final = 352
_SHOWN: Final = 5
"""Missing planes that are listed."""

Reader: TypeAlias = Callable[[str], bytes]
"""Gives the content of a file of one plane by its name."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A volume that is put together from planes."""

    planes: tuple[str, ...]
    """Files in rising z."""
    dataset: str
    """IMAGE or MASK."""
    sides: tuple[int, int]
    """Voxels along x and y."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(4, z, y, x) of an image, (z, y, x) of a mask."""
        lead = (CHANNELS[IMAGE],) if self.dataset == IMAGE else ()
        return *lead, len(self.planes), self.sides[1], self.sides[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the voxels of the NIfTI file."""
        return np.dtype("<f8" if self.dataset == IMAGE else "u1")

    @property
    def size_bytes(self) -> int:
        """Bytes of the NIfTI file that it is shown as."""
        return _HEAD_BYTES + math.prod(self.shape) * self.dtype.itemsize

    def fill(self, view: memoryview, read: Reader) -> None:
        """Write the whole NIfTI file.

        Args:
            view: `size_bytes` long, written.
            read: as `Reader`.

        Raises:
            OSError: a file is no HDF5.
            KeyError: it lacks the dataset.
            ValueError: a plane has another shape, or a mask is no choice of one tissue.
        """
        voxels = np.empty(self.shape, self.dtype)
        for z, name in enumerate(self.planes):
            voxels[..., z, :, :] = self._plane(name, read)
        view[:_HEAD_BYTES] = _header(self.shape, self.dtype)
        view[_HEAD_BYTES:] = voxels.reshape(-1).view(np.uint8).data

    def head(self, size: int, read: Reader) -> bytes:
        """First bytes of the file: those of its header and of a few planes; raises as `fill`."""
        content = bytearray(_header(self.shape, self.dtype))
        for name in self.planes:
            if len(content) >= size:
                return bytes(content[:size])
            content += self._plane(name, read).reshape(-1, *self.shape[-2:])[0].tobytes()
        whole = bytearray(self.size_bytes)
        self.fill(memoryview(whole), read)
        return bytes(whole[:size])

    def _plane(self, name: str, read: Reader) -> NDArray[Any]:
        """One plane as it is stored: (4, y, x) of an image, (y, x) raw labels of a mask."""
        plane = _plane(name, read(name), self)
        if self.dataset == IMAGE:
            return np.ascontiguousarray(plane.transpose(2, 1, 0), self.dtype)
        return _label(plane, name)


def stacks_of(
    names: Iterable[str], read: Reader, folder: str
) -> tuple[dict[str, Stack], dict[str, str]]:
    """Group the files of planes into volumes.

    All volumes are taken to have as many planes as the largest, of the sides of the first.

    Args:
        names: files, of planes or others.
        read: as `Reader`.
        folder: what to call their place in an error.

    Returns:
        Stack by the name that it is shown under; and for each volume that lacks planes an error.

    Raises:
        OSError: the first plane is no HDF5.
        KeyError: it has no image.
        ValueError: its image is of another shape.
    """
    planes: dict[str, dict[int, str]] = defaultdict(dict)
    for match in filter(None, map(SLICE.fullmatch, names)):
        planes[match["volume"]][int(match["z"])] = match[0]
    if not planes:
        return {}, {}
    first = next(iter(next(iter(planes.values())).values()))
    sides, datasets = _sides(read(first))
    count = 1 + max(map(max, planes.values()))
    stacks, broken = {}, {}
    for volume, files in planes.items():
        missing = sorted(set(range(count)) - set(files))
        if missing:
            broken[volume] = _missing(f"{folder}/{volume}", missing, count)
            continue
        in_order = tuple(files[z] for z in range(count))
        for dataset in datasets:
            stacks[f"{volume}_{dataset}{SUFFIX}"] = Stack(in_order, dataset, sides)
    return stacks, broken


def _missing(where: str, missing: list[int], count: int) -> str:
    """Error about planes of a volume that are missing."""
    listed = ", ".join(map(str, missing[:_SHOWN]))
    more = ", ..." if len(missing) > _SHOWN else ""
    return f"{where}: {len(missing)} of {count} slices are missing: {listed}{more}; add their files"


def _sides(content: bytes) -> tuple[tuple[int, int], list[str]]:
    """Sides (x, y) of a plane, and which datasets it has."""
    with h5py.File(io.BytesIO(content), "r") as file:
        x, y, _ = file[IMAGE].shape
        return (int(x), int(y)), [name for name in CHANNELS if name in file]


def _plane(name: str, content: bytes, stack: Stack) -> NDArray[Any]:
    """(x, y, channels) of one plane: 4 float64 of an image, 3 uint8 of a mask."""
    with h5py.File(io.BytesIO(content), "r") as file:
        plane = np.asarray(file[stack.dataset])
    expected = (*stack.sides, CHANNELS[stack.dataset])
    if plane.shape != expected:
        raise ValueError(f"{stack.dataset} of {name} is {plane.shape}, expected {expected}")
    return plane


def _label(mask: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """(y, x) uint8 raw labels of a (x, y, 3) mask of any number type."""
    if not np.isin(mask, (0, 1)).all() or (mask.sum(axis=2) > 1).any():
        raise ValueError(f"mask of {name} has voxels of two tissues, or values beside 0 and 1")
    return np.asarray((mask.astype(np.uint8) * _VALUES).sum(axis=2, dtype=np.uint8).T)


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Header of a NIfTI file of (z, y, x) or (4, z, y, x) voxels on the grid of BraTS."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape[::-1])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = shape[-2] - 1
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header.set_xyzt_units("mm")
    header["vox_offset"], header["magic"] = _HEAD_BYTES, b"n+1"
    return bytes(header.binaryblock) + bytes(4)
