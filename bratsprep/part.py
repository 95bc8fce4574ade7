"""One part of a build that several machines share: `3/16` is the third of sixteen."""

import re
from dataclasses import dataclass
from typing import Final, TypedDict

from bratsprep.settings import check, setting

MOST_PARTS: Final = 9_999
_PART: Final = re.compile(r"([0-9]+)/([0-9]+)")


class PartSettings(TypedDict, total=False):
    """Keywords of `PartConfig`, for type checkers."""

    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartConfig:
    """Which part of the cases a build converts."""

    part: str = setting(
        "",
        help="Convert part K of N alone, such as 3/16, into a file beside OUT; the same command "
        "without --part joins all parts.",
        metavar="K/N",
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.chosen

    @property
    def chosen(self) -> "Part | None":
        """The part; None for the whole build."""
        if not self.part:
            return None
        match = _PART.fullmatch(self.part)
        number, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= of <= MOST_PARTS:
            raise ValueError(
                f"part must be K/N such as 3/16, N 1 to {MOST_PARTS}, got {self.part!r}"
            )
        if not 1 <= number <= of:
            raise ValueError(
                f"part must be 1/{of} to {of}/{of}, got {self.part}: parts are counted from 1, so "
                f"{of} of them are --part 1/{of} to --part {of}/{of}, as of a SLURM job with "
                f"--array=1-{of}"
            )
        return Part(number, of)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def name(self, out: str) -> str:
        """Name of the part of an output, such as `train.h5.part-03-of-16`.

        Args:
            out: name of the slice file to be.
        """
        return f"{out}.part-{self.number:0{len(str(self.of))}d}-of-{self.of}"
