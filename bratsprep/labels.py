"""What the numbers of a label mean: classes and regions as data, and the schemes of the releases.

A scheme is one TOML file. Those of the releases ship with the package, in `bratsprep/schemes`; a
user can write another, see `docs/own-data.md`. It says which classes are stored, which raw value
means which class, and which unions of classes are scored as regions. The same number means
different tissue in different releases, so a scheme is always named and never guessed from one
value.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import LabelError

BACKGROUND: Final = "background"
"""Name of the stored label 0."""
MOST_CLASSES: Final = 32
"""Classes of a scheme, background included."""
UNKNOWN: Final = 255
"""What `Scheme.table` gives for a raw value that the scheme does not know."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,23}")
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_BACKGROUND_COLOUR: Final = "#BBBBBB"
_KEYS: Final = frozenset({"name", "about", "convention", "class", "regions", "ignored"})
_CLASS_KEYS: Final = ("name", "colour", "codes")


@dataclass(frozen=True, slots=True)
class ClassSet:
    """The classes and regions of stored labels.

    Raises:
        ValueError: names, labels or colours are not as described.
    """

    classes: tuple[str, ...]
    """Index = stored label; the first is the background."""
    regions: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and stored labels of each union of classes that is scored, at least one."""
    colours: tuple[str, ...] = field(compare=False)
    """`#RRGGBB` of each class, the background included."""
    titles: tuple[str, ...] = field(compare=False)
    """Name for people of each class, the background included."""

    def __post_init__(self) -> None:
        counts = {len(self.classes), len(self.colours), len(self.titles)}
        if len(counts) > 1 or not 2 <= len(self.classes) <= MOST_CLASSES:
            raise ValueError(
                f"a label has 2 to {MOST_CLASSES} classes with a colour and a title each, got "
                f"{len(self.classes)}, {len(self.colours)} and {len(self.titles)}"
            )
        if self.classes[0] != BACKGROUND or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must begin with {BACKGROUND} and differ, got {self.classes}")
        for name in (*self.tumour, *self.region_names):
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a class or region; expected a letter, then up to 23 "
                    "letters, digits, or any of _ . + -"
                )
        self._check_regions()
        wrong = [colour for colour in self.colours if not _COLOUR.fullmatch(colour)]
        if wrong:
            raise ValueError(f"colour {wrong[0]!r} must be # and six hexadecimal digits")

    def _check_regions(self) -> None:
        """Refuse regions without classes, twice, or of a class's name and other labels."""
        if not self.regions or len(set(self.region_names)) != len(self.regions):
            raise ValueError(f"regions must be at least one, and differ, got {self.region_names}")
        for name, labels in self.regions:
            if not labels or not set(labels) <= set(range(1, len(self.classes))):
                raise ValueError(f"region {name} must be made of classes, got labels {labels}")
            if name in self.classes and labels != (self.classes.index(name),):
                raise ValueError(f"region {name} has the name of a class, and other labels")

    def __len__(self) -> int:
        """Classes, background included: channels of a network's logits."""
        return len(self.classes)

    @property
    def tumour(self) -> tuple[str, ...]:
        """Names of the classes but the background."""
        return self.classes[1:]

    @property
    def region_names(self) -> tuple[str, ...]:
        """Names of the regions."""
        return tuple(name for name, _ in self.regions)

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Stored labels of each class and region by name; a region of one class is that class."""
        single = {name: (label,) for label, name in enumerate(self.classes) if label}
        return single | dict(self.regions)

    @property
    def means(self) -> dict[str, tuple[str, ...]]:
        """Names of the parts that each mean of an evaluation is over; never the background."""
        return {"mean of classes": self.tumour, "mean of regions": self.region_names}

    @property
    def nested(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The regions, those of most classes first."""
        return tuple(sorted(self.regions, key=lambda region: -len(region[1])))

    def colour(self, name: str) -> str:
        """Colour of a class by its name."""
        return self.colours[self.classes.index(name)]

    def masks(self, regions: Iterable[tuple[int, ...]]) -> NDArray[np.uint8]:
        """Make (r, c) uint8: 1 where stored label c belongs to region r."""
        table = [[label in labels for label in range(len(self))] for labels in regions]
        return np.array(table, np.uint8).reshape(-1, len(self))

    def to_json(self) -> str:
        """Write as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ClassSet":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        content = json.loads(text)
        try:
            return cls(
                tuple(str(name) for name in content["classes"]),
                tuple((str(name), tuple(map(int, labels))) for name, labels in content["regions"]),
                tuple(str(colour) for colour in content["colours"]),
                tuple(str(title) for title in content["titles"]),
            )
        except (TypeError, KeyError) as error:
            raise ValueError(f"classes cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Scheme:
    """The label values of one release."""

    name: str
    about: str
    """Where it is used, for tables and messages."""
    classes: ClassSet
    """What is stored."""
    codes: tuple[tuple[int, int], ...]
    """(raw value, stored label) of each value but 0."""
    names: tuple[tuple[int, str], ...]
    """(raw value, the release's own name) of each value but 0."""
    convention: str
    """Convention of the release's own evaluation, a name in `bratstrain.scoring.conventions`."""

    def table(self) -> NDArray[np.uint8]:
        """Give (256,) uint8: stored label of each raw value, `UNKNOWN` where there is none."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[0] = 0
        for raw, stored in self.codes:
            table[raw] = stored
        return table

    def raw(self) -> NDArray[np.uint8]:
        """Give (c,) uint8: raw value to write for each stored label; the first that means it."""
        back = np.zeros(len(self.classes), np.uint8)
        for raw, stored in reversed(self.codes):
            if stored:
                back[stored] = raw
        return back

    def values(self) -> frozenset[int]:
        """Raw values that the scheme knows, 0 included."""
        return frozenset({0, *(raw for raw, _ in self.codes)})

    def to_json(self) -> str:
        """Write as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Scheme":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        content = json.loads(text)
        try:
            return cls(
                str(content["name"]),
                str(content["about"]),
                ClassSet.from_json(json.dumps(content["classes"])),
                tuple((int(raw), int(stored)) for raw, stored in content["codes"]),
                tuple((int(raw), str(name)) for raw, name in content["names"]),
                str(content["convention"]),
            )
        except (TypeError, KeyError) as error:
            raise ValueError(f"label scheme cannot be read: {error!r}") from error


def read_scheme(path: Path) -> Scheme:
    """Read a label scheme that a user has written.

    Raises:
        LabelError: the file cannot be read, or is no scheme; the message names the fault.
    """
    try:
        return parse_scheme(path.stem, path.read_text("utf-8"))
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise LabelError(f"{path}: is no label scheme: {error}") from error


def parse_scheme(name: str, text: str) -> Scheme:
    """Make a scheme from TOML.

    Args:
        name: of the scheme where the text gives none.
        text: keys `about`, `convention` (optional), one `[[class]]` for each class with `name`,
            `codes` (raw value = the release's own name of it), `colour`, and optionally `title`,
            its name for people; `[regions]` with the classes of each, and `[ignored]` with raw
            values that are stored as background.

    Raises:
        ValueError: a key is missing, unknown or has a wrong value.
        TypeError: a value is of another type.
    """
    content = tomllib.loads(text)
    _refuse_unknown(content, _KEYS, "the file")
    entries = _entries(content)
    names = (BACKGROUND, *(str(entry["name"]) for entry in entries))
    regions = _mapping(content, "regions") or {name: [name] for name in names[1:]}
    classes = ClassSet(
        names,
        tuple((region, _labels(region, parts, names)) for region, parts in regions.items()),
        (_BACKGROUND_COLOUR, *(str(entry["colour"]) for entry in entries)),
        (BACKGROUND, *(str(entry.get("title", entry["name"])) for entry in entries)),
    )
    coded = [_mapping(content, "ignored"), *(_mapping(entry, "codes") for entry in entries)]
    codes, titles = _codes(coded)
    return Scheme(
        name=str(content.get("name", name)),
        about=str(content.get("about", "")),
        classes=classes,
        codes=codes,
        names=titles,
        convention=str(content.get("convention", "brats")),
    )


def _entries(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes of a file, each with all that it needs."""
    entries: Any = content.get("class", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError("classes must be tables; begin each with [[class]]")
    for entry in entries:
        _refuse_unknown(entry, frozenset({*_CLASS_KEYS, "title"}), f"class {entry.get('name')}")
    missing = [key for entry in entries for key in _CLASS_KEYS if key not in entry]
    if missing or not entries:
        needed = ", ".join(_CLASS_KEYS)
        raise ValueError(f"every [[class]] needs {needed}; {(missing or ['class'])[0]} is missing")
    return entries


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table of a key; empty where there is none."""
    found = content.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(f"{key} must be a table, got {found!r}")
    return found


def _refuse_unknown(content: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Refuse keys that mean nothing, which are misspelt more often than not."""
    unknown = sorted(content.keys() - known)
    if unknown:
        raise ValueError(f"{where} has key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _labels(region: str, parts: Iterable[str], names: tuple[str, ...]) -> tuple[int, ...]:
    """Stored labels of a region's classes, rising."""
    if not isinstance(parts, list):
        raise TypeError(f"region {region} must be a list of classes, got {parts!r}")
    unknown = [part for part in parts if part not in names[1:]]
    if unknown:
        raise ValueError(f"region {region} names {unknown[0]!r}, which is no class")
    return tuple(sorted(names.index(part) for part in parts))


def _codes(
    coded: list[Mapping[str, str]],
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, str], ...]]:
    """(raw value, stored label) and (raw value, name), rising; a table's place is its label."""
    codes: dict[int, int] = {}
    names: dict[int, str] = {}
    for stored, titles in enumerate(coded):
        if stored and not titles:
            raise ValueError("a class needs one code at least")
        for text, title in titles.items():
            raw = int(text)
            if not 1 <= raw <= 255 or raw in codes:
                raise ValueError(f"code {raw} must be 1 to 255, and of one class")
            codes[raw], names[raw] = stored, str(title)
    return tuple(sorted(codes.items())), tuple(sorted(names.items()))


@cache
def shipped() -> Mapping[str, Scheme]:
    """Give the schemes of the releases by name, in the order of their names."""
    folder = files("bratsprep") / "schemes"
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return MappingProxyType({name: parse_scheme(name, texts[name]) for name in sorted(texts)})


def scheme(name: str) -> Scheme:
    """Look a shipped scheme up by its name, or read the TOML file of that name.

    Raises:
        ValueError: there is no scheme of that name.
        LabelError: the file is no scheme.
    """
    if name.endswith(".toml"):
        return read_scheme(Path(name))
    if name not in shipped():
        raise ValueError(
            f"label scheme {name!r} is unknown; one of {', '.join(shipped())}, or a file such as "
            "my.toml"
        )
    return shipped()[name]


def meanings(values: Iterable[int]) -> str:
    """What label values would mean in each scheme, for an error message."""
    present = sorted(set(values) - {0})
    lines = []
    for candidate in shipped().values():
        names = dict(candidate.names)
        if any(value in names for value in present):
            tissues = ", ".join(f"{value} {names.get(value, 'unknown')}" for value in present)
            lines.append(f"{candidate.name}: {tissues}")
    return "; ".join(lines) or "no scheme knows any of them"


def fitting(values: Set[int]) -> list[str]:
    """Names of the schemes that ship and have all of some label values."""
    return [candidate.name for candidate in shipped().values() if values <= candidate.values()]


def from_values(values: Iterable[int], where: str) -> Scheme:
    """Derive the scheme from label values alone, where nothing else is known.

    One pattern is evidence: 4 without 3 is BraTS 2017 to 2021, whose labels skip 3. {1, 2, 3} may
    be the Decathlon or BraTS 2023; 3 beside 4 may be 2015, 2024 or the paediatric set; one value
    alone may be a whole tumour or one tissue.

    Args:
        values: every raw value found in the whole set.
        where: name of the set, for errors.

    Raises:
        LabelError: the values fit several schemes, or none.
    """
    present = frozenset(values)
    if 4 in present and 3 not in present and present <= shipped()["brats2017"].values():
        return shipped()["brats2017"]
    fits = fitting(present)
    listed = sorted(present)
    if not fits:
        raise LabelError(
            f"{where}: label values {listed} are outside every scheme; {meanings(present)}; write "
            "one and name it with --labels my.toml"
        )
    alone = "are one tissue alone, and " if len(present - {0}) == 1 else ""
    raise LabelError(
        f"{where}: label values {listed} {alone}fit {', '.join(fits)}; {meanings(present)}; "
        "choose one with --labels NAME"
    )
