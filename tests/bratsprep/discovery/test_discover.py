"""Every release is recognised by its names, and every case that cannot be one is named."""

import json
import tarfile

import pytest

from bratsprep.case import Channel
from bratsprep.config import USUAL_MODALITIES
from bratsprep.discovery.candidates import Batch, Draft
from bratsprep.discovery.discover import Found, mask_files, scan
from bratsprep.discovery.filenames import LABEL, modality
from bratsprep.discovery.label_names import region, tissue
from bratsprep.discovery.layouts import LAYOUTS, Layout
from bratsprep.errors import LabelError, LayoutError
from bratsprep.labels import scheme as shipped_scheme
from bratsprep.labels import shipped
from bratsprep.sources.source import open_source
from bratsprep.volumes.label_schemes import resolve

CLASSIC = ("flair", "t1", "t1ce", "t2", "seg")
MODERN = ("t2f", "t1n", "t1c", "t2w", "seg")
TASK01 = {
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {
        "0": "background",
        "1": "edema",
        "2": "non-enhancing tumor",
        "3": "enhancing tumour",
    },
    "training": [{"image": "./imagesTr/BRATS_001.nii.gz", "label": "./labelsTr/BRATS_001.nii.gz"}],
    "test": ["./imagesTs/BRATS_485.nii.gz"],
}
TASK01_FILES = [
    "imagesTr/BRATS_001.nii.gz",
    "labelsTr/BRATS_001.nii.gz",
    "imagesTs/BRATS_485.nii.gz",
]
NNUNET = {
    "channel_names": {"0": "T1", "1": "T1ce", "2": "T2", "3": "Flair"},
    "labels": {
        "background": 0,
        "whole tumor": [1, 2, 3],
        "tumor core": [2, 3],
        "enhancing tumor": [3],
    },
}
NNUNET_FILES = [f"imagesTr/x_{i:04d}.nii.gz" for i in range(4)] + ["labelsTr/x.nii.gz"]
LISTED = "{}/dataset.json: {}, such as {}.nii.gz"
UNLABELLED = "take such cases with --unlabelled"


def case(folder, key, roles=CLASSIC, joint="_", end=".nii.gz"):
    return [f"{folder}/{key}{joint}{role}{end}".lstrip("/") for role in roles]


def write(root, names, manifest=None, content=b"\1" * 300):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if manifest is not None:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        root.mkdir(exist_ok=True)
        (root / "dataset.json").write_text(text)


def found(root, **settings) -> Found:
    with open_source(root) as source:
        return scan(source, **settings)


def only(root, **settings):
    (case,) = found(root, **settings).cases
    return case


def refusal(root, act=scan, **settings):
    with open_source(root) as source, pytest.raises(LayoutError) as caught:
        act(source, **settings)
    return str(caught.value)


def test_decathlon_is_recognised(tmp_path):
    write(tmp_path, TASK01_FILES, TASK01)
    result = found(tmp_path)
    (one,) = result.cases
    assert result.layout == "Decathlon Task01"
    assert (one.id, one.subject, one.release, one.scheme) == (
        "BRATS_001",
        "BRATS_001",
        "msd",
        "msd",
    )
    assert one.images == tuple(Channel("imagesTr/BRATS_001.nii.gz", i, 4) for i in range(4))
    assert one.label == "labelsTr/BRATS_001.nii.gz"


def test_decathlon_takes_the_channel_order_of_its_json(tmp_path):
    swapped = {"0": "T2w", "1": "t1gd", "2": "T1w", "3": "FLAIR"}
    write(tmp_path, TASK01_FILES, TASK01 | {"modality": swapped})
    assert [channel.index for channel in only(tmp_path).images] == [3, 2, 1, 0]


def test_decathlon_test_cases_are_left_out_and_counted(tmp_path):
    write(tmp_path, TASK01_FILES, TASK01)
    assert found(tmp_path).notes == (
        "1 cases of a test set have no label and are left out; --unlabelled",
    )


def test_decathlon_test_cases_are_taken_when_asked(tmp_path):
    write(tmp_path, TASK01_FILES, TASK01)
    result = found(tmp_path, unlabelled=True)
    assert [(one.id, one.label is None) for one in result.cases] == [
        ("BRATS_001", False),
        ("BRATS_485", True),
    ]


