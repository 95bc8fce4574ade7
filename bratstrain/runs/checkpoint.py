"""Checkpoints: the state of a run, and the weights of its best validation, as plain tensors.

`last.pt` is all that a run needs to be resumed, `best.pt` is for prediction. Neither holds the
state of a generator: a run seeds the generators at every step from its seed and the step. Only
tensors, numbers, text, lists and dicts are written or accepted, so a file cannot run code.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.networks.build import build_model
from bratstrain.runs.plain import not_plain

FORMAT: Final = "bratstrain"
BROKEN: Final[tuple[type[Exception], ...]] = (
    pickle.UnpicklingError, RuntimeError, ValueError, TypeError, LookupError, AttributeError,
    AssertionError, EOFError, OverflowError, MemoryError, OSError, struct.error,
)  # fmt: skip
"""Exceptions of torch and pickle on a file that `save` did not write."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run between two steps."""

    config: str
    """The `TrainConfig` as JSON."""
    data_digest: str
    """Digest of the slice file."""
    split_digest: str
    progress: dict[str, int | float]
    """Step, time used, best score and the like."""
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    """Averaged weights; empty where none are kept."""
    averaged: int
    """Steps whose weights they are the equal mean of; 0 before the part that `swa` averages."""
    optimizer: dict[int, dict[str, Tensor]]
    """Moments of each parameter, by its number."""
    scaler: dict[str, Any]
    """State of the loss scaler in fp16; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted network for prediction: its averaged weights if they are kept."""

    config: str
    """The `TrainConfig` as JSON."""
    data_digest: str
    """Of the slice file."""
    split_digest: str
    preparation: str
    """The slice file's `PrepConfig` as JSON."""
    classes: str
    """Classes and regions of its labels, a `ClassSet` as JSON."""
    schemes: str
    """Label schemes of its sources by name, each a `Scheme`, as JSON."""
    shape: list[int]
    """[h, w] of its slices."""
    step: int
    score: float
    """Mean region volume Dice on the validation cases, over the stored planes."""
    network: dict[str, Tensor]


Content = TypeVar("Content", Checkpoint, Weights)
KINDS: Final = MappingProxyType({Checkpoint: "checkpoint", Weights: "weights"})
VERSIONS: Final = MappingProxyType({Checkpoint: 3, Weights: 2})
"""Each is raised by one whenever an old file can no longer be read as a new one."""
TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "progress": dict,
        "network": dict,
        "average": dict,
        "averaged": int,
        "optimizer": dict,
        "scaler": dict,
        "shape": list,
        "step": int,
        "score": float,
    }
)
"""Type of each field that is not text."""


def save(path: Path, content: Checkpoint | Weights) -> None:
    """Write a file atomically: an interruption leaves the old one or the new one.

    Raises:
        TypeError: a value in it is not plain.
        BratsError: it cannot be written.
    """
    values = {field.name: getattr(content, field.name) for field in fields(content)}
    fault = not_plain(values)
    if fault:
        raise TypeError(f"{path.name}: {fault}; a checkpoint holds plain tensors and numbers")
    kind = type(content)
    head = {"format": FORMAT, "version": VERSIONS[kind], "kind": KINDS[kind]}
    with replacing(path) as file:
        try:
            torch.save(head | values, file)
        except RuntimeError as error:  # torch's wrapper of a failed write
            cause = error.__context__
            raise cause if isinstance(cause, OSError) else OSError(str(error)) from error


