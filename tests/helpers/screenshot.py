"""Take the README's picture of a report: `python -m tests.helpers.screenshot PAGE PNG`."""

import base64
import sys
import tempfile
from pathlib import Path

from tests.helpers import browser

WIDTH, HEIGHT = 1100, 8000
"""Of the window, pixels: high enough that nothing above the section is out of sight."""


def main(page, png):
    """Draw the section of the cases."""
    if not page.is_file():
        sys.exit(f"{page}: is not there; 'make demo' makes it")
    program = browser.find()
    if program is None:
        sys.exit("no Chromium; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shown = browser.Browser(program, Path(folder))
        try:
            shown.open(page, width=WIDTH, height=HEIGHT)
            top = "document.querySelector('#cases').getBoundingClientRect()"
            y, height = shown.run(f"[{top}.top + scrollY, {top}.height]")
            clip = {"x": 0, "y": y, "width": WIDTH, "height": height, "scale": 1}
            taken = shown.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        finally:
            shown.close()
    png.write_bytes(base64.b64decode(taken["data"]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
