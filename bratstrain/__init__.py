"""bratstrain: fit, evaluate and apply segmentation networks on a slice file.

The verbs are loaded at first use, so that `import bratstrain` does not bring in torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bratstrain.engine import fit as fit

__version__: Final = "0.1.0"
_VERBS: Final = {
    "compare": ("bratstrain.comparer", "compare"),
    "draw_report": ("bratstrain.figure", "draw_report"),
    "evaluate": ("bratstrain.evaluator", "evaluate"),
    "export": ("bratstrain.exporter", "export"),
    "fit": ("bratstrain.engine", "fit"),
    "predict": ("bratstrain.predictor", "predict"),
    "report": ("bratstrain.reporter", "report"),
    "score_folders": ("bratstrain.evaluator", "score_folders"),
    "study": ("bratstrain.study_runner", "study"),
}


def __getattr__(name: str) -> Any:
    """Load a verb at its first use (PEP 562)."""
    if name not in _VERBS:
        raise AttributeError(f"module 'bratstrain' has no attribute {name!r}")
    module, attribute = _VERBS[name]
    return getattr(import_module(module), attribute)
