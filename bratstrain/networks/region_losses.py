"""Losses on the logits of nested regions: each region against the rest, by its sigmoid.

Regions overlap, so there is no softmax, no background and no class weight. Means are over the
regions.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bratstrain.networks.losses import Loss, supervise, widen
from bratstrain.networks.outputs import region_truth
from bratstrain.networks.overlap import SMOOTH, overlap_sums
from bratstrain.ranks.group import ALONE, Group

RegionLoss: TypeAlias = Callable[[Tensor, Tensor, Group], Tensor]
"""(b, r, ...) logits, (b, r, ...) bool truth and the ranks that hold the other samples of the batch
to a scalar; its mean over the ranks is the loss of the whole batch."""


def region_dice(logits: Tensor, truth: Tensor, group: Group = ALONE) -> Tensor:
    """One minus the soft Dice of each region over the whole batch, mean over regions.

    Args:
        logits: (b, r, ...) float, before the sigmoid.
        truth: (b, r, ...) bool.
        group: the ranks that hold the other samples of the batch.

    Returns:
        () float32 in [0, 1).
    """
    overlap, predicted, true = group.total(*overlap_sums(widen(logits).sigmoid(), truth))
    return 1 - ((2 * overlap + SMOOTH) / (predicted + true + SMOOTH)).mean()


def region_cross_entropy(logits: Tensor, truth: Tensor, group: Group = ALONE) -> Tensor:
    """Binary cross-entropy, mean over pixels and regions; arguments as of `region_dice`.

    Returns:
        () float32, nats, at least 0.
    """
    wide = widen(logits)
    return binary_cross_entropy_with_logits(wide, truth.to(wide.dtype))


def region_dice_ce(logits: Tensor, truth: Tensor, group: Group = ALONE) -> Tensor:
    """Soft Dice plus binary cross-entropy, the loss of nnU-Net's BraTS entries.

    After Isensee et al. 2021, "nnU-Net for brain tumor segmentation".

    Args:
        logits: (b, r, ...) float, before the sigmoid.
        truth: (b, r, ...) bool.
        group: the ranks that hold the other samples of the batch.
    """
    return region_dice(logits, truth, group) + region_cross_entropy(logits, truth, group)


def region_focal(
    logits: Tensor, truth: Tensor, group: Group = ALONE, *, gamma: float = 2.0
) -> Tensor:
    """Binary cross-entropy in which a pixel weighs (1 - p)**gamma (Lin et al. 2017, eq. 5).

    Args:
        logits: (b, r, ...) float, before the sigmoid.
        truth: (b, r, ...) bool.
        group: the ranks that hold the other samples of the batch, as many on each.
        gamma: how strongly well-classified pixels are down-weighted; 0 is `region_cross_entropy`.
    """
    wide = widen(logits)
    nats = binary_cross_entropy_with_logits(wide, truth.to(wide.dtype), reduction="none")
    return ((1 - (-nats).exp()) ** gamma * nats).mean()


def region_tversky(
    logits: Tensor,
    truth: Tensor,
    group: Group = ALONE,
    *,
    false_positive: float = 0.3,
    false_negative: float = 0.7,
) -> Tensor:
    """One minus the Tversky index, mean over regions (Salehi et al. 2017, eq. 2).

    Args:
        logits: (b, r, ...) float, before the sigmoid.
        truth: (b, r, ...) bool.
        group: the ranks that hold the other samples of the batch.
        false_positive: the paper's alpha.
        false_negative: the paper's beta; both at 0.5 give the soft Dice.
    """
    overlap, predicted, true = group.total(*overlap_sums(widen(logits).sigmoid(), truth))
    wrong = false_positive * (predicted - overlap) + false_negative * (true - overlap)
    return 1 - ((overlap + SMOOTH) / (overlap + wrong + SMOOTH)).mean()


REGION_LOSSES: Final[Mapping[str, RegionLoss]] = MappingProxyType(
    {
        "dice": region_dice,
        "dice_ce": region_dice_ce,
        "ce": region_cross_entropy,
        "focal": region_focal,
        "tversky": region_tversky,
    }
)
"""Losses of `--target regions`, by the names of `bratstrain.networks.losses.LOSSES`."""


def build_region_loss(kind: str, nesting: Sequence[int], group: Group = ALONE) -> Loss:
    """Build a loss that takes one tensor of logits or, with deep supervision, several.

    Args:
        kind: a name in `REGION_LOSSES`.
        nesting: as `bratstrain.networks.outputs.nesting_of` gives it; one logit for each.
        group: the ranks that hold the other samples of each batch.

    Returns:
        Function of logits and label, as `bratstrain.networks.losses.build_loss` gives it.

    Raises:
        ValueError: `kind` is unknown.
    """
    if kind not in REGION_LOSSES:
        raise ValueError(f"loss must be one of {', '.join(REGION_LOSSES)}, got {kind!r}")
    loss = partial(of_labels, REGION_LOSSES[kind], tuple(nesting))
    return partial(supervise, loss, len(nesting), None, group)


def of_labels(
    loss: RegionLoss,
    nesting: Sequence[int],
    logits: Tensor,
    label: Tensor,
    _weights: Tensor | None,
    group: Group,
) -> Tensor:
    """Loss of the logits of regions, given stored labels.

    Args:
        loss: of logits and truth of each region.
        nesting: stored labels from the outermost region on.
        logits: (b, r, ...) float.
        label: (b, ...) uint8 or int64, stored labels.
        _weights: not used.
        group: the ranks that hold the other samples of the batch.
    """
    return loss(logits, region_truth(label, nesting), group)
