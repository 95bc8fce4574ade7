"""Whether nested values are plain: tensors, numbers and text, in dicts and lists."""

from typing import Final

import torch
from torch import Tensor

MAX_DEPTH: Final = 8
"""Nested dicts and lists; no checkpoint needs as many."""
PLAIN: Final = (Tensor, int, float, bool, str, type(None))
"""Types of values in a file; exactly these, since a NumPy number is a float to isinstance."""


def not_plain(value: object, name: str = "checkpoint") -> str:
    """Name the first value in nested dicts and lists that is not plain; empty if all are."""
    return _not_plain(value, name, MAX_DEPTH, set())


def _not_plain(value: object, name: str, depth: int, seen: set[int]) -> str:
    """Check down to a depth; values seen before are skipped, since a list may hold itself."""
    if type(value) not in (dict, list, tuple):
        return _leaf_fault(value, name)
    if id(value) in seen or depth == 0:
        return f"{name} is nested deeper than {MAX_DEPTH}" if depth == 0 else ""
    seen.add(id(value))
    if type(value) is dict:
        bad_keys = [key for key in value if type(key) not in (str, int)]
        if bad_keys:
            return f"a key of {name} is {type(bad_keys[0]).__name__}"
        parts = ((value[key], f"{name}.{key}") for key in value)
    else:
        parts = ((item, f"{name}.{i}") for i, item in enumerate(value))  # type: ignore[arg-type, var-annotated]  # narrowed by type()
    faults = (_not_plain(item, place, depth - 1, seen) for item, place in parts)
    return next(filter(None, faults), "")


def _leaf_fault(value: object, name: str) -> str:
    """Describe why a value is not plain; empty if it is."""
    if type(value) is Tensor and not is_whole(value):
        return f"{name} is a tensor without numbers of its own"
    return "" if type(value) in PLAIN else f"{name} is {type(value).__name__}"


def is_whole(tensor: Tensor) -> bool:
    """Whether a tensor of any shape and dtype stores each of its numbers.

    A view may have a shape that is larger than its storage.
    """
    if tensor.layout is not torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
