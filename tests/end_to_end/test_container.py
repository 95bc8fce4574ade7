"""The container's recipe holds every file that it names, and runs as nobody's root."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RECIPE = (ROOT / "Dockerfile").read_text()
KEPT = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}


def test_every_file_that_is_copied_exists_and_is_sent():
    copied = {
        name
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", RECIPE, re.MULTILINE)
        for name in line.split()
    }
    assert copied == KEPT
    assert all((ROOT / name).exists() for name in copied)


def test_the_last_user_is_not_root():
    assert re.findall(r"^USER (\S+)$", RECIPE, re.MULTILINE)[-1] == "1000"


def test_torch_comes_from_an_index_that_the_caller_chooses():
    assert re.search(r"^ARG TORCH=https://\S+/cpu$", RECIPE, re.MULTILINE)
    assert '--extra-index-url "$TORCH"' in RECIPE
