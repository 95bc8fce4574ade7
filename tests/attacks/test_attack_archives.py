"""Archives made to harm: refused by our own message, in little memory, with nothing unpacked."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import pytest

from bratsprep.sources import members
from bratsprep.sources.source import open_source
from tests.helpers import niftis
from tests.helpers.attacked import refused

SCAN = niftis.content(niftis.numbers())


def tar(path, infos, kind=tarfile.PAX_FORMAT):
    """Write a tar of hand-made members; gives its path."""
    with tarfile.open(path, "w", format=kind) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
    return path


def member(name, kind=tarfile.REGTYPE, size=0, **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def header_block(name, kind, size):
    """One 512-byte header of GNU tar, its size as it may be in no honest archive."""
    info = member(name, kind)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = b"\x80" + size.to_bytes(11, "big", signed=False)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def listed(path):
    with open_source(path) as source:
        return dict(source.members)


@pytest.mark.parametrize(
    "name", ["../x.nii", "a/../../x.nii", "/etc/x.nii", "C:\\x.nii", "..\\x.nii", "a/..\\..\\x.nii"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_name_that_leads_outside(tmp_path, name, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "tar":
        tar(path, [member(name, size=10)])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, SCAN)
    with refused(r"leads outside; refused", tmp_path.parent):
        listed(path)


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_tar_member_that_is_no_plain_file(tmp_path, kind):
    path = tar(tmp_path / "x.tar", [member("x.nii", kind, linkname="/etc/passwd")])
    with refused(r"is a link, device or sparse file; refused", tmp_path):
        listed(path)


def test_zip_member_that_is_a_link(tmp_path):
    info = zipfile.ZipInfo("x.nii")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with refused(r"is a link or device; refused", tmp_path):
        listed(tmp_path / "x.zip")


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("size", [members.MAX_BYTES + 1, 10**12, 2**63])
def test_tar_member_of_an_absurd_size(tmp_path, kind, size):
    content = header_block("x.nii", tarfile.REGTYPE, size) + bytes(1024)
    path = tmp_path / f"x.{kind}"
    path.write_bytes(gzip.compress(content) if kind == "tar.gz" else content)
    with refused(r"too many, refused|truncated, corrupt"):
        listed(path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize(
    "type_", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
@pytest.mark.parametrize("size", [3 << 20, 10**12])
def test_tar_header_of_an_absurd_size(tmp_path, kind, type_, size):
    content = header_block("x", type_, size) + bytes(4 << 20)
    path = tmp_path / f"x.{kind}"
    path.write_bytes(gzip.compress(content) if kind == "tar.gz" else content)
    with refused(r"a header has more than 1,048,576 bytes"):
        listed(path)


def test_tar_headers_in_a_long_chain(tmp_path):
    link = header_block("x", tarfile.GNUTYPE_LONGNAME, 5) + b"a.nii".ljust(512, b"\0")
    path = tmp_path / "x.tar"
    path.write_bytes(link * 3000)
    with refused(r"a header has more than|maximum recursion depth"):
        listed(path)


def test_sparse_map_that_goes_on_for_ever(tmp_path):
    """The map of a PAX 1.0 sparse file lies in the content, and is as long as it says."""
    info = member("x.nii", size=4 << 20)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "y"}
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"9" * (4 << 20)))
    with refused(r"is truncated, corrupt or unreadable"):
        listed(tmp_path / "x.tar")


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_is_there_twice(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "tar":
        tar(path, [member("a/x.nii", size=3), member("./a//x.nii", size=3)])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.nii", "1")
            archive.writestr("x.nii", "2")
    with refused(r"occurs twice; refused"):
        listed(path)


def test_members_beyond_number(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_MEMBERS", 20)
    path = tar(tmp_path / "x.tar", [member(f"{i}.nii") for i in range(21)])
    with refused(r"'20\.nii' is refused; a source has at most 20 files"):
        listed(path)


def test_folders_and_other_files_without_end_take_no_memory(tmp_path):
    block = member("x.txt").tobuf(tarfile.USTAR_FORMAT)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(block * 4_000 + header_block("x.nii", b"0", 10**12), 1))
    with refused(r"x\.nii' has 1000000000000 bytes; too many", most_mb=4):
        listed(path)


def test_name_without_end(tmp_path):
    path = tar(tmp_path / "x.tar", [member("a" * 200_000 + ".nii")])
    with refused(r"names of at most 1,024 characters"):
        listed(path)


def test_archive_that_inflates_to_a_thousand_times_its_size(tmp_path):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(bytes(64 << 20), 1))
    assert listed(path) == {}


def entry(name, packed, *, size, flags=0, method=8, offset=0, packed_size=None):
    """Local header with content, and central entry, of a zip member as it may lie."""
    count = len(packed) if packed_size is None else packed_size
    same = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 0, zlib.crc32(packed), count, size,
                       len(name), 0)  # fmt: skip
    local = b"PK\3\4" + same + name + packed
    central = b"PK\1\2" + struct.pack("<H", 20) + same + struct.pack("<HHHII", 0, 0, 0, 0, offset)
    return local, central + name


def write_zip(path, entries, start):
    """Put local headers and central entries together."""
    directory = b"".join(central for _, central in entries)
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), start, 0)
    content = b"".join(local for local, _ in entries)[:start]
    path.write_bytes(content + directory + b"PK\5\6" + end)
    return path


def deflated(content):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def test_zip_bomb_of_members_that_share_their_bytes(tmp_path):
    local, _ = entry(b"0.nii", deflated(bytes(1 << 20)), size=1 << 20)
    _, first = entry(b"0.nii", deflated(bytes(1 << 20)), size=1 << 20)
    _, again = entry(b"1.nii", deflated(bytes(1 << 20)), size=1 << 20)
    path = write_zip(tmp_path / "x.zip", [(local, first), (b"", again)], len(local))
    with refused(r"'1\.nii' overlaps '0\.nii'; refused"):
        listed(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 1 << 40}, "claims 1099511627776|too many"),
        ({"size": 10**9}, "claims 1000000000 bytes in"),
        ({"size": 1000, "flags": 1}, "is encrypted"),
        ({"size": 1000, "method": 12}, "is packed by method 12"),
        ({"size": 2_000}, "holds 1000 bytes, 2000 were promised"),
        ({"size": 500}, "does not inflate to 500 bytes"),
        ({"size": 1000, "packed_size": 1 << 31}, "ends within it|overlaps|truncated"),
        ({"size": 1000, "offset": 7}, "header is not where|truncated, corrupt"),
    ],
)
def test_zip_member_that_lies(tmp_path, changes, message):
    changes = dict(changes)
    changes["size"] = (
        min(changes["size"], 2**32 - 1) if changes["size"] > 2**32 else changes["size"]
    )
    local, central = entry(b"x.nii", deflated(b"abcd" * 250), **changes)
    path = write_zip(tmp_path / "x.zip", [(local, central)], len(local))
    message = message.replace("1099511627776", "4294967295")
    with refused(message), open_source(path) as source:
        source.read("x.nii")


def test_checksum_that_is_not_that_of_the_content(tmp_path):
    local, central = entry(b"x.nii", deflated(b"abcd" * 250), size=1000)
    path = write_zip(tmp_path / "x.zip", [(local, central)], len(local))
    with refused(r"its checksum \(CRC-32\) is wrong"), open_source(path) as source:
        source.read("x.nii")
