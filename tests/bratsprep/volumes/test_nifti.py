"""NIfTI files of every make give the voxels and the place that nibabel gives."""

import gzip
import itertools
import zlib

import nibabel as nib
import numpy as np
import pytest

from bratsprep.case import Geometry
from bratsprep.errors import NiftiError
from bratsprep.orientation import Orientation
from bratsprep.sources.source import open_source
from bratsprep.volumes.nifti import check_same, codes, intensities, read_header
from tests.helpers import niftis
from tests.helpers.niftis import SHAPE, loaded, numbers

TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
KERNEL_TYPES = {"i1": "i2", "u1": "i2", "i2": "i2", "u2": "f4", "f4": "f4"}


def agrees_with_nibabel(path):
    """The file gives what nibabel gives, axes reversed, without a change of numbers."""
    header, raw, _ = loaded(path)
    truth = nib.load(path)
    np.testing.assert_allclose(intensities(raw, header), truth.get_fdata().T, rtol=1e-12)
    np.testing.assert_array_equal(header.geometry.affine, truth.affine)
    assert header.geometry.orientation.codes == "".join(nib.aff2axcodes(truth.affine))
    assert header.geometry.shape == truth.shape[:3]


# What is accepted


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_of_every_type_are_those_of_nibabel(tmp_path, dtype, order, suffix):
    path = niftis.write(tmp_path / f"a{suffix}", numbers(dtype), order=order)
    agrees_with_nibabel(path)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_intensities_are_of_a_type_that_the_kernels_take(tmp_path, dtype, order):
    header, raw, _ = loaded(niftis.write(tmp_path / "a.nii", numbers(dtype), order=order))
    values = intensities(raw, header)
    assert values.dtype == np.dtype(KERNEL_TYPES.get(dtype, "f8"))
    assert values.dtype.isnative
    assert values.flags.c_contiguous
    assert values.flags.aligned
    np.testing.assert_array_equal(values, numbers(dtype).T)


@pytest.mark.parametrize(("slope", "inter"), [(2.5, -7), (1, 3), (-1.5, 0), (0.001, 0.5)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_voxels_are_scaled_as_nibabel_scales(tmp_path, dtype, slope, inter):
    path = niftis.write(tmp_path / "a.nii.gz", numbers(dtype), slope=slope, inter=inter)
    agrees_with_nibabel(path)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("inter", [0, 9, np.nan])
def test_a_slope_of_zero_or_no_number_means_unscaled(tmp_path, slope, inter):
    path = niftis.write(tmp_path / "a.nii", numbers(), slope=slope, inter=inter)
    header, raw, _ = loaded(path)
    assert not header.is_scaled
    np.testing.assert_array_equal(intensities(raw, header), numbers().T)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_both_versions_are_read(tmp_path, version, order, suffix):
    path = niftis.write(tmp_path / f"a{suffix}", numbers(), version=version, order=order)
    agrees_with_nibabel(path)


@pytest.mark.parametrize("size", [1, 300, 11_000])
def test_voxels_start_after_the_extensions(tmp_path, size):
    path = niftis.write(tmp_path / "a.nii.gz", numbers(), comment=b"x" * size)
    assert nib.load(path).header.extensions[0].get_code() == niftis.COMMENT
    agrees_with_nibabel(path)


@pytest.mark.parametrize("padding", [1, 3, 7])
@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_voxels_may_start_at_an_odd_byte(tmp_path, padding, dtype):
    path = niftis.write(tmp_path / "a.nii", numbers(dtype), padding=padding)
    header, raw, _ = loaded(path)
    values = intensities(raw, header)
    assert values.flags.aligned
    np.testing.assert_array_equal(values, numbers(dtype).T)


def test_a_gzip_stream_may_be_named_nii(tmp_path):
    (tmp_path / "a.nii").write_bytes(gzip.compress(niftis.content(numbers())))
    header, raw, _ = loaded(tmp_path / "a.nii")
    np.testing.assert_array_equal(intensities(raw, header), numbers().T)


def test_a_plain_file_may_be_named_gz(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(niftis.content(numbers()))
    header, raw, _ = loaded(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(intensities(raw, header), numbers().T)


def test_a_file_may_be_of_several_gzip_members(tmp_path):
    whole = niftis.content(numbers())
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole[:400]) + gzip.compress(whole[400:]))
    agrees_with_nibabel(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bytes_after_the_last_voxel_are_passed_over(tmp_path, suffix):
    whole = niftis.content(numbers()) + b"more"
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(whole) if suffix == ".nii.gz" else whole)
    agrees_with_nibabel(path)


def test_four_volumes_come_modality_first(tmp_path):
    path = niftis.write(tmp_path / "a.nii.gz", numbers(shape=(3, 4, 5, 4)))
    header, raw, _ = loaded(path)
    assert header.shape == (3, 4, 5, 4)
    assert raw.shape == (4, 5, 4, 3)
    agrees_with_nibabel(path)


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (3, 4, 5, 1, 1)], ids=str)
def test_trailing_sides_of_one_are_dropped(tmp_path, shape):
    header, raw, _ = loaded(niftis.write(tmp_path / "a.nii", numbers(shape=shape)))
    assert header.shape == (3, 4, 5)
    assert raw.shape == (5, 4, 3)


