"""Pictures: sides, colours and rows, read back from the PNG."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bratsprep.errors import BratsError
from bratstrain.evaluation.tables import Picture, Report
from bratstrain.pages.figure import draw_report, draw_rows
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers.class_sets import GLIOMA, SIX

SHAPE = (40, 32)


def plane(*boxes):
    """Labels in boxes of (label, y slice, x slice)."""
    label = np.zeros(SHAPE, np.uint8)
    for value, y, x in boxes:
        label[y, x] = value
    return label


def image():
    """A head of one intensity, which is drawn dark."""
    grey = np.zeros(SHAPE, np.float32)
    grey[5:35, 4:28] = 1
    return grey


def draw(path, shown, truth, predicted):
    """Draw one case."""
    picture = Picture("A", 7, shown, truth, predicted)
    draw_rows(path, [("A, plane 7", picture)], GLIOMA, title="one case")


def drawn(path):
    return matplotlib.image.imread(path)[..., :3]


def panel(pixels, i):
    """One of the four panels, legend and titles cut off."""
    width = pixels.shape[1] // 4
    return pixels[120:-60, i * width : (i + 1) * width]


def share(pixels, name, classes=GLIOMA):
    """Rows and columns, 0 to 1, where a class is drawn in its full colour."""
    found = np.argwhere(np.abs(pixels - to_rgb(classes.colour(name))).max(axis=2) < 0.02)
    return found / pixels.shape[:2]


@pytest.fixture
def picture(tmp_path):
    truth = plane((1, slice(28, 34), slice(20, 26)))  # front, and the patient's right
    predicted = plane((3, slice(8, 14), slice(6, 12)))  # back left
    draw(tmp_path / "a.png", image(), truth, predicted)
    return drawn(tmp_path / "a.png")


def test_front_is_up_and_the_right_side_of_the_patient_is_on_the_left(picture):
    rows, columns = share(panel(picture, 1), "NCR").T
    assert rows.max() < 0.5
    assert columns.max() < 0.5
    rows, columns = share(panel(picture, 2), "ET").T
    assert rows.min() > 0.5
    assert columns.min() > 0.5


def test_each_panel_shows_its_own_side(picture):
    assert share(panel(picture, 1), "ET").size == 0
    assert share(panel(picture, 2), "NCR").size == 0
    original = panel(picture, 0)
    assert share(original, "NCR").size == share(original, "ET").size == 0


def test_overlay_outlines_the_truth_in_white(picture):
    rows, columns = np.argwhere(panel(picture, 3).min(axis=2) > 0.8).T
    height, width = panel(picture, 3).shape[:2]
    assert rows.size > 20
    assert rows.max() < 0.5 * height
    assert columns.max() < 0.5 * width


def test_sides_are_marked(picture):
    left = panel(picture, 0)[:, :25].min(axis=2).max()
    right = panel(picture, 0)[:, -25:].min(axis=2).max()
    assert left > 0.9
    assert right > 0.9


def test_colours_differ_in_lightness_for_the_colour_blind():
    weights = (0.2126, 0.7152, 0.0722)
    light = sorted(np.dot(to_rgb(GLIOMA.colour(name)), weights) for name in GLIOMA.tumour)
    assert np.diff(light).min() > 0.1


def test_six_classes_are_drawn_in_their_own_colours(tmp_path):
    rows = [slice(6 + 4 * k, 10 + 4 * k) for k in range(6)]
    truth = plane(*((k + 1, rows[k], slice(8, 24)) for k in range(6)))
    picture = Picture("A", 7, image(), truth, np.zeros_like(truth))
    draw_rows(tmp_path / "a.png", [("A", picture)], SIX.classes)
    panel_of_truth = panel(drawn(tmp_path / "a.png"), 1)
    front = [share(panel_of_truth, name, SIX.classes)[:, 0].mean() for name in SIX.classes.tumour]
    assert front == sorted(front, reverse=True)  # label 1 lies at the back


@pytest.mark.parametrize("value", [0, 1], ids=["no tumour", "all tumour"])
def test_plane_of_one_label_is_drawn(tmp_path, value):
    label = np.full(SHAPE, value, np.uint8)
    draw(tmp_path / "a.png", np.zeros(SHAPE, np.float32), label, label)
    assert drawn(tmp_path / "a.png").size


def test_planes_of_different_shapes_are_refused(tmp_path):
    label = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"image is \(40, 32\), truth \(2, 2\) and"):
        draw(tmp_path / "a.png", image(), label, label)
    assert not list(tmp_path.iterdir())


def test_no_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no picture to draw"):
        draw_rows(tmp_path / "a.png", [], GLIOMA)


def test_place_that_cannot_be_written_is_refused(tmp_path):
    label = plane()
    with pytest.raises(BratsError, match="cannot be written"):
        draw(tmp_path / "no" / "a.png", image(), label, label)


def report_of(shares):
    """Cases in which so many of 10 rows of a square of ED were found."""
    scores, pictures = [], []
    for i, found in enumerate(shares):
        truth = plane((2, slice(10, 20), slice(10, 20)))
        predicted = plane((2, slice(10, 10 + found), slice(10, 20)))
        case = f"C{i}"
        pair = truth[None], predicted[None]
        scores.append(score_case(*pair, Grid((1, 1, 1)), GLIOMA, case=case, lesions=()))
        pictures.append(Picture(case, i, image(), truth, predicted))
    table = summarise(scores, cases="c")
    return Report("r", (), {}, tuple(scores), table, pictures=tuple(pictures))


def test_report_draws_best_median_and_worst(tmp_path):
    draw_report(tmp_path / "a.png", report_of([2, 10, 5, 7, 1]))
    pixels = drawn(tmp_path / "a.png")
    width = pixels.shape[1] // 4
    blue = np.abs(pixels[:, 2 * width : 3 * width] - to_rgb(GLIOMA.colour("ED"))).max(axis=2) < 0.02
    rows = np.split(blue[60:-60], [len(blue[60:-60]) // 3, 2 * len(blue[60:-60]) // 3])
    best, median, worst = (int(part.sum()) for part in rows)
    assert worst / best == pytest.approx(1 / 10, abs=0.04)
    assert median / best == pytest.approx(5 / 10, abs=0.06)


@pytest.mark.parametrize(("n_cases", "n_rows"), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_report_of_few_cases_has_few_rows(tmp_path, n_cases, n_rows):
    draw_report(tmp_path / "one.png", report_of([5]))
    draw_report(tmp_path / "a.png", report_of(range(1, n_cases + 1)))
    one, all_rows = (drawn(tmp_path / name).shape[0] for name in ("one.png", "a.png"))
    around = 123  # pixels of title and legend
    assert (all_rows - around) / (one - around) == pytest.approx(n_rows, rel=0.03)


def test_report_without_pictures_is_refused(tmp_path):
    report = report_of([1])
    bare = Report("r", (), {}, report.scores, report.table)
    with pytest.raises(ValueError, match="pictures=True"):
        draw_report(tmp_path / "a.png", bare)
