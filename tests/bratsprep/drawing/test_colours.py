import numpy as np

from bratsprep.drawing.colours import COLOURS, GREYS, grey, tinted, tints
from bratsprep.labels import CLASSES


def test_grey_goes_from_black_to_white():
    values = np.array([-5, 0, 5, 10, 99], np.float32)
    assert grey(values, (0, 10)).tolist() == [0, 0, 128, 255, 255]


def test_grey_has_as_many_steps_as_asked_for():
    assert np.unique(grey(np.linspace(0, 1, 500, dtype=np.float32), (0, 1), 64)).size == 64


def test_tints_are_greys_under_each_colour():
    palette = tints(["#ff0000", "#00FF00"], 0.5)
    assert palette.shape == (3 * GREYS, 3)
    assert palette[[0, GREYS - 1, GREYS, 3 * GREYS - 1]].tolist() == [
        [0, 0, 0], [255, 255, 255], [128, 0, 0], [128, 255, 128]]  # fmt: skip


def test_tinted_rows_show_the_class_over_its_grey():
    shades = np.array([[0, GREYS - 1]], np.uint8)
    label = np.array([[0, 3]], np.uint8)
    palette = tints([COLOURS[name] for name in CLASSES[1:]], 1.0)
    yellow = list(bytes.fromhex(COLOURS["ET"][1:]))
    assert palette[tinted(shades, label)].tolist() == [[[0, 0, 0], yellow]]
