from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

import bratsprep
from bratsprep.config import USUAL_MODALITIES
from bratsprep.drawing.colours import grey_limits, radiological
from bratsprep.errors import BuildError, SchemaError
from bratsprep.inspection.class_balance import CaseCount
from bratsprep.inspection.figures import Page, plot_balance, plot_page
from bratsprep.inspection.inspector import Inspection, inspect
from bratsprep.inspection.previewer import first_case, named_case, preview, spread_rows
from tests.helpers import slicefiles
from tests.helpers.class_sets import GLIOMA

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def out(tmp_path):
    """Cases A to C; A has no tumour, B no ET, C all."""
    label = np.zeros((9, *slicefiles.SHAPE), np.uint8)
    label[4:6, 2, 2] = 2
    label[6:9, 2:4, 2] = 1, 3
    image, _ = slicefiles.pictures(9)
    cases = [("A", "A", [0, 1, 2]), ("B", "B", [1, 3, 4]), ("C", "C", [2, 4, 5])]
    slicefiles.write(tmp_path / "out.h5", cases, pixels=(image, label))
    return tmp_path / "out.h5"


def page(label=None, n_planes=1):
    """Four grey modalities of 40 x 30."""
    image = np.ones((n_planes, 4, 40, 30), np.float32)
    label = np.zeros((n_planes, 40, 30), np.uint8) if label is None else label
    z = tuple(range(n_planes))
    return Page("case", image, label, z, USUAL_MODALITIES, GLIOMA)


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def row(case, voxels, labelled=True):
    planes = tuple(min(count, 3) for count in voxels)
    return CaseCount(case, case, labelled, 5, voxels, planes, 3, 20, 1.0)


def inspected(*rows):
    return Inspection(Path("raw"), "masks only", ("msd",), rows, 9, class_set=GLIOMA, modalities=())


def test_preview_shows_the_first_case_with_et(out, tmp_path):
    shown = preview(out, None, tmp_path / "page.png", planes=2)
    assert shown == ("C", (2, 5))
    assert (tmp_path / "page.png").read_bytes().startswith(PNG)


def test_preview_shows_the_case_asked_for(out, tmp_path):
    assert preview(out, "B", tmp_path / "page.png", planes=9) == ("B", (3, 4))


def test_preview_of_a_case_without_tumour_spreads_over_its_slices(out, tmp_path):
    assert preview(out, "A", tmp_path / "page.png", planes=1) == ("A", (1,))


def test_preview_is_a_verb_of_the_package(out, tmp_path):
    assert bratsprep.preview(out, "A", str(tmp_path / "page.png"))[0] == "A"


def test_preview_refuses_no_planes(out, tmp_path):
    with pytest.raises(ValueError, match="planes must be at least 1, got 0"):
        preview(out, None, tmp_path / "page.png", planes=0)


def test_preview_lists_a_few_cases_for_one_that_is_not_there(tmp_path):
    cases = [(f"C{n}", "S", [0]) for n in range(7)]
    slicefiles.write(tmp_path / "out.h5", cases)
    with pytest.raises(ValueError, match="no case 'X'; it has C0, C1, C2, C3, C4 and 2 more"):
        preview(tmp_path / "out.h5", "X", tmp_path / "page.png")


def test_preview_lists_all_of_few_cases(out):
    with bratsprep.open(out) as file, pytest.raises(ValueError, match=r"it has A, B, C$"):
        named_case(file, "X")


def test_preview_refuses_a_case_without_slices(tmp_path):
    slicefiles.write(tmp_path / "out.h5", [("A", "A", []), ("B", "B", [1])])
    with pytest.raises(ValueError, match="case A has no slice; build with --slices brain"):
        preview(tmp_path / "out.h5", "A", tmp_path / "page.png")


def test_preview_refuses_a_file_without_slices(tmp_path):
    slicefiles.write(tmp_path / "out.h5", [("A", "A", [])])
    with pytest.raises(SchemaError, match=r"out.h5: holds no slice to show"):
        preview(tmp_path / "out.h5", None, tmp_path / "page.png")


def test_preview_says_where_it_cannot_write(out, tmp_path):
    with pytest.raises(BuildError, match=r"page.png: cannot be written: .*; choose another place"):
        preview(out, None, tmp_path / "none" / "page.png")


def test_preview_of_an_unlabelled_case_has_no_columns_of_a_label(out, tmp_path):
    preview(out, "B", tmp_path / "labelled.png")
    with h5py.File(out, "r+") as file:
        file["case/labelled"][:] = 0
    preview(out, "B", tmp_path / "page.png")
    labelled, unlabelled = (imread(tmp_path / name) for name in ("labelled.png", "page.png"))
    assert unlabelled.shape[1] / labelled.shape[1] == pytest.approx(4 / 6, rel=0.01)
    colours = [np.array(to_rgb(colour)) for colour in GLIOMA.colours[1:]]
    legend = unlabelled[-40:, :, :3]
    assert not any((np.abs(legend - colour).max(axis=2) < 0.02).any() for colour in colours)


def test_first_case_without_et_has_other_tumour(tmp_path):
    label = np.zeros((2, *slicefiles.SHAPE), np.uint8)
    label[1, 0, 0] = 1
    image, _ = slicefiles.pictures(2)
    cases = [("A", "A", [0]), ("B", "B", [0])]
    slicefiles.write(tmp_path / "out.h5", cases, pixels=(image, label))
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert first_case(file) == 1


