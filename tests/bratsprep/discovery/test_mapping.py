"""The mapping says what every file was taken for."""

import json

from bratsprep.discovery.discover import scan
from bratsprep.sources.source import open_source

ROLES = ("flair", "t1", "t1ce", "t2", "seg")


def mapping(root, names, **settings):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"1" * 300)
    with open_source(root) as source:
        return scan(source, **settings).mapping


def files(case, roles=ROLES):
    return [f"{case}/{case}_{role}.nii.gz" for role in roles]


def test_mapping_counts_patterns_by_role(tmp_path):
    names = files("sub-1_ses-1") + files("sub-1_ses-2") + files("q", ("FLAIR", *ROLES[1:]))
    found = mapping(tmp_path, [*names, "q/q_adc.nii.gz"])
    lines = found.lines()
    assert "flair    *_flair.nii.gz  2 of 3; *_FLAIR.nii.gz  1 of 3" in lines
    assert "t1gd     *_t1ce.nii.gz  3 of 3" in lines
    assert "label    *_seg.nii.gz  3 of 3" in lines
    assert "subjects 2 people in 3 cases, by BIDS sub-: 2, the id: 1" in lines
    assert any("q/q_adc.nii.gz" in line for line in lines)
    assert json.loads(json.dumps(found.to_json()))["cases"] == 3


def test_mapping_says_that_there_is_no_label(tmp_path):
    lines = mapping(tmp_path, files("p", ROLES[:4]), unlabelled=True).lines()
    assert "label    none of 1" in lines
    assert not any(line.startswith("scheme") for line in lines)


def test_mapping_names_the_scheme_and_its_evidence(tmp_path):
    names = files("BraTS20_Training_001") + files("p")
    lines = mapping(tmp_path, names).lines()
    assert "scheme   brats2017 (names): 1, from the label values: 1" in lines
    lines = mapping(tmp_path, names, labels="msd").lines()
    assert "scheme   msd (--labels): 2" in lines


def test_mapping_names_ids_that_share_a_stem(tmp_path):
    lines = mapping(tmp_path, files("p7a") + files("p7b")).lines()
    assert any("p7a, p7b differ in a short suffix" in line for line in lines)


def test_mapping_of_bare_names_has_no_star(tmp_path):
    found = mapping(tmp_path, [f"p/{role}.nii" for role in ROLES])
    assert {one.pattern for one in found.roles} == {f"{role}.nii" for role in ROLES}
