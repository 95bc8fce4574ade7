"""Lines of a journal: what they say of one finished case, and their checksums."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.building.convert import Converted
from bratsprep.building.source_stamps import Stamp, Stamps
from bratsprep.case import CaseTables
from bratsprep.slicefile.schema import Sizes, make_rows, row_dtype
from bratsprep.slicefile.writer import LEAST_EXTENT, Extent
from bratsprep.system import unix


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished case: its rows, and where its chunks lie in which file."""

    file: str
    """Name of the `.partial` file."""
    tables: CaseTables
    stamps: Stamps
    """Of the files that it was converted from, taken before they were read."""
    extents: tuple[Extent, ...]
    """Byte offsets and sizes of the places that hold its larger chunks."""
    line: tuple[Path, int, int]
    """Journal, and byte offset and size of the case's line in it, which holds the chunks below
    LEAST_EXTENT bytes, those of labels: 60 KB a case that need not be in memory."""
    sizes: NDArray[np.int64]
    """As in `Packed`."""
    chunks_crc: int
    """CRC-32 of all chunks."""

    def small(self) -> bytes:
        """Read the chunks below LEAST_EXTENT bytes; empty where the journal has changed."""
        path, offset, size = self.line
        with path.open("rb") as file:
            record = parse(unix.read_at(file.fileno(), size, offset))
        return b"" if record is None else base64.b64decode(record["small"])


def record_of(
    file: Path, made: Converted, stamps: Stamps, extents: list[Extent]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Describe a finished case, and give its bytes by name.

    Args:
        file: the unfinished file that its chunks are in.
        made: its rows and chunks.
        stamps: of the files that it was converted from.
        extents: where those of LEAST_EXTENT bytes and more lie, in their order.
    """
    tables, chunks = made.tables, made.chunks
    parts = (*chunks.images(), *chunks.labels())
    texts, numbers = _split(tables.case)
    record = {
        "file": file.name,
        "stamps": stamps,
        "extents": extents,
        "sizes": chunks.sizes.tolist(),
        "chunks_crc": chunks.crc,
        "texts": texts,
        "sizes_of_rows": [len(tables.case["present"]), len(tables.case["voxels"])],
    }
    blobs = {
        "small": b"".join(chunk for chunk in parts if len(chunk) < LEAST_EXTENT),
        "numbers": numbers,
        "slices": tables.slices.tobytes(),
        "planes": tables.planes.tobytes(),
    }
    return record, blobs


def packed_line(record: Mapping[str, Any], blobs: Mapping[str, bytes]) -> bytes:
    """Make a line: a record, and bytes as Base64, which JSON's writer would look through."""
    line = json.dumps(record).encode()
    for name, blob in blobs.items():
        line = b'%s, "%s": "%s"}' % (line[:-1], name.encode(), base64.b64encode(blob))
    return b"%08x %s\n" % (zlib.crc32(line), line)


def _number_dtype(sizes: Sizes) -> np.dtype[Any]:
    """Columns of /case that hold numbers, as one packed record."""
    dtype = row_dtype("case", sizes)
    return np.dtype(
        [(name, dtype[name]) for name in dtype.names or () if not dtype[name].hasobject]
    )


def _split(row: np.void) -> tuple[dict[str, str], bytes]:
    """Texts of a row of /case by column, and its numbers as bytes."""
    numbers = np.zeros(1, _number_dtype(Sizes(len(row["present"]), len(row["voxels"]))))
    names = numbers.dtype.names or ()
    for name in names:
        numbers[name] = row[name]
    texts = {name: row[name] for name in row.dtype.names or () if name not in names}
    return texts, numbers.tobytes()


def parse(line: bytes) -> dict[str, Any] | None:
    """A line's record, or None where the line is cut short or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def entry_of(record: dict[str, Any], line: tuple[Path, int, int]) -> Entry:
    """Entry of a line; ValueError or KeyError where its columns are not those of the schema."""
    blobs = {name: base64.b64decode(record[name]) for name in ("numbers", "slices", "planes")}
    sizes = Sizes(*record["sizes_of_rows"])
    numbers = np.frombuffer(blobs["numbers"], _number_dtype(sizes))
    values = {name: numbers[name] for name in numbers.dtype.names or ()}
    tables = CaseTables(
        make_rows("case", sizes, 1, **values, **record["texts"])[0],
        np.frombuffer(blobs["slices"], row_dtype("slice", sizes)),
        np.frombuffer(blobs["planes"], row_dtype("plane", sizes)),
    )
    return Entry(
        file=record["file"],
        tables=tables,
        stamps=tuple(Stamp(*stamp) for stamp in record["stamps"]),
        extents=tuple((offset, size) for offset, size in record["extents"]),
        line=line,
        sizes=np.array(record["sizes"], np.int64).reshape(2, -1),
        chunks_crc=record["chunks_crc"],
    )
