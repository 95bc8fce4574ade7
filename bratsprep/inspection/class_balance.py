"""Class balance: how much of each class a set of labels holds, case by case and in all.

Counted over whole volumes before any crop. A slice file's tables, raw masks and phantoms all come
down to one `CaseCount` each, and everything else follows from those.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratsprep.volumes.intensity_outliers import intensity_notes

FEW: Final = 50
"""A case that holds a class, but fewer voxels of it than this, is listed as unusual."""


@dataclass(frozen=True, slots=True)
class CaseCount:
    """What the label of one case holds, and the moments of its brain where they are known."""

    id: str
    subject: str
    labelled: bool
    planes: int
    voxels: tuple[int, ...]
    """Of each class; zeros for an unlabelled case."""
    class_planes: tuple[int, ...]
    """Planes that hold each class; zeros for an unlabelled case."""
    tumour_planes: int
    tumour_plane_background: int
    """Background voxels in the planes that hold tumour."""
    voxel_mm3: float
    mean: tuple[float, ...] = ()
    """Of each modality, source units; empty where no image was read."""
    std: tuple[float, ...] = ()
    present: tuple[bool, ...] = ()
    """Whether the case has each modality; empty where no image was read."""
    lost: tuple[int, ...] = ()
    """Voxels outside the crop: brain, then each tumour class; empty where nothing is cropped."""
    unusual: tuple[str, ...] = ()
    """What is unusual about its images; empty where no image was read."""

    def has(self, m: int) -> bool:
        """Whether the images were read, and modality `m` is among them."""
        return bool(self.present) and self.present[m]

    @property
    def tumour_ml(self) -> float:
        """Volume of all tumour classes, in millilitres."""
        return sum(self.voxels[1:]) * self.voxel_mm3 / 1000


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class over all labelled cases."""

    name: str
    voxels: int
    share: float
    """Of the voxels of all planes, 0 to 1."""
    tumour_plane_share: float
    """Of the voxels of the planes that hold tumour."""
    tumour_share: float
    """Of the tumour voxels; 0 for background."""
    background_ratio: float | None
    """Background voxels for each voxel of the class; None where there is none."""
    planes: int
    """Planes that hold the class."""
    cases: int
    """Cases that hold the class."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How one number varies over the labelled cases: five places of its sorted values."""

    name: str
    places: tuple[float, ...]
    """Least, 25 %, median, 75 %, most."""


@dataclass(frozen=True, slots=True)
class ModalityCount:
    """Brain moments of one modality over the cases, source units."""

    name: str
    mean: float
    """Mean of the cases' means."""
    mean_between: float
    """Population standard deviation of the cases' means."""
    std: float
    """Mean of the cases' standard deviations."""
    std_between: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What a slice file keeps of its cases."""

    slices: int
    height: int
    width: int
    voxels: tuple[int, ...]
    """Of each class in the stored slices of labelled cases."""
    lost: tuple[int, ...]
    """Voxels outside the crop: brain, then each tumour class."""
    plain_bytes: int
    """Images and labels, unpacked."""
    source_bytes: int
    """The files it was built from, as they lay on disk."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Cases to look at before they are trained on."""

    what: str
    ids: tuple[str, ...]


def count_case(
    name: tuple[str, str], plane_voxels: NDArray[Any], labelled: bool, voxel_mm3: float
) -> CaseCount:
    """Count one case.

    Args:
        name: case id and subject.
        plane_voxels: (z, c) any integer dtype, voxels of each class in every plane.
        labelled: whether they come from a label.
        voxel_mm3: volume of a voxel.
    """
    counted = plane_voxels.astype(np.int64) * labelled
    has_tumour = counted[:, 1:].any(axis=1)
    return CaseCount(
        id=name[0],
        subject=name[1],
        labelled=labelled,
        planes=len(counted),
        voxels=whole(counted.sum(axis=0)),
        class_planes=whole((counted > 0).sum(axis=0)),
        tumour_planes=int(has_tumour.sum()),
        tumour_plane_background=int(counted[has_tumour, 0].sum()),
        voxel_mm3=voxel_mm3,
    )


