"""Pages of this package as files: template, assets, and the data of the case viewer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bratsprep.drawing import document
from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing

PACKAGE: Final = "bratstrain.pages"
ASSETS: Final = ("viewer.css", "viewer.js", "charts.js")
FOOTER: Final = "Research use only. Not a medical device."


def html(template: str, title: str, sections: Mapping[str, object]) -> str:
    """Fill a template of this package.

    Args:
        template: `report.html` or `compare.html`.
        title: title of the window.
        sections: values that the template shows; `content` is the data of the case viewer.
    """
    return document.page(PACKAGE, title, {**sections, "footer": FOOTER}, ASSETS, template)


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
