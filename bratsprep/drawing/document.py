"""Pieces of a page in one file: escaped text, tables, figures, and the document around them.

The document asks nobody for anything: its policy allows the one style sheet and the one script,
known by their digests, and pictures that lie inside. `bratstrain`'s pages are made of it too.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0;
  --tint: #f4f6f8; --area: #c3cad2; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e7eaee; --soft: #a3adb8;
  --line: #363d46; --tint: #1e2329; --area: #4a535e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem clamp(0.8rem, 3vw, 2rem) 3rem; max-width: 74rem;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 0.3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 0.5rem; padding-top: 0.9rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; }
p { margin: 0.4rem 0; max-width: 62rem; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.9rem; }
.facts { display: grid; gap: 0.5rem; margin: 1rem 0 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); }
.facts div { background: var(--tint); border-radius: 6px; padding: 0.5rem 0.75rem; }
.facts dt { color: var(--soft); font-size: 0.82rem; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.93rem; }
caption { text-align: left; caption-side: bottom; padding-top: 0.3rem; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
.charts { display: grid; gap: 1rem 1.5rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; min-width: 0; break-inside: avoid; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); font-size: 11px; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .rug { stroke: var(--ink); stroke-width: 1; stroke-opacity: 0.45; }
svg .area { fill: var(--area); }
svg .case { stroke: var(--ink); stroke-width: 2.6; fill: none; }
svg .edge { stroke: var(--ink); stroke-width: 0.5; }
svg .class { stroke-width: 1.9; fill: none; }
.key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin: 0.5rem 0; padding: 0;
  list-style: none; font-size: 0.9rem; }
.key svg { display: inline-block; width: 30px; height: 12px; margin-right: 0.4rem; }
.cards { display: grid; gap: 1rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 10.5rem), 1fr)); }
.cards figure { background: var(--tint); border-radius: 6px; padding: 0.5rem; }
.cards img { display: block; width: 100%; height: auto; background: #000; border-radius: 3px; }
.cards .none { display: grid; place-items: center; aspect-ratio: 5 / 6; border-radius: 3px;
  border: 1px dashed var(--line); color: var(--soft); font-size: 0.85rem; text-align: center; }
.cards figcaption { margin-top: 0.4rem; overflow-wrap: anywhere; }
.cards b { color: var(--ink); display: block; }
summary { cursor: pointer; margin: 0.8rem 0; }
code { overflow-wrap: anywhere; }
@media print { :root { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --tint: #f4f4f4;
  --area: #ccc; } body { max-width: none; padding: 0; font-size: 11pt; }
  h2 { break-after: avoid; } tr { break-inside: avoid; }
  * { print-color-adjust: exact; } }
"""


def text(value: object) -> str:
    """Escape whatever it is: it shows as text, in an attribute too."""
    return html.escape(str(value), quote=True)


def document(title: str, body: str, style: str = STYLE, script: str = "") -> str:
    """Make a page of its own.

    Args:
        title: plain text.
        body: markup.
        style: style sheet.
        script: JavaScript that runs when the body is there; none by default.
    """
    end = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n{end}</body>\n</html>\n"
    )


def policy(style: str, script: str) -> str:
    """Security policy of a page: its style and script alone, and no request."""
    runs = f"script-src '{digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; {runs}style-src '{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(content: str) -> str:
    """Name a script or style as a security policy does: SHA-256 in base 64."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def section(title: str, *parts: str) -> str:
    """A heading and what follows it.

    Args:
        title: plain text.
        *parts: markup.
    """
    return "\n".join([f"<section>\n<h2>{text(title)}</h2>", *parts, "</section>"])


def paragraph(words: str, soft: bool = False) -> str:
    """One paragraph of plain text."""
    return f'<p class="soft">{text(words)}</p>' if soft else f"<p>{text(words)}</p>"


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table whose cells are plain text, the first column to the left.

    Args:
        head: titles of the columns.
        rows: cells.
        caption: below the table.
    """
    titles = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    ]
    below = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{below}<thead><tr>{titles}</tr></thead>\n<tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def facts(pairs: dict[str, object]) -> str:
    """Names and what they are, side by side."""
    cells = [
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs.items()
    ]
    return f'<dl class="facts">{"".join(cells)}</dl>'
