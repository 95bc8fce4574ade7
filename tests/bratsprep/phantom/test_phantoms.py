"""Phantoms: plausible, repeatable, and named as each release names its files."""

import fcntl
import gzip
import hashlib
import json
import os
import tarfile
import zipfile

import nibabel
import numpy as np
import pytest

import bratsprep
from bratsprep.config import USUAL_MODALITIES, PhantomConfig
from bratsprep.errors import BuildError
from bratsprep.labels import scheme, shipped
from bratsprep.phantom.file_formats import nifti_bytes
from bratsprep.phantom.layouts import LAYOUTS
from bratsprep.phantom.phantoms import phantom_case, phantoms
from bratsprep.phantom.tissue_labels import raw_label

SMALL = (12, 10, 8)
HEAD = (64, 64, 48)


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def digest(folder):
    total = hashlib.sha256()
    for name in files(folder):
        total.update(name.encode() + (folder / name).read_bytes())
    return total.hexdigest()


def voxels(path):
    return np.asanyarray(nibabel.load(path).dataobj)


def ras(path):
    return np.asanyarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)


@pytest.fixture(scope="module")
def heads():
    return [phantom_case(HEAD, seed=3, index=i) for i in range(24)]


def median(case, modality, klass):
    return np.median(case.images[modality][case.label == klass])


def test_brain_fills_the_share_of_a_real_scan(heads):
    shares = [(case.images != 0).any(axis=0).mean() for case in heads]
    assert min(shares) > 0.13
    assert max(shares) < 0.19
    assert 0.15 < np.median(shares) < 0.18


def test_brain_box_is_no_larger_than_a_real_one(heads):
    for case in heads:
        brain = (case.images != 0).any(axis=(0, 1))
        y, x = (np.flatnonzero(brain.any(axis=axis)) for axis in (1, 0))
        assert (y[-1] - y[0] - 1) * 240 / 64 <= 182
        assert (x[-1] - x[0] - 1) * 240 / 64 <= 149


def test_label_lies_in_the_brain(heads):
    for case in heads:
        assert case.label.any()
        assert not case.label[(case.images == 0).all(axis=0)].any()


def test_rim_shines_on_t1gd_alone(heads):
    for case in (case for case in heads if (case.label == 3).sum() > 60):
        t1gd, t1w = (
            median(case, m, 3) / np.median(case.images[m][case.images[m] > 0]) for m in (2, 1)
        )
        assert t1gd > 1.15
        assert t1w < 1


def test_oedema_is_bright_on_flair_and_t2_and_dark_on_t1(heads):
    ratios = []
    for case in (case for case in heads if (case.label == 2).sum() > 200):
        healthy = (case.images > 0).all(axis=0) & (case.label == 0)
        ratios.append([median(case, m, 2) / np.median(case.images[m][healthy]) for m in range(4)])
    flair, t1w, _, t2w = np.median(ratios, axis=0)
    assert flair > 1.4
    assert t1w < 0.95
    assert t2w > 1.3


def test_some_tumours_lack_the_rim_and_some_are_tiny():
    labels = [phantom_case((40, 40, 28), seed=0, index=i).label for i in range(60)]
    sizes = [np.count_nonzero(label) * 6**2 * 5.5 for label in labels]
    assert 1 <= sum(not (label == 3).any() for label in labels) <= 15
    assert 1 <= sum(size < 6_000 for size in sizes) <= 15
    assert all(size > 0 for size in sizes)


def test_scanners_differ_in_scale(heads):
    scales = [np.median(case.images[0][case.images[0] > 0]) for case in heads]
    assert max(scales) > 2 * min(scales)


def test_same_arguments_give_the_same_voxels():
    first, second = (phantom_case(SMALL, 4, 2) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.label, second.label)


@pytest.mark.parametrize("other", [{"seed": 5}, {"index": 3}, {"visit": 1}], ids=str)
def test_other_arguments_give_other_voxels(other):
    first = phantom_case(SMALL, seed=4, index=2)
    second = phantom_case(SMALL, **{"seed": 4, "index": 2, **other})
    assert (first.images != second.images).any()


def test_second_visit_shows_nearly_the_same_tumour():
    first, second = (phantom_case(HEAD, 1, 0, visit).label > 0 for visit in (0, 1))
    overlap = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert 0.8 < overlap < 1


