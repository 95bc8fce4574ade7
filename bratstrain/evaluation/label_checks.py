"""Whether the label values of predictions mean what they are taken for."""

from collections.abc import Sequence
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import LabelError
from bratsprep.labels import Scheme, shipped
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratstrain.scoring.metrics import CaseScores

MOST_REORDERED: Final = 6
"""Tumour classes up to which every order of them is tried."""
CLEAR_GAIN: Final = 0.2
"""Mean Dice by which another order of the classes has to be better before it is mentioned."""


def check_values(predictions: Source, member: str, scheme: Scheme, buffers: Buffers) -> None:
    """Refuse a prediction with label values outside its scheme, and name the ways on.

    Args:
        predictions: what the file lies in.
        member: its name.
        scheme: what its values should mean.
        buffers: overwritten.

    Raises:
        LabelError: a value is outside the scheme.
        BratsError: the file cannot be read.
    """
    where = predictions.where(member)
    header, voxels, _ = nifti.load(predictions, member, buffers, "label")
    values = {int(value) for value in np.unique(nifti.codes(voxels, header, where))}
    strange = sorted(values - scheme.values())
    if not strange:
        return
    fits = [name for name, other in shipped().items() if values <= other.values()]
    if len(values - {0}) == 1:
        way = (
            "it is a binary mask, which names no class; write the class of each voxel, since "
            f"scores of {', '.join(scheme.classes.tumour)} need it"
        )
    elif fits:
        way = f"they fit {', '.join(fits)}; name the predictions' scheme with --prediction-labels"
    else:
        way = f"they fit no scheme; recode the predictions to one of {', '.join(shipped())}"
    raise LabelError(
        f"{where}: label values {strange} are outside scheme {scheme.name}, which is "
        f"{sorted(scheme.values())}; the prediction holds {sorted(values)}: {way}"
    )


def class_order_note(scores: Sequence[CaseScores]) -> str:
    """Say which other order of the predicted classes would score much better; empty for none."""
    confusions = np.array([case.confusion for case in scores])
    names = scores[0].classes.classes
    if len(names) - 1 > MOST_REORDERED:
        return ""
    labels = range(1, len(names))
    dice = {order: mean_dice(confusions, order) for order in permutations(labels)}
    given, best = dice[tuple(labels)], max(dice, key=lambda order: dice[order])
    if not dice[best] - given >= CLEAR_GAIN:
        return ""
    moves = [
        f"{names[predicted]} as {names[true]}"
        for true, predicted in zip(labels, best, strict=True)
        if true != predicted
    ]
    return (
        f"the predictions seem to use other label values: reading predicted {', '.join(moves)}, "
        f"the mean Dice of classes would be {dice[best]:.3f} and not {given:.3f}; name their "
        "scheme with --prediction-labels"
    )


def single_class_note(scores: Sequence[CaseScores]) -> str:
    """Say that all predictions hold one class alone, though the truth holds more; empty if not."""
    voxels = np.array([case.confusion for case in scores]).sum(axis=0)
    predicted = np.flatnonzero(voxels[:, 1:].sum(axis=0)) + 1
    if len(predicted) != 1 or np.count_nonzero(voxels[1:].sum(axis=1)) < 2:
        return ""
    classes = scores[0].classes
    return (
        f"the predictions hold {classes.classes[predicted[0]]} alone; if they are masks of the "
        f"whole tumour, only {classes.nested[0][0]} can be read here"
    )


def mean_dice(confusions: NDArray[np.int64], order: Sequence[int]) -> float:
    """Mean Dice over cases and the classes that either side has, with predicted classes reordered.

    Args:
        confusions: (cases, classes, classes) int64 voxels, truth by predicted.
        order: predicted class that is read as class 1, 2 and so on.
    """
    true = confusions.sum(axis=2)[:, 1:]
    predicted = confusions.sum(axis=1)[:, list(order)]
    shared = np.stack([confusions[:, k, p] for k, p in enumerate(order, 1)], axis=1)
    total = true + predicted
    dice = 2 * shared[total > 0] / total[total > 0]
    return float(dice.mean()) if dice.size else 0.0
