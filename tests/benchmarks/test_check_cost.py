"""What the checks of a build cost, as shares of the build."""

import sys
from types import ModuleType

import pytest

import bratsprep
from benchmarks.check_cost import main, table
from benchmarks.within import Clock


def test_a_watched_function_still_works_and_adds_up():
    module = ModuleType("watched")
    module.double = lambda value, times=2: value * times
    ticks = iter([0.0, 1.0, 5.0, 7.0])
    clock = Clock()
    clock.watch(module, "double", "doubling", lambda: next(ticks))
    assert module.double(3) == 6
    assert module.double("a", times=3) == "aaa"
    assert clock.seconds == {"doubling": 3.0}


def test_a_watched_function_that_fails_counts_too():
    module = ModuleType("watched")
    module.fail = lambda: 1 / 0
    ticks = iter([0.0, 1.5])
    clock = Clock()
    clock.watch(module, "fail", "failing", lambda: next(ticks))
    with pytest.raises(ZeroDivisionError):
        module.fail()
    assert clock.seconds == {"failing": 1.5}


def test_shares_are_taken_within_a_build_and_leave_out_what_was_there_before():
    builds = [
        {"search": 0.02, "fingerprints (in 0.1 too)": 0.5, "all": 1.0},
        {"search": 0.08, "fingerprints (in 0.1 too)": 0.5, "all": 2.0},
        {"search": 0.09, "fingerprints (in 0.1 too)": 0.5, "all": 3.0},
    ]
    lines = table(builds)
    assert "| search | 0.080 | 3.00 % |" in lines
    assert "| **all checks that 0.1 had not** | 0.080 | 3.00 % |" in lines


@pytest.mark.slow
def test_every_check_of_a_build_is_timed(tmp_path, monkeypatch, capsys):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=2, shape=(24, 24, 12), workers=1)
    command = ["check_cost", str(raw), "--work", str(tmp_path), "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--results", str(tmp_path), "--workers", "1"])
    main()
    written = (tmp_path / "check_cost.md").read_text()
    for what in ("background and brain", "odd images", "search for repeated", "records of"):
        assert what in written
    assert written.strip() in capsys.readouterr().out