def whole(values: NDArray[Any]) -> tuple[int, ...]:
    """Give the numbers of an (n,) array of any dtype as whole numbers of Python."""
    return tuple(int(value) for value in values)


def class_counts(rows: Sequence[CaseCount], classes: ClassSet) -> tuple[ClassCount, ...]:
    """Count every class, background first; unlabelled cases do not count."""
    rows = [row for row in rows if row.labelled]
    voxels = columns(rows, lambda row: row.voxels, len(classes))
    planes = columns(rows, lambda row: row.class_planes, len(classes)).sum(axis=0)
    total = voxels.sum(axis=0)
    in_planes = total.copy()
    in_planes[0] = sum(row.tumour_plane_background for row in rows)
    tumour = int(total[1:].sum())
    return tuple(
        ClassCount(
            name=name,
            voxels=int(total[k]),
            share=part(total[k], total.sum()),
            tumour_plane_share=part(in_planes[k], in_planes.sum()),
            tumour_share=part(total[k], tumour) if k else 0.0,
            background_ratio=float(total[0] / total[k]) if total[k] else None,
            planes=int(planes[k]),
            cases=int((voxels[:, k] > 0).sum()),
        )
        for k, name in enumerate(classes.classes)
    )


def columns(
    rows: Sequence[CaseCount], value: Callable[[CaseCount], tuple[int, ...]], n_classes: int
) -> NDArray[np.int64]:
    """One number a class of every case: (cases, n_classes) int64."""
    return np.array([value(row) for row in rows], np.int64).reshape(-1, n_classes)


def part(some: Any, of: Any) -> float:  # noqa: ANN401  any number
    """Share, 0 of nothing."""
    return float(some / of) if of else 0.0


def imbalance(classes: Sequence[ClassCount]) -> tuple[str, str, float | None]:
    """Hold the largest tumour class against the smallest.

    Returns:
        Their names, and voxels of the one for each of the other; None where that has none.
    """
    ordered = sorted(classes[1:], key=lambda count: count.voxels)
    small, large = ordered[0], ordered[-1]
    return large.name, small.name, large.voxels / small.voxels if small.voxels else None


def spreads(rows: Sequence[CaseCount], classes: ClassSet) -> tuple[Spread, ...]:
    """Say how voxels of each class, tumour voxels and tumour planes vary; empty without a label."""
    rows = [row for row in rows if row.labelled]
    if not rows:
        return ()
    voxels = columns(rows, lambda row: row.voxels, len(classes))
    numbers = {f"{name} voxels": voxels[:, k] for k, name in enumerate(classes.tumour, 1)}
    numbers["tumour voxels"] = voxels[:, 1:].sum(axis=1)
    numbers["tumour planes"] = np.array([row.tumour_planes for row in rows])
    return tuple(
        Spread(name, tuple(np.percentile(values, (0, 25, 50, 75, 100)).tolist()))
        for name, values in numbers.items()
    )


def modality_counts(
    rows: Sequence[CaseCount], modalities: Sequence[str]
) -> tuple[ModalityCount, ...]:
    """Average the brain moments of the cases that have a modality; empty where none has any."""
    rows = [row for row in rows if row.mean]
    if not rows:
        return ()
    counts = []
    for m, name in enumerate(modalities):
        mean = np.array([row.mean[m] for row in rows if row.has(m)])
        std = np.array([row.std[m] for row in rows if row.has(m)])
        if mean.size:
            moments = (mean.mean(), mean.std(), std.mean(), std.std())
            counts.append(ModalityCount(name, *map(float, moments)))
    return tuple(counts)


