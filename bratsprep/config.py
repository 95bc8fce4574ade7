"""`PrepConfig`: every setting that decides the content of a slice file; and those of phantoms."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal, TypedDict, get_args

from bratsprep.settings import check, from_names, keywords, setting
from bratsprep.voxel_sizes import SOURCE, Spacing, parse_spacing

Slices = Literal["tumour", "brain", "all"]
Normalise = Literal["modality", "case", "none"]
Dtype = Literal["auto", "float16", "float32", "int16"]
Compression = Literal["fast", "small", "none"]
RepeatsMode = Literal["group", "name", "off"]
Missing = Literal["stop", "zeros"]
OnError = Literal["stop", "skip"]
VoxelType = Literal["int16", "float32"]
Suffix = Literal[".nii.gz", ".nii"]
Archive = Literal["", "tar", "tar.gz", "zip"]
LayoutName = Literal[
    "msd", "brats2018", "brats2020", "brats2023", "brats2024", "brats-ped", "brats-men-rt",
    "nnunet", "brats2015", "bids", "ucsf-pdgm", "upenn-gbm", "visits", "archives", "kaggle-slices",
    "modality-folders", "plain",
]  # fmt: skip
SLICES: Final[tuple[str, ...]] = get_args(Slices)
NORMALISE: Final[tuple[str, ...]] = get_args(Normalise)
COMPRESSION: Final[tuple[str, ...]] = get_args(Compression)
SUBJECTS: Final = ("auto", "names")
BACKGROUNDS: Final = ("auto", "any")
"""Words for the background; every other one is a number."""
OMITTED: Final = (
    "label_name", "brain_mask", "same_grid", "exclude", "repeats", "background", "modalities",
    "missing", "spacing",
)  # fmt: skip
"""Settings that the JSON leaves out where they have no effect or their default."""
UNSTORED: Final = ("case_table",)
"""Settings that the JSON never holds: they name files on this machine, not content."""
NO_MASK: Final = "none"
"""In place of the pattern of brain masks: the images are skull-stripped."""
USUAL_MODALITIES: Final = ("flair", "t1w", "t1gd", "t2w")
"""Of BraTS and of the Decathlon's Task01, in the order of its channels."""
USUAL_CLASSES: Final = ("background", "NCR", "ED", "ET")
"""Of BraTS gliomas before treatment."""
MOST_MODALITIES: Final = 16
"""Channels of a slice file."""
MAX_PLANES: Final = 32_767
"""Of a volume: NIfTI counts them in 16 bits."""
MAX_SIDE: Final = 4_096
"""Pixels of a crop window each way: a slice has to be one chunk, which HDF5 bounds."""
MAX_SEED: Final = 2**63 - 1
_TABLE: Final = re.compile(r"csv:[0-9a-f]{16}")
_WINDOW: Final = re.compile(r"(\d+)x(\d+)")
_MODALITY: Final = re.compile(r"[a-z][a-z0-9_.+-]{0,23}")
_SCHEME: Final = re.compile(r"[A-Za-z0-9_.+-]{1,48}|toml:[0-9a-f]{16}")


