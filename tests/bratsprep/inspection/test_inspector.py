import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.config import USUAL_MODALITIES
from bratsprep.errors import LabelError, LayoutError, NiftiError, SchemaError, SourceError
from bratsprep.inspection.class_balance import (
    CaseCount,
    aligned,
    class_counts,
    class_table,
    count_case,
    imbalance,
    modality_counts,
    odd_cases,
    spreads,
)
from bratsprep.inspection.inspector import inspect
from bratsprep.inspection.results import Inspection
from tests.helpers import brain_masks
from tests.helpers.class_sets import GLIOMA

SHAPE = (8, 9, 6)
"""(x, y, z)."""
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
"""LPS, 2 mm planes: a voxel is 2 mm3."""
NAMES = ("flair", "t1", "t1ce", "t2")
IDS = ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003")


def label_of(case):
    """BraTS 2020 label (1, 2, 4); the second has no ET, the third no tumour."""
    label = np.zeros(SHAPE, np.uint8)
    if case != IDS[2]:
        label[2:6, 2:7, 1:4] = 2
        label[3, 3:6, 2] = 1
    if case == IDS[0]:
        label[4, 3:5, 2:4] = 4
    return label


def images_of(case):
    """Four int16 volumes with a brain of 6 x 7 x 4 voxels."""
    images = np.zeros((4, *SHAPE), np.int16)
    generator = np.random.default_rng(sum(case.encode()))
    images[:, 1:7, 1:8, 1:5] = generator.integers(5, 500, (4, 6, 7, 4))
    return images


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for case in IDS:
        for name, image in zip(NAMES, images_of(case), strict=True):
            write(folder / case / f"{case}_{name}.nii.gz", image)
        write(folder / case / f"{case}_seg.nii.gz", label_of(case))
    return folder


