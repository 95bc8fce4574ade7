"""Augmentation of a batch on its own device, each sample drawn for itself.

Everything drawn is a pure function of (seed, step): a resumed run sees what it would have seen.
What decides is drawn on the CPU, so that nothing waits for the device; only noise is drawn there.

- `none` leaves all as it is.
- `deck` is the course project's: `rotation`; and `noise`, intensity scale and shift and Gaussian
  noise, here «targeted»: more often and stronger on slices that hold a rare class, NCR or ET.
- `modern` is close to nnU-Net's (Isensee et al. 2021): flips, rotation and scale; then
  contrast, brightness and gamma; then blur and low resolution; then noise.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from bratsprep.labels import CLASSES

RARE: Final = (CLASSES.index("NCR"), CLASSES.index("ET"))
BLUR_REACH: Final = 3  # pixels on either side: three times the widest blur


@dataclass(frozen=True, slots=True)
class Draw:
    """How one number is drawn: with a chance uniformly between two ends, else as `off`."""

    chance: float
    low: float
    high: float
    off: float = 0.0
    """The value that changes nothing."""
    share: float = 1.0
    """Chance of each modality of a chosen sample."""

    def sample(self, generator: np.random.Generator, n: int, m: int = 1) -> NDArray[np.float32]:
        """Draw (n m,) float32 for n samples of m modalities; as many draws whatever comes out."""
        value = generator.uniform(self.low, self.high, (n, m))
        chosen = generator.random((n, 1)) < self.chance
        among = generator.random((n, m)) < self.share
        return np.where(chosen & among, value, self.off).astype(np.float32).ravel()


Changes: TypeAlias = Iterable[tuple[Draw, Callable[[Tensor, Tensor], Tensor]]]
"""What is drawn for a plane, and what it does: (k, h, w) and (k, 1, 1) to (k, h, w)."""

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

OFF: Final = Draw(0, 0, 0)
POSES: Final = MappingProxyType(
    {
        "rotation": (OFF, OFF, DECK_ROTATION, Draw(0, 1, 1, off=1)),
        "noise": (OFF, OFF, OFF, Draw(0, 1, 1, off=1)),
        "deck": (OFF, OFF, DECK_ROTATION, Draw(0, 1, 1, off=1)),
        "modern": (FLIP, FLIP, ROTATION, SCALE),
    }
)
"""What is drawn for each field of a `Pose`."""


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


def augment(
    image: Tensor, label: Tensor, *, kind: str, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Augment a batch; a pure function of its arguments, on each kind of device.

    Background, the pixels that are 0 in all modalities, moves along and is exactly 0 afterwards.

    Args:
        image: (b, m, h, w) float32, standard deviations; left as it is.
        label: (b, h, w) uint8, 0 to 3; left as it is.
        kind: `none`, `rotation`, `noise`, `deck` or `modern`.
        seed: the run's seed, at least 0.
        step: optimiser step, at least 0.

    Returns:
        Image and label like those given, on the same device.

    Raises:
        ValueError: `kind` is unknown.
    """
    if kind == "none":
        return image, label
    if kind not in POSES:
        raise ValueError(f"augment must be one of none, {', '.join(POSES)}, got {kind!r}")
    generator = np.random.default_rng((seed, step))
    noise = torch.Generator(image.device).manual_seed(int(generator.integers(2**63)))
    pose = Pose(*(draw.sample(generator, len(image)) for draw in POSES[kind]))
    image, label, brain = place(image, label, pose)
    look = modern_look if kind == "modern" else deck_look
    if kind != "rotation":  # and plain `noise` is shown no rare class to aim at
        image = look(image, label * (kind != "noise"), generator, noise)
    return image.masked_fill(~brain[:, None], 0), label


def deck_look(
    image: Tensor, label: Tensor, generator: np.random.Generator, noise: torch.Generator
) -> Tensor:
    """Scale, shift and add noise to the intensities of (b, m, h, w) float32, as `deck` does."""
    image = change(image, generator, ((DECK_SCALE, torch.mul), (DECK_SHIFT, torch.add)))
    sigma = targeted_noise(label, generator)[:, None, None, None]
    return image + sigma * normal_like(image, noise)


