"""A published network: a folder of data that can be shared, and that cannot run code.

model.safetensors  weights
model.json         settings, preparation, classes and label schemes
run.json           voxel sizes of the training cases, score and versions
README.md          model card
SHA256SUMS         checksum of each, as `sha256sum --check` reads them

No case id, path or image fingerprint is in it. The checksums find damage, not forgery: whoever can
change a file can change its checksum.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing
from bratstrain.runs.checkpoint import BROKEN, TYPES, Weights
from bratstrain.runs.files import FACTS, read_json, read_text, write_json

WEIGHTS: Final = "model.safetensors"
SETTINGS: Final = "model.json"
CARD: Final = "README.md"
SUMS: Final = "SHA256SUMS"
FILES: Final = (WEIGHTS, SETTINGS, FACTS, CARD)
"""Files with a checksum."""
FORMAT: Final = "bratstrain published network"
VERSION: Final = 1
"""Raised by one whenever an old folder can no longer be read as a new one."""


def is_published(folder: Path) -> bool:
    """Whether a folder is that of a published network."""
    return (folder / SETTINGS).is_file()


def write_published(
    folder: Path, weights: Weights, facts: Mapping[str, Any], card: str
) -> dict[str, str]:
    """Write every file of a published network into an existing folder.

    Args:
        folder: to write to.
        weights: of the network, (...) tensors of any dtype by name.
        facts: of `run.json`.
        card: text of the model card.

    Returns:
        SHA-256 of each file by name.

    Raises:
        BratsError: a file cannot be written.
    """
    tensors = {name: value.detach().clone().contiguous() for name, value in weights.network.items()}
    plain = {
        field.name: getattr(weights, field.name)
        for field in fields(weights)
        if field.name != "network"
    }
    with replacing(folder / WEIGHTS) as file:
        file.write(library().save(tensors))
    write_json(folder / SETTINGS, {"format": FORMAT, "version": VERSION, **plain})
    write_json(folder / FACTS, facts)
    with replacing(folder / CARD) as file:
        file.write(card.encode())
    sums = {name: sha256(folder / name) for name in FILES}
    with replacing(folder / SUMS) as file:
        file.write("".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())
    return sums


def read_published(folder: Path) -> Weights:
    """Read the network of a published folder; its checksums are compared first.

    Raises:
        BratsError: a file is missing, damaged, or of another version.
    """
    check_sums(folder)
    where = folder / SETTINGS
    content = read_json(where)
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise BratsError(
            f"{where}: is {content.get('format')!r} of version {content.get('version')!r}; "
            f"expected {FORMAT!r} of version {VERSION}"
        )
    values: dict[str, Any] = {"network": read_tensors(folder / WEIGHTS)}
    for field in fields(Weights):
        if field.name == "network":
            continue
        value, expected = content.get(field.name), TYPES.get(field.name, str)
        if type(value) is not expected:
            raise BratsError(
                f"{where}: {field.name!r} is {type(value).__name__}, expected {expected.__name__}"
            )
        values[field.name] = value
    return Weights(**values)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors onto the CPU, by name.

    Raises:
        BratsError: it is missing or no such file.
    """
    try:
        tensors: dict[str, Tensor] = library().load(path.read_bytes())
    except OSError as error:
        raise BratsError(f"{path}: cannot be read: {error.strerror}") from error
    except (import_module("safetensors").SafetensorError, *BROKEN) as error:
        raise BratsError(f"{path}: is no file of safetensors: {error}") from error
    return tensors


def library() -> Any:  # noqa: ANN401  a module without types
    """Load the library of the format, which no other command needs.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return import_module("safetensors.torch")


def check_sums(folder: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        BratsError: a file or its checksum is missing, or they differ.
    """
    lines = [line.split("  ", 1) for line in read_text(folder / SUMS).splitlines()]
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    for name in FILES:
        if name not in sums:
            raise BratsError(f"{folder / SUMS}: has no checksum of {name}; download it again")
        if sha256(folder / name) != sums[name]:
            raise BratsError(f"{folder / name}: differs from its checksum; download it again")


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal.

    Raises:
        BratsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BratsError(f"{path}: cannot be read: {error.strerror}") from error
