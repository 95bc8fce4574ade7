"""`PrepConfig`: every setting that decides what stands in a slice file."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SLICES: Final = ("tumour", "brain", "all")
NORMALISE: Final = ("modality", "case", "none")
DTYPES: Final = ("auto", "float16", "float32", "int16")
COMPRESSION: Final = ("fast", "small", "none")
LABELS: Final = ("auto", "msd", "brats2017", "brats2023", "brats2024", "brats2015")
SUBJECTS: Final = ("auto", "names")
REPEATS: Final = ("group", "name", "off")
LATER: Final = ("repeats", "background")
"""Settings that a slice file of today's defaults does not name, so that its digest stays."""
MOST_PLANES: Final = 32_767
"""Of a volume: NIfTI counts them in 16 bits."""
MOST_SIDE: Final = 4_096
"""Pixels of a crop window each way: a slice has to be one chunk, which HDF5 bounds."""
KINDS: Final[Mapping[Any, str]] = MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
)
_TABLE: Final = re.compile(r"^csv:[0-9a-f]{16}$")
_WINDOW: Final = re.compile(r"(\d+)x(\d+)")


def check_types(config: "DataclassInstance") -> None:
    """Refuse settings of another type than they should have; a whole number is a number too.

    Args:
        config: fields of the types in `KINDS` are looked at, others left alone.

    Raises:
        ValueError: one is of another type.
    """
    for field in fields(config):
        value, kind = getattr(config, field.name), field.type
        fits = type(value) is kind or (kind is float and type(value) is int)
        if kind in KINDS and not fits:
            raise ValueError(f"{field.name} must be {KINDS[kind]}, got {value!r}")


def _check_background(text: str) -> None:
    """Refuse a background that is neither `auto` nor `any` nor a number.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("auto", "any"):
        return
    try:
        float(text)
    except ValueError:
        raise ValueError(f"background must be auto, any or a number, got {text!r}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepConfig:
    """Settings of one build; the same settings and files give the same slice file."""

    slices: str = "tumour"
    """Planes to store: `tumour`, `brain` (any non-zero voxel) or `all`."""
    margin: int = 0
    """Planes stored on either side of each tumour plane too."""
    negatives: float = 0.0
    """Share of the tumour-free brain planes stored too, 0 to 1, drawn from `seed` and case id."""
    normalise: str = "modality"
    """z-score for each modality, over the whole `case`, or `none`."""
    crop: str = "192x160"
    """Window (y x x) centred on the brain's box, `brain` for the smallest that holds every
    brain, or `none`."""
    dtype: str = "auto"
    """Stored voxel type; auto is float16, or int16 where nothing is normalised."""
    compression: str = "fast"
    """`fast` and `small` are deflate after a byte shuffle; `none` stores plain bytes."""
    labels: str = "auto"
    """Label scheme of the source, or `auto` to tell it from the evidence."""
    subjects: str = "auto"
    """Who is who: names, and for Task01 its table of repeated patients (`auto`); `names` alone; or
    `csv:` and the start of the SHA-256 of a table."""
    unlabelled: bool = False
    """Take cases without a label along, for prediction."""
    seed: int = 0
    repeats: str = "group"
    """What becomes of cases that are one person by their images: `group` puts certain pairs into
    one subject, `name` only names them, `off` does not compare."""
    background: str = "auto"
    """What is outside the brain: 0, or in a volume that is nearly all brain what is found at its
    edges (`auto`); a number, or `nan`; or 0 without any check of the brain (`any`)."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, allowed in (
            ("slices", SLICES),
            ("normalise", NORMALISE),
            ("dtype", DTYPES),
            ("compression", COMPRESSION),
            ("labels", LABELS),
            ("repeats", REPEATS),
            ("subjects", (*SUBJECTS, *_TABLE.findall(self.subjects))),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        for name, most in (("margin", MOST_PLANES), ("negatives", 1), ("seed", 2**63 - 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0 to {most}, got {getattr(self, name)}")
        if self.dtype == "int16" and self.normalise != "none":
            raise ValueError("dtype int16 needs normalise none: a z-score is no integer")
        if self.dtype == "float16" and self.normalise == "none":
            raise ValueError("dtype float16 cannot hold integers over 2,048; take int16 or float32")
        if self.crop not in ("brain", "none"):
            _ = self.window
        _check_background(self.background)

    @property
    def window(self) -> tuple[int, int] | None:
        """Fixed crop window (y, x), or None where `crop` is `brain` or `none`."""
        if self.crop in ("brain", "none"):
            return None
        match = _WINDOW.fullmatch(self.crop)
        sides = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 0 < min(sides) <= max(sides) <= MOST_SIDE:
            raise ValueError(
                f"crop must be brain, none or HEIGHTxWIDTH such as 192x160, sides at most "
                f"{MOST_SIDE}, got {self.crop!r}"
            )
        return sides

    @property
    def stored(self) -> str:
        """Little-endian NumPy dtype of slice/image: `<f2`, `<f4` or `<i2`."""
        auto = "int16" if self.normalise == "none" else "float16"
        name = auto if self.dtype == "auto" else self.dtype
        return {"float16": "<f2", "float32": "<f4", "int16": "<i2"}[name]

    def to_json(self) -> str:
        """Write as one line of JSON with sorted keys."""
        plain = PrepConfig()
        settings = {
            name: value
            for name, value in asdict(self).items()
            if name not in LATER or value != getattr(plain, name)
        }
        return json.dumps(settings, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "PrepConfig":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a name is unknown or a value is not allowed.
        """
        return cls.from_names(json.loads(text))

    @classmethod
    def from_names(cls, names: dict[str, Any]) -> "PrepConfig":
        """Make a config from names and values, such as those of a TOML file.

        Raises:
            ValueError: a name is unknown or a value is not allowed.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(names) - known)
        if unknown:
            raise ValueError(f"unknown setting {', '.join(unknown)}; known: {sorted(known)}")
        return cls(**names)
