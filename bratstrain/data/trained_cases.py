"""The cases that a network was fitted on, kept with the run, and other cases compared with them.

Names differ between releases; images do not. So a run keeps the image fingerprints of its training
cases, and every case that is scored or labelled later is compared with those.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import BRAIN_CELLS
from bratsprep.errors import BratsError
from bratsprep.repeats.image_match import LEAST_VOXELS, comparable, match_images
from bratsprep.repeats.search import LIKELY, Pair
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.system.atomic import replacing

LONGEST = 200
"""Characters of a case id that are kept."""


def row_dtype(n_modalities: int) -> np.dtype[Any]:
    """Dtype of one training case."""
    return np.dtype(
        [("id", f"U{LONGEST}"), ("subject", f"U{LONGEST}"), ("brain_voxels", "<i8"),
         ("fingerprint", "i1", (1 + n_modalities, *BRAIN_CELLS))]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """What image fingerprints say of some cases and the training cases."""

    n_cases: int = 0
    """Cases that could be compared."""
    n_trained: int = 0
    """Training cases that they were compared with."""
    best: float | None = None
    """Highest correlation of all; None where no pair was near enough to be examined."""
    certain: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Training cases that certainly show the same person, by case id."""
    likely: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Training cases that probably do, by id of the cases that have no certain one."""

    def line(self, of: str = "") -> str:
        """Describe what was compared, with whose cases (` of runs/a`), and the likely matches."""
        cases = f"{self.n_trained} training case{'' if self.n_trained == 1 else 's'}{of}"
        if not self.n_cases or not self.n_trained:
            return f"not compared by image with the {cases}: brains below {LEAST_VOXELS:,} voxels"
        how = f"compared by image fingerprint with the {cases}"
        nearest = "" if self.best is None else f"; the best match is {self.best:.2f}"
        if self.certain or self.likely:
            pairs = [f"{case} = {', '.join(own)}" for case, own in self.likely.items()]
            return f"{how}" + (f"; likely the same person: {'; '.join(pairs)}" if pairs else "")
        return f"{how}: no match from {LIKELY['images']:.2f}{nearest}"


def trained_rows(path: Path, trained: Sequence[str]) -> NDArray[np.void]:
    """Take the training cases from a slice file.

    Args:
        path: slice file.
        trained: ids of the cases that are trained on.

    Returns:
        (n,) `row_dtype`.
    """
    cases = read_contents(path).cases
    chosen = cases[np.isin(cases["id"].astype(str), list(trained))]
    rows = np.zeros(len(chosen), row_dtype(cases["present"].shape[1]))
    for name in rows.dtype.names or ():
        rows[name] = chosen[name]
    return rows


def write_trained(path: Path, rows: NDArray[np.void]) -> None:
    """Write (n,) structured rows of `row_dtype` as a NumPy file; equal cases give equal bytes."""
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    with replacing(path) as file:
        file.write(content.getvalue())


def read_trained(path: Path) -> NDArray[np.void] | None:
    """Read what `write_trained` wrote.

    Returns:
        (n,) `row_dtype`, or None where the run did not keep its training cases.

    Raises:
        BratsError: the file holds something else.
    """
    if not path.is_file():
        return None
    try:
        rows: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BratsError(f"{path}: cannot be read: {error}; fit the run again") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or not _is_table(rows.dtype):
        raise BratsError(f"{path}: is no table of training cases; put the run's own file back")
    table: NDArray[np.void] = rows
    return table


def read_all_trained(paths: Sequence[Path]) -> NDArray[np.void] | None:
    """Read the training cases of several runs, each once.

    Args:
        paths: as of `read_trained`, at least one.

    Returns:
        (n,) `row_dtype` in the order of the ids, or of the one run; None where a run did not keep
        its training cases.

    Raises:
        BratsError: a file holds something else.
    """
    tables = [rows for rows in map(read_trained, paths) if rows is not None]
    if len(tables) < len(paths):
        return None
    if len(tables) == 1:
        return tables[0]
    rows = np.concatenate(tables)
    _, first = np.unique(rows["id"], return_index=True)
    every: NDArray[np.void] = rows[first]
    return every


def has_modalities(rows: NDArray[np.void], n_modalities: int) -> bool:
    """Whether the fingerprints of (n,) structured `row_dtype` cases are of so many modalities."""
    return rows.dtype == row_dtype(n_modalities)


def joined_rows(own: NDArray[np.void], earlier: NDArray[np.void]) -> NDArray[np.void]:
    """Add the training cases of an earlier run, those that are the very same left out.

    Where it was of another number of modalities, its images cannot be compared with others: ids and
    subjects are kept, with a brain of no voxels.

    Args:
        own: (n,) structured `row_dtype`.
        earlier: (k,) structured `row_dtype`.

    Returns:
        (n to n + k,) `row_dtype` of the modalities of `own`.
    """
    if earlier.dtype != own.dtype:
        names_alone = np.zeros(len(earlier), own.dtype)
        for name in ("id", "subject"):
            names_alone[name] = earlier[name]
        earlier = names_alone
    known = {row.tobytes() for row in own}
    added = np.array([row.tobytes() not in known for row in earlier], bool)
    every: NDArray[np.void] = np.concatenate([own, earlier[added]])
    return every


def _is_table(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is that of training cases of some number of modalities."""
    if "fingerprint" not in (dtype.names or ()):
        return False
    shape = dtype["fingerprint"].shape
    return len(shape) == 1 + len(BRAIN_CELLS) and dtype == row_dtype(shape[0] - 1)


def stored_prints(path: Path, ids: Sequence[str]) -> dict[str, NDArray[np.int8]]:
    """Fingerprints of some cases of a slice file, those with too small brains left out.

    Args:
        path: slice file.
        ids: of the cases.

    Returns:
        (1 + m, z, y, x) int8 by case id.
    """
    rows = trained_rows(path, ids)
    return {str(rows["id"][i]): rows["fingerprint"][i] for i in comparable(rows["brain_voxels"])}


def compare(trained: NDArray[np.void], prints: Mapping[str, NDArray[np.int8]]) -> Compared:
    """Compare cases with those of a training by their images.

    Args:
        trained: (n,) `row_dtype`.
        prints: (1 + m, z, y, x) int8 fingerprint of each case, by id.
    """
    known = trained[comparable(trained["brain_voxels"])]
    if not len(known) or not prints:
        return Compared(len(prints), len(known))
    ids = list(prints)
    matches = match_images(known["fingerprint"], np.stack(list(prints.values())))
    certain: dict[str, list[str]] = {}
    likely: dict[str, list[str]] = {}
    for match in matches:
        pair = Pair(str(known["id"][match.first]), ids[match.second], match.score, "images")
        if pair.certainty:
            found = certain if pair.certainty == "certain" else likely
            found.setdefault(pair.second, []).append(pair.first)
    return Compared(
        len(ids),
        len(known),
        matches[0].score if matches else None,
        {case: tuple(sorted(certain[case])) for case in ids if case in certain},
        {case: tuple(sorted(likely[case])) for case in ids if case in likely.keys() - certain},
    )
