"""Cases with a repeated patient (twin) in training: another case of the same person.

The slice file of the run says which cases are of one person; beyond that, the image fingerprints
of the training cases are compared with those of the cases in question. A case that is in training
itself counts as its own twin: with split `slice` that is nearly every case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.discovery.subject_tables import table_for
from bratsprep.repeats.search import known_twins
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.splits import Split
from bratstrain.data.trained_cases import Compared, compare, stored_prints, trained_rows

WITHOUT: Final = "without a twin in training"
"""Heading of the second table of scores."""
UNTOLD: Final = (
    "no images were compared and names alone say who is who; 'bratsprep twins' compares images"
)


@dataclass(frozen=True, slots=True)
class Twins:
    """The cases of a set that have a known twin in training."""

    noun: str
    """Name of a case of the set, such as `validation case`."""
    n_cases: int
    cases: Mapping[str, tuple[str, ...]]
    """Training cases of the same person by case id; cases without any are omitted."""
    are_told: bool
    """Whether a table of the user identifies persons."""
    images: Compared | None = None
    """Result of the comparison of images; None where they were not compared."""

    @property
    def share(self) -> float:
        """Share of the cases that have a twin in training."""
        return len(self.cases) / self.n_cases if self.n_cases else 0.0

    def line(self) -> str:
        """Summarise in one line."""
        n, n_themselves = len(self.cases), sum(case in own for case, own in self.cases.items())
        if not n:
            summary = f"no {self.noun} has a known twin in training"
            if self.images is not None:
                return f"{summary}: {self.images.line()}"
            return summary if self.are_told else f"{summary}: {UNTOLD}"
        summary = f"{n} of {self.n_cases} {self.noun}s ({100 * self.share:.0f} %) "
        if n == n_themselves:
            return f"{summary}are in training themselves"
        summary += "have a twin in training, a case of the same person"
        summary += f"; {n_themselves} are there themselves" if n_themselves else ""
        if self.images is None:
            return summary
        pairs = f" and found by it: {'; '.join(self.pairs())}" if self.pairs() else ""
        return f"{summary}; {self.images.line()}{pairs}"

    def pairs(self) -> list[str]:
        """Name the twins that images show, such as `A = B`; a case itself is none."""
        certain = {} if self.images is None else self.images.certain
        return [f"{case} = {', '.join(own)}" for case, own in certain.items() if set(own) - {case}]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain dicts and lists."""
        return {
            "n": len(self.cases),
            "of": self.n_cases,
            "share": self.share,
            "said": self.line(),
            "subjects_told": self.are_told,
            "cases": {case: list(own) for case, own in self.cases.items()},
            "images": None if self.images is None else asdict(self.images),
        }


@dataclass(frozen=True, slots=True)
class Training:
    """The subjects that a run was fitted on, and how to identify those of other cases."""

    split: Split
    table: str
    """Origin of the subjects of the run's slice file: `PrepConfig.subjects`."""
    named: Mapping[str, str]
    """Subject of each case that may be scored, from its own source."""
    trained: NDArray[np.void] | None = None
    """(n,) `trained_cases.ROW` of the run; None where it did not keep them."""

    def twins(
        self,
        voxels: Mapping[str, NDArray[np.int64]],
        noun: str,
        prints: Mapping[str, NDArray[np.int8]] = MappingProxyType({}),
    ) -> Twins:
        """Find the cases whose person was trained on.

        A case of Task01 that the run does not know is looked up in the table of repeated patients,
        if the run's slice file was built with it.

        Args:
            voxels: for each case by id, (classes,) int64 voxels of each class in the truth.
            noun: name of a case of the set.
            prints: (5, z, y, x) int8 fingerprint of the images of each case that has one, by id.
        """
        people = table_for("auto" if self.table == "auto" else "names")
        named = dict(self.named)
        for case, counts in voxels.items():
            named[case] = people.subject(case, named.get(case, case), counts.tolist())
        by_name = find_twins(self.split, tuple(voxels), named, self.table, noun, self.trained)
        if self.trained is None:
            return by_name
        return with_images(by_name, compare(self.trained, prints))


def validation_twins(
    split: Split, file: SliceFile, trained: NDArray[np.void] | None = None
) -> Twins:
    """Find the validation cases of a fold whose person is trained on, by names.

    Args:
        split: of the file.
        file: open slice file.
        trained: (n,) structured, as in `find_twins`.
    """
    rows = split.rows("validation", file.slices, file.cases)
    ids = tuple(file.cases["id"][np.unique(file.slices["case"][rows])].tolist())
    return find_twins(split, ids, {}, file.config.subjects, "validation case", trained)


def compared_validation_twins(
    split: Split, file: SliceFile, trained: NDArray[np.void] | None = None
) -> Twins:
    """Find the validation cases whose person is trained on, by names and by images.

    Args:
        split: of the file.
        file: open slice file.
        trained: (n,) structured `trained_cases.row_dtype`; None for those of the split.
    """
    by_name = validation_twins(split, file, trained)
    if split.sliced:
        return by_name  # nearly every case is in training itself
    if trained is None:
        trained = trained_rows(file.path, split.trained_cases)
    return with_images(by_name, compare(trained, stored_prints(file.path, split_ids(split))))


def split_ids(split: Split) -> list[str]:
    """Ids of the validation cases of a split that deals cases."""
    return [name for name in split.validation if isinstance(name, str)]


def with_images(twins: Twins, images: Compared) -> Twins:
    """Add the twins that images show with certainty to those that names give."""
    cases = {case: set(own) for case, own in twins.cases.items()}
    for case, own in images.certain.items():
        cases.setdefault(case, set()).update(own)
    joined = {case: tuple(sorted(own)) for case, own in sorted(cases.items())}
    return replace(twins, cases=joined, images=images)


def find_twins(
    split: Split,
    ids: Sequence[str],
    subjects: Mapping[str, str],
    table: str,
    noun: str,
    trained: NDArray[np.void] | None = None,
) -> Twins:
    """Find the cases whose person is trained on.

    Args:
        split: of the run; its subjects take precedence over `subjects`.
        ids: of the cases that are scored.
        subjects: subjects of cases that the split may not know, by id; a case in neither counts
            as a person of its own.
        table: origin of the split's subjects, as in `PrepConfig.subjects`.
        noun: name of a case of the set.
        trained: (n,) structured `trained_cases.row_dtype`, where a run was fitted on more cases
            than those of its split, since it began from another run.
    """
    earlier: dict[str, str] = {}
    if trained is not None:
        earlier = dict(trained[["id", "subject"]].tolist())
    learnt = tuple(dict.fromkeys((*split.trained_cases, *earlier)))
    everyone = {name: name for name in (*learnt, *ids)}
    everyone |= {**earlier, **subjects, **split.subjects}
    cases = known_twins(everyone, learnt, ids)
    return Twins(noun, len(ids), cases, table.startswith("csv:"))


def leak_warning(split: Split, twins: Twins) -> str:
    """Warning about a split that leaks; empty where it does not."""
    if not split.leaks:
        if twins.cases:
            return f"split {split.name} leaks: {twins.line()}"
        is_doubtful = twins.images is not None and twins.images.likely
        return f"split {split.name} may leak: {twins.line()}" if is_doubtful else ""
    warning = f"split {split.name} has a subject on two sides"
    if not twins.cases:
        return f"{warning}, though {twins.line()}: scores of its test part are too good to be true"
    warning += f": {twins.line()}; their scores are too good to be true"
    if len(twins.cases) == twins.n_cases:
        return f"{warning}, and no {twins.noun} is without"
    return f"{warning}, 'bratstrain evaluate' gives every score without them too"
