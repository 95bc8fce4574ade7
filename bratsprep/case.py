"""The nouns: files of a case, its geometry, boxes, and its rows in a slice file."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.orientation import Orientation

BRAIN_CELLS: Final = (16, 16, 16)
"""Cells of a fingerprint of the images along z, y and x."""
MASK_CELLS: Final = (16, 20, 18)
"""Cells of a fingerprint of the label along z, y and x."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where one modality of a case lies."""

    member: str
    """Name of the NIfTI file inside its source."""
    index: int | None
    """Position along the fourth axis of a 4D file; None for a 3D file."""
    n_volumes: int = 0
    """Volumes that a 4D file must hold; 0 for a 3D file."""


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files of one examination, found by their names; no voxel has been read."""

    id: str
    subject: str
    """The person: folds split subjects."""
    release: str
    """Layout it was found in, such as `msd` or `brats2023`."""
    images: tuple[Channel | None, ...]
    """One for each modality that is asked for, in that order; None where the case has none, and
    no entry at all for a mask alone."""
    label: str | None
    """Member that holds the label; None for an unlabelled case."""
    scheme: str | None
    """Label scheme that the names are evidence for; None where they are none."""
    scheme_fault: str = ""
    """Why the named labels of the release fit no scheme, as an error message; empty if they do."""
    same_grid: bool = False
    """Whether label and brain mask lie on the grid of the images whatever their headers say."""
    brain_mask: str | None = None
    """Member that holds the brain mask; None where the images are skull-stripped."""

    @property
    def members(self) -> tuple[str, ...]:
        """Files of the case, each once: images, then the label, then the brain mask."""
        masks = (member for member in (self.label, self.brain_mask) if member is not None)
        return tuple(dict.fromkeys([*(channel.member for channel in self.channels), *masks]))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The modalities that the case has."""
        return tuple(channel for channel in self.images if channel is not None)

    @property
    def present(self) -> tuple[bool, ...]:
        """Whether the case has each modality that is asked for."""
        return tuple(channel is not None for channel in self.images)

    @property
    def first(self) -> str:
        """Member of its first image, whose grid is that of the case."""
        return self.channels[0].member


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the voxels of a NIfTI file stand."""

    affine: NDArray[np.float64]
    """(4, 4) float64, mm; voxel (x, y, z) of the file to world, RAS+."""
    shape: tuple[int, int, int]
    """(x, y, z) of the file."""
    orientation: Orientation
    """Directions of the file's axes."""

    @property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) float64, mm: voxel size along RAS+ (x, y, z)."""
        columns = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return np.asarray(columns[list(self.orientation.axes)], np.float64)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, millilitres."""
        return float(self.spacing.prod()) / 1000

    @property
    def sides(self) -> tuple[int, int, int]:
        """Voxels along z, y and x, in RAS+ order."""
        return self.orientation.sides(self.shape)


@dataclass(frozen=True, slots=True)
class Box:
    """A box of voxels, start <= index < stop, in (z, y, x) order.

    It may reach beyond the volume: a crop window larger than the head is padded with zeros.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sides of the box, (z, y, x)."""
        z, y, x = (stop - start for start, stop in zip(self.start, self.stop, strict=True))
        return z, y, x

    def cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Copy the part of a (..., z, y, x) volume in the box, same dtype; 0 beyond the volume."""
        part = np.zeros((*volume.shape[:-3], *self.shape), volume.dtype)
        inside, outside = self.overlap(volume.shape[-3:])
        part[inside] = volume[outside]
        return part

    def paste(self, part: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
        """Undo `cut`: a (..., z, y, x) volume of the part's dtype, zero outside the box."""
        volume = np.zeros((*part.shape[:-3], *shape), part.dtype)
        inside, outside = self.overlap(shape)
        volume[outside] = part[inside]
        return volume

    def overlap(self, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Index of the voxels shared with a (z, y, x) volume: inside the box, inside the volume."""
        inside: list[slice] = []
        outside: list[slice] = []
        for start, stop, size in zip(self.start, self.stop, shape, strict=True):
            low, high = max(start, 0), max(min(stop, size), start, 0)
            inside.append(slice(low - start, high - start))
            outside.append(slice(low, high))
        return (..., *inside), (..., *outside)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A source file as it was read."""

    name: str
    """File name without folders: the same from a folder and from an archive."""
    size: int
    """Bytes on disk, compressed where it is."""
    crc32: int
    """CRC-32 of those bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseTables:
    """All rows that one case adds to the slice file, the images and labels aside.

    The fields of a row are the columns of `bratsprep.slicefile.schema`, by name.
    """

    case: np.void
    """Row of /case, a record of `row_dtype("case")`."""
    slices: NDArray[np.void]
    """(s,) records of `row_dtype("slice")`, one for each stored plane in rising z."""
    planes: NDArray[np.void]
    """(p,) records of `row_dtype("plane")`, one for each plane of the volume."""
