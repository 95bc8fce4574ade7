"""From a case to its labels: every brain plane, prepared as the slice file prepares it."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.case import Box, CaseFiles, Geometry
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError
from bratsprep.labels import CLASSES, MODALITIES, SCHEMES, Scheme
from bratsprep.repeats.image_match import LEAST_VOXELS
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import read_scan
from bratsprep.volumes.crop import crop_window
from bratsprep.volumes.fingerprint import fingerprints
from bratsprep.volumes.planes import image_planes_
from bratstrain.runs.fitted import Fitted

FLIPS: Final = MappingProxyType(
    {
        "none": ((),),
        "lr": ((), (-1,)),
        "lr+ap": ((), (-1,), (-2,), (-2, -1)),
    }
)
"""Axes of (b, c, h, w) that each pass is flipped along: left-right, and front-back too."""
SPACING_TOLERANCE: Final = 0.1
"""Share by which voxels may be larger or smaller than those of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyConfig:
    """How fitted networks are applied."""

    tta: str = "none"
    """Average over flips: `none`, `lr` or `lr+ap`."""
    batch_size: int = 16
    """Planes at a time."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    cleanup: bool = False
    """Drop small components, by the sizes in the run's cleanup.json."""
    any_spacing: bool = False
    """Go ahead where voxels are of another size than those of the run."""
    labels: str = "auto"
    """Label scheme of the files; `auto` for the source's own."""

    def __post_init__(self) -> None:
        if self.tta not in FLIPS:
            raise ValueError(f"tta must be one of {', '.join(FLIPS)}, got {self.tta!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.labels not in ("auto", *SCHEMES):
            raise ValueError(
                f"labels must be one of auto, {', '.join(SCHEMES)}, got {self.labels!r}"
            )


APPLY_SETTINGS: Final = tuple(known.name for known in fields(ApplyConfig))


@dataclass(frozen=True, slots=True)
class Prepared:
    """One case as a network takes it, independent of any buffer."""

    files: CaseFiles
    geometry: Geometry
    shape: tuple[int, int, int]
    """(z, y, x) of the volume in RAS+ order."""
    box: Box
    """Crop window in that volume."""
    z: NDArray[np.int64]
    """(s,) planes with brain, rising."""
    image: NDArray[Any]
    """(s, 4, h, w) float16 or float32, standard deviations."""
    label: NDArray[np.uint8] | None
    """(z, y, x) stored classes of the whole volume, where they were asked for."""
    fingerprint: NDArray[np.int8] | None = None
    """(5, *BRAIN_CELLS) of the images; None where the brain is too small to be told apart."""

    def paste(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Put (s, h, w) planes back into a (z, y, x) volume, zero elsewhere."""
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
        source: what it lies in.
        fitted: the runs it is for: their preparation and window.
        scheme: of the label, where it is wanted.

    Raises:
        BratsError: whatever is wrong with the case.
    """
    scan = read_scan(files, source, buffers, scheme, fitted.preparation.background)
    normalise, dtype = as_the_network_sees(fitted.preparation)
    box = crop_window(scan.brain_box, scan.shape, fitted.window)
    planes = np.flatnonzero(scan.plane_brain)
    image = np.empty((planes.size, len(MODALITIES), *box.shape[1:]), dtype)
    image_planes_(scan, planes, box, normalise, image)
    label = None if scan.label is None else scan.label.copy()
    is_large = scan.measured.count >= LEAST_VOXELS
    fingerprint = fingerprints(scan)[0] if is_large else None
    return Prepared(files, scan.geometry, scan.shape, box, planes, image, label, fingerprint)


def as_the_network_sees(preparation: PrepConfig) -> tuple[str, str]:
    """Normalisation and NumPy dtype of what a network is given.

    Raw slices are scaled on their way into the network while it is fitted, by the same moments.
    """
    if preparation.normalise == "none":
        return "modality", "<f4"
    return preparation.normalise, preparation.stored


def check_spacing(fitted: Fitted, where: str, found: NDArray[Any]) -> None:
    """Refuse voxels that are of another size than those that the runs were fitted on.

    Args:
        fitted: the runs.
        where: the case, for errors.
        found: (3,) mm, along RAS+ (x, y, z).

    Raises:
        BratsError: a side differs by more than `SPACING_TOLERANCE`, or the runs do not say it.
    """
    wanted = np.asarray(fitted.spacing)
    if np.isnan(wanted).any():
        raise BratsError(
            f"{fitted.name}: does not say on which voxel size it was fitted; "
            "go ahead with --any-spacing"
        )
    if np.any(np.abs(found / wanted - 1) > SPACING_TOLERANCE):
        said = [" x ".join(f"{side:.4g}" for side in sides) for sides in (found, wanted)]
        raise BratsError(
            f"{where}: voxels are {said[0]} mm (x, y, z), {fitted.name} was fitted on {said[1]} "
            "mm; resample the scan, or go ahead with --any-spacing"
        )


def read_ahead(
    cases: Iterable[CaseFiles], read: Callable[[CaseFiles, Buffers], Prepared]
) -> Generator[Prepared, None, None]:
    """Prepare case after case in a thread, one ahead of the one in use.

    Args:
        cases: what to read.
        read: called with a case and the thread's memory.

    Raises:
        BratsError: as `read` does, when that case's turn comes.
    """
    buffers = Buffers()
    pool = ThreadPoolExecutor(1, "case")
    try:
        coming: Future[Prepared] | None = None
        for files in cases:
            current, coming = coming, pool.submit(read, files, buffers)
            if current is not None:
                yield current.result()
        if coming is not None:
            yield coming.result()
    finally:
        pool.shutdown(cancel_futures=True)


def probabilities(fitted: Fitted, image: NDArray[Any], tta: str) -> torch.Tensor:
    """Mean probability of each class over flips and networks.

    Args:
        fitted: the networks.
        image: (b, 4, h, w) float16 or float32, standard deviations.
        tta: one of FLIPS.

    Returns:
        (b, classes, h, w) float32 on the device.
    """
    planes = torch.from_numpy(image).to(fitted.device).float()
    total = torch.zeros(len(image), len(CLASSES), *image.shape[2:], device=fitted.device)
    passes = list(product(FLIPS[tta], fitted.networks))
    for axes, network in passes:
        turned = planes.flip(axes) if axes else planes
        with fitted.autocast():
            logits = network(turned.contiguous(memory_format=torch.channels_last))
        chance = logits.float().softmax(dim=1)
        total += chance.flip(axes) if axes else chance
    return total / len(passes)


@torch.inference_mode()
def segment(
    fitted: Fitted, image: NDArray[Any], config: ApplyConfig, *, keep: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Label planes, a batch at a time.

    Args:
        fitted: the networks.
        image: (s, 4, h, w) float16 or float32, standard deviations.
        config: flips and batch size.
        keep: keep the probabilities too.

    Returns:
        (s, h, w) uint8 stored classes; and (classes, s, h, w) float32 probabilities, of no plane
        where they are not kept.
    """
    n_planes, (h, w) = len(image), image.shape[2:]
    label = np.empty((n_planes, h, w), np.uint8)
    chances = np.empty((len(CLASSES), n_planes if keep else 0, h, w), np.float32)
    for first in range(0, n_planes, config.batch_size):
        part = slice(first, first + config.batch_size)
        found = probabilities(fitted, image[part], config.tta)
        label[part] = found.argmax(dim=1).to("cpu", torch.uint8).numpy()
        if keep:
            chances[:, part] = found.cpu().numpy().swapaxes(0, 1)
    return label, chances
