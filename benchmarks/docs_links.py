"""Hook of the documentation site: links that leave `docs/` become the path of the file.

The pages are read in the repository too, where `../benchmarks/results/SUMMARY.md` is a link. The
site holds `docs/` alone and does not know the repository's address.
"""

import re
from typing import Any

OUTSIDE = re.compile(r"\[(?P<text>[^\]]*)\]\((?:\.\./)+(?P<path>[^)\s]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write "text, `path`" for a link to a file outside `docs/`."""
    return OUTSIDE.sub(shown, markdown)


def shown(match: re.Match[str]) -> str:
    """Text of one such link."""
    text, path = match["text"].strip("`"), match["path"]
    return f"`{path}`" if path.endswith(text) else f"{text}, `{path}`"
