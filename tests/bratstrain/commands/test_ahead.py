"""Kernels that are compiled in a second process while the first steps of a demo run."""

import sys
from contextlib import closing

import pytest

from bratsprep.deflate.encoder import deflate_
from bratsprep.volumes.kernels import recode_
from bratstrain.commands import ahead
from bratstrain.commands.ahead import Ahead


def test_build_needs_these_kernels():
    ahead.WARM["build"]()
    assert deflate_.signatures
    assert recode_.signatures


def test_names_are_said_in_their_order(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(ahead, "WARM", {name: lambda name=name: done.append(name) for name in "ab"})
    monkeypatch.setattr(sys, "argv", ["ahead", "b", "a"])
    ahead.main()
    assert done == ["b", "a"]
    assert capsys.readouterr().out == "b\na\n"


def test_process_says_what_it_has_compiled(forked_python):
    with closing(Ahead("build", "scores")) as process:
        assert process.wait("build")
        assert process.wait("scores")


@pytest.mark.parametrize("names", [(), ("nothing",)])
def test_process_that_ends_early_is_not_waited_for(forked_python, names):
    with closing(Ahead(*names)) as process:
        assert not process.wait("build")


def test_process_ends_when_it_is_closed(forked_python):
    process = Ahead("build", "scores")
    process.close()
    assert process._process.returncode is not None
