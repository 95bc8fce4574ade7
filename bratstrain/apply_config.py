"""Settings of the verbs that use runs: predict, evaluate, report, compare and study."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict, get_args

from bratsprep.config import (
    MAX_SEED,
    FaultConfig,
    FaultSettings,
    FilesConfig,
    FilesSettings,
    RepeatsMode,
    SourceConfig,
    SourceSettings,
)
from bratsprep.settings import check, keywords, setting
from bratstrain.config import FitSettings, Session

Part = Literal["validation", "test", "train", "all"]
"""Part of a run's split, or all cases of the data."""
Tta = Literal["none", "lr", "lr+ap"]
Convention = Literal[
    "brats", "brats2023", "brats2023-men", "brats2023-met", "brats2024", "brats2024-met",
    "brats2024-ped", "brats2024-ssa", "brats2024-men", "brats2024-men-rt", "brats2026",
    "brats2026-met", "nnunet", "present",
]  # fmt: skip
PARTS: Final[tuple[str, ...]] = get_args(Part)
DEFAULT_CONVENTIONS: Final[tuple[Convention, ...]] = ("brats", "brats2023", "brats2024", "nnunet")
"""Conventions of every report; `present` hides false positives and is shown on request."""


class ApplySettings(FilesSettings, total=False):
    """Keywords of `ApplyConfig`, for type checkers."""

    tta: Tta
    batch_size: int
    device: str
    cleanup: bool
    any_spacing: bool
    brain_mask: str
    trusted_models: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyConfig(FilesConfig):
    """How fitted networks are applied, and to which files."""

    tta: Tta = setting("none", help="Average over flips: left-right, and front-back too.")
    batch_size: int = setting(
        16, help="Planes at a time.", minimum=1, option="--batch", metavar="N"
    )
    device: str = setting("auto", help="auto, cpu, cuda, cuda:N or mps.", metavar="NAME")
    cleanup: bool = setting(
        False,
        help="Drop small components and relabel little ET, by the sizes that 'evaluate "
        "--tune-cleanup' found.",
    )
    any_spacing: bool = setting(
        False, help="Accept voxels of a size that no training case of the run has."
    )
    brain_mask: str = setting(
        "",
        help="Which raw files are brain masks, such as '*_bet_mask.nii.gz'; none for "
        "skull-stripped images; those of the run's preparation by default.",
        metavar="PATTERN|none",
    )
    trusted_models: Sequence[str] = setting(
        (),
        help="Custom network whose code a run may import; repeat for several.",
        option="--trust-model",
        metavar="MODULE:FUNCTION",
    )

    def check_effects(self, data: Path | str | None) -> None:
        """Refuse settings of raw cases where a slice file is given.

        Raises:
            ValueError: a setting has no effect on a slice file.
        """
        if data is not None:
            self.refuse_for_slice_file(data)


class ScoreSettings(FaultSettings, total=False):
    """Keywords of `ReportConfig` that label files accept."""

    cases: Sequence[str]
    conventions: Sequence[Convention]
    metrics: Sequence[str]
    tolerances: Sequence[float]
    planes: bool


class ScoreFilesSettings(ScoreSettings, FilesSettings, total=False):
    """Keywords of `bratstrain.score_folders`."""


class ReportSettings(ScoreSettings, total=False):
    """Keywords of `ReportConfig`, for type checkers."""

    pictures: bool
    tune_cleanup: bool
    subjects: Path | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig(FaultConfig):
    """Which cases are scored, and what is written about them."""

    cases: Sequence[str] = setting(
        (), help="Only this case; repeat for several.", option="--case", metavar="ID"
    )
    conventions: Sequence[Convention] = setting(
        DEFAULT_CONVENTIONS,
        help="Scoring convention; repeat for several. The first is that of the headline.",
        option="--convention",
    )
    metrics: Sequence[str] = setting(
        (),
        help="Metric of the printed table, such as ASSD, instead of the usual ones; repeat for "
        "several. The files hold every metric.",
        option="--metric",
        metavar="NAME",
    )
    tolerances: Sequence[float] = setting(
        (),
        help="Further tolerance of the surface Dice, beside 0.5 and 1 mm; repeat for several.",
        above=0,
        option="--tolerance",
        metavar="MM",
    )
    planes: bool = setting(False, help="Write the counts of every plane to planes.csv.")

    def __post_init__(self) -> None:
        check(self)
        if not self.conventions:
            raise ValueError("conventions must name at least one")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig(ScoreConfig):
    """The same of a run, whose predictions can be tuned and shown."""

    pictures: bool = setting(False, help="Keep the fullest plane of each case, for a figure.")
    tune_cleanup: bool = setting(
        False,
        help="Tune the least component size of each class (mm3), and write it to cleanup.json.",
    )
    subjects: Path | str = setting(
        "", help="Table of case and subject ids, instead of what the names say.", metavar="CSV"
    )


class EvaluateSettings(ApplySettings, ReportSettings, total=False):
    """Keywords of `bratstrain.evaluate`."""


class OutputSettings(TypedDict, total=False):
    """Keywords of `OutputConfig`, for type checkers."""

    probabilities: bool
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """What a prediction writes."""

    probabilities: bool = setting(False, help="Write <case>_probabilities.nii.gz too.")
    force: bool = setting(False, help="Replace existing predictions.")