@pytest.fixture(scope="module")
def out(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("out") / "out.h5"
    bratsprep.build(raw, path, workers=1, crop="8x4")
    return path


def counted(label, values=(0, 1, 2, 4)):
    """Voxels and planes of each class, and planes with tumour, by NumPy from (x, y, z)."""
    voxels = [int((label == value).sum()) for value in values]
    planes = [int((label == value).any(axis=(0, 1)).sum()) for value in values]
    return voxels, planes, int((label > 0).any(axis=(0, 1)).sum())


def same_rows(inspection, labels):
    """Whether each case was counted as NumPy counts it."""
    for row, (case, label) in zip(inspection.rows, sorted(labels.items()), strict=True):
        found = list(row.voxels), list(row.class_planes), row.tumour_planes
        assert (row.id, *found) == (case, *label)
    return True


def one(**changes):
    """A case with little in it."""
    row = CaseCount("A", "A", True, 4, (90, 0, 10, 0), (4, 0, 2, 0), 2, 40, 1.0)
    return replace(row, **changes)


@pytest.mark.parametrize("images", [False, True])
def test_inspect_counts_raw_cases(raw, images):
    labels = {case: counted(label_of(case)) for case in IDS}
    assert same_rows(inspect(raw, images=images, workers=2), labels)


def test_inspect_counts_a_slice_file_as_its_raw_cases(raw, out):
    assert inspect(out).classes == inspect(raw).classes


def test_inspect_counts_an_archive_as_its_folder(raw, tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for path in raw.rglob("*.nii.gz"):
            archive.write(path, path.relative_to(raw))
    assert inspect(tmp_path / "raw.zip").rows == inspect(raw).rows


def test_inspect_counts_masks_alone(tmp_path):
    raw_values = {0: 0, 1: 2, 2: 1, 4: 3}
    for n, case in enumerate(IDS, 1):
        label = label_of(case)
        msd = np.vectorize(raw_values.get)(label).astype([np.uint8, np.int16, np.float32][n - 1])
        write(tmp_path / f"BRATS_00{n}.nii.gz", msd, np.eye(4))
    found = inspect(tmp_path, workers=1)
    labels = {f"BRATS_00{n}": counted(label_of(case)) for n, case in enumerate(IDS, 1)}
    assert same_rows(found, labels)
    assert (found.kind, found.schemes) == ("masks only", ("msd",))


def test_inspect_counts_axial_planes_of_a_sagittal_file(tmp_path):
    label = label_of(IDS[0])
    affine = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    write(tmp_path / f"{IDS[0]}_seg.nii.gz", label.transpose(1, 2, 0), affine)
    assert same_rows(inspect(tmp_path, workers=1), {IDS[0]: counted(label)})


def test_inspect_counts_the_real_masks(real, tmp_path):
    paths = sorted((real / "msd_task01_all_labels").glob("*.nii.gz"))[20:200:18]
    labels = {}
    for path in paths:
        (tmp_path / path.name).symlink_to(path)
        label = np.rint(nib.load(path).get_fdata()).astype(np.uint8)
        labels[path.name.split(".")[0]] = counted(label, (0, 2, 1, 3))
    assert len(labels) == 10
    assert same_rows(inspect(tmp_path, workers=2), labels)


def test_inspect_totals_are_worked_out(raw):
    totals = inspect(raw, workers=1).totals()
    assert totals == {"cases": 3, "subjects": 3, "planes": 18, "slices": 6}


def test_inspect_measures_the_brain_when_asked(raw):
    found = modality_counts(inspect(raw, images=True, workers=1).rows, USUAL_MODALITIES)
    brains = [images_of(case)[:, 1:7, 1:8, 1:5].reshape(4, -1).astype(float) for case in IDS]
    means = np.array([brain.mean(axis=1) for brain in brains])
    stds = np.array([brain.std(axis=1) for brain in brains])
    for m, count in enumerate(found):
        assert count.mean == pytest.approx(means[:, m].mean(), rel=1e-12)
        assert count.mean_between == pytest.approx(means[:, m].std(), rel=1e-9)
        assert count.std == pytest.approx(stds[:, m].mean(), rel=1e-12)
        assert count.std_between == pytest.approx(stds[:, m].std(), rel=1e-9)


def test_inspect_takes_moments_of_a_slice_file_from_its_tables(raw, out):
    tables = modality_counts(inspect(out).rows, USUAL_MODALITIES)
    assert tables == modality_counts(inspect(raw, images=True, workers=1).rows, USUAL_MODALITIES)


def test_inspect_reads_no_image_unless_asked(raw):
    assert modality_counts(inspect(raw, workers=1).rows, USUAL_MODALITIES) == ()


def test_inspect_says_what_a_slice_file_keeps(raw, out):
    kept = inspect(out).stored
    turned = [label_of(case)[2:6].transpose(2, 1, 0) for case in IDS[:2]]  # 4 columns of 1 to 7
    stored = np.concatenate([label[label.any(axis=(1, 2))][:, 1:] for label in turned])
    assert (kept.slices, kept.height, kept.width) == (6, 8, 4)
    assert kept.voxels == tuple(int((stored == value).sum()) for value in (0, 1, 2, 4))
    assert kept.plain_bytes == 6 * 8 * 4 * (4 * 2 + 1)
    assert kept.source_bytes == sum(path.stat().st_size for path in raw.rglob("*.nii.gz"))


def test_inspect_says_what_the_crop_lost(raw, tmp_path):
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, crop="8x2")
    found = inspect(tmp_path / "out.h5")
    inside = label_of(IDS[0])[3:5], label_of(IDS[1])[3:5]
    whole = label_of(IDS[0]), label_of(IDS[1])
    lost = [sum(int((a == v).sum()) for a in whole) - sum(int((a == v).sum()) for a in inside)
            for v in (1, 2, 4)]  # fmt: skip
    assert found.stored.lost == (3 * 4 * 7 * 4, *lost)
    odd = {kind.what: kind.ids for kind in odd_cases(found.rows, GLIOMA, USUAL_MODALITIES)}
    assert odd["tumour outside the crop"] == IDS[:2]


def test_inspect_counts_unlabelled_cases_apart(raw, tmp_path):
    for path in raw.rglob("*.nii.gz"):
        if "_seg" not in path.name or IDS[0] in path.name:
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).symlink_to(path)
    found = inspect(tmp_path, workers=1)
    assert found.totals() == {"cases": 3, "subjects": 3, "planes": 18, "slices": 3}
    assert found.classes[0].voxels == counted(label_of(IDS[0]))[0][0]
    assert odd_cases(found.rows, GLIOMA, USUAL_MODALITIES)[0].ids == IDS[1:]


