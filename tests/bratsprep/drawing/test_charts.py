import math
import re

import numpy as np
import pytest
from markupsafe import escape

from bratsprep.drawing import charts
from bratsprep.drawing.charts import Curve, bars, curves, density, dots, interval, offsets, strip
from bratsprep.drawing.document import asset, colour_rules
from tests.helpers.class_sets import GLIOMA, SIX


def shapes(drawing, tag, kind=""):
    """Shapes of one element whose classes begin with `kind`."""
    found = [shape for shape in drawing.shapes if shape.tag == tag]
    return [shape for shape in found if str(shape.attributes.get("class")).startswith(kind)]


def numbers(found, name):
    return [float(shape.attributes[name]) for shape in found]


def test_bars_are_as_long_as_their_numbers():
    made = bars("planes", [("NCR", 10, "10"), ("ED", 40, "40"), ("ET", 0, "0")])
    lengths = numbers(shapes(made, "rect"), "width")
    assert lengths == [lengths[1] / 4, lengths[1], 0]


def test_bars_give_their_values_to_screen_readers():
    assert bars("planes", [("NCR", 3, "3"), ("ED", 4, "4")]).name == "planes: NCR 3; ED 4"


def shares(*classes):
    """Brain evenly over ten bins, and classes in one bin each."""
    table = np.zeros((5, 10))
    table[0] = 0.1
    for k, place in classes:
        table[k + 1, place] = 0.3
    return table


def test_density_draws_only_the_classes_that_occur():
    made = density("t", np.arange(11.0), shares((1, 3), (3, 9)), {"A": 5.0}, "units")
    kinds = [shape.attributes["class"] for shape in shapes(made, "path")]
    assert kinds == ["area", "edge k1", "class k1", "edge k3", "class k3"]


def test_density_marks_the_median_of_each_case_by_its_name():
    made = density("t", np.arange(11.0), shares(), {"A": 0.0, "B": 5.0, "C": 10.0}, "units")
    rug = shapes(made, "line", "rug")
    assert numbers(rug, "x1") == [6, 220, 434]
    assert [shape.title for shape in rug] == ["A: median 0", "B: median 5", "C: median 10"]


def test_density_is_cut_at_four_times_the_brain():
    table = shares((1, 3))
    table[2, 3] = 1.0
    (area,) = shapes(density("t", np.arange(11.0), table, {}, "units"), "path", "area")
    assert "V119.0" in area.attributes["d"]  # a quarter of the way from 150 to 26


def test_density_of_nothing_is_drawn():
    assert shapes(density("t", np.array([0.0, 1.0]), np.zeros((5, 1)), {}, "units"), "path")


@pytest.mark.parametrize("classes", [GLIOMA, SIX.classes], ids=len)
def test_the_key_of_a_histogram_names_every_class(classes):
    assert [name for name, _ in charts.histogram_key(classes)] == [
        "whole brain", *classes.tumour, "median of one case"]  # fmt: skip


def test_strip_draws_a_dot_for_each_case_and_the_median():
    made = strip("t", {"NCR": [10, 100, 1000], "ED": [], "ET": [7]})
    assert len(shapes(made, "circle", "bar")) == 4
    assert len(shapes(made, "circle", "median")) == 2


def test_strip_is_logarithmic():
    x = numbers(shapes(strip("t", {"ED": [10, 100, 1000]}), "circle", "bar"), "cx")
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.11)


def corners(drawing):
    """Points of the first curve."""
    points = shapes(drawing, "polyline")[0].attributes["points"]
    return [tuple(map(float, point.split(","))) for point in points.split()]


def test_curve_goes_through_its_points():
    made = curves("loss", [Curve("a", ((0, 0.0), (10, 2.0)))], unit="loss")
    (left, low), (right, high) = corners(made)
    assert (left, right) == (charts.LEFT, charts.CURVE_WIDTH - charts.RIGHT)
    assert (low, high) == (charts.CURVE_HEIGHT - charts.BOTTOM, charts.TOP)
    assert not made.key


def test_curve_of_one_point_is_a_dot():
    first, last = corners(curves("loss", [Curve("a", ((5, 1.0),))], unit="loss"))
    assert first == last


def test_several_curves_have_a_legend_and_a_style_each():
    lines = [Curve("<a>", ((0, 1.0),), 1), Curve("b", ((0, 2.0),), 4)]
    made = curves("both", lines, unit="", top=3.0, best=0)
    assert [name for name, _ in made.key] == ["<a>", "b"]
    kinds = [shape.attributes["class"] for shape in shapes(made, "polyline")]
    assert kinds == ["curve s1", "curve s4"]
    assert len(shapes(made, "line", "best")) == 1


def test_interval_without_an_interval_is_a_dot():
    made = interval(0.5, None, None, None)
    assert numbers(shapes(made, "circle"), "cx") == [80]
    assert not shapes(made, "line", "range")


def test_interval_has_a_mark_where_it_should():
    made = interval(0.0, -1.0, 1.0, 0.0, span=(-1, 1))
    assert numbers(shapes(made, "line", "mark"), "x1") == [80]
    (bar,) = shapes(made, "line", "range")
    assert (bar.attributes["x1"], bar.attributes["x2"]) == ("4", "156")


def label(case, value):
    return f"{case} {value:g}"


def test_every_scored_case_has_a_dot_and_its_text():
    made = dots("d", {"ET": [("<a>", 0.0), ("b", 1.0), ("c", math.nan)]}, label=label)
    assert [shape.title for shape in shapes(made, "circle")] == ["ET: <a> 0", "ET: b 1"]
    assert len(shapes(made, "line", "meanline")) == 1
    assert "ET: &lt;a&gt; 0" in escape(made)


def test_column_without_a_case_is_empty():
    made = dots("d", {"ET": [("a", math.nan)]}, label=label)
    assert not shapes(made, "circle")
    assert not shapes(made, "line", "meanline")


def test_dots_of_one_height_lie_beside_each_other():
    assert offsets([5.0] * 4) == [0, 10, -10, 20]


def test_dots_far_apart_stay_in_the_middle():
    assert offsets([0.0, 50.0, 100.0]) == [0, 0, 0]


def test_more_dots_than_places_share_them():
    assert set(offsets([1.0] * 40)) == set(charts.OFFSETS)


@pytest.mark.parametrize("classes", [GLIOMA, SIX.classes], ids=len)
def test_lines_of_the_classes_and_curves_differ_without_colour(classes):
    style = colour_rules(classes) + asset("bratsprep.drawing", "page.css")
    kinds = [f"k{k}" for k in range(1, len(classes))]
    for names in (kinds, ["s0", "s1", "s2", "s3", "s4"]):
        dashes = [re.search(rf"\.{name} {{[^}}]*--dashes: ([^;]+);", style)[1] for name in names]
        assert len(set(dashes)) == len(names)
