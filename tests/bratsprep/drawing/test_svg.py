from xml.etree import ElementTree

import pytest
from markupsafe import escape

from bratsprep.drawing.svg import Axis, Drawing, Shape, axis_over, circle, line, text, tick_text

NASTY = "<script>\"'"


def parsed(drawing):
    return ElementTree.fromstring(str(escape(drawing)))  # noqa: S314  our own markup


def test_text_names_and_titles_are_escaped():
    shapes = (text(1, 2, NASTY), circle(1, 2, 3, "dot", title=NASTY, case=NASTY))
    root = parsed(Drawing(NASTY, 10, 20, shapes))
    assert root.get("aria-label") == root[0].text == root[1][0].text == NASTY
    assert root[1].get("data-case") == NASTY


def test_a_drawing_without_a_name_is_decoration():
    root = parsed(Drawing("", 10, 20, ()))
    assert root.get("aria-hidden") == "true"
    assert root.get("role") is None


def test_attributes_without_a_value_are_left_out():
    root = parsed(Drawing("a", 1, 1, (Shape("g", {"class": None, "id": "b"}),)))
    assert root[0].attrib == {"id": "b"}


def test_lengths_have_one_digit_at_most():
    shape = line((1.0, 2.04), (3.06, 1 / 3), "axis")
    assert [shape.attributes[name] for name in ("x1", "y1", "x2", "y2")] == ["1", "2", "3.1", "0.3"]


def test_an_axis_holds_its_ends_and_what_lies_beyond_them():
    axis = Axis(0, 10, 100, 200)
    assert [axis.place(value) for value in (-5, 0, 5, 10, 50)] == [100, 100, 150, 200, 200]


def test_an_axis_may_point_upwards():
    assert [Axis(0, 10, 100, 0).place(value) for value in (0, 5, 10)] == [100, 50, 0]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 512, [0, 200, 400]),
        (-0.3, 0.3, [-0.2, 0, 0.2]),
        (-3.1, 4, [-2, 0, 2, 4]),
        (130, 530, [200, 300, 400, 500]),
        (0, 8e-4, [0, 2e-4, 4e-4, 6e-4, 8e-4]),
    ],
)
def test_ticks_are_round_and_on_the_axis(low, high, ticks):
    assert Axis(low, high, 0, 1).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(("value", "high"), [(3.0, 6), (0.0, 1), (-2.0, 0)])
def test_an_axis_over_one_number_has_a_length(value, high):
    axis = axis_over([value], 0, 1)
    assert (axis.low, axis.high) == (value, high)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (0.2, "0.2"), (1200.0, "1,200"), (2e-4, "2e-4")]
)
def test_the_number_of_a_tick_is_short(value, words):
    assert tick_text(value) == words