class PredictSettings(ApplySettings, FaultSettings, OutputSettings, total=False):
    """Keywords of `bratstrain.predict`."""


class PageSettings(ApplySettings, FaultSettings, total=False):
    """Keywords of `bratstrain.report` and `bratstrain.compare`."""


class ShownSettings(TypedDict, total=False):
    """Keywords of `ShownConfig`, for type checkers."""

    cases: Sequence[str]
    images: int
    megabytes: float
    data_license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownConfig:
    """What a report shows."""

    cases: Sequence[str] = setting(
        (), help="Only this case; repeat for several.", option="--case", metavar="ID"
    )
    images: int = setting(
        12,
        help="Most cases whose images are on the page, the worst first.",
        minimum=1,
        metavar="N",
    )
    megabytes: float = setting(
        9.5, help="Most size of the page; images that do not fit are left out.", minimum=1,
        metavar="MB",
    )  # fmt: skip
    data_license: str = setting(
        "",
        help="Licence of the data, for the model card; not stated by default.",
        option="--license",
        metavar="TEXT",
    )

    def __post_init__(self) -> None:
        check(self)


class ReportPageSettings(PageSettings, ShownSettings, total=False):
    """Keywords of `bratstrain.report`."""


class CardSettings(TypedDict, total=False):
    """Keywords of `CardConfig`, for type checkers."""

    data_license: str
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """What a model card says that no file knows."""

    data_license: str = setting(
        "", help="Licence of the data; not stated by default.", option="--license", metavar="TEXT"
    )
    force: bool = setting(False, help="Replace an existing card.")


class StudySettings(FilesSettings, total=False):
    """Keywords of `StudyConfig`, for type checkers."""

    profile: str
    subjects: Path | str
    workers: int
    device: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig(FilesConfig):
    """How a study is done here: what depends on the raw cases and on the machine."""

    profile: str = setting(
        "", help="Profile of the study's file, such as demo or full.", metavar="NAME"
    )
    subjects: Path | str = setting(
        "auto",
        help="Table of case and subject ids, as for 'bratsprep build'.",
        metavar="CSV|names|auto",
    )
    workers: int = setting(0, help="Threads that build; 0 uses every core.", minimum=0, metavar="N")
    device: str = setting("auto", help="auto, cpu, cuda, cuda:N or mps.", metavar="NAME")
    threads: int = setting(
        0,
        help="Threads that read slices; 0 is one for a CPU and up to four for a GPU.",
        minimum=0,
        metavar="N",
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def apply(self) -> ApplyConfig:
        """How the networks are applied."""
        files = asdict(self.files)
        del files["brain_mask"]  # the runs know theirs
        return ApplyConfig(device=self.device, **files)

    @property
    def session(self) -> Session:
        """How the networks are fitted."""
        return Session(device=self.device, threads=self.threads)


class CrossvalSettings(TypedDict, total=False):
    """Keywords of `CrossvalConfig`, for type checkers."""

    folds: str


class CrossvalKeywords(CrossvalSettings, FilesSettings, FitSettings, total=False):
    """Keywords of `bratstrain.crossval`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossvalConfig:
    """Which folds of a cross-validation are done here."""

    folds: str = setting(
        "",
        help="These folds alone, such as 0,2; all by default, and the table with them.",
        metavar="N,...",
    )

    def __post_init__(self) -> None:
        check(self)
        if not all(part.isdigit() for part in self.folds.split(",") if self.folds):
            raise ValueError(f"folds must be numbers such as 0,2, got {self.folds!r}")

    def chosen(self, n_folds: int) -> list[int]:
        """Give the folds that are done here, rising.

        Args:
            n_folds: folds that there are.

        Raises:
            ValueError: one does not exist.
        """
        if not self.folds:
            return [*range(n_folds)]
        numbers = sorted({int(part) for part in self.folds.split(",")})
        if numbers[-1] >= n_folds:
            raise ValueError(
                f"folds {self.folds}: fold {numbers[-1]} does not exist, folds are counted from 0: "
                f"{','.join(map(str, range(n_folds)))}"
            )
        return numbers


class SplitsSettings(SourceSettings, total=False):
    """Keywords of `SplitsConfig`, for type checkers."""

    subjects: Path | str
    repeats: RepeatsMode
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitsConfig(SourceConfig):
    """How raw cases are grouped by person and dealt into folds."""

    subjects: Path | str = setting(
        "auto",
        help="Table of case and subject ids, as for 'bratsprep build'.",
        metavar="CSV|names|auto",
    )
    repeats: RepeatsMode = setting(
        "group",
        help="As for 'bratsprep build'; off reads no image: names and the table alone, any task.",
    )
    seed: int = setting(
        0,
        help="Seed of the assignment of subjects to folds.",
        minimum=0,
        maximum=MAX_SEED,
        metavar="N",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.repeats != "off":
            return
        for name, member in keywords(SourceConfig).items():
            value = getattr(self, member.name)
            if value != member.default:
                raise ValueError(
                    f"{name} {value} has no effect with repeats off, which reads no image and no "
                    "label; leave it out"
                )
