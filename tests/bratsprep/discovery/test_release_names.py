"""File names of single releases: what they are, and what they must not be confused with."""

import pytest

from bratsprep.discovery.layouts import read_name


@pytest.mark.parametrize(
    ("member", "role", "key"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "t1w", "sub-01"),
        ("sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz", "t1gd", "sub-01"),
        ("sub-01/anat/sub-01_acq-3d_ce-GD_run-1_T1w.nii.gz", "t1gd", "sub-01"),
        ("sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz", "flair", "sub-01_ses-2"),
        ("derivatives/x/sub-01/anat/sub-01_space-T1w_T2w.nii.gz", "t2w", "sub-01"),
        ("derivatives/x/sub-01/anat/sub-01_space-T1w_dseg.nii.gz", "label", "sub-01"),
        ("derivatives/x/sub-01/anat/sub-01_label-tumor_mask.nii", "label", "sub-01"),
        ("images_segm/UPENN-GBM-00001_11_segm.nii.gz", "label", "UPENN-GBM-00001_11"),
        (
            "automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz",
            "label",
            "UPENN-GBM-00001_11",
        ),
        ("T1/case001.nii.gz", "t1w", "case001"),
        ("a/T1ce/case001_T1ce.nii.gz", "t1gd", "case001"),
        ("labels/case001.nii.gz", "label", "case001"),
    ],
)
def test_names_are_read(member, role, key):
    name = read_name(member)
    assert (name.role, name.key) == (role, key)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("sub-01/anat/sub-01_desc-brain_mask.nii.gz", "do not say tumor"),
        ("derivatives/fmriprep/sub-01/anat/sub-01_dseg.nii.gz", "healthy brain"),
        ("derivatives/x/sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", "healthy brain"),
        ("derivatives/x/sub-01/anat/sub-01_desc-bias_T1w.nii.gz", "'bias'"),
        ("x/UPENN-GBM-00001_11_T1_unstripped.nii.gz", "'unstripped'"),
        ("T1/case001_bias.nii.gz", "'bias'"),
        ("seg/case001_brain_mask.nii.gz", "'brain'"),
    ],
)
def test_other_files_are_named_with_their_reason(member, reason):
    name = read_name(member)
    assert not name.role
    assert reason in name.doubt


def test_a_modality_in_the_folder_of_another_is_ambiguous():
    name = read_name("T1/case001_FLAIR.nii.gz")
    assert name.is_ambiguous
    assert "is flair by its name but lies in a folder of t1w" in name.doubt


def test_a_bids_name_without_its_session_is_left_to_the_words():
    assert read_name("sub-01/ses-2/anat/sub-01_T1w.nii.gz").layout == ""


def test_a_label_among_images_keeps_its_own_meaning():
    assert read_name("T1/case001_seg.nii.gz").role == "label"
