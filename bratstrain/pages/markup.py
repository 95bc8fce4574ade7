"""One self-contained HTML page: escaped text, one style, one script, nothing from elsewhere.

Text becomes markup in `tag` alone, which escapes all that is not markup already; so what data
bring along can show and never run. The document around it is that of
`bratsprep.drawing.document`, whose security policy names script and style by their digests and
forbids every request.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from bratsprep.drawing import document as document_module
from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing

STYLE: Final = "page.css"
SCRIPTS: Final = ("viewer.js", "charts.js")
_VOID: Final = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})
"""Elements without an end."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | Markup | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Make an element; text and the values of attributes are escaped.

    Args:
        name: of the element.
        *children: markup, text or numbers, or iterables of them.
        **attributes: True for one without a value, None or False for one that is left out; an
            underscore at the end is dropped, others become hyphens.
    """
    begin = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{begin}>")
    return Markup(f"<{name}{begin}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Put markup and text behind each other, the text escaped."""
    return Markup("".join(map(_escaped, children)))


def _escaped(child: Child) -> str:
    """HTML of a child."""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return document_module.text(child)
    return joined(*child)


def _attribute(key: str, value: str | float | bool | None) -> str:
    """Write an attribute, a space before it."""
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    said = f"{value:g}" if isinstance(value, float) else value
    return f' {name}="{document_module.text(said)}"'


def table(
    head: Sequence[Child], rows: Iterable[Sequence[Child]], caption: Child = "", class_: str = ""
) -> Markup:
    """Make a table whose first column names the rows; it scrolls where the window is narrow.

    Args:
        head: of each column.
        rows: cells, as many as there are columns.
        caption: what the table is; it names the box that scrolls, too.
        class_: of the table.
    """
    body = (
        tag("tr", tag("th", first, scope="row"), (tag("td", cell) for cell in others))
        for first, *others in rows
    )
    made = tag(
        "table",
        tag("caption", tag("span", caption)) if caption else "",
        tag("thead", tag("tr", (tag("th", cell, scope="col") for cell in head))),
        tag("tbody", body),
        class_=class_ or None,
    )
    name = caption if isinstance(caption, str) and caption else "table"
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=name)


def section(title: str, *children: Child, id_: str) -> Markup:
    """Make a section with a heading that can be linked to."""
    heading = tag("h2", title, id=f"{id_}-title")
    return tag("section", heading, *children, id=id_, aria_labelledby=f"{id_}-title")


def facts(pairs: Mapping[str, Child]) -> Markup:
    """List names and values."""
    each = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs.items())
    return tag("dl", each, class_="facts")


def resource(name: str) -> str:
    """Read one of the files that came with the package."""
    return files("bratstrain.pages").joinpath("assets", name).read_text(encoding="utf-8")


def script_json(value: object) -> Markup:
    """Write data for the script; no `<` is left that could end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def document(title: str, body: Child, content: Mapping[str, Any]) -> str:
    """Make a whole page.

    Args:
        title: of the window.
        body: what the page shows.
        content: what the script reads: plain values, no nan.
    """
    data = tag("script", script_json(content), id="content", type="application/json")
    script = "\n".join(resource(name) for name in SCRIPTS)
    return document_module.document(title, joined(body, data), resource(STYLE), script)


def write_page(path: Path, text: str) -> int:
    """Write a page in one move; gives its bytes.

    Raises:
        BratsError: it cannot be written.
    """
    content = text.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BratsError(f"{path}: cannot be written: {error.strerror or error}") from error
    with replacing(path) as file:
        file.write(content)
    return len(content)
