"""A folder and its archives hold the same members, and nothing unsafe is read."""

import gzip
import io
import os
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bratsprep.errors import SourceError
from bratsprep.sources.members import MAX_BYTES, sift
from bratsprep.sources.source import FolderSource, open_source

NOISE = np.random.default_rng(0)
FILES = {
    "top/a/a_t1.nii.gz": NOISE.bytes(70_000),
    "top/a/a_t2.nii": b"slices" * 9_000,
    "top/b/b_T1.NII.GZ": NOISE.bytes(1_234),
    "top/dataset.json": b'{"name": "x"}',
}
HIDDEN = ("top/a/._a_t1.nii.gz", "top/.DS_Store", "__MACOSX/top/a/._a_t2.nii")
OTHER = ("top/readme.txt", "top/a/a.nii.gz.md5")
KINDS = ["folder", "tar", "tar.gz", "tgz", "zip", "stored.zip"]


def contents():
    return FILES | dict.fromkeys((*HIDDEN, *OTHER), b"rubbish")


def pack_folder(root):
    for name, content in contents().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pack_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def pack_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def pack(folder, kind, files=None):
    files = files or contents()
    path = folder / f"set.{kind}"
    if kind == "folder":
        return pack_folder(path)
    if kind.endswith("zip"):
        return pack_zip(path, files, zipfile.ZIP_STORED if "stored" in kind else 8)
    return pack_tar(path, files, "w" if kind == "tar" else "w:gz")


def refusal(path, act=open_source):
    with pytest.raises(SourceError) as caught:
        act(path)
    return str(caught.value)


@pytest.fixture(params=KINDS)
def source(request, tmp_path):
    with open_source(pack(tmp_path, request.param)) as opened:
        yield opened


def test_members_are_the_same_in_folder_and_archives(source):
    assert list(source.members.items()) == sorted((n, len(c)) for n, c in FILES.items())


def test_hidden_files_are_counted(source):
    assert source.passed_over == len(HIDDEN)


def test_read_gives_the_bytes_that_were_packed(source):
    assert {name: source.read(name) for name in source.members} == FILES


@pytest.mark.parametrize("size", [1, 2000, 10**6])
def test_head_gives_the_first_bytes(source, size):
    heads = {name: source.head(name, size) for name in source.members}
    assert heads == {name: content[:size] for name, content in FILES.items()}


@pytest.mark.parametrize("size", [1, 10**6])
def test_head_of_a_file_that_changed_its_size_is_refused(tmp_path, size):
    with open_source(pack(tmp_path, "folder")) as opened:
        (tmp_path / "set.folder/top/a/a_t2.nii").write_bytes(b"slices")
        message = refusal("top/a/a_t2.nii", lambda name: opened.head(name, size))
        assert "holds 6 bytes, 54000 were promised" in message


def test_head_of_an_unknown_member_is_the_callers_fault(source):
    with pytest.raises(ValueError, match="has no member 'x'"):
        source.head("x", 7)


def test_read_into_wants_a_view_of_the_right_length(source):
    with pytest.raises(ValueError, match=r"has 1234 bytes, the view 7"):
        source.read_into("top/b/b_T1.NII.GZ", memoryview(bytearray(7)))


def test_threads_read_at_once(source):
    names = list(source.members) * 12
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(source.read, names)) == [FILES[name] for name in names]


def test_unknown_member_is_the_callers_fault(source):
    with pytest.raises(ValueError, match="has no member 'x'"):
        source.read("x")


def test_reading_after_close_is_refused(tmp_path):
    source = open_source(pack(tmp_path, "tar"))
    source.close()
    source.close()
    assert "cannot be read" in refusal("top/dataset.json", source.read)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "c.nii.gz: is empty; get the file again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "c.nii.gz: is a Git LFS pointer, not the file; run 'git lfs pull'",
        ),
    ],
    ids=["empty", "pointer"],
)
def test_no_real_file_is_said_to_be_none(tmp_path, kind, content, message):
    path = tmp_path / "here"
    if kind == "folder":
        path.mkdir()
        (path / "c.nii.gz").write_bytes(content)
    else:
        path = pack(tmp_path, kind, {"c.nii.gz": content})
    with open_source(path) as source:
        assert refusal("c.nii.gz", source.read) == f"{path}/{message}"


def test_missing_path_is_said(tmp_path):
    assert "none: does not exist; a folder, .tar," in refusal(tmp_path / "none")


def test_unknown_suffix_is_said(tmp_path):
    path = tmp_path / "a.rar"
    path.write_bytes(b"x")
    assert "a.rar: is neither folder nor known archive; a folder, .tar," in refusal(path)


