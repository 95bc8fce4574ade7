"""Every row of the bad-input table: what is wrong goes in, the message that says so comes out."""

import gzip
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile

import h5py
import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.errors import BratsError, SchemaError

SHAPE = (44, 50, 20)
FLAIR = "BraTS20_Training_001/BraTS20_Training_001_flair.nii.gz"
SEG = "BraTS20_Training_001/BraTS20_Training_001_seg.nii.gz"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "raw"
    return bratsprep.phantoms(folder, cases=2, shape=SHAPE, layout="brats2020", workers=1)


@pytest.fixture
def raw(good, tmp_path):
    return shutil.copytree(good, tmp_path / "raw")


@pytest.fixture
def refuse(tmp_path):
    def refuse(raw, message, **settings):
        with pytest.raises(BratsError, match=message):
            bratsprep.build(raw, tmp_path / "out.h5", workers=2, **settings)
        assert not (tmp_path / "out.h5").exists()

    return refuse


def change(path, edit):
    """Rewrite one NIfTI file with its voxels, affine or header edited."""
    image = nib.load(path)
    voxels, affine = np.asarray(image.dataobj).copy(), image.affine.copy()
    voxels, affine = edit(voxels, affine)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def test_folder_with_no_case(tmp_path, refuse):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "holiday.nii.gz").write_bytes(b"x" * 300)
    refuse(tmp_path / "raw", r"raw.*(no case|looked for)")


def test_missing_source(tmp_path, refuse):
    refuse(tmp_path / "nowhere", "nowhere")


def test_dot_files_are_passed_over_and_counted(raw, tmp_path):
    (raw / "._BraTS20_Training_001_flair.nii.gz").write_bytes(b"\0" * 4096)
    (raw / ".DS_Store").write_bytes(b"\0" * 100)
    assert bratsprep.build(raw, tmp_path / "out.h5").cases == 2
    with bratsprep.sources.source.open_source(raw) as source:
        assert source.passed_over == 2


def test_lfs_pointer(raw, refuse):
    (raw / FLAIR).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refuse(raw, r"_flair\.nii\.gz.*LFS pointer")


def test_empty_file(raw, refuse):
    (raw / FLAIR).write_bytes(b"")
    refuse(raw, r"_flair\.nii\.gz.*empty")


def test_missing_modality_of_every_case_at_once(raw, refuse):
    for path in raw.glob("*/*_t2.nii.gz"):
        path.unlink()
    refuse(raw, r"(?s)_001.*t2w is missing; found flair, t1w, t1gd.*_002.*t2w is missing")


def test_missing_mask(raw, refuse):
    (raw / SEG).unlink()
    refuse(raw, r"BraTS20_Training_001.*--unlabelled")


def test_case_twice(raw, refuse):
    shutil.copytree(raw / "BraTS20_Training_001", raw / "again" / "BraTS20_Training_001")
    refuse(raw, r"(?s)BraTS20_Training_001.*(twice|two|second)")


def test_truncated_gzip(raw, refuse):
    (raw / FLAIR).write_bytes((raw / FLAIR).read_bytes()[:-500])
    refuse(raw, r"_flair\.nii\.gz: gzip stream is cut short")


