"""Cases to be looked at: every plane in four modalities, the truth, and what each run predicted."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratstrain.data.splits import Split
from bratstrain.evaluation.case_pairs import Labeller, LabelPair
from bratstrain.evaluation.case_selection import Wanted, good_cases, labelled_cases, select_cases
from bratstrain.inference.segment import prepare_case
from bratstrain.pages.sprites import View
from bratstrain.runs.fitted import Fitted, read_split

WHOLE: Final = "none"
"""Crop that keeps whole planes."""


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Modalities of one case."""

    planes: NDArray[np.int64]
    """(s,) planes in the uncropped volume."""
    voxels: NDArray[Any]
    """(4, s, y, x) float, standard deviations."""


def views(
    labellers: Sequence[Labeller], where: SliceFile | Source, part: str, cases: Sequence[str]
) -> Iterator[View]:
    """Predict some cases by each run and put them beside their images.

    Args:
        labellers: of one run each, at least one.
        where: what the cases lie in.
        part: of each run's split that the cases are of, or `all`.
        cases: ids.

    Raises:
        BratsError: a case is not there, or at fault.
    """
    found = [predicted(labeller, where, part, cases) for labeller in labellers]
    for case in cases:
        images = images_of(labellers[0], where, part, case)
        pairs, planes = [each[case] for each in found], images.planes
        yield View(
            case=case,
            planes=planes,
            depth=len(pairs[0].truth),
            images=images.voxels,
            truth=pairs[0].truth[planes],
            predicted=tuple(pair.predicted[planes] for pair in pairs),
            spacing=pairs[0].spacing,
        )


def predicted(
    labeller: Labeller, where: SliceFile | Source, part: str, cases: Sequence[str]
) -> dict[str, LabelPair]:
    """Truth and prediction of some cases, by id."""
    split = read_split(labeller.fitted.folders[0])
    selection = select_cases(labeller, where, split, part, Wanted(tuple(cases)))
    with closing(selection.pairs) as pairs:
        return {pair.case: pair for pair in pairs if isinstance(pair, LabelPair)}


def images_of(labeller: Labeller, where: SliceFile | Source, part: str, case: str) -> Images:
    """Read the modalities of a case: all planes of raw data, the part's of a slice file."""
    if isinstance(where, SliceFile):
        rows = rows_of(read_split(labeller.fitted.folders[0]), where, part, case)
        z = where.slices["z"][rows].astype(np.int64)
        whole = where.paste(case, where.read(rows)[0].swapaxes(0, 1), z)
        return Images(z, whole[:, z].astype(np.float32))
    files = good_cases(where, labelled_cases(where), (case,))[0]
    made = prepare_case(files, Buffers(), where, uncropped(labeller.fitted), None)
    voxels = np.zeros((made.image.shape[1], *made.shape), np.float32)
    voxels[:, made.z] = made.image.swapaxes(0, 1)
    return Images(np.arange(made.shape[0]), voxels)


def rows_of(split: Split, file: SliceFile, part: str, case: str) -> NDArray[np.int64]:
    """Slices of a case that are in a part of the split; where it deals slices, not all of them."""
    rows = np.flatnonzero(file.slices["case"] == file.case_row(case))
    if part == "all":
        return rows
    return np.intersect1d(rows, split.rows(part, file.slices, file.cases))


def uncropped(fitted: Fitted) -> Fitted:
    """The same preparation on whole planes."""
    return replace(fitted, preparation=replace(fitted.preparation, crop=WHOLE))
