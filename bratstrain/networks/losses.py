"""Losses on logits: soft Dice, cross-entropy, focal, Tversky, and deep supervision over them.

Logits are widened to float32 before anything is added up: a float16 sum overflows at 65,504.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as mean_cross_entropy

from bratstrain.networks.overlap import SMOOTH, one_hot, overlap_sums
from bratstrain.ranks.group import ALONE, Group

Loss: TypeAlias = Callable[[Tensor | list[Tensor], Tensor], Tensor]
"""(b, c, h, w) logits, or a list of them from fine to coarse, and (b, h, w) label to a scalar."""
PlainLoss: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, Group], Tensor]
"""(b, c, h, w) logits, (b, h, w) label, (c,) class weights, or None, and the ranks that hold the
other samples of the batch, to a scalar; its mean over the ranks is the loss of the whole batch."""


def soft_dice(
    logits: Tensor,
    label: Tensor,
    weights: Tensor | None = None,
    group: Group = ALONE,
    *,
    background: bool = True,
) -> Tensor:
    """One minus the soft Dice overlap (2 sum Y T + e) / (sum Y + sum T + e), mean over classes.

    Sums run over the whole batch, not per slice: a class is absent from most slices, and the
    Dice of an empty slice says nothing. After Milletari et al. 2016, without their squares.

    Args:
        logits: (b, c, h, w) float, before the softmax, background first.
        label: (b, h, w) uint8 or int64, 0 to c - 1.
        weights: (c,) float, weight of each class in the mean; None weighs them alike.
        group: the ranks that hold the other samples of the batch.
        background: whether class 0 takes part.

    Returns:
        () float32 in [0, 1).
    """
    overlap, predicted, truth = group.total(*class_sums(logits, label))
    dice = (2 * overlap + SMOOTH) / (predicted + truth + SMOOTH)
    return 1 - class_mean(dice, weights, background)


def tversky(
    logits: Tensor,
    label: Tensor,
    weights: Tensor | None = None,
    group: Group = ALONE,
    *,
    false_positive: float = 0.3,
    false_negative: float = 0.7,
) -> Tensor:
    """One minus the Tversky index, mean over the tumour classes (Salehi et al. 2017, eq. 2).

    A false negative weighs more than a false positive. The background is left out: a missed
    tumour pixel is a false positive of the background, so the two terms would counteract.

    Args:
        logits: (b, c, h, w) float, before the softmax, background first.
        label: (b, h, w) uint8 or int64, 0 to c - 1.
        weights: (c,) float, weight of each class in the mean; None weighs them alike.
        group: the ranks that hold the other samples of the batch.
        false_positive: the paper's alpha.
        false_negative: the paper's beta; both at 0.5 give the soft Dice.

    Returns:
        () float32 in [0, 1).
    """
    overlap, predicted, truth = group.total(*class_sums(logits, label))
    wrong = false_positive * (predicted - overlap) + false_negative * (truth - overlap)
    return 1 - class_mean((overlap + SMOOTH) / (overlap + wrong + SMOOTH), weights, False)


def cross_entropy(
    logits: Tensor, label: Tensor, weights: Tensor | None = None, group: Group = ALONE
) -> Tensor:
    """Mean of -log p of the true class over all pixels, each weighing as its class does.

    Args:
        logits: (b, c, h, w) float, before the softmax.
        label: (b, h, w) uint8 or int64, 0 to c - 1.
        weights: (c,) float, weight of each class; None weighs pixels alike.
        group: the ranks that hold the other samples of the batch.

    Returns:
        () float32, nats, at least 0.
    """
    index = label.long()
    own = mean_cross_entropy(widen(logits), index, weight=weights)
    return of_whole_batch(own, index, weights, group)


def focal(
    logits: Tensor,
    label: Tensor,
    weights: Tensor | None = None,
    group: Group = ALONE,
    *,
    gamma: float = 2.0,
) -> Tensor:
    """Cross-entropy in which a pixel weighs (1 - p)**gamma too (Lin et al. 2017, eq. 5).

    Args:
        logits: (b, c, h, w) float, before the softmax.
        label: (b, h, w) uint8 or int64, 0 to c - 1.
        weights: (c,) float, weight of each class; None weighs pixels alike.
        group: the ranks that hold the other samples of the batch.
        gamma: how strongly well-classified pixels are down-weighted; 0 is `cross_entropy`.

    Returns:
        () float32, nats, at least 0; the divisor is that of `cross_entropy`.
    """
    index = label.long()
    log_p = widen(logits).log_softmax(dim=1).gather(1, index[:, None])[:, 0]  # (b, h, w)
    pixels = -((1 - log_p.exp()) ** gamma) * log_p
    if weights is None:
        return pixels.mean()
    weight = weights[index]
    own = (weight * pixels).sum() / weight.sum()
    return of_whole_batch(own, index, weights, group)


def dice_ce(
    logits: Tensor, label: Tensor, weights: Tensor | None = None, group: Group = ALONE
) -> Tensor:
    """Batch Dice without the background plus cross-entropy (Isensee et al. 2021).

    Arguments are those of `soft_dice`; the result is () float32, at least 0.
    """
    overlap = soft_dice(logits, label, weights, group, background=False)
    return overlap + cross_entropy(logits, label, weights, group)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A loss in the registry."""

    loss: PlainLoss
    is_weighted: bool = False
    """Whether `fit` gives it class weights; losses that measure overlap need none."""


