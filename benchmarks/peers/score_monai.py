"""MONAI: `compute_dice` and `compute_hausdorff_distance` of the three regions in one call."""

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance

from benchmarks.peers.score_runner import REGIONS, SPACING, Case, run


def regions(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true, (1, 3, z, y, x) uint8, a channel a region."""
    truth, predicted = (np.stack(side) for side in zip(*case.masks.values(), strict=True))
    return torch.from_numpy(predicted).byte()[None], torch.from_numpy(truth).byte()[None]


def named(found: torch.Tensor) -> dict[str, list[float]]:
    """(1, 3) numbers by region."""
    return {region: [float(value)] for region, value in zip(REGIONS, found[0], strict=True)}


def dice(case: Case) -> dict[str, list[float]]:
    """Volume Dice."""
    return named(compute_dice(*regions(case), ignore_empty=True))


def hd95(case: Case) -> dict[str, list[float]]:
    """HD95, mm."""
    both = regions(case)
    found = compute_hausdorff_distance(
        *both, include_background=True, percentile=95, spacing=SPACING
    )
    return named(found)


if __name__ == "__main__":
    run({"dice": dice, "hd95": hd95})