def test_folder_follows_links_but_no_circle(tmp_path):
    real = pack(tmp_path, "folder")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "set").symlink_to(real)
    (linked / "c.nii").symlink_to(real / "top/a/a_t2.nii")
    (linked / "again").symlink_to(linked)
    with open_source(linked) as source:
        assert sorted(source.members) == ["c.nii", *(f"set/{name}" for name in FILES)]
        assert source.read("c.nii") == FILES["top/a/a_t2.nii"]


def test_folder_passes_over_hidden_folders(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.nii").write_bytes(b"x")
    with open_source(tmp_path) as source:
        assert (dict(source.members), source.passed_over) == ({}, 1)


def test_folder_keeps_a_dead_link_to_name_it(tmp_path):
    (tmp_path / "a.nii").symlink_to(tmp_path / "gone")
    with open_source(tmp_path) as source:
        assert source.members["a.nii"] == 0
        assert "a.nii: cannot be read: " in refusal("a.nii", source.read)


def test_folder_passes_over_pipes(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    with open_source(tmp_path) as source:
        assert not source.members


def test_folder_sees_a_file_that_changed(tmp_path):
    file = tmp_path / "a.nii"
    file.write_bytes(b"12345")
    with open_source(tmp_path) as source:
        file.write_bytes(b"123")
        message = f"{file}: holds 3 bytes, 5 were promised; it is truncated or has changed"
        assert refusal("a.nii", source.read) == message


def test_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    def forbidden(self, path):
        raise PermissionError("no permission")

    monkeypatch.setattr(FolderSource, "__init__", forbidden)
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: no permission"


@pytest.mark.parametrize("name", ["../x.nii", "a/../../x.nii", "/x.nii", "C:/x.nii", "..\\x.nii"])
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_member_outside_is_refused(tmp_path, kind, name):
    path = pack(tmp_path, kind, {name: b"x"})
    assert refusal(path) == f"{path}: member {name!r} leads outside; refused"


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_dot_slash_and_folders_are_plain_names(tmp_path, kind):
    path = tmp_path / f"set.{kind}"
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            folder = tarfile.TarInfo("./a")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            archive.addfile(tarfile.TarInfo("./a/x.nii"))
    else:
        pack_zip(path, {"./a/": b"", "./a/x.nii": b""})
    with open_source(path) as source:
        assert dict(source.members) == {"a/x.nii": 0}


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_tar_link_or_device_is_refused(tmp_path, type_):
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a.nii")
        info.type, info.linkname = type_, "/etc/passwd"
        archive.addfile(info)
    assert "member 'a.nii' is a link, device or sparse file; refused" in refusal(path)


def test_zip_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("a.nii")
    info.external_attr = 0o120777 << 16
    path = pack_zip(tmp_path / "set.zip", {info: b"/etc/passwd"})
    assert refusal(path) == f"{path}: member 'a.nii' is a link or device; refused"


def edit(path, signature, offset, fmt, value):
    """Overwrite a field of each header that starts with a signature."""
    content = bytearray(path.read_bytes())
    at = content.find(signature)
    while at >= 0:
        struct.pack_into(fmt, content, at + offset, value)
        at = content.find(signature, at + 1)
    path.write_bytes(content)
    return path


DIRECTORY = b"PK\1\2"


@pytest.mark.parametrize(
    ("offset", "fmt", "value", "message"),
    [
        (8, "<H", 1, "is encrypted"),
        (10, "<H", 9, "is packed by method 9, neither stored nor deflated"),
        (24, "<I", 2**31, "claims 2147483648 bytes in "),
    ],
    ids=["encrypted", "method", "bomb"],
)
def test_zip_member_that_cannot_be_trusted_is_refused(tmp_path, offset, fmt, value, message):
    path = pack_zip(tmp_path / "set.zip", {"a.nii": b"abc" * 99})
    assert f"member 'a.nii' {message}" in refusal(edit(path, DIRECTORY, offset, fmt, value))


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (16, 7, "its checksum (CRC-32) is wrong"),
        (24, 200, "it does not inflate to 200 bytes"),
        (24, 300, "holds 297 bytes, 300 were promised; it is truncated or has changed"),
        (20, 10_000, "the archive ends within it"),
        (42, 5, "its header is not where the archive says"),
    ],
    ids=["checksum", "more", "fewer", "beyond", "header"],
)
def test_zip_member_that_breaks_its_promise_is_said(tmp_path, offset, value, message):
    path = pack_zip(tmp_path / "set.zip", {"a.nii": b"abc" * 99})
    with open_source(edit(path, DIRECTORY, offset, "<I", value)) as source:
        assert message in refusal("a.nii", source.read)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "stored.zip"])
