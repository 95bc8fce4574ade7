"""Which cases a fold trains on and which it is scored on.

`subject` is the one to use: no subject is on two sides. `nnunet` gives the published folds of the
Decathlon's Task01, which ignore subjects. `slice` divides single slices, so neighbouring planes of
one tumour are on both sides; it exists to measure that leak.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError

FOLDS: Final = 5
ENHANCING: Final = "ET"
"""Class whose presence the folds share out evenly."""
NNUNET_SEED: Final = 12345
PARTS: Final = ("train", "validation", "test")

AROUND: Final = ("subjects", "sliced")
"""Fields that follow from the slice file, which has a digest of its own."""

Members = tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Training, validation and test set of one fold."""

    name: str
    """`subject`, `nnunet`, `slice`, or the name of its JSON file."""
    fold: int
    train: Members
    """Case ids, sorted; for `slice` rows under /slice."""
    validation: Members
    test: tuple[str, ...]
    """Case ids that no fold trains on or validates with."""
    leaks: bool
    """A subject is on two sides, so scores of this split are optimistically biased."""
    subjects: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Subject of each labelled case by id, from the slice file."""
    sliced: tuple[str, ...] = field(default=(), compare=False)
    """For `slice`, ids of the cases with slices in training."""

    @property
    def trained_cases(self) -> tuple[str, ...]:
        """Ids of the cases with at least one slice in training."""
        return self.sliced or tuple(name for name in self.train if isinstance(name, str))

    @property
    def digest(self) -> str:
        """SHA-256 of the sides as hex digits; equal for equal splits on every machine."""
        return hashlib.sha256(_as_line(self, without=AROUND).encode()).hexdigest()

    def to_json(self) -> str:
        """Write as one line of JSON with sorted keys; `--split file.json` reads it."""
        return _as_line(self)

    def rows(
        self, part: str, slices: NDArray[np.void], cases: NDArray[np.void]
    ) -> NDArray[np.int64]:
        """Slices of a part of the split.

        Args:
            part: `train`, `validation` or `test`.
            slices: (n,) structured, the slice file's table of slices.
            cases: (c,) structured, its table of cases.

        Returns:
            (n,) int64, rows under /slice, rising.
        """
        members: Members = getattr(self, part)
        if members and isinstance(members[0], int):
            return np.array(members, np.int64)
        chosen = np.flatnonzero(np.isin(cases["id"].astype(str), np.array(members, str)))
        return np.flatnonzero(np.isin(slices["case"], chosen))


def _as_line(split: Split, without: Sequence[str] = ()) -> str:
    """Write the fields of a split, some left out, as one line of JSON with sorted keys."""
    fields = {name: value for name, value in asdict(split).items() if name not in without}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def enhancing_label(classes: Sequence[str]) -> int | None:
    """Stored label of enhancing tumour, from the names of all classes; None where none has it."""
    return classes.index(ENHANCING) if ENHANCING in classes else None


def make_split(
    name: str,
    fold: int,
    slices: NDArray[np.void],
    cases: NDArray[np.void],
    *,
    seed: int = 0,
    test_share: float = 0.0,
    enhancing: int | None = None,
) -> Split:
    """Split the labelled cases of a slice file.

    Fewer than 5 subjects give as many folds as there are subjects. The test set is drawn by
    subject, depends on the seed alone and is the same for every fold.

    Args:
        name: `subject`, `nnunet`, `slice`, or the path of a JSON file.
        fold: counted from 0.
        slices: (n,) structured, the slice file's table of slices.
        cases: (c,) structured, its table of cases.
        seed: of the assignment of subjects to folds; the published folds have their own.
        test_share: share of the subjects to hold out, 0 to below 1; `subject` and `slice` only.
        enhancing: stored label whose presence is shared out evenly over the folds; None for none.

    Raises:
        BratsError: there are too few subjects, the fold does not exist, or the file does not fit.
        ValueError: the name is unknown or does not allow `test_share`.
    """
    if test_share and name not in ("subject", "slice"):
        raise ValueError(f"test_share goes with split subject or slice, not with {name!r}")
    if not 0 <= test_share < 1:
        raise ValueError(f"test_share must be 0 to below 1, got {test_share}")
    labelled = cases[cases["labelled"] > 0]
    if name.endswith(".json"):
        split = _from_file(Path(name), fold, labelled)
    elif name == "nnunet":
        split = _published(fold, labelled)
    elif name in ("subject", "slice"):
        split = _drawn(name, fold, slices, cases, (seed, test_share, enhancing))
    else:
        raise ValueError(f"split must be subject, nnunet, slice or a .json file, got {name!r}")
    return replace(split, subjects=_subjects(labelled))


def _drawn(
    name: str,
    fold: int,
    slices: NDArray[np.void],
    cases: NDArray[np.void],
    draw: tuple[int, float, int | None],
) -> Split:
    """Split by subject, or by slice with the test set by subject.

    Args:
        name: `subject` or `slice`.
        fold: counted from 0.
        slices: (n,) structured, table of slices.
        cases: (c,) structured, table of cases.
        draw: seed of both draws, share of the subjects to hold out, and the enhancing label.
    """
    seed, test_share, enhancing = draw
    labelled = cases[cases["labelled"] > 0]
    subjects = _stratified(labelled, enhancing)
    test = _held_out(subjects, test_share, seed)
    kept = [subject for subject in subjects if subject not in test]
    if name == "subject":
        validation = _dealt(kept, fold, seed)
        train = set(kept) - validation
        sides = (_ids_of(labelled, train), _ids_of(labelled, validation))
        return Split(name, fold, *sides, _ids_of(labelled, test), leaks=False)
    train_rows, chosen = _by_slice(_ids_of(labelled, set(kept)), fold, slices, cases, seed)
    train_cases = np.unique(slices["case"][list(train_rows)])
    sliced = tuple(cases["id"][train_cases].tolist())
    return Split(
        name, fold, train_rows, chosen, _ids_of(labelled, test), leaks=True, sliced=sliced
    )  # fmt: skip


def kfold(n_items: int, folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Divide items as scikit-learn's KFold(folds, shuffle=True, random_state=seed) does.

    Args:
        n_items: at least `folds`.
        folds: at least 1.
        seed: 0 to 2**32 - 1.

    Returns:
        (k,) int64 items of each fold, rising; the first folds have one more if they are uneven.
    """
    # The published folds were drawn with this legacy generator.
    generator = np.random.RandomState(seed)
    order = np.arange(n_items)
    generator.shuffle(order)
    return [np.sort(part) for part in np.array_split(order, folds)]


