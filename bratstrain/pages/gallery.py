"""What an evaluation leaves for a page: every prediction, and the images of a few cases.

Which case is the best, the median or the worst one is known only after the last case. So the
images of those cases are kept, compressed, that are nearest to these three places among the cases
scored so far; memory does not grow with the number of cases but by their label maps.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratstrain.evaluation.label_pair import Images, LabelPair
from bratstrain.pages.sprites import View, brain_greys, telling_planes
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metrics import CaseScores

MOST_IMAGES: Final = 8
"""Cases whose images are kept; a real case of 155 planes takes about 10 MB."""
_LEVEL: Final = 1
"""Zstandard's fastest level."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Compressed uint8 array."""

    content: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: NDArray[np.uint8]) -> "Volume":
        """Compress a uint8 array of any shape."""
        return cls(imagecodecs.zstd_encode(np.ascontiguousarray(array), _LEVEL), array.shape)

    def array(self) -> NDArray[np.uint8]:
        """Decompress."""
        return np.frombuffer(imagecodecs.zstd_decode(self.content), np.uint8).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Kept:
    """One case with its images, compressed."""

    greys: Volume
    """(m, s, h, w), as `sprites.brain_greys` gives them."""
    truth: Volume
    """(z, y, x) stored labels."""
    z: NDArray[np.int64]
    box: Box
    shown: NDArray[np.int64]
    """As in `Images`."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""

    @classmethod
    def of(
        cls, images: Images, truth: NDArray[np.uint8], spacing: tuple[float, float, float]
    ) -> "Kept":
        """Compress a case; `truth` is its (z, y, x) uint8 label, `spacing` is in mm."""
        greys = Volume.of(brain_greys(images))
        return cls(greys, Volume.of(truth), images.z, images.box, images.shown, spacing)

    @classmethod
    def thin(cls, images: Images, pair: LabelPair) -> "Kept":
        """Compress the planes of a case that `sprites.telling_planes` chooses."""
        shown = images.shown
        planes = shown[telling_planes(pair.truth[shown], pair.predicted[shown])]
        rows = np.flatnonzero(np.isin(images.z, planes))
        chosen = replace(images, voxels=images.voxels[rows], z=images.z[rows], shown=planes)
        return cls.of(chosen, pair.truth, pair.spacing)

    def view(
        self,
        case: str,
        predicted: tuple[NDArray[np.uint8], ...],
        entropy: NDArray[np.uint8] | None = None,
    ) -> View:
        """Decompress, and put predictions beside the truth.

        Args:
            case: id.
            predicted: (z, y, x) uint8 stored labels, one volume for each run.
            entropy: (z, y, x) uint8 of the only run; None for no map.
        """
        truth = self.truth.array()
        block = np.zeros((self.greys.shape[0], len(truth), *self.greys.shape[2:]), np.uint8)
        block[:, self.z] = self.greys.array()
        greys = self.box.paste(block, truth.shape)[:, self.shown]
        return View(
            case=case,
            planes=self.shown,
            depth=len(truth),
            greys=greys,
            truth=truth[self.shown],
            predicted=tuple(label[self.shown] for label in predicted),
            spacing=self.spacing,
            entropy=None if entropy is None else entropy[self.shown],
        )


@dataclass(slots=True)
class Gallery:
    """Predictions of one run, and cases that a page is likely to show."""

    most_images: int = MOST_IMAGES
    predicted: dict[str, Volume] = field(default_factory=dict)
    """(z, y, x) stored labels by case id."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """By case id; at most `most_images`."""
    most_thin: int = 0
    """Cases of which a few planes are kept, the worst ones."""
    thin: dict[str, Kept] = field(default_factory=dict)
    """By case id; at most `most_thin`."""
    entropy: dict[str, Volume] = field(default_factory=dict)
    """(z, y, x) of the cases of `kept` and `thin`."""
    _scores: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def watch(self, pair: LabelPair, scores: CaseScores) -> None:
        """Keep the images and labels of a case for a page; threads may call this at once."""
        predicted = Volume.of(pair.predicted)
        with self._lock:
            self.predicted[pair.case] = predicted
            self._scores[pair.case] = class_mean(scores)
            is_near = pair.case in self._nearest([*self.kept, pair.case])
            is_bad = pair.case in self._worst([*self.thin, pair.case])
        if pair.images is None:
            return
        kept = Kept.of(pair.images, pair.truth, pair.spacing) if is_near else None
        thin = Kept.thin(pair.images, pair) if is_bad else None
        with self._lock:
            if kept is not None:
                self.kept[pair.case] = kept
                self.kept = {case: self.kept[case] for case in self._nearest(self.kept)}
            if thin is not None:
                self.thin[pair.case] = thin
                self.thin = {case: self.thin[case] for case in self._worst(self.thin)}
            if pair.entropy is not None:
                self.entropy[pair.case] = Volume.of(pair.entropy)
            held = self.kept.keys() | self.thin.keys()
            self.entropy = {case: self.entropy[case] for case in held & self.entropy.keys()}

    def note(self, pair: LabelPair) -> None:
        """Keep what a run predicts of a case that is shown."""
        self.predicted[pair.case] = Volume.of(pair.predicted)
        if pair.entropy is not None:
            self.entropy[pair.case] = Volume.of(pair.entropy)

    def _worst(self, cases: Iterable[str]) -> list[str]:
        """Of some cases the `most_thin` of the lowest scores."""
        return sorted(cases, key=self._scores.__getitem__)[: self.most_thin]

    def _nearest(self, cases: Iterable[str]) -> list[str]:
        """Of some cases those nearest to the best, median and worst rank of all cases so far."""
        ranks = {
            case: i for i, case in enumerate(sorted(self._scores, key=self._scores.__getitem__))
        }
        places = (0, len(ranks) // 2, len(ranks) - 1)
        distance = {case: min(abs(ranks[case] - place) for place in places) for case in cases}
        return sorted(distance, key=distance.__getitem__)[: self.most_images]


def class_mean(scores: CaseScores) -> float:
    """Volume Dice of a case, mean of classes, convention `brats`."""
    rule = CONVENTIONS["brats"]
    parts = [scores.parts[name].counts for name in scores.classes.tumour]
    return float(np.mean([rule.overlap(counts.volume_dice, counts) for counts in parts]))
