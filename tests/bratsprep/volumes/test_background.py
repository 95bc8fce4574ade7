"""The background that is not 0: found, cleared, or refused with the ways on."""

import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.config import PrepConfig
from bratsprep.errors import VolumeError
from bratsprep.volumes.background import (
    LEAST_VOXELS,
    check_brain,
    coverage,
    find_background,
    outlying,
)

SHAPE = (32, 32, 24)
GENERATOR = np.random.default_rng
FULL = [("flair", 1.0), ("t1w", 1.0)]
"""Modalities that cover the brain."""


def edit(raw, change, words=("flair", "t1", "t1ce", "t2")):
    """Change the voxels of some modalities of every case, and save them as they are then."""
    for path in sorted(raw.rglob("*.nii.gz")):
        word = path.name.removesuffix(".nii.gz").rpartition("_")[2]
        if word in words:
            image = nib.load(path)
            voxels = change(np.asanyarray(image.dataobj).astype(np.float32))
            nib.save(nib.Nifti1Image(voxels, image.affine), path)


def ringing(voxels):
    noise = GENERATOR(0).normal(0, 1e-4, voxels.shape).astype(np.float32)
    return np.where(voxels == 0, noise, voxels)


def tiny_air(voxels):
    """Three values about 1e-7 in turn."""
    air = np.float32(1e-7) * (1 + np.arange(voxels.size).reshape(voxels.shape) % 3)
    return np.where(voxels == 0, air, voxels).astype(np.float32)


def head_with_air(voxels):
    """A scanner's air: Rayleigh noise of 1 % of the brain."""
    noise = 8 * GENERATOR(1).rayleigh(1, voxels.shape)
    return np.where(voxels == 0, noise + 1, voxels).astype(np.float32)