def test_corrupt_gzip(raw, refuse):
    content = bytearray((raw / FLAIR).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (raw / FLAIR).write_bytes(content)
    refuse(raw, r"_flair\.nii\.gz: gzip stream is corrupt|unpacks to")


def test_wrong_crc(raw, refuse):
    content = bytearray((raw / FLAIR).read_bytes())
    content[-8] ^= 0xFF
    (raw / FLAIR).write_bytes(content)
    refuse(raw, r"_flair\.nii\.gz: gzip stream is corrupt")


def test_trailing_garbage(raw, refuse):
    (raw / FLAIR).write_bytes((raw / FLAIR).read_bytes() + b"garbage")
    refuse(raw, r"_flair\.nii\.gz: 7 bytes of something else follow the gzip stream")


def test_shapes_differ_within_a_case(raw, refuse):
    change(raw / FLAIR, lambda voxels, affine: (voxels[:-1], affine))
    refuse(raw, r"shape is \(\d+, 50, 20\) but .* \(\d+, 50, 20\)")


def test_affines_differ_within_a_case(raw, refuse):
    change(raw / SEG, lambda voxels, affine: (voxels, affine + np.eye(4) * 0.1))
    refuse(raw, r"_seg\.nii\.gz: affine .* differ by 0\.1 mm")


def test_nan(raw, refuse):
    def spoil(voxels, affine):
        voxels = voxels.astype(np.float32)
        voxels[20, 20, 10] = np.nan
        return voxels, affine

    change(raw / FLAIR, spoil)
    refuse(raw, r"BraTS20_Training_001 flair: holds NaN or infinity")


def test_constant_modality(raw, refuse):
    change(raw / FLAIR, lambda voxels, affine: (voxels * 0, affine))
    refuse(raw, r"BraTS20_Training_001 flair: all \d+ brain voxels equal 0; nothing to scale")


def test_empty_brain(raw, refuse):
    for path in (raw / "BraTS20_Training_001").glob("*_[ft]*.nii.gz"):
        change(path, lambda voxels, affine: (voxels * 0, affine))
    refuse(raw, r"BraTS20_Training_001: every voxel is 0 in all modalities")


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "u2", "<i4", ">f4", "f8"])
def test_every_voxel_type_gives_the_same_slices(good, raw, tmp_path, dtype):
    largest = 100
    for folder in (good, raw):
        target = shutil.copytree(folder, tmp_path / f"{dtype}{folder.parent.name}", dirs_exist_ok=1)
        for path in target.glob("*/*_[ft]*.nii.gz"):
            image = nib.load(path)
            voxels = np.asarray(image.dataobj)
            voxels = np.ceil(voxels / voxels.max() * largest)
            kind = np.dtype("<i2" if folder is good else dtype)
            header = nib.Nifti1Header(endianness=kind.byteorder if kind.byteorder in "<>" else "<")
            header.set_data_dtype(kind)
            nib.save(nib.Nifti1Image(voxels.astype(kind), image.affine, header), path)
        bratsprep.build(target, tmp_path / f"{folder.parent.name}.h5")
    files = [bratsprep.open(path) for path in sorted(tmp_path.glob("*.h5"))]
    np.testing.assert_array_equal(files[0].volume(0)[0], files[1].volume(0)[0])
    assert files[0].digest == files[1].digest


def test_scale_slope_is_applied(raw, tmp_path):
    bratsprep.build(raw, tmp_path / "plain.h5", dtype="float32")
    for path in raw.glob("*/*_flair.nii.gz"):
        image = nib.load(path)
        image.header.set_slope_inter(0.25, 0)
        scaled = nib.Nifti1Image(image.dataobj.get_unscaled(), image.affine, image.header)
        scaled.header.set_slope_inter(0.25, 0)
        nib.save(scaled, path)
    bratsprep.build(raw, tmp_path / "scaled.h5", dtype="float32")
    with (
        bratsprep.open(tmp_path / "plain.h5") as plain,
        bratsprep.open(tmp_path / "scaled.h5") as scaled,
    ):
        np.testing.assert_allclose(scaled.volume(0)[0], plain.volume(0)[0], atol=1e-6)


def test_float_masks_are_accepted(raw, tmp_path):
    bratsprep.build(raw, tmp_path / "a.h5")
    for path in raw.glob("*/*_seg.nii.gz"):
        change(path, lambda voxels, affine: (voxels.astype(np.float64), affine))
    bratsprep.build(raw, tmp_path / "b.h5")
    with bratsprep.open(tmp_path / "a.h5") as a, bratsprep.open(tmp_path / "b.h5") as b:
        assert a.digest == b.digest


def test_negative_intensities_are_brain(raw, tmp_path):
    bratsprep.build(raw, tmp_path / "a.h5")
    for path in raw.glob("*/*_t1.nii.gz"):
        change(path, lambda voxels, affine: (-voxels, affine))
    bratsprep.build(raw, tmp_path / "b.h5")
    with bratsprep.open(tmp_path / "a.h5") as a, bratsprep.open(tmp_path / "b.h5") as b:
        np.testing.assert_array_equal(a.volume(0)[0][:, 1], -b.volume(0)[0][:, 1])


def test_label_value_outside_the_scheme(raw, refuse):
    def spoil(voxels, affine):
        voxels[10, 10, 10] = 3
        return voxels, affine

    change(raw / SEG, spoil)
    refuse(
        raw,
        r"_seg\.nii\.gz: label values \[3\] are outside scheme brats2017; the file holds "
        r"\[.*3.*\]; .*brats2015: .*3 non-enhancing.*msd: .*3 enhancing.*--labels NAME",
    )


