"""Every layout is recognised, and holds the voxels of the plain one.

Options are given only where names cannot tell: which edition's labels children have, and that one
modality is all that radiotherapy planning has.
"""

import numpy as np
import pytest

import bratsprep
from bratsprep.config import USUAL_MODALITIES, PhantomConfig
from bratsprep.discovery.discover import scan
from bratsprep.labels import scheme
from bratsprep.phantom.layouts import LAYOUTS
from bratsprep.phantom.tissue_labels import raw_label
from bratsprep.sources.source import open_source
from tests.helpers import choices

SHAPE = (24, 24, 16)
SUBJECTS = {"bids": 4, "upenn-gbm": 4, "visits": 4, "brats2023": 4, "brats2024": 4}
"""People of five cases, where the fourth is a second visit of the third."""
OPTIONS = {"brats-ped": {"labels": "brats-ped"}, "brats-men-rt": {"modalities": "t1gd"}}


def volumes(raw, out, **options):
    bratsprep.build(raw, out, crop="none", slices="all", repeats="off", workers=1, **options)
    with bratsprep.open(out) as file:
        return [file.volume(case)[:2] for case in file.cases["id"]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    bratsprep.phantoms(root / "raw", layout="plain", cases=3, shape=SHAPE)
    return volumes(root / "raw", root / "out.h5")


def test_every_layout_is_a_choice():
    assert set(choices.words(PhantomConfig, "layout")) == set(LAYOUTS)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_builds_the_voxels_of_the_plain_one(tmp_path, plain, layout):
    raw = tmp_path / "raw"
    bratsprep.phantoms(raw, layout=layout, cases=3, shape=SHAPE)
    made = volumes(raw, tmp_path / "out.h5", **OPTIONS.get(layout, {}))
    bratsprep.verify(tmp_path / "out.h5", raw, workers=1)
    assert len(made) == 3
    known = scheme(LAYOUTS[layout].scheme)
    places = [USUAL_MODALITIES.index(name) for name in LAYOUTS[layout].usual()]
    for (image, label), (image_plain, label_plain) in zip(made, plain, strict=True):
        # Planes in HDF5 were normalised before, which costs the last digit of a float16.
        atol = 4e-3 if layout == "kaggle-slices" else 0
        np.testing.assert_allclose(image, image_plain[:, places], rtol=0, atol=atol)
        raw_plain = raw_label(label_plain, known, operated=False)
        np.testing.assert_array_equal(label, known.table()[raw_plain])


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("archive", ["", "zip", "tar.gz"])
def test_people_and_labels_are_found_in_folders_and_archives(tmp_path, layout, archive):
    raw = tmp_path / "raw"
    if LAYOUTS[layout].packs and archive:
        pytest.skip("an archive of archives is not read")
    made = bratsprep.phantoms(raw, layout=layout, cases=5, shape=(8, 8, 8), archive=archive)
    with open_source(made) as source:
        found = scan(source, **OPTIONS.get(layout, {}))
    assert len(found.cases) == 5
    assert found.mapping.subjects == SUBJECTS.get(layout, 5)
    assert all(case.label for case in found.cases)


def test_a_corrected_label_goes_before_an_automatic_one(tmp_path):
    raw = tmp_path / "raw"
    bratsprep.phantoms(raw, layout="upenn-gbm", cases=2, shape=(8, 8, 8))
    (raw / "images_segm" / "UPENN-GBM-00002_11_segm.nii.gz").unlink()
    with open_source(raw) as source:
        found = scan(source)
    assert [case.label for case in found.cases] == [
        "images_segm/UPENN-GBM-00001_11_segm.nii.gz",
        "automated_segm/UPENN-GBM-00002_11_automated_approx_segm.nii.gz",
    ]
    reasons = [ignored.reason for ignored in found.mapping.ignored]
    assert "is an automatic label; the corrected one is taken" in reasons
