"""A dry run says what a build would take, and builds nothing."""

import json

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.building.dry_run import dry_run
from bratsprep.cli import main
from bratsprep.errors import LayoutError
from tests.helpers import niftis


@pytest.fixture
def raw(tmp_path):
    for name in ("BraTS2021_00001", "BraTS2021_00002"):
        niftis.write_case(tmp_path / "raw", name)
    return tmp_path / "raw"


def test_dry_run_maps_files_and_geometry(raw):
    found = dry_run(raw)
    text = found.text(as_json=False)
    assert "t1gd     *_t1ce.nii.gz  2 of 2" in text
    assert "axes     LPS: 2" in text
    assert json.loads(found.text(as_json=True))["geometries"]["sizes"] == {"7 x 8 x 6": 2}


def test_dry_run_names_cases_that_would_be_skipped(raw):
    (raw / "BraTS2021_00002" / "BraTS2021_00002_t2.nii.gz").unlink()
    with pytest.raises(LayoutError, match="t2w is missing"):
        dry_run(raw)
    found = dry_run(raw, on_error="skip")
    assert [case.id for case in found.skipped] == ["BraTS2021_00002"]
    assert any(line.startswith("skipped") for line in found.lines())


def test_command_shows_the_mapping_and_writes_nothing(raw, tmp_path):
    result = CliRunner().invoke(main, ["build", str(raw), "--dry-run"])
    assert result.exit_code == 0
    assert "label    *_seg.nii.gz  2 of 2" in result.output
    result = CliRunner().invoke(main, ["build", str(raw), "--dry-run", "--json"])
    assert json.loads(result.output)["mapping"]["cases"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_command_needs_a_file_to_build(raw):
    assert CliRunner().invoke(main, ["build", str(raw)]).exit_code == 2


def test_build_and_inspect_print_the_mapping(raw, tmp_path):
    summary = bratsprep.build(raw, tmp_path / "out.h5", crop="none", workers=1)
    lines = summary.lines()
    assert "flair    *_flair.nii.gz  2 of 2" in lines
    assert "shape    7 x 8 x 6: 2" in lines
    inspection = bratsprep.inspect(raw, workers=1)
    assert "flair    *_flair.nii.gz  2 of 2" in inspection.lines()
    assert json.loads(json.dumps(inspection.to_json()))["mapping"]["cases"] == 2


def test_build_takes_labels_by_pattern_on_the_images_grid_and_verify_agrees(raw, tmp_path):
    plain = bratsprep.build(raw, tmp_path / "a.h5", crop="none", workers=1)
    for path in raw.rglob("*_seg.nii.gz"):
        label = niftis.loaded(path)[1].transpose(2, 1, 0)
        niftis.write(path.with_name(path.name.replace("_seg", "_roi")), label, sform=0, qform=0)
        path.unlink()
    settings = {"label_name": "*_roi.nii.gz", "same_grid": True, "crop": "none"}
    bratsprep.build(raw, tmp_path / "b.h5", workers=1, **settings)
    with bratsprep.open(tmp_path / "a.h5") as one, bratsprep.open(tmp_path / "b.h5") as two:
        assert one.cases["digest"].tolist() == two.cases["digest"].tolist()
        assert two.config.same_grid
        assert two.config.label_name == "*_roi.nii.gz"
    bratsprep.verify(tmp_path / "b.h5", raw, sample=2, workers=1)
    assert plain.cases == 2


def test_settings_without_effect_leave_no_trace_in_the_settings():
    assert "same_grid" not in bratsprep.config.PrepConfig().to_json()
    assert "same_grid" in bratsprep.config.PrepConfig(same_grid=True).to_json()
