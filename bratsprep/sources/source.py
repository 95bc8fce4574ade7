"""`Source`: a folder or archive of files, read member by member, from any number of threads.

Nothing is unpacked to disk. What is held in memory is the list of members and, for a `.tar.gz`,
32 KB for each 8 MB of its content and each thread that reads at once.
"""

import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import imagecodecs
from indexed_gzip import ZranError
from isal import igzip, isal_zlib
from isal.igzip_lib import IsalError

from bratsprep.errors import SourceError
from bratsprep.sources.archive_pool import ArchivePool, Closable, unpacked_names
from bratsprep.sources.byte_ranges import GzipBytes, PlainBytes
from bratsprep.sources.members import Content, Headers, sift, tar_members, walk, zip_members
from bratsprep.sources.slice_stacks import SLICE, stacks_of

ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".zip")
POINTER_BYTES: Final = 200
"""A Git LFS pointer is smaller than this, a scan never is."""
_LFS: Final = b"version https://git-lfs"
_BROKEN: Final[tuple[type[Exception], ...]] = (
    EOFError, OSError, OverflowError, ValueError, struct.error, zlib.error,
    tarfile.TarError, zipfile.BadZipFile, NotImplementedError, ZranError, IsalError,
    MemoryError, RecursionError, LookupError,
)  # fmt: skip
"""What the archive libraries raise on a broken archive."""


class Source(ABC):
    """Files by name; a folder and an archive of it have the same members."""

    path: Path
    members: Mapping[str, int]
    """POSIX name relative to the root -> bytes of the file, in sorted order."""
    passed_over: int
    """AppleDouble and other dot files, and all in `__MACOSX`."""
    foreign: Mapping[str, tuple[int, str]]
    """How many files of each suffix may hold scans but are not read, and the first of them."""
    unread: Mapping[str, str] = MappingProxyType({})
    """Reason for each archive inside a folder that is not read."""
    broken: Mapping[str, str] = MappingProxyType({})
    """Error of each archive inside a folder that cannot be read, and of each volume that lacks
    planes."""
    reads_parts = True
    """Whether the start of a member can be had without the rest."""

    def __init__(
        self,
        path: Path,
        listing: tuple[Mapping[str, tuple[int, object]], int, Mapping[str, tuple[int, str]]],
        content: Closable | None,
    ) -> None:
        places, self.passed_over, foreign = listing
        self.path = path
        self.members = MappingProxyType(sizes(places))
        self.foreign = MappingProxyType(dict(foreign))
        self._content = content

    def restricted(self, members: Iterable[str]) -> Self:
        """Give the same source with these members alone; both read from the same open files."""
        part = copy(self)
        kept = set(members)
        part.members = MappingProxyType({n: s for n, s in self.members.items() if n in kept})
        part.broken = {name: error for name, error in self.broken.items() if name in kept}
        return part

    def where(self, name: str) -> str:
        """What to call a member in an error."""
        return f"{self.path}/{name}"

    def times_ns(self, name: str) -> tuple[int, int]:
        """Times of the last change of a member's content, and of anything about it, in ns.

        Those of the archive where the member lies in one.

        Raises:
            SourceError: the file has vanished.
        """
        try:
            status = self._file(name).stat()
        except OSError as error:
            raise SourceError(f"{self.where(name)}: cannot be read: {error}") from error
        return status.st_mtime_ns, status.st_ctime_ns

    def _file(self, _: str) -> Path:
        """File that holds a member: the archive, or in a folder the member itself."""
        return self.path

    def read_into(self, name: str, view: memoryview) -> None:
        """Read a whole member; any number of threads may, each into its own memory.

        Args:
            name: one of `members`.
            view: as long as the member, written.

        Raises:
            SourceError: the member is empty, a pointer, corrupt, or shorter than promised.
            ValueError: there is no such member, or the view is of another length.
        """
        if name not in self.members:
            raise ValueError(f"{self.path} has no member {name!r}")
        size = self.members[name]
        if len(view) != size:
            raise ValueError(f"{self.where(name)} has {size} bytes, the view {len(view)}")
        self._get(name, view)
        if size == 0:
            raise SourceError(f"{self.where(name)}: is empty; get the file again")
        if bytes(view[: len(_LFS)]) == _LFS:
            raise SourceError(
                f"{self.where(name)}: is a Git LFS pointer, not the file; run 'git lfs pull'"
            )

    def read(self, name: str) -> bytes:
        """Read a member into new memory; raises as `read_into` does."""
        whole = bytearray(self.members.get(name, 0))
        self.read_into(name, memoryview(whole))
        return bytes(whole)

    def head(self, name: str, size: int) -> bytes:
        """Read the first bytes of a member, all of a shorter one; raises as `read_into` does."""
        if not self.reads_parts or self.members.get(name, 0) <= size:
            return self.read(name)[:size]
        block = bytearray(size)
        self._get(name, memoryview(block))
        return bytes(block)

    def _get(self, name: str, view: memoryview) -> None:
        """Fill a view from a member's start, or say why it cannot be filled."""
        try:
            count = self._fill(name, view)
        except _BROKEN as error:
            raise SourceError(f"{self.where(name)}: cannot be read: {error}") from error
        if count != len(view):
            raise SourceError(
                f"{self.where(name)}: holds {count} bytes, {self.members[name]} were promised; "
                "it is truncated or has changed"
            )

    @abstractmethod
    def _fill(self, name: str, view: memoryview) -> int:
        """Fill a view from a member's start, and count the bytes that there were.

        The view is as long as the member was promised to be, or shorter where parts can be read.
        """

    def close(self) -> None:
        """Let go of the archive; reading is over."""
        if self._content is not None:
            self._content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(path: Path) -> Source:
    """Open a folder or archive and list its members.

    A plain tar is listed by seeking from header to header; a `.tar.gz` is inflated once.

    Raises:
        SourceError: nothing is there, it is of another kind, it is broken, or a member is
            unsafe to read.
    """
    accepted = f"a folder, {', '.join(ARCHIVES)} can be read"
    if not path.exists():
        raise SourceError(f"{path}: does not exist; {accepted}")
    name = path.name.lower()
    if not path.is_dir() and not name.endswith(ARCHIVES):
        raise SourceError(f"{path}: is neither folder nor known archive; {accepted}")
    try:
        source = FolderSource(path) if path.is_dir() else open_archive(path)
        return StackedSource(source) if any(map(SLICE.fullmatch, source.members)) else source
    except _BROKEN as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


