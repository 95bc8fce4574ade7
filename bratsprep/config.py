"""`PrepConfig`: every setting that decides what stands in a slice file."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

SLICES: Final = ("tumour", "brain", "all")
NORMALISE: Final = ("modality", "case", "none")
DTYPES: Final = ("auto", "float16", "float32", "int16")
COMPRESSION: Final = ("fast", "small", "none")
LABELS: Final = ("auto", "msd", "brats2017", "brats2023", "brats2024", "brats2015")
SUBJECTS: Final = ("auto", "names")
_TABLE: Final = re.compile(r"^csv:[0-9a-f]{16}$")
_WINDOW: Final = re.compile(r"(\d+)x(\d+)")


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

    def __post_init__(self) -> None:
        for name, allowed in (
            ("slices", SLICES),
            ("normalise", NORMALISE),
            ("dtype", DTYPES),
            ("compression", COMPRESSION),
            ("labels", LABELS),
            ("subjects", (*SUBJECTS, *_TABLE.findall(self.subjects))),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0, got {self.margin}")
        if not 0 <= self.negatives <= 1:
            raise ValueError(f"negatives must be 0 to 1, got {self.negatives}")
        if self.dtype == "int16" and self.normalise != "none":
            raise ValueError("dtype int16 needs normalise none: a z-score is no integer")
        if self.dtype == "float16" and self.normalise == "none":
            raise ValueError("dtype float16 cannot hold integers over 2,048; take int16 or float32")
        if self.crop not in ("brain", "none"):
            _ = self.window

    @property
    def window(self) -> tuple[int, int] | None:
        """Fixed crop window (y, x), or None where `crop` is `brain` or `none`."""
        if self.crop in ("brain", "none"):
            return None
        match = _WINDOW.fullmatch(self.crop)
        if match is None or 0 in (int(match[1]), int(match[2])):
            raise ValueError(
                f"crop must be brain, none or HEIGHTxWIDTH such as 192x160, got {self.crop!r}"
            )
        return int(match[1]), int(match[2])

    @property
    def stored(self) -> str:
        """Little-endian NumPy dtype of slice/image: `<f2`, `<f4` or `<i2`."""
        auto = "int16" if self.normalise == "none" else "float16"
        name = auto if self.dtype == "auto" else self.dtype
        return {"float16": "<f2", "float32": "<f4", "int16": "<i2"}[name]

    def to_json(self) -> str:
        """Write as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

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