def _folds(n_items: int, fold: int, noun: str) -> int:
    """Number of folds for a number of items.

    Raises:
        BratsError: there are too few items, or the fold does not exist.
    """
    if n_items < 2:
        raise BratsError(
            f"split: {n_items} labelled {noun}s to divide; training and validation need 2"
        )
    folds = min(FOLDS, n_items)
    if not 0 <= fold < folds:
        raise BratsError(
            f"split: fold {fold} does not exist, {n_items} labelled {noun}s give {folds} folds; "
            f"take --fold 0 to {folds - 1}"
        )
    return folds


def _stratified(cases: NDArray[np.void], enhancing: int | None) -> list[str]:
    """Order subjects by enhancing tumour (those without first), tumour volume in mm3, and name.

    Args:
        cases: (c,) structured, rows of the table of cases.
        enhancing: stored label of enhancing tumour; None where the classes have none.
    """
    volume_mm3 = cases["voxels"][:, 1:].sum(axis=1) * cases["spacing"].prod(axis=1)
    enhances = np.zeros(len(cases), bool)
    if enhancing is not None:
        enhances = cases["voxels"][:, enhancing] > 0
    names = cases["subject"].astype(str)
    keys = []
    for name in sorted(set(names.tolist())):
        of_subject = names == name
        mean_mm3 = float(volume_mm3[of_subject].mean())
        keys.append((bool(enhances[of_subject].any()), mean_mm3, name))
    return [name for _, _, name in sorted(keys)]


def _held_out(subjects: Sequence[str], share: float, seed: int) -> set[str]:
    """Draw one subject from each of as many equal stretches as there are to hold out."""
    if share == 0 or not subjects:
        return set()
    count = max(1, round(share * len(subjects)))
    generator = np.random.default_rng((seed, 1))
    stretches = np.array_split(np.arange(len(subjects)), count)
    return {subjects[generator.choice(stretch)] for stretch in stretches}


