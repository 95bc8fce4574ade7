"""What is done with faulty cases, whichever command meets them."""

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from bratsprep.errors import BratsError, NiftiError
from bratsprep.options import exit_if_any, reported
from bratsprep.system.faulty_cases import (
    ADVICE,
    SetAside,
    advised,
    check_any_left,
    set_aside,
    skipped_lines,
    without_faulty,
)


@dataclass(frozen=True)
class Case:
    id: str


RESULTS = [(Case("a"), 1), (Case("b"), NiftiError("b: is cut short")), (Case("c"), 3)]


def test_faulty_cases_are_set_aside_with_their_reasons():
    faulty = []
    assert list(without_faulty(RESULTS, faulty, skip=True)) == [1, 3]
    assert faulty == [SetAside("b", "b: is cut short")]
    assert skipped_lines(faulty) == ["skipped  1 case:", "  b: b: is cut short"]
    assert skipped_lines([]) == []


def test_first_faulty_case_stops_with_its_own_error_and_the_way_on():
    with pytest.raises(NiftiError, match="b: is cut short") as caught:
        list(without_faulty(RESULTS, [], skip=False))
    assert caught.value.__notes__ == [ADVICE]
    with pytest.raises(BratsError, match="x: is broken"):
        set_aside("x", BratsError("x: is broken"), skip=False)


def test_set_without_a_good_case_is_refused():
    check_any_left("raw", 0, [])
    check_any_left("raw", 1, [SetAside("b", "is cut short")])
    with pytest.raises(BratsError, match="raw: every one of the 1 cases is faulty, such as b: is "):
        check_any_left("raw", 0, [SetAside("b", "is cut short")])


@pytest.mark.parametrize("has_option", [True, False])
def test_way_on_is_printed_by_commands_that_have_it(has_option):
    @click.command()
    def command(**_):
        with reported():
            raise advised(BratsError("b: is cut short"))

    if has_option:
        command.params.append(click.Option(["--on-error"]))
    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert ("--on-error skip" in result.output) == has_option


def test_cases_that_were_set_aside_end_a_command_with_1():
    @click.command()
    @click.option("--any", "is_any", is_flag=True)
    def command(is_any):
        exit_if_any([SetAside("b", "is cut short")] if is_any else [])

    assert CliRunner().invoke(command).exit_code == 0
    assert CliRunner().invoke(command, ["--any"]).exit_code == 1
