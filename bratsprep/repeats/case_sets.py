"""What speaks for the person of each case, from raw data, a folder of masks or a slice file."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles
from bratsprep.config import SourceConfig
from bratsprep.discovery.discover import find_cases_or_masks
from bratsprep.labels import ClassSet, Scheme
from bratsprep.repeats import mask_details
from bratsprep.repeats.mask_details import Details, details_of
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import ARCHIVES, Source, open_source
from bratsprep.system.faulty_cases import SetAside, check_any_left, without_faulty
from bratsprep.system.memory import Buffers, Pool
from bratsprep.system.threads import in_order
from bratsprep.volumes.case_volumes import Asked, read_scan
from bratsprep.volumes.fingerprint import fingerprints, mask_fingerprint
from bratsprep.volumes.label import read_label
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scan_keywords
from bratsprep.volumes.warm import warm_cases


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one case."""

    id: str
    subject: str
    """The person, as the case's name says."""
    image: NDArray[np.int8] | None
    """Fingerprint of the images; None where there are none."""
    mask: NDArray[np.uint8] | None
    """Fingerprint of the label; None for an unlabelled case."""
    voxels: tuple[int, ...] = ()
    """Of each class but the background; empty for an unlabelled case."""
    details: Details | None = None
    """Fine structure of the label; None for an unlabelled case, and in a slice file."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The cases of one set."""

    path: Path
    kind: str
    """`slice file`, the layout of raw data, or `masks only`."""
    cases: tuple[Known, ...]
    """By id."""
    modalities: tuple[str, ...]
    """Of the images; empty for masks alone."""
    classes: ClassSet
    """Of the labels."""
    details: Callable[[int], Details]
    """Fine structure of the label of a labelled case, by its place in `cases`."""
    skipped: tuple[SetAside, ...] = ()
    """Faulty cases that were set aside."""

    @property
    def has_images(self) -> bool:
        """Whether there are fingerprints of the images."""
        return all(case.image is not None for case in self.cases)


def is_slice_file(path: Path) -> bool:
    """Whether a path is taken for a slice file: a file that is not an archive."""
    return path.is_file() and not path.name.lower().endswith(ARCHIVES)


@contextmanager
def open_collection(
    path: Path, choice: SourceConfig, background: str, workers: int, *, skip: bool, shown: bool
) -> Generator[Collection, None, None]:
    """Read a set for the length of a `with` block.

    Of a slice file only the tables are read now, labels of single cases when they are asked for.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        choice: which raw files are labels, and what they mean; not used for a slice file.
        background: of raw images, as in `PrepConfig`.
        workers: threads.
        skip: set faulty raw cases aside.
        shown: show a bar on standard error.

    Raises:
        BratsError: there is nothing to read, or it is broken.
    """
    if is_slice_file(path):
        with SliceFile(path) as file:
            mask_details.warm()
            cases = tuple(known_of(row) for row in file.cases)
            names = file.modalities, file.classes
            yield Collection(path, "slice file", cases, *names, cache(stored_details(file)))
        return
    _, chosen = chosen_scheme(choice.labels)
    with open_source(path) as source:
        found = find_cases_or_masks(source, skip=skip, **scan_keywords(choice, chosen))
        modalities = found.mapping.modalities
        warm_cases(source, found.cases)
        mask_details.warm()
        schemes = resolve(source, found.cases, chosen)
        asked = Asked(modalities, common_classes(schemes.values()), background)
        read = raw_known if found.cases[0].channels else mask_known
        memory = Pool(workers, 2**62)

        def known(files: CaseFiles) -> Known:
            with memory.borrow() as buffers:
                return read((source, asked), schemes, files, buffers)

        faulty = [*found.set_aside]
        with closing(in_order(found.cases, known, workers)) as made:
            results = tqdm(made, total=len(found.cases), unit="case", disable=not shown)
            cases = tuple(without_faulty(results, faulty, skip=skip))
        check_any_left(path, len(cases), faulty)
        yield Collection(
            path,
            found.layout,
            cases,
            modalities,
            asked.classes,
            lambda i: some(cases[i].details, asked.classes),
            tuple(sorted(faulty, key=lambda case: case.id)),
        )


def some(details: Details | None, classes: ClassSet) -> Details:
    """Fine structure, without any for an unlabelled case."""
    names = tuple(name for name, _ in classes.nested)
    return details or Details((0, 0, 0), np.zeros((len(names), 0, 0, 0), np.int8), names)


def known_of(row: np.void) -> Known:
    """Take a case from its row in a slice file."""
    mask, voxels = None, ()
    if row["labelled"]:
        mask, voxels = row["mask_fingerprint"], tuple(row["voxels"][1:].tolist())
    return Known(str(row["id"]), str(row["subject"]), row["fingerprint"], mask, voxels)


def stored_details(file: SliceFile) -> Callable[[int], Details]:
    """Give a function that reads the fine structure of a case from its stored slices."""

    def details(i: int) -> Details:
        label = file.label_volume(i)
        has_tumour = label.max(axis=(1, 2)) > 0
        return details_of(label, file.cases["spacing"][i], has_tumour, file.classes)

    return details


def raw_known(
    where: tuple[Source, Asked], schemes: Mapping[str, Scheme], files: CaseFiles, buffers: Buffers
) -> Known:
    """Read a raw case with its images.

    Raises:
        BratsError: whatever is wrong with the case.
    """
    source, asked = where
    case = read_scan(files, source, buffers, schemes.get(files.id), asked)
    image, mask = fingerprints(case)
    if case.label is None:
        return Known(files.id, files.subject, image, None)
    has_tumour = case.plane_voxels[:, 1:].sum(axis=1) > 0
    details = details_of(case.label, case.geometry.spacing, has_tumour, asked.classes)
    voxels = tuple(case.plane_voxels[:, 1:].sum(axis=0).tolist())
    return Known(files.id, files.subject, image, mask, voxels, details)


def mask_known(
    where: tuple[Source, Asked], schemes: Mapping[str, Scheme], files: CaseFiles, buffers: Buffers
) -> Known:
    """Read a raw case of which there is only the mask.

    Raises:
        BratsError: the file is broken, or a value is outside the scheme.
    """
    source, asked = where
    label = read_label(source, str(files.label), schemes[files.id], buffers)
    spacing = label.geometry.spacing
    has_tumour = label.plane_voxels[:, 1:].sum(axis=1) > 0
    return Known(
        files.id,
        files.subject,
        None,
        mask_fingerprint(label.classes, spacing, has_tumour, asked.classes),
        tuple(label.plane_voxels[:, 1:].sum(axis=0).tolist()),
        details_of(label.classes, spacing, has_tumour, asked.classes),
    )
