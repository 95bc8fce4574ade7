"""One case, however it was written, is one scan; a case that does not hold together is refused."""

import zlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bratsprep.case import Channel
from bratsprep.errors import LabelError, NiftiError, VolumeError
from bratsprep.labels import meanings, scheme
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import Asked, case_notes, read_scan, to_file_order
from bratsprep.volumes.label import recode
from tests.helpers import niftis, oracles
from tests.helpers.class_sets import ASKED, GLIOMA, ONE, SCHEME, SIX

IMAGES, LABEL = niftis.phantom()
ORIENTATIONS = ["RAS", "LPS", "LAI", "PIR", "ASL", "SPR"]
every_orientation = pytest.mark.parametrize("codes", ORIENTATIONS)


def scanned(root, files, scheme=SCHEME, asked=ASKED):
    with open_source(root) as source:
        return read_scan(files, source, Buffers(), scheme, asked)


def written(root, codes="LPS", **named):
    """Scan of a case just written."""
    return scanned(root, niftis.write_case(root, codes=codes, **named))


def refusal(root, files, error, scheme=SCHEME):
    with pytest.raises(error) as caught:
        scanned(root, files, scheme)
    return str(caught.value)


def axial(volume):
    """RAS+ (x, y, z) as (z, y, x)."""
    return np.swapaxes(volume, -1, -3)


# Orientation


@every_orientation
def test_images_are_in_ras_order(tmp_path, codes):
    scan = written(tmp_path, codes)
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES))
    assert scan.shape == LABEL.shape[::-1]


@every_orientation
def test_label_is_in_ras_order(tmp_path, codes):
    stored, _ = oracles.recode(axial(LABEL).reshape(LABEL.shape[2], -1), "brats2017")
    label = written(tmp_path, codes).label
    np.testing.assert_array_equal(label, stored.reshape(label.shape))


@every_orientation
def test_brain_and_its_counts_are_in_ras_order(tmp_path, codes):
    scan = written(tmp_path, codes)
    brain = oracles.brain(axial(IMAGES))
    np.testing.assert_array_equal(scan.brain, brain)
    np.testing.assert_array_equal(scan.plane_brain, brain.sum(axis=(1, 2)))
    np.testing.assert_array_equal(scan.columns, brain.sum(axis=0))
    assert (scan.brain_box.start, scan.brain_box.stop) == oracles.box(brain)


@every_orientation
def test_classes_are_counted_by_plane_in_ras_order(tmp_path, codes):
    _, voxels = oracles.recode(axial(LABEL).reshape(LABEL.shape[2], -1), "brats2017")
    np.testing.assert_array_equal(written(tmp_path, codes).plane_voxels, voxels)


@every_orientation
def test_moments_do_not_depend_on_orientation(tmp_path, codes):
    measured = written(tmp_path, codes).measured
    mean, squares = oracles.moments(IMAGES)
    np.testing.assert_allclose(measured.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(measured.std**2 * measured.count, squares, rtol=1e-12)


@every_orientation
def test_geometry_is_that_of_the_file(tmp_path, codes):
    geometry = written(tmp_path, codes).geometry
    turned, affine = oracles.resampled(LABEL, niftis.RAS, codes)
    assert geometry.orientation.codes == codes
    assert geometry.shape == turned.shape
    np.testing.assert_allclose(geometry.affine, affine, atol=1e-6)


@every_orientation
def test_file_order_undoes_ras_order(tmp_path, codes):
    scan = written(tmp_path, codes)
    turned, _ = oracles.resampled(IMAGES[0], niftis.RAS, codes)
    np.testing.assert_array_equal(to_file_order(scan.images[0], scan.geometry), turned)


def test_file_order_refuses_a_volume_of_another_size(tmp_path):
    geometry = written(tmp_path, "PIR").geometry
    message = r"^volume is \(8, 6, 6\) in the file's order, not \(8, 6, 7\)$"
    with pytest.raises(ValueError, match=message):
        to_file_order(np.zeros((6, 8, 6)), geometry)


# What a case may be


def test_plain_and_gzipped_files_give_the_same_images(tmp_path):
    scan = written(tmp_path, suffix=".nii")
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES))


