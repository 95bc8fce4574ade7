"""Planes in HDF5 are read as volumes; missing and broken ones are named."""

import shutil

import h5py
import nibabel
import numpy as np
import pytest

import bratsprep
from bratsprep.discovery.discover import scan
from bratsprep.errors import LayoutError, SourceError
from bratsprep.sources.source import open_source

SHAPE = (5, 6, 4)


def write(path, image=None, mask=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((*SHAPE[:2], 4)) if image is None else image
        file["mask"] = np.zeros((*SHAPE[:2], 3), "u1") if mask is None else mask
    return path


@pytest.fixture
def raw(tmp_path):
    """Two volumes whose voxels are all different."""
    rng = np.random.default_rng(0)
    for volume in (1, 2):
        for z in range(SHAPE[2]):
            tissue = rng.integers(0, 4, SHAPE[:2])
            mask = np.stack([tissue == t for t in (1, 2, 3)], axis=2).astype("u1")
            image = rng.normal(size=(*SHAPE[:2], 4))
            write(tmp_path / f"raw/data/volume_{volume}_slice_{z}.h5", image, mask)
    return tmp_path / "raw"


def plane(raw, z, dataset, volume=1):
    with h5py.File(raw / f"data/volume_{volume}_slice_{z}.h5") as file:
        return np.asarray(file[dataset])


def test_planes_are_stacked_in_the_order_of_their_numbers(raw):
    with open_source(raw) as source:
        image = nibabel.Nifti1Image.from_bytes(source.read("data/volume_1_image.nii"))
        label = nibabel.Nifti1Image.from_bytes(source.read("data/volume_1_mask.nii"))
        assert len(source.members) == 4
    assert image.shape == (*SHAPE, 4)
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    np.testing.assert_array_equal(image.affine @ (0, 5, 0, 1), (0, 0, 0, 1))
    for z in range(SHAPE[2]):
        np.testing.assert_array_equal(image.dataobj[:, :, z], plane(raw, z, "image"))
        wanted = plane(raw, z, "mask") @ np.array([1, 2, 4])
        np.testing.assert_array_equal(label.dataobj[:, :, z], wanted)


def test_cases_have_four_modalities_and_what_is_assumed_is_said(raw):
    with open_source(raw) as source:
        found = scan(source)
    assert [case.id for case in found.cases] == ["volume_1", "volume_2"]
    assert [channel.index for channel in found.cases[0].images] == [0, 1, 2, 3]
    assert found.cases[0].scheme == "brats2017"
    (line,) = [line for line in found.mapping.lines() if line.startswith("assumed")]
    assert "FLAIR, T1w, T1gd, T2w" in line
    assert "LPS" in line


def test_missing_slices_are_a_fault_of_their_case(raw):
    for z in (1, 3):
        (raw / f"data/volume_2_slice_{z}.h5").unlink()
    with open_source(raw) as source:
        with pytest.raises(LayoutError, match=r"volume_2: 2 of 4 slices are missing: 1, 3"):
            scan(source)
        found = scan(source, skip=True)
    assert [case.id for case in found.cases] == ["volume_1"]
    assert [case.id for case in found.set_aside] == ["volume_2"]


@pytest.mark.parametrize("size", [3, 400, 700, 10**6])
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_the_start_of_a_volume_is_that_of_the_whole(raw, kind, size):
    name = f"data/volume_1_{kind}.nii"
    with open_source(raw) as source:
        assert source.head(name, size) == source.read(name)[:size]


def test_a_header_needs_one_plane_at_most(raw):
    for z in range(1, SHAPE[2]):
        (raw / f"data/volume_1_slice_{z}.h5").write_bytes(b"\1" * 300)
    with open_source(raw) as source:
        assert len(source.head("data/volume_1_image.nii", 352)) == 352
        with pytest.raises(SourceError, match="volume_1_slice_"):
            source.head("data/volume_1_image.nii", 10_000)


def test_many_missing_slices_are_counted(raw):
    for z in range(3):
        (raw / f"data/volume_2_slice_{z}.h5").unlink()
    write(raw / "data/volume_1_slice_9.h5")
    with open_source(raw) as source:
        assert "5 of 10 slices are missing: 4, 5, 6, 7, 8;" in source.broken["data/volume_1"]
        assert "9 of 10 slices are missing: 0, 1, 2, 4, 5, ..." in source.broken["data/volume_2"]


@pytest.mark.parametrize(
    ("image", "mask", "member", "fact"),
    [
        (np.zeros((5, 7, 4)), None, "image", "(5, 7, 4), expected (5, 6, 4)"),
        (None, np.ones((5, 6, 3), "u1"), "mask", "two tissues"),
        (None, np.full((5, 6, 3), 2, "u1"), "mask", "values beside 0 and 1"),
    ],
)
def test_planes_that_do_not_fit_are_named(raw, image, mask, member, fact):
    write(raw / "data/volume_1_slice_2.h5", image, mask)
    with open_source(raw) as source, pytest.raises(SourceError) as caught:
        source.read(f"data/volume_1_{member}.nii")
    assert "volume_1_slice_2.h5" in str(caught.value)
    assert fact in str(caught.value)


def test_broken_planes_are_refused(raw):
    (raw / "data/volume_1_slice_2.h5").write_bytes(b"\1" * 300)
    with open_source(raw) as source, pytest.raises(SourceError, match="volume_1_slice_"):
        source.read("data/volume_1_image.nii")
    (raw / "data/volume_1_slice_0.h5").write_bytes(b"\1" * 300)
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(raw)


def test_times_are_those_of_the_newest_plane(raw):
    with open_source(raw) as source:
        before = source.times_ns("data/volume_1_image.nii")
        newest = raw / "data/volume_1_slice_3.h5"
        write(newest)
        after = source.times_ns("data/volume_1_image.nii")
        assert after[0] == newest.stat().st_mtime_ns > before[0]


def test_planes_are_read_from_archives_beside_other_files(raw, tmp_path):
    (raw / "other.nii").write_bytes(b"\1" * 400)
    shutil.make_archive(str(tmp_path / "all"), "zip", raw)
    with open_source(raw) as folder, open_source(tmp_path / "all.zip") as archive:
        assert dict(folder.members) == dict(archive.members)
        for name in folder.members:
            assert folder.read(name) == archive.read(name)


def test_a_changed_plane_builds_its_case_again(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "a.h5"
    bratsprep.phantoms(raw, layout="kaggle-slices", cases=2, shape=(24, 24, 16))
    settings = {"crop": "none", "repeats": "off", "workers": 1}
    first = bratsprep.build(raw, out, **settings)
    path = next(raw.rglob("volume_2_slice_8.h5"))
    with h5py.File(path, "r+") as file:
        file["image"][10, 10, 1] += 0.5
    second = bratsprep.build(raw, out, **settings)
    assert list(second.changes.rebuilt) == ["volume_2"]
    assert first.digest != second.digest