def test_the_checksum_is_that_of_the_packed_file(tmp_path):
    path = niftis.write(tmp_path / "a.nii.gz", numbers())
    assert loaded(path)[2] == zlib.crc32(path.read_bytes())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_header_alone_is_that_of_the_loaded_file(tmp_path, suffix):
    path = niftis.write(tmp_path / f"a{suffix}", numbers(), slope=2, comment=b"x" * 900)
    with open_source(tmp_path) as source:
        header = read_header(source, path.name)
    truth, _, _ = loaded(path)
    np.testing.assert_array_equal(header.geometry.affine, truth.geometry.affine)
    assert header.geometry.shape == truth.geometry.shape
    assert (header.shape, header.dtype, header.offset) == (truth.shape, truth.dtype, truth.offset)
    assert (header.slope, header.inter) == (2, 0)


# Where the voxels stand


OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.3, 0.2, 0.1) @ np.diag([1, 2, 3]), [4, 5, 6]
)


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (1, 0), (0, 1), (2, 4), (0, 0)], ids=str)
@pytest.mark.parametrize("affine", [niftis.RAS, OBLIQUE], ids=["straight", "oblique"])
def test_affine_is_the_one_that_nibabel_chooses(tmp_path, sform, qform, affine):
    path = niftis.write(tmp_path / "a.nii", numbers(), affine=affine, sform=sform, qform=qform)
    agrees_with_nibabel(path)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PIR", "ASL", "IPL", "SRA"])
def test_orientation_is_said_axis_by_axis(tmp_path, axes):
    turned, affine = niftis.resampled(numbers(), niftis.RAS, axes)
    header, _, _ = loaded(niftis.write(tmp_path / "a.nii", turned, affine=affine))
    assert header.geometry.orientation.codes == axes
    np.testing.assert_allclose(header.geometry.spacing, [1, 1, 2])


def geometry(shape=SHAPE, shift=0.0):
    affine = niftis.RAS.copy()
    affine[0, 3] += shift
    return Geometry(affine, shape, Orientation("RAS"))


@pytest.mark.parametrize("shift", [0, 0.9e-3, -0.9e-3])
def test_geometries_within_the_tolerance_are_the_same(shift):
    check_same(geometry(), geometry(shift=shift), "b", "a")


def test_geometries_of_other_shapes_are_refused():
    with pytest.raises(NiftiError, match=r"^b: shape is \(3, 4, 6\) but a has \(3, 4, 5\)$"):
        check_same(geometry(), geometry((3, 4, 6)), "b", "a")


def test_geometries_with_other_affines_are_refused():
    message = r"^b: affine \[\[.*\]\] is not that of a, \[\[.*\]\]; they differ by 0\.01 mm$"
    with pytest.raises(NiftiError, match=message):
        check_same(geometry(), geometry(shift=0.01), "b", "a")


# Labels


