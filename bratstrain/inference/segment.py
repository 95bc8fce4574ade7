"""From a case to its labels: every brain plane, prepared by the code that builds slice files."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.case import Box, CaseFiles, Geometry
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.repeats.image_match import LEAST_VOXELS
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.system.threads import pool_of
from bratsprep.volumes.case_volumes import CaseVolumes, read_scan
from bratsprep.volumes.crop import crop_window
from bratsprep.volumes.fingerprint import fingerprints
from bratsprep.volumes.grids import Grid, source_grid
from bratsprep.volumes.planes import image_planes_
from bratsprep.voxel_sizes import size_text
from bratstrain.apply_config import ApplyConfig
from bratstrain.data.neighbours import Stacked
from bratstrain.inference.volumes import FLIPS, See, entropy_of, segment_volume
from bratstrain.networks.build import as_input
from bratstrain.networks.outputs import labels_of, probabilities_of
from bratstrain.runs.fitted import Fitted

Read = TypeVar("Read")
"""What is read of a case."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case prepared for a network, independent of any buffer."""

    files: CaseFiles
    geometry: Geometry
    """Of its files."""
    grid: Grid
    """Of the volume that is cut: that of its files, or what the case was resampled to."""
    box: Box
    """Crop window in that volume."""
    z: NDArray[np.int64]
    """(s,) planes with brain, rising."""
    image: NDArray[Any]
    """(s, m, h, w) float16 or float32, standard deviations."""
    label: NDArray[np.uint8] | None
    """(z, y, x) uint8 stored classes on the grid of its files, if they were requested."""
    seen: NDArray[np.uint8] | None = None
    """(s, h, w) uint8 stored classes of the planes, if they were requested."""
    fingerprint: NDArray[np.int8] | None = None
    """(1 + m, *BRAIN_CELLS) of the images; None where the brain is too small to be told apart."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) of the volume that is cut."""
        return self.grid.shape

    @property
    def source_grid(self) -> Grid:
        """Of its files."""
        return source_grid(self.geometry)

    @property
    def is_resampled(self) -> bool:
        """Whether the planes are not on the grid of its files."""
        return self.grid != self.source_grid

    def paste(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Put (s, h, w) planes of any dtype back into a (z, y, x) volume, zero elsewhere."""
        block = np.zeros((self.shape[0], *planes.shape[1:]), planes.dtype)
        block[self.z] = planes
        return self.box.paste(block, self.shape)


def prepare_case(
    files: CaseFiles, buffers: Buffers, source: Source, fitted: Fitted, scheme: Scheme | None
) -> Prepared:
    """Read a case and cut and normalise its brain planes, by the slice file's own code.

    Args:
        files: the case.
        buffers: overwritten.
        source: of the case.
        fitted: the runs, for their preparation and window.
        scheme: of the label; None if the label is not requested.

    Raises:
        BratsError: the case is at fault.
    """
    return prepared(read_scan(files, source, buffers, scheme, fitted.asked), fitted)


def prepared(scan: CaseVolumes, fitted: Fitted) -> Prepared:
    """Cut and normalise the brain planes of a case that has been read.

    Args:
        scan: the case; its memory may be reused afterwards.
        fitted: the runs it is for: their preparation and window.
    """
    normalise, dtype = as_the_network_sees(fitted.preparation)
    box = crop_window(scan.brain_box, scan.shape, fitted.window)
    planes = np.flatnonzero(scan.plane_brain)
    image = np.empty((planes.size, len(scan.images), *box.shape[1:]), dtype)
    image_planes_(scan, planes, box, normalise, image)
    present = scan.named.present
    if not all(present):
        image = image.astype(np.float32) * np.float32(len(present) / sum(present))
    truth = scan.on_source.label
    is_large = scan.measured.count >= LEAST_VOXELS
    return Prepared(
        files=scan.files,
        geometry=scan.geometry,
        grid=scan.grid,
        box=box,
        z=planes,
        image=image,
        label=None if truth is None else truth.copy(),
        seen=None if scan.label is None else box.cut(scan.label)[planes],
        fingerprint=fingerprints(scan)[0] if is_large else None,
    )


def as_the_network_sees(preparation: PrepConfig) -> tuple[str, str]:
    """Normalisation and NumPy dtype of the input of a network.

    Slices that are stored raw are scaled when a batch is read during training, by the same moments.
    """
    if preparation.normalise == "none":
        return "modality", "<f4"
    return preparation.normalise, preparation.stored


def check_spacing(fitted: Fitted, where: str, spacing: NDArray[Any]) -> None:
    """Refuse voxels of a size that one of the runs was not fitted on.

    Args:
        fitted: the runs.
        where: the case, for errors.
        spacing: (3,) float, mm, along RAS+ (x, y, z).

    Raises:
        BratsError: the size is none that every run was fitted on, as
            `TrainedSpacings.holds` tells, or a run does not record its sizes.
    """
    for folder, trained in zip(fitted.folders, fitted.spacings, strict=True):
        if not trained.sizes:
            raise BratsError(
                f"{folder.name}: does not record the voxel sizes that it was fitted on; "
                "accept any with --any-spacing"
            )
        if not trained.holds(spacing):
            raise BratsError(
                f"{where}: voxels are {size_text(spacing)} mm (x, y, z); the nearest size that "
                f"{folder.name} was fitted on is {trained.nearest_line(spacing)}; resample the "
                "scan, or accept any size with --any-spacing"
            )


def read_ahead(
    cases: Iterable[CaseFiles], read: Callable[[CaseFiles, Buffers], Read]
) -> Generator[tuple[CaseFiles, Read | BratsError], None, None]:
    """Prepare cases in a thread, one ahead of the one in use.

    Args:
        cases: in order.
        read: called with a case and the buffers of the thread.

    Yields:
        Case and what was read, or the error of a faulty case.
    """
    buffers = Buffers()

    def one(files: CaseFiles) -> tuple[CaseFiles, Read | BratsError]:
        try:
            return files, read(files, buffers)
        except BratsError as error:
            return files, error

    with pool_of(1, "case") as pool:
        coming: Future[tuple[CaseFiles, Read | BratsError]] | None = None
        for files in cases:
            current, coming = coming, pool.submit(one, files)
            if current is not None:
                yield current.result()
        if coming is not None:
            yield coming.result()


def probabilities(fitted: Fitted, image: NDArray[Any], tta: str) -> torch.Tensor:
    """Mean probability of each class over flips and networks.

    Args:
        fitted: the networks.
        image: (b, m, h, w), or (b, m, k, h, w) with the planes around each, float16 or float32,
            standard deviations.
        tta: a name in `FLIPS`.

    Returns:
        (b, classes, h, w) float32 on the device.
    """
    planes = torch.from_numpy(image).to(fitted.device).float()
    total = torch.zeros(len(image), len(fitted.classes), *image.shape[-2:], device=fitted.device)
    passes = list(product(FLIPS[tta], fitted.networks))
    for axes, network in passes:
        flipped = planes.flip(axes) if axes else planes
        with fitted.autocast():
            logits = network(as_input(flipped, fitted.model))
        probability = probabilities_of(logits, fitted.model.nesting)
        total += probability.flip(axes) if axes else probability
    return total / len(passes)


@torch.inference_mode()
def segment(
    fitted: Fitted,
    image: NDArray[Any],
    z: NDArray[np.integer[Any]],
    config: ApplyConfig,
    *,
    keep: bool = False,
    see: See | None = None,
    entropy: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Label planes of one case in batches.

    Args:
        fitted: the networks.
        image: (s, m, h, w) float16 or float32, standard deviations.
        z: (s,) int, plane of each in the volume, rising.
        config: flips and batch size.
        keep: return the probabilities too.
        see: receives the planes of each batch and their (b, classes, h, w) float32 probabilities.
        entropy: (s, h, w) uint8, overwritten with the entropy of the mean probabilities, 255 where
            all classes are equally likely; None does not compute it.

    Returns:
        (s, h, w) uint8 stored classes; and (classes, s, h, w) float32 probabilities, of 0 planes
        where `keep` is False.
    """
    if fitted.model.is_volumetric:
        return segment_volume(fitted, image, z, config, keep=keep, see=see, entropy=entropy)
    n_planes, (h, w) = len(image), image.shape[2:]
    label = np.empty((n_planes, h, w), np.uint8)
    kept = np.empty((len(fitted.classes), n_planes if keep else 0, h, w), np.float32)
    stacked = Stacked(image, z, fitted.model.context)
    for first in range(0, n_planes, config.batch_size):
        part = slice(first, first + config.batch_size)
        probability = probabilities(fitted, stacked[part], config.tta)
        label[part] = labels_of(probability, fitted.model.nesting).cpu().numpy()
        if entropy is not None:
            entropy[part] = entropy_of(probability).cpu().numpy()
        if keep or see is not None:
            given = probability.cpu().numpy()
        if keep:
            kept[:, part] = given.swapaxes(0, 1)
        if see is not None:
            see(part, given)
    return label, kept
