"""The background of a skull-stripped scan where it is not exactly 0, and what a brain can be.

The brain of a case is what is not 0 in some modality. Resampling, rescaling and other tools leave
NaN, a constant, or rounding noise outside of it; then the whole volume would be brain. In such a
volume the value at the edges is the background, and is set to 0 before anything is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import VolumeError

LARGEST_SHARE: Final = 0.8
"""Of a volume that a stripped brain can fill: an ellipsoid fills .52 of its own box."""
LEAST_VOXELS: Final = 8_000
"""A volume of fewer voxels is no head, and its share of brain says nothing."""
LARGEST_ML: Final = 2_800.0
"""Of a stripped brain with its ventricles; the largest of BraTS have 1,900 ml, a head 3,500."""
LEAST_COVERAGE: Final = 0.6
"""Share of the brain that is not 0 in a modality: a stripped brain fills half of a whole head."""
USUAL_COVERAGE: Final = 0.9
ROUNDING: Final = 1e-3
"""Most that the background may vary, as a share of the range of the modality."""
_WIDER: Final = 4.0
"""Times the variation at the edges, as larger values occur among all voxels of a volume."""
_THICK: Final = 2.5
"""Times the size of a pixel from which a slice is thick."""
_PLANES: Final = 8
"""Planes that coverage is measured on."""


@dataclass(frozen=True, slots=True)
class Background:
    """What a modality holds outside the brain."""

    value: float
    """Source units; NaN where that is the background."""
    tolerance: float
    """Source units; 0 for a constant."""

    def mask(self, volume: NDArray[Any]) -> NDArray[np.bool_]:
        """Find the background voxels of a volume of any shape and real dtype; NaN included."""
        is_nan: NDArray[np.bool_] = np.isnan(volume)
        if np.isnan(self.value):
            return is_nan
        is_near: NDArray[np.bool_] = np.abs(volume - self.value) <= self.tolerance
        return np.logical_or(is_near, is_nan)


def find_background(volume: NDArray[Any]) -> Background | None:
    """Find the background of a modality from the twelve edges of its volume.

    Args:
        volume: (z, y, x) any real dtype, source units.

    Returns:
        None where the edges are exactly 0, or vary as the air around an unstripped head does.
    """
    ends = [0, -1]
    edges = np.concatenate(
        [volume[ends][:, ends].ravel(), volume[ends][..., ends].ravel(),
         volume[:, ends][..., ends].ravel()]
    ).astype(np.float64)  # fmt: skip
    finite = edges[np.isfinite(edges)]
    if 2 * finite.size < edges.size:
        return Background(float("nan"), 0.0)
    value = float(np.median(finite))
    apart = float(np.quantile(np.abs(finite - value), 0.9))
    if value == 0 and apart == 0 and finite.size == edges.size:
        return None
    inner = volume[::2, ::2, ::2].astype(np.float64)
    scale = float(np.nanquantile(np.abs(inner - value), 0.99)) if apart else 0.0
    if _WIDER * apart > ROUNDING * scale:
        return None
    # A constant of float32 is compared as such.
    least = float(np.spacing(np.float32(abs(value))))
    return Background(value, max(_WIDER * apart, least if value else 0.0))


def given_background(text: str) -> Background:
    """The background of `PrepConfig.background` where that is a number, or `nan`."""
    value = float(text)
    return Background(value, float(np.spacing(np.float32(abs(value)))))


def clear_background_(
    images: Sequence[NDArray[Any]],
    backgrounds: Sequence[Background | None],
    modalities: Sequence[str],
) -> tuple[str, ...]:
    """Set the background of each modality to 0.

    Args:
        images: (z, y, x) volumes of any real dtype, source units; written.
        backgrounds: of each; None leaves a volume as it is.
        modalities: name of each.

    Returns:
        What was taken for background, a sentence a modality.
    """
    notes = []
    for modality, image, background in zip(modalities, images, backgrounds, strict=True):
        if background is not None:
            for plane in image:
                plane[background.mask(plane)] = 0
            within = f" within {background.tolerance:.1g}" if background.tolerance else ""
            notes.append(f"{modality}: {background.value:g}{within} at the edges is background")
    return tuple(notes)


def is_too_full(count: int, size: int) -> bool:
    """Whether so many brain voxels fill more of a volume than a stripped brain can."""
    return size >= LEAST_VOXELS and count > LARGEST_SHARE * size


def coverage(
    images: Sequence[NDArray[Any]], plane_brain: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Share of the brain that is not 0 in each modality, from some of the planes.

    Args:
        images: (z, y, x) volumes, 0 outside the brain.
        plane_brain: (z,) brain voxels of each plane, at least one above 0.

    Returns:
        (m,) float64, 0 to 1.
    """
    used = np.flatnonzero(plane_brain)
    planes = used[:: -(-len(used) // _PLANES)]
    inside = int(plane_brain[planes].sum())
    counts = [sum(int(np.count_nonzero(image[z])) for z in planes) for image in images]
    return np.array(counts) / inside


def check_brain(
    voxels: tuple[int, int], shares: Sequence[tuple[str, float]], voxel_ml: float, name: str
) -> None:
    """Refuse a case whose brain cannot be that of a skull-stripped head.

    Args:
        voxels: those of the brain, and of the whole volume.
        shares: name and `coverage` of each modality that the case has.
        voxel_ml: volume of a voxel, millilitres.
        name: case, for errors.

    Raises:
        VolumeError: it fills too much of the volume, is too large, or a modality covers too
            little of it.
    """
    count, size = voxels
    if size < LEAST_VOXELS:
        return
    advice = (
        "strip the skull, name its masks with --brain-mask PATTERN or the value outside the brain "
        "with --background VALUE, or take every voxel that is not 0 for brain with --background any"
    )
    if is_too_full(count, size):
        raise VolumeError(
            f"{name}: {100 * count / size:.0f} % of the volume is not 0 in some modality; a "
            f"stripped brain fills at most {100 * LARGEST_SHARE:.0f} %; {advice}"
        )
    if count * voxel_ml > LARGEST_ML:
        raise VolumeError(
            f"{name}: the brain has {count * voxel_ml:,.0f} ml; a stripped one has at most "
            f"{LARGEST_ML:,.0f} ml; {advice}"
        )
    lowest, share = min(shares, key=lambda pair: pair[1])
    if share < LEAST_COVERAGE:
        raise VolumeError(
            f"{name}: {lowest} covers {100 * share:.0f} % of what is not 0 in "
            f"some modality; expected {100 * LEAST_COVERAGE:.0f} % at least, so another modality "
            f"is not stripped, or has noise for background; {advice}"
        )


def outlying(
    shares: Sequence[tuple[str, float]],
    spacing_mm: NDArray[np.floating[Any]],
    outside: int,
    tumour: int,
) -> list[str]:
    """Describe what is unusual about the images of a case that is not refused.

    Args:
        shares: name and `coverage` of each modality that the case has.
        spacing_mm: (3,) float, along x, y and z.
        outside: tumour voxels outside the brain.
        tumour: tumour voxels.
    """
    notes = [
        f"{modality} covers only {100 * share:.0f} % of the brain"
        for modality, share in shares
        if share < USUAL_COVERAGE
    ]
    if outside:
        notes.append(f"{outside:,} of {tumour:,} tumour voxels are outside the brain")
    return [*notes, *thick_slices(spacing_mm)]


def thick_slices(spacing_mm: NDArray[np.floating[Any]]) -> list[str]:
    """Describe slices that are much thicker than their pixels; none for other voxels.

    Args:
        spacing_mm: (3,) float, along x, y and z.
    """
    least, most = float(min(spacing_mm)), float(max(spacing_mm))
    if most <= _THICK * least:
        return []
    return [f"slices of {most:.3g} mm, pixels of {least:.3g} mm"]


def brain_share(count: int, size: int, voxel_ml: float) -> list[str]:
    """Describe a brain that no stripped head has; none for any other.

    Args:
        count: brain voxels.
        size: voxels of the volume.
        voxel_ml: volume of a voxel, millilitres.
    """
    if is_too_full(count, size):
        return [f"{100 * count / size:.0f} % of the volume is brain"]
    if size >= LEAST_VOXELS and count * voxel_ml > LARGEST_ML:
        return [f"the brain has {count * voxel_ml:,.0f} ml"]
    return []