def test_inspect_without_any_label_shows_no_classes(raw, tmp_path):
    for path in (raw / IDS[0]).glob("*_[ft]*.nii.gz"):
        (tmp_path / IDS[0]).mkdir(exist_ok=True)
        (tmp_path / IDS[0] / path.name).symlink_to(path)
    lines = inspect(tmp_path, workers=1).lines()
    start = lines.index("")
    end = lines.index("", start + 1)
    assert lines[1:start] + lines[end:] == [
        "cases   1 of 1 subjects",
        "planes  6; how many hold tumour is unknown without labels",
        f"size    {sum(p.stat().st_size for p in tmp_path.rglob('*.gz')) / 1e6:,.1f} MB",
        "",
        f"unlabelled (1): {IDS[0]}",
    ]


def test_json_gives_no_number_that_only_a_label_could_tell(raw, tmp_path):
    for path in (raw / IDS[0]).glob("*_[ft]*.nii.gz"):
        (tmp_path / IDS[0]).mkdir(exist_ok=True)
        (tmp_path / IDS[0] / path.name).symlink_to(path)
    found = inspect(tmp_path, workers=1).to_json()
    assert (found["cases"], found["planes"], found["slices"]) == (1, 6, None)
    assert found["classes"] == found["spread"] == []
    assert found["imbalance"] is None
    row = found["rows"][0]
    assert [row[name] for name in ("voxels", "class_planes", "tumour_planes")] == [None] * 3


def test_json_of_a_slice_file_without_labels_counts_lost_brain_alone(out):
    found = replace(inspect(out), rows=(replace(UNLABELLED, lost=(7, 0, 0, 0)),)).to_json()
    assert found["rows"][0]["lost"] == [7, None, None, None]
    assert found["stored"]["voxels"] is None
    assert found["stored"]["lost"][1:] == [None] * 3
    assert found["stored"]["slices"] > 0


UNLABELLED = CaseCount("B", "B", False, 5, (0, 0, 0, 0), (0, 0, 0, 0), 0, 0, 1.0)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ((one(), one(id="C")), "planes  8, of them 4 with tumour"),
        ((one(), UNLABELLED), "planes  9; of the 4 planes of labelled cases, 2 with tumour"),
        ((UNLABELLED,), "planes  5; how many hold tumour is unknown without labels"),
    ],
    ids=["all labelled", "mixed", "none labelled"],
)
def test_planes_with_tumour_are_counted_in_labelled_cases_alone(rows, text):
    found = Inspection(Path("raw"), "masks only", (), rows, 9, class_set=GLIOMA, modalities=())
    assert text in found.lines()


def test_lost_tumour_voxels_are_not_given_without_labels(out):
    found = inspect(out)
    text = f"lost    brain {found.stored.lost[0]:,}"
    assert f"{text} voxels" in replace(found, rows=(UNLABELLED,)).lines()
    assert f"{text} voxels" not in found.lines()


def test_inspect_takes_the_scheme_it_is_told(tmp_path):
    label = label_of(IDS[0])
    label[label == 4] = 3
    write(tmp_path / "one.nii.gz", label)
    assert inspect(tmp_path, labels="msd", workers=1).classes[2].voxels == (label == 1).sum()