LOSSES: Final[Mapping[str, Criterion]] = MappingProxyType(
    {
        "dice": Criterion(soft_dice),
        "dice_ce": Criterion(dice_ce),
        "ce": Criterion(cross_entropy, is_weighted=True),
        "focal": Criterion(focal, is_weighted=True),
        "tversky": Criterion(tversky),
    }
)
"""Losses by name. To add one: a function like those above, a line here, and the same name in
`bratstrain.config.Loss`."""


def build_loss(
    kind: str, classes: int, weights: Tensor | None = None, group: Group = ALONE
) -> Loss:
    """Build a loss that takes one tensor of logits or, with deep supervision, several.

    Args:
        kind: a name in `LOSSES`.
        classes: channels of the logits, background included, at least 2.
        weights: (classes,) float above 0, on the device of the logits; only ratios count.
        group: the ranks that hold the other samples of each batch.

    Returns:
        Function of logits, (b, classes, h, w) float or a list of them as a `UNet` gives it, and
        label, (b, h, w) uint8 or int64; see `supervise` for the list.

    Raises:
        ValueError: `kind` is unknown, or the weights do not fit the classes or are not above 0.
    """
    if kind not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {kind!r}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    if weights is not None:
        if weights.shape != (classes,):
            raise ValueError(f"weights must be of shape ({classes},), got {tuple(weights.shape)}")
        if not bool((weights.isfinite() & (weights > 0)).all()):
            raise ValueError(f"weights must be finite and above 0, got {weights.tolist()}")
    return partial(supervise, LOSSES[kind].loss, classes, weights, group)


def supervise(
    loss: PlainLoss,
    classes: int,
    weights: Tensor | None,
    group: Group,
    logits: Tensor | list[Tensor],
    label: Tensor,
) -> Tensor:
    """Mean loss over the levels of a network, level k with weight 2**-k (Isensee et al. 2021).

    Args:
        loss: loss of one level.
        classes: channels that the logits must have.
        weights: (classes,) float or None, handed to the loss.
        group: the ranks, likewise.
        logits: (b, classes, h, w) float, or a list: level k has ceil(h / 2**k) rows and
            ceil(w / 2**k) columns, and is compared with every 2**k-th pixel of the label. Patches
            have a depth before h, and their axes may be halved less often.
        label: (b, h, w) or (b, d, h, w) uint8 or int64, 0 to classes - 1.

    Returns:
        () float32.

    Raises:
        ValueError: the list is empty, or a level does not fit the label or the classes.
    """
    levels = [logits] if isinstance(logits, Tensor) else logits
    if not levels:
        raise ValueError("logits must hold at least one level, got an empty list")
    shares = [2.0**-k for k in range(len(levels))]
    parts = []
    for k, (level, share) in enumerate(zip(levels, shares, strict=True)):
        coarse = label[(slice(None), *(slice(None, None, step) for step in steps(level, label, k)))]
        expected = (coarse.shape[0], classes, *coarse.shape[1:])
        if level.shape != expected:
            raise ValueError(f"logits of level {k} must be {expected}, got {tuple(level.shape)}")
        parts.append(share / sum(shares) * loss(level, coarse, weights, group))
    return torch.stack(parts).sum()


def steps(level: Tensor, label: Tensor, k: int) -> tuple[int, ...]:
    """Voxels of a label per voxel of a level, along each axis.

    Args:
        level: (b, classes, h, w) float, or (b, classes, d, h, w) of patches.
        label: (b, h, w) or (b, d, h, w) uint8 or int64.
        k: number of the level, from 0.

    Returns:
        2**k for slices. For patches, of which each axis was halved k times or less, the power of
        two that gives the level's side, or 2**k where none does.
    """
    most = 2**k
    if label.dim() == 3:
        return most, most
    powers = [2**n for n in range(k + 1)]
    return tuple(
        next((power for power in powers if -(-side // power) == given), most)
        for side, given in zip(label.shape[1:], level.shape[2:], strict=True)
    )


def class_sums(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add up predicted and true pixels of each class over a batch.

    Args:
        logits: (b, c, h, w) float, before the softmax.
        label: (b, h, w) uint8 or int64, 0 to c - 1.

    Returns:
        Three of (c,) float32, pixels: sum of the probability where the class is true, sum of the
        probability, and true pixels.
    """
    return overlap_sums(widen(logits).softmax(dim=1), one_hot(label, logits.shape[1]))


def of_whole_batch(mean: Tensor, index: Tensor, weights: Tensor | None, group: Group) -> Tensor:
    """Scale a mean over weighted pixels so that its mean over the ranks is that of all pixels.

    Args:
        mean: () float32, over the pixels of this rank.
        index: (b, h, w) int64, label of this rank's samples.
        weights: (c,) float, weight of each class; None weighs pixels alike, as many on each rank.
        group: the ranks.

    Returns:
        () float32; `mean` itself for a group of one.
    """
    if weights is None or group.size == 1:
        return mean
    own = weights[index].sum()
    return mean * group.size * own / group.total(own)[0]


def class_mean(score: Tensor, weights: Tensor | None, background: bool) -> Tensor:
    """Average a (c,) float score over the classes by their (c,) weights, class 0 optional."""
    first = 0 if background else 1
    if weights is None:
        return score[first:].mean()
    return (score[first:] * weights[first:]).sum() / weights[first:].sum()


def widen(logits: Tensor) -> Tensor:
    """Convert logits of any float dtype and shape to float32.

    Float64 stays as it is, so that gradients can be checked.
    """
    return logits if logits.dtype == torch.float64 else logits.float()
