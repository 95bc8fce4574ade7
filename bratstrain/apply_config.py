"""Settings of the verbs that use runs: predict, evaluate, report, compare and study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict, get_args

from bratsprep.config import OnError
from bratsprep.settings import check, setting
from bratstrain.config import Session

Part = Literal["validation", "test", "train", "all"]
"""Part of a run's split, or all cases of the data."""
Tta = Literal["none", "lr", "lr+ap"]
Convention = Literal[
    "brats", "brats2023", "brats2024", "brats2024-met", "brats2024-ped", "brats2024-ssa",
    "brats2024-men", "brats2024-men-rt", "nnunet", "present",
]  # fmt: skip
PARTS: Final[tuple[str, ...]] = get_args(Part)
DEFAULT_CONVENTIONS: Final[tuple[Convention, ...]] = ("brats", "brats2023", "brats2024", "nnunet")
"""Conventions of every report; `present` hides false positives and is shown on request."""


class ApplySettings(TypedDict, total=False):
    """Keywords of `ApplyConfig`, for type checkers."""

    tta: Tta
    batch_size: int
    device: str
    cleanup: bool
    any_spacing: bool
    labels: Path | str
    trusted_models: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyConfig:
    """How fitted networks are applied."""

    tta: Tta = setting("none", help="Average over flips: left-right, and front-back too.")
    batch_size: int = setting(
        16, help="Planes at a time.", minimum=1, option="--batch", metavar="N"
    )
    device: str = setting("auto", help="auto, cpu, cuda or cuda:N.", metavar="NAME")
    cleanup: bool = setting(
        False, help="Drop small components, by the sizes that 'evaluate --tune-cleanup' found."
    )
    any_spacing: bool = setting(False, help="Accept voxels of another size than those of the run.")
    labels: Path | str = setting(
        "auto",
        help="Label scheme of the files, by name or as a TOML file; auto infers it from the "
        "evidence.",
        metavar="NAME|TOML|auto",
    )
    trusted_models: Sequence[str] = setting(
        (),
        help="Custom network whose code a run may import; repeat for several.",
        option="--trust-model",
        metavar="MODULE:FUNCTION",
    )

    def __post_init__(self) -> None:
        check(self)

    def check_effects(self, data: Path | str | None) -> None:
        """Refuse settings of raw cases where a slice file is given.

        Raises:
            ValueError: a setting has no effect on a slice file.
        """
        if data is not None and str(self.labels) != "auto":
            raise ValueError(
                f"labels {self.labels} has no effect with data: a slice file stores classes, not "
                "the codes of a scheme; leave it out"
            )


class ScoreSettings(TypedDict, total=False):
    """Keywords of `ReportConfig` that label files accept."""

    cases: Sequence[str]
    conventions: Sequence[Convention]
    planes: bool
    on_error: OnError


class ReportSettings(ScoreSettings, total=False):
    """Keywords of `ReportConfig`, for type checkers."""

    pictures: bool
    tune_cleanup: bool
    subjects: Path | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """Which cases are scored, and what is written about them."""

    cases: Sequence[str] = setting(
        (), help="Only this case; repeat for several.", option="--case", metavar="ID"
    )
    conventions: Sequence[Convention] = setting(
        DEFAULT_CONVENTIONS,
        help="Scoring convention; repeat for several. The first is that of the headline.",
        option="--convention",
    )
    planes: bool = setting(False, help="Write the counts of every plane to planes.csv.")
    on_error: OnError = setting(
        "stop", help="skip sets a case at fault aside with its reason; the exit code is then 1."
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.conventions:
            raise ValueError("conventions must name at least one")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig(ScoreConfig):
    """The same of a run, whose predictions can be tuned and shown."""

    pictures: bool = setting(False, help="Keep the fullest plane of each case, for a figure.")
    tune_cleanup: bool = setting(
        False, help="Tune the minimum component size per class, and write cleanup.json to the run."
    )
    subjects: Path | str = setting(
        "", help="Table of case and subject ids, instead of what the names say.", metavar="CSV"
    )


class EvaluateSettings(ApplySettings, ReportSettings, total=False):
    """Keywords of `bratstrain.evaluate`."""


class StudySettings(TypedDict, total=False):
    """Keywords of `StudyConfig`, for type checkers."""

    profile: str
    labels: Path | str
    subjects: Path | str
    workers: int
    device: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """How a study is done here: what depends on the raw cases and on the machine."""

    profile: str = setting(
        "", help="Profile of the study's file, such as demo or full.", metavar="NAME"
    )
    labels: Path | str = setting(
        "auto",
        help="Label scheme of the raw cases, by name or as a TOML file; auto infers it from the "
        "evidence.",
        metavar="NAME|TOML|auto",
    )
    subjects: Path | str = setting(
        "auto",
        help="Table of case and subject ids, as for 'bratsprep build'.",
        metavar="CSV|names|auto",
    )
    workers: int = setting(0, help="Threads that build; 0 uses every core.", minimum=0, metavar="N")
    device: str = setting("auto", help="auto, cpu, cuda or cuda:N.", metavar="NAME")
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
        return ApplyConfig(device=self.device, labels=self.labels)

    @property
    def session(self) -> Session:
        """How the networks are fitted."""
        return Session(device=self.device, threads=self.threads)