def load(path: Path, kind: type[Content]) -> Content:
    """Read a file that `save` wrote, onto the CPU.

    Args:
        path: of the file.
        kind: `Checkpoint` or `Weights`.

    Raises:
        BratsError: the file is missing, truncated, damaged, from elsewhere, or of another kind.
    """
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of another protocol
            values = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BratsError(f"{path}: is no checkpoint of bratstrain: {reason}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT or not_plain(values):
        raise BratsError(f"{path}: is no checkpoint of bratstrain; 'bratstrain fit' makes one")
    version, name = values.get("version"), values.get("kind")
    if (version, name) != (VERSIONS[kind], KINDS[kind]):
        raise BratsError(
            f"{path}: is {name!r} of version {version}; "
            f"expected {KINDS[kind]!r} of version {VERSIONS[kind]}"
        )
    return kind(**{field.name: _field(path, values, field.name) for field in fields(kind)})


def load_network(path: Path, trusted: Collection[str] = ()) -> tuple[nn.Module, Weights]:
    """Build the network of a `best.pt` with its weights, in evaluation mode on the CPU.

    Args:
        path: of the file.
        trusted: custom networks, as `package.module:function`, whose code may be imported.

    Raises:
        BratsError: the file is not as it should be, its weights do not fit its settings or are
            not finite, or its network is a custom one that is not trusted or cannot be imported.
    """
    weights = load(path, Weights)
    return assemble(path, weights, trusted), weights


def assemble(path: Path, weights: Weights, trusted: Collection[str] = ()) -> nn.Module:
    """Build a network with its weights, in evaluation mode on the CPU.

    Args:
        path: of the file that the weights are from, for errors.
        weights: settings and tensors.
        trusted: custom networks, as `package.module:function`, whose code may be imported.

    Raises:
        BratsError: the weights do not fit the settings or are not finite, or the network is a
            custom one that is not trusted or cannot be imported.
    """
    model = read_config(path, weights.config).model
    check_trust(path, model, trusted)
    check_finite(path, weights.network)
    try:
        check_shapes(path, weights.network, state_shapes(model))
        network = build_model(model)
    except ValueError as error:
        raise BratsError(f"{path}: its network cannot be built: {error}") from error
    load_state(path, network, weights.network)
    return network.eval()


def state_shapes(model: ModelConfig) -> dict[str, torch.Size]:
    """Shape of each tensor of a network by name; no memory is taken but by a custom network.

    Raises:
        ValueError: the network cannot be built.
    """
    # The sizes alone, which a damaged config may make of any size.
    with torch.device("cpu" if model.is_custom else "meta"):
        return {name: value.shape for name, value in build_model(model).state_dict().items()}


def check_trust(where: Path, model: ModelConfig, trusted: Collection[str]) -> None:
    """Refuse to import the code that a file names, unless the user has named it too.

    Args:
        where: the file, for errors.
        model: from the file.
        trusted: custom networks whose code may be imported.

    Raises:
        BratsError: the network is a custom one that is not trusted.
    """
    if model.is_custom and model.kind not in trusted:
        raise BratsError(
            f"{where}: its network is made by {model.kind}, and loading it would run that code; "
            f"if you trust it, add --trust-model {model.kind}"
        )


def check_finite(where: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite, which would predict nothing but nan.

    Args:
        where: the file, for errors.
        state: by name, tensors of any shape and dtype; only those of floating point are checked.

    Raises:
        BratsError: a tensor holds nan or infinity.
    """
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise BratsError(f"{where}: {name} holds values that are not finite; fit the run anew")


def check_shapes(
    where: Path, state: Mapping[str, Tensor], expected: Mapping[str, torch.Size]
) -> None:
    """Refuse weights whose names or shapes are not those of the network.

    Args:
        where: the file, for errors.
        state: by name, tensors of any dtype.
        expected: shape of each tensor of the network, by name.

    Raises:
        BratsError: one is missing, unknown, or of another shape.
    """
    shapes = {name: value.shape for name, value in state.items()}
    for name in {**expected, **shapes}:
        if expected.get(name) != shapes.get(name):
            raise BratsError(
                f"{where}: weights do not fit the network: {name} is {shown(shapes.get(name))}, "
                f"its settings say {shown(expected.get(name))}"
            )


def shown(shape: torch.Size | None) -> str:
    """Format a shape for a message; None is a tensor that is missing."""
    return "missing" if shape is None else str(tuple(shape))


def read_config(where: Path, text: str) -> TrainConfig:
    """Read the settings in a file.

    Raises:
        BratsError: they are not valid settings.
    """
    try:
        return TrainConfig.from_json(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise BratsError(f"{where}: its settings cannot be read: {error}") from error


def load_state(where: Path, network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy weights into a network.

    Args:
        where: the file, for errors.
        network: of float32 weights, which are overwritten.
        state: by name, tensors of the shapes of the network's.

    Raises:
        BratsError: their names or shapes differ from the network's.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise BratsError(f"{where}: weights do not fit the network: {reason}") from error


def _check_archive(path: Path) -> None:
    """Check a file against its checksums, which torch ignores.

    Raises:
        BratsError: it is missing, not an archive of the kind that torch writes, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch does not compress, and a compressed member might unpack to any size.
            stored = all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
            damaged = archive.testzip() if stored else None
    except OSError as error:
        raise BratsError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise BratsError(f"{path}: is truncated or no checkpoint at all: {error}") from error
    if not stored:
        raise BratsError(f"{path}: is compressed; a checkpoint of bratstrain never is")
    if damaged:
        raise BratsError(f"{path}: {damaged} is damaged; its checksum differs")


def _field(path: Path, values: dict[str, Any], name: str) -> Any:  # noqa: ANN401  of its own type
    """Read a field of a file.

    Raises:
        BratsError: it is missing or of another type.
    """
    expected = TYPES.get(name, str)
    value = values.get(name)
    if not isinstance(value, expected):
        kind = type(value).__name__
        raise BratsError(f"{path}: {name!r} is {kind}, expected {expected.__name__}")
    if name in ("network", "average") and not all(
        isinstance(tensor, Tensor) for tensor in values[name].values()
    ):
        raise BratsError(f"{path}: {name!r} holds a value that is no tensor")
    return value
