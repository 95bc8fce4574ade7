"""Settings as fields of frozen dataclasses, each stated once.

A field made with `setting` holds everything that is known about it: type and default as in any
dataclass, and beside them help, bounds and the name of its option. Validation (`check`), the
keywords of the verbs (`take`), the options of the commands (`bratsprep.options`) and the tables of
`docs/settings.md` all read the field. To add a setting, add the field, and its keyword to the
`TypedDict` beside the class, which exists for editors and type checkers; a test compares the two.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
KINDS: Final[Mapping[Any, str]] = MappingProxyType(
    {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        Path: "a path",
        NoneType: "nothing",
    }
)
"""Name of a type in a message."""
MAX_WHOLE: Final = 2**53
"""Whole numbers of this size and larger are not exact in every reader of JSON."""
ADVANCED: Final = "Advanced options"
"""Section of settings that few users change; a command lists it last."""
_KEY: Final = "setting"
_UNIONS: Final = (Union, UnionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known about a field beside its type and its default."""

    help: str
    """Sentences without markup, for the help of a command and for the docs."""
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    """Exclusive lower bound."""
    below: float = math.inf
    """Exclusive upper bound."""
    words: Mapping[str, int] = field(default_factory=dict)
    """Words that the option accepts for a number, such as `auto` for 0."""
    keyword: str = ""
    """Name in a verb and in TOML, where it differs from that of the field."""
    option: str = ""
    """Name of the option, where it does not follow from the keyword."""
    metavar: str | None = None
    section: str = "Options"
    """Heading in the help of a command."""
    is_fixed: bool = False
    """The field follows from the data: it is neither a keyword nor an option."""

    def bounds(self) -> str:
        """State the allowed numbers, such as `0 to 5`; empty where every number is allowed."""
        lower, upper = "", ""
        if self.minimum > -math.inf:
            lower = f"at least {_plain(self.minimum)}"
        if self.above > -math.inf:
            lower = f"above {_plain(self.above)}"
        if self.maximum < math.inf:
            upper = f"at most {_plain(self.maximum)}"
        if self.below < math.inf:
            upper = f"below {_plain(self.below)}"
        if self.minimum > -math.inf and self.maximum < math.inf:
            return f"{_plain(self.minimum)} to {_plain(self.maximum)}"
        return " and ".join(filter(None, (lower, upper)))

    def allows(self, value: float) -> bool:
        """Whether a number lies inside the bounds; nan and infinities do not."""
        inside = self.minimum <= value <= self.maximum and self.above < value < self.below
        return inside and math.isfinite(value)


def setting(default: Any, **facts: Any) -> Any:  # noqa: ANN401  any type, as dataclasses.field
    """Make a dataclass field that is a setting.

    Args:
        default: of the field; a dict is copied for each object.
        **facts: fields of `Setting`; `help` is required.
    """
    if isinstance(default, dict):
        return field(default_factory=default.copy, hash=False, metadata={_KEY: Setting(**facts)})
    return field(default=default, metadata={_KEY: Setting(**facts)})


def is_setting(member: "Field[Any]") -> bool:
    """Whether a field was made with `setting`."""
    return _KEY in member.metadata


def facts_of(member: "Field[Any]") -> Setting:
    """Give the facts of a field that was made with `setting`.

    Raises:
        TypeError: it was not.
    """
    facts = member.metadata.get(_KEY)
    if not isinstance(facts, Setting):
        raise TypeError(f"{member.name} was not made with setting()")
    return facts


def keyword_of(member: "Field[Any]") -> str:
    """Give the name of a setting in a verb, in TOML and in messages."""
    return facts_of(member).keyword or member.name


def keywords(kind: "type[DataclassInstance]") -> dict[str, "Field[Any]"]:
    """List the settings of a class that a caller can give, by keyword."""
    return {
        keyword_of(member): member
        for member in fields(kind)
        if is_setting(member) and not facts_of(member).is_fixed
    }