@pytest.fixture
def faulty(raw, tmp_path):
    """The cases, one without a modality and one with a label value of no scheme."""
    copy = shutil.copytree(raw, tmp_path / "faulty")
    (copy / IDS[0] / f"{IDS[0]}_t2.nii.gz").unlink()
    write(copy / IDS[1] / f"{IDS[1]}_seg.nii.gz", np.full(SHAPE, 77, np.uint8))
    return copy


def test_faulty_cases_stop_by_default_and_are_set_aside_on_request(faulty):
    with pytest.raises(LayoutError, match=f"{IDS[0]}: t2w is missing"):
        inspect(faulty, workers=1)
    found = inspect(faulty, workers=1, on_error="skip")
    assert [row.id for row in found.rows] == [IDS[2]]
    assert [case.id for case in found.skipped] == [IDS[0], IDS[1]]
    assert "label values [77]" in found.skipped[1].reason
    assert "skipped  2 cases:" in found.lines()
    assert found.to_json()["skipped"][0]["id"] == IDS[0]
    assert sum(found.geometries.sizes.values()) == 1


def test_page_lists_faulty_cases(faulty, tmp_path):
    out = tmp_path / "page.html"
    bratsprep.inspect_page(faulty, out, workers=1, on_error="skip")
    text = out.read_text()
    assert "2 cases set aside" in text
    assert f"{IDS[0]}: t2w is missing" in text


def test_command_exits_with_1_where_cases_were_set_aside(faulty):
    result = CliRunner().invoke(main, ["inspect", str(faulty), "--on-error", "skip"])
    assert result.exit_code == 1
    assert f"  {IDS[0]}: " in result.output
    stopped = CliRunner().invoke(main, ["inspect", str(faulty)])
    assert stopped.exit_code == 1
    assert "use --on-error skip" in stopped.stderr


@pytest.mark.parametrize("setting", [{"label_name": "*_seg.nii.gz"}, {"same_grid": True}])
def test_settings_of_labels_are_refused_for_a_slice_file(out, setting):
    with pytest.raises(ValueError, match=r"has no effect on .*a slice file stores classes"):
        inspect(out, **setting)


def test_inspect_gives_json_that_json_takes(out):
    found = json.loads(json.dumps(inspect(out).to_json(), allow_nan=False))
    assert found["imbalance"] == {
        "largest": "ED",
        "smallest": "ET",
        "ratio": found["classes"][2]["voxels"] / 4,
    }
    assert found["path"] == str(out)
    assert found["rows"][0]["voxels"] == counted(label_of(IDS[0]))[0]
    assert found["odd"]["no tumour"] == [IDS[2]]


def test_inspect_lines_show_a_slice_file(out):
    lines = inspect(out).lines()
    assert lines[0] == f"{out}: slice file, labels brats2017"
    assert "stored  6 slices of 8 x 4" in lines
    starts = [line.split()[0] for line in lines if line]
    assert starts[7:12] == ["class", "background", "NCR", "ED", "ET"]
    assert f"no ET (2): {IDS[1]}, {IDS[2]}" in lines
    assert "t2w" in starts


def test_inspect_lines_end_with_the_tables_where_no_case_is_odd(out):
    rows = (one(voxels=(90, 60, 70, 80)),)
    assert replace(inspect(out), rows=rows).lines()[-1].startswith("tumour planes")


def test_inspect_lines_list_ten_odd_cases_and_count_the_others(out):
    rows = tuple(one(id=f"C{n:02}") for n in range(14))
    text = "\n".join(replace(inspect(out), rows=rows, stored=None).lines())
    assert "no ET (14): C00, C01, C02, C03, C04, C05, C06, C07, C08, C09 and 4 more" in text


