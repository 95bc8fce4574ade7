"""One case in memory: its files read, brought into RAS+ order and measured."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box, CaseFiles, Channel, FileRecord, Geometry
from bratsprep.errors import NiftiError
from bratsprep.labels import ClassSet, Scheme
from bratsprep.orientation import as_it_lies
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratsprep.volumes.background import brain_share, outlying
from bratsprep.volumes.brain_mask import BrainMask, read_brain_mask
from bratsprep.volumes.grids import Grid, source_grid, stored_grid
from bratsprep.volumes.label import Label, file_record, label_grid, read_label
from bratsprep.volumes.normalise import Measured, Named, Volumes, measure_checked, part_of
from bratsprep.volumes.resample import LINEAR, Move
from bratsprep.volumes.resample_case import resample_images
from bratsprep.volumes.resample_label import resample_label
from bratsprep.voxel_sizes import Spacing


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read of every case of a set."""

    modalities: tuple[str, ...]
    """In the order of `CaseFiles.images`."""
    classes: ClassSet
    background: str = "auto"
    """As in `PrepConfig`."""
    spacing: Spacing | None = None
    """That every case is resampled to; None for its own."""


@dataclass(frozen=True, slots=True)
class CaseVolumes:
    """One case in memory; valid until its buffers are used again."""

    files: CaseFiles
    geometry: Geometry
    """Of its files, whatever grid the volumes are on."""
    images: Volumes
    """(z, y, x) views in RAS+ order, source units; strides may be negative. A modality that the
    case has not is all 0."""
    named: Named
    """The modalities, and which of them the case has."""
    classes: ClassSet
    """What its labels mean, whether it has one or not."""
    label: NDArray[np.uint8] | None
    """(z, y, x) view in RAS+ order, stored classes."""
    brain: NDArray[np.uint8]
    """(z, y, x) view in RAS+ order, 1 inside the brain."""
    measured: Measured
    """Moments; its arrays are in the order of the file where the case was not resampled, those
    below in RAS+ order."""
    plane_brain: NDArray[np.int32]
    """(z,) brain voxels of each plane, RAS+ order."""
    columns: NDArray[np.int32]
    """(y, x) brain voxels above each pixel, RAS+ order."""
    brain_box: Box
    """RAS+ order."""
    plane_voxels: NDArray[np.int32]
    """(z, c) voxels of each class, RAS+ order; all background for an unlabelled case."""
    scheme: str
    """Label scheme of the source; empty for an unlabelled case."""
    records: tuple[FileRecord, ...]
    remarks: tuple[str, ...]
    """What was assumed about the geometry of its images."""
    grid: Grid
    """Of the volumes."""
    original: "CaseVolumes | None" = None
    """The case before it was resampled; None where it was not."""

    @property
    def on_source(self) -> "CaseVolumes":
        """The case on the grid of its files."""
        return self.original or self

    @property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) float64, mm: voxel size along RAS+ (x, y, z)."""
        return np.array(self.grid.spacing)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, millilitres."""
        return math.prod(self.grid.spacing) / 1000

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) in RAS+ order."""
        z, y, x = self.brain.shape
        return z, y, x


def read_scan(
    files: CaseFiles,
    source: Source,
    buffers: Buffers,
    scheme: Scheme | None,
    asked: Asked,
) -> CaseVolumes:
    """Read the label, the images and the brain mask of a case, measure it, and resample it.

    Args:
        files: where they are.
        source: what they lie in.
        buffers: the worker's memory, overwritten; the result is a view into it.
        scheme: of the label; None leaves the label unread.
        asked: modalities, classes, background and spacing.

    Raises:
        BratsError: a file is broken, the files do not lie on one grid, a label value is outside
            the scheme, or the brain cannot be measured or is not that of a stripped head.
    """
    scan = _read_on_source(files, source, buffers, scheme, asked)
    grid = stored_grid(scan.geometry, asked.spacing, files.id)
    return scan if grid == scan.grid else _resampled(scan, grid, buffers)


def _read_on_source(
    files: CaseFiles,
    source: Source,
    buffers: Buffers,
    scheme: Scheme | None,
    asked: Asked,
) -> CaseVolumes:
    """Read and measure a case on the grid of its files; arguments as of `read_scan`."""
    label = _read_label(files, source, buffers, scheme)
    images, geometry, records, remarks = _read_images(files, source, buffers)
    first = geometry, files.first
    if label is not None:
        _check_grid(label, first, source.where(str(files.label)))
    mask = _read_mask(files, source, buffers, first)
    records = (*records, *(part.record for part in (label, mask) if part is not None))
    # The packed files are no longer needed, so their memory serves once more.
    brain = buffers.reserve(nifti.PACKED, images[0].size, files.id).reshape(images[0].shape)
    named = Named(files.id, asked.modalities, files.present)
    measured = measure_checked(
        images, brain, named, background=asked.background, voxel_ml=geometry.voxel_ml, mask=mask
    )
    turn = geometry.orientation.turn
    nothing = _background(brain.shape, len(asked.classes))
    return CaseVolumes(
        files=files,
        geometry=geometry,
        images=part_of(images, turn),
        named=named,
        classes=asked.classes,
        label=None if label is None else label.classes,
        brain=brain[turn],
        measured=measured,
        plane_brain=measured.plane_brain[turn[0]],
        columns=measured.columns[turn[1:]],
        brain_box=_flip(measured.box, brain.shape, geometry.orientation.flips),
        plane_voxels=nothing if label is None else label.plane_voxels,
        scheme="" if label is None or scheme is None else scheme.name,
        records=records,
        remarks=remarks,
        grid=source_grid(geometry),
    )


def _resampled(scan: CaseVolumes, grid: Grid, buffers: Buffers) -> CaseVolumes:
    """The same case on another grid.

    Raises:
        BratsError: the buffers may not be as large, or the brain cannot be measured there.
    """
    turned = replace(scan.measured, brain=scan.brain)
    images, measured = resample_images(scan.images, turned, scan.named, (scan.grid, grid), buffers)
    label, n_classes = None, len(scan.classes)
    plane_voxels = _background(grid.shape, n_classes)
    if scan.label is not None:
        move = Move.between(scan.grid, grid, LINEAR)
        label = resample_label(scan.label, move, n_classes, buffers, scan.files.id)
        for k in range(n_classes):
            plane_voxels[:, k] = np.count_nonzero(label == k, axis=(1, 2))
    return replace(
        scan,
        images=images,
        label=label,
        brain=measured.brain,
        measured=measured,
        plane_brain=measured.plane_brain,
        columns=measured.columns,
        brain_box=measured.box,
        plane_voxels=plane_voxels,
        grid=grid,
        original=scan,
    )


def _check_grid(label: Label, first: tuple[Geometry, str], where: str) -> None:
    """Refuse a label that does not lie on the grid of the first image, given with its file."""
    grid, name = first
    advice = "; if its voxels are those of the images one to one, use --same-grid"
    nifti.check_same(grid, label.geometry, where, name, advice)


def _read_label(
    files: CaseFiles, source: Source, buffers: Buffers, scheme: Scheme | None
) -> Label | None:
    """The label of a case; None where it has none, or its scheme is not known."""
    if files.label is None or scheme is None:
        return None
    return read_label(source, files.label, scheme, buffers, label_grid(files, source))


def _read_mask(
    files: CaseFiles, source: Source, buffers: Buffers, first: tuple[Geometry, str]
) -> BrainMask | None:
    """The brain mask of a case; None where it has none. `first` is as in `_check_grid`."""
    if files.brain_mask is None:
        return None
    return read_brain_mask(source, files.brain_mask, buffers, first, files.same_grid)


def _background(shape: tuple[int, ...], n_classes: int) -> NDArray[np.int32]:
    """(z, c) int32: voxels of each class where every voxel of a (z, y, x) volume is background."""
    voxels = np.zeros((shape[0], n_classes), np.int32)
    voxels[:, 0] = math.prod(shape[1:])
    return voxels


def case_notes(scan: CaseVolumes) -> tuple[str, ...]:
    """Describe what is unusual about a case: its background, coverage, spacing or label."""
    outside = tumour = 0
    if scan.label is not None:
        turn = as_it_lies(scan.label)  # a flipped plane takes nine times as long
        voxels, label, brain = scan.plane_voxels[turn[0]], scan.label[turn], scan.brain[turn]
        tumour = int(voxels[:, 1:].sum())
        outside = sum(
            int(np.count_nonzero((label[z] != 0) > brain[z].view(np.bool_)))
            for z in np.flatnonzero(voxels[:, 1:].any(axis=1))
        )
    return (
        *scan.measured.notes,
        *brain_share(scan.measured.count, scan.brain.size, scan.voxel_ml),
        *outlying(
            scan.named.covering(scan.measured.coverage), scan.geometry.spacing, outside, tumour
        ),
    )


def _read_images(
    files: CaseFiles, source: Source, buffers: Buffers
) -> tuple[Volumes, Geometry, tuple[FileRecord, ...], tuple[str, ...]]:
    """(z, y, x) volumes of one dtype, their geometry, the files read, and remarks on them."""
    loaded: dict[str, tuple[nifti.Header, NDArray[Any]]] = {}
    records = []
    for member in dict.fromkeys(channel.member for channel in files.channels):
        slot = f"image{len(loaded)}"
        header, voxels, checksum = nifti.load(source, member, buffers, slot)
        records.append(file_record(source, member, checksum))
        if loaded:
            first_member, (first, _) = next(iter(loaded.items()))
            where = source.where(member)
            nifti.check_same(first.geometry, header.geometry, where, first_member)
        loaded[member] = header, nifti.intensities(voxels, header)
    found = (remark for header, _ in loaded.values() for remark in header.remarks)
    remarks = tuple(f"{files.id}: {remark}" for remark in dict.fromkeys(found))
    found_volumes = {
        channel: _channel(loaded[channel.member][1], channel, source.where(channel.member))
        for channel in files.channels
    }
    geometry = loaded[files.first][0].geometry
    dtype = np.result_type(*found_volumes.values())
    volumes = {
        channel: geometry.orientation.as_axial(volume.astype(dtype, copy=False))
        for channel, volume in found_volumes.items()
    }
    if None in files.images:
        nothing = np.zeros(volumes[files.channels[0]].shape, dtype)
    images = tuple(nothing if channel is None else volumes[channel] for channel in files.images)
    return images, geometry, tuple(records), remarks


def _channel(voxels: NDArray[Any], channel: Channel, where: str) -> NDArray[Any]:
    """One (z, y, x) modality of a 3D or a (m, z, y, x) 4D file, any real dtype."""
    if channel.index is None:
        if voxels.ndim != 3:
            raise NiftiError(f"{where}: holds {voxels.shape[0]} volumes; expected one modality")
        return voxels
    count = voxels.shape[0] if voxels.ndim == 4 else 1
    expected = channel.n_volumes or channel.index + 1
    if count != expected:
        raise NiftiError(
            f"{where}: holds {count} volumes; expected {expected}, one for each channel named"
        )
    return np.asarray(voxels[channel.index])


def to_file_order(volume: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Bring a volume into the order of its file.

    Args:
        volume: (z, y, x) of any dtype in RAS+ order, of the file's size.
        geometry: of the file.

    Returns:
        (x, y, z) view, axes and directions as in the file.

    Raises:
        ValueError: the volume is of another size.
    """
    placed = geometry.orientation.to_file_order(volume)
    if placed.shape != geometry.shape:
        raise ValueError(f"volume is {placed.shape} in the file's order, not {geometry.shape}")
    return placed


def _flip(box: Box, shape: tuple[int, ...], flips: tuple[bool, bool, bool]) -> Box:
    """The same box counted from the other end of the flipped axes."""
    sides = list(zip(box.start, box.stop, shape, flips, strict=True))
    start = [size - high if flip else low for low, high, size, flip in sides]
    stop = [size - low if flip else high for low, high, size, flip in sides]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
