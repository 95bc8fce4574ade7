"""What is unusual about the images of scored cases, as `bratsprep build` and `inspect` say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bratsprep.inspection.stored_notes import table_notes
from bratsprep.volumes.case_volumes import CaseVolumes, case_notes
from bratsprep.volumes.intensity_outliers import intensity_notes


@dataclass(frozen=True, slots=True, eq=False)
class ImageFacts:
    """One case: what is unusual in itself, and what is compared with other cases."""

    notes: tuple[str, ...]
    mean: NDArray[np.float64]
    """(m,) of each modality over the brain, source units."""
    std: NDArray[np.float64]
    """(m,) likewise."""
    present: NDArray[np.bool_]
    """(m,) whether the case has the modality."""


def raw_facts(scan: CaseVolumes) -> ImageFacts:
    """Of a raw case that has been read."""
    measured = scan.measured
    present = np.array(scan.named.present, np.bool_)
    return ImageFacts(
        case_notes(scan.on_source), measured.mean.copy(), measured.std.copy(), present
    )


def stored_facts(row: np.void) -> ImageFacts:
    """Of a row of /case of a slice file."""
    mean, std = (np.asarray(row[name], np.float64) for name in ("mean", "std"))
    return ImageFacts(table_notes(row), mean, std, np.asarray(row["present"]) > 0)


def odd_images(
    facts: Mapping[str, ImageFacts], modalities: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Name the cases whose images are unusual, alone or among the others.

    Args:
        facts: by case id.
        modalities: names of the m modalities.

    Returns:
        Notes by case id, without usual cases.
    """
    if not facts:
        return {}
    ids = sorted(facts)
    mean, std, present = (
        np.array([getattr(facts[case], name) for case in ids])
        for name in ("mean", "std", "present")
    )
    far = intensity_notes(modalities, ids, mean, std, present)
    notes = {case: (*facts[case].notes, *far.get(case, ())) for case in ids}
    return {case: said for case, said in notes.items() if said}
