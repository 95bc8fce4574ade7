"""Views of the cases that a page shows: each is read once, and each run predicts it once.

What an evaluation of this very call has left in a gallery is neither read nor predicted again.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.config import SourceConfig
from bratsprep.labels import Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.faulty_cases import without_faulty
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import Asked, read_scan
from bratstrain.apply_config import ApplyConfig
from bratstrain.data.splits import Split
from bratstrain.evaluation.case_images import brain_images, stored_images
from bratstrain.evaluation.case_pairs import (
    Labeller,
    check_file,
    check_prepared,
    file_pair,
    load_labeller,
    raw_pair,
)
from bratstrain.evaluation.case_selection import truth_schemes
from bratstrain.evaluation.folder_selection import good_cases, labelled_cases
from bratstrain.evaluation.label_pair import Images, LabelPair
from bratstrain.inference.segment import Prepared, prepared, read_ahead
from bratstrain.pages.gallery import Gallery, Kept
from bratstrain.pages.sprites import View
from bratstrain.runs.fitted import read_split


@dataclass(frozen=True, slots=True)
class ShownRun:
    """One run of a page, and what its evaluation left."""

    folder: Path
    gallery: Gallery


@dataclass(frozen=True, slots=True)
class ReadCase:
    """One case that has been read for all runs of a page."""

    id: str
    kept: Kept
    predict: tuple[Callable[[], LabelPair], ...]
    """Predicts the case by each run."""


def views(
    runs: Sequence[ShownRun],
    where: SliceFile | Source,
    part: str,
    apply: ApplyConfig,
    cases: Sequence[str],
    thin: Collection[str] = (),
) -> list[View]:
    """Put the images of some cases beside their truth and the prediction of each run.

    Args:
        runs: at least one.
        where: slice file or raw cases that hold the cases.
        part: part of each run's split that the cases are of, or `all`.
        apply: how the networks are applied.
        cases: ids.
        thin: ids of those of which a few planes are enough.

    Returns:
        One view for each case, in their order; with a map of entropy where there is one run.

    Raises:
        BratsError: a run, a case or the slice file is at fault.
    """
    kept = {case: item for run in runs for case, item in run.gallery.kept.items()}
    fewer = {case: runs[0].gallery.thin[case] for case in thin if case in runs[0].gallery.thin}
    kept |= {case: item for case, item in fewer.items() if case not in kept}
    complete = set(kept).intersection(*(run.gallery.predicted for run in runs))
    missing = [case for case in cases if case not in complete]
    if missing:
        labellers = [load_labeller(run.folder, apply) for run in runs]
        for read in read_cases(labellers, where, part, missing):
            kept[read.id] = read.kept
            for run, predict in zip(runs, read.predict, strict=True):
                if read.id not in run.gallery.predicted or len(runs) == 1:
                    run.gallery.note(predict())
    found = [view_of(runs, case, kept[case]) for case in cases]
    return [view.thinned() if view.case in thin else view for view in found]


def view_of(runs: Sequence[ShownRun], case: str, kept: Kept) -> View:
    """Put the predictions of all runs beside a case; of one run, its entropy too."""
    entropy = runs[0].gallery.entropy.get(case) if len(runs) == 1 else None
    predicted = tuple(run.gallery.predicted[case].array() for run in runs)
    return kept.view(case, predicted, None if entropy is None else entropy.array())


def read_cases(
    labellers: Sequence[Labeller], where: SliceFile | Source, part: str, cases: Sequence[str]
) -> Iterator[ReadCase]:
    """Read cases of a slice file or raw ones, each once for all runs.

    Raises:
        BratsError: a case is missing or at fault.
    """
    if isinstance(where, SliceFile):
        yield from file_cases(labellers, where, part, cases)
    else:
        yield from raw_cases(labellers, where, cases)


def raw_cases(
    labellers: Sequence[Labeller], source: Source, wanted: Sequence[str]
) -> Iterator[ReadCase]:
    """Read raw cases, all planes of each, once for all runs that read cases alike.

    The images are those of the first run.
    """
    keys = [reading_of(labeller) for labeller in labellers]
    readings = {
        key: cases_of(labellers[keys.index(key)], source, wanted) for key in dict.fromkeys(keys)
    }
    chosen = readings[keys[0]][0].values()

    def read(files: CaseFiles, buffers: Buffers) -> tuple[Images, list[Prepared]]:
        images: list[Images] = []
        cases: dict[int, Prepared] = {}
        for key, (own, schemes) in readings.items():
            scan = read_scan(own[files.id], source, buffers, schemes[files.id], key[1])
            if not images:
                images.append(brain_images(scan, labellers[0].fitted.preparation))
            for i, labeller in enumerate(labellers):
                if keys[i] == key:
                    cases[i] = prepared(scan, labeller.fitted)
                    check_prepared(labeller, source, cases[i])
        return images[0], [cases[i] for i in range(len(labellers))]

    with closing(read_ahead(chosen, read)) as coming:
        for images, ready in without_faulty(coming, [], skip=False):
            first = ready[0]
            x, y, z = first.geometry.spacing.tolist()
            yield ReadCase(
                first.files.id,
                Kept.of(images, np.asarray(first.label), (x, y, z)),
                tuple(
                    partial(raw_pair, labeller, case)
                    for labeller, case in zip(labellers, ready, strict=True)
                ),
            )


def reading_of(labeller: Labeller) -> tuple[SourceConfig, Asked]:
    """What decides how a raw case is read for a run: its files, modalities, classes and brain."""
    return labeller.files, labeller.fitted.asked


def cases_of(
    labeller: Labeller, source: Source, wanted: Sequence[str]
) -> tuple[dict[str, CaseFiles], dict[str, Scheme]]:
    """Files and label scheme of some raw cases, as a run takes them, by id.

    Raises:
        BratsError: a case is missing or at fault.
    """
    chosen = good_cases(source, labelled_cases(source, labeller.files), wanted)
    return {files.id: files for files in chosen}, truth_schemes(source, chosen, labeller)


def file_cases(
    labellers: Sequence[Labeller], file: SliceFile, part: str, cases: Sequence[str]
) -> Iterator[ReadCase]:
    """Read stored planes of cases: those of the part where a split deals slices, else all."""
    for labeller in labellers:
        check_file(labeller.fitted, file)
    split = read_split(labellers[0].fitted.folders[0])
    for case in cases:
        rows = rows_of(split, file, part, case)
        stored = file.read(rows)
        truth = file.paste(case, stored[1], file.slices["z"][rows].astype(np.int64))
        x, y, z = file.cases[file.case_row(case)]["spacing"].tolist()
        yield ReadCase(
            case,
            Kept.of(stored_images(file, rows, stored[0]), truth, (x, y, z)),
            tuple(partial(file_pair, labeller, file, rows, stored, None) for labeller in labellers),
        )


def rows_of(split: Split, file: SliceFile, part: str, case: str) -> NDArray[np.int64]:
    """Rows of a case under /slice; where the split deals slices, those of the part: (s,) int64."""
    rows = np.flatnonzero(file.slices["case"] == file.case_row(case))
    if part == "all":
        return rows
    return np.intersect1d(rows, split.rows(part, file.slices, file.cases))
