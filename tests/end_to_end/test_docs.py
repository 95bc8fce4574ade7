"""What the documents say is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bratsprep.cli
import bratsprep.slicefile.schema
import bratstrain.commands.cli
from tests.helpers import links

ROOT = Path(__file__).parent.parent.parent
COMMANDS = [
    (program, name, command)
    for program, group in (
        ("bratsprep", bratsprep.cli.main),
        ("bratstrain", bratstrain.commands.cli.main),
    )
    for name, command in group.commands.items()
]


def test_slice_file_page_is_the_docstring_of_the_schema():
    page = (ROOT / "docs" / "slice-file.md").read_text()
    assert bratsprep.slicefile.schema.__doc__.strip() in page


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_each_command_stands_in_the_readme(program, name, command):
    assert f"{program} {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_help_of_each_command_has_an_example(program, name, command):
    text = command.get_help(click.Context(command, info_name=name))
    assert re.search(rf"Example:\n +{program} {name} ", text)


@pytest.mark.parametrize("page", links.pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert [*links.broken(page)] == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# One `b` (c)\n[a](#one-b-c) [b](#two) [c](d.md) [e](https://e.org)\n"
                    "```text\n[f](g.md)\n```\n")  # fmt: skip
    found = [*links.broken(page)]
    assert [line.split(": ")[1] for line in found] == ["#two", "d.md"]


MARK = re.compile(
    r"(?:<!-- (?P<kind>[a-z ]+): (?P<said>(?:(?!-->).)*?) -->\n\s*)?"
    r"^```(?P<language>sh|python)\n(?P<code>.*?)^```",
    flags=re.DOTALL | re.MULTILINE,
)
"""A block of code; the comment before it says why it is `not run`, or what to run `first`."""
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md"))]


def blocks(path):
    """Mark, what the mark says, language and code of each block of a page."""
    found = MARK.finditer((ROOT / path).read_text())
    return [(m["kind"], m["said"], m["language"], m["code"]) for m in found]


def to_run(path):
    """Shell and Python of a page, in order; what comes `first` is shell."""
    for kind, said, language, code in blocks(path):
        if kind == "first":
            yield "sh", said
        if kind != "not run":
            yield language, code


@pytest.mark.parametrize("path", PAGES)
def test_each_block_is_run_or_says_why_not(path):
    for kind, said, _, _ in blocks(path):
        assert kind in (None, "first", "not run"), kind
        assert kind is None or len(said) > 10


@pytest.mark.parametrize("path", PAGES)
def test_every_fence_names_its_language(path):
    fences = re.findall(r"^```(.*)$", (ROOT / path).read_text(), flags=re.MULTILINE)
    assert set(fences[::2]) <= {"sh", "python", "text", "toml", "json"}
    assert set(fences[1::2]) <= {""}


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in PAGES if [*to_run(path)]])
def test_blocks_of_a_page_run_in_order(path, programs, tmp_path):
    paths = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for language, code in to_run(path):
        program = ["sh", "-e", "-c"] if language == "sh" else [programs / "python", "-c"]
        done = subprocess.run(
            [*program, code], cwd=tmp_path,
            env={**os.environ, "PATH": paths},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, code + done.stdout + done.stderr
