"""Links of the documents: every file and every heading that one leads to must exist.

python -m tests.helpers.links

Addresses of other sites are not fetched: a check must not fail because of another's server.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def pages(root: Path = ROOT) -> list[Path]:
    """Every Markdown page of the checkout."""
    folders = (root, root / "docs", root / "benchmarks", root / "data", root / "tests" / "attacks")
    return [page for folder in folders for page in sorted(folder.glob("*.md"))]


def anchor(heading: str) -> str:
    """Anchor that a heading is given, as GitHub and MkDocs make it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*_]", r"\1", heading)
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain.strip().lower()))


def anchors(page: Path) -> set[str]:
    """Anchors of all headings of a page."""
    return {anchor(match) for match in HEADING.findall(FENCE.sub("", page.read_text("utf-8")))}


def broken(page: Path) -> Iterator[str]:
    """Links of a page that lead nowhere."""
    for match in LINK.finditer(FENCE.sub("", page.read_text("utf-8"))):
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        place = page.parent / name if name else page
        if not place.exists():
            yield f"{page.name}: {target}: there is no such file"
        elif heading and heading not in anchors(place):
            yield f"{page.name}: {target}: there is no such heading"


def main() -> int:
    """Print every broken link; 1 where there is one."""
    found = [line for page in pages() for line in broken(page)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
