"""What is known about a metric: one record, whatever reads it."""

from collections.abc import Callable
from dataclasses import dataclass

from bratstrain.scoring.conventions import Convention
from bratstrain.scoring.intervals import SCALES
from bratstrain.scoring.metrics import PartScores

Measure = Callable[[PartScores, Convention], float]
"""Value of one class or region of one case under a convention; nan where the case is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of each class or region of each case."""

    name: str
    """Key in every JSON and CSV file, and heading of its table."""
    short: str = ""
    """Heading of a narrow column; the name where it is empty."""
    unit: str = ""
    """`mm`, `ml` or `lesions`; empty for a share or a ratio."""
    better: str
    """`higher` or `lower`; empty for a count that has no direction of its own."""
    explained: str
    """One or two sentences for the reader of a page."""
    measure: Measure
    """Value of one class or region of one case; nan where the case is left out."""
    is_beside: bool = False
    """Shown next to the headline in terminal tables and on pages."""
    is_compared: bool = False
    """Compared between runs, case by case."""
    is_ranked: bool = False
    """Enters the rank of a run, as in the BraTS challenge."""
    is_penalised: bool = False
    """A distance that the convention sets where a side is empty: its mean has no interval."""
    range: str = ""
    """Of the values, one of `bratstrain.scoring.intervals.SCALES`; empty for a share, or for what
    is at least 0 where there is a unit."""

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", ""):
            raise ValueError(f"{self.name}: better is {self.better!r}; must be higher, lower or ''")
        if self.scale not in SCALES:
            raise ValueError(f"{self.name}: range is {self.range!r}; one of {', '.join(SCALES)}")

    def has_interval(self, convention: Convention) -> bool:
        """Whether the mean over cases has an interval that can be right from few cases."""
        return not (self.is_penalised and convention.has_penalty)

    @property
    def heading(self) -> str:
        """Heading of a column."""
        return self.short or self.name

    @property
    def scale(self) -> str:
        """Range of the values, one of `bratstrain.scoring.intervals.SCALES`."""
        return self.range or ("positive" if self.unit else "share")

    @property
    def decimals(self) -> int:
        """Digits after the point: one for mm and ml, three otherwise."""
        return 1 if self.unit in ("mm", "ml") else 3

    @property
    def words(self) -> set[str]:
        """What a user may call it: its name, its short name, its name without the unit."""
        named = {self.name, self.heading, self.name.removesuffix(f" ({self.unit})")}
        return {name.casefold() for name in named}
