"""Archives in a folder are read as if they were unpacked where they lie."""

import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from bratsprep.discovery.discover import scan
from bratsprep.errors import LayoutError
from bratsprep.sources import archive_pool
from bratsprep.sources.archive_pool import ArchivePool, unpacked_names
from bratsprep.sources.source import open_source

ROLES = ("flair", "t1", "t1ce", "t2", "seg")


def content(case, role):
    return f"{case} {role}".encode() * 100


def pack(root, case, end, *, top=True):
    """Pack a case into an archive, with or without a folder at its top."""
    root.mkdir(exist_ok=True)
    inner = root / "inner" / case
    inner.mkdir(parents=True)
    for role in ROLES:
        (inner / f"{case}_{role}.nii").write_bytes(content(case, role))
    start = inner.parent if top else inner
    if end == "zip":
        with zipfile.ZipFile(root / f"{case}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in inner.iterdir():
                archive.write(path, path.relative_to(start))
    else:
        with tarfile.open(root / f"{case}.{end}", f"w:{'gz' if end != 'tar' else ''}") as archive:
            for path in inner.iterdir():
                archive.add(path, path.relative_to(start))
    shutil.rmtree(root / "inner")


@pytest.mark.parametrize("end", ["zip", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("top", [True, False])
def test_members_are_read_from_archives_in_a_folder(tmp_path, end, top):
    for case in ("a", "b"):
        pack(tmp_path / "sub", case, end, top=top)
    with open_source(tmp_path) as source:
        assert source.members["sub/a/a_t1.nii"] == 400
        assert source.read("sub/b/b_seg.nii") == content("b", "seg")
        assert source.head("sub/b/b_seg.nii", 3) == b"b s"
        inside = f"b.{end}/{'b/' * top}b_seg.nii"
        assert source.where("sub/b/b_seg.nii") == f"{tmp_path}/sub/{inside}"
        assert (
            source.times_ns("sub/a/a_t1.nii")[0] == (tmp_path / f"sub/a.{end}").stat().st_mtime_ns
        )
        assert [case.id for case in scan(source).cases] == ["a", "b"]
        assert not source.foreign


def test_an_archive_beside_its_own_folder_is_not_read_and_named(tmp_path):
    pack(tmp_path, "a", "zip")
    (tmp_path / "a").mkdir()
    for role in ROLES:
        (tmp_path / "a" / f"a_{role}.nii").write_bytes(content("a", role))
    with open_source(tmp_path) as source:
        found = scan(source)
    assert [case.id for case in found.cases] == ["a"]
    assert (
        "ignored  a.zip: is not read: a folder of its name lies beside it" in found.mapping.lines()
    )


def test_an_archive_whose_files_lie_beside_it_is_not_read(tmp_path):
    pack(tmp_path, "a", "zip")
    (tmp_path / "a.zip").rename(tmp_path / "download.zip")
    pack(tmp_path, "a", "tar")
    with open_source(tmp_path) as source:
        assert dict(source.unread) == {
            "download.zip": "is not read: its files lie beside it unpacked"
        }


def test_a_broken_archive_is_a_fault_that_can_be_skipped_or_excluded(tmp_path):
    pack(tmp_path, "a", "zip")
    (tmp_path / "b.zip").write_bytes(b"PK" + bytes(50))
    with open_source(tmp_path) as source:
        with pytest.raises(LayoutError, match=r"b\.zip: is truncated"):
            scan(source)
        assert [case.id for case in scan(source, skip=True).cases] == ["a"]
        assert not scan(source, exclude=("b.zip",)).set_aside


def test_files_of_other_kinds_in_archives_are_counted(tmp_path):
    pack(tmp_path, "a", "zip")
    (tmp_path / "x.mgz").write_bytes(b"1")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("a/scan.mgz", "1")
    with open_source(tmp_path) as source:
        assert source.foreign[".mgz"] == (2, "a.zip/a/scan.mgz")


def test_few_archives_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_pool, "MAX_OPEN", 2)
    for case in "abcde":
        pack(tmp_path, case, "zip")
    before = psutil.Process().num_fds()
    with open_source(tmp_path) as source:
        names = list(source.members) * 3
        with ThreadPoolExecutor(4) as threads:
            found = dict(zip(names, threads.map(source.read, names), strict=True))
        assert all(found[f"{c}/{c}_{r}.nii"] == content(c, r) for c in "abcde" for r in ROLES)
        assert psutil.Process().num_fds() - before <= 2
    assert psutil.Process().num_fds() == before


def test_the_archive_used_last_is_taken_again(tmp_path):
    opened = []

    class Archive:
        def close(self):
            opened.append("closed")

    pool = ArchivePool(lambda path: opened.append(path.name) or Archive())
    for _ in range(2):
        with pool.borrow(tmp_path / "a"):
            pass
    pool.close()
    assert opened == ["a", "closed"]


def test_names_are_those_of_unpacked_files():
    assert unpacked_names("x/a.zip", ".zip", ["a/1", "a/2"]) == {"x/a/1": "a/1", "x/a/2": "a/2"}
    assert unpacked_names("a.tar.gz", ".tar.gz", ["1", "b/2"]) == {"a/1": "1", "a/b/2": "b/2"}