def unstripped(voxels):
    """A head around the brain: a larger ellipsoid that is not 0."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in voxels.shape), indexing="ij")
    return np.where((voxels == 0) & (z**2 + y**2 + x**2 < 0.95), 300, voxels).astype(np.float32)


@pytest.fixture
def raw(tmp_path):
    return bratsprep.phantoms(tmp_path / "raw", cases=2, layout="brats2020", shape=SHAPE)


def built(raw, name="a.h5", **settings):
    """Brain voxels of each case, and the summary, of a build."""
    out = raw.parent / name
    summary = bratsprep.build(raw, out, crop="32x32", workers=1, repeats="off", **settings)
    with bratsprep.SliceFile(out) as file:
        return file.cases["brain_voxels"].tolist(), file.cases["mean"].copy(), summary


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (ringing, ("flair",)),
        (ringing, ("flair", "t1", "t1ce", "t2")),
        (lambda v: np.where(v == 0, np.nan, v), ("flair", "t1", "t1ce", "t2")),
        (lambda v: np.where(v == 0, np.nan, v), ("t2",)),
        (lambda v: np.where(v == 0, -1000, v), ("t1",)),
        (lambda v: np.where(v == 0, -4e-5, v), ("flair", "t1", "t1ce", "t2")),
        (tiny_air, ("flair", "t1", "t1ce", "t2")),
        (lambda v: np.where(v == 0, 4095, v), ("flair", "t1", "t1ce", "t2")),
    ],
    ids=["ringing in one", "ringing in all", "nan in all", "nan in one", "constant below 0",
         "rounded zero", "noise of 1e-7", "constant above the brain"],
)  # fmt: skip
def test_background_that_is_not_zero_is_cleared(raw, change, words):
    count, mean, summary = built(raw, "plain.h5")
    assert not summary.unusual
    edit(raw, change, words)
    again, cleared_mean, summary = built(raw)
    np.testing.assert_allclose(again, count, rtol=0.01)
    np.testing.assert_allclose(cleared_mean, mean, rtol=0.01)
    assert sorted(summary.unusual) == ["BraTS20_Training_001", "BraTS20_Training_002"]
    assert "is background" in "\n".join(summary.lines())
    assert bratsprep.verify(raw.parent / "a.h5", raw, workers=1)


def test_negative_zero_is_zero(raw):
    count, *_ = built(raw, "plain.h5")
    edit(raw, lambda voxels: np.where(voxels == 0, np.float32(-0.0), voxels))
    again, _, summary = built(raw)
    assert again == count
    assert not summary.unusual


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (head_with_air, ("flair", "t1", "t1ce", "t2"), r"100 % of the volume is not 0"),
        (head_with_air, ("t1ce",), r"100 % of the volume is not 0"),
        (unstripped, ("t2",), r"covers \d+ % of what is not 0 in some modality"),
    ],
    ids=["air in all", "air in one", "one is not stripped"],
)
def test_scan_that_is_not_stripped_is_refused_with_the_ways_on(raw, change, words, message):
    edit(raw, change, words)
    with pytest.raises(
        VolumeError, match=rf"BraTS20_Training_001: .*{message}.*--background VALUE.*any"
    ):
        built(raw)


def test_any_background_takes_what_is_not_zero(raw):
    edit(raw, head_with_air, ("t1",))
    count, *_ = built(raw, background="any")
    assert count[0] == np.prod(SHAPE)


def test_value_of_the_user_is_the_background(raw):
    count, *_ = built(raw, "plain.h5")
    edit(raw, lambda voxels: np.where(voxels == 0, 77, voxels), ("t1",))
    again, *_ = built(raw, background="77")
    np.testing.assert_allclose(again, count, rtol=0.01)
    bratsprep.verify(raw.parent / "a.h5", raw, workers=1)


def test_nan_within_the_brain_is_refused(raw):
    def hole(voxels):
        voxels[14:18, 14:18, 10:12] = np.nan
        return voxels

    edit(raw, hole, ("t1",))
    with pytest.raises(VolumeError, match="t1w: holds NaN"):
        built(raw)


def test_tight_crop_of_a_brain_is_no_fault(raw, tmp_path):
    for path in sorted(raw.rglob("*.nii.gz")):
        image = nib.load(path)
        whole = np.asanyarray(image.dataobj)
        if "flair" in path.name:
            used = [np.flatnonzero(whole.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
            box = tuple(slice(places[0], places[-1] + 1) for places in used)
        nib.save(nib.Nifti1Image(whole[box], image.affine), path)
    _, _, summary = built(raw)
    assert summary.cases == 2


def test_white_background_of_bytes_is_found():
    volume = np.full((20, 20, 20), 255, np.uint8)
    volume[5:15, 5:15, 5:15] = GENERATOR(0).integers(1, 200, (10, 10, 10))
    found = find_background(volume)
    assert found.value == 255
    assert np.count_nonzero(~found.mask(volume)) == 1000


def test_edges_that_are_zero_need_no_search():
    assert find_background(np.zeros((4, 4, 4), np.int16)) is None


def test_coverage_is_the_share_of_the_brain_that_is_not_zero():
    images = [np.ones((4, 2, 2), np.int16) for _ in range(4)]
    images[2][:, 0] = 0
    assert coverage(images, np.full(4, 4)).tolist() == [1, 1, 0.5, 1]


def test_brain_larger_than_any_is_refused():
    with pytest.raises(VolumeError, match="the brain has 3,000 ml; a stripped one has at most"):
        check_brain((3_000_000, 8_928_000), FULL, 0.001, "A")
    check_brain((1_900_000, 8_928_000), FULL, 0.001, "A")


def test_small_volumes_are_not_judged():
    check_brain((LEAST_VOXELS - 1,) * 2, [("flair", 0.0)], 1.0, "A")


def test_unusual_cases_are_described():
    notes = outlying([("flair", 0.85), ("t2w", 0.9)], np.array([1.0, 1, 5]), 3, 40)
    assert notes == [
        "flair covers only 85 % of the brain",
        "3 of 40 tumour voxels are outside the brain",
        "slices of 5 mm, pixels of 1 mm",
    ]
    assert outlying(FULL, np.ones(3), 0, 40) == []


@pytest.mark.parametrize("text", ["", "none", "1,5", "inf"])
def test_background_that_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="background must be auto, any, nan or a number, got"):
        PrepConfig(background=text)


def test_settings_of_today_have_the_same_json():
    assert "background" not in PrepConfig().to_json()
    assert "repeats" not in PrepConfig().to_json()
    changed = PrepConfig(background="any", repeats="off")
    assert PrepConfig.from_json(changed.to_json()) == changed
