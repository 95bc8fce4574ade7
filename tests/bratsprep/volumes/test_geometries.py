"""Sizes, voxel sizes and orientations are counted from headers alone."""

import json

import numpy as np

from bratsprep.sources.source import open_source
from bratsprep.volumes.geometries import Geometries, read_geometries
from tests.helpers import niftis


def test_geometries_of_cases_are_counted(tmp_path):
    cases = [niftis.write_case(tmp_path, f"p{i}", codes) for i, codes in enumerate(("LPS", "PIR"))]
    fine = niftis.Make(affine=np.diag([0.5, 0.5, 3.0, 1.0]))
    cases.append(niftis.write_case(tmp_path, "p9", "LPS", make=fine))
    with open_source(tmp_path) as source:
        found = read_geometries(source, cases)
    assert found.sizes == {"7 x 8 x 6": 3}
    assert found.spacings == {"1 x 1 x 2 mm": 2, "0.5 x 0.5 x 3 mm": 1}
    assert found.orientations == {"LPS": 2, "PIR": 1}
    lines = "\n".join(found.lines())
    assert "spacing  1 x 1 x 2 mm: 2, 0.5 x 0.5 x 3 mm: 1" in lines
    assert "voxel sizes differ" in lines
    assert json.loads(json.dumps(found.to_json()))["orientations"] == {"LPS": 2, "PIR": 1}


def test_masks_alone_have_a_geometry(tmp_path):
    files = niftis.write_case(tmp_path)
    masks = niftis.case_files("BraTS2021_00001")
    with open_source(tmp_path) as source:
        found = read_geometries(source, [type(masks)("x", "x", "plain", (), files.label, None)])
    assert found.orientations == {"LPS": 1}


def test_case_whose_headers_cannot_be_read_is_a_remark(tmp_path):
    files = niftis.write_case(tmp_path)
    (tmp_path / files.label).write_bytes(b"\1" * 500)
    with open_source(tmp_path) as source:
        found = read_geometries(source, [files])
    assert found.sizes == {}
    assert "is no NIfTI file" in found.remarks[0]


def test_long_lists_are_cut(tmp_path):
    found = Geometries()
    for i in range(6):
        found.add((1, 1, i), np.ones(3), "RAS", [f"remark {i}"])
    short, verbose = "\n".join(found.lines()), "\n".join(found.lines(verbose=True))
    assert "and 2 more" in short
    assert "remark 5" not in short
    assert "remark 5" in verbose