def test_first_case_without_tumour_is_the_first(tmp_path):
    image, label = slicefiles.pictures(1)
    slicefiles.write(tmp_path / "out.h5", [("A", "A", [0])], pixels=(image, label * 0))
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert first_case(file) == 0


def test_spread_rows_are_the_middles_of_equal_parts(tmp_path):
    label = np.ones((8, *slicefiles.SHAPE), np.uint8)
    image, _ = slicefiles.pictures(8)
    slicefiles.write(tmp_path / "out.h5", [("A", "A", [*range(7)]), ("B", "B", [1])],
                     pixels=(image, label))  # fmt: skip
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert spread_rows(file, 0, 3).tolist() == [1, 3, 5]
        assert spread_rows(file, 1, 3).tolist() == [7]


def test_radiological_has_the_front_on_top_and_the_right_side_first():
    plane = np.array([["back left", "back right"], ["front left", "front right"]])
    assert radiological(plane).tolist() == [
        ["front right", "front left"],
        ["back right", "back left"],
    ]


def test_page_shows_a_tumour_of_the_patients_right_on_its_left_side(tmp_path):
    label = np.zeros((1, 40, 30), np.uint8)
    label[0, 2:12, 20:28] = 3  # x rises to the patient's right, y to the front
    plot_page(page(label), tmp_path / "page.png")
    picture = imread(tmp_path / "page.png")[..., :3]
    yellow = (picture[..., 2] < 0.75 * picture[..., 0]) & (picture[..., 1] > 0.4)
    body = yellow[: int(len(yellow) * 0.87)]  # the legend is below
    panels = np.array_split(body, 6, axis=1)
    assert [bool(panel.any()) for panel in panels] == [False] * 4 + [True] * 2
    for panel in panels[4:]:
        y, x = np.nonzero(panel)
        assert x.mean() < panel.shape[1] / 2
        assert y.mean() > len(yellow) / 2


def test_page_is_black_outside_the_brain(tmp_path):
    shown = page()
    shown.image[:] = np.linspace(-2, 2, 30)
    shown.image[..., :20, :] = 0
    plot_page(shown, tmp_path / "page.png")
    picture = imread(tmp_path / "page.png")[..., :3].mean(axis=2)
    assert picture[int(0.75 * len(picture)), 30:60].max() < 0.05


def test_page_grows_with_its_planes(tmp_path):
    plot_page(page(n_planes=1), tmp_path / "one.png")
    plot_page(page(n_planes=3), tmp_path / "three.png")
    one, three = (imread(tmp_path / f"{name}.png").shape for name in ("one", "three"))
    assert one[1] == three[1]
    assert three[0] > 2 * one[0]


def test_grey_limits_leave_the_background_out():
    plane = np.zeros((1, 4, 101), np.float32)
    plane[0, 0] = np.arange(-50, 51)
    inside = np.sort(plane[plane != 0])
    low, high = grey_limits(plane)
    assert (low, high) == pytest.approx((np.quantile(inside, 0.01), np.quantile(inside, 0.995)))


@pytest.mark.parametrize("value", [0, 3])
def test_grey_limits_of_a_constant_are_apart(value):
    low, high = grey_limits(np.full((1, 2, 2), value, np.float32))
    assert low < high


@pytest.mark.parametrize(
    "rows",
    [
        [row("A", (900, 10, 60, 5)), row("B", (900, 20, 6, 0)), row("C", (0,) * 4, False)],
        [row("A", (900, 0, 0, 0))],
        [row(f"C{n}", (900, n, 2 * n, 7 * n)) for n in range(1, 200)],
    ],
    ids=["few", "no tumour", "many"],
)
def test_plot_balance_draws(tmp_path, rows):
    plot_balance(inspected(*rows), tmp_path / "balance.png")
    picture = imread(tmp_path / "balance.png")
    assert picture.shape[:2] == (726, 1100)
    assert np.all(picture[0, 0] == 1)


def test_plot_balance_draws_bars_as_long_as_their_planes(tmp_path):
    planes = (900, 500, 500, 500), (900, 500, 500, 0)
    rows = [CaseCount(f"C{n}", "S", True, 5, v, (5, 1, 4, 2 * (1 - n)), 5, 20, 1.0)
            for n, v in enumerate(planes)]  # fmt: skip
    plot_balance(inspected(*rows), tmp_path / "balance.png")
    picture = imread(tmp_path / "balance.png")[:340, 560:, :3]
    lengths = {}
    for name in ("NCR", "ED", "ET"):
        near = np.abs(picture - rgb(GLIOMA.colour(name))).max(axis=2) < 0.02
        lengths[name] = near.sum(axis=1).max()
    assert lengths["NCR"] / lengths["ED"] == pytest.approx(2 / 8, abs=0.02)
    assert lengths["ET"] / lengths["ED"] == pytest.approx(2 / 8, abs=0.02)


def test_plot_balance_refuses_cases_without_a_label(tmp_path):
    with pytest.raises(ValueError, match="raw: holds no labelled case to draw"):
        plot_balance(inspected(row("A", (0,) * 4, False)), tmp_path / "balance.png")


def test_plot_balance_is_a_verb_of_the_package(tmp_path):
    nib.save(
        nib.Nifti1Image(np.full((3, 3, 3), 2, np.uint8), np.eye(4)), tmp_path / "BRATS_001.nii"
    )
    bratsprep.plot_balance(inspect(tmp_path, workers=1), tmp_path / "balance.png")
    assert (tmp_path / "balance.png").stat().st_size > 10_000
