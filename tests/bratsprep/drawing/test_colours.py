from itertools import combinations

import numpy as np
import pytest

from bratsprep.drawing.colours import ERRORS, grey, greys, shown_under, tinted, tints
from bratsprep.labels import shipped
from tests.helpers.class_sets import GLIOMA, SIX


def test_grey_goes_from_black_to_white():
    values = np.array([-5, 0, 5, 10, 99], np.float32)
    assert grey(values, (0, 10)).tolist() == [0, 0, 128, 255, 255]


def test_grey_has_as_many_steps_as_asked_for():
    assert np.unique(grey(np.linspace(0, 1, 500, dtype=np.float32), (0, 1), 64)).size == 64


def test_tints_are_greys_under_each_colour():
    palette, n = tints(["#ff0000", "#00FF00"], 0.5), greys(3)
    assert palette.shape == (3 * n, 3)
    assert palette[[0, n - 1, n, 3 * n - 1]].tolist() == [
        [0, 0, 0], [255, 255, 255], [128, 0, 0], [128, 255, 128]]  # fmt: skip


@pytest.mark.parametrize("classes", [GLIOMA, SIX.classes], ids=len)
def test_tinted_rows_show_the_class_over_its_grey(classes):
    n = len(classes)
    shades = np.array([[0, greys(n) - 1]], np.uint8)
    label = np.array([[0, n - 1]], np.uint8)
    palette = tints(classes.colours[1:], 1.0)
    last = list(bytes.fromhex(classes.colours[-1][1:]))
    assert palette[tinted(shades, label, n)].tolist() == [[[0, 0, 0], last]]


@pytest.mark.parametrize("n_classes", range(2, 33))
def test_palette_of_any_classes_has_at_most_256_colours(n_classes):
    assert 8 <= greys(n_classes) <= 256 // n_classes


@pytest.mark.parametrize(
    ("modalities", "place"),
    [(("flair", "t1w", "t1gd", "t2w"), 2), (("t2w", "flair"), 1), (("adc",), 0)],
)
def test_labels_are_shown_over_the_best_modality(modalities, place):
    assert shown_under(modalities) == place


MACHADO = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
"""Dichromacy as a matrix over linear RGB, Machado et al. 2009, severity 1."""


def seen(colour, matrix):
    """CIELAB, D65, of a `#RRGGBB` colour as a reader with that matrix sees it."""
    share = np.array(list(bytes.fromhex(colour[1:]))) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    rgb_to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = rgb_to_xyz @ np.clip(matrix @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", ["none", "protan", "deutan"])
@pytest.mark.parametrize("known", shipped().values(), ids=shipped())
def test_classes_of_a_scheme_that_ships_differ_from_each_other(known, kind):
    shown = [seen(colour, MACHADO[kind]) for colour in known.classes.colours[1:]]
    assert all(np.linalg.norm(a - b) > 20 for a, b in combinations(shown, 2))


@pytest.mark.parametrize("kind", MACHADO)
def test_errors_differ_from_each_other_and_another_class_from_every_class(kind):
    errors = {name: seen(colour, MACHADO[kind]) for name, colour in ERRORS.items()}
    classes = [seen(colour, MACHADO[kind]) for colour in GLIOMA.colours[1:]]
    among = [np.linalg.norm(errors[a] - errors[b]) for a, b in combinations(errors, 2)]
    assert min(among) > 40
    assert min(np.linalg.norm(errors["other"] - shown) for shown in classes) > 30
    used = {colour for known in shipped().values() for colour in known.classes.colours}
    assert not set(ERRORS.values()) & used
