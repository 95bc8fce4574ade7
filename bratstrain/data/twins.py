"""Cases with a twin in training: another case of a person that the network was fitted on.

Who is one person is what the slice file of the run says. A case that is in training itself is
its own twin: with split `slice` nearly every case is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.discovery.subject_tables import table_for
from bratsprep.repeats.search import known_twins
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.splits import Split

WITHOUT: Final = "without a twin in training"
"""What the cases of the second table are called."""
UNTOLD: Final = (
    "every case is taken for a person of its own, 'bratsprep twins' looks for repeated ones"
)


@dataclass(frozen=True, slots=True)
class Twins:
    """Which of some cases have a known twin in training."""

    noun: str
    """What to call a case of them, such as `validation case`."""
    n_cases: int
    cases: Mapping[str, tuple[str, ...]]
    """Training cases of the same person by case id; cases without any are left out."""
    are_told: bool
    """Names or a table say who is who; if not, every case is taken for a person of its own."""

    @property
    def share(self) -> float:
        """Share of the cases that have a twin in training."""
        return len(self.cases) / self.n_cases if self.n_cases else 0.0

    def line(self) -> str:
        """Say it in a line."""
        n, n_themselves = len(self.cases), sum(case in own for case, own in self.cases.items())
        if not n:
            said = f"no {self.noun} has a known twin in training"
            return said if self.are_told else f"{said}: {UNTOLD}"
        said = f"{n} of {self.n_cases} {self.noun}s ({100 * self.share:.0f} %) "
        if n == n_themselves:
            return f"{said}are in training themselves"
        said += "have a twin in training, a case of the same person"
        return f"{said}; {n_themselves} are there themselves" if n_themselves else said

    def to_json(self) -> dict[str, Any]:
        """Give it as plain dicts and lists."""
        return {
            "n": len(self.cases),
            "of": self.n_cases,
            "share": self.share,
            "said": self.line(),
            "subjects_told": self.are_told,
            "cases": {case: list(own) for case, own in self.cases.items()},
        }


@dataclass(frozen=True, slots=True)
class Training:
    """Who a run was fitted on, and how to tell who others are."""

    split: Split
    table: str
    """Where the run's slice file has its subjects from: `PrepConfig.subjects`."""
    named: Mapping[str, str]
    """Subject of each case that may be scored, as its own source says."""

    def twins(self, voxels: Mapping[str, NDArray[np.int64]], noun: str) -> Twins:
        """Find the cases whose person was trained on.

        A case of Task01 that the run does not know is looked up in the table of its repeated
        patients, if the run's slice file was built with that.

        Args:
            voxels: (4,) int64 voxels of each class in the truth, by the ids of the cases.
            noun: what to call a case.
        """
        people = table_for("auto" if self.table == "auto" else "names")
        named = dict(self.named)
        for case, counts in voxels.items():
            named[case] = people.subject(case, named.get(case, case), counts.tolist())
        return find_twins(self.split, tuple(voxels), named, self.table, noun)


def validation_twins(split: Split, file: SliceFile) -> Twins:
    """Find the validation cases of a fold whose person is trained on.

    Args:
        split: of the file.
        file: open slice file.
    """
    rows = split.rows("validation", file.slices, file.cases)
    ids = tuple(file.cases["id"][np.unique(file.slices["case"][rows])].tolist())
    return find_twins(split, ids, {}, file.config.subjects, "validation case")


def find_twins(
    split: Split, ids: Sequence[str], subjects: Mapping[str, str], table: str, noun: str
) -> Twins:
    """Find the cases whose person is trained on.

    Args:
        split: of the run; what it says of a case's subject goes before `subjects`.
        ids: of the cases that are scored.
        subjects: subjects of cases that the split may not know, by id; a case that neither
            knows is a person of its own.
        table: where the split's subjects are from, as in `PrepConfig.subjects`.
        noun: what to call a case.
    """
    everyone = {name: name for name in (*split.trained_cases, *ids)}
    everyone |= {**subjects, **split.subjects}
    found = known_twins(everyone, split.trained_cases, ids)
    is_told = table.startswith("csv:") or any(case != who for case, who in everyone.items())
    return Twins(noun, len(ids), found, is_told)


def leak_warning(split: Split, twins: Twins) -> str:
    """What to say of a split that leaks before it is used; empty where it does not."""
    if not split.leaks:
        return ""
    said = f"split {split.name} has a subject on two sides"
    if not twins.cases:
        return f"{said}, though {twins.line()}: scores of its test part are too good to be true"
    said += f": {twins.line()}; their scores are too good to be true"
    if len(twins.cases) == twins.n_cases:
        return f"{said}, and no {twins.noun} is without"
    return f"{said}, 'bratstrain evaluate' gives every score without them too"