def test_decathlon_without_lists_is_read_from_its_folders(tmp_path):
    bare = {key: TASK01[key] for key in ("modality", "labels")}
    write(tmp_path, TASK01_FILES, bare)
    assert len(found(tmp_path, unlabelled=True).cases) == 2


def test_decathlon_without_json_is_told_by_its_ids(tmp_path):
    write(tmp_path / "raw", TASK01_FILES)
    one = only(tmp_path)
    assert (one.release, one.scheme, one.images[2].index) == ("msd", "msd", 2)


def test_decathlon_without_label_names_is_told_by_its_ids(tmp_path):
    write(tmp_path, TASK01_FILES, TASK01 | {"labels": {}})
    assert only(tmp_path).scheme == "msd"


def test_decathlon_form_of_other_ids_has_no_scheme_without_names(tmp_path):
    bare = {"modality": TASK01["modality"]}
    write(tmp_path, ["imagesTr/x.nii", "labelsTr/x.nii"], bare)
    assert only(tmp_path).scheme is None


def test_decathlon_image_that_is_listed_but_missing_is_said(tmp_path):
    write(tmp_path, TASK01_FILES[1:], TASK01)
    assert refusal(tmp_path) == (
        f"{tmp_path}/imagesTr/BRATS_001.nii.gz: is listed in {tmp_path}/dataset.json but missing"
    )


def test_decathlon_mask_that_is_missing_is_said(tmp_path):
    write(tmp_path, TASK01_FILES[:1], TASK01)
    assert refusal(tmp_path) == (
        f"{tmp_path}/imagesTr/BRATS_001: mask is missing; add it, or {UNLABELLED}"
    )


def test_decathlon_notes_what_its_lists_leave_out_or_miss(tmp_path):
    write(tmp_path, [*TASK01_FILES[:2], "imagesTr/BRATS_002.nii.gz"], TASK01)
    assert found(tmp_path).notes == (
        LISTED.format(tmp_path, "1 of 1 listed test images are missing", "imagesTs/BRATS_485")
        + "; the others are taken",
        LISTED.format(tmp_path, "1 images are not listed and not taken", "imagesTr/BRATS_002"),
    )


