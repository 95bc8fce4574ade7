"""Histograms and small pictures of the voxels for a page, gathered case by case.

Memory is bounded for any number of cases: histograms are added up, and what is kept of a case is
two medians a modality, and a picture of the first unusual ones.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.drawing.colours import (
    grey,
    grey_limits,
    greys,
    radiological,
    shown_under,
    tinted,
    tints,
)
from bratsprep.drawing.pictures import png_uri
from bratsprep.inspection import histograms
from bratsprep.inspection.class_balance import CaseCount, odd_cases
from bratsprep.inspection.histograms import Histogram, count_, empty, into, width_for
from bratsprep.labels import ClassSet
from bratsprep.slicefile.reader import SliceFile
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.normalise import scales

PICTURES: Final = 60
"""Unusual cases with a picture, the first by id."""
_BATCH: Final = 16
"""Slices read at a time."""
_DEEPEST: Final = 9
"""Level of the PNG's deflate."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One plane of a case, seen from the feet: front up, the patient's left on the right."""

    uri: str
    """PNG as a data URI."""
    z: int
    """Plane in the uncropped volume."""
    has_image: bool
    """The label lies over an image; False where it stands alone."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One modality before and after normalisation."""

    before: Histogram
    """Source units."""
    after: Histogram
    """Standard deviations."""

    def plus(self, other: "Pair") -> "Pair":
        """Both together."""
        return Pair(self.before.plus(other.before), self.after.plus(other.after))

    def medians(self) -> tuple[float, float]:
        """Of the brain, before and after."""
        return self.before.quantile(0.5), self.after.quantile(0.5)

    def count_(
        self,
        plane: NDArray[np.float32],
        brain: NDArray[np.uint8],
        label: NDArray[np.uint8],
        scales: tuple[tuple[float, float], tuple[float, float]],
    ) -> None:
        """Count a plane into both.

        Args:
            plane: (h, w) float32, C order, any unit.
            brain: (h, w) uint8, C order.
            label: (h, w) uint8, C order, stored classes.
            scales: slope and shift from the plane's unit to source units, then to deviations.
        """
        for histogram, scale in zip((self.before, self.after), scales, strict=True):
            count_(plane, brain, label, into(histogram.width, *scale), histogram.counts)


class Sketch:
    """Histograms of all cases and pictures of unusual ones; any number of threads may add."""

    def __init__(self) -> None:
        self.pairs: tuple[Pair, ...] = ()
        """One a modality; empty where no image was read."""
        self.medians: dict[str, tuple[tuple[float, float], ...]] = {}
        """Of each modality before and after, by case id."""
        self.pictures: dict[str, Picture] = {}
        """By case id, at most `PICTURES`."""
        self._lock = Lock()
        histograms.warm()

    def add(self, case: str, pairs: tuple[Pair, ...], picture: Picture | None) -> None:
        """Add a case; the order of the cases makes no difference.

        Args:
            case: id.
            pairs: one a modality, or none.
            picture: None for a case that is not unusual or has no plane to show.
        """
        medians = tuple(pair.medians() for pair in pairs)
        with self._lock:
            if pairs:
                self.medians[case] = medians
                both = zip(self.pairs, pairs, strict=True)
                self.pairs = tuple(a.plus(b) for a, b in both) if self.pairs else pairs
            if picture is not None:
                self.pictures[case] = picture
                if len(self.pictures) > PICTURES:
                    del self.pictures[max(self.pictures)]

    def watch(
        self,
        row: CaseCount,
        label: NDArray[np.uint8] | None,
        scan: CaseVolumes | None,
        classes: ClassSet,
    ) -> None:
        """Add a raw case while it is in memory; `bratsprep.inspect` calls it.

        Args:
            row: counts of the case.
            label: (z, y, x) uint8, stored classes, RAS+; None for an unlabelled case.
            scan: its images; None where they were not read.
            classes: of the label.
        """
        pairs = () if scan is None else scan_pairs(scan)
        drawn = scan_picture(label, scan, classes) if is_odd(row, classes) else None
        self.add(row.id, pairs, drawn)


def is_odd(row: CaseCount, classes: ClassSet) -> bool:
    """Whether a labelled case is unusual by its label."""
    return row.labelled and bool(odd_cases([row], classes, ()))


def scan_pairs(scan: CaseVolumes) -> tuple[Pair, ...]:
    """Count the brain of a raw case, plane by plane."""
    nothing = np.zeros(scan.shape[1:], np.uint8)
    moments = list(zip(scan.measured.mean, scan.measured.std, strict=True))
    pairs = empty_pairs(moments, len(scan.classes))
    for z in np.flatnonzero(scan.plane_brain):
        brain = np.ascontiguousarray(scan.brain[z])
        label = nothing if scan.label is None else np.ascontiguousarray(scan.label[z])
        for pair, (mean, std), image, is_present in zip(
            pairs, moments, scan.images, scan.named.present, strict=True
        ):
            if not is_present:
                continue
            plane = np.ascontiguousarray(image[z], np.float32)
            pair.count_(plane, brain, label, ((1.0, 0.0), (1 / std, -mean / std)))
    return pairs


def empty_pairs(moments: Iterable[tuple[float, float]], n_classes: int) -> tuple[Pair, ...]:
    """Histograms to count into, for a mean and a standard deviation of each modality."""
    return tuple(
        Pair(empty(width_for(*pair), n_classes), empty(histograms.Z_WIDTH, n_classes))
        for pair in moments
    )


