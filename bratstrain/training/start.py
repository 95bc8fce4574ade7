"""Fine-tuning: a run that begins with the weights of another one, and what follows from that.

The weights are copied into the new run, so that it can be resumed without the other one. Whoever
the other run has learnt counts as learnt: its training cases are kept with those of the new run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.config import ModelConfig
from bratstrain.data.splits import Split
from bratstrain.data.trained_cases import has_modalities, read_trained
from bratstrain.data.twins import Twins
from bratstrain.runs.checkpoint import Weights, check_finite, read_config, shown, state_shapes
from bratstrain.runs.ensemble import ENSEMBLE, fold_folder
from bratstrain.runs.files import START, TRAINED
from bratstrain.runs.fitted import differences, sliced, untold_start, weights_of
from bratstrain.runs.hub import located

HEADS: Final = "heads."
"""Beginning of the names of the layers that give the logits, in networks of bratstrain."""
_SHOWN: Final = 4
"""Tensors and cases that are named in one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The run that another one begins from."""

    name: str
    """Name of its folder, or its address."""
    weights: Weights
    trained: NDArray[np.void] | None
    """(n,) `trained_cases.row_dtype`, its training cases; None where it did not keep them."""
    untold: str
    """The run whose training cases are unknown: itself, or the one that it began from; empty."""

    @property
    def model(self) -> ModelConfig:
        """Settings of its network."""
        return read_config(Path(self.name), self.weights.config).model

    @property
    def digest(self) -> str:
        """SHA-256 of its weights as hex digits, whatever file they are in."""
        whole = hashlib.sha256()
        for name, value in sorted(self.weights.network.items()):
            whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            whole.update(value.contiguous().numpy().tobytes())
        return whole.hexdigest()


def read_origin(run: Path | str) -> Origin:
    """Read the run that another one begins from.

    Args:
        run: finished run folder, published folder, or `hf://owner/name`.

    Raises:
        BratsError: it is none, stands for several networks, or holds weights that are not finite.
    """
    folder = located(run)
    if (folder / ENSEMBLE).is_file():
        raise BratsError(
            f"{folder}: is a cross-validation of several networks; begin from one of them, such as "
            f"{fold_folder(folder, 0)}"
        )
    weights = weights_of(folder)
    check_finite(folder, weights.network)
    name = str(run) if str(run).startswith("hf:") else folder.resolve().name
    trained = read_trained(folder / TRAINED)
    return Origin(name, weights, trained, name if trained is None else untold_start(folder))


@dataclass(frozen=True, slots=True)
class Taken:
    """Which tensors of a run another network begins with."""

    names: tuple[str, ...]
    left: Mapping[str, str]
    """Why each tensor of the network that is not among them begins anew, by name."""

    def line(self, name: str) -> str:
        """Say it in one line; `name` is that of the run."""
        n = len(self.names) + len(self.left)
        summary = f"begins with {len(self.names)} of {n} tensors of {name}"
        if not self.left:
            return summary
        reasons = [f"{tensor} ({why})" for tensor, why in self.left.items()]
        more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        return f"{summary}; drawn anew: {', '.join(reasons[:_SHOWN])}{more}"


def fitting_tensors(origin: Origin, model: ModelConfig, classes: str) -> Taken:
    """Find the tensors of a run that fit a network: those of equal name and shape.

    The layers that give the logits are left where classes differ, since a channel would begin as
    that of another tissue.

    Args:
        origin: the run.
        model: of the network.
        classes: a `ClassSet` as JSON, that of the network.

    Raises:
        BratsError: no convolution fits.
    """
    expected, given = state_shapes(model), origin.weights.network
    other_classes = logit_names(classes) != logit_names(origin.weights.classes)
    names, left = [], {}
    for name, shape in expected.items():
        own = given[name].shape if name in given else None
        if own != shape:
            left[name] = f"{shown(shape)} here, {shown(own)} there"
        elif other_classes and name.startswith(HEADS) and not model.is_custom:
            left[name] = "of other classes"
        else:
            names.append(name)
    if not any(len(expected[name]) > 1 for name in names):
        raise BratsError(
            f"{origin.name}: no layer fits {model.kind} of width {model.width}; give the settings "
            "of its network, or leave them out"
        )
    return Taken(tuple(names), left)


def logit_names(classes: str) -> list[str]:
    """Names of what each logit is of, from a `ClassSet` as JSON."""
    return [str(name) for name in sliced("{}", (), classes)["classes"]]


def other_slices(origin: Origin, file: SliceFile) -> list[str]:
    """Say in what the slices of a file differ from those that a run was fitted on."""
    weights = origin.weights
    return differences(
        sliced(file.config.to_json(), file.shape, file.classes.to_json()),
        sliced(weights.preparation, weights.shape, weights.classes),
    )


def start_facts(origin: Origin, file: SliceFile, model: ModelConfig) -> dict[str, Any]:
    """Describe the beginning of a run for `run.json`.

    Args:
        origin: the run that it begins from.
        file: slice file of the new run.
        model: of the new run.

    Raises:
        BratsError: no layer fits.
    """
    taken = fitting_tensors(origin, model, file.classes.to_json())
    weights = origin.weights
    return {
        "run": origin.name,
        "weights_digest": origin.digest,
        "data_digest": weights.data_digest,
        "step": weights.step,
        "score": weights.score,
        "taken": list(taken.names),
        "left": dict(taken.left),
        "other_slices": other_slices(origin, file),
        "untold": origin.untold or uncompared(origin, file),
    }


def uncompared(origin: Origin, file: SliceFile) -> str:
    """Name of a run whose images cannot be compared with a file's; empty where they can."""
    rows = origin.trained
    is_alike = rows is not None and has_modalities(rows, len(file.modalities))
    return "" if is_alike else origin.name