SEVERAL = [known for known in shipped().values() if len(known.classes.tumour) > 1]
AS_ITS_NAMES = {"brats-men": "brats2023", "brats-met": "brats2024"}
"""Schemes whose labels have the names of another one's."""


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        *((dict(known.names), AS_ITS_NAMES.get(known.name, known.name)) for known in SEVERAL),
        ({1: "tumour"}, "whole-tumour"),
        ({255: "whole tumor"}, "whole-tumour"),
        ({1: "GTV"}, "brats-men-rt"),
        ({1: "edema", 2: "necrotic and non-enhancing tumor", 3: "ET"}, "msd"),
        ({1: "NCR/NET", 2: "ED", 4: "ET"}, "brats2017"),
        ({1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}, "brats2024"),
    ],
    ids=[*(known.name for known in SEVERAL), "one", "255", "GTV", "long", "short", "2024"],
)
@pytest.mark.parametrize("is_name_first", [False, True], ids=["value:name", "name:value"])
def test_scheme_comes_from_the_names_of_labels(tmp_path, names, scheme, is_name_first):
    names = {0: "background", **names}
    labels = {n: v for v, n in names.items()} if is_name_first else names
    write(tmp_path, TASK01_FILES, TASK01 | {"labels": labels})
    assert only(tmp_path).scheme == scheme


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        ({"WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}, "msd"),
        ({"background": 0, "whole tumour": [1, 2, 3], "core": [1, 3], "enhancing": 3}, "brats2023"),
        ({"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}, "brats2017"),
        ({"WT": [1, 2, 3], "TC": [1, 3], "ET": 3, "resection cavity": [4]}, "brats2024"),
    ],
)
def test_scheme_comes_from_regions(tmp_path, labels, scheme):
    write(tmp_path, NNUNET_FILES, NNUNET | {"labels": labels})
    assert only(tmp_path).scheme == scheme


def test_labels_of_no_scheme_are_shown(tmp_path):
    labels = {"background": 0, "ET": 1, "edema": 2, "fat": 3}
    write(tmp_path, TASK01_FILES, TASK01 | {"labels": labels})
    cases = found(tmp_path).cases
    with open_source(tmp_path) as source:
        with pytest.raises(LabelError) as caught:
            resolve(source, cases, None)
        chosen = shipped_scheme("brats2023")
        assert resolve(source, cases, chosen)["BRATS_001"] is chosen
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/dataset.json: labels ")
    assert "mean 1 ET, 2 ED, 3 unknown; expected the order of one of brats-men, " in message
    assert message.endswith("choose one with --labels NAME, or write your own")


@pytest.mark.parametrize("version", [1, 2])
def test_nnunet_is_recognised(tmp_path, version):
    manifest = dict(NNUNET)
    if version == 1:
        manifest["modality"] = manifest.pop("channel_names")
    write(tmp_path, NNUNET_FILES, manifest)
    result = found(tmp_path)
    (one,) = result.cases
    assert (result.layout, one.id, one.release, one.scheme) == ("nnU-Net raw", "x", "nnunet", "msd")
    assert [channel.member[-8] for channel in one.images] == ["3", "0", "1", "2"]
    assert one.label == "labelsTr/x.nii.gz"


def test_nnunet_test_cases_are_taken_when_asked(tmp_path):
    test = [f"imagesTs/y_{i:04d}.nii.gz" for i in range(4)]
    write(tmp_path, NNUNET_FILES + test, NNUNET)
    assert [one.id for one in found(tmp_path, unlabelled=True).cases] == ["x", "y"]


def test_nnunet_passes_over_channels_and_files_that_it_does_not_know(tmp_path):
    channels = NNUNET["channel_names"] | {"4": "ADC"}
    more = ["imagesTr/x_0004.nii.gz", "imagesTr/odd.nii.gz"]
    write(tmp_path, NNUNET_FILES + more, NNUNET | {"channel_names": channels})
    assert only(tmp_path).id == "x"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "dataset.json: is no JSON: "),
        (TASK01 | {"modality": {"0": "MRI"}}, "flair, t1w, t1gd, t2w are missing; found mri"),
        (TASK01 | {"training": [1]}, "cannot be understood: TypeError"),
        (TASK01 | {"modality": []}, "cannot be understood: AttributeError"),
    ],
    ids=["json", "channels", "training", "modality"],
)
def test_json_that_cannot_be_used_is_said(tmp_path, manifest, message):
    write(tmp_path, TASK01_FILES, manifest)
    assert message in refusal(tmp_path)


def test_json_of_something_else_is_passed_over(tmp_path):
    write(tmp_path, case("a", "a"), {"colour": "blue"})
    assert only(tmp_path).id == "a"


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        ("Brats18_2013_24_1", "Brats18_2013_24"),
        ("Brats17_TCIA_105_1", "Brats17_TCIA_105"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00000", "BraTS2021_00000"),
    ],
)
@pytest.mark.parametrize("end", [".nii", ".nii.gz"])
def test_brats_2017_is_recognised_at_any_depth(tmp_path, key, subject, end):
    write(tmp_path, case(f"raw/HGG/{key}", key, end=end))
    result = found(tmp_path)
    (one,) = result.cases
    assert result.layout == "BraTS 2017-2021"
    assert (one.id, one.subject, one.release, one.scheme) == (
        key,
        subject,
        "brats2017",
        "brats2017",
    )
    assert [c.member for c in one.images] + [one.label] == case(f"raw/HGG/{key}", key, end=end)
    assert {channel.index for channel in one.images} == {None}


@pytest.mark.parametrize(
    ("key", "scheme", "layout"),
    [
        ("BraTS-GLI-00002-000", "brats2023", "BraTS 2023"),
        ("BraTS-GLI-00002-001", "brats2023", "BraTS 2023"),
        ("BraTS-GLI-00002-100", "brats2024", "BraTS 2024"),
        ("BraTS-SSA-00002-000", "brats2023", "BraTS 2023"),
    ],
)
def test_brats_2023_and_later_are_recognised(tmp_path, key, scheme, layout):
    write(tmp_path, case(key, key, MODERN, "-"))
    result = found(tmp_path)
    (one,) = result.cases
    assert (result.layout, one.release, one.scheme) == (layout, scheme, scheme)
    assert one.subject == key[:-4]
    assert [c.member for c in one.images] + [one.label] == case(key, key, MODERN, "-")