def scan_picture(
    label: NDArray[np.uint8] | None, scan: CaseVolumes | None, classes: ClassSet
) -> Picture | None:
    """Draw the fullest plane of a raw case: that with most tumour, else most brain.

    Args:
        label: (z, y, x) uint8, stored classes, RAS+; None for an unlabelled case.
        scan: its images; None where they were not read.
        classes: of the label.

    Returns:
        None without images and without tumour.
    """
    if scan is None:
        if label is None or not label.any():
            return None
        z = int(np.argmax((label > 0).sum(axis=(1, 2))))
        return picture(None, label[z], z, classes)
    tumour = scan.plane_voxels[:, 1:].sum(axis=1)
    z = int(np.argmax(tumour if tumour.any() else scan.plane_brain))
    (_, y0, x0), (_, y1, x1) = scan.brain_box.start, scan.brain_box.stop
    under = shown_under([name if has else "" for name, has in zip(
        scan.named.modalities, scan.named.present, strict=True)])  # fmt: skip
    image = scan.images[under][z, y0:y1, x0:x1].astype(np.float32)
    shown = np.zeros(image.shape, np.uint8) if label is None else label[z, y0:y1, x0:x1]
    return picture(image, shown, z, classes)


def picture(
    image: NDArray[np.float32] | None, label: NDArray[np.uint8], z: int, classes: ClassSet
) -> Picture:
    """Draw a plane as a small PNG.

    Args:
        image: (h, w) float32, any unit, 0 outside the brain, RAS+; None for a label alone.
        label: (h, w) uint8, stored classes, RAS+.
        z: plane in the uncropped volume.
        classes: of the label.
    """
    steps = greys(len(classes))
    if image is None:
        shades, opacity = np.full(label.shape, steps // 8, np.uint8), 1.0
    else:
        shades, opacity = grey(image, grey_limits(image), steps), 0.5
        shades[image == 0] = 0
    shown = np.minimum(label, np.uint8(len(classes) - 1))
    palette = tints(classes.colours[1:], opacity)
    pixels = palette[radiological(tinted(shades, shown, len(classes)))]
    return Picture(png_uri(pixels), z, image is not None)


def sketch_file(
    file: SliceFile, rows: tuple[CaseCount, ...], workers: int, shown: bool = False
) -> Sketch:
    """Gather the stored slices of a slice file, a few at a time on each thread.

    Args:
        file: open.
        rows: what its cases hold, in its order.
        workers: threads, at least 1.
        shown: show a bar on standard error.

    Raises:
        SchemaError: a slice is damaged.
    """
    sketch = Sketch()
    bounds = np.searchsorted(file.slices["case"], np.arange(len(rows) + 1))

    def take(c: int) -> None:
        places = np.arange(bounds[c], bounds[c + 1])
        drawn = (
            file_picture(file, places) if is_odd(rows[c], file.classes) and places.size else None
        )
        sketch.add(rows[c].id, file_pairs(file, c, places) if places.size else (), drawn)

    with ThreadPoolExecutor(workers, "case") as threads:
        done = threads.map(take, range(len(rows)))
        for _ in tqdm(done, total=len(rows), unit="case", disable=not shown):
            pass
    return sketch


def file_pairs(file: SliceFile, c: int, places: NDArray[np.int64]) -> tuple[Pair, ...]:
    """Count the stored slices of a case of a slice file.

    Args:
        file: open.
        c: row under /case.
        places: (s,) int64, rows under /slice.
    """
    moments = list(zip(file.cases["mean"][c], file.cases["std"][c], strict=True))
    scales = list(map(partial(from_stored, file, c), range(len(file.modalities))))
    pairs = empty_pairs(moments, len(file.classes))
    for start in range(0, len(places), _BATCH):
        batch = places[start : start + _BATCH]
        image = np.empty((len(batch), len(file.modalities), *file.shape), np.float32)
        label = np.empty((len(batch), *file.shape), np.uint8)
        file.read_into(batch, image, label)
        brain = np.asarray(image.any(axis=1), np.uint8)
        for s in range(len(batch)):
            for m in np.flatnonzero(file.cases["present"][c]):
                pairs[m].count_(image[s, m], brain[s], label[s], scales[m])
    return pairs


def from_stored(file: SliceFile, c: int, m: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Slope and shift from stored numbers to source units, and to standard deviations.

    A file of raw numbers holds no deviations: the modality's own are shown.
    """
    normalise, row = file.config.normalise, file.cases[c]
    is_raw = normalise == "none"
    means, spreads = scales(
        row["mean"], row["std"], "modality" if is_raw else normalise, row["present"] > 0
    )
    mean, std = float(means[m]), float(spreads[m])
    return ((1.0, 0.0), (1 / std, -mean / std)) if is_raw else ((std, mean), (1.0, 0.0))


def file_picture(file: SliceFile, places: NDArray[np.int64]) -> Picture:
    """Draw the fullest stored slice of a case: that with most tumour, else most brain.

    Args:
        file: open.
        places: (s,) int64, rows of the case under /slice, at least one.
    """
    table = file.slices[places]
    voxels: NDArray[np.int64] = table["voxels"][:, 1:].sum(axis=1)
    if not voxels.any():
        voxels = file.planes["brain"][file.planes["case"] == table["case"][0]][table["z"]]
    fullest = int(np.argmax(voxels))
    image, label = file.read(places[fullest : fullest + 1])
    has = file.cases["present"][table["case"][0]]
    names = [name if is_present else "" for name, is_present in zip(
        file.modalities, has, strict=True)]  # fmt: skip
    shown = image[0, shown_under(names)].astype(np.float32)
    return picture(shown, label[0], int(table["z"][fullest]), file.classes)
