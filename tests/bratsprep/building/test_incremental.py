"""A build over a finished file converts what changed, and gives the bytes of a fresh build."""

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import time

import h5py
import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.building import builder, source_stamps
from bratsprep.building.previous import Changes
from bratsprep.building.source_stamps import sidecar
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError, BuildError
from bratsprep.slicefile.writer import SliceWriter
from tests.helpers.stops import stop_after

WINDOW = "48x40"
SHAPE = (44, 50, 20)
FIRST, SECOND, THIRD = (f"BraTS20_Training_00{k}" for k in (1, 2, 3))


def bytes_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three unpacked cases and their slice file, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    bratsprep.phantoms(folder / "raw", cases=3, shape=SHAPE, layout="brats2020", workers=1)
    for path in (folder / "raw").rglob("*.nii.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    bratsprep.build(folder / "raw", folder / "out.h5", crop=WINDOW, workers=1)
    return folder


@pytest.fixture
def pair(made, tmp_path):
    """Raw folder and slice file, free to be changed."""
    shutil.copytree(made, tmp_path / "pair")
    return tmp_path / "pair" / "raw", tmp_path / "pair" / "out.h5"


@pytest.fixture
def clock(monkeypatch):
    """Let times count as settled at once: the file system of the tests has a fine clock."""
    monkeypatch.setattr(source_stamps, "SETTLED_NS", 0)


def again(raw, out, **settings):
    return bratsprep.build(raw, out, crop=WINDOW, workers=2, **settings)


def fresh(raw, folder, **settings):
    bratsprep.build(raw, folder / "fresh.h5", crop=WINDOW, workers=1, force=True, **settings)
    return bytes_of(folder / "fresh.h5")


def member(raw, case, name):
    return raw / case / f"{case}_{name}.nii"


def edit(path, *, keep_time=False):
    """Change one voxel of an unpacked file; its size stays."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    image = nib.Nifti1Image.from_bytes(bytes(content))
    voxels = np.asanyarray(image.dataobj).copy(order="F")
    places = np.flatnonzero(voxels.ravel(order="F"))
    flat = voxels.ravel(order="F")
    flat[places[0]] = 1 if flat[places[0]] != 1 else 2
    content[352:] = flat.tobytes()
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_edited_label_of_the_same_size_is_converted_again(pair, tmp_path):
    raw, out = pair
    before = bytes_of(out)
    edit(member(raw, SECOND, "seg"))
    summary = again(raw, out)
    assert summary.changes.rebuilt == {SECOND: f"{SECOND}_seg.nii has another content"}
    assert summary.changes.kept == {FIRST, THIRD}
    assert any(SECOND in line and "_seg.nii" in line for line in summary.lines())
    assert bytes_of(out) == fresh(raw, tmp_path) != before


def test_an_edit_that_keeps_size_and_time_is_found_by_the_time_of_change(pair, tmp_path, clock):
    raw, out = pair
    assert again(raw, out).was_complete
    time.sleep(0.05)
    edit(member(raw, SECOND, "seg"), keep_time=True)
    assert list(again(raw, out).changes.rebuilt) == [SECOND]
    assert bytes_of(out) == fresh(raw, tmp_path)


def count_reads(monkeypatch):
    """Names of the members whose checksum is computed."""
    names = []
    compute = source_stamps.content_crc

    def counted(source, name):
        names.append(name)
        return compute(source, name)

    monkeypatch.setattr(source_stamps, "content_crc", counted)
    return names


def test_unchanged_sources_are_not_read_where_their_times_are_known(pair, monkeypatch, clock):
    raw, out = pair
    names = count_reads(monkeypatch)
    assert again(raw, out).was_complete
    assert len(names) == 15  # a copy has other times of change
    names.clear()
    assert again(raw, out).was_complete
    assert names == []
    edit(member(raw, FIRST, "t2"))
    again(raw, out)
    assert names == [f"{FIRST}/{FIRST}_t2.nii"]


def test_times_read_just_after_a_change_are_not_trusted(pair, monkeypatch):
    raw, out = pair
    names = count_reads(monkeypatch)
    for _ in range(2):
        assert again(raw, out).was_complete
    assert len(names) == 30


def test_a_touched_file_is_unchanged_and_the_file_is_left_alone(pair, clock):
    raw, out = pair
    again(raw, out)
    before = out.stat().st_mtime_ns
    os.utime(member(raw, FIRST, "t1"))
    assert again(raw, out).was_complete
    assert out.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"key": 1, "cases": 2}', b"[]"])
def test_without_times_checksums_decide(pair, tmp_path, content):
    raw, out = pair
    if content is None:
        sidecar(out).unlink()
    else:
        sidecar(out).write_bytes(content)
    assert again(raw, out).was_complete
    sidecar(out).unlink()
    edit(member(raw, THIRD, "flair"))
    assert list(again(raw, out).changes.rebuilt) == [THIRD]
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_times_of_another_file_are_not_used(pair, tmp_path, clock):
    raw, out = pair
    again(raw, out)
    old = sidecar(out).read_bytes()
    edit(member(raw, FIRST, "seg"))
    again(raw, out)
    sidecar(out).write_bytes(old)
    assert again(raw, out).was_complete


def test_bytes_do_not_depend_on_when_the_data_was_copied(made, pair):
    raw, out = pair
    for path in raw.rglob("*.nii"):
        os.utime(path, ns=(1, 10**18))
    again(raw, out, force=True)
    assert bytes_of(out) == bytes_of(made / "out.h5")


def test_a_case_that_is_removed_is_dropped(pair, tmp_path):
    raw, out = pair
    shutil.rmtree(raw / SECOND)
    summary = again(raw, out)
    assert (summary.changes.dropped, summary.changes.rebuilt) == ([SECOND], {})
    assert any(line.startswith("dropped") and SECOND in line for line in summary.lines())
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_a_case_that_is_added_is_converted_alone(pair, tmp_path):
    raw, out = pair
    shutil.move(raw / FIRST, tmp_path / FIRST)
    again(raw, out)
    shutil.move(tmp_path / FIRST, raw / FIRST)
    summary = again(raw, out)
    assert (summary.changes.added, summary.changes.kept) == ([FIRST], {SECOND, THIRD})
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_a_renamed_case_is_dropped_and_added(pair, tmp_path):
    raw, out = pair
    other = "BraTS20_Training_009"
    for path in sorted((raw / THIRD).iterdir()):
        path.rename(path.with_name(path.name.replace(THIRD, other)))
    (raw / THIRD).rename(raw / other)
    summary = again(raw, out)
    assert (summary.changes.added, summary.changes.dropped) == ([other], [THIRD])
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_a_file_of_other_cases_is_not_replaced(pair):
    raw, out = pair
    before = bytes_of(out)
    for case in (FIRST, SECOND, THIRD):
        other = case.replace("_00", "_01")
        for path in sorted((raw / case).iterdir()):
            path.rename(path.with_name(path.name.replace(case, other)))
        (raw / case).rename(raw / other)
    with pytest.raises(BuildError, match=f"built from other cases, such as {FIRST}; .*--force"):
        again(raw, out)
    assert bytes_of(out) == before


def test_a_damaged_slice_is_not_taken_over(pair, tmp_path):
    raw, out = pair
    with bratsprep.open(out) as file:
        offset, size = (int(value) for value in file._storage.chunks[0, :2])
    content = bytearray(out.read_bytes())
    content[offset + size // 2] ^= 255
    out.write_bytes(content)
    edit(member(raw, THIRD, "seg"))
    summary = again(raw, out)
    assert "damaged" in summary.changes.rebuilt[FIRST]
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_other_software_rebuilds_all_cases(pair, tmp_path, monkeypatch):
    raw, out = pair
    versions = builder.versions(PrepConfig()) | {"numpy": "99.0"}
    monkeypatch.setattr(builder, "versions", lambda _: versions)
    assert again(raw, out).was_complete
    edit(member(raw, THIRD, "seg"))
    assert set(again(raw, out).changes.rebuilt) == {FIRST, SECOND, THIRD}
    assert bytes_of(out) == fresh(raw, tmp_path)


@pytest.mark.parametrize("changed", ["wider", "same"])
def test_a_window_over_all_brains_follows_the_cases(pair, tmp_path, changed):
    raw, _ = pair
    out = tmp_path / "brain.h5"
    bratsprep.build(raw, out, crop="brain", workers=1)
    if changed == "same":
        edit(member(raw, FIRST, "seg"))
    else:  # a far voxel of one image widens the brain
        path = member(raw, FIRST, "t1")
        content = bytearray(path.read_bytes())
        voxels = np.frombuffer(content, "<i2", offset=352).reshape(SHAPE, order="F").copy("F")
        voxels[:, :, 10] = np.maximum(voxels[:, :, 10], 1)
        content[352:] = voxels.tobytes(order="F")
        path.write_bytes(content)
    summary = bratsprep.build(raw, out, crop="brain", workers=1)
    assert set(summary.changes.kept) == ({SECOND, THIRD} if changed == "same" else set())
    bratsprep.build(raw, tmp_path / "other.h5", crop="brain", workers=1)
    assert bytes_of(out) == bytes_of(tmp_path / "other.h5")


def test_a_member_replaced_in_an_archive_is_found(pair, tmp_path):
    raw, _ = pair
    out, archive = tmp_path / "tar.h5", tmp_path / "raw.tar"

    def pack():
        with tarfile.open(archive, "w") as tar:
            tar.add(raw, "raw")

    pack()
    again(archive, out)
    pack()
    assert again(archive, out).was_complete
    edit(member(raw, SECOND, "t1ce"))
    pack()
    assert list(again(archive, out).changes.rebuilt) == [SECOND]
    assert bytes_of(out) == fresh(archive, tmp_path)


def test_a_folder_in_place_of_its_archive_is_up_to_date(pair, tmp_path):
    raw, out = pair
    with tarfile.open(tmp_path / "raw.tar", "w") as tar:
        tar.add(raw, "raw")
    assert again(tmp_path / "raw.tar", out).was_complete


def test_volumes_taken_as_other_modalities_are_converted_again(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out.h5"
    bratsprep.phantoms(raw, cases=2, shape=SHAPE, workers=1)
    again(raw, out)
    path = raw / "dataset.json"
    content = json.loads(path.read_text())
    names = content["modality"]
    content["modality"] = names | {"0": names["3"], "3": names["0"]}
    path.write_text(json.dumps(content))
    reasons = again(raw, out).changes.rebuilt
    assert reasons["BRATS_001"] == "volumes 3,1,2,0 of BRATS_001.nii.gz are taken, were 0,1,2,3"
    assert len(reasons) == 2
    assert bytes_of(out) == fresh(raw, tmp_path)


@pytest.mark.parametrize("text", ["{", '[{"name": "x"}]', "[1]", "1"])
def test_a_case_whose_list_of_sources_is_broken_is_converted_again(pair, text):
    raw, out = pair
    before = bytes_of(out)
    with h5py.File(out, "r+") as file:
        file["case/source"][1] = text
    assert list(again(raw, out).changes.rebuilt) == [SECOND]
    assert bytes_of(out) == before


@pytest.mark.parametrize("name", ["skipped", "software"])
def test_a_file_with_broken_attributes_is_not_replaced(pair, name):
    raw, out = pair
    with h5py.File(out, "r+") as file:
        file.attrs[name] = "[1"
    with pytest.raises(BuildError, match=r"out\.h5: attribute 'skipped' or 'software'.*--force"):
        again(raw, out)


def test_another_label_scheme_converts_again(pair, tmp_path):
    raw, out = pair
    with h5py.File(out, "r+") as file:
        file["case/scheme"][0] = "msd"
    assert again(raw, out).changes.rebuilt == {FIRST: "label scheme is brats2017, was msd"}
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_another_release_converts_again(pair, tmp_path):
    raw, out = pair
    with h5py.File(out, "r+") as file:
        file["case/release"][0] = "msd"
    assert again(raw, out).changes.rebuilt == {FIRST: "release is brats2017, was msd"}
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_another_subject_is_corrected_without_converting(pair, tmp_path):
    raw, out = pair
    with h5py.File(out, "r+") as file:
        file["case/subject"][0] = "somebody"
    changes = again(raw, out).changes
    assert (changes.renamed, changes.rebuilt) == ([FIRST], {})
    assert f"renamed  1 case: {FIRST}: other subjects" in changes.lines()
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_many_cases_are_counted_and_a_few_named():
    changes = Changes(added=[f"C{k:02}" for k in range(11)])
    assert (
        changes.lines()[-1] == "added    11 cases: " + ", ".join(changes.added[:8]) + " and 3 more"
    )


def test_a_folder_that_cannot_be_written_does_not_stop_a_check(pair, monkeypatch):
    raw, out = pair
    sidecar(out).unlink()
    sidecar(out).with_name(sidecar(out).name + ".new").mkdir()
    assert again(raw, out).was_complete
    assert not sidecar(out).exists()


@pytest.fixture
def spoilt(pair):
    """The folder with a case that cannot be read, its slice file, and the good file."""
    raw, out = pair
    path = member(raw, SECOND, "t2")
    good = path.read_bytes()
    path.write_bytes(good[:-100])
    again(raw, out, on_error="skip", force=True)
    return raw, out, path, good


def test_a_case_set_aside_stays_so_until_it_changes(spoilt, clock):
    raw, out, _, _ = spoilt
    for _ in range(2):
        summary = again(raw, out, on_error="skip")
        assert summary.was_complete
        assert [case.id for case in summary.skipped] == [SECOND]


def test_a_repaired_case_is_converted(spoilt, tmp_path):
    raw, out, path, good = spoilt
    path.write_bytes(good)
    summary = again(raw, out, on_error="skip")
    assert summary.changes.rebuilt == {SECOND: "was set aside before"}
    assert summary.skipped == []
    assert bytes_of(out) == fresh(raw, tmp_path)


def test_a_case_spoilt_in_another_way_is_set_aside_for_the_new_reason(spoilt, tmp_path):
    raw, out, path, good = spoilt
    path.write_bytes(good[:-300])
    summary = again(raw, out, on_error="skip")
    assert [case.id for case in summary.skipped] == [SECOND]
    assert bytes_of(out) == fresh(raw, tmp_path, on_error="skip")
    assert again(raw, out, on_error="skip").was_complete


def test_a_case_set_aside_does_not_stop_an_update(spoilt, tmp_path):
    raw, out, _, _ = spoilt
    edit(member(raw, THIRD, "seg"))
    assert list(again(raw, out).changes.rebuilt) == [THIRD]
    assert bytes_of(out) == fresh(raw, tmp_path, on_error="skip")


def test_a_good_case_that_breaks_stops_the_update_and_the_file_stays(pair):
    raw, out = pair
    before = bytes_of(out)
    path = member(raw, SECOND, "t2")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BratsError, match=f"{SECOND}_t2.nii"):
        again(raw, out)
    assert bytes_of(out) == before


@pytest.mark.parametrize("finished", [False, True], ids=["first build", "update"])
def test_an_interrupted_build_does_not_mix_old_and_new(pair, tmp_path, monkeypatch, finished):
    raw, out = pair
    if finished:
        for case in (FIRST, SECOND, THIRD):
            edit(member(raw, case, "flair"))
    else:
        out.unlink()
    undo = stop_after(monkeypatch, SliceWriter, 2)
    with pytest.raises(KeyboardInterrupt):
        again(raw, out)
    undo()
    edit(member(raw, FIRST, "seg"))
    assert again(raw, out).resumed == 1
    assert bytes_of(out) == fresh(raw, tmp_path)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.h5", "out.h5.sources", "raw"]
