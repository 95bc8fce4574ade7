"""Files that patterns leave out are not seen, and are counted."""

import pytest

from bratsprep.discovery.discover import find_cases_or_masks, scan
from bratsprep.errors import LayoutError
from bratsprep.sources.source import open_source

CASE = [f"a/a_{role}.nii.gz" for role in ("flair", "t1", "t1ce", "t2", "seg")]


@pytest.fixture
def raw(tmp_path):
    for name in (*CASE, "a/a_T1.nii.gz", "b/b_flair.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\1" * 300)
    return tmp_path


def test_excluded_files_are_not_recognised(raw):
    with open_source(raw) as source:
        with pytest.raises(LayoutError, match="t1w occurs 2 times"):
            scan(source)
        found = scan(source, exclude=("*_T1.nii.gz", "b/*"))
        assert len(source.members) == 7, "the source itself is unchanged"
    assert [case.id for case in found.cases] == ["a"]


def test_the_mapping_counts_what_each_pattern_left_out(raw):
    with open_source(raw) as source:
        lines = scan(source, exclude=("*_T1.nii.gz", "b/*", "*.mgz")).mapping.lines()
    assert "ignored  a/a_T1.nii.gz: left out by --exclude *_T1.nii.gz" in lines
    assert "ignored  b/b_flair.nii.gz: left out by --exclude b/*" in lines
    assert "ignored  --exclude *.mgz: fits no file" in lines


def test_a_folder_of_masks_can_be_narrowed(tmp_path):
    for name in ("m1.nii.gz", "m2.nii.gz", "old/m1.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\1" * 300)
    with open_source(tmp_path) as source:
        found = find_cases_or_masks(source, exclude=("old/*",))
    assert [case.id for case in found.cases] == ["m1", "m2"]
    assert found.mapping.ignored[0].count == 1
