"""Checkpoints: the state of a run, and the weights of its best moment, as plain tensors.

`last.pt` is all that a run needs to go on, `best.pt` what predicts. Neither holds a generator's
state: a run seeds the generators at every step from its seed and the step. Nothing but tensors,
numbers, words, lists and dicts is written or accepted, so a file from elsewhere runs no code.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from bratsprep.errors import BratsError
from bratstrain.config import TrainConfig
from bratstrain.models import build_model
from bratstrain.runlog import replacing

FORMAT: Final = "bratstrain"
VERSION: Final = 1
"""Raised by one whenever an old file can no longer be read as a new one."""
PLAIN: Final = (Tensor, int, float, bool, str, type(None))
"""What may stand in a file; exactly these, since a NumPy number is a float to isinstance."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run between two steps."""

    config: str
    """The `TrainConfig` as JSON."""
    data_digest: str
    """Of the slice file."""
    split_digest: str
    progress: dict[str, int | float]
    """Step, time used, best score and the like."""
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    """The averaged weights; empty where none are kept."""
    optimizer: dict[int, dict[str, Tensor]]
    """Moments of each parameter, by its number."""
    scaler: dict[str, Any]
    """Of the loss, in fp16; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted network as it is to be used: the averaged weights where there are any."""

    config: str
    """The `TrainConfig` as JSON."""
    data_digest: str
    """Of the slice file."""
    split_digest: str
    preparation: str
    """The slice file's `PrepConfig` as JSON."""
    shape: list[int]
    """[h, w] of its slices."""
    step: int
    score: float
    """Mean region volume Dice on the validation cases, over the stored planes."""
    network: dict[str, Tensor]


Content = TypeVar("Content", Checkpoint, Weights)
KINDS: Final = MappingProxyType({Checkpoint: "checkpoint", Weights: "weights"})
TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "progress": dict,
        "network": dict,
        "average": dict,
        "optimizer": dict,
        "scaler": dict,
        "shape": list,
        "step": int,
        "score": float,
    }
)
"""Type of each field that is no word."""


def save(path: Path, content: Checkpoint | Weights) -> None:
    """Write a file in one move: a kill leaves the old one or the new one.

    Raises:
        TypeError: something in it is not plain.
        BratsError: it cannot be written.
    """
    whole = {known.name: getattr(content, known.name) for known in fields(content)}
    strange = not_plain(whole)
    if strange:
        raise TypeError(f"{path.name}: {strange}; a checkpoint holds plain tensors and numbers")
    head = {"format": FORMAT, "version": VERSION, "kind": KINDS[type(content)]}
    with replacing(path) as file:
        torch.save(head | whole, file)


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
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BratsError(f"{path}: is no checkpoint of bratstrain: {reason}") from error
    if not isinstance(whole, dict) or whole.get("format") != FORMAT or not_plain(whole):
        raise BratsError(f"{path}: is no checkpoint of bratstrain; 'bratstrain fit' makes one")
    found = (whole.get("version"), whole.get("kind"))
    if found != (VERSION, KINDS[kind]):
        raise BratsError(
            f"{path}: is {found[1]!r} of version {found[0]}; "
            f"expected {KINDS[kind]!r} of version {VERSION}"
        )
    return kind(**{known.name: _field(path, whole, known.name) for known in fields(kind)})


def load_network(path: Path) -> tuple[nn.Module, Weights]:
    """Build the network of a `best.pt` with its weights, in evaluation mode on the CPU.

    Raises:
        BratsError: the file is not as it should be, or its weights do not fit its settings.
    """
    weights = load(path, Weights)
    network = build_model(read_config(path, weights.config).model)
    load_state(path, network, weights.network)
    return network.eval(), weights


def read_config(where: Path, text: str) -> TrainConfig:
    """Read the settings in a file.

    Raises:
        BratsError: they are not settings.
    """
    try:
        return TrainConfig.from_json(text)
    except (ValueError, TypeError, json.JSONDecodeError) as error:
        raise BratsError(f"{where}: its settings cannot be read: {error}") from error


def load_state(where: Path, network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy weights into a network.

    Raises:
        BratsError: their names or shapes are others.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise BratsError(f"{where}: weights do not fit the network: {reason}") from error


def not_plain(value: object, name: str = "checkpoint") -> str:
    """Name the first thing in nested dicts and lists that is not plain; empty if all is."""
    if type(value) is dict:
        odd = [key for key in value if type(key) not in (str, int)]
        if odd:
            return f"a key of {name} is {type(odd[0]).__name__}"
        parts = ((value[key], f"{name}.{key}") for key in value)
    elif type(value) in (list, tuple):
        parts = ((each, f"{name}.{i}") for i, each in enumerate(value))  # type: ignore[arg-type, var-annotated]  # narrowed by type()
    else:
        return "" if type(value) in PLAIN else f"{name} is {type(value).__name__}"
    return next(filter(None, (not_plain(each, at) for each, at in parts)), "")


def _check_archive(path: Path) -> None:
    """Hold a file against its checksums, which torch leaves alone.

    Raises:
        BratsError: it is missing, no archive as torch writes it, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch compresses nothing; what is compressed might unpack to any size.
            stored = all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
            damaged = archive.testzip() if stored else None
    except OSError as error:
        raise BratsError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise BratsError(f"{path}: is truncated or no checkpoint at all: {error}") from error
    if not stored:
        raise BratsError(f"{path}: is compressed; a checkpoint of bratstrain never is")
    if damaged:
        raise BratsError(f"{path}: {damaged} is damaged; its checksum is another")


def _field(path: Path, whole: dict[str, Any], name: str) -> Any:  # noqa: ANN401  of its own type
    """Take a field out of a file, of the type that it should have."""
    wanted = TYPES.get(name, str)
    value = whole.get(name)
    if not isinstance(value, wanted):
        raise BratsError(f"{path}: {name!r} is {type(value).__name__}, expected {wanted.__name__}")
    if name in ("network", "average") and not all(
        isinstance(each, Tensor) for each in whole[name].values()
    ):
        raise BratsError(f"{path}: {name!r} holds something that is no tensor")
    return value
