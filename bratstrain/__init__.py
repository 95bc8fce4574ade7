"""bratstrain: fit, evaluate and apply segmentation networks on a slice file.

The verbs are loaded at first use, so that `import bratstrain` does not load torch.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bratstrain.apply_config import (
        ApplyConfig,
        CrossvalConfig,
        ReportConfig,
        SplitsConfig,
        StudyConfig,
    )
    from bratstrain.commands.demonstration import demo
    from bratstrain.config import ModelConfig, Session, TrainConfig
    from bratstrain.data.dataset import SliceDataset
    from bratstrain.data.fold_list import splits
    from bratstrain.evaluation.evaluator import evaluate
    from bratstrain.evaluation.score_files import score_folders
    from bratstrain.inference.onnx_export import export
    from bratstrain.inference.predictor import predict
    from bratstrain.leakage.audit import evaluate_nnunet
    from bratstrain.pages.card import card
    from bratstrain.pages.case_figure import draw_case
    from bratstrain.pages.compare import compare
    from bratstrain.pages.figure import draw_report
    from bratstrain.pages.report import report
    from bratstrain.sharing.publisher import publish
    from bratstrain.studies.crossvalidator import crossval
    from bratstrain.studies.runner import study
    from bratstrain.training.fit import fit

    __version__: str

__all__ = [
    "ApplyConfig",
    "CrossvalConfig",
    "ModelConfig",
    "ReportConfig",
    "Session",
    "SliceDataset",
    "SplitsConfig",
    "StudyConfig",
    "TrainConfig",
    "__version__",
    "card",
    "compare",
    "crossval",
    "demo",
    "draw_case",
    "draw_report",
    "evaluate",
    "evaluate_nnunet",
    "export",
    "fit",
    "predict",
    "publish",
    "report",
    "score_folders",
    "splits",
    "study",
]
_SOURCES = MappingProxyType(
    {
        "ApplyConfig": "bratstrain.apply_config",
        "CrossvalConfig": "bratstrain.apply_config",
        "ModelConfig": "bratstrain.config",
        "ReportConfig": "bratstrain.apply_config",
        "Session": "bratstrain.config",
        "SliceDataset": "bratstrain.data.dataset",
        "SplitsConfig": "bratstrain.apply_config",
        "StudyConfig": "bratstrain.apply_config",
        "TrainConfig": "bratstrain.config",
        "card": "bratstrain.pages.card",
        "compare": "bratstrain.pages.compare",
        "draw_case": "bratstrain.pages.case_figure",
        "demo": "bratstrain.commands.demonstration",
        "draw_report": "bratstrain.pages.figure",
        "crossval": "bratstrain.studies.crossvalidator",
        "evaluate": "bratstrain.evaluation.evaluator",
        "evaluate_nnunet": "bratstrain.leakage.audit",
        "export": "bratstrain.inference.onnx_export",
        "fit": "bratstrain.training.fit",
        "predict": "bratstrain.inference.predictor",
        "publish": "bratstrain.sharing.publisher",
        "report": "bratstrain.pages.report",
        "score_folders": "bratstrain.evaluation.score_files",
        "splits": "bratstrain.data.fold_list",
        "study": "bratstrain.studies.runner",
    }
)
"""Module that each public name is loaded from."""


if not TYPE_CHECKING:  # a checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        """Load a public name at its first use (PEP 562)."""
        if name == "__version__":
            return import_module("importlib.metadata").version("bratsprep")
        if name not in _SOURCES:
            raise AttributeError(f"module 'bratstrain' has no attribute {name!r}")
        return getattr(import_module(_SOURCES[name]), name)


def __dir__() -> list[str]:
    """List the public names alone."""
    return __all__
