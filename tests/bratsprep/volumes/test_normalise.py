"""Moments over the union of the brain, and planes filled exactly."""

import numpy as np
import pytest

from bratsprep.config import USUAL_MODALITIES
from bratsprep.errors import VolumeError
from bratsprep.volumes.normalise import Named, fill_raw_, fill_zscores_, measure, scales
from tests.helpers import oracles

NAME = "BraTS2021_00001"
NAMED = Named(NAME, USUAL_MODALITIES, (True,) * 4)
ALL = np.ones(4, np.bool_)
FIRST = np.zeros(1, np.int64)


def head(dtype=np.int16):
    """Four (3, 4, 5) volumes with a border of zeros."""
    images = np.random.default_rng(0).integers(1, 500, (4, 3, 4, 5)).astype(dtype)
    images[:, 0] = images[:, :, 0] = images[..., 4] = 0
    return images


def measured(images, named=NAMED):
    return measure(tuple(images), np.full(images.shape[1:], 9, np.uint8), named)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_measure_equals_the_oracle(dtype):
    images = head(dtype)
    found = measured(images)
    brain = oracles.brain(images)
    np.testing.assert_array_equal(found.brain, brain)
    assert found.count == brain.sum()
    assert (found.box.start, found.box.stop) == oracles.box(brain)
    np.testing.assert_allclose(found.mean, images[:, brain].astype("f8").mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.std, images[:, brain].astype("f8").std(axis=1), rtol=1e-12)


def test_measure_writes_the_brain_into_the_given_memory():
    memory = np.full((3, 4, 5), 9, np.uint8)
    assert measure(tuple(head()), memory, NAMED).brain is memory


def test_measure_refuses_an_empty_brain():
    message = f"^{NAME}: every voxel is 0 in all modalities; there is no brain$"
    with pytest.raises(VolumeError, match=message):
        measured(np.zeros((4, 2, 2, 2), np.int16))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize(("m", "modality"), list(enumerate(USUAL_MODALITIES)))
def test_measure_refuses_what_is_not_finite(m, modality, bad):
    images = head(np.float64)
    images[m, 1, 2, 3] = bad
    message = f"^{NAME} {modality}: holds NaN or infinity; correct the file$"
    with pytest.raises(VolumeError, match=message):
        measured(images)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("value", [0, 7])
def test_measure_refuses_a_constant_modality(dtype, value):
    images = head(dtype)
    brain = oracles.brain(images)
    images[2][brain] = value
    message = f"^{NAME} t1gd: all {brain.sum()} brain voxels equal {value}; nothing to scale$"
    with pytest.raises(VolumeError, match=message):
        measured(images)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -1e-9, 1e9 + 0.3])
def test_measure_refuses_a_constant_that_float64_sums_do_not_keep(value):
    images = np.random.default_rng(0).random((4, 3, 70, 80)) + 1
    images[1] = value
    with pytest.raises(VolumeError) as caught:
        measured(images)
    assert f" t1w: all 16800 brain voxels equal {value:g}; nothing" in str(caught.value)


def test_measure_accepts_the_least_spread_that_float32_can_hold():
    images = np.random.default_rng(0).random((4, 3, 70, 80), np.float32) + 1
    images[1] = 1000
    images[1, 1, 30, 30] = np.nextafter(np.float32(1000), np.float32(1001))
    inside = images[1].astype(np.float64)
    assert measured(images).std[1] == pytest.approx(inside.std(), rel=1e-9)


def test_scales_by_modality_are_the_moments():
    mean, std = scales(np.float64([1, 2, 3, 4]), np.float64([5, 6, 7, 8]), "modality", ALL)
    assert mean.tolist() == [1, 2, 3, 4]
    assert std.tolist() == [5, 6, 7, 8]


