"""Augmentation of a batch on its own device, drawn independently for each sample.

Everything drawn is a pure function of (seed, step), so a resumed run draws what it would have
drawn. Decisions are drawn on the CPU, so that nothing waits for the device; only noise is drawn
on the device.

- `none` leaves the batch as it is.
- `rotation` turns samples; `noise` scales and shifts intensities and adds Gaussian noise.
- `targeted` adds noise alone, which is more frequent and stronger on slices that hold a rare class:
  every class of the tumour but the largest, so NCR and ET of gliomas.
- `combined` is `noise` with targeted noise, as the course project has it: nothing is turned.
- `modern` is close to nnU-Net's (Isensee et al. 2021): flips, rotation and scale; then
  contrast, brightness and gamma; then blur and low resolution; then noise.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from bratstrain.data.chance import Chance, Draw
from bratstrain.data.intensities import bend, blur, by_plane, coarsen, stretch
from bratstrain.ranks.group import ALONE, Group

Changes: TypeAlias = Iterable[tuple[Draw, Callable[[Tensor, Tensor], Tensor]]]
"""What is drawn for each modality of a sample, and its effect: (k, ..., h, w) images and
(k, ..., 1, 1) values to (k, ..., h, w)."""

FLIP: Final = Draw(0.5, 1, 1)
ROTATION: Final = Draw(0.2, math.radians(-30), math.radians(30))
SCALE: Final = Draw(0.2, 0.7, 1.4, off=1)
CONTRAST: Final = Draw(0.15, 0.75, 1.25, off=1)
BRIGHTNESS: Final = Draw(0.15, 0.75, 1.25, off=1)
INVERTED_GAMMA: Final = Draw(0.1, 0.7, 1.5, off=1)
GAMMA: Final = Draw(0.3, 0.7, 1.5, off=1)
BLUR: Final = Draw(0.2, 0.5, 1.0, share=0.5)
ZOOM: Final = Draw(0.25, 0.5, 1.0, off=1, share=0.5)
NOISE: Final = Draw(0.1, 0.0, 0.1)
DECK_ROTATION: Final = Draw(0.5, math.radians(-15), math.radians(15))
DECK_SCALE: Final = Draw(0.5, 0.9, 1.1, off=1)
DECK_SHIFT: Final = Draw(0.5, -0.1, 0.1)
DECK_NOISE: Final = Draw(0.2, 0.01, 0.05)
DECK_TARGETED: Final = Draw(0.6, 0.05, 0.15)
NO_FLIP: Final = Draw(0, 0, 0)
NO_ROTATION: Final = Draw(0, 0, 0)
NO_SCALE: Final = Draw(0, 1, 1, off=1)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where each sample of a batch is moved: flipped first, then turned and scaled."""

    flip_x: NDArray[np.float32]
    """(b,) 1 where left becomes right, else 0."""
    flip_y: NDArray[np.float32]
    """(b,) 1 where front becomes back, else 0."""
    angle: NDArray[np.float32]
    """(b,) radians; a positive one turns x towards y, around the middle of the slice."""
    scale: NDArray[np.float32]
    """(b,) above 1 makes the head larger."""