def test_one_wide_modality_widens_the_others(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    niftis.write(tmp_path / files.images[2].member, IMAGES[2].astype("f4") + 0.5)
    scan = scanned(tmp_path, files)
    assert {image.dtype for image in scan.images} == {np.dtype("f4")}
    np.testing.assert_array_equal(scan.images[1], axial(IMAGES[1]))
    np.testing.assert_array_equal(scan.images[2], axial(IMAGES[2]) + np.float32(0.5))


def test_big_endian_scaled_files_are_a_case(tmp_path):
    scan = written(tmp_path, make=niftis.Make(order=">", slope=2), label=False)
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES) * 2)


def test_voxels_at_odd_bytes_are_a_case(tmp_path):
    scan = written(tmp_path, make=niftis.Make(padding=3))
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES))
    assert scan.plane_voxels[:, 3].sum() == (LABEL == 4).sum()


def test_an_affine_may_differ_within_the_tolerance(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    affine = niftis.RAS + np.pad([[0.9e-3]], ((0, 3), (3, 0)))
    niftis.write(tmp_path / files.label, LABEL, affine=affine)
    assert scanned(tmp_path, files).label is not None


def test_a_qform_stands_in_for_a_missing_sform(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    niftis.write(tmp_path / files.images[1].member, IMAGES[1], sform=0)
    np.testing.assert_array_equal(scanned(tmp_path, files).images[1], axial(IMAGES[1]))


def four_dimensional(root, n_volumes=4):
    """A Decathlon case: one file of all modalities."""
    files = niftis.case_files("BRATS_001")
    stack = np.moveaxis(IMAGES[:n_volumes], 0, -1)
    niftis.write(root / "imagesTr/BRATS_001.nii.gz", stack)
    niftis.write(root / files.label, LABEL)
    channels = tuple(Channel("imagesTr/BRATS_001.nii.gz", m, 4) for m in range(4))
    return replace(files, images=channels)


def test_modalities_may_lie_in_one_file(tmp_path):
    scan = scanned(tmp_path, four_dimensional(tmp_path))
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES))


def test_a_file_of_all_modalities_is_recorded_once(tmp_path):
    scan = scanned(tmp_path, four_dimensional(tmp_path))
    names = sorted(record.name for record in scan.records)
    assert names == ["BRATS_001.nii.gz", "BRATS_001_seg.nii.gz"]


def test_records_hold_name_size_and_checksum_of_every_file(tmp_path):
    records = written(tmp_path).records
    files = {path.name: path.read_bytes() for path in (tmp_path / "BraTS2021_00001").iterdir()}
    assert sorted(record.name for record in records) == sorted(files)
    for record in records:
        assert record.size == len(files[record.name])
        assert record.crc32 == zlib.crc32(files[record.name])


def test_an_unlabelled_case_is_all_background(tmp_path):
    scan = written(tmp_path, label=False)
    assert (scan.label, scan.scheme) == (None, "")
    assert scan.plane_voxels.tolist() == [[56, 0, 0, 0]] * 6


def test_a_label_without_a_scheme_is_left_unread(tmp_path):
    files = niftis.write_case(tmp_path)
    (tmp_path / files.label).write_bytes(b"broken")
    scan = scanned(tmp_path, files, None)
    assert (scan.label, scan.scheme, len(scan.records)) == (None, "", 4)


def test_buffers_of_one_case_serve_the_next(tmp_path):
    first = niftis.write_case(tmp_path, "a", volumes=niftis.phantom(1))
    second = niftis.write_case(tmp_path, "b", volumes=niftis.phantom(2, (6, 7, 6)))
    buffers = Buffers()
    with open_source(tmp_path) as source:
        read_scan(first, source, buffers, SCHEME, ASKED)
        scan = read_scan(second, source, buffers, SCHEME, ASKED)
    np.testing.assert_array_equal(np.stack(scan.images), axial(niftis.phantom(2, (6, 7, 6))[0]))


def of_modalities(files, *places):
    """The case with those of its images, None for one that is missing."""
    images = tuple(None if place is None else files.images[place] for place in places)
    return replace(files, images=images)


@pytest.mark.parametrize("places", [(3,), (2, 0), (0, 1, 2, 3, 0)], ids=len)
def test_any_number_of_modalities_is_a_case(tmp_path, places):
    files = of_modalities(niftis.write_case(tmp_path), *places)
    asked = Asked(tuple(f"m{i}" for i in range(len(places))), GLIOMA)
    scan = scanned(tmp_path, files, asked=asked)
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES[list(places)]))
    assert scan.measured.mean.shape == (len(places),)
    assert scan.named.modalities == asked.modalities


