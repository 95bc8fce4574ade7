"""The progress of a run, and the result of a fit."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bratstrain.config import TrainConfig


@dataclass(slots=True)
class Progress:
    """Progress of a run: plain numbers, written into every checkpoint."""

    step: int = 0
    """Completed steps."""
    validated: int = 0
    """Step of the last validation; 0 for none."""
    used_s: float = 0.0
    """Seconds of all sessions."""
    waited_s: float = 0.0
    """Of those, seconds that the network waited for data."""
    validation_s: float = 0.0
    """Seconds that the last validation took."""
    best_score: float = -1.0
    """Below 0 before the first validation."""
    best_step: int = 0
    since_best: int = 0
    """Validations since the best one."""
    skipped: int = 0
    """Steps that were skipped because the loss was not finite."""
    in_a_row: int = 0
    """Consecutive skipped steps up to now."""
    loss_sum: float = 0.0
    """Over the steps since the last line of the log."""
    n_losses: int = 0

    def count(self, loss: float) -> None:
        """Count the loss of a step; one that is not finite means that the step was skipped."""
        if math.isfinite(loss):
            self.loss_sum += loss
            self.n_losses += 1
            self.in_a_row = 0
        else:
            self.skipped += 1
            self.in_a_row += 1

    def mean_loss(self) -> float:
        """Mean loss since the last call; nan where all steps were skipped."""
        mean = self.loss_sum / self.n_losses if self.n_losses else math.nan
        self.loss_sum, self.n_losses = 0.0, 0
        return mean

    def to_plain(self) -> dict[str, int | float]:
        """All numbers by name."""
        return asdict(self)

    @classmethod
    def from_plain(cls, numbers: Mapping[str, int | float]) -> "Progress":
        """Read what `to_plain` returned.

        Raises:
            ValueError: a number is missing, unknown, or of another type.
        """
        fresh = cls().to_plain()
        kinds = {name: type(value) for name, value in fresh.items()}
        if {name: type(value) for name, value in numbers.items()} != kinds:
            raise ValueError(f"progress is {dict(numbers)}, expected {', '.join(fresh)}")
        progress = cls()
        for name, value in numbers.items():
            setattr(progress, name, value)
        return progress


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    folder: Path
    config: TrainConfig
    progress: Progress
    planes: str
    """Planes that the score is over: `tumour slices only` or `stored planes`."""
    was_complete: bool
    """Whether it was finished before the call."""

    def to_plain(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "folder": str(self.folder),
            "config": self.config.to_json(),
            "progress": self.progress.to_plain(),
            "planes": self.planes,
            "was_complete": self.was_complete,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Run":
        """Read what `to_plain` returned."""
        return cls(
            Path(plain["folder"]),
            TrainConfig.from_json(plain["config"]),
            Progress.from_plain(plain["progress"]),
            plain["planes"],
            plain["was_complete"],
        )

    def lines(self) -> list[str]:
        """Summarise in a few lines for a terminal."""
        done = self.progress
        score = f"mean region volume Dice {done.best_score:.4f} ({self.planes})"
        lines = [f"{self.folder}: {done.step} steps in {done.used_s:.0f} s"]
        if self.was_complete:
            lines = [f"{self.folder}: is complete already, {done.step} steps"]
        lines.append(f"best     step {done.best_step}, validation: {score}")
        if done.skipped:
            lines.append(f"skipped  {done.skipped} steps, their loss was not finite")
        return lines
