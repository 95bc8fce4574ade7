"""The subject of a case from its id: one rule for each way in which time points are named."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_TIME: Final = (
    r"(?:ses|session|visit|tp|timepoint|time|week|wk|month|followup|follow-up|fu|baseline|"
    r"preop|postop)"
)
_WEAK: Final = r"(?:scan|exam|v|day|year|bl|pre|post)"
"""Words that are times only behind an id with a number: `hospital_scan2` may be anyone's."""
_DATE: Final = r"(?:19|20)\d\d(?P<gap>[-_.]?)\d\d(?P=gap)\d\d"


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """How ids of one kind name their subject."""

    name: str
    """For people."""
    pattern: re.Pattern[str]
    """Fits the whole id; its group `subject` is the person."""


def _rule(name: str, pattern: str) -> SubjectRule:
    return SubjectRule(name, re.compile(pattern, re.IGNORECASE))


RULES: Final[dict[str, SubjectRule]] = {
    "brats2023": _rule("BraTS 2023 and later", r"(?P<subject>brats-[a-z]+-\d+)(?:-\d{3})?"),
    "brats2017": _rule("BraTS 2017-2019", r"(?P<subject>brats1[789]_[a-z0-9]+_[a-z0-9]+)_\d+"),
    "brats2015": _rule("BraTS 2013-2015", r"(?P<subject>brats_(?:2013|tcia)_pat\d+)_\d+(?:_\d+)?"),
    "brats": _rule("BraTS 2020-2021 and Task01", r"(?P<subject>brats(?:20(?:21)?_[a-z_]*|_)\d+)"),
    "bids": _rule("BIDS sub-", r"(?P<subject>sub-[a-z0-9]+)(?:_.*)?"),
    "upenn": _rule("UPENN-GBM", r"(?P<subject>upenn-gbm-\d+)(?:_\d+)?"),
    "ucsf": _rule("UCSF-PDGM", r"(?P<subject>ucsf-pdgm-\d+)(?:_fu\d+d)?(?:_nifti)?"),
    "rhuh": _rule("RHUH-GBM", r"(?P<subject>rhuh-\d+)(?:_\d+)?"),
    "lumiere": _rule("LUMIERE", r"(?P<subject>patient-\d+)_week-\d+(?:-\d+)?"),
    "time": _rule("id before a word of time", rf"(?P<subject>.*?\w)[-_. ]+{_TIME}[-_. ]?\d*"),
    "number": _rule(
        "id before two numbers of time",
        rf"(?P<subject>.*?\w)[-_. ]+{_TIME}[-_. ]?\d+[-_. ]\d+",
    ),
    "weak": _rule("id before a word of time", rf"(?P<subject>.*?\d)[-_. ]+{_WEAK}[-_. ]?\d*"),
    "date": _rule("id before a date", rf"(?P<subject>.*?\w)[-_. ]+{_DATE}"),
    "digit": _rule("id before a single digit", r"(?P<subject>.*\d)[-_. ]\d"),
}
"""By name; of those that fit, the first decides."""
IDS: Final = "the id"
"""Name of the rule of every id that no other fits: each case is a subject."""
VISIT_FOLDERS: Final = "folder above the visit's"
"""Name of the rule of cases in folders `PATIENT/VISIT`."""
_VISIT: Final = re.compile(rf"(?:{_TIME}[-_. ]?\d*(?:[-_. ]\d+)?|{_DATE}.*)", re.IGNORECASE)
_PLACES: Final = frozenset({"anat", "mri", "nifti", "nii", "images", "scans"})
"""Folders below a visit's that say nothing about the case."""


def subject_and_rule(case: str) -> tuple[str, str]:
    """Subject of a case id, and the name of the rule that found it."""
    for rule in RULES.values():
        match = rule.pattern.fullmatch(case)
        if match:
            return match["subject"], rule.name
    return case, IDS


def subject(case: str) -> str:
    """Subject of a case id: the id without the time point, where a rule knows one."""
    return subject_and_rule(case)[0]


def is_visit(folder: str) -> bool:
    """Whether a folder's own name is that of a visit, such as `week-000` or `2015-01-02`."""
    return _VISIT.fullmatch(folder) is not None


def person_and_visit(folder: str) -> tuple[str, str]:
    """Names of a case's folder and, where that is a visit's, of the person's above it.

    Args:
        folder: path in the source, such as `Patient-001/week-000/anat`.

    Returns:
        Person, or empty where the folder is no visit's; and the folder's own name.
    """
    parts = folder.split("/")
    while len(parts) > 1 and parts[-1].lower() in _PLACES:
        parts.pop()
    if len(parts) > 1 and is_visit(parts[-1]):
        return parts[-2], parts[-1]
    return "", parts[-1]


def near_ids(subjects: Iterable[str]) -> dict[str, list[str]]:
    """Subjects that share a stem and differ in a short suffix, by stem.

    They may be one person: `p7a` and `p7b`, `case12-01` and `case12-02`.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(subjects)):
        match = re.fullmatch(r"(.*\d)(?:[-_. ]\d{1,2}|[-_. ]?[a-z])", name, re.IGNORECASE)
        if match:
            groups[match[1]].append(name)
    return {stem: names for stem, names in groups.items() if len(names) > 1}
