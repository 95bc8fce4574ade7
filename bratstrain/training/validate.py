"""Volume Dice of the validation cases while a network is being fitted.

It covers the stored planes of each case inside the crop, which is fast and enough to compare
epochs. Reported scores cover every plane of the volume, see `bratstrain.evaluate`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.intake import planes_name
from bratstrain.data.neighbours import Samples
from bratstrain.networks.overlap import soft_dice_loss
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metrics import counts_from_confusion, plane_confusion
from bratstrain.training.predictions import Cases, Segment, by_cases, by_slices

CONVENTION: Final = "brats"
"""How empty masks are scored."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Volume Dice over the validation cases."""

    planes: str
    """Which planes were scored: `tumour slices only` or `stored planes`."""
    n_cases: int
    volume_dice: dict[str, float]
    """Mean over the cases of each class and region."""
    cases: dict[str, dict[str, int]]
    """For each class and region, the number of cases whose truth has it (`present`), whose truth
    has not (`absent`), and of the latter those where it was predicted (`absent_predicted`)."""
    n_without_twins: int
    """Cases without a twin in training."""
    regions: tuple[str, ...]
    """Names of the regions among them."""
    soft_dice_loss: float
    """One minus the soft Dice of the probabilities, see `soft_dice_loss`."""
    without_twins: dict[str, float] | None
    """Volume Dice over those cases; None where they are all of the cases, or none."""

    @property
    def mean_regions(self) -> float:
        """Mean over the regions: the score that chooses `best.pt`."""
        return mean_of_regions(self.volume_dice, self.regions)

    def line(self, step: int) -> str:
        """Summarise in one line."""
        regions = ", ".join(f"{name} {self.volume_dice[name]:.3f}" for name in self.regions)
        summary = (
            f"step {step}: volume Dice ({self.planes}) of {self.n_cases} cases: {regions}, "
            f"mean {self.mean_regions:.3f}; soft-Dice loss {self.soft_dice_loss:.3f}"
        )
        if self.without_twins is None:
            return summary
        mean = mean_of_regions(self.without_twins, self.regions)
        return (
            f"{summary}; mean of the {self.n_without_twins} without a twin in training {mean:.3f}"
        )

    def record(self) -> dict[str, Any]:
        """Everything for the log; scores without twins only where they differ."""
        record = {
            "planes": self.planes,
            "convention": CONVENTION,
            "n_cases": self.n_cases,
            "volume_dice": self.volume_dice,
            "mean_regions": self.mean_regions,
            "cases": self.cases,
            "soft_dice_loss": self.soft_dice_loss,
        }
        if self.without_twins is None:
            return record
        return record | {
            "n_without_twins": self.n_without_twins,
            "volume_dice_without_twins": self.without_twins,
            "mean_regions_without_twins": mean_of_regions(self.without_twins, self.regions),
        }


def mean_of_regions(dice: Mapping[str, float], regions: Sequence[str]) -> float:
    """Mean over the regions, of which there is one at least."""
    return sum(dice[name] for name in regions) / len(regions)


def validate(
    network: Segment,
    file: SliceFile,
    samples: Samples | Cases,
    device: torch.device,
    *,
    batch_size: int,
    twins: Collection[str] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Score a network on the stored planes of some cases.

    Of several ranks each labels some of them. What is added up are numbers of voxels, so the scores
    are those that one rank would find; the soft-Dice loss is, up to the rounding of sums.

    Args:
        network: the network.
        file: open slice file.
        samples: slices of the cases, whose rows rise, or the cases as wholes; and the ranks.
        device: of the network.
        batch_size: slices or windows at a time, at least 1.
        twins: ids of the cases that have a twin in training.
        stopped: called before each batch; True abandons the validation.

    Returns:
        The scores; None where it was abandoned, on whichever rank.
    """
    n_classes = len(file.classes)
    confusion = np.zeros((len(file.cases), n_classes, n_classes), np.int64)
    overlap = np.zeros((3, n_classes))
    with torch.inference_mode():
        if isinstance(samples, Cases):
            labelled = by_cases(network, file, samples, device, batch_size)
        else:
            labelled = by_slices(network, file, samples, device, batch_size)
        while not (is_stopped := stopped()):
            if (part := next(labelled, None)) is None:
                break
            planes = plane_confusion(part.truth, part.predicted, n_classes)
            np.add.at(confusion, file.slices["case"][part.rows], planes)
            overlap += part.overlap
        labelled.close()
    if any(samples.group.highest(is_stopped)):
        return None
    confusion = samples.group.add(confusion)
    overlap = samples.group.total(torch.from_numpy(overlap))[0].numpy()
    seen = np.unique(file.slices["case"][samples.rows])
    has_twin = np.isin(file.cases["id"][seen].astype(str), list(twins))
    loss = soft_dice_loss(overlap)
    return scores(confusion[seen], has_twin, planes_name(file), file.classes, loss)


def scores(
    confusion: NDArray[np.int64],
    has_twin: NDArray[np.bool_],
    planes: str,
    classes: ClassSet,
    loss: float,
) -> Validation:
    """Turn confusion matrices into scores.

    Args:
        confusion: (cases, classes, classes) int64 voxels, truth by predicted.
        has_twin: (cases,) bool, whether the case has a twin in training.
        planes: which planes were scored.
        classes: of the labels.
        loss: soft-Dice loss of the probabilities.
    """
    rule = CONVENTIONS[CONVENTION]
    dice: dict[str, float] = {}
    without: dict[str, float] = {}
    cases: dict[str, dict[str, int]] = {}
    is_mixed = 0 < has_twin.sum() < len(has_twin)
    for name, labels in classes.parts.items():
        counts = [counts_from_confusion(matrix, labels) for matrix in confusion]
        values = np.array([rule.overlap(count.volume_dice, count) for count in counts])
        dice[name] = float(values.mean())
        if is_mixed:
            without[name] = float(values[~has_twin].mean())
        absent = [count for count in counts if not count.n_truth]
        cases[name] = {
            "present": len(counts) - len(absent),
            "absent": len(absent),
            "absent_predicted": sum(count.n_predicted > 0 for count in absent),
        }
    n_without = int(np.count_nonzero(~has_twin))
    return Validation(
        planes, len(confusion), dice, cases, n_without, classes.region_names, loss, without or None
    )