def test_a_missing_modality_is_all_0_and_known_to_be_missing(tmp_path):
    scan = scanned(tmp_path, of_modalities(niftis.write_case(tmp_path), None, 1, 2, None))
    assert scan.named.present == (False, True, True, False)
    assert not scan.images[0].any()
    assert not scan.images[3].any()
    np.testing.assert_array_equal(scan.images[1], axial(IMAGES[1]))
    np.testing.assert_array_equal(scan.brain, oracles.brain(axial(IMAGES[1:3])))


def test_a_missing_modality_is_no_outlier(tmp_path):
    scan = scanned(tmp_path, of_modalities(niftis.write_case(tmp_path), 0, 1, 2, None))
    assert not [note for note in case_notes(scan) if "t2w" in note]


def test_labels_of_one_class_are_counted(tmp_path):
    volumes = IMAGES, (LABEL > 0).astype(np.uint8)
    files = niftis.write_case(tmp_path, volumes=volumes)
    asked = replace(ASKED, classes=ONE.classes)
    scan = scanned(tmp_path, files, ONE, asked)
    assert scan.plane_voxels.sum(axis=0).tolist() == [(LABEL == 0).sum(), (LABEL > 0).sum()]
    assert scan.scheme == "one"


def test_an_unlabelled_case_has_the_classes_that_are_asked_for(tmp_path):
    files = niftis.write_case(tmp_path, label=False)
    scan = scanned(tmp_path, files, asked=replace(ASKED, classes=SIX.classes))
    assert scan.plane_voxels.shape == (6, 7)


# What a case may not be