@pytest.mark.parametrize(
    ("write_", "error", "message"),
    [
        (lambda path: None, LayoutError, "holds no case"),
        (lambda path: write(path / "BRATS_001.nii.gz", np.full(SHAPE, 7, np.uint8)), LabelError,
         r"label values \[7\] are outside scheme msd"),
        (lambda path: write(path / "BRATS_001.nii.gz", np.zeros((*SHAPE, 2), np.uint8)),
         NiftiError, "BRATS_001.nii.gz: shape is .*; a label file is"),
        (lambda path: [write(path / f"{IDS[0]}_{name}.nii.gz", np.zeros(SHAPE))
                       for name in ("flair", "t1", "t2", "seg")], LayoutError, "t1gd is missing"),
    ],
    ids=["empty", "value", "4d", "images"],
)  # fmt: skip
def test_inspect_refuses(tmp_path, write_, error, message):
    write_(tmp_path)
    with pytest.raises(error, match=message):
        inspect(tmp_path, workers=1)


def test_inspect_refuses_what_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        inspect(tmp_path / "raw")


def test_inspect_refuses_a_file_that_is_no_slice_file(tmp_path):
    (tmp_path / "out.h5").write_bytes(b"nothing")
    with pytest.raises(SchemaError, match="cannot be read as HDF5"):
        inspect(tmp_path / "out.h5")


def test_inspect_refuses_fewer_than_no_workers(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 0, got -1"):
        inspect(tmp_path, workers=-1)


def test_count_case_counts_planes_by_hand():
    planes = np.array([[9, 0, 0, 0], [5, 1, 3, 0], [6, 0, 0, 3]], np.int32)
    assert count_case(("B", "b"), planes, True, 0.5) == CaseCount(
        "B", "b", True, 3, (20, 1, 3, 3), (3, 1, 1, 1), 2, 11, 0.5
    )


def test_count_case_counts_nothing_without_a_label():
    row = count_case(("B", "b"), np.array([[9, 0, 0, 0]]), False, 1.0)
    assert (row.planes, row.voxels, row.tumour_planes) == (1, (0, 0, 0, 0), 0)


def test_tumour_volume_is_in_millilitres():
    assert one(voxels=(0, 100, 200, 200), voxel_mm3=8.0).tumour_ml == 4.0


def test_class_counts_are_worked_out_by_hand():
    rows = [one(), one(voxels=(80, 5, 10, 5), class_planes=(4, 1, 2, 1)), one(labelled=False)]
    found = {count.name: count for count in class_counts(rows, GLIOMA)}
    assert found["background"].share == 170 / 200
    assert found["background"].tumour_plane_share == 80 / 110
    assert found["ED"].tumour_share == 20 / 30
    assert found["ED"].background_ratio == 170 / 20
    assert (found["ED"].planes, found["ED"].cases) == (4, 2)
    assert (found["ET"].planes, found["ET"].cases) == (1, 1)


def test_class_counts_of_nothing_are_zero():
    assert [count.share for count in class_counts([], GLIOMA)] == [0.0] * 4
    assert class_counts([], GLIOMA)[1].background_ratio is None


def test_imbalance_names_both_classes():
    rows = [one(voxels=(80, 5, 10, 40))]
    assert imbalance(class_counts(rows, GLIOMA)) == ("ET", "NCR", 8.0)


def test_imbalance_of_an_absent_class_has_no_ratio():
    large, _, ratio = imbalance(class_counts([one()], GLIOMA))
    assert (large, ratio) == ("ED", None)


def test_class_table_says_that_a_class_is_absent():
    assert class_table(class_counts([one()], GLIOMA), ())[-1] == (
        "largest to smallest class, ED to NCR: there is no NCR"
    )


def test_spreads_are_quartiles():
    rows = [one(voxels=(0, 0, n, 0), tumour_planes=n) for n in (0, 10, 20, 30, 100)]
    found = {spread.name: spread.places for spread in spreads(rows, GLIOMA)}
    assert found["ED voxels"] == found["tumour planes"] == (0, 10, 20, 30, 100)
    assert found["ET voxels"] == (0, 0, 0, 0, 0)


def test_spreads_without_a_label_are_none():
    assert spreads([one(labelled=False)], GLIOMA) == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"voxels": (9, 0, 0, 0)}, {"no tumour", "no NCR", "no ED", "no ET"}),
        ({"voxels": (9, 49, 50, 1)}, {"fewer than 50 voxels of NCR", "fewer than 50 voxels of ET"}),
        ({"voxels": (9, 50, 50, 50)}, set()),
        ({"voxels": (9, 50, 50, 50), "lost": (7, 0, 0, 0)}, set()),
        ({"voxels": (9, 50, 50, 50), "lost": (0, 0, 1, 0)}, {"tumour outside the crop"}),
        ({"voxels": (0, 0, 0, 0), "labelled": False}, {"unlabelled"}),
    ],
    ids=["none", "few", "even", "brain lost", "tumour lost", "unlabelled"],
)
def test_odd_cases_are_named(changes, what):
    assert {odd.what for odd in odd_cases([one(**changes)], GLIOMA, USUAL_MODALITIES)} == what