def coded(tmp_path, label, **make):
    header, raw, _ = loaded(niftis.write(tmp_path / "a.nii", label, **make))
    return codes(raw, header, "raw/a.nii")


LABEL = np.arange(60).reshape(SHAPE) % 5


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_codes_of_every_type_are_whole_numbers(tmp_path, dtype, order):
    found = coded(tmp_path, LABEL.astype(dtype), order=order)
    np.testing.assert_array_equal(found, LABEL.T)
    assert found.dtype == np.uint8


def test_codes_of_bytes_are_the_memory_itself(tmp_path):
    header, raw, _ = loaded(niftis.write(tmp_path / "a.nii", LABEL.astype("u1")))
    assert codes(raw, header, "") is raw


@pytest.mark.parametrize(
    ("slope", "inter", "top"),
    [(1 / 65_535, 0.5, 1), (4 / 65_535, 2, 4), (1.5e-5, 0.5, 0)],
    ids=["half", "four", "whole"],
)
def test_codes_may_be_scaled_integers(tmp_path, slope, inter, top):
    label = np.minimum(LABEL, top)
    stored = np.rint((label - inter) / slope)
    found = coded(tmp_path, stored.astype("i4"), slope=slope, inter=inter)
    np.testing.assert_array_equal(found, label.T)


@pytest.mark.parametrize("value", [0.9991, 1.0009])
def test_codes_near_a_whole_number_are_that_number(tmp_path, value):
    assert coded(tmp_path, np.full(SHAPE, value, "f4")).max() == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([2.5], r"\[2\.5\]"),
        ([0, 1.002], r"\[1\.00\d+\]"),
        ([-1, 300], r"\[-1\.0, 300\.0\]"),
        ([np.nan], r"\[nan\]"),
        ([np.inf, 1], r"\[inf\]"),
        (np.arange(9) + 0.5, r"\[0\.5, 1\.5, 2\.5, 3\.5, 4\.5\]"),
    ],
    ids=str,
)
def test_codes_refuse_what_is_no_label(tmp_path, values, message):
    label = np.resize(np.float32(values), SHAPE)
    message = rf"^raw/a\.nii: label holds {message}; a label .* has whole numbers from 0 to 255$"
    with pytest.raises(NiftiError, match=message):
        coded(tmp_path, label)


def test_codes_refuse_a_negative_byte(tmp_path):
    with pytest.raises(NiftiError, match=r"label holds \[-1\.0\]"):
        coded(tmp_path, np.full(SHAPE, -1, "i1"))


@pytest.mark.parametrize("cuts", [(0,), (10,), (100,), (1, 2, 300), (348, 352)])
def test_a_first_gzip_member_may_be_short(tmp_path, cuts):
    whole = niftis.content(niftis.numbers())
    ends = (0, *cuts, len(whole))
    parts = [whole[a:b] for a, b in itertools.pairwise(ends)]
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"".join(map(gzip.compress, parts)))
    header, voxels, _ = niftis.loaded(path)
    assert header.geometry.shape == SHAPE
    np.testing.assert_array_equal(voxels.transpose(2, 1, 0), niftis.numbers())


def remarks(path, **make):
    niftis.write(path / "a.nii", niftis.numbers(), **make)
    return niftis.loaded(path / "a.nii")[0].remarks


def test_a_file_without_codes_is_remarked(tmp_path):
    (remark,) = remarks(tmp_path, qform=0, sform=0)
    assert "qform and sform codes are 0" in remark
    assert "LAS is assumed" in remark


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (1, 1), (2, 4)])
def test_transforms_that_agree_are_not_remarked(tmp_path, qform, sform):
    assert remarks(tmp_path, qform=qform, sform=sform) == ()


@pytest.mark.parametrize("field", ["qoffset_x", "qoffset_z", "quatern_b"])
def test_transforms_that_disagree_are_remarked_with_what_was_taken(tmp_path, field):
    (remark,) = remarks(tmp_path, fields=((field, 0.7),))
    assert "qform and sform disagree by up to" in remark
    assert "the sform was taken" in remark
