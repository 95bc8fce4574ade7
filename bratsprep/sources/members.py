"""What lies in a folder or archive: which files count, and which are refused before any read."""

import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

from bratsprep.errors import SourceError
from bratsprep.sources.slice_stacks import SLICE

SUFFIXES: Final = (".nii", ".nii.gz", ".mha", ".json")
"""Only files of these kinds become members, and planes in HDF5 of a known name."""
FOREIGN: Final = (
    ".hdr", ".hdr.gz", ".img", ".img.gz", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc",
    ".dcm", ".ima", ".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".npy", ".npz", ".h5",
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar",
)  # fmt: skip
"""Files that may hold scans but are not read: counted, so that they can be named."""
MAX_BYTES: Final = 4 << 30
"""Largest file in an archive; a whole 4D case of float64 is 285 MB."""
MAX_JSON_BYTES: Final = 64 << 20
MAX_MEMBERS: Final = 200_000
"""Scans in one source; all releases together have a tenth of that."""
MAX_NAME: Final = 1024
"""Characters of a member's name."""
MAX_HEADER_BYTES: Final = 1 << 20
"""Of one member of a tar archive, its extended headers included."""
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DEFLATE_RATIO: Final = 1032
"""Deflate cannot shrink more than this."""
_LOOK_BYTES: Final = 1 << 20
"""Read at a time in search of what follows the end of an archive."""
_ZIP_HEADER: Final = 30
"""Bytes before the name of a zip member."""

Place = TypeVar("Place")


class Content(Protocol):
    """Bytes that can be read at any place from any thread."""

    def fill(self, view: memoryview, start: int) -> int:
        """Fill a view with the bytes from `start` on; fewer where the content ends."""

    def close(self) -> None:
        """Let go of the file."""


def sift(
    path: Path, files: Iterable[tuple[str, int, Place]]
) -> tuple[dict[str, tuple[int, Place]], int, dict[str, tuple[int, str]]]:
    """Choose the members among all files, and count the hidden and the foreign ones.

    Args:
        path: of the folder or archive, for errors.
        files: name, bytes, and where to read it, of each file.

    Returns:
        (bytes, place) by name, sorted by name; the number of AppleDouble, dot and `__MACOSX`
        files; and of the files of each suffix in FOREIGN, how many and the first.

    Raises:
        SourceError: a name occurs twice or cannot be stored, or a size is absurd.
    """
    members: dict[str, tuple[int, Place]] = {}
    passed_over = 0
    foreign: dict[str, tuple[int, str]] = {}
    for name, size, place in files:
        if size > MAX_BYTES or (name.endswith(".json") and size > MAX_JSON_BYTES):
            raise SourceError(f"{path}: member {name!r} has {size} bytes; too many, refused")
        if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")):
            passed_over += 1
        elif name.lower().endswith(SUFFIXES) or SLICE.fullmatch(name):
            if not name.isprintable():
                raise SourceError(f"{path}: member {name!r} has characters with no glyph; rename")
            if name in members:
                raise SourceError(f"{path}: member {name!r} occurs twice; refused")
            if len(members) == MAX_MEMBERS or len(name) > MAX_NAME:
                raise SourceError(
                    f"{path}: member {name[:80]!r} is refused; a source has at most "
                    f"{MAX_MEMBERS:,} files, with names of at most {MAX_NAME:,} characters"
                )
            members[name] = (size, place)
        else:
            _count_foreign(foreign, name)
    return dict(sorted(members.items())), passed_over, dict(sorted(foreign.items()))


def _count_foreign(foreign: dict[str, tuple[int, str]], name: str) -> None:
    """Count a file that is no member under its suffix, where that is one of FOREIGN."""
    suffix = max((end for end in FOREIGN if name.lower().endswith(end)), key=len, default="")
    if suffix:
        count, first = foreign.get(suffix, (0, name))
        foreign[suffix] = count + 1, min(first, name)