def start_lines(facts: Mapping[str, Any]) -> list[str]:
    """Say what a run begins with, from what `start_facts` gave."""
    name = facts["run"]
    lines = [Taken(tuple(facts["taken"]), facts["left"]).line(name)]
    if facts["other_slices"]:
        lines.append(f"{name} was fitted on other slices: {'; '.join(facts['other_slices'])}")
    if facts["untold"]:
        lines.append(
            f"{facts['untold']} keeps no image fingerprints to compare, so nobody has looked "
            "whether people of the validation part are among its training cases"
        )
    return lines


def learnt_before(twins: Twins, split: Split) -> dict[str, list[str]]:
    """Validation cases whose person only the earlier run was fitted on.

    Args:
        twins: of the validation cases, in the training cases of both runs.
        split: of the new run.

    Returns:
        Cases of the earlier run by validation case.
    """
    own = set(split.trained_cases)
    earlier = {case: sorted(set(ids) - own) for case, ids in twins.cases.items()}
    return {case: ids for case, ids in earlier.items() if ids}


def start_warning(name: str, learnt: Mapping[str, Sequence[str]], n_cases: int) -> str:
    """Warning about validation cases that the earlier run has learnt; empty without any.

    Args:
        name: of the earlier run.
        learnt: its cases by validation case.
        n_cases: validation cases.
    """
    if not learnt:
        return ""
    pairs = [f"{case} (as {', '.join(ids)})" for case, ids in learnt.items()]
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return (
        f"{name}, which this run begins from, was fitted on the persons of {len(learnt)} of "
        f"{n_cases} validation cases: {'; '.join(pairs[:_SHOWN])}{more}; their scores are too good "
        "to be true"
    )


def taken_state(weights: Weights, names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of some names, from what `START` in a run folder holds.

    Raises:
        BratsError: one is missing.
    """
    missing = [name for name in names if name not in weights.network]
    if missing:
        raise BratsError(f"{START}: holds no {missing[0]}; begin a new run")
    return {name: weights.network[name] for name in names}
