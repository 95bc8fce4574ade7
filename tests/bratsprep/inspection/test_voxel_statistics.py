import base64
import io

import numpy as np
import pytest
from PIL import Image

import bratsprep
from bratsprep.inspection import histograms, voxel_statistics
from bratsprep.inspection.class_balance import CaseCount
from bratsprep.inspection.inspector import inspect
from bratsprep.inspection.voxel_statistics import (
    Sketch,
    is_odd,
    picture,
    scan_pairs,
    scan_picture,
    sketch_file,
)
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import read_scan
from tests.helpers import niftis, slicefiles
from tests.helpers.class_sets import ASKED, GLIOMA, SCHEME


def row(case, voxels=(9, 60, 70, 80), labelled=True):
    return CaseCount(case, case, labelled, 7, voxels, (3, 1, 1, 1), 3, 20, 1.0)


def pixels(drawn):
    """(h, w, 3) uint8 of a picture."""
    with Image.open(io.BytesIO(base64.b64decode(drawn.uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A raw case of `niftis.phantom`, LPS on disk."""
    root = tmp_path_factory.mktemp("raw")
    files = niftis.write_case(root)
    with open_source(root) as source:
        yield read_scan(files, source, Buffers(), SCHEME, ASKED)


@pytest.fixture(scope="module")
def truth():
    """(4, z, y, x) images, label in stored classes, and brain, by NumPy."""
    images, label = niftis.phantom()
    stored = np.array([0, 1, 2, 0, 3])[label]
    turned = images.transpose(0, 3, 2, 1).astype(float)
    return turned, stored.transpose(2, 1, 0), (turned != 0).any(axis=0)


def expected(values, label, edges):
    """Counts of each class, by NumPy; the end bins hold what lies beyond."""
    held = np.clip(values, edges[0], np.nextafter(edges[-1], 0))
    return [np.histogram(held[label == k], edges)[0].tolist() for k in range(4)]


def test_source_units_of_a_raw_case_are_counted(scan, truth):
    images, label, brain = truth
    for m, pair in enumerate(scan_pairs(scan)):
        found = expected(images[m][brain], label[brain], pair.before.edges)
        assert pair.before.counts.tolist() == found


def test_z_scores_of_a_raw_case_are_counted(scan, truth):
    images, _, brain = truth
    for m, pair in enumerate(scan_pairs(scan)):
        inside = images[m][brain]
        z = (inside - inside.mean()) / inside.std()
        assert pair.after.counts.sum() == inside.size
        assert pair.after.quantile(0.5) == pytest.approx(np.median(z), abs=0.03)


def test_an_unlabelled_case_is_all_brain(tmp_path):
    files = niftis.write_case(tmp_path, label=False)
    with open_source(tmp_path) as source:
        pairs = scan_pairs(read_scan(files, source, Buffers(), None, ASKED))
    assert not pairs[0].before.counts[1:].any()


def test_a_raw_picture_is_of_the_plane_with_most_tumour(scan, truth):
    label = truth[1]
    assert scan_picture(scan.label, scan, GLIOMA).z == (label > 0).sum(axis=(1, 2)).argmax()


def test_a_raw_picture_shows_the_class_where_it_is(scan, truth):
    drawn = scan_picture(scan.label, scan, GLIOMA)
    _, label, brain = truth
    rows, columns = (np.flatnonzero(brain.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    cut = label[drawn.z, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][::-1, ::-1]
    shown = pixels(drawn).astype(int)
    is_coloured = (shown.max(axis=2) - shown.min(axis=2)) > 20
    assert np.array_equal(is_coloured, cut > 0)


def test_a_raw_case_without_tumour_shows_its_fullest_brain(tmp_path):
    images, label = niftis.phantom()
    images[:, :, :, 3:] = 0
    images[:, 2, 3, 4] = 5
    files = niftis.write_case(tmp_path, volumes=(images, label * 0))
    with open_source(tmp_path) as source:
        bare = read_scan(files, source, Buffers(), SCHEME, ASKED)
        assert scan_picture(bare.label, bare, GLIOMA).z < 3


def test_a_mask_shows_its_colours_alone():
    label = np.zeros((3, 4, 5), np.uint8)
    label[2, 1:3, 1] = 3
    drawn = scan_picture(label, None, GLIOMA)
    assert (drawn.z, drawn.has_image) == (2, False)
    assert pixels(drawn)[2, 3].tolist() == list(bytes.fromhex("F0E442"))


def test_an_empty_mask_has_no_picture():
    assert scan_picture(np.zeros((3, 4, 5), np.uint8), None, GLIOMA) is None


def test_a_label_beyond_the_classes_is_drawn_as_one():
    assert pixels(picture(None, np.full((2, 2), 9, np.uint8), 0, GLIOMA)).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("found", "odd"),
    [(row("A"), False), (row("A", (9, 60, 70, 0)), True), (row("A", (9, 60, 70, 3)), True),
     (row("A", (0, 0, 0, 0), labelled=False), False)],
)  # fmt: skip
def test_a_case_is_odd_for_what_its_label_holds(found, odd):
    assert is_odd(found, GLIOMA) is odd


def test_pictures_are_the_first_by_id(monkeypatch):
    monkeypatch.setattr(voxel_statistics, "PICTURES", 2)
    sketch = Sketch()
    for case in "dbac":
        sketch.add(case, (), picture(None, np.zeros((2, 2), np.uint8), 0, GLIOMA))
    assert sorted(sketch.pictures) == ["a", "b"]


def built(tmp_path, **settings):
    """A slice file of the phantom and what its rows hold."""
    niftis.write_case(tmp_path / "raw")
    settings = {"crop": "none", "slices": "all"} | settings
    bratsprep.build(tmp_path / "raw", tmp_path / "out.h5", workers=1, **settings)
    return tmp_path / "out.h5"


@pytest.mark.parametrize("normalise", ["modality", "case", "none"])
def test_a_slice_file_of_all_planes_gives_back_the_raw_intensities(tmp_path, scan, normalise):
    path = built(tmp_path, normalise=normalise)
    with SliceFile(path) as file:
        sketch = sketch_file(file, inspect(path).rows, 1)
    for found, wanted in zip(sketch.pairs, scan_pairs(scan), strict=True):
        assert found.before.width == wanted.before.width
        assert found.before.counts.sum(axis=1).tolist() == wanted.before.counts.sum(axis=1).tolist()
        for share in (0.1, 0.5, 0.9):
            there = wanted.before.quantile(share)
            assert found.before.quantile(share) == pytest.approx(there, abs=3)


def test_raw_numbers_are_shown_as_their_z_scores(tmp_path, scan):
    path = built(tmp_path, normalise="none")
    with SliceFile(path) as file:
        sketch = sketch_file(file, inspect(path).rows, 1)
    for found, wanted in zip(sketch.pairs, scan_pairs(scan), strict=True):
        assert found.after.quantile(0.5) == pytest.approx(wanted.after.quantile(0.5), abs=0.02)


def test_one_scale_for_a_case_is_not_the_modalitys_own(tmp_path, scan):
    path = built(tmp_path, normalise="case")
    images, _ = niftis.phantom()
    brain = (images != 0).any(axis=0)
    every = images[:, brain].astype(float)
    z = (every - every.mean()) / every.std()
    with SliceFile(path) as file:
        sketch = sketch_file(file, inspect(path).rows, 1)
    for m, pair in enumerate(sketch.pairs):
        assert pair.after.quantile(0.5) == pytest.approx(np.median(z[m]), abs=0.03)


def odd_file(path):
    """Case A without slices, B without tumour, C with all; and rows that are all odd."""
    label = np.zeros((5, *slicefiles.SHAPE), np.uint8)
    label[3, 2:4, 2] = 1
    label[4, 2:5, 1:4] = 2
    image, _ = slicefiles.pictures(5)
    cases = [("A", "A", []), ("B", "B", [1, 3, 4]), ("C", "C", [2, 5])]
    slicefiles.write(path, cases, pixels=(image, label))
    return [row(case, (9, 0, 0, 0)) for case in "ABC"]


def test_a_slice_file_shows_its_odd_cases(tmp_path):
    rows = odd_file(tmp_path / "out.h5")
    with SliceFile(tmp_path / "out.h5") as file:
        file.cases["std"] = 1
        file.planes["brain"][7:14] = [9, 1, 9, 2, 3, 9, 9]  # of B; 0, 2, 5 and 6 are not stored
        sketch = sketch_file(file, tuple(rows), 2)
    assert {case: drawn.z for case, drawn in sketch.pictures.items()} == {"B": 4, "C": 5}


def test_a_case_without_slices_has_no_medians(tmp_path):
    rows = odd_file(tmp_path / "out.h5")
    with SliceFile(tmp_path / "out.h5") as file:
        file.cases["std"] = 1
        sketch = sketch_file(file, tuple(rows), 1)
    assert sorted(sketch.medians) == ["B", "C"]
    assert sketch.pairs[0].after.counts.sum() == 5 * 5 * 5  # row 0 of each slice is outside


def test_watching_raw_cases_gathers_all_of_them(tmp_path):
    for name in ("BraTS2021_00001", "BraTS2021_00002"):
        niftis.write_case(tmp_path, name)
    sketch = Sketch()
    inspect(tmp_path, images=True, workers=2, watch=sketch.watch)
    assert (
        sorted(sketch.medians) == sorted(sketch.pictures) == ["BraTS2021_00001", "BraTS2021_00002"]
    )
    assert len(sketch.pairs) == 4
    assert sketch.pairs[0].after.width == histograms.Z_WIDTH