def test_scales_by_case_are_those_of_all_voxels_together():
    images = head()
    values = images[:, oracles.brain(images)].astype(np.float64)
    found = measured(images)
    mean, std = scales(found.mean, found.std, "case", ALL)
    np.testing.assert_allclose(mean, [values.mean()] * 4, rtol=1e-12)
    np.testing.assert_allclose(std, [values.std()] * 4, rtol=1e-12)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_any_number_of_modalities_is_measured(m):
    images = np.concatenate([head(), head()[:1] + head()[1:2]])[:m]
    found = measured(images, Named(NAME, tuple(f"m{i}" for i in range(m)), (True,) * m))
    inside = images[:, oracles.brain(images)].astype(np.float64)
    np.testing.assert_allclose(found.mean, inside.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.std, inside.std(axis=1), rtol=1e-12)


def without_the_third():
    """Four volumes and names of a case that has no t1gd."""
    images = head()
    images[2] = 0
    return images, Named(NAME, USUAL_MODALITIES, (True, True, False, True))


def test_a_missing_modality_has_mean_0_and_deviation_1():
    found = measured(*without_the_third())
    assert (found.mean[2], found.std[2]) == (0, 1)
    assert (found.std != 1).tolist() == [True, True, False, True]


def test_a_missing_modality_does_not_count_in_the_scale_of_a_case():
    images, named = without_the_third()
    found = measured(images, named)
    values = images[[0, 1, 3]][:, oracles.brain(images)].astype(np.float64)
    mean, std = scales(found.mean, found.std, "case", np.array(named.present))
    np.testing.assert_allclose(mean, [values.mean()] * 4, rtol=1e-12)
    np.testing.assert_allclose(std, [values.std()] * 4, rtol=1e-12)


def test_a_missing_modality_is_not_among_the_coverages():
    images, named = without_the_third()
    covering = named.covering(measured(images, named).coverage)
    assert [modality for modality, _ in covering] == ["flair", "t1w", "t2w"]


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
@pytest.mark.parametrize("source", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shift", [0, 0.25])
def test_zscores_equal_float64_rounded_once(dtype, source, shift):
    images = (head() + shift).astype(source)
    brain = oracles.brain(images).astype(np.uint8)
    planes, mean, std = np.array([1, 0]), np.arange(4) + 201.3, np.arange(4) + 17.7
    out = np.full((2, *images.shape[:1], *images.shape[2:]), 9, dtype)
    fill_zscores_(tuple(images), brain, planes, (mean, std), out)
    for m in range(4):
        expected = oracles.zscore(images[m][planes], brain[planes], mean[m], std[m])
        np.testing.assert_array_equal(out[:, m], expected.astype(dtype))


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_zscore_is_zero_outside_the_brain(dtype):
    out = np.full((1, 4, 1, 3), 9, dtype)
    image, brain = np.int16([[[5, 10, 20]]]), np.uint8([[[0, 1, 1]]])
    fill_zscores_((image,) * 4, brain, FIRST, (np.full(4, 15.0), np.full(4, 5.0)), out)
    assert out.tolist() == [[[[0, -1, 1]]] * 4]


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
def test_raw_keeps_every_number(dtype):
    volume = np.float64([[[-300, 0, 2048]]])
    out = np.full(volume.shape, 9, dtype)
    fill_raw_(volume, FIRST, out, NAME)
    assert out.tolist() == [[[-300, 0, 2048]]]


def test_raw_rounds_scaled_numbers_to_float32():
    out = np.zeros((1, 1, 2), "<f4")
    fill_raw_(np.float64([[[0.1, -1 / 3]]]), FIRST, out, NAME)
    np.testing.assert_array_equal(out, np.float32([[[0.1, -1 / 3]]]))


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (40_000.0, "<i2", "40000 does not fit int16; use --dtype float32 or normalise"),
        (0.5, "<i2", "0.5 does not fit int16; use --dtype float32 or normalise"),
        (np.nan, "<i2", "nan does not fit int16; .*"),
        (1e300, "<f4", r"1e\+300 does not fit float32; .*"),
    ],
)
def test_raw_refuses_a_number_that_the_type_changes(value, dtype, message):
    with pytest.raises(VolumeError, match=f"^{NAME} t1w: {message}$"):
        fill_raw_(np.float64([[[1, value]]]), FIRST, np.zeros((1, 1, 2), dtype), f"{NAME} t1w")