def targeted_noise(label: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw the noise of each sample, (b,) float32 standard deviations, more for rare classes.

    Both kinds are drawn for every sample, so that the CPU need not know the (b, h, w) labels.
    """
    plain = send(DECK_NOISE.sample(generator, len(label)), label)
    strong = send(DECK_TARGETED.sample(generator, len(label)), label)
    rare = ((label == RARE[0]) | (label == RARE[1])).flatten(1).any(dim=1)
    return torch.where(rare, strong, plain)


def modern_look(
    image: Tensor, _label: Tensor, generator: np.random.Generator, noise: torch.Generator
) -> Tensor:
    """Change the intensities of (b, m, h, w) float32 for `modern`, as a scanner might.

    Tissue first, then the optics, then the noise on top; background gets its 0 back later.
    """
    steps: Changes = (
        (CONTRAST, stretch),
        (BRIGHTNESS, torch.mul),
        (INVERTED_GAMMA, lambda planes, power: -bend(-planes, power)),
        (GAMMA, bend),
        (BLUR, blur),
        (ZOOM, coarsen),
        (NOISE, lambda planes, sigma: planes + sigma * normal_like(planes, noise)),
    )
    return change(image, generator, steps)


def change(image: Tensor, generator: np.random.Generator, changes: Changes) -> Tensor:
    """Apply changes to those modalities of (b, m, h, w) float32 for which they are drawn."""
    n, m = image.shape[:2]
    planes = image.flatten(0, 1)  # (b m, h, w)
    for draw, apply in changes:
        values = draw.sample(generator, n, m)
        chosen = values != draw.off
        planes = only(planes, chosen, apply, send(values[chosen], planes)[:, None, None])
    return planes.view_as(image)


def only(
    batch: Tensor, chosen: NDArray[np.bool_], apply: Callable[..., Tensor], *more: Tensor
) -> Tensor:
    """Apply a function to the chosen rows of a (b, ...) batch, the rest being copied."""
    rows = send(np.flatnonzero(chosen), batch)
    return batch.index_copy(0, rows, apply(batch[rows], *more)) if len(rows) else batch


def place(image: Tensor, label: Tensor, pose: Pose) -> tuple[Tensor, Tensor, Tensor]:
    """Move each sample of a batch, what comes in from outside being background.

    Args:
        image: (b, m, h, w) float32; interpolated bilinearly, or copied where it is only flipped.
        label: (b, h, w) uint8; takes the nearest pixel.
        pose: where each sample goes.

    Returns:
        The moved image, the moved label, and (b, h, w) bool, the moved brain: nearest pixel of
        those that were not 0 in every modality.
    """
    code = (2 * label + (image != 0).any(dim=1))[:, None].float()  # one picture to move, not two
    for flags, axis in ((pose.flip_x, -1), (pose.flip_y, -2)):
        mirror = partial(torch.flip, dims=(axis,))
        image, code = only(image, flags != 0, mirror), only(code, flags != 0, mirror)
    turned = (pose.angle != 0) | (pose.scale != 1)
    grid = source_grid(pose.angle[turned], pose.scale[turned], image)
    sample = partial(grid_sample, align_corners=False)
    image = only(image, turned, sample, grid)
    codes = only(code, turned, partial(sample, mode="nearest"), grid)[:, 0].to(label.dtype)
    return image, codes >> 1, (codes & 1).bool()


def source_grid(angle: NDArray[np.float32], scale: NDArray[np.float32], image: Tensor) -> Tensor:
    """Say for every pixel where it comes from.

    Angle and scale are (k,) float32 as in `Pose`; the result is (k, h, w, 2) float32, x and y
    from -1 to 1 as `grid_sample` wants them. Worked out by hand, since `affine_grid` is a matrix
    product, which autocast or TF32 would put off by whole pixels.
    """
    h, w = image.shape[-2:]
    x = torch.arange(w, device=image.device) - (w - 1) / 2
    y = (torch.arange(h, device=image.device) - (h - 1) / 2)[:, None]
    turn = np.stack([np.cos(angle), np.sin(angle)]) / scale
    cos, sin = send(turn, image)[:, :, None, None]
    return torch.stack([(cos * x + sin * y) * (2 / w), (cos * y - sin * x) * (2 / h)], dim=-1)


def stretch(planes: Tensor, factor: Tensor) -> Tensor:
    """Stretch the contrast of (k, h, w) planes around the mean of their tissue."""
    inside = planes != 0
    mean, _ = moments(planes, inside)
    return torch.where(inside, (planes - mean) * factor + mean, 0)


def bend(planes: Tensor, power: Tensor) -> Tensor:
    """Bend (k, h, w) planes by a gamma curve over their range; mean and spread stay."""
    inside = planes != 0
    mean, spread = moments(planes, inside)
    low, high = planes.amin((1, 2), keepdim=True), planes.amax((1, 2), keepdim=True)
    tiny = torch.finfo(planes.dtype).tiny  # an empty plane has no range
    bent = ((planes - low) / (high - low).clamp_min(tiny)) ** power
    bent_mean, bent_spread = moments(bent, inside)
    back = (bent - bent_mean) * (spread / bent_spread.clamp_min(tiny)) + mean
    return torch.where(inside, back, 0)


def moments(planes: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread, (k, 1, 1), of (k, h, w) planes under a mask; 0 where it is empty."""
    count = inside.sum((1, 2), keepdim=True).clamp_min(1)
    mean = (planes * inside).sum((1, 2), keepdim=True) / count
    squares = ((planes - mean) * inside).square().sum((1, 2), keepdim=True)
    return mean, (squares / count).sqrt()


def blur(planes: Tensor, sigma: Tensor) -> Tensor:
    """Blur (k, h, w) planes with a Gaussian of (k, 1, 1) pixels; beyond the edge all is 0.

    Shifted sums: a convolution would run in half precision under autocast, or in TF32.
    """
    taps = [torch.exp(-0.5 * (k / sigma) ** 2) for k in range(-BLUR_REACH, BLUR_REACH + 1)]
    total = torch.stack(taps).sum(dim=0)
    for _ in range(2):  # rows, then columns
        padded = pad(planes, (0, 0, BLUR_REACH, BLUR_REACH))
        out = torch.zeros_like(planes)
        for k, tap in enumerate(taps):
            out += tap / total * padded[:, k : k + planes.shape[1]]
        planes = out.transpose(1, 2)
    return planes


def coarsen(planes: Tensor, zoom: Tensor) -> Tensor:
    """Show (k, h, w) planes as if they had been stored with h * zoom rows, and columns alike.

    Down by the nearest pixel, up again linearly, both in one look-up; zoom is (k, 1, 1), 0 to 1.
    """
    each = torch.arange(len(planes), device=planes.device)[:, None]
    zoom = zoom[:, 0]
    for _ in range(2):  # rows, then columns
        h = planes.shape[1]
        among = (torch.arange(h, device=planes.device) + 0.5) * zoom - 0.5  # (k, h) coarse rows
        last = (h * zoom).round().clamp_min(1) - 1
        first = among.floor()
        upper, lower = (
            ((torch.minimum(row.clamp_min(0), last) + 0.5) / zoom - 0.5).round().clamp(0, h - 1)
            for row in (first, first + 1)
        )
        share = (among - first)[:, :, None]
        rows = torch.lerp(planes[each, upper.long()], planes[each, lower.long()], share)
        planes = rows.transpose(1, 2)
    return planes


def normal_like(planes: Tensor, noise: torch.Generator) -> Tensor:
    """Draw standard normal numbers of the shape and on the device of `planes`."""
    return torch.randn(planes.shape, generator=noise, device=planes.device)


def send(numbers: NDArray[Any], beside: Tensor) -> Tensor:
    """Copy a few numbers to the device of a tensor; a blocking copy would drain a GPU's queue."""
    return torch.from_numpy(numbers).to(beside.device, non_blocking=True)
