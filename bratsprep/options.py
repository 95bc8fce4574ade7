"""Options of commands, made from settings; used by the command lines of both packages.

Every option that is a setting has no default of its own: a command passes on what was given, and
the verb fills in the rest. The help shows the default of the setting.
"""

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import MISSING, Field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import click

from bratsprep.errors import BratsError
from bratsprep.settings import ADVANCED, Setting, choices, default_text, facts_of, keywords
from bratsprep.system.faulty_cases import ADVICE

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Function = TypeVar("Function", bound=Callable[..., Any])
FILE: Final = click.Path(dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(file_okay=False, path_type=Path)
PLACE: Final = click.Path(path_type=Path)
CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of both groups of commands."""
EXTRAS: Final[Mapping[str, str]] = {
    "distributed": "dask",
    "matplotlib": "plot",
    "tensorboard": "train",
    "torch": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "huggingface_hub": "hub",
    "safetensors": "train",
}
"""Extra of the package that installs an optional module."""
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType[int]):
    """A number of bytes such as 900M or 2G."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse the text."""
        text = str(value).upper().removesuffix("B")
        unit = text[-1:] if text[-1:] in _UNITS else ""
        number = text.removesuffix(unit)
        if not number.replace(".", "", 1).isdecimal():
            self.fail(f"{value!r} is not a size; write it like 900M or 2G", param, ctx)
        return int(float(number) * _UNITS[unit])


class Sides(click.ParamType[tuple[int, ...]]):
    """Whole numbers joined by x, such as 240x240x155.

    Args:
        count: how many numbers are expected.
    """

    name = "sides"

    def __init__(self, count: int) -> None:
        self.count = count

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        sides = str(value).split("x")
        if len(sides) != self.count or not all(side.isdecimal() for side in sides):
            self.fail(f"{value!r} must be {self.count} whole numbers joined by x", param, ctx)
        return tuple(map(int, sides))


class Whole(click.ParamType[int]):
    """A whole number, or a word that stands for one; a TOML file's 1.5 is not rounded.

    Args:
        words: number of each word; such a number has to be written as its word.
    """

    name = "integer"

    def __init__(self, words: Mapping[str, int]) -> None:
        self.words = words

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse the text."""
        text = str(value)
        if text in self.words:
            return self.words[text]
        if not _WHOLE.fullmatch(text) or int(text) in self.words.values():
            wanted = f"{' or '.join(self.words)} or at least 1" if self.words else "a whole number"
            self.fail(f"must be {wanted}, got {text}", param, ctx)
        return int(text)


class NamedValue(click.ParamType[tuple[str, Any]]):
    """A name and a value such as `depth=4`; a value that is not JSON is text."""

    name = "name=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Parse the text."""
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"must be NAME=VALUE, got {value}", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


def joined(
    context: click.Context, option: click.Parameter, pairs: Sequence[tuple[str, Any]]
) -> dict[str, Any] | None:
    """Join the names and values of a repeated option."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise click.BadParameter(f"give each name once, got {', '.join(names)}", context, option)
    return dict(pairs) or None


class SectionOption(click.Option):
    """An option that is listed under a heading of its own."""

    def __init__(self, *arguments: Any, section: str = "Options", **facts: Any) -> None:  # noqa: ANN401  as click.Option
        super().__init__(*arguments, **facts)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings, in order of appearance."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if isinstance(option, click.Option) and record is not None:
                heading = getattr(option, "section", "Other")
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=lambda name: name == ADVANCED):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


@contextmanager
def reported() -> Iterator[None]:
    """Turn errors into messages and exit codes: 1 for faults of the data, 2 for those of a call."""
    try:
        yield
    except BratsError as error:
        raise click.ClickException("; ".join([str(error), *ways_on(error)])) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(missing(str(error.name))) from error


def ways_on(error: BratsError) -> list[str]:
    """Notes of an error; advice on faulty cases only where the running command has that option."""
    context = click.get_current_context(silent=True)
    options = set() if context is None else {option.name for option in context.command.params}
    notes = getattr(error, "__notes__", [])
    return [note for note in notes if note != ADVICE or "on_error" in options]


def exit_if_any(set_aside: Sized) -> None:
    """End the command with exit code 1 where cases were set aside.

    Raises:
        Exit: there are such cases.
    """
    if len(set_aside):
        raise click.exceptions.Exit(1)


def missing(module: str) -> str:
    """Say how to install a missing module: by an extra of the package, or by its own name."""
    name = module.partition(".")[0]
    if name in EXTRAS:
        return f"{name} is missing; install it with: pip install 'bratsprep[{EXTRAS[name]}]'"
    return f"{name} is missing, which is a required package; repair with: pip install bratsprep"


def combined(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Join decorators into one; options are shown in the order given."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def settings_options(
    kind: "type[DataclassInstance]",
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    recipes: Mapping[str, Mapping[str, object]] | None = None,
) -> Callable[[Function], Function]:
    """Make the options of a class of settings, in the order of its fields.

    Args:
        kind: class whose fields were made with `bratsprep.settings.setting`.
        only: keywords to take; all where none is named.
        without: keywords to leave out.
        recipes: defaults by keyword of each recipe by name, instead of the fields' own.
    """
    chosen = [
        setting_option(name, member, recipes)
        for name, member in keywords(kind).items()
        if name not in without and (not only or name in only)
    ]
    return combined(*chosen)


def setting_option(
    name: str, member: "Field[Any]", recipes: Mapping[str, Mapping[str, object]] | None = None
) -> Callable[[Function], Function]:
    """Make the option of one setting.

    Args:
        name: keyword of the setting.
        member: its field.
        recipes: as of `settings_options`.
    """
    facts = facts_of(member)
    declared = option_name(name, facts)
    shown = defaults_shown(name, member, recipes)
    kwargs: dict[str, Any] = {"type": parameter_type(member, facts), "default": None}
    if member.type is bool and recipes is None:
        kwargs = {"is_flag": True, "default": None}
    elif member.type is bool:
        declared = f"{declared}/--no-{declared.removeprefix('--')}"
        kwargs = {"default": None}
    if get_origin(member.type) is Sequence:
        kwargs |= {"multiple": True}
    if get_origin(member.type) is dict:
        kwargs = {"type": NamedValue(), "multiple": True, "callback": joined}
    return click.option(
        declared, name, cls=SectionOption, section=facts.section, metavar=facts.metavar,
        help=f"{facts.help}{shown}", **kwargs,
    )  # fmt: skip


def option_name(name: str, facts: Setting) -> str:
    """Name the option of a keyword: `--learning-rate`, or the name that the setting gives."""
    return facts.option or f"--{name.replace('_', '-')}"


def parameter_type(member: "Field[Any]", facts: Setting) -> click.ParamType[Any] | type:
    """Choose how click parses a setting; bounds are checked by the settings themselves."""
    if words := choices(member.type):
        return click.Choice([word for word in words if word])
    if member.type is int:
        return Whole(facts.words)
    if get_origin(member.type) is tuple:
        return Sides(len(get_args(member.type)))
    return float if float in (member.type, *get_args(member.type)) else str


def defaults_shown(
    name: str, member: "Field[Any]", recipes: Mapping[str, Mapping[str, object]] | None
) -> str:
    """Write the default for the end of a help text; empty for a plain flag."""
    if recipes is None:
        if member.type is bool or member.default is MISSING:
            return ""
        text = default_text(member, member.default)
        return f"  [default: {text}]" if text else ""
    texts = {recipe: default_text(member, values[name]) for recipe, values in recipes.items()
             if name in values}  # fmt: skip
    if len(set(texts.values())) <= 1:
        text = next(iter(texts.values()), "")
        return f"  [default: {text}]" if text else ""
    return f"  [{'; '.join(f'{recipe}: {text}' for recipe, text in texts.items())}]"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the options that were given, on the command line or by a TOML file."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def from_toml(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let a TOML file give the defaults of the other options; names are those of the keywords."""
    if path is None:
        return
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}", ctx, param) from error
    names = {name.replace("-", "_"): value for name, value in table.items()}
    options = {other.name for other in ctx.command.params if isinstance(other, click.Option)}
    unknown = sorted(set(names) - options)
    if unknown:
        raise click.BadParameter(f"{path}: unknown setting {', '.join(unknown)}", ctx, param)
    ctx.default_map = {**(ctx.default_map or {}), **names}


WORKERS: Final = click.option(
    "--workers", type=Whole({}), default=0, metavar="N", help="Threads; all cores by default."
)
