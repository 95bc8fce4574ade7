"""The subject of a case follows from its id by a named rule."""

import pytest

from bratsprep.discovery.subjects import IDS, near_ids, person_and_visit, subject, subject_and_rule


@pytest.mark.parametrize(
    ("case", "person"),
    [
        ("BRATS_001", "BRATS_001"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00000", "BraTS2021_00000"),
        ("Brats18_2013_24_1", "Brats18_2013_24"),
        ("BraTS-GLI-00002-001", "BraTS-GLI-00002"),
        ("sub-001_ses-01", "sub-001"),
        ("sub-001_ses-01_acq-iso", "sub-001"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001"),
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001"),
        ("UCSF-PDGM-0004", "UCSF-PDGM-0004"),
        ("UCSF-PDGM-0004_FU001d", "UCSF-PDGM-0004"),
        ("RHUH-0001_2", "RHUH-0001"),
        ("Patient-001_week-000-2", "Patient-001"),
        ("PatientID_0003_Timepoint_1", "PatientID_0003"),
        ("anna_time2", "anna"),
        ("anna-visit-3", "anna"),
        ("P12_2015-01-02", "P12"),
        ("TCGA-02-0003_2000.12.31", "TCGA-02-0003"),
        ("p7-1", "p7"),
        ("p7_scan2", "p7"),
        ("hospital_scan2", "hospital_scan2"),
        ("patient_1", "patient_1"),
        ("patient01", "patient01"),
        ("site01_12", "site01_12"),
    ],
)
def test_subject_is_the_id_without_its_time_point(case, person):
    assert subject(case) == person


def test_rule_is_named():
    assert subject_and_rule("sub-1_ses-2")[1] == "BIDS sub-"
    assert subject_and_rule("anyone") == ("anyone", IDS)


def test_person_is_the_folder_above_a_visit():
    assert person_and_visit("raw/P1/week-012") == ("P1", "week-012")
    assert person_and_visit("P1/2015.01.02/anat") == ("P1", "2015.01.02")
    assert person_and_visit("raw/P1") == ("", "P1")
    assert person_and_visit("week-012") == ("", "week-012")


def test_near_ids_share_a_stem():
    names = ["p7a", "p7b", "p8a", "c1-01", "c1-02", "x"]
    assert near_ids(names) == {"p7": ["p7a", "p7b"], "c1": ["c1-01", "c1-02"]}
