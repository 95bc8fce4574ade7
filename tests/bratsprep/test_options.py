"""Options are made from settings, and errors become messages with an exit code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from bratsprep.errors import BratsError
from bratsprep.options import (
    EXTRAS,
    SectionedCommand,
    Sides,
    Whole,
    from_toml,
    given,
    missing,
    reported,
    settings_options,
)
from bratsprep.settings import ADVANCED, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    """A field of every kind that becomes an option."""

    rarely: int = setting(1, help="Rare.", section=ADVANCED)
    mode: Literal["", "fast", "small"] = setting("", help="Mode.")
    count: int = setting(8, help="Count.", words={"auto": 0}, option="--n")
    share: float = setting(0.5, help="Share.")
    sides: tuple[int, int] = setting((2, 3), help="Sides.", metavar="HxW")
    names: Sequence[str] = setting((), help="Names.", option="--name")
    flag: bool = setting(False, help="Flag.")


RECIPES = {"one": {"share": 0.5, "flag": True}, "two": {"share": 0.25, "flag": True}}


@click.command(cls=SectionedCommand)
@settings_options(Example)
@click.option("--config", type=click.Path(path_type=None), is_eager=True, expose_value=False)
def plain(**values):
    click.echo(repr(given(values)))


@click.command(cls=SectionedCommand)
@settings_options(Example, only=("share", "flag", "count"), without=("count",), recipes=RECIPES)
def with_recipes(**values):
    click.echo(repr(given(values)))


def call(command, *words):
    return CliRunner().invoke(command, list(words))


def test_nothing_is_passed_on_that_was_not_given():
    assert call(plain).stdout == "{}\n"


def test_options_are_parsed_to_what_the_settings_hold():
    words = ["--n", "3", "--sides", "4x5", "--name", "a", "--name", "b", "--flag", "--mode", "fast"]
    assert eval(call(plain, *words).stdout) == {  # noqa: S307  what our own command printed
        "count": 3, "sides": (4, 5), "names": ("a", "b"), "flag": True, "mode": "fast",
    }  # fmt: skip


def test_a_word_stands_for_its_number():
    assert call(plain, "--n", "auto").stdout == "{'count': 0}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--n", "0"], "must be auto or at least 1, got 0"),
        (["--n", "many"], "must be auto or at least 1, got many"),
        (["--rarely", "1.5"], "must be a whole number, got 1.5"),
        (["--sides", "4"], "must be 2 whole numbers joined by x"),
        (["--sides", "4xb"], "must be 2 whole numbers joined by x"),
        (["--mode", "slow"], "slow"),
    ],
)
def test_other_words_exit_with_2(words, message):
    done = call(plain, *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_help_states_defaults_under_their_headings_with_advanced_last():
    text = call(plain, "--help").stdout
    assert text.index("Options:") < text.index("Other:") < text.index("Advanced options:")
    assert text.index("Advanced options:") < text.index("--rarely")
    assert "Count.  [default: 8]" in text
    assert "Sides.  [default: 2x3]" in text
    assert "[fast|small]" in text


def test_help_states_the_defaults_of_recipes_where_they_differ():
    text = call(with_recipes, "--help").stdout
    assert "Share.  [one: 0.5; two: 0.25]" in text
    assert "--flag / --no-flag" in text
    assert "Flag.  [default: on]" in text
    assert "--n" not in text.replace("--no-flag", "")
    assert call(with_recipes, "--no-flag").stdout == "{'flag': False}\n"


def test_numbers_of_a_toml_file_are_not_rounded():
    context = click.Context(click.Command("x"))
    with pytest.raises(click.BadParameter, match=r"must be a whole number, got 1\.5"):
        Whole({}).convert(1.5, None, context)
    assert Whole({}).convert(-3, None, context) == -3
    assert Sides(2).convert((1, 2), None, context) == (1, 2)


@pytest.mark.parametrize("module", EXTRAS)
def test_missing_module_of_an_extra_names_the_extra(module):
    assert f"'bratsprep[{EXTRAS[module]}]'" in missing(f"{module}.part")


def test_extras_are_those_of_the_project(pytestconfig):
    text = (pytestconfig.rootpath / "pyproject.toml").read_text()
    for module, extra in EXTRAS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{extra} = [")]
        assert f'"{module}>=' in line


def test_missing_module_of_no_extra_is_not_blamed_on_one():
    assert "[" not in missing("nibabel")
    assert "nibabel is missing" in missing("nibabel")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (BratsError("a.h5: broken"), click.ClickException, 1),
        (ValueError("width must be"), click.UsageError, 2),
        (ModuleNotFoundError("no torch", name="torch"), click.ClickException, 1),
    ],
)
def test_errors_have_their_exit_codes(error, kind, code):
    with pytest.raises(kind) as caught, reported():
        raise error
    assert caught.value.exit_code == code


def test_toml_without_a_file_changes_nothing():
    context = click.Context(click.Command("x"))
    from_toml(context, click.Option(["--config"]), None)
    assert not context.default_map
