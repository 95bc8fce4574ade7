"""Volume Dice of the validation cases while a network is being fitted.

It is over the stored planes of each case inside the crop: quick, and enough to tell one epoch
from another. What is reported comes from every plane of the volume, see `bratstrain.evaluate`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bratsprep.labels import REGIONS
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.intake import Intake, planes_name
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metrics import PART_LABELS, counts_from_confusion, plane_confusion

CONVENTION: Final = "brats"
"""Of the empty masks."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Volume Dice over the validation cases."""

    planes: str
    """Which planes were looked at: `tumour slices only` or `stored planes`."""
    n_cases: int
    volume_dice: dict[str, float]
    """Mean over the cases of each class and region."""
    cases: dict[str, dict[str, int]]
    """For each class and region, in how many cases the truth has it (`present`), has it not
    (`absent`), and has it not though it was predicted (`absent_predicted`)."""
    n_without_twins: int
    """Cases without a twin in training."""
    without_twins: dict[str, float] | None
    """Volume Dice over those alone; None where they are all of the cases, or none."""

    @property
    def mean_regions(self) -> float:
        """Mean over ET, TC and WT: the score that chooses `best.pt`."""
        return mean_of_regions(self.volume_dice)

    def line(self, step: int) -> str:
        """Say it in a line."""
        each = ", ".join(f"{name} {self.volume_dice[name]:.3f}" for name in REGIONS)
        said = (
            f"step {step}: volume Dice ({self.planes}) of {self.n_cases} cases: {each}, "
            f"mean {self.mean_regions:.3f}"
        )
        if self.without_twins is None:
            return said
        mean = mean_of_regions(self.without_twins)
        return f"{said}; mean of the {self.n_without_twins} without a twin in training {mean:.3f}"

    def record(self) -> dict[str, Any]:
        """Everything for the log; scores without twins only where they are others."""
        found = {
            "planes": self.planes,
            "convention": CONVENTION,
            "n_cases": self.n_cases,
            "volume_dice": self.volume_dice,
            "mean_regions": self.mean_regions,
            "cases": self.cases,
        }
        if self.without_twins is None:
            return found
        return found | {
            "n_without_twins": self.n_without_twins,
            "volume_dice_without_twins": self.without_twins,
            "mean_regions_without_twins": mean_of_regions(self.without_twins),
        }


def mean_of_regions(dice: Mapping[str, float]) -> float:
    """Mean over ET, TC and WT."""
    return sum(dice[name] for name in REGIONS) / len(REGIONS)


def validate(
    network: Callable[[Tensor], Tensor],
    file: SliceFile,
    rows: NDArray[np.int64],
    device: torch.device,
    *,
    batch_size: int,
    twins: Collection[str] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Score a network on the stored planes of some cases.

    Args:
        network: (b, m, h, w) float32 to (b, classes, h, w) logits, in evaluation mode.
        file: open slice file.
        rows: (n,) int64, rows under /slice, rising.
        device: where the network is.
        batch_size: slices at a time, at least 1.
        twins: ids of the cases that have a twin in training.
        stopped: asked before each batch.

    Returns:
        The scores; None where `stopped` said so.
    """
    intake = Intake(file, device)
    confusion = np.zeros((len(file.cases), 4, 4), np.int64)
    with torch.inference_mode():
        for chosen, stored, label in _read_ahead(file, rows, batch_size):
            if stopped():
                return None
            image = intake(torch.from_numpy(stored).to(device), chosen)
            logits = network(image.to(memory_format=torch.channels_last))
            predicted = logits.argmax(dim=1).to("cpu", torch.uint8).numpy()
            planes = plane_confusion(label, predicted)
            np.add.at(confusion, file.slices["case"][chosen], planes)
    seen = np.unique(file.slices["case"][rows])
    has_twin = np.isin(file.cases["id"][seen].astype(str), list(twins))
    return scores(confusion[seen], has_twin, planes_name(file))


def scores(confusion: NDArray[np.int64], has_twin: NDArray[np.bool_], planes: str) -> Validation:
    """Turn confusions into scores.

    Args:
        confusion: (cases, 4, 4) int64 voxels, truth by predicted.
        has_twin: (cases,) bool, whether the case has a twin in training.
        planes: which planes were looked at.
    """
    rule = CONVENTIONS[CONVENTION]
    dice: dict[str, float] = {}
    without: dict[str, float] = {}
    cases: dict[str, dict[str, int]] = {}
    is_apart = 0 < has_twin.sum() < len(has_twin)
    for name, labels in PART_LABELS.items():
        counts = [counts_from_confusion(matrix, labels) for matrix in confusion]
        values = np.array([rule.overlap(each.volume_dice, each) for each in counts])
        dice[name] = float(values.mean())
        if is_apart:
            without[name] = float(values[~has_twin].mean())
        absent = [each for each in counts if not each.n_truth]
        cases[name] = {
            "present": len(counts) - len(absent),
            "absent": len(absent),
            "absent_predicted": sum(each.n_predicted > 0 for each in absent),
        }
    n_without = int(np.count_nonzero(~has_twin))
    return Validation(planes, len(confusion), dice, cases, n_without, without or None)


def _read_ahead(
    file: SliceFile, rows: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[np.uint8]]]:
    """Read slices in order, a batch ahead, in a thread: rows, images and labels."""
    batches = np.array_split(rows, range(batch_size, len(rows), batch_size))
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(file.read, batches[0])
        for here, following in zip(batches, [*batches[1:], None], strict=True):
            image, label = coming.result()
            if following is not None:
                coming = pool.submit(file.read, following)
            yield here, image, label