def odd_cases(
    rows: Sequence[CaseCount], classes: ClassSet, modalities: Sequence[str]
) -> tuple[Odd, ...]:
    """List the kinds of unusual cases that occur."""
    kinds = {
        "unlabelled": [row.id for row in rows if not row.labelled],
        "no tumour": [row.id for row in rows if row.labelled and not any(row.voxels[1:])],
        "tumour outside the crop": [row.id for row in rows if any(row.lost[1:])],
    }
    for k, name in enumerate(classes.tumour, 1):
        kinds[f"no {name}"] = [row.id for row in rows if row.labelled and not row.voxels[k]]
        few = [row.id for row in rows if 0 < row.voxels[k] < FEW]
        kinds[f"fewer than {FEW} voxels of {name}"] = few
    for m, name in enumerate(modalities):
        lacking = [row.id for row in rows if row.mean and not row.has(m)]
        kinds[f"no {name}, stored as zeros"] = lacking
    notes = [*_intensities(rows, modalities).items(), *((row.id, row.unusual) for row in rows)]
    for case, listed in notes:
        for note in listed:
            kinds.setdefault(note, []).append(case)
    return tuple(Odd(what, tuple(ids)) for what, ids in kinds.items() if ids)


def _intensities(
    rows: Sequence[CaseCount], modalities: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Notes on cases of unusual intensities, by id; of each modality among those that have it."""
    measured = [row for row in rows if row.mean]
    if not measured:
        return {}
    mean, std, present = (
        np.array([getattr(row, name) for row in measured]) for name in ("mean", "std", "present")
    )
    return intensity_notes(modalities, [row.id for row in measured], mean, std, present)


def class_cells(classes: Sequence[ClassCount], kept: tuple[int, ...]) -> list[list[str]]:
    """Classes as cells of text, titles first.

    Args:
        classes: as `class_counts` gives them.
        kept: voxels of each class in the stored slices of a slice file; empty for other data.
    """
    titles = ["class", "voxels", "all planes", "tumour planes", "background : 1"]
    rows = [[*titles, *(["stored slices"] if kept else []), "planes", "cases"]]
    for k, count in enumerate(classes):
        times = f"{count.background_ratio:,.1f}" if k and count.background_ratio else "-"
        cells = [count.name, f"{count.voxels:,}", percent(count.share)]
        cells += [percent(count.tumour_plane_share), times]
        cells += [percent(part(kept[k], sum(kept)))] if kept else []
        rows.append([*cells, f"{count.planes:,}", f"{count.cases:,}"])
    return rows


def imbalance_line(classes: Sequence[ClassCount]) -> str:
    """Say how many times larger the largest class of the tumour is than the smallest."""
    large, small, ratio = imbalance(classes)
    text = f"{ratio:,.2f} : 1" if ratio else f"there is no {small}"
    return f"largest to smallest class, {large} to {small}: {text}"


def class_table(classes: Sequence[ClassCount], kept: tuple[int, ...]) -> list[str]:
    """Classes as lines of text; arguments as for `class_cells`."""
    return [*aligned(class_cells(classes, kept)), imbalance_line(classes)]


def spread_table(spread: Sequence[Spread]) -> list[str]:
    """Spread over the cases as lines of text."""
    rows = [["over cases", "least", "25 %", "median", "75 %", "most"]]
    rows += [[row.name, *(f"{place:,.0f}" for place in row.places)] for row in spread]
    return aligned(rows)


def modality_table(modalities: Sequence[ModalityCount]) -> list[str]:
    """Brain moments as lines of text."""
    rows = [["brain", "mean", "+- between cases", "std", "+- between cases"]]
    for count in modalities:
        moments = (count.mean, count.mean_between, count.std, count.std_between)
        rows.append([count.name, *(f"{moment:,.1f}" for moment in moments)])
    return aligned(rows)


def aligned(rows: list[list[str]]) -> list[str]:
    """Lay cells out in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.3f} %"