def test_aligned_puts_numbers_to_the_right():
    assert aligned([["a", "1"], ["bcd", "20"]]) == ["a     1", "bcd  20"]


def test_case_far_brighter_than_the_others_is_named():
    planes = np.array([[5, 60, 60, 60]])
    rows = [
        replace(
            count_case((name, name), planes, True, 1.0),
            mean=(mean, 5, 5, 5),
            std=(1,) * 4,
            present=(True,) * 4,
        )
        for name, mean in [*((f"C{i}", 100.0 + i) for i in range(9)), ("far", 4180.0)]
    ]
    found = {odd.what: odd.ids for odd in odd_cases(rows, GLIOMA, USUAL_MODALITIES)}
    assert found == {"flair is 40 times as bright as in the median case": ("far",)}


def test_images_of_a_slice_file_are_described_as_by_build(tmp_path):
    """Coverage, tumour outside the brain and thick slices, of raw data and of the file."""
    raw = brain_masks.stripped(tmp_path / "raw")
    case = brain_masks.cases_of(raw)[0]
    brain, affine = brain_masks.brain_of(case)
    kept = np.cumsum(brain.sum(axis=(1, 2))) > 0.25 * brain.sum()
    flair = brain_masks.images_of(case)[0]
    brain_masks.write(flair, brain_masks.read(flair)[0] * kept[:, None, None], affine)
    label = case / f"{case.name}_seg.nii.gz"
    voxels, affine = brain_masks.read(label)
    voxels = voxels.copy()
    voxels[0, 0, 12] = 2
    brain_masks.write(label, voxels, affine)
    out = tmp_path / "a.h5"
    built = bratsprep.build(raw, out, crop="32x32", slices="all", workers=1, repeats="off")
    assert list(built.unusual) == [case.name]
    assert {note.split(" ")[0] for note in built.unusual[case.name]} == {"flair", "1"}
    rows = {path: inspect(path, images=True, workers=1).rows for path in (raw, out)}
    assert [row.unusual for row in rows[raw]] == [built.unusual[case.name], ()]
    assert ["outside the brain" in row.unusual[-1] for row in rows[out][:1]] == [True]
    assert rows[out][0].unusual[0].startswith("flair covers only")
    assert all(row.unusual == () for row in inspect(out, workers=1).rows)


def test_thick_slices_and_full_volumes_of_a_slice_file_are_named(tmp_path):
    raw = brain_masks.stripped(tmp_path / "raw", cases=1)
    for path in raw.rglob("*.nii.gz"):
        voxels, affine = brain_masks.read(path)
        is_image = not path.name.endswith("_seg.nii.gz")
        full = np.where(voxels == 0, 100, voxels) if is_image else voxels
        brain_masks.write(path, full.astype(np.int16), affine @ np.diag([1, 1, 5, 1]))
    out = tmp_path / "a.h5"
    bratsprep.build(raw, out, crop="32x32", background="any", workers=1, repeats="off")
    notes = ("100 % of the volume is brain", "slices of 5 mm, pixels of 1 mm")
    assert [row.unusual for row in inspect(out, workers=1).rows] == [notes]
    by_images = inspect(raw, images=True, background="any", workers=1)
    assert [row.unusual for row in by_images.rows] == [notes]