def test_misnamed_mask_of_a_case_is_found_and_noted(tmp_path):
    key = "BraTS20_Training_355"
    stray = f"raw/{key}/W39_1998.09.19_Segm.nii"
    write(tmp_path, [*case(f"raw/{key}", key, CLASSIC[:4], end=".nii"), stray])
    assert only(tmp_path).label == stray
    assert found(tmp_path).notes == (f"{key}: mask is named W39_1998.09.19_Segm.nii",)


def test_validation_cases_are_test_cases(tmp_path):
    keys = ("BraTS20_Training_001", "BraTS20_Validation_001")
    write(tmp_path, case(keys[0], keys[0]) + case(keys[1], keys[1], CLASSIC[:4]))
    assert only(tmp_path).id == keys[0]
    assert len(found(tmp_path, unlabelled=True).cases) == 2


def test_paediatric_labels_need_a_scheme_by_name(tmp_path):
    key = "BraTS-PED-00002-000"
    write(tmp_path, case(key, key, MODERN, "-"))
    one = only(tmp_path)
    assert one.scheme is None
    with open_source(tmp_path) as source:
        with pytest.raises(LabelError, match="1 ET, 2 NET, 3 CC, 4 ED"):
            resolve(source, [one], None)
        chosen = shipped_scheme("brats-ped")
        assert resolve(source, [one], chosen)[one.id] is chosen


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (case("p1", "p1", ("FLAIR", "t1", "T1Gd", "T2w", "mask")), "p1"),
        (case("p1", "s", ("t2-flair", "T1w", "t1_post", "t2", "segmentation"), "."), "s"),
        ([f"p1/{role}.nii" for role in CLASSIC], "p1"),
        ([f"p1/{role}_brain.nii" for role in CLASSIC], "brain"),
        (case("", "p 7", CLASSIC), "p 7"),
    ],
    ids=["folder", "file", "bare", "suffix", "flat"],
)
def test_plain_case_is_recognised(tmp_path, names, key):
    write(tmp_path, names)
    result = found(tmp_path)
    (one,) = result.cases
    assert result.layout == "plain folders"
    assert (one.id, one.release, one.scheme) == (key, "plain", None)
    assert [c.member for c in one.images] + [one.label] == names


def test_plain_cases_lie_flat_in_one_folder(tmp_path):
    write(tmp_path, case("all", "p1") + case("all", "p2"))
    assert [one.id for one in found(tmp_path).cases] == ["p1", "p2"]


def test_plain_cases_of_the_same_file_names_are_called_as_their_folders(tmp_path):
    write(tmp_path, case("p1", "scan") + case("p2", "scan") + case("p2", "late"))
    assert [one.id for one in found(tmp_path).cases] == ["p1", "p2_late", "p2_scan"]


def test_plain_case_at_the_root_of_an_archive_is_called_as_the_archive(tmp_path):
    write(tmp_path / "in", [f"{role}.nii" for role in CLASSIC])
    with tarfile.open(tmp_path / "me.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "in", ".")
    assert only(tmp_path / "me.tar.gz").id == "me"


def test_plain_mask_of_another_name_goes_to_the_one_case_beside_it(tmp_path):
    write(tmp_path, [*case("p1", "p1", CLASSIC[:4]), "p1/tumour_mask.nii", "p1/brain_mask.nii"])
    assert only(tmp_path).label == "p1/tumour_mask.nii"


def test_mask_among_several_cases_goes_to_none_and_is_named(tmp_path):
    names = case("all", "p1") + case("all", "p2") + ["all/odd_mask.nii"]
    write(tmp_path, names)
    result = found(tmp_path)
    assert [one.label for one in result.cases] == ["all/p1_seg.nii.gz", "all/p2_seg.nii.gz"]
    (ignored,) = result.mapping.ignored
    assert (ignored.example, ignored.count) == ("all/odd_mask.nii", 1)
    assert "looks like a label" in ignored.reason


def test_sets_that_lie_side_by_side_are_taken_together(tmp_path):
    write(tmp_path / "Task01", TASK01_FILES, TASK01)
    for key in ("BraTS20_Training_001", "Brats18_2013_24_1", "p1"):
        write(tmp_path, case(key, key))
    write(tmp_path, ["notes/atlas.nii"])
    result = found(tmp_path)
    assert result.layout == "BraTS 2017-2021 + Decathlon Task01 + plain folders"
    assert [one.id for one in result.cases] == [
        "BRATS_001",
        "BraTS20_Training_001",
        "Brats18_2013_24_1",
        "p1",
    ]
    (ignored,) = result.mapping.ignored
    assert ignored.example == "notes/atlas.nii"


def test_missing_modality_is_said(tmp_path):
    key = "BraTS-GLI-00005-000"
    write(tmp_path, case(key, key, ("t2f", "t1n", "t2w", "seg"), "-"))
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}/{key}: t1gd is missing; found t1w, flair, t2w; ")
    assert "--missing zeros" in message
    assert "--modalities" in message


