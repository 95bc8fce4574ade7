"""Files that a prediction is written to, and the plane of it that a figure shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet
from bratsprep.sources.source import Source
from bratstrain.inference.segment import Prepared

SUFFIX: Final = ".nii.gz"
PROBABILITIES: Final = "_probabilities"
"""Before the suffix in the name of a file of probabilities."""
FIGURE: Final = ".png"


@dataclass(frozen=True, slots=True, eq=False)
class PredictedPlane:
    """The plane of a case with most predicted tumour, to be drawn."""

    case: str
    z: int
    """In the uncropped volume, RAS+ order."""
    images: NDArray[np.float32]
    """(m, h, w) of every modality, standard deviations; 0 outside the brain."""
    label: NDArray[np.uint8]
    """(h, w) stored classes."""
    modalities: tuple[str, ...]
    shown: int
    """Place of the modality under the labels."""
    classes: ClassSet
    volumes: str
    """Volume of each class of the whole case, as text."""


Draw: TypeAlias = Callable[[Path, PredictedPlane], None]
"""Draws a case into a PNG; `bratstrain.draw_case`."""


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """Paths of what is written for each case."""

    folder: Path
    probabilities: bool
    figures: bool

    def label(self, case: str) -> Path:
        """Labels of a case."""
        return self.folder / f"{case}{SUFFIX}"

    def probability(self, case: str) -> Path:
        """Probabilities of a case."""
        return self.folder / f"{case}{PROBABILITIES}{SUFFIX}"

    def figure(self, case: str) -> Path:
        """Picture of a case."""
        return self.folder / f"{case}{FIGURE}"

    def of(self, case: str) -> list[Path]:
        """All that is written for a case."""
        more = [self.probability(case)] if self.probabilities else []
        return [self.label(case), *more, *([self.figure(case)] if self.figures else [])]

    def refuse_existing(self, cases: Sequence[CaseFiles], source: Source, *, force: bool) -> None:
        """Refuse to overwrite predictions without `force`, and scans in any case.

        Raises:
            BratsError: such a file exists.
        """
        existing = [path for files in cases for path in self.of(files.id) if path.exists()]
        inside = self.folder.resolve().is_relative_to(source.path.resolve())
        if existing and (not force or inside):
            raise BratsError(
                f"{existing[0]}: exists already, {len(existing)} files in all; "
                f"name another folder{'' if force else ', or replace them with --force'}"
            )


def fullest_plane(
    case: Prepared,
    planes: NDArray[np.uint8],
    of: tuple[tuple[str, ...], int, ClassSet],
    volumes: str,
) -> PredictedPlane:
    """Take the plane with most predicted tumour, the middle one where nothing is predicted.

    Args:
        case: as the network saw it.
        planes: (s, h, w) uint8 stored classes of its planes.
        of: modalities, the place of the one under the labels, and the classes.
        volumes: of the whole case, as text.
    """
    area = np.count_nonzero(planes, axis=(1, 2))
    s = int(area.argmax()) if area.any() else len(case.z) // 2
    return PredictedPlane(
        case.files.id, int(case.z[s]), case.image[s].astype(np.float32), planes[s].copy(), *of,
        volumes,
    )  # fmt: skip
