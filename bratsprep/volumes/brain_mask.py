"""The brain mask of a case: read, checked, and applied to the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import FileRecord, Geometry
from bratsprep.errors import VolumeError
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratsprep.volumes.background import LARGEST_ML, LARGEST_SHARE, LEAST_COVERAGE, LEAST_VOXELS
from bratsprep.volumes.label import read_codes

LEAST_SHARE: Final = 0.01
"""Of a volume that a brain fills: a newborn's has 350 ml, a field of view of 256 mm 16,800."""
_SLOT: Final = "brain mask"
"""Buffer of the unpacked file."""


@dataclass(frozen=True, slots=True)
class BrainMask:
    """A brain mask in memory; valid until its buffers are used again."""

    voxels: NDArray[np.uint8]
    """(z, y, x), C order, directions as in the file of the images; 0 outside the brain."""
    count: int
    """Voxels that are not 0."""
    where: str
    """The file, for errors."""
    record: FileRecord

    def apply_(self, images: Sequence[NDArray[Any]]) -> None:
        """Set the voxels outside the mask to 0.

        Args:
            images: (z, y, x) volumes of any real dtype, on the grid of the mask; written.
        """
        for image in images:
            for plane, inside in zip(image, self.voxels, strict=True):
                np.copyto(plane, 0, where=inside == 0)

    def check_filled(self, brain_voxels: int) -> None:
        """Refuse images that are 0 in much of the mask.

        Args:
            brain_voxels: voxels inside the mask that are not 0 in some modality.

        Raises:
            VolumeError: they are, so that the mask cannot be theirs.
        """
        share = brain_voxels / self.count
        if self.voxels.size >= LEAST_VOXELS and share < LEAST_COVERAGE:
            raise VolumeError(
                f"{self.where}: the images are not 0 in {100 * share:.0f} % of the brain mask; "
                f"expected {100 * LEAST_COVERAGE:.0f} % at least, so it is the mask of another "
                "case or of another space"
            )


def read_brain_mask(
    source: Source, member: str, buffers: Buffers, first: tuple[Geometry, str], same_grid: bool
) -> BrainMask:
    """Read the brain mask of a case.

    Args:
        source: where it lies.
        member: its name.
        buffers: overwritten; the result is a view into them.
        first: geometry and name of the file of the first image.
        same_grid: its voxels lie on the grid of the images, whatever its own header says.

    Raises:
        BratsError: the file cannot be read, does not lie on the grid of the images, or cannot be
            the mask of a brain.
    """
    where = source.where(member)
    grid, name = first
    if not same_grid:
        own = nifti.read_header(source, member).geometry
        advice = "; if its voxels are those of the images one to one, use --same-grid"
        nifti.check_same(grid, own, where, name, advice)
    voxels, _, record = read_codes(source, member, buffers, grid, _SLOT)
    count = _check_mask(voxels, float(grid.spacing.prod()) / 1000, where)
    return BrainMask(voxels, count, where, record)


def _check_mask(voxels: NDArray[np.uint8], voxel_ml: float, where: str) -> int:
    """Count the voxels of a brain mask, and refuse what cannot be one.

    Args:
        voxels: (z, y, x) uint8.
        voxel_ml: volume of a voxel, millilitres.
        where: file, for errors.

    Raises:
        VolumeError: it is empty, has several values beside 0, or fills more or less of the volume
            than a brain can.
    """
    count = int(np.count_nonzero(voxels))
    if count == 0:
        raise VolumeError(f"{where}: every voxel of the brain mask is 0; make it again")
    if np.count_nonzero(voxels == voxels.max()) != count:
        raise VolumeError(
            f"{where}: holds {np.unique(voxels).tolist()}; a brain mask has one value beside 0; "
            "narrow --brain-mask if this file is none"
        )
    share, brain_ml = count / voxels.size, count * voxel_ml
    is_possible = LEAST_SHARE <= share <= LARGEST_SHARE and brain_ml <= LARGEST_ML
    if voxels.size >= LEAST_VOXELS and not is_possible:
        raise VolumeError(
            f"{where}: the brain mask fills {100 * share:.1f} % of the volume, "
            f"{brain_ml:,.0f} ml; a brain fills {100 * LEAST_SHARE:.0f} to "
            f"{100 * LARGEST_SHARE:.0f} % and has at most {LARGEST_ML:,.0f} ml; make the mask "
            "again, or narrow --brain-mask if this file is none"
        )
    return count
