"""Content digests: the same for any machine, day, worker count, archive or compression."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256

import numpy as np

from bratsprep.case import CaseRow, CaseTables
from bratsprep.config import PrepConfig

_OUTSIDE = frozenset({"source", "digest"})
"""Fields of a row that do not belong to its content: a file packed again is the same scan."""


def case_digest(tables: CaseTables) -> str:
    """SHA-256 of all rows of a case, its slices through their checksums; 64 hex digits."""
    total = sha256()
    for field in fields(CaseRow):
        if field.name not in _OUTSIDE:
            total.update(_bytes(field.name, getattr(tables.case, field.name)))
    for field in fields(CaseTables):
        if field.name != "case":
            total.update(_bytes(field.name, getattr(tables, field.name)))
    return total.hexdigest()


def file_digest(config: PrepConfig, case_digests: list[str]) -> str:
    """SHA-256 of the settings and the case digests in order; 64 hex digits."""
    plain = replace(config, compression=PrepConfig().compression)
    lines = [plain.to_json(), *case_digests]
    return sha256("\n".join(lines).encode()).hexdigest()


def build_key(config: PrepConfig, sources: Mapping[str, Sequence[tuple[str, int]]]) -> str:
    """SHA-256 of the settings and of each case's id, file names and sizes; 64 hex digits."""
    listed = [[case, *map(list, files)] for case, files in sorted(sources.items())]
    return sha256(f"{config.to_json()}\n{json.dumps(listed)}".encode()).hexdigest()


def _bytes(name: str, value: object) -> bytes:
    """A named value: text as UTF-8, numbers as a little-endian array with its shape."""
    if isinstance(value, str):
        return f"\n{name} {value}".encode()
    array = np.asarray(value)
    array = array.astype(array.dtype.newbyteorder("<"))
    return f"\n{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes()
