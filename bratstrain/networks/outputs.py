"""What the logits of a network mean: probabilities of classes, whatever the network gives.

- `classes`: a logit for each class, whose softmax is the probability.
- `regions`: a logit for each of several nested regions, whose sigmoid is the probability that a
  voxel lies in it, as in the recipes of BraTS (Isensee et al. 2021, "nnU-Net for brain tumor
  segmentation"). Every class is one region without the next smaller one, so regions and classes
  are the same numbers: a region that would be more likely than the one around it counts as likely
  as that one, and the differences are the probabilities of the classes.

Everything after the network takes probabilities of classes, background first, that sum to 1. Only
the decision differs. Of classes the most likely one is taken. Of regions each is decided by itself,
from the outermost one inwards: a voxel belongs to every region that is likelier than not.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from bratsprep.labels import ClassSet

HALF: Final = 0.5
"""A region that is more likely than this is taken."""


def nesting_of(classes: ClassSet) -> tuple[int, ...]:
    """Stored label that each region has and the next smaller one has not, from the outermost on.

    Args:
        classes: of the labels.

    Raises:
        ValueError: the regions do not nest, or do not tell all classes apart.
    """
    regions = [(name, set(labels)) for name, labels in classes.nested]
    for (outer, around), (inner, inside) in pairwise(regions):
        if not inside < around:
            raise ValueError(
                f"target regions needs regions that nest, each in the next larger one: {inner} is "
                f"no part of {outer}; take target classes"
            )
    every = set(range(1, len(classes)))
    missing = sorted(every - regions[0][1])
    if missing:
        raise ValueError(
            f"target regions needs an outermost region of all classes: {regions[0][0]} lacks "
            f"{', '.join(classes.classes[label] for label in missing)}; take target classes"
        )
    inner_ones = [inside for _, inside in regions[1:]]
    rings = [around - inside for (_, around), inside in
             zip(regions, [*inner_ones, set()], strict=True)]  # fmt: skip
    for (name, _), ring in zip(regions, rings, strict=True):
        if len(ring) > 1:
            raise ValueError(
                f"target regions cannot tell {' from '.join(classes.classes[k] for k in ring)}: no "
                f"region within {name} has one of them without the other; take target classes"
            )
    return tuple(ring.pop() for ring in rings)


def probabilities_of(logits: Tensor, nesting: Sequence[int] = ()) -> Tensor:
    """Turn logits into probabilities of the classes.

    Args:
        logits: (b, c, ...) float of classes, or (b, r, ...) of regions, the outermost first.
        nesting: as `nesting_of` gives it; empty where the logits are of classes.

    Returns:
        (b, classes, ...) float32, background first; they sum to 1.
    """
    if not nesting:
        return logits.float().softmax(dim=1)
    region = logits.float().sigmoid()
    inside = [region[:, 0]]
    for k in range(1, len(nesting)):
        inside.append(torch.minimum(inside[-1], region[:, k]))
    between = (outer - inner for outer, inner in pairwise(inside))
    rings = [1 - inside[0], *between, inside[-1]]
    depth_of = {0: 0} | {label: depth + 1 for depth, label in enumerate(nesting)}
    return torch.stack([rings[depth_of[label]] for label in range(len(rings))], dim=1)


def labels_of(probability: Tensor, nesting: Sequence[int] = ()) -> Tensor:
    """Decide for a class in each voxel.

    Args:
        probability: (b, classes, ...) float32, background first.
        nesting: as in `probabilities_of`.

    Returns:
        (b, ...) uint8 stored labels.
    """
    if not nesting:
        return probability.argmax(dim=1).to(torch.uint8)
    label = torch.zeros_like(probability[:, 0], dtype=torch.uint8)
    region = torch.zeros_like(probability[:, 0])
    for one in reversed(nesting):
        region = region + probability[:, one]
        label = torch.where((label == 0) & (region > HALF), one, label)
    return label


def region_truth(label: Tensor, nesting: Sequence[int]) -> Tensor:
    """Tell in which regions each voxel lies.

    Args:
        label: (b, ...) uint8 or int64, stored labels.
        nesting: as `nesting_of` gives it.

    Returns:
        (b, r, ...) bool, the outermost region first.
    """
    members: list[Tensor] = []
    for one in reversed(nesting):
        own = label == one
        members.append(own | members[-1] if members else own)
    return torch.stack(members[::-1], dim=1)
