"""`Run`: what a fit gives back."""

from dataclasses import dataclass
from pathlib import Path

from bratstrain.config import TrainConfig
from bratstrain.training.step import Progress


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    folder: Path
    config: TrainConfig
    progress: Progress
    planes: str
    """Planes that the score is over: `tumour slices only` or `stored planes`."""
    was_complete: bool
    """It was finished before."""

    def lines(self) -> list[str]:
        """Say it in a few lines for a terminal."""
        done = self.progress
        score = f"mean region volume Dice {done.best_score:.4f} ({self.planes})"
        lines = [f"{self.folder}: {done.step} steps in {done.used_s:.0f} s"]
        if self.was_complete:
            lines = [f"{self.folder}: is complete already, {done.step} steps"]
        lines.append(f"best     step {done.best_step}, validation: {score}")
        if done.skipped:
            lines.append(f"skipped  {done.skipped} steps, their loss was not finite")
        return lines