def _dealt(subjects: Sequence[str], fold: int, seed: int) -> set[str]:
    """Subjects of a fold: each stretch of neighbours in the order has one in every fold."""
    folds = _folds(len(subjects), fold, "subject")
    generator = np.random.default_rng((seed, 0))
    stretches = range(-(-len(subjects) // folds))
    fold_of = np.concatenate([generator.permutation(folds) for _ in stretches])[: len(subjects)]
    return {subject for subject, number in zip(subjects, fold_of, strict=True) if number == fold}


def _ids_of(cases: NDArray[np.void], subjects: set[str]) -> tuple[str, ...]:
    """Ids of the cases of some subjects, in the order of a (c,) structured table of cases."""
    return tuple(str(row["id"]) for row in cases if row["subject"] in subjects)


def _published(fold: int, cases: NDArray[np.void]) -> Split:
    """nnU-Net's fold: one of five over the sorted case ids, regardless of subjects.

    Args:
        fold: counted from 0.
        cases: (c,) structured, the labelled rows of the table of cases.
    """
    ids = [str(name) for name in cases["id"]]
    chosen = kfold(len(ids), _folds(len(ids), fold, "case"), NNUNET_SEED)[fold]
    validation = tuple(ids[i] for i in chosen)
    train = tuple(name for name in ids if name not in validation)
    return Split("nnunet", fold, train, validation, (), _leaks(cases, train, validation))


def _by_slice(
    ids: tuple[str, ...],
    fold: int,
    slices: NDArray[np.void],
    cases: NDArray[np.void],
    seed: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide the single slices of some cases into training and validation.

    Args:
        ids: of the cases.
        fold: counted from 0.
        slices: (n,) structured, table of slices.
        cases: (c,) structured, table of cases.
        seed: of the assignment.

    Returns:
        Rows under /slice of training, and of validation.
    """
    rows = np.flatnonzero(np.isin(cases["id"].astype(str)[slices["case"]], ids))
    chosen = kfold(len(rows), _folds(len(rows), fold, "slice"), seed)[fold]
    return tuple(np.delete(rows, chosen).tolist()), tuple(rows[chosen].tolist())


def _subjects(cases: NDArray[np.void]) -> dict[str, str]:
    """Subject of each case of a (c,) structured table of cases, by id."""
    return {str(row["id"]): str(row["subject"]) for row in cases}


def _leaks(cases: NDArray[np.void], *sides: tuple[str, ...]) -> bool:
    """Whether a subject of a (c,) structured table of cases is on two sides."""
    subject = _subjects(cases)
    subjects = [{subject[name] for name in side} for side in sides]
    return sum(map(len, subjects)) != len(set().union(*subjects))


def _from_file(path: Path, fold: int, cases: NDArray[np.void]) -> Split:
    """Read a split from JSON: our own form, or nnU-Net's list of folds with `train` and `val`.

    Args:
        path: of the file.
        fold: counted from 0.
        cases: (c,) structured, the labelled rows of the table of cases.

    Raises:
        BratsError: the file is no split, or does not fit the cases.
    """
    chosen = _fold_of(path, fold)
    validation = chosen.get("validation", chosen.get("val"))
    sides = [chosen.get("train"), validation, chosen.get("test", [])]
    for part, side in zip(PARTS, sides, strict=True):
        if not isinstance(side, list) or not all(isinstance(name, str) for name in side):
            raise BratsError(f"{path}: {part!r} of fold {fold} is no list of case ids")
    members = [tuple(sorted(side)) for side in sides if side is not None]
    listed = [name for side in members for name in side]
    labelled = {str(name) for name in cases["id"]}
    missing = sorted(set(listed) - labelled)
    if missing:
        raise BratsError(
            f"{path}: {len(missing)} cases are not among the {len(labelled)} labelled ones of the "
            f"slice file, such as {missing[0]}; remove them from the split, or build with them"
        )
    twice = sorted(name for name in set(listed) if listed.count(name) > 1)
    if twice:
        raise BratsError(f"{path}: case {twice[0]} is listed twice; a case is on one side only")
    if not members[0] or not members[1]:
        raise BratsError(f"{path}: train and validation need at least one case each")
    train, validated, test = members
    return Split(path.name, fold, train, validated, test, _leaks(cases, *members))


def _fold_of(path: Path, fold: int) -> dict[str, Any]:
    """The object of one fold in a JSON file of splits."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BratsError(f"{path}: cannot be read as JSON: {error}") from error
    folds = content if isinstance(content, list) else [content]
    if not all(isinstance(one, dict) for one in folds):
        raise BratsError(f"{path}: is no split; expected {{'train': [...], 'validation': [...]}}")
    if not 0 <= fold < len(folds):
        raise BratsError(f"{path}: holds {len(folds)} folds; take --fold 0 to {len(folds) - 1}")
    return dict(folds[fold])