def test_missing_modality_is_none_where_zeros_are_asked_for(tmp_path):
    key = "BraTS-GLI-00005-000"
    write(tmp_path, case(key, key, ("t2f", "t1n", "t2w", "seg"), "-"))
    one = only(tmp_path, missing="zeros")
    assert [channel is not None for channel in one.images] == [True, True, False, True]


def test_modalities_that_are_asked_for_are_found_in_their_order(tmp_path):
    key = "BraTS-GLI-00005-000"
    write(tmp_path, case(key, key, ("t2f", "t1n", "t1c", "t2w", "seg"), "-"))
    one = only(tmp_path, modalities="t2w,t1gd")
    assert [channel.member[-10:-7] for channel in one.images] == ["t2w", "t1c"]


def test_channels_of_other_names_are_found_by_them(tmp_path):
    write(tmp_path, TASK01_FILES, TASK01 | {"modality": {"0": "ADC", "1": "T1w"}})
    one = only(tmp_path, modalities="adc")
    assert [(channel.index, channel.n_volumes) for channel in one.images] == [(0, 2)]


def test_missing_mask_is_said(tmp_path):
    write(tmp_path, case("p1", "p1", CLASSIC[:4]))
    assert refusal(tmp_path) == f"{tmp_path}/p1: mask is missing; add it, or {UNLABELLED}"


def test_missing_mask_is_no_fault_when_asked(tmp_path):
    write(tmp_path, case("p1", "p1", CLASSIC[:4]))
    assert only(tmp_path, unlabelled=True).label is None


@pytest.mark.parametrize(
    ("extra", "what"),
    [("p1/p1_seg.nii", "mask"), ("p1/p1_t1w.nii.gz", "t1w")],
)
def test_doubled_file_is_said(tmp_path, extra, what):
    write(tmp_path, [*case("p1", "p1"), extra])
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}/p1: {what} occurs 2 times; remove one of ")
    assert extra in message


def test_case_that_is_there_twice_is_said(tmp_path):
    write(tmp_path / "one", TASK01_FILES, TASK01)
    write(tmp_path / "two", TASK01_FILES, TASK01)
    assert refusal(tmp_path) == (
        f"{tmp_path}/one/imagesTr/BRATS_001: case BRATS_001 occurs again as "
        f"{tmp_path}/two/imagesTr/BRATS_001; rename one, or remove it if "
        "both are the same"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer")],
    ids=["empty", "pointer"],
)
def test_file_that_is_none_is_said(tmp_path, content, message):
    write(tmp_path, case("p1", "p1"))
    (tmp_path / "p1/p1_t2.nii.gz").write_bytes(content)
    assert refusal(tmp_path).startswith(f"{tmp_path}/p1/p1_t2.nii.gz: {message}")


def test_small_file_that_is_one_is_taken(tmp_path):
    write(tmp_path, case("p1", "p1"), content=b"\1" * 50)
    assert only(tmp_path).id == "p1"


def test_all_problems_are_listed_at_once(tmp_path):
    for i in range(23):
        write(tmp_path, case(f"p{i}", f"p{i}", CLASSIC[1:]))
    lines = refusal(tmp_path).split("\n")
    assert lines[0].startswith(f"{tmp_path}: 23 problems; ")
    assert lines[1].startswith(f"  {tmp_path}/p0: flair is missing; found t1w, t1gd, t2w; ")
    assert len(lines) == 22
    assert lines[-1] == "  and 3 more"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "found no such file"),
        (["a/x.nii", "b/y.nii"], "found 2 files, such as a/x.nii, b/y.nii"),
        (
            case("", "BraTS20_Validation_001", CLASSIC[:4]),
            "found 1 unlabelled cases, to be taken with --unlabelled",
        ),
    ],
    ids=["empty", "unknown", "unlabelled"],
)
def test_no_case_is_said_with_what_was_looked_for(tmp_path, names, said):
    write(tmp_path, names)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}: holds no case; looked for dataset.json with imagesTr")
    assert said in message
    assert "--cases" in message