def test_archive_member_that_leads_outside(good, tmp_path, refuse):
    with tarfile.open(tmp_path / "raw.tar", "w") as archive:
        archive.add(good, "raw")
        member = tarfile.TarInfo("../evil.nii.gz")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    refuse(tmp_path / "raw.tar", r"\.\./evil\.nii\.gz.*refused")
    assert not (tmp_path.parent / "evil.nii.gz").exists()


def test_archive_member_with_an_absolute_path(good, tmp_path, refuse):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        archive.writestr("/etc/evil.nii.gz", b"evil")
    refuse(tmp_path / "raw.zip", r"/etc/evil\.nii\.gz.*refused")


def test_archive_member_that_is_a_link(good, tmp_path, refuse):
    with tarfile.open(tmp_path / "raw.tar", "w") as archive:
        archive.add(good, "raw")
        member = tarfile.TarInfo("raw/link.nii.gz")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    refuse(tmp_path / "raw.tar", r"link\.nii\.gz.*refused")


def test_absurd_size_in_a_header(raw, refuse):
    image = nib.load(raw / FLAIR)
    header = bytearray(image.header.binaryblock)
    header[42:48] = np.array([10_000, 10_000, 10_000], "<i2").tobytes()
    (raw / FLAIR).write_bytes(gzip.compress(bytes(header) + bytes(4) + bytes(1000)))
    refuse(raw, r"_flair\.nii\.gz: header claims 1,000,000,000,000 voxels; it is broken")


LIMITED = """
import resource, signal, sys, bratsprep
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    bratsprep.build(sys.argv[1], sys.argv[2], workers=2)
except bratsprep.errors.BratsError as error:
    print(error)
    sys.exit(1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 3_000, 20_000, 90_000])
@pytest.mark.usefixtures("forked_python")
def test_disk_full_at_any_moment(good, tmp_path, limit):
    out = tmp_path / "out.h5"
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, good, out, str(limit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 1, child.stderr
    assert "cannot be written" in child.stdout
    assert "run the same command again to resume" in child.stdout
    assert not out.exists()
    bratsprep.build(good, out, workers=1)
    bratsprep.verify(out)


def test_no_write_permission(good, tmp_path):
    if os.geteuid() == 0:
        folder = "/proc"
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        folder = tmp_path / "locked"
    with pytest.raises(BratsError, match=r"out\.h5.*cannot be written"):
        bratsprep.build(good, f"{folder}/out.h5")


@pytest.fixture
def built(good, tmp_path):
    bratsprep.build(good, tmp_path / "good.h5")
    return tmp_path / "good.h5"


def test_slice_file_of_another_version(built):
    with h5py.File(built, "r+") as file:
        file.attrs["version"] = 99
    for act in (bratsprep.open, bratsprep.verify):
        with pytest.raises(
            SchemaError, match=r"good\.h5: is version 99 .* reads 3; build it again"
        ):
            act(built)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_slice_file(built, share):
    os.truncate(built, int(built.stat().st_size * share))
    for act in (bratsprep.open, bratsprep.verify):
        with pytest.raises(SchemaError, match=r"good\.h5"):
            act(built)


def test_edited_slice_file(built):
    with h5py.File(built, "r+") as file:
        label = file["slice/label"][3]
        label[100, 80] ^= 1
        file["slice/label"][3] = label
    with pytest.raises(SchemaError, match=r"good\.h5.*(slice|plane) \d+"):
        bratsprep.verify(built)


def test_something_else_is_no_slice_file(tmp_path):
    (tmp_path / "x.h5").write_text("hello")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["a"] = 1
    for name in ("x.h5", "y.h5"):
        with pytest.raises(SchemaError, match=rf"{name}.*"):
            bratsprep.open(tmp_path / name)


def test_skipped_cases_are_listed_in_the_file(raw, tmp_path):
    change(raw / FLAIR, lambda voxels, affine: (voxels * 0, affine))
    summary = bratsprep.build(raw, tmp_path / "out.h5", on_error="skip")
    assert summary.cases == 1
    with h5py.File(tmp_path / "out.h5") as file:
        skipped = json.loads(file.attrs["skipped"])
    assert skipped[0]["id"] == "BraTS20_Training_001"
    assert "nothing to scale" in skipped[0]["reason"]


def test_limits_of_this_process_are_untouched():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