class FaultSettings(TypedDict, total=False):
    """Keywords of `FaultConfig`, for type checkers."""

    on_error: OnError


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultConfig:
    """How faulty cases are treated."""

    on_error: OnError = setting(
        "stop",
        help="Stop at the first faulty case; or skip faulty cases, list them at the end, and exit "
        "with 1.",
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def skip(self) -> bool:
        """Whether faulty cases are set aside."""
        return self.on_error == "skip"


class FilesSettings(TypedDict, total=False):
    """Keywords of `FilesConfig`, for type checkers."""

    labels: Path | str
    label_name: str
    same_grid: bool
    exclude: Sequence[str]
    case_table: Path | str
    brain_mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesConfig:
    """What raw files are taken for: which are cases and labels, and what the values mean."""

    labels: Path | str = setting(
        "auto",
        help="Label scheme of the raw cases: the name of one that ships, or a TOML file; auto "
        "infers it from the evidence.",
        metavar="NAME|TOML|auto",
    )
    label_name: str = setting(
        "",
        help="Which files are labels, such as '*_tumor.nii.gz'; the known names by default.",
        metavar="PATTERN",
    )
    same_grid: bool = setting(
        False,
        help="Labels and brain masks lie on the grids of the images, whatever their own headers "
        "say.",
    )
    exclude: Sequence[str] = setting(
        (),
        help="Leave files out before anything is recognised, such as 'derivatives/*'; repeat for "
        "several patterns.",
        metavar="PATTERN",
    )
    case_table: Path | str = setting(
        "",
        help="Table of the cases and their files, such as 'bratsprep inspect --write-cases' "
        "writes, in place of recognition by names.",
        option="--cases",
        metavar="CSV",
    )
    brain_mask: str = setting(
        NO_MASK,
        help="Which files are brain masks, such as '*_bet_mask.nii.gz', one for each case: voxels "
        "outside of it are background; none for skull-stripped images.",
        metavar="PATTERN|none",
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def files(self) -> "FilesConfig":
        """These settings alone, of a class that has more."""
        return FilesConfig(**{name: getattr(self, name) for name in keywords(FilesConfig)})

    def refuse_for_slice_file(self, where: object, background: str = "auto") -> None:
        """Refuse settings of raw files where a slice file is read.

        Args:
            where: the slice file, for the error.
            background: as in `PrepConfig`.

        Raises:
            ValueError: a setting has not its default.
        """
        kind = SourceConfig if isinstance(self, SourceConfig) else FilesConfig
        usual = {member.name: member.default for member in fields(kind)}
        given = {name: getattr(self, name) for name in usual} | {"background": background}
        for name, value in given.items():
            if value not in (usual.get(name, "auto"), ""):
                raise ValueError(
                    f"{name} {value} has no effect on {where}: a slice file stores classes and "
                    "brains, and no raw file is read; leave it out"
                )


class SourceSettings(FilesSettings, total=False):
    """Keywords of `SourceConfig`, for type checkers."""

    modalities: str
    missing: Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig(FilesConfig):
    """What raw files are taken for, and which modalities a case has to have."""

    modalities: str = setting(
        ",".join(USUAL_MODALITIES),
        help="Modalities of a case, by commas, in the order of the channels.",
        metavar="NAME,...",
    )
    missing: Missing = setting(
        "stop",
        help="What a case without one of the modalities is: a fault, or stored with zeros in its "
        "place.",
    )

    @property
    def source(self) -> "SourceConfig":
        """These settings alone, of a class that has more."""
        return SourceConfig(**{name: getattr(self, name) for name in keywords(SourceConfig)})


class RawSettings(SourceSettings, FaultSettings, total=False):
    """Keywords of verbs that read raw data, for type checkers."""


class PrepSettings(SourceSettings, total=False):
    """Keywords of `PrepConfig`, for type checkers."""

    slices: Slices
    margin: int
    negatives: float
    normalise: Normalise
    spacing: str
    crop: str
    dtype: Dtype
    compression: Compression
    subjects: Path | str
    unlabelled: bool
    background: str
    repeats: RepeatsMode
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepConfig(SourceConfig):
    """Settings of one build; the same settings and files give the same slice file."""

    slices: Slices = setting(
        "tumour",
        help="Planes to store: those with tumour, those with brain (any non-zero voxel), or all.",
    )
    margin: int = setting(
        0,
        help="Also store K planes on either side of each tumour plane.",
        minimum=0,
        maximum=MAX_PLANES,
        metavar="K",
    )
    negatives: float = setting(
        0.0,
        help="Also store this share of the other brain planes, drawn from the seed and the case "
        "id.",
        minimum=0,
        maximum=1,
        metavar="SHARE",
    )
    normalise: Normalise = setting(
        "modality",
        help="z-score over the brain: of each modality, of all modalities of a case together, or "
        "none for the raw numbers.",
    )
    spacing: str = setting(
        SOURCE,
        help="Resample images and labels to voxels of this size in mm (x, y, z), such as 1x1x1; "
        "source for the voxels as they are.",
        metavar="XxYxZ|source",
    )
    crop: str = setting(
        "192x160",
        help="Window (y x x) centred on the brain; brain for the smallest window that holds every "
        "brain; none for whole planes.",
        metavar="HxW|brain|none",
    )
    dtype: Dtype = setting(
        "auto",
        help="Type of the stored images; auto is float16, or int16 without normalisation.",
    )
    compression: Compression = setting(
        "fast", help="fast and small are deflate after a byte shuffle; none stores plain bytes."
    )
    subjects: str = setting(
        "auto",
        help="Table of case and subject ids, such as 'bratsprep twins -o' writes; auto for the "
        "built-in table for Task01, otherwise file names; names for file names only.",
        metavar="CSV|names|auto",
    )
    unlabelled: bool = setting(False, help="Include cases without a label.")
    background: str = setting(
        "auto",
        help="What lies outside the brain: a number or nan; auto for 0, or for the value at the "
        "edges of a volume that is nearly all brain; any for 0 without a check of the brain.",
        metavar="VALUE|auto|any",
    )
    repeats: RepeatsMode = setting(
        "group",
        help="Cases of one person by their images: group gives certain ones one subject, name only "
        "lists them, off does not compare.",
    )
    seed: int = setting(
        0, help="Seed of the drawn negatives.", minimum=0, maximum=MAX_SEED, metavar="N"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.subjects not in SUBJECTS and not _TABLE.fullmatch(self.subjects):
            raise ValueError(
                f"subjects must be one of {', '.join(SUBJECTS)}, got {self.subjects!r}"
            )
        if self.dtype == "int16" and self.normalise != "none":
            raise ValueError("dtype int16 needs normalise none: a z-score is not an integer")
        if self.dtype == "float16" and self.normalise == "none":
            raise ValueError("dtype float16 cannot hold integers over 2,048; take int16 or float32")
        if self.background not in BACKGROUNDS and not _is_value(self.background):
            raise ValueError(
                f"background must be {', '.join(BACKGROUNDS)}, nan or a number, got "
                f"{self.background!r}"
            )
        if not self.brain_mask:
            raise ValueError(f"brain_mask must be a pattern of file names or {NO_MASK}, got ''")
        if self.voxel_mm is not None and self.stored == "<i2":
            raise ValueError(
                f"spacing {self.spacing} interpolates, which dtype int16 cannot hold; take dtype "
                "float32, or normalise"
            )
        _ = self.window
        self._check_names()

    def _check_names(self) -> None:
        """Refuse names of modalities or of a label scheme that cannot be."""
        names = self.channels
        if not 1 <= len(names) <= MOST_MODALITIES or len(set(names)) != len(names):
            raise ValueError(
                f"modalities must be 1 to {MOST_MODALITIES} different names, got "
                f"{self.modalities!r}"
            )
        for name in names:
            if not _MODALITY.fullmatch(name):
                raise ValueError(
                    f"modality {name!r} must be a small letter, then up to 23 small letters, "
                    "digits, or any of _ . + -"
                )
        if not _SCHEME.fullmatch(str(self.labels)):
            raise ValueError(f"labels must be auto or the name of a scheme, got {self.labels!r}")

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of the channels."""
        return tuple(self.modalities.split(","))

    def check_effects(self) -> None:
        """Refuse settings that change the digest of a slice file and nothing else.

        A file that holds such settings can be read; none is built with them.

        Raises:
            ValueError: a setting has no effect beside the others.
        """
        if self.slices != "tumour" and (self.margin or self.negatives):
            raise ValueError(
                f"margin and negatives have no effect with slices {self.slices}, which stores "
                "those planes already; leave them out, or take slices tumour"
            )
        if self.seed and not self.negatives:
            raise ValueError(
                f"seed {self.seed} has no effect without negatives; leave it out, or give negatives"
            )
        if self.brain_mask != NO_MASK and self.background != "auto":
            raise ValueError(
                f"background {self.background} has no effect with brain_mask: what lies outside of "
                "the mask is background; leave one of them out"
            )

    @property
    def window(self) -> tuple[int, int] | None:
        """Fixed crop window (y, x), or None where `crop` is `brain` or `none`."""
        if self.crop in ("brain", "none"):
            return None
        match = _WINDOW.fullmatch(self.crop)
        sides = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 0 < min(sides) <= max(sides) <= MAX_SIDE:
            raise ValueError(
                f"crop must be brain, none or HEIGHTxWIDTH such as 192x160, sides at most "
                f"{MAX_SIDE}, got {self.crop!r}"
            )
        return sides

    @property
    def voxel_mm(self) -> Spacing | None:
        """Sides (x, y, z) of the stored voxels, mm; None for those of the source."""
        return parse_spacing(self.spacing)

    @property
    def stored(self) -> str:
        """Little-endian NumPy dtype of slice/image: `<f2`, `<f4` or `<i2`."""
        auto = "int16" if self.normalise == "none" else "float16"
        name = auto if self.dtype == "auto" else self.dtype
        return {"float16": "<f2", "float32": "<f4", "int16": "<i2"}[name]

    def to_json(self) -> str:
        """Write as one line of JSON with sorted keys.

        The settings of OMITTED are left out where they have their default, so that the digest of
        a build with default settings does not depend on them; those of UNSTORED always.
        """
        settings = asdict(self)
        for member in fields(self):
            is_default = settings[member.name] == member.default
            if member.name in UNSTORED or (member.name in OMITTED and is_default):
                del settings[member.name]
        return json.dumps(settings, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "PrepConfig":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a name is unknown or a value is not allowed.
        """
        names = json.loads(text)
        if isinstance(names, dict) and isinstance(names.get("exclude"), list):
            names["exclude"] = tuple(names["exclude"])
        return from_names(cls, names)


def _is_value(text: str) -> bool:
    """Whether a text is a finite number or nan."""
    try:
        return not math.isinf(float(text))
    except ValueError:
        return False


def check_background(background: str, choice: FilesConfig, *, images: bool) -> None:
    """Refuse a background that is not allowed, or has no effect.

    Args:
        background: as in `PrepConfig`.
        choice: what raw files are taken for.
        images: whether images are read.

    Raises:
        ValueError: it is no background, or has no effect without images or beside a brain mask.
    """
    PrepConfig(background=background, brain_mask=choice.brain_mask).check_effects()
    if background != "auto" and not images:
        raise ValueError(
            f"background {background} has no effect where no images are read; leave it out, or "
            "read those of raw cases with --images or --html"
        )


class PhantomSettings(TypedDict, total=False):
    """Keywords of `PhantomConfig`, for type checkers."""

    cases: int
    layout: LayoutName
    scheme: str | None
    modalities: str | None
    shape: tuple[int, int, int]
    dtype: VoxelType
    suffix: Suffix
    archive: Archive
    unlabelled: int
    repeats: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomConfig:
    """Settings of a set of phantoms; the same settings give the same bytes."""

    cases: int = setting(8, help="Labelled cases, repeats included.", minimum=0)
    layout: LayoutName = setting("msd", help="Names and geometry of the files.")
    scheme: str | None = setting(
        None,
        help="Label scheme to write, a name or a TOML file; the layout's own by default.",
        metavar="NAME|TOML",
    )
    modalities: str | None = setting(
        None,
        help="Modalities to write, by commas; those of the layout by default.",
        metavar="NAME,...",
    )
    shape: tuple[int, int, int] = setting(
        (240, 240, 155),
        help="Voxels (x, y, z); the anatomy is scaled to it.",
        minimum=4,
        maximum=MAX_PLANES,
        metavar="XxYxZ",
    )
    dtype: VoxelType = setting("int16", help="Voxel type of the images.")
    suffix: Suffix = setting(".nii.gz", help="Ending of the image files.")
    archive: Archive = setting("", help="Pack the folder into an archive, which replaces it.")
    unlabelled: int = setting(0, help="Further cases without a label.", minimum=0)
    repeats: int = setting(
        0,
        help="How many of the last labelled cases show earlier subjects again under a new id.",
        minimum=0,
    )
    seed: int = setting(0, help="Seed of the anatomy and the noise.", minimum=0, maximum=MAX_SEED)

    def __post_init__(self) -> None:
        check(self)
        if self.cases + self.unlabelled < 1:
            raise ValueError("cases and unlabelled must be at least 1 together, got 0")
        if 2 * self.repeats > self.cases:
            raise ValueError(f"repeats must be 0 to half of {self.cases}, got {self.repeats}")