def test_cut_archive_is_said(tmp_path, kind):
    path = pack(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:60_000])
    assert refusal(path).startswith(f"{path}: is truncated, corrupt or unreadable: ")


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_archive_of_nothing_is_said(tmp_path, kind):
    path = tmp_path / f"set.{kind}"
    path.write_bytes(b"")
    assert refusal(path).startswith(f"{path}: is truncated, corrupt or unreadable: ")


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_tar_without_its_end_is_said(tmp_path, kind):
    path = pack_tar(tmp_path / "whole.tar", {"a.nii": b"x" * 512, "b.nii": b"y" * 512})
    content = path.read_bytes()[: 2 * 1024]
    path = tmp_path / f"set.{kind}"
    if kind == "tar":
        path.write_bytes(content)
    else:
        path.write_bytes(gzip.compress(content))
    assert "archive is truncated or corrupt: no end mark at byte 2048" in refusal(path)


def test_tar_with_a_spoiled_header_is_said(tmp_path):
    path = pack_tar(tmp_path / "set.tar", {"a.nii": b"x" * 512, "b.nii": b"y" * 512})
    path.write_bytes(path.read_bytes().replace(b"b.nii", b"c.nii"))
    assert "archive is truncated or corrupt: no end mark at byte 1024" in refusal(path)


def test_gzip_with_a_wrong_checksum_is_said(tmp_path):
    path = pack(tmp_path, "tar.gz")
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(4) + content[-4:])
    assert refusal(path).startswith(f"{path}: is truncated, corrupt or unreadable: ")


def test_tar_that_shrinks_while_open_is_said(tmp_path):
    path = pack(tmp_path, "tar")
    with open_source(path) as source:
        with path.open("r+b") as file:
            file.truncate(1_000)
        assert "were promised; it is truncated or has changed" in refusal(
            "top/a/a_t2.nii", source.read
        )


def test_tar_that_runs_in_a_circle_is_refused(tmp_path, monkeypatch):
    path = pack_tar(tmp_path / "set.tar", {"a.nii": b"x"})
    monkeypatch.setattr(tarfile.TarFile, "next", lambda self: tarfile.TarInfo("a.nii"))
    assert refusal(path) == f"{path}: archive runs in a circle at 'a.nii'; refused"


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_member_is_refused(tmp_path, kind):
    path = pack(tmp_path, kind, {"a.nii": b"x", "./a.nii": b"y"})
    assert refusal(path) == f"{path}: member 'a.nii' occurs twice; refused"


@pytest.mark.parametrize(
    ("name", "size"), [("a.nii", MAX_BYTES + 1), ("dataset.json", 2**27)], ids=["scan", "json"]
)
def test_absurd_size_is_refused(name, size):
    def act(path):
        return sift(path, [(name, size, None)])

    message = f"set.tar: member {name!r} has {size} bytes; too many, refused"
    assert refusal(Path("set.tar"), act) == message


def test_name_with_control_characters_is_refused(tmp_path):
    path = pack_tar(tmp_path / "set.tar", {"a\nb.nii": b"x"})
    assert "member 'a\\nb.nii' has characters with no glyph; rename" in refusal(path)


def tar_of(names):
    """Bytes of a plain tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 700
            archive.addfile(member, io.BytesIO(name.encode().ljust(700, b"x")))
    return packed.getvalue()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("gap", [0, 512, 3 << 20])
def test_joined_archives_are_read_one_after_the_other(tmp_path, suffix, gap):
    parts = [tar_of(["a.nii", "b.nii"]) + bytes(gap), tar_of(["c.nii"]), tar_of(["d.nii"])]
    path = tmp_path / f"all{suffix}"
    path.write_bytes(b"".join(map(gzip.compress, parts) if suffix == ".tar.gz" else parts))
    with open_source(path) as source:
        assert list(source.members) == ["a.nii", "b.nii", "c.nii", "d.nii"]
        assert all(source.read(name).startswith(name.encode()) for name in source.members)


@pytest.mark.parametrize("after", [b"more", b"\1" * 5000, tar_of(["x.nii"])[:300]])
def test_what_follows_the_end_mark_and_is_no_archive_is_refused(tmp_path, after):
    path = tmp_path / "all.tar"
    path.write_bytes(tar_of(["a.nii"]) + after)
    assert "what follows the end mark" in refusal(path)


def test_second_archive_cut_short_is_refused(tmp_path):
    path = tmp_path / "all.tar"
    path.write_bytes(tar_of(["a.nii"]) + tar_of(["b.nii", "c.nii"])[:2048])
    assert "truncated" in refusal(path)


def test_files_that_may_hold_scans_but_are_not_read_are_counted(tmp_path):
    for name in ("a.mgz", "b.MGZ", "c.img.gz", "part.tar.bz2", "notes.txt", "x.nii.bz2", ".d.mgz"):
        (tmp_path / name).write_bytes(b"1")
    with open_source(tmp_path) as source:
        assert dict(source.foreign) == {
            ".img.gz": (1, "c.img.gz"),
            ".mgz": (2, "a.mgz"),
            ".nii.bz2": (1, "x.nii.bz2"),
            ".tar.bz2": (1, "part.tar.bz2"),
        }
