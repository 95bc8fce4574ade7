"""The files at the root agree with each other and with the tree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PAGES = [
    "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md",
    "benchmarks/README.md", "data/README.md", "tests/attacks/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")),
]  # fmt: skip
WIDTH = 110
"""Characters of a line of prose; tables, code and comments may be wider."""
FOLDERS = ("bratsprep", "bratstrain", "tests", "benchmarks", "docs", "notebooks")


def test_citation_has_the_version_of_the_project():
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_changelog_begins_with_the_version_of_the_project():
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    dated = [section for section in sections if section != "Unreleased"]
    assert re.fullmatch(rf"{re.escape(VERSION)} — \d{{4}}-\d\d-\d\d", dated[0])
    released = (ROOT / "CITATION.cff").read_text().split("date-released: ")[1][1:11]
    assert dated[0].endswith(released)


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True,
                           text=True, check=True)  # fmt: skip
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert [line.split()[0] for line in shown.stdout.splitlines()] == phony


def test_clean_leaves_environment_and_demo():
    plan = subprocess.run(["make", "-n", "clean"], cwd=ROOT, capture_output=True, text=True,
                          check=True).stdout  # fmt: skip
    words = plan.split()
    assert ".venv" not in words
    assert "demo" not in words


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", (ROOT / page).read_text())
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_prose_has_one_width(page):
    is_code, wide = False, []
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        is_code ^= line.startswith("```")
        is_free = is_code or line.startswith(("```", "|", "<!--", "!["))
        if not is_free and len(line) > WIDTH and " " in line.strip("- "):
            wide.append(number)
    assert wide == []


def test_recipes_are_six():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    recipes = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert recipes == [
        "A network", "A metric", "A layout of files", "A label scheme", "A loss", "An augmentation"
    ]  # fmt: skip


def test_workflow_runs_what_people_run():
    assert "make check test" in (ROOT / ".github" / "workflows" / "check.yml").read_text()
    assert "make check test" in (ROOT / ".ci" / "run").read_text()