def open_archive(path: Path) -> Source:
    """Open an archive, of the kind that its name says.

    Raises:
        SourceError: it is broken, or a member is unsafe to read.
    """
    try:
        return ZipSource(path) if path.name.lower().endswith(".zip") else TarSource(path)
    except _BROKEN as error:
        raise SourceError(f"{path}: is truncated, corrupt or unreadable: {error}") from error


class FolderSource(Source):
    """A folder, with every folder and archive in it; links are followed."""

    unread: dict[str, str]
    broken: dict[str, str]

    def __init__(self, path: Path) -> None:
        files = list(walk(path))
        members, passed_over, foreign = sift(path, filter(_is_no_archive, files))
        self._files = {name: file for name, (_, file) in members.items()}
        self._inner: dict[str, str] = {}
        self._pool = ArchivePool(open_archive)
        self.unread, self.broken = {}, {}
        listed: dict[str, tuple[int, object]] = dict(members)
        for name, _, file in sorted(files):
            if not _is_no_archive((name, 0, file)):
                foreign = _joined(foreign, self._add_archive(name, file, listed))
        super().__init__(path, (dict(sorted(listed.items())), passed_over, foreign), self._pool)

    def _add_archive(
        self, name: str, file: Path, listed: dict[str, tuple[int, object]]
    ) -> Mapping[str, tuple[int, str]]:
        """List the members of an archive inside the folder, and give its foreign files."""
        suffix = max((end for end in ARCHIVES if name.lower().endswith(end)), key=len)
        own = name[: -len(suffix)]
        if any(member.startswith(f"{own}/") for member in listed):
            self.unread[name] = "is not read: a folder of its name lies beside it"
            return {}
        try:
            with self._pool.borrow(file) as archive:
                inner = unpacked_names(name, suffix, archive.members)
                sizes_inside, foreign = archive.members, archive.foreign
        except SourceError as error:
            self.broken[name] = str(error)
            return {}
        if listed.keys() & inner.keys():
            self.unread[name] = "is not read: its files lie beside it unpacked"
            return {}
        for member, there in inner.items():
            self._files[member], self._inner[member] = file, there
            listed[member] = sizes_inside[there], file
        return {end: (count, f"{name}/{first}") for end, (count, first) in foreign.items()}

    def where(self, name: str) -> str:
        """What to call a member in an error: its place in the archive where it lies in one."""
        if name not in self._inner:
            return super().where(name)
        return f"{self._files[name]}/{self._inner[name]}"

    def head(self, name: str, size: int) -> bytes:
        """Read the first bytes of a member, all of a shorter one; raises as `read_into` does."""
        if name not in self._inner:
            return super().head(name, size)
        with self._pool.borrow(self._files[name]) as archive:
            return archive.head(self._inner[name], size)

    def _file(self, name: str) -> Path:
        return self._files[name]

    def _fill(self, name: str, view: memoryview) -> int:
        if name in self._inner:
            with self._pool.borrow(self._files[name]) as archive:
                archive.read_into(self._inner[name], view)
            return len(view)
        content = PlainBytes(self._files[name])
        try:
            return content.fill(view, 0) if content.size == self.members[name] else content.size
        finally:
            content.close()