def test_masks_alone_are_found(tmp_path):
    write(tmp_path, ["BRATS_002.nii.gz", "BRATS_001.nii.gz", "x_seg.nii", "x_t1.nii"])
    with open_source(tmp_path) as source:
        result = mask_files(source)
    assert result.layout == "masks only"
    assert [(one.id, one.label, one.scheme, one.images) for one in result.cases] == [
        ("BRATS_001", "BRATS_001.nii.gz", "msd", ()),
        ("BRATS_002", "BRATS_002.nii.gz", "msd", ()),
        ("x", "x_seg.nii", None, ()),
    ]


def test_masks_of_a_described_set_have_its_scheme(tmp_path):
    write(tmp_path, NNUNET_FILES, NNUNET)
    with open_source(tmp_path) as source:
        assert [(one.id, one.scheme) for one in mask_files(source).cases] == [("x", "msd")]


def test_masks_of_the_same_name_are_refused(tmp_path):
    write(tmp_path, ["a/x.nii", "b/x.nii"])
    message = f"{tmp_path}/b/x.nii: is a second mask of x; the first is a/x.nii"
    assert refusal(tmp_path, mask_files) == message


def test_masks_that_are_not_there_are_said(tmp_path):
    assert "holds no case" in refusal(tmp_path, mask_files)


def test_channel_that_is_a_mask_is_no_modality():
    assert (modality("T1/T2 mask"), modality("CT"), modality("T1 post")) == (None, None, "t1gd")


def test_tissue_without_meaning_has_none():
    assert (tissue("fat"), region("tumour")) == (None, None)


def test_listed_images_that_are_missing_are_noted_where_others_are_there(tmp_path):
    pairs = [(f"imagesTr/BRATS_{i:03d}.nii.gz", f"labelsTr/BRATS_{i:03d}.nii.gz") for i in range(9)]
    training = [{"image": f"./{image}", "label": f".\\{label}"} for image, label in pairs]
    write(tmp_path, [*pairs[0], *pairs[5]], TASK01 | {"training": training, "test": []})
    result = found(tmp_path)
    assert [one.id for one in result.cases] == ["BRATS_000", "BRATS_005"]
    assert all(one.label for one in result.cases)
    assert "7 of 9 listed training images are missing" in result.notes[0]


def nnunet_files(folder, ids, labels="labelsTr"):
    images = [f"{folder}/{name}_{i:04d}.nii.gz" for name in ids for i in range(4)]
    return images + [f"{labels}/{name}.nii.gz" for name in ids]


def test_nnunet_list_decides_cases_and_labels(tmp_path):
    names = nnunet_files("imagesTr", ("a", "b", "c")) + [f"other/{n}.nii.gz" for n in "abc"]
    training = [
        {"image": f"imagesTr\\{name}.nii.gz", "label": f"other\\{name}.nii.gz"} for name in "abz"
    ]
    write(tmp_path, names, NNUNET | {"training": training})
    result = found(tmp_path)
    assert [(one.id, one.label) for one in result.cases] == [
        ("a", "other/a.nii.gz"),
        ("b", "other/b.nii.gz"),
    ]
    assert "1 of 3 listed training images are missing, such as z" in result.notes[0]
    assert "1 images are not listed and not taken, such as c" in result.notes[1]


def test_nnunet_dataset_key_is_followed(tmp_path):
    images = [f"scans/q_{i}.nii.gz" for i in range(4)]
    entry = {"images": [f"/home/me/set/{name}" for name in images], "label": "truth/q.nii.gz"}
    listed = {"q": entry, "r": {"images": ["scans/r_0.nii.gz"], "label": "truth/r.nii.gz"}}
    write(tmp_path, [*images, "truth/q.nii.gz"], NNUNET | {"dataset": listed})
    result = found(tmp_path)
    (one,) = result.cases
    assert (one.id, one.label) == ("q", "truth/q.nii.gz")
    assert [channel.member for channel in one.images] == [images[i] for i in (3, 0, 1, 2)]
    assert "1 of 2 listed training images are missing, such as r" in result.notes[0]


