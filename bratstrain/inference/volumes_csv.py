"""Volumes of predictions as CSV: one row a case, a column for each class and region."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet
from bratsprep.system.atomic import replacing

VOLUMES: Final = "volumes.csv"
_DIGITS: Final = 4
"""After the point of a volume in ml, a tenth of a cubic millimetre."""


def part_volumes(
    voxels: Sequence[int], spacing: Sequence[float], classes: ClassSet
) -> dict[str, float]:
    """Volume of each class and region by name, ml.

    Args:
        voxels: (classes,) voxels of each stored class.
        spacing: (3,) mm, voxel size.
        classes: of the labels.
    """
    x, y, z = spacing
    voxel_ml = x * y * z / 1000
    return {
        name: sum(voxels[label] for label in labels) * voxel_ml
        for name, labels in classes.parts.items()
    }


def columns(classes: ClassSet) -> list[str]:
    """Header of the file."""
    return ["case", "scheme", *(f"{name} (ml)" for name in classes.parts)]


def row(case: str, scheme: str, volumes: Mapping[str, float]) -> dict[str, str]:
    """One case as a row.

    Args:
        case: id.
        scheme: name of the label scheme that it was written in.
        volumes: as `part_volumes` gives them, ml.
    """
    texts = {f"{name} (ml)": f"{volume:.{_DIGITS}f}" for name, volume in volumes.items()}
    return {"case": case, "scheme": scheme, **texts}


def read_rows(path: Path, classes: ClassSet) -> dict[str, dict[str, str]]:
    """Rows of a file that an earlier call wrote, by case; none where there is no file.

    Raises:
        BratsError: the file has other columns, or cannot be read.
    """
    if not path.exists():
        return {}
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8")))
        rows = {each["case"]: each for each in reader} if reader.fieldnames else {}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise BratsError(f"{path}: cannot be read as volumes: {error}") from error
    if reader.fieldnames != columns(classes):
        raise BratsError(
            f"{path}: has other columns than {', '.join(columns(classes))}; name another folder"
        )
    return rows


def write_rows(path: Path, rows: Mapping[str, Mapping[str, str]], classes: ClassSet) -> None:
    """Write the rows, by case.

    Raises:
        BratsError: the file cannot be written.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns(classes), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[case] for case in sorted(rows))
    with replacing(path) as file:
        file.write(out.getvalue().encode())
