"""What the server of `forks` has imported, and compiled, when it forks."""

from bratsprep.volumes.warm import warm
from bratstrain.evaluation import evaluator
from bratstrain.inference import predictor
from bratstrain.studies import crossvalidator
from bratstrain.training import fit
from tests.helpers import forks

__all__ = ["crossvalidator", "evaluator", "fit", "forks", "predictor"]
warm(4)