def test_nnunet_dataset_key_of_another_set_is_refused(tmp_path):
    listed = {"r": {"images": ["scans/r_0.nii.gz"], "label": "truth/r.nii.gz"}}
    write(tmp_path, ["x.nii"], NNUNET | {"dataset": listed})
    assert "none of its 1 listed cases is there" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["nnunet", "decathlon"])
def test_labels_of_the_test_set_are_for_scores_alone(tmp_path, kind):
    if kind == "nnunet":
        write(tmp_path, nnunet_files("imagesTs", ("y",), "labelsTs"), NNUNET)
    else:
        bare = {key: TASK01[key] for key in ("modality", "labels")}
        write(tmp_path, ["imagesTs/y.nii.gz", "labelsTs/y.nii.gz"], bare)
    assert only(tmp_path, unlabelled=True).label is None
    assert only(tmp_path, unlabelled=True, test_labels=True).label == "labelsTs/y.nii.gz"


@pytest.mark.parametrize(
    "name",
    [
        "{}_t1_bet_mask",
        "{}_ventricles_mask",
        "{}_brain_mask",
        "{}_unet_pred_seg",
        "{}_seg_pred",
        "{}_hd-bet_mask",
        "{}_nnunet_segmentation",
        "{}_t1_mask",
        "auto_seg",
    ],
)
def test_stray_mask_is_no_label_and_is_named(tmp_path, name):
    key = "BraTS20_Training_001"
    stray = f"{key}/{name.format(key)}.nii.gz"
    write(tmp_path, [*case(key, key, CLASSIC[:4]), stray])
    message = refusal(tmp_path)
    assert "mask is missing" in message
    assert f"if one of {stray.rpartition('/')[2]} is the mask" in message
    assert "--label-name PATTERN" in message
    (ignored,) = found(tmp_path, unlabelled=True).mapping.ignored
    assert ignored.example == stray


def test_stray_mask_beside_the_label_changes_nothing(tmp_path):
    write(tmp_path, [*case("p1", "p1"), "p1/p1_brain_mask.nii.gz", "p1/p1_wm_seg.nii.gz"])
    result = found(tmp_path)
    assert result.cases[0].label == "p1/p1_seg.nii.gz"
    assert len(result.mapping.ignored) == 2


@pytest.mark.parametrize(
    "label",
    ["p1_tumorMask", "p1_tumor_segmentation", "p1_segmentations", "p1_GlistrBoost"],
)
def test_labels_of_known_releases_are_taken(tmp_path, label):
    images = [f"p1/p1_brain_{role}.nii.gz" for role in CLASSIC[:4]]
    write(tmp_path, [*images, f"p1/{label}.nii.gz"])
    assert only(tmp_path).label == f"p1/{label}.nii.gz"


@pytest.mark.parametrize("pattern", ["*_tumor.nii.gz", "p*/p?_tumor.nii.gz"])
def test_label_name_decides(tmp_path, pattern):
    for key in ("p1", "p2"):
        write(tmp_path, [*case(key, key, (*CLASSIC[:4], "tumor")), f"{key}/{key}_seg.nii.gz"])
    result = found(tmp_path, label_name=pattern)
    assert [one.label for one in result.cases] == [f"p{n}/p{n}_tumor.nii.gz" for n in (1, 2)]
    assert result.mapping.ignored[0].count == 2


def test_label_name_finds_the_case_in_a_flat_folder(tmp_path):
    write(tmp_path, case("", "p1", (*CLASSIC[:4], "roi")) + case("", "p11", (*CLASSIC[:4], "roi")))
    result = found(tmp_path, label_name="*_roi.nii.gz")
    assert [one.label for one in result.cases] == ["p1_roi.nii.gz", "p11_roi.nii.gz"]


def test_label_name_gives_no_mask_to_a_case_whose_id_only_begins_alike(tmp_path):
    write(tmp_path, [*case("", "p1", CLASSIC[:4]), *case("", "p2", CLASSIC[:4])])
    write(tmp_path, ["p11_roi.nii.gz", "p2_roi.nii.gz"])
    result = found(tmp_path, label_name="*_roi.nii.gz", unlabelled=True)
    assert [one.label for one in result.cases] == [None, "p2_roi.nii.gz"]


