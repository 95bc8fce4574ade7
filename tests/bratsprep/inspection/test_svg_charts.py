import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bratsprep.inspection.svg_charts import (
    Axis,
    bars,
    class_line,
    density,
    figure,
    key,
    strip,
    ticks,
)

NASTY = '<script>"'


def elements(drawing, tag):
    """Attributes of all elements of one kind."""
    root = ElementTree.fromstring(drawing)  # noqa: S314  our own markup
    return [found.attrib for found in root.iter(tag)]


def numbers(drawing, tag, name):
    """Values of an attribute of all elements of one kind."""
    return [float(found[name]) for found in elements(drawing, tag)]


def test_bars_are_as_long_as_their_numbers():
    made = bars("planes", [("NCR", 10, "10"), ("ED", 40, "40"), ("ET", 0, "0")])
    lengths = numbers(made, "rect", "width")
    assert lengths == [lengths[1] / 4, lengths[1], 0]


def test_bars_say_what_they_show():
    assert "planes: NCR 3 &lt;script&gt;&quot;" in bars("planes", [("NCR", 3, f"3 {NASTY}")])


def test_an_axis_holds_what_lies_beyond_it():
    axis = Axis(0, 10, 100, 200)
    assert [axis.at(value) for value in (-5, 0, 5, 50)] == [100, 100, 150, 200]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-3.1, 4, [-2, 0, 2, 4]), (130, 530, [200, 300, 400, 500]),
     (0, 0.02, [0, 0.005, 0.01, 0.015, 0.02])],
)  # fmt: skip
def test_ticks_are_round(low, high, found):
    assert ticks(low, high) == pytest.approx(found)


def shares(*classes):
    """Brain evenly over ten bins, and classes in one bin each."""
    each = np.zeros((5, 10))
    each[0] = 0.1
    for k, place in classes:
        each[k + 1, place] = 0.3
    return each


def test_density_draws_the_classes_that_there_are():
    made = density(NASTY, np.arange(11.0), shares((1, 3), (3, 9)), [5.0], "units")
    paths = [found["class"] for found in elements(made, "path")]
    assert paths == ["area", "case", "class", "case", "class"]


def test_density_ticks_each_case():
    made = density("t", np.arange(11.0), shares(), [0.0, 5.0, 10.0], "units")
    rug = [found for found in elements(made, "line") if found["class"] == "rug"]
    assert [float(found["x1"]) for found in rug] == [6, 220, 434]


def test_density_is_cut_at_four_times_the_brain():
    each = shares((1, 3))
    each[2, 3] = 1.0
    made = density("t", np.arange(11.0), each, [], "units")
    (area,) = re.findall(r'<path d="([^"]+)" class="area"', made)
    assert "V119.0" in area  # a quarter of the way from 150 to 26


def test_density_of_nothing_is_drawn():
    assert "area" in density("t", np.array([0.0, 1.0]), np.zeros((5, 1)), [], "units")


def test_key_names_every_class():
    assert re.findall(r"</svg>([^<]+)</li>", key()) == [
        "whole brain", "NCR", "ED", "ET", "median of one case"]  # fmt: skip


def test_class_lines_differ_without_colour():
    dashes = [re.findall('dasharray="([^"]+)"', class_line("M0 0", name))[0]
              for name in ("NCR", "ED", "ET")]  # fmt: skip
    assert len(set(dashes)) == 3


def test_strip_draws_a_dot_for_each_case_and_the_median():
    made = strip("t", {"NCR": [10, 100, 1000], "ED": [], "ET": [7]})
    assert len(numbers(made, "circle", "cx")) == 3 + 1 + 1 + 1


def test_strip_is_logarithmic():
    dots = numbers(strip("t", {"ED": [10, 100, 1000]}), "circle", "cx")[:3]
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1], abs=0.11)


def test_captions_are_text():
    assert "<figcaption>&lt;script&gt;&quot;" in figure("<svg/>", NASTY)