def test_files_of_other_shapes_are_refused(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    member = files.images[3].member
    niftis.write(tmp_path / member, IMAGES[3][:, :, :5])
    assert refusal(tmp_path, files, NiftiError) == (
        f"{tmp_path}/{member}: shape is (7, 8, 5) but {files.images[0].member} has (7, 8, 6)"
    )


@pytest.mark.parametrize("place", [2, 4], ids=["image", "label"])
def test_files_with_other_affines_are_refused(tmp_path, place):
    files = niftis.write_case(tmp_path, codes="RAS")
    member = [*(channel.member for channel in files.images), files.label][place]
    affine = niftis.RAS + np.pad([[2**-6]], ((0, 3), (3, 0)))
    niftis.write(tmp_path / member, [*IMAGES, LABEL][place], affine=affine)
    message = refusal(tmp_path, files, NiftiError)
    assert message.startswith(f"{tmp_path}/{member}: affine [[1.0, ")
    assert f"is not that of {files.images[0].member}, [[1.0, " in message
    assert "they differ by 0.015625 mm" in message


def test_a_label_of_another_shape_is_refused(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    niftis.write(tmp_path / files.label, LABEL[:6])
    assert "seg.nii.gz: shape is (6, 8, 6) but " in refusal(tmp_path, files, NiftiError)


def test_a_modality_of_several_volumes_is_refused(tmp_path):
    files = niftis.write_case(tmp_path, codes="RAS")
    member = files.images[0].member
    niftis.write(tmp_path / member, np.stack([IMAGES[0]] * 3, axis=-1))
    assert refusal(tmp_path, files, NiftiError) == (
        f"{tmp_path}/{member}: holds 3 volumes; expected one modality"
    )


@pytest.mark.parametrize("n_volumes", [1, 2, 3])
def test_a_file_of_fewer_modalities_is_refused(tmp_path, n_volumes):
    files = four_dimensional(tmp_path, n_volumes)
    assert refusal(tmp_path, files, NiftiError) == (
        f"{tmp_path}/imagesTr/BRATS_001.nii.gz: holds {n_volumes} volumes; expected 4, "
        "one for each channel named"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_modality_that_is_not_finite_is_refused(tmp_path, bad):
    files = niftis.write_case(tmp_path, codes="RAS")
    broken = IMAGES[2].astype("f4")
    broken[3, 3, 3] = bad
    niftis.write(tmp_path / files.images[2].member, broken)
    message = "BraTS2021_00001 t1gd: holds NaN or infinity; correct the file"
    assert refusal(tmp_path, files, VolumeError) == message


def test_a_constant_modality_is_refused(tmp_path):
    images = IMAGES.copy()
    brain = oracles.brain(images)
    images[1][brain] = 5
    files = niftis.write_case(tmp_path, volumes=(images, LABEL))
    assert refusal(tmp_path, files, VolumeError) == (
        f"BraTS2021_00001 t1w: all {brain.sum()} brain voxels equal 5; nothing to scale"
    )


def test_a_constant_scaled_modality_is_refused(tmp_path):
    images = IMAGES.copy()
    brain = oracles.brain(images)
    images[1][brain] = 1
    volumes = (images, LABEL)
    files = niftis.write_case(tmp_path, volumes=volumes, label=False, make=niftis.Make(slope=0.1))
    message = refusal(tmp_path, files, VolumeError)
    assert f"t1w: all {brain.sum()} brain voxels equal 0.1; nothing to scale" in message


def test_an_empty_brain_is_refused(tmp_path):
    files = niftis.write_case(tmp_path, volumes=(IMAGES * 0, LABEL))
    message = "BraTS2021_00001: every voxel is 0 in all modalities; there is no brain"
    assert refusal(tmp_path, files, VolumeError) == message


@pytest.mark.parametrize("name", ["msd", "brats2023"])
def test_a_label_outside_its_scheme_is_refused_with_all_meanings(tmp_path, name):
    files = niftis.write_case(tmp_path)
    assert refusal(tmp_path, files, LabelError, scheme(name)) == (
        f"{tmp_path}/{files.label}: label values [4] are outside scheme {name}; "
        f"the file holds [1, 2, 4]; {meanings([1, 2, 4])}; choose the scheme with --labels NAME, "
        "or a file"
    )


def test_recode_gives_the_counts_of_each_plane():
    label = np.uint8([[[0, 4, 2]], [[1, 0, 0]]])
    assert recode(label, SCHEME, "a").tolist() == [[1, 0, 1, 1], [2, 1, 0, 0]]
    assert label.tolist() == [[[0, 3, 2]], [[1, 0, 0]]]


# Label without a place of its own


def without_affine(root, codes, **fields):
    """A case whose label has the images' voxels and a header that says nothing, or else."""
    files = niftis.write_case(root, codes=codes)
    path = root / files.label
    label = np.asanyarray(nib.load(path).dataobj)
    niftis.write(path, label, **(fields or {"qform": 0, "sform": 0}))
    return files


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_label_lies_on_the_grid_of_the_images_when_asked(tmp_path, codes):
    expected = written(tmp_path / "whole", codes).label.copy()
    files = without_affine(tmp_path / "bare", codes)
    scan = scanned(tmp_path / "bare", replace(files, same_grid=True))
    np.testing.assert_array_equal(scan.label, expected)


@pytest.mark.parametrize("fields", [{}, {"affine": np.diag([2.0, 2, 2, 1])}])
def test_label_off_the_grid_stops_and_names_the_way_on(tmp_path, fields):
    files = without_affine(tmp_path, "LPS", **fields)
    assert "--same-grid" in refusal(tmp_path, files, NiftiError)


def test_same_grid_needs_the_same_shape(tmp_path):
    files = niftis.write_case(tmp_path)
    niftis.write(tmp_path / files.label, np.zeros((2, 2, 2), np.uint8))
    message = refusal(tmp_path, replace(files, same_grid=True), NiftiError)
    assert "shape is (2, 2, 2)" in message


@pytest.mark.parametrize("count", [3, 5, 6])
def test_a_file_of_more_or_fewer_volumes_than_channels_is_refused(tmp_path, count):
    files = niftis.write_case(tmp_path)
    niftis.write(tmp_path / "all.nii", np.ones((7, 8, 6, count), np.int16))
    channels = tuple(Channel("all.nii", i, 4) for i in range(4))
    message = refusal(tmp_path, replace(files, images=channels, label=None), NiftiError)
    assert f"holds {count} volumes; expected 4" in message


def test_a_fifth_volume_that_is_named_is_no_fault(tmp_path):
    files = niftis.write_case(tmp_path)
    images, _ = niftis.phantom()
    five = np.stack([*images, images[0]], axis=-1)
    niftis.write(tmp_path / "all.nii", five)
    channels = tuple(Channel("all.nii", i, 5) for i in range(4))
    scan = scanned(tmp_path, replace(files, images=channels, label=None))
    np.testing.assert_array_equal(np.stack(scan.images), axial(IMAGES))


def test_what_is_assumed_about_images_is_remarked(tmp_path):
    files = niftis.write_case(tmp_path, make=niftis.Make(qform=0, sform=0), codes="LAS")
    scan = scanned(tmp_path, replace(files, label=None))
    (remark,) = scan.remarks
    assert remark.startswith(f"{files.id}: qform and sform codes are 0")
