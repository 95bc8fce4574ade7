"""One field holds what is known about a setting, and everything reads it from there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest

from bratsprep.settings import (
    check,
    default_text,
    described,
    facts_of,
    from_names,
    keywords,
    setting,
    take,
)

Mode = Literal["fast", "small"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One field of every kind."""

    mode: Mode = setting("fast", help="Speed or size.")
    other: Mode | None = setting(None, help="Another mode.")
    count: int = setting(1, help="A number.", minimum=0, maximum=9, words={"auto": 0})
    share: float = setting(0.5, help="A share.", minimum=0, below=1)
    rate: float = setting(0.1, help="A rate.", above=0, keyword="learning_rate")
    free: float = setting(0.0, help="Any number.")
    big: int = setting(0, help="Any whole number.")
    flag: bool = setting(False, help="A flag.")
    names: Sequence[str] = setting((), help="Names.")
    modes: Sequence[Mode] = setting(("fast",), help="Modes.")
    sides: tuple[int, int] = setting((2, 3), help="Sides.", minimum=1)
    table: Path | str = setting("auto", help="A path.")
    fixed: int = setting(4, help="Follows from the data.", is_fixed=True)
    plain: int = 0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Further:
    """A second class of settings."""

    depth: int = setting(5, help="Levels.")

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "small"}, {"other": "fast"}, {"count": 9}, {"share": 0}, {"rate": 1e9},
        {"free": -3.5}, {"big": 2**53 - 1}, {"names": ("a", "b")}, {"modes": ("small", "fast")},
        {"sides": (1, 1)}, {"table": Path("a.csv")}, {"plain": "not a setting"},
    ],
    ids=str,
)  # fmt: skip
def test_allowed_values_are_accepted(values):
    ((name, value),) = values.items()
    assert getattr(Example(**values), name) == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "slow"}, "mode must be one of fast, small, got 'slow'"),
        ({"mode": None}, "mode must be one of fast, small, got None"),
        ({"mode": ["fast"]}, "mode must be one of"),
        ({"other": "slow"}, "other must be one of fast, small, got 'slow'"),
        ({"count": 10}, "count must be 0 to 9, got 10"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"count": 1.0}, r"count must be a whole number, got 1\.0"),
        ({"share": 1}, "share must be at least 0 and below 1, got 1"),
        ({"share": math.nan}, "share must be at least 0 and below 1, got nan"),
        ({"share": "0.5"}, "share must be a number, got '0.5'"),
        ({"rate": 0.0}, r"learning_rate must be above 0, got 0\.0"),
        ({"rate": math.inf}, "learning_rate must be above 0, got inf"),
        ({"free": math.inf}, "free must be finite, got inf"),
        ({"big": 2**53}, "big must be below 2\\*\\*53, got 54 bits"),
        ({"count": 10**400}, "count must be below 2\\*\\*53, got 1329 bits"),
        ({"flag": 1}, "flag must be true or false, got 1"),
        ({"names": "ab"}, "names must be a list of: text, got 'ab'"),
        ({"names": (1,)}, "names must be a list of: text"),
        ({"modes": ("slow",)}, "modes must be one of fast, small"),
        ({"sides": (1, 0)}, "sides must be at least 1"),
        ({"sides": (1,)}, "sides must be 2 of: a whole number"),
        ({"table": 3}, "table must be a path or text, got 3"),
    ],
    ids=str,
)
def test_other_values_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Example(**values)


def test_keywords_leave_out_what_a_caller_cannot_give():
    assert "learning_rate" in keywords(Example)
    assert not {"rate", "fixed", "plain"} & set(keywords(Example))


def test_keywords_of_a_call_go_to_their_classes():
    given = {"depth": 3, "learning_rate": 0.5, "names": ["a", "b"]}
    example, further = take("verb", given, Example, Further)
    assert example == {"rate": 0.5, "names": ("a", "b")}
    assert further == {"depth": 3}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("coutn", "mean 'count'"), ("fixed", "known: "), ("rate", ""), ("zzz", "known: big, ")],
)
def test_unknown_keyword_is_a_type_error(name, hint):
    with pytest.raises(TypeError, match=rf"^verb\(\) got an unexpected .* {name!r}.*{hint}"):
        take("verb", {name: 1}, Example)


def test_settings_come_back_from_names():
    assert from_names(Further, {"depth": 7}) == Further(depth=7)


@pytest.mark.parametrize("names", [[], "depth", {"dept": 1}, {"depth": "1"}], ids=str)
def test_names_of_another_form_are_refused(names):
    with pytest.raises(ValueError, match=r"setting|depth"):
        from_names(Further, names)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mode", "fast", "fast"), ("other", None, ""), ("count", 0, "auto"), ("count", 3, "3"),
        ("share", 0.0, "0"), ("share", 0.25, "0.25"), ("flag", True, "on"), ("flag", False, "off"),
        ("names", (), ""), ("names", ("a", "b"), "a, b"), ("sides", (2, 3), "2x3"),
    ],
)  # fmt: skip
def test_defaults_are_written_as_options_take_them(name, value, text):
    members = {member.name: member for member in fields(Example)}
    assert default_text(members[name], value) == text


def test_plain_field_has_no_facts():
    members = {member.name: member for member in fields(Example)}
    assert facts_of(members["count"]).maximum == 9
    with pytest.raises(TypeError, match="plain was not made with setting"):
        facts_of(members["plain"])


def test_types_are_described_in_words():
    assert described(int) == "a whole number"
    assert described(tuple[int, int]) == "2 of: a whole number"
    assert described(Path | str) == "a path or text"
