"""Tables of colours and fields of headers: what a viewer reads is the scheme that was written."""

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet, shipped
from bratstrain.inference.predictor import predict
from bratstrain.inference.viewer_files import (
    colour_tables,
    header_fields,
    itksnap_text,
    slicer_text,
    table_name,
)
from tests.helpers import niftis, runs
from tests.helpers.class_sets import SCHEME

CASE = "BraTS2021_00001"


@pytest.fixture
def done(tmp_path):
    runs.write(tmp_path / "run")
    niftis.write_case(tmp_path / "raw")
    return predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out").cases[0]


def itksnap_rows(text):
    """(code, colour, name) of each label, read as ITK-SNAP reads it."""
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            *numbers, name = re.fullmatch(
                r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([01])\s+([01])\s+"([^"]*)"', line
            ).groups()
            code, *rgb = map(int, numbers[:4])
            rows.append((code, "#{:02X}{:02X}{:02X}".format(*rgb), name))
    return rows


@pytest.mark.parametrize("name", sorted(shipped()))
def test_itksnap_and_slicer_get_codes_and_colours_of_the_scheme(name):
    scheme = shipped()[name]
    raw = scheme.raw()
    wanted = sorted(
        (int(raw[k]), scheme.classes.colours[k].upper()) for k in range(1, len(scheme.classes))
    )
    rows = itksnap_rows(itksnap_text(scheme))
    assert rows[0] == (0, "#000000", "Clear Label")
    assert [row[:2] for row in rows[1:]] == wanted
    lines = [line.split() for line in slicer_text(scheme).splitlines() if line[0] != "#"]
    assert lines[0] == ["0", "background", "0", "0", "0", "0"]
    found = [(int(line[0]), "#{:02X}{:02X}{:02X}".format(*map(int, line[2:5]))) for line in lines]
    assert found[1:] == wanted
    assert {line[5] for line in lines[1:]} == {"255"}


def test_quotes_in_a_title_do_not_end_the_name():
    titles = ("background", 'a "b"', "c", "d")
    classes = replace(SCHEME.classes, titles=titles)
    rows = itksnap_rows(itksnap_text(replace(SCHEME, classes=classes)))
    assert "a 'b'" in rows[1][2]


def test_header_says_that_the_values_are_labels_and_which(done):
    header = nib.load(done.path).header
    scheme = shipped()[done.scheme]
    assert header.get_intent()[0] == "label"
    assert header["intent_name"].item().decode() == done.scheme
    aux = header["aux_file"].item().decode()
    assert (done.path.parent / aux).read_text() == itksnap_text(scheme)
    assert header["descrip"].item().decode() == "1 NCR, 2 ED, 4 ET"


def test_many_classes_are_named_by_their_file_alone():
    names = tuple(f"class{i:02d}" for i in range(1, 20))
    classes = ClassSet(
        ("background", *names), (("all", tuple(range(1, 20))),), ("#000000",) * 20,
        ("background", *names),
    )  # fmt: skip
    codes = tuple((i, i) for i in range(1, 20))
    fields = header_fields(replace(SCHEME, name="many", classes=classes, codes=codes))
    assert fields["descrip"] == b"labels as in many.label"


@pytest.mark.parametrize("name", ["x" * 90, "a b/c", "Größe", "...", ""])
def test_any_name_of_a_scheme_fits_into_the_header(name):
    scheme = replace(SCHEME, name=name)
    fields = header_fields(scheme)
    assert len(fields["aux_file"]) <= 23
    assert len(fields["intent_name"]) <= 15
    assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", table_name(scheme))


def test_two_schemes_of_one_name_and_other_colours_are_refused(tmp_path):
    classes = replace(SCHEME.classes, colours=("#000000", "#111111", "#222222", "#333333"))
    with pytest.raises(BratsError, match="two label schemes have this name"):
        colour_tables(tmp_path, [SCHEME, replace(SCHEME, classes=classes)])


def test_file_of_the_user_is_not_replaced_without_force(tmp_path):
    runs.write(tmp_path / "run")
    niftis.write_case(tmp_path / "raw")
    mine = tmp_path / "out" / "brats2017.ctbl"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(BratsError, match="exists already with other content"):
        predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out")
    predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out", force=True)
    assert mine.read_text() == slicer_text(shipped()["brats2017"])


def test_volumes_of_header_and_voxels_agree(done):
    values = np.asarray(nib.load(done.path).dataobj)
    scheme = shipped()[done.scheme]
    for stored, name in enumerate(scheme.classes.classes[1:], 1):
        count = np.count_nonzero(values == scheme.raw()[stored])
        assert done.volumes_ml[name] == pytest.approx(count * 2 / 1000)
