"""Volumes as CSV: one row a case, regions as sums of their classes, rows of earlier calls kept."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.errors import BratsError
from bratstrain.inference.predictor import predict
from bratstrain.inference.volumes_csv import columns, part_volumes, read_rows, row, write_rows
from tests.helpers import niftis, runs
from tests.helpers.class_sets import SCHEME

CASES = ("BraTS2021_00001", "BraTS2021_00002")
CLASSES = SCHEME.classes


@pytest.fixture
def run(tmp_path):
    runs.write(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def raw(tmp_path):
    for seed, case in enumerate(CASES):
        niftis.write_case(tmp_path / "raw", case, volumes=niftis.phantom(seed))
    return tmp_path / "raw"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@given(
    st.lists(st.integers(0, 10**7), min_size=len(CLASSES), max_size=len(CLASSES)),
    st.tuples(*[st.floats(0.1, 10)] * 3),
)
def test_region_is_the_sum_of_its_classes(voxels, spacing):
    volumes = part_volumes(voxels, spacing, CLASSES)
    for region, labels in CLASSES.regions:
        wanted = sum(volumes[CLASSES.classes[label]] for label in labels)
        assert volumes[region] == pytest.approx(wanted)


def test_one_row_a_case_with_every_class_and_region(run, raw, tmp_path):
    done = predict(run, raw, tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "volumes.csv")
    assert [each["case"] for each in rows] == list(CASES)
    assert list(rows[0]) == ["case", "scheme", *(f"{name} (ml)" for name in CLASSES.parts)]
    for each, case in zip(rows, done.cases, strict=True):
        assert each["scheme"] == case.scheme
        for name, volume in case.volumes_ml.items():
            assert float(each[f"{name} (ml)"]) == pytest.approx(volume, abs=5.1e-5)


def test_second_call_adds_its_cases(run, raw, tmp_path):
    predict(run, raw, tmp_path / "out", cases=[CASES[1]])
    predict(run, raw, tmp_path / "out", cases=[CASES[0]])
    assert [each["case"] for each in rows_of(tmp_path / "out" / "volumes.csv")] == list(CASES)


def test_table_of_other_columns_is_kept(run, raw, tmp_path):
    path = tmp_path / "out" / "volumes.csv"
    path.parent.mkdir()
    path.write_text("case,liver\nx,1\n")
    with pytest.raises(BratsError, match="has other columns than case, scheme, NCR"):
        predict(run, raw, tmp_path / "out")
    assert path.read_text() == "case,liver\nx,1\n"
    assert [each.name for each in path.parent.iterdir()] == ["volumes.csv"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"x\n1\n"])
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "volumes.csv"
    path.write_bytes(content)
    with pytest.raises(BratsError):
        read_rows(path, CLASSES)


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "volumes.csv"
    names = ("b", "a, with comma")
    rows = {name: row(name, "s", dict.fromkeys(CLASSES.parts, 1.5)) for name in names}
    write_rows(path, rows, CLASSES)
    assert read_rows(path, CLASSES) == rows
    assert path.read_text().splitlines()[0] == ",".join(columns(CLASSES))
