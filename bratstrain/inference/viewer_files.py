"""What viewers need to show labels by name and colour: tables beside them, fields in their header.

ITK-SNAP and 3D Slicer read their tables in the scheme's own codes and colours. NIfTI itself has a
word for labels: intent code 1002, with the name of a file of the labels in `aux_file`
(https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.system.atomic import replacing

INTENT_LABEL: Final = 1002
"""NIFTI_INTENT_LABEL: every voxel is an index into a set of labels."""
ITKSNAP: Final = ".label"
SLICER: Final = ".ctbl"
AUX_BYTES: Final = 23
"""Characters of `aux_file`, its closing zero aside."""
NAME_BYTES: Final = 15
"""Characters of `intent_name`, likewise."""
ABOUT_BYTES: Final = 79
"""Characters of `descrip`, likewise."""
ITKSNAP_HEAD: Final = """\
################################################
# ITK-SnAP Label Description File
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
"""


def written_codes(scheme: Scheme) -> list[tuple[int, int]]:
    """(raw value, stored label) of each class as predictions are written, by raw value."""
    raw = scheme.raw().tolist()
    return sorted((raw[stored], stored) for stored in range(1, len(scheme.classes)))


def itksnap_text(scheme: Scheme) -> str:
    """Label description file of ITK-SNAP: codes, colours, and names with what they mean."""
    classes = scheme.classes
    lines = [f'{0:5d} {0:5d} {0:4d} {0:4d} {0:8d} {0:2d} {0:2d}    "Clear Label"']
    for code, stored in written_codes(scheme):
        red, green, blue = bytes.fromhex(classes.colours[stored][1:])
        name, title = classes.classes[stored], classes.titles[stored].replace('"', "'")
        shown = name if title == name else f"{name}, {title}"
        lines.append(f'{code:5d} {red:5d} {green:4d} {blue:4d} {1:8d} {1:2d} {1:2d}    "{shown}"')
    return ITKSNAP_HEAD + "\n".join(lines) + "\n"


def slicer_text(scheme: Scheme) -> str:
    """Colour table of 3D Slicer: code, name, and red, green, blue and opacity of 0 to 255."""
    lines = [f"# Color table file {table_name(scheme)}{SLICER}", "0 background 0 0 0 0"]
    for code, stored in written_codes(scheme):
        red, green, blue = bytes.fromhex(scheme.classes.colours[stored][1:])
        lines.append(f"{code} {scheme.classes.classes[stored]} {red} {green} {blue} 255")
    return "\n".join(lines) + "\n"


def table_name(scheme: Scheme) -> str:
    """Name of a scheme's files without suffix, short enough for `aux_file`."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", scheme.name).strip("._") or "labels"
    return plain[: AUX_BYTES - len(ITKSNAP)]


def header_fields(scheme: Scheme) -> dict[str, Any]:
    """NIfTI header fields that say what the values of a label file mean."""
    codes = ", ".join(
        f"{code} {scheme.classes.classes[stored]}" for code, stored in written_codes(scheme)
    )
    file = f"{table_name(scheme)}{ITKSNAP}"
    return {
        "intent_code": INTENT_LABEL,
        "intent_name": table_name(scheme)[:NAME_BYTES].encode(),
        "aux_file": file.encode(),
        "descrip": (codes if len(codes) <= ABOUT_BYTES else f"labels as in {file}").encode(),
    }


def colour_tables(folder: Path, schemes: Iterable[Scheme]) -> dict[Path, str]:
    """Text of each colour table of some schemes, by its path.

    Raises:
        BratsError: two schemes that differ would have files of one name.
    """
    texts: dict[Path, str] = {}
    for scheme in schemes:
        for suffix, text in ((ITKSNAP, itksnap_text(scheme)), (SLICER, slicer_text(scheme))):
            path = folder / f"{table_name(scheme)}{suffix}"
            if texts.setdefault(path, text) != text:
                raise BratsError(
                    f"{path}: two label schemes have this name and other classes; rename the one "
                    "of your own"
                )
    return texts


def refuse_others(texts: Mapping[Path, str], *, force: bool) -> None:
    """Refuse to replace a file of the same name that says something else, without `force`.

    Raises:
        BratsError: such a file exists.
    """
    for path, text in texts.items():
        if not force and path.exists() and path.read_bytes() != text.encode():
            raise BratsError(
                f"{path}: exists already with other content; name another folder, or replace it "
                "with --force"
            )


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write text files.

    Raises:
        BratsError: one cannot be written.
    """
    for path, text in texts.items():
        with replacing(path) as file:
            file.write(text.encode())
