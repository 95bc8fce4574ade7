"""Pages of this package as files: template, assets, and the data of the case viewer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bratsprep.drawing import document
from bratsprep.drawing.colours import shown_under
from bratsprep.drawing.colours import title as modality_title
from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet
from bratsprep.system.atomic import replacing

PACKAGE: Final = "bratstrain.pages"
ASSETS: Final = ("viewer.css", "viewer.js", "charts.js", "cases.js")
FOOTER: Final = "Research use only. Not a medical device."


def html(
    template: str,
    title: str,
    sections: Mapping[str, object],
    names: tuple[ClassSet, Sequence[str]],
) -> str:
    """Fill a template of this package.

    Args:
        template: `report.html` or `compare.html`.
        title: title of the window.
        sections: values that the template shows; `content` is the data of the case viewer.
        names: classes of the labels, and modalities of the images.
    """
    classes, modalities = names
    shared = {
        "footer": FOOTER,
        "class_names": class_names(classes),
        "part_names": part_names(classes),
        "modalities": [modality_title(name) for name in modalities],
        "shown_modality": shown_under(modalities),
    }
    return document.page(PACKAGE, title, {**sections, **shared}, classes, ASSETS, template)


def class_names(classes: ClassSet) -> dict[str, dict[str, object]]:
    """Number and meaning of each class but the background, by name."""
    return {
        name: {"k": k, "meaning": meaning(name, classes.titles[k])}
        for k, name in enumerate(classes.tumour, 1)
    }


def meaning(name: str, title: str) -> str:
    """Name and title of a class, such as `ED, oedema`."""
    return name if title == name else f"{name}, {title}"


def part_names(classes: ClassSet) -> dict[str, str]:
    """Names for people of classes and regions: the title of a class, what a region is made of."""
    titles = {
        name: f"{name} ({classes.titles[k]})"
        for k, name in enumerate(classes.tumour, 1)
        if classes.titles[k] != name
    }
    unions = {
        name: f"{name} ({' + '.join(classes.classes[label] for label in labels)})"
        for name, labels in classes.regions
        if name not in classes.classes
    }
    return titles | unions


def write_page(path: Path, text: str) -> int:
    """Write a page atomically, and the folders above it.

    Args:
        path: file to write.
        text: HTML; a lone surrogate, which an undecodable file name brings in, is written as its
            escape sequence.

    Returns:
        Size of the file, bytes.

    Raises:
        BratsError: it cannot be written.
    """
    content = text.encode(errors="backslashreplace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BratsError(f"{path}: cannot be written: {error.strerror or error}") from error
    with replacing(path) as file:
        file.write(content)
    return len(content)
