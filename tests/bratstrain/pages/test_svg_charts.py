"""Drawings: every number where it belongs."""

import math
import re

import pytest

from bratstrain.pages import svg_charts
from bratstrain.pages.svg_charts import Axis, Curve, axis, curves, dots, interval, places, plain


def circles(drawing):
    """(x, y) of every circle."""
    found = re.findall(r'<circle cx="([\d.e+]+)" cy="([\d.e+]+)"', drawing.replace("<title", " <"))
    return [(float(x), float(y)) for x, y in found]


def test_axis_places_its_ends_and_middle():
    made = Axis(0, 10, 100, 0)
    assert [made.place(value) for value in (0, 5, 10)] == [100, 50, 0]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 512, [0, 200, 400]),
        (-0.3, 0.3, [-0.2, 0, 0.2]),
        (0, 8e-4, [0, 2e-4, 4e-4, 6e-4, 8e-4]),
    ],
)
def test_ticks_are_round_and_inside(low, high, wanted):
    assert Axis(low, high, 0, 1).ticks() == pytest.approx(wanted)


def test_axis_of_one_number_has_a_length():
    made = axis([3.0], 0, 1)
    assert made.high > made.low


def test_axis_of_zeros_has_a_length():
    assert axis([0.0], 0, 1).high == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.2, "0.2"), (1200.0, "1,200"), (2e-4, "2e-4")]
)
def test_tick_is_short(value, text):
    assert plain(value) == text


def test_curve_goes_through_its_points():
    made = curves("loss", [Curve("a", ((0, 0.0), (10, 2.0)))], unit="loss")
    first, last = re.search(r'points="([^"]+)"', made)[1].split()
    left, low = map(float, first.split(","))
    right, high = map(float, last.split(","))
    assert (left, right) == (svg_charts.LEFT, svg_charts.WIDTH - svg_charts.RIGHT)
    assert (low, high) == (svg_charts.HEIGHT - svg_charts.BOTTOM, svg_charts.TOP)


def test_curve_of_one_point_is_a_dot():
    made = curves("loss", [Curve("a", ((5, 1.0),))], unit="loss")
    first, last = re.search(r'points="([^"]+)"', made)[1].split()
    assert first == last


def test_several_curves_have_a_legend_and_a_style_each():
    lines = [Curve("<a>", ((0, 1.0),), 1), Curve("b", ((0, 2.0),), 4)]
    made = curves("both", lines, unit="", top=3.0, best=0)
    assert made.count("<li>") == 2
    assert "curve s1" in made
    assert "curve s4" in made
    assert "&lt;a&gt;" in made
    assert 'class="best"' in made


def test_interval_without_an_interval_is_a_dot():
    made = interval(0.5, None, None, None)
    assert circles(made) == [(80, 8)]
    assert "range" not in made


def test_interval_has_a_mark_where_it_should():
    made = interval(0.0, -1.0, 1.0, 0.0, span=(-1, 1))
    assert 'x1="80" x2="80"' in made
    assert 'x1="4" x2="156"' in made


def test_every_case_has_a_dot_and_its_text():
    made = dots("d", {"ET": [("<a>", 0.0), ("b", 1.0), ("c", math.nan)]},
                say=lambda case, value: f"{case} {value:g}")  # fmt: skip
    assert len(circles(made)) == 2
    assert "ET: &lt;a&gt; 0" in made
    assert "meanline" in made


def test_column_without_a_case_is_empty():
    made = dots("d", {"ET": [("a", math.nan)]}, say=lambda case, value: case)
    assert "circle" not in made
    assert "meanline" not in made


def test_column_is_as_wide_as_its_name():
    wide, narrow = (
        dots("d", {name: [("a", 0.5)]}, say=lambda case, value: case) for name in ("x" * 40, "x")
    )
    assert int(re.search(r'width="(\d+)"', wide)[1]) > int(re.search(r'width="(\d+)"', narrow)[1])


def test_dots_of_one_height_lie_beside_each_other():
    assert places([5.0] * 4) == [0, 10, -10, 20]


def test_dots_far_apart_stay_in_the_middle():
    assert places([0.0, 50.0, 100.0]) == [0, 0, 0]


def test_more_dots_than_places_share_them():
    assert set(places([1.0] * 40)) == set(svg_charts.BESIDE)
