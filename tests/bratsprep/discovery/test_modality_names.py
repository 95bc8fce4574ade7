"""Whole words of a file name decide its role; what rules a file out is known."""

import pytest

from bratsprep.discovery.modality_names import LABEL, bare_key, read_words


@pytest.mark.parametrize(
    ("name", "role", "key"),
    [
        ("x_T2_FLAIR", "flair", "x"),
        ("x_fla", "flair", "x"),
        ("x-t2f", "flair", "x"),
        ("x_T1", "t1w", "x"),
        ("x_T1_C-", "t1w", "x"),
        ("x_T1C-", "t1w", "x"),
        ("x_T1_-C", "t1w", "x"),
        ("x_T1_pre", "t1w", "x"),
        ("x_T1_without_contrast", "t1w", "x"),
        ("x_T1_no_Gd", "t1w", "x"),
        ("x_T1_post_op", "t1w", "x"),
        ("x_t1_brain", "t1w", "x"),
        ("x_T1_C+", "t1gd", "x"),
        ("x_T1+C", "t1gd", "x"),
        ("x_T1C+", "t1gd", "x"),
        ("x_CT1", "t1gd", "x"),
        ("x_t1post", "t1gd", "x"),
        ("x_T1-Gd", "t1gd", "x"),
        ("x_T1_gad", "t1gd", "x"),
        ("x_t1km", "t1gd", "x"),
        ("x-t1.ce", "t1gd", "x"),
        ("x_T1_post_contrast", "t1gd", "x"),
        ("sub-01_ce-gadolinium_T1w", "t1gd", "sub-01"),
        ("sub-01_space-T1w_FLAIR", "flair", "sub-01_space-T1w"),
        ("x_T2w", "t2w", "x"),
        ("p_FA_T2", "t2w", "p_FA"),
        ("x_T1w_seg", LABEL, "x"),
        ("tumour_mask", LABEL, ""),
        ("sub-01_label-tumor_mask", LABEL, "sub-01"),
        ("seg_x", LABEL, "x"),
    ],
)
def test_words_give_role_and_case(name, role, key):
    reading = read_words(name)
    assert (reading.role, reading.key, reading.doubt) == (role, key, "")


@pytest.mark.parametrize(
    "name",
    [
        "x_T2_star",
        "x_T2*",
        "x_T2_*",
        "x_T2star",
        "x_SWI",
        "x_ADC",
        "x_T1_map",
        "x_t1_bias",
        "x_T1_pred",
        "x_flair_prob",
        "x_DWI_T2",
        "x_brain_mask",
        "x_t1_mask",
        "x_pred_seg",
        "x_seg_prob",
        "skull.seg",
        "x_tumor",
        "x_gtv",
        "x_wmseg",
    ],
)
def test_words_that_rule_out_are_named(name):
    reading = read_words(name)
    assert reading.role == ""
    assert reading.doubt
    assert not reading.is_ambiguous


@pytest.mark.parametrize("name", ["x_FLAIR_to_T1", "x_T1_FLAIR", "seg_t1", "t1_t2"])
def test_two_roles_are_ambiguous(name):
    reading = read_words(name)
    assert (reading.role, reading.is_ambiguous) == ("", True)
    assert " and " in reading.doubt


@pytest.mark.parametrize("name", ["x", "flairy", "patient01", "T10"])
def test_words_without_role_have_none(name):
    assert (read_words(name).role, read_words(name).doubt) == ("", "")


def test_bare_key_drops_words_about_the_making():
    assert bare_key("P-1_brain_n4") == "P-1"
    assert bare_key("brain") == "brain"