class StackedSource(Source):
    """A source whose planes are shown as volumes; its other members are as they are.

    Args:
        source: has at least one file of a plane; it is closed with this one.

    Raises:
        OSError, LookupError, ValueError: the first plane cannot be read.
    """

    def __init__(self, source: Source) -> None:
        try:
            self._stacks, missing = stacks_of(source.members, source.read, str(source.path))
        except BaseException:
            source.close()
            raise
        rest = {n: s for n, s in source.members.items() if not SLICE.fullmatch(n)}
        rest |= {name: stack.size_bytes for name, stack in self._stacks.items()}
        places = {name: (rest[name], name) for name in sorted(rest)}
        super().__init__(source.path, (places, source.passed_over, source.foreign), source)
        self._source = source
        self.unread, self.broken = source.unread, {**source.broken, **missing}

    def where(self, name: str) -> str:
        """What to call a member in an error: its planes where it is put together from some."""
        if name not in self._stacks:
            return self._source.where(name)
        return self._source.where(self._stacks[name].planes[0]).replace(
            "_slice_0.h5", "_slice_*.h5"
        )

    def head(self, name: str, size: int) -> bytes:
        """Read the first bytes of a member, all of a shorter one; raises as `read_into` does."""
        if name not in self._stacks:
            return self._source.head(name, size)
        try:
            return self._stacks[name].head(size, self._source.read)
        except _BROKEN as error:
            raise SourceError(f"{self.where(name)}: cannot be read: {error}") from error

    def times_ns(self, name: str) -> tuple[int, int]:
        """Times of the last change of any plane of a volume; else as in `Source`."""
        files = self._stacks[name].planes if name in self._stacks else (name,)
        modified, changed = zip(*map(self._source.times_ns, files), strict=True)
        return max(modified), max(changed)

    def _fill(self, name: str, view: memoryview) -> int:
        if name in self._stacks:
            self._stacks[name].fill(view, self._source.read)
        else:
            self._source.read_into(name, view)
        return len(view)


def _is_no_archive(file: tuple[str, int, Path]) -> bool:
    """Whether a file of a folder is no archive to look into: another kind, or hidden."""
    name = file[0].lower()
    is_hidden = any(part.startswith(".") or part == "__macosx" for part in name.split("/"))
    return is_hidden or not name.endswith(ARCHIVES) or name.endswith(".nii.zip")


def _joined(
    first: Mapping[str, tuple[int, str]], second: Mapping[str, tuple[int, str]]
) -> dict[str, tuple[int, str]]:
    """Join counts of foreign files, each with the first of them."""
    both = dict(first)
    for end, (count, name) in second.items():
        before, example = both.get(end, (0, name))
        both[end] = before + count, min(example, name)
    return dict(sorted(both.items()))


class TarSource(Source):
    """A tar archive, plain or in gzip, read at the places that its headers name."""

    def __init__(self, path: Path) -> None:
        is_plain = path.name.lower().endswith(".tar")
        content: Content = PlainBytes(path) if is_plain else GzipBytes(path)
        try:
            with path.open("rb") if is_plain else igzip.IGzipFile(path) as stream:
                listing = sift(path, tar_members(path, Headers(stream), content))
        except BaseException:
            content.close()
            raise
        super().__init__(path, listing, content)
        self._bytes = content
        self._starts = {name: start for name, (_, start) in listing[0].items()}

    def _fill(self, name: str, view: memoryview) -> int:
        return self._bytes.fill(view, self._starts[name])


class ZipSource(Source):
    """A zip archive of stored and deflated members."""

    reads_parts = False
    """Its checksums are of whole members."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            listing = sift(path, zip_members(path, archive))
        self._bytes = PlainBytes(path)
        super().__init__(path, listing, self._bytes)
        self._entries = {name: entry for name, (_, entry) in listing[0].items()}

    def _fill(self, name: str, view: memoryview) -> int:
        entry = self._entries[name]
        header = bytearray(30)
        self._bytes.fill(memoryview(header), entry.header_offset)
        if header[:4] != b"PK\3\4":
            raise ValueError("its header is not where the archive says")
        start = entry.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26))
        if entry.compress_type == zipfile.ZIP_STORED:
            count = self._bytes.fill(view, start)
        else:
            count = self._inflate(view, start, entry.compress_size)
        if count == len(view) and isal_zlib.crc32(view) != entry.CRC:
            raise ValueError("its checksum (CRC-32) is wrong")
        return count

    def _inflate(self, view: memoryview, start: int, packed_bytes: int) -> int:
        """Inflate a member; more content than promised is an error."""
        if start + packed_bytes > self._bytes.size:
            raise ValueError("the archive ends within it")
        packed = bytearray(packed_bytes)
        self._bytes.fill(memoryview(packed), start)
        if not view:
            return 0
        try:
            return len(imagecodecs.deflate_decode(packed, raw=True, out=view))
        except imagecodecs.DeflateError as error:
            raise ValueError(f"it does not inflate to {len(view)} bytes") from error


def sizes(places: Mapping[str, tuple[int, object]]) -> dict[str, int]:
    """Bytes of each member."""
    return {name: size for name, (size, _) in places.items()}