def test_phantoms_leave_the_global_generator_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  the state that must not change
    phantom_case(SMALL)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002  as above


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (
            "msd",
            ["dataset.json", "imagesTr/BRATS_001.nii.gz", "imagesTr/BRATS_002.nii.gz",
             "imagesTs/BRATS_003.nii.gz", "labelsTr/BRATS_001.nii.gz",
             "labelsTr/BRATS_002.nii.gz"],
        ),
        (
            "nnunet",
            ["dataset.json"]
            + [f"images{part}/BRATS_00{i}_000{m}.nii.gz"
               for part, i in (("Tr", 1), ("Tr", 2), ("Ts", 3)) for m in range(4)]
            + ["labelsTr/BRATS_001.nii.gz", "labelsTr/BRATS_002.nii.gz"],
        ),
        (
            "brats2018",
            [f"HGG/{name}/{name}_{m}.nii.gz"
             for name in ("Brats18_TCIA01_101_1", "Brats18_TCIA02_102_1", "Brats18_TCIA03_103_1")
             for m in ("flair", "seg", "t1", "t1ce", "t2")
             if "103" not in name or m != "seg"],
        ),
        (
            "brats2020",
            [f"BraTS20_{name}/BraTS20_{name}_{m}.nii.gz"
             for name in ("Training_001", "Training_002", "Validation_003")
             for m in ("flair", "seg", "t1", "t1ce", "t2")
             if "V" not in name or m != "seg"],
        ),
        (
            "brats2023",
            [f"BraTS-GLI-0000{i}-000/BraTS-GLI-0000{i}-000-{m}.nii.gz"
             for i in (2, 3, 4) for m in ("seg", "t1c", "t1n", "t2f", "t2w")
             if i != 4 or m != "seg"],
        ),
        (
            "brats2024",
            [f"BraTS-GLI-0200{i}-100/BraTS-GLI-0200{i}-100-{m}.nii.gz"
             for i in (5, 6, 7) for m in ("seg", "t1c", "t1n", "t2f", "t2w")
             if i != 7 or m != "seg"],
        ),
        (
            "plain",
            [f"patient0{i}/patient0{i}_{m}.nii.gz"
             for i in (1, 2, 3) for m in ("FLAIR", "T1ce", "T2W", "mask", "t1")
             if i != 3 or m != "mask"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_layout_names_its_files(tmp_path, layout, expected):
    raw = phantoms(tmp_path / "raw", cases=2, unlabelled=1, layout=layout, shape=SMALL)
    assert files(raw) == sorted(expected)


NIFTI = [name for name, layout in LAYOUTS.items() if "{end}" in layout.label and not layout.packs]


@pytest.mark.parametrize("layout", NIFTI)
def test_layouts_hold_the_same_voxels(tmp_path, layout):
    raw = phantoms(tmp_path / "raw", cases=1, layout=layout, shape=HEAD, seed=8)
    case = phantom_case(HEAD, 8, 0)
    patterns = LAYOUTS[layout]
    usual = patterns.usual()
    parts = {"id": "*", "person": "*", "visit": "*", "grade": "HGG", "end": ".nii.gz"}
    stems = [p.format(images="imagesTr", **parts) for p in patterns.patterns(usual)]
    volumes = [ras(next(raw.glob(stem))) for stem in stems]
    images = (
        volumes[0].transpose(3, 2, 1, 0)
        if volumes[0].ndim == 4
        else np.stack([v.T for v in volumes])
    )
    wanted = case.images[[USUAL_MODALITIES.index(name) for name in usual]]
    np.testing.assert_array_equal(images, wanted)
    label = ras(next(raw.glob(patterns.label.format(**parts)))).T
    written = scheme(patterns.scheme)
    np.testing.assert_array_equal(label, raw_label(case.label, written, operated=False))
    np.testing.assert_array_equal(label > 0, case.label > 0)


@pytest.mark.parametrize("name", shipped())
def test_every_class_of_a_scheme_is_in_the_labels_of_a_phantom(name):
    known = scheme(name)
    label = phantom_case((96, 96, 64), 0, 0).label
    values = {
        int(value)
        for operated in (False, True)
        for value in np.unique(raw_label(label, known, operated=operated))
    }
    assert values == set(known.raw().tolist())


def test_a_cavity_lies_where_the_dead_core_was():
    known = scheme("brats2024")
    label = phantom_case((96, 96, 64), 0, 0).label
    np.testing.assert_array_equal(raw_label(label, known, operated=True) == 4, label == 1)


def test_a_scheme_that_is_unknown_is_refused(tmp_path):
    with pytest.raises(ValueError, match="label scheme 'x' is unknown"):
        phantoms(tmp_path / "raw", cases=1, shape=SMALL, scheme="x")


@pytest.mark.parametrize(("layout", "origin"), [("msd", (0, 0, 0)), ("brats2020", (0, 9, 0))])
def test_geometry_is_the_release_own(tmp_path, layout, origin):
    raw = phantoms(tmp_path / "raw", cases=1, layout=layout, shape=SMALL)
    image = nibabel.load(raw / next(p for p in files(raw) if p.endswith(".gz")))
    assert "".join(nibabel.aff2axcodes(image.affine)) == ("RAS" if layout == "msd" else "LPS")
    assert tuple(image.affine[:3, 3]) == origin
    assert image.shape[:3] == SMALL
    np.testing.assert_array_equal(image.get_qform(), image.get_sform())


def test_written_geometry_is_that_of_real_files(real):
    path = next((real / "BraTS2020").rglob("*_flair.nii.gz"))
    ours = nibabel.Nifti1Image.from_bytes(nifti_bytes(np.zeros((155, 240, 240), np.int16), True))
    np.testing.assert_array_equal(ours.affine, nibabel.load(path).affine)


def test_label_scheme_can_be_chosen(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=1, layout="plain", scheme="brats2015", shape=HEAD)
    stored = phantom_case(HEAD).label
    written = ras(raw / "patient01" / "patient01_mask.nii.gz").T
    assert set(np.unique(written)) == {(0, 1, 2, 4)[k] for k in np.unique(stored)}


def test_float_images_hold_the_same_numbers(tmp_path):
    paths = [
        phantoms(tmp_path / dtype, cases=1, shape=SMALL, dtype=dtype) / "imagesTr/BRATS_001.nii.gz"
        for dtype in ("int16", "float32")
    ]
    assert [nibabel.load(p).get_data_dtype().name for p in paths] == ["int16", "float32"]
    np.testing.assert_array_equal(voxels(paths[0]), voxels(paths[1]))


def test_plain_suffix_leaves_files_unpacked(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=1, layout="brats2020", shape=SMALL, suffix=".nii")
    assert all(name.endswith(".nii") for name in files(raw))
    assert voxels(raw / "BraTS20_Training_001/BraTS20_Training_001_t2.nii").shape == SMALL


def test_decathlon_index_lists_its_files(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=2, unlabelled=1, shape=SMALL)
    index = json.loads((raw / "dataset.json").read_text())
    assert index["modality"] == {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    assert index["labels"]["1"] == "edema"
    listed = [index["test"][0], *(p for entry in index["training"] for p in entry.values())]
    assert sorted(p.removeprefix("./") for p in listed) == files(raw)[1:]


def test_nnunet_index_has_the_names_of_the_scheme(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=1, layout="nnunet", scheme="brats2023", shape=SMALL)
    index = json.loads((raw / "dataset.json").read_text())
    assert index["labels"]["background"] == 0
    assert {index["labels"][name] for _, name in scheme("brats2023").names} == {1, 2, 3}
    assert index["file_ending"] == ".nii.gz"


@pytest.mark.parametrize(("layout", "second"), [("brats2023", "-001"), ("brats2024", "-101")])
def test_every_fourth_case_is_a_second_visit(tmp_path, layout, second):
    raw = phantoms(tmp_path / "raw", cases=8, layout=layout, shape=SMALL)
    names = sorted(path.name for path in raw.iterdir())
    again = [name for name in names if name.endswith(second)]
    assert len(names) == 8
    assert len(again) == 2
    assert all(name[:-3] + second[1] + "00" in names for name in again)


def test_resection_leaves_a_cavity_on_a_second_visit(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=4, layout="brats2024", shape=HEAD)
    values = {p.name[:19]: set(np.unique(voxels(p))) for p in raw.rglob("*-seg.nii.gz")}
    assert [4 in found for _, found in sorted(values.items())].count(True) == 1


def test_lower_grades_have_their_folder(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=8, layout="brats2018", shape=SMALL)
    assert [len(list((raw / grade).iterdir())) for grade in ("HGG", "LGG")] == [6, 2]


def test_repeats_are_earlier_subjects_scanned_again(tmp_path):
    raw = phantoms(tmp_path / "raw", cases=4, repeats=1, shape=HEAD, seed=2)
    first, last = (voxels(raw / f"imagesTr/BRATS_00{i}.nii.gz") for i in (1, 4))
    assert (first != last).any()
    both = [(v != 0).any(axis=-1) for v in (first, last)]
    assert (both[0] == both[1]).mean() > 0.999
    np.testing.assert_array_equal(last.T, phantom_case(HEAD, 2, 0, visit=2).images)


def test_bytes_do_not_depend_on_workers_or_the_day(tmp_path):
    made = [
        phantoms(tmp_path / f"w{n}", cases=5, unlabelled=1, shape=SMALL, workers=n) for n in (1, 4)
    ]
    assert digest(made[0]) == digest(made[1])
    content = (made[0] / "imagesTr/BRATS_001.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)
    assert len(gzip.decompress(content)) == 352 + 2 * 4 * 12 * 10 * 8


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archive_holds_the_folder_and_nothing_of_today(tmp_path, kind):
    folder = phantoms(tmp_path / "raw", cases=1, shape=SMALL)
    expected = {f"raw/{name}": (folder / name).read_bytes() for name in files(folder)}
    made = [phantoms(tmp_path / part / "raw", cases=1, shape=SMALL, archive=kind) for part in "ab"]
    assert made[0] == tmp_path / "a" / f"raw.{kind}"
    assert [path.name for path in made[0].parent.iterdir()] == [f"raw.{kind}"]
    assert made[0].read_bytes() == made[1].read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(made[0]) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
    else:
        with tarfile.open(made[0]) as archive:
            found = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    assert found == expected


def test_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BuildError, match=rf"^{tmp_path}: is not empty; name a folder"):
        phantoms(tmp_path, cases=1, shape=SMALL)
    assert files(tmp_path) == ["mine.txt"]


def test_file_in_the_place_is_refused(tmp_path):
    (tmp_path / "raw").write_text("keep")
    with pytest.raises(BuildError, match="raw: is not empty"):
        phantoms(tmp_path / "raw", cases=1, shape=SMALL)


def test_archive_in_the_place_is_refused(tmp_path):
    (tmp_path / "raw.tar").write_text("keep")
    with pytest.raises(BuildError, match=r"raw\.tar: is there already; remove it"):
        phantoms(tmp_path / "raw", cases=1, shape=SMALL, archive="tar")


def test_empty_folder_is_filled_and_a_cut_off_call_is_cleared(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw.partial").mkdir()
    (tmp_path / "raw.partial" / "left").write_text("over")
    (tmp_path / "raw.partial" / "imagesTr").mkdir()
    raw = phantoms(str(tmp_path / "raw"), cases=1, shape=SMALL)
    assert files(raw)[0] == "dataset.json"
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_folder_that_another_process_writes_is_refused(tmp_path):
    half = tmp_path / "raw.partial"
    half.mkdir()
    (half / "theirs").write_text("keep")
    handle = os.open(half, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(BuildError, match=rf"^{half}: is being written by another process; wait"):
        phantoms(tmp_path / "raw", cases=1, shape=SMALL)
    os.close(handle)
    assert files(tmp_path) == ["raw.partial/theirs"]


def test_folder_that_was_finished_meanwhile_is_refused(tmp_path, monkeypatch):
    """The lock comes free as its holder renames the folder: what is locked is finished."""
    half = tmp_path / "raw.partial"

    def late(handle, how):
        half.rename(tmp_path / "raw")

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BuildError, match="is being written by another process"):
        phantoms(tmp_path / "raw", cases=1, shape=SMALL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "dicom"}, "layout must be one of msd, .*, got 'dicom'"),
        ({"dtype": "int8"}, "dtype must be one of int16, float32"),
        ({"suffix": ".mha"}, "suffix must be one of"),
        ({"archive": "rar"}, "archive must be one of"),
        ({"cases": 0}, "must be at least 1 together, got 0"),
        ({"cases": -1, "unlabelled": 5}, "must be at least 0"),
        ({"repeats": 2}, "repeats must be 0 to half of 3, got 2"),
        ({"shape": (8, 8, 3)}, "shape must be 4 to 32767"),
        ({"shape": (8, 8)}, "shape must be 3 of: a whole number"),
        ({"shape": (8, 8.5, 8)}, "shape must be 3 of: a whole number"),
        ({"shape": (8, 8, 40_000)}, "shape must be 4 to 32767"),
        ({"cases": 1.5}, r"cases must be a whole number, got 1\.5"),
        ({"seed": -1}, "seed must be 0 to .*, got -1"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_config_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        PhantomConfig(**{"cases": 3, **settings})


def test_phantoms_by_no_worker_are_refused(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        phantoms(tmp_path / "raw", cases=1, workers=0)


def test_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"raw: cannot be written: Not a directory"):
        phantoms(tmp_path / "file" / "raw", cases=1, shape=SMALL)


def test_phantoms_is_a_verb_of_the_package():
    assert bratsprep.phantoms is phantoms
