"""Which files are brain masks, and whose."""

import pytest

from bratsprep.discovery.discover import find_cases_or_masks, scan
from bratsprep.errors import LayoutError
from bratsprep.sources.source import open_source
from tests.helpers.brain_masks import stripped

NAMES = ("flair", "t1", "t1ce", "t2", "seg")


def touched(root, *names):
    """Make files that are large enough to be scans."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(4096))
    return root


def case(folder, name):
    return [f"{folder}{name}_{kind}.nii.gz" for kind in NAMES]


def masks(root, pattern):
    """Brain mask of each case by id."""
    with open_source(root) as source:
        found = scan(source, brain_mask=pattern)
        return {files.id: files.brain_mask for files in found.cases}, found


@pytest.mark.parametrize(
    "pattern", ["*_bet_mask.nii.gz", "*_brainmask.nii", "*_mask.nii.gz", "*_synthstrip.nii.gz"]
)
def test_mask_belongs_to_the_case_whose_name_it_begins_with(tmp_path, pattern):
    one, two = (pattern.replace("*", name) for name in ("sub-1", "sub-10"))
    root = touched(tmp_path, *case("", "sub-1"), *case("", "sub-10"), one, two)
    owners, found = masks(root, pattern)
    assert owners == {"sub-1": one, "sub-10": two}
    assert {role.count for role in found.mapping.roles if role.role == "brain"} == {2}


def test_masks_may_lie_in_a_folder_of_their_own(tmp_path):
    files = ["brains/A_1.nii.gz", "brains/A_2.nii.gz"]
    root = touched(tmp_path, *case("a/", "A_1"), *case("b/", "A_2"), *files)
    owners, _ = masks(root, "brains/*.nii.gz")
    assert owners == {"A_1": files[0], "A_2": files[1]}


def test_mask_of_the_only_case_of_a_folder_needs_no_name(tmp_path):
    names = [f"{kind}.nii.gz" for kind in (*NAMES, "hdbet")]
    root = touched(tmp_path, *(f"{p}/{name}" for p in ("p1", "p2") for name in names))
    owners, _ = masks(root, "hdbet.nii.gz")
    assert owners == {"p1": "p1/hdbet.nii.gz", "p2": "p2/hdbet.nii.gz"}


def test_mask_of_a_modality_is_one_mask_where_the_pattern_is_narrow(tmp_path):
    extra = [f"A_{kind}_bet_mask.nii.gz" for kind in ("t1", "t2")]
    root = touched(tmp_path, *case("", "A"), *extra)
    assert masks(root, "*_t1_bet_mask.nii.gz")[0] == {"A": extra[0]}
    with pytest.raises(LayoutError, match="brain mask occurs 2 times; narrow --brain-mask"):
        masks(root, "*_bet_mask.nii.gz")


def test_mask_of_no_case_is_named(tmp_path):
    root = touched(
        tmp_path, *case("", "A"), *case("", "B"), *(f"{n}_brain.nii.gz" for n in ("A", "B", "C"))
    )
    _, found = masks(root, "*_brain.nii.gz")
    assert [one.example for one in found.mapping.ignored] == ["C_brain.nii.gz"]
    assert "its name is that of no case" in found.mapping.ignored[0].reason


def test_pattern_that_fits_nothing_is_refused(tmp_path):
    root = touched(tmp_path, *case("", "A"))
    with pytest.raises(LayoutError, match=r"no file fits '\*_bet.nii'.*--brain-mask none"):
        masks(root, "*_bet.nii")


def test_mask_that_a_manifest_takes_for_an_image_is_refused(tmp_path):
    root = stripped(tmp_path / "raw", layout="msd")
    with pytest.raises(LayoutError, match=r"dataset\.json makes it an image or a label"):
        masks(root, "BRATS_001.nii.gz")


def test_masks_alone_with_a_pattern_of_brain_masks_are_refused(tmp_path):
    root = touched(tmp_path, "A_seg.nii.gz")
    with open_source(root) as source:
        assert find_cases_or_masks(source).layout == "masks only"
        with pytest.raises(LayoutError, match=r"no file fits .*--brain-mask"):
            find_cases_or_masks(source, brain_mask="*_bet_mask.nii.gz")