Look: TypeAlias = Callable[[Tensor, Tensor, Chance], Tensor]
"""Changes the intensities of (b, m, ..., h, w) float32 images, given (b, ..., h, w) bool where a
rare class is."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """An augmentation in the registry: how samples are moved, and how their intensities change."""

    flip_x: Draw = NO_FLIP
    flip_y: Draw = NO_FLIP
    angle: Draw = NO_ROTATION
    scale: Draw = NO_SCALE
    look: Look | None = None

    def draw_pose(self, chance: Chance, n: int) -> "Pose":
        """Draw where each of n samples of this rank is moved."""
        draws = (self.flip_x, self.flip_y, self.angle, self.scale)
        return Pose(*(chance.own(draw, n) for draw in draws))


def augment(
    image: Tensor,
    label: Tensor,
    rare: Sequence[int] = (),
    *,
    kind: str,
    seed: int,
    step: int,
    group: Group = ALONE,
) -> tuple[Tensor, Tensor]:
    """Augment a batch; a pure function of its arguments, on each kind of device.

    Background, the pixels that are 0 in all modalities, moves along and is exactly 0 afterwards.
    All planes of a sample are moved alike, and a modality changes alike in all of them.

    Args:
        image: (b, m, h, w) or (b, m, k, h, w) float32, standard deviations; left as it is.
        label: (b, h, w) uint8, class codes of the plane in the middle, or (b, k, h, w) of all
            planes; left as it is.
        rare: classes that noise is stronger for, see `rare_classes`.
        kind: a name in `AUGMENTS`.
        seed: the run's seed, at least 0.
        step: optimiser step, at least 0.
        group: the ranks that hold the whole batch, of which image and label are this one's share.

    Returns:
        Image and label like those given, on the same device.

    Raises:
        ValueError: `kind` is unknown.
    """
    if kind not in AUGMENTS:
        raise ValueError(f"augment must be one of {', '.join(AUGMENTS)}, got {kind!r}")
    augmentation = AUGMENTS[kind]
    if augmentation is None:
        return image, label
    generator = np.random.default_rng((seed, step))
    noise = torch.Generator(image.device).manual_seed(int(generator.integers(2**63)))
    chance = Chance(generator, noise, group)
    image, label, brain = place(image, label, augmentation.draw_pose(chance, len(image)))
    if augmentation.look is not None:
        is_rare = torch.zeros_like(label, dtype=torch.bool)
        for k in rare:
            is_rare |= label == k
        image = augmentation.look(image, is_rare, chance)
    return image.masked_fill(~brain[:, None], 0), label


def rare_classes(voxels: NDArray[np.integer[Any]]) -> tuple[int, ...]:
    """List the classes of the tumour but the one with most pixels.

    Args:
        voxels: (n, c) int32, pixels of each class in each training slice, background first.
    """
    pixels = voxels.sum(axis=0)[1:]
    largest = int(pixels.argmax())
    return tuple(k + 1 for k in range(len(pixels)) if k != largest)


def drop_modalities(
    image: Tensor, chance: float, *, seed: int, step: int, group: Group = ALONE
) -> Tensor:
    """Leave whole modalities out of some samples, and scale the others up.

    A sample keeps one modality at least. What is left is scaled by the number of modalities over
    that of those kept, as a case without some of them is for a prediction.

    Args:
        image: (b, m, ...) float32, standard deviations; left out of all planes of a sample alike.
        chance: of each modality of each sample, 0 to below 1.
        seed: the run's seed.
        step: optimiser step.
        group: the ranks that hold the whole batch.

    Returns:
        (b, m, ...) float32; `image` itself where nothing is left out.
    """
    if not chance:
        return image
    n, m = len(image) * group.size, image.shape[1]
    generator = np.random.default_rng((seed, step, 1))
    kept = generator.random((n, m)) >= chance
    spared = generator.integers(m, size=n)
    kept[np.arange(n), spared] |= ~kept.any(axis=1)
    factor = (kept * (m / kept.sum(axis=1, keepdims=True))).astype(np.float32)[group.own(n)]
    return image * send(factor, image).view(len(image), m, *(1,) * (image.dim() - 2))


def plain_look(image: Tensor, is_rare: Tensor, chance: Chance) -> Tensor:
    """Change intensities as `deck_look` does, but without regard to rare classes.

    Args:
        image: (b, m, ..., h, w) float32.
        is_rare: (b, ..., h, w) bool; only its shape and device are used.
        chance: what is drawn from.

    Returns:
        (b, m, ..., h, w) float32.
    """
    return deck_look(image, torch.zeros_like(is_rare), chance)


def deck_look(image: Tensor, is_rare: Tensor, chance: Chance) -> Tensor:
    """Scale and shift the intensities of (b, m, ..., h, w) float32, and add targeted noise."""
    image = change(image, chance, ((DECK_SCALE, torch.mul), (DECK_SHIFT, torch.add)))
    return targeted_look(image, is_rare, chance)


def targeted_look(image: Tensor, is_rare: Tensor, chance: Chance) -> Tensor:
    """Add noise to (b, m, ..., h, w) float32, stronger where (b, ..., h, w) bool has a pixel."""
    sigma = targeted_noise(is_rare, chance).view(-1, *(1,) * (image.dim() - 1))
    every = np.ones(len(image) * chance.group.size, bool)
    return image + sigma * chance.normal_like(image, every)


def targeted_noise(is_rare: Tensor, chance: Chance) -> Tensor:
    """Draw the amplitude of each sample's noise, larger where a rare class occurs.

    Both amplitudes are drawn for every sample, so that the CPU need not read the labels.

    Args:
        is_rare: (b, ..., h, w) bool, where a rare class is.
        chance: what is drawn from.

    Returns:
        (b,) float32 standard deviations, on the device of `is_rare`.
    """
    plain = send(chance.own(DECK_NOISE, len(is_rare)), is_rare)
    strong = send(chance.own(DECK_TARGETED, len(is_rare)), is_rare)
    return torch.where(is_rare.flatten(1).any(dim=1), strong, plain)


def modern_look(image: Tensor, _is_rare: Tensor, chance: Chance) -> Tensor:
    """Change the intensities of (b, m, ..., h, w) float32 images as different scanners would.

    Contrast of tissue first, then resolution, then noise. The background is reset to 0 later.
    """
    steps: Changes = (
        (CONTRAST, stretch),
        (BRIGHTNESS, torch.mul),
        (INVERTED_GAMMA, lambda planes, power: -bend(-planes, power)),
        (GAMMA, bend),
        (BLUR, by_plane(blur)),
        (ZOOM, by_plane(coarsen)),
    )
    return add_noise(change(image, chance, steps), NOISE, chance)


AUGMENTS: Final[Mapping[str, Augmentation | None]] = MappingProxyType(
    {
        "none": None,
        "rotation": Augmentation(angle=DECK_ROTATION),
        "noise": Augmentation(look=plain_look),
        "targeted": Augmentation(look=targeted_look),
        "combined": Augmentation(look=deck_look),
        "modern": Augmentation(FLIP, FLIP, ROTATION, SCALE, modern_look),
    }
)
"""Augmentations by name; None leaves a batch as it is. To add one: a line here, a look like those
above if intensities change, and the same name in `bratstrain.config.Augment`."""


def change(image: Tensor, chance: Chance, changes: Changes) -> Tensor:
    """Apply changes to the modalities of (b, m, ..., h, w) float32 that they are drawn for."""
    n, m = image.shape[:2]
    images = image.flatten(0, 1)  # (b m, ..., h, w)
    for draw, apply in changes:
        values = chance.own(draw, n, m)
        images = only(images, values != draw.off, apply, beside(values[values != draw.off], images))
    return images.view(image.shape)


def add_noise(image: Tensor, draw: Draw, chance: Chance) -> Tensor:
    """Add noise to the modalities of (b, m, ..., h, w) float32 that an amplitude is drawn for."""
    images = image.flatten(0, 1)  # (b m, ..., h, w)
    sigma = chance.whole(draw, *image.shape[:2])
    is_noisy, own = sigma != draw.off, chance.group.own(len(sigma))

    def noisy(planes: Tensor, amplitude: Tensor) -> Tensor:
        """Add noise to (k, ..., h, w) float32, with (k, ..., 1, 1) float32 amplitudes."""
        return planes + amplitude * chance.normal_like(planes, is_noisy)

    amplitude = beside(sigma[own][is_noisy[own]], images)
    return only(images, is_noisy[own], noisy, amplitude).view(image.shape)


def only(
    batch: Tensor, chosen: NDArray[np.bool_], apply: Callable[..., Tensor], *more: Tensor
) -> Tensor:
    """Apply a function to rows of a (b, ...) batch and copy the others.

    Args:
        batch: (b, ...) tensor.
        chosen: (b,) bool, on the CPU.
        apply: called with the k chosen rows, (k, ...), and with `more`.
        *more: (k, ...) tensors.

    Returns:
        (b, ...) tensor; `batch` itself where no row is chosen.
    """
    rows = send(np.flatnonzero(chosen), batch)
    return batch.index_copy(0, rows, apply(batch[rows], *more)) if len(rows) else batch


def place(image: Tensor, label: Tensor, pose: Pose) -> tuple[Tensor, Tensor, Tensor]:
    """Move each sample of a batch; what enters from outside is background.

    Args:
        image: (b, m, h, w) or (b, m, k, h, w) float32; bilinear interpolation, exact where a
            sample is only flipped.
        label: (b, h, w) uint8, of the only plane or the one in the middle, or (b, k, h, w) of all
            planes; takes the nearest pixel.
        pose: of each sample.

    Returns:
        The moved image, the moved label, and the moved brain, (b, h, w) or (b, k, h, w) bool: by
        the nearest pixel, those that were not 0 in every modality.
    """
    brain = (image != 0).any(dim=1)
    # Label and brain are one image to move, not two.
    flat = (len(image), -1, *image.shape[-2:])
    code, labels = brain.to(label.dtype).reshape(flat), label.reshape(flat)
    below = (code.shape[1] - labels.shape[1]) // 2
    labelled = slice(below, below + labels.shape[1])
    code[:, labelled] += 2 * labels
    planes, moved = move(image.reshape(flat), code.float(), pose)
    code = moved.to(label.dtype)
    return (
        planes.reshape(image.shape),
        (code[:, labelled] >> 1).reshape(label.shape),
        (code & 1).bool().reshape(brain.shape),
    )


def move(image: Tensor, code: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
    """Move (b, c, h, w) float32 images linearly and (b, k, h, w) float32 codes to the nearest."""
    for flags, axis in ((pose.flip_x, -1), (pose.flip_y, -2)):
        mirror = partial(torch.flip, dims=(axis,))
        image, code = only(image, flags != 0, mirror), only(code, flags != 0, mirror)
    turned = (pose.angle != 0) | (pose.scale != 1)
    grid = source_grid(pose.angle[turned], pose.scale[turned], image)
    sample = partial(grid_sample, align_corners=False)
    image = only(image, turned, sample, grid)
    return image, only(code, turned, partial(sample, mode="nearest"), grid)


def source_grid(angle: NDArray[np.float32], scale: NDArray[np.float32], image: Tensor) -> Tensor:
    """Compute where each pixel of a moved sample comes from.

    `affine_grid` would use a matrix product, which autocast or TF32 shifts by whole pixels.

    Args:
        angle: (k,) float32, radians, as in `Pose`.
        scale: (k,) float32, as in `Pose`.
        image: (b, m, h, w) tensor, for its size and device.

    Returns:
        (k, h, w, 2) float32, x and y from -1 to 1 as `grid_sample` takes them.
    """
    h, w = image.shape[-2:]
    x = torch.arange(w, device=image.device) - (w - 1) / 2
    y = (torch.arange(h, device=image.device) - (h - 1) / 2)[:, None]
    turn = np.stack([np.cos(angle), np.sin(angle)]) / scale
    cos, sin = send(turn, image)[:, :, None, None]
    return torch.stack([(cos * x + sin * y) * (2 / w), (cos * y - sin * x) * (2 / h)], dim=-1)


def beside(values: NDArray[np.float32], images: Tensor) -> Tensor:
    """Send (k,) float32, one of each image, to (k, 1, ...) float32 beside (n, ...) images."""
    return send(values, images).view(-1, *(1,) * (images.dim() - 1))


def send(numbers: NDArray[Any], beside: Tensor) -> Tensor:
    """Copy a small array of any shape and dtype to the device of a tensor.

    The copy does not block, since waiting would drain a GPU's queue.
    """
    return torch.from_numpy(numbers).to(beside.device, non_blocking=True)
