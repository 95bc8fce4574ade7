"""Scatter of cases: dots where the numbers say, ticks of powers of ten, a line of equality."""

import pytest

from bratsprep.drawing.scatter import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Point, Scale, scatter

POINTS = [
    Point("a", 1.0, 10.0, "a: one"),
    Point("b", 100.0, 10.0, "b"),
    Point("c", 10.0, 20.0, "c"),
]


def dots(drawing):
    """Places of the dots by case."""
    return {
        shape.attributes["data-case"]: (
            float(shape.attributes["cx"]), float(shape.attributes["cy"]),
        )
        for shape in drawing.shapes
        if shape.tag == "circle"
    }  # fmt: skip


def test_powers_of_ten_stand_at_equal_distances():
    places = dots(scatter("s", POINTS, Scale("ml", is_log=True), Scale("Dice")))
    assert places["c"][0] - places["a"][0] == pytest.approx(
        places["b"][0] - places["c"][0], abs=0.2
    )
    assert places["a"][1] == places["b"][1] > places["c"][1]


def test_dots_are_reached_from_left_to_right_with_their_titles():
    drawing = scatter("s", POINTS, Scale("x"), Scale("y"))
    assert list(dots(drawing)) == ["a", "c", "b"]
    titles = [shape.title for shape in drawing.shapes if shape.tag == "circle"]
    assert titles == ["a: one", "c", "b"]
    assert drawing.attributes["tabindex"] == "0"


def test_equal_numbers_stand_on_the_line():
    points = [Point("a", 2.0, 2.0, ""), Point("b", 50.0, 50.0, ""), Point("c", 2.0, 50.0, "")]
    scale = Scale("ml", is_log=True)
    drawing = scatter("s", points, scale, scale, equal=True)
    (lines,) = [shape.attributes for shape in drawing.shapes if shape.attributes["class"] == "best"]
    x1, y1, x2, y2 = (float(lines[name]) for name in ("x1", "y1", "x2", "y2"))
    for case in ("a", "b"):
        x, y = dots(drawing)[case]
        assert y == pytest.approx(y1 + (x - x1) / (x2 - x1) * (y2 - y1), abs=0.3)


@pytest.mark.parametrize("is_log", [True, False])
def test_one_case_is_drawn_inside_the_frame(is_log):
    scale = Scale("x", is_log=is_log)
    drawing = scatter("s", [Point("a", 3.0, 3.0, "")], scale, scale)
    x, y = dots(drawing)["a"]
    assert LEFT <= x <= WIDTH - RIGHT
    assert TOP <= y <= HEIGHT


def test_short_axis_of_powers_has_steps_between_them():
    drawing = scatter(
        "s", [POINTS[0], Point("b", 6.0, 1.0, "")], Scale("x", is_log=True), Scale("y")
    )
    words = {shape.text for shape in drawing.shapes if shape.tag == "text"}
    assert {"1", "2", "5"} <= words
