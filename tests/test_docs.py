"""What the documents say is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bratsprep.cli
import bratsprep.schema
import bratstrain.cli

ROOT = Path(__file__).parent.parent
COMMANDS = [
    (program, name, command)
    for program, group in (("bratsprep", bratsprep.cli.main), ("bratstrain", bratstrain.cli.main))
    for name, command in group.commands.items()
]


def test_slice_file_page_is_the_docstring_of_the_schema():
    page = (ROOT / "docs" / "slice-file.md").read_text()
    assert bratsprep.schema.__doc__.strip() in page


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_each_command_stands_in_the_readme(program, name, command):
    assert f"{program} {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_help_of_each_command_has_an_example(program, name, command):
    text = command.get_help(click.Context(command, info_name=name))
    assert re.search(rf"Example:\n +{program} {name} ", text)


@pytest.mark.parametrize("path", ["README.md", "CHANGELOG.md", *sorted(
    str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))])  # fmt: skip
def test_links_lead_somewhere(path):
    page = ROOT / path
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def blocks_to_test():
    """Shell blocks of the README that begin with `# tested`."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"```sh\n# tested\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
def test_commands_of_the_readme_run(tmp_path):
    blocks = blocks_to_test()
    assert blocks
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for block in blocks:
        done = subprocess.run(
            ["sh", "-e", "-c", block], cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
