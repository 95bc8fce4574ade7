"""Content digests: the same for any machine, day, worker count, archive or compression."""

from dataclasses import replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import numpy as np

from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.slicefile import schema

_OUTSIDE: Final = frozenset({"source", "digest"})
"""Columns of a case that do not belong to its content: a file packed again is the same scan."""
_POSITIONS: Final = frozenset({"slice/case", "plane/case", "plane/z"})
"""Columns that follow from the place of a row."""
_NAMES: Final = MappingProxyType({"slice/z": "z", "slice/crc": "crc"})
"""Columns whose name in the digest is not made of table and column."""


def case_digest(tables: CaseTables) -> str:
    """SHA-256 of all rows of a case, its slices through their checksums; 64 hex digits."""
    total = sha256()
    for column in schema.CASE_COLUMNS:
        if column.name not in _OUTSIDE:
            value = tables.case[column.name]
            total.update(_bytes(column.name, bool(value) if column.name == "labelled" else value))
    for columns, rows in (
        (schema.SLICE_COLUMNS, tables.slices),
        (schema.PLANE_COLUMNS, tables.planes),
    ):
        for column in columns:
            if column.path not in _POSITIONS:
                name = _NAMES.get(column.path, column.path.replace("/", "_"))
                total.update(_bytes(name, rows[column.name]))
    return total.hexdigest()


def with_subject(tables: CaseTables, subject: str) -> CaseTables:
    """Copy the rows of a case under another subject, with the digest that follows from it."""
    if tables.case["subject"] == subject:
        return tables
    row = tables.case.copy()
    row["subject"] = subject
    renamed = replace(tables, case=row)
    row["digest"] = case_digest(renamed)
    return renamed


def file_digest(config: PrepConfig, case_digests: list[str]) -> str:
    """SHA-256 of the settings and the case digests in order; 64 hex digits."""
    plain = replace(config, compression=PrepConfig().compression)
    lines = [plain.to_json(), *case_digests]
    return sha256("\n".join(lines).encode()).hexdigest()


def _bytes(name: str, value: object) -> bytes:
    """A named value: text as UTF-8, numbers as a little-endian array with its shape."""
    if isinstance(value, str):
        return f"\n{name} {value}".encode()
    array = np.asarray(value)
    array = array.astype(array.dtype.newbyteorder("<"))
    return f"\n{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes()
