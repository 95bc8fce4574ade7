"""What the server of `forks` has imported, and compiled, when it forks."""

import onnxscript
import torch._dynamo
import torch.onnx
import torch.utils.tensorboard

from bratstrain.commands.ahead import WARM
from bratstrain.evaluation import evaluator
from bratstrain.inference import predictor
from bratstrain.pages import compare, report
from bratstrain.studies import crossvalidator
from bratstrain.training import fit
from tests.helpers import forks

__all__ = [
    "compare", "crossvalidator", "evaluator", "fit", "forks", "onnxscript", "predictor", "report",
    "torch",
]  # fmt: skip
for compiles in WARM.values():
    compiles()
