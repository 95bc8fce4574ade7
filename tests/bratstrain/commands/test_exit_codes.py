"""How a command ends that is one of several ranks."""

import sys

import click
import pytest

from bratstrain.commands import exit_codes
from bratstrain.commands.exit_codes import as_rank, stopping
from bratstrain.ranks.process_group import Echo

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


class LeftError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def left(monkeypatch):
    """Exit codes of a process that is the second of two ranks."""
    codes = []
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)

    def leave(code):
        codes.append(code)
        raise LeftError

    monkeypatch.setattr(exit_codes, "leave", leave)
    return codes


def end(what):
    """Leave as a rank after doing something; gives whether the rank was to speak."""
    spoke = []
    with pytest.raises(LeftError), as_rank() as speaks:  # noqa: PT012
        spoke.append(speaks)
        what()
    return spoke[0]


def fail(error, cause=None):
    raise error from cause


def test_a_process_by_itself_ends_as_ever():
    with as_rank() as speaks:
        assert speaks
    with pytest.raises(ValueError, match="as ever"), as_rank():
        raise ValueError("as ever")


def test_a_rank_leaves_at_once(left):
    assert not end(lambda: None)
    assert left == [0]


def test_the_first_rank_speaks(left, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    assert end(lambda: None)


def test_an_error_of_this_rank_is_said(left, capsys):
    end(lambda: fail(click.UsageError("batch 5 is odd")))
    assert left == [2]
    assert "batch 5 is odd" in capsys.readouterr().err


def test_an_error_that_the_first_rank_has_said_is_not_repeated(left, capsys):
    end(lambda: fail(click.ClickException("batch 5 is odd"), Echo("batch 5 is odd")))
    assert left == [1]
    assert capsys.readouterr().err == ""


def test_a_stopped_rank_keeps_its_exit_code_and_is_quiet(left, capsys):
    def stop():
        with stopping(speaks=False):
            raise KeyboardInterrupt

    end(stop)
    assert left == [130]
    assert capsys.readouterr().err == ""


def test_an_exit_with_words_is_a_failure(left):
    end(lambda: sys.exit("words"))
    assert left == [1]


def test_a_fault_of_the_program_shows_its_traceback(left, capsys):
    end(lambda: fail(RuntimeError("a bug")))
    assert left == [1]
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_an_environment_that_makes_no_sense_is_said(monkeypatch):
    for name, value in (TORCHRUN | {"RANK": "x"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(click.ClickException, match="no whole number"), as_rank():
        pass