@pytest.mark.parametrize("name", ["p1_FLAIR_to_T1", "p1_t1_t2", "seg_t1"])
def test_two_modalities_in_one_name_stop(tmp_path, name):
    write(tmp_path, [*case("p1", "p1"), f"p1/{name}.nii.gz"])
    message = refusal(tmp_path)
    assert f"p1/{name}.nii.gz: has " in message
    assert "rename the file or move it away" in message


def test_visit_folders_give_id_and_subject(tmp_path):
    for person in ("Patient-001", "Patient-002"):
        for visit in ("week-000", "week-044"):
            write(tmp_path, [f"{person}/{visit}/{role}.nii" for role in CLASSIC])
    cases = found(tmp_path).cases
    assert [(one.id, one.subject) for one in cases][:3] == [
        ("Patient-001_week-000", "Patient-001"),
        ("Patient-001_week-044", "Patient-001"),
        ("Patient-002_week-000", "Patient-002"),
    ]


@pytest.mark.parametrize("visit", ["2015-01-02", "ses-2", "baseline", "timepoint_1", "20150102"])
def test_visit_folders_are_known_by_many_words(tmp_path, visit):
    write(tmp_path, [f"x/me/{visit}/anat/{role}.nii" for role in CLASSIC])
    one = only(tmp_path)
    assert (one.id, one.subject) == (f"me_{visit}", "me")


def test_files_of_other_kinds_are_named(tmp_path):
    others = ["p2/p2_flair.mgz", "p2/p2_t1.mgz", "p3/t1.hdr", "p3/t1.img"]
    write(tmp_path, [*case("p1", "p1"), *others])
    lines = "\n".join(found(tmp_path).mapping.lines())
    assert "2 files, such as p2/p2_flair.mgz: .mgz is not read" in lines
    assert "p3/t1.hdr: .hdr is not read" in lines
    write(tmp_path / "packed", ["part-001.7z", "part-002.7z"])
    assert "2 files, such as part-001.7z: .7z is not read here; unpack it" in refusal(
        tmp_path / "packed"
    )


def test_real_cases_are_recognised(real):
    ids = {
        "Task01_BrainTumour": ("msd", ["BRATS_026", "BRATS_295"]),
        "BraTS2018": ("brats2017", ["Brats18_2013_24_1"]),
        "BraTS2020": ("brats2017", ["BraTS20_Training_001"]),
    }
    for folder, (scheme, expected) in ids.items():
        cases = found(real / folder).cases
        assert [one.id for one in cases] == expected
        assert {one.scheme for one in cases} == {scheme}


def test_real_cases_are_recognised_through_links(real, tmp_path):
    for folder in ("Task01_BrainTumour", "BraTS2018", "BraTS2020"):
        (tmp_path / folder).symlink_to(real / folder)
    assert len(found(tmp_path).cases) == 4


def test_real_masks_alone_are_found(real):
    with open_source(real / "msd_task01_all_labels") as source:
        cases = mask_files(source).cases
    assert len(cases) == 484
    assert {one.scheme for one in cases} == {"msd"}


def test_layout_is_added_by_one_record(tmp_path, monkeypatch):
    toy = Layout(
        title="Toy release",
        release="toy",
        pattern="toy names",
        matches=lambda case: case.startswith("TOY"),
        scheme="brats2023",
    )
    monkeypatch.setitem(LAYOUTS, "toy", toy)
    write(tmp_path, case("TOY7", "TOY7"))
    result = found(tmp_path)
    assert (result.layout, result.cases[0].release) == ("Toy release", "toy")
    assert result.cases[0].scheme == "brats2023"
    (tmp_path / "empty").mkdir()
    assert "toy names" in refusal(tmp_path / "empty")


def test_described_layout_is_added_by_one_record(tmp_path, monkeypatch):
    def cases(_, manifest):
        draft = Draft("only", manifest.root)
        for role, member in zip((*USUAL_MODALITIES, LABEL), NNUNET_FILES, strict=True):
            draft.add(role, member)
        return Batch([draft])

    toy = Layout(title="Toy", release="toy", pattern="toy", reads=lambda _: True, cases=cases)
    monkeypatch.delitem(LAYOUTS, "nnunet")
    monkeypatch.setitem(LAYOUTS, "toy", toy)
    write(tmp_path, NNUNET_FILES, NNUNET)
    assert (only(tmp_path).id, only(tmp_path).release) == ("only", "toy")
