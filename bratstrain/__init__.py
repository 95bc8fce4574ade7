"""bratstrain: fit, evaluate and apply segmentation networks on a slice file.

The verbs are loaded at first use, so that `import bratstrain` does not bring in torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bratstrain.training.fit import fit as fit

__version__: Final = "0.1.0"
_VERBS: Final = {
    "compare": ("bratstrain.pages.compare", "compare"),
    "draw_report": ("bratstrain.pages.figure", "draw_report"),
    "evaluate": ("bratstrain.evaluation.evaluator", "evaluate"),
    "export": ("bratstrain.inference.onnx_export", "export"),
    "fit": ("bratstrain.training.fit", "fit"),
    "predict": ("bratstrain.inference.predictor", "predict"),
    "report": ("bratstrain.pages.report", "report"),
    "score_folders": ("bratstrain.evaluation.evaluator", "score_folders"),
    "study": ("bratstrain.studies.runner", "study"),
}


def __getattr__(name: str) -> Any:
    """Load a verb at its first use (PEP 562)."""
    if name not in _VERBS:
        raise AttributeError(f"module 'bratstrain' has no attribute {name!r}")
    module, attribute = _VERBS[name]
    return getattr(import_module(module), attribute)
