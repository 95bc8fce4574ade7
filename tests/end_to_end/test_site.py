"""The documentation site: every public name and page is in it, and it builds without a warning."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bratsprep
import bratstrain
from benchmarks.docs_links import on_page_markdown

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("package", [bratsprep, bratstrain])
def test_every_public_name_is_in_the_reference(package):
    page = (ROOT / "docs" / "api.md").read_text()
    shown = set(re.findall(rf"^::: {package.__name__}\.\S+\.(\w+)$", page, re.MULTILINE))
    public = set(package.__all__) - {"__version__"}
    assert {getattr(package, name).__name__ for name in public} == shown


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    named = set(re.findall(r": (\S+\.md)$", text, re.MULTILINE))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize(
    ("markdown", "wanted"),
    [
        ("[own](own.md)", "[own](own.md)"),
        ("see [figures](../benchmarks/a.md).", "see figures, `benchmarks/a.md`."),
        ("[notebooks/colab.ipynb](../notebooks/colab.ipynb)", "`notebooks/colab.ipynb`"),
    ],
)
def test_links_out_of_the_site_become_paths(markdown, wanted):
    assert on_page_markdown(markdown, page=None) == wanted


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs_click") is None, reason="needs the extra docs")
def test_the_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "site" / "commands.html").read_text()
    assert "bratstrain publish [OPTIONS] RUN OUT" in page