def choices(kind: object) -> tuple[str, ...]:
    """List the words of a `Literal` type, also inside a union; empty for every other type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next(filter(None, map(choices, get_args(kind))), ())


def check(config: "DataclassInstance") -> None:
    """Refuse values that their settings do not allow; call it in `__post_init__`.

    A whole number is accepted for a number.

    Args:
        config: fields that were not made with `setting` are not looked at.

    Raises:
        ValueError: a value is of another type, not among the choices, or out of bounds.
    """
    for member in filter(is_setting, fields(config)):
        _check_value(
            keyword_of(member), getattr(config, member.name), member.type, facts_of(member)
        )


def check_values(values: Mapping[str, object], known: "Mapping[str, Field[Any]]") -> None:
    """Refuse single values by keyword, before they are put together.

    Args:
        values: as a TOML file gives them, each a keyword of `known`.
        known: fields by keyword, as `keywords` gives them.

    Raises:
        ValueError: as `check`.
    """
    for name, value in values.items():
        _check_value(name, value, known[name].type, facts_of(known[name]))


def _check_value(name: str, value: object, kind: object, facts: Setting) -> None:
    """Refuse one value."""
    if not _fits(value, kind):
        raise ValueError(f"{name} must be {described(kind)}, got {value!r}")
    for number in value if isinstance(value, tuple) else (value,):
        is_exact = MAX_WHOLE <= facts.maximum < math.inf  # the setting allows larger ones itself
        if isinstance(number, int) and abs(number) >= MAX_WHOLE and not is_exact:
            raise ValueError(f"{name} must be below 2**53, got {number.bit_length()} bits")
        if isinstance(number, int | float) and not facts.allows(number):
            raise ValueError(f"{name} must be {facts.bounds() or 'finite'}, got {value}")


def _fits(value: object, kind: object) -> bool:
    """Whether a value is of a type; `True` is no number here."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in _UNIONS:
        return any(_fits(value, member) for member in inner)
    if origin in (tuple, Sequence, dict):
        return _holds(value, origin, inner)
    return type(value) is kind or (kind is float and type(value) is int) or (
        kind is Path and isinstance(value, Path)
    )  # fmt: skip


def _holds(value: object, origin: object, inner: tuple[Any, ...]) -> bool:
    """Whether a value is a collection of members of some types; names are text."""
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(name, str) for name in value)
    if not isinstance(value, tuple):
        return False
    kinds = inner if origin is tuple else inner * len(value)
    return len(value) == len(kinds) and all(map(_fits, value, kinds))


def described(kind: object) -> str:
    """Name a type in words, such as `a whole number` or `one of fast, small, none`."""
    origin, inner = get_origin(kind), get_args(kind)
    if words := choices(kind):
        return f"one of {', '.join(words)}"
    if origin in _UNIONS:
        return " or ".join(map(described, inner))
    if origin is dict:
        return "names and values"
    if origin in (tuple, Sequence):
        size = f"{len(inner)} of" if origin is tuple else "a list of"
        return f"{size}: {described(inner[0])}"
    return KINDS.get(kind, str(kind))


def take(
    verb: str, given: Mapping[str, Any], *kinds: "type[DataclassInstance]"
) -> list[dict[str, Any]]:
    """Sort the keywords of a call by the classes that they are settings of.

    Lists become tuples, so that settings are never changed from outside.

    Args:
        verb: name of the called function, for the message.
        given: keywords and values.
        *kinds: classes whose settings the verb accepts; no two share a keyword.

    Returns:
        One dict for each class, from field names to values.

    Raises:
        TypeError: a keyword belongs to none of the classes.
    """
    allowed = {name: kind for kind in kinds for name in keywords(kind)}
    for name in given:
        if name not in allowed:
            raise TypeError(
                f"{verb}() got an unexpected keyword argument {name!r}{hint(name, allowed)}"
            )
    return [
        {
            member.name: tuple(given[name]) if isinstance(given[name], list) else given[name]
            for name, member in keywords(kind).items()
            if name in given
        }
        for kind in kinds
    ]


def hint(name: str, allowed: Mapping[str, object]) -> str:
    """Suggest the allowed name that is closest to a misspelt one, or list all of them."""
    close = difflib.get_close_matches(name, allowed, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(allowed))}"


def from_names(kind: type[Config], names: object) -> Config:
    """Make settings from what was read from JSON: field names and values.

    Raises:
        ValueError: it is no table of names, a name is unknown, or a value is not allowed.
    """
    if not isinstance(names, dict):
        raise ValueError("settings must be names and values")
    allowed = {member.name: member for member in fields(kind)}
    for name in names:
        if name not in allowed:
            raise ValueError(f"unknown setting {name}{hint(str(name), allowed)}")
    return kind(**names)


def default_text(member: "Field[Any]", value: object) -> str:
    """Write a value as an option takes it; empty where there is nothing to show."""
    words = {number: word for word, number in facts_of(member).words.items()}
    if value is None or value in ("", (), {}):
        return ""
    if type(value) is bool:
        return "on" if value else "off"
    if type(value) is int and value in words:
        return words[value]
    if isinstance(value, tuple):
        mark = "x" if type(value[0]) is int else ", "
        return mark.join(map(str, value))
    return _plain(value) if isinstance(value, float) else str(value)


def _plain(number: float) -> str:
    """Write a number without a needless fraction."""
    return str(int(number)) if number == int(number) else str(number)
