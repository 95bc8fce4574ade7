"""A case on another grid: the same scan however it was written, brain and background apart."""

from dataclasses import replace

import numpy as np
import pytest

from bratsprep.labels import scheme
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import case_notes, read_scan
from bratsprep.volumes.grids import Grid
from bratsprep.volumes.resample_case import resampled_bytes
from tests.bratsprep.volumes.test_grids import geometry
from tests.helpers import niftis
from tests.helpers.class_sets import ASKED, SCHEME

FINE = replace(ASKED, spacing=(1.0, 1.0, 1.0))
"""The tiny cases have slices of 2 mm."""


def scanned(root, files, asked=FINE, labels=SCHEME):
    with open_source(root) as source:
        return read_scan(files, source, Buffers(), labels, asked)


@pytest.mark.parametrize("codes", ["LPS", "LAI", "PIR", "SPR"])
def test_resampled_case_does_not_depend_on_the_orientation_of_its_files(tmp_path, codes):
    ras, other = (
        scanned(tmp_path / name, niftis.write_case(tmp_path / name, codes=name))
        for name in ("RAS", codes)
    )
    assert ras.grid == other.grid == Grid((12, 8, 7), (1, 1, 1))
    for mine, theirs in zip(ras.images, other.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(ras.brain, other.brain)
    np.testing.assert_array_equal(ras.label, other.label)
    np.testing.assert_array_equal(ras.plane_voxels, other.plane_voxels)
    assert ras.brain_box == other.brain_box


def test_all_counts_are_of_the_new_grid(tmp_path):
    scan = scanned(tmp_path, niftis.write_case(tmp_path))
    assert scan.shape == scan.brain.shape == scan.label.shape == (12, 8, 7)
    np.testing.assert_array_equal(scan.plane_brain, scan.brain.sum(axis=(1, 2)))
    np.testing.assert_array_equal(scan.columns, scan.brain.sum(axis=0))
    assert scan.plane_voxels.sum() == scan.brain.size
    counts = [(scan.label == k).sum() for k in range(4)]
    np.testing.assert_array_equal(scan.plane_voxels.sum(axis=0), counts)
    values = np.stack(scan.images)[:, scan.brain > 0].astype(float)
    np.testing.assert_allclose(scan.measured.mean, values.mean(axis=1))
    np.testing.assert_allclose(scan.measured.std, values.std(axis=1))
    assert scan.voxel_ml == pytest.approx(1e-3)


def test_case_before_is_kept(tmp_path):
    files = niftis.write_case(tmp_path)
    scan, plain = scanned(tmp_path, files), scanned(tmp_path, files, ASKED)
    assert plain.on_source is plain
    assert scan.on_source is scan.original
    assert scan.on_source.grid == plain.grid == Grid((6, 8, 7), (1, 1, 2))
    for mine, theirs in zip(scan.on_source.images, plain.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(scan.on_source.label, plain.label)
    np.testing.assert_array_equal(scan.on_source.brain, plain.brain)
    assert scan.geometry.shape == plain.geometry.shape


def test_edge_of_the_brain_is_not_blurred_with_the_background(tmp_path):
    images, label = niftis.phantom()
    brain = (images != 0).any(axis=0)
    bright = np.where(brain, 1000 + images % 7, 0).astype(np.int16)
    files = niftis.write_case(tmp_path, volumes=(bright, label))
    scan = scanned(tmp_path, files)
    for image in scan.images:
        inside = image[scan.brain > 0]
        assert 985 < inside.min() <= inside.max() < 1021
        assert not image[scan.brain == 0].any()


def test_modality_that_is_missing_stays_zero(tmp_path):
    files = niftis.write_case(tmp_path)
    without = replace(files, images=(files.images[0], None, *files.images[2:]))
    scan = scanned(tmp_path, without)
    assert not scan.images[1].any()
    assert scan.measured.mean[1] == 0
    assert scan.images[0].any()


def test_case_without_a_label_has_background_alone(tmp_path):
    scan = scanned(tmp_path, niftis.write_case(tmp_path, label=False), labels=None)
    assert scan.label is None
    np.testing.assert_array_equal(scan.plane_voxels, [[56, 0, 0, 0]] * 12)


def test_notes_are_those_of_the_scan(tmp_path):
    """Slices are as thick as they were measured, whatever they are brought to."""
    affine = niftis.RAS @ np.diag([1, 1, 4, 1])
    files = niftis.write_case(tmp_path, make=niftis.Make(affine=affine))
    assert any("slices of 8 mm" in note for note in case_notes(scanned(tmp_path, files)))


def test_one_class_is_a_label_too(tmp_path):
    images, label = niftis.phantom()
    files = niftis.write_case(tmp_path, volumes=(images, (label > 0).astype(np.uint8)))
    whole = scheme("whole-tumour")
    scan = scanned(tmp_path, files, replace(FINE, classes=whole.classes), whole)
    assert scan.plane_voxels.shape == (12, 2)
    assert set(np.unique(scan.label)) == {0, 1}


def test_memory_is_none_where_a_case_stays_as_it_is():
    assert resampled_bytes(geometry(), None, 4) == 0
    assert resampled_bytes(geometry(), (1, 2, 3), 4) == 0
    assert resampled_bytes(geometry(), (1, 2, 1.5), 4) > 4 * 4 * 8 * 9 * 20