def walk(
    folder: Path, prefix: str = "", above: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[str, int, Path]]:
    """List the files of a folder and of those in it, links included, as `sift` wants them.

    A link to a folder above is not followed twice; a link to nothing has size 0; a hidden folder
    counts as one file.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name, file = prefix + entry.name, folder / entry.name
            if entry.is_dir() and not entry.name.startswith("."):
                yield from walk(file, f"{name}/", (*above, here))
            elif entry.is_file():
                yield name, entry.stat().st_size, file
            elif entry.is_dir() or entry.is_symlink():
                yield name, 0, file


class Headers:
    """A tar archive for tarfile, which takes as much memory as a header asks for.

    Args:
        stream: the archive from its beginning, unpacked.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_HEADER_BYTES

    def renew(self) -> None:
        """Begin with the next member."""
        self._left = MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Read bytes of a header.

        Raises:
            ValueError: it has more than `MAX_HEADER_BYTES`.
        """
        self._left -= size
        if size < 0 or self._left < 0:
            raise ValueError(f"a header has more than {MAX_HEADER_BYTES:,} bytes")
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        """Go to a byte."""
        return self._stream.seek(place)

    def tell(self) -> int:
        """Byte that is read next."""
        return self._stream.tell()


def tar_members(path: Path, headers: Headers, content: Content) -> Iterator[tuple[str, int, int]]:
    """List the files of a tar archive as `sift` wants them.

    tarfile takes a corrupt header for the end, so the block after the last member is checked.
    Archives that were joined end to end, as by `cat`, are read one after the other.

    Raises:
        SourceError: a member is unsafe, or the archive does not end as it should.
    """
    start: int | None = headers.tell()
    while start is not None:
        headers.renew()
        headers.seek(start)
        with tarfile.open(fileobj=headers, mode="r:") as archive:  # type: ignore[call-overload]  # it uses no more of a file
            yield from _files(path, archive, headers)
            stop = archive.offset
        end = bytearray(tarfile.BLOCKSIZE)
        if content.fill(memoryview(end), stop) != len(end) or any(end):
            raise SourceError(
                f"{path}: archive is truncated or corrupt: no end mark at byte {stop}; download "
                "the file again"
            )
        start = _next_archive(path, content, stop)


def _next_archive(path: Path, content: Content, stop: int) -> int | None:
    """Byte at which the next archive begins behind an end mark; None where only zeros follow.

    Raises:
        SourceError: something else follows.
    """
    block = bytearray(_LOOK_BYTES)
    place = stop
    while count := content.fill(memoryview(block), place):
        zeros = count - len(bytes(block[:count]).lstrip(b"\0"))
        if zeros < count:
            start = place + zeros - (place + zeros - stop) % tarfile.BLOCKSIZE
            _check_header(path, content, start)
            return start
        place += count
    return None


def _check_header(path: Path, content: Content, start: int) -> None:
    """Refuse what is no header of a tar archive.

    Raises:
        SourceError: it is none.
    """
    header = bytearray(tarfile.BLOCKSIZE)
    count = content.fill(memoryview(header), start)
    try:
        tarfile.TarInfo.frombuf(bytes(header[:count]), "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise SourceError(
            f"{path}: what follows the end mark, from byte {start} on, is no tar archive; "
            "download the file again"
        ) from error


def _files(
    path: Path, archive: tarfile.TarFile, headers: Headers
) -> Iterator[tuple[str, int, int]]:
    """Files of an open tar archive, up to whatever tarfile takes for the end.

    Raises:
        SourceError: a member is unsafe.
    """
    last = -1
    while (info := archive.next()) is not None:
        headers.renew()
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep every one
        if info.offset <= last:
            raise SourceError(f"{path}: archive runs in a circle at {info.name!r}; refused")
        last = info.offset
        name = safe_name(path, info.name)
        if info.isdir():
            continue
        if not info.isreg() or info.issparse():
            raise SourceError(
                f"{path}: member {info.name!r} is a link, device or sparse file; refused, "
                "pack the files themselves"
            )
        yield name, info.size, info.offset_data


def zip_members(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, int, zipfile.ZipInfo]]:
    """List the files of an open zip archive as `sift` wants them.

    Raises:
        SourceError: a member is unsafe, encrypted, or packed in an uncommon way.
    """
    end, before = 0, ""
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise SourceError(
                f"{path}: member {info.filename!r} overlaps {before!r}; refused, fetch it again"
            )
        end, before = info.header_offset + _ZIP_HEADER + info.compress_size, info.filename
        name = safe_name(path, info.filename)
        if info.is_dir():
            continue
        fault = zip_fault(info)
        if fault:
            raise SourceError(f"{path}: member {info.filename!r} {fault}; refused")
        yield name, info.file_size, info


def zip_fault(info: zipfile.ZipInfo) -> str:
    """Say what forbids reading a zip member; empty where nothing does."""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or device"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {info.compress_type}, neither stored nor deflated"
    if info.file_size > _DEFLATE_RATIO * info.compress_size:
        return f"claims {info.file_size} bytes in {info.compress_size}"
    return ""


def safe_name(path: Path, name: str) -> str:
    """Give an archive's name of a member in POSIX form, without `./`.

    Raises:
        SourceError: the name leads out of the archive.
    """
    posix = name.replace("\\", "/")
    if posix.startswith("/") or _DRIVE.match(posix) or ".." in posix.split("/"):
        raise SourceError(f"{path}: member {name!r} leads outside; refused")
    return "/".join(part for part in posix.split("/") if part not in ("", "."))
