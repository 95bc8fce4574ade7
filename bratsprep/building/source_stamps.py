"""Whether source files are those that a case was built from: size, times of change, checksum.

Sizes and times are read from the file system alone; a file that has neither changed since counts
as unchanged. Where they differ, or none were recorded, the CRC-32 of its content decides. Times
lie beside the slice file, in `NAME.h5.sources`, since the file itself must not depend on the day.
Without them, for instance after a copy of the slice file alone, the same answers take longer.
"""

import json
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError
from bratsprep.sources.source import Source
from bratsprep.system.atomic import replacing
from bratsprep.volumes.gunzip import crc32

SETTLED_NS: Final = 2_000_000_000
"""A file changed this shortly before its times were read may change again within the resolution of
its file system's clock (2 s for FAT), so that such times are evidence of nothing."""
UNREADABLE: Final = -1
"""In place of a checksum: the content could not be read."""


class Stamp(NamedTuple):
    """What is known of one source file without reading it, and its checksum where it was read."""

    name: str
    """File name without folders."""
    size: int
    """Bytes on disk."""
    modified_ns: int = 0
    """Time of the last change of the content, ns; of the archive where it lies in one. 0: none."""
    changed_ns: int = 0
    """Time of the last change of content, name or times, ns: a program cannot set it."""
    crc32: int | None = None
    """CRC-32 of the bytes on disk; None where it is recorded elsewhere or not at all."""
    channels: str | None = ""
    """Volumes of a 4D file in the order of the modalities, such as `0,1,2,3`; empty for a 3D file,
    None where they were not recorded."""


Stamps = tuple[Stamp, ...]
"""Of the files of one case, as `CaseFiles.members` lists them."""


def take_stamps(source: Source, cases: Iterable[CaseFiles]) -> dict[str, Stamps]:
    """Stamp the files of each case, by case id; taken before they are read.

    A file changed during the build then has other times than recorded, and is looked at again.
    """
    newest = time.time_ns() - SETTLED_NS
    stamps = {}
    for files in cases:
        listed = []
        for member in files.members:
            times = source.times_ns(member)
            settled = times if max(times) <= newest else (0, 0)
            channels = channels_in(files, member)
            size = source.members[member]
            listed.append(Stamp(base_name(member), size, *settled, channels=channels))
        stamps[files.id] = tuple(listed)
    return stamps


def channels_in(files: CaseFiles, member: str) -> str:
    """Which modality each volume of a file is, as a stamp records it."""
    places = [
        f"{channel.index}" if channel.index is not None else ""
        for channel in files.images
        if channel is not None and channel.member == member
    ]
    return ",".join(filter(None, places))


def base_name(member: str) -> str:
    """Name of a member without its folders."""
    return member.rsplit("/", 1)[-1]


def content_crc(source: Source, member: str) -> int:
    """CRC-32 of a member's bytes as they lie on disk; UNREADABLE where it cannot be read."""
    try:
        return crc32(source.read(member))
    except BratsError:
        return UNREADABLE


def first_change(source: Source, files: CaseFiles, now: Stamps, then: Stamps) -> str:
    """Name the first file that is not the one recorded.

    Args:
        source: what the case lies in.
        files: the case.
        now: its stamps.
        then: the recorded ones, with checksums; their times may be 0.

    Returns:
        Empty where all are unchanged.
    """
    if [stamp.name for stamp in now] != [stamp.name for stamp in then]:
        return "its files are not those recorded"
    for member, new, old in zip(files.members, now, then, strict=True):
        if new.size != old.size:
            return f"{new.name} has {new.size:,} bytes, had {old.size:,}"
        if old.channels not in (None, new.channels):
            return f"volumes {new.channels} of {new.name} are taken, were {old.channels}"
        if any(new[2:4]) and new[2:4] == old[2:4]:
            continue
        if content_crc(source, member) != old.crc32:
            return f"{new.name} has another content"
    return ""


def recorded(source_column: str, times: Stamps) -> Stamps:
    """Join a case's files as `case/source` lists them with their times from a sidecar.

    Args:
        source_column: JSON of name, size and crc32 of each file.
        times: stamps of the same files; without effect where they are of others.

    Returns:
        Nothing where `case/source` cannot be read.
    """
    try:
        listed = tuple(
            Stamp(part["name"], part["size"], crc32=part["crc32"], channels=None)
            for part in json.loads(source_column)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    if [stamp[:2] for stamp in listed] != [stamp[:2] for stamp in times]:
        return listed
    return tuple(
        stamp._replace(crc32=part.crc32) for part, stamp in zip(listed, times, strict=True)
    )


def sidecar(out: Path) -> Path:
    """Where the times of a slice file's sources are."""
    return out.with_name(out.name + ".sources")


def content_key(digest: str, source_columns: Iterable[str]) -> str:
    """SHA-256 of what a sidecar belongs to: a slice file's digest and its lists of sources."""
    return sha256("\n".join([digest, *source_columns]).encode()).hexdigest()


def write_sidecar(out: Path, key: str, stamps: Mapping[str, Stamps]) -> None:
    """Write the stamps of all cases beside a slice file.

    Raises:
        BuildError: it cannot be written.
    """
    with replacing(sidecar(out)) as file:
        file.write(json.dumps({"key": key, "cases": stamps}).encode())


def read_sidecar(out: Path, key: str) -> dict[str, Stamps]:
    """Read the stamps beside a slice file; none where they are missing or of another file."""
    try:
        content: Any = json.loads(sidecar(out).read_bytes())
        if content["key"] != key:
            return {}
        return {
            str(case): tuple(Stamp(*stamp) for stamp in stamps)
            for case, stamps in content["cases"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
