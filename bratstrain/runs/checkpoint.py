"""Checkpoints: the state of a run, and the weights of its best moment, as plain tensors.

`last.pt` is all that a run needs to go on, `best.pt` what predicts. Neither holds a generator's
state: a run seeds the generators at every step from its seed and the step. Nothing but tensors,
numbers, words, lists and dicts is written or accepted, so a file from elsewhere runs no code.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing
from bratstrain.config import TrainConfig
from bratstrain.networks.unet import build_model

FORMAT: Final = "bratstrain"
VERSION: Final = 1
"""Raised by one whenever an old file can no longer be read as a new one."""
DEEPEST: Final = 8
"""Dicts and lists in one another, more than any checkpoint has."""
BROKEN: Final[tuple[type[Exception], ...]] = (
    pickle.UnpicklingError, RuntimeError, ValueError, TypeError, LookupError, AttributeError,
    AssertionError, EOFError, OverflowError, MemoryError, OSError, struct.error,
)  # fmt: skip
"""What torch and pickle raise on a file that `save` did not write."""
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
        try:
            torch.save(head | whole, file)
        except RuntimeError as error:  # what torch makes of a write that failed
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
            warnings.simplefilter("ignore")  # torch's thoughts on a pickle of another make
            whole = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
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
    model = read_config(path, weights.config).model
    with torch.device("meta"):  # the sizes alone: they may be of any size
        wanted = {name: each.shape for name, each in build_model(model).state_dict().items()}
    found = {name: each.shape for name, each in weights.network.items()}
    odd = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if odd:
        raise BratsError(
            f"{path}: weights do not fit the network: {odd[0]} is {shown(found.get(odd[0]))}, "
            f"its settings say {shown(wanted.get(odd[0]))}"
        )
    network = build_model(model)
    load_state(path, network, weights.network)
    return network.eval(), weights


def shown(shape: torch.Size | None) -> str:
    """Say a shape, or that there is none."""
    return "missing" if shape is None else str(tuple(shape))


def read_config(where: Path, text: str) -> TrainConfig:
    """Read the settings in a file.

    Raises:
        BratsError: they are not settings.
    """
    try:
        return TrainConfig.from_json(text)
    except (ValueError, TypeError, RecursionError) as error:
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
    return _not_plain(value, name, DEEPEST, set())


def _not_plain(value: object, name: str, depth: int, seen: set[int]) -> str:
    """Do it to a depth; what was seen is not looked into again, since a list may hold itself."""
    if type(value) not in (dict, list, tuple):
        return _odd_leaf(value, name)
    if id(value) in seen or depth == 0:
        return f"{name} is nested deeper than {DEEPEST}" if depth == 0 else ""
    seen.add(id(value))
    if type(value) is dict:
        odd = [key for key in value if type(key) not in (str, int)]
        if odd:
            return f"a key of {name} is {type(odd[0]).__name__}"
        parts = ((value[key], f"{name}.{key}") for key in value)
    else:
        parts = ((each, f"{name}.{i}") for i, each in enumerate(value))  # type: ignore[arg-type, var-annotated]  # narrowed by type()
    found = (_not_plain(each, at, depth - 1, seen) for each, at in parts)
    return next(filter(None, found), "")


def _odd_leaf(value: object, name: str) -> str:
    """Say why a value is not plain; empty if it is."""
    if type(value) is Tensor and not is_whole(value):
        return f"{name} is a tensor without numbers of its own"
    return "" if type(value) in PLAIN else f"{name} is {type(value).__name__}"


def is_whole(tensor: Tensor) -> bool:
    """Whether each number of a tensor is there: no view that claims more than its storage."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


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
